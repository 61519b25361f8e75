//! Keys that are made in the store: with a certificate of their own, and with a request that OpenSSL's authority answers.

use bss_keys::{NewCertificate, PfxCode, SignatureAlgorithm, to_pem};
use bss_model::{Act, ActFilter, Diagnose as _, Thumbprint};
use bss_record::{ImportError, ImportedCertificate, MakeError, Record, RemoveRequestError};
use tempfile::TempDir;

use crate::certificate_store::{contains, now_ms};
use crate::certificates::openssl;
use crate::record::{TestRecord, actor, files_of};

fn new() -> NewCertificate {
    NewCertificate {
        common_name: "esd.example.test".to_owned(),
        dns_names: vec!["esd.example.test".to_owned()],
        days: 30,
    }
}

async fn import(record: &Record, file: &[u8]) -> Result<ImportedCertificate, ImportError> {
    record
        .certificates()
        .import(file, &PfxCode::new(""), &actor())
        .await
}

async fn signs(record: &Record, thumbprint: &Thumbprint) {
    let identity = record.certificates().identity(thumbprint).await.unwrap();
    identity.sign(SignatureAlgorithm::Ps256, b"message").unwrap();
}

/// An authority of OpenSSL's in a folder, which answers requests.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=own authority",
        ];
        openssl(folder.path(), &root);
        Self(folder)
    }

    /// The certificate that answers a request, with the extensions that the request asks for: PEM.
    fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.answer_with(request, &["-days", "30", "-copy_extensions", "copyall"])
    }

    /// The certificate that answers a request, as `openssl x509` makes it with more options: PEM.
    fn answer_with(&self, request: &[u8], options: &[&str]) -> Vec<u8> {
        let path = self.0.path();
        std::fs::write(path.join("request.pem"), to_pem("CERTIFICATE REQUEST", request)).unwrap();
        let sign = [
            "x509",
            "-req",
            "-in",
            "request.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ];
        let answer = self.run(&[&sign[..], options].concat());
        std::fs::write(path.join("answer.pem"), &answer).unwrap();
        answer
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        openssl(self.0.path(), arguments)
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_with_a_key_that_openssl_finds_right() {
    let record = TestRecord::open().await;
    let made = record.certificates().make(&new(), &actor()).await.unwrap();
    let installed = &made.imported.installed;
    assert_eq!(installed.thumbprint, Thumbprint::of(&made.certificate));
    assert_eq!(installed.unusable_because(now_ms()), None);
    assert_eq!((installed.cautions(), &made.imported.cautions), (vec![], &vec![]));
    signs(&record, &installed.thumbprint).await;
    assert_eq!(
        record.certificates().der(&installed.thumbprint).await.unwrap(),
        Some(made.certificate.clone())
    );

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("made.pem"),
        to_pem("CERTIFICATE", &made.certificate),
    )
    .unwrap();
    let verified = openssl(
        folder.path(),
        &[
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            "sslclient",
            "-CAfile",
            "made.pem",
            "made.pem",
        ],
    );
    assert_eq!(verified, b"made.pem: OK\n");
    let shown = openssl(folder.path(), &["x509", "-in", "made.pem", "-noout", "-text"]);
    let shown = String::from_utf8(shown).unwrap();
    for words in [
        "Version: 3",
        "CA:FALSE",
        "Digital Signature",
        "TLS Web Client Authentication",
        "DNS:esd.example.test",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[tokio::test]
async fn a_request_is_kept_until_its_answer_is_imported_in_whatever_form_it_comes() {
    let authority = Authority::new();
    type Form = fn(&Authority, Vec<u8>) -> Vec<u8>;
    let forms: [(&str, Form, usize); 6] = [
        ("PEM", |_, pem| pem, 0),
        (
            "DER",
            |authority, _| authority.run(&["x509", "-in", "answer.pem", "-outform", "DER"]),
            0,
        ),
        (
            "PEM with the authority's first",
            |authority, pem| [authority.run(&["x509", "-in", "ca.pem"]), pem].concat(),
            1,
        ),
        (
            "PKCS #7, DER",
            |authority, _| {
                let p7b = [
                    "crl2pkcs7",
                    "-nocrl",
                    "-certfile",
                    "answer.pem",
                    "-certfile",
                    "ca.pem",
                    "-outform",
                    "DER",
                ];
                authority.run(&p7b)
            },
            1,
        ),
        (
            "PKCS #7, PEM",
            |authority, _| authority.run(&["crl2pkcs7", "-nocrl", "-certfile", "answer.pem"]),
            0,
        ),
        (
            "DER with a line end",
            |authority, _| {
                [
                    authority.run(&["x509", "-in", "answer.pem", "-outform", "DER"]),
                    b"\n".to_vec(),
                ]
                .concat()
            },
            0,
        ),
    ];
    for (form, form_of, chain) in forms {
        let record = TestRecord::open().await;
        let request = record.certificates().request(&new(), &actor()).await.unwrap();
        assert_eq!(request.subject, "CN=esd.example.test");
        assert_eq!(
            record.certificates().requests().await.unwrap(),
            std::slice::from_ref(&request)
        );
        assert_eq!(record.certificates().list().await.unwrap(), []);
        let answer = form_of(&authority, authority.answer(&request.request));
        let imported = import(&record, &answer)
            .await
            .unwrap_or_else(|error| panic!("{form}: {error:?}"));
        let installed = imported.installed;
        assert_eq!(
            (installed.chain, installed.unusable_because(now_ms())),
            (chain, None),
            "{form}"
        );
        assert_eq!(installed.dns_names, ["esd.example.test"], "{form}");
        signs(&record, &installed.thumbprint).await;
        assert_eq!(record.certificates().requests().await.unwrap(), [], "{form}");
        // Importing the same answer once more changes nothing, and a new certificate for the same key is taken too.
        assert_eq!(
            import(&record, &answer).await.unwrap().installed,
            installed,
            "{form}"
        );
        let renewed = import(&record, &authority.answer(&request.request))
            .await
            .unwrap()
            .installed;
        assert_ne!(renewed.thumbprint, installed.thumbprint, "{form}");
        signs(&record, &renewed.thumbprint).await;
    }
}

#[tokio::test]
async fn a_certificate_that_answers_nothing_is_refused_and_the_request_waits_on() {
    let authority = Authority::new();
    let (record, other) = (TestRecord::open().await, TestRecord::open().await);
    let request = record.certificates().request(&new(), &actor()).await.unwrap();
    let stranger = other.certificates().request(&new(), &actor()).await.unwrap();
    let of_owner = record.certificates_of(Some(&"reseller-7".parse().unwrap()));
    let answer = authority.answer(&request.request);
    for (error, what) in [
        (
            import(&record, &authority.answer(&stranger.request))
                .await
                .unwrap_err(),
            "of another key",
        ),
        (
            of_owner
                .import(&answer, &PfxCode::new(""), &actor())
                .await
                .unwrap_err(),
            "of another owner",
        ),
    ] {
        assert_eq!(error.diagnosis().code, "not-a-pfx", "{what}: {error:?}");
        assert!(
            error.to_string().contains("without its private key"),
            "{what}: {error}"
        );
    }
    assert_eq!(record.certificates().requests().await.unwrap(), [request]);
    assert!(import(&record, &answer).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_can_not_be_used_is_installed_and_says_why() {
    let authority = Authority::new();
    let record = TestRecord::open().await;
    let request = record.certificates().request(&new(), &actor()).await.unwrap();
    std::fs::write(
        authority.0.path().join("server.cnf"),
        "extendedKeyUsage=serverAuth\n",
    )
    .unwrap();
    let answer = authority.answer_with(&request.request, &["-extfile", "server.cnf"]);
    let installed = import(&record, &answer).await.unwrap().installed;
    let reason = installed.unusable_because(now_ms()).unwrap();
    assert!(reason.to_string().contains("client authentication"), "{reason}");
}

#[tokio::test]
async fn a_removed_request_and_its_key_are_in_no_file() {
    let record = TestRecord::on_sqlite().await;
    let request = record.certificates().request(&new(), &actor()).await.unwrap();
    let kept = record.certificates().request(&new(), &actor()).await.unwrap();
    let sealed = format!(
        "SELECT sealed_private_key FROM certificate_requests WHERE public_key = '{}'",
        request.public_key
    );
    let sealed: Vec<u8> = record.database().value(&sealed).await;
    let piece = &sealed[sealed.len() / 2..][..40];
    let is_there = || {
        files_of(record.path())
            .iter()
            .any(|(_, bytes)| contains(bytes, piece))
    };
    assert!(is_there());
    record
        .certificates()
        .remove_request(&request.public_key, &actor())
        .await
        .unwrap();
    assert!(!is_there());
    assert_eq!(record.certificates().requests().await.unwrap(), [kept]);
    let error = record
        .certificates()
        .remove_request(&request.public_key, &actor())
        .await
        .unwrap_err();
    assert!(matches!(error, RemoveRequestError::NotThere { .. }), "{error:?}");
    let acts = record
        .acts(&ActFilter::default(), std::num::NonZeroU32::MAX)
        .await
        .unwrap();
    let acts: Vec<_> = acts.iter().map(|act| act.act).collect();
    assert_eq!(
        acts,
        [
            Act::RequestCertificate,
            Act::RequestCertificate,
            Act::RemoveCertificateRequest
        ]
    );
}

#[tokio::test]
async fn nothing_is_stored_for_a_name_that_no_certificate_may_have() {
    let record = TestRecord::open().await;
    let wrong = NewCertificate {
        dns_names: vec!["https://esd.example.test".to_owned()],
        ..new()
    };
    let error = record.certificates().make(&wrong, &actor()).await.unwrap_err();
    assert!(matches!(error, MakeError::NotMade(_)), "{error:?}");
    assert!(record.certificates().request(&wrong, &actor()).await.is_err());
    assert_eq!(record.certificates().list().await.unwrap(), []);
    assert_eq!(record.certificates().requests().await.unwrap(), []);
}

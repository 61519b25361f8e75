//! Imports PFX files as the world makes them, and refuses what can't work.

use std::collections::BTreeMap;

use bss_keys::{InspectError, InstalledCertificate, KeyKind, PfxCode, PfxError, SignatureAlgorithm};
use bss_model::{Diagnose as _, Thumbprint};
use bss_record::{IdentityError, ImportError, Record, RemoveError};
use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose};

use crate::certificates::{Made, RSA_KEY, client_params, good, make, odd_pfx, openssl, pfx, pfx_with};
use crate::record::{TestRecord, actor, files_of, ready_instance, settings};

pub(crate) async fn import(
    record: &Record,
    pfx: &[u8],
    code: &str,
) -> Result<InstalledCertificate, ImportError> {
    record
        .certificates()
        .import(pfx, &PfxCode::new(code), &actor())
        .await
        .map(|imported| imported.installed)
}

/// The error that refuses a file; nothing may be stored then.
pub(crate) async fn refusal(pfx: &[u8], code: &str) -> ImportError {
    let record = TestRecord::open().await;
    let error = import(&record, pfx, code).await.unwrap_err();
    assert_eq!(record.certificates().list().await.unwrap(), []);
    error
}

#[tokio::test]
async fn every_common_kind_of_pfx_file_is_imported_and_can_sign() {
    let made = good();
    let windows = [
        "-name",
        "Клиент «esd»",
        "-caname",
        "root",
        "-caname",
        "intermediate",
        "-keysig",
        "-CSP",
        "Microsoft Enhanced RSA and AES Cryptographic Provider",
        "-LMK",
        "-certfile",
        "chain.pem",
    ];
    let kinds: &[(&str, &str, &[&str])] = &[
        ("modern", "code", &[]),
        ("legacy", "code", &["-legacy"]),
        ("modern, no code", "", &[]),
        ("legacy, no code", "", &["-legacy"]),
        ("modern, other alphabets", "пароль ü€𝄞", &[]),
        ("legacy, other alphabets", "пароль ü€𝄞", &["-legacy"]),
        ("Windows", "code", &windows),
        ("Windows, older", "code", &[&["-legacy"], &windows[..]].concat()),
        (
            "3DES throughout",
            "code",
            &[
                "-keypbe",
                "PBE-SHA1-3DES",
                "-certpbe",
                "PBE-SHA1-3DES",
                "-macalg",
                "sha1",
            ],
        ),
        (
            "RC2-128",
            "code",
            &[
                "-legacy",
                "-keypbe",
                "PBE-SHA1-RC2-128",
                "-certpbe",
                "PBE-SHA1-RC2-128",
            ],
        ),
        (
            "AES-128",
            "code",
            &[
                "-keypbe",
                "AES-128-CBC",
                "-certpbe",
                "AES-128-CBC",
                "-macalg",
                "sha512",
            ],
        ),
        (
            "AES-192",
            "code",
            &[
                "-keypbe",
                "AES-192-CBC",
                "-certpbe",
                "AES-192-CBC",
                "-macalg",
                "sha384",
            ],
        ),
        ("MAC only", "code", &["-keypbe", "NONE", "-certpbe", "NONE"]),
    ];
    for (kind, code, options) in kinds {
        let record = TestRecord::open().await;
        let file = pfx_with(&made, code, options);
        let installed = import(&record, &file, code)
            .await
            .unwrap_or_else(|e| panic!("{kind}: {e:?}"));
        assert_eq!(installed.thumbprint, Thumbprint::of(&made.leaf_der), "{kind}");
        assert_eq!(installed.unusable_because(now_ms()), None, "{kind}");
        let identity = record
            .certificates()
            .identity(&installed.thumbprint)
            .await
            .unwrap();
        identity.sign(SignatureAlgorithm::Ps256, b"message").unwrap();
        let wrong = import(&record, &file, &format!("{code} ")).await.unwrap_err();
        assert!(
            matches!(
                wrong,
                ImportError::Inspect(InspectError::Pfx(PfxError::WrongCode))
            ),
            "{kind}: {wrong:?}"
        );
    }
}

#[tokio::test]
async fn what_is_told_of_a_certificate_is_what_openssl_tells() {
    let made = good();
    let record = TestRecord::open().await;
    let file = pfx_with(&made, "code", &["-certfile", "chain.pem"]);
    let installed = import(&record, &file, "code").await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("leaf.pem"), &made.leaf).unwrap();
    let told = |option: &str| {
        let told = openssl(
            directory.path(),
            &["x509", "-in", "leaf.pem", "-noout", option, "-sha1"],
        );
        String::from_utf8(told)
            .unwrap()
            .trim()
            .rsplit('=')
            .next()
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(told("-fingerprint").parse(), Ok(installed.thumbprint));
    assert_eq!(
        told("-serial").trim_start_matches('0'),
        installed.serial.trim_start_matches('0')
    );
    assert_eq!(installed.subject, "CN=client");
    assert_eq!(installed.issuer, "CN=test intermediate");
    assert_eq!(installed.dns_names, ["client.example.test"]);
    assert_eq!(installed.key, KeyKind::Rsa { bits: 2048 });
    assert_eq!(installed.not_before_ms, 1_577_836_800_000);
    assert!(installed.for_client_authentication && installed.chain_complete);
    assert_eq!(installed.chain, 2);
    assert_eq!(record.certificates().list().await.unwrap(), [installed]);
}

#[tokio::test]
async fn the_chain_is_presented_from_the_leaf_upward_whatever_the_order_in_the_file() {
    let made = good();
    let stranger = good();
    let [intermediate, root] = &made.chain_der[..] else {
        panic!("two authorities")
    };
    let certificates: &[&[u8]] = &[root, &stranger.chain_der[1], &made.leaf_der, intermediate];
    let record = TestRecord::open().await;
    let installed = import(&record, &odd_pfx(&[(&RSA_KEY, certificates)], "code"), "code")
        .await
        .unwrap();
    let identity = record
        .certificates()
        .identity(&installed.thumbprint)
        .await
        .unwrap();
    let presented: Vec<&[u8]> = identity.certificates().iter().map(|der| der.as_ref()).collect();
    assert_eq!(presented, [&made.leaf_der[..], intermediate, root]);
    assert_eq!(identity.certified_key().cert.len(), 3);
}

#[tokio::test]
async fn importing_again_changes_nothing_but_may_complete_the_chain() {
    let made = good();
    let record = TestRecord::open().await;
    let first = import(&record, &pfx(&made, "a"), "a").await.unwrap();
    assert_eq!((first.chain, first.chain_complete), (0, false));
    let file = pfx_with(&made, "b", &["-legacy", "-certfile", "chain.pem"]);
    let second = import(&record, &file, "b").await.unwrap();
    assert_eq!((second.chain, second.chain_complete), (2, true));
    assert_eq!(second.imported_at_ms, first.imported_at_ms);
    assert_eq!(import(&record, &pfx(&made, "a"), "a").await.unwrap(), second);
    assert_eq!(record.certificates().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn signatures_are_accepted_by_openssl() {
    let made = good();
    let record = TestRecord::open().await;
    let installed = import(&record, &pfx(&made, "code"), "code").await.unwrap();
    let identity = record
        .certificates()
        .identity(&installed.thumbprint)
        .await
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("leaf.pem"), &made.leaf).unwrap();
    std::fs::write(path.join("message"), b"header.payload").unwrap();
    let public = openssl(path, &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
    std::fs::write(path.join("public.pem"), public).unwrap();
    let padding = [
        (
            SignatureAlgorithm::Ps256,
            vec!["rsa_padding_mode:pss", "rsa_pss_saltlen:32"],
        ),
        (SignatureAlgorithm::Rs256, vec!["rsa_padding_mode:pkcs1"]),
    ];
    for (algorithm, options) in padding {
        let signature = identity.sign(algorithm, b"header.payload").unwrap();
        assert_eq!(signature.len(), 256);
        std::fs::write(path.join("signature"), signature).unwrap();
        let mut arguments = vec![
            "dgst",
            "-sha256",
            "-verify",
            "public.pem",
            "-signature",
            "signature",
        ];
        arguments.extend(options.iter().flat_map(|option| ["-sigopt", option]));
        arguments.push("message");
        assert_eq!(openssl(path, &arguments), b"Verified OK\n", "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_file_without_private_key_is_refused() {
    let error = refusal(&pfx_with(&good(), "code", &["-nokeys"]), "code").await;
    assert!(
        matches!(error, ImportError::Inspect(InspectError::NoPrivateKey)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_with_several_private_keys_is_refused() {
    let (one, other) = (good(), KeyPair::generate().unwrap());
    let second = make(&client_params("second"), &other);
    let entries: [(&KeyPair, &[&[u8]]); 2] = [(&RSA_KEY, &[&one.leaf_der]), (&other, &[&second.leaf_der])];
    let error = refusal(&odd_pfx(&entries, "code"), "code").await;
    assert!(
        matches!(
            error,
            ImportError::Inspect(InspectError::SeveralPrivateKeys { count: 2 })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_private_key_of_another_certificate_is_refused() {
    let other = make(&client_params("other"), &KeyPair::generate().unwrap());
    let error = refusal(&odd_pfx(&[(&RSA_KEY, &[&other.leaf_der])], "code"), "code").await;
    assert!(
        matches!(&error, ImportError::Inspect(InspectError::KeyDoesNotMatch { subjects }) if subjects == &["CN=other"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_private_key_without_certificate_is_refused() {
    let error = refusal(&odd_pfx(&[(&RSA_KEY, &[])], "code"), "code").await;
    assert!(
        matches!(error, ImportError::Inspect(InspectError::NoCertificate)),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_dates() {
    let mut params = client_params("client");
    params.not_after = rcgen::date_time_ymd(2024, 2, 29);
    let error = refusal(&pfx(&make(&params, &RSA_KEY), "code"), "code")
        .await
        .to_string();
    assert!(
        error.contains("from 2020-01-01T00:00:00Z to 2024-02-29T00:00:00Z"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_over_the_size_limit_is_refused() {
    let error = refusal(&vec![0x30; 256 * 1024 + 1], "code").await;
    assert!(
        matches!(
            error,
            ImportError::Inspect(InspectError::Pfx(PfxError::TooLarge { bytes: 262_145 }))
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn absurd_iteration_counts_are_refused_wherever_they_stand() {
    let made = good();
    for options in [
        &["-iter", "1000001"][..],
        &["-iter", "1000001", "-nomaciter"],
        &["-legacy", "-iter", "1000001", "-nomaciter"],
    ] {
        let error = refusal(&pfx_with(&made, "code", options), "code").await;
        assert!(
            matches!(
                error,
                ImportError::Inspect(InspectError::Pfx(PfxError::TooManyIterations {
                    iterations: 1_000_001
                }))
            ),
            "{options:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn all_key_derivations_of_a_file_share_one_budget() {
    let options = [
        "-iter",
        "1000000",
        "-keypbe",
        "PBE-SHA1-3DES",
        "-certpbe",
        "PBE-SHA1-3DES",
    ];
    let error = refusal(&pfx_with(&good(), "code", &options), "code").await;
    assert!(
        matches!(
            error,
            ImportError::Inspect(InspectError::Pfx(PfxError::TooMuchWork))
        ),
        "{error:?}"
    );
    let advice = error.diagnosis().advice.expect("an advice").sentence();
    assert!(advice.contains("fewer iterations"), "{advice}");
}

#[tokio::test]
async fn what_can_not_be_used_is_installed_and_says_why() {
    let mut authority = client_params("client");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut server_only = client_params("client");
    server_only.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let mut no_signatures = client_params("client");
    no_signatures.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let mut not_yet = client_params("client");
    not_yet.not_before = rcgen::date_time_ymd(2080, 1, 1);
    let elliptic = KeyPair::generate().unwrap();
    let cases = [
        (make(&authority, &RSA_KEY), "certificate authority"),
        (
            make(&server_only, &RSA_KEY),
            "does not allow client authentication",
        ),
        (make(&no_signatures, &RSA_KEY), "does not allow signatures"),
        (make(&not_yet, &RSA_KEY), "not valid before 2080-01-01"),
        (make(&client_params("client"), &elliptic), "its key is EC P-256"),
        (short_rsa(), "its RSA key has 1024 bits"),
    ];
    for (made, reason) in cases {
        let record = TestRecord::open().await;
        let installed = import(&record, &pfx(&made, "code"), "code").await.unwrap();
        let told = installed.unusable_because(now_ms()).unwrap().to_string();
        assert!(told.contains(reason), "{told}");
        let error = record
            .certificates()
            .identity(&installed.thumbprint)
            .await
            .unwrap_err();
        assert!(matches!(error, IdentityError::Unusable(_)), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

fn short_rsa() -> Made {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    openssl(
        path,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "leaf.pem",
            "-subj",
            "/CN=client",
            "-days",
            "9",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let read = |name| std::fs::read_to_string(path.join(name)).unwrap();
    Made {
        key: read("key.pem"),
        leaf: read("leaf.pem"),
        leaf_der: Vec::new(),
        chain: String::new(),
        chain_der: Vec::new(),
    }
}

#[tokio::test]
async fn names_in_a_certificate_can_not_steer_a_terminal() {
    let mut params = client_params("client");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "a\u{1b}[2Jb");
    let record = TestRecord::open().await;
    let installed = import(&record, &pfx(&make(&params, &RSA_KEY), "code"), "code")
        .await
        .unwrap();
    assert_eq!(installed.subject, "CN=a\u{fffd}[2Jb");
}

#[tokio::test]
async fn a_certificate_in_use_is_not_removed_and_one_that_is_not_is() {
    let record = TestRecord::open().await;
    let thumbprint = import(&record, &pfx(&good(), "code"), "code")
        .await
        .unwrap()
        .thumbprint;
    let instance = ready_instance(&record, "esd greece", Some(thumbprint)).await;
    let error = record
        .certificates()
        .remove(&thumbprint, &actor())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RemoveError::InUse { instances, .. } if instances == &["esd greece"]),
        "{error:?}"
    );
    assert_eq!(
        record.certificates().used_by().await.unwrap(),
        BTreeMap::from([(thumbprint, vec!["esd greece".to_owned()])])
    );

    record
        .save_settings(instance.id, instance.version, settings(None), &actor())
        .await
        .unwrap();
    assert_eq!(record.certificates().used_by().await.unwrap(), BTreeMap::new());
    record.certificates().remove(&thumbprint, &actor()).await.unwrap();
    assert_eq!(record.certificates().get(&thumbprint).await.unwrap(), None);
    let error = record.certificates().identity(&thumbprint).await.unwrap_err();
    assert!(matches!(error, IdentityError::NotInstalled { .. }), "{error:?}");
    let error = record
        .certificates()
        .remove(&thumbprint, &actor())
        .await
        .unwrap_err();
    assert!(matches!(error, RemoveError::NotInstalled { .. }), "{error:?}");
}

#[tokio::test]
async fn a_removed_private_key_is_in_no_file_not_even_sealed() {
    let record = TestRecord::on_sqlite().await;
    let mut installed = Vec::new();
    for name in ["one", "two", "three"] {
        let file = pfx(&make(&client_params(name), &RSA_KEY), "code");
        installed.push(import(&record, &file, "code").await.unwrap().thumbprint);
    }
    let mut sealed = Vec::new();
    for thumbprint in &installed {
        let key = format!("SELECT sealed_private_key FROM certificates WHERE thumbprint = '{thumbprint}'");
        sealed.push(record.database().value::<Vec<u8>>(&key).await);
    }
    // Some from the middle and the end too: a page that was freed begins with a number of SQLite's own.
    let pieces = |blob: &[u8]| [0, blob.len() / 2, blob.len() - 40].map(|at| blob[at..at + 40].to_vec());
    let found = |blob: &[u8]| {
        let files = files_of(record.path());
        let in_files = |piece: &Vec<u8>| files.iter().any(|(_, bytes)| contains(bytes, piece));
        pieces(blob).iter().filter(|piece| in_files(piece)).count()
    };
    assert_eq!(found(&sealed[1]), 3);
    record
        .certificates()
        .remove(&installed[1], &actor())
        .await
        .unwrap();
    assert_eq!(found(&sealed[1]), 0);
    for kept in [0, 2] {
        assert_eq!(found(&sealed[kept]), 3, "the others stay");
        record.certificates().identity(&installed[kept]).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_secret_is_in_clear_in_the_data_directory_or_in_debug_output() {
    let made = good();
    let code = "the code of the file";
    let record = TestRecord::open().await;
    let file = pfx_with(&made, code, &["-certfile", "chain.pem"]);
    let installed = import(&record, &file, code).await.unwrap();
    let identity = record
        .certificates()
        .identity(&installed.thumbprint)
        .await
        .unwrap();

    let der = RSA_KEY.serialize_der();
    // The innermost bytes of the key, which no other wrapping hides; the file's last bytes are its MAC.
    let private_exponent = &der[der.len() / 3..der.len() / 3 + 48];
    let body: String = made.key.lines().filter(|line| !line.starts_with('-')).collect();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("PFX", file[file.len() - 60..].to_vec()),
        ("PFX", file[100..160].to_vec()),
        ("code", code.as_bytes().to_vec()),
        ("code", code.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("key", der[..48].to_vec()),
        ("key", private_exponent.to_vec()),
        (
            "PEM body",
            body.as_bytes()[body.len() / 2..body.len() / 2 + 60].to_vec(),
        ),
        (
            "base64",
            data_encoding::BASE64.encode(private_exponent).into_bytes(),
        ),
        (
            "hex",
            data_encoding::HEXLOWER.encode(private_exponent).into_bytes(),
        ),
    ];
    let debug = format!(
        "{identity:?} {:?} {:?} {installed:?}",
        PfxCode::new(code),
        *record
    );
    let mut places = record.all_written().await;
    // The search must find what is there in clear.
    let clear = |needle: &[u8]| places.iter().any(|(_, bytes)| contains(bytes, needle));
    assert!(clear(&made.leaf_der[..48]), "the certificate itself is public");
    places.push(("Debug".to_owned(), debug.into_bytes()));
    for (place, bytes) in &places {
        for (what, secret) in &secrets {
            assert!(!contains(bytes, secret), "{what} in {place}");
        }
    }
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

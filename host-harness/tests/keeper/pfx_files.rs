//! PFX files in the forms that programs of the world write them: read where Windows, OpenSSL and Java read them, and with no
//! other code and no bit changed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::Command;

use bss_keys::{Caution, FileKind, InspectError, PfxCode, PfxError, UnusableReason, inspect_pfx};
use bss_model::{Diagnose as _, Thumbprint};
use bss_record::{ImportError, ImportedCertificate};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

use crate::certificate_store::{import, now_ms, refusal};
use crate::certificates::{Made, RSA_KEY, client_params, good, make, openssl, pfx, pfx_with};
use crate::pfx_writer::{
    self, Pbmac1, auth_safe, ber, certificate_bag, file, key_bag, octets, other_certificate_bag, rsa_numbers,
    rsa_pkcs8, with_ber_inside,
};
use crate::record::{TestRecord, actor};

const CODE: &str = "Secret-1";

/// Imports a file into a record of its own.
async fn imported(file: &[u8], code: &str) -> Result<ImportedCertificate, ImportError> {
    let record = TestRecord::open().await;
    record
        .certificates()
        .import(file, &PfxCode::new(code), &actor())
        .await
}

/// Checks that a file installs a certificate that can be used, and with no other code.
async fn opens(kind: &str, file: &[u8], code: &str, leaf: &[u8]) -> ImportedCertificate {
    let imported = self::imported(file, code).await.expect(kind);
    assert_eq!(imported.installed.thumbprint, Thumbprint::of(leaf), "{kind}");
    assert_eq!(imported.installed.unusable_because(now_ms()), None, "{kind}");
    for other in [format!("{code} "), format!("{code}ä"), String::from("x")] {
        let error = self::imported(file, &other).await.expect_err(kind);
        assert!(
            matches!(
                error,
                ImportError::Inspect(InspectError::Pfx(PfxError::WrongCode))
            ),
            "{kind}: {error:?}"
        );
    }
    imported
}

fn advice(error: &ImportError) -> String {
    error.diagnosis().advice.unwrap().sentence().into_owned()
}

#[tokio::test]
async fn files_in_ber_are_read_whatever_of_them_is() {
    let made = good();
    let der = pfx_with(&made, CODE, &["-certfile", "chain.pem"]);
    for (kind, file) in [
        ("outside, whole", ber(&der, 1, usize::MAX)),
        ("outside, three levels", ber(&der, 3, usize::MAX)),
        ("outside in chunks, under the MAC of the DER", ber(&der, 9, 1000)),
        ("inside", with_ber_inside(&der, CODE)),
        ("outside and inside", ber(&with_ber_inside(&der, CODE), 9, 100)),
    ] {
        assert_ne!(file, der, "{kind}");
        let imported = opens(kind, &file, CODE, &made.leaf_der).await;
        assert_eq!(imported.installed.chain, 2, "{kind}");
        assert_eq!(imported.cautions, [], "{kind}");
    }
}

#[tokio::test]
async fn openssl_reads_our_ber_as_we_do() {
    let made = good();
    let file = ber(&pfx(&made, CODE), 9, 1000);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ber.pfx"), &file).unwrap();
    let code = format!("pass:{CODE}");
    let told = openssl(
        directory.path(),
        &["pkcs12", "-in", "ber.pfx", "-passin", &code, "-nodes", "-nokeys"],
    );
    let line = made.leaf.lines().nth(2).unwrap();
    assert!(String::from_utf8_lossy(&told).contains(line));
}

#[tokio::test]
async fn bytes_behind_the_end_make_no_difference() {
    let made = good();
    let der = pfx(&made, CODE);
    let until_1024 = vec![0; der.len().next_multiple_of(1024) - der.len()];
    for behind in [&[0; 8][..], b"\n", b"\r\n", &until_1024, b"anything"] {
        for file in [der.clone(), ber(&der, 3, 1000)] {
            opens("behind", &[&file[..], behind].concat(), CODE, &made.leaf_der).await;
        }
    }
}

#[tokio::test]
async fn pbes2_is_read_with_every_cipher_of_openssl_and_windows() {
    let made = good();
    for cipher in [
        "DES-EDE3-CBC",
        "RC2-CBC",
        "RC2-40-CBC",
        "RC2-64-CBC",
        "AES-128-CBC",
    ] {
        let options = ["-legacy", "-keypbe", cipher, "-certpbe", cipher];
        opens(cipher, &pfx_with(&made, CODE, &options), CODE, &made.leaf_der).await;
    }
    let two_keys = [
        "-legacy",
        "-keypbe",
        "PBE-SHA1-2DES",
        "-certpbe",
        "PBE-SHA1-2DES",
        "-macalg",
        "sha1",
    ];
    opens(
        "3DES with two keys",
        &pfx_with(&made, CODE, &two_keys),
        CODE,
        &made.leaf_der,
    )
    .await;
    let sha224 = pfx_with(&made, CODE, &["-macalg", "sha224"]);
    opens("a MAC of SHA-224", &sha224, CODE, &made.leaf_der).await;
}

#[tokio::test]
async fn a_pbmac1_is_verified_by_its_own_parameters() {
    let made = good();
    let safe = auth_safe(&[key_bag(&RSA_KEY.serialize_der()), certificate_bag(&made.leaf_der)]);
    let right = Pbmac1::default();
    let pfx = |told: &Pbmac1| file(&safe, &right.mac(told, CODE, &safe));
    for code in [CODE, "κωδικός", ""] {
        let pfx = file(&safe, &right.mac(&right, code, &safe));
        let imported = imported(&pfx, code).await.unwrap();
        assert_eq!(imported.installed.thumbprint, Thumbprint::of(&made.leaf_der));
        assert_eq!(imported.cautions, []);
    }
    opens("PBMAC1", &pfx(&right), CODE, &made.leaf_der).await;
    // RFC 9579, section 4 and appendix A: these are not to be taken.
    let told = |change: fn(&mut Pbmac1)| {
        let mut told = Pbmac1::default();
        change(&mut told);
        told
    };
    for (wrong, expected) in [
        (told(|told| told.iterations = 2047), "wrong-code"),
        (told(|told| told.salt = b"b salt 4".to_vec()), "wrong-code"),
        (told(|told| told.key_bytes = None), "pfx-damaged"),
        (told(|told| told.key_bytes = Some(64)), "wrong-code"),
        (told(|told| told.iterations = 1_000_001), "too-many-iterations"),
    ] {
        let error = imported(&pfx(&wrong), CODE).await.unwrap_err();
        assert_eq!(error.diagnosis().code, expected, "{error:?}");
    }
    let short = told(|told| told.key_bytes = Some(16));
    let error = imported(&file(&safe, &short.mac(&short, CODE, &safe)), CODE)
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().code, "pfx-damaged");
}

#[tokio::test]
async fn a_file_without_mac_is_read_with_a_warning() {
    let made = good();
    for options in [
        &["-nomac"][..],
        &["-nomac", "-legacy"],
        &["-nomac", "-certfile", "chain.pem", "-keypbe", "PBE-SHA1-3DES"],
    ] {
        let imported = opens(
            &options.join(" "),
            &pfx_with(&made, CODE, options),
            CODE,
            &made.leaf_der,
        )
        .await;
        assert_eq!(imported.cautions, [Caution::NoMac]);
    }
    let in_clear = pfx_with(&made, "", &["-nomac", "-keypbe", "NONE", "-certpbe", "NONE"]);
    let imported = imported(&in_clear, "").await.unwrap();
    assert_eq!(imported.cautions, [Caution::NoMac]);
    let empty_code = pfx_with(&made, "", &["-nomac", "-legacy"]);
    assert!(self::imported(&empty_code, "").await.is_ok());
}

#[tokio::test]
async fn of_a_certificate_that_no_mac_protects_the_issuer_s_signature_shows_a_change() {
    let made = good();
    let options = [
        "-nomac",
        "-keypbe",
        "NONE",
        "-certpbe",
        "NONE",
        "-certfile",
        "chain.pem",
    ];
    let file = pfx_with(&made, "", &options);
    let name = b"client.example.test";
    let at = file
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    let mut altered = file.clone();
    altered[at] = b'k';
    assert!(imported(&file, "").await.is_ok());
    let error = refusal(&altered, "").await;
    assert_eq!(error.diagnosis().code, "certificate-altered", "{error:?}");
}

/// A file without MAC of a certificate that openssl's authority of a kind has signed in a way.
fn bare_file_of_authority(key: &[&str], signing: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("key.pem"), RSA_KEY.serialize_pem()).unwrap();
    let root = [
        "req", "-x509", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=root",
    ];
    openssl(path, &[&root[..], &["-newkey"], key].concat());
    let name = "/CN=client.example.test";
    openssl(
        path,
        &[
            "req",
            "-new",
            "-key",
            "key.pem",
            "-subj",
            name,
            "-out",
            "request.pem",
        ],
    );
    let sign = [
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
    ];
    let leaf = openssl(path, &[&sign[..], &["-CAcreateserial"], signing].concat());
    let made = Made {
        leaf: String::from_utf8(leaf).unwrap(),
        chain: std::fs::read_to_string(path.join("ca.pem")).unwrap(),
        ..good()
    };
    let in_clear = [
        "-nomac",
        "-keypbe",
        "NONE",
        "-certpbe",
        "NONE",
        "-certfile",
        "chain.pem",
    ];
    pfx_with(&made, "", &in_clear)
}

#[tokio::test]
async fn a_signature_of_a_kind_that_is_not_known_here_is_taken_for_no_change() {
    let brainpool = &["ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"][..];
    let pss = |salt| ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", salt];
    let name = b"client.example.test";
    for (key, signing, is_known) in [
        (brainpool, &["-sha256"][..], false),
        (&["rsa:2048"], &pss("rsa_pss_saltlen:max"), false),
        (&["rsa:2048"], &pss("rsa_pss_saltlen:32"), true),
        (&["rsa:2048"], &["-sha256"], true),
    ] {
        let file = bare_file_of_authority(key, signing);
        let taken = imported(&file, "").await;
        assert!(taken.is_ok(), "{key:?} {signing:?}: {taken:?}");
        let mut altered = file.clone();
        let at = file
            .windows(name.len())
            .position(|window| window == name)
            .unwrap();
        altered[at] = b'k';
        let code = imported(&altered, "")
            .await
            .err()
            .map(|error| error.diagnosis().code.into_owned());
        assert_eq!(
            code.as_deref(),
            is_known.then_some("certificate-altered"),
            "{key:?} {signing:?}"
        );
    }
}

#[tokio::test]
async fn every_changed_bit_of_a_self_signed_certificate_without_mac_is_noticed_where_it_names_itself() {
    let certificate = self_signed(|_| {});
    let thumbprint = Thumbprint::of(&certificate);
    // The first octet has the class beside the number of the type, which some readers pass over.
    let whole_octet = (1..=255_u8).map(|change| (0, change));
    let one_bit = (0..certificate.len()).map(|index| (index, 1));
    for (index, change) in whole_octet.chain(one_bit) {
        let mut altered = certificate.clone();
        altered[index] ^= change;
        let safe = auth_safe(&[key_bag(&RSA_KEY.serialize_der()), certificate_bag(&altered)]);
        let inspected = inspect_pfx(&file(&safe, &[]), &PfxCode::new(CODE)).await;
        // A changed name of the issuer makes it another one's, whose certificate is not there.
        if let Ok(inspected) = inspected {
            assert_ne!(inspected.thumbprint, thumbprint);
            assert!(
                inspected.cautions.contains(&Caution::ChainIncomplete),
                "byte {index} changed by {change:#x}"
            );
        }
    }
}

#[tokio::test]
async fn base64_of_a_file_is_read_in_the_form_in_which_key_vaults_and_certutil_write_it() {
    let made = good();
    let der = pfx(&made, CODE);
    let line = data_encoding::BASE64.encode(&der);
    let wrapped: String = line
        .as_bytes()
        .chunks(64)
        .map(|part| format!("{}\r\n", String::from_utf8_lossy(part)))
        .collect();
    let utf16 = |text: &str| {
        [0xfeff]
            .into_iter()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
    };
    let pem = |label: &str| format!("-----BEGIN {label}-----\r\n{wrapped}-----END {label}-----\r\n");
    for (kind, text) in [
        ("one line", line.clone().into_bytes()),
        ("a line end behind", format!("{line}\n").into_bytes()),
        ("byte order mark", format!("\u{feff}{line}").into_bytes()),
        ("wrapped", wrapped.clone().into_bytes()),
        ("UTF-16", utf16(&line)),
        ("in quotes", format!("\"{line}\"").into_bytes()),
        ("certutil -encode", pem("CERTIFICATE").into_bytes()),
        ("PEM of a PFX file", pem("PKCS12").into_bytes()),
        ("PEM in UTF-16", utf16(&pem("PKCS12"))),
    ] {
        opens(kind, &text, CODE, &made.leaf_der).await;
    }
}

#[tokio::test]
async fn another_file_is_called_what_it_is_with_what_to_do() {
    let made = good();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("leaf.pem"), &made.leaf).unwrap();
    std::fs::write(path.join("key.pem"), &made.key).unwrap();
    let p7b = |form: &str| {
        openssl(
            path,
            &["crl2pkcs7", "-nocrl", "-certfile", "leaf.pem", "-outform", form],
        )
    };
    let key = |arguments: &[&str]| {
        openssl(
            path,
            &[&["pkcs8", "-topk8", "-in", "key.pem"], arguments].concat(),
        )
    };
    let both = format!("{}{}", made.key, made.leaf).into_bytes();
    let html = b"\r\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n";
    let request = openssl(
        path,
        &[
            "req", "-new", "-key", "key.pem", "-subj", "/CN=a", "-outform", "DER",
        ],
    );
    let cases = [
        (Vec::new(), FileKind::Empty, "again"),
        (b"\r\n ".to_vec(), FileKind::Empty, "again"),
        (html.to_vec(), FileKind::WebPage, "again"),
        (
            b"{\"value\": \"MII\"}".to_vec(),
            FileKind::Json,
            "--query value -o tsv",
        ),
        (made.leaf_der.clone(), FileKind::Certificate, "private key is"),
        (
            made.leaf.clone().into_bytes(),
            FileKind::Certificate,
            "private key is",
        ),
        (p7b("DER"), FileKind::Certificates, "private key is"),
        (p7b("PEM"), FileKind::Certificates, "private key is"),
        (request, FileKind::Request, "authority"),
        (made.key.clone().into_bytes(), FileKind::PrivateKey, "-inkey"),
        (RSA_KEY.serialize_der(), FileKind::PrivateKey, "-inkey"),
        (
            openssl(
                path,
                &["rsa", "-in", "key.pem", "-traditional", "-outform", "DER"],
            ),
            FileKind::PrivateKey,
            "-inkey",
        ),
        (
            key(&["-outform", "DER", "-passout", "pass:a"]),
            FileKind::PrivateKey,
            "-inkey",
        ),
        (key(&["-passout", "pass:a"]), FileKind::PrivateKey, "-inkey"),
        (
            both.clone(),
            FileKind::KeyAndCertificate,
            "openssl pkcs12 -export",
        ),
        (
            [b"\xef\xbb\xbf", &both[..]].concat(),
            FileKind::KeyAndCertificate,
            "openssl pkcs12 -export",
        ),
        (
            b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01".to_vec(),
            FileKind::JavaKeyStore,
            "keytool",
        ),
        (
            b"\xce\xce\xce\xce\0\0\0\x02\0\0\0\x01".to_vec(),
            FileKind::JavaKeyStore,
            "keytool",
        ),
        (
            (0..1000_u32).map(|i| (i * i % 251) as u8).collect(),
            FileKind::Unknown,
            "export",
        ),
        (
            b"-----BEGIN CERTIFICATE-----".to_vec(),
            FileKind::Unknown,
            "export",
        ),
    ];
    for (file, expected, hint) in cases {
        let error = refusal(&file, CODE).await;
        let advice = advice(&error);
        assert!(
            matches!(error, ImportError::Inspect(InspectError::Pfx(PfxError::NotAPfx { kind })) if kind == expected),
            "{expected:?}: {error:?}"
        );
        assert!(advice.contains(hint), "{expected:?}: {advice}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_no_longer_binary_is_said_to_be_damaged() {
    let der = pfx(&good(), CODE);
    let with_line_ends: Vec<u8> = der
        .iter()
        .flat_map(|byte| {
            if *byte == b'\n' {
                vec![b'\r', b'\n']
            } else {
                vec![*byte]
            }
        })
        .collect();
    for file in [
        &der[..der.len() - 1],
        &der[..100],
        &with_line_ends,
        &[0x30, 0x80, 0x02, 0x01, 0x03],
    ] {
        let code = refusal(file, CODE).await.diagnosis().code;
        assert!(["pfx-damaged", "wrong-code"].contains(&&*code), "{code}");
    }
}

#[tokio::test]
async fn no_code_at_all_is_told_from_a_wrong_one() {
    let made = good();
    for options in [&[][..], &["-legacy"], &["-nomac"]] {
        let file = pfx_with(&made, CODE, options);
        let error = refusal(&file, "").await;
        assert!(
            matches!(error, ImportError::Inspect(InspectError::Pfx(PfxError::NoCode))),
            "{error:?}"
        );
        assert!(advice(&error).contains("give the code"));
    }
}

#[tokio::test]
async fn a_file_for_a_group_of_windows_users_is_said_to_be_one() {
    // The secret that has the encrypted password, as `wincrypt.h` names it, beside a key under a password that nobody knows.
    let secret = pfx_writer::bag(
        "1.2.840.113549.1.12.10.1.5",
        &pfx_writer::sequence(&[
            &pfx_writer::oid("1.3.6.1.4.1.311.17.4"),
            &pfx_writer::value(0xa0, &octets(b"?")),
        ]),
    );
    let error = refusal(
        &pfx_writer::pfx(&[secret, key_bag(&RSA_KEY.serialize_der())], "unknown"),
        CODE,
    )
    .await;
    assert!(
        matches!(
            error,
            ImportError::Inspect(InspectError::Pfx(PfxError::ForWindowsGroup))
        ),
        "{error:?}"
    );
    assert!(advice(&error).contains("password in place of the group"));
}

#[tokio::test]
async fn codes_with_other_letters_open_files_of_every_spelling() {
    let made = good();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key.pem"), &made.key).unwrap();
    std::fs::write(directory.path().join("leaf.pem"), &made.leaf).unwrap();
    let made_with = |code: Vec<u8>, options: &[&str]| {
        let mut pass = OsString::from("pass:");
        pass.push(OsString::from_vec(code));
        let status = Command::new("openssl")
            .args([
                "pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem", "-out", "out.pfx",
            ])
            .args(options)
            .arg("-passout")
            .arg(pass)
            .current_dir(directory.path())
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(directory.path().join("out.pfx")).unwrap()
    };
    let code = "Pässwörd";
    // OpenSSL 1.0 took each byte of UTF-8 for a character; today's does so with characters that are these bytes.
    let byte_by_byte: String = code.bytes().map(char::from).collect();
    let latin1: Vec<u8> = code.chars().map(|c| u8::try_from(c).unwrap()).collect();
    for (kind, file) in [
        (
            "OpenSSL 1.0 in UTF-8",
            made_with(byte_by_byte.into_bytes(), &["-legacy"]),
        ),
        ("Latin-1 in PBES2", made_with(latin1.clone(), &[])),
        ("Latin-1, older algorithms", made_with(latin1, &["-legacy"])),
        ("the standard's", made_with(code.into(), &[])),
    ] {
        opens(kind, &file, code, &made.leaf_der).await;
        for other in ["Passwort", "Pässword", "passwörd"] {
            let error = imported(&file, other).await.unwrap_err();
            assert_eq!(error.diagnosis().code, "wrong-code", "{kind}");
        }
    }
}

/// A certificate of the one RSA key, issued by the usual authorities or by itself.
fn of_one_key(change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut params = client_params("client");
    change(&mut params);
    make(&params, &RSA_KEY)
}

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = client_params("client");
    change(&mut params);
    params.self_signed(&*RSA_KEY).unwrap().der().to_vec()
}

#[tokio::test]
async fn of_several_certificates_for_one_key_the_usable_one_is_taken_whatever_stands_first() {
    let good = good();
    let expired = of_one_key(|params| params.not_after = rcgen::date_time_ymd(2022, 1, 1)).leaf_der;
    let future = of_one_key(|params| params.not_before = rcgen::date_time_ymd(2080, 1, 1)).leaf_der;
    let server_only = of_one_key(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    })
    .leaf_der;
    let placeholder = self_signed(|_| {});
    let own_authority = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let earlier = of_one_key(|params| params.not_before = rcgen::date_time_ymd(2019, 1, 1)).leaf_der;
    for other in [expired, future, server_only, placeholder, own_authority, earlier] {
        for order in [[&other, &good.leaf_der], [&good.leaf_der, &other]] {
            let bags: Vec<_> = order.iter().map(|der| certificate_bag(der)).collect();
            let file = pfx_writer::pfx(&[&[key_bag(&RSA_KEY.serialize_der())], &bags[..]].concat(), CODE);
            let imported = opens("one of two", &file, CODE, &good.leaf_der).await;
            let thumbprint = Thumbprint::of(&other);
            assert!(
                matches!(&imported.cautions[..], [Caution::OtherCertificate { thumbprint: told, .. }] if *told == thumbprint),
                "{:?}",
                imported.cautions
            );
        }
    }
}

#[tokio::test]
async fn what_only_claims_to_be_a_certificate_is_left_out() {
    let made = good();
    let key = key_bag(&RSA_KEY.serialize_der());
    let right = certificate_bag(&made.leaf_der);
    let garbage = certificate_bag(b"not a certificate at all");
    let sdsi = other_certificate_bag("1.2.840.113549.1.9.22.2", b"(certificate)");
    let file = pfx_writer::pfx(&[garbage.clone(), sdsi.clone(), key.clone(), right], CODE);
    let imported = opens("beside", &file, CODE, &made.leaf_der).await;
    assert_eq!(imported.cautions, [Caution::Unreadable { count: 1 }]);
    let error = refusal(&pfx_writer::pfx(&[garbage, key.clone()], CODE), CODE).await;
    assert_eq!(error.diagnosis().code, "certificate-unreadable", "{error:?}");
    let error = refusal(&pfx_writer::pfx(&[sdsi, key], CODE), CODE).await;
    assert_eq!(error.diagnosis().code, "no-certificate-in-file", "{error:?}");
}

#[tokio::test]
async fn bags_within_bags_are_read() {
    let made = good();
    let inner = pfx_writer::sequence(&[
        &key_bag(&RSA_KEY.serialize_der()),
        &certificate_bag(&made.leaf_der),
    ]);
    let nested = pfx_writer::bag("1.2.840.113549.1.12.10.1.6", &inner);
    opens("nested", &pfx_writer::pfx(&[nested], CODE), CODE, &made.leaf_der).await;
    let mut deep = certificate_bag(&made.leaf_der);
    for _ in 0..200 {
        deep = pfx_writer::bag("1.2.840.113549.1.12.10.1.6", &pfx_writer::sequence(&[&deep]));
    }
    let error = refusal(&pfx_writer::pfx(&[deep], CODE), CODE).await;
    assert_eq!(error.diagnosis().code, "pfx-damaged", "{error:?}");
}

#[tokio::test]
async fn one_key_twice_is_one_key_also_where_one_of_the_two_has_attributes() {
    let made = good();
    let numbers = rsa_numbers(&RSA_KEY);
    let null = [0x05, 0];
    // The key usage that Windows keeps with a key.
    let attributes = pfx_writer::value(
        0xa0,
        &pfx_writer::sequence(&[
            &pfx_writer::oid("2.5.29.15"),
            &pfx_writer::value(0x31, &[0x03, 2, 0, 0x10]),
        ]),
    );
    let plain = key_bag(&rsa_pkcs8(&numbers, &null, &[]));
    let with_attributes = key_bag(&rsa_pkcs8(&numbers, &null, &attributes));
    let certificate = certificate_bag(&made.leaf_der);
    for keys in [
        [&plain, &plain],
        [&plain, &with_attributes],
        [&with_attributes, &plain],
    ] {
        let bags = [keys[0].clone(), keys[1].clone(), certificate.clone()];
        opens("twice", &pfx_writer::pfx(&bags, CODE), CODE, &made.leaf_der).await;
    }
    let other = key_bag(
        &KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
            .unwrap()
            .serialize_der(),
    );
    let error = refusal(&pfx_writer::pfx(&[plain, other, certificate], CODE), CODE).await;
    assert_eq!(error.diagnosis().code, "several-private-keys", "{error:?}");
}

#[tokio::test]
async fn a_key_in_a_form_that_others_take_is_made_usable() {
    let made = good();
    let numbers = rsa_numbers(&RSA_KEY);
    let zeros: Vec<_> = numbers
        .iter()
        .map(|number| [&[0, 0], &number[..]].concat())
        .collect();
    let without_sign: Vec<_> = numbers
        .iter()
        .map(|number| {
            number
                .strip_prefix(&[0])
                .filter(|n| !n.is_empty())
                .unwrap_or(number)
                .to_vec()
        })
        .collect();
    let null = [0x05, 0];
    for (kind, key) in [
        ("no NULL", rsa_pkcs8(&numbers, &[], &[])),
        ("zeros in front", rsa_pkcs8(&zeros, &null, &[])),
        ("negative numbers", rsa_pkcs8(&without_sign, &null, &[])),
        ("BER", ber(&rsa_pkcs8(&numbers, &null, &[]), 3, 100)),
    ] {
        let file = pfx_writer::pfx(&[key_bag(&key), certificate_bag(&made.leaf_der)], CODE);
        let record = TestRecord::open().await;
        let installed = import(&record, &file, CODE)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        let identity = record
            .certificates()
            .identity(&installed.thumbprint)
            .await
            .unwrap();
        identity
            .sign(bss_keys::SignatureAlgorithm::Ps256, b"message")
            .unwrap();
    }
}

#[tokio::test]
async fn a_key_that_nothing_can_be_signed_with_is_refused_at_its_import() {
    let made = good();
    let numbers = rsa_numbers(&RSA_KEY);
    let changed = |change: fn(&mut Vec<Vec<u8>>)| {
        let mut numbers = numbers.clone();
        change(&mut numbers);
        rsa_pkcs8(&numbers, &[0x05, 0], &[])
    };
    for key in [
        // Modulus and exponents alone.
        changed(|numbers| numbers[4..].fill(vec![0])),
        changed(|numbers| numbers.swap(4, 6)),
        changed(|numbers| numbers[8][20] ^= 1),
        changed(|numbers| numbers[3][20] ^= 1),
    ] {
        let file = pfx_writer::pfx(&[key_bag(&key), certificate_bag(&made.leaf_der)], CODE);
        let error = refusal(&file, CODE).await;
        assert_eq!(error.diagnosis().code, "private-key-unusable", "{error:?}");
        assert!(advice(&error).contains("new key"));
    }
}

#[tokio::test]
async fn an_authority_that_is_there_twice_does_not_break_the_chain() {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let [root, absent] = ["root", "absent"].map(|name| {
        rcgen::CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
    });
    // The way that leads nowhere is the longer one.
    let signed_by = |name: &str, issuer: &rcgen::CertifiedIssuer<'static, KeyPair>| {
        rcgen::CertifiedIssuer::signed_by(authority(name), KeyPair::generate().unwrap(), issuer).unwrap()
    };
    let farther = signed_by("farther", &absent);
    let far = signed_by("far", &farther);
    let key = KeyPair::generate().unwrap();
    let by_absent = authority("intermediate").signed_by(&key, &far).unwrap();
    let by_root = authority("intermediate").signed_by(&key, &root).unwrap();
    let intermediate = rcgen::Issuer::new(authority("intermediate"), key);
    let leaf = client_params("client")
        .signed_by(&*RSA_KEY, &intermediate)
        .unwrap();
    let certificates = [
        by_absent.der(),
        far.der(),
        farther.der(),
        leaf.der(),
        by_root.der(),
        root.der(),
    ];
    let mut bags: Vec<_> = certificates.iter().map(|der| certificate_bag(der)).collect();
    bags.push(key_bag(&RSA_KEY.serialize_der()));
    let imported = imported(&pfx_writer::pfx(&bags, CODE), CODE).await.unwrap();
    assert_eq!(
        (imported.installed.chain, imported.installed.chain_complete),
        (2, true)
    );
}

/// The PFX file, by openssl, of the key and the certificate that it has left in a folder.
fn exported(folder: &Path) -> Vec<u8> {
    let export = [
        "pkcs12",
        "-export",
        "-inkey",
        "key.pem",
        "-in",
        "c.pem",
        "-passout",
        "pass:Secret-1",
        "-out",
        "c.pfx",
    ];
    openssl(folder, &export);
    std::fs::read(folder.join("c.pfx")).unwrap()
}

#[tokio::test]
async fn a_self_signed_certificate_that_calls_itself_an_authority_is_usable_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // As tutorials have it, and without a word about basicConstraints.
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "c.pem", "-subj",
        "/CN=x",
    ];
    openssl(path, &request);
    let file = exported(path);
    let installed = imported(&file, CODE).await.unwrap().installed;
    assert!(installed.is_authority && installed.is_self_issued);
    assert_eq!(installed.unusable_because(now_ms()), None);
    assert_eq!(installed.cautions(), [Caution::OwnAuthority]);

    let sign_only_certificates = self_signed(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    });
    let file = pfx_writer::pfx(
        &[
            key_bag(&RSA_KEY.serialize_der()),
            certificate_bag(&sign_only_certificates),
        ],
        CODE,
    );
    let installed = imported(&file, CODE).await.unwrap().installed;
    assert_eq!(
        installed.unusable_because(now_ms()),
        Some(UnusableReason::NotForSignatures)
    );
    let issued = of_one_key(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let installed = imported(&pfx(&issued, CODE), CODE).await.unwrap().installed;
    assert_eq!(
        installed.unusable_because(now_ms()),
        Some(UnusableReason::Authority)
    );
}

#[tokio::test]
async fn a_key_limited_to_rsassa_pss_is_refused_with_what_is_needed_instead() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = [
        "genpkey",
        "-algorithm",
        "RSA-PSS",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        "key.pem",
    ];
    openssl(path, &key);
    openssl(
        path,
        &[
            "req", "-x509", "-key", "key.pem", "-out", "c.pem", "-subj", "/CN=x",
        ],
    );
    let error = refusal(&exported(path), CODE).await;
    assert!(error.to_string().contains("RSASSA-PSS"), "{error}");
    assert!(advice(&error).contains("rsaEncryption"), "{}", advice(&error));
}

#[tokio::test]
async fn odd_names_and_dates_are_told_as_they_are_meant() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("key.pem"), RSA_KEY.serialize_pem()).unwrap();
    let config =
        "[req]\ndistinguished_name=d\nstring_mask=MASK:0x4\nprompt=no\nutf8=yes\n[d]\nO=Müller GmbH\nCN=x\n";
    std::fs::write(path.join("t61.cnf"), config).unwrap();
    openssl(
        path,
        &[
            "req", "-x509", "-key", "key.pem", "-out", "c.pem", "-days", "9", "-config", "t61.cnf",
        ],
    );
    let der = openssl(path, &["x509", "-in", "c.pem", "-outform", "DER"]);
    assert!(
        der.windows(7).any(|window| window == b"\x14\x0bM\xfclle"),
        "it is T61String"
    );
    let file = pfx_writer::pfx(&[key_bag(&RSA_KEY.serialize_der()), certificate_bag(&der)], CODE);
    let installed = imported(&file, CODE).await.unwrap().installed;
    assert_eq!(installed.subject, "O=Müller GmbH, CN=x");
    assert_eq!(installed.issuer, installed.subject);

    let endless = self_signed(|params| {
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "evil\u{202e}txt.exe");
    });
    let file = pfx_writer::pfx(
        &[key_bag(&RSA_KEY.serialize_der()), certificate_bag(&endless)],
        CODE,
    );
    let installed = imported(&file, CODE).await.unwrap().installed;
    assert!(
        installed.subject.contains("evil\u{fffd}txt.exe"),
        "{}",
        installed.subject
    );
    assert_eq!(
        bss_model::clock::rfc3339(installed.not_after_ms),
        "9999-12-31T00:00:00Z"
    );
    let inspected = inspect_pfx(&file, &PfxCode::new(CODE)).await.unwrap();
    assert_eq!(inspected.unusable_because, None);
}

/// Files that must open with their code, and with nothing changed.
fn good_files(made: &Made) -> Vec<(&'static str, Vec<u8>)> {
    let der = pfx(made, CODE);
    let self_signed = self_signed(|_| {});
    let safe = auth_safe(&[key_bag(&RSA_KEY.serialize_der()), certificate_bag(&self_signed)]);
    vec![
        ("modern", der.clone()),
        ("legacy", pfx_with(made, CODE, &["-legacy"])),
        ("BER", ber(&der, 9, 200)),
        ("BER inside", with_ber_inside(&der, CODE)),
        (
            "PBES2 with 3DES",
            pfx_with(
                made,
                CODE,
                &["-keypbe", "DES-EDE3-CBC", "-certpbe", "DES-EDE3-CBC"],
            ),
        ),
        ("base64", data_encoding::BASE64.encode(&der).into_bytes()),
        (
            "no MAC",
            pfx_with(made, CODE, &["-nomac", "-certfile", "chain.pem"]),
        ),
        ("no MAC, in clear", file(&safe, &[])),
    ]
}

#[test]
fn altered_and_truncated_files_never_panic_and_import_nothing_but_what_was_in_them() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let record = runtime.block_on(TestRecord::open());
    let made = good();
    let thumbprints = [
        Thumbprint::of(&made.leaf_der),
        Thumbprint::of(&self_signed(|_| {})),
    ];
    let config = ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let files = good_files(&made);
    proptest!(config, |(
        number in 0..files.len(),
        position in any::<prop::sample::Index>(),
        // Most bytes are ciphertext; the structure is at the start and at the end.
        place in 0_usize..3,
        value in 1_u8..=255,
        cut in prop::option::of(0_usize..4000),
    )| {
        let (kind, mut file) = files[number].clone();
        let index = match place {
            0 => position.index(file.len().min(160)),
            1 => file.len() - 1 - position.index(file.len().min(160)),
            _ => position.index(file.len()),
        };
        file[index] ^= value;
        file.truncate(cut.unwrap_or(usize::MAX));
        match runtime.block_on(import(&record, &file, CODE)) {
            Err(error) => prop_assert!(matches!(error, ImportError::Inspect(_)), "{kind}: {error:?}"),
            // Some bytes mean nothing: the parameter beside the MAC's algorithm, for one. Without a MAC, a certificate whose
            // issuer is not in the file, or no longer, proves nothing, which the warnings say.
            Ok(installed) => prop_assert!(
                thumbprints.contains(&installed.thumbprint)
                    || (kind.starts_with("no MAC") && !installed.chain_complete),
                "{kind}: {index}"
            ),
        }
    });
}

#[test]
fn every_flipped_bit_of_what_the_mac_protects_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made = good();
    for (kind, file) in good_files(&made)
        .into_iter()
        .filter(|(kind, _)| ["BER", "BER inside"].contains(kind))
    {
        let config = ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let (from, until) = (file.len() / 4, file.len() * 3 / 4);
        proptest!(config, |(index in from..until, bit in 0_u8..8)| {
            let mut file = file.clone();
            file[index] ^= 1 << bit;
            let inspected = runtime.block_on(inspect_pfx(&file, &PfxCode::new(CODE)));
            prop_assert!(inspected.is_err(), "{kind}: byte {index}");
        });
    }
}

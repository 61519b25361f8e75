//! The commands about installed certificates.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

use bss_simulator::{CertificateRequest, ExtendedKeyUsage};
use serde_json::Value;

use crate::scenario::{ATTENTION, DONE, INSTANCE, Scenario, assert_ends, result};

#[tokio::test(flavor = "multi_thread")]
async fn the_list_tells_for_whom_a_certificate_is_until_when_and_why_it_can_not_be_used() {
    let scenario = Scenario::ready().await;
    let server_only = CertificateRequest {
        usage: ExtendedKeyUsage::Server,
        ..CertificateRequest::default()
    };
    scenario.install(&server_only).await;
    let list = scenario.json(&["certificate", "list"]);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 2);
    let used = list
        .iter()
        .find(|certificate| certificate["usedBy"] == serde_json::json!([INSTANCE]))
        .expect("the instance's");
    assert_eq!(used["unusableBecause"], Value::Null);
    assert_eq!(used["dnsNames"], serde_json::json!(["esd.mydomain.com"]));
    assert!(
        used["subject"]
            .as_str()
            .is_some_and(|subject| subject.contains("CN=esd.mydomain.com"))
    );
    assert!(
        used["issuer"]
            .as_str()
            .is_some_and(|issuer| issuer.contains("Simulated Microsoft"))
    );
    assert_eq!(used["daysLeft"], 364);
    assert_eq!(used["chainComplete"], true);
    let unused = list
        .iter()
        .find(|certificate| certificate["usedBy"] == serde_json::json!([]))
        .expect("the other");
    let reason = unused["unusableBecause"].as_str().expect("a reason");
    assert!(reason.contains("client authentication"), "{reason}");
    let table = scenario.bss_host(&["certificate", "list"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for words in [
        "esd.mydomain.com",
        "Simulated Microsoft",
        "364",
        "complete",
        INSTANCE,
        reason,
    ] {
        assert!(table.contains(words), "{words} in {table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_in_use_is_not_removed_and_one_that_is_not_is_gone() {
    let scenario = Scenario::ready().await;
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let used = instance.thumbprint.expect("a certificate").to_string();
    let refused = scenario.bss_host(&["certificate", "remove", &used]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&format!("`{INSTANCE}`")));
    assert_eq!(scenario.json(&["certificate", "show", &used])["thumbprint"], used);

    let other = scenario.install(&CertificateRequest::default()).await.to_string();
    assert_eq!(
        scenario.json(&["certificate", "remove", &other])["thumbprint"],
        other
    );
    for command in ["show", "remove"] {
        let gone = scenario.bss_host(&["certificate", command, &other]);
        assert_eq!(gone.status.code(), Some(1), "{gone:?}");
        assert!(String::from_utf8_lossy(&gone.stderr).contains("is not installed"));
    }
    let no_thumbprint = scenario.bss_host(&["certificate", "show", "123"]);
    assert_eq!(no_thumbprint.status.code(), Some(2), "{no_thumbprint:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_expire_within_the_days_are_listed_and_no_others() {
    let scenario = Scenario::start().await;
    let now = jiff::Timestamp::now();
    let mut thumbprints = Vec::new();
    for days in [10, 40] {
        let request = CertificateRequest {
            not_after: now + jiff::SignedDuration::from_hours(24 * days + 1),
            ..CertificateRequest::default()
        };
        thumbprints.push(scenario.install(&request).await.to_string());
    }
    let expiring = |days: &[&str]| -> Vec<(String, i64)> {
        let listed = scenario.json(&[&["certificate", "expiring"], days].concat());
        let listed = listed.as_array().expect("a list");
        let entry = |certificate: &Value| {
            let thumbprint = certificate["thumbprint"].as_str().expect("a thumbprint");
            (
                thumbprint.to_owned(),
                certificate["daysLeft"].as_i64().expect("a number"),
            )
        };
        listed.iter().map(entry).collect()
    };
    let (soon, later) = ((thumbprints[0].clone(), 10), (thumbprints[1].clone(), 40));
    assert_eq!(expiring(&["--days", "5"]), []);
    assert_eq!(expiring(&[]), std::slice::from_ref(&soon));
    assert_eq!(expiring(&["--days", "60"]), [soon, later]);
    for (days, code) in [("5", DONE), ("30", ATTENTION)] {
        let checked = scenario.bss_host(&["certificate", "expiring", "--fail", "--days", days]);
        assert_ends(&checked, code);
    }
}

/// Certificates and keys that OpenSSL makes with nothing said, PEM: self-signed and an authority's (`CA:TRUE`).
fn openssl_req(scenario: &Scenario, options: &[&str]) -> String {
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "c.pem",
        ])
        .args(["-subj", "/CN=esd.mydomain.com", "-days", "365"])
        .args(options)
        .current_dir(scenario.folder.path())
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    let read = |name| std::fs::read_to_string(scenario.folder.path().join(name)).expect("a PEM file");
    let certificate = read("c.pem");
    scenario
        .microsoft
        .register_certificate(&certificate)
        .expect("it is registered");
    format!("{}{certificate}", read("key.pem"))
}

/// Imports a PFX file of OpenSSL's, and returns what is said on the standard output (JSON) and the standard error.
fn import(scenario: &Scenario, pem: &str) -> (Value, String) {
    let file = scenario.openssl_pfx(pem, "a code", &[]);
    let file = file.display().to_string();
    let output = scenario
        .command(&["certificate", "import", &file, "--json"])
        .env("BSS_PFX_CODE", "a code")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (result(&output), said)
}

/// Checks that licenses are bought with a certificate: by its assertions, and over its TLS connections.
async fn buys(scenario: Scenario, thumbprint: &str) {
    scenario
        .ready_instance(INSTANCE, &thumbprint.parse().expect("a thumbprint"))
        .await;
    let checked = scenario.bss_host(&["instance", "check", INSTANCE]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    scenario.sell_catalog().await;
    let product = scenario.offers().await.remove(0);
    let assets = scenario.order(&product, 1).await;
    assert!(
        assets.iter().all(|asset| asset.masked_product_key.is_some()),
        "{assets:?}"
    );
    assert_eq!(scenario.microsoft.ledger().await.expect("the ledger").len(), 1);
    let connections = scenario.microsoft.connections();
    assert!(!connections.is_empty());
    assert!(
        connections
            .iter()
            .all(|seen| seen.client_certificate_thumbprint == thumbprint)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_are_bought_with_the_self_signed_certificate_that_tutorials_make() {
    let scenario = Scenario::start().await;
    let pem = openssl_req(&scenario, &[]);
    let (imported, said) = import(&scenario, &pem);
    assert_eq!(imported["unusableBecause"], Value::Null);
    let warning = imported["warnings"][0]["message"].as_str().expect("a warning");
    assert!(warning.contains("CA:TRUE"), "{warning}");
    assert!(
        said.contains(&format!("warning: {warning}")) && said.contains("CA:FALSE"),
        "{said}"
    );
    let thumbprint = imported["thumbprint"].as_str().expect("a thumbprint");
    buys(scenario, thumbprint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_are_bought_with_a_certificate_whose_key_was_made_in_the_host() {
    let scenario = Scenario::start().await;
    let out = scenario.folder.path().join("made.pem").display().to_string();
    let new = [
        "certificate",
        "new",
        "--name",
        "esd.mydomain.com",
        "--dns-name",
        "esd.mydomain.com",
        "--out",
        &out,
    ];
    let made = scenario.json(&new);
    let pem = std::fs::read_to_string(&out).expect("the certificate");
    assert_eq!(made["certificatePem"], pem);
    assert!(
        !pem.contains("PRIVATE KEY") && pem.starts_with("-----BEGIN CERTIFICATE-----\n"),
        "{pem}"
    );
    let thumbprint = made["thumbprint"].as_str().expect("a thumbprint");
    let again = scenario.bss_host(&["certificate", "show", thumbprint, "--pem"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), pem);
    let to_standard_output = scenario.bss_host(&["certificate", "new", "--name", "another"]);
    let shown = String::from_utf8_lossy(&to_standard_output.stdout).into_owned();
    assert!(
        shown.starts_with("-----BEGIN CERTIFICATE-----\n") && shown.ends_with("-----END CERTIFICATE-----\n")
    );
    scenario
        .microsoft
        .register_certificate(&pem)
        .expect("it is registered");
    buys(scenario, thumbprint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_its_answer_and_may_be_removed() {
    let scenario = Scenario::start().await;
    let path = scenario.folder.path();
    let file = path.join("esd.csr").display().to_string();
    let new = [
        "certificate",
        "new",
        "--name",
        "esd.mydomain.com",
        "--request",
        &file,
    ];
    let requested = scenario.json(&new);
    let key = requested["publicKey"].as_str().expect("a public key");
    assert_eq!(
        requested["requestPem"],
        std::fs::read_to_string(&file).expect("the request")
    );
    assert_eq!(
        scenario.json(&["certificate", "requests"]),
        serde_json::json!([requested])
    );
    let table = scenario.bss_host(&["certificate", "requests"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains(key));

    let signed = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
            "/CN=own",
        ])
        .current_dir(path)
        .output()
        .and_then(|_| {
            let sign = [
                "x509",
                "-req",
                "-in",
                "esd.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                "esd.cer",
            ];
            Command::new("openssl").args(sign).current_dir(path).output()
        })
        .expect("openssl is installed");
    assert!(signed.status.success(), "{signed:?}");
    let answer = path.join("esd.cer").display().to_string();
    let imported = scenario.json(&["certificate", "import", &answer]);
    assert_eq!(imported["subject"], "CN=esd.mydomain.com");
    assert_eq!(scenario.json(&["certificate", "requests"]), serde_json::json!([]));

    let gone = scenario.bss_host(&["certificate", "remove-request", key]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let other = path.join("other.csr").display().to_string();
    let other = scenario.json(&["certificate", "new", "--name", "other", "--request", &other]);
    let other = other["publicKey"].as_str().expect("a public key");
    assert_eq!(
        scenario.json(&["certificate", "remove-request", other])["publicKey"],
        other
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_says_at_once_what_can_not_be_used_and_what_to_do() {
    let scenario = Scenario::start().await;
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let cases: [(&[&str], &str, &str); 3] = [
        (
            &["-addext", "extendedKeyUsage=serverAuth"],
            "client authentication",
            "`bss-host certificate new`",
        ),
        (
            &["-addext", "keyUsage=keyEncipherment"],
            "does not allow signatures",
            "digitalSignature",
        ),
        (
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "its key is EC P-256",
            "RSA key of at least 2048",
        ),
    ];
    for (options, reason, advice) in cases {
        let pem = openssl_req(&scenario, &[&leaf[..], options].concat());
        let (imported, said) = import(&scenario, &pem);
        assert!(
            said.contains("warning: this certificate can't be used") && said.contains(reason),
            "{said}"
        );
        assert!(said.contains(advice), "{said}");
        assert!(
            imported["unusableBecause"]
                .as_str()
                .is_some_and(|told| told.contains(reason)),
            "{imported}"
        );
        assert!(imported["advice"].is_string(), "{imported}");
    }
    let usable = openssl_req(&scenario, &leaf);
    let (imported, said) = import(&scenario, &usable);
    assert_eq!(
        (&imported["advice"], &imported["warnings"]),
        (&Value::Null, &serde_json::json!([]))
    );
    assert!(!said.contains("warning"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_is_read_from_a_file_of_any_editor_and_what_is_wrong_with_it_is_said() {
    let scenario = Scenario::start().await;
    let pem = openssl_req(&scenario, &["-addext", "basicConstraints=critical,CA:FALSE"]);
    let code = "Pässwörd-1";
    let pfx = scenario.openssl_pfx(&pem, code, &[]).display().to_string();
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{code}\r\n")
            .encode_utf16()
            .flat_map(unit)
            .collect()
    };
    let file = scenario.folder.path().join("code.txt");
    let run = |content: &[u8]| {
        std::fs::write(&file, content).expect("the code's file");
        let output = scenario
            .command(&[
                "certificate",
                "import",
                &pfx,
                "--code-file",
                &file.display().to_string(),
            ])
            .output()
            .expect("the program runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for content in [
        code.as_bytes().to_vec(),
        format!("{code}\n").into_bytes(),
        format!("\u{feff}{code}\r\n").into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ] {
        let (status, said) = run(&content);
        assert_eq!(status, Some(0), "{content:?}: {said}");
    }
    let latin1: Vec<u8> = code.chars().map(|character| character as u32 as u8).collect();
    let without_mark = &utf16(u16::to_le_bytes)[2..];
    for content in [&latin1[..], without_mark] {
        let (status, said) = run(content);
        assert_eq!(status, Some(1), "{content:?}");
        assert!(
            said.contains("neither in UTF-8 nor in UTF-16") && said.contains("save the file as UTF-8"),
            "{said}"
        );
    }
    let (status, said) = run(b"Passwort\n");
    assert!(
        status == Some(1) && said.contains("the code of the PFX file is wrong"),
        "{said}"
    );

    let none = scenario
        .command(&["certificate", "import", &pfx])
        .env_remove("BSS_PFX_CODE")
        .output();
    let none = none.expect("the program runs");
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(none.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no code was given") && said.contains("BSS_PFX_CODE"),
        "{said}"
    );
    let in_latin1 = OsString::from_vec(latin1);
    let not_utf8 = scenario
        .command(&["certificate", "import", &pfx])
        .env("BSS_PFX_CODE", in_latin1)
        .output();
    let not_utf8 = not_utf8.expect("the program runs");
    let said = String::from_utf8_lossy(&not_utf8.stderr).into_owned();
    assert!(
        not_utf8.status.code() == Some(2) && said.contains("`BSS_PFX_CODE` is not UTF-8"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_dates_of_any_kind_fit_into_a_row() {
    let scenario = Scenario::start().await;
    let names: Vec<String> = (0..1500)
        .map(|number| format!("DNS:h{number}.mydomain.com"))
        .collect();
    let names = format!("subjectAltName={}", names.join(","));
    let subject = ["-subj", "/O=evil\u{202e}txt.exe/CN=esd", "-utf8"];
    let options = [
        &["-addext", "basicConstraints=critical,CA:FALSE", "-addext", &names],
        &subject[..],
    ]
    .concat();
    let (imported, _) = import(&scenario, &openssl_req(&scenario, &options));
    assert_eq!(imported["dnsNames"].as_array().map(Vec::len), Some(1500));
    let thumbprint = imported["thumbprint"].as_str().expect("a thumbprint");
    for command in [&["certificate", "list"][..], &["certificate", "show", thumbprint]] {
        let shown = scenario.bss_host(command);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            shown.contains("h4.mydomain.com, and 1495 more") && shown.len() < 10_000,
            "{shown}"
        );
        assert!(
            shown.contains("evil\u{fffd}txt.exe") && !shown.contains('\u{202e}'),
            "{shown}"
        );
    }
}

//! PFX files that Java's `keytool` makes. Those of OpenSSL are among the tests of the certificate store.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bss_keys::{InstalledCertificate, PfxCode};

use crate::scenario::{Scenario, actor};

const CODE: &str = "a code";

fn keytool(options: &[&str], command: &[&str], file: &Path) -> Output {
    let output = Command::new("keytool")
        .args(options)
        .args(command)
        .args(["-storepass", CODE, "-keypass", CODE, "-keystore"])
        .arg(file)
        .output()
        .expect("keytool runs. Hint: `cargo xtask interop readers` installs it");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// A key and a certificate for a client under an alias.
fn add_key(options: &[&str], key: &[&str], alias: &str, file: &Path) {
    let common = [
        "-genkeypair",
        "-alias",
        alias,
        "-dname",
        "CN=esd.example.test",
        "-ext",
        "san=dns:esd.example.test",
        "-ext",
        "eku=clientAuth",
        "-validity",
        "30",
    ];
    keytool(options, &[&common[..], key].concat(), file);
}

/// SHA-1 of the first certificate, as `keytool` tells it.
fn told_thumbprint(file: &Path) -> String {
    let listed = keytool(&[], &["-list", "-v"], file);
    let listed = String::from_utf8_lossy(&listed.stdout);
    let line = listed.lines().find_map(|line| line.trim().strip_prefix("SHA1: "));
    line.expect("a fingerprint").replace(':', "")
}

/// How the certificates in a file are encrypted, `None` when they are not. OpenSSL tells it, because a Java that does
/// not know an option ignores it.
fn certificate_protection(file: &Path) -> Option<String> {
    let told = Command::new("openssl")
        .args([
            "pkcs12",
            "-info",
            "-noout",
            "-passin",
            &format!("pass:{CODE}"),
            "-in",
        ])
        .arg(file)
        .output()
        .expect("openssl runs");
    // OpenSSL gives up at an algorithm that it no longer supports, but names it before.
    let told = String::from_utf8_lossy(&told.stderr);
    assert!(told.contains("Shrouded Keybag"), "{told}");
    let encrypted = told
        .lines()
        .find_map(|line| line.strip_prefix("PKCS7 Encrypted data: "));
    encrypted.map(|algorithm| algorithm.split(',').next().unwrap_or(algorithm).to_owned())
}

async fn import(scenario: &Scenario, file: &Path, code: &str) -> Result<InstalledCertificate, String> {
    let pfx = std::fs::read(file).expect("the file");
    let certificates = scenario.host.record().certificates();
    let imported = certificates.import(&pfx, &PfxCode::new(code), &actor()).await;
    imported
        .map(|imported| imported.installed)
        .map_err(|error| error.to_string())
}

fn new_file(scenario: &Scenario) -> PathBuf {
    let name = format!("{}.p12", uuid::Uuid::new_v4());
    scenario.folder.path().join(name)
}

const PKCS12: [&str; 2] = ["-storetype", "PKCS12"];
const RSA: [&str; 4] = ["-keyalg", "RSA", "-keysize", "2048"];

#[tokio::test(flavor = "multi_thread")]
async fn pfx_files_of_java_are_imported_with_the_right_code_and_no_other() {
    let scenario = Scenario::start().await;
    let newest = Some("PBES2");
    type Kind = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        Option<&'static str>,
    );
    let kinds: [Kind; 5] = [
        ("as it is", &[], &RSA, newest),
        (
            "legacy",
            &["-J-Dkeystore.pkcs12.legacy"],
            &RSA,
            Some("pbeWithSHA1And40BitRC2-CBC"),
        ),
        (
            "certificate in clear",
            &["-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE"],
            &RSA,
            None,
        ),
        (
            "without MAC",
            &["-J-Dkeystore.pkcs12.macAlgorithm=NONE"],
            &RSA,
            newest,
        ),
        ("4,096 bits", &[], &["-keyalg", "RSA", "-keysize", "4096"], newest),
    ];
    for (kind, options, key, protection) in kinds {
        let file = new_file(&scenario);
        add_key(options, &[&PKCS12[..], key].concat(), "esd", &file);
        assert_eq!(certificate_protection(&file).as_deref(), protection, "{kind}");
        let said = import(&scenario, &file, "another code").await.expect_err(kind);
        assert!(
            said.contains("the code of the PFX file is wrong"),
            "{kind}: {said}"
        );
        let installed = import(&scenario, &file, CODE).await;
        let installed = installed.unwrap_or_else(|said| panic!("{kind}: {said}"));
        assert_eq!(installed.thumbprint.to_string(), told_thumbprint(&file), "{kind}");
        assert_eq!(installed.dns_names, ["esd.example.test"], "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_java_that_can_not_work_are_refused_with_a_reason() {
    let scenario = Scenario::start().await;
    let two_keys = new_file(&scenario);
    for alias in ["one", "two"] {
        add_key(&[], &[&PKCS12[..], &RSA].concat(), alias, &two_keys);
    }
    let jks = new_file(&scenario);
    add_key(&[], &[&["-storetype", "JKS"], &RSA[..]].concat(), "esd", &jks);
    let cases = [(&two_keys, "2 private keys"), (&jks, "a Java keystore")];
    for (file, reason) in cases {
        let said = import(&scenario, file, CODE).await.expect_err(reason);
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert!(
        scenario
            .host
            .record()
            .certificates()
            .list()
            .await
            .expect("a list")
            .is_empty()
    );
}

//! The command `prerequisites`, with PFX files that OpenSSL makes and a DNS server on the loopback.

mod name_server;

use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bss_simulator::{CertificateRequest, Simulator, SimulatorOptions};
use serde_json::Value;
use tempfile::TempDir;

use self::name_server::{NameServer, Zone};
use crate::component::bss_host;
use crate::record_cli::text;
use crate::scenario::{USAGE, result};

const PASSED: i32 = 0;
const FAILED: i32 = 1;
const UNKNOWN: i32 = 3;

const EU_TARGET: &str = "cloud-platform-sites-eu.trafficmanager.net";
const US_TARGET: &str = "cloud-platform-sites-us.trafficmanager.net";

const CODE: &str = "a cöde";

/// Certificates with their private keys in PEM form, made once per run.
struct Issued {
    wildcard_com: String,
    exact_net: String,
    common_name_only: String,
    internationalized: String,
    expired: String,
}

static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = SimulatorOptions::new(folder.path().join("microsoft"));
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        let pem = |common_name: &str, dns_names: &[&str], ago: Duration| {
            let usual = CertificateRequest::default();
            let issued = microsoft
                .issue_client_certificate(&CertificateRequest {
                    common_name: common_name.to_owned(),
                    dns_names: dns_names.iter().map(ToString::to_string).collect(),
                    not_before: usual.not_before - ago,
                    not_after: usual.not_after - ago,
                    ..usual
                })
                .expect("a certificate");
            format!(
                "{}{}{}",
                *issued.private_key_pem, issued.certificate_pem, issued.chain_pem
            )
        };
        let now = Duration::ZERO;
        let two_years = Duration::from_secs(2 * 366 * 24 * 60 * 60);
        let issued = Issued {
            wildcard_com: pem("*.mydomain.com", &["*.mydomain.com"], now),
            exact_net: pem("esd.mydomain.net", &["esd.mydomain.net"], now),
            common_name_only: pem("esd.mydomain.com", &["www.mydomain.com"], now),
            internationalized: pem("an umlaut", &["*.xn--bcher-kva.example"], now),
            expired: pem("*.mydomain.com", &["*.mydomain.com"], two_years),
        };
        microsoft.stop().await;
        issued
    })
});

/// A PFX file of a certificate with its private key and chain.
struct Pfx {
    folder: TempDir,
}

impl Pfx {
    fn of(pem: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut openssl = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "env:CODE", "-out", "client.pfx"])
            .current_dir(folder.path())
            .env("CODE", CODE)
            .stdin(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        std::io::Write::write_all(&mut openssl.stdin.take().expect("a pipe"), pem.as_bytes())
            .expect("it reads");
        assert!(openssl.wait().expect("it ends").success(), "no PFX file");
        Self { folder }
    }

    fn command(&self, hostname: &str, region: &str) -> Command {
        let mut command = Command::new(bss_host());
        command
            .args(["prerequisites", "--pfx", "client.pfx"])
            .args(["--hostname", hostname, "--region", region])
            .current_dir(self.folder.path())
            .env("BSS_PFX_CODE", CODE);
        command
    }

    /// Runs the command, and returns its exit code and what it says.
    fn check(&self, hostname: &str, region: &str, server: &NameServer) -> (i32, Value) {
        let resolver = server.address().to_string();
        let output = self
            .command(hostname, region)
            .args(["--json", "--resolver", &resolver])
            .output()
            .expect("the program runs");
        answer(&output)
    }
}

fn answer(output: &Output) -> (i32, Value) {
    (output.status.code().expect("an exit code"), result(output))
}

/// The three points as `result: code`.
fn points(said: &Value) -> Vec<String> {
    let points = said["points"].as_array().expect("points");
    points
        .iter()
        .map(|point| format!("{}: {}", text(&point["result"]), text(&point["code"])))
        .collect()
}

/// Checks what is said of the CNAME where all else is in order; every word has to be in it.
fn assert_cname(zone: Zone, exit_code: i32, point: &str, words: &[&str]) {
    let server = NameServer::start(zone);
    let (code, said) = Pfx::of(&ISSUED.wildcard_com).check("esd.mydomain.com", "eu", &server);
    assert_eq!(
        points(&said),
        ["passed: usable", "passed: covered", point],
        "{said}"
    );
    assert_eq!(code, exit_code);
    assert_eq!(said["result"], point.split_once(':').expect("a result").0);
    let last = &said["points"][2];
    for word in words {
        assert!(
            text(&last["found"]).contains(word) || text(&last["advice"]).contains(word),
            "`{word}` in {last}"
        );
    }
}

fn eu() -> Zone {
    Zone::default().cname("esd.mydomain.com", EU_TARGET)
}

const ALL_PASSED: [&str; 3] = ["passed: usable", "passed: covered", "passed: reached"];

#[test]
fn the_page_s_example_of_the_eu_passes() {
    let server = NameServer::start(eu());
    let (code, said) = Pfx::of(&ISSUED.wildcard_com).check("esd.mydomain.com", "eu", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert_eq!((code, text(&said["result"])), (PASSED, "passed"));
    assert_eq!(
        (text(&said["hostname"]), text(&said["region"])),
        ("esd.mydomain.com", "eu")
    );
}

#[test]
fn the_page_s_example_of_the_us_passes() {
    let server = NameServer::start(Zone::default().cname("esd.mydomain.net", US_TARGET));
    let (code, said) = Pfx::of(&ISSUED.exact_net).check("esd.mydomain.net", "us", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert_eq!(code, PASSED);
}

#[test]
fn people_get_a_table_with_what_to_do() {
    let server = NameServer::start(Zone::default().cname("esd.mydomain.com", US_TARGET));
    let output = Pfx::of(&ISSUED.wildcard_com)
        .command("esd.mydomain.com", "eu")
        .args(["--resolver", &server.address().to_string()])
        .output()
        .expect("the program runs");
    let table = String::from_utf8(output.stdout).expect("text");
    for words in [
        "Certificate (PFX)",
        "Hostname",
        "passed",
        "CNAME record",
        "failed",
        EU_TARGET,
    ] {
        assert!(table.contains(words), "`{words}` in {table}");
    }
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(errors, "error: prerequisites that failed: CNAME record\n");
    assert_eq!(output.status.code(), Some(FAILED));
}

#[test]
fn nothing_is_installed_and_the_plugin_is_not_asked_for() {
    let server = NameServer::start(eu());
    let pfx = Pfx::of(&ISSUED.wildcard_com);
    assert_eq!(pfx.check("esd.mydomain.com", "eu", &server).0, PASSED);
    let files: Vec<_> = std::fs::read_dir(pfx.folder.path())
        .expect("the folder")
        .collect();
    assert_eq!(files.len(), 1, "the PFX file alone: {files:?}");
}

#[test]
fn case_and_a_dot_at_the_end_make_no_difference() {
    let target = "Cloud-Platform-Sites-EU.TrafficManager.net";
    let server = NameServer::start(Zone::default().cname("esd.mydomain.com", target));
    let (code, said) = Pfx::of(&ISSUED.wildcard_com).check("ESD.MyDomain.com.", "eu", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert_eq!(code, PASSED);
}

#[test]
fn an_internationalized_hostname_is_looked_for_by_its_a_labels() {
    let server = NameServer::start(Zone::default().cname("esd.xn--bcher-kva.example", EU_TARGET));
    let pfx = Pfx::of(&ISSUED.internationalized);
    let (code, said) = pfx.check("esd.Bücher.example", "eu", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert_eq!(said["hostname"], "esd.xn--bcher-kva.example");
    assert_eq!(code, PASSED);
}

#[test]
fn a_code_may_come_from_a_file() {
    let server = NameServer::start(eu());
    let pfx = Pfx::of(&ISSUED.wildcard_com);
    std::fs::write(pfx.folder.path().join("code"), format!("{CODE}\n")).expect("a file");
    let output = pfx
        .command("esd.mydomain.com", "eu")
        .args(["--json", "--resolver", &server.address().to_string()])
        .args(["--code-file", "code"])
        .env_remove("BSS_PFX_CODE")
        .output()
        .expect("the program runs");
    assert_eq!(answer(&output).0, PASSED);
}

#[test]
fn a_wrong_code_leaves_the_hostname_unknown_and_the_dns_is_asked_all_the_same() {
    let server = NameServer::start(eu());
    let output = Pfx::of(&ISSUED.wildcard_com)
        .command("esd.mydomain.com", "eu")
        .args(["--json", "--resolver", &server.address().to_string()])
        .env("BSS_PFX_CODE", "a wrong one")
        .output()
        .expect("the program runs");
    let (code, said) = answer(&output);
    assert_eq!(
        points(&said),
        ["failed: wrong-code", "unknown: no-certificate", "passed: reached"]
    );
    assert_eq!((code, text(&said["result"])), (FAILED, "failed"));
    assert!(!said.to_string().contains("a wrong one"), "the code is not shown");
}

#[test]
fn what_is_no_pfx_file_fails_and_a_missing_one_is_named() {
    let server = NameServer::start(eu());
    let pfx = Pfx::of(&ISSUED.wildcard_com);
    let file = pfx.folder.path().join("client.pfx");
    std::fs::write(&file, "no PFX file").expect("a file");
    let (code, said) = pfx.check("esd.mydomain.com", "eu", &server);
    assert_eq!(points(&said)[0], "failed: unreadable", "{said}");
    assert_eq!(code, FAILED);
    std::fs::remove_file(&file).expect("it was there");
    let output = pfx.command("esd.mydomain.com", "eu").output().expect("it runs");
    assert_eq!(output.status.code(), Some(FAILED));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`client.pfx`"));
}

#[test]
fn an_expired_certificate_fails_but_is_still_compared() {
    let server = NameServer::start(eu());
    let (code, said) = Pfx::of(&ISSUED.expired).check("esd.mydomain.com", "eu", &server);
    assert_eq!(
        points(&said),
        ["failed: unusable", "passed: covered", "passed: reached"]
    );
    let found = text(&said["points"][0]["found"]);
    assert!(found.contains("expired"), "{found}");
    assert_eq!(code, FAILED);
}

/// A key and a self-signed certificate of OpenSSL's for `esd.mydomain.com`, PEM.
fn openssl_req(options: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "c.pem",
        ])
        .args([
            "-subj",
            "/CN=esd",
            "-days",
            "365",
            "-addext",
            "subjectAltName=DNS:esd.mydomain.com",
        ])
        .args(options)
        .current_dir(folder.path())
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
    ["key.pem", "c.pem"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).expect("a PEM file"))
        .concat()
}

#[test]
fn each_reason_against_a_certificate_comes_with_its_own_advice() {
    let server = NameServer::start(eu());
    let leaf = "basicConstraints=critical,CA:FALSE";
    let elliptic = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-addext",
        leaf,
    ];
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["-addext", leaf, "-addext", "extendedKeyUsage=serverAuth"],
            "client authentication",
            "self-signed",
        ),
        (
            &["-addext", leaf, "-addext", "keyUsage=keyEncipherment"],
            "signatures",
            "digitalSignature",
        ),
        (&elliptic, "EC P-256", "RSA key of at least 2048"),
        (
            &["-newkey", "rsa:1024", "-addext", leaf],
            "1024 bits",
            "new RSA key of 2048 to 8192 bits",
        ),
    ];
    for (options, found, advice) in cases {
        let (code, said) = Pfx::of(&openssl_req(options)).check("esd.mydomain.com", "eu", &server);
        assert_eq!(
            points(&said),
            ["failed: unusable", "passed: covered", "passed: reached"],
            "{said}"
        );
        let point = &said["points"][0];
        assert!(text(&point["found"]).contains(found), "{point}");
        assert!(text(&point["advice"]).contains(advice), "{point}");
        assert_eq!(code, FAILED);
    }
}

#[test]
fn a_self_signed_certificate_that_calls_itself_an_authority_passes_with_a_warning() {
    let server = NameServer::start(eu());
    let (code, said) = Pfx::of(&openssl_req(&[])).check("esd.mydomain.com", "eu", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert!(text(&said["points"][0]["advice"]).contains("CA:TRUE"), "{said}");
    assert_eq!(code, PASSED);
}

#[test]
fn why_names_can_not_be_read_is_said_with_its_own_advice() {
    let server = NameServer::start(eu());
    let leaf = "basicConstraints=critical,CA:FALSE";
    let unknown = [
        "-addext",
        leaf,
        "-addext",
        "1.3.6.1.4.1.55555.1.2=critical,ASN1:UTF8:x",
    ];
    let (code, said) = Pfx::of(&openssl_req(&unknown)).check("esd.mydomain.com", "eu", &server);
    let point = &said["points"][1];
    assert_eq!((code, text(&point["code"])), (FAILED, "unreadable"), "{said}");
    assert!(text(&point["found"]).contains("critical extension"), "{point}");
    assert!(text(&point["advice"]).contains("not critical"), "{point}");
}

#[test]
fn no_code_is_told_from_a_wrong_one() {
    let server = NameServer::start(eu());
    let output = Pfx::of(&ISSUED.wildcard_com)
        .command("esd.mydomain.com", "eu")
        .args(["--json", "--resolver", &server.address().to_string()])
        .env_remove("BSS_PFX_CODE")
        .output()
        .expect("the program runs");
    let (code, said) = answer(&output);
    assert_eq!(
        (code, points(&said)[0].as_str()),
        (FAILED, "failed: no-code"),
        "{said}"
    );
}

#[test]
fn a_hostname_that_the_certificate_is_not_for_fails() {
    let zone = eu()
        .cname("mydomain.com", EU_TARGET)
        .cname("a.esd.mydomain.com", EU_TARGET);
    let server = NameServer::start(zone);
    let not_covered = ["passed: usable", "failed: not-covered", "passed: reached"];
    for (pem, hostname) in [
        (&ISSUED.wildcard_com, "mydomain.com"),
        (&ISSUED.wildcard_com, "a.esd.mydomain.com"),
        (&ISSUED.exact_net, "esd.mydomain.com"),
        (&ISSUED.common_name_only, "esd.mydomain.com"),
    ] {
        let (code, said) = Pfx::of(pem).check(hostname, "eu", &server);
        assert_eq!(points(&said), not_covered, "{hostname}: {said}");
        assert_eq!(code, FAILED);
    }
}

#[test]
fn a_name_that_does_not_exist_fails() {
    let words = ["does not exist", EU_TARGET];
    assert_cname(Zone::default(), FAILED, "failed: no-such-name", &words);
}

#[test]
fn a_name_without_cname_fails() {
    let zone = Zone::default().empty("esd.mydomain.com");
    assert_cname(zone, FAILED, "failed: no-cname", &["declare a CNAME record"]);
}

#[test]
fn an_address_record_alone_fails_of_either_family() {
    for address in ["192.0.2.1", "2001:db8::1"] {
        let zone = Zone::default().address("esd.mydomain.com", address);
        assert_cname(
            zone,
            FAILED,
            "failed: address-only",
            &["remove the address records"],
        );
    }
}

#[test]
fn the_top_of_a_zone_is_told_that_it_can_t_have_a_cname() {
    let zone = Zone::default()
        .address("esd.mydomain.com", "192.0.2.1")
        .top("esd.mydomain.com");
    assert_cname(zone, FAILED, "failed: address-only", &["apex of a DNS zone"]);
}

#[test]
fn the_other_region_s_host_fails_and_is_named() {
    let zone = Zone::default().cname("esd.mydomain.com", US_TARGET);
    assert_cname(
        zone,
        FAILED,
        "failed: other-region",
        &[US_TARGET, "`us`", EU_TARGET],
    );
}

#[test]
fn another_target_fails_and_is_named() {
    let to_elsewhere = || Zone::default().cname("esd.mydomain.com", "elsewhere.example");
    let found = to_elsewhere().address("elsewhere.example", "192.0.2.1");
    assert_cname(
        found,
        FAILED,
        "failed: other-target",
        &["leads to `elsewhere.example`", EU_TARGET],
    );
    let missing = ["`elsewhere.example`, which does not exist"];
    assert_cname(to_elsewhere(), FAILED, "failed: other-target", &missing);
}

#[test]
fn several_cnames_fail_also_when_one_is_right() {
    let zone = eu().cname("esd.mydomain.com", "elsewhere.example");
    assert_cname(
        zone,
        FAILED,
        "failed: several-cnames",
        &[EU_TARGET, "elsewhere.example"],
    );
}

#[test]
fn a_circle_fails() {
    let zone = Zone::default()
        .cname("esd.mydomain.com", "one.example")
        .cname("one.example", "two.example")
        .cname("two.example", "ONE.example");
    assert_cname(zone, FAILED, "failed: loop", &["`one.example`"]);
    let zone = Zone::default().cname("esd.mydomain.com", "esd.mydomain.com");
    assert_cname(zone, FAILED, "failed: loop", &["`esd.mydomain.com`"]);
}

/// A chain of so many CNAME records, the last of which leads to the region's host.
fn chain(records: usize) -> Zone {
    let mut zone = Zone::default();
    let mut name = "esd.mydomain.com".to_owned();
    for hop in 1..records {
        let next = format!("hop-{hop}.example");
        zone = zone.cname(&name, &next);
        name = next;
    }
    zone.cname(&name, EU_TARGET)
}

#[test]
fn a_chain_up_to_the_limit_passes_and_a_longer_one_fails() {
    let limit = host_harness::prerequisites::CNAME_CHAIN_MAX;
    let through = ["through `hop-1.example`"];
    assert_cname(chain(limit), PASSED, "passed: reached", &through);
    assert_cname(
        chain(limit + 1),
        FAILED,
        "failed: chain-too-long",
        &["hop-8.example"],
    );
}

#[test]
fn a_failure_and_a_refusal_of_the_resolver_are_unknown_and_told_apart() {
    let zone = Zone::default().failing("esd.mydomain.com");
    assert_cname(
        zone,
        UNKNOWN,
        "unknown: server-failure",
        &["SERVFAIL", "another resolver"],
    );
    let zone = Zone::default().refusing("esd.mydomain.com");
    assert_cname(
        zone,
        UNKNOWN,
        "unknown: refused",
        &["REFUSED", "another resolver"],
    );
}

#[test]
fn a_failure_on_the_way_is_unknown_too() {
    let zone = Zone::default()
        .cname("esd.mydomain.com", "one.example")
        .failing("one.example");
    assert_cname(zone, UNKNOWN, "unknown: server-failure", &["`one.example`"]);
}

#[test]
fn a_resolver_that_never_answers_is_unknown_and_is_not_waited_for_longer_than_asked() {
    let server = NameServer::start(Zone::default().silent("esd.mydomain.com"));
    let resolver = server.address().to_string();
    let pfx = Pfx::of(&ISSUED.wildcard_com);
    let mut command = pfx.command("esd.mydomain.com", "eu");
    command.args(["--json", "--timeout", "1", "--resolver", &resolver]);
    let started = Instant::now();
    let output = command.output().expect("the program runs");
    let taken = started.elapsed();
    let (code, said) = answer(&output);
    assert_eq!(points(&said)[2], "unknown: no-answer", "{said}");
    assert_eq!((code, text(&said["result"])), (UNKNOWN, "unknown"));
    assert!(server.questions() > 0, "it was asked");
    // Without the option, two attempts of three seconds would have been made.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn a_resolver_that_is_not_there_is_unknown() {
    let gone = NameServer::start(Zone::default()).address();
    let output = Pfx::of(&ISSUED.wildcard_com)
        .command("esd.mydomain.com", "eu")
        .args(["--json", "--timeout", "2", "--resolver", &gone.to_string()])
        .output()
        .expect("the program runs");
    let (code, said) = answer(&output);
    assert_eq!(points(&said)[2], "unknown: no-answer", "{said}");
    assert_eq!(code, UNKNOWN);
}

#[test]
fn a_failure_outweighs_what_is_unknown() {
    let server = NameServer::start(Zone::default().failing("esd.mydomain.com"));
    let (code, said) = Pfx::of(&ISSUED.exact_net).check("esd.mydomain.com", "eu", &server);
    assert_eq!(
        points(&said),
        ["passed: usable", "failed: not-covered", "unknown: server-failure"]
    );
    assert_eq!((code, text(&said["result"])), (FAILED, "failed"));
}

#[test]
fn an_answer_too_long_for_a_datagram_is_asked_for_over_tcp() {
    let server = NameServer::start(eu().only_over_tcp());
    let (code, said) = Pfx::of(&ISSUED.wildcard_com).check("esd.mydomain.com", "eu", &server);
    assert_eq!(points(&said), ALL_PASSED, "{said}");
    assert_eq!(code, PASSED);
}

#[test]
fn what_is_asked_for_wrongly_is_a_question_of_usage() {
    let pfx = Pfx::of(&ISSUED.wildcard_com);
    for (hostname, region, word) in [
        ("*.mydomain.com", "eu", "many hosts"),
        ("https://esd.mydomain.com", "eu", "more than a hostname"),
        ("192.0.2.1", "eu", "IP address"),
        ("esd.mydomain.com", "asia", "eu, us"),
    ] {
        let output = pfx.command(hostname, region).output().expect("it runs");
        assert_eq!(output.status.code(), Some(USAGE), "{hostname} {region}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(word), "`{word}` in {errors}");
    }
}

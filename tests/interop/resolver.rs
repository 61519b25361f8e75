//! The system's own resolver, `getaddrinfo`, before a name server of ours: what a guest, its operator and the trace
//! are told when a name is not resolved.
//!
//! The resolver asks the servers of `/etc/resolv.conf`, and always at port 53. So the test runs itself again in
//! namespaces of its own, in which it may bind that port and put other files in the place of those in `/etc`.

#[path = "../plugin/prerequisites/name_server.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of prerequisites, which need more of it"
)]
mod name_server;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use bss_sandbox::bindings::failures::ReadFailure;
use bss_sandbox::call_trace::{TraceSpan, Traces};
use serde_json::Value;

use crate::scenario::{INSTANCE, Scenario};
use crate::tls::fetch;
use name_server::{NameServer, Zone};

/// The environment variable that says that the test runs in the namespaces.
const INSIDE: &str = "INTEROP_RESOLVER_INSIDE";

/// A single name server, which answers.
const ONE: &str = "nameserver 127.0.0.1\nsearch .\n";

/// Three name servers, of which the first two never answer.
const LAST_OF_THREE: &str = "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.1\nsearch .\n";

/// The other files that are put in the place of the system's own.
const FILES: [(&str, &str); 2] = [
    ("nsswitch.conf", "hosts: files dns\n"),
    ("hosts", "127.0.0.1 localhost\n10.1.2.3 pinned.test\n"),
];

/// In the networks of `void0`, whatever is sent vanishes.
const ENTER: &str = r#"set -e
ip link set lo up
ip link add void0 type veth peer name void1
ip link set void0 arp off up
ip link set void1 up
ip addr add 192.0.2.100/24 dev void0
ip addr add 2001:db8::100/64 dev void0 nodad
for file in resolv.conf nsswitch.conf hosts; do mount --bind "$0/$file" "/etc/$file"; done
exec "$@""#;

/// Runs this test again, in namespaces of its own.
fn run_inside(test: &str, name_servers: &str) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in FILES.into_iter().chain([("resolv.conf", name_servers)]) {
        std::fs::write(folder.path().join(name), text).expect("it is written");
        let place = Path::new("/etc").join(name);
        assert!(
            place.exists(),
            "{place:?} is missing. Hint: create it, even if empty"
        );
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--net", "sh", "-c", ENTER])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs. Hint: `cargo xtask interop resolver` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}{said}\nhint: without root, the system must allow user namespaces",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
}

/// The code of the problem that an operator reads when the instance uses that server, and the fields of the exchange in
/// the trace.
async fn told_of(scenario: &Scenario, host: &str) -> (String, Value) {
    let url = format!("https://{host}/cis");
    scenario.set("service-url", &url).await;
    let output = scenario.bss_host(&["services", "fetch", INSTANCE]);
    assert_eq!(output.status.code(), Some(3), "there is no answer: {output:?}");
    let traces = Traces::new(&scenario.folder.path().join("bss"));
    let last = traces.last(1, |_| true).expect("the traces").remove(0);
    let call = traces.find(&last.call).expect("the traces").remove(0);
    let to_host = exchange_with(&call.root, host).expect("an exchange");
    let problem = match fetch(scenario).await.expect_err("there is no answer") {
        ReadFailure::Unavailable(delay) => delay.problem.code,
        other => panic!("nothing was sent, so it can be tried again: {other:?}"),
    };
    (problem, Value::Object(to_host.fields.clone()))
}

fn exchange_with<'a>(span: &'a TraceSpan, host: &str) -> Option<&'a TraceSpan> {
    if span.name == "exchange" && span.fields.get("authority").is_some_and(|it| it == host) {
        return Some(span);
    }
    span.spans.iter().find_map(|span| exchange_with(span, host))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_exist_is_told_apart_from_a_resolver_that_has_no_answer() {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(
            "resolver::a_name_that_does_not_exist_is_told_apart_from_a_resolver_that_has_no_answer",
            ONE,
        );
    }
    let zone = Zone::default()
        .address("there.test", "127.0.0.1")
        .empty("empty.test")
        .failing("failing.test")
        .refusing("refusing.test")
        .silent("silent.test");
    // The address and port at which the system's resolver asks.
    let address = (Ipv4Addr::LOCALHOST, 53);
    let udp = UdpSocket::bind(address).expect("port 53");
    let tcp = TcpListener::bind(address).expect("port 53");
    let name_server = NameServer::on((udp, tcp), zone);
    let scenario = Scenario::selling().await;
    let not_now = "no name server resolved host name";
    for (host, code, error, cause) in [
        (
            "gone.test",
            "name-not-resolved",
            "NXDOMAIN",
            "`gone.test` does not exist",
        ),
        (
            "empty.test",
            "name-not-resolved",
            "NODATA",
            "`empty.test` exists, but has no address",
        ),
        ("failing.test", "name-not-resolved", "", not_now),
        ("refusing.test", "name-not-resolved", "", not_now),
        // glibc would go on for twenty seconds.
        (
            "silent.test",
            "name-not-resolved",
            "",
            "did not answer for host name `silent.test` within 12s",
        ),
        (
            "there.test",
            "server-unreachable",
            "",
            "127.0.0.1:443: Connection refused",
        ),
        ("pinned.test", "address-prohibited", "", "`10.1.2.3`"),
    ] {
        let (problem, fields) = told_of(&scenario, host).await;
        assert_eq!(problem, code, "{host}: {fields}");
        let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        assert!(field("error").contains(error), "{host}: {fields}");
        for other in ["NXDOMAIN", "NODATA"] {
            assert_eq!(field("error").contains(other), error == other, "{host}: {fields}");
        }
        assert!(field("cause").contains(cause), "{host}: {fields}");
    }
    drop(name_server);
    let (problem, fields) = told_of(&scenario, "gone.test").await;
    assert_eq!(problem, "name-not-resolved");
    assert!(
        fields["cause"].as_str().is_some_and(|it| it.contains(not_now)),
        "{fields}"
    );
}

/// What becomes of an instance whose server is known by names with many addresses, and the addresses that were tried.
async fn tried(scenario: &Scenario, host: &str) -> (String, Vec<String>) {
    let (problem, _) = told_of(scenario, host).await;
    let traces = Traces::new(&scenario.folder.path().join("bss"));
    let last = traces.last(1, |_| true).expect("the traces").remove(0);
    let call = traces.find(&last.call).expect("the traces").remove(0);
    let mut addresses = Vec::new();
    let to_host = exchange_with(&call.root, host).expect("an exchange");
    connects_in(to_host, &mut addresses);
    (problem, addresses)
}

fn connects_in(span: &TraceSpan, addresses: &mut Vec<String>) {
    if span.name == "connect" {
        addresses.extend(span.fields["address"].as_str().map(str::to_owned));
    }
    span.spans.iter().for_each(|span| connects_in(span, addresses));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_behind_silent_name_servers_dead_addresses_and_dns64() {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(
            "resolver::a_server_is_reached_behind_silent_name_servers_dead_addresses_and_dns64",
            LAST_OF_THREE,
        );
    }
    let silent: Vec<UdpSocket> = [2, 3]
        .map(|last| UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 53)))
        .into_iter()
        .map(|bound| bound.expect("port 53"))
        .collect();
    let mut zone = Zone::default()
        .address("eight.test", "127.0.0.1")
        .address("many.test", "127.0.0.1")
        .address("dns64.test", "64:ff9b::10.1.2.3")
        .address("dns64.test", "127.0.0.1")
        .address("behind.test", "64:ff9b::127.0.0.1")
        .address("inside.test", "64:ff9b::10.1.2.3");
    for number in 1..=8 {
        zone = zone.address("eight.test", &format!("2001:db8::{number}"));
    }
    for number in 1..=20 {
        zone = zone.address("many.test", &format!("192.0.2.{number}"));
    }
    let address = (Ipv4Addr::LOCALHOST, 53);
    let udp = UdpSocket::bind(address).expect("port 53");
    let tcp = TcpListener::bind(address).expect("port 53");
    let _name_server = NameServer::on((udp, tcp), zone);
    let scenario = Scenario::selling().await;
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let url: http::Uri = instance.values["service-url"].parse().expect("a URL");
    let port = url.port_u16().expect("a port");
    let live = format!("127.0.0.1:{port}");

    // The server answers by a certificate of another name: so it was reached, and the others were not.
    for (name, dead) in [("eight.test", 8), ("many.test", 20), ("dns64.test", 0)] {
        let (problem, addresses) = tried(&scenario, &format!("{name}:{port}")).await;
        assert_eq!(problem, "server-not-trusted", "{name}");
        assert!(addresses.contains(&live), "{addresses:?}");
        assert!(addresses.len() <= dead + 1, "{addresses:?}");
        assert!(
            !addresses.iter().any(|address| address.contains("64:ff9b")),
            "{addresses:?}"
        );
    }
    // The IPv4 address inside is one of an allowed network; without a NAT64, there is no way to it.
    let (problem, addresses) = tried(&scenario, &format!("behind.test:{port}")).await;
    assert_eq!(problem, "server-unreachable");
    assert_eq!(addresses, [format!("[64:ff9b::7f00:1]:{port}")]);
    let (problem, addresses) = tried(&scenario, &format!("inside.test:{port}")).await;
    assert_eq!((problem.as_str(), addresses.len()), ("address-prohibited", 0));
    drop(silent);
}

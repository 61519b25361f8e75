//! HTTP proxies: from the environment, or an instance's own; who is told what, and what an operator reads.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use bss_model::{AttemptResult, ProxyChoice, SyncStatus};
use bss_sandbox::bindings::failures::ReadFailure;
use bss_sandbox::call_trace::{TraceSpan, Traces};
use bss_simulator::{CertificateRequest, Operation};
use host_harness::ServicesError;
use serde_json::Value;

use crate::scenario::{INSTANCE, Scenario, actor, result, silent};

#[path = "../../host-harness/tests/outbound/connect_proxy.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the way out, which need more of it"
)]
mod connect_proxy;

use connect_proxy::{ConnectProxy, Does};

const PASSWORD: &str = "hidden-s3cr3t";
/// `user:hidden-s3cr3t` in base64.
const LOGIN: &str = "dXNlcjpoaWRkZW4tczNjcjN0";

async fn choose(scenario: &Scenario, instance: &str, url: &str) {
    let choice = ProxyChoice::Through(url.parse().expect("a proxy"));
    let chosen = scenario.host.choose_proxy(instance, &choice, &actor()).await;
    chosen.expect("it is chosen");
}

/// The proxies that were used, `none` among them, as the check of the connection shows them.
fn ways(check: &Value) -> BTreeSet<String> {
    let connections = check["connections"].as_array().expect("a list");
    let proxy = |connection: &Value| connection["proxy"].as_str().unwrap_or("none").to_owned();
    connections.iter().map(proxy).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_certificates_through_one_proxy_have_a_tunnel_each() {
    let scenario = Scenario::start().await;
    let proxy = ConnectProxy::start(Does::Connect).await;
    let mut thumbprints = BTreeSet::new();
    for name in ["one", "two"] {
        let thumbprint = scenario.install(&CertificateRequest::default()).await;
        scenario.ready_instance(name, &thumbprint).await;
        choose(&scenario, name, &proxy.url("")).await;
        thumbprints.insert(thumbprint.to_string());
    }
    for name in ["one", "two", "one", "two"] {
        let read = scenario.host.fetch_services(name, &actor(), silent()).await;
        read.expect("the catalog is read");
    }
    let connections = scenario.microsoft.connections();
    let seen: Vec<_> = connections.iter().filter(|it| it.requests > 0).collect();
    let of_each: BTreeSet<_> = seen
        .iter()
        .map(|it| it.client_certificate_thumbprint.clone())
        .collect();
    assert_eq!(of_each, thumbprints);
    assert_eq!(seen.len(), 2, "each keeps its own: {connections:?}");
    assert!(seen.iter().all(|connection| !connection.resumed));
    // A tunnel for each server of each instance: the login and the API.
    assert_eq!(proxy.asked().len(), 4, "{:?}", proxy.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_proxy_and_the_check_and_the_trace_say_which_way_was_taken() {
    let scenario = Scenario::ready().await;
    let proxy = ConnectProxy::start(Does::ConnectFor(LOGIN)).await;
    let url = proxy.url(&format!("user:{PASSWORD}@"));
    let check = |variables: &[(&str, &str)], json: bool| {
        let mut command = scenario.command(&["instance", "check", INSTANCE]);
        command
            .args(json.then_some("--json"))
            .envs(variables.iter().copied());
        let output = command.output().expect("it runs");
        assert!(!format!("{output:?}").contains(PASSWORD));
        output
    };
    let shown = "http://127.0.0.1:".to_owned() + &proxy.port.to_string();
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let output = check(&[(variable, &url)], true);
        assert_eq!(output.status.code(), Some(0), "{variable}: {output:?}");
        assert_eq!(ways(&result(&output)), [shown.clone()].into(), "{variable}");
    }
    let traces = Traces::new(&scenario.folder.path().join("bss"));
    let last = traces.last(1, |_| true).expect("the traces").remove(0);
    let call = traces.find(&last.call).expect("the traces").remove(0);
    let mut exchanges = Vec::new();
    exchanges_in(&call.root, &mut exchanges);
    assert!(!exchanges.is_empty());
    for exchange in exchanges {
        assert_eq!(exchange.fields["proxy"], shown.as_str(), "{:?}", exchange.fields);
        assert_eq!(exchange.fields["address"], shown.trim_start_matches("http://"));
    }
    let text = check(&[("HTTPS_PROXY", &url)], false);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains(&format!("through the proxy {shown}, at 127.0.0.1:")),
        "{text}"
    );

    let asked = proxy.asked().len();
    for direct in [
        &[("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "localhost")][..],
        &[],
    ] {
        let output = check(direct, true);
        assert_eq!(ways(&result(&output)), ["none".to_owned()].into(), "{output:?}");
    }
    assert_eq!(proxy.asked().len(), asked);

    for unusable in ["socks5h://user:hidden-s3cr3t@127.0.0.1:1", "https://127.0.0.1:1"] {
        let refused = check(&[("ALL_PROXY", unusable)], false);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            said.contains("`ALL_PROXY`") && said.contains("begins with `http://`"),
            "{said}"
        );
    }
    let mut odd = scenario.command(&["instance", "check", INSTANCE]);
    odd.env(
        "HTTPS_PROXY",
        std::ffi::OsStr::from_bytes(b"http://proxy\xff.test:1"),
    );
    let refused = odd.output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
    assert!(said.contains("`HTTPS_PROXY` is not UTF-8"), "{said}");
}

fn exchanges_in<'a>(span: &'a TraceSpan, found: &mut Vec<&'a TraceSpan>) {
    if span.name == "exchange" {
        found.push(span);
    }
    span.spans.iter().for_each(|span| exchanges_in(span, found));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_s_own_proxy_counts_more_than_the_environment_and_its_password_is_nowhere_in_clear() {
    let scenario = Scenario::ready().await;
    let proxy = ConnectProxy::start(Does::ConnectFor(LOGIN)).await;
    let file = scenario.folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("it is written");
    let file = file.to_str().expect("a path");
    let url = proxy.url("user@");
    let run = |arguments: &[&str]| {
        let mut command = scenario.command(arguments);
        // A proxy at which nobody listens.
        command.env("HTTPS_PROXY", "http://127.0.0.1:9");
        let output = command.output().expect("it runs");
        assert!(!format!("{output:?}").contains(PASSWORD), "{output:?}");
        output
    };
    let configured = run(&[
        "instance",
        "configure",
        INSTANCE,
        "--proxy",
        &url,
        "--proxy-password-file",
        file,
    ]);
    assert_eq!(configured.status.code(), Some(0), "{configured:?}");
    let shown = proxy.url("");
    let said = String::from_utf8_lossy(&configured.stdout).into_owned();
    assert!(
        said.contains(&format!("connects through the proxy {shown}")),
        "{said}"
    );
    let checked = run(&["instance", "check", INSTANCE, "--json"]);
    assert_eq!(ways(&result(&checked)), [shown.clone()].into(), "{checked:?}");

    // A change that is refused changes the proxy neither.
    let stale = run(&[
        "instance",
        "configure",
        INSTANCE,
        "--proxy",
        "none",
        "--set",
        "system-name=late",
        "--based-on",
        "1",
    ]);
    assert_eq!(stale.status.code(), Some(1), "{stale:?}");
    let still = run(&["instance", "show", INSTANCE, "--json"]);
    assert_eq!(result(&still)["proxy"], shown.as_str(), "{still:?}");

    // What the operator changes elsewhere leaves the proxy as it is.
    scenario.set("system-name", "renamed").await;
    let read = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    read.expect("the host's next call goes through it");

    let without = run(&["instance", "configure", INSTANCE, "--proxy", "none", "--json"]);
    assert_eq!(result(&without)["proxy"], "none", "{without:?}");
    let asked = proxy.asked().len();
    let direct = run(&["instance", "check", INSTANCE, "--json"]);
    assert_eq!(ways(&result(&direct)), ["none".to_owned()].into(), "{direct:?}");
    assert_eq!(proxy.asked().len(), asked);
    let of_host = run(&[
        "instance",
        "configure",
        INSTANCE,
        "--proxy",
        "environment",
        "--json",
    ]);
    assert_eq!(result(&of_host)["proxy"], Value::Null, "{of_host:?}");
    let failed = run(&["instance", "check", INSTANCE]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(
        said.contains("proxy-unreachable") && said.contains("http://127.0.0.1:9"),
        "{said}"
    );

    let acts = run(&["audit", "list", "--json"]);
    let acts = String::from_utf8_lossy(&acts.stdout).into_owned();
    assert!(acts.contains(&shown), "{acts}");
    for entry in std::fs::read_dir(scenario.folder.path().join("bss")).expect("the data directory") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("it can be read");
            for secret in [PASSWORD, LOGIN] {
                let found = bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes());
                assert!(!found, "{path:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_made_with_a_proxy_and_a_password_is_never_an_argument() {
    let scenario = Scenario::start().await;
    let create = |name: &str, proxy: &[&str]| {
        let mut arguments = vec!["instance", "create", name, "--currency", "EUR", "--json"];
        arguments.extend(proxy);
        scenario.bss_host(&arguments)
    };
    let made = create("one", &["--proxy", "http://user@Proxy.Test:3128"]);
    assert_eq!(result(&made)["proxy"], "http://proxy.test:3128", "{made:?}");
    let made = create("two", &["--proxy", "none"]);
    assert_eq!(result(&made)["proxy"], "none", "{made:?}");
    let made = create("three", &[]);
    assert_eq!(result(&made)["proxy"], Value::Null, "{made:?}");
    for typed in [
        "http://user:hidden-s3cr3t@proxy.test:3128",
        "https://user:hidden-s3cr3t@proxy.test:3128",
        "http://user:hidden-s3cr3t%zz@proxy.test:3128",
        "user:hidden-s3cr3t@",
    ] {
        let refused = create("four", &["--proxy", typed]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(!format!("{refused:?}").contains("s3cr3t"), "{refused:?}");
    }
    for (proxy, why) in [
        (
            &["--proxy", "http://user:hidden-s3cr3t@proxy.test:3128"][..],
            "--proxy-password-file",
        ),
        (&["--proxy", "https://proxy.test:3128"], "begins with `http://`"),
        (
            &["--proxy", "none", "--proxy-password-file", "x"],
            "comes with the URL of a proxy",
        ),
        (
            &["--proxy", "http://h:1", "--proxy-password-file", "x"],
            "comes with a user",
        ),
    ] {
        let refused = create("none", proxy);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(why),
            "{refused:?}"
        );
    }
    assert!(
        scenario
            .host
            .record()
            .instance("none")
            .await
            .expect("the record")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_and_an_order_waits_for_it_with_nothing_sent() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let page = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\n\r\n<html>Blocked</html>";
    let proxy = ConnectProxy::start(Does::Say(page)).await;
    choose(&scenario, INSTANCE, &proxy.url("")).await;
    let before = scenario.microsoft.faults().requests_seen(Operation::AccessToken);
    let failed = scenario.host.fetch_services(INSTANCE, &actor(), silent()).await;
    let Err(ServicesError::Read(ReadFailure::Unavailable(delay))) = failed else {
        panic!("{failed:?}")
    };
    let problem = delay.problem;
    assert_eq!(problem.code, "proxy-refused");
    for part in ["HTTP 403", "Nothing was sent to the server", &proxy.url("")] {
        assert!(problem.message.contains(part), "{problem:?}");
    }
    assert!(problem.advice.contains("Ask who runs the proxy"), "{problem:?}");

    let assets = scenario.order(&offer, 1).await;
    assert_eq!(assets[0].sync_status, SyncStatus::Unsynchronised);
    let reason = assets[0].reason.as_ref().expect("a reason");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (AttemptResult::Unavailable, "proxy-refused")
    );
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::AccessToken),
        before
    );
    assert!(scenario.issued().await.is_empty());

    // As soon as the proxy lets it through, it is bought, once.
    let open = ConnectProxy::start(Does::Connect).await;
    choose(&scenario, INSTANCE, &open.url("")).await;
    let bought = scenario.host.retry_asset(assets[0].id, &actor(), silent()).await;
    bought.expect("it is tried");
    assert_eq!(scenario.issued().await.len(), 1);
}

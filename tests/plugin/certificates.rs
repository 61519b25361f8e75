//! The commands about installed certificates.

use bss_simulator::{CertificateRequest, ExtendedKeyUsage};
use serde_json::Value;

use crate::scenario::{INSTANCE, Scenario};

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
}

//! Webhooks that the host signs, verified by the libraries of Standard Webhooks for Python and JavaScript.

use std::process::Output;

use bss_model::NewWebhook;
use serde_json::{Value, json};

use super::{complaint, fed, own, program, python, tools};
use crate::scenario::{Scenario, actor};
use crate::webhook_receiver::Receiver;

/// An event that a receiver was sent, with what verifies it.
async fn sent() -> Value {
    let (scenario, receiver) = (Scenario::start().await, Receiver::start());
    let new = NewWebhook {
        url: receiver.url(),
        owner: None,
        kinds: Vec::new(),
        allowed_networks: ["127.0.0.0/8", "::1/128"]
            .map(|network| network.parse().expect("a network"))
            .to_vec(),
        trusted_authorities_pem: Some(receiver.authority_pem.clone()),
    };
    let created = scenario
        .host
        .create_webhook(new, &actor())
        .await
        .expect("a webhook");
    let answer = scenario
        .host
        .test_webhook(created.webhook.id)
        .await
        .expect("an answer");
    assert_eq!(answer.problem, None);
    let received = receiver.received().remove(0);
    json!({
        "secret": created.signing_secret.expose(),
        "publicKey": created.webhook.public_key,
        "headers": received.headers,
        "body": received.body,
    })
}

fn node(input: &Value) -> Output {
    let script = own("verify_webhook.cjs");
    fed(
        program("node").arg(script).arg(tools().join("npm")),
        &input.to_string(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_libraries_of_the_standard_verify_what_a_receiver_is_sent_and_refuse_what_was_altered() {
    let sent = sent().await;
    for output in [python("verify_webhook.py", &[], &sent.to_string()), node(&sent)] {
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim(), "webhook.test", "{output:?}");
    }
    let mut altered = sent.clone();
    altered["body"] = json!(sent["body"].as_str().expect("a text").replace("test", "best"));
    assert!(complaint(&python("verify_webhook.py", &[], &altered.to_string())).contains("v1"));
    assert!(complaint(&node(&altered)).contains("signature"));
    let mut of_another = sent.clone();
    of_another["publicKey"] = json!(format!("whpk_{}", "A".repeat(43) + "="));
    assert!(complaint(&python("verify_webhook.py", &[], &of_another.to_string())).contains("v1a"));
}

//! Webhooks from the command line: a receiver of this machine is told what came of licenses, and can verify who told it.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::scenario::{ATTENTION, DONE, NO_ANSWER, REFUSED, Scenario, assert_ends};
use crate::webhook_receiver::{Received, Receiver};

/// The arguments that put a receiver on record.
fn create(scenario: &Scenario, receiver: &Receiver, more: &[&str]) -> Vec<String> {
    let file: PathBuf = scenario.folder.path().join("receiver.pem");
    std::fs::write(&file, &receiver.authority_pem).expect("the authority's file");
    let (url, file) = (receiver.url(), file.to_str().expect("text").to_owned());
    let mut arguments: Vec<String> = ["webhook", "create", &url, "--trust", &file]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(more.iter().map(|more| (*more).to_owned()));
    arguments
}

fn run(scenario: &Scenario, arguments: &[String]) -> Value {
    scenario.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

const LOOPBACK: [&str; 4] = ["--allow-network", "127.0.0.0/8", "--allow-network", "::1/128"];

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_of_a_license_signed_and_without_its_key_and_again_until_it_takes_it() {
    let (scenario, receiver) = (Scenario::selling().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let secret = created["signingSecret"].as_str().expect("a secret").to_owned();
    assert!(created["publicKey"].as_str().expect("a key").starts_with("whpk_"));
    let listed = scenario.json(&["webhook", "list"]);
    assert_eq!(listed[0]["state"], "on");
    assert!(!listed.to_string().contains(&secret), "it is shown once");

    let offer = scenario.offers().await.remove(0);
    let asset = scenario.order(&offer, 1).await.remove(0);
    receiver.answer(&[503]);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let pending = scenario.json(&["webhook", "deliveries", "--state", "pending"]);
    assert_eq!(
        (&pending[0]["attempts"], &pending[0]["type"]),
        (&json!(1), &json!("asset.licensed"))
    );
    let delivery = pending[0]["id"].as_str().expect("an id").to_owned();
    let webhook = created["id"].as_str().expect("an id").to_owned();
    assert_ends(
        &scenario.bss_host(&["webhook", "redeliver", &webhook[..8], &delivery]),
        DONE,
    );
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let attempts = scenario.json(&["webhook", "attempts", &delivery]);
    let statuses: Vec<_> = attempts
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| attempt["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(503), json!(204)]);

    let received = receiver.received();
    assert_eq!(received.len(), 2);
    let secrets = scenario.secrets(std::slice::from_ref(&asset)).await.remove(0);
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").expect("its form").as_bytes())
        .expect("Base64");
    for Received { headers, body } in &received {
        assert_eq!(headers["webhook-id"], received[0].headers["webhook-id"]);
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(event["type"], "asset.licensed");
        assert_eq!(event["data"]["assetId"], json!(asset.id));
        assert!(!body.contains(secrets.product_key.expose()), "{body}");
        let message = format!(
            "{}.{}.{body}",
            headers["webhook-id"], headers["webhook-timestamp"]
        );
        let signature = headers["webhook-signature"]
            .split(' ')
            .find_map(|signature| signature.strip_prefix("v1,"))
            .expect("a signature");
        let tag = BASE64.decode(signature.as_bytes()).expect("Base64");
        let verifier = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&verifier, message.as_bytes(), &tag).expect("it is signed");
    }
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(receiver.received().len(), 2, "what was taken is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_switched_off_with_an_alert_until_it_is_enabled() {
    let (scenario, receiver) = (Scenario::selling().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let webhook = created["id"].as_str().expect("an id").to_owned();
    let offer = scenario.offers().await.remove(0);
    scenario.order(&offer, 1).await;
    receiver.answer(&[410]);
    let ended = scenario.bss_host(&["run", "--once"]);
    assert_ends(&ended, ATTENTION);
    let listed = scenario.json(&["webhook", "list"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["problem"]["code"]),
        (&json!("off"), &json!("webhook-gone"))
    );
    let alerts = scenario.json(&["alert", "list"]);
    assert_eq!(alerts[0]["kind"], "webhook-off");
    assert_ends(&scenario.bss_host(&["webhook", "enable", &webhook]), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let told = scenario.json(&["webhook", "deliveries", &webhook]);
    assert_eq!(told[0]["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_in_a_network_that_is_not_public_or_elsewhere_is_told_nothing() {
    let (scenario, receiver) = (Scenario::ready().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &[]));
    let webhook = created["id"].as_str().expect("an id").to_owned();
    let tried = scenario.bss_host(&["webhook", "test", &webhook, "--json"]);
    assert_ends(&tried, NO_ANSWER);
    assert_eq!(
        receiver.received().len(),
        0,
        "nothing left for this machine's own network"
    );

    let allowed = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let allowed = allowed["id"].as_str().expect("an id").to_owned();
    receiver.answer(&[302]);
    let redirected = scenario.bss_host(&["webhook", "test", &allowed]);
    assert_ends(&redirected, NO_ANSWER);
    assert_ends(&scenario.bss_host(&["webhook", "test", &allowed]), DONE);
    assert_eq!(receiver.received().len(), 2);

    for wrong in ["http://localhost/", "https://user:word@localhost/"] {
        let refused = scenario.bss_host(&["webhook", "create", wrong]);
        assert_ends(&refused, REFUSED);
    }
    assert_ends(&scenario.bss_host(&["webhook", "remove", &webhook]), DONE);
    assert_ends(&scenario.bss_host(&["webhook", "remove", &webhook]), REFUSED);
}

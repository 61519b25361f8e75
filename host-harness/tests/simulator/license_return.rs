//! Returning a license.

use bss_simulator::TokenStatus;
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, Microsoft, Reply};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Buys a license and returns its id.
async fn bought(client: &Client, access_token: &str, offer_id: &str) -> String {
    let mut purchase = client.purchase();
    purchase["offerId"] = json!(offer_id);
    let reply = client.post("/tokens", access_token, &purchase).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    reply.json()["tokenId"].as_str().unwrap().to_owned()
}

async fn give_back(client: &Client, access_token: &str, id: &str, body: &Value) -> Reply {
    client
        .post(&format!("/tokens/{id}/return"), access_token, body)
        .await
}

fn a_return() -> Value {
    json!({ "clientTransactionId": Uuid::new_v4(), "reason": "bestellt, nicht gebraucht" })
}

#[tokio::test]
async fn an_unused_license_is_taken_back_once() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let id = bought(&client, &access_token, "EP2-06798").await;
    let asked = a_return();
    let first = give_back(&client, &access_token, &id, &asked).await;
    assert_eq!(first.status, StatusCode::OK, "{:?}", first.body);
    microsoft.simulator.move_clock(DAY);
    let again = give_back(&client, &access_token, &id, &asked).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, first.json()));
    let other = give_back(&client, &access_token, &id, &a_return()).await;
    assert_eq!(
        (other.status, other.code().as_str()),
        (StatusCode::CONFLICT, "AlreadyReturned")
    );

    let license = client.get(&format!("/tokens/{id}"), &access_token).await.json();
    assert_eq!(
        (&license["tokenStatus"], &license["returnStatus"]),
        (&json!("Return Accepted"), &json!("SUCCESSFUL"))
    );
    let entry = microsoft.simulator.ledger().await.unwrap().remove(0);
    assert_eq!(entry.token_status, TokenStatus::ReturnAccepted);
    assert_eq!(entry.return_reason.as_deref(), Some("bestellt, nicht gebraucht"));
    assert_eq!(
        entry.return_client_transaction_id.as_deref(),
        asked["clientTransactionId"].as_str()
    );
}

#[tokio::test]
async fn one_return_is_of_one_license() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let first = bought(&client, &access_token, "EP2-06798").await;
    let second = bought(&client, &access_token, "EP2-06798").await;
    let asked = a_return();
    assert_eq!(
        give_back(&client, &access_token, &first, &asked).await.status,
        StatusCode::OK
    );
    assert_eq!(
        give_back(&client, &access_token, &second, &asked).await.code(),
        "DuplicateTransaction"
    );
    let license = client
        .get(&format!("/tokens/{second}"), &access_token)
        .await
        .json();
    assert_eq!(license["tokenStatus"], "Activated");
}

#[tokio::test]
async fn a_redeemed_license_stays_with_its_customer() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let id = bought(&client, &access_token, "EP2-06798").await;
    microsoft.simulator.redeem(&id).await.unwrap();
    assert_eq!(
        give_back(&client, &access_token, &id, &a_return()).await.code(),
        "TokenAlreadyRedeemed"
    );
    let license = client.get(&format!("/tokens/{id}"), &access_token).await.json();
    assert_eq!(
        (&license["tokenStatus"], &license["returnStatus"]),
        (&json!("Redeemed"), &json!("NONE"))
    );
    assert!(microsoft.simulator.redeem(&id).await.is_err());
}

#[tokio::test]
async fn a_returned_license_can_not_be_redeemed() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let id = bought(&client, &access_token, "EP2-06798").await;
    assert_eq!(
        give_back(&client, &access_token, &id, &a_return()).await.status,
        StatusCode::OK
    );
    let error = microsoft.simulator.redeem(&id).await.unwrap_err();
    assert!(error.to_string().contains(&id), "{error}");
}

#[tokio::test]
async fn the_return_window_is_thirty_days() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let in_time = bought(&client, &access_token, "EP2-06798").await;
    let too_late = bought(&client, &access_token, "EP2-06798").await;
    microsoft
        .simulator
        .move_clock(30 * DAY - SignedDuration::from_mins(10));
    assert_eq!(
        give_back(&client, &access_token, &in_time, &a_return())
            .await
            .status,
        StatusCode::OK
    );
    microsoft.simulator.move_clock(SignedDuration::from_mins(11));
    let reply = give_back(&client, &access_token, &too_late, &a_return()).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::CONFLICT, "ReturnWindowExpired")
    );
}

#[tokio::test]
async fn a_license_that_is_not_returnable_and_one_that_never_was_are_refused() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let id = bought(&client, &access_token, "KW9-00664").await;
    assert_eq!(
        give_back(&client, &access_token, &id, &a_return()).await.code(),
        "NotReturnable"
    );
    let nobody = Uuid::new_v4().to_string();
    assert_eq!(
        give_back(&client, &access_token, &nobody, &a_return())
            .await
            .code(),
        "TokenNotFound"
    );
    for body in [
        json!({}),
        json!({ "clientTransactionId": "x" }),
        json!({ "clientTransactionId": Uuid::new_v4(), "reason": "x".repeat(1001) }),
        json!({ "clientTransactionId": Uuid::new_v4(), "refund": true }),
    ] {
        assert_eq!(
            give_back(&client, &access_token, &id, &body).await.code(),
            "InvalidRequest",
            "{body}"
        );
    }
}

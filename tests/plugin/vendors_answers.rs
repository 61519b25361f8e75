//! Answers as other people have met them: pages of what stands between, details that are written in another way, an account
//! that is not in order. A license that was bought reaches its customer, and nobody but the vendor refuses an order.

use bss_model::{Asset, AttemptResult, SyncStatus};
use bss_simulator::{Fault, Operation, Repeat, Rewriting, When};
use serde_json::{Value, json};

use crate::scenario::{INSTANCE, Scenario, actor, order_request, silent};

/// Orders a license, and runs the order until nothing more can be done now.
async fn ordered(scenario: &Scenario, offer: &str) -> Asset {
    scenario.order(offer, 1).await.remove(0)
}

async fn forget_access_tokens(scenario: &Scenario) {
    // A save of the settings drops what was obtained with the former ones.
    scenario
        .set("system-name", &uuid::Uuid::new_v4().to_string())
        .await;
}

fn member(name: &'static str, value: Value) -> Fault {
    Fault::Rewritten(Rewriting::Member(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_proxy_filter_or_gateway_fails_no_order() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let faults = scenario.microsoft.faults();
    let mut bought = 0;
    for status in [302, 400, 403, 405, 407, 421] {
        let page = Fault::Html(status, When::BeforeActing);
        for operation in [Operation::AccessToken, Operation::Purchase] {
            if operation == Operation::Purchase && matches!(status, 302 | 403) {
                continue; // In doubt, and looked up for minutes: see below.
            }
            forget_access_tokens(&scenario).await;
            // The host itself repeats a request that was misdirected, once.
            let times = if status == 421 { 2 } else { 1 };
            faults.order(operation, page.clone(), Repeat::Times(times));
            let asset = ordered(&scenario, &offer).await;
            assert_eq!(
                asset.sync_status,
                SyncStatus::Synchronized,
                "{operation:?}, {status}"
            );
            bought += 1;
            assert_eq!(scenario.issued().await.len(), bought);
            let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
            let first = attempts[0].problem.as_ref().expect("the page is told of");
            assert!(
                first.message.contains(&format!("HTTP {status}, the page")),
                "{first:?}"
            );
            assert!(
                first.message.starts_with("Something other than Microsoft"),
                "{first:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_is_redirected_or_withheld_is_looked_up_and_not_given_up() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let faults = scenario.microsoft.faults();
    let cases = [302, 403].map(|status| [(status, When::BeforeActing), (status, When::AfterActing)]);
    for (status, when) in cases.concat() {
        faults.order(Operation::Purchase, Fault::Html(status, when), Repeat::Times(1));
        let asset = ordered(&scenario, &offer).await;
        let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
        assert_eq!(attempts[0].result, Some(AttemptResult::Unknown));
        assert_ne!(asset.sync_status, SyncStatus::Failed);
        if when == When::AfterActing {
            assert_eq!(asset.sync_status, SyncStatus::Synchronized, "it was found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_way_of_a_look_up_is_no_word_about_the_license() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let asset = ordered(&scenario, &offer).await;
    let faults = scenario.microsoft.faults();
    for status in [302, 403, 404, 407] {
        faults.order(
            Operation::LookUp,
            Fault::Html(status, When::BeforeActing),
            Repeat::Times(1),
        );
        let refreshed = scenario.host.refresh_license(asset.id, silent()).await;
        assert!(refreshed.is_err(), "{status}");
    }
    let after = scenario.assets().await.remove(0);
    assert_eq!(after.license_token_status, asset.license_token_status);
    scenario
        .host
        .refresh_license(asset.id, silent())
        .await
        .expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_reaches_its_customer_however_its_details_are_written() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let faults = scenario.microsoft.faults();
    let all = || {
        [
            ("tokenStatus", json!("activated")),
            ("tokenStatus", json!("Provisioning")),
            ("tokenStatus", Value::Null),
            ("returnStatus", json!("PENDING")),
            ("returnStatus", Value::Null),
            ("purchasedAt", json!("2026-11-22T15:04:05.1234567")),
            ("purchasedAt", json!("2026-11-22T15:04:05+02:00")),
            ("purchasedAt", json!(1_795_359_845)),
            ("purchasedAt", json!("yesterday")),
            ("returnableUntil", json!("31.12.2026")),
            ("transactionId", json!(4711)),
            ("transactionId", Value::Null),
            ("productKey", json!(" AAAAA-BBBBB-CCCCC-DDDDD-EEEE1\r\n")),
            ("productKey", json!("\u{FEFF}AAAAA BBBBB CCCCC DDDDD EEEE2")),
            ("redemptionUrl", json!(false)),
        ]
        .map(|(name, value)| member(name, value))
        .into_iter()
        .chain([
            Fault::Rewritten(Rewriting::Gzip),
            Fault::Rewritten(Rewriting::ByteOrderMark),
        ])
    };
    for (number, fault) in all().enumerate() {
        let told = format!("{fault:?}");
        faults.order(Operation::Purchase, fault, Repeat::Times(1));
        let asset = ordered(&scenario, &offer).await;
        assert_eq!(asset.sync_status, SyncStatus::Synchronized, "{told}");
        let secrets = scenario.secrets(std::slice::from_ref(&asset)).await.remove(0);
        assert_eq!(secrets.product_key.expose().len(), 29, "{told}");
        assert!(asset.transaction_id.is_some());
        assert_eq!(scenario.issued().await.len(), number + 1, "{told}");
        let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
        assert_eq!(attempts.len(), 1, "{told}: it was taken at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_upper_case_is_the_same_id() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let placed = scenario
        .host
        .place_order(INSTANCE, order_request(&offer, 1), &actor())
        .await;
    let order = placed.expect("it is placed").into_order().id;
    let asset = scenario.assets().await.remove(0);
    let id = asset.client_transaction_id.to_string().to_uppercase();
    let upper = member("clientTransactionId", json!(id));
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, upper, Repeat::Times(1));
    let assets = scenario.host.run_order(order, silent()).await.expect("it is run");
    assert_eq!(assets[0].sync_status, SyncStatus::Synchronized);
    let of_another = member("clientTransactionId", json!(uuid::Uuid::new_v4()));
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, of_another, Repeat::Times(1));
    let asset = ordered(&scenario, &offer).await;
    let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
    assert_eq!(
        attempts[0].result,
        Some(AttemptResult::Unknown),
        "another's license is not taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_is_read_for_its_state_keeps_the_one_on_record_where_that_is_unknown() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let asset = ordered(&scenario, &offer).await;
    let unknown = member("tokenStatus", json!("Suspended"));
    scenario
        .microsoft
        .faults()
        .order(Operation::LookUp, unknown, Repeat::Times(1));
    let refreshed = scenario.host.refresh_license(asset.id, silent()).await;
    assert!(refreshed.is_err());
    let upper = asset
        .license_token_id
        .as_deref()
        .expect("a license")
        .to_uppercase();
    let upper = member("tokenId", json!(upper));
    scenario
        .microsoft
        .faults()
        .order(Operation::LookUp, upper, Repeat::Times(1));
    let refreshed = scenario
        .host
        .refresh_license(asset.id, silent())
        .await
        .expect("an answer");
    assert_eq!(refreshed.asset.license_token_id, asset.license_token_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_of_which_little_is_said_buys_too() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let faults = scenario.microsoft.faults();
    for fault in [
        member("expires_in", Value::Null),
        member("expires_in", json!("3599")),
        member("expires_in", json!(3599.5)),
        member("token_type", json!("bearer")),
        Fault::Rewritten(Rewriting::Gzip),
        Fault::Rewritten(Rewriting::ByteOrderMark),
    ] {
        forget_access_tokens(&scenario).await;
        let told = format!("{fault:?}");
        let asked = faults.requests_seen(Operation::AccessToken);
        faults.order(Operation::AccessToken, fault, Repeat::Times(1));
        let asset = ordered(&scenario, &offer).await;
        assert_eq!(asset.sync_status, SyncStatus::Synchronized, "{told}");
        assert_eq!(faults.requests_seen(Operation::AccessToken), asked + 1, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_holds_the_instance_and_its_orders_go_on_by_themselves() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let faults = scenario.microsoft.faults();
    let no_credit = Fault::Refusal {
        status: 402,
        code: "CreditExhausted".into(),
        retry_after: None,
    };
    faults.order(Operation::Purchase, no_credit, Repeat::Always);
    let assets = scenario.order(&offer, 3).await;
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Unsynchronised)
    );
    let mut said = assets.iter().filter_map(|asset| asset.reason.as_ref()).peekable();
    assert!(said.peek().is_some());
    for reason in said {
        assert_eq!(
            (reason.result, reason.problem.code.as_str()),
            (AttemptResult::Unavailable, "credit-exhausted")
        );
    }
    faults.clear();
    // The account is in order again, and nobody says so to the host.
    let order = assets[0].order_id;
    let again = scenario.host.run_order(order, silent()).await.expect("it is run");
    assert!(
        again
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Synchronized),
        "{again:?}"
    );
}

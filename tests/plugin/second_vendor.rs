//! A second vendor, with an API key and a plugin of its own, in the same host and record as Microsoft.

use std::time::{Duration, Instant};

use acme_keys_vendor::{Fault, Route, State};
use bss_model::{Asset, AssetStatus, AttemptResult, CancellationState, LicenseTokenStatus, SyncStatus};
use bss_simulator::TokenStatus;
use host_harness::{ConfigureError, Host};

use crate::acme::{self, ACME, Acme, KEY, TEAM, configure};
use crate::scenario::{
    DONE, INSTANCE, PRICE, Scenario, actor, assert_ends, at_once, order_request, requester, silent,
};

const SOON: Duration = Duration::from_secs(30);

async fn one(scenario: &Scenario) -> Asset {
    acme::order(scenario, KEY, 1).await.remove(0)
}

async fn now(host: &Host, asset: &Asset) -> Asset {
    let found = host.record().asset(asset.id).await.expect("the record");
    found.expect("the asset")
}

async fn results(host: &Host, asset: &Asset) -> Vec<AttemptResult> {
    let attempts = host.record().attempts(asset.id).await.expect("attempts");
    attempts
        .into_iter()
        .filter_map(|attempt| attempt.result)
        .collect()
}

/// Goes on with an order until its license is there or has failed.
async fn until_settled(host: &Host, asset: &Asset) -> Asset {
    let begin = Instant::now();
    loop {
        let assets = host.run_order(asset.order_id, silent()).await.expect("it is run");
        let asset = assets.into_iter().find(|of_order| of_order.id == asset.id);
        let asset = asset.expect("the asset");
        if asset.sync_status != SyncStatus::Unsynchronised {
            return asset;
        }
        assert!(begin.elapsed() < SOON, "{:?}", asset.reason);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_buys_and_returns_at_both_vendors_each_license_at_its_own() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let host = &scenario.host;
    let offer = scenario.offers().await.remove(0);
    for (instance, product) in [(INSTANCE, offer.as_str()), (ACME, KEY)] {
        let placed = host
            .place_order(instance, order_request(product, 3), &actor())
            .await;
        placed.expect("it is placed");
    }
    host.work_once(&at_once(4), std::future::pending())
        .await
        .expect("it works");
    let assets = scenario.assets().await;
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Synchronized)
    );
    assert_eq!(
        (scenario.issued().await.len(), acme.vendor.ledger().len()),
        (3, 3)
    );
    let of_acme: Vec<Asset> = assets
        .iter()
        .filter(|asset| asset.product_code == KEY)
        .cloned()
        .collect();
    assert_eq!(acme.bought_by(&of_acme), 3);

    for asset in &assets {
        let cancelled = host.cancel_now(asset.id, &requester(), "", &actor()).await;
        cancelled.expect("it is cancelled");
    }
    host.work_once(&at_once(4), std::future::pending())
        .await
        .expect("it works");
    for asset in scenario.assets().await {
        assert_eq!(asset.status, AssetStatus::Cancelled);
        assert_eq!(asset.license_token_status, Some(LicenseTokenStatus::Returned));
    }
    assert!(
        acme.vendor
            .ledger()
            .iter()
            .all(|sold| sold.state == State::Returned)
    );
    let microsoft = scenario.microsoft.ledger().await.expect("the ledger");
    assert!(
        microsoft
            .iter()
            .all(|entry| entry.token_status == TokenStatus::ReturnAccepted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_split_is_bought_charged_and_credited_as_one_license_for_all_units() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let checked = scenario.host.check_order(ACME, order_request(TEAM, 5), silent());
    checked.await.expect("it could be placed");
    let [team] = acme::order(&scenario, TEAM, 5).await.try_into().expect("one");
    let keys = acme::order(&scenario, KEY, 2).await;
    let sold: Vec<_> = acme
        .vendor
        .ledger()
        .iter()
        .map(|sold| (sold.sku.clone(), sold.quantity))
        .collect();
    let expected = [(TEAM, 5), (KEY, 1), (KEY, 1)].map(|(sku, quantity)| (sku.to_owned(), quantity));
    assert_eq!(sold, expected);

    let cancelled = scenario
        .host
        .cancel_now(team.id, &requester(), "", &actor())
        .await;
    cancelled.expect("it is cancelled");
    let host = &scenario.host;
    host.work_once(&at_once(1), std::future::pending())
        .await
        .expect("it works");
    let order = team.order_id.to_string();
    let charge = &scenario.json(&["charge", "show", &order])[0];
    let [line, credit] = [&charge["lines"][0], &charge["credits"][0]];
    assert_eq!(line["quantity"], 5);
    for amount in [&line["price"], &charge["total"], &credit["price"]] {
        assert_eq!(amount["minorUnits"], 5 * PRICE, "{charge}");
    }
    assert_eq!(charge["credits"].as_array().map(Vec::len), Some(1));
    let table = |order: &str| {
        let output = scenario.bss_host(&["charge", "show", order]);
        assert_ends(&output, DONE);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let of_team = table(&order);
    assert!(of_team.contains("5 × Anvil for teams"), "{of_team}");
    let of_keys = table(&keys[0].order_id.to_string());
    assert!(
        of_keys.contains("Anvil Home") && !of_keys.contains('×'),
        "{of_keys}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_looked_up_and_nothing_is_bought_twice() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    for fault in [
        Fault::LoseAnswer,
        Fault::GarbleAnswer,
        Fault::Status(500, None),
        Fault::LoseRequest,
    ] {
        acme.vendor.faults().order(Route::Purchase, fault);
        let asset = until_settled(&scenario.host, &one(&scenario).await).await;
        assert_eq!(asset.sync_status, SyncStatus::Synchronized, "{fault:?}");
        assert_eq!(acme.bought_by(&[asset]), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_vendor_has_taken_is_looked_up_until_the_license_is_there_and_never_sent_again() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    acme.vendor.faults().order(Route::Purchase, Fault::Pending(2));
    let asset = one(&scenario).await;
    let reason = asset.reason.clone().expect("it is not there yet");
    assert_eq!(
        (reason.result, reason.problem.code.as_str()),
        (AttemptResult::Accepted, "accepted")
    );
    let asset = until_settled(&scenario.host, &asset).await;
    assert_eq!(asset.sync_status, SyncStatus::Synchronized);
    assert_eq!(acme.bought_by(std::slice::from_ref(&asset)), 1);
    let results = results(&scenario.host, &asset).await;
    assert!(
        results.ends_with(&[AttemptResult::Accepted, AttemptResult::Licensed]),
        "{results:?}"
    );
    let purchases = acme.vendor.requests();
    let purchases = purchases
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert_eq!(purchases, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_vendor_declines_in_the_end_has_failed_with_its_reason() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    acme.vendor.faults().order(Route::Purchase, Fault::Decline(1));
    let asset = until_settled(&scenario.host, &one(&scenario).await).await;
    assert_eq!(asset.sync_status, SyncStatus::Failed);
    assert_eq!(asset.reason.expect("a reason").problem.code, "order-declined");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_taken_and_is_not_known_any_more_waits_for_an_operator() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    acme.vendor.faults().order(Route::Purchase, Fault::Pending(1_000));
    let asset = one(&scenario).await;
    // The account's orders are gone: the key is of another one.
    let other = acme.vendor.new_account().expect("an account");
    let values = [("account", other.number)];
    assert!(
        configure(&scenario, &values, Some(&other.api_key))
            .await
            .expect("the form")
            .saved
    );
    until_it_waits_for(&scenario, &asset, "accepted-by-another").await;
    assert_eq!(acme.vendor.ledger().len(), 1);
    let tried = scenario
        .host
        .retry_asset(asset.id, &actor(), silent())
        .await
        .expect("it is tried");
    assert_eq!(
        tried.sync_status,
        SyncStatus::Synchronized,
        "an operator has decided"
    );
}

/// Attempts an order until its license waits for a reason of that code, and answers with what the reason says.
async fn until_it_waits_for(scenario: &Scenario, asset: &Asset, code: &str) -> bss_model::Problem {
    let begin = Instant::now();
    loop {
        let run = scenario.host.run_order(asset.order_id, silent()).await;
        let reason = run.expect("it is run").remove(0).reason.expect("it is not there");
        if reason.problem.code == code {
            return reason.problem;
        }
        assert!(begin.elapsed() < SOON, "{reason:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An order whose answer is lost and whose look-ups fail, so that its outcome is unknown.
async fn lost(scenario: &Scenario, acme: &Acme, product: &str) -> Asset {
    let faults = acme.vendor.faults();
    faults.order(Route::Purchase, Fault::LoseAnswer);
    for _ in 0..20 {
        faults.order(Route::LookUp, Fault::Status(500, None));
    }
    let asset = acme::order(scenario, product, 1).await.remove(0);
    assert_eq!(asset.sync_status, SyncStatus::Unsynchronised);
    faults.clear();
    asset
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_of_the_same_account_goes_on_with_what_is_in_doubt() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let asset = lost(&scenario, &acme, KEY).await;
    let key = acme.vendor.new_key(&acme.account.number).expect("a key");
    acme.vendor.revoke(&acme.account.api_key).expect("it is revoked");
    assert!(
        configure(&scenario, &[], Some(&key))
            .await
            .expect("the form")
            .saved
    );
    let asset = until_settled(&scenario.host, &asset).await;
    assert_eq!(asset.sync_status, SyncStatus::Synchronized);
    assert_eq!(acme.vendor.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_another_account_what_is_in_doubt_is_asked_about_and_not_bought_again() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let asset = lost(&scenario, &acme, KEY).await;
    let other = acme.vendor.new_account().expect("an account");
    let change = [("account", other.number.clone())];
    assert!(
        configure(&scenario, &change, Some(&other.api_key))
            .await
            .expect("the form")
            .saved
    );
    let problem = until_it_waits_for(&scenario, &asset, "other-settings").await;
    assert!(problem.message.ends_with("differs in `account`"), "{problem:?}");
    assert_eq!(acme.vendor.ledger().len(), 1);
    // The former account is back, with its key.
    let change = [("account", acme.account.number.clone())];
    let key = Some(acme.account.api_key.as_str());
    assert!(configure(&scenario, &change, key).await.expect("the form").saved);
    let asset = until_settled(&scenario.host, &asset).await;
    assert_eq!(asset.sync_status, SyncStatus::Synchronized);
    assert_eq!(acme.vendor.ledger().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_fails_no_order_and_all_go_on_once_another_is_given() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    acme.vendor.revoke(&acme.account.api_key).expect("it is revoked");
    let assets = acme::order(&scenario, KEY, 3).await;
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Unsynchronised)
    );
    let reason = assets[0].reason.clone().expect("a reason");
    assert_eq!(reason.problem.code, "api-key-refused");
    let key = acme.vendor.new_key(&acme.account.number).expect("a key");
    assert!(
        configure(&scenario, &[], Some(&key))
            .await
            .expect("the form")
            .saved
    );
    for asset in &assets {
        let asset = until_settled(&scenario.host, asset).await;
        assert_eq!(asset.sync_status, SyncStatus::Synchronized);
    }
    assert_eq!(acme.vendor.ledger().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_whose_answer_is_lost_is_looked_up_and_done_once() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let asset = one(&scenario).await;
    acme.vendor.faults().order(Route::Return, Fault::LoseAnswer);
    let cancelled = scenario
        .host
        .cancel_now(asset.id, &requester(), "", &actor())
        .await;
    let id = cancelled.expect("it is cancelled").id;
    let begin = Instant::now();
    while scenario
        .host
        .run_return(id, silent())
        .await
        .expect("it is run")
        .state
        != CancellationState::Done
    {
        assert!(begin.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(now(&scenario.host, &asset).await.status, AssetStatus::Cancelled);
    let returns = acme.vendor.requests();
    let returns = returns
        .iter()
        .filter(|request| request.method == "DELETE")
        .count();
    assert_eq!(returns, 1, "the look-up has shown that it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_key_goes_to_the_vendor_alone_and_only_as_often_as_it_was_typed_for_it() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    one(&scenario).await;
    let keys = acme.vendor.requests();
    assert!(
        keys.iter()
            .all(|request| request.api_key.as_ref() == Some(&acme.account.api_key))
    );
    // An operator who does not know the key types another server, to have the key sent there.
    let moved = configure(
        &scenario,
        &[("service-url", "https://evil.example/v1".to_owned())],
        None,
    )
    .await;
    let Err(ConfigureError::Gate(gate)) = moved else {
        panic!("it was saved");
    };
    assert!(gate.to_string().contains("evil.example"), "{gate}");
    // Not even by way of a form that is not finished.
    let unfinished = [
        ("service-url", "https://evil.example/v1".to_owned()),
        ("account", String::new()),
    ];
    assert!(
        configure(&scenario, &unfinished, None)
            .await
            .expect("the form")
            .saved
    );
    let finished = [("account", acme.account.number.clone())];
    assert!(configure(&scenario, &finished, None).await.is_err());
    let back = [
        ("service-url", acme.vendor.url()),
        ("account", acme.account.number.clone()),
    ];
    assert!(configure(&scenario, &back, None).await.expect("the form").saved);
    one(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_given_as_one_and_nothing_else_is() {
    let scenario = Scenario::selling().await;
    let acme = Acme::beside(&scenario).await;
    let key = acme.account.api_key.clone();
    let as_value = configure(&scenario, &[("api-key", key.clone())], None).await;
    assert!(matches!(as_value, Err(ConfigureError::SecretAsValue { field }) if field == "api-key"));
    let wrong = |secret: &str| configure_secret(&scenario, "api-key", secret.to_owned());
    for unusable in [
        "",
        "short",
        "two words",
        "line\nbreak",
        "nicht-äscii",
        &"x".repeat(1_025),
    ] {
        let refused = wrong(unusable).await;
        assert!(
            matches!(refused, Err(ConfigureError::SecretUnusable { .. })),
            "{unusable}: {refused:?}"
        );
    }
    let value_as_secret = configure_secret(&scenario, "account", "ACC-10001".to_owned()).await;
    assert!(matches!(value_as_secret, Err(ConfigureError::NotASecret { field }) if field == "account"));
    let nowhere = configure_secret(&scenario, "api-kee", key).await;
    assert!(matches!(nowhere, Err(ConfigureError::NoField { .. })));
    let instance = scenario.host.named_instance(ACME).await.expect("the instance");
    assert_eq!((instance.version, instance.secrets.len()), (0, 0));
}

async fn configure_secret(scenario: &Scenario, field: &str, secret: String) -> Result<(), ConfigureError> {
    let change = host_harness::SettingsChange {
        secrets: [(field.to_owned(), Some(bss_model::Secret::new(secret)))].into(),
        ..host_harness::SettingsChange::default()
    };
    scenario.host.configure(ACME, change, &actor()).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_catalog_leaves_out_by_name_stays_on_sale_and_all_else_that_is_gone_does_not() {
    let scenario = Scenario::selling().await;
    let acme = Acme::selling_beside(&scenario).await;
    let mut items = acme_keys_vendor::catalog();
    let gone = items.remove(0)["sku"].as_str().expect("a code").to_owned();
    let garbled = items[0]["sku"].as_str().expect("a code").to_owned();
    items[0]["name"] = 7.into();
    acme.vendor.set_catalog(items);
    scenario.let_any_run_discontinue(ACME).await;
    let run = scenario
        .host
        .fetch_services(ACME, &actor(), silent())
        .await
        .expect("it is read");
    assert_eq!(
        (run.skipped, run.difference.discontinued.clone()),
        (1, vec![gone])
    );
    let instance = scenario.host.named_instance(ACME).await.expect("the instance");
    let product = scenario.host.record().product(instance.id, &garbled).await;
    assert!(!product.expect("the record").expect("it is there").discontinued);
}

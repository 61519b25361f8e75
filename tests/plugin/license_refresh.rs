//! Refreshing: what Microsoft says now of licenses that were bought.

use bss_model::{AssetFilter, LicenseTokenStatus, ReturnStatus, SyncStatus};
use bss_record::{RECORD_FILE, RefreshRecordError};
use bss_simulator::{Fault, Operation, Repeat, When};
use host_harness::RefreshError;

use crate::license_return::sold;
use crate::record_cli::{ORIGINAL, alter};
use crate::scenario::{Scenario, at_once, silent};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_did_with_a_license_is_seen() {
    let (scenario, asset) = sold().await;
    let seen = scenario.host.refresh_license(asset.id, silent()).await;
    let seen = seen.expect("Microsoft answers").asset;
    assert_eq!(seen.license_token_status, Some(LicenseTokenStatus::Unused));
    let id = asset.license_token_id.expect("its name");
    scenario.microsoft.redeem(&id).await.expect("it is used");
    let seen = scenario.host.refresh_license(asset.id, silent()).await;
    let seen = seen.expect("Microsoft answers");
    assert_eq!(seen.asset.license_token_status, Some(LicenseTokenStatus::Used));
    assert_eq!(seen.asset.return_status, ReturnStatus::None);
    assert!(seen.asset.refreshed_at_ms.is_some() && !seen.returned_elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_runs_once_refreshes_what_is_due_and_nothing_else() {
    let (scenario, asset) = sold().await;
    let license_token = asset.license_token_id.expect("its name");
    scenario
        .microsoft
        .redeem(&license_token)
        .await
        .expect("it is used");
    let status_after_a_run = async || {
        let worked = scenario.host.work_once(&at_once(2), std::future::pending()).await;
        worked.expect("the worker works");
        let asset = scenario.host.record().asset(asset.id).await.expect("the record");
        asset.expect("an asset").license_token_status
    };
    assert_eq!(
        status_after_a_run().await,
        Some(LicenseTokenStatus::Unused),
        "it is not due"
    );
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(
        &database,
        "UPDATE assets SET created_at_ms = 1, refresh_asked_at_ms = 1",
    )
    .await;
    assert_eq!(status_after_a_run().await, Some(LicenseTokenStatus::Used));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_everything_stays_as_it_was() {
    let (scenario, asset) = sold().await;
    let faults = scenario.microsoft.faults();
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Times(1),
    );
    let error = scenario.host.refresh_license(asset.id, silent()).await;
    let error = error.expect_err("no answer");
    assert!(matches!(error, RefreshError::Unavailable(_)), "{error:?}");
    let missing = Fault::Refusal {
        status: 404,
        code: "TokenNotFound".into(),
        retry_after: None,
    };
    faults.order(Operation::LookUp, missing, Repeat::Times(1));
    let error = scenario.host.refresh_license(asset.id, silent()).await;
    let error = error.expect_err("no license");
    assert!(matches!(error, RefreshError::Missing(_)), "{error:?}");
    let after = scenario.host.record().asset(asset.id).await.expect("the record");
    assert_eq!(after, Some(asset));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_without_a_license_is_not_asked_about() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let faults = scenario.microsoft.faults();
    let refusal = Fault::Refusal {
        status: 403,
        code: "CountryNotAllowed".into(),
        retry_after: None,
    };
    faults.order(Operation::Purchase, refusal, Repeat::Times(1));
    let asset = scenario.order(&offers[0], 1).await.remove(0);
    assert_eq!(asset.sync_status, SyncStatus::Failed);
    let seen = faults.requests_seen(Operation::LookUp);
    let error = scenario.host.refresh_license(asset.id, silent()).await;
    let error = error.expect_err("no license");
    assert!(
        matches!(error, RefreshError::Record(RefreshRecordError::NoLicense { .. })),
        "{error:?}"
    );
    assert_eq!(faults.requests_seen(Operation::LookUp), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_refreshed_and_a_microsoft_that_is_down_is_not_asked_for_each() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let assets = scenario.order(&offers[0], 12).await;
    let id = assets[11].license_token_id.clone().expect("its name");
    scenario.microsoft.redeem(&id).await.expect("it is used");
    let refresh = async || {
        let all = AssetFilter::default();
        let refreshed = scenario.host.refresh_licenses(all, &silent()).await;
        refreshed.expect("the record")
    };
    let seen = refresh().await;
    let (ids, statuses): (Vec<_>, Vec<_>) = seen
        .into_iter()
        .map(|(id, seen)| (id, seen.expect("Microsoft answers").asset.license_token_status))
        .unzip();
    let expected: Vec<_> = assets.iter().map(|asset| asset.id).collect();
    assert_eq!(ids, expected);
    assert_eq!(statuses[11], Some(LicenseTokenStatus::Used));
    assert!(
        statuses[..11]
            .iter()
            .all(|status| *status == Some(LicenseTokenStatus::Unused))
    );

    let faults = scenario.microsoft.faults();
    let before = faults.requests_seen(Operation::LookUp);
    faults.order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Always,
    );
    let down = refresh().await;
    assert!(
        down.iter()
            .all(|(_, seen)| seen.as_ref().is_err_and(RefreshError::is_outage))
    );
    let not_asked = down
        .iter()
        .filter(|(_, seen)| matches!(seen, Err(RefreshError::NotAsked)));
    assert_eq!(
        (
            not_asked.count(),
            faults.requests_seen(Operation::LookUp) - before
        ),
        (4, 8)
    );
}

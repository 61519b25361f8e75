//! The worker of order lines: several at once, beside others, patient with a Microsoft that is down.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bss_keys::HostKeySource;
use bss_model::{Asset, AssetSelection, AttemptResult, SyncStatus};
use bss_record::{RECORD_FILE, Record, RecordError, RetryError};
use bss_simulator::{CertificateRequest, Fault, Operation, Repeat};
use host_harness::PlaceError;
use sqlx::SqlitePool;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::component::bss_host;
use crate::scenario::{INSTANCE, Scenario, actor, at_once, order_request, silent};

async fn placed(scenario: &Scenario, quantity: u32) -> uuid::Uuid {
    let offers = scenario.offers().await;
    let request = order_request(&offers[0], quantity);
    let order = scenario.host.place_order(INSTANCE, request, &actor()).await;
    order.expect("the order is placed").into_order().id
}

/// Starts a worker with that many slots, which ends when the sender is dropped.
fn start_worker(
    scenario: &Scenario,
    slots: usize,
) -> (oneshot::Sender<()>, JoinHandle<Result<(), RecordError>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let host = scenario.host.clone();
    let worker = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        host.work(&at_once(slots), stopped).await
    });
    (stop, worker)
}

fn all_licensed(assets: &[Asset]) -> bool {
    assets
        .iter()
        .all(|asset| asset.sync_status == SyncStatus::Synchronized)
}

/// Checks that every license that Microsoft issued is one asset's, and every asset has one.
async fn assert_each_bought_once(scenario: &Scenario) {
    let issued = scenario.issued().await;
    let assets = scenario.assets().await;
    assert!(all_licensed(&assets), "{assets:?}");
    let wanted: BTreeSet<_> = assets
        .iter()
        .map(|asset| asset.client_transaction_id.to_string())
        .collect();
    assert_eq!(issued.len(), wanted.len());
    assert_eq!(issued.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_go_on_with_one_order_at_once_buy_each_license_once() {
    let scenario = Scenario::selling().await;
    let order = placed(&scenario, 12).await;
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let host = scenario.host.clone();
            tokio::spawn(async move { host.run_order(order, silent()).await })
        })
        .collect();
    for run in runs {
        let assets = run.await.expect("it ends").expect("it is settled");
        assert!(all_licensed(&assets), "whoever waits sees the end");
    }
    assert_each_bought_once(&scenario).await;
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::Purchase),
        12,
        "each was asked for once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_buys_what_is_placed_while_it_works_and_ends_when_it_is_asked() {
    let scenario = Scenario::selling().await;
    let (stop, worker) = start_worker(&scenario, 4);
    for _ in 0..3 {
        placed(&scenario, 3).await;
        while !all_licensed(&scenario.assets().await) {
            tokio::task::yield_now().await;
        }
    }
    drop(stop);
    worker.await.expect("it ends").expect("it worked");
    assert_each_bought_once(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_where_microsoft_refuses_who_asks_and_go_on_once_the_settings_are_corrected() {
    let scenario = Scenario::selling().await;
    let refusal = Fault::Refusal {
        status: 403,
        code: "ChannelNotAuthorized".into(),
        retry_after: None,
    };
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Purchase, refusal, Repeat::Always);
    placed(&scenario, 4).await;
    let (stop, worker) = start_worker(&scenario, 1);
    while faults.requests_seen(Operation::Purchase) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let assets = scenario.assets().await;
    assert!(
        assets
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Unsynchronised),
        "none has failed: {assets:?}"
    );
    assert_eq!(faults.requests_seen(Operation::Purchase), 1, "the instance rests");
    let said: Vec<_> = assets.iter().filter_map(|asset| asset.reason.as_ref()).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(
        (said[0].result, said[0].problem.code.as_str()),
        (AttemptResult::Unavailable, "channel-not-authorized")
    );

    faults.clear();
    scenario.set("system-name", "corrected").await;
    while !all_licensed(&scenario.assets().await) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(stop);
    worker.await.expect("it ends").expect("it worked");
    assert_each_bought_once(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_end_brings_its_purchases_to_an_end_first() {
    let scenario = Scenario::selling().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(2));
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, slow, Repeat::Always);
    placed(&scenario, 2).await;
    let (stop, worker) = start_worker(&scenario, 2);
    while scenario.microsoft.faults().requests_seen(Operation::Purchase) < 2 {
        tokio::task::yield_now().await;
    }
    drop(stop);
    worker.await.expect("it ends").expect("it worked");
    assert_each_bought_once(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_order_at_a_slow_microsoft_leaves_a_slot_to_another_instance() {
    let scenario = Scenario::selling().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.ready_instance("other", &thumbprint).await;
    let fetched = scenario.host.fetch_services("other", &actor(), silent()).await;
    fetched.expect("the catalog is read");
    scenario.sell_all("other").await;
    let slow = Fault::DelayAnswer(Duration::from_secs(10));
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Purchase, slow, Repeat::Times(3));
    placed(&scenario, 12).await;
    let (stop, worker) = start_worker(&scenario, 4);
    while faults.requests_seen(Operation::Purchase) < 3 {
        tokio::task::yield_now().await;
    }
    let offers = scenario.offers().await;
    let request = order_request(&offers[0], 1);
    let order = scenario.host.place_order("other", request, &actor()).await;
    let order = order.expect("the order is placed").into_order().id;
    let bought = async || {
        let assets = scenario.assets().await;
        let (other, large): (Vec<_>, Vec<_>) = assets.into_iter().partition(|asset| asset.order_id == order);
        let count = |assets: Vec<Asset>| {
            let licensed = |asset: &&Asset| asset.sync_status == SyncStatus::Synchronized;
            assets.iter().filter(licensed).count()
        };
        (count(other), count(large))
    };
    while bought().await.0 == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bought().await, (1, 0), "the large order has three slots of four");
    drop(stop);
    worker.await.expect("it ends").expect("it worked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_microsoft_that_is_down_is_not_asked_by_every_line() {
    let scenario = Scenario::selling().await;
    let down = Fault::Refusal {
        status: 503,
        code: "ServiceUnavailable".into(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, down, Repeat::Always);
    let order = placed(&scenario, 60).await;
    let taking = AssetSelection {
        order: Some(order),
        ..AssetSelection::default()
    };
    let work = scenario.host.settle_orders(taking, 2, silent());
    // The breaker rests for five seconds first, so four seconds show all requests before it tries again.
    let _ = tokio::time::timeout(Duration::from_secs(4), work).await;
    let asked = scenario.microsoft.faults().requests_seen(Operation::Purchase);
    assert!((5..=8).contains(&asked), "{asked} requests for 60 lines");
    assert!(
        scenario
            .assets()
            .await
            .iter()
            .all(|asset| asset.sync_status == SyncStatus::Unsynchronised),
        "nothing has failed, and nothing was bought"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_license_is_tried_again_by_the_operator_and_never_bought_twice() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let refusal = |status: u16| Fault::Refusal {
        status,
        code: "CountryNotAllowed".into(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, refusal(403), Repeat::Times(1));
    let failed = scenario.order(&offers[0], 1).await.remove(0);
    assert_eq!(failed.sync_status, SyncStatus::Failed);
    let look_ups = scenario.microsoft.faults().requests_seen(Operation::LookUp);
    let bought = scenario
        .host
        .retry_asset(failed.id, &actor(), silent())
        .await
        .expect("a try");
    assert_eq!(bought.sync_status, SyncStatus::Synchronized);
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::LookUp),
        look_ups + 1,
        "it looked up first"
    );
    let again = scenario.host.retry_asset(failed.id, &actor(), silent()).await;
    assert!(
        matches!(again, Err(PlaceError::Retry(RetryError::HasLicense { .. }))),
        "{again:?}"
    );
    assert_each_bought_once(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_validates_here_and_in_the_plugin_and_orders_nothing() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let check = |request| scenario.host.check_order(INSTANCE, request, silent());
    check(order_request(&offers[0], 2)).await.expect("it is valid");
    let here = check(order_request("NO-SUCH-OFFER", 1)).await;
    assert!(matches!(here, Err(PlaceError::Order(_))), "{here:?}");
    let mut nameless = order_request(&offers[0], 1);
    nameless.customer.name = "x".repeat(201);
    let there = check(nameless).await;
    assert!(matches!(there, Err(PlaceError::Refused { .. })), "{there:?}");
    assert!(scenario.assets().await.is_empty());
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::Purchase), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_in_the_history_with_what_was_said() {
    let scenario = Scenario::selling().await;
    let offers = scenario.offers().await;
    let broken = Fault::Refusal {
        status: 500,
        code: "InternalError".into(),
        retry_after: None,
    };
    scenario
        .microsoft
        .faults()
        .order(Operation::Purchase, broken, Repeat::Times(1));
    let asset = scenario.order(&offers[0], 1).await.remove(0);
    let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
    let results: Vec<_> = attempts.iter().filter_map(|attempt| attempt.result).collect();
    assert_eq!(results, [AttemptResult::Unknown, AttemptResult::Licensed]);
    let problem = attempts[0].problem.as_ref().expect("a problem");
    assert!(!problem.correlation_id.is_empty(), "{problem:?}");
    assert!(attempts.iter().all(|attempt| attempt.finished_at_ms.is_some()));
}

/// How long a program may take to notice and to end; on a busy machine it compiles the plugin meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

async fn database(data_dir: &Path) -> SqlitePool {
    let url = format!("sqlite://{}", data_dir.join(RECORD_FILE).display());
    SqlitePool::connect(&url).await.expect("the record's database")
}

async fn damage(database: &SqlitePool, table: &str) {
    let statement = format!("ALTER TABLE {table} RENAME TO away");
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(database)
        .await
        .expect("the table is renamed");
}

async fn workers(database: &SqlitePool) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM workers")
        .fetch_one(database)
        .await
        .expect("the workers")
}

#[tokio::test]
async fn the_program_ends_with_its_worker_instead_of_looking_alive() {
    for table in ["assets", "mail_settings"] {
        let directory = tempfile::tempdir().unwrap();
        Record::create(directory.path(), &HostKeySource::default())
            .await
            .unwrap()
            .close()
            .await;
        let database = database(directory.path()).await;
        let mut program = Command::new(bss_host())
            .arg("run")
            .arg("--data-dir")
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ended = tokio::time::timeout(PATIENCE, async {
            // The program's two workers, for licenses and for e-mails, are at work.
            while workers(&database).await < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            damage(&database, table).await;
            loop {
                if let Some(status) = program.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let status = ended.await;
        let _ = program.kill();
        let _ = program.wait();
        let code = status.map(|status| status.code());
        assert_eq!(code, Ok(Some(3)), "{table}");
    }
}

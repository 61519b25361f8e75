//! What a platform that embeds the library relies on: dropped futures, panics, silent servers, upgrades, restored copies.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use bss_model::{
    Asset, AttemptResult, ChargeFilter, Duties, MailDelivery, MailFilter, MailSettings, MailState,
    OutcomeCursor, OutcomeKind, Page, RunState, SmtpProtection, SmtpServer, SyncStatus,
};
use bss_record::{RECORD_FILE, Record, WITNESS_FILE};
use bss_simulator::{Fault, Operation, Repeat};
use futures_util::StreamExt as _;
use host_harness::{
    ErrorKind, Host, HostKey, HostKeySource, OnRestored, OrderHandle, OrderRequest, Stopped, WorkOptions,
    view,
};
use tokio::net::TcpListener;

use crate::component::component;
use crate::scenario::{INSTANCE, Scenario, actor, customer, order_request};

/// Long enough for everything that these tests wait for, and far from how long it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The directory of a second host's own.
const OWN: &str = "own";

/// Waits until every license is bought, and none is open.
async fn all_bought(scenario: &Scenario) -> Vec<Asset> {
    let bought = async {
        loop {
            let assets = scenario.assets().await;
            if assets
                .iter()
                .all(|asset| asset.sync_status == SyncStatus::Synchronized)
            {
                return assets;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, bought)
        .await
        .expect("all are bought")
}

/// Checks that each asset was bought by one attempt that nothing cut off, and that nothing had to be looked up.
async fn assert_never_in_doubt(scenario: &Scenario, assets: &[Asset]) {
    for asset in assets {
        let attempts = scenario.host.record().attempts(asset.id).await.expect("attempts");
        let results: Vec<_> = attempts.iter().map(|attempt| attempt.result).collect();
        assert_eq!(results, [Some(AttemptResult::Licensed)]);
    }
    assert_eq!(scenario.microsoft.faults().requests_seen(Operation::LookUp), 0);
    assert_eq!(scenario.issued().await.len(), assets.len());
}

/// Places an order of so many licenses.
async fn place(scenario: &Scenario, quantity: u32) -> OrderHandle {
    let offer = scenario.offers().await.remove(0);
    let instance = scenario.host.instance(INSTANCE).await.expect("the instance");
    let placed = instance.place(order_request(&offer, quantity), &actor()).await;
    placed.expect("it is placed").into_order()
}

/// Has Microsoft answer each purchase so much later.
fn purchases_take(scenario: &Scenario, time: Duration) {
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Purchase, Fault::DelayAnswer(time), Repeat::Always);
}

/// Waits until Microsoft has so many purchases in hand.
async fn purchases_under_way(scenario: &Scenario, purchases: u64) {
    let begun = async {
        while scenario.microsoft.faults().requests_seen(Operation::Purchase) < purchases {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun)
        .await
        .expect("they are sent");
}

/// Polls a future so many times, and drops it. `Some`: it has ended before.
async fn polled<T>(future: impl Future<Output = T>, times: u32) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_caller_is_dropped_anywhere_is_placed_once_by_its_key() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let instance = scenario.host.instance(INSTANCE).await.expect("the instance");
    let request = order_request(&offer, 2);
    let mut dropped = 0;
    for times in 0.. {
        let keyed = || request.clone().key(format!("BASKET-{times}"));
        if let Some(placed) = polled(instance.place(keyed(), &actor()), times).await {
            assert!(placed.expect("it is placed").is_new());
            break;
        }
        dropped += 1;
        let again = instance
            .place(keyed(), &actor())
            .await
            .expect("it is placed at once");
        let known = instance
            .placed(&format!("BASKET-{times}"))
            .await
            .expect("the record");
        assert_eq!(known.map(|order| order.id()), Some(again.order().id()));
    }
    // How many there are is the machine's: what is ready when it is asked for is no place.
    assert!(dropped > 0, "there are places to drop it at");
    assert_eq!(scenario.assets().await.len(), 2 * (dropped + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_dropped_while_its_licenses_are_bought_cuts_no_purchase_off() {
    let scenario = Scenario::selling().await;
    purchases_take(&scenario, Duration::from_secs(1));
    let placed = place(&scenario, 2).await;
    tokio::select! {
        settled = placed.settle() => panic!("it takes a second: {settled:?}"),
        () = purchases_under_way(&scenario, 2) => {}
    }
    let assets = all_bought(&scenario).await;
    assert_never_in_doubt(&scenario, &assets).await;
    // Nothing holds them any more, so that a next caller waits for nobody.
    let settled = placed.settle().await.expect("it is settled");
    assert_eq!(settled.state, "licensed");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_dropped_instead_of_stopped_ends_in_order_all_the_same() {
    let scenario = Scenario::selling().await;
    purchases_take(&scenario, Duration::from_secs(1));
    place(&scenario, 4).await;
    let options = WorkOptions::default();
    tokio::select! {
        ended = scenario.host.work(&options, std::future::pending()) => panic!("{ended:?}"),
        () = purchases_under_way(&scenario, 4) => {}
    }
    let assets = all_bought(&scenario).await;
    assert_never_in_doubt(&scenario, &assets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_the_catalog_that_is_dropped_makes_room_for_the_next_one() {
    let scenario = Scenario::selling().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(5));
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Catalog, slow, Repeat::Times(1));
    let before = faults.requests_seen(Operation::Catalog);
    let instance = scenario.host.instance(INSTANCE).await.expect("the instance");
    let reader = actor();
    tokio::select! {
        read = instance.fetch_services(&reader) => panic!("it takes five seconds: {read:?}"),
        () = async { while faults.requests_seen(Operation::Catalog) == before { tokio::task::yield_now().await } } => {}
    }
    let next = async {
        loop {
            match instance.fetch_services(&actor()).await {
                Err(error) if error.code() == "run-open" => tokio::task::yield_now().await,
                read => return read,
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, next)
        .await
        .expect("it is not held up");
    read.expect("it is read");
    let runs = scenario.host.record();
    let id = instance.id().into();
    let runs = runs.services_runs(id, &Page::all()).await.expect("runs").rows;
    let codes: Vec<_> = runs
        .iter()
        .filter(|run| run.state == RunState::Failed)
        .map(|run| run.reason.as_ref().map(|reason| reason.code.as_str()))
        .collect();
    assert_eq!(codes, [Some("interrupted")], "no lease ran out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_panics_stops_neither_its_license_nor_the_worker() {
    let scenario = Scenario::selling().await;
    place(&scenario, 3).await;
    let heard = Arc::new(AtomicU32::new(0));
    let hears = Arc::clone(&heard);
    let options = WorkOptions::default().calls(Arc::new(move |_| {
        hears.fetch_add(1, Ordering::Relaxed);
        panic!("a listener's own defect");
    }));
    let worker = scenario.host.start_worker(options);
    let assets = all_bought(&scenario).await;
    assert_never_in_doubt(&scenario, &assets).await;
    assert!(heard.load(Ordering::Relaxed) >= 3);
    assert_eq!(worker.failures(), 0);
    assert_eq!(worker.stop(PATIENCE).await, Stopped::Done);
}

/// Something that accepts connections, and never says a word.
async fn silent_mail_server(scenario: &Scenario) -> TcpListener {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let settings = MailSettings {
        from: "shop@host.example".to_owned(),
        delivery: MailDelivery::Smtp(SmtpServer {
            host: "127.0.0.1".to_owned(),
            port: silent.local_addr().expect("an address").port(),
            protection: SmtpProtection::None,
            user: None,
            password: None,
            trusted_authorities_pem: None,
            hello_name: None,
            access_token: None,
        }),
        templates: None,
    };
    let saved = scenario
        .host
        .record()
        .save_mail_settings(&settings, &actor())
        .await;
    saved.expect("they are saved");
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_silent_holds_no_worker_up_and_loses_no_e_mail() {
    let scenario = Scenario::selling().await;
    let silent = silent_mail_server(&scenario).await;
    let worker = scenario.host.start_worker(WorkOptions::default());
    place(&scenario, 1).await;
    let connected = tokio::time::timeout(PATIENCE, silent.accept()).await;
    let connected = connected.expect("the license is mailed").expect("a connection");
    // The patience for a server's greeting is a minute: a worker that waited for it would not be done.
    assert_eq!(worker.stop(Duration::from_secs(30)).await, Stopped::Done);
    let mails = scenario
        .host
        .record()
        .mails(&MailFilter::default(), &Page::all())
        .await;
    let states: Vec<_> = mails.expect("mails").rows.iter().map(|mail| mail.state).collect();
    assert_eq!(states, [MailState::Pending]);
    drop(connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_begins_again_after_the_record_failed() {
    let scenario = Scenario::selling().await;
    let database = scenario.folder.path().join("bss").join(RECORD_FILE);
    let alter = async |statement: &'static str| {
        let pool = sqlx::SqlitePool::connect(&database.display().to_string()).await;
        let pool = pool.expect("the database");
        sqlx::query(statement)
            .execute(&pool)
            .await
            .expect("it is altered");
        pool.close().await;
    };
    alter("CREATE TRIGGER broken BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'broken'); END").await;
    let worker = scenario.host.start_worker(WorkOptions::default());
    place(&scenario, 2).await;
    let failed = async {
        while worker.failures() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, failed).await.expect("it fails");
    alter("DROP TRIGGER broken").await;
    let assets = all_bought(&scenario).await;
    assert_never_in_doubt(&scenario, &assets).await;
    assert_eq!(worker.stop(PATIENCE).await, Stopped::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_in_no_time_says_what_it_leaves_and_leaves_nothing_in_doubt() {
    let scenario = Scenario::selling().await;
    purchases_take(&scenario, Duration::from_secs(2));
    place(&scenario, 1).await;
    let worker = scenario.host.start_worker(WorkOptions::default());
    purchases_under_way(&scenario, 1).await;
    assert_eq!(worker.stop(Duration::ZERO).await, Stopped::UnderWay);
    let assets = all_bought(&scenario).await;
    assert_never_in_doubt(&scenario, &assets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_come_as_a_stream_while_licenses_are_bought_and_metrics_count_them() {
    let scenario = Scenario::selling().await;
    let refusal = Fault::Refusal {
        status: 422,
        code: "SkuNotSellable".into(),
        retry_after: None,
    };
    let faults = scenario.microsoft.faults();
    faults.order(Operation::Purchase, refusal, Repeat::Times(1));
    let mut outcomes = pin!(scenario.host.outcome_stream(OutcomeCursor::START));
    let worker = scenario.host.start_worker(WorkOptions::default().at_once(1));
    let offer = scenario.offers().await.remove(0);
    let instance = scenario.host.instance(INSTANCE).await.expect("the instance");
    let request = order_request(&offer, 3).key("BASKET-7");
    let placed = instance.place(request, &actor()).await.expect("it is placed");
    let mut told = Vec::new();
    for _ in 0..3 {
        let next = tokio::time::timeout(PATIENCE, outcomes.next())
            .await
            .expect("it comes");
        let outcome = next.expect("the stream goes on").expect("the record");
        assert_eq!(outcome.order, placed.order().id());
        assert_eq!(outcome.instance, instance.id());
        assert_eq!(outcome.idempotency_key.as_deref(), Some("BASKET-7"));
        let asset = scenario.host.asset(outcome.asset).await.expect("the asset");
        let is_licensed = asset.license(&actor()).await.expect("the record").is_some();
        assert_eq!(
            is_licensed,
            outcome.kind == OutcomeKind::Licensed,
            "it is on record"
        );
        told.push(outcome.kind);
    }
    told.sort();
    assert_eq!(
        told,
        [OutcomeKind::Licensed, OutcomeKind::Licensed, OutcomeKind::Refused]
    );
    let metrics = scenario.host.metrics().await.expect("the record");
    assert_eq!(metrics.outcomes[&OutcomeKind::Licensed], 2);
    assert_eq!(metrics.outcomes[&OutcomeKind::Refused], 1);
    assert_eq!((metrics.open_licenses, metrics.licenses_under_way), (0, 0));
    assert!(metrics.connections_opened >= 1);
    let shown = serde_json::to_value(&metrics).expect("it is a value");
    assert_eq!(shown["outcomes"]["licensed"], 2);
    assert_eq!(worker.stop(PATIENCE).await, Stopped::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_to_the_next_version_of_its_plugin_while_its_licenses_are_bought() {
    let scenario = Scenario::selling().await;
    let next = scenario.folder.path().join("next.wasm");
    let plugin = std::fs::read(component()).expect("the plugin");
    // A custom section makes it another build of the same plugin.
    std::fs::write(&next, [&plugin[..], &[0, 2, 1, b'x']].concat()).expect("a file");
    let added = scenario
        .host
        .add_plugin(&next, &actor())
        .await
        .expect("it is added");
    let trusted = scenario.host.trust_plugin(added.digest, &actor()).await;
    trusted.expect("it is trusted");
    let faults = scenario.microsoft.faults();
    let slow = Fault::DelayAnswer(Duration::from_secs(8));
    faults.order(Operation::Purchase, slow, Repeat::Times(4));
    place(&scenario, 12).await;
    let worker = scenario
        .host
        .start_worker(WorkOptions::default().at_once(4).per_instance(4));
    purchases_under_way(&scenario, 4).await;
    let instance = scenario.host.instance(INSTANCE).await.expect("the instance");
    let form = instance.upgrade(None, &actor()).await.expect("it is upgraded");
    assert!(form.saved);
    assert_eq!(faults.requests_seen(Operation::Purchase), 4, "they are under way");
    let assets = all_bought(&scenario).await;
    assert_eq!((assets.len(), scenario.issued().await.len()), (12, 12));
    assert_eq!(worker.failures(), 0);
    assert_eq!(worker.stop(PATIENCE).await, Stopped::Done);
}

#[tokio::test]
async fn a_restored_record_is_opened_as_its_embedder_says() {
    let folder = tempfile::tempdir().expect("a directory");
    let open = async |on_restored| {
        let builder = Host::builder(folder.path().join(OWN)).plugin_file(component());
        builder.on_restored(on_restored).open_or_create().await
    };
    open(OnRestored::Refuse).await.expect("a new one").close().await;
    open(OnRestored::Refuse).await.expect("the same").close().await;
    std::fs::remove_file(folder.path().join(OWN).join(WITNESS_FILE)).expect("the witness");
    for _ in 0..2 {
        let refused = open(OnRestored::Refuse).await.expect_err("it was restored");
        assert_eq!(
            (refused.kind(), refused.code(), refused.is_transient()),
            (ErrorKind::Conflict, "record-restored", false)
        );
    }
    let host = open(OnRestored::LookUpOnly).await.expect("it opens");
    assert!(host.record().awaits_adoption().await.expect("the record"));
    host.close().await;
    let host = open(OnRestored::Adopt(actor())).await.expect("it opens");
    assert!(!host.record().awaits_adoption().await.expect("the record"));
    host.close().await;
    open(OnRestored::Refuse).await.expect("it is adopted");
}

#[tokio::test]
async fn a_host_key_from_elsewhere_is_in_no_file_and_another_one_does_not_open_the_record() {
    let folder = tempfile::tempdir().expect("a directory");
    let data_dir = folder.path().join(OWN);
    let [key, other] = [(); 2].map(|()| Arc::new(HostKey::generate().expect("a key")));
    let open = async |source| Host::builder(&data_dir).host_key(source).open_or_create().await;
    let host = open(HostKeySource::Given(Arc::clone(&key)))
        .await
        .expect("it opens");
    let shown = format!("{host:?}");
    assert!(shown.starts_with("Host {"), "{shown}");
    host.close().await;
    assert!(!data_dir.join("host.key").exists());
    for source in [HostKeySource::Given(other), HostKeySource::File] {
        let refused = open(source).await.expect_err("it is another key");
        assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
    }
    open(HostKeySource::Given(key)).await.expect("it opens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_mails_and_charges_itself_buys_without_contact_price_e_mail_and_charge() {
    let scenario = Scenario::selling().await;
    let data_dir = scenario.folder.path().join("bss");
    let builder = Host::builder(&data_dir).plugin_file(component());
    let host = builder
        .mails(false)
        .charges(false)
        .open()
        .await
        .expect("it opens");
    let offer = scenario.offers().await.remove(0);
    let instance = host.instance(INSTANCE).await.expect("the instance");
    let request = OrderRequest::new(customer()).line(&offer, 1);
    let placed = instance.place(request, &actor()).await.expect("it is placed");
    let order: view::Order = placed.order().settle().await.expect("it is settled");
    assert_eq!((order.state, &order.contact), ("licensed", &None));
    let mails = host.record().mails(&MailFilter::default(), &Page::all()).await;
    assert_eq!(mails.expect("mails").rows, []);
    let charges = host
        .record()
        .charges(&ChargeFilter::default(), &Page::all())
        .await;
    assert_eq!(charges.expect("the record").rows, []);
    // What a platform has said holds for everybody who opens its record.
    let record = Record::open(&data_dir).await.expect("the record");
    let duties = Duties {
        mails: false,
        charges: false,
    };
    assert_eq!(record.duties().await.expect("the record"), duties);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_closed_ends_its_stream_and_its_worker() {
    let folder = tempfile::tempdir().expect("a directory");
    let host = Host::builder(folder.path().join(OWN))
        .create()
        .await
        .expect("it opens");
    let worker = host.start_worker(WorkOptions::default());
    let mut outcomes = pin!(host.outcome_stream(OutcomeCursor::START));
    host.clone().close().await;
    let ended = tokio::time::timeout(PATIENCE, outcomes.next()).await;
    assert!(ended.expect("it ends").is_none());
    let ended = async {
        while !worker.has_ended() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("nobody has to stop it");
}

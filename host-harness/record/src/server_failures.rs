//! Tests of a server that fails: connections that break at a COMMIT, a standby that takes over, a database that has forgotten.

use std::time::{Duration, Instant};

use bss_keys::HostKeySource;
use bss_model::restoration::Evidence;
use bss_model::{Actor, AssetSelection, Diagnose as _, TakenAsset};
use bss_test_postgres::{Breakage, Point, Proxy, Server};
use uuid::Uuid;

use crate::{DatabaseAddress, Record, RecordError, WITNESS_FILE, test_record};

/// A server of one test, with a database that has a record in which there is an asset to buy, with an e-mail that waits.
struct Site {
    server: Server,
    directories: [tempfile::TempDir; 2],
}

const ASSET: u128 = 1;
const ROWS: [&str; 4] = [
    "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities, services_entity_tag,
                            created_at_ms)
     VALUES ($1, '', 'esd', 'EUR', '{}', '{}', 'ready', 1, '{}', '[]', '', 1)",
    "INSERT INTO orders (id, instance_id, request_digest, customer, customer_id, contact, placed_at_ms)
     VALUES ($1, $1, '', '{\"id\":\"c\",\"name\":\"n\",\"country\":\"GR\"}', 'c', '{\"email\":\"e@example.test\",\"language\":\"el\"}', 1)",
    "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id, client_transaction_id,
                         status, sync_status, return_status, created_at_ms, wanted_since_ms)
     VALUES ($1, $1, $1, 1, 'p', 'P', 0, 'c', $1, 'active', 'unsynchronised', 'none', 1, 1)",
    "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms)
     VALUES ($1, 'welcome', $1, $1, 1, 'c', 'pending', 0, 0, 1)",
];

impl Site {
    async fn new() -> Self {
        let site = Self {
            server: Server::start().unwrap(),
            directories: [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()],
        };
        site.server.sql("postgres", "CREATE DATABASE bss").unwrap();
        let source = HostKeySource::default();
        for directory in &site.directories {
            let owners: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(directory.path(), owners).unwrap();
        }
        source.key(site.directories[0].path(), true).unwrap();
        let [one, other] = &site.directories;
        std::fs::copy(one.path().join("host.key"), other.path().join("host.key")).unwrap();
        let record = Record::create_database(one.path(), &source, &site.address())
            .await
            .unwrap();
        test_record::without_references(&record).await;
        for row in ROWS {
            let row = record.writer.sql(row).bind(Uuid::from_u128(ASSET).to_string());
            row.execute().await.unwrap();
        }
        record.close().await;
        site
    }

    fn address(&self) -> DatabaseAddress {
        self.server.url("bss").parse().unwrap()
    }

    async fn open(&self, host: usize) -> Record {
        self.open_at(host, &self.address()).await.unwrap()
    }

    async fn open_at(&self, host: usize, address: &DatabaseAddress) -> Result<Record, RecordError> {
        Record::open_database(self.directories[host].path(), &HostKeySource::default(), address).await
    }

    /// Has the server take over from itself, as a standby does: with a new timeline.
    fn fail_over(&mut self) {
        self.server.demote().unwrap();
        self.server.sql("postgres", "SELECT pg_promote()").unwrap();
    }
}

async fn evidence(record: &Record) -> Vec<Evidence> {
    let restorations = record.restorations().await.unwrap();
    restorations
        .iter()
        .map(|restoration| restoration.evidence)
        .collect()
}

async fn texts(record: &Record, statement: &'static str) -> Vec<String> {
    record.readers.sql(statement).scalars().await.unwrap()
}

/// Takes the asset, which counts as one dispatch.
async fn take(record: &Record, worker: Uuid) -> TakenAsset {
    let all = AssetSelection {
        limit: 1,
        ..AssetSelection::default()
    };
    record.take_assets(worker, &all).await.unwrap().remove(0)
}

/// Does something that writes, as soon as the record can be reached again.
async fn write(record: &Record) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match record.count_time().await {
            Ok(()) => return,
            Err(error) => assert!(Instant::now() < until, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const RESULTS: &str = "SELECT COALESCE(result, 'open') FROM attempts ORDER BY number";
const MAIL: &str = "SELECT state FROM mails";

#[tokio::test]
async fn after_a_failover_what_is_open_is_in_doubt_once_and_e_mails_wait_for_a_minute() {
    let mut site = Site::new().await;
    let (one, other) = (site.open(0).await, site.open(1).await);
    let worker = one.start_worker().await.unwrap();
    let permit = worker.permit().unwrap();
    permit.check().await.unwrap();
    write(&other).await;
    assert_eq!(
        evidence(&one).await,
        [] as [Evidence; 0],
        "nothing has happened yet"
    );

    site.fail_over();
    write(&other).await;
    write(&one).await;
    assert_eq!(evidence(&one).await, [Evidence::Failover]);
    assert_eq!(texts(&one, RESULTS).await, ["restored"]);
    assert_eq!(texts(&one, MAIL).await, ["pending"]);
    let mails_wait = "SELECT due_at_ms FROM mails";
    let due: i64 = one.readers.sql(mails_wait).scalar().await.unwrap();
    assert!(due > one.now_ms() + 30_000, "{due}");
    assert!(matches!(permit.check().await, Err(RecordError::WorkerLost)));
    assert!(
        !one.awaits_adoption().await.unwrap(),
        "another server took over, and no copy goes on"
    );
    let next = other.start_worker().await.unwrap();
    let taken = take(&other, next.id()).await;
    assert!(taken.attempt.in_doubt.is_some());
}

#[tokio::test]
async fn a_host_that_has_seen_more_than_the_new_server_knows_says_so_and_e_mails_are_held() {
    let mut site = Site::new().await;
    let (one, other) = (site.open(0).await, site.open(1).await);
    let worker = one.start_worker().await.unwrap();
    take(&one, worker.id()).await;
    // What an asynchronous standby may not have: the last thing that was done.
    for forget in [
        "UPDATE provenance SET sequence = sequence - 1",
        "DELETE FROM attempts",
        "UPDATE assets SET worker = NULL",
    ] {
        other.writer.sql(forget).execute().await.unwrap();
    }
    site.fail_over();
    // The host that has seen nothing comes first, and goes on.
    write(&other).await;
    assert_eq!(evidence(&other).await, [Evidence::Failover]);
    assert_eq!(texts(&other, MAIL).await, ["pending"]);
    write(&one).await;
    assert_eq!(evidence(&other).await, [Evidence::Outdated, Evidence::Failover]);
    assert_eq!(texts(&other, MAIL).await, ["held"]);
}

#[tokio::test]
async fn a_host_that_was_off_during_a_failover_says_when_it_is_back_what_it_had_seen() {
    let mut site = Site::new().await;
    let (one, other) = (site.open(0).await, site.open(1).await);
    let worker = one.start_worker().await.unwrap();
    take(&one, worker.id()).await;
    let witness = std::fs::read_to_string(site.directories[0].path().join(WITNESS_FILE)).unwrap();
    drop(worker);
    one.close().await;
    let forget = other.writer.sql("UPDATE provenance SET sequence = sequence - 1");
    forget.execute().await.unwrap();
    site.fail_over();
    write(&other).await;
    // The others have gone beyond what it had seen.
    let more = other
        .writer
        .sql("UPDATE provenance SET sequence = sequence + 100");
    more.execute().await.unwrap();
    let back = site.open(0).await;
    assert_eq!(
        evidence(&back).await,
        [Evidence::Outdated, Evidence::Failover],
        "{witness}"
    );
    back.close().await;
    let again = site.open(0).await;
    assert_eq!(evidence(&again).await.len(), 2, "it is said once");
}

#[tokio::test]
async fn a_database_that_was_put_back_without_a_failover_shows_by_what_a_host_has_seen() {
    let site = Site::new().await;
    let one = site.open(0).await;
    let worker = one.start_worker().await.unwrap();
    take(&one, worker.id()).await;
    drop(worker);
    one.writer
        .sql("UPDATE provenance SET sequence = sequence - 1")
        .execute()
        .await
        .unwrap();
    one.close().await;
    let again = site.open(0).await;
    assert_eq!(evidence(&again).await, [Evidence::Outdated]);
}

#[tokio::test]
async fn what_is_open_is_looked_up_first_where_somebody_says_that_the_record_was_put_back() {
    let site = Site::new().await;
    let record = site.open(0).await;
    record.say_restored(&Actor::operator("test")).await.unwrap();
    assert_eq!(evidence(&record).await, [Evidence::Told]);
    assert_eq!(texts(&record, RESULTS).await, ["restored"]);
    assert_eq!(texts(&record, MAIL).await, ["held"]);
    assert!(!record.awaits_adoption().await.unwrap());
    let acts = "SELECT actor_name FROM acts WHERE act = 'notice_restoration'";
    assert_eq!(texts(&record, acts).await, ["test"]);
    record.close().await;
    assert_eq!(evidence(&site.open(0).await).await.len(), 1, "it goes on");
}

#[tokio::test]
async fn what_the_database_refuses_is_not_tried_again_and_what_did_not_reach_it_is() {
    let mut site = Site::new().await;
    let record = site.open(0).await;
    let refused = record.writer.sql("SELECT nothing").execute().await.unwrap_err();
    assert!(!refused.is_of_the_way(), "{refused:?}");
    site.server.kill().unwrap();
    let unreached = record.writer.sql("SELECT 1").execute().await.unwrap_err();
    assert!(unreached.is_of_the_way(), "{unreached:?}");
}

#[tokio::test]
async fn a_record_in_another_database_is_a_copy_and_nothing_in_doubt_is_bought_until_it_is_adopted() {
    let site = Site::new().await;
    // A copy on the same server has other tables, as a restored dump has.
    site.server
        .sql("postgres", "CREATE DATABASE copy TEMPLATE bss")
        .unwrap();
    let address = site.server.url("copy").parse().unwrap();
    let before = site
        .server
        .sql("copy", "UPDATE turn SET epoch = epoch || '9'")
        .unwrap();
    let copy = site.open_at(0, &address).await.unwrap();
    assert_eq!(evidence(&copy).await, [Evidence::AnotherFile], "{before}");
    assert!(copy.awaits_adoption().await.unwrap());
    assert_eq!(texts(&copy, MAIL).await, ["held"]);
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_written_where_it_was_and_is_an_error_where_it_was_not() {
    let site = Site::new().await;
    let proxy = Proxy::before(&site.server).await.unwrap();
    let record = site.open_at(0, &proxy.url("bss").parse().unwrap()).await.unwrap();
    let mut looks = 0;
    for breakage in [Breakage::Cut, Breakage::Silence] {
        for (point, is_written) in [(Point::AfterCommit, true), (Point::BeforeCommit, false)] {
            let change =
                "UPDATE provenance SET look_up_only_ms = look_up_only_ms + 1 RETURNING look_up_only_ms";
            let mut transaction = record.begin_write().await.unwrap();
            let written: i64 = transaction.sql(change).scalar().await.unwrap();
            proxy.break_next_commit(point, breakage);
            let committed = transaction.commit().await;
            let now: i64 = record
                .readers
                .sql("SELECT look_up_only_ms FROM provenance")
                .scalar()
                .await
                .unwrap();
            assert!(!proxy.is_breakage_due());
            assert_eq!(now == written, is_written, "{point:?} {breakage:?}");
            match committed {
                Ok(()) => assert!(is_written, "{point:?} {breakage:?}"),
                Err(error) => {
                    assert!(!is_written, "{point:?} {breakage:?}: {error:?}");
                    assert_eq!(error.diagnosis().code, "record-unavailable");
                }
            }
            looks += 1;
        }
    }
    assert_eq!(looks, 4);
}

#[tokio::test]
async fn nobody_is_told_that_a_transaction_was_written_or_not_where_another_server_took_over_meanwhile() {
    let mut site = Site::new().await;
    let record = site.open(0).await;
    let transaction = record.begin_write().await.unwrap();
    site.fail_over();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-outcome-unknown");
    write(&record).await;
}

#[tokio::test]
async fn nobody_is_told_that_a_transaction_was_written_whose_number_another_one_got_after_a_crash() {
    let mut site = Site::new().await;
    let (record, other) = (site.open(0).await, site.open(1).await);
    let change = "UPDATE provenance SET look_up_only_ms = 77";
    let mut transaction = record.begin_write().await.unwrap();
    transaction.sql(change).execute().await.unwrap();
    site.server.kill().unwrap();
    site.server.restart().unwrap();
    // The number of the transaction that the server forgot is among those that are given next.
    for _ in 0..3 {
        write(&other).await;
    }
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-outcome-unknown");
    let now: i64 = other
        .readers
        .sql("SELECT look_up_only_ms FROM provenance")
        .scalar()
        .await
        .unwrap();
    assert_ne!(now, 77);
}

#[tokio::test]
async fn a_worker_sends_as_long_as_its_lease_is_good_and_the_record_says_so() {
    let site = Site::new().await;
    let proxy = Proxy::before(&site.server).await.unwrap();
    let record = site.open_at(0, &proxy.url("bss").parse().unwrap()).await.unwrap();
    for (lease, is_good) in [
        ("lease_ends_uptime_ms", true),
        ("lease_ends_uptime_ms - 20000", true),
        ("lease_ends_uptime_ms - 25000", false),
        ("lease_ends_uptime_ms - 40000", false),
    ] {
        let worker = record.start_worker().await.unwrap();
        let change = format!("UPDATE workers SET lease_ends_uptime_ms = {lease}");
        site.server.sql("bss", &change).unwrap();
        let checked = worker.permit().unwrap().check().await;
        assert_eq!(checked.is_ok(), is_good, "{lease}: {checked:?}");
        record.end_worker(worker).await.unwrap();
    }
    let worker = record.start_worker().await.unwrap();
    let permit = worker.permit().unwrap();
    // A worker that has ended keeps its permit, and the record does not know it any more.
    record.end_worker(worker).await.unwrap();
    assert!(
        matches!(permit.check().await, Err(RecordError::WorkerLost)),
        "it is not there any more"
    );
    let worker = record.start_worker().await.unwrap();
    let permit = worker.permit().unwrap();
    drop(proxy);
    assert!(permit.check().await.is_err(), "the record does not answer");
}

#[tokio::test]
async fn a_worker_that_was_buried_is_given_nothing_and_knows_it_when_it_says_that_it_lives() {
    let site = Site::new().await;
    let record = site.open(0).await;
    let worker = record.start_worker().await.unwrap();
    let all = AssetSelection {
        limit: 1,
        ..AssetSelection::default()
    };
    site.server.sql("bss", "DELETE FROM workers").unwrap();
    assert!(record.take_assets(worker.id(), &all).await.unwrap().is_empty());
    assert!(record.take_mails(worker.id(), 1).await.unwrap().is_empty());
    let until = Instant::now() + Duration::from_secs(30);
    while !worker.is_lost() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let next = record.start_worker().await.unwrap();
    take(&record, next.id()).await;
}

#[tokio::test]
async fn no_data_directory_has_two_records() {
    let site = Site::new().await;
    let [one, other] = [0, 1].map(|host| site.directories[host].path());
    let source = HostKeySource::default();
    let code =
        |opened: Result<Record, RecordError>| opened.map(|_| ()).map_err(|error| error.diagnosis().code);
    // Of a record on a server, where no server is named.
    for opened in [
        Record::open_with(one, &source).await,
        Record::create(one, &source).await,
        Record::open_or_create(one, &source).await,
    ] {
        assert_eq!(code(opened), Err("record-on-server".into()));
    }
    assert!(!one.join("record.db").exists());
    // Of its own, and a backup of that, which is no record for the directory of another one.
    let own = Record::create(other, &source).await.unwrap();
    let backup = other.join("backup.db");
    own.backup(&backup).await.unwrap();
    own.close().await;
    let restored = Record::restore_with(one, &source, &backup, None, false).await;
    assert_eq!(restored.unwrap_err().diagnosis().code, "record-on-server");
    assert!(!one.join("record.db").exists());
    assert_eq!(
        code(site.open_at(1, &site.address()).await),
        Err("record-in-the-way".into())
    );
    // Of another database.
    site.server.sql("postgres", "CREATE DATABASE second").unwrap();
    let second: DatabaseAddress = site.server.url("second").parse().unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let owners: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(fresh.path(), owners).unwrap();
    source.key(fresh.path(), true).unwrap();
    assert_eq!(
        code(Record::open_database(fresh.path(), &source, &second).await),
        Err("no-record".into()),
        "nobody has made its tables"
    );
    Record::migrate_database(&second).await.unwrap();
    assert_eq!(
        code(Record::open_database(fresh.path(), &source, &second).await),
        Err("no-record".into())
    );
    Record::create_database(fresh.path(), &source, &second)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(
        code(Record::create_database(fresh.path(), &source, &second).await),
        Err("record-is-there".into())
    );
    assert_eq!(
        code(Record::open_database(fresh.path(), &source, &site.address()).await),
        Err("record-is-another".into())
    );
    // No key is made for it.
    std::fs::remove_file(fresh.path().join("host.key")).unwrap();
    assert!(
        Record::open_database(fresh.path(), &source, &second)
            .await
            .is_err()
    );
    assert!(!fresh.path().join("host.key").exists());
}

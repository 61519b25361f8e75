//! Tests of two hosts at one database at the same time: what each of them gets with the turn, and what goes wrong without it.

mod sales;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bss_model::AssetSelection;
use bss_test_postgres::Database;
use uuid::Uuid;

use crate::assets::key_purpose;
use crate::database::Pool;
use crate::{Record, test_record};

/// Two hosts with one database, in which there are six assets that are due, and an e-mail about each.
struct Hosts {
    one: Record,
    other: Record,
    _database: Database<'static>,
    _directories: [tempfile::TempDir; 2],
}

const ROWS: [&str; 4] = [
    "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities, services_entity_tag,
                            created_at_ms)
     SELECT $1, '', 'shop', 'EUR', '{}', '{}', 'ready', 1, '{}', '[]', '', 1 WHERE $3 = 1",
    "INSERT INTO orders (id, instance_id, request_digest, customer, customer_id, contact, placed_at_ms)
     VALUES ($2, $1, '', '{\"id\":\"c\",\"name\":\"n\",\"country\":\"GR\"}', 'c', '{\"email\":\"e@example.test\",\"language\":\"el\"}', 1)",
    "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id, client_transaction_id,
                         status, sync_status, return_status, created_at_ms, wanted_since_ms)
     VALUES ($2, $1, $2, 1, 'p', 'P', 0, 'c', $2, 'active', 'unsynchronised', 'none', $3, 1)",
    "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms)
     VALUES ($2, 'welcome', $2, $2, 1, 'c', 'pending', 0, 0, $3)",
];

impl Hosts {
    /// Two hosts with one database that has no rows.
    async fn empty() -> Self {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let database = test_record::database().await;
        let one = test_record::on_server(&database, directories[0].path()).await;
        std::fs::copy(
            directories[0].path().join("host.key"),
            directories[1].path().join("host.key"),
        )
        .unwrap();
        let other = test_record::on_server(&database, directories[1].path()).await;
        Self {
            one,
            other,
            _database: database,
            _directories: directories,
        }
    }

    async fn new(turns: bool) -> Self {
        let hosts = Self::empty().await;
        test_record::without_references(&hosts.one).await;
        for number in 1..=6_i64 {
            for row in ROWS {
                let row = hosts.one.writer.sql(row).bind(Uuid::from_u128(9).to_string());
                let row = row.bind(id_of(number).to_string()).bind(number);
                row.execute().await.unwrap();
            }
        }
        hosts.take_turns(turns);
        hosts
    }

    /// Says whether the hosts take turns from now on.
    fn take_turns(&self, turns: bool) {
        for host in [&self.one, &self.other] {
            let Pool::Postgres(_, told) = &host.writer else {
                unreachable!("the record of a server");
            };
            told.is_turn_skipped.store(!turns, Ordering::Relaxed);
        }
    }

    /// Has both hosts do something at the same time: each has read, and waits to write, when a lock on the rows is let go.
    async fn at_once<T>(
        &self,
        lock: &'static str,
        one: impl Future<Output = T>,
        other: impl Future<Output = T>,
    ) -> (T, T) {
        let mut holder = self.one.readers.acquire().await.unwrap();
        holder.sql("BEGIN READ WRITE").execute().await.unwrap();
        holder.sql(lock).execute().await.unwrap();
        let let_go = async {
            let waiting = "SELECT COUNT(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while holder.sql(waiting).scalar::<i64>().await.unwrap() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            holder.sql("COMMIT").execute().await.unwrap();
        };
        let both = async { tokio::join!(one, other, let_go) };
        let (one, other, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        (one, other)
    }
}

fn id_of(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap())
}

/// The assets that each of two hosts takes at the same time, three at most.
async fn taken_at_once(turns: bool) -> (BTreeSet<Uuid>, BTreeSet<Uuid>) {
    let hosts = Hosts::new(turns).await;
    let take = async |host: &Record| {
        let worker = host.start_worker().await.unwrap();
        let selection = AssetSelection {
            limit: 3,
            ..AssetSelection::default()
        };
        host.take_assets(worker.id(), &selection).await
    };
    let (one, other) = hosts
        .at_once(
            "SELECT id FROM assets FOR UPDATE",
            take(&hosts.one),
            take(&hosts.other),
        )
        .await;
    let ids = |taken: Result<Vec<bss_model::TakenAsset>, _>| {
        let taken: Result<BTreeSet<Uuid>, crate::RecordError> =
            taken.map(|taken| taken.iter().map(|taken| taken.asset_id).collect());
        taken.unwrap_or_default()
    };
    (ids(one), ids(other))
}

#[tokio::test]
async fn two_hosts_take_other_assets() {
    let (one, other) = taken_at_once(true).await;
    assert_eq!((one.len(), other.len()), (3, 3));
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}

#[tokio::test]
async fn without_the_turn_two_hosts_want_the_same_assets() {
    let (one, other) = taken_at_once(false).await;
    let both: BTreeSet<_> = one.union(&other).collect();
    assert!(both.len() < 6, "{one:?} {other:?}");
}

/// The e-mails that each of two hosts takes at the same time, three at most.
async fn mailed_at_once(turns: bool) -> (BTreeSet<Uuid>, BTreeSet<Uuid>) {
    let hosts = Hosts::new(turns).await;
    for number in 1..=6 {
        let (asset, key) = (id_of(number), b"AAAAA-BBBBB");
        let sealed = hosts.one.host_key.seal(&key_purpose(asset), key).unwrap();
        let license = "UPDATE assets SET sealed_product_key = $2 WHERE id = $1";
        let license = hosts.one.writer.sql(license).bind(asset.to_string());
        license.bind(sealed).execute().await.unwrap();
    }
    let take = async |host: &Record| {
        let worker = host.start_worker().await.unwrap();
        let taken = host.take_mails(worker.id(), 3).await.unwrap();
        taken.iter().map(|mail| mail.id).collect::<BTreeSet<_>>()
    };
    hosts
        .at_once(
            "SELECT id FROM mails FOR UPDATE",
            take(&hosts.one),
            take(&hosts.other),
        )
        .await
}

#[tokio::test]
async fn two_hosts_take_other_e_mails() {
    let (one, other) = mailed_at_once(true).await;
    assert_eq!((one.len(), other.len()), (3, 3));
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}

#[tokio::test]
async fn without_the_turn_two_hosts_take_the_same_e_mails() {
    let (one, other) = mailed_at_once(false).await;
    assert!(!one.is_disjoint(&other), "{one:?} {other:?}");
}

#[tokio::test]
async fn acts_of_two_hosts_are_one_chain_without_gaps_also_after_one_was_undone() {
    let hosts = Hosts::new(true).await;
    let actor = bss_model::Actor::operator("test");
    for minutes in 5..9 {
        let time = Duration::from_secs(60 * minutes);
        let (one, other) = tokio::join!(
            hosts.one.set_look_up_only(time, &actor),
            hosts.other.set_look_up_only(time, &actor)
        );
        one.unwrap();
        other.unwrap();
        let mut undone = hosts.one.begin_write().await.unwrap();
        let count = "UPDATE turn SET acts = acts + 1";
        undone.sql(count).execute().await.unwrap();
        undone.rollback().await.unwrap();
    }
    assert_eq!(hosts.other.verify_acts(None).await.unwrap().acts, 8);
}

#[tokio::test]
async fn a_worker_is_dead_to_other_hosts_when_its_lease_is_over_and_not_before() {
    let hosts = Hosts::new(true).await;
    let _worker = hosts.one.start_worker().await.unwrap();
    for (lease, are_left) in [
        (
            "UPDATE workers SET lease_ends_uptime_ms = lease_ends_uptime_ms",
            1,
        ),
        (
            "UPDATE workers SET lease_ends_uptime_ms = lease_ends_uptime_ms - 30001",
            0,
        ),
    ] {
        hosts.one.writer.sql(lease).execute().await.unwrap();
        let mut transaction = hosts.other.begin_write().await.unwrap();
        hosts.other.release_dead_workers(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let left = hosts.one.readers.sql("SELECT COUNT(*) FROM workers");
        assert_eq!(left.scalar::<i64>().await.unwrap(), are_left, "{lease}");
    }
}

#[tokio::test]
async fn the_time_of_a_turn_is_that_at_which_it_came_and_no_host_is_ahead_of_it() {
    let hosts = Hosts::new(true).await;
    let first = hosts.one.begin_write().await.unwrap();
    let wait = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = first.now_ms();
        first.commit().await.unwrap();
        began
    };
    let (began, second) = tokio::join!(wait, hosts.other.begin_write());
    let second = second.unwrap();
    assert!(second.now_ms() >= began + 300, "{} {began}", second.now_ms());
    assert_eq!(second.now(), second.now());
    drop(second);
    let reckoned = hosts.one.now_ms();
    let clock = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";
    let told: i64 = hosts.one.readers.sql(clock).scalar().await.unwrap();
    assert!((told - 10_000..=told).contains(&reckoned), "{reckoned} {told}");
}

#[tokio::test]
async fn the_time_in_which_a_turn_is_held_is_counted_and_that_of_reading_is_not() {
    const HELD: Duration = Duration::from_millis(50);
    let hosts = Hosts::empty().await;
    let before = hosts.one.turn_times().unwrap();
    let begun = std::time::Instant::now();
    let reading = hosts.one.writer.begin_read().await.unwrap();
    tokio::time::sleep(HELD).await;
    reading.rollback().await.unwrap();
    assert_eq!(hosts.one.turn_times().unwrap(), before);
    let writing = hosts.one.writer.begin_write().await.unwrap();
    tokio::time::sleep(HELD).await;
    writing.rollback().await.unwrap();
    let after = hosts.one.turn_times().unwrap();
    let held = after.held.checked_sub(before.held).unwrap();
    assert_eq!(after.turns - before.turns, 1);
    assert!(held >= HELD && held + HELD <= begun.elapsed(), "{held:?}");
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(test_record::on_sqlite(directory.path()).await.turn_times(), None);
}

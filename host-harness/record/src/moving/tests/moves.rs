//! What a record is after it was moved, and after that was undone.

use std::collections::BTreeSet;

use bss_model::moment::Moment;
use bss_model::{Act, AssetSelection};

use super::*;
use crate::database::clock::is_of_a_database;
use crate::moved::Mark;
use crate::moving::catalog::{Catalog, LEFT_OUT, NOT_COPIED};
use crate::moving::marking::set_mark;

#[tokio::test]
async fn a_record_with_something_in_every_table_is_the_same_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    filling::in_directory(folder.path()).await;
    let database = test_record::database().await;
    let (source, address) = (HostKeySource::default(), address_of(&database));
    let there = Record::copy_to_server(folder.path(), &source, &address)
        .await
        .unwrap();
    let empty: Vec<_> = there.tables.iter().filter(|table| table.rows == 0).collect();
    assert!(empty.is_empty() && there.tables.len() > 40, "{empty:?}");
    let error = Record::open_with(folder.path(), &source).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-moved");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert_eq!(
        Record::moved(folder.path(), &source).await.unwrap().as_ref(),
        Some(&there)
    );
    let verified = Record::verify_server(folder.path(), &source, &address, Some(&there.tables)).await;
    let verified = verified.unwrap();
    assert!(
        verified.sealed_values > 15 && verified.acts.acts == 3,
        "{verified:?}"
    );

    let other = other_directory(folder.path());
    let back = Record::copy_from_server(other.path(), &source, &address)
        .await
        .unwrap();
    assert_eq!(back.tables, there.tables);
    let error = Record::open_database(folder.path(), &source, &address)
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().code, "record-moved");
    assert_eq!(Record::moved(other.path(), &source).await.unwrap(), None);
    let record = Record::open_with(other.path(), &source).await.unwrap();
    assert!(record.verify().await.is_ok());
    // The record is in place, and no copy.
    let noticed = record.readers.sql("SELECT COUNT(*) FROM acts WHERE act = $1");
    let noticed = noticed.bind(Act::NoticeRestoration.word()).scalar::<i64>();
    assert_eq!(
        (noticed.await.unwrap(), record.awaits_adoption().await.unwrap()),
        (0, false)
    );
    assert_eq!(record.host_key_uses().await.unwrap().unopened, 0);
    change(&record).await.unwrap();
    assert_eq!(record.verify_acts(None).await.unwrap().acts, 4);
}

#[tokio::test]
async fn every_table_and_column_is_copied_but_those_that_are_named_here() {
    let catalog = Catalog::of_this_program().await.unwrap();
    let database = test_record::database().await;
    let columns = database
        .sql("SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'")
        .unwrap();
    let there: BTreeSet<_> = columns
        .lines()
        .filter(|line| !line.starts_with("_sqlx_migrations."))
        .collect();
    let copied: Vec<_> = catalog
        .tables
        .iter()
        .flat_map(|table| {
            table
                .columns
                .iter()
                .map(|column| format!("{}.{}", table.name, column.name))
        })
        .collect();
    let copied: BTreeSet<_> = copied.iter().map(String::as_str).collect();
    let not_copied: BTreeSet<_> = there.difference(&copied).copied().collect();
    let in_a_table = |line: &&str| NOT_COPIED.contains(&line.split('.').next().unwrap());
    let (of_tables, of_columns): (BTreeSet<&str>, BTreeSet<&str>) =
        not_copied.into_iter().partition(in_a_table);
    let named = LEFT_OUT.map(|(table, column)| format!("{table}.{column}"));
    assert_eq!(of_columns, named.iter().map(String::as_str).collect());
    assert!(
        of_tables.contains("workers.id") && of_tables.contains("turn.acts"),
        "{of_tables:?}"
    );
    assert!(catalog.tables.iter().all(|table| !table.key.is_empty()));
    assert!(
        catalog
            .tables
            .iter()
            .any(|table| table.itself.is_some() && table.key.len() == 1)
    );
}

#[tokio::test]
async fn numbers_go_on_after_the_last_one_that_was_ever_given() {
    let folder = tempfile::tempdir().unwrap();
    filling::in_directory(folder.path()).await;
    let database = test_record::database().await;
    let (source, address) = (HostKeySource::default(), address_of(&database));
    Record::copy_to_server(folder.path(), &source, &address)
        .await
        .unwrap();
    let alert = "INSERT INTO alerts (kind, subject, raised_at_ms) VALUES ('k', 's', 1) RETURNING number";
    let other = other_directory(folder.path());
    let first = |said: String| said.lines().next().unwrap().to_owned();
    assert_eq!(first(database.sql(alert).unwrap()), "51");
    assert_eq!(first(database.sql("SELECT acts FROM turn").unwrap()), "3");
    database.sql("DELETE FROM alerts WHERE number = 51").unwrap();
    Record::copy_from_server(other.path(), &source, &address)
        .await
        .unwrap();
    let record = Record::open_with(other.path(), &source).await.unwrap();
    assert_eq!(record.writer.sql(alert).scalar::<i64>().await.unwrap(), 52);
    let restoration = "INSERT INTO restorations (noticed_at_ms, evidence, order_lines, returns, mails) VALUES (1, 'e', 0, 0, 0) RETURNING number";
    assert_eq!(record.writer.sql(restoration).scalar::<i64>().await.unwrap(), 61);
}

const CUT_OFF: [&str; 4] = [
    "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities, services_entity_tag,
                            created_at_ms)
     VALUES ($1, '', 'esd', 'EUR', '{}', '{}', 'ready', 1, '{}', '[]', '', 1)",
    "INSERT INTO orders (id, instance_id, request_digest, customer, customer_id, contact, placed_at_ms)
     VALUES ($1, $1, '', '{\"id\":\"c\",\"name\":\"n\",\"country\":\"GR\"}', 'c', '{\"email\":\"e@example.test\",\"language\":\"el\"}', 1)",
    "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id, client_transaction_id,
                         status, sync_status, return_status, created_at_ms, wanted_since_ms, worker)
     VALUES ($1, $1, $1, 1, 'p', 'P', 0, 'c', $1, 'active', 'unsynchronised', 'none', 1, 1, $1)",
    "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms, boot, begun_uptime_ms, settings_version)
     VALUES ($1, 1, $1, 1, $1, 1, 1)",
];

/// A record in which a worker has died while it attempted a line.
async fn with_a_line_cut_off() -> Ready {
    let ready = Ready::new().await;
    let record = ready.open_directory().await.unwrap();
    let mut loose = record.writer.acquire().await.unwrap();
    loose.sql("PRAGMA foreign_keys = OFF").execute().await.unwrap();
    for row in CUT_OFF {
        let id = uuid::Uuid::from_u128(9).to_string();
        loose.sql(row).bind(id).execute().await.unwrap();
    }
    let product = "INSERT INTO product_types (instance_id, id, name, derivative, split_quantity, manual_cancellation, attributes)
                   SELECT id, 't', 't', 'd', FALSE, FALSE, '[]' FROM instances";
    loose.sql(product).execute().await.unwrap();
    let product = "INSERT INTO products (instance_id, code, product_type, name, description, attribute_values, min_quantity, returnable,
                                         active, published, discontinued)
                   SELECT id, 'p', 't', 'P', '', '[]', 1, TRUE, TRUE, TRUE, FALSE FROM instances";
    loose.sql(product).execute().await.unwrap();
    let line = "INSERT INTO order_lines (order_id, position, product_code) SELECT id, 1, 'p' FROM orders";
    loose.sql(line).execute().await.unwrap();
    drop(loose);
    record.close().await;
    ready
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_free_on_the_server_and_in_doubt_since_the_first_look_there() {
    let ready = with_a_line_cut_off().await;
    ready.copy().await.unwrap();
    let record = ready.open_server().await.unwrap();
    let mut since = Vec::new();
    for _ in 0..2 {
        let worker = record.start_worker().await.unwrap();
        let before = record.now_ms();
        let taken = record
            .take_assets(
                worker.id(),
                &AssetSelection {
                    limit: 3,
                    ..AssetSelection::default()
                },
            )
            .await
            .unwrap();
        let doubt = taken[0].attempt.in_doubt.unwrap();
        since.push(doubt.since);
        assert!(doubt.since.wall_ms >= before, "{doubt:?}");
        // The attempt is cut off as well.
        record.end_worker(worker).await.unwrap();
    }
    assert!(since[1].is_of_the_boot_of(since[0]));
    // What it has looked up does not begin the wait anew.
    let looked_up = "UPDATE attempts SET result = 'looked_up', finished_at_ms = begun_at_ms, finished_uptime_ms = begun_uptime_ms";
    record.writer.sql(looked_up).execute().await.unwrap();
    record
        .writer
        .sql("UPDATE attempts SET result = NULL, finished_at_ms = NULL WHERE number = 1")
        .execute()
        .await
        .unwrap();
    let worker = record.start_worker().await.unwrap();
    let taken = record
        .take_assets(
            worker.id(),
            &AssetSelection {
                limit: 3,
                ..AssetSelection::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(taken[0].attempt.in_doubt.unwrap().since, since[0]);
}

#[tokio::test]
async fn moments_by_the_clock_of_one_database_mean_nothing_to_another() {
    let ready = with_a_line_cut_off().await;
    ready.copy().await.unwrap();
    let on_server = "UPDATE attempts SET boot = $1";
    let record = ready.open_server().await.unwrap();
    let databases = record.uptime().boot.0.to_string();
    assert!(is_of_a_database(&databases));
    assert!(!is_of_a_database(
        &Moment::now().uptime.unwrap().boot.0.to_string()
    ));
    record
        .writer
        .sql(on_server)
        .bind(&databases)
        .execute()
        .await
        .unwrap();
    record.close().await;
    let other = other_directory(ready.path());
    let source = HostKeySource::default();
    Record::copy_from_server(other.path(), &source, &ready.address())
        .await
        .unwrap();
    let database = test_record::database().await;
    let there = Record::copy_to_server(other.path(), &source, &address_of(&database))
        .await
        .unwrap();
    assert_eq!(
        database
            .sql("SELECT count(*) FROM attempts WHERE boot IS NULL")
            .unwrap(),
        "1"
    );
    assert!(
        there
            .tables
            .iter()
            .any(|table| table.table == "attempts" && table.rows == 1)
    );
}

#[tokio::test]
async fn a_move_is_undone_as_long_as_nothing_was_written_and_only_one_record_ever_opens() {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    // To look at it is to write nothing.
    assert_eq!(ready.that_open().await, (false, true));
    ready.undo().await.unwrap();
    assert_eq!(ready.that_open().await, (true, false));
    assert_eq!(code_of(ready.undo().await), "record-not-moved");
    assert_eq!(
        code_of(ready.copy().await),
        "record-moved",
        "the database was left behind"
    );
}

#[tokio::test]
async fn a_move_is_not_undone_after_a_host_has_worked_on_the_server() {
    for is_worker in [true, false] {
        let ready = Ready::new().await;
        ready.copy().await.unwrap();
        let record = ready.open_server().await.unwrap();
        match is_worker {
            true => drop(record.start_worker().await.unwrap()),
            false => change(&record).await.unwrap(),
        }
        record.close().await;
        assert_eq!(code_of(ready.undo().await), "record-goes-on");
        assert_eq!(code_of(ready.copy().await), "record-moved");
        assert_eq!(ready.that_open().await, (false, true));
    }
}

#[tokio::test]
async fn a_move_to_a_directory_is_undone_as_long_as_nothing_was_written_there() {
    for is_changed in [false, true] {
        let ready = Ready::new().await;
        ready.copy().await.unwrap();
        let other = other_directory(ready.path());
        assert_eq!(code_of(ready.undo_back(other.path()).await), "record-not-moved");
        ready.copy_back(other.path()).await.unwrap();
        let record = Record::open_with(other.path(), &HostKeySource::File)
            .await
            .unwrap();
        if is_changed {
            change(&record).await.unwrap();
        }
        record.close().await;
        match is_changed {
            true => assert_eq!(code_of(ready.undo_back(other.path()).await), "record-goes-on"),
            false => ready.undo_back(other.path()).await.unwrap(),
        }
        let opens = Record::open_with(other.path(), &HostKeySource::File)
            .await
            .is_ok();
        assert_eq!(
            (opens, ready.that_open().await),
            (is_changed, (false, !is_changed))
        );
    }
}

#[tokio::test]
async fn customers_that_were_erased_are_listed_beside_the_file_again() {
    let folder = tempfile::tempdir().unwrap();
    filling::in_directory(folder.path()).await;
    let database = test_record::database().await;
    let (source, address) = (HostKeySource::default(), address_of(&database));
    Record::copy_to_server(folder.path(), &source, &address)
        .await
        .unwrap();
    let other = other_directory(folder.path());
    Record::copy_from_server(other.path(), &source, &address)
        .await
        .unwrap();
    let list = std::fs::read_to_string(other.path().join(crate::ERASED_CUSTOMERS_FILE)).unwrap();
    assert_eq!(
        list.lines().filter(|line| line.contains("customerId")).count(),
        3,
        "{list}"
    );
}

#[tokio::test]
async fn who_has_a_record_on_a_server_open_writes_nothing_once_it_was_moved() {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let record = ready.open_server().await.unwrap();
    change(&record).await.unwrap();
    let mut moving = record.writer.begin_move().await.unwrap();
    let mark = Mark {
        to: "elsewhere".to_owned(),
        at_ms: 1,
        sequence: 0,
        acts: 0,
        tables: Vec::new(),
    };
    // A host that waits for the turn meanwhile gets none.
    let (waited, ()) = tokio::join!(change(&record), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        set_mark(&mut moving, &mark).await.unwrap();
        moving.commit().await.unwrap();
    });
    for error in [waited.unwrap_err(), change(&record).await.unwrap_err()] {
        assert_eq!(error.diagnosis().code, "record-moved", "{error:?}");
    }
}

#[tokio::test]
async fn a_program_without_the_step_that_marks_refuses_a_record_that_was_moved() {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let older = crate::database::sqlite::writer(&ready.path().join(crate::RECORD_FILE))
        .await
        .unwrap();
    let error = older.migrate(&crate::migrations::up_to(47)).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-not-up-to-date");
}

//! What is not moved, each beside what is.

use super::*;

/// Fails unless a move is refused with a code and nothing has changed, and is done once the reason is gone.
async fn refused(code: &str, make: &'static str, unmake: &'static str) -> String {
    let ready = Ready::new().await;
    let record = ready.open_directory().await.unwrap();
    let mut connection = record.writer.acquire().await.unwrap();
    connection
        .sql("PRAGMA foreign_keys = OFF")
        .execute()
        .await
        .unwrap();
    let uptime = record.uptime();
    let make = connection
        .sql(make)
        .bind(uptime.boot.0.to_string())
        .bind(uptime.ms + 60_000);
    make.execute().await.unwrap();
    drop(connection);
    record.close().await;
    let error = ready.copy().await.unwrap_err();
    assert_eq!(error.diagnosis().code, code, "{error:?}");
    let record = ready.open_directory().await.unwrap();
    record.writer.sql(unmake).execute().await.unwrap();
    record.close().await;
    ready.copy().await.unwrap();
    assert_eq!(ready.that_open().await, (false, true));
    error.to_string()
}

#[tokio::test]
async fn a_record_is_not_moved_while_a_worker_has_its_lease() {
    refused(
        "worker-at-work",
        "INSERT INTO workers (id, boot, lease_ends_uptime_ms) VALUES ('00000000-0000-0000-0000-000000000007', $1, $2)",
        "UPDATE workers SET lease_ends_uptime_ms = 1",
    )
    .await;
}

#[tokio::test]
async fn a_record_is_not_moved_while_get_services_definition_runs() {
    refused(
        "run-open",
        "INSERT INTO services_runs (id, instance_id, state, asked_at_ms, new_products, changed_products, discontinued_products,
             revived_products, skipped_items, unchanged, lease_boot, lease_ends_uptime_ms)
         VALUES ('00000000-0000-0000-0000-000000000007', 'i', 'in_progress', 1, 0, 0, 0, 0, 0, FALSE, $1, $2)",
        // Of an instance that is not there.
        "DELETE FROM services_runs",
    )
    .await;
}

#[tokio::test]
async fn a_text_with_nul_is_named_with_its_table_row_and_column() {
    let said = refused(
        "text-with-nul",
        "INSERT INTO sellers (instance_id, seller) VALUES ('i-1', 'a' || char(0) || $1 || $2)",
        "UPDATE sellers SET seller = 'a'",
    )
    .await;
    let named = ["`sellers`", "`seller`", "instance_id = `i-1`"];
    assert!(named.iter().all(|part| said.contains(part)), "{said}");
}

#[tokio::test]
async fn a_record_that_a_program_has_open_is_not_moved() {
    let ready = Ready::new().await;
    let record = ready.open_directory().await.unwrap();
    assert_eq!(code_of(ready.copy().await), "record-in-use");
    change(&record).await.unwrap();
    record.close().await;
    ready.copy().await.unwrap();

    let record = ready.open_server().await.unwrap();
    let other = other_directory(ready.path());
    let address = ready.address();
    let back = || Record::copy_from_server(other.path(), &HostKeySource::File, &address);
    assert_eq!(code_of(back().await), "record-in-use");
    change(&record).await.unwrap();
    record.close().await;
    back().await.unwrap();
}

#[tokio::test]
async fn a_record_on_a_server_is_not_moved_while_a_worker_has_its_lease() {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let record = ready.open_server().await.unwrap();
    drop(record.start_worker().await.unwrap());
    let other = other_directory(ready.path());
    record.close().await;
    let address = ready.address();
    let back = || Record::copy_from_server(other.path(), &HostKeySource::File, &address);
    assert_eq!(code_of(back().await), "worker-at-work");
    ready
        .database
        .sql("UPDATE workers SET lease_ends_uptime_ms = 1")
        .unwrap();
    back().await.unwrap();
}

#[tokio::test]
async fn a_record_is_moved_with_its_own_host_key_alone() {
    let ready = Ready::new().await;
    let stranger = HostKeySource::Given(bss_keys::HostKey::generate().unwrap().into());
    let copied = Record::copy_to_server(ready.path(), &stranger, &ready.address()).await;
    assert_eq!(code_of(copied), "wrong-host-key");
    ready.copy().await.unwrap();
    let verified = Record::verify_server(ready.path(), &stranger, &ready.address(), None).await;
    assert_eq!(code_of(verified), "wrong-host-key");
    let other = other_directory(ready.path());
    let back = Record::copy_from_server(other.path(), &stranger, &ready.address()).await;
    assert_eq!(code_of(back), "wrong-host-key");
    Record::copy_from_server(other.path(), &HostKeySource::File, &ready.address())
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_moved_to_where_a_record_is() {
    let ready = Ready::new().await;
    let used = Ready::new().await;
    // A host has opened it, and nothing more.
    used.copy().await.unwrap();
    let copied = Record::copy_to_server(ready.path(), &HostKeySource::File, &used.address()).await;
    assert_eq!(code_of(copied), "database-not-empty");
    let opened = test_record::database().await;
    let folder = tempfile::tempdir().unwrap();
    test_record::on_server(&opened, folder.path()).await.close().await;
    let copied = Record::copy_to_server(ready.path(), &HostKeySource::File, &address_of(&opened)).await;
    let error = copied.unwrap_err();
    assert!(
        error.to_string().contains("host_key_checks, provenance"),
        "{error}"
    );
    let back = Record::copy_from_server(ready.path(), &HostKeySource::File, &used.address()).await;
    assert_eq!(code_of(back), "record-is-there");
    ready.copy().await.unwrap();
}

#[tokio::test]
async fn nothing_is_moved_between_tables_of_two_programs() {
    for of_source in [true, false] {
        let ready = Ready::new().await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, '', TRUE, '', 0)";
        let older = "DELETE FROM _sqlx_migrations WHERE version = 999";
        let run = async |statement: &'static str| match of_source {
            true => {
                let writer = crate::database::sqlite::writer(&ready.path().join(crate::RECORD_FILE))
                    .await
                    .unwrap();
                writer.sql(statement).execute().await.unwrap();
                writer.close().await;
            }
            false => drop(ready.database.sql(statement).unwrap()),
        };
        run(newer).await;
        assert_eq!(code_of(ready.copy().await), "record-not-up-to-date");
        run(older).await;
        ready.copy().await.unwrap();
    }
    let ready = Ready::new().await;
    let bare = bss_test_postgres::shared().unwrap().database().unwrap();
    let copied = Record::copy_to_server(ready.path(), &HostKeySource::File, &address_of(&bare)).await;
    assert_eq!(code_of(copied), "record-not-up-to-date");
}

#[tokio::test]
async fn a_record_that_was_moved_is_moved_nowhere_else() {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let second = test_record::database().await;
    let copied = Record::copy_to_server(ready.path(), &HostKeySource::File, &address_of(&second)).await;
    assert_eq!(code_of(copied), "record-moved");
    let undone = Record::undo_copy_to_server(ready.path(), &HostKeySource::File, &address_of(&second)).await;
    assert_eq!(code_of(undone), "record-moved");
    // Repeating the move moves nothing.
    let again = ready.copy().await.unwrap();
    assert_eq!(again.to, ready.address().to_string());
    assert_eq!(ready.that_open().await, (false, true));
}

#[tokio::test]
async fn what_is_not_as_it_was_once_it_is_written_is_not_moved() {
    let ready = Ready::new().await;
    ready
        .database
        .sql(
            "CREATE FUNCTION alter_it() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN NEW.at_ms = NEW.at_ms + 1; RETURN NEW; END';
             CREATE TRIGGER alters BEFORE INSERT ON acts FOR EACH ROW EXECUTE FUNCTION alter_it()",
        )
        .unwrap();
    assert_eq!(code_of(ready.copy().await), "tables-differ");
    ready.open_directory().await.unwrap().close().await;
    ready.database.sql("DROP TRIGGER alters ON acts").unwrap();
    ready.copy().await.unwrap();
}

#[tokio::test]
async fn no_backup_takes_the_place_of_a_record_that_was_moved_and_one_does_where_the_move_was_undone() {
    let ready = Ready::new().await;
    let backup = ready.path().join("backup.db");
    let record = ready.open_directory().await.unwrap();
    record.backup(&backup).await.unwrap();
    record.close().await;
    ready.copy().await.unwrap();
    let source = HostKeySource::File;
    let restore = || Record::restore_with(ready.path(), &source, &backup, None, true);
    assert_eq!(restore().await.unwrap_err().diagnosis().code, "record-on-server");
    assert_eq!(ready.that_open().await, (false, true));
    let undone = Record::undo_copy_to_server(ready.path(), &source, &ready.address()).await;
    // Opening it there was no work.
    undone.unwrap();
    restore().await.unwrap();
    assert_eq!(ready.that_open().await, (true, false));
}

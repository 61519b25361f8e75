//! Connections that are cut and programs that end in the middle of a move: never two records that open, and one at the latest after the
//! same command again.

use bss_test_postgres::{Breakage, Point, Proxy, shared};

use super::*;
use crate::database::sqlite;
use crate::moved::Mark;
use crate::moving::catalog::Catalog;
use crate::moving::directory::Opened;
use crate::moving::marking::set_mark;
use crate::moving::server::Server;
use crate::moving::{from_server, to_server};

async fn proxy() -> Proxy {
    Proxy::before(shared().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_commit_of_the_server_that_was_not_heard_of_is_looked_for() {
    for (point, is_moved) in [(Point::BeforeCommit, false), (Point::AfterCommit, true)] {
        let ready = Ready::new().await;
        let proxy = proxy().await;
        let address: DatabaseAddress = proxy.url(ready.database.name()).parse().unwrap();
        proxy.break_next_commit(point, Breakage::Cut);
        let copied = Record::copy_to_server(ready.path(), &HostKeySource::File, &address).await;
        assert!(!proxy.is_breakage_due(), "{copied:?}");
        assert_eq!(copied.is_ok(), is_moved, "{copied:?}");
        if !is_moved {
            let record = ready.open_directory().await.unwrap();
            change(&record).await.unwrap();
            record.close().await;
        }
        Record::copy_to_server(ready.path(), &HostKeySource::File, &address)
            .await
            .unwrap();
        assert_eq!(ready.that_open().await, (false, true));
    }
}

#[tokio::test]
async fn a_mark_on_the_server_that_was_not_heard_of_is_looked_for() {
    for (point, is_moved) in [(Point::BeforeCommit, false), (Point::AfterCommit, true)] {
        let ready = Ready::new().await;
        ready.copy().await.unwrap();
        let proxy = proxy().await;
        let address: DatabaseAddress = proxy.url(ready.database.name()).parse().unwrap();
        let other = other_directory(ready.path());
        proxy.break_next_commit(point, Breakage::Cut);
        let copied = Record::copy_from_server(other.path(), &HostKeySource::File, &address).await;
        assert!(!proxy.is_breakage_due(), "{copied:?}");
        assert_eq!(copied.is_ok(), is_moved, "{copied:?}");
        let open = Record::open_with(other.path(), &HostKeySource::File).await;
        assert_eq!(open.is_ok(), is_moved, "{open:?}");
        if let Ok(record) = open {
            record.close().await;
        }
        assert_eq!(ready.open_server().await.is_ok(), !is_moved);
    }
}

#[tokio::test]
async fn an_undoing_whose_mark_on_the_server_was_not_confirmed_is_done_where_it_was_written_and_else_by_the_next_one()
 {
    for point in [Point::BeforeCommit, Point::AfterCommit] {
        let ready = Ready::new().await;
        let proxy = proxy().await;
        let address: DatabaseAddress = proxy.url(ready.database.name()).parse().unwrap();
        let source = HostKeySource::File;
        Record::copy_to_server(ready.path(), &source, &address)
            .await
            .unwrap();
        proxy.break_next_commit(point, Breakage::Cut);
        let undone = Record::undo_copy_to_server(ready.path(), &source, &address).await;
        match point {
            // The server was asked, and has it.
            Point::AfterCommit => undone.unwrap(),
            Point::BeforeCommit => {
                assert_eq!(code_of(undone), "move-unsettled");
                assert!(ready.open_directory().await.is_err());
                Record::undo_copy_to_server(ready.path(), &source, &address)
                    .await
                    .unwrap();
            }
        }
        assert_eq!(ready.that_open().await, (true, false));
    }
}

#[tokio::test]
async fn where_the_server_does_not_answer_nothing_opens_until_the_same_command_again() {
    let ready = Ready::new().await;
    let lost = || RecordError::from(sqlx::Error::PoolTimedOut);
    let address = ready.address().to_string();
    mark_directory(&ready, address.clone()).await;
    let source = Opened::in_directory(ready.path(), &HostKeySource::File)
        .await
        .unwrap();
    let server = Server::open(&ready.address()).await.unwrap();
    server.pools.writer.close().await;
    let catalog = Catalog::of_this_program().await.unwrap();
    let settled = to_server::settle(&catalog, &source, &server, mark(address.clone()), lost()).await;
    assert_eq!(code_of(settled), "move-unsettled");
    source.writer.close().await;
    drop(source);
    assert!(ready.open_directory().await.is_err());
    ready.copy().await.unwrap();
    assert_eq!(ready.that_open().await, (false, true));

    let settled = from_server::settle(&server, &mark(address), lost()).await;
    assert_eq!(code_of(settled), "move-unsettled");
}

/// Marks a record as one that is moved elsewhere, as a program does that ends right after.
async fn mark_directory(ready: &Ready, to: String) {
    let writer = sqlite::writer(&ready.path().join(crate::RECORD_FILE))
        .await
        .unwrap();
    let mut transaction = writer.begin_move().await.unwrap();
    set_mark(&mut transaction, &mark(to)).await.unwrap();
    transaction.commit().await.unwrap();
    writer.close().await;
}

fn mark(to: String) -> Mark {
    Mark {
        to,
        at_ms: 1,
        sequence: 0,
        acts: 1,
        tables: Vec::new(),
    }
}

#[tokio::test]
async fn a_program_that_ended_between_the_mark_and_the_server_s_commit_leaves_what_is_completed_or_undone() {
    for is_completed in [true, false] {
        let ready = Ready::new().await;
        mark_directory(&ready, ready.address().to_string()).await;
        let error = ready.open_directory().await.unwrap_err();
        assert_eq!(error.diagnosis().code, "record-moved");
        match is_completed {
            true => drop(ready.copy().await.unwrap()),
            false => ready.undo().await.unwrap(),
        }
        assert_eq!(ready.open_directory().await.is_ok(), !is_completed);
        let on_server = ready.database.sql("SELECT count(*) FROM acts").unwrap();
        assert_eq!(on_server, if is_completed { "1" } else { "0" });
    }
}

#[tokio::test]
async fn a_program_that_ended_between_the_server_s_mark_and_the_file_leaves_what_is_completed_in_that_directory_alone()
 {
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let other = other_directory(ready.path());
    let to = format!("data directory `{}`", other.path().display());
    let server = ready.open_server().await.unwrap();
    let mut transaction = server.writer.begin_move().await.unwrap();
    set_mark(&mut transaction, &mark(to)).await.unwrap();
    transaction.commit().await.unwrap();
    server.close().await;
    assert_eq!(ready.that_open().await, (false, false));
    let third = other_directory(ready.path());
    let copied = Record::copy_from_server(third.path(), &HostKeySource::File, &ready.address()).await;
    assert_eq!(code_of(copied), "record-moved");
    ready.copy_back(other.path()).await.unwrap();
    Record::open_with(other.path(), &HostKeySource::File)
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(ready.that_open().await, (false, false));

    // The directory is lost before it was ever opened.
    let ready = Ready::new().await;
    ready.copy().await.unwrap();
    let other = other_directory(ready.path());
    ready.copy_back(other.path()).await.unwrap();
    std::fs::remove_file(other.path().join(crate::RECORD_FILE)).unwrap();
    ready.undo_back(other.path()).await.unwrap();
    assert_eq!(ready.that_open().await, (false, true));
}

use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};

use super::*;
use crate::{Database, shared};

/// Longer than any answer takes, and short enough to be waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// A database with a table, and a connection to it through a proxy.
async fn through_a_proxy() -> (Database<'static>, Proxy, PgConnection) {
    let database = shared().unwrap().database().unwrap();
    database.sql("CREATE TABLE rows (number BIGINT)").unwrap();
    let proxy = Proxy::before(shared().unwrap()).await.unwrap();
    let connection = PgConnection::connect(&proxy.url(database.name())).await.unwrap();
    (database, proxy, connection)
}

async fn insert(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT INTO rows VALUES ($1)")
        .bind(1_i64)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn rows(database: &Database<'_>) -> String {
    database.sql("SELECT count(*) FROM rows").unwrap()
}

#[tokio::test]
async fn what_is_not_to_break_goes_through() {
    let (database, proxy, mut connection) = through_a_proxy().await;
    insert(&mut connection).await.unwrap();
    assert_eq!(rows(&database), "1");
    let long = "x".repeat(3_000_000);
    let echoed: String = sqlx::query_scalar("SELECT $1")
        .bind(&long)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(echoed == long && !proxy.is_breakage_due());
}

#[tokio::test]
async fn a_commit_that_the_server_never_hears_leaves_no_row() {
    let (database, proxy, mut connection) = through_a_proxy().await;
    proxy.break_next_commit(Point::BeforeCommit, Breakage::Cut);
    assert!(insert(&mut connection).await.is_err() && !proxy.is_breakage_due());
    assert_eq!(rows(&database), "0");
}

#[tokio::test]
async fn a_commit_that_the_client_never_hears_of_leaves_its_row() {
    let (database, proxy, mut connection) = through_a_proxy().await;
    proxy.break_next_commit(Point::AfterCommit, Breakage::Cut);
    assert!(insert(&mut connection).await.is_err() && !proxy.is_breakage_due());
    assert_eq!(rows(&database), "1");
}

#[tokio::test]
async fn a_connection_breaks_no_earlier_than_the_server_has_committed() {
    let (database, proxy, mut connection) = through_a_proxy().await;
    // At the COMMIT, the server takes its time.
    database
        .sql(
            "CREATE FUNCTION rest() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER rests AFTER INSERT ON rows DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION rest()",
        )
        .unwrap();
    proxy.break_next_commit(Point::AfterCommit, Breakage::Cut);
    assert!(insert(&mut connection).await.is_err());
    assert_eq!(rows(&database), "1");
}

#[tokio::test]
async fn a_silent_connection_answers_nothing_and_is_not_closed() {
    for (point, left) in [(Point::BeforeCommit, "0"), (Point::AfterCommit, "1")] {
        let (database, proxy, mut connection) = through_a_proxy().await;
        proxy.break_next_commit(point, Breakage::Silence);
        let answer = tokio::time::timeout(SILENCE, insert(&mut connection)).await;
        assert!(answer.is_err() && !proxy.is_breakage_due(), "{answer:?}");
        assert_eq!(rows(&database), left);
        // Others go on.
        let mut other = PgConnection::connect(&proxy.url(database.name())).await.unwrap();
        insert(&mut other).await.unwrap();
    }
}

#[tokio::test]
async fn only_the_connection_of_the_next_commit_breaks_and_only_once() {
    let (database, proxy, mut connection) = through_a_proxy().await;
    let mut other = PgConnection::connect(&proxy.url(database.name())).await.unwrap();
    proxy.break_next_commit(Point::BeforeCommit, Breakage::Cut);
    assert!(insert(&mut connection).await.is_err());
    insert(&mut other).await.unwrap();
    assert_eq!(rows(&database), "1");
}

#[tokio::test]
async fn a_client_that_asks_for_encryption_is_told_that_there_is_none() {
    let (_database, proxy, _connection) = through_a_proxy().await;
    // sqlx does not ask on a socket, and nobody else does in a test.
    let name = format!(".s.PGSQL.{}", proxy.port);
    let mut client = UnixStream::connect(proxy.directory.path().join(name))
        .await
        .unwrap();
    client
        .write_all(&[8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat())
        .await
        .unwrap();
    assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut client).await.unwrap(), b'N');
}

#[tokio::test]
async fn a_proxy_closes_its_connections_when_it_is_dropped() {
    let (_database, proxy, mut connection) = through_a_proxy().await;
    connection.execute("SELECT 1").await.unwrap();
    drop(proxy);
    assert!(connection.execute("SELECT 1").await.is_err());
}

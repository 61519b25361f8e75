use futures_util::StreamExt as _;

use super::{Builder, Pool, sqlite};
use crate::RecordError;

async fn database(directory: &std::path::Path) -> Pool {
    let database = sqlite::writer(&directory.join("test.db")).await.unwrap();
    database
        .sql("CREATE TABLE kept (number BIGINT NOT NULL)")
        .execute()
        .await
        .unwrap();
    database
}

async fn kept(database: &Pool) -> i64 {
    database.sql("SELECT COUNT(*) FROM kept").scalar().await.unwrap()
}

#[tokio::test]
async fn a_transaction_is_not_kept_after_a_statement_that_failed_and_nobody_heard_of() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path()).await;
    for (second, is_kept) in [(Some(2), true), (None, false)] {
        let before = kept(&database).await;
        let mut transaction = database.begin_write().await.unwrap();
        let insert = "INSERT INTO kept VALUES ($1)";
        transaction.sql(insert).bind(1_i64).execute().await.unwrap();
        let _ = transaction.sql(insert).bind(second).execute().await;
        transaction.sql(insert).bind(3_i64).execute().await.unwrap();
        match transaction.commit().await {
            Ok(()) => assert!(is_kept),
            Err(error) => assert!(matches!(error, RecordError::Unsound) && !is_kept, "{error:?}"),
        }
        assert_eq!(kept(&database).await, before + if is_kept { 3 } else { 0 });
    }
}

#[tokio::test]
async fn a_transaction_is_not_kept_after_rows_that_failed_half_way_or_were_not_read_to_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path()).await;
    let fails = "SELECT abs(column1) FROM (VALUES (1), (-9223372036854775808))";
    let works = "SELECT abs(column1) FROM (VALUES (1), (-9223372036854775807))";
    for (query, rows_read, is_kept) in [(works, 3, true), (works, 1, false), (fails, 3, false)] {
        let before = kept(&database).await;
        let mut transaction = database.begin_write().await.unwrap();
        transaction
            .sql("INSERT INTO kept VALUES (1)")
            .execute()
            .await
            .unwrap();
        let mut rows = transaction.sql(query).fetch();
        for _ in 0..rows_read {
            let _ = rows.next().await;
        }
        drop(rows);
        assert_eq!(transaction.commit().await.is_ok(), is_kept, "{query}");
        assert_eq!(kept(&database).await, before + i64::from(is_kept));
    }
}

#[tokio::test]
async fn what_was_bound_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path()).await;
    let row = database
        .sql("SELECT $1 AS truth, $2 AS number, $3 AS text, $4 AS bytes, $5 AS empty")
        .bind(true)
        .bind(7_u32)
        .bind("a\u{0}b")
        .bind(vec![0_u8, 255])
        .bind(None::<String>);
    let row = row.fetch_one().await.unwrap();
    assert!(row.try_get::<bool, _>("truth").unwrap());
    assert_eq!(row.try_get::<i64, _>(1).unwrap(), 7);
    assert_eq!(row.try_get::<&str, _>("text").unwrap(), "a\u{0}b");
    assert_eq!(row.try_get::<Vec<u8>, _>("bytes").unwrap(), [0, 255]);
    assert!(row.is_null("empty").unwrap() && !row.is_null("text").unwrap());
    assert!(row.try_get::<i64, _>("text").is_err() && row.try_get::<i64, _>("other").is_err());
}

#[tokio::test]
async fn a_statement_of_many_thousand_values_is_prepared_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path()).await;
    let mut query = Builder::new("INSERT INTO kept (number) ");
    query.push_values(0..12_000_i64, |row, number| {
        row.push_bind(number);
    });
    let begun = std::time::Instant::now();
    database
        .build(&mut query)
        .persistent(false)
        .execute()
        .await
        .unwrap();
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(kept(&database).await, 12_000);
}

use bss_test_postgres::{Database, shared};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::*;

/// The tables of a database: a line for each column with its type, whether it may be NULL, and its default; for each key, reference
/// and index, its columns.
const TABLES_OF_SQLITE: &str = "
WITH tables AS (SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_sqlx_migrations'),
columns AS (SELECT tables.name AS of_table, c.* FROM tables, pragma_table_info(tables.name) c)
SELECT 'column ' || of_table || '.' || name || ' ' ||
       CASE type WHEN 'BLOB' THEN 'bytea' WHEN 'INTEGER' THEN 'bigint' ELSE lower(type) END ||
       CASE WHEN \"notnull\" OR pk > 0 THEN ' not null' ELSE '' END || COALESCE(' default ' || lower(dflt_value), '')
FROM columns
UNION ALL
SELECT 'primary key ' || of_table || ' ' || group_concat(name ORDER BY pk) FROM columns WHERE pk > 0 GROUP BY of_table
UNION ALL
SELECT 'unique ' || tables.name || ' ' || (SELECT group_concat(name ORDER BY seqno) FROM pragma_index_info(i.name))
FROM tables, pragma_index_list(tables.name) i WHERE i.origin = 'u'
UNION ALL
SELECT CASE WHEN i.\"unique\" THEN 'unique index ' ELSE 'index ' END || i.name || ' ' || tables.name || ' ' ||
       (SELECT group_concat(COALESCE(name, 'an expression') ORDER BY seqno) FROM pragma_index_info(i.name)) ||
       CASE WHEN i.partial THEN ' partial' ELSE '' END
FROM tables, pragma_index_list(tables.name) i WHERE i.origin = 'c'
UNION ALL
SELECT 'reference ' || tables.name || ' ' || group_concat(f.\"from\" ORDER BY f.seq) || ' to ' || f.\"table\" || ' ' ||
       group_concat(f.\"to\" ORDER BY f.seq) || ' ' || lower(f.on_delete)
FROM tables, pragma_foreign_key_list(tables.name) f GROUP BY tables.name, f.id, f.\"table\", f.on_delete
UNION ALL
SELECT 'trigger ' || name || ' ' || tbl_name FROM sqlite_master WHERE type = 'trigger'
ORDER BY 1";

/// A line for each table, column, key, reference, index and trigger in PostgreSQL, as the query for SQLite has them.
const TABLES_OF_POSTGRES: &str = "
WITH tables AS (SELECT oid, relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                AND relname <> '_sqlx_migrations'),
keys AS (SELECT c.*, tables.name,
                (SELECT string_agg(attname, ',' ORDER BY place) FROM unnest(conkey) WITH ORDINALITY k (number, place)
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = number) AS columns
         FROM pg_constraint c JOIN tables ON tables.oid = conrelid)
SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type ||
       CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END || COALESCE(' default ' || lower(replace(column_default, '::text', '')), '')
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'
UNION ALL
SELECT CASE contype WHEN 'p' THEN 'primary key ' ELSE 'unique ' END || name || ' ' || columns FROM keys WHERE contype IN ('p', 'u')
UNION ALL
SELECT CASE WHEN i.indisunique THEN 'unique index ' ELSE 'index ' END || i.indexrelid::regclass || ' ' || tables.name || ' ' ||
       (SELECT string_agg(COALESCE(attname, 'an expression'), ',' ORDER BY place) FROM unnest(i.indkey) WITH ORDINALITY k (number, place)
        LEFT JOIN pg_attribute ON attrelid = i.indrelid AND attnum = number AND number > 0) ||
       CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END
FROM pg_index i JOIN tables ON tables.oid = i.indrelid WHERE NOT EXISTS (SELECT 1 FROM keys WHERE conindid = i.indexrelid AND contype <> 'f')
UNION ALL
SELECT 'reference ' || name || ' ' || columns || ' to ' || confrelid::regclass || ' ' ||
       (SELECT string_agg(attname, ',' ORDER BY place) FROM unnest(confkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number) ||
       CASE confdeltype WHEN 'a' THEN ' no action' WHEN 'c' THEN ' cascade' ELSE ' another action' END
FROM keys WHERE contype = 'f'
UNION ALL
SELECT 'trigger ' || tgname || ' ' || tables.name FROM pg_trigger JOIN tables ON tables.oid = tgrelid WHERE NOT tgisinternal
ORDER BY 1";

/// What else a replacement may be needed for.
const MORE_OF_POSTGRES: &str = "
SELECT table_name || '.' || column_name || ' ' || is_identity || ' ' || COALESCE(collation_name, '')
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::REGNAMESPACE
ORDER BY 1";

async fn run(steps: &Migrator, database: &Database<'_>) -> Result<PgConnection, MigrateError> {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    steps.run(&mut connection).await?;
    Ok(connection)
}

async fn tables_of_postgres(connection: &mut PgConnection) -> Vec<String> {
    let mut lines: Vec<String> = sqlx::query_scalar(TABLES_OF_POSTGRES)
        .fetch_all(connection)
        .await
        .unwrap();
    lines.sort();
    lines
}

async fn tables_of_sqlite() -> Vec<String> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    migrations::MIGRATIONS.run(&pool).await.unwrap();
    let mut lines: Vec<String> = sqlx::query_scalar(TABLES_OF_SQLITE)
        .fetch_all(&pool)
        .await
        .unwrap();
    lines.sort();
    lines
}

#[tokio::test]
async fn the_steps_make_the_tables_that_they_make_in_sqlite() {
    let database = shared().unwrap().database().unwrap();
    let mut connection = run(&steps(), &database).await.unwrap();
    let (ours, theirs) = (
        tables_of_sqlite().await,
        tables_of_postgres(&mut connection).await,
    );
    let only_in = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .cloned()
            .collect()
    };
    assert_eq!(
        (only_in(&ours, &theirs), only_in(&theirs, &ours)),
        (Vec::new(), Vec::new())
    );
    assert_eq!(ours.len(), theirs.len());
    for kind in [
        "column",
        "primary key",
        "unique",
        "unique index",
        "index",
        "reference",
        "trigger",
    ] {
        assert!(ours.iter().any(|line| line.starts_with(kind)), "{kind}");
    }
    // A second time changes nothing.
    steps().run(&mut connection).await.unwrap();
    assert_eq!(tables_of_postgres(&mut connection).await, theirs);
}

#[tokio::test]
async fn every_replacement_is_needed() {
    let all = outcome(&steps()).await.unwrap();
    assert!(
        all.in_transaction.len() > 100 && all.after_rollback.is_empty(),
        "{all:?}"
    );
    for (left_out, replacement) in REPLACEMENTS.iter().enumerate() {
        let others = REPLACEMENTS.iter().enumerate();
        let others = others
            .filter(move |(place, _)| *place != left_out)
            .map(|(_, other)| other);
        let outcome = outcome(&replaced_by(others)).await;
        assert!(
            outcome.is_err() || outcome.ok() != Some(all.clone()),
            "{}",
            replacement.sqlite
        );
    }
}

/// What the steps make: in a transaction, and what of it is still there once that was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    in_transaction: Vec<String>,
    after_rollback: Vec<String>,
}

async fn outcome(steps: &Migrator) -> Result<Outcome, sqlx::Error> {
    let database = shared().unwrap().database().unwrap();
    let mut connection = PgConnection::connect(&database.url()).await?;
    connection.execute("BEGIN").await?;
    for step in steps.iter() {
        connection.execute(sqlx::raw_sql(step.sql.clone())).await?;
    }
    let in_transaction = shape(&mut connection).await;
    connection.execute("ROLLBACK").await?;
    let after_rollback = shape(&mut connection).await;
    Ok(Outcome {
        in_transaction,
        after_rollback,
    })
}

async fn shape(connection: &mut PgConnection) -> Vec<String> {
    let mut lines = tables_of_postgres(connection).await;
    let more: Vec<String> = sqlx::query_scalar(MORE_OF_POSTGRES)
        .fetch_all(connection)
        .await
        .unwrap();
    lines.extend(more);
    lines
}

#[test]
fn every_replacement_has_something_to_replace_in_each_step_that_it_is_about() {
    for replacement in REPLACEMENTS {
        let found = migrations::MIGRATIONS
            .iter()
            .filter(|step| replacement.step.is_none_or(|number| number == step.version))
            .filter(|step| step.sql.as_str().contains(replacement.sqlite));
        assert!(found.count() > 0, "{}", replacement.sqlite);
    }
}

#[tokio::test]
async fn a_charge_and_its_lines_and_credits_never_change() {
    let database = shared().unwrap().database().unwrap();
    let mut connection = run(&steps(), &database).await.unwrap();
    // References aside: what is tested is what becomes of the charge.
    connection
        .execute("SET session_replication_role = 'replica'")
        .await
        .unwrap();
    connection
        .execute("INSERT INTO charges (instance_id, prefix, number, order_id, customer_id, charged_at_ms) VALUES ('i', '', 1, 'o', 'c', 1)")
        .await
        .unwrap();
    connection
        .execute("SET session_replication_role = 'origin'")
        .await
        .unwrap();
    for (statement, why) in [
        ("UPDATE charges SET number = 2", "a charge never changes"),
        ("DELETE FROM charges", "a charge is kept"),
    ] {
        let error = connection.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let number: i64 = sqlx::query_scalar("SELECT number FROM charges")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(number, 1);
}

#[tokio::test]
async fn rows_are_numbered_and_a_name_of_a_platform_is_one_in_any_case() {
    let database = shared().unwrap().database().unwrap();
    let mut connection = run(&steps(), &database).await.unwrap();
    for number in 1..3_i64 {
        let given: i64 = sqlx::query_scalar(
            "INSERT INTO restorations (noticed_at_ms, evidence, order_lines, returns, mails) VALUES (1, '', 0, 0, 0) RETURNING number",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(given, number);
    }
    let insert = |name: &str| {
        format!(
            "INSERT INTO platforms (id, name, owner, instance_id, created_at_ms) VALUES ('{name}', '{name}', '', 'i', 1)"
        )
    };
    database.sql(&insert("Shop-1.a")).unwrap();
    database.sql(&insert("Shop_1.a")).unwrap();
    let error = database.sql(&insert("sHOP-1.A")).unwrap_err();
    assert!(error.to_string().contains("platforms_name_key"), "{error}");
    assert_eq!(
        database
            .sql("SELECT name FROM platforms WHERE name = 'shop-1.A'")
            .unwrap(),
        "Shop-1.a"
    );
    assert_eq!(
        database
            .sql("SELECT count(*) FROM api_clients WHERE name = 'x' COLLATE NOCASE")
            .unwrap(),
        "0"
    );
}

#[tokio::test]
async fn a_text_is_found_in_a_document_as_sqlite_finds_it() {
    let database = shared().unwrap().database().unwrap();
    let mut connection = run(&steps(), &database).await.unwrap();
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    for (document, path) in [
        (Some(r#"{"id": "C-1", "name": "\u00c4"}"#), "$.id"),
        (Some(r#"{"id": "C-1", "name": "\u00c4"}"#), "$.name"),
        (Some(r#"{"of": {"id": ""}}"#), "$.of.id"),
        (Some(r#"{"id": null}"#), "$.id"),
        (Some("{}"), "$.id"),
        (None, "$.id"),
    ] {
        let question = "SELECT json_extract($1, $2)";
        let query = sqlx::query_scalar(question).bind(document).bind(path);
        let theirs: Option<String> = query.fetch_one(&mut connection).await.unwrap();
        let query = sqlx::query_scalar(question).bind(document).bind(path);
        let ours: Option<String> = query.fetch_one(&pool).await.unwrap();
        assert_eq!(theirs, ours, "{document:?} {path}");
    }
}

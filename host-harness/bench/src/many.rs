//! A record of very many licenses: what was bought for real is copied within the database, under other names and at earlier times, since
//! buying a million licenses takes an hour.
//!
//! What is copied is what lists, reports and workers read. Who did what is not copied, since each act proves the one before it; nor does a
//! copied product key open, which is sealed for the license that it was bought with. `bss-host record verify` says both.

use std::path::Path;

use bss_record::RECORD_FILE;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::BenchError;

/// Over how many days the copies are spread, back from the present.
const DAYS: u64 = 3 * 365;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// How many orders a customer of the copies has.
const ORDERS_PER_CUSTOMER: u64 = 2;

/// A new id, as SQLite makes one.
const ID: &str = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' \
                  || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";

/// The customer of a copied order: the number at the end of the original's id, and those of the copies beyond all originals.
const CUSTOMER: &str = "'C-' || made.customer";

/// Copies all orders of a closed record in a data directory `copies` times, with their licenses, charges and e-mails.
///
/// # Errors
/// When the database does not take them.
pub(super) async fn multiply(data_dir: &Path, copies: u64) -> Result<(), BenchError> {
    let multiplied = multiply_in(data_dir, copies).await;
    multiplied.map_err(BenchError::when("the licenses can't be copied"))
}

async fn multiply_in(data_dir: &Path, copies: u64) -> Result<(), sqlx::Error> {
    let mut database = SqliteConnectOptions::new()
        .filename(data_dir.join(RECORD_FILE))
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Wal)
        // What is made here is thrown away in a minute.
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-500000")
        .connect()
        .await?;
    let step_ms = DAYS * DAY_MS / copies.max(1);
    for statement in [
        "BEGIN IMMEDIATE".to_owned(),
        format!(
            "CREATE TEMP TABLE copies AS
             WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {copies}) SELECT n FROM counted"
        ),
        format!(
            "CREATE TEMP TABLE made_orders AS
             SELECT orders.id AS old, n, {ID} AS id, n * {step_ms} AS earlier_ms,
                    CAST(substr(customer_id, 3) AS INTEGER) + (n / {ORDERS_PER_CUSTOMER}) * (SELECT count(*) FROM orders) AS customer
             FROM orders, copies"
        ),
        "CREATE INDEX temp.made_orders_by_old ON made_orders (old)".to_owned(),
        format!(
            "CREATE TEMP TABLE made_assets AS
             SELECT assets.id AS old, made.n, {ID} AS id, {ID} AS client_transaction_id, made.id AS order_id, made.earlier_ms, made.customer
             FROM assets JOIN made_orders AS made ON made.old = assets.order_id"
        ),
        "CREATE INDEX temp.made_assets_by_old ON made_assets (old)".to_owned(),
        "CREATE TEMP TABLE made_charges AS
         SELECT charges.id AS old, made.id AS order_id, made.earlier_ms, made.customer,
                (SELECT max(id) FROM charges) + row_number() OVER () AS id
         FROM charges JOIN made_orders AS made ON made.old = charges.order_id"
            .to_owned(),
        "CREATE INDEX temp.made_charges_by_old ON made_charges (old, order_id)".to_owned(),
    ] {
        run(&mut database, statement).await?;
    }
    for (table, from, other) in COPIED {
        let statement = copying(&mut database, table, from, other).await?;
        run(&mut database, statement).await?;
    }
    for statement in [
        format!("UPDATE outcome_counts SET outcomes = outcomes * ({copies} + 1)"),
        "UPDATE charge_series SET last_charge = (SELECT max(number) FROM charges WHERE charges.instance_id = charge_series.instance_id)"
            .to_owned(),
        "COMMIT".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
    ] {
        run(&mut database, statement).await?;
    }
    database.close().await
}

/// A table, what its copies are joined with, and the columns in which they differ from the originals.
type Copied = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const COPIED: [Copied; 8] = [
    (
        "orders",
        "JOIN made_orders AS made ON made.old = orders.id",
        &[
            ("id", "made.id"),
            ("idempotency_key", "idempotency_key || '-' || made.n"),
            ("customer_id", CUSTOMER),
            (
                "customer",
                "json_set(orders.customer, '$.id', 'C-' || made.customer, '$.name', 'Κατάστημα ' || made.customer || ' GmbH')",
            ),
            (
                "contact",
                "json_set(orders.contact, '$.email', 'it-' || made.customer || '@bench.test')",
            ),
            ("placed_at_ms", "placed_at_ms - made.earlier_ms"),
        ],
    ),
    (
        "order_lines",
        "JOIN made_orders AS made ON made.old = order_lines.order_id",
        &[("order_id", "made.id")],
    ),
    (
        "assets",
        "JOIN made_assets AS made ON made.old = assets.id",
        &[
            ("id", "made.id"),
            ("order_id", "made.order_id"),
            ("client_transaction_id", "made.client_transaction_id"),
            ("customer_id", CUSTOMER),
            ("transaction_id", "lower(hex(randomblob(16)))"),
            ("license_token_id", "lower(hex(randomblob(16)))"),
            ("product_key_digest", "lower(hex(randomblob(32)))"),
            (
                "masked_product_key",
                "substr(masked_product_key, 1, length(masked_product_key) - 5) || substr(hex(randomblob(3)), 1, 5)",
            ),
            ("created_at_ms", "assets.created_at_ms - made.earlier_ms"),
            ("purchased_at_ms", "purchased_at_ms - made.earlier_ms"),
            ("returnable_until_ms", "returnable_until_ms - made.earlier_ms"),
        ],
    ),
    (
        "attempts",
        "JOIN made_assets AS made ON made.old = attempts.asset_id",
        &[
            ("asset_id", "made.id"),
            ("client_transaction_id", "made.client_transaction_id"),
            ("begun_at_ms", "begun_at_ms - made.earlier_ms"),
            ("finished_at_ms", "finished_at_ms - made.earlier_ms"),
        ],
    ),
    (
        "charges",
        "JOIN made_charges AS made ON made.old = charges.id",
        &[
            ("id", "made.id"),
            ("number", "made.id"),
            ("order_id", "made.order_id"),
            ("customer_id", CUSTOMER),
            ("charged_at_ms", "charged_at_ms - made.earlier_ms"),
        ],
    ),
    (
        "charge_lines",
        "JOIN made_assets AS made ON made.old = charge_lines.asset_id
         JOIN made_charges ON made_charges.old = charge_lines.charge_id AND made_charges.order_id = made.order_id",
        &[
            ("asset_id", "made.id"),
            ("charge_id", "made_charges.id"),
            ("charged_at_ms", "charged_at_ms - made.earlier_ms"),
        ],
    ),
    (
        "mails",
        "JOIN made_assets AS made ON made.old = mails.asset_id",
        &[
            ("id", "lower(hex(randomblob(16)))"),
            ("asset_id", "made.id"),
            ("order_id", "made.order_id"),
            ("customer_id", CUSTOMER),
            ("state", "'sent'"),
            ("created_at_ms", "created_at_ms - made.earlier_ms"),
            ("sent_at_ms", "created_at_ms - made.earlier_ms + 1000"),
        ],
    ),
    (
        "outcomes",
        "JOIN made_assets AS made ON made.old = outcomes.asset_id",
        &[
            ("number", "NULL"),
            ("asset_id", "made.id"),
            ("happened_at_ms", "happened_at_ms - made.earlier_ms"),
        ],
    ),
];

/// The statement that copies a table.
async fn copying(
    database: &mut SqliteConnection,
    table: &str,
    from: &str,
    other: &[(&str, &str)],
) -> Result<String, sqlx::Error> {
    let rows = sqlx::query("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(database)
        .await?;
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for row in rows {
        let column: String = row.try_get(0)?;
        let value = other.iter().find(|(name, _)| *name == column);
        values.push(value.map_or_else(|| format!("{table}.{column}"), |(_, value)| (*value).to_owned()));
        columns.push(column);
    }
    let (columns, values) = (columns.join(", "), values.join(", "));
    Ok(format!(
        "INSERT INTO main.{table} ({columns}) SELECT {values} FROM main.{table} {from}"
    ))
}

async fn run(database: &mut SqliteConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(database).await?;
    Ok(())
}

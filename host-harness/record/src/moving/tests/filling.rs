//! A record with something in every table and every column.

use crate::database::{Builder, Value};
use crate::host_keys::tests::seal_in_every_place;
use crate::moving::catalog::Catalog;
use crate::moving::table::{Kind, Table};
use crate::{Record, test_record};

/// Rows of each table that may have several.
const ROWS: i64 = 3;
/// Rows of a table of which several statements are needed, and bytes of values likewise.
const MANY: i64 = 3_000;
const LARGE: usize = 3 << 20;

/// Fills a record on SQLite. Of each table, the second row has NULL wherever it may.
pub(super) async fn fill(record: &Record) {
    let catalog = Catalog::of_this_program().await.unwrap();
    for _ in 0..3 {
        super::change(record).await.unwrap();
    }
    for table in &catalog.tables {
        let rows = match table.name.as_str() {
            // These are there.
            "acts" | "duties" | "host_key_checks" | "provenance" => 0,
            // These have one row.
            "alert_settings" | "mail_settings" | "mail_stop" => 1,
            _ => ROWS,
        };
        for number in 1..=rows {
            insert(record, &catalog, table, number).await;
        }
    }
    let many = "WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 100 + $1)
                INSERT INTO outcomes (number, kind, asset_id, happened_at_ms) SELECT n, 'k', assets.id, n FROM n, (SELECT id FROM assets LIMIT 1) assets";
    record.writer.sql(many).bind(MANY).execute().await.unwrap();
    let large = record.writer.sql("UPDATE plugins SET content = $1, path = $2");
    large
        .bind(vec![7_u8; LARGE])
        .bind("é".repeat(LARGE))
        .execute()
        .await
        .unwrap();
    // Numbers whose rows are gone.
    for statement in [
        "INSERT INTO alerts (number, kind, subject, raised_at_ms) VALUES (50, 'k', 'gone', 1)",
        "DELETE FROM alerts WHERE number = 50",
        "INSERT INTO restorations (number, noticed_at_ms, evidence, order_lines, returns, mails) VALUES (60, 1, 'e', 0, 0, 0)",
        "DELETE FROM restorations WHERE number = 60",
    ] {
        record.writer.sql(statement).execute().await.unwrap();
    }
    seal_in_every_place(record).await;
}

/// A filled record in a directory, closed.
pub(super) async fn in_directory(directory: &std::path::Path) {
    let record = test_record::on_sqlite(directory).await;
    fill(&record).await;
    record.close().await;
}

async fn insert(record: &Record, catalog: &Catalog, table: &Table, number: i64) {
    let nullable = "SELECT name FROM pragma_table_info($1) WHERE \"notnull\" = 0 AND pk = 0";
    let nullable: Vec<String> = record
        .writer
        .sql(nullable)
        .bind(&table.name)
        .scalars()
        .await
        .unwrap();
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("\"{}\"", column.name))
        .collect();
    let mut insert = Builder::new(format!("INSERT INTO {} ({}) ", table.name, columns.join(", ")));
    insert.push_values([()], |row, ()| {
        for column in &table.columns {
            let is_limit = table.name == "spending_limits"
                && ["currency", "minor_units"].contains(&column.name.as_str());
            let is_nothing =
                number == 2 && nullable.contains(&column.name) && table.name != "spending_limits";
            let value = match is_limit || is_nothing {
                true => null(column.kind),
                false => value(catalog, table, &column.name, number),
            };
            row.push_value(value);
        }
    });
    record
        .writer
        .build(&mut insert)
        .execute()
        .await
        .unwrap_or_else(|error| panic!("{}: {error:?}", table.name));
}

fn null(kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(None),
        Kind::Integer => Value::Integer(None),
        Kind::Text => Value::Text(None),
        Kind::Bytes => Value::Bytes(None),
    }
}

/// The value of a column in the row of a number: what it refers to has the same number, but for what refers to the row before.
fn value(catalog: &Catalog, table: &Table, column: &str, number: i64) -> Value {
    let kind = table.column(column).unwrap().kind;
    let mut references = table.references.iter();
    let reference = references.find_map(|reference| {
        let mut columns = reference.columns.iter();
        columns
            .find(|(mine, _)| mine == column)
            .map(|(_, its)| (&reference.to, its))
    });
    if let Some((to, its)) = reference {
        return match (*to == table.name, number) {
            (true, 1) => null(kind),
            (true, _) => value(catalog, table, its, number - 1),
            (false, _) => {
                let to = catalog.tables.iter().find(|table| table.name == *to).unwrap();
                value(catalog, to, its, number)
            }
        };
    }
    match kind {
        Kind::Bool => Value::Bool(Some(number % 2 == 0)),
        Kind::Integer => Value::Integer(Some(integer(column, number))),
        Kind::Text => Value::Text(Some(text(table, column, number))),
        Kind::Bytes => Value::Bytes(Some([0, 255, u8::try_from(number).unwrap()].into())),
    }
}

fn integer(column: &str, number: i64) -> i64 {
    match column {
        "quantity" => 1,
        "happened_at_ms" if number == 3 => i64::MIN,
        "created_at_ms" if number == 3 => i64::MAX,
        _ => number,
    }
}

fn text(table: &Table, column: &str, number: i64) -> String {
    match column {
        "owner" => ["", "tenant", "übrige"][usize::try_from(number - 1).unwrap()].to_owned(),
        "thumbprint" | "public_key" => format!("{number:040}"),
        "reach" => serde_json::to_string(&bss_model::Reach::default()).unwrap(),
        "secrets" => "{}".to_owned(),
        // A row that refers to another comes before that in the order of keys.
        _ if column == "id" || column.ends_with("_id") || column.ends_with("boot") => {
            uuid::Uuid::from_u128(u128::try_from(1_000 - number).unwrap()).to_string()
        }
        "kind" if table.name == "mail_stop" => "all".to_owned(),
        _ => format!("{}.{column} {number} 'é\u{1d11e}\" \\ \n", table.name),
    }
}

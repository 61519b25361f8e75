//! The numbers that tables give to their rows: they go on after the last one that was ever given, also where its row is gone.

use std::collections::BTreeMap;

use super::copy_error::CopyError;
use crate::RecordError;
use crate::database::Connection;

/// The columns that PostgreSQL numbers, and the last number that each has given.
const ON_SERVER: &str = "
SELECT table_name::TEXT AS numbered, column_name::TEXT AS number,
       pg_sequence_last_value(pg_get_serial_sequence(quote_ident(table_name), column_name)::REGCLASS) AS last
FROM information_schema.columns
WHERE table_schema = current_schema() AND is_identity = 'YES'
ORDER BY 1";

/// A column that PostgreSQL numbers.
struct Numbered {
    table: String,
    column: String,
    /// `None`: none was given.
    last: Option<i64>,
}

/// Has a target go on numbering after the source, once all rows are copied, and brings the number of acts.
pub(super) async fn carry_on(from: &mut Connection, to: &mut Connection) -> Result<i64, RecordError> {
    let given = given(from).await?;
    match to.is_postgres() {
        true => set_on_server(to, &given).await?,
        false => set_in_file(to, &given).await?,
    }
    let counted: i64 = from.sql("SELECT acts FROM turn WHERE id = 1").scalar().await?;
    // An earlier program that had the record open has not counted its acts.
    let acts = counted.max(given.get("acts").copied().unwrap_or_default());
    let set = to.sql("UPDATE turn SET acts = $1 WHERE id = 1").bind(acts);
    set.execute().await?;
    Ok(acts)
}

/// The last numbers that were given, by table.
async fn given(connection: &mut Connection) -> Result<BTreeMap<String, i64>, RecordError> {
    if connection.is_postgres() {
        let numbered = numbered(connection).await?;
        let given = numbered
            .into_iter()
            .filter_map(|numbered| Some((numbered.table, numbered.last?)));
        return Ok(given.collect());
    }
    let rows = connection
        .sql("SELECT name, seq FROM sqlite_sequence")
        .fetch_all()
        .await?;
    let given = rows
        .iter()
        .map(|row| Ok((row.try_get("name")?, row.try_get("seq")?)));
    given.collect()
}

async fn numbered(connection: &mut Connection) -> Result<Vec<Numbered>, RecordError> {
    let rows = connection.sql(ON_SERVER).fetch_all().await?;
    let read = rows.iter().map(|row| {
        Ok(Numbered {
            table: row.try_get("numbered")?,
            column: row.try_get("number")?,
            last: row.try_get("last")?,
        })
    });
    read.collect()
}

async fn highest(connection: &mut Connection, numbered: &Numbered) -> Result<i64, RecordError> {
    let Numbered { table, column, .. } = numbered;
    let highest = connection.composed(format!("SELECT COALESCE(MAX(\"{column}\"), 0) FROM \"{table}\""));
    highest.scalar().await
}

async fn set_on_server(to: &mut Connection, given: &BTreeMap<String, i64>) -> Result<(), RecordError> {
    for numbered in numbered(to).await? {
        let highest = highest(to, &numbered).await?;
        let last = highest.max(given.get(&numbered.table).copied().unwrap_or_default());
        if last > 0 {
            to.sql("SELECT setval(pg_get_serial_sequence(quote_ident($1), $2)::REGCLASS, $3)")
                .bind(&numbered.table)
                .bind(&numbered.column)
                .bind(last)
                .fetch_one()
                .await?;
        }
    }
    Ok(())
}

/// SQLite has noted the highest number of each table itself, as rows were written.
async fn set_in_file(to: &mut Connection, given: &BTreeMap<String, i64>) -> Result<(), RecordError> {
    for (table, last) in given {
        let raise = to.sql("UPDATE sqlite_sequence SET seq = $2 WHERE name = $1 AND seq < $2");
        raise.bind(table).bind(*last).execute().await?;
        let note = to.sql(
            "INSERT INTO sqlite_sequence (name, seq)
             SELECT name, $2 FROM sqlite_schema
             WHERE name = $1 AND sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)",
        );
        note.bind(table).bind(*last).execute().await?;
    }
    Ok(())
}

/// Fails where a table of a server would give a number again.
pub(super) async fn check(connection: &mut Connection) -> Result<(), CopyError> {
    for numbered in numbered(connection).await? {
        let highest = highest(connection, &numbered).await?;
        // Acts are numbered by the turn.
        if highest > numbered.last.unwrap_or_default() && numbered.table != "acts" {
            return Err(CopyError::NumbersUsed {
                table: numbered.table,
                highest,
                last: numbered.last.unwrap_or_default(),
            });
        }
    }
    Ok(())
}

//! The place that a record is moved to: whether there is anything, how it is filled, and whether it is still what it was then.

use super::catalog::Catalog;
use super::copy_error::CopyError;
use super::{rows, sequences};
use crate::RecordError;
use crate::database::Connection;
use crate::moved::{Mark, TableDigest};

/// The table with what a record knows of itself, which also counts the time that it is open.
const PROVENANCE: &str = "provenance";

/// The tables in which a database has more than a new one.
pub(super) async fn filled(
    catalog: &Catalog,
    connection: &mut Connection,
) -> Result<Vec<String>, RecordError> {
    let mut filled = Vec::new();
    for table in &catalog.tables {
        let any = format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name);
        let is_filled = match table.fresh.rows {
            0 => connection.composed(any).scalar().await?,
            _ => rows::digest(table, connection).await? != table.fresh,
        };
        if is_filled {
            filled.push(table.name.clone());
        }
    }
    let others =
        connection.sql("SELECT EXISTS (SELECT 1 FROM workers), EXISTS (SELECT 1 FROM turn WHERE acts > 0)");
    let others = others.fetch_one().await?;
    for (place, table) in ["workers", "turn"].into_iter().enumerate() {
        if others.try_get(place)? {
            filled.push(table.to_owned());
        }
    }
    Ok(filled)
}

/// Copies everything, reads it again, and returns the mark that the source is to have, with the name of the place that it goes on in.
pub(super) async fn fill(
    catalog: &Catalog,
    from: &mut Connection,
    to: &mut Connection,
    name: String,
) -> Result<Mark, CopyError> {
    let mut tables = Vec::with_capacity(catalog.tables.len());
    for table in &catalog.tables {
        if table.fresh.rows > 0 {
            to.composed(format!("DELETE FROM \"{}\"", table.name))
                .execute()
                .await?;
        }
        tables.push(rows::copy(table, from, to).await?);
    }
    let acts = sequences::carry_on(from, to).await?;
    let tables = expect(catalog, to, &tables).await?;
    let sequence: i64 = to.sql("SELECT sequence FROM provenance").scalar().await?;
    Ok(Mark {
        to: name,
        at_ms: to.now_ms(),
        sequence,
        acts,
        tables,
    })
}

/// Whether a record is what it was when it was moved there. To be open and to be read changes nothing of it.
pub(super) async fn is_as_moved(
    catalog: &Catalog,
    connection: &mut Connection,
    mark: &Mark,
) -> Result<bool, RecordError> {
    let counts = counts(connection).await?;
    let has_worked = connection.sql("SELECT EXISTS (SELECT 1 FROM workers)");
    if counts != Some((mark.sequence, mark.acts)) || has_worked.scalar().await? {
        return Ok(false);
    }
    for table in catalog.tables.iter().filter(|table| table.name != PROVENANCE) {
        let now = rows::digest(table, connection).await?;
        if !mark.tables.contains(&now) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The numbers of dispatches and of acts. `None`: there is no record.
async fn counts(connection: &mut Connection) -> Result<Option<(i64, i64)>, RecordError> {
    let counts = connection
        .sql("SELECT sequence, acts FROM provenance, turn")
        .fetch_optional();
    let Some(row) = counts.await? else { return Ok(None) };
    Ok(Some((row.try_get("sequence")?, row.try_get("acts")?)))
}

/// Fails unless each table has what was expected.
pub(super) async fn expect(
    catalog: &Catalog,
    connection: &mut Connection,
    expected: &[TableDigest],
) -> Result<Vec<TableDigest>, CopyError> {
    let mut found = Vec::with_capacity(catalog.tables.len());
    for table in &catalog.tables {
        let now = rows::digest(table, connection).await?;
        check_as_expected(&now, expected)?;
        found.push(now);
    }
    Ok(found)
}

fn check_as_expected(now: &TableDigest, expected: &[TableDigest]) -> Result<(), CopyError> {
    let wanted = expected.iter().find(|wanted| wanted.table == now.table);
    match wanted {
        Some(wanted) if wanted == now => Ok(()),
        _ => Err(CopyError::Differs {
            table: now.table.clone(),
            rows: now.rows,
            found: now.sha256.clone(),
            expected_rows: wanted.map_or(0, |wanted| wanted.rows),
            expected: wanted.map(|wanted| wanted.sha256.clone()).unwrap_or_default(),
        }),
    }
}

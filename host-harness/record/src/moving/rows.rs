//! The rows of a table: read one by one in an order that every engine has, written in batches, and digested in an encoding of our own.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;

use super::copy_error::CopyError;
use super::table::{Column, Kind, Table};
use crate::RecordError;
use crate::database::clock::is_of_a_database;
use crate::database::{Builder, Connection, Row, Value};
use crate::moved::TableDigest;

/// Values of one statement: SQLite takes 32,766 and PostgreSQL 65,535.
const VALUES_AT_ONCE: usize = 8_000;
/// Bytes of texts and the like in one statement, beyond which no further row is added.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Copies the rows of a table, and returns what they are.
pub(super) async fn copy(
    table: &Table,
    from: &mut Connection,
    to: &mut Connection,
) -> Result<TableDigest, CopyError> {
    let there: i64 = from
        .composed(format!("SELECT COUNT(*) FROM \"{}\"", table.name))
        .scalar()
        .await?;
    let goes_to_server = to.is_postgres();
    let mut digester = Digester::new(table);
    let mut batch = Batch::default();
    let mut rows = from.composed(select(table, from.is_postgres())).fetch();
    while let Some(row) = rows.next().await {
        let mut values = read(table, &row?)?;
        if goes_to_server {
            check_text(table, &values)?;
            forget_clocks(table, &mut values);
        }
        digester.add(&values);
        batch.add(values);
        if batch.is_full() {
            batch.write(table, to).await?;
        }
    }
    drop(rows);
    batch.write(table, to).await?;
    let digest = digester.finish(table);
    match digest.rows == there.unsigned_abs() {
        true => Ok(digest),
        false => Err(RecordError::Damaged {
            what: format!("rows of table `{}` refer to one another in a circle", table.name),
        }
        .into()),
    }
}

/// What the rows of a table are.
pub(super) async fn digest(table: &Table, connection: &mut Connection) -> Result<TableDigest, RecordError> {
    let mut digester = Digester::new(table);
    let select = select(table, connection.is_postgres());
    let mut rows = connection.composed(select).fetch();
    while let Some(row) = rows.next().await {
        digester.add(&read(table, &row?)?);
    }
    drop(rows);
    Ok(digester.finish(table))
}

/// Selects all rows in the order of their keys; where rows refer to others of the same table, each after the one that it refers to.
fn select(table: &Table, is_postgres: bool) -> String {
    let name = &table.name;
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("rows.\"{}\"", column.name))
        .collect();
    let columns = columns.join(", ");
    let order = order(table, is_postgres);
    match (&table.itself, table.key.as_slice()) {
        (Some(itself), [key]) => format!(
            "WITH RECURSIVE depths (id, depth) AS (
                 SELECT \"{key}\", 0 FROM \"{name}\" WHERE \"{itself}\" IS NULL
                 UNION ALL SELECT later.\"{key}\", depths.depth + 1
                           FROM depths JOIN \"{name}\" later ON later.\"{itself}\" = depths.id)
             SELECT {columns} FROM \"{name}\" rows JOIN depths ON depths.id = rows.\"{key}\" ORDER BY depths.depth, {order}"
        ),
        _ => format!("SELECT {columns} FROM \"{name}\" rows ORDER BY {order}"),
    }
}

/// The columns of a table's key, its texts in the order of their bytes.
fn order(table: &Table, is_postgres: bool) -> String {
    let bytewise = match is_postgres {
        true => " COLLATE \"C\"",
        false => " COLLATE BINARY",
    };
    let column = |name: &String| {
        let is_text = table.column(name).is_some_and(|column| column.kind == Kind::Text);
        format!("rows.\"{name}\"{}", if is_text { bytewise } else { "" })
    };
    let columns: Vec<String> = table.key.iter().map(column).collect();
    columns.join(", ")
}

fn read(table: &Table, row: &Row) -> Result<Vec<Value>, RecordError> {
    let value = |(place, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Bool => Value::Bool(row.try_get(place)?),
            Kind::Integer => Value::Integer(row.try_get(place)?),
            Kind::Text => Value::Text(row.try_get(place)?),
            Kind::Bytes => Value::Bytes(row.try_get(place)?),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// Fails where PostgreSQL can't keep a text.
fn check_text(table: &Table, values: &[Value]) -> Result<(), CopyError> {
    let found = table
        .columns
        .iter()
        .zip(values)
        .find(|(_, value)| matches!(value, Value::Text(Some(text)) if text.contains('\0')));
    match found {
        None => Ok(()),
        Some((column, _)) => Err(CopyError::Nul {
            table: table.name.clone(),
            row: name_of(table, values),
            column: column.name.clone(),
        }),
    }
}

/// The values of a row's key, for people.
fn name_of(table: &Table, values: &[Value]) -> String {
    let named = table.columns.iter().zip(values);
    let named = named.filter(|(column, _)| table.key.contains(&column.name));
    let named = named.map(|(column, value)| match value {
        Value::Text(Some(text)) => format!("{} = `{}`", column.name, text.escape_debug()),
        Value::Integer(Some(number)) => format!("{} = {number}", column.name),
        Value::Text(None) | Value::Integer(None) | Value::Bool(_) | Value::Bytes(_) => column.name.clone(),
    });
    named.collect::<Vec<_>>().join(", ")
}

/// Takes the boot from moments by the clock of a database: on another server's clock, they would be at another time. How long ago they
/// were is not known there, as after a restart of a machine.
fn forget_clocks(table: &Table, values: &mut [Value]) {
    for (column, value) in table.columns.iter().zip(values) {
        if let Value::Text(text) = value
            && column.name.ends_with("boot")
            && text.as_deref().is_some_and(is_of_a_database)
        {
            *text = None;
        }
    }
}

/// Rows that are written together.
#[derive(Default)]
struct Batch {
    rows: Vec<Vec<Value>>,
    values: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, row: Vec<Value>) {
        self.values += row.len();
        self.bytes += row.iter().map(length).sum::<usize>();
        self.rows.push(row);
    }

    fn is_full(&self) -> bool {
        // The next row is as long as any.
        let next = self.rows.last().map_or(0, Vec::len);
        self.values + next > VALUES_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    /// Writes the rows, and is empty then.
    async fn write(&mut self, table: &Table, to: &mut Connection) -> Result<(), RecordError> {
        let rows = std::mem::take(self).rows;
        if rows.is_empty() {
            return Ok(());
        }
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        let mut insert = Builder::new(format!(
            "INSERT INTO \"{}\" ({}) ",
            table.name,
            columns.join(", ")
        ));
        insert.push_values(rows, |row, values| {
            for value in values {
                row.push_value(value);
            }
        });
        to.build(&mut insert).persistent(false).execute().await?;
        Ok(())
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Text(Some(text)) => text.len(),
        Value::Bytes(Some(bytes)) => bytes.len(),
        Value::Bool(_) | Value::Integer(_) | Value::Text(None) | Value::Bytes(None) => 0,
    }
}

/// A digest of rows. Each value is written with its kind and length, so that no two tables are written alike.
struct Digester {
    context: digest::Context,
    rows: u64,
}

impl Digester {
    fn new(table: &Table) -> Self {
        let mut digester = Self {
            context: digest::Context::new(&digest::SHA256),
            rows: 0,
        };
        digester.part(b't', table.name.as_bytes());
        for column in &table.columns {
            digester.part(b'c', column.name.as_bytes());
        }
        digester
    }

    fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Bool(Some(truth)) => self.part(b'b', &[u8::from(*truth)]),
                Value::Integer(Some(number)) => self.part(b'i', &number.to_be_bytes()),
                Value::Text(Some(text)) => self.part(b's', text.as_bytes()),
                Value::Bytes(Some(bytes)) => self.part(b'x', bytes),
                Value::Bool(None) | Value::Integer(None) | Value::Text(None) | Value::Bytes(None) => {
                    self.part(b'n', &[]);
                }
            }
        }
    }

    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.context.update(&[kind]);
        self.context.update(&(bytes.len() as u64).to_be_bytes());
        self.context.update(bytes);
    }

    fn finish(self, table: &Table) -> TableDigest {
        TableDigest {
            table: table.name.clone(),
            rows: self.rows,
            sha256: HEXLOWER.encode(self.context.finish().as_ref()),
        }
    }
}

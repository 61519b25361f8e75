//! Which tables and columns a record has, in an order in which rows refer only to rows before them. Found in an empty database that
//! the steps of this program have made, so that no table is forgotten.

use super::rows;
use super::table::{Column, Kind, Reference, Table};
use crate::RecordError;
use crate::database::{Connection, Row, sqlite};
use crate::migrations::MIGRATIONS;
use crate::moved::TableDigest;

/// Tables that are not copied: the leases of workers, of whom none lives when a record is moved, and the turn, whose row a target has
/// already and of which one number is copied.
pub(super) const NOT_COPIED: [&str; 2] = ["workers", "turn"];

/// Columns that are not copied: which worker has taken what, and where and when the record was last open.
pub(super) const LEFT_OUT: [(&str, &str); 9] = [
    ("assets", "worker"),
    ("cancellations", "worker"),
    ("mails", "worker"),
    ("provenance", "counted_at_ms"),
    ("provenance", "counted_boot"),
    ("provenance", "counted_uptime_ms"),
    ("provenance", "directory"),
    ("provenance", "file"),
    ("provenance", "machine"),
];

/// The tables that are copied, each after those that it refers to.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) tables: Vec<Table>,
}

impl Catalog {
    /// The tables that the steps of this program make.
    pub(super) async fn of_this_program() -> Result<Self, RecordError> {
        let pool = sqlite::in_memory().await?;
        pool.migrate(&MIGRATIONS).await?;
        let mut connection = pool.acquire().await?;
        let mut tables = Vec::new();
        for name in names(&mut connection).await? {
            tables.push(table(&mut connection, name).await?);
        }
        let mut tables = in_order(tables)?;
        for table in &mut tables {
            table.fresh = rows::digest(table, &mut connection).await?;
        }
        Ok(Self { tables })
    }
}

async fn names(connection: &mut Connection) -> Result<Vec<String>, RecordError> {
    let names: Vec<String> = connection
        .sql(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> '_sqlx_migrations' ORDER BY name",
        )
        .scalars()
        .await?;
    let is_copied = |name: &String| !NOT_COPIED.contains(&name.as_str());
    Ok(names.into_iter().filter(is_copied).collect())
}

async fn table(connection: &mut Connection, name: String) -> Result<Table, RecordError> {
    let rows = connection
        .sql("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")
        .bind(&name)
        .fetch_all()
        .await?;
    let mut columns = Vec::new();
    let mut key = Vec::new();
    for row in &rows {
        let column = column(row)?;
        let place: i64 = row.try_get("pk")?;
        if place > 0 {
            key.push((place, column.name.clone()));
        }
        if !LEFT_OUT.contains(&(name.as_str(), column.name.as_str())) {
            columns.push(column);
        }
    }
    key.sort();
    let references = references(connection, &name).await?;
    let itself = references.iter().find(|reference| reference.to == name);
    let itself = itself.and_then(|reference| reference.columns.first().map(|(column, _)| column.clone()));
    Ok(Table {
        columns,
        key: key.into_iter().map(|(_, column)| column).collect(),
        itself,
        references,
        fresh: TableDigest {
            table: name.clone(),
            rows: 0,
            sha256: String::new(),
        },
        name,
    })
}

fn column(row: &Row) -> Result<Column, RecordError> {
    let declared: String = row.try_get("type")?;
    let kind = match declared.as_str() {
        "BOOLEAN" => Kind::Bool,
        "BIGINT" | "INTEGER" => Kind::Integer,
        "TEXT" => Kind::Text,
        "BLOB" => Kind::Bytes,
        other => {
            return Err(RecordError::Damaged {
                what: format!("a column is of the type `{other}`, which no record has"),
            });
        }
    };
    Ok(Column {
        name: row.try_get("name")?,
        kind,
    })
}

async fn references(connection: &mut Connection, table: &str) -> Result<Vec<Reference>, RecordError> {
    let rows = connection
        .sql("SELECT id, \"table\" AS referred, \"from\" AS mine, \"to\" AS its FROM pragma_foreign_key_list($1) ORDER BY id, seq")
        .bind(table)
        .fetch_all()
        .await?;
    let mut references: Vec<Reference> = Vec::new();
    let mut former = None::<i64>;
    for row in &rows {
        let number = row.try_get("id")?;
        let columns = (row.try_get("mine")?, row.try_get("its")?);
        match references.last_mut() {
            Some(last) if former == Some(number) => last.columns.push(columns),
            _ => references.push(Reference {
                to: row.try_get("referred")?,
                columns: vec![columns],
            }),
        }
        former = Some(number);
    }
    Ok(references)
}

/// Puts each table after those that it refers to.
fn in_order(mut left: Vec<Table>) -> Result<Vec<Table>, RecordError> {
    let mut ordered: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_there = |name: &str| ordered.iter().any(|table| table.name == name);
        let next = left.iter().position(|table| {
            let mut others = table.references.iter().filter(|other| other.to != table.name);
            others.all(|other| is_there(&other.to))
        });
        let next = next.ok_or_else(|| RecordError::Damaged {
            what: "tables refer to one another in a circle".to_owned(),
        })?;
        ordered.push(left.remove(next));
    }
    Ok(ordered)
}

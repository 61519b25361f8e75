//! The list of erased customers: on record, and in a file beside the database, so that a restored older backup does not
//! hide whom it brings back.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bss_model::ErasedCustomer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::own_files::sync_directory_of;
use super::stored::id;
use super::{Record, RecordError};
use crate::database::Connection;

/// The file beside the database that lists the erased customers, a JSON object on each line. It is only ever added to.
pub const ERASED_CUSTOMERS_FILE: &str = "customers.erased";

/// An erased customer, as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Erasure {
    pub(super) customer_id: String,
    pub(super) instance_id: Uuid,
    pub(super) erased_at_ms: i64,
}

/// Adds erasures to the file, before they are committed: one that is on record is never missing in it.
pub(super) fn add_to_file(data_dir: &Path, erasures: &[Erasure]) -> Result<(), RecordError> {
    let path = data_dir.join(ERASED_CUSTOMERS_FILE);
    append(&path, erasures).map_err(|source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    })
}

/// The erasures that the database has.
pub(super) async fn on_record(connection: &mut Connection) -> Result<Vec<Erasure>, RecordError> {
    let rows = connection
        .sql("SELECT * FROM erased_customers")
        .fetch_all()
        .await?;
    let erasures = rows.iter().map(|row| {
        Ok(Erasure {
            customer_id: row.try_get("customer_id")?,
            instance_id: id(row, "instance_id")?,
            erased_at_ms: row.try_get("erased_at_ms")?,
        })
    });
    erasures.collect()
}

fn append(path: &Path, erasures: &[Erasure]) -> io::Result<()> {
    let mut lines = String::new();
    for erasure in erasures {
        // The line break comes first, so that an unfinished line does not spoil this one.
        lines.push('\n');
        lines.push_str(&serde_json::to_string(erasure)?);
    }
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).mode(0o600).open(path)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    sync_directory_of(path)
}

fn read_file(data_dir: &Path) -> Result<Vec<Erasure>, RecordError> {
    let path = data_dir.join(ERASED_CUSTOMERS_FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|source| RecordError::Directory {
            path: data_dir.to_owned(),
            source,
        })?,
    };
    let mut erasures = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match serde_json::from_str(line) {
            Ok(erasure) => erasures.push(erasure),
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "a line of the list of erased customers can't be read");
            }
        }
    }
    Ok(erasures)
}

/// The erased customers, of the record and of the file, by id and instance. `only`: one of them.
pub(super) async fn list(
    connection: &mut Connection,
    data_dir: &Path,
    only: Option<&str>,
) -> Result<Vec<ErasedCustomer>, RecordError> {
    let mut latest = BTreeMap::<(String, Uuid), i64>::new();
    let rows = connection
        .sql("SELECT * FROM erased_customers WHERE $1 IS NULL OR customer_id = $1")
        .bind(only)
        .fetch_all()
        .await?;
    for row in &rows {
        let key = (row.try_get("customer_id")?, id(row, "instance_id")?);
        latest.insert(key, row.try_get("erased_at_ms")?);
    }
    for erasure in read_file(data_dir)? {
        if only.is_none_or(|only| only == erasure.customer_id) {
            let at_ms = latest
                .entry((erasure.customer_id, erasure.instance_id))
                .or_default();
            *at_ms = erasure.erased_at_ms.max(*at_ms);
        }
    }
    let mut erased = Vec::with_capacity(latest.len());
    for ((id, instance_id), erased_at_ms) in latest {
        let left: i64 = connection.sql(
            "SELECT COUNT(*) FROM orders WHERE customer_id = $1 AND instance_id = $2 AND placed_at_ms <= $3
             AND customer_erased_at_ms IS NULL",
        )
        .bind(&id)
        .bind(instance_id.to_string())
        .bind(erased_at_ms)
        .scalar()
        .await?;
        erased.push(ErasedCustomer {
            id,
            instance_id,
            erased_at_ms,
            orders_left: left.unsigned_abs(),
        });
    }
    Ok(erased)
}

impl Record {
    /// The customers that were erased, by id and instance: those on record, and those in the file
    /// [`ERASED_CUSTOMERS_FILE`] of the data directory, which a restored backup may be older than.
    ///
    /// # Errors
    /// When the record or the file can't be read.
    pub async fn erased_customers(&self) -> Result<Vec<ErasedCustomer>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        list(&mut connection, &self.data_dir, None).await
    }
}

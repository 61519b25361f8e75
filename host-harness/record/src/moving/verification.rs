//! Whether a record on a server is sound: its tables, what is sealed, its acts, its references and its numbers.

use std::path::Path;

use bss_keys::{HostKey, HostKeySource};
use uuid::Uuid;

use super::catalog::Catalog;
use super::copy_error::CopyError;
use super::marking::mark_of;
use super::server::{Server, check_key};
use super::table::{Reference, Table};
use super::{rows, sequences, target};
use crate::acts::chain::{self, AuditedActs};
use crate::database::Connection;
use crate::host_keys::uses_in;
use crate::moved::TableDigest;
use crate::postgres::DatabaseAddress;
use crate::stored::id;
use crate::{Record, RecordError};

/// A record on a server that was found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedServer {
    /// The record's own id.
    pub record: Uuid,
    /// What it has, table by table.
    pub tables: Vec<TableDigest>,
    /// The number of sealed values, all of which were opened.
    pub sealed_values: u64,
    /// Its acts.
    pub acts: AuditedActs,
}

impl Record {
    /// Verifies the record in a database on a server as it is at one moment: reads every row, opens every sealed value, and goes through
    /// the chain of acts, the references between tables and the numbers that tables give. `expected`: what its tables had when it was
    /// moved there, if nothing may have been written since. `data_dir` is where the host key is looked for.
    ///
    /// # Errors
    /// When anything is wrong with it, or is not what was expected.
    pub async fn verify_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
        expected: Option<&[TableDigest]>,
    ) -> Result<VerifiedServer, CopyError> {
        let catalog = Catalog::of_this_program().await?;
        let host_key = host_key.key(data_dir, false).map_err(RecordError::from)?;
        let server = Server::open(address).await?;
        let verified = verify(&catalog, &host_key, &server, expected).await;
        server.close().await;
        verified
    }
}

async fn verify(
    catalog: &Catalog,
    host_key: &HostKey,
    server: &Server,
    expected: Option<&[TableDigest]>,
) -> Result<VerifiedServer, CopyError> {
    let mut one_moment = server.pools.readers.begin_read().await?;
    if let Some(mark) = mark_of(&mut one_moment).await? {
        return Err(mark.error().into());
    }
    check_key(&mut one_moment, host_key, &server.name).await?;
    let tables = match expected {
        Some(expected) => target::expect(catalog, &mut one_moment, expected).await?,
        None => digests(catalog, &mut one_moment).await?,
    };
    let sealed_values = open_all(&mut one_moment, host_key).await?;
    let acts = chain::verify(&mut one_moment, None).await?;
    for table in &catalog.tables {
        for reference in &table.references {
            check_reference(&mut one_moment, table, reference).await?;
        }
    }
    sequences::check(&mut one_moment).await?;
    let row = one_moment
        .sql("SELECT record FROM provenance")
        .fetch_one()
        .await?;
    let record = id(&row, "record")?;
    one_moment.rollback().await?;
    Ok(VerifiedServer {
        record,
        tables,
        sealed_values,
        acts,
    })
}

async fn digests(catalog: &Catalog, connection: &mut Connection) -> Result<Vec<TableDigest>, RecordError> {
    let mut digests = Vec::with_capacity(catalog.tables.len());
    for table in &catalog.tables {
        digests.push(rows::digest(table, connection).await?);
    }
    Ok(digests)
}

/// Opens every sealed value, and returns their number.
async fn open_all(connection: &mut Connection, host_key: &HostKey) -> Result<u64, CopyError> {
    let uses = uses_in(connection, host_key).await?;
    let of = |is_there: bool| -> u64 {
        let keys = uses.keys.iter().filter(|key| key.is_there == is_there);
        keys.map(|key| key.values).sum()
    };
    match uses.unopened + of(false) {
        0 => Ok(of(true)),
        values => Err(CopyError::Unopened { values }),
    }
}

/// Fails where a row refers to one that is missing. The database refuses such rows, unless somebody has had it not look.
async fn check_reference(
    connection: &mut Connection,
    table: &Table,
    reference: &Reference,
) -> Result<(), CopyError> {
    let (mine, its): (Vec<_>, Vec<_>) = reference.columns.iter().cloned().unzip();
    let is_set: Vec<String> = mine
        .iter()
        .map(|column| format!("m.\"{column}\" IS NOT NULL"))
        .collect();
    let is_same: Vec<String> = mine
        .iter()
        .zip(&its)
        .map(|(mine, its)| format!("i.\"{its}\" = m.\"{mine}\""))
        .collect();
    let missing = connection.composed(format!(
        "SELECT COUNT(*) FROM \"{}\" m WHERE {} AND NOT EXISTS (SELECT 1 FROM \"{}\" i WHERE {})",
        table.name,
        is_set.join(" AND "),
        reference.to,
        is_same.join(" AND "),
    ));
    match missing.scalar::<i64>().await? {
        0 => Ok(()),
        rows => Err(CopyError::Dangling {
            table: table.name.clone(),
            to: reference.to.clone(),
            rows: rows.unsigned_abs(),
        }),
    }
}

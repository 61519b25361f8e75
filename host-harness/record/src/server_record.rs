//! A record that a PostgreSQL server keeps for many hosts: how it is made and opened.

use std::path::Path;
use std::sync::Arc;

use bss_keys::HostKeySource;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::database::Pool;
use crate::database::postgres::{self, Pools};
use crate::postgres::{DatabaseAddress, DatabaseWarning, Intent, judge, look, steps};
use crate::{Record, RecordError, check_host_key, host_keys, in_use, lock_directory, moving, provenance};

impl Record {
    /// Opens the record that a PostgreSQL server keeps, for a host whose other files are in `data_dir`. Many hosts may have it open. No
    /// host key is made: two hosts would each make their own.
    ///
    /// Not for money yet: a worker whose lease is over is not kept from sending, and nobody notices a server that has forgotten what it
    /// had said was written, as after a failover.
    ///
    /// # Errors
    /// When the server can't be reached or may not keep a record, when its tables are not those of this program, and when the
    /// host key is missing or is another one.
    pub async fn open_database(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<Self, RecordError> {
        let _lock = lock_directory(data_dir).await?;
        let host_key = host_key.key(data_dir, false)?;
        let (in_use, _) = in_use(data_dir).map_err(|source| RecordError::Directory {
            path: data_dir.to_owned(),
            source,
        })?;
        for warning in check(address.options(), Intent::Use).await? {
            tracing::warn!("{warning}");
        }
        let Pools { writer, readers } = postgres::open(address.options()).await?;
        check_steps(&readers, &steps()).await?;
        moving::refuse_moved(&readers).await?;
        let made_with = check_host_key(&writer, &host_key, Path::new(&address.to_string())).await?;
        let order_ids = host_keys::order_ids(&writer, &host_key, made_with).await?;
        provenance::begin_on_server(&writer).await?;
        Ok(Self {
            readers,
            writer,
            host_key,
            order_ids,
            data_dir: data_dir.into(),
            ends: Arc::default(),
            dispatches: None,
            _in_use: Arc::new(in_use),
        })
    }

    /// Makes the tables of a record in a database on a PostgreSQL server, or brings them up to date.
    ///
    /// # Errors
    /// When the server can't be reached or may not keep a record, and when a step fails.
    pub async fn migrate_database(address: &DatabaseAddress) -> Result<(), RecordError> {
        check(address.options(), Intent::Migrate).await?;
        let pools = postgres::open(address.options()).await?;
        let migrated = pools.writer.migrate(&steps()).await;
        pools.writer.close().await;
        pools.readers.close().await;
        migrated
    }
}

/// Asks the server of a database whether it may keep the record, and returns what should be known of it all the same.
pub(crate) async fn check(
    options: PgConnectOptions,
    intent: Intent,
) -> Result<Vec<DatabaseWarning>, RecordError> {
    let mut connection = options.connect().await?;
    let facts = look(&mut connection).await?;
    connection.close().await?;
    Ok(judge(&facts, intent)?)
}

/// Fails unless a database has the tables of this program.
pub(crate) async fn check_steps(database: &Pool, steps: &Migrator) -> Result<(), RecordError> {
    let is_begun = match database.is_postgres() {
        true => database.sql("SELECT to_regclass('_sqlx_migrations') IS NOT NULL"),
        false => database.sql("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')"),
    };
    let mut taken = Vec::new();
    if is_begun.scalar().await? {
        let rows = database.sql("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
        for row in &rows.fetch_all().await? {
            taken.push((row.try_get("version")?, row.try_get("checksum")?));
        }
    }
    let ours: Vec<(i64, Vec<u8>)> = steps
        .iter()
        .map(|step| (step.version, step.checksum.to_vec()))
        .collect();
    let other = ours.iter().zip(&taken).find(|(ours, taken)| ours != taken);
    if let Some(((version, _), _)) = other {
        return Err(MigrateError::VersionMismatch(*version).into());
    }
    match (ours.get(taken.len()), taken.get(ours.len())) {
        (Some((version, _)), _) => Err(MigrateError::VersionNotPresent(*version).into()),
        (None, Some((version, _))) => Err(MigrateError::VersionMissing(*version).into()),
        (None, None) => Ok(()),
    }
}

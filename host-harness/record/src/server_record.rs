//! A record that a PostgreSQL server keeps for many hosts: how it is made and opened.

use std::path::Path;
use std::sync::Arc;

use bss_keys::HostKeySource;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use crate::database::Pool;
use crate::database::postgres::{self, Pools};
use crate::own_files::{self, RECORD_FILE};
use crate::postgres::{DatabaseAddress, DatabaseWarning, Intent, judge, look, steps};
use crate::provenance::{Dispatches, OwnRecord, Witnessed};
use crate::{
    Opening, Record, RecordError, check_host_key, epochs, host_keys, in_use, lock_directory, moving,
    provenance,
};

impl Record {
    /// Opens the record that a PostgreSQL server keeps, for a host whose other files are in `data_dir`. Many hosts may have it open. No
    /// host key is made: two hosts would each make their own.
    ///
    /// # Errors
    /// When the server can't be reached or may not keep a record, when its tables are not those of this program or have no record, when
    /// the data directory has a record of its own or belongs to another one, and when the host key is missing or is another one.
    pub async fn open_database(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<Self, RecordError> {
        Self::on_server(data_dir, host_key, address, Opening::Existing).await
    }

    /// Makes a record in a database on a PostgreSQL server that has none, and opens it. The host key has to be there.
    ///
    /// # Errors
    /// When there is a record, and like [`Record::open_database`].
    pub async fn create_database(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<Self, RecordError> {
        Self::migrate_database(address).await?;
        Self::on_server(data_dir, host_key, address, Opening::New).await
    }

    async fn on_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
        opening: Opening,
    ) -> Result<Self, RecordError> {
        let _lock = lock_directory(data_dir).await?;
        let host_key = host_key.key(data_dir, false)?;
        let (in_use, _) = in_use(data_dir).map_err(|source| RecordError::Directory {
            path: data_dir.to_owned(),
            source,
        })?;
        let warnings = check(address.options(), Intent::Use).await?;
        let Pools { writer, readers } =
            postgres::open(address.options(), address.forgets_statements()).await?;
        let has_any = readers.sql("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
        if !has_any.scalar::<bool>().await? {
            return Err(RecordError::NoTables);
        }
        check_steps(&readers, &steps()).await?;
        moving::refuse_moved(&readers).await?;
        let witnessed = provenance::witnessed_on_server(data_dir, own_record(data_dir).await?)?;
        let place = Path::new(&address.to_string()).to_owned();
        let record = introduced(&writer, data_dir, &place, opening, witnessed.as_ref()).await?;
        let made_with = check_host_key(&writer, &host_key, &place).await?;
        let order_ids = host_keys::order_ids(&writer, &host_key, made_with).await?;
        let witnessed = witnessed.map(|(_, witnessed)| witnessed);
        let opened = Self {
            readers,
            writer,
            host_key,
            order_ids,
            data_dir: data_dir.into(),
            ends: Arc::default(),
            warnings: warnings.into(),
            dispatches: Arc::new(Dispatches::on_server(data_dir, record, witnessed)),
            _in_use: Arc::new(in_use),
        };
        let mut transaction = opened.begin_write().await?;
        provenance::count_when_opened(&mut transaction).await?;
        transaction.commit().await?;
        Ok(opened)
    }

    /// Makes the tables of a record in a database on a PostgreSQL server, or brings them up to date.
    ///
    /// # Errors
    /// When the server can't be reached or may not keep a record, and when a step fails.
    pub async fn migrate_database(address: &DatabaseAddress) -> Result<(), RecordError> {
        check(address.options(), Intent::Migrate).await?;
        let pools = postgres::open(address.options(), address.forgets_statements()).await?;
        let migrated = pools.writer.migrate(&steps()).await;
        pools.writer.close().await;
        pools.readers.close().await;
        migrated
    }
}

/// What a data directory has of a record of its own.
async fn own_record(data_dir: &Path) -> Result<OwnRecord, RecordError> {
    let file = data_dir.join(RECORD_FILE);
    if own_files::is_missing(&file)? {
        return Ok(OwnRecord::Missing);
    }
    Ok(match moving::is_moved(&file).await? {
        true => OwnRecord::Moved,
        false => OwnRecord::There,
    })
}

/// The id of the record in a database, which a new one is given here.
async fn introduced(
    writer: &Pool,
    data_dir: &Path,
    place: &Path,
    opening: Opening,
    witnessed: Option<&(Uuid, Witnessed)>,
) -> Result<Uuid, RecordError> {
    let mut transaction = writer.begin_write().await?;
    let epoch = transaction.unsettled();
    let known = provenance::known(&mut transaction).await?;
    let known = match (opening, known) {
        (Opening::New, Some(_)) => {
            return Err(RecordError::Exists {
                path: place.to_owned(),
            });
        }
        (Opening::Existing, None) => return Err(RecordError::NoTables),
        (_, Some(known)) => {
            transaction.rollback().await?;
            known
        }
        (Opening::New | Opening::Either, None) => {
            provenance::introduce_on_server(&mut transaction).await?;
            if let Some(epoch) = &epoch {
                epochs::settle(&mut transaction, epoch, &Witnessed::default()).await?;
            }
            let known = provenance::known(&mut transaction).await?;
            transaction.commit().await?;
            known.ok_or(RecordError::NoTables)?
        }
    };
    match witnessed {
        Some((record, _)) if *record != known.record => Err(RecordError::Another {
            path: data_dir.to_owned(),
        }),
        _ => Ok(known.record),
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

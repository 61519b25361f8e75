//! How a host is opened: what it is given, and what it refuses.

use std::fmt;
use std::path::{Path, PathBuf};

use bss_keys::HostKeySource;
use bss_model::{Actor, Advice, Diagnose, Diagnosis, DutiesChange, ErrorKind, ProxyRules};
use bss_record::{DatabaseAddress, Record, RecordError};
use bss_sandbox::exchange_recording::Recorder;
use bss_sandbox::limits::CallLimits;

use crate::error::Error;
use crate::host::Host;

/// Who the host is in the acts that opening it makes.
const OPENER: &str = "host builder";

/// What is done with a record that was restored, copied or moved, so that another copy of it may go on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum OnRestored {
    /// Look up what is in doubt, buy nothing of it, and hold e-mails back, until somebody [adopts](Record::adopt) the record.
    /// An order that is placed afterwards is bought if it has no idempotency key; with one, another copy may have bought it, and
    /// it waits too.
    #[default]
    LookUpOnly,
    /// Refuse to open it.
    Refuse,
    /// Adopt it at once: the actor answers for that no other copy of it goes on.
    Adopt(Actor),
}

/// A record that was restored, and is not to be opened as one.
#[derive(Debug, thiserror::Error)]
#[error("the record was restored, copied or moved, and nobody has said that no other copy of it goes on")]
pub struct RestoredRecord;

impl Diagnose for RestoredRecord {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Conflict, "record-restored").advise(Advice::AdoptRecord)
    }
}

/// A builder of a [`Host`], from [`Host::builder`].
///
/// ```no_run
/// # async fn example(key: host_harness::HostKey) -> Result<(), host_harness::Error> {
/// use std::sync::Arc;
///
/// use host_harness::{Host, HostKeySource, OnRestored};
///
/// let host = Host::builder("bss-data")
///     .plugin_file("plugin.wasm")
///     .host_key(HostKeySource::Given(Arc::new(key)))
///     .mails(false)
///     .charges(false)
///     .on_restored(OnRestored::Refuse)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct HostBuilder {
    data_dir: PathBuf,
    plugin_file: Option<PathBuf>,
    host_key: HostKeySource,
    database: Option<DatabaseAddress>,
    duties: DutiesChange,
    call_limits: CallLimits,
    recorder: Option<Recorder>,
    proxies: ProxyRules,
    on_restored: OnRestored,
}

impl Host {
    /// A builder of a host that works from a data directory: [`HostBuilder::create`] makes one, [`HostBuilder::open`] opens it.
    pub fn builder(data_dir: impl AsRef<Path>) -> HostBuilder {
        HostBuilder::new(data_dir.as_ref())
    }

    /// Opens a data directory that has a record, with the file of a plugin and nothing else said; see [`Host::builder`]. The file is looked at
    /// where the record has no plugin yet, which makes it the first one and trusted, and where an instance has none: then it
    /// must be trusted. Every instance that has a plugin is worked on by that one, from the record.
    ///
    /// # Errors
    /// When there is no record, and when it can't be opened.
    pub async fn open(data_dir: &Path, plugin: &Path) -> Result<Self, Error> {
        Self::builder(data_dir).plugin_file(plugin).open().await
    }
}

impl HostBuilder {
    fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            plugin_file: None,
            host_key: HostKeySource::default(),
            database: None,
            duties: DutiesChange::default(),
            call_limits: CallLimits::default(),
            recorder: None,
            proxies: ProxyRules::default(),
            on_restored: OnRestored::default(),
        }
    }

    /// Names the file of a plugin. Where the record has no plugin yet, it becomes the first one and trusted, once it is
    /// called. Every instance that has a plugin is worked on by that one, from the record.
    pub fn plugin_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            plugin_file: Some(file.into()),
            ..self
        }
    }

    /// Says where the host key comes from. Without this: from its file in the data directory.
    pub fn host_key(self, source: HostKeySource) -> Self {
        Self {
            host_key: source,
            ..self
        }
    }

    /// Says in which database on a PostgreSQL server the record is, which many hosts may have open. Its host key is never made, and
    /// its tables are brought up to date by [`Record::migrate_database`] alone. `None`, and without this: in the data directory.
    pub fn database(self, database: Option<DatabaseAddress>) -> Self {
        Self { database, ..self }
    }

    /// Says whether customers are mailed by the host, which the record keeps for everybody who opens it. Off, nothing is
    /// written down that could be mailed later, and an order needs no contact. Without this: as the record has it, and a new
    /// one mails.
    pub fn mails(mut self, mails: bool) -> Self {
        self.duties.mails = Some(mails);
        self
    }

    /// Says whether licenses are charged and credited by the host, which the record keeps for everybody who opens it. Off, a
    /// product needs no price. Without this: as the record has it, and a new one charges.
    pub fn charges(mut self, charges: bool) -> Self {
        self.duties.charges = Some(charges);
        self
    }

    /// Sets the time limits of the plugins' calls.
    pub fn call_limits(self, call_limits: CallLimits) -> Self {
        Self { call_limits, ..self }
    }

    /// Writes the host's calls down for [`crate::replay::replay`].
    pub fn recording(self, recorder: Recorder) -> Self {
        Self {
            recorder: Some(recorder),
            ..self
        }
    }

    /// Says which connections to vendors go through a proxy, unless an instance has its own. Without this: none, whatever
    /// the environment says; [`ProxyRules::from_environment`] reads it.
    pub fn proxies(self, proxies: ProxyRules) -> Self {
        Self { proxies, ..self }
    }

    /// Says what is done with a record that was restored, copied or moved.
    pub fn on_restored(self, on_restored: OnRestored) -> Self {
        Self { on_restored, ..self }
    }

    /// Opens the data directory. Several processes may have it open. Where it has no record, nothing is made: a path that is
    /// wrong, or whose disk is not mounted, is an error.
    ///
    /// # Errors
    /// When there is no record (code `no-record`), when it can't be opened, or was restored and is to be refused then.
    pub async fn open(self) -> Result<Host, Error> {
        let record = match &self.database {
            None => Record::open_with(&self.data_dir, &self.host_key).await?,
            Some(database) => Record::open_database(&self.data_dir, &self.host_key, database).await?,
        };
        self.on(record).await
    }

    /// Makes the record, and the data directory and the host key where they are missing, and opens it. The record and the
    /// host key belong together, and each into a backup.
    ///
    /// # Errors
    /// When a record is there (code `record-is-there`) or was there, and when it can't be made.
    pub async fn create(self) -> Result<Host, Error> {
        let record = match &self.database {
            None => Record::create(&self.data_dir, &self.host_key).await?,
            Some(database) => Record::create_database(&self.data_dir, &self.host_key, database).await?,
        };
        self.on(record).await
    }

    /// Opens the data directory as [`HostBuilder::open`] does, or makes it as [`HostBuilder::create`] does: for tests, and
    /// for a directory that can't be the wrong one. A new record knows nothing of what was bought before, so an idempotency
    /// key does not protect an order there.
    ///
    /// # Errors
    /// Like those two, except for `no-record` and `record-is-there`.
    pub async fn open_or_create(self) -> Result<Host, Error> {
        let record = match &self.database {
            None => Record::open_or_create(&self.data_dir, &self.host_key).await?,
            Some(database) => match Record::create_database(&self.data_dir, &self.host_key, database).await {
                Err(RecordError::Exists { .. }) => {
                    Record::open_database(&self.data_dir, &self.host_key, database).await?
                }
                made => made?,
            },
        };
        self.on(record).await
    }

    /// The host on a record that was opened.
    async fn on(self, record: Record) -> Result<Host, Error> {
        match &self.on_restored {
            OnRestored::LookUpOnly => {}
            OnRestored::Refuse => {
                if record.awaits_adoption().await? {
                    record.close().await;
                    return Err(RestoredRecord.into());
                }
            }
            OnRestored::Adopt(actor) => {
                record.adopt(actor).await?;
            }
        }
        record.set_duties(self.duties, &Actor::host(OPENER)).await?;
        Ok(Host::of(
            record,
            self.plugin_file,
            &self.data_dir,
            self.call_limits,
            self.recorder,
            self.proxies,
        ))
    }
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("data_dir", &self.data_dir)
            .field("plugin_file", &self.plugin_file)
            .field("host_key", &self.host_key)
            .field("database", &self.database)
            .field("duties", &self.duties)
            .field("call_limits", &self.call_limits)
            .field("proxies", &self.proxies)
            .field("on_restored", &self.on_restored)
            .finish_non_exhaustive()
    }
}

//! The plugins of a host: each on record with its content, loaded when it is first called, and only if it is trusted.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bss_model::{
    Actor, AddedPlugin, Advice, Diagnose, Diagnosis, ErrorKind, PluginDescription, PluginDigest,
};
use bss_record::{NewPlugin, Record, RecordError};
use bss_sandbox::access_token_cache::AccessTokenCache;
use bss_sandbox::call::CallContext;
use bss_sandbox::error::{FailedCall, LoadError};
use bss_sandbox::outbound_https::{Egress, OutboundHttps};
use bss_sandbox::plugin::{Plugin, PluginFile};
use bss_sandbox::seen_exchanges::SeenExchanges;
use uuid::Uuid;

use crate::blocking::run_blocking;
use crate::own_task::nobody;
use crate::plugin_cache::PluginCache;
use crate::plugin_description::{DescriptionError, checked};

/// Why a plugin does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The plugin can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The plugin does not say who it is.
    #[error("plugin `{}` does not say who it is", path.display())]
    Silent {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: FailedCall,
    },
    /// The plugin's description of itself can't be one.
    #[error("the description that plugin `{}` gives of itself can't be taken", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: DescriptionError,
    },
    /// A plugin that nobody has trusted. Nothing of it was run for an instance.
    #[error("nobody has trusted plugin `{}`, whose SHA-256 is {digest}", path.display())]
    NotTrusted {
        /// The file.
        path: PathBuf,
        /// The digest of the file.
        digest: PluginDigest,
    },
    /// The plugin of an instance is not on record.
    #[error("plugin {digest} is not on record")]
    Missing {
        /// The digest.
        digest: PluginDigest,
    },
    /// An instance with settings has no plugin, because they were saved by an older program.
    #[error("nobody has said which plugin instance `{instance}` belongs to")]
    Unassigned {
        /// The instance.
        instance: String,
    },
    /// The content of a plugin on record was altered. Nothing of it was run.
    #[error("the content of plugin {digest} on record was altered")]
    Altered {
        /// The digest that the content had.
        digest: PluginDigest,
    },
    /// Plugins of several names are on record, and nobody has said which one is meant.
    #[error("there are several plugins: {}", .ids.join(", "))]
    Several {
        /// The plugins' names: at least two.
        ids: Vec<String>,
    },
    /// No plugin is on record, and no file of one was named.
    #[error("no plugin is on record yet, and no file of one was named")]
    NotNamed,
    /// No trusted plugin has the name that was asked for.
    #[error("no trusted plugin is called `{id}`")]
    NoPlugin {
        /// The name.
        id: String,
    },
}

impl Diagnose for PluginError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Load(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::Silent { source, .. } => source.diagnosis(),
            Self::Description { .. } => {
                Diagnosis::new(ErrorKind::Refused, "description-broken").advise(Advice::ReportPlugin)
            }
            Self::NotTrusted { path, .. } => Diagnosis::new(ErrorKind::Conflict, "plugin-not-trusted")
                .advise(Advice::TrustPlugin { path: path.clone() }),
            Self::Missing { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "plugin-missing").say("add its file, and let it run")
            }
            Self::Unassigned { .. } => Diagnosis::new(ErrorKind::Conflict, "plugin-unassigned")
                .say("upgrade the instance to the version of the plugin that has worked for it"),
            Self::Altered { .. } => Diagnosis::new(ErrorKind::Damaged, "plugin-altered")
                .say("find out who can write the database, then add the plugin's file again"),
            Self::Several { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "several-plugins").advise(Advice::ChoosePlugin)
            }
            Self::NotNamed => {
                Diagnosis::new(ErrorKind::Invalid, "plugin-not-named").advise(Advice::NamePlugin)
            }
            Self::NoPlugin { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "plugin-unknown").advise(Advice::ListPlugins)
            }
        }
    }
}

/// A plugin that may run for instances.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    pub(crate) plugin: Plugin,
    pub(crate) digest: PluginDigest,
    pub(crate) description: Arc<PluginDescription>,
}

/// The plugins of a host. Each is loaded when it is first called: half of what a host does needs none. Another host of the
/// process may have loaded it before; whether it is trusted, and its content unaltered, is asked of this host's record all the
/// same. Cloning shares what was loaded.
#[derive(Clone)]
pub(crate) struct HostPlugins {
    /// The file that is the first plugin of a new record, and the one of instances that have none yet, if one is named.
    named: Option<PathBuf>,
    cache: PluginCache,
    /// The digest of the named file, once it was loaded.
    named_digest: Arc<OnceLock<PluginDigest>>,
    /// Plugins that this host's record lets run.
    loaded: Arc<Mutex<HashMap<PluginDigest, LoadedPlugin>>>,
}

impl HostPlugins {
    /// The plugins of a record. `named`: the file of its first plugin. `cache`: where loaded plugins come from.
    pub(crate) fn new(named: Option<PathBuf>, cache: PluginCache) -> Self {
        Self {
            named,
            cache,
            named_digest: Arc::default(),
            loaded: Arc::default(),
        }
    }

    /// The plugin of a digest.
    pub(crate) async fn of(
        &self,
        record: &Record,
        digest: PluginDigest,
    ) -> Result<LoadedPlugin, PluginError> {
        if let Some(loaded) = self.kept(&digest) {
            return Ok(loaded);
        }
        let Some(added) = record.plugin(&digest).await? else {
            // A record from before plugins were kept on it has none: the named file may be this one.
            return match self.named(record).await {
                Ok(named) if named.digest == digest => Ok(named),
                _ => Err(PluginError::Missing { digest }),
            };
        };
        self.load_trusted(record, added).await
    }

    /// The plugin of the named file. The first one that a record sees is trusted.
    pub(crate) async fn named(&self, record: &Record) -> Result<LoadedPlugin, PluginError> {
        let kept = self.named_digest.get().and_then(|digest| self.kept(digest));
        if let Some(loaded) = kept {
            return Ok(loaded);
        }
        let path = self.named_file()?;
        let file = read(path).await?;
        let digest = file.digest();
        let not_trusted = || PluginError::NotTrusted {
            path: path.to_owned(),
            digest,
        };
        let added = match record.plugin(&digest).await? {
            Some(added) => added,
            None if may_be_first(record, digest).await? => self.trust_first(record, file, path).await?,
            None => return Err(not_trusted()),
        };
        if added.digest != digest {
            return Err(not_trusted());
        }
        let loaded = self.load_trusted(record, added).await?;
        let _ = self.named_digest.set(digest);
        Ok(loaded)
    }

    /// The plugin of a new instance: of a name the one that was added last, and without a name the only one that there is.
    pub(crate) async fn for_new(
        &self,
        record: &Record,
        id: Option<&str>,
    ) -> Result<LoadedPlugin, PluginError> {
        let plugins = record.plugins().await?;
        if plugins.is_empty() && self.is_named(id).await? {
            return self.named(record).await;
        }
        let meant = plugins
            .into_iter()
            .filter(|plugin| id.is_none_or(|id| plugin.description.id == id));
        let (meant, untrusted): (Vec<AddedPlugin>, Vec<AddedPlugin>) =
            meant.partition(|plugin| plugin.trust.is_some());
        let mut ids: Vec<String> = meant.iter().map(|plugin| plugin.description.id.clone()).collect();
        ids.sort();
        ids.dedup();
        if ids.len() > 1 {
            return Err(PluginError::Several { ids });
        }
        // A plugin that only waits to be trusted is refused as that, and not as unknown.
        match meant
            .into_iter()
            .next_back()
            .or(untrusted.into_iter().next_back())
        {
            Some(newest) => self.load_trusted(record, newest).await,
            None => Err(PluginError::NoPlugin {
                id: id.unwrap_or_default().to_owned(),
            }),
        }
    }

    fn named_file(&self) -> Result<&Path, PluginError> {
        self.named.as_deref().ok_or(PluginError::NotNamed)
    }

    /// Whether the plugin of the named file has this name, if one is asked for.
    async fn is_named(&self, id: Option<&str>) -> Result<bool, PluginError> {
        let Some(id) = id else { return Ok(true) };
        let path = self.named_file()?;
        let description = self.described(read(path).await?, path).await?;
        Ok(description.id == id)
    }

    /// Puts the content of a file on record, if it is a plugin for this host. Nothing of it runs but its description of
    /// itself, which reaches nobody.
    pub(crate) async fn add(
        &self,
        record: &Record,
        path: &Path,
        actor: &Actor,
    ) -> Result<AddedPlugin, PluginError> {
        let file = read(path).await?;
        let digest = file.digest();
        let content = file.content().to_vec();
        let description = match record.plugin(&digest).await? {
            Some(known) => known.description,
            None => self.described(file, path).await?,
        };
        let new = NewPlugin {
            digest,
            path: &shown(path),
            content: &content,
            description: &description,
        };
        Ok(record.add_plugin(&new, actor).await?)
    }

    async fn trust_first(
        &self,
        record: &Record,
        file: PluginFile,
        path: &Path,
    ) -> Result<AddedPlugin, PluginError> {
        let digest = file.digest();
        let content = file.content().to_vec();
        // Only what fits this host is trusted; a file that was named by mistake is not.
        let description = self.described(file, path).await?;
        let new = NewPlugin {
            digest,
            path: &shown(path),
            content: &content,
            description: &description,
        };
        Ok(record.trust_first_plugin(&new, &Actor::host("first use")).await?)
    }

    async fn load_trusted(&self, record: &Record, added: AddedPlugin) -> Result<LoadedPlugin, PluginError> {
        let digest = added.digest;
        if added.trust.is_none() {
            return Err(PluginError::NotTrusted {
                path: added.path.into(),
                digest,
            });
        }
        if let Some(loaded) = self.kept(&digest) {
            return Ok(loaded);
        }
        let content = record.plugin_content(&digest).await?;
        let content = content.ok_or(PluginError::Missing { digest })?;
        let file = PluginFile::of_content(&added.path, content);
        if file.digest() != digest {
            return Err(PluginError::Altered { digest });
        }
        let plugin = self.cache.plugin(file).await?;
        let loaded = LoadedPlugin {
            plugin: plugin.described_as(&added.description),
            digest,
            description: Arc::new(added.description),
        };
        Ok(self.lock().entry(digest).or_insert(loaded).clone())
    }

    /// What the plugin of a file says of itself.
    async fn described(&self, file: PluginFile, path: &Path) -> Result<PluginDescription, PluginError> {
        let described = self.cache.plugin(file).await?.describe(of_nobody()).await;
        let described = described.map_err(|source| PluginError::Silent {
            path: path.to_owned(),
            source,
        })?;
        checked(described).map_err(|source| PluginError::Description {
            path: path.to_owned(),
            source,
        })
    }

    fn kept(&self, digest: &PluginDigest) -> Option<LoadedPlugin> {
        self.lock().get(digest).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PluginDigest, LoadedPlugin>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of the content of a plugin's file. Nothing of it is run.
///
/// # Errors
/// When the file can't be read.
pub async fn plugin_digest(file: &Path) -> Result<PluginDigest, PluginError> {
    Ok(read(file).await?.digest())
}

/// Whether a plugin may be the first one of a record: none is on it, and no instance of an older record has another.
async fn may_be_first(record: &Record, digest: PluginDigest) -> Result<bool, RecordError> {
    let instances = record.instances().await?;
    let mut others = instances.iter().filter_map(|instance| instance.plugin);
    Ok(record.plugins().await?.is_empty() && others.all(|other| other == digest))
}

/// A call for no instance, which can reach no server and is not recorded.
fn of_nobody() -> CallContext {
    CallContext {
        egress: Arc::new(Egress::of_nobody(&Uuid::nil().to_string())),
        options: BTreeMap::new(),
        outbound: OutboundHttps::default(),
        access_tokens: AccessTokenCache::default(),
        listener: nobody(),
        seen: SeenExchanges::default(),
    }
}

async fn read(path: &Path) -> Result<PluginFile, LoadError> {
    let path = path.to_owned();
    run_blocking(move || PluginFile::read(&path)).await
}

/// A path as the record keeps it: the same from every working directory.
fn shown(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}

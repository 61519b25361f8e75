//! The plugin of a host: loaded when it is first called, and only if its content is the one that is trusted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bss_model::{Actor, Advice, Diagnose, Diagnosis, ErrorKind, PluginDigest, TrustedPlugin};
use bss_record::{Record, RecordError};
use bss_sandbox::error::LoadError;
use bss_sandbox::plugin::{Plugin, PluginFile};

use crate::blocking::run_blocking;

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
    /// Another plugin is trusted. Nothing of this one was run.
    #[error(
        "plugin `{}` is not the trusted one: its SHA-256 is {digest}, and {} of `{}` is trusted",
        path.display(), trusted.digest, trusted.path
    )]
    NotTrusted {
        /// The file.
        path: PathBuf,
        /// The digest of the file.
        digest: PluginDigest,
        /// The plugin that may run.
        trusted: Box<TrustedPlugin>,
    },
}

impl Diagnose for PluginError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Load(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::NotTrusted { path, .. } => Diagnosis::new(ErrorKind::Conflict, "plugin-not-trusted")
                .advise(Advice::TrustPlugin { path: path.clone() }),
        }
    }
}

/// A plugin that may run, with its content's digest.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    pub(crate) plugin: Plugin,
    pub(crate) digest: PluginDigest,
}

/// The file of a host's plugin. It is read when the plugin is first called: half of what a host does needs none.
/// Cloning shares what was loaded.
#[derive(Clone)]
pub(crate) struct HostPlugin {
    path: PathBuf,
    /// The directory for compiled plugins.
    compiled: PathBuf,
    loaded: Arc<OnceLock<LoadedPlugin>>,
}

impl HostPlugin {
    pub(crate) fn new(path: &Path, compiled: PathBuf) -> Self {
        Self {
            path: path.to_owned(),
            compiled,
            loaded: Arc::default(),
        }
    }

    /// The plugin, loaded now if it has not been loaded yet. Where none has been trusted yet, this one is.
    pub(crate) async fn loaded(&self, record: &Record) -> Result<LoadedPlugin, PluginError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.clone());
        }
        let file = read(&self.path).await?;
        let digest = file.digest();
        let trusted = record.trusted_plugin().await?;
        check(&self.path, &digest, trusted)?;
        let plugin = self.load(file).await?;
        // Only what fits this host is trusted; a file that was named by mistake is not.
        let by = Actor::host("first use");
        let trusted = record
            .trust_first_plugin(&digest, &shown(&self.path), &by)
            .await?;
        check(&self.path, &digest, Some(trusted))?;
        let loaded = LoadedPlugin { plugin, digest };
        Ok(self.loaded.get_or_init(|| loaded).clone())
    }

    /// Trusts another file's content from now on, if it is a plugin for this host. Nothing of it is run.
    pub(crate) async fn trust(
        &self,
        record: &Record,
        path: &Path,
        actor: &Actor,
    ) -> Result<TrustedPlugin, PluginError> {
        let file = read(path).await?;
        let digest = file.digest();
        self.load(file).await?;
        Ok(record.trust_plugin(&digest, &shown(path), actor).await?)
    }

    /// The digest of the file's content as it is now.
    pub(crate) async fn digest(&self) -> Result<PluginDigest, PluginError> {
        Ok(read(&self.path).await?.digest())
    }

    async fn load(&self, file: PluginFile) -> Result<Plugin, LoadError> {
        let compiled = self.compiled.clone();
        run_blocking(move || Plugin::of_file(&file, &compiled)).await
    }
}

async fn read(path: &Path) -> Result<PluginFile, LoadError> {
    let path = path.to_owned();
    run_blocking(move || PluginFile::read(&path)).await
}

fn check(path: &Path, digest: &PluginDigest, trusted: Option<TrustedPlugin>) -> Result<(), PluginError> {
    match trusted {
        Some(trusted) if trusted.digest != *digest => Err(PluginError::NotTrusted {
            path: path.to_owned(),
            digest: *digest,
            trusted: Box::new(trusted),
        }),
        _ => Ok(()),
    }
}

/// A path as the record keeps it: the same from every working directory.
fn shown(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}

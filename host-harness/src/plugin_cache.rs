//! Plugins that are loaded, shared by all hosts of a process by the digest of their content, and the directory that keeps
//! their machine code for the next process.
//!
//! The cache knows nothing of trust: a host comes here with content that it has checked against its own record, and gets what
//! was made of the same content before.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bss_model::PluginDigest;
use bss_sandbox::error::LoadError;
use bss_sandbox::plugin::{Plugin, PluginFile};
use tokio::sync::OnceCell;

use crate::blocking::run_blocking;

/// The most plugins that are kept beyond the hosts that use them: a few versions of a few plugins.
const PLUGINS_MAX: usize = 16;

/// The plugins that this process has loaded.
static OF_PROCESS: Loaded = Loaded(Mutex::new(VecDeque::new()));

/// The plugins of the process, and a directory for the machine code of those that are compiled for a host.
#[derive(Clone, Debug)]
pub(crate) struct PluginCache {
    compiled: PathBuf,
}

impl PluginCache {
    /// The cache of this process, with a directory for what has to be compiled. Only the process's user may be able to
    /// write the directory; otherwise it is not used.
    pub(crate) fn in_directory(compiled: PathBuf) -> Self {
        Self { compiled }
    }

    /// The plugin of a file, with nothing set. Compiled only if neither the process nor the directory has it.
    ///
    /// # Errors
    /// When it can't be loaded.
    pub(crate) async fn plugin(&self, file: PluginFile) -> Result<Plugin, LoadError> {
        let compiled = self.compiled.clone();
        OF_PROCESS
            .plugin(file.digest(), || {
                run_blocking(move || Plugin::of_file(&file, &compiled))
            })
            .await
    }
}

/// A plugin, once it is loaded.
type Place = Arc<OnceCell<Plugin>>;

/// Plugins by the digest of their content; the one that was used last comes first.
struct Loaded(Mutex<VecDeque<(PluginDigest, Place)>>);

impl Loaded {
    /// The plugin of a digest, loaded by one caller while others that want it wait.
    async fn plugin<F>(&self, digest: PluginDigest, load: impl FnOnce() -> F) -> Result<Plugin, LoadError>
    where
        F: Future<Output = Result<Plugin, LoadError>>,
    {
        let place = self.place(digest);
        Ok(place.get_or_try_init(load).await?.for_another_host())
    }

    fn place(&self, digest: PluginDigest) -> Place {
        // Nothing panics while the lock is held.
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plugins.iter().position(|(of, _)| *of == digest);
        let known = known.and_then(|at| plugins.remove(at));
        let (_, place) = known.unwrap_or_else(|| (digest, Place::default()));
        plugins.push_front((digest, Arc::clone(&place)));
        plugins.truncate(PLUGINS_MAX);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(first: usize) -> PluginDigest {
        let mut sha256 = [0; 32];
        sha256[0] = u8::try_from(first).unwrap();
        PluginDigest::new(sha256)
    }

    #[test]
    fn a_plugin_is_kept_until_many_others_were_used_after_it() {
        let loaded = Loaded(Mutex::default());
        let first = loaded.place(digest(0));
        let second = loaded.place(digest(1));
        for other in 2..PLUGINS_MAX {
            loaded.place(digest(other));
        }
        assert!(Arc::ptr_eq(&first, &loaded.place(digest(0))));
        loaded.place(digest(PLUGINS_MAX));
        assert!(Arc::ptr_eq(&first, &loaded.place(digest(0))), "it was used again");
        assert!(!Arc::ptr_eq(&second, &loaded.place(digest(1))));
    }
}

//! Where the host key comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::host_key::HostKey;
use crate::host_key_error::HostKeyError;

/// The environment variable that holds the key in base64. It wins over the file.
pub const HOST_KEY_VARIABLE: &str = "BSS_HOST_KEY";
/// The file in the data directory that holds the key in base64, where the environment does not.
pub const HOST_KEY_FILE: &str = "host.key";

/// Where the host key comes from.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum HostKeySource {
    /// The file `host.key` in the data directory, which is made with a new record.
    #[default]
    File,
    /// The environment variable `BSS_HOST_KEY`; without it, the file.
    EnvironmentOrFile,
    /// A key that is kept elsewhere, such as in a vault. No file is read or made.
    Given(Arc<HostKey>),
}

impl HostKeySource {
    /// The key. `is_new`: the record is new, so that a file may be made.
    ///
    /// # Errors
    /// When there is none, when it is no key, or when others than the owner may read the file.
    pub fn key(&self, data_dir: &Path, is_new: bool) -> Result<Arc<HostKey>, HostKeyError> {
        let of_file = || HostKey::from_file(&data_dir.join(HOST_KEY_FILE), is_new);
        let key = match self {
            Self::Given(key) => return Ok(Arc::clone(key)),
            Self::File => of_file()?,
            Self::EnvironmentOrFile => match HostKey::from_environment()? {
                Some(key) => key,
                None => of_file()?,
            },
        };
        Ok(Arc::new(key))
    }

    /// The file in the data directory that the key is in. `None`: the key is kept elsewhere.
    pub fn file(&self, data_dir: &Path) -> Option<PathBuf> {
        let is_elsewhere = match self {
            Self::Given(_) => true,
            Self::File => false,
            Self::EnvironmentOrFile => is_in_environment(),
        };
        (!is_elsewhere).then(|| data_dir.join(HOST_KEY_FILE))
    }
}

impl HostKey {
    /// The key from the environment variable `BSS_HOST_KEY`. `None`: the variable is not set, or empty.
    ///
    /// # Errors
    /// When the variable holds no key.
    pub fn from_environment() -> Result<Option<Self>, HostKeyError> {
        if !is_in_environment() {
            return Ok(None);
        }
        match std::env::var(HOST_KEY_VARIABLE) {
            Ok(text) => Self::from_base64(&Zeroizing::new(text), HOST_KEY_VARIABLE).map(Some),
            Err(_) => Err(HostKeyError::NotAKey {
                origin: HOST_KEY_VARIABLE.to_owned(),
            }),
        }
    }
}

fn is_in_environment() -> bool {
    std::env::var_os(HOST_KEY_VARIABLE).is_some_and(|key| !key.is_empty())
}

//! The key under which the host keeps secrets in its data directory.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, Secret};
use data_encoding::{BASE64, HEXLOWER};
use zeroize::Zeroizing;

use crate::ownership::Foreign;

/// The environment variable that holds the key in base64. It wins over the file.
pub const HOST_KEY_VARIABLE: &str = "BSS_HOST_KEY";
/// The file in the data directory that holds the key in base64, where the environment does not.
pub const HOST_KEY_FILE: &str = "host.key";

/// The length of the key: AES-256 takes 256 bits.
const KEY_BYTES: usize = 32;
/// The longest key file: the key in base64, a line end and some blanks; anything longer is another file.
const KEY_FILE_BYTES_MAX: u64 = 256;
/// The nonce that NIST SP 800-38D recommends for GCM.
const NONCE_BYTES: usize = 12;
/// The version of the sealed form, AES-256-GCM with a random nonce: `version || nonce || ciphertext || tag`.
const SEALED_VERSION: u8 = 1;

/// A 256-bit key that seals secrets, so that a copy of the database alone tells nobody anything.
pub struct HostKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// Who keeps the file of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// The process's user alone.
    Own,
    /// The system, which lets this process read it: by a group, or an access list whose mask stands in the group's bits.
    SystemOrSelf,
}

impl Keeper {
    /// The permission bits that no such file may have.
    fn forbidden(self) -> u32 {
        match self {
            Self::Own => 0o077,
            Self::SystemOrSelf => 0o027,
        }
    }
}

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
        match self {
            Self::Given(key) => Ok(Arc::clone(key)),
            Self::File => HostKey::from_file(&data_dir.join(HOST_KEY_FILE), is_new).map(Arc::new),
            Self::EnvironmentOrFile => HostKey::load(data_dir, is_new).map(Arc::new),
        }
    }

    /// The file in the data directory that the key is in. `None`: the key is kept elsewhere.
    pub fn file(&self, data_dir: &Path) -> Option<PathBuf> {
        let is_elsewhere = match self {
            Self::Given(_) => true,
            Self::File => false,
            Self::EnvironmentOrFile => HostKey::is_in_environment(),
        };
        (!is_elsewhere).then(|| data_dir.join(HOST_KEY_FILE))
    }
}

/// Why there is no host key, or why it did not seal or open something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// The text is not the base64 form of 256 bits.
    #[error("`{origin}` does not hold a host key, which is the base64 form of exactly 32 bytes")]
    NotAKey {
        /// The variable or the file.
        origin: String,
    },
    /// The key can be read by others than its owner.
    #[error("host key file `{}` can be read by other users than its owner (mode {mode:o})", path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// The file's permission bits.
        mode: u32,
    },
    /// Another user than this process's owns the key, and may know or replace it.
    #[error("host key file `{}`: {foreign}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The owner and this process's user.
        foreign: Foreign,
    },
    /// The key that the record was made with is missing.
    #[error("host key file `{}` is missing, but the record needs the key", path.display())]
    Missing {
        /// The place where the key should be.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("host key file `{}` could not be read or created", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("a new host key could not be made because the system provided no random bytes")]
    NotMade,
    /// The secret was sealed with another key, for another purpose, or has been altered.
    #[error(
        "the encrypted {purpose} can't be decrypted: it was encrypted with another host key, or was altered"
    )]
    NotOpened {
        /// The purpose of the secret.
        purpose: String,
    },
    /// The cryptography library refused to seal.
    #[error("the {purpose} could not be encrypted")]
    NotSealed {
        /// The purpose of the secret.
        purpose: String,
    },
}

impl Diagnose for HostKeyError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotAKey { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "host-key-invalid").advise(Advice::RestoreHostKey)
            }
            Self::ReadableByOthers { path, .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-exposed")
                .advise(Advice::MakePrivate {
                    path: path.clone(),
                    mode: 0o600,
                }),
            Self::Foreign { foreign, .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-foreign")
                .advise(Advice::RunAsOwner { uid: foreign.owner }),
            Self::Missing { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "host-key-missing").advise(Advice::RestoreHostKey)
            }
            Self::File { .. } => Diagnosis::new(ErrorKind::Unavailable, "host-key-unreadable"),
            Self::NotOpened { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "not-opened").advise(Advice::RestoreHostKey)
            }
            Self::NotMade => Diagnosis::new(ErrorKind::Unavailable, "host-key-not-made"),
            Self::NotSealed { .. } => Diagnosis::new(ErrorKind::Unavailable, "not-sealed"),
        }
    }
}

impl HostKey {
    /// The key from the environment variable `BSS_HOST_KEY`, else from `host.key` in `data_dir`, which is
    /// made when there is none and `may_create` is set.
    ///
    /// # Errors
    /// When there is none, when it is no key, or when others than the owner may read the file.
    pub fn load(data_dir: &Path, may_create: bool) -> Result<Self, HostKeyError> {
        if !Self::is_in_environment() {
            return Self::from_file(&data_dir.join(HOST_KEY_FILE), may_create);
        }
        match std::env::var(HOST_KEY_VARIABLE) {
            Ok(text) => Self::from_base64(&Zeroizing::new(text), HOST_KEY_VARIABLE),
            Err(_) => Err(HostKeyError::NotAKey {
                origin: HOST_KEY_VARIABLE.to_owned(),
            }),
        }
    }

    /// Whether the environment variable `BSS_HOST_KEY` holds a key. One that is empty is as one that is not set.
    pub fn is_in_environment() -> bool {
        std::env::var_os(HOST_KEY_VARIABLE).is_some_and(|key| !key.is_empty())
    }

    /// The key from a file that somebody else hands this process, such as a credential of systemd: its owner is root or this
    /// process's user, and a group may read it.
    ///
    /// # Errors
    /// When there is none, when it is no key, or when everybody may read it.
    pub fn from_credential(path: &Path) -> Result<Self, HostKeyError> {
        Self::read_kept_by(path, Keeper::SystemOrSelf)
    }

    /// A new random key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, HostKeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| HostKeyError::NotMade)?;
        Ok(Self { bytes })
    }

    /// A key from its base64 form, surrounding blanks allowed. `origin` says in an error where it came from.
    ///
    /// # Errors
    /// When the text is not the base64 form of exactly 32 bytes.
    pub fn from_base64(text: &str, origin: &str) -> Result<Self, HostKeyError> {
        let not_a_key = || HostKeyError::NotAKey {
            origin: origin.to_owned(),
        };
        let decoded = Zeroizing::new(BASE64.decode(text.trim().as_bytes()).map_err(|_| not_a_key())?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return Err(not_a_key());
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self { bytes })
    }

    /// The key in its base64 form, for the place where it is kept.
    pub fn to_base64(&self) -> Secret {
        let text = Zeroizing::new(BASE64.encode(self.bytes.as_slice()));
        Secret::new(text.as_str())
    }

    fn from_file(path: &Path, may_create: bool) -> Result<Self, HostKeyError> {
        match Self::read(path) {
            Err(HostKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if !may_create {
                    return Err(HostKeyError::Missing {
                        path: path.to_owned(),
                    });
                }
                Self::generate()?
                    .write_new(path)
                    .map_err(|source| HostKeyError::File {
                        path: path.to_owned(),
                        source,
                    })?;
                // Another process may have been first: the file decides, not the key made here.
                Self::read(path)
            }
            other => other,
        }
    }

    fn read(path: &Path) -> Result<Self, HostKeyError> {
        Self::read_kept_by(path, Keeper::Own)
    }

    fn read_kept_by(path: &Path, keeper: Keeper) -> Result<Self, HostKeyError> {
        let failed = |source| HostKeyError::File {
            path: path.to_owned(),
            source,
        };
        let file = fs::File::open(path).map_err(failed)?;
        // The open file is asked, so that it can't be exchanged in between.
        let metadata = file.metadata().map_err(failed)?;
        let is_roots = keeper == Keeper::SystemOrSelf && metadata.uid() == 0;
        if !is_roots {
            Foreign::check(&metadata).map_err(|foreign| HostKeyError::Foreign {
                path: path.to_owned(),
                foreign,
            })?;
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & keeper.forbidden() != 0 {
            return Err(HostKeyError::ReadableByOthers {
                path: path.to_owned(),
                mode,
            });
        }
        let origin = path.display().to_string();
        if !metadata.is_file() || metadata.size() > KEY_FILE_BYTES_MAX {
            return Err(HostKeyError::NotAKey { origin });
        }
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Self::from_base64(&text, &origin)
    }

    /// Writes the key to a file that must not exist yet. A reader sees all of it or nothing.
    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut suffix = [0; 8];
        aws_lc_rs::rand::fill(&mut suffix)
            .map_err(|_| io::Error::other("the system provided no random bytes"))?;
        let suffix = HEXLOWER.encode(&suffix);
        let draft = path.with_extension(format!("key.{suffix}"));
        let text = Zeroizing::new(BASE64.encode(self.bytes.as_slice()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        // The line's end is written apart: a text that grows leaves a copy of the key behind.
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all());
        // A link never replaces a file, where a rename would.
        let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        fs::remove_file(&draft)?;
        linked?;
        match path.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Sixteen bytes that nobody can guess without this key, the same for the same `purpose` wherever the key is: a name
    /// space for ids (HMAC, RFC 2104, with SHA-256).
    pub fn name_space(&self, purpose: &str) -> [u8; 16] {
        let tag = self.sign(&format!("name space: {purpose}"));
        let mut space = [0; 16];
        for (byte, tag) in space.iter_mut().zip(tag.as_ref()) {
            *byte = *tag;
        }
        space
    }

    /// A digest of a secret by which two are known as equal, and by which nobody without this key can guess one
    /// (HMAC, RFC 2104, with SHA-256), in lower-case hexadecimal digits.
    pub fn digest(&self, purpose: &str, secret: &str) -> String {
        HEXLOWER.encode(self.sign(&format!("digest: {purpose}: {secret}")).as_ref())
    }

    fn sign(&self, text: &str) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes.as_slice());
        hmac::sign(&key, text.as_bytes())
    }

    /// Encrypts `plaintext`, so that it opens only with this key and for the same `purpose`.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Vec<u8>, HostKeyError> {
        let not_sealed = || HostKeyError::NotSealed {
            purpose: purpose.to_owned(),
        };
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).map_err(|_| not_sealed())?;
        // Room for the tag, so that no copy of the plaintext stays behind when the buffer grows.
        let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
        buffer.extend_from_slice(plaintext);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(associated_data(purpose)), &mut buffer)
            .map_err(|_| not_sealed())?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + buffer.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut buffer);
        Ok(sealed)
    }

    /// Decrypts what [`HostKey::seal`] made with the same key and purpose.
    ///
    /// # Errors
    /// When another key or purpose was used, or when anything of it was altered.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostKeyError> {
        self.try_open(purpose, sealed)
            .ok_or_else(|| HostKeyError::NotOpened {
                purpose: purpose.to_owned(),
            })
    }

    fn try_open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        if version != SEALED_VERSION {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.bytes.as_slice()).ok()?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let plaintext_bytes = key
            .open_in_place(nonce, Aad::from(associated_data(purpose)), &mut buffer)
            .ok()?
            .len();
        buffer.truncate(plaintext_bytes);
        Some(buffer)
    }
}

/// The associated data of a sealed text. The version is part of it, so that a later format can't be passed off as
/// this one.
fn associated_data(purpose: &str) -> Vec<u8> {
    [&[SEALED_VERSION], purpose.as_bytes()].concat()
}

impl fmt::Debug for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes: _ } = self;
        formatter
            .debug_struct("HostKey")
            .field("bytes", &"[elided]")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_the_same_purpose_only() {
        let key = HostKey::generate().unwrap();
        let sealed = key.seal("product key of a", b"AAAAA-BBBBB").unwrap();
        assert_eq!(
            key.open("product key of a", &sealed).unwrap().as_slice(),
            b"AAAAA-BBBBB"
        );
        assert!(key.open("product key of b", &sealed).is_err());
    }

    #[test]
    fn another_key_does_not_open_it() {
        let sealed = HostKey::generate().unwrap().seal("secret", b"text").unwrap();
        let error = HostKey::generate().unwrap().open("secret", &sealed).unwrap_err();
        let diagnosis = error.diagnosis();
        assert_eq!(
            (diagnosis.kind, diagnosis.advice),
            (ErrorKind::Damaged, Some(Advice::RestoreHostKey))
        );
    }

    #[test]
    fn every_altered_byte_and_every_cut_is_noticed() {
        let key = HostKey::generate().unwrap();
        let sealed = key.seal("secret", b"text").unwrap();
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(key.open("secret", &altered).is_err(), "byte {index}");
            assert!(key.open("secret", &sealed[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let key = HostKey::generate().unwrap();
        assert_ne!(
            key.seal("secret", b"text").unwrap(),
            key.seal("secret", b"text").unwrap()
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let key = HostKey::from_base64(&BASE64.encode(&[7; 32]), "test").unwrap();
        assert_eq!(format!("{key:?}"), "HostKey { bytes: \"[elided]\" }");
    }

    #[test]
    fn a_key_of_another_length_is_refused_without_repeating_it() {
        for text in ["", "AAAA", &BASE64.encode(&[7; 33]), "not base64!"] {
            let error = HostKey::from_base64(text, "BSS_HOST_KEY")
                .unwrap_err()
                .to_string();
            assert!(error.contains("`BSS_HOST_KEY`"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_first_start_makes_a_file_for_its_owner_only_and_the_second_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let sealed = HostKey::from_file(&path, true)
            .unwrap()
            .seal("secret", b"text")
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = HostKey::from_file(&path, false).unwrap();
        assert_eq!(again.open("secret", &sealed).unwrap().as_slice(), b"text");
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| HostKey::from_file(&path, true).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.bytes == keys[0].bytes));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        HostKey::from_file(&path, true).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = HostKey::from_file(&path, true).unwrap_err();
        assert!(
            matches!(error, HostKeyError::ReadableByOthers { mode: 0o640, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_missing_key_beside_a_record_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(HOST_KEY_FILE);
        let error = HostKey::from_file(&path, false).unwrap_err();
        assert!(matches!(error, HostKeyError::Missing { .. }), "{error}");
        assert!(!path.exists());
    }
}

//! The certificate that the server shows: read from files, and read again when they change.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use bss_model::{Diagnose, Diagnosis, ErrorKind};
use data_encoding::HEXUPPER;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The folder of the certificate that was made for loopback, in the data directory.
const FOLDER: &str = "server";
const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "key.pem";

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The largest file that is read: a chain has a few KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How long a certificate that is made here is valid: browsers take no longer one.
const MADE_FOR: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// The time before its end from which a certificate that was made here is made anew, at a start.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The time before now from which a certificate that is made here is valid: clocks differ.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file can't be read or written.
    #[error("`{}` can't be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A file has no certificate, or no private key, in PEM.
    #[error("`{}` has no {what} in PEM", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The certificate and the key don't belong together, or are of a kind that TLS can't use.
    #[error("the certificate in `{}` can't be used with its key", path.display())]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No certificate could be made.
    #[error("no certificate could be made for loopback")]
    NotMade(#[from] rcgen::Error),
}

impl Diagnose for CertificateError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::File { .. } => Diagnosis::new(ErrorKind::Unavailable, "server-certificate-unreadable")
                .say("name files that the user of this program can read"),
            Self::NotPem { .. } => Diagnosis::new(ErrorKind::Invalid, "server-certificate-no-pem")
                .say("the certificate comes first in its file, in PEM, with its chain behind it; the key is PKCS #8, PKCS #1 or SEC 1 in PEM, without a password"),
            Self::Unusable { .. } => Diagnosis::new(ErrorKind::Invalid, "server-certificate-unusable")
                .say("name the key of this certificate"),
            Self::NotMade(_) => Diagnosis::new(ErrorKind::Unavailable, "server-certificate-not-made"),
        }
    }
}

/// Files of a certificate with its chain, and of its private key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The file of the certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// The certificate for loopback in a data directory: the one that was made before, or a new one where there is none or it
    /// ends within a month. Nobody trusts it but those who are given its file.
    ///
    /// # Errors
    /// When it can't be read, made or written.
    pub fn for_loopback(data_dir: &Path) -> Result<Self, CertificateError> {
        let folder = data_dir.join(FOLDER);
        let files = Self {
            certificate: folder.join(CERTIFICATE_FILE),
            key: folder.join(KEY_FILE),
        };
        if !files.is_good_for(RENEWED_BEFORE)? {
            let failed = |source| file_error(&folder, source);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(failed)?;
            let (certificate, key) = made_for_loopback()?;
            write_private(&files.key, key.as_bytes())?;
            write_private(&files.certificate, certificate.as_bytes())?;
        }
        Ok(files)
    }

    /// Whether the files are there and their certificate is valid for some time to come.
    fn is_good_for(&self, time: Duration) -> Result<bool, CertificateError> {
        let read = match self.read() {
            Ok(read) => read,
            Err(CertificateError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(false);
            }
            // What was left half written, or is not of this program.
            Err(CertificateError::NotPem { .. } | CertificateError::Unusable { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let until = SystemTime::now() + time;
        let until = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let end = read.cert.first().and_then(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            u64::try_from(certificate.validity().not_after.timestamp()).ok()
        });
        Ok(end.is_some_and(|end| end > until))
    }

    /// Reads both files.
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let (certificate, key) = (read_file(&self.certificate)?, read_file(&self.key)?);
        let not_pem = |path: &Path, what| CertificateError::NotPem {
            path: path.to_owned(),
            what,
        };
        let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| not_pem(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| not_pem(&self.key, "private key"))?;
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|source| CertificateError::Unusable {
            path: self.certificate.clone(),
            source,
        })
    }

    /// What tells a file that was written anew from the one before.
    fn stamp(&self) -> Stamp {
        use std::os::unix::fs::MetadataExt as _;

        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            // The time of the last change is another one also where only the owner or the mode is.
            Some((
                metadata.ino(),
                metadata.len(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ))
        })
    }
}

fn file_error(path: &Path, source: io::Error) -> CertificateError {
    CertificateError::File {
        path: path.to_owned(),
        source,
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|source| file_error(path, source))?;
    Ok(bytes)
}

/// Writes a file that its owner alone can read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|source| file_error(path, source))
}

/// A certificate for the names of loopback and its private key, both in PEM.
fn made_for_loopback() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "bss-host on loopback");
    params.distinguished_name = name;
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + MADE_FOR - BACKDATED).into();
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// The certificate that handshakes get.
#[derive(Debug)]
pub(crate) struct ShownCertificate {
    files: CertificateFiles,
    shown: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Looked>,
}

/// Inode, length and time of the last change of the certificate's file and the key's. `None`: it can't be looked at.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

/// When the files were looked at, and what was seen.
#[derive(Debug)]
struct Looked {
    at: Instant,
    stamp: Stamp,
}

impl ShownCertificate {
    /// Reads the files.
    pub(crate) fn read(files: CertificateFiles) -> Result<Self, CertificateError> {
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let stamp = files.stamp();
        let shown = RwLock::new(Arc::new(files.read()?));
        Ok(Self {
            files,
            shown,
            looked: Mutex::new(Looked {
                at: Instant::now(),
                stamp,
            }),
        })
    }

    /// The SHA-256 of the certificate, in hexadecimal digits with colons.
    pub(crate) fn fingerprint(&self) -> String {
        let shown = self.shown();
        let der = shown.cert.first().map_or(&[][..], AsRef::as_ref);
        let digest = HEXUPPER.encode(digest::digest(&digest::SHA256, der).as_ref());
        let pairs: Vec<_> = digest.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        pairs.join(":")
    }

    /// Reads the files again where they have changed since they were last looked at. Files that can't be used change nothing:
    /// certificate and key are replaced one after the other. Call it before a handshake.
    pub(crate) async fn look_again(self: &Arc<Self>) {
        let is_time = self
            .looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at
            .elapsed()
            >= LOOK_EVERY;
        if is_time {
            let this = Arc::clone(self);
            // Where the blocking task can't run, the process is ending.
            let _ = tokio::task::spawn_blocking(move || this.look_now()).await;
        }
    }

    fn look_now(&self) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.at = Instant::now();
        let stamp = self.files.stamp();
        if stamp == looked.stamp {
            return;
        }
        looked.stamp = stamp;
        drop(looked);
        match self.files.read() {
            Ok(read) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                let fingerprint = self.fingerprint();
                tracing::info!(fingerprint, "the server's certificate was replaced");
            }
            Err(error) => {
                let error = bss_model::with_causes(&error);
                tracing::warn!(
                    error,
                    "the server's certificate has changed and can't be used; the former one stays"
                );
            }
        }
    }

    fn shown(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_certificate_for_loopback_is_made_once_and_its_key_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = CertificateFiles::for_loopback(folder.path()).unwrap();
        let mode = std::fs::metadata(&made.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let first = ShownCertificate::read(made.clone()).unwrap().fingerprint();
        assert_eq!(first.len(), 32 * 3 - 1);
        let again = CertificateFiles::for_loopback(folder.path()).unwrap();
        assert_eq!(again, made);
        assert_eq!(ShownCertificate::read(again).unwrap().fingerprint(), first);
    }

    #[test]
    fn a_certificate_that_was_left_half_written_or_ends_soon_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let made = CertificateFiles::for_loopback(folder.path()).unwrap();
        assert!(made.is_good_for(RENEWED_BEFORE).unwrap());
        assert!(!made.is_good_for(MADE_FOR + BACKDATED).unwrap());
        std::fs::write(&made.certificate, "-----BEGIN CERT").unwrap();
        assert!(!made.is_good_for(Duration::ZERO).unwrap());
        CertificateFiles::for_loopback(folder.path()).unwrap();
        assert!(made.is_good_for(RENEWED_BEFORE).unwrap());
    }

    #[test]
    fn a_key_of_another_certificate_is_told() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = folders
            .each_ref()
            .map(|folder| CertificateFiles::for_loopback(folder.path()).unwrap());
        let torn = CertificateFiles {
            key: other.key,
            ..one
        };
        let error = ShownCertificate::read(torn).unwrap_err();
        assert_eq!(error.diagnosis().code, "server-certificate-unusable");
    }
}

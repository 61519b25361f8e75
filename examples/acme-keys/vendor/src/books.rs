//! What Acme knows: whose keys are good, what was sold, and who its server is. With a folder it is on disk before an answer
//! leaves, so that a server that is started there again, even after `kill -9`, knows the same.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde::{Deserialize, Serialize};

/// Digits and letters without those that are read as others; 32, so that each is as likely as the next.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// What has become of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ordered, and to be issued after a number of look-ups.
    Pending,
    /// Ordered, and to be declined after a number of look-ups.
    Doomed,
    /// Declined: no license.
    Declined,
    /// Issued.
    Unused,
    /// Returned.
    Returned,
}

/// A line of the ledger: one purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sold {
    /// The buyer's name for the purchase.
    pub client_id: String,
    /// The account that bought.
    pub account: String,
    /// The product.
    pub sku: String,
    /// The units that the license is for.
    pub quantity: u32,
    /// Acme's name for the license.
    pub license_id: String,
    /// The product key.
    pub product_key: String,
    /// What has become of the license.
    pub state: State,
    /// How often the client id has bought so far, this time included: more than 1 is a license bought twice.
    pub times_bought: u32,
    /// The moment of the purchase, in milliseconds since 1970.
    pub bought_at_ms: u64,
    /// The look-ups that still show the license as pending.
    pub pending_look_ups: u32,
}

/// The server's certificate, its key and the authority that clients trust for it, PEM.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Books {
    pub(crate) identity: Identity,
    /// The account numbers, in the order in which they were given.
    pub(crate) accounts: Vec<String>,
    /// Account number and API key, without the keys that were revoked.
    pub(crate) keys: Vec<(String, String)>,
    pub(crate) sold: Vec<Sold>,
    #[serde(skip)]
    folder: Option<PathBuf>,
}

impl Books {
    /// The books of a folder, begun where it has none. Without a folder they are in memory.
    pub(crate) fn open(folder: Option<PathBuf>) -> Result<Books> {
        let kept = folder.as_deref().map(Books::read).transpose()?.flatten();
        let books = match kept {
            Some(books) => Books { folder, ..books },
            None => Books {
                identity: identity()?,
                accounts: Vec::new(),
                keys: Vec::new(),
                sold: Vec::new(),
                folder,
            },
        };
        books.save()?;
        Ok(books)
    }

    pub(crate) fn read(folder: &Path) -> Result<Option<Books>> {
        match std::fs::read(folder.join("books.json")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => Ok(Some(serde_json::from_slice(&text?)?)),
        }
    }

    pub(crate) fn save(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        std::fs::create_dir_all(folder)?;
        write(&folder.join("books.json"), &serde_json::to_string(self)?)
    }
}

/// Writes a file that only its owner may read, as a whole: there is never a part of it.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial).context("the folder can't be written to")?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    Ok(std::fs::rename(partial, path)?)
}

/// Random letters, of 5 bits each.
pub(crate) fn letters(count: usize) -> Result<String> {
    let mut bytes = vec![0; count];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system provided no random bytes"))?;
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied().map(char::from);
    Ok(bytes.into_iter().filter_map(letter).collect())
}

/// An identity for this machine; the authority's key is forgotten.
fn identity() -> Result<Identity> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let server = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned))?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok(Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        authority: authority_pem,
    })
}

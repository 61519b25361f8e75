//! Clients of a simulator: applications of its tenant, each with a certificate of its own, kept between starts.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use bss_simulator::{Application, CertificateRequest, IssuedCertificate, Registration, Simulator};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::files::write_whole;
use super::super::pfx;

/// The folder of the clients that have a name.
const FOLDER: &str = "clients";
/// The files of the client that has none.
const FIRST: &str = "client";

/// The name of a client, which is its files' name, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ClientName(String);

impl FromStr for ClientName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        match !name.is_empty() && name.chars().all(is_of_name) {
            true => Ok(Self(name.to_owned())),
            false => Err("expected letters of ASCII, digits, `-` and `_`".to_owned()),
        }
    }
}

/// A client, as an operator types it into the form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Client {
    /// `None`: the one that every simulator has.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<ClientName>,
    /// A PFX file with the certificate and its private key.
    pfx_file: PathBuf,
    #[serde(flatten)]
    kept: Kept,
}

/// What is kept of a client beside its PFX file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    client_id: Uuid,
    channel_id: String,
    pfx_code: String,
    thumbprint: String,
}

impl Client {
    /// The client of a name as it was at the last start, or a new one.
    pub(super) fn open(
        simulator: &Simulator,
        directory: &Path,
        name: Option<&ClientName>,
    ) -> anyhow::Result<Self> {
        let (pfx_file, kept_file) = files(directory, name);
        match std::fs::read(&kept_file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::issue(simulator, directory, name)?.0)
            }
            read => {
                let damaged = || format!("`{}` is damaged", kept_file.display());
                Ok(Self {
                    name: name.cloned(),
                    pfx_file,
                    kept: serde_json::from_slice(&read?).with_context(damaged)?,
                })
            }
        }
    }

    /// A client with a new certificate, which replaces the one that was kept.
    pub(super) fn issue(
        simulator: &Simulator,
        directory: &Path,
        name: Option<&ClientName>,
    ) -> anyhow::Result<(Self, IssuedCertificate)> {
        let Application {
            client_id,
            channel_id,
        } = match name {
            Some(_) => simulator.add_application()?,
            None => Application {
                client_id: simulator.details().client_id,
                channel_id: simulator.details().channel_id.clone(),
            },
        };
        let request = CertificateRequest {
            registration: Registration::OtherApplication(client_id),
            ..CertificateRequest::default()
        };
        let issued = simulator.issue_client_certificate(&request)?;
        let (pfx_file, kept_file) = files(directory, name);
        let kept = Kept {
            client_id,
            channel_id,
            pfx_code: Uuid::new_v4().to_string(),
            thumbprint: issued.thumbprint.clone(),
        };
        if let Some(folder) = pfx_file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        pfx::with_library(&issued, &kept.pfx_code, &pfx_file)?;
        write_whole(&kept_file, &serde_json::to_vec(&kept)?)
            .with_context(|| format!("`{}` can't be written", kept_file.display()))?;
        let client = Self {
            name: name.cloned(),
            pfx_file,
            kept,
        };
        Ok((client, issued))
    }
}

/// The PFX file of a client, and the file of what else is kept.
fn files(directory: &Path, name: Option<&ClientName>) -> (PathBuf, PathBuf) {
    let (folder, stem) = match name {
        None => (directory.to_owned(), FIRST),
        Some(name) => (directory.join(FOLDER), name.0.as_str()),
    };
    let file = |kind| folder.join(format!("{stem}.{kind}"));
    (file("pfx"), file("json"))
}

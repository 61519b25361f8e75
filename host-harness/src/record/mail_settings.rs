//! How this host sends e-mail: who as, through what, with which templates.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::stored::{from_json, to_json};
use super::{Record, RecordError, Secret, begin_write};
use crate::clock::now_ms;

const PASSWORD_PURPOSE: &str = "password of the mail server";

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpProtection {
    /// TLS from the first byte (`smtps://`, RFC 8314 section 3).
    Tls,
    /// TLS by STARTTLS (RFC 3207); without it nothing is sent.
    StartTls,
    /// None. Nothing that is sent is protected, so no password is.
    None,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpServer {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: SmtpProtection,
    /// Who logs in. None: nobody does.
    pub user: Option<String>,
    /// What the user logs in with. Stored sealed.
    #[serde(skip)]
    pub password: Option<Secret>,
    /// Authorities that are trusted instead of the system's, PEM. None: the system's.
    pub trusted_authorities_pem: Option<String>,
}

/// Where e-mails go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailDelivery {
    /// To a mail server.
    Smtp(SmtpServer),
    /// Into a directory, a file each, for a program that sends them another way.
    Directory(PathBuf),
}

/// How this host sends e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSettings {
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// Where e-mails go.
    pub delivery: MailDelivery,
    /// A directory with the operator's own templates. None: the built-in ones only.
    pub templates: Option<PathBuf>,
}

impl MailSettings {
    fn password(&self) -> Option<&Secret> {
        match &self.delivery {
            MailDelivery::Smtp(server) => server.password.as_ref(),
            MailDelivery::Directory(_) => None,
        }
    }
}

impl Record {
    /// Keeps how e-mail is sent, instead of what was kept before. [`crate::Host::configure_mail`] checks it first.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn save_mail_settings(&self, settings: &MailSettings) -> Result<(), RecordError> {
        let sealed_password = match settings.password() {
            Some(password) => Some(
                self.host_key
                    .seal(PASSWORD_PURPOSE, password.expose().as_bytes())?,
            ),
            None => None,
        };
        let mut transaction = begin_write(&self.writer).await?;
        sqlx::query(
            "INSERT INTO mail_settings (id, settings, sealed_password, saved_at_ms) VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET settings = excluded.settings,
                 sealed_password = excluded.sealed_password, saved_at_ms = excluded.saved_at_ms",
        )
        .bind(to_json(settings)?)
        .bind(sealed_password)
        .bind(now_ms())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How e-mail is sent. None: nobody has said so yet, and e-mails wait.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open the password.
    pub async fn mail_settings(&self) -> Result<Option<MailSettings>, RecordError> {
        let row = sqlx::query("SELECT settings, sealed_password FROM mail_settings WHERE id = 1")
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut settings: MailSettings = from_json(&row, "settings")?;
        let sealed: Option<&[u8]> = row.try_get("sealed_password")?;
        if let (Some(sealed), MailDelivery::Smtp(server)) = (sealed, &mut settings.delivery) {
            let password = self.host_key.open(PASSWORD_PURPOSE, sealed)?;
            let password = std::str::from_utf8(&password).map_err(|_| RecordError::Damaged {
                what: format!("the {PASSWORD_PURPOSE} is no text"),
            })?;
            server.password = Some(Secret::new(password));
        }
        Ok(Some(settings))
    }
}

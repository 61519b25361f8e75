//! How this host sends e-mail: the sender, the delivery and the templates.

use std::path::Path;

use bss_model::{Act, Actor, MailDelivery, MailSettings, Subject, Thumbprint};
use serde_json::{Value, json};

use super::acts::write_act;
use super::erasure::empty_log;
use super::mail_stop;
use super::stored::{from_json, to_json};
use super::{Record, RecordError};
use crate::database::{Connection, On};

pub(super) const PASSWORD_PURPOSE: &str = "password of the mail server";

impl Record {
    /// Replaces the settings for sending e-mail. The caller checks them first. Ends the [stop](Self::mail_stop) of all
    /// e-mails, and makes every e-mail that waits due now: they are tried with the new settings.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn save_mail_settings(
        &self,
        settings: &MailSettings,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        self.write_mail_settings(&mut transaction, settings, actor)
            .await?;
        transaction.commit().await?;
        // A password that was replaced may still be good.
        empty_log(&self.writer).await;
        Ok(())
    }

    /// Replaces the settings as [`save_mail_settings`](Self::save_mail_settings) does, unless they are no longer those that the
    /// new ones were made of: `false` then, and nothing is changed.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn change_mail_settings(
        &self,
        before: &MailSettings,
        settings: &MailSettings,
        actor: &Actor,
    ) -> Result<bool, RecordError> {
        let mut transaction = self.begin_write().await?;
        if self.read_mail_settings(&mut *transaction).await?.as_ref() != Some(before) {
            return Ok(false);
        }
        self.write_mail_settings(&mut transaction, settings, actor)
            .await?;
        transaction.commit().await?;
        // A password that was replaced may still be good.
        empty_log(&self.writer).await;
        Ok(true)
    }

    async fn write_mail_settings(
        &self,
        transaction: &mut Connection,
        settings: &MailSettings,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let sealed_password = match settings.password() {
            Some(password) => Some(
                self.host_key
                    .seal(PASSWORD_PURPOSE, password.expose().as_bytes())?,
            ),
            None => None,
        };
        transaction.sql(
            "INSERT INTO mail_settings (id, settings, sealed_password, saved_at_ms) VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET settings = excluded.settings,
                 sealed_password = excluded.sealed_password, saved_at_ms = excluded.saved_at_ms",
        )
        .bind(to_json(settings)?)
        .bind(sealed_password)
        .bind_now()
        .execute()
        .await?;
        let (act, subject) = (Act::SaveMailSettings, Subject::mail_settings());
        write_act(transaction, actor, act, &subject, None, detail(settings)).await?;
        mail_stop::resume(transaction).await
    }

    /// Reads how e-mail is sent. `None`: not configured yet, and e-mails wait.
    ///
    /// # Errors
    /// When the record can't be read, or the host key does not open the password.
    pub async fn mail_settings(&self) -> Result<Option<MailSettings>, RecordError> {
        self.read_mail_settings(&self.readers).await
    }

    async fn read_mail_settings<'c>(
        &self,
        from: impl Into<On<'c>>,
    ) -> Result<Option<MailSettings>, RecordError> {
        let row = from
            .into()
            .sql("SELECT settings, sealed_password FROM mail_settings WHERE id = 1")
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut settings: MailSettings = from_json(&row, "settings")?;
        let sealed: Option<&[u8]> = row.try_get("sealed_password")?;
        if let (Some(sealed), MailDelivery::Smtp(server)) = (sealed, &mut settings.delivery) {
            server.password = Some(self.open_secret(PASSWORD_PURPOSE, sealed)?);
        }
        Ok(Some(settings))
    }
}

/// The certificate with which the mail settings get an access token. `None`: none.
pub(super) async fn mail_certificate(connection: &mut Connection) -> Result<Option<Thumbprint>, RecordError> {
    let row = connection
        .sql("SELECT settings FROM mail_settings WHERE id = 1")
        .fetch_optional()
        .await?;
    let settings: Option<MailSettings> = row.map(|row| from_json(&row, "settings")).transpose()?;
    Ok(settings.and_then(|settings| match settings.delivery {
        MailDelivery::Smtp(server) => Some(server.access_token?.certificate),
        MailDelivery::Directory(_) => None,
    }))
}

/// The settings without the password and the authorities, for an act.
fn detail(settings: &MailSettings) -> Value {
    let text = |path: &Path| path.display().to_string();
    let templates = settings.templates.as_deref().map(text);
    let mut detail = json!({ "from": settings.from, "templates": templates });
    match &settings.delivery {
        MailDelivery::Directory(directory) => detail["directory"] = json!(text(directory)),
        MailDelivery::Smtp(server) => {
            detail["smtp"] = json!({
                "host": server.host,
                "port": server.port,
                "protection": server.protection,
                "user": server.user,
            });
            if let Some(name) = &server.hello_name {
                detail["smtp"]["helloName"] = json!(name);
            }
            if let Some(login) = &server.access_token {
                detail["smtp"]["accessToken"] = json!({
                    "tokenEndpoint": login.token_endpoint,
                    "scope": login.scope,
                    "clientId": login.client_id,
                    "certificate": login.certificate,
                });
            }
        }
    }
    detail
}

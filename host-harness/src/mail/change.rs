//! A change of single mail settings: what is not named stays, the password too where it goes to the same user of the same server.

use std::path::PathBuf;

use bss_model::{
    Actor, Advice, Diagnose, Diagnosis, ErrorKind, MailDelivery, MailSettings, Secret, SmtpServer, Thumbprint,
};
use bss_record::RecordError;

use super::settings::{self, MailSettingsError};
use crate::blocking::run_blocking;
use crate::host::Host;

/// Changes of others that are waited for: two people don't change the settings more often at once.
const TRIES: u32 = 5;

/// Single mail settings to be changed. `None`: the setting stays. `Some(None)`: it is removed.
#[derive(Clone, Debug, Default)]
pub struct MailChange {
    /// The sender.
    pub from: Option<String>,
    /// Host, port and protection of the mail server, as [`server_from_url`](super::server_from_url) reads them.
    pub server: Option<SmtpServer>,
    /// The user who logs in; without one, there is no login.
    pub user: Option<Option<String>>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The certificate with which an access token is got.
    pub certificate: Option<Thumbprint>,
    /// The name by which the host greets the server.
    pub hello_name: Option<Option<String>>,
    /// Authorities to trust instead of the system's, PEM.
    pub trusted_authorities_pem: Option<Option<String>>,
    /// The directory with the operator's own templates.
    pub templates: Option<Option<PathBuf>>,
}

/// Why mail settings were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailChangeError {
    /// No settings are there to change.
    #[error("this host has no mail settings that could be changed")]
    NotConfigured,
    /// The change is of a mail server, and e-mails go into a directory.
    #[error(
        "e-mails are written into a directory, and there is no mail server whose settings could be changed"
    )]
    NoServer,
    /// The change is of a login with an access token, and there is none.
    #[error("the mail settings have no login with an access token, whose certificate could be changed")]
    NoAccessToken,
    /// The password would be shown to another server, or be another user's.
    #[error("the password that is on record is for another server or user")]
    PasswordNeeded,
    /// Others change the settings all the time.
    #[error("the mail settings were changed by somebody else at the same time")]
    Changed,
    /// The changed settings can't work.
    #[error(transparent)]
    Settings(#[from] MailSettingsError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for MailChangeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotConfigured => {
                Diagnosis::new(ErrorKind::Conflict, "no-mail-settings").advise(Advice::ConfigureMail)
            }
            Self::NoServer => {
                Diagnosis::new(ErrorKind::Conflict, "no-mail-server").advise(Advice::ConfigureMail)
            }
            Self::NoAccessToken => {
                Diagnosis::new(ErrorKind::Conflict, "no-access-token-login").advise(Advice::ConfigureMail)
            }
            Self::PasswordNeeded => {
                Diagnosis::new(ErrorKind::Invalid, "password-needed").say("give the password with the change")
            }
            Self::Changed => Diagnosis::new(ErrorKind::Conflict, "mail-settings-changed").say("try again"),
            Self::Settings(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl MailChange {
    /// The settings with the change.
    fn of(&self, before: &MailSettings) -> Result<MailSettings, MailChangeError> {
        let mut after = before.clone();
        if let Some(from) = &self.from {
            after.from.clone_from(from);
        }
        if let Some(templates) = &self.templates {
            after.templates.clone_from(templates);
        }
        match &mut after.delivery {
            MailDelivery::Smtp(server) => self.of_server(server)?,
            MailDelivery::Directory(_) if self.is_of_server() => return Err(MailChangeError::NoServer),
            MailDelivery::Directory(_) => {}
        }
        Ok(after)
    }

    fn is_of_server(&self) -> bool {
        self.server.is_some()
            || self.user.is_some()
            || self.password.is_some()
            || self.certificate.is_some()
            || self.hello_name.is_some()
            || self.trusted_authorities_pem.is_some()
    }

    fn of_server(&self, server: &mut SmtpServer) -> Result<(), MailChangeError> {
        let before = server.clone();
        if let Some(changed) = &self.server {
            server.host.clone_from(&changed.host);
            (server.port, server.protection) = (changed.port, changed.protection);
        }
        if let Some(user) = &self.user {
            server.user.clone_from(user);
        }
        if let Some(name) = &self.hello_name {
            server.hello_name.clone_from(name);
        }
        if let Some(pem) = &self.trusted_authorities_pem {
            server.trusted_authorities_pem.clone_from(pem);
        }
        if let Some(certificate) = self.certificate {
            let login = server
                .access_token
                .as_mut()
                .ok_or(MailChangeError::NoAccessToken)?;
            login.certificate = certificate;
        }
        // Who trusts other authorities may speak with another server under the name.
        let is_shown_elsewhere = server.host != before.host
            || server.user != before.user
            || server.trusted_authorities_pem != before.trusted_authorities_pem;
        match (&server.user, &self.password, &server.password) {
            (None, None, _) => (server.password, server.access_token) = (None, None),
            (_, Some(password), _) => {
                server.password = Some(password.clone());
                server.access_token = None;
            }
            (Some(_), None, Some(_)) if is_shown_elsewhere => return Err(MailChangeError::PasswordNeeded),
            (Some(_), None, _) => {}
        }
        Ok(())
    }
}

impl Host {
    /// Changes single mail settings, and returns all as they are then. The password stays where the change does not show it to
    /// another server, and need not be given again.
    ///
    /// # Errors
    /// When there are no settings, and when the changed ones can't work. Nothing is changed then.
    pub async fn change_mail(
        &self,
        change: &MailChange,
        actor: &Actor,
    ) -> Result<MailSettings, MailChangeError> {
        for _ in 0..TRIES {
            let before = self.record().mail_settings().await?;
            let before = before.ok_or(MailChangeError::NotConfigured)?;
            let after = change.of(&before)?;
            let checked = after.clone();
            run_blocking(move || settings::check(&checked)).await?;
            if self.record().change_mail_settings(&before, &after, actor).await? {
                return Ok(after);
            }
        }
        Err(MailChangeError::Changed)
    }
}

#[cfg(test)]
mod tests {
    use bss_model::SmtpProtection;

    use super::*;

    fn settings() -> MailSettings {
        let server = super::super::server_from_url("smtps://mail.example", false).unwrap();
        MailSettings {
            from: "shop@host.example".to_owned(),
            delivery: MailDelivery::Smtp(SmtpServer {
                user: Some("shop".to_owned()),
                password: Some(Secret::new("a password")),
                ..server
            }),
            templates: None,
        }
    }

    fn server(settings: &MailSettings) -> &SmtpServer {
        match &settings.delivery {
            MailDelivery::Smtp(server) => server,
            MailDelivery::Directory(_) => panic!("there is a server"),
        }
    }

    #[test]
    fn what_is_not_named_stays_the_password_too() {
        let change = MailChange {
            from: Some("other@host.example".to_owned()),
            server: Some(super::super::server_from_url("smtp://mail.example:2525", false).unwrap()),
            hello_name: Some(Some("shop.example".to_owned())),
            ..MailChange::default()
        };
        let after = change.of(&settings()).unwrap();
        assert_eq!(after.from, "other@host.example");
        let expected = SmtpServer {
            port: 2525,
            protection: SmtpProtection::StartTls,
            hello_name: Some("shop.example".to_owned()),
            ..server(&settings()).clone()
        };
        assert_eq!(server(&after), &expected);
        let same = MailChange::default().of(&settings()).unwrap();
        assert_eq!(same, settings());
    }

    #[test]
    fn a_password_is_never_shown_to_another_server_or_as_another_users() {
        let elsewhere = [
            MailChange {
                server: Some(super::super::server_from_url("smtps://other.example", false).unwrap()),
                ..MailChange::default()
            },
            MailChange {
                user: Some(Some("another".to_owned())),
                ..MailChange::default()
            },
            MailChange {
                trusted_authorities_pem: Some(Some("-----BEGIN".to_owned())),
                ..MailChange::default()
            },
        ];
        for change in elsewhere {
            let refused = change.of(&settings());
            assert!(
                matches!(refused, Err(MailChangeError::PasswordNeeded)),
                "{change:?}"
            );
            let with_password = MailChange {
                password: Some(Secret::new("another password")),
                ..change
            };
            let after = with_password.of(&settings()).unwrap();
            let password = server(&after).password.as_ref().unwrap();
            assert_eq!(password.expose(), "another password");
        }
        let nobody = MailChange {
            user: Some(None),
            ..MailChange::default()
        };
        let after = nobody.of(&settings()).unwrap();
        assert_eq!((&server(&after).user, &server(&after).password), (&None, &None));
    }

    #[test]
    fn a_directory_has_no_server_to_change() {
        let before = MailSettings {
            delivery: MailDelivery::Directory("mails".into()),
            ..settings()
        };
        let change = MailChange {
            user: Some(None),
            ..MailChange::default()
        };
        assert!(matches!(change.of(&before), Err(MailChangeError::NoServer)));
        let change = MailChange {
            certificate: Some("A9993E364706816ABA3E25717850C26C9CD0D89D".parse().unwrap()),
            ..MailChange::default()
        };
        assert!(matches!(
            change.of(&settings()),
            Err(MailChangeError::NoAccessToken)
        ));
    }
}

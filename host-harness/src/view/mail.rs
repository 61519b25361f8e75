//! E-mails and mail settings as views show them.

use std::path::PathBuf;

use bss_model::{MailDelivery, MailState, OrderParties, SmtpProtection, SmtpServer};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Contact, Parties, Problem, word};
use crate::host::Host;

/// An e-mail, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// Stable and unique.
    pub id: Uuid,
    /// The e-mail's purpose: `welcome` (its license), `return` (the license was returned, and is credited).
    pub kind: String,
    /// The asset that the e-mail is about.
    pub asset_id: Uuid,
    /// The order of the asset.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The recipient.
    pub contact: Contact,
    /// The e-mail's state: `pending`, `sent`, `failed` (refused for good), `withdrawn` (its license was returned,
    /// its customer erased, mailing taken over from the host, or a copy has taken its place, before), `held` (it may have been sent before the record was restored).
    pub state: String,
    /// The number of times that sending was tried.
    pub attempts: u32,
    /// When the e-mail is to be sent, in milliseconds. `None`: it is not to be sent any more.
    pub due_at_ms: Option<i64>,
    /// When the e-mail was written down, in milliseconds.
    pub created_at_ms: i64,
    /// When the e-mail was sent, in milliseconds.
    pub sent_at_ms: Option<i64>,
    /// The e-mail that it repeats. `None`: it is no copy.
    pub copy_of: Option<Uuid>,
    /// The first e-mail of the message that it is with others of its order. `None`: it is a message of its own.
    pub sent_with: Option<Uuid>,
    /// The last problem.
    pub problem: Option<Problem>,
}

/// The settings for sending e-mail. One of `smtp` and `directory` is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailSettings {
    /// The sender.
    pub from: String,
    /// The mail server.
    pub smtp: Option<MailServer>,
    /// The directory into which e-mails are written.
    pub directory: Option<PathBuf>,
    /// A directory with the operator's own templates. `None`: the built-in ones only.
    pub templates: Option<PathBuf>,
    /// Why the templates can't be filled in. `None`: they can, or they were not checked.
    pub template_problem: Option<String>,
    /// What stops all e-mails. `None`: nothing is known to.
    pub stop: Option<MailStop>,
}

/// What stops all e-mails, because it is about this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailStop {
    /// What is in the way, and what to do.
    pub problem: Problem,
    /// Since when, in milliseconds.
    pub since_ms: i64,
    /// The number of e-mails in a row that were tried and found it.
    pub tries: u32,
    /// When the next e-mail is tried, in milliseconds.
    pub next_try_at_ms: i64,
}

/// A mail server. Its password is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailServer {
    /// A name or an address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The protection of the connection: `tls`, `starttls`, `none`.
    pub protection: &'static str,
    /// The user who logs in.
    pub user: Option<String>,
    /// Whether authorities of a file are trusted instead of the system's.
    pub trusts_own_authorities: bool,
    /// The name by which the host greets it. `None`: the machine's.
    pub hello_name: Option<String>,
    /// The way to the access token that the user logs in with. `None`: a password, or no login.
    pub access_token: Option<AccessTokenLogin>,
}

/// The way to an access token for a mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessTokenLogin {
    /// The URL of the token endpoint.
    pub token_endpoint: String,
    /// The scope that is asked for.
    pub scope: String,
    /// The client.
    pub client_id: String,
    /// The thumbprint of the certificate that signs.
    pub certificate: String,
    /// Whether authorities of a file are trusted for the token endpoint instead of the system's.
    pub trusts_own_authorities: bool,
}

/// E-mails that were made due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueMails {
    /// The number of e-mails.
    pub due: u64,
}

/// The e-mails that an instance sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailChoices {
    /// The instance's name.
    pub instance: String,
    /// The instance.
    pub instance_id: Uuid,
    /// Whether customers are told of returns and their credits.
    pub on_return: bool,
    /// Whether the licenses of an order are in one e-mail.
    pub per_order: bool,
}

impl MailChoices {
    /// The view of the choices of an instance.
    pub fn new(instance: &str, instance_id: Uuid, choices: bss_model::MailChoices) -> Self {
        Self {
            instance: instance.to_owned(),
            instance_id,
            on_return: choices.on_return,
            per_order: choices.per_order,
        }
    }
}

/// An e-mail as it would be sent now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailPreview {
    /// The asset that it is about.
    pub asset_id: Uuid,
    /// The address that it would go to. `None`: the order has none.
    pub to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The text as HTML.
    pub html: String,
    /// Why it does not look as the operator's templates would have it.
    pub problem: Option<Problem>,
}

#[cfg(feature = "mail")]
impl From<&crate::mail::MailPreview> for MailPreview {
    fn from(preview: &crate::mail::MailPreview) -> Self {
        Self {
            asset_id: preview.asset_id,
            to: preview.to.clone(),
            subject: preview.subject.clone(),
            text: preview.text.to_string(),
            html: preview.html.to_string(),
            problem: preview.problem.as_ref().map(Problem::from),
        }
    }
}

/// Templates that were written into a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFiles {
    /// The files.
    pub files: Vec<PathBuf>,
}

impl Mail {
    /// The view of an e-mail.
    pub fn new(mail: &bss_model::Mail, parties: &OrderParties) -> Self {
        Self {
            id: mail.id,
            kind: word(mail.kind.word()),
            asset_id: mail.asset_id,
            order_id: mail.order_id,
            parties: parties.into(),
            contact: (&mail.contact).into(),
            state: word(mail.state.word()),
            attempts: mail.attempts,
            due_at_ms: (mail.state == MailState::Pending).then_some(mail.due_at_ms),
            created_at_ms: mail.created_at_ms,
            sent_at_ms: mail.sent_at_ms,
            copy_of: mail.copy_of,
            sent_with: mail.sent_with,
            problem: mail.problem.as_ref().map(Problem::from),
        }
    }
}

impl From<&bss_model::MailSettings> for MailSettings {
    fn from(settings: &bss_model::MailSettings) -> Self {
        let (smtp, directory) = match &settings.delivery {
            MailDelivery::Smtp(server) => (Some(server.into()), None),
            MailDelivery::Directory(directory) => (None, Some(directory.clone())),
        };
        Self {
            from: settings.from.clone(),
            smtp,
            directory,
            templates: settings.templates.clone(),
            template_problem: None,
            stop: None,
        }
    }
}

impl MailSettings {
    /// Adds what stops all e-mails to the view.
    #[must_use]
    pub fn with_stop(self, stop: Option<&bss_model::MailStop>) -> Self {
        let stop = stop.map(MailStop::from);
        Self { stop, ..self }
    }

    /// Adds the result of checking the templates to the view.
    #[must_use]
    pub fn with_checked_templates(self, checked: &Result<Vec<String>, impl ToString>) -> Self {
        Self {
            template_problem: checked.as_ref().err().map(ToString::to_string),
            ..self
        }
    }
}

impl From<&SmtpServer> for MailServer {
    fn from(server: &SmtpServer) -> Self {
        Self {
            host: server.host.clone(),
            port: server.port,
            protection: match server.protection {
                SmtpProtection::Tls => "tls",
                SmtpProtection::StartTls => "starttls",
                SmtpProtection::None => "none",
            },
            user: server.user.clone(),
            trusts_own_authorities: server.trusted_authorities_pem.is_some(),
            hello_name: server.hello_name.clone(),
            access_token: server.access_token.as_deref().map(AccessTokenLogin::from),
        }
    }
}

impl From<&bss_model::AccessTokenLogin> for AccessTokenLogin {
    fn from(login: &bss_model::AccessTokenLogin) -> Self {
        Self {
            token_endpoint: login.token_endpoint.clone(),
            scope: login.scope.clone(),
            client_id: login.client_id.clone(),
            certificate: login.certificate.to_string(),
            trusts_own_authorities: login.trusted_authorities_pem.is_some(),
        }
    }
}

impl From<&bss_model::MailStop> for MailStop {
    fn from(stop: &bss_model::MailStop) -> Self {
        Self {
            problem: (&stop.problem).into(),
            since_ms: stop.since_ms,
            tries: stop.tries,
            next_try_at_ms: stop.next_try_at_ms,
        }
    }
}

impl Host {
    /// The views of e-mails, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail_views(&self, mails: &[bss_model::Mail]) -> Result<Vec<Mail>, RecordError> {
        let orders = mails.iter().map(|mail| mail.order_id);
        let parties = self.parties_of_orders(orders).await?;
        let view = |mail: &bss_model::Mail| Ok(Mail::new(mail, parties_of(&parties, mail.order_id)?));
        mails.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{MailKind, Secret};

    use super::super::examples::{assert_json, id, parties};
    use super::*;

    fn mail(state: MailState) -> bss_model::Mail {
        bss_model::Mail {
            id: id(6),
            kind: MailKind::Welcome,
            asset_id: id(1),
            order_id: id(2),
            contact: bss_model::Contact {
                email: "it@beispiel.example".to_owned(),
                language: "de-DE".to_owned(),
            },
            state,
            attempts: 1,
            due_at_ms: 3_000,
            problem: None,
            created_at_ms: 1_100,
            sent_at_ms: None,
            copy_of: None,
            sent_with: None,
        }
    }

    #[test]
    fn an_e_mail_that_waits() {
        assert_json(
            &Mail::new(&mail(MailState::Pending), &parties()),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000006",
  "kind": "welcome",
  "assetId": "00000000-0000-0000-0000-000000000001",
  "orderId": "00000000-0000-0000-0000-000000000002",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "customer": {
    "id": "C-1",
    "name": "Beispiel GmbH",
    "country": "DE"
  },
  "billingTo": {
    "id": "R-1",
    "name": "Handel AG",
    "country": "DE"
  },
  "contact": {
    "email": "it@beispiel.example",
    "language": "de-DE"
  },
  "state": "pending",
  "attempts": 1,
  "dueAtMs": 3000,
  "createdAtMs": 1100,
  "sentAtMs": null,
  "copyOf": null,
  "sentWith": null,
  "problem": null
}"#,
        );
    }

    #[test]
    fn an_e_mail_that_is_not_to_be_sent_is_not_due() {
        let view = Mail::new(&mail(MailState::Failed), &parties());
        assert_eq!(view.due_at_ms, None);
    }

    #[test]
    fn a_mail_server_without_its_password() {
        let settings = bss_model::MailSettings {
            from: "shop@example.com".to_owned(),
            delivery: MailDelivery::Smtp(SmtpServer {
                host: "mail.example.com".to_owned(),
                port: 587,
                protection: SmtpProtection::StartTls,
                user: Some("shop".to_owned()),
                password: Some(Secret::new("hush")),
                trusted_authorities_pem: Some("-----BEGIN".to_owned()),
                hello_name: Some("host.example.com".to_owned()),
                access_token: None,
            }),
            templates: None,
        };
        assert_json(
            &MailSettings::from(&settings),
            r#"
{
  "from": "shop@example.com",
  "smtp": {
    "host": "mail.example.com",
    "port": 587,
    "protection": "starttls",
    "user": "shop",
    "trustsOwnAuthorities": true,
    "helloName": "host.example.com",
    "accessToken": null
  },
  "directory": null,
  "templates": null,
  "templateProblem": null,
  "stop": null
}"#,
        );
    }

    #[test]
    fn a_login_with_an_access_token_without_any_secret() {
        let login = bss_model::AccessTokenLogin {
            token_endpoint: "https://login.example.com/token".to_owned(),
            scope: "https://mail.example.com/.default".to_owned(),
            client_id: "11111111-2222-3333-4444-55555555aaaa".to_owned(),
            certificate: "0".repeat(40).parse().unwrap(),
            trusted_authorities_pem: None,
        };
        assert_json(
            &AccessTokenLogin::from(&login),
            r#"
{
  "tokenEndpoint": "https://login.example.com/token",
  "scope": "https://mail.example.com/.default",
  "clientId": "11111111-2222-3333-4444-55555555aaaa",
  "certificate": "0000000000000000000000000000000000000000",
  "trustsOwnAuthorities": false
}"#,
        );
    }

    #[test]
    fn a_directory_that_e_mails_are_written_into_and_what_stops_them() {
        let settings = bss_model::MailSettings {
            from: "shop@example.com".to_owned(),
            delivery: MailDelivery::Directory("/var/mails".into()),
            templates: Some("/etc/templates".into()),
        };
        let stop = bss_model::MailStop {
            problem: bss_model::Problem::new("mail-directory", "It is full.", "Make room."),
            since_ms: 1_000,
            tries: 2,
            next_try_at_ms: 3_000,
        };
        assert_json(
            &MailSettings::from(&settings).with_stop(Some(&stop)),
            r#"
{
  "from": "shop@example.com",
  "smtp": null,
  "directory": "/var/mails",
  "templates": "/etc/templates",
  "templateProblem": null,
  "stop": {
    "problem": {
      "code": "mail-directory",
      "message": "It is full.",
      "advice": "Make room.",
      "correlationId": ""
    },
    "sinceMs": 1000,
    "tries": 2,
    "nextTryAtMs": 3000
  }
}"#,
        );
    }

    #[test]
    fn e_mails_that_were_made_due_and_templates_that_were_written() {
        assert_json(&DueMails { due: 2 }, "{\n  \"due\": 2\n}");
        let files = vec!["own/welcome.txt".into()];
        assert_json(
            &TemplateFiles { files },
            "{\n  \"files\": [\n    \"own/welcome.txt\"\n  ]\n}",
        );
    }
}

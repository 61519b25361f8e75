//! E-mails that wait or were sent, and how they are sent.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::asset::Asset;
use crate::license::LicenseSecrets;
use crate::order::Contact;
use crate::order::Party;
use crate::problem::Problem;
use crate::secret::Secret;
use crate::words::stored_enum;

/// What an e-mail is for. There is one of a kind for an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// The customer's license: product key and activation link.
    Welcome,
}

stored_enum!(MailKind {
    Welcome = "welcome", "welcome";
});

/// Where an e-mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// It is to be sent.
    Pending,
    /// A mail server or a directory has taken it.
    Sent,
    /// The mail server refused it for good; it is not tried again until the operator says so.
    Failed,
    /// Its license was given back before it was sent.
    Withdrawn,
}

stored_enum!(MailState {
    Pending = "pending", "pending";
    Sent = "sent", "sent";
    Failed = "failed", "failed";
    Withdrawn = "withdrawn", "withdrawn";
});

/// An e-mail as it is on record, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Stable and unique.
    pub id: Uuid,
    /// What it is for.
    pub kind: MailKind,
    /// What it is about.
    pub asset_id: Uuid,
    /// The order of the asset.
    pub order_id: Uuid,
    /// Where it goes.
    pub contact: Contact,
    /// Where it stands.
    pub state: MailState,
    /// How often it was tried to send it.
    pub attempts: u32,
    /// Not to be sent before, in milliseconds.
    pub due_at_ms: i64,
    /// What was wrong last. A sent one may have one, too: it was sent, but not as the operator wanted it.
    pub problem: Option<Problem>,
    /// When it was written down, in milliseconds.
    pub created_at_ms: i64,
    /// When it was sent, in milliseconds.
    pub sent_at_ms: Option<i64>,
}

/// An e-mail that a worker has taken, with all that it is composed of.
#[derive(Clone, Debug)]
pub struct MailToSend {
    /// Stable and unique.
    pub id: Uuid,
    /// What it is for.
    pub kind: MailKind,
    /// What it is about.
    pub asset: Asset,
    /// The secrets of the asset's license.
    pub secrets: LicenseSecrets,
    /// Who gets the license.
    pub customer: Party,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// Where it goes, and in which language.
    pub contact: Contact,
    /// How often it was tried to send it, this time included.
    pub attempts: u32,
}

/// What came of trying to send an e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// It was taken. The problem, if any, is why it does not look as the operator wanted it.
    Sent(Option<Problem>),
    /// It may or may not have been taken, or definitely was not; it is tried again.
    Later(Problem),
    /// It was refused for good.
    Refused(Problem),
}

/// Which e-mails to show; all that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct MailFilter {
    /// That stand so.
    pub state: Option<MailState>,
    /// Of an order.
    pub order: Option<Uuid>,
    /// About an asset.
    pub asset: Option<Uuid>,
}

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
    /// The password of the mail server. `None`: it needs none.
    pub fn password(&self) -> Option<&Secret> {
        match &self.delivery {
            MailDelivery::Smtp(server) => server.password.as_ref(),
            MailDelivery::Directory(_) => None,
        }
    }
}

//! E-mails that wait or were sent, and the settings for sending them.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::asset::Asset;
use crate::charge::Credit;
use crate::license::LicenseSecrets;
use crate::order::Contact;
use crate::order::Party;
use crate::problem::Problem;
use crate::secret::Secret;
use crate::seller::Seller;
use crate::thumbprint::Thumbprint;
use crate::words::stored_enum;

/// The purpose of an e-mail. An asset has at most one e-mail of each kind, and copies of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// The customer's license: product key and activation link.
    Welcome,
    /// The license was returned, and is credited.
    Return,
}

stored_enum!(MailKind {
    Welcome = "welcome", "welcome";
    Return = "return", "return";
});

/// The state of an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// The e-mail is to be sent.
    Pending,
    /// A mail server or a directory has taken it.
    Sent,
    /// The mail server refused it for good; it is tried again only when the operator says so.
    Failed,
    /// The license was returned, the customer erased, or a copy took its place before the e-mail was sent.
    Withdrawn,
    /// The e-mail may have been sent already, unknown to this record; it is sent only when the operator says so.
    Held,
}

stored_enum!(MailState {
    Pending = "pending", "pending";
    Sent = "sent", "sent";
    Failed = "failed", "failed";
    Withdrawn = "withdrawn", "withdrawn";
    Held = "held", "held";
});

/// An e-mail on record, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Stable and unique.
    pub id: Uuid,
    /// The purpose.
    pub kind: MailKind,
    /// The asset that it is about.
    pub asset_id: Uuid,
    /// The order of the asset.
    pub order_id: Uuid,
    /// The recipient.
    pub contact: Contact,
    /// The state.
    pub state: MailState,
    /// The number of tries to send it.
    pub attempts: u32,
    /// The earliest time to send it, in milliseconds.
    pub due_at_ms: i64,
    /// The last problem. A sent e-mail may have one, too: it was sent, but not as the operator wanted it.
    pub problem: Option<Problem>,
    /// When it was written to the record, in milliseconds.
    pub created_at_ms: i64,
    /// When it was sent, in milliseconds.
    pub sent_at_ms: Option<i64>,
    /// The e-mail that it repeats. `None`: it is no copy.
    pub copy_of: Option<Uuid>,
    /// The first e-mail of the message that it is with others. `None`: it is a message of its own.
    pub sent_with: Option<Uuid>,
}

/// An e-mail that a worker has taken, with all that its text needs.
#[derive(Clone, Debug)]
pub struct MailToSend {
    /// Stable and unique.
    pub id: Uuid,
    /// The purpose.
    pub kind: MailKind,
    /// The asset that it is about.
    pub asset: Asset,
    /// The secrets of the asset's license.
    pub secrets: LicenseSecrets,
    /// The party that gets the license.
    pub customer: Party,
    /// The party that sells, if a reseller is involved.
    pub reseller: Option<Party>,
    /// The recipient's address and language.
    pub contact: Contact,
    /// Who sells at the instance, as the operator has said. `None`: nobody has said it.
    pub seller: Option<Seller>,
    /// Whose license it is, and what is sold, as the plugin of its instance says. `None`: that plugin is not on record.
    pub sold: Option<Sold>,
    /// The credit of its license. `None`: it has none.
    pub credit: Option<Credit>,
    /// The other e-mails that are one message with it, by position: each is on record by itself.
    pub others: Vec<MailToSend>,
    /// The name of the message that it is with others, the same whenever that is sent. `None`: it is a message of its own.
    pub sent_with: Option<Uuid>,
    /// The number of tries to send it, this one included.
    pub attempts: u32,
    /// Whether it repeats another one.
    pub is_copy: bool,
    /// When the one that it repeats was sent, in milliseconds. `None`: that was not sent, or it repeats none.
    pub first_sent_at_ms: Option<i64>,
    /// Whether it is the one that finds out whether what stops all e-mails is gone.
    pub is_try: bool,
}

/// Whose license an e-mail brings, and what is sold, as a plugin describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// The vendor.
    pub vendor: String,
    /// What is sold, as customers read it.
    pub offering: String,
}

/// The outcome of a try to send an e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The e-mail was taken. The problem, if any, is why it does not look as the operator wanted it.
    Sent(Option<Problem>),
    /// The e-mail was not taken, or possibly was; it is tried again.
    Later(Problem),
    /// The e-mail was not tried, because no e-mail can be sent now; it waits for that, and this was no try of it.
    Waits(Problem),
    /// The e-mail was refused for good.
    Refused(Problem),
}

/// A stop of all e-mails: what is in the way is about this host, and no other e-mail would fare better. One e-mail at a
/// time finds out whether it is gone, at growing intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Filter of e-mails: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct MailFilter {
    /// E-mails in this state.
    pub state: Option<MailState>,
    /// E-mails of this kind.
    pub kind: Option<MailKind>,
    /// E-mails about orders of an instance.
    pub instance: Option<Uuid>,
    /// E-mails about an order.
    pub order: Option<Uuid>,
    /// E-mails about an asset.
    pub asset: Option<Uuid>,
    /// E-mails about orders of a customer, by the platform's own name.
    pub customer: Option<String>,
}

/// E-mails that are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailsToResend {
    /// Those about the licenses of an order.
    Order(Uuid),
    /// Those to a customer.
    Customer {
        /// The platform's own name for the customer.
        id: String,
        /// Only those of an instance.
        instance: Option<Uuid>,
    },
}

/// The protection of the connection to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpProtection {
    /// TLS from the first byte (`smtps://`, RFC 8314 section 3).
    Tls,
    /// TLS by STARTTLS (RFC 3207); without it nothing is sent.
    StartTls,
    /// No protection, so no password is sent.
    None,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpServer {
    /// The host: a name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The protection of the connection.
    pub protection: SmtpProtection,
    /// The user who logs in. `None`: there is no login.
    pub user: Option<String>,
    /// The user's password. Stored sealed.
    #[serde(skip)]
    pub password: Option<Secret>,
    /// Authorities to trust instead of the system's, or the server's own certificate, PEM. `None`: the system's.
    pub trusted_authorities_pem: Option<String>,
    /// The name by which the host greets the server (RFC 5321 section 4.1.1.1): a fully qualified name, or an address
    /// in brackets. `None`: the machine's.
    pub hello_name: Option<String>,
    /// The way to an access token with which the user logs in in place of a password. `None`: a password.
    pub access_token: Option<Box<AccessTokenLogin>>,
}

/// How a host gets the access token that it logs in to a mail server with: by a client assertion (RFC 7523) that an
/// installed certificate signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenLogin {
    /// The URL of the server's token endpoint (RFC 6749 section 3.2).
    pub token_endpoint: String,
    /// The scope that is asked for (RFC 6749 section 3.3).
    pub scope: String,
    /// The client that the certificate is registered for.
    pub client_id: String,
    /// The operator's certificate that signs.
    pub certificate: Thumbprint,
    /// Authorities to trust for the token endpoint instead of the system's, PEM. `None`: the system's.
    pub trusted_authorities_pem: Option<String>,
}

/// The way in which e-mails leave the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailDelivery {
    /// Sends them to a mail server.
    Smtp(SmtpServer),
    /// Writes them into a directory, a file each, for a program that sends them another way.
    Directory(PathBuf),
}

/// The settings for sending e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSettings {
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// The way in which e-mails leave the host.
    pub delivery: MailDelivery,
    /// A directory with the operator's own templates. `None`: only the built-in ones.
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

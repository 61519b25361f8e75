//! Handing e-mails to a mail server (RFC 5321), several over one connection.
//!
//! SMTP has no way to ask whether a message was taken. Where the server's last word does not come, the message is
//! sent again with the same Message-ID, by which the customer's mail server or program can tell.

use std::io;
use std::time::Duration;

use bss_model::{Problem, SmtpProtection, SmtpServer};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use tokio::net::TcpStream;

use super::letter::Letter;
use super::reply_by_reply::{ReplyByReply, spoke_early};
use super::text::one_line;

/// The time limit for connecting to the first address that answers.
const CONNECT: Duration = Duration::from_secs(10);

/// The time limit for connecting, TLS, greeting and login together. Some servers let a client wait half a minute for
/// the greeting.
const ENTER: Duration = Duration::from_secs(60);

/// The time limit for one message, which RFC 5321 section 4.5.3.2.6 sets for the answer after a message: a client
/// that gives up earlier sends messages twice.
const SEND: Duration = Duration::from_secs(10 * 60);

/// "Service not available, closing transmission channel" (RFC 5321 section 4.2.2).
const CLOSING: u16 = 421;

/// The most characters of a server's reply that are kept.
const REPLY_CHARS: usize = 300;

/// A client of one mail server.
pub(super) struct Smtp {
    server: SmtpServer,
    tls: Option<TlsParameters>,
}

/// Why a message was not taken, or may not have been.
#[derive(Debug)]
pub(super) enum SmtpFailure {
    /// There is no connection; no other message would fare better.
    Unreachable(Problem),
    /// The message is not taken now, or whether it was is unknown.
    Later(Problem),
    /// The message is not taken at all; sending it again would not help.
    Refused(Problem),
}

impl SmtpFailure {
    pub(super) fn problem(&self) -> &Problem {
        match self {
            Self::Unreachable(problem) | Self::Later(problem) | Self::Refused(problem) => problem,
        }
    }
}

/// A connection on which one message after the other is sent.
pub(super) type Connection = Option<AsyncSmtpConnection>;

impl Smtp {
    /// Reads the authorities that are trusted.
    ///
    /// # Errors
    /// When they can't be read, or TLS can't be set up.
    pub(super) fn new(server: &SmtpServer) -> Result<Self, Error> {
        let tls = match server.protection {
            SmtpProtection::None => None,
            SmtpProtection::Tls | SmtpProtection::StartTls => {
                let mut tls = TlsParameters::builder(server.host.clone());
                if let Some(pem) = &server.trusted_authorities_pem {
                    tls = tls.certificate_store(CertificateStore::None);
                    tls = tls.add_root_certificate(Certificate::from_pem(pem.as_bytes())?);
                }
                Some(tls.build()?)
            }
        };
        Ok(Self {
            server: server.clone(),
            tls,
        })
    }

    /// Hands a message over, on the connection if there is one that still works, else on a new one.
    pub(super) async fn deliver(
        &self,
        connection: &mut Connection,
        letter: &Letter,
    ) -> Result<(), SmtpFailure> {
        let reused = connection.is_some();
        match self.attempt(connection, letter).await {
            // A server may close a connection between two messages; that is no answer to the second one.
            Err(Attempt::ClosedBefore(_)) if reused => {}
            result => return result.map_err(Attempt::failure),
        }
        self.attempt(connection, letter).await.map_err(Attempt::failure)
    }

    async fn attempt(&self, connection: &mut Connection, letter: &Letter) -> Result<(), Attempt> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let entered = tokio::time::timeout(ENTER, self.enter()).await;
                let failed = |problem| Attempt::Failed(SmtpFailure::Unreachable(problem));
                entered
                    .map_err(|_| {
                        failed(self.unreachable(format!("connecting took longer than {} s", ENTER.as_secs())))
                    })?
                    .map_err(|error| failed(self.not_entered(&error)))?
            }
        };
        let sent = tokio::time::timeout(SEND, transmit(&mut open, letter)).await;
        let sent = sent.unwrap_or_else(|_| Err(late()));
        if sent.is_ok() || sent.as_ref().is_err_and(Attempt::leaves_connection) {
            // RSET forgets the recipients of a message that was refused half-way.
            if sent.is_ok() || open.command(Rset).await.is_ok() {
                *connection = Some(open);
            }
        } else {
            open.abort().await;
        }
        sent
    }

    async fn enter(&self) -> Result<AsyncSmtpConnection, EnterError> {
        let hello = ClientId::default();
        let address = (self.server.host.as_str(), self.server.port);
        let mut open = match (self.server.protection, &self.tls) {
            (SmtpProtection::StartTls, Some(tls)) => {
                let stream = Box::new(ReplyByReply::new(connect(address).await?));
                let mut open = AsyncSmtpConnection::connect_with_transport(stream, &hello).await?;
                // STARTTLS fails where the server does not offer it: nothing goes out unencrypted.
                open.starttls(tls.clone(), &hello).await?;
                open
            }
            (_, tls) => {
                AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &hello, tls.clone(), None).await?
            }
        };
        if let (Some(user), Some(password)) = (&self.server.user, &self.server.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            open.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await?;
        }
        Ok(open)
    }

    fn unreachable(&self, why: String) -> Problem {
        Problem::new(
            "mail-server-unreachable",
            self.unusable(&why),
            "check the mail settings, and that the mail server can be reached",
        )
    }

    /// The reason why a session did not begin.
    fn not_entered(&self, error: &EnterError) -> Problem {
        let why = one_line(&error.to_string()).chars().take(REPLY_CHARS).collect();
        if !spoke_early(error) {
            return self.unreachable(why);
        }
        Problem::new(
            "mail-server-spoke-early",
            self.unusable(&why),
            "find out who answers in the mail server's place, or use a server with TLS from the first byte",
        )
    }

    fn unusable(&self, why: &str) -> String {
        format!(
            "mail server `{}:{}` can't be used: {why}",
            self.server.host, self.server.port
        )
    }
}

/// Why a session with the mail server did not begin.
#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error("no connection could be opened: {0}")]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] Error),
}

/// Connects to the first address that answers, each within the time limit for connecting.
async fn connect(server: (&str, u16)) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in tokio::net::lookup_host(server).await? {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// The ways in which sending a message on an open connection fails.
enum Attempt {
    /// The connection was gone before the message was begun.
    ClosedBefore(Problem),
    /// The server refused, and waits for the next command.
    Answered(SmtpFailure),
    /// The connection is of no more use.
    Failed(SmtpFailure),
}

impl Attempt {
    fn leaves_connection(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    fn failure(self) -> SmtpFailure {
        match self {
            Self::ClosedBefore(problem) => SmtpFailure::Later(problem),
            Self::Answered(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// Sends one message, command by command: the meaning of an answer depends on the command.
async fn transmit(open: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), Attempt> {
    let mut parameters = Vec::new();
    let mut addresses = letter.envelope.from().into_iter().chain(letter.envelope.to());
    if !addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
        if !open.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Attempt::Answered(SmtpFailure::Refused(problem(
                "address-not-supported",
                "the mail server does not support e-mail addresses with non-ASCII characters (SMTPUTF8, RFC 6531)".to_owned(),
            ))));
        }
        parameters.push(MailParameter::SmtpUtfEight);
        if open.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
    }
    let from = Mail::new(letter.envelope.from().cloned(), parameters);
    // The server has not seen the message yet: a refusal is about the sender, which the operator can change.
    open.command(from).await.map_err(|error| match error.status() {
        Some(_) => answered(&error, false),
        None => Attempt::ClosedBefore(lost(&error, "the e-mail was not sent")),
    })?;
    for to in letter.envelope.to() {
        let to = Rcpt::new(to.clone(), Vec::new());
        open.command(to)
            .await
            .map_err(|error| of_message(&error, "the e-mail was not sent"))?;
    }
    open.command(Data)
        .await
        .map_err(|error| of_message(&error, "the e-mail was not sent"))?;
    open.message(&letter.bytes)
        .await
        .map_err(|error| of_message(&error, "whether the server accepted the e-mail is not known"))?;
    Ok(())
}

fn of_message(error: &Error, known: &str) -> Attempt {
    match error.status() {
        Some(_) => answered(error, error.is_permanent()),
        None => Attempt::Failed(SmtpFailure::Later(lost(error, known))),
    }
}

/// Reads a reply with a code (RFC 5321 section 4.2.1): 4 is not now, 5 is not ever.
fn answered(error: &Error, is_refusal: bool) -> Attempt {
    let (code, answer) = if error.is_permanent() {
        ("mail-refused", "refused")
    } else {
        ("mail-deferred", "deferred")
    };
    let problem = problem(
        code,
        format!("the mail server {answer} the e-mail: {}", reply(error)),
    );
    let closing = error.status().is_some_and(|status| u16::from(status) == CLOSING);
    match (is_refusal, closing) {
        (true, _) => Attempt::Answered(SmtpFailure::Refused(problem)),
        (false, false) => Attempt::Answered(SmtpFailure::Later(problem)),
        (false, true) => Attempt::Failed(SmtpFailure::Later(problem)),
    }
}

fn lost(error: &Error, known: &str) -> Problem {
    problem(
        "mail-connection-lost",
        format!(
            "the connection to the mail server was lost, and {known}: {}",
            reply(error)
        ),
    )
}

fn late() -> Attempt {
    let message = format!(
        "the mail server did not answer within {} s, and whether the server accepted the e-mail is not known",
        SEND.as_secs()
    );
    Attempt::Failed(SmtpFailure::Later(problem("mail-server-silent", message)))
}

fn problem(code: &str, message: String) -> Problem {
    Problem::new(code, message, "a retry sends the e-mail again at once")
}

/// The message of the library or the server, on one line.
fn reply(error: &Error) -> String {
    one_line(&error.to_string()).chars().take(REPLY_CHARS).collect()
}

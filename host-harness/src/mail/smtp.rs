//! Handing e-mails to a mail server (RFC 5321), several over one connection.
//!
//! SMTP has no way to ask whether a message was taken. Where the server's last word does not come, the message is
//! sent again with the same Message-ID, by which the customer's mail server or program can tell.

mod dialogue;
mod hello;
mod login;
mod reply;
mod tls;
mod verdict;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bss_model::{Problem, Secret, SmtpProtection, SmtpServer, with_causes};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use self::dialogue::{Dialogue, DialogueError};
use self::login::{Credential, log_in};
use self::reply::Reply;
use self::verdict::{Phase, Trouble, Verdict, verdict};
use super::access_token::AccessTokens;
use super::letter::Letter;
use super::text::one_line;
use crate::racing_connect::connect_to;

pub(super) use hello::is_hello_name;
pub use tls::TlsSetupError;

/// "Service not available, closing transmission channel" (RFC 5321 section 4.2.2).
const CLOSING: u16 = 421;

/// "Start mail input" (RFC 5321 section 4.2.3).
const GO_ON: u16 = 354;

/// The most characters of an error that are kept.
const ERROR_CHARS: usize = 300;

/// The advice for an e-mail that is tried again by itself.
const RETRY: &str = "a retry sends the e-mail again at once";

/// The time limits of a session. Each wait has one.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// For the name and a connection to one of its addresses.
    connect: Duration,
    /// For connecting, TLS, greeting and login together. Some servers let a client wait half a minute for the greeting;
    /// RFC 5321 section 4.5.3.2.1 would have it wait five, in which no e-mail goes out.
    enter: Duration,
    /// For each command before the message, the least that RFC 5321 section 4.5.3.2 has for one. Nothing is lost by
    /// giving up here.
    command: Duration,
    /// For writing a message (RFC 5321 section 4.5.3.2.5).
    write: Duration,
    /// For the answer after a message (RFC 5321 section 4.5.3.2.6): a client that gives up earlier sends messages twice.
    verdict: Duration,
    /// For the answer to QUIT, on which nothing depends.
    goodbye: Duration,
}

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(30),
    enter: Duration::from_secs(60),
    command: Duration::from_secs(2 * 60),
    write: Duration::from_secs(3 * 60),
    verdict: Duration::from_secs(10 * 60),
    goodbye: Duration::from_secs(3),
};

/// A client of one mail server.
pub(super) struct Smtp {
    server: SmtpServer,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    login: Login,
    limits: Limits,
}

/// How the client logs in.
pub(super) enum Login {
    None,
    Password(String, Secret),
    AccessToken(String, Box<AccessTokens>),
}

/// Why a message was not taken, or may not have been.
#[derive(Debug)]
pub(super) enum SmtpFailure {
    /// The message is not taken because of this host; no other message would fare better.
    Us(Box<InTheWay>),
    /// The message is not taken now, or whether it was is unknown.
    Later(Problem),
    /// The message is not taken at all; sending it again would not help.
    Refused(Problem),
}

/// What is in the way of every message.
#[derive(Debug)]
pub(super) struct InTheWay {
    /// As the message shows it that has met it.
    pub(super) own: Problem,
    /// As every other message may show it: without words of the server that may name somebody else's customer.
    pub(super) shared: Problem,
}

impl SmtpFailure {
    /// What is in the way before any recipient is named.
    pub(super) fn before_anybody(problem: Problem) -> Self {
        Self::Us(Box::new(InTheWay {
            own: problem.clone(),
            shared: problem,
        }))
    }

    pub(super) fn problem(&self) -> &Problem {
        match self {
            Self::Us(in_the_way) => &in_the_way.own,
            Self::Later(problem) | Self::Refused(problem) => problem,
        }
    }
}

/// What carries a session: TCP, or TLS on it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open session, on which one message after the other is sent.
pub(super) struct Session {
    dialogue: Dialogue<Box<dyn Stream>>,
    offers: Offers,
    /// Whether the server still knows recipients of a message that was refused half-way.
    is_half_way: bool,
    limits: Limits,
}

/// The session that is open, if one is.
pub(super) type Connection = Option<Session>;

/// Features that a server offers after EHLO (RFC 5321 section 4.1.1.1).
#[derive(Debug, Default, PartialEq, Eq)]
struct Offers {
    start_tls: bool,
    smtp_utf8: bool,
    eight_bit_mime: bool,
    /// The ways to log in.
    auth: Vec<String>,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // Old servers write `AUTH=LOGIN` as well.
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.start_tls = true,
                Some("SMTPUTF8") => offers.smtp_utf8 = true,
                Some("8BITMIME") => offers.eight_bit_mime = true,
                Some("AUTH") => {
                    for way in words {
                        if !offers.auth.iter().any(|known| known == way) {
                            offers.auth.push(way.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

/// Checks that TLS to a server can be set up.
///
/// # Errors
/// When it can't.
pub(super) fn check_tls(server: &SmtpServer) -> Result<(), TlsSetupError> {
    match server.protection {
        SmtpProtection::None => Ok(()),
        SmtpProtection::Tls | SmtpProtection::StartTls => tls::client(server).map(drop),
    }
}

impl Smtp {
    /// Reads the authorities that are trusted.
    ///
    /// # Errors
    /// When they can't be read, or TLS can't be set up.
    pub(super) fn new(server: &SmtpServer, login: Login) -> Result<Self, TlsSetupError> {
        let tls = match server.protection {
            SmtpProtection::None => None,
            SmtpProtection::Tls | SmtpProtection::StartTls => Some(tls::client(server)?),
        };
        Ok(Self {
            server: server.clone(),
            tls,
            login,
            limits: LIMITS,
        })
    }

    /// Hands a message over, on the session if there is one that still works, else on a new one.
    pub(super) async fn deliver(
        &self,
        connection: &mut Connection,
        letter: &Letter,
    ) -> Result<(), SmtpFailure> {
        let reused = connection.is_some();
        match self.attempt(connection, letter).await {
            // A server may close a connection between two messages; that is no answer to the second one.
            Err(Attempt::EndedBefore(_)) if reused => {}
            result => return result.map_err(Attempt::failure),
        }
        self.attempt(connection, letter).await.map_err(Attempt::failure)
    }

    async fn attempt(&self, connection: &mut Connection, letter: &Letter) -> Result<(), Attempt> {
        let mut session = match connection.take() {
            Some(session) => session,
            None => {
                let entered = self.enter_in_time().await;
                let failed = |error| Attempt::Failed(SmtpFailure::before_anybody(self.not_entered(error)));
                entered.map_err(failed)?
            }
        };
        let sent = session.transmit(letter).await;
        if sent.as_ref().err().is_none_or(Attempt::leaves_session) {
            *connection = Some(session);
        }
        sent
    }

    async fn enter_in_time(&self) -> Result<Session, EnterError> {
        // The access token comes first: no mail server waits for it.
        let access_token = match &self.login {
            Login::AccessToken(_, tokens) => Some(tokens.get().await.map_err(EnterError::AccessToken)?),
            Login::None | Login::Password(..) => None,
        };
        let entered = tokio::time::timeout(self.limits.enter, self.enter(access_token.as_deref())).await;
        let entered = entered.unwrap_or(Err(EnterError::Late(self.limits.enter)));
        if let (
            Err(EnterError::Refused(Phase::Login, _)),
            Login::AccessToken(_, tokens),
            Some(access_token),
        ) = (&entered, &self.login, &access_token)
        {
            tokens.refused(access_token).await;
        }
        entered
    }

    async fn enter(&self, access_token: Option<&String>) -> Result<Session, EnterError> {
        let tcp = connect_to(&self.server.host, self.server.port, self.limits.connect).await;
        let tcp = tcp.map_err(EnterError::Connect)?;
        let hello = match &self.server.hello_name {
            Some(name) => name.clone(),
            None => {
                let own = tcp.local_addr().map_err(EnterError::Connect)?;
                hello::default_name(own.ip()).await
            }
        };
        let (stream, is_greeted) = match (&self.tls, self.server.protection) {
            (Some(tls), SmtpProtection::Tls) => (encrypted(tls, tcp).await?, false),
            (Some(tls), _) => (self.start_tls(tls, tcp, &hello).await?, true),
            (None, _) => (Box::new(tcp) as Box<dyn Stream>, false),
        };
        let mut dialogue = Dialogue::new(stream);
        if !is_greeted {
            positive(Phase::Greeting, dialogue.reply(self.limits.enter).await?)?;
        }
        let offers = self.hello(&mut dialogue, &hello).await?;
        let mut session = Session {
            dialogue,
            offers,
            is_half_way: false,
            limits: self.limits,
        };
        match self.log_in(&mut session, access_token).await {
            Ok(()) => Ok(session),
            Err(error @ (EnterError::Refused(..) | EnterError::NoMechanism { .. })) => {
                session.leave().await;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Greets a server, and reads what it offers.
    async fn hello<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
        name: &str,
    ) -> Result<Offers, EnterError> {
        let reply = dialogue
            .command(&format!("EHLO {name}"), self.limits.command)
            .await?;
        Ok(Offers::of(&positive(Phase::Hello, reply)?))
    }

    /// Begins TLS on a connection in clear (RFC 3207). Nothing that was said before counts after it: whoever sits on the way
    /// could have added replies (CVE-2021-38371 is one of the many of this kind).
    async fn start_tls(
        &self,
        tls: &(Arc<ClientConfig>, ServerName<'static>),
        tcp: TcpStream,
        hello: &str,
    ) -> Result<Box<dyn Stream>, EnterError> {
        let mut dialogue = Dialogue::new(tcp);
        positive(Phase::Greeting, dialogue.reply(self.limits.enter).await?)?;
        let offers = self.hello(&mut dialogue, hello).await?;
        if !offers.start_tls {
            return Err(EnterError::NoStartTls);
        }
        if dialogue.said_more() {
            return Err(EnterError::SpokeEarly);
        }
        positive(
            Phase::Greeting,
            dialogue.command("STARTTLS", self.limits.command).await?,
        )?;
        if dialogue.said_more() {
            return Err(EnterError::SpokeEarly);
        }
        encrypted(tls, dialogue.into_stream()).await
    }

    async fn log_in(&self, session: &mut Session, access_token: Option<&String>) -> Result<(), EnterError> {
        let (user, credential) = match (&self.login, access_token) {
            (Login::Password(user, password), _) => (user, Credential::Password(password.expose())),
            (Login::AccessToken(user, _), Some(token)) => (user, Credential::AccessToken(token)),
            _ => return Ok(()),
        };
        let Some(mechanism) = credential.choose(&session.offers.auth) else {
            let (why, advice) = credential.unusable_at(&session.offers.auth);
            return Err(EnterError::NoMechanism { why, advice });
        };
        let limit = self.limits.command;
        let reply = log_in(&mut session.dialogue, mechanism, user, &credential, limit).await?;
        // A further challenge is no login: what follows would be taken for the answer to it.
        match reply.code {
            200..300 => Ok(()),
            _ => Err(EnterError::Refused(Phase::Login, reply)),
        }
    }

    /// The reason why a session did not begin.
    fn not_entered(&self, error: EnterError) -> Problem {
        let advice = match &error {
            EnterError::Refused(phase, reply) => {
                let trouble = match verdict(*phase, reply) {
                    Verdict::Us(trouble) => trouble,
                    Verdict::Later | Verdict::Refused => Trouble::Server,
                };
                let (code, what, advice) = trouble.words();
                return Problem::new(
                    code,
                    format!("{what} ({}): {}", self.named(), reply.shown()),
                    advice,
                );
            }
            EnterError::AccessToken(problem) => return problem.clone(),
            EnterError::SpokeEarly => (
                "mail-server-spoke-early",
                "find out who answers in the mail server's place, or use a server with TLS from the first byte",
            ),
            EnterError::NoStartTls => (
                "mail-no-starttls",
                "use a port on which the mail server offers STARTTLS, or one with TLS from the first byte",
            ),
            EnterError::NoMechanism { advice, .. } => ("mail-no-mechanism", *advice),
            EnterError::Tls(error) if is_about_certificate(error) => (
                "mail-server-not-trusted",
                "trust the authority of the mail server's certificate, or that very certificate, in the mail settings, and use \
                 a name that the certificate is for",
            ),
            EnterError::Connect(_) | EnterError::Dialogue(_) | EnterError::Tls(_) | EnterError::Late(_) => (
                "mail-server-unreachable",
                "check the mail settings, and that the mail server can be reached",
            ),
        };
        let (code, advice) = advice;
        let why: String = one_line(&with_causes(&error)).chars().take(ERROR_CHARS).collect();
        Problem::new(code, format!("{} can't be used: {why}", self.named()), advice)
    }

    fn named(&self) -> String {
        format!("mail server `{}:{}`", self.server.host, self.server.port)
    }
}

async fn encrypted(
    (config, name): &(Arc<ClientConfig>, ServerName<'static>),
    tcp: TcpStream,
) -> Result<Box<dyn Stream>, EnterError> {
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector
        .connect(name.clone(), tcp)
        .await
        .map_err(EnterError::Tls)?;
    Ok(Box::new(stream))
}

/// Whether TLS failed because the server's certificate is not trusted.
fn is_about_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// A reply that lets the session go on.
fn positive(phase: Phase, reply: Reply) -> Result<Reply, EnterError> {
    match reply.is_positive() {
        true => Ok(reply),
        false => Err(EnterError::Refused(phase, reply)),
    }
}

/// Why a session with the mail server did not begin.
#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error("no connection could be opened: {0}")]
    Connect(io::Error),
    #[error("connecting took longer than {} s", .0.as_secs())]
    Late(Duration),
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error(transparent)]
    Dialogue(#[from] DialogueError),
    #[error("it said more than it was asked before TLS began, which somebody on the way may have added")]
    SpokeEarly,
    #[error("it does not offer STARTTLS")]
    NoStartTls,
    #[error("{why}")]
    NoMechanism { why: String, advice: &'static str },
    #[error("{}", .1.shown())]
    Refused(Phase, Reply),
    #[error("{}", .0.message)]
    AccessToken(Problem),
}

/// The ways in which sending a message in an open session fails.
enum Attempt {
    /// The session was over before the message was begun.
    EndedBefore(SmtpFailure),
    /// The server refused, and waits for the next command.
    Answered(SmtpFailure),
    /// The session is of no more use.
    Failed(SmtpFailure),
}

impl Attempt {
    fn leaves_session(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    fn failure(self) -> SmtpFailure {
        match self {
            Self::EndedBefore(failure) | Self::Answered(failure) | Self::Failed(failure) => failure,
        }
    }
}

impl Session {
    /// Sends one message, command by command: the meaning of an answer depends on the command.
    async fn transmit(&mut self, letter: &Letter) -> Result<(), Attempt> {
        if self.is_half_way {
            // RSET forgets the recipients of a message that was refused half-way.
            match self.dialogue.command("RSET", self.limits.command).await {
                Ok(reply) if reply.is_positive() => self.is_half_way = false,
                Ok(reply) => return Err(ended_before(&reply.shown())),
                Err(error) => return Err(ended_before(&error.to_string())),
            }
        }
        let parameters = self.parameters(letter)?;
        let sender = letter.envelope.from().map_or("", |from| from.as_ref());
        self.sender(&format!("MAIL FROM:<{sender}>{parameters}")).await?;
        self.is_half_way = true;
        let mut recipients = letter.envelope.to().iter().map(AsRef::<str>::as_ref);
        let customer = recipients.next().unwrap_or_default();
        self.of_message(Phase::Recipient, &format!("RCPT TO:<{customer}>"))
            .await?;
        for copy in recipients {
            self.copy_to(copy).await?;
        }
        let go_on = self.of_message(Phase::Message, "DATA").await?;
        if go_on.code != GO_ON {
            return Err(Attempt::Failed(SmtpFailure::Later(lost(
                &go_on.shown(),
                NOT_SENT,
            ))));
        }
        let taken = self.message(&transparent(&letter.bytes)).await?;
        self.is_half_way = false;
        match taken.code {
            200..300 => Ok(()),
            300..400 => Err(Attempt::Failed(SmtpFailure::Later(lost(
                &taken.shown(),
                NOT_KNOWN,
            )))),
            _ => Err(answered(Phase::Message, &taken)),
        }
    }

    /// What MAIL says of addresses beyond ASCII (RFC 6531 section 3.4).
    fn parameters(&self, letter: &Letter) -> Result<&'static str, Attempt> {
        let mut addresses = letter.envelope.from().into_iter().chain(letter.envelope.to());
        if addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            return Ok("");
        }
        match (self.offers.smtp_utf8, self.offers.eight_bit_mime) {
            (true, true) => Ok(" SMTPUTF8 BODY=8BITMIME"),
            (true, false) => Ok(" SMTPUTF8"),
            (false, _)
                if letter
                    .envelope
                    .from()
                    .is_some_and(|from| !AsRef::<str>::as_ref(from).is_ascii()) =>
            {
                // No e-mail of this sender can be sent there.
                let (code, _, advice) = Trouble::Sender.words();
                let problem = Problem::new(
                    code,
                    "the mail server does not support the sender's address, which has non-ASCII characters (SMTPUTF8, RFC 6531)",
                    advice,
                );
                Err(Attempt::Answered(SmtpFailure::before_anybody(problem)))
            }
            (false, _) => Err(Attempt::Answered(SmtpFailure::Refused(Problem::new(
                "address-not-supported",
                "the mail server does not support e-mail addresses with non-ASCII characters (SMTPUTF8, RFC 6531)",
                RETRY,
            )))),
        }
    }

    /// Sends MAIL, before which the server has seen nothing of the message. A refusal is about the sender, which the operator
    /// can change; the end of the connection, which a server may bring about between two messages, says nothing.
    async fn sender(&mut self, command: &str) -> Result<(), Attempt> {
        match self.dialogue.command(command, self.limits.command).await {
            Ok(reply) if reply.is_positive() => Ok(()),
            Ok(reply) if reply.code == CLOSING => {
                Err(Attempt::EndedBefore(answered(Phase::Sender, &reply).failure()))
            }
            Ok(reply) => Err(answered(Phase::Sender, &reply)),
            Err(error) => Err(ended_before(&error.to_string())),
        }
    }

    /// Names the recipient of a blind copy. A refusal keeps the customer's message from nobody.
    async fn copy_to(&mut self, copy: &str) -> Result<(), Attempt> {
        match self
            .of_message(Phase::Recipient, &format!("RCPT TO:<{copy}>"))
            .await
        {
            Err(Attempt::Answered(failure)) => {
                let message = &failure.problem().message;
                tracing::warn!(%copy, "the mail server does not take the blind copy of an e-mail: {message}");
                Ok(())
            }
            named => named.map(drop),
        }
    }

    async fn of_message(&mut self, phase: Phase, command: &str) -> Result<Reply, Attempt> {
        match self.dialogue.command(command, self.limits.command).await {
            Ok(reply) if reply.is_positive() => Ok(reply),
            Ok(reply) => Err(answered(phase, &reply)),
            Err(error) => Err(Attempt::Failed(SmtpFailure::Later(lost(
                &error.to_string(),
                NOT_SENT,
            )))),
        }
    }

    /// Sends a message and its end, and waits for what the server says to it.
    async fn message(&mut self, bytes: &[u8]) -> Result<Reply, Attempt> {
        let unknown = |error: DialogueError| {
            let problem = match error {
                DialogueError::Silent(limit) => silent(limit),
                error => lost(&error.to_string(), NOT_KNOWN),
            };
            Attempt::Failed(SmtpFailure::Later(problem))
        };
        if let Err(error) = self.dialogue.send(bytes, self.limits.write).await {
            // A server that takes no more may have said why before it closed the connection.
            return match self.dialogue.reply(self.limits.goodbye).await {
                Ok(reply) if !reply.is_positive() => {
                    Err(Attempt::Failed(answered(Phase::Message, &reply).failure()))
                }
                _ => Err(unknown(error)),
            };
        }
        self.dialogue.reply(self.limits.verdict).await.map_err(unknown)
    }

    /// Ends the session with QUIT (RFC 5321 section 4.1.1.10). Nothing depends on it, so it is not waited for for long.
    pub(super) async fn leave(mut self) {
        let limit = self.limits.goodbye;
        let goodbye = async {
            let _ = self.dialogue.command("QUIT", limit).await;
            let _ = self.dialogue.close().await;
        };
        let _ = tokio::time::timeout(limit, goodbye).await;
    }
}

/// What is known of an e-mail whose session broke off.
const NOT_SENT: &str = "the e-mail was not sent";
const NOT_KNOWN: &str = "whether the server accepted the e-mail is not known";

/// The failure of a message that the server answered.
fn answered(phase: Phase, reply: &Reply) -> Attempt {
    let failure = match verdict(phase, reply) {
        Verdict::Later => {
            let message = format!("the mail server deferred the e-mail: {}", reply.shown());
            SmtpFailure::Later(Problem::new("mail-deferred", message, RETRY))
        }
        Verdict::Refused => {
            let message = format!("the mail server refused the e-mail: {}", reply.shown());
            SmtpFailure::Refused(Problem::new("mail-refused", message, RETRY))
        }
        Verdict::Us(trouble) => {
            let (code, what, advice) = trouble.words();
            SmtpFailure::Us(Box::new(InTheWay {
                own: Problem::new(code, format!("{what}: {}", reply.shown()), advice),
                shared: Problem::new(code, format!("{what} ({})", reply.codes()), advice),
            }))
        }
    };
    match reply.code {
        CLOSING => Attempt::Failed(failure),
        _ => Attempt::Answered(failure),
    }
}

fn ended_before(why: &str) -> Attempt {
    Attempt::EndedBefore(SmtpFailure::Later(lost(why, NOT_SENT)))
}

fn lost(why: &str, known: &str) -> Problem {
    let why: String = one_line(why).chars().take(ERROR_CHARS).collect();
    let message = format!("the session with the mail server broke off, and {known}: {why}");
    Problem::new("mail-connection-lost", message, RETRY)
}

fn silent(limit: Duration) -> Problem {
    let message = format!(
        "the mail server did not answer within {} s, and {NOT_KNOWN}",
        limit.as_secs()
    );
    Problem::new("mail-server-silent", message, RETRY)
}

/// A message as it goes over the wire: each line ends with CR LF, a dot at the beginning of one is doubled (RFC 5321
/// section 4.5.2), and a dot alone ends it.
fn transparent(message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut wire = Zeroizing::new(Vec::with_capacity(message.len() + message.len() / 16 + 16));
    let body = message.strip_suffix(b"\n").unwrap_or(message);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        // A CR alone could be taken for the end of a line, and what follows for the end of the message.
        wire.extend(line.iter().filter(|byte| **byte != b'\r'));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bss_model::{Contact, MailSettings};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::super::letter;
    use super::*;

    /// The time that a test waits for what must end by itself.
    const PATIENCE: Duration = Duration::from_secs(30);

    const SHORT: Duration = Duration::from_millis(200);

    /// A step of a session after which the server says nothing more.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum SilentAt {
        Nowhere,
        Greeting,
        Hello,
        Sender,
        Recipient,
        Data,
        Dot,
        Quit,
    }

    /// A server in clear that goes silent, and keeps every connection.
    async fn server(silent_at: SilentAt) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(converse(tcp, silent_at));
            }
        });
        (port, serving)
    }

    async fn converse(tcp: TcpStream, silent_at: SilentAt) -> Option<()> {
        let mut tcp = BufReader::new(tcp);
        let mut is_message = false;
        let mut reply = Some((SilentAt::Greeting, "220 mail.test"));
        loop {
            if let Some((step, text)) = reply {
                if step == silent_at {
                    std::future::pending::<()>().await;
                }
                tcp.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            }
            let mut line = String::new();
            if tcp.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            reply = match line.get(..4).unwrap_or(line) {
                "." if is_message => {
                    is_message = false;
                    Some((SilentAt::Dot, "250 taken"))
                }
                _ if is_message => None,
                "EHLO" => Some((SilentAt::Hello, "250 mail.test")),
                "MAIL" => Some((SilentAt::Sender, "250 ok")),
                "RCPT" => Some((SilentAt::Recipient, "250 ok")),
                "DATA" => {
                    is_message = silent_at != SilentAt::Data;
                    Some((SilentAt::Data, "354 go on"))
                }
                "QUIT" => Some((SilentAt::Quit, "221 bye")),
                _ => Some((SilentAt::Nowhere, "500 what?")),
            };
        }
    }

    fn client(port: u16) -> Smtp {
        let server = SmtpServer {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            protection: SmtpProtection::None,
            user: None,
            password: None,
            trusted_authorities_pem: None,
            hello_name: Some("host.example".to_owned()),
            access_token: None,
        };
        let limits = Limits {
            connect: PATIENCE,
            enter: SHORT,
            command: SHORT,
            write: SHORT,
            verdict: SHORT,
            goodbye: SHORT,
        };
        let client = Smtp::new(&server, Login::None).unwrap();
        Smtp { limits, ..client }
    }

    fn letter() -> Letter {
        let settings = MailSettings {
            from: "shop@host.example".to_owned(),
            delivery: bss_model::MailDelivery::Directory("none".into()),
            templates: None,
        };
        let contact = Contact {
            email: "c@customer.test".to_owned(),
            language: "en".to_owned(),
        };
        letter::compose_test(&settings, &contact).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_anywhere_is_waited_for_within_a_limit() {
        let letter = letter();
        for (silent_at, code, says) in [
            (
                SilentAt::Greeting,
                Some("mail-server-unreachable"),
                "connecting took longer",
            ),
            (SilentAt::Hello, Some("mail-server-unreachable"), "took longer"),
            (SilentAt::Sender, Some("mail-connection-lost"), NOT_SENT),
            (SilentAt::Recipient, Some("mail-connection-lost"), NOT_SENT),
            (SilentAt::Data, Some("mail-connection-lost"), NOT_SENT),
            (SilentAt::Dot, Some("mail-server-silent"), NOT_KNOWN),
            (SilentAt::Quit, None, ""),
            (SilentAt::Nowhere, None, ""),
        ] {
            let (port, serving) = server(silent_at).await;
            let client = client(port);
            let session = async {
                let mut connection = None;
                let delivered = client.deliver(&mut connection, &letter).await;
                if let Some(session) = connection {
                    session.leave().await;
                }
                delivered
            };
            let delivered = tokio::time::timeout(PATIENCE, session).await.expect("it ends");
            match (code, &delivered) {
                (None, Ok(())) => {}
                (Some(code), Err(failure)) => {
                    let problem = failure.problem();
                    assert_eq!(problem.code, code, "{silent_at:?}: {problem:?}");
                    assert!(
                        problem.message.contains(says) || problem.message.contains("did not answer"),
                        "{silent_at:?}: {problem:?}"
                    );
                }
                other => panic!("{silent_at:?}: {other:?}"),
            }
            serving.abort();
        }
    }

    #[test]
    fn the_longest_wait_is_for_the_answer_to_a_message_as_the_rfc_has_it() {
        assert_eq!(LIMITS.verdict, Duration::from_secs(600));
        for limit in [
            LIMITS.connect,
            LIMITS.enter,
            LIMITS.command,
            LIMITS.write,
            LIMITS.goodbye,
        ] {
            assert!(limit < LIMITS.verdict, "{limit:?}");
        }
        assert!(LIMITS.goodbye <= Duration::from_secs(5));
    }

    #[test]
    fn a_message_goes_out_with_whole_line_ends_and_doubled_dots() {
        for (message, wire) in [
            (&b"a\r\n.b\r\n..c\r\n"[..], &b"a\r\n..b\r\n...c\r\n.\r\n"[..]),
            (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\r\nb\r\n", b"a.\r\nb\r\n.\r\n"),
            (b".", b"..\r\n.\r\n"),
        ] {
            assert_eq!(transparent(message).as_slice(), wire);
        }
    }

    #[test]
    fn what_a_server_offers_is_read_in_any_case_and_each_once() {
        let reply = Reply {
            code: 250,
            lines: [
                "mail.test STARTTLS",
                "8bitmime",
                "SIZE 1000",
                "AUTH=LOGIN",
                "AUTH LOGIN plain",
                "Smtputf8",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let offers = Offers {
            start_tls: false,
            smtp_utf8: true,
            eight_bit_mime: true,
            auth: vec!["LOGIN".to_owned(), "PLAIN".to_owned()],
        };
        assert_eq!(Offers::of(&reply), offers);
    }
}

//! A mail server of one test: real TCP, real TLS, and whatever answers the test orders.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bss_model::{MailDelivery, MailSettings, Secret, SmtpProtection, SmtpServer};
use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::openssl;

/// The server's answer to one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Takes the message.
    #[default]
    Accept,
    /// Answers 450 to the message's recipient.
    Defer,
    /// Answers 550 to the message's recipient.
    Refuse,
    /// Answers 550 to the message's second recipient.
    RefuseCopy,
    /// Answers 550 to the message's sender.
    RefuseSender,
    /// Answers 554 to the message itself, after all of it was read.
    RefuseMessage,
    /// Takes the message, and closes the connection instead of saying so.
    TakeAndDrop,
    /// Takes the message, says so, and closes the connection.
    AcceptAndClose,
    /// Takes the message, and says nothing to it.
    TakeAndBeSilent,
    /// Takes the message, and says so in these bytes.
    TakeSaying(&'static [u8]),
    /// Refuses in these bytes at a step.
    Says(Step, &'static [u8]),
}

/// A step at which a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Sender,
    Recipient,
    Data,
    Message,
}

/// A message that the server has taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) encrypted: bool,
    /// The login as the client sent it, `\0user\0password` in clear.
    pub(crate) login: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    /// The second recipient.
    pub(crate) copy: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// Features that a server offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) start_tls: bool,
    pub(crate) tls_at_once: bool,
    /// Whether every login succeeds; if not, none does.
    pub(crate) lets_in: bool,
    /// What somebody on the way adds behind the reply to STARTTLS, in the same packet.
    pub(crate) injected: &'static str,
    /// The first thing that the server says.
    pub(crate) greeting: &'static [u8],
    /// The ways to log in.
    pub(crate) auth: &'static str,
    /// The answer to EHLO, where it is not the usual one.
    pub(crate) ehlo: Option<&'static [u8]>,
    /// Whether QUIT is answered.
    pub(crate) answers_quit: bool,
    /// Whether the server's own certificate is one of an authority, as `openssl req -x509` makes it.
    pub(crate) is_authority: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            start_tls: true,
            tls_at_once: false,
            lets_in: true,
            injected: "",
            greeting: b"220 mail.test ESMTP",
            auth: "PLAIN",
            ehlo: None,
            answers_quit: true,
            is_authority: false,
        }
    }
}

struct State {
    offer: Offer,
    tls: TlsAcceptor,
    answers: Mutex<VecDeque<Answer>>,
    taken: Mutex<Vec<Taken>>,
    connections: AtomicUsize,
    /// Every line that came over a connection without TLS.
    in_clear: Mutex<Vec<String>>,
    /// Every line that came.
    heard: Mutex<Vec<String>>,
}

/// A mail server that runs until it is dropped.
pub(crate) struct MailServer {
    state: Arc<State>,
    address: SocketAddr,
    certificate_pem: String,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl MailServer {
    pub(crate) async fn start(offer: Offer) -> Self {
        let (certificate_pem, key_pem) = match offer.is_authority {
            true => by_openssl(),
            false => {
                let rcgen::CertifiedKey { cert, signing_key } =
                    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
                (cert.pem(), signing_key.serialize_pem())
            }
        };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let state = Arc::new(State {
            offer,
            tls: TlsAcceptor::from(Arc::new(tls)),
            answers: Mutex::default(),
            taken: Mutex::default(),
            connections: AtomicUsize::default(),
            in_clear: Mutex::default(),
            heard: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Arc::clone(&serving), stream));
            }
        });
        Self {
            state,
            address,
            certificate_pem,
            accepting,
        }
    }

    /// Sets the answers to the next messages, in this order; later messages are accepted.
    pub(crate) fn answers(&self, answers: &[Answer]) {
        self.state.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.state.heard.lock().unwrap().clone()
    }

    pub(crate) fn in_clear(&self) -> Vec<String> {
        self.state.in_clear.lock().unwrap().clone()
    }

    /// Settings that reach the server, logged in and by STARTTLS unless the server offers TLS at once.
    pub(crate) fn settings(&self) -> MailSettings {
        MailSettings {
            from: "Shop <shop@host.example>".to_owned(),
            delivery: MailDelivery::Smtp(self.server()),
            templates: None,
        }
    }

    pub(crate) fn server(&self) -> SmtpServer {
        SmtpServer {
            host: "localhost".to_owned(),
            port: self.address.port(),
            protection: if self.state.offer.tls_at_once {
                SmtpProtection::Tls
            } else {
                SmtpProtection::StartTls
            },
            user: Some("shop".to_owned()),
            password: Some(Secret::new(PASSWORD)),
            trusted_authorities_pem: Some(self.certificate_pem.clone()),
            hello_name: None,
            access_token: None,
        }
    }
}

/// A certificate and its key as an operator makes them for a relay, PEM.
fn by_openssl() -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let request = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=relay -addext subjectAltName=DNS:localhost \
                   -keyout key.pem -out cert.pem";
    openssl(directory.path(), &request.split_whitespace().collect::<Vec<_>>());
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    (read("cert.pem"), read("key.pem"))
}

/// The password that the shop logs in with.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

async fn serve(state: Arc<State>, stream: TcpStream) {
    if state.offer.tls_at_once {
        if let Ok(stream) = state.tls.accept(stream).await {
            converse(&state, stream, true, true).await;
        }
        return;
    }
    let Some(stream) = converse(&state, stream, false, true).await else {
        return;
    };
    if let Ok(stream) = state.tls.accept(stream).await {
        converse(&state, stream, true, false).await;
    }
}

/// Answers line by line. Returns the stream if the client wants TLS on it.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    state: &State,
    stream: S,
    encrypted: bool,
    greet: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greet {
        say(&mut stream, state.offer.greeting).await?;
    }
    let mut session = Session {
        encrypted,
        ..Session::default()
    };
    loop {
        let line = read_line(&mut stream).await?;
        if !encrypted {
            state.in_clear.lock().unwrap().push(line.clone());
        }
        state.heard.lock().unwrap().push(line.clone());
        match session.step(state, &line)? {
            Reaction::Say(reply) => say(&mut stream, &reply).await?,
            Reaction::StartTls => {
                say(
                    &mut stream,
                    format!("220 go ahead{}", state.offer.injected).as_bytes(),
                )
                .await?;
                return Some(stream.into_inner());
            }
            Reaction::Challenge(challenge) => {
                say(&mut stream, challenge.as_bytes()).await?;
                let answer = read_line(&mut stream).await?;
                state.heard.lock().unwrap().push(answer.clone());
                let refusal = if answer.is_empty() {
                    "535 5.7.3 who are you?"
                } else {
                    "501 what?"
                };
                say(&mut stream, refusal.as_bytes()).await?;
            }
            Reaction::Read => {
                if let Answer::Says(Step::Data, reply) = session.answer {
                    say(&mut stream, reply).await?;
                    continue;
                }
                say(&mut stream, b"354 go on").await?;
                let bytes = read_message(&mut stream).await?;
                match session.answer {
                    Answer::RefuseMessage => say(&mut stream, b"554 not this one").await?,
                    Answer::Says(Step::Message, reply) => say(&mut stream, reply).await?,
                    answer => {
                        state.taken.lock().unwrap().push(session.taken(bytes));
                        match answer {
                            Answer::TakeAndDrop => return None,
                            Answer::TakeAndBeSilent => std::future::pending().await,
                            Answer::TakeSaying(reply) => say(&mut stream, reply).await?,
                            _ => say(&mut stream, b"250 taken").await?,
                        }
                        if answer == Answer::AcceptAndClose {
                            return None;
                        }
                    }
                }
            }
            Reaction::Leave if !state.offer.answers_quit => std::future::pending().await,
            Reaction::Leave => {
                say(&mut stream, b"221 bye").await?;
                return None;
            }
        }
    }
}

/// The server's reaction to a line of the client.
enum Reaction {
    Say(Vec<u8>),
    StartTls,
    /// Says why an access token is no good, and waits for the empty line.
    Challenge(String),
    Read,
    Leave,
}

/// A client and its current message, as far as they are known.
#[derive(Default)]
struct Session {
    encrypted: bool,
    login: Option<String>,
    from: String,
    to: String,
    copy: Option<String>,
    answer: Answer,
}

impl Session {
    /// Reads one line of the client. `None` when it makes no sense, and neither does going on.
    fn step(&mut self, state: &State, line: &str) -> Option<Reaction> {
        let command = line.split([' ', ':']).next()?.to_ascii_uppercase();
        let reply = match command.as_str() {
            "EHLO" => return Some(Reaction::Say(self.ehlo(state))),
            "STARTTLS" if state.offer.start_tls => return Some(Reaction::StartTls),
            "AUTH" => {
                let (way, given) = line.strip_prefix("AUTH ")?.split_once(' ')?;
                let given = BASE64.decode(given.as_bytes()).ok()?;
                self.login = Some(String::from_utf8(given).ok()?);
                match state.offer.lets_in {
                    true => "235 welcome",
                    false if way == "XOAUTH2" => {
                        let why = br#"{"status":"401","schemes":"bearer","scope":"https://mail.test/"}"#;
                        return Some(Reaction::Challenge(format!("334 {}", BASE64.encode(why))));
                    }
                    false => "535 who are you?",
                }
            }
            "MAIL" => {
                line.clone_into(&mut self.from);
                self.to.clear();
                self.copy = None;
                self.answer = state.answers.lock().unwrap().pop_front().unwrap_or_default();
                match self.answer {
                    Answer::RefuseSender => "550 not from you",
                    Answer::Says(Step::Sender, reply) => return Some(Reaction::Say(reply.to_vec())),
                    _ => "250 sender noted",
                }
            }
            "RCPT" if !self.to.is_empty() => match self.answer {
                Answer::RefuseCopy => "550 5.1.1 no such clerk",
                _ => {
                    self.copy = Some(line.to_owned());
                    "250 recipient noted"
                }
            },
            "RCPT" => {
                line.clone_into(&mut self.to);
                match self.answer {
                    Answer::Defer => "450 come back later",
                    Answer::Refuse => "550 5.1.1 no such customer",
                    Answer::Says(Step::Recipient, reply) => return Some(Reaction::Say(reply.to_vec())),
                    _ => "250 recipient noted",
                }
            }
            "DATA" => return Some(Reaction::Read),
            "RSET" => {
                self.to.clear();
                "250 forgotten"
            }
            "QUIT" => return Some(Reaction::Leave),
            _ => "502 what?",
        };
        Some(Reaction::Say(reply.as_bytes().to_vec()))
    }

    fn ehlo(&self, state: &State) -> Vec<u8> {
        let offer = state.offer;
        if let Some(reply) = offer.ehlo {
            return reply.to_vec();
        }
        let mut lines = vec!["mail.test".to_owned(), "8BITMIME".to_owned()];
        if !offer.auth.is_empty() {
            lines.push(format!("AUTH {}", offer.auth));
        }
        if offer.start_tls && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        }
        let last = lines.pop().unwrap();
        let more = lines.iter().map(|line| format!("250-{line}\r\n"));
        format!("{}250 {last}", more.collect::<String>()).into_bytes()
    }

    fn taken(&self, bytes: Vec<u8>) -> Taken {
        Taken {
            encrypted: self.encrypted,
            login: self.login.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            copy: self.copy.clone(),
            bytes,
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &[u8]) -> Option<()> {
    stream.write_all(&[line, b"\r\n"].concat()).await.ok()?;
    stream.flush().await.ok()
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = Vec::new();
    let read = stream.read_until(b'\n', &mut line).await.ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Reads a message up to the line that is a dot, with the dots that were doubled undone (RFC 5321 section 4.5.2).
async fn read_message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        match line.as_slice() {
            b".\r\n" => return Some(message),
            [b'.', rest @ ..] => message.extend_from_slice(rest),
            line => message.extend_from_slice(line),
        }
    }
}

//! A receiver of webhooks that takes most events, refuses some once, and breaks off after it has taken others, as one that dies.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// The longest request that is read.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// An event as it is sent.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    asset_id: Uuid,
}

/// What the receiver was told.
#[derive(Default)]
struct Heard {
    /// The ids of events that it has taken, with the asset and the type that each was told with.
    taken: HashMap<String, HashSet<(Uuid, String)>>,
    /// The ids of events that it has heard of at all.
    seen: HashSet<String>,
    /// The times that it was told what it had taken already.
    repeated: usize,
}

/// What a receiver has heard by the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The assets of which it was told that they are licensed, an entry for each event.
    pub(crate) licensed: Vec<Uuid>,
    /// Events whose id stands for more than one thing.
    pub(crate) ambiguous: usize,
    /// The times that it was told what it had taken already.
    pub(crate) repeated: usize,
}

/// A receiver that runs until it is dropped.
pub(crate) struct Receiver {
    /// The address that events are sent to.
    pub(crate) url: String,
    /// The authority that issued its certificate.
    pub(crate) authority_pem: String,
    heard: Arc<Mutex<Heard>>,
    accepting: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://localhost:{}/hooks", listener.local_addr()?.port());
        let heard = Arc::<Mutex<Heard>>::default();
        let all = heard.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), all.clone());
                connections.spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        // Who sends is killed, too: a request that broke off is none.
                        let _ = serve(tls, &heard).await;
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            url,
            authority_pem: authority.pem(),
            heard,
            accepting,
        })
    }

    /// What it has heard so far.
    pub(crate) fn told(&self) -> Told {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let events = heard.taken.values().flatten();
        let licensed = events.filter(|(_, what)| what == "asset.licensed");
        Told {
            licensed: licensed.map(|(asset, _)| *asset).collect(),
            ambiguous: heard.taken.values().filter(|told| told.len() > 1).count(),
            repeated: heard.repeated,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
    /// Taken, and never answered.
    BrokenOff,
}

/// Reads a request and answers it, if at all.
async fn serve(
    mut tls: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    heard: &Mutex<Heard>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let read = tls.read_buf(&mut bytes).await?;
        anyhow::ensure!(
            read > 0 && bytes.len() <= REQUEST_BYTES_MAX,
            "the request broke off"
        );
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length: usize = header(head, "content-length").context("no length")?.parse()?;
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let id = header(&head, "webhook-id").context("no id")?;
    let event: Event = serde_json::from_str(&body)?;
    let fate = hear(heard, &id, event);
    let answer = match fate {
        Fate::Taken => "HTTP/1.1 204 Taken\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Fate::Refused => "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Fate::BrokenOff => return Ok(()),
    };
    tls.write_all(answer.as_bytes()).await?;
    tls.shutdown().await?;
    Ok(())
}

/// Takes note of an event. The first letter of its id decides what becomes of it when it comes for the first time.
fn hear(heard: &Mutex<Heard>, id: &str, event: Event) -> Fate {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = heard.seen.insert(id.to_owned());
    let fate = match id.chars().next() {
        Some('0'..='3') if is_first => Fate::Refused,
        Some('4'..='7') if is_first => Fate::BrokenOff,
        _ => Fate::Taken,
    };
    if fate != Fate::Refused {
        heard.repeated += usize::from(heard.taken.contains_key(id));
        let told = heard.taken.entry(id.to_owned()).or_default();
        told.insert((event.data.asset_id, event.r#type));
    }
    fate
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}

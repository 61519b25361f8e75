//! The server of the made-up vendor Acme Keys, for tests: HTTPS on loopback with an authority of its own, API keys, a
//! ledger that outlives the process, and faults to order.
//!
//! A client id that is sent twice buys twice, unless [`Options::idempotent`] says otherwise: so a test sees in the
//! [`ledger`](Vendor::ledger) whatever a host should not have sent again.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use books::{Books, Identity, letters};
use site::{Site, lock};

pub use books::{Sold, State};
pub use faults::{Fault, Faults, Route};
pub use site::Received;

mod books;
mod faults;
mod site;

/// How to start a server. By default it has no folder, and listens on a port that is free.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the ledger, the keys and the certificates are kept, for a server that is started again. `None`: in memory.
    pub folder: Option<PathBuf>,
    /// The port on 127.0.0.1. 0: one that is free.
    pub port: u16,
    /// Whether a client id that is sent again gets the license that it has bought.
    pub idempotent: bool,
    /// How long purchases and returns take; they are carried out half-way through.
    pub answer_after: Duration,
}

/// A customer of Acme's. It holds an API key, so it has no `Debug`.
#[derive(Clone)]
pub struct Account {
    /// The account number.
    pub number: String,
    /// The API key.
    pub api_key: String,
}

/// A running server. Dropping it closes its connections.
pub struct Vendor {
    port: u16,
    authority_pem: String,
    site: Arc<Site>,
    _server: JoinSet<()>,
}

impl Vendor {
    /// Starts a server on the current tokio runtime; it accepts connections when this returns.
    ///
    /// # Errors
    /// When the folder can't be used, or the port can't be listened on.
    pub async fn start(options: Options) -> Result<Vendor> {
        let Options {
            folder,
            port,
            idempotent,
            answer_after,
        } = options;
        let books = Books::open(folder)?;
        let identity = books.identity.clone();
        let site = Arc::new(Site {
            books: books.into(),
            faults: Faults::default(),
            received: Vec::new().into(),
            catalog: catalog().into(),
            idempotent,
            answer_after,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .context("the port can't be listened on")?;
        let port = listener.local_addr()?.port();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, tls(&identity)?, Arc::clone(&site)));
        Ok(Vendor {
            port,
            authority_pem: identity.authority,
            site,
            _server: server,
        })
    }

    /// The address of the API, as an operator types it into Service URL.
    pub fn url(&self) -> String {
        format!("https://{}{}", self.authority(), site::BASE)
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The certificate (PEM) that clients must trust.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Opens an account, which has one API key.
    ///
    /// # Errors
    /// When the account can't be kept.
    pub fn new_account(&self) -> Result<Account> {
        let number = {
            let mut books = lock(&self.site.books);
            let number = format!("ACC-{}", 1_001 + books.accounts.len());
            books.accounts.push(number.clone());
            number
        };
        let api_key = self.new_key(&number)?;
        Ok(Account { number, api_key })
    }

    /// The numbers of the accounts, in the order in which they were opened.
    pub fn accounts(&self) -> Vec<String> {
        lock(&self.site.books).accounts.clone()
    }

    /// Makes another API key for an account, by its number; the others stay good.
    ///
    /// # Errors
    /// When the key can't be kept.
    pub fn new_key(&self, account: &str) -> Result<String> {
        let api_key = format!("acme_{}", letters(32)?);
        let mut books = lock(&self.site.books);
        books.keys.push((account.to_owned(), api_key.clone()));
        books.save()?;
        Ok(api_key)
    }

    /// Revokes an API key: requests with it are answered with 401.
    ///
    /// # Errors
    /// When that can't be kept.
    pub fn revoke(&self, api_key: &str) -> Result<()> {
        let mut books = lock(&self.site.books);
        books.keys.retain(|(_, key)| key != api_key);
        books.save()
    }

    /// Every purchase, in order.
    pub fn ledger(&self) -> Vec<Sold> {
        lock(&self.site.books).sold.clone()
    }

    /// Every request since the start, in order, lost ones included.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.site.received).clone()
    }

    /// The faults on order.
    pub fn faults(&self) -> &Faults {
        &self.site.faults
    }

    /// Replaces the catalog. Items are JSON, so that there can be some that nobody understands.
    pub fn set_catalog(&self, items: Vec<Value>) {
        *lock(&self.site.catalog) = items;
    }
}

/// Writes an API key, or anything else, into a file that only its owner may read.
///
/// # Errors
/// When the file can't be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    books::write(path, text)
}

/// Every purchase that was made of the server of a folder, in order, whether it runs or not.
///
/// # Errors
/// When the folder can't be read.
pub fn read_ledger(folder: &Path) -> Result<Vec<Sold>> {
    Ok(Books::read(folder)?.map_or_else(Vec::new, |books| books.sold))
}

/// The catalog of a new server.
pub fn catalog() -> Vec<Value> {
    let item = |sku, name, kind, edition, max_quantity: Option<u32>| {
        let about = "Works on coyotes, too.";
        json!({"sku": sku, "name": name, "description": about, "kind": kind, "edition": edition,
            "maxQuantity": max_quantity, "returnable": true})
    };
    vec![
        item("ANVIL-HOME", "Anvil Home", "key", "Home", None),
        item("ANVIL-PRO", "Anvil Pro", "key", "Pro", None),
        item("ROCKET-PRO", "Rocket Pro", "key", "Pro", None),
        item("ANVIL-TEAM", "Anvil for teams", "team", "Pro", Some(50)),
        item("ROCKET-TEAM", "Rocket for teams", "team", "Pro", Some(500)),
    ]
}

/// TLS for HTTP/1.1, whose connections can be cut for one request.
fn tls(identity: &Identity) -> Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(connection(tcp, tls.clone(), Arc::clone(&site)));
                }
                // Out of file descriptors: some connection will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(tcp: TcpStream, tls: TlsAcceptor, site: Arc<Site>) {
    let Ok(stream) = tls.accept(tcp).await else {
        return;
    };
    let service = service_fn(|request| site.answer(request));
    // An error is a client that went away, or a fault that was ordered.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

//! A Microsoft to test against: Entra's token endpoint and the CIS API on real sockets, with real mutual TLS.
//!
//! The simulator is for plugin authors and for tests. Its licenses are worth nothing, but it behaves as the real
//! Microsoft must: it verifies assertions and client certificates, keeps every license it ever issued in a durable
//! ledger, and issues one license per client transaction id, unless it is told to forget purchases. Failures of the
//! real Microsoft can be ordered here, see [`Faults`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use access_tokens::AccessTokens;
use authority::Authority;
use cis::Cis;
use clock::Clock;
use connections::Connections;
use entra::Entra;
use ledger::Ledger;
use plain_http::PlainHttp;
use server::Server;

pub use applications::{Application, ApplicationError};
pub use authority::{
    AuthorityError, CertificateRequest, ExtendedKeyUsage, IssuedCertificate, KeyKind, Registration,
};
pub use catalog::{Catalog, FALLBACK_LANGUAGE, Offer, OfferStatus, OfferText};
pub use connections::{ConnectionSeen, TlsVersion};
pub use error::SimulatorError;
pub use faults::{ConnectionFault, Fault, Faults, Listener, Operation, Repeat, Rewriting, When};
pub use files::FileError;
pub use ledger::{LedgerCustomer, LedgerEntry, LedgerError, TokenStatus};
pub use options::{HttpVersions, SimulatorOptions, TlsVersions};
pub use pfx::PfxError;
pub use random::NoRandomness;

mod access_tokens;
mod answer;
mod applications;
mod authority;
mod catalog;
mod cis;
mod clock;
mod connections;
mod entra;
mod error;
mod faults;
mod files;
mod ledger;
mod options;
mod pfx;
mod plain_http;
mod random;
mod server;
mod tcp;
mod tls;

/// The addresses of the simulated Microsoft and the ids of its customer, as an operator types them into the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The base URL of the CIS API.
    pub service_url: String,
    /// The resource that access tokens are asked for.
    pub resource_api: String,
    /// Host and port of Entra.
    pub login_authority: String,
    /// The Entra tenant.
    pub tenant: Uuid,
    /// The Bill To account.
    pub channel_id: String,
    /// The Entra application.
    pub client_id: Uuid,
    /// The certificate (PEM) that TLS clients must trust.
    pub ca_file: PathBuf,
}

/// The addresses of the simulated Microsoft for requests without TLS and without certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlainAddresses {
    /// The CIS API.
    pub service: SocketAddr,
    /// Entra.
    pub login: SocketAddr,
}

impl PlainAddresses {
    /// Each address of `details` with the one that replaces it, as `tests/interop/stock/adapter` reads it:
    /// `localhost:8443=127.0.0.1:8080`, joined by a comma.
    pub fn instead_of(&self, details: &Details) -> String {
        let Details {
            resource_api,
            login_authority,
            ..
        } = details;
        let service = resource_api.trim_start_matches("https://");
        format!("{service}={},{login_authority}={}", self.service, self.login)
    }
}

/// The state that the two sites and the simulator's owner share.
#[derive(Clone)]
struct Shared {
    applications: Arc<applications::Applications>,
    access_tokens: Arc<AccessTokens>,
    catalog: Arc<RwLock<Arc<catalog::PublishedCatalog>>>,
    connections: Arc<Connections>,
    clock: Arc<Clock>,
    faults: Arc<Faults>,
    ledger: Ledger,
    answer_after: Duration,
    forgets_purchases: bool,
}

impl Shared {
    fn entra(&self, details: &Details) -> Entra {
        Entra {
            login_authority: details.login_authority.clone(),
            resource: details.resource_api.clone(),
            applications: Arc::clone(&self.applications),
            access_tokens: Arc::clone(&self.access_tokens),
            ledger: self.ledger.clone(),
            faults: Arc::clone(&self.faults),
        }
    }

    fn cis(&self) -> Cis {
        Cis {
            applications: Arc::clone(&self.applications),
            access_tokens: Arc::clone(&self.access_tokens),
            ledger: self.ledger.clone(),
            catalog: Arc::clone(&self.catalog),
            connections: Arc::clone(&self.connections),
            clock: Arc::clone(&self.clock),
            faults: Arc::clone(&self.faults),
            answer_after: self.answer_after,
            forgets_purchases: self.forgets_purchases,
        }
    }
}

/// A running simulator. Dropping it stops it; `stop` also waits for running requests to end.
pub struct Simulator {
    details: Details,
    /// The addresses on which CIS and Entra listen.
    addresses: [SocketAddr; 2],
    authority: Authority,
    shared: Shared,
    stopped: watch::Sender<bool>,
    servers: JoinSet<()>,
}

impl Simulator {
    /// Starts a simulator; it accepts connections when this returns. It runs on the current tokio runtime.
    ///
    /// # Errors
    /// When its directory can't be used or an address can't be listened on.
    pub async fn start(options: SimulatorOptions) -> Result<Simulator, SimulatorError> {
        let SimulatorOptions {
            directory,
            service_address,
            login_address,
            tls,
            http,
            catalog,
            access_token_life,
            answer_after,
            forgets_purchases,
        } = options;
        files::make_directory(&directory)?;
        let applications = applications::Applications::open(&directory)?;
        let authority = Authority::open(&directory, &authority_name(applications.tenant()))?;
        let identity = authority.server_identity(&directory)?;
        files::create(&directory.join(ledger::FILE))?;
        let shared = Shared {
            applications: Arc::new(applications),
            access_tokens: Arc::new(AccessTokens::new(access_token_life)),
            catalog: Arc::new(RwLock::new(Arc::new(catalog::PublishedCatalog::new(catalog)))),
            connections: Arc::default(),
            clock: Arc::default(),
            faults: Arc::default(),
            ledger: Ledger::open(&directory).await?,
            answer_after,
            forgets_purchases,
        };
        shared.ledger.keep_purchases_apart(!forgets_purchases).await?;
        let (service_listener, service_port) = listen(service_address).await?;
        let (login_listener, login_port) = listen(login_address).await?;
        let details = Details {
            service_url: format!("https://localhost:{service_port}{}", cis::BASE_PATH),
            resource_api: format!("https://localhost:{service_port}"),
            login_authority: format!("localhost:{login_port}"),
            tenant: shared.applications.tenant(),
            channel_id: shared.applications.first().channel_id.clone(),
            client_id: shared.applications.first().client_id,
            ca_file: directory.join("ca.pem"),
        };
        let login = Server {
            listener: login_listener,
            name: Listener::Login,
            tls: tls::without_client_certificate(tls, http, &identity)?,
            site: Arc::new(shared.entra(&details)),
            faults: Arc::clone(&shared.faults),
        };
        let service = Server {
            listener: service_listener,
            name: Listener::Service,
            tls: tls::requiring_client_certificate(
                tls,
                http,
                &identity,
                authority.certificate()?,
                Arc::clone(&shared.applications),
            )?,
            site: Arc::new(shared.cis()),
            faults: Arc::clone(&shared.faults),
        };
        let (stopped, stop) = watch::channel(false);
        let mut servers = JoinSet::new();
        servers.spawn(login.run(stop.clone()));
        servers.spawn(service.run(stop));
        Ok(Simulator {
            details,
            addresses: [
                SocketAddr::new(service_address.ip(), service_port),
                SocketAddr::new(login_address.ip(), login_port),
            ],
            authority,
            shared,
            stopped,
            servers,
        })
    }

    /// The simulator's addresses and ids, as an operator types them into the form.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Opens a second way in, by plain HTTP on free ports of the loopback interface, for software that has no client
    /// certificate: **every client that comes that way is taken for the holder of `lent`.** Everything else is checked
    /// as before, assertions and access tokens too.
    ///
    /// # Errors
    /// When the certificate can't be used, or there is no free port.
    pub async fn accept_plain_http_without_certificates(
        &mut self,
        lent: &IssuedCertificate,
    ) -> Result<PlainAddresses, SimulatorError> {
        let [service, login] = self.addresses;
        let service = PlainHttp::before(service, self.authority.certificate()?, lent).await?;
        let login = PlainHttp::before(login, self.authority.certificate()?, lent).await?;
        let addresses = PlainAddresses {
            service: service.address(),
            login: login.address(),
        };
        tracing::warn!(
            service = %addresses.service,
            login = %addresses.login,
            "the simulator accepts plain HTTP, and lends its client certificate to every client that connects that way"
        );
        self.servers.spawn(service.run(self.stopped.subscribe()));
        self.servers.spawn(login.run(self.stopped.subscribe()));
        Ok(addresses)
    }

    /// Issues a client certificate by the simulator's authority, registered as the request says. Making an RSA key
    /// keeps the thread busy: tens of milliseconds for 2,048 bits, up to seconds for 4,096.
    ///
    /// # Errors
    /// When a name in the request is no DNS name or the certificate can't be registered.
    pub fn issue_client_certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<IssuedCertificate, SimulatorError> {
        self.issue(&self.authority, request)
    }

    /// Registers a certificate that was made elsewhere, PEM, with the first application. A self-signed one is taken as a
    /// client's from now on.
    ///
    /// # Errors
    /// When the certificate can't be read or saved, or belongs to another application.
    pub fn register_certificate(&self, certificate_pem: &str) -> Result<(), SimulatorError> {
        let client_id = self.details.client_id;
        Ok(self.shared.applications.register(client_id, certificate_pem)?)
    }

    /// Issues a client certificate as `issue_client_certificate` does, by an authority that nobody trusts and that is
    /// forgotten at once.
    ///
    /// # Errors
    /// As `issue_client_certificate`.
    pub fn issue_untrusted_certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<IssuedCertificate, SimulatorError> {
        let (authority, _) = Authority::create("An authority that nobody trusts")?;
        self.issue(&authority, request)
    }

    fn issue(
        &self,
        by: &Authority,
        request: &CertificateRequest,
    ) -> Result<IssuedCertificate, SimulatorError> {
        let issued = by.issue(request)?;
        let client_id = match request.registration {
            Registration::Application => Some(self.details.client_id),
            Registration::OtherApplication(client_id) => Some(client_id),
            Registration::Unregistered => None,
        };
        if let Some(client_id) = client_id {
            self.shared
                .applications
                .register(client_id, &issued.certificate_pem)?;
        }
        Ok(issued)
    }

    /// Adds an application to the tenant, with a channel of its own: another distributor, or another country.
    ///
    /// # Errors
    /// When the application can't be saved.
    pub fn add_application(&self) -> Result<Application, SimulatorError> {
        Ok(self.shared.applications.add()?)
    }

    /// Every license ever issued, in the order of issue.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn ledger(&self) -> Result<Vec<LedgerEntry>, SimulatorError> {
        Ok(self.shared.ledger.entries().await?)
    }

    /// The TLS connections that CIS has accepted, in order; only the last 100,000 are kept.
    pub fn connections(&self) -> Vec<ConnectionSeen> {
        self.shared.connections.all()
    }

    /// The reasons why TLS handshakes with CIS failed, in order; only the last 100,000 are kept.
    pub fn refused_handshakes(&self) -> Vec<String> {
        self.shared.connections.all_refused()
    }

    /// The faults on order, and how many requests were seen.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Replaces the catalog. Requests that are running keep the catalog they began with.
    pub fn set_catalog(&self, catalog: Catalog) {
        let published = Arc::new(catalog::PublishedCatalog::new(catalog));
        *self
            .shared
            .catalog
            .write()
            .unwrap_or_else(PoisonError::into_inner) = published;
    }

    /// The catalog that is sold now.
    pub fn catalog(&self) -> Catalog {
        self.shared
            .catalog
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .catalog
            .clone()
    }

    /// Redeems a license as a customer does, so that it can't be returned any more.
    ///
    /// # Errors
    /// When there is no such license, or it was used or returned already.
    pub async fn redeem(&self, license_token_id: &str) -> Result<(), SimulatorError> {
        if self.shared.ledger.redeem(license_token_id).await? {
            return Ok(());
        }
        Err(SimulatorError::NotRedeemable {
            license_token_id: license_token_id.to_owned(),
        })
    }

    /// Moves the date at which licenses are bought and returned. TLS, assertions and access tokens go by the machine's
    /// clock as before.
    pub fn move_clock(&self, by: SignedDuration) {
        self.shared.clock.move_by(by);
    }

    /// Makes every access token that was granted so far invalid, as Microsoft may at any time.
    pub fn revoke_access_tokens(&self) {
        self.shared.access_tokens.revoke_all();
    }

    /// Stops listening, lets running requests end for a while, and closes the ledger.
    pub async fn stop(mut self) {
        self.stopped.send_replace(true);
        while self.servers.join_next().await.is_some() {}
        self.shared.ledger.close().await;
    }
}

/// Every license in the ledger of that directory, in the order of issue, whether a simulator runs on it or not.
///
/// # Errors
/// When the ledger can't be read.
pub async fn read_ledger(directory: &Path) -> Result<Vec<LedgerEntry>, SimulatorError> {
    let ledger = Ledger::open(directory).await?;
    let entries = ledger.entries().await;
    ledger.close().await;
    Ok(entries?)
}

async fn listen(address: SocketAddr) -> Result<(tokio::net::TcpListener, u16), SimulatorError> {
    server::bind(address)
        .await
        .map_err(|source| SimulatorError::Listen { address, source })
}

fn authority_name(tenant: Uuid) -> String {
    format!("Simulated Microsoft {tenant}")
}

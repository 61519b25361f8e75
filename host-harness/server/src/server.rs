//! The server: bound, then serving until it is told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post};
use bss_console::{Console, ConsoleOptions};
use bss_model::{Diagnose, Diagnosis, ErrorKind};
use host_harness::{Host, Pulse};
use tokio::sync::Semaphore;

use crate::access::guard;
use crate::certificate::{CertificateError, CertificateFiles, ShownCertificate};
use crate::limits::Limits;
use crate::listener::{Listener, Peer, bind};
use crate::observation::observe;
use crate::state::{CHANGES_MAX, State};
use crate::{
    acts, alerts, assets, cancellations, catalog, certificates, charges, events, health, instances,
    interworks, mails, openapi, orders, products, reference, services_runs, settings,
};

/// How clients and the server speak.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TLS with the certificate of these files, which are read again when they change.
    Tls(CertificateFiles),
    /// Plain HTTP/1.1: for what is behind a proxy of the same machine, on loopback alone.
    PlainHttp,
}

/// Where and how a server listens.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address and the port. Port 0: one that is free.
    pub listen: SocketAddr,
    /// How clients and the server speak.
    pub transport: Transport,
    /// What clients may use of it.
    pub limits: Limits,
    /// The pulse of the worker in this process. `None`: another process works.
    pub worker: Option<Arc<Pulse>>,
    /// Whether operators can sign in at the console, below `/console/`.
    pub console: bool,
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Others than this machine could read and alter what is said.
    #[error("`{address}` is no loopback address, and plain HTTP is for loopback alone")]
    PlainHttpExposed {
        /// The address.
        address: SocketAddr,
    },
    /// The address can't be listened at.
    #[error("the server can't listen at `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// There is no certificate to show.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS can't be set up.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
}

impl Diagnose for ServerError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::PlainHttpExposed { .. } => Diagnosis::new(ErrorKind::Invalid, "plain-http-exposed")
                .say("name a certificate and its key, or listen at 127.0.0.1 behind a proxy that has them"),
            Self::Listen { .. } => Diagnosis::new(ErrorKind::Unavailable, "listen-failed")
                .say("name an address of this machine, and a port that no other program has"),
            Self::Certificate(error) => error.diagnosis(),
            Self::Tls(_) => Diagnosis::new(ErrorKind::Damaged, "server-tls-unusable"),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// All requests were answered.
    Done,
    /// Some were cut off, because they did not end in time.
    CutOff,
}

/// A server that has its address, and whose certificate was read.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
    state: State,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds the address and reads the certificate. Connections wait from now on.
    ///
    /// # Errors
    /// When plain HTTP would be spoken beyond loopback, and when the certificate or the address can't be used.
    pub async fn bind(host: &Host, options: ServerOptions) -> Result<Self, ServerError> {
        let asked = options.listen;
        let certificate = match options.transport {
            Transport::PlainHttp if !asked.ip().to_canonical().is_loopback() => {
                return Err(ServerError::PlainHttpExposed { address: asked });
            }
            Transport::PlainHttp => None,
            Transport::Tls(files) => Some(Arc::new(ShownCertificate::read(files)?)),
        };
        let failed = |source| ServerError::Listen {
            address: asked,
            source,
        };
        let tcp = bind(asked).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self {
            listener: Listener {
                tcp,
                certificate,
                limits: options.limits.clone(),
            },
            address,
            state: State {
                host: host.clone(),
                worker: options.worker,
                has_console: options.console,
                limits: options.limits,
                measures: Arc::default(),
                failed_tries: Arc::default(),
                is_stopping: Arc::new(AtomicBool::new(false)),
                changes: Arc::new(Semaphore::new(CHANGES_MAX as usize)),
                key_work: Arc::new(Semaphore::new(1)),
            },
        })
    }

    /// The address that the server listens at, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The SHA-256 of the certificate, in hexadecimal digits with colons. `None`: plain HTTP is spoken.
    pub fn fingerprint(&self) -> Option<String> {
        let certificate = self.listener.certificate.as_ref();
        certificate.map(|certificate| certificate.fingerprint())
    }

    /// Serves until `stop` is done. Then no connection is accepted any more, and requests under way end within the time for that.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Served, ServerError> {
        let is_stopping = Arc::clone(&self.state.is_stopping);
        let stop = async {
            stop.await;
            is_stopping.store(true, Ordering::Relaxed);
        };
        let changes = Arc::clone(&self.state.changes);
        let changed = async {
            // All places are free once nothing is changed any more, not even for clients that have left.
            let _ = changes.acquire_many(CHANGES_MAX).await;
        };
        match self.listener.serve(router(self.state), stop, changed).await? {
            true => Ok(Served::Done),
            false => Ok(Served::CutOff),
        }
    }
}

/// All routes, which `routes.rs` names with their scopes. What it doesn't name, the guard answers.
pub(crate) fn router(state: State) -> Router {
    let api = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/openapi.json", get(openapi::show))
        .route("/v1/reference", get(reference::show))
        .merge(instance_routes())
        .merge(certificate_routes())
        .route("/v1/orders", get(orders::list).post(orders::place))
        .route("/v1/orders/{order}", get(orders::show))
        .route("/v1/orders/{order}/withdrawal", post(orders::withdraw))
        .route("/v1/order-checks", post(orders::check))
        .route("/v1/events", get(events::list))
        .route("/v1/assets", get(assets::list))
        .route("/v1/assets/{asset}", get(assets::show))
        .route("/v1/assets/{asset}/retry", post(assets::retry))
        .route("/v1/assets/{asset}/refresh", post(assets::refresh))
        .route("/v1/assets/{asset}/attempts", get(assets::attempts))
        .route("/v1/assets/{asset}/key", get(assets::key))
        .route(
            "/v1/assets/{asset}/cancellations",
            get(cancellations::list).post(cancellations::cancel),
        )
        .route("/v1/cancellations", get(cancellations::list_all))
        .route("/v1/cancellations/{cancellation}", get(cancellations::show))
        .route(
            "/v1/cancellations/{cancellation}/confirmation",
            post(cancellations::confirm),
        )
        .route(
            "/v1/cancellations/{cancellation}/declination",
            post(cancellations::decline),
        )
        .route(
            "/v1/cancellations/{cancellation}/withdrawal",
            post(cancellations::withdraw),
        )
        .route("/v1/charges", get(charges::list))
        .route("/v1/credits", get(charges::credits))
        .route("/v1/mails", get(mails::list))
        .route("/v1/mails/{mail}", get(mails::show))
        .route("/v1/mails/{mail}/retry", post(mails::retry))
        .route("/v1/mails/{mail}/copies", post(mails::resend))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/alert-acknowledgements", post(alerts::acknowledge))
        .route("/v1/acts", get(acts::list))
        .route("/v1/acts/digest", get(acts::verify))
        .route(
            "/interworks/{application}/{*call}",
            get(interworks::answer).post(interworks::answer),
        )
        .layer(from_fn_with_state(state.clone(), guard))
        .with_state(state.clone());
    // Of two routers that are merged, the second answers what none has: the API, by its guard.
    console(&state)
        .into_iter()
        .fold(api, |api, console| console.merge(api))
        .layer(from_fn_with_state(state, observe))
}

/// The console, where there is one.
fn console(state: &State) -> Option<Router> {
    let options = ConsoleOptions {
        changes: Arc::clone(&state.changes),
        key_work: Arc::clone(&state.key_work),
        body_bytes: state.limits.body_bytes,
    };
    let console = Console::new(state.host.clone(), options);
    state
        .has_console
        .then(|| console.router().layer(from_fn(named_peer)))
}

/// Tells the console the address that a request came from.
async fn named_peer(mut request: Request, next: Next) -> Response {
    if let Some(peer) = request.extensions().get::<Peer>() {
        let peer = bss_console::Peer(peer.0.ip());
        request.extensions_mut().insert(peer);
    }
    next.run(request).await
}

fn instance_routes() -> Router<State> {
    Router::new()
        .route("/v1/instances", get(catalog::list).post(instances::create))
        .route(
            "/v1/instances/{instance}",
            get(catalog::show).delete(instances::remove),
        )
        .route("/v1/instances/{instance}/renaming", post(instances::rename))
        .route("/v1/instances/{instance}/disablement", post(instances::disable))
        .route("/v1/instances/{instance}/enablement", post(instances::enable))
        .route("/v1/instances/{instance}/spending", get(instances::spending))
        .route(
            "/v1/instances/{instance}/connection-checks",
            post(instances::check_connection),
        )
        .route(
            "/v1/instances/{instance}/certificate-rotation",
            post(instances::rotate_certificate),
        )
        .route("/v1/instances/{instance}/products", get(catalog::products))
        .route("/v1/instances/{instance}/products/{product}", get(products::show))
        .route(
            "/v1/instances/{instance}/products/{product}/price-changes",
            get(products::price_changes),
        )
        .route(
            "/v1/instances/{instance}/products/{product}/prices/{currency}",
            delete(products::remove_price),
        )
        .route(
            "/v1/instances/{instance}/product-decisions",
            post(products::decide),
        )
        .route("/v1/instances/{instance}/prices", post(products::set_prices))
        .route(
            "/v1/instances/{instance}/services-definition",
            get(services_runs::definition),
        )
        .route(
            "/v1/instances/{instance}/services-runs",
            get(services_runs::list).post(services_runs::start),
        )
        .route(
            "/v1/instances/{instance}/services-runs/{run}",
            get(services_runs::show),
        )
        .route(
            "/v1/instances/{instance}/settings",
            get(settings::show).patch(settings::change),
        )
        .route(
            "/v1/instances/{instance}/services-runs/{run}/log",
            get(services_runs::log),
        )
        .route(
            "/v1/instances/{instance}/services-runs/{run}/differences",
            get(services_runs::differences),
        )
        .route(
            "/v1/instances/{instance}/services-runs/{run}/acceptance",
            post(services_runs::accept),
        )
        .route(
            "/v1/instances/{instance}/settings-versions",
            get(instances::history),
        )
}

fn certificate_routes() -> Router<State> {
    Router::new()
        .route(
            "/v1/certificates",
            get(certificates::list).post(certificates::import),
        )
        .route(
            "/v1/certificates/{thumbprint}",
            get(certificates::show).delete(certificates::remove),
        )
        .route("/v1/self-signed-certificates", post(certificates::make))
        .route(
            "/v1/certificate-requests",
            get(certificates::requests).post(certificates::request),
        )
        .route(
            "/v1/certificate-requests/{publicKey}",
            delete(certificates::remove_request),
        )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bss_model::{Actor, ApiScope};
    use host_harness::ApiClientRequest;
    use http::Request;
    use tokio::task::JoinSet;
    use tower_service::Service as _;

    use super::*;

    /// Requests that are cut off: most of them wait for their turn at making a key.
    const CUT_OFF: usize = 8;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_clients_have_begun_to_change_is_changed_although_they_leave_and_the_server_is_told_to_stop()
    {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path()).create().await.unwrap();
        let request = ApiClientRequest {
            name: "desk".to_owned(),
            scopes: [ApiScope::Configure].into(),
            instances: None,
        };
        let client = host.create_api_client(request, &Actor::operator("test")).await;
        let key = format!("Bearer {}", client.unwrap().key.expose());
        let options = ServerOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            transport: Transport::PlainHttp,
            limits: Limits::default(),
            worker: None,
            console: false,
        };
        let server = Server::bind(&host, options).await.unwrap();
        let changes = Arc::clone(&server.state.changes);
        let mut asking = JoinSet::new();
        for _ in 0..CUT_OFF {
            let mut router = router(server.state.clone());
            let request = Request::post("/v1/self-signed-certificates")
                .header("authorization", key.as_str())
                .header("content-type", "application/json")
                .body(Body::from(r#"{"commonName":"a"}"#))
                .unwrap();
            asking.spawn(async move { router.call(request).await });
        }
        let made = async || host.certificates().list().await.unwrap().len();
        let most = CHANGES_MAX as usize;
        while made().await + (most - changes.available_permits()) < CUT_OFF {
            tokio::task::yield_now().await;
        }
        assert!(made().await < CUT_OFF, "some wait still");
        asking.abort_all();
        while asking.join_next().await.is_some() {}
        assert_eq!(server.serve(async {}).await.unwrap(), Served::Done);
        assert_eq!(made().await, CUT_OFF);
    }
}

//! The one way out of a sandbox: HTTPS, to the authorities of the calling instance, with its certificate.
//!
//! Policy comes before I/O, from top to bottom: method and target, the authority on the instance's list, name
//! resolution, every address checked, then a connection to the address that was checked.
//! Connections and TLS sessions live in one client per instance, version of its settings and identity, so that
//! none is ever lent, and none outlives what it was opened with.

mod body;
mod connector;
mod failure;
mod policy;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use rustls::RootCertStore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

#[cfg(feature = "bench")]
use crate::bench::CannedAnswers;
use crate::certificate_store::{Identity, Thumbprint};
use crate::limits;

pub use policy::{Authority, AuthorityError};

/// What one call may reach, and as whom.
#[derive(Clone)]
pub struct Egress {
    /// The instance that the call is for: nothing of what its calls open is used for another.
    pub instance_id: String,
    /// The version of the instance's settings that all of this is from.
    pub settings_version: i64,
    /// The servers it may reach.
    pub authorities: Vec<PermittedAuthority>,
    /// The certificate that is presented to those that ask for it and are marked for it.
    pub identity: Option<Arc<Identity>>,
    /// The authorities whose server certificates are trusted.
    pub trust_roots: Arc<RootCertStore>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
}

/// A server on an instance's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermittedAuthority {
    /// Host and port.
    pub authority: Authority,
    /// Whether the instance's certificate is presented to it.
    pub client_certificate: bool,
}

type HttpsClient = Client<connector::Connector, Full<Bytes>>;

/// What a client's connections and TLS sessions belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClientKey {
    instance_id: String,
    settings_version: i64,
    /// None: no certificate is presented.
    identity: Option<Thumbprint>,
}

/// The clients of all instances. Cloning shares them.
#[derive(Clone, Default)]
pub struct OutboundHttps {
    clients: Arc<Mutex<HashMap<ClientKey, HttpsClient>>>,
    /// What answers in place of the network.
    #[cfg(feature = "bench")]
    canned: Option<CannedAnswers>,
}

impl fmt::Debug for OutboundHttps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundHttps")
            .field("clients", &self.lock().len())
            .finish()
    }
}

impl OutboundHttps {
    /// One without a network: what the policy permits is answered from memory.
    #[cfg(feature = "bench")]
    pub(crate) fn answering(canned: CannedAnswers) -> Self {
        Self {
            canned: Some(canned),
            ..Self::default()
        }
    }

    /// Closes an instance's idle connections and forgets its TLS sessions: its settings have changed. Calls
    /// that are under way end on the connections that they have.
    pub fn forget_instance(&self, instance_id: &str) {
        self.lock().retain(|key, _| key.instance_id != instance_id);
    }

    /// The client for one permitted authority of an instance.
    ///
    /// # Errors
    /// When the identity can't be used for TLS.
    fn client(&self, egress: &Egress, present_certificate: bool) -> Result<HttpsClient, rustls::Error> {
        let identity = egress.identity.as_ref().filter(|_| present_certificate);
        let key = ClientKey {
            instance_id: egress.instance_id.clone(),
            settings_version: egress.settings_version,
            identity: identity.map(|identity| identity.thumbprint()),
        };
        if let Some(client) = self.lock().get(&key) {
            return Ok(client.clone());
        }
        let connector = connector::Connector::new(egress, identity)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::IDLE_CONNECTION)
            .pool_max_idle_per_host(limits::IDLE_CONNECTIONS)
            .http1_max_buf_size(limits::HEADER_BYTES)
            // Only requests of which nothing was written are sent again, so this can't buy twice.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(self.keep(key, client))
    }

    /// Keeps a client for the calls to come, unless newer settings are in use already: a call that began
    /// before they were saved may still need one, which then goes with it.
    fn keep(&self, key: ClientKey, client: HttpsClient) -> HttpsClient {
        let mut clients = self.lock();
        let version_of =
            |other: &ClientKey| (other.instance_id == key.instance_id).then_some(other.settings_version);
        if clients
            .keys()
            .filter_map(version_of)
            .any(|version| version > key.settings_version)
        {
            return client;
        }
        clients.retain(|other, _| version_of(other).is_none_or(|version| version == key.settings_version));
        clients.entry(key).or_insert(client).clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientKey, HttpsClient>> {
        // Nothing panics while it is held.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one request of a guest, or refuses it before anything leaves.
    async fn send(
        &self,
        egress: &Egress,
        request: http::Request<WasiBody>,
        deadlines: Deadlines,
    ) -> Result<http::Response<WasiBody>, Error> {
        let permitted = match policy::permit(request.method(), request.uri(), &egress.authorities) {
            Ok(permitted) => permitted,
            Err(denial) => {
                tracing::warn!(instance = egress.instance_id, %denial, "request refused");
                drain(request.into_body()).await;
                return Err(Error::HttpRequestDenied);
            }
        };
        #[cfg(feature = "bench")]
        if let Some(canned) = &self.canned {
            return canned.answer(&with_known_length(request).await?);
        }
        let client = self.client(egress, permitted.client_certificate).map_err(|error| {
            tracing::error!(instance = egress.instance_id, %error, "the instance's certificate can't be used for TLS");
            Error::ConfigurationError
        })?;
        let request = with_known_length(request).await?;
        tracing::debug!(instance = egress.instance_id, method = %request.method(), authority = %permitted.authority, "request");
        let response = exchange(&client, request, deadlines).await.inspect_err(|error| {
            tracing::info!(instance = egress.instance_id, authority = %permitted.authority, %error, "no answer");
        })?;
        Ok(response.map(|incoming| body::Bounded::new(incoming, deadlines.between_bytes).boxed_unsync()))
    }
}

/// The time limits of one exchange: the host's, or what a guest made of them where that is shorter.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    connection: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Deadlines {
    fn new(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let bounded =
            |asked: Option<Duration>, limit: Duration| asked.unwrap_or(limit).clamp(limits::SHORTEST, limit);
        Self {
            connection: bounded(
                options.connect_timeout,
                limits::RESOLVE + limits::CONNECT + limits::TLS_HANDSHAKE,
            ),
            first_byte: bounded(options.first_byte_timeout, limits::FIRST_BYTE),
            between_bytes: bounded(options.between_bytes_timeout, limits::BETWEEN_BYTES),
        }
    }
}

/// Reads a refused request's body, so that the guest sees the refusal and not a stream that broke.
async fn drain(body: WasiBody) {
    let _ = tokio::time::timeout(
        limits::FIRST_BYTE,
        Limited::new(body, limits::REQUEST_BODY_BYTES).collect(),
    )
    .await;
}

/// Collects the body, which is small, so that it is sent with its length: some servers refuse chunked
/// requests, and a wrong length on a kept connection would be the next request's problem.
async fn with_known_length(request: http::Request<WasiBody>) -> Result<http::Request<Full<Bytes>>, Error> {
    let (mut head, body) = request.into_parts();
    let collected = tokio::time::timeout(
        limits::FIRST_BYTE,
        Limited::new(body, limits::REQUEST_BODY_BYTES).collect(),
    );
    let body = match collected.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Error::HttpRequestBodySize(Some(
                limits::REQUEST_BODY_BYTES as u64,
            )));
        }
        // The guest gave its own body up, or declared another length than it wrote.
        Ok(Err(_)) => return Err(Error::HttpRequestDenied),
        Err(_) => return Err(Error::HttpRequestDenied),
    };
    head.headers.remove(CONTENT_LENGTH);
    // hyper writes it from the target that the policy has judged.
    head.headers.remove(HOST);
    if !body.is_empty() {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    Ok(http::Request::from_parts(head, Full::new(body)))
}

/// Sends the request and waits for the head of its answer, within both deadlines.
async fn exchange(
    client: &HttpsClient,
    mut request: http::Request<Full<Bytes>>,
    deadlines: Deadlines,
) -> Result<http::Response<Incoming>, Error> {
    let mut connection = capture_connection(&mut request);
    let answer = client.request(request);
    tokio::pin!(answer);
    let connected = tokio::time::timeout(deadlines.connection, async {
        tokio::select! {
            biased;
            early = &mut answer => Some(early),
            _ = connection.wait_for_connection_metadata() => None,
        }
    });
    let early = connected.await.map_err(|_| Error::ConnectionTimeout)?;
    let answered = match early {
        Some(answered) => answered,
        None => tokio::time::timeout(deadlines.first_byte, answer)
            .await
            .map_err(|_| Error::HttpResponseTimeout)?,
    };
    answered.map_err(|error| failure::of_exchange(&error))
}

/// The hook through which every request of one call passes.
pub struct CallHttp {
    outbound: OutboundHttps,
    egress: Arc<Egress>,
}

impl CallHttp {
    /// The hook for one call.
    pub fn new(outbound: OutboundHttps, egress: Arc<Egress>) -> Self {
        Self { outbound, egress }
    }
}

impl WasiHttpHooks for CallHttp {
    fn is_supported_scheme(&mut self, scheme: &http::uri::Scheme) -> bool {
        *scheme == http::uri::Scheme::HTTPS
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<
                    (
                        http::Response<WasiBody>,
                        Box<dyn Future<Output = Result<(), Error>> + Send>,
                    ),
                    Error,
                >,
            > + Send,
    > {
        let (outbound, egress) = (self.outbound.clone(), self.egress.clone());
        Box::new(async move {
            let response = outbound.send(&egress, request, Deadlines::new(options)).await?;
            let nothing_left_to_do: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, nothing_left_to_do))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(settings_version: i64) -> Egress {
        Egress {
            instance_id: "instance".to_owned(),
            settings_version,
            authorities: Vec::new(),
            identity: None,
            trust_roots: Arc::new(RootCertStore::empty()),
            allowed_networks: Vec::new(),
        }
    }

    #[test]
    fn a_call_with_former_settings_leaves_no_client_behind_once_newer_ones_are_in_use() {
        let outbound = OutboundHttps::default();
        let versions = || -> Vec<i64> {
            let kept = outbound.lock();
            kept.keys().map(|key| key.settings_version).collect()
        };
        outbound.client(&egress(1), true).unwrap();
        assert_eq!(versions(), [1]);
        // The settings change; a call of before opens its connection only now, then one of after.
        outbound.forget_instance("instance");
        outbound.client(&egress(1), true).unwrap();
        outbound.client(&egress(2), true).unwrap();
        assert_eq!(versions(), [2]);
        outbound.client(&egress(1), true).unwrap();
        assert_eq!(versions(), [2]);
    }

    #[test]
    fn a_guest_can_shorten_a_deadline_but_not_loosen_it_or_make_it_zero() {
        let asked = |duration| {
            Deadlines::new(Some(RequestOptions {
                connect_timeout: Some(duration),
                first_byte_timeout: Some(duration),
                between_bytes_timeout: Some(duration),
            }))
        };
        assert_eq!(asked(Duration::from_secs(2)).first_byte, Duration::from_secs(2));
        assert_eq!(asked(Duration::MAX).first_byte, limits::FIRST_BYTE);
        assert_eq!(asked(Duration::ZERO).between_bytes, limits::SHORTEST);
        assert_eq!(Deadlines::new(None).between_bytes, limits::BETWEEN_BYTES);
    }
}

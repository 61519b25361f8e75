//! The one way out of a sandbox: HTTPS, to the authorities of the calling instance, with its certificate.
//!
//! Policy comes before I/O, from top to bottom: method and target, the authority on the instance's list, name
//! resolution, every address checked, then a connection to the address that was checked. Secrets are put into a request
//! last, and taken out of its answer first.
//! Connections and TLS sessions live in one client per instance, version of its settings and identity, so that
//! no instance uses another's, and none outlives the settings it was opened with. How many there may be is limited
//! per instance and in all. A request is sent twice only where it is certain that the server has not looked at it.

mod body;
mod causes;
mod channel;
mod connector;
mod egress;
mod failure;
mod header_defaults;
mod incoming;
mod link;
mod names;
mod own_request;
mod permit;
mod policy;
mod pool;
mod quota;
mod secrets;
mod spelling;
mod transport;
mod tunnel;
mod way;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bss_model::with_causes;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::Scheme;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::call_event::{CallEvent, CallListener};
use crate::call_trace::{CallSpan, ExchangeSpan, step};
use crate::exchange_recording::Recorder;
use crate::limits;
use crate::seen_exchanges::{SeenExchanges, counts};
use body::Bounded;
use connector::ConnectFailure;
use egress::ClientKey;
use failure::Failure;
use pool::{Client, Lease, Pool, Wanted};

pub use egress::{Egress, NoWay};
pub use own_request::NoAnswer;
pub use permit::{SendAnswer, SendPermit};
pub use policy::{Authority, AuthorityError, PermittedAuthority};
pub use quota::{ConnectionCounts, ConnectionLimits};
pub use secrets::{NotAHeader, SecretHeader};
pub use transport::{Answering, Transport};
pub use way::Way;

/// The HTTPS client of all instances. Cloning shares its connections.
#[derive(Clone)]
pub struct OutboundHttps {
    pool: Arc<Pool>,
    /// Answers in place of connections, where there is one.
    transport: Option<Arc<dyn Transport>>,
    /// Records the calls, where there is one.
    recorder: Option<Recorder>,
    /// Asked before each request leaves, where there is one.
    permit: Option<SendPermit>,
}

impl Default for OutboundHttps {
    fn default() -> Self {
        Self::new(ConnectionLimits::default())
    }
}

impl fmt::Debug for OutboundHttps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundHttps")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl OutboundHttps {
    /// A client without connections yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            pool: Arc::new(Pool::new(limits)),
            transport: None,
            recorder: None,
            permit: None,
        }
    }

    /// A client without connections of its own: the transport answers the requests that the policy permits.
    pub fn through(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport: Some(transport),
            ..Self::default()
        }
    }

    /// Has all calls recorded.
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Self {
            recorder: Some(recorder),
            ..self
        }
    }

    /// The client with the same connections that asks before each request leaves.
    #[must_use]
    pub fn permitted_by(&self, permit: SendPermit) -> Self {
        Self {
            permit: Some(permit),
            ..self.clone()
        }
    }

    /// A new client without connections, which records calls as this one does.
    pub fn without_connections(&self) -> Self {
        Self {
            recorder: self.recorder.clone(),
            permit: self.permit.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Closes an instance's idle connections and forgets its TLS sessions, after its settings have changed. Calls
    /// that are under way end on the connections that they have.
    pub fn forget_instance(&self, instance_id: &str) {
        self.pool.forget_instance(instance_id);
    }

    /// How many connections were opened and used again, and how many there are.
    pub fn connections(&self) -> ConnectionCounts {
        self.pool.counts()
    }

    /// The pool's client for an instance, with or without its certificate.
    ///
    /// # Errors
    /// When the identity can't be used for TLS.
    fn client(&self, egress: &Egress, present_certificate: bool) -> Result<Arc<Client>, rustls::Error> {
        let identity = egress.identity.as_ref().filter(|_| present_certificate);
        let key = ClientKey {
            instance_id: egress.instance_id.clone(),
            edition: (egress.settings_version, egress.generation),
            identity: identity.map(|identity| identity.thumbprint()),
            proxies: egress.proxies.clone(),
        };
        self.pool
            .client(&key, || connector::Connector::new(egress, identity))
    }

    /// Sends one request, or refuses it before anything leaves.
    async fn send(
        &self,
        egress: &Egress,
        request: http::Request<WasiBody>,
        deadlines: Deadlines,
        told: &Told,
    ) -> Result<http::Response<WasiBody>, Error> {
        let permitted = match policy::permit(request.method(), request.uri(), &egress.authorities) {
            Ok(permitted) => permitted,
            Err(denial) => {
                tracing::warn!(instance = egress.instance_id, %denial, "the host refused a request");
                if let Some(transport) = &self.transport {
                    transport.denied(&request);
                }
                drain(request.into_body()).await;
                return Err(Failure::Denied.error_code());
            }
        };
        if let Some(transport) = &self.transport {
            let request = with_known_length(request, &permitted.authority).await?;
            return transport.answer(egress, permitted, request).await;
        }
        let client = self.client(egress, permitted.client_certificate).map_err(|error| {
            tracing::error!(instance = egress.instance_id, %error, "the instance's certificate can't be used for TLS");
            Failure::IdentityUnusable.error_code()
        })?;
        let mut request = with_known_length(request, &permitted.authority).await?;
        told.following.sends(&request);
        header_defaults::add(request.headers_mut());
        secrets::add(request.headers_mut(), &permitted.secret_headers);
        tracing::debug!(instance = egress.instance_id, method = %request.method(), authority = %permitted.authority, "a request is sent");
        let response = self.exchange(&client, &permitted.authority, request, deadlines, told).await.inspect_err(|error| {
            tracing::info!(instance = egress.instance_id, authority = %permitted.authority, %error, "a request got no answer");
        })?;
        secrets::hide(response.map(BodyExt::boxed_unsync), &permitted.secret_headers)
            .map_err(|secrets::Compressed| Failure::AnswerCompressed.error_code())
    }

    /// Sends the request and waits for the head of its answer, within both deadlines.
    async fn exchange(
        &self,
        client: &Arc<Client>,
        authority: &Authority,
        request: http::Request<Bytes>,
        deadlines: Deadlines,
        told: &Told,
    ) -> Result<http::Response<Bounded>, Error> {
        let mut connect_by = Instant::now() + deadlines.connection;
        let unconnected = |failure: ConnectFailure, repeats: bool| {
            // The guest's code has no room for the cause, for instance which certificate was refused and why.
            let cause = with_causes(&failure);
            tracing::warn!(%authority, cause, "the request got no connection");
            told.not_connected(&failure, &cause, repeats);
            Failure::NotConnected(failure).error_code()
        };
        let slot = self.pool.slot(client, connect_by).instrument(step!("turn"));
        let mut slot = slot.await.map_err(|failure| unconnected(failure, false))?;
        let mut answer_by = None;
        let mut tries = 0;
        let (mut misdirected, mut repeats) = (false, false);
        loop {
            let wanted = if misdirected { Wanted::Fresh } else { Wanted::Any };
            let leased = self.pool.lease(client, authority, slot, wanted, connect_by);
            let leased = leased.instrument(step!("connection")).await;
            let mut lease = leased.map_err(|failure| unconnected(failure, repeats))?;
            // As late as can be: a request that waited for its connection may be somebody else's by now.
            if let Some(permit) = &self.permit
                && let Err(why) = permit.ask().await
            {
                lease.retire();
                return Err(unconnected(ConnectFailure::NotPermitted(why), repeats));
            }
            repeats = true;
            told.connected(authority, &lease);
            // A kept HTTP/1.1 connection that turns out to be closed is no try: it is gone, so the loop still ends.
            tries += usize::from(!(lease.reused && lease.is_http1()));
            // The time to answer begins with the first connection, and not anew with another try.
            let by = *answer_by.get_or_insert_with(|| Instant::now() + deadlines.first_byte);
            let answered = timeout_at(by, lease.channel.send(request.clone()))
                .instrument(step!("answer"))
                .await;
            let unanswered = match answered {
                // The server can't answer for this authority on this connection, so it has not processed the request, which may
                // be repeated on another one whatever its method (RFC 9110, section 15.5.20): once, with its time anew.
                Ok(Ok(response)) if response.status() == StatusCode::MISDIRECTED_REQUEST && !misdirected => {
                    tracing::info!(%authority, "the server answered 421: the request is repeated on a new connection");
                    told.following.repeated(response.status());
                    told.seen.left();
                    misdirected = true;
                    lease.retire();
                    connect_by = Instant::now() + deadlines.connection;
                    answer_by = None;
                    slot = lease.into_slot();
                    continue;
                }
                Ok(Ok(response)) => {
                    if response.status() == StatusCode::MISDIRECTED_REQUEST {
                        lease.retire();
                    }
                    return Ok(
                        response.map(|incoming| Bounded::new(incoming, lease, deadlines.between_bytes))
                    );
                }
                Ok(Err(unanswered)) => unanswered,
                Err(_) => {
                    lease.retire();
                    return Err(Failure::NoAnswerInTime.error_code());
                }
            };
            if unanswered.http1_required {
                lease.use_http1_from_now_on();
            }
            let untouched = matches!(unanswered.failure, Failure::Untouched);
            if !untouched || tries >= limits::TRIES_PER_REQUEST {
                return Err(unanswered.failure.error_code());
            }
            slot = lease.into_slot();
        }
    }
}

/// Everybody who is told of an exchange.
struct Told {
    following: ExchangeSpan,
    seen: SeenExchanges,
    listener: CallListener,
}

impl Told {
    fn connected(&self, authority: &Authority, lease: &Lease) {
        let way = lease.channel.way();
        self.following.connected(lease.reused, way);
        (self.listener)(CallEvent::Connected {
            authority: authority.to_string(),
            way: way.clone(),
        });
    }

    fn not_connected(&self, failure: &ConnectFailure, cause: &str, repeats: bool) {
        self.following.not_connected(cause);
        self.seen.explain(failure.explanation(repeats));
    }
}

/// The time limits of one exchange: the host's, or the guest's where they are shorter.
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
                limits::RESOLVE + limits::CONNECT + limits::TUNNEL + limits::TLS_HANDSHAKE,
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
async fn with_known_length(
    request: http::Request<WasiBody>,
    authority: &Authority,
) -> Result<http::Request<Bytes>, Error> {
    let (mut head, body) = request.into_parts();
    let collected = tokio::time::timeout(
        limits::FIRST_BYTE,
        Limited::new(body, limits::REQUEST_BODY_BYTES).collect(),
    );
    let body = match collected.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Failure::RequestTooLarge.error_code());
        }
        // The guest gave its own body up, or declared another length than it wrote.
        Ok(Err(_)) | Err(_) => return Err(Failure::RequestBroken.error_code()),
    };
    // The target is made from what the policy has judged, and the length from the body as it is.
    let mut target = head.uri.into_parts();
    target.scheme = Some(Scheme::HTTPS);
    target.authority = authority.to_string().parse().ok();
    head.uri = Uri::from_parts(target).map_err(|_| Failure::TargetUnwritable.error_code())?;
    for name in [CONTENT_LENGTH, HOST, TE] {
        head.headers.remove(name);
    }
    if !body.is_empty() {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    head.version = http::Version::HTTP_11;
    Ok(http::Request::from_parts(head, body))
}

/// The hook through which every request of one call passes.
pub struct CallHttp {
    outbound: OutboundHttps,
    egress: Arc<Egress>,
    followed: CallSpan,
    seen: SeenExchanges,
    listener: CallListener,
}

impl CallHttp {
    /// The hook for one call.
    pub fn new(outbound: OutboundHttps, egress: Arc<Egress>) -> Self {
        Self {
            outbound,
            egress,
            followed: CallSpan::default(),
            seen: SeenExchanges::default(),
            listener: Arc::new(|_| ()),
        }
    }

    pub(crate) fn followed_by(self, followed: CallSpan) -> Self {
        Self { followed, ..self }
    }

    pub(crate) fn seen_by(self, seen: SeenExchanges) -> Self {
        Self { seen, ..self }
    }

    /// Tells a listener of the connections.
    pub(crate) fn heard_by(self, listener: CallListener) -> Self {
        Self { listener, ..self }
    }
}

impl WasiHttpHooks for CallHttp {
    /// Every scheme passes here: the policy denies all but `https`, with a code that says so.
    fn is_supported_scheme(&mut self, _: &Scheme) -> bool {
        true
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
        let told = Told {
            following: self.followed.exchange(&egress.instance_id, &request),
            seen: self.seen.clone(),
            listener: Arc::clone(&self.listener),
        };
        // Noted here and not in the future, which may begin after the guest has dropped the request and answered.
        let permitted = policy::permit(request.method(), request.uri(), &egress.authorities);
        let watched = permitted.ok().map(|permitted| {
            let to_vendor = counts(&egress, permitted);
            self.seen.begin(request.method(), to_vendor)
        });
        Box::new(async move {
            let sent = outbound.send(&egress, request, Deadlines::new(options), &told);
            let answer = sent.instrument(told.following.span()).await;
            if let Some(watched) = watched {
                watched.end(&answer);
            }
            let response = told.following.answered(answer)?;
            let nothing_left_to_do: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(std::future::ready(Ok(())));
            Ok((response, nothing_left_to_do))
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;

    use super::egress::Edition;
    use super::*;

    fn egress((settings_version, generation): Edition) -> Egress {
        Egress {
            instance_id: "instance".to_owned(),
            settings_version,
            generation,
            authorities: Vec::new(),
            identity: None,
            saved_values: Vec::new(),
            trust_roots: Arc::new(RootCertStore::empty()),
            allowed_networks: Vec::new(),
            proxies: bss_model::ProxyRules::default(),
        }
    }

    #[test]
    fn a_call_with_former_settings_leaves_no_client_behind_once_newer_ones_are_in_use() {
        let outbound = OutboundHttps::default();
        let editions = || -> Vec<Edition> {
            let kept = outbound.pool.keys();
            kept.iter().map(|key| key.edition).collect()
        };
        outbound.client(&egress((1, 7)), true).unwrap();
        assert_eq!(editions(), [(1, 7)]);
        // The settings change; a call with the former ones makes its client only now, then one with the newer ones.
        outbound.forget_instance("instance");
        outbound.client(&egress((1, 7)), true).unwrap();
        outbound.client(&egress((2, 1)), true).unwrap();
        assert_eq!(editions(), [(2, 1)]);
        outbound.client(&egress((1, 7)), true).unwrap();
        assert_eq!(editions(), [(2, 1)]);
        // The settings stay, and the certificate and trust roots that they name are read again.
        outbound.client(&egress((2, 2)), true).unwrap();
        assert_eq!(editions(), [(2, 2)]);
        outbound.client(&egress((2, 1)), true).unwrap();
        assert_eq!(editions(), [(2, 2)]);
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

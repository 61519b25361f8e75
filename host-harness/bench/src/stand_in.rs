//! Takes the place of the product's transport in a benchmark, after the product's policy has judged a request.

use std::sync::Arc;

use bss_sandbox::outbound_https::{Answering, Egress, PermittedAuthority, Transport};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, WasiBody};

use super::CannedAnswers;

/// A way to an answer in place of the product's pool.
#[derive(Clone)]
pub(crate) enum StandIn {
    /// No network: answers from memory.
    Memory(CannedAnswers),
    /// The steps of wasmtime-wasi-http 48's `default_send_request`: a TCP connection, a TLS configuration, a handshake
    /// and an HTTP/1.1 connection for every request. Beyond those, the client certificate is presented, which the
    /// original can't do. Fewer authorities are trusted (the original copies all of the web's), and HTTP gets its
    /// request whole, as in the product; both make this a little faster than the original.
    ConnectionPerRequest,
}

impl Transport for StandIn {
    fn answer<'a>(
        &'a self,
        egress: &'a Egress,
        permitted: &'a PermittedAuthority,
        request: http::Request<Bytes>,
    ) -> Answering<'a> {
        match self {
            Self::Memory(canned) => Box::pin(std::future::ready(canned.answer(&request))),
            Self::ConnectionPerRequest => Box::pin(on_a_new_connection(egress, permitted, request)),
        }
    }
}

async fn on_a_new_connection(
    egress: &Egress,
    permitted: &PermittedAuthority,
    request: http::Request<Bytes>,
) -> Result<http::Response<WasiBody>, Error> {
    let authority = &permitted.authority;
    let address = (authority.host(), authority.port());
    let tcp = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::ConfigurationError)?
        .with_root_certificates(egress.trust_roots.clone());
    let identity = egress.identity.as_ref().filter(|_| permitted.client_certificate);
    let config = match identity {
        Some(identity) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from(authority.host().to_owned()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let tls = tls.await.map_err(Error::Tls)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    let mut request = request.map(Full::new);
    if let Ok(host) = authority.to_string().parse() {
        request.headers_mut().insert(http::header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(http::Uri::from).unwrap_or_default();
    let answering = sender.send_request(request);
    tokio::pin!(answering);
    let mut connection = Box::pin(connection);
    let response = tokio::select! {
        biased;
        response = &mut answering => response?,
        ended = &mut connection => { ended?; answering.await? }
    };
    // wasmtime's transport hands the connection to a task as well, for the body.
    tokio::spawn(connection);
    Ok(response.map(|body| body.map_err(Error::from).boxed_unsync()))
}

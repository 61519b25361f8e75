//! A call of a plugin, as far as its requests go: the hook that wasmtime calls, with what it may reach.

use std::sync::Arc;
use std::time::Duration;

use bss_sandbox::outbound_https::{CallHttp, ConnectionLimits, Egress, OutboundHttps, PermittedAuthority};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks as _};

use crate::server::Server;

/// The deadlines of a guest that sets none.
pub(crate) const NO_OPTIONS: RequestOptions = RequestOptions {
    connect_timeout: None,
    first_byte_timeout: None,
    between_bytes_timeout: None,
};

/// The calls of one instance. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) outbound: OutboundHttps,
    pub(crate) egress: Egress,
}

impl Caller {
    /// An instance that may reach a server, with the host's own limits.
    pub(crate) fn new(server: &Server) -> Self {
        Self::limited(server, ConnectionLimits::default())
    }

    pub(crate) fn limited(server: &Server, limits: ConnectionLimits) -> Self {
        Self {
            outbound: OutboundHttps::new(limits),
            egress: egress("one", server),
        }
    }

    /// Another instance of the same host.
    pub(crate) fn beside(&self, instance_id: &str, server: &Server) -> Self {
        Self {
            outbound: self.outbound.clone(),
            egress: egress(instance_id, server),
        }
    }

    /// Sends a request, and returns the head of the answer with a body to read.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let mut hook = CallHttp::new(self.outbound.clone(), Arc::new(self.egress.clone()));
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let sent = hook.send_request(request, Some(options), Box::new(std::future::ready(Ok(()))));
        Box::into_pin(sent).await.map(|(response, _)| response)
    }

    /// Sends a request, and returns the body of the answer.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        body: &str,
        options: RequestOptions,
    ) -> Result<String, Error> {
        let request = Request::builder()
            .method(method)
            .uri(self.url("/path"))
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let response = self.send(request, options).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn get(&self) -> Result<String, Error> {
        self.exchange(Method::GET, "", NO_OPTIONS).await
    }

    pub(crate) async fn post(&self) -> Result<String, Error> {
        self.exchange(Method::POST, "one license", NO_OPTIONS).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.egress.authorities[0].authority)
    }

    /// Sends `requests` requests at once, all of which must be answered.
    pub(crate) async fn at_once(&self, requests: usize) {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..requests {
            let caller = self.clone();
            running.spawn(async move { caller.post().await.expect("it is answered") });
        }
        running.join_all().await;
    }
}

fn egress(instance_id: &str, server: &Server) -> Egress {
    Egress {
        instance_id: instance_id.to_owned(),
        settings_version: 1,
        generation: 0,
        authorities: vec![PermittedAuthority {
            authority: format!("localhost:{}", server.port).parse().unwrap(),
            client_certificate: true,
            secret_headers: Vec::new(),
        }],
        identity: None,
        saved_values: Vec::new(),
        trust_roots: server.roots.clone(),
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        proxies: bss_model::ProxyRules::default(),
    }
}

/// Waits until `so` is true; fails the test if it does not become so soon.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "never: {what}");
}

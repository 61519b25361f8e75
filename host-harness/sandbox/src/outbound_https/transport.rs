//! Answers requests without connections: from a recording that is played back, or from a benchmark's vendor in memory.

use std::pin::Pin;

use bytes::Bytes;
use wasmtime_wasi_http::{Error, WasiBody};

use super::egress::Egress;
use super::policy::PermittedAuthority;

/// The answer to a request, once it is there.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<http::Response<WasiBody>, Error>> + Send + 'a>>;

/// Answers requests in place of the pool's connections, after the policy has judged them.
pub trait Transport: Send + Sync {
    /// Answers a request that the policy has let through.
    fn answer<'a>(
        &'a self,
        egress: &'a Egress,
        permitted: &'a PermittedAuthority,
        request: http::Request<Bytes>,
    ) -> Answering<'a>;

    /// Hears of a request that the policy has refused.
    fn denied(&self, _request: &http::Request<WasiBody>) {}
}

//! Turns `https` into `http` for the servers that `PLAIN_HTTP` lists, and refuses all others: the stock CLI trusts only
//! public certificate authorities, and has no client certificate.

use super::Adapter;
use super::bindings::exports::wasi::http::outgoing_handler::{
    ErrorCode, FutureIncomingResponse, Guest, OutgoingRequest, RequestOptions,
};
use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::Scheme;

/// The variable that says which server is where: `localhost:8443=127.0.0.1:8080`, several joined by commas.
const VARIABLE: &str = "PLAIN_HTTP";

impl Guest for Adapter {
    fn handle(
        request: OutgoingRequest,
        options: Option<RequestOptions>,
    ) -> Result<FutureIncomingResponse, ErrorCode> {
        let authority = request.authority().unwrap_or_default();
        let listed = std::env::var(VARIABLE).unwrap_or_default();
        let plain = plain_authority(&listed, &authority).ok_or(ErrorCode::HttpRequestDenied)?;
        // The plugin must not even try without TLS.
        if !matches!(request.scheme(), Some(Scheme::Https)) {
            return Err(ErrorCode::HttpRequestDenied);
        }
        request
            .set_scheme(Some(&Scheme::Http))
            .and_then(|()| request.set_authority(Some(plain)))
            .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
        outgoing_handler::handle(request, options)
    }
}

fn plain_authority<'a>(listed: &'a str, authority: &str) -> Option<&'a str> {
    listed
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(https, _)| *https == authority)
        .map(|(_, plain)| plain)
}

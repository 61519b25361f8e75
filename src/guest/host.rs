//! The platform as a component sees it: its imports.

use std::time::Duration;

use super::bindings::bss::service_manager::{access_token_cache, certificate_store, progress, services_sink};
use super::bindings::wasi::config::store;
use super::{contract, http};
use crate::platform::{
    HttpRequest, HttpResponse, Level, Platform, SendFailure, SignatureAlgorithm, SigningFailure,
};
use crate::product::Product;
use crate::secret::Secret;

/// The host of this call.
pub(super) struct Host;

impl Platform for Host {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        http::send(request)
    }

    fn certificate(&self) -> Option<Vec<u8>> {
        certificate_store::certificate()
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningFailure> {
        let algorithm = match algorithm {
            SignatureAlgorithm::Ps256 => certificate_store::SignatureAlgorithm::Ps256,
            SignatureAlgorithm::Rs256 => certificate_store::SignatureAlgorithm::Rs256,
        };
        certificate_store::sign(algorithm, message).map_err(|failure| match failure {
            certificate_store::SigningFailure::NoCertificate => SigningFailure::NoCertificate,
            certificate_store::SigningFailure::Unusable(why) => SigningFailure::Unusable(why),
        })
    }

    fn cached_access_token(&self, name: &str) -> Option<Secret> {
        access_token_cache::get(name).map(Secret::new)
    }

    fn cache_access_token(&self, name: &str, access_token: &Secret, expires_at_ms: i64) {
        access_token_cache::put(name, access_token.expose(), expires_at_ms);
    }

    fn drop_refused_access_token(&self, name: &str, access_token: &Secret) {
        access_token_cache::drop_refused(name, access_token.expose());
    }

    fn put_products(&self, products: Vec<Product>) {
        // The values of all products are in one list; each product is lent its part of it.
        let values = products.iter().flat_map(|product| &product.attribute_values);
        let values: Vec<_> = values.map(contract::attribute_value).collect();
        let mut rest = values.as_slice();
        let lent = products.iter().map(|product| {
            let (own, others) = rest.split_at(product.attribute_values.len());
            rest = others;
            contract::product(product, own)
        });
        services_sink::put_products(&lent.collect::<Vec<_>>());
    }

    fn report_progress(&self, done: u64, total: Option<u64>, unit: &str) {
        progress::report(done, total, unit);
    }

    fn log(&self, level: Level, subject: &str, message: &str) {
        let level = match level {
            Level::Debug => progress::Level::Debug,
            Level::Info => progress::Level::Info,
            Level::Warning => progress::Level::Warning,
        };
        progress::log(level, subject, message);
    }

    fn now_ms(&self) -> i64 {
        let now = wasi::clocks::wall_clock::now();
        let seconds = i64::try_from(now.seconds).unwrap_or(i64::MAX);
        seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(now.nanoseconds / 1_000_000))
    }

    fn pause(&self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    fn random(&self) -> [u8; 16] {
        let (high, low) = (
            wasi::random::random::get_random_u64(),
            wasi::random::random::get_random_u64(),
        );
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }

    fn option(&self, name: &str) -> Option<String> {
        // A store that fails counts as one without the option: every option has a default.
        store::get(name).ok().flatten()
    }
}

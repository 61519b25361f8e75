//! What this plugin alone asks of the host, as a component sees it: its imports.

use bss_plugin::Host;
use bss_plugin::bindings::bss::service_manager::{access_token_cache, certificate_store};
use bss_plugin::bindings::wasi::config::store;
use bss_plugin::secret::Secret;
use waki::bindings::wasi::clocks::monotonic_clock;

use crate::platform::{Platform, SignatureAlgorithm, SigningFailure};

impl Platform for Host {
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

    fn pause(&self, milliseconds: u64) {
        let nanoseconds = milliseconds.saturating_mul(1_000_000);
        monotonic_clock::subscribe_duration(nanoseconds).block();
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

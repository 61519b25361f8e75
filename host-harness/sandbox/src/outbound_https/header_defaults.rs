//! Header fields that a request gets where the guest has not set them.

use http::header::{ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderValue};

/// The product that requests name where the plugin names none (RFC 9110, section 10.1.5).
pub(super) const PRODUCT: &str = concat!("bss-host/", env!("CARGO_PKG_VERSION"));

/// Says who asks, and that no answer is to be compressed, where the guest has not said it: firewalls refuse requests without
/// a `User-Agent`, and one without `Accept-Encoding` takes any coding (RFC 9110, section 12.5.3).
pub(super) fn add(headers: &mut HeaderMap) {
    for (name, value) in [(USER_AGENT, PRODUCT), (ACCEPT_ENCODING, "identity")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

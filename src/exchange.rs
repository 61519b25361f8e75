//! The name of an HTTP exchange.

use uuid::Builder;

use crate::platform::Platform;

/// A GUID that was never used before.
pub(crate) fn fresh_guid(platform: &impl Platform) -> String {
    Builder::from_random_bytes(platform.random())
        .into_uuid()
        .hyphenated()
        .to_string()
}

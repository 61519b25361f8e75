//! How much of product keys and activation links a view shows.

use bss_model::Secret;

/// How much of product keys and activation links is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// The last group of a product key, and the host of an activation link.
    #[default]
    Masked,
    /// All of them.
    Shown,
}

/// Writes what a view shows of a secret. The view's `Debug` keeps it elided.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn serialize_shown<S: serde::Serializer>(
    shown: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&shown.as_ref().map(Secret::expose), serializer)
}

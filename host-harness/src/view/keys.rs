//! The part of product keys and activation links that a view shows.

use bss_model::{Actor, Secret};

/// The part of product keys and activation links that is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys<'a> {
    /// The last group of a product key, and the host of an activation link.
    #[default]
    Masked,
    /// The whole key and link, shown to an actor, which is an act on record.
    ShownTo(&'a Actor),
}

/// Writes the part of a secret that a view shows. The view's `Debug` keeps it elided.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn serialize_shown<S: serde::Serializer>(
    shown: &Option<Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&shown.as_ref().map(Secret::expose), serializer)
}

/// Writes a secret that is shown this once.
pub(super) fn serialize_whole<S: serde::Serializer>(
    secret: &Secret,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

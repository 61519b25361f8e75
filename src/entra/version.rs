//! The form of the exchange with Entra.

/// The two forms of the exchange that Entra has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The older form: `resource`, RS256 and `x5t`.
    V1,
    /// The newer form: `scope`, PS256 and `x5t#S256`.
    V2,
}

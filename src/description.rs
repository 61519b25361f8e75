//! Who this plugin is, as it says it to the host.

use crate::cis::CORRELATION_HEADER;
use crate::entra;

/// A plugin's description of itself.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The name of this plugin among all, which never changes.
    pub id: &'static str,
    /// Whose licenses these are.
    pub vendor: &'static str,
    /// What customers read in front of `license`.
    pub offering: &'static str,
    /// The version of this build.
    pub version: &'static str,
    /// The options that the plugin reads.
    pub options: &'static [&'static str],
    /// The header fields that name an exchange.
    pub correlation_headers: &'static [&'static str],
}

/// This plugin's description.
pub const DESCRIPTION: Description = Description {
    id: "microsoft-esd",
    vendor: "Microsoft",
    offering: "Microsoft ESD",
    version: env!("CARGO_PKG_VERSION"),
    options: &[entra::LOGIN_AUTHORITY_OPTION, entra::VERSION_OPTION],
    correlation_headers: &[CORRELATION_HEADER, entra::CORRELATION_HEADER],
};

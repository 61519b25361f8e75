//! What one call may reach, and as whom.

use std::sync::Arc;

use bss_keys::Identity;
use bss_model::Thumbprint;
use ipnet::IpNet;
use rustls::RootCertStore;

use super::policy::Authority;

/// What one call may reach, and as whom.
#[derive(Clone)]
pub struct Egress {
    /// The instance that the call is for: nothing of what its calls open is used for another.
    pub instance_id: String,
    /// The version of the instance's settings that all of this is from.
    pub settings_version: i64,
    /// Rises whenever all of this is made anew from the same settings, as what they name may have changed: a
    /// certificate's chain, the system's trust roots.
    pub generation: u64,
    /// The servers it may reach.
    pub authorities: Vec<PermittedAuthority>,
    /// The certificate that is presented to those that ask for it and are marked for it.
    pub identity: Option<Arc<Identity>>,
    /// The authorities whose server certificates are trusted.
    pub trust_roots: Arc<RootCertStore>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
}

/// A server on an instance's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermittedAuthority {
    /// Host and port.
    pub authority: Authority,
    /// Whether the instance's certificate is presented to it.
    pub client_certificate: bool,
}

/// The version of an instance's settings, and the generation of what was made from them.
pub(super) type Edition = (i64, u64);

/// What a client's connections and TLS sessions belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) instance_id: String,
    pub(super) edition: Edition,
    /// None: no certificate is presented.
    pub(super) identity: Option<Thumbprint>,
}

//! The servers that a call may reach, and the certificate that it presents.

use std::sync::Arc;

use bss_keys::Identity;
use bss_model::{ProxyRules, Thumbprint};
use ipnet::IpNet;
use rustls::RootCertStore;

use super::policy::{Authority, PermittedAuthority};
use crate::system_roots::{roots_of_pem, system_roots};

/// The servers that a call may reach, and the certificate that it presents.
#[derive(Clone)]
pub struct Egress {
    /// The instance that the call is for. Connections of its calls are never used for another instance.
    pub instance_id: String,
    /// The version of the instance's settings that this egress is made from.
    pub settings_version: i64,
    /// A number that rises whenever the egress is made anew from the same settings, because what they name may have
    /// changed: a certificate's chain, the system's trust roots.
    pub generation: u64,
    /// The servers that the call may reach.
    pub authorities: Vec<PermittedAuthority>,
    /// The certificate that is presented to servers that ask for one and are marked for it.
    pub identity: Option<Arc<Identity>>,
    /// The values that were saved with the instance: the certificate signs only for a client that is one of them.
    pub saved_values: Vec<String>,
    /// The authorities whose server certificates are trusted.
    pub trust_roots: Arc<RootCertStore>,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// The proxies that connections go through.
    pub proxies: ProxyRules,
}

/// Why there is no way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// The address is none.
    #[error("the address is no https address")]
    Address,
    /// No certificate authority can be read.
    #[error("no certificate authority can be read")]
    Authorities,
}

impl Egress {
    /// An egress to no server, without a certificate.
    pub fn of_nobody(instance_id: &str) -> Self {
        Self {
            instance_id: instance_id.to_owned(),
            settings_version: 0,
            generation: 0,
            authorities: Vec::new(),
            identity: None,
            saved_values: Vec::new(),
            trust_roots: Arc::new(RootCertStore::empty()),
            allowed_networks: Vec::new(),
            proxies: ProxyRules::default(),
        }
    }

    /// An egress to the server of an https address alone, without a certificate, by certificate authorities in PEM in place of the
    /// system's.
    ///
    /// # Errors
    /// When the address is none, or no authority can be read.
    pub fn to(owner: &str, url: &str, trusted_authorities_pem: Option<&str>) -> Result<Self, NoWay> {
        let authority = Authority::of_url(url).ok_or(NoWay::Address)?;
        let trust_roots = trusted_authorities_pem.map_or_else(system_roots, roots_of_pem);
        if trust_roots.is_empty() {
            return Err(NoWay::Authorities);
        }
        Ok(Self {
            authorities: vec![PermittedAuthority {
                authority,
                client_certificate: false,
                secret_headers: Vec::new(),
            }],
            trust_roots: Arc::new(trust_roots),
            ..Self::of_nobody(owner)
        })
    }

    /// Whether a URL is an https address of a server that the call may reach.
    pub(crate) fn reaches(&self, url: &str) -> bool {
        let asked = Authority::of_url(url);
        asked.is_some_and(|asked| {
            self.authorities
                .iter()
                .any(|permitted| permitted.authority == asked)
        })
    }
}

/// The version of an instance's settings, and the generation of what was made from them.
pub(super) type Edition = (i64, u64);

/// The instance, edition, identity and proxies that a client's connections and TLS sessions belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) instance_id: String,
    pub(super) edition: Edition,
    /// `None` when no certificate is presented.
    pub(super) identity: Option<Thumbprint>,
    pub(super) proxies: ProxyRules,
}

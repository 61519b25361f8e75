//! The servers that calls of a ready instance may reach, and the identity they use: made for each version of its
//! settings, and renewed now and then.
//!
//! Opening a private key takes longer than all else that prepares a call (a millisecond for RSA), and the
//! system's certificate authorities are more than a hundred files.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bss_model::clock::now_ms;
use bss_model::{
    Advice, Diagnose, Diagnosis, ErrorKind, Instance, ProxyChoice, ProxyRules, SavedProxy, Standing,
};
use bss_record::{IdentityError, Record, RecordError};
use bss_sandbox::outbound_https::{AuthorityError, Egress, NotAHeader, PermittedAuthority, SecretHeader};
use bss_sandbox::system_roots::{roots_of_pem, system_roots};
use rustls::RootCertStore;

use crate::plugins::PluginError;

/// Why a call for an instance can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The plugin can't be loaded, or is not the trusted one.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The record can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The instance's certificate can't be used.
    #[error("the certificate of instance `{instance}` can't be used")]
    Identity {
        /// The instance's name.
        instance: String,
        /// The cause.
        #[source]
        source: IdentityError,
    },
    /// An address that was saved as a server can't be read as one.
    #[error("a server address in the settings of instance `{instance}` is invalid")]
    Authority {
        /// The instance's name.
        instance: String,
        /// The cause.
        #[source]
        source: AuthorityError,
    },
    /// A header field that was saved can't hold its secret.
    #[error("a header field in the settings of instance `{instance}` can't hold its secret")]
    SecretHeader {
        /// The instance's name.
        instance: String,
    },
    /// The certificate authorities that the instance is to trust can't be read.
    #[error("the trusted certificate authorities of instance `{instance}` contain no certificate")]
    TrustRoots {
        /// The instance's name.
        instance: String,
    },
    /// The instance is not ready.
    #[error("instance `{0}` is not ready")]
    NotReady(String),
    /// The instance buys nothing.
    #[error("instance `{0}` is disabled, and buys nothing")]
    Disabled(String),
    /// The settings were saved between the beginning of an attempt and its call.
    #[error("the settings of instance `{0}` were changed while a call was being prepared")]
    SettingsChanged(String),
}

impl Diagnose for PrepareError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Plugin(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::Identity {
                source: source @ (IdentityError::HostKey(_) | IdentityError::Record(_)),
                ..
            } => source.diagnosis(),
            Self::Identity { instance, .. } => Diagnosis::new(ErrorKind::Conflict, "certificate-unusable")
                .advise(Advice::ChooseCertificate {
                    instance: instance.clone(),
                }),
            Self::Authority { .. } => Diagnosis::new(ErrorKind::Damaged, "saved-server-unusable"),
            Self::SecretHeader { .. } => Diagnosis::new(ErrorKind::Damaged, "saved-secret-unusable"),
            Self::TrustRoots { .. } => Diagnosis::new(ErrorKind::Conflict, "trusted-authorities-unusable")
                .advise(Advice::NameTrustedAuthorities),
            Self::NotReady(instance) => {
                Diagnosis::new(ErrorKind::Conflict, "not-ready").advise(Advice::CompleteForm {
                    instance: instance.clone(),
                })
            }
            Self::Disabled(instance) => {
                Diagnosis::new(ErrorKind::Conflict, "instance-disabled").advise(Advice::EnableInstance {
                    instance: instance.clone(),
                })
            }
            Self::SettingsChanged(_) => Diagnosis::new(ErrorKind::Conflict, "settings-changed")
                .say("the next attempt uses the new settings"),
        }
    }
}

/// The time for which an instance's egress is kept, and that for the system's certificate authorities. Changes
/// without new settings (a certificate's chain that is imported again, or those authorities) are noticed after that,
/// or twice that.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// The egresses that were made for instances. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct ReadyInstances {
    /// The proxies of instances whose operator has said nothing else.
    proxies: ProxyRules,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// The egresses, by the instance's id.
    egresses: HashMap<String, Made>,
    /// The generation of the last egress that was made for any instance.
    generation: u64,
    /// The system's authorities, shared by all instances that have none of their own.
    system_roots: Option<(Instant, Arc<RootCertStore>)>,
}

/// An egress that was made.
struct Made {
    at: Instant,
    egress: Arc<Egress>,
    /// What was saved of the instance's proxy.
    proxy: Option<SavedProxy>,
}

impl ReadyInstances {
    /// Nothing yet, with these proxies for instances whose operator has said nothing else.
    pub(crate) fn with_proxies(proxies: ProxyRules) -> Self {
        Self {
            proxies,
            kept: Arc::default(),
        }
    }

    /// The proxies of instances whose operator has said nothing else.
    pub(crate) fn own_proxies(&self) -> &ProxyRules {
        &self.proxies
    }

    /// Nothing yet, with the same proxies.
    pub(crate) fn afresh(&self) -> Self {
        Self::with_proxies(self.proxies.clone())
    }

    /// The egress of an instance with these settings.
    ///
    /// # Errors
    /// When the instance is not ready, or something that its settings name can't be used.
    pub(crate) async fn egress(
        &self,
        record: &Record,
        instance: &Instance,
    ) -> Result<Arc<Egress>, PrepareError> {
        let kept = self.lock().usable_for(instance);
        if let Some(egress) = kept {
            return Ok(egress);
        }
        let mut egress = self.make(record, instance).await?;
        let mut kept = self.lock();
        // Calls that begin together share one egress, and so their connections.
        if let Some(made_meanwhile) = kept.usable_for(instance) {
            return Ok(made_meanwhile);
        }
        kept.generation += 1;
        egress.generation = kept.generation;
        let egress = Arc::new(egress);
        let made = Made {
            at: Instant::now(),
            egress: Arc::clone(&egress),
            proxy: instance.reach.proxy.clone(),
        };
        kept.egresses.insert(instance.id.to_string(), made);
        Ok(egress)
    }

    /// Drops the egress of an instance whose settings have changed.
    pub(crate) fn forget(&self, instance_id: &str) {
        self.lock().egresses.remove(instance_id);
    }

    async fn make(&self, record: &Record, instance: &Instance) -> Result<Egress, PrepareError> {
        let named = || instance.name.clone();
        if instance.standing != Standing::Ready {
            return Err(PrepareError::NotReady(named()));
        }
        let certificates = record.certificates_of(instance.owner.as_ref());
        let identity = match &instance.thumbprint {
            None => None,
            Some(thumbprint) => {
                let identity = certificates.identity(thumbprint).await;
                Some(identity.map_err(|source| PrepareError::Identity {
                    instance: named(),
                    source,
                })?)
            }
        };
        let secrets = match instance.secrets.is_empty() {
            true => BTreeMap::new(),
            false => {
                let secrets = record.instance_secrets(instance.id, instance.version).await?;
                secrets.ok_or_else(|| PrepareError::SettingsChanged(named()))?
            }
        };
        let mut secret_headers = Vec::with_capacity(instance.authorities.len());
        for saved in &instance.authorities {
            let headers = saved.secret_headers.iter().filter_map(|header| {
                let secret = secrets.get(&header.field)?;
                Some(SecretHeader::new(&header.name, &header.prefix, secret))
            });
            let headers: Result<Vec<_>, NotAHeader> = headers.collect();
            secret_headers.push(headers.map_err(|_| PrepareError::SecretHeader { instance: named() })?);
        }
        let authorities = instance
            .authorities
            .iter()
            .zip(secret_headers)
            .map(|(saved, secret_headers)| {
                Ok(PermittedAuthority {
                    authority: saved.name.parse()?,
                    client_certificate: saved.client_certificate,
                    secret_headers,
                })
            })
            .collect::<Result<Vec<_>, AuthorityError>>()
            .map_err(|source| PrepareError::Authority {
                instance: named(),
                source,
            })?;
        let trust_roots = match &instance.reach.trusted_authorities_pem {
            Some(pem) => Arc::new(roots_of_pem(pem)),
            None => self.system_roots(),
        };
        if trust_roots.is_empty() {
            return Err(PrepareError::TrustRoots { instance: named() });
        }
        Ok(Egress {
            instance_id: instance.id.to_string(),
            settings_version: instance.version,
            generation: 0,
            authorities,
            identity,
            saved_values: instance.values.values().cloned().collect(),
            trust_roots,
            allowed_networks: instance.reach.allowed_networks.clone(),
            proxies: match record.instance_proxy(instance)? {
                ProxyChoice::OfHost => self.proxies.clone(),
                ProxyChoice::Direct => self.proxies.with_proxy(None),
                ProxyChoice::Through(proxy) => self.proxies.with_proxy(Some(proxy)),
            },
        })
    }

    fn system_roots(&self) -> Arc<RootCertStore> {
        let mut kept = self.lock();
        match &kept.system_roots {
            Some((since, system_roots)) if since.elapsed() < KEPT => Arc::clone(system_roots),
            _ => {
                let read = Arc::new(system_roots());
                kept.system_roots = Some((Instant::now(), Arc::clone(&read)));
                read
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // No code panics while it holds the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn usable_for(&self, instance: &Instance) -> Option<Arc<Egress>> {
        let Made { at, egress, proxy } = self.egresses.get(&instance.id.to_string())?;
        let is_current = egress.settings_version == instance.version && at.elapsed() < KEPT;
        let is_its_way = *proxy == instance.reach.proxy;
        let identity = egress.identity.as_ref();
        let is_its_own = identity.map(|identity| identity.thumbprint()) == instance.thumbprint;
        let is_usable =
            identity.is_none_or(|identity| identity.installed().unusable_because(now_ms()).is_none());
        (is_current && is_its_way && is_its_own && is_usable).then(|| Arc::clone(egress))
    }
}

#[cfg(test)]
mod tests {
    use bss_model::Reach;
    use uuid::Uuid;

    use super::*;

    fn instance(standing: Standing) -> Instance {
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::new(["authority.test".to_owned()]).unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Instance {
            owner: None,
            id: Uuid::new_v4(),
            name: "esd".to_owned(),
            first_name: None,
            currency: "EUR".to_owned(),
            options: BTreeMap::new(),
            reach: Reach {
                trusted_authorities_pem: Some(pem),
                allowed_networks: Vec::new(),
                ..Reach::default()
            },
            version: 1,
            values: BTreeMap::new(),
            secrets: BTreeMap::new(),
            url_fields: None,
            standing,
            authorities: Vec::new(),
            thumbprint: None,
            plugin: None,
            created_at_ms: 0,
            disabled_at_ms: None,
        }
    }

    #[tokio::test]
    async fn what_was_made_serves_the_same_settings_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open_or_create(&folder.path().join("bss"), &bss_keys::HostKeySource::default())
            .await
            .unwrap();
        let ready = ReadyInstances::default();
        let mut instance = instance(Standing::Ready);
        let first = ready.egress(&record, &instance).await.unwrap();
        let again = ready.egress(&record, &instance).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "the same settings");

        instance.version = 2;
        let newer = ready.egress(&record, &instance).await.unwrap();
        assert_eq!(newer.settings_version, 2);
        instance.thumbprint = Some("0".repeat(40).parse().unwrap());
        let other = ready.egress(&record, &instance).await;
        assert!(
            matches!(other, Err(PrepareError::Identity { .. })),
            "another certificate is never answered with what is kept"
        );
        instance.thumbprint = None;
        ready.forget(&instance.id.to_string());
        let remade = ready.egress(&record, &instance).await.unwrap();
        assert!(!Arc::ptr_eq(&newer, &remade), "forgotten");
        assert!(
            remade.generation > newer.generation,
            "no connection of the former serves it"
        );
    }

    #[tokio::test]
    async fn an_instance_that_is_not_ready_or_trusts_nobody_gets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::open_or_create(&folder.path().join("bss"), &bss_keys::HostKeySource::default())
            .await
            .unwrap();
        let ready = ReadyInstances::default();
        let unready = ready.egress(&record, &instance(Standing::NeedsCredentials)).await;
        assert!(matches!(unready, Err(PrepareError::NotReady(_))));
        let mut trusting_nobody = instance(Standing::Ready);
        trusting_nobody.reach.trusted_authorities_pem = Some("no certificate".to_owned());
        let refused = ready.egress(&record, &trusting_nobody).await;
        assert!(matches!(refused, Err(PrepareError::TrustRoots { .. })));
    }
}

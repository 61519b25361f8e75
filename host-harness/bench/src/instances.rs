//! Instances that are ready to be called for, set up the same way for every benchmark.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use bss_keys::PfxCode;
use bss_model::{Instance, NewInstance, Reach, SavedSettings, Thumbprint};
use host_harness::Host;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use uuid::Uuid;

use super::{BenchError, actor};

/// The code of a PFX file that is in memory only.
const CODE: &str = "bench";
/// The iterations of a key derivation: the code is public, so few are enough.
const ITERATIONS: u32 = 1;

/// The addresses of a vendor and the ids of its customer, as an operator types them into the form.
#[derive(Clone)]
pub(super) struct Vendor {
    pub(super) service_url: String,
    pub(super) resource_api: String,
    pub(super) login_authority: String,
    pub(super) tenant: Uuid,
    pub(super) channel_id: String,
    pub(super) client_id: Uuid,
    /// The certificate authorities that the vendor's server certificates are from.
    pub(super) authorities_pem: String,
}

/// A certificate with its private key, as a PFX file holds it.
pub(super) fn pfx(certificate: &CertificateDer<'_>, key: &PrivateKeyDer<'_>) -> Result<Vec<u8>, BenchError> {
    let written = || -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let chain = PrivateKeyChain::new(
            "1",
            PrivateKey::from_der(key.secret_der())?,
            vec![Certificate::from_der(certificate)?],
        );
        let mut store = KeyStore::new();
        store.add_entry("bench", KeyStoreEntry::PrivateKeyChain(chain));
        let writer = store.writer(CODE).encryption_iterations(ITERATIONS);
        Ok(writer.mac_iterations(ITERATIONS).write()?)
    };
    written().map_err(BenchError::when("a PFX file can't be made"))
}

/// Installs the certificate of a PFX file that [`pfx`] has made.
pub(super) async fn import(host: &Host, pfx: &[u8]) -> Result<Thumbprint, BenchError> {
    let imported = host
        .record()
        .certificates()
        .import(pfx, &PfxCode::new(CODE), &actor())
        .await
        .map_err(BenchError::when("the certificate can't be imported"))?;
    Ok(imported.installed.thumbprint)
}

/// An instance of that name whose form has been filled in, in its two stages.
pub(super) async fn configured(
    host: &Host,
    name: &str,
    vendor: &Vendor,
    thumbprint: Thumbprint,
) -> Result<Instance, BenchError> {
    create(host, name, vendor).await?;
    let credentials = [
        ("system-name", name.to_owned()),
        ("resource-api", vendor.resource_api.clone()),
        ("service-url", vendor.service_url.clone()),
        ("tenant", vendor.tenant.to_string()),
        ("channel-id", vendor.channel_id.clone()),
        ("client-id", vendor.client_id.to_string()),
    ];
    save(host, name, credentials.into()).await?;
    let selection = [
        ("certificate-thumbprint", thumbprint.to_string()),
        ("country", "DE".to_owned()),
        ("language", "de-DE".to_owned()),
    ];
    save(host, name, selection.into()).await
}

/// An instance with the settings of another one, but for its name and its certificate. The form is passed by: it looks
/// at every certificate and every other instance, which would take minutes for a thousand.
pub(super) async fn alike(
    host: &Host,
    name: &str,
    vendor: &Vendor,
    model: &Instance,
    thumbprint: Thumbprint,
) -> Result<Instance, BenchError> {
    let created = create(host, name, vendor).await?;
    let plugin = model.plugin;
    let mut values = model.values.clone();
    values.insert("system-name".to_owned(), name.to_owned());
    values.insert("certificate-thumbprint".to_owned(), thumbprint.to_string());
    let settings = SavedSettings {
        values,
        secrets: BTreeMap::new(),
        roles: BTreeMap::new(),
        url_fields: model.url_fields.clone().unwrap_or_default(),
        standing: model.standing,
        authorities: model.authorities.clone(),
        allowed_hosts: Vec::new(),
        thumbprint: Some(thumbprint),
        shares_with: BTreeMap::new(),
        plugin,
        correction: None,
    };
    host.record()
        .save_settings(created.id, created.version, settings, &actor())
        .await
        .map_err(BenchError::when("the instance can't be saved"))
}

async fn create(host: &Host, name: &str, vendor: &Vendor) -> Result<Instance, BenchError> {
    let instance = NewInstance {
        owner: None,
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options: [("login-authority".to_owned(), vendor.login_authority.clone())].into(),
        reach: Reach {
            trusted_authorities_pem: Some(vendor.authorities_pem.clone()),
            // The servers that a benchmark calls listen on this machine only.
            allowed_networks: vec![
                ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
            ..Reach::default()
        },
        plugin: None,
    };
    host.record()
        .create_instance(instance, &actor())
        .await
        .map_err(BenchError::when("the instance can't be created"))
}

/// Saves one stage of the form.
async fn save(
    host: &Host,
    name: &str,
    typed: BTreeMap<&'static str, String>,
) -> Result<Instance, BenchError> {
    let typed: BTreeMap<String, String> = typed
        .into_iter()
        .map(|(id, value)| (id.to_owned(), value))
        .collect();
    let form = host
        .configure(name, &typed, &actor())
        .await
        .map_err(BenchError::when("the instance can't be configured"))?;
    if !form.saved {
        let problems = format!("{:?}", form.form);
        return Err(BenchError::when("the instance's settings were not saved")(
            problems,
        ));
    }
    Ok(form.instance)
}

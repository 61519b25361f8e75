//! A simulator of Microsoft and an instance that is ready to call it, the same way in every benchmark.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::{BenchError, CannedAnswers, native_twin};
use crate::bindings::failures::ReadFailure;
use crate::bindings::services_definition::{Outcome, Product};
use crate::call_state::{CallContext, CallEvent, CallListener};
use crate::certificate_store::PfxCode;
use crate::host::{Host, contract_instance};
use crate::outbound_https::OutboundHttps;
use crate::plugin::Plugin;
use crate::record::{Instance, NewInstance, Reach};
use crate::simulator::{CertificateRequest, Details, IssuedCertificate, Simulator, SimulatorOptions};

const INSTANCE: &str = "bench";
/// Of a PFX file that only ever is in memory.
const CODE: &str = "bench";

/// A simulator, and a host with one instance that is ready.
pub struct Site {
    pub(super) simulator: Simulator,
    pub(super) host: Host,
    pub(super) plugin: Plugin,
    pub(super) instance: Instance,
    _folder: TempDir,
}

/// A catalog that was read, and what that took.
#[derive(Debug)]
pub struct Reading {
    /// How it ended, and the products that were handed over; or why there are none.
    pub answer: Result<(Outcome, Vec<Product>), ReadFailure>,
    /// From the call to its answer.
    pub took: Duration,
    /// The linear memory that the guest asked for. 0: it had none.
    pub guest_memory_bytes: u64,
}

impl Site {
    /// Starts a simulator on loopback addresses, and fills in the form of an instance that may call it.
    ///
    /// # Errors
    /// When any of that fails.
    pub async fn start(plugin: &Path) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::when("no temporary directory"))?;
        let simulator = Simulator::start(SimulatorOptions::new(folder.path().join("microsoft")))
            .await
            .map_err(BenchError::when("the simulator does not start"))?;
        let host = Host::open(&folder.path().join("bss"), plugin)
            .await
            .map_err(BenchError::when("the host does not open"))?;
        let plugin = host
            .plugin()
            .await
            .map_err(BenchError::when("the plugin can't be loaded"))?;
        let thumbprint = import(&host, &simulator).await?;
        create(&host, simulator.details()).await?;
        let credentials = credentials(simulator.details());
        save(&host, credentials).await?;
        let selection = [
            ("certificate-thumbprint", thumbprint),
            ("country", "DE".to_owned()),
            ("language", "de-DE".to_owned()),
        ];
        let instance = save(&host, selection.into()).await?;
        Ok(Self {
            simulator,
            host,
            plugin,
            instance,
            _folder: folder,
        })
    }

    /// The simulated Microsoft.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// A call over mutual TLS. All of them share connections and access tokens.
    ///
    /// # Errors
    /// When the instance can't be called for.
    pub async fn call(&self, listener: CallListener) -> Result<CallContext, BenchError> {
        self.host
            .ready_call(&self.instance, listener)
            .await
            .map_err(BenchError::when("the instance is not ready"))
    }

    /// The same call with its answers from memory.
    pub fn from_memory(call: CallContext, canned: &CannedAnswers) -> CallContext {
        CallContext {
            outbound: OutboundHttps::answering(canned.clone()),
            ..call
        }
    }

    /// All answers of one reading of the catalog, an access token among them. The connections and the access token
    /// of this reading are there for the next ones.
    ///
    /// # Errors
    /// When the catalog is not read to its end.
    pub async fn take_down(&self) -> Result<CannedAnswers, BenchError> {
        let canned = CannedAnswers::default();
        self.host.forget_instance(&self.instance.id.to_string());
        let call = self.call(Arc::new(|_| ())).await?;
        let instance = contract_instance(&self.instance);
        native_twin::fetch_services(call, &instance, "", Some(canned.clone()))
            .await
            .map_err(BenchError::when("the plugin's code failed"))?
            .map_err(|failure| format!("{failure:?}"))
            .map_err(BenchError::when("the catalog can't be read"))?;
        Ok(canned)
    }

    /// Reads the catalog in a sandbox.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn read_sandboxed(&self, call: CallContext) -> Result<Reading, BenchError> {
        let instance = contract_instance(&self.instance);
        let memory = Arc::new(AtomicU64::new(0));
        let (seen, listener) = (memory.clone(), call.listener.clone());
        let call = CallContext {
            listener: Arc::new(move |event| {
                if let CallEvent::Ended { memory_bytes } = &event {
                    seen.store(*memory_bytes, Ordering::Relaxed);
                }
                listener(event);
            }),
            ..call
        };
        let begun = Instant::now();
        let answer = self.plugin.fetch_services(call, &instance, "").await;
        let took = begun.elapsed();
        Ok(Reading {
            answer: answer.map_err(BenchError::when("the plugin brought no answer"))?,
            took,
            guest_memory_bytes: memory.load(Ordering::Relaxed),
        })
    }

    /// Reads the catalog with the native twin.
    ///
    /// # Errors
    /// When the plugin's code panics.
    pub async fn read_natively(&self, call: CallContext) -> Result<Reading, BenchError> {
        let instance = contract_instance(&self.instance);
        let begun = Instant::now();
        let answer = native_twin::fetch_services(call, &instance, "", None).await;
        let took = begun.elapsed();
        Ok(Reading {
            answer: answer.map_err(BenchError::when("the plugin's code failed"))?,
            took,
            guest_memory_bytes: 0,
        })
    }

    /// Stops the simulator.
    pub async fn stop(self) {
        self.simulator.stop().await;
    }
}

/// Installs a certificate of the simulator's making; its thumbprint.
async fn import(host: &Host, simulator: &Simulator) -> Result<String, BenchError> {
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(BenchError::when("the simulator issues no certificate"))?;
    let pfx = pfx(&issued).map_err(BenchError::when("no PFX file can be made"))?;
    let installed = host
        .record()
        .certificates()
        .import(&pfx, &PfxCode::new(CODE))
        .await
        .map_err(BenchError::when("the certificate can't be imported"))?;
    Ok(installed.thumbprint.to_string())
}

fn pfx(issued: &IssuedCertificate) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let key = PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes())?;
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes())?;
    let chain = PrivateKeyChain::new(
        "1",
        PrivateKey::from_der(key.secret_der())?,
        vec![Certificate::from_der(&certificate)?],
    );
    let mut store = KeyStore::new();
    store.add_entry(INSTANCE, KeyStoreEntry::PrivateKeyChain(chain));
    Ok(store.writer(CODE).write()?)
}

async fn create(host: &Host, details: &Details) -> Result<(), BenchError> {
    let authorities = std::fs::read_to_string(&details.ca_file)
        .map_err(BenchError::when("the simulator's authority can't be read"))?;
    let instance = NewInstance {
        name: INSTANCE.to_owned(),
        currency: "EUR".to_owned(),
        options: [("login-authority".to_owned(), details.login_authority.clone())].into(),
        reach: Reach {
            trusted_authorities_pem: Some(authorities),
            // The simulator listens on this machine only.
            allowed_networks: vec![
                ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
        },
    };
    host.record()
        .create_instance(instance)
        .await
        .map_err(BenchError::when("the instance can't be created"))?;
    Ok(())
}

fn credentials(details: &Details) -> BTreeMap<&'static str, String> {
    [
        ("system-name", INSTANCE.to_owned()),
        ("resource-api", details.resource_api.clone()),
        ("service-url", details.service_url.clone()),
        ("tenant", details.tenant.to_string()),
        ("channel-id", details.channel_id.clone()),
        ("client-id", details.client_id.to_string()),
    ]
    .into()
}

/// Saves one stage of the form.
async fn save(host: &Host, typed: BTreeMap<&'static str, String>) -> Result<Instance, BenchError> {
    let typed: BTreeMap<String, String> = typed
        .into_iter()
        .map(|(id, value)| (id.to_owned(), value))
        .collect();
    let form = host
        .configure(INSTANCE, &typed, "bench")
        .await
        .map_err(BenchError::when("the instance can't be configured"))?;
    if !form.saved {
        let problems = format!("{:?}", form.form);
        return Err(BenchError::when("the form was not saved")(problems));
    }
    Ok(form.instance)
}

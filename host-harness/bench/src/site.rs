//! A simulator of Microsoft and an instance that is ready to call it, the same way in every benchmark.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bss_model::Instance;
use bss_sandbox::bindings::failures::ReadFailure;
use bss_sandbox::bindings::services_definition::{Outcome, Product, Summary};
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::{CallEvent, CallListener};
use bss_sandbox::outbound_https::OutboundHttps;
use bss_sandbox::plugin::Plugin;
use bss_simulator::{CertificateRequest, Details, Simulator, SimulatorOptions};
use host_harness::Host;
use host_harness::internals::{self, contract_instance};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::instances::{self, Vendor};
use super::many;
use super::{BenchError, CannedAnswers, ServerRecord, StandIn, loaded, native_twin, opened};

const INSTANCE: &str = "bench";

/// A simulator, and a host with one instance that is ready.
pub struct Site {
    pub(super) simulator: Simulator,
    pub(super) host: Host,
    pub(super) plugin: Plugin,
    pub(super) instance: Instance,
    pub(super) folder: TempDir,
    pub(super) plugin_file: PathBuf,
    /// Where the record is, unless it is in a file.
    pub(super) server_record: Option<ServerRecord>,
    /// Further hosts of the same record.
    pub(super) colleagues: Vec<Host>,
}

/// A reading of a catalog, and what it took.
#[derive(Debug)]
pub struct Reading {
    /// How the reading ended, and the products that were handed over; or why there are none.
    pub answer: Result<(Outcome, Vec<Product>), ReadFailure>,
    /// The time from the call to its answer.
    pub took: Duration,
    /// The linear memory that the guest had; 0 for the native twin.
    pub guest_memory_bytes: u64,
}

impl Reading {
    /// The definition that was read. A reading counts only if it came to its end.
    ///
    /// # Errors
    /// When the reading did not come to its end, or the plugin reported the catalog as unchanged.
    pub fn complete(self) -> Result<(Summary, Vec<Product>), BenchError> {
        match self.answer {
            Ok((Outcome::Complete(summary), products)) => Ok((summary, products)),
            Ok((Outcome::Unchanged, _)) => Err(BenchError::unusable(
                "the plugin reported the catalog as unchanged",
            )),
            Err(failure) => Err(BenchError::unusable(format!("{failure:?}"))),
        }
    }
}

impl Site {
    /// Starts a simulator on loopback addresses, and fills in the form of an instance that may call it.
    ///
    /// # Errors
    /// When any of that fails.
    pub async fn start(plugin: &Path) -> Result<Self, BenchError> {
        Self::start_on(None, plugin).await
    }

    /// Does the same with a record on a server, if one is named.
    ///
    /// # Errors
    /// Like [`Site::start`].
    pub async fn start_on(server: Option<ServerRecord>, plugin: &Path) -> Result<Self, BenchError> {
        let plugin_file = plugin.to_owned();
        let folder =
            tempfile::tempdir().map_err(BenchError::when("a temporary directory can't be created"))?;
        let simulator = Simulator::start(SimulatorOptions::new(folder.path().join("microsoft")))
            .await
            .map_err(BenchError::when("the simulator can't be started"))?;
        let data_dir = folder.path().join("bss");
        let (host, plugin) = match &server {
            None => opened(&data_dir, plugin).await?,
            Some(server) => loaded(server.made(&data_dir, plugin).await?).await?,
        };
        let thumbprint = instances::import(&host, &issued(&simulator)?).await?;
        let vendor = vendor(simulator.details())?;
        let instance = instances::configured(&host, INSTANCE, &vendor, thumbprint).await?;
        Ok(Self {
            simulator,
            host,
            plugin,
            instance,
            folder,
            plugin_file,
            server_record: server,
            colleagues: Vec::new(),
        })
    }

    /// The simulated Microsoft.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// A call over mutual TLS. All calls share connections and access tokens.
    ///
    /// # Errors
    /// When the instance can't be called for.
    pub async fn call(&self, listener: CallListener) -> Result<CallContext, BenchError> {
        internals::ready_call(&self.host, &self.instance, listener)
            .await
            .map_err(BenchError::when("the instance can't be prepared for a call"))
    }

    /// A call with its answers from memory instead.
    pub fn from_memory(call: CallContext, canned: &CannedAnswers) -> CallContext {
        CallContext {
            outbound: OutboundHttps::through(Arc::new(StandIn::Memory(canned.clone()))),
            ..call
        }
    }

    /// Reads the catalog once, and keeps all answers, an access token among them. The connections and the access
    /// token of this reading are there for the next ones.
    ///
    /// # Errors
    /// When the catalog is not read to its end.
    pub async fn take_down(&self) -> Result<CannedAnswers, BenchError> {
        let canned = CannedAnswers::default();
        internals::forget_instance(&self.host, &self.instance.id.to_string());
        let call = self.call(Arc::new(|_| ())).await?;
        let instance = contract_instance(&self.instance);
        native_twin::fetch_services(call, &instance, "", Some(canned.clone()))
            .await
            .map_err(BenchError::when("the plugin's native code failed"))?
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
            answer: answer.map_err(BenchError::when("the plugin did not answer"))?,
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
            answer: answer.map_err(BenchError::when("the plugin's native code failed"))?,
            took,
            guest_memory_bytes: 0,
        })
    }

    /// Copies what was bought `copies` times within the record, and moves it to a server, if one is named. The site goes on there.
    ///
    /// # Errors
    /// When the record is on a server already, and when any of that fails.
    pub async fn multiply(self, copies: u64, server: Option<ServerRecord>) -> Result<Self, BenchError> {
        let data_dir = self.folder.path().join("bss");
        self.host.close().await;
        if copies > 0 {
            many::multiply(&data_dir, copies).await?;
        }
        let mut server = server;
        let (host, plugin) = match &mut server {
            None => opened(&data_dir, &self.plugin_file).await?,
            Some(server) => {
                server.move_from(&data_dir).await?;
                let data_dir = self.folder.path().join("moved");
                loaded(server.opened(&data_dir, &self.plugin_file).await?).await?
            }
        };
        Ok(Self {
            host,
            plugin,
            server_record: server,
            ..self
        })
    }

    /// Has `hosts` hosts of the record in all, from now on.
    ///
    /// # Errors
    /// When one can't be opened. A file has one host.
    pub async fn share(&mut self, hosts: usize) -> Result<(), BenchError> {
        let Some(server) = &self.server_record else {
            return match hosts {
                1 => Ok(()),
                _ => Err(BenchError::unusable("a record in a file is one machine's")),
            };
        };
        while self.colleagues.len() + 1 < hosts {
            let data_dir = self
                .folder
                .path()
                .join(format!("host-{}", self.colleagues.len() + 2));
            self.colleagues
                .push(server.opened(&data_dir, &self.plugin_file).await?);
        }
        Ok(())
    }

    /// How many turns all hosts have had at writing, and how long they have held them. `None`: the record is in a file.
    pub fn turns(&self) -> Option<(u64, Duration)> {
        let hosts = std::iter::once(&self.host).chain(&self.colleagues);
        let times = hosts.map(|host| host.record().turn_times());
        times
            .map(|times| times.map(|times| (times.turns, times.held)))
            .reduce(|all, one| Some((all?.0 + one?.0, all?.1 + one?.1)))
            .flatten()
    }

    /// Stops the simulator.
    pub async fn stop(self) {
        self.simulator.stop().await;
    }
}

/// The PFX file of a certificate that the simulator issues.
fn issued(simulator: &Simulator) -> Result<Vec<u8>, BenchError> {
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(BenchError::when("the simulator can't issue a client certificate"))?;
    let unreadable = "the client certificate that the simulator issued can't be read";
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes())
        .map_err(BenchError::when(unreadable))?;
    let key = PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes())
        .map_err(BenchError::when(unreadable))?;
    instances::pfx(&certificate, &key)
}

fn vendor(details: &Details) -> Result<Vendor, BenchError> {
    let authorities_pem = std::fs::read_to_string(&details.ca_file).map_err(BenchError::when(
        "the certificate of the simulator's authority can't be read",
    ))?;
    Ok(Vendor {
        service_url: details.service_url.clone(),
        resource_api: details.resource_api.clone(),
        login_authority: details.login_authority.clone(),
        tenant: details.tenant,
        channel_id: details.channel_id.clone(),
        client_id: details.client_id,
        authorities_pem,
    })
}

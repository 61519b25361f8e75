//! Purchases of one license each: sandboxed or native, over connections or from memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bss_model::{Instance, Thumbprint};
use bss_sandbox::bindings::failures::ChangeFailure;
use bss_sandbox::bindings::instance_settings::Instance as ContractInstance;
use bss_sandbox::bindings::license_order::{EarlierAttempts, LicenseOrder, OrderAnswer, Party};
use bss_sandbox::call::CallContext;
use bss_sandbox::outbound_https::{CallHttp, OutboundHttps};
use bss_sandbox::plugin::Plugin;
use bytes::Bytes;
use host_harness::Host;
use host_harness::internals::{self, contract_instance};
use http_body_util::{BodyExt, Full};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use uuid::Uuid;
use wasmtime_wasi_http::WasiHttpHooks;

use super::instances::{self, Vendor};
use super::{BenchAuthority, BenchError, CannedAnswers, Ports, StandIn, native_twin, opened};

/// A host with instances of one upstream, each with a certificate of its own.
pub struct CallSite {
    host: Host,
    plugin: Plugin,
    authority: BenchAuthority,
    ports: Ports,
    instances: Vec<Instance>,
    folder: TempDir,
}

/// The code that makes a purchase's request, and how much of the product the request goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The plugin in a fresh sandbox.
    Sandboxed,
    /// The plugin's code compiled for the host, each purchase on one of as many threads as there are at once.
    Native,
    /// No plugin: the purchase's request, written beforehand, and its answer, read and thrown away.
    RequestAlone,
}

/// A way to make purchases for some instances, ready to be used.
#[derive(Clone)]
pub struct Way {
    plugin: Plugin,
    callers: Arc<[Caller]>,
}

#[derive(Clone)]
struct Caller {
    call: CallContext,
    instance: ContractInstance,
    /// The thumbprint of the instance's certificate.
    thumbprint: Option<Thumbprint>,
}

impl CallSite {
    /// A host in a temporary directory, without instances yet.
    ///
    /// # Errors
    /// When the host can't be opened or the plugin not be loaded.
    pub async fn start(plugin: &Path, authority: BenchAuthority, ports: Ports) -> Result<Self, BenchError> {
        let folder =
            tempfile::tempdir().map_err(BenchError::when("a temporary directory can't be created"))?;
        let (host, plugin) = opened(folder.path(), plugin).await?;
        Ok(Self {
            host,
            plugin,
            authority,
            ports,
            instances: Vec::new(),
            folder,
        })
    }

    /// The data directory of the site's host.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Adds an instance, by the form, whose purchases are answered so many milliseconds after they have come. Returns
    /// its index.
    ///
    /// # Errors
    /// When the instance can't be configured.
    pub async fn add_instance(&mut self, answer_after_ms: u32) -> Result<usize, BenchError> {
        let index = self.instances.len();
        let name = format!("bench-{index}");
        let thumbprint = self.certificate(&name).await?;
        let vendor = self.vendor(answer_after_ms);
        let instance = instances::configured(&self.host, &name, &vendor, thumbprint).await?;
        self.instances.push(instance);
        Ok(index)
    }

    /// Adds instances like the first one, past the form, until there are so many.
    ///
    /// # Errors
    /// When they can't be saved.
    pub async fn add_instances_until(&mut self, count: usize) -> Result<(), BenchError> {
        let vendor = self.vendor(0);
        while self.instances.len() < count {
            let name = format!("bench-{}", self.instances.len());
            let thumbprint = self.certificate(&name).await?;
            let model = self
                .instances
                .first()
                .ok_or_else(|| BenchError::unusable("the site has no instance yet"))?;
            let instance = instances::alike(&self.host, &name, &vendor, model, thumbprint).await?;
            self.instances.push(instance);
        }
        Ok(())
    }

    async fn certificate(&self, name: &str) -> Result<Thumbprint, BenchError> {
        instances::import(&self.host, &self.authority.client_pfx(name)?).await
    }

    fn vendor(&self, answer_after_ms: u32) -> Vendor {
        let service = format!("https://localhost:{}", self.ports.service);
        let path = match answer_after_ms {
            0 => "/cis".to_owned(),
            milliseconds => format!("/after/{milliseconds}/cis"),
        };
        Vendor {
            service_url: format!("{service}{path}"),
            resource_api: service,
            login_authority: format!("localhost:{}", self.ports.login),
            tenant: Uuid::from_u128(1),
            channel_id: "bench".to_owned(),
            client_id: Uuid::from_u128(2),
            authorities_pem: self.authority.certificate_pem().to_owned(),
        }
    }

    /// Does what the host does before it calls for an instance, and returns how long that took.
    ///
    /// # Errors
    /// When the instance can't be prepared for a call.
    pub async fn prepare(&self, index: usize) -> Result<Duration, BenchError> {
        let begun = Instant::now();
        self.caller(index).await?;
        Ok(begun.elapsed())
    }

    async fn caller(&self, index: usize) -> Result<Caller, BenchError> {
        let instance = self
            .instances
            .get(index)
            .ok_or_else(|| BenchError::unusable(format!("the site has no instance number {index}")))?;
        caller(&self.host, instance).await
    }

    /// The way of the product, through a pool that has no connection yet. Access tokens are there already when a
    /// purchase has been made before.
    ///
    /// # Errors
    /// When an instance is not ready.
    pub async fn pooled(&self, indices: &[usize]) -> Result<Way, BenchError> {
        self.way(indices, OutboundHttps::default()).await
    }

    /// The way with a connection for each request, as wasmtime's own transport has it.
    ///
    /// # Errors
    /// When an instance is not ready.
    pub async fn connection_per_request(&self, indices: &[usize]) -> Result<Way, BenchError> {
        let outbound = OutboundHttps::through(Arc::new(StandIn::ConnectionPerRequest));
        self.way(indices, outbound).await
    }

    /// The way with the answers that one purchase has had, from memory: always of the same purchase.
    ///
    /// # Errors
    /// When an instance is not ready, or that purchase fails.
    pub async fn from_memory(&self, index: usize) -> Result<Way, BenchError> {
        let canned = CannedAnswers::default();
        let caller = self.caller(index).await?;
        internals::forget_instance(&self.host, &caller.call.egress.instance_id);
        let (taken, runtime) = (canned.clone(), Handle::current());
        let bought = tokio::task::spawn_blocking(move || {
            let Caller { call, instance, .. } = caller;
            let bought = native_twin::create_license(call, &runtime, &instance, &order(0), Some(taken));
            product_key(bought)
        });
        bought
            .await
            .map_err(BenchError::when("the task of a purchase was aborted"))??;
        self.way(
            &[index],
            OutboundHttps::through(Arc::new(StandIn::Memory(canned))),
        )
        .await
    }

    async fn way(&self, indices: &[usize], outbound: OutboundHttps) -> Result<Way, BenchError> {
        let mut callers = Vec::new();
        for &index in indices {
            let mut caller = self.caller(index).await?;
            caller.call.outbound = outbound.clone();
            callers.push(caller);
        }
        Ok(Way {
            plugin: self.plugin.clone(),
            callers: callers.into(),
        })
    }
}

/// A caller for a ready instance.
async fn caller(host: &Host, instance: &Instance) -> Result<Caller, BenchError> {
    let call = internals::ready_call(host, instance, Arc::new(|_| ()))
        .await
        .map_err(BenchError::when("the instance can't be prepared for a call"))?;
    let thumbprint = call
        .egress
        .identity
        .as_ref()
        .map(|identity| identity.thumbprint());
    Ok(Caller {
        call,
        instance: contract_instance(instance),
        thumbprint,
    })
}

/// Buys for an instance in a sandbox, through the pool of its host.
pub(super) async fn buy(host: &Host, plugin: &Plugin, instance: &Instance) -> Result<(), BenchError> {
    let caller = caller(host, instance).await?;
    caller.buy_sandboxed(plugin, 0).await.map(drop)
}

/// Buys for an instance as [`buy`] does, without a sandbox.
pub(super) async fn buy_natively(host: &Host, instance: &Instance) -> Result<(), BenchError> {
    let (caller, runtime) = (caller(host, instance).await?, Handle::current());
    tokio::task::spawn_blocking(move || caller.buy_natively(&runtime, 0).map(drop))
        .await
        .map_err(BenchError::when("the task of a purchase was aborted"))?
}

impl Caller {
    /// Buys, and returns whether the license came by a connection on which another certificate was presented.
    async fn buy_sandboxed(&self, plugin: &Plugin, number: u32) -> Result<bool, BenchError> {
        let answer = plugin
            .create_license(self.call.clone(), &self.instance, &order(number))
            .await
            .map_err(BenchError::when("the plugin did not answer"))?;
        self.is_lent(&product_key(answer)?)
    }

    fn buy_natively(&self, runtime: &Handle, number: u32) -> Result<bool, BenchError> {
        let answer =
            native_twin::create_license(self.call.clone(), runtime, &self.instance, &order(number), None);
        self.is_lent(&product_key(answer)?)
    }

    fn is_lent(&self, presented: &str) -> Result<bool, BenchError> {
        let thumbprint = self
            .thumbprint
            .ok_or_else(|| BenchError::unusable("the instance has no certificate"))?;
        Ok(presented != thumbprint.to_string())
    }

    /// The request that the plugin makes of order 0, without its access token.
    fn request(&self) -> Result<http::Request<Bytes>, BenchError> {
        let value = |id: &str| {
            let found = self.instance.values.iter().find(|value| value.id == id);
            found.map(|value| value.value.clone()).unwrap_or_default()
        };
        let LicenseOrder {
            client_transaction_id,
            product,
            customer,
            ..
        } = order(0);
        let body = serde_json::json!({
            "clientTransactionId": client_transaction_id,
            "channelId": value("channel-id"),
            "offerId": product,
            "country": value("country"),
            "language": value("language"),
            "currency": self.instance.currency,
            "quantity": 1,
            "customer": { "id": customer.id, "name": customer.name, "country": customer.country },
        });
        http::Request::post(format!("{}/tokens", value("service-url")))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("ms-correlationid", client_transaction_id)
            .body(Bytes::from(body.to_string()))
            .map_err(BenchError::when("the purchase request can't be built"))
    }

    async fn send(&self, request: http::Request<Bytes>) -> Result<(), BenchError> {
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let mut way_out = CallHttp::new(self.call.outbound.clone(), self.call.egress.clone());
        let sent = way_out.send_request(request, None, Box::new(std::future::ready(Ok(()))));
        let (response, _) = Box::into_pin(sent)
            .await
            .map_err(|error| BenchError::unusable(error.to_string()))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        body.map_err(|error| BenchError::unusable(error.to_string()))?;
        status
            .is_success()
            .then_some(())
            .ok_or_else(|| BenchError::unusable(format!("the upstream answered {status}")))
    }
}

impl Way {
    /// How long one purchase takes, from the host's call to its answer.
    ///
    /// # Errors
    /// When nothing is bought.
    pub async fn one(&self, kind: Kind) -> Result<Duration, BenchError> {
        let caller = self.caller(0)?.clone();
        match kind {
            Kind::Sandboxed => {
                let plugin = self.plugin.clone();
                // The purchase runs in a task, as a platform's workers call: elsewhere, what a guest waits for wakes
                // another thread.
                let bought = tokio::spawn(async move {
                    let begun = Instant::now();
                    caller.buy_sandboxed(&plugin, 0).await?;
                    Ok(begun.elapsed())
                });
                bought
                    .await
                    .map_err(BenchError::when("the task of a purchase was aborted"))?
            }
            Kind::Native => {
                let runtime = Handle::current();
                // The way to another thread and back is not measured: a plugin in a sandbox does not go it either.
                let bought = tokio::task::spawn_blocking(move || {
                    let begun = Instant::now();
                    caller.buy_natively(&runtime, 0)?;
                    Ok(begun.elapsed())
                });
                bought
                    .await
                    .map_err(BenchError::when("the task of a purchase was aborted"))?
            }
            Kind::RequestAlone => {
                let request = caller.request()?;
                let begun = Instant::now();
                caller.send(request).await?;
                Ok(begun.elapsed())
            }
        }
    }

    /// Buys `purchases` licenses, `at_once` at once, for the instances in turn. Returns how long that took, and how
    /// many came by a connection on which another instance's certificate was presented.
    ///
    /// # Errors
    /// When a license is not bought.
    pub async fn many(
        &self,
        kind: Kind,
        purchases: u32,
        at_once: usize,
    ) -> Result<(Duration, u32), BenchError> {
        let next = Arc::new(AtomicU32::new(0));
        let mut buyers = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..at_once {
            let (way, next) = (self.clone(), Arc::clone(&next));
            match kind {
                Kind::Native => {
                    let runtime = Handle::current();
                    buyers.spawn_blocking(move || way.buy_natively(&runtime, &next, purchases));
                }
                Kind::Sandboxed => {
                    buyers.spawn(async move { way.buy_sandboxed(&next, purchases).await });
                }
                Kind::RequestAlone => {
                    buyers.spawn(async move { way.send(&next, purchases).await });
                }
            }
        }
        let mut lent = 0;
        while let Some(ended) = buyers.join_next().await {
            lent += ended.map_err(BenchError::when("the task of a purchase was aborted"))??;
        }
        Ok((begun.elapsed(), lent))
    }

    fn caller(&self, number: u32) -> Result<&Caller, BenchError> {
        let callers = self.callers.len().max(1);
        self.callers
            .get(number as usize % callers)
            .ok_or_else(|| BenchError::unusable("the benchmark has no instance to buy for"))
    }

    async fn buy_sandboxed(&self, next: &AtomicU32, purchases: u32) -> Result<u32, BenchError> {
        let mut lent = 0;
        while let Some(number) = another(next, purchases) {
            let caller = self.caller(number)?;
            lent += u32::from(caller.buy_sandboxed(&self.plugin, number).await?);
        }
        Ok(lent)
    }

    fn buy_natively(&self, runtime: &Handle, next: &AtomicU32, purchases: u32) -> Result<u32, BenchError> {
        let mut lent = 0;
        while let Some(number) = another(next, purchases) {
            lent += u32::from(self.caller(number)?.buy_natively(runtime, number)?);
        }
        Ok(lent)
    }

    async fn send(&self, next: &AtomicU32, purchases: u32) -> Result<u32, BenchError> {
        let request = self.caller(0)?.request()?;
        while another(next, purchases).is_some() {
            self.caller(0)?.send(request.clone()).await?;
        }
        Ok(0)
    }
}

/// The next number below `end`.
fn another(next: &AtomicU32, end: u32) -> Option<u32> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    (number < end).then_some(number)
}

fn order(number: u32) -> LicenseOrder {
    LicenseOrder {
        client_transaction_id: Uuid::from_u128(u128::from(number) + 1).to_string(),
        earlier_attempts: EarlierAttempts::None,
        check_only: false,
        product: "GEN-000001".to_owned(),
        quantity: 1,
        reseller: None,
        customer: Party {
            id: "C-1".to_owned(),
            name: "Customer".to_owned(),
            country: "DE".to_owned(),
        },
    }
}

fn product_key(answer: Result<OrderAnswer, ChangeFailure>) -> Result<String, BenchError> {
    match answer {
        Ok(OrderAnswer::Licensed(license)) => Ok(license.product_key),
        Ok(OrderAnswer::Valid | OrderAnswer::Accepted(_)) => Err(BenchError::unusable(
            "the plugin answered an order without its license",
        )),
        Err(failure) => Err(BenchError::unusable(format!("{failure:?}"))),
    }
}

//! A compiled plugin, linked once; a fresh sandbox for every call.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::component::{Component, Instance as ComponentInstance, Linker};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap, UpdateDeadline,
};

use crate::bindings::connection::Step;
use crate::bindings::failures::{ChangeFailure, ReadFailure};
use crate::bindings::instance_settings::{Draft, Form, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn};
use crate::bindings::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::services_definition::{Outcome, Product};
use crate::bindings::{Checking, CheckingPre, Core, CorePre, Lifecycle, LifecyclePre};
use crate::call_state::{self, CallContext, CallState};
use crate::compiled_cache::CompiledCache;
use crate::error::{CallError, LoadError};
use crate::limits;

/// Calls that can run at once with memory set aside beforehand. More wait for nobody: they fail at setup.
const CALLS_AT_ONCE: u32 = 256;

/// The interfaces that a plugin may lack.
const CONNECTION: &str = "bss:service-manager/connection@0.1.0";
const LIFECYCLE: &str = "bss:service-manager/license-lifecycle@0.1.0";

/// A loaded plugin. Cloning shares it.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    core: CorePre<CallState>,
    imports: Arc<[String]>,
    exports: Arc<[String]>,
    _ticker: Arc<Ticker>,
}

impl Plugin {
    /// Loads a component from a file, and checks that it fits this host. What it is compiled to is kept in
    /// `compiled`, a directory that nobody else may be able to write.
    ///
    /// # Errors
    /// When the file can't be read, is no component, or imports or lacks something.
    pub fn load(path: &Path, compiled: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: name.clone(),
            source,
        })?;
        let cache = CompiledCache::new(compiled.to_owned());
        Self::linked(&name, |engine| cache.component(engine, &bytes))
    }

    /// Loads a component from its bytes. `name` is what errors call it.
    ///
    /// # Errors
    /// When it is no component, or imports or lacks something.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::linked(name, |engine| Component::new(engine, bytes))
    }

    fn linked(
        name: &str,
        component: impl FnOnce(&Engine) -> wasmtime::Result<Component>,
    ) -> Result<Self, LoadError> {
        let engine = engine().map_err(LoadError::Engine)?;
        let component = component(&engine).map_err(|source| LoadError::NotAComponent {
            path: name.to_owned(),
            source,
        })?;
        let contract = |source| LoadError::Contract {
            path: name.to_owned(),
            source,
        };
        let mut linker = Linker::new(&engine);
        call_state::add_to_linker(&mut linker).map_err(LoadError::Engine)?;
        let component_type = component.component_type();
        let exports: Arc<[String]> = component_type
            .exports(&engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let linked = linker.instantiate_pre(&component).map_err(contract)?;
        if exports.iter().any(|name| name == CONNECTION) {
            CheckingPre::new(linked.clone()).map_err(contract)?;
        }
        if exports.iter().any(|name| name == LIFECYCLE) {
            LifecyclePre::new(linked.clone()).map_err(contract)?;
        }
        Ok(Self {
            imports: component_type
                .imports(&engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
            exports,
            core: CorePre::new(linked).map_err(contract)?,
            _ticker: Arc::new(Ticker::start(&engine)),
            engine,
        })
    }

    /// The interfaces that the component imports, in its order.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The interfaces that the component exports, in its order.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Judges what an operator has typed so far. The call can reach nobody.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn configure_instance(&self, context: CallContext, draft: Draft) -> Result<Form, CallError> {
        let mut call = self.enter(context, limits::CALL, false).await?;
        let run = call
            .core
            .bss_service_manager_service_manager()
            .call_configure_instance(&mut call.store, &draft);
        let answer = tokio::time::timeout(limits::CALL, run).await;
        call.end(answer).map(|(form, _)| form)
    }

    /// Reads the vendor's catalog to its end; the products come beside the outcome.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn fetch_services(
        &self,
        context: CallContext,
        instance: &Instance,
        entity_tag: &str,
    ) -> Result<Result<(Outcome, Vec<Product>), ReadFailure>, CallError> {
        let mut call = self.enter(context, limits::CATALOG_CALL, true).await?;
        let run = call
            .core
            .bss_service_manager_service_manager()
            .call_fetch_services(&mut call.store, instance, entity_tag);
        let answer = tokio::time::timeout(limits::CATALOG_CALL, run).await;
        call.end(answer)
            .map(|(outcome, mut state)| outcome.map(|outcome| (outcome, state.take_products())))
    }

    /// Buys one license. An error, like [`ChangeFailure::Unknown`], leaves open whether it was bought.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn create_license(
        &self,
        context: CallContext,
        instance: &Instance,
        order: &LicenseOrder,
    ) -> Result<Result<OrderAnswer, ChangeFailure>, CallError> {
        let mut call = self.enter(context, limits::CALL, false).await?;
        let run = call
            .core
            .bss_service_manager_service_manager()
            .call_create_license(&mut call.store, instance, order);
        let answer = tokio::time::timeout(limits::CALL, run).await;
        call.end(answer).map(|(answer, _)| answer)
    }

    /// Whether the plugin knows what became of a license, and can return one.
    pub fn offers_lifecycle(&self) -> bool {
        self.exports.iter().any(|name| name == LIFECYCLE)
    }

    /// The license as the vendor sees it now. None: the vendor has never issued it.
    ///
    /// # Errors
    /// When the plugin brings no answer, as one that [does not know](Self::offers_lifecycle) never does.
    pub async fn get_license(
        &self,
        context: CallContext,
        instance: &Instance,
        name: &LicenseName,
    ) -> Result<Result<Option<License>, ReadFailure>, CallError> {
        let mut call = self.enter(context, limits::CALL, false).await?;
        let lifecycle = Lifecycle::new(&mut call.store, &call.instance).map_err(CallError::Setup)?;
        let run = lifecycle
            .bss_service_manager_license_lifecycle()
            .call_get_license(&mut call.store, instance, name);
        let answer = tokio::time::timeout(limits::CALL, run).await;
        call.end(answer).map(|(answer, _)| answer)
    }

    /// Returns one license. An error, like [`ChangeFailure::Unknown`], leaves open whether it was returned.
    ///
    /// # Errors
    /// When the plugin brings no answer, as one that [can't return licenses](Self::offers_lifecycle) never does.
    pub async fn cancel_license(
        &self,
        context: CallContext,
        instance: &Instance,
        license_return: &LicenseReturn,
    ) -> Result<Result<License, ChangeFailure>, CallError> {
        let mut call = self.enter(context, limits::CALL, false).await?;
        let lifecycle = Lifecycle::new(&mut call.store, &call.instance).map_err(CallError::Setup)?;
        let run = lifecycle
            .bss_service_manager_license_lifecycle()
            .call_cancel_license(&mut call.store, instance, license_return);
        let answer = tokio::time::timeout(limits::CALL, run).await;
        call.end(answer).map(|(answer, _)| answer)
    }

    /// Whether the plugin can say, step by step, whether the vendor can be reached.
    pub fn checks_connections(&self) -> bool {
        self.exports.iter().any(|name| name == CONNECTION)
    }

    /// Goes the way to the vendor step by step. Buys nothing.
    ///
    /// # Errors
    /// When the plugin brings no answer, as one that [can't check](Self::checks_connections) never does.
    pub async fn check_connection(
        &self,
        context: CallContext,
        instance: &Instance,
    ) -> Result<Vec<Step>, CallError> {
        let mut call = self.enter(context, limits::CALL, false).await?;
        let checking = Checking::new(&mut call.store, &call.instance).map_err(CallError::Setup)?;
        let run = checking
            .bss_service_manager_connection()
            .call_check_connection(&mut call.store, instance);
        let answer = tokio::time::timeout(limits::CALL, run).await;
        call.end(answer).map(|(steps, _)| steps)
    }

    /// Makes the sandbox of one call.
    async fn enter(
        &self,
        context: CallContext,
        deadline: Duration,
        reads_services: bool,
    ) -> Result<Call, CallError> {
        let mut store = Store::new(&self.engine, CallState::new(context, reads_services));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::HOST_CALL_FUEL);
        store.set_epoch_deadline(1);
        // A tick that finds the guest running counts against its time on the processor; while it waits for
        // an answer it does not run. Yielding lets the wall-clock deadline be seen.
        store.epoch_deadline_callback(|mut store| {
            store.data_mut().busy_ticks += 1;
            if store.data().busy_ticks > limits::BUSY_TICKS {
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        let entered = self.core.instance_pre().instantiate_async(&mut store);
        match tokio::time::timeout(deadline, entered).await {
            Ok(Ok(instance)) => Ok(Call {
                core: Core::new(&mut store, &instance).map_err(CallError::Setup)?,
                store,
                instance,
                deadline,
            }),
            Ok(Err(error)) => Err(CallError::Setup(error)),
            Err(_) => Err(CallError::Deadline(deadline)),
        }
    }
}

/// A sandbox in use. It is used once: whatever happens, it is dropped, and with it whatever it still had open.
struct Call {
    store: Store<CallState>,
    core: Core,
    instance: ComponentInstance,
    deadline: Duration,
}

impl Call {
    fn end<T>(
        mut self,
        answer: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<(T, CallState), CallError> {
        log_output(&self.store.data().output.contents());
        self.store.data().tell_end();
        match answer {
            Ok(Ok(answer)) => Ok((answer, self.store.into_data())),
            Err(_) => Err(CallError::Deadline(self.deadline)),
            Ok(Err(trap)) => Err(self.of_trap(trap)),
        }
    }

    fn of_trap(&mut self, trap: wasmtime::Error) -> CallError {
        let state = self.store.data();
        if trap.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            let ticks = u32::try_from(limits::BUSY_TICKS).unwrap_or(u32::MAX);
            return CallError::Busy(limits::EPOCH_TICK.saturating_mul(ticks));
        }
        if state.limiter.refused_bytes.is_some() {
            return CallError::Memory(limits::MEMORY_BYTES);
        }
        CallError::Trap(trap)
    }
}

/// What a guest wrote to its standard output and error, line by line.
fn log_output(output: &[u8]) {
    for line in String::from_utf8_lossy(output).lines() {
        tracing::info!(target: "plugin", "{}", line.escape_debug());
    }
}

/// An engine whose sandboxes are set up beforehand, or one by one where addresses are scarce.
fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS_AT_ONCE)
        .total_core_instances(CALLS_AT_ONCE * 8)
        .total_memories(CALLS_AT_ONCE * 2)
        .total_tables(CALLS_AT_ONCE * 8)
        .total_stacks(CALLS_AT_ONCE)
        .max_memory_size(limits::MEMORY_BYTES)
        .table_elements(limits::TABLE_ELEMENTS);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|error| {
        tracing::warn!(%error, "no addresses for a pool of sandboxes; each is set up on its own");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

/// The thread that makes an engine's time pass.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let engine = engine.weak();
        let seen = stopped.clone();
        std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(limits::EPOCH_TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        });
        Self(stopped)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

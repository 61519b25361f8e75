//! A compiled plugin, linked once; a fresh sandbox for every call.

mod contract;
mod deadlines;
mod engine;
mod permits;
mod sandboxes;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use bss_model::{PluginDescription, PluginDigest, with_causes};
use tracing::Span;
use uuid::Uuid;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance as ComponentInstance, InstancePre, Lift,
    Linker, Lower,
};
use wasmtime::{Engine, Store, Trap, WasmBacktrace};

use crate::bindings::Description;
use crate::bindings::connection::Step;
use crate::bindings::failures::{ChangeFailure, ReadFailure};
use crate::bindings::instance_settings::{Draft, Form, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn, LookUp};
use crate::bindings::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::services_definition::{Outcome, Product};
use crate::bindings::{Checking, CheckingPre, CorePre, Lifecycle, LifecyclePre};
use crate::call::CallContext;
use crate::call_clock::CallClock;
use crate::call_state;
use crate::call_state::CallState;
use crate::call_trace::CallSpan;
use crate::compiled_cache::CompiledCache;
use crate::error::{CallError, FailedCall, HostLimit, LoadError, PluginDefect};
use crate::exchange_recording::HarmlessNames;
use crate::guest_log::LogShares;
use crate::limits::{self, CallLimits};
use crate::plugin_call::{Answer, CallOutcome, PluginCall};
pub use sandboxes::SandboxUse;

use deadlines::Deadlines;
use permits::Permit;
use sandboxes::Sandboxes;

/// A loaded plugin. Cloning shares it.
#[derive(Clone)]
pub struct Plugin {
    sandboxes: Arc<Sandboxes>,
    component: InstancePre<CallState>,
    /// The functions that every plugin exports.
    core: CoreFunctions,
    imports: Arc<[String]>,
    exports: Arc<[String]>,
    limits: CallLimits,
    log_shares: LogShares,
    /// The header fields that name an exchange, as the plugin has described them.
    correlation_headers: Arc<[String]>,
    /// What may stand in a recording, as the plugin has described it.
    harmless: Arc<HarmlessNames>,
    clock: CallClock,
}

/// A plugin's file, read once: what is looked at is what is run.
pub struct PluginFile {
    path: String,
    bytes: Vec<u8>,
}

impl PluginFile {
    /// Reads a file, and nothing of what is in it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: name.clone(),
            source,
        })?;
        Ok(Self { path: name, bytes })
    }

    /// The content of a file that was read before. `path` is what errors call it.
    pub fn of_content(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            bytes,
        }
    }

    /// The file's content.
    pub fn content(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the file's content.
    pub fn digest(&self) -> PluginDigest {
        let mut sha256 = [0; SHA256_OUTPUT_LEN];
        sha256.copy_from_slice(digest(&SHA256, &self.bytes).as_ref());
        PluginDigest::new(sha256)
    }
}

/// How much of the process's pool of sandboxes is in use by calls, whatever plugin and host they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Sandboxes.
    pub sandboxes: u64,
    /// Linear memories.
    pub memories: usize,
    /// Tables of functions.
    pub tables: usize,
    /// Stacks.
    pub stacks: usize,
}

impl Plugin {
    /// Loads a component from a file, and checks that it fits this host. Its machine code is kept in `compiled`, a
    /// directory that only this process's user may be able to write.
    ///
    /// # Errors
    /// When the file can't be read, is no component, or imports or lacks something.
    pub fn load(path: &Path, compiled: &Path) -> Result<Self, LoadError> {
        Self::of_file(&PluginFile::read(path)?, compiled)
    }

    /// Loads a component from a file that was read, as [`Self::load`] does. Nothing of it runs before its first call.
    ///
    /// # Errors
    /// When it is no component, or imports or lacks something.
    pub fn of_file(file: &PluginFile, compiled: &Path) -> Result<Self, LoadError> {
        let cache = CompiledCache::new(compiled.to_owned());
        Self::linked(&file.path, |engine| cache.component(engine, &file.bytes))
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
        component: impl Fn(&Engine) -> wasmtime::Result<Component>,
    ) -> Result<Self, LoadError> {
        let sandboxes = Sandboxes::of_process().map_err(LoadError::Engine)?;
        let engine = sandboxes.engine();
        let component = component(engine).map_err(|source| {
            let path = name.to_owned();
            // An engine without a pool compares no sizes, so it takes every component.
            let is_component = engine::unpooled().is_ok_and(|engine| component(&engine).is_ok());
            match is_component {
                true => LoadError::TooLarge { path, source },
                false => LoadError::NotAComponent { path, cause: source },
            }
        })?;
        let unfit = |source| LoadError::Contract {
            path: name.to_owned(),
            offered: contract::CONTRACT,
            source,
        };
        let mut linker = Linker::new(engine);
        call_state::add_to_linker(&mut linker).map_err(LoadError::Engine)?;
        let component_type = component.component_type();
        let exports: Arc<[String]> = component_type
            .exports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let imports: Arc<[String]> = component_type
            .imports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let functions: Vec<_> = component_type
            .imports(engine)
            .flat_map(|(interface, import)| functions(engine, interface, import.ty))
            .collect();
        contract::check(name, &imports, &functions, &exports)?;
        let linked = linker.instantiate_pre(&component).map_err(unfit)?;
        if contract::offers(&exports, contract::CONNECTION) {
            CheckingPre::new(linked.clone()).map_err(unfit)?;
        }
        if contract::offers(&exports, contract::LIFECYCLE) {
            LifecyclePre::new(linked.clone()).map_err(unfit)?;
        }
        Ok(Self {
            core: CoreFunctions::of(&linked).map_err(unfit)?,
            component: linked,
            imports,
            exports,
            limits: CallLimits::default(),
            log_shares: LogShares::default(),
            correlation_headers: Arc::default(),
            harmless: Arc::default(),
            clock: CallClock::default(),
            sandboxes,
        })
    }

    /// Shares the component, compiled and linked as it is, with another host: with nothing that was set for this one, and with
    /// log lines of its own.
    #[must_use]
    pub fn for_another_host(&self) -> Self {
        Self {
            limits: CallLimits::default(),
            log_shares: LogShares::default(),
            correlation_headers: Arc::default(),
            harmless: Arc::default(),
            clock: CallClock::default(),
            ..self.clone()
        }
    }

    /// Sets the time limits of the plugin's calls.
    #[must_use]
    pub fn with_limits(self, limits: CallLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets what the plugin says of itself: by which header fields traces of its calls name an exchange, and what may stand
    /// in recordings of them.
    #[must_use]
    pub fn described_as(self, description: &PluginDescription) -> Self {
        Self {
            correlation_headers: description.correlation_headers.as_slice().into(),
            harmless: Arc::new(HarmlessNames::from(description)),
            ..self
        }
    }

    /// Sets the clock of the plugin's calls.
    pub(crate) fn going_by(self, clock: CallClock) -> Self {
        Self { clock, ..self }
    }

    /// How much of the process's pool of sandboxes is in use now, by calls of all plugins. `None` where addresses are scarce
    /// and there is no pool.
    pub fn pool_use(&self) -> Option<PoolUse> {
        let metrics = self.sandboxes.engine().pooling_allocator_metrics()?;
        Some(PoolUse {
            sandboxes: metrics.component_instances(),
            memories: metrics.memories(),
            tables: metrics.tables(),
            stacks: metrics.stacks(),
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

    /// Asks the plugin who it is. The host gives it a context that permits no server.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn describe(&self, context: CallContext) -> Result<Description, FailedCall> {
        let asked = PluginCall::Describe;
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = call.run(self.core.describe, ()).await;
        call.end(answer).map(|(description, _)| description)
    }

    /// Judges what an operator has typed so far. It needs no server: the host gives it a context that permits none.
    ///
    /// # Errors
    /// When the plugin brings no answer.
    pub async fn configure_instance(&self, context: CallContext, draft: Draft) -> Result<Form, FailedCall> {
        let asked = PluginCall::ConfigureInstance { draft: &draft };
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = call.run(self.core.configure_instance, (&draft,)).await;
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
    ) -> Result<Result<(Outcome, Vec<Product>), ReadFailure>, FailedCall> {
        let asked = PluginCall::FetchServices { instance, entity_tag };
        let mut call = self
            .enter(asked, context, self.limits.catalog_wall_clock, true)
            .await?;
        let run =
            call.run::<_, Result<Outcome, ReadFailure>>(self.core.fetch_services, (instance, entity_tag));
        let answer = run.await;
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
    ) -> Result<Result<OrderAnswer, ChangeFailure>, FailedCall> {
        let asked = PluginCall::CreateLicense { instance, order };
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = call.run(self.core.create_license, (instance, order)).await;
        call.end(answer).map(|(answer, _)| answer)
    }

    /// Whether the plugin knows what became of a license, and can return one.
    pub fn offers_lifecycle(&self) -> bool {
        contract::offers(&self.exports, contract::LIFECYCLE)
    }

    /// Looks a purchase or its license up, as the vendor sees it now.
    ///
    /// # Errors
    /// When the plugin brings no answer, as one that [can't look licenses up](Self::offers_lifecycle) never does.
    pub async fn get_license(
        &self,
        context: CallContext,
        instance: &Instance,
        name: &LicenseName,
    ) -> Result<Result<LookUp, ReadFailure>, FailedCall> {
        let asked = PluginCall::GetLicense { instance, name };
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = match Lifecycle::new(&mut call.store, &call.instance) {
            Ok(lifecycle) => {
                let run = lifecycle
                    .bss_service_manager_license_lifecycle()
                    .call_get_license(&mut call.store, instance, name);
                call.deadlines.run(run).await
            }
            Err(error) => Err(CallError::Setup(error)),
        };
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
    ) -> Result<Result<License, ChangeFailure>, FailedCall> {
        let asked = PluginCall::CancelLicense {
            instance,
            license_return,
        };
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = match Lifecycle::new(&mut call.store, &call.instance) {
            Ok(lifecycle) => {
                let run = lifecycle
                    .bss_service_manager_license_lifecycle()
                    .call_cancel_license(&mut call.store, instance, license_return);
                call.deadlines.run(run).await
            }
            Err(error) => Err(CallError::Setup(error)),
        };
        call.end(answer).map(|(answer, _)| answer)
    }

    /// Whether the plugin can say, step by step, whether the vendor can be reached.
    pub fn checks_connections(&self) -> bool {
        contract::offers(&self.exports, contract::CONNECTION)
    }

    /// Checks the way to the vendor step by step. Buys nothing.
    ///
    /// # Errors
    /// When the plugin brings no answer, as one that [can't check](Self::checks_connections) never does.
    pub async fn check_connection(
        &self,
        context: CallContext,
        instance: &Instance,
    ) -> Result<Vec<Step>, FailedCall> {
        let asked = PluginCall::CheckConnection { instance };
        let mut call = self.enter(asked, context, self.limits.wall_clock, false).await?;
        let answer = match Checking::new(&mut call.store, &call.instance) {
            Ok(checking) => {
                let run = checking
                    .bss_service_manager_connection()
                    .call_check_connection(&mut call.store, instance);
                call.deadlines.run(run).await
            }
            Err(error) => Err(CallError::Setup(error)),
        };
        call.end(answer).map(|(steps, _)| steps)
    }

    /// Makes the sandbox of one call, once there is one for it, and instantiates the component in it.
    async fn enter(
        &self,
        asked: PluginCall<'_>,
        context: CallContext,
        wall_clock: Duration,
        reads_services: bool,
    ) -> Result<Call, FailedCall> {
        let call = Uuid::new_v4();
        let recording = context.recording(call, &asked, &self.harmless);
        let followed = CallSpan::begin(call, &asked, &context.egress.instance_id, recording)
            .naming_exchanges_by(Arc::clone(&self.correlation_headers));
        let mut deadlines = Deadlines::new(wall_clock, self.limits.processor, followed.span());
        let permit = self.permit(&context.egress.instance_id, &deadlines).await;
        let permit = permit.map_err(|error| {
            log_failure(&followed.span(), &error);
            let failed = FailedCall::from(error);
            followed.end(&CallOutcome::from(&failed), 0, || None);
            failed
        })?;
        let state = CallState::new(
            context,
            &asked,
            followed.clone(),
            self.log_shares.clone(),
            self.clock,
            reads_services,
        );
        let mut store = Store::new(self.sandboxes.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::HOST_CALL_FUEL);
        store.set_max_component_handles(limits::HANDLES);
        store.epoch_deadline_async_yield_and_update(1);
        // Without this the guest would pause at once: the first deadline of a new store is over already.
        store.set_epoch_deadline(1);
        let entered = deadlines.run(self.component.instantiate_async(&mut store)).await;
        let begun = match entered {
            Ok(Ok(instance)) => Ok(instance),
            // The component's own initialization failed, or wanted too much: not the host.
            Ok(Err(error)) if is_of_guest(&error) || store.data().limiter.has_refused() => {
                Err(of_trap(store.data(), error))
            }
            Ok(Err(error)) => Err(CallError::Setup(error)),
            Err(late) => Err(late),
        };
        let instance = begun.map_err(|error| {
            log_failure(&followed.span(), &error);
            let failed = store.data().failed(error);
            followed.end(&CallOutcome::from(&failed), 0, || None);
            failed
        })?;
        Ok(Call {
            store,
            instance,
            deadlines,
            _permit: permit,
        })
    }

    /// Waits until a call of an instance may have a sandbox.
    async fn permit(&self, instance: &str, deadlines: &Deadlines) -> Result<Permit, CallError> {
        let permit = deadlines.wait(self.sandboxes.permit(instance)).await?;
        permit.map_err(|error| CallError::Setup(error.into()))
    }
}

/// A sandbox in use. Each call has a new one, which is dropped afterwards with all that it still has open.
struct Call {
    store: Store<CallState>,
    instance: ComponentInstance,
    deadlines: Deadlines,
    /// The last to be dropped: by then the pool has its sandbox back.
    _permit: Permit,
}

impl Call {
    /// Calls a function of the component. Only that function's types are checked: the generated `Core` checks those of
    /// all three for each call, which takes 2 µs more.
    async fn run<P, R>(
        &mut self,
        function: ComponentExportIndex,
        parameters: P,
    ) -> Result<wasmtime::Result<R>, CallError>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let function = self
            .instance
            .get_typed_func::<P, (R,)>(&mut self.store, function)
            .map_err(CallError::Setup)?;
        let run = function.call_async(&mut self.store, parameters);
        let answer = self.deadlines.run(run).await?;
        Ok(answer.map(|(answer,)| answer))
    }

    fn end<T: Answer>(
        self,
        answer: Result<wasmtime::Result<T>, CallError>,
    ) -> Result<(T, CallState), FailedCall> {
        let answer = match answer {
            Ok(Ok(answer)) => answer.bounded().map_err(CallError::Defect),
            Ok(Err(trap)) => Err(of_trap(self.store.data(), trap)),
            Err(error) => Err(error),
        };
        let state = self.store.data();
        let answer = answer.map_err(|error| {
            log_failure(&state.span(), &error);
            state.failed(error)
        });
        let outcome = match &answer {
            Ok(answer) => answer.call_outcome(),
            Err(failed) => CallOutcome::from(failed),
        };
        // Traces and recordings have what the plugin said: a replay has no proxy that could be explained.
        state.tell_end(&outcome, answer.as_ref().ok());
        let mut answer = answer?;
        if let Some(why) = state.explanation() {
            answer.explain(&why);
        }
        Ok((answer, self.store.into_data()))
    }
}

/// The places of the functions that every plugin exports, looked up once.
#[derive(Clone, Copy)]
struct CoreFunctions {
    describe: ComponentExportIndex,
    configure_instance: ComponentExportIndex,
    fetch_services: ComponentExportIndex,
    create_license: ComponentExportIndex,
}

impl CoreFunctions {
    /// Looks the functions up in a component that has all of them.
    fn of(linked: &InstancePre<CallState>) -> wasmtime::Result<Self> {
        CorePre::new(linked.clone())?;
        let component = linked.component();
        let interface = component.get_export_index(None, contract::SERVICE_MANAGER);
        let function = |name: &str| {
            let found = interface.and_then(|interface| component.get_export_index(Some(&interface), name));
            found.ok_or_else(|| wasmtime::format_err!("the plugin does not export the function `{name}`"))
        };
        Ok(Self {
            describe: function("describe")?,
            configure_instance: function("configure-instance")?,
            fetch_services: function("fetch-services")?,
            create_license: function("create-license")?,
        })
    }
}

/// The functions of an interface that a component imports, each with its interface's name.
fn functions(engine: &Engine, interface: &str, import: ComponentItem) -> Vec<(String, String)> {
    let ComponentItem::ComponentInstance(import) = import else {
        return Vec::new();
    };
    let functions = import
        .exports(engine)
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
    functions
        .map(|(name, _)| (interface.to_owned(), name.to_owned()))
        .collect()
}

/// Logs why a call got no answer: an attempt's problem says that the call broke off, and not at which instruction.
fn log_failure(span: &Span, error: &CallError) {
    span.in_scope(|| tracing::info!(error = with_causes(error), "the plugin did not answer the call"));
}

fn is_of_guest(error: &wasmtime::Error) -> bool {
    error.is::<Trap>() || error.is::<WasmBacktrace>() || error.is::<HostLimit>()
}

fn of_trap(state: &CallState, trap: wasmtime::Error) -> CallError {
    if let Some(limit) = trap.downcast_ref::<HostLimit>() {
        return CallError::Limit(*limit);
    }
    if let Some(defect) = trap.downcast_ref::<PluginDefect>() {
        return CallError::Defect(*defect);
    }
    // A component that gets no more memory mostly breaks off without another word.
    match state.limiter.has_refused_memory {
        true => CallError::Memory(limits::MEMORY_BYTES),
        false => CallError::Trap(trap),
    }
}

//! The host that a billing platform embeds: a plugin, a record, and the way out to the vendor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bss_model::{Actor, AddedPlugin, Instance, Owner, PluginDigest, ProxyRules, with_causes};
use bss_record::Record;
use bss_sandbox::access_token_cache::AccessTokenCache;
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::CallListener;
use bss_sandbox::exchange_recording::Recorder;
use bss_sandbox::limits::CallLimits;
use bss_sandbox::outbound_https::{ConnectionCounts, Egress, OutboundHttps, SendAnswer, SendPermit};
use bss_sandbox::plugin::Plugin;
use bss_sandbox::seen_exchanges::SeenExchanges;

use crate::own_task::{nobody, shielded};
use crate::plugin_cache::PluginCache;
use crate::plugins::{HostPlugins, LoadedPlugin, PluginError};
use crate::ready_instances::{PrepareError, ReadyInstances};

/// A host: one record, and the plugins on it. Cloning shares it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use host_harness::Host;
///
/// let host = Host::open("bss-data".as_ref(), "plugin.wasm".as_ref()).await?;
/// for instance in host.record().instances().await? {
///     println!("{}: {:?}", instance.name, instance.standing);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Host {
    record: Record,
    owner: Option<Owner>,
    plugins: HostPlugins,
    outbound: OutboundHttps,
    access_tokens: AccessTokenCache,
    ready: ReadyInstances,
    call_limits: CallLimits,
    listener: CallListener,
}

/// The folder of compiled plugins in the data directory, which only its owner can enter. A plugin that another host of the
/// process has loaded is not compiled again, and is not in it.
pub const COMPILED_DIRECTORY: &str = "compiled";

impl Host {
    pub(crate) fn of(
        record: Record,
        plugin_file: Option<PathBuf>,
        data_dir: &Path,
        call_limits: CallLimits,
        recorder: Option<Recorder>,
        proxies: ProxyRules,
    ) -> Self {
        let outbound = OutboundHttps::default();
        Self {
            record,
            owner: None,
            plugins: HostPlugins::new(
                plugin_file,
                PluginCache::in_directory(data_dir.join(COMPILED_DIRECTORY)),
            ),
            outbound: match recorder {
                Some(recorder) => outbound.recording(recorder),
                None => outbound,
            },
            access_tokens: AccessTokenCache::default(),
            ready: ReadyInstances::with_proxies(proxies),
            call_limits,
            listener: nobody(),
        }
    }

    /// Closes the record, so that another process may move or delete its files. Stop the workers first: what is done with
    /// the host afterwards fails, and the outcome of a purchase that is still under way can't be written down, so that another
    /// worker looks it up half a minute later.
    pub async fn close(self) {
        self.record.close().await;
    }

    /// Sets the time limits of the plugin's calls.
    #[must_use]
    pub fn with_call_limits(self, call_limits: CallLimits) -> Self {
        Self { call_limits, ..self }
    }

    /// The host whose handles tell a listener of their calls while these run: warnings and progress. What a call made is on record
    /// before its end is told. A [worker](Self::start_worker) has a listener of its own, in [`WorkOptions`](crate::WorkOptions).
    #[must_use]
    pub fn heard_by(&self, listener: CallListener) -> Self {
        Self {
            listener,
            ..self.clone()
        }
    }

    /// The host whose requests to vendors leave only with a worker's permit. `None`: its lock is enough.
    pub(crate) fn permitted_by(&self, permit: Option<bss_record::Permit>) -> Self {
        let Some(permit) = permit else { return self.clone() };
        let ask = move || {
            let permit = permit.clone();
            Box::pin(async move { permit.check().await.map_err(|error| with_causes(&error)) }) as SendAnswer
        };
        Self {
            outbound: self.outbound.permitted_by(SendPermit::new(ask)),
            ..self.clone()
        }
    }

    pub(crate) fn listener(&self) -> CallListener {
        Arc::clone(&self.listener)
    }

    /// The host as the tenant of that name is given it. The names, orders, assets and cancellations that its functions take are
    /// the owner's, and what others own is not there: each is answered as on a host that has nothing but the owner's.
    ///
    /// What takes no name works for all, and is the operator's alone: the [record](Self::record) itself, the plugins, e-mail,
    /// and the [worker](Self::work).
    #[must_use]
    pub fn for_owner(&self, owner: Owner) -> Self {
        Self {
            owner: Some(owner),
            ..self.clone()
        }
    }

    /// The owner that the host was [narrowed to](Self::for_owner). `None`: it is the operator's, whose names are of what has
    /// no owner, and whose ids are of everything.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The record: everything that was configured, fetched and bought, whoever owns it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Counts of connections for plugins: opened, used again, and there now.
    pub fn connections(&self) -> ConnectionCounts {
        self.outbound.connections()
    }

    /// The plugin of the file that the host was opened with, loaded now if it has not been loaded yet.
    ///
    /// # Errors
    /// When it can't be loaded, or is not trusted.
    pub async fn plugin(&self) -> Result<Plugin, PluginError> {
        Ok(self.plugin_of_file().await?.plugin)
    }

    /// The plugin of an instance, which alone is called for it. One that has none yet is judged by the file that the host was
    /// opened with.
    ///
    /// # Errors
    /// When it is not on record, not trusted, or can't be loaded.
    pub(crate) async fn plugin_of(&self, instance: &Instance) -> Result<LoadedPlugin, PluginError> {
        let loaded = match instance.plugin {
            Some(digest) => self.plugins.of(&self.record, digest).await?,
            None if instance.version == 0 => self.plugins.named(&self.record).await?,
            // Saved before plugins were on record: no process may take its own file for it.
            None => {
                let instance = instance.name.clone();
                return Err(PluginError::Unassigned { instance });
            }
        };
        Ok(self.limited(loaded))
    }

    /// The plugin of a new instance. `id`: the plugin's name; without it, there must be only one.
    pub(crate) async fn plugin_for_new(&self, id: Option<&str>) -> Result<LoadedPlugin, PluginError> {
        Ok(self.limited(self.plugins.for_new(&self.record, id).await?))
    }

    /// The plugin of the file that the host was opened with.
    pub(crate) async fn plugin_of_file(&self) -> Result<LoadedPlugin, PluginError> {
        Ok(self.limited(self.plugins.named(&self.record).await?))
    }

    /// The plugin of a digest.
    pub(crate) async fn plugin_with(&self, digest: PluginDigest) -> Result<LoadedPlugin, PluginError> {
        Ok(self.limited(self.plugins.of(&self.record, digest).await?))
    }

    fn limited(&self, loaded: LoadedPlugin) -> LoadedPlugin {
        LoadedPlugin {
            plugin: loaded.plugin.with_limits(self.call_limits),
            ..loaded
        }
    }

    /// Puts the content of a plugin's file on record, which runs for no instance before it is trusted. Nothing of it is run
    /// but its description of itself, which reaches nobody.
    ///
    /// # Errors
    /// When the file is no plugin for this host, or the record can't be written.
    pub async fn add_plugin(&self, file: &Path, actor: &Actor) -> Result<AddedPlugin, PluginError> {
        self.plugins.add(&self.record, file, actor).await
    }

    /// Lets a plugin on record run for instances. Those that have another one keep it until they are
    /// [upgraded](Self::upgrade_instance).
    ///
    /// # Errors
    /// When it is not on record, or the record can't be written.
    pub async fn trust_plugin(
        &self,
        digest: PluginDigest,
        actor: &Actor,
    ) -> Result<AddedPlugin, PluginError> {
        let trusted = self.record.trust_plugin(&digest, actor).await?;
        trusted.ok_or(PluginError::Missing { digest })
    }

    /// The access tokens that are kept.
    #[cfg(feature = "mail")]
    pub(crate) fn access_tokens(&self) -> &AccessTokenCache {
        &self.access_tokens
    }

    /// Drops what was opened or obtained with an instance's former settings.
    pub(crate) fn forget_instance(&self, instance_id: &str) {
        self.outbound.forget_instance(instance_id);
        self.access_tokens.forget_instance(instance_id);
        self.ready.forget(instance_id);
    }

    /// A call that can reach no server.
    pub(crate) fn isolated_call(&self, instance: &Instance, listener: CallListener) -> CallContext {
        self.call(
            instance,
            listener,
            Arc::new(Egress {
                settings_version: instance.version,
                ..Egress::of_nobody(&instance.id.to_string())
            }),
        )
    }

    /// The proxies of the environment: of webhooks, and of instances whose operator has said nothing else.
    pub(crate) fn own_proxies(&self) -> ProxyRules {
        self.ready.own_proxies().clone()
    }

    /// A call of a ready instance: with its certificate, to its authorities.
    pub(crate) async fn ready_call(
        &self,
        instance: &Instance,
        listener: CallListener,
    ) -> Result<CallContext, PrepareError> {
        let egress = self.ready.egress(&self.record, instance).await?;
        Ok(self.call(instance, listener, egress))
    }

    /// A call like that of [`Self::ready_call`], but with nothing that earlier calls opened or obtained, and leaving
    /// nothing for later ones: its findings show how things are now.
    pub(crate) async fn fresh_call(
        &self,
        instance: &Instance,
        listener: CallListener,
    ) -> Result<CallContext, PrepareError> {
        let egress = self.ready.afresh().egress(&self.record, instance).await?;
        Ok(CallContext {
            outbound: self.outbound.without_connections(),
            access_tokens: AccessTokenCache::default(),
            ..self.call(instance, listener, egress)
        })
    }

    fn call(&self, instance: &Instance, listener: CallListener, egress: Arc<Egress>) -> CallContext {
        CallContext {
            egress,
            options: instance.options.clone(),
            outbound: self.outbound.clone(),
            access_tokens: self.access_tokens.clone(),
            listener: shielded(listener),
            seen: SeenExchanges::default(),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("record", &self.record)
            .field("call_limits", &self.call_limits)
            .finish_non_exhaustive()
    }
}

//! The host that a billing platform embeds: a plugin, a record, and the way out to the vendor.

use std::path::Path;
use std::sync::Arc;

use bss_model::{Actor, Instance, PluginDigest, TrustedPlugin};
use bss_record::{Record, RecordError};
use bss_sandbox::access_token_cache::AccessTokenCache;
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::CallListener;
use bss_sandbox::exchange_recording::Recorder;
use bss_sandbox::limits::CallLimits;
use bss_sandbox::outbound_https::{ConnectionCounts, Egress, OutboundHttps};
use bss_sandbox::plugin::Plugin;
use bss_sandbox::seen_exchanges::SeenExchanges;
use rustls::RootCertStore;

use crate::ready_instances::{PrepareError, ReadyInstances};
use crate::trusted_plugin::{HostPlugin, PluginError};

/// A host: one plugin, one record. Cloning shares it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use host_harness::Host;
///
/// let host = Host::open("bss-data".as_ref(), "microsoft_esd.wasm".as_ref()).await?;
/// for instance in host.record().instances().await? {
///     println!("{}: {:?}", instance.name, instance.standing);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Host {
    record: Record,
    plugin: HostPlugin,
    outbound: OutboundHttps,
    access_tokens: AccessTokenCache,
    ready: ReadyInstances,
    call_limits: CallLimits,
}

/// The folder of compiled plugins in the data directory, which only its owner can enter.
pub const COMPILED_DIRECTORY: &str = "compiled";

impl Host {
    /// Opens the data directory, and makes it if need be. The plugin is loaded when it is first called: if it is the
    /// trusted one, or if none has been trusted in this data directory yet, which makes it the trusted one.
    ///
    /// # Errors
    /// When the record can't be opened.
    pub async fn open(data_dir: &Path, plugin: &Path) -> Result<Self, RecordError> {
        Ok(Self {
            record: Record::open(data_dir).await?,
            plugin: HostPlugin::new(plugin, data_dir.join(COMPILED_DIRECTORY)),
            outbound: OutboundHttps::default(),
            access_tokens: AccessTokenCache::default(),
            ready: ReadyInstances::default(),
            call_limits: CallLimits::default(),
        })
    }

    /// Sets the time limits of the plugin's calls.
    #[must_use]
    pub fn with_call_limits(self, call_limits: CallLimits) -> Self {
        Self { call_limits, ..self }
    }

    /// Writes the host's calls down for [`crate::replay::replay`].
    #[must_use]
    pub fn recording(self, recorder: Recorder) -> Self {
        Self {
            outbound: self.outbound.recording(recorder),
            ..self
        }
    }

    /// The record: everything that was configured, fetched and bought.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Counts of connections for plugins: opened, used again, and there now.
    pub fn connections(&self) -> ConnectionCounts {
        self.outbound.connections()
    }

    /// The plugin, loaded now if it has not been loaded yet.
    ///
    /// # Errors
    /// When it can't be loaded, or another one is trusted.
    pub async fn plugin(&self) -> Result<Plugin, PluginError> {
        let loaded = self.plugin.loaded(&self.record).await?;
        Ok(loaded.plugin.with_limits(self.call_limits))
    }

    /// The digest of the plugin that is called.
    pub(crate) async fn called_plugin(&self) -> Result<PluginDigest, PluginError> {
        Ok(self.plugin.loaded(&self.record).await?.digest)
    }

    /// Trusts the content of a plugin's file from now on, in place of the one before. Nothing of it is run. A host
    /// that is open keeps the plugin that it has loaded.
    ///
    /// # Errors
    /// When the file is no plugin for this host, or the record can't be written.
    pub async fn trust_plugin(&self, file: &Path, actor: &Actor) -> Result<TrustedPlugin, PluginError> {
        self.plugin.trust(&self.record, file, actor).await
    }

    /// The digest of the content that the file of this host's plugin has now. Nothing of it is run.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn plugin_digest(&self) -> Result<PluginDigest, PluginError> {
        self.plugin.digest().await
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
                instance_id: instance.id.to_string(),
                settings_version: instance.version,
                generation: 0,
                authorities: Vec::new(),
                identity: None,
                saved_values: Vec::new(),
                trust_roots: Arc::new(RootCertStore::empty()),
                allowed_networks: Vec::new(),
            }),
        )
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
        let egress = ReadyInstances::default().egress(&self.record, instance).await?;
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
            listener,
            seen: SeenExchanges::default(),
        }
    }
}

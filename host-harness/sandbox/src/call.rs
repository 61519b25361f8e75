//! The context in which a plugin is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::access_token_cache::AccessTokenCache;
use crate::call_event::CallListener;
use crate::exchange_recording::{CallRecording, HarmlessNames, RecordedContext};
use crate::outbound_https::{Egress, OutboundHttps};
use crate::plugin_call::PluginCall;
use crate::seen_exchanges::SeenExchanges;

/// The context of a call: the instance that it is for, and what it may use.
#[derive(Clone)]
pub struct CallContext {
    /// The servers that the call may reach, and the certificate that it presents.
    pub egress: Arc<Egress>,
    /// The operator's options for the plugin, beside the form.
    pub options: BTreeMap<String, String>,
    /// The HTTPS client that sends the call's requests.
    pub outbound: OutboundHttps,
    /// Access tokens kept between calls.
    pub access_tokens: AccessTokenCache,
    /// Hears the call's events.
    pub listener: CallListener,
    /// Takes note of what the host sees of the call's exchanges.
    pub seen: SeenExchanges,
}

impl CallContext {
    /// Begins the recording of a call. `None` where calls are not recorded.
    pub(crate) fn recording(
        &self,
        call: Uuid,
        asked: &PluginCall<'_>,
        harmless: &Arc<HarmlessNames>,
    ) -> Option<CallRecording> {
        let authorities = self.egress.authorities.iter();
        let context = || RecordedContext {
            options: self.options.clone(),
            authorities: authorities
                .map(|permitted| permitted.authority.to_string())
                .collect(),
            certificate: self.egress.identity.is_some(),
            harmless: Arc::clone(harmless),
        };
        let recorder = self.outbound.recorder()?;
        Some(recorder.begin(call, asked, context()))
    }
}

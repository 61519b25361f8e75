//! One call: what it is for, and what it may use.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::access_token_cache::AccessTokenCache;
use crate::call_event::CallListener;
use crate::exchange_recording::{CallRecording, RecordedContext};
use crate::outbound_https::{Egress, OutboundHttps};
use crate::plugin_call::PluginCall;

/// What one call is for, and what it may use.
#[derive(Clone)]
pub struct CallContext {
    /// What it may reach, and as whom.
    pub egress: Arc<Egress>,
    /// The operator's options for the plugin, beside the form.
    pub options: BTreeMap<String, String>,
    /// The way out.
    pub outbound: OutboundHttps,
    /// Access tokens kept between calls.
    pub access_tokens: AccessTokenCache,
    /// Who hears of its events.
    pub listener: CallListener,
}

impl CallContext {
    /// The recording of a call that begins, where calls are recorded.
    pub(crate) fn recording(&self, call: Uuid, asked: &PluginCall<'_>) -> Option<CallRecording> {
        let authorities = self.egress.authorities.iter();
        let context = || RecordedContext {
            options: self.options.clone(),
            authorities: authorities
                .map(|permitted| permitted.authority.to_string())
                .collect(),
            certificate: self.egress.identity.is_some(),
        };
        let recorder = self.outbound.recorder()?;
        Some(recorder.begin(call, asked, context()))
    }
}

//! A call that is being answered: who calls, what is sent along, and how long an outcome is waited for.

use std::sync::atomic::Ordering;

use bss_model::{InstanceId, Platform};
use host_harness::Host;
use http::{HeaderMap, Uri};
use tokio::time::Instant;

use super::members::Members;
use super::results::{Answer, Code};
use super::settings;
use crate::access::PlatformCaller;
use crate::problem::Problem;
use crate::state::State;

/// A call of a platform, with all that its answer takes.
pub(super) struct Asked<'a> {
    pub(super) state: &'a State,
    pub(super) caller: &'a PlatformCaller,
    pub(super) headers: &'a HeaderMap,
    pub(super) uri: &'a Uri,
    pub(super) message: Members,
    /// Until when an outcome is waited for.
    pub(super) until: Instant,
}

impl Asked<'_> {
    pub(super) fn host(&self) -> &Host {
        &self.caller.host
    }

    pub(super) fn platform(&self) -> &Platform {
        &self.caller.platform
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.headers
    }

    pub(super) fn message(&self) -> &Members {
        &self.message
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The host and port of the address, where HTTP/2 has them.
    pub(super) fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    /// Whether a parameter of the query, in any case, says so.
    pub(super) fn query_says(&self, name: &str, truth: impl Fn(&str) -> Option<bool>) -> bool {
        let mut parameters = form_urlencoded::parse(self.query().unwrap_or_default().as_bytes());
        parameters.any(|(known, value)| known.eq_ignore_ascii_case(name) && truth(&value) == Some(true))
    }

    /// Whether no outcome is waited for any more.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.state.is_stopping.load(Ordering::Relaxed)
    }

    /// The answer to a setting that the platform sends along and that is not the instance's. `None`: all are, or it sends none.
    pub(super) async fn differing_setting(&self) -> Result<Option<Answer>, Problem> {
        let id = InstanceId(self.platform().instance_id);
        let Some(instance) = self.host().record().instance_by_id(id.into()).await? else {
            return Ok(None);
        };
        let differing = settings::differing(self.headers, &instance);
        if differing.is_empty() {
            return Ok(None);
        }
        let form = self.host().instance_of_id(id).await?.form().await?;
        let difference = settings::difference(&differing, &form);
        Ok(difference.map(|difference| Answer::new(Code::Setting, difference)))
    }
}

//! A call that is being answered: who calls, what is sent along, and how long an outcome is waited for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bss_model::Platform;
use host_harness::view::InstanceForm;
use host_harness::{AssetHandle, Host, InstanceHandle};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::members::Members;
use super::results::{Answer, Code};
use super::settings;
use crate::access::PlatformCaller;
use crate::problem::Problem;
use crate::state::State;

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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

    /// The instance that the platform buys at.
    pub(super) async fn instance(&self) -> Result<InstanceHandle, Problem> {
        Ok(self
            .host()
            .instance_of_id(self.platform().instance_id.into())
            .await?)
    }

    /// The asset of an id.
    pub(super) async fn asset(&self, id: Uuid) -> Result<AssetHandle, Problem> {
        Ok(self.host().asset(id.into()).await?)
    }

    /// The form of the instance.
    pub(super) async fn form(&self) -> Result<InstanceForm, Problem> {
        Ok(self.instance().await?.form().await?)
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The host and port of the address, where HTTP/2 has them.
    pub(super) fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    /// Whether no outcome is waited for any more.
    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.state.is_stopping.load(Ordering::Relaxed)
    }

    /// Waits until the next look at what is waited for. False: the time is over.
    pub(super) async fn waits(&self) -> bool {
        let waits = !self.is_over();
        if waits {
            sleep(LOOK_EVERY).await;
        }
        waits
    }

    /// The answer to a setting that the platform sends along and that is not the instance's. `None`: all are, or it sends none.
    pub(super) async fn differing_setting(&self) -> Result<Option<Answer>, Problem> {
        let id = self.platform().instance_id;
        let Some(instance) = self.host().record().instance_by_id(id).await? else {
            return Ok(None);
        };
        let differing = settings::differing(self.headers, &instance);
        if differing.is_empty() {
            return Ok(None);
        }
        let form = self.form().await?;
        let difference = settings::difference(&differing, &form);
        Ok(difference.map(|difference| Answer::new(Code::Setting, difference)))
    }
}

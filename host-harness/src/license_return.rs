//! Returns: a cancelled license goes back to the vendor first, and only when the vendor shows it returned is the
//! asset cancelled and its price credited.
//!
//! The record knows of an attempt before the plugin is called. An attempt that follows one which may have been done
//! looks the license up before it returns it again.

mod rule;

use std::time::{Duration, Instant};

use bss_model::purchase_rule::{self, VendorSignal};
use bss_model::{
    Actor, BegunReturn, Cancellation, CancellationState, Diagnose, Diagnosis, Instance, Requester,
    ReturnResult, TakenReturn,
};
use bss_record::{BeginReturnError, CancelError, DecideError, FinishReturnError, RecordError};
use bss_sandbox::bindings::license_lifecycle as contract;
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::CallListener;
use bss_sandbox::call_trace;
use bss_sandbox::plugin::Plugin;
use bss_sandbox::seen_exchanges::SeenExchanges;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::call_failure::not_offered;
use crate::contract::{contract_earlier_attempts, contract_instance, contract_license_names};
use crate::host::Host;
use crate::own_task::{in_own_task, nobody};
use crate::pause::{self, ATTEMPTS_WAITED_FOR, LONGEST_WAIT};
use crate::plugins::PluginError;
use crate::ready_instances::PrepareError;
use rule::{Next, Verdict};

/// The pause after a first attempt that settled nothing; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The pause between looks whether another worker has settled a return, while a caller waits.
const POLL: Duration = Duration::from_millis(200);

/// Why a license was not cancelled, or its return not attempted. Whatever the error, an asset whose cancellation is
/// on record as returning will be attempted again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReturnError {
    /// The cancellation was not taken; nothing was written.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// The request was not decided; nothing was written.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The plugin can't return licenses.
    #[error("the plugin of instance `{0}` can't return licenses")]
    NotOffered(String),
    /// The call can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The attempt can't be begun.
    #[error(transparent)]
    Begin(#[from] BeginReturnError),
    /// The outcome of the attempt can't be put on record; the next one looks it up.
    #[error(transparent)]
    Finish(#[from] FinishReturnError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ReturnError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Cancel(error) => error.diagnosis(),
            Self::Decide(error) => error.diagnosis(),
            Self::NotOffered(_) => not_offered(),
            Self::Prepare(error) => error.diagnosis(),
            Self::Begin(error) => error.diagnosis(),
            Self::Finish(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl From<PluginError> for ReturnError {
    fn from(error: PluginError) -> Self {
        Self::Prepare(error.into())
    }
}

/// The outcome of an attempt at a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptedReturn {
    /// The cancellation, as it stands now.
    pub cancellation: Cancellation,
    /// The result of the attempt.
    pub result: ReturnResult,
    /// The time for which the vendor asks to be left alone. `None`: it did not say.
    pub retry_after: Option<Duration>,
}

impl AttemptedReturn {
    /// Whether no answer settled the attempt: the vendor was not reached, was busy, or broke off.
    pub fn is_outage(&self) -> bool {
        matches!(self.result, ReturnResult::Unavailable | ReturnResult::Unknown)
    }
}

impl Host {
    /// Cancels an asset at once: the return of its license is due, and [`Host::run_return`] or a worker attempts it.
    /// `actor` is the one who decides, which need not be the requester.
    ///
    /// # Errors
    /// When the asset can't be cancelled, or calls for its instance can't be made; nothing is written then.
    pub async fn cancel_now(
        &self,
        asset_id: Uuid,
        requester: &Requester,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, ReturnError> {
        self.check_return(asset_id).await?;
        Ok(self
            .record()
            .cancel_now(asset_id, requester, comment, actor)
            .await?)
    }

    /// Confirms a requested cancellation: the return of the license is due, and [`Host::run_return`] or a worker
    /// attempts it.
    ///
    /// # Errors
    /// When the request was decided or withdrawn, or calls for the instance can't be made; nothing is written then.
    pub async fn confirm_cancellation(
        &self,
        cancellation_id: Uuid,
        comment: &str,
        actor: &Actor,
    ) -> Result<Cancellation, ReturnError> {
        let cancellation = self.own_cancellation(cancellation_id).await?;
        let cancellation = cancellation.ok_or(DecideError::NoCancellation { id: cancellation_id })?;
        self.check_return(cancellation.asset_id).await?;
        Ok(self
            .record()
            .confirm_cancellation(cancellation_id, comment, actor)
            .await?)
    }

    /// Attempts a confirmed cancellation's return a few times, and leaves it to a worker if it stays open. Returns at
    /// once if it is settled already. The attempts go on where the caller is dropped.
    ///
    /// # Errors
    /// When there is no such cancellation, calls for its instance can't be made, or the record fails.
    pub async fn run_return(
        &self,
        cancellation_id: Uuid,
        listener: CallListener,
    ) -> Result<Cancellation, ReturnError> {
        if self.own_cancellation(cancellation_id).await?.is_none() {
            return Err(DecideError::NoCancellation { id: cancellation_id }.into());
        }
        let host = self.clone();
        let ran = in_own_task(std::future::pending(), |_| async move {
            host.run_return_to_its_end(cancellation_id, listener).await
        });
        ran.await.unwrap_or(Err(RecordError::TaskEnded.into()))
    }

    async fn run_return_to_its_end(
        &self,
        cancellation_id: Uuid,
        listener: CallListener,
    ) -> Result<Cancellation, ReturnError> {
        let worker = self.record().start_worker().await?;
        let host = self.permitted_by(worker.permit());
        let ran = host.attempts(worker.id(), cancellation_id, &listener).await;
        if let Err(error) = self.record().end_worker(worker).await {
            tracing::warn!(%error, "the worker of a return can't be removed from the record; its lease will expire");
        }
        ran
    }

    async fn attempts(
        &self,
        worker: Uuid,
        cancellation_id: Uuid,
        listener: &CallListener,
    ) -> Result<Cancellation, ReturnError> {
        let (mut attempt, mut pause) = (0, FIRST_PAUSE);
        let patience = Instant::now() + LONGEST_WAIT;
        loop {
            let Some(taken) = self.record().take_return(worker, cancellation_id).await? else {
                let cancellation = self.record().cancellation(cancellation_id).await?;
                let cancellation = cancellation.ok_or(DecideError::NoCancellation { id: cancellation_id })?;
                if cancellation.state != CancellationState::Returning || Instant::now() > patience {
                    return Ok(cancellation);
                }
                // A worker that was faster has the return.
                tokio::time::sleep(POLL).await;
                continue;
            };
            let attempted = self.attempt_return(&taken, listener.clone()).await?;
            attempt += 1;
            let wait = attempted.retry_after.unwrap_or(pause);
            if !attempted.is_outage() || attempt == ATTEMPTS_WAITED_FOR || wait > LONGEST_WAIT {
                return Ok(attempted.cancellation);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// Makes one attempt at a return that a worker has taken, and writes down its begin and its outcome. The return
    /// is released in any case, and due again later if it stays open.
    ///
    /// # Errors
    /// When the attempt can't be made, or its outcome can't be put on record.
    pub async fn attempt_return(
        &self,
        taken: &TakenReturn,
        listener: CallListener,
    ) -> Result<AttemptedReturn, ReturnError> {
        let attempted = self.attempt_taken(taken, listener).await;
        if attempted.is_err() {
            // An error here does not pass by itself; an operator has to correct its cause, so wait the longest pause.
            let due_at_ms = due_at_ms(self.record().now_ms(), u32::MAX, None);
            if let Err(error) = self.record().leave_return(taken, due_at_ms).await {
                tracing::warn!(%error, asset = %taken.asset_id, "the return of this asset's license stays with its worker until the worker ends");
            }
        }
        attempted
    }

    async fn attempt_taken(
        &self,
        taken: &TakenReturn,
        listener: CallListener,
    ) -> Result<AttemptedReturn, ReturnError> {
        let (plugin, instance, call) = self.prepare_return(taken.instance_id, listener.clone()).await?;
        let begun = self.record().begin_return(taken).await?;
        let number = begun.number;
        let attempt = call_trace::attempt("return", taken.asset_id, Some(number));
        let asked = self.ask(&plugin, &instance, call, begun);
        let Verdict { outcome, retry_after } = asked.instrument(attempt).await;
        let due_at_ms = due_at_ms(self.record().now_ms(), number, retry_after);
        let cancellation = self
            .record()
            .finish_return(taken, number, &outcome, due_at_ms)
            .await?;
        if cancellation.state == CancellationState::Refused {
            self.refresh_refused(taken.asset_id, listener).await;
        }
        Ok(AttemptedReturn {
            cancellation,
            result: outcome.result(),
            retry_after,
        })
    }

    /// Asks how a license stands that the vendor did not take back: it may be used, which the record does not know yet.
    async fn refresh_refused(&self, asset_id: Uuid, listener: CallListener) {
        if let Err(error) = self.refresh_of_any(asset_id, listener).await {
            tracing::info!(%error, asset = %asset_id, "the license whose return was refused could not be refreshed");
        }
    }

    /// Looks the license up where an earlier attempt may have returned it, and returns it where it is not returned.
    async fn ask(
        &self,
        plugin: &Plugin,
        instance: &Instance,
        call: CallContext,
        begun: BegunReturn,
    ) -> Verdict {
        let contract_instance = contract_instance(instance);
        let license = contract_license_names(&begun.license);
        let id = begun.license.license_token_id;
        if rule::looks_up_first(begun.earlier) {
            let seen = SeenExchanges::default();
            let looking_up = CallContext {
                seen: seen.clone(),
                ..call.clone()
            };
            let name = contract::LicenseName::License(license.clone());
            let found = plugin.get_license(looking_up, &contract_instance, &name).await;
            if let Next::End(verdict) = rule::after_look_up(found, &id, seen.so_far(), begun.awaits_adoption)
            {
                return verdict;
            }
        }
        let license_return = contract::LicenseReturn {
            license,
            earlier_attempts: contract_earlier_attempts(begun.earlier),
            client_transaction_id: begun.client_transaction_id.to_string(),
            reason: begun.comment,
        };
        let seen = call.seen.clone();
        let answer = plugin
            .cancel_license(call, &contract_instance, &license_return)
            .await;
        let now = self.record().now();
        let look_up_only = purchase_rule::look_up_only_at(&instance.authorities, begun.look_up_only);
        let is_earlier_under_way = begun
            .in_doubt_since
            .is_some_and(|since| purchase_rule::look_up_only_left(since, look_up_only, now).is_some());
        rule::after_return(answer, &id, seen.so_far(), is_earlier_under_way)
    }

    /// Whether the return of an asset's license can be attempted at all.
    async fn check_return(&self, asset_id: Uuid) -> Result<(), ReturnError> {
        let asset = self.own_asset(asset_id).await?;
        let asset = asset.ok_or(CancelError::NoAsset { id: asset_id })?;
        self.prepare_return(asset.instance_id, nobody()).await?;
        Ok(())
    }

    async fn prepare_return(
        &self,
        instance_id: Uuid,
        listener: CallListener,
    ) -> Result<(Plugin, Instance, CallContext), ReturnError> {
        let instance = self.instance_on_record(instance_id).await?;
        let plugin = self.plugin_of(&instance).await?.plugin;
        if !plugin.offers_lifecycle() {
            return Err(ReturnError::NotOffered(instance.name));
        }
        let call = self.ready_call(&instance, listener).await?;
        Ok((plugin, instance, call))
    }
}

/// The time at which a return is due again after an attempt that has not settled it.
fn due_at_ms(now_ms: i64, attempt: u32, retry_after: Option<Duration>) -> i64 {
    let signal = VendorSignal::without_answer(retry_after);
    purchase_rule::due_at_ms(now_ms, pause::after_attempt(attempt), signal, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_left_alone_as_long_as_it_asks_for_but_not_forever() {
        let day_ms = 24 * 60 * 60 * 1_000;
        let hour = Duration::from_secs(60 * 60);
        let now = bss_model::clock::now_ms();
        assert!(due_at_ms(now, 1, None) < now + 60_000);
        let asked = due_at_ms(now, 1, Some(hour));
        assert!((now + 3_600_000..now + 3_660_000).contains(&asked));
        let asked = due_at_ms(now, u32::MAX, Some(Duration::MAX));
        assert!((now + day_ms..now + day_ms + 60_000).contains(&asked));
    }
}

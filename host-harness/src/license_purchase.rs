//! An attempt at a purchase: the call that its rule asks for, and its outcome written down.
//!
//! The record knows of the attempt before the plugin is called. [`bss_model::purchase_rule`] decides what the attempt
//! does and what comes of it; this module makes the calls.

use std::borrow::Cow;
use std::time::Duration;

use bss_model::purchase_rule::{
    self, Attempted, FirstStep, LookUpAnswer, LookUpReason, PurchaseAnswer, VendorSignal,
};
use bss_model::{Diagnose, Instance, Page, Problem, SyncStatus, TakenAsset, with_causes};
use bss_record::{FinishError, RecordError};
use bss_sandbox::bindings::failures::{ChangeFailure, ReadFailure};
use bss_sandbox::bindings::license_lifecycle::{LicenseName, LookUp};
use bss_sandbox::bindings::license_order as contract;
use bss_sandbox::seen_exchanges::SeenExchanges;
use bss_sandbox::{CallContext, CallListener, FailedCall, call_trace};
use tracing::Instrument as _;

use crate::breaker::Ended;
use crate::call_failure::not_entered;
use crate::contract::{
    contract_earlier_attempts, contract_instance, contract_party, recorded_license, recorded_problem,
    retry_after,
};
use crate::host::Host;
use crate::pause;
use crate::ready_instances::PrepareError;

/// A plugin's answer to a look-up.
type Found = Result<Result<LookUp, ReadFailure>, FailedCall>;

/// A plugin's answer to a purchase.
pub(crate) type Answer = Result<Result<contract::OrderAnswer, ChangeFailure>, FailedCall>;

impl Host {
    /// Makes one attempt that is on record, and writes its outcome down.
    ///
    /// # Errors
    /// When the record fails. The asset is then its worker's until that ends.
    pub(crate) async fn attempt_purchase(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
    ) -> Result<Ended, RecordError> {
        let span = call_trace::attempt("purchase", taken.asset_id, Some(taken.attempt.number));
        let reason = self.look_up_reason(taken).await?;
        let reason = match (taken.attempt.is_to_be_withdrawn, taken.attempt.is_disabled) {
            (true, _) => Some(LookUpReason::to_withdraw(reason)),
            (false, true) => Some(LookUpReason::while_disabled(reason)),
            (false, false) => reason,
        };
        let Attempted {
            outcome,
            signal,
            comes_in,
        } = match &reason {
            Some(reason) => {
                let looked_up = self.look_up(taken, reason, listener).instrument(span).await;
                match taken.attempt.is_to_be_withdrawn {
                    true => looked_up.to_withdraw(),
                    false => looked_up,
                }
            }
            None => self.purchase(taken, listener).instrument(span).await,
        };
        let number = taken.attempt.number;
        let problem = match signal {
            VendorSignal::Misconfigured => outcome.problem().cloned(),
            _ => None,
        };
        let usual = pause::after_attempt(number);
        let due_at_ms =
            purchase_rule::due_at_ms(self.record().now_ms(), usual, signal, reason.as_ref(), comes_in);
        let finished = self
            .record()
            .finish_attempt(taken.asset_id, number, outcome, due_at_ms);
        let settled = match finished.await {
            Ok(asset) => asset.sync_status != SyncStatus::Unsynchronised,
            Err(FinishError::Record(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, asset = %taken.asset_id, "the outcome of an attempt to buy this asset's license was not recorded");
                false
            }
        };
        Ok(Ended {
            instance_id: taken.instance_id,
            asset_id: taken.asset_id,
            settled,
            signal,
            purchase_answered: reason.is_none() && signal == VendorSignal::Answered,
            problem,
            settings_version: Some(taken.attempt.settings_version),
        })
    }

    /// Why a purchase is only looked up. `None`: it may be sent.
    async fn look_up_reason(&self, taken: &TakenAsset) -> Result<Option<LookUpReason>, RecordError> {
        let attempt = &taken.attempt;
        let look_up_only = match attempt.in_doubt {
            Some(_) => {
                let instance = self.instance_on_record(taken.instance_id).await?;
                purchase_rule::look_up_only_at(&instance.authorities, attempt.look_up_only)
            }
            None => attempt.look_up_only,
        };
        match purchase_rule::first_step(
            attempt.in_doubt,
            attempt.awaits_adoption,
            look_up_only,
            self.record().now(),
        ) {
            FirstStep::Buy => Ok(None),
            FirstStep::LookUp(reason) => Ok(Some(reason)),
            FirstStep::LookUpAccepted { version } => {
                let changed = match version {
                    Some(version) => self.changed_since(taken, version).await?,
                    None => None,
                };
                let changed = match changed {
                    Some(LookUpReason::OtherSettings { fields, .. }) => fields,
                    _ => Vec::new(),
                };
                Ok(Some(LookUpReason::Accepted { changed }))
            }
            FirstStep::BuyIfUnchanged { version } => self.changed_since(taken, version).await,
        }
    }

    /// What has changed of the instance's settings since a version, for who looks the purchase up.
    async fn changed_since(
        &self,
        taken: &TakenAsset,
        version: i64,
    ) -> Result<Option<LookUpReason>, RecordError> {
        let history = self
            .record()
            .instance_history(taken.instance_id, &Page::all())
            .await?;
        Ok(purchase_rule::changed_since(version, &history.rows))
    }

    /// Buys the license. The plugin looks it up first where an earlier attempt may have bought it.
    async fn purchase(&self, taken: &TakenAsset, listener: CallListener) -> Attempted {
        let seen = SeenExchanges::default();
        let answer = match self.buy(taken, listener, &seen).await {
            Ok(answer) => purchase_answer(answer),
            Err(error @ (PrepareError::SettingsChanged(_) | PrepareError::Disabled(_))) => {
                PurchaseAnswer::Overtaken(not_attempted(&error))
            }
            Err(error) => PurchaseAnswer::NotMade(not_attempted(&error)),
        };
        let (earlier, id) = (taken.attempt.earlier, taken.attempt.client_transaction_id);
        purchase_rule::after_purchase(answer, seen.so_far(), earlier, id)
    }

    /// Looks the purchase up and buys nothing, because an earlier attempt may still be under way, or was made
    /// elsewhere.
    async fn look_up(&self, taken: &TakenAsset, reason: &LookUpReason, listener: CallListener) -> Attempted {
        let seen = SeenExchanges::default();
        let answer = match self.find(taken, listener, &seen).await {
            Ok(Some(found)) => look_up_answer(found),
            Ok(None) => LookUpAnswer::NotOffered,
            Err(error @ PrepareError::SettingsChanged(_)) => LookUpAnswer::Overtaken(not_attempted(&error)),
            Err(error) => LookUpAnswer::Failed(not_attempted(&error), None),
        };
        let id = taken.attempt.client_transaction_id;
        purchase_rule::after_look_up(answer, seen.so_far(), reason, id)
    }

    /// Makes the call that looks the purchase up. `None`: the plugin can't look purchases up. An error means that the call
    /// was never made.
    async fn find(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
        seen: &SeenExchanges,
    ) -> Result<Option<Found>, PrepareError> {
        let (instance, call) = self.call_for(taken, listener, seen).await?;
        let plugin = self.plugin_of(&instance).await?.plugin;
        if !plugin.offers_lifecycle() {
            return Ok(None);
        }
        let name = LicenseName::Purchase(taken.attempt.client_transaction_id.to_string());
        Ok(Some(
            plugin
                .get_license(call, &contract_instance(&instance), &name)
                .await,
        ))
    }

    async fn call_for(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
        seen: &SeenExchanges,
    ) -> Result<(Instance, CallContext), PrepareError> {
        // Read for each attempt: another certificate may have taken over since the last one.
        let instance = self.instance_on_record(taken.instance_id).await?;
        if instance.version != taken.attempt.settings_version {
            // The record must know later which settings this attempt was made with; and why a purchase is only looked up was
            // decided by them.
            return Err(PrepareError::SettingsChanged(instance.name));
        }
        let call = self.ready_call(&instance, listener).await?;
        let seen = seen.clone();
        Ok((instance, CallContext { seen, ..call }))
    }

    /// Makes the call that buys. An error means that the call was never made.
    async fn buy(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
        seen: &SeenExchanges,
    ) -> Result<Answer, PrepareError> {
        let (instance, call) = self.call_for(taken, listener, seen).await?;
        if instance.is_disabled() {
            return Err(PrepareError::Disabled(instance.name));
        }
        let plugin = self.plugin_of(&instance).await?.plugin;
        let line = contract::LicenseOrder {
            client_transaction_id: taken.attempt.client_transaction_id.to_string(),
            earlier_attempts: contract_earlier_attempts(taken.attempt.earlier),
            check_only: false,
            product: taken.product_code.clone(),
            quantity: taken.quantity,
            reseller: taken.reseller.as_ref().map(contract_party),
            customer: contract_party(&taken.customer),
        };
        let answer = plugin
            .create_license(call, &contract_instance(&instance), &line)
            .await;
        match answer {
            // What can't be looked up would be waited for without end.
            Ok(Ok(contract::OrderAnswer::Accepted(_))) if !plugin.offers_lifecycle() => {
                Ok(Ok(Ok(contract::OrderAnswer::Valid)))
            }
            answer => Ok(answer),
        }
    }
}

fn purchase_answer(answer: Answer) -> PurchaseAnswer {
    match answer {
        Ok(Ok(contract::OrderAnswer::Licensed(license))) => {
            recorded_license(license).map_or_else(PurchaseAnswer::Defective, PurchaseAnswer::Licensed)
        }
        Ok(Ok(contract::OrderAnswer::Accepted(in_ms))) => {
            PurchaseAnswer::Accepted(in_ms.map(Duration::from_millis))
        }
        Ok(Ok(contract::OrderAnswer::Valid)) => PurchaseAnswer::WithoutLicense,
        Ok(Err(ChangeFailure::Refused(problem))) => PurchaseAnswer::Refused(recorded_problem(problem)),
        Ok(Err(ChangeFailure::Unavailable(delay))) => {
            let pause = retry_after(&delay);
            PurchaseAnswer::Unavailable(recorded_problem(delay.problem), pause)
        }
        Ok(Err(ChangeFailure::Misconfigured(problem))) => {
            PurchaseAnswer::Misconfigured(recorded_problem(problem))
        }
        Ok(Err(ChangeFailure::Unknown(problem))) => PurchaseAnswer::Unknown(recorded_problem(problem)),
        Err(failed) if failed.error.is_not_entered() => PurchaseAnswer::NotEntered(not_entered(&failed)),
        Err(failed) => PurchaseAnswer::BrokeOff(failed.to_string()),
    }
}

fn look_up_answer(found: Found) -> LookUpAnswer {
    match found {
        Ok(Ok(LookUp::Issued(license))) => {
            recorded_license(license).map_or_else(LookUpAnswer::Defective, LookUpAnswer::Found)
        }
        Ok(Ok(LookUp::Accepted(in_ms))) => LookUpAnswer::Accepted(in_ms.map(Duration::from_millis)),
        Ok(Ok(LookUp::Declined(problem))) => LookUpAnswer::Declined(recorded_problem(problem)),
        Ok(Ok(LookUp::NeverIssued)) => LookUpAnswer::NotFound,
        Ok(Err(ReadFailure::Unavailable(delay))) => {
            let pause = retry_after(&delay);
            LookUpAnswer::Failed(recorded_problem(delay.problem), pause)
        }
        Ok(Err(ReadFailure::Misconfigured(problem))) => {
            LookUpAnswer::Misconfigured(recorded_problem(problem))
        }
        Ok(Err(ReadFailure::Refused(problem) | ReadFailure::Malformed(problem))) => {
            LookUpAnswer::Failed(recorded_problem(problem), None)
        }
        Err(failed) if failed.error.is_not_entered() => LookUpAnswer::Failed(not_entered(&failed), None),
        Err(failed) => LookUpAnswer::BrokeOff(failed.to_string()),
    }
}

fn not_attempted(error: &PrepareError) -> Problem {
    let advice = error.diagnosis().advice;
    let advice = advice.map_or(Cow::Borrowed("correct the cause"), |advice| advice.sentence());
    Problem::new(
        "not-attempted",
        with_causes(error),
        format!("{advice}; the next attempt is made automatically"),
    )
}

#[cfg(test)]
mod tests {
    use bss_sandbox::CallError;

    use super::*;

    #[test]
    fn only_a_plugin_that_was_never_entered_has_surely_bought_nothing() {
        let setup = || CallError::Setup(wasmtime::Error::msg("no memory"));
        let no_sandbox = || CallError::NoSandbox(Duration::from_secs(60));
        for (error, again, code, advice) in [
            (
                setup(),
                setup(),
                "sandbox",
                "try again when the machine is less busy",
            ),
            (
                no_sandbox(),
                no_sandbox(),
                "no-sandbox",
                "try again when fewer calls are under way, or make fewer at once",
            ),
        ] {
            let PurchaseAnswer::NotEntered(problem) = purchase_answer(Err(error.into())) else {
                panic!("{code}: the plugin was entered");
            };
            assert_eq!((problem.code.as_str(), problem.advice.as_str()), (code, advice));
            let looked_up = look_up_answer(Err(again.into()));
            assert!(matches!(looked_up, LookUpAnswer::Failed(problem, None) if problem.code == code));
        }
        for error in [
            CallError::Trap(wasmtime::Error::msg("unreachable")),
            CallError::Deadline(Duration::from_secs(1)),
            CallError::Busy(Duration::from_secs(1)),
            CallError::Memory(1),
        ] {
            assert!(matches!(
                purchase_answer(Err(error.into())),
                PurchaseAnswer::BrokeOff(_)
            ));
        }
    }

    #[test]
    fn an_order_that_was_only_checked_is_no_license() {
        let checked = Ok(Ok(contract::OrderAnswer::Valid));
        assert!(matches!(purchase_answer(checked), PurchaseAnswer::WithoutLicense));
    }
}

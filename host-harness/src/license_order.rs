//! Orders: each line bought exactly once, whatever fails in between.
//!
//! The record knows of an attempt before the plugin is called. An attempt that follows another one of the
//! same line says so, and the plugin then looks up before it buys. Only an answer settles a line.

use std::time::Duration;

use uuid::Uuid;

use crate::bindings::failures::{ChangeFailure, Delay, Problem};
use crate::bindings::license_order as contract;
use crate::call_state::CallListener;
use crate::error::CallError;
use crate::host::{Host, PrepareError, contract_instance};
use crate::instance_settings::ConfigureError;
use crate::record::{
    self, Asset, AssetFilter, AttemptOutcome, BeginError, Contact, EarlierAttempts, FinishError, Instance,
    License, LicenseTokenStatus, NewLine, NewOrder, Order, Party, RecordError, ReturnStatus, Secret,
    SyncStatus,
};

/// How often a line is attempted before an order is left to be resumed. Three times within a few seconds
/// outlasts a restart of one server behind the vendor's front end; more is for who comes back later.
const ATTEMPTS: u32 = 3;

/// The pause after a first attempt that settled nothing; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause that is waited for; a vendor that asks for more is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is ordered.
#[derive(Clone, Debug)]
pub struct OrderRequest {
    /// Who gets the licenses.
    pub customer: Party,
    /// Where they are mailed to.
    pub contact: Contact,
    /// Who sells, where a reseller stands between.
    pub reseller: Option<Party>,
    /// What, and how many of each.
    pub lines: Vec<NewLine>,
    /// Makes a repeated request answer with the first one's order.
    pub idempotency_key: Option<String>,
}

/// Why an order was not placed, or an order can't be gone on with. No license was bought by this request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// There is no such instance.
    #[error(transparent)]
    Instance(#[from] ConfigureError),
    /// Calls for it can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The order itself was refused; nothing was written.
    #[error(transparent)]
    Order(#[from] record::PlaceError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An attempt can't be made.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// An attempt's outcome contradicts the record, which keeps what it had.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// There is no such order.
    #[error("there is no order `{0}`; hint: `asset list` shows the orders that there are")]
    NoOrder(Uuid),
}

impl Host {
    /// Writes an order down: its lines, and an asset with a client transaction id for each unit. Buys nothing
    /// yet; [`Host::run_order`] does.
    ///
    /// # Errors
    /// When the instance is not ready, a product is unknown or no longer sold, or a quantity is out of its
    /// limits; nothing is written then.
    pub async fn place_order(&self, instance: &str, request: OrderRequest) -> Result<Order, PlaceError> {
        let instance = self.named_instance(instance).await?;
        // Whatever would make every purchase fail is found before anything is written.
        self.ready_call(&instance, std::sync::Arc::new(|_| ())).await?;
        let order = NewOrder {
            instance_id: instance.id,
            customer: request.customer,
            contact: request.contact,
            reseller: request.reseller,
            lines: request.lines,
            idempotency_key: request.idempotency_key,
        };
        Ok(self.record().place_order(order).await?)
    }

    /// Buys what an order's unsettled assets stand for, and answers with all of its assets. Can be called
    /// again for the same order at any time, also after a crash: it never buys a second license for an asset.
    ///
    /// # Errors
    /// When there is no such order, calls for its instance can't be made, or the record fails.
    pub async fn run_order(&self, order_id: Uuid, listener: CallListener) -> Result<Vec<Asset>, PlaceError> {
        let order = self.record().order(order_id).await?;
        let order = order.ok_or_else(|| PlaceError::NoOrder(order_id))?;
        for asset in self.record().unfinished_assets(order_id).await? {
            // Read anew: another certificate may have taken over while the last one was bought.
            let instance = self.record().instance_by_id(order.instance_id).await?;
            let instance = instance.ok_or(PlaceError::NoOrder(order_id))?;
            self.settle(&instance, &order, &asset, &listener).await?;
        }
        let filter = AssetFilter {
            order: Some(order_id),
            ..AssetFilter::default()
        };
        Ok(self.record().assets(filter).await?)
    }

    /// Attempts one asset until it is settled or there is no use in trying on now.
    async fn settle(
        &self,
        instance: &Instance,
        order: &Order,
        asset: &Asset,
        listener: &CallListener,
    ) -> Result<(), PlaceError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            let (settled, asked_for) = self.attempt(instance, order, asset, listener).await?;
            if settled || attempt == ATTEMPTS {
                break;
            }
            let wait = asked_for.unwrap_or(pause);
            if wait > LONGEST_PAUSE {
                break;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        Ok(())
    }

    /// One attempt: written down, made, and its outcome written down. Answers whether it settled the asset,
    /// and how long the vendor asked to be left alone.
    async fn attempt(
        &self,
        instance: &Instance,
        order: &Order,
        asset: &Asset,
        listener: &CallListener,
    ) -> Result<(bool, Option<Duration>), PlaceError> {
        let call = self.ready_call(instance, listener.clone()).await?;
        let plugin = self.plugin().await.map_err(PrepareError::from)?;
        let attempt = self.record().begin_attempt(asset.id).await?;
        let line = contract::LicenseOrder {
            client_transaction_id: attempt.client_transaction_id.to_string(),
            earlier_attempts: match attempt.earlier {
                EarlierAttempts::None => contract::EarlierAttempts::None,
                EarlierAttempts::NotDone => contract::EarlierAttempts::NotDone,
                EarlierAttempts::Unknown => contract::EarlierAttempts::Unknown,
            },
            check_only: false,
            product: asset.product_code.clone(),
            reseller: order.reseller.as_ref().map(contract_party),
            customer: contract_party(&order.customer),
        };
        let answer = plugin
            .create_license(call, &contract_instance(instance), &line)
            .await;
        let retry_after = match &answer {
            Ok(Err(ChangeFailure::Unavailable(Delay { retry_after_ms, .. }))) => {
                retry_after_ms.map(Duration::from_millis)
            }
            _ => None,
        };
        let outcome = outcome(answer, &line.client_transaction_id);
        let settled = matches!(outcome, AttemptOutcome::Licensed(_) | AttemptOutcome::Refused(_));
        self.record()
            .finish_attempt(asset.id, attempt.number, outcome)
            .await?;
        Ok((settled, retry_after))
    }
}

/// What an answer, or the lack of one, means for the asset.
fn outcome(
    answer: Result<Result<contract::OrderAnswer, ChangeFailure>, CallError>,
    client_transaction_id: &str,
) -> AttemptOutcome {
    match answer {
        Ok(Ok(contract::OrderAnswer::Licensed(license)))
            if license.client_transaction_id == client_transaction_id && !license.product_key.is_empty() =>
        {
            AttemptOutcome::Licensed(recorded(license))
        }
        Ok(Ok(_)) => AttemptOutcome::Unknown(problem(
            "plugin-answer",
            "the plugin answered a purchase with something else than its license",
            "report it as a defect of the plugin; the next attempt looks the purchase up",
        )),
        Ok(Err(ChangeFailure::Refused(problem))) => AttemptOutcome::Refused(recorded_problem(problem)),
        Ok(Err(ChangeFailure::Unavailable(delay))) => {
            AttemptOutcome::Unavailable(recorded_problem(delay.problem))
        }
        Ok(Err(ChangeFailure::Unknown(problem))) => AttemptOutcome::Unknown(recorded_problem(problem)),
        Err(error @ CallError::Setup(_)) => AttemptOutcome::Unavailable(problem(
            "sandbox",
            &error.to_string(),
            "try again when the machine is less busy",
        )),
        // It may have bought before it broke off.
        Err(error) => AttemptOutcome::Unknown(problem(
            "plugin-broke-off",
            &error.to_string(),
            "the next attempt looks the purchase up",
        )),
    }
}

fn problem(code: &str, message: &str, advice: &str) -> record::Problem {
    record::Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: advice.to_owned(),
        correlation_id: String::new(),
    }
}

fn recorded_problem(problem: Problem) -> record::Problem {
    record::Problem {
        code: problem.code,
        message: problem.message,
        advice: problem.advice,
        correlation_id: problem.correlation_id,
    }
}

fn contract_party(party: &Party) -> contract::Party {
    contract::Party {
        id: party.id.clone(),
        name: party.name.clone(),
        country: party.country.clone(),
    }
}

fn recorded(license: contract::License) -> License {
    License {
        client_transaction_id: license.client_transaction_id,
        transaction_id: license.transaction_id,
        license_token_id: license.license_token_id,
        product_key: Secret::new(license.product_key),
        activation_link: Some(license.activation_link)
            .filter(|link| !link.is_empty())
            .map(Secret::new),
        license_token_status: match license.license_token_status {
            contract::LicenseTokenStatus::Activated => LicenseTokenStatus::Activated,
            contract::LicenseTokenStatus::Redeemed => LicenseTokenStatus::Redeemed,
            contract::LicenseTokenStatus::ReturnAccepted => LicenseTokenStatus::ReturnAccepted,
        },
        return_status: match license.return_status {
            contract::ReturnStatus::None => ReturnStatus::None,
            contract::ReturnStatus::Successful => ReturnStatus::Successful,
        },
        purchased_at_ms: license.purchased_at_ms,
        returnable_until_ms: license.returnable_until_ms,
    }
}

/// Whether every asset is settled, and whether every one of them is a license.
pub fn settlement(assets: &[Asset]) -> Settlement {
    if assets
        .iter()
        .any(|asset| asset.sync_status == SyncStatus::Unsynchronised)
    {
        Settlement::Open
    } else if assets.iter().any(|asset| asset.sync_status == SyncStatus::Failed) {
        Settlement::Refused
    } else {
        Settlement::Licensed
    }
}

/// Where an order stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Every asset is a license.
    Licensed,
    /// Every asset is settled, and at least one was refused.
    Refused,
    /// At least one asset is not settled: it may or may not have been bought.
    Open,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licensed(client_transaction_id: &str, product_key: &str) -> contract::OrderAnswer {
        contract::OrderAnswer::Licensed(contract::License {
            client_transaction_id: client_transaction_id.into(),
            transaction_id: "t".into(),
            license_token_id: "l".into(),
            product_key: product_key.into(),
            activation_link: String::new(),
            license_token_status: contract::LicenseTokenStatus::Activated,
            return_status: contract::ReturnStatus::None,
            purchased_at_ms: 0,
            returnable_until_ms: None,
        })
    }

    #[test]
    fn a_license_of_this_purchase_settles_it() {
        let outcome = outcome(Ok(Ok(licensed("a", "key"))), "a");
        assert!(matches!(outcome, AttemptOutcome::Licensed(_)));
    }

    #[test]
    fn a_license_of_another_purchase_or_without_a_key_leaves_it_unknown() {
        for answer in [
            licensed("b", "key"),
            licensed("a", ""),
            contract::OrderAnswer::Valid,
        ] {
            assert!(matches!(outcome(Ok(Ok(answer)), "a"), AttemptOutcome::Unknown(_)));
        }
    }

    #[test]
    fn a_plugin_that_breaks_off_leaves_it_unknown_and_one_that_never_started_does_not() {
        let trapped = CallError::Trap(wasmtime::Error::msg("unreachable"));
        assert!(matches!(outcome(Err(trapped), "a"), AttemptOutcome::Unknown(_)));
        let late = CallError::Deadline(Duration::from_secs(1));
        assert!(matches!(outcome(Err(late), "a"), AttemptOutcome::Unknown(_)));
        let setup = CallError::Setup(wasmtime::Error::msg("no memory"));
        assert!(matches!(outcome(Err(setup), "a"), AttemptOutcome::Unavailable(_)));
    }
}

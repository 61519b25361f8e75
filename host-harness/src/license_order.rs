//! Orders: each line bought exactly once, whatever fails in between.
//!
//! The record knows of an attempt before the plugin is called. An attempt that follows another one of the
//! same line says so, and the plugin then looks up before it buys. Only an answer settles a line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bss_model::clock::{millis, now_ms, rfc3339};
use bss_model::{
    Asset, AssetFilter, AttemptOutcome, Contact, EarlierAttempts, Instance, License, LicenseTokenStatus,
    NewLine, NewOrder, Order, Party, ReturnStatus, Secret, SettingsVersion, SyncStatus, TakenAsset, Taking,
    Thumbprint,
};
use bss_record::{self, FinishError, RecordError, RetryError};
use bss_sandbox::bindings::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use bss_sandbox::bindings::license_lifecycle::LicenseName;
use bss_sandbox::bindings::license_order as contract;
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::CallListener;
use bss_sandbox::call_trace;
use bss_sandbox::error::CallError;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::backoff;
use crate::breaker::Sign;
use crate::host::{Host, PrepareError, contract_instance};
use crate::instance_settings::ConfigureError;
use crate::worker::{Ended, LINES_AT_ONCE};

/// The pause after a first attempt that settled nothing; it doubles, and is lengthened by chance so that lines
/// that failed together don't come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts. An outcome that is not known costs somebody's patience, and one
/// look-up in five minutes costs the vendor nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The longest that a vendor is left alone because it asks for it. More is a mistake of a server on the way.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

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
    Order(#[from] bss_record::PlaceError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The plugin refuses the order.
    #[error("product `{product}` can't be ordered so: {}", problem.message)]
    Refused {
        /// The product's code.
        product: String,
        /// What is wrong.
        problem: bss_model::Problem,
    },
    /// The plugin did not say whether the order is right.
    #[error("product `{product}` could not be checked: {why}")]
    NotChecked {
        /// The product's code.
        product: String,
        /// Why not.
        why: String,
    },
    /// The asset can't be tried again.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// There is no such order.
    #[error("there is no order `{0}`; hint: `bss-host asset list --json` tells each license's order")]
    NoOrder(Uuid),
}

impl Host {
    /// Writes an order down: its lines, and an asset with a client transaction id for each unit. Buys nothing
    /// yet; a worker does, or [`Host::run_order`].
    ///
    /// # Errors
    /// When the instance is not ready, the plugin can't be loaded, a product is unknown or not sold, or a quantity is out
    /// of its limits; nothing is written then.
    pub async fn place_order(&self, instance: &str, request: OrderRequest) -> Result<Order, PlaceError> {
        let instance = self.named_instance(instance).await?;
        // Whatever would make every purchase fail is found before anything is written.
        self.ready_call(&instance, Arc::new(|_| ())).await?;
        self.plugin().await.map_err(PrepareError::from)?;
        Ok(self.record().place_order(new_order(&instance, request)).await?)
    }

    /// Checks an order, here and in the plugin, as placing it would. Writes nothing and buys nothing.
    ///
    /// # Errors
    /// Why it can't be placed.
    pub async fn check_order(
        &self,
        instance: &str,
        request: OrderRequest,
        listener: CallListener,
    ) -> Result<(), PlaceError> {
        let instance = self.named_instance(instance).await?;
        self.ready_call(&instance, listener.clone()).await?;
        let order = new_order(&instance, request);
        self.record().check_order(order.clone()).await?;
        let plugin = self.plugin().await.map_err(PrepareError::from)?;
        let products: BTreeSet<_> = order.lines.iter().map(|line| &line.product_code).collect();
        for product in products {
            let call = self.ready_call(&instance, listener.clone()).await?;
            let line = contract::LicenseOrder {
                client_transaction_id: Uuid::new_v4().to_string(),
                earlier_attempts: contract::EarlierAttempts::None,
                check_only: true,
                product: product.clone(),
                reseller: order.reseller.as_ref().map(contract_party),
                customer: contract_party(&order.customer),
            };
            let answer = plugin
                .create_license(call, &contract_instance(&instance), &line)
                .await;
            checked(product, answer)?;
        }
        Ok(())
    }

    /// Buys what an order's unsettled assets stand for, as far as that is possible now, and answers with all of
    /// its assets. Can be called again for the same order at any time, also after a crash or beside a worker: it
    /// never buys a second license for an asset.
    ///
    /// # Errors
    /// When there is no such order, calls for its instance can't be made, or the record fails.
    pub async fn run_order(&self, order_id: Uuid, listener: CallListener) -> Result<Vec<Asset>, PlaceError> {
        let order = self.record().order(order_id).await?;
        let order = order.ok_or(PlaceError::NoOrder(order_id))?;
        let instance = self.record().instance_by_id(order.instance_id).await?;
        let instance = instance.ok_or(PlaceError::NoOrder(order_id))?;
        // Whatever would make every attempt fail is said at once.
        self.ready_call(&instance, listener.clone()).await?;
        self.plugin().await.map_err(PrepareError::from)?;
        let taking = Taking {
            order: Some(order_id),
            ..Taking::default()
        };
        self.settle_orders(taking, LINES_AT_ONCE, listener).await?;
        let filter = AssetFilter {
            order: Some(order_id),
            ..AssetFilter::default()
        };
        Ok(self.record().assets(filter).await?)
    }

    /// Tries an asset again that has failed or waits, and answers with what became of it. What an earlier attempt
    /// may have bought is looked up first.
    ///
    /// # Errors
    /// When there is no such asset, it has its license already, calls can't be made, or the record fails.
    pub async fn retry_asset(&self, asset_id: Uuid, listener: CallListener) -> Result<Asset, PlaceError> {
        // What would make the attempt fail is said before anything is changed.
        self.plugin().await.map_err(PrepareError::from)?;
        self.record().retry_asset(asset_id).await?;
        let taking = Taking {
            asset: Some(asset_id),
            ..Taking::default()
        };
        self.settle_orders(taking, 1, listener).await?;
        let asset = self.record().asset(asset_id).await?;
        Ok(asset.ok_or(RetryError::NoAsset { id: asset_id })?)
    }

    /// Makes one attempt that is on record, and writes its outcome down.
    ///
    /// # Errors
    /// When the record fails. The asset is then its worker's until that ends.
    pub(crate) async fn attempt_purchase(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
    ) -> Result<Ended, RecordError> {
        let attempt = call_trace::attempt("purchase", taken.asset_id, Some(taken.attempt.number));
        let caution = self.caution(taken).await?;
        let (outcome, sign) = match &caution {
            Some(caution) => self.look_up(taken, caution, listener).instrument(attempt).await,
            None => self.purchase(taken, listener).instrument(attempt).await,
        };
        let mut due_at_ms = due_at_ms(taken.attempt.number, sign);
        if let Some(Caution::UnderWay { until_ms }) = caution
            && !matches!(sign, Sign::LeaveAlone(_))
        {
            // It need not wait longer than it has to.
            due_at_ms = due_at_ms.min(until_ms.max(now_ms().saturating_add(millis(FIRST_PAUSE))));
        }
        let finished = self
            .record()
            .finish_attempt(taken.asset_id, taken.attempt.number, outcome, due_at_ms)
            .await;
        let settled = match finished {
            Ok(asset) => asset.sync_status != SyncStatus::Unsynchronised,
            Err(FinishError::Record(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, asset = %taken.asset_id, "an attempt ended as it can't have");
                false
            }
        };
        Ok(Ended {
            instance_id: taken.instance_id,
            asset_id: taken.asset_id,
            settled,
            sign,
        })
    }

    /// Buys, unless those before it have.
    async fn purchase(&self, taken: &TakenAsset, listener: CallListener) -> (AttemptOutcome, Sign) {
        let answer = self.buy(taken, listener).await;
        let retry_after = match &answer {
            Ok(Ok(Err(ChangeFailure::Unavailable(delay)))) => retry_after(delay),
            _ => None,
        };
        let is_overtaken = matches!(answer, Err(PrepareError::SettingsChanged(_)));
        let outcome = match answer {
            Ok(answer) => outcome(answer, &taken.attempt.client_transaction_id.to_string()),
            Err(error) => not_begun(taken.attempt.earlier, &error),
        };
        let sign = match (&outcome, retry_after) {
            // It says nothing against the vendor.
            _ if is_overtaken => Sign::Answered,
            (AttemptOutcome::Licensed(_) | AttemptOutcome::Refused(_), _) => Sign::Answered,
            (_, Some(pause)) => Sign::LeaveAlone(pause),
            _ => Sign::Silent,
        };
        (outcome, sign)
    }

    /// Why a purchase is not sent again even if it is not found. None: it may be.
    async fn caution(&self, taken: &TakenAsset) -> Result<Option<Caution>, RecordError> {
        let Some(doubt) = taken.attempt.in_doubt else {
            return Ok(None);
        };
        let until_ms = self.look_up_only_until_ms(doubt.since_ms);
        if until_ms > now_ms() {
            return Ok(Some(Caution::UnderWay { until_ms }));
        }
        let Some(version) = doubt.settings_version else {
            return Ok(None);
        };
        let history = self.record().instance_history(taken.instance_id).await?;
        let fields = changed_since(version, &history);
        Ok((!fields.is_empty()).then_some(Caution::OtherSettings { version, fields }))
    }

    /// Only looks up what those before it have bought: to buy what is not found could be to buy it twice.
    async fn look_up(
        &self,
        taken: &TakenAsset,
        caution: &Caution,
        listener: CallListener,
    ) -> (AttemptOutcome, Sign) {
        let looked_up = |problem, sign| (AttemptOutcome::LookedUp(problem), sign);
        if self.plugin().await.is_ok_and(|plugin| !plugin.offers_lifecycle()) {
            return looked_up(
                caution.problem("the plugin can't look a purchase up without buying"),
                Sign::Answered,
            );
        }
        match self.find(taken, listener).await {
            Ok(Ok(Ok(Some(license)))) => {
                let answer = Ok(Ok(contract::OrderAnswer::Licensed(license)));
                match outcome(answer, &taken.attempt.client_transaction_id.to_string()) {
                    AttemptOutcome::Unknown(problem) => looked_up(problem, Sign::Silent),
                    outcome => (outcome, Sign::Answered),
                }
            }
            Ok(Ok(Ok(None))) => looked_up(
                caution.problem("the vendor has not seen the purchase"),
                Sign::Answered,
            ),
            Ok(Ok(Err(ReadFailure::Unavailable(delay)))) => {
                let sign = retry_after(&delay).map_or(Sign::Silent, Sign::LeaveAlone);
                looked_up(recorded_problem(delay.problem), sign)
            }
            Ok(Ok(Err(ReadFailure::Refused(problem) | ReadFailure::Malformed(problem)))) => {
                looked_up(recorded_problem(problem), Sign::Silent)
            }
            Ok(Err(error)) => looked_up(
                problem("plugin-broke-off", &error.to_string(), "it is looked up again"),
                Sign::Silent,
            ),
            Err(error) => looked_up(not_attempted(&error), Sign::Silent),
        }
    }

    /// The call that looks up. An error means that it was never made.
    async fn find(&self, taken: &TakenAsset, listener: CallListener) -> Result<Found, PrepareError> {
        let (instance, call) = self.call_for(taken, listener).await?;
        let plugin = self.plugin().await?;
        let name = LicenseName::ClientTransactionId(taken.attempt.client_transaction_id.to_string());
        Ok(plugin
            .get_license(call, &contract_instance(&instance), &name)
            .await)
    }

    async fn call_for(
        &self,
        taken: &TakenAsset,
        listener: CallListener,
    ) -> Result<(Instance, CallContext), PrepareError> {
        // Read for each attempt: another certificate may have taken over since the last one.
        let instance = self.record().instance_by_id(taken.instance_id).await?;
        let instance = instance.ok_or_else(|| PrepareError::NotReady(taken.instance_id.to_string()))?;
        let call = self.ready_call(&instance, listener).await?;
        Ok((instance, call))
    }

    /// The call that buys. An error means that it was never made.
    async fn buy(&self, taken: &TakenAsset, listener: CallListener) -> Result<Answer, PrepareError> {
        let (instance, call) = self.call_for(taken, listener).await?;
        if instance.version != taken.attempt.settings_version {
            // Later it must be known with which ones this attempt was made.
            return Err(PrepareError::SettingsChanged(instance.name));
        }
        let plugin = self.plugin().await?;
        let line = contract::LicenseOrder {
            client_transaction_id: taken.attempt.client_transaction_id.to_string(),
            earlier_attempts: match taken.attempt.earlier {
                EarlierAttempts::None => contract::EarlierAttempts::None,
                EarlierAttempts::NotDone => contract::EarlierAttempts::NotDone,
                EarlierAttempts::Unknown => contract::EarlierAttempts::Unknown,
            },
            check_only: false,
            product: taken.product_code.clone(),
            reseller: taken.reseller.as_ref().map(contract_party),
            customer: contract_party(&taken.customer),
        };
        Ok(plugin
            .create_license(call, &contract_instance(&instance), &line)
            .await)
    }
}

/// Why a purchase is not sent again even if it is not found.
#[derive(Debug)]
enum Caution {
    /// The vendor may still be carrying it out.
    UnderWay { until_ms: i64 },
    /// It was sent with other settings, so that not to find it means nothing.
    OtherSettings { version: i64, fields: Vec<String> },
}

impl Caution {
    fn problem(&self, why: &str) -> bss_model::Problem {
        match self {
            Self::UnderWay { until_ms } => problem(
                "not-seen-yet",
                &format!(
                    "{why}; its request may still be under way, so that it is not sent again before {}",
                    rfc3339(*until_ms)
                ),
                "wait: it is looked up until then, and bought after that",
            ),
            Self::OtherSettings { version, fields } => problem(
                "other-settings",
                &format!(
                    "{why}; it may have been bought with the instance's settings of version {version}, which differ in {}",
                    fields.join(", ")
                ),
                "restore these fields (`instance history` shows them), and it goes on by itself. If it is certain that it was \
                 not bought with them, `asset retry` buys it with the present ones",
            ),
        }
    }
}

/// The fields whose values are not what they were in a version of an instance's settings, but for its certificate: another
/// one shows the same customer to the vendor.
fn changed_since(version: i64, history: &[SettingsVersion]) -> Vec<String> {
    let mut then_and_now = BTreeMap::new();
    for later in history.iter().filter(|later| later.version > version) {
        for (field, change) in &later.changes {
            let (_, now) = then_and_now.entry(field).or_insert((&change.old, &change.new));
            *now = &change.new;
        }
    }
    let is_thumbprint = |value: &Option<String>| {
        let value = value.as_deref();
        value.is_some_and(|value| value.parse::<Thumbprint>().is_ok())
    };
    let changed = then_and_now.into_iter().filter(|(_, (then, now))| then != now);
    changed
        .filter(|(_, (then, now))| !(is_thumbprint(then) && is_thumbprint(now)))
        .map(|(field, _)| format!("`{field}`"))
        .collect()
}

/// What a plugin brings for a look-up.
type Found = Result<Result<Option<contract::License>, ReadFailure>, CallError>;

/// What a plugin brings for a purchase.
type Answer = Result<Result<contract::OrderAnswer, ChangeFailure>, CallError>;

fn new_order(instance: &Instance, request: OrderRequest) -> NewOrder {
    NewOrder {
        instance_id: instance.id,
        customer: request.customer,
        contact: request.contact,
        reseller: request.reseller,
        lines: request.lines,
        idempotency_key: request.idempotency_key,
    }
}

/// What a plugin says of an order that it was only to check.
fn checked(product: &str, answer: Answer) -> Result<(), PlaceError> {
    let not_checked = |why| PlaceError::NotChecked {
        product: product.to_owned(),
        why,
    };
    match answer {
        Ok(Ok(contract::OrderAnswer::Valid)) => Ok(()),
        Ok(Ok(contract::OrderAnswer::Licensed(_))) => Err(not_checked(
            "the plugin bought a license although it was only to check".to_owned(),
        )),
        Ok(Err(ChangeFailure::Refused(problem))) => Err(PlaceError::Refused {
            product: product.to_owned(),
            problem: recorded_problem(problem),
        }),
        Ok(Err(ChangeFailure::Unavailable(Delay { problem, .. }) | ChangeFailure::Unknown(problem))) => {
            Err(not_checked(problem.message))
        }
        Err(error) => Err(not_checked(error.to_string())),
    }
}

/// How long to wait after an attempt, in milliseconds.
pub(crate) fn pause_ms(attempt: u32, retry_after: Option<Duration>) -> i64 {
    let pause = backoff::pause(FIRST_PAUSE, LONGEST_PAUSE, attempt);
    let pause = retry_after.map_or(pause, |asked_for| asked_for.min(RETRY_AFTER_MAX).max(pause));
    millis(pause)
}

/// When the next attempt may be made, in milliseconds since 1970.
fn due_at_ms(attempt: u32, sign: Sign) -> i64 {
    let retry_after = match sign {
        Sign::LeaveAlone(pause) => Some(pause),
        Sign::Answered | Sign::Silent => None,
    };
    now_ms().saturating_add(pause_ms(attempt, retry_after))
}

fn retry_after(delay: &Delay) -> Option<Duration> {
    delay.retry_after_ms.map(Duration::from_millis)
}

/// What an attempt that was never made means: nothing new about those before it.
fn not_begun(earlier: EarlierAttempts, error: &PrepareError) -> AttemptOutcome {
    let problem = not_attempted(error);
    match earlier {
        EarlierAttempts::Unknown => AttemptOutcome::Unknown(problem),
        EarlierAttempts::None | EarlierAttempts::NotDone => AttemptOutcome::Unavailable(problem),
    }
}

fn not_attempted(error: &PrepareError) -> bss_model::Problem {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    problem(
        "not-attempted",
        &message,
        "correct it; the next attempt comes by itself",
    )
}

/// What an answer, or the lack of one, means for the asset.
fn outcome(answer: Answer, client_transaction_id: &str) -> AttemptOutcome {
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

pub(crate) fn problem(code: &str, message: &str, advice: &str) -> bss_model::Problem {
    bss_model::Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: advice.to_owned(),
        correlation_id: String::new(),
    }
}

pub(crate) fn recorded_problem(problem: Problem) -> bss_model::Problem {
    bss_model::Problem {
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

pub(crate) fn recorded(license: contract::License) -> License {
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

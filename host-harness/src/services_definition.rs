//! Get Services Definition: one reading of the vendor's catalog at a time, applied to the record as a whole
//! or not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bss_model::clock::now_ms;
use bss_model::{
    Actor, Advice, Diagnose, Diagnosis, Difference, ErrorKind, Instance, Page, Problem, ProductFilter,
    RunAction, RunLease, RunLogLevel, RunLogLine, RunProgress, RunState, Shrinkage, SkippedItems,
    with_causes,
};
use bss_record::{ApplyError, EndRunError, RecordError, StartRunError};
use bss_sandbox::bindings::failures::ReadFailure;
use bss_sandbox::bindings::services_definition as contract;
use bss_sandbox::bindings::services_definition::{Outcome, Summary};
use bss_sandbox::call_event::{CallEvent, CallListener, LogLevel};
use bss_sandbox::error::FailedCall;
use uuid::Uuid;

use crate::asked_instance::AskedInstance;
use crate::blocking::run_blocking;
use crate::call_failure::{problem_line, read_problem, said};
use crate::catalog_rules::{self, CatalogError};
use crate::contract::{contract_instance, recorded_problem};
use crate::host::Host;
use crate::instance_settings::ConfigureError;
use crate::own_task::nobody;
use crate::plugins::PluginError;
use crate::ready_instances::PrepareError;

/// The time after which a run whose process reports nothing is free. Longer than the largest transaction of another
/// process, for which the report may have to wait; short enough that a dead process does not hold the run up for
/// long.
const LEASE: Duration = Duration::from_secs(30);
/// The interval in which a process without a report renews its lease. Two renewals may get lost.
const RENEWAL: Duration = Duration::from_secs(10);
/// The interval in which the report of a run is written down: as often as a person looks, and cheap beside a page of
/// the catalog.
const NEWS: Duration = Duration::from_secs(1);

/// A run that has read the catalog to its end.
#[derive(Clone, Debug)]
pub struct CompletedRun {
    /// The id of the run on record.
    pub run: Uuid,
    /// Completed, with errors or without.
    pub state: RunState,
    /// The changes in the record. Empty where the vendor says that nothing changed.
    pub difference: Difference,
    /// Items that were left out because they could not be understood.
    pub skipped: u32,
    /// Whether the vendor said that nothing had changed since the last reading.
    pub unchanged: bool,
}

/// A run that is this process's to execute. If it is neither executed nor abandoned, its lease expires and the run has
/// failed.
#[derive(Clone, Debug)]
pub struct BegunRun {
    /// The id of the run on record.
    pub run: Uuid,
    /// The instance whose catalog is read.
    pub instance: Instance,
    lease: RunLease,
}

/// Why a reading brought nothing. The record's products are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServicesError {
    /// There is no such instance.
    #[error(transparent)]
    Instance(#[from] ConfigureError),
    /// There is a run already.
    #[error(transparent)]
    Start(#[from] StartRunError),
    /// The call can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] FailedCall),
    /// The plugin refused or could not read the catalog, with its reason.
    #[error("the catalog was not read: {}", problem_line(read_problem(.0)))]
    Read(ReadFailure),
    /// The plugin says that it handed over another number of products than arrived.
    #[error("the plugin says that it read {said} products, and {arrived} arrived, so nothing was applied")]
    Miscounted {
        /// The number that the plugin says.
        said: u32,
        /// The number that arrived.
        arrived: usize,
    },
    /// The reading breaks a rule of the contract.
    #[error("the plugin's catalog breaks the contract, so nothing was applied")]
    Catalog(#[from] CatalogError),
    /// The catalog has no product, and had some before.
    #[error("the catalog has no product any more, so nothing was applied")]
    Empty,
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record does not take the definition as it is.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The run was stopped before its end.
    #[error("the run was interrupted, so nothing was applied")]
    Interrupted,
    /// The run is not this process's any more.
    #[error(transparent)]
    End(EndRunError),
}

impl Diagnose for ServicesError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Read(failure) => read_diagnosis(failure),
            Self::Instance(error) => error.diagnosis(),
            Self::Start(error) => error.diagnosis(),
            Self::Prepare(error) => error.diagnosis(),
            Self::Call(error) => error.diagnosis(),
            Self::Miscounted { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "products-miscounted").advise(Advice::ShowTraces)
            }
            Self::Catalog(error) => error.diagnosis(),
            // A vendor that stops selling everything at once is rarer than one whose catalog is broken.
            Self::Empty => Diagnosis::new(ErrorKind::Unavailable, "catalog-empty")
                .say("run it again later; if it stays so, ask the vendor, and deactivate the products until it answers"),
            Self::Record(error) => error.diagnosis(),
            Self::Apply(error) => error.diagnosis(),
            Self::Interrupted => Diagnosis::new(ErrorKind::Unavailable, "run-interrupted").say("start the run again"),
            Self::End(error) => error.diagnosis(),
        }
    }
}

impl From<PluginError> for ServicesError {
    fn from(error: PluginError) -> Self {
        Self::Prepare(error.into())
    }
}

impl From<EndRunError> for ServicesError {
    fn from(error: EndRunError) -> Self {
        match error {
            EndRunError::Apply(error) => Self::Apply(error),
            EndRunError::Record(error) => Self::Record(error),
            _ => Self::End(error),
        }
    }
}

impl Host {
    /// Starts a run and leaves it to a worker.
    ///
    /// # Errors
    /// When the instance is not ready, or has a run already.
    pub async fn start_services_run(
        &self,
        asked: impl Into<AskedInstance>,
        actor: &Actor,
    ) -> Result<Uuid, ServicesError> {
        let instance = self.prepared_instance(asked).await?;
        let started = self.record().start_services_run(instance.id, None, actor).await;
        Ok(started?)
    }

    /// Starts a run as [`Host::begin_accepting_run`] does, which accepts the run of that id, and leaves it to a worker.
    ///
    /// # Errors
    /// When that run does not await acceptance, the instance is not ready, or has a run already; nothing is on record then.
    pub async fn start_accepting_run(
        &self,
        asked: impl Into<AskedInstance>,
        accepted: Uuid,
        actor: &Actor,
    ) -> Result<Uuid, ServicesError> {
        let instance = self.prepared_instance(asked).await?;
        let started = self
            .record()
            .start_accepting_run(instance.id, Some(accepted), None, actor);
        Ok(started.await?)
    }

    /// Starts a run that is this process's to execute.
    ///
    /// # Errors
    /// When the instance is not ready, or has a run already; nothing is on record then.
    pub async fn begin_services_run(
        &self,
        asked: impl Into<AskedInstance>,
        actor: &Actor,
    ) -> Result<BegunRun, ServicesError> {
        let (instance, lease) = (self.prepared_instance(asked).await?, new_lease());
        self.plugin_of(&instance).await?;
        let started = self.record().start_services_run(instance.id, Some(lease), actor);
        let run = started.await?;
        Ok(BegunRun { run, instance, lease })
    }

    /// Starts a run that is this process's to execute, and that may discontinue what the run would that awaits acceptance. It
    /// reads the catalog again: what is there by now is not discontinued, and where more is gone, it awaits acceptance in turn.
    ///
    /// # Errors
    /// When no run awaits acceptance, the instance is not ready, or has a run already; nothing is on record then.
    pub async fn begin_accepting_run(
        &self,
        asked: impl Into<AskedInstance>,
        actor: &Actor,
    ) -> Result<BegunRun, ServicesError> {
        let (instance, lease) = (self.prepared_instance(asked).await?, new_lease());
        self.plugin_of(&instance).await?;
        let started = self
            .record()
            .start_accepting_run(instance.id, None, Some(lease), actor);
        let run = started.await?;
        Ok(BegunRun { run, instance, lease })
    }

    /// Reads the catalog of an instance, and says what a run would change now, and what of it is on sale. Changes nothing, and
    /// leaves no run on record.
    ///
    /// # Errors
    /// When the instance is not ready, or the catalog was not read to its end.
    pub async fn preview_services(
        &self,
        asked: impl Into<AskedInstance>,
        listener: CallListener,
    ) -> Result<(Difference, Shrinkage), ServicesError> {
        let instance = self.prepared_instance(asked).await?;
        let (outcome, products) = self.read(&instance, "", listener).await?;
        let Outcome::Complete(summary) = outcome else {
            return Err(CatalogError::UnchangedWithoutTag.into());
        };
        let left_out = skipped_items(&summary.skipped);
        self.check_reading(&instance, &summary, products.len()).await?;
        let (summary, products) = lawful(summary, products).await?;
        let definition = recorded(summary, products, left_out);
        let compared = self
            .record()
            .compare_services_definition(instance.id, &definition);
        Ok(compared.await?)
    }

    /// Takes the run that has waited longest. `None`: none waits.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub(crate) async fn next_services_run(&self) -> Result<Option<BegunRun>, ServicesError> {
        let lease = new_lease();
        let Some(run) = self.record().take_services_run(lease).await? else {
            return Ok(None);
        };
        let instance = self.instance_on_record(run.instance_id).await?;
        let run = run.id;
        Ok(Some(BegunRun { run, instance, lease }))
    }

    /// Executes a run that is this process's, and writes its report down as it goes.
    ///
    /// # Errors
    /// When the catalog was not read to its end, which the record then says of the run; no product is changed.
    pub async fn execute_services_run(
        &self,
        begun: &BegunRun,
        listener: CallListener,
    ) -> Result<CompletedRun, ServicesError> {
        let report = Arc::new(RunReport::new(listener));
        let reading = self.read_for(begun, report.clone());
        let read = tokio::select! {
            read = reading => read,
            lost = self.tell(begun, &report) => return Err(lost.into()),
        };
        let ended = match read {
            Ok(answer) => self.complete(begun, &report, answer).await,
            Err(error) => Err(error),
        };
        match ended {
            // The run has ended: the process that took it for dead has ended it, or it awaits acceptance.
            Err(error @ ServicesError::End(_)) => Err(error),
            Err(error) => {
                self.tell_once(begun, &report).await?;
                let reason = reason(&error);
                self.record()
                    .fail_services_run(begun.run, begun.lease, &reason)
                    .await?;
                Err(error)
            }
            Ok(run) => Ok(run),
        }
    }

    /// Ends a run that is this process's and will not be executed to its end.
    ///
    /// # Errors
    /// When the record can't be written, or the run is not this process's any more.
    pub async fn abandon_services_run(&self, begun: &BegunRun) -> Result<(), ServicesError> {
        let reason = Problem::new(
            "interrupted",
            "The run was interrupted, so none of its changes were applied.",
            "Start the run again.",
        );
        Ok(self
            .record()
            .fail_services_run(begun.run, begun.lease, &reason)
            .await?)
    }

    /// The instance that is asked for, if a call for it can be made now.
    async fn prepared_instance(&self, asked: impl Into<AskedInstance>) -> Result<Instance, ServicesError> {
        let instance = self.asked_instance(asked).await?;
        self.ready_call(&instance, nobody()).await?;
        Ok(instance)
    }

    async fn read_for(
        &self,
        begun: &BegunRun,
        report: Arc<RunReport>,
    ) -> Result<(Outcome, Vec<contract::Product>), ServicesError> {
        let entity_tag = self.record().services_state(begun.instance.id).await?;
        let listener = Arc::new(move |event| report.hear(event));
        self.read(&begun.instance, &entity_tag, listener).await
    }

    /// Reads the catalog, unless it is the one of that entity tag.
    async fn read(
        &self,
        instance: &Instance,
        entity_tag: &str,
        listener: CallListener,
    ) -> Result<(Outcome, Vec<contract::Product>), ServicesError> {
        let call = self.ready_call(instance, listener).await?;
        let plugin = self.plugin_of(instance).await?.plugin;
        let answer = plugin
            .fetch_services(call, &contract_instance(instance), entity_tag)
            .await?;
        let (outcome, products) = answer.map_err(ServicesError::Read)?;
        if matches!(outcome, Outcome::Unchanged) {
            catalog_rules::check_unchanged(entity_tag, products.len())?;
        }
        Ok((outcome, products))
    }

    async fn complete(
        &self,
        begun: &BegunRun,
        report: &RunReport,
        (outcome, products): (Outcome, Vec<contract::Product>),
    ) -> Result<CompletedRun, ServicesError> {
        let (run, lease) = (begun.run, begun.lease);
        match outcome {
            Outcome::Unchanged => {
                report.note("The catalog has not changed since the last run.");
                self.tell_once(begun, report).await?;
                self.record().complete_services_run_unchanged(run, lease).await?;
                Ok(CompletedRun {
                    run,
                    state: RunState::Completed,
                    difference: Difference::default(),
                    skipped: 0,
                    unchanged: true,
                })
            }
            Outcome::Complete(summary) => {
                let left_out = skipped_items(&summary.skipped);
                let skipped = u32::try_from(summary.skipped.len()).unwrap_or(u32::MAX);
                let offers = products.len();
                self.check_reading(&begun.instance, &summary, offers).await?;
                let (summary, products) = lawful(summary, products).await?;
                report.note(&format!(
                    "The catalog was read to its end: {offers} products, {skipped} items left out."
                ));
                self.tell_once(begun, report).await?;
                let definition = recorded(summary, products, left_out);
                let difference = self
                    .record()
                    .complete_services_run(run, lease, begun.instance.version, definition, skipped)
                    .await?;
                let state = match skipped {
                    0 => RunState::Completed,
                    _ => RunState::CompletedWithErrors,
                };
                Ok(CompletedRun {
                    run,
                    state,
                    difference,
                    skipped,
                    unchanged: false,
                })
            }
        }
    }

    /// Checks that what arrived is what the plugin has read, and that it is a catalog.
    async fn check_reading(
        &self,
        instance: &Instance,
        summary: &Summary,
        arrived: usize,
    ) -> Result<(), ServicesError> {
        let said = summary.products;
        if usize::try_from(said) != Ok(arrived) {
            return Err(ServicesError::Miscounted { said, arrived });
        }
        if arrived > 0 {
            return Ok(());
        }
        let offered = ProductFilter {
            discontinued: Some(false),
            ..ProductFilter::default()
        };
        let before = self
            .record()
            .products(instance.id, &offered, &Page::first(1))
            .await?;
        match before.rows.is_empty() {
            true => Ok(()),
            false => Err(ServicesError::Empty),
        }
    }

    /// Writes the report down as it grows and renews the lease, until the lease is lost.
    async fn tell(&self, begun: &BegunRun, report: &RunReport) -> EndRunError {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(NEWS).await;
            if !report.is_any() && renewed.elapsed() < RENEWAL {
                continue;
            }
            match self.tell_once(begun, report).await {
                Ok(()) => renewed = tokio::time::Instant::now(),
                Err(lost @ EndRunError::LeaseLost { .. }) => return lost,
                // The reading goes on; if the record does not come back, it can't be applied in the end.
                Err(error) => {
                    tracing::warn!(%error, run = %begun.run, "the report of this run can't be recorded yet")
                }
            }
        }
    }

    /// Writes the report so far down. May be cut off at any point: lines that are not on record yet are written the
    /// next time.
    async fn tell_once(&self, begun: &BegunRun, report: &RunReport) -> Result<(), EndRunError> {
        let (first, lines, progress) = report.pending();
        self.record()
            .report_services_run(begun.run, begun.lease, progress.as_ref(), first, &lines)
            .await?;
        report.told(first.saturating_add(lines.len()), progress.as_ref());
        Ok(())
    }
}

/// The reading, if it keeps the rules of the contract. A large one keeps a processor busy for a while.
async fn lawful(
    summary: Summary,
    products: Vec<contract::Product>,
) -> Result<(Summary, Vec<contract::Product>), CatalogError> {
    run_blocking(move || {
        catalog_rules::check_reading(&summary.product_types, &products)?;
        Ok((summary, products))
    })
    .await
}

fn new_lease() -> RunLease {
    RunLease {
        owner: Uuid::new_v4(),
        length: LEASE,
    }
}

/// The report of a run: passed to its listener at once, and to the record in intervals.
struct RunReport {
    listener: CallListener,
    state: Mutex<NewsState>,
}

#[derive(Default)]
struct NewsState {
    /// The number of lines that are on record.
    told: usize,
    pending: Vec<RunLogLine>,
    progress: Option<RunProgress>,
}

impl RunReport {
    fn new(listener: CallListener) -> Self {
        let report = Self {
            listener,
            state: Mutex::default(),
        };
        report.note("The run started.");
        report
    }

    fn hear(&self, event: CallEvent) {
        match &event {
            CallEvent::Progress { done, total, unit } => {
                self.state().progress = Some(RunProgress {
                    done: *done,
                    total: *total,
                    unit: unit.clone(),
                });
            }
            CallEvent::Log {
                level,
                subject,
                message,
            } => {
                self.state().pending.push(log_line(*level, subject, message));
            }
            _ => {}
        }
        (self.listener)(event);
    }

    /// Adds a line about the run itself.
    fn note(&self, message: &str) {
        self.state().pending.push(RunLogLine {
            at_ms: now_ms(),
            level: RunLogLevel::Info,
            offer: String::new(),
            action: RunAction::Run,
            message: message.to_owned(),
        });
    }

    fn is_any(&self) -> bool {
        let state = self.state();
        !state.pending.is_empty() || state.progress.is_some()
    }

    fn pending(&self) -> (usize, Vec<RunLogLine>, Option<RunProgress>) {
        let state = self.state();
        (state.told, state.pending.clone(), state.progress.clone())
    }

    fn told(&self, lines: usize, progress: Option<&RunProgress>) {
        let mut state = self.state();
        let on_record = lines.saturating_sub(state.told).min(state.pending.len());
        state.pending.drain(..on_record);
        state.told = lines;
        if state.progress.as_ref() == progress {
            state.progress = None;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, NewsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_line(level: LogLevel, subject: &str, message: &str) -> RunLogLine {
    // The contract's warnings say that something was left out; an item without an id has no subject.
    let action = match level {
        LogLevel::Warning => RunAction::Skipped,
        LogLevel::Debug | LogLevel::Info => RunAction::Noted,
    };
    RunLogLine {
        at_ms: now_ms(),
        level: match level {
            LogLevel::Debug => RunLogLevel::Debug,
            LogLevel::Info => RunLogLevel::Info,
            LogLevel::Warning => RunLogLevel::Warning,
        },
        offer: subject.to_owned(),
        action,
        message: message.to_owned(),
    }
}

/// Why a run failed, as the record keeps it.
fn reason(error: &ServicesError) -> Problem {
    if let ServicesError::Read(failure) = error {
        return recorded_problem(read_problem(failure).clone());
    }
    Problem::of(error, with_causes(error))
}

fn read_diagnosis(failure: &ReadFailure) -> Diagnosis {
    let kind = match failure {
        ReadFailure::Refused(_) | ReadFailure::Misconfigured(_) => ErrorKind::Refused,
        ReadFailure::Unavailable(_) | ReadFailure::Malformed(_) => ErrorKind::Unavailable,
    };
    let problem = read_problem(failure);
    said(kind, &problem.code, &problem.advice)
}

/// The items that a reading left out. One whose code is not known may be any.
fn skipped_items(codes: &[String]) -> SkippedItems {
    match codes.iter().any(String::is_empty) {
        true => SkippedItems::Unnamed,
        false => SkippedItems::Codes(codes.iter().cloned().collect()),
    }
}

/// Converts a plugin's reading to the form of the record. `skipped`: the items that the reading left out.
pub fn recorded(
    summary: Summary,
    products: Vec<contract::Product>,
    skipped: SkippedItems,
) -> bss_model::ServicesDefinition {
    bss_model::ServicesDefinition {
        product_types: summary.product_types.into_iter().map(recorded_type).collect(),
        products: products.into_iter().map(recorded_product).collect(),
        entity_tag: summary.entity_tag,
        skipped,
    }
}

fn recorded_type(product_type: contract::ProductType) -> bss_model::ProductType {
    bss_model::ProductType {
        id: product_type.id,
        name: product_type.name,
        derivative: match product_type.derivative {
            contract::Derivative::License => bss_model::Derivative::License,
            contract::Derivative::Subscription => bss_model::Derivative::Subscription,
        },
        split_quantity: product_type.split_quantity,
        manual_cancellation: product_type.manual_cancellation,
        attributes: product_type
            .attributes
            .into_iter()
            .map(|attribute| bss_model::ProductAttribute {
                id: attribute.id,
                name: attribute.name,
            })
            .collect(),
    }
}

fn recorded_product(product: contract::Product) -> bss_model::NewProduct {
    bss_model::NewProduct {
        code: product.code,
        product_type: product.product_type,
        name: product.name,
        description: product.description,
        attribute_values: product
            .attribute_values
            .into_iter()
            .map(|value| bss_model::AttributeValue {
                attribute: value.attribute,
                key: value.key,
                label: value.label,
            })
            .collect(),
        min_quantity: product.min_quantity,
        max_quantity: product.max_quantity,
        returnable: product.returnable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(of: &[&str]) -> Vec<String> {
        of.iter().map(|&code| code.to_owned()).collect()
    }

    #[test]
    fn a_skipped_item_without_a_code_may_be_any() {
        let both = SkippedItems::Codes(["a".to_owned(), "b".to_owned()].into());
        assert_eq!(skipped_items(&codes(&["a", "b", "a"])), both);
        assert_eq!(skipped_items(&codes(&["a", ""])), SkippedItems::Unnamed);
        assert_eq!(skipped_items(&[]), SkippedItems::default());
    }
}

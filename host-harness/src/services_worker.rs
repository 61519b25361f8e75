//! Runs of Get Services Definition from their start to their end: of a caller who waits, or of a worker, which executes those
//! that wait one after the other and tells a listener.

use std::sync::Arc;
use std::time::Duration;

use bss_model::{Actor, ServicesRun};
use bss_record::RecordError;
use bss_sandbox::CallListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::asked_instance::AskedInstance;
use crate::host::Host;
use crate::own_task::{hear, in_own_task, until_stopped};
use crate::services_definition::{BegunRun, CompletedRun, ServicesError};

/// The interval in which a worker looks for a run that waits. A second goes unnoticed, and a look costs one query.
const LOOK: Duration = Duration::from_secs(1);

/// A run that a worker has executed.
#[derive(Debug)]
pub struct ExecutedRun {
    /// The run, as the record has it after its end.
    pub run: ServicesRun,
    /// The name of the instance whose catalog was read.
    pub instance: String,
    /// How the run ended, as the record says too.
    pub end: RunEnd,
}

/// How a run that a worker has executed ended.
#[derive(Debug)]
pub enum RunEnd {
    /// The catalog was read to its end, and the products were brought up to date.
    Completed(CompletedRun),
    /// The catalog was not read to its end; no product was changed.
    Failed(ServicesError),
    /// The worker was stopped meanwhile; no product was changed.
    Interrupted,
}

/// A function that hears of each run that a worker has executed, on the worker's task, after it went on record. Must not
/// block.
pub type RunListener = Arc<dyn Fn(ExecutedRun) + Send + Sync>;

impl Host {
    /// Reads the catalog of an instance and brings its products up to date, in one transaction. Where the caller is dropped,
    /// the run ends as interrupted, and another can be started.
    ///
    /// # Errors
    /// When the instance is not ready or has a run already, or the catalog was not read to its end; no product
    /// is changed then.
    pub async fn fetch_services(
        &self,
        asked: impl Into<AskedInstance>,
        actor: &Actor,
        listener: CallListener,
    ) -> Result<CompletedRun, ServicesError> {
        let (host, asked, actor) = (self.clone(), asked.into(), actor.clone());
        let begun = async move { host.begin_services_run(asked, &actor).await };
        self.executed(begun, listener).await
    }

    /// Reads the catalog of an instance as [`Host::fetch_services`] does, and discontinues what the run would that awaits
    /// acceptance.
    ///
    /// # Errors
    /// Like there, and when no run awaits acceptance.
    pub async fn accept_services(
        &self,
        asked: impl Into<AskedInstance>,
        actor: &Actor,
        listener: CallListener,
    ) -> Result<CompletedRun, ServicesError> {
        let (host, asked, actor) = (self.clone(), asked.into(), actor.clone());
        let begun = async move { host.begin_accepting_run(asked, &actor).await };
        self.executed(begun, listener).await
    }

    /// Begins a run and executes it, both to their end.
    async fn executed(
        &self,
        begun: impl Future<Output = Result<BegunRun, ServicesError>> + Send + 'static,
        listener: CallListener,
    ) -> Result<CompletedRun, ServicesError> {
        let host = self.clone();
        let fetched = in_own_task(std::future::pending(), |mut stopped| async move {
            let begun = begun.await?;
            match host.execute_until(&begun, listener, &mut stopped).await? {
                RunEnd::Completed(run) => Ok(run),
                RunEnd::Failed(error) => Err(error),
                RunEnd::Interrupted => Err(ServicesError::Interrupted),
            }
        });
        fetched.await.unwrap_or(Err(ServicesError::Interrupted))
    }

    /// Executes runs as they come, until `stopped` changes; a run that is under way then is abandoned.
    pub(crate) async fn work_on_services(
        self,
        calls: CallListener,
        runs: RunListener,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        loop {
            self.execute_waiting_runs(&calls, &runs, &mut stopped).await?;
            tokio::select! {
                () = until_stopped(&mut stopped) => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Executes the waiting runs, until none waits or `stopped` changes.
    pub(crate) async fn execute_waiting_runs(
        &self,
        calls: &CallListener,
        runs: &RunListener,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        while !*stopped.borrow() {
            let begun = match self.next_services_run().await {
                Ok(Some(begun)) => begun,
                Ok(None) => break,
                Err(ServicesError::Record(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "the next waiting run of Get Services Definition can't be started");
                    break;
                }
            };
            let end = self.execute_until(&begun, calls.clone(), stopped).await?;
            let executed = ExecutedRun {
                run: self.run_on_record(begun.run).await?,
                instance: begun.instance.name,
                end,
            };
            hear(|| runs(executed));
        }
        Ok(())
    }

    /// The run of an id that is on record elsewhere.
    pub(crate) async fn run_on_record(&self, id: Uuid) -> Result<ServicesRun, RecordError> {
        let run = self.record().services_run(id).await?;
        run.ok_or_else(|| RecordError::Damaged {
            what: format!("run `{id}` is missing"),
        })
    }

    /// Executes a run, and abandons it once `stopped` changes.
    pub(crate) async fn execute_until(
        &self,
        begun: &BegunRun,
        calls: CallListener,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<RunEnd, RecordError> {
        tokio::select! {
            ended = self.execute_services_run(begun, calls) => match ended {
                Ok(run) => Ok(RunEnd::Completed(run)),
                Err(ServicesError::Record(error)) => Err(error),
                Err(error) => Ok(RunEnd::Failed(error)),
            },
            () = until_stopped(stopped) => match self.abandon_services_run(begun).await {
                Err(ServicesError::Record(error)) => Err(error),
                // A run that was taken for dead has ended as well.
                Ok(()) | Err(_) => Ok(RunEnd::Interrupted),
            },
        }
    }
}

//! Runs of Get Services Definition: one at a time per instance, under a lease, each with a log and its changes.

use std::collections::BTreeSet;

use bss_model::clock::{millis, rfc3339};
use bss_model::moment::Uptime;
use bss_model::{
    Act, Actor, Advice, AlertKind, Diagnose, Diagnosis, Difference, DifferenceFilter, DifferenceKind,
    ErrorKind, Page, Problem, ProductDifference, Rows, RunAction, RunCounts, RunLease, RunLogFilter,
    RunLogLevel, RunLogLine, RunProgress, RunState, ServicesDefinition, ServicesRun, Shrinkage, Subject,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::acts::write_act;
use super::alerts;
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::services;
use super::services::ApplyError;
use super::stored::{ROWS_PER_STATEMENT, count, from_json, id, optional, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Why a run can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartRunError {
    /// The instance has an open run.
    #[error("{}", already(instance, run))]
    Running {
        /// The instance's name.
        instance: String,
        /// The open run.
        run: Box<ServicesRun>,
    },
    /// The instance does not exist.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// No run of the instance awaits acceptance.
    #[error("no run of instance `{instance}` awaits acceptance")]
    NothingToAccept {
        /// The instance's name.
        instance: String,
    },
    /// The run that was to be accepted does not await it, or not any more.
    #[error("run `{run}` does not await acceptance")]
    NotAwaiting {
        /// The run.
        run: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for StartRunError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Running { run, .. } if run.started_at_ms.is_none() => {
                Diagnosis::new(ErrorKind::Conflict, "run-open").advise(Advice::StartWorker)
            }
            Self::Running { instance, .. } => {
                Diagnosis::new(ErrorKind::Conflict, "run-open").advise(Advice::ListRuns {
                    instance: instance.clone(),
                })
            }
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::NotAwaiting { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "nothing-to-accept").say("look at the instance's runs")
            }
            Self::NothingToAccept { instance } => Diagnosis::new(ErrorKind::Conflict, "nothing-to-accept")
                .advise(Advice::ListRuns {
                    instance: instance.clone(),
                }),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

fn already(instance: &str, run: &ServicesRun) -> String {
    match run.started_at_ms {
        None => format!("run `{}` of instance `{instance}` waits to be started", run.id),
        Some(started) => format!(
            "run `{}` of instance `{instance}` has been in progress since {}",
            run.id,
            rfc3339(started)
        ),
    }
}

/// Why a run could not be ended as asked. Nothing was applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndRunError {
    /// The run's lease has expired, and another process has ended the run.
    #[error("run `{run}` was ended because its lease had expired, and none of its changes were applied")]
    LeaseLost {
        /// The run.
        run: Uuid,
    },
    /// The run would discontinue too much of what is on sale, and awaits acceptance.
    #[error("the catalog would discontinue {shrinkage} of instance `{instance}`, so nothing was applied")]
    Shrunk {
        /// The instance's name.
        instance: String,
        /// What it would discontinue.
        shrinkage: Shrinkage,
    },
    /// The definition that was read contradicts itself.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for EndRunError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::LeaseLost { .. } => {
                Diagnosis::new(ErrorKind::Unavailable, "lease-lost").say("start the run again")
            }
            Self::Shrunk { instance, .. } => {
                Diagnosis::new(ErrorKind::Conflict, "catalog-shrank").advise(Advice::AcceptServices {
                    instance: instance.clone(),
                })
            }
            Self::Apply(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Runs of an instance by the time at which they were asked for.
pub(super) const RUNS: List = List {
    name: "services-runs",
    key: &[Integer("asked_at_ms"), Text("id")],
};

/// Lines of a run's log in the order of writing.
pub(super) const LOG: List = List {
    name: "services-run-log",
    key: &[Integer("number")],
};

/// Differences of a run by code.
pub(super) const DIFFERENCES: List = List {
    name: "services-run-differences",
    key: &[Text("code"), Text("kind")],
};

pub(super) fn runs_query(instance_id: Uuid) -> Builder {
    let mut query = Builder::new("SELECT * FROM services_runs WHERE instance_id = ");
    query.push_bind(instance_id.to_string());
    query
}

pub(super) fn log_query(run: Uuid, filter: &RunLogFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM services_run_log");
    push_log_filter(&mut query, run, filter);
    query
}

fn push_log_filter(query: &mut Builder, run: Uuid, filter: &RunLogFilter) {
    query.push(" WHERE run_id = ").push_bind(run.to_string());
    if let Some(level) = filter.level {
        query.push(" AND level = ").push_bind(level.word());
    }
    if let Some(text) = &filter.text {
        let pattern = containing(text);
        query.push(" AND (lower(offer) LIKE ").push_bind(pattern.clone());
        query
            .push(" ESCAPE '!' OR lower(message) LIKE ")
            .push_bind(pattern);
        query.push(" ESCAPE '!')");
    }
}

/// The pattern of `LIKE` that texts match which have a text in them.
fn containing(text: &str) -> String {
    let escaped = text.chars().flat_map(|letter| {
        let escape = ['!', '%', '_'].contains(&letter).then_some('!');
        escape.into_iter().chain([letter.to_ascii_lowercase()])
    });
    format!("%{}%", escaped.collect::<String>())
}

pub(super) fn differences_query(run: Uuid, filter: &DifferenceFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM services_run_differences WHERE run_id = ");
    query.push_bind(run.to_string());
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(kind.word());
    }
    if let Some(codes) = &filter.codes {
        query.push(" AND code IN (");
        // PostgreSQL has no empty list; nothing is equal to this.
        if codes.is_empty() {
            query.push("NULL");
        }
        let mut listed = query.separated(", ");
        for code in codes {
            listed.push_bind(code.clone());
        }
        query.push(")");
    }
    query
}

impl Record {
    /// Starts a run: in progress at once with a lease, or else waiting for a process to take it. Runs whose lease has
    /// expired are ended first: their process died.
    ///
    /// # Errors
    /// When the instance does not exist, or has a run that waits or is in progress.
    pub async fn start_services_run(
        &self,
        instance_id: Uuid,
        lease: Option<RunLease>,
        actor: &Actor,
    ) -> Result<Uuid, StartRunError> {
        self.start_run(instance_id, lease, Acceptance::Nothing, actor)
            .await
    }

    /// Starts a run as [`Record::start_services_run`] does, which may discontinue what the run would that awaits acceptance.
    /// `accepted`: the run that somebody has seen, or whichever awaits it.
    ///
    /// # Errors
    /// Like there, and when no run of the instance awaits acceptance, or another one does.
    pub async fn start_accepting_run(
        &self,
        instance_id: Uuid,
        accepted: Option<Uuid>,
        lease: Option<RunLease>,
        actor: &Actor,
    ) -> Result<Uuid, StartRunError> {
        self.start_run(instance_id, lease, Acceptance::Awaited(accepted), actor)
            .await
    }

    async fn start_run(
        &self,
        instance_id: Uuid,
        lease: Option<RunLease>,
        acceptance: Acceptance,
        actor: &Actor,
    ) -> Result<Uuid, StartRunError> {
        let mut transaction = self.begin_write().await?;
        let instance: Option<String> = transaction
            .sql("SELECT name FROM instances WHERE id = $1")
            .bind(instance_id.to_string())
            .scalar_optional()
            .await?;
        let instance = instance.ok_or(StartRunError::NoInstance { id: instance_id })?;
        if let Some(run) = open_run(&mut transaction, instance_id).await? {
            let run = Box::new(run);
            return Err(StartRunError::Running { instance, run });
        }
        let accepts = match acceptance {
            Acceptance::Nothing => None,
            Acceptance::Awaited(seen) => match (awaiting(&mut transaction, instance_id).await?, seen) {
                (awaiting, Some(run)) if awaiting != Some(run) => {
                    return Err(StartRunError::NotAwaiting { run });
                }
                (None, _) => return Err(StartRunError::NothingToAccept { instance }),
                (awaiting, _) => awaiting,
            },
        };
        let run = Uuid::new_v4();
        transaction.sql(
            "INSERT INTO services_runs (id, instance_id, state, asked_at_ms, new_products, changed_products,
                                        discontinued_products, revived_products, skipped_items, unchanged, accepts)
             VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, FALSE, $5)",
        )
        .bind(run.to_string())
        .bind(instance_id.to_string())
        .bind(RunState::NotStarted.word())
        .bind_now()
        .bind(accepts.map(|run| run.to_string()))
        .execute()
        .await?;
        if let Some(lease) = lease {
            take(&mut transaction, run, lease).await?;
        }
        let (act, subject) = (Act::StartServicesRun, Subject::services_run(run));
        let detail = accepts.map_or(Value::Null, |run| json!({ "accepts": run }));
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(run)
    }

    /// Takes the run that has waited longest. `None`: no run waits.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn take_services_run(&self, lease: RunLease) -> Result<Option<ServicesRun>, RecordError> {
        // A read first: an idle worker blocks no writer. The first condition is that of a partial index.
        let now = self.uptime();
        let open = self.readers.sql(
            "SELECT id FROM services_runs
             WHERE state IN ('not_started', 'in_progress')
               AND (state = 'not_started' OR lease_boot IS NULL OR lease_boot <> $1 OR lease_ends_uptime_ms <= $2)
             LIMIT 1",
        )
        .bind(now.boot.0.to_string())
        .bind(now.ms)
        .fetch_optional()
        .await?;
        if open.is_none() {
            return Ok(None);
        }
        let mut transaction = self.begin_write().await?;
        end_dead(&mut transaction, now).await?;
        let waiting = transaction
            .sql("SELECT * FROM services_runs WHERE state = 'not_started' ORDER BY asked_at_ms, id LIMIT 1")
            .fetch_optional()
            .await?;
        let waiting = waiting.as_ref().map(read_run).transpose()?;
        if let Some(run) = &waiting {
            take(&mut transaction, run.id, lease).await?;
        }
        transaction.commit().await?;
        Ok(waiting)
    }

    /// Renews the lease of a run, and records its progress and the lines of its log from `first_line` on, counted
    /// from 0. Lines that exist stay as they are.
    ///
    /// # Errors
    /// When the run no longer belongs to this lease.
    pub async fn report_services_run(
        &self,
        run: Uuid,
        lease: RunLease,
        progress: Option<&RunProgress>,
        first_line: usize,
        lines: &[RunLogLine],
    ) -> Result<(), EndRunError> {
        let mut transaction = self.begin_write().await?;
        let now = self.uptime();
        let renewed = transaction.sql(
            "UPDATE services_runs SET lease_expires_at_ms = $3, progress = COALESCE($4, progress), lease_boot = $5,
                                      lease_ends_uptime_ms = $6
             WHERE id = $1 AND lease_owner = $2 AND state = 'in_progress'",
        )
        .bind(run.to_string())
        .bind(lease.owner.to_string())
        .bind(expiry_ms(self.now_ms(), lease))
        .bind(progress.map(to_json).transpose()?)
        .bind(now.boot.0.to_string())
        .bind(expiry_ms(now.ms, lease))
        .execute()
        .await?;
        if renewed != 1 {
            return Err(EndRunError::LeaseLost { run });
        }
        append(&mut transaction, run, first_line, lines).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends a run that read the whole catalog, and updates the products: both or neither. `settings_version` is the
    /// version of the instance's settings that it was read with. If they were saved again since, the next run reads
    /// everything.
    ///
    /// # Errors
    /// When the run no longer belongs to this lease, or the definition contradicts itself; nothing is applied then. When it
    /// would discontinue more of what is on sale than the instance's limit: then the run has ended and awaits acceptance,
    /// with the difference that it would make, and an alert is raised.
    pub async fn complete_services_run(
        &self,
        run: Uuid,
        lease: RunLease,
        settings_version: i64,
        definition: ServicesDefinition,
        skipped: u32,
    ) -> Result<Difference, EndRunError> {
        let mut transaction = self.begin_write().await?;
        let state = match skipped {
            0 => RunState::Completed,
            _ => RunState::CompletedWithErrors,
        };
        let instance_id = end(&mut transaction, run, lease, state).await?;
        let update = services::prepare(&mut transaction, instance_id, &definition).await?;
        let shrinkage = update.shrinkage();
        if shrinkage.is_beyond(discontinue_percent(&mut transaction, instance_id).await?)
            && !is_accepted(&mut transaction, run, &update.difference).await?
        {
            let shrunk = await_acceptance(
                &mut transaction,
                (run, instance_id),
                &update.difference,
                shrinkage,
                skipped,
            );
            let shrunk = shrunk.await?;
            transaction.commit().await?;
            return Err(shrunk);
        }
        let difference = services::write(&mut transaction, instance_id, update).await?;
        settle_awaiting(&mut transaction, instance_id).await?;
        transaction
            .sql("UPDATE instances SET services_entity_tag = '' WHERE id = $1 AND version <> $2")
            .bind(instance_id.to_string())
            .bind(settings_version)
            .execute()
            .await?;
        write_difference(&mut transaction, run, &difference, skipped).await?;
        transaction.commit().await?;
        Ok(difference)
    }

    /// Ends a run for which the vendor reported no change since the one before.
    ///
    /// # Errors
    /// When the run no longer belongs to this lease.
    pub async fn complete_services_run_unchanged(
        &self,
        run: Uuid,
        lease: RunLease,
    ) -> Result<(), EndRunError> {
        let mut transaction = self.begin_write().await?;
        let instance_id = end(&mut transaction, run, lease, RunState::Completed).await?;
        transaction
            .sql("UPDATE services_runs SET unchanged = TRUE WHERE id = $1")
            .bind(run.to_string())
            .execute()
            .await?;
        settle_awaiting(&mut transaction, instance_id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends a run that failed, with the reason.
    ///
    /// # Errors
    /// When the run no longer belongs to this lease.
    pub async fn fail_services_run(
        &self,
        run: Uuid,
        lease: RunLease,
        reason: &Problem,
    ) -> Result<(), EndRunError> {
        let mut transaction = self.begin_write().await?;
        end(&mut transaction, run, lease, RunState::Failed).await?;
        set_reason(&mut transaction, run, reason).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The most of what is on sale, in percent, that a run of an instance discontinues without being told to.
    ///
    /// # Errors
    /// When the instance does not exist, or the record can't be read.
    pub async fn discontinue_percent(&self, instance_id: Uuid) -> Result<u8, RecordError> {
        let mut connection = self.readers.acquire().await?;
        discontinue_percent(&mut connection, instance_id).await
    }

    /// Sets the most of what is on sale, in percent, that a run of an instance discontinues without being told to. From 100 on,
    /// no run awaits acceptance.
    ///
    /// # Errors
    /// When the instance does not exist, or the record can't be written.
    pub async fn limit_discontinuations(
        &self,
        instance_id: Uuid,
        percent: u8,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let before = discontinue_percent(&mut transaction, instance_id).await?;
        if before == percent {
            return Ok(());
        }
        transaction
            .sql("UPDATE instances SET discontinue_percent = $2 WHERE id = $1")
            .bind(instance_id.to_string())
            .bind(i64::from(percent))
            .execute()
            .await?;
        let detail = json!({ "before": before, "after": percent });
        let (act, subject) = (Act::LimitDiscontinuations, Subject::instance(instance_id));
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends every run whose lease is over at that uptime, because its process died, and returns their number.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn end_dead_services_runs(&self, at: Uptime) -> Result<usize, RecordError> {
        let mut transaction = self.begin_write().await?;
        let ended = end_dead(&mut transaction, at).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// The runs of an instance, by the time at which they were asked for.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn services_runs(
        &self,
        instance_id: Uuid,
        page: &Page,
    ) -> Result<Rows<ServicesRun>, RecordError> {
        self.page(&RUNS, runs_query(instance_id), page, read_run).await
    }

    /// Reads a run by its id. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn services_run(&self, run: Uuid) -> Result<Option<ServicesRun>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM services_runs WHERE id = $1")
            .bind(run.to_string())
            .fetch_optional()
            .await?;
        row.as_ref().map(read_run).transpose()
    }

    /// The lines of a run's log that match a filter, by line number.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn services_run_log(
        &self,
        run: Uuid,
        filter: &RunLogFilter,
        page: &Page,
    ) -> Result<Rows<RunLogLine>, RecordError> {
        self.page(&LOG, log_query(run, filter), page, read_log_line).await
    }

    /// The number of lines of a run's log that match a filter.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn services_run_log_lines(&self, run: Uuid, filter: &RunLogFilter) -> Result<u32, RecordError> {
        let mut query = Builder::new("SELECT count(*) AS lines FROM services_run_log");
        push_log_filter(&mut query, run, filter);
        let row = self.readers.build(&mut query).fetch_one().await?;
        count(&row, "lines")
    }

    /// The changes of a run to products that match a filter, by code.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn services_run_differences(
        &self,
        run: Uuid,
        filter: &DifferenceFilter,
        page: &Page,
    ) -> Result<Rows<ProductDifference>, RecordError> {
        let query = differences_query(run, filter);
        self.page(&DIFFERENCES, query, page, read_difference).await
    }
}

fn read_log_line(row: &Row) -> Result<RunLogLine, RecordError> {
    Ok(RunLogLine {
        at_ms: row.try_get("logged_at_ms")?,
        level: RunLogLevel::from_word(row.try_get("level")?)?,
        offer: row.try_get("offer")?,
        action: RunAction::from_word(row.try_get("action")?)?,
        message: row.try_get("message")?,
    })
}

fn read_difference(row: &Row) -> Result<ProductDifference, RecordError> {
    Ok(ProductDifference {
        code: row.try_get("code")?,
        kind: DifferenceKind::from_word(row.try_get("kind")?)?,
        fields: from_json(row, "fields")?,
    })
}

/// The end of a lease that begins at a reading of a clock, on that clock.
fn expiry_ms(now_ms: i64, lease: RunLease) -> i64 {
    now_ms.saturating_add(millis(lease.length))
}

async fn take(transaction: &mut Connection, run: Uuid, lease: RunLease) -> Result<(), RecordError> {
    let (now_ms, now) = (transaction.now_ms(), transaction.uptime());
    transaction.sql(
        "UPDATE services_runs
         SET state = 'in_progress', lease_owner = $2, lease_expires_at_ms = $3, started_at_ms = $4, lease_boot = $5,
             lease_ends_uptime_ms = $6
         WHERE id = $1 AND state = 'not_started'",
    )
    .bind(run.to_string())
    .bind(lease.owner.to_string())
    .bind(expiry_ms(now_ms, lease))
    .bind_now()
    .bind(now.boot.0.to_string())
    .bind(expiry_ms(now.ms, lease))
    .execute()
    .await?;
    Ok(())
}

/// Ends a run if it belongs to this lease, and returns its instance.
async fn end(
    transaction: &mut Connection,
    run: Uuid,
    lease: RunLease,
    state: RunState,
) -> Result<Uuid, EndRunError> {
    let row = transaction
        .sql(
            "UPDATE services_runs
         SET state = $3, ended_at_ms = $4, lease_owner = NULL, lease_expires_at_ms = NULL
         WHERE id = $1 AND lease_owner = $2 AND state = 'in_progress'
         RETURNING instance_id",
        )
        .bind(run.to_string())
        .bind(lease.owner.to_string())
        .bind(state.word())
        .bind_now()
        .fetch_optional()
        .await?
        .ok_or(EndRunError::LeaseLost { run })?;
    Ok(id(&row, "instance_id")?)
}

/// The run of an instance that waits or is in progress, after those have been ended whose processes died.
pub(super) async fn open_run(
    transaction: &mut Connection,
    instance_id: Uuid,
) -> Result<Option<ServicesRun>, RecordError> {
    let now = transaction.uptime();
    end_dead(&mut *transaction, now).await?;
    let open = transaction
        .sql(
            "SELECT * FROM services_runs
         WHERE instance_id = $1 AND state IN ('not_started', 'in_progress')",
        )
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    open.as_ref().map(read_run).transpose()
}

/// Ends runs whose leases are over at that uptime, or are of another boot.
async fn end_dead(transaction: &mut Connection, at: Uptime) -> Result<usize, RecordError> {
    let rows = transaction.sql(
        "UPDATE services_runs
         SET state = 'failed', ended_at_ms = $1, lease_owner = NULL, lease_expires_at_ms = NULL
         WHERE state = 'in_progress' AND (lease_boot IS NULL OR lease_boot <> $2 OR lease_ends_uptime_ms <= $3)
         RETURNING id",
    )
    .bind_now()
    .bind(at.boot.0.to_string())
    .bind(at.ms)
    .fetch_all()
    .await?;
    let died = Problem::new(
        "process-died",
        "The process that executed the run ended, so none of the run's changes were applied.",
        "Start the run again.",
    );
    for row in &rows {
        set_reason(transaction, id(row, "id")?, &died).await?;
    }
    Ok(rows.len())
}

async fn set_reason(transaction: &mut Connection, run: Uuid, reason: &Problem) -> Result<(), RecordError> {
    transaction
        .sql("UPDATE services_runs SET reason = $2 WHERE id = $1")
        .bind(run.to_string())
        .bind(to_json(reason)?)
        .execute()
        .await?;
    let lines: i64 = transaction
        .sql("SELECT COUNT(*) FROM services_run_log WHERE run_id = $1")
        .bind(run.to_string())
        .scalar()
        .await?;
    let line = RunLogLine {
        at_ms: transaction.now_ms(),
        level: RunLogLevel::Error,
        offer: String::new(),
        action: RunAction::Run,
        message: format!("{} ({})", reason.message, reason.code),
    };
    append(
        transaction,
        run,
        usize::try_from(lines).unwrap_or(usize::MAX),
        &[line],
    )
    .await
}

async fn append(
    transaction: &mut Connection,
    run: Uuid,
    first: usize,
    lines: &[RunLogLine],
) -> Result<(), RecordError> {
    let run = run.to_string();
    let mut number = i64::try_from(first).unwrap_or(i64::MAX);
    for lines in lines.chunks(ROWS_PER_STATEMENT) {
        let mut query = Builder::new(
            "INSERT INTO services_run_log (run_id, number, logged_at_ms, level, offer, action, message) ",
        );
        query.push_values(lines, |row, line| {
            row.push_bind(&run)
                .push_bind(number)
                .push_bind(line.at_ms)
                .push_bind(line.level.word())
                .push_bind(&line.offer)
                .push_bind(line.action.word())
                .push_bind(&line.message);
            number = number.saturating_add(1);
        });
        query.push(" ON CONFLICT (run_id, number) DO NOTHING");
        transaction.build(&mut query).execute().await?;
    }
    Ok(())
}

/// What a run accepts of an earlier one.
#[derive(Clone, Copy)]
enum Acceptance {
    Nothing,
    /// What the run would discontinue that awaits acceptance: the run of that id, or whichever does.
    Awaited(Option<Uuid>),
}

/// The run of an instance that awaits acceptance.
async fn awaiting(transaction: &mut Connection, instance_id: Uuid) -> Result<Option<Uuid>, RecordError> {
    let row = transaction
        .sql("SELECT id FROM services_runs WHERE instance_id = $1 AND state = $2")
        .bind(instance_id.to_string())
        .bind(RunState::AwaitsAcceptance.word())
        .fetch_optional()
        .await?;
    row.as_ref().map(|row| id(row, "id")).transpose()
}

async fn discontinue_percent(connection: &mut Connection, instance_id: Uuid) -> Result<u8, RecordError> {
    let percent: i64 = connection
        .sql("SELECT discontinue_percent FROM instances WHERE id = $1")
        .bind(instance_id.to_string())
        .scalar()
        .await?;
    Ok(u8::try_from(percent).unwrap_or(u8::MAX))
}

/// Whether somebody has accepted all that a run discontinues: no more than the run would that he saw.
async fn is_accepted(
    transaction: &mut Connection,
    run: Uuid,
    difference: &Difference,
) -> Result<bool, RecordError> {
    let accepted: Vec<String> = transaction
        .sql(
            "SELECT code FROM services_run_differences
         WHERE run_id = (SELECT accepts FROM services_runs WHERE id = $1) AND kind = $2",
        )
        .bind(run.to_string())
        .bind(DifferenceKind::Discontinued.word())
        .scalars()
        .await?;
    let accepted: BTreeSet<String> = accepted.into_iter().collect();
    Ok(difference.discontinued.iter().all(|code| accepted.contains(code)))
}

/// Has an ended run await acceptance, in the place of an earlier one, and returns the error that says so.
async fn await_acceptance(
    transaction: &mut Connection,
    (run, instance_id): (Uuid, Uuid),
    difference: &Difference,
    shrinkage: Shrinkage,
    skipped: u32,
) -> Result<EndRunError, EndRunError> {
    let instance = transaction
        .sql("SELECT name FROM instances WHERE id = $1")
        .bind(instance_id.to_string())
        .scalar()
        .await?;
    let shrunk = EndRunError::Shrunk { instance, shrinkage };
    let problem = Problem::of(&shrunk, shrunk.to_string());
    fail_awaiting(transaction, instance_id).await?;
    transaction
        .sql("UPDATE services_runs SET state = $2 WHERE id = $1")
        .bind(run.to_string())
        .bind(RunState::AwaitsAcceptance.word())
        .execute()
        .await?;
    set_reason(transaction, run, &problem).await?;
    write_difference(transaction, run, difference, skipped).await?;
    let kind = AlertKind::CatalogShrank;
    alerts::raise_about_instance(transaction, kind, instance_id, Some(&problem)).await?;
    Ok(shrunk)
}

/// Ends what a later run has settled: no run awaits acceptance any more, and the alert is over.
async fn settle_awaiting(transaction: &mut Connection, instance_id: Uuid) -> Result<(), RecordError> {
    fail_awaiting(transaction, instance_id).await?;
    let now_ms = transaction.now_ms();
    alerts::end(transaction, AlertKind::CatalogShrank, instance_id, now_ms).await
}

/// Has the run that awaits acceptance be one that failed: it changed nothing, and what it would have changed is no news.
async fn fail_awaiting(transaction: &mut Connection, instance_id: Uuid) -> Result<(), RecordError> {
    let Some(run) = awaiting(&mut *transaction, instance_id).await? else {
        return Ok(());
    };
    for statement in [
        "DELETE FROM services_run_differences WHERE run_id = $1",
        "UPDATE services_runs SET state = 'failed', new_products = 0, changed_products = 0, discontinued_products = 0,
                                  revived_products = 0, skipped_items = 0
         WHERE id = $1",
    ] {
        transaction.sql(statement)
            .bind(run.to_string())
            .execute()
            .await?;
    }
    Ok(())
}

/// Writes down the difference that a run made, or would make.
async fn write_difference(
    transaction: &mut Connection,
    run: Uuid,
    difference: &Difference,
    skipped: u32,
) -> Result<(), RecordError> {
    insert_differences(transaction, run, difference).await?;
    let size = |list: usize| i64::try_from(list).unwrap_or(i64::MAX);
    transaction
        .sql(
            "UPDATE services_runs
         SET new_products = $2, changed_products = $3, discontinued_products = $4,
             revived_products = $5, skipped_items = $6
         WHERE id = $1",
        )
        .bind(run.to_string())
        .bind(size(difference.new.len()))
        .bind(size(difference.changed.len()))
        .bind(size(difference.discontinued.len()))
        .bind(size(difference.revived.len()))
        .bind(i64::from(skipped))
        .execute()
        .await?;
    Ok(())
}

async fn insert_differences(
    transaction: &mut Connection,
    run: Uuid,
    difference: &Difference,
) -> Result<(), RecordError> {
    let run = run.to_string();
    let of = |codes: &[String], kind: DifferenceKind| {
        let rows = codes
            .iter()
            .map(move |code| (code.clone(), kind, "[]".to_owned()));
        rows.collect::<Vec<_>>()
    };
    let mut rows = of(&difference.new, DifferenceKind::New);
    rows.extend(of(&difference.discontinued, DifferenceKind::Discontinued));
    rows.extend(of(&difference.revived, DifferenceKind::Revived));
    for (code, fields) in &difference.changed {
        rows.push((code.clone(), DifferenceKind::Changed, to_json(fields)?));
    }
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut query = Builder::new("INSERT INTO services_run_differences (run_id, code, kind, fields) ");
        query.push_values(rows, |row, (code, kind, fields)| {
            row.push_bind(&run)
                .push_bind(code)
                .push_bind(kind.word())
                .push_bind(fields);
        });
        transaction.build(&mut query).execute().await?;
    }
    Ok(())
}

fn read_run(row: &Row) -> Result<ServicesRun, RecordError> {
    Ok(ServicesRun {
        id: id(row, "id")?,
        instance_id: id(row, "instance_id")?,
        state: RunState::from_word(row.try_get("state")?)?,
        lease_expires_at_ms: row.try_get("lease_expires_at_ms")?,
        asked_at_ms: row.try_get("asked_at_ms")?,
        started_at_ms: row.try_get("started_at_ms")?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        progress: optional(row, "progress", from_json)?,
        counts: RunCounts {
            new: count(row, "new_products")?,
            changed: count(row, "changed_products")?,
            discontinued: count(row, "discontinued_products")?,
            revived: count(row, "revived_products")?,
            skipped: count(row, "skipped_items")?,
        },
        unchanged: row.try_get("unchanged")?,
        reason: optional(row, "reason", from_json)?,
        accepts: optional(row, "accepts", id)?,
    })
}

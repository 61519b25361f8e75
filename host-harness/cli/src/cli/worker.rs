//! `run`: the background worker, for licenses, e-mails and readings of the vendor's catalog.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bss_model::ErrorKind;
use clap::Args;
use host_harness::{
    CALLS_AT_ONCE, ExecutedRun, Host, LINES_AT_ONCE, Pulse, RecordError, RunEnd, RunListener, Unfinished,
    WorkOptions, view,
};
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::interruption::Interruption;
use super::outcome_lines::Voice;
use super::progress::plain_listener;
use super::service_manager::ServiceManager;
use super::services::{interrupted, run_line};
use super::{alert_command, alerts, mail, output, record, show};

#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    /// End when nothing more can be done now; the exit code is 3 if a run failed or something is left to do
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    work: WorkArguments,
}

/// How a worker works, whatever runs beside it.
#[derive(Debug, Args)]
pub(super) struct WorkArguments {
    /// How many licenses are bought at once
    #[arg(long, value_name = "N", default_value_t = LINES_AT_ONCE, value_parser = at_once)]
    at_once: usize,
    /// Run this program for each alert, with the alert as one line of JSON on its standard input; what it ends with other than 0
    /// is told again later. `alert email` mails alerts
    #[arg(long, value_name = "FILE")]
    alert_command: Option<PathBuf>,
}

/// A worker that is about to begin: its notes are written, and its outcomes are told from now on.
pub(super) struct Work {
    pub(super) options: WorkOptions,
    pub(super) pulse: Arc<Pulse>,
    voice: Voice,
    ran: Arc<Mutex<Ran>>,
}

impl Work {
    pub(super) async fn prepare(host: &Host, arguments: &WorkArguments, json: bool) -> Result<Self, Failure> {
        host.check_plugins().await?;
        record::copy_note(host.record().awaits_adoption().await?);
        record::hold_note(host.record().held_mails().await?);
        mail::stop_note(host.record().mail_stop().await?.as_ref());
        for warning in host.record().database_warnings() {
            output::note(warning.to_string());
        }
        let voice = Voice::start(host, json).await?;
        let ran = Arc::new(Mutex::new(Ran::default()));
        let pulse = Arc::new(Pulse::default());
        let options = WorkOptions::default()
            .pulse(Arc::clone(&pulse))
            .at_once(arguments.at_once)
            .calls(plain_listener())
            .runs(run_listener(&ran, json));
        let options = match &arguments.alert_command {
            Some(command) => options.alerts(alert_command::listener(command)?),
            None => options,
        };
        Ok(Self {
            options,
            pulse,
            voice,
            ran,
        })
    }

    /// Tells the last outcomes. Fails where a run was interrupted.
    pub(super) async fn end(self) -> Result<Ran, Failure> {
        self.voice.end().await?;
        let ran = std::mem::take(&mut *self.ran.lock().unwrap_or_else(PoisonError::into_inner));
        match ran.interrupted {
            Some(run) => Err(interrupted(run)),
            None => Ok(ran),
        }
    }
}

/// Works until it is interrupted, or with `--once` until nothing waits.
pub(super) async fn run(host: &Host, arguments: &WorkerArguments, json: bool) -> Outcome {
    let mut interruption = Interruption::listen()?;
    let work = Work::prepare(host, &arguments.work, json).await?;
    let manager = ServiceManager::of_environment();
    let stop = async {
        interruption.asked().await;
        manager.stopping();
    };
    let unfinished = match arguments.once {
        true => host.work_once(&work.options, stop).await?,
        false => {
            manager.ready("looking for work");
            let feeding = manager.feed(Some(Arc::clone(&work.pulse)));
            work_until(host, &work.options, stop).await?;
            drop(feeding);
            Unfinished::default()
        }
    };
    let ran = work.end().await?;
    if arguments.once {
        mail::stop_note(host.record().mail_stop().await?.as_ref());
        expect_no_failed_run(&ran)?;
        expect_nothing_left(unfinished)?;
        return Ok(alerts::end(host.open_alerts().await?));
    }
    output::note("told to stop; everything that was under way has ended");
    Ok(ExitStatus::Done)
}

/// Works until it is stopped. A server that keeps the record may be gone for a while: the worker begins again then, so that what it has
/// under way with vendors is not cut off.
async fn work_until(
    host: &Host,
    options: &WorkOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), RecordError> {
    if !host.record().is_on_server() {
        return host.work(options, stop).await;
    }
    let worker = host.start_worker(options.clone());
    stop.await;
    // How long to wait for the vendors is the service manager's to say.
    worker.stop(Duration::MAX).await;
    Ok(())
}

/// The runs of Get Services Definition that the worker has executed.
#[derive(Default)]
pub(super) struct Ran {
    taken: u32,
    failed: u32,
    interrupted: Option<Uuid>,
}

/// Shows each run that has ended, and counts it.
fn run_listener(ran: &Arc<Mutex<Ran>>, json: bool) -> RunListener {
    let ran = Arc::clone(ran);
    Arc::new(move |executed| {
        if let Err(failure) = show_run(&executed, json) {
            failure.show(json);
        }
        let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
        ran.taken += 1;
        match executed.end {
            RunEnd::Completed(_) => {}
            RunEnd::Failed(error) => {
                ran.failed += 1;
                Failure::from(error).show(false);
            }
            RunEnd::Interrupted => ran.interrupted = Some(executed.run.id),
        }
    })
}

fn show_run(executed: &ExecutedRun, json: bool) -> Result<(), Failure> {
    let (run, instance) = (&executed.run, &executed.instance);
    if json {
        return show::json(&view::ServicesRun::new(run, instance));
    }
    let how = match &executed.end {
        RunEnd::Completed(completed) => run_line(completed),
        RunEnd::Failed(_) => "failed".to_owned(),
        RunEnd::Interrupted => "interrupted".to_owned(),
    };
    output::line(format!("{instance}: run {}: {how}", run.id));
    Ok(())
}

fn expect_no_failed_run(ran: &Ran) -> Result<(), Failure> {
    if ran.failed == 0 {
        return Ok(());
    }
    let message = format!(
        "{} of {} runs of Get Services Definition failed",
        ran.failed, ran.taken
    );
    let hint = "`bss-host services runs INSTANCE` and `bss-host services log RUN` show why";
    Err(Failure::new(ErrorKind::Unavailable, "runs-failed", message).hint(hint))
}

/// Fails where a license or a return is not settled, or an e-mail waits that could be sent.
fn expect_nothing_left(unfinished: Unfinished) -> Result<(), Failure> {
    let Unfinished {
        licenses,
        returns,
        mails,
    } = unfinished;
    let (message, hint) = if licenses > 0 {
        (
            format!("not every license is settled; still to be bought or looked up: {licenses}"),
            "`bss-host asset list --state open` shows them; `bss-host run` continues",
        )
    } else if returns > 0 {
        (
            format!("not every return is settled; returns without a known outcome: {returns}"),
            "`bss-host asset cancellations --open` shows them; `bss-host run` continues",
        )
    } else if mails > 0 {
        (
            format!("not every e-mail is sent; e-mails that wait for another try: {mails}"),
            "`bss-host mail list --pending` shows why; `bss-host run` continues",
        )
    } else {
        return Ok(());
    };
    Err(Failure::new(ErrorKind::Unavailable, "not-settled", message).hint(hint))
}

/// The number of licenses that are bought at once: no more than calls can run, since a call beyond these only waits.
fn at_once(text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(number) if (1..=CALLS_AT_ONCE).contains(&number) => Ok(number as usize),
        _ => Err(format!("expected a number from 1 to {CALLS_AT_ONCE}")),
    }
}

//! `run`: the background worker, for licenses, e-mails and readings of the vendor's catalog.

use std::time::Duration;

use bss_model::{AssetSelection, CancellationFilter, CancellationState, MailFilter, MailState, RunState};
use clap::Args;
use host_harness::Host;
use host_harness::worker::LINES_AT_ONCE;
use serde_json::json;
use tokio::sync::oneshot;

use super::ExitStatus;
use super::commands::{Outcome, listener, no_answer};
use super::services::{Interruption, execute, run_json, run_line, services_failure};
use super::show::{self, Failure};

/// How often the background worker looks for a run that waits. Nobody notices a second, and it costs one query.
const LOOK: Duration = Duration::from_secs(1);

/// More would only wait for sandboxes, of which there are as many.
const AT_ONCE_MAX: usize = 256;

#[derive(Debug, Args)]
pub(super) struct WorkerArguments {
    /// How many licenses are bought at once
    #[arg(long, value_name = "N", default_value_t = LINES_AT_ONCE, value_parser = at_once)]
    at_once: usize,
    /// End when nothing can be done any more; the exit code then says whether anything is left
    #[arg(long)]
    once: bool,
}

/// Works until it is interrupted, or with `--once` until nothing waits.
pub(super) async fn run(host: &Host, arguments: &WorkerArguments, json: bool) -> Outcome {
    let (mut stop, stopped) = oneshot::channel::<()>();
    let (worker, at_once) = (host.clone(), arguments.at_once);
    let worker = match arguments.once {
        true => tokio::spawn(async move { worker.work_once(at_once, listener()).await }),
        false => tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            worker.work(at_once, listener(), stopped).await
        }),
    };
    let read = tokio::select! {
        read = read_services(host, arguments.once, json) => read,
        // It has ended by itself: whoever watches over this program has to see that.
        () = stop.closed(), if !arguments.once => Ok(ExitStatus::Done),
    };
    // Whatever is being bought is brought to its end first.
    drop(stop);
    worker.await.map_err(no_answer)?.map_err(no_answer)?;
    read?;
    if arguments.once {
        expect_nothing_left(host).await?;
    }
    Ok(ExitStatus::Done)
}

/// Fails where a license or a return is not settled, or an e-mail waits that could be sent.
async fn expect_nothing_left(host: &Host) -> Result<(), Failure> {
    let record = host.record();
    let open = record
        .outstanding(&AssetSelection::default())
        .await
        .map_err(no_answer)?;
    if open.assets > 0 {
        let message = format!(
            "not every license is settled: {} are still to be bought or looked up",
            open.assets
        );
        let hint = "`bss-host asset list --sync-status unsynchronised` shows them; the next run goes on";
        return Err(Failure::text(ExitStatus::NoAnswer, message, hint));
    }
    let open = CancellationFilter {
        open: true,
        ..CancellationFilter::default()
    };
    let cancellations = record.cancellations(open).await.map_err(no_answer)?;
    let returning = cancellations
        .iter()
        .filter(|cancellation| cancellation.state == CancellationState::Returning)
        .count();
    if returning > 0 {
        let message =
            format!("not every return is settled: the vendor has not said what became of {returning}");
        let hint = "`bss-host asset cancellations --open` shows them; the next run goes on";
        return Err(Failure::text(ExitStatus::NoAnswer, message, hint));
    }
    // Without settings, e-mails are meant to wait.
    if record.mail_settings().await.map_err(no_answer)?.is_some() {
        let pending = MailFilter {
            state: Some(MailState::Pending),
            ..MailFilter::default()
        };
        let waiting = record.mails(pending).await.map_err(no_answer)?.len();
        if waiting > 0 {
            let message = format!("not every e-mail is sent: {waiting} wait to be tried again");
            let hint = "`bss-host mail list --pending` says why; the next run goes on";
            return Err(Failure::text(ExitStatus::NoAnswer, message, hint));
        }
    }
    Ok(())
}

/// Executes the runs that `services fetch --detach` leaves.
async fn read_services(host: &Host, once: bool, json: bool) -> Outcome {
    let mut interruption = Interruption::listen()?;
    let (mut taken, mut failed) = (0_u32, 0_u32);
    loop {
        let Some(begun) = host.next_services_run().await.map_err(services_failure)? else {
            if once {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => continue,
                () = interruption.asked() => return Ok(ExitStatus::Done),
            }
        };
        taken += 1;
        let name = &begun.instance.name;
        match execute(host, &begun, &mut interruption).await {
            Ok(run) if json => {
                let mut value = run_json(&run);
                value["instance"] = name.as_str().into();
                show::line(value.to_string());
            }
            Ok(run) => show::line(format!("{name}: run {}: {}", run.run, run_line(&run))),
            Err(failure) => {
                failed += 1;
                if json {
                    let state = RunState::Failed.to_string();
                    let value = json!({ "run": begun.run.to_string(), "instance": name, "state": state });
                    show::line(value.to_string());
                } else {
                    show::line(format!("{name}: run {}: failed", begun.run));
                }
                let was_interrupted = host
                    .record()
                    .services_run(begun.run)
                    .await
                    .map_err(no_answer)?
                    .and_then(|run| run.reason)
                    .is_some_and(|reason| reason.code == "interrupted");
                if was_interrupted {
                    return Err(failure);
                }
                show::failure(&failure);
            }
        }
    }
    if failed > 0 {
        let message = format!("{failed} of {taken} runs failed");
        let hint = "`bss-host services runs INSTANCE` and `services log RUN` say why";
        return Err(Failure::text(ExitStatus::NoAnswer, message, hint));
    }
    Ok(ExitStatus::Done)
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=AT_ONCE_MAX).contains(&number) => Ok(number),
        _ => Err(format!("a number from 1 to {AT_ONCE_MAX} is needed")),
    }
}

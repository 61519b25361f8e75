//! The lines that `run` writes: what it works on at its start, and one for each outcome of a license.

use std::pin::pin;

use bss_model::{Outcome as LicenseOutcome, Problem, with_causes};
use futures_util::StreamExt as _;
use host_harness::{Host, OutcomeCursor, OutcomeKind};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::failure::{Failure, machine_failure};
use super::{output, show};

/// Outcomes that are read at once, after the end.
const PAGE: u32 = 500;

/// Writes a line for each outcome that comes, until it is ended.
pub(super) struct Voice {
    ending: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Voice {
    /// Says what is worked on, and begins to follow outcomes.
    pub(super) async fn start(host: &Host, json: bool) -> Result<Self, Failure> {
        let metrics = host.metrics().await?;
        output::note(format!(
            "bss-host {}: {} to be bought or looked up, {} under way, {} to be sent",
            env!("CARGO_PKG_VERSION"),
            show::counted(metrics.open_licenses, "license"),
            show::counted(metrics.open_returns, "return"),
            show::counted(metrics.waiting_mails, "e-mail"),
        ));
        let after = host.last_outcome().await?;
        let (ending, ended) = oneshot::channel();
        let task = tokio::spawn(follow(host.clone(), after, ended, json));
        Ok(Self { ending, task })
    }

    /// Writes the lines of all that has come, and ends.
    pub(super) async fn end(self) -> Result<(), Failure> {
        // Gone: the following has failed, and says so.
        let _ = self.ending.send(());
        self.task.await.map_err(machine_failure)?
    }
}

async fn follow(
    host: Host,
    mut after: OutcomeCursor,
    ended: oneshot::Receiver<()>,
    json: bool,
) -> Result<(), Failure> {
    let mut outcomes = pin!(host.outcome_stream(after).take_until(ended));
    // A record that is gone for a while is looked for several times a second.
    let mut is_told = false;
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(outcome) => {
                tell(&host, &outcome, json).await?;
                after = outcome.cursor;
                is_told = false;
            }
            Err(error) if !is_told => {
                let error = with_causes(&error);
                tracing::warn!(error, "outcomes can't be read now; they are told once they can");
                is_told = true;
            }
            Err(_) => {}
        }
    }
    // What came since the stream has looked for the last time.
    loop {
        let rest = host.outcomes(after, PAGE).await?;
        let Some(last) = rest.last() else {
            return Ok(());
        };
        after = last.cursor;
        for outcome in &rest {
            tell(&host, outcome, json).await?;
        }
    }
}

async fn tell(host: &Host, outcome: &LicenseOutcome, json: bool) -> Result<(), Failure> {
    if json {
        return show::json(outcome);
    }
    let order = host.record().order(outcome.order.into()).await?;
    let customer = order.map_or_else(String::new, |order| order.customer.name);
    let instance = host.instance_of_id(outcome.instance).await?;
    let (kind, instance) = (outcome.kind, instance.name());
    let product = show::units(outcome.quantity, &outcome.product_code);
    let (order, asset) = (outcome.order, outcome.asset);
    match (kind, &outcome.problem) {
        (OutcomeKind::Refused | OutcomeKind::ReturnRefused, problem) => {
            let what = match kind {
                OutcomeKind::ReturnRefused => "a return was refused",
                _ => "a license was refused for good",
            };
            let said = |of: fn(&Problem) -> &str| problem.as_ref().map_or("", of);
            tracing::warn!(
                customer, %order, %asset, product, instance,
                code = said(|problem| &problem.code),
                reason = said(|problem| &problem.message),
                advice = said(|problem| &problem.advice),
                "{what}"
            );
        }
        (OutcomeKind::Licensed | OutcomeKind::Returned | OutcomeKind::Withdrawn, _) => output::line(format!(
            "{kind}: {product} for {customer}, order {order}, asset {asset}, instance {instance}"
        )),
        // The worker itself warns of these.
        _ => {}
    }
    Ok(())
}

//! Metrics: counters and gauges as values, for whatever a platform collects them with.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_model::{AssetSelection, OutcomeKind};
use bss_sandbox::plugin::SandboxUse;
use serde::Serialize;

use crate::error::Error;
use crate::host::Host;

/// Counters and gauges of a host, at one moment. Those of the record are of all processes that have it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metrics {
    /// Outcomes that went on record since it was made, by kind: counters.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// Licenses that are to be bought, or looked up.
    pub open_licenses: u64,
    /// Those of the open licenses that a worker has under way.
    pub licenses_under_way: u64,
    /// How long the next open license has been due, in milliseconds. 0: none is.
    pub due_for_ms: u64,
    /// Returns whose outcome is not known.
    pub open_returns: u64,
    /// E-mails that wait to be sent.
    pub waiting_mails: u64,
    /// E-mails that are held back, because another copy of the record may have sent them.
    pub held_mails: u64,
    /// E-mails in a row that were tried and met something that is in the way of all e-mails. 0: nothing is known to be.
    pub mail_stop_tries: u64,
    /// Connections to vendors of this process, opened since its start: a counter.
    pub connections_opened: u64,
    /// Requests on a connection that had been used before, since the start of this process: a counter.
    pub connections_reused: u64,
    /// Connections of this process that are open.
    pub connections_open: u64,
    /// Connections of this process that are open and that no exchange uses.
    pub connections_idle: u64,
    /// Calls of plugins that have a sandbox, of all hosts of this process.
    pub sandboxes_in_use: u64,
    /// Calls of plugins that wait for a sandbox, of all hosts of this process.
    pub calls_waiting: u64,
    /// Turns at writing that this host has had since its start, where a server has the record: a counter.
    pub record_turns: u64,
    /// How long this host has waited for them, in microseconds: a counter.
    pub record_turns_waited_us: u64,
    /// How long this host has held them, in microseconds: a counter. All hosts together hold them for one second a second at most.
    pub record_turns_held_us: u64,
}

impl Host {
    /// The metrics at this moment, of all owners. Takes a few queries; every ten seconds is often enough.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn metrics(&self) -> Result<Metrics, Error> {
        let record = self.record();
        let open = record.outstanding(&AssetSelection::default()).await?;
        let connections = self.connections();
        let sandboxes = SandboxUse::now();
        let due_for_ms = open
            .next_due_at_ms
            .map_or(0, |due| record.now_ms().saturating_sub(due));
        let turns = record.turn_times().unwrap_or_default();
        Ok(Metrics {
            outcomes: record.outcome_counts().await?,
            open_licenses: open.assets,
            licenses_under_way: open.taken,
            due_for_ms: u64::try_from(due_for_ms).unwrap_or_default(),
            open_returns: record.open_returns().await?,
            waiting_mails: record.pending_mails().await?,
            held_mails: record.held_mails().await?,
            mail_stop_tries: record.mail_stop().await?.map_or(0, |stop| u64::from(stop.tries)),
            connections_opened: connections.opened,
            connections_reused: connections.reused,
            connections_open: connections.open as u64,
            connections_idle: connections.idle as u64,
            sandboxes_in_use: sandboxes.in_use as u64,
            calls_waiting: sandboxes.waiting as u64,
            record_turns: turns.turns,
            record_turns_waited_us: micros(turns.waited),
            record_turns_held_us: micros(turns.held),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

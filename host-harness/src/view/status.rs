//! How a host is, as views show it.

use bss_record::LivingWorker;
use serde::Serialize;
use uuid::Uuid;

use super::MailStop;

/// How a host is at one moment. Of a host that is [an owner's](crate::Host::for_owner), alerts are the owner's, and everything else
/// is of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Workers that are alive, of all processes, by their start. A program that works has two: for licenses, and for e-mails.
    pub workers: Vec<Worker>,
    /// Licenses that are to be bought, or looked up.
    pub open_licenses: u64,
    /// When the oldest of them was ordered, in milliseconds. `None`: there is none.
    pub oldest_open_license_at_ms: Option<i64>,
    /// Returns whose outcome is not known.
    pub open_returns: u64,
    /// Requests for cancellations about which nobody has decided.
    pub requested_cancellations: u64,
    /// When the oldest of them was made, in milliseconds. `None`: there is none.
    pub oldest_requested_cancellation_at_ms: Option<i64>,
    /// E-mails that wait to be sent.
    pub waiting_mails: u64,
    /// E-mails that are held back, because another copy of the record may have sent them.
    pub held_mails: u64,
    /// What is in the way of all e-mails. `None`: nothing is known to be.
    pub mail_stop: Option<MailStop>,
    /// Certificates that expire within 30 days, or have expired, and that an instance uses.
    pub expiring_certificates: u64,
    /// Whether the record was restored, copied or moved, and nothing is bought before somebody adopts it.
    pub awaits_adoption: bool,
    /// Alerts that are neither over nor acknowledged.
    pub open_alerts: u64,
    /// Values on record that still need another host key than the first. `None`: the host has one key.
    pub values_of_former_host_keys: Option<u64>,
    /// What an operator should know of the database, where a server keeps it.
    pub database_warnings: Vec<String>,
    /// Bytes that are free on the disk of the data directory, for whoever may write there.
    pub disk_free_bytes: u64,
}

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The worker's id.
    pub id: Uuid,
    /// The name of its machine. `None`: it was started by an older version.
    pub machine: Option<String>,
    /// The id of its process. `None`: it was started by an older version.
    pub process_id: Option<i64>,
    /// The version of its program. `None`: an older one.
    pub version: Option<String>,
    /// What it has under way: purchases and look-ups, returns, e-mails.
    pub under_way: u64,
    /// When it was started, in milliseconds.
    pub started_at_ms: Option<i64>,
}

impl From<&LivingWorker> for Worker {
    fn from(worker: &LivingWorker) -> Self {
        Self {
            id: worker.id,
            machine: worker.machine.clone(),
            process_id: worker.process_id,
            version: worker.version.clone(),
            under_way: worker.under_way,
            started_at_ms: worker.started_at_ms,
        }
    }
}

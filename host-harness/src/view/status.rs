//! How a host is, as views show it.

use serde::Serialize;

/// How a host is at one moment. Of a host that is [an owner's](crate::Host::for_owner), alerts are the owner's, and everything else
/// is of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Workers that are alive, of all processes. A program that works has two: for licenses, and for e-mails.
    pub workers: u64,
    /// Licenses that are to be bought, or looked up.
    pub open_licenses: u64,
    /// When the oldest of them was ordered, in milliseconds. `None`: there is none.
    pub oldest_open_license_at_ms: Option<i64>,
    /// Returns whose outcome is not known.
    pub open_returns: u64,
    /// E-mails that wait to be sent.
    pub waiting_mails: u64,
    /// E-mails that are held back, because another copy of the record may have sent them.
    pub held_mails: u64,
    /// Certificates that expire within 30 days, or have expired, and that an instance uses.
    pub expiring_certificates: u64,
    /// Alerts that are neither over nor acknowledged.
    pub open_alerts: u64,
    /// Bytes that are free on the disk of the data directory, for whoever may write there.
    pub disk_free_bytes: u64,
}

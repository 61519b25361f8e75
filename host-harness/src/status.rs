//! How a host is at one moment, for a person and for monitoring.

use std::collections::BTreeSet;
use std::time::Duration;

use bss_model::Thumbprint;
use bss_model::clock::{millis, now_ms};

use crate::error::Error;
use crate::host::Host;
use crate::view;

/// How long before its end a certificate counts as expiring.
const EXPIRES_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Host {
    /// How the host is at this moment.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn status(&self) -> Result<view::Status, Error> {
        let record = self.record();
        let metrics = self.metrics().await?;
        Ok(view::Status {
            workers: record.living_workers().await?,
            open_licenses: metrics.open_licenses,
            oldest_open_license_at_ms: record.oldest_open_license_at_ms().await?,
            open_returns: metrics.open_returns,
            waiting_mails: metrics.waiting_mails,
            held_mails: metrics.held_mails,
            expiring_certificates: self.expiring_certificates().await?,
            open_alerts: self.open_alerts().await?,
            disk_free_bytes: record.disk_free_bytes()?,
        })
    }

    /// The number of certificates that are used and end soon, or have ended.
    async fn expiring_certificates(&self) -> Result<u64, Error> {
        let used: BTreeSet<Thumbprint> = self
            .record()
            .instances()
            .await?
            .iter()
            .filter_map(|instance| instance.thumbprint)
            .collect();
        let soon_ms = now_ms().saturating_add(millis(EXPIRES_WITHIN));
        let certificates = self.installed_certificates().await?;
        let expiring = certificates.iter().filter(|certificate| {
            used.contains(&certificate.thumbprint) && certificate.not_after_ms <= soon_ms
        });
        Ok(expiring.count() as u64)
    }
}

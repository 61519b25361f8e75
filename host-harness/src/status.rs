//! How a host is at one moment, for a person and for monitoring.

use crate::error::Error;
use crate::host::Host;
use crate::view;

impl Host {
    /// How the host is at this moment.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn status(&self) -> Result<view::Status, Error> {
        let record = self.record();
        let metrics = self.metrics().await?;
        let (workers, mail_stop) = (record.living_workers().await?, record.mail_stop().await?);
        let requested = record.requested_cancellations().await?;
        Ok(view::Status {
            workers: workers.iter().map(view::Worker::from).collect(),
            open_licenses: metrics.open_licenses,
            oldest_open_license_at_ms: record.oldest_open_license_at_ms().await?,
            open_returns: metrics.open_returns,
            requested_cancellations: requested.count,
            oldest_requested_cancellation_at_ms: requested.oldest_at_ms,
            waiting_mails: metrics.waiting_mails,
            held_mails: metrics.held_mails,
            mail_stop: mail_stop.as_ref().map(view::MailStop::from),
            expiring_certificates: self.expiring_certificates().await?.len() as u64,
            awaits_adoption: record.awaits_adoption().await?,
            open_alerts: self.open_alerts().await?,
            values_of_former_host_keys: record.values_of_former_host_keys().await?,
            database_warnings: record
                .database_warnings()
                .iter()
                .map(ToString::to_string)
                .collect(),
            disk_free_bytes: record.disk_free_bytes()?,
        })
    }
}

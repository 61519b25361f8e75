//! Alerts as an operator follows them: what has ended badly or stands still, until it is over or acknowledged.

use bss_model::{Actor, AlertChoice, AlertFilter};

use crate::error::Error;
use crate::host::Host;
use crate::view;

impl Host {
    /// Alerts with a greater number than `after`, in the order in which they were raised, at most `limit` of them: the open ones,
    /// or `all`. A host that is [an owner's](Host::for_owner) has only those about its instances.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alerts(&self, all: bool, after: i64, limit: u32) -> Result<Vec<view::Alert>, Error> {
        let filter = AlertFilter {
            all,
            owner: self.owner().cloned(),
            after,
        };
        let alerts = self.record().alerts(&filter, limit).await?;
        Ok(alerts.iter().map(view::Alert::from).collect())
    }

    /// The number of open alerts.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn open_alerts(&self) -> Result<u64, Error> {
        Ok(self.record().open_alerts(self.owner()).await?)
    }

    /// Acknowledges alerts, and returns how many of them were open.
    ///
    /// # Errors
    /// When there is no alert of a number (`no-alert`); none is acknowledged then.
    pub async fn acknowledge_alerts(&self, choice: &AlertChoice, actor: &Actor) -> Result<u64, Error> {
        let record = self.record();
        Ok(record.acknowledge_alerts(choice, self.owner(), actor).await?)
    }
}

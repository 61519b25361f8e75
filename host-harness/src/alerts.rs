//! Alerts as an operator follows them: what has ended badly or stands still, until it is over or acknowledged.

use bss_model::{Actor, AlertChoice, AlertFilter};

use crate::error::Error;
use crate::host::Host;
use crate::view;

impl Host {
    /// Alerts that match a filter, in the order in which they were raised, at most `limit` of them. A host that is
    /// [an owner's](Host::for_owner) has only those about its instances, whatever the filter says.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alerts(&self, filter: &AlertFilter, limit: u32) -> Result<Vec<view::Alert>, Error> {
        let filter = AlertFilter {
            owner: self.owner().or(filter.owner.as_ref()).cloned(),
            ..filter.clone()
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

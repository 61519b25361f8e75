//! A host as a tenant is given it: what others own is not there.

use std::collections::HashSet;

use bss_keys::InstalledCertificate;
use bss_model::{Asset, AssetSelection, Cancellation, Instance, InstanceId, Mail, Order};
use bss_record::{CertificateStore, RecordError};
#[cfg(feature = "trace-files")]
use bss_sandbox::call_trace::CallTrace;
use uuid::Uuid;

use crate::host::Host;

impl Host {
    /// The certificates of the host's owner: those that its instances can use. Without an owner, the operator's own.
    pub fn certificates(&self) -> CertificateStore {
        self.record().certificates_of(self.owner())
    }

    /// The instances of the host's owner, by name. Without an owner, all instances, whoever owns them.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instances(&self) -> Result<Vec<Instance>, RecordError> {
        match self.owner() {
            Some(owner) => self.record().instances_of(Some(owner)).await,
            None => self.record().instances().await,
        }
    }

    /// The installed certificates of the host's owner, by expiry. Without an owner, all of them, whoever owns them.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn installed_certificates(&self) -> Result<Vec<InstalledCertificate>, RecordError> {
        match self.owner() {
            Some(_) => self.certificates().list().await,
            None => self.record().all_certificates().await,
        }
    }

    /// The calls for instances of the host's owner, in their order. Without an owner, all that are given.
    ///
    /// # Errors
    /// When the record can't be read.
    #[cfg(feature = "trace-files")]
    pub async fn calls_of_owner(&self, calls: Vec<CallTrace>) -> Result<Vec<CallTrace>, RecordError> {
        let Some(instances) = self.only_of().await? else {
            return Ok(calls);
        };
        let instances: HashSet<String> = instances.iter().map(Uuid::to_string).collect();
        let mut calls = calls;
        calls.retain(|call| instances.contains(call.root.text("instance")));
        Ok(calls)
    }

    /// The ids of the instances that the host is narrowed to. `None`: it is not.
    pub(crate) async fn only_of(&self) -> Result<Option<HashSet<Uuid>>, RecordError> {
        if self.owner().is_none() {
            return Ok(None);
        }
        let instances = self.instances().await?;
        Ok(Some(instances.iter().map(|instance| instance.id).collect()))
    }

    /// The selections that are left of one: itself, unless the host is narrowed to an owner.
    pub(crate) async fn own_selections(
        &self,
        taking: AssetSelection,
    ) -> Result<Vec<AssetSelection>, RecordError> {
        let Some(only_of) = self.only_of().await? else {
            return Ok(vec![taking]);
        };
        let of = |instance: Uuid| AssetSelection {
            instance: Some(instance),
            ..taking.clone()
        };
        let asked = only_of
            .into_iter()
            .filter(|id| taking.instance.is_none_or(|asked| asked == *id));
        Ok(asked.map(of).collect())
    }

    /// The order of an id. `None`: there is none, or it is another owner's.
    pub(crate) async fn own_order(&self, id: Uuid) -> Result<Option<Order>, RecordError> {
        let Some(order) = self.record().order(id).await? else {
            return Ok(None);
        };
        Ok(self.owns(order.instance_id).await?.then_some(order))
    }

    /// The asset of an id. `None`: there is none, or it is another owner's.
    pub(crate) async fn own_asset(&self, id: Uuid) -> Result<Option<Asset>, RecordError> {
        let Some(asset) = self.record().asset(id).await? else {
            return Ok(None);
        };
        Ok(self.owns(asset.instance_id).await?.then_some(asset))
    }

    /// The cancellation of an id. `None`: there is none, or it is of another owner's asset.
    pub(crate) async fn own_cancellation(&self, id: Uuid) -> Result<Option<Cancellation>, RecordError> {
        let Some(cancellation) = self.record().cancellation(id).await? else {
            return Ok(None);
        };
        let asset = self.own_asset(cancellation.asset_id).await?;
        Ok(asset.map(|_| cancellation))
    }

    /// The e-mail of an id, and the instance of its order. `None`: there is none, or it is about another owner's order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail(&self, id: Uuid) -> Result<Option<(Mail, InstanceId)>, RecordError> {
        let Some((mail, instance)) = self.record().mail(id).await? else {
            return Ok(None);
        };
        let instance = self.if_own(Some(instance)).await?;
        Ok(instance.map(|instance| (mail, instance)))
    }

    /// The instance of an order. `None`: there is no such order, or it is another owner's.
    pub(crate) async fn instance_of_order(&self, id: Uuid) -> Result<Option<InstanceId>, RecordError> {
        let instance = self.record().instance_of_order(id).await?;
        self.if_own(instance).await
    }

    /// The instance of an asset. `None`: there is no such asset, or it is another owner's.
    pub(crate) async fn instance_of_asset(&self, id: Uuid) -> Result<Option<InstanceId>, RecordError> {
        let instance = self.record().instance_of_asset(id).await?;
        self.if_own(instance).await
    }

    async fn if_own(&self, instance: Option<Uuid>) -> Result<Option<InstanceId>, RecordError> {
        let Some(instance) = instance else {
            return Ok(None);
        };
        Ok(self.owns(instance).await?.then_some(InstanceId(instance)))
    }

    async fn owns(&self, instance_id: Uuid) -> Result<bool, RecordError> {
        if self.owner().is_none() {
            return Ok(true);
        }
        let instance = self.instance_on_record(instance_id).await?;
        Ok(instance.owner.as_ref() == self.owner())
    }
}

//! Refreshing: asks the vendor how licenses that were bought stand now.

use std::time::Duration;

use bss_model::{
    Asset, AssetFilter, AssetStatus, CancellationFilter, CancellationState, Diagnose, Diagnosis, ErrorKind,
    LicenseDefect, LicenseNames, Page, SyncStatus, is_returned_but_active,
};
use bss_record::{RecordError, RefreshRecordError};
use bss_sandbox::bindings::failures::{Delay, Problem, ReadFailure};
use bss_sandbox::bindings::license_lifecycle::{LicenseName, LookUp};
use bss_sandbox::call_event::CallListener;
use bss_sandbox::call_trace;
use bss_sandbox::error::FailedCall;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::call_failure::{not_offered, said};
use crate::contract::{contract_instance, contract_license_names, recorded_license, retry_after};
use crate::host::Host;
use crate::plugins::PluginError;
use crate::ready_instances::PrepareError;

/// The number of licenses asked about at once: enough that an answer's way of 20 ms does not add up over thousands,
/// few enough to leave the vendor to the orders.
const AT_ONCE: usize = 8;

/// Why a license was not refreshed. The record keeps what it had of the license.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// There is no such asset, it has no license, or the record fails.
    #[error(transparent)]
    Record(#[from] RefreshRecordError),
    /// The plugin can't look up licenses.
    #[error("the plugin of instance `{0}` can't look licenses up")]
    NotOffered(String),
    /// The call can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] FailedCall),
    /// The vendor, or the plugin before asking, refused, or answered something that can't be read.
    #[error("the license was not refreshed: {} ({})", .0.message, .0.code)]
    Refused(Problem),
    /// Nothing of the instance can be asked until somebody corrects what is wrong with it.
    #[error("the license was not refreshed: {} ({})", .0.message, .0.code)]
    Misconfigured(Problem),
    /// The vendor was not reached, was busy, or broke off.
    #[error("the license was not refreshed: {} ({})", .0.problem.message, .0.problem.code)]
    Unavailable(Delay),
    /// The plugin answered something that can't be a license.
    #[error(transparent)]
    Defective(#[from] LicenseDefect),
    /// The vendor does not know the license.
    #[error("the vendor does not know the license of asset `{0}`")]
    Missing(Uuid),
    /// The vendor was not asked, because it was not reached for licenses before this one.
    #[error("the vendor was not asked about the license, because it did not answer about the ones before")]
    NotAsked,
}

impl Diagnose for RefreshError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Record(error) => error.diagnosis(),
            Self::NotOffered(_) => not_offered(),
            Self::Prepare(error) => error.diagnosis(),
            Self::Call(error) => error.diagnosis(),
            Self::Refused(problem) | Self::Misconfigured(problem) => {
                said(ErrorKind::Refused, &problem.code, &problem.advice)
            }
            Self::Unavailable(Delay { problem, .. }) => {
                said(ErrorKind::Unavailable, &problem.code, &problem.advice)
            }
            Self::Defective(defect) => defect.diagnosis(),
            Self::Missing(_) => {
                Diagnosis::new(ErrorKind::Refused, "license-not-found").say("ask the vendor's support")
            }
            Self::NotAsked => Diagnosis::new(ErrorKind::Unavailable, "not-asked"),
        }
    }
}

impl From<RecordError> for RefreshError {
    fn from(error: RecordError) -> Self {
        Self::Record(error.into())
    }
}

impl From<PluginError> for RefreshError {
    fn from(error: PluginError) -> Self {
        Self::Prepare(error.into())
    }
}

impl RefreshError {
    /// Whether asking about other licenses would fare no better: the vendor was not reached, was busy, or broke off, or
    /// takes nothing from the instance.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Misconfigured(_) | Self::NotAsked
        )
    }

    /// The time for which the vendor asks to be left alone. `None`: it did not say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(delay) => retry_after(delay),
            _ => None,
        }
    }
}

/// A license that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The asset, as it stands now.
    pub asset: Asset,
    /// Whether somebody else returned the license: the vendor has taken it back, the asset is not cancelled, and no
    /// return from here is under way. That credits nothing: an operator decides, and cancels the asset if it is to be
    /// credited.
    pub returned_elsewhere: bool,
}

impl Host {
    /// Asks the vendor how an asset's license stands, and puts that on record.
    ///
    /// # Errors
    /// When there is no license to ask about, or no answer.
    pub async fn refresh_license(
        &self,
        asset_id: Uuid,
        listener: CallListener,
    ) -> Result<Refreshed, RefreshError> {
        if self.own_asset(asset_id).await?.is_none() {
            return Err(RefreshRecordError::NoAsset { id: asset_id }.into());
        }
        self.refresh_of_any(asset_id, listener).await
    }

    /// Refreshes like [`Self::refresh_license`], whoever owns the asset.
    pub(crate) async fn refresh_of_any(
        &self,
        asset_id: Uuid,
        listener: CallListener,
    ) -> Result<Refreshed, RefreshError> {
        let asset = self.record().begin_refresh(asset_id).await?;
        let instance = self.instance_on_record(asset.instance_id).await?;
        let (Some(transaction_id), Some(id)) = (asset.transaction_id, asset.license_token_id) else {
            let what = format!("asset `{asset_id}` has a license without the vendor's names");
            return Err(RecordError::Damaged { what }.into());
        };
        let plugin = self.plugin_of(&instance).await?.plugin;
        if !plugin.offers_lifecycle() {
            return Err(RefreshError::NotOffered(instance.name));
        }
        let call = self.ready_call(&instance, listener).await?;
        let name = LicenseName::License(contract_license_names(&LicenseNames {
            client_transaction_id: asset.client_transaction_id,
            transaction_id,
            license_token_id: id.clone(),
        }));
        let answer = plugin
            .get_license(call, &contract_instance(&instance), &name)
            .instrument(call_trace::attempt("refresh", asset_id, None))
            .await?;
        let license = match answer {
            Ok(LookUp::Issued(license)) if license.license_token_id == id => recorded_license(license)?,
            Ok(_) => return Err(RefreshError::Missing(asset_id)),
            Err(ReadFailure::Refused(problem) | ReadFailure::Malformed(problem)) => {
                return Err(RefreshError::Refused(problem));
            }
            Err(ReadFailure::Misconfigured(problem)) => return Err(RefreshError::Misconfigured(problem)),
            Err(ReadFailure::Unavailable(delay)) => return Err(RefreshError::Unavailable(delay)),
        };
        let (license_token_status, return_status) = (license.license_token_status, license.return_status);
        let asset = self
            .record()
            .finish_refresh(asset_id, license_token_status, return_status)
            .await?;
        let returned_elsewhere = is_returned_but_active(&asset) && !self.is_returning(asset_id).await?;
        Ok(Refreshed {
            asset,
            returned_elsewhere,
        })
    }

    /// Refreshes like [`Host::refresh_license`] all assets that a filter names, that have their license and are not
    /// cancelled; several at once. Once the vendor can't be reached, the rest is not asked about.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn refresh_licenses(
        &self,
        filter: AssetFilter,
        listener: &CallListener,
    ) -> Result<Vec<(Uuid, Result<Refreshed, RefreshError>)>, RecordError> {
        let filter = AssetFilter {
            sync_status: Some(SyncStatus::Synchronized),
            ..filter
        };
        let assets = self.record().assets(&filter, &Page::all()).await?.rows;
        let only_of = self.only_of().await?;
        let is_own = |asset: &&Asset| {
            only_of
                .as_ref()
                .is_none_or(|only| only.contains(&asset.instance_id))
        };
        let active = assets.iter().filter(|asset| asset.status == AssetStatus::Active);
        let active = active.filter(is_own);
        let ids: Vec<Uuid> = active.map(|asset| asset.id).collect();
        let (mut refreshed, mut is_outage) = (Vec::with_capacity(ids.len()), false);
        for some in ids.chunks(AT_ONCE) {
            if is_outage {
                refreshed.extend(some.iter().map(|id| (*id, Err(RefreshError::NotAsked))));
                continue;
            }
            let answers = self.refresh_at_once(some, listener).await;
            let outage = |(_, answer): &(_, Result<_, RefreshError>)| {
                answer.as_ref().is_err_and(RefreshError::is_outage)
            };
            is_outage = answers.iter().all(outage);
            refreshed.extend(answers);
        }
        Ok(refreshed)
    }

    async fn refresh_at_once(
        &self,
        assets: &[Uuid],
        listener: &CallListener,
    ) -> Vec<(Uuid, Result<Refreshed, RefreshError>)> {
        let mut running = JoinSet::new();
        for (index, asset) in assets.iter().copied().enumerate() {
            let (host, listener) = (self.clone(), listener.clone());
            running.spawn(async move { (index, asset, host.refresh_of_any(asset, listener).await) });
        }
        let mut answers = running.join_all().await;
        answers.sort_by_key(|(index, ..)| *index);
        answers
            .into_iter()
            .map(|(_, asset, answer)| (asset, answer))
            .collect()
    }

    /// Whether an asset's license is being returned and that is not settled yet.
    async fn is_returning(&self, asset_id: Uuid) -> Result<bool, RecordError> {
        let filter = CancellationFilter {
            asset: Some(asset_id),
            state: Some(CancellationState::Returning),
            ..CancellationFilter::default()
        };
        let returning = self.record().cancellations(&filter, &Page::first(1)).await?;
        Ok(!returning.rows.is_empty())
    }
}

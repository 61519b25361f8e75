//! Whether the vendor can be reached with an instance's settings, as the plugin finds step by step.

use bss_model::{Diagnose, Diagnosis, Instance};
use bss_sandbox::bindings::connection::{Step, StepResult};
use bss_sandbox::call_event::CallListener;
use bss_sandbox::error::FailedCall;

use crate::asked_instance::AskedInstance;
use crate::call_failure::not_offered;
use crate::contract::contract_instance;
use crate::host::Host;
use crate::instance_settings::ConfigureError;
use crate::plugins::PluginError;
use crate::ready_instances::PrepareError;

/// Why a connection was not checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no such instance.
    #[error(transparent)]
    Instance(#[from] ConfigureError),
    /// The call can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The plugin has no function to check connections.
    #[error("the plugin of instance `{0}` can't check connections")]
    NotOffered(String),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] FailedCall),
}

impl Diagnose for CheckError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Instance(error) => error.diagnosis(),
            Self::Prepare(error) => error.diagnosis(),
            Self::NotOffered(_) => not_offered(),
            Self::Call(error) => error.diagnosis(),
        }
    }
}

impl From<PluginError> for CheckError {
    fn from(error: PluginError) -> Self {
        Self::Prepare(error.into())
    }
}

impl Host {
    /// Checks the way to the vendor step by step, on connections and with an access token of its own. Buys nothing
    /// and changes nothing. The check has passed if [`failed_step`] finds none.
    ///
    /// # Errors
    /// When it could not be checked: there is no such instance, it is not ready, its certificate can't be used,
    /// or the plugin offers no such function or brings no answer.
    pub async fn check_connection(
        &self,
        asked: impl Into<AskedInstance>,
        listener: CallListener,
    ) -> Result<Vec<Step>, CheckError> {
        let instance = self.asked_instance(asked).await?;
        self.check_instance(&instance, listener).await
    }

    /// Checks like [`Host::check_connection`], with an instance as it is given, saved or not.
    pub(crate) async fn check_instance(
        &self,
        instance: &Instance,
        listener: CallListener,
    ) -> Result<Vec<Step>, CheckError> {
        let plugin = self.plugin_of(instance).await?.plugin;
        if !plugin.checks_connections() {
            return Err(CheckError::NotOffered(instance.name.clone()));
        }
        let call = self.fresh_call(instance, listener).await?;
        Ok(plugin
            .check_connection(call, &contract_instance(instance))
            .await?)
    }
}

/// The first step that did not pass. `None`: all passed.
pub fn failed_step(steps: &[Step]) -> Option<&Step> {
    steps
        .iter()
        .find(|step| !matches!(step.result, StepResult::Passed))
}

//! Gives an instance that is in use another certificate: checked against the vendor first, then used at once.
//!
//! Calls under way end on the connections they have. Connections and TLS sessions belong to one version of the
//! settings (see [`bss_sandbox::outbound_https`]), so that whatever comes after the save is opened anew.

use std::collections::BTreeMap;

use bss_model::{Actor, Advice, Diagnose, Diagnosis, ErrorKind, Instance, Standing, Thumbprint};
use bss_sandbox::bindings::connection::Step;
use bss_sandbox::bindings::failures::Problem;
use bss_sandbox::call_event::CallListener;

use crate::asked_instance::AskedInstance;
use crate::connection::{CheckError, failed_step};
use crate::host::Host;
use crate::instance_settings::{ConfigureError, allowed_hosts};
use crate::settings_gate::OperatorsWord;
use crate::view;

/// A certificate that has taken over from another one.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The instance as it is saved now.
    pub instance: Instance,
    /// The certificate that the instance had before.
    pub former: Option<Thumbprint>,
    /// The steps of the connection check that was made with the new certificate.
    pub steps: Vec<Step>,
}

/// Why a certificate did not take over. The instance is unchanged and keeps the certificate it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The instance is unknown, the plugin brought no answer, or the record failed.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The connection could not be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The instance is not ready, so it has no certificate in use that could be replaced.
    #[error("instance `{0}` is not ready")]
    NotReady(String),
    /// The form of the instance's plugin has no field for a certificate.
    #[error("instance `{0}` uses no certificate")]
    NoCertificate(String),
    /// The instance has this certificate already.
    #[error("instance `{name}` uses certificate `{thumbprint}` already")]
    AlreadyUsed {
        /// The instance.
        name: String,
        /// The certificate.
        thumbprint: Thumbprint,
    },
    /// The plugin does not take the certificate.
    #[error("certificate `{thumbprint}` can't be used by instance `{name}`")]
    Refused {
        /// The instance.
        name: String,
        /// The certificate.
        thumbprint: Thumbprint,
        /// The plugin's reasons: at least one.
        problems: Vec<Problem>,
    },
    /// The plugin would save another certificate.
    #[error("the plugin would have instance `{name}` use another certificate than `{thumbprint}`")]
    Exchanged {
        /// The instance.
        name: String,
        /// The certificate that was asked for.
        thumbprint: Thumbprint,
    },
    /// The vendor does not take the certificate.
    #[error(
        "instance `{name}` keeps its former certificate, because the connection check with certificate `{thumbprint}` failed"
    )]
    CheckFailed {
        /// The instance.
        name: String,
        /// The certificate.
        thumbprint: Thumbprint,
        /// All steps, one of which did not pass.
        steps: Vec<Step>,
    },
}

impl RotateError {
    /// The reasons of the plugin, or those of the steps that failed. Empty: the error says all.
    pub fn reasons(&self) -> Vec<view::Problem> {
        match self {
            Self::Refused { problems, .. } => problems.iter().map(view::Problem::from).collect(),
            Self::CheckFailed { name, steps, .. } => {
                let steps = view::ConnectionCheck::new(name, steps).steps;
                steps.into_iter().filter_map(|step| step.problem).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Diagnose for RotateError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Configure(error) => error.diagnosis(),
            Self::Check(error) => error.diagnosis(),
            Self::NotReady(instance) => {
                Diagnosis::new(ErrorKind::Conflict, "not-ready").advise(Advice::CompleteForm {
                    instance: instance.clone(),
                })
            }
            Self::NoCertificate(_) => Diagnosis::new(ErrorKind::Conflict, "no-certificate-used"),
            Self::AlreadyUsed { .. } => Diagnosis::new(ErrorKind::Conflict, "certificate-already-used"),
            Self::Refused { .. } => Diagnosis::new(ErrorKind::Refused, "certificate-refused"),
            Self::Exchanged { .. } => {
                Diagnosis::new(ErrorKind::Refused, "certificate-exchanged").advise(Advice::ShowTraces)
            }
            Self::CheckFailed { .. } => Diagnosis::new(ErrorKind::Refused, "check-failed"),
        }
    }
}

impl Host {
    /// Replaces an instance's certificate: checks the connection with the new one, saves it if all steps pass, and
    /// drops what was opened with the former one.
    ///
    /// # Errors
    /// When the certificate can't be chosen, a step of the check fails, or another save came meanwhile.
    /// Nothing is changed then.
    pub async fn rotate_certificate(
        &self,
        asked: impl Into<AskedInstance>,
        to: Thumbprint,
        actor: &Actor,
        listener: CallListener,
    ) -> Result<Rotation, RotateError> {
        let instance = self.asked_instance(asked).await?;
        if instance.standing != Standing::Ready {
            return Err(RotateError::NotReady(instance.name));
        }
        if instance.thumbprint == Some(to) {
            return Err(RotateError::AlreadyUsed {
                name: instance.name,
                thumbprint: to,
            });
        }
        let plugin = self.plugin_of(&instance).await.map_err(ConfigureError::from)?;
        let form = self.judge(&plugin, &OperatorsWord::of_saved(&instance)).await?;
        let Some(field) = form.into_inner().certificate_field else {
            return Err(RotateError::NoCertificate(instance.name));
        };
        // What is typed here goes into the field that has held the certificate so far, whatever the plugin says now.
        let held = instance.values.get(&field).and_then(|value| value.parse().ok());
        let holds_it = instance.thumbprint.is_none() || held == instance.thumbprint;
        let typed = BTreeMap::from([(field, to.to_string())]);
        let operator = OperatorsWord {
            typed: &typed,
            allowed_hosts: &allowed_hosts(&instance),
            ..OperatorsWord::of_saved(&instance)
        };
        let form = self.judge(&plugin, &operator).await?;
        let problems: Vec<Problem> = form
            .fields
            .iter()
            .flat_map(|field| field.problems.clone())
            .collect();
        if !problems.is_empty() {
            return Err(RotateError::Refused {
                name: instance.name,
                thumbprint: to,
                problems,
            });
        }
        let settings = self.pass(&form, &operator, plugin.digest).await?;
        if !holds_it || settings.thumbprint != Some(to) {
            return Err(RotateError::Exchanged {
                name: instance.name,
                thumbprint: to,
            });
        }
        let with_new_one = Instance {
            values: settings.values.clone(),
            standing: settings.standing,
            authorities: settings.authorities.clone(),
            thumbprint: settings.thumbprint,
            ..instance.clone()
        };
        let steps = self.check_instance(&with_new_one, listener).await?;
        if failed_step(&steps).is_some() {
            return Err(RotateError::CheckFailed {
                name: instance.name,
                thumbprint: to,
                steps,
            });
        }
        let saved = self.save(&instance, settings, actor).await?;
        Ok(Rotation {
            instance: saved,
            former: instance.thumbprint,
            steps,
        })
    }
}

//! The settings of an instance, from what an operator types to what is saved.

use std::collections::BTreeMap;

use bss_model::{
    Actor, Advice, Diagnose, Diagnosis, ErrorKind, Instance, Page, SavedSettings, SortOrder, Thumbprint,
};
use bss_record::{RecordError, SaveError};
use bss_sandbox::bindings::instance_settings::{
    Draft, FieldKind, Form, InstalledCertificate, KeyKind, OtherInstance, Standing,
};
use bss_sandbox::call_event::CallListener;
use bss_sandbox::error::{CallError, LoadError};
use bss_sandbox::outbound_https::Authority;
use uuid::Uuid;

use crate::contract::field_values;
use crate::host::Host;

/// An instance and its form, as both are now.
pub struct InstanceForm {
    /// The instance as it is saved.
    pub instance: Instance,
    /// The form.
    pub form: Form,
    /// Whether what was typed has been saved: only if no field had a problem.
    pub saved: bool,
}

/// Why an instance can't be configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// There is no instance of that name.
    #[error("there is no instance `{0}`")]
    NoInstance(String),
    /// There is no field of that name.
    #[error("the form has no field `{field}`")]
    NoField {
        /// The name that was given.
        field: String,
        /// The names of the form's fields.
        fields: String,
    },
    /// The plugin can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The settings were not saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The plugin asks for something that the operator has not typed.
    #[error("the settings were not saved, because the plugin's form breaks a rule: {0}")]
    Plugin(String),
}

impl Diagnose for ConfigureError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoInstance(_) => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::NoField { fields, .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-field").say(format!("the form's fields are {fields}"))
            }
            Self::Load(error) => error.diagnosis(),
            Self::Call(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::Save(error) => error.diagnosis(),
            Self::Plugin(_) => Diagnosis::new(ErrorKind::Refused, "plugin-broke-rule"),
        }
    }
}

impl Host {
    /// The form of an instance as it is saved.
    ///
    /// # Errors
    /// When there is no such instance, or the plugin brings no answer.
    pub async fn form(&self, name: &str) -> Result<InstanceForm, ConfigureError> {
        let instance = self.named_instance(name).await?;
        let form = self.judge(&instance, &BTreeMap::new()).await?;
        Ok(InstanceForm {
            instance,
            form,
            saved: false,
        })
    }

    /// Judges the values that an operator typed, and saves them if no field has a problem. Fields that were not typed
    /// keep their saved value.
    ///
    /// # Errors
    /// When there is no such instance or field, the plugin brings no answer, or another save came in between.
    pub async fn configure(
        &self,
        name: &str,
        typed: &BTreeMap<String, String>,
        actor: &Actor,
    ) -> Result<InstanceForm, ConfigureError> {
        let instance = self.named_instance(name).await?;
        self.configure_instance(instance, typed, actor).await
    }

    /// Configures like [`Host::configure`], for an operator who has seen the settings of `version` and no later ones.
    ///
    /// # Errors
    /// As [`Host::configure`], and when there was a save since that version.
    pub async fn configure_version(
        &self,
        name: &str,
        version: i64,
        typed: &BTreeMap<String, String>,
        actor: &Actor,
    ) -> Result<InstanceForm, ConfigureError> {
        let instance = self.named_instance(name).await?;
        if instance.version != version {
            let latest = Page::first(1).in_order(SortOrder::Descending);
            let last = self
                .record()
                .instance_history(instance.id, &latest)
                .await?
                .rows
                .pop();
            return Err(ConfigureError::Save(SaveError::Conflict {
                name: instance.name,
                expected: version,
                found: instance.version,
                changed_by: last.map_or_else(String::new, |last| last.changed_by.name),
            }));
        }
        self.configure_instance(instance, typed, actor).await
    }

    async fn configure_instance(
        &self,
        instance: Instance,
        typed: &BTreeMap<String, String>,
        actor: &Actor,
    ) -> Result<InstanceForm, ConfigureError> {
        let form = self.judge(&instance, typed).await?;
        if let Some(field) = typed
            .keys()
            .find(|id| !form.fields.iter().any(|field| field.id == **id))
        {
            let fields: Vec<_> = form.fields.iter().map(|field| field.id.as_str()).collect();
            return Err(ConfigureError::NoField {
                field: field.clone(),
                fields: fields.join(", "),
            });
        }
        if form.fields.iter().any(|field| !field.problems.is_empty()) {
            return Ok(InstanceForm {
                instance,
                form,
                saved: false,
            });
        }
        let settings = saved_settings(&form).map_err(ConfigureError::Plugin)?;
        let instance = self.save(&instance, settings, actor).await?;
        // Fields that were disabled before the save may be enabled after it.
        let form = self.judge(&instance, &BTreeMap::new()).await?;
        Ok(InstanceForm {
            instance,
            form,
            saved: true,
        })
    }

    /// The instance of a name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn named_instance(&self, name: &str) -> Result<Instance, ConfigureError> {
        let found = self.record().instance(name).await?;
        found.ok_or_else(|| ConfigureError::NoInstance(name.to_owned()))
    }

    /// The instance of an id that is on record elsewhere.
    ///
    /// # Errors
    /// When the record can't be read, or has no such instance and so is damaged.
    pub(crate) async fn instance_on_record(&self, id: Uuid) -> Result<Instance, RecordError> {
        let found = self.record().instance_by_id(id).await?;
        found.ok_or_else(|| RecordError::Damaged {
            what: format!("instance `{id}` is missing"),
        })
    }

    /// Saves a judged form as a change of `instance`, and drops what was opened with the former settings.
    pub(crate) async fn save(
        &self,
        instance: &Instance,
        settings: SavedSettings,
        actor: &Actor,
    ) -> Result<Instance, ConfigureError> {
        let saved = self
            .record()
            .save_settings(instance.id, instance.version, settings, actor)
            .await?;
        self.forget_instance(&saved.id.to_string());
        Ok(saved)
    }

    pub(crate) async fn judge(
        &self,
        instance: &Instance,
        typed: &BTreeMap<String, String>,
    ) -> Result<Form, ConfigureError> {
        let others = self
            .record()
            .instances()
            .await?
            .into_iter()
            .filter(|other| other.id != instance.id);
        let draft = Draft {
            values: field_values(typed),
            saved: field_values(&instance.values),
            has_licenses: self.record().has_licenses(instance.id).await?,
            currency: instance.currency.clone(),
            certificates: self
                .record()
                .certificates()
                .list()
                .await?
                .into_iter()
                .map(contract_certificate)
                .collect(),
            other_instances: others
                .map(|other| OtherInstance {
                    values: field_values(&other.values),
                    name: other.name,
                    currency: other.currency,
                })
                .collect(),
        };
        let silent: CallListener = std::sync::Arc::new(|_| ());
        let call = self.isolated_call(instance, silent);
        Ok(self.plugin().await?.configure_instance(call, draft).await?)
    }
}

fn contract_certificate(certificate: bss_keys::InstalledCertificate) -> InstalledCertificate {
    InstalledCertificate {
        thumbprint: certificate.thumbprint.to_string(),
        subject: certificate.subject,
        dns_names: certificate.dns_names,
        not_before_ms: certificate.not_before_ms,
        not_after_ms: certificate.not_after_ms,
        key: match certificate.key {
            bss_keys::KeyKind::Rsa { bits } => KeyKind::Rsa(bits),
            bss_keys::KeyKind::Other(name) => KeyKind::Other(name),
        },
        // The certificate store takes no certificate without its private key.
        has_private_key: true,
        for_client_authentication: certificate.for_client_authentication,
    }
}

/// The settings to save from a form without problems.
///
/// The certificate is presented only where the operator typed the server's address: a plugin can't name a
/// server of its own and have the host prove the instance's identity to it.
pub(crate) fn saved_settings(form: &Form) -> Result<SavedSettings, String> {
    let values: BTreeMap<String, String> = form
        .fields
        .iter()
        .filter(|field| !field.value.is_empty())
        .map(|field| (field.id.clone(), field.value.clone()))
        .collect();
    let typed: Vec<Authority> = form
        .fields
        .iter()
        .filter(|field| field.kind == FieldKind::Url)
        .filter_map(|field| Authority::of_url(&field.value))
        .collect();
    let (standing, named) = match &form.standing {
        Standing::NeedsCredentials => (bss_model::Standing::NeedsCredentials, &[][..]),
        Standing::NeedsSelection => (bss_model::Standing::NeedsSelection, &[][..]),
        Standing::Ready(authorities) => (bss_model::Standing::Ready, authorities.as_slice()),
    };
    let mut authorities = Vec::new();
    for named in named {
        let authority: Authority = named.name.parse().map_err(|error| format!("{error}"))?;
        if named.client_certificate && !typed.contains(&authority) {
            return Err(format!(
                "the certificate would be presented to `{authority}`, which no field of the form names"
            ));
        }
        authorities.push(bss_model::Authority {
            name: authority.to_string(),
            client_certificate: named.client_certificate,
        });
    }
    let thumbprint = match values.get(&form.certificate_field) {
        None => None,
        Some(text) => Some(text.parse::<Thumbprint>().map_err(|error| error.to_string())?),
    };
    Ok(SavedSettings {
        values,
        standing,
        authorities,
        thumbprint,
    })
}

#[cfg(test)]
mod tests {
    use bss_sandbox::bindings::instance_settings as contract;
    use bss_sandbox::bindings::instance_settings::Field;

    use super::*;

    fn form(service_url: &str, authorities: &[(&str, bool)]) -> Form {
        Form {
            fields: vec![Field {
                id: "service-url".into(),
                label: String::new(),
                help: String::new(),
                kind: FieldKind::Url,
                mandatory: true,
                max_length: 100,
                enabled: true,
                choices: Vec::new(),
                value: service_url.into(),
                problems: Vec::new(),
            }],
            standing: Standing::Ready(
                authorities
                    .iter()
                    .map(|(name, client_certificate)| contract::Authority {
                        name: (*name).into(),
                        client_certificate: *client_certificate,
                    })
                    .collect(),
            ),
            certificate_field: "certificate-thumbprint".into(),
        }
    }

    #[test]
    fn the_certificate_is_presented_to_a_server_that_the_operator_typed() {
        let saved = saved_settings(&form(
            "https://api.example.com/cis",
            &[("api.example.com", true), ("login.example.com", false)],
        ));
        let names: Vec<_> = saved
            .unwrap()
            .authorities
            .into_iter()
            .map(|a| (a.name, a.client_certificate))
            .collect();
        assert_eq!(
            names,
            [
                ("api.example.com".to_owned(), true),
                ("login.example.com".to_owned(), false)
            ]
        );
    }

    #[test]
    fn a_plugin_can_not_have_it_presented_to_a_server_of_its_own() {
        let refused = saved_settings(&form(
            "https://api.example.com/cis",
            &[("evil.example.com", true)],
        ));
        assert!(refused.unwrap_err().contains("`evil.example.com`"));
    }
}

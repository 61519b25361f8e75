//! The settings of an instance, from what an operator types to what is saved.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bss_model::{
    Actor, Advice, Diagnose, Diagnosis, ErrorKind, Instance, InstanceCorrection, Page, PluginDigest,
    ProxyChoice, SavedSettings, Secret, SortOrder,
};
use bss_record::{RecordError, SaveError};
use bss_sandbox::bindings::instance_settings::{
    Draft, FieldKind, Form, InstalledCertificate, KeyKind, OtherInstance,
};
use bss_sandbox::call_event::CallListener;
use bss_sandbox::error::FailedCall;
use bss_sandbox::outbound_https::Authority;
use ipnet::IpNet;
use uuid::Uuid;

use crate::asked_instance::AskedInstance;
use crate::contract::field_values;
use crate::form_rules::{CheckedForm, FormError};
use crate::host::Host;
use crate::plugin_options::{OptionError, check_options};
use crate::plugins::{LoadedPlugin, PluginError};
use crate::settings_gate::{GateError, OperatorsWord, check_sharing, settings_of};

/// The fewest characters of a secret. A shorter one could be guessed, and an answer that happens to have it would lose it.
const SECRET_CHARS_MIN: usize = 8;
/// The most characters of a secret, whatever the field takes: header fields are small.
const SECRET_CHARS_MAX: u32 = 1_024;

/// An instance and its form, as both are now.
#[derive(Clone, Debug)]
pub struct InstanceForm {
    /// The instance as it is saved.
    pub instance: Instance,
    /// The form.
    pub form: Form,
    /// Whether what was typed has been saved: only if no field had a problem.
    pub saved: bool,
}

/// A change of an instance's settings, as an operator asks for it.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// The values that are typed, by field. A field that is not listed keeps its saved value. None is a secret.
    pub values: BTreeMap<String, String>,
    /// The secrets that are typed, by field; `None` removes one. A field that is not listed keeps its own.
    pub secrets: BTreeMap<String, Option<Secret>>,
    /// Servers that the plugin may ask for from now on, although no setting and no option names them.
    pub allow_hosts: Vec<Authority>,
    /// Servers that are not allowed so any more.
    pub disallow_hosts: Vec<Authority>,
    /// Options for the plugin, by name; `None` removes one. An option that is not listed stays as it is.
    pub options: BTreeMap<String, Option<String>>,
    /// The certificate authorities to trust from now on. `None`: the same as before.
    pub trust: Option<TrustChange>,
    /// Networks that may be reached from now on although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// Networks that may not be reached so any more.
    pub disallow_networks: Vec<IpNet>,
    /// The currency to sell in, which another one can take the place of only as long as nothing was ordered. `None`: the same
    /// as before.
    pub currency: Option<String>,
    /// The version of the settings that the operator has seen. `None`: any.
    pub based_on: Option<i64>,
}

/// The certificate authorities that an instance is to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustChange {
    /// The system's.
    System,
    /// Authorities of a text in PEM, and not the system's.
    Pem(String),
}

impl SettingsChange {
    /// Whether nothing is changed, whatever version it is based on.
    pub fn is_empty(&self) -> bool {
        let hosts = self.allow_hosts.iter().chain(&self.disallow_hosts);
        self.values.is_empty() && self.secrets.is_empty() && hosts.count() == 0 && !self.is_correction()
    }

    fn is_correction(&self) -> bool {
        let networks = self.allow_networks.iter().chain(&self.disallow_networks);
        !self.options.is_empty() || self.trust.is_some() || networks.count() > 0 || self.currency.is_some()
    }

    /// What is corrected of an instance beside its form. `None`: nothing.
    ///
    /// # Errors
    /// When the plugin can't be given an option, or the instance does not have an option or a network that is to be removed.
    fn correction(
        &self,
        instance: &Instance,
        plugin: &LoadedPlugin,
    ) -> Result<Option<InstanceCorrection>, ConfigureError> {
        let before = InstanceCorrection::of(instance);
        let mut after = before.clone();
        let given = self.options.iter();
        let given = given.filter_map(|(option, value)| Some((option.clone(), value.clone()?)));
        let given: BTreeMap<String, String> = given.collect();
        check_options(&plugin.description, &given)?;
        after.options.extend(given);
        for option in self.options.iter().filter(|(_, value)| value.is_none()) {
            if after.options.remove(option.0).is_none() {
                let (instance, option) = (instance.name.clone(), option.0.clone());
                return Err(OptionError::NotGiven { instance, option }.into());
            }
        }
        match &self.trust {
            None => {}
            Some(TrustChange::System) => after.trusted_authorities_pem = None,
            Some(TrustChange::Pem(pem)) => after.trusted_authorities_pem = Some(pem.clone()),
        }
        let networks = &mut after.allowed_networks;
        for allowed in &self.allow_networks {
            if !networks.iter().any(|network| network.trunc() == allowed.trunc()) {
                networks.push(*allowed);
            }
        }
        for removed in &self.disallow_networks {
            let count = networks.len();
            networks.retain(|network| network.trunc() != removed.trunc());
            if networks.len() == count {
                let (instance, network) = (instance.name.clone(), *removed);
                return Err(ConfigureError::NetworkNotAllowed { instance, network });
            }
        }
        if let Some(currency) = &self.currency {
            after.currency.clone_from(currency);
        }
        Ok((after != before).then_some(after))
    }
}

impl From<&BTreeMap<String, String>> for SettingsChange {
    fn from(values: &BTreeMap<String, String>) -> Self {
        Self {
            values: values.clone(),
            ..Self::default()
        }
    }
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
    /// A secret was given as a value. Nothing was saved.
    #[error("field `{field}` is a secret, and is not given as a value")]
    SecretAsValue {
        /// The field.
        field: String,
    },
    /// A value was given as a secret. Nothing was saved.
    #[error("field `{field}` is no secret")]
    NotASecret {
        /// The field.
        field: String,
    },
    /// A secret can't be one. Nothing was saved.
    #[error("the secret for field `{field}` is not {SECRET_CHARS_MIN} to {most} characters of visible ASCII")]
    SecretUnusable {
        /// The field.
        field: String,
        /// The most characters that it may have.
        most: u32,
    },
    /// The form has no field any more for a secret that is saved. Nothing was saved.
    #[error("the form has no secret `{field}` any more, and one is saved")]
    SecretLost {
        /// The field.
        field: String,
    },
    /// A secret was given for a field that is not enabled. Nothing was saved.
    #[error("field `{field}` takes no secret now")]
    SecretNotTaken {
        /// The field.
        field: String,
    },
    /// The plugin can't be loaded, or is not the trusted one.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] FailedCall),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The settings were not saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The plugin's form breaks a rule of the contract.
    #[error("the plugin's form is refused, because it breaks the contract")]
    Form(#[from] FormError),
    /// The plugin's form has something that is its operator's to say.
    #[error("nothing was saved")]
    Gate(#[from] GateError),
    /// A network is not allowed that is to be removed. Nothing was saved.
    #[error("instance `{instance}` is not allowed to reach the network {network}")]
    NetworkNotAllowed {
        /// The instance's name.
        instance: String,
        /// The network.
        network: IpNet,
    },
    /// The plugin can't be given an option, or the instance has none of that name. Nothing was saved.
    #[error(transparent)]
    Option(#[from] OptionError),
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
            Self::SecretAsValue { field } => Diagnosis::new(ErrorKind::Invalid, "secret-as-value")
                .advise(Advice::GiveAsSecret { field: field.clone() }),
            Self::NotASecret { field } => Diagnosis::new(ErrorKind::Invalid, "not-a-secret")
                .advise(Advice::GiveAsValue { field: field.clone() }),
            Self::SecretUnusable { .. } => Diagnosis::new(ErrorKind::Invalid, "secret-unusable")
                .say("look whether all of it was given, on one line"),
            Self::SecretLost { field } => Diagnosis::new(ErrorKind::Conflict, "secret-lost")
                .advise(Advice::ClearSecret { field: field.clone() }),
            Self::SecretNotTaken { .. } => Diagnosis::new(ErrorKind::Conflict, "secret-not-taken")
                .say("complete the fields before it first"),
            Self::Plugin(error) => error.diagnosis(),
            Self::Call(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::Save(error) => error.diagnosis(),
            Self::Form(error) => error.diagnosis(),
            Self::Gate(error) => error.diagnosis(),
            Self::NetworkNotAllowed { .. } => Diagnosis::new(ErrorKind::NotFound, "network-not-allowed")
                .say("look at the networks that the instance may reach"),
            Self::Option(error) => error.diagnosis(),
        }
    }
}

impl Host {
    /// The form of an instance as it is saved.
    ///
    /// # Errors
    /// When there is no such instance, or the plugin brings no answer or a form that breaks the contract.
    pub async fn form(&self, asked: impl Into<AskedInstance>) -> Result<InstanceForm, ConfigureError> {
        let instance = self.asked_instance(asked).await?;
        let plugin = self.plugin_of(&instance).await?;
        let form = self.judge(&plugin, &OperatorsWord::of_saved(&instance)).await?;
        Ok(InstanceForm {
            instance,
            form: form.into_inner(),
            saved: false,
        })
    }

    /// Says through which proxy an instance's connections go, from its next call on. The plugin is not asked.
    ///
    /// # Errors
    /// When there is no such instance, or the record can't be written.
    pub async fn choose_proxy(
        &self,
        asked: impl Into<AskedInstance>,
        choice: &ProxyChoice,
        actor: &Actor,
    ) -> Result<Instance, ConfigureError> {
        let instance = self.asked_instance(asked).await?;
        let saved = self
            .record()
            .set_instance_proxy(instance.id, choice, actor)
            .await?;
        self.forget_instance(&saved.id.to_string());
        Ok(saved)
    }

    /// Judges a change that an operator asks for, and saves it if no field has a problem.
    ///
    /// # Errors
    /// When there is no such instance or field, the plugin brings no answer, breaks the contract or asks for what is the
    /// operator's to say, or there was another save, since the version that the change is based on or just now.
    pub async fn configure(
        &self,
        asked: impl Into<AskedInstance>,
        change: impl Into<SettingsChange>,
        actor: &Actor,
    ) -> Result<InstanceForm, ConfigureError> {
        let change = change.into();
        let instance = self.asked_instance(asked).await?;
        if let Some(version) = change.based_on
            && instance.version != version
        {
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
        self.configure_instance(instance, &change, actor).await
    }

    async fn configure_instance(
        &self,
        before: Instance,
        change: &SettingsChange,
        actor: &Actor,
    ) -> Result<InstanceForm, ConfigureError> {
        let plugin = self.plugin_of(&before).await?;
        let correction = change.correction(&before, &plugin)?;
        // The form is judged with what is corrected.
        let instance = match correction.clone() {
            Some(correction) => correction.corrected(before.clone()),
            None => before.clone(),
        };
        let mut allowed_hosts = allowed_hosts(&instance);
        allowed_hosts.extend(change.allow_hosts.iter().cloned());
        allowed_hosts.retain(|host| !change.disallow_hosts.contains(host));
        let operator = OperatorsWord {
            instance: &instance,
            typed: &change.values,
            secrets: &change.secrets,
            allowed_hosts: &allowed_hosts,
        };
        self.check_kinds(&plugin, &operator, change).await?;
        let form = self.judge(&plugin, &operator).await?;
        if change.is_correction() && is_form_empty(&instance, change) {
            let settings = SavedSettings {
                correction,
                ..SavedSettings::none(allowed_hosts.iter().map(ToString::to_string).collect())
            };
            let instance = self.save(&instance, settings, actor).await?;
            return Ok(InstanceForm {
                instance,
                form: form.into_inner(),
                saved: true,
            });
        }
        check_fields(&form, change, &instance)?;
        check_secrets(&form, change, &instance)?;
        check_kept_secrets(&form, &operator)?;
        if form.fields.iter().any(|field| !field.problems.is_empty()) {
            return Ok(InstanceForm {
                instance: before,
                form: form.into_inner(),
                saved: false,
            });
        }
        let settings = SavedSettings {
            correction,
            ..self.pass(&form, &operator, plugin.digest).await?
        };
        // Fields that are disabled before the save may be enabled after it. Asked for before, because nothing may be saved by
        // a plugin whose next form breaks the contract.
        let with_values = Instance {
            values: settings.values.clone(),
            ..instance.clone()
        };
        let saved = OperatorsWord {
            instance: &with_values,
            typed: &BTreeMap::new(),
            ..operator
        };
        let form = self.judge(&plugin, &saved).await?;
        let instance = self.save(&instance, settings, actor).await?;
        Ok(InstanceForm {
            instance,
            form: form.into_inner(),
            saved: true,
        })
    }

    /// Checks that no secret was given as a value, before a plugin is handed the values: only those of fields that it has
    /// named before, and of another kind.
    async fn check_kinds(
        &self,
        plugin: &LoadedPlugin,
        operator: &OperatorsWord<'_>,
        change: &SettingsChange,
    ) -> Result<(), ConfigureError> {
        let mut known = BTreeMap::new();
        while known.len() < change.values.len() {
            let typed = OperatorsWord {
                typed: &known,
                ..*operator
            };
            let form = self.judge(plugin, &typed).await?;
            check_secrets(&form, change, operator.instance)?;
            let named = |id: &String| form.fields.iter().any(|field| field.id == *id);
            let values = change.values.iter().filter(|(id, _)| named(id));
            let values: BTreeMap<String, String> =
                values.map(|(id, value)| (id.clone(), value.clone())).collect();
            if values.len() <= known.len() {
                return check_fields(&form, change, operator.instance);
            }
            known = values;
        }
        Ok(())
    }

    /// The instance of a name, among those of [the host's owner](Host::for_owner).
    ///
    /// # Errors
    /// When there is none.
    pub async fn named_instance(&self, name: &str) -> Result<Instance, ConfigureError> {
        let found = self.record().instance_of(self.owner(), name).await?;
        found.ok_or_else(|| ConfigureError::NoInstance(name.to_owned()))
    }

    /// The instance that is asked for, among those of [the host's owner](Host::for_owner).
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn asked_instance(
        &self,
        asked: impl Into<AskedInstance>,
    ) -> Result<Instance, ConfigureError> {
        let id = match asked.into() {
            AskedInstance::Named(name) => return self.named_instance(&name).await,
            AskedInstance::OfId(id) => id,
        };
        let found = self.record().instance_by_id(id.into()).await?;
        let is_ours = |instance: &Instance| self.owner().is_none() || instance.owner.as_ref() == self.owner();
        found
            .filter(is_ours)
            .ok_or_else(|| ConfigureError::NoInstance(id.to_string()))
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

    /// The settings of a form that a plugin has judged, if what is the operator's to say comes from the operator.
    pub(crate) async fn pass(
        &self,
        form: &CheckedForm,
        operator: &OperatorsWord<'_>,
        plugin: PluginDigest,
    ) -> Result<SavedSettings, ConfigureError> {
        let settings = settings_of(form, operator)?;
        let all = self
            .record()
            .instances_of(operator.instance.owner.as_ref())
            .await?;
        let versions = self.versions_of(plugin).await?;
        let shares_with = check_sharing(form, &settings, operator.instance, &all, &versions)?;
        Ok(SavedSettings {
            shares_with,
            plugin: Some(plugin),
            ..settings
        })
    }

    /// The digests of all versions of a plugin that are on record, and its own.
    async fn versions_of(&self, plugin: PluginDigest) -> Result<HashSet<PluginDigest>, RecordError> {
        let all = self.record().plugins().await?;
        let id = all.iter().find(|added| added.digest == plugin);
        let id = id.map(|added| added.description.id.clone());
        let versions = all
            .into_iter()
            .filter(|added| Some(&added.description.id) == id.as_ref())
            .map(|added| added.digest);
        Ok(versions.chain([plugin]).collect())
    }

    /// Judges what is typed with a plugin. It sees the certificates of the instance's owner, and those of the owner's other
    /// instances that are its own, in whatever version.
    ///
    /// # Errors
    /// When the plugin brings no answer, or a form that breaks the contract.
    pub(crate) async fn judge(
        &self,
        plugin: &LoadedPlugin,
        operator: &OperatorsWord<'_>,
    ) -> Result<CheckedForm, ConfigureError> {
        let OperatorsWord { instance, typed, .. } = operator;
        let secrets = operator.secret_fields();
        let versions = self.versions_of(plugin.digest).await?;
        let owner = instance.owner.as_ref();
        let others = self
            .record()
            .instances_of(owner)
            .await?
            .into_iter()
            .filter(|other| {
                let is_its = other.plugin.is_some_and(|plugin| versions.contains(&plugin));
                other.id != instance.id && is_its
            });
        let draft = Draft {
            values: field_values(typed),
            saved: field_values(&instance.values),
            secrets: secrets.iter().cloned().collect(),
            has_licenses: self.record().has_licenses(instance.id).await?,
            currency: instance.currency.clone(),
            certificates: self
                .record()
                .certificates_of(owner)
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
        let form = plugin.plugin.configure_instance(call, draft).await?;
        Ok(CheckedForm::new(form, typed, &secrets)?)
    }
}

/// Whether nothing of the form is filled in, and a change does not either.
fn is_form_empty(instance: &Instance, change: &SettingsChange) -> bool {
    instance.values.is_empty()
        && instance.secrets.is_empty()
        && change.values.is_empty()
        && change.secrets.is_empty()
}

/// Whether a change removes a secret of an instance that is saved. The form need not have its field any more.
fn removes_secret(change: &SettingsChange, instance: &Instance, field: &str) -> bool {
    matches!(change.secrets.get(field), Some(None)) && instance.secrets.contains_key(field)
}

/// Checks that the form has all fields that were given.
fn check_fields(form: &Form, change: &SettingsChange, instance: &Instance) -> Result<(), ConfigureError> {
    let secrets = change.secrets.keys();
    let given_secrets = secrets.filter(|id| !removes_secret(change, instance, id));
    let mut given = change.values.keys().chain(given_secrets);
    let missing = given.find(|id| !form.fields.iter().any(|field| field.id == **id));
    match missing {
        None => Ok(()),
        Some(field) => {
            let fields: Vec<_> = form.fields.iter().map(|field| field.id.as_str()).collect();
            Err(ConfigureError::NoField {
                field: field.clone(),
                fields: fields.join(", "),
            })
        }
    }
}

/// Checks that a secret which is saved has its field still, unless the operator removes it.
fn check_kept_secrets(form: &Form, operator: &OperatorsWord<'_>) -> Result<(), ConfigureError> {
    let is_one = |id: &String| {
        let mut fields = form.fields.iter();
        fields.any(|field| field.id == *id && field.kind == FieldKind::Secret)
    };
    match operator.secret_fields().into_iter().find(|id| !is_one(id)) {
        None => Ok(()),
        Some(field) => Err(ConfigureError::SecretLost { field }),
    }
}

/// Checks that each secret was given as one, and nothing else was.
///
/// # Errors
/// With the first that was not, or that can't be a secret.
fn check_secrets(form: &Form, change: &SettingsChange, instance: &Instance) -> Result<(), ConfigureError> {
    for field in &form.fields {
        let id = || field.id.clone();
        let is_secret = field.kind == FieldKind::Secret;
        if is_secret && change.values.contains_key(&field.id) {
            return Err(ConfigureError::SecretAsValue { field: id() });
        }
        let Some(typed) = change.secrets.get(&field.id) else {
            continue;
        };
        if !is_secret && !removes_secret(change, instance, &field.id) {
            return Err(ConfigureError::NotASecret { field: id() });
        }
        let Some(secret) = typed else { continue };
        if !field.enabled {
            return Err(ConfigureError::SecretNotTaken { field: id() });
        }
        let (secret, most) = (secret.expose(), field.max_length.min(SECRET_CHARS_MAX));
        let is_long_enough = secret.len() >= SECRET_CHARS_MIN;
        let is_short_enough = u32::try_from(secret.len()).is_ok_and(|length| length <= most);
        if !is_long_enough || !is_short_enough || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigureError::SecretUnusable { field: id(), most });
        }
    }
    Ok(())
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

/// The servers that the plugin may ask for by the operator's leave alone.
pub(crate) fn allowed_hosts(instance: &Instance) -> BTreeSet<Authority> {
    let allowed = instance.reach.allowed_hosts.iter();
    allowed.filter_map(|host| host.parse().ok()).collect()
}

//! The plugin of an instance: given to it when it is created, and upgraded to another version when an operator says so.

use bss_model::{
    Actor, Advice, Diagnose, Diagnosis, ErrorKind, Instance, NewInstance, Owner, PluginDigest, SavedSettings,
    Standing,
};
use bss_record::{CreateError, RecordError};
use bss_sandbox::bindings::instance_settings::FieldKind;

use crate::asked_instance::AskedInstance;
use crate::host::Host;
use crate::instance_settings::{ConfigureError, InstanceForm, allowed_hosts};
use crate::plugin_options::{OptionError, check_options};
use crate::plugins::{LoadedPlugin, PluginError};
use crate::settings_gate::OperatorsWord;

/// The plugin of a new instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfPlugin<'a> {
    /// The only one on record, in the version that was added last. Where there is none, the file that the host was opened
    /// with becomes the first one.
    Only,
    /// The one of that name, in the version that was added last.
    Id(&'a str),
    /// The file that the host was opened with, which must be trusted unless it is the first one.
    File,
}

/// Why an instance is not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateInstanceError {
    /// Its plugin can't be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The plugin can't be given the options.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A tenant's host was asked for an instance of another owner.
    #[error("an instance of owner `{asked}` can't be made by the host of owner `{host}`")]
    OtherOwner {
        /// The owner that was asked for.
        asked: Owner,
        /// The owner of the host.
        host: Owner,
    },
    /// The record does not take it.
    #[error(transparent)]
    Create(#[from] CreateError),
}

impl Diagnose for CreateInstanceError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::OtherOwner { .. } => Diagnosis::new(ErrorKind::Invalid, "other-owner"),
            Self::Plugin(error) => error.diagnosis(),
            Self::Option(error) => error.diagnosis(),
            Self::Create(error) => error.diagnosis(),
        }
    }
}

/// Why a worker would do nothing for any instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckPluginsError {
    /// The plugin of no instance that is ready can be used.
    #[error("no instance can be worked on; the plugin of `{instance}` can't be used")]
    NoneUsable {
        /// The first of the instances.
        instance: String,
        /// Why not.
        #[source]
        source: PluginError,
    },
    /// The record can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for CheckPluginsError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoneUsable { source, .. } => {
                let diagnosis = Diagnosis::new(ErrorKind::Unavailable, "no-plugin-usable");
                match source.diagnosis().advice {
                    Some(advice) => diagnosis.advise(advice),
                    None => diagnosis,
                }
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why an instance keeps its plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The instance's settings can't be judged or saved.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The other plugin is no version of the instance's.
    #[error("instance `{instance}` belongs to plugin `{id}`, and the other one is `{other}`")]
    OtherPlugin {
        /// The instance.
        instance: String,
        /// The name of its plugin.
        id: String,
        /// The name of the other one.
        other: String,
    },
    /// Saved fields would be lost.
    #[error(
        "the form of the other version lacks {}, which instance `{instance}` has saved", .fields.join(", ")
    )]
    FieldsLost {
        /// The instance.
        instance: String,
        /// The fields: at least one.
        fields: Vec<String>,
    },
}

impl Diagnose for UpgradeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Configure(error) => error.diagnosis(),
            Self::OtherPlugin { .. } => {
                Diagnosis::new(ErrorKind::Refused, "plugin-of-another-name").advise(Advice::ListPlugins)
            }
            Self::FieldsLost { .. } => Diagnosis::new(ErrorKind::Refused, "fields-lost")
                .say("ask the plugin's maker for a version that has these fields, or clear them first"),
        }
    }
}

impl From<PluginError> for UpgradeError {
    fn from(error: PluginError) -> Self {
        Self::Configure(error.into())
    }
}

impl From<RecordError> for UpgradeError {
    fn from(error: RecordError) -> Self {
        Self::Configure(error.into())
    }
}

impl Host {
    /// Creates an instance of a plugin, without settings. The plugin is the one of `of`, whatever `new` says, and the owner
    /// is [the host's](Host::for_owner) where it has one.
    ///
    /// # Errors
    /// When the plugin can't be used, or has no option of a name that is given; when the name is taken or can't be shown,
    /// and when there is no certificate in the authorities to trust.
    pub async fn create_instance(
        &self,
        new: NewInstance,
        of: OfPlugin<'_>,
        actor: &Actor,
    ) -> Result<Instance, CreateInstanceError> {
        if let (Some(host), Some(asked)) = (self.owner(), &new.owner)
            && host != asked
        {
            return Err(CreateInstanceError::OtherOwner {
                asked: asked.clone(),
                host: host.clone(),
            });
        }
        let plugin = match of {
            OfPlugin::Only => self.plugin_for_new(None).await?,
            OfPlugin::Id(id) => self.plugin_for_new(Some(id)).await?,
            OfPlugin::File => self.plugin_of_file().await?,
        };
        check_options(&plugin.description, &new.options)?;
        let new = NewInstance {
            plugin: Some(plugin.digest),
            owner: self.owner().cloned().or(new.owner),
            ..new
        };
        Ok(self.record().create_instance(new, actor).await?)
    }

    /// Moves an instance to another version of its plugin: the one with that digest, or the one that was added last. Its
    /// settings are judged by that version first, and saved if they have no problem.
    ///
    /// # Errors
    /// When there is no such instance, the other plugin can't be used, is none of the instance's, or would lose a saved
    /// field, and when its form has something that is the operator's to say. Nothing is changed then.
    pub async fn upgrade_instance(
        &self,
        asked: impl Into<AskedInstance>,
        to: Option<PluginDigest>,
        actor: &Actor,
    ) -> Result<InstanceForm, UpgradeError> {
        let instance = self.asked_instance(asked).await?;
        // Without the former plugin on record, nothing tells which one is another version of it.
        let id = match instance.plugin {
            Some(digest) => match self.record().plugin(&digest).await? {
                Some(plugin) => Some(plugin.description.id),
                None => return Err(PluginError::Missing { digest }.into()),
            },
            // Saved by an older program: that the only plugin there is is its own is for its operator to say.
            None if instance.version > 0 && to.is_none() => {
                let instance = instance.name;
                return Err(PluginError::Unassigned { instance }.into());
            }
            None => None,
        };
        let plugin = match to {
            Some(digest) => self.plugin_with(digest).await?,
            None => self.plugin_for_new(id.as_deref()).await?,
        };
        let other = &plugin.description.id;
        if let Some(id) = id.filter(|id| id != other) {
            return Err(UpgradeError::OtherPlugin {
                instance: instance.name,
                id,
                other: other.clone(),
            });
        }
        self.move_to(instance, &plugin, actor).await
    }

    async fn move_to(
        &self,
        instance: Instance,
        plugin: &LoadedPlugin,
        actor: &Actor,
    ) -> Result<InstanceForm, UpgradeError> {
        let operator = OperatorsWord::of_saved(&instance);
        let form = self.judge(plugin, &operator).await?;
        // A value is not kept where a secret is to be: a plugin has seen it.
        let keeps = |field: &str, is_secret: bool| {
            let mut fields = form.fields.iter();
            fields.any(|of_form| of_form.id == field && (of_form.kind == FieldKind::Secret) == is_secret)
        };
        let values = instance.values.keys().filter(|field| !keeps(field, false));
        let secrets = instance.secrets.keys().filter(|field| !keeps(field, true));
        let fields: Vec<String> = values.chain(secrets).cloned().collect();
        if !fields.is_empty() {
            return Err(UpgradeError::FieldsLost {
                instance: instance.name,
                fields,
            });
        }
        let settings = match instance.values.is_empty() && instance.secrets.is_empty() {
            true => SavedSettings {
                plugin: Some(plugin.digest),
                ..SavedSettings::none(instance.reach.allowed_hosts.clone())
            },
            false if form.fields.iter().any(|field| !field.problems.is_empty()) => {
                return Ok(InstanceForm {
                    instance,
                    form: form.into_inner(),
                    saved: false,
                });
            }
            false => {
                let operator = OperatorsWord {
                    allowed_hosts: &allowed_hosts(&instance),
                    ..operator
                };
                self.pass(&form, &operator, plugin.digest).await?
            }
        };
        let instance = self.save(&instance, settings, actor).await?;
        Ok(InstanceForm {
            instance,
            form: form.into_inner(),
            saved: true,
        })
    }

    /// Fails where instances are ready, and the plugin of none of them can be used: a worker would do nothing. Where some can,
    /// a worker goes on with those, and raises an alert for each other one.
    ///
    /// # Errors
    /// When no instance can be worked on, and when the record can't be read.
    pub async fn check_plugins(&self) -> Result<(), CheckPluginsError> {
        let mut instances = self.record().instances().await?;
        // A disabled one gives a worker nothing to buy.
        instances.retain(|instance| instance.standing == Standing::Ready && !instance.is_disabled());
        let without = self.without_plugin(&instances).await?;
        if without.len() < instances.len() {
            return Ok(());
        }
        match without.into_iter().next() {
            None => Ok(()),
            Some((instance, source)) => Err(CheckPluginsError::NoneUsable {
                instance: instance.name.clone(),
                source,
            }),
        }
    }

    /// Those of instances whose plugin can't be used, and why: nothing is done for them.
    pub(crate) async fn without_plugin<'a>(
        &self,
        instances: &'a [Instance],
    ) -> Result<Vec<(&'a Instance, PluginError)>, RecordError> {
        let mut without = Vec::new();
        let ready = instances
            .iter()
            .filter(|instance| instance.standing == Standing::Ready);
        for instance in ready {
            match self.plugin_of(instance).await {
                Ok(_) => {}
                // What is damaged is one plugin's; what can't be read at all is everybody's.
                Err(PluginError::Record(error)) if !matches!(error, RecordError::Damaged { .. }) => {
                    return Err(error);
                }
                Err(error) => without.push((instance, error)),
            }
        }
        Ok(without)
    }
}

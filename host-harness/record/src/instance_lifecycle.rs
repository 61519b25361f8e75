//! Instances that are renamed, disabled, enabled and removed.

use bss_model::{Act, Actor, Advice, Diagnose, Diagnosis, ErrorKind, Instance, Owner, Subject};
use serde_json::{Value, json};
use uuid::Uuid;

use super::acts::write_act;
use super::erasure::empty_log;
use super::instances::{
    CreateError, SaveError, has_orders, instance_of_name, instance_to_change, is_instance_name,
};
use super::platforms::platform_at;
use super::runs::open_run;
use super::{Record, RecordError};

/// Why an instance is not renamed. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenameError {
    /// The name can't be the instance's.
    #[error(transparent)]
    Name(CreateError),
    /// The instance does not exist, or the record failed.
    #[error(transparent)]
    Instance(#[from] SaveError),
}

impl Diagnose for RenameError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Name(error) => error.diagnosis(),
            Self::Instance(error) => error.diagnosis(),
        }
    }
}

impl From<RecordError> for RenameError {
    fn from(error: RecordError) -> Self {
        Self::Instance(error.into())
    }
}

/// Why an instance is not removed. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveInstanceError {
    /// Something was ordered at the instance.
    #[error("instance `{name}` can't be removed, because orders were placed at it")]
    HasOrders {
        /// The instance's name.
        name: String,
    },
    /// The instance's catalog is being read, or is about to be.
    #[error(
        "instance `{name}` can't be removed, because it has a run of Get Services Definition that is open"
    )]
    RunOpen {
        /// The instance's name.
        name: String,
    },
    /// A platform buys at the instance.
    #[error("instance `{name}` can't be removed, because platform `{platform}` buys at it")]
    HasPlatform {
        /// The instance's name.
        name: String,
        /// The platform's name.
        platform: String,
    },
    /// The instance does not exist, or the record failed.
    #[error(transparent)]
    Instance(#[from] SaveError),
}

impl Diagnose for RemoveInstanceError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::HasOrders { name } => {
                Diagnosis::new(ErrorKind::Conflict, "instance-in-use").advise(Advice::DisableInstance {
                    instance: name.clone(),
                })
            }
            Self::RunOpen { name } => {
                Diagnosis::new(ErrorKind::Conflict, "run-open").advise(Advice::ListRuns {
                    instance: name.clone(),
                })
            }
            Self::HasPlatform { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "instance-of-platform").say("revoke the platform first")
            }
            Self::Instance(error) => error.diagnosis(),
        }
    }
}

impl From<RecordError> for RemoveInstanceError {
    fn from(error: RecordError) -> Self {
        Self::Instance(error.into())
    }
}

/// What is on record of an instance that has no orders, each table before those that it refers to.
const BELONGINGS: [&str; 15] = [
    "DELETE FROM services_run_log WHERE run_id IN (SELECT id FROM services_runs WHERE instance_id = $1)",
    "DELETE FROM services_run_differences WHERE run_id IN (SELECT id FROM services_runs WHERE instance_id = $1)",
    "DELETE FROM services_runs WHERE instance_id = $1",
    "DELETE FROM product_prices WHERE instance_id = $1",
    "DELETE FROM former_attribute_values WHERE instance_id = $1",
    "DELETE FROM products WHERE instance_id = $1",
    "DELETE FROM product_types WHERE instance_id = $1",
    "DELETE FROM instance_secrets WHERE instance_id = $1",
    "DELETE FROM instance_history WHERE instance_id = $1",
    "DELETE FROM spending_limits WHERE instance_id = $1",
    "DELETE FROM sellers WHERE instance_id = $1",
    "DELETE FROM mail_choices WHERE instance_id = $1",
    "DELETE FROM charge_series WHERE instance_id = $1",
    "DELETE FROM alert_notices WHERE alert IN (SELECT number FROM alerts WHERE instance_id = $1)",
    "DELETE FROM alerts WHERE instance_id = $1",
];

impl Record {
    /// Gives an instance another name. The ids of its orders stay those of the name that it was made with, and no other
    /// instance of its owner may have that name.
    ///
    /// # Errors
    /// When there is no such instance, or another one has the name or was made with it, and when the name can't be shown.
    pub async fn rename_instance(
        &self,
        instance_id: Uuid,
        name: &str,
        actor: &Actor,
    ) -> Result<Instance, RenameError> {
        let invalid = || CreateError::InvalidName {
            name: name.to_owned(),
        };
        if !is_instance_name(name) {
            return Err(RenameError::Name(invalid()));
        }
        let mut transaction = self.begin_write().await?;
        let old = instance_to_change(&mut transaction, instance_id).await?;
        if old.name == name {
            return Ok(old);
        }
        if let Some(instance) = instance_of_name(&mut transaction, &old, name).await? {
            let name = name.to_owned();
            return Err(RenameError::Name(match instance == name {
                true => CreateError::NameTaken { name },
                false => CreateError::FirstName { name, instance },
            }));
        }
        let first_name = Some(old.first_name().to_owned()).filter(|first| first != name);
        let renamed = Instance {
            name: name.to_owned(),
            first_name,
            ..old.clone()
        };
        transaction
            .sql("UPDATE instances SET name = $2, first_name = $3 WHERE id = $1")
            .bind(instance_id.to_string())
            .bind(&renamed.name)
            .bind(&renamed.first_name)
            .execute()
            .await?;
        let detail = json!({ "before": old.name, "after": renamed.name });
        let (act, subject) = (Act::RenameInstance, Subject::instance(instance_id));
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(renamed)
    }

    /// Disables an instance, so that it takes no orders and buys nothing, or enables it again. What is in doubt is looked up
    /// all the same; returns and e-mails go on. A second time changes nothing.
    ///
    /// # Errors
    /// When there is no such instance, or the record can't be written.
    pub async fn set_instance_enabled(
        &self,
        instance_id: Uuid,
        is_enabled: bool,
        actor: &Actor,
    ) -> Result<Instance, SaveError> {
        let mut transaction = self.begin_write().await?;
        let old = instance_to_change(&mut transaction, instance_id).await?;
        if old.is_disabled() != is_enabled {
            return Ok(old);
        }
        let disabled_at_ms = (!is_enabled).then(|| self.now_ms());
        transaction
            .sql("UPDATE instances SET disabled_at_ms = $2 WHERE id = $1")
            .bind(instance_id.to_string())
            .bind(disabled_at_ms)
            .execute()
            .await?;
        let act = match is_enabled {
            true => Act::EnableInstance,
            false => Act::DisableInstance,
        };
        let subject = Subject::instance(instance_id);
        write_act(
            &mut transaction,
            actor,
            act,
            &subject,
            Some(instance_id),
            Value::Null,
        )
        .await?;
        transaction.commit().await?;
        Ok(Instance {
            disabled_at_ms,
            ..old
        })
    }

    /// Removes an instance on which nothing depends, with its settings, its secrets and its products. Its certificate stays
    /// installed, and the acts stay on record.
    ///
    /// # Errors
    /// When there is no such instance, something was ever ordered at it, it has a run that waits or is in progress, or a platform that was not
    /// revoked buys at it.
    pub async fn remove_instance(
        &self,
        instance_id: Uuid,
        actor: &Actor,
    ) -> Result<Instance, RemoveInstanceError> {
        let mut transaction = self.begin_write().await?;
        let old = instance_to_change(&mut transaction, instance_id).await?;
        if has_orders(&mut transaction, instance_id).await? {
            return Err(RemoveInstanceError::HasOrders { name: old.name });
        }
        if open_run(&mut transaction, instance_id).await?.is_some() {
            return Err(RemoveInstanceError::RunOpen { name: old.name });
        }
        if let Some(platform) = platform_at(&mut transaction, instance_id).await? {
            return Err(RemoveInstanceError::HasPlatform {
                name: old.name,
                platform,
            });
        }
        for statement in BELONGINGS
            .into_iter()
            .chain(["DELETE FROM instances WHERE id = $1"])
        {
            transaction
                .sql(statement)
                .bind(instance_id.to_string())
                .execute()
                .await?;
        }
        let owner = old.owner.as_ref().map(Owner::as_str);
        let detail = json!({ "name": old.name, "owner": owner });
        let (act, subject) = (Act::RemoveInstance, Subject::instance(instance_id));
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        if !old.secrets.is_empty() || old.reach.proxy.is_some() {
            empty_log(&self.writer).await;
        }
        Ok(old)
    }
}

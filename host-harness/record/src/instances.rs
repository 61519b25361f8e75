//! Instances as operators configure them, with every version of their settings and who saved it.

use std::collections::BTreeMap;

use super::acts::write_act;
use super::erasure::empty_log;
use super::paging::KeyColumn::Integer;
use super::paging::List;
use super::plugins::is_trusted;
use super::stored::{self, from_json, id, optional, owner_column, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};
use aws_lc_rs::digest;
use bss_model::{
    Act, Actor, ActorKind, Advice, Change, Diagnose, Diagnosis, ErrorKind, FieldRole, Instance,
    InstanceCorrection, NewInstance, OtherChanges, Owner, Page, PluginDigest, Reach, Rows, SavedSecret,
    SavedSettings, Secret, SecretToSave, SettingsVersion, Standing, Subject, Thumbprint, is_currency,
};
use data_encoding::HEXLOWER;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use uuid::Uuid;

/// Why an instance was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Another instance of the same owner has the name.
    #[error("an instance named `{name}` exists already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is that with which another instance of the same owner was made.
    #[error(
        "the ids of orders of instance `{instance}` are made of the name `{name}`, with which it was made"
    )]
    FirstName {
        /// The name.
        name: String,
        /// The instance's present name.
        instance: String,
    },
    /// The name is empty, too long, padded with blanks, or contains control characters.
    #[error("`{name}` can't be the name of an instance: a name has 1 to {NAME_CHARS_MAX} characters, no control characters, and no blanks around it", name = name.escape_debug())]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The currency is none that is in use.
    #[error("`{currency}` is not the code of a currency in use", currency = currency.escape_debug())]
    InvalidCurrency {
        /// The currency that was given.
        currency: String,
    },
    /// The plugin was removed meanwhile, or nobody trusts it.
    #[error("no trusted plugin {digest} is on record")]
    NoPlugin {
        /// The plugin.
        digest: PluginDigest,
    },
    /// The authorities to trust contain no certificate.
    #[error("the trusted certificate authorities contain no certificate")]
    TrustedAuthorities,
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for CreateError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NameTaken { .. } | Self::FirstName { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "name-taken").say("choose another name")
            }
            Self::InvalidName { .. } => Diagnosis::new(ErrorKind::Invalid, "invalid-name"),
            Self::InvalidCurrency { .. } => Diagnosis::new(ErrorKind::Invalid, "invalid-currency")
                .say("give an ISO 4217 code, as in `EUR`"),
            Self::NoPlugin { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "plugin-unknown").advise(Advice::ListPlugins)
            }
            Self::TrustedAuthorities => Diagnosis::new(ErrorKind::Invalid, "no-trusted-authority")
                .advise(Advice::NameTrustedAuthorities),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Why settings were not saved. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The settings were saved since the version that the change is based on.
    #[error(
        "`{changed_by}` has saved the settings of instance `{name}` meanwhile (version {found}, not {expected})"
    )]
    Conflict {
        /// The instance's name.
        name: String,
        /// The version that the change is based on.
        expected: i64,
        /// The version on record.
        found: i64,
        /// The actor who saved last.
        changed_by: String,
    },
    /// The instance does not exist.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The plugin that judged the settings was removed meanwhile, or nobody trusts it.
    #[error("no trusted plugin {digest} is on record")]
    NoPlugin {
        /// The plugin.
        digest: PluginDigest,
    },
    /// The chosen certificate is not installed, or is another owner's.
    #[error("certificate `{thumbprint}` is not installed")]
    NoCertificate {
        /// The certificate.
        thumbprint: Thumbprint,
    },
    /// The currency is none that is in use.
    #[error("`{currency}` is not the code of a currency in use", currency = currency.escape_debug())]
    InvalidCurrency {
        /// The currency that was given.
        currency: String,
    },
    /// Something was ordered in the instance's currency already.
    #[error("instance `{name}` keeps the currency {currency}, because orders were placed in it")]
    CurrencyInUse {
        /// The instance's name.
        name: String,
        /// Its currency.
        currency: String,
    },
    /// The instance has a spending limit in its currency.
    #[error("instance `{name}` keeps the currency {currency}, because it has a spending limit in it")]
    LimitInCurrency {
        /// The instance's name.
        name: String,
        /// Its currency.
        currency: String,
    },
    /// The authorities to trust contain no certificate.
    #[error("the trusted certificate authorities contain no certificate")]
    TrustedAuthorities,
    /// The settings of an instance with the same certificate were saved since the two were compared.
    #[error("the instances that use certificate `{thumbprint}` have changed meanwhile")]
    SharingChanged {
        /// The certificate.
        thumbprint: Thumbprint,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for SaveError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Conflict { .. } => Diagnosis::new(ErrorKind::Conflict, "settings-changed")
                .say("look at the saved settings and repeat the change"),
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::NoCertificate { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-certificate").say("import its PFX file first")
            }
            Self::InvalidCurrency { .. } => Diagnosis::new(ErrorKind::Invalid, "invalid-currency")
                .say("give an ISO 4217 code, as in `EUR`"),
            Self::CurrencyInUse { .. } => Diagnosis::new(ErrorKind::Conflict, "currency-in-use")
                .say("make another instance for the other currency"),
            Self::LimitInCurrency { .. } => Diagnosis::new(ErrorKind::Conflict, "limit-in-currency")
                .say("remove the spending limit first, and set it again in the new currency"),
            Self::TrustedAuthorities => Diagnosis::new(ErrorKind::Invalid, "no-trusted-authority")
                .advise(Advice::NameTrustedAuthorities),
            Self::SharingChanged { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "sharing-changed").say("repeat the change")
            }
            Self::NoPlugin { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "plugin-unknown").advise(Advice::ListPlugins)
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// The length of the longest text field of the form.
const NAME_CHARS_MAX: usize = 100;

/// Versions of an instance's settings, by number.
pub(super) const HISTORY: List = List {
    name: "instance-history",
    key: &[Integer("version")],
};

pub(super) fn history_query(instance_id: Uuid) -> Builder {
    let mut query = Builder::new("SELECT * FROM instance_history WHERE instance_id = ");
    query.push_bind(instance_id.to_string());
    query
}

/// The instance as it stands in a transaction that is to change it.
pub(super) async fn instance_to_change(
    transaction: &mut Connection,
    instance_id: Uuid,
) -> Result<Instance, SaveError> {
    let row = transaction
        .sql("SELECT * FROM instances WHERE id = $1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?
        .ok_or(SaveError::NoInstance { id: instance_id })?;
    Ok(read_instance(&row)?)
}

impl Record {
    /// Creates an instance without settings.
    ///
    /// # Errors
    /// When the name is taken or can't be shown, and when there is no certificate in the authorities to trust.
    pub async fn create_instance(&self, new: NewInstance, actor: &Actor) -> Result<Instance, CreateError> {
        let NewInstance {
            name,
            owner,
            currency,
            options,
            reach,
            plugin,
        } = new;
        if !is_instance_name(&name) {
            return Err(CreateError::InvalidName { name });
        }
        if !is_currency(&currency) {
            return Err(CreateError::InvalidCurrency { currency });
        }
        if !has_a_certificate(reach.trusted_authorities_pem.as_deref()) {
            return Err(CreateError::TrustedAuthorities);
        }
        let instance = Instance {
            id: Uuid::new_v4(),
            name,
            first_name: None,
            owner,
            currency,
            options,
            reach,
            version: 0,
            values: BTreeMap::new(),
            secrets: BTreeMap::new(),
            url_fields: None,
            standing: Standing::NeedsCredentials,
            authorities: Vec::new(),
            thumbprint: None,
            plugin,
            created_at_ms: self.now_ms(),
            disabled_at_ms: None,
        };
        let mut transaction = self.begin_write().await?;
        if let Some(digest) = instance.plugin
            && !is_trusted(&mut transaction, &digest).await?
        {
            return Err(CreateError::NoPlugin { digest });
        }
        match instance_of_name(&mut transaction, &instance, &instance.name).await? {
            None => insert_instance(&mut transaction, &instance).await?,
            Some(other) if other == instance.name => {
                return Err(CreateError::NameTaken { name: instance.name });
            }
            Some(other) => {
                return Err(CreateError::FirstName {
                    name: instance.name,
                    instance: other,
                });
            }
        }
        let (act, subject) = (Act::CreateInstance, Subject::instance(instance.id));
        let mut detail = json!({ "name": instance.name, "currency": instance.currency });
        if !instance.reach.allowed_hosts.is_empty() {
            detail["allowedHosts"] = json!(instance.reach.allowed_hosts);
        }
        if let Some(owner) = &instance.owner {
            detail["owner"] = json!(owner.as_str());
        }
        write_act(&mut transaction, actor, act, &subject, Some(instance.id), detail).await?;
        transaction.commit().await?;
        Ok(instance)
    }

    /// Reads an instance of the operator's own by its name. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instance(&self, name: &str) -> Result<Option<Instance>, RecordError> {
        self.instance_of(None, name).await
    }

    /// Reads an instance of an owner by its name. `None`: it does not exist, or is another owner's.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instance_of(
        &self,
        owner: Option<&Owner>,
        name: &str,
    ) -> Result<Option<Instance>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM instances WHERE owner = $1 AND name = $2")
            .bind(owner_column(owner))
            .bind(name)
            .fetch_optional()
            .await?;
        row.as_ref().map(read_instance).transpose()
    }

    /// Reads an instance by its id. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instance_by_id(&self, id: Uuid) -> Result<Option<Instance>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM instances WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional()
            .await?;
        row.as_ref().map(read_instance).transpose()
    }

    /// All instances, whoever owns them, by name. An operator makes a handful, one for each tenant and currency.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instances(&self) -> Result<Vec<Instance>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM instances ORDER BY name, owner")
            .fetch_all()
            .await?;
        rows.iter().map(read_instance).collect()
    }

    /// The instances of an owner, by name. `None`: the operator's own.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instances_of(&self, owner: Option<&Owner>) -> Result<Vec<Instance>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM instances WHERE owner = $1 ORDER BY name")
            .bind(owner_column(owner))
            .fetch_all()
            .await?;
        rows.iter().map(read_instance).collect()
    }

    /// Saves an instance's settings and which fields changed, unless they were saved since `expected_version`. If a
    /// value or the plugin changed, the next Get Services Definition reads everything again.
    ///
    /// # Errors
    /// When the settings were saved meanwhile, or those of another instance with the certificate; or when the certificate
    /// is not installed for the instance's owner.
    pub async fn save_settings(
        &self,
        instance_id: Uuid,
        expected_version: i64,
        new: SavedSettings,
        actor: &Actor,
    ) -> Result<Instance, SaveError> {
        let mut transaction = self.begin_write().await?;
        let old = instance_to_change(&mut transaction, instance_id).await?;
        if old.version != expected_version {
            let changed_by: Option<String> = transaction
                .sql("SELECT changed_by FROM instance_history WHERE instance_id = $1 AND version = $2")
                .bind(instance_id.to_string())
                .bind(old.version)
                .scalar_optional()
                .await?;
            return Err(SaveError::Conflict {
                name: old.name,
                expected: expected_version,
                found: old.version,
                changed_by: changed_by.unwrap_or_default(),
            });
        }
        if let Some(digest) = new.plugin.filter(|plugin| old.plugin != Some(*plugin))
            && !is_trusted(&mut transaction, &digest).await?
        {
            return Err(SaveError::NoPlugin { digest });
        }
        if let Some(thumbprint) = new.thumbprint {
            let installed: i64 = transaction
                .sql("SELECT COUNT(*) FROM certificates WHERE owner = $1 AND thumbprint = $2")
                .bind(owner_column(old.owner.as_ref()))
                .bind(thumbprint.to_string())
                .scalar()
                .await?;
            if installed == 0 {
                return Err(SaveError::NoCertificate { thumbprint });
            }
            if instances_with(&mut transaction, thumbprint, &old).await? != new.shares_with {
                return Err(SaveError::SharingChanged { thumbprint });
            }
        }
        let secrets = self.secrets_of(&old, new.secrets)?;
        let corrected = match new.correction {
            Some(correction) => corrected(&mut transaction, &old, correction).await?,
            None => old.clone(),
        };
        let saved = Instance {
            version: expected_version.saturating_add(1),
            reach: Reach {
                allowed_hosts: new.allowed_hosts,
                ..corrected.reach
            },
            values: new.values,
            secrets: secrets.saved,
            url_fields: Some(new.url_fields),
            standing: new.standing,
            authorities: new.authorities,
            thumbprint: new.thumbprint,
            plugin: new.plugin.or(old.plugin),
            ..corrected
        };
        write_settings(&mut transaction, &old, &saved, (new.plugin, &new.roles), actor).await?;
        self.write_secrets(&mut transaction, &saved, secrets.typed)
            .await?;
        let (act, subject) = (Act::SaveSettings, Subject::instance(instance_id));
        let detail = settings_detail(&old, &saved);
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        if old.secrets.iter().any(|(field, secret)| {
            let now = saved.secrets.get(field);
            now.is_none_or(|now| now.digest != secret.digest)
        }) {
            empty_log(&self.writer).await;
        }
        Ok(saved)
    }

    /// Reads the secrets of an instance, by field. `None`: its settings are of another version.
    ///
    /// # Errors
    /// When the record can't be read, or a secret can't be opened.
    pub async fn instance_secrets(
        &self,
        instance_id: Uuid,
        version: i64,
    ) -> Result<Option<BTreeMap<String, Secret>>, RecordError> {
        // A single statement reads both, so that no save comes between the version and the secrets.
        let rows = self
            .readers
            .sql(
                "SELECT instances.version, field, sealed_secret
             FROM instances LEFT JOIN instance_secrets ON instance_id = id WHERE id = $1",
            )
            .bind(instance_id.to_string())
            .fetch_all()
            .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut secrets = BTreeMap::new();
        for row in &rows {
            if row.try_get::<i64, _>("version")? != version {
                return Ok(None);
            }
            if let Some(field) = row.try_get::<Option<String>, _>("field")? {
                let secret = self.open_secret(
                    &secret_purpose(instance_id, &field),
                    row.try_get("sealed_secret")?,
                )?;
                secrets.insert(field, secret);
            }
        }
        Ok(Some(secrets))
    }

    /// The secrets of settings that are to be saved in place of others.
    fn secrets_of(
        &self,
        old: &Instance,
        new: BTreeMap<String, SecretToSave>,
    ) -> Result<Secrets, RecordError> {
        let (mut saved, mut typed) = (BTreeMap::new(), BTreeMap::new());
        for (field, SecretToSave { new, servers }) in new {
            let purpose = secret_purpose(old.id, &field);
            let digest = match (&new, old.secrets.get(&field)) {
                // Typed again, and on record with the digest of a former host key: nothing has changed.
                (Some(secret), Some(saved))
                    if self
                        .host_key
                        .digests(&purpose, secret.expose())
                        .contains(&saved.digest) =>
                {
                    saved.digest.clone()
                }
                (Some(secret), _) => self.host_key.digest(&purpose, secret.expose()),
                (None, Some(saved)) => saved.digest.clone(),
                (None, None) => {
                    return Err(RecordError::Damaged {
                        what: format!("instance `{}` has no secret in field `{field}`", old.name),
                    });
                }
            };
            saved.insert(field.clone(), SavedSecret { digest, servers });
            typed.extend(new.map(|secret| (field, secret)));
        }
        Ok(Secrets { saved, typed })
    }

    /// Seals new secrets, and removes those of fields that have none any more.
    async fn write_secrets(
        &self,
        transaction: &mut Connection,
        saved: &Instance,
        typed: BTreeMap<String, Secret>,
    ) -> Result<(), RecordError> {
        let instance_id = saved.id.to_string();
        let mut removal = Builder::new("DELETE FROM instance_secrets WHERE instance_id = ");
        removal.push_bind(&instance_id);
        for field in saved.secrets.keys() {
            removal.push(" AND field <> ").push_bind(field);
        }
        transaction
            .build(&mut removal)
            .persistent(false)
            .execute()
            .await?;
        for (field, secret) in typed {
            let sealed = self
                .host_key
                .seal(&secret_purpose(saved.id, &field), secret.expose().as_bytes())?;
            transaction
                .sql(
                    "INSERT INTO instance_secrets (instance_id, field, sealed_secret) VALUES ($1, $2, $3)
                 ON CONFLICT (instance_id, field) DO UPDATE SET sealed_secret = excluded.sealed_secret",
                )
                .bind(&instance_id)
                .bind(field)
                .bind(sealed)
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Versions of an instance's settings, by number.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn instance_history(
        &self,
        instance_id: Uuid,
        page: &Page,
    ) -> Result<Rows<SettingsVersion>, RecordError> {
        self.page(&HISTORY, history_query(instance_id), page, read_version)
            .await
    }

    /// Whether an instance has licenses, or purchases that may still bring one.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn has_licenses(&self, instance_id: Uuid) -> Result<bool, RecordError> {
        let count: i64 = self.readers.sql(
            "SELECT COUNT(*) FROM assets WHERE instance_id = $1 AND sync_status NOT IN ('failed', 'withdrawn')",
        )
        .bind(instance_id.to_string())
        .scalar()
        .await?;
        Ok(count > 0)
    }
}

/// The secrets of settings that are to be saved, by field.
struct Secrets {
    /// What is known of all of them once they are saved.
    saved: BTreeMap<String, SavedSecret>,
    /// The secrets that are new.
    typed: BTreeMap<String, Secret>,
}

pub(super) fn secret_purpose(instance_id: Uuid, field: &str) -> String {
    format!("secret `{field}` of instance {instance_id}")
}

/// The other instances of an instance's owner that have a certificate, and the versions of their settings.
async fn instances_with(
    transaction: &mut Connection,
    thumbprint: Thumbprint,
    instance: &Instance,
) -> Result<BTreeMap<Uuid, i64>, SaveError> {
    let rows = transaction
        .sql("SELECT id, version FROM instances WHERE owner = $1 AND thumbprint = $2 AND id <> $3")
        .bind(owner_column(instance.owner.as_ref()))
        .bind(thumbprint.to_string())
        .bind(instance.id.to_string())
        .fetch_all()
        .await?;
    let read = |row: &Row| Ok((id(row, "id")?, row.try_get("version")?));
    rows.iter().map(read).collect()
}

/// An instance with what its operator corrects.
async fn corrected(
    transaction: &mut Connection,
    old: &Instance,
    correction: InstanceCorrection,
) -> Result<Instance, SaveError> {
    let new = correction.corrected(old.clone());
    if !has_a_certificate(new.reach.trusted_authorities_pem.as_deref()) {
        return Err(SaveError::TrustedAuthorities);
    }
    if new.currency == old.currency {
        return Ok(new);
    }
    let (name, currency) = (old.name.clone(), old.currency.clone());
    if !is_currency(&new.currency) {
        return Err(SaveError::InvalidCurrency {
            currency: new.currency,
        });
    }
    if has_orders(transaction, old.id).await? {
        return Err(SaveError::CurrencyInUse { name, currency });
    }
    let limits = "SELECT 1 FROM spending_limits WHERE instance_id = $1 AND currency IS NOT NULL";
    let limit = transaction
        .sql(limits)
        .bind(old.id.to_string())
        .fetch_optional()
        .await?;
    match limit {
        Some(_) => Err(SaveError::LimitInCurrency { name, currency }),
        None => Ok(new),
    }
}

/// Whether anything was ever ordered at an instance.
pub(super) async fn has_orders(connection: &mut Connection, instance_id: Uuid) -> Result<bool, RecordError> {
    let order = connection
        .sql("SELECT 1 FROM orders WHERE instance_id = $1 LIMIT 1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    Ok(order.is_some())
}

pub(super) fn is_instance_name(name: &str) -> bool {
    let chars = name.chars().count();
    (1..=NAME_CHARS_MAX).contains(&chars) && name.trim() == name && !name.chars().any(char::is_control)
}

/// Whether authorities to trust, if there are any, contain a certificate.
fn has_a_certificate(pem: Option<&str>) -> bool {
    pem.is_none_or(|pem| {
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
        certificates.next().is_some()
    })
}

/// The name of another instance of an instance's owner that has a name, or was made with it.
pub(super) async fn instance_of_name(
    connection: &mut Connection,
    instance: &Instance,
    name: &str,
) -> Result<Option<String>, RecordError> {
    let other = connection
        .sql(
            "SELECT name FROM instances WHERE owner = $1 AND (name = $2 OR first_name = $2) AND id <> $3
         ORDER BY name <> $2 LIMIT 1",
        )
        .bind(owner_column(instance.owner.as_ref()))
        .bind(name)
        .bind(instance.id.to_string())
        .scalar_optional()
        .await?;
    Ok(other)
}

async fn insert_instance(transaction: &mut Connection, instance: &Instance) -> Result<(), RecordError> {
    transaction
        .sql(
            "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings,
                                authorities, services_entity_tag, created_at_ms, plugin)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '{}', '[]', '', $8, $9)",
        )
        .bind(instance.id.to_string())
        .bind(owner_column(instance.owner.as_ref()))
        .bind(&instance.name)
        .bind(&instance.currency)
        .bind(to_json(&instance.options)?)
        .bind(to_json(&instance.reach)?)
        .bind(instance.standing.word())
        .bind(instance.created_at_ms)
        .bind(instance.plugin.map(|plugin| plugin.to_string()))
        .execute()
        .await?;
    Ok(())
}

async fn write_settings(
    transaction: &mut Connection,
    old: &Instance,
    new: &Instance,
    (plugin, roles): (Option<PluginDigest>, &BTreeMap<String, FieldRole>),
    actor: &Actor,
) -> Result<(), RecordError> {
    // The condition on the version keeps a later one from being overwritten at any isolation level.
    let updated = transaction.sql(
        "UPDATE instances
         SET version = $3, settings = $4, standing = $5, authorities = $6, thumbprint = $7, reach = $8, plugin = $9,
             secrets = $11, url_fields = $12, options = $13, currency = $14,
             services_entity_tag = CASE WHEN settings = $4 AND secrets = $11 AND options = $13
                                             AND COALESCE(plugin, $10) = COALESCE($9, $10) THEN services_entity_tag ELSE '' END
         WHERE id = $1 AND version = $2",
    )
    .bind(old.id.to_string())
    .bind(old.version)
    .bind(new.version)
    .bind(to_json(&new.values)?)
    .bind(new.standing.word())
    .bind(to_json(&new.authorities)?)
    .bind(new.thumbprint.map(|thumbprint| thumbprint.to_string()))
    .bind(to_json(&new.reach)?)
    .bind(new.plugin.map(|plugin| plugin.to_string()))
    // In place of no plugin, which equals nothing in SQL.
    .bind("")
    .bind(to_json(&new.secrets)?)
    .bind(new.url_fields.as_ref().map(to_json).transpose()?)
    .bind(to_json(&new.options)?)
    .bind(&new.currency)
    .execute()
    .await?;
    if updated != 1 {
        return Err(RecordError::Damaged {
            what: format!(
                "version {} of instance `{}` could not be replaced",
                old.version, old.name
            ),
        });
    }
    transaction.sql(
        "INSERT INTO instance_history (instance_id, version, changed_by, changed_by_kind, changed_at_ms, standing,
                                       changes, authorities, thumbprint, plugin, secret_changes, roles, other_changes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(new.id.to_string())
    .bind(new.version)
    .bind(&actor.name)
    .bind(actor.kind.word())
    .bind_now()
    .bind(new.standing.word())
    .bind(to_json(&changes(&old.values, &new.values))?)
    .bind(to_json(&new.authorities)?)
    .bind(new.thumbprint.map(|thumbprint| thumbprint.to_string()))
    .bind(plugin.map(|plugin| plugin.to_string()))
    .bind(to_json(&changes(&digests(old), &digests(new)))?)
    .bind(to_json(roles)?)
    .bind(to_json(&other_changes(old, new))?)
    .execute()
    .await?;
    Ok(())
}

fn digests(instance: &Instance) -> BTreeMap<String, String> {
    let secrets = instance.secrets.iter();
    secrets
        .map(|(field, secret)| (field.clone(), secret.digest.clone()))
        .collect()
}

/// What a save changed beside the fields.
fn other_changes(old: &Instance, new: &Instance) -> OtherChanges {
    let change = |of: fn(&Instance) -> Option<String>| {
        let (old, new) = (of(old), of(new));
        (old != new).then_some(Change { old, new })
    };
    OtherChanges {
        options: changes(&old.options, &new.options),
        currency: change(|of| Some(of.currency.clone())),
        trusted_authorities: change(|of| of.reach.trusted_authorities_pem.as_deref().map(sha256_of)),
        allowed_networks: change(|of| {
            let networks: Vec<_> = of
                .reach
                .allowed_networks
                .iter()
                .map(ToString::to_string)
                .collect();
            (!networks.is_empty()).then(|| networks.join(", "))
        }),
    }
}

fn sha256_of(text: &str) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeMap<String, Change> {
    let fields = old.keys().chain(new.keys());
    fields
        .filter(|field| old.get(*field) != new.get(*field))
        .map(|field| {
            let change = Change {
                old: old.get(field).cloned(),
                new: new.get(field).cloned(),
            };
            (field.clone(), change)
        })
        .collect()
}

/// The version, the names of the changed fields and, if others were chosen, the certificate and the allowed hosts.
/// The values are in the history.
fn settings_detail(old: &Instance, new: &Instance) -> Value {
    let secrets = changes(&digests(old), &digests(new)).into_keys();
    let fields = changes(&old.values, &new.values).into_keys();
    let fields: Vec<String> = fields.chain(secrets).collect();
    let mut detail = json!({ "version": new.version, "fields": fields });
    if old.thumbprint != new.thumbprint {
        let [before, after] = [old, new].map(|of| of.thumbprint.map(|thumbprint| thumbprint.to_string()));
        detail["thumbprint"] = json!({ "before": before, "after": after });
    }
    if old.plugin.is_some() && old.plugin != new.plugin {
        let [before, after] = [old, new].map(|of| of.plugin.map(|plugin| plugin.to_string()));
        detail["plugin"] = json!({ "before": before, "after": after });
    }
    if old.reach.allowed_hosts != new.reach.allowed_hosts {
        let [before, after] = [old, new].map(|of| &of.reach.allowed_hosts);
        detail["allowedHosts"] = json!({ "before": before, "after": after });
    }
    let other = other_changes(old, new);
    if !other.options.is_empty() {
        detail["options"] = json!(other.options.keys().collect::<Vec<_>>());
    }
    for (what, change) in [
        ("currency", other.currency),
        ("trustedAuthorities", other.trusted_authorities),
        ("allowedNetworks", other.allowed_networks),
    ] {
        if let Some(Change { old, new }) = change {
            detail[what] = json!({ "before": old, "after": new });
        }
    }
    detail
}

fn read_version(row: &Row) -> Result<SettingsVersion, RecordError> {
    Ok(SettingsVersion {
        version: row.try_get("version")?,
        changed_by: Actor {
            kind: ActorKind::from_word(row.try_get("changed_by_kind")?)?,
            name: row.try_get("changed_by")?,
        },
        changed_at_ms: row.try_get("changed_at_ms")?,
        standing: Standing::from_word(row.try_get("standing")?)?,
        changes: from_json(row, "changes")?,
        secret_changes: from_json(row, "secret_changes")?,
        other_changes: optional(row, "other_changes", from_json)?.unwrap_or_default(),
        roles: optional(row, "roles", from_json)?,
        authorities: optional(row, "authorities", from_json)?,
        thumbprint: optional(row, "thumbprint", stored::thumbprint)?,
        plugin: optional(row, "plugin", stored::plugin_digest)?,
    })
}

pub(super) fn read_instance(row: &Row) -> Result<Instance, RecordError> {
    Ok(Instance {
        id: id(row, "id")?,
        name: row.try_get("name")?,
        first_name: row.try_get("first_name")?,
        owner: stored::owner(row)?,
        currency: row.try_get("currency")?,
        options: from_json(row, "options")?,
        reach: from_json(row, "reach")?,
        version: row.try_get("version")?,
        values: from_json(row, "settings")?,
        secrets: from_json(row, "secrets")?,
        url_fields: optional(row, "url_fields", from_json)?,
        standing: Standing::from_word(row.try_get("standing")?)?,
        authorities: from_json(row, "authorities")?,
        thumbprint: optional(row, "thumbprint", stored::thumbprint)?,
        plugin: optional(row, "plugin", stored::plugin_digest)?,
        created_at_ms: row.try_get("created_at_ms")?,
        disabled_at_ms: row.try_get("disabled_at_ms")?,
    })
}

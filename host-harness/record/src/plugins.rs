//! The plugins on record: their content, what each says of itself, and who trusted it.

use bss_model::{
    Act, Actor, ActorKind, AddedPlugin, Advice, Diagnose, Diagnosis, ErrorKind, PluginDescription,
    PluginDigest, PluginTrust, Subject,
};
use serde_json::json;

use super::acts::write_act;
use super::stored::{self, from_json, to_json};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// Reads plugins without their content, which is large.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT sha256, path, id, vendor, offering, version, options, correlation_headers, harmless, added_at_ms,
                    trusted_by_kind, trusted_by, trusted_at_ms
             FROM plugins ",
            $rest
        )
    };
}

/// Why a plugin is not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemovePluginError {
    /// There is no such plugin.
    #[error("there is no plugin {digest} on record")]
    NoPlugin {
        /// The digest.
        digest: PluginDigest,
    },
    /// Instances are worked on by it.
    #[error("plugin {digest} is the one of {}", .instances.join(", "))]
    InUse {
        /// The digest.
        digest: PluginDigest,
        /// The names of the instances: at least one.
        instances: Vec<String>,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for RemovePluginError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoPlugin { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "plugin-unknown").advise(Advice::ListPlugins)
            }
            Self::InUse { .. } => Diagnosis::new(ErrorKind::Conflict, "plugin-in-use")
                .say("move its instances to another version first"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// A plugin to put on record.
pub struct NewPlugin<'a> {
    /// The digest of the content.
    pub digest: PluginDigest,
    /// The file that the content was read from.
    pub path: &'a str,
    /// The content.
    pub content: &'a [u8],
    /// What it says of itself.
    pub description: &'a PluginDescription,
}

impl Record {
    /// The plugins on record, in the order in which they were added. One is added with each new build, a few in a year.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn plugins(&self) -> Result<Vec<AddedPlugin>, RecordError> {
        let rows = self.readers.sql(select!("ORDER BY number")).fetch_all().await?;
        rows.iter().map(read_plugin).collect()
    }

    /// The plugin with a digest. `None`: it is not on record.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn plugin(&self, digest: &PluginDigest) -> Result<Option<AddedPlugin>, RecordError> {
        let row = self
            .readers
            .sql(select!("WHERE sha256 = $1"))
            .bind(digest.to_string())
            .fetch_optional()
            .await?;
        row.as_ref().map(read_plugin).transpose()
    }

    /// The content of a plugin's file. `None`: it is not on record.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn plugin_content(&self, digest: &PluginDigest) -> Result<Option<Vec<u8>>, RecordError> {
        let content = self
            .readers
            .sql("SELECT content FROM plugins WHERE sha256 = $1")
            .bind(digest.to_string());
        content.scalar_optional().await
    }

    /// Puts a plugin on record. It runs for no instance before it is trusted. One that is there stays as it is, but that its
    /// content is whole again if it was altered.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn add_plugin(&self, new: &NewPlugin<'_>, actor: &Actor) -> Result<AddedPlugin, RecordError> {
        let mut transaction = self.begin_write().await?;
        if let Some(known) = found(&mut transaction, &new.digest).await? {
            transaction
                .sql("UPDATE plugins SET content = $2 WHERE sha256 = $1 AND content <> $2")
                .bind(new.digest.to_string())
                .bind(new.content)
                .execute()
                .await?;
            transaction.commit().await?;
            return Ok(known);
        }
        let added = insert(&mut transaction, new, actor).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Lets a plugin on record run for instances. `None`: it is not on record.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn trust_plugin(
        &self,
        digest: &PluginDigest,
        actor: &Actor,
    ) -> Result<Option<AddedPlugin>, RecordError> {
        let mut transaction = self.begin_write().await?;
        let Some(plugin) = found(&mut transaction, digest).await? else {
            return Ok(None);
        };
        if plugin.trust.is_some() {
            return Ok(Some(plugin));
        }
        let trusted = trust(&mut transaction, plugin, actor).await?;
        transaction.commit().await?;
        Ok(Some(trusted))
    }

    /// Puts a plugin on record and lets it run if there is none on record yet, and returns the first one.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn trust_first_plugin(
        &self,
        new: &NewPlugin<'_>,
        actor: &Actor,
    ) -> Result<AddedPlugin, RecordError> {
        let mut transaction = self.begin_write().await?;
        // Another process may have been faster.
        let first = transaction
            .sql(select!("ORDER BY number LIMIT 1"))
            .fetch_optional()
            .await?;
        if let Some(first) = first {
            return read_plugin(&first);
        }
        let added = insert(&mut transaction, new, actor).await?;
        let trusted = trust(&mut transaction, added, actor).await?;
        transaction.commit().await?;
        Ok(trusted)
    }

    /// Takes a plugin off the record that no instance has.
    ///
    /// # Errors
    /// When it is not on record, an instance has it, or the record can't be written.
    pub async fn remove_plugin(&self, digest: &PluginDigest, actor: &Actor) -> Result<(), RemovePluginError> {
        let mut transaction = self.begin_write().await?;
        let instances: Vec<String> = transaction
            .sql("SELECT name FROM instances WHERE plugin = $1 ORDER BY name")
            .bind(digest.to_string())
            .scalars()
            .await?;
        let digest = *digest;
        if !instances.is_empty() {
            return Err(RemovePluginError::InUse { digest, instances });
        }
        let removed = transaction
            .sql("DELETE FROM plugins WHERE sha256 = $1")
            .bind(digest.to_string())
            .execute()
            .await?;
        if removed == 0 {
            return Err(RemovePluginError::NoPlugin { digest });
        }
        let subject = Subject::plugin(&digest);
        write_act(
            &mut transaction,
            actor,
            Act::RemovePlugin,
            &subject,
            None,
            serde_json::Value::Null,
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Whether a plugin is on record and trusted.
pub(super) async fn is_trusted(
    transaction: &mut Connection,
    digest: &PluginDigest,
) -> Result<bool, RecordError> {
    let found = found(transaction, digest).await?;
    Ok(found.is_some_and(|plugin| plugin.trust.is_some()))
}

async fn found(
    transaction: &mut Connection,
    digest: &PluginDigest,
) -> Result<Option<AddedPlugin>, RecordError> {
    let row = transaction
        .sql(select!("WHERE sha256 = $1"))
        .bind(digest.to_string())
        .fetch_optional()
        .await?;
    row.as_ref().map(read_plugin).transpose()
}

async fn insert(
    transaction: &mut Connection,
    new: &NewPlugin<'_>,
    actor: &Actor,
) -> Result<AddedPlugin, RecordError> {
    let PluginDescription {
        id,
        vendor,
        offering,
        version,
        options,
        correlation_headers,
        harmless,
    } = new.description;
    let added_at_ms = transaction.now_ms();
    transaction.sql(
        "INSERT INTO plugins (sha256, path, content, id, vendor, offering, version, options, correlation_headers, harmless,
                              added_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.digest.to_string())
    .bind(new.path)
    .bind(new.content)
    .bind(id)
    .bind(vendor)
    .bind(offering)
    .bind(version)
    .bind(to_json(options)?)
    .bind(to_json(correlation_headers)?)
    .bind(to_json(harmless)?)
    .bind(added_at_ms)
    .execute()
    .await?;
    let detail = json!({ "path": new.path, "id": id, "version": version });
    let subject = Subject::plugin(&new.digest);
    write_act(transaction, actor, Act::AddPlugin, &subject, None, detail).await?;
    Ok(AddedPlugin {
        digest: new.digest,
        path: new.path.to_owned(),
        description: new.description.clone(),
        added_at_ms,
        trust: None,
    })
}

async fn trust(
    transaction: &mut Connection,
    plugin: AddedPlugin,
    actor: &Actor,
) -> Result<AddedPlugin, RecordError> {
    let at_ms = transaction.now_ms();
    transaction
        .sql("UPDATE plugins SET trusted_by_kind = $2, trusted_by = $3, trusted_at_ms = $4 WHERE sha256 = $1")
        .bind(plugin.digest.to_string())
        .bind(actor.kind.word())
        .bind(&actor.name)
        .bind(at_ms)
        .execute()
        .await?;
    let detail = json!({ "id": plugin.description.id, "version": plugin.description.version });
    let subject = Subject::plugin(&plugin.digest);
    write_act(transaction, actor, Act::TrustPlugin, &subject, None, detail).await?;
    let by = actor.clone();
    Ok(AddedPlugin {
        trust: Some(PluginTrust { by, at_ms }),
        ..plugin
    })
}

fn read_plugin(row: &Row) -> Result<AddedPlugin, RecordError> {
    let trusted_at_ms: Option<i64> = row.try_get("trusted_at_ms")?;
    Ok(AddedPlugin {
        digest: stored::plugin_digest(row, "sha256")?,
        path: row.try_get("path")?,
        description: PluginDescription {
            id: row.try_get("id")?,
            vendor: row.try_get("vendor")?,
            offering: row.try_get("offering")?,
            version: row.try_get("version")?,
            options: from_json(row, "options")?,
            correlation_headers: from_json(row, "correlation_headers")?,
            harmless: from_json(row, "harmless")?,
        },
        added_at_ms: row.try_get("added_at_ms")?,
        trust: match trusted_at_ms {
            None => None,
            Some(at_ms) => Some(PluginTrust {
                by: Actor {
                    kind: ActorKind::from_word(row.try_get("trusted_by_kind")?)?,
                    name: row.try_get("trusted_by")?,
                },
                at_ms,
            }),
        },
    })
}

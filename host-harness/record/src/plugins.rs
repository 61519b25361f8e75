//! The plugin that may run, and those that might before it.

use bss_model::clock::now_ms;
use bss_model::{Act, Actor, ActorKind, PluginDigest, Subject, TrustedPlugin};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::acts::write_act;
use super::stored;
use super::{Record, RecordError, begin_write};

const LATEST: &str = "SELECT * FROM plugins ORDER BY number DESC LIMIT 1";

impl Record {
    /// The plugin that may run: the one that was trusted last. `None`: none has been yet.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn trusted_plugin(&self) -> Result<Option<TrustedPlugin>, RecordError> {
        let row = sqlx::query(LATEST).fetch_optional(&self.readers).await?;
        row.as_ref().map(read_plugin).transpose()
    }

    /// The plugins that were trusted, the first one first. One is added with each new build, a few in a year.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn trusted_plugins(&self) -> Result<Vec<TrustedPlugin>, RecordError> {
        let rows = sqlx::query("SELECT * FROM plugins ORDER BY number")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read_plugin).collect()
    }

    /// Lets a plugin run from now on, and none that was trusted before. `path` is where it was read from.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn trust_plugin(
        &self,
        digest: &PluginDigest,
        path: &str,
        actor: &Actor,
    ) -> Result<TrustedPlugin, RecordError> {
        let mut transaction = begin_write(&self.writer).await?;
        let before = latest(&mut transaction).await?;
        if let Some(trusted) = before.as_ref().filter(|before| before.digest == *digest) {
            return Ok(trusted.clone());
        }
        let trusted = insert(&mut transaction, before, digest, path, actor).await?;
        transaction.commit().await?;
        Ok(trusted)
    }

    /// Lets a plugin run if none has been trusted yet, and returns the one that may run.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn trust_first_plugin(
        &self,
        digest: &PluginDigest,
        path: &str,
        actor: &Actor,
    ) -> Result<TrustedPlugin, RecordError> {
        if let Some(trusted) = self.trusted_plugin().await? {
            return Ok(trusted);
        }
        let mut transaction = begin_write(&self.writer).await?;
        // Another process may have been faster.
        if let Some(trusted) = latest(&mut transaction).await? {
            return Ok(trusted);
        }
        let trusted = insert(&mut transaction, None, digest, path, actor).await?;
        transaction.commit().await?;
        Ok(trusted)
    }
}

async fn latest(transaction: &mut SqliteConnection) -> Result<Option<TrustedPlugin>, RecordError> {
    let row = sqlx::query(LATEST).fetch_optional(transaction).await?;
    row.as_ref().map(read_plugin).transpose()
}

async fn insert(
    transaction: &mut SqliteConnection,
    before: Option<TrustedPlugin>,
    digest: &PluginDigest,
    path: &str,
    actor: &Actor,
) -> Result<TrustedPlugin, RecordError> {
    let trusted = TrustedPlugin {
        digest: *digest,
        path: path.to_owned(),
        trusted_by: actor.clone(),
        trusted_at_ms: now_ms(),
    };
    sqlx::query(
        "INSERT INTO plugins (sha256, path, trusted_by_kind, trusted_by, trusted_at_ms)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(trusted.digest.to_string())
    .bind(&trusted.path)
    .bind(actor.kind.word())
    .bind(&actor.name)
    .bind(trusted.trusted_at_ms)
    .execute(&mut *transaction)
    .await?;
    let before = before.map(|before| before.digest.to_string());
    let detail = json!({ "path": path, "before": before });
    let subject = Subject::plugin(digest);
    write_act(transaction, actor, Act::TrustPlugin, &subject, None, detail).await?;
    Ok(trusted)
}

fn read_plugin(row: &SqliteRow) -> Result<TrustedPlugin, RecordError> {
    Ok(TrustedPlugin {
        digest: stored::plugin_digest(row, "sha256")?,
        path: row.try_get("path")?,
        trusted_by: Actor {
            kind: ActorKind::from_word(row.try_get("trusted_by_kind")?)?,
            name: row.try_get("trusted_by")?,
        },
        trusted_at_ms: row.try_get("trusted_at_ms")?,
    })
}

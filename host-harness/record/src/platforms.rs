//! Platforms, and the notices of licenses that they were told to give.

use std::time::Duration;

use bss_keys::{PlatformKey, PlatformKeyDigest};
use bss_model::clock::{millis, now_ms};
use bss_model::{
    Act, Actor, Advice, Diagnose, Diagnosis, ErrorKind, InvalidApiClient, NewPlatform, Owner, Platform,
    Subject, check_client_name,
};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::acts::write_act;
use super::stored::{id, optional, owner, owner_column};
use super::{Record, RecordError, begin_write};

/// Why a platform was not registered, or its key not put on record. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The name can't be one.
    #[error(transparent)]
    Name(#[from] InvalidApiClient),
    /// Another platform or an API client has or had the name.
    #[error("there is or was a platform or an API client `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The application is another platform's.
    #[error("application `{application_id}` is that of platform `{platform}`")]
    ApplicationTaken {
        /// The application's id.
        application_id: Uuid,
        /// The platform that has it.
        platform: String,
    },
    /// The application is that of a platform of another owner, whose name is nobody's business.
    #[error("application `{application_id}` is that of another platform")]
    ApplicationOfOther {
        /// The application's id.
        application_id: Uuid,
    },
    /// The platform has no application id yet, and none was given.
    #[error("platform `{name}` has no application id yet")]
    NoApplication {
        /// The name.
        name: String,
    },
    /// The instance does not exist, or is another owner's.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// There is no platform of the name.
    #[error("there is no platform `{name}`")]
    NoPlatform {
        /// The name.
        name: String,
    },
    /// The platform was revoked.
    #[error("platform `{name}` was revoked")]
    Revoked {
        /// The name.
        name: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for PlatformError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Name(error) => error.diagnosis(),
            Self::NameTaken { .. } => Diagnosis::new(ErrorKind::Conflict, "platform-name-taken").say(
                "choose another name: acts on record name platforms and API clients by it, so a name is never used again",
            ),
            Self::ApplicationTaken { .. } | Self::ApplicationOfOther { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "application-id-taken")
                    .say("register a platform's application once; revoke the platform that has it if it is there by mistake")
            }
            Self::NoApplication { .. } => Diagnosis::new(ErrorKind::Invalid, "platform-without-application")
                .say("give the application id too, which the platform shows beside its key"),
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::NoPlatform { .. } => Diagnosis::new(ErrorKind::NotFound, "no-platform"),
            Self::Revoked { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "platform-revoked").say("register it anew under another name")
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl From<sqlx::Error> for PlatformError {
    fn from(source: sqlx::Error) -> Self {
        Self::Record(source.into())
    }
}

impl Record {
    /// Registers a platform, with its application id and its key where they are known already. Without them it opens nothing.
    ///
    /// # Errors
    /// When the name can't be one or was used before, the owner has no such instance, the application is another platform's, and when
    /// the record can't be written.
    pub async fn register_platform(
        &self,
        new: NewPlatform,
        credentials: Option<(Uuid, &PlatformKey)>,
        actor: &Actor,
    ) -> Result<Platform, PlatformError> {
        check_client_name(&new.name)?;
        let platform = Platform {
            id: Uuid::new_v4(),
            name: new.name,
            owner: new.owner,
            instance_id: new.instance_id,
            application_id: credentials.map(|(application_id, _)| application_id),
            created_at_ms: now_ms(),
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        };
        let mut transaction = begin_write(&self.writer).await?;
        if is_used(&mut transaction, &platform.name).await? {
            return Err(PlatformError::NameTaken { name: platform.name });
        }
        let instance = sqlx::query("SELECT 1 FROM instances WHERE id = $1 AND owner = $2")
            .bind(platform.instance_id.to_string())
            .bind(owner_column(platform.owner.as_ref()))
            .fetch_optional(&mut *transaction)
            .await?;
        if instance.is_none() {
            let id = platform.instance_id;
            return Err(PlatformError::NoInstance { id });
        }
        if let Some((application_id, _)) = credentials {
            check_free(&mut transaction, application_id, &platform).await?;
        }
        sqlx::query(
            "INSERT INTO platforms (id, name, owner, instance_id, application_id, key_digest, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(platform.id.to_string())
        .bind(&platform.name)
        .bind(owner_column(platform.owner.as_ref()))
        .bind(platform.instance_id.to_string())
        .bind(platform.application_id.map(|id| id.to_string()))
        .bind(credentials.map(|(_, key)| key.digest().as_bytes().to_vec()))
        .bind(platform.created_at_ms)
        .execute(&mut *transaction)
        .await?;
        let detail = json!({
            "name": platform.name, "owner": platform.owner, "applicationId": platform.application_id
        });
        let act = Act::RegisterPlatform;
        act_on(&mut transaction, actor, act, &platform, detail).await?;
        transaction.commit().await?;
        Ok(platform)
    }

    /// Puts the key on record that a platform has now. The one before is taken for that time still, so that the platform can change
    /// over; zero where it may be in wrong hands. An application id is needed the first time; another one replaces the first, and no
    /// key of the former application is taken then.
    ///
    /// # Errors
    /// When the owner has no such platform, it was revoked, it has no application id and none is given, the application is another
    /// platform's, and when the record can't be written.
    pub async fn set_platform_key(
        &self,
        name: &str,
        owner: Option<&Owner>,
        (application_id, key): (Option<Uuid>, &PlatformKey),
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<Platform, PlatformError> {
        let mut transaction = begin_write(&self.writer).await?;
        let former = usable(&mut transaction, name, owner).await?;
        let application_id = application_id.or(former.application_id);
        let application_id = application_id.ok_or_else(|| PlatformError::NoApplication {
            name: former.name.clone(),
        })?;
        check_free(&mut transaction, application_id, &former).await?;
        let is_same_application = former.application_id == Some(application_id);
        let now_ms = now_ms();
        let former_key_until_ms = (is_same_application && !keep_former.is_zero())
            .then(|| now_ms.saturating_add(millis(keep_former)));
        let platform = Platform {
            application_id: Some(application_id),
            rotated_at_ms: Some(now_ms),
            former_key_until_ms,
            ..former
        };
        sqlx::query(
            "UPDATE platforms SET former_key_digest = CASE WHEN $4 IS NULL THEN NULL ELSE key_digest END, key_digest = $2,
             rotated_at_ms = $3, former_key_until_ms = $4, application_id = $5 WHERE id = $1",
        )
        .bind(platform.id.to_string())
        .bind(key.digest().as_bytes())
        .bind(now_ms)
        .bind(former_key_until_ms)
        .bind(application_id.to_string())
        .execute(&mut *transaction)
        .await?;
        let detail = json!({
            "name": platform.name, "applicationId": application_id, "formerKeyUntilMs": former_key_until_ms
        });
        let act = Act::SetPlatformKey;
        act_on(&mut transaction, actor, act, &platform, detail).await?;
        transaction.commit().await?;
        Ok(platform)
    }

    /// Revokes a platform for good: none of its keys opens anything any more. What it has bought stays.
    ///
    /// # Errors
    /// When the owner has no such platform, or it was revoked before, and when the record can't be written.
    pub async fn revoke_platform(
        &self,
        name: &str,
        owner: Option<&Owner>,
        actor: &Actor,
    ) -> Result<Platform, PlatformError> {
        let mut transaction = begin_write(&self.writer).await?;
        let platform = Platform {
            revoked_at_ms: Some(now_ms()),
            former_key_until_ms: None,
            ..usable(&mut transaction, name, owner).await?
        };
        sqlx::query(
            "UPDATE platforms SET revoked_at_ms = $2, former_key_digest = NULL, former_key_until_ms = NULL WHERE id = $1",
        )
        .bind(platform.id.to_string())
        .bind(platform.revoked_at_ms)
        .execute(&mut *transaction)
        .await?;
        let detail = json!({ "name": platform.name });
        let act = Act::RevokePlatform;
        act_on(&mut transaction, actor, act, &platform, detail).await?;
        transaction.commit().await?;
        Ok(platform)
    }

    /// The platforms of an owner, by name, also those that were revoked. `None`: those of all owners.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn platforms(&self, owner: Option<&Owner>) -> Result<Vec<Platform>, RecordError> {
        let rows = sqlx::query("SELECT * FROM platforms WHERE $1 IS NULL OR owner = $1 ORDER BY name")
            .bind(owner.map(Owner::as_str))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The platform of a name, in any case of its letters, also one that was revoked.
    ///
    /// # Errors
    /// When the owner has no such platform, and when the record can't be read.
    pub async fn platform(&self, name: &str, owner: Option<&Owner>) -> Result<Platform, PlatformError> {
        let mut connection = self.readers.acquire().await?;
        named(&mut connection, name, owner).await
    }

    /// The platform that an application id and a key open its contract for. `None`: they open nothing.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn platform_of(
        &self,
        application_id: Uuid,
        key: &PlatformKey,
    ) -> Result<Option<Platform>, RecordError> {
        let row = sqlx::query("SELECT * FROM platforms WHERE application_id = $1 AND revoked_at_ms IS NULL")
            .bind(application_id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let platform = read(&row)?;
        let is_former_taken = platform.former_key_until_ms.is_some_and(|until| now_ms() < until);
        let digest: Option<Vec<u8>> = row.try_get("key_digest")?;
        let former: Option<Vec<u8>> = row.try_get("former_key_digest")?;
        let former = former.filter(|_| is_former_taken);
        let is_key_of = |digest: Option<Vec<u8>>| {
            digest.is_some_and(|digest| key.is_of(&PlatformKeyDigest::from_bytes(digest)))
        };
        let opens = is_key_of(digest) | is_key_of(former);
        Ok(opens.then_some(platform))
    }

    /// Whether a platform is to notify its customer of a license now: true exactly once for each asset.
    ///
    /// # Errors
    /// When there is no such asset, and when the record can't be written.
    pub async fn notify_platform_once(&self, asset: Uuid) -> Result<bool, RecordError> {
        let told = sqlx::query(
            "INSERT INTO platform_notices (asset_id, told_at_ms) VALUES ($1, $2) ON CONFLICT (asset_id) DO NOTHING",
        )
        .bind(asset.to_string())
        .bind(now_ms())
        .execute(&self.writer)
        .await?;
        Ok(told.rows_affected() == 1)
    }
}

/// Whether a platform that is not revoked buys at an instance.
pub(super) async fn buys_at(
    connection: &mut SqliteConnection,
    platform: Uuid,
    instance_id: Uuid,
) -> Result<bool, RecordError> {
    let row =
        sqlx::query("SELECT 1 FROM platforms WHERE id = $1 AND instance_id = $2 AND revoked_at_ms IS NULL")
            .bind(platform.to_string())
            .bind(instance_id.to_string())
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// The name of a platform that buys at an instance, and was not revoked. `None`: there is none.
pub(super) async fn platform_at(
    connection: &mut SqliteConnection,
    instance_id: Uuid,
) -> Result<Option<String>, RecordError> {
    let name = sqlx::query_scalar(
        "SELECT name FROM platforms WHERE instance_id = $1 AND revoked_at_ms IS NULL ORDER BY name LIMIT 1",
    )
    .bind(instance_id.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(name)
}

/// Whether a platform has or had a name, in any case of its letters.
pub(super) async fn is_name_of_platform(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<bool, RecordError> {
    let row = sqlx::query("SELECT 1 FROM platforms WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Whether a platform or an API client has or had a name, in any case of its letters.
async fn is_used(connection: &mut SqliteConnection, name: &str) -> Result<bool, RecordError> {
    let client = sqlx::query("SELECT 1 FROM api_clients WHERE name = $1 COLLATE NOCASE")
        .bind(name)
        .fetch_optional(&mut *connection)
        .await?;
    Ok(client.is_some() || is_name_of_platform(connection, name).await?)
}

/// Refuses an application that is that of another platform than this one.
async fn check_free(
    connection: &mut SqliteConnection,
    application_id: Uuid,
    platform: &Platform,
) -> Result<(), PlatformError> {
    let row = sqlx::query(
        "SELECT * FROM platforms WHERE application_id = $1 AND revoked_at_ms IS NULL AND id <> $2",
    )
    .bind(application_id.to_string())
    .bind(platform.id.to_string())
    .fetch_optional(connection)
    .await?;
    match row.as_ref().map(read).transpose()? {
        None => Ok(()),
        Some(other) if other.owner == platform.owner => Err(PlatformError::ApplicationTaken {
            application_id,
            platform: other.name,
        }),
        Some(_) => Err(PlatformError::ApplicationOfOther { application_id }),
    }
}

/// The platform of a name, which was not revoked.
async fn usable(
    connection: &mut SqliteConnection,
    name: &str,
    owner: Option<&Owner>,
) -> Result<Platform, PlatformError> {
    match named(connection, name, owner).await? {
        revoked if revoked.revoked_at_ms.is_some() => Err(PlatformError::Revoked { name: revoked.name }),
        platform => Ok(platform),
    }
}

async fn named(
    connection: &mut SqliteConnection,
    name: &str,
    owner: Option<&Owner>,
) -> Result<Platform, PlatformError> {
    let row = sqlx::query("SELECT * FROM platforms WHERE name = $1 AND ($2 IS NULL OR owner = $2)")
        .bind(name)
        .bind(owner.map(Owner::as_str))
        .fetch_optional(connection)
        .await?;
    let row = row.ok_or_else(|| PlatformError::NoPlatform {
        name: name.to_owned(),
    })?;
    Ok(read(&row)?)
}

async fn act_on(
    transaction: &mut SqliteConnection,
    actor: &Actor,
    act: Act,
    platform: &Platform,
    detail: serde_json::Value,
) -> Result<(), RecordError> {
    let (subject, instance_id) = (Subject::platform(platform.id), Some(platform.instance_id));
    write_act(transaction, actor, act, &subject, instance_id, detail).await
}

fn read(row: &SqliteRow) -> Result<Platform, RecordError> {
    Ok(Platform {
        id: id(row, "id")?,
        name: row.try_get("name")?,
        owner: owner(row)?,
        instance_id: id(row, "instance_id")?,
        application_id: optional(row, "application_id", id)?,
        created_at_ms: row.try_get("created_at_ms")?,
        rotated_at_ms: row.try_get("rotated_at_ms")?,
        former_key_until_ms: row.try_get("former_key_until_ms")?,
        revoked_at_ms: row.try_get("revoked_at_ms")?,
    })
}

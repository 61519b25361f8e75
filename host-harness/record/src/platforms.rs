//! Platforms, and the notices of licenses that they were told to give.

use std::time::Duration;

use bss_keys::PlatformKey;
use bss_model::clock::millis;
use bss_model::{
    Act, Actor, Advice, Diagnose, Diagnosis, ErrorKind, InvalidApiClient, NewPlatform, Owner, Platform,
    Subject, check_client_name,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::stored::{id, opens, optional, owner, owner_column};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

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
                Diagnosis::new(ErrorKind::Conflict, "platform-revoked").say("register it under another name, by which nothing is found that this one has bought")
            }
            Self::Record(error) => error.diagnosis(),
        }
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
            created_at_ms: self.now_ms(),
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        };
        let mut transaction = self.begin_write().await?;
        if is_used(&mut transaction, &platform.name).await? {
            return Err(PlatformError::NameTaken { name: platform.name });
        }
        let instance = transaction
            .sql("SELECT 1 FROM instances WHERE id = $1 AND owner = $2")
            .bind(platform.instance_id.to_string())
            .bind(owner_column(platform.owner.as_ref()))
            .fetch_optional()
            .await?;
        if instance.is_none() {
            let id = platform.instance_id;
            return Err(PlatformError::NoInstance { id });
        }
        if let Some((application_id, _)) = credentials {
            check_free(&mut transaction, application_id, &platform).await?;
        }
        transaction.sql(
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
        .execute()
        .await?;
        let detail = json!({
            "name": platform.name, "owner": platform.owner, "applicationId": platform.application_id
        });
        let act = Act::RegisterPlatform;
        act_on(&mut transaction, actor, act, &platform, detail).await?;
        transaction.commit().await?;
        Ok(platform)
    }

    /// Puts the key on record that a platform has now. The former key is taken for `keep_former` still, so that the platform can change
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
        let mut transaction = self.begin_write().await?;
        let former = usable(&mut transaction, name, owner).await?;
        let application_id = application_id.or(former.application_id);
        let application_id = application_id.ok_or_else(|| PlatformError::NoApplication {
            name: former.name.clone(),
        })?;
        check_free(&mut transaction, application_id, &former).await?;
        let is_same_application = former.application_id == Some(application_id);
        let now_ms = self.now_ms();
        let former_key_until_ms = (is_same_application && !keep_former.is_zero())
            .then(|| now_ms.saturating_add(millis(keep_former)));
        let platform = Platform {
            application_id: Some(application_id),
            rotated_at_ms: Some(now_ms),
            former_key_until_ms,
            ..former
        };
        transaction.sql(
            "UPDATE platforms SET former_key_digest = CASE WHEN $4 IS NULL THEN NULL ELSE key_digest END, key_digest = $2,
             rotated_at_ms = $3, former_key_until_ms = $4, application_id = $5 WHERE id = $1",
        )
        .bind(platform.id.to_string())
        .bind(key.digest().as_bytes())
        .bind(now_ms)
        .bind(former_key_until_ms)
        .bind(application_id.to_string())
        .execute()
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
        let mut transaction = self.begin_write().await?;
        let platform = Platform {
            revoked_at_ms: Some(self.now_ms()),
            former_key_until_ms: None,
            ..usable(&mut transaction, name, owner).await?
        };
        transaction.sql(
            "UPDATE platforms SET revoked_at_ms = $2, former_key_digest = NULL, former_key_until_ms = NULL WHERE id = $1",
        )
        .bind(platform.id.to_string())
        .bind(platform.revoked_at_ms)
        .execute()
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
        let rows = self
            .readers
            .sql("SELECT * FROM platforms WHERE $1 IS NULL OR owner = $1 ORDER BY name")
            .bind(owner.map(Owner::as_str))
            .fetch_all()
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
        let row = self
            .readers
            .sql("SELECT * FROM platforms WHERE application_id = $1 AND revoked_at_ms IS NULL")
            .bind(application_id.to_string())
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let platform = read(&row)?;
        Ok(opens(&row, &key.digest(), self.now_ms())?.then_some(platform))
    }

    /// Whether a platform has ordered anything for a customer, by its own id of that customer.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn has_ordered_for(&self, platform: Uuid, customer: &str) -> Result<bool, RecordError> {
        let row = self
            .readers
            .sql("SELECT 1 FROM orders WHERE customer_id = $2 AND platform_id = $1 LIMIT 1")
            .bind(platform.to_string())
            .bind(customer)
            .fetch_optional()
            .await?;
        Ok(row.is_some())
    }

    /// Takes the one notice of a license that a platform is to give its customer. False: it was taken before.
    ///
    /// # Errors
    /// When there is no such asset, and when the record can't be written.
    pub async fn take_platform_notice(&self, asset: Uuid) -> Result<bool, RecordError> {
        let told = self.writer.sql(
            "INSERT INTO platform_notices (asset_id, told_at_ms) VALUES ($1, $2) ON CONFLICT (asset_id) DO NOTHING",
        )
        .bind(asset.to_string())
        .bind_now()
        .execute()
        .await?;
        Ok(told == 1)
    }
}

/// Whether a platform that is not revoked buys at an instance.
pub(super) async fn buys_at(
    connection: &mut Connection,
    platform: Uuid,
    instance_id: Uuid,
) -> Result<bool, RecordError> {
    let row = connection
        .sql("SELECT 1 FROM platforms WHERE id = $1 AND instance_id = $2 AND revoked_at_ms IS NULL")
        .bind(platform.to_string())
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

/// The name of a platform that buys at an instance, and was not revoked. `None`: there is none.
pub(super) async fn platform_at(
    connection: &mut Connection,
    instance_id: Uuid,
) -> Result<Option<String>, RecordError> {
    let name = connection.sql(
        "SELECT name FROM platforms WHERE instance_id = $1 AND revoked_at_ms IS NULL ORDER BY name LIMIT 1",
    )
    .bind(instance_id.to_string())
    .scalar_optional()
    .await?;
    Ok(name)
}

/// Whether a platform has or had a name, in any case of its letters.
pub(super) async fn is_name_of_platform(
    connection: &mut Connection,
    name: &str,
) -> Result<bool, RecordError> {
    let row = connection
        .sql("SELECT 1 FROM platforms WHERE name = $1")
        .bind(name)
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}

/// Whether a platform or an API client has or had a name, in any case of its letters.
async fn is_used(connection: &mut Connection, name: &str) -> Result<bool, RecordError> {
    let client = connection
        .sql("SELECT 1 FROM api_clients WHERE lower(name) = lower($1)")
        .bind(name)
        .fetch_optional()
        .await?;
    Ok(client.is_some() || is_name_of_platform(connection, name).await?)
}

/// Refuses an application that is that of another platform than this one.
async fn check_free(
    connection: &mut Connection,
    application_id: Uuid,
    platform: &Platform,
) -> Result<(), PlatformError> {
    let row = connection
        .sql("SELECT * FROM platforms WHERE application_id = $1 AND revoked_at_ms IS NULL AND id <> $2")
        .bind(application_id.to_string())
        .bind(platform.id.to_string())
        .fetch_optional()
        .await?;
    match row.as_ref().map(read).transpose()? {
        None => Ok(()),
        Some(other) if platform.owner.is_none() || other.owner == platform.owner => {
            Err(PlatformError::ApplicationTaken {
                application_id,
                platform: other.name,
            })
        }
        Some(_) => Err(PlatformError::ApplicationOfOther { application_id }),
    }
}

/// The platform of a name, which was not revoked.
async fn usable(
    connection: &mut Connection,
    name: &str,
    owner: Option<&Owner>,
) -> Result<Platform, PlatformError> {
    match named(connection, name, owner).await? {
        revoked if revoked.revoked_at_ms.is_some() => Err(PlatformError::Revoked { name: revoked.name }),
        platform => Ok(platform),
    }
}

async fn named(
    connection: &mut Connection,
    name: &str,
    owner: Option<&Owner>,
) -> Result<Platform, PlatformError> {
    let row = connection
        .sql("SELECT * FROM platforms WHERE name = $1 AND ($2 IS NULL OR owner = $2)")
        .bind(name)
        .bind(owner.map(Owner::as_str))
        .fetch_optional()
        .await?;
    let row = row.ok_or_else(|| PlatformError::NoPlatform {
        name: name.to_owned(),
    })?;
    Ok(read(&row)?)
}

async fn act_on(
    transaction: &mut Connection,
    actor: &Actor,
    act: Act,
    platform: &Platform,
    detail: serde_json::Value,
) -> Result<(), RecordError> {
    let (subject, instance_id) = (Subject::platform(platform.id), Some(platform.instance_id));
    write_act(transaction, actor, act, &subject, instance_id, detail).await
}

fn read(row: &Row) -> Result<Platform, RecordError> {
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::num::NonZeroU32;

    use bss_model::{ActFilter, ApiScope, NewApiClient, NewInstance, Reach};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A record with an instance of an owner.
    struct Site {
        folder: tempfile::TempDir,
        record: Record,
        instance: Uuid,
        owner: Option<Owner>,
    }

    impl Site {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let record = crate::test_record::open(folder.path()).await;
            let instance = instance(&record, None).await;
            Self {
                folder,
                record,
                instance,
                owner: None,
            }
        }

        fn named(&self, name: &str) -> NewPlatform {
            NewPlatform {
                name: name.to_owned(),
                owner: self.owner.clone(),
                instance_id: self.instance,
            }
        }

        /// Registers a platform with an application of that number and its first key.
        async fn register(&self, name: &str, application: u128) -> Result<Platform, PlatformError> {
            let (new, key) = (self.named(name), key(1));
            let credentials = Some((Uuid::from_u128(application), &key));
            self.record.register_platform(new, credentials, &me()).await
        }

        async fn rotate(&self, application: Option<u128>, number: u32, keep_former: Duration) -> Platform {
            self.try_rotate(application, number, keep_former).await.unwrap()
        }

        async fn try_rotate(
            &self,
            application: Option<u128>,
            number: u32,
            keep_former: Duration,
        ) -> Result<Platform, PlatformError> {
            let (application, key) = (application.map(Uuid::from_u128), key(number));
            let credentials = (application, &key);
            self.record
                .set_platform_key("shop", None, credentials, keep_former, &me())
                .await
        }

        /// The name of the platform that an application and a key open.
        async fn opened(&self, application: u128, number: u32) -> Option<String> {
            let application = Uuid::from_u128(application);
            let opened = self.record.platform_of(application, &key(number)).await;
            opened.unwrap().map(|platform| platform.name)
        }
    }

    async fn instance(record: &Record, owner: Option<&Owner>) -> Uuid {
        let new = NewInstance {
            owner: owner.cloned(),
            name: "esd".to_owned(),
            currency: "EUR".to_owned(),
            options: [("region".to_owned(), "eu".to_owned())].into(),
            reach: Reach::default(),
            plugin: None,
        };
        record.create_instance(new, &me()).await.unwrap().id
    }

    fn key(number: u32) -> PlatformKey {
        PlatformKey::read(&format!("a-key-of-the-platform-{number}")).unwrap()
    }

    fn me() -> Actor {
        Actor::operator("olivia")
    }

    fn code<T: std::fmt::Debug>(result: Result<T, PlatformError>) -> Cow<'static, str> {
        result.unwrap_err().diagnosis().code
    }

    #[tokio::test]
    async fn an_application_and_its_key_open_the_contract_for_their_platform_until_it_is_revoked() {
        let site = Site::open().await;
        let platform = site.register("shop", 7).await.unwrap();
        assert_eq!(site.record.platform("SHOP", None).await.unwrap(), platform);
        assert_eq!(site.opened(7, 1).await.as_deref(), Some("shop"));
        assert_eq!(site.opened(7, 2).await, None, "another key");
        assert_eq!(site.opened(8, 1).await, None, "another application");

        let revoked = site.record.revoke_platform("shop", None, &me()).await.unwrap();
        assert!(revoked.revoked_at_ms.is_some());
        assert_eq!(site.opened(7, 1).await, None);
        let again = site.record.revoke_platform("shop", None, &me()).await;
        assert_eq!(code(again), "platform-revoked");
        assert_eq!(code(site.try_rotate(Some(7), 2, HOUR).await), "platform-revoked");
        assert_eq!(site.opened(7, 2).await, None);
    }

    #[tokio::test]
    async fn a_platform_that_waits_for_its_key_opens_nothing_and_needs_an_application_with_it() {
        let site = Site::open().await;
        let waiting = site
            .record
            .register_platform(site.named("shop"), None, &me())
            .await;
        assert_eq!(waiting.unwrap().application_id, None);
        assert_eq!(site.opened(0, 1).await, None);
        assert_eq!(
            code(site.try_rotate(None, 1, HOUR).await),
            "platform-without-application"
        );
        let usable = site.rotate(Some(7), 1, HOUR).await;
        assert_eq!(usable.former_key_until_ms, None, "there was none");
        assert_eq!(usable.application_id, Some(Uuid::from_u128(7)));
        assert_eq!(site.opened(7, 1).await.as_deref(), Some("shop"));
    }

    #[tokio::test]
    async fn a_former_key_is_taken_as_long_as_it_was_said_and_none_before_it() {
        let site = Site::open().await;
        site.register("shop", 7).await.unwrap();
        site.rotate(None, 2, HOUR).await;
        assert!(site.opened(7, 1).await.is_some() && site.opened(7, 2).await.is_some());
        site.rotate(Some(7), 3, HOUR).await;
        assert!(site.opened(7, 1).await.is_none());
        assert!(site.opened(7, 2).await.is_some() && site.opened(7, 3).await.is_some());
        // Its time is over.
        site.record
            .writer
            .sql("UPDATE platforms SET former_key_until_ms = 1")
            .execute()
            .await
            .unwrap();
        assert!(site.opened(7, 2).await.is_none() && site.opened(7, 3).await.is_some());
        site.rotate(None, 4, Duration::ZERO).await;
        assert!(site.opened(7, 3).await.is_none() && site.opened(7, 4).await.is_some());
        // A revoked platform has no former key either.
        site.rotate(None, 5, HOUR).await;
        site.record.revoke_platform("shop", None, &me()).await.unwrap();
        assert!(site.opened(7, 4).await.is_none() && site.opened(7, 5).await.is_none());
    }

    #[tokio::test]
    async fn another_application_replaces_the_first_and_its_keys() {
        let site = Site::open().await;
        site.register("shop", 7).await.unwrap();
        let replaced = site.rotate(Some(8), 2, HOUR).await;
        assert_eq!(replaced.former_key_until_ms, None);
        assert!(site.opened(8, 2).await.is_some());
        for (application, number) in [(7, 1), (7, 2), (8, 1)] {
            assert_eq!(
                site.opened(application, number).await,
                None,
                "{application} {number}"
            );
        }
    }

    #[tokio::test]
    async fn an_application_is_that_of_one_platform_until_that_is_revoked() {
        let site = Site::open().await;
        site.register("first", 7).await.unwrap();
        let error = site.register("shop", 7).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "application-id-taken");
        assert!(error.to_string().contains("`first`"), "{error}");
        assert!(
            site.record.platform("shop", None).await.is_err(),
            "nothing was written"
        );
        site.register("shop", 8).await.unwrap();
        assert_eq!(
            code(site.try_rotate(Some(7), 2, HOUR).await),
            "application-id-taken"
        );
        assert!(site.opened(8, 1).await.is_some(), "the key is the former one");
        site.record.revoke_platform("first", None, &me()).await.unwrap();
        site.rotate(Some(7), 2, HOUR).await;
        assert_eq!(site.opened(7, 2).await.as_deref(), Some("shop"));
        assert_eq!(site.opened(7, 1).await, None);
    }

    #[tokio::test]
    async fn a_name_is_that_of_one_platform_or_one_client_for_ever_in_any_case() {
        let site = Site::open().await;
        let client = |name: &str| NewApiClient {
            name: name.to_owned(),
            owner: None,
            scopes: [ApiScope::Read].into(),
            instances: None,
        };
        site.register("shop", 7).await.unwrap();
        site.record.revoke_platform("shop", None, &me()).await.unwrap();
        for taken in ["shop", "Shop"] {
            assert_eq!(code(site.register(taken, 8).await), "platform-name-taken");
            let error = site
                .record
                .create_api_client(client(taken), &me())
                .await
                .unwrap_err();
            assert_eq!(error.diagnosis().code, "api-client-name-taken");
        }
        site.record
            .create_api_client(client("watcher"), &me())
            .await
            .unwrap();
        site.record
            .revoke_api_client("watcher", None, &me())
            .await
            .unwrap();
        for taken in ["watcher", "WATCHER"] {
            assert_eq!(code(site.register(taken, 8).await), "platform-name-taken");
        }
        for wrong in ["", "a b", "a/b", "-a"] {
            assert_eq!(code(site.register(wrong, 8).await), "api-client-name-invalid");
        }
        site.register("other", 8).await.unwrap();
    }

    #[tokio::test]
    async fn an_owner_has_only_its_own_platforms_and_instances() {
        let mut site = Site::open().await;
        let (mine, other): (Owner, Owner) = ("reseller-7".parse().unwrap(), "reseller-8".parse().unwrap());
        site.register("operators", 1).await.unwrap();
        let of_operator = site.instance;
        site.instance = instance(&site.record, Some(&mine)).await;
        assert_eq!(
            code(site.register("shop", 7).await),
            "no-instance",
            "that is an owner's"
        );
        site.owner = Some(mine.clone());
        let theirs = site.register("shop", 7).await.unwrap();
        assert_eq!(
            site.record.platforms(Some(&mine)).await.unwrap(),
            std::slice::from_ref(&theirs)
        );
        assert_eq!(site.record.platforms(None).await.unwrap().len(), 2);
        assert_eq!(site.record.platforms(Some(&other)).await.unwrap(), []);
        assert_eq!(site.record.platform("shop", Some(&mine)).await.unwrap(), theirs);
        let record = &site.record;
        assert_eq!(code(record.platform("shop", Some(&other)).await), "no-platform");
        assert_eq!(
            code(record.revoke_platform("shop", Some(&other), &me()).await),
            "no-platform"
        );
        let changed = record
            .set_platform_key("shop", Some(&other), (None, &key(2)), HOUR, &me())
            .await;
        assert_eq!(code(changed), "no-platform");
        // Whose application it is stays with its owner.
        site.instance = instance(&site.record, Some(&other)).await;
        site.owner = Some(other);
        let error = site.register("another", 7).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "application-id-taken");
        assert!(!error.to_string().contains("shop"), "{error}");
        site.instance = of_operator;
        assert_eq!(code(site.register("another", 9).await), "no-instance");
        assert_eq!(site.opened(7, 1).await.as_deref(), Some("shop"));
    }

    #[tokio::test]
    async fn what_becomes_of_a_platform_is_an_act_at_its_instance_and_its_key_is_nowhere_on_record() {
        let site = Site::open().await;
        let platform = site.register("shop", 7).await.unwrap();
        site.rotate(None, 2, HOUR).await;
        site.record.revoke_platform("shop", None, &me()).await.unwrap();
        let filter = ActFilter {
            subject: Some(platform.id.to_string()),
            ..ActFilter::default()
        };
        let acts = site.record.acts(&filter, NonZeroU32::MAX).await.unwrap();
        let acts: Vec<_> = acts.iter().map(|act| (act.act, act.instance_id)).collect();
        let at = Some(site.instance);
        assert_eq!(
            acts,
            [
                (Act::RegisterPlatform, at),
                (Act::SetPlatformKey, at),
                (Act::RevokePlatform, at)
            ]
        );
        for file in std::fs::read_dir(site.folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            let secret = b"a-key-of-the-platform";
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}

//! Clients of the API, and the alert about keys that open nothing.

use std::time::Duration;

use bss_keys::{ApiKey, ApiKeyNotMade};
use bss_model::clock::millis;
use bss_model::{
    Act, Actor, AlertKind, ApiClient, Diagnose, Diagnosis, ErrorKind, InvalidApiClient, NewApiClient, Owner,
    Problem, Secret, Subject,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::alerts::raise_happened;
use super::platforms::is_name_of_platform;
use super::stored::{from_json, id, opens, optional, owner, owner_column, to_json};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// What an alert about keys is about: the host has one API.
const API: &str = "api";

/// Why a client was not made, or its key not changed. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiClientError {
    /// The client can't be one.
    #[error(transparent)]
    Invalid(#[from] InvalidApiClient),
    /// Another client or a platform has or had the name.
    #[error("there is or was an API client or a platform `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no client of the name.
    #[error("there is no API client `{name}`")]
    NoClient {
        /// The name.
        name: String,
    },
    /// The client was revoked.
    #[error("API client `{name}` was revoked")]
    Revoked {
        /// The name.
        name: String,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] ApiKeyNotMade),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ApiClientError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Invalid(error) => error.diagnosis(),
            Self::NameTaken { .. } => Diagnosis::new(ErrorKind::Conflict, "api-client-name-taken").say(
                "choose another name: acts on record name clients and platforms by it, so a name is never used again",
            ),
            Self::NoClient { .. } => Diagnosis::new(ErrorKind::NotFound, "no-api-client"),
            Self::Revoked { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "api-client-revoked").say("make a new client")
            }
            Self::Key(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Makes a client, and returns it with its key, which nobody can be shown again.
    ///
    /// # Errors
    /// When the client can't be one, its name was used before, and when the record can't be written.
    pub async fn create_api_client(
        &self,
        new: NewApiClient,
        actor: &Actor,
    ) -> Result<(ApiClient, Secret), ApiClientError> {
        new.check()?;
        let client = ApiClient {
            id: Uuid::new_v4(),
            name: new.name,
            owner: new.owner,
            scopes: new.scopes,
            instances: new.instances,
            created_at_ms: self.now_ms(),
            rotated_at_ms: None,
            former_key_until_ms: None,
            revoked_at_ms: None,
        };
        let key = ApiKey::generate(client.id)?;
        let mut transaction = self.begin_write().await?;
        if is_name_of_platform(&mut transaction, &client.name).await? {
            return Err(ApiClientError::NameTaken { name: client.name });
        }
        let written = transaction
            .sql(
                "INSERT INTO api_clients (id, name, owner, scopes, instances, key_digest, created_at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING",
            )
            .bind(client.id.to_string())
            .bind(&client.name)
            .bind(owner_column(client.owner.as_ref()))
            .bind(to_json(&client.scopes)?)
            .bind(client.instances.as_ref().map(to_json).transpose()?)
            .bind(key.digest().as_bytes())
            .bind(client.created_at_ms)
            .execute()
            .await?;
        if written == 0 {
            return Err(ApiClientError::NameTaken { name: client.name });
        }
        let detail = json!({
            "name": client.name, "owner": client.owner, "scopes": client.scopes, "instances": client.instances
        });
        let subject = Subject::api_client(client.id);
        write_act(
            &mut transaction,
            actor,
            Act::CreateApiClient,
            &subject,
            None,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok((client, key.text().clone()))
    }

    /// Gives a client another key, and returns it. The one before is taken for that time still, so that the client can change over;
    /// zero where it may be in wrong hands. A key before that opens nothing from now on.
    ///
    /// # Errors
    /// When the owner has no such client, or it was revoked, and when the record can't be written.
    pub async fn rotate_api_key(
        &self,
        name: &str,
        owner: Option<&Owner>,
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<(ApiClient, Secret), ApiClientError> {
        let mut transaction = self.begin_write().await?;
        let client = usable(&mut transaction, name, owner).await?;
        let (key, now_ms) = (ApiKey::generate(client.id)?, self.now_ms());
        let former_key_until_ms =
            (!keep_former.is_zero()).then(|| now_ms.saturating_add(millis(keep_former)));
        transaction.sql(
            "UPDATE api_clients SET former_key_digest = CASE WHEN $4 IS NULL THEN NULL ELSE key_digest END, key_digest = $2,
             rotated_at_ms = $3, former_key_until_ms = $4 WHERE id = $1",
        )
        .bind(client.id.to_string())
        .bind(key.digest().as_bytes())
        .bind(now_ms)
        .bind(former_key_until_ms)
        .execute()
        .await?;
        let detail = json!({ "name": client.name, "formerKeyUntilMs": former_key_until_ms });
        let subject = Subject::api_client(client.id);
        write_act(&mut transaction, actor, Act::RotateApiKey, &subject, None, detail).await?;
        transaction.commit().await?;
        let client = ApiClient {
            rotated_at_ms: Some(now_ms),
            former_key_until_ms,
            ..client
        };
        Ok((client, key.text().clone()))
    }

    /// Revokes a client for good: none of its keys opens anything any more.
    ///
    /// # Errors
    /// When the owner has no such client, or it was revoked before, and when the record can't be written.
    pub async fn revoke_api_client(
        &self,
        name: &str,
        owner: Option<&Owner>,
        actor: &Actor,
    ) -> Result<ApiClient, ApiClientError> {
        let mut transaction = self.begin_write().await?;
        let client = usable(&mut transaction, name, owner).await?;
        let now_ms = self.now_ms();
        transaction.sql(
            "UPDATE api_clients SET revoked_at_ms = $2, former_key_digest = NULL, former_key_until_ms = NULL WHERE id = $1",
        )
        .bind(client.id.to_string())
        .bind(now_ms)
        .execute()
        .await?;
        let (subject, detail) = (Subject::api_client(client.id), json!({ "name": client.name }));
        write_act(
            &mut transaction,
            actor,
            Act::RevokeApiClient,
            &subject,
            None,
            detail,
        )
        .await?;
        transaction.commit().await?;
        Ok(ApiClient {
            revoked_at_ms: Some(now_ms),
            former_key_until_ms: None,
            ..client
        })
    }

    /// The clients of an owner, by name, also those that were revoked. `None`: those of all owners.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn api_clients(&self, owner: Option<&Owner>) -> Result<Vec<ApiClient>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM api_clients WHERE $1 IS NULL OR owner = $1 ORDER BY name")
            .bind(owner.map(Owner::as_str))
            .fetch_all()
            .await?;
        rows.iter().map(read).collect()
    }

    /// The client that a key opens the API for. `None`: it opens nothing.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn api_client_of(&self, key: &ApiKey) -> Result<Option<ApiClient>, RecordError> {
        let row = self
            .readers
            .sql("SELECT * FROM api_clients WHERE id = $1")
            .bind(key.client().to_string())
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let client = read(&row)?;
        let is_let_in = opens(&row, &key.digest(), self.now_ms())? && client.revoked_at_ms.is_none();
        Ok(is_let_in.then_some(client))
    }

    /// Raises the alert that keys were tried which open nothing.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn raise_api_keys_tried(&self, problem: &Problem) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        raise_happened(&mut transaction, AlertKind::ApiKeysTried, API, problem).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The client of a name, which was not revoked.
async fn usable(
    transaction: &mut Connection,
    name: &str,
    owner: Option<&Owner>,
) -> Result<ApiClient, ApiClientError> {
    let row = transaction
        .sql("SELECT * FROM api_clients WHERE name = $1 AND ($2 IS NULL OR owner = $2)")
        .bind(name)
        .bind(owner.map(Owner::as_str))
        .fetch_optional()
        .await?;
    let name = name.to_owned();
    match row.as_ref().map(read).transpose()? {
        None => Err(ApiClientError::NoClient { name }),
        Some(client) if client.revoked_at_ms.is_some() => Err(ApiClientError::Revoked { name }),
        Some(client) => Ok(client),
    }
}

fn read(row: &Row) -> Result<ApiClient, RecordError> {
    Ok(ApiClient {
        id: id(row, "id")?,
        name: row.try_get("name")?,
        owner: owner(row)?,
        scopes: from_json(row, "scopes")?,
        instances: optional(row, "instances", from_json)?,
        created_at_ms: row.try_get("created_at_ms")?,
        rotated_at_ms: row.try_get("rotated_at_ms")?,
        former_key_until_ms: row.try_get("former_key_until_ms")?,
        revoked_at_ms: row.try_get("revoked_at_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use bss_model::{ActFilter, AlertFilter, ApiScope};

    use super::*;

    async fn record() -> (tempfile::TempDir, Record) {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        (folder, record)
    }

    fn shop() -> NewApiClient {
        NewApiClient {
            name: "shop".to_owned(),
            owner: None,
            scopes: [ApiScope::Read, ApiScope::Order].into(),
            instances: Some([Uuid::from_u128(1)].into()),
        }
    }

    fn me() -> Actor {
        Actor::operator("olivia")
    }

    async fn opened(record: &Record, key: &Secret) -> Option<ApiClient> {
        let key = ApiKey::read(key.expose()).unwrap();
        record.api_client_of(&key).await.unwrap()
    }

    #[tokio::test]
    async fn a_key_opens_the_api_for_its_client_until_that_is_revoked() {
        let (_folder, record) = record().await;
        let (client, key) = record.create_api_client(shop(), &me()).await.unwrap();
        assert_eq!(opened(&record, &key).await, Some(client.clone()));
        let guessed = ApiKey::generate(client.id).unwrap();
        assert_eq!(opened(&record, guessed.text()).await, None);
        let unknown = ApiKey::generate(Uuid::from_u128(9)).unwrap();
        assert_eq!(opened(&record, unknown.text()).await, None);

        let revoked = record.revoke_api_client("shop", None, &me()).await.unwrap();
        assert!(revoked.revoked_at_ms.is_some());
        assert_eq!(opened(&record, &key).await, None);
        let error = record.revoke_api_client("shop", None, &me()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "api-client-revoked");
        let error = record
            .rotate_api_key("shop", None, Duration::ZERO, &me())
            .await
            .unwrap_err();
        assert_eq!(error.diagnosis().code, "api-client-revoked");
    }

    #[tokio::test]
    async fn a_former_key_is_taken_as_long_as_it_was_said_and_none_before_it() {
        let (_folder, record) = record().await;
        let (_, first) = record.create_api_client(shop(), &me()).await.unwrap();
        let hour = Duration::from_secs(3_600);
        let (_, second) = record.rotate_api_key("shop", None, hour, &me()).await.unwrap();
        assert!(opened(&record, &first).await.is_some());
        assert!(opened(&record, &second).await.is_some());
        let (_, third) = record.rotate_api_key("shop", None, hour, &me()).await.unwrap();
        assert!(opened(&record, &first).await.is_none());
        assert!(opened(&record, &second).await.is_some());
        // Its time is over.
        record
            .writer
            .sql("UPDATE api_clients SET former_key_until_ms = 1")
            .execute()
            .await
            .unwrap();
        assert!(opened(&record, &second).await.is_none());
        let (_, fourth) = record
            .rotate_api_key("shop", None, Duration::ZERO, &me())
            .await
            .unwrap();
        assert!(opened(&record, &third).await.is_none());
        assert!(opened(&record, &fourth).await.is_some());
    }

    #[tokio::test]
    async fn a_name_is_used_once_and_an_owner_has_only_its_own_clients() {
        let (_folder, record) = record().await;
        record.create_api_client(shop(), &me()).await.unwrap();
        record.revoke_api_client("shop", None, &me()).await.unwrap();
        let error = record.create_api_client(shop(), &me()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "api-client-name-taken");
        let owner: Owner = "reseller-7".parse().unwrap();
        let theirs = NewApiClient {
            name: "theirs".to_owned(),
            owner: Some(owner.clone()),
            ..shop()
        };
        let (theirs, _) = record.create_api_client(theirs, &me()).await.unwrap();
        assert_eq!(record.api_clients(Some(&owner)).await.unwrap(), [theirs]);
        assert_eq!(record.api_clients(None).await.unwrap().len(), 2);
        let other: Owner = "reseller-8".parse().unwrap();
        let error = record
            .revoke_api_client("theirs", Some(&other), &me())
            .await
            .unwrap_err();
        assert_eq!(error.diagnosis().code, "no-api-client");
    }

    #[tokio::test]
    async fn what_becomes_of_a_client_is_an_act_and_its_key_is_nowhere_on_record() {
        let (folder, record) = record().await;
        let (client, key) = record.create_api_client(shop(), &me()).await.unwrap();
        record
            .rotate_api_key("shop", None, Duration::ZERO, &me())
            .await
            .unwrap();
        record.revoke_api_client("shop", None, &me()).await.unwrap();
        let filter = ActFilter {
            subject: Some(client.id.to_string()),
            ..ActFilter::default()
        };
        let acts = record.acts(&filter, NonZeroU32::MAX).await.unwrap();
        let acts: Vec<_> = acts.iter().map(|act| act.act).collect();
        assert_eq!(
            acts,
            [Act::CreateApiClient, Act::RotateApiKey, Act::RevokeApiClient]
        );
        let secret = key.expose().splitn(3, '_').nth(2).unwrap().as_bytes().to_vec();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }

    #[tokio::test]
    async fn keys_that_open_nothing_are_one_alert_until_it_is_acknowledged() {
        let (_folder, record) = record().await;
        for number in 0..3 {
            let problem = Problem::new("api-keys-tried", format!("{number}"), "");
            record.raise_api_keys_tried(&problem).await.unwrap();
        }
        let alerts = record.alerts(&AlertFilter::default(), 10).await.unwrap();
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0].kind, AlertKind::ApiKeysTried);
        assert_eq!(alerts[0].problem.as_ref().unwrap().message, "2");
    }
}

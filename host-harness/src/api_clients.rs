//! API clients: made, revoked, given other keys, and let in by their keys.

use std::collections::BTreeSet;
use std::time::Duration;

use bss_keys::ApiKey;
use bss_model::{Actor, ApiClient, ApiScope, NewApiClient, Secret};

use crate::error::Error;
use crate::host::Host;
use crate::view;

/// An API client to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiClientRequest {
    /// The name, which no other client has or had.
    pub name: String,
    /// What the client may do.
    pub scopes: BTreeSet<ApiScope>,
    /// The names of the instances that the client may use. `None`: all that the host's owner has, now and later; without an owner,
    /// everybody's.
    pub instances: Option<Vec<String>>,
}

impl Host {
    /// Makes a client of the host's owner, and returns it with its key, which is shown this once.
    ///
    /// # Errors
    /// When the name was used before (`api-client-name-taken`), there is no such instance, or the client could do nothing.
    pub async fn create_api_client(
        &self,
        asked: ApiClientRequest,
        actor: &Actor,
    ) -> Result<view::NewApiKey, Error> {
        let instances = match asked.instances {
            None => None,
            Some(names) => {
                let mut ids = BTreeSet::new();
                for name in names {
                    ids.insert(self.named_instance(&name).await?.id);
                }
                Some(ids)
            }
        };
        let new = NewApiClient {
            name: asked.name,
            owner: self.owner().cloned(),
            scopes: asked.scopes,
            instances,
        };
        let (client, key) = self.record().create_api_client(new, actor).await?;
        self.new_api_key(&client, key).await
    }

    /// Gives a client another key, and returns it. The one before is taken for `keep_former` still.
    ///
    /// # Errors
    /// When there is no such client (`no-api-client`), or it was revoked.
    pub async fn rotate_api_key(
        &self,
        name: &str,
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<view::NewApiKey, Error> {
        let record = self.record();
        let (client, key) = record
            .rotate_api_key(name, self.owner(), keep_former, actor)
            .await?;
        self.new_api_key(&client, key).await
    }

    /// Revokes a client for good.
    ///
    /// # Errors
    /// When there is no such client (`no-api-client`), or it was revoked before.
    pub async fn revoke_api_client(&self, name: &str, actor: &Actor) -> Result<view::ApiClient, Error> {
        let client = self.record().revoke_api_client(name, self.owner(), actor).await?;
        self.api_client_view(&client).await
    }

    /// The clients of the host's owner, by name, also those that were revoked. Without an owner, all clients.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn api_clients(&self) -> Result<Vec<view::ApiClient>, Error> {
        let mut views = Vec::new();
        for client in self.record().api_clients(self.owner()).await? {
            views.push(self.api_client_view(&client).await?);
        }
        Ok(views)
    }

    /// The client that a key opens the API for, and the host as that client is given it: its owner's. What instances it is
    /// [bound to](ApiClient::is_bound_to) is for the caller to heed. `None`: the key opens nothing.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn for_api_key(&self, key: &str) -> Result<Option<(Self, ApiClient)>, Error> {
        let Some(key) = ApiKey::read(key) else {
            return Ok(None);
        };
        let client = self.record().api_client_of(&key).await?;
        Ok(client.map(|client| {
            let host = match &client.owner {
                Some(owner) => self.for_owner(owner.clone()),
                None => self.clone(),
            };
            (host, client)
        }))
    }

    async fn new_api_key(&self, client: &ApiClient, key: Secret) -> Result<view::NewApiKey, Error> {
        Ok(view::NewApiKey {
            client: self.api_client_view(client).await?,
            key,
        })
    }

    async fn api_client_view(&self, client: &ApiClient) -> Result<view::ApiClient, Error> {
        let mut bound = Vec::new();
        for id in client.instances.iter().flatten() {
            // An instance that was removed meanwhile has no name.
            let instance = self.record().instance_by_id(*id).await?;
            bound.push((*id, instance.map(|instance| instance.name)));
        }
        Ok(view::ApiClient::new(client, bound))
    }
}

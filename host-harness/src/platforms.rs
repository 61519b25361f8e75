//! Platforms: registered, given the keys that they made, revoked, and let in by them.

use std::time::Duration;

use bss_keys::{NotAPlatformKey, PlatformKey};
use bss_model::{Actor, NewPlatform, Platform, Secret};
use uuid::Uuid;

use crate::error::Error;
use crate::host::Host;
use crate::view;

/// The functions of the contract that a platform is given the addresses of, in the order in which it asks for them, each with
/// its method.
const FUNCTIONS: [(&str, &str); 20] = [
    ("Fields/Get", "GET"),
    ("Fields/Validate", "POST"),
    ("Fields/ServiceDefinition", "GET"),
    ("Fields/AdditionalInfo", "GET"),
    ("Accounts/SyncOptions", "GET"),
    ("Accounts/Synchronize", "POST"),
    ("Accounts/Exists", "POST"),
    ("Accounts/Delete", "POST"),
    ("Assets/Create", "POST"),
    ("Assets/Update", "POST"),
    ("Assets/Activate", "POST"),
    ("Assets/Cancel", "POST"),
    ("Subscriptions/Create", "POST"),
    ("Subscriptions/Update", "POST"),
    ("Subscriptions/Activate", "POST"),
    ("Subscriptions/Cancel", "POST"),
    // Not offered, as the answer says; a platform may not let its operator leave their addresses out.
    ("Subscriptions/Suspend", "POST"),
    ("Subscriptions/UpgradeToPaid", "POST"),
    ("Subscriptions/UpgradeDowngrade", "POST"),
    ("Discover", "GET"),
];

/// The application id and the key that a platform made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformCredentials {
    /// The application id.
    pub application_id: Uuid,
    /// The key, as the platform shows it.
    pub key: Secret,
}

/// A platform to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformRequest {
    /// The name, which no other platform or API client has or had.
    pub name: String,
    /// The name of the instance that the platform buys at.
    pub instance: String,
    /// The platform's application id and key. `None`: it makes them when its operator registers this application with the addresses,
    /// and opens nothing until they are on record.
    pub credentials: Option<PlatformCredentials>,
}

/// The addresses of a platform's contract at a host, as in `https://host.example`. They depend on the platform's name alone.
pub fn platform_addresses(base_url: &str, name: &str) -> Vec<view::PlatformAddress> {
    let base_url = base_url.trim_end_matches('/');
    let address = |(function, method)| view::PlatformAddress {
        name: function,
        method,
        url: format!("{base_url}/interworks/{name}/{function}"),
    };
    FUNCTIONS.into_iter().map(address).collect()
}

impl Host {
    /// Registers a platform of the host's owner.
    ///
    /// # Errors
    /// When the name was used before (`platform-name-taken`), there is no such instance, the key is none, or the application is
    /// another platform's.
    pub async fn register_platform(
        &self,
        asked: PlatformRequest,
        actor: &Actor,
    ) -> Result<view::Platform, Error> {
        let instance = self.named_instance(&asked.instance).await?;
        let credentials = match &asked.credentials {
            None => None,
            Some(given) => Some((given.application_id, read(&given.key)?)),
        };
        let new = NewPlatform {
            name: asked.name,
            owner: self.owner().cloned(),
            instance_id: instance.id,
        };
        let credentials = credentials.as_ref().map(|(id, key)| (*id, key));
        let registered = self.record().register_platform(new, credentials, actor).await?;
        self.platform_view(&registered).await
    }

    /// Puts the key on record that a platform has now. The one before is taken for `keep_former` still. An application id is needed
    /// the first time; another one later replaces it, and no former key is taken then.
    ///
    /// # Errors
    /// When there is no such platform (`no-platform`), it was revoked, it has no application id yet
    /// (`platform-without-application`), the key is none, or the application is another platform's.
    pub async fn set_platform_key(
        &self,
        name: &str,
        application_id: Option<Uuid>,
        key: Secret,
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<view::Platform, Error> {
        let key = read(&key)?;
        let platform = self
            .record()
            .set_platform_key(name, self.owner(), (application_id, &key), keep_former, actor)
            .await?;
        self.platform_view(&platform).await
    }

    /// Revokes a platform for good.
    ///
    /// # Errors
    /// When there is no such platform (`no-platform`), or it was revoked before.
    pub async fn revoke_platform(&self, name: &str, actor: &Actor) -> Result<view::Platform, Error> {
        let platform = self.record().revoke_platform(name, self.owner(), actor).await?;
        self.platform_view(&platform).await
    }

    /// The platforms of the host's owner, by name, also those that were revoked. Without an owner, all platforms.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn platforms(&self) -> Result<Vec<view::Platform>, Error> {
        let mut views = Vec::new();
        for platform in self.record().platforms(self.owner()).await? {
            views.push(self.platform_view(&platform).await?);
        }
        Ok(views)
    }

    /// The platform of a name, in any case of its letters, also one that was revoked.
    ///
    /// # Errors
    /// When there is no such platform (`no-platform`), and when the record can't be read.
    pub async fn platform(&self, name: &str) -> Result<view::Platform, Error> {
        let platform = self.record().platform(name, self.owner()).await?;
        self.platform_view(&platform).await
    }

    /// The platform that an application id and a key open its contract for, and the host as that platform is given it: its owner's.
    /// That it buys at its own instance alone is for the caller to heed. `None`: they open nothing.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn for_platform(
        &self,
        application_id: Uuid,
        key: &str,
    ) -> Result<Option<(Self, Platform)>, Error> {
        let Ok(key) = PlatformKey::read(key) else {
            return Ok(None);
        };
        let platform = self.record().platform_of(application_id, &key).await?;
        Ok(platform.map(|platform| {
            let host = match &platform.owner {
                Some(owner) => self.for_owner(owner.clone()),
                None => self.clone(),
            };
            (host, platform)
        }))
    }

    async fn platform_view(&self, platform: &Platform) -> Result<view::Platform, Error> {
        // An instance that was removed meanwhile has no name.
        let instance = self.record().instance_by_id(platform.instance_id).await?;
        Ok(view::Platform::new(
            platform,
            instance.map(|instance| instance.name),
        ))
    }
}

fn read(key: &Secret) -> Result<PlatformKey, NotAPlatformKey> {
    PlatformKey::read(key.expose())
}

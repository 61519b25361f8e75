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
    // These three are not offered, as their answer says; a platform may not let its operator leave their addresses out.
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
    /// The platform's application id and key. `None`: the platform makes them when its operator registers this application with the addresses,
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

    /// Puts the key on record that a platform has now. The former key is taken for `keep_former` still. An application id is needed
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

#[cfg(test)]
mod tests {
    use bss_model::{NewInstance, Owner, Reach};

    use super::*;

    const KEY: &str = "a-key-of-the-platform";

    async fn host() -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path().join("bss")).create().await.unwrap();
        (folder, host)
    }

    async fn instance(host: &Host, owner: Option<Owner>) {
        let new = NewInstance {
            owner,
            name: "esd".to_owned(),
            currency: "EUR".to_owned(),
            options: [("region".to_owned(), "eu".to_owned())].into(),
            reach: Reach::default(),
            plugin: None,
        };
        host.record().create_instance(new, &me()).await.unwrap();
    }

    fn request(key: &str) -> PlatformRequest {
        PlatformRequest {
            name: "shop".to_owned(),
            instance: "esd".to_owned(),
            credentials: Some(PlatformCredentials {
                application_id: Uuid::from_u128(7),
                key: Secret::new(key),
            }),
        }
    }

    fn me() -> Actor {
        Actor::operator("olivia")
    }

    #[test]
    fn the_addresses_are_of_the_name_and_of_nothing_else() {
        let addresses = platform_addresses("https://esd.example/", "shop");
        assert_eq!(addresses, platform_addresses("https://esd.example", "shop"));
        assert_eq!(addresses[0].url, "https://esd.example/interworks/shop/Fields/Get");
        let of = |name| addresses.iter().find(|address| address.name == name).unwrap();
        assert_eq!(
            (of("Assets/Create").method, of("Discover").method),
            ("POST", "GET")
        );
    }

    #[tokio::test]
    async fn a_platform_is_let_in_to_the_host_of_its_owner_by_its_application_and_its_key() {
        let (_folder, host) = host().await;
        let owner: Owner = "reseller-7".parse().unwrap();
        instance(&host, None).await;
        instance(&host, Some(owner.clone())).await;
        let tenants = host.for_owner(owner.clone());
        let registered = tenants.register_platform(request(KEY), &me()).await.unwrap();
        assert_eq!(
            (
                registered.state,
                registered.instance.as_deref(),
                registered.owner.as_deref()
            ),
            ("usable", Some("esd"), Some("reseller-7"))
        );
        let (opened, platform) = host
            .for_platform(Uuid::from_u128(7), &format!(" {KEY}\n"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((opened.owner(), platform.id), (Some(&owner), registered.id));
        for (application, key) in [
            (8, KEY),
            (7, "another-key-of-the-platform"),
            (7, ""),
            (7, "short"),
        ] {
            let opened = host
                .for_platform(Uuid::from_u128(application), key)
                .await
                .unwrap();
            assert!(opened.is_none(), "{application} {key}");
        }
        assert_eq!(host.platforms().await.unwrap(), std::slice::from_ref(&registered));
        assert_eq!(tenants.platform("Shop").await.unwrap(), registered);
        let others = host.for_owner("reseller-8".parse().unwrap());
        assert_eq!(others.platforms().await.unwrap(), []);
        assert_eq!(others.platform("shop").await.unwrap_err().code(), "no-platform");
        assert_eq!(
            others.revoke_platform("shop", &me()).await.unwrap_err().code(),
            "no-platform"
        );
        let error = others.register_platform(request(KEY), &me()).await.unwrap_err();
        assert_eq!(error.code(), "no-instance", "an owner's instance is its own");
        assert_eq!(
            tenants.revoke_platform("shop", &me()).await.unwrap().state,
            "revoked"
        );
        assert!(
            host.for_platform(Uuid::from_u128(7), KEY)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_key_that_is_none_is_refused_and_nothing_is_changed() {
        let (_folder, host) = host().await;
        instance(&host, None).await;
        let error = host.register_platform(request("short"), &me()).await.unwrap_err();
        assert_eq!(error.code(), "platform-key-invalid");
        assert!(!error.to_string().contains("short"), "{error}");
        assert_eq!(host.platforms().await.unwrap(), []);
        host.register_platform(request(KEY), &me()).await.unwrap();
        let key = Secret::new("a key with spaces in it");
        let changed = host
            .set_platform_key("shop", None, key, Duration::ZERO, &me())
            .await;
        assert_eq!(changed.unwrap_err().code(), "platform-key-invalid");
        assert!(
            host.for_platform(Uuid::from_u128(7), KEY)
                .await
                .unwrap()
                .is_some()
        );
    }
}

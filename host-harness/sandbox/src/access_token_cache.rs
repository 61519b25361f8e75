//! Access tokens kept between calls: in memory only, per instance and version of its settings, one acquisition at a
//! time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use crate::limits;

/// The access tokens of all instances. Cloning shares them.
#[derive(Clone, Default)]
pub struct AccessTokenCache {
    instances: Arc<Mutex<HashMap<String, OfInstance>>>,
    /// The access token that is found under every name at first.
    initial: Option<Arc<Zeroizing<String>>>,
}

/// The access tokens of an instance, by name, all obtained with one version of its settings.
#[derive(Default)]
struct OfInstance {
    settings_version: i64,
    slots: HashMap<String, Slot>,
}

/// The access token under one name. The call that holds the lock is the one to get a new access token.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

struct Kept {
    access_token: Zeroizing<String>,
    expires_at_ms: i64,
}

impl fmt::Debug for AccessTokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenCache")
            .field("instances", &"[elided]")
            .finish_non_exhaustive()
    }
}

impl AccessTokenCache {
    /// A cache in which an access token is found under every name until it is dropped or replaced.
    pub(crate) fn holding(access_token: &str) -> Self {
        Self {
            initial: Some(Arc::new(Zeroizing::new(access_token.to_owned()))),
            ..Self::default()
        }
    }

    /// Forgets all of one instance's access tokens: its settings have changed.
    pub fn forget_instance(&self, instance_id: &str) {
        self.lock().remove(instance_id);
    }

    /// The slot of a name. A call whose settings are not the newest any more gets one that no other call sees.
    fn slot(&self, instance_id: &str, settings_version: i64, name: &str) -> Slot {
        let mut instances = self.lock();
        let OfInstance {
            settings_version: newest,
            slots,
        } = instances.entry(instance_id.to_owned()).or_default();
        if settings_version < *newest {
            return Slot::default();
        }
        if settings_version > *newest {
            *newest = settings_version;
            slots.clear();
        }
        if slots.len() >= limits::ACCESS_TOKENS && !slots.contains_key(name) {
            // A guest that makes up names gains nothing but its own cache misses.
            slots.clear();
        }
        let initial = || {
            let kept = self.initial.as_ref().map(|access_token| Kept {
                access_token: access_token.as_ref().clone(),
                expires_at_ms: i64::MAX,
            });
            Arc::new(tokio::sync::Mutex::new(kept))
        };
        slots.entry(name.to_owned()).or_insert_with(initial).clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfInstance>> {
        // Nothing panics while the lock is held, and a map of strings is never half-changed.
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's view of the cache: the access tokens of its instance, and those that the call is about to get.
#[derive(Debug)]
pub struct CallAccessTokens {
    cache: AccessTokenCache,
    instance_id: String,
    settings_version: i64,
    /// The slots that this call holds until it puts the access token or ends; other calls wait for them.
    acquiring: HashMap<String, Acquiring>,
}

struct Acquiring(OwnedMutexGuard<Option<Kept>>);

impl fmt::Debug for Acquiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acquiring([elided])")
    }
}

impl CallAccessTokens {
    /// The view of a call for one instance with one version of its settings.
    pub fn new(cache: AccessTokenCache, instance_id: String, settings_version: i64) -> Self {
        Self {
            cache,
            instance_id,
            settings_version,
            acquiring: HashMap::new(),
        }
    }

    fn slot(&self, name: &str) -> Slot {
        self.cache.slot(&self.instance_id, self.settings_version, name)
    }

    /// The access token under a name; waits for a call that gets it. `None` when this call is the one to get it.
    pub async fn get(&mut self, name: &str, now_ms: i64) -> Option<Zeroizing<String>> {
        if self.acquiring.contains_key(name) {
            return None;
        }
        let mut slot = self.slot(name).lock_owned().await;
        match slot.as_ref() {
            Some(kept) if kept.expires_at_ms > now_ms => Some(kept.access_token.clone()),
            _ => {
                *slot = None;
                self.acquiring.insert(name.to_owned(), Acquiring(slot));
                None
            }
        }
    }

    /// Keeps an access token, and lets the calls that wait for it go on.
    pub async fn put(&mut self, name: &str, access_token: String, expires_at_ms: i64) {
        let kept = Kept {
            access_token: Zeroizing::new(access_token),
            expires_at_ms,
        };
        match self.acquiring.remove(name) {
            Some(Acquiring(mut slot)) => *slot = Some(kept),
            None => *self.slot(name).lock_owned().await = Some(kept),
        }
    }

    /// Forgets an access token that the vendor has refused, unless it has been replaced since.
    pub async fn drop_refused(&mut self, name: &str, access_token: &str) {
        if self.acquiring.contains_key(name) {
            return;
        }
        let mut slot = self.slot(name).lock_owned().await;
        if slot
            .as_ref()
            .is_some_and(|kept| *kept.access_token == access_token)
        {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(cache: &AccessTokenCache, instance: &str) -> CallAccessTokens {
        call_with(cache, instance, 1)
    }

    fn call_with(cache: &AccessTokenCache, instance: &str, settings_version: i64) -> CallAccessTokens {
        CallAccessTokens::new(cache.clone(), instance.to_owned(), settings_version)
    }

    #[tokio::test]
    async fn an_access_token_is_kept_between_calls_until_it_expires() {
        let cache = AccessTokenCache::default();
        call(&cache, "a").put("name", "value".into(), 1_000).await;
        assert_eq!(
            call(&cache, "a").get("name", 999).await.unwrap().as_str(),
            "value"
        );
        assert!(call(&cache, "a").get("name", 1_000).await.is_none());
    }

    #[tokio::test]
    async fn another_instance_never_sees_it() {
        let cache = AccessTokenCache::default();
        call(&cache, "a").put("name", "value".into(), 1_000).await;
        assert!(call(&cache, "b").get("name", 0).await.is_none());
    }

    #[tokio::test]
    async fn other_settings_of_the_instance_never_see_it() {
        let cache = AccessTokenCache::default();
        let mut former = call_with(&cache, "a", 1);
        former.put("name", "former".into(), 1_000).await;
        // Another process saved the settings, so this cache was not told of the change.
        assert!(call_with(&cache, "a", 2).get("name", 0).await.is_none());
        former.put("name", "former".into(), 1_000).await;
        assert!(call_with(&cache, "a", 2).get("name", 0).await.is_none());
        call_with(&cache, "a", 2).put("name", "newer".into(), 1_000).await;
        assert!(former.get("name", 0).await.is_none());
        let newer = call_with(&cache, "a", 2).get("name", 0).await;
        assert_eq!(newer.unwrap().as_str(), "newer");
    }

    #[tokio::test]
    async fn what_a_call_of_before_a_change_puts_after_it_is_kept_for_nobody() {
        let cache = AccessTokenCache::default();
        let mut former = call_with(&cache, "a", 1);
        cache.forget_instance("a");
        assert!(former.get("name", 0).await.is_none());
        former.put("name", "former".into(), 1_000).await;
        assert!(call_with(&cache, "a", 2).get("name", 0).await.is_none());
    }

    #[tokio::test]
    async fn only_one_call_acquires_while_the_others_wait_for_it() {
        let cache = AccessTokenCache::default();
        let mut first = call(&cache, "a");
        assert!(first.get("name", 0).await.is_none());
        let waiting = tokio::spawn({
            let mut second = call(&cache, "a");
            async move { second.get("name", 0).await.map(|value| value.to_string()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.put("name", "value".into(), 1_000).await;
        assert_eq!(waiting.await.unwrap().as_deref(), Some("value"));
    }

    #[tokio::test]
    async fn a_call_that_ends_without_one_lets_the_next_acquire() {
        let cache = AccessTokenCache::default();
        let mut first = call(&cache, "a");
        assert!(first.get("name", 0).await.is_none());
        drop(first);
        assert!(call(&cache, "a").get("name", 0).await.is_none());
    }

    #[tokio::test]
    async fn a_refused_access_token_is_dropped_but_its_successor_is_not() {
        let cache = AccessTokenCache::default();
        call(&cache, "a").put("name", "new".into(), 1_000).await;
        call(&cache, "a").drop_refused("name", "old").await;
        assert!(call(&cache, "a").get("name", 0).await.is_some());
        call(&cache, "a").drop_refused("name", "new").await;
        assert!(call(&cache, "a").get("name", 0).await.is_none());
    }

    #[test]
    fn debug_output_shows_no_access_token() {
        assert!(!format!("{:?}", AccessTokenCache::default()).contains("instances: {"));
    }
}

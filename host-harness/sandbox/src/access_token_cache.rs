//! Access tokens kept between calls: in memory only, per instance and version of its settings, one acquisition at a
//! time.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bss_model::moment::Moment;
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use crate::error::HostLimit;
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
    kept: Moment,
}

impl Kept {
    /// Whether neither clock says that it has expired. The wall clock may have been set back since.
    fn is_good(&self, now: Moment) -> bool {
        let lifetime_ms = self.expires_at_ms.saturating_sub(self.kept.wall_ms);
        let lifetime = Duration::from_millis(u64::try_from(lifetime_ms).unwrap_or_default());
        self.expires_at_ms > now.wall_ms && now.certainly_since(self.kept) < lifetime
    }
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
                kept: Moment::now(),
            });
            Arc::new(tokio::sync::Mutex::new(kept))
        };
        slots.entry(name.to_owned()).or_insert_with(initial).clone()
    }

    /// The slot of a name, if there is one that a call with such settings may see.
    fn existing_slot(&self, instance_id: &str, settings_version: i64, name: &str) -> Option<Slot> {
        let instances = self.lock();
        let of_instance = instances.get(instance_id)?;
        let is_current = settings_version == of_instance.settings_version;
        is_current.then(|| of_instance.slots.get(name).cloned()).flatten()
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
    /// The names that this call has used.
    names: BTreeSet<String>,
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
            names: BTreeSet::new(),
            acquiring: HashMap::new(),
        }
    }

    /// Takes a name, as long as the call has used few.
    fn take_name(&mut self, name: &str) -> Result<(), HostLimit> {
        check_name(name)?;
        if self.names.contains(name) {
            return Ok(());
        }
        if self.names.len() >= limits::ACCESS_TOKEN_NAMES {
            return Err(HostLimit::AccessTokenNames);
        }
        self.names.insert(name.to_owned());
        Ok(())
    }

    fn slot(&self, name: &str) -> Slot {
        self.cache.slot(&self.instance_id, self.settings_version, name)
    }

    /// The access token under a name; waits for a call that gets it. `None` when this call is the one to get it.
    ///
    /// # Errors
    /// When the name is too long, or one too many.
    pub async fn get(&mut self, name: &str, now: Moment) -> Result<Option<Zeroizing<String>>, HostLimit> {
        self.take_name(name)?;
        if self.acquiring.contains_key(name) {
            return Ok(None);
        }
        let mut slot = self.slot(name).lock_owned().await;
        match slot.as_ref() {
            Some(kept) if kept.is_good(now) => Ok(Some(kept.access_token.clone())),
            _ => {
                *slot = None;
                self.acquiring.insert(name.to_owned(), Acquiring(slot));
                Ok(None)
            }
        }
    }

    /// Keeps an access token that is got at that moment, and lets the calls that wait for it go on.
    ///
    /// # Errors
    /// When the access token or its name is too long, or the name is one too many.
    pub async fn put(
        &mut self,
        name: &str,
        access_token: String,
        expires_at_ms: i64,
        now: Moment,
    ) -> Result<(), HostLimit> {
        check_access_token(&access_token)?;
        self.take_name(name)?;
        let kept = Kept {
            access_token: Zeroizing::new(access_token),
            expires_at_ms,
            kept: now,
        };
        match self.acquiring.remove(name) {
            Some(Acquiring(mut slot)) => *slot = Some(kept),
            None => *self.slot(name).lock_owned().await = Some(kept),
        }
        Ok(())
    }

    /// Forgets an access token that the vendor has refused, unless it has been replaced since. A name under which there
    /// is none is not kept.
    ///
    /// # Errors
    /// When the access token or its name is too long.
    pub async fn drop_refused(&mut self, name: &str, access_token: &str) -> Result<(), HostLimit> {
        check_name(name)?;
        check_access_token(access_token)?;
        if self.acquiring.contains_key(name) {
            return Ok(());
        }
        let slot = self
            .cache
            .existing_slot(&self.instance_id, self.settings_version, name);
        let Some(slot) = slot else { return Ok(()) };
        let mut slot = slot.lock_owned().await;
        if slot
            .as_ref()
            .is_some_and(|kept| *kept.access_token == access_token)
        {
            *slot = None;
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), HostLimit> {
    match name.len() {
        0..=limits::ACCESS_TOKEN_NAME_BYTES => Ok(()),
        _ => Err(HostLimit::AccessTokenName),
    }
}

fn check_access_token(access_token: &str) -> Result<(), HostLimit> {
    match access_token.len() {
        0..=limits::ACCESS_TOKEN_BYTES => Ok(()),
        _ => Err(HostLimit::AccessToken),
    }
}

#[cfg(test)]
mod tests {
    use bss_model::moment::{Boot, Uptime};
    use uuid::Uuid;

    use super::*;

    /// A moment that many milliseconds after the start of both clocks.
    fn at(ms: i64) -> Moment {
        let boot = Boot(Uuid::nil());
        Moment {
            wall_ms: ms,
            uptime: Some(Uptime { boot, ms }),
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_makes_no_access_token_good_for_longer() {
        let cache = AccessTokenCache::default();
        let found = async |wall_ms, uptime_ms| {
            let now = Moment {
                wall_ms,
                ..at(uptime_ms)
            };
            call(&cache, "a").get("name", now).await.unwrap().is_some()
        };
        let keep = async || {
            let mut call = call(&cache, "a");
            let kept = call.put("name", "value".into(), 11_000, at(10_000)).await;
            kept.unwrap();
        };
        keep().await;
        assert!(found(10_999, 10_999).await);
        assert!(
            found(0, 10_999).await,
            "it is good for as long as the vendor said"
        );
        assert!(!found(0, 11_000).await);
        keep().await;
        assert!(!found(11_000, 10_001).await, "got anew, which costs a request");
    }

    fn call(cache: &AccessTokenCache, instance: &str) -> CallAccessTokens {
        call_with(cache, instance, 1)
    }

    fn call_with(cache: &AccessTokenCache, instance: &str, settings_version: i64) -> CallAccessTokens {
        CallAccessTokens::new(cache.clone(), instance.to_owned(), settings_version)
    }

    #[tokio::test]
    async fn an_access_token_is_kept_between_calls_until_it_expires() {
        let cache = AccessTokenCache::default();
        call(&cache, "a")
            .put("name", "value".into(), 1_000, at(0))
            .await
            .unwrap();
        assert_eq!(
            call(&cache, "a")
                .get("name", at(999))
                .await
                .unwrap()
                .unwrap()
                .as_str(),
            "value"
        );
        assert!(call(&cache, "a").get("name", at(1_000)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn another_instance_never_sees_it() {
        let cache = AccessTokenCache::default();
        call(&cache, "a")
            .put("name", "value".into(), 1_000, at(0))
            .await
            .unwrap();
        assert!(call(&cache, "b").get("name", at(0)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn other_settings_of_the_instance_never_see_it() {
        let cache = AccessTokenCache::default();
        let mut former = call_with(&cache, "a", 1);
        former.put("name", "former".into(), 1_000, at(0)).await.unwrap();
        // Another process saved the settings, so this cache was not told of the change.
        assert!(
            call_with(&cache, "a", 2)
                .get("name", at(0))
                .await
                .unwrap()
                .is_none()
        );
        former.put("name", "former".into(), 1_000, at(0)).await.unwrap();
        assert!(
            call_with(&cache, "a", 2)
                .get("name", at(0))
                .await
                .unwrap()
                .is_none()
        );
        call_with(&cache, "a", 2)
            .put("name", "newer".into(), 1_000, at(0))
            .await
            .unwrap();
        assert!(former.get("name", at(0)).await.unwrap().is_none());
        let newer = call_with(&cache, "a", 2).get("name", at(0)).await.unwrap();
        assert_eq!(newer.unwrap().as_str(), "newer");
    }

    #[tokio::test]
    async fn what_a_call_of_before_a_change_puts_after_it_is_kept_for_nobody() {
        let cache = AccessTokenCache::default();
        let mut former = call_with(&cache, "a", 1);
        cache.forget_instance("a");
        assert!(former.get("name", at(0)).await.unwrap().is_none());
        former.put("name", "former".into(), 1_000, at(0)).await.unwrap();
        assert!(
            call_with(&cache, "a", 2)
                .get("name", at(0))
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn only_one_call_acquires_while_the_others_wait_for_it() {
        let cache = AccessTokenCache::default();
        let mut first = call(&cache, "a");
        assert!(first.get("name", at(0)).await.unwrap().is_none());
        let waiting = tokio::spawn({
            let mut second = call(&cache, "a");
            async move {
                second
                    .get("name", at(0))
                    .await
                    .unwrap()
                    .map(|value| value.to_string())
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.put("name", "value".into(), 1_000, at(0)).await.unwrap();
        assert_eq!(waiting.await.unwrap().as_deref(), Some("value"));
    }

    #[tokio::test]
    async fn a_call_that_ends_without_one_lets_the_next_acquire() {
        let cache = AccessTokenCache::default();
        let mut first = call(&cache, "a");
        assert!(first.get("name", at(0)).await.unwrap().is_none());
        drop(first);
        assert!(call(&cache, "a").get("name", at(0)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_refused_access_token_is_dropped_but_its_successor_is_not() {
        let cache = AccessTokenCache::default();
        call(&cache, "a")
            .put("name", "new".into(), 1_000, at(0))
            .await
            .unwrap();
        call(&cache, "a").drop_refused("name", "old").await.unwrap();
        assert!(call(&cache, "a").get("name", at(0)).await.unwrap().is_some());
        call(&cache, "a").drop_refused("name", "new").await.unwrap();
        assert!(call(&cache, "a").get("name", at(0)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_call_may_use_a_few_names_as_often_as_it_likes_and_no_more() {
        let cache = AccessTokenCache::default();
        let mut call = call(&cache, "a");
        let name = |number: usize| format!("name {number}");
        for number in (0..limits::ACCESS_TOKEN_NAMES).chain(0..limits::ACCESS_TOKEN_NAMES) {
            assert!(call.get(&name(number), at(0)).await.unwrap().is_none());
        }
        let beyond = name(limits::ACCESS_TOKEN_NAMES);
        assert_eq!(call.get(&beyond, at(0)).await, Err(HostLimit::AccessTokenNames));
        let put = call.put(&beyond, "value".into(), 1_000, at(0)).await;
        assert_eq!(put, Err(HostLimit::AccessTokenNames));
        call.put(&name(0), "value".into(), 1_000, at(0)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_longer_than_any_name_or_access_token_is_taken_nowhere() {
        let cache = AccessTokenCache::default();
        let mut call = call(&cache, "a");
        let name = "n".repeat(limits::ACCESS_TOKEN_NAME_BYTES);
        let access_token = "t".repeat(limits::ACCESS_TOKEN_BYTES);
        call.put(&name, access_token.clone(), 1_000, at(0)).await.unwrap();
        call.drop_refused(&name, &access_token).await.unwrap();
        assert!(call.get(&name, at(0)).await.unwrap().is_none(), "it was dropped");

        let (long_name, long_token) = (name.clone() + "n", access_token.clone() + "t");
        let too_long = Err(HostLimit::AccessTokenName);
        assert_eq!(call.get(&long_name, at(0)).await.map(|_| ()), too_long);
        assert_eq!(
            call.put(&long_name, access_token.clone(), 1_000, at(0)).await,
            too_long
        );
        assert_eq!(call.drop_refused(&long_name, &access_token).await, too_long);
        let too_long = Err(HostLimit::AccessToken);
        assert_eq!(call.put(&name, long_token.clone(), 1_000, at(0)).await, too_long);
        assert_eq!(call.drop_refused(&name, &long_token).await, too_long);
    }

    #[tokio::test]
    async fn to_drop_an_access_token_that_is_not_there_keeps_no_name() {
        let cache = AccessTokenCache::default();
        let slots =
            |cache: &AccessTokenCache| cache.lock().values().map(|kept| kept.slots.len()).sum::<usize>();
        for number in 0..limits::ACCESS_TOKEN_NAMES * 2 {
            let name = format!("name {number}");
            call(&cache, "a").drop_refused(&name, "value").await.unwrap();
        }
        assert_eq!(slots(&cache), 0);
        call(&cache, "a")
            .put("name", "value".into(), 1_000, at(0))
            .await
            .unwrap();
        assert_eq!(slots(&cache), 1);
    }

    #[test]
    fn debug_output_shows_no_access_token() {
        assert!(!format!("{:?}", AccessTokenCache::default()).contains("instances: {"));
    }
}

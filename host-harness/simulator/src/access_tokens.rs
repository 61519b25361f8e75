//! The access tokens that the simulated Entra has granted and that have not expired, in memory only: after a restart,
//! or a revocation, a client meets the 401 that it has to be ready for anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bss_model::Secret;
use uuid::Uuid;

use super::random::{self, NoRandomness};

struct Grant {
    client_id: Uuid,
    expires_at: Instant,
}

/// All grants, each under the SHA-256 of its access token, which can't be used in place of the access token.
pub(super) struct AccessTokens {
    life: Duration,
    grants: Mutex<HashMap<Vec<u8>, Grant>>,
}

impl AccessTokens {
    pub(super) fn new(life: Duration) -> AccessTokens {
        AccessTokens {
            life,
            grants: Mutex::default(),
        }
    }

    /// How long an access token lasts.
    pub(super) fn life(&self) -> Duration {
        self.life
    }

    pub(super) fn grant(&self, client_id: Uuid) -> Result<Secret, NoRandomness> {
        let access_token = random::access_token()?;
        let now = Instant::now();
        let expires_at = now.checked_add(self.life).unwrap_or(now);
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.expires_at > now);
        grants.insert(
            name(access_token.expose()),
            Grant {
                client_id,
                expires_at,
            },
        );
        Ok(access_token)
    }

    /// The client id that an access token was granted to. `None` when it was never granted, or has expired.
    pub(super) fn granted_to(&self, access_token: &str) -> Option<Uuid> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(&name(access_token))?;
        (grant.expires_at > Instant::now()).then_some(grant.client_id)
    }

    pub(super) fn revoke_all(&self) {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn name(access_token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, access_token.as_bytes())
        .as_ref()
        .to_vec()
}

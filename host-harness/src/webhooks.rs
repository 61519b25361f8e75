//! Webhooks: receivers of outcomes, looked at before they are put on record, and told by workers over HTTPS.
//!
//! What is sent follows [Standard Webhooks 1.0.0](https://github.com/standard-webhooks/standard-webhooks): a receiver verifies the
//! signature by any of its libraries, with the secret (`v1`) or with the public key (`v1a`).

mod delivering;
mod event;
mod signature;

use std::time::Duration;

use bss_model::{
    Actor, DeliveryFilter, Diagnose, Diagnosis, ErrorKind, NewWebhook, Page, Rows, Webhook, WebhookKeys,
    WebhookState,
};
use bss_record::WebhookError;
use bss_sandbox::outbound_https::Authority;
use bss_sandbox::system_roots::roots_of_pem;
use uuid::Uuid;

use crate::error::Error;
use crate::host::Host;
use crate::view;

/// The most characters of a receiver's address.
const URL_CHARS_MAX: usize = 2_000;

/// Why a receiver can't be one. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewWebhookError {
    /// The address is none that can be sent to.
    #[error("a webhook needs an address `https://HOST/…` without a user, a password and a `#`")]
    Url,
    /// The authorities to trust contain no certificate.
    #[error("no certificate of an authority can be read")]
    TrustedAuthorities,
}

impl Diagnose for NewWebhookError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Url => Diagnosis::new(ErrorKind::Invalid, "webhook-url-invalid"),
            Self::TrustedAuthorities => Diagnosis::new(ErrorKind::Invalid, "webhook-authorities-invalid")
                .say("give a PEM file with the certificate of the authority that issued the receiver's"),
        }
    }
}

impl Host {
    /// Puts a receiver on record, which is told of the outcomes that come from now on. What is returned has the secret, which is
    /// shown only now and after a [rotation](Host::rotate_webhook). A tenant's host makes a receiver of its own outcomes.
    ///
    /// # Errors
    /// When the address or the authorities can't be used, or there are too many receivers.
    pub async fn create_webhook(
        &self,
        new: NewWebhook,
        actor: &Actor,
    ) -> Result<view::WebhookWithSecret, Error> {
        let owner = self.owner().cloned();
        let new = NewWebhook { owner, ..new };
        check(&new)?;
        let (webhook, keys) = self.record().create_webhook(new, actor).await?;
        Ok(with_secret(&webhook, &keys))
    }

    /// The receivers, the oldest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn webhooks(&self) -> Result<Vec<view::Webhook>, Error> {
        let mut views = Vec::new();
        for webhook in self.record().webhooks(self.owner()).await? {
            views.push(self.webhook_view(&webhook).await?);
        }
        Ok(views)
    }

    /// A receiver.
    ///
    /// # Errors
    /// When there is none of that id (`no-webhook`).
    pub async fn webhook(&self, id: Uuid) -> Result<view::Webhook, Error> {
        self.webhook_view(&self.own_webhook(id).await?).await
    }

    /// The view of a receiver. One whose keys can't be read is shown without, so that it can be given others.
    async fn webhook_view(&self, webhook: &Webhook) -> Result<view::Webhook, Error> {
        let keys = match self.record().webhook_keys(webhook.id).await {
            Err(error) if error.diagnosis().kind == ErrorKind::Damaged => Vec::new(),
            keys => keys?,
        };
        let public_key = keys.first().and_then(signature::public_key);
        Ok(view::Webhook::new(webhook, public_key))
    }

    /// Gives a receiver new keys. The former ones sign as well for a time, in which the receiver learns the new ones.
    ///
    /// # Errors
    /// When there is none of that id (`no-webhook`).
    pub async fn rotate_webhook(
        &self,
        id: Uuid,
        keep_former: Duration,
        actor: &Actor,
    ) -> Result<view::WebhookWithSecret, Error> {
        self.own_webhook(id).await?;
        let (webhook, keys) = self.record().rotate_webhook(id, keep_former, actor).await?;
        Ok(with_secret(&webhook, &keys))
    }

    /// Has a receiver be told, or not. What comes while it is off, it is told of once it is on again.
    ///
    /// # Errors
    /// When there is none of that id (`no-webhook`).
    pub async fn set_webhook_state(
        &self,
        id: Uuid,
        state: WebhookState,
        actor: &Actor,
    ) -> Result<view::Webhook, Error> {
        self.own_webhook(id).await?;
        let webhook = self.record().set_webhook_state(id, state, actor).await?;
        self.webhook_view(&webhook).await
    }

    /// Removes a receiver with all that it was told.
    ///
    /// # Errors
    /// When there is none of that id (`no-webhook`).
    pub async fn remove_webhook(&self, id: Uuid, actor: &Actor) -> Result<view::Webhook, Error> {
        let shown = self.webhook(id).await?;
        self.record().remove_webhook(id, actor).await?;
        Ok(shown)
    }

    /// What receivers were told, in the order of what it tells, or still wait to be.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Rows<view::Delivery>, Error> {
        let deliveries = self.record().deliveries(filter, self.owner(), page).await?;
        Ok(Rows {
            rows: deliveries.rows.iter().map(view::Delivery::from).collect(),
            next: deliveries.next,
        })
    }

    /// The attempts at a delivery, by number.
    ///
    /// # Errors
    /// When there is no such delivery (`no-delivery`).
    pub async fn delivery_attempts(&self, delivery: Uuid) -> Result<Vec<view::DeliveryAttempt>, Error> {
        let attempts = self.record().delivery_attempts(delivery, self.owner()).await?;
        Ok(attempts.iter().map(view::DeliveryAttempt::from).collect())
    }

    /// Has a delivery be sent again now.
    ///
    /// # Errors
    /// When there is no such delivery to the receiver.
    pub async fn redeliver(&self, webhook: Uuid, delivery: Uuid, actor: &Actor) -> Result<(), Error> {
        self.own_webhook(webhook).await?;
        Ok(self.record().redeliver(webhook, delivery, actor).await?)
    }

    /// Has all deliveries to a receiver that have failed be sent again now. Returns their number.
    ///
    /// # Errors
    /// When there is no such receiver.
    pub async fn redeliver_failed(&self, webhook: Uuid, actor: &Actor) -> Result<u64, Error> {
        self.own_webhook(webhook).await?;
        Ok(self.record().redeliver_failed(webhook, actor).await?)
    }

    /// A receiver, if it is the host's owner's.
    async fn own_webhook(&self, id: Uuid) -> Result<Webhook, Error> {
        let found = self.record().webhook(id, self.owner()).await?;
        Ok(found.ok_or(WebhookError::NoWebhook { id })?)
    }
}

fn with_secret(webhook: &Webhook, keys: &WebhookKeys) -> view::WebhookWithSecret {
    view::WebhookWithSecret {
        webhook: view::Webhook::new(webhook, signature::public_key(keys)),
        signing_secret: keys.secret.clone(),
    }
}

fn check(new: &NewWebhook) -> Result<(), NewWebhookError> {
    let is_short = new.url.chars().count() <= URL_CHARS_MAX;
    let uri = new.url.parse::<http::Uri>().ok();
    let target = uri.as_ref().and_then(http::Uri::path_and_query);
    // `https://host?query` has a path, but does not say it.
    let has_path = target.is_some_and(|target| target.as_str().starts_with('/'));
    if Authority::of_url(&new.url).is_none() || new.url.contains('#') || !is_short || !has_path {
        return Err(NewWebhookError::Url);
    }
    match &new.trusted_authorities_pem {
        Some(pem) if roots_of_pem(pem).is_empty() => Err(NewWebhookError::TrustedAuthorities),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_has_an_https_address_that_says_nothing_else() {
        let fits = |url: &str| {
            let new = NewWebhook {
                url: url.to_owned(),
                owner: None,
                kinds: Vec::new(),
                allowed_networks: Vec::new(),
                trusted_authorities_pem: None,
            };
            check(&new).is_ok()
        };
        for url in ["https://shop.example/hooks?to=1", "https://shop.example:8443/"] {
            assert!(fits(url), "{url}");
        }
        for url in [
            "http://shop.example/",
            "https://user:word@shop.example/",
            "https://shop.example/#part",
            "shop.example",
            "https://shop.example?to=1",
            "",
            &format!("https://shop.example/{}", "a".repeat(2_000)),
        ] {
            assert!(!fits(url), "{url}");
        }
    }
}

//! Buying one license, once per client transaction id.

use aws_lc_rs::digest;
use bss_model::Secret;
use data_encoding::HEXLOWER;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::applications::Application;
use super::super::catalog::{Catalog, Offer, OfferStatus};
use super::super::ledger::{Ledger, LedgerCustomer, LedgerEntry, TokenStatus};
use super::super::random::{self, NoRandomness};
use super::errors::Refusal;
use super::query;

/// How long a license can be returned: what Partner Center gives perpetual software since June 2021.
pub(super) const RETURN_WINDOW: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The longest id of an offer, a channel, a reseller or a customer.
const ID_MAX: usize = 100;

/// The longest name of a reseller or a customer.
const NAME_MAX: usize = 256;

/// The body of a purchase. Members that are not here are refused: a caller that sends one expects something of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Purchase {
    pub(super) client_transaction_id: String,
    channel_id: String,
    offer_id: String,
    country: String,
    language: String,
    currency: String,
    quantity: serde_json::Number,
    #[serde(default)]
    reseller: Option<Reseller>,
    customer: Customer,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Reseller {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Customer {
    id: String,
    name: String,
    country: String,
}

/// The license of a purchase.
pub(super) enum Purchased {
    /// Issued now.
    Now(LedgerEntry),
    /// Issued for an earlier request with the same client transaction id and the same content.
    Before(LedgerEntry),
}

impl Purchase {
    /// Checks the shapes, and turns the client transaction id into the lower case in which it is kept.
    pub(super) fn checked(mut self) -> Result<Purchase, Refusal> {
        let id = query::uuid("clientTransactionId", &self.client_transaction_id)?;
        self.client_transaction_id = id.to_string();
        query::text("channelId", &self.channel_id, ID_MAX)?;
        query::text("offerId", &self.offer_id, ID_MAX)?;
        query::letters("country", &self.country, 2)?;
        query::language("language", &self.language)?;
        query::letters("currency", &self.currency, 3)?;
        if let Some(Reseller { id, name }) = &self.reseller {
            query::text("reseller.id", id, ID_MAX)?;
            query::text("reseller.name", name, NAME_MAX)?;
        }
        query::text("customer.id", &self.customer.id, ID_MAX)?;
        query::text("customer.name", &self.customer.name, NAME_MAX)?;
        query::letters("customer.country", &self.customer.country, 2)?;
        if self.quantity.as_f64() != Some(1.0) {
            let message = "every license is its own purchase: `quantity` must be 1";
            return Err(
                Refusal::new(StatusCode::BAD_REQUEST, "QuantityOutOfRange", message).about("quantity"),
            );
        }
        // 1 and 1.0 are the same content.
        self.quantity = 1.into();
        Ok(self)
    }

    /// The SHA-256 of the whole purchase, hex.
    fn digest(&self) -> Result<String, Refusal> {
        let content = serde_json::to_vec(self).map_err(|error| Refusal::internal(&error))?;
        Ok(HEXLOWER.encode(digest::digest(&digest::SHA256, &content).as_ref()))
    }

    /// Buys a license, or finds the one that an earlier request bought, unless `forgets` is set. Earlier purchases are
    /// looked for first: a repeated request gets its license even if the offer is not sold any more.
    pub(super) async fn buy(
        &self,
        application: &Application,
        catalog: &Catalog,
        ledger: &Ledger,
        now: Timestamp,
        forgets: bool,
    ) -> Result<Purchased, Refusal> {
        let content_digest = self.digest()?;
        if !forgets && let Some(original) = self.original(ledger).await? {
            return self.repeated(original, &content_digest, application);
        }
        let offer = self.offer(application, catalog)?;
        let entry = self.entry(application, offer, content_digest, now);
        let entry = entry.map_err(|error| Refusal::internal(&error))?;
        if ledger
            .issue(&entry)
            .await
            .map_err(|error| Refusal::internal(&error))?
        {
            return Ok(Purchased::Now(entry));
        }
        // Another request with that id was faster.
        match self.original(ledger).await? {
            Some(original) if !forgets => self.repeated(original, &entry.content_digest, application),
            _ => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "the ledger lost a license",
            )),
        }
    }

    async fn original(&self, ledger: &Ledger) -> Result<Option<LedgerEntry>, Refusal> {
        let original = ledger.by_client_transaction_id(&self.client_transaction_id).await;
        original.map_err(|error| Refusal::internal(&error))
    }

    fn repeated(
        &self,
        original: LedgerEntry,
        content_digest: &str,
        application: &Application,
    ) -> Result<Purchased, Refusal> {
        if original.content_digest == content_digest
            && original.client_id == application.client_id.to_string()
        {
            return Ok(Purchased::Before(original));
        }
        let message = "the client transaction id was used for another purchase";
        let refusal = Refusal::conflict("DuplicateTransaction", message).about("clientTransactionId");
        // Another application learns nothing of the purchase.
        Err(if original.client_id == application.client_id.to_string() {
            refusal.detail("OriginalTransaction", "transactionId", original.transaction_id)
        } else {
            refusal
        })
    }

    /// The offer, if this application may buy it here and now.
    fn offer<'a>(&self, application: &Application, catalog: &'a Catalog) -> Result<&'a Offer, Refusal> {
        let Purchase {
            channel_id,
            offer_id,
            country,
            ..
        } = self;
        if *channel_id != application.channel_id {
            let message = format!("the application may not buy on channel `{channel_id}`");
            return Err(
                Refusal::new(StatusCode::FORBIDDEN, "ChannelNotAuthorized", message).about("channelId"),
            );
        }
        let Some(offer) = catalog.offer(offer_id) else {
            let message = format!("there is no offer `{offer_id}`");
            return Err(Refusal::new(StatusCode::NOT_FOUND, "OfferNotFound", message).about("offerId"));
        };
        if !catalog.countries.contains(country) || !offer.is_sold_in(country) {
            let message = format!("offer `{offer_id}` is not sold in `{country}`");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "CountryNotAllowed", message).about("country"));
        }
        match offer.status {
            OfferStatus::Active => Ok(offer),
            OfferStatus::Discontinued => {
                let message = format!("offer `{offer_id}` is not sold any more");
                Err(Refusal::conflict("OfferDiscontinued", &message).about("offerId"))
            }
        }
    }

    fn entry(
        &self,
        application: &Application,
        offer: &Offer,
        content_digest: String,
        now: Timestamp,
    ) -> Result<LedgerEntry, NoRandomness> {
        let returnable_until = offer
            .is_returnable
            .then(|| now.saturating_add(RETURN_WINDOW).unwrap_or(now));
        Ok(LedgerEntry {
            number: 0,
            client_transaction_id: self.client_transaction_id.clone(),
            transaction_id: random::uuid()?.to_string(),
            license_token_id: random::uuid()?.to_string(),
            content_digest,
            client_id: application.client_id.to_string(),
            channel_id: self.channel_id.clone(),
            offer_id: self.offer_id.clone(),
            country: self.country.clone(),
            language: self.language.clone(),
            currency: self.currency.clone(),
            reseller_id: self.reseller.as_ref().map(|reseller| reseller.id.clone()),
            reseller_name: self.reseller.as_ref().map(|reseller| reseller.name.clone()),
            customer: LedgerCustomer {
                id: self.customer.id.clone(),
                name: self.customer.name.clone(),
                country: self.customer.country.clone(),
            },
            product_key: random::product_key()?,
            activation_link: activation_link(&self.client_transaction_id)?,
            token_status: TokenStatus::Activated,
            purchased_at_ms: now.as_millisecond(),
            returnable_until_ms: returnable_until.map(Timestamp::as_millisecond),
            return_client_transaction_id: None,
            return_reason: None,
            returned_at_ms: None,
        })
    }
}

/// The link with which a customer redeems the license, in the shape that another integrator of the same API shows.
fn activation_link(client_transaction_id: &str) -> Result<Secret, NoRandomness> {
    let code = random::activation_code()?;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", code.expose())
        .append_pair("ctid", client_transaction_id)
        .finish();
    Ok(Secret::new(format!("https://setup.office.com/?{query}")))
}

/// Whether the application owns the license: to others it does not exist.
pub(super) fn is_owned_by(entry: &LedgerEntry, client_id: Uuid) -> bool {
    entry.client_id == client_id.to_string()
}

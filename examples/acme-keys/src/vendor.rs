//! Acme's API in the contract's words: a page of the catalog, buy, look up, return.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bindings::bss::service_manager::instance_settings::Instance;
use crate::bindings::bss::service_manager::license_order::{
    License, LicenseOrder, LicenseTokenStatus, OrderAnswer, Party, ReturnStatus,
};
use crate::bindings::exports::bss::service_manager::license_lifecycle::{LicenseName, LicenseReturn, LookUp};
#[cfg(not(test))]
use crate::exchange::send;
use crate::exchange::{Answer, Method, Request};
use crate::failure::{Failure, Kind, problem};
use crate::form::Settings;
#[cfg(test)]
use crate::scripted::send;

/// Acme as one instance may use it.
pub(crate) struct Acme(Settings);

/// A page of the catalog.
#[derive(Deserialize)]
pub(crate) struct Page {
    /// The items as they came, so that one that can't be understood costs no other.
    pub(crate) products: Vec<Value>,
    /// The cursor of the next page. `None`: this is the last.
    pub(crate) next: Option<String>,
    #[serde(skip)]
    pub(crate) entity_tag: String,
}

/// A license as Acme writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LicenseBody {
    id: String,
    order_id: String,
    client_id: String,
    state: State,
    product_key: String,
    bought_at_ms: i64,
    returnable_until_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Unused,
    Used,
    Suspended,
    Returned,
}

impl Acme {
    pub(crate) fn of(instance: &Instance) -> Result<Self, Failure> {
        let unusable = |problem| Failure::new(Kind::Misconfigured, problem);
        Settings::of(instance).map(Self).map_err(unusable)
    }

    /// Reads the page at a cursor; an empty one is the first page's. `None`: the catalog is still that of the entity tag.
    pub(crate) fn page(&self, cursor: &str, entity_tag: &str) -> Result<Option<Page>, Failure> {
        let route = match cursor {
            "" => "/products".to_owned(),
            cursor => format!("/products?cursor={}", as_name(cursor)?),
        };
        let if_changed = (!entity_tag.is_empty()).then_some(("if-none-match", entity_tag));
        let answer = self.send(Method::Get, &route, if_changed, Vec::new())?;
        match answer.status {
            200 => {
                let mut page: Page = json(&answer)?;
                page.entity_tag = answer.header("etag").unwrap_or_default().to_owned();
                Ok(Some(page))
            }
            304 if !entity_tag.is_empty() => Ok(None),
            _ => Err(Failure::of(&answer)),
        }
    }

    pub(crate) fn buy(&self, order: &LicenseOrder) -> Result<OrderAnswer, Failure> {
        let party = |party: &Party| json!({"id": party.id, "name": party.name, "country": party.country});
        let body = json!({
            "clientId": order.client_transaction_id,
            "sku": order.product,
            "quantity": order.quantity,
            "customer": party(&order.customer),
            "reseller": order.reseller.as_ref().map(party),
        });
        let answer = self.send(Method::Post, "/licenses", None, body.to_string().into_bytes())?;
        match answer.status {
            201 => license(&answer, &order.client_transaction_id).map(OrderAnswer::Licensed),
            202 => Ok(OrderAnswer::Accepted(answer.retry_after_ms())),
            _ => Err(Failure::of(&answer)),
        }
    }

    /// Looks a purchase up: by Acme's own name for its license, where that is known.
    pub(crate) fn look_up(&self, name: &LicenseName) -> Result<LookUp, Failure> {
        let (client_id, route) = match name {
            LicenseName::Purchase(id) => (id, format!("/licenses?clientId={}", as_name(id)?)),
            LicenseName::License(names) => {
                let route = format!("/licenses/{}", as_name(&names.license_token_id)?);
                (&names.client_transaction_id, route)
            }
        };
        let answer = self.send(Method::Get, &route, None, Vec::new())?;
        match answer.status {
            200 => license(&answer, client_id).map(LookUp::Issued),
            202 => Ok(LookUp::Accepted(answer.retry_after_ms())),
            410 if answer.has_code("order-declined") => Ok(LookUp::Declined(Failure::of(&answer).problem)),
            404 if answer.has_code("license-not-found") => Ok(LookUp::NeverIssued),
            // A 404 of a server on the way, or of a wrong Service URL: a license must not be bought again because of it.
            404 => Err(Failure::malformed(&answer, "a 404 that is not Acme's own")),
            _ => Err(Failure::of(&answer)),
        }
    }

    /// Returns a license, by Acme's name for it. Acme answers in the same way where it was returned before.
    pub(crate) fn return_license(&self, order: &LicenseReturn) -> Result<License, Failure> {
        let route = format!("/licenses/{}", as_name(&order.license.license_token_id)?);
        let once = ("idempotency-key", &*order.client_transaction_id);
        let answer = self.send(Method::Delete, &route, Some(once), Vec::new())?;
        if answer.status != 200 {
            return Err(Failure::of(&answer));
        }
        let license = license(&answer, &order.license.client_transaction_id)?;
        match license.return_status {
            ReturnStatus::Successful => Ok(license),
            ReturnStatus::None => Err(Failure::malformed(&answer, "it shows no return")),
        }
    }

    fn send(
        &self,
        method: Method,
        route: &str,
        header: Option<(&'static str, &str)>,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let json = "application/json";
        let mut headers = vec![("accept", json), ("x-acme-account", &*self.0.account)];
        headers.extend(header);
        if !body.is_empty() {
            headers.push(("content-type", json));
        }
        Ok(send(&Request {
            method,
            authority: &self.0.authority,
            path_with_query: &format!("{}{route}", self.0.path),
            headers,
            body,
        })?)
    }
}

fn json<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    // serde's own words may quote the answer, and so a product key.
    let not_json = |_| Failure::malformed(answer, "it is not what its status promises");
    answer.json().map_err(not_json)
}

/// The license in an answer, which must be that of the purchase.
fn license(answer: &Answer, client_transaction_id: &str) -> Result<License, Failure> {
    let license: LicenseBody = json(answer)?;
    if license.client_id != client_transaction_id {
        return Err(Failure::malformed(answer, "the license is another purchase's"));
    }
    Ok(License {
        client_transaction_id: license.client_id,
        transaction_id: license.order_id,
        license_token_id: license.id,
        product_key: license.product_key,
        activation_link: String::new(),
        return_status: match license.state {
            State::Returned => ReturnStatus::Successful,
            _ => ReturnStatus::None,
        },
        license_token_status: match license.state {
            State::Unused => LicenseTokenStatus::Unused,
            State::Used => LicenseTokenStatus::Used,
            State::Suspended => LicenseTokenStatus::Ended,
            State::Returned => LicenseTokenStatus::Returned,
        },
        purchased_at_ms: license.bought_at_ms,
        returnable_until_ms: license.returnable_until_ms,
    })
}

/// A name that can stand in a URL as it is: all that Acme and the host make up are such names.
fn as_name(name: &str) -> Result<&str, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) {
        let problem = problem("name-invalid", "That can't be a name of Acme's.", "");
        return Err(Failure::new(Kind::Refused, problem));
    }
    Ok(name)
}

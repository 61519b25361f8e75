//! Acme's API in the contract's words: a page of the catalog, buy, look up, return. It decides which answers are beyond doubt Acme's.

use bss_plugin::api::{Answer, Api, ApiError};
use bss_plugin::catalog::Page;
use bss_plugin::http::{HttpRequest, Method, escaped};
use bss_plugin::{
    Instance, License, LicenseName, LicenseOrder, LicenseReturn, LicenseTokenStatus, LookUp, OrderAnswer,
    Party, Platform, ReadFailure, ReturnStatus, Verdict,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::form::Settings;

/// What Acme's API has of its own.
pub(crate) const API: Api = Api {
    vendor: "Acme",
    correlation_header: "x-request-id",
    // No other server has an error of this form.
    error: |response| ApiError::of_members(response, "error", "message"),
    advice: |status| match status {
        401 | 403 => "Check the API key and the account number.",
        404 => "Check Service URL.",
        _ => "",
    },
};

/// The vendor as one instance may use it.
pub(crate) struct Vendor<'a, P> {
    pub(crate) platform: &'a P,
    settings: Settings,
}

/// A page of the catalog as Acme writes it.
#[derive(Deserialize)]
struct PageBody {
    products: Vec<Value>,
    next: Option<String>,
}

/// A license as Acme writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LicenseBody {
    id: String,
    order_id: String,
    client_id: String,
    state: String,
    product_key: String,
    bought_at_ms: i64,
    returnable_until_ms: Option<i64>,
}

impl<'a, P: Platform> Vendor<'a, P> {
    pub(crate) fn of(platform: &'a P, instance: &Instance) -> Result<Self, ReadFailure> {
        let settings = Settings::of(instance).map_err(ReadFailure::Misconfigured)?;
        Ok(Self { platform, settings })
    }

    /// Reads the page at a cursor; an empty one is the first page's. `None`: the catalog is still that of the entity tag.
    pub(crate) fn page(&self, cursor: &str, entity_tag: &str) -> Result<Option<Page<Value>>, Verdict> {
        let route = match cursor {
            "" => "/products".to_owned(),
            cursor => format!("/products?cursor={}", escaped(cursor)),
        };
        let request = self.request(Method::Get, &route);
        let request = request.with_header("if-none-match", entity_tag);
        let answer = API.send(self.platform, &request)?;
        match answer.status() {
            200 => {
                let PageBody { products, next } = answer.json()?;
                Ok(Some(Page::new(products, next, answer.entity_tag())))
            }
            304 if !entity_tag.is_empty() => Ok(None),
            _ => Err(answer.verdict()),
        }
    }

    pub(crate) fn buy(&self, order: &LicenseOrder) -> Result<OrderAnswer, Verdict> {
        let party = |party: &Party| json!({"id": party.id, "name": party.name, "country": party.country});
        let body = json!({
            "clientId": order.client_transaction_id,
            "sku": order.product,
            "quantity": order.quantity,
            "customer": party(&order.customer),
            "reseller": order.reseller.as_ref().map(party),
        });
        let request = self.request(Method::Post, "/licenses");
        let answer = API.send(self.platform, &request.with_json(body.to_string().into_bytes()))?;
        match answer.status() {
            201 => license(&answer, &order.client_transaction_id).map(OrderAnswer::Licensed),
            202 => Ok(OrderAnswer::Accepted(answer.retry_after_ms())),
            _ => Err(answer.verdict()),
        }
    }

    /// Looks a purchase up: by Acme's own name for its license, where that is known.
    pub(crate) fn look_up(&self, name: &LicenseName) -> Result<LookUp, Verdict> {
        let (client_id, route) = match name {
            LicenseName::Purchase(id) => (id, format!("/licenses?clientId={}", escaped(id))),
            LicenseName::License(names) => {
                let route = format!("/licenses/{}", escaped(&names.license_token_id));
                (&names.client_transaction_id, route)
            }
        };
        let answer = API.send(self.platform, &self.request(Method::Get, &route))?;
        match answer.status() {
            200 => license(&answer, client_id).map(LookUp::Issued),
            202 => Ok(LookUp::Accepted(answer.retry_after_ms())),
            410 if answer.says("order-declined") => Ok(LookUp::Declined(answer.verdict().into_problem())),
            404 if answer.says("license-not-found") => Ok(LookUp::NeverIssued),
            // A 404 of a server on the way, or of a wrong Service URL: a license must not be bought again because of it.
            404 => Err(answer.unreadable("a 404 that is not Acme's own")),
            _ => Err(answer.verdict()),
        }
    }

    /// Returns a license, by Acme's name for it. Acme answers in the same way where it was returned before.
    pub(crate) fn return_license(&self, order: &LicenseReturn) -> Result<License, Verdict> {
        let route = format!("/licenses/{}", escaped(&order.license.license_token_id));
        let request = self.request(Method::Delete, &route);
        let request = request.with_header("idempotency-key", &order.client_transaction_id);
        let answer = API.send(self.platform, &request)?;
        let license = match answer.status() {
            200 => license(&answer, &order.license.client_transaction_id)?,
            _ => return Err(answer.verdict()),
        };
        match license.return_status {
            ReturnStatus::Successful => Ok(license),
            ReturnStatus::None => Err(answer.unreadable("it shows no return")),
        }
    }

    /// A request without its body. The host adds the API key to it.
    fn request(&self, method: Method, route: &str) -> HttpRequest {
        let request = HttpRequest::new(method, format!("{}{route}", self.settings.server.url));
        request.with_header("x-acme-account", &self.settings.account)
    }
}

/// The license in an answer, which must be that of the purchase.
fn license(answer: &Answer, client_transaction_id: &str) -> Result<License, Verdict> {
    let license: LicenseBody = answer.json()?;
    if license.client_id != client_transaction_id {
        return Err(answer.unreadable("the license is another purchase's"));
    }
    let (license_token_status, return_status) = match license.state.as_str() {
        "unused" => (LicenseTokenStatus::Unused, ReturnStatus::None),
        "used" => (LicenseTokenStatus::Used, ReturnStatus::None),
        "suspended" => (LicenseTokenStatus::Ended, ReturnStatus::None),
        "returned" => (LicenseTokenStatus::Returned, ReturnStatus::Successful),
        _ => return Err(answer.unreadable("the state of the license is unknown")),
    };
    Ok(License {
        client_transaction_id: license.client_id,
        transaction_id: license.order_id,
        license_token_id: license.id,
        product_key: license.product_key,
        activation_link: String::new(),
        license_token_status,
        return_status,
        purchased_at_ms: license.bought_at_ms,
        returnable_until_ms: license.returnable_until_ms,
    })
}

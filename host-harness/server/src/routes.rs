//! The table of routes: what there is, and whom each is open to.

use bss_model::ApiScope;
use bss_model::ApiScope::{Cancel, Configure, Order, Read, Reveal};

/// A method at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method. Where it is `GET`, `HEAD` is answered too, unless the scope is `reveal`: an act would say that a key was shown.
    pub method: &'static str,
    /// The path, with names in braces for its variable parts.
    pub path: &'static str,
    /// Whom it is open to.
    pub open_to: OpenTo,
}

/// Whom a route is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTo {
    /// Everybody: no key is asked for.
    All,
    /// Clients of the API with a scope.
    Clients(ApiScope),
    /// Platforms that are registered, each in its own addresses.
    Platforms,
}

impl Route {
    /// The methods that are answered.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &'static str> {
        let is_read = !matches!(self.open_to, OpenTo::Clients(Reveal) | OpenTo::Platforms);
        let has_head = self.method == "GET" && is_read;
        [self.method].into_iter().chain(has_head.then_some("HEAD"))
    }
}

const fn open(path: &'static str) -> Route {
    Route {
        method: "GET",
        path,
        open_to: OpenTo::All,
    }
}

const fn route(method: &'static str, path: &'static str, scope: ApiScope) -> Route {
    Route {
        method,
        path,
        open_to: OpenTo::Clients(scope),
    }
}

/// The calls of the platform's contract, which are told apart behind the key: how a path is written is not the same everywhere.
const fn platform(method: &'static str) -> Route {
    Route {
        method,
        path: "/interworks/{application}/{*call}",
        open_to: OpenTo::Platforms,
    }
}

/// All routes. What is not in here is not let through.
pub const ROUTES: &[Route] = &[
    open("/healthz"),
    open("/readyz"),
    route("GET", "/metrics", ApiScope::Administer),
    open("/v1/openapi.json"),
    open("/v1/reference"),
    route("GET", "/v1/instances", Read),
    route("POST", "/v1/instances", Configure),
    route("GET", "/v1/instances/{instance}", Read),
    route("DELETE", "/v1/instances/{instance}", Configure),
    route("POST", "/v1/instances/{instance}/renaming", Configure),
    route("POST", "/v1/instances/{instance}/disablement", Configure),
    route("POST", "/v1/instances/{instance}/enablement", Configure),
    route("GET", "/v1/instances/{instance}/spending", Read),
    route("POST", "/v1/instances/{instance}/connection-checks", Configure),
    route("POST", "/v1/instances/{instance}/certificate-rotation", Configure),
    route("GET", "/v1/instances/{instance}/products", Read),
    route("GET", "/v1/instances/{instance}/products/{product}", Read),
    route(
        "GET",
        "/v1/instances/{instance}/products/{product}/price-changes",
        Read,
    ),
    route(
        "DELETE",
        "/v1/instances/{instance}/products/{product}/prices/{currency}",
        Configure,
    ),
    route("POST", "/v1/instances/{instance}/product-decisions", Configure),
    route("POST", "/v1/instances/{instance}/prices", Configure),
    route("GET", "/v1/instances/{instance}/services-definition", Read),
    route("GET", "/v1/instances/{instance}/services-runs", Read),
    route("POST", "/v1/instances/{instance}/services-runs", Configure),
    route("GET", "/v1/instances/{instance}/services-runs/{run}", Read),
    route("GET", "/v1/instances/{instance}/services-runs/{run}/log", Read),
    route(
        "GET",
        "/v1/instances/{instance}/services-runs/{run}/differences",
        Read,
    ),
    route(
        "POST",
        "/v1/instances/{instance}/services-runs/{run}/acceptance",
        Configure,
    ),
    route("GET", "/v1/instances/{instance}/settings", Configure),
    route("PATCH", "/v1/instances/{instance}/settings", Configure),
    route("GET", "/v1/instances/{instance}/settings-versions", Configure),
    route("GET", "/v1/certificates", Configure),
    route("POST", "/v1/certificates", Configure),
    route("GET", "/v1/certificates/{thumbprint}", Configure),
    route("DELETE", "/v1/certificates/{thumbprint}", Configure),
    route("POST", "/v1/self-signed-certificates", Configure),
    route("GET", "/v1/certificate-requests", Configure),
    route("POST", "/v1/certificate-requests", Configure),
    route("DELETE", "/v1/certificate-requests/{publicKey}", Configure),
    route("GET", "/v1/orders", Read),
    route("POST", "/v1/orders", Order),
    route("GET", "/v1/orders/{order}", Read),
    route("POST", "/v1/orders/{order}/withdrawal", Cancel),
    route("POST", "/v1/order-checks", Order),
    route("GET", "/v1/events", Read),
    route("GET", "/v1/assets", Read),
    route("GET", "/v1/assets/{asset}", Read),
    route("POST", "/v1/assets/{asset}/retry", Order),
    route("POST", "/v1/assets/{asset}/refresh", Order),
    route("GET", "/v1/assets/{asset}/attempts", Read),
    route("GET", "/v1/assets/{asset}/key", Reveal),
    route("GET", "/v1/assets/{asset}/cancellations", Read),
    route("POST", "/v1/assets/{asset}/cancellations", Cancel),
    route("GET", "/v1/cancellations", Read),
    route("GET", "/v1/cancellations/{cancellation}", Read),
    route("POST", "/v1/cancellations/{cancellation}/confirmation", Cancel),
    route("POST", "/v1/cancellations/{cancellation}/declination", Cancel),
    route("POST", "/v1/cancellations/{cancellation}/withdrawal", Cancel),
    route("GET", "/v1/charges", Read),
    route("GET", "/v1/credits", Read),
    route("GET", "/v1/mails", Read),
    route("GET", "/v1/mails/{mail}", Read),
    route("POST", "/v1/mails/{mail}/retry", Order),
    route("POST", "/v1/mails/{mail}/copies", Reveal),
    route("GET", "/v1/alerts", Read),
    route("POST", "/v1/alert-acknowledgements", ApiScope::Administer),
    route("GET", "/v1/acts", ApiScope::Administer),
    route("GET", "/v1/acts/digest", ApiScope::Administer),
    platform("GET"),
    platform("POST"),
];

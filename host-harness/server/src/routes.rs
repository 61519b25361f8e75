//! The table of routes: what there is, and the scope that each needs.

use bss_model::ApiScope;
use bss_model::ApiScope::{Cancel, Order, Read, Reveal};

/// A method at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method. Where it is `GET`, `HEAD` is answered too, unless the scope is `reveal`: an act would say that a key was shown.
    pub method: &'static str,
    /// The path, with names in braces for its variable parts.
    pub path: &'static str,
    /// The scope that a client needs. `None`: no key is asked for.
    pub scope: Option<ApiScope>,
}

impl Route {
    /// The methods that are answered.
    pub(crate) fn methods(&self) -> impl Iterator<Item = &'static str> {
        let has_head = self.method == "GET" && self.scope != Some(Reveal);
        [self.method].into_iter().chain(has_head.then_some("HEAD"))
    }
}

const fn route(method: &'static str, path: &'static str, scope: Option<ApiScope>) -> Route {
    Route { method, path, scope }
}

/// All routes. What is not in here is not let through.
pub const ROUTES: &[Route] = &[
    route("GET", "/healthz", None),
    route("GET", "/readyz", None),
    route("GET", "/metrics", Some(ApiScope::Administer)),
    route("GET", "/v1/instances", Some(Read)),
    route("GET", "/v1/instances/{instance}", Some(Read)),
    route("GET", "/v1/instances/{instance}/products", Some(Read)),
    route("GET", "/v1/orders", Some(Read)),
    route("POST", "/v1/orders", Some(Order)),
    route("GET", "/v1/orders/{order}", Some(Read)),
    route("POST", "/v1/orders/{order}/withdrawal", Some(Cancel)),
    route("POST", "/v1/order-checks", Some(Order)),
    route("GET", "/v1/assets", Some(Read)),
    route("GET", "/v1/assets/{asset}", Some(Read)),
    route("GET", "/v1/assets/{asset}/attempts", Some(Read)),
    route("GET", "/v1/assets/{asset}/key", Some(Reveal)),
    route("GET", "/v1/assets/{asset}/cancellations", Some(Read)),
    route("POST", "/v1/assets/{asset}/cancellations", Some(Cancel)),
    route("GET", "/v1/cancellations/{cancellation}", Some(Read)),
    route(
        "POST",
        "/v1/cancellations/{cancellation}/confirmation",
        Some(Cancel),
    ),
    route(
        "POST",
        "/v1/cancellations/{cancellation}/declination",
        Some(Cancel),
    ),
    route(
        "POST",
        "/v1/cancellations/{cancellation}/withdrawal",
        Some(Cancel),
    ),
];

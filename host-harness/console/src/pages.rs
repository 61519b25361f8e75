//! The table of pages: what there is, and whom each is open to.

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use bss_model::ApiScope;
use bss_model::ApiScope::{Administer, Cancel, Configure, Order, Read, Reveal};

use crate::console::Console;
use crate::static_files;

mod alerts;
mod api_clients;
mod assets;
mod audit;
mod cancellations;
mod certificates;
mod charges;
mod connection_check;
mod countries;
mod customers;
mod house;
mod instances;
mod mails;
mod operators;
mod order_form;
mod orders;
mod overview;
mod platforms;
mod plugins;
mod prerequisites;
mod products;
mod runs;
mod sales;
mod settings;
pub(crate) mod sign_in;
mod traces;
mod webhooks;
mod welcome;
mod wrong;

/// A method at an address of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// `GET`, which changes nothing, or `POST`.
    pub method: &'static str,
    /// The path, with names in braces for its variable parts.
    pub path: &'static str,
    /// Whom it is open to.
    pub open_to: OpenTo,
}

/// Whom a page is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTo {
    /// Everybody: nobody has to be signed in.
    All,
    /// Operators who may do that.
    Operators(ApiScope),
}

macro_rules! pages {
    ($($method:ident $path:literal => $open_to:expr, $answer:expr;)*) => {
        /// All pages of the console, and what is done there.
        pub const PAGES: &[Page] = &[$(Page {
            method: method_name(stringify!($method)),
            path: $path,
            open_to: $open_to,
        }),*];

        fn routed() -> Vec<(&'static str, MethodRouter<Console>)> {
            vec![$(($path, $method($answer))),*]
        }
    };
}

/// The name of a method, from the function that routes it.
const fn method_name(function: &str) -> &'static str {
    match function.as_bytes() {
        b"get" => "GET",
        _ => "POST",
    }
}

const ALL: OpenTo = OpenTo::All;

const fn may(scope: ApiScope) -> OpenTo {
    OpenTo::Operators(scope)
}

pages! {
    get "/console/static/{tag}/{name}" => ALL, static_files::answer;
    get "/console/sign-in" => ALL, sign_in::show;
    post "/console/sign-in" => ALL, sign_in::sign_in;
    get "/console/welcome" => ALL, welcome::show;
    post "/console/welcome" => ALL, welcome::choose;
    post "/console/sign-out" => may(Read), sign_in::sign_out;
    get "/" => ALL, overview::begin;
    get "/console" => ALL, overview::begin;
    get "/console/" => may(Read), overview::show;
    get "/console/orders" => may(Read), orders::list;
    get "/console/orders/new" => may(Order), orders::new;
    post "/console/orders/new" => may(Order), orders::place;
    get "/console/orders/{order}" => may(Read), orders::show;
    get "/console/orders/{order}/lines" => may(Read), orders::lines;
    post "/console/orders/{order}/withdrawal" => may(Cancel), orders::withdraw;
    get "/console/assets" => may(Read), assets::list;
    get "/console/assets/{asset}" => may(Read), assets::show;
    get "/console/assets/{asset}/progress" => may(Read), assets::progress;
    post "/console/assets/{asset}/key" => may(Reveal), assets::key;
    post "/console/assets/{asset}/retry" => may(Order), assets::retry;
    post "/console/assets/{asset}/refresh" => may(Order), assets::refresh;
    get "/console/assets/{asset}/cancellation" => may(Cancel), assets::ask_to_cancel;
    post "/console/assets/{asset}/cancellation" => may(Cancel), assets::cancel;
    get "/console/cancellations" => may(Read), cancellations::list;
    get "/console/cancellations/recent" => may(Read), cancellations::recent;
    get "/console/cancellations/{cancellation}" => may(Read), cancellations::show;
    post "/console/cancellations/{cancellation}/confirmation" => may(Cancel), cancellations::confirm;
    post "/console/cancellations/{cancellation}/declination" => may(Cancel), cancellations::decline;
    post "/console/cancellations/{cancellation}/withdrawal" => may(Cancel), cancellations::withdraw;
    get "/console/customers" => may(Read), customers::list;
    get "/console/customers/{customer}" => may(Read), customers::show;
    get "/console/find" => may(Read), customers::find;
    get "/console/instances" => may(Read), instances::list;
    get "/console/instances/new" => may(Configure), instances::begin;
    post "/console/instances/new" => may(Configure), instances::create;
    get "/console/instances/{instance}" => may(Read), instances::show;
    post "/console/instances/{instance}/name" => may(Configure), instances::rename;
    post "/console/instances/{instance}/disablement" => may(Configure), instances::disable;
    post "/console/instances/{instance}/enablement" => may(Configure), instances::enable;
    post "/console/instances/{instance}/removal" => may(Configure), instances::remove;
    get "/console/instances/{instance}/settings" => may(Configure), settings::show;
    post "/console/instances/{instance}/settings" => may(Configure), settings::save;
    get "/console/instances/{instance}/settings/history" => may(Configure), settings::history;
    post "/console/instances/{instance}/connection-check" => may(Configure), connection_check::check;
    get "/console/instances/{instance}/certificate-rotation" => may(Configure), settings::choose_certificate;
    post "/console/instances/{instance}/certificate-rotation" => may(Configure), settings::rotate_certificate;
    get "/console/instances/{instance}/runs" => may(Read), runs::list;
    post "/console/instances/{instance}/runs" => may(Configure), runs::start;
    get "/console/instances/{instance}/runs/{run}" => may(Read), runs::show;
    get "/console/instances/{instance}/runs/{run}/progress" => may(Read), runs::progress;
    get "/console/instances/{instance}/runs/{run}/log" => may(Read), runs::download_log;
    post "/console/instances/{instance}/runs/{run}/acceptance" => may(Configure), runs::accept;
    get "/console/instances/{instance}/products" => may(Read), products::list;
    post "/console/instances/{instance}/products" => may(Configure), products::decide;
    get "/console/instances/{instance}/products/{product}" => may(Read), products::show;
    post "/console/instances/{instance}/products/{product}/price" => may(Configure), products::set_price;
    post "/console/instances/{instance}/products/{product}/price-removal" => may(Configure), products::remove_price;
    get "/console/certificates" => may(Configure), certificates::list;
    post "/console/certificates/import" => may(Configure), certificates::import;
    post "/console/certificates/self-signed" => may(Configure), certificates::make;
    post "/console/certificates/requests" => may(Configure), certificates::request;
    get "/console/certificates/requests/{key}" => may(Configure), certificates::show_request;
    post "/console/certificates/requests/{key}/removal" => may(Configure), certificates::remove_request;
    get "/console/certificates/{thumbprint}" => may(Configure), certificates::show;
    post "/console/certificates/{thumbprint}/removal" => may(Configure), certificates::remove;
    get "/console/prerequisites" => may(Configure), prerequisites::show;
    post "/console/prerequisites" => may(Configure), prerequisites::look;
    get "/console/alerts" => may(Read), alerts::list;
    post "/console/alerts" => may(Administer), alerts::acknowledge;
    get "/console/charges" => may(Read), charges::list;
    get "/console/credits" => may(Read), charges::credits;
    get "/console/report" => may(Read), charges::report;
    get "/console/mails" => may(Read), mails::list;
    get "/console/mails/{mail}" => may(Read), mails::show;
    get "/console/mails/{mail}/preview" => may(Read), mails::preview;
    post "/console/mails/{mail}/retry" => may(Order), mails::retry;
    post "/console/mails/{mail}/release" => may(Administer), mails::release;
    post "/console/mails/{mail}/copies" => may(Reveal), mails::resend;
    get "/console/platforms" => may(Configure), platforms::list;
    post "/console/platforms" => may(Configure), platforms::register;
    get "/console/platforms/{platform}" => may(Configure), platforms::show;
    post "/console/platforms/{platform}/key" => may(Configure), platforms::set_key;
    post "/console/platforms/{platform}/revoke" => may(Configure), platforms::revoke;
    post "/console/api-clients" => may(Configure), api_clients::create;
    get "/console/api-clients/{client}" => may(Configure), api_clients::show;
    post "/console/api-clients/{client}/rotate" => may(Configure), api_clients::rotate;
    post "/console/api-clients/{client}/revoke" => may(Configure), api_clients::revoke;
    post "/console/webhooks" => may(Configure), webhooks::create;
    get "/console/webhooks/{webhook}" => may(Configure), webhooks::show;
    get "/console/webhooks/{webhook}/deliveries/{delivery}" => may(Configure), webhooks::attempts;
    post "/console/webhooks/{webhook}/test" => may(Configure), webhooks::test;
    post "/console/webhooks/{webhook}/state" => may(Configure), webhooks::switch;
    post "/console/webhooks/{webhook}/redeliver" => may(Configure), webhooks::redeliver;
    post "/console/webhooks/{webhook}/rotate" => may(Configure), webhooks::rotate;
    post "/console/webhooks/{webhook}/remove" => may(Configure), webhooks::remove;
    get "/console/plugins" => may(Configure), plugins::list;
    get "/console/operators" => may(Administer), operators::list;
    post "/console/operators" => may(Administer), operators::create;
    get "/console/operators/{operator}" => may(Administer), operators::show;
    post "/console/operators/{operator}/change" => may(Administer), operators::change;
    post "/console/operators/{operator}/invite" => may(Administer), operators::invite;
    post "/console/operators/{operator}/disable" => may(Administer), operators::disable;
    post "/console/operators/{operator}/enable" => may(Administer), operators::enable;
    post "/console/operators/{operator}/sessions/{session}/end" => may(Administer), operators::end_session;
    get "/console/me" => may(Read), operators::show_me;
    post "/console/me/sessions/end" => may(Read), operators::end_mine;
    get "/console/audit" => may(Administer), audit::list;
    get "/console/audit/digest" => may(Administer), audit::verify;
    get "/console/traces" => may(Administer), traces::list;
    get "/console/traces/{call}" => may(Administer), traces::show;
}

/// The routes of all pages. What none has is answered by the guard.
pub(crate) fn routes() -> Router<Console> {
    let mut router = Router::new();
    for (path, page) in routed() {
        router = router.route(path, page);
    }
    router.route("/console/{*rest}", get(async || ()).post(async || ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_listed_twice_and_every_path_is_the_consoles() {
        for (index, page) in PAGES.iter().enumerate() {
            assert!(
                ["/", "/console"].contains(&page.path) || page.path.starts_with("/console/"),
                "{page:?}"
            );
            let same = |other: &Page| (other.method, other.path) == (page.method, page.path);
            assert!(!PAGES[..index].iter().any(same), "{page:?}");
        }
        // axum refuses what overlaps.
        drop(routes());
    }
}

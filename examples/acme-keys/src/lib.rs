//! A service manager for Acme Keys, a made-up vendor that has an API key and no certificate: the example that plugin
//! authors copy.
//!
//! Three rules make the difference between a plugin and one that loses licenses:
//! - What may have been bought is never called refused: `failure` sorts every end of a request by that.
//! - After earlier attempts, a purchase begins with a look-up: `create_license`.
//! - Only an answer that is beyond doubt the vendor's own says that there is no license: `vendor`.

mod bindings;
mod catalog;
mod exchange;
// Other linkers refuse the names of a component's exports.
#[cfg(target_family = "wasm")]
mod export;
mod failure;
mod form;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
mod vendor;

use std::time::Instant;

use bindings::bss::service_manager::failures::{ChangeFailure, ReadFailure};
use bindings::bss::service_manager::instance_settings::{Draft, Form, Instance};
use bindings::bss::service_manager::license_order::{EarlierAttempts, License, LicenseOrder, OrderAnswer};
use bindings::bss::service_manager::services_definition::Outcome;
use bindings::exports::bss::service_manager::connection::{self, Step, StepResult};
use bindings::exports::bss::service_manager::license_lifecycle::{self, LicenseName, LicenseReturn, LookUp};
use bindings::exports::bss::service_manager::service_manager::{self, Description, HarmlessFields};

use failure::Failure;
use vendor::Acme;

/// The component. The host runs each call in a fresh sandbox, so it holds nothing.
struct Plugin;

impl service_manager::Guest for Plugin {
    fn describe() -> Description {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Description {
            id: "acme-keys".to_owned(),
            vendor: "Acme".to_owned(),
            offering: "Acme Keys".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: Vec::new(),
            correlation_headers: names(&[exchange::CORRELATION_HEADER]),
            harmless: HarmlessFields {
                requests: names(&["cursor", "sku", "quantity"]),
                // What a list or an object holds stays only where its own name is harmless, too.
                answers: names(&[
                    "products",
                    "sku",
                    "name",
                    "description",
                    "kind",
                    "edition",
                    "maxQuantity",
                    "quantity",
                    "state",
                    "next",
                    "error",
                ]),
            },
        }
    }

    fn configure_instance(draft: Draft) -> Form {
        form::configure_instance(&draft)
    }

    fn fetch_services(instance: Instance, entity_tag: String) -> Result<Outcome, ReadFailure> {
        Ok(catalog::read(&Acme::of(&instance)?, &entity_tag)?)
    }

    fn create_license(instance: Instance, order: LicenseOrder) -> Result<OrderAnswer, ChangeFailure> {
        let earlier_attempts = match order.check_only {
            true => EarlierAttempts::None,
            false => order.earlier_attempts,
        };
        let stopped = |failure: Failure| failure.before_the_change(earlier_attempts);
        let acme = Acme::of(&instance).map_err(stopped)?;
        if order.check_only {
            return Ok(OrderAnswer::Valid);
        }
        if earlier_attempts != EarlierAttempts::None {
            let purchase = LicenseName::Purchase(order.client_transaction_id.clone());
            match acme.look_up(&purchase).map_err(stopped)? {
                LookUp::Issued(license) => return Ok(OrderAnswer::Licensed(license)),
                LookUp::Accepted(after_ms) => return Ok(OrderAnswer::Accepted(after_ms)),
                LookUp::Declined(problem) => return Err(ChangeFailure::Refused(problem)),
                LookUp::NeverIssued => {}
            }
        }
        Ok(acme.buy(&order)?)
    }
}

impl license_lifecycle::Guest for Plugin {
    fn get_license(instance: Instance, name: LicenseName) -> Result<LookUp, ReadFailure> {
        Ok(Acme::of(&instance)?.look_up(&name)?)
    }

    fn cancel_license(instance: Instance, license_return: LicenseReturn) -> Result<License, ChangeFailure> {
        let stopped = |failure: Failure| failure.before_the_change(license_return.earlier_attempts);
        let acme = Acme::of(&instance).map_err(stopped)?;
        Ok(acme.return_license(&license_return)?)
    }
}

impl connection::Guest for Plugin {
    fn check_connection(instance: Instance) -> Vec<Step> {
        let since = Instant::now();
        let page = Acme::of(&instance).and_then(|acme| acme.page("", ""));
        vec![Step {
            id: "catalog-readable".to_owned(),
            name: "The catalog can be read with the API key".to_owned(),
            result: match page {
                Ok(_) => StepResult::Passed,
                Err(failure) => StepResult::Failed(failure.problem),
            },
            took_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        }]
    }
}

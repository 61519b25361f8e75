//! A service manager for Acme Keys, a made-up vendor that has an API key and no certificate: the example that plugin
//! authors copy.
//!
//! Three rules make the difference between a plugin and one that loses licenses. `bss-plugin` keeps the first two:
//! - What may have been bought is never called refused.
//! - After earlier attempts, a purchase begins with a look-up.
//! - Only an answer that is beyond doubt the vendor's own says that there is no license, or refuses one: `vendor`.

mod catalog;
mod form;
#[cfg(test)]
mod tests;
mod vendor;

use bss_plugin::{
    Attempted, Description, Draft, Form, HarmlessFields, Host, Instance, License, LicenseName, LicenseOrder,
    LicenseReturn, LookUp, OrderAnswer, Outcome, Platform, ReadFailure, ServiceManager, Step, attempt,
};
use vendor::Vendor;

/// The plugin, on the host or on a platform that a test has scripted.
#[derive(Default)]
struct Plugin<P>(P);

bss_plugin::export!(Plugin<Host>);

/// The members of answers that tell nothing of a customer. What a list or an object holds stays only where its own name is
/// here, too.
const HARMLESS_ANSWERS: &str =
    "products sku name description kind edition maxQuantity quantity state next error";

impl<P: Platform> ServiceManager for Plugin<P> {
    fn describe(&self) -> Description {
        let names = |names: &str| names.split(' ').map(str::to_owned).collect();
        Description {
            correlation_headers: names(vendor::API.correlation_header),
            harmless: HarmlessFields {
                requests: names("cursor sku quantity"),
                answers: names(HARMLESS_ANSWERS),
            },
            ..Description::new("acme-keys", "Acme", "Acme Keys", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure_instance(&self, draft: &Draft) -> Form {
        form::configure_instance(draft)
    }

    fn fetch_services(&self, instance: &Instance, entity_tag: &str) -> Result<Outcome, ReadFailure> {
        catalog::read(&Vendor::of(&self.0, instance)?, entity_tag)
    }

    fn create_license(&self, instance: &Instance, order: &LicenseOrder) -> Attempted<OrderAnswer> {
        let purchase = LicenseName::Purchase(order.client_transaction_id.clone());
        attempt::purchase(
            order,
            || Vendor::of(&self.0, instance),
            |vendor| Ok(vendor.look_up(&purchase)?),
            |vendor| Ok(vendor.buy(order)?),
        )
    }

    fn get_license(&self, instance: &Instance, name: &LicenseName) -> Result<LookUp, ReadFailure> {
        Ok(Vendor::of(&self.0, instance)?.look_up(name)?)
    }

    fn cancel_license(&self, instance: &Instance, license_return: &LicenseReturn) -> Attempted<License> {
        attempt::license_return(
            license_return,
            || Vendor::of(&self.0, instance),
            |vendor| Ok(vendor.return_license(license_return)?),
        )
    }

    fn check_connection(&self, instance: &Instance) -> Vec<Step> {
        let name = "The catalog can be read with the API key";
        vec![Step::tried(&self.0, "catalog-readable", name, || {
            Ok(Vendor::of(&self.0, instance)?.page("", "")?)
        })]
    }
}

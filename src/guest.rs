//! The component boundary: every call runs in a fresh sandbox, so nothing is kept here.

mod host;

use bss_plugin::{
    Attempted, Description, Draft, Form, Host, Instance, License, LicenseName, LicenseOrder, LicenseReturn,
    LookUp, OrderAnswer, Outcome, ReadFailure, ServiceManager, Step,
};

/// The component.
#[derive(Default)]
struct Plugin;

bss_plugin::export!(Plugin);

impl ServiceManager for Plugin {
    fn describe(&self) -> Description {
        crate::description::description()
    }

    fn configure_instance(&self, draft: &Draft) -> Form {
        crate::instance_settings::configure_instance(&Host, draft)
    }

    fn fetch_services(&self, instance: &Instance, entity_tag: &str) -> Result<Outcome, ReadFailure> {
        crate::services_definition::fetch_services(&Host, instance, entity_tag)
    }

    fn create_license(&self, instance: &Instance, order: &LicenseOrder) -> Attempted<OrderAnswer> {
        crate::license_order::create_license(&Host, instance, order)
    }

    fn get_license(&self, instance: &Instance, name: &LicenseName) -> Result<LookUp, ReadFailure> {
        crate::license_lifecycle::get_license(&Host, instance, name)
    }

    fn cancel_license(&self, instance: &Instance, license_return: &LicenseReturn) -> Attempted<License> {
        crate::license_lifecycle::cancel_license(&Host, instance, license_return)
    }

    fn check_connection(&self, instance: &Instance) -> Vec<Step> {
        crate::connection::check_connection(&Host, instance)
    }
}

//! What a plugin is: everything that the host may ask of it.

use crate::attempt::Attempted;
use crate::bindings::bss::service_manager::failures::{ChangeFailure, ReadFailure};
use crate::bindings::bss::service_manager::instance_settings::{Draft, Form, Instance};
use crate::bindings::bss::service_manager::license_order::{License, LicenseOrder, OrderAnswer};
use crate::bindings::bss::service_manager::services_definition::Outcome;
use crate::bindings::exports::bss::service_manager::connection::{self, Step, StepResult};
use crate::bindings::exports::bss::service_manager::license_lifecycle::{
    self, LicenseName, LicenseReturn, LookUp,
};
use crate::bindings::exports::bss::service_manager::service_manager::{self, Description, HarmlessFields};
use crate::platform::Platform;

/// A plugin. Each call has one of its own, in a fresh sandbox, so that it keeps nothing.
pub trait ServiceManager {
    /// Says who the plugin is. Reaches nobody.
    fn describe(&self) -> Description;

    /// Judges what an operator has typed so far and answers with the whole form. Reaches nobody, and saves nothing.
    fn configure_instance(&self, draft: &Draft) -> Form;

    /// Reads the vendor's catalog to its end.
    ///
    /// # Errors
    /// A page that can't be had or read ends the reading: the host then applies nothing of it.
    fn fetch_services(&self, instance: &Instance, entity_tag: &str) -> Result<Outcome, ReadFailure>;

    /// Buys one license, by [`attempt::purchase`](crate::attempt::purchase).
    fn create_license(&self, instance: &Instance, order: &LicenseOrder) -> Attempted<OrderAnswer>;

    /// Looks a purchase or its license up, and changes nothing.
    ///
    /// # Errors
    /// The vendor does not say for certain.
    fn get_license(&self, instance: &Instance, name: &LicenseName) -> Result<LookUp, ReadFailure>;

    /// Returns a license, by [`attempt::license_return`](crate::attempt::license_return). One that was returned before is answered like
    /// one returned now.
    fn cancel_license(&self, instance: &Instance, license_return: &LicenseReturn) -> Attempted<License>;

    /// Goes through the steps to the vendor in order and stops trying at the first that fails. Buys nothing.
    fn check_connection(&self, instance: &Instance) -> Vec<Step>;
}

impl<T: ServiceManager + Default> service_manager::Guest for T {
    fn describe() -> Description {
        T::default().describe()
    }

    fn configure_instance(draft: Draft) -> Form {
        T::default().configure_instance(&draft)
    }

    fn fetch_services(instance: Instance, entity_tag: String) -> Result<Outcome, ReadFailure> {
        T::default().fetch_services(&instance, &entity_tag)
    }

    fn create_license(instance: Instance, order: LicenseOrder) -> Result<OrderAnswer, ChangeFailure> {
        T::default().create_license(&instance, &order).into_result()
    }
}

impl<T: ServiceManager + Default> license_lifecycle::Guest for T {
    fn get_license(instance: Instance, name: LicenseName) -> Result<LookUp, ReadFailure> {
        T::default().get_license(&instance, &name)
    }

    fn cancel_license(instance: Instance, license_return: LicenseReturn) -> Result<License, ChangeFailure> {
        T::default()
            .cancel_license(&instance, &license_return)
            .into_result()
    }
}

impl<T: ServiceManager + Default> connection::Guest for T {
    fn check_connection(instance: Instance) -> Vec<Step> {
        T::default().check_connection(&instance)
    }
}

impl Description {
    /// A plugin that reads no options and names nothing that is harmless: its id, whose licenses these are, what customers read in front
    /// of `license`, and its version.
    pub fn new(id: &str, vendor: &str, offering: &str, version: &str) -> Self {
        Self {
            id: id.to_owned(),
            vendor: vendor.to_owned(),
            offering: offering.to_owned(),
            version: version.to_owned(),
            options: Vec::new(),
            correlation_headers: Vec::new(),
            harmless: HarmlessFields {
                requests: Vec::new(),
                answers: Vec::new(),
            },
        }
    }
}

impl Step {
    /// Tries one step and says how it ended and how long it took.
    pub fn tried<T>(
        platform: &(impl Platform + ?Sized),
        id: &str,
        name: &str,
        step: impl FnOnce() -> Result<T, ReadFailure>,
    ) -> Self {
        let since_ms = platform.now_ms();
        let result = match step() {
            Ok(_) => StepResult::Passed,
            Err(failure) => StepResult::Failed(failure.problem().clone()),
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            result,
            took_ms: platform.now_ms().abs_diff(since_ms),
        }
    }
}

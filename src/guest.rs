//! The component boundary: bindings, exports, and the contract's types turned into ours and back.
//! Every call runs in a fresh sandbox, so nothing is kept here.

mod bindings;
mod contract;
mod export;
mod host;
mod http;

use bindings::bss::service_manager::instance_settings;
use bindings::exports::bss::service_manager::{connection, license_lifecycle, service_manager};

use host::Host;

/// The type that `export` exports as the component.
struct Plugin;

impl service_manager::Guest for Plugin {
    fn describe() -> service_manager::Description {
        crate::description::DESCRIPTION.into()
    }

    fn configure_instance(draft: instance_settings::Draft) -> instance_settings::Form {
        crate::instance_settings::configure_instance(&Host, &draft.into()).into()
    }

    fn fetch_services(
        instance: instance_settings::Instance,
        entity_tag: String,
    ) -> Result<service_manager::Outcome, service_manager::ReadFailure> {
        crate::services_definition::fetch_services(&Host, &instance.into(), &entity_tag)
            .map(Into::into)
            .map_err(Into::into)
    }

    fn create_license(
        instance: instance_settings::Instance,
        order: service_manager::LicenseOrder,
    ) -> Result<service_manager::OrderAnswer, service_manager::ChangeFailure> {
        crate::license_order::create_license(&Host, &instance.into(), &order.into())
            .map(Into::into)
            .map_err(Into::into)
    }
}

impl license_lifecycle::Guest for Plugin {
    fn get_license(
        instance: instance_settings::Instance,
        name: license_lifecycle::LicenseName,
    ) -> Result<license_lifecycle::LookUp, license_lifecycle::ReadFailure> {
        crate::license_lifecycle::get_license(&Host, &instance.into(), &name.into())
            .map(Into::into)
            .map_err(Into::into)
    }

    fn cancel_license(
        instance: instance_settings::Instance,
        license_return: license_lifecycle::LicenseReturn,
    ) -> Result<license_lifecycle::License, license_lifecycle::ChangeFailure> {
        crate::license_lifecycle::cancel_license(&Host, &instance.into(), &license_return.into())
            .map(Into::into)
            .map_err(Into::into)
    }
}

impl connection::Guest for Plugin {
    fn check_connection(instance: instance_settings::Instance) -> Vec<connection::Step> {
        crate::connection::check_connection(&Host, &instance.into())
            .into_iter()
            .map(Into::into)
            .collect()
    }
}

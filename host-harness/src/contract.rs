//! Conversions between what the record keeps and what the plugin contract passes.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_model::{
    EarlierAttempts, Instance, License, LicenseDefect, LicenseNames, LicenseTokenStatus, Party, Problem,
    ReturnStatus, Secret, check_license,
};
use bss_sandbox::bindings::failures::{self, Delay};
use bss_sandbox::bindings::instance_settings::{self, FieldValue};
use bss_sandbox::bindings::license_lifecycle as contract_lifecycle;
use bss_sandbox::bindings::license_order as contract;

/// Saved settings in the form of the contract.
pub(crate) fn field_values(values: &BTreeMap<String, String>) -> Vec<FieldValue> {
    values
        .iter()
        .map(|(id, value)| FieldValue {
            id: id.clone(),
            value: value.clone(),
        })
        .collect()
}

/// An instance in the form of the contract.
pub fn contract_instance(instance: &Instance) -> instance_settings::Instance {
    instance_settings::Instance {
        id: instance.id.to_string(),
        values: field_values(&instance.values),
        currency: instance.currency.clone(),
    }
}

/// What is known of earlier attempts, in the form of the contract.
pub(crate) fn contract_earlier_attempts(earlier: EarlierAttempts) -> contract::EarlierAttempts {
    match earlier {
        EarlierAttempts::None => contract::EarlierAttempts::None,
        EarlierAttempts::NotDone => contract::EarlierAttempts::NotDone,
        EarlierAttempts::Unknown => contract::EarlierAttempts::Unknown,
    }
}

/// The names of a license in the form of the contract.
pub(crate) fn contract_license_names(names: &LicenseNames) -> contract_lifecycle::LicenseNames {
    contract_lifecycle::LicenseNames {
        client_transaction_id: names.client_transaction_id.to_string(),
        transaction_id: names.transaction_id.clone(),
        license_token_id: names.license_token_id.clone(),
    }
}

/// A customer or reseller in the form of the contract.
pub(crate) fn contract_party(party: &Party) -> contract::Party {
    contract::Party {
        id: party.id.clone(),
        name: party.name.clone(),
        country: party.country.clone(),
    }
}

/// A plugin's problem in the form of the record.
pub(crate) fn recorded_problem(problem: failures::Problem) -> Problem {
    Problem {
        code: problem.code,
        message: problem.message,
        advice: problem.advice,
        correlation_id: problem.correlation_id,
    }
}

/// A plugin's license in the form of the record.
///
/// # Errors
/// When it can't be a license.
pub(crate) fn recorded_license(license: contract::License) -> Result<License, LicenseDefect> {
    let license = License {
        client_transaction_id: license.client_transaction_id,
        transaction_id: license.transaction_id,
        license_token_id: license.license_token_id,
        product_key: Secret::new(license.product_key),
        activation_link: Some(license.activation_link)
            .filter(|link| !link.is_empty())
            .map(Secret::new),
        license_token_status: match license.license_token_status {
            contract::LicenseTokenStatus::Unused => LicenseTokenStatus::Unused,
            contract::LicenseTokenStatus::Used => LicenseTokenStatus::Used,
            contract::LicenseTokenStatus::Ended => LicenseTokenStatus::Ended,
            contract::LicenseTokenStatus::Returned => LicenseTokenStatus::Returned,
        },
        return_status: match license.return_status {
            contract::ReturnStatus::None => ReturnStatus::None,
            contract::ReturnStatus::Successful => ReturnStatus::Successful,
        },
        purchased_at_ms: license.purchased_at_ms,
        returnable_until_ms: license.returnable_until_ms,
    };
    check_license(&license)?;
    Ok(license)
}

/// The time for which a vendor asks to be left alone. `None`: it does not say.
pub(crate) fn retry_after(delay: &Delay) -> Option<Duration> {
    delay.retry_after_ms.map(Duration::from_millis)
}

//! Turns the plugin's own types into the contract's, as its component does (`src/guest/contract.rs`): one field after
//! the other, nothing decided.

use bss_sandbox::bindings::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use bss_sandbox::bindings::instance_settings::Instance;
use bss_sandbox::bindings::license_order::{
    EarlierAttempts, License, LicenseOrder, LicenseTokenStatus, OrderAnswer, Party, ReturnStatus,
};
use bss_sandbox::bindings::services_definition::{
    Attribute, AttributeValue, Derivative, Outcome, Product, ProductType, Summary,
};
use microsoft_esd::{
    failures as twin_failures, instance_settings as twin_settings, license_order as twin_order,
    services_definition as twin,
};

pub(super) fn instance(instance: &Instance) -> twin_settings::Instance {
    let values = instance.values.iter().map(|value| twin_settings::FieldValue {
        id: value.id.clone(),
        value: value.value.clone(),
    });
    twin_settings::Instance {
        values: values.collect(),
        currency: instance.currency.clone(),
    }
}

pub(super) fn product(product: twin::Product) -> Product {
    let twin::Product {
        code,
        product_type,
        name,
        description,
        attribute_values,
        min_quantity,
        max_quantity,
        returnable,
    } = product;
    let values = attribute_values.into_iter().map(|value| AttributeValue {
        attribute: value.attribute.to_owned(),
        key: value.key,
        label: value.label,
    });
    Product {
        code,
        product_type: product_type.to_owned(),
        name,
        description,
        attribute_values: values.collect(),
        min_quantity,
        max_quantity,
        returnable,
    }
}

pub(super) fn outcome(outcome: twin::Outcome) -> Outcome {
    match outcome {
        twin::Outcome::Unchanged => Outcome::Unchanged,
        twin::Outcome::Complete(summary) => Outcome::Complete(Summary {
            product_types: summary.product_types.into_iter().map(product_type).collect(),
            products: summary.products,
            skipped: summary.skipped,
            entity_tag: summary.entity_tag,
        }),
    }
}

fn product_type(product_type: twin::ProductType) -> ProductType {
    let attributes = product_type.attributes.into_iter().map(|attribute| Attribute {
        id: attribute.id.to_owned(),
        name: attribute.name.to_owned(),
    });
    ProductType {
        id: product_type.id.to_owned(),
        name: product_type.name.to_owned(),
        derivative: Derivative::License,
        split_quantity: product_type.split_quantity,
        manual_cancellation: product_type.manual_cancellation,
        attributes: attributes.collect(),
    }
}

pub(super) fn read_failure(failure: twin_failures::ReadFailure) -> ReadFailure {
    match failure {
        twin_failures::ReadFailure::Refused(refused) => ReadFailure::Refused(problem(refused)),
        twin_failures::ReadFailure::Unavailable(later) => ReadFailure::Unavailable(delay(later)),
        twin_failures::ReadFailure::Misconfigured(wrong) => ReadFailure::Misconfigured(problem(wrong)),
        twin_failures::ReadFailure::Malformed(malformed) => ReadFailure::Malformed(problem(malformed)),
    }
}

pub(super) fn change_failure(failure: twin_failures::ChangeFailure) -> ChangeFailure {
    match failure {
        twin_failures::ChangeFailure::Refused(refused) => ChangeFailure::Refused(problem(refused)),
        twin_failures::ChangeFailure::Unavailable(later) => ChangeFailure::Unavailable(delay(later)),
        twin_failures::ChangeFailure::Misconfigured(wrong) => ChangeFailure::Misconfigured(problem(wrong)),
        twin_failures::ChangeFailure::Unknown(unknown) => ChangeFailure::Unknown(problem(unknown)),
    }
}

pub(super) fn license_order(order: &LicenseOrder) -> twin_order::LicenseOrder {
    let party = |party: &Party| twin_order::Party {
        id: party.id.clone(),
        name: party.name.clone(),
        country: party.country.clone(),
    };
    twin_order::LicenseOrder {
        client_transaction_id: order.client_transaction_id.clone(),
        earlier_attempts: match order.earlier_attempts {
            EarlierAttempts::None => twin_order::EarlierAttempts::None,
            EarlierAttempts::NotDone => twin_order::EarlierAttempts::NotDone,
            EarlierAttempts::Unknown => twin_order::EarlierAttempts::Unknown,
        },
        check_only: order.check_only,
        product: order.product.clone(),
        quantity: order.quantity,
        reseller: order.reseller.as_ref().map(party),
        customer: party(&order.customer),
    }
}

pub(super) fn order_answer(answer: twin_order::OrderAnswer) -> OrderAnswer {
    match answer {
        twin_order::OrderAnswer::Licensed(bought) => OrderAnswer::Licensed(license(bought)),
        twin_order::OrderAnswer::Valid => OrderAnswer::Valid,
    }
}

fn license(license: twin_order::License) -> License {
    let twin_order::License {
        client_transaction_id,
        transaction_id,
        license_token_id,
        product_key,
        activation_link,
        license_token_status,
        return_status,
        purchased_at_ms,
        returnable_until_ms,
    } = license;
    License {
        client_transaction_id,
        transaction_id,
        license_token_id,
        product_key: product_key.expose().to_owned(),
        activation_link: activation_link.expose().to_owned(),
        license_token_status: match license_token_status {
            twin_order::LicenseTokenStatus::Unused => LicenseTokenStatus::Unused,
            twin_order::LicenseTokenStatus::Used => LicenseTokenStatus::Used,
            twin_order::LicenseTokenStatus::Returned => LicenseTokenStatus::Returned,
        },
        return_status: match return_status {
            twin_order::ReturnStatus::None => ReturnStatus::None,
            twin_order::ReturnStatus::Successful => ReturnStatus::Successful,
        },
        purchased_at_ms,
        returnable_until_ms,
    }
}

fn delay(delay: twin_failures::Delay) -> Delay {
    Delay {
        problem: problem(delay.problem),
        retry_after_ms: delay.retry_after_ms,
    }
}

fn problem(problem: twin_failures::Problem) -> Problem {
    let twin_failures::Problem {
        code,
        message,
        advice,
        correlation_id,
    } = problem;
    Problem {
        code,
        message,
        advice,
        correlation_id,
    }
}

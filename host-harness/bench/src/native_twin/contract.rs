//! Turns the plugin's types of the contract into the host's, as a component's boundary does: one field after the other,
//! nothing decided.

use bss_plugin::{self as twin, catalog as twin_catalog};
use bss_sandbox::bindings::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use bss_sandbox::bindings::instance_settings::Instance;
use bss_sandbox::bindings::license_order::{
    EarlierAttempts, License, LicenseOrder, LicenseTokenStatus, OrderAnswer, Party, ReturnStatus,
};
use bss_sandbox::bindings::services_definition::{
    Attribute, AttributeValue, Derivative, Outcome, Product, ProductType, Summary,
};

pub(super) fn instance(instance: &Instance) -> twin::Instance {
    let values = instance.values.iter().map(|value| twin::FieldValue {
        id: value.id.clone(),
        value: value.value.clone(),
    });
    twin::Instance {
        id: instance.id.clone(),
        values: values.collect(),
        currency: instance.currency.clone(),
    }
}

pub(super) fn product(product: twin_catalog::Product) -> Product {
    let twin_catalog::Product {
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
        attribute: value.attribute.into_owned(),
        key: value.key,
        label: value.label,
    });
    Product {
        code,
        product_type: product_type.into_owned(),
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
        id: attribute.id,
        name: attribute.name,
    });
    ProductType {
        id: product_type.id,
        name: product_type.name,
        derivative: Derivative::License,
        split_quantity: product_type.split_quantity,
        manual_cancellation: product_type.manual_cancellation,
        attributes: attributes.collect(),
    }
}

pub(super) fn read_failure(failure: twin::ReadFailure) -> ReadFailure {
    match failure {
        twin::ReadFailure::Refused(refused) => ReadFailure::Refused(problem(refused)),
        twin::ReadFailure::Unavailable(later) => ReadFailure::Unavailable(delay(later)),
        twin::ReadFailure::Misconfigured(wrong) => ReadFailure::Misconfigured(problem(wrong)),
        twin::ReadFailure::Malformed(malformed) => ReadFailure::Malformed(problem(malformed)),
    }
}

pub(super) fn change_failure(failure: twin::ChangeFailure) -> ChangeFailure {
    match failure {
        twin::ChangeFailure::Refused(refused) => ChangeFailure::Refused(problem(refused)),
        twin::ChangeFailure::Unavailable(later) => ChangeFailure::Unavailable(delay(later)),
        twin::ChangeFailure::Misconfigured(wrong) => ChangeFailure::Misconfigured(problem(wrong)),
        twin::ChangeFailure::Unknown(unknown) => ChangeFailure::Unknown(problem(unknown)),
    }
}

pub(super) fn license_order(order: &LicenseOrder) -> twin::LicenseOrder {
    let party = |party: &Party| twin::Party {
        id: party.id.clone(),
        name: party.name.clone(),
        country: party.country.clone(),
    };
    twin::LicenseOrder {
        client_transaction_id: order.client_transaction_id.clone(),
        earlier_attempts: match order.earlier_attempts {
            EarlierAttempts::None => twin::EarlierAttempts::None,
            EarlierAttempts::NotDone => twin::EarlierAttempts::NotDone,
            EarlierAttempts::Unknown => twin::EarlierAttempts::Unknown,
        },
        check_only: order.check_only,
        product: order.product.clone(),
        quantity: order.quantity,
        reseller: order.reseller.as_ref().map(party),
        customer: party(&order.customer),
    }
}

pub(super) fn order_answer(answer: twin::OrderAnswer) -> OrderAnswer {
    match answer {
        twin::OrderAnswer::Licensed(bought) => OrderAnswer::Licensed(license(bought)),
        twin::OrderAnswer::Accepted(after_ms) => OrderAnswer::Accepted(after_ms),
        twin::OrderAnswer::Valid => OrderAnswer::Valid,
    }
}

fn license(license: twin::License) -> License {
    let twin::License {
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
        product_key,
        activation_link,
        license_token_status: match license_token_status {
            twin::LicenseTokenStatus::Unused => LicenseTokenStatus::Unused,
            twin::LicenseTokenStatus::Used => LicenseTokenStatus::Used,
            twin::LicenseTokenStatus::Ended => LicenseTokenStatus::Ended,
            twin::LicenseTokenStatus::Returned => LicenseTokenStatus::Returned,
        },
        return_status: match return_status {
            twin::ReturnStatus::None => ReturnStatus::None,
            twin::ReturnStatus::Successful => ReturnStatus::Successful,
        },
        purchased_at_ms,
        returnable_until_ms,
    }
}

fn delay(delay: twin::Delay) -> Delay {
    Delay {
        problem: problem(delay.problem),
        retry_after_ms: delay.retry_after_ms,
    }
}

fn problem(problem: twin::Problem) -> Problem {
    let twin::Problem {
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

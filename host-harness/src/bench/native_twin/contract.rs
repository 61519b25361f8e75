//! The plugin's own types turned into the contract's, as its component does (`src/guest/contract.rs`): one field after
//! the other, nothing decided.

use microsoft_esd::failures as twin_failures;
use microsoft_esd::instance_settings as twin_settings;
use microsoft_esd::services_definition as twin;

use crate::bindings::failures::{Delay, Problem, ReadFailure};
use crate::bindings::instance_settings::Instance;
use crate::bindings::services_definition::{
    Attribute, AttributeValue, Derivative, Outcome, Product, ProductType, Summary,
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
        twin_failures::ReadFailure::Unavailable(delay) => ReadFailure::Unavailable(Delay {
            problem: problem(delay.problem),
            retry_after_ms: delay.retry_after_ms,
        }),
        twin_failures::ReadFailure::Malformed(malformed) => ReadFailure::Malformed(problem(malformed)),
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

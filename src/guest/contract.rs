//! The contract's types turned into ours and back: one field after the other, nothing decided.

use super::bindings::bss::service_manager::{
    failures as wf, instance_settings as ws, license_order as wo, services_definition as wd,
};
use super::bindings::exports::bss::service_manager::{
    connection as wc, license_lifecycle as wl, service_manager as wm,
};
use crate::connection::{Step, StepResult};
use crate::description::{Description, HarmlessFields};
use crate::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use crate::instance_settings::{
    Authority, Choice, Draft, Field, FieldKind, FieldRole, FieldValue, Form, InstalledCertificate, Instance,
    KeyKind, OtherInstance, Standing,
};
use crate::license_lifecycle::{LicenseName, LicenseReturn};
use crate::license_order::{
    EarlierAttempts, License, LicenseOrder, LicenseTokenStatus, OrderAnswer, Party, ReturnStatus,
};
use crate::services_definition::{Attribute, AttributeValue, Outcome, Product, ProductType, Summary};

fn each<From, To: std::convert::From<From>>(list: Vec<From>) -> Vec<To> {
    list.into_iter().map(Into::into).collect()
}

impl From<Description> for wm::Description {
    fn from(description: Description) -> Self {
        let Description {
            id,
            vendor,
            offering,
            version,
            options,
            correlation_headers,
            harmless: HarmlessFields { requests, answers },
        } = description;
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            id: id.to_owned(),
            vendor: vendor.to_owned(),
            offering: offering.to_owned(),
            version: version.to_owned(),
            options: owned(options),
            correlation_headers: owned(correlation_headers),
            harmless: wm::HarmlessFields {
                requests: owned(requests),
                answers: owned(answers),
            },
        }
    }
}

impl From<Problem> for wf::Problem {
    fn from(problem: Problem) -> Self {
        let Problem {
            code,
            message,
            advice,
            correlation_id,
        } = problem;
        Self {
            code,
            message,
            advice,
            correlation_id,
        }
    }
}

impl From<Delay> for wf::Delay {
    fn from(delay: Delay) -> Self {
        let Delay {
            problem,
            retry_after_ms,
        } = delay;
        Self {
            problem: problem.into(),
            retry_after_ms,
        }
    }
}

impl From<ReadFailure> for wf::ReadFailure {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Refused(problem) => Self::Refused(problem.into()),
            ReadFailure::Unavailable(delay) => Self::Unavailable(delay.into()),
            ReadFailure::Misconfigured(problem) => Self::Misconfigured(problem.into()),
            ReadFailure::Malformed(problem) => Self::Malformed(problem.into()),
        }
    }
}

impl From<ChangeFailure> for wf::ChangeFailure {
    fn from(failure: ChangeFailure) -> Self {
        match failure {
            ChangeFailure::Refused(problem) => Self::Refused(problem.into()),
            ChangeFailure::Unavailable(delay) => Self::Unavailable(delay.into()),
            ChangeFailure::Misconfigured(problem) => Self::Misconfigured(problem.into()),
            ChangeFailure::Unknown(problem) => Self::Unknown(problem.into()),
        }
    }
}

impl From<ws::FieldValue> for FieldValue {
    fn from(value: ws::FieldValue) -> Self {
        let ws::FieldValue { id, value } = value;
        Self { id, value }
    }
}

impl From<ws::InstalledCertificate> for InstalledCertificate {
    fn from(certificate: ws::InstalledCertificate) -> Self {
        let ws::InstalledCertificate {
            thumbprint,
            subject,
            dns_names,
            not_before_ms,
            not_after_ms,
            key,
            has_private_key,
            for_client_authentication,
        } = certificate;
        Self {
            thumbprint,
            subject,
            dns_names,
            not_before_ms,
            not_after_ms,
            key: match key {
                ws::KeyKind::Rsa(bits) => KeyKind::Rsa(bits),
                ws::KeyKind::Other(name) => KeyKind::Other(name),
            },
            has_private_key,
            for_client_authentication,
        }
    }
}

impl From<ws::OtherInstance> for OtherInstance {
    fn from(other: ws::OtherInstance) -> Self {
        let ws::OtherInstance {
            name,
            values,
            currency,
        } = other;
        Self {
            name,
            values: each(values),
            currency,
        }
    }
}

impl From<ws::Draft> for Draft {
    fn from(draft: ws::Draft) -> Self {
        let ws::Draft {
            values,
            saved,
            secrets: _,
            has_licenses,
            currency,
            certificates,
            other_instances,
        } = draft;
        Self {
            values: each(values),
            saved: each(saved),
            has_licenses,
            currency,
            certificates: each(certificates),
            other_instances: each(other_instances),
        }
    }
}

impl From<ws::Instance> for Instance {
    fn from(instance: ws::Instance) -> Self {
        let ws::Instance {
            id: _,
            values,
            currency,
        } = instance;
        Self {
            values: each(values),
            currency,
        }
    }
}

impl From<Choice> for ws::Choice {
    fn from(choice: Choice) -> Self {
        let Choice {
            key,
            label,
            unusable_because,
        } = choice;
        Self {
            key,
            label,
            unusable_because,
        }
    }
}

impl From<Field> for ws::Field {
    fn from(field: Field) -> Self {
        let Field {
            id,
            label,
            help,
            kind,
            role,
            mandatory,
            max_length,
            enabled,
            choices,
            value,
            problems,
        } = field;
        Self {
            id: id.to_owned(),
            label: label.to_owned(),
            help: help.to_owned(),
            kind: match kind {
                FieldKind::Text => ws::FieldKind::Text,
                FieldKind::Url => ws::FieldKind::Url,
                FieldKind::Choice => ws::FieldKind::Choice,
            },
            role: match role {
                FieldRole::Account => ws::FieldRole::Account,
                FieldRole::Credential => ws::FieldRole::Credential,
                FieldRole::Other => ws::FieldRole::Other,
            },
            mandatory,
            max_length,
            enabled,
            choices: each(choices),
            value,
            problems: each(problems),
        }
    }
}

impl From<Authority> for ws::Authority {
    fn from(authority: Authority) -> Self {
        let Authority {
            name,
            client_certificate,
        } = authority;
        Self {
            name,
            client_certificate,
            secret_headers: Vec::new(),
        }
    }
}

impl From<Form> for ws::Form {
    fn from(form: Form) -> Self {
        let Form {
            fields,
            standing,
            certificate_field,
        } = form;
        Self {
            fields: each(fields),
            standing: match standing {
                Standing::NeedsCredentials => ws::Standing::NeedsCredentials,
                Standing::NeedsSelection => ws::Standing::NeedsSelection,
                Standing::Ready(authorities) => ws::Standing::Ready(each(authorities)),
            },
            certificate_field: Some(certificate_field.to_owned()),
        }
    }
}

/// Lends a product to the host, with attribute values that [`attribute_value`] has made.
pub(super) fn product<'a>(
    product: &'a Product,
    attribute_values: &'a [wd::AttributeValue<'a>],
) -> wd::Product<'a> {
    let Product {
        code,
        product_type,
        name,
        description,
        attribute_values: _,
        min_quantity,
        max_quantity,
        returnable,
    } = product;
    wd::Product {
        code,
        product_type,
        name,
        description,
        attribute_values,
        min_quantity: *min_quantity,
        max_quantity: *max_quantity,
        returnable: *returnable,
    }
}

/// Lends an attribute's value to the host.
pub(super) fn attribute_value(value: &AttributeValue) -> wd::AttributeValue<'_> {
    let AttributeValue {
        attribute,
        key,
        label,
    } = value;
    wd::AttributeValue {
        attribute,
        key,
        label,
    }
}

impl From<Attribute> for wd::Attribute {
    fn from(attribute: Attribute) -> Self {
        let Attribute { id, name } = attribute;
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl From<ProductType> for wd::ProductType {
    fn from(product_type: ProductType) -> Self {
        let ProductType {
            id,
            name,
            split_quantity,
            manual_cancellation,
            attributes,
        } = product_type;
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            derivative: wd::Derivative::License,
            split_quantity,
            manual_cancellation,
            attributes: each(attributes),
        }
    }
}

impl From<Outcome> for wd::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete(Summary {
                product_types,
                products,
                skipped,
                entity_tag,
            }) => Self::Complete(wd::Summary {
                product_types: each(product_types),
                products,
                skipped,
                entity_tag,
            }),
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}

impl From<wo::Party> for Party {
    fn from(party: wo::Party) -> Self {
        let wo::Party { id, name, country } = party;
        Self { id, name, country }
    }
}

impl From<wo::LicenseOrder> for LicenseOrder {
    fn from(order: wo::LicenseOrder) -> Self {
        let wo::LicenseOrder {
            client_transaction_id,
            earlier_attempts,
            check_only,
            product,
            quantity,
            reseller,
            customer,
        } = order;
        Self {
            client_transaction_id,
            earlier_attempts: match earlier_attempts {
                wo::EarlierAttempts::None => EarlierAttempts::None,
                wo::EarlierAttempts::NotDone => EarlierAttempts::NotDone,
                wo::EarlierAttempts::Unknown => EarlierAttempts::Unknown,
            },
            check_only,
            product,
            quantity,
            reseller: reseller.map(Into::into),
            customer: customer.into(),
        }
    }
}

impl From<License> for wo::License {
    fn from(license: License) -> Self {
        let License {
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
        Self {
            client_transaction_id,
            transaction_id,
            license_token_id,
            product_key: product_key.expose().to_owned(),
            activation_link: activation_link.expose().to_owned(),
            license_token_status: match license_token_status {
                LicenseTokenStatus::Unused => wo::LicenseTokenStatus::Unused,
                LicenseTokenStatus::Used => wo::LicenseTokenStatus::Used,
                LicenseTokenStatus::Returned => wo::LicenseTokenStatus::Returned,
            },
            return_status: match return_status {
                ReturnStatus::None => wo::ReturnStatus::None,
                ReturnStatus::Successful => wo::ReturnStatus::Successful,
            },
            purchased_at_ms,
            returnable_until_ms,
        }
    }
}

impl From<OrderAnswer> for wo::OrderAnswer {
    fn from(answer: OrderAnswer) -> Self {
        match answer {
            OrderAnswer::Licensed(license) => Self::Licensed(license.into()),
            OrderAnswer::Valid => Self::Valid,
        }
    }
}

impl From<wl::LicenseName> for LicenseName {
    fn from(name: wl::LicenseName) -> Self {
        match name {
            wl::LicenseName::Purchase(id) => Self::ClientTransactionId(id),
            wl::LicenseName::License(names) => Self::LicenseTokenId(names.license_token_id),
        }
    }
}

impl From<Option<License>> for wl::LookUp {
    fn from(found: Option<License>) -> Self {
        found.map_or(Self::NeverIssued, |license| Self::Issued(license.into()))
    }
}

impl From<wl::LicenseReturn> for LicenseReturn {
    fn from(license_return: wl::LicenseReturn) -> Self {
        let wl::LicenseReturn {
            license,
            // Microsoft knows a return by its client transaction id, so a repeated one is answered like the first.
            earlier_attempts: _,
            client_transaction_id,
            reason,
        } = license_return;
        Self {
            license_token_id: license.license_token_id,
            client_transaction_id,
            reason,
        }
    }
}

impl From<Step> for wc::Step {
    fn from(step: Step) -> Self {
        let Step {
            id,
            name,
            result,
            took_ms,
        } = step;
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            result: match result {
                StepResult::Passed => wc::StepResult::Passed,
                StepResult::Failed(problem) => wc::StepResult::Failed(problem.into()),
                StepResult::Skipped => wc::StepResult::Skipped,
            },
            took_ms,
        }
    }
}

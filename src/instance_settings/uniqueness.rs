//! The settings that no two instances may share: a system name; a certificate, unless for the same distributor
//! (Channel ID and Client ID), country, language and currency; a client id, unless for the same country.

use super::fields::{FieldName, Values};
use super::values::problem;
use super::{Draft, OtherInstance};
use bss_plugin::failures::Problem;

/// Every clash with another instance, with the field that has to change.
pub(super) fn clashes(values: &Values, draft: &Draft) -> Vec<(FieldName, Problem)> {
    draft
        .other_instances
        .iter()
        .flat_map(|other| {
            let others = Values::of(&other.values);
            [
                name_clash(values, other, &others),
                certificate_clash(values, &draft.currency, other, &others),
                country_clash(values, other, &others),
            ]
        })
        .flatten()
        .collect()
}

fn name_clash(values: &Values, other: &OtherInstance, others: &Values) -> Option<(FieldName, Problem)> {
    let name = values.get(FieldName::SystemName);
    let same = !name.is_empty() && name.to_lowercase() == others.get(FieldName::SystemName).to_lowercase();
    same.then(|| {
        let clash = problem(
            "system-name-in-use",
            format!(
                "The instance `{}` already has the system name `{name}`.",
                other.name
            ),
            "Choose another system name.",
        );
        (FieldName::SystemName, clash)
    })
}

fn certificate_clash(
    values: &Values,
    currency: &str,
    other: &OtherInstance,
    others: &Values,
) -> Option<(FieldName, Problem)> {
    let thumbprint = values.get(FieldName::CertificateThumbprint);
    if thumbprint.is_empty() || thumbprint != others.get(FieldName::CertificateThumbprint) {
        return None;
    }
    let told_apart_by = [
        FieldName::ChannelId,
        FieldName::ClientId,
        FieldName::Country,
        FieldName::Language,
    ];
    let mut differences: Vec<&str> = told_apart_by
        .into_iter()
        .filter(|&name| differ(values.get(name), others.get(name)))
        .map(FieldName::label)
        .collect();
    if differ(
        &currency.to_ascii_uppercase(),
        &other.currency.to_ascii_uppercase(),
    ) {
        differences.push("Currency");
    }
    (!differences.is_empty()).then(|| {
        let clash = problem(
            "certificate-in-use",
            format!(
                "The instance `{}`, which differs in {}, already uses the certificate.",
                other.name,
                differences.join(", ")
            ),
            "Choose another certificate: each certificate serves one combination of Channel ID, Client ID, country, language and currency.",
        );
        (FieldName::CertificateThumbprint, clash)
    })
}

fn country_clash(values: &Values, other: &OtherInstance, others: &Values) -> Option<(FieldName, Problem)> {
    let client_id = values.get(FieldName::ClientId);
    let clashes = !client_id.is_empty()
        && client_id == others.get(FieldName::ClientId)
        && differ(values.get(FieldName::Country), others.get(FieldName::Country));
    clashes.then(|| {
        let clash = problem(
            "client-id-in-use",
            format!(
                "The instance `{}` already uses the Client ID for the country {}.",
                other.name,
                others.get(FieldName::Country)
            ),
            "Ask Microsoft for another Client ID: each country needs a Client ID of its own.",
        );
        (FieldName::ClientId, clash)
    })
}

/// Whether both values are given and differ: a field that is not chosen yet clashes with nothing.
fn differ(left: &str, right: &str) -> bool {
    !left.is_empty() && !right.is_empty() && left != right
}

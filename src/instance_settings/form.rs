//! Judges a draft: every field, every problem, and how far the instance has come.

use super::fields::{CREDENTIALS, FieldName, SELECTION, Values};
use super::values::problem;
use super::{Authority, Choice, Draft, Field, Form, Standing};
use super::{places, uniqueness, values};
use crate::entra;
use crate::platform::Platform;
use bss_plugin::failures::Problem;
use bss_plugin::form::{certificates, values as every};

/// Judges what an operator has typed so far and answers with the whole form. Called at every change;
/// sends nothing and saves nothing.
pub fn configure_instance(platform: &impl Platform, draft: &Draft) -> Form {
    let now_ms = platform.now_ms();
    let saved = Values::of(&draft.saved);
    let values = saved.clone().updated_by(Values::of(&draft.values));
    let selection_enabled = CREDENTIALS
        .iter()
        .all(|&name| problems_of(name, saved.get(name), draft, now_ms).is_empty());
    let clashes = uniqueness::clashes(&values, draft);
    let login_authority = entra::login_authority(platform);

    let fields: Vec<Field> = FieldName::all()
        .map(|name| {
            let enabled = selection_enabled || !name.is_selection();
            let mut problems = if enabled {
                problems_of(name, values.get(name), draft, now_ms)
            } else {
                not_yet_enabled(name, draft)
            };
            if enabled {
                let clashes = clashes.iter().filter(|(field, _)| *field == name);
                problems.extend(clashes.map(|(_, clash)| clash.clone()));
            }
            problems.extend(licenses_depend_on(name, &saved, &values, draft));
            // No field has the option; the tenant is what it has to fit.
            if let (FieldName::Tenant, Err(problem)) = (name, &login_authority) {
                problems.push(problem.clone());
            }
            Field {
                id: name.id().to_owned(),
                label: name.label().to_owned(),
                help: name.help().to_owned(),
                kind: name.kind(),
                role: name.role(),
                mandatory: true,
                max_length: name.length_max(),
                enabled,
                choices: if enabled {
                    choices_of(name, draft, now_ms)
                } else {
                    Vec::new()
                },
                value: values.get(name).to_owned(),
                problems,
            }
        })
        .collect();

    Form {
        standing: standing(&fields, selection_enabled, &values, login_authority.ok()),
        fields,
        certificate_field: Some(FieldName::CertificateThumbprint.id().to_owned()),
    }
}

/// The problems of one field's value, whatever other instances have.
fn problems_of(name: FieldName, value: &str, draft: &Draft, now_ms: i64) -> Vec<Problem> {
    let label = name.label();
    if value.is_empty() {
        // A field that is not chosen yet keeps the instance from being ready, not from being saved.
        return if name.is_selection() {
            Vec::new()
        } else {
            vec![problem(
                "missing",
                format!("{label} is missing."),
                "Fill in the field.",
            )]
        };
    }
    let mut problems = every::line(value, label, name.length_max());
    problems.extend(match name {
        FieldName::SystemName | FieldName::ChannelId => Vec::new(),
        FieldName::ResourceApi | FieldName::ServiceUrl => every::https_url(value, label),
        FieldName::Tenant => values::tenant(value, label),
        FieldName::ClientId => values::client_id(value, label),
        FieldName::CertificateThumbprint => certificates::problems(label, value, &draft.certificates, now_ms),
        FieldName::Country => not_in_list(places::country_code(value), "not-a-country", label),
        FieldName::Language => not_in_list(places::language_tag(value), "not-a-language", label),
    });
    problems
}

fn not_in_list(found: Option<&str>, code: &str, label: &str) -> Vec<Problem> {
    match found {
        Some(_) => Vec::new(),
        None => vec![problem(
            code,
            format!("The value of {label} is not in the list."),
            "Choose a value from the list.",
        )],
    }
}

fn choices_of(name: FieldName, draft: &Draft, now_ms: i64) -> Vec<Choice> {
    match name {
        FieldName::CertificateThumbprint => certificates::choices(&draft.certificates, now_ms),
        FieldName::Country => places::countries(),
        FieldName::Language => places::languages(),
        _ => Vec::new(),
    }
}

fn not_yet_enabled(name: FieldName, draft: &Draft) -> Vec<Problem> {
    let sent = draft
        .values
        .iter()
        .any(|value| value.id == name.id() && !value.value.trim().is_empty());
    sent.then(|| {
        problem(
            "not-yet-enabled",
            format!("{} can't be chosen yet.", name.label()),
            "Fill in the first six fields and save the instance.",
        )
    })
    .into_iter()
    .collect()
}

/// The problem of changing a setting that licenses were bought with.
fn licenses_depend_on(name: FieldName, saved: &Values, values: &Values, draft: &Draft) -> Option<Problem> {
    let is_depended_on = matches!(
        name,
        FieldName::ChannelId | FieldName::Country | FieldName::Language
    );
    let was = saved.get(name);
    let changed = is_depended_on && draft.has_licenses && !was.is_empty() && was != values.get(name);
    changed.then(|| {
        problem(
            "licenses-depend-on-it",
            format!(
                "{} can't be changed from `{was}`, because the instance has licenses that were bought with it.",
                name.label()
            ),
            "Create another instance for the new value.",
        )
    })
}

fn standing(
    fields: &[Field],
    selection_enabled: bool,
    values: &Values,
    login_authority: Option<String>,
) -> Standing {
    let is_good = |names: &[FieldName]| {
        fields
            .iter()
            .filter(|field| names.iter().any(|name| name.id() == field.id))
            .all(|field| field.problems.is_empty() && !field.value.is_empty())
    };
    let Some(login_authority) = login_authority.filter(|_| is_good(&CREDENTIALS)) else {
        return Standing::NeedsCredentials;
    };
    if !selection_enabled || !is_good(&SELECTION) {
        Standing::NeedsSelection
    } else {
        Standing::Ready(authorities(values, &login_authority))
    }
}

/// The servers to reach. The certificate goes only where the operator has typed an address; the login
/// authority gets none, unless the operator has typed it too.
fn authorities(values: &Values, login_authority: &str) -> Vec<Authority> {
    let mut authorities: Vec<Authority> = Vec::new();
    let typed = [FieldName::ServiceUrl, FieldName::ResourceApi]
        .into_iter()
        .filter_map(|name| every::authority_name(values.get(name)))
        .map(|name| (name, true));
    for (name, client_certificate) in typed.chain([(login_authority.to_owned(), false)]) {
        if authorities.iter().all(|known| known.name != name) {
            authorities.push(Authority {
                name,
                client_certificate,
                secret_headers: Vec::new(),
            });
        }
    }
    authorities
}

#[cfg(test)]
mod tests;

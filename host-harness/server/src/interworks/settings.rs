//! Settings: shown as the platform's form, and compared with what it has saved. The host's are the operator's; what a platform sends
//! along chooses nothing here, so that no key of one reseller ever reaches another's account.

use std::collections::BTreeMap;

use bss_model::{Instance, Thumbprint};
use host_harness::view::{Field, FieldKind, InstanceForm};
use http::HeaderMap;
use serde::Serialize;

use super::members::{Members, Unreadable};

/// The beginning of header fields with settings.
const HEADER: &str = "x-cloudplatform-setting-";

/// The form as the platform shows it (`FieldCollection`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FieldCollection {
    fields: Vec<FormField>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FormField {
    #[serde(rename = "ID")]
    id: String,
    value: Option<String>,
    definition: FormFieldDefinition,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FormFieldDefinition {
    #[serde(rename = "ID")]
    id: String,
    sort_order: usize,
    name: String,
    description: String,
    kind: &'static str,
    max_length: u32,
    is_required: bool,
    predefined_values: BTreeMap<String, String>,
    is_additional_field: bool,
}

impl FieldCollection {
    /// The form of an instance.
    pub(crate) fn of(form: &InstanceForm) -> Self {
        let field = |(field, sort_order): (&Field, usize)| FormField {
            id: platform_id(&field.id),
            value: Some(field.value.clone()).filter(|value| !value.is_empty()),
            definition: FormFieldDefinition {
                id: platform_id(&field.id),
                sort_order,
                name: field.label.clone(),
                description: field.help.clone(),
                kind: match field.kind {
                    FieldKind::Url => "Url",
                    FieldKind::Choice => "PredefinedChooseOne",
                    FieldKind::Text | FieldKind::Secret => "Text",
                },
                max_length: field.max_length,
                is_required: field.mandatory,
                predefined_values: field
                    .choices
                    .iter()
                    .filter(|choice| choice.unusable_because.is_empty() && is_shown(field, &choice.key))
                    .map(|choice| (choice.key.clone(), choice.label.clone()))
                    .collect(),
                // Choices are the instance's to offer once it is connected: the second stage of the form.
                is_additional_field: field.kind == FieldKind::Choice,
            },
        };
        Self {
            fields: shown(form).zip(1..).map(field).collect(),
        }
    }
}

/// Whether a platform sees a choice. Certificates are the operator's to choose, and of those there are the platform sees its own alone.
fn is_shown(field: &Field, key: &str) -> bool {
    key == field.value || key.parse::<Thumbprint>().is_err()
}

/// All that is wrong with settings that the platform would save, a sentence each.
pub(crate) fn problems(message: &Members, form: &InstanceForm) -> Result<Vec<String>, Unreadable> {
    let mut typed = Vec::new();
    for (name, field) in message.objects("Fields")? {
        let id = field.text("ID")?.or(name).unwrap_or_default();
        // A file or a list is no value of this form: its field is unknown below.
        typed.push((id, field.text("Value").unwrap_or_default().unwrap_or_default()));
    }
    let of = |field: &Field| {
        let id = plain(&field.id);
        let values = typed.iter().filter(move |(typed, _)| plain(typed) == id);
        values.map(|(_, value)| *value).find(|value| !value.is_empty())
    };
    let mut problems: Vec<String> = shown(form)
        .filter_map(|field| problem_of(field, of(field).unwrap_or_default()))
        .collect();
    let is_known = |id: &str| shown(form).any(|field| plain(&field.id) == plain(id));
    let unknown = typed.iter().filter(|(id, _)| !is_known(id));
    problems.extend(unknown.map(|(id, _)| format!("`{}`: there is no such setting.", id.escape_debug())));
    Ok(problems)
}

/// The fields that platforms are shown. Secrets stay here.
fn shown(form: &InstanceForm) -> impl Iterator<Item = &Field> {
    let fields = form.form.fields.iter();
    fields.filter(|field| field.kind != FieldKind::Secret)
}

fn problem_of(field: &Field, value: &str) -> Option<String> {
    if value == field.value || is_label_of(field, value) {
        return None;
    }
    if value.is_empty() {
        return field
            .mandatory
            .then(|| format!("{}: a value is needed.", field.label));
    }
    let saved = match field.value.as_str() {
        "" => "none".to_owned(),
        value => format!("`{value}`"),
    };
    Some(format!(
        "{}: `{}` is not the value of the instance, which is {saved}. Settings are changed at the host.",
        field.label,
        value.escape_debug()
    ))
}

fn is_label_of(field: &Field, value: &str) -> bool {
    let chosen = field.choices.iter().find(|choice| choice.key == field.value);
    !value.is_empty() && chosen.is_some_and(|choice| choice.label == value)
}

/// The ids of settings in header fields that may differ from an instance's: they are not its values. Unknown settings are the
/// platform's own business.
pub(crate) fn differing(headers: &HeaderMap, instance: &Instance) -> Vec<(String, String)> {
    let sent = headers.iter().filter_map(|(name, value)| {
        let id = name.as_str().strip_prefix(HEADER)?;
        Some((plain(id), text_of(value.as_bytes())))
    });
    let differing = sent.filter_map(|(id, value)| {
        let (field, saved) = instance.values.iter().find(|(field, _)| plain(field) == id)?;
        (!value.is_empty() && value != *saved).then(|| (field.clone(), value))
    });
    differing.collect()
}

/// The sentence about the first setting that differs for good: a choice may be named by its label.
pub(crate) fn difference(differing: &[(String, String)], form: &InstanceForm) -> Option<String> {
    differing.iter().find_map(|(id, value)| {
        let field = form.form.fields.iter().find(|field| field.id == *id)?;
        problem_of(field, value)
    })
}

/// A field's id as the platform has it, which makes names of header fields of it: `certificate-thumbprint` is
/// `CertificateThumbprint`.
fn platform_id(id: &str) -> String {
    let capitalized = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    id.split(['-', '_']).map(capitalized).collect()
}

/// An id without what differs between its spellings.
fn plain(id: &str) -> String {
    let chars = id.chars().filter(char::is_ascii_alphanumeric);
    chars.map(|char| char.to_ascii_lowercase()).collect()
}

/// The text of a header field: UTF-8, or else Latin-1, of which every byte is a character (RFC 9110, section 5.5).
fn text_of(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_makes_the_name_of_a_header_field() {
        assert_eq!(platform_id("certificate-thumbprint"), "CertificateThumbprint");
        assert_eq!(platform_id("country"), "Country");
        assert_eq!(plain("CertificateThumbprint"), plain("certificate-thumbprint"));
        assert_eq!(plain("certificate_Thumbprint"), plain("certificatethumbprint"));
    }

    #[test]
    fn a_header_field_is_utf_8_or_else_latin_1() {
        assert_eq!(text_of("Köln ".as_bytes()), "Köln");
        assert_eq!(text_of(b"K\xf6ln"), "Köln");
    }
}

//! The form that an operator fills in, and the settings that are read from what was saved.

use crate::bindings::bss::service_manager::failures::Problem;
use crate::bindings::bss::service_manager::instance_settings::FieldKind::{Secret, Text, Url};
use crate::bindings::bss::service_manager::instance_settings::FieldRole::{Account, Credential, Other};
use crate::bindings::bss::service_manager::instance_settings::{
    Authority, Draft, Field, FieldKind, FieldRole, FieldValue, Form, Instance, SecretHeader, Standing,
};
use crate::failure::problem;

const NAME: &str = "name";
const SERVICE_URL: &str = "service-url";
const ACCOUNT: &str = "account";
const API_KEY: &str = "api-key";

/// The fields in their order: id, label, help, kind and role. The API key is a mere credential only because Acme refuses
/// a key of another account than the one that every request names.
const FIELDS: [(&str, &str, &str, FieldKind, FieldRole); 4] = [
    (NAME, "Name", "What you call it.", Text, Other),
    (SERVICE_URL, "Service URL", "Of Acme's API.", Url, Account),
    (ACCOUNT, "Account", "Such as ACC-1001.", Text, Account),
    (API_KEY, "API key", "From Acme's portal.", Secret, Credential),
];

/// The longest value of a field: far more than any address, account number or key of Acme's has.
const LENGTH_MAX: u32 = 250;

/// What a request needs of an instance's settings. The API key is not among them: only the host has it.
pub(crate) struct Settings {
    pub(crate) authority: String,
    /// The path in front of every route, without a slash at its end.
    pub(crate) path: String,
    pub(crate) account: String,
}

impl Settings {
    pub(crate) fn of(instance: &Instance) -> Result<Self, Problem> {
        let value = |id| value_of(&instance.values, id).unwrap_or_default();
        let (authority, path) = server(value(SERVICE_URL))?;
        Ok(Self {
            authority,
            path,
            account: account(value(ACCOUNT))?,
        })
    }
}

/// Judges a draft and answers with the whole form.
pub(crate) fn configure_instance(draft: &Draft) -> Form {
    let value = |id: &str| {
        let value = value_of(&draft.values, id).or_else(|| value_of(&draft.saved, id));
        value.unwrap_or_default().trim()
    };
    let has_api_key = draft.secrets.iter().any(|id| id == API_KEY);
    let standing = match (server(value(SERVICE_URL)), account(value(ACCOUNT))) {
        (Ok((name, _)), Ok(_)) if has_api_key => Standing::Ready(vec![Authority {
            name,
            client_certificate: false,
            secret_headers: vec![SecretHeader {
                name: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
                field: API_KEY.to_owned(),
            }],
        }]),
        _ => Standing::NeedsCredentials,
    };
    let field = |(id, label, help, kind, role): (&str, &str, &str, _, _)| Field {
        id: id.to_owned(),
        label: label.to_owned(),
        help: help.to_owned(),
        kind,
        role,
        mandatory: id != NAME,
        max_length: LENGTH_MAX,
        enabled: true,
        choices: Vec::new(),
        value: value(id).to_owned(),
        problems: flaw(id, value(id)).into_iter().collect(),
    };
    Form {
        fields: FIELDS.map(field).into(),
        standing,
        certificate_field: None,
    }
}

fn value_of<'a>(values: &'a [FieldValue], id: &str) -> Option<&'a str> {
    let value = values.iter().find(|value| value.id == id);
    value.map(|value| value.value.as_str())
}

/// What is wrong with a value. An empty one is not wrong, but missing: the standing says so.
fn flaw(id: &str, value: &str) -> Option<Problem> {
    let is_line = value.chars().count() <= LENGTH_MAX as usize && !value.chars().any(char::is_control);
    match id {
        _ if value.is_empty() => None,
        _ if !is_line => Some(problem("value-invalid", "The value is not one short line.", "")),
        SERVICE_URL => server(value).err(),
        ACCOUNT => account(value).err(),
        _ => None,
    }
}

/// The authority and the path that an address names.
fn server(url: &str) -> Result<(String, String), Problem> {
    let invalid = || problem("service-url-invalid", "Service URL is no https address.", "");
    let url: http::Uri = url.parse().map_err(|_| invalid())?;
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let has_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
    if url.scheme_str() != Some("https") || !has_host || url.query().is_some() {
        return Err(invalid());
    }
    let path = url.path().trim_end_matches('/');
    Ok((authority.to_ascii_lowercase(), path.to_owned()))
}

/// The account number, which must be able to stand in a header.
fn account(number: &str) -> Result<String, Problem> {
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem("account-invalid", "Account is no account number.", ""));
    }
    Ok(number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(service_url: &str, account: &str, secrets: &[&str]) -> Form {
        let value = |id: &str, value: &str| FieldValue {
            id: id.to_owned(),
            value: value.to_owned(),
        };
        configure_instance(&Draft {
            values: vec![value(SERVICE_URL, service_url)],
            saved: vec![value(SERVICE_URL, "https://old.example"), value(ACCOUNT, account)],
            secrets: secrets.iter().map(|&id| id.to_owned()).collect(),
            has_licenses: false,
            currency: "EUR".to_owned(),
            certificates: Vec::new(),
            other_instances: Vec::new(),
        })
    }

    #[test]
    fn a_form_with_all_its_values_is_ready_and_names_one_server_with_the_api_key() {
        let form = form(" https://API.acme.example:8443/v1/ ", "ACC-1001", &[API_KEY]);
        assert!(form.fields.iter().all(|field| field.problems.is_empty()));
        let Standing::Ready(servers) = form.standing else {
            panic!("{:?}", form.standing)
        };
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].name, "api.acme.example:8443");
        assert_eq!(servers[0].secret_headers[0].field, API_KEY);
    }

    #[test]
    fn a_form_is_not_ready_while_something_is_missing_or_wrong() {
        for (service_url, account, secrets, flawed) in [
            ("https://api.acme.example", "ACC-1001", &[][..], None),
            ("https://api.acme.example", "", &[API_KEY], None),
            ("", "ACC-1001", &[API_KEY], None),
            (
                "http://api.acme.example",
                "ACC-1001",
                &[API_KEY],
                Some(SERVICE_URL),
            ),
            (
                "https://user@acme.example",
                "ACC-1001",
                &[API_KEY],
                Some(SERVICE_URL),
            ),
            ("https://api.acme.example", "ACC 1001", &[API_KEY], Some(ACCOUNT)),
        ] {
            let form = form(service_url, account, secrets);
            assert!(matches!(form.standing, Standing::NeedsCredentials));
            let mut fields = form.fields.iter();
            let found = fields.find(|field| !field.problems.is_empty());
            assert_eq!(
                found.map(|field| field.id.as_str()),
                flawed,
                "{service_url} {account}"
            );
        }
    }
}

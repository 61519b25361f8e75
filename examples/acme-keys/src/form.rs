//! The form that an operator fills in, and the settings that are read from what was saved.

use bss_plugin::form::{FieldSpec, FormBuilder, Server};
use bss_plugin::{Authority, Draft, FieldRole, Form, Instance, Problem, SecretHeader};

const NAME: FieldSpec = FieldSpec::new("name", "Name", "What you call it.", FieldRole::Other).optional();
const SERVICE_URL: FieldSpec =
    FieldSpec::new("service-url", "Service URL", "Of Acme's API.", FieldRole::Account);
const ACCOUNT: FieldSpec = FieldSpec::new("account", "Account", "Such as ACC-1001.", FieldRole::Account);
/// A mere credential only because Acme refuses a key of another account than the one that every request names.
const API_KEY: FieldSpec = FieldSpec::new("api-key", "API key", "From Acme's portal.", FieldRole::Credential);

/// What a request needs of an instance's settings. The API key is not among them: only the host has it.
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) account: String,
}

impl Settings {
    pub(crate) fn of(instance: &Instance) -> Result<Self, Problem> {
        let mut form = FormBuilder::of_instance(instance);
        let settings = ask(&mut form);
        form.settings(settings)
    }
}

/// Judges a draft and answers with the whole form.
pub(crate) fn configure_instance(draft: &Draft) -> Form {
    let mut form = FormBuilder::of_draft(draft);
    let settings = ask(&mut form);
    form.form(settings.map(|settings| {
        vec![Authority {
            name: settings.server.authority,
            client_certificate: false,
            secret_headers: vec![SecretHeader {
                name: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
                field: API_KEY.id.to_owned(),
            }],
        }]
    }))
}

/// Asks for the fields in their order.
fn ask(form: &mut FormBuilder<'_>) -> Option<Settings> {
    form.text(&NAME, |_| Ok(()));
    let server = form.url(&SERVICE_URL);
    let account = form.text(&ACCOUNT, account);
    form.secret(&API_KEY);
    Some(Settings {
        server: server?,
        account: account?,
    })
}

/// The account number, which must be able to stand in a header.
fn account(number: &str) -> Result<String, Problem> {
    let is_account = number.bytes().all(|byte| byte.is_ascii_graphic());
    let invalid = || Problem::new("account-invalid", "Account is no account number.", "");
    is_account.then(|| number.to_owned()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bss_plugin::{FieldValue, Standing};

    fn form(service_url: &str, account: &str, secrets: &[&str]) -> Form {
        let value = |spec: FieldSpec, value: &str| FieldValue {
            id: spec.id.to_owned(),
            value: value.to_owned(),
        };
        configure_instance(&Draft {
            values: vec![value(SERVICE_URL, service_url)],
            saved: vec![value(SERVICE_URL, "https://old.example"), value(ACCOUNT, account)],
            secrets: secrets.iter().map(|&id| id.to_owned()).collect(),
            ..Draft::default()
        })
    }

    #[test]
    fn a_form_with_all_its_values_is_ready_and_names_one_server_with_the_api_key() {
        let form = form(" https://API.acme.example:8443/v1/ ", "ACC-1001", &[API_KEY.id]);
        assert!(form.fields.iter().all(|field| field.problems.is_empty()));
        let Standing::Ready(servers) = form.standing else {
            panic!("{:?}", form.standing)
        };
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].name, "api.acme.example:8443");
        assert_eq!(servers[0].secret_headers[0].field, API_KEY.id);
    }

    #[test]
    fn a_form_is_not_ready_while_something_is_missing_or_wrong() {
        let (url, key) = ("https://api.acme.example", &[API_KEY.id][..]);
        for (service_url, account, secrets, flawed) in [
            (url, "ACC-1001", &[][..], None),
            (url, "", key, None),
            ("", "ACC-1001", key, None),
            ("http://api.acme.example", "ACC-1001", key, Some(SERVICE_URL.id)),
            ("https://user@acme.example", "ACC-1001", key, Some(SERVICE_URL.id)),
            (url, "ACC 1001", key, Some(ACCOUNT.id)),
        ] {
            let form = form(service_url, account, secrets);
            assert!(matches!(form.standing, Standing::NeedsCredentials));
            let mut fields = form.fields.iter();
            let found = fields.find(|field| !field.problems.is_empty());
            let found = found.map(|field| field.id.as_str());
            assert_eq!(found, flawed, "{service_url} {account}");
        }
    }
}

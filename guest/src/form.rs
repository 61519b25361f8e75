//! The form that an operator fills in: each field is asked for once, judged, and kept as a typed value, for a draft and for the saved
//! settings of an instance alike.

pub mod certificates;
pub mod values;

use crate::bindings::bss::service_manager::instance_settings::{
    Authority, Choice, Draft, Field, FieldKind, FieldRole, FieldValue, Form, InstalledCertificate, Instance,
    Standing,
};
use crate::failures::Problem;

/// The longest value where a field does not say: far more than any name, account number or address has.
const LENGTH_MAX: u32 = 250;

/// A field without its value.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Stable name, lower case, words joined by `-`.
    pub id: &'static str,
    /// What an operator reads beside the field.
    pub label: &'static str,
    /// What belongs in the field, in a sentence or two.
    pub help: &'static str,
    /// What a change of the value means for purchases that were sent.
    pub role: FieldRole,
    /// Whether the instance can't be ready without it.
    pub mandatory: bool,
    /// The longest value, in Unicode scalar values.
    pub max_length: u32,
}

impl FieldSpec {
    /// A mandatory field.
    pub const fn new(id: &'static str, label: &'static str, help: &'static str, role: FieldRole) -> Self {
        Self {
            id,
            label,
            help,
            role,
            mandatory: true,
            max_length: LENGTH_MAX,
        }
    }

    /// The field, which may stay empty.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            mandatory: false,
            ..self
        }
    }
}

/// A server, from an address that an operator typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `host` or `host:port`, as the host wants it named.
    pub authority: String,
    /// The address without a slash at its end: what every route is put behind.
    pub url: String,
}

/// A form while its fields are asked for.
pub struct FormBuilder<'a> {
    typed: &'a [FieldValue],
    saved: &'a [FieldValue],
    /// The secrets that are set. `None`: an instance that is ready, which has all that it needs.
    secrets: Option<&'a [String]>,
    /// The certificates of the host. `None`: they are not known here, and were judged when the settings were saved.
    certificates: Option<&'a [InstalledCertificate]>,
    fields: Vec<Field>,
    certificate_field: Option<String>,
    /// The label of the first field that is missing or wrong.
    unusable: Option<&'static str>,
}

impl<'a> FormBuilder<'a> {
    /// The form of what an operator has typed so far.
    pub fn of_draft(draft: &'a Draft) -> Self {
        Self {
            typed: &draft.values,
            saved: &draft.saved,
            secrets: Some(&draft.secrets),
            certificates: Some(&draft.certificates),
            fields: Vec::new(),
            certificate_field: None,
            unusable: None,
        }
    }

    /// The form of the settings of an instance that is ready.
    pub fn of_instance(instance: &'a Instance) -> Self {
        Self {
            typed: &instance.values,
            saved: &[],
            secrets: None,
            certificates: None,
            fields: Vec::new(),
            certificate_field: None,
            unusable: None,
        }
    }

    /// Asks for a line of text, which a check turns into a value of its own type. `None`: it is missing or wrong.
    pub fn text<T>(&mut self, spec: &FieldSpec, check: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        let value = self.value(spec.id);
        let checked = |value: &str| check(value).map_err(|problem| vec![problem]);
        self.ask(spec, FieldKind::Text, value, Vec::new(), checked)
    }

    /// Asks for the https address of a server.
    pub fn url(&mut self, spec: &FieldSpec) -> Option<Server> {
        let value = self.value(spec.id);
        self.ask(spec, FieldKind::Url, value, Vec::new(), |value| {
            let problems = values::https_url(value, spec.label);
            match values::authority_name(value) {
                Some(authority) if problems.is_empty() => Ok(Server {
                    authority,
                    url: value.trim_end_matches('/').to_owned(),
                }),
                _ => Err(problems),
            }
        })
    }

    /// Asks for one of the choices, by its key.
    pub fn choice(&mut self, spec: &FieldSpec, choices: Vec<Choice>) -> Option<String> {
        let value = self.value(spec.id);
        let chosen = choices.iter().find(|choice| choice.key == value);
        let flaw = match chosen {
            Some(choice) if choice.unusable_because.is_empty() => None,
            Some(choice) => Some(choice.unusable_because.clone()),
            None => Some(format!("The value of {} is not in the list.", spec.label)),
        };
        self.ask(spec, FieldKind::Choice, value, choices, |value| match flaw {
            None => Ok(value.to_owned()),
            Some(why) => {
                let advice = "Choose a value from the list.";
                Err(vec![Problem::new("choice-unusable", why, advice)])
            }
        })
    }

    /// Asks for the instance's certificate, among those of the host, by its thumbprint.
    pub fn certificate(&mut self, spec: &FieldSpec, now_ms: i64) -> Option<String> {
        self.certificate_field = Some(spec.id.to_owned());
        let value = certificates::normalized(&self.value(spec.id));
        let certificates = self.certificates;
        let choices = certificates.map(|all| certificates::choices(all, now_ms));
        let problems = certificates.map(|all| certificates::problems(spec.label, &value, all, now_ms));
        self.ask(
            spec,
            FieldKind::Choice,
            value,
            choices.unwrap_or_default(),
            |value| match problems.unwrap_or_default() {
                none if none.is_empty() => Ok(value.to_owned()),
                problems => Err(problems),
            },
        )
    }

    /// Asks for a secret, which no plugin sees. Says whether it is set.
    pub fn secret(&mut self, spec: &FieldSpec) -> bool {
        let is_set = self
            .secrets
            .is_none_or(|secrets| secrets.iter().any(|id| id == spec.id));
        if !is_set && spec.mandatory {
            self.unusable.get_or_insert(spec.label);
        }
        self.push(spec, FieldKind::Secret, String::new(), Vec::new(), Vec::new());
        is_set
    }

    /// The whole form. It is ready, and names the servers to reach, if no field is missing or wrong.
    pub fn form(self, servers: Option<Vec<Authority>>) -> Form {
        let standing = match servers {
            Some(servers) if self.unusable.is_none() => Standing::Ready(servers),
            _ => Standing::NeedsCredentials,
        };
        Form {
            fields: self.fields,
            standing,
            certificate_field: self.certificate_field,
        }
    }

    /// What was read of the settings of an instance.
    ///
    /// # Errors
    /// Names the first setting that is missing or can't be used.
    pub fn settings<T>(self, read: Option<T>) -> Result<T, Problem> {
        let unusable = self.unusable;
        read.filter(|_| unusable.is_none()).ok_or_else(|| {
            Problem::new(
                "settings-incomplete",
                format!(
                    "{} of the instance is missing or can't be used.",
                    unusable.unwrap_or("A setting")
                ),
                "Complete the settings of the instance and save them.",
            )
        })
    }

    /// The value as it would be saved.
    fn value(&self, id: &str) -> String {
        let find = |values: &'a [FieldValue]| values.iter().find(|value| value.id == id);
        let value = find(self.typed).or_else(|| find(self.saved));
        value.map_or("", |value| value.value.trim()).to_owned()
    }

    fn ask<T>(
        &mut self,
        spec: &FieldSpec,
        kind: FieldKind,
        value: String,
        choices: Vec<Choice>,
        check: impl FnOnce(&str) -> Result<T, Vec<Problem>>,
    ) -> Option<T> {
        let (read, problems) = match value.is_empty() {
            // An empty value is not wrong, but missing: the standing says so.
            true => (None, Vec::new()),
            false => {
                let mut problems = values::line(&value, spec.label, spec.max_length);
                match check(&value) {
                    Ok(read) if problems.is_empty() => (Some(read), problems),
                    Ok(_) => (None, problems),
                    Err(more) => {
                        problems.extend(more);
                        (None, problems)
                    }
                }
            }
        };
        if read.is_none() && (spec.mandatory || !problems.is_empty()) {
            self.unusable.get_or_insert(spec.label);
        }
        self.push(spec, kind, value, choices, problems);
        read
    }

    fn push(
        &mut self,
        spec: &FieldSpec,
        kind: FieldKind,
        value: String,
        choices: Vec<Choice>,
        problems: Vec<Problem>,
    ) {
        self.fields.push(Field {
            id: spec.id.to_owned(),
            label: spec.label.to_owned(),
            help: spec.help.to_owned(),
            kind,
            role: spec.role,
            mandatory: spec.mandatory,
            max_length: spec.max_length,
            enabled: true,
            choices,
            value,
            problems,
        });
    }
}

/// A draft of an instance that was never saved, in which nothing is typed.
impl Default for Draft {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            saved: Vec::new(),
            secrets: Vec::new(),
            has_licenses: false,
            currency: "EUR".to_owned(),
            certificates: Vec::new(),
            other_instances: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: FieldSpec = FieldSpec::new("name", "Name", "", FieldRole::Other).optional();
    const SERVER: FieldSpec = FieldSpec::new("server", "Server", "", FieldRole::Account);
    const PLAN: FieldSpec = FieldSpec::new("plan", "Plan", "", FieldRole::Account);
    const KEY: FieldSpec = FieldSpec::new("key", "Key", "", FieldRole::Credential);

    fn values(values: &[(&str, &str)]) -> Vec<FieldValue> {
        let value = |&(id, value): &(&str, &str)| FieldValue {
            id: id.to_owned(),
            value: value.to_owned(),
        };
        values.iter().map(value).collect()
    }

    fn draft(typed: &[(&str, &str)], saved: &[(&str, &str)], secrets: &[&str]) -> Draft {
        Draft {
            values: values(typed),
            saved: values(saved),
            secrets: secrets.iter().map(|&id| id.to_owned()).collect(),
            ..Draft::default()
        }
    }

    fn plans() -> Vec<Choice> {
        let choice = |key: &str, why: &str| Choice {
            key: key.to_owned(),
            label: key.to_owned(),
            unusable_because: why.to_owned(),
        };
        vec![choice("small", ""), choice("old", "It is not sold any more.")]
    }

    fn asked(mut form: FormBuilder<'_>) -> (Option<Server>, FormBuilder<'_>) {
        form.text(&NAME, |name| Ok(name.to_owned()));
        let server = form.url(&SERVER);
        form.choice(&PLAN, plans());
        form.secret(&KEY);
        (server, form)
    }

    fn answer(draft: &Draft) -> Form {
        let (server, form) = asked(FormBuilder::of_draft(draft));
        let authority = |server: Server| Authority {
            name: server.authority,
            client_certificate: false,
            secret_headers: Vec::new(),
        };
        form.form(server.map(|server| vec![authority(server)]))
    }

    #[test]
    fn a_form_with_all_that_is_mandatory_is_ready_and_typed_values_go_before_saved_ones() {
        let draft = draft(
            &[("server", " https://API.example:443/v1/ ")],
            &[("server", "https://old.example"), ("plan", "small")],
            &["key"],
        );
        let form = answer(&draft);
        assert_eq!(form.fields[1].value, "https://API.example:443/v1/");
        let Standing::Ready(servers) = form.standing else {
            panic!("{:?}", form.standing)
        };
        assert_eq!(servers[0].name, "api.example");
    }

    #[test]
    fn all_problems_are_named_at_once_and_none_of_a_missing_value() {
        let draft = draft(
            &[
                ("name", "a\u{202E}b"),
                ("server", "http://user@a.example"),
                ("plan", "old"),
            ],
            &[],
            &[],
        );
        let form = answer(&draft);
        let problems: Vec<_> = form.fields.iter().map(|field| field.problems.len()).collect();
        assert_eq!(problems, [1, 2, 1, 0]);
        assert!(matches!(form.standing, Standing::NeedsCredentials));
        let form = answer(&self::draft(&[], &[], &["key"]));
        assert!(form.fields.iter().all(|field| field.problems.is_empty()));
        assert!(matches!(form.standing, Standing::NeedsCredentials));
    }

    #[test]
    fn a_form_is_not_ready_while_one_thing_is_missing_or_wrong() {
        let good = [("server", "https://a.example"), ("plan", "small")];
        assert!(matches!(
            answer(&draft(&good, &[], &["key"])).standing,
            Standing::Ready(_)
        ));
        assert!(matches!(
            answer(&draft(&good, &[], &[])).standing,
            Standing::NeedsCredentials
        ));
        for wrong in [
            ("server", "a.example"),
            ("plan", "large"),
            ("plan", "old"),
            ("plan", ""),
        ] {
            let typed = good.map(|field| if field.0 == wrong.0 { wrong } else { field });
            let form = answer(&draft(&typed, &[], &["key"]));
            assert!(matches!(form.standing, Standing::NeedsCredentials), "{wrong:?}");
        }
    }

    #[test]
    fn settings_are_read_as_they_were_typed_and_the_first_that_is_unusable_is_named() {
        let instance = |server: &str| Instance {
            id: "a".to_owned(),
            values: values(&[("server", server), ("plan", "small")]),
            currency: "EUR".to_owned(),
        };
        let ready = instance("https://a.example/v1/");
        let (server, form) = asked(FormBuilder::of_instance(&ready));
        assert_eq!(
            form.settings(server).expect("a server").url,
            "https://a.example/v1"
        );
        let wrong = instance("");
        let (server, form) = asked(FormBuilder::of_instance(&wrong));
        let problem = form.settings(server).expect_err("no server");
        assert!(problem.message.starts_with("Server "), "{problem:?}");
    }

    #[test]
    fn a_certificate_is_one_that_is_installed_and_names_its_field() {
        let mut draft = draft(
            &[("certificate", "0123456789abcdef0123456789abcdef0123456 7")],
            &[],
            &[],
        );
        let spec = FieldSpec::new("certificate", "Certificate", "", FieldRole::Credential);
        let mut form = FormBuilder::of_draft(&draft);
        assert_eq!(form.certificate(&spec, 0), None);
        let form = form.form(Some(Vec::new()));
        assert_eq!(form.certificate_field.as_deref(), Some("certificate"));
        assert_eq!(form.fields[0].problems[0].code, "certificate-not-installed");
        let thumbprint = "0123456789ABCDEF0123456789ABCDEF01234567";
        draft.certificates = vec![InstalledCertificate {
            thumbprint: thumbprint.to_owned(),
            subject: "CN=a".to_owned(),
            dns_names: Vec::new(),
            not_before_ms: -1,
            not_after_ms: 1,
            key: crate::bindings::bss::service_manager::instance_settings::KeyKind::Rsa(2_048),
            has_private_key: true,
            for_client_authentication: true,
        }];
        let mut form = FormBuilder::of_draft(&draft);
        assert_eq!(form.certificate(&spec, 0).as_deref(), Some(thumbprint));
        let mut form = FormBuilder::of_draft(&draft);
        assert_eq!(form.certificate(&spec, 2), None, "it has expired");
    }
}

//! Checks that a plugin's form keeps the rules of the contract (`wit/instance-settings.wit`), whoever typed what.
//!
//! A form that breaks one rule is refused as a whole, where it is only shown as well: a plugin that counts its choices
//! twice may be wrong about the rest. What a form would have saved is checked by [`crate::settings_gate`].
//!
//! | part | rule | code |
//! |---|---|---|
//! | field | its id is lower case words joined by `-`, not too long | `field-name-broken` |
//! | field | its id is unique in the form | `field-twice` |
//! | field | it has a label | `field-label-missing` |
//! | field | only a `choice` field has choices | `choices-misplaced` |
//! | choice | it has a key and a label | `choice-unnamed` |
//! | choice | its key is unique in the field | `choice-twice` |
//! | problem | it has a code and a message | `problem-unworded` |
//! | value | it is one line, not too long for the host | `value-unkeepable` |
//! | value | it is not longer than `max-length` | `value-too-long` |
//! | value | one of an enabled `choice` field is among the choices | `choice-not-offered` |
//! | value | … and can be chosen | `choice-unusable` |
//! | value | one that is typed into a field that is not enabled is a problem | `value-not-taken` |
//! | value | there is none in a `secret` field: no plugin has a secret | `secret-said` |
//! | role | a secret, and the certificate's field, are of an account or a credential | `credential-of-no-role` |
//! | role | where a field is a credential, another one names the account; where the form is `ready`, it has a value | `credential-alone` |
//! | standing | where it is `ready`, no mandatory field is empty | `mandatory-missing` |
//! | standing | where it is `ready`, there is a server to reach | `no-server` |
//! | secret header | its `field` is a `secret` field of the form | `secret-field-unknown` |
//! | secret header | its name and prefix can stand in a header, and say nothing of the connection or the body | `secret-header-broken` |
//! | secret header | a server gets one of each name | `secret-header-twice` |
//! | form | `certificate-field` names a field of the form, which is no secret, or none | `certificate-field-unknown` |
//!
//! The rules of values hold for fields without problems: a value with a problem is only shown, as it was typed. A field
//! that is not enabled may keep a saved value, and has no choices while there is nothing to offer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use bss_sandbox::bindings::instance_settings::{Field, FieldKind, FieldRole, Form, Standing};
use http::HeaderName;

use crate::plugin_words::{is_blank, shortened};

/// The longest name of a field, in bytes.
const FIELD_NAME_BYTES: usize = 64;
/// The longest value, in characters. RFC 9110 asks for 8,000 for an address; none that an operator types is near this.
const VALUE_CHARS: usize = 2_000;

/// The longest text before a secret, in bytes: an authentication scheme's name and a blank.
const PREFIX_BYTES: usize = 64;

/// A rule of the contract that a form breaks, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// A field has an id that can't be one.
    #[error("the field in place {position} has no name that a field can have")]
    FieldName {
        /// The field's place, from 1.
        position: usize,
    },
    /// Two fields have one id.
    #[error("two fields are `{field}`")]
    FieldTwice {
        /// The field.
        field: String,
    },
    /// A field has no label.
    #[error("field `{field}` has no label")]
    FieldLabel {
        /// The field.
        field: String,
    },
    /// A field that is no choice has choices.
    #[error("field `{field}` has choices and is no choice")]
    ChoicesMisplaced {
        /// The field.
        field: String,
    },
    /// A choice has no key or no label.
    #[error("field `{field}` has no key or no label for its choice in place {position}")]
    ChoiceUnnamed {
        /// The field.
        field: String,
        /// The choice's place, from 1.
        position: usize,
    },
    /// Two choices of a field have one key.
    #[error("field `{field}` has two choices `{key}`")]
    ChoiceTwice {
        /// The field.
        field: String,
        /// The key, shortened.
        key: String,
    },
    /// A problem has no code or no message.
    #[error("field `{field}` has a problem without a code or a message")]
    ProblemUnworded {
        /// The field.
        field: String,
    },
    /// A value can't be kept.
    #[error("field `{field}` has a value of several lines or of more than {VALUE_CHARS} characters")]
    ValueUnkeepable {
        /// The field.
        field: String,
    },
    /// A value is longer than the field takes, and there is no problem.
    #[error("field `{field}` takes a value of {length} characters, and has {max_length} for its longest")]
    ValueTooLong {
        /// The field.
        field: String,
        /// The value's length, in Unicode scalar values.
        length: usize,
        /// The field's `max-length`.
        max_length: u32,
    },
    /// A value is not among the choices, and there is no problem.
    #[error("field `{field}` takes `{value}`, which is not among its choices")]
    ChoiceNotOffered {
        /// The field.
        field: String,
        /// The value, shortened.
        value: String,
    },
    /// A value is a choice that can't be chosen, and there is no problem.
    #[error("field `{field}` takes `{value}`, which can't be chosen: {because}")]
    ChoiceUnusable {
        /// The field.
        field: String,
        /// The value, shortened.
        value: String,
        /// The plugin's reason, shortened.
        because: String,
    },
    /// A value was typed into a field that is not enabled, and there is no problem.
    #[error("field `{field}` takes a value although it is not enabled")]
    ValueNotTaken {
        /// The field.
        field: String,
    },
    /// The instance would be ready without a mandatory value.
    #[error("field `{field}` is mandatory and empty, and the instance would be ready")]
    MandatoryMissing {
        /// The field.
        field: String,
    },
    /// A plugin says a secret.
    #[error("field `{field}` is a secret, and has a value")]
    SecretSaid {
        /// The field.
        field: String,
    },
    /// A field proves who asks, and its role denies that.
    #[error("field `{field}` proves who asks, and has the role of one that means nothing to the vendor")]
    CredentialOfNoRole {
        /// The field.
        field: String,
    },
    /// A field is a credential, and nothing says of which account.
    #[error("field `{field}` is a credential, and no field with a value names the account")]
    CredentialAlone {
        /// The field.
        field: String,
    },
    /// A header field would hold what is no secret of the form.
    #[error("server `{server}` would be sent the secret `{field}`, which is no secret of the form")]
    SecretFieldUnknown {
        /// The server, shortened.
        server: String,
        /// The field, shortened.
        field: String,
    },
    /// A header field can't hold a secret.
    #[error("server `{server}` would be sent a secret as the header field `{name}`, which can't hold one")]
    SecretHeaderBroken {
        /// The server, shortened.
        server: String,
        /// The header field's name, shortened.
        name: String,
    },
    /// A server would be sent two secrets under one name.
    #[error("server `{server}` would be sent two secrets as the header field `{name}`")]
    SecretHeaderTwice {
        /// The server, shortened.
        server: String,
        /// The header field's name, shortened.
        name: String,
    },
    /// The instance would be ready and reach nobody.
    #[error("the instance would be ready, and there is no server that it must reach")]
    NoServer,
    /// The certificate's field is none of the form's.
    #[error("the certificate's field is `{field}`, which the form does not have")]
    CertificateFieldUnknown {
        /// The field that is named, shortened.
        field: String,
    },
}

impl Diagnose for FormError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::FieldName { .. } => Diagnosis::new(ErrorKind::Refused, "field-name-broken"),
            Self::FieldTwice { .. } => Diagnosis::new(ErrorKind::Refused, "field-twice"),
            Self::FieldLabel { .. } => Diagnosis::new(ErrorKind::Refused, "field-label-missing"),
            Self::ChoicesMisplaced { .. } => Diagnosis::new(ErrorKind::Refused, "choices-misplaced"),
            Self::ChoiceUnnamed { .. } => Diagnosis::new(ErrorKind::Refused, "choice-unnamed"),
            Self::ChoiceTwice { .. } => Diagnosis::new(ErrorKind::Refused, "choice-twice"),
            Self::ProblemUnworded { .. } => Diagnosis::new(ErrorKind::Refused, "problem-unworded"),
            Self::ValueUnkeepable { .. } => Diagnosis::new(ErrorKind::Refused, "value-unkeepable"),
            Self::ValueTooLong { .. } => Diagnosis::new(ErrorKind::Refused, "value-too-long"),
            Self::ChoiceNotOffered { .. } => Diagnosis::new(ErrorKind::Refused, "choice-not-offered"),
            Self::ChoiceUnusable { .. } => Diagnosis::new(ErrorKind::Refused, "choice-unusable"),
            Self::ValueNotTaken { .. } => Diagnosis::new(ErrorKind::Refused, "value-not-taken"),
            Self::MandatoryMissing { .. } => Diagnosis::new(ErrorKind::Refused, "mandatory-missing"),
            Self::SecretSaid { .. } => Diagnosis::new(ErrorKind::Refused, "secret-said"),
            Self::CredentialOfNoRole { .. } => Diagnosis::new(ErrorKind::Refused, "credential-of-no-role"),
            Self::CredentialAlone { .. } => Diagnosis::new(ErrorKind::Refused, "credential-alone"),
            Self::SecretFieldUnknown { .. } => Diagnosis::new(ErrorKind::Refused, "secret-field-unknown"),
            Self::SecretHeaderBroken { .. } => Diagnosis::new(ErrorKind::Refused, "secret-header-broken"),
            Self::SecretHeaderTwice { .. } => Diagnosis::new(ErrorKind::Refused, "secret-header-twice"),
            Self::NoServer => Diagnosis::new(ErrorKind::Refused, "no-server"),
            Self::CertificateFieldUnknown { .. } => {
                Diagnosis::new(ErrorKind::Refused, "certificate-field-unknown")
            }
        }
        .advise(Advice::ReportPlugin)
    }
}

/// A form that keeps the rules of the contract.
#[derive(Debug)]
pub(crate) struct CheckedForm(Form);

impl CheckedForm {
    /// Checks a plugin's answer to what an operator has typed. `secrets`: the fields that have a secret in this draft.
    ///
    /// # Errors
    /// When the form breaks a rule: with the first one.
    pub(crate) fn new(
        form: Form,
        typed: &BTreeMap<String, String>,
        secrets: &BTreeSet<String>,
    ) -> Result<Self, FormError> {
        let is_ready = check_standing(&form.standing)?;
        let mut names = BTreeSet::new();
        for (index, field) in form.fields.iter().enumerate() {
            check_name(field, index + 1)?;
            if !names.insert(field.id.as_str()) {
                return Err(FormError::FieldTwice {
                    field: field.id.clone(),
                });
            }
            check_shape(field)?;
            if field.problems.is_empty() {
                let typed = typed.get(&field.id).map_or("", |value| value.trim());
                check_value(field, typed)?;
                let is_given = !field.value.trim().is_empty() || secrets.contains(&field.id);
                if is_ready && field.mandatory && !is_given {
                    return Err(FormError::MandatoryMissing {
                        field: field.id.clone(),
                    });
                }
            }
        }
        check_roles(&form, is_ready, secrets)?;
        check_secret_headers(&form)?;
        if let Some(certificate_field) = &form.certificate_field
            && !form
                .fields
                .iter()
                .any(|field| field.id == *certificate_field && field.kind != FieldKind::Secret)
        {
            return Err(FormError::CertificateFieldUnknown {
                field: shortened(certificate_field),
            });
        }
        Ok(Self(form))
    }

    /// The form, for whoever shows it.
    pub(crate) fn into_inner(self) -> Form {
        self.0
    }
}

impl Deref for CheckedForm {
    type Target = Form;

    fn deref(&self) -> &Form {
        &self.0
    }
}

/// Returns whether the instance would be ready.
fn check_standing(standing: &Standing) -> Result<bool, FormError> {
    match standing {
        Standing::Ready(authorities) if authorities.is_empty() => Err(FormError::NoServer),
        Standing::Ready(_) => Ok(true),
        Standing::NeedsCredentials | Standing::NeedsSelection => Ok(false),
    }
}

fn check_name(field: &Field, position: usize) -> Result<(), FormError> {
    let is_named = (1..=FIELD_NAME_BYTES).contains(&field.id.len())
        && field
            .id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match is_named {
        true => Ok(()),
        false => Err(FormError::FieldName { position }),
    }
}

/// Checks what a field is, whatever its value.
fn check_shape(field: &Field) -> Result<(), FormError> {
    let id = || field.id.clone();
    if is_blank(&field.label) {
        return Err(FormError::FieldLabel { field: id() });
    }
    if field.kind != FieldKind::Choice && !field.choices.is_empty() {
        return Err(FormError::ChoicesMisplaced { field: id() });
    }
    let mut keys = BTreeSet::new();
    for (index, choice) in field.choices.iter().enumerate() {
        if is_blank(&choice.key) || is_blank(&choice.label) {
            return Err(FormError::ChoiceUnnamed {
                field: id(),
                position: index + 1,
            });
        }
        if !keys.insert(choice.key.as_str()) {
            return Err(FormError::ChoiceTwice {
                field: id(),
                key: shortened(&choice.key),
            });
        }
    }
    let mut problems = field.problems.iter();
    if problems.any(|problem| is_blank(&problem.code) || is_blank(&problem.message)) {
        return Err(FormError::ProblemUnworded { field: id() });
    }
    match field.kind == FieldKind::Secret && !field.value.is_empty() {
        true => Err(FormError::SecretSaid { field: id() }),
        false => Ok(()),
    }
}

/// Checks that what proves who asks is not all there is: with another credential it would be another account, unseen.
fn check_roles(form: &Form, is_ready: bool, secrets: &BTreeSet<String>) -> Result<(), FormError> {
    let proves = |field: &&Field| {
        field.kind == FieldKind::Secret || form.certificate_field.as_ref() == Some(&field.id)
    };
    let mut proofs = form.fields.iter().filter(proves);
    if let Some(field) = proofs.find(|field| field.role == FieldRole::Other) {
        return Err(FormError::CredentialOfNoRole {
            field: field.id.clone(),
        });
    }
    let has_value =
        |field: &&Field| !is_ready || !field.value.trim().is_empty() || secrets.contains(&field.id);
    let of = |role| form.fields.iter().filter(move |field| field.role == role);
    match (
        of(FieldRole::Credential).next(),
        of(FieldRole::Account).find(has_value),
    ) {
        (Some(credential), None) => Err(FormError::CredentialAlone {
            field: credential.id.clone(),
        }),
        _ => Ok(()),
    }
}

fn check_secret_headers(form: &Form) -> Result<(), FormError> {
    let Standing::Ready(authorities) = &form.standing else {
        return Ok(());
    };
    for authority in authorities {
        let server = || shortened(&authority.name);
        let mut names = BTreeSet::new();
        for header in &authority.secret_headers {
            let is_secret = |field: &Field| field.id == header.field && field.kind == FieldKind::Secret;
            if !form.fields.iter().any(is_secret) {
                return Err(FormError::SecretFieldUnknown {
                    server: server(),
                    field: shortened(&header.field),
                });
            }
            if !may_hold_a_secret(&header.name) || !is_prefix(&header.prefix) {
                return Err(FormError::SecretHeaderBroken {
                    server: server(),
                    name: shortened(&header.name),
                });
            }
            if !names.insert(&header.name) {
                return Err(FormError::SecretHeaderTwice {
                    server: server(),
                    name: shortened(&header.name),
                });
            }
        }
    }
    Ok(())
}

/// Whether a header field can hold a secret: it says nothing of the connection (RFC 9110, section 7.6.1), the server or the
/// body.
fn may_hold_a_secret(name: &str) -> bool {
    const OF_THE_MESSAGE: [&str; 17] = [
        "cache-control",
        "connection",
        "date",
        "expect",
        "from",
        "host",
        "keep-alive",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    let is_of_the_message = OF_THE_MESSAGE.contains(&name)
        || [
            "accept",
            "content-",
            "forwarded",
            "if-",
            "proxy-",
            "x-forwarded",
            "x-http-method",
        ]
        .iter()
        .any(|start| name.starts_with(start));
    !is_of_the_message && HeaderName::from_lowercase(name.as_bytes()).is_ok()
}

fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= PREFIX_BYTES && prefix.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Checks the value of a field that has no problem.
fn check_value(field: &Field, typed: &str) -> Result<(), FormError> {
    let id = || field.id.clone();
    // As the host saves it: blanks around a value never count.
    let value = field.value.trim();
    let length = value.chars().count();
    if length > VALUE_CHARS || value.chars().any(char::is_control) {
        return Err(FormError::ValueUnkeepable { field: id() });
    }
    if u32::try_from(length).is_ok_and(|length| length > field.max_length) {
        return Err(FormError::ValueTooLong {
            field: id(),
            length,
            max_length: field.max_length,
        });
    }
    if !field.enabled && !typed.is_empty() {
        return Err(FormError::ValueNotTaken { field: id() });
    }
    match field.enabled && field.kind == FieldKind::Choice && !value.is_empty() {
        true => check_choice(field, value),
        false => Ok(()),
    }
}

fn check_choice(field: &Field, value: &str) -> Result<(), FormError> {
    let chosen = field.choices.iter().find(|choice| choice.key == value);
    match chosen {
        None => Err(FormError::ChoiceNotOffered {
            field: field.id.clone(),
            value: shortened(value),
        }),
        Some(choice) if !choice.unusable_because.is_empty() => Err(FormError::ChoiceUnusable {
            field: field.id.clone(),
            value: shortened(value),
            because: shortened(&choice.unusable_because),
        }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bss_sandbox::bindings::failures::Problem;
    use bss_sandbox::bindings::instance_settings::{Authority, Choice, SecretHeader};

    use super::*;

    fn choice(key: &str) -> Choice {
        Choice {
            key: key.to_owned(),
            label: format!("Label of {key}"),
            unusable_because: String::new(),
        }
    }

    fn field(id: &str, kind: FieldKind, value: &str) -> Field {
        Field {
            id: id.to_owned(),
            label: "Label".to_owned(),
            help: String::new(),
            kind,
            role: FieldRole::Other,
            mandatory: true,
            max_length: 5,
            enabled: true,
            choices: Vec::new(),
            value: value.to_owned(),
            problems: Vec::new(),
        }
    }

    /// A form with a text, a choice of which one can't be chosen, and a field that is not enabled yet.
    fn lawful() -> Form {
        let mut country = field("country", FieldKind::Choice, "DE");
        country.choices = vec![choice("DE"), choice("GR"), choice("XX")];
        country.choices[2].unusable_because = "Nobody lives there.".to_owned();
        let mut plan = field("plan", FieldKind::Choice, "");
        plan.enabled = false;
        plan.mandatory = false;
        let mut key = field("key", FieldKind::Secret, "");
        key.role = FieldRole::Credential;
        country.role = FieldRole::Account;
        let mut certificate = field("certificate", FieldKind::Text, "abcde");
        certificate.role = FieldRole::Credential;
        Form {
            fields: vec![
                field("name", FieldKind::Text, "esd"),
                country,
                plan,
                key,
                certificate,
            ],
            standing: Standing::Ready(vec![Authority {
                name: "api.example.com".to_owned(),
                client_certificate: false,
                secret_headers: vec![SecretHeader {
                    name: "authorization".to_owned(),
                    prefix: "Bearer ".to_owned(),
                    field: "key".to_owned(),
                }],
            }]),
            certificate_field: Some("certificate".to_owned()),
        }
    }

    const NAME: usize = 0;
    const COUNTRY: usize = 1;
    const PLAN: usize = 2;
    const KEY: usize = 3;
    const CERTIFICATE: usize = 4;

    /// The code with which a form is refused to which this was done. `None`: it is taken.
    fn refused(change: impl FnOnce(&mut Form)) -> Option<String> {
        refused_typed(&[], change)
    }

    fn refused_typed(typed: &[(&str, &str)], change: impl FnOnce(&mut Form)) -> Option<String> {
        let typed = typed
            .iter()
            .map(|(id, value)| ((*id).to_owned(), (*value).to_owned()));
        let mut form = lawful();
        change(&mut form);
        let secrets = BTreeSet::from(["key".to_owned()]);
        let checked = CheckedForm::new(form, &typed.collect(), &secrets);
        checked.err().map(|error| error.diagnosis().code.into_owned())
    }

    fn said(code: &str, message: &str) -> Problem {
        Problem {
            code: code.to_owned(),
            message: message.to_owned(),
            advice: String::new(),
            correlation_id: String::new(),
        }
    }

    #[test]
    fn a_form_that_keeps_all_rules_is_taken() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(
            refused(|form| form.fields.clear()),
            Some(code("secret-field-unknown"))
        );
    }

    fn code(code: &str) -> String {
        code.to_owned()
    }

    #[test]
    fn a_field_has_a_name_of_its_own_in_small_letters() {
        let named = |name: &str| refused(|form| form.fields[PLAN].id = name.to_owned());
        assert_eq!(named("plan-2"), None);
        assert_eq!(named(&"n".repeat(FIELD_NAME_BYTES)), None);
        let too_long = "n".repeat(FIELD_NAME_BYTES + 1);
        for name in ["", "Plan", "pl\nan", "plan_2", &too_long] {
            assert_eq!(named(name), Some(code("field-name-broken")), "{name}");
        }
        assert_eq!(named("country"), Some(code("field-twice")));
    }

    #[test]
    fn a_field_has_a_label() {
        let labeled = |label: &str| refused(|form| form.fields[PLAN].label = label.to_owned());
        assert_eq!(labeled("P"), None);
        for label in ["", " "] {
            assert_eq!(labeled(label), Some(code("field-label-missing")));
        }
    }

    #[test]
    fn choices_stand_in_a_choice_each_with_a_key_of_its_own_and_a_label() {
        let offered = |at: usize, choice: Choice| refused(|form| form.fields[at].choices.push(choice));
        assert_eq!(offered(COUNTRY, choice("CY")), None);
        assert_eq!(offered(COUNTRY, choice("de")), None, "another key");
        assert_eq!(offered(COUNTRY, choice("GR")), Some(code("choice-twice")));
        assert_eq!(offered(NAME, choice("esd")), Some(code("choices-misplaced")));
        let mut unlabeled = choice("CY");
        unlabeled.label.clear();
        for unnamed in [choice(""), unlabeled] {
            assert_eq!(offered(COUNTRY, unnamed), Some(code("choice-unnamed")));
        }
    }

    #[test]
    fn a_problem_has_a_code_and_a_message() {
        let with = |problem| refused(|form| form.fields[NAME].problems.push(problem));
        assert_eq!(with(said("missing", "The name is missing.")), None);
        for unworded in [said("", "The name is missing."), said("missing", " ")] {
            assert_eq!(with(unworded), Some(code("problem-unworded")));
        }
    }

    #[test]
    fn a_value_is_as_long_as_its_field_takes_in_characters() {
        let valued = |value: &str| refused(|form| form.fields[NAME].value = value.to_owned());
        assert_eq!(valued("äöü€𝄞"), None);
        assert_eq!(valued(" esd e "), None, "blanks around it are not saved");
        assert_eq!(valued("äöü€𝄞x"), Some(code("value-too-long")));
    }

    #[test]
    fn a_value_is_one_line_that_the_host_can_keep() {
        let valued = |value: &str| {
            refused(|form| {
                form.fields[NAME].max_length = u32::MAX;
                form.fields[NAME].value = value.to_owned();
            })
        };
        assert_eq!(valued(&"a".repeat(VALUE_CHARS)), None);
        for value in ["a\u{7}b", "a\nb", &"a".repeat(VALUE_CHARS + 1)] {
            assert_eq!(valued(value), Some(code("value-unkeepable")));
        }
    }

    #[test]
    fn a_choice_is_one_of_those_that_can_be_chosen() {
        let chosen = |value: &str| refused(|form| form.fields[COUNTRY].value = value.to_owned());
        assert_eq!(chosen("GR"), None);
        for value in ["CY", "de"] {
            assert_eq!(chosen(value), Some(code("choice-not-offered")));
        }
        assert_eq!(chosen("XX"), Some(code("choice-unusable")));
    }

    #[test]
    fn a_field_that_is_not_enabled_keeps_its_saved_value_and_takes_no_other() {
        let kept = |form: &mut Form| form.fields[PLAN].value = "gold".to_owned();
        assert_eq!(refused(kept), None);
        assert_eq!(refused_typed(&[("plan", " ")], |_| ()), None, "it was cleared");
        let typed = [("plan", "gold")];
        assert_eq!(refused_typed(&typed, kept), Some(code("value-not-taken")));
        assert_eq!(
            refused_typed(&typed, |_| ()),
            Some(code("value-not-taken")),
            "it was dropped"
        );
        let with_problem = |form: &mut Form| {
            kept(form);
            form.fields[PLAN].problems = vec![said("not-yet-enabled", "It can't be chosen yet.")];
        };
        assert_eq!(refused_typed(&typed, with_problem), None);
    }

    #[test]
    fn a_mandatory_field_is_empty_only_before_the_instance_is_ready() {
        let emptied = |form: &mut Form| form.fields[NAME].value = " ".to_owned();
        assert_eq!(refused(emptied), Some(code("mandatory-missing")));
        for unfinished in [Standing::NeedsCredentials, Standing::NeedsSelection] {
            let unfinished = |form: &mut Form| {
                emptied(form);
                form.standing = unfinished;
            };
            assert_eq!(refused(unfinished), None);
        }
        let optional = |form: &mut Form| {
            emptied(form);
            form.fields[NAME].mandatory = false;
        };
        assert_eq!(refused(optional), None);
    }

    #[test]
    fn the_values_of_fields_with_problems_are_as_they_were_typed() {
        for value in ["", "much too long"] {
            let with_problem = |form: &mut Form| {
                form.fields[NAME].value = value.to_owned();
                form.fields[NAME].problems = vec![said("wrong", "It is wrong.")];
            };
            assert_eq!(refused(with_problem), None);
        }
    }

    #[test]
    fn an_instance_that_is_ready_reaches_somebody() {
        let reaching_nobody = |standing| refused(|form| form.standing = standing);
        assert_eq!(reaching_nobody(Standing::NeedsSelection), None);
        let ready = Standing::Ready(Vec::new());
        assert_eq!(reaching_nobody(ready), Some(code("no-server")));
    }

    #[test]
    fn a_plugin_says_no_secret_and_needs_none_that_is_there() {
        let with_value = |form: &mut Form| form.fields[KEY].value = "ak_12345678".to_owned();
        assert_eq!(refused(with_value), Some(code("secret-said")));
        let with_problem = |form: &mut Form| {
            with_value(form);
            form.fields[KEY].problems = vec![said("wrong", "It is wrong.")];
        };
        assert_eq!(
            refused(with_problem),
            Some(code("secret-said")),
            "also where it is only shown"
        );
        let without = CheckedForm::new(lawful(), &BTreeMap::new(), &BTreeSet::new());
        assert_eq!(
            without.unwrap_err(),
            FormError::MandatoryMissing {
                field: "key".to_owned()
            }
        );
    }

    #[test]
    fn a_credential_is_of_an_account_that_a_field_names() {
        let role = |at: usize, role| refused(|form| form.fields[at].role = role);
        assert_eq!(role(COUNTRY, FieldRole::Other), Some(code("credential-alone")));
        assert_eq!(
            refused(|form| {
                form.fields[COUNTRY].role = FieldRole::Other;
                form.fields[KEY].role = FieldRole::Account;
            }),
            None,
            "the secret names the account itself"
        );
        let empty = |form: &mut Form| {
            form.fields[COUNTRY].value.clear();
            form.fields[COUNTRY].mandatory = false;
        };
        assert_eq!(
            refused(empty),
            Some(code("credential-alone")),
            "the account is optional"
        );
        let unfinished = |form: &mut Form| {
            empty(form);
            form.standing = Standing::NeedsCredentials;
        };
        assert_eq!(refused(unfinished), None);
    }

    #[test]
    fn what_proves_who_asks_is_never_of_no_meaning_to_the_vendor() {
        for at in [KEY, CERTIFICATE] {
            let role = |role| refused(|form| form.fields[at].role = role);
            assert_eq!(role(FieldRole::Other), Some(code("credential-of-no-role")));
            assert_eq!(role(FieldRole::Account), None);
        }
    }

    #[test]
    fn a_secret_is_sent_in_a_header_field_of_its_own_that_can_hold_it() {
        fn headers(form: &mut Form) -> &mut Vec<SecretHeader> {
            match &mut form.standing {
                Standing::Ready(authorities) => &mut authorities[0].secret_headers,
                other => panic!("{other:?}"),
            }
        }
        let changed = |change: &dyn Fn(&mut SecretHeader)| refused(|form| change(&mut headers(form)[0]));
        for name in ["authorization", "x-api-key", "api-key", "cookie"] {
            assert_eq!(changed(&|header| header.name = name.to_owned()), None, "{name}");
        }
        for name in [
            "",
            "Authorization",
            "two words",
            "host",
            "content-length",
            "transfer-encoding",
            "te",
            "proxy-authorization",
            "origin",
            "user-agent",
            "x-forwarded-host",
        ] {
            let refused = changed(&|header| header.name = name.to_owned());
            assert_eq!(refused, Some(code("secret-header-broken")), "{name}");
        }
        let too_long = "p".repeat(PREFIX_BYTES + 1);
        for prefix in ["Bearer\r\nx: ", "Bäder ", &too_long] {
            let refused = changed(&|header| header.prefix = prefix.to_owned());
            assert_eq!(refused, Some(code("secret-header-broken")), "{prefix}");
        }
        for field in ["name", "nothing"] {
            let refused = changed(&|header| header.field = field.to_owned());
            assert_eq!(refused, Some(code("secret-field-unknown")), "{field}");
        }
        let twice = refused(|form| {
            let again = headers(form)[0].clone();
            headers(form).push(again);
        });
        assert_eq!(twice, Some(code("secret-header-twice")));
    }

    #[test]
    fn the_certificate_s_field_is_one_of_the_form_or_none() {
        let naming = |field: Option<&str>| refused(|form| form.certificate_field = field.map(str::to_owned));
        for field in [None, Some("country"), Some("certificate")] {
            assert_eq!(naming(field), None);
        }
        for field in ["nothing", "", "key"] {
            assert_eq!(
                naming(Some(field)),
                Some(code("certificate-field-unknown")),
                "{field}"
            );
        }
    }

    #[test]
    fn a_refusal_quotes_no_text_of_the_plugin_as_it_is() {
        let mut form = lawful();
        form.certificate_field = Some("\u{1b}[2J".repeat(100));
        let error = CheckedForm::new(form, &BTreeMap::new(), &BTreeSet::new())
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\u{1b}') && error.len() < 1_000, "{error}");
    }
}

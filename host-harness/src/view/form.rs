//! The form of an instance as views show it.

use bss_sandbox::bindings::instance_settings;
use serde::Serialize;

use super::{Instance, Problem};
use crate::instance_settings as settings;

/// The form of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// The form's fields, in their order.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FormField))]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Stable name.
    pub id: String,
    /// The label that an operator reads beside the field.
    pub label: String,
    /// The text that says what to type.
    pub help: String,
    /// The kind of value that is typed.
    pub kind: FieldKind,
    /// Whether the field must have a value.
    pub mandatory: bool,
    /// The most characters that the field takes.
    pub max_length: u32,
    /// Whether the field can be changed now.
    pub enabled: bool,
    /// The value. Empty: the field has none, or is a secret.
    pub value: String,
    /// Whether the field has a value that is saved: of a secret, that is all there is to see.
    pub is_saved: bool,
    /// The choices.
    pub choices: Vec<Choice>,
    /// The problems with the value.
    pub problems: Vec<Problem>,
}

/// The kind of value that is typed into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FormFieldKind))]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// A text.
    Text,
    /// An https address.
    Url,
    /// The key of a choice.
    Choice,
    /// A line that nobody is shown again.
    Secret,
}

/// A choice in a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FormChoice))]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The value of the field when it is chosen.
    pub key: String,
    /// The label that an operator reads.
    pub label: String,
    /// Why the choice can't be made. Empty: it can.
    pub unusable_because: String,
}

/// An instance with its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct InstanceForm {
    /// The instance as it is saved.
    #[serde(flatten)]
    pub instance: Instance,
    /// Whether the typed values have been saved.
    pub saved: bool,
    /// The form.
    #[serde(flatten)]
    pub form: Form,
}

impl Form {
    fn new(form: &instance_settings::Form, saved: &bss_model::Instance) -> Self {
        let fields = form.fields.iter();
        Self {
            fields: fields.map(|field| Field::new(field, saved)).collect(),
        }
    }
}

impl Field {
    fn new(field: &instance_settings::Field, saved: &bss_model::Instance) -> Self {
        Self {
            is_saved: saved.values.contains_key(&field.id) || saved.secrets.contains_key(&field.id),
            id: field.id.clone(),
            label: field.label.clone(),
            help: field.help.clone(),
            kind: match field.kind {
                instance_settings::FieldKind::Text => FieldKind::Text,
                instance_settings::FieldKind::Url => FieldKind::Url,
                instance_settings::FieldKind::Choice => FieldKind::Choice,
                instance_settings::FieldKind::Secret => FieldKind::Secret,
            },
            mandatory: field.mandatory,
            max_length: field.max_length,
            enabled: field.enabled,
            value: field.value.clone(),
            choices: field.choices.iter().map(Choice::from).collect(),
            problems: field.problems.iter().map(Problem::from).collect(),
        }
    }
}

impl From<&instance_settings::Choice> for Choice {
    fn from(choice: &instance_settings::Choice) -> Self {
        Self {
            key: choice.key.clone(),
            label: choice.label.clone(),
            unusable_because: choice.unusable_because.clone(),
        }
    }
}

impl From<&settings::InstanceForm> for InstanceForm {
    fn from(form: &settings::InstanceForm) -> Self {
        Self {
            instance: (&form.instance).into(),
            saved: form.saved,
            form: Form::new(&form.form, &form.instance),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_sandbox::bindings::failures;

    use super::super::examples::{assert_json, instance};
    use super::*;

    fn form() -> instance_settings::Form {
        let field = instance_settings::Field {
            id: "country".to_owned(),
            label: "Country".to_owned(),
            help: "Where it sells".to_owned(),
            kind: instance_settings::FieldKind::Choice,
            role: instance_settings::FieldRole::Account,
            mandatory: true,
            max_length: 2,
            enabled: true,
            choices: vec![instance_settings::Choice {
                key: "DE".to_owned(),
                label: "Germany".to_owned(),
                unusable_because: String::new(),
            }],
            value: "XX".to_owned(),
            problems: vec![failures::Problem {
                code: "not-a-country".to_owned(),
                message: "XX is no country.".to_owned(),
                advice: "Choose one.".to_owned(),
                correlation_id: String::new(),
            }],
        };
        instance_settings::Form {
            fields: vec![field],
            standing: instance_settings::Standing::NeedsSelection,
            certificate_field: Some("certificate-thumbprint".to_owned()),
        }
    }

    #[test]
    fn a_form_with_a_mistake() {
        assert_json(
            &Form::new(&form(), &instance()),
            r#"
{
  "fields": [
    {
      "id": "country",
      "label": "Country",
      "help": "Where it sells",
      "kind": "choice",
      "mandatory": true,
      "maxLength": 2,
      "enabled": true,
      "value": "XX",
      "isSaved": true,
      "choices": [
        {
          "key": "DE",
          "label": "Germany",
          "unusableBecause": ""
        }
      ],
      "problems": [
        {
          "code": "not-a-country",
          "message": "XX is no country.",
          "advice": "Choose one.",
          "correlationId": ""
        }
      ]
    }
  ]
}"#,
        );
    }

    #[test]
    fn an_instance_with_its_form_has_the_fields_of_both() {
        let shown = settings::InstanceForm {
            instance: instance(),
            form: form(),
            saved: false,
        };
        let view = serde_json::to_value(InstanceForm::from(&shown)).unwrap();
        let mut expected = serde_json::to_value(Instance::from(&instance())).unwrap();
        expected["saved"] = false.into();
        expected["fields"] = serde_json::to_value(Form::new(&form(), &instance()).fields).unwrap();
        assert_eq!(view, expected);
    }
}

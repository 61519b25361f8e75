//! `/v1/instances/{instance}/settings`: an instance's form, and changes of what is saved, each based on a version that the client has seen.

use std::collections::{BTreeMap, HashSet};

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{Secret, Thumbprint};
use host_harness::view::{self, FieldKind};
use host_harness::{ConfigureError, SaveError, SettingsChange};
use http::header::ETAG;
use http::{HeaderMap, HeaderValue};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::answer::ok;
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::problem::{FieldProblem, Problem};
use crate::request_error::RequestError;
use crate::request_headers;

/// A change of an instance's settings. A field of the form that is in neither list keeps what is saved.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `change` reads it with all of its problems"
)]
pub(crate) struct SettingsBody {
    /// The values that are typed.
    #[schema(max_items = 10_000)]
    values: Option<Vec<ValueBody>>,
    /// The secrets that are typed.
    #[schema(max_items = 10_000)]
    secrets: Option<Vec<SecretBody>>,
}

/// A value that is typed into a field of the form.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it: `change` reads it")]
pub(crate) struct ValueBody {
    /// The field's id.
    field: String,
    /// The value. Left out: the field has none any more.
    value: Option<String>,
}

/// A secret that is typed into a field of the form.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it: `change` reads it")]
pub(crate) struct SecretBody {
    /// The field's id.
    field: String,
    /// The secret, which nobody is shown again. Left out: the field has none any more.
    value: Option<String>,
}

/// Answers with the form as it is saved.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let form = caller.instance(&name).await?.form().await?;
    Ok(tagged(without(form, &caller.foreign_certificates().await?)))
}

/// Changes settings, and saves them if no field has a problem.
pub(crate) async fn change(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Problem> {
    let based_on = request_headers::if_match(&headers)?;
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let values = typed("values", &mut fields, &mut problems);
    let secrets = typed("secrets", &mut fields, &mut problems);
    fields.end(&mut problems);
    problems.check()?;
    let instance = caller.instance(&name).await?;
    // Who is bound to an instance buys as that instance alone, and never with another one's certificate.
    let foreign = caller.foreign_certificates().await?;
    let mut problems = Problems::default();
    problems.extend(
        values
            .iter()
            .filter(|(_, value)| value.as_ref().is_some_and(|value| is_of(&foreign, value)))
            .map(|(field, _)| FieldProblem::of(format!("values.{field}"), &RequestError::ForeignCertificate)),
    );
    problems.check()?;
    let list_of = |field: &String| match secrets.contains_key(field) {
        true => "secrets",
        false => "values",
    };
    let change = SettingsChange {
        values: values
            .into_iter()
            .map(|(field, value)| (field, value.unwrap_or_default()))
            .collect(),
        secrets: secrets
            .iter()
            .map(|(field, value)| (field.clone(), value.as_deref().map(Secret::new)))
            .collect(),
        based_on: Some(based_on),
        ..SettingsChange::default()
    };
    let saved = caller
        .host()
        .configure(instance.id(), change, &caller.actor())
        .await;
    let form = match saved {
        Ok(form) => view::InstanceForm::from(&form),
        Err(error @ ConfigureError::Save(SaveError::Conflict { .. })) => {
            return Err(Problem::of_version(&error));
        }
        Err(error) => {
            return Err(match of_field(&error) {
                Some(field) => Problem::of(&error).in_field(&format!("{}.{field}", list_of(field))),
                None => Problem::of(&error),
            });
        }
    };
    match form.saved {
        true => Ok(tagged(without(form, &foreign))),
        false => Err(Problem::from(RequestError::NotSaved).with_errors(form_problems(&form))),
    }
}

/// Reads what is typed into fields, by field. `None`: the field is emptied.
fn typed(list: &str, fields: &mut Fields, problems: &mut Problems) -> BTreeMap<String, Option<String>> {
    let mut typed = BTreeMap::new();
    for mut row in fields.objects(list, problems) {
        let field = row.needed_text("field", problems);
        let value = row.text("value", problems);
        if typed.contains_key(&field) {
            row.repeated("field", problems);
        }
        row.end(problems);
        typed.insert(field, value);
    }
    typed
}

/// The field that an error is about. `None`: the change as a whole.
fn of_field(error: &ConfigureError) -> Option<&String> {
    match error {
        ConfigureError::NoField { field, .. }
        | ConfigureError::SecretAsValue { field }
        | ConfigureError::NotASecret { field }
        | ConfigureError::SecretUnusable { field, .. } => Some(field),
        _ => None,
    }
}

/// Whether a value names one of some certificates, in any spelling.
fn is_of(certificates: &HashSet<Thumbprint>, value: &str) -> bool {
    let thumbprint = value.parse();
    thumbprint.is_ok_and(|thumbprint| certificates.contains(&thumbprint))
}

/// The form without the choice of some certificates.
fn without(mut form: view::InstanceForm, certificates: &HashSet<Thumbprint>) -> view::InstanceForm {
    for field in &mut form.form.fields {
        field.choices.retain(|choice| !is_of(certificates, &choice.key));
    }
    form
}

/// The problems that the form has, with the list in which each field is typed.
fn form_problems(form: &view::InstanceForm) -> Vec<FieldProblem> {
    let of_field = |field: &view::Field| {
        let list = match field.kind {
            FieldKind::Secret => "secrets",
            FieldKind::Text | FieldKind::Url | FieldKind::Choice => "values",
        };
        let at = format!("{list}.{}", field.id);
        let problems = field.problems.iter().map(move |problem| FieldProblem {
            field: at.clone(),
            code: problem.code.clone(),
            message: problem.message.clone(),
            advice: (!problem.advice.is_empty()).then(|| problem.advice.clone()),
        });
        problems.collect::<Vec<_>>()
    };
    form.form.fields.iter().flat_map(of_field).collect()
}

/// The answer with a form, and the version by which a change of it says what it is based on (RFC 9110, section 8.8.3).
fn tagged(form: view::InstanceForm) -> Response {
    let mut response = ok(&form);
    let tag = HeaderValue::from_str(&format!("\"{}\"", form.instance.version));
    response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    response
}

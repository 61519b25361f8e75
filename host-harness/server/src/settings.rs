//! `/v1/instances/{instance}/settings`: an instance's form, and changes of what is saved, each based on a version that the client has seen.

use std::collections::{BTreeMap, BTreeSet};

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{Instance, InstanceId, Secret};
use host_harness::view::{self, FieldKind};
use host_harness::{ConfigureError, SaveError, SettingsChange};
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, StatusCode};
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
    caller.check_unbound()?;
    let form = caller.instance(&name).await?.form().await?;
    Ok(tagged(&form))
}

/// Changes settings, and saves them if no field has a problem.
pub(crate) async fn change(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Problem> {
    caller.check_unbound()?;
    let based_on = request_headers::if_match(&headers)?;
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let values = typed("values", &mut fields, &mut problems);
    let secrets = typed("secrets", &mut fields, &mut problems);
    fields.end(&mut problems);
    problems.check()?;
    let instance = caller.instance(&name).await?;
    let saved = caller
        .host()
        .record()
        .instance_by_id(instance.id().into())
        .await?;
    let saved = saved.ok_or_else(|| Problem::of(&ConfigureError::NoInstance(name)))?;
    if based_on != Some(saved.version) {
        let found = saved.version;
        return Err(RequestError::OtherVersion { found }.into());
    }
    if values.is_empty() && secrets.is_empty() {
        return Ok(tagged(&instance.form().await?));
    }
    check_unsent_secrets(&saved, &secrets)?;
    let of_secrets: BTreeSet<String> = secrets.keys().cloned().collect();
    let change = SettingsChange {
        values: values
            .into_iter()
            .map(|(field, value)| (field, value.unwrap_or_default()))
            .collect(),
        secrets: secrets
            .into_iter()
            .map(|(field, value)| (field, value.map(Secret::new)))
            .collect(),
        based_on,
        ..SettingsChange::default()
    };
    let changed = caller
        .host()
        .configure(InstanceId(saved.id), change, &caller.actor())
        .await;
    let form = view::InstanceForm::from(&changed.map_err(|error| refused(&error, &of_secrets))?);
    match form.saved {
        true => Ok(tagged(&form)),
        false => Err(Problem::from(RequestError::NotSaved).with_errors(form_problems(&form))),
    }
}

/// Fails where a secret is saved that was typed when no server stood in the form. It would go to whatever server is typed next, and who
/// types that here need not be who knows the secret.
fn check_unsent_secrets(saved: &Instance, typed: &BTreeMap<String, Option<String>>) -> Result<(), Problem> {
    let mut problems = Problems::default();
    let unsent = saved.secrets.iter();
    let unsent = unsent.filter(|(field, secret)| secret.servers.is_empty() && !typed.contains_key(*field));
    problems.extend(
        unsent.map(|(field, _)| FieldProblem::of(format!("secrets.{field}"), &RequestError::UnsentSecret)),
    );
    problems.check()
}

/// The problem of a change that was not made, in which these fields were given as secrets.
fn refused(error: &ConfigureError, of_secrets: &BTreeSet<String>) -> Problem {
    let problem = Problem::of(error);
    match error {
        ConfigureError::Save(SaveError::Conflict { found, .. }) => {
            RequestError::OtherVersion { found: *found }.into()
        }
        ConfigureError::NoField { field, .. } if of_secrets.contains(field) => {
            problem.in_field(&format!("secrets.{field}"))
        }
        ConfigureError::SecretAsValue { field } | ConfigureError::NoField { field, .. } => {
            problem.in_field(&format!("values.{field}"))
        }
        ConfigureError::NotASecret { field }
        | ConfigureError::SecretUnusable { field, .. }
        | ConfigureError::SecretNotTaken { field }
        | ConfigureError::SecretLost { field } => problem.in_field(&format!("secrets.{field}")),
        ConfigureError::NoInstance(_) => problem,
        // A value is no address: nothing is absent at the one that was asked for.
        _ if problem.status() == StatusCode::NOT_FOUND => problem.in_field("values"),
        _ => problem,
    }
}

/// Reads what is typed into fields, by field. `None`: the field is emptied.
fn typed(list: &str, fields: &mut Fields, problems: &mut Problems) -> BTreeMap<String, Option<String>> {
    let mut typed = BTreeMap::new();
    for mut row in fields.objects(list, problems) {
        let field = row.needed_text("field", problems);
        let value = row.seen_text("value", problems);
        if typed.contains_key(&field) {
            row.repeated("field", problems);
        }
        row.end(problems);
        typed.insert(field, value);
    }
    typed
}

/// The problems that the form has, with the list in which each field is typed.
fn form_problems(form: &view::InstanceForm) -> Vec<FieldProblem> {
    let of_field = |field: &view::Field| {
        let list = match field.kind {
            FieldKind::Secret => "secrets",
            FieldKind::Text | FieldKind::Url | FieldKind::Choice => "values",
        };
        let at = format!("{list}.{}", field.id);
        let problems = field.problems.iter();
        let problems = problems.map(move |problem| FieldProblem::of_reason(at.clone(), problem.clone()));
        problems.collect::<Vec<_>>()
    };
    form.form.fields.iter().flat_map(of_field).collect()
}

/// The answer with a form, and the version by which a change of it says what it is based on (RFC 9110, section 8.8.3). It is that of what
/// is saved; choices and problems may differ without another version.
fn tagged(form: &view::InstanceForm) -> Response {
    let mut response = ok(form);
    let tag = HeaderValue::from_str(&format!("\"{}\"", form.instance.version));
    response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    response
}

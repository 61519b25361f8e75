//! Settings of an instance: the form as its plugin gives it, its history, the check of the connection, another certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Path;
use bss_model::{Instance, InstanceId, Page, Secret, SortOrder, Thumbprint};
use host_harness::view::{self, FieldKind};
use host_harness::{ConfigureError, InstanceHandle, RotateError, SaveError, SettingsChange};
use http::StatusCode;
use minijinja::{Value, context};
use serde::Serialize;

use super::instances::{head, named, way};
use super::wrong::Wrong;
use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// What the names of fields begin with whose values are shown again.
const VALUE: &str = "value.";
/// What the names of fields begin with whose values nobody is shown again.
const SECRET: &str = "secret.";
/// What the names of boxes begin with that remove a secret.
const REMOVE: &str = "remove.";

/// What somebody typed into the form, by the fields of the plugin.
#[derive(Debug, Default)]
struct Typed {
    values: BTreeMap<String, String>,
    secrets: BTreeMap<String, Option<Secret>>,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let values = form.below(VALUE);
        let values = values.map(|(field, value)| (field.to_owned(), value.expose().trim().to_owned()));
        let removed = form.below(REMOVE).map(|(field, _)| (field.to_owned(), None));
        let filled = form
            .below(SECRET)
            .filter(|(_, secret)| !secret.expose().is_empty());
        let filled = filled.map(|(field, secret)| (field.to_owned(), Some(secret.clone())));
        Self {
            values: values.collect(),
            secrets: removed.chain(filled).collect(),
        }
    }
}

/// A field as the page has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownField<'a> {
    #[serde(flatten)]
    field: &'a view::Field,
    /// The name in the page.
    name: String,
    /// What stands in the field.
    typed: String,
    /// What is wrong with it, in sentences.
    problem: String,
    /// What is saved, where that is not what stands in the field.
    saved_value: Option<&'a str>,
}

/// Fields that can be changed now, or a group of those that can't.
#[derive(Debug, Serialize)]
struct Group<'a> {
    enabled: bool,
    fields: Vec<ShownField<'a>>,
}

/// The name in the page of a field of the form.
fn name_of(field: &view::Field) -> String {
    match field.kind {
        FieldKind::Secret => format!("{SECRET}{}", field.id),
        FieldKind::Text | FieldKind::Url | FieldKind::Choice => format!("{VALUE}{}", field.id),
    }
}

/// The fields in their order, in groups of those that can be changed and those that can't.
fn groups<'a>(form: &'a view::Form, typed: &Typed, wrong: &Wrong) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for field in &form.fields {
        let value = typed.values.get(&field.id).unwrap_or(&field.value);
        let name = name_of(field);
        let shown = ShownField {
            typed: value.clone(),
            problem: wrong.at(&name),
            saved_value: (*value != field.value).then_some(field.value.as_str()),
            name,
            field,
        };
        match groups.last_mut() {
            Some(group) if group.enabled == field.enabled => group.fields.push(shown),
            _ => groups.push(Group {
                enabled: field.enabled,
                fields: vec![shown],
            }),
        }
    }
    groups
}

/// The problems that a form has with what stands in it.
fn problems_of(form: &view::Form, is_meant: impl Fn(&view::Field) -> bool) -> Wrong {
    let mut wrong = Wrong::default();
    for field in form.fields.iter().filter(|field| is_meant(field)) {
        for problem in &field.problems {
            wrong.add(&name_of(field), &problem.message, &problem.advice);
        }
    }
    wrong
}

/// What the page of a form shows.
async fn shown(me: &Me, form: &view::InstanceForm, typed: &Typed, wrong: &Wrong) -> Result<Value, Failure> {
    Ok(context! {
        groups => groups(&form.form, typed, wrong),
        version => form.instance.version,
        last => last_save(me, form.instance.id.into()).await?,
        at => way(&form.instance),
        instance => form.instance,
        unsent => Vec::<String>::new(),
        is_overtaken => false,
        ..wrong.shown()
    })
}

/// The last save of an instance's settings. `None`: there was none.
async fn last_save(me: &Me, instance: InstanceId) -> Result<Option<view::SettingsVersion>, Failure> {
    let latest = Page::first(1).in_order(SortOrder::Descending);
    let history = me
        .host()
        .record()
        .instance_history(instance.into(), &latest)
        .await?;
    Ok(history.rows.first().map(view::SettingsVersion::from))
}

/// Shows the form as it is saved. What is missing is told once somebody saves.
pub(crate) async fn show(me: Me, Path(name): Path<String>) -> Answer {
    let form = named(&me, &name).await?.form().await?;
    let wrong = problems_of(&form.form, |field| field.is_saved);
    let shown = shown(&me, &form, &Typed::default(), &wrong).await?;
    me.page("settings.html", shown).await
}

/// Saves what was typed, if no field has a problem and nobody has saved in between. With `change`, the form is shown again with what was
/// typed, and nothing is saved.
pub(crate) async fn save(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    let based_on: i64 = form.text("version").parse().map_err(|_| Failure::broken_form())?;
    let typed = Typed::of(&form);
    let saved = on_record(&me, &instance).await?;
    if saved.version != based_on {
        return overtaken(&me, &instance, &typed).await;
    }
    if form.has("change") {
        let form = instance.form().await?;
        let shown = shown(&me, &form, &typed, &Wrong::default()).await?;
        return me.page("settings.html", shown).await;
    }
    let unsent = unsent_secrets(&saved, &typed);
    if !unsent.is_empty() {
        let form = instance.form().await?;
        let shown = shown(&me, &form, &typed, &Wrong::default()).await?;
        return me.corrected("settings.html", context! { unsent, ..shown }).await;
    }
    let form = instance.form().await?;
    let wrong = missing_choices(&me, &form.form, &typed);
    if !wrong.is_empty() {
        let shown = shown(&me, &form, &typed, &wrong).await?;
        return me.corrected("settings.html", shown).await;
    }
    let change = SettingsChange {
        values: typed.values.clone(),
        secrets: typed.secrets.clone(),
        based_on: Some(based_on),
        ..SettingsChange::default()
    };
    let changed = me
        .host()
        .configure(InstanceId(saved.id), change, &me.actor())
        .await;
    match changed.map(|form| view::InstanceForm::from(&form)) {
        Ok(form) if form.saved => {
            let what = match form.instance.state.as_str() {
                "ready" => "settings-ready",
                _ => "settings-saved",
            };
            Ok(done(&format!("{}/settings", way(&form.instance)), what))
        }
        Ok(form) => {
            let wrong = problems_of(&form.form, |_| true);
            let shown = shown(&me, &form, &typed, &wrong).await?;
            me.corrected("settings.html", shown).await
        }
        Err(ConfigureError::Save(SaveError::Conflict { .. })) => overtaken(&me, &instance, &typed).await,
        Err(error) => {
            let wrong = Wrong::of(&field_of(&error), &error);
            let form = instance.form().await?;
            let shown = shown(&me, &form, &typed, &wrong).await?;
            me.corrected("settings.html", shown).await
        }
    }
}

async fn on_record(me: &Me, instance: &InstanceHandle) -> Result<Instance, Failure> {
    let saved = me.host().record().instance_by_id(instance.id().into()).await?;
    match saved {
        Some(saved) => Ok(saved),
        None => Err(ConfigureError::NoInstance(instance.name().to_owned()).into()),
    }
}

/// The page for whoever sent a form that somebody else has saved meanwhile: it says who, and has what was typed.
async fn overtaken(me: &Me, instance: &InstanceHandle, typed: &Typed) -> Answer {
    let form = instance.form().await?;
    let shown = shown(me, &form, typed, &Wrong::default()).await?;
    let shown = context! { is_overtaken => true, ..shown };
    me.page_with(StatusCode::CONFLICT, "settings.html", shown).await
}

/// The fields of secrets that are saved and were typed when no server stood in the form. Each would go to whatever server is typed next,
/// and who types that here need not be who knows the secret.
fn unsent_secrets(saved: &Instance, typed: &Typed) -> Vec<String> {
    let secrets = saved.secrets.iter();
    let unsent =
        secrets.filter(|(field, secret)| secret.servers.is_empty() && !typed.secrets.contains_key(*field));
    unsent.map(|(field, _)| format!("{SECRET}{field}")).collect()
}

/// What is wrong where nothing was chosen of lists that are open and have to be chosen from. A plugin saves that, as a step on the way;
/// an operator who pressed the button takes it for the end of it.
fn missing_choices(me: &Me, form: &view::Form, typed: &Typed) -> Wrong {
    let is_missing = |field: &&view::Field| {
        let is_open = field.enabled && field.mandatory && field.kind == FieldKind::Choice;
        is_open && typed.values.get(&field.id).is_some_and(String::is_empty)
    };
    let mut wrong = Wrong::default();
    for field in form.fields.iter().filter(is_missing) {
        let label = [("label", field.label.clone())];
        wrong.add(&name_of(field), &me.text("settings.choose_one", &label), "");
    }
    wrong
}

/// The field that keeps settings from being saved.
fn field_of(error: &ConfigureError) -> String {
    match error {
        ConfigureError::SecretAsValue { field } | ConfigureError::NoField { field, .. } => {
            format!("{VALUE}{field}")
        }
        ConfigureError::NotASecret { field }
        | ConfigureError::SecretUnusable { field, .. }
        | ConfigureError::SecretNotTaken { field }
        | ConfigureError::SecretLost { field } => format!("{SECRET}{field}"),
        _ => String::new(),
    }
}

/// Every save of the settings, the last one first.
pub(crate) async fn history(me: Me, Path(name): Path<String>, query: Query) -> Answer {
    let instance = named(&me, &name).await?;
    let record = me.host().record();
    let history = record
        .instance_history(instance.id().into(), &query.page())
        .await?;
    let versions: Vec<_> = history.rows.iter().map(view::SettingsVersion::from).collect();
    let next = query.next(history.next.as_ref());
    let shown = context! { versions, next, ..head(&instance).await? };
    me.page("settings_history.html", shown).await
}

/// Shows the certificates that could take over.
pub(crate) async fn choose_certificate(me: Me, Path(name): Path<String>) -> Answer {
    let instance = named(&me, &name).await?;
    let shown = successors(&me, &instance, "", &Wrong::default()).await?;
    me.page("rotation.html", shown).await
}

async fn successors(
    me: &Me,
    instance: &InstanceHandle,
    chosen: &str,
    wrong: &Wrong,
) -> Result<Value, Failure> {
    let saved = on_record(me, instance).await?;
    let store = me.host().record().certificates_of(saved.owner.as_ref());
    let mut installed = store.list().await?;
    installed.retain(|certificate| Some(certificate.thumbprint) != saved.thumbprint);
    let certificates = me.host().certificate_views(&installed).await?;
    Ok(context! { certificates, chosen, ..context! { ..wrong.shown(), ..head(instance).await? } })
}

/// Has another certificate take over, if the vendor takes it.
pub(crate) async fn rotate_certificate(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let (instance, chosen) = (named(&me, &name).await?, form.text("to"));
    let to: Thumbprint = match chosen.parse() {
        Ok(to) => to,
        Err(error) => {
            let error: bss_model::NotAThumbprint = error;
            return not_rotated(&me, &instance, &chosen, &Wrong::of("to", &error)).await;
        }
    };
    if !form.has("confirmed") {
        let fields = [("to", to.to_string())];
        let shown = context! { act => "rotate", fields, ..head(&instance).await? };
        return me.page("instance_act.html", shown).await;
    }
    let unheard = Arc::new(|_| ());
    let rotated = me
        .host()
        .rotate_certificate(instance.id(), to, &me.actor(), unheard)
        .await;
    match rotated {
        Ok(rotation) => {
            let rotated = view::CertificateRotation::from(&rotation);
            Ok(done(
                &format!("{}/settings", way(&rotated.instance)),
                "certificate-rotated",
            ))
        }
        Err(error) => not_rotated(&me, &instance, &chosen, &why_not(&error)).await,
    }
}

async fn not_rotated(me: &Me, instance: &InstanceHandle, chosen: &str, wrong: &Wrong) -> Answer {
    let shown = successors(me, instance, chosen, wrong).await?;
    me.corrected("rotation.html", shown).await
}

/// Why a certificate did not take over, with the reasons of the plugin or of the vendor.
fn why_not(error: &RotateError) -> Wrong {
    let mut wrong = Wrong::of("to", error);
    for reason in error.reasons() {
        wrong.add("to", &reason.message, &reason.advice);
    }
    wrong
}

//! Plugins whose forms break the contract, and the host that shows none of them and saves nothing of them.

use std::collections::BTreeMap;

use bss_model::Diagnose as _;
use bss_sandbox::bindings::failures::Problem;
use bss_sandbox::bindings::instance_settings::{Form, Standing};
use host_harness::{ConfigureError, InstanceForm};

use crate::guests::{FormGuest, answering_with_form, offered};
use crate::scenario::{INSTANCE, Scenario, actor};
use crate::trusted_plugin::running;

const FIELDS: [(&str, u8, &str); 4] = [
    ("name", 0, "esd"),
    ("service-url", 1, "https://api.example.com/cis"),
    ("country", 2, "DE"),
    ("plan", 2, ""),
];
const NAME: usize = 0;
const URL: usize = 1;
const COUNTRY: usize = 2;
const PLAN: usize = 3;

/// A way to break a form, and the code of the rule.
type Broken = (&'static str, fn(&mut Form));

/// What is broken even in a form that is only shown.
const SHAPES: [Broken; 11] = [
    ("field-name-broken", |form| {
        form.fields[PLAN].id = "Plan".to_owned()
    }),
    ("field-twice", |form| form.fields[PLAN].id = "name".to_owned()),
    ("field-label-missing", |form| form.fields[NAME].label.clear()),
    ("choices-misplaced", |form| {
        form.fields[URL].choices = vec![offered("https://api.example.com/cis")];
    }),
    ("choice-unnamed", |form| {
        form.fields[COUNTRY].choices[0].label.clear()
    }),
    ("choice-twice", |form| {
        form.fields[COUNTRY].choices.push(offered("DE"))
    }),
    ("problem-unworded", |form| {
        form.fields[NAME].problems.push(problem("", "It is wrong."))
    }),
    ("problem-unworded", |form| {
        form.fields[NAME].problems.push(problem("wrong", ""))
    }),
    ("mandatory-missing", |form| form.fields[PLAN].mandatory = true),
    ("no-server", |form| form.standing = Standing::Ready(Vec::new())),
    ("certificate-field-unknown", |form| {
        form.certificate_field = Some("nowhere".to_owned())
    }),
];

/// Values that a form says are good.
const VALUES: [Broken; 6] = [
    ("value-unkeepable", |form| {
        // Longer by a character than what the host keeps.
        (form.fields[NAME].value, form.fields[NAME].max_length) = ("a".repeat(2_001), 10_000);
    }),
    ("value-too-long", |form| form.fields[NAME].max_length = 2),
    ("choice-not-offered", |form| {
        form.fields[COUNTRY].choices[0].key = "GR".to_owned()
    }),
    ("choice-not-offered", |form| form.fields[COUNTRY].choices.clear()),
    ("choice-unusable", |form| {
        form.fields[COUNTRY].choices[0].unusable_because = "Nobody lives there.".to_owned();
    }),
    ("value-not-taken", |form| form.fields[COUNTRY].enabled = false),
];

fn problem(code: &str, message: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: String::new(),
        correlation_id: String::new(),
    }
}

/// The form that is broken in one way after the other, and keeps the contract before that.
fn lawful() -> Form {
    FormGuest {
        fields: &FIELDS,
        reaches: &[("api.example.com", false)],
        certificate_field: "",
    }
    .form()
}

fn typed() -> BTreeMap<String, String> {
    let typed = FIELDS.iter().filter(|(.., value)| !value.is_empty());
    typed
        .map(|(id, _, value)| ((*id).to_owned(), (*value).to_owned()))
        .collect()
}

/// The code of the rule that a form breaks.
fn rule(answer: Result<InstanceForm, ConfigureError>) -> String {
    match answer.map(|form| form.saved) {
        Err(error @ ConfigureError::Form(_)) => error.diagnosis().code.into_owned(),
        other => panic!("the form is refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_breaks_the_contract_is_neither_shown_nor_saved() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    for (code, break_it) in SHAPES.iter().chain(&VALUES) {
        let mut form = lawful();
        break_it(&mut form);
        let host = running(&scenario, &answering_with_form(&form)).await;
        assert_eq!(rule(host.configure(INSTANCE, &typed(), &actor()).await), *code);
        // Nothing is typed into a field by whoever only looks.
        if *code != "value-not-taken" {
            assert_eq!(rule(host.form(INSTANCE).await), *code);
        }
        let instance = host.named_instance(INSTANCE).await.expect("the instance");
        assert_eq!(
            (instance.version, instance.values),
            (0, BTreeMap::new()),
            "{code}"
        );
    }
    let host = running(&scenario, &answering_with_form(&lawful())).await;
    let saved = host
        .configure(INSTANCE, &typed(), &actor())
        .await
        .expect("it is saved");
    assert_eq!(saved.instance.values, typed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_finished_may_lack_values_and_show_those_with_a_problem() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let mut unfinished = lawful();
    unfinished.standing = Standing::NeedsCredentials;
    for field in &mut unfinished.fields {
        (field.mandatory, field.value) = (true, String::new());
    }
    let host = running(&scenario, &answering_with_form(&unfinished)).await;
    let nothing = host.configure(INSTANCE, &BTreeMap::new(), &actor()).await;
    assert!(nothing.expect("it is saved").saved);

    for (code, break_it) in VALUES {
        let mut form = lawful();
        break_it(&mut form);
        for field in &mut form.fields {
            field.problems = vec![problem("wrong", "It is wrong.")];
        }
        let host = running(&scenario, &answering_with_form(&form)).await;
        let shown = host.configure(INSTANCE, &typed(), &actor()).await;
        let shown = shown.unwrap_or_else(|error| panic!("{code}: {error:?}"));
        assert!(!shown.saved && shown.form.fields[COUNTRY].value == "DE", "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_enabled_any_more_keeps_its_saved_value() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let host = running(&scenario, &answering_with_form(&lawful())).await;
    host.configure(INSTANCE, &typed(), &actor())
        .await
        .expect("it is saved");
    let mut form = lawful();
    form.fields[COUNTRY].enabled = false;
    form.fields[COUNTRY].choices.clear();
    let host = running(&scenario, &answering_with_form(&form)).await;
    let mut others = typed();
    others.remove("country");
    let kept = host
        .configure(INSTANCE, &others, &actor())
        .await
        .expect("it is saved");
    assert_eq!(kept.instance.values, typed());
}

//! Prerequisites: the certificate, the hostname and its CNAME record, before anything is installed.

use bss_model::with_causes;
use host_harness::prerequisites::{DNS_TIMEOUT, DnsQuestions, Hostname, Region, Verdict, check, hostnames};
use host_harness::view;
use minijinja::{Value, context};

use super::certificates::{code_of, field_of_file, imported, key_work, shown_after_import};
use super::wrong::Wrong;
use crate::answer::Answer;
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;

/// Shows the form.
pub(crate) async fn show(me: Me) -> Answer {
    let shown = shown(&Form::default(), &Wrong::default());
    me.page("prerequisites.html", shown).await
}

fn shown(form: &Form, wrong: &Wrong) -> Value {
    let regions = Region::ALL.map(|region| context! { name => region.name(), target => region.target() });
    context! {
        regions,
        hostname => form.text("hostname"),
        region => form.text("region"),
        found => Value::from(()),
        certificate_names => "",
        installed => Value::from(()),
        not_installed => "",
        ..wrong.shown()
    }
}

/// Checks all three, and installs the certificate if that is asked for and the file is as it should be: the other two are put right in
/// the DNS, and later, too. Where no hostname was typed, it is the first one that the certificate is for. With `change`, the form is
/// shown again with what was typed, and nothing is looked at.
pub(crate) async fn look(me: Me, form: Form) -> Answer {
    if form.has("change") {
        return me
            .page("prerequisites.html", shown(&form, &Wrong::default()))
            .await;
    }
    let file = form.file("file").unwrap_or_default();
    let mut wrong = Wrong::default();
    let (hostname, certificate_names) = match form.filled("hostname") {
        Some(typed) => (typed_hostname(&typed, &mut wrong), String::new()),
        None => certificate_hostname(&me, &form, &mut wrong).await?,
    };
    let region = form.text("region").parse::<Region>().ok();
    if region.is_none() {
        wrong.add("region", &me.text("words.wrong-no-region", &[]), "");
    }
    let (Some(hostname), Some(region)) = (hostname, region) else {
        return me.corrected("prerequisites.html", shown(&form, &wrong)).await;
    };
    let dns = DnsQuestions {
        resolver: None,
        timeout: DNS_TIMEOUT,
    };
    let found = {
        let _one = key_work(&me).await?;
        check(file, &code_of(&form), &hostname, region, dns).await
    };
    let is_usable = found.pfx.verdict == Verdict::Passed;
    let found = view::Prerequisites::new(&hostname, region, &found);
    let (installed, not_installed) = match form.has("install") && is_usable {
        true => install(&me, &form).await?,
        false => (Value::from(()), String::new()),
    };
    let shown = context! {
        found,
        installed,
        not_installed,
        certificate_names,
        asked_to_install => form.has("install"),
        hostname => hostname.as_str(),
        ..shown(&form, &Wrong::default())
    };
    me.page("prerequisites.html", shown).await
}

/// The certificate that was installed, or why it was not.
async fn install(me: &Me, form: &Form) -> Result<(Value, String), Failure> {
    match imported(me, form).await? {
        Ok(imported) => Ok((shown_after_import(&imported), String::new())),
        Err(error) => Ok((Value::from(()), with_causes(&error))),
    }
}

/// The hostname that was typed. `None`: it is none, which is added to what is wrong.
fn typed_hostname(typed: &str, wrong: &mut Wrong) -> Option<Hostname> {
    let read = typed.parse::<Hostname>();
    if let Err(error) = &read {
        wrong.add_of("hostname", error);
    }
    read.ok()
}

/// The first hostname that the certificate is for, and all of them. `None`: there is none, which is added to what is wrong.
async fn certificate_hostname(
    me: &Me,
    form: &Form,
    wrong: &mut Wrong,
) -> Result<(Option<Hostname>, String), Failure> {
    let names = {
        let _one = key_work(me).await?;
        hostnames(form.file("file").unwrap_or_default(), &code_of(form)).await
    };
    match names {
        Ok(names) => {
            if names.is_empty() {
                wrong.add("hostname", &me.text("words.wrong-no-hostname", &[]), "");
            }
            let all: Vec<&str> = names.iter().map(Hostname::as_str).collect();
            let all = all.join(", ");
            Ok((names.into_iter().next(), all))
        }
        Err(error) => {
            wrong.add_of(field_of_file(&error), &error);
            Ok((None, String::new()))
        }
    }
}

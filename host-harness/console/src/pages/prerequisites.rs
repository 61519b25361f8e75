//! Prerequisites: a customer's certificate, hostname and CNAME record, before anything is installed.

use bss_model::{Diagnose as _, with_causes};
use host_harness::prerequisites::{
    DNS_TIMEOUT, DnsQuestions, Hostname, Region, UnknownRegion, Verdict, check,
};
use host_harness::view;
use minijinja::{Value, context};

use super::certificates::{code_of, imported, key_work, shown_after_import};
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
        installed => Value::from(()),
        not_installed => "",
        ..wrong.shown()
    }
}

/// Checks all three, and installs the certificate if that is asked for and the file is as it should be.
pub(crate) async fn look(me: Me, form: Form) -> Answer {
    let hostname = form.text("hostname").parse::<Hostname>();
    let region = form.text("region").parse::<Region>();
    let (hostname, region) = match (hostname, region) {
        (Ok(hostname), Ok(region)) => (hostname, region),
        (hostname, region) => {
            let wrong = unreadable(hostname.err(), region.err());
            return me.corrected("prerequisites.html", shown(&form, &wrong)).await;
        }
    };
    let file = form.file("file").unwrap_or_default();
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
    let asked_to_install = form.has("install");
    let shown =
        context! { found, installed, not_installed, asked_to_install, ..shown(&form, &Wrong::default()) };
    me.page("prerequisites.html", shown).await
}

/// The certificate that was installed, or why it was not.
async fn install(me: &Me, form: &Form) -> Result<(Value, String), Failure> {
    match imported(me, form).await? {
        Ok(imported) => Ok((shown_after_import(&imported), String::new())),
        Err(error) => Ok((Value::from(()), with_causes(&error))),
    }
}

/// What is wrong with what was typed.
fn unreadable(
    hostname: Option<host_harness::prerequisites::NotAHostname>,
    region: Option<UnknownRegion>,
) -> Wrong {
    let mut wrong = Wrong::default();
    let advice = |diagnosis: bss_model::Diagnosis| {
        let advice = diagnosis.advice;
        advice
            .map(|advice| advice.sentence().into_owned())
            .unwrap_or_default()
    };
    if let Some(error) = hostname {
        wrong.add("hostname", &error.to_string(), &advice(error.diagnosis()));
    }
    if let Some(error) = region {
        wrong.add("region", &error.to_string(), &advice(error.diagnosis()));
    }
    wrong
}

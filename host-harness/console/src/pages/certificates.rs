//! Certificates: imported, made, asked for, shown and removed. A private key comes in with its file and never goes out.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Path;
use bss_model::clock::now_ms;
use bss_model::{ErrorKind, Thumbprint};
use host_harness::view::{self, CertificateWarning};
use host_harness::{
    Error, ImportError, ImportedCertificate, InspectError, NewCertificate, PfxCode, PfxError,
};
use minijinja::{Value, context};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::wrong::Wrong;
use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;

/// The time for which a request waits for its turn: a check of prerequisites holds one while it asks the DNS. What waits longer is told so,
/// and holds up nobody behind it.
const TURN: Duration = Duration::from_secs(20);

/// The days for which a self-signed certificate is valid, unless others are asked for.
const DAYS: u32 = 365;

/// Waits for the turn to make or unlock a key.
pub(super) async fn key_work(me: &Me) -> Result<SemaphorePermit<'_>, Failure> {
    match timeout(TURN, me.console().options.key_work.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => Err(Failure::too_many_changes()),
    }
}

/// All certificates by expiry, the requests that nobody has answered, and the forms for more.
pub(crate) async fn list(me: Me) -> Answer {
    let shown = all(&me, "", &Form::default(), &Wrong::default()).await?;
    me.page("certificates.html", shown).await
}

/// `opened`: the form that has a problem.
async fn all(me: &Me, opened: &str, form: &Form, wrong: &Wrong) -> Result<Value, Failure> {
    let host = me.host();
    let installed = host.installed_certificates().await?;
    let requests = host.certificates().requests().await?;
    let requests: Vec<_> = requests.iter().map(view::CertificateRequest::from).collect();
    let typed: BTreeMap<&str, &str> = form.kept().into_iter().collect();
    Ok(context! {
        certificates => host.certificate_views(&installed).await?,
        requests,
        opened,
        typed,
        ..wrong.shown()
    })
}

async fn again(me: &Me, opened: &str, form: &Form, wrong: &Wrong) -> Answer {
    me.corrected("certificates.html", all(me, opened, form, wrong).await?)
        .await
}

/// Imports a PFX file, or what an authority answered a request with.
pub(crate) async fn import(me: Me, form: Form) -> Answer {
    match imported(&me, &form).await? {
        Ok(imported) => see_imported(&me, &imported).await,
        Err(error) => {
            let wrong = Wrong::of(field_of(&error), &error);
            again(&me, "import", &form, &wrong).await
        }
    }
}

/// Imports the file of a form with its code. Failures that are none of the form's are the page's.
pub(super) async fn imported(
    me: &Me,
    form: &Form,
) -> Result<Result<ImportedCertificate, ImportError>, Failure> {
    let file = form.file("file").unwrap_or_default();
    let code = code_of(form);
    let store = me.host().certificates();
    let _one = key_work(me).await?;
    match store.import(file, &code, &me.actor()).await {
        Err(error @ (ImportError::HostKey(_) | ImportError::Record(_))) => Err(error.into()),
        imported => Ok(imported),
    }
}

/// The code of a PFX, as it was typed: blanks belong to it.
pub(super) fn code_of(form: &Form) -> PfxCode {
    let code = form.secret("code");
    PfxCode::new(code.as_ref().map_or("", bss_model::Secret::expose))
}

/// The field that keeps a file from being imported.
pub(super) fn field_of(error: &ImportError) -> &'static str {
    match error {
        ImportError::Inspect(error) => field_of_file(error),
        _ => "file",
    }
}

/// The field that keeps a file from being read.
pub(super) fn field_of_file(error: &InspectError) -> &'static str {
    match error {
        InspectError::Pfx(PfxError::NoCode | PfxError::WrongCode) => "code",
        _ => "file",
    }
}

/// Leads to a certificate that was imported. What is to know of its file is known now alone.
async fn see_imported(me: &Me, imported: &ImportedCertificate) -> Answer {
    let at = format!("/console/certificates/{}", imported.installed.thumbprint);
    if imported.cautions.is_empty() {
        return Ok(done(&at, "certificate-imported"));
    }
    let cautions: Vec<_> = imported.cautions.iter().map(CertificateWarning::from).collect();
    one(me, &imported.installed.thumbprint, cautions).await
}

/// A certificate, with what a vendor is given of it.
pub(crate) async fn show(me: Me, Path(thumbprint): Path<String>) -> Answer {
    one(&me, &digest(&thumbprint)?, Vec::new()).await
}

async fn one(me: &Me, thumbprint: &Thumbprint, cautions: Vec<CertificateWarning>) -> Answer {
    let all = me.host().installed_certificates().await?;
    let installed = all.iter().find(|installed| installed.thumbprint == *thumbprint);
    let installed = installed.ok_or_else(Failure::no_page)?;
    let store = me.host().record().certificates_of(installed.owner.as_ref());
    let der = store.der(thumbprint).await?.ok_or_else(Failure::no_page)?;
    let mut certificate = me.host().certificate_view(installed).await?;
    certificate.warnings.splice(0..0, cautions);
    let certificate = view::CertificateWithPem::new(certificate, &der);
    me.page("certificate.html", context! { certificate }).await
}

/// Makes a key that stays in the host, with a certificate that it signs itself.
pub(crate) async fn make(me: Me, form: Form) -> Answer {
    let days = form.filled("days");
    let days = days.map_or(DAYS, |days| days.parse().unwrap_or(0));
    let made = {
        let _one = key_work(&me).await?;
        let new = new_certificate(&form, days);
        me.host().certificates().make(&new, &me.actor()).await
    };
    match made.map_err(Error::from) {
        Ok(made) => {
            let thumbprint = made.imported.installed.thumbprint;
            Ok(done(
                &format!("/console/certificates/{thumbprint}"),
                "certificate-made",
            ))
        }
        Err(error) if error.kind() == ErrorKind::Invalid => {
            again(&me, "make", &form, &Wrong::of("make-common-name", &error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a key that stays in the host, with a request to a certificate authority.
pub(crate) async fn request(me: Me, form: Form) -> Answer {
    let made = {
        let _one = key_work(&me).await?;
        let new = new_certificate(&form, DAYS);
        me.host().certificates().request(&new, &me.actor()).await
    };
    match made.map_err(Error::from) {
        Ok(request) => {
            let request = view::CertificateRequest::from(&request);
            Ok(done(
                &format!("/console/certificates/requests/{}", request.public_key),
                "request-made",
            ))
        }
        Err(error) if error.kind() == ErrorKind::Invalid => {
            let wrong = Wrong::of("request-common-name", &error);
            again(&me, "request", &form, &wrong).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Who a certificate is for. Each form has fields of its own names, so that a problem leads to its field.
fn new_certificate(form: &Form, days: u32) -> NewCertificate {
    let of_either = |name: &str| {
        ["make", "request"]
            .iter()
            .find_map(|form_name| form.filled(&format!("{form_name}-{name}")))
            .unwrap_or_default()
    };
    let names = of_either("dns-names");
    let names = names.split(|letter: char| letter == ',' || letter.is_whitespace());
    NewCertificate {
        common_name: of_either("common-name"),
        dns_names: names
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect(),
        days,
    }
}

/// A request whose certificate was not imported yet, in PEM.
pub(crate) async fn show_request(me: Me, Path(public_key): Path<String>) -> Answer {
    let public_key = digest(&public_key)?.to_string();
    let requests = me.host().certificates().requests().await?;
    let mut requests = requests.iter().map(view::CertificateRequest::from);
    let request = requests.find(|request| request.public_key == public_key);
    let request = request.ok_or_else(Failure::no_page)?;
    me.page("certificate_request.html", context! { request }).await
}

/// Removes a certificate and its private key.
pub(crate) async fn remove(me: Me, Path(thumbprint): Path<String>, form: Form) -> Answer {
    let thumbprint = digest(&thumbprint)?;
    let all = me.host().installed_certificates().await?;
    let installed = all.iter().find(|installed| installed.thumbprint == thumbprint);
    let installed = installed.ok_or_else(Failure::no_page)?;
    if !form.has("confirmed") {
        let certificate = me.host().certificate_view(installed).await?;
        let shown = context! { certificate, fields => Vec::<Value>::new() };
        return me.page("certificate_remove.html", shown).await;
    }
    let store = me.host().record().certificates_of(installed.owner.as_ref());
    match store.remove(&thumbprint, &me.actor()).await.map_err(Error::from) {
        Ok(()) => Ok(done("/console/certificates", "certificate-removed")),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => again(&me, "", &form, &Wrong::of("", &error)).await,
    }
}

/// Removes a request and its private key.
pub(crate) async fn remove_request(me: Me, Path(public_key): Path<String>, form: Form) -> Answer {
    let public_key = digest(&public_key)?;
    if !form.has("confirmed") {
        let shown = context! { public_key => public_key.to_string(), fields => Vec::<Value>::new() };
        return me.page("certificate_request_remove.html", shown).await;
    }
    let store = me.host().certificates();
    store
        .remove_request(&public_key, &me.actor())
        .await
        .map_err(Error::from)?;
    Ok(done("/console/certificates", "request-removed"))
}

/// The SHA-1 of a certificate or a public key in an address.
fn digest(text: &str) -> Result<Thumbprint, Failure> {
    text.parse()
        .map_err(|_: bss_model::NotAThumbprint| Failure::no_page())
}

/// The certificate that was imported, as its page is found.
pub(super) fn shown_after_import(imported: &ImportedCertificate) -> Value {
    let certificate = view::Certificate::new(&imported.installed, Vec::new(), now_ms());
    Value::from_serialize(certificate)
}

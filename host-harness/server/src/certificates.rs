//! `/v1/certificates`: imported, made and shown. A private key comes in with its file and never goes out.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bss_model::clock::now_ms;
use bss_model::{Rows, Thumbprint};
use host_harness::view::{self, CertificateWarning};
use host_harness::{Error, ImportError, InspectError, NewCertificate, PfxCode, PfxError};
use http::{StatusCode, Uri};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::access::Caller;
use crate::answer::{ok, with_status};
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::state::State;

/// The time for which a request waits for its turn. What waits longer is told so, and holds up nobody behind it.
const TURN: Duration = Duration::from_secs(10);

/// The days for which a self-signed certificate is valid, unless others are asked for.
const DAYS: u32 = 365;

/// A certificate that is imported.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `import` reads it with all of its problems"
)]
pub(crate) struct CertificateBody {
    /// The file in Base64: a PFX with one private key, its certificate and their issuers; or what an authority answered a request
    /// with (PEM, DER or PKCS #7).
    #[schema(content_encoding = "base64")]
    file: String,
    /// The code of the PFX. Left out: it has none.
    code: Option<String>,
}

/// A certificate that is made here, and signed by its own key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `make` reads it with all of its problems"
)]
pub(crate) struct SelfSignedBody {
    /// The common name of the subject, such as the hostname.
    common_name: String,
    /// The DNS names that the certificate is for.
    #[schema(max_items = 100)]
    dns_names: Option<Vec<String>>,
    /// The days for which it is valid. Left out: 365.
    days: Option<u32>,
}

/// A request to a certificate authority.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `request` reads it with all of its problems"
)]
pub(crate) struct CertificateRequestBody {
    /// The common name of the subject, such as the hostname.
    common_name: String,
    /// The DNS names that the certificate is for.
    #[schema(max_items = 100)]
    dns_names: Option<Vec<String>>,
}

/// The certificates of the client's owner, in the order in which they expire, all on one page.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    lists::check_no_query(&uri)?;
    caller.check_unbound()?;
    let installed = caller.host().certificates().list().await?;
    let rows = caller.host().certificate_views(&installed).await?;
    Ok(lists::answer(&uri, &Rows { rows, next: None }))
}

/// Answers with a certificate and its PEM, as it is registered with a vendor.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(thumbprint): Path<String>,
) -> Result<Response, Problem> {
    let thumbprint = digest(&thumbprint)?;
    caller.check_unbound()?;
    let store = caller.host().certificates();
    let (Some(installed), Some(der)) = (store.get(&thumbprint).await?, store.der(&thumbprint).await?) else {
        return Err(RequestError::NoCertificate { thumbprint }.into());
    };
    let certificate = caller.host().certificate_view(&installed).await?;
    Ok(ok(&view::CertificateWithPem::new(certificate, &der)))
}

/// Imports a certificate with its private key, or the answer to a request.
pub(crate) async fn import(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let file = Zeroizing::new(fields.needed_bytes("file", &mut problems));
    let code = PfxCode::new(fields.text("code", &mut problems).unwrap_or_default());
    fields.end(&mut problems);
    problems.check()?;
    caller.check_unbound()?;
    let store = caller.host().certificates();
    let _one = key_work(&state).await?;
    let imported = store.import(&file, &code, &caller.actor()).await;
    let imported = imported.map_err(|error| not_imported(&error))?;
    let mut shown = caller.host().certificate_view(&imported.installed).await?;
    let cautions = imported.cautions.iter().map(CertificateWarning::from);
    shown.warnings.splice(0..0, cautions);
    Ok(with_status(StatusCode::CREATED, &shown))
}

/// The problem of a file that was not imported, with the field that it is about.
fn not_imported(error: &ImportError) -> Problem {
    let problem = Problem::of(error);
    match error {
        ImportError::Inspect(InspectError::Pfx(PfxError::NoCode | PfxError::WrongCode)) => {
            problem.in_field("code")
        }
        ImportError::Inspect(_) | ImportError::Expired { .. } => problem.in_field("file"),
        _ => problem,
    }
}

/// Makes a key that stays in the host, with a certificate that it signs itself.
pub(crate) async fn make(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let days = fields.number("days", &mut problems);
    let new = new_certificate(fields, days.unwrap_or(DAYS), problems)?;
    caller.check_unbound()?;
    let _one = key_work(&state).await?;
    let made = caller.host().certificates().make(&new, &caller.actor()).await;
    let made = made.map_err(Error::from)?;
    // Of what was only just made, nobody makes use.
    let certificate = view::Certificate::new(&made.imported.installed, Vec::new(), now_ms());
    let shown = view::CertificateWithPem::new(certificate, &made.certificate);
    Ok(with_status(StatusCode::CREATED, &shown))
}

/// Removes a certificate and its private key.
pub(crate) async fn remove(
    Extension(caller): Extension<Caller>,
    Path(thumbprint): Path<String>,
) -> Result<Response, Problem> {
    let thumbprint = digest(&thumbprint)?;
    caller.check_unbound()?;
    let store = caller.host().certificates();
    store
        .remove(&thumbprint, &caller.actor())
        .await
        .map_err(Error::from)?;
    Ok(ok(&view::RemovedCertificate {
        thumbprint: thumbprint.to_string(),
    }))
}

/// The requests whose certificates were not imported yet, the oldest first, all on one page.
pub(crate) async fn requests(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    lists::check_no_query(&uri)?;
    caller.check_unbound()?;
    let requests = caller.host().certificates().requests().await?;
    let rows = requests.iter().map(view::CertificateRequest::from).collect();
    Ok(lists::answer(&uri, &Rows { rows, next: None }))
}

/// Makes a key that stays in the host, with a request to a certificate authority.
pub(crate) async fn request(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let new = new_certificate(fields, DAYS, problems)?;
    caller.check_unbound()?;
    let _one = key_work(&state).await?;
    let request = caller
        .host()
        .certificates()
        .request(&new, &caller.actor())
        .await
        .map_err(Error::from)?;
    Ok(with_status(
        StatusCode::CREATED,
        &view::CertificateRequest::from(&request),
    ))
}

/// Removes a request and its private key.
pub(crate) async fn remove_request(
    Extension(caller): Extension<Caller>,
    Path(public_key): Path<String>,
) -> Result<Response, Problem> {
    let public_key = digest(&public_key)?;
    caller.check_unbound()?;
    let store = caller.host().certificates();
    store
        .remove_request(&public_key, &caller.actor())
        .await
        .map_err(Error::from)?;
    Ok(ok(&view::RemovedCertificateRequest {
        public_key: public_key.to_string(),
    }))
}

/// Waits for the turn to make or unlock a key.
async fn key_work(state: &State) -> Result<SemaphorePermit<'_>, RequestError> {
    match timeout(TURN, state.key_work.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => Err(RequestError::KeyWork),
    }
}

/// Reads who a certificate is for.
fn new_certificate(mut fields: Fields, days: u32, mut problems: Problems) -> Result<NewCertificate, Problem> {
    let new = NewCertificate {
        common_name: fields.needed_text("commonName", &mut problems),
        dns_names: fields.filled_texts("dnsNames", &mut problems),
        days,
    };
    fields.end(&mut problems);
    problems.check()?;
    Ok(new)
}

/// The SHA-1 of a certificate or a public key in an address.
fn digest(text: &str) -> Result<Thumbprint, Problem> {
    text.parse()
        .map_err(|error: bss_model::NotAThumbprint| Problem::absent(&error))
}

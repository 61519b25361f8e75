//! The contract of interworks.cloud's platform (Service Management), so that one registers this host as it would any service manager.
//! The page for its operators is `docs/interworks.md`; the messages are those of `docs/interworks-openapi.yaml`.
//!
//! A call is read (`address.rs`, `members.rs`), carried out (`settings.rs`, `definition.rs`, `accounts.rs`, `licenses.rs`), and
//! answered (`results.rs`): 200 with a code of the contract for whatever the host decides.

mod accounts;
mod address;
mod credentials;
mod definition;
mod discovery;
mod licenses;
mod members;
mod results;
mod service_request;
mod settings;

use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::{Path, Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use bss_model::{InstanceId, Platform, with_causes};
use host_harness::{Error, Host};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;
use tokio::time::Instant;

use crate::access::PlatformCaller;
use crate::body;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::state::State;
use address::{Call, LicenseCall};
use members::{Members, Unreadable};
use results::{Answer, Code};

pub(crate) use credentials::Credentials;

/// A call of a platform, with all that its answer takes.
struct Asked<'a> {
    state: &'a State,
    caller: &'a PlatformCaller,
    headers: &'a HeaderMap,
    uri: &'a Uri,
    message: Members,
    /// Until when an outcome is waited for.
    until: Instant,
}

impl Asked<'_> {
    fn host(&self) -> &Host {
        &self.caller.host
    }

    fn platform(&self) -> &Platform {
        &self.caller.platform
    }

    fn headers(&self) -> &HeaderMap {
        self.headers
    }

    fn message(&self) -> &Members {
        &self.message
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The host and port of the address, where HTTP/2 has them.
    fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    /// Whether a parameter of the query, in any case, says so.
    fn query_says(&self, name: &str, truth: impl Fn(&str) -> Option<bool>) -> bool {
        let mut parameters = form_urlencoded::parse(self.query().unwrap_or_default().as_bytes());
        parameters.any(|(known, value)| known.eq_ignore_ascii_case(name) && truth(&value) == Some(true))
    }

    /// Whether no outcome is waited for any more.
    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.state.is_stopping.load(Ordering::Relaxed)
    }

    /// The answer to a setting that the platform sends along and that is not the instance's. `None`: all are, or it sends none.
    async fn differing_setting(&self) -> Result<Option<Answer>, Problem> {
        let id = InstanceId(self.platform().instance_id);
        let Some(instance) = self.host().record().instance_by_id(id.into()).await? else {
            return Ok(None);
        };
        let differing = settings::differing(self.headers, &instance);
        if differing.is_empty() {
            return Ok(None);
        }
        let form = self.host().instance_of_id(id).await?.form().await?;
        let difference = settings::difference(&differing, &form);
        Ok(difference.map(|difference| Answer::new(Code::Setting, difference)))
    }
}

impl Answer {
    /// An error as a platform's user reads it: a sentence with the code that the host's page explains.
    fn sentence(error: &Error) -> String {
        format!("{} ({})", with_causes(error), error.code())
    }

    fn refused(error: &Error) -> Self {
        Self::new(Code::Refused, Self::sentence(error))
    }
}

/// Answers a call of a platform.
pub(crate) async fn answer(
    Shared(state): Shared<State>,
    Extension(caller): Extension<PlatformCaller>,
    Path((_, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let call = address::call(&path).ok_or(RequestError::NoRoute)?;
    let (parts, body) = request.into_parts();
    let body = body::bytes(body, &state.limits).await?;
    let asked = Asked {
        state: &state,
        caller: &caller,
        headers: &parts.headers,
        uri: &parts.uri,
        message: Members::read(&body).map_err(RequestError::Json)?,
        until: Instant::now() + state.limits.platform_wait,
    };
    match carried_out(&asked, call).await {
        // What the host decides is an answer; what it could not find out is a failure.
        Err(problem) if !problem.status().is_server_error() => {
            let message = format!("{} ({})", problem.detail(), problem.code());
            Ok(Answer::new(Code::Refused, message).into_response())
        }
        answered => answered,
    }
}

async fn carried_out(asked: &Asked<'_>, call: Call) -> Result<Response, Problem> {
    let answer = match call {
        Call::FieldsGet => {
            let form = form(asked).await?;
            return Ok(results::json(
                StatusCode::OK,
                &settings::FieldCollection::of(&form),
            ));
        }
        Call::FieldsValidate => {
            let form = form(asked).await?;
            return Ok(match settings::problems(asked.message(), &form) {
                Ok(problems) => results::json(StatusCode::OK, &problems),
                Err(error) => results::json(StatusCode::OK, &[format!("{error}.")]),
            });
        }
        Call::ServiceDefinition => return definition::answer(asked).await,
        Call::AdditionalInfo => return Ok(results::json(StatusCode::OK, &json!({}))),
        Call::SyncOptions => return Ok(results::json(StatusCode::OK, &json!({ "Fields": [] }))),
        Call::Discover => return Ok(results::json(StatusCode::OK, &discovery::answer(asked))),
        Call::Synchronize => accounts::synchronize(asked).unwrap_or_else(Unreadable::into),
        Call::Exists => accounts::exists(asked).await?,
        Call::DeleteAccount | Call::License(LicenseCall::Activate) => Answer::done(),
        Call::License(LicenseCall::Create) => licenses::create(asked).await?,
        Call::License(LicenseCall::Update) => licenses::update(asked).await?,
        Call::License(LicenseCall::Cancel) => licenses::cancel(asked).await?,
        Call::NotOffered(path) => {
            Answer::new(Code::NotOffered, format!("`{path}` is not offered for licenses."))
        }
    };
    Ok(answer.into_response())
}

async fn form(asked: &Asked<'_>) -> Result<host_harness::view::InstanceForm, Problem> {
    let instance = asked
        .host()
        .instance_of_id(InstanceId(asked.platform().instance_id))
        .await?;
    Ok(instance.form().await?)
}

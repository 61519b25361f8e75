//! The contract of interworks.cloud's platform (Service Management), so that one registers this host as it would any service manager.
//! The page for its operators is `docs/interworks.md`; the messages are those of `docs/interworks-openapi.yaml`.
//!
//! A call is read (`address.rs`, `members.rs`), carried out (`settings.rs`, `definition.rs`, `accounts.rs`, `licenses.rs`), and
//! answered (`results.rs`): 200 with a code of the contract for whatever the host decides.

mod accounts;
mod address;
mod asked;
mod credentials;
mod definition;
mod discovery;
mod licenses;
mod members;
mod results;
mod service_request;
mod settings;

use axum::Extension;
use axum::extract::{Path, Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use crate::access::PlatformCaller;
use crate::body;
use crate::problem::Problem;
use crate::request_error::RequestError;
use crate::state::State;
use address::Call;
use asked::Asked;
use members::{Members, Unreadable};
use results::{Answer, Code, sentence};

pub(crate) use credentials::Credentials;

/// Answers a call of a platform.
pub(crate) async fn answer(
    Shared(state): Shared<State>,
    Extension(caller): Extension<PlatformCaller>,
    Path((_, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let is_post = request.method() == Method::POST;
    let call = address::call(&path).filter(|call| is_post || call.is_read());
    let call = call.ok_or(RequestError::NoRoute)?;
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
    let asks_for_list = call.asks_for_list();
    match carried_out(&asked, call).await {
        // What the host decides is an answer; what it could not find out is a failure.
        Err(problem) if !problem.status().is_server_error() => {
            let refused = Answer::new(Code::Refused, sentence(problem.detail(), problem.code()));
            Ok(match asks_for_list {
                true => refused.unavailable(),
                false => refused.into_response(),
            })
        }
        answered => answered,
    }
}

async fn carried_out(asked: &Asked<'_>, call: Call) -> Result<Response, Problem> {
    let answer = match call {
        Call::FieldsGet => {
            let form = asked.form().await?;
            return Ok(results::json(
                StatusCode::OK,
                &settings::FieldCollection::of(&form),
            ));
        }
        Call::FieldsValidate => {
            let form = asked.form().await?;
            return Ok(match settings::problems(&asked.message, &form) {
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
        Call::DeleteAccount | Call::Activate => Answer::done(),
        Call::Create => licenses::create(asked).await?,
        Call::Update => licenses::update(asked).await?,
        Call::Cancel => licenses::cancel(asked).await?,
        Call::NotOffered(path) => {
            Answer::new(Code::NotOffered, format!("`{path}` is not offered for licenses."))
        }
    };
    Ok(answer.into_response())
}

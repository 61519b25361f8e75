//! Answers of the contract: a code for the platform, a sentence for its user, and what was brought.

use axum::response::{IntoResponse, Response};
use bss_model::{Asset, LicenseSecrets, LicenseTokenStatus, Problem, Secret, with_causes};
use host_harness::Error;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::members::Unreadable;
use crate::answer::with_status;

/// The code of an answer. 0 is success; the others are ours, which the contract leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The call was carried out.
    Done = 0,
    /// The account is there. The one code above 0, and no failure.
    Exists = 1,
    /// The action is none of a license.
    NotOffered = -1,
    /// The host's rules or the vendor refuse it.
    Refused = -40,
    /// A setting that the platform has saved is not the instance's.
    Setting = -41,
    /// The request can't be read.
    Unreadable = -42,
    /// The subscription is known, and buys something else or for another customer.
    Mismatch = -43,
    /// The license was withdrawn before it was bought.
    Withdrawn = -44,
    /// The license went back to the vendor.
    Returned = -45,
    /// Nothing of that name is here.
    Unknown = -46,
    /// The outcome is not known yet.
    Pending = -202,
}

/// Seconds after which a platform comes again for a definition that is not there yet.
const RETRY_AFTER_SECONDS: u64 = 5;

/// An answer about a license or an account (`ServiceResultDefinition`, `AccountResultDefinition`). Not to be printed: it may have a
/// product key.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Answer {
    code: i32,
    message: String,
    result: Option<String>,
    account_extra_info: Map<String, Value>,
    custom_field_values: Map<String, Value>,
    send_notification: bool,
    extra_info: Map<String, Value>,
    /// A member of answers about accounts alone; no platform minds one more.
    generated_password: Option<String>,
}

impl Answer {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code as i32,
            message: message.into(),
            result: None,
            account_extra_info: Map::new(),
            custom_field_values: Map::new(),
            send_notification: false,
            extra_info: Map::new(),
            generated_password: None,
        }
    }

    pub(crate) fn done() -> Self {
        Self::new(Code::Done, "")
    }

    /// The answer with our name for what it is about.
    pub(crate) fn about(self, id: impl ToString) -> Self {
        Self {
            result: Some(id.to_string()),
            ..self
        }
    }

    /// The answer with the custom fields of an asset: how its license stands, and where they are shown, key and link.
    pub(crate) fn with_fields(mut self, asset: &Asset, secrets: Option<&LicenseSecrets>) -> Self {
        let mut field = |name: &str, value: Option<String>| {
            // A value that is missing is no member: platforms read `null` as they like.
            self.custom_field_values
                .extend(value.map(|value| (name.to_owned(), value.into())));
        };
        field(
            TOKEN,
            secrets.map(|secrets| secrets.product_key.expose().to_owned()),
        );
        let link = secrets.and_then(|secrets| secrets.activation_link.as_ref());
        field(ACTIVATION_LINK, link.map(Secret::expose).map(ToOwned::to_owned));
        field(
            TOKEN_STATUS,
            asset
                .license_token_status
                .map(|status| token_status(status).to_owned()),
        );
        field(RETURN_STATUS, Some(asset.return_status.to_string()));
        self
    }

    /// The answer that has the platform write to the customer.
    pub(crate) fn with_notification(self, send_notification: bool) -> Self {
        Self {
            send_notification,
            ..self
        }
    }

    /// The answer to an error that is the platform's to correct, or the host's to explain.
    pub(crate) fn refused(error: &Error) -> Self {
        Self::new(Code::Refused, sentence(&with_causes(error), error.code()))
    }

    /// The answer about a problem on record: why something was not bought, returned or read.
    pub(crate) fn of_problem(problem: &Problem) -> Self {
        Self::new(Code::Refused, sentence(&problem.message, &problem.code))
    }

    /// The answer in place of a form, a list of problems or a catalog. No success: an empty catalog would end the sale of everything.
    pub(crate) fn unavailable(&self) -> Response {
        let mut response = json(StatusCode::SERVICE_UNAVAILABLE, self);
        let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
        response
    }
}

/// What a platform's user reads: a sentence, and the code that the host's page explains.
pub(crate) fn sentence(message: &str, code: &str) -> String {
    format!("{message} ({code})")
}

impl From<Unreadable> for Answer {
    fn from(error: Unreadable) -> Self {
        Self::new(Code::Unreadable, format!("{error}."))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self)
    }
}

/// An answer in JSON, as the platform's own services write it.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = with_status(status, value);
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The custom fields of a license, as the platform's page on Microsoft names them.
pub(crate) const TOKEN: &str = "Token";
pub(crate) const TOKEN_STATUS: &str = "TokenStatus";
pub(crate) const RETURN_STATUS: &str = "ReturnStatus";
pub(crate) const ACTIVATION_LINK: &str = "ActivationLink";

/// The state of a license in the platform's words.
fn token_status(status: LicenseTokenStatus) -> &'static str {
    match status {
        LicenseTokenStatus::Unused => "Activated",
        LicenseTokenStatus::Used => "Redeemed",
        LicenseTokenStatus::Ended => "Ended",
        LicenseTokenStatus::Returned => "Return Accepted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_every_member_that_the_contract_names() {
        let answer = Answer::new(Code::Pending, "It is being bought.").about("a-1");
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            serde_json::json!({
                "Code": -202, "Message": "It is being bought.", "Result": "a-1", "AccountExtraInfo": {},
                "CustomFieldValues": {}, "SendNotification": false, "ExtraInfo": {}, "GeneratedPassword": null,
            })
        );
    }

    #[test]
    fn what_can_t_be_read_is_a_sentence_that_names_the_member() {
        let answer = Answer::from(Unreadable::Missing {
            member: "SubscriptionID",
        });
        assert_eq!(
            (answer.code, answer.message.as_str()),
            (-42, "`SubscriptionID` is missing.")
        );
    }
}

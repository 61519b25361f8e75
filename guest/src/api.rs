//! A JSON API of a vendor: requests are sent, and answers judged, in the vendor's name.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failures::{Delay, Problem};
use crate::foreign_answer::described;
use crate::http::{HttpRequest, HttpResponse};
use crate::platform::Platform;
use crate::text::one_line;
use crate::verdict::Verdict;

/// How much of a vendor's own message is shown.
const MESSAGE_LENGTH_MAX: usize = 200;

/// What a vendor's API has of its own.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// The vendor, as operators read it.
    pub vendor: &'static str,
    /// The header field, in lower case, of answers that names the exchange.
    pub correlation_header: &'static str,
    /// Reads an error in the vendor's own form. `None`: something else has answered, such as a proxy. What this takes for the
    /// vendor's refuses orders for good.
    pub error: fn(&HttpResponse) -> Option<ApiError>,
    /// What an operator can do about an error with a status; empty where nothing is known to help.
    pub advice: fn(u16) -> &'static str,
}

/// An error in a vendor's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Stable, for a program.
    pub code: String,
    /// For people.
    pub message: String,
}

impl ApiError {
    /// Reads an error from the members of a JSON object. `None`: it has not both, as text.
    pub fn of_members(response: &HttpResponse, code: &str, message: &str) -> Option<Self> {
        let body: Value = response.json().ok()?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        Some(Self {
            code: text(code)?,
            message: text(message)?,
        })
    }
}

/// An answer, which may be an error.
#[derive(Debug)]
pub struct Answer {
    api: Api,
    /// The answer as it came.
    pub response: HttpResponse,
    now_ms: i64,
}

impl Api {
    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// There is no answer.
    pub fn send(self, platform: &(impl Platform + ?Sized), request: &HttpRequest) -> Result<Answer, Verdict> {
        match platform.exchange(request) {
            Ok(response) => Ok(Answer {
                api: self,
                response,
                now_ms: platform.now_ms(),
            }),
            Err(failure) => {
                let message = format!("The request to {} failed: {failure}.", self.vendor);
                let problem = Problem::new(failure.code(), message, failure.advice());
                Err(Verdict::of_no_answer(&failure, problem))
            }
        }
    }
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// Whether the vendor itself says so: its error has the code.
    pub fn says(&self, code: &str) -> bool {
        (self.api.error)(&self.response).is_some_and(|error| error.code == code)
    }

    /// The pause that the server asks for.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.response.retry_after_ms(self.now_ms)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The body is other JSON, or none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Verdict> {
        // serde's own words may quote the answer, and so a product key.
        let not_json = |_| self.unreadable("it is not what its status promises");
        self.response.json().map_err(not_json)
    }

    /// The entity tag; empty where there is none.
    pub fn entity_tag(&self) -> String {
        self.response.header("etag").unwrap_or_default().to_owned()
    }

    /// The verdict on an answer that is not the expected one.
    pub fn verdict(&self) -> Verdict {
        let error = (self.api.error)(&self.response);
        let (status, vendor) = (self.status(), self.api.vendor);
        let (code, message) = match &error {
            Some(ApiError { code, message }) => {
                let message = one_line(message, MESSAGE_LENGTH_MAX);
                let message = message.trim_end_matches('.');
                let message = format!("{vendor} answered with HTTP {status}: {message}.");
                (code.clone(), message)
            }
            None => {
                let answer = described(&self.response);
                let message = format!("Something other than {vendor} may have answered: {answer}.");
                (format!("http-{status}"), message)
            }
        };
        let problem = Problem::new(code, message, (self.api.advice)(status));
        let delay = Delay {
            problem: self.named(problem),
            retry_after_ms: self.retry_after_ms(),
        };
        Verdict::of_answer(&self.response, error.is_some(), delay)
    }

    /// The verdict on an answer with the expected status that can't be read, or does not show what it should. Of a purchase, the outcome
    /// is unknown.
    pub fn unreadable(&self, why: &str) -> Verdict {
        let message = format!("The answer of {} can't be read: {why}.", self.api.vendor);
        Verdict::unreadable(self.named(Problem::new("answer-unreadable", message, "")))
    }

    fn named(&self, problem: Problem) -> Problem {
        let correlation_id = self.response.header(self.api.correlation_header);
        problem.in_exchange(correlation_id.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::ReadFailure;
    use crate::http::Method;
    use crate::scripted::{Scripted, Sent, answer, answer_with, lost};

    const API: Api = Api {
        vendor: "Acme",
        correlation_header: "x-request-id",
        error: |response| ApiError::of_members(response, "error", "message"),
        advice: |_| "Try.",
    };

    fn send(sent: Sent) -> Result<Answer, Verdict> {
        let request = HttpRequest::new(Method::Get, "https://acme.example/v1".to_owned());
        API.send(&Scripted::answering([sent]), &request)
    }

    #[test]
    fn an_error_of_the_vendor_s_is_told_in_its_words_and_named() {
        let body = r#"{"error": "no-sku", "message": "There is none."}"#;
        let answer = send(answer_with(422, ("x-request-id", "r-1"), body)).expect("an answer");
        assert!(answer.says("no-sku") && !answer.says("other"));
        let Verdict::Refused(problem) = answer.verdict() else {
            panic!("{:?}", answer.verdict())
        };
        assert_eq!(problem.code, "no-sku");
        assert_eq!(problem.message, "Acme answered with HTTP 422: There is none.");
        assert_eq!(
            (problem.advice.as_str(), problem.correlation_id.as_str()),
            ("Try.", "r-1")
        );
    }

    #[test]
    fn the_page_of_a_proxy_refuses_nothing() {
        let answer = send(answer(400, "<title>Blocked</title>")).expect("an answer");
        let ReadFailure::Unavailable(delay) = answer.verdict().into() else {
            panic!("{:?}", answer.verdict())
        };
        assert_eq!(delay.problem.code, "http-400");
        assert!(delay.problem.message.contains("Blocked"), "{delay:?}");
    }

    #[test]
    fn an_answer_that_can_t_be_read_or_did_not_come_is_not_done_for_certain() {
        let garbled = send(answer(200, "secret")).expect("an answer");
        let garbled = garbled.json::<Value>().expect_err("no JSON");
        assert!(!garbled.clone().into_problem().message.contains("secret"));
        for verdict in [garbled, send(lost()).expect_err("no answer")] {
            assert!(matches!(verdict, Verdict::Unclear { .. }), "{verdict:?}");
        }
    }
}

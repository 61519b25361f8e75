//! An answer of the license API, and the failures that say it can't be read.

use super::wire;
use bss_plugin::failures::{Problem, ReadFailure};
use bss_plugin::http::HttpResponse;

/// An answer, with the correlation id of its exchange.
pub(super) struct Answer {
    pub(super) response: HttpResponse,
    pub(super) correlation_id: String,
    /// Whether the answer names the exchange, as the license API does and what stands before it does not.
    pub(super) is_named: bool,
}

impl Answer {
    pub(super) fn new(response: HttpResponse, correlation_id: String) -> Self {
        let theirs = wire::correlation_id(&response);
        Self {
            is_named: theirs.is_some(),
            correlation_id: theirs.unwrap_or(correlation_id),
            response,
        }
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        wire::error(&self.response).is_some_and(|error| error.code == code)
    }

    pub(super) fn unreadable(&self, what: &str) -> Problem {
        Problem::new(
            "answer-unreadable",
            format!("Microsoft's answer can't be read as {what}."),
            "Check that Service URL is right; if it is, a newer version of this plugin may help.",
        )
        .in_exchange(&self.correlation_id)
    }

    pub(super) fn malformed(&self, what: &str) -> ReadFailure {
        ReadFailure::Malformed(self.unreadable(what))
    }
}

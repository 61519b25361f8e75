//! The names whose values may stand in the recording of a call, as the call's plugin has declared them.

use std::collections::BTreeSet;

use bss_model::PluginDescription;
use serde::{Deserialize, Serialize};

use super::lists::CREDENTIALS;
use crate::bindings::Description;

/// Names whose values tell nothing of a customer and open nothing. A recording has them with each call, so that it is played
/// back by the names that it was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HarmlessNames {
    /// Query fields, and members of bodies, of requests.
    requests: BTreeSet<String>,
    /// Members of JSON bodies of answers.
    answers: BTreeSet<String>,
    /// Header fields by which the vendor and its customers name an exchange.
    headers: BTreeSet<String>,
}

impl HarmlessNames {
    /// Whether a query field of a request, or a member of its body, stays.
    pub(super) fn keeps_of_request(&self, name: &str) -> bool {
        self.requests.contains(name) && !CREDENTIALS.contains(&name)
    }

    /// Whether a member of an answer's body stays.
    pub(super) fn keeps_of_answer(&self, name: &str) -> bool {
        self.answers.contains(name) && !CREDENTIALS.contains(&name)
    }

    /// Whether a header field names an exchange.
    pub(super) fn names_exchanges(&self, header: &str) -> bool {
        self.headers.contains(header)
    }

    /// The header fields that name an exchange.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(String::as_str)
    }
}

impl From<&PluginDescription> for HarmlessNames {
    fn from(description: &PluginDescription) -> Self {
        Self {
            requests: description.harmless.requests.clone(),
            answers: description.harmless.answers.clone(),
            headers: description.correlation_headers.iter().cloned().collect(),
        }
    }
}

impl From<Description> for HarmlessNames {
    fn from(said: Description) -> Self {
        Self {
            requests: said.harmless.requests.into_iter().collect(),
            answers: said.harmless.answers.into_iter().collect(),
            headers: said.correlation_headers.into_iter().collect(),
        }
    }
}

#[cfg(test)]
impl HarmlessNames {
    /// The names for a test.
    pub(crate) fn of(requests: &[&str], answers: &[&str], headers: &[&str]) -> Self {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            requests: set(requests),
            answers: set(answers),
            headers: set(headers),
        }
    }
}

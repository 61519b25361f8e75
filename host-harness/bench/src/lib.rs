//! For benchmarks: the plugin's code compiled for the host as well, and a Microsoft that answers from memory.
//!
//! The cost of a call in the sandbox is seen beside the *native twin*: the same code of the plugin, the same way out,
//! the same certificate, without the sandbox. Embedders don't get this crate.

mod call_site;
mod canned_answers;
mod certificates;
mod instances;
mod native_twin;
mod orders;
mod resident;
mod scratch_record;
mod site;
mod stand_in;
mod upstream;

pub use call_site::{CallSite, Kind, Way};
pub use canned_answers::{CannedAnswers, Traffic};
pub use certificates::{BenchAuthority, ServerIdentity};
pub use native_twin::{NativePlatform, fetch_services};
pub use resident::{Resident, call_in_turn};
pub use scratch_record::{Applied, ScratchRecord};
pub use site::{Reading, Site};
use stand_in::StandIn;
pub use upstream::{Ports, Seen, SeenByCertificate, Upstream};

/// A benchmark that could not be set up, or got no answer.
#[derive(Debug, thiserror::Error)]
#[error("no benchmark: {doing}")]
pub struct BenchError {
    /// What was being done, or what failed.
    doing: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BenchError {
    /// The error of an answer that nothing can be learned from.
    pub fn unusable(answer: impl Into<String>) -> Self {
        Self {
            doing: "a reading is not usable",
            source: answer.into().into(),
        }
    }

    /// Makes an error for `map_err` that says what was being done.
    fn when<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        doing: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self {
            doing,
            source: source.into(),
        }
    }
}

//! Benchmarks: the plugin's code compiled for the host as well, and a Microsoft that answers from memory.
//!
//! The cost of a call in the sandbox is seen beside the *native twin*: the same code of the plugin, the same way out,
//! the same certificate, without the sandbox. Embedders don't get this crate.

mod api;
mod call_site;
mod canned_answers;
mod certificates;
mod error;
mod instances;
mod lists;
mod many;
mod native_twin;
mod orders;
mod pages;
mod resident;
mod scratch_record;
mod server;
mod site;
mod stand_in;
mod upstream;

use std::path::Path;

use bss_model::Actor;
use bss_sandbox::plugin::Plugin;
use host_harness::Host;

pub use api::{ApiSite, Load};
pub use call_site::{CallSite, Kind, Way};
pub use canned_answers::{CannedAnswers, Traffic};
pub use certificates::{BenchAuthority, ServerIdentity};
pub use error::BenchError;
pub use lists::Looks;
pub use native_twin::{NativePlatform, fetch_services};
pub use resident::{Resident, call_in_turn};
pub use scratch_record::{Applied, ScratchRecord};
pub use server::ServerRecord;
pub use site::{Reading, Site};
use stand_in::StandIn;
pub use upstream::{Ports, Seen, SeenByCertificate, Upstream};

/// The operator in whose name benchmarks are set up.
fn actor() -> Actor {
    Actor::operator("bench")
}

/// A host, and its plugin, loaded.
async fn opened(data_dir: &Path, plugin: &Path) -> Result<(Host, Plugin), BenchError> {
    let host = Host::builder(data_dir).plugin_file(plugin);
    let host = host.open_or_create().await;
    loaded(host.map_err(BenchError::when("the host can't be opened"))?).await
}

/// A host with its plugin, loaded.
async fn loaded(host: Host) -> Result<(Host, Plugin), BenchError> {
    let plugin = host
        .plugin()
        .await
        .map_err(BenchError::when("the plugin can't be loaded"))?;
    Ok((host, plugin))
}

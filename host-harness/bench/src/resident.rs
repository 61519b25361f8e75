//! Measures how much of the machine's memory a process holds that calls for many instances in turn.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BenchError, Kind, call_site, opened};

/// Calls for the first instance before anything is measured, so that all that instances share is there.
const WARM_UP: usize = 200;

/// The memory that a process held.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resident {
    /// Instances that were called for.
    pub instances: usize,
    /// Resident bytes when only the first instance had been called for, many times.
    pub first_bytes: u64,
    /// Resident bytes when each instance had been called for.
    pub all_bytes: u64,
}

impl Resident {
    /// Bytes for each instance but the first. `None` when there is no other.
    pub fn per_instance(&self) -> Option<f64> {
        let others = self.instances.checked_sub(1).filter(|others| *others > 0)?;
        let grown = self.all_bytes.saturating_sub(self.first_bytes);
        Some(grown as f64 / others as f64)
    }
}

/// Opens a host, and buys a license for every instance on its record in turn. Call this in a process of its own:
/// elsewhere, memory that was in use before would be used again, and not be seen.
///
/// # Errors
/// When a license is not bought, or the system does not tell what a process holds.
pub async fn call_in_turn(data_dir: &Path, plugin: &Path, kind: Kind) -> Result<Resident, BenchError> {
    let (host, plugin) = opened(data_dir, plugin).await?;
    let instances = host.record().instances().await;
    let instances = instances.map_err(BenchError::when("the record can't be read"))?;
    let first = instances
        .first()
        .ok_or_else(|| BenchError::unusable("the record has no instance"))?;
    let warm_up = std::iter::repeat_n(first, WARM_UP);
    let mut first_bytes = 0;
    for (number, instance) in warm_up.chain(&instances).enumerate() {
        if number == WARM_UP {
            first_bytes = resident_bytes()?;
        }
        match kind {
            Kind::Sandboxed => call_site::buy(&host, &plugin, instance).await?,
            Kind::Native | Kind::RequestAlone => call_site::buy_natively(&host, instance).await?,
        }
    }
    Ok(Resident {
        instances: instances.len(),
        first_bytes,
        all_bytes: resident_bytes()?,
    })
}

/// The resident bytes as Linux counts them, page by page: `/proc/self/status` is allowed to lag behind.
fn resident_bytes() -> Result<u64, BenchError> {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup")
        .map_err(BenchError::when("`/proc/self/smaps_rollup` can't be read"))?;
    let line = smaps.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| BenchError::unusable("`/proc/self/smaps_rollup` has no resident size"))
}

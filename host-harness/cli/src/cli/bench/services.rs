//! Measures Get Services Definition: sandboxed and native, over TLS and from memory, taking turns.

mod figures;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bss_bench::{BenchError, CannedAnswers, ScratchRecord, Site};
use bss_simulator::Catalog;
use host_harness::{CallContext, CallListener};

use super::super::output;
use super::measured::Times;
use figures::{Figures, Pair, Size};

/// Measures every size in turn.
pub(super) async fn measure(plugin: &Path, offers: &[u32]) -> Result<Figures, BenchError> {
    let site = Site::start(plugin).await?;
    let mut sizes = Vec::new();
    for &offers in offers {
        output::note(format!("measuring {offers} offers, {} rounds", rounds(offers)));
        sizes.push(measure_size(&site, offers).await?);
    }
    site.stop().await;
    Ok(Figures { sizes })
}

/// Rounds for a catalog: many where a reading takes milliseconds, few where it takes half a second. Odd, for the
/// median.
fn rounds(offers: u32) -> usize {
    match offers {
        0..=1_000 => 21,
        1_001..=10_000 => 11,
        _ => 9,
    }
}

async fn measure_size(site: &Site, offers: u32) -> Result<Size, BenchError> {
    site.simulator().set_catalog(Catalog::generated(offers));
    // The first reading opens the connections and gets the access token that all others use.
    let canned = site.take_down().await?;
    let (mut over_tls, mut from_memory) = (Turns::default(), Turns::default());
    for round in 0..rounds(offers) {
        over_tls.take(site, None, round).await?;
        from_memory.take(site, Some(&canned), round).await?;
    }
    let (summary, products) = site
        .read_sandboxed(call(site, Some(&canned)).await?)
        .await?
        .complete()?;
    let record = ScratchRecord::open().await?;
    let first = record.apply(summary.clone(), products.clone()).await?;
    let again = record.apply(summary, products).await?;
    Ok(Size {
        offers,
        products: first.new,
        rounds: rounds(offers),
        traffic: canned.traffic(),
        guest_memory_bytes: over_tls.guest_memory_bytes.max(from_memory.guest_memory_bytes),
        over_tls: over_tls.pair(),
        from_memory: from_memory.pair(),
        all_new: first.took,
        unchanged: again.took,
    })
}

/// Readings in one of the two ways, over TLS or from memory.
#[derive(Default)]
struct Turns {
    sandboxed: Vec<Duration>,
    native: Vec<Duration>,
    guest_memory_bytes: u64,
}

impl Turns {
    /// Takes one reading of each kind. The kind that goes first alternates, so that neither always finds the caches
    /// warm.
    async fn take(
        &mut self,
        site: &Site,
        canned: Option<&CannedAnswers>,
        round: usize,
    ) -> Result<(), BenchError> {
        for turn in [round, round + 1] {
            let call = call(site, canned).await?;
            if turn % 2 == 0 {
                let reading = site.read_sandboxed(call).await?;
                self.guest_memory_bytes = self.guest_memory_bytes.max(reading.guest_memory_bytes);
                self.sandboxed.push(reading.took);
                reading.complete()?;
            } else {
                let reading = site.read_natively(call).await?;
                self.native.push(reading.took);
                reading.complete()?;
            }
        }
        Ok(())
    }

    fn pair(self) -> Pair {
        Pair {
            sandboxed: Times::of(self.sandboxed),
            native: Times::of(self.native),
        }
    }
}

async fn call(site: &Site, canned: Option<&CannedAnswers>) -> Result<CallContext, BenchError> {
    let silent: CallListener = Arc::new(|_| ());
    let call = site.call(silent).await?;
    Ok(match canned {
        Some(canned) => Site::from_memory(call, canned),
        None => call,
    })
}

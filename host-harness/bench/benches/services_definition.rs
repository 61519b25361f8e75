//! Reading a catalog from memory, in the sandbox and natively: parse, map and hand over, page by page.
//!
//! The plugin is the component that `BSS_PLUGIN` names, or the one in this build's target folder.
#![expect(clippy::expect_used, reason = "a benchmark says what it needs")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bss_bench::Site;
use bss_simulator::Catalog;
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    fetch_services(&mut criterion);
    criterion.final_summary();
}

fn fetch_services(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a Tokio runtime");
    let plugin = component();
    let hint = "a started site; build the plugin with `cargo build -p microsoft-esd --lib --target wasm32-wasip2 --profile plugin`";
    let site = runtime.block_on(Site::start(&plugin)).expect(hint);
    let mut group = criterion.benchmark_group("fetch_services");
    // A reading of 10,000 offers takes some hundred milliseconds.
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    for offers in [100, 1_000, 10_000] {
        site.simulator().set_catalog(Catalog::generated(offers));
        let (canned, call) = runtime.block_on(async {
            let canned = site.take_down().await.expect("a recorded catalog");
            let call = site.call(Arc::new(|_| ())).await.expect("a prepared call");
            (canned, call)
        });
        let call = Site::from_memory(call, &canned);
        group.throughput(Throughput::Elements(u64::from(offers)));
        group.bench_function(BenchmarkId::new("sandboxed", offers), |bencher| {
            bencher.iter_with_large_drop(|| runtime.block_on(site.read_sandboxed(call.clone())));
        });
        group.bench_function(BenchmarkId::new("native", offers), |bencher| {
            bencher.iter_with_large_drop(|| runtime.block_on(site.read_natively(call.clone())));
        });
    }
    group.finish();
    runtime.block_on(site.stop());
}

/// The benchmark itself is `TARGET/release/deps/services_definition-HASH`.
fn component() -> PathBuf {
    if let Some(named) = std::env::var_os("BSS_PLUGIN") {
        return named.into();
    }
    let benchmark = std::env::current_exe().expect("the path of the running benchmark");
    let target = benchmark
        .ancestors()
        .nth(3)
        .expect("a benchmark in a target folder");
    target.join("wasm32-wasip2/plugin/microsoft_esd.wasm")
}

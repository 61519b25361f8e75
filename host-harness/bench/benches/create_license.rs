//! Buying a license, answered from memory: a fresh sandbox for every purchase, and the same code without one.
//!
//! The plugin is the component that `BSS_PLUGIN` names, or the one in this build's target folder.
#![expect(clippy::expect_used, reason = "a benchmark says what it needs")]

use std::path::PathBuf;

use bss_bench::{BenchAuthority, CallSite, Kind, Upstream, Way};
use criterion::Criterion;
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    create_license(&mut criterion);
    criterion.final_summary();
}

fn create_license(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a Tokio runtime");
    let (site, way) = runtime.block_on(from_memory());
    let mut group = criterion.benchmark_group("create_license");
    for (name, kind) in [("sandboxed", Kind::Sandboxed), ("native", Kind::Native)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|purchases| {
                // The way to the thread that buys is not measured.
                let each =
                    (0..purchases).map(|_| runtime.block_on(way.one(kind)).expect("a purchased license"));
                each.sum()
            });
        });
    }
    group.bench_function("preparing", |bencher| {
        bencher.iter(|| runtime.block_on(site.prepare(0)).expect("a ready instance"));
    });
    group.finish();
}

/// A way to buy that has its answers from one purchase over mutual TLS.
async fn from_memory() -> (CallSite, Way) {
    let authority = BenchAuthority::new().expect("a certificate authority");
    let server = authority.server().expect("a server's certificate");
    let upstream = Upstream::start(&server).await.expect("a running upstream");
    let hint = "a started site; build the plugin with `cargo build -p microsoft-esd --lib --target wasm32-wasip2 --profile plugin`";
    let mut site = CallSite::start(&component(), authority, upstream.ports())
        .await
        .expect(hint);
    let instance = site.add_instance(0).await.expect("a configured instance");
    let way = site.from_memory(instance).await.expect("a recorded purchase");
    (site, way)
}

/// The benchmark itself is `TARGET/release/deps/create_license-HASH`.
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

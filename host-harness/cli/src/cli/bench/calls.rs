//! Measures single purchases: what a sandbox costs, what the pool of connections brings, and what instances hold.

mod figures;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bss_bench::{BenchAuthority, BenchError, CallSite, Kind, Resident, SeenByCertificate, Way, call_in_turn};
use clap::Args;
use host_harness::Plugin;

use super::super::output;
use super::measured::Times;
use super::program::this_program;
use super::upstream::UpstreamProcess;
use figures::{AT_ONCE, Connections, Figures, Holding, Interleaved, Latency, Loading, Throughput};

/// Milliseconds that the distant upstream takes to answer; about what a real one does.
const DISTANT_MS: u32 = 20;
/// Divisor of a round's purchases where each opens its own connection: they take several times as long, and fewer show
/// as much.
const NEW_CONNECTIONS_PART: u32 = 3;

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub(super) struct CallsArguments {
    /// Purchases of a round
    #[arg(long, value_name = "N", default_value_t = Self::default().requests, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) requests: u32,
    /// Rounds of each kind; their best and their median are shown
    #[arg(long, value_name = "N", default_value_t = Self::default().rounds, value_parser = clap::value_parser!(u32).range(1..=101))]
    pub(super) rounds: u32,
    /// Purchases of two instances in turn, to see that each uses its own connections
    #[arg(long, value_name = "N", default_value_t = Self::default().interleaved, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub(super) interleaved: u32,
    /// Instances that are called for in turn; each takes two connections, and so two file descriptors
    #[arg(long, value_name = "N", default_value_t = Self::default().instances, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(super) instances: u32,
}

impl Default for CallsArguments {
    /// Sizes that the goals are about.
    fn default() -> Self {
        Self {
            requests: 3_000,
            rounds: 7,
            interleaved: 10_000,
            instances: 1_000,
        }
    }
}

/// The two instances that share an authority, and the one with the distant upstream.
struct Site {
    calls: CallSite,
    upstream: UpstreamProcess,
    near: [usize; 2],
    distant: usize,
}

/// Measures everything in turn.
pub(super) async fn measure(plugin: &Path, arguments: &CallsArguments) -> Result<Figures, BenchError> {
    let authority = BenchAuthority::new()?;
    let upstream = UpstreamProcess::start(&authority.server()?)?;
    let ports = upstream.ports();
    let mut calls = CallSite::start(plugin, authority, ports).await?;
    let near = [calls.add_instance(0).await?, calls.add_instance(0).await?];
    let distant = calls.add_instance(DISTANT_MS).await?;
    let mut site = Site {
        calls,
        upstream,
        near,
        distant,
    };
    output::note("measuring the loading of the plugin");
    let loading = loading(plugin, arguments.rounds)?;
    output::note("measuring purchases from memory, one by one");
    let latency = latency(&site, arguments.requests).await?;
    output::note(format!(
        "measuring {} purchases a round, {AT_ONCE} at once, {} rounds",
        arguments.requests, arguments.rounds
    ));
    let near = throughput(&site.calls, site.near[0], arguments, true).await?;
    let distant = throughput(&site.calls, site.distant, arguments, false).await?;
    let connections = connections(&mut site, arguments.requests).await?;
    output::note(format!(
        "measuring {} purchases of two instances in turn",
        arguments.interleaved
    ));
    let interleaved = interleaved(&mut site, arguments.interleaved).await?;
    output::note(format!(
        "measuring the memory that {} instances hold",
        arguments.instances
    ));
    let holding = holding(&mut site, plugin, arguments.instances as usize).await?;
    Ok(Figures {
        requests: arguments.requests,
        rounds: arguments.rounds,
        loading,
        latency,
        near,
        distant,
        connections,
        interleaved,
        holding,
    })
}

/// Loads the plugin once with an empty cache, so that it is compiled, then again and again from the cache.
fn loading(plugin: &Path, rounds: u32) -> Result<Loading, BenchError> {
    let unusable = |error: host_harness::LoadError| BenchError::unusable(error.to_string());
    let folder = tempfile::tempdir().map_err(|error| BenchError::unusable(error.to_string()))?;
    let load = || {
        let begun = Instant::now();
        let loaded = Plugin::load(plugin, folder.path()).map_err(unusable)?;
        let took = begun.elapsed();
        drop(loaded);
        Ok::<Duration, BenchError>(took)
    };
    let compiled = load()?;
    let cached = (0..rounds * 3).map(|_| load()).collect::<Result<_, _>>()?;
    Ok(Loading {
        cached: Times::of(cached),
        compiled,
    })
}

/// Measures one purchase at a time, sandboxed and native in turn.
async fn latency(site: &Site, requests: u32) -> Result<Latency, BenchError> {
    let index = site.near[0];
    let way = site.calls.from_memory(index).await?;
    let (mut sandboxed, mut native, mut preparing) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..requests | 1 {
        // The kind that goes first alternates, so that neither always finds the caches warm.
        for turn in [round, round + 1] {
            match turn % 2 {
                0 => sandboxed.push(way.one(Kind::Sandboxed).await?),
                _ => native.push(way.one(Kind::Native).await?),
            }
        }
        preparing.push(site.calls.prepare(index).await?);
    }
    Ok(Latency {
        sandboxed: Times::of(sandboxed),
        native: Times::of(native),
        preparing: Times::of(preparing),
    })
}

/// Measures rounds of all kinds in turn, many purchases at once.
async fn throughput(
    calls: &CallSite,
    index: usize,
    arguments: &CallsArguments,
    with_new_connections: bool,
) -> Result<Throughput, BenchError> {
    let pooled = calls.pooled(&[index]).await?;
    let unpooled = calls.connection_per_request(&[index]).await?;
    // Opens the connections, and gets the access token.
    pooled.many(Kind::Sandboxed, AT_ONCE as u32, AT_ONCE).await?;
    let mut throughput = Throughput::default();
    for round in 0..arguments.rounds {
        let kinds = [Kind::Sandboxed, Kind::Native, Kind::RequestAlone];
        for turn in 0..kinds.len() {
            let kind = kinds[(turn + round as usize) % kinds.len()];
            let rate = per_second(&pooled, kind, arguments.requests).await?;
            match kind {
                Kind::Sandboxed => throughput.sandboxed.push(rate),
                Kind::Native => throughput.native.push(rate),
                Kind::RequestAlone => throughput.request_alone.push(rate),
            }
        }
        if with_new_connections {
            let requests = (arguments.requests / NEW_CONNECTIONS_PART).max(1);
            let rate = per_second(&unpooled, Kind::Sandboxed, requests).await?;
            throughput.new_connections.push(rate);
        }
    }
    Ok(throughput)
}

async fn per_second(way: &Way, kind: Kind, requests: u32) -> Result<f64, BenchError> {
    let (took, lent) = way.many(kind, requests, AT_ONCE).await?;
    if lent != 0 {
        return Err(BenchError::unusable(format!(
            "{lent} purchases used a connection of another instance"
        )));
    }
    Ok(f64::from(requests) / took.as_secs_f64())
}

/// Counts the connections that a round of each kind opens on an empty pool.
async fn connections(site: &mut Site, requests: u32) -> Result<Connections, BenchError> {
    let mut opened = [0; 2];
    for (kind, opened) in [Kind::Sandboxed, Kind::Native].into_iter().zip(&mut opened) {
        let pooled = site.calls.pooled(&site.near[..1]).await?;
        let before = total_connections(&site.upstream.seen()?);
        pooled.many(kind, requests, AT_ONCE).await?;
        *opened = total_connections(&site.upstream.seen()?) - before;
    }
    let [sandboxed, native] = opened;
    Ok(Connections { sandboxed, native })
}

fn total_connections(seen: &SeenByCertificate) -> u64 {
    seen.values().map(|seen| seen.connections).sum()
}

/// Measures two instances with different certificates on one authority, through one pool, in turn.
async fn interleaved(site: &mut Site, requests: u32) -> Result<Interleaved, BenchError> {
    let pooled = site.calls.pooled(&site.near).await?;
    let before = site.upstream.seen()?;
    let (_, lent) = pooled.many(Kind::Sandboxed, requests, AT_ONCE).await?;
    let after = site.upstream.seen()?;
    let served = after.into_iter().map(|(thumbprint, seen)| {
        let earlier = before.get(&thumbprint).map_or(0, |seen| seen.requests);
        (thumbprint, seen.requests - earlier)
    });
    Ok(Interleaved {
        requests,
        lent,
        requests_by_certificate: served.filter(|(_, requests)| *requests > 0).collect(),
    })
}

/// Measures what a process holds that calls for many instances in turn: with the connections they keep, and without.
async fn holding(site: &mut Site, plugin: &Path, instances: usize) -> Result<Holding, BenchError> {
    site.calls.add_instances_until(instances).await?;
    let data_dir = site.calls.data_dir();
    let in_use = resident(data_dir, plugin, Kind::Sandboxed)?;
    let in_use_natively = resident(data_dir, plugin, Kind::Native)?;
    site.upstream.close_after_answers(true)?;
    let idle = resident(data_dir, plugin, Kind::Sandboxed)?;
    let idle_natively = resident(data_dir, plugin, Kind::Native)?;
    site.upstream.close_after_answers(false)?;
    Ok(Holding {
        in_use,
        in_use_natively,
        idle,
        idle_natively,
    })
}

/// Runs a process that calls for all instances in turn, and returns what it says it holds.
fn resident(data_dir: &Path, plugin: &Path, kind: Kind) -> Result<Resident, BenchError> {
    let mut program = this_program(&["bench", "in-turn"])?;
    if kind != Kind::Sandboxed {
        program.arg("--native");
    }
    program
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--plugin")
        .arg(plugin);
    let output = program.stderr(Stdio::inherit()).output().map_err(|error| {
        BenchError::unusable(format!(
            "the process that calls for many instances can't be run: {error}"
        ))
    })?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        BenchError::unusable(
            "the process that calls for many instances failed; each instance needs two file descriptors (`ulimit -n`)",
        )
    })
}

/// Calls for all instances in turn and prints what this process holds.
pub(super) async fn run_in_turn(data_dir: &Path, plugin: &Path, native: bool) -> Result<(), BenchError> {
    let kind = if native { Kind::Native } else { Kind::Sandboxed };
    let resident = call_in_turn(data_dir, plugin, kind).await?;
    output::line(serde_json::to_string(&resident).unwrap_or_default());
    Ok(())
}

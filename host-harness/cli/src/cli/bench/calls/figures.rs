//! The figures of single purchases beside their goals: tables for people, JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_bench::Resident;
use serde_json::{Value, json};

use super::super::super::show;
use super::super::measured::{Bound, Goal, Times, build, show_goals};
use super::AT_ONCE;

/// Sizes below which a goal is not judged.
const CONNECTIONS_REQUESTS: u32 = 3_000;
const INTERLEAVED_REQUESTS: u32 = 10_000;
const HOLDING_INSTANCES: usize = 1_000;

const KIB: f64 = 1024.0;

/// All that was measured.
pub(in super::super) struct Figures {
    pub(super) requests: u32,
    pub(super) rounds: u32,
    pub(super) loading: Loading,
    pub(super) latency: Latency,
    pub(super) near: Throughput,
    pub(super) distant: Throughput,
    pub(super) connections: Connections,
    pub(super) interleaved: Interleaved,
    pub(super) holding: Holding,
}

/// The plugin from its file to the first call.
pub(super) struct Loading {
    pub(super) cached: Times,
    /// Once, with nothing to be found in the cache.
    pub(super) compiled: Duration,
}

/// One purchase, answered from memory.
pub(super) struct Latency {
    pub(super) sandboxed: Times,
    pub(super) native: Times,
    /// What the host does before the call, for either.
    pub(super) preparing: Times,
}

/// Purchases a second, round by round.
#[derive(Default)]
pub(super) struct Throughput {
    pub(super) sandboxed: Vec<f64>,
    pub(super) native: Vec<f64>,
    pub(super) request_alone: Vec<f64>,
    /// Empty: not measured.
    pub(super) new_connections: Vec<f64>,
}

/// Connections that a round opened on an empty pool.
pub(super) struct Connections {
    pub(super) sandboxed: u64,
    pub(super) native: u64,
}

/// Two instances in turn on one authority.
pub(super) struct Interleaved {
    pub(super) requests: u32,
    /// How many came by a connection on which the other instance's certificate was presented.
    pub(super) lent: u32,
    /// As the upstream saw it.
    pub(super) requests_by_certificate: BTreeMap<String, u64>,
}

/// What a process held.
pub(super) struct Holding {
    pub(super) in_use: Resident,
    pub(super) in_use_natively: Resident,
    /// With the connections closed by the server.
    pub(super) idle: Resident,
    pub(super) idle_natively: Resident,
}

impl Latency {
    fn beyond_native(&self, of: fn(&Times) -> Duration) -> f64 {
        microseconds(of(&self.sandboxed)) - microseconds(of(&self.native))
    }
}

fn best(rates: &[f64]) -> Option<f64> {
    rates.iter().copied().max_by(f64::total_cmp)
}

fn median(rates: &[f64]) -> Option<f64> {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

impl Throughput {
    /// How many times as many sandboxed purchases as of another kind.
    fn ratio(&self, to: &[f64], of: fn(&[f64]) -> Option<f64>) -> Option<f64> {
        Some(of(&self.sandboxed)? / of(to)?)
    }

    fn json(&self) -> Value {
        let rates = |rates: &[f64]| json!({ "bestPerSecond": best(rates), "medianPerSecond": median(rates) });
        json!({
            "sandboxed": rates(&self.sandboxed),
            "native": rates(&self.native),
            "requestAlone": rates(&self.request_alone),
            "connectionPerRequest": rates(&self.new_connections),
            "ratio": self.ratio(&self.native, best),
            "ratioOfMedians": self.ratio(&self.native, median),
            "ratioToRequestAlone": self.ratio(&self.request_alone, best),
            "timesConnectionPerRequest": self.ratio(&self.new_connections, best),
            "timesConnectionPerRequestOfMedians": self.ratio(&self.new_connections, median),
        })
    }

    fn rows(&self, upstream: &str) -> Vec<[String; 4]> {
        let kinds = [
            ("sandbox", &self.sandboxed),
            ("native", &self.native),
            ("request alone", &self.request_alone),
            ("sandbox, connection per request", &self.new_connections),
        ];
        let measured = kinds.into_iter().filter(|(_, rates)| !rates.is_empty());
        let rate = |rate: Option<f64>| rate.map_or_else(String::new, |rate| format!("{rate:.0}"));
        measured
            .map(|(kind, rates)| {
                [
                    upstream.to_owned(),
                    kind.to_owned(),
                    rate(best(rates)),
                    rate(median(rates)),
                ]
            })
            .collect()
    }
}

fn microseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

fn times_json(times: &Times) -> Value {
    json!({
        "bestMicroseconds": microseconds(times.best),
        "medianMicroseconds": microseconds(times.median),
    })
}

fn resident_json(resident: &Resident) -> Value {
    json!({
        "instances": resident.instances,
        "firstBytes": resident.first_bytes,
        "allBytes": resident.all_bytes,
        "bytesPerInstance": resident.per_instance(),
    })
}

impl Figures {
    fn goals(&self) -> [Goal; 9] {
        let goal = |id, text, bound, value| Goal {
            id,
            text,
            bound,
            value,
        };
        let kibibytes = |resident: &Resident| {
            let per_instance = resident.per_instance()? / KIB;
            (resident.instances >= HOLDING_INSTANCES).then_some(per_instance)
        };
        [
            goal(
                "sandbox-beyond-native",
                "a purchase from memory, fresh sandbox: µs beyond native, median",
                Bound::AtMost(100.0),
                Some(self.latency.beyond_native(|times| times.median)),
            ),
            goal(
                "throughput-near",
                "32 at once, answered at once: times native",
                Bound::AtLeast(0.6),
                self.near.ratio(&self.near.native, best),
            ),
            goal(
                "throughput-distant",
                "32 at once, answered after 20 ms: times native",
                Bound::AtLeast(0.98),
                self.distant.ratio(&self.distant.native, best),
            ),
            goal(
                "times-connection-per-request",
                "32 at once: times a connection per request",
                Bound::AtLeast(5.0),
                self.near.ratio(&self.near.new_connections, best),
            ),
            goal(
                "connections-opened",
                "connections opened for 3,000 requests, 32 at once",
                Bound::AtMost(AT_ONCE as f64),
                (self.requests >= CONNECTIONS_REQUESTS).then_some(self.connections.sandboxed as f64),
            ),
            goal(
                "resident-idle-instance",
                "KiB resident for an instance without connections",
                Bound::AtMost(64.0),
                kibibytes(&self.holding.idle),
            ),
            goal(
                "resident-instance-in-use",
                "KiB resident for each of 1,000 in use in turn",
                Bound::AtMost(64.0),
                kibibytes(&self.holding.in_use),
            ),
            goal(
                "cached-load",
                "ms to load the compiled plugin",
                Bound::AtMost(5.0),
                Some(microseconds(self.loading.cached.best) / 1e3),
            ),
            goal(
                "lent-connections",
                "of 10,000 interleaved requests, on the other's connection",
                Bound::AtMost(0.0),
                (self.interleaved.requests >= INTERLEAVED_REQUESTS)
                    .then_some(f64::from(self.interleaved.lent)),
            ),
        ]
    }

    /// For programs.
    pub(in super::super) fn json(&self) -> Value {
        json!({
            "build": build(),
            "requests": self.requests,
            "rounds": self.rounds,
            "atOnce": AT_ONCE,
            "loading": {
                "cached": times_json(&self.loading.cached),
                "compiledMicroseconds": microseconds(self.loading.compiled),
            },
            "fromMemory": {
                "sandboxed": times_json(&self.latency.sandboxed),
                "native": times_json(&self.latency.native),
                "beyondNativeMedianMicroseconds": self.latency.beyond_native(|times| times.median),
                "beyondNativeBestMicroseconds": self.latency.beyond_native(|times| times.best),
                "preparing": times_json(&self.latency.preparing),
            },
            "answeredAtOnce": self.near.json(),
            "answeredAfter20Milliseconds": self.distant.json(),
            "connectionsOpened": {
                "sandboxed": self.connections.sandboxed,
                "native": self.connections.native,
            },
            "interleaved": {
                "requests": self.interleaved.requests,
                "lent": self.interleaved.lent,
                "requestsByCertificate": self.interleaved.requests_by_certificate,
            },
            "resident": {
                "inUse": { "sandboxed": resident_json(&self.holding.in_use), "native": resident_json(&self.holding.in_use_natively) },
                "idle": { "sandboxed": resident_json(&self.holding.idle), "native": resident_json(&self.holding.idle_natively) },
            },
            "goals": self.goals().iter().map(Goal::json).collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub(in super::super) fn show(&self) {
        let mut table = show::table(&["One at a time", "Best µs", "Median µs"]);
        for (what, times) in [
            ("purchase from memory, sandbox", &self.latency.sandboxed),
            ("purchase from memory, native", &self.latency.native),
            ("the host's preparation, for either", &self.latency.preparing),
            ("loading the compiled plugin", &self.loading.cached),
        ] {
            table.add_row([
                what.to_owned(),
                format!("{:.0}", microseconds(times.best)),
                format!("{:.0}", microseconds(times.median)),
            ]);
        }
        show::line(table.to_string());
        let mut table = show::table(&["Upstream answers", "32 at once", "Best per second", "Median"]);
        table.add_rows(self.near.rows("at once"));
        table.add_rows(self.distant.rows("after 20 ms"));
        show::line(table.to_string());
        let mut table = show::table(&["Instances", "KiB each, sandbox", "Native"]);
        for (what, sandboxed, native) in [
            (
                "in use in turn",
                &self.holding.in_use,
                &self.holding.in_use_natively,
            ),
            (
                "without connections",
                &self.holding.idle,
                &self.holding.idle_natively,
            ),
        ] {
            let kibibytes = |resident: &Resident| {
                resident
                    .per_instance()
                    .map_or_else(String::new, |bytes| format!("{:.1}", bytes / KIB))
            };
            table.add_row([what.to_owned(), kibibytes(sandboxed), kibibytes(native)]);
        }
        show::line(table.to_string());
        show_goals(&self.goals());
    }
}

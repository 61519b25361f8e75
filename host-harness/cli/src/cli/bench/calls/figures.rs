//! The figures of single purchases beside their goals: tables for people, JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_bench::Resident;
use serde::Serialize;

use super::super::super::{output, show};
use super::super::measured::{Bound, Goal, GoalReport, Times, build, show_goals};

/// Purchases under way at once. As many idle connections are kept for an instance.
pub(super) const AT_ONCE: usize = 32;

/// Sizes below which a goal is not judged.
const CONNECTIONS_REQUESTS: u32 = 3_000;
const INTERLEAVED_REQUESTS: u32 = 10_000;
const HOLDING_INSTANCES: usize = 1_000;

const KIB: f64 = 1024.0;

/// Figures of single purchases.
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

/// Times of loading the plugin from its file.
pub(super) struct Loading {
    pub(super) cached: Times,
    /// Time of one load with nothing to be found in the cache.
    pub(super) compiled: Duration,
}

/// Times of one purchase, answered from memory.
pub(super) struct Latency {
    pub(super) sandboxed: Times,
    pub(super) native: Times,
    /// Times of what the host does before a call of either kind.
    pub(super) preparing: Times,
}

/// Purchases a second, round by round.
#[derive(Default)]
pub(super) struct Throughput {
    pub(super) sandboxed: Vec<f64>,
    pub(super) native: Vec<f64>,
    pub(super) request_alone: Vec<f64>,
    /// Rates with a new connection for each purchase; empty when they were not measured.
    pub(super) new_connections: Vec<f64>,
}

/// Connections that a round opened on an empty pool.
pub(super) struct Connections {
    pub(super) sandboxed: u64,
    pub(super) native: u64,
}

/// Purchases of two instances in turn on one authority.
pub(super) struct Interleaved {
    pub(super) requests: u32,
    /// Purchases that came by a connection on which the other instance's certificate was presented.
    pub(super) lent: u32,
    /// Requests by certificate, as the upstream saw them.
    pub(super) requests_by_certificate: BTreeMap<String, u64>,
}

/// Memory that a process held.
pub(super) struct Holding {
    pub(super) in_use: Resident,
    pub(super) in_use_natively: Resident,
    /// Memory held after the server has closed the connections.
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
    /// Ratio of the sandboxed rate to that of another kind.
    fn ratio(&self, to: &[f64], of: fn(&[f64]) -> Option<f64>) -> Option<f64> {
        Some(of(&self.sandboxed)? / of(to)?)
    }

    fn report(&self) -> ThroughputReport {
        ThroughputReport {
            sandboxed: RatesReport::of(&self.sandboxed),
            native: RatesReport::of(&self.native),
            request_alone: RatesReport::of(&self.request_alone),
            connection_per_request: RatesReport::of(&self.new_connections),
            ratio: self.ratio(&self.native, best),
            ratio_of_medians: self.ratio(&self.native, median),
            ratio_to_request_alone: self.ratio(&self.request_alone, best),
            times_connection_per_request: self.ratio(&self.new_connections, best),
            times_connection_per_request_of_medians: self.ratio(&self.new_connections, median),
        }
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

/// The figures for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Report {
    build: &'static str,
    requests: u32,
    rounds: u32,
    at_once: usize,
    loading: LoadingReport,
    from_memory: LatencyReport,
    answered_at_once: ThroughputReport,
    #[serde(rename = "answeredAfter20Milliseconds")]
    answered_after_20_milliseconds: ThroughputReport,
    connections_opened: Kinds<u64>,
    interleaved: InterleavedReport,
    resident: ResidentReport,
    goals: Vec<GoalReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadingReport {
    cached: TimesReport,
    compiled_microseconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LatencyReport {
    #[serde(flatten)]
    times: Kinds<TimesReport>,
    beyond_native_median_microseconds: f64,
    beyond_native_best_microseconds: f64,
    preparing: TimesReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThroughputReport {
    sandboxed: RatesReport,
    native: RatesReport,
    request_alone: RatesReport,
    connection_per_request: RatesReport,
    ratio: Option<f64>,
    ratio_of_medians: Option<f64>,
    ratio_to_request_alone: Option<f64>,
    times_connection_per_request: Option<f64>,
    times_connection_per_request_of_medians: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InterleavedReport {
    requests: u32,
    lent: u32,
    requests_by_certificate: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResidentReport {
    in_use: Kinds<HeldReport>,
    idle: Kinds<HeldReport>,
}

/// Figures of one thing in the sandbox and without one.
#[derive(Serialize)]
struct Kinds<T> {
    sandboxed: T,
    native: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RatesReport {
    best_per_second: Option<f64>,
    median_per_second: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimesReport {
    best_microseconds: f64,
    median_microseconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldReport {
    instances: usize,
    first_bytes: u64,
    all_bytes: u64,
    bytes_per_instance: Option<f64>,
}

impl RatesReport {
    fn of(rates: &[f64]) -> Self {
        Self {
            best_per_second: best(rates),
            median_per_second: median(rates),
        }
    }
}

impl From<&Times> for TimesReport {
    fn from(times: &Times) -> Self {
        Self {
            best_microseconds: microseconds(times.best),
            median_microseconds: microseconds(times.median),
        }
    }
}

impl From<&Resident> for HeldReport {
    fn from(resident: &Resident) -> Self {
        Self {
            instances: resident.instances,
            first_bytes: resident.first_bytes,
            all_bytes: resident.all_bytes,
            bytes_per_instance: resident.per_instance(),
        }
    }
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

    /// Figures as programs read them.
    pub(in super::super) fn report(&self) -> Report {
        let (latency, holding) = (&self.latency, &self.holding);
        Report {
            build: build(),
            requests: self.requests,
            rounds: self.rounds,
            at_once: AT_ONCE,
            loading: LoadingReport {
                cached: (&self.loading.cached).into(),
                compiled_microseconds: microseconds(self.loading.compiled),
            },
            from_memory: LatencyReport {
                times: Kinds {
                    sandboxed: (&latency.sandboxed).into(),
                    native: (&latency.native).into(),
                },
                beyond_native_median_microseconds: latency.beyond_native(|times| times.median),
                beyond_native_best_microseconds: latency.beyond_native(|times| times.best),
                preparing: (&latency.preparing).into(),
            },
            answered_at_once: self.near.report(),
            answered_after_20_milliseconds: self.distant.report(),
            connections_opened: Kinds {
                sandboxed: self.connections.sandboxed,
                native: self.connections.native,
            },
            interleaved: InterleavedReport {
                requests: self.interleaved.requests,
                lent: self.interleaved.lent,
                requests_by_certificate: self.interleaved.requests_by_certificate.clone(),
            },
            resident: ResidentReport {
                in_use: Kinds {
                    sandboxed: (&holding.in_use).into(),
                    native: (&holding.in_use_natively).into(),
                },
                idle: Kinds {
                    sandboxed: (&holding.idle).into(),
                    native: (&holding.idle_natively).into(),
                },
            },
            goals: self.goals().iter().map(Goal::report).collect(),
        }
    }

    /// Shows the figures to people, as tables.
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
        output::table(&table);
        let mut table = show::table(&["Upstream answers", "32 at once", "Best per second", "Median"]);
        let rows = [self.near.rows("at once"), self.distant.rows("after 20 ms")];
        rows.into_iter().flatten().for_each(|row| table.add_row(row));
        output::table(&table);
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
        output::table(&table);
        show_goals(&self.goals());
    }
}

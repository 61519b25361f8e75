//! The figures of Get Services Definition beside their goals: a table for people, JSON for programs.

use std::time::Duration;

use bss_bench::Traffic;
use serde::Serialize;

use super::super::super::{output, show};
use super::super::measured::{Bound, Goal, GoalReport, Times, build, show_goals};

/// Ratio of a sandboxed reading's time to its native twin's that is allowed at [`RATIO_OFFERS`].
const RATIO_MAX: f64 = 1.5;
const RATIO_OFFERS: u32 = 10_000;
/// Ratio of an offer's time in a catalog of [`LARGE_OFFERS`] to its time in one of [`RATIO_OFFERS`] that is allowed.
const GROWTH_MAX: f64 = 1.2;
const LARGE_OFFERS: u32 = 100_000;
/// Bytes of memory that a guest may use at [`LARGE_OFFERS`]; the sandbox's limit too.
const GUEST_MEMORY_MAX: f64 = 64.0 * MIB;
/// Seconds that the record may take for [`LARGE_OFFERS`] products: "seconds, not minutes".
const RECORD_MAX: f64 = 10.0;

const MIB: f64 = 1024.0 * 1024.0;

/// Figures of every size that was measured.
pub(in super::super) struct Figures {
    pub(super) sizes: Vec<Size>,
}

/// Figures of a catalog of one size.
pub(super) struct Size {
    pub(super) offers: u32,
    pub(super) products: usize,
    /// Readings of each kind.
    pub(super) rounds: usize,
    pub(super) traffic: Traffic,
    pub(super) guest_memory_bytes: u64,
    pub(super) over_tls: Pair,
    pub(super) from_memory: Pair,
    /// The record's transaction where every product is new.
    pub(super) all_new: Duration,
    /// The record's transaction where no product has changed.
    pub(super) unchanged: Duration,
}

/// Times of a reading in the sandbox and without.
pub(super) struct Pair {
    pub(super) sandboxed: Times,
    pub(super) native: Times,
}

/// The figures for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Report {
    build: &'static str,
    sizes: Vec<SizeReport>,
    goals: Vec<GoalReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SizeReport {
    offers: u32,
    products: usize,
    rounds: usize,
    answers: AnswersReport,
    guest_memory_bytes: u64,
    over_tls: PairReport,
    from_memory: PairReport,
    record: RecordReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswersReport {
    count: usize,
    head_bytes: usize,
    body_bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PairReport {
    sandboxed: TimesReport,
    native: TimesReport,
    ratio: f64,
    ratio_of_medians: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimesReport {
    best_seconds: f64,
    median_seconds: f64,
    microseconds_per_offer: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordReport {
    all_new_seconds: f64,
    unchanged_seconds: f64,
}

impl TimesReport {
    fn of(times: Times, offers: u32) -> Self {
        Self {
            best_seconds: times.best.as_secs_f64(),
            median_seconds: times.median.as_secs_f64(),
            microseconds_per_offer: per_offer(times.best, offers),
        }
    }
}

/// Picks one of a size's two pairs.
type PairOf = fn(&Size) -> &Pair;

impl Pair {
    fn ratio(&self) -> f64 {
        self.sandboxed.best.as_secs_f64() / self.native.best.as_secs_f64()
    }

    fn report(&self, offers: u32) -> PairReport {
        PairReport {
            sandboxed: TimesReport::of(self.sandboxed, offers),
            native: TimesReport::of(self.native, offers),
            ratio: self.ratio(),
            ratio_of_medians: self.sandboxed.median.as_secs_f64() / self.native.median.as_secs_f64(),
        }
    }
}

/// Time per offer, in microseconds.
fn per_offer(took: Duration, offers: u32) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(offers)
}

impl Size {
    fn report(&self) -> SizeReport {
        SizeReport {
            offers: self.offers,
            products: self.products,
            rounds: self.rounds,
            answers: AnswersReport {
                count: self.traffic.answers,
                head_bytes: self.traffic.head_bytes,
                body_bytes: self.traffic.body_bytes,
            },
            guest_memory_bytes: self.guest_memory_bytes,
            over_tls: self.over_tls.report(self.offers),
            from_memory: self.from_memory.report(self.offers),
            record: RecordReport {
                all_new_seconds: self.all_new.as_secs_f64(),
                unchanged_seconds: self.unchanged.as_secs_f64(),
            },
        }
    }

    fn row(&self, way: &str, pair: &Pair) -> [String; 9] {
        [
            self.offers.to_string(),
            way.to_owned(),
            milliseconds(pair.sandboxed.best),
            milliseconds(pair.native.best),
            format!("{:.2}", pair.ratio()),
            format!("{:.2}", per_offer(pair.sandboxed.best, self.offers)),
            mebibytes(self.guest_memory_bytes as f64),
            mebibytes((self.traffic.head_bytes + self.traffic.body_bytes) as f64),
            milliseconds(self.all_new),
        ]
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1e3)
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.2}", bytes / MIB)
}

impl Figures {
    fn size(&self, offers: u32) -> Option<&Size> {
        self.sizes.iter().find(|size| size.offers == offers)
    }

    fn goals(&self) -> [Goal; 6] {
        let (middle, large) = (self.size(RATIO_OFFERS), self.size(LARGE_OFFERS));
        let ratio = |pair: PairOf| middle.map(|size| pair(size).ratio());
        let growth = |pair: PairOf| {
            let [middle, large] =
                [middle?, large?].map(|size| per_offer(pair(size).sandboxed.best, size.offers));
            Some(large / middle)
        };
        let over_tls: PairOf = |size| &size.over_tls;
        let from_memory: PairOf = |size| &size.from_memory;
        let goal = |id, text, max, value| Goal {
            id,
            text,
            bound: Bound::AtMost(max),
            value,
        };
        [
            goal(
                "ratio-over-tls",
                "10,000 offers over TLS: times native",
                RATIO_MAX,
                ratio(over_tls),
            ),
            goal(
                "ratio-from-memory",
                "10,000 offers from memory: times native",
                RATIO_MAX,
                ratio(from_memory),
            ),
            goal(
                "growth-over-tls",
                "an offer of 100,000 over TLS: times one of 10,000",
                GROWTH_MAX,
                growth(over_tls),
            ),
            goal(
                "growth-from-memory",
                "an offer of 100,000 from memory: times one of 10,000",
                GROWTH_MAX,
                growth(from_memory),
            ),
            goal(
                "guest-memory",
                "100,000 offers: bytes of guest memory",
                GUEST_MEMORY_MAX,
                large.map(|size| size.guest_memory_bytes as f64),
            ),
            goal(
                "record",
                "100,000 new products: seconds of one transaction",
                RECORD_MAX,
                large.map(|size| size.all_new.as_secs_f64()),
            ),
        ]
    }

    /// Figures as programs read them.
    pub(in super::super) fn report(&self) -> Report {
        Report {
            build: build(),
            sizes: self.sizes.iter().map(Size::report).collect(),
            goals: self.goals().iter().map(Goal::report).collect(),
        }
    }

    /// Shows the figures to people, as a table.
    pub(in super::super) fn show(&self) {
        let mut table = show::table(&[
            "Offers",
            "Answers",
            "Sandbox ms",
            "Native ms",
            "Ratio",
            "µs per offer",
            "Guest MiB",
            "Answers MiB",
            "Record ms",
        ]);
        for size in &self.sizes {
            table.add_row(size.row("over TLS", &size.over_tls));
            table.add_row(size.row("from memory", &size.from_memory));
        }
        output::table(&table);
        show_goals(&self.goals());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(offers: u32, sandboxed_ms: u64) -> Size {
        let times = |ms| Times::of(vec![Duration::from_millis(ms)]);
        let pair = || Pair {
            sandboxed: times(sandboxed_ms),
            native: times(100),
        };
        Size {
            offers,
            products: 1,
            rounds: 1,
            traffic: Traffic::default(),
            guest_memory_bytes: 64 * 1024 * 1024,
            over_tls: pair(),
            from_memory: pair(),
            all_new: Duration::from_millis(10_001),
            unchanged: Duration::ZERO,
        }
    }

    fn met(figures: &Figures) -> Vec<(&'static str, Option<bool>)> {
        let goals = figures.goals();
        goals.iter().map(|goal| (goal.id, goal.is_met())).collect()
    }

    #[test]
    fn a_goal_is_met_up_to_its_figure_and_missed_beyond() {
        let at_the_limit = Figures {
            sizes: vec![size(10_000, 150), size(100_000, 1_800)],
        };
        assert_eq!(
            met(&at_the_limit),
            [
                ("ratio-over-tls", Some(true)),
                ("ratio-from-memory", Some(true)),
                ("growth-over-tls", Some(true)),
                ("growth-from-memory", Some(true)),
                ("guest-memory", Some(true)),
                ("record", Some(false)),
            ]
        );
        let beyond = Figures {
            sizes: vec![size(10_000, 151), size(100_000, 1_830)],
        };
        assert!(met(&beyond)[..4].iter().all(|(_, met)| *met == Some(false)));
    }

    #[test]
    fn a_goal_whose_size_was_not_measured_is_neither_met_nor_missed() {
        let figures = Figures {
            sizes: vec![size(100, 1)],
        };
        assert!(met(&figures).iter().all(|(_, met)| met.is_none()));
        let report = serde_json::to_value(figures.report()).unwrap();
        assert!(report["goals"][0]["met"].is_null());
    }
}

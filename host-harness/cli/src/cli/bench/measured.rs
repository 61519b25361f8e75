//! Durations of rounds, goals, and what else the machine was doing: shared by all benchmarks.

use super::super::output;
use std::time::Duration;

use serde::Serialize;

use super::super::show;

/// Durations of rounds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// The fastest round. Goals are judged by it unless they name the median: on a machine with other work to do, it is
    /// the nearest to what a round takes.
    pub(super) best: Duration,
    pub(super) median: Duration,
}

impl Times {
    /// Takes the best and the median; of an even number of rounds, the slower of the two in the middle.
    pub(super) fn of(mut rounds: Vec<Duration>) -> Self {
        rounds.sort_unstable();
        Self {
            best: rounds.first().copied().unwrap_or_default(),
            median: rounds.get(rounds.len() / 2).copied().unwrap_or_default(),
        }
    }
}

/// The bound that a figure should keep.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure with a bound.
pub(super) struct Goal {
    pub(super) id: &'static str,
    pub(super) text: &'static str,
    pub(super) bound: Bound,
    /// `None` when the figure was not measured.
    pub(super) value: Option<f64>,
}

impl Goal {
    /// Tells whether the figure keeps its bound. `None` when it was not measured.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.value.map(|value| match self.bound {
            Bound::AtMost(limit) => value <= limit,
            Bound::AtLeast(limit) => value >= limit,
        })
    }

    /// The goal as programs read it.
    pub(super) fn report(&self) -> GoalReport {
        let (max, min) = match self.bound {
            Bound::AtMost(limit) => (Some(limit), None),
            Bound::AtLeast(limit) => (None, Some(limit)),
        };
        GoalReport {
            id: self.id,
            goal: self.text,
            max,
            min,
            value: self.value,
            met: self.is_met(),
        }
    }
}

/// A goal for programs: `max` or `min` is its bound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GoalReport {
    id: &'static str,
    goal: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    value: Option<f64>,
    met: Option<bool>,
}

/// Shows goals beside what was reached.
pub(super) fn show_goals(goals: &[Goal]) {
    let mut table = show::table(&["Goal", "To be", "Is", ""]);
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtMost(limit) => format!("at most {limit:.2}"),
            Bound::AtLeast(limit) => format!("at least {limit:.2}"),
        };
        let (value, met) = match (goal.value, goal.is_met()) {
            (Some(value), Some(true)) => (format!("{value:.2}"), "met"),
            (Some(value), _) => (format!("{value:.2}"), "not met"),
            (None, _) => (String::new(), "not measured"),
        };
        table.add_row([goal.text, &bound, &value, met]);
    }
    output::table(&table);
}

/// Load of the machine around the measuring.
pub(super) struct Machine {
    load_before: Option<f64>,
}

impl Machine {
    /// Notes the load. Call it before anything is measured.
    pub(super) fn at_first() -> Self {
        Self { load_before: load() }
    }

    /// Reports the processors and the load before and now. Call it when all has been measured.
    pub(super) fn report(&self) -> MachineReport {
        MachineReport {
            processors: std::thread::available_parallelism().map(usize::from).ok(),
            load_before: self.load_before,
            load_after: load(),
        }
    }
}

/// The machine for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineReport {
    processors: Option<usize>,
    load_before: Option<f64>,
    load_after: Option<f64>,
}

/// Processes that ran or waited for a processor, on average over the last minute. `None` when the system does not tell.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The build that measures, as JSON has it.
pub(super) fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_best_nor_the_median_is_moved_by_one_slow_round() {
        let times = Times::of([3, 900, 1].map(Duration::from_secs).to_vec());
        assert_eq!(
            (times.best, times.median),
            (Duration::from_secs(1), Duration::from_secs(3))
        );
    }

    #[test]
    fn a_goal_is_met_up_to_its_bound_and_missed_beyond() {
        let met = |bound, value| {
            let goal = Goal {
                id: "",
                text: "",
                bound,
                value,
            };
            goal.is_met()
        };
        assert_eq!(met(Bound::AtMost(1.5), Some(1.5)), Some(true));
        assert_eq!(met(Bound::AtMost(1.5), Some(1.51)), Some(false));
        assert_eq!(met(Bound::AtLeast(0.6), Some(0.6)), Some(true));
        assert_eq!(met(Bound::AtLeast(0.6), Some(0.59)), Some(false));
        assert_eq!(met(Bound::AtLeast(0.6), None), None);
    }
}

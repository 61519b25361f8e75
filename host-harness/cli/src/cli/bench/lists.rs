//! Measures what an operator looks at, in a record of many licenses.

use std::path::Path;

use bss_bench::{BenchError, Looks, ServerRecord, Site};
use serde::Serialize;

use super::super::{output, show};
use super::measured::{Bound, Goal, GoalReport, Times, build, show_goals};

/// The longest that anything takes, in milliseconds.
const GOAL_MS: f64 = 100.0;

/// The licenses with which the goal is to be met, and which are bought where no other number is given.
pub(super) const LICENSES: u32 = 20_000;

/// The most licenses that are all bought.
const BOUGHT_ALL: u32 = LICENSES;
/// How many are bought of more, whose others are their copies.
const BOUGHT_OF_MORE: u32 = 2_000;

/// Rounds whose median is shown.
const ROUNDS: usize = 7;

/// How long each look took.
pub(super) struct Figures {
    licenses: u32,
    looks: Vec<(&'static str, Times)>,
}

/// Buys licenses, and looks at them.
pub(super) async fn measure(
    plugin: &Path,
    licenses: u32,
    server: Option<ServerRecord>,
) -> Result<Figures, BenchError> {
    let mut site = Site::start(plugin).await?;
    site.sell().await?;
    let bought = match licenses <= BOUGHT_ALL {
        true => licenses,
        false => BOUGHT_OF_MORE,
    };
    output::note(format!("buying {bought} licenses"));
    site.buy_for_customers(bought).await?;
    let copies = licenses / bought - 1;
    let licenses = bought * (copies + 1);
    if copies > 0 || server.is_some() {
        output::note(format!("copying them to {licenses}"));
        site = site.multiply(copies.into(), server).await?;
    }
    output::note(format!("looking at them, {ROUNDS} rounds"));
    let mut looks: Looks = site.look(ROUNDS).await?;
    looks.extend(site.look_at_pages(ROUNDS).await?);
    site.stop().await;
    let looks = looks.into_iter().map(|(what, times)| (what, Times::of(times)));
    Ok(Figures {
        licenses,
        looks: looks.collect(),
    })
}

/// The figures for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    build: &'static str,
    licenses: u32,
    rows: Vec<RowReport>,
    goals: [GoalReport; 1],
}

/// A row for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowReport {
    what: &'static str,
    median_ms: f64,
}

impl Figures {
    fn goal(&self) -> Goal {
        let slowest = self
            .looks
            .iter()
            .map(|(_, times)| milliseconds(times))
            .reduce(f64::max);
        Goal {
            id: "slowest-look-at-20000-licenses",
            text: "the slowest of these with 20,000 licenses, in ms",
            bound: Bound::AtMost(GOAL_MS),
            value: slowest.filter(|_| self.licenses >= LICENSES),
        }
    }

    /// Figures as programs read them.
    pub(super) fn report(&self) -> Report {
        let row = |(what, times): &(&'static str, Times)| RowReport {
            what,
            median_ms: milliseconds(times),
        };
        Report {
            build: build(),
            licenses: self.licenses,
            rows: self.looks.iter().map(row).collect(),
            goals: [self.goal().report()],
        }
    }

    /// Shows the figures to people, as a table.
    pub(super) fn show(&self) {
        let mut table = show::table(&["What", "Median, ms"]);
        for (what, times) in &self.looks {
            table.add_row([(*what).to_owned(), format!("{:.1}", milliseconds(times))]);
        }
        output::table(&table);
        show_goals(&[self.goal()]);
    }
}

fn milliseconds(times: &Times) -> f64 {
    times.median.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_goal_is_about_the_slowest_look_at_enough_licenses() {
        let met = |licenses, ms: [u64; 2]| {
            let look = |ms| ("", Times::of(vec![Duration::from_millis(ms)]));
            let looks = ms.map(look).into();
            Figures { licenses, looks }.goal().is_met()
        };
        assert_eq!(met(20_000, [1, 100]), Some(true));
        assert_eq!(met(20_000, [101, 1]), Some(false));
        assert_eq!(met(19_999, [1, 1]), None);
    }
}

//! Measures order lines: bought by the worker with its record, and by the plugin alone, taking turns.

use std::path::Path;
use std::time::Duration;

use bss_bench::{BenchError, Site};
use clap::Args;
use serde::Serialize;

use super::super::{output, show};
use super::measured::{Bound, Goal, GoalReport, build};
use super::server::ServerArguments;

/// Lines a second that the record must not stand in the way of, at [`GOAL_AT_ONCE`].
const GOAL: f64 = 500.0;
const GOAL_AT_ONCE: usize = 64;

/// Rounds whose median is shown. Machines are noisy, and one slow flush of a disk is no figure.
const ROUNDS: usize = 3;

/// Sizes that are measured unless others are named.
const LINES: u32 = 2_000;
const LINES_AT_ONCE: [usize; 3] = [1, 8, 64];
const HOSTS: [u32; 1] = [1];

#[derive(Debug, Args)]
pub(super) struct OrdersArguments {
    /// How many lines an order has; each is a license
    #[arg(long, value_name = "N", default_value_t = LINES, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) lines: u32,
    /// How many licenses are bought at once
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = LINES_AT_ONCE)]
    pub(super) at_once: Vec<usize>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
    /// How many hosts buy at once, with a record on a server
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = HOSTS, requires = "server",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) hosts: Vec<u32>,
}

impl Default for OrdersArguments {
    fn default() -> Self {
        Self {
            lines: LINES,
            at_once: LINES_AT_ONCE.to_vec(),
            server: ServerArguments::default(),
            hosts: HOSTS.to_vec(),
        }
    }
}

/// Figures of order lines.
pub(super) struct Figures {
    lines: u32,
    rows: Vec<Row>,
}

/// Lines a second, measured with so many at once.
struct Row {
    at_once: usize,
    hosts: u32,
    worker: f64,
    plugin: f64,
    turns: Option<Turns>,
}

/// Turns at writing to a record on a server.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Turns {
    /// The part of the time in which one of the hosts held the turn, with that of placing the order.
    share: f64,
    per_line: f64,
}

/// Measures every number at once in turn.
pub(super) async fn measure(plugin: &Path, asked: &OrdersArguments) -> Result<Figures, BenchError> {
    let mut site = Site::start_on(asked.server.record()?, plugin).await?;
    site.sell().await?;
    // Opens connections and gets the access token.
    site.buy_by_plugin(8, 8).await?;
    let mut rows = Vec::new();
    for &hosts in &asked.hosts {
        site.share(hosts as usize).await?;
        for &at_once in &asked.at_once {
            rows.push(row(&site, asked.lines, at_once, hosts).await?);
        }
    }
    site.stop().await;
    Ok(Figures {
        lines: asked.lines,
        rows,
    })
}

async fn row(site: &Site, lines: u32, at_once: usize, hosts: u32) -> Result<Row, BenchError> {
    output::note(format!(
        "measuring {lines} lines, {at_once} at once, {hosts} {}, {ROUNDS} rounds",
        if hosts == 1 { "host" } else { "hosts" }
    ));
    let (mut worker, mut plugin) = (Vec::new(), Vec::new());
    let (mut took, mut turns, mut held) = (Duration::ZERO, 0, Duration::ZERO);
    for _ in 0..ROUNDS {
        let before = site.turns().unwrap_or_default();
        let by_worker = site.buy_by_worker(lines, at_once).await?;
        let after = site.turns().unwrap_or_default();
        took += by_worker;
        turns += after.0 - before.0;
        held += after.1.saturating_sub(before.1);
        worker.push(per_second(lines, by_worker));
        plugin.push(per_second(lines, site.buy_by_plugin(lines, at_once).await?));
    }
    let lines = f64::from(lines) * f64::from(u32::try_from(ROUNDS).unwrap_or(u32::MAX));
    Ok(Row {
        at_once,
        hosts,
        worker: median(worker),
        plugin: median(plugin),
        turns: site.turns().map(|_| Turns {
            share: held.as_secs_f64() / took.as_secs_f64(),
            per_line: u32::try_from(turns).map_or(f64::MAX, f64::from) / lines,
        }),
    })
}

fn per_second(lines: u32, took: Duration) -> f64 {
    f64::from(lines) / took.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The figures for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    build: &'static str,
    lines: u32,
    rows: Vec<RowReport>,
    goals: [GoalReport; 1],
}

/// A row for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowReport {
    at_once: usize,
    hosts: u32,
    worker_lines_per_second: f64,
    plugin_lines_per_second: f64,
    ratio: f64,
    /// `null`: the record is in a file.
    turns: Option<Turns>,
}

impl From<&Row> for RowReport {
    fn from(row: &Row) -> Self {
        Self {
            at_once: row.at_once,
            hosts: row.hosts,
            worker_lines_per_second: row.worker,
            plugin_lines_per_second: row.plugin,
            ratio: row.worker / row.plugin,
            turns: row.turns,
        }
    }
}

impl Figures {
    fn goal(&self) -> Goal {
        let row = self
            .rows
            .iter()
            .find(|row| row.at_once == GOAL_AT_ONCE && row.hosts == 1);
        Goal {
            id: "lines-per-second-at-64",
            text: "order lines a second by the worker, 64 at once",
            bound: Bound::AtLeast(GOAL),
            value: row.map(|row| row.worker),
        }
    }

    /// Figures as programs read them.
    pub(super) fn report(&self) -> Report {
        Report {
            build: build(),
            lines: self.lines,
            rows: self.rows.iter().map(RowReport::from).collect(),
            goals: [self.goal().report()],
        }
    }

    /// Shows the figures to people, as tables.
    pub(super) fn show(&self) {
        let mut table = show::table(&[
            "At once",
            "Hosts",
            "Worker, lines/s",
            "Plugin alone, lines/s",
            "Ratio",
            "Turn held",
            "Turns a line",
        ]);
        for row in &self.rows {
            let turns = |show: fn(Turns) -> String| row.turns.map_or_else(|| "-".to_owned(), show);
            table.add_row([
                row.at_once.to_string(),
                row.hosts.to_string(),
                format!("{:.0}", row.worker),
                format!("{:.0}", row.plugin),
                format!("{:.2}", row.worker / row.plugin),
                turns(|turns| format!("{:.0} %", turns.share * 100.0)),
                turns(|turns| format!("{:.2}", turns.per_line)),
            ]);
        }
        output::table(&table);
        output::line(format!(
            "goal: at least {GOAL:.0} lines a second with {GOAL_AT_ONCE} at once: {}",
            match self.goal().is_met() {
                Some(true) => "met",
                Some(false) => "not met",
                None => "not measured",
            }
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_about_the_worker_with_64_at_once() {
        let row = |at_once, worker| Row {
            at_once,
            hosts: 1,
            worker,
            plugin: 1.0,
            turns: None,
        };
        let met = |rows| Figures { lines: 1, rows }.goal().is_met();
        assert_eq!(met(vec![row(64, 500.0), row(8, 1.0)]), Some(true));
        assert_eq!(met(vec![row(64, 499.9), row(8, 900.0)]), Some(false));
        assert_eq!(met(vec![row(8, 900.0)]), None);
    }

    #[test]
    fn the_median_is_not_moved_by_one_slow_round() {
        assert!((median(vec![3.0, 0.1, 4.0]) - 3.0).abs() < f64::EPSILON);
    }
}

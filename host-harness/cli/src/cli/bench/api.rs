//! Measures the API: reads beside an axum handler that only answers, and orders beside the command, with the worker busy.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bss_bench::{ApiSite, BenchError, Load, Site};
use serde::Serialize;

use super::super::{output, show};
use super::measured::{Bound, Goal, GoalReport, build, show_goals};
use super::program::this_program;

/// The clients that ask at once.
pub(super) const CLIENTS: [u32; 3] = [1, 32, 256];

/// Reads of each round, by all clients together.
pub(super) const READS: u32 = 5_120;

/// Orders of each round, by all clients together.
pub(super) const ORDERS: u32 = 512;

/// The times that the command is run.
const COMMANDS: u32 = 5;

/// The least part of a bare handler's reads that the API reaches.
const READS_GOAL: f64 = 0.5;

/// The longest that the acceptance of an order takes, in milliseconds, for 99 of 100.
const ORDER_GOAL_MS: f64 = 10.0;

/// What so many clients reached.
struct Row {
    clients: u32,
    reads: Load,
    bare_reads: Load,
    orders: Load,
}

/// How long requests took, and the command.
pub(super) struct Figures {
    rows: Vec<Row>,
    command: Duration,
}

/// Serves the API, and asks it.
pub(super) async fn measure(
    plugin: &Path,
    clients: &[u32],
    reads: u32,
    orders: u32,
) -> Result<Figures, BenchError> {
    let site = Site::start(plugin).await?;
    site.sell().await?;
    site.buy_for_customers(1).await?;
    let api = site.serve().await?;
    let mut rows = Vec::new();
    for &clients in clients {
        output::note(format!("{clients} clients at once"));
        rows.push(row(&site, &api, clients, reads, orders).await?);
    }
    let command = command(&site).await?;
    drop(api);
    site.stop().await;
    Ok(Figures { rows, command })
}

async fn row(site: &Site, api: &ApiSite, clients: u32, reads: u32, orders: u32) -> Result<Row, BenchError> {
    let each = |requests: u32| requests.div_ceil(clients);
    // Two rounds by turns, of which the second counts: connections, caches and the machine are warm then.
    let mut measured = None;
    for _ in 0..2 {
        let bare = api.bare_reads(clients, each(reads)).await?;
        measured = Some((bare, api.reads(clients, each(reads)).await?));
    }
    let (bare_reads, reads) = measured.ok_or_else(|| BenchError::unusable("nothing was measured"))?;
    let series = format!("by-{clients}");
    let orders = site.at_work(api.orders(&series, clients, each(orders))).await?;
    Ok(Row {
        clients,
        reads,
        bare_reads,
        orders,
    })
}

/// How long the command takes that places an order, in the middle of its runs.
async fn command(site: &Site) -> Result<Duration, BenchError> {
    let data_dir = site.data_dir();
    let product = site.product()?;
    let mut times = Vec::new();
    for number in 0..COMMANDS {
        let key = format!("by-command-{number}");
        let mut command = this_program(&["order", "place", site.instance_name(), "--offer", &product])?;
        command
            .args(["--customer", "C-1", "--customer-name", "Customer"])
            .args(["--customer-country", "DE", "--customer-email", "it@bench.test"])
            .args(["--idempotency-key", &key])
            .arg("--data-dir")
            .arg(&data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let begun = Instant::now();
        let ended = tokio::task::spawn_blocking(move || command.output()).await;
        let took = begun.elapsed();
        let ended = ended.map_err(|error| BenchError::unusable(error.to_string()))?;
        match ended {
            Ok(ended) if ended.status.success() => times.push(took),
            Ok(ended) => {
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                return Err(BenchError::unusable(said));
            }
            Err(error) => return Err(BenchError::unusable(error.to_string())),
        }
    }
    Ok(part_of(&times, 0.5))
}

/// The time within which a part of requests were answered.
fn part_of(times: &[Duration], part: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the place in a list of some thousand"
    )]
    let place = ((sorted.len() as f64 * part).ceil() as usize).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn per_second(load: &Load) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousand requests")]
    let requests = load.requests.len() as f64;
    requests / load.took.as_secs_f64()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The figures for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    build: &'static str,
    rows: Vec<RowReport>,
    command_ms: f64,
    goals: [GoalReport; 2],
}

/// A row for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowReport {
    clients: u32,
    reads: LoadReport,
    bare_reads: LoadReport,
    orders: LoadReport,
}

/// Requests of a kind for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadReport {
    per_second: f64,
    median_ms: f64,
    p99_ms: f64,
}

impl From<&Load> for LoadReport {
    fn from(load: &Load) -> Self {
        Self {
            per_second: per_second(load),
            median_ms: milliseconds(part_of(&load.requests, 0.5)),
            p99_ms: milliseconds(part_of(&load.requests, 0.99)),
        }
    }
}

impl Figures {
    fn goals(&self) -> [Goal; 2] {
        let ratios = self.rows.iter();
        let ratio = ratios
            .map(|row| per_second(&row.reads) / per_second(&row.bare_reads))
            .reduce(f64::min);
        // More clients than orders a second can be written wait for one another: what one of them waits is said by the first row.
        let one_by_one = self.rows.iter().find(|row| row.clients == 1);
        let enough = one_by_one.filter(|row| row.orders.requests.len() >= ORDERS as usize);
        [
            Goal {
                id: "reads-beside-bare-axum",
                text: "the fewest reads a second, as a part of a bare axum handler's",
                bound: Bound::AtLeast(READS_GOAL),
                value: ratio,
            },
            Goal {
                id: "order-accepted-p99",
                text: "an order's acceptance, 99 of 100, one client and the worker busy, in ms",
                bound: Bound::AtMost(ORDER_GOAL_MS),
                value: enough.map(|row| milliseconds(part_of(&row.orders.requests, 0.99))),
            },
        ]
    }

    /// Figures as programs read them.
    pub(super) fn report(&self) -> Report {
        let row = |row: &Row| RowReport {
            clients: row.clients,
            reads: LoadReport::from(&row.reads),
            bare_reads: LoadReport::from(&row.bare_reads),
            orders: LoadReport::from(&row.orders),
        };
        Report {
            build: build(),
            rows: self.rows.iter().map(row).collect(),
            command_ms: milliseconds(self.command),
            goals: self.goals().map(|goal| goal.report()),
        }
    }

    /// Shows the figures to people, as a table.
    pub(super) fn show(&self) {
        let columns = ["Clients", "Request", "A second", "Median, ms", "99 of 100, ms"];
        let mut table = show::table(&columns);
        for row in &self.rows {
            for (what, load) in [
                ("read an order", &row.reads),
                ("the same from a bare axum handler", &row.bare_reads),
                ("place an order, the worker busy", &row.orders),
            ] {
                let figures = LoadReport::from(load);
                table.add_row([
                    row.clients.to_string(),
                    what.to_owned(),
                    format!("{:.0}", figures.per_second),
                    format!("{:.2}", figures.median_ms),
                    format!("{:.2}", figures.p99_ms),
                ]);
            }
        }
        output::table(&table);
        output::note(format!(
            "`bss-host order place` takes {:.0} ms",
            milliseconds(self.command)
        ));
        show_goals(&self.goals());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(ms: &[u64], took_ms: u64) -> Load {
        Load {
            took: Duration::from_millis(took_ms),
            requests: ms.iter().copied().map(Duration::from_millis).collect(),
        }
    }

    #[test]
    fn the_goals_are_about_the_worst_ratio_and_the_slowest_of_a_hundred_orders() {
        let met = |reads_took: u64, slowest: u64| {
            let mut orders = vec![1; ORDERS as usize];
            // More than one of a hundred.
            orders[..10].fill(slowest);
            let row = |clients, took| Row {
                clients,
                reads: load(&[1; 100], took),
                bare_reads: load(&[1; 100], 100),
                orders: load(&orders, 1_000),
            };
            let figures = Figures {
                rows: vec![row(1, 100), row(32, reads_took)],
                command: Duration::ZERO,
            };
            figures.goals().map(|goal| goal.is_met())
        };
        assert_eq!(met(200, 10), [Some(true), Some(true)]);
        assert_eq!(met(201, 10), [Some(false), Some(true)]);
        assert_eq!(met(200, 11), [Some(true), Some(false)]);
        let few = Figures {
            rows: vec![Row {
                clients: 1,
                reads: load(&[1], 1),
                bare_reads: load(&[1], 1),
                orders: load(&[1], 1),
            }],
            command: Duration::ZERO,
        };
        assert_eq!(few.goals()[1].is_met(), None);
    }

    #[test]
    fn ninety_nine_of_a_hundred_are_answered_within_the_ninety_ninth() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(part_of(&times, 0.99), Duration::from_millis(99));
        assert_eq!(part_of(&times, 0.5), Duration::from_millis(50));
        assert_eq!(part_of(&[], 0.5), Duration::ZERO);
    }
}

//! `bss-host bench`: how long calls of a plugin, its work, an operator's lists and requests to the API take, beside the goals.

mod api;
mod calls;
mod lists;
mod measured;
mod orders;
mod plot;
mod program;
mod server;
mod services;
mod upstream;

use std::path::{Path, PathBuf};

use bss_bench::BenchError;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::exit_status::ExitStatus;
use super::failure::{Outcome, machine_failure, unwritable};
use super::files::write_whole;
use super::output;
use api::{CLIENTS, ORDERS, READS};
use calls::CallsArguments;
use lists::LICENSES;
use measured::{Machine, build};
use orders::OrdersArguments;
use server::ServerArguments;

/// What to measure.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArguments {
    /// Benchmark to run; without it, all of them in one run
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// Draw the figures into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Use small sizes and few rounds, to see whether the benchmarks work, not how fast the plugin is
    #[arg(long)]
    quick: bool,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Get Services Definition, over TLS to a temporary simulator and from memory
    Services(ServicesArguments),
    /// Order lines over TLS to a temporary simulator: by the worker with its record, and by the plugin alone
    Orders(OrdersArguments),
    /// Single purchases over mutual TLS to a minimal server, and the memory that instances hold
    Calls(CallsArguments),
    /// What an operator looks at in a record of many licenses: finding, filtered lists, the status
    Lists(ListsArguments),
    /// Requests to the API by many clients at once: reads beside a bare axum handler, orders beside the command
    Api(ApiArguments),
    /// Be the upstream of a benchmark
    #[command(hide = true)]
    Upstream,
    /// Call for all instances of a data directory in turn
    #[command(hide = true)]
    InTurn {
        /// Without a sandbox
        #[arg(long)]
        native: bool,
    },
}

#[derive(Debug, Args)]
struct ListsArguments {
    /// The number of licenses; of more than 20,000, the first 2,000 are bought and copied within the record
    #[arg(long, value_name = "N", default_value_t = LICENSES, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    licenses: u32,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Debug, Args)]
struct ApiArguments {
    /// How many clients ask at once
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = CLIENTS,
          value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: Vec<u32>,
    /// How often they read, all together
    #[arg(long, value_name = "N", default_value_t = READS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    reads: u32,
    /// How many orders they place, all together
    #[arg(long, value_name = "N", default_value_t = ORDERS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    orders: u32,
}

#[derive(Debug, Args)]
struct ServicesArguments {
    /// Sizes of the catalog, in products
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = OFFERS,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    offers: Vec<u32>,
}

/// Sizes that the commands measure unless they are told others.
const OFFERS: [u32; 4] = [100, 1_000, 10_000, 100_000];

/// Sizes of a run of everything.
struct Sizes {
    services: ServicesArguments,
    orders: OrdersArguments,
    lists: ListsArguments,
    calls: CallsArguments,
    api: ApiArguments,
}

impl Sizes {
    /// Sizes that the commands measure unless they are told others.
    fn full() -> Self {
        Self {
            services: ServicesArguments {
                offers: OFFERS.to_vec(),
            },
            orders: OrdersArguments::default(),
            lists: ListsArguments {
                licenses: LICENSES,
                server: ServerArguments::default(),
            },
            calls: CallsArguments::default(),
            api: ApiArguments {
                clients: CLIENTS.to_vec(),
                reads: READS,
                orders: ORDERS,
            },
        }
    }

    fn quick() -> Self {
        Self {
            services: ServicesArguments { offers: vec![100] },
            orders: OrdersArguments {
                lines: 20,
                at_once: vec![4],
                ..OrdersArguments::default()
            },
            lists: ListsArguments {
                licenses: 20,
                server: ServerArguments::default(),
            },
            calls: CallsArguments {
                requests: 40,
                rounds: 1,
                interleaved: 40,
                instances: 4,
            },
            api: ApiArguments {
                clients: vec![1, 4],
                reads: 20,
                orders: 8,
            },
        }
    }
}

/// Measures, and shows the figures beside the goals.
pub(super) async fn run(data_dir: &Path, plugin: &Path, arguments: &BenchArguments, json: bool) -> Outcome {
    let machine = Machine::at_first();
    let mut figures = match &arguments.command {
        Some(BenchCommand::Upstream) => {
            return upstream::run()
                .await
                .map(|()| ExitStatus::Done)
                .map_err(machine_failure);
        }
        Some(BenchCommand::InTurn { native }) => {
            let ran = calls::run_in_turn(data_dir, plugin, *native).await;
            return ran.map(|()| ExitStatus::Done).map_err(machine_failure);
        }
        command => {
            warn_of_debug();
            match command {
                Some(BenchCommand::Services(arguments)) => services(plugin, arguments, json).await,
                Some(BenchCommand::Orders(arguments)) => orders(plugin, arguments, json).await,
                Some(BenchCommand::Lists(arguments)) => lists(plugin, arguments, json).await,
                Some(BenchCommand::Api(arguments)) => api(plugin, arguments, json).await,
                Some(BenchCommand::Calls(arguments)) => calls(plugin, arguments, json).await,
                _ if arguments.quick => all(plugin, &Sizes::quick(), json).await,
                _ => all(plugin, &Sizes::full(), json).await,
            }
        }
    }
    .map_err(machine_failure)?;
    if let Some(fields) = figures.as_object_mut() {
        let machine = value(&machine.report()).map_err(machine_failure)?;
        fields.insert("machine".to_owned(), machine);
    }
    if json {
        output::line(figures.to_string());
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::svg(&figures).map_err(BenchError::unusable);
        let written = write_whole(file, svg.map_err(machine_failure)?.as_bytes());
        written.map_err(|error| unwritable(file, &error))?;
    }
    Ok(ExitStatus::Done)
}

fn warn_of_debug() {
    if cfg!(debug_assertions) {
        output::note(
            "warning: this program is a debug build; only figures of a release build are meaningful",
        );
    }
}

/// Figures of a run of everything, as programs read them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    build: &'static str,
    calls: Value,
    services: Value,
    orders: Value,
    lists: Value,
    api: Value,
}

async fn all(plugin: &Path, sizes: &Sizes, json: bool) -> Result<Value, BenchError> {
    value(&Report {
        build: build(),
        calls: calls(plugin, &sizes.calls, json).await?,
        services: services(plugin, &sizes.services, json).await?,
        orders: orders(plugin, &sizes.orders, json).await?,
        lists: lists(plugin, &sizes.lists, json).await?,
        api: api(plugin, &sizes.api, json).await?,
    })
}

/// A report as JSON, to be drawn and printed.
fn value(report: &impl Serialize) -> Result<Value, BenchError> {
    serde_json::to_value(report).map_err(|error| BenchError::unusable(error.to_string()))
}

async fn services(plugin: &Path, arguments: &ServicesArguments, json: bool) -> Result<Value, BenchError> {
    let figures = services::measure(plugin, &arguments.offers).await?;
    if !json {
        figures.show();
    }
    value(&figures.report())
}

async fn orders(plugin: &Path, arguments: &OrdersArguments, json: bool) -> Result<Value, BenchError> {
    let figures = orders::measure(plugin, arguments).await?;
    if !json {
        figures.show();
    }
    value(&figures.report())
}

async fn lists(plugin: &Path, arguments: &ListsArguments, json: bool) -> Result<Value, BenchError> {
    let figures = lists::measure(plugin, arguments.licenses, arguments.server.record()?).await?;
    if !json {
        figures.show();
    }
    value(&figures.report())
}

async fn api(plugin: &Path, arguments: &ApiArguments, json: bool) -> Result<Value, BenchError> {
    let figures = api::measure(plugin, &arguments.clients, arguments.reads, arguments.orders).await?;
    if !json {
        figures.show();
    }
    value(&figures.report())
}

async fn calls(plugin: &Path, arguments: &CallsArguments, json: bool) -> Result<Value, BenchError> {
    let figures = calls::measure(plugin, arguments).await?;
    if !json {
        figures.show();
    }
    value(&figures.report())
}

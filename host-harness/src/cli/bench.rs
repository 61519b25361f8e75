//! `bss-host bench`: what a plugin costs in its sandbox, beside the same code without one.

mod figures;
mod orders;
mod services;

use std::path::Path;

use clap::{Args, Subcommand};
use host_harness::bench::BenchError;

use super::Ending;
use super::commands::{Outcome, no_answer};
use super::show;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Get Services Definition, over TLS to a simulator of its own and from memory
    Services(ServicesArguments),
    /// Order lines over TLS to a simulator of its own: by the worker with its record, and by the plugin alone
    Orders(OrdersArguments),
}

#[derive(Debug, Args)]
pub(super) struct OrdersArguments {
    /// How many lines an order has; each is a license
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    lines: u32,
    /// How many are bought at once
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 8, 64])]
    at_once: Vec<usize>,
}

#[derive(Debug, Args)]
pub(super) struct ServicesArguments {
    /// Sizes of the catalog
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [100, 1_000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    offers: Vec<u32>,
}

/// Measures, and shows the figures beside the goals.
pub(super) async fn run(plugin: &Path, command: &BenchCommand, json: bool) -> Outcome {
    if cfg!(debug_assertions) {
        show::note("warning: this program is a debug build; only figures of a release build say anything");
    }
    match command {
        BenchCommand::Services(arguments) => {
            let figures = services::measure(plugin, &arguments.offers)
                .await
                .map_err(failure)?;
            if json {
                show::line(figures.json().to_string());
            } else {
                figures.show();
            }
        }
        BenchCommand::Orders(arguments) => {
            let figures = orders::measure(plugin, arguments.lines, &arguments.at_once)
                .await
                .map_err(failure)?;
            if json {
                show::line(figures.json().to_string());
            } else {
                figures.show();
            }
        }
    }
    Ok(Ending::Done)
}

fn failure(error: BenchError) -> show::Failure {
    no_answer(error)
}

//! The command line's arguments, and the help that explains them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use host_harness::LOOK_UP_ONLY;

use super::assets::AssetCommand;
use super::bench::BenchArguments;
use super::certificates::CertificateCommand;
use super::demo::DemoArguments;
use super::instances::InstanceCommand;
use super::invoices::InvoiceCommand;
use super::mail::MailCommand;
use super::orders::OrderCommand;
use super::plugins::PluginCommand;
use super::prerequisites::PrerequisitesArguments;
use super::products::ProductCommand;
use super::replay::ReplayArguments;
use super::services::ServicesCommand;
use super::simulator::SimulatorArguments;
use super::trace::TraceArguments;
use super::worker::WorkerArguments;

/// The host of service-manager plugins: configure an instance, fetch its services, order licenses.
#[derive(Debug, Parser)]
#[command(
    name = "bss-host",
    version,
    after_help = "Exit codes: 0 done, 1 refused, 2 usage, 3 no answer that settles it.\n\
                  Results go to the standard output, everything else to the standard error."
)]
pub(super) struct Arguments {
    /// Where the host keeps its record, certificates and key
    #[arg(
        long,
        global = true,
        env = "BSS_DATA_DIR",
        default_value = "bss-data",
        value_name = "DIR"
    )]
    pub(super) data_dir: PathBuf,
    /// The plugin, a WebAssembly component [default: microsoft_esd.wasm beside this program, or as `cargo xtask build` makes it]
    #[arg(long, global = true, env = "BSS_PLUGIN", value_name = "FILE")]
    pub(super) plugin: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// How long a purchase without an answer is only looked up, before it is sent again: longer than the vendor may take over it
    #[arg(long, global = true, env = "BSS_LOOK_UP_ONLY", default_value_t = LOOK_UP_ONLY.as_secs(), value_name = "SECONDS")]
    pub(super) look_up_only: u64,
    /// Say more on the standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Write down what passes between the plugin and its vendor, without secrets, for `replay`
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Send the spans of calls to an OpenTelemetry collector, as in `http://localhost:4318`
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub(super) otlp: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    OnHost(HostCommand),
    /// Play a recording back to the plugin, and say where it asks for something else; reaches nobody
    Replay(ReplayArguments),
    /// Check a certificate, its hostname and the hostname's CNAME record, before anything is installed
    Prerequisites(PrerequisitesArguments),
    /// Run the simulator of Microsoft until it is interrupted; prints one JSON line when it is ready
    Simulator(SimulatorArguments),
    /// Measure what a plugin costs in its sandbox, beside the same code without one
    Bench(BenchArguments),
    /// Show the whole way, from a PFX file to licenses, against a simulator of its own
    Demo(DemoArguments),
}

/// Commands that open a host: its record is in the data directory, and its plugin may be called.
#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// Certificates installed on the host
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// The plugin that may run
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Instances of the plugin, and their settings
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Get Services Definition: what can be sold
    #[command(subcommand)]
    Services(ServicesCommand),
    /// What is sold, and at what price
    #[command(subcommand)]
    Product(ProductCommand),
    /// Work in the background until it is interrupted: buy what was ordered, return licenses, send e-mails, read catalogs
    Run(WorkerArguments),
    /// Orders
    #[command(subcommand)]
    Order(OrderCommand),
    /// Licenses that were bought
    #[command(subcommand)]
    Asset(AssetCommand),
    /// What was charged for licenses
    #[command(subcommand)]
    Invoice(InvoiceCommand),
    /// E-mails to customers, and how they are sent
    #[command(subcommand)]
    Mail(MailCommand),
    /// Show a call of the plugin as a tree with times, or the last calls
    Trace(TraceArguments),
}

impl Command {
    /// Tells whether the command opens a host.
    pub(super) fn opens_host(&self) -> bool {
        matches!(self, Self::OnHost(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}

//! The command line's arguments, and the help that explains them.

use std::convert::Infallible;
use std::path::PathBuf;

use bss_model::{Owner, Secret};
use clap::{Parser, Subcommand, ValueEnum};

use super::alerts::AlertCommand;
use super::api_clients::ApiClientCommand;
use super::assets::AssetCommand;
use super::audit::AuditCommand;
use super::bench::BenchArguments;
use super::certificates::CertificateCommand;
use super::charges::{ChargeCommand, CreditCommand};
use super::completions::ShellName;
use super::config::ConfigCommand;
use super::customers::CustomerCommand;
use super::demo::DemoArguments;
use super::failure::parsed;
use super::find::FindArguments;
use super::host_keys::KeyCommand;
use super::init::InitArguments;
use super::instances::InstanceCommand;
use super::mail::MailCommand;
use super::manual::ManArguments;
use super::operators::OperatorCommand;
use super::orders::OrderCommand;
use super::platforms::PlatformCommand;
use super::plugins::PluginCommand;
use super::prerequisites::PrerequisitesArguments;
use super::products::ProductCommand;
use super::reconcile::ReconcileArguments;
use super::record::RecordCommand;
use super::replay::ReplayArguments;
use super::report::ReportArguments;
use super::serve::ServeArguments;
use super::services::ServicesCommand;
use super::settings::Settings;
use super::simulator::SimulatorArguments;
use super::status::StatusArguments;
use super::trace::TraceArguments;
use super::webhooks::WebhookCommand;
use super::worker::WorkerArguments;
use super::worker_list::WorkerCommand;

/// The host of service-manager plugins: configure an instance, fetch its services, order licenses.
#[derive(Debug, Parser)]
#[command(
    name = "bss-host",
    version,
    after_help = "Exit codes:\n  \
                  0  the command did what it was told\n  \
                  1  the command was refused\n  \
                  2  the command line was not understood\n  \
                  3  the outcome is not known yet, or something could not be used: the vendor, the mail server, \
                  the plugin, the record or this machine\n  \
                  4  the command did what it was told, and something has failed that nobody has acknowledged (`run --once`, `status`), \
                  a statement differs from the record (`reconcile`), or a certificate expires (`certificate expiring --fail`)\n\
                  Results go to the standard output, everything else to the standard error.\n\n\
                  Environment variables without an option:\n  \
                  BSS_HOST_KEY       the host key in base64, or several, the first of which seals\n  \
                  BSS_PFX_CODE       the code of a PFX file, where no --code-file is named\n  \
                  BSS_SMTP_PASSWORD  the password of a mail server, where no --password-file is named\n  \
                  https_proxy        the proxy on the way to vendors; no_proxy, the servers reached without it\n  \
                  NO_COLOR           no colors, even on a terminal"
)]
pub(super) struct Arguments {
    /// The file with the settings of this machine [env: BSS_CONFIG] [default: bss-host/config.toml in the user's
    /// configuration directory, or /etc/bss-host/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where the values of options come from.
    #[arg(skip)]
    pub(super) settings: Settings,
    /// The directory in which the host keeps its record, its certificates and the host key
    #[arg(long, global = true, default_value = "bss-data", value_name = "DIR")]
    pub(super) data_dir: PathBuf,
    /// The address of the database on a PostgreSQL server that keeps the record for many hosts, as in
    /// `postgres:///bss?host=/run/postgresql`; without it, the record is a file in the data directory
    #[arg(long, global = true, value_name = "URL", value_parser = secret)]
    pub(super) database: Option<Secret>,
    /// A file whose first line is the address of the database, with its password
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) database_file: Option<PathBuf>,
    /// A file that holds the host key, such as a credential of systemd, or several keys, one a line, of which the first seals
    /// [default: host.key in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) host_key_file: Option<PathBuf>,
    /// A command that prints the host key, such as a vault's client: a program and its arguments, parted by blanks and read by no
    /// shell. It is run once, at the start
    #[arg(long, global = true, value_name = "COMMAND")]
    pub(super) host_key_command: Option<String>,
    /// The file of a plugin to try out with `replay`, `bench` or `demo`, or of a new instance [default: microsoft_esd.wasm beside this program, or as `cargo xtask build` makes it]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) plugin: Option<PathBuf>,
    /// The owner of the instances and certificates that the command makes, names or lists, where the host serves several
    /// tenants. Without this option, those without an owner are made and named, and all are listed
    #[arg(long, global = true, value_name = "NAME", value_parser = parsed::<Owner>)]
    pub(super) owner: Option<Owner>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write more log lines to the standard error: `-v` informational ones, `-vv` debugging ones too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Which log lines are written: a level, or one for each part, as in `bss_sandbox=debug,host_harness=info` [default: as `-v` says]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// How log lines and everything else on the standard error are written: `json` is an object a line
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    /// Record the exchanges between the plugin and the vendor, without secrets, into this file for `replay`
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Send traces of the plugin's calls to this OpenTelemetry collector, as in `http://localhost:4318`
    #[arg(long, global = true, value_name = "URL")]
    pub(super) otlp: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// A value that may hold a password, and that nothing prints.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// The form of lines on the standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line, for a log collector.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    OnRecord(RecordsCommand),
    #[command(flatten)]
    OnHost(HostCommand),
    /// Replay a recording to the plugin without a network, and show where the plugin's requests differ from the recording
    Replay(ReplayArguments),
    /// Check a certificate, its hostname and the hostname's CNAME record, before anything is installed
    Prerequisites(PrerequisitesArguments),
    /// Run a simulator of Microsoft until the command is interrupted; prints one JSON line when the simulator is ready
    Simulator(SimulatorArguments),
    /// Measure a plugin in its sandbox, beside the same code without a sandbox
    Bench(Box<BenchArguments>),
    /// Show the whole workflow, from a PFX file to licenses, against a temporary simulator
    Demo(DemoArguments),
    /// Show the settings of this machine
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write the completions of a shell to the standard output
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: ShellName,
    },
    /// Write the manual pages
    Man(ManArguments),
}

/// Commands about the record and its key, which open no host.
#[derive(Debug, Subcommand)]
pub(super) enum RecordsCommand {
    /// Make a new data directory: its record and its host key. No other command makes one
    Init(InitArguments),
    /// Host keys: make one, show which the record needs, and seal everything again under another
    #[command(subcommand)]
    Key(KeyCommand),
    /// The record of what was bought: back it up, restore it, verify it, move it to a server
    #[command(subcommand)]
    Record(RecordCommand),
}

/// Commands that open a host: its record is in the data directory, and its plugin may be called.
#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// Import, show and remove the certificates of the host
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Add and trust plugins, and upgrade instances to another version
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Create, configure and check instances
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Get Services Definition: read the vendor's catalog, and show its products
    #[command(subcommand)]
    Services(ServicesCommand),
    /// Choose the products that are sold, and set their prices
    #[command(subcommand)]
    Product(ProductCommand),
    /// Run the worker until it is interrupted: it buys ordered licenses, returns and refreshes licenses, sends e-mails, tells webhooks and reads catalogs
    Run(WorkerArguments),
    /// Show the workers that are alive, on all hosts
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Serve the API over HTTPS until it is interrupted, with the worker beside it
    Serve(ServeArguments),
    /// Make, show and revoke clients of the API, and give them other keys
    #[command(subcommand)]
    ApiClient(ApiClientCommand),
    /// Register, show and revoke billing platforms that buy by their own contract, and put their keys on record
    #[command(subcommand)]
    Platform(PlatformCommand),
    /// Make, invite, change and disable operators, who sign in at the console of `serve`
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Place, resume and show orders
    #[command(subcommand)]
    Order(OrderCommand),
    /// Show, retry, cancel and refresh assets, each of which is one license
    #[command(subcommand)]
    Asset(AssetCommand),
    /// Show what customers are charged, and choose how charges are numbered
    #[command(subcommand)]
    Charge(ChargeCommand),
    /// Show what customers are credited
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Show what was charged and credited in a month, with its sums
    Report(ReportArguments),
    /// Compare what was bought and returned with a vendor's statement; ends with 4 where they differ
    Reconcile(ReconcileArguments),
    /// Configure, show and retry e-mails to customers
    #[command(subcommand)]
    Mail(MailCommand),
    /// Find orders, licenses, customers, e-mails, charges and credits by a text: a number, a name, an address, the end of a key
    Find(FindArguments),
    /// Show, correct, export and erase customers
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Show how the host is: workers, what waits, alerts, certificates, disk; ends with 4 while an alert is open
    Status(StatusArguments),
    /// Show and acknowledge what has ended badly or stands still
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Tell programs what came of licenses: receivers over HTTPS, what they were told, and what they answered
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show who did what, and verify that it is as it was written
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show one call of the plugin as a tree with times, or list the last calls
    Trace(TraceArguments),
}

impl Command {
    /// Tells whether the command looks at a plugin's file. All others work with the plugins on record: each instance with its
    /// own.
    pub(super) fn takes_plugin(&self) -> bool {
        match self {
            Self::OnHost(HostCommand::Plugin(PluginCommand::Show { .. }))
            | Self::OnHost(HostCommand::Instance(InstanceCommand::Create(_)))
            | Self::Replay(_)
            | Self::Bench(_)
            | Self::Demo(_)
            // The option's value is shown.
            | Self::Config(_) => true,
            Self::OnHost(_)
            | Self::OnRecord(_)
            | Self::Prerequisites(_)
            | Self::Simulator(_) => false,
            Self::Completions { .. } | Self::Man(_) => false,
        }
    }

    /// Tells whether the command makes, names or lists instances or certificates, or what belongs to those.
    pub(super) fn takes_owner(&self) -> bool {
        match self {
            Self::OnHost(HostCommand::Mail(command)) => command.takes_owner(),
            Self::OnHost(
                HostCommand::Run(_)
                | HostCommand::Worker(_)
                | HostCommand::Serve(_)
                | HostCommand::Alert(AlertCommand::Email { .. }),
            ) => false,
            other => other.opens_host(),
        }
    }

    /// Tells whether the command opens a host.
    pub(super) fn opens_host(&self) -> bool {
        matches!(self, Self::OnHost(_)) || self.is_console_demo()
    }

    /// Tells whether the command is the demo in a browser, which has a data directory of its own.
    pub(super) fn is_console_demo(&self) -> bool {
        matches!(self, Self::Demo(asked) if asked.console)
    }
}

//! The command line's arguments, and the help that explains them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use bss_model::{SyncStatus, Thumbprint};
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use host_harness::LOOK_UP_ONLY;
use host_harness::prerequisites::{DNS_TIMEOUT, Hostname, Region};
use ipnet::IpNet;
use uuid::Uuid;

use super::bench::BenchArguments;
use super::failure::parsed;
use super::invoices::InvoiceCommand;
use super::mail::MailCommand;
use super::products::ProductCommand;
use super::replay::ReplayArguments;
use super::returns::ReturnCommand;
use super::services::ServicesCommand;
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
    /// The plugin, a WebAssembly component
    #[arg(
        long,
        global = true,
        env = "BSS_PLUGIN",
        default_value = "target/wasm32-wasip2/plugin/microsoft_esd.wasm",
        value_name = "FILE"
    )]
    pub(super) plugin: PathBuf,
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
    /// Certificates installed on the host
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Instances of the plugin, and their settings
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Get Services Definition: what can be sold
    #[command(subcommand)]
    Services(ServicesCommand),
    /// What is sold, and at what price
    #[command(subcommand)]
    Product(ProductCommand),
    /// Work in the background until it is interrupted: buy what was ordered, read catalogs that wait
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

impl Command {
    /// Tells whether the command works on the data directory, and so may call the plugin.
    pub(super) fn opens_host(&self) -> bool {
        !matches!(
            self,
            Self::Bench(_) | Self::Simulator(_) | Self::Demo(_) | Self::Prerequisites(_) | Self::Replay(_)
        )
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand {
    /// Install a certificate and its private key from a PFX file
    Import {
        /// The PFX file
        pfx: PathBuf,
        /// A file whose first line is the PFX's code; `-` is the standard input. Without it, the code is
        /// taken from the environment variable BSS_PFX_CODE, and is empty if that is not set
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Show the installed certificates, those that expire first at the top
    List,
    /// Show one certificate
    Show {
        /// Its thumbprint
        thumbprint: Thumbprint,
    },
    /// Forget a certificate and its private key; refused while an instance uses it
    Remove {
        /// Its thumbprint
        thumbprint: Thumbprint,
    },
    /// Show the certificates that have expired or will soon; exits with 0 whether there are any or not
    Expiring {
        /// How soon
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Create an instance; its form comes next
    Create(CreateInstance),
    /// Fill in the form: once with the credentials, then with certificate, country and language
    Configure {
        /// The instance
        name: String,
        /// A field and its value, as in `--set client-id=...`; may be repeated. None: show the form
        #[arg(long, value_name = "FIELD=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Change nothing if somebody has saved since this version, which `instance show` tells
        #[arg(long, value_name = "VERSION", requires = "set")]
        based_on: Option<i64>,
    },
    /// Show one instance and its form
    Show {
        /// The instance
        name: String,
    },
    /// Show every save of an instance's settings: who, when, and what it changed
    History {
        /// The instance
        name: String,
    },
    /// Go the way to the vendor step by step; exits with 0 if all steps pass, 1 if one fails, 3 if it could not be run
    Check {
        /// The instance
        name: String,
    },
    /// Replace the certificate of an instance in use, once the connection has been checked with the new one
    RotateCertificate {
        /// The instance
        name: String,
        /// The thumbprint of the new certificate, which is installed already
        #[arg(long, value_name = "THUMBPRINT")]
        to: Thumbprint,
    },
    /// Show all instances
    List,
}

#[derive(Debug, Args)]
pub(super) struct CreateInstance {
    /// Its name on this host
    pub(super) name: String,
    /// The currency it sells in, ISO 4217
    #[arg(long, value_name = "CODE")]
    pub(super) currency: String,
    /// An option of the plugin beside its form, as in `--option login-authority=localhost:8443`
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(super) option: Vec<(String, String)>,
    /// Trust servers by the certificate authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(super) trust: Option<PathBuf>,
    /// A network that may be reached although it is not public, as in `--allow-network 127.0.0.0/8`
    #[arg(long, value_name = "CIDR")]
    pub(super) allow_network: Vec<IpNet>,
}

#[derive(Debug, Subcommand)]
pub(super) enum OrderCommand {
    /// Order licenses: each unit becomes a line, an asset and a license of its own
    Place(Box<PlaceOrder>),
    /// Go on with an order whose licenses are not all settled; looks up before it buys
    Resume {
        /// The order
        order: Uuid,
    },
    /// Show an order and its licenses
    Show {
        /// The order
        order: Uuid,
    },
}

#[derive(Debug, Args)]
pub(super) struct PlaceOrder {
    /// The instance
    pub(super) instance: String,
    /// A product's code; may be repeated
    #[arg(long, required = true, value_name = "CODE")]
    pub(super) offer: Vec<String>,
    /// How many of the offer before it; 1 where no quantity is given at all
    #[arg(long, value_name = "N")]
    pub(super) quantity: Vec<u32>,
    /// The platform's name for the customer who gets the licenses
    #[arg(long, value_name = "ID")]
    pub(super) customer: String,
    /// The customer's name
    #[arg(long, value_name = "NAME")]
    pub(super) customer_name: String,
    /// The customer's country, ISO 3166-1 alpha-2
    #[arg(long, value_name = "CODE")]
    pub(super) customer_country: String,
    /// Where the customer's licenses are mailed to
    #[arg(long, value_name = "ADDRESS")]
    pub(super) customer_email: String,
    /// The language that the customer is written to in, BCP 47
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(super) customer_language: String,
    /// Make a repeated command answer with the first one's order instead of a second one
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Buy the licenses now and wait for them, instead of leaving them to `bss-host run`
    #[arg(long, conflicts_with = "check_only")]
    pub(super) wait: bool,
    /// Check everything, here and in the plugin, and order nothing
    #[arg(long)]
    pub(super) check_only: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum AssetCommand {
    /// Show licenses
    List(ListAssets),
    /// Show one license, with all that is known of it
    Show {
        /// The asset
        asset: Uuid,
        /// Show its product key and activation link whole
        #[arg(long)]
        show_keys: bool,
    },
    /// Show every attempt at buying a license: when, with what outcome, and by which correlation id
    History {
        /// The asset
        asset: Uuid,
    },
    /// Try again what failed or waits; what an earlier attempt may have bought is looked up first
    Retry {
        /// The asset
        asset: Uuid,
    },
    #[command(flatten)]
    Return(ReturnCommand),
}

#[derive(Debug, Args)]
pub(super) struct ListAssets {
    /// Only those of an instance
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Only those of an order
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<Uuid>,
    /// Only those of a customer
    #[arg(long, value_name = "ID")]
    pub(super) customer: Option<String>,
    /// Only those with this provisioning sync status
    #[arg(long, value_name = "STATUS")]
    pub(super) sync_status: Option<Sync>,
    /// Only those whose purchase has been open for longer than two hours
    #[arg(long)]
    pub(super) overdue: bool,
    /// Show product keys and activation links whole
    #[arg(long)]
    pub(super) show_keys: bool,
}

/// A provisioning sync status, as it is typed in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Sync {
    /// Not bought yet, or nobody knows
    Unsynchronised,
    /// Bought
    Synchronized,
    /// Definitely not bought
    Failed,
}

impl From<Sync> for SyncStatus {
    fn from(typed: Sync) -> Self {
        match typed {
            Sync::Unsynchronised => Self::Unsynchronised,
            Sync::Synchronized => Self::Synchronized,
            Sync::Failed => Self::Failed,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all three passed, 1 one failed, 3 none failed but one is not known, 2 usage."
)]
pub(super) struct PrerequisitesArguments {
    /// The PFX file
    #[arg(long, value_name = "FILE")]
    pub(super) pfx: PathBuf,
    /// A file whose first line is the PFX's code; `-` is the standard input. Without it, the code is
    /// taken from the environment variable BSS_PFX_CODE, and is empty if that is not set
    #[arg(long, value_name = "FILE")]
    pub(super) code_file: Option<PathBuf>,
    /// The fully qualified hostname, as in `esd.mydomain.com`
    #[arg(long, value_name = "NAME", value_parser = parsed::<Hostname>)]
    pub(super) hostname: Hostname,
    /// Where the platform runs for the customer
    #[arg(long, value_name = "REGION", value_parser = PossibleValuesParser::new(Region::ALL.map(Region::name)).try_map(|name| name.parse::<Region>()))]
    pub(super) region: Region,
    /// Ask this resolver, on port 53 unless it says another, instead of the system's
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    pub(super) resolver: Option<SocketAddr>,
    /// How long to ask the DNS, all in all
    #[arg(long, value_name = "SECONDS", default_value_t = DNS_TIMEOUT.as_secs(), value_parser = RangedU64ValueParser::<u64>::new().range(1..=300))]
    pub(super) timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct SimulatorArguments {
    /// Where it keeps its certificate authority and its ledger; the same directory is the same Microsoft
    #[arg(long, default_value = "simulator-data", value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// Where its license service listens
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(super) service_address: SocketAddr,
    /// Where its Entra endpoint listens
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(super) login_address: SocketAddr,
    /// Answer a purchase after so many milliseconds; it is carried out half-way through, whether its caller still waits
    /// or has gone
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(super) answer_after_ms: u64,
    /// Be a Microsoft that does not treat the client transaction id as idempotent: the same purchase sent twice issues
    /// two licenses, and a look-up answers with the first
    #[arg(long)]
    pub(super) forgets_purchases: bool,
    /// Take plain HTTP on two more ports of the loopback interface, and lend a client certificate to WHOEVER COMES
    /// WITHOUT ONE; its private key is left in DIR/identity, not encrypted. For software that can't present a
    /// certificate, such as the wasmtime CLI
    #[arg(long)]
    pub(super) plain_http_without_certificates: bool,
}

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Show product keys and activation links whole
    #[arg(long)]
    pub(super) show_keys: bool,
}

/// The port that resolvers answer on (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

fn resolver(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)))
        .map_err(|_| {
            "an IP address is needed, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353".to_owned()
        })
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a name, `=` and a value are needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        let address = |text: &str| resolver(text).map(|address| address.to_string());
        assert_eq!(address("192.0.2.53"), Ok("192.0.2.53:53".into()));
        assert_eq!(address("192.0.2.53:5353"), Ok("192.0.2.53:5353".into()));
        assert_eq!(address("2001:db8::53"), Ok("[2001:db8::53]:53".into()));
        assert_eq!(address("[2001:db8::53]:5353"), Ok("[2001:db8::53]:5353".into()));
        assert!(resolver("dns.example").is_err());
        assert!(resolver("").is_err());
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_but_a_name_may_not_be_empty() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}

//! `simulator`: a Microsoft to test against, as a process.

mod catalog_file;
mod clients;
mod faults;
mod ports;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bss_simulator::{
    Catalog, IssuedCertificate, PlainAddresses, Simulator, SimulatorError, SimulatorOptions,
};
use clap::Args;
use serde::Serialize;

use self::clients::{Client, ClientName};
use self::faults::NamedFault;
use self::ports::Ports;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure};
use super::files::write_whole;
use super::input::read_text;
use super::interruption::Interruption;
use super::{csv_file, output, show};

#[derive(Debug, Args)]
pub(super) struct SimulatorArguments {
    /// The directory of the simulator's certificate authority, clients, ports and ledger; with an existing directory, the same
    /// simulator continues
    #[arg(long, default_value = "simulator-data", value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// The address on which the simulator's license service listens. Port 0 stands for the one of the last start
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(super) service_address: SocketAddr,
    /// The address on which the simulator's Entra endpoint listens. Port 0 stands for the one of the last start
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(super) login_address: SocketAddr,
    /// Answer a purchase after this many milliseconds; the purchase is carried out after half of them, even if the
    /// caller has disconnected
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(super) answer_after_ms: u64,
    /// Do not treat the client transaction id as idempotent: the same purchase sent twice issues two licenses, and a
    /// look-up answers with the first
    #[arg(long)]
    pub(super) forgets_purchases: bool,
    /// Sell the products of this file instead of the standard ones: a CSV file with a code and a name on each line
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Have the next request of an operation, or connection of a listener, go wrong, as in `purchase=cut-answer:3` (three times)
    /// or `catalog=unavailable:always`; may be repeated. `--help` lists the faults
    #[arg(long, value_name = "OPERATION=FAULT[:TIMES]", long_help = fault_help())]
    fault: Vec<NamedFault>,
    /// Have another client beside the one that every simulator has: an application with a client id, a channel id and a
    /// certificate of its own, such as for a second country; may be repeated
    #[arg(long, value_name = "NAME")]
    client: Vec<ClientName>,
    /// Register the certificate of a PEM file, such as `certificate new` makes, with the simulator's application; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub(super) register: Vec<PathBuf>,
    /// Take plain HTTP on two more ports of the loopback interface, and lend a client certificate to EVERY CALLER
    /// WITHOUT A CERTIFICATE; its private key is left in DIR/identity, not encrypted. For software that can't present a
    /// certificate, such as the wasmtime CLI
    #[arg(long)]
    pub(super) plain_http_without_certificates: bool,
}

/// A simulator's first line of output: where it is and how it is reached.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SimulatorReady<'a> {
    #[serde(flatten)]
    site: Site<'a>,
    #[serde(flatten)]
    client: Client,
    /// The clients of `--client`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clients: Vec<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_http: Option<PlainHttp>,
}

/// Addresses that take plain HTTP without a certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlainHttp {
    #[serde(flatten)]
    addresses: PlainAddresses,
    /// The folder with the certificate and the private key that an adapter signs with.
    identity: PathBuf,
    instead_of: String,
}

/// The simulator's addresses, which are the same for all clients.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Site<'a> {
    service_url: &'a str,
    resource_api: &'a str,
    login_authority: &'a str,
    tenant: uuid::Uuid,
    ca_file: &'a Path,
}

fn fault_help() -> String {
    format!(
        "Have the next request of an operation, or connection of a listener, go wrong, as in `purchase=cut-answer:3` (three times) \
         or `catalog=unavailable:always`; may be repeated. There are, {}",
        faults::names()
    )
}

pub(super) async fn simulator(arguments: &SimulatorArguments) -> Outcome {
    let mut interruption = Interruption::listen()?;
    // An absolute path, so that what the simulator prints can be used from another directory.
    let directory = std::path::absolute(&arguments.directory).map_err(machine_failure)?;
    let mut simulator = start(arguments, &directory).await?;
    for fault in &arguments.fault {
        fault.order(simulator.faults());
    }
    for file in &arguments.register {
        let pem = read_text(file, "certificate file")?;
        simulator.register_certificate(&pem).map_err(machine_failure)?;
    }
    let (client, plain_http) = match arguments.plain_http_without_certificates {
        false => {
            let client = Client::open(&simulator, &directory, None);
            (client.map_err(machine_failure)?, None)
        }
        // What is lent is a certificate of this start, whose private key is at hand.
        true => {
            let issued = Client::issue(&simulator, &directory, None);
            let (client, issued) = issued.map_err(machine_failure)?;
            let opened = open_to_all(&mut simulator, &issued, &directory).await;
            (client, Some(opened.map_err(machine_failure)?))
        }
    };
    let clients = arguments.client.iter();
    let clients = clients.map(|name| Client::open(&simulator, &directory, Some(name)));
    let clients: anyhow::Result<Vec<_>> = clients.collect();
    let details = simulator.details();
    show::json(&SimulatorReady {
        site: Site {
            service_url: &details.service_url,
            resource_api: &details.resource_api,
            login_authority: &details.login_authority,
            tenant: details.tenant,
            ca_file: &details.ca_file,
        },
        client,
        clients: clients.map_err(machine_failure)?,
        plain_http,
    })?;
    interruption.asked().await;
    simulator.stop().await;
    Ok(ExitStatus::Done)
}

/// Starts the simulator of a directory, on the ports of its last start where none are asked for.
async fn start(arguments: &SimulatorArguments, directory: &Path) -> Result<Simulator, Failure> {
    let catalog = match &arguments.catalog {
        None => Catalog::default(),
        Some(file) => catalog_file::read(&csv_file::text_of(file, "catalog file")?)?,
    };
    let ports = Ports::of_last_start(directory).map_err(machine_failure)?;
    let (service_address, login_address) =
        ports.instead_of_any(arguments.service_address, arguments.login_address);
    let options = SimulatorOptions {
        service_address,
        login_address,
        catalog,
        answer_after: Duration::from_millis(arguments.answer_after_ms),
        forgets_purchases: arguments.forgets_purchases,
        ..SimulatorOptions::new(directory)
    };
    let simulator = start_simulator(options).await.map_err(|error| {
        let is_taken = matches!(error.downcast_ref(), Some(SimulatorError::Listen { .. }));
        let failure = machine_failure(error);
        match is_taken {
            true => failure.hint(format!(
                "the ports of the last start are in `{}`; without that file, free ones are taken",
                directory.join(ports::FILE).display()
            )),
            false => failure,
        }
    })?;
    Ports::keep(simulator.details(), directory).map_err(machine_failure)?;
    Ok(simulator)
}

/// Opens a way in without certificates, and writes the certificate and the private key that an adapter signs with.
/// Only their owner can read the files.
async fn open_to_all(
    simulator: &mut Simulator,
    lent: &IssuedCertificate,
    directory: &Path,
) -> anyhow::Result<PlainHttp> {
    let addresses = simulator.accept_plain_http_without_certificates(lent).await?;
    let identity = directory.join("identity");
    write_identity(lent, &identity).with_context(|| format!("`{}` can't be written", identity.display()))?;
    output::note(format!(
        "warning: the private key of certificate {} is in `{}`, not encrypted",
        lent.thumbprint,
        identity.display()
    ));
    Ok(PlainHttp {
        addresses,
        identity,
        instead_of: addresses.instead_of(simulator.details()),
    })
}

fn write_identity(lent: &IssuedCertificate, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    write_whole(&folder.join("certificate.pem"), lent.certificate_pem.as_bytes())?;
    write_whole(&folder.join("private-key.pem"), lent.private_key_pem.as_bytes())
}

/// Starts a simulator.
pub(super) async fn start_simulator(options: SimulatorOptions) -> anyhow::Result<Simulator> {
    Simulator::start(options)
        .await
        .context("the simulator can't be started")
}

//! `simulator`: a Microsoft to test against, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bss_simulator::{
    CertificateRequest, Details, IssuedCertificate, PlainAddresses, Simulator, SimulatorOptions,
};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::exit_status::ExitStatus;
use super::failure::{Outcome, machine_failure};
use super::files::write_whole;
use super::input::read_text;
use super::interruption::Interruption;
use super::simulator_faults::{self, NamedFault};
use super::{output, pfx, show};

#[derive(Debug, Args)]
pub(super) struct SimulatorArguments {
    /// The directory of the simulator's certificate authority, ports, clients and ledger; with an existing directory, the same
    /// simulator continues
    #[arg(long, visible_alias = "state", default_value = "simulator-data", value_name = "DIR")]
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
    /// Have the next request of an operation, or connection of a listener, go wrong, as in `purchase=cut-answer*3` (three
    /// times) or `catalog=unavailable*` (always); may be repeated
    #[arg(long, value_name = "OPERATION=FAULT", long_help = fault_help())]
    fault: Vec<NamedFault>,
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
    details: &'a Details,
    /// A PFX file with a client certificate and its private key; its code is beside it.
    pfx_file: PathBuf,
    pfx_code: String,
    thumbprint: String,
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

fn fault_help() -> String {
    format!(
        "Have the next request of an operation, or connection of a listener, go wrong, as in `purchase=cut-answer*3` (three \
         times) or `catalog=unavailable*` (always); may be repeated. There are, {}",
        simulator_faults::NAMES
    )
}

/// The ports of the last start, so that an instance that was configured for them still reaches the simulator.
#[derive(Default, Serialize, Deserialize)]
struct Ports {
    service: u16,
    login: u16,
}

/// Their file in the simulator's directory.
const PORTS_FILE: &str = "ports.json";

impl Ports {
    fn of_last_start(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join(PORTS_FILE);
        match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            read => serde_json::from_slice(&read?).with_context(|| format!("`{}` is damaged", file.display())),
        }
    }

    fn keep(details: &Details, directory: &Path) -> anyhow::Result<()> {
        let port = |authority: &str| authority.rsplit(':').next().and_then(|port| port.parse().ok());
        let ports = Self {
            service: port(&details.resource_api).unwrap_or_default(),
            login: port(&details.login_authority).unwrap_or_default(),
        };
        let file = directory.join(PORTS_FILE);
        write_whole(&file, &serde_json::to_vec(&ports)?)
            .with_context(|| format!("`{}` can't be written", file.display()))
    }
}

/// An address; where its port is 0, with the one of the last start.
fn with_port(mut address: SocketAddr, of_last_start: u16) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(of_last_start);
    }
    address
}

pub(super) async fn simulator(arguments: &SimulatorArguments) -> Outcome {
    let mut interruption = Interruption::listen()?;
    // An absolute path, so that what the simulator prints can be used from another directory.
    let directory = std::path::absolute(&arguments.directory).map_err(machine_failure)?;
    let ports = Ports::of_last_start(&directory).map_err(machine_failure)?;
    let options = SimulatorOptions {
        service_address: with_port(arguments.service_address, ports.service),
        login_address: with_port(arguments.login_address, ports.login),
        answer_after: Duration::from_millis(arguments.answer_after_ms),
        forgets_purchases: arguments.forgets_purchases,
        ..SimulatorOptions::new(&directory)
    };
    let started = start_simulator(options).await;
    let mut simulator = started.map_err(machine_failure)?;
    Ports::keep(simulator.details(), &directory).map_err(machine_failure)?;
    for fault in &arguments.fault {
        fault.order(simulator.faults());
    }
    for file in &arguments.register {
        let pem = read_text(file, "certificate file")?;
        simulator.register_certificate(&pem).map_err(machine_failure)?;
    }
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(machine_failure)?;
    let pfx_code = uuid::Uuid::new_v4().to_string();
    let pfx_file = directory.join("client.pfx");
    pfx::with_library(&issued, &pfx_code, &pfx_file).map_err(machine_failure)?;
    let plain_http = match arguments.plain_http_without_certificates {
        false => None,
        true => {
            let opened = open_to_all(&mut simulator, &issued, &directory).await;
            Some(opened.map_err(machine_failure)?)
        }
    };
    show::json(&SimulatorReady {
        details: simulator.details(),
        pfx_file,
        pfx_code,
        thumbprint: issued.thumbprint,
        plain_http,
    })?;
    interruption.asked().await;
    simulator.stop().await;
    Ok(ExitStatus::Done)
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

//! `demo --console`: everything that the console needs, on this machine, with a simulated Microsoft; the way from nothing to a license is
//! the reader's to go.

use std::path::Path;

use anyhow::Context as _;
use bss_model::{MailDelivery, MailSettings};
use bss_simulator::{CertificateRequest, Details, Simulator, SimulatorOptions};
use clap::Parser;
use host_harness::{Host, OfPlugin};

use super::demo::{actor, instance_to_make};
use super::failure::{Failure, Outcome, machine_failure};
use super::output;
use super::pfx;
use super::serve::{self, ServeArguments};
use super::simulator::start_simulator;

/// The application that is made: only the command line names servers of this machine.
const INSTANCE: &str = "contoso-esd-de";

/// The options of `serve`, as their defaults are.
#[derive(Debug, Parser)]
struct Serve {
    #[command(flatten)]
    arguments: ServeArguments,
}

/// Starts the simulator, a host without a certificate and a server, says what to type where, and serves until it is interrupted.
pub(super) async fn run(plugin: &Path, json: bool) -> Outcome {
    let folder = tempfile::tempdir()
        .context("a temporary directory can't be created")
        .map_err(machine_failure)?;
    let started = start_simulator(SimulatorOptions::new(folder.path().join("microsoft"))).await;
    let simulator = started.map_err(machine_failure)?;
    let data_dir = folder.path().join("bss");
    let host = Host::builder(&data_dir).plugin_file(plugin).create().await?;
    let new = instance_to_make(INSTANCE, simulator.details())?;
    host.create_instance(new, OfPlugin::Only, &actor()).await?;
    let outbox = folder.path().join("outbox");
    std::fs::create_dir(&outbox)
        .context("the folder for e-mails can't be made")
        .map_err(machine_failure)?;
    let mail = MailSettings {
        from: "licenses@reseller.example".to_owned(),
        delivery: MailDelivery::Directory(outbox),
        templates: None,
    };
    host.configure_mail(mail, &actor()).await?;
    tell(&simulator, folder.path())?;
    let serve = Serve::try_parse_from(["demo", "--listen", "127.0.0.1:0", "--invite"])
        .context("the options of `serve` have no defaults")
        .map_err(machine_failure)?;
    let served = serve::run(&host, &data_dir, &serve.arguments, json).await;
    simulator.stop().await;
    served
}

/// Says what Microsoft gives a reseller, which the pages ask for.
fn tell(simulator: &Simulator, folder: &Path) -> Result<(), Failure> {
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(machine_failure)?;
    let (file, code) = (folder.join("contoso.pfx"), uuid::Uuid::new_v4().to_string());
    pfx::write(&issued, &code, &file).map_err(machine_failure)?;
    output::line(format!(
        "a simulated Microsoft runs, and there is an application, {INSTANCE}, without settings; from here the browser does the rest:"
    ));
    output::line("  Certificates: import this file with its code");
    output::line(format!("    {}", file.display()));
    output::line(format!("    {code}"));
    output::line(format!(
        "  Applications, {INSTANCE}, Settings: save these, and then certificate, country and language"
    ));
    for (label, value) in credentials(simulator.details()) {
        output::line(format!("    {label:<29} {value}"));
    }
    output::line("  then Get Services Definition, Products (a price, and activate), Orders");
    output::line("the server's certificate is of its own making, so a browser asks whether to go on");
    Ok(())
}

/// What is typed into the six fields of the first stage.
fn credentials(details: &Details) -> [(&'static str, String); 6] {
    [
        ("System Name", INSTANCE.to_owned()),
        ("Recourse API", details.resource_api.clone()),
        ("Service URL", details.service_url.clone()),
        ("Azure Active Directory Tenant", details.tenant.to_string()),
        ("Channel ID", details.channel_id.clone()),
        ("Client ID", details.client_id.to_string()),
    ]
}

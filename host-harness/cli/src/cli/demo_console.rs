//! `demo --console`: everything that the console needs, on this machine, with a simulated Microsoft; the way from nothing to a license is
//! the reader's to go.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bss_model::{MailDelivery, MailSettings};
use bss_simulator::{CertificateRequest, Details, Simulator, SimulatorOptions};
use clap::Parser;
use host_harness::{Host, OfPlugin};
use tempfile::TempDir;

use super::demo::{actor, instance_to_make};
use super::failure::{Failure, Outcome, machine_failure};
use super::output;
use super::pfx;
use super::serve::{self, Listening, ServeArguments};
use super::simulator::start_simulator;

/// The instance that is made: only the command line names servers of this machine.
const INSTANCE: &str = "contoso-esd-de";

/// The options of `serve`, as their defaults are.
#[derive(Debug, Parser)]
struct Serve {
    #[command(flatten)]
    arguments: ServeArguments,
}

/// A folder for the time of the demo, whose name a reader can type and see.
pub(super) fn folder() -> Result<TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("bss-console-demo-")
        .tempdir()
        .context("a temporary directory can't be created")
        .map_err(machine_failure)
}

/// The data directory in the demo's folder.
pub(super) fn data_dir(folder: &Path) -> PathBuf {
    folder.join("bss")
}

/// Starts the simulator, a host without a certificate and a server, says what to type where, and serves until it is interrupted.
/// `data_dir` is that of a [`folder`].
pub(super) async fn run(plugin: &Path, data_dir: &Path, json: bool) -> Outcome {
    let folder = data_dir.parent().unwrap_or(data_dir);
    let started = start_simulator(SimulatorOptions::new(folder.join("microsoft"))).await;
    let simulator = started.map_err(machine_failure)?;
    let host = Host::builder(data_dir).plugin_file(plugin).create().await?;
    let new = instance_to_make(INSTANCE, simulator.details())?;
    host.create_instance(new, OfPlugin::Only, &actor()).await?;
    let outbox = folder.join("outbox");
    std::fs::create_dir(&outbox)
        .context("the folder for e-mails can't be made")
        .map_err(machine_failure)?;
    let mail = MailSettings {
        from: "licenses@reseller.example".to_owned(),
        delivery: MailDelivery::Directory(outbox),
        templates: None,
    };
    host.configure_mail(mail, &actor()).await?;
    let pfx = certificate(&simulator, folder)?;
    let serve = Serve::try_parse_from(["demo", "--listen", "127.0.0.1:0", "--invite"])
        .context("the options of `serve` have no defaults")
        .map_err(machine_failure)?;
    let tell = |listening: &Listening| guide(listening, &pfx, simulator.details());
    let served = serve::run_told(&host, data_dir, &serve.arguments, json, tell).await;
    simulator.stop().await;
    served
}

/// A client certificate as Microsoft gives it to a reseller: a PFX file, and its code.
struct Pfx {
    file: PathBuf,
    code: String,
}

fn certificate(simulator: &Simulator, folder: &Path) -> Result<Pfx, Failure> {
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(machine_failure)?;
    let (file, code) = (folder.join("contoso.pfx"), uuid::Uuid::new_v4().to_string());
    pfx::write(&issued, &code, &file).map_err(machine_failure)?;
    Ok(Pfx { file, code })
}

/// Says the way from nothing to a license, with all that has to be typed.
fn guide(listening: &Listening, pfx: &Pfx, details: &Details) {
    let fields = |fields: &[(&str, String)]| {
        for (label, value) in fields {
            output::line(format!("      {label:<29} {value}"));
        }
    };
    let invitation = listening.invitation_url.clone().unwrap_or_default();
    output::line(format!(
        "a simulated Microsoft runs, and there is an instance without settings, {INSTANCE}; the browser does the rest:"
    ));
    output::line(
        "  1. Open this link, and choose a password; the browser is on this machine, and its user may read the file below. The server's certificate is of its own making, so that a browser asks whether to go on",
    );
    output::line(format!("      {invitation}"));
    output::line("  2. Certificates: import this file with its code");
    fields(&[
        ("File", pfx.file.display().to_string()),
        ("Code", pfx.code.clone()),
    ]);
    output::line(format!("  3. Instances, {INSTANCE}, Settings: save these six"));
    fields(&credentials(details));
    output::line("  4. Choose, and save again");
    fields(&[
        ("Certificate", "the one that you have imported".to_owned()),
        ("Country", "Germany".to_owned()),
        ("Language", "German (Germany)".to_owned()),
    ]);
    output::line("  5. The same instance, Get Services Definition: start a run");
    output::line("  6. The same instance, Products: give one a price, such as 149.00 EUR, and activate it");
    output::line("  7. Orders: place one. Every page says what comes next");
    output::line(format!(
        "the console is at {}; Ctrl-C ends it, and all of it is gone",
        listening.console_url.clone().unwrap_or_default()
    ));
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

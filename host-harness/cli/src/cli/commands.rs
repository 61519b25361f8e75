//! Runs each command: one call of the library, and what is shown of its answer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bss_keys::PfxCode;
use bss_model::{Actor, NewInstance, Reach};
use bss_simulator::{
    CertificateRequest, Details, IssuedCertificate, PlainAddresses, Simulator, SimulatorOptions,
};
use host_harness::{CallEvent, CallListener, Host, LogLevel, view};
use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{
    Arguments, CertificateCommand, Command, CreateInstance, InstanceCommand, SimulatorArguments,
};
use super::failure::{Failure, machine_failure, unreadable};
use super::{
    ExitStatus, assets, certificates, demo, instances, invoices, mail, orders, pfx, prerequisites, products,
    replay, services, show, trace, worker,
};

pub(super) type Outcome = Result<ExitStatus, Failure>;

/// Runs one command to its end.
pub(super) async fn run(arguments: Arguments) -> Outcome {
    let json = arguments.json;
    if arguments.record.is_some() && !arguments.command.opens_host() {
        let message = "this command can't be recorded: it does not work on the data directory";
        return Err(Failure::usage(message).hint("leave --record out"));
    }
    match &arguments.command {
        Command::Simulator(simulator_arguments) => return simulator(simulator_arguments).await,
        Command::Demo(demo_arguments) => return demo::run(&arguments.plugin, demo_arguments, json).await,
        Command::Bench(command) => {
            return super::bench::run(&arguments.data_dir, &arguments.plugin, command, json).await;
        }
        Command::Replay(asked) => {
            return replay::run(asked, &arguments.data_dir, &arguments.plugin, json).await;
        }
        Command::Prerequisites(asked) => {
            let code = pfx_code(asked.code_file.as_deref())?;
            return prerequisites::run(asked, &read_pfx(&asked.pfx)?, &code, json).await;
        }
        _ => {}
    }
    let host = Host::open(&arguments.data_dir, &arguments.plugin).await?;
    let host = host.with_look_up_only(Duration::from_secs(arguments.look_up_only));
    let host = match &arguments.record {
        Some(file) => host.recording(replay::recorder(file)?),
        None => host,
    };
    match arguments.command {
        Command::Certificate(CertificateCommand::Import { pfx, code_file }) => {
            let code = pfx_code(code_file.as_deref())?;
            import(&host, &pfx, &code, json).await
        }
        Command::Certificate(command) => certificates::run(&host, command, json).await,
        Command::Instance(InstanceCommand::Create(create)) => create_instance(&host, create, json).await,
        Command::Instance(InstanceCommand::Configure { name, set, based_on }) => {
            configure(&host, &name, set, based_on, json).await
        }
        Command::Instance(InstanceCommand::Show { name }) => {
            configure(&host, &name, Vec::new(), None, json).await
        }
        Command::Instance(InstanceCommand::List) => instances(&host, json).await,
        Command::Instance(InstanceCommand::History { name }) => instances::history(&host, &name, json).await,
        Command::Instance(InstanceCommand::Check { name }) => instances::check(&host, &name, json).await,
        Command::Instance(InstanceCommand::RotateCertificate { name, to }) => {
            instances::rotate_certificate(&host, &name, to, json).await
        }
        Command::Services(command) => services::run(&host, command, json).await,
        Command::Product(command) => products::run(&host, command, json).await,
        Command::Run(worker) => worker::run(&host, &worker, json).await,
        Command::Order(command) => orders::run(&host, command, json).await,
        Command::Asset(command) => assets::run(&host, command, json).await,
        Command::Invoice(command) => invoices::run(&host, command, json).await,
        Command::Mail(command) => mail::run(&host, command, json).await,
        Command::Trace(asked) => trace::run(&host, &arguments.data_dir, &asked, json).await,
        Command::Simulator(_) | Command::Demo(_) | Command::Prerequisites(_) | Command::Replay(_) => {
            Ok(ExitStatus::Done)
        }
        Command::Bench(_) => Ok(ExitStatus::Done),
    }
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Shows a call's warnings on the standard error while it runs, and logs its progress.
pub(super) fn listener() -> CallListener {
    Arc::new(|event| match event {
        CallEvent::Log {
            level: LogLevel::Warning,
            subject,
            message,
        } => {
            show::note(format!(
                "warning: {}{message}",
                if subject.is_empty() {
                    subject
                } else {
                    format!("{subject}: ")
                }
            ));
        }
        CallEvent::Progress { done, total, unit } => tracing::info!(done, total, unit, "progress"),
        _ => {}
    })
}

fn pfx_code(file: Option<&Path>) -> Result<PfxCode, Failure> {
    let text = match file {
        None => Zeroizing::new(std::env::var("BSS_PFX_CODE").unwrap_or_default()),
        Some(path) => {
            let read = if path.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(path)
            };
            let what = format!("the file with the code, `{}`,", path.display());
            Zeroizing::new(read.map_err(|error| unreadable(&what, &error))?)
        }
    };
    Ok(PfxCode::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn read_pfx(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let what = format!("PFX file `{}`", file.display());
    let bytes = std::fs::read(file).map_err(|error| unreadable(&what, &error))?;
    Ok(Zeroizing::new(bytes))
}

async fn import(host: &Host, file: &Path, code: &PfxCode, json: bool) -> Outcome {
    let bytes = read_pfx(file)?;
    let certificate = host
        .record()
        .certificates()
        .import(&bytes, code, &operator())
        .await?;
    if json {
        let view = host.certificate_view(&certificate).await;
        show::json(&view?)?;
    } else {
        show::line(format!(
            "installed {}\n  {}\n  valid until {}",
            certificate.thumbprint,
            certificate.subject,
            show::time(certificate.not_after_ms)
        ));
    }
    Ok(ExitStatus::Done)
}

async fn create_instance(host: &Host, create: CreateInstance, json: bool) -> Outcome {
    let trusted_authorities_pem =
        match &create.trust {
            None => None,
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                unreadable(&format!("`{}`", path.display()), &error).hint("give a PEM file")
            })?),
        };
    let instance = host
        .record()
        .create_instance(
            NewInstance {
                name: create.name,
                currency: create.currency,
                options: create.option.into_iter().collect(),
                reach: Reach {
                    trusted_authorities_pem,
                    allowed_networks: create.allow_network,
                },
            },
            &operator(),
        )
        .await?;
    if json {
        show::json(&view::Instance::from(&instance))?;
    } else {
        show::line(format!(
            "instance `{}` is created\nnext: bss-host instance configure {} --set FIELD=VALUE ...",
            instance.name, instance.name
        ));
    }
    Ok(ExitStatus::Done)
}

async fn configure(
    host: &Host,
    name: &str,
    set: Vec<(String, String)>,
    based_on: Option<i64>,
    json: bool,
) -> Outcome {
    let typed: BTreeMap<String, String> = set.into_iter().collect();
    let changes = !typed.is_empty();
    let shown = match based_on {
        Some(version) => host.configure_version(name, version, &typed, &operator()).await,
        None if changes => host.configure(name, &typed, &operator()).await,
        None => host.form(name).await,
    };
    let shown = view::InstanceForm::from(&shown?);
    if json {
        show::json(&shown)?;
    } else {
        show_form(&shown);
    }
    if !changes || shown.saved {
        return Ok(ExitStatus::Done);
    }
    Err(Failure::form(&shown.form))
}

fn show_form(shown: &view::InstanceForm) {
    show::line(show::form_table(&shown.form).to_string());
    show::line(format!(
        "instance `{}`, version {}: {}",
        shown.instance.name, shown.instance.version, shown.instance.state
    ));
    for authority in &shown.instance.authorities {
        let how = if authority.client_certificate {
            "with the certificate"
        } else {
            "without a certificate"
        };
        show::line(format!("  reaches {} {how}", authority.name));
    }
}

/// The actor that the record names for a change: the user who runs the command, through `sudo` or not.
pub(super) fn operator() -> Actor {
    operator_of(|variable| std::env::var(variable).ok())
}

fn operator_of(environment: impl Fn(&str) -> Option<String>) -> Actor {
    let named = ["SUDO_USER", "USER"].into_iter().filter_map(environment);
    let name = named.into_iter().find(|name| !name.is_empty());
    Actor::operator(name.unwrap_or_else(|| "operator".to_owned()))
}

async fn instances(host: &Host, json: bool) -> Outcome {
    let instances = host.record().instances().await?;
    let views: Vec<_> = instances.iter().map(view::Instance::from).collect();
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Instance", "State", "Currency", "Certificate"]);
    for instance in &views {
        let thumbprint = instance.certificate_thumbprint.as_deref();
        table.add_row([
            instance.name.as_str(),
            &instance.state,
            &instance.currency,
            thumbprint.unwrap_or_default(),
        ]);
    }
    show::line(table.to_string());
    Ok(ExitStatus::Done)
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

async fn simulator(arguments: &SimulatorArguments) -> Outcome {
    // An absolute path, so that what the simulator prints can be used from another directory.
    let directory = std::path::absolute(&arguments.directory).map_err(machine_failure)?;
    let options = SimulatorOptions {
        service_address: arguments.service_address,
        login_address: arguments.login_address,
        answer_after: Duration::from_millis(arguments.answer_after_ms),
        forgets_purchases: arguments.forgets_purchases,
        ..SimulatorOptions::new(&directory)
    };
    let started = demo::start_simulator(options).await;
    let mut simulator = started.map_err(machine_failure)?;
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
    tokio::signal::ctrl_c().await.map_err(machine_failure)?;
    simulator.stop().await;
    Ok(ExitStatus::Done)
}

/// Opens a way in without certificates, and writes the certificate and the private key that an adapter signs with.
/// A key file that is new can be read by its owner only.
async fn open_to_all(
    simulator: &mut Simulator,
    lent: &IssuedCertificate,
    directory: &Path,
) -> anyhow::Result<PlainHttp> {
    let addresses = simulator.accept_plain_http_without_certificates(lent).await?;
    let identity = directory.join("identity");
    write_identity(lent, &identity).with_context(|| format!("`{}` can't be written", identity.display()))?;
    show::note(format!(
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
    std::fs::write(folder.join("certificate.pem"), &lent.certificate_pem)?;
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(folder.join("private-key.pem"))?;
    file.write_all(lent.private_key_pem.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_the_user_behind_sudo_then_the_user_then_nobody_in_particular() {
        for (variables, name) in [
            (&[("SUDO_USER", "maria"), ("USER", "root")][..], "maria"),
            (&[("SUDO_USER", ""), ("USER", "olivia")], "olivia"),
            (&[("USER", "olivia")], "olivia"),
            (&[("USER", "")], "operator"),
            (&[], "operator"),
        ] {
            let value = |name: &str| {
                let set = variables.iter().find(|(variable, _)| *variable == name);
                set.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(operator_of(value), Actor::operator(name), "{variables:?}");
        }
    }
}

//! Runs each command: one call of the library, and what is shown of its answer.

use std::time::Duration;

use host_harness::Host;

use super::args::{Arguments, Command};
use super::certificates::{self, CertificateCommand};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{pfx_code, read_pfx};
use super::instances::{self, InstanceCommand};
use super::{
    assets, demo, invoices, mail, orders, prerequisites, products, replay, services, simulator, trace, worker,
};

/// Runs one command to its end.
pub(super) async fn run(arguments: Arguments) -> Outcome {
    let json = arguments.json;
    if arguments.record.is_some() && !arguments.command.opens_host() {
        let message = "this command can't be recorded: it does not work on the data directory";
        return Err(Failure::usage(message).hint("leave --record out"));
    }
    match &arguments.command {
        Command::Simulator(simulator_arguments) => return simulator::simulator(simulator_arguments).await,
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
            certificates::import(&host, &pfx, &code, json).await
        }
        Command::Certificate(command) => certificates::run(&host, command, json).await,
        Command::Instance(InstanceCommand::Create(create)) => {
            instances::create_instance(&host, create, json).await
        }
        Command::Instance(InstanceCommand::Configure { name, set, based_on }) => {
            instances::configure(&host, &name, set, based_on, json).await
        }
        Command::Instance(InstanceCommand::Show { name }) => {
            instances::configure(&host, &name, Vec::new(), None, json).await
        }
        Command::Instance(InstanceCommand::List) => instances::instances(&host, json).await,
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

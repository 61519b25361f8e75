//! Runs each command: one call of the library, and what is shown of its answer.

use host_harness::Host;

use super::args::{Arguments, Command, HostCommand, RecordsCommand};
use super::config::ConfigCommand;
use super::database::Place;
use super::failure::{Failure, Outcome};
use super::host_keys::KeyCommand;
use super::input::{pfx_code, read_pfx};
use super::{
    alerts, api_clients, assets, audit, bench, certificates, charges, command_line, completions, config,
    customers, database, demo, demo_console, find, host_key, host_keys, init, instances, mail, manual,
    operators, orders, platforms, plugins, prerequisites, products, reconcile, record, replay, report, serve,
    services, simulator, status, trace, webhooks, worker, worker_list,
};

/// Runs one command to its end.
pub(super) async fn run(arguments: Arguments) -> Outcome {
    let owner = arguments.owner.clone();
    let ran = run_command(arguments).await;
    match owner {
        None => ran,
        Some(owner) => ran.map_err(|failure| failure.of_owner(&owner)),
    }
}

async fn run_command(arguments: Arguments) -> Outcome {
    let Arguments {
        data_dir,
        settings,
        database,
        database_file,
        host_key_file,
        host_key_command,
        plugin,
        owner,
        json,
        record: recording,
        command,
        ..
    } = arguments;
    let is_plugin_named = settings.is_on_command_line("plugin");
    if is_plugin_named && !command.takes_plugin() {
        let message =
            "--plugin can't be used with this command: each instance is worked on by its own plugin";
        return Err(Failure::usage(message).hint(
            "`bss-host plugin trust FILE` and `bss-host plugin upgrade INSTANCE` give an instance another version",
        ));
    }
    if owner.is_some() && !command.takes_owner() {
        let message = "--owner can't be used with this command, which works for all owners or for none";
        return Err(Failure::usage(message).hint("leave --owner out"));
    }
    let plugin = plugin.unwrap_or_else(plugins::default_plugin);
    if recording.is_some() && !command.opens_host() {
        let message = "--record can't be used with this command, which does not open the data directory";
        return Err(Failure::usage(message).hint("leave --record out"));
    }
    let host_key = || {
        let asked = host_key::Asked {
            file: host_key_file,
            command: host_key_command,
        };
        host_key::source(&asked, &settings)
    };
    let database = || {
        let asked = database::Asked {
            address: database,
            file: database_file,
        };
        database::address(&asked, &settings)
    };
    let command = match command {
        Command::OnHost(command) => command,
        Command::OnRecord(command) => {
            let (host_key, database) = (host_key()?, database()?);
            let place = Place {
                data_dir: &data_dir,
                host_key: &host_key,
                database: database.as_ref(),
            };
            return on_record(place, command, json).await;
        }
        Command::Replay(asked) => return replay::run(&asked, &data_dir, &plugin, json).await,
        Command::Prerequisites(asked) => {
            let code = pfx_code(asked.code_file.as_deref())?;
            return prerequisites::run(&asked, &read_pfx(&asked.pfx)?, &code, json).await;
        }
        Command::Simulator(asked) => return simulator::simulator(&asked).await,
        Command::Bench(asked) => return bench::run(&data_dir, &plugin, &asked, json).await,
        Command::Demo(asked) if asked.console => return demo_console::run(&plugin, &data_dir, json).await,
        Command::Demo(asked) => return demo::run(&plugin, &asked, json).await,
        Command::Config(ConfigCommand::Show) => {
            return config::show(&settings, &command_line::command(), &data_dir, json);
        }
        Command::Completions { shell } => return completions::run(command_line::command(), shell),
        Command::Man(asked) => return manual::run(command_line::command(), &asked),
    };
    let builder = Host::builder(&data_dir)
        .plugin_file(&plugin)
        .host_key(host_key()?)
        .database(database()?)
        .proxies(settings.proxies()?);
    let builder = match &recording {
        Some(file) => builder.recording(replay::recorder(file)?),
        None => builder,
    };
    let host = builder.open().await?;
    let host = match owner {
        Some(owner) => host.for_owner(owner),
        None => host,
    };
    match command {
        HostCommand::Certificate(command) => certificates::run(&host, command, json).await,
        HostCommand::Plugin(command) => plugins::run(&host, command, &plugin, json).await,
        HostCommand::Instance(command) => instances::run(&host, command, is_plugin_named, json).await,
        HostCommand::Services(command) => services::run(&host, command, json).await,
        HostCommand::Product(command) => products::run(&host, command, json).await,
        HostCommand::Run(worker) => worker::run(&host, &worker, json).await,
        HostCommand::Worker(command) => worker_list::run(&host, &command, json).await,
        HostCommand::Serve(asked) => serve::run(&host, &data_dir, &asked, json).await,
        HostCommand::Operator(command) => operators::run(&host, command, json).await,
        HostCommand::ApiClient(command) => api_clients::run(&host, command, json).await,
        HostCommand::Platform(command) => platforms::run(&host, command, json).await,
        HostCommand::Order(command) => orders::run(&host, command, json).await,
        HostCommand::Asset(command) => assets::run(&host, command, json).await,
        HostCommand::Charge(command) => charges::run(&host, command, json).await,
        HostCommand::Credit(command) => charges::run_credits(&host, command, json).await,
        HostCommand::Report(asked) => report::run(&host, &asked, json).await,
        HostCommand::Reconcile(asked) => reconcile::run(&host, &asked, json).await,
        HostCommand::Mail(command) => mail::run(&host, command, json).await,
        HostCommand::Customer(command) => customers::run(&host, command, json).await,
        HostCommand::Find(asked) => find::run(&host, &asked, json).await,
        HostCommand::Status(asked) => status::run(&host, &asked, json).await,
        HostCommand::Alert(command) => alerts::run(&host, command, json).await,
        HostCommand::Webhook(command) => webhooks::run(&host, command, json).await,
        HostCommand::Audit(command) => audit::run(&host, command, json).await,
        HostCommand::Trace(asked) => trace::run(&host, &data_dir, &asked, json).await,
    }
}

/// Runs a command about the record itself.
async fn on_record(place: Place<'_>, command: RecordsCommand, json: bool) -> Outcome {
    match command {
        RecordsCommand::Init(asked) => init::run(place, &asked, json).await,
        RecordsCommand::Record(command) => record::run(place, command, json).await,
        RecordsCommand::Key(KeyCommand::New { out }) => host_keys::make(out.as_deref(), json),
        RecordsCommand::Key(KeyCommand::List) => host_keys::list(place, json).await,
        RecordsCommand::Key(KeyCommand::Rotate) => host_keys::rotate(place, json).await,
    }
}

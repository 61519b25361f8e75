//! `api-client …`: programs that may ask this host over HTTP, and their keys.

use bss_model::ApiScope;
use clap::{Args, Subcommand};
use host_harness::{ApiClientRequest, Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::former_key::KeepFormer;
use super::input::operator;
use super::output::Table;
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum ApiClientCommand {
    /// Make a client, and show its key this once
    Create(CreateClient),
    /// Show the clients, also those that were revoked; never a key
    List,
    /// Give a client another key, and show it this once
    Rotate {
        /// The client's name
        name: String,
        #[command(flatten)]
        former: KeepFormer,
    },
    /// Revoke a client for good: its keys open nothing any more
    Revoke {
        /// The client's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateClient {
    /// The client's name, by which acts on record name it. A name is never used again
    name: String,
    /// What the client may do, separated by commas
    #[arg(
        long,
        required = true,
        value_enum,
        value_delimiter = ',',
        value_name = "SCOPE"
    )]
    scopes: Vec<Scope>,
    /// An instance that the client may use; may be repeated. Without it, the client may use all of its owner's
    #[arg(long, value_name = "NAME")]
    instance: Vec<String>,
}

/// A scope, as it is typed in and shown.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Scope {
    /// See everything but product keys and activation links, forms and certificates, and who did what
    Read,
    /// Place and check orders, have refused licenses tried again, and e-mails that were not sent
    Order,
    /// Withdraw and cancel what was ordered
    Cancel,
    /// Change settings, products and prices; without --instance, make and remove instances and certificates
    Configure,
    /// Be shown product keys and activation links, and have them mailed again, to any address
    Reveal,
    /// See metrics and who did what, and take note of alerts
    Administer,
}

impl From<Scope> for ApiScope {
    fn from(typed: Scope) -> Self {
        match typed {
            Scope::Read => Self::Read,
            Scope::Order => Self::Order,
            Scope::Cancel => Self::Cancel,
            Scope::Configure => Self::Configure,
            Scope::Reveal => Self::Reveal,
            Scope::Administer => Self::Administer,
        }
    }
}

pub(super) async fn run(host: &Host, command: ApiClientCommand, json: bool) -> Outcome {
    match command {
        ApiClientCommand::Create(asked) => {
            let request = ApiClientRequest {
                name: asked.name,
                scopes: asked.scopes.into_iter().map(ApiScope::from).collect(),
                instances: Some(asked.instance).filter(|instances| !instances.is_empty()),
            };
            show_key(&host.create_api_client(request, &operator()).await?, json)
        }
        ApiClientCommand::Rotate { name, former } => {
            let keep_former = former.duration();
            show_key(&host.rotate_api_key(&name, keep_former, &operator()).await?, json)
        }
        ApiClientCommand::Revoke { name } => {
            let revoked = host.revoke_api_client(&name, &operator()).await?;
            match json {
                true => show::json(&revoked)?,
                false => output::line(format!(
                    "API client {} is revoked: its keys open nothing",
                    revoked.name
                )),
            }
            Ok(ExitStatus::Done)
        }
        ApiClientCommand::List => {
            let clients = host.api_clients().await?;
            match json {
                true => show::json(&clients)?,
                false => output::table(&table(&clients)),
            }
            Ok(ExitStatus::Done)
        }
    }
}

/// Shows a new key: alone on the standard output, so that it can be piped into a vault.
fn show_key(new: &view::NewApiKey, json: bool) -> Outcome {
    if json {
        show::json(new)?;
    } else {
        output::line(new.key.expose());
        output::note(format!(
            "this is the key of API client {}, and nobody is shown it again",
            new.client.name
        ));
        if let Some(until) = new.client.former_key_until_ms {
            output::note(format!("the former key is taken until {}", show::time(until)));
        }
    }
    Ok(ExitStatus::Done)
}

fn table(clients: &[view::ApiClient]) -> Table {
    let mut table = show::table(&[
        "Client",
        "Owner",
        "Scopes",
        "Instances",
        "Made",
        "Key since",
        "State",
    ]);
    for client in clients {
        table.add_row([
            client.name.clone(),
            client.owner.clone().unwrap_or_default(),
            client.scopes.join(", "),
            instances(client),
            show::time(client.created_at_ms),
            show::time(client.rotated_at_ms.unwrap_or(client.created_at_ms)),
            match client.revoked_at_ms {
                Some(at) => format!("revoked since {}", show::time(at)),
                None => "usable".to_owned(),
            },
        ]);
    }
    table
}

/// The instances of a client, by name; one that was removed by its id.
fn instances(client: &view::ApiClient) -> String {
    let Some(instances) = &client.instances else {
        return "all".to_owned();
    };
    let names = instances
        .iter()
        .map(|bound| show::instance_name(bound.instance.as_deref(), bound.instance_id));
    names.collect::<Vec<_>>().join(", ")
}

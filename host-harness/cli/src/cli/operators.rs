//! `operator …`: people who sign in at the console.

use bss_model::{NewOperator, OperatorRole};
use clap::{Args, Subcommand};
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::input::operator;
use super::output::Table;
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Make an operator, and show the invitation with which he or she chooses a password
    Create {
        /// The operator's name, by which acts on record name him or her. A name is never used again
        name: String,
        #[command(flatten)]
        rights: Rights,
    },
    /// Show the operators
    List,
    /// Invite an operator to choose another password; the present one stays until then
    Invite {
        /// The operator's name
        name: String,
    },
    /// Change what an operator may do
    Change {
        /// The operator's name
        name: String,
        #[command(flatten)]
        rights: Rights,
    },
    /// Keep an operator from signing in, and end all of his or her sessions
    Disable {
        /// The operator's name
        name: String,
    },
    /// Let a disabled operator sign in again
    Enable {
        /// The operator's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Rights {
    /// What the operator may do
    #[arg(long, value_enum)]
    role: Role,
    /// The operator may be shown product keys and activation links, one by one
    #[arg(long)]
    reveal: bool,
}

/// A role, as it is typed in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Role {
    /// See everything but product keys, forms and certificates, and who did what
    Reader,
    /// Also order, withdraw, cancel, and decide about requests for that
    Operator,
    /// Also set up instances, certificates, prices, platforms and operators
    Administrator,
}

impl From<Role> for OperatorRole {
    fn from(typed: Role) -> Self {
        match typed {
            Role::Reader => Self::Reader,
            Role::Operator => Self::Operator,
            Role::Administrator => Self::Administrator,
        }
    }
}

pub(super) async fn run(host: &Host, command: OperatorCommand, json: bool) -> Outcome {
    match command {
        OperatorCommand::Create { name, rights } => {
            let new = NewOperator {
                name,
                role: rights.role.into(),
                may_reveal: rights.reveal,
            };
            show_invitation(&host.create_operator(new, &operator()).await?, json)
        }
        OperatorCommand::Invite { name } => {
            show_invitation(&host.invite_operator(&name, &operator()).await?, json)
        }
        OperatorCommand::Change { name, rights } => {
            let (role, actor) = (rights.role.into(), operator());
            show_one(
                &host.change_operator(&name, role, rights.reveal, &actor).await?,
                json,
            )
        }
        OperatorCommand::Disable { name } => {
            show_one(&host.disable_operator(&name, &operator()).await?, json)
        }
        OperatorCommand::Enable { name } => show_one(&host.enable_operator(&name, &operator()).await?, json),
        OperatorCommand::List => {
            let operators = host.operators().await?;
            match json {
                true => show::json(&operators)?,
                false => output::table(&table(&operators)),
            }
            Ok(ExitStatus::Done)
        }
    }
}

/// Shows an invitation: alone on the standard output, so that it can be piped.
fn show_invitation(invited: &view::InvitedOperator, json: bool) -> Outcome {
    if json {
        show::json(invited)?;
    } else {
        output::line(invited.invitation.expose());
        output::note(format!(
            "behind the address of `bss-host serve`, this is the page on which operator {} chooses a password, once, within a day; \
             whoever opens it first becomes {}",
            invited.operator.name, invited.operator.name
        ));
    }
    Ok(ExitStatus::Done)
}

fn show_one(shown: &view::Operator, json: bool) -> Outcome {
    match json {
        true => show::json(shown)?,
        false => output::table(&table(std::slice::from_ref(shown))),
    }
    Ok(ExitStatus::Done)
}

fn table(operators: &[view::Operator]) -> Table {
    let mut table = show::table(&["Operator", "Role", "Product keys", "Made", "State"]);
    for shown in operators {
        table.add_row([
            shown.name.clone(),
            shown.role.clone(),
            match shown.may_reveal {
                true => "may be shown".to_owned(),
                false => String::new(),
            },
            show::time(shown.created_at_ms),
            state(shown),
        ]);
    }
    table
}

fn state(shown: &view::Operator) -> String {
    match (shown.disabled_at_ms, shown.has_password, shown.invited_until_ms) {
        (Some(since), _, _) => format!("disabled since {}", show::time(since)),
        (None, _, Some(until)) => format!("invited until {}", show::time(until)),
        (None, true, None) => "may sign in".to_owned(),
        (None, false, None) => "has no password".to_owned(),
    }
}

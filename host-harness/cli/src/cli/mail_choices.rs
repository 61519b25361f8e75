//! `mail choices`: which e-mails an instance sends, and how many licenses one has.

use bss_model::MailChoices;
use clap::{Args, ValueEnum};
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::input::operator;
use super::{output, show};

#[derive(Debug, Args)]
pub(super) struct ChoicesArguments {
    /// The instance's name. Without further options, its choices are shown
    instance: String,
    /// Whether customers are told of returns and their credits
    #[arg(long, value_name = "ON|OFF")]
    on_return: Option<Switch>,
    /// Whether the licenses of an order are in one e-mail, which waits for all of them, two hours at most; else each has its own
    #[arg(long, value_name = "ON|OFF")]
    per_order: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) async fn run(host: &Host, asked: &ChoicesArguments, json: bool) -> Outcome {
    let instance = host.named_instance(&asked.instance).await?;
    let record = host.record();
    let mut choices = record.mail_choices(instance.id).await?;
    if asked.on_return.is_some() || asked.per_order.is_some() {
        let switched = |switch: Option<Switch>, now| switch.map_or(now, |switch| switch == Switch::On);
        choices = MailChoices {
            on_return: switched(asked.on_return, choices.on_return),
            per_order: switched(asked.per_order, choices.per_order),
        };
        record
            .save_mail_choices(instance.id, choices, &operator())
            .await?;
    }
    if json {
        show::json(&view::MailChoices::new(&instance.name, instance.id, choices))?;
        return Ok(ExitStatus::Done);
    }
    output::line(format!(
        "`{}` sends an e-mail for each {}, and {} for a return and its credit",
        instance.name,
        if choices.per_order { "order" } else { "license" },
        if choices.on_return { "one" } else { "none" }
    ));
    Ok(ExitStatus::Done)
}

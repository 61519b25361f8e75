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
    returns: Option<Switch>,
    /// What has an e-mail of its own: each license, or each order, whose e-mail waits for all of its licenses, two hours at most
    #[arg(long, value_name = "WHAT")]
    one_per: Option<OnePer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnePer {
    License,
    Order,
}

pub(super) async fn run(host: &Host, asked: &ChoicesArguments, json: bool) -> Outcome {
    let instance = host.named_instance(&asked.instance).await?;
    let record = host.record();
    let mut choices = record.mail_choices(instance.id).await?;
    if asked.returns.is_some() || asked.one_per.is_some() {
        choices = MailChoices {
            on_return: asked
                .returns
                .map_or(choices.on_return, |switch| switch == Switch::On),
            per_order: asked
                .one_per
                .map_or(choices.per_order, |one_per| one_per == OnePer::Order),
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

//! `instance limit`: the most that an instance sells in a day.

use clap::Args;
use host_harness::{Host, Price, Spending, SpendingToday, view};

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::operator;
use super::{output, show};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("limit").multiple(false))]
pub(super) struct LimitInstance {
    /// The instance's name
    name: String,
    /// The most of a day, as in `--per-day 5000.00 --currency EUR`. Without any limit, the present one is shown
    #[arg(long, group = "limit", requires = "currency", value_name = "AMOUNT")]
    per_day: Option<String>,
    /// The currency of the amount, ISO 4217
    #[arg(long, requires = "per_day", value_name = "CODE")]
    currency: Option<String>,
    /// The most of a day in units of products, where products have no prices
    #[arg(long, group = "limit", value_name = "N")]
    units_per_day: Option<u64>,
    /// Remove the limit
    #[arg(long, group = "limit")]
    none: bool,
}

/// Sets or shows the limit of an instance.
pub(super) async fn run(host: &Host, asked: LimitInstance, json: bool) -> Outcome {
    let instance = host.instance(&asked.name).await?;
    let limit = limit(&asked)?;
    if asked.none || limit.is_some() {
        instance.limit_spending(limit.as_ref(), &operator()).await?;
    }
    let today = instance.spending_today().await?;
    if json {
        show::json(&view::SpendingToday::from(&today))?;
    } else {
        output::line(sentence(&today));
    }
    Ok(ExitStatus::Done)
}

fn limit(asked: &LimitInstance) -> Result<Option<Spending>, Failure> {
    let Some((amount, currency)) = asked.per_day.as_ref().zip(asked.currency.as_ref()) else {
        return Ok(asked.units_per_day.map(Spending::Units));
    };
    match Price::from_amount(amount, currency) {
        Some(price) => Ok(Some(Spending::Amount(price))),
        None => Err(Failure::usage(format!(
            "`{amount}` is no amount in `{currency}`, which is written as in `--per-day 5000.00 --currency EUR`"
        ))),
    }
}

/// What an instance has sold today, and may.
pub(super) fn sentence(today: &SpendingToday) -> String {
    match &today.limit {
        Some(limit) => format!(
            "sells at most {limit} a day (UTC); ordered today: {}",
            today.used_of(limit)
        ),
        None => format!(
            "no spending limit; ordered today: {}, {}",
            today.used,
            Spending::Units(today.used_units)
        ),
    }
}

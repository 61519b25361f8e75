//! `bss-host reconcile`: the record of an instance beside its vendor's statement.

use std::path::PathBuf;

use bss_model::{ErrorKind, PricesAre, Statement};
use clap::Args;
use host_harness::Host;
use host_harness::view::{Reconciliation, StatementDifference};

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::key_value;
use super::period::PeriodArguments;
use super::statement::{self, Column as StatementColumn, Dialect};
use super::{output, show};

/// The states of statements that say that a license is returned.
const RETURNED: [&str; 7] = [
    "returned",
    "return accepted",
    "refunded",
    "credited",
    "cancelled",
    "canceled",
    "reversed",
];

const COLUMNS: [Column; 9] = [
    Column::Of("kind"),
    Column::Of("line"),
    Column::Of("licenseTokenId"),
    Column::Of("transactionId"),
    Column::Of("productCode"),
    Column::Of("orderId"),
    Column::Of("assetId"),
    Column::Of("expected"),
    Column::Of("found"),
];

#[derive(Debug, Args)]
pub(super) struct ReconcileArguments {
    /// The instance whose vendor has sent the statement
    #[arg(long, value_name = "NAME")]
    instance: String,
    /// The statement: a CSV file whose first line names its columns
    #[arg(long, value_name = "FILE")]
    statement: PathBuf,
    /// A column of the statement, as in `--column license-token=TokenId`; may be repeated. There are `license-token`,
    /// `transaction`, `product`, `price`, `currency`, `date` and `status`, of which one of the first two is needed
    #[arg(long, value_name = "WHAT=NAME", value_parser = key_value, required = true)]
    column: Vec<(String, String)>,
    /// A status that says that a license is returned; may be repeated [default: returned, return accepted, refunded, credited,
    /// cancelled, canceled, reversed]
    #[arg(long, value_name = "STATUS")]
    returned: Vec<String>,
    /// What separates the columns, `tab` for a tabulator [default: the comma, semicolon or tabulator that the first line has most often]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Prices have a decimal comma
    #[arg(long)]
    decimal_comma: bool,
    /// How dates are written, as in `%d.%m.%Y` or `%m/%d/%Y %H:%M` [default: ISO 8601]
    #[arg(long, value_name = "FORMAT")]
    date_format: Option<String>,
    /// Prices are those that customers were charged, and are compared with the charges
    #[arg(long)]
    charged_prices: bool,
    #[command(flatten)]
    period: PeriodArguments,
    #[command(flatten)]
    csv: CsvOption,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'"' => Ok(*byte),
        _ => Err("a delimiter is one character, such as `;`, or `tab`".to_owned()),
    }
}

pub(super) async fn run(host: &Host, asked: &ReconcileArguments, json: bool) -> Outcome {
    let columns = statement::columns(&asked.column)?;
    let period = asked.period.period()?;
    let names_status = columns.contains_key(&StatementColumn::Status);
    let tells_prices = columns.contains_key(&StatementColumn::Price);
    let returned = match asked.returned.as_slice() {
        [] => RETURNED.map(str::to_owned).to_vec(),
        named => named.iter().map(|status| status.to_lowercase()).collect(),
    };
    let dialect = Dialect {
        columns,
        delimiter: asked.delimiter,
        decimal_comma: asked.decimal_comma,
        date_format: asked.date_format.clone(),
        returned,
    };
    let instance = host.named_instance(&asked.instance).await?;
    let lines = statement::read(&asked.statement, &dialect, &period)?;
    let statement = Statement {
        tells_returns: names_status || lines.iter().any(|line| line.is_returned),
        lines,
        prices: match asked.charged_prices {
            true => PricesAre::Charged,
            false => PricesAre::TheVendors,
        },
        since_ms: period.since_ms,
        until_ms: period.until_ms,
    };
    let outcome = host.reconciliation(&instance, &statement).await?;
    match asked.csv.form(json) {
        Form::Json => show::json(&outcome)?,
        Form::Csv => csv_lines::write(&outcome.differences, &COLUMNS)?,
        Form::Table => show_outcome(&outcome),
    }
    if !statement.tells_returns {
        output::note("returns were not compared: no column is named with `--column status=NAME`");
    }
    match (tells_prices, statement.prices) {
        (false, _) => output::note("prices were not compared: no column is named with `--column price=NAME`"),
        (true, PricesAre::TheVendors) => output::note(
            "what the vendor takes for a license is not on record: prices were compared with those of the statement's other \
             licenses of the same product",
        ),
        (true, PricesAre::Charged) => {}
    }
    if outcome.is_of_another_time {
        let message = format!(
            "the statement seems to be of another time: {}",
            match outcome.lines {
                0 => "none of its lines is of the time that was compared",
                _ => "its lines are on record, and nothing on record is of the time that was compared",
            }
        );
        let failure = Failure::new(ErrorKind::Invalid, "statement-of-another-time", message);
        return Err(
            failure.hint("compare it with the month that it is of, by `--month`, `--since` and `--until`")
        );
    }
    Ok(match outcome.differences.is_empty() {
        true => ExitStatus::Done,
        false => ExitStatus::Attention,
    })
}

fn show_outcome(outcome: &Reconciliation) {
    if !outcome.differences.is_empty() {
        let mut table = show::table(&["Line", "License", "Product", "Order", "Difference"]);
        for difference in &outcome.differences {
            table.add_row([
                difference.line.map_or_else(String::new, |line| line.to_string()),
                name(difference),
                difference.product_code.clone().unwrap_or_default(),
                difference
                    .order_id
                    .map_or_else(String::new, |order| order.to_string()),
                words(difference),
            ]);
        }
        output::table(&table);
    }
    output::line(format!(
        "{} of the statement beside {} of `{}`: {}",
        show::counted(outcome.lines, "line"),
        show::counted(outcome.licenses, "license"),
        outcome.instance,
        show::counted(outcome.differences.len() as u64, "difference")
    ));
    if outcome.lines_left_out > 0 {
        let lines = show::counted(outcome.lines_left_out, "line");
        output::line(format!("{lines} of another time left out"));
    }
}

/// The license, or the purchase where the license has no name.
fn name(difference: &StatementDifference) -> String {
    let license = difference.license_token_id.as_ref();
    license
        .or(difference.transaction_id.as_ref())
        .cloned()
        .unwrap_or_default()
}

fn words(difference: &StatementDifference) -> String {
    let expected = difference.expected.as_deref().unwrap_or_default();
    let found = difference.found.as_deref().unwrap_or_default();
    match difference.kind.as_str() {
        "bought-there" => "bought there and not here".to_owned(),
        "bought-here" => "bought here and not there".to_owned(),
        "listed-twice" => format!("there twice, as in {expected}"),
        "other-transaction" => format!("another purchase there, {found}; here {expected}"),
        "other-product" => format!("another product there, {found}; here {expected}"),
        "other-price" => format!("another price, {found} in place of {expected}"),
        "returned-there" => "returned there, and not returned and credited here".to_owned(),
        "returned-here" => "returned here and not there".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character_that_is_in_no_value() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        for text in ["", "ab", "a", "\"", "é", ";;"] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }
}

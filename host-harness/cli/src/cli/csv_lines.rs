//! Lists as CSV (RFC 4180), for spreadsheets and imports: the objects that `--json` shows, a row each.

use bss_model::Price;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure};
use super::{output, show};

/// The option of every list that is printed as CSV.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct CsvOption {
    /// Print CSV: a row for each, with the names and values of --json, times in UTC (ISO 8601) and amounts with a decimal point
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// A list is for people, for programs or for spreadsheets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
    Csv,
}

impl CsvOption {
    pub(super) fn form(self, json: bool) -> Form {
        match (json, self.csv) {
            (true, _) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        }
    }
}

/// A column, which names a value of the object by its path, as in `customer.name`. The heading is the path in one word, as in
/// `customerName`. A path through a list names a value of each of its objects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// A text, a number or a word.
    Of(&'static str),
    /// A time, whose path ends in `Ms`; its heading does not.
    Time(&'static str),
    /// Money: the amount, and its currency in a column behind.
    Money(&'static str),
    /// The amount of money whose currency another column has.
    Amount(&'static str),
}

/// Shows a list in its form: as a table, or from the same views as JSON or CSV.
pub(super) fn list<T: Serialize>(
    form: Form,
    views: &[T],
    columns: &[Column],
    table: impl FnOnce(&[T]) -> output::Table,
) -> Outcome {
    match form {
        Form::Table => output::table(&table(views)),
        Form::Json => show::json(&views)?,
        Form::Csv => write(views, columns)?,
    }
    Ok(ExitStatus::Done)
}

/// Writes a header and a row for each view to the standard output.
pub(super) fn write<T: Serialize>(views: &[T], columns: &[Column]) -> Result<(), Failure> {
    line(&columns.iter().copied().flat_map(headings).collect::<Vec<_>>())?;
    views.iter().try_for_each(|view| {
        let object = serde_json::to_value(view).map_err(machine_failure)?;
        line(
            &columns
                .iter()
                .flat_map(|column| cells(&object, *column))
                .collect::<Vec<_>>(),
        )
    })
}

fn line(row: &[String]) -> Result<(), Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(row).map_err(machine_failure)?;
    let bytes = writer.into_inner().map_err(machine_failure)?;
    output::line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
    Ok(())
}

fn headings(column: Column) -> Vec<String> {
    match column {
        Column::Time(path) => vec![heading(path.strip_suffix("Ms").unwrap_or(path))],
        Column::Of(path) | Column::Amount(path) => vec![heading(path)],
        Column::Money(path) => vec![heading(path), format!("{}Currency", heading(path))],
    }
}

/// A path in one word: each name behind the first one begins with a capital letter.
fn heading(path: &str) -> String {
    let mut names = path.split('.');
    let first = names.next().unwrap_or_default().to_owned();
    names.fold(first, |heading, name| {
        let (letter, rest) = name.split_at(name.len().min(1));
        heading + &letter.to_ascii_uppercase() + rest
    })
}

fn cells(object: &Value, column: Column) -> Vec<String> {
    match column {
        Column::Of(path) => {
            let shown: Vec<_> = values(object, path).into_iter().map(text).collect();
            vec![harmless(shown.join("; "))]
        }
        Column::Time(path) => {
            let times = values(object, path).into_iter().filter_map(Value::as_i64);
            vec![times.map(show::time_in_utc).collect::<Vec<_>>().join("; ")]
        }
        Column::Money(path) | Column::Amount(path) => {
            let prices: Vec<Price> = values(object, path).into_iter().filter_map(price).collect();
            let joined = |of: fn(&Price) -> String| prices.iter().map(of).collect::<Vec<_>>().join("; ");
            let mut cells = vec![joined(Price::decimal)];
            if matches!(column, Column::Money(_)) {
                cells.push(joined(|price| price.currency.clone()));
            }
            cells
        }
    }
}

/// The values at a path, without those that are not there.
fn values<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let each = |value: &'a Value| match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => vec![],
        other => vec![other],
    };
    let names = path.split('.');
    names.fold(each(object), |values, name| {
        let of_name = values.into_iter().filter_map(|value| value.get(name));
        of_name.flat_map(each).collect()
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn price(value: &Value) -> Option<Price> {
    Some(Price {
        currency: value.get("currency")?.as_str()?.to_owned(),
        minor_units: value.get("minorUnits")?.as_i64()?,
    })
}

/// A cell that no spreadsheet takes for a formula: names come from shops and vendors. A number stays as it is.
fn harmless(cell: String) -> String {
    let is_number = cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_no_formula_and_a_number_stays_one() {
        for formula in ["=1+1", "@SUM(A1)", "+49", "-x", "-1+1"] {
            assert_eq!(harmless(formula.to_owned()), format!("'{formula}"));
        }
        for plain in ["-249.00", "249.00", "Beispiel = GmbH", ""] {
            assert_eq!(harmless(plain.to_owned()), plain);
        }
    }

    #[test]
    fn a_cell_is_the_value_at_its_path_and_a_heading_the_path() {
        let object = json!({
            "id": "a-1",
            "customer": { "name": "=Beispiel" },
            "placedAtMs": 1_795_000_000_007_i64,
            "isNew": true,
            "version": 3,
            "price": { "currency": "KWD", "minorUnits": -1 },
            "total": null,
            "names": ["b", "c"],
            "lines": [{ "code": "p" }, { "code": null }, { "code": "q" }],
        });
        for (column, heading, cell) in [
            (Column::Of("id"), &["id"][..], &["a-1"][..]),
            (Column::Of("customer.name"), &["customerName"], &["'=Beispiel"]),
            (
                Column::Time("placedAtMs"),
                &["placedAt"],
                &["2026-11-18T11:06:40.007Z"],
            ),
            (Column::Of("isNew"), &["isNew"], &["true"]),
            (Column::Of("version"), &["version"], &["3"]),
            (
                Column::Money("price"),
                &["price", "priceCurrency"],
                &["-0.001", "KWD"],
            ),
            (Column::Money("total"), &["total", "totalCurrency"], &["", ""]),
            (Column::Amount("price"), &["price"], &["-0.001"]),
            (Column::Of("names"), &["names"], &["b; c"]),
            (Column::Of("lines.code"), &["linesCode"], &["p; q"]),
            (Column::Of("missing.at"), &["missingAt"], &[""]),
        ] {
            assert_eq!(headings(column), heading);
            assert_eq!(cells(&object, column), cell, "{column:?}");
        }
    }
}

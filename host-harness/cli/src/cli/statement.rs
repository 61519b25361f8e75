//! A vendor's statement, read from a CSV file whose columns the operator names.

use std::collections::BTreeMap;
use std::path::Path;

use bss_model::{ErrorKind, Problem, StatementAmount, StatementLine, StatementPrice};
use csv::StringRecord;

use super::csv_file;
use super::failure::Failure;
use super::period::Period;

/// The code of a statement that can't be compared.
const STATEMENT_INVALID: &str = "statement-invalid";

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    LicenseToken,
    Transaction,
    Product,
    Price,
    Currency,
    Date,
    Status,
}

/// The columns' words on the command line.
const COLUMNS: [(&str, Column); 7] = [
    ("license-token", Column::LicenseToken),
    ("transaction", Column::Transaction),
    ("product", Column::Product),
    ("price", Column::Price),
    ("currency", Column::Currency),
    ("date", Column::Date),
    ("status", Column::Status),
];

/// How a statement is to be read.
pub(super) struct Dialect {
    /// The names of the columns in the file's first line.
    pub(super) columns: BTreeMap<Column, String>,
    /// `None`: that of the first line.
    pub(super) delimiter: Option<u8>,
    pub(super) decimal_comma: bool,
    /// `None`: ISO 8601.
    pub(super) date_format: Option<String>,
    /// The states that say that a license is returned, in small letters.
    pub(super) returned: Vec<String>,
}

/// Reads the columns as they are named on the command line.
pub(super) fn columns(named: &[(String, String)]) -> Result<BTreeMap<Column, String>, Failure> {
    let mut columns = BTreeMap::new();
    for (word, name) in named {
        let Some((_, column)) = COLUMNS.iter().find(|(known, _)| known == word) else {
            let known = COLUMNS.map(|(word, _)| word).join(", ");
            return Err(Failure::usage(format!("`--column {word}=…` is not known"))
                .hint(format!("there are {known}")));
        };
        if columns.insert(*column, name.clone()).is_some() {
            return Err(Failure::usage(format!("`--column {word}=…` is given twice")));
        }
    }
    if !columns.contains_key(&Column::LicenseToken) && !columns.contains_key(&Column::Transaction) {
        let message = "a statement is compared by its licenses or its transactions";
        return Err(Failure::usage(message)
            .hint("name the column with `--column license-token=NAME` or `--column transaction=NAME`"));
    }
    Ok(columns)
}

/// Reads all lines of a statement. Where one can't be read, none is returned: each bad line is named.
pub(super) fn read(path: &Path, dialect: &Dialect, period: &Period) -> Result<Vec<StatementLine>, Failure> {
    parse(&csv_file::text_of(path, "the statement")?, dialect, period)
}

fn parse(text: &str, dialect: &Dialect, period: &Period) -> Result<Vec<StatementLine>, Failure> {
    let mut records = csv_file::records(text, dialect.delimiter);
    let header = match records.next() {
        None => {
            return Err(Failure::new(
                ErrorKind::Invalid,
                STATEMENT_INVALID,
                "the statement is empty",
            ));
        }
        Some((_, Ok(header))) => header,
        Some((line, Err(problem))) => return Err(refused(vec![(line, problem)])),
    };
    let reading = Reading {
        width: header.len(),
        places: places(&header, dialect)?,
        dialect,
        period,
    };
    let (mut lines, mut mistakes) = (Vec::new(), Vec::new());
    for (line, record) in records {
        match record.and_then(|record| reading.line(line, &record)) {
            Ok(read) => lines.push(read),
            Err(problem) => mistakes.push((line, problem)),
        }
    }
    match mistakes.is_empty() {
        true => Ok(lines),
        false => {
            Err(refused(mistakes).hint("correct these lines, or leave them out, such as those of totals"))
        }
    }
}

fn refused(mistakes: Vec<(u64, Problem)>) -> Failure {
    Failure::of_lines(STATEMENT_INVALID, "the statement can't be compared", mistakes)
}

/// The places of the columns that were named.
fn places(header: &StringRecord, dialect: &Dialect) -> Result<BTreeMap<Column, usize>, Failure> {
    let mut places = BTreeMap::new();
    for (column, name) in &dialect.columns {
        let mut found = header
            .iter()
            .enumerate()
            .filter(|(_, title)| *title == name.trim());
        let message = match (found.next(), found.next()) {
            (Some((place, _)), None) => {
                places.insert(*column, place);
                continue;
            }
            (Some(_), Some(_)) => format!("the statement has several columns `{name}`"),
            (None, _) => format!("the statement has no column `{name}`"),
        };
        let titles: Vec<_> = header.iter().map(|title| format!("`{title}`")).collect();
        let hint = format!("its first line has {}", titles.join(", "));
        return Err(Failure::new(ErrorKind::Invalid, STATEMENT_INVALID, message).hint(hint));
    }
    Ok(places)
}

/// How the lines below the first one are read.
struct Reading<'a> {
    width: usize,
    places: BTreeMap<Column, usize>,
    dialect: &'a Dialect,
    period: &'a Period,
}

impl Reading<'_> {
    /// Reads a line, or says what is wrong with it.
    fn line(&self, line: u64, record: &StringRecord) -> Result<StatementLine, Problem> {
        if record.len() != self.width {
            let message = format!(
                "it has {} fields, and the first line {}",
                record.len(),
                self.width
            );
            return Err(Problem::new("other-number-of-fields", message, ""));
        }
        let cell = |column| {
            let text = record.get(*self.places.get(&column)?)?;
            // Spreadsheets are told so that digits are a text.
            let quoted = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"'));
            let text = quoted.unwrap_or(text).trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let (license_token, transaction) = (cell(Column::LicenseToken), cell(Column::Transaction));
        if license_token.is_none() && transaction.is_none() {
            let message = "it names neither a license nor a transaction";
            return Err(Problem::new("names-no-license", message, ""));
        }
        let amount = cell(Column::Price).map(|text| self.amount(&text)).transpose()?;
        let at_ms = cell(Column::Date).map(|text| self.time(&text)).transpose()?;
        let currency = cell(Column::Currency).map(|text| text.to_uppercase());
        let status = cell(Column::Status).map(|text| text.to_lowercase());
        let is_given_back = amount.is_some_and(StatementAmount::is_negative);
        Ok(StatementLine {
            line,
            license_token,
            transaction,
            product: cell(Column::Product),
            price: amount.map(|amount| StatementPrice { amount, currency }),
            at_ms,
            is_returned: is_given_back
                || status.is_some_and(|status| self.dialect.returned.contains(&status)),
        })
    }

    fn amount(&self, text: &str) -> Result<StatementAmount, Problem> {
        let amount = StatementAmount::parse(text, self.dialect.decimal_comma);
        amount.ok_or_else(|| {
            let message = match self.dialect.decimal_comma {
                false => format!("`{text}` is no price with a decimal point; `--decimal-comma` reads commas"),
                true => format!("`{text}` is no price with a decimal comma"),
            };
            Problem::new("not-an-amount", message, "")
        })
    }

    fn time(&self, text: &str) -> Result<i64, Problem> {
        let form = self.dialect.date_format.as_deref();
        self.period.read_time(text, form).ok_or_else(|| {
            let message = match form {
                Some(form) => format!("`{text}` is no date like `{form}`"),
                None => {
                    format!("`{text}` is no date as in 2026-11-30; `--date-format %d.%m.%Y` reads 30.11.2026")
                }
            };
            Problem::new("not-a-date", message, "")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::period::PeriodArguments;

    fn dialect(decimal_comma: bool) -> Dialect {
        let named = [
            ("license-token", "Token"),
            ("price", "Preis (€)"),
            ("currency", "Währung"),
            ("date", "Datum"),
            ("status", "Status"),
        ];
        let named = named.map(|(word, name)| (word.to_owned(), name.to_owned()));
        Dialect {
            columns: columns(&named).unwrap_or_else(|_| panic!("they are columns")),
            delimiter: None,
            decimal_comma,
            date_format: decimal_comma.then(|| "%d.%m.%Y".to_owned()),
            returned: vec!["returned".to_owned()],
        }
    }

    fn read_all(bytes: &[u8], decimal_comma: bool) -> Result<Vec<StatementLine>, String> {
        let period = PeriodArguments::of_all_time("UTC").period();
        let period = period.unwrap_or_else(|_| panic!("it is a period"));
        let read = parse(&csv_file::decoded(bytes), &dialect(decimal_comma), &period);
        read.map_err(|failure| failure.lines().join("\n"))
    }

    fn windows_1252(text: &str) -> Vec<u8> {
        let byte = |letter| match letter {
            '€' => 0x80,
            letter => u8::try_from(u32::from(letter)).unwrap(),
        };
        text.chars().map(byte).collect()
    }

    #[test]
    fn a_statement_is_read_in_the_dialect_that_it_was_saved_in() {
        let german = "Token;Nr;Preis (€);Währung;Datum;Status\r\n=\"L-1\";\"1\n2\";1.234,50 €;eur;02.01.1970;Returned\r\n\
                      L-2 ;;7;EUR;;\r\n;;;;;\r\n\"L;3\";;-7,00;EUR;;x\r\n";
        let utf_16: Vec<u8> = "\u{feff}"
            .encode_utf16()
            .chain(german.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        for (bytes, lines_before) in [
            (german.as_bytes().to_vec(), 0),
            (format!("\u{feff}{german}").into_bytes(), 0),
            (format!("\u{feff}sep=;\r\n{german}").into_bytes(), 1),
            (windows_1252(german), 0),
            (utf_16, 0),
        ] {
            let lines = read_all(&bytes, true).unwrap();
            let expected = [
                ("L-1", "1234.5", Some(86_400_000), true, 2),
                ("L-2", "7", None, false, 4),
                ("L;3", "-7", None, true, 6),
            ];
            let expected = expected.map(|(license, amount, at_ms, is_returned, line)| StatementLine {
                line: line + lines_before,
                license_token: Some(license.to_owned()),
                transaction: None,
                product: None,
                price: Some(StatementPrice {
                    amount: StatementAmount::parse(amount, false).unwrap(),
                    currency: Some("EUR".to_owned()),
                }),
                at_ms,
                is_returned,
            });
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn each_bad_line_is_named_and_none_is_read() {
        let header = "Token,Preis (€),Währung,Datum,Status";
        let error = read_all(
            format!(
                "{header}\nL-1,1,EUR,,x\n,1,EUR,,x\nL-3,\"12,50\",EUR,,x\nTotal\nL-4,1,EUR,,x\nL-5,1,EUR,1.2.2026,x\n"
            )
            .as_bytes(),
            false,
        )
        .unwrap_err();
        for part in [
            "line 3: it names neither",
            "line 4: `12,50` is no price",
            "line 5: it has 1 fields",
            "line 7: `1.2.2026` is no date",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("line 2") && !error.contains("line 6"), "{error}");
        let many = format!("{header}\n{}", ",1,,,\n".repeat(100));
        let error = read_all(many.as_bytes(), false).unwrap_err();
        assert!(
            error.contains("line 51:") && !error.contains("line 52:") && error.contains("and 50 more"),
            "{error}"
        );
    }

    #[test]
    fn a_column_that_is_missing_or_there_twice_is_refused() {
        for header in [
            "Token,Preis (€),Datum,Status",
            "Token,Preis (€),Währung,Datum,Status,Token",
        ] {
            let error = read_all(header.as_bytes(), false).unwrap_err();
            assert!(error.contains("column"), "{error}");
        }
        let named = |words: &[&str]| -> Vec<_> {
            let named = words.iter().map(|word| ((*word).to_owned(), "x".to_owned()));
            named.collect()
        };
        for words in [
            &["price"][..],
            &["license-token", "license-token"],
            &["license-token", "tax"],
        ] {
            assert!(columns(&named(words)).is_err(), "{words:?}");
        }
    }
}

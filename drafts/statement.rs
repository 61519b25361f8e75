//! A vendor's statement, read from a CSV file whose columns the operator names.

use std::collections::BTreeMap;
use std::path::Path;

use bss_keys::decoded_text;
use bss_model::{ErrorKind, StatementAmount, StatementLine, StatementPrice};
use csv::{ReaderBuilder, StringRecord};

use super::failure::{Failure, unreadable};

/// The largest file that is read: a million lines are a tenth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Delimiters that are recognized where none is named.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// Bad lines that are named; of more, the number is told.
const BAD_LINES_NAMED: usize = 20;

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    License,
    Transaction,
    Price,
    Currency,
    State,
}

/// The columns' words on the command line.
const COLUMNS: [(&str, Column); 5] = [
    ("license", Column::License),
    ("transaction", Column::Transaction),
    ("price", Column::Price),
    ("currency", Column::Currency),
    ("state", Column::State),
];

/// How a statement is to be read.
pub(super) struct Dialect {
    /// The names of the columns in the file's first line.
    pub(super) columns: BTreeMap<Column, String>,
    /// `None`: that of the first line.
    pub(super) delimiter: Option<u8>,
    pub(super) decimal_comma: bool,
    /// The states that say that a license is returned, in small letters.
    pub(super) returned: Vec<String>,
}

/// Why a statement can't be compared.
#[derive(Debug)]
struct BadStatement {
    message: String,
    hint: String,
}

impl From<BadStatement> for Failure {
    fn from(bad: BadStatement) -> Self {
        let failure = Self::new(ErrorKind::Invalid, "statement-invalid", bad.message);
        failure.hint(bad.hint).on_the_command_line()
    }
}

/// Reads the columns as they are named on the command line.
pub(super) fn columns(named: &[(String, String)]) -> Result<BTreeMap<Column, String>, Failure> {
    let mut columns = BTreeMap::new();
    for (word, name) in named {
        let Some((_, column)) = COLUMNS.iter().find(|(known, _)| known == word) else {
            let known = COLUMNS.map(|(word, _)| word).join(", ");
            return Err(
                Failure::usage(format!("`--column {word}=…` is not known")).hint(format!("there are {known}"))
            );
        };
        if columns.insert(*column, name.clone()).is_some() {
            return Err(Failure::usage(format!("`--column {word}=…` is given twice")));
        }
    }
    if !columns.contains_key(&Column::License) && !columns.contains_key(&Column::Transaction) {
        return Err(Failure::usage(
            "a statement is compared by its licenses or its transactions: name the column with `--column license=NAME` or `--column transaction=NAME`",
        ));
    }
    Ok(columns)
}

/// Reads all lines of a statement. Where one can't be read, none is returned: each bad line is named.
pub(super) fn read(path: &Path, dialect: &Dialect) -> Result<Vec<StatementLine>, Failure> {
    let what = format!("the statement `{}`", path.display());
    let bytes = file(path).map_err(|error| unreadable(&what, &error))?;
    Ok(parse(&text(&bytes), dialect)?)
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FILE_BYTES_MAX), &mut bytes)?;
    match bytes.len() as u64 == FILE_BYTES_MAX {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The text of a file as spreadsheets save it: in UTF-8 or UTF-16, with a byte order mark or without, and else in Latin-1, in which
/// every byte is a letter.
fn text(bytes: &[u8]) -> String {
    decoded_text(bytes).map_or_else(
        || bytes.iter().map(|byte| char::from(*byte)).collect(),
        |text| text.trim_start_matches('\u{feff}').to_owned(),
    )
}

/// The delimiter that is in the first line most often.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
    let most = DELIMITERS.into_iter().rev().max_by_key(count);
    most.unwrap_or(b',')
}

fn parse(text: &str, dialect: &Dialect) -> Result<Vec<StatementLine>, BadStatement> {
    let mut reader = ReaderBuilder::new()
        .delimiter(dialect.delimiter.unwrap_or_else(|| delimiter(text)))
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| BadStatement {
        message: format!("the statement can't be read: {error}"),
        hint: "give a CSV file whose first line names its columns".to_owned(),
    })?;
    let header = header.clone();
    let places = places(&header, dialect)?;
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    for record in reader.into_records() {
        let read = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            (line, error.to_string())
        });
        let read = read.and_then(|record| {
            let number = record.position().map_or(0, csv::Position::line);
            let line = line(number, &record, header.len(), &places, dialect);
            line.map_err(|why| (number, why))
        });
        match read {
            Ok(line) => lines.push(line),
            Err(named) => bad.push(named),
        }
    }
    if bad.is_empty() {
        return Ok(lines);
    }
    let named = bad.iter().take(BAD_LINES_NAMED);
    let mut named: Vec<_> = named.map(|(line, why)| format!("line {line}: {why}")).collect();
    if bad.len() > BAD_LINES_NAMED {
        named.push(format!("and {} more", bad.len() - BAD_LINES_NAMED));
    }
    Err(BadStatement {
        message: format!("the statement can't be compared: {}", named.join("; ")),
        hint: "correct these lines, or leave them out, such as those of totals".to_owned(),
    })
}

/// The places of the columns that were named.
fn places(header: &StringRecord, dialect: &Dialect) -> Result<BTreeMap<Column, usize>, BadStatement> {
    let mut places = BTreeMap::new();
    for (column, name) in &dialect.columns {
        let mut found = header.iter().enumerate().filter(|(_, title)| title == name);
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
        return Err(BadStatement { message, hint });
    }
    Ok(places)
}

/// Reads a line, or says what is wrong with it.
fn line(
    number: u64,
    record: &StringRecord,
    width: usize,
    places: &BTreeMap<Column, usize>,
    dialect: &Dialect,
) -> Result<StatementLine, String> {
    if record.len() != width {
        return Err(format!("it has {} fields, and the first line {width}", record.len()));
    }
    let cell = |column| {
        let place = places.get(&column)?;
        let text = record.get(*place)?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let (license, transaction) = (cell(Column::License), cell(Column::Transaction));
    if license.is_none() && transaction.is_none() {
        return Err("it names neither a license nor a transaction".to_owned());
    }
    let amount = cell(Column::Price)
        .map(|text| {
            let amount = StatementAmount::parse(&text, dialect.decimal_comma);
            amount.ok_or_else(|| match dialect.decimal_comma {
                false => format!("`{text}` is no price with a decimal point; `--decimal-comma` reads commas"),
                true => format!("`{text}` is no price with a decimal comma"),
            })
        })
        .transpose()?;
    let currency = cell(Column::Currency).map(|text| text.to_uppercase());
    let state = cell(Column::State).map(|text| text.to_lowercase());
    Ok(StatementLine {
        line: number,
        license,
        transaction,
        price: amount.map(|amount| StatementPrice { amount, currency }),
        is_returned: state.is_some_and(|state| dialect.returned.contains(&state)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(decimal_comma: bool) -> Dialect {
        let named = [
            ("license", "Token"),
            ("price", "Preis"),
            ("currency", "Währung"),
            ("state", "Status"),
        ];
        let named = named.map(|(word, name)| (word.to_owned(), name.to_owned()));
        Dialect {
            columns: columns(&named).unwrap_or_else(|_| panic!("they are columns")),
            delimiter: None,
            decimal_comma,
            returned: vec!["returned".to_owned()],
        }
    }

    fn read_all(bytes: &[u8], decimal_comma: bool) -> Result<Vec<StatementLine>, String> {
        parse(&text(bytes), &dialect(decimal_comma)).map_err(|bad| bad.message)
    }

    #[test]
    fn a_statement_is_read_in_the_dialect_that_it_was_saved_in() {
        let german = "Token;Nr;Preis;Währung;Status\r\nL-1;\"1\n2\";1.234,50;eur;Returned\r\n L-2 ;;7;EUR;\r\n";
        let latin: Vec<u8> = german.chars().map(|letter| letter as u8).collect();
        let utf_16: Vec<u8> = "\u{feff}"
            .encode_utf16()
            .chain(german.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        for bytes in [
            german.as_bytes().to_vec(),
            format!("\u{feff}{german}").into_bytes(),
            latin,
            utf_16,
        ] {
            let lines = read_all(&bytes, true).unwrap();
            let price = |text: &str| StatementPrice {
                amount: StatementAmount::parse(text, false).unwrap(),
                currency: Some("EUR".to_owned()),
            };
            let expected = [("L-1", "1234.5", true, 2), ("L-2", "7", false, 4)];
            let expected = expected.map(|(license, amount, is_returned, line)| StatementLine {
                line,
                license: Some(license.to_owned()),
                transaction: None,
                price: Some(price(amount)),
                is_returned,
            });
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn each_bad_line_is_named_and_none_is_read() {
        let error = read_all(
            "Token,Preis,Währung,Status\nL-1,1,EUR,x\n,1,EUR,x\nL-3,\"12,50\",EUR,x\nTotal\nL-4,1,EUR,x\n".as_bytes(),
            false,
        )
        .unwrap_err();
        for part in ["line 3: it names neither", "line 4: `12,50` is no price", "line 5: it has 1 fields"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("line 2") && !error.contains("line 6"), "{error}");
        let many = format!("Token,Preis,Währung,Status\n{}", ",,,\n".repeat(100));
        let error = read_all(many.as_bytes(), false).unwrap_err();
        assert!(error.contains("line 21") && error.contains("and 80 more"), "{error}");
    }

    #[test]
    fn a_column_that_is_missing_or_there_twice_is_refused() {
        for header in ["Token,Preis,Status", "Token,Preis,Währung,Status,Token"] {
            let error = read_all(header.as_bytes(), false).unwrap_err();
            assert!(error.contains("column"), "{error}");
        }
        let named = |words: &[&str]| -> Vec<_> {
            let named = words.iter().map(|word| ((*word).to_owned(), "x".to_owned()));
            named.collect()
        };
        for words in [&["price"][..], &["license", "license"], &["license", "tax"]] {
            assert!(columns(&named(words)).is_err(), "{words:?}");
        }
    }
}

//! A vendor's statement, read from a CSV file whose columns the operator names.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use bss_keys::decoded_text;
use bss_model::{ErrorKind, StatementAmount, StatementLine, StatementPrice};
use csv::{ReaderBuilder, StringRecord};

use super::failure::{Failure, unreadable};
use super::period::Period;

/// The largest file that is read: a million lines are a tenth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Delimiters that are recognized where none is named.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// Bad lines that are named; of more, the number is told.
const BAD_LINES_NAMED: usize = 20;
/// The letters of Windows-1252 from 0x80 on, of which there are 32; those above are Latin-1's. Five are none.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

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

/// Why a statement can't be compared.
#[derive(Debug)]
struct BadStatement {
    message: String,
    hint: String,
}

impl From<BadStatement> for Failure {
    fn from(bad: BadStatement) -> Self {
        Self::new(ErrorKind::Invalid, "statement-invalid", bad.message).hint(bad.hint)
    }
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
    let what = format!("the statement `{}`", path.display());
    let bytes = file(path).map_err(|error| unreadable(&what, &error))?;
    Ok(parse(&text(&bytes), dialect, period)?)
}

fn file(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The text of a file as spreadsheets save it: in UTF-8 or UTF-16, with a byte order mark or without, and else in Windows-1252, in
/// which every byte is a letter.
fn text(bytes: &[u8]) -> String {
    match decoded_text(bytes) {
        Some(text) => text.trim_start_matches('\u{feff}').to_owned(),
        None => {
            let letters: Vec<char> = WINDOWS_1252.chars().collect();
            let letter = |byte: &u8| {
                let above = byte.checked_sub(0x80).and_then(|at| letters.get(usize::from(at)));
                above.copied().unwrap_or(char::from(*byte))
            };
            bytes.iter().map(letter).collect()
        }
    }
}

/// Takes off the line by which a spreadsheet is told the delimiter, as in `sep=;`.
fn separated(text: &str) -> (Option<u8>, &str) {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    match first.trim_end().as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
            (Some(*delimiter), text.get(first.len()..).unwrap_or_default())
        }
        _ => (None, text),
    }
}

/// The delimiter that is in the first line most often.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
    let most = DELIMITERS.into_iter().rev().max_by_key(count);
    most.unwrap_or(b',')
}

fn parse(text: &str, dialect: &Dialect, period: &Period) -> Result<Vec<StatementLine>, BadStatement> {
    let (told, rest) = separated(text);
    let lines_before = u64::from(told.is_some());
    let mut reader = ReaderBuilder::new()
        .delimiter(dialect.delimiter.or(told).unwrap_or_else(|| delimiter(rest)))
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(rest.as_bytes());
    let header = reader.headers().map_err(|error| BadStatement {
        message: format!("the statement can't be read: {error}"),
        hint: "give a CSV file whose first line names its columns".to_owned(),
    })?;
    let header = header.clone();
    let reading = Reading {
        width: header.len(),
        places: places(&header, dialect)?,
        dialect,
        period,
    };
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    for record in reader.into_records() {
        let read =
            record.map_err(|error| (lines_before + line_at(rest, error.position()), error.to_string()));
        let read = read.and_then(|record| {
            let line = lines_before + line_at(rest, record.position());
            // Spreadsheets write rows of which nothing is left but the delimiters.
            if record.iter().all(str::is_empty) {
                return Ok(None);
            }
            reading.line(line, &record).map(Some).map_err(|why| (line, why))
        });
        match read {
            Ok(line) => lines.extend(line),
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

/// The line of a record. The reader takes what is left of a line's end, and empty lines, for the record behind them.
fn line_at(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(begin..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

/// The places of the columns that were named.
fn places(header: &StringRecord, dialect: &Dialect) -> Result<BTreeMap<Column, usize>, BadStatement> {
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
        return Err(BadStatement { message, hint });
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
    fn line(&self, line: u64, record: &StringRecord) -> Result<StatementLine, String> {
        if record.len() != self.width {
            return Err(format!(
                "it has {} fields, and the first line {}",
                record.len(),
                self.width
            ));
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
            return Err("it names neither a license nor a transaction".to_owned());
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

    fn amount(&self, text: &str) -> Result<StatementAmount, String> {
        let amount = StatementAmount::parse(text, self.dialect.decimal_comma);
        amount.ok_or_else(|| match self.dialect.decimal_comma {
            false => format!("`{text}` is no price with a decimal point; `--decimal-comma` reads commas"),
            true => format!("`{text}` is no price with a decimal comma"),
        })
    }

    fn time(&self, text: &str) -> Result<i64, String> {
        let form = self.dialect.date_format.as_deref();
        self.period.read_time(text, form).ok_or_else(|| match form {
            Some(form) => format!("`{text}` is no date like `{form}`"),
            None => {
                format!("`{text}` is no date as in 2026-11-30; `--date-format %d.%m.%Y` reads 30.11.2026")
            }
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
        parse(&text(bytes), &dialect(decimal_comma), &period).map_err(|bad| bad.message)
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
            error.contains("line 21") && error.contains("and 80 more"),
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

//! Price lists: a CSV file with a code and a price on each line, taken as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{ErrorKind, NewPrice, Price, Problem};
use csv::{ReaderBuilder, StringRecord, Trim};

use super::failure::Failure;

/// Reads the prices of a list.
///
/// # Errors
/// With every line that has a mistake, by its number.
pub(super) fn read(text: &str, currency: &str, products: &BTreeSet<&str>) -> Result<Vec<NewPrice>, Failure> {
    let (mut prices, mut mistakes) = (Vec::new(), Vec::new());
    let mut lines = BTreeMap::new();
    for (line, columns) in records(text) {
        let price = match columns {
            Ok(columns) => price_of(&columns, currency, products),
            Err(problem) => Err(problem),
        };
        let price = price.and_then(|price| match lines.insert(price.code.clone(), line) {
            None => Ok(price),
            Some(before) => Err(mistake(
                "repeated-product",
                format!("`{}` has a price on line {before} already", visible(&price.code)),
            )),
        });
        match price {
            Ok(price) => prices.push(price),
            Err(problem) => mistakes.push((line, problem)),
        }
    }
    if mistakes.is_empty() && prices.is_empty() {
        let empty = mistake("no-price-listed", "the list has no price".to_owned());
        mistakes.push((1, empty));
    }
    match mistakes.len() {
        0 => Ok(prices),
        wrong => {
            let lines = if wrong == 1 { "line has" } else { "lines have" };
            let message = format!("no price was set, because {wrong} {lines} a mistake");
            Err(Failure::new(ErrorKind::Invalid, "price-list-refused", message).on_lines(mistakes))
        }
    }
}

/// The rows of a list with the numbers of their lines, without the header and empty lines.
fn records(text: &str) -> Vec<(u64, Result<StringRecord, Problem>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    // What a spreadsheet writes where a comma stands before the decimals.
    let is_comma = first.contains(',') || !first.contains(';');
    let mut reader = ReaderBuilder::new()
        .delimiter(if is_comma { b',' } else { b';' })
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let records = reader.records().map(|record| match record {
        Ok(record) => (record.position().map_or(0, csv::Position::line), Ok(record)),
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line);
            (line, Err(mistake("line-unreadable", error.to_string())))
        }
    });
    let records: Vec<_> = records.collect();
    let is_header = |record: &StringRecord| {
        let is = |at: usize, word: &str| record.get(at).is_some_and(|is| is.eq_ignore_ascii_case(word));
        is(0, "code") && is(1, "price")
    };
    let has_header = matches!(records.first(), Some((_, Ok(first))) if is_header(first));
    records.into_iter().skip(usize::from(has_header)).collect()
}

/// The price of a line.
fn price_of(columns: &StringRecord, currency: &str, products: &BTreeSet<&str>) -> Result<NewPrice, Problem> {
    let (Some(code), Some(amount), None) = (columns.get(0), columns.get(1), columns.get(2)) else {
        let what = format!(
            "a line has a code and a price, and this one has {}",
            columns.len()
        );
        return Err(mistake("not-two-columns", format!("{what} columns")));
    };
    if !products.contains(code) {
        let what = format!("the instance has no product `{}`", visible(code));
        return Err(mistake("no-product", what));
    }
    match Price::from_amount(amount, currency) {
        Some(price) => Ok(NewPrice {
            code: code.to_owned(),
            price,
        }),
        None => Err(mistake(
            "not-an-amount",
            format!(
                "`{}` is no amount in {currency}, which is written as in {}",
                visible(amount),
                example(currency)
            ),
        )),
    }
}

/// An amount as it is to be written.
pub(super) fn example(currency: &str) -> String {
    Price {
        currency: currency.to_owned(),
        minor_units: 24_900,
    }
    .decimal()
}

fn visible(text: &str) -> std::borrow::Cow<'_, str> {
    bss_model::text::visible(text)
}

fn mistake(code: &'static str, message: String) -> Problem {
    Problem::new(code, message, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCTS: [&str; 3] = ["A-1", "B,2", "C-3"];

    fn listed(text: &str) -> Result<Vec<(String, i64)>, String> {
        let prices = read(text, "EUR", &PRODUCTS.into());
        let prices = prices.map_err(|failure| failure.lines().join("\n"))?;
        let all = prices.into_iter().map(|new| (new.code, new.price.minor_units));
        Ok(all.collect())
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_write_it() {
        let both = vec![("A-1".to_owned(), 24_900), ("B,2".to_owned(), 5)];
        for text in [
            "A-1,249.00\n\"B,2\",0.05\n",
            "code,price\r\nA-1, 249\r\n\r\n\"B,2\",0.05\r\n",
            "\u{feff}Code;Price\nA-1;249.00\nB,2;0.05",
        ] {
            assert_eq!(listed(text), Ok(both.clone()), "{text:?}");
        }
    }

    #[test]
    fn every_mistake_is_named_by_its_line() {
        let text = "code,price\nA-1,249.00\nX-9,1.00\nC-3,1.234\nC-3\nA-1,1.00\n";
        let said = listed(text).unwrap_err();
        for words in [
            "4 lines have a mistake",
            "line 3: the instance has no product `X-9`",
            "line 4: `1.234` is no amount in EUR, which is written as in 249.00",
            "line 5: a line has a code and a price, and this one has 1 columns",
            "line 6: `A-1` has a price on line 2 already",
        ] {
            assert!(said.contains(words), "`{words}` in: {said}");
        }
        for nothing in ["", "code,price\n"] {
            assert!(
                listed(nothing).unwrap_err().contains("has no price"),
                "{nothing:?}"
            );
        }
        let negative = listed("A-1,-1\n").unwrap_err();
        assert!(negative.contains("no amount"), "{negative}");
    }
}

//! Price lists: a CSV file with a code and a price on each line, taken as a whole or not at all.

use std::collections::BTreeSet;

use bss_model::text::visible;
use bss_model::{NewPrice, Price, Problem};

use super::csv_file;
use super::failure::Failure;

/// Reads the prices of a list.
///
/// # Errors
/// With the lines that have a mistake, by their numbers.
pub(super) fn read(text: &str, currency: &str, products: &BTreeSet<&str>) -> Result<Vec<NewPrice>, Failure> {
    let (mut prices, mut mistakes) = (Vec::new(), Vec::new());
    for (line, columns) in csv_file::of_codes(text, ["code", "price"]) {
        match columns.and_then(|(code, amount)| price_of(code, &amount, currency, products)) {
            Ok(price) => prices.push(price),
            Err(problem) => mistakes.push((line, problem)),
        }
    }
    if mistakes.is_empty() && prices.is_empty() {
        mistakes.push((1, Problem::new("no-price-listed", "the list has no price", "")));
    }
    match mistakes.is_empty() {
        true => Ok(prices),
        false => Err(Failure::of_lines(
            "price-list-refused",
            "no price was set",
            mistakes,
        )),
    }
}

/// The price of a line.
fn price_of(
    code: String,
    amount: &str,
    currency: &str,
    products: &BTreeSet<&str>,
) -> Result<NewPrice, Problem> {
    if !products.contains(code.as_str()) {
        let message = format!("the instance has no product `{}`", visible(&code));
        return Err(Problem::new("no-product", message, ""));
    }
    match Price::from_amount(amount, currency) {
        Some(price) => Ok(NewPrice { code, price }),
        None => {
            let message = format!(
                "`{}` is no amount in {currency}, which is written as in {}",
                visible(amount),
                example(currency)
            );
            Err(Problem::new("not-an-amount", message, ""))
        }
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
            "line 5: a line has a code and a price, and this one has 1 column",
            "line 6: `A-1` is on line 2 already",
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

//! A simulator's catalog from a CSV file: a code and a name in each line.

use bss_model::Problem;
use bss_simulator::Catalog;

use super::super::csv_file;
use super::super::failure::Failure;

/// Reads a catalog. An empty one is one, too: a vendor may send that.
///
/// # Errors
/// With the lines that have a mistake, by their numbers.
pub(super) fn read(text: &str) -> Result<Catalog, Failure> {
    let (mut products, mut mistakes) = (Vec::new(), Vec::new());
    for (line, columns) in csv_file::of_codes(text, ["code", "name"]) {
        match columns.and_then(one_line) {
            Ok(product) => products.push(product),
            Err(problem) => mistakes.push((line, problem)),
        }
    }
    match mistakes.is_empty() {
        true => Ok(Catalog::of_products(products)),
        false => Err(Failure::of_lines("catalog-file", "no product is sold", mistakes)),
    }
}

/// A product whose name is on one line: a quotation mark that is never closed makes one name of all lines behind it.
fn one_line((code, name): (String, String)) -> Result<(String, String), Problem> {
    match code.contains('\n') || name.contains('\n') {
        true => Err(Problem::new(
            "several-lines",
            "a quotation mark is not closed",
            "",
        )),
        false => Ok((code, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_can_not_be_read_is_named_and_no_catalog_is_made() {
        for (text, said) in [
            (
                "code,name\nA-1,Word\nA-2\n",
                "line 3: a line has a code and a name",
            ),
            ("A-1,Word\nA-1,Excel\n", "line 2: `A-1` is on line 1 already"),
            (
                "A-1,\"Word\nA-2,Excel\n",
                "line 1: a quotation mark is not closed",
            ),
        ] {
            let Err(failure) = read(text) else {
                panic!("{text}");
            };
            let told = failure.lines().join("\n");
            assert!(told.contains(said), "{told}");
        }
        assert!(read("").is_ok() && read("A-1,\"Word, new\"\r\n").is_ok());
    }
}

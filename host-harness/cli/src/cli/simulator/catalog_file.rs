//! A simulator's catalog from a file of comma-separated values: a code and a name in each line.

use std::collections::BTreeSet;

use bss_model::ErrorKind;
use bss_simulator::Catalog;

use super::super::failure::Failure;

/// The first line of a file that names its columns.
const HEADER: (&str, &str) = ("code", "name");

/// Reads a catalog. An empty one is one, too: a vendor may send that.
pub(super) fn read(text: &str) -> Result<Catalog, Failure> {
    let mut codes = BTreeSet::new();
    let mut products = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let wrong = |why: &str| {
            let message = format!("line {} of the catalog file: {why}", number + 1);
            Failure::new(ErrorKind::Invalid, "catalog-file", message)
        };
        let (code, name) = columns(line).ok_or_else(|| {
            wrong("expected `code,name`").hint("a name with a comma stands in quotation marks")
        })?;
        if number == 0 && (code.as_str(), name.as_str()) == HEADER {
            continue;
        }
        if !codes.insert(code.clone()) {
            return Err(wrong(&format!("the code `{code}` stands there twice")));
        }
        products.push((code, name));
    }
    Ok(Catalog::of_products(products))
}

/// The two columns of a line (RFC 4180), neither of them empty.
fn columns(line: &str) -> Option<(String, String)> {
    let (code, rest) = column(line)?;
    let (name, rest) = column(rest.strip_prefix(',')?)?;
    (rest.is_empty() && !code.is_empty() && !name.is_empty()).then_some((code, name))
}

/// The first column, and what follows it.
fn column(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (column, rest) = text.split_at(text.find(',').unwrap_or(text.len()));
        return Some((column.trim().to_owned(), rest));
    };
    let mut column = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        column += before;
        match after.strip_prefix('"') {
            // Two of them stand for one.
            Some(after) => {
                column.push('"');
                rest = after;
            }
            None => return Some((column, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_code_and_a_name_which_may_stand_in_quotation_marks() {
        for (line, columns_of_it) in [
            ("A-1,Word", Some(("A-1", "Word"))),
            ("A-1, Word ", Some(("A-1", "Word"))),
            (r#""A-1","Word, ""new""""#, Some(("A-1", "Word, \"new\""))),
            ("A-1", None),
            ("A-1,", None),
            (",Word", None),
            ("A-1,Word,2", None),
            (r#"A-1,"Word"#, None),
            (r#"A-1,"Word" 2"#, None),
        ] {
            let owned = columns_of_it.map(|(code, name)| (code.to_owned(), name.to_owned()));
            assert_eq!(columns(line), owned, "{line}");
        }
    }
}

//! The codes of errors: each is of one kind, wherever it is used, and written as programs expect it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folder of every crate whose errors are shown.
const SOURCES: &str = "host-harness";

/// The source files below a folder, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() && !path.ends_with("tests") => found.extend(sources(&path)),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}

/// Each pair of a kind and a code in a text, as in `ErrorKind::NotFound, "no-asset"`.
fn codes(text: &str) -> Vec<(String, String)> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let pairs = product.split("ErrorKind::").skip(1).filter_map(|after| {
        let (kind, rest) = after.split_once(',')?;
        let code = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        let is_kind = kind.chars().all(char::is_alphanumeric);
        is_kind.then(|| (kind.to_owned(), code.to_owned()))
    });
    pairs.collect()
}

fn kinds_by_code() -> BTreeMap<String, BTreeSet<String>> {
    let mut kinds = BTreeMap::<_, BTreeSet<_>>::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCES)) {
        for (kind, code) in codes(&std::fs::read_to_string(path).expect("a source")) {
            kinds.entry(code).or_default().insert(kind);
        }
    }
    kinds
}

#[test]
fn a_code_is_of_one_kind() {
    let kinds = kinds_by_code();
    // All of them are found, not only some.
    assert!(kinds.len() > 100 && kinds.contains_key("no-asset"), "{kinds:?}");
    let torn: Vec<_> = kinds.iter().filter(|(_, kinds)| kinds.len() > 1).collect();
    assert!(torn.is_empty(), "{torn:?}");
}

#[test]
fn a_code_is_lower_case_words_joined_by_hyphens() {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    for code in kinds_by_code().keys() {
        assert!(code.split('-').all(is_word), "{code}");
    }
}

#[test]
fn a_kind_and_its_code_are_found_on_one_line_or_on_two() {
    let text =
        "Diagnosis::new(ErrorKind::Invalid, \"a-b\")\nFailure::new(\n    ErrorKind::Refused,\n    \"c\",\n)";
    let expected = [("Invalid", "a-b"), ("Refused", "c")];
    let found = codes(text);
    let found: Vec<_> = found
        .iter()
        .map(|(kind, code)| (kind.as_str(), code.as_str()))
        .collect();
    assert_eq!(found, expected);
}

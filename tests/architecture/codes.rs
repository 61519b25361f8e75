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

/// A source without its tests, which are its last part.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Each pair of a kind and a code in a text, as in `ErrorKind::NotFound, "no-asset"`.
pub(crate) fn codes(text: &str) -> Vec<(String, String)> {
    let pairs = product(text).split("ErrorKind::").skip(1).filter_map(|after| {
        let (kind, rest) = after.split_once(',')?;
        let code = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        let is_kind = kind.chars().all(char::is_alphanumeric);
        is_kind.then(|| (kind.to_owned(), code.to_owned()))
    });
    pairs.collect()
}

/// The number of places in a text that make an error of a kind or a code that is not written there.
fn errors_of_any_kind(text: &str) -> usize {
    let made = ["Failure::new(", "Diagnosis::new("]
        .into_iter()
        .flat_map(|new| product(text).split(new).skip(1));
    made.filter(|arguments| !arguments.trim_start().starts_with("ErrorKind::"))
        .count()
}

pub(crate) fn every_source() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(SOURCES);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source");
        (path, text)
    };
    sources(&folder).into_iter().map(read).collect()
}

fn kinds_by_code() -> BTreeMap<String, BTreeSet<String>> {
    let mut kinds = BTreeMap::<_, BTreeSet<_>>::new();
    for (_, text) in every_source() {
        for (kind, code) in codes(&text) {
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
fn an_error_is_made_with_its_kind_and_code_in_one_place() {
    // A problem of the plugin brings its own code, and a refresh of many chooses a kind and a code together.
    let allowed = [("call_failure.rs", 1), ("returns.rs", 1)];
    let found = every_source().into_iter().filter_map(|(path, text)| {
        let count = errors_of_any_kind(&text);
        let name = path.file_name()?.to_str()?.to_owned();
        (count > 0).then_some((name, count))
    });
    let found: BTreeMap<_, _> = found.collect();
    let allowed = allowed.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(found, BTreeMap::from(allowed));
    assert_eq!(errors_of_any_kind("Diagnosis::new(kind, \"a\")"), 1);
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

//! The host knows no vendor: what belongs to one is its plugin's to say.

use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item};

use crate::files::is_for_tests;

/// The folders of the host and of what it is made of, and of what plugins are made with.
const HOST: [&str; 7] = [
    "guest/src",
    "host-harness/model",
    "host-harness/keys",
    "host-harness/record",
    "host-harness/sandbox",
    "host-harness/src",
    "host-harness/cli",
];

/// Words that name a vendor, or that one has made up.
const WORDS: [&str; 6] = ["acme", "azure", "entra", "microsoft", "ms-correlationid", "x-ms-"];

/// The sources that may have such a word, and why.
const EXCEPTIONS: [(&str, &str); 7] = [
    (
        "cli/src/cli/args.rs",
        "the default plugin's file, and the command of the simulator",
    ),
    ("cli/src/cli/demo.rs", "shows a purchase at the simulator"),
    (
        "cli/src/cli/demo_console.rs",
        "says what the simulator gives a reseller, and where its form asks for it",
    ),
    (
        "cli/src/cli/mail_login.rs",
        "the defaults for the mail service that takes no passwords any more",
    ),
    ("cli/src/cli/pfx.rs", "makes certificates for the simulator"),
    ("cli/src/cli/plugins.rs", "the default plugin's file"),
    ("cli/src/cli/simulator.rs", "runs the simulator"),
];

/// The words of vendors in the names, texts and documentation of a source, tests left out.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn of(text: &str) -> Vec<String> {
        let mut found = Self::default();
        found.visit_file(&syn::parse_file(text).expect("a source"));
        found.0
    }

    fn look(&mut self, text: &str) {
        let lower = text.to_lowercase();
        let is_within_word = |at: usize, word: &str| {
            let before = lower[..at].chars().next_back();
            let after = lower[at + word.len()..].chars().next();
            // `entrance` is a word, and so is `central`.
            word == "entra" && [before, after].into_iter().flatten().any(char::is_alphabetic)
        };
        let is_there = |word: &str| {
            let mut places = lower.match_indices(word);
            places.any(|(at, word)| !is_within_word(at, word))
        };
        if WORDS.iter().any(|word| is_there(word)) {
            self.0.push(text.to_owned());
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.look(&ident.to_string());
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.look(&text.value());
    }

    fn visit_lit_byte_str(&mut self, text: &'ast syn::LitByteStr) {
        self.look(&String::from_utf8_lossy(&text.value()));
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        // The tokens in a macro need not be Rust; their names and texts stand in them as they are.
        self.look(&item.tokens.to_string());
        visit::visit_macro(self, item);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    found
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn no_word_of_a_vendor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all: Vec<_> = HOST
        .iter()
        .flat_map(|folder| sources(&root.join(folder)))
        .collect();
    assert!(all.len() > 100, "{}", all.len());
    let mut excepted = Vec::new();
    let mut others = Vec::new();
    for path in all {
        let found = Found::of(&std::fs::read_to_string(&path).expect("a source"));
        match EXCEPTIONS.iter().find(|(name, _)| path.ends_with(name)) {
            _ if found.is_empty() => {}
            Some((name, _)) => excepted.push(*name),
            None => others.push((path, found)),
        }
    }
    assert!(others.is_empty(), "{others:#?}");
    excepted.sort_unstable();
    let expected: Vec<_> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(excepted, expected, "an exception that is none any more");
}

#[test]
fn a_word_of_a_vendor_is_found_in_a_name_a_text_and_a_macro_and_not_in_tests() {
    for text in [
        "fn of_microsoft() {}",
        "const HEADER: &str = \"ms-correlationid\";",
        "/// Entra's.\nstruct A;",
        "fn a() { log!(\"Azure\"); }",
        "fn a() { b(b\"x-ms-b\"); }",
        "enum A { Entra }",
    ] {
        assert_eq!(Found::of(text).len(), 1, "{text}");
    }
    for text in [
        "/// The central entrance.\nstruct A;",
        "#[cfg(test)] mod tests { fn of_microsoft() {} }",
    ] {
        assert!(Found::of(text).is_empty(), "{text}");
    }
}

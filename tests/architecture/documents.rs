//! The documentation: each link leads somewhere, each page is in the book, and what sources call a page is one.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::pages::{arguments, commands, pages};

/// Where sources name pages in comments and texts.
const SOURCES: [&str; 8] = [
    ".ci",
    ".github",
    "examples",
    "host-harness",
    "packaging",
    "scripts",
    "src",
    "xtask",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of a page that are no block of code, with code in lines left out.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The targets of the links of a page.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let without_code: String = prose.split('`').step_by(2).collect();
    let targets = without_code.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The names by which the parts of a page are linked to: those of headings, as GitHub and mdBook make them, and those that are written.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(page).lines() {
        let heading = line.trim_start_matches('#');
        if let (true, Some(title)) = (heading.len() < line.len(), heading.strip_prefix(' ')) {
            let kept = title.to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let mut numbered = name.clone();
            let mut number = 0;
            while !found.insert(numbered.clone()) {
                number += 1;
                numbered = format!("{name}-{number}");
            }
        }
        let written = line.split("<a id=\"").skip(1);
        found.extend(written.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}

/// A path without `..`, as far as it stays below where it begins.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The links of a page that lead nowhere.
fn broken(root: &Path, page: &Path, text: &str) -> Vec<String> {
    let leads_somewhere = |target: &String| {
        if target.starts_with("https://") {
            return true;
        }
        let (file, part) = target.split_once('#').unwrap_or((target, ""));
        let file = match file {
            "" => page.to_owned(),
            file => without_dots(&page.with_file_name(file)),
        };
        if part.is_empty() {
            return root.join(file).is_file();
        }
        std::fs::read_to_string(root.join(file)).is_ok_and(|text| anchors(&text).contains(part))
    };
    let mut links = links(text);
    links.retain(|target| !leads_somewhere(target));
    links
}

#[test]
fn every_link_of_every_page_leads_to_a_file_and_a_part_of_it() {
    let pages = pages(root());
    let count: usize = pages.iter().map(|(_, text)| links(text).len()).sum();
    // All of them are found, not only some.
    assert!(
        pages.len() > 30 && count > 150,
        "{} pages, {count} links",
        pages.len()
    );
    let broken: Vec<_> = pages
        .iter()
        .map(|(page, text)| (page, broken(root(), page, text)))
        .filter(|(_, broken)| !broken.is_empty())
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_to_a_missing_file_or_part_is_found_and_one_in_code_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a page");
    write(
        "a.md",
        "# A\n\n## Two `words`: here\n\n## Two words here\n<a id=\"own\"></a>\n",
    );
    let of = |text: &str| broken(folder.path(), Path::new("b.md"), text);
    assert_eq!(
        of(
            "[a](a.md) [b](a.md#two-words-here) [c](a.md#two-words-here-1) [d](a.md#own) [e](https://e.example)"
        ),
        [""; 0]
    );
    assert_eq!(of("[a](c.md) [b](a.md#three)"), ["c.md", "a.md#three"]);
    assert_eq!(of("`[a](c.md)`\n```\n[b](c.md)\n# no heading\n```\n"), [""; 0]);
    assert_eq!(
        broken(folder.path(), Path::new("a.md"), "[own](#own) [no](#no)"),
        ["#own", "#no"][1..]
    );
}

#[test]
fn every_page_stands_in_the_book_once() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("the summary");
    let mut listed: Vec<_> = links(&summary)
        .iter()
        .map(|target| without_dots(&Path::new("docs").join(target)))
        .collect();
    listed.sort();
    let mut all: Vec<_> = pages(root()).into_iter().map(|(page, _)| page).collect();
    all.retain(|page| page != Path::new("docs/SUMMARY.md"));
    assert_eq!(listed, all);
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// The files of `docs` that a source names, but for those of others' sites.
fn named(text: &str) -> Vec<&str> {
    let places = text.match_indices("docs/").filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '/')
    });
    let names = places.map(|(at, _)| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let name = text[at..].split(|c| !is_part(c)).next().unwrap_or_default();
        name.trim_end_matches('.')
    });
    names.filter(|name| name.contains('.')).collect()
}

#[test]
fn a_page_that_a_source_names_is_there() {
    let mut count = 0;
    for path in SOURCES.iter().flat_map(|folder| files(&root().join(folder))) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for name in named(&text) {
            count += 1;
            assert!(root().join(name).is_file(), "{} names `{name}`", path.display());
        }
    }
    assert!(count > 10, "{count}");
    assert_eq!(
        named("see docs/a.md. x.example/docs/b.md, `docs/`"),
        ["docs/a.md"]
    );
}

#[test]
fn the_commands_of_a_page_are_read_as_a_shell_reads_them() {
    let page = "$ not here\n```console\n$ A=1 bss-host a 'b c' \\\n      --d <e>  # remark\n# runuser -u x -- bss-host f | sort > g && h/bss-host i < j\nanswer\n```\n```text\n$ nor here\n```\n";
    let commands = commands(page);
    let found: Vec<_> = commands
        .iter()
        .filter_map(|command| Some(arguments(command, "bss-host")?.join(" ")))
        .collect();
    assert_eq!(found, ["a b c --d e", "f", "i"]);
    assert_eq!(commands.len(), 4);
}

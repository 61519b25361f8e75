//! The documentation as a book: the pages are copied as they lie in the checkout, with what they link to, and mdBook makes a site of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::files;
use crate::process;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// Without what serves a book and looks for changes. 0.5.4 is the latest, needs Rust 1.88, and is under the MPL 2.0; nothing links it.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    features: &["search"],
};

const DOCS: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Makes the book, and looks whether each link in it leads to a file of it.
///
/// # Errors
/// mdBook could not be installed, did not make the book, or a link leads nowhere.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mdbook = MDBOOK.find_or_install(workspace)?;
    let folder = workspace.target.join("book");
    files::remove_folder(&folder)?;
    let source = folder.join("source");
    copy_pages(&workspace.root, &source)?;
    copy(&workspace.root.join("docs/book.toml"), &folder.join("book.toml"))?;
    let site = folder.join("site");
    process::run(
        Command::new(mdbook)
            .arg("build")
            .arg(&folder)
            .arg("--dest-dir")
            .arg(&site),
    )?;
    check_links(&site)?;
    println!("{}", site.join("index.html").display());
    Ok(())
}

/// Copies all of `docs`, and whatever pages of the book link to, to the places that they have in the checkout, so that their links are as good as there.
fn copy_pages(root: &Path, source: &Path) -> Result<()> {
    let mut copied = BTreeSet::new();
    let mut waiting: Vec<_> = files_below(&root.join(DOCS))?
        .into_iter()
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.to_owned()))
        .collect();
    while let Some(file) = waiting.pop() {
        if !root.join(&file).is_file() || !copied.insert(file.clone()) {
            continue;
        }
        if file == Path::new(SUMMARY) {
            let summary = read(&root.join(&file))?;
            files::write(&source.join("SUMMARY.md"), at_the_root(&summary))?;
        } else if file != Path::new("docs/book.toml") {
            copy(&root.join(&file), &source.join(&file))?;
        }
        if file.extension().is_some_and(|extension| extension == "md") {
            let text = read(&root.join(&file))?;
            waiting
                .extend(targets(&text, "](", ')').map(|target| without_dots(&file.with_file_name(target))));
        }
    }
    Ok(())
}

/// The summary with its links as they are from the root of the checkout.
fn at_the_root(summary: &str) -> String {
    let mut parts = summary.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += "](";
        match part.strip_prefix("../") {
            Some(outside) => text += outside,
            None => text += &format!("{DOCS}/{part}"),
        }
    }
    text
}

/// The files that a text links to, by what stands before and after each link. Other sites, and parts of the text itself, are none.
fn targets<'a>(text: &'a str, before: &'a str, after: char) -> impl Iterator<Item = &'a str> {
    let links = text.split(before).skip(1);
    let links = links.filter_map(move |rest| Some(rest.split_once(after)?.0));
    let files = links.filter(|link| !link.contains(':'));
    files
        .map(|link| link.split(['#', '?']).next().unwrap_or_default())
        .filter(|file| !file.is_empty())
}

/// Looks whether each link of the pages of a site leads to a file of it.
fn check_links(site: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for page in files_below(site)? {
        // The page for what is not there has links from wherever it is shown.
        let is_page = page.extension().is_some_and(|extension| extension == "html");
        if !is_page || page.ends_with("404.html") {
            continue;
        }
        let text = read(&page)?;
        let hrefs = targets(&text, " href=\"", '"').filter(|link| !link.starts_with('/'));
        let lost = hrefs.filter(|link| !without_dots(&page.with_file_name(link)).is_file());
        broken.extend(lost.map(|link| format!("{}: {link}", page.display())));
    }
    if !broken.is_empty() {
        bail!("links of the book lead nowhere:\n{}", broken.join("\n"));
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("`{}` can't be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("`{}` can't be read", file.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        files::make_folder(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("`{}` could not be copied", from.display()))?;
    Ok(())
}

/// A path without `..`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_pages_from_the_root() {
        assert_eq!(
            at_the_root("- [A](errors.md)\n- [B](../B.md)\n"),
            "- [A](docs/errors.md)\n- [B](B.md)\n"
        );
    }

    #[test]
    fn a_page_outside_of_docs_is_copied_because_one_of_docs_links_to_it_and_no_other_is() {
        let folder = std::env::temp_dir().join(format!("bss-book-{}", std::process::id()));
        let (root, source) = (folder.join("root"), folder.join("source"));
        files::make_folder(&root.join(DOCS)).unwrap();
        for (name, text) in [
            ("docs/SUMMARY.md", "[a](errors.md)"),
            ("docs/errors.md", "[b](../b.md#x)"),
            ("b.md", "[c](c.rs)"),
            ("c.rs", ""),
            ("d.md", ""),
        ] {
            files::write(&root.join(name), text).unwrap();
        }
        copy_pages(&root, &source).unwrap();
        let copied =
            ["SUMMARY.md", "docs/errors.md", "b.md", "c.rs", "d.md"].map(|name| source.join(name).is_file());
        assert_eq!(copied, [true, true, true, true, false]);
        files::remove_folder(&folder).unwrap();
    }

    #[test]
    fn a_link_of_the_site_that_leads_nowhere_is_named() {
        let folder = std::env::temp_dir().join(format!("bss-site-{}", std::process::id()));
        files::make_folder(&folder).unwrap();
        let check = |text: &str| {
            files::write(&folder.join("a.html"), text).unwrap();
            check_links(&folder).map_err(|error| error.to_string())
        };
        assert_eq!(
            check("<a href=\"a.html#x\"> <a href=\"https://e.example\"> <a href=\"#y\">"),
            Ok(())
        );
        assert!(
            check("<a href=\"b.html\">")
                .unwrap_err()
                .ends_with("a.html: b.html")
        );
        files::remove_folder(&folder).unwrap();
    }
}

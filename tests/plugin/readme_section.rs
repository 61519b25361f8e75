//! The commands of the README, cut out of it as they stand there.

const README: &str = include_str!("../../README.md");

/// The text of a section.
pub(crate) fn section(title: &str) -> &'static str {
    let (_, section) = README
        .split_once(&format!("\n## {title}\n"))
        .unwrap_or_else(|| panic!("the README has a section {title:?}"));
    section.split("\n## ").next().unwrap_or_default()
}

/// A line without the remark after its command.
pub(crate) fn without_remark(line: &str) -> &str {
    line.split("  #").next().unwrap_or(line).trim_end()
}

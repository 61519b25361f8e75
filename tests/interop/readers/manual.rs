//! The manual pages, read by groff.

use std::process::Command;

use crate::component::bss_host;

#[test]
fn every_manual_page_is_formatted_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = Command::new(bss_host())
        .args(["man", "--directory"])
        .arg(folder.path())
        .output()
        .expect("the program runs");
    assert!(written.status.success(), "{written:?}");
    let pages: Vec<_> = std::fs::read_dir(folder.path())
        .expect("pages")
        .map(|page| page.expect("a page").path())
        .collect();
    assert!(
        pages.iter().any(|page| page.ends_with("bss-host-order-place.1")),
        "{pages:?}"
    );
    let formatted = Command::new("groff")
        .args(["-man", "-K", "utf8", "-T", "utf8", "-ww", "-z"])
        .args(&pages)
        .output()
        .expect("groff runs");
    assert!(
        formatted.status.success() && formatted.stderr.is_empty(),
        "{formatted:?}"
    );
}

//! All operations of the document, by what they concern.

mod certificates;
mod instances;
mod licenses;
mod process;
mod records;

use super::described::Described;

/// All operations, in the order of the document.
pub(super) fn described() -> Vec<Described> {
    let groups = [
        instances::described(),
        certificates::described(),
        licenses::described(),
        records::described(),
        process::described(),
    ];
    groups.into_iter().flatten().collect()
}

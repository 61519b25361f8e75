//! Contacts that look wrong although they could be right: the operator is told, and nothing is refused.

use bss_model::contact_doubts;

use super::output;

/// Warns of an address or a language that looks wrong.
pub(super) fn warn(email: Option<&str>, language: Option<&str>) {
    for doubt in contact_doubts(email, language) {
        output::note(format!("warning: {doubt}"));
    }
}

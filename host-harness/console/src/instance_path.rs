//! The path of the page of an instance.

use host_harness::view;

/// The path of an instance: with its name where that is plain and the operator's own, else with its id.
pub(crate) fn way(instance: &view::Instance) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let name = &instance.name;
    match instance.owner.is_none() && name != "new" && name.bytes().all(is_plain) {
        true => format!("/console/instances/{name}"),
        false => format!("/console/instances/{}", instance.id),
    }
}

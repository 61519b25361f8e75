//! The name by which the host greets a mail server (RFC 5321 section 4.1.1.1).
//!
//! RFC 5321 section 4.1.4 asks for a fully qualified name of the machine, and where there is none, for its address in
//! brackets. The sender's domain would be neither: it is the name of somebody else's server. Servers that want a fully
//! qualified name take an address too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, SockType};
use tokio::sync::OnceCell;

/// The time for finding the machine's name out, which may ask a name server.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The flag of `getaddrinfo` that asks for the canonical name (RFC 3493 section 6.1).
const CANONICAL_NAME: i32 = 2;

/// The longest name (RFC 1035 section 2.3.4, without the length bytes at both ends).
const NAME_BYTES: usize = 253;

/// The longest label of a name (RFC 1035 section 2.3.4).
const LABEL_BYTES: usize = 63;

/// Whether a text can be given for a greeting: a fully qualified name, or an address in brackets.
pub(in super::super) fn is_hello_name(text: &str) -> bool {
    is_fully_qualified(text) || is_address_literal(text)
}

/// Whether a text is a name with a domain, in the letters of RFC 1123 section 2.1.
fn is_fully_qualified(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let is_label = |label: &&str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= NAME_BYTES
        && labels.len() > 1
        && labels.iter().all(is_label)
        && !labels.last().is_some_and(|last| is_number(last))
}

/// Whether a text is an address as in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn is_address_literal(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| match address.strip_prefix("IPv6:") {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => address.parse::<Ipv4Addr>().is_ok(),
    })
}

/// The name that a greeting has where the settings give none: the machine's, or the address of its end of the connection.
pub(super) async fn default_name(own_address: IpAddr) -> String {
    static MACHINE: OnceCell<Option<String>> = OnceCell::const_new();
    match MACHINE.get_or_init(machine_name).await {
        Some(name) => name.clone(),
        None => address_literal(own_address),
    }
}

/// The machine's fully qualified name, as `hostname --fqdn` finds it. `None`: it has none.
async fn machine_name() -> Option<String> {
    // When the time is over, a thread is left behind until the resolver gives up.
    let looked_up = tokio::time::timeout(LOOK_UP, tokio::task::spawn_blocking(look_up)).await;
    usable(looked_up.ok()?.ok()?)
}

/// The machine's own name, then the one that the resolver has for it.
fn look_up() -> Vec<String> {
    let Ok(name) = dns_lookup::get_hostname() else {
        return Vec::new();
    };
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        flags: CANONICAL_NAME,
        ..AddrInfoHints::default()
    };
    let found = dns_lookup::getaddrinfo(Some(&name), None, Some(hints)).into_iter();
    let canonical = found.flatten().find_map(|info| info.ok()?.canonname);
    std::iter::once(name).chain(canonical).collect()
}

/// The first name that servers elsewhere can make something of.
fn usable(names: Vec<String>) -> Option<String> {
    let is_local = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("localhost.") || name.ends_with(".localhost") || name.ends_with(".localdomain")
    };
    names
        .into_iter()
        .find(|name| is_fully_qualified(name) && !is_local(name))
}

fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fully_qualified_name_or_an_address_in_brackets_is_a_greeting() {
        for name in [
            "mail.example.com",
            "a-b.example",
            "xn--mller-kva.example",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert!(is_hello_name(name), "{name}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let long = format!("{}.example", "a".repeat(64));
        for none in [
            "",
            "vm",
            "localhost",
            "mail.example.",
            ".example",
            "a..b",
            "-a.example",
            "a-.example",
            "a_b.example",
            "m\u{fc}ller.example",
            "192.0.2.1",
            "2001:db8::1",
            "[mail.example]",
            "[192.0.2.1",
            "[2001:db8::1]",
            "mail.example\r\nRCPT TO:<a@b>",
            "mail example.com",
            &long,
        ] {
            assert!(!is_hello_name(none), "{none:?}");
        }
    }

    #[test]
    fn the_machine_s_name_is_used_where_others_can_make_something_of_it() {
        let names = |names: &[&str]| usable(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(
            names(&["vm", "vm.example.com"]).as_deref(),
            Some("vm.example.com")
        );
        assert_eq!(names(&["vm.example.com"]).as_deref(), Some("vm.example.com"));
        for none in [
            &["vm"][..],
            &["vm", "localhost"],
            &["vm", "localhost.localdomain"],
            &[],
        ] {
            assert_eq!(names(none), None, "{none:?}");
        }
    }

    #[tokio::test]
    async fn a_greeting_that_nobody_has_chosen_is_one_that_could_be() {
        let name = default_name(Ipv4Addr::LOCALHOST.into()).await;
        assert!(is_hello_name(&name), "{name}");
    }

    #[test]
    fn an_address_of_either_family_is_written_in_brackets() {
        for (address, expected) in [
            ("192.0.2.1", "[192.0.2.1]"),
            ("::ffff:192.0.2.1", "[192.0.2.1]"),
            ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ] {
            let literal = address_literal(address.parse().unwrap());
            assert_eq!(literal, expected);
            assert!(is_hello_name(&literal));
        }
    }
}

//! E-mail addresses that every part of the host can mail to: one rule for orders, senders and tests.
//!
//! RFC 5321 allows more than mail programs and servers of today take, and more than the library that composes messages
//! does: local parts in quotes, and addresses in brackets in place of a domain. An order for such an address would be
//! charged and never be mailed.

use email_address::EmailAddress;

/// The most bytes of a local part (RFC 5321 section 4.5.3.1.1).
const LOCAL_PART_BYTES: usize = 64;

/// The most bytes of an address, as many as a path of 256 has between its brackets (RFC 5321 section 4.5.3.1.3).
const ADDRESS_BYTES: usize = 254;

/// The characters besides letters and digits that an atom may have (RFC 5322 section 3.2.3).
const ATOM: &str = "!#$%&'*+-/=?^_`{|}~";

/// Whether a text is one e-mail address that can be mailed to, and nothing that could add a recipient or a header: atoms
/// joined by periods, an `@`, and the name of a domain. Letters beyond ASCII may be in both (RFC 6531).
pub fn is_mailable(text: &str) -> bool {
    let Some((local_part, domain)) = text.rsplit_once('@') else {
        return false;
    };
    text.len() <= ADDRESS_BYTES && is_local_part(local_part) && is_domain(domain)
}

fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| !atom.is_empty() && atom.chars().all(is_of_atom);
    text.len() <= LOCAL_PART_BYTES && text.split('.').all(is_atom) && EmailAddress::is_valid_local_part(text)
}

fn is_of_atom(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || ATOM.contains(c),
        false => c.is_alphanumeric(),
    }
}

/// Whether a text is the name of a domain, which has a form in ASCII (RFC 5891), and no address.
fn is_domain(text: &str) -> bool {
    let Ok(ascii) = idna::domain_to_ascii(text) else {
        return false;
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = ascii.rsplit('.').next().is_some_and(is_number);
    !text.starts_with('[')
        && EmailAddress::is_valid_domain(text)
        && EmailAddress::is_valid_domain(&ascii)
        && !is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_atoms_and_a_domain_can_be_mailed_to() {
        for text in [
            "it@beispiel.example",
            "first.last+tag@sub.example.com",
            "o'neill@example.com",
            "#!$%&'*+-/=?^_`{|}~@example.com",
            "a@xn--mller-kva.example",
            "a@m\u{fc}ller.example",
            "\u{3bc}\u{3b9}\u{3c7}\u{3b1}\u{3ae}\u{3bb}@customer.test",
            "a@localhost",
            "a@1.example",
        ] {
            assert!(is_mailable(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_or_can_t_be_mailed_to_is_refused() {
        for text in [
            "",
            "a",
            "@b.test",
            "a@",
            "a@b.test\r\nBcc: c@d.test",
            "\"a\r\nb\"@b.test",
            "a@b.test, c@d.test",
            "a@b.test\0",
            "Name <a@b.test>",
            "a b@c.test",
            "a@[anything]",
            "a@[192.0.2.1",
            "a@[2001:db8::1]",
            "\"it dept\"@b.test",
            "\"it\"@b.test",
            "it@[192.0.2.1]",
            "it@[IPv6:2001:db8::1]",
            "it@192.0.2.1",
            "it@[b.test]",
            ".it@b.test",
            "it.@b.test",
            "i..t@b.test",
            "i(comment)t@b.test",
            "it@b.test.",
            "it@b..test",
            "it@-b.test",
            "i\u{200b}t@b.test",
            "i\u{202e}t@b.test",
        ] {
            assert!(!is_mailable(text), "{text:?}");
        }
        assert!(is_mailable(&format!("{}@b.test", "a".repeat(64))));
        assert!(!is_mailable(&format!("{}@b.test", "a".repeat(65))));
        let long = format!("{}.test", vec!["b".repeat(60); 4].join("."));
        assert!(!is_mailable(&format!("{}@{long}", "a".repeat(60))));
    }
}

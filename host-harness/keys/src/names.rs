//! Names in certificates, as operators read them.

use bss_model::text::steers;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::X509Name;

/// A distinguished name: `C=DE, O=Example GmbH, CN=esd`. An encoding that is not known is shown as its octets.
pub(crate) fn distinguished_name(name: &X509Name<'_>) -> String {
    let names = name.iter_rdn().map(|part| {
        let attributes = part.iter().map(|attribute| {
            let kind = oid2abbrev(attribute.attr_type(), oid_registry());
            let kind = kind.map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
            format!("{kind}={}", value(attribute.attr_value()))
        });
        attributes.collect::<Vec<_>>().join(" + ")
    });
    printable(&names.collect::<Vec<_>>().join(", "))
}

fn value(any: &Any<'_>) -> String {
    let octets = any.data;
    match any.tag() {
        Tag::BmpString => {
            let units = octets
                .as_chunks::<2>()
                .0
                .iter()
                .map(|unit| u16::from_be_bytes(*unit));
            let characters = char::decode_utf16(units);
            characters
                .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        Tag::UniversalString => {
            let characters = octets
                .as_chunks::<4>()
                .0
                .iter()
                .map(|unit| u32::from_be_bytes(*unit));
            characters
                .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        Tag::NumericString
        | Tag::VisibleString
        | Tag::PrintableString
        | Tag::GeneralString
        | Tag::ObjectDescriptor
        | Tag::GraphicString
        | Tag::T61String
        | Tag::VideotexString
        | Tag::Utf8String
        | Tag::Ia5String => text(octets),
        _ => octets.iter().map(|octet| format!("{octet:02X}")).collect(),
    }
}

/// A text that says UTF-8, T.61 or ASCII of itself. Those who write letters with accents as T.61 mean Latin-1 (RFC 5280's
/// predecessors; OpenSSL too reads it so).
fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    }
}

/// Replaces what steers a terminal or turns the direction of text: names come from a file that anybody can make.
pub(crate) fn printable(text: &str) -> String {
    let shown =
        |character| match steers(character) || matches!(character, '\u{200C}'..='\u{200F}' | '\u{61C}') {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer as _;

    use super::*;

    /// A name of one attribute, `O`, in an encoding.
    fn read(tag: u8, octets: &[u8]) -> String {
        let value = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
        let attribute = [&[0x06, 3, 0x55, 4, 10][..], &value(tag, octets)].concat();
        let der = value(0x30, &value(0x31, &value(0x30, &attribute)));
        distinguished_name(&X509Name::from_der(&der).unwrap().1)
    }

    #[test]
    fn a_name_is_readable_in_every_encoding() {
        assert_eq!(read(0x0c, "Müller".as_bytes()), "O=Müller");
        assert_eq!(read(0x14, b"M\xfcller"), "O=Müller");
        assert_eq!(read(0x14, "Müller".as_bytes()), "O=Müller");
        assert_eq!(read(0x13, b"Example & Co*"), "O=Example & Co*");
        let utf16: Vec<u8> = "Μύλος".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(0x1e, &utf16), "O=Μύλος");
        let utf32: Vec<u8> = "Öl".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        assert_eq!(read(0x1c, &utf32), "O=Öl");
        assert_eq!(read(0x02, &[1, 0xff]), "O=01FF");
    }

    #[test]
    fn a_name_steers_no_terminal() {
        for steering in [
            '\u{1b}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{7}', '\u{85}', '\u{200b}',
        ] {
            let name = read(0x0c, format!("a{steering}b").as_bytes());
            assert_eq!(name, "O=a\u{fffd}b", "{steering:?}");
        }
        assert_eq!(read(0x14, b"a\x9b31m"), "O=a\u{fffd}31m");
    }
}

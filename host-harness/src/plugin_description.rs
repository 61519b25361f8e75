//! The rules for what a plugin says of itself, before it is put on record.

use bss_model::{HarmlessFields, PluginDescription};
use bss_sandbox::bindings::Description;
use http::HeaderName;

/// The longest id and name, in characters: they stand in tables, subjects and file names.
const NAME_CHARS: usize = 64;

/// Header fields whose values are secrets (RFC 9110 section 11, RFC 6265). None names an exchange.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];

/// Why a description is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DescriptionError {
    /// The id can't be one.
    #[error("its `id` is not 1 to {NAME_CHARS} lower-case letters, digits, `-` and `.`")]
    Id,
    /// A name is empty, too long, or begins or ends with a blank.
    #[error("its `{0}` is not 1 to {NAME_CHARS} characters without blanks around them")]
    Name(&'static str),
    /// The version is none.
    #[error("its `version` is no version as SemVer has them")]
    Version,
    /// An option's name can't be one.
    #[error("place {0} of its `options` has no lower-case letters, digits and `-`")]
    Option(usize),
    /// A header field can't name an exchange.
    #[error(
        "place {0} of its `correlation-headers` is no header field in lower case, or one that holds secrets"
    )]
    CorrelationHeader(usize),
}

/// The description to put on record.
///
/// # Errors
/// When something in it can't be what the contract says.
pub(crate) fn checked(said: Description) -> Result<PluginDescription, DescriptionError> {
    let is_plain = |text: &str, more: &[u8]| {
        (1..=NAME_CHARS).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte))
    };
    if !is_plain(&said.id, b"-.") {
        return Err(DescriptionError::Id);
    }
    for (what, name) in [("vendor", &said.vendor), ("offering", &said.offering)] {
        let is_name = (1..=NAME_CHARS).contains(&name.chars().count())
            && name.trim() == name
            && !name.chars().any(char::is_control);
        if !is_name {
            return Err(DescriptionError::Name(what));
        }
    }
    if semver::Version::parse(&said.version).is_err() {
        return Err(DescriptionError::Version);
    }
    if let Some(place) = said.options.iter().position(|name| !is_plain(name, b"-")) {
        return Err(DescriptionError::Option(place + 1));
    }
    let names_exchanges = |name: &String| {
        HeaderName::from_lowercase(name.as_bytes()).is_ok() && !SECRET_HEADERS.contains(&name.as_str())
    };
    if let Some(place) = said
        .correlation_headers
        .iter()
        .position(|name| !names_exchanges(name))
    {
        return Err(DescriptionError::CorrelationHeader(place + 1));
    }
    Ok(PluginDescription {
        id: said.id,
        vendor: said.vendor,
        offering: said.offering,
        version: said.version,
        options: said.options,
        correlation_headers: said.correlation_headers,
        harmless: HarmlessFields {
            requests: said.harmless.requests.into_iter().collect(),
            answers: said.harmless.answers.into_iter().collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl FnOnce(&mut Description)) -> Result<PluginDescription, DescriptionError> {
        let mut said = Description {
            id: "acme-keys.v2".to_owned(),
            vendor: "Acme".to_owned(),
            offering: "Acme Keys".to_owned(),
            version: "1.2.3-rc.1".to_owned(),
            options: vec!["region".to_owned()],
            correlation_headers: vec!["x-request-id".to_owned()],
            harmless: bss_sandbox::bindings::HarmlessFields {
                requests: vec!["sku".to_owned()],
                answers: vec!["sku".to_owned(), "sku".to_owned()],
            },
        };
        change(&mut said);
        checked(said)
    }

    #[test]
    fn a_description_is_taken_as_it_is() {
        let taken = said(|_| ()).unwrap();
        assert_eq!(
            (taken.id.as_str(), taken.vendor.as_str()),
            ("acme-keys.v2", "Acme")
        );
        assert_eq!(taken.correlation_headers, ["x-request-id"]);
    }

    #[test]
    fn what_can_not_be_a_description_is_named() {
        for id in ["", "Acme", "a b", "a/b", &"a".repeat(65)] {
            assert_eq!(
                said(|said| said.id = id.to_owned()),
                Err(DescriptionError::Id),
                "{id}"
            );
        }
        for name in ["", " Acme", "Acme\n", &"a".repeat(65)] {
            let vendor = said(|said| said.vendor = name.to_owned());
            assert_eq!(vendor, Err(DescriptionError::Name("vendor")), "{name}");
            let offering = said(|said| said.offering = name.to_owned());
            assert_eq!(offering, Err(DescriptionError::Name("offering")), "{name}");
        }
        for version in ["", "1", "1.2", "v1.2.3"] {
            let version = said(|said| said.version = version.to_owned());
            assert_eq!(version, Err(DescriptionError::Version));
        }
        let option = said(|said| said.options.push("Region".to_owned()));
        assert_eq!(option, Err(DescriptionError::Option(2)));
        for header in ["X-Request-Id", "two words", "", "authorization", "set-cookie"] {
            let named = said(|said| said.correlation_headers = vec![header.to_owned()]);
            assert_eq!(named, Err(DescriptionError::CorrelationHeader(1)), "{header}");
        }
    }
}

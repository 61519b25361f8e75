//! Where a form was sent from: a page of this console, or of somebody else.

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Uri};

/// What a browser says of where a request comes from (W3C Fetch Metadata, section 2.3).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request was sent by a page of this console. A browser says so in one of two ways; what says nothing is no browser of today,
/// and is not let in.
pub(crate) fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    if headers.contains_key(SEC_FETCH_SITE) {
        return one(SEC_FETCH_SITE) == Some("same-origin");
    }
    // HTTP/2 names the host in its target.
    let host = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| one(HOST));
    let origin = one(ORIGIN).and_then(|origin| {
        let (scheme, host) = origin.split_once("://")?;
        matches!(scheme, "https" | "http").then_some(host)
    });
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(fields: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("bss.example:8443"));
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        is_same_origin(&headers, &Uri::from_static("/console/orders"))
    }

    #[test]
    fn a_page_of_this_console_is_told_from_all_others() {
        for fields in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://bss.example:8443")],
            &[("origin", "https://BSS.example:8443")],
            // What a browser says of itself counts, whatever a proxy made of the host.
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://outside.example"),
            ],
        ] {
            assert!(of(fields), "{fields:?}");
        }
        for fields in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://bss.example:8443"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", "https://bss.example")],
            &[("origin", "https://bss.example:8443.evil.example")],
            &[("origin", "null")],
            &[
                ("origin", "https://bss.example:8443"),
                ("origin", "https://evil.example"),
            ],
            &[("referer", "https://bss.example:8443/console/")],
        ] {
            assert!(!of(fields), "{fields:?}");
        }
    }
}

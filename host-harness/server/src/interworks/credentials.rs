//! The pair of application id and key by which a platform shows who it is.

use bss_model::Secret;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

const APPLICATION_ID: HeaderName = HeaderName::from_static("x-cloudplatform-applicationid");
const API_KEY: HeaderName = HeaderName::from_static("x-cloudplatform-apikey");

/// What a platform shows of itself.
pub(crate) struct Credentials {
    pub(crate) application_id: Uuid,
    /// The texts that the key may be: platforms send it in base64, and some as it is.
    pub(crate) keys: Vec<Secret>,
}

impl Credentials {
    /// The credentials of a request. `None`: it has none, or some that can't be read, or several.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let application_id = only(headers, &APPLICATION_ID)?.to_str().ok()?;
        let key = only(headers, &API_KEY)?.as_bytes().trim_ascii();
        let decoded = BASE64.decode(key).ok();
        let keys = [decoded.as_deref(), Some(key)].into_iter().flatten();
        let keys = keys.filter_map(|key| std::str::from_utf8(key).ok());
        Some(Self {
            application_id: Uuid::try_parse(application_id.trim()).ok()?,
            keys: keys.map(Secret::new).collect(),
        })
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b6708ca0-7cbe-4696-ad64-b465f3c878dc";

    fn of(pairs: &[(&HeaderName, &str)]) -> Option<(Uuid, Vec<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Credentials::of(&headers).map(|shown| {
            let keys = shown.keys.iter().map(|key| key.expose().to_owned());
            (shown.application_id, keys.collect())
        })
    }

    #[test]
    fn an_id_is_read_with_and_without_braces_and_a_key_in_base64_and_as_it_is() {
        let id: Uuid = ID.parse().unwrap();
        for text in [ID, &ID.to_uppercase(), &format!("{{{ID}}}"), &format!(" {ID} ")] {
            let shown = of(&[(&APPLICATION_ID, text), (&API_KEY, "c2VjcmV0")]);
            assert_eq!(
                shown,
                Some((id, vec!["secret".to_owned(), "c2VjcmV0".to_owned()])),
                "{text}"
            );
        }
        let shown = of(&[(&APPLICATION_ID, ID), (&API_KEY, "no base64!")]);
        assert_eq!(shown, Some((id, vec!["no base64!".to_owned()])));
    }

    #[test]
    fn what_is_missing_or_given_twice_or_no_id_shows_nothing() {
        for pairs in [
            &[][..],
            &[(&APPLICATION_ID, ID)],
            &[(&API_KEY, "secret")],
            &[(&APPLICATION_ID, "1"), (&API_KEY, "secret")],
            &[(&APPLICATION_ID, ID), (&APPLICATION_ID, ID), (&API_KEY, "secret")],
            &[(&APPLICATION_ID, ID), (&API_KEY, "secret"), (&API_KEY, "secret")],
        ] {
            assert_eq!(of(pairs), None, "{pairs:?}");
        }
    }
}

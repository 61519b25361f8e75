//! What an address asks for behind its question mark.

use std::num::NonZeroU32;

use axum::extract::FromRequestParts;
use bss_model::{Cursor, Page, SortOrder};
use http::request::Parts;

use crate::failure::Failure;

/// Rows of a list on one page.
const ROWS: NonZeroU32 = NonZeroU32::new(50).expect("not 0");

/// The parameters of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub(crate) fn of(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A text. `None`: it is not there, or empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let text = found.map(|(_, text)| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    }

    /// A case of an enum, by its word in views.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let found = all
            .iter()
            .copied()
            .find(|case| host_harness::view::word(word(*case)) == text);
        found.map(Some).ok_or_else(|| Failure::odd_address(name))
    }

    /// The page of a list, the latest rows first.
    pub(crate) fn page(&self) -> Page {
        self.page_in(SortOrder::Descending)
    }

    /// The page of a list in an order.
    pub(crate) fn page_in(&self, order: SortOrder) -> Page {
        let page = Page::first(ROWS.get()).in_order(order);
        match self.text("after") {
            Some(after) => page.after(Cursor::new(after)),
            None => page,
        }
    }

    /// The address of the next page of a list, which has all that this one asks for. `None`: there is none.
    pub(crate) fn next(&self, next: Option<&Cursor>) -> Option<String> {
        let next = next?;
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        for (name, value) in self.0.iter().filter(|(name, _)| name != "after") {
            query.append_pair(name, value);
        }
        query.append_pair("after", next.as_str());
        Some(query.finish())
    }

    /// What is asked for by name, for a template that shows it again.
    pub(crate) fn shown(&self) -> std::collections::BTreeMap<&str, &str> {
        let all = self.0.iter().rev();
        all.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use bss_model::LicenseState;

    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_typed_and_the_next_page_asks_for_the_same() {
        let query = Query::of("customer=C%201&state=licensed&empty=&after=old");
        assert_eq!(query.text("customer").as_deref(), Some("C 1"));
        assert_eq!(query.text("empty"), None);
        let state = query.word("state", LicenseState::ALL, LicenseState::word);
        assert_eq!(state.ok().flatten(), Some(LicenseState::Licensed));
        let odd = Query::of("state=odd");
        assert!(odd.word("state", LicenseState::ALL, LicenseState::word).is_err());
        let next = query.next(Some(&Cursor::new("a&b".to_owned()))).unwrap();
        assert_eq!(next, "?customer=C+1&state=licensed&empty=&after=a%26b");
        assert_eq!(query.next(None), None);
    }
}

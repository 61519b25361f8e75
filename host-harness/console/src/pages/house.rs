//! What the pages of the whole house share: filters by an instance or a month, ids in addresses, and the problem of a form.

use std::str::FromStr;
use std::time::Duration;

use bss_model::clock::now_ms;
use host_harness::{Error, ErrorKind, InstanceHandle};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The longest time for which a former key is taken, in hours: who has not changed over in a month will not.
const KEEP_FORMER_HOURS_MAX: u64 = 31 * 24;

/// An instance that a list can be filtered by.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InstanceChoice {
    id: Uuid,
    name: String,
    owner: Option<String>,
}

/// The instances that lists can be filtered by, by name.
pub(crate) async fn instances(me: &Me) -> Result<Vec<InstanceChoice>, Failure> {
    let instances = me.host().instances().await?;
    let choices = instances.into_iter().map(|instance| InstanceChoice {
        id: instance.id,
        name: instance.name,
        owner: instance.owner.map(|owner| owner.to_string()),
    });
    Ok(choices.collect())
}

/// The instance of a name, or else of an id: a tenant's may have the name of one of the operator's.
///
/// # Errors
/// When there is neither, and when the record can't be read.
pub(crate) async fn instance(me: &Me, named: &str) -> Result<InstanceHandle, Error> {
    match (me.host().instance(named).await, Uuid::try_parse(named)) {
        (Err(error), Ok(id)) if error.kind() == ErrorKind::NotFound => {
            me.host().instance_of_id(id.into()).await
        }
        (found, _) => found,
    }
}

/// The instance that an address asks for, by its id or its name.
pub(crate) async fn asked_instance(me: &Me, query: &Query) -> Result<Option<Uuid>, Failure> {
    let Some(asked) = query.text("instance") else {
        return Ok(None);
    };
    match asked.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => Ok(Some(me.host().named_instance(&asked).await?.id)),
    }
}

/// What an address asks for by a name, read.
pub(crate) fn parsed<T: FromStr>(query: &Query, name: &str) -> Result<Option<T>, Failure> {
    let text = query.text(name);
    let read = text.map(|text| text.parse().map_err(|_| Failure::odd_address(name)));
    read.transpose()
}

/// An id in the path of an address. What is none, there is nothing of.
pub(crate) fn id(text: &str) -> Result<Uuid, Failure> {
    text.parse().map_err(|_| Failure::no_page())
}

/// The words of an enum's cases, as views show them.
pub(crate) fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<String> {
    let words = all.iter().map(|case| host_harness::view::word(word(*case)));
    words.collect()
}

/// The case of an enum that a view's word stands for. `None`: there is none.
pub(crate) fn of_word<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, text: &str) -> Option<T> {
    let mut all = all.iter().copied();
    all.find(|case| host_harness::view::word(word(*case)) == text)
}

/// A month, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Month {
    /// The first millisecond.
    pub(crate) since_ms: i64,
    /// The first millisecond after it.
    pub(crate) until_ms: i64,
}

impl Month {
    /// Reads a month, as in `2026-11`. `None`: it is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
        Some(Self {
            since_ms: begin_ms(first)?,
            until_ms: begin_ms(first.checked_add(1.month()).ok()?)?,
        })
    }

    /// The month that an address asks for. `None`: it asks for none.
    pub(crate) fn asked(query: &Query) -> Result<Option<Self>, Failure> {
        let text = query.text("month");
        let read = text.map(|text| Self::read(&text).ok_or_else(|| Failure::odd_address("month")));
        read.transpose()
    }
}

/// This month, as in `2026-11`.
pub(crate) fn this_month() -> String {
    let now = Timestamp::from_millisecond(now_ms()).unwrap_or_default();
    let today = now.to_zoned(TimeZone::UTC).date();
    format!("{:04}-{:02}", today.year(), today.month())
}

fn begin_ms(day: Date) -> Option<i64> {
    let begin = day.to_zoned(TimeZone::UTC).ok()?;
    Some(begin.timestamp().as_millisecond())
}

/// Where a browser reaches this console, as in `https://host.example`: as the browser says it, or else by the host that it asked.
pub(crate) fn base_url(headers: &HeaderMap, uri: &Uri) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(ORIGIN).filter(|origin| origin.contains("://"));
    if let Some(origin) = origin {
        return origin.to_owned();
    }
    // HTTP/2 names the host in its target.
    let host = uri.authority().map(http::uri::Authority::as_str);
    format!("https://{}", host.or_else(|| text(HOST)).unwrap_or_default())
}

/// The problem of a form, where the host refuses what was typed: the field that it is about, and why. Empty field: it is about all.
///
/// # Errors
/// The failure, where nothing that was typed is wrong.
pub(crate) fn problem(field: &str, failure: Failure) -> Result<Value, Failure> {
    match failure.status().is_client_error() {
        true => Ok(context! { field, failure }),
        false => Err(failure),
    }
}

/// The problem of a form, where what was typed into a field can't be read: `word` says in the catalog what is read.
pub(crate) fn unread(field: &str, word: &str) -> Value {
    context! { field, word }
}

/// The time for which a former key is taken still, of a field with hours. `None`: it is no number, or too long.
pub(crate) fn keep_former(form: &Form) -> Option<Duration> {
    hours(&form.text("keep-former-hours"))
}

fn hours(text: &str) -> Option<Duration> {
    let hours = match text {
        "" => 0,
        text => text.parse().ok()?,
    };
    (hours <= KEEP_FORMER_HOURS_MAX).then(|| Duration::from_secs(hours * 60 * 60))
}

/// What was typed into a form, by name, for a page that shows it again.
pub(crate) fn typed(form: &Form) -> std::collections::BTreeMap<&str, &str> {
    form.kept().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_from_its_first_day_to_the_next_ones() {
        let month = Month::read("2026-12").unwrap();
        assert_eq!(
            (month.since_ms, month.until_ms),
            (1_796_083_200_000, 1_798_761_600_000)
        );
        for text in ["", "2026", "2026-13", "2026-1-1", "x-01"] {
            assert_eq!(Month::read(text), None, "{text}");
        }
        assert!(Month::read(&this_month()).is_some());
    }

    #[test]
    fn the_console_is_where_the_browser_says_or_at_the_host_that_it_asked() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "desk.example:8443".parse().unwrap());
        let uri = "/console/operators".parse().unwrap();
        assert_eq!(base_url(&headers, &uri), "https://desk.example:8443");
        headers.insert(ORIGIN, "null".parse().unwrap());
        assert_eq!(base_url(&headers, &uri), "https://desk.example:8443");
        headers.insert(ORIGIN, "https://desk.example".parse().unwrap());
        assert_eq!(base_url(&headers, &uri), "https://desk.example");
        let uri = "https://two.example/console/".parse().unwrap();
        assert_eq!(base_url(&HeaderMap::new(), &uri), "https://two.example");
    }

    #[test]
    fn a_former_key_is_taken_for_a_month_at_most() {
        assert_eq!(hours(""), Some(Duration::ZERO));
        assert_eq!(hours("24"), Some(Duration::from_secs(86_400)));
        assert_eq!((hours("745"), hours("x")), (None, None));
    }
}

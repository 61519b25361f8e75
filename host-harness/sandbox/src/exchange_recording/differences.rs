//! Finds the differences between what was recorded and what is now: requests, and the plugin's answers.
//!
//! A recorded [`REMOVED`] stands for any text, as a whole or as a part of a text, and as a whole for any number.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::exchange::{Body, RecordedRequest};
use crate::secret_shapes::REMOVED;

/// Differences of one body or answer that are reported; further ones are left out.
const JSON_DIFFERENCES: usize = 10;

/// The name of a part, the recorded value, and the value now.
type Found = (String, String, String);

/// The differences between two requests.
pub(crate) fn differences(recorded: &RecordedRequest, asked: &RecordedRequest) -> Vec<Found> {
    let mut found = Vec::new();
    url_differences(&recorded.url, &asked.url, &mut found);
    let names: BTreeSet<_> = recorded.headers.keys().chain(asked.headers.keys()).collect();
    for name in names {
        let (before, now) = (recorded.headers.get(name), asked.headers.get(name));
        if !is_same(before.map(String::as_str), now.map(String::as_str)) {
            let text = |value: Option<&String>| value.cloned().unwrap_or_default();
            found.push((format!("header {name}"), text(before), text(now)));
        }
    }
    let mut in_body = Vec::new();
    match (&recorded.body, &asked.body) {
        (Body::Json(before), Body::Json(now)) => json_differences("", before, now, &mut in_body),
        (Body::Form(before), Body::Form(now)) if is_same_form(before, now) => {}
        (before, now) if before == now => {}
        (before, now) => in_body.push((
            String::new(),
            String::from_utf8_lossy(&before.bytes()).into_owned(),
            String::from_utf8_lossy(&now.bytes()).into_owned(),
        )),
    }
    found.extend(named("body", in_body));
    found
}

/// The differences between two answers of a plugin.
pub(crate) fn answer_differences(recorded: &Value, now: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    json_differences("", recorded, now, &mut found);
    named("answer", found)
}

fn named(whole: &str, mut found: Vec<Found>) -> Vec<Found> {
    found.truncate(JSON_DIFFERENCES);
    let named = |(pointer, before, now)| (format!("{whole} {pointer}").trim_end().to_owned(), before, now);
    found.into_iter().map(named).collect()
}

/// Adds the query fields that differ, or the whole address.
fn url_differences(recorded: &str, asked: &str, found: &mut Vec<Found>) {
    let (before, now) = (split(recorded), split(asked));
    let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if before.0 != now.0 || names(&before.1) != names(&now.1) {
        found.push(("url".to_owned(), recorded.to_owned(), asked.to_owned()));
        return;
    }
    for ((name, before), (_, now)) in before.1.into_iter().zip(now.1) {
        if !is_same(Some(&before), Some(&now)) {
            found.push((format!("query {name}"), before, now));
        }
    }
}

/// An address without its query, and the query's fields.
fn split(url: &str) -> (&str, Vec<(String, String)>) {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    (
        base,
        form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
    )
}

fn is_same_form(before: &[(String, String)], now: &[(String, String)]) -> bool {
    let mut pairs = before.iter().zip(now);
    before.len() == now.len()
        && pairs.all(|(before, now)| before.0 == now.0 && is_same(Some(&before.1), Some(&now.1)))
}

/// Whether a text is the recorded one, as far as that is known.
fn is_same(recorded: Option<&str>, now: Option<&str>) -> bool {
    match (recorded, now) {
        (Some(recorded), Some(now)) => recorded == now || fits(recorded, now),
        (None, None) => true,
        _ => false,
    }
}

/// Whether a text has the recorded parts between which something was removed.
fn fits(recorded: &str, now: &str) -> bool {
    let parts: Vec<&str> = recorded.split(REMOVED).collect();
    let [first, between @ .., last] = parts.as_slice() else {
        return false;
    };
    let Some(mut rest) = now.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    for part in between {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

fn json_differences(pointer: &str, before: &Value, now: &Value, found: &mut Vec<Found>) {
    match (before, now) {
        _ if before == now => {}
        (Value::Object(before), Value::Object(now)) => {
            let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
            for name in names {
                let part = |value: &Map<String, Value>| value.get(name).cloned();
                part_differences(&format!("{pointer}/{name}"), part(before), part(now), found);
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            for at in 0..before.len().max(now.len()) {
                let part = |items: &[Value]| items.get(at).cloned();
                part_differences(&format!("{pointer}/{at}"), part(before), part(now), found);
            }
        }
        (Value::String(recorded), Value::String(now)) if fits(recorded, now) => {}
        (Value::String(recorded), Value::Number(_)) if recorded == REMOVED => {}
        _ => found.push((pointer.to_owned(), before.to_string(), now.to_string())),
    }
}

fn part_differences(pointer: &str, before: Option<Value>, now: Option<Value>, found: &mut Vec<Found>) {
    match (before, now) {
        (Some(before), Some(now)) => json_differences(pointer, &before, &now, found),
        (before, now) => {
            let text = |value: Option<Value>| value.map(|value| value.to_string()).unwrap_or_default();
            found.push((pointer.to_owned(), text(before), text(now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_removed_stands_for_any_text_and_for_nothing_else() {
        for (recorded, now, same) in [
            (REMOVED, "anything", true),
            (REMOVED, "", true),
            ("key [removed], for [removed]", "key K, for removed-1", true),
            ("key [removed], for [removed]", "key K for removed-1", false),
            ("[removed]-1", "[removed]-1", true),
            ("[removed]-1", "a-2", false),
            ("aa[removed]aa", "aaa", false),
            ("removed-1", "removed-2", false),
            ("", "a", false),
        ] {
            assert_eq!(is_same(Some(recorded), Some(now)), same, "{recorded}, {now}");
        }
        let recorded = json!({ "a": [REMOVED, 1], "b": [REMOVED, "b"] });
        let now = json!({ "a": [{}, 1, 2], "b": [1, "b"] });
        let found = answer_differences(&recorded, &now);
        let parts: Vec<_> = found.iter().map(|(what, ..)| what.as_str()).collect();
        assert_eq!(parts, ["answer /a/0", "answer /a/2"]);
        assert_eq!(
            found[1],
            ("answer /a/2".to_owned(), String::new(), "2".to_owned())
        );
    }

    #[test]
    fn a_query_field_that_differs_is_named() {
        let mut found = Vec::new();
        url_differences("https://a.test/x?a=1&b=2", "https://a.test/x?a=1&b=3", &mut found);
        url_differences("https://a.test/x?a=1", "https://a.test/x?c=1", &mut found);
        url_differences(
            "https://a.test/x?a=%5Bremoved%5D",
            "https://a.test/x?a=1",
            &mut found,
        );
        let parts: Vec<_> = found.iter().map(|(what, ..)| what.as_str()).collect();
        assert_eq!(parts, ["query b", "url"]);
    }
}

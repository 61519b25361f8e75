//! Finds the differences between two requests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::exchange::{Body, RecordedRequest};

/// Differences of one body that are reported; further ones are left out.
const BODY_DIFFERENCES: usize = 10;

/// The differences between two requests: for each the name of the part, the recorded value, and the value now.
pub(crate) fn differences(
    recorded: &RecordedRequest,
    asked: &RecordedRequest,
) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    if recorded.url != asked.url {
        found.push(("url".to_owned(), recorded.url.clone(), asked.url.clone()));
    }
    let names: BTreeSet<_> = recorded.headers.keys().chain(asked.headers.keys()).collect();
    for name in names {
        let (before, now) = (recorded.headers.get(name), asked.headers.get(name));
        if before != now {
            let text = |value: Option<&String>| value.cloned().unwrap_or_default();
            found.push((format!("header {name}"), text(before), text(now)));
        }
    }
    let mut in_body = Vec::new();
    match (&recorded.body, &asked.body) {
        (Body::Json(before), Body::Json(now)) => json_differences("", before, now, &mut in_body),
        (before, now) if before == now => {}
        (before, now) => in_body.push((
            String::new(),
            String::from_utf8_lossy(&before.bytes()).into_owned(),
            String::from_utf8_lossy(&now.bytes()).into_owned(),
        )),
    }
    in_body.truncate(BODY_DIFFERENCES);
    let named = |(pointer, before, now)| (format!("body {pointer}").trim_end().to_owned(), before, now);
    found.extend(in_body.into_iter().map(named));
    found
}

fn json_differences(pointer: &str, before: &Value, now: &Value, found: &mut Vec<(String, String, String)>) {
    match (before, now) {
        _ if before == now => {}
        (Value::Object(before), Value::Object(now)) => {
            let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
            for name in names {
                let part = |value: &Map<String, Value>| value.get(name).cloned();
                match (part(before), part(now)) {
                    (Some(before), Some(now)) => {
                        json_differences(&format!("{pointer}/{name}"), &before, &now, found);
                    }
                    (before, now) => {
                        let text = |value: Option<Value>| value.map(|value| value.to_string());
                        found.push((
                            format!("{pointer}/{name}"),
                            text(before).unwrap_or_default(),
                            text(now).unwrap_or_default(),
                        ));
                    }
                }
            }
        }
        _ => found.push((pointer.to_owned(), before.to_string(), now.to_string())),
    }
}

//! Differences between what a plugin did and what was recorded, and which of them say nothing of the plugin.

use super::sent::leaves;
use crate::exchange_recording::{Body, Recorded, has_place};
use crate::limits::CATALOG_CALL;

/// A difference between what a plugin did and what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number of the recorded exchange in its call, from 1. `None` when the difference is about the call's
    /// outcome, or about a request that was not recorded.
    pub exchange: Option<u32>,
    /// The part that differs, such as `url`, `body /customer/country` or `answer /license-token-status`.
    pub what: String,
    /// The recorded value; empty for none.
    pub recorded: String,
    /// The value now; empty for none.
    pub now: String,
}

/// The parts of a call that have no value of their own.
const WITHOUT_VALUE: [&str; 3] = ["order", "outcome", "request"];

impl Difference {
    /// A difference of the call as a whole.
    pub(super) fn of_call(what: &str, recorded: &str, now: &str) -> Self {
        Self {
            exchange: None,
            what: what.to_owned(),
            recorded: recorded.to_owned(),
            now: now.to_owned(),
        }
    }

    /// Whether the two values can be made from the time of the call, or by chance. A number in an answer is a time, or a
    /// quantity that nobody makes up.
    fn can_be_made(&self) -> bool {
        if !self.what.starts_with("answer") {
            return true;
        }
        let [recorded, now] = [&self.recorded, &self.now].map(|text| text.parse::<i64>().ok());
        let apart_ms = recorded.zip(now).map(|(recorded, now)| recorded.abs_diff(now));
        apart_ms.is_none_or(|ms| u128::from(ms) <= CATALOG_CALL.as_millis())
    }
}

/// Leaves out what says nothing of the plugin:
/// - what it makes from the time of day or by chance: a value that differed in another way when the call was played `later`;
/// - what it makes of a removed value, of which it has got the replacement now.
///
/// A recorded value that the plugin was given in the arguments or by the vendor is none of them.
pub(super) fn keep_what_the_plugin_makes(
    differences: &mut Vec<Difference>,
    later: &[Difference],
    recorded: &Recorded,
) {
    if differences.is_empty() {
        return;
    }
    let given = given(recorded);
    differences.retain(|difference| {
        let json = serde_json::from_str::<String>(&difference.recorded);
        let recorded = json.unwrap_or_else(|_| difference.recorded.clone());
        recorded.is_empty()
            || WITHOUT_VALUE.contains(&difference.what.as_str())
            || given.contains(&recorded)
            || !has_place(&difference.now) && (later.contains(difference) || !difference.can_be_made())
    });
}

/// All that the plugin was given: arguments and answers. What an answer repeats of its request is the plugin's own.
fn given(recorded: &Recorded) -> String {
    let mut given = recorded.asked.to_string();
    for exchange in &recorded.exchanges {
        let Some(response) = &exchange.response else {
            continue;
        };
        let mut own = exchange.request.url.clone();
        own.extend(exchange.request.headers.values().map(String::as_str));
        own.push_str(&String::from_utf8_lossy(&exchange.request.body.bytes()));
        let mut add = |_: String, value: &str| {
            if !own.contains(value) {
                given.push('\n');
                given.push_str(value);
            }
        };
        for (name, value) in &response.headers {
            add(name.clone(), value);
        }
        if let Body::Json(body) = &response.body {
            leaves("", body, &mut add);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::exchange_recording::RecordedExchange;

    /// A call that was given `given`, and whose vendor repeats the plugin's `own` and adds `theirs`.
    fn recorded() -> Recorded {
        let exchange = json!({
            "call": Uuid::nil(),
            "number": 1,
            "begunAfterMs": 0,
            "tookMs": 0,
            "request": { "method": "GET", "url": "https://a.test/", "headers": { "a": "own" }, "body": "empty" },
            "response": { "status": 200, "headers": { "a": "own" }, "body": { "json": { "b": "own", "c": "theirs" } } },
        });
        Recorded {
            call: Uuid::nil(),
            begun_at_ms: 0,
            options: [].into(),
            authorities: Vec::new(),
            certificate: false,
            harmless: None,
            asked: json!({ "a": "given" }),
            exchanges: vec![serde_json::from_value::<RecordedExchange>(exchange).unwrap()],
            said: None,
            access_token_kept: false,
            answer: None,
        }
    }

    /// Whether a difference stays that is another one later, or the same.
    fn stays(what: &str, recorded: &str, now: &str, later: &str) -> bool {
        let of = |now: &str| Difference::of_call(what, recorded, now);
        let mut differences = vec![of(now)];
        keep_what_the_plugin_makes(&mut differences, &[of(later)], &self::recorded());
        !differences.is_empty()
    }

    #[test]
    fn what_is_another_each_time_is_left_out_unless_the_plugin_was_given_it() {
        for (what, recorded, now, later, expected) in [
            ("header a", "own", "1", "2", false),
            ("answer /a", "\"own\"", "\"1\"", "\"2\"", false),
            ("header a", "own", "1", "1", true),
            ("header a", "given", "1", "2", true),
            ("header a", "theirs", "1", "2", true),
            ("header a", "", "1", "2", true),
            ("outcome", "unknown", "1", "2", true),
            ("request", "own", "1", "2", true),
            // A time of the call's; a time that is not.
            (
                "answer /at-ms",
                "1800000000500",
                "1800000000000",
                "1800000061000",
                false,
            ),
            (
                "answer /at-ms",
                "1700000000500",
                "1800000000000",
                "1800000061000",
                true,
            ),
            (
                "body /nonce",
                "1700000000500",
                "1800000000000",
                "1800000061000",
                false,
            ),
            // What is made of a removed value; and what was no removed value before.
            (
                "answer /message",
                "\"own text\"",
                "\"a removed-1.\"",
                "\"a removed-1.\"",
                false,
            ),
            (
                "answer /message",
                "\"theirs\"",
                "\"removed-1\"",
                "\"removed-1\"",
                true,
            ),
        ] {
            assert_eq!(stays(what, recorded, now, later), expected, "{what}, {recorded}");
        }
    }
}

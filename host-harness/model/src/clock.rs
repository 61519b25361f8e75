//! The machine's clock, in the unit of the record: milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The current time, in milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(elapsed)
}

/// A span of time in whole milliseconds.
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Formats a time for people, to the second.
pub fn rfc3339(time_ms: i64) -> String {
    match jiff::Timestamp::from_second(time_ms.div_euclid(1000)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{time_ms} ms"),
    }
}

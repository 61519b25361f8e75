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

/// Formats a time for people, to the second. A certificate that never ends says 9999-12-31T23:59:59Z (RFC 5280, section
/// 4.1.2.5), which is beyond what a time stamp may be.
pub fn rfc3339(time_ms: i64) -> String {
    let since = jiff::SignedDuration::from_secs(time_ms.div_euclid(1000));
    match jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since) {
        Ok(time) => format!("{time}Z"),
        Err(_) => format!("{time_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_the_second_up_to_the_end_of_the_calendar() {
        for (time_ms, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_577_836_800_999, "2020-01-01T00:00:00Z"),
            (253_402_300_799_000, "9999-12-31T23:59:59Z"),
            (253_402_300_800_000, "253402300800000 ms"),
            (i64::MAX, "9223372036854775807 ms"),
        ] {
            assert_eq!(rfc3339(time_ms), shown);
        }
    }
}

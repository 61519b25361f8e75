//! Pauses between attempts at a purchase or a return.

use std::time::Duration;

use bss_model::purchase_rule::SHORTEST_PAUSE;

use crate::backoff;

/// The longest pause between two attempts. A customer may be waiting for an outcome that is not known, and one
/// look-up in five minutes costs the vendor nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The pause after an attempt, counted from 1, that settled nothing. The pause doubles, and chance lengthens it, so
/// that lines that failed together don't come back together.
pub(crate) fn after_attempt(attempt: u32) -> Duration {
    backoff::pause(SHORTEST_PAUSE, LONGEST_PAUSE, attempt)
}

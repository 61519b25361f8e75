//! Pauses between attempts at a purchase or a return.

use std::time::Duration;

use bss_model::purchase_rule::SHORTEST_PAUSE;

use crate::backoff;

/// The longest pause between two attempts. A customer may be waiting for an outcome that is not known, and one
/// look-up in five minutes costs the vendor nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The number of attempts at a line or a return while a caller waits for it. Three within a few seconds outlast a
/// restart of one server behind the vendor's front end; a longer outage is left to the background.
pub(crate) const ATTEMPTS_WAITED_FOR: u32 = 3;

/// The longest pause for which a caller waits.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The pause after an attempt, counted from 1, that settled nothing. The pause doubles, and chance lengthens it, so
/// that lines that failed together don't come back together.
pub(crate) fn after_attempt(attempt: u32) -> Duration {
    backoff::pause(SHORTEST_PAUSE, LONGEST_PAUSE, attempt)
}

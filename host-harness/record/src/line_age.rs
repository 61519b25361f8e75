//! The age of a line, as far as it tells whether the line was ever bought.

use std::time::Duration;

use bss_model::purchase_rule::LineAge;

use super::RecordError;
use super::stored::{certain, moment};
use crate::database::Row;

/// The columns that [`read_age`] reads, of a statement over `orders`.
macro_rules! line_age {
    () => {
        "orders.placed_at_ms, orders.boot, orders.placed_uptime_ms, orders.idempotency_key IS NOT NULL AS has_key,
         (SELECT remembered_ms FROM provenance) AS remembered_ms,
         (SELECT awaits_adoption FROM provenance) AS awaits_adoption"
    };
}
pub(super) use line_age;

/// The age of a row's line. A record that another copy may go on with remembers nothing for certain.
pub(super) fn read_age(row: &Row) -> Result<LineAge, RecordError> {
    let remembered_ms: i64 = row.try_get("remembered_ms")?;
    Ok(LineAge {
        placed: certain(moment(row, "placed_at_ms", "placed_uptime_ms")?, "placed_at_ms")?,
        has_key: row.try_get("has_key")?,
        remembered: match row.try_get("awaits_adoption")? {
            true => Duration::ZERO,
            false => Duration::from_millis(u64::try_from(remembered_ms).unwrap_or_default()),
        },
    })
}

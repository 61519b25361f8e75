//! Due times that a clock which ran ahead has written: once the clock is right again, nothing waits for them.

use std::time::Duration;

use bss_model::clock::{millis, now_ms};
use bss_model::purchase_rule::RETRY_AFTER_MAX;
use bss_model::{CancellationState, LicenseTokenStatus, MailState, SyncStatus};

use super::{Record, RecordError, begin_write};

/// The longest time that anything is put off: as long as a vendor may ask for, and the usual pause.
const LONGEST_PAUSE: Duration = RETRY_AFTER_MAX.saturating_add(Duration::from_secs(60 * 60));

/// What is put off, as the conditions of its rows: a table, the column of the time, and the state that has an index with
/// the time, by its column and its word.
fn put_off() -> [(&'static str, &'static str, &'static str, &'static str); 4] {
    let waits = SyncStatus::Unsynchronised.word();
    let returning = CancellationState::Returning.word();
    let pending = MailState::Pending.word();
    let activated = LicenseTokenStatus::Activated.word();
    [
        ("assets", "due_at_ms", "sync_status", waits),
        ("cancellations", "due_at_ms", "state", returning),
        ("mails", "due_at_ms", "state", pending),
        ("assets", "refresh_asked_at_ms", "license_token_status", activated),
    ]
}

impl Record {
    /// Makes due at once what is put off for longer than anything is.
    pub(super) async fn pull_back_due_times(&self) -> Result<(), RecordError> {
        let too_late_ms = now_ms().saturating_add(millis(LONGEST_PAUSE));
        for (table, column, state_column, state) in put_off() {
            let condition = format!("{state_column} = $1 AND {column} > $2");
            // A read first: it blocks no writer, and nearly always there is nothing.
            let look = format!("SELECT 1 FROM {table} WHERE {condition} LIMIT 1");
            let look = sqlx::query(sqlx::AssertSqlSafe(look))
                .bind(state)
                .bind(too_late_ms);
            if look.fetch_optional(&self.readers).await?.is_none() {
                continue;
            }
            let mut transaction = begin_write(&self.writer).await?;
            let pull = format!("UPDATE {table} SET {column} = $3 WHERE {condition}");
            let pulled = sqlx::query(sqlx::AssertSqlSafe(pull))
                .bind(state)
                .bind(too_late_ms)
                .bind(now_ms())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            tracing::warn!(
                table,
                rows = pulled.rows_affected(),
                "the clock was set back: what was put off by it is due now"
            );
        }
        Ok(())
    }
}

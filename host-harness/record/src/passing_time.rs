//! The time that passes while a record is in use, by the clock that nobody can set: how long it has remembered
//! everything, and by how much the wall clock was set back meanwhile.

use std::time::Duration;

use bss_model::clock::millis;
use bss_model::moment::Moment;
use bss_model::purchase_rule::RETRY_AFTER_MAX;
use bss_model::{CancellationState, LicenseTokenStatus, MailState, SyncStatus};

use super::stored::{boot, moment, uptime_ms};
use super::{Record, RecordError};
use crate::database::Connection;

/// The longest time that anything is put off: as long as a vendor may ask for, and the usual pause.
const LONGEST_PAUSE: Duration = RETRY_AFTER_MAX.saturating_add(Duration::from_secs(60 * 60));

/// How far the wall clock may fall behind before what was put off by it is put off by less. Smaller steps, as those of a
/// clock that is kept right over the network, delay nothing that anybody notices.
const STEP_BACK: Duration = Duration::from_secs(60);

/// What is put off, as the conditions of its rows: a table, the column of the time, and the state that has an index with
/// the time, by its column and its word.
fn put_off() -> [(&'static str, &'static str, &'static str, &'static str); 5] {
    let waits = SyncStatus::Unsynchronised.word();
    let returning = CancellationState::Returning.word();
    let pending = MailState::Pending.word();
    let unused = LicenseTokenStatus::Unused.word();
    [
        ("assets", "due_at_ms", "sync_status", waits),
        ("cancellations", "due_at_ms", "state", returning),
        ("mails", "due_at_ms", "state", pending),
        ("mail_stop", "next_try_at_ms", "kind", "all"),
        ("assets", "refresh_asked_at_ms", "license_token_status", unused),
    ]
}

impl Record {
    /// Counts the time that has passed, and puts off by less what a clock that ran ahead has put off.
    pub(super) async fn count_time(&self) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let now = transaction.now();
        catch_up(&mut transaction, now, Duration::ZERO).await?;
        transaction.commit().await?;
        self.pull_back_what_is_too_late().await
    }

    /// Makes due at once what is put off for longer than anything is: by a clock that ran ahead in an earlier boot.
    async fn pull_back_what_is_too_late(&self) -> Result<(), RecordError> {
        let too_late_ms = self.now_ms().saturating_add(millis(LONGEST_PAUSE));
        for (table, column, state_column, state) in put_off() {
            let condition = format!("{state_column} = $1 AND {column} > $2");
            // A read first: it blocks no writer, and nearly always there is nothing.
            let look = format!("SELECT 1 FROM {table} WHERE {condition} LIMIT 1");
            let look = self.readers.composed(look).bind(state).bind(too_late_ms);
            if look.fetch_optional().await?.is_none() {
                continue;
            }
            let mut transaction = self.begin_write().await?;
            let pull = format!("UPDATE {table} SET {column} = $3 WHERE {condition}");
            let pulled = transaction
                .composed(pull)
                .bind(state)
                .bind(too_late_ms)
                .bind_now()
                .execute()
                .await?;
            transaction.commit().await?;
            tell_pulled_back(table, pulled);
        }
        Ok(())
    }
}

/// Counts the time that has passed since it was last counted, if that is `at_least` so much, and puts off by less what a
/// clock that ran ahead has put off.
pub(super) async fn catch_up(
    connection: &mut Connection,
    now: Moment,
    at_least: Duration,
) -> Result<(), RecordError> {
    let set_back = count(connection, now, at_least).await?;
    if set_back > STEP_BACK {
        pull_back(connection, set_back).await?;
    }
    Ok(())
}

/// Counts the time that has passed since it was last counted, if that is `at_least` so much. Returns by how much the wall
/// clock was set back meanwhile. What passes while the machine is off is not counted: no clock can tell it.
async fn count(
    connection: &mut Connection,
    now: Moment,
    at_least: Duration,
) -> Result<Duration, RecordError> {
    let row = connection
        .sql("SELECT counted_at_ms, counted_boot AS boot, counted_uptime_ms FROM provenance")
        .fetch_one()
        .await?;
    let counted = moment(&row, "counted_at_ms", "counted_uptime_ms")?;
    let counted = counted.filter(|counted| counted.is_of_the_boot_of(now));
    let passed = counted.map_or(Duration::ZERO, |counted| now.certainly_since(counted));
    if counted.is_some() && passed < at_least {
        return Ok(Duration::ZERO);
    }
    connection
        .sql(
            "UPDATE provenance SET remembered_ms = remembered_ms + $1, counted_at_ms = $2, counted_boot = $3,
                               counted_uptime_ms = $4",
        )
        .bind(millis(passed))
        .bind(now.wall_ms)
        .bind(boot(now))
        .bind(uptime_ms(now))
        .execute()
        .await?;
    let right_ms = counted.map(|counted| counted.wall_ms.saturating_add(millis(passed)));
    let behind_ms = right_ms.map_or(0, |right_ms| right_ms.saturating_sub(now.wall_ms));
    Ok(Duration::from_millis(
        u64::try_from(behind_ms).unwrap_or_default(),
    ))
}

/// Puts everything off by less: by as much as the wall clock was set back.
async fn pull_back(connection: &mut Connection, set_back: Duration) -> Result<(), RecordError> {
    for (table, column, state_column, state) in put_off() {
        let pull = format!(
            "UPDATE {table} SET {column} = {column} - $3 WHERE {state_column} = $1 AND {column} > $2"
        );
        let pulled = connection
            .composed(pull)
            .bind(state)
            .bind_now()
            .bind(millis(set_back))
            .execute()
            .await?;
        tell_pulled_back(table, pulled);
    }
    Ok(())
}

fn tell_pulled_back(table: &str, rows: u64) {
    if rows > 0 {
        tracing::warn!(
            table,
            rows,
            "the clock was set back: what was put off by it is due sooner now"
        );
    }
}

#[cfg(test)]
mod tests {
    use bss_model::clock::now_ms;
    use bss_model::moment::{Boot, Uptime};
    use uuid::Uuid;

    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn at(boot: u128, uptime_ms: i64, wall_ms: i64) -> Moment {
        let boot = Boot(Uuid::from_u128(boot));
        Moment {
            wall_ms,
            uptime: Some(Uptime { boot, ms: uptime_ms }),
        }
    }

    /// Counts at that moment, and returns by how many minutes the clock was set back, and how many are remembered.
    async fn counted(record: &Record, now: Moment) -> (u64, i64) {
        let mut connection = record.writer.acquire().await.unwrap();
        let set_back = count(&mut connection, now, Duration::ZERO).await.unwrap();
        let remembered = connection.sql("SELECT remembered_ms FROM provenance");
        let remembered: i64 = remembered.scalar().await.unwrap();
        (set_back.as_secs() / 60, remembered / MINUTE_MS)
    }

    #[tokio::test]
    async fn only_the_clock_that_nobody_can_set_tells_how_much_time_has_passed() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        let wall = now_ms();
        let minutes = |minutes: i64| minutes * MINUTE_MS;
        assert_eq!(counted(&record, at(1, minutes(10), wall)).await, (0, 0));
        assert_eq!(
            counted(&record, at(1, minutes(15), wall + minutes(5))).await,
            (0, 5)
        );
        // A step forward by a year.
        let year = minutes(60 * 24 * 365);
        assert_eq!(counted(&record, at(1, minutes(16), wall + year)).await, (0, 6));
        // The step back.
        let (set_back, remembered) = counted(&record, at(1, minutes(18), wall + minutes(8))).await;
        assert_eq!((set_back, remembered), (60 * 24 * 365 - 6, 8));
        // What passed while the machine was off, nobody knows.
        assert_eq!(counted(&record, at(2, minutes(1), wall + year)).await, (0, 8));
        assert_eq!(
            counted(&record, at(2, minutes(2), wall + year + minutes(1))).await,
            (0, 9)
        );
    }

    #[tokio::test]
    async fn what_is_opened_often_counts_only_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        let mut connection = record.writer.acquire().await.unwrap();
        let hour = Duration::from_secs(60 * 60);
        for (uptime_ms, remembered) in [(0, 0), (MINUTE_MS, 0), (61 * MINUTE_MS, 61)] {
            count(&mut connection, at(1, uptime_ms, uptime_ms), hour)
                .await
                .unwrap();
            let found = connection.sql("SELECT remembered_ms / 60000 FROM provenance");
            let found: i64 = found.scalar().await.unwrap();
            assert_eq!(found, remembered);
        }
    }
}

//! What became of attempts to buy licenses, day by day, and how long vendors took.

use std::collections::BTreeMap;

use bss_model::{AttemptResult, PurchaseDay};

use super::{Record, RecordError};

const DAY_MS: i64 = 86_400_000;

/// The attempts by which it is told how long vendors took, the latest ones: enough for a picture, and few to read.
const TIMED_MAX: i64 = 5_000;

impl Record {
    /// The last days in UTC, today the last: how many attempts at a purchase were licensed, refused, or had no outcome that settles
    /// them, and how long vendors took.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn purchase_days(&self, days: u16) -> Result<Vec<PurchaseDay>, RecordError> {
        let today = self.now_ms().div_euclid(DAY_MS);
        let first = today.saturating_sub(i64::from(days)).saturating_add(1);
        let mut shown: BTreeMap<i64, (PurchaseDay, Vec<i64>)> = (first..=today)
            .map(|day| {
                let at_ms = day.saturating_mul(DAY_MS);
                (day, (PurchaseDay::empty(at_ms), Vec::new()))
            })
            .collect();
        let since_ms = first.saturating_mul(DAY_MS);
        let counted = self
            .readers
            .sql(
                "SELECT begun_at_ms / 86400000 AS day, result, COUNT(*) AS attempts FROM attempts
             WHERE begun_at_ms >= $1 GROUP BY day, result",
            )
            .bind(since_ms)
            .fetch_all()
            .await?;
        for row in &counted {
            let count = row.try_get::<i64, _>("attempts")?.unsigned_abs();
            let result: Option<String> = row.try_get("result")?;
            let result = result
                .as_deref()
                .map(AttemptResult::from_word)
                .transpose()
                .map_err(RecordError::from)?;
            let Some((day, _)) = shown.get_mut(&row.try_get("day")?) else {
                continue;
            };
            match result {
                Some(AttemptResult::Licensed) => day.licensed += count,
                Some(AttemptResult::Refused) => day.refused += count,
                _ => day.unsettled += count,
            }
        }
        let timed = self.readers.sql(
            "SELECT begun_at_ms, finished_at_ms FROM attempts WHERE begun_at_ms >= $1 AND finished_at_ms IS NOT NULL
             ORDER BY begun_at_ms DESC LIMIT $2",
        )
        .bind(since_ms)
        .bind(TIMED_MAX)
        .fetch_all()
        .await?;
        for row in &timed {
            let (begun, finished): (i64, i64) = (row.try_get("begun_at_ms")?, row.try_get("finished_at_ms")?);
            if let Some((_, took)) = shown.get_mut(&begun.div_euclid(DAY_MS)) {
                // A clock that was set back meanwhile tells nothing.
                took.extend(Some(finished.saturating_sub(begun)).filter(|took| *took >= 0));
            }
        }
        let days = shown.into_values().map(|(day, mut took)| {
            took.sort_unstable();
            PurchaseDay {
                median_ms: took.get(took.len() / 2).copied(),
                slow_ms: took.get(took.len().saturating_mul(19) / 20).copied(),
                ..day
            }
        });
        Ok(days.collect())
    }
}

#[cfg(test)]
mod tests {

    use bss_model::clock::now_ms;

    use super::*;

    /// Begins an attempt of today at a millisecond of the day, which had that result after so long.
    async fn attempt(record: &Record, at_ms: i64, result: Option<&str>, took_ms: Option<i64>) {
        record.writer.sql(
            "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms, finished_at_ms, result)
             SELECT 'asset', COUNT(*), '', $1, $1 + $2, $3 FROM attempts",
        )
        .bind(at_ms)
        .bind(took_ms)
        .bind(result)
        .execute()
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn attempts_are_counted_on_their_days_and_what_took_longest_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        // Attempts alone are looked at, and these are of no asset.
        crate::test_record::without_references(&record).await;
        let today = now_ms().div_euclid(DAY_MS) * DAY_MS;
        for took_ms in 1..=20 {
            attempt(&record, today, Some("licensed"), Some(took_ms * 10)).await;
        }
        attempt(&record, today, Some("refused"), Some(-5)).await;
        attempt(&record, today, Some("unknown"), None).await;
        attempt(&record, today, None, None).await;
        attempt(&record, today - DAY_MS, Some("licensed"), Some(7)).await;
        attempt(&record, today - 2 * DAY_MS, Some("licensed"), Some(7)).await;

        let days = record.purchase_days(2).await.unwrap();
        let counts: Vec<_> = days
            .iter()
            .map(|day| (day.at_ms, day.licensed, day.refused, day.unsettled))
            .collect();
        assert_eq!(counts, [(today - DAY_MS, 1, 0, 0), (today, 20, 1, 2)]);
        assert_eq!((days[0].median_ms, days[0].slow_ms), (Some(7), Some(7)));
        assert_eq!((days[1].median_ms, days[1].slow_ms), (Some(110), Some(200)));
        assert_eq!(record.purchase_days(400).await.unwrap().len(), 400);
    }
}

//! Alerts that go out: to whom, and which of them somebody was told of. An alert is told again where a worker dies between telling
//! and writing that down.

use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{Act, Actor, Alert, AlertChannel, Subject};
use serde_json::json;

use super::acts::write_act;
use super::alerts::{alerts, owned, read_alert};
use super::stored::{from_json, to_json};
use super::{Record, RecordError};
use crate::database::Connection;

/// How long a worker has for telling, before another may think that it died.
const TELLING: Duration = Duration::from_secs(5 * 60);

/// An alert that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertNotice {
    /// The alert.
    pub alert: Alert,
    /// The number of tries, this one included.
    pub tries: u32,
}

impl Record {
    /// The e-mail addresses to which alerts go. Empty: none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alert_addresses(&self) -> Result<Vec<String>, RecordError> {
        let row = self
            .readers
            .sql("SELECT emails FROM alert_settings WHERE id = 1")
            .fetch_optional()
            .await?;
        row.map_or(Ok(Vec::new()), |row| from_json(&row, "emails"))
    }

    /// Replaces the e-mail addresses to which alerts go. The caller checks them first.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn save_alert_addresses(&self, emails: &[String], actor: &Actor) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        transaction
            .sql(
                "INSERT INTO alert_settings (id, emails, saved_at_ms) VALUES (1, $1, $2)
             ON CONFLICT (id) DO UPDATE SET emails = excluded.emails, saved_at_ms = excluded.saved_at_ms",
            )
            .bind(to_json(&emails)?)
            .bind_now()
            .execute()
            .await?;
        end_rest(&mut transaction).await?;
        let (act, subject) = (Act::SaveAlertSettings, Subject::alert_settings());
        let detail = json!({ "emails": emails });
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes the open alerts that are to be told in a way now, the oldest first, at most `limit` of them. Nobody else gets them
    /// for five minutes.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn take_alerts_to_tell(
        &self,
        channel: AlertChannel,
        limit: u32,
    ) -> Result<Vec<AlertNotice>, RecordError> {
        let to_tell = self.readers.sql(TO_TELL).bind(channel.word()).bind_now();
        if to_tell.bind(1_i64).fetch_optional().await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin_write().await?;
        let now_ms = self.now_ms();
        let rows = transaction
            .sql(TO_TELL)
            .bind(channel.word())
            .bind(now_ms)
            .bind(i64::from(limit))
            .fetch_all()
            .await?;
        let mut notices = Vec::new();
        for row in &rows {
            let alert = read_alert(row)?;
            let tries = take(&mut transaction, channel, alert.number, now_ms).await?;
            notices.push(AlertNotice { alert, tries });
        }
        transaction.commit().await?;
        Ok(notices)
    }

    /// Writes down that alerts were told in a way.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn finish_alerts(
        &self,
        channel: AlertChannel,
        notices: &[AlertNotice],
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        for notice in notices {
            transaction
                .sql("UPDATE alert_notices SET told_at_ms = $3 WHERE alert = $1 AND channel = $2")
                .bind(notice.alert.number)
                .bind(channel.word())
                .bind_now()
                .execute()
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Writes down that alerts could not be told, and when that is tried again.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn put_off_alerts(
        &self,
        channel: AlertChannel,
        notices: &[AlertNotice],
        next_try_at_ms: i64,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        for notice in notices {
            transaction
                .sql("UPDATE alert_notices SET next_try_at_ms = $3 WHERE alert = $1 AND channel = $2")
                .bind(notice.alert.number)
                .bind(channel.word())
                .bind(next_try_at_ms)
                .execute()
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Until when all alerts rest that are told in a way, in milliseconds since 1970: a worker has some now, or telling them
    /// failed. `None`: none waits.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alerts_rest_until_ms(&self, channel: AlertChannel) -> Result<Option<i64>, RecordError> {
        let rest = "SELECT MAX(next_try_at_ms) FROM alert_notices JOIN alerts ON alerts.number = alert_notices.alert
                    WHERE channel = $1 AND told_at_ms IS NULL AND ended_at_ms IS NULL AND acknowledged_at_ms IS NULL";
        let until = self.readers.sql(rest).bind(channel.word()).scalar();
        until.await
    }

    /// When alerts were told in a way for the last time, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alerts_told_at_ms(&self, channel: AlertChannel) -> Result<Option<i64>, RecordError> {
        let told = self
            .readers
            .sql("SELECT MAX(told_at_ms) FROM alert_notices WHERE channel = $1")
            .bind(channel.word())
            .scalar()
            .await?;
        Ok(told)
    }
}

/// Ends the rest of e-mails about alerts: the operator has seen to what was in the way.
pub(super) async fn end_rest(transaction: &mut Connection) -> Result<(), RecordError> {
    transaction.sql(
        "UPDATE alert_notices SET next_try_at_ms = $2 WHERE channel = $1 AND told_at_ms IS NULL AND next_try_at_ms > $2",
    )
    .bind(AlertChannel::Mail.word())
    .bind_now()
    .execute()
    .await?;
    Ok(())
}

/// Finds open alerts that are to be told. Bind the way, the time and the most.
const TO_TELL: &str = concat!(
    alerts!(),
    " LEFT JOIN alert_notices ON alert_notices.alert = alerts.number AND alert_notices.channel = $1
      WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL AND told_at_ms IS NULL
        AND (next_try_at_ms IS NULL OR next_try_at_ms <= $2)
      ORDER BY alerts.number LIMIT $3"
);

/// Takes an alert, and returns the number of tries, this one included.
async fn take(
    transaction: &mut Connection,
    channel: AlertChannel,
    number: i64,
    now_ms: i64,
) -> Result<u32, RecordError> {
    let row = transaction.sql(
        "INSERT INTO alert_notices (alert, channel, tries, next_try_at_ms) VALUES ($1, $2, 1, $3)
         ON CONFLICT (alert, channel) DO UPDATE SET tries = alert_notices.tries + 1, next_try_at_ms = excluded.next_try_at_ms
         RETURNING tries",
    )
    .bind(number)
    .bind(channel.word())
    .bind(now_ms.saturating_add(millis(TELLING)))
    .fetch_one()
    .await?;
    let tries: i64 = row.try_get("tries")?;
    Ok(u32::try_from(tries).unwrap_or(u32::MAX))
}

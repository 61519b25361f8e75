//! How long a purchase or return in doubt is only looked up: one value on record, so that no two processes differ.

use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{Act, Actor, Subject};
use serde_json::json;

use super::acts::write_act;
use super::stored::id;
use super::{Record, RecordError};
use crate::database::Row;

impl Record {
    /// The time for which a purchase or return in doubt is only looked up before it is sent again. Five minutes, unless
    /// another time was set. [`look_up_only_at`](bss_model::purchase_rule::look_up_only_at) says what it means for an instance.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn look_up_only(&self) -> Result<Duration, RecordError> {
        let row = self
            .readers
            .sql("SELECT look_up_only_ms FROM provenance")
            .fetch_one()
            .await?;
        look_up_only(&row)
    }

    /// Sets the time for which a purchase or return in doubt is only looked up, from the next attempt of any process on. It
    /// must be longer than the vendor may take to carry a purchase out, or a license may be bought twice where the vendor
    /// does not recognize a repeated purchase.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn set_look_up_only(&self, time: Duration, actor: &Actor) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let before = transaction
            .sql("SELECT record, look_up_only_ms FROM provenance")
            .fetch_one()
            .await?;
        transaction
            .sql("UPDATE provenance SET look_up_only_ms = $1")
            .bind(millis(time))
            .execute()
            .await?;
        let (act, subject) = (Act::SetLookUpOnly, Subject::record(id(&before, "record")?));
        let (before, after) = (millis(look_up_only(&before)?), millis(time));
        let detail = json!({ "lookUpOnlyMs": { "before": before, "after": after } });
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The column `look_up_only_ms` of a row.
pub(super) fn look_up_only(row: &Row) -> Result<Duration, RecordError> {
    let ms: i64 = row.try_get("look_up_only_ms")?;
    // A value that can't be is none that shortens.
    Ok(u64::try_from(ms).map_or(bss_model::purchase_rule::LOOK_UP_ONLY, Duration::from_millis))
}

//! What is known of assets' attempts so far, for the rule of a purchase.

use std::collections::HashMap;

use bss_model::AttemptResult;
use bss_model::purchase_rule::{Earlier, EarlierAttempt, NOTHING_BOUGHT};
use uuid::Uuid;

use super::RecordError;
use super::stored::{certain, count, id, moment, push_ids};
use crate::database::{Builder, Connection, Row};

/// The sums of assets' attempts, by asset. One without attempts is left out.
pub(super) async fn earlier_of(
    connection: &mut Connection,
    assets: &[Uuid],
) -> Result<HashMap<Uuid, Earlier>, RecordError> {
    let mut query = Builder::new(
        "SELECT asset_id, number, begun_at_ms, finished_at_ms, boot, begun_uptime_ms, finished_uptime_ms, result,
                settings_version
         FROM attempts WHERE asset_id IN (",
    );
    push_ids(&mut query, assets);
    // A statement per number of ids is not worth keeping in the cache.
    let rows = connection
        .build(query.push(") ORDER BY asset_id, number"))
        .persistent(false)
        .fetch_all()
        .await?;
    let mut earlier = HashMap::<Uuid, Earlier>::new();
    for row in &rows {
        earlier
            .entry(id(row, "asset_id")?)
            .or_default()
            .add(&earlier_attempt(row)?);
    }
    Ok(earlier)
}

/// Adds the condition that an attempt may have bought: it did, its outcome is not known, or it has not ended.
pub(super) fn push_may_have_bought(query: &mut Builder) {
    query.push("(attempts.result IS NULL OR attempts.result NOT IN (");
    let mut results = query.separated(", ");
    for result in NOTHING_BOUGHT {
        results.push_bind(result.word());
    }
    query.push("))");
}

fn earlier_attempt(row: &Row) -> Result<EarlierAttempt, RecordError> {
    let result: Option<&str> = row.try_get("result")?;
    Ok(EarlierAttempt {
        number: count(row, "number")?,
        begun: certain(moment(row, "begun_at_ms", "begun_uptime_ms")?, "begun_at_ms")?,
        finished: moment(row, "finished_at_ms", "finished_uptime_ms")?,
        result: result.map(AttemptResult::from_word).transpose()?,
        settings_version: row.try_get("settings_version")?,
    })
}

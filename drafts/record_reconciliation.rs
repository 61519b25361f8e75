//! The licenses of an instance as a comparison with its vendor's statement needs them.

use bss_model::{AssetStatus, CancellationState, RecordedLicense};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::stored::{count, id};
use super::{Record, RecordError};

impl Record {
    /// All order lines of an instance, with what is known of their licenses, returns and charges at one moment.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn recorded_licenses(&self, instance_id: Uuid) -> Result<Vec<RecordedLicense>, RecordError> {
        let rows = sqlx::query(
            "SELECT a.*, l.asset_id IS NOT NULL AND c.asset_id IS NULL AS is_owed,
                    CASE a.status WHEN $2
                    THEN (SELECT MAX(ended_at_ms) FROM cancellations WHERE asset_id = a.id AND state = $3) END AS returned_at_ms
             FROM assets a LEFT JOIN charge_lines l ON l.asset_id = a.id LEFT JOIN credits c ON c.asset_id = a.id
             WHERE a.instance_id = $1 ORDER BY a.created_at_ms, a.order_id, a.position",
        )
        .bind(instance_id.to_string())
        .bind(AssetStatus::Cancelled.word())
        .bind(CancellationState::Done.word())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(recorded_license).collect()
    }
}

fn recorded_license(row: &SqliteRow) -> Result<RecordedLicense, RecordError> {
    Ok(RecordedLicense {
        asset_id: id(row, "id")?,
        order_id: id(row, "order_id")?,
        product_code: row.try_get("product_code")?,
        quantity: count(row, "quantity")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        transaction_id: row.try_get("transaction_id")?,
        license_token_id: row.try_get("license_token_id")?,
        bought_at_ms: row.try_get("purchased_at_ms")?,
        returned_at_ms: row.try_get("returned_at_ms")?,
        is_owed: row.try_get("is_owed")?,
    })
}

//! The licenses of an instance as a comparison with its vendor's statement needs them.

use bss_model::{AssetStatus, CancellationState, Price, RecordedLicense};
use uuid::Uuid;

use super::stored::{count, id};
use super::{Record, RecordError};
use crate::database::Row;

impl Record {
    /// All order lines of an instance, with what is known of their licenses, returns and charges at one moment.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn recorded_licenses(&self, instance_id: Uuid) -> Result<Vec<RecordedLicense>, RecordError> {
        let rows = self.readers.sql(
            "SELECT a.*, l.currency AS charged_currency, l.minor_units AS charged_minor_units,
                    c.asset_id IS NOT NULL AS is_credited,
                    CASE a.status WHEN $2
                    THEN (SELECT MAX(ended_at_ms) FROM cancellations WHERE asset_id = a.id AND state = $3) END AS returned_at_ms
             FROM assets a LEFT JOIN charge_lines l ON l.asset_id = a.id LEFT JOIN credits c ON c.asset_id = a.id
             WHERE a.instance_id = $1 ORDER BY a.created_at_ms, a.order_id, a.position",
        )
        .bind(instance_id.to_string())
        .bind(AssetStatus::Cancelled.word())
        .bind(CancellationState::Done.word())
        .fetch_all()
        .await?;
        rows.iter().map(recorded_license).collect()
    }
}

fn recorded_license(row: &Row) -> Result<RecordedLicense, RecordError> {
    let currency: Option<String> = row.try_get("charged_currency")?;
    let minor_units: Option<i64> = row.try_get("charged_minor_units")?;
    let charged = currency.zip(minor_units);
    Ok(RecordedLicense {
        asset_id: id(row, "id")?,
        order_id: id(row, "order_id")?,
        product_code: row.try_get("product_code")?,
        product_name: row.try_get("product_name")?,
        quantity: count(row, "quantity")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        transaction_id: row.try_get("transaction_id")?,
        license_token_id: row.try_get("license_token_id")?,
        bought_at_ms: row.try_get("purchased_at_ms")?,
        returned_at_ms: row.try_get("returned_at_ms")?,
        charged: charged.map(|(currency, minor_units)| Price {
            currency,
            minor_units,
        }),
        is_credited: row.try_get("is_credited")?,
    })
}

//! The choice of the assets that a worker takes next: each belongs to one worker at a time, and taking it begins an
//! attempt.

use bss_model::{AssetSelection, BegunAttempt, OutcomeKind, Outstanding, Reason, SyncStatus, TakenAsset};
use uuid::Uuid;

use super::attempts::{self, ToBuy};
use super::earlier_attempts::push_may_have_bought;
use super::line_age::{line_age, read_age};
use super::look_up_only::look_up_only;
use super::outcomes::tell;
use super::stored::{count, from_json, id, optional, push_ids, without_instances};
use super::workers::is_a_lease_over;
use super::{Record, RecordError};
use crate::database::{Builder, Row};

/// The most assets taken in one transaction. Reading, taking and beginning are one statement each, and SQLite takes
/// 32,766 values in one.
const TAKEN_AT_ONCE: u32 = 1_000;

impl Record {
    /// Takes due assets that no living worker has, those that have waited longest first, and records that they are
    /// about to be bought.
    ///
    /// # Errors
    /// When the record can't be read or written; nothing is taken then.
    pub async fn take_assets(
        &self,
        worker: Uuid,
        taking: &AssetSelection,
    ) -> Result<Vec<TakenAsset>, RecordError> {
        // A read first: an idle worker blocks no writer.
        let mut look = due("SELECT assets.id FROM assets", taking, self.now_ms());
        let is_idle = self.readers.build(&mut look).fetch_optional().await?.is_none();
        if is_idle && !is_a_lease_over(&self.readers).await? {
            return Ok(Vec::new());
        }
        let Some(mut transaction) = self.begin_taking(worker).await? else {
            return Ok(Vec::new());
        };
        let mut query = due(
            concat!(
                "SELECT assets.id, assets.instance_id, product_code, quantity, client_transaction_id, customer, reseller,
                    (SELECT version FROM instances WHERE id = assets.instance_id) AS settings_version,
                    withdrawal_asked_at_ms IS NOT NULL AS is_to_be_withdrawn,
                    (SELECT disabled_at_ms FROM instances WHERE id = assets.instance_id) IS NOT NULL AS is_disabled,
                    (SELECT look_up_only_ms FROM provenance) AS look_up_only_ms, ",
                line_age!(),
                " FROM assets JOIN orders ON orders.id = assets.order_id"
            ),
            taking,
            transaction.now_ms(),
        );
        let rows = transaction.build(&mut query).fetch_all().await?;
        if rows.is_empty() {
            transaction.commit().await?;
            return Ok(Vec::new());
        }
        let assets = rows.iter().map(to_buy).collect::<Result<Vec<_>, RecordError>>()?;
        let ids: Vec<Uuid> = assets.iter().map(|asset| asset.asset_id).collect();
        let mut query = Builder::new("UPDATE assets SET worker = ");
        query.push_bind(worker.to_string()).push(" WHERE id IN (");
        push_ids(&mut query, &ids);
        transaction
            .build(query.push(")"))
            .persistent(false)
            .execute()
            .await?;
        let begun = attempts::begin(&mut transaction, &assets).await?;
        let dispatch = self.begin_dispatch(&mut transaction).await?;
        let taken = rows
            .iter()
            .zip(begun)
            .map(|(row, attempt)| taken_asset(row, attempt));
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        transaction.commit().await?;
        self.testify(dispatch);
        Ok(taken)
    }

    /// Counts what is still to be done of the selected assets.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn outstanding(&self, taking: &AssetSelection) -> Result<Outstanding, RecordError> {
        let mut query = Builder::new(
            "SELECT COUNT(*) AS assets, COUNT(worker) AS taken,
                    MIN(CASE WHEN worker IS NULL THEN due_at_ms END) AS next_due_at_ms
             FROM assets",
        );
        chosen(&mut query, taking);
        let row = self.readers.build(&mut query).fetch_one().await?;
        let count = |name| -> Result<u64, RecordError> {
            Ok(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or_default())
        };
        Ok(Outstanding {
            assets: count("assets")?,
            taken: count("taken")?,
            next_due_at_ms: row.try_get("next_due_at_ms")?,
        })
    }

    /// When the oldest license was ordered that is to be bought or looked up, in milliseconds since 1970. `None`: there is none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn oldest_open_license_at_ms(&self) -> Result<Option<i64>, RecordError> {
        let oldest = self
            .readers
            .sql("SELECT MIN(created_at_ms) FROM assets WHERE sync_status = $1")
            .bind(SyncStatus::Unsynchronised.word())
            .scalar();
        oldest.await
    }

    /// Assets whose purchase has been open since `wanted_before_ms` or longer and that were not reported yet. Marks
    /// them as reported.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn newly_overdue(&self, wanted_before_ms: i64) -> Result<Vec<Uuid>, RecordError> {
        // A read first: it blocks no writer, and nearly always none is overdue.
        const OVERDUE: &str = "sync_status = $1 AND wanted_since_ms <= $2 AND overdue_told = FALSE";
        let look = format!("SELECT 1 FROM assets WHERE {OVERDUE} LIMIT 1");
        let look = self
            .readers
            .composed(look)
            .bind(SyncStatus::Unsynchronised.word())
            .bind(wanted_before_ms);
        if look.fetch_optional().await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin_write().await?;
        let mark = format!("UPDATE assets SET overdue_told = TRUE WHERE {OVERDUE} RETURNING id, reason");
        let rows = transaction
            .composed(mark)
            .bind(SyncStatus::Unsynchronised.word())
            .bind(wanted_before_ms)
            .fetch_all()
            .await?;
        let mut overdue = Vec::with_capacity(rows.len());
        for row in &rows {
            let asset_id = id(row, "id")?;
            let reason: Option<Reason> = optional(row, "reason", from_json)?;
            let problem = reason.map(|reason| reason.problem);
            tell(&mut transaction, OutcomeKind::Overdue, asset_id, problem.as_ref()).await?;
            overdue.push(asset_id);
        }
        transaction.commit().await?;
        Ok(overdue)
    }
}

/// Selected assets that no worker has and that are due.
fn due(select: &str, taking: &AssetSelection, now_ms: i64) -> Builder {
    let mut query = Builder::new(select);
    chosen(&mut query, taking);
    query
        .push(" AND worker IS NULL AND due_at_ms <= ")
        .push_bind(now_ms);
    query
        .push(" ORDER BY due_at_ms, created_at_ms, position LIMIT ")
        .push_bind(i64::from(taking.limit.min(TAKEN_AT_ONCE)));
    query
}

/// Selected assets for which something can be done: of a disabled instance, only what an earlier attempt may have
/// bought, and what is to be withdrawn, which both are looked up.
fn chosen(query: &mut Builder, taking: &AssetSelection) {
    query
        .push(" WHERE sync_status = ")
        .push_bind(SyncStatus::Unsynchronised.word());
    query.push(
        " AND (NOT EXISTS (SELECT 1 FROM instances
                           WHERE instances.id = assets.instance_id AND instances.disabled_at_ms IS NOT NULL)
               OR withdrawal_asked_at_ms IS NOT NULL
               OR EXISTS (SELECT 1 FROM attempts WHERE attempts.asset_id = assets.id AND ",
    );
    push_may_have_bought(query);
    query.push("))");
    if let Some(order) = taking.order {
        query.push(" AND order_id = ").push_bind(order.to_string());
    }
    if let Some(asset) = taking.asset {
        query.push(" AND assets.id = ").push_bind(asset.to_string());
    }
    if let Some(instance) = taking.instance {
        query
            .push(" AND assets.instance_id = ")
            .push_bind(instance.to_string());
    }
    if taking.to_be_withdrawn {
        query.push(" AND withdrawal_asked_at_ms IS NOT NULL");
    }
    without_instances(query, "assets.instance_id", &taking.without_instances);
}

fn to_buy(row: &Row) -> Result<ToBuy, RecordError> {
    Ok(ToBuy {
        asset_id: id(row, "id")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        settings_version: row.try_get("settings_version")?,
        age: read_age(row)?,
        awaits_adoption: row.try_get("awaits_adoption")?,
        look_up_only: look_up_only(row)?,
        is_to_be_withdrawn: row.try_get("is_to_be_withdrawn")?,
        is_disabled: row.try_get("is_disabled")?,
    })
}

fn taken_asset(row: &Row, attempt: BegunAttempt) -> Result<TakenAsset, RecordError> {
    Ok(TakenAsset {
        asset_id: id(row, "id")?,
        instance_id: id(row, "instance_id")?,
        product_code: row.try_get("product_code")?,
        quantity: count(row, "quantity")?,
        customer: from_json(row, "customer")?,
        reseller: optional(row, "reseller", from_json)?,
        attempt,
    })
}

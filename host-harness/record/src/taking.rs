//! The choice of the assets that a worker takes next: each belongs to one worker at a time, and taking it begins an
//! attempt.

use std::time::Duration;

use bss_model::clock::now_ms;
use bss_model::purchase_rule::LineAge;
use bss_model::{AssetSelection, BegunAttempt, OutcomeKind, Outstanding, Reason, SyncStatus, TakenAsset};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use uuid::Uuid;

use super::attempts::{self, ToBuy};
use super::earlier_attempts::push_may_have_bought;
use super::look_up_only::look_up_only;
use super::outcomes::tell;
use super::stored::{certain, count, from_json, id, moment, optional, push_ids, without_instances};
use super::workers::is_a_lease_over;
use super::{Record, RecordError, begin_write};

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
        let mut look = due("SELECT assets.id FROM assets", taking);
        let is_idle = look.build().fetch_optional(&self.readers).await?.is_none();
        if is_idle && !is_a_lease_over(&self.readers).await? {
            return Ok(Vec::new());
        }
        let mut transaction = begin_write(&self.writer).await?;
        self.release_dead_workers(&mut transaction).await?;
        let mut query = due(
            "SELECT assets.id, assets.instance_id, product_code, quantity, client_transaction_id, customer, reseller,
                    (SELECT version FROM instances WHERE id = assets.instance_id) AS settings_version,
                    orders.placed_at_ms, orders.boot, orders.placed_uptime_ms,
                    orders.idempotency_key IS NOT NULL AS has_key,
                    withdrawal_asked_at_ms IS NOT NULL AS is_to_be_withdrawn,
                    (SELECT disabled_at_ms FROM instances WHERE id = assets.instance_id) IS NOT NULL AS is_disabled,
                    (SELECT remembered_ms FROM provenance) AS remembered_ms,
                    (SELECT awaits_adoption FROM provenance) AS awaits_adoption,
                    (SELECT look_up_only_ms FROM provenance) AS look_up_only_ms
             FROM assets JOIN orders ON orders.id = assets.order_id",
            taking,
        );
        let rows = query.build().fetch_all(&mut *transaction).await?;
        if rows.is_empty() {
            transaction.commit().await?;
            return Ok(Vec::new());
        }
        let assets = rows.iter().map(to_buy).collect::<Result<Vec<_>, RecordError>>()?;
        let ids: Vec<Uuid> = assets.iter().map(|asset| asset.asset_id).collect();
        let mut query = QueryBuilder::new("UPDATE assets SET worker = ");
        query.push_bind(worker.to_string()).push(" WHERE id IN (");
        push_ids(&mut query, &ids);
        query
            .push(")")
            .build()
            .persistent(false)
            .execute(&mut *transaction)
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
        let mut query = QueryBuilder::new(
            "SELECT COUNT(*) AS assets, COUNT(worker) AS taken,
                    MIN(CASE WHEN worker IS NULL THEN due_at_ms END) AS next_due_at_ms
             FROM assets",
        );
        chosen(&mut query, taking);
        let row = query.build().fetch_one(&self.readers).await?;
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
        let oldest = sqlx::query_scalar("SELECT MIN(created_at_ms) FROM assets WHERE sync_status = $1")
            .bind(SyncStatus::Unsynchronised.word())
            .fetch_one(&self.readers);
        Ok(oldest.await?)
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
        let look = sqlx::query(sqlx::AssertSqlSafe(look))
            .bind(SyncStatus::Unsynchronised.word())
            .bind(wanted_before_ms);
        if look.fetch_optional(&self.readers).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = begin_write(&self.writer).await?;
        let mark = format!("UPDATE assets SET overdue_told = TRUE WHERE {OVERDUE} RETURNING id, reason");
        let rows = sqlx::query(sqlx::AssertSqlSafe(mark))
            .bind(SyncStatus::Unsynchronised.word())
            .bind(wanted_before_ms)
            .fetch_all(&mut *transaction)
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
fn due(select: &str, taking: &AssetSelection) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(select);
    chosen(&mut query, taking);
    query
        .push(" AND worker IS NULL AND due_at_ms <= ")
        .push_bind(now_ms());
    query
        .push(" ORDER BY due_at_ms, created_at_ms, position LIMIT ")
        .push_bind(i64::from(taking.limit.min(TAKEN_AT_ONCE)));
    query
}

/// Selected assets for which something can be done: of a disabled instance, only what an earlier attempt may have bought.
fn chosen(query: &mut QueryBuilder<Sqlite>, taking: &AssetSelection) {
    query
        .push(" WHERE sync_status = ")
        .push_bind(SyncStatus::Unsynchronised.word());
    query.push(
        " AND (NOT EXISTS (SELECT 1 FROM instances
                           WHERE instances.id = assets.instance_id AND instances.disabled_at_ms IS NOT NULL)
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

fn to_buy(row: &SqliteRow) -> Result<ToBuy, RecordError> {
    let awaits_adoption = row.try_get("awaits_adoption")?;
    let remembered_ms: i64 = row.try_get("remembered_ms")?;
    Ok(ToBuy {
        asset_id: id(row, "id")?,
        client_transaction_id: id(row, "client_transaction_id")?,
        settings_version: row.try_get("settings_version")?,
        age: LineAge {
            placed: certain(moment(row, "placed_at_ms", "placed_uptime_ms")?, "placed_at_ms")?,
            has_key: row.try_get("has_key")?,
            remembered: match awaits_adoption {
                true => Duration::ZERO,
                false => Duration::from_millis(u64::try_from(remembered_ms).unwrap_or_default()),
            },
        },
        awaits_adoption,
        look_up_only: look_up_only(row)?,
        is_to_be_withdrawn: row.try_get("is_to_be_withdrawn")?,
        is_disabled: row.try_get("is_disabled")?,
    })
}

fn taken_asset(row: &SqliteRow, attempt: BegunAttempt) -> Result<TakenAsset, RecordError> {
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

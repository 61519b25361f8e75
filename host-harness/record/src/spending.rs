//! Spending limits: checked in the transaction that writes an order, so that no two orders pass one together.

use bss_model::{
    Act, Actor, AlertKind, Asset, Diagnose, Diagnosis, ErrorKind, Instance, Price, Problem, Spending,
    SpendingToday, Subject, SyncStatus, day_began_at_ms,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::alerts;
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// Why a spending limit is not set. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpendingLimitError {
    /// The limit is not in the currency of the instance.
    #[error("a limit in {given} limits nothing, because instance `{instance}` sells in {currency}")]
    OtherCurrency {
        /// The instance's name.
        instance: String,
        /// The currency of the limit.
        given: String,
        /// The currency of the instance.
        currency: String,
    },
    /// The limit is negative, or more than can be counted.
    #[error("{limit} is no limit")]
    OutOfRange {
        /// The limit.
        limit: Spending,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for SpendingLimitError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::OtherCurrency { .. } => Diagnosis::new(ErrorKind::Invalid, "limit-currency")
                .say("give the limit in the currency of the instance"),
            Self::OutOfRange { .. } => Diagnosis::new(ErrorKind::Invalid, "limit-out-of-range"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Sets the most that an instance sells in a day. `None`: no limit.
    ///
    /// # Errors
    /// When the limit is not in the instance's currency or out of range, and when the record can't be written.
    pub async fn limit_spending(
        &self,
        instance: &Instance,
        limit: Option<&Spending>,
        actor: &Actor,
    ) -> Result<(), SpendingLimitError> {
        let (price, units) = match limit {
            None => (None, None),
            Some(Spending::Amount(price)) => (Some(price), None),
            Some(Spending::Units(units)) => (None, Some(i64::try_from(*units).unwrap_or(-1))),
        };
        if let Some(price) = price.filter(|price| price.currency != instance.currency) {
            return Err(SpendingLimitError::OtherCurrency {
                instance: instance.name.clone(),
                given: price.currency.clone(),
                currency: instance.currency.clone(),
            });
        }
        if let Some(limit) = limit
            && (price.is_some_and(|price| price.minor_units < 0) || units.is_some_and(|units| units < 0))
        {
            return Err(SpendingLimitError::OutOfRange { limit: limit.clone() });
        }
        let mut transaction = self.begin_write().await?;
        let id = instance.id.to_string();
        transaction
            .sql("DELETE FROM spending_limits WHERE instance_id = $1")
            .bind(&id)
            .execute()
            .await?;
        if limit.is_some() {
            transaction.sql(
                "INSERT INTO spending_limits (instance_id, currency, minor_units, units) VALUES ($1, $2, $3, $4)",
            )
            .bind(&id)
            .bind(price.map(|price| &price.currency))
            .bind(price.map(|price| price.minor_units))
            .bind(units)
            .execute()
            .await?;
        }
        follow(&mut transaction, instance).await?;
        let detail = json!({ "per_day": limit.map(ToString::to_string) });
        let (act, subject) = (Act::LimitSpending, Subject::instance(instance.id));
        write_act(&mut transaction, actor, act, &subject, Some(instance.id), detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What an instance has sold today, and may.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn spending_today(&self, instance: &Instance) -> Result<SpendingToday, RecordError> {
        let mut connection = self.readers.acquire().await?;
        today(&mut connection, instance).await
    }

    /// Raises the alert that an order was refused because of a spending limit.
    pub(super) async fn raise_spending_limit(
        &self,
        instance_id: Uuid,
        problem: &Problem,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let kind = AlertKind::SpendingLimit;
        alerts::raise_about_instance(&mut transaction, kind, instance_id, Some(problem)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends the alerts about spending limits of days that are over.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn end_past_spending_alerts(&self) -> Result<(), RecordError> {
        alerts::end_raised_before(self, AlertKind::SpendingLimit, day_began_at_ms(self.now_ms())).await
    }
}

/// Why nothing more is sold today. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the order is for {asked}, and {used} of {limit} that instance `{instance}` may sell today are used")]
pub struct BeyondSpendingLimit {
    /// The instance's name.
    pub instance: String,
    /// What was to be sold.
    pub asked: Spending,
    /// What is used of the limit.
    pub used: Spending,
    /// The limit.
    pub limit: Spending,
}

impl Diagnose for BeyondSpendingLimit {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Conflict, "spending-limit")
            .say("look whether the orders of today are meant; then raise the limit, or wait until 00:00 UTC")
    }
}

/// Why an instance may not sell that much more today. `None`: it may.
pub(super) async fn beyond_limit(
    transaction: &mut Connection,
    instance: &Instance,
    costs: i64,
    units: u64,
) -> Result<Option<BeyondSpendingLimit>, RecordError> {
    if limit_of(transaction, instance.id).await?.is_none() {
        return Ok(None);
    }
    let before = today(transaction, instance).await?;
    let with_order = SpendingToday {
        used: Price {
            minor_units: before.used.minor_units.saturating_add(costs),
            ..before.used.clone()
        },
        used_units: before.used_units.saturating_add(units),
        limit: before.limit.clone(),
    };
    let exceeded = before.limit.clone().filter(|_| !with_order.is_within_limit());
    Ok(exceeded.map(|limit| BeyondSpendingLimit {
        instance: instance.name.clone(),
        asked: match &limit {
            Spending::Amount(_) => Spending::Amount(Price {
                currency: instance.currency.clone(),
                minor_units: costs,
            }),
            Spending::Units(_) => Spending::Units(units),
        },
        used: before.used_of(&limit),
        limit,
    }))
}

/// Why a license that was refused may not be bought again today. `None`: it may, or is counted today already.
pub(super) async fn retry_beyond_limit(
    transaction: &mut Connection,
    instance: &Instance,
    asset: &Asset,
) -> Result<Option<BeyondSpendingLimit>, RecordError> {
    let counted_at_ms = asset.created_at_ms.max(asset.wanted_since_ms);
    if counted_at_ms >= day_began_at_ms(transaction.now_ms()) {
        return Ok(None);
    }
    let costs = asset.price.as_ref().map_or(0, |price| price.minor_units);
    beyond_limit(transaction, instance, costs, asset.quantity.into()).await
}

/// Whether an instance's limit is an amount of money, which counts prices alone.
pub(super) async fn is_limited_in_money(
    connection: &mut Connection,
    instance_id: Uuid,
) -> Result<bool, RecordError> {
    let limit = limit_of(connection, instance_id).await?;
    Ok(matches!(limit, Some(Spending::Amount(_))))
}

/// Raises the alert that little of an instance's limit is left after an order, or ends it where a new day has begun.
pub(super) async fn follow_order(
    transaction: &mut Connection,
    instance: &Instance,
) -> Result<(), RecordError> {
    match limit_of(transaction, instance.id).await? {
        Some(_) => follow(transaction, instance).await,
        None => Ok(()),
    }
}

async fn follow(transaction: &mut Connection, instance: &Instance) -> Result<(), RecordError> {
    let (today, kind) = (today(transaction, instance).await?, AlertKind::SpendingLimit);
    let Some(limit) = today.limit.as_ref().filter(|_| today.is_near_limit()) else {
        let now_ms = transaction.now_ms();
        return alerts::end(transaction, kind, instance.id, now_ms).await;
    };
    let problem = Problem::new(
        "spending-limit-near",
        format!(
            "{} of {limit} that the instance may sell today are used",
            today.used_of(limit)
        ),
        "look whether the orders of today are meant; beyond the limit, orders are refused until 00:00 UTC",
    );
    alerts::raise_about_instance(transaction, kind, instance.id, Some(&problem)).await
}

/// What was ordered today, and what was tried again today of earlier days: that is sold today, if at all.
async fn today(connection: &mut Connection, instance: &Instance) -> Result<SpendingToday, RecordError> {
    let limit = limit_of(connection, instance.id).await?;
    let day_began_at_ms = day_began_at_ms(connection.now_ms());
    // A sum of integers fails where it is too large for one; a sum of reals does not.
    let used = connection.sql(
        "SELECT COALESCE(SUM(CAST(CASE WHEN currency = $4 THEN price_minor_units END AS DOUBLE PRECISION)), 0.0) AS price,
                CAST(COALESCE(SUM(quantity), 0) AS BIGINT) AS units
         FROM (SELECT currency, price_minor_units, quantity, sync_status FROM assets
               WHERE instance_id = $1 AND created_at_ms >= $2
               UNION ALL SELECT currency, price_minor_units, quantity, sync_status FROM assets
               WHERE instance_id = $1 AND wanted_since_ms >= $2 AND wanted_since_ms > created_at_ms AND created_at_ms < $2) AS ordered
         WHERE sync_status <> $3",
    )
    .bind(instance.id.to_string())
    .bind(day_began_at_ms)
    .bind(SyncStatus::Withdrawn.word())
    .bind(&instance.currency)
    .fetch_one()
    .await?;
    let units: i64 = used.try_get("units")?;
    Ok(SpendingToday {
        limit,
        used: Price {
            currency: instance.currency.clone(),
            // Stops at the largest integer.
            minor_units: used.try_get::<f64, _>("price")? as i64,
        },
        used_units: units.unsigned_abs(),
    })
}

async fn limit_of(connection: &mut Connection, instance_id: Uuid) -> Result<Option<Spending>, RecordError> {
    let limit = connection
        .sql("SELECT currency, minor_units, units FROM spending_limits WHERE instance_id = $1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    limit.as_ref().map(read_limit).transpose()
}

fn read_limit(row: &Row) -> Result<Spending, RecordError> {
    let currency: Option<String> = row.try_get("currency")?;
    let minor_units: Option<i64> = row.try_get("minor_units")?;
    let units: Option<i64> = row.try_get("units")?;
    Ok(match currency.zip(minor_units) {
        Some((currency, minor_units)) => Spending::Amount(Price {
            currency,
            minor_units,
        }),
        None => Spending::Units(units.unwrap_or_default().unsigned_abs()),
    })
}

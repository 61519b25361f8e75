//! Alerts: raised and ended in the transaction of what they tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bss_model::{
    Act, Actor, Alert, AlertChoice, AlertFilter, AlertKind, AlertedInstance, AlertedLicense, Diagnose,
    Diagnosis, ErrorKind, MailState, OutcomeKind, Owner, Problem, Subject,
};
use serde_json::Value;
use uuid::Uuid;

use super::acts::write_act;
use super::stored::{from_json, id, optional, push_ids, to_json};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};

/// Joins what an alert is about and has an owner: the instance, or the receiver of outcomes.
macro_rules! owned {
    () => {
        " LEFT JOIN instances ON instances.id = alerts.instance_id
         LEFT JOIN webhooks ON alerts.kind = 'webhook-off' AND webhooks.id = alerts.subject "
    };
}

/// Selects alerts with what they are about. Add conditions.
macro_rules! alerts {
    () => {
        concat!(
            "SELECT alerts.*, instances.name AS instance, assets.order_id, assets.product_code, orders.customer FROM alerts",
            owned!(),
            "LEFT JOIN assets ON assets.id = alerts.asset_id LEFT JOIN orders ON orders.id = assets.order_id"
        )
    };
}
pub(super) use {alerts, owned};

/// Why alerts are not acknowledged. None is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// An alert does not exist.
    #[error("there is no alert {number}")]
    NoAlert {
        /// The number that was asked for.
        number: i64,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for AcknowledgeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoAlert { .. } => Diagnosis::new(ErrorKind::NotFound, "no-alert"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Raises and ends the alerts of an outcome, in its transaction.
pub(super) async fn follow(
    transaction: &mut Connection,
    outcome: OutcomeKind,
    asset_id: Uuid,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    let now_ms = transaction.now_ms();
    for kind in AlertKind::ended_by(outcome) {
        end(transaction, *kind, asset_id, now_ms).await?;
    }
    match AlertKind::raised_by(outcome) {
        Some(kind) => raise_about_asset(transaction, kind, asset_id, asset_id, problem, now_ms).await,
        None => Ok(()),
    }
}

/// Raises an alert about something of an asset. One that is open gets the new problem.
pub(super) async fn raise_about_asset(
    transaction: &mut Connection,
    kind: AlertKind,
    subject: Uuid,
    asset_id: Uuid,
    problem: Option<&Problem>,
    now_ms: i64,
) -> Result<(), RecordError> {
    transaction
        .sql(
            "INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
         SELECT $1, $2, instance_id, id, $4, $5 FROM assets WHERE id = $3
         ON CONFLICT (kind, subject) WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL
         DO UPDATE SET problem = excluded.problem",
        )
        .bind(kind.word())
        .bind(subject.to_string())
        .bind(asset_id.to_string())
        .bind(problem.map(to_json).transpose()?)
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Raises an alert about a whole instance; see [`raise_lasting`].
pub(super) async fn raise_about_instance(
    transaction: &mut Connection,
    kind: AlertKind,
    instance_id: Uuid,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    let subject = instance_id.to_string();
    raise_lasting(transaction, kind, &subject, Some(instance_id), problem).await
}

/// Ends the alerts of a kind that were raised before a time.
pub(super) async fn end_raised_before(
    record: &Record,
    kind: AlertKind,
    before_ms: i64,
) -> Result<(), RecordError> {
    // A read first: it blocks no writer, and nearly always there is none.
    const PAST: &str = "kind = $1 AND ended_at_ms IS NULL AND raised_at_ms < $2";
    let look = format!("SELECT 1 FROM alerts WHERE {PAST} LIMIT 1");
    let look = record.readers.composed(look).bind(kind.word()).bind(before_ms);
    if look.fetch_optional().await?.is_none() {
        return Ok(());
    }
    let end = format!("UPDATE alerts SET ended_at_ms = $3 WHERE {PAST}");
    record
        .writer
        .composed(end)
        .bind(kind.word())
        .bind(before_ms)
        .bind_now()
        .execute()
        .await?;
    Ok(())
}

/// Ends an alert, where there is one that is not over.
pub(super) async fn end(
    transaction: &mut Connection,
    kind: AlertKind,
    subject: impl fmt::Display,
    now_ms: i64,
) -> Result<(), RecordError> {
    transaction
        .sql("UPDATE alerts SET ended_at_ms = $3 WHERE kind = $1 AND subject = $2 AND ended_at_ms IS NULL")
        .bind(kind.word())
        .bind(subject.to_string())
        .bind(now_ms)
        .execute()
        .await?;
    Ok(())
}

/// Ends the alerts about e-mails that were withdrawn.
pub(super) async fn end_of_withdrawn_mails(transaction: &mut Connection) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE alerts SET ended_at_ms = $2
         WHERE kind = $1 AND ended_at_ms IS NULL AND subject IN (SELECT id FROM mails WHERE state = $3)",
        )
        .bind(AlertKind::MailFailed.word())
        .bind_now()
        .bind(MailState::Withdrawn.word())
        .execute()
        .await?;
    Ok(())
}

/// Raises the alert that something has happened. One that is open gets the new problem; one that was acknowledged tells of what
/// happened before.
pub(super) async fn raise_happened(
    transaction: &mut Connection,
    kind: AlertKind,
    subject: &str,
    problem: &Problem,
) -> Result<(), RecordError> {
    transaction
        .sql(
            "INSERT INTO alerts (kind, subject, problem, raised_at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject) WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL
         DO UPDATE SET problem = excluded.problem",
        )
        .bind(kind.word())
        .bind(subject)
        .bind(to_json(problem)?)
        .bind_now()
        .execute()
        .await?;
    Ok(())
}

/// Raises the alert that something is wrong for as long as it is, and gives one that is not over the new problem. An alert that
/// somebody has acknowledged stays acknowledged until it is over. `instance`: `None` for the whole host.
pub(super) async fn raise_lasting(
    transaction: &mut Connection,
    kind: AlertKind,
    subject: &str,
    instance: Option<Uuid>,
    problem: Option<&Problem>,
) -> Result<(), RecordError> {
    let problem = problem.map(to_json).transpose()?;
    let known = transaction
        .sql("UPDATE alerts SET problem = $3 WHERE kind = $1 AND subject = $2 AND ended_at_ms IS NULL")
        .bind(kind.word())
        .bind(subject)
        .bind(&problem)
        .execute()
        .await?;
    if known == 0 {
        transaction.sql(
            "INSERT INTO alerts (kind, subject, instance_id, problem, raised_at_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(kind.word())
        .bind(subject)
        .bind(instance.map(|instance| instance.to_string()))
        .bind(&problem)
        .bind_now()
        .execute()
        .await?;
    }
    Ok(())
}

impl Record {
    /// Raises the alert that the vendor takes nothing from an instance.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn raise_instance_held(
        &self,
        instance_id: Uuid,
        problem: Option<&Problem>,
    ) -> Result<(), RecordError> {
        let kind = AlertKind::InstanceHeld;
        let mut transaction = self.begin_write().await?;
        raise_about_instance(&mut transaction, kind, instance_id, problem).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Raises an alert for each of these instances, whose certificate ends soon, and ends those of all others. Writes nothing
    /// where nothing is new.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn follow_expiring_certificates(
        &self,
        expiring: &[(Uuid, Problem)],
    ) -> Result<(), RecordError> {
        self.follow_instances(AlertKind::CertificateExpiring, expiring)
            .await
    }

    /// Raises an alert for each of these instances, whose plugin can't be used, and ends those of all others. Writes nothing
    /// where nothing is new.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn follow_unusable_plugins(&self, unusable: &[(Uuid, Problem)]) -> Result<(), RecordError> {
        self.follow_instances(AlertKind::PluginUnusable, unusable).await
    }

    async fn follow_instances(
        &self,
        kind: AlertKind,
        concerned: &[(Uuid, Problem)],
    ) -> Result<(), RecordError> {
        let known = self.lasting_problems(kind).await?;
        let is_known = |(instance, problem): &(Uuid, Problem)| known.get(instance) == Some(problem);
        if known.len() == concerned.len() && concerned.iter().all(is_known) {
            return Ok(());
        }
        let mut transaction = self.begin_write().await?;
        for (instance, problem) in concerned {
            raise_about_instance(&mut transaction, kind, *instance, Some(problem)).await?;
        }
        for instance in known.keys() {
            if !concerned.iter().any(|(concerned, _)| concerned == instance) {
                end(&mut transaction, kind, *instance, self.now_ms()).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// What the alerts of a kind about instances say that are not over.
    async fn lasting_problems(&self, kind: AlertKind) -> Result<BTreeMap<Uuid, Problem>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT subject, problem FROM alerts WHERE kind = $1 AND ended_at_ms IS NULL")
            .bind(kind.word())
            .fetch_all()
            .await?;
        rows.iter()
            .map(|row| Ok((id(row, "subject")?, from_json(row, "problem")?)))
            .collect()
    }

    /// The instances from which the vendor takes nothing, as open and acknowledged alerts say.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn held_instances(&self) -> Result<BTreeSet<Uuid>, RecordError> {
        let held: Vec<Row> = self
            .readers
            .sql("SELECT DISTINCT subject FROM alerts WHERE kind = $1 AND ended_at_ms IS NULL")
            .bind(AlertKind::InstanceHeld.word())
            .fetch_all()
            .await?;
        held.iter().map(|row| id(row, "subject")).collect()
    }

    /// Ends the alert that the vendor takes nothing from an instance, where there is one.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn end_instance_held(&self, instance_id: Uuid) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        end(
            &mut transaction,
            AlertKind::InstanceHeld,
            instance_id,
            self.now_ms(),
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Alerts in the order in which they were raised, at most `limit` of them.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alerts(&self, filter: &AlertFilter, limit: u32) -> Result<Vec<Alert>, RecordError> {
        let mut query = Builder::new(concat!(alerts!(), " WHERE alerts.number > "));
        query.push_bind(filter.after);
        if !filter.all {
            query.push(" AND ended_at_ms IS NULL AND acknowledged_at_ms IS NULL");
        }
        if let Some(owner) = &filter.owner {
            query
                .push(" AND COALESCE(instances.owner, webhooks.owner) = ")
                .push_bind(owner.as_str());
        }
        if let Some(instances) = &filter.instances {
            query.push(" AND alerts.instance_id IN (");
            push_ids(&mut query, instances);
            query.push(")");
        }
        query
            .push(" ORDER BY alerts.number LIMIT ")
            .push_bind(i64::from(limit));
        let rows = self.readers.build(&mut query).fetch_all().await?;
        rows.iter().map(read_alert).collect()
    }

    /// The number of alerts that are neither over nor acknowledged, about instances of an owner, or about all.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn open_alerts(&self, of: Option<&Owner>) -> Result<u64, RecordError> {
        let open: i64 = self.readers.sql(concat!(
            "SELECT COUNT(*) FROM alerts",
            owned!(),
            "             WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL AND ($1 IS NULL OR COALESCE(instances.owner, webhooks.owner) = $1)",
        ))
        .bind(of.map(Owner::as_str))
        .scalar()
        .await?;
        Ok(open.unsigned_abs())
    }

    /// Acknowledges alerts about instances of an owner, or about all, and returns how many were open. One that is over or was
    /// acknowledged before stays as it is.
    ///
    /// # Errors
    /// When there is no alert of a number; none is acknowledged then. When the record can't be written.
    pub async fn acknowledge_alerts(
        &self,
        choice: &AlertChoice,
        of: Option<&Owner>,
        actor: &Actor,
    ) -> Result<u64, AcknowledgeError> {
        let mut transaction = self.begin_write().await?;
        let numbers = match choice {
            AlertChoice::Numbers(numbers) => {
                for number in numbers {
                    check_there(&mut transaction, *number, of).await?;
                }
                numbers.clone()
            }
            AlertChoice::UpTo(number) => open_up_to(&mut transaction, *number, of).await?,
        };
        let mut acknowledged = 0;
        for number in numbers {
            let changed = transaction
                .sql(
                    "UPDATE alerts SET acknowledged_at_ms = $2, acknowledged_by = $3
                 WHERE number = $1 AND ended_at_ms IS NULL AND acknowledged_at_ms IS NULL
                 RETURNING instance_id",
                )
                .bind(number)
                .bind_now()
                .bind(&actor.name)
                .fetch_optional()
                .await?;
            if let Some(row) = changed {
                let instance = optional(&row, "instance_id", id)?;
                let subject = Subject::alert(number);
                write_act(
                    &mut transaction,
                    actor,
                    Act::AcknowledgeAlert,
                    &subject,
                    instance,
                    Value::Null,
                )
                .await?;
                acknowledged += 1;
            }
        }
        transaction.commit().await?;
        Ok(acknowledged)
    }
}

async fn check_there(
    transaction: &mut Connection,
    number: i64,
    of: Option<&Owner>,
) -> Result<(), AcknowledgeError> {
    let found: Option<i64> = transaction
        .sql(concat!(
            "SELECT number FROM alerts",
            owned!(),
            "WHERE number = $1 AND ($2 IS NULL OR COALESCE(instances.owner, webhooks.owner) = $2)",
        ))
        .bind(number)
        .bind(of.map(Owner::as_str))
        .scalar_optional()
        .await?;
    match found {
        Some(_) => Ok(()),
        None => Err(AcknowledgeError::NoAlert { number }),
    }
}

async fn open_up_to(
    transaction: &mut Connection,
    number: i64,
    of: Option<&Owner>,
) -> Result<Vec<i64>, RecordError> {
    let open = transaction.sql(concat!(
        "SELECT number FROM alerts",
        owned!(),
        "WHERE number <= $1 AND ended_at_ms IS NULL AND acknowledged_at_ms IS NULL
           AND ($2 IS NULL OR COALESCE(instances.owner, webhooks.owner) = $2) ORDER BY number",
    ));
    let open = open.bind(number).bind(of.map(Owner::as_str));
    open.scalars().await
}

pub(super) fn read_alert(row: &Row) -> Result<Alert, RecordError> {
    let kind = AlertKind::from_word(row.try_get("kind")?)?;
    let asset_id: Option<String> = row.try_get("asset_id")?;
    let license = match asset_id {
        None => None,
        Some(_) => Some(AlertedLicense {
            asset_id: id(row, "asset_id")?,
            order_id: id(row, "order_id")?,
            product_code: row.try_get("product_code")?,
            customer: from_json(row, "customer")?,
        }),
    };
    let by: Option<String> = row.try_get("acknowledged_by")?;
    let at_ms: Option<i64> = row.try_get("acknowledged_at_ms")?;
    Ok(Alert {
        number: row.try_get("number")?,
        kind,
        instance: match optional(row, "instance_id", id)? {
            Some(id) => Some(AlertedInstance {
                id,
                name: row.try_get("instance")?,
            }),
            None => None,
        },
        license,
        mail_id: match kind {
            AlertKind::MailFailed => Some(id(row, "subject")?),
            _ => None,
        },
        webhook_id: match kind {
            AlertKind::WebhookOff => Some(id(row, "subject")?),
            _ => None,
        },
        problem: optional(row, "problem", from_json)?,
        raised_at_ms: row.try_get("raised_at_ms")?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        acknowledged: at_ms.zip(by),
    })
}

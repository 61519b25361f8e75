//! Corrections of a customer's data: in the orders on record, so that what is mailed or bought from now on has it.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{
    Act, Actor, Contact, CorrectedCustomer, CustomerCorrection, Diagnose, Diagnosis, ErrorKind, MailState,
    Party, Subject,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::assets::assets_of_customer;
use super::stored::{from_json, id, optional, to_json};
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// Why a customer is not corrected. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorrectCustomerError {
    /// Nothing is on record about the customer.
    #[error("no order of customer `{id}` is on record")]
    NoCustomer {
        /// The customer.
        id: String,
    },
    /// The customer was erased.
    #[error("customer `{id}` was erased, and stays so")]
    Erased {
        /// The customer.
        id: String,
    },
    /// The customer is on record at several instances, and none was named.
    #[error("customer `{id}` is on record at several instances, where it need not be the same one")]
    SeveralInstances {
        /// The customer.
        id: String,
    },
    /// A value can't be one.
    #[error("the customer can't have that {field}")]
    Invalid {
        /// The field, such as `country`.
        field: &'static str,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for CorrectCustomerError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoCustomer { .. } => Diagnosis::new(ErrorKind::NotFound, "no-customer"),
            Self::Erased { .. } => Diagnosis::new(ErrorKind::Conflict, "customer-erased")
                .say("a new order of the customer brings the data that it needs"),
            Self::SeveralInstances { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "customer-at-several-instances").say("name the instance")
            }
            Self::Invalid { .. } => Diagnosis::new(ErrorKind::Invalid, "customer-data-invalid"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Corrects a customer in all orders on record at an instance, or at all of them: what is mailed or bought from now on has
    /// the new data. What was sent, bought and charged stays as it was, and an order that is placed again with its idempotency
    /// key is still found.
    ///
    /// # Errors
    /// When a value can't be one, there is no order of the customer, or the customer was erased.
    pub async fn correct_customer(
        &self,
        customer: &str,
        instance: Option<Uuid>,
        correction: &CustomerCorrection,
        actor: &Actor,
    ) -> Result<CorrectedCustomer, CorrectCustomerError> {
        if let Some(field) = correction.invalid_field() {
            return Err(CorrectCustomerError::Invalid { field });
        }
        let mut transaction = self.begin_write().await?;
        let orders = orders(&mut transaction, customer, instance).await?;
        let instances: BTreeSet<Uuid> = orders.iter().map(|order| order.instance_id).collect();
        if instances.len() > 1 {
            return Err(CorrectCustomerError::SeveralInstances {
                id: customer.to_owned(),
            });
        }
        let known = orders.iter().filter(|order| !order.is_erased);
        let mut corrected = BTreeMap::<Uuid, u64>::new();
        for order in known {
            if correct(&mut transaction, order, correction).await? {
                *corrected.entry(order.instance_id).or_default() += 1;
            }
        }
        if orders.is_empty() {
            return Err(CorrectCustomerError::NoCustomer {
                id: customer.to_owned(),
            });
        }
        if orders.iter().all(|order| order.is_erased) {
            return Err(CorrectCustomerError::Erased {
                id: customer.to_owned(),
            });
        }
        for (instance_id, orders) in &corrected {
            let detail = json!({ "fields": correction.fields(), "orders": orders });
            let (act, subject) = (Act::CorrectCustomer, Subject::customer(customer));
            write_act(&mut transaction, actor, act, &subject, Some(*instance_id), detail).await?;
        }
        let refused_mails = refused_mails(&mut transaction, customer, instance).await?;
        transaction.commit().await?;
        Ok(CorrectedCustomer {
            orders: corrected.values().sum(),
            refused_mails,
        })
    }
}

/// An order with what it says of its customer.
struct Known {
    order_id: Uuid,
    instance_id: Uuid,
    customer: Party,
    contact: Option<Contact>,
    is_erased: bool,
}

async fn orders(
    transaction: &mut Connection,
    customer: &str,
    instance: Option<Uuid>,
) -> Result<Vec<Known>, RecordError> {
    let rows = transaction.sql(
        "SELECT id, instance_id, customer, contact, customer_erased_at_ms IS NOT NULL AS is_erased FROM orders
         WHERE customer_id = $1 AND ($2 IS NULL OR instance_id = $2)",
    )
    .bind(customer)
    .bind(instance.map(|id| id.to_string()))
    .fetch_all()
    .await?;
    let read = |row: &Row| {
        Ok(Known {
            order_id: id(row, "id")?,
            instance_id: id(row, "instance_id")?,
            customer: from_json(row, "customer")?,
            contact: optional(row, "contact", from_json)?,
            is_erased: row.try_get("is_erased")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Corrects an order, and returns whether that changed it.
async fn correct(
    transaction: &mut Connection,
    order: &Known,
    correction: &CustomerCorrection,
) -> Result<bool, RecordError> {
    let customer = correction.of_party(&order.customer);
    let contact = order
        .contact
        .as_ref()
        .map(|contact| correction.of_contact(contact));
    if customer == order.customer && contact == order.contact {
        return Ok(false);
    }
    transaction
        .sql("UPDATE orders SET customer = $2, contact = $3 WHERE id = $1")
        .bind(order.order_id.to_string())
        .bind(to_json(&customer)?)
        .bind(contact.as_ref().map(to_json).transpose()?)
        .execute()
        .await?;
    Ok(true)
}

/// The number of a customer's e-mails that were refused for good, and may be taken at another address.
async fn refused_mails(
    transaction: &mut Connection,
    customer: &str,
    instance: Option<Uuid>,
) -> Result<u64, RecordError> {
    let refused: i64 = transaction
        .sql(concat!(
            "SELECT COUNT(*) FROM mails WHERE asset_id IN (",
            assets_of_customer!(),
            ") AND state = $3"
        ))
        .bind(customer)
        .bind(instance.map(|id| id.to_string()))
        .bind(MailState::Failed.word())
        .scalar()
        .await?;
    Ok(refused.unsigned_abs())
}

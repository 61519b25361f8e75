//! Erasing a customer: name, contact and free text leave the record; what was sold, charged and done stays.
//!
//! What stays, because it is needed and tells nobody who the customer was: the platform's own name for the customer, the
//! idempotency keys, what was bought at what price, charges and credits, the vendor's names of purchases, licenses, and
//! who did what. Product keys and activation links stay sealed: they were paid for, and can't be had again.

use bss_model::{
    Act, Actor, Advice, CancellationState, Contact, CustomerErasure, Diagnose, Diagnosis, ERASED, ErrorKind,
    MailState, OpenBusiness, Order, Party, RequesterKind, Subject, SyncStatus, UnsentMails,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::alerts;
use super::assets::assets_of_customer;
use super::erased_customers::{self, Erasure};
use super::erasure::leave_files;
use super::orders::{lines_of, read_order_row, request_digest_again};
use super::stored::{ROWS_PER_STATEMENT, id, to_json};
use super::{RECORD_FILE, Record, RecordError};
use crate::database::Connection;

/// Why a customer was not erased. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseCustomerError {
    /// Nothing is on record about the customer.
    #[error("nothing is on record about customer `{id}`")]
    NoCustomer {
        /// The id that was asked for.
        id: String,
    },
    /// Business with the customer is not settled.
    #[error("customer `{id}` is not erased, because business is open: {open}")]
    Open {
        /// The customer.
        id: String,
        /// The open business.
        open: OpenBusiness,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for EraseCustomerError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoCustomer { .. } => Diagnosis::new(ErrorKind::NotFound, "no-customer")
                .say("give the id that the platform has for the customer, as its orders show it"),
            Self::Open { open, .. } if open.assets.is_empty() && open.cancellations.is_empty() => {
                Diagnosis::new(ErrorKind::Conflict, "customer-has-mails").advise(Advice::SendOrWithdrawMails)
            }
            Self::Open { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "customer-not-settled").say("settle these first")
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// Replaces a problem's words with `$3`, where it has others. Codes and the vendor's names of exchanges stay. So do the
/// host's own words about a license that is another one's: no other place names that license. (`json_set` is SQLite's;
/// PostgreSQL has `jsonb_set`.)
macro_rules! erase_problem {
    ($table:literal, $column:literal, $problem:literal, $chosen:expr) => {
        concat!(
            "UPDATE ",
            $table,
            " SET ",
            $column,
            " = json_set(",
            $column,
            ", '",
            $problem,
            ".message', $3, '",
            $problem,
            ".advice', '') WHERE ",
            $column,
            " IS NOT NULL AND json_extract(",
            $column,
            ", '",
            $problem,
            ".message') <> $3 AND json_extract(",
            $column,
            ", '",
            $problem,
            ".code') NOT IN ('second-license', 'not-its-license') AND ",
            $chosen
        )
    };
}

/// Statements that erase free text, which may name the customer. Bind the customer, the instance and the text that takes
/// its place.
const FREE_TEXT: [&str; 8] = [
    // The alert that an instance is held has the words about one of its orders; the others have the host's own.
    erase_problem!(
        "alerts",
        "problem",
        "$",
        concat!(
            "kind = 'instance-held' AND asset_id IS NULL AND instance_id IN (SELECT instance_id FROM assets WHERE id IN (",
            assets_of_customer!(),
            "))"
        )
    ),
    erase_problem!(
        "alerts",
        "problem",
        "$",
        concat!("asset_id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "outcomes",
        "problem",
        "$",
        concat!("asset_id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "assets",
        "reason",
        "$.problem",
        concat!("id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "attempts",
        "problem",
        "$",
        concat!("asset_id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "mails",
        "problem",
        "$",
        concat!("asset_id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "cancellations",
        "reason",
        "$.problem",
        concat!("asset_id IN (", assets_of_customer!(), ")")
    ),
    erase_problem!(
        "return_attempts",
        "problem",
        "$",
        concat!(
            "cancellation_id IN (SELECT id FROM cancellations WHERE asset_id IN (",
            assets_of_customer!(),
            "))"
        )
    ),
];

/// A customer, at an instance or at all.
#[derive(Clone, Copy)]
struct Scope<'a> {
    customer: &'a str,
    instance: Option<Uuid>,
}

impl Scope<'_> {
    fn instance(self) -> Option<String> {
        self.instance.map(|id| id.to_string())
    }
}

impl Record {
    /// Erases a customer at an instance, or at all of them: name, country, e-mail address and language, and the free text of
    /// cancellations and problems are replaced, all at once or not at all. Everything else stays, and an order that is
    /// placed again with its idempotency key is still found. Then the whole database is written anew, so that its files do
    /// not keep what was erased; other writers wait meanwhile. Erasing again changes nothing.
    ///
    /// Orders that the platform places for the customer later are not erased.
    ///
    /// # Errors
    /// When nothing is on record about the customer; when a license is still to be bought, a cancellation is open or an
    /// e-mail was not sent, unless such e-mails are to be withdrawn; and when the record can't be written.
    pub async fn erase_customer(
        &self,
        customer: &str,
        instance: Option<Uuid>,
        unsent: UnsentMails,
        actor: &Actor,
    ) -> Result<CustomerErasure, EraseCustomerError> {
        let scope = Scope { customer, instance };
        let erasure = self.erase(scope, unsent, actor).await?;
        Ok(CustomerErasure {
            left_files: leave_files(&self.writer, &self.data_dir.join(RECORD_FILE)).await,
            ..erasure
        })
    }

    /// Erases a customer in the tables.
    async fn erase(
        &self,
        scope: Scope<'_>,
        unsent: UnsentMails,
        actor: &Actor,
    ) -> Result<CustomerErasure, EraseCustomerError> {
        let mut transaction = self.begin_write().await?;
        // An e-mail that a dead worker has taken is not being sent.
        self.release_dead_workers(&mut transaction).await?;
        let instances = instances_of(&mut transaction, scope).await?;
        if instances.is_empty() && !self.was_erased(&mut transaction, scope).await? {
            return Err(EraseCustomerError::NoCustomer {
                id: scope.customer.to_owned(),
            });
        }
        let open = open_business(&mut transaction, scope, unsent).await?;
        if !open.is_settled() {
            return Err(EraseCustomerError::Open {
                id: scope.customer.to_owned(),
                open,
            });
        }
        let now_ms = self.now_ms();
        let (mut whole, mut erasures) = (CustomerErasure::default(), Vec::new());
        for instance_id in instances {
            let scope = Scope {
                instance: Some(instance_id),
                ..scope
            };
            let erased = CustomerErasure {
                orders: erase_orders(&mut transaction, scope, now_ms).await?,
                withdrawn_mails: withdraw_mails(&mut transaction, scope).await?,
                texts: erase_texts(&mut transaction, scope).await?,
                left_files: false,
            };
            if erased.is_repetition() {
                continue;
            }
            let (act, subject) = (Act::EraseCustomer, Subject::customer(scope.customer));
            let detail = json!({
                "orders": erased.orders, "withdrawnMails": erased.withdrawn_mails, "texts": erased.texts,
            });
            write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
            whole.orders = whole.orders.saturating_add(erased.orders);
            whole.withdrawn_mails = whole.withdrawn_mails.saturating_add(erased.withdrawn_mails);
            whole.texts = whole.texts.saturating_add(erased.texts);
            erasures.push(Erasure {
                customer_id: scope.customer.to_owned(),
                instance_id,
                erased_at_ms: now_ms,
            });
        }
        if !erasures.is_empty() {
            put_on_list(&mut transaction, &erasures).await?;
            erased_customers::add_to_file(&self.data_dir, &erasures)?;
            transaction.commit().await?;
        }
        Ok(whole)
    }

    async fn was_erased(&self, connection: &mut Connection, scope: Scope<'_>) -> Result<bool, RecordError> {
        let erased = erased_customers::list(connection, &self.data_dir, Some(scope.customer)).await?;
        let is_meant = |instance_id| scope.instance.is_none_or(|instance| instance == instance_id);
        Ok(erased.iter().any(|erased| is_meant(erased.instance_id)))
    }
}

/// The instances at which a customer has orders.
async fn instances_of(connection: &mut Connection, scope: Scope<'_>) -> Result<Vec<Uuid>, RecordError> {
    let rows = connection.sql(
        "SELECT DISTINCT instance_id FROM orders WHERE customer_id = $1 AND ($2 IS NULL OR instance_id = $2)
         ORDER BY instance_id",
    )
    .bind(scope.customer)
    .bind(scope.instance())
    .fetch_all()
    .await?;
    rows.iter().map(|row| id(row, "instance_id")).collect()
}

/// The business with a customer that keeps it from being erased.
async fn open_business(
    connection: &mut Connection,
    scope: Scope<'_>,
    unsent: UnsentMails,
) -> Result<OpenBusiness, RecordError> {
    let assets = connection
        .sql(concat!(
            assets_of_customer!(),
            " AND sync_status = $3 ORDER BY id"
        ))
        .bind(scope.customer)
        .bind(scope.instance())
        .bind(SyncStatus::Unsynchronised.word())
        .fetch_all()
        .await?;
    let cancellations = connection
        .sql(concat!(
            "SELECT asset_id AS id FROM cancellations WHERE asset_id IN (",
            assets_of_customer!(),
            ") AND state IN ($3, $4) ORDER BY asset_id"
        ))
        .bind(scope.customer)
        .bind(scope.instance())
        .bind(CancellationState::Requested.word())
        .bind(CancellationState::Returning.word())
        .fetch_all()
        .await?;
    // An e-mail that a worker is sending now would reach the customer after all.
    let mails = connection
        .sql(concat!(
            "SELECT id FROM mails WHERE asset_id IN (",
            assets_of_customer!(),
            ") AND state NOT IN ($3, $4) AND (worker IS NOT NULL OR $5) ORDER BY id"
        ))
        .bind(scope.customer)
        .bind(scope.instance())
        .bind(MailState::Sent.word())
        .bind(MailState::Withdrawn.word())
        .bind(unsent == UnsentMails::Refuse)
        .fetch_all()
        .await?;
    let [assets, cancellations, mails] = [assets, cancellations, mails].map(|rows| {
        rows.iter()
            .map(|row| id(row, "id"))
            .collect::<Result<Vec<_>, _>>()
    });
    Ok(OpenBusiness {
        assets: assets?,
        cancellations: cancellations?,
        mails: mails?,
    })
}

/// Erases the parties and contacts of a customer's orders. Returns their number.
async fn erase_orders(
    transaction: &mut Connection,
    scope: Scope<'_>,
    now_ms: i64,
) -> Result<u64, RecordError> {
    let rows = transaction
        .sql(
            "SELECT * FROM orders
         WHERE customer_id = $1 AND ($2 IS NULL OR instance_id = $2) AND customer_erased_at_ms IS NULL",
        )
        .bind(scope.customer)
        .bind(scope.instance())
        .fetch_all()
        .await?;
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut orders = rows.iter().map(read_order_row).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
        let mut lines = lines_of(transaction, &ids).await?;
        for order in &mut orders {
            order.lines = lines.remove(&order.id).unwrap_or_default();
            erase_order(transaction, order, now_ms).await?;
        }
    }
    Ok(rows.len() as u64)
}

async fn erase_order(transaction: &mut Connection, order: &Order, now_ms: i64) -> Result<(), RecordError> {
    let contact = order.contact.as_ref().map(|_| Contact::erased());
    // A reseller is another party, who is billed, unless it buys for itself.
    let reseller = order
        .reseller
        .as_ref()
        .map(|reseller| match reseller.id == order.customer.id {
            true => Party::erased(&reseller.id),
            false => reseller.clone(),
        });
    // The digest of an earlier version is one of the name and the address too, and could be guessed.
    let request_digest = request_digest_again(order)?;
    transaction.sql(
        "UPDATE orders SET customer = $2, contact = $3, reseller = $4, request_digest = $5, customer_erased_at_ms = $6
         WHERE id = $1",
    )
    .bind(order.id.to_string())
    .bind(to_json(&Party::erased(&order.customer.id))?)
    .bind(contact.as_ref().map(to_json).transpose()?)
    .bind(reseller.as_ref().map(to_json).transpose()?)
    .bind(request_digest)
    .bind(now_ms)
    .execute()
    .await?;
    Ok(())
}

/// Withdraws the e-mails of a customer that were not sent. Returns their number.
async fn withdraw_mails(transaction: &mut Connection, scope: Scope<'_>) -> Result<u64, RecordError> {
    let withdrawn = transaction
        .sql(concat!(
            "UPDATE mails SET state = $4 WHERE asset_id IN (",
            assets_of_customer!(),
            ") AND state NOT IN ($3, $4)"
        ))
        .bind(scope.customer)
        .bind(scope.instance())
        .bind(MailState::Sent.word())
        .bind(MailState::Withdrawn.word())
        .execute()
        .await?;
    alerts::end_of_withdrawn_mails(transaction).await?;
    // Another address that one was sent to is the customer's, too.
    transaction
        .sql(concat!(
            "UPDATE mails SET recipient = CASE WHEN recipient IS NOT NULL THEN $3 END,
                          sent_to = CASE WHEN sent_to IS NOT NULL THEN $3 END
         WHERE asset_id IN (",
            assets_of_customer!(),
            ") AND (recipient <> $3 OR sent_to <> $3)"
        ))
        .bind(scope.customer)
        .bind(scope.instance())
        .bind(ERASED)
        .execute()
        .await?;
    Ok(withdrawn)
}

/// Erases free text, which may name the customer. Returns the number of rows that had any.
async fn erase_texts(transaction: &mut Connection, scope: Scope<'_>) -> Result<u64, RecordError> {
    let mut erased = 0_u64;
    for statement in FREE_TEXT {
        let problems = transaction
            .sql(statement)
            .bind(scope.customer)
            .bind(scope.instance())
            .bind(ERASED)
            .execute()
            .await?;
        erased = erased.saturating_add(problems);
    }
    // A comment may be anybody's; the name is the customer's only where the customer asked.
    let cancellations = transaction.sql(concat!(
        "UPDATE cancellations
         SET requester_name = CASE WHEN requester_kind = $4 THEN $3 ELSE requester_name END,
             comment = CASE WHEN comment = '' THEN '' ELSE $3 END,
             decision_comment = CASE WHEN COALESCE(decision_comment, '') = '' THEN decision_comment ELSE $3 END
         WHERE asset_id IN (",
        assets_of_customer!(),
        ") AND ((requester_kind = $4 AND requester_name <> $3) OR comment NOT IN ('', $3)
                OR COALESCE(decision_comment, '') NOT IN ('', $3))"
    ))
    .bind(scope.customer)
    .bind(scope.instance())
    .bind(ERASED)
    .bind(RequesterKind::Customer.word())
    .execute()
    .await?;
    Ok(erased.saturating_add(cancellations))
}

async fn put_on_list(transaction: &mut Connection, erasures: &[Erasure]) -> Result<(), RecordError> {
    for erasure in erasures {
        transaction
            .sql(
                "INSERT INTO erased_customers (customer_id, instance_id, erased_at_ms) VALUES ($1, $2, $3)
             ON CONFLICT (customer_id, instance_id) DO UPDATE SET erased_at_ms = excluded.erased_at_ms",
            )
            .bind(&erasure.customer_id)
            .bind(erasure.instance_id.to_string())
            .bind(erasure.erased_at_ms)
            .execute()
            .await?;
    }
    Ok(())
}

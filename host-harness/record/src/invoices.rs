//! Charges and credits: one invoice per order with a line per license, and credits of whole lines.

use std::collections::BTreeMap;

use bss_model::{Asset, BillingFilter, Credit, Invoice, InvoiceLine, Page, Price, Rows};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::duties::duties;
use super::paging::KeyColumn::Integer;
use super::paging::List;
use super::stored::{ROWS_PER_STATEMENT, count, id, optional, push_ids};
use super::{Record, RecordError};

/// Invoices and credits are numbered separately, each from 1 without gaps, as bookkeepers expect.
const INVOICE_NUMBERS: &str = "invoice";
const CREDIT_NUMBERS: &str = "credit";

/// Invoices by number.
pub(super) const INVOICES: List = List {
    name: "invoices",
    key: &[Integer("number")],
};

/// Credits by number.
pub(super) const CREDITS: List = List {
    name: "credits",
    key: &[Integer("number")],
};

pub(super) fn invoices_query(filter: &BillingFilter) -> QueryBuilder<Sqlite> {
    filtered("SELECT * FROM invoices WHERE 1 = 1", filter)
}

pub(super) fn credits_query(filter: &BillingFilter) -> QueryBuilder<Sqlite> {
    filtered("SELECT * FROM credits WHERE 1 = 1", filter)
}

fn filtered(select: &str, filter: &BillingFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(select);
    if let Some(instance) = filter.instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(order) = filter.order {
        query.push(" AND order_id = ").push_bind(order.to_string());
    }
    query
}

impl Record {
    /// The invoice of an order. `None`: nothing has been charged yet.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn invoice(&self, order_id: Uuid) -> Result<Option<Invoice>, RecordError> {
        let filter = BillingFilter {
            order: Some(order_id),
            instance: None,
        };
        let mut invoices = self.invoices(&filter, &Page::all()).await?;
        Ok(invoices.rows.pop())
    }

    /// Invoices that match a filter, by number, each with all of its lines.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn invoices(&self, filter: &BillingFilter, page: &Page) -> Result<Rows<Invoice>, RecordError> {
        let query = invoices_query(filter);
        let mut invoices = self.page(&INVOICES, query, page, read_invoice).await?;
        for invoices in invoices.rows.chunks_mut(ROWS_PER_STATEMENT) {
            let orders: Vec<Uuid> = invoices.iter().map(|invoice| invoice.order_id).collect();
            let mut lines = self.lines_of(&orders).await?;
            for invoice in invoices {
                invoice.lines = lines.remove(&invoice.order_id).unwrap_or_default();
            }
        }
        Ok(invoices)
    }

    /// The lines of orders' invoices, by order. Lines never change, so they fit an invoice that was read earlier.
    async fn lines_of(&self, orders: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<InvoiceLine>>, RecordError> {
        let mut query = QueryBuilder::new("SELECT * FROM invoice_lines WHERE order_id IN (");
        push_ids(&mut query, orders);
        // A statement per number of ids is not worth keeping in the cache.
        let query = query.push(") ORDER BY order_id, position").build();
        let rows = query.persistent(false).fetch_all(&self.readers).await?;
        let mut lines = BTreeMap::<Uuid, Vec<InvoiceLine>>::new();
        for row in &rows {
            lines.entry(id(row, "order_id")?).or_default().push(line(row)?);
        }
        Ok(lines)
    }

    /// Credits that match a filter, by number.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn credits(&self, filter: &BillingFilter, page: &Page) -> Result<Rows<Credit>, RecordError> {
        self.page(&CREDITS, credits_query(filter), page, read_credit)
            .await
    }
}

/// Charges a license with all of its units: adds a line to its order's invoice, which is made with the first line. Does
/// nothing for a license that is charged already or was ordered without a price, or if charging is not the host's duty.
pub(super) async fn charge(
    transaction: &mut SqliteConnection,
    asset: &Asset,
    now_ms: i64,
) -> Result<(), RecordError> {
    let Some(price) = &asset.price else { return Ok(()) };
    if !duties(transaction).await?.charges {
        return Ok(());
    }
    let issued = sqlx::query("SELECT number FROM invoices WHERE order_id = $1")
        .bind(asset.order_id.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    if issued.is_none() {
        let number = next_number(transaction, INVOICE_NUMBERS).await?;
        sqlx::query(
            "INSERT INTO invoices (order_id, instance_id, number, issued_at_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(asset.order_id.to_string())
        .bind(asset.instance_id.to_string())
        .bind(number)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query(
        "INSERT INTO invoice_lines (asset_id, order_id, position, product_code, product_name, currency,
                                    minor_units, charged_at_ms, quantity)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (asset_id) DO NOTHING",
    )
    .bind(asset.id.to_string())
    .bind(asset.order_id.to_string())
    .bind(i64::from(asset.position))
    .bind(&asset.product_code)
    .bind(&asset.product_name)
    .bind(&price.currency)
    .bind(price.minor_units)
    .bind(now_ms)
    .bind(i64::from(asset.quantity))
    .execute(transaction)
    .await?;
    Ok(())
}

/// Credits all that was charged for a license. `None`: nothing was charged. A second call returns the first credit,
/// whatever cancellation it names.
pub(super) async fn credit(
    transaction: &mut SqliteConnection,
    asset_id: Uuid,
    cancellation_id: Uuid,
    now_ms: i64,
) -> Result<Option<Credit>, RecordError> {
    if let Some(earlier) = read_credit_of(transaction, asset_id).await? {
        return Ok(Some(earlier));
    }
    let Some(charged) = read_line(transaction, asset_id).await? else {
        return Ok(None);
    };
    let number = next_number(transaction, CREDIT_NUMBERS).await?;
    sqlx::query(
        "INSERT INTO credits (asset_id, order_id, instance_id, number, currency, minor_units, cancellation_id,
                              credited_at_ms)
         SELECT $1, invoices.order_id, invoices.instance_id, $2, $3, $4, $5, $6
         FROM invoice_lines JOIN invoices ON invoices.order_id = invoice_lines.order_id
         WHERE invoice_lines.asset_id = $1",
    )
    .bind(asset_id.to_string())
    .bind(number)
    .bind(&charged.price.currency)
    .bind(charged.price.minor_units)
    .bind(cancellation_id.to_string())
    .bind(now_ms)
    .execute(&mut *transaction)
    .await?;
    read_credit_of(transaction, asset_id).await
}

/// Takes the next number, in the transaction that uses it, so that a rollback leaves no gap.
async fn next_number(transaction: &mut SqliteConnection, kind: &str) -> Result<i64, RecordError> {
    let number = sqlx::query_scalar(
        "INSERT INTO running_numbers (kind, last) VALUES ($1, 1)
         ON CONFLICT (kind) DO UPDATE SET last = running_numbers.last + 1
         RETURNING last",
    )
    .bind(kind)
    .fetch_one(transaction)
    .await?;
    Ok(number)
}

async fn read_line(
    connection: &mut SqliteConnection,
    asset_id: Uuid,
) -> Result<Option<InvoiceLine>, RecordError> {
    let row = sqlx::query("SELECT * FROM invoice_lines WHERE asset_id = $1")
        .bind(asset_id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(line).transpose()
}

async fn read_credit_of(
    connection: &mut SqliteConnection,
    asset_id: Uuid,
) -> Result<Option<Credit>, RecordError> {
    let row = sqlx::query("SELECT * FROM credits WHERE asset_id = $1")
        .bind(asset_id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_credit).transpose()
}

/// An invoice without its lines.
pub(super) fn read_invoice(row: &SqliteRow) -> Result<Invoice, RecordError> {
    Ok(Invoice {
        number: number(row)?,
        order_id: id(row, "order_id")?,
        issued_at_ms: row.try_get("issued_at_ms")?,
        lines: Vec::new(),
    })
}

pub(super) fn line(row: &SqliteRow) -> Result<InvoiceLine, RecordError> {
    Ok(InvoiceLine {
        asset_id: id(row, "asset_id")?,
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        product_name: row.try_get("product_name")?,
        quantity: count(row, "quantity")?,
        price: price(row)?,
        charged_at_ms: row.try_get("charged_at_ms")?,
    })
}

pub(super) fn read_credit(row: &SqliteRow) -> Result<Credit, RecordError> {
    Ok(Credit {
        number: number(row)?,
        asset_id: id(row, "asset_id")?,
        order_id: id(row, "order_id")?,
        price: price(row)?,
        cancellation_id: optional(row, "cancellation_id", id)?,
        credited_at_ms: row.try_get("credited_at_ms")?,
    })
}

fn price(row: &SqliteRow) -> Result<Price, RecordError> {
    Ok(Price {
        currency: row.try_get("currency")?,
        minor_units: row.try_get("minor_units")?,
    })
}

fn number(row: &SqliteRow) -> Result<u64, RecordError> {
    let number: i64 = row.try_get("number")?;
    u64::try_from(number).map_err(|_| RecordError::Damaged {
        what: format!("column `number` contains {number}, which is out of range"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection in a transaction, on which an asset has been charged.
    async fn charged(record: &Record, asset_id: Uuid) -> sqlx::pool::PoolConnection<Sqlite> {
        let mut connection = record.writer.acquire().await.unwrap();
        // Without foreign keys, the order and the asset need no rows of their own.
        let rows = [
            "PRAGMA foreign_keys = OFF",
            "BEGIN IMMEDIATE",
            "INSERT INTO invoices (order_id, number, issued_at_ms) VALUES ('00000000-0000-0000-0000-000000000001', 1, 1)",
        ];
        for row in rows {
            sqlx::query(row).execute(&mut *connection).await.unwrap();
        }
        sqlx::query("INSERT INTO invoice_lines VALUES ($1, $2, 1, 'a', 'A', 'EUR', 14900, 1, 1)")
            .bind(asset_id.to_string())
            .bind(Uuid::from_u128(1).to_string())
            .execute(&mut *connection)
            .await
            .unwrap();
        connection
    }

    #[tokio::test]
    async fn a_credit_is_the_whole_line_once_and_nothing_without_a_charge() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record::open_or_create(directory.path(), &bss_keys::HostKeySource::default())
            .await
            .unwrap();
        let asset_id = Uuid::new_v4();
        let mut connection = charged(&record, asset_id).await;
        let [cancellation, another] = [Uuid::new_v4(), Uuid::new_v4()];

        let uncharged = credit(&mut connection, Uuid::new_v4(), cancellation, 2)
            .await
            .unwrap();
        assert_eq!(uncharged, None);
        let first = credit(&mut connection, asset_id, cancellation, 2)
            .await
            .unwrap()
            .unwrap();
        let expected = Credit {
            number: 1,
            asset_id,
            order_id: Uuid::from_u128(1),
            price: Price {
                currency: "EUR".to_owned(),
                minor_units: 14_900,
            },
            cancellation_id: Some(cancellation),
            credited_at_ms: 2,
        };
        assert_eq!(first, expected);
        let again = credit(&mut connection, asset_id, another, 3).await.unwrap();
        assert_eq!(again, Some(expected));
        let credits: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM credits")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(credits, 1);
    }
}

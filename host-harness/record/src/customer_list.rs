//! Customers as a list shows them: one row for each customer of an instance, as the latest order names it.

use bss_model::{CustomerFilter, CustomerSummary, InstanceId, Page, Rows};

use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::stored::{from_json, id, optional};
use super::{Record, RecordError};
use crate::database::{Builder, Row};

/// Customers by the time of their latest orders.
pub(super) const CUSTOMERS: List = List {
    name: "customers",
    key: &[Integer("placed_at_ms"), Text("order_id")],
};

/// The latest order of each customer. They are read in the order of the list, so that a full page ends the search.
pub(super) fn customers_query(filter: &CustomerFilter) -> Builder {
    let mut query = Builder::new(
        "SELECT * FROM (
             SELECT latest.id AS order_id, latest.customer, latest.contact, latest.placed_at_ms, latest.instance_id,
                    instances.name AS instance, instances.owner,
                    (SELECT COUNT(*) FROM orders
                     WHERE customer_id = latest.customer_id AND instance_id = latest.instance_id) AS orders,
                    (SELECT COUNT(*) FROM assets
                     WHERE customer_id = latest.customer_id AND instance_id = latest.instance_id) AS licenses
             FROM orders AS latest JOIN instances ON instances.id = latest.instance_id
             WHERE NOT EXISTS (
                 SELECT 1 FROM orders AS later
                 WHERE later.customer_id = latest.customer_id AND later.instance_id = latest.instance_id
                 AND (later.placed_at_ms, later.id) > (latest.placed_at_ms, latest.id))) AS customers
         WHERE 1 = 1",
    );
    if let Some(instance) = filter.instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(owner) = &filter.owner {
        query.push(" AND owner = ").push_bind(owner.as_str().to_owned());
    }
    query
}

impl Record {
    /// Customers that match a filter, by the time of their latest orders.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn customers(
        &self,
        filter: &CustomerFilter,
        page: &Page,
    ) -> Result<Rows<CustomerSummary>, RecordError> {
        self.page(&CUSTOMERS, customers_query(filter), page, read_summary)
            .await
    }
}

fn read_summary(row: &Row) -> Result<CustomerSummary, RecordError> {
    let number = |column: &str| -> Result<u64, RecordError> {
        Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
    };
    Ok(CustomerSummary {
        customer: from_json(row, "customer")?,
        contact: optional(row, "contact", from_json)?,
        instance_id: InstanceId(id(row, "instance_id")?),
        instance: row.try_get("instance")?,
        orders: number("orders")?,
        licenses: number("licenses")?,
        last_order_at_ms: row.try_get("placed_at_ms")?,
    })
}

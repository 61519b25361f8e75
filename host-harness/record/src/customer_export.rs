//! Exporting a customer: all that is on record about one, as it is at one moment.

use std::collections::BTreeMap;

use bss_model::{
    AssetFilter, Charge, ChargeLine, CustomerData, Order, OrderFilter, RecordedAct, SubjectKind,
};
use uuid::Uuid;

use super::acts::stored_act::read_act;
use super::assets::{assets_of_customer, assets_query, read_asset};
use super::cancellations::cancellation;
use super::orders::{lines_of, orders_query, read_order_row};
use super::outbox::read_mail;
use super::stored::{ROWS_PER_STATEMENT, id};
use super::{Record, RecordError, attempts, charges, erased_customers, returns};
use crate::database::{Connection, Row};

impl Record {
    /// All that is on record about a customer, at an instance or at all of them. Nothing is decrypted. `None`: nothing is on
    /// record, and nothing was erased.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn export_customer(
        &self,
        customer: &str,
        instance: Option<Uuid>,
    ) -> Result<Option<CustomerData>, RecordError> {
        // A single transaction reads all of it, so that nothing that changes meanwhile is told in parts.
        let mut snapshot = self.readers.begin_read().await?;
        let of = Customer {
            id: customer,
            instance,
        };
        let mut erasures = erased_customers::list(&mut snapshot, &self.data_dir, Some(customer)).await?;
        erasures.retain(|erased| instance.is_none_or(|instance| instance == erased.instance_id));
        let orders = of.orders(&mut snapshot).await?;
        if orders.is_empty() && erasures.is_empty() {
            return Ok(None);
        }
        let filter = AssetFilter {
            customer: Some(customer.to_owned()),
            instance,
            ..AssetFilter::default()
        };
        let mut assets = assets_query(&filter);
        assets.push(" ORDER BY created_at_ms, order_id, position");
        let assets = snapshot.build(&mut assets).fetch_all().await?;
        Ok(Some(CustomerData {
            id: customer.to_owned(),
            orders,
            assets: assets.iter().map(read_asset).collect::<Result<_, _>>()?,
            attempts: by_id(
                &of.rows(&mut snapshot, ATTEMPTS).await?,
                "asset_id",
                attempts::attempt,
            )?,
            cancellations: read(&of.rows(&mut snapshot, CANCELLATIONS).await?, cancellation)?,
            return_attempts: by_id(
                &of.rows(&mut snapshot, RETURN_ATTEMPTS).await?,
                "cancellation_id",
                returns::attempt,
            )?,
            charges: of.charges(&mut snapshot).await?,
            credits: read(&of.rows(&mut snapshot, CREDITS).await?, charges::read_credit)?,
            mails: read(&of.rows(&mut snapshot, MAILS).await?, read_mail)?,
            acts: of.acts(&mut snapshot).await?,
            erasures,
        }))
    }
}

const ATTEMPTS: &str = concat!(
    "SELECT * FROM attempts WHERE asset_id IN (",
    assets_of_customer!(),
    ") ORDER BY asset_id, number"
);
const CANCELLATIONS: &str = concat!(
    "SELECT * FROM cancellations WHERE asset_id IN (",
    assets_of_customer!(),
    ") ORDER BY requested_at_ms, asset_id, number"
);
const RETURN_ATTEMPTS: &str = concat!(
    "SELECT * FROM return_attempts WHERE cancellation_id IN (SELECT id FROM cancellations WHERE asset_id IN (",
    assets_of_customer!(),
    ")) ORDER BY cancellation_id, number"
);
const CHARGES: &str = concat!(
    "SELECT * FROM charges WHERE order_id IN (SELECT order_id FROM assets WHERE id IN (",
    assets_of_customer!(),
    ")) ORDER BY charged_at_ms, id"
);
const CHARGE_LINES: &str = concat!(
    "SELECT * FROM charge_lines WHERE asset_id IN (",
    assets_of_customer!(),
    ") ORDER BY charge_id, position"
);
const CREDITS: &str = concat!(
    "SELECT * FROM credits WHERE asset_id IN (",
    assets_of_customer!(),
    ") ORDER BY credited_at_ms, id"
);
const MAILS: &str = concat!(
    "SELECT mails.*, orders.contact FROM mails JOIN orders ON orders.id = mails.order_id WHERE asset_id IN (",
    assets_of_customer!(),
    ") ORDER BY mails.created_at_ms, mails.order_id, mails.position, mails.kind"
);
/// Subjects are found by their ids; the kind keeps an id of one kind from being taken for another's.
const ACTS: &str = concat!(
    "SELECT * FROM acts
     WHERE (subject_kind = $3 AND subject IN (SELECT order_id FROM assets WHERE id IN (",
    assets_of_customer!(),
    "))) OR (subject_kind = $4 AND subject IN (",
    assets_of_customer!(),
    ")) OR (subject_kind = $5 AND subject IN (SELECT id FROM mails WHERE asset_id IN (",
    assets_of_customer!(),
    "))) OR (subject_kind = $6 AND subject = $1 AND ($2 IS NULL OR instance_id = $2)) ORDER BY number"
);

/// A customer, at an instance or at all.
#[derive(Clone, Copy)]
struct Customer<'a> {
    id: &'a str,
    instance: Option<Uuid>,
}

impl Customer<'_> {
    /// The rows of a query for the customer `$1` and the instance `$2`.
    async fn rows(self, connection: &mut Connection, query: &'static str) -> Result<Vec<Row>, RecordError> {
        let rows = connection
            .sql(query)
            .bind(self.id)
            .bind(self.instance.map(|id| id.to_string()))
            .fetch_all()
            .await?;
        Ok(rows)
    }

    async fn orders(self, connection: &mut Connection) -> Result<Vec<Order>, RecordError> {
        let filter = OrderFilter {
            customer: Some(self.id.to_owned()),
            instance: self.instance,
            ..OrderFilter::default()
        };
        let mut query = orders_query(&filter);
        query.push(" ORDER BY placed_at_ms, id");
        let rows = connection.build(&mut query).fetch_all().await?;
        let mut orders = read(&rows, read_order_row)?;
        for orders in orders.chunks_mut(ROWS_PER_STATEMENT) {
            let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
            let mut lines = lines_of(connection, &ids).await?;
            for order in orders {
                order.lines = lines.remove(&order.id).unwrap_or_default();
            }
        }
        Ok(orders)
    }

    async fn charges(self, connection: &mut Connection) -> Result<Vec<Charge>, RecordError> {
        let mut lines = BTreeMap::<i64, Vec<ChargeLine>>::new();
        for row in &self.rows(connection, CHARGE_LINES).await? {
            let of_charge = lines.entry(row.try_get("charge_id")?).or_default();
            of_charge.push(charges::read_line(row)?);
        }
        let mut charges = Vec::new();
        for row in &self.rows(connection, CHARGES).await? {
            let lines = lines.remove(&row.try_get("id")?).unwrap_or_default();
            charges.push(Charge {
                lines,
                ..charges::read_charge(row)?
            });
        }
        Ok(charges)
    }

    async fn acts(self, connection: &mut Connection) -> Result<Vec<RecordedAct>, RecordError> {
        let mut query = connection
            .sql(ACTS)
            .bind(self.id)
            .bind(self.instance.map(|id| id.to_string()));
        for kind in [
            SubjectKind::Order,
            SubjectKind::Asset,
            SubjectKind::Mail,
            SubjectKind::Customer,
        ] {
            query = query.bind(kind.word());
        }
        read(&query.fetch_all().await?, read_act)
    }
}

fn read<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, RecordError>) -> Result<Vec<T>, RecordError> {
    rows.iter().map(read).collect()
}

/// Reads rows into a list for each id of a column, in the order of the rows.
fn by_id<T>(
    rows: &[Row],
    column: &str,
    read: impl Fn(&Row) -> Result<T, RecordError>,
) -> Result<BTreeMap<Uuid, Vec<T>>, RecordError> {
    let mut found = BTreeMap::<Uuid, Vec<T>>::new();
    for row in rows {
        found.entry(id(row, column)?).or_default().push(read(row)?);
    }
    Ok(found)
}

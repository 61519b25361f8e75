//! Orders: each unit with its own line and its own asset, or all units of a line in one asset, as the type of the product says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::acts::write_act;
use super::duties::duties;
use super::paging::KeyColumn::{Integer, Text};
use super::paging::List;
use super::platforms::buys_at;
use super::products::price_in;
use super::provenance::doubt_repetition;
use super::spending::{BeyondSpendingLimit, beyond_limit, follow_order, is_limited_in_money};
use super::stored::{ROWS_PER_STATEMENT, boot, count, from_json, id, optional, push_ids, to_json, uptime_ms};
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Row};
use aws_lc_rs::digest;
use bss_model::{
    Act, Actor, Advice, AssetStatus, Diagnose, Diagnosis, ErrorKind, Instance, InvalidParty, NewLine,
    NewOrder, NewProduct, Order, OrderFilter, OrderLine, OrderParties, Owner, Page, Party, Placed, Price,
    Problem, ReturnStatus, Rows, Settlement, Standing, Subject, SyncStatus, client_transaction_id, merged,
};
use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

/// The most licenses of one order. Each is an asset, and a purchase of its own at the vendor; more is a mistake rather than
/// an order.
const LICENSES_PER_ORDER_MAX: u64 = 10_000;

/// The most units of one license. More is a mistake rather than an order, whatever the vendor allows; what a sum of lines
/// beyond 32 bits becomes is more, too.
const UNITS_PER_LICENSE_MAX: u32 = 1_000_000;

/// Why an order was not placed. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The instance does not exist.
    #[error("instance `{id}` does not exist")]
    NoInstance {
        /// The id that was asked for.
        id: Uuid,
    },
    /// The instance can't sell yet.
    #[error("instance `{name}` is not ready ({standing})")]
    NotReady {
        /// The instance's name.
        name: String,
        /// The instance's standing.
        standing: Standing,
    },
    /// The instance takes no orders.
    #[error("instance `{name}` is disabled, and takes no orders")]
    Disabled {
        /// The instance's name.
        name: String,
    },
    /// Nothing was ordered.
    #[error("the order has no lines")]
    Empty,
    /// The order has more units than an order may have, of those that are a license each.
    #[error("the order is for more than {LICENSES_PER_ORDER_MAX} licenses, which is the most of one order")]
    TooManyUnits,
    /// The price of the order, or of one of its lines, is more than an amount can be.
    #[error(
        "with {quantity} of product `{code}`, the order costs more than {}, the largest amount",
        largest(currency)
    )]
    AmountTooLarge {
        /// The code of the product with which the order costs too much.
        code: String,
        /// The quantity of it that was ordered.
        quantity: u32,
        /// The instance's currency, ISO 4217.
        currency: String,
    },
    /// A field that the vendor requires of a party is missing or invalid.
    #[error("{party} has no valid {field}, which the vendor needs")]
    IncompleteParty {
        /// The party: `the customer` or `the reseller`.
        party: &'static str,
        /// The field, such as `country`.
        field: &'static str,
    },
    /// The product does not exist.
    #[error("the instance has no product `{code}`")]
    UnknownProduct {
        /// The code that was ordered.
        code: String,
    },
    /// The vendor has stopped selling the product.
    #[error("product `{code}` is discontinued and can't be sold")]
    Discontinued {
        /// The code that was ordered.
        code: String,
    },
    /// The operator has not activated the product.
    #[error("product `{code}` is not active")]
    Inactive {
        /// The code that was ordered.
        code: String,
    },
    /// The order has no contact, and the host is to mail the licenses.
    #[error("the order has no contact to whom its licenses are mailed")]
    NoContact,
    /// The operator has set no price for the product, and a charge, or a limit of money for what a platform buys, needs one.
    #[error("product `{code}` has no price in {currency}")]
    NoPrice {
        /// The code that was ordered.
        code: String,
        /// The instance's currency, ISO 4217.
        currency: String,
    },
    /// The price of the product is another than the buyer was shown.
    #[error("the price of product `{code}` has changed since it was shown")]
    PriceChanged {
        /// The code that was ordered.
        code: String,
    },
    /// The instance may not sell that much today.
    #[error(transparent)]
    SpendingLimit(#[from] BeyondSpendingLimit),
    /// The quantity is below or above what the vendor sells at once, or more than one license may be for.
    #[error("the quantity of product `{code}` is {quantity}, but has to be at least {min}{}", max.map_or_else(String::new, |max| format!(" and at most {max}")))]
    Quantity {
        /// The code that was ordered.
        code: String,
        /// The quantity that was ordered.
        quantity: u64,
        /// The smallest quantity.
        min: u32,
        /// The largest quantity. `None`: the product has no limit.
        max: Option<u32>,
    },
    /// The order is a platform's, and for several licenses: each is a subscription of its own there.
    #[error("a platform orders one license at a time, and this order is for {licenses}")]
    SeveralLicenses {
        /// The number of licenses.
        licenses: u64,
    },
    /// The platform that orders was revoked, or is registered for another instance.
    #[error("no platform `{platform}` buys at instance `{instance}`")]
    NoPlatform {
        /// The platform's id.
        platform: Uuid,
        /// The instance's name.
        instance: String,
    },
    /// The idempotency key has no character, as where a variable is not set.
    #[error("the idempotency key is empty")]
    EmptyKey,
    /// The idempotency key was used for another request.
    #[error(
        "idempotency key `{key}` belongs to order `{order}`, which buys something else, or for another customer"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The order that the key belongs to.
        order: Uuid,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoInstance { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-instance").advise(Advice::ListInstances)
            }
            Self::NotReady { name, .. } => {
                Diagnosis::new(ErrorKind::Conflict, "not-ready").advise(Advice::CompleteForm {
                    instance: name.clone(),
                })
            }
            Self::Disabled { name } => {
                Diagnosis::new(ErrorKind::Conflict, "instance-disabled").advise(Advice::EnableInstance {
                    instance: name.clone(),
                })
            }
            Self::Empty => {
                Diagnosis::new(ErrorKind::Invalid, "empty-order").say("name a product and a quantity")
            }
            Self::TooManyUnits => Diagnosis::new(ErrorKind::Invalid, "too-many-units").say("split the order"),
            Self::AmountTooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "amount-too-large")
                .say("order less at once, or correct the price of the product"),
            Self::IncompleteParty { .. } => Diagnosis::new(ErrorKind::Invalid, "incomplete-party"),
            Self::UnknownProduct { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-product").advise(Advice::FetchServices)
            }
            Self::Discontinued { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "product-discontinued").say("choose another product")
            }
            Self::Inactive { code } => Diagnosis::new(ErrorKind::Conflict, "product-inactive")
                .advise(Advice::ActivateProduct { code: code.clone() }),
            Self::NoContact => Diagnosis::new(ErrorKind::Invalid, "no-contact")
                .say("give the e-mail address and the language of the contact"),
            Self::NoPrice { code, currency } => {
                Diagnosis::new(ErrorKind::Conflict, "no-price").advise(Advice::PriceProduct {
                    code: code.clone(),
                    currency: currency.clone(),
                })
            }
            Self::PriceChanged { .. } => Diagnosis::new(ErrorKind::Conflict, "price-changed")
                .say("show the buyer the price of now, and order at it"),
            Self::SpendingLimit(error) => error.diagnosis(),
            Self::Quantity { .. } => Diagnosis::new(ErrorKind::Invalid, "quantity-out-of-range"),
            Self::SeveralLicenses { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "several-licenses").say("place an order for each")
            }
            Self::NoPlatform { .. } => Diagnosis::new(ErrorKind::Conflict, "platform-not-usable")
                .say("register the platform for this instance"),
            Self::EmptyKey => {
                Diagnosis::new(ErrorKind::Invalid, "key-empty").say("give a key of this order's own, or none")
            }
            Self::KeyReused { order, .. } => {
                Diagnosis::new(ErrorKind::Conflict, "key-reused").advise(Advice::ShowOrder { order: *order })
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// The largest amount in a currency.
fn largest(currency: &str) -> Price {
    Price {
        currency: currency.to_owned(),
        minor_units: i64::MAX,
    }
}

/// Orders by the time at which they were placed.
pub(super) const ORDERS: List = List {
    name: "orders",
    key: &[Integer("placed_at_ms"), Text("id")],
};

pub(super) fn orders_query(filter: &OrderFilter) -> Builder {
    let mut query = Builder::new("SELECT * FROM orders WHERE 1 = 1");
    if let Some(instance) = filter.instance {
        query.push(" AND instance_id = ").push_bind(instance.to_string());
    }
    if let Some(customer) = &filter.customer {
        query.push(" AND customer_id = ").push_bind(customer.clone());
    }
    if let Some(since_ms) = filter.since_ms {
        query.push(" AND placed_at_ms >= ").push_bind(since_ms);
    }
    if let Some(until_ms) = filter.until_ms {
        query.push(" AND placed_at_ms < ").push_bind(until_ms);
    }
    if let Some(key) = &filter.idempotency_key {
        query.push(" AND idempotency_key = ").push_bind(key.clone());
    }
    if let Some(product) = &filter.product {
        query
            .push(" AND EXISTS (SELECT 1 FROM assets WHERE order_id = orders.id AND NOT (product_code <> ")
            .push_bind(product.clone())
            .push("))");
    }
    if let Some(settlement) = filter.settlement {
        push_settlement(&mut query, settlement);
    }
    query
}

/// Restricts a query of orders to those whose assets sum up to a settlement, as [`bss_model::settlement`] does.
fn push_settlement(query: &mut Builder, settlement: Settlement) {
    let has = |sync_status: SyncStatus| (sync_status, settlement_has(settlement, sync_status));
    let statuses = [
        SyncStatus::Unsynchronised,
        SyncStatus::Synchronized,
        SyncStatus::Failed,
    ]
    .map(has);
    for (sync_status, has) in statuses {
        let Some(has) = has else { continue };
        query
            .push(match has {
                true => " AND EXISTS",
                false => " AND NOT EXISTS",
            })
            // In these words no index of statuses fits, of which one has nearly every license: an order's few are found by the order.
            .push(" (SELECT 1 FROM assets WHERE order_id = orders.id AND NOT (sync_status <> ")
            .push_bind(sync_status.word())
            .push("))");
    }
}

/// Whether an order of that settlement has assets in a state. `None`: it may or may not have some.
fn settlement_has(settlement: Settlement, sync_status: SyncStatus) -> Option<bool> {
    let (waits, licensed, refused) = match settlement {
        Settlement::Open => (Some(true), None, None),
        Settlement::Licensed => (Some(false), Some(true), Some(false)),
        Settlement::Partly => (Some(false), Some(true), Some(true)),
        Settlement::Refused => (Some(false), Some(false), Some(true)),
        Settlement::Withdrawn => (Some(false), Some(false), Some(false)),
    };
    match sync_status {
        SyncStatus::Unsynchronised => waits,
        SyncStatus::Synchronized => licensed,
        SyncStatus::Failed => refused,
        SyncStatus::Withdrawn => None,
    }
}

impl Record {
    /// Places an order in one transaction: a line and an asset for each unit, or for all units of a product whose type does
    /// not split quantities. Nothing is bought yet. An idempotency key that was used before returns its order as known.
    ///
    /// # Errors
    /// When the instance is not ready, or a line can't be ordered. Nothing is written then.
    pub async fn place_order(&self, new: NewOrder, actor: &Actor) -> Result<Placed, PlaceError> {
        check(&new)?;
        let request_digest = request_digest(&new)?;
        let mut transaction = self.begin_write().await?;
        if let Some(order) = earlier(&mut transaction, &new, &request_digest).await? {
            transaction.rollback().await?;
            return Ok(Placed::Known(order));
        }
        let written = self.write_order(&mut transaction, &new, &request_digest).await;
        let order = match written {
            Err(error @ PlaceError::SpendingLimit(_)) => {
                transaction.rollback().await?;
                self.raise_spending_limit(new.instance_id, &Problem::of(&error, error.to_string()))
                    .await?;
                return Err(error);
            }
            written => written?,
        };
        let (act, subject) = (Act::PlaceOrder, Subject::order(order.id));
        let (of, detail) = (Some(new.instance_id), json!({ "lines": merged(&new.lines) }));
        write_act(&mut transaction, actor, act, &subject, of, detail).await?;
        transaction.commit().await?;
        Ok(Placed::New(order))
    }

    /// The order that was placed before with the idempotency key of an order. `None`: there is none, or the order has no key.
    ///
    /// # Errors
    /// When the key was used for something else, or the record can't be read.
    pub async fn placed_order(&self, new: &NewOrder) -> Result<Option<Order>, PlaceError> {
        let mut connection = self.readers.acquire().await?;
        earlier(&mut connection, new, &request_digest(new)?).await
    }

    /// Checks whether an order could be placed now. Nothing is written. Returns the purchases that the order would be, those
    /// that are alike only once: a product, and the quantity of one purchase.
    ///
    /// # Errors
    /// Like [`Record::place_order`].
    pub async fn check_order(&self, new: NewOrder) -> Result<BTreeSet<NewLine>, PlaceError> {
        check(&new)?;
        let request_digest = request_digest(&new)?;
        let mut transaction = self.begin_write().await?;
        let order = match earlier(&mut transaction, &new, &request_digest).await? {
            Some(order) => order,
            None => self.write_order(&mut transaction, &new, &request_digest).await?,
        };
        transaction.rollback().await?;
        let purchases = order.lines.into_iter().map(|line| NewLine {
            product_code: line.product_code,
            quantity: line.quantity,
        });
        Ok(purchases.collect())
    }

    /// Orders that match a filter, by the time at which they were placed, each with all of its lines.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn orders(&self, filter: &OrderFilter, page: &Page) -> Result<Rows<Order>, RecordError> {
        let mut orders = self
            .page(&ORDERS, orders_query(filter), page, read_order_row)
            .await?;
        let mut connection = self.readers.acquire().await?;
        for orders in orders.rows.chunks_mut(ROWS_PER_STATEMENT) {
            let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
            let mut lines = lines_of(&mut connection, &ids).await?;
            for order in orders {
                order.lines = lines.remove(&order.id).unwrap_or_default();
            }
        }
        Ok(orders)
    }

    /// The parties of orders, by order. An order that does not exist is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn parties_of_orders(
        &self,
        orders: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, OrderParties>, RecordError> {
        let mut parties = HashMap::with_capacity(orders.len());
        let orders: Vec<Uuid> = orders.iter().copied().collect();
        for some in orders.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new(
                "SELECT orders.id, orders.instance_id, orders.customer, orders.reseller, instances.name AS instance,
                        platforms.name AS platform
                 FROM orders JOIN instances ON instances.id = orders.instance_id
                             LEFT JOIN platforms ON platforms.id = orders.platform_id WHERE orders.id IN (",
            );
            push_ids(&mut query, some);
            let rows = self.readers.build(query.push(")")).persistent(false);
            for row in &rows.fetch_all().await? {
                parties.insert(id(row, "id")?, read_parties(row)?);
            }
        }
        Ok(parties)
    }

    /// The idempotency keys of orders, by order. An order without one is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn keys_of_orders(
        &self,
        orders: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, String>, RecordError> {
        let mut keys = HashMap::new();
        let orders: Vec<Uuid> = orders.iter().copied().collect();
        for some in orders.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new(
                "SELECT id, idempotency_key FROM orders WHERE idempotency_key IS NOT NULL AND id IN (",
            );
            push_ids(&mut query, some);
            let rows = self.readers.build(query.push(")")).persistent(false);
            for row in &rows.fetch_all().await? {
                keys.insert(id(row, "id")?, row.try_get("idempotency_key")?);
            }
        }
        Ok(keys)
    }

    /// The orders of assets, by asset. An asset that does not exist is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn orders_of_assets(
        &self,
        assets: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, Uuid>, RecordError> {
        let mut orders = HashMap::with_capacity(assets.len());
        let assets: Vec<Uuid> = assets.iter().copied().collect();
        for some in assets.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT id, order_id FROM assets WHERE id IN (");
            push_ids(&mut query, some);
            let rows = self.readers.build(query.push(")")).persistent(false);
            for row in &rows.fetch_all().await? {
                orders.insert(id(row, "id")?, id(row, "order_id")?);
            }
        }
        Ok(orders)
    }

    /// Reads an order by its id. `None`: it does not exist.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn order(&self, order_id: Uuid) -> Result<Option<Order>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        read_order(&mut connection, order_id).await
    }

    /// The instance of an order. `None`: there is no such order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn instance_of_order(&self, order_id: Uuid) -> Result<Option<Uuid>, RecordError> {
        let row = self
            .readers
            .sql("SELECT instance_id FROM orders WHERE id = $1")
            .bind(order_id.to_string())
            .fetch_optional()
            .await?;
        row.map(|row| id(&row, "instance_id")).transpose()
    }

    /// Writes an order that passed [`check`] and whose idempotency key has no [`earlier`] order.
    async fn write_order(
        &self,
        transaction: &mut Connection,
        new: &NewOrder,
        request_digest: &str,
    ) -> Result<Order, PlaceError> {
        let row = transaction
            .sql("SELECT * FROM instances WHERE id = $1")
            .bind(new.instance_id.to_string())
            .fetch_optional()
            .await?
            .ok_or(PlaceError::NoInstance { id: new.instance_id })?;
        let instance = super::instances::read_instance(&row)?;
        if instance.standing != Standing::Ready {
            return Err(PlaceError::NotReady {
                name: instance.name,
                standing: instance.standing,
            });
        }
        if instance.is_disabled() {
            return Err(PlaceError::Disabled { name: instance.name });
        }
        check_platform(transaction, &instance, new.platform).await?;
        if new.contact.is_none() && new.platform.is_none() && duties(transaction).await?.mails {
            return Err(PlaceError::NoContact);
        }
        let shares = shares(transaction, &instance, new).await?;
        check_one_license(new, &shares)?;
        check_limit(transaction, &instance, &shares).await?;
        let ids = OrderIds::new(self.order_ids, &instance, new.idempotency_key.as_deref());
        let order_id = ids.order();
        insert_order(transaction, order_id, new, request_digest).await?;
        let licenses = shares.iter().flat_map(|share| {
            let licenses = usize::try_from(share.licenses).unwrap_or(usize::MAX);
            std::iter::repeat_n(share, licenses)
        });
        let mut first_unit = 1_i64;
        for (position, share) in (1_i64..).zip(licenses) {
            let place = (order_id, position, ids.asset(first_unit));
            insert_asset(transaction, &instance, &new.customer, place, share).await?;
            first_unit = first_unit.saturating_add(share.quantity.into());
        }
        if new.idempotency_key.is_some() {
            doubt_repetition(transaction, order_id).await?;
        }
        follow_order(transaction, &instance).await?;
        let order = read_order(transaction, order_id).await?;
        order.ok_or_else(|| damaged(order_id).into())
    }
}

/// The ids of an order and its assets.
enum OrderIds {
    /// Ids that nobody can compute again: the order has no idempotency key.
    Random,
    /// Ids that come out the same wherever the order is placed again with its key, in a record with the same host key: a
    /// license that was bought before the record was lost is found by them (RFC 9562, version 5). The host key is a part
    /// of them, so that two installations with the same keys never find each other's licenses.
    OfKey { space: Uuid, name: String },
}

impl OrderIds {
    fn new(space: Uuid, instance: &Instance, key: Option<&str>) -> Self {
        let Some(key) = key else { return Self::Random };
        // Another owner may have an instance of that name. The word keeps an owner's orders and the operator's own apart.
        let owner = instance.owner.as_ref().map(Owner::as_str);
        let owner = owner.map(|owner| format!("of {}:{owner}:", owner.len()));
        // A renamed instance keeps the ids of its orders.
        let (owner, instance) = (owner.unwrap_or_default(), instance.first_name());
        Self::OfKey {
            space,
            // The length keeps an instance's name and a key apart.
            name: format!("{owner}{}:{instance}:{key}", instance.len()),
        }
    }

    fn order(&self) -> Uuid {
        self.id("order")
    }

    /// The id of the asset whose first unit has that number in the order. Units are counted, and not assets, so that an
    /// order that is placed again after a loss finds the licenses of all of its products, although the type of one of them
    /// splits quantities by then, or does not any more.
    fn asset(&self, first_unit: i64) -> Uuid {
        self.id(&format!("asset {first_unit}"))
    }

    fn id(&self, what: &str) -> Uuid {
        match self {
            Self::Random => Uuid::new_v4(),
            Self::OfKey { space, name } => Uuid::new_v5(space, format!("{what}:{name}").as_bytes()),
        }
    }
}

/// Refuses what can be refused without reading the record.
fn check(new: &NewOrder) -> Result<(), PlaceError> {
    if let Some(InvalidParty { party, field, .. }) = new.invalid_parties().into_iter().next() {
        return Err(PlaceError::IncompleteParty { party, field });
    }
    if new.lines.is_empty() {
        Err(PlaceError::Empty)
    } else {
        Ok(())
    }
}

/// The licenses of one product in an order, which are all alike.
struct Share {
    product: NewProduct,
    /// The number of licenses.
    licenses: u32,
    /// The units of each license.
    quantity: u32,
    /// The price of each license, all of its units together, in minor units of the instance's currency. `None`: the host
    /// charges nothing for it, and the product has none.
    price: Option<i64>,
}

/// The licenses that lines become, by product. The type of a product says what n units are: n licenses, or one for all.
async fn shares(
    transaction: &mut Connection,
    instance: &Instance,
    new: &NewOrder,
) -> Result<Vec<Share>, PlaceError> {
    let mut shares = Vec::new();
    let (mut licenses, mut costs) = (0_u64, 0_i64);
    let needs_prices = match new.platform {
        // The host charges a platform nothing; but what has no price passes every limit of money.
        Some(_) => is_limited_in_money(transaction, instance.id).await?,
        None => duties(transaction).await?.charges,
    };
    for line in merged(&new.lines) {
        let (product, splits) = orderable(transaction, instance.id, &line).await?;
        let code = &line.product_code;
        let unit_price = price_in(transaction, instance.id, code, &instance.currency).await?;
        if unit_price.is_none() && needs_prices {
            return Err(PlaceError::NoPrice {
                code: code.clone(),
                currency: instance.currency.clone(),
            });
        }
        let mut shown = new.shown_prices.iter();
        if shown.any(|shown| shown.product_code == *code && shown.minor_units != unit_price) {
            return Err(PlaceError::PriceChanged { code: code.clone() });
        }
        let too_large = || PlaceError::AmountTooLarge {
            code: line.product_code.clone(),
            quantity: line.quantity,
            currency: instance.currency.clone(),
        };
        let quantity = i64::from(line.quantity);
        let line_price = unit_price.map(|price| price.checked_mul(quantity).ok_or_else(too_large));
        let line_price = line_price.transpose()?;
        // The sum, too, so that an order has a total.
        costs = costs
            .checked_add(line_price.unwrap_or_default())
            .ok_or_else(too_large)?;
        let share = match splits {
            true => Share {
                product,
                licenses: line.quantity,
                quantity: 1,
                price: unit_price,
            },
            false => Share {
                product,
                licenses: 1,
                quantity: line.quantity,
                price: line_price,
            },
        };
        licenses = licenses.saturating_add(share.licenses.into());
        // Checked with each line: an order with very many is not read to its end.
        if licenses > LICENSES_PER_ORDER_MAX {
            return Err(PlaceError::TooManyUnits);
        }
        shares.push(share);
    }
    Ok(shares)
}

/// Refuses an order of a platform for several licenses.
fn check_one_license(new: &NewOrder, shares: &[Share]) -> Result<(), PlaceError> {
    let licenses = shares.iter().map(|share| u64::from(share.licenses)).sum();
    match new.platform {
        Some(_) if licenses > 1 => Err(PlaceError::SeveralLicenses { licenses }),
        _ => Ok(()),
    }
}

/// Refuses a platform that does not buy at the instance, or does not any more.
async fn check_platform(
    transaction: &mut Connection,
    instance: &Instance,
    platform: Option<Uuid>,
) -> Result<(), PlaceError> {
    match platform {
        Some(platform) if !buys_at(transaction, platform, instance.id).await? => {
            Err(PlaceError::NoPlatform {
                platform,
                instance: instance.name.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Refuses licenses with which an instance would sell more today than it may.
async fn check_limit(
    transaction: &mut Connection,
    instance: &Instance,
    shares: &[Share],
) -> Result<(), PlaceError> {
    let costs = shares.iter().fold(0_i64, |costs, share| {
        let price = share.price.unwrap_or_default();
        costs.saturating_add(price.saturating_mul(share.licenses.into()))
    });
    let units = shares
        .iter()
        .map(|share| u64::from(share.licenses) * u64::from(share.quantity))
        .sum();
    match beyond_limit(transaction, instance, costs, units).await? {
        Some(beyond) => Err(beyond.into()),
        None => Ok(()),
    }
}

/// The product of a line that can be ordered, and whether its type splits quantities.
async fn orderable(
    transaction: &mut Connection,
    instance_id: Uuid,
    line: &NewLine,
) -> Result<(NewProduct, bool), PlaceError> {
    let code = line.product_code.clone();
    let row = transaction
        .sql(
            "SELECT products.*, product_types.split_quantity
         FROM products JOIN product_types ON product_types.instance_id = products.instance_id
                                         AND product_types.id = products.product_type
         WHERE products.instance_id = $1 AND products.code = $2",
        )
        .bind(instance_id.to_string())
        .bind(&code)
        .fetch_optional()
        .await?;
    let Some(row) = row else {
        return Err(PlaceError::UnknownProduct { code });
    };
    let product = super::services::read_product(&row)?;
    let splits: bool = row.try_get("split_quantity")?;
    if product.discontinued {
        return Err(PlaceError::Discontinued { code });
    }
    if !product.active {
        return Err(PlaceError::Inactive { code });
    }
    let (min, mut max) = (product.offered.min_quantity.max(1), product.offered.max_quantity);
    if !splits {
        max = Some(max.unwrap_or(u32::MAX).min(UNITS_PER_LICENSE_MAX));
    }
    if line.quantity < min || max.is_some_and(|max| line.quantity > max) {
        return Err(PlaceError::Quantity {
            code,
            quantity: line.quantity.into(),
            min,
            max,
        });
    }
    Ok((product.offered, splits))
}

/// The earlier order with the same idempotency key.
async fn earlier(
    connection: &mut Connection,
    new: &NewOrder,
    request_digest: &str,
) -> Result<Option<Order>, PlaceError> {
    let Some(key) = &new.idempotency_key else {
        return Ok(None);
    };
    if key.trim().is_empty() {
        return Err(PlaceError::EmptyKey);
    }
    let row = connection.sql(
        "SELECT id, request_digest, platform_id FROM orders WHERE instance_id = $1 AND idempotency_key = $2",
    )
    .bind(new.instance_id.to_string())
    .bind(key)
    .fetch_optional()
    .await?;
    let Some(row) = row else { return Ok(None) };
    let order = id(&row, "id")?;
    let known: &str = row.try_get("request_digest")?;
    let is_same = known == request_digest || known == former_request_digest(new)?;
    // What the host mails and charges is not a platform's, nor the other way round.
    if !is_same || optional(&row, "platform_id", id)? != new.platform {
        return Err(PlaceError::KeyReused {
            key: key.clone(),
            order,
        });
    }
    Ok(read_order(connection, order).await?)
}

/// A digest of what an order buys, and for whom: its products and quantities, however they were typed in, and the ids of
/// its parties. A customer who was renamed, or has another address, orders the same.
fn request_digest(new: &NewOrder) -> Result<String, RecordError> {
    digest_of_request(&new.customer, new.reseller.as_ref(), &new.lines)
}

/// Like [`request_digest`], for an order that is on record.
pub(super) fn request_digest_again(order: &Order) -> Result<String, RecordError> {
    let lines = order.lines.iter().map(|line| NewLine {
        product_code: line.product_code.clone(),
        quantity: line.quantity,
    });
    let lines: Vec<_> = lines.collect();
    digest_of_request(&order.customer, order.reseller.as_ref(), &lines)
}

fn digest_of_request(
    customer: &Party,
    reseller: Option<&Party>,
    lines: &[NewLine],
) -> Result<String, RecordError> {
    let mut lines = merged(lines);
    lines.sort();
    let text = to_json(&(&customer.id, reseller.map(|reseller| &reseller.id), lines))?;
    Ok(HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()))
}

/// The digest that an earlier version wrote down: of the whole request, letter by letter.
fn former_request_digest(new: &NewOrder) -> Result<String, RecordError> {
    let text = to_json(new)?;
    Ok(HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()))
}

async fn insert_order(
    transaction: &mut Connection,
    order_id: Uuid,
    new: &NewOrder,
    request_digest: &str,
) -> Result<(), RecordError> {
    let now = transaction.now();
    transaction.sql(
        "INSERT INTO orders (id, instance_id, idempotency_key, request_digest, customer, contact, reseller, placed_at_ms,
                             customer_id, boot, placed_uptime_ms, platform_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(order_id.to_string())
    .bind(new.instance_id.to_string())
    .bind(&new.idempotency_key)
    .bind(request_digest)
    .bind(to_json(&new.customer)?)
    .bind(new.contact.as_ref().map(to_json).transpose()?)
    .bind(new.reseller.as_ref().map(to_json).transpose()?)
    .bind(now.wall_ms)
    .bind(&new.customer.id)
    .bind(boot(now))
    .bind(uptime_ms(now))
    .bind(new.platform.map(|platform| platform.to_string()))
    .execute()
    .await?;
    Ok(())
}

/// Writes a license of an order down that is to be bought, with a line of its own.
async fn insert_asset(
    transaction: &mut Connection,
    instance: &Instance,
    customer: &Party,
    (order_id, position, asset_id): (Uuid, i64, Uuid),
    share: &Share,
) -> Result<(), RecordError> {
    transaction
        .sql("INSERT INTO order_lines (order_id, position, product_code) VALUES ($1, $2, $3)")
        .bind(order_id.to_string())
        .bind(position)
        .bind(&share.product.code)
        .execute()
        .await?;
    transaction
        .sql(
            "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation,
                             client_transaction_id, status, sync_status, return_status, created_at_ms,
                             due_at_ms, wanted_since_ms, currency, price_minor_units, customer_id,
                             quantity)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $11, $11, $12, $13, $14, $15)",
        )
        .bind(asset_id.to_string())
        .bind(instance.id.to_string())
        .bind(order_id.to_string())
        .bind(position)
        .bind(&share.product.code)
        .bind(&share.product.name)
        .bind(client_transaction_id(asset_id, 0).to_string())
        .bind(AssetStatus::Active.word())
        .bind(SyncStatus::Unsynchronised.word())
        .bind(ReturnStatus::None.word())
        .bind_now()
        .bind(share.price.map(|_| &instance.currency))
        .bind(share.price)
        .bind(&customer.id)
        .bind(i64::from(share.quantity))
        .execute()
        .await?;
    Ok(())
}

async fn read_order(connection: &mut Connection, order_id: Uuid) -> Result<Option<Order>, RecordError> {
    let row = connection
        .sql("SELECT * FROM orders WHERE id = $1")
        .bind(order_id.to_string())
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut lines = lines_of(connection, &[order_id]).await?;
    Ok(Some(Order {
        lines: lines.remove(&order_id).unwrap_or_default(),
        ..read_order_row(&row)?
    }))
}

/// An order without its lines.
pub(super) fn read_order_row(row: &Row) -> Result<Order, RecordError> {
    Ok(Order {
        id: id(row, "id")?,
        instance_id: id(row, "instance_id")?,
        customer: from_json(row, "customer")?,
        contact: optional(row, "contact", from_json)?,
        reseller: optional(row, "reseller", from_json)?,
        idempotency_key: row.try_get("idempotency_key")?,
        platform: optional(row, "platform_id", id)?,
        placed_at_ms: row.try_get("placed_at_ms")?,
        customer_erased_at_ms: row.try_get("customer_erased_at_ms")?,
        lines: Vec::new(),
    })
}

/// The lines of orders, by order.
pub(super) async fn lines_of(
    connection: &mut Connection,
    orders: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<OrderLine>>, RecordError> {
    let mut query =
        Builder::new("SELECT order_id, position, product_code, quantity, id FROM assets WHERE order_id IN (");
    push_ids(&mut query, orders);
    // A statement per number of ids is not worth keeping in the cache.
    let query = connection.build(query.push(") ORDER BY order_id, position"));
    let rows = query.persistent(false).fetch_all().await?;
    let mut lines = BTreeMap::<Uuid, Vec<OrderLine>>::new();
    for row in &rows {
        lines
            .entry(id(row, "order_id")?)
            .or_default()
            .push(read_line(row)?);
    }
    Ok(lines)
}

fn read_parties(row: &Row) -> Result<OrderParties, RecordError> {
    Ok(OrderParties {
        instance_id: id(row, "instance_id")?,
        instance: row.try_get("instance")?,
        customer: from_json(row, "customer")?,
        reseller: optional(row, "reseller", from_json)?,
        platform: row.try_get("platform")?,
    })
}

fn read_line(row: &Row) -> Result<OrderLine, RecordError> {
    Ok(OrderLine {
        position: count(row, "position")?,
        product_code: row.try_get("product_code")?,
        quantity: count(row, "quantity")?,
        asset_id: id(row, "id")?,
    })
}

fn damaged(order_id: Uuid) -> RecordError {
    RecordError::Damaged {
        what: format!("order `{order_id}` can't be read after it was written"),
    }
}

//! Orders: the list of them, placing one, one with its licenses, and withdrawing what is not bought.

use std::collections::BTreeMap;

use axum::extract::Path;
use bss_model::{AssetId, ChargeFilter, NewLine, Order, OrderFilter, Page, ShownPrice, contact_doubts};
use host_harness::view::{self, Keys, Price};
use host_harness::{Error, InstanceHandle, OrderHandle, OrderRequest};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::order_form::{self, Typed, latest_order};
use super::wrong::Wrong;
use super::{house, sales};
use crate::answer::{Answer, done, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// A line of an order that is to be confirmed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PricedLine {
    product_code: String,
    product_name: String,
    quantity: u32,
    /// The price of a unit. `None`: the product has none.
    price: Option<Price>,
    /// The price of all units.
    amount: Option<Price>,
}

/// The orders, the latest first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let filter = OrderFilter {
        instance: house::asked_instance(&me, &query).await?,
        customer: query.text("customer"),
        product: query.text("product"),
        settlement: query.word("state", &view::SETTLEMENTS, view::settlement_word)?,
        ..OrderFilter::default()
    };
    let orders = me.host().record().orders(&filter, &query.page()).await?;
    let views = me.host().order_views(&orders.rows, Keys::Masked).await?;
    let rows: Vec<Value> = views.iter().map(row).collect();
    let shown = context! {
        rows,
        states => house::words(&view::SETTLEMENTS, view::settlement_word),
        instances => house::instances(&me).await?,
        asked => query.shown(),
        next => query.next(orders.next.as_ref()),
    };
    me.page("orders.html", shown).await
}

/// An order in a list, with its products and its total.
pub(super) fn row(order: &view::Order) -> Value {
    let mut products = BTreeMap::<&str, u64>::new();
    for asset in &order.assets {
        *products.entry(&asset.product_name).or_default() += u64::from(asset.quantity);
    }
    let products: Vec<_> = products.into_iter().collect();
    context! { order, products, total => total(order) }
}

/// What all licenses of an order cost.
fn total(order: &view::Order) -> Option<Price> {
    sales::sum(order.assets.iter().filter_map(|asset| asset.price.as_ref()))
}

/// The form of a new order, with what an address says already: a customer who is on record, an instance, a product. Its key makes an
/// order that is sent twice one order.
pub(crate) async fn new(me: Me, query: Query) -> Answer {
    let instance = house::asked_instance(&me, &query).await?;
    let mut typed = Typed::begun(instance, query.text("product").unwrap_or_default());
    if let Some(customer) = query.text("customer") {
        if let Some(latest) = latest_order(&me, instance, &customer).await? {
            typed = typed.of_customer(&latest);
        }
        typed.customer = customer;
    }
    let key = Uuid::new_v4().to_string();
    let shown = order_form::shown(&me, typed, &key, &Wrong::default()).await?;
    me.page("order_new.html", shown).await
}

/// Checks what was typed and asks whether it is meant; once it was confirmed, places the order. Whoever wants to change something, add
/// rows or see the products of another instance is shown the form again, with what stood in it.
pub(crate) async fn place(me: Me, form: Form) -> Answer {
    let mut typed = Typed::of(&form);
    // The page makes a key at random. Another one may be that of a platform's order.
    let key = form.text("key").parse().unwrap_or_else(|_| Uuid::new_v4());
    let key = key.to_string();
    if form.has("rows") {
        let shown = order_form::with_more_rows(&me, typed, &key).await?;
        return me.page("order_new.html", shown).await;
    }
    if form.has("change") {
        let shown = order_form::shown(&me, typed, &key, &Wrong::default()).await?;
        return me.page("order_new.html", shown).await;
    }
    let instance = match house::instance(&me, &typed.instance).await {
        Ok(instance) => instance,
        Err(error) => {
            let wrong = order_form::no_instance(&me, &error);
            return again(&me, typed, &key, &wrong).await;
        }
    };
    typed.instance = instance.id().to_string();
    let latest = latest_order(&me, Some(instance.id().into()), &typed.customer).await?;
    let unread = typed.read(&me, &instance, latest.as_ref()).await?;
    if !unread.is_empty() {
        let wrong = order_form::wrong(&me, &instance, &typed, unread, None).await;
        return again(&me, typed, &key, &wrong).await;
    }
    let request = typed.request(&key);
    let shown = shown_prices(&form, &request);
    if let Some(shown) = shown.filter(|_| form.has("confirmed")) {
        let priced = request.clone().at_prices(shown);
        match instance.place(priced, &me.actor()).await {
            Ok(placed) if placed.is_new() => return Ok(done(&path(placed.order()), "order-placed")),
            Ok(placed) => return Ok(done(&path(placed.order()), "order-there")),
            // The confirmation is asked for again, with the price of now.
            Err(error) if error.code() == "price-changed" => {}
            Err(error) => return refused(&me, &instance, typed, key, &error).await,
        }
    }
    if let Err(error) = instance.check(request.clone()).await {
        return refused(&me, &instance, typed, key, &error).await;
    }
    match instance.placed(&key).await? {
        // The form was sent again after its order was placed.
        Some(order) => Ok(done(&path(&order), "order-there")),
        None => {
            let is_repriced = form.has("confirmed");
            confirmation(&me, &instance, &typed, &request, latest.as_ref(), is_repriced).await
        }
    }
}

/// The form again, with why the host does not take the order.
async fn refused(me: &Me, instance: &InstanceHandle, typed: Typed, key: String, error: &Error) -> Answer {
    let wrong = order_form::wrong(me, instance, &typed, Vec::new(), Some(error)).await;
    again(me, typed, &free(key, error), &wrong).await
}

/// The form again, with what was typed and what is wrong with it.
async fn again(me: &Me, typed: Typed, key: &str, wrong: &Wrong) -> Answer {
    let shown = order_form::shown(me, typed, key, wrong).await?;
    me.corrected("order_new.html", shown).await
}

/// The prices that a confirmation has shown, each of a unit of a line. `None`: it was for other lines.
fn shown_prices(form: &Form, request: &OrderRequest) -> Option<Vec<ShownPrice>> {
    let texts = form.filled("prices")?;
    let prices: Vec<Option<i64>> = texts.split(',').map(|price| price.parse().ok()).collect();
    let lines = request.lines.iter().zip(&prices);
    let shown = lines.map(|(line, price)| ShownPrice {
        product_code: line.product_code.clone(),
        minor_units: *price,
    });
    (prices.len() == request.lines.len()).then(|| shown.collect())
}

/// A key for the form when it is sent again: another one where its own has an order of something else, which the page then says.
fn free(key: String, refused: &Error) -> String {
    match refused.code() {
        "key-reused" => Uuid::new_v4().to_string(),
        _ => key,
    }
}

/// The page that names what is about to be bought, and what may be a mistake. `latest`: the latest order of the customer.
/// `is_repriced`: it was confirmed before, at prices that have changed since.
async fn confirmation(
    me: &Me,
    instance: &InstanceHandle,
    typed: &Typed,
    request: &OrderRequest,
    latest: Option<&Order>,
    is_repriced: bool,
) -> Answer {
    let lines = priced_lines(instance, request).await?;
    let total = total_of(&lines);
    // With a key it would tell by itself, and it is the key of this form alone.
    let mut unkeyed = request.clone();
    unkeyed.idempotency_key = None;
    let repeated = match instance.repeated(&unkeyed).await? {
        Some(order) => Some(order.read().await?),
        None => None,
    };
    let mut fields = typed.fields();
    fields.extend([
        (
            "key".to_owned(),
            request.idempotency_key.clone().unwrap_or_default(),
        ),
        ("prices".to_owned(), unit_prices(&lines)),
    ]);
    let customer = &request.customer;
    let is_another = |order: &&Order| {
        let known = &order.customer;
        (known.name.trim(), &known.country) != (customer.name.trim(), &customer.country)
    };
    let on_record = latest.filter(is_another).map(|order| {
        context! { id => order.id, customer => view::Party::from(&order.customer) }
    });
    let contact = request.contact.as_ref();
    let doubts = contact_doubts(
        contact.map(|contact| contact.email.as_str()),
        contact.map(|contact| contact.language.as_str()),
    );
    let shown = context! {
        instance => instance.name(),
        customer => view::Party::from(customer),
        contact => contact.map(view::Contact::from),
        lines,
        total,
        repeated,
        on_record,
        doubts,
        is_repriced,
        fields,
    };
    me.page("order_confirm.html", shown).await
}

/// The lines of an order at the prices of now.
async fn priced_lines(instance: &InstanceHandle, request: &OrderRequest) -> Result<Vec<PricedLine>, Failure> {
    let currency = instance.read().await?.currency;
    let mut lines = Vec::with_capacity(request.lines.len());
    for line in &request.lines {
        lines.push(priced(instance, line, &currency).await?);
    }
    Ok(lines)
}

/// What all lines cost. `None`: one of them has no price, and the others are no total.
fn total_of(lines: &[PricedLine]) -> Option<Price> {
    let amounts: Option<Vec<&Price>> = lines.iter().map(|line| line.amount.as_ref()).collect();
    sales::sum(amounts?)
}

/// The price of a unit of each line, by which a confirmation says what it confirms.
fn unit_prices(lines: &[PricedLine]) -> String {
    let prices = lines.iter().map(|line| match &line.price {
        Some(price) => price.minor_units.to_string(),
        None => "-".to_owned(),
    });
    prices.collect::<Vec<_>>().join(",")
}

async fn priced(instance: &InstanceHandle, line: &NewLine, currency: &str) -> Result<PricedLine, Failure> {
    let product = instance.product(&line.product_code).await?;
    let price = product
        .prices
        .into_iter()
        .find(|price| price.currency == currency);
    let amount = price.as_ref().and_then(|price| {
        let minor_units = price.minor_units.checked_mul(line.quantity.into())?;
        let currency = price.currency.clone();
        Some(Price {
            currency,
            minor_units,
        })
    });
    Ok(PricedLine {
        product_code: product.product_code,
        product_name: product.product_name,
        quantity: line.quantity,
        price,
        amount,
    })
}

/// An order with its licenses, what was charged for them, and what is left to do.
pub(crate) async fn show(me: Me, Path(order): Path<String>) -> Answer {
    let handle = named(&me, &order).await?;
    let order = handle.read().await?;
    let filter = ChargeFilter {
        order: Some(order.id),
        ..ChargeFilter::default()
    };
    let charges = me.host().record().charges(&filter, &Page::all()).await?.rows;
    let charges = me.host().credited_charge_views(&charges).await?;
    let left = order.assets.iter().filter(|asset| is_left(asset)).count();
    let shown = context! { total => total(&order), gone => gone(&order), left, charges, order };
    me.page("order.html", shown).await
}

/// The lines of an order alone, for a page that shows them while they change.
pub(crate) async fn lines(me: Me, Path(order): Path<String>) -> Answer {
    let order = named(&me, &order).await?.read().await?;
    let is_over = order.state != "open";
    me.part(
        "order_lines.html",
        context! { gone => gone(&order), order },
        is_over,
    )
}

/// How many licenses of an order were returned or cancelled since they were bought, which the order's own state does not tell.
fn gone(order: &view::Order) -> usize {
    let states = order.assets.iter().map(|asset| asset.state.as_str());
    states
        .filter(|state| ["returned", "cancelled"].contains(state))
        .count()
}

/// Withdraws the lines of an order that are not bought, once it was confirmed which ones.
pub(crate) async fn withdraw(me: Me, Path(order): Path<String>, form: Form) -> Answer {
    let handle = named(&me, &order).await?;
    let named: Vec<AssetId> = form
        .texts("asset")
        .iter()
        .filter_map(|asset| asset.parse().ok())
        .collect();
    // Only what the operator was shown: no name at all would mean every line.
    if form.has("confirmed") && !named.is_empty() {
        handle.withdraw(&named, &me.actor()).await?;
        return Ok(done(&path(&handle), "order-withdrawn"));
    }
    let order = handle.read().await?;
    let left: Vec<&view::Asset> = order.assets.iter().filter(|asset| is_left(asset)).collect();
    if left.is_empty() {
        return Ok(see(&path(&handle)));
    }
    let shown = context! { left, order };
    me.page("order_withdrawal.html", shown).await
}

/// Whether a license is not bought, as far as is known, and may be withdrawn.
fn is_left(asset: &view::Asset) -> bool {
    matches!(asset.state.as_str(), "open" | "refused")
}

async fn named(me: &Me, order: &str) -> Result<OrderHandle, Failure> {
    Ok(me.host().order(house::id(order)?.into()).await?)
}

fn path(order: &OrderHandle) -> String {
    format!("/console/orders/{}", order.id())
}

//! Orders: the list of them, placing one, one with its licenses, and withdrawing what is not bought.

use std::collections::BTreeMap;

use axum::extract::Path;
use bss_model::{
    Advice, AssetId, ChargeFilter, Contact, NewLine, OrderFilter, Page, Party, ProductFilter, ShownPrice,
    with_causes,
};
use host_harness::view::{self, Keys, Price};
use host_harness::{Error, InstanceHandle, OrderHandle, OrderRequest};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::wrong::Wrong;
use super::{house, sales};
use crate::answer::{Answer, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The rows for products that a form has at first.
const ROWS_MIN: usize = 3;

/// The most rows for products that are read from a form.
const ROWS_MAX: usize = 100;

/// The most products of an instance that a field suggests.
const SUGGESTED_MAX: u32 = 500;

/// A row for a product, as it was typed.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    product: String,
    quantity: String,
}

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

/// The form of a new order. Its key makes an order that is sent twice one order.
pub(crate) async fn new(me: Me, query: Query) -> Answer {
    let rows = vec![Row {
        product: query.text("product").unwrap_or_default(),
        quantity: "1".to_owned(),
    }];
    let key = Uuid::new_v4().to_string();
    let shown = form(&me, query.shown(), rows, &key, &Wrong::default()).await?;
    me.page("order_new.html", shown).await
}

/// Checks what was typed and asks whether it is meant; once it was confirmed, places the order.
pub(crate) async fn place(me: Me, form: Form) -> Answer {
    let rows = rows(&form);
    // The page makes a key at random. Another one may be that of a platform's order.
    let key = form.text("key").parse().unwrap_or_else(|_| Uuid::new_v4());
    let key = key.to_string();
    let instance = match house::instance(&me, &form.text("instance")).await {
        Ok(instance) => instance,
        Err(error) => {
            let wrong = Wrong::of("instance", &error);
            return again(&me, &form, rows, &key, &wrong).await;
        }
    };
    let request = request(&form, &rows, &key);
    let shown = shown_prices(&form, &request);
    if let Some(shown) = shown.filter(|_| form.has("confirmed")) {
        match instance
            .place(request.clone().at_prices(shown), &me.actor())
            .await
        {
            Ok(placed) => return Ok(see(&path(placed.order()))),
            // The confirmation is asked for again, with the price of now.
            Err(error) if error.code() == "price-changed" => {}
            Err(error) => {
                let wrong = wrong(&instance, &request, &error).await;
                return again(&me, &form, rows, &free(key, &error), &wrong).await;
            }
        }
    }
    if let Err(error) = instance.check(request.clone()).await {
        let wrong = wrong(&instance, &request, &error).await;
        return again(&me, &form, rows, &free(key, &error), &wrong).await;
    }
    match instance.placed(&key).await? {
        // The form was sent again after its order was placed.
        Some(order) => Ok(see(&path(&order))),
        None => confirmation(&me, &form, &instance, &request, &key).await,
    }
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

/// The page that names what is about to be bought.
async fn confirmation(
    me: &Me,
    form: &Form,
    instance: &InstanceHandle,
    request: &OrderRequest,
    key: &str,
) -> Answer {
    let lines = priced_lines(instance, request).await?;
    let total = total_of(&lines);
    let prices = unit_prices(&lines);
    // Confirmed before, at prices that have changed since.
    let is_repriced = form.has("confirmed");
    // With a key it would tell by itself, and it is the key of this form alone.
    let mut unkeyed = request.clone();
    unkeyed.idempotency_key = None;
    let repeated = match instance.repeated(&unkeyed).await? {
        Some(order) => Some(order.read().await?),
        None => None,
    };
    let mut fields = form.kept();
    fields.retain(|(name, _)| !["key", "prices"].contains(name));
    fields.extend([("key", key), ("prices", prices.as_str())]);
    let shown = context! {
        instance => instance.name(),
        customer => view::Party::from(&request.customer),
        contact => request.contact.as_ref().map(view::Contact::from),
        lines,
        total,
        repeated,
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

/// The form again, with what was typed and what is wrong with it.
async fn again(me: &Me, typed: &Form, rows: Vec<Row>, key: &str, wrong: &Wrong) -> Answer {
    let typed: BTreeMap<&str, &str> = typed.kept().into_iter().collect();
    let shown = form(me, typed, rows, key, wrong).await?;
    me.corrected("order_new.html", shown).await
}

async fn form(
    me: &Me,
    typed: BTreeMap<&str, &str>,
    mut rows: Vec<Row>,
    key: &str,
    wrong: &Wrong,
) -> Result<Value, Failure> {
    rows.resize_with((rows.len() + 1).clamp(ROWS_MIN, ROWS_MAX), Row::default);
    Ok(context! {
        instances => house::instances(me).await?,
        suggested => suggested(me).await?,
        typed,
        rows,
        key,
        ..wrong.shown()
    })
}

/// The products that can be ordered: code, and what a person reads beside it.
async fn suggested(me: &Me) -> Result<Vec<(String, String)>, Failure> {
    let mut suggested = Vec::new();
    let (filter, page) = (ProductFilter::on_sale(), Page::first(SUGGESTED_MAX));
    for instance in me.host().instances().await? {
        let handle = me.host().instance_of_id(instance.id.into()).await?;
        for product in handle.products(&filter, &page).await?.rows {
            let price = product.prices.iter();
            let price = price
                .filter(|price| price.currency == instance.currency)
                .map(|price| bss_model::Price {
                    currency: price.currency.clone(),
                    minor_units: price.minor_units,
                });
            let price = price.map(|price| format!(", {price}")).collect::<String>();
            let label = format!("{}{price}, {}", product.product_name, product.instance);
            suggested.push((product.product_code, label));
        }
    }
    Ok(suggested)
}

/// The rows of a form that name a product.
fn rows(form: &Form) -> Vec<Row> {
    let rows = (0..ROWS_MAX).map(|index| Row {
        product: form.text(&format!("lines[{index}].productCode")),
        quantity: form.text(&format!("lines[{index}].quantity")),
    });
    rows.filter(|row| !row.product.is_empty()).collect()
}

/// The order of a form. The host says what is wrong with it.
fn request(form: &Form, rows: &[Row], key: &str) -> OrderRequest {
    let mut request = OrderRequest::new(Party {
        id: form.text("customer.id"),
        name: form.text("customer.name"),
        country: form.text("customer.country").to_uppercase(),
    })
    .key(key);
    if let Some(email) = form.filled("contact.email") {
        request = request.mail_to(Contact {
            email,
            language: form.filled("contact.language").unwrap_or_else(|| "en".to_owned()),
        });
    }
    rows.iter().fold(request, |request, row| {
        // No product is sold in a quantity of 0.
        let quantity = row.quantity.parse().unwrap_or(0);
        request.line(row.product.as_str(), quantity)
    })
}

/// All that is wrong with an order that was refused.
async fn wrong(instance: &InstanceHandle, request: &OrderRequest, refused: &Error) -> Wrong {
    let found = match refused.is_transient() {
        true => Vec::new(),
        // What can't be found out now is not said: why it was refused is.
        false => instance
            .order_problems(request, Some(refused))
            .await
            .unwrap_or_default(),
    };
    if found.is_empty() {
        let field = match refused.code() {
            "no-contact" => "contact.email",
            _ => "",
        };
        return Wrong::of(field, refused);
    }
    let mut wrong = Wrong::default();
    for (field, error) in found {
        let field = match field.as_str() {
            "lines" => "lines[0].productCode",
            field => field,
        };
        let advice = error.advice().map(Advice::sentence).unwrap_or_default();
        wrong.add(field, &with_causes(&error), &advice);
    }
    wrong
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
    let shown = context! { total => total(&order), left, charges, order };
    me.page("order.html", shown).await
}

/// The lines of an order alone, for a page that shows them while they change.
pub(crate) async fn lines(me: Me, Path(order): Path<String>) -> Answer {
    let order = named(&me, &order).await?.read().await?;
    let is_over = order.state != "open";
    me.part("order_lines.html", context! { order }, is_over)
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
        return Ok(see(&path(&handle)));
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

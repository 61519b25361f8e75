//! Products of an instance: what is sold and shown, and at what price.

use std::collections::BTreeSet;

use axum::extract::Path;
use bss_model::{
    Choice, Decision, DifferenceFilter, DifferenceKind, NewPrice, Page, Price, PriceDoubt, ProductFilter,
    SortOrder,
};
use host_harness::{InstanceHandle, ProductError, view};
use minijinja::{Value, context};
use uuid::Uuid;

use super::instances::{head, named, way};
use super::wrong::Wrong;
use crate::answer::{Answer, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The products of an instance, by their codes.
pub(crate) async fn list(me: Me, Path(name): Path<String>, query: Query) -> Answer {
    let instance = named(&me, &name).await?;
    let shown = all(&me, &instance, &query).await?;
    me.page("products.html", context! { ..Wrong::default().shown(), ..shown })
        .await
}

async fn all(me: &Me, instance: &InstanceHandle, query: &Query) -> Result<Value, Failure> {
    let filter = filter(query)?;
    let rows = instance
        .products(&filter, &query.page_in(SortOrder::Ascending))
        .await?;
    let codes = rows.rows.iter().map(|product| product.product_code.clone());
    let new = new_in_latest_run(me, instance, codes.collect()).await?;
    let products: Vec<Value> = rows
        .rows
        .iter()
        .map(|product| context! { state => state(product, &new), product })
        .collect();
    Ok(context! {
        products,
        next => query.next(rows.next.as_ref()),
        asked => query.shown(),
        chosen => Vec::<String>::new(),
        none_chosen => false,
        ..head(instance).await?
    })
}

/// The word for a product: new are those of the latest run that nobody has activated.
fn state(product: &view::Product, new: &BTreeSet<String>) -> &'static str {
    match product {
        product if product.discontinued => "discontinued",
        product if product.active => "active",
        product if new.contains(&product.product_code) => "new",
        _ => "inactive",
    }
}

/// What an address asks for.
fn filter(query: &Query) -> Result<ProductFilter, Failure> {
    let (active, discontinued) = match query.text("state").as_deref() {
        None => (None, None),
        Some("active") => (Some(true), Some(false)),
        Some("inactive") => (Some(false), Some(false)),
        Some("discontinued") => (None, Some(true)),
        Some(_) => return Err(Failure::odd_address("state")),
    };
    let published = match query.text("published").as_deref() {
        None => None,
        Some("yes") => Some(true),
        Some("no") => Some(false),
        Some(_) => return Err(Failure::odd_address("published")),
    };
    Ok(ProductFilter {
        active,
        published,
        discontinued,
    })
}

/// Of some products, by their codes, those that were new in the latest run.
async fn new_in_latest_run(
    me: &Me,
    instance: &InstanceHandle,
    codes: Vec<String>,
) -> Result<BTreeSet<String>, Failure> {
    let record = me.host().record();
    let latest = Page::first(1).in_order(SortOrder::Descending);
    let runs = record.services_runs(instance.id().into(), &latest).await?;
    let Some(run) = runs.rows.first() else {
        return Ok(BTreeSet::new());
    };
    let filter = DifferenceFilter {
        kind: Some(DifferenceKind::New),
        codes: Some(codes),
    };
    let new = record
        .services_run_differences(run.id, &filter, &Page::all())
        .await?;
    Ok(new.rows.into_iter().map(|made| made.code).collect())
}

/// Decides what is sold, and what is shown in the storefront: about products that were chosen, or about all that a run brought.
pub(crate) async fn decide(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    let word = form.text("decision");
    let decisions = Decision::ALL.iter().copied();
    let decision = decisions.clone().find(|decision| decision.word() == word);
    let decision = decision.ok_or_else(Failure::broken_form)?;
    let run = form.filled("run");
    let choice = match &run {
        Some(run) => Choice::NewIn(Uuid::try_parse(run).map_err(|_| Failure::broken_form())?),
        None => Choice::Codes(form.texts("product")),
    };
    let again = |wrong: Wrong, none_chosen: bool| {
        let (me, instance, chosen) = (&me, &instance, form.texts("product"));
        async move {
            let shown = all(me, instance, &Query::default()).await?;
            let shown = context! { none_chosen, chosen, ..context! { ..wrong.shown(), ..shown } };
            me.corrected("products.html", shown).await
        }
    };
    match &choice {
        Choice::Codes(codes) if codes.is_empty() => return again(Wrong::default(), true).await,
        Choice::NewIn(run) if !form.has("confirmed") => {
            let made = me.host().record().services_run(*run).await?;
            let count = made.map_or(0, |made| made.counts.new);
            let fields = [("decision", word), ("run", run.to_string())];
            let shown = context! { count, run => run.to_string(), fields, ..head(&instance).await? };
            return me.page("products_of_run.html", shown).await;
        }
        _ => {}
    }
    match instance.decide_products(decision, &choice, &me.actor()).await {
        Ok(decided) => {
            let at = way(&instance.read().await?);
            let (changed, already, left) = (decided.changed, decided.already, decided.discontinued);
            Ok(see(&format!(
                "{at}/products?changed={changed}&already={already}&left={left}"
            )))
        }
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => again(Wrong::of("", &error), false).await,
    }
}

/// What was typed into the form for a price.
#[derive(Debug, Default)]
struct TypedPrice {
    amount: String,
    currency: String,
}

/// A product, its prices, and who changed them.
pub(crate) async fn show(me: Me, Path((name, code)): Path<(String, String)>) -> Answer {
    let instance = named(&me, &name).await?;
    let shown = one(&me, &instance, &code, None, &Wrong::default()).await?;
    me.page("product.html", shown).await
}

async fn one(
    me: &Me,
    instance: &InstanceHandle,
    code: &str,
    typed: Option<&TypedPrice>,
    wrong: &Wrong,
) -> Result<Value, Failure> {
    let product = instance.product(code).await?;
    let history = me
        .host()
        .record()
        .price_history(instance.id().into(), &[code.to_owned()])
        .await?;
    let changes: Vec<_> = history
        .iter()
        .rev()
        .map(view::RecordedPriceChange::from)
        .collect();
    let sells_in = instance.read().await?.currency;
    let new = new_in_latest_run(me, instance, vec![code.to_owned()]).await?;
    Ok(context! {
        state => state(&product, &new),
        product,
        changes,
        amount => typed.map_or("", |typed| typed.amount.as_str()),
        currency => typed.map_or(sells_in.as_str(), |typed| typed.currency.as_str()),
        no_amount => false,
        ..context! { ..wrong.shown(), ..head(instance).await? }
    })
}

/// Sets the price of a product. One that may be a mistake is shown first, and asked for again.
pub(crate) async fn set_price(me: Me, Path((name, code)): Path<(String, String)>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    let typed = TypedPrice {
        amount: form.text("amount"),
        currency: form.text("currency").to_ascii_uppercase(),
    };
    let again = |field: &'static str, error: ProductError| {
        let (me, instance, code, typed) = (&me, &instance, &code, &typed);
        async move {
            let wrong = Wrong::of(field, &error);
            let shown = one(me, instance, code, Some(typed), &wrong).await?;
            me.corrected("product.html", shown).await
        }
    };
    let Some(price) = Price::from_amount(&typed.amount, &typed.currency) else {
        if Price::from_amount("1", &typed.currency).is_none() {
            let currency = typed.currency.clone();
            return again("currency", ProductError::InvalidCurrency { currency }).await;
        }
        let shown = one(&me, &instance, &code, Some(&typed), &Wrong::default()).await?;
        return me
            .corrected("product.html", context! { no_amount => true, ..shown })
            .await;
    };
    let prices = [NewPrice {
        code: code.clone(),
        price,
    }];
    let (record, id, actor) = (me.host().record(), instance.id().into(), me.actor());
    // What would change says what is wrong with a price, before what may be.
    if let Err(error) = record.preview_each_price(id, &prices, &actor).await {
        return match error {
            ProductError::InvalidCurrency { .. } => again("currency", error).await,
            ProductError::NegativePrice { .. } => again("amount", error).await,
            error => Err(error.into()),
        };
    }
    let sells_in = instance.read().await?.currency;
    let before = record.prices(id).await?;
    let doubts = PriceDoubt::about_each(&prices, &before, &sells_in);
    let reasons = doubts.iter().flat_map(|(_, reasons)| reasons);
    let reasons: Vec<String> = reasons.map(ToString::to_string).collect();
    let shown = reasons.join("; ");
    // A confirmation is of the doubts that its page has shown, and of no others.
    let is_confirmed = form.has("confirmed") && form.text("reasons") == shown;
    if !reasons.is_empty() && !is_confirmed {
        let product = instance.product(&code).await?;
        let fields = [
            ("amount", typed.amount.as_str()),
            ("currency", typed.currency.as_str()),
            ("reasons", shown.as_str()),
        ];
        let price = prices.first().map(|new| new.price.to_string());
        let shown = context! { product, price, reasons, fields, ..head(&instance).await? };
        return me.page("price_confirm.html", shown).await;
    }
    record.set_each_price(id, &prices, &actor).await?;
    see_product(&instance, &code).await
}

/// Removes the price of a product in a currency.
pub(crate) async fn remove_price(me: Me, Path((name, code)): Path<(String, String)>, form: Form) -> Answer {
    let (instance, currency) = (named(&me, &name).await?, form.text("currency"));
    let (record, id, actor, codes) = (
        me.host().record(),
        instance.id().into(),
        me.actor(),
        [code.clone()],
    );
    if !form.has("confirmed") {
        let preview = record
            .preview_removed_prices(id, &codes, &currency, &actor)
            .await?;
        let before = preview.first().and_then(|change| change.before.as_ref());
        let product = instance.product(&code).await?;
        let fields = [("currency", currency)];
        let price = before.map(ToString::to_string).unwrap_or_default();
        let shown = context! { product, price, fields, ..head(&instance).await? };
        return me.page("price_remove.html", shown).await;
    }
    record.remove_prices(id, &codes, &currency, &actor).await?;
    see_product(&instance, &code).await
}

async fn see_product(instance: &InstanceHandle, code: &str) -> Answer {
    let at = way(&instance.read().await?);
    let code = percent_encoding::utf8_percent_encode(code, percent_encoding::NON_ALPHANUMERIC);
    Ok(see(&format!("{at}/products/{code}")))
}

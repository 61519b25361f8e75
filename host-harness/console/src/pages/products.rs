//! Products of an instance: what is sold and shown, and at what price.

use std::collections::BTreeSet;

use axum::extract::Path;
use bss_model::{
    Choice, Decision, DifferenceFilter, DifferenceKind, NewPrice, Page, Price, PriceDoubt, ProductFilter,
    Rows, RunState, SortOrder, StatementAmount,
};
use host_harness::{InstanceHandle, ProductError, view};
use minijinja::{Value, context};
use uuid::Uuid;

use super::instances::{head, named, way};
use super::wrong::Wrong;
use crate::answer::{Answer, done, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The latest runs that are looked at for one that was completed.
const RUNS_MAX: u32 = 100;

/// The products of an instance, by their codes.
pub(crate) async fn list(me: Me, Path(name): Path<String>, query: Query) -> Answer {
    let instance = named(&me, &name).await?;
    let shown = all(&me, &instance, &query).await?;
    me.page("products.html", context! { ..Wrong::default().shown(), ..shown })
        .await
}

async fn all(me: &Me, instance: &InstanceHandle, query: &Query) -> Result<Value, Failure> {
    let filter = filter(query)?;
    let page = query.page_in(SortOrder::Ascending);
    let rows = match query.text("state").as_deref() {
        Some("new") => all_new(me, instance, &filter, &page).await?,
        _ => instance.products(&filter, &page).await?,
    };
    let codes = rows.rows.iter().map(|product| product.product_code.clone());
    let new = new_in_latest_run(me, instance, codes.collect()).await?;
    let products: Vec<Value> = rows
        .rows
        .iter()
        .map(|product| context! { state => state(product, &new), product })
        .collect();
    Ok(context! {
        products,
        sells_in => instance.read().await?.currency,
        next => query.next(rows.next.as_ref()),
        asked => query.shown(),
        chosen => Vec::<String>::new(),
        none_chosen => false,
        ..head(instance).await?
    })
}

/// The word for a product: new are those of the latest completed run that nobody has activated.
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
        Some("inactive" | "new") => (Some(false), Some(false)),
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

/// The latest run that read the catalog to its end. `None`: there is none. A run that failed has changed nothing, and what was new is still.
async fn latest_completed(me: &Me, instance: &InstanceHandle) -> Result<Option<Uuid>, Failure> {
    let latest = Page::first(RUNS_MAX).in_order(SortOrder::Descending);
    let runs = me
        .host()
        .record()
        .services_runs(instance.id().into(), &latest)
        .await?;
    let is_completed = |state: RunState| matches!(state, RunState::Completed | RunState::CompletedWithErrors);
    let mut runs = runs.rows.into_iter();
    Ok(runs.find(|run| is_completed(run.state)).map(|run| run.id))
}

/// Of some products, by their codes, those that were new in the latest completed run.
async fn new_in_latest_run(
    me: &Me,
    instance: &InstanceHandle,
    codes: Vec<String>,
) -> Result<BTreeSet<String>, Failure> {
    let Some(run) = latest_completed(me, instance).await? else {
        return Ok(BTreeSet::new());
    };
    let filter = DifferenceFilter {
        kind: Some(DifferenceKind::New),
        codes: Some(codes),
    };
    let record = me.host().record();
    let new = record
        .services_run_differences(run, &filter, &Page::all())
        .await?;
    Ok(new.rows.into_iter().map(|made| made.code).collect())
}

/// The products that were new in the latest completed run and that a filter lets through. A page may have fewer than others, since what
/// was activated since is left out.
async fn all_new(
    me: &Me,
    instance: &InstanceHandle,
    filter: &ProductFilter,
    page: &Page,
) -> Result<Rows<view::Product>, Failure> {
    let Some(run) = latest_completed(me, instance).await? else {
        let rows = Vec::new();
        return Ok(Rows { rows, next: None });
    };
    let new = DifferenceFilter {
        kind: Some(DifferenceKind::New),
        ..DifferenceFilter::default()
    };
    let (record, id) = (me.host().record(), instance.id().into());
    let new = record.services_run_differences(run, &new, page).await?;
    let on_record = record.instance_by_id(id).await?.ok_or_else(Failure::no_page)?;
    let prices = record.prices(id).await?;
    let mut rows = Vec::with_capacity(new.rows.len());
    for made in &new.rows {
        let found = record.product(id, &made.code).await?;
        let fits = |product: &bss_model::Product| {
            let is = |asked: Option<bool>, is: bool| asked.is_none_or(|asked| asked == is);
            is(filter.active, product.active)
                && is(filter.published, product.published)
                && is(filter.discontinued, product.discontinued)
        };
        if let Some(product) = found.filter(fits) {
            let prices = prices.get(&made.code).map_or(&[][..], Vec::as_slice);
            rows.push(view::Product::new(&on_record, &product, prices));
        }
    }
    let next = new.next;
    Ok(Rows { rows, next })
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
            let codes = inactive_of_run(&me, &instance, *run).await?;
            let (count, unpriced) = (codes.len(), unpriced(&me, &instance, &codes).await?);
            let fields = [("decision", word), ("run", run.to_string())];
            let shown =
                context! { count, unpriced, run => run.to_string(), fields, ..head(&instance).await? };
            return me.page("products_of_run.html", shown).await;
        }
        _ => {}
    }
    let activated = match (decision, &choice) {
        (Decision::Activate, Choice::Codes(codes)) => codes.clone(),
        (Decision::Activate, Choice::NewIn(run)) => inactive_of_run(&me, &instance, *run).await?,
        _ => Vec::new(),
    };
    // A decision that was made on the page of a product leads back to it.
    let stay = form.filled("stay");
    match (
        instance.decide_products(decision, &choice, &me.actor()).await,
        stay,
    ) {
        (Ok(_), Some(code)) => {
            let at = path_of(&instance, &code).await?;
            let what = match decision {
                Decision::Activate => "product-activated",
                Decision::Deactivate => "product-deactivated",
                Decision::Publish => "product-published",
                Decision::Unpublish => "product-withdrawn",
            };
            Ok(done(&at, what))
        }
        (Ok(decided), None) => {
            let at = way(&instance.read().await?);
            let (changed, already, left) = (decided.changed, decided.already, decided.discontinued);
            let unpriced = unpriced(&me, &instance, &activated).await?;
            Ok(see(&format!(
                "{at}/products?changed={changed}&already={already}&left={left}&unpriced={unpriced}"
            )))
        }
        (Err(error), _) if error.is_transient() => Err(error.into()),
        (Err(error), Some(code)) => {
            let wrong = Wrong::of("", &error);
            let shown = one(&me, &instance, &code, None, &wrong).await?;
            me.corrected("product.html", shown).await
        }
        (Err(error), None) => again(Wrong::of("", &error), false).await,
    }
}

/// The products that a run brought and that are not active yet, by their codes.
async fn inactive_of_run(me: &Me, instance: &InstanceHandle, run: Uuid) -> Result<Vec<String>, Failure> {
    let new = DifferenceFilter {
        kind: Some(DifferenceKind::New),
        ..DifferenceFilter::default()
    };
    let inactive = ProductFilter {
        active: Some(false),
        discontinued: Some(false),
        ..ProductFilter::default()
    };
    let record = me.host().record();
    let new = record.services_run_differences(run, &new, &Page::all()).await?;
    let inactive = record
        .products(instance.id().into(), &inactive, &Page::all())
        .await?;
    let inactive: BTreeSet<String> = inactive
        .rows
        .into_iter()
        .map(|product| product.offered.code)
        .collect();
    let codes = new.rows.into_iter().map(|made| made.code);
    Ok(codes.filter(|code| inactive.contains(code)).collect())
}

/// How many of some products have no price in the currency in which the instance sells.
async fn unpriced(me: &Me, instance: &InstanceHandle, codes: &[String]) -> Result<usize, Failure> {
    let sells_in = instance.read().await?.currency;
    let prices = me.host().record().prices(instance.id().into()).await?;
    let has_price = |code: &&String| {
        let prices = prices.get(*code).map_or(&[][..], Vec::as_slice);
        prices.iter().any(|price| price.currency == sells_in)
    };
    Ok(codes.iter().filter(|code| !has_price(code)).count())
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
    let has_price = product.prices.iter().any(|price| price.currency == sells_in);
    Ok(context! {
        state => state(&product, &new),
        has_price,
        sells_in,
        product,
        changes,
        amount => typed.map_or("", |typed| typed.amount.as_str()),
        currency => typed.map_or(sells_in.as_str(), |typed| typed.currency.as_str()),
        no_amount => "",
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
    // `Go back` leads from the question to what was typed.
    if form.has("change") {
        let shown = one(&me, &instance, &code, Some(&typed), &Wrong::default()).await?;
        return me.page("product.html", shown).await;
    }
    let again = |field: &'static str, error: ProductError| {
        let (me, instance, code, typed) = (&me, &instance, &code, &typed);
        async move {
            let wrong = Wrong::of(field, &error);
            let shown = one(me, instance, code, Some(typed), &wrong).await?;
            me.corrected("product.html", shown).await
        }
    };
    if Price::from_amount("1", &typed.currency).is_none() {
        let currency = typed.currency.clone();
        return again("currency", ProductError::InvalidCurrency { currency }).await;
    }
    let price = match amount(&typed.amount, &typed.currency) {
        Ok(price) => price,
        Err(no_amount) => {
            let shown = one(&me, &instance, &code, Some(&typed), &Wrong::default()).await?;
            let shown = context! { no_amount, ..shown };
            return me.corrected("product.html", shown).await;
        }
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
        let doubts: Vec<Value> = doubts.iter().flat_map(|(_, doubts)| doubts).map(doubt).collect();
        let shown = context! { product, price, doubts, fields, ..head(&instance).await? };
        return me.page("price_confirm.html", shown).await;
    }
    record.set_each_price(id, &prices, &actor).await?;
    see_product(&instance, &code, "price-set").await
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
    see_product(&instance, &code, "price-removed").await
}

async fn see_product(instance: &InstanceHandle, code: &str, what: &str) -> Answer {
    Ok(done(&path_of(instance, code).await?, what))
}

/// The address of a product's page.
async fn path_of(instance: &InstanceHandle, code: &str) -> Result<String, Failure> {
    let at = way(&instance.read().await?);
    let code = percent_encoding::utf8_percent_encode(code, percent_encoding::NON_ALPHANUMERIC);
    Ok(format!("{at}/products/{code}"))
}

/// Why a price may be a mistake, for a template that says so.
fn doubt(doubt: &PriceDoubt) -> Value {
    let value = match doubt {
        PriceDoubt::Zero => String::new(),
        PriceDoubt::FarFromLast { last } => last.to_string(),
        PriceDoubt::OtherCurrency { sells_in } => sells_in.clone(),
    };
    context! { word => doubt.word(), value }
}

/// Reads an amount that a person has typed, with a decimal point or a decimal comma, and with marks between groups of digits. What could
/// mean two amounts is none: `negative` or `unread` says why.
fn amount(text: &str, currency: &str) -> Result<Price, &'static str> {
    // As it was always read: a point is before the decimals.
    if let Some(price) = Price::from_amount(text, currency) {
        return Ok(price);
    }
    // Without a currency, which has a field of its own, and might be another one there.
    let is_of_amount = |letter: char| !letter.is_alphabetic() && !"€$£¥".contains(letter);
    if !text.chars().all(is_of_amount) {
        return Err("unread");
    }
    let read = [false, true].map(|has_comma| StatementAmount::parse(text, has_comma));
    let read = match read {
        [Some(one), Some(other)] if one == other => one,
        [Some(one), None] | [None, Some(one)] => one,
        _ => return Err("unread"),
    };
    if read.is_negative() {
        return Err("negative");
    }
    // With a comma alone before three digits, it may be a thousand and more, whatever decimals the currency has.
    if let Some((_, part)) = text.split_once(',')
        && part.len() == 3
        && !text.contains('.')
    {
        return Err("unread");
    }
    let shown = read.to_string();
    let shown = match shown.contains('.') {
        true => shown.trim_end_matches('0').trim_end_matches('.'),
        false => &shown,
    };
    Price::from_amount(shown, currency).ok_or("unread")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_with_a_point_or_a_comma_and_never_guessed() {
        let read = |text: &str, currency: &str| amount(text, currency).map(|price| price.to_string());
        for (text, currency, expected) in [
            ("149.00", "EUR", "149.00 EUR"),
            ("149,00", "EUR", "149.00 EUR"),
            ("149,5", "EUR", "149.50 EUR"),
            ("1.234,50", "EUR", "1234.50 EUR"),
            ("1,234.50", "EUR", "1234.50 EUR"),
            ("1 234,50", "EUR", "1234.50 EUR"),
            ("0,00", "EUR", "0.00 EUR"),
            ("149", "JPY", "149 JPY"),
            ("149,00", "JPY", "149 JPY"),
            ("1.234,567", "KWD", "1234.567 KWD"),
            ("1.234", "KWD", "1.234 KWD"),
        ] {
            assert_eq!(read(text, currency).as_deref(), Ok(expected), "{text}");
        }
        for (text, currency) in [
            ("1,234", "EUR"),
            ("1.234", "EUR"),
            ("1,234", "KWD"),
            ("149,005", "EUR"),
            ("149,5", "JPY"),
            ("149 USD", "EUR"),
            ("149 €", "EUR"),
            ("a lot", "EUR"),
            ("", "EUR"),
            ("1,2,3", "EUR"),
        ] {
            assert_eq!(read(text, currency).as_deref(), Err(&"unread"), "{text}");
        }
        assert_eq!(read("-5", "EUR").as_deref(), Err(&"negative"));
        assert_eq!(read("-5,00", "EUR").as_deref(), Err(&"negative"));
    }
}

//! Products as who configures an instance decides about them: what is sold and shown, and at what price.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use bss_model::{Choice, Decision, NewPrice, Price, PriceDoubt, Rows};
use host_harness::{ProductError, view};
use http::Uri;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Caller;
use crate::answer::ok;
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::lists;
use crate::problem::{FieldProblem, Problem};
use crate::request_error::RequestError;

/// A decision about products. One of `productCodes`, `newInRun` and `all` says which.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `decide` reads it with all of its problems"
)]
pub(crate) struct ProductDecisionBody {
    /// What becomes of the products.
    decision: String,
    /// Their codes. Where one of them can't be decided about, nothing is changed.
    #[schema(max_items = 10_000)]
    product_codes: Option<Vec<String>>,
    /// The run of Get Services Definition in which they were new.
    new_in_run: Option<Uuid>,
    /// `true`: all products of the instance.
    all: Option<bool>,
}

/// Prices of products, which are set all or none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `set_prices` reads it with all of its problems"
)]
pub(crate) struct PricesBody {
    /// The prices.
    #[schema(max_items = 10_000)]
    prices: Vec<NewPriceBody>,
    /// Whether prices are set that may be a mistake. Left out: they are told, and nothing is set.
    accept_doubtful: Option<bool>,
    /// Whether it is only told what would change. Left out: the prices are set.
    dry_run: Option<bool>,
}

/// The price of a product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it")]
pub(crate) struct NewPriceBody {
    /// The product's code.
    product_code: String,
    /// The price in the currency's smallest unit, such as cents.
    minor_units: i64,
    /// The currency, ISO 4217. Left out: the one in which the instance sells.
    currency: Option<String>,
}

/// Answers with a product of an instance.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path((name, code)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let instance = caller.instance(&name).await?;
    Ok(ok(&instance.product(&code).await?))
}

/// Decides what is sold, and what is shown in the storefront.
pub(crate) async fn decide(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let decision = fields.needed_word("decision", Decision::ALL, Decision::word, &mut problems);
    let codes = fields.filled_texts("productCodes", &mut problems);
    let run = fields.id("newInRun", &mut problems);
    let all = fields.flag("all", &mut problems).unwrap_or_default();
    let choices = [
        (
            "productCodes",
            (!codes.is_empty()).then_some(Choice::Codes(codes)),
        ),
        ("newInRun", run.map(Choice::NewIn)),
        ("all", all.then_some(Choice::All)),
    ];
    let choice = fields.only_one(choices, &mut problems);
    fields.end(&mut problems);
    let (Some(decision), Some(choice)) = (decision, choice) else {
        return Err(problems.problem());
    };
    problems.check()?;
    let field = match choice {
        Choice::NewIn(_) => "newInRun",
        _ => "productCodes",
    };
    let instance = caller.instance(&name).await?;
    let decided = instance.decide_products(decision, &choice, &caller.actor()).await;
    let decided = decided.map_err(|error| Problem::from(error).about(field));
    Ok(ok(&decided?))
}

/// Who changed the price of a product, and when, the oldest change first.
pub(crate) async fn price_changes(
    Extension(caller): Extension<Caller>,
    Path((name, code)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    lists::check_no_query(&uri)?;
    let (instance, record) = (caller.instance(&name).await?, caller.host().record());
    let (id, codes) = (instance.id().into(), [code]);
    record
        .check_products(id, &codes)
        .await
        .map_err(|error| Problem::of(&error))?;
    let history = record.price_history(id, &codes).await?;
    let rows = history.iter().map(view::RecordedPriceChange::from).collect();
    Ok(lists::answer(&uri, &Rows { rows, next: None }))
}

/// Sets prices, unless one may be a mistake.
pub(crate) async fn set_prices(
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body.unwrap_or_default(), &mut problems);
    let mut typed = Vec::new();
    for mut row in fields.filled_objects("prices", &mut problems) {
        typed.push((
            row.needed_text("productCode", &mut problems),
            row.needed_amount("minorUnits", &mut problems),
            row.text("currency", &mut problems),
        ));
        row.end(&mut problems);
    }
    let accepts_doubtful = fields.flag("acceptDoubtful", &mut problems).unwrap_or_default();
    let is_dry = fields.flag("dryRun", &mut problems).unwrap_or_default();
    fields.end(&mut problems);
    problems.check()?;
    let instance = caller.instance(&name).await?;
    let sells_in = instance.read().await?.currency;
    let prices: Vec<NewPrice> = typed
        .into_iter()
        .map(|(code, minor_units, currency)| NewPrice {
            code,
            price: Price {
                currency: currency.unwrap_or_else(|| sells_in.clone()),
                minor_units,
            },
        })
        .collect();
    check_repeated(&prices)?;
    let (record, id, actor) = (caller.host().record(), instance.id().into(), caller.actor());
    // What would change says what is wrong with the prices, before what may be.
    let preview = record.preview_each_price(id, &prices, &actor).await;
    let preview = preview.map_err(|error| not_priced(&error, &prices))?;
    let doubts = PriceDoubt::about_each(&prices, &record.prices(id).await?, &sells_in);
    if is_dry {
        return Ok(ok(&view::CheckedPrices::new(&preview, &doubts)));
    }
    if !doubts.is_empty() && !accepts_doubtful {
        return Err(doubtful(&prices, &doubts));
    }
    let changes = record.set_each_price(id, &prices, &actor).await;
    let changes = changes.map_err(|error| not_priced(&error, &prices))?;
    Ok(ok(&view::CheckedPrices::new(&changes, &doubts)))
}

/// Fails where two rows are about the same price.
fn check_repeated(prices: &[NewPrice]) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Problems::default();
    for (index, price) in prices.iter().enumerate() {
        if !seen.insert((&price.code, &price.price.currency)) {
            problems.repeated(&format!("prices[{index}].productCode"));
        }
    }
    problems.check()
}

/// The problem of prices that may be a mistake.
fn doubtful(prices: &[NewPrice], doubts: &[(&NewPrice, Vec<PriceDoubt>)]) -> Problem {
    let told = prices.iter().enumerate().filter_map(|(index, price)| {
        let (_, reasons) = doubts
            .iter()
            .find(|(doubtful, _)| std::ptr::eq(*doubtful, price))?;
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let error = RequestError::DoubtfulPrice {
            price: price.price.to_string(),
            reasons: reasons.join("; "),
        };
        Some(FieldProblem::of(format!("prices[{index}].minorUnits"), &error))
    });
    let mut problems = Problems::default();
    problems.extend(told);
    let count = doubts.len();
    Problem::from(RequestError::DoubtfulPrices { count }).with_errors(problems.into_errors())
}

/// The problem of prices that were not set, with the fields that it is about.
fn not_priced(error: &ProductError, prices: &[NewPrice]) -> Problem {
    let is_meant = |price: &NewPrice| match error {
        ProductError::NoProduct { codes } => codes.contains(&price.code),
        ProductError::InvalidCurrency { currency } => price.price.currency == *currency,
        ProductError::NegativePrice { minor_units } => price.price.minor_units == *minor_units,
        _ => false,
    };
    let field = match error {
        ProductError::InvalidCurrency { .. } => "currency",
        ProductError::NegativePrice { .. } => "minorUnits",
        _ => "productCode",
    };
    let meant = prices.iter().enumerate().filter(|(_, price)| is_meant(price));
    let meant = meant.map(|(index, price)| {
        let at = format!("prices[{index}].{field}");
        match error {
            // Of a code, that one alone: of ten thousand, each row would name them all.
            ProductError::NoProduct { .. } => {
                let codes = vec![price.code.clone()];
                FieldProblem::of(at, &ProductError::NoProduct { codes })
            }
            error => FieldProblem::of(at, error),
        }
    });
    let mut problems = Problems::default();
    problems.extend(meant);
    Problem::of(error).with_errors(problems.into_errors())
}

/// Removes the price of a product in a currency.
pub(crate) async fn remove_price(
    Extension(caller): Extension<Caller>,
    Path((name, code, currency)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let instance = caller.instance(&name).await?;
    let (record, id) = (caller.host().record(), instance.id().into());
    let removed = record
        .remove_prices(id, &[code], &currency, &caller.actor())
        .await;
    let changes = removed.map_err(|error| match error {
        // The address names what is not there.
        ProductError::NoPrice { .. } | ProductError::InvalidCurrency { .. } => Problem::absent(&error),
        error => Problem::of(&error),
    })?;
    Ok(ok(&view::PricedProducts::from(&changes[..])))
}

//! The operator's decisions about products: active, published, and the price.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{
    Act, Actor, Advice, Choice, Decided, Decision, Diagnose, Diagnosis, ErrorKind, NewPrice, Price,
    PriceChange, Product, RecordedAct, RecordedPriceChange, Subject, SubjectKind, is_currency,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::acts::stored_act::read_act;
use super::acts::write_act;
use super::services::read_product;
use super::stored::ROWS_PER_STATEMENT;
use super::{Record, RecordError};
use crate::database::{Builder, Connection};

/// The codes that an error names; the others are counted.
const NAMED_MAX: usize = 20;

/// Why no decision was recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProductError {
    /// The products do not exist.
    #[error("no product has the code {}, so nothing was changed", quoted(codes))]
    NoProduct {
        /// The codes that were asked for.
        codes: Vec<String>,
    },
    /// The vendor has stopped selling the products.
    #[error(
        "nothing was changed, because discontinued products can't be {decision}: {}",
        quoted(codes)
    )]
    Discontinued {
        /// The decision.
        decision: Decision,
        /// The codes of the products.
        codes: Vec<String>,
    },
    /// The run does not exist in the instance.
    #[error("the instance has no run `{run}`")]
    NoRun {
        /// The id that was asked for.
        run: Uuid,
    },
    /// The currency is none that is in use.
    #[error("`{currency}` is not the code of a currency in use", currency = currency.escape_debug())]
    InvalidCurrency {
        /// The currency that was given.
        currency: String,
    },
    /// The price is negative.
    #[error("the price {minor_units} is negative")]
    NegativePrice {
        /// The price that was given.
        minor_units: i64,
    },
    /// Products have no price that could be removed.
    #[error(
        "nothing was changed, because these products have no price in {currency}: {}",
        quoted(codes)
    )]
    NoPrice {
        /// The codes of the products.
        codes: Vec<String>,
        /// The currency.
        currency: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for ProductError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoProduct { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-product").advise(Advice::ListProducts)
            }
            Self::Discontinued { .. } => Diagnosis::new(ErrorKind::Conflict, "product-discontinued")
                .say("leave the discontinued products out"),
            Self::NoRun { .. } => Diagnosis::new(ErrorKind::NotFound, "no-run").advise(Advice::ListRuns {
                instance: String::new(),
            }),
            Self::InvalidCurrency { .. } => Diagnosis::new(ErrorKind::Invalid, "invalid-currency")
                .say("give an ISO 4217 code, as in `EUR`"),
            Self::NoPrice { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "no-price").advise(Advice::ListProducts)
            }
            Self::NegativePrice { .. } => Diagnosis::new(ErrorKind::Invalid, "negative-price"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// The codes for a sentence: the first ones, and how many more there are.
fn quoted(codes: &[String]) -> String {
    let first = codes.iter().take(NAMED_MAX);
    let mut quoted: Vec<String> = first.map(|code| format!("`{}`", code.escape_debug())).collect();
    if let Some(more) = codes.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        quoted.push(format!("and {more} more"));
    }
    quoted.join(", ")
}

impl Record {
    /// Records a decision about products, all of them or none. Writes an act for each product that it changes.
    ///
    /// # Errors
    /// When a named product does not exist, or is discontinued and can't be decided so.
    pub async fn decide_products(
        &self,
        instance_id: Uuid,
        decision: Decision,
        choice: &Choice,
        actor: &Actor,
    ) -> Result<Decided, ProductError> {
        let mut transaction = self.begin_write().await?;
        let chosen = chosen(&mut transaction, instance_id, choice).await?;
        let refuses = |product: &&Product| product.discontinued && !decision.takes_discontinued();
        let refused = chosen.iter().filter(refuses).count();
        if refused > 0 && matches!(choice, Choice::Codes(_)) {
            let codes = chosen
                .iter()
                .filter(refuses)
                .map(|product| product.offered.code.clone());
            return Err(ProductError::Discontinued {
                decision,
                codes: codes.collect(),
            });
        }
        let fit = || chosen.iter().filter(|product| !refuses(product));
        let to_change: Vec<&str> = fit()
            .filter(|product| !decision.is_so(product))
            .map(|product| product.offered.code.as_str())
            .collect();
        for codes in to_change.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("UPDATE products SET ");
            query
                .push(column(decision))
                .push(" = ")
                .push_bind(decision.value());
            query
                .push(" WHERE instance_id = ")
                .push_bind(instance_id.to_string());
            query.push(" AND code IN (");
            let mut list = query.separated(", ");
            for code in codes {
                list.push_bind(*code);
            }
            query.push(")");
            transaction.build(&mut query).execute().await?;
        }
        for code in &to_change {
            let (act, subject) = (Act::DecideProduct, Subject::product(code));
            let detail = json!({ "decision": decision.word() });
            write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        }
        transaction.commit().await?;
        Ok(Decided {
            changed: to_change.len(),
            already: fit().count().saturating_sub(to_change.len()),
            discontinued: refused,
        })
    }

    /// Sets the price of products in one currency, all of them or none. Writes an act for each price that it changes.
    ///
    /// # Errors
    /// When a product does not exist, or the price or its currency is invalid.
    pub async fn set_prices(
        &self,
        instance_id: Uuid,
        codes: &[String],
        price: &Price,
        actor: &Actor,
    ) -> Result<Vec<PriceChange>, ProductError> {
        let codes: BTreeSet<&String> = codes.iter().collect();
        let prices = codes.into_iter().map(|code| NewPrice {
            code: code.clone(),
            price: price.clone(),
        });
        self.set_each_price(instance_id, &prices.collect::<Vec<_>>(), actor)
            .await
    }

    /// Sets prices, each of a product of its own, all of them or none. Writes an act for each that it changes. Returns what
    /// each product had before, also where that is the same.
    ///
    /// # Errors
    /// When a product does not exist, or a price or its currency is invalid.
    pub async fn set_each_price(
        &self,
        instance_id: Uuid,
        prices: &[NewPrice],
        actor: &Actor,
    ) -> Result<Vec<PriceChange>, ProductError> {
        let mut transaction = self.begin_write().await?;
        let changes = set_each(&mut transaction, instance_id, prices, actor).await?;
        transaction.commit().await?;
        Ok(changes)
    }

    /// What [`Self::set_each_price`] would change, without a change.
    ///
    /// # Errors
    /// As [`Self::set_each_price`].
    pub async fn preview_each_price(
        &self,
        instance_id: Uuid,
        prices: &[NewPrice],
        actor: &Actor,
    ) -> Result<Vec<PriceChange>, ProductError> {
        let mut transaction = self.begin_write().await?;
        let changes = set_each(&mut transaction, instance_id, prices, actor).await?;
        transaction.rollback().await?;
        Ok(changes)
    }

    /// Removes the price of products in one currency, all of them or none. Writes an act for each.
    ///
    /// # Errors
    /// When a product does not exist, or has no price in that currency.
    pub async fn remove_prices(
        &self,
        instance_id: Uuid,
        codes: &[String],
        currency: &str,
        actor: &Actor,
    ) -> Result<Vec<PriceChange>, ProductError> {
        let mut transaction = self.begin_write().await?;
        let changes = remove_each(&mut transaction, instance_id, codes, currency, actor).await?;
        transaction.commit().await?;
        Ok(changes)
    }

    /// What [`Self::remove_prices`] would change, without a change.
    ///
    /// # Errors
    /// As [`Self::remove_prices`].
    pub async fn preview_removed_prices(
        &self,
        instance_id: Uuid,
        codes: &[String],
        currency: &str,
        actor: &Actor,
    ) -> Result<Vec<PriceChange>, ProductError> {
        let mut transaction = self.begin_write().await?;
        let changes = remove_each(&mut transaction, instance_id, codes, currency, actor).await?;
        transaction.rollback().await?;
        Ok(changes)
    }

    /// Checks that an instance has products of these codes.
    ///
    /// # Errors
    /// When it has none of one of them.
    pub async fn check_products(&self, instance_id: Uuid, codes: &[String]) -> Result<(), ProductError> {
        let mut connection = self.readers.acquire().await?;
        chosen(&mut connection, instance_id, &Choice::Codes(codes.to_vec())).await?;
        Ok(())
    }

    /// Who changed the prices of products, and when, the oldest change first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn price_history(
        &self,
        instance_id: Uuid,
        codes: &[String],
    ) -> Result<Vec<RecordedPriceChange>, RecordError> {
        let mut history = Vec::new();
        for codes in codes.chunks(ROWS_PER_STATEMENT) {
            let mut query = Builder::new("SELECT * FROM acts WHERE act = ");
            query.push_bind(Act::SetPrice.word());
            query
                .push(" AND instance_id = ")
                .push_bind(instance_id.to_string());
            query
                .push(" AND subject_kind = ")
                .push_bind(SubjectKind::Product.word());
            query.push(" AND subject IN (");
            let mut list = query.separated(", ");
            for code in codes {
                list.push_bind(code);
            }
            query.push(")");
            let rows = self
                .readers
                .build(&mut query)
                .persistent(false)
                .fetch_all()
                .await?;
            for row in &rows {
                history.push(read_act(row)?);
            }
        }
        history.sort_by_key(|act| act.number);
        history.into_iter().map(price_change).collect()
    }

    /// The prices of an instance's products, by code and then by currency. An operator sets few.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn prices(&self, instance_id: Uuid) -> Result<BTreeMap<String, Vec<Price>>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM product_prices WHERE instance_id = $1 ORDER BY code, currency")
            .bind(instance_id.to_string())
            .fetch_all()
            .await?;
        let mut prices = BTreeMap::<String, Vec<Price>>::new();
        for row in &rows {
            prices.entry(row.try_get("code")?).or_default().push(Price {
                currency: row.try_get("currency")?,
                minor_units: row.try_get("minor_units")?,
            });
        }
        Ok(prices)
    }
}

/// The detail of the act that sets or removes a price.
#[derive(Serialize, Deserialize)]
struct PriceDetail {
    currency: String,
    before: Option<i64>,
    after: Option<i64>,
}

impl PriceDetail {
    fn change(self, code: &str) -> PriceChange {
        let price = |minor_units: Option<i64>| {
            minor_units.map(|minor_units| Price {
                currency: self.currency.clone(),
                minor_units,
            })
        };
        PriceChange {
            code: code.to_owned(),
            before: price(self.before),
            after: price(self.after),
        }
    }
}

fn price_change(act: RecordedAct) -> Result<RecordedPriceChange, RecordError> {
    let detail = act.detail.as_deref().unwrap_or_default();
    let detail: PriceDetail = serde_json::from_str(detail).map_err(|_| RecordError::Damaged {
        what: format!("act {} does not say what it changed", act.number),
    })?;
    Ok(RecordedPriceChange {
        change: detail.change(&act.subject.id),
        changed_by: act.actor,
        changed_at_ms: act.at_ms,
    })
}

async fn set_each(
    transaction: &mut Connection,
    instance_id: Uuid,
    prices: &[NewPrice],
    actor: &Actor,
) -> Result<Vec<PriceChange>, ProductError> {
    for NewPrice { price, .. } in prices {
        if !is_currency(&price.currency) {
            return Err(ProductError::InvalidCurrency {
                currency: price.currency.clone(),
            });
        }
        if price.minor_units < 0 {
            return Err(ProductError::NegativePrice {
                minor_units: price.minor_units,
            });
        }
    }
    let codes = prices.iter().map(|new| new.code.clone()).collect();
    chosen(transaction, instance_id, &Choice::Codes(codes)).await?;
    let mut changes = Vec::with_capacity(prices.len());
    for NewPrice { code, price } in prices {
        let after = Some(price.minor_units);
        let changed = set_price(transaction, instance_id, code, &price.currency, after, actor);
        changes.push(changed.await?);
    }
    Ok(changes)
}

async fn remove_each(
    transaction: &mut Connection,
    instance_id: Uuid,
    codes: &[String],
    currency: &str,
    actor: &Actor,
) -> Result<Vec<PriceChange>, ProductError> {
    let mut changes = Vec::new();
    for product in chosen(transaction, instance_id, &Choice::Codes(codes.to_vec())).await? {
        let code = &product.offered.code;
        let changed = set_price(transaction, instance_id, code, currency, None, actor);
        changes.push(changed.await?);
    }
    let without = changes.iter().filter(|change| change.before.is_none());
    let without: Vec<String> = without.map(|change| change.code.clone()).collect();
    match without.is_empty() {
        true => Ok(changes),
        false => Err(ProductError::NoPrice {
            codes: without,
            currency: currency.to_owned(),
        }),
    }
}

/// Sets the price of a product, or removes it where there is to be none, unless that is so already.
async fn set_price(
    transaction: &mut Connection,
    instance_id: Uuid,
    code: &str,
    currency: &str,
    after: Option<i64>,
    actor: &Actor,
) -> Result<PriceChange, RecordError> {
    let detail = PriceDetail {
        currency: currency.to_owned(),
        before: price_in(transaction, instance_id, code, currency).await?,
        after,
    };
    if detail.before == after {
        return Ok(detail.change(code));
    }
    let written = match after {
        Some(minor_units) => transaction
            .sql(
                "INSERT INTO product_prices (instance_id, code, currency, minor_units)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (instance_id, code, currency) DO UPDATE SET minor_units = excluded.minor_units",
            )
            .bind(instance_id.to_string())
            .bind(code)
            .bind(currency)
            .bind(minor_units),
        None => transaction
            .sql("DELETE FROM product_prices WHERE instance_id = $1 AND code = $2 AND currency = $3")
            .bind(instance_id.to_string())
            .bind(code)
            .bind(currency),
    };
    written.execute().await?;
    let (act, subject) = (Act::SetPrice, Subject::product(code));
    let json = json!(detail);
    write_act(transaction, actor, act, &subject, Some(instance_id), json).await?;
    Ok(detail.change(code))
}

/// The current price of a product in a currency, in minor units. `None`: it has none in that currency.
pub(super) async fn price_in(
    connection: &mut Connection,
    instance_id: Uuid,
    code: &str,
    currency: &str,
) -> Result<Option<i64>, RecordError> {
    let price = connection
        .sql("SELECT minor_units FROM product_prices WHERE instance_id = $1 AND code = $2 AND currency = $3")
        .bind(instance_id.to_string())
        .bind(code)
        .bind(currency)
        .scalar_optional()
        .await?;
    Ok(price)
}

/// The products of a choice, by code, each once.
async fn chosen(
    transaction: &mut Connection,
    instance_id: Uuid,
    choice: &Choice,
) -> Result<Vec<Product>, ProductError> {
    let rows = transaction
        .sql("SELECT * FROM products WHERE instance_id = $1 ORDER BY code")
        .bind(instance_id.to_string())
        .fetch_all()
        .await?;
    let products: Vec<Product> = rows.iter().map(read_product).collect::<Result<_, _>>()?;
    match choice {
        Choice::All => Ok(products),
        Choice::NameContains(text) => {
            let holds = |product: &Product| product.name_contains(text);
            Ok(products.into_iter().filter(holds).collect())
        }
        Choice::NewIn(run) => {
            let new = new_in(transaction, instance_id, *run).await?;
            let is_new = |product: &Product| new.contains(&product.offered.code);
            Ok(products.into_iter().filter(is_new).collect())
        }
        Choice::Codes(codes) => {
            let asked: BTreeSet<&str> = codes.iter().map(String::as_str).collect();
            let known: BTreeSet<&str> = products
                .iter()
                .map(|product| product.offered.code.as_str())
                .collect();
            let unknown: Vec<String> = asked.difference(&known).map(|code| (*code).to_owned()).collect();
            if !unknown.is_empty() {
                return Err(ProductError::NoProduct { codes: unknown });
            }
            let is_asked = |product: &Product| asked.contains(product.offered.code.as_str());
            Ok(products.into_iter().filter(is_asked).collect())
        }
    }
}

async fn new_in(
    transaction: &mut Connection,
    instance_id: Uuid,
    run: Uuid,
) -> Result<BTreeSet<String>, ProductError> {
    let runs: i64 = transaction
        .sql("SELECT COUNT(*) FROM services_runs WHERE id = $1 AND instance_id = $2")
        .bind(run.to_string())
        .bind(instance_id.to_string())
        .scalar()
        .await?;
    if runs == 0 {
        return Err(ProductError::NoRun { run });
    }
    let codes: Vec<String> = transaction
        .sql("SELECT code FROM services_run_differences WHERE run_id = $1 AND kind = 'new'")
        .bind(run.to_string())
        .scalars()
        .await?;
    Ok(codes.into_iter().collect())
}

fn column(decision: Decision) -> &'static str {
    match decision {
        Decision::Activate | Decision::Deactivate => "active",
        Decision::Publish | Decision::Unpublish => "published",
    }
}

//! Accounts: customers, of whom a license needs nothing beforehand. What the vendor is told of a customer comes with each purchase.

use bss_model::{OrderFilter, Page};

use super::asked::Asked;
use super::members::Unreadable;
use super::results::{Answer, Code};
use crate::problem::Problem;

/// Takes notice of a customer, under the platform's own id.
pub(super) fn synchronize(asked: &Asked<'_>) -> Result<Answer, Unreadable> {
    Ok(Answer::done().about(asked.message().needed("ID")?))
}

/// Says whether the customer has ordered anything here.
pub(super) async fn exists(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let id = match asked.message().needed("ID") {
        Ok(id) => id,
        Err(error) => return Ok(error.into()),
    };
    let filter = OrderFilter {
        instance: Some(asked.platform().instance_id),
        customer: Some(id.to_owned()),
        ..OrderFilter::default()
    };
    let orders = asked.host().record().orders(&filter, &Page::first(1)).await?;
    Ok(match orders.rows.is_empty() {
        true => Answer::done(),
        false => Answer::new(Code::Exists, "").about(id),
    })
}

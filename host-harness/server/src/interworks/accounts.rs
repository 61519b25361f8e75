//! Accounts: customers, of whom a license needs nothing beforehand. What the vendor is told of a customer comes with each purchase.

use super::asked::Asked;
use super::members::Unreadable;
use super::results::{Answer, Code};
use crate::problem::Problem;

/// Takes notice of a customer, under the platform's own id.
pub(super) fn synchronize(asked: &Asked<'_>) -> Result<Answer, Unreadable> {
    Ok(Answer::done().about(asked.message.needed("ID")?))
}

/// Says whether the platform has ordered anything for the customer here.
pub(super) async fn exists(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let id = match asked.message.needed("ID") {
        Ok(id) => id,
        Err(error) => return Ok(error.into()),
    };
    let has_ordered = asked
        .host()
        .record()
        .has_ordered_for(asked.platform().id, id)
        .await?;
    Ok(match has_ordered {
        false => Answer::done(),
        true => Answer::new(Code::Exists, "").about(id),
    })
}

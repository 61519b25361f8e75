//! Buys one license for one order line, exactly once, whatever crashes, times out or is delivered twice.
//! The shapes are those of `wit/license-order.wit`.

use uuid::Uuid;

use crate::cis::{Cis, Issued};
use crate::failures::{ChangeFailure, Problem, ReadFailure};
use crate::instance_settings::{Instance, Settings, guid, is_country};
use crate::platform::Platform;
use crate::text::{forbidden_character, forbidden_in_name};

pub use crate::license::{EarlierAttempts, License, LicenseOrder, LicenseTokenStatus, Party, ReturnStatus};

/// The longest name of a customer or reseller, in Unicode scalar values; the longest that Partner
/// Center takes for a company.
const PARTY_NAME_LENGTH_MAX: usize = 200;
/// The longest product code and party id that are passed on.
const CODE_LENGTH_MAX: usize = 200;

/// The outcomes of `create-license` that are no failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderAnswer {
    /// The license, bought now or before.
    Licensed(License),
    /// The order is valid: the answer to `check_only`.
    Valid,
}

/// Buys one license. A failure says whether the license was definitely not bought, or may have been bought.
///
/// An attempt that is not the first one looks up first, and buys only when Microsoft says that it has never seen the
/// client transaction id.
///
/// # Errors
/// Sorted by what a retry would risk, as [`ChangeFailure`] says.
pub fn create_license(
    platform: &impl Platform,
    instance: &Instance,
    order: &LicenseOrder,
) -> Result<OrderAnswer, ChangeFailure> {
    let may_be_bought = order.earlier_attempts == EarlierAttempts::Unknown;
    // An attempt that is stopped here says nothing of an earlier one, which may have bought the license.
    let stopped = |problem| match may_be_bought && !order.check_only {
        true => ChangeFailure::Unknown(problem),
        false => ChangeFailure::Refused(problem),
    };
    let settings = Settings::parse(instance).map_err(|problem| match stopped(problem) {
        ChangeFailure::Refused(problem) => ChangeFailure::Misconfigured(problem),
        unknown => unknown,
    })?;
    let client_transaction_id = validate(order).map_err(stopped)?;
    if order.check_only {
        return Ok(OrderAnswer::Valid);
    }
    let not_bought_now = |failure: ReadFailure| match may_be_bought {
        true => failure.after_the_change(),
        // What is refused here does not depend on the order.
        false => failure.of_the_settings(),
    };
    let cis = Cis::new(platform, &settings).map_err(not_bought_now)?;
    if order.earlier_attempts != EarlierAttempts::None {
        let found = cis
            .license_by_client_transaction_id(client_transaction_id)
            .map_err(not_bought_now)?;
        if let Some(license) = found {
            return Ok(OrderAnswer::Licensed(license));
        }
    }
    match cis.issue(order, client_transaction_id)? {
        Issued::Now(license) => Ok(OrderAnswer::Licensed(license)),
        Issued::Before(problem) => cis
            .license_by_client_transaction_id(client_transaction_id)
            .map_err(|failure| failure.after_the_change())?
            .map(OrderAnswer::Licensed)
            .ok_or(ChangeFailure::Unknown(problem)),
    }
}

/// Checks all that can be checked without asking Microsoft.
fn validate(order: &LicenseOrder) -> Result<Uuid, Problem> {
    let Some(client_transaction_id) = guid(&order.client_transaction_id) else {
        return Err(Problem::new(
            "client-transaction-id-invalid",
            "The client transaction id of the order is not a UUID.",
            "",
        ));
    };
    if !is_short_line(&order.product, CODE_LENGTH_MAX) {
        return Err(Problem::new(
            "product-invalid",
            "The product code of the order is missing or can't be used.",
            "Order a product from the last run of Get Services Definition.",
        ));
    }
    if order.quantity != 1 {
        return Err(Problem::new(
            "quantity-not-one",
            "Microsoft issues each license on its own, so the quantity of a purchase is 1.",
            "",
        ));
    }
    validate_party("customer", &order.customer)?;
    if let Some(reseller) = &order.reseller {
        validate_party("reseller", reseller)?;
    }
    Ok(client_transaction_id)
}

fn validate_party(role: &str, party: &Party) -> Result<(), Problem> {
    let invalid = |what: &str, advice: &str| {
        Problem::new(
            format!("{role}-invalid"),
            format!("The {what} of the {role} is missing or can't be used."),
            advice,
        )
    };
    if !is_short_line(&party.id, CODE_LENGTH_MAX) {
        return Err(invalid("id", ""));
    }
    if !is_short(&party.name, PARTY_NAME_LENGTH_MAX) || forbidden_in_name(&party.name).is_some() {
        return Err(invalid(
            "name",
            "Correct the name in the account: one line of at most 200 characters, none of them invisible.",
        ));
    }
    if !is_country(&party.country) {
        return Err(invalid(
            "country",
            "Correct the country in the account: a country code of ISO 3166-1, such as GR.",
        ));
    }
    Ok(())
}

fn is_short_line(text: &str, length_max: usize) -> bool {
    is_short(text, length_max) && forbidden_character(text).is_none()
}

fn is_short(text: &str, length_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= length_max
}

#[cfg(test)]
mod tests;

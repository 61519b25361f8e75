//! One order line is one license, exactly once, whatever crashes, times out or is delivered twice.
//! The shapes are those of `wit/license-order.wit`.

use uuid::Uuid;

use crate::cis::{Cis, Issued};
use crate::failures::{ChangeFailure, Problem, ReadFailure};
use crate::instance_settings::{Instance, Settings, guid, is_country};
use crate::platform::Platform;
use crate::secret::Secret;
use crate::text::{forbidden_character, forbidden_in_name};

/// The longest name of a customer or reseller, in Unicode scalar values; the longest that Partner
/// Center takes for a company.
const PARTY_NAME_LENGTH_MAX: usize = 200;
/// The longest product code and party id that are passed on.
const CODE_LENGTH_MAX: usize = 200;

/// A company or person, as far as Microsoft has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The platform's own name for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// What the host knows of earlier attempts at a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierAttempts {
    /// There was none.
    None,
    /// Each of them definitely bought nothing.
    NotDone,
    /// One of them may have bought.
    Unknown,
}

/// One license to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseOrder {
    /// The host's name for the purchase, a UUID: the same for every attempt.
    pub client_transaction_id: String,
    /// What is known of earlier attempts.
    pub earlier_attempts: EarlierAttempts,
    /// Validate only.
    pub check_only: bool,
    /// The product's code: Microsoft's offer id.
    pub product: String,
    /// Who sells. None: the platform's operator.
    pub reseller: Option<Party>,
    /// Who gets the license.
    pub customer: Party,
}

/// What Microsoft says of the license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseTokenStatus {
    /// Issued and not used yet.
    Activated,
    /// Used by the customer.
    Redeemed,
    /// Returned unused.
    ReturnAccepted,
}

/// What became of a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnStatus {
    /// None was asked for, or it was refused.
    None,
    /// Microsoft took the license back.
    Successful,
}

/// A license as Microsoft issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// The purchase it came from.
    pub client_transaction_id: String,
    /// Microsoft's name for the purchase.
    pub transaction_id: String,
    /// Microsoft's name for the license token.
    pub license_token_id: String,
    /// What the customer types in. Never empty.
    pub product_key: Secret,
    /// Where the customer redeems it. Empty: none.
    pub activation_link: Secret,
    /// What Microsoft says of it now.
    pub license_token_status: LicenseTokenStatus,
    /// What became of a return.
    pub return_status: ReturnStatus,
    /// In milliseconds since 1970.
    pub purchased_at_ms: i64,
    /// In milliseconds since 1970. None: Microsoft did not say.
    pub returnable_until_ms: Option<i64>,
}

/// How `create-license` ends well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderAnswer {
    /// The license, bought now or before.
    Licensed(License),
    /// Only for `check_only`.
    Valid,
}

/// Buys one license, or says for certain that it did not, or that nobody knows yet.
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
    // An attempt that stops here says nothing of the one before it.
    let stopped = |problem| match may_be_bought && !order.check_only {
        true => ChangeFailure::Unknown(problem),
        false => ChangeFailure::Refused(problem),
    };
    let settings = Settings::parse(instance).map_err(stopped)?;
    let client_transaction_id = validate(order).map_err(stopped)?;
    if order.check_only {
        return Ok(OrderAnswer::Valid);
    }
    let not_bought_now = |failure: ReadFailure| match may_be_bought {
        true => failure.after_the_change(),
        false => failure.before_the_change(),
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

/// What can be known to be wrong without asking Microsoft.
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
            "The order names no product.",
            "Order a product that Get Services Definition has brought.",
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
            "Correct the account: a name of one line, with at most 200 characters, none of them invisible.",
        ));
    }
    if !is_country(&party.country) {
        return Err(invalid(
            "country",
            "Correct the account: a country of ISO 3166-1, such as GR.",
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

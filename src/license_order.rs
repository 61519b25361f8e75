//! Buys one license for one order line, exactly once, whatever crashes, times out or is delivered twice.
//! The shapes are those of `wit/license-order.wit`.

use bss_plugin::failures::Problem;
use bss_plugin::text::forbidden_character;
use bss_plugin::{Attempted, ChangeFailure, LicenseOrder, LookUp, OrderAnswer, Party, ReadFailure, attempt};
use uuid::Uuid;

use crate::cis::{Cis, Issued};
use crate::instance_settings::{Instance, Settings, guid, is_country};
use crate::platform::Platform;
use crate::text::forbidden_in_name;

/// The longest name of a customer or reseller, in Unicode scalar values; the longest that Partner
/// Center takes for a company.
const PARTY_NAME_LENGTH_MAX: usize = 200;
/// The longest product code and party id that are passed on.
const CODE_LENGTH_MAX: usize = 200;

/// Buys one license. A failure says whether the license was definitely not bought, or may have been bought.
///
/// An attempt that is not the first one looks up first, and buys only when Microsoft says that it has never seen the
/// client transaction id.
pub fn create_license(
    platform: &impl Platform,
    instance: &Instance,
    order: &LicenseOrder,
) -> Attempted<OrderAnswer> {
    let settings = Settings::parse(instance).map_err(ReadFailure::Misconfigured);
    attempt::purchase(
        order,
        || {
            let settings = settings.as_ref().map_err(Clone::clone)?;
            let client_transaction_id = validate(order).map_err(ReadFailure::Refused)?;
            Ok((Cis::new(platform, settings)?, client_transaction_id))
        },
        |(cis, client_transaction_id)| {
            let found = cis.license_by_client_transaction_id(*client_transaction_id)?;
            Ok(found.map_or(LookUp::NeverIssued, |license| LookUp::Issued(license.into())))
        },
        |(cis, client_transaction_id)| buy(cis, order, *client_transaction_id),
    )
}

fn buy(
    cis: &Cis<'_, impl Platform>,
    order: &LicenseOrder,
    client_transaction_id: Uuid,
) -> Result<OrderAnswer, ChangeFailure> {
    let license = match cis.issue(order, client_transaction_id)? {
        Issued::Now(license) => license,
        Issued::Before(problem) => cis
            .license_by_client_transaction_id(client_transaction_id)
            .map_err(ReadFailure::after_the_change)?
            .ok_or(ChangeFailure::Unknown(problem))?,
    };
    Ok(OrderAnswer::Licensed(license.into()))
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

//! Get Services Definition: what Microsoft offers in an instance's country, as the platform's products,
//! page by page so that the catalog is never held whole. The shapes are those of
//! `wit/services-definition.wit`.

mod seen;

use std::fmt::Write as _;

use bss_plugin::ReadFailure;
use bss_plugin::catalog::{self, Judged};

use crate::cis::{BadItem, Cis, OFFER_ID_LENGTH_MAX, Offer};
use crate::instance_settings::{Instance, Settings};
use crate::platform::Platform;
use crate::text::{forbidden_in_id, forbidden_in_name, has_markup};
use seen::Seen;

pub use bss_plugin::catalog::{AttributeValue, Product};
pub use bss_plugin::{Outcome, ProductType, Summary};

/// The product type that all products have, and its one attribute.
const PRODUCT_TYPE: &str = "microsoft-esd";
const OFFER_ATTRIBUTE: &str = "offer";

/// Offers in a page: few enough exchanges for a large catalog, small enough pages for the sandbox's memory.
const PAGE_SIZE: u32 = 500;
/// The longest product name that platforms are known to show, in Unicode scalar values.
const NAME_LENGTH_MAX: usize = 250;
const DESCRIPTION_LENGTH_MAX: usize = 4_000;
/// Room in a description for some words and two numbers, beside the short description and the offer URI.
const DESCRIPTION_WORDS_BYTES: usize = 48;
const OFFER_URI_LENGTH_MAX: usize = 500;

/// Reads the catalog to its end and hands the products over page by page. Run by an operator, about
/// once a month; takes as long as Microsoft takes for the pages.
///
/// # Errors
/// A page that can't be had or read ends the reading: the host then applies nothing of it.
pub fn fetch_services(
    platform: &impl Platform,
    instance: &Instance,
    entity_tag: &str,
) -> Result<Outcome, ReadFailure> {
    let settings = Settings::parse(instance).map_err(ReadFailure::Misconfigured)?;
    let cis = Cis::new(platform, &settings)?;
    let mut judge = Judge::default();
    catalog::read(
        platform,
        "offer",
        vec![product_type()],
        entity_tag,
        |continuation, entity_tag| cis.offers(continuation, PAGE_SIZE, entity_tag),
        |item| judge.judge(item),
    )
}

fn product_type() -> ProductType {
    let attributes = [(OFFER_ATTRIBUTE, "Offer")];
    ProductType {
        manual_cancellation: true,
        ..ProductType::of_licenses(PRODUCT_TYPE, "Microsoft ESD", true, &attributes)
    }
}

/// What is kept from page to page to judge an offer: digests of names, no products.
#[derive(Default)]
struct Judge {
    codes: Seen,
    offer_uris: Seen,
}

impl Judge {
    fn judge(&mut self, item: Result<Offer, BadItem>) -> Judged {
        let offer = match item {
            Ok(offer) => offer,
            Err(BadItem { subject, reason }) => return Judged::of(&subject, Err(reason)),
        };
        if let Some(reason) = flaw(&offer) {
            return Judged::of(&crate::text::subject(&offer.id, OFFER_ID_LENGTH_MAX), Err(reason));
        }
        if !self.codes.insert(&offer.id) {
            return Judged::of(
                &offer.id,
                Err("an earlier offer has the same offer id".to_owned()),
            );
        }
        match offer.status.as_deref() {
            None => {}
            Some(status) if status.eq_ignore_ascii_case("active") => {}
            Some(status) if status.eq_ignore_ascii_case("discontinued") => {
                return Judged::NotSold {
                    code: offer.id,
                    reason: "Microsoft no longer sells the offer".to_owned(),
                };
            }
            Some(_) => return Judged::of(&offer.id, Err("the status is unknown".to_owned())),
        }
        if !self.offer_uris.insert(&offer.uri) {
            return Judged::of(
                &offer.id,
                Err("an earlier offer has the same offer URI".to_owned()),
            );
        }
        Judged::Sold(product(offer))
    }
}

/// Why an offer can't become a product; `None` when it can.
fn flaw(offer: &Offer) -> Option<String> {
    let description = offer.short_description.as_deref().unwrap_or_default();
    let strict: fn(&str) -> Option<char> = forbidden_in_id;
    let texts = [
        ("offer id", offer.id.as_str(), OFFER_ID_LENGTH_MAX, strict),
        ("offer URI", &offer.uri, OFFER_URI_LENGTH_MAX, strict),
        ("name", &offer.name, NAME_LENGTH_MAX, forbidden_in_name),
    ];
    for (what, text, length_max, forbidden) in texts {
        if text.chars().all(char::is_whitespace) {
            return Some(format!("the {what} is missing"));
        }
        if let Some(character) = forbidden(text) {
            return Some(format!(
                "the {what} holds the invisible character U+{:04X}",
                u32::from(character)
            ));
        }
        if text.len() > length_max && text.chars().count() > length_max {
            return Some(format!("the {what} has more than {length_max} characters"));
        }
    }
    if has_markup(&offer.name) || has_markup(description) {
        return Some("the name or the description holds markup".to_owned());
    }
    if description.len() > DESCRIPTION_LENGTH_MAX && description.chars().count() > DESCRIPTION_LENGTH_MAX {
        return Some(format!(
            "the description has more than {DESCRIPTION_LENGTH_MAX} characters"
        ));
    }
    let min = offer.min_quantity.unwrap_or(1);
    let max = offer.max_quantity.unwrap_or(u32::MAX);
    (min == 0 || max < min).then(|| "the smallest quantity is 0 or is above the largest quantity".to_owned())
}

fn product(offer: Offer) -> Product {
    let min_quantity = offer.min_quantity.unwrap_or(1);
    let description = description(&offer, min_quantity);
    let name = trimmed(offer.name);
    Product {
        description,
        attribute_values: vec![AttributeValue {
            attribute: OFFER_ATTRIBUTE.into(),
            key: offer.uri,
            label: name.clone(),
        }],
        code: offer.id,
        product_type: PRODUCT_TYPE.into(),
        name,
        min_quantity,
        max_quantity: offer.max_quantity,
        // Every ESD product is returnable unless Microsoft says otherwise.
        returnable: offer.is_returnable.unwrap_or(true),
    }
}

/// Trims a text. Nearly always there is nothing to trim, and the text is not copied.
fn trimmed(text: String) -> String {
    match text.trim() {
        trimmed if trimmed.len() == text.len() => text,
        trimmed => trimmed.to_owned(),
    }
}

/// The short description, the offer URI and the quantities, as the platform's page on new ESD products
/// lists them.
fn description(offer: &Offer, min_quantity: u32) -> String {
    let short = offer.short_description.as_deref().unwrap_or_default();
    let mut description = bss_plugin::text::one_line(short.trim(), DESCRIPTION_LENGTH_MAX);
    description.reserve(offer.uri.len() + DESCRIPTION_WORDS_BYTES);
    if !description.is_empty() {
        description.push('\n');
    }
    // Writing to a string does not fail.
    let _ = write!(description, "Offer URI: {}\nQuantity: {min_quantity} ", offer.uri);
    let _ = match offer.max_quantity {
        Some(max_quantity) => write!(description, "to {max_quantity}"),
        None => write!(description, "or more"),
    };
    description
}

#[cfg(test)]
mod tests;

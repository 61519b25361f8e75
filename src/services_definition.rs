//! Get Services Definition: what Microsoft offers in an instance's country, as the platform's products,
//! page by page so that the catalog is never held whole. The shapes are those of
//! `wit/services-definition.wit`.

mod seen;

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::cis::{Cis, OFFER_ID_LENGTH_MAX, Offer, OffersPage};
use crate::failures::{Problem, ReadFailure};
use crate::instance_settings::{Instance, Settings};
use crate::platform::{Level, Platform};
use crate::text::{forbidden_in_id, forbidden_in_name, has_markup};
use seen::Seen;

pub use crate::product::{AttributeValue, Product};

/// The product type that all products have, and its one attribute.
const PRODUCT_TYPE: &str = "microsoft-esd";
const OFFER_ATTRIBUTE: &str = "offer";

/// Offers in a page: few enough exchanges for a large catalog, small enough pages for the sandbox's memory.
const PAGE_SIZE: u32 = 500;
/// The most pages of a catalog: a million offers, where a server gives a hundred in a page whatever is asked for. A catalog that
/// goes on beyond is taken for one that never ends.
const PAGES_MAX: usize = 10_000;
/// The most items that are named as left out.
const SKIPPED_MAX: usize = 10_000;
/// The longest product name that platforms are known to show, in Unicode scalar values.
const NAME_LENGTH_MAX: usize = 250;
const DESCRIPTION_LENGTH_MAX: usize = 4_000;
/// Room in a description for some words and two numbers, beside the short description and the offer URI.
const DESCRIPTION_WORDS_BYTES: usize = 48;
const OFFER_URI_LENGTH_MAX: usize = 500;

/// An attribute of a product type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Stable name.
    pub id: &'static str,
    /// The name that an operator reads.
    pub name: &'static str,
}

/// A kind of product. Every product of this plugin leads to licenses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductType {
    /// Stable name.
    pub id: &'static str,
    /// The name that an operator reads.
    pub name: &'static str,
    /// Whether an order of n becomes n items of quantity 1.
    pub split_quantity: bool,
    /// Whether a cancellation waits for an operator.
    pub manual_cancellation: bool,
    /// The attributes of the product type.
    pub attributes: Vec<Attribute>,
}

/// The outcomes of a reading that are no failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The catalog was read to its end.
    Complete(Summary),
    /// Nothing changed since the entity tag.
    Unchanged,
}

/// The result of a complete reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The product types that the products name.
    pub product_types: Vec<ProductType>,
    /// How many products were handed over.
    pub products: u32,
    /// The codes of the items that were left out because they could not be understood, empty ones where Microsoft gave
    /// none.
    pub skipped: Vec<String>,
    /// The entity tag for the next reading; empty when there is none.
    pub entity_tag: String,
}

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
    let Some(mut page) = cis.offers(None, PAGE_SIZE, entity_tag)? else {
        return Ok(Outcome::Unchanged);
    };
    let mut reading = Reading::new(platform, std::mem::take(&mut page.entity_tag));
    for _page in 0..PAGES_MAX {
        let Some(continuation) = reading.take(page)? else {
            return Ok(Outcome::Complete(reading.summary()));
        };
        page = cis
            .offers(Some(&continuation), PAGE_SIZE, "")?
            .ok_or_else(|| endless("Microsoft did not send a page after the first"))?;
    }
    Err(endless(&format!("the catalog has more than {PAGES_MAX} pages")))
}

fn endless(why: &str) -> ReadFailure {
    ReadFailure::Malformed(Problem::new(
        "catalog-endless",
        format!("The catalog can't be read to its end: {why}."),
        "Try again later; if the problem remains, tell Microsoft.",
    ))
}

/// The state that is kept from page to page: digests of names and counts, no products.
struct Reading<'a, P> {
    platform: &'a P,
    entity_tag: String,
    codes: Seen,
    offer_uris: Seen,
    continuations: HashSet<String>,
    items: u64,
    products: u32,
    skipped: Vec<String>,
}

impl<'a, P: Platform> Reading<'a, P> {
    fn new(platform: &'a P, entity_tag: String) -> Self {
        Self {
            platform,
            entity_tag,
            codes: Seen::default(),
            offer_uris: Seen::default(),
            continuations: HashSet::new(),
            items: 0,
            products: 0,
            skipped: Vec::new(),
        }
    }

    /// Hands the products of a page over. Returns the next page's continuation, `None` after the last page.
    fn take(&mut self, page: OffersPage) -> Result<Option<String>, ReadFailure> {
        let mut products = Vec::with_capacity(page.items.len());
        for item in page.items {
            self.items += 1;
            let judged = match item {
                Ok(offer) => self.judge(offer),
                Err(bad) => Judged::Skipped {
                    subject: bad.subject,
                    reason: bad.reason,
                },
            };
            match judged {
                Judged::Sold(product) => products.push(product),
                Judged::NotSold(code) => {
                    let message = "Microsoft no longer sells the offer";
                    self.platform.log(Level::Debug, &code, message);
                }
                Judged::Skipped { subject, reason } => {
                    let message = format!("the offer was left out: {reason}");
                    self.platform.log(Level::Warning, &subject, &message);
                    self.skip(subject);
                }
            }
        }
        let count = u32::try_from(products.len()).unwrap_or(u32::MAX);
        self.products = self.products.saturating_add(count);
        self.platform.put_products(products);
        self.platform.report_progress(self.items, None, "offers");
        match page.continuation {
            Some(next) if !self.continuations.insert(next.clone()) => {
                Err(endless("a page names an earlier page as the next page"))
            }
            next => Ok(next),
        }
    }

    /// Notes the code of an item that was left out. Of too many to name, an empty one says that any may be among them.
    fn skip(&mut self, code: String) {
        match self.skipped.len() {
            ..SKIPPED_MAX => self.skipped.push(code),
            _ => self.skipped = vec![String::new(); SKIPPED_MAX],
        }
    }

    fn judge(&mut self, offer: Offer) -> Judged {
        if let Some(reason) = flaw(&offer) {
            return Judged::Skipped {
                subject: crate::text::subject(&offer.id, OFFER_ID_LENGTH_MAX),
                reason,
            };
        }
        if !self.codes.insert(&offer.id) {
            return Judged::skipped(offer.id, "an earlier offer has the same offer id");
        }
        match offer.status.as_deref() {
            None => {}
            Some(status) if status.eq_ignore_ascii_case("active") => {}
            Some(status) if status.eq_ignore_ascii_case("discontinued") => {
                return Judged::NotSold(offer.id);
            }
            Some(_) => return Judged::skipped(offer.id, "the status is unknown"),
        }
        if !self.offer_uris.insert(&offer.uri) {
            return Judged::skipped(offer.id, "an earlier offer has the same offer URI");
        }
        Judged::Sold(product(offer))
    }

    fn summary(self) -> Summary {
        Summary {
            product_types: vec![ProductType {
                id: PRODUCT_TYPE,
                name: "Microsoft ESD",
                split_quantity: true,
                manual_cancellation: true,
                attributes: vec![Attribute {
                    id: OFFER_ATTRIBUTE,
                    name: "Offer",
                }],
            }],
            products: self.products,
            // With the tag, the next run would hear that nothing has changed, and would count as complete without the
            // items that this run left out.
            entity_tag: match self.skipped.is_empty() {
                true => self.entity_tag,
                false => String::new(),
            },
            skipped: self.skipped,
        }
    }
}

/// The judgment of an item.
enum Judged {
    Sold(Product),
    NotSold(String),
    Skipped { subject: String, reason: String },
}

impl Judged {
    fn skipped(subject: String, reason: &str) -> Self {
        Self::Skipped {
            subject,
            reason: reason.to_owned(),
        }
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
            attribute: OFFER_ATTRIBUTE,
            key: offer.uri,
            label: name.clone(),
        }],
        code: offer.id,
        product_type: PRODUCT_TYPE,
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
    let mut description = crate::text::one_line(short.trim(), DESCRIPTION_LENGTH_MAX);
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

//! Orders: parties, products and quantities.

use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::email_address::is_mailable;

/// The longest language tag. RFC 5646 section 4.4.1 asks every reader to take this length.
pub const LANGUAGE_LENGTH_MAX: usize = 35;

/// A company or person, with the fields that the vendor requires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The platform's own name for the party.
    pub id: String,
    /// The party's name.
    pub name: String,
    /// The country, ISO 3166-1 alpha-2 in upper case.
    pub country: String,
}

/// The address and the language in which the customer is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The e-mail address to which the license is sent.
    pub email: String,
    /// The language as a BCP 47 tag, such as `de-DE`.
    pub language: String,
}

/// A product and its quantity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NewLine {
    /// The product's code.
    pub product_code: String,
    /// The quantity, at least 1.
    pub quantity: u32,
}

/// An order to be placed.
#[derive(Clone, Debug, Serialize)]
pub struct NewOrder {
    /// The instance to order at.
    pub instance_id: Uuid,
    /// The party that gets the licenses.
    pub customer: Party,
    /// The contact to which they are mailed. `None`: the host mails nothing.
    pub contact: Option<Contact>,
    /// The party that sells, if a reseller is involved.
    pub reseller: Option<Party>,
    /// The products and their quantities.
    pub lines: Vec<NewLine>,
    /// The buyer's name for the order: placing it again returns the same order.
    pub idempotency_key: Option<String>,
    /// The platform that orders, by its id, and mails and charges for itself. `None`: the host does, where it is its duty.
    // The digest of a request as an earlier version made it has no such member.
    #[serde(skip)]
    pub platform: Option<Uuid>,
    /// The prices that the buyer was shown: the order is refused where one has changed since. What is not named is not compared.
    #[serde(skip)]
    pub shown_prices: Vec<ShownPrice>,
}

/// The price of a unit of a product, as a buyer was shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPrice {
    /// The product's code.
    pub product_code: String,
    /// The price in minor units of the instance's currency. `None`: the product had none.
    pub minor_units: Option<i64>,
}

/// A line of an order as it was placed: one unit, or all units of a product whose type does not split quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The position, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The units of this line.
    pub quantity: u32,
    /// The asset made for this line.
    pub asset_id: Uuid,
}

/// An order as it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Stable and unique.
    pub id: Uuid,
    /// The instance at which it was placed.
    pub instance_id: Uuid,
    /// The party that gets the licenses.
    pub customer: Party,
    /// The contact to which they are mailed, unless a platform ordered. `None`: none was given, or it was placed before orders had one.
    pub contact: Option<Contact>,
    /// The party that sells, if a reseller is involved.
    pub reseller: Option<Party>,
    /// The buyer's name for the order.
    pub idempotency_key: Option<String>,
    /// The platform that ordered, by its id. `None`: none did.
    pub platform: Option<Uuid>,
    /// When it was placed, in milliseconds.
    pub placed_at_ms: i64,
    /// When the customer and the contact were erased, in milliseconds. `None`: they are on record.
    pub customer_erased_at_ms: Option<i64>,
    /// The lines, each with its own asset.
    pub lines: Vec<OrderLine>,
}

/// An order that was asked for, and whether it is a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed<T = Order> {
    /// The order was placed now.
    New(T),
    /// The order was placed before with the same idempotency key.
    Known(T),
}

impl<T> Placed<T> {
    /// The order.
    pub fn order(&self) -> &T {
        match self {
            Self::New(order) | Self::Known(order) => order,
        }
    }

    /// The order, whether it is new or not.
    pub fn into_order(self) -> T {
        match self {
            Self::New(order) | Self::Known(order) => order,
        }
    }

    /// Whether the order was placed now.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }

    /// The order as something else, as new or known as before.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Placed<U> {
        match self {
            Self::New(order) => Placed::New(make(order)),
            Self::Known(order) => Placed::Known(make(order)),
        }
    }
}

/// Filter of orders: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Orders at an instance.
    pub instance: Option<Uuid>,
    /// Orders of a customer, by the platform's own name for it.
    pub customer: Option<String>,
    /// Orders placed at this time or later, in milliseconds.
    pub since_ms: Option<i64>,
    /// Orders placed before this time, in milliseconds.
    pub until_ms: Option<i64>,
    /// Orders placed with this idempotency key. Each instance has its own keys.
    pub idempotency_key: Option<String>,
    /// Orders of a product, by its code.
    pub product: Option<String>,
    /// Orders in this state as a whole.
    pub settlement: Option<Settlement>,
}

/// The parties of an order: the instance that buys its licenses, the customer, and the reseller if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderParties {
    /// The instance.
    pub instance_id: Uuid,
    /// The instance's name.
    pub instance: String,
    /// The party that gets the licenses.
    pub customer: Party,
    /// The party that sells, if a reseller is involved.
    pub reseller: Option<Party>,
    /// The name of the platform that ordered. `None`: none did.
    pub platform: Option<String>,
}

impl OrderParties {
    /// The party that pays: the reseller if there is one, or else the customer.
    pub fn billing_to(&self) -> &Party {
        self.reseller.as_ref().unwrap_or(&self.customer)
    }
}

/// Whether a text could be a language tag (RFC 5646 section 2.1): letters and digits between hyphens.
pub fn is_language(text: &str) -> bool {
    text.len() <= LANGUAGE_LENGTH_MAX
        && text.split('-').all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Merges lines of the same product into one: quantity limits hold for an order, however it was typed in. A sum beyond
/// 32 bits becomes the largest quantity, which no order may have.
pub fn merged(lines: &[NewLine]) -> Vec<NewLine> {
    let mut merged: Vec<NewLine> = Vec::new();
    let mut places = HashMap::<&str, usize>::new();
    for line in lines {
        let place = *places.entry(&line.product_code).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(known) => known.quantity = known.quantity.saturating_add(line.quantity),
            None => merged.push(line.clone()),
        }
    }
    merged
}

/// A missing or invalid field of a party to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidParty {
    /// The party, such as `the customer`.
    pub party: &'static str,
    /// The field, such as `country`.
    pub field: &'static str,
    /// The field's place in an order, such as `customer.country`.
    pub path: &'static str,
}

impl NewOrder {
    /// The fields that are missing or invalid for the vendor or for the e-mail with the license.
    pub fn invalid_parties(&self) -> Vec<InvalidParty> {
        let invalid =
            |party, field, path, is_valid: bool| (!is_valid).then_some(InvalidParty { party, field, path });
        // A database on a server keeps no NUL, and nobody has a name with one.
        let is_given = |text: &str| !text.trim().is_empty() && !text.contains('\0');
        let (customer, seller) = ("the customer", "the reseller");
        let of = &self.customer;
        let mut fields = vec![
            invalid(customer, "id", "customer.id", is_given(&of.id)),
            invalid(customer, "name", "customer.name", is_given(&of.name)),
            invalid(customer, "country", "customer.country", is_country(&of.country)),
        ];
        if let Some(of) = &self.reseller {
            fields.extend([
                invalid(seller, "id", "reseller.id", is_given(&of.id)),
                invalid(seller, "name", "reseller.name", is_given(&of.name)),
                invalid(seller, "country", "reseller.country", is_country(&of.country)),
            ]);
        }
        if let Some(contact) = &self.contact {
            fields.extend([
                invalid(
                    customer,
                    "e-mail address",
                    "contact.email",
                    is_mailable(&contact.email),
                ),
                invalid(
                    customer,
                    "language",
                    "contact.language",
                    is_language(&contact.language),
                ),
            ]);
        }
        fields.into_iter().flatten().collect()
    }
}

/// Whether a text has the form of a country's code: two capital letters (ISO 3166-1).
pub(crate) fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase())
}

/// The state of an order as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Every asset that is not withdrawn has its license.
    Licensed,
    /// Every asset is settled: some have their license, and others were refused.
    Partly,
    /// Every asset that is not withdrawn was refused.
    Refused,
    /// At least one asset is not settled: it may or may not have been bought.
    Open,
    /// Every asset was withdrawn before it was bought.
    Withdrawn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_product_are_one_in_the_order_of_the_first_and_never_become_fewer_units() {
        let line = |(code, quantity): (&str, u32)| NewLine {
            product_code: code.to_owned(),
            quantity,
        };
        let typed = [("b", 1), ("a", 2), ("b", 3), ("a", u32::MAX)].map(line);
        assert_eq!(merged(&typed), [("b", 4), ("a", u32::MAX)].map(line));
    }

    #[test]
    fn a_party_has_no_id_and_no_name_that_a_database_on_a_server_does_not_keep() {
        let party = |id: &str, name: &str| Party {
            id: id.to_owned(),
            name: name.to_owned(),
            country: "GR".to_owned(),
        };
        let order = NewOrder {
            instance_id: uuid::Uuid::nil(),
            customer: party("c\0", "Customer"),
            contact: None,
            reseller: Some(party("r", "Resel\0ler")),
            lines: Vec::new(),
            idempotency_key: None,
            platform: None,
            shown_prices: Vec::new(),
        };
        let invalid = order.invalid_parties();
        let paths: Vec<_> = invalid.iter().map(|party| party.path).collect();
        assert_eq!(paths, ["customer.id", "reseller.name"]);
    }
}

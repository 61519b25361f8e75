//! The values that a template of an e-mail can name.

use bss_model::Seller;
use serde::Serialize;

use super::text::one_line;

/// The values that a template can name.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    pub(super) customer: Named<'a>,
    pub(super) reseller: Option<Named<'a>>,
    /// Who sells at the instance.
    pub(super) seller: Option<ContextSeller>,
    pub(super) product: ContextProduct<'a>,
    /// The units that the license is for.
    pub(super) quantity: u32,
    /// The vendor, on one line.
    pub(super) vendor: Option<String>,
    /// What is sold, on one line: the product, where no plugin says it.
    pub(super) offering: String,
    /// Missing in the e-mail about a return.
    pub(super) product_key: Option<&'a str>,
    pub(super) activation_link: Option<&'a str>,
    /// The price of all units together.
    pub(super) price: Option<String>,
    pub(super) purchased_on: Option<String>,
    pub(super) returnable_until: Option<String>,
    pub(super) order_id: String,
    pub(super) license_id: String,
    /// The day on which the e-mail was sent that this one repeats.
    pub(super) copy_of: Option<String>,
    /// The licenses of the e-mail, by position in the order.
    pub(super) licenses: Vec<ContextLicense<'a>>,
    /// What is credited for a returned license.
    pub(super) credit: Option<ContextCredit>,
}

/// A license of an e-mail.
#[derive(Serialize)]
pub(super) struct ContextLicense<'a> {
    pub(super) product: ContextProduct<'a>,
    /// The units that the license is for.
    pub(super) quantity: u32,
    pub(super) product_key: &'a str,
    pub(super) activation_link: Option<&'a str>,
    /// The price of all units together.
    pub(super) price: Option<String>,
    pub(super) purchased_on: Option<String>,
    pub(super) returnable_until: Option<String>,
    pub(super) license_id: String,
}

/// The credit of a returned license.
#[derive(Serialize)]
pub(super) struct ContextCredit {
    pub(super) number: String,
    pub(super) amount: String,
    pub(super) credited_on: String,
}

/// Who sells at the instance, each text on one line.
#[derive(Serialize)]
pub(super) struct ContextSeller {
    pub(super) name: String,
    /// The lines of the postal address; may be empty.
    pub(super) address: Vec<String>,
    pub(super) support_email: Option<String>,
    pub(super) support_phone: Option<String>,
    pub(super) logo_url: Option<String>,
}

impl From<&Seller> for ContextSeller {
    fn from(seller: &Seller) -> Self {
        Self {
            name: one_line(&seller.name),
            address: seller.address.iter().map(|line| one_line(line)).collect(),
            support_email: seller.support_email.as_deref().map(one_line),
            support_phone: seller.support_phone.as_deref().map(one_line),
            logo_url: seller.logo_url.clone(),
        }
    }
}

/// A company or person, its name on one line.
#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub(super) id: &'a str,
    pub(super) name: String,
    pub(super) country: &'a str,
}

/// A product, its name on one line.
#[derive(Serialize)]
pub(super) struct ContextProduct<'a> {
    pub(super) code: &'a str,
    pub(super) name: String,
}

impl Context<'static> {
    /// An e-mail with every value that one can have, for trying templates out. The key is not a real one.
    pub(super) fn sample() -> Self {
        let party = |name: &str| Named {
            id: "C-1",
            name: name.to_owned(),
            country: "DE",
        };
        Self {
            customer: party("Example Customer"),
            reseller: Some(party("Example Reseller")),
            seller: Some(ContextSeller {
                name: "Example Seller".to_owned(),
                address: vec!["1 Example Street".to_owned(), "12345 Example Town".to_owned()],
                support_email: Some("support@example.com".to_owned()),
                support_phone: Some("+1 555 0100".to_owned()),
                logo_url: Some("https://example.com/logo.png".to_owned()),
            }),
            product: ContextProduct {
                code: "EP2-00000",
                name: "Example Product".to_owned(),
            },
            quantity: 3,
            vendor: Some("Example Vendor".to_owned()),
            offering: "Example Offering".to_owned(),
            product_key: Some(SAMPLE_KEY),
            activation_link: Some("https://example.com/activate"),
            price: Some("149.00 EUR".to_owned()),
            purchased_on: Some("2026-01-31".to_owned()),
            returnable_until: Some("2026-03-02".to_owned()),
            order_id: uuid::Uuid::nil().to_string(),
            license_id: uuid::Uuid::nil().to_string(),
            copy_of: Some("2026-02-01".to_owned()),
            licenses: vec![ContextLicense::sample(), ContextLicense::bare_sample()],
            credit: Some(ContextCredit {
                number: "ESD-CR-000001".to_owned(),
                amount: "149.00 EUR".to_owned(),
                credited_on: "2026-02-15".to_owned(),
            }),
        }
    }

    /// An e-mail with only the values that every e-mail has.
    pub(super) fn bare_sample() -> Self {
        Self {
            reseller: None,
            seller: None,
            quantity: 1,
            vendor: None,
            activation_link: None,
            price: None,
            purchased_on: None,
            returnable_until: None,
            copy_of: None,
            licenses: vec![ContextLicense::bare_sample()],
            credit: None,
            ..Self::sample()
        }
    }
}

/// A key that is not a real one.
pub(super) const SAMPLE_KEY: &str = "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX";

impl ContextLicense<'static> {
    fn sample() -> Self {
        Self {
            quantity: 3,
            activation_link: Some("https://example.com/activate"),
            price: Some("149.00 EUR".to_owned()),
            purchased_on: Some("2026-01-31".to_owned()),
            returnable_until: Some("2026-03-02".to_owned()),
            ..Self::bare_sample()
        }
    }

    fn bare_sample() -> Self {
        Self {
            product: ContextProduct {
                code: "EP2-00000",
                name: "Example Product".to_owned(),
            },
            quantity: 1,
            product_key: SAMPLE_KEY,
            activation_link: None,
            price: None,
            purchased_on: None,
            returnable_until: None,
            license_id: uuid::Uuid::nil().to_string(),
        }
    }
}

//! What a platform says of a license: which subscription, for whom, which product, and whether it means it (`ServiceDefinition`).

use bss_model::{Party, Product, Requester, RequesterKind};

use super::members::{Members, Unreadable, truth};

/// The longest name, id or number that is taken.
const TEXT_LENGTH_MAX: usize = 400;

/// The longest id of a subscription. With the application's name before it, it is the key of an order.
const SUBSCRIPTION_LENGTH_MAX: usize = 128;

/// Whether a call is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// A call to be carried out.
    Really,
    /// A question beforehand, whether the call could be carried out.
    Check,
    /// A test of the platform's.
    Test,
}

/// A message about a license.
pub(crate) struct ServiceRequest<'a> {
    members: &'a Members,
    account: Option<&'a Members>,
    pub(crate) meant: Meant,
    /// The platform's name for what is bought, which it keeps for all calls about it.
    pub(crate) subscription: Option<&'a str>,
    /// The asset's id, from an earlier answer.
    pub(crate) id: Option<&'a str>,
    /// The quantity. `None`: none is given, which is 1 where something is bought.
    pub(crate) quantity: Option<u32>,
}

impl<'a> ServiceRequest<'a> {
    /// Reads a message, and the query beside it, which may say too that a call is not meant.
    pub(crate) fn read(members: &'a Members, query: Option<&str>) -> Result<Self, Unreadable> {
        let account = members.object("Account")?;
        let says = |member| {
            let of_account = account.map(|account| account.flag(member)).transpose()?;
            Ok(members.flag(member)? | query_flag(query, member)? | of_account.unwrap_or_default())
        };
        let (check, test) = (says("CheckOnly")?, says("IsTest")?);
        Ok(Self {
            members,
            account,
            meant: match (check, test) {
                (_, true) => Meant::Test,
                (true, false) => Meant::Check,
                (false, false) => Meant::Really,
            },
            subscription: subscription(members)?,
            id: short(members, "ID")?,
            quantity: quantity(members)?,
        })
    }

    /// The subscription, where it is needed.
    pub(crate) fn needed_subscription(&self) -> Result<&'a str, Unreadable> {
        let member = "SubscriptionID";
        self.subscription.ok_or(Unreadable::Missing { member })
    }

    /// The customer, with what the vendor needs of it.
    pub(crate) fn customer(&self) -> Result<Party, Unreadable> {
        let missing = |member| Unreadable::Missing { member };
        let account = self.account.ok_or(missing("Account"))?;
        let address = account.object("Address")?.ok_or(missing("Account.Address"))?;
        let country = address
            .object("Country")?
            .ok_or(missing("Account.Address.Country"))?;
        let text =
            |members: &Members, member, of| short(members, member)?.map(ToOwned::to_owned).ok_or(missing(of));
        Ok(Party {
            id: text(account, "ID", "Account.ID")?,
            name: text(account, "Name", "Account.Name")?,
            country: text(country, "Code", "Account.Address.Country.Code")?.to_ascii_uppercase(),
        })
    }

    /// The person who asks. A storefront is the customer's.
    pub(crate) fn requester(&self, platform: &str) -> Requester {
        let by = self.members.object("RequestedBy").ok().flatten();
        let text = |member| by.and_then(|by| short(by, member).ok().flatten());
        let both = [text("FirstName"), text("LastName")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        let name = text("DisplayName").or(Some(both.as_str()).filter(|both| !both.is_empty()));
        let name = name.or(text("Email")).unwrap_or(platform);
        let kind = match text("Type").map(str::to_ascii_lowercase).as_deref() {
            Some("storefront") => RequesterKind::Customer,
            Some("reseller") => RequesterKind::Reseller,
            _ => RequesterKind::Operator,
        };
        Requester {
            kind,
            name: name.to_owned(),
        }
    }

    /// The id of the account, where one is given.
    pub(crate) fn account_id(&self) -> Result<Option<&'a str>, Unreadable> {
        self.account.map_or(Ok(None), |account| short(account, "ID"))
    }

    /// The product that is meant. Of several with the same values, the one that is sold still.
    pub(crate) fn product<'p>(&self, products: &'p [Product]) -> Result<&'p Product, Unreadable> {
        let mut meant = self.products(products)?;
        if meant.len() > 1 {
            meant.retain(|product| !product.discontinued);
        }
        match meant.as_slice() {
            [product] => Ok(product),
            _ => Err(Unreadable::Value {
                member: "AttributeList",
                expected: "values of one product alone",
            }),
        }
    }

    /// The products that may be meant: by the values of their attributes, or else by their code.
    pub(crate) fn products<'p>(&self, products: &'p [Product]) -> Result<Vec<&'p Product>, Unreadable> {
        let mut meant: Vec<&Product> = products.iter().collect();
        if let Some(product_type) = short(self.members, "ServiceType")?
            && meant
                .iter()
                .any(|product| product.offered.product_type == product_type)
        {
            meant.retain(|product| product.offered.product_type == product_type);
        }
        let mut is_named = false;
        for (name, attribute) in self.members.objects("AttributeList")? {
            let id = short(attribute, "ID")?.or(name).unwrap_or_default();
            let values = [short(attribute, "Code")?, short(attribute, "Value")?];
            let values: Vec<&str> = values
                .into_iter()
                .flatten()
                .flat_map(|value| spellings(id, value))
                .collect();
            let has = |product: &&Product, value: &str| {
                product.offered.code == value
                    || product
                        .offered
                        .attribute_values
                        .iter()
                        .any(|known| known.attribute.eq_ignore_ascii_case(id) && known.key == value)
            };
            let is_known = meant.iter().any(|product| {
                product
                    .offered
                    .attribute_values
                    .iter()
                    .any(|known| known.attribute.eq_ignore_ascii_case(id))
            });
            // `Code` is the value as it was defined; `Value` may be what a person reads.
            let found = values
                .iter()
                .find(|value| meant.iter().any(|product| has(product, value)));
            match found {
                Some(value) => {
                    meant.retain(|product| has(product, value));
                    is_named = true;
                }
                None if is_known && !values.is_empty() => {
                    let expected = "a value that a product has";
                    return Err(Unreadable::Value {
                        member: "AttributeList",
                        expected,
                    });
                }
                None => {}
            }
        }
        if let Some(code) = short(self.members, "ProductID")?
            && (!is_named || meant.len() > 1)
            && meant.iter().any(|product| product.offered.code == code)
        {
            meant.retain(|product| product.offered.code == code);
            is_named = true;
        }
        match is_named {
            true => Ok(meant),
            false => Err(Unreadable::Missing {
                member: "AttributeList",
            }),
        }
    }
}

/// How a value may be written: as it is, and with its attribute's name before it.
fn spellings<'a>(attribute: &str, value: &'a str) -> impl Iterator<Item = &'a str> {
    let bare = value
        .get(..attribute.len())
        .filter(|before| !attribute.is_empty() && before.eq_ignore_ascii_case(attribute))
        .and_then(|before| value.get(before.len()..)?.strip_prefix('_'));
    [Some(value), bare].into_iter().flatten()
}

/// A text of a length that a name has.
fn short<'a>(members: &'a Members, member: &'static str) -> Result<Option<&'a str>, Unreadable> {
    let text = members.text(member)?;
    match text.is_some_and(|text| text.chars().count() > TEXT_LENGTH_MAX) {
        true => Err(Unreadable::Value {
            member,
            expected: "a text of at most 400 characters",
        }),
        false => Ok(text),
    }
}

fn subscription(members: &Members) -> Result<Option<&str>, Unreadable> {
    let member = "SubscriptionID";
    let text = members.text(member)?;
    let is_fine = |text: &str| text.len() <= SUBSCRIPTION_LENGTH_MAX && !text.chars().any(char::is_control);
    match text.is_none_or(is_fine) {
        true => Ok(text),
        false => Err(Unreadable::Value {
            member,
            expected: "a text of at most 128 bytes without control characters",
        }),
    }
}

fn quantity(members: &Members) -> Result<Option<u32>, Unreadable> {
    let member = "Quantity";
    match members.text(member)? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Unreadable::Value {
            member,
            expected: "a whole number",
        }),
    }
}

/// Whether a parameter of the query, in any case, says true.
pub(crate) fn query_flag(query: Option<&str>, member: &'static str) -> Result<bool, Unreadable> {
    let mut says = false;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name.eq_ignore_ascii_case(member) {
            let expected = "true or false";
            // A parameter without a value is one that is set.
            says |= value.is_empty() || truth(&value).ok_or(Unreadable::Value { member, expected })?;
        }
    }
    Ok(says)
}

#[cfg(test)]
mod tests {
    use bss_model::{AttributeValue, NewProduct};
    use serde_json::{Value, json};

    use super::*;

    fn product(code: &str, offer: &str) -> Product {
        Product {
            offered: NewProduct {
                code: code.to_owned(),
                product_type: "microsoft-esd".to_owned(),
                name: code.to_owned(),
                description: String::new(),
                attribute_values: vec![AttributeValue {
                    attribute: "offer".to_owned(),
                    key: offer.to_owned(),
                    label: format!("Office {code}"),
                }],
                min_quantity: 1,
                max_quantity: None,
                returnable: true,
            },
            active: true,
            published: true,
            discontinued: false,
        }
    }

    fn members(message: &Value) -> Members {
        Members::read(message.to_string().as_bytes()).unwrap()
    }

    fn meant(message: &Value) -> Result<String, Unreadable> {
        let products = [
            product("A", "/a"),
            product("B", "/b"),
            Product {
                discontinued: true,
                ..product("C", "/b")
            },
        ];
        let members = members(message);
        let asked = ServiceRequest::read(&members, None)?;
        asked
            .product(&products)
            .map(|product| product.offered.code.clone())
    }

    #[test]
    fn a_product_is_found_by_its_attribute_however_that_is_written() {
        for message in [
            json!({ "AttributeList": { "offer": { "ID": "offer", "Code": "/a", "Value": "Office A" } } }),
            json!({ "AttributeList": { "offer": { "Value": " /a " } } }),
            json!({ "attributeList": [{ "id": "Offer", "value": "offer_/a" }] }),
            json!({ "AttributeList": { "offer": { "Code": "OFFER_/a" }, "color": { "Value": "red" } } }),
            json!({ "AttributeList": { "offer": { "Code": "/a" } }, "ProductID": 5521 }),
            json!({ "AttributeList": {}, "ProductID": "A" }),
            json!({ "ServiceType": "microsoft-esd", "AttributeList": { "offer": { "Value": "A" } } }),
        ] {
            assert_eq!(meant(&message), Ok("A".to_owned()), "{message}");
        }
        // Of two products with the value, the one that is sold still; the other goes by its code.
        assert_eq!(
            meant(&json!({ "AttributeList": [{ "ID": "offer", "Code": "/b" }] })),
            Ok("B".to_owned())
        );
        let former = json!({ "AttributeList": [{ "ID": "offer", "Code": "/b" }], "ProductID": "C" });
        assert_eq!(meant(&former), Ok("C".to_owned()));
    }

    #[test]
    fn a_product_is_never_guessed() {
        for message in [
            json!({}),
            json!({ "ProductID": "5521" }),
            json!({ "AttributeList": { "offer": { "Code": "/z" } } }),
            json!({ "AttributeList": { "offer": { "Code": "/z" } }, "ProductID": "A" }),
            json!({ "AttributeList": { "offer": { "Code": "" } } }),
            json!({ "AttributeList": { "color": { "Code": "red" } } }),
            json!({ "AttributeList": "offer" }),
        ] {
            assert!(meant(&message).is_err(), "{message}");
        }
    }

    #[test]
    fn a_call_is_meant_unless_anything_says_that_it_is_not() {
        let of = |message: Value, query| {
            let members = members(&message);
            ServiceRequest::read(&members, query).map(|asked| asked.meant)
        };
        assert_eq!(of(json!({}), None), Ok(Meant::Really));
        assert_eq!(
            of(
                json!({ "CheckOnly": false, "IsTest": "false", "Account": { "IsTest": 0 } }),
                None
            ),
            Ok(Meant::Really)
        );
        assert_eq!(of(json!({ "checkOnly": "true" }), None), Ok(Meant::Check));
        assert_eq!(
            of(json!({ "CheckOnly": false }), Some("checkonly=1")),
            Ok(Meant::Check)
        );
        assert_eq!(
            of(json!({ "IsTest": true, "CheckOnly": true }), None),
            Ok(Meant::Test)
        );
        assert_eq!(
            of(json!({ "Account": { "IsTest": true } }), None),
            Ok(Meant::Test)
        );
        assert!(of(json!({ "CheckOnly": "maybe" }), None).is_err());
        assert!(of(json!({}), Some("CheckOnly=maybe")).is_err());
        assert!(of(json!({ "Account": { "IsTest": [] } }), None).is_err());
    }

    #[test]
    fn a_customer_has_what_the_vendor_needs_or_the_member_is_named_that_lacks() {
        let of = |message: Value| {
            let members = members(&message);
            ServiceRequest::read(&members, None)?.customer()
        };
        let account =
            json!({ "ID": 13, "Name": " My Customer ", "Address": { "Country": { "Code": "de" } } });
        let party = of(json!({ "Account": account })).unwrap();
        assert_eq!(
            (party.id.as_str(), party.name.as_str(), party.country.as_str()),
            ("13", "My Customer", "DE")
        );
        for (message, member) in [
            (json!({}), "Account"),
            (json!({ "Account": { "ID": 1, "Name": "a" } }), "Account.Address"),
            (
                json!({ "Account": { "ID": 1, "Name": "a", "Address": {} } }),
                "Account.Address.Country",
            ),
            (
                json!({ "Account": { "ID": 1, "Name": "a", "Address": { "Country": {} } } }),
                "Account.Address.Country.Code",
            ),
            (
                json!({ "Account": { "Name": "a", "Address": { "Country": { "Code": "DE" } } } }),
                "Account.ID",
            ),
        ] {
            assert_eq!(of(message), Err(Unreadable::Missing { member }));
        }
    }

    #[test]
    fn a_quantity_and_a_subscription_are_read_as_they_are_or_not_at_all() {
        let of = |message: Value| {
            let members = members(&message);
            let asked = ServiceRequest::read(&members, None)?;
            Ok((asked.quantity, asked.subscription.map(ToOwned::to_owned)))
        };
        assert_eq!(
            of(json!({ "Quantity": "2", "SubscriptionID": 84213 })),
            Ok((Some(2), Some("84213".to_owned())))
        );
        assert_eq!(of(json!({ "SubscriptionID": "" })), Ok((None, None)));
        for message in [
            json!({ "Quantity": "many" }),
            json!({ "Quantity": -1 }),
            json!({ "Quantity": 1.5 }),
            json!({ "SubscriptionID": "a\nb" }),
            json!({ "SubscriptionID": "x".repeat(SUBSCRIPTION_LENGTH_MAX + 1) }),
        ] {
            let read: Result<_, Unreadable> = of(message.clone());
            assert!(read.is_err(), "{message}");
        }
    }
}

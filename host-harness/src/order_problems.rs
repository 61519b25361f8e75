//! All that is wrong with an order at once, for who has to correct it. Whether an order can be placed is decided where it is placed.

use std::collections::BTreeSet;

use bss_model::{Contact, InvalidParty, NewLine, NewOrder, Party};
use bss_record::PlaceError;
use uuid::Uuid;

use crate::error::Error;
use crate::handles::InstanceHandle;
use crate::host::Host;
use crate::license_order::{self, OrderRequest};

/// Products that are looked at. Each takes a transaction, for which others wait; who corrects so many asks again.
const PRODUCTS_MAX: usize = 20;

/// A country, a name, an address and a language that nobody objects to, in the place of those that were.
const FINE: (&str, &str, &str, &str) = ("DE", "x", "x@example.com", "en");

impl InstanceHandle {
    /// All that is wrong with an order, each with its field, such as `lines[0].quantity`; of at most 20 products, that of `refused`
    /// among them. Empty: nothing is, as far as this host knows. Nothing is written, and the plugin is not asked.
    ///
    /// `refused` is why the order was not placed. Where that is about no party and no product, the order is not looked at: there is
    /// nothing to add. `None`: the order was not tried.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn order_problems(
        &self,
        request: &OrderRequest,
        refused: Option<&Error>,
    ) -> Result<Vec<(String, Error)>, Error> {
        let mut product = None;
        if let Some(refused) = refused {
            match refused.made_by() {
                Some(license_order::PlaceError::Order(error)) if is_of_a_field(error) => {
                    product = product_of(error);
                }
                _ => return Ok(Vec::new()),
            }
        }
        self.host()
            .order_problems(self.id().into(), request, product)
            .await
    }
}

impl Host {
    pub(crate) async fn order_problems(
        &self,
        instance_id: Uuid,
        request: &OrderRequest,
        refused_product: Option<&str>,
    ) -> Result<Vec<(String, Error)>, Error> {
        let mut found: Vec<(String, Error)> = party_problems(instance_id, request)
            .into_iter()
            .map(|(field, error)| (field, error.into()))
            .collect();
        if request.lines.is_empty() {
            found.push(("lines".to_owned(), PlaceError::Empty.into()));
        }
        for (index, line) in looked_at(&request.lines, refused_product) {
            let of_product = request
                .lines
                .iter()
                .filter(|other| other.product_code == line.product_code);
            let order = order_of(instance_id, request, of_product.cloned().collect());
            match self.record().check_order(order).await {
                Ok(_) => {}
                Err(PlaceError::Record(error)) => return Err(error.into()),
                Err(error) => found.extend(line_field(index, &error).map(|field| (field, error.into()))),
            }
        }
        Ok(found)
    }
}

/// The first line of each product that is looked at, with its place.
fn looked_at<'a>(lines: &'a [NewLine], refused_product: Option<&str>) -> Vec<(usize, &'a NewLine)> {
    let mut seen = BTreeSet::new();
    let of_products = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| seen.insert(&line.product_code));
    let mut of_products: Vec<_> = of_products.collect();
    of_products.sort_by_key(|(_, line)| Some(line.product_code.as_str()) != refused_product);
    of_products.truncate(PRODUCTS_MAX);
    of_products.sort_by_key(|(index, _)| *index);
    of_products
}

/// Whether somebody corrects a field for that, and may have more to correct.
fn is_of_a_field(error: &PlaceError) -> bool {
    matches!(error, PlaceError::IncompleteParty { .. } | PlaceError::Empty) || product_of(error).is_some()
}

/// The product that a problem is about.
fn product_of(error: &PlaceError) -> Option<&str> {
    match error {
        PlaceError::UnknownProduct { code }
        | PlaceError::Discontinued { code }
        | PlaceError::Inactive { code }
        | PlaceError::NoPrice { code, .. }
        | PlaceError::Quantity { code, .. }
        | PlaceError::AmountTooLarge { code, .. } => Some(code),
        _ => None,
    }
}

/// The field of a problem with a line. `None`: the problem is not the line's.
fn line_field(index: usize, error: &PlaceError) -> Option<String> {
    let field = match error {
        PlaceError::UnknownProduct { .. }
        | PlaceError::Discontinued { .. }
        | PlaceError::Inactive { .. }
        | PlaceError::NoPrice { .. } => "productCode",
        PlaceError::Quantity { .. } | PlaceError::TooManyUnits | PlaceError::AmountTooLarge { .. } => {
            "quantity"
        }
        _ => return None,
    };
    Some(format!("lines[{index}].{field}"))
}

/// An order of some lines by parties that nobody objects to.
fn order_of(instance_id: Uuid, request: &OrderRequest, lines: Vec<NewLine>) -> NewOrder {
    let (country, name, email, language) = FINE;
    NewOrder {
        instance_id,
        customer: Party {
            id: name.to_owned(),
            name: name.to_owned(),
            country: country.to_owned(),
        },
        contact: request.contact.as_ref().map(|_| Contact {
            email: email.to_owned(),
            language: language.to_owned(),
        }),
        reseller: None,
        lines,
        idempotency_key: None,
        platform: request.platform,
        shown_prices: Vec::new(),
    }
}

/// Every field of a party that is missing or invalid.
fn party_problems(instance_id: Uuid, request: &OrderRequest) -> Vec<(String, PlaceError)> {
    let order = NewOrder {
        customer: request.customer.clone(),
        contact: request.contact.clone(),
        reseller: request.reseller.clone(),
        ..order_of(instance_id, request, Vec::new())
    };
    let problem =
        |InvalidParty { party, field, path }| (path.to_owned(), PlaceError::IncompleteParty { party, field });
    order.invalid_parties().into_iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use bss_model::Diagnose as _;

    use super::*;

    fn party(id: &str, name: &str, country: &str) -> Party {
        Party {
            id: id.to_owned(),
            name: name.to_owned(),
            country: country.to_owned(),
        }
    }

    fn fields(request: &OrderRequest) -> Vec<String> {
        let found = party_problems(Uuid::nil(), request).into_iter();
        found
            .map(|(field, error)| {
                assert_eq!(error.diagnosis().code, "incomplete-party");
                field
            })
            .collect()
    }

    #[test]
    fn every_field_of_every_party_is_found_and_what_is_right_is_not() {
        let contact = |email: &str, language: &str| Contact {
            email: email.to_owned(),
            language: language.to_owned(),
        };
        let wrong = OrderRequest::new(party("", " ", "de"))
            .reseller(party("R-1", "", ""))
            .mail_to(contact("nobody", "?"));
        let expected = [
            "customer.id",
            "customer.name",
            "customer.country",
            "reseller.name",
            "reseller.country",
            "contact.email",
            "contact.language",
        ];
        assert_eq!(fields(&wrong), expected);
        let right = OrderRequest::new(party("C-1", "Beispiel GmbH", "DE"))
            .reseller(party("R-1", "Handel AG", "DE"))
            .mail_to(contact("it@beispiel.example", "de-DE"));
        assert!(fields(&right).is_empty());
        assert!(fields(&OrderRequest::new(party("C-1", "Beispiel GmbH", "DE"))).is_empty());
    }

    #[test]
    fn at_most_twenty_products_are_looked_at_and_the_refused_one_among_them() {
        let mut lines: Vec<NewLine> = (0..30)
            .map(|number| NewLine {
                product_code: format!("P-{number}"),
                quantity: 1,
            })
            .collect();
        let places = |lines: &[NewLine], refused| {
            let found = looked_at(lines, refused).into_iter();
            found.map(|(index, _)| index).collect::<Vec<_>>()
        };
        assert_eq!(places(&lines, None), (0..20).collect::<Vec<_>>());
        let with_refused: Vec<_> = (0..19).chain([27]).collect();
        assert_eq!(places(&lines, Some("P-27")), with_refused);
        for line in &mut lines {
            line.product_code = "P-0".to_owned();
        }
        assert_eq!(places(&lines, None), [0]);
    }

    #[test]
    fn what_no_field_is_wrong_for_is_told_alone() {
        let code = || "P-1".to_owned();
        assert!(is_of_a_field(&PlaceError::UnknownProduct { code: code() }));
        assert!(is_of_a_field(&PlaceError::Empty));
        assert!(!is_of_a_field(&PlaceError::TooManyUnits));
        assert!(!is_of_a_field(&PlaceError::KeyReused {
            key: code(),
            order: Uuid::nil()
        }));
    }

    #[tokio::test]
    async fn an_order_of_nothing_at_no_instance_is_told_of_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path().join("bss")).create().await.unwrap();
        let request = OrderRequest::new(party("C-1", "Beispiel GmbH", "DE"));
        let found = host.order_problems(Uuid::nil(), &request, None).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.as_str(), found[0].1.code()), ("lines", "empty-order"));
    }
}

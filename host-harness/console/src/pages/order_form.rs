//! The form of an order: what was typed, read as what it means, and all that is wrong with it, each at its field.

use bss_model::{
    Advice, Contact, ErrorKind, Order, OrderFilter, Page, Party, Product, ProductFilter, SortOrder,
    with_causes,
};
use host_harness::{Error, InstanceHandle, OrderRequest, view};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::countries;
use super::wrong::Wrong;
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;

/// The rows for products that a form has at first, and that a button adds.
const ROWS: usize = 3;

/// The most rows for products that are read from a form.
const ROWS_MAX: usize = 100;

/// The most products that are chosen from a list: in a longer one, nobody finds anything without typing.
const LISTED_MAX: usize = 200;

/// The most products of an instance that a field suggests.
const SUGGESTED_MAX: u32 = 500;

/// The most instances that are looked at for something to order.
const TRIED_MAX: usize = 20;

/// The most products that are named as what may have been meant.
const NEAR_MAX: usize = 3;

/// A row for a product, as it was typed.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    product: String,
    quantity: String,
}

impl Row {
    /// Whether nothing is to be ordered by the row: a first quantity stands there already.
    fn is_blank(&self) -> bool {
        self.product.is_empty() && ["", "1"].contains(&self.quantity.as_str())
    }
}

/// The name of the field for the product of a row.
fn product_field(row: usize) -> String {
    format!("lines[{row}].productCode")
}

/// The name of the field for the quantity of a row.
fn quantity_field(row: usize) -> String {
    format!("lines[{row}].quantity")
}

/// What stands in the form.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Typed {
    /// The instance, by its id or its name.
    pub(super) instance: String,
    rows: Vec<Row>,
    pub(super) customer: String,
    name: String,
    country: String,
    email: String,
    language: String,
    /// The language of the e-mails: what was typed, or else that of the customer's latest order or of the country.
    #[serde(skip)]
    meant_language: String,
    /// The rows that the form had, empty ones among them.
    #[serde(skip)]
    rows_shown: usize,
}

/// What is wrong with a field, and what helps.
#[derive(Debug)]
pub(super) struct Problem {
    field: String,
    message: String,
    advice: String,
}

impl Problem {
    /// A problem in the words of the form.
    fn of(me: &Me, field: &str, word: &str, values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let values: Vec<_> = values.collect();
        Self {
            field: field.to_owned(),
            message: me.text(&format!("words.{word}"), &values),
            advice: String::new(),
        }
    }

    /// A problem in the words of the host.
    fn of_host(field: &str, error: &Error) -> Self {
        let advice = error.advice().map(Advice::sentence).unwrap_or_default();
        Self {
            field: field.to_owned(),
            message: with_causes(error),
            advice: advice.into_owned(),
        }
    }
}

impl Typed {
    /// A new form, for one of a product. Empty: nobody has chosen any.
    pub(super) fn begun(instance: Option<Uuid>, product: String) -> Self {
        let quantity = "1".to_owned();
        Self {
            instance: instance.map(|id| id.to_string()).unwrap_or_default(),
            rows: vec![Row { product, quantity }],
            ..Self::default()
        }
    }

    pub(super) fn of(form: &Form) -> Self {
        let shown = (0..ROWS_MAX).filter(|row| form.has(&product_field(*row)));
        let rows = (0..ROWS_MAX).map(|row| Row {
            product: form.text(&product_field(row)),
            quantity: form.text(&quantity_field(row)),
        });
        Self {
            instance: form.text("instance"),
            rows: rows.filter(|row| !row.is_blank()).collect(),
            customer: form.text("customer.id"),
            name: form.text("customer.name"),
            country: form.text("customer.country"),
            email: form.text("contact.email"),
            language: form.text("contact.language"),
            meant_language: String::new(),
            rows_shown: shown.count(),
        }
    }

    /// The form of somebody who has ordered before, as the latest order has it.
    pub(super) fn of_customer(mut self, latest: &Order) -> Self {
        if self.instance.is_empty() {
            self.instance = latest.instance_id.to_string();
        }
        self.customer.clone_from(&latest.customer.id);
        self.name.clone_from(&latest.customer.name);
        self.country.clone_from(&latest.customer.country);
        if let Some(contact) = &latest.contact {
            self.email.clone_from(&contact.email);
            self.language.clone_from(&contact.language);
        }
        self
    }

    /// The fields by name, for a page that sends them again.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let rows = self.rows.iter().enumerate().flat_map(|(index, row)| {
            let fields = [product_field(index), quantity_field(index)];
            fields
                .into_iter()
                .zip([row.product.clone(), row.quantity.clone()])
        });
        let others = [
            ("instance", &self.instance),
            ("customer.id", &self.customer),
            ("customer.name", &self.name),
            ("customer.country", &self.country),
            ("contact.email", &self.email),
            ("contact.language", &self.language),
        ];
        let others = others.map(|(name, value)| (name.to_owned(), value.clone()));
        rows.chain(others).collect()
    }

    /// The order that the form is for. The host says what else is wrong with it.
    pub(super) fn request(&self, key: &str) -> OrderRequest {
        let customer = Party {
            id: self.customer.clone(),
            name: self.name.clone(),
            country: self.country.clone(),
        };
        let mut request = OrderRequest::new(customer).key(key);
        if !self.email.is_empty() {
            request = request.mail_to(Contact {
                email: self.email.clone(),
                language: self.meant_language.clone(),
            });
        }
        let rows = self.rows.iter().filter(|row| !row.product.is_empty());
        rows.fold(request, |request, row| {
            // A quantity that is no number is told before the host is asked.
            request.line(row.product.as_str(), row.quantity.parse().unwrap_or(1))
        })
    }

    /// Reads what was typed as what it means: a product by its name, a country by its name, and no quantity as one. Returns what can't
    /// be read, by field.
    pub(super) async fn read(
        &mut self,
        me: &Me,
        instance: &InstanceHandle,
        latest: Option<&Order>,
    ) -> Result<Vec<Problem>, Failure> {
        // The lines of the order are the first rows, so that both are counted alike.
        self.rows.sort_by_key(|row| row.product.is_empty());
        let mut wrong = Vec::new();
        let mut all = None;
        for (index, row) in self.rows.iter_mut().enumerate() {
            if row.product.is_empty() {
                wrong.push(Problem::of(me, &product_field(index), "wrong-row", &[]));
                continue;
            }
            match meant(me, instance, &row.product, &mut all).await? {
                Meant::Product(code) => row.product = code,
                Meant::Nothing(near) => {
                    let word = match near.as_str() {
                        "" => "wrong-product",
                        _ => "wrong-product-near",
                    };
                    let values = [("typed", row.product.as_str()), ("near", near.as_str())];
                    wrong.push(Problem::of(me, &product_field(index), word, &values));
                }
            }
            if row.quantity.is_empty() {
                "1".clone_into(&mut row.quantity);
            }
            if row.quantity.parse::<u32>().is_err() {
                let values = [("typed", row.quantity.as_str())];
                wrong.push(Problem::of(me, &quantity_field(index), "wrong-quantity", &values));
            }
        }
        match countries::code(&self.country) {
            Some(code) => code.clone_into(&mut self.country),
            None => {
                let word = match self.country.is_empty() {
                    true => "wrong-no-country",
                    false => "wrong-country",
                };
                let values = [("typed", self.country.as_str())];
                wrong.push(Problem::of(me, "customer.country", word, &values));
            }
        }
        // What nobody has typed stays out of the form: it would still stand there when the country is another one.
        let contact = latest.and_then(|order| order.contact.as_ref());
        self.meant_language = match (self.language.is_empty(), contact) {
            (false, _) => self.language.clone(),
            (true, Some(contact)) => contact.language.clone(),
            (true, None) => countries::language(&self.country),
        };
        Ok(wrong)
    }
}

/// The product that a text means.
enum Meant {
    /// A product, by its code.
    Product(String),
    /// No product. The text names those that may have been meant, and is empty where there are none.
    Nothing(String),
}

/// Finds the product that a text means: by its code, or else by its name or its code in other letters where that is one product.
/// `all`: the products of the instance, once they were read.
async fn meant(
    me: &Me,
    instance: &InstanceHandle,
    text: &str,
    all: &mut Option<Vec<Product>>,
) -> Result<Meant, Failure> {
    let (record, id) = (me.host().record(), instance.id().into());
    if record.product(id, text).await?.is_some() {
        return Ok(Meant::Product(text.to_owned()));
    }
    if all.is_none() {
        *all = Some(
            record
                .products(id, &ProductFilter::default(), &Page::all())
                .await?
                .rows,
        );
    }
    let all = all.as_deref().unwrap_or_default();
    Ok(meant_of(all, text))
}

fn meant_of(all: &[Product], text: &str) -> Meant {
    let text = text.to_lowercase();
    let is_it = |product: &&Product| {
        let offered = &product.offered;
        [&offered.code, &offered.name]
            .iter()
            .any(|name| name.to_lowercase() == text)
    };
    let same: Vec<&Product> = all.iter().filter(is_it).collect();
    let sold: Vec<&Product> = same
        .iter()
        .copied()
        .filter(|product| product.is_on_sale())
        .collect();
    match (sold.as_slice(), same.as_slice()) {
        ([one], _) | ([], [one]) => Meant::Product(one.offered.code.clone()),
        ([], _) => Meant::Nothing(named(&near(all, &text))),
        (several, _) => Meant::Nothing(named(several)),
    }
}

/// The products on sale that have at least half of the words of a text, those with the most first.
fn near<'a>(all: &'a [Product], text: &str) -> Vec<&'a Product> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let rated = all.iter().filter(|product| product.is_on_sale()).map(|product| {
        let names = format!("{} {}", product.offered.name, product.offered.code).to_lowercase();
        let found = words.iter().filter(|word| names.contains(**word)).count();
        (found, product)
    });
    let mut rated: Vec<_> = rated
        .filter(|(found, _)| *found > 0 && found * 2 >= words.len())
        .collect();
    rated.sort_by_key(|(found, product)| (std::cmp::Reverse(*found), product.offered.name.as_str()));
    rated.into_iter().map(|(_, product)| product).collect()
}

/// Products in a sentence.
fn named(products: &[&Product]) -> String {
    let names = products.iter().take(NEAR_MAX).map(|product| {
        let offered = &product.offered;
        format!("{} ({})", offered.name, offered.code)
    });
    names.collect::<Vec<_>>().join(", ")
}

/// All that is wrong with an order, in the order of the form: what can't be read, and what the host has against the rest. `refused`: why
/// the host did not take it. `None`: it was not asked, since something can't be read.
pub(super) async fn wrong(
    me: &Me,
    instance: &InstanceHandle,
    typed: &Typed,
    unread: Vec<Problem>,
    refused: Option<&Error>,
) -> Wrong {
    let found = match refused.is_some_and(Error::is_transient) {
        true => Vec::new(),
        // What can't be found out now is not said: why it was refused is.
        false => instance
            .order_problems(&typed.request(""), refused)
            .await
            .unwrap_or_default(),
    };
    let mut problems = unread;
    for (field, error) in &found {
        let field = match field.as_str() {
            "lines" => product_field(0),
            field => field.to_owned(),
        };
        if !problems.iter().any(|known| known.field == field) {
            problems.push(told(me, typed, &field, error));
        }
    }
    if let Some(refused) = refused.filter(|_| problems.is_empty()) {
        let field = match refused.code() {
            "no-contact" => "contact.email",
            // A vendor's word about a customer, whose fields are there.
            code if code.starts_with("customer-") => "customer",
            _ => "",
        };
        problems.push(told(me, typed, field, refused));
    }
    problems.sort_by_key(|problem| place(&problem.field));
    let mut wrong = Wrong::default();
    for problem in problems {
        wrong.add(&problem.field, &problem.message, &problem.advice);
    }
    wrong
}

/// Where a field stands in the form, from the top.
fn place(field: &str) -> usize {
    let parts = ["instance", "lines", "customer", "contact"];
    let found = parts.iter().position(|part| field.starts_with(part));
    found.unwrap_or(parts.len())
}

/// What is wrong with a field, in the words of the form where it has any, or else of the host.
fn told(me: &Me, typed: &Typed, field: &str, error: &Error) -> Problem {
    let (word, value) = match (error.code(), field) {
        ("incomplete-party", "customer.id") => ("wrong-customer-id", &typed.customer),
        ("incomplete-party", "customer.name") => ("wrong-customer-name", &typed.name),
        ("incomplete-party", "contact.email") => ("wrong-email", &typed.email),
        ("incomplete-party", "contact.language") => ("wrong-language", &typed.language),
        ("empty-order", _) => ("wrong-no-product", &typed.instance),
        ("no-contact", _) => ("wrong-no-email", &typed.email),
        _ => return Problem::of_host(field, error),
    };
    Problem::of(me, field, word, &[("typed", value)])
}

/// The problem of an instance that can't be found.
pub(super) fn no_instance(me: &Me, error: &Error) -> Wrong {
    if error.kind() != ErrorKind::NotFound {
        return Wrong::of("instance", error);
    }
    let mut wrong = Wrong::default();
    let problem = Problem::of(me, "instance", "wrong-instance", &[]);
    wrong.add(&problem.field, &problem.message, &problem.advice);
    wrong
}

/// The latest order of a customer, at an instance or at all of them. `None`: there is none that says who the customer is.
pub(super) async fn latest_order(
    me: &Me,
    instance: Option<Uuid>,
    customer: &str,
) -> Result<Option<Order>, Failure> {
    let filter = OrderFilter {
        instance,
        customer: Some(customer.to_owned()),
        ..OrderFilter::default()
    };
    let latest = Page::first(1).in_order(SortOrder::Descending);
    let found = me.host().record().orders(&filter, &latest).await?.rows;
    Ok(found
        .into_iter()
        .find(|order| order.customer_erased_at_ms.is_none()))
}

/// A form with more empty rows, as whoever presses the button for them is shown it.
pub(super) async fn with_more_rows(me: &Me, typed: Typed, key: &str) -> Result<Value, Failure> {
    let rows = typed.rows_shown + ROWS;
    filled(me, typed, rows, key, &Wrong::default()).await
}

/// A form with what stands in it, and what is wrong with it.
pub(super) async fn shown(me: &Me, typed: Typed, key: &str, wrong: &Wrong) -> Result<Value, Failure> {
    let rows = typed.rows_shown.max(typed.rows.len() + 1);
    filled(me, typed, rows, key, wrong).await
}

async fn filled(me: &Me, mut typed: Typed, rows: usize, key: &str, wrong: &Wrong) -> Result<Value, Failure> {
    typed.rows.resize_with(rows.clamp(ROWS, ROWS_MAX), Row::default);
    let is_typed = |instance: &view::Instance| {
        instance.id.to_string() == typed.instance || instance.name == typed.instance
    };
    let is_selling =
        |instance: &view::Instance| instance.state == "ready" && instance.disabled_at_ms.is_none();
    let mut instances: Vec<_> = me
        .host()
        .instances()
        .await?
        .iter()
        .map(view::Instance::from)
        .collect();
    instances.retain(|instance| is_selling(instance) || is_typed(instance));
    let chosen = instances.iter().find(|instance| is_typed(instance));
    let mut tried = match chosen {
        Some(chosen) => vec![chosen],
        None => instances.iter().collect(),
    };
    tried.truncate(TRIED_MAX);
    // Nobody has chosen an instance yet: it is the first one of which something can be ordered.
    let (mut chosen, mut products, mut has_more) = (tried.first().copied(), Vec::new(), false);
    for instance in tried {
        let (some, more) = offered(me, instance).await?;
        if !some.is_empty() {
            (chosen, products, has_more) = (Some(instance), some, more);
            break;
        }
    }
    let mut countries = countries::all();
    if !typed.country.is_empty() && countries::code(&typed.country).is_none() {
        countries.insert(0, (typed.country.as_str(), typed.country.as_str()));
    }
    let country = countries::code(&typed.country).unwrap_or(typed.country.as_str());
    Ok(context! {
        session => me.session().id,
        chosen => chosen.map(|chosen| chosen.id),
        chosen_name => chosen.map(|chosen| chosen.name.clone()).unwrap_or_default(),
        is_list => !has_more && products.len() <= LISTED_MAX,
        instances,
        products,
        countries,
        country,
        typed,
        key,
        ..wrong.shown()
    })
}

/// A product that can be ordered.
#[derive(Debug, Serialize)]
struct Offered {
    code: String,
    /// What a person reads beside the code.
    label: String,
}

/// The products of an instance that can be ordered, by name, and whether there are more. What has no price is refused.
async fn offered(me: &Me, instance: &view::Instance) -> Result<(Vec<Offered>, bool), Failure> {
    let handle = me.host().instance_of_id(instance.id.into()).await?;
    let page = Page::first(SUGGESTED_MAX);
    let products = handle.products(&ProductFilter::on_sale(), &page).await?;
    let offered = products.rows.into_iter().filter_map(|product| {
        let mut prices = product.prices.into_iter();
        let price = prices.find(|price| price.currency == instance.currency)?;
        let price = bss_model::Price {
            currency: price.currency,
            minor_units: price.minor_units,
        };
        let label = format!("{}, {price}", product.product_name);
        Some(Offered {
            code: product.product_code,
            label,
        })
    });
    let mut offered: Vec<_> = offered.collect();
    offered.sort_by(|one, other| one.label.cmp(&other.label));
    Ok((offered, products.next.is_some()))
}

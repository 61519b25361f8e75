//! Plugins whose catalogs break the contract, and the host that applies nothing of them.

use bss_model::{Diagnose as _, Page, Product as Kept, ProductFilter};
use bss_record::RECORD_FILE;
use bss_sandbox::bindings::services_definition::{
    Attribute, AttributeValue, Derivative, Outcome, Product, ProductType, Summary,
};
use host_harness::{Host, ServicesError};

use crate::guests::answering_with_catalog;
use crate::record_cli::{ORIGINAL, alter};
use crate::scenario::{INSTANCE, NO_ANSWER, Scenario, actor, silent};
use crate::trusted_plugin::running;

/// What a plugin hands over and answers.
struct Reading {
    products: Vec<Product>,
    summary: Summary,
    unchanged: bool,
}

/// A way to break a catalog, and the code of the rule.
type Broken = (&'static str, fn(&mut Reading));

const BROKEN: [Broken; 22] = [
    ("products-miscounted", |reading| reading.summary.products = 99),
    ("product-type-unnamed", |reading| {
        reading.summary.product_types[0].id.clear()
    }),
    ("product-type-unnamed", |reading| {
        reading.summary.product_types[0].name.clear()
    }),
    ("product-type-twice", |reading| {
        reading.summary.product_types.push(product_type())
    }),
    ("subscriptions-not-sold", |reading| {
        reading.summary.product_types[0].derivative = Derivative::Subscription;
    }),
    ("attribute-unnamed", |reading| attributes(reading)[0].name.clear()),
    ("attribute-twice", |reading| attributes(reading).push(attribute())),
    ("product-code-missing", |reading| reading.products[0].code.clear()),
    ("product-name-missing", |reading| reading.products[0].name.clear()),
    ("duplicate-product", |reading| {
        reading.products[1].code = "home".to_owned()
    }),
    ("no-product-type", |reading| {
        reading.products[0].product_type = "games".to_owned()
    }),
    ("min-quantity-zero", |reading| {
        reading.products[0].min_quantity = 0
    }),
    ("quantities-crossed", |reading| {
        reading.products[0].min_quantity = 11
    }),
    ("attribute-unknown", |reading| {
        values(reading)[0].attribute = "color".to_owned()
    }),
    ("attribute-unknown", |reading| attributes(reading).clear()),
    ("attribute-value-empty", |reading| values(reading)[0].key.clear()),
    ("attribute-value-empty", |reading| {
        values(reading)[0].label.clear()
    }),
    ("attribute-given-twice", |reading| {
        values(reading).push(value("2"))
    }),
    ("attribute-missing", |reading| values(reading).clear()),
    ("attribute-labels-differ", |reading| {
        values(reading)[0].label = "Else".to_owned()
    }),
    ("unchanged-with-products", |reading| reading.unchanged = true),
    ("catalog-empty", |reading| {
        reading.products.clear();
        reading.summary.products = 0;
    }),
];

fn attributes(reading: &mut Reading) -> &mut Vec<Attribute> {
    &mut reading.summary.product_types[0].attributes
}

fn values(reading: &mut Reading) -> &mut Vec<AttributeValue> {
    &mut reading.products[0].attribute_values
}

fn attribute() -> Attribute {
    Attribute {
        id: "term".to_owned(),
        name: "Term".to_owned(),
    }
}

fn value(key: &str) -> AttributeValue {
    AttributeValue {
        attribute: "term".to_owned(),
        key: key.to_owned(),
        label: format!("{key} years"),
    }
}

fn product_type() -> ProductType {
    ProductType {
        id: "office".to_owned(),
        name: "Office".to_owned(),
        derivative: Derivative::License,
        split_quantity: true,
        manual_cancellation: false,
        attributes: vec![attribute()],
    }
}

fn product(code: &str) -> Product {
    Product {
        code: code.to_owned(),
        product_type: "office".to_owned(),
        name: format!("Office {code}"),
        description: String::new(),
        attribute_values: vec![value("1")],
        min_quantity: 1,
        max_quantity: Some(10),
        returnable: true,
    }
}

/// The reading that is broken in one way after the other, and keeps the contract before that.
fn lawful() -> Reading {
    Reading {
        products: vec![product("home"), product("pro")],
        summary: Summary {
            product_types: vec![product_type()],
            products: 2,
            skipped: Vec::new(),
            entity_tag: "tag".to_owned(),
        },
        unchanged: false,
    }
}

async fn reading(scenario: &Scenario, reading: Reading) -> Host {
    let outcome = match reading.unchanged {
        true => Outcome::Unchanged,
        false => Outcome::Complete(reading.summary),
    };
    running(scenario, &answering_with_catalog(&reading.products, &outcome)).await
}

/// As if an earlier reading of this plugin had brought an entity tag.
async fn with_tag(scenario: &Scenario) {
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(&database, "UPDATE instances SET services_entity_tag = 'tag'").await;
}

async fn fetch(host: &Host) -> Result<bool, ServicesError> {
    let run = host.fetch_services(INSTANCE, &actor(), silent()).await;
    run.map(|run| run.unchanged)
}

async fn kept(host: &Host) -> Vec<Kept> {
    let instance = host.named_instance(INSTANCE).await.expect("the instance");
    let all = (ProductFilter::default(), Page::all());
    let products = host.record().products(instance.id, &all.0, &all.1).await;
    products.expect("products").rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_breaks_the_contract_changes_nothing() {
    let scenario = Scenario::ready().await;
    let host = reading(&scenario, lawful()).await;
    assert!(!fetch(&host).await.expect("it keeps the contract"));
    let before = kept(&host).await;
    assert_eq!(before.len(), 2);
    for (code, break_it) in BROKEN {
        let mut broken = lawful();
        // A catalog that would change something, if it were applied.
        broken.products[1].name = "Office Professional".to_owned();
        break_it(&mut broken);
        let host = reading(&scenario, broken).await;
        with_tag(&scenario).await;
        let error = fetch(&host).await.expect_err(code);
        assert_eq!(error.diagnosis().code, code, "{error:?}");
        assert_eq!(kept(&host).await, before, "{code}");
    }
}

/// A database on a server keeps no NUL: what a plugin says must not decide whether it can be written down.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_that_a_plugin_says_comes_into_no_text_on_record() {
    let scenario = Scenario::ready().await;
    let mut said = lawful();
    let product = &mut said.products[0];
    product.name = "Office\0Home".to_owned();
    product.description = "for\0one".to_owned();
    said.summary.product_types[0].name = "Off\0ice".to_owned();
    said.summary.skipped = vec!["lost\0".to_owned()];
    let host = reading(&scenario, said).await;
    fetch(&host).await.expect("it is cleaned");
    let before = kept(&host).await;
    let product = &before[0].offered;
    assert_eq!([&product.name, &product.description], ["Office Home", "for one"]);
    let instance = host.named_instance(INSTANCE).await.expect("the instance");
    let types = host.record().product_types(instance.id).await.expect("the types");
    assert_eq!(types[0].name, "Off ice");

    // What names something is taken as it is, or not at all.
    let mut broken = lawful();
    broken.products[0].code = "ho\0me".to_owned();
    let host = reading(&scenario, broken).await;
    let error = fetch(&host).await.expect_err("no product has that code");
    assert_eq!(error.diagnosis().code, "plugin-defect", "{error:?}");
    assert_eq!(kept(&host).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_may_be_empty_that_never_had_a_product() {
    let scenario = Scenario::ready().await;
    let empty = || {
        let mut empty = lawful();
        empty.products.clear();
        empty.summary.products = 0;
        empty
    };
    let host = reading(&scenario, empty()).await;
    fetch(&host).await.expect("there was none before");
    let host = reading(&scenario, lawful()).await;
    fetch(&host).await.expect("it keeps the contract");
    let host = reading(&scenario, empty()).await;
    let error = fetch(&host).await.expect_err("there were some before");
    assert_eq!(error.diagnosis().code, "catalog-empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_which_rule_of_the_contract_is_broken_and_where() {
    let scenario = Scenario::ready().await;
    let file = scenario.folder.path().join("catalog.wasm");
    for (break_it, said) in [
        (
            (|reading| reading.summary.products = 99) as fn(&mut Reading),
            "says that it read 99 products, and 2 arrived",
        ),
        (
            |reading| reading.products[1].name.clear(),
            "product `pro` has no name",
        ),
        (
            |reading| reading.products[1].code = "home".to_owned(),
            "two products `home`",
        ),
        (
            |reading| reading.summary.product_types[0].derivative = Derivative::Subscription,
            "product type `office` leads to subscriptions",
        ),
    ] {
        let mut broken = lawful();
        break_it(&mut broken);
        let outcome = Outcome::Complete(broken.summary);
        let component = answering_with_catalog(&broken.products, &outcome);
        std::fs::write(&file, component).expect("the plugin is written");
        scenario.trust(&file).await;
        let output = scenario.bss_host(&["services", "fetch", INSTANCE]);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(NO_ANSWER), "{printed}");
        assert!(printed.contains(said), "`{said}` in: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_is_unchanged_only_for_who_has_an_entity_tag() {
    let scenario = Scenario::ready().await;
    let unchanged = Reading {
        products: Vec::new(),
        unchanged: true,
        ..lawful()
    };
    let unchanged = reading(&scenario, unchanged).await;
    let error = fetch(&unchanged).await.expect_err("there is no tag yet");
    assert_eq!(error.diagnosis().code, "unchanged-without-tag");
    with_tag(&scenario).await;
    assert!(fetch(&unchanged).await.expect("there is a tag now"));
}

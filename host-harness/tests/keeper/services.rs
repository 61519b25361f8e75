//! The services definition: any sequence of catalogs leaves what a model says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bss_model::{
    AttributeValue, Derivative, Difference, NewProduct, Page, Product, ProductAttribute, ProductFilter,
    ProductType, ServicesDefinition, SkippedItems,
};
use bss_record::{ApplyError, Record};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use uuid::Uuid;

use crate::record::{TestRecord, actor, ready_instance, settings};

pub(crate) fn product(code: &str, name: &str) -> NewProduct {
    NewProduct {
        code: code.to_owned(),
        product_type: "microsoft-esd".to_owned(),
        name: name.to_owned(),
        description: format!("about {name}"),
        attribute_values: vec![AttributeValue {
            attribute: "offer".to_owned(),
            key: format!("https://offers.example.test/{code}"),
            label: name.to_owned(),
        }],
        min_quantity: 1,
        max_quantity: Some(25),
        returnable: true,
    }
}

pub(crate) fn definition(products: Vec<NewProduct>) -> ServicesDefinition {
    ServicesDefinition {
        product_types: vec![ProductType {
            id: "microsoft-esd".to_owned(),
            name: "Microsoft ESD".to_owned(),
            derivative: Derivative::License,
            split_quantity: true,
            manual_cancellation: true,
            attributes: vec![ProductAttribute {
                id: "offer".to_owned(),
                name: "Offer".to_owned(),
            }],
        }],
        products,
        entity_tag: "\"1\"".to_owned(),
        skipped: SkippedItems::default(),
    }
}

async fn apply(record: &Record, instance: Uuid, products: Vec<NewProduct>) -> Difference {
    record
        .apply_services_definition(instance, definition(products))
        .await
        .unwrap()
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

#[tokio::test]
async fn a_product_that_may_have_been_skipped_is_sold_still() {
    let record = TestRecord::open().await;
    let id = ready_instance(&record, "esd", None).await.id;
    let all = ["a", "b", "c"].map(|code| product(code, code));
    apply(&record, id, all.to_vec()).await;
    let without = |skipped| ServicesDefinition {
        skipped,
        ..definition(vec![product("a", "a")])
    };
    let unnamed = record
        .apply_services_definition(id, without(SkippedItems::Unnamed))
        .await;
    assert_eq!(unnamed.unwrap(), Difference::default());
    let named = SkippedItems::Codes(["b".to_owned()].into());
    let named = record.apply_services_definition(id, without(named)).await;
    assert_eq!(named.unwrap().discontinued, ["c"]);
    let nothing = record
        .apply_services_definition(id, without(SkippedItems::default()))
        .await;
    assert_eq!(nothing.unwrap().discontinued, ["b"]);
}

#[tokio::test]
async fn new_products_start_inactive_and_vanished_ones_are_marked_and_revived() {
    let record = TestRecord::open().await;
    let id = ready_instance(&record, "esd", None).await.id;
    let both = || vec![product("a", "Office"), product("b", "Visio")];
    let first = apply(&record, id, both()).await;
    assert_eq!(
        first,
        Difference {
            new: codes(&["a", "b"]),
            ..Difference::default()
        }
    );
    let stored = record.product(id, "a").await.unwrap().unwrap();
    assert_eq!(
        stored,
        Product {
            offered: product("a", "Office"),
            active: false,
            published: false,
            discontinued: false
        }
    );
    assert_eq!(
        record.product_types(id).await.unwrap(),
        definition(vec![]).product_types
    );

    let second = apply(&record, id, vec![product("a", "Γραφείο")]).await;
    let [(code, changes)] = &second.changed[..] else {
        panic!("{second:?}")
    };
    assert_eq!(code, "a");
    let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["name", "description", "attribute values"]);
    assert_eq!(changes[0].values, Some(("Office".into(), "Γραφείο".into())));
    assert_eq!(second.discontinued, ["b"]);
    let filter = ProductFilter {
        discontinued: Some(true),
        ..ProductFilter::default()
    };
    assert_eq!(
        record.products(id, &filter, &Page::all()).await.unwrap().rows[0].offered,
        product("b", "Visio")
    );

    let third = apply(&record, id, vec![product("a", "Γραφείο"), product("b", "Visio")]).await;
    assert_eq!(
        third,
        Difference {
            revived: codes(&["b"]),
            ..Difference::default()
        }
    );
    assert_eq!(
        apply(&record, id, vec![product("a", "Γραφείο"), product("b", "Visio")]).await,
        Difference::default()
    );
}

#[tokio::test]
async fn the_entity_tag_goes_with_the_settings_that_it_was_read_with() {
    let record = TestRecord::open().await;
    let instance = ready_instance(&record, "esd", None).await;
    assert_eq!(record.services_state(instance.id).await.unwrap(), "");
    apply(&record, instance.id, vec![]).await;
    assert_eq!(record.services_state(instance.id).await.unwrap(), "\"1\"");
    let same = record
        .save_settings(instance.id, 1, settings(None), &actor())
        .await
        .unwrap();
    assert_eq!(record.services_state(instance.id).await.unwrap(), "\"1\"");
    let mut other = settings(None);
    other.values.insert("language".to_owned(), "el-GR".to_owned());
    record
        .save_settings(instance.id, same.version, other, &actor())
        .await
        .unwrap();
    assert_eq!(record.services_state(instance.id).await.unwrap(), "");
}

#[tokio::test]
async fn a_definition_that_contradicts_itself_changes_nothing() {
    let record = TestRecord::open().await;
    let id = ready_instance(&record, "esd", None).await.id;
    apply(&record, id, vec![product("a", "Office")]).await;
    let twice = definition(vec![product("b", "Visio"), product("b", "Visio")]);
    let error = record.apply_services_definition(id, twice).await.unwrap_err();
    assert!(matches!(error, ApplyError::DuplicateProduct { .. }), "{error:?}");
    let mut stranger = product("b", "Visio");
    stranger.product_type = "other".to_owned();
    let error = record
        .apply_services_definition(id, definition(vec![stranger]))
        .await
        .unwrap_err();
    assert!(matches!(error, ApplyError::NoProductType { .. }), "{error:?}");
    let error = record
        .apply_services_definition(Uuid::nil(), definition(vec![]))
        .await
        .unwrap_err();
    assert!(matches!(error, ApplyError::NoInstance { .. }), "{error:?}");
    let stored = record
        .products(id, &ProductFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert!(matches!(&stored[..], [only] if only.offered.code == "a" && !only.discontinued));
}

#[tokio::test]
async fn instances_do_not_see_each_others_products() {
    let record = TestRecord::open().await;
    let one = ready_instance(&record, "one", None).await.id;
    let two = ready_instance(&record, "two", None).await.id;
    apply(&record, one, vec![product("a", "Office")]).await;
    apply(&record, two, vec![]).await;
    assert!(record.product(two, "a").await.unwrap().is_none());
    assert!(!record.product(one, "a").await.unwrap().unwrap().discontinued);
}

#[tokio::test]
async fn a_hundred_thousand_products_take_seconds() {
    let record = TestRecord::open().await;
    let id = ready_instance(&record, "esd", None).await.id;
    let catalog = |name: &str| -> Vec<NewProduct> {
        (0..100_000)
            .map(|i| product(&format!("offer-{i:06}"), &format!("{name} {i}")))
            .collect()
    };
    // A generous limit, since tests run without optimization and beside others: each step takes 3 seconds alone. How long a server
    // takes is a matter of what else it does.
    let limit = match record.database().is_file() {
        true => Duration::from_secs(30),
        false => Duration::MAX,
    };
    let started = Instant::now();
    assert_eq!(apply(&record, id, catalog("Office")).await.new.len(), 100_000);
    assert!(started.elapsed() < limit, "new: {:?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(apply(&record, id, catalog("Visio")).await.changed.len(), 100_000);
    assert!(started.elapsed() < limit, "changed: {:?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(apply(&record, id, vec![]).await.discontinued.len(), 100_000);
    assert!(started.elapsed() < limit, "discontinued: {:?}", started.elapsed());
}

/// Catalogs of a few codes, so that they vanish and come back often.
fn catalogs() -> impl Strategy<Value = Vec<Vec<NewProduct>>> {
    let names = prop::sample::select(vec!["Office", "Γραφείο", "オフィス", ""]);
    let one = (names, any::<bool>(), prop::option::of(1_u32..9));
    let catalog = prop::collection::btree_map(0_u8..6, one, 0..6).prop_map(|products| {
        let make = |(code, (name, returnable, max_quantity)): (u8, (&str, bool, Option<u32>))| NewProduct {
            returnable,
            max_quantity,
            ..product(&format!("c{code}"), name)
        };
        products.into_iter().map(make).collect()
    });
    prop::collection::vec(catalog, 1..8)
}

/// Applies a catalog to the model of the stored products, and returns the lists that must tell of it.
fn model_step(model: &mut BTreeMap<String, Product>, catalog: &[NewProduct]) -> Difference {
    let mut difference = Difference::default();
    for (code, known) in model.iter_mut() {
        if !known.discontinued && !catalog.iter().any(|product| product.code == *code) {
            known.discontinued = true;
            difference.discontinued.push(code.clone());
        }
    }
    for product in catalog {
        let code = product.code.clone();
        let Some(known) = model.get_mut(&code) else {
            let new = Product {
                offered: product.clone(),
                active: false,
                published: false,
                discontinued: false,
            };
            model.insert(code.clone(), new);
            difference.new.push(code);
            continue;
        };
        if std::mem::take(&mut known.discontinued) {
            difference.revived.push(code.clone());
        }
        if known.offered != *product {
            difference.changed.push((code, Vec::new()));
            known.offered = product.clone();
        }
    }
    difference
}

#[test]
fn any_sequence_of_catalogs_leaves_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let record = runtime.block_on(TestRecord::open());
    let config = ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(catalogs in catalogs())| {
        runtime.block_on(async {
            let id = ready_instance(&record, &Uuid::new_v4().to_string(), None).await.id;
            let mut model = BTreeMap::new();
            for catalog in catalogs {
                let expected = model_step(&mut model, &catalog);
                let mut told = apply(&record, id, catalog).await;
                assert!(told.changed.iter().all(|(_, what)| !what.is_empty()));
                told.changed.iter_mut().for_each(|(_, what)| what.clear());
                assert_eq!(told, expected);
                let stored = record.products(id, &ProductFilter::default(), &Page::all()).await.unwrap().rows;
                assert_eq!(stored, model.values().cloned().collect::<Vec<_>>());
            }
        });
    });
}

//! The platform's own contract: what is exported fits the schema, and the schema would say if it did not.

use bss_model::{Choice, Decision};
use bss_record::Record;
use serde_json::{Value, json};

use crate::record::{TestRecord, actor, ready_instance};
use crate::services::{definition, product};

fn schema() -> jsonschema::Validator {
    let schema = include_str!("../../../docs/product-type-collection.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

fn problems(export: &Value) -> Vec<String> {
    schema()
        .iter_errors(export)
        .map(|error| error.to_string())
        .collect()
}

/// The export of an instance with an active product, an ordinary one, a discontinued one, and a former value.
async fn export(record: &Record) -> Value {
    let id = ready_instance(record, "esd", None).await.id;
    let mut not_returnable = product("b", "Visio");
    not_returnable.returnable = false;
    let mut moved = product("a", "Γραφείο");
    moved.attribute_values[0].key = "urn:offer:a-2".to_owned();
    let first = vec![
        product("a", "Γραφείο"),
        not_returnable.clone(),
        product("c", "Project"),
    ];
    for products in [first, vec![moved, not_returnable]] {
        record
            .apply_services_definition(id, definition(products))
            .await
            .unwrap();
    }
    let choice = Choice::Codes(vec!["a".to_owned()]);
    record
        .decide_products(id, Decision::Activate, &choice, &actor())
        .await
        .unwrap();
    let collection = host_harness::product_type_collection::of(record, id)
        .await
        .unwrap();
    serde_json::to_value(collection).unwrap()
}

#[tokio::test]
async fn the_export_fits_the_schema_and_says_what_is_stored() {
    let record = TestRecord::open().await;
    let export = export(&record).await;
    assert_eq!(problems(&export), [""; 0]);
    let product_type = &export["ProductTypes"][0];
    assert_eq!(product_type["Name"], "Microsoft ESD");
    assert_eq!(product_type["Derivative"], "LICENSE");
    assert_eq!(product_type["SplitQuantity"], true);
    assert_eq!(product_type["AllowMultipleSubscriptions"], true);
    assert_eq!(product_type["AutoExecuteSubscriptionCancelRequest"], false);
    let attribute = &product_type["AttributeList"][0];
    assert_eq!(attribute["Kind"], "PredefinedChooseOne");
    assert_eq!(attribute["Usage"], "ProductCharacteristic");
    let values = attribute["PredefinedValues"].as_array().unwrap();
    let values: Vec<_> = values
        .iter()
        .map(|value| (value["Code"].as_str().unwrap(), value["Name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        values,
        [
            ("https://offers.example.test/a", "Γραφείο"),
            ("https://offers.example.test/b", "Visio"),
            ("https://offers.example.test/c", "Project"),
            ("urn:offer:a-2", "Γραφείο"),
        ],
        "a value that a product had, or that a discontinued one has, stays"
    );
    let products = &product_type["ProductsCollection"]["Products"];
    assert_eq!(
        products[0],
        json!({
            "ID": "a", "Code": "a", "Name": "Γραφείο", "Description": "about Γραφείο",
            "Attributes": [{ "ID": "offer", "Values": ["urn:offer:a-2"] }],
            "UpdateOptions": ["Name"], "Derivative": "LICENSE",
            "IsActivated": true, "EnableCancellation": true,
        })
    );
    assert_eq!(products[1]["IsActivated"], false);
    assert_eq!(products[1]["EnableCancellation"], false);
    assert_eq!(
        products.as_array().unwrap().len(),
        2,
        "a discontinued product is not sold"
    );
}

#[tokio::test]
async fn a_wrong_export_does_not_fit_the_schema() {
    let record = TestRecord::open().await;
    let right = export(&record).await;
    let product = "/ProductTypes/0/ProductsCollection/Products/0";
    let wrong: [(&str, &str, Value); 8] = [
        ("", "productTypes", json!([])),
        ("/ProductTypes/0", "Derivative", json!("LICENCE")),
        ("/ProductTypes/0", "SplitQuantity", json!("yes")),
        ("/ProductTypes/0/AttributeList/0", "Kind", json!(4)),
        (product, "Discontinued", json!(false)),
        (product, "UpdateOptions", json!("Name")),
        (
            product,
            "Prices",
            json!([{ "Currency": "EUR", "Units": [{ "Price": "149.00" }] }]),
        ),
        (product, "Code", json!(null)),
    ];
    for (place, member, value) in wrong {
        let mut export = right.clone();
        export.pointer_mut(place).unwrap()[member] = value;
        assert_ne!(problems(&export), [""; 0], "{place} {member}");
    }
    let mut without_code = right.clone();
    without_code
        .pointer_mut(product)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("Code");
    assert_ne!(problems(&without_code), [""; 0]);
}

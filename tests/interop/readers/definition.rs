//! The exported services definition, read by Python's `jsonschema`.

use serde_json::{Value, json};

use super::{complaint, python};
use crate::scenario::{INSTANCE, Scenario};

fn held_to_the_schema(definition: &Value) -> std::process::Output {
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/product-type-collection.schema.json"
    );
    python("check_schema.py", &[schema], &definition.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exported_services_definition_is_what_its_schema_says_and_an_altered_one_is_not() {
    let scenario = Scenario::selling().await;
    let exported = scenario.bss_host(&["services", "export", INSTANCE]);
    assert!(exported.status.success(), "{exported:?}");
    let definition: Value = serde_json::from_slice(&exported.stdout).expect("JSON");
    let checked = held_to_the_schema(&definition);
    assert!(checked.status.success(), "{checked:?}");

    let mut unknown_member = definition.clone();
    unknown_member["noSuchMember"] = json!(1);
    assert!(complaint(&held_to_the_schema(&unknown_member)).contains("noSuchMember"));
    let members = definition.as_object().expect("an object").keys();
    for member in members {
        let mut wrong = definition.clone();
        wrong[member] = json!({ "not": "this" });
        let said = complaint(&held_to_the_schema(&wrong));
        assert!(said.contains(member.as_str()), "{member}: {said}");
    }
}

//! Events: outcomes as a receiver is told of them, without a product key and a link.

use bss_model::clock::rfc3339;
use bss_model::{Outcome, event_type};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::view::Problem;

/// What an event is about. Who wants to know more asks for the asset.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    instance_id: Uuid,
    order_id: Uuid,
    idempotency_key: Option<&'a str>,
    asset_id: Uuid,
    position: u32,
    product_code: &'a str,
    quantity: u32,
    problem: Option<Problem>,
}

/// The body of an event, as JSON.
pub(super) fn body(outcome: &Outcome) -> String {
    let data = Data {
        instance_id: outcome.instance.into(),
        order_id: outcome.order.into(),
        idempotency_key: outcome.idempotency_key.as_deref(),
        asset_id: outcome.asset.into(),
        position: outcome.position,
        product_code: &outcome.product_code,
        quantity: outcome.quantity,
        problem: outcome.problem.as_ref().map(Problem::from),
    };
    json!({
        "type": event_type(outcome.kind),
        "timestamp": rfc3339(outcome.happened_at_ms),
        "data": data,
    })
    .to_string()
}

/// The body of an event that a receiver is tried with.
pub(super) fn test_body(now_ms: i64) -> String {
    json!({ "type": "webhook.test", "timestamp": rfc3339(now_ms), "data": {} }).to_string()
}

#[cfg(test)]
mod tests {
    use bss_model::{AssetId, InstanceId, OrderId, OutcomeCursor, OutcomeKind};

    use super::*;

    #[test]
    fn an_event_says_what_came_of_which_line() {
        let id = Uuid::from_u128;
        let outcome = Outcome {
            cursor: OutcomeCursor::START,
            kind: OutcomeKind::SecondLicense,
            happened_at_ms: 1_700_000_000_000,
            instance: InstanceId(id(1)),
            order: OrderId(id(2)),
            idempotency_key: Some("BASKET-7".to_owned()),
            asset: AssetId(id(3)),
            position: 2,
            product_code: "EP2-06798".to_owned(),
            quantity: 1,
            problem: None,
        };
        let body: serde_json::Value = serde_json::from_str(&body(&outcome)).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "asset.second_license",
                "timestamp": "2023-11-14T22:13:20Z",
                "data": {
                    "instanceId": id(1),
                    "orderId": id(2),
                    "idempotencyKey": "BASKET-7",
                    "assetId": id(3),
                    "position": 2,
                    "productCode": "EP2-06798",
                    "quantity": 1,
                    "problem": null,
                },
            })
        );
    }
}

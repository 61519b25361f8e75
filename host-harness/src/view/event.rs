//! Events: outcomes as they are told, by webhooks and in the list of events, without a product key and a link.

use bss_model::clock::rfc3339;
use bss_model::{OutcomeCursor, event_type};
use serde::Serialize;
use uuid::Uuid;

use super::Problem;

/// What a receiver is sent of an event, in the form of Standard Webhooks 1.0.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventBody {
    /// The type, as in `asset.licensed`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When the event went on record (RFC 3339).
    #[cfg_attr(feature = "openapi", schema(format = "date-time"))]
    pub timestamp: String,
    /// What the event is about.
    pub data: EventData,
}

/// What an event is about. For more, ask for the asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EventData {
    /// The instance at which the license was ordered.
    pub instance_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The basket's own id, as in `Idempotency-Key`. `None`: the order was placed without.
    pub idempotency_key: Option<String>,
    /// The asset.
    pub asset_id: Uuid,
    /// The line of the order, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The units that the license is for.
    pub quantity: u32,
    /// Why there is no license, or no return. `None`: it needs no reason.
    pub problem: Option<Problem>,
}

/// An event with its id, which receivers are sent as `webhook-id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// The id, the same however often, to whomever and by which way it is told.
    pub id: Uuid,
    /// What receivers are sent.
    #[serde(flatten)]
    pub body: EventBody,
}

/// A page of events, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Events {
    /// The events. Empty: nothing has come since.
    pub rows: Vec<Event>,
    /// The place after them, from which what comes is read.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub next: OutcomeCursor,
}

impl From<&bss_model::Outcome> for EventBody {
    fn from(outcome: &bss_model::Outcome) -> Self {
        Self {
            event_type: event_type(outcome.kind),
            timestamp: rfc3339(outcome.happened_at_ms),
            data: EventData {
                instance_id: outcome.instance.into(),
                order_id: outcome.order.into(),
                idempotency_key: outcome.idempotency_key.clone(),
                asset_id: outcome.asset.into(),
                position: outcome.position,
                product_code: outcome.product_code.clone(),
                quantity: outcome.quantity,
                problem: outcome.problem.as_ref().map(Problem::from),
            },
        }
    }
}

impl From<&bss_model::Event> for Event {
    fn from(event: &bss_model::Event) -> Self {
        Self {
            id: event.id,
            body: (&event.outcome).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{AssetId, InstanceId, OrderId, Outcome, OutcomeKind};

    use super::*;
    use crate::view::examples::{assert_json, id};

    #[test]
    fn an_event_says_what_came_of_which_line_and_where_to_go_on() {
        let cursor = OutcomeCursor::after(id(7), 12);
        let outcome = Outcome {
            cursor,
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
        let event = Event::from(&bss_model::Event { id: id(4), outcome });
        let events = Events {
            rows: vec![event],
            next: cursor,
        };
        assert_json(
            &events,
            r#"
{
  "rows": [
    {
      "id": "00000000-0000-0000-0000-000000000004",
      "type": "asset.second_license",
      "timestamp": "2023-11-14T22:13:20Z",
      "data": {
        "instanceId": "00000000-0000-0000-0000-000000000001",
        "orderId": "00000000-0000-0000-0000-000000000002",
        "idempotencyKey": "BASKET-7",
        "assetId": "00000000-0000-0000-0000-000000000003",
        "position": 2,
        "productCode": "EP2-06798",
        "quantity": 1,
        "problem": null
      }
    }
  ],
  "next": "00000000000000000000000000000007.12"
}
"#,
        );
    }
}

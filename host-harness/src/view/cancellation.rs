//! Cancellations as views show them.

use bss_model::OrderParties;
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::asset::parties_of;
use super::{Parties, Reason, ReturnAttempt, word};
use crate::host::Host;

/// A cancellation of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// Stable and unique.
    pub id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// The order of the asset.
    pub order_id: Uuid,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The cancellation's number, from 1 in each asset.
    pub number: u32,
    /// The cancellation's state: `requested`, `withdrawn`, `declined`, `returning` (the vendor has not settled it),
    /// `done`, `refused`.
    pub state: String,
    /// The party that asked for the cancellation.
    pub requested_by: Requester,
    /// The reason in the requester's words. Empty: none was given.
    pub comment: String,
    /// When the cancellation was asked for, in milliseconds.
    pub requested_at_ms: i64,
    /// The person who withdrew, declined or confirmed the cancellation.
    pub decision: Option<Decision>,
    /// The host's name for the return.
    pub return_client_transaction_id: Uuid,
    /// Why the license is not returned.
    pub reason: Option<Reason>,
    /// When the cancellation ended, in milliseconds.
    pub ended_at_ms: Option<i64>,
    /// Every attempt at the return. `None`: they were not asked for.
    // No answer of the API has them.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_attempts: Option<Vec<ReturnAttempt>>,
}

/// The party that asks for a cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// The party's role: `customer`, `reseller`, `operator`.
    pub kind: String,
    /// The party's name.
    pub name: String,
}

/// The decision about a cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The name of the person who decided.
    pub by: String,
    /// A comment in that person's words. Empty: none was given.
    pub comment: String,
    /// When it was decided, in milliseconds.
    pub at_ms: i64,
}

impl Cancellation {
    /// The view of a cancellation without its attempts. The parties are those of the order `order_id`.
    pub fn new(cancellation: &bss_model::Cancellation, order_id: Uuid, parties: &OrderParties) -> Self {
        Self {
            id: cancellation.id,
            asset_id: cancellation.asset_id,
            order_id,
            parties: parties.into(),
            number: cancellation.number,
            state: word(cancellation.state.word()),
            requested_by: Requester {
                kind: word(cancellation.requester.kind.word()),
                name: cancellation.requester.name.clone(),
            },
            comment: cancellation.comment.clone(),
            requested_at_ms: cancellation.requested_at_ms,
            decision: cancellation.decision.as_ref().map(Decision::from),
            return_client_transaction_id: cancellation.return_client_transaction_id,
            reason: cancellation.reason.as_ref().map(Reason::from),
            ended_at_ms: cancellation.ended_at_ms,
            return_attempts: None,
        }
    }

    /// Adds every attempt at the return to the view.
    #[must_use]
    pub fn with_return_attempts(self, attempts: &[bss_model::ReturnAttempt]) -> Self {
        Self {
            return_attempts: Some(attempts.iter().map(ReturnAttempt::from).collect()),
            ..self
        }
    }
}

impl From<&bss_model::CancellationDecision> for Decision {
    fn from(decision: &bss_model::CancellationDecision) -> Self {
        Self {
            by: decision.by.clone(),
            comment: decision.comment.clone(),
            at_ms: decision.at_ms,
        }
    }
}

impl Host {
    /// The views of cancellations, in their order, without their attempts.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn cancellation_views(
        &self,
        cancellations: &[bss_model::Cancellation],
    ) -> Result<Vec<Cancellation>, RecordError> {
        let assets = cancellations
            .iter()
            .map(|cancellation| cancellation.asset_id)
            .collect();
        let orders = self.record().orders_of_assets(&assets).await?;
        let parties = self.parties_of_orders(orders.values().copied()).await?;
        let view = |cancellation: &bss_model::Cancellation| {
            let order_id = orders.get(&cancellation.asset_id).copied().unwrap_or_default();
            Ok(Cancellation::new(
                cancellation,
                order_id,
                parties_of(&parties, order_id)?,
            ))
        };
        cancellations.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use bss_model::{CancellationDecision, CancellationState, RequesterKind, ReturnReason, ReturnResult};

    use super::super::examples::{assert_json, id, parties, problem};
    use super::*;

    fn refused() -> bss_model::Cancellation {
        bss_model::Cancellation {
            id: id(4),
            asset_id: id(1),
            number: 1,
            state: CancellationState::Refused,
            requester: bss_model::Requester {
                kind: RequesterKind::Customer,
                name: "Jo".to_owned(),
            },
            comment: "too many".to_owned(),
            requested_at_ms: 2_000,
            decision: Some(CancellationDecision {
                by: "maria".to_owned(),
                comment: String::new(),
                at_ms: 2_100,
            }),
            return_client_transaction_id: id(5),
            reason: Some(ReturnReason {
                result: ReturnResult::Refused,
                problem: problem(),
            }),
            ended_at_ms: Some(2_200),
            due_at_ms: 2_100,
        }
    }

    #[test]
    fn a_cancellation() {
        assert_json(
            &Cancellation::new(&refused(), id(2), &parties()),
            r#"
{
  "id": "00000000-0000-0000-0000-000000000004",
  "assetId": "00000000-0000-0000-0000-000000000001",
  "orderId": "00000000-0000-0000-0000-000000000002",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "instance": "esd",
  "customer": {
    "id": "C-1",
    "name": "Beispiel GmbH",
    "country": "DE"
  },
  "billingTo": {
    "id": "R-1",
    "name": "Handel AG",
    "country": "DE"
  },
  "number": 1,
  "state": "refused",
  "requestedBy": {
    "kind": "customer",
    "name": "Jo"
  },
  "comment": "too many",
  "requestedAtMs": 2000,
  "decision": {
    "by": "maria",
    "comment": "",
    "atMs": 2100
  },
  "returnClientTransactionId": "00000000-0000-0000-0000-000000000005",
  "reason": {
    "result": "refused",
    "code": "offer-unknown",
    "message": "The offer is not known.",
    "advice": "Fetch the catalog again.",
    "correlationId": "c-1"
  },
  "endedAtMs": 2200
}"#,
        );
    }

    #[test]
    fn a_cancellation_shows_its_attempts_where_they_are_asked_for() {
        let view = Cancellation::new(&refused(), id(2), &parties()).with_return_attempts(&[]);
        assert_eq!(
            serde_json::to_value(view).unwrap()["returnAttempts"]
                .as_array()
                .map(Vec::len),
            Some(0)
        );
    }
}

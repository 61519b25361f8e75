//! Alerts as views show them.

use serde::Serialize;
use uuid::Uuid;

use super::{Party, Problem};

/// An alert, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The number, by which somebody acknowledges the alert.
    pub number: i64,
    /// The kind: `license-refused`, `license-overdue`, `second-license`, `return-refused`, `returned-elsewhere`, `mail-failed`,
    /// `instance-held`, `certificate-expiring`, `mail-stopped`, `worker-died`, `spending-limit`, `catalog-shrank`, `plugin-unusable`, `api-keys-tried`, `webhook-off`.
    pub kind: String,
    /// The instance's name. `None`: the whole host is concerned.
    pub instance: Option<String>,
    /// The instance.
    pub instance_id: Option<Uuid>,
    /// The asset. `None` in all four: the whole instance or host is concerned.
    pub asset_id: Option<Uuid>,
    /// The order.
    pub order_id: Option<Uuid>,
    /// The product's code.
    pub product_code: Option<String>,
    /// The customer.
    pub customer: Option<Party>,
    /// The e-mail that failed.
    pub mail_id: Option<Uuid>,
    /// The receiver of outcomes that is off.
    pub webhook_id: Option<Uuid>,
    /// Why.
    pub problem: Option<Problem>,
    /// When the alert was raised, in milliseconds.
    pub raised_at_ms: i64,
    /// When what is wrong was over, in milliseconds.
    pub ended_at_ms: Option<i64>,
    /// When the alert was acknowledged, in milliseconds.
    pub acknowledged_at_ms: Option<i64>,
    /// By whom the alert was acknowledged.
    pub acknowledged_by: Option<String>,
}

/// The addresses to which alerts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertAddresses {
    /// The e-mail addresses. Empty: alerts are not mailed.
    pub emails: Vec<String>,
}

/// Alerts that somebody has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AcknowledgedAlerts {
    /// How many of them were open.
    pub acknowledged: u64,
}

impl From<&bss_model::Alert> for Alert {
    fn from(alert: &bss_model::Alert) -> Self {
        let license = alert.license.as_ref();
        let acknowledged = alert.acknowledged.as_ref();
        Self {
            number: alert.number,
            kind: alert.kind.word().to_owned(),
            instance: alert.instance.as_ref().map(|instance| instance.name.clone()),
            instance_id: alert.instance.as_ref().map(|instance| instance.id),
            asset_id: license.map(|license| license.asset_id),
            order_id: license.map(|license| license.order_id),
            product_code: license.map(|license| license.product_code.clone()),
            customer: license.map(|license| Party::from(&license.customer)),
            mail_id: alert.mail_id,
            webhook_id: alert.webhook_id,
            problem: alert.problem.as_ref().map(Problem::from),
            raised_at_ms: alert.raised_at_ms,
            ended_at_ms: alert.ended_at_ms,
            acknowledged_at_ms: acknowledged.map(|(at_ms, _)| *at_ms),
            acknowledged_by: acknowledged.map(|(_, by)| by.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id, parties};
    use super::*;

    #[test]
    fn an_alert_about_a_license() {
        let alert = bss_model::Alert {
            number: 7,
            kind: bss_model::AlertKind::LicenseRefused,
            instance: Some(bss_model::AlertedInstance {
                id: id(9),
                name: "esd".to_owned(),
            }),
            license: Some(bss_model::AlertedLicense {
                asset_id: id(1),
                order_id: id(2),
                product_code: "EP2-06798".to_owned(),
                customer: parties().customer,
            }),
            mail_id: None,
            webhook_id: None,
            problem: None,
            raised_at_ms: 1_000,
            ended_at_ms: None,
            acknowledged: Some((2_000, "olivia".to_owned())),
        };
        assert_json(
            &Alert::from(&alert),
            r#"{
  "number": 7,
  "kind": "license-refused",
  "instance": "esd",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "assetId": "00000000-0000-0000-0000-000000000001",
  "orderId": "00000000-0000-0000-0000-000000000002",
  "productCode": "EP2-06798",
  "customer": {
    "id": "C-1",
    "name": "Beispiel GmbH",
    "country": "DE"
  },
  "mailId": null,
  "webhookId": null,
  "problem": null,
  "raisedAtMs": 1000,
  "endedAtMs": null,
  "acknowledgedAtMs": 2000,
  "acknowledgedBy": "olivia"
}"#,
        );
    }
}

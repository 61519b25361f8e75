//! The comparison of the record with a vendor's statement, as views show it.

use bss_model::{Discrepancy, DiscrepancyKind, Statement, reconcile};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use crate::host::Host;

/// The comparison of an instance's record with a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciliation {
    /// The instance's name.
    pub instance: String,
    /// The instance.
    pub instance_id: Uuid,
    /// The number of the statement's lines that were compared.
    pub lines: u64,
    /// The number of its lines that were left out because they are of another time.
    pub lines_left_out: u64,
    /// The number of licenses on record that the statement should have.
    pub licenses: u64,
    /// The number of returns on record that are of the statement's time.
    pub returns: u64,
    /// Whether the statement seems to be of another time: all of its lines were left out, or they are on record, and nothing on
    /// record is of that time.
    pub is_of_another_time: bool,
    /// Whether the statement says what is returned, so that returns were compared.
    pub are_returns_compared: bool,
    /// The differences: those of the statement's lines by line, then those of licenses without a line.
    pub differences: Vec<StatementDifference>,
}

/// A difference between the record and a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementDifference {
    /// What differs: `bought-there` and not here, `bought-here` and not there, `listed-twice`, `other-transaction`,
    /// `other-product`, `other-price`, `returned-there` and not returned or credited here, `returned-here` and not there.
    pub kind: String,
    /// The line of the statement.
    pub line: Option<u64>,
    /// The vendor's name for the license token.
    pub license_token_id: Option<String>,
    /// The name for the purchase.
    pub transaction_id: Option<String>,
    /// The asset.
    pub asset_id: Option<Uuid>,
    /// The order.
    pub order_id: Option<Uuid>,
    /// The product's code; of a license that is not on record, what the statement says.
    pub product_code: Option<String>,
    /// What the record, another line or most lines say in its place.
    pub expected: Option<String>,
    /// What the line says.
    pub found: Option<String>,
}

impl From<&Discrepancy> for StatementDifference {
    fn from(discrepancy: &Discrepancy) -> Self {
        let (expected, found) = match &discrepancy.kind {
            DiscrepancyKind::ListedTwice { first } => (Some(format!("line {first}")), None),
            DiscrepancyKind::OtherTransaction { here, there }
            | DiscrepancyKind::OtherProduct { here, there } => (Some(here.clone()), Some(there.clone())),
            DiscrepancyKind::OtherPrice { found, expected } => {
                (Some(expected.to_string()), Some(found.to_string()))
            }
            DiscrepancyKind::BoughtThere
            | DiscrepancyKind::BoughtHere
            | DiscrepancyKind::ReturnedThere
            | DiscrepancyKind::ReturnedHere => (None, None),
        };
        Self {
            kind: discrepancy.kind.word().to_owned(),
            line: discrepancy.line,
            license_token_id: discrepancy.license_token.clone(),
            transaction_id: discrepancy.transaction.clone(),
            asset_id: discrepancy.asset_id,
            order_id: discrepancy.order_id,
            product_code: discrepancy.product.clone(),
            expected,
            found,
        }
    }
}

impl Host {
    /// Compares the record of an instance with its vendor's statement. Nothing is changed.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn reconciliation(
        &self,
        instance: &bss_model::Instance,
        statement: &Statement,
    ) -> Result<Reconciliation, RecordError> {
        let recorded = self.record().recorded_licenses(instance.id).await?;
        let outcome = reconcile(&recorded, statement);
        Ok(Reconciliation {
            instance: instance.name.clone(),
            instance_id: instance.id,
            lines: outcome.lines,
            lines_left_out: outcome.lines_left_out,
            licenses: outcome.licenses,
            returns: outcome.returns,
            is_of_another_time: outcome.is_of_another_time(),
            are_returns_compared: statement.tells_returns,
            differences: outcome
                .discrepancies
                .iter()
                .map(StatementDifference::from)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn a_difference_says_what_was_expected_in_the_place_of_what_was_found() {
        let discrepancy = Discrepancy {
            kind: DiscrepancyKind::OtherTransaction {
                here: "t-1".to_owned(),
                there: "t-2".to_owned(),
            },
            line: Some(7),
            license_token: Some("l-1".to_owned()),
            transaction: Some("t-1".to_owned()),
            asset_id: Some(id(1)),
            order_id: Some(id(2)),
            product: Some("EP2-06798".to_owned()),
        };
        assert_json(
            &StatementDifference::from(&discrepancy),
            r#"
{
  "kind": "other-transaction",
  "line": 7,
  "licenseTokenId": "l-1",
  "transactionId": "t-1",
  "assetId": "00000000-0000-0000-0000-000000000001",
  "orderId": "00000000-0000-0000-0000-000000000002",
  "productCode": "EP2-06798",
  "expected": "t-1",
  "found": "t-2"
}"#,
        );
    }
}

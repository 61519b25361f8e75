//! Withdrawals as views show them.

use bss_model::WithdrawalEnd;
use serde::Serialize;
use uuid::Uuid;

/// An order of which lines were withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderWithdrawal {
    /// The order.
    pub order_id: Uuid,
    /// The lines that are withdrawn, now or before.
    pub withdrawn: u64,
    /// The lines that may be bought: they are only looked up, and withdrawn once it is certain that they were not.
    pub in_doubt: u64,
    /// The lines whose license is bought, and the asset not cancelled.
    pub bought: u64,
    /// The lines, by position.
    pub lines: Vec<LineWithdrawal>,
}

/// A line of an order that was to be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LineWithdrawal {
    /// The asset.
    pub asset_id: Uuid,
    /// The line of the order, from 1.
    pub position: u32,
    /// The product's code.
    pub product_code: String,
    /// The units that the license was to be for.
    pub quantity: u32,
    /// What the withdrawal came to: `withdrawn`, `withdrawn-before`, `in-doubt`, `bought`, `cancelled`.
    pub end: &'static str,
}

impl OrderWithdrawal {
    /// The view of what a withdrawal came to.
    pub fn new(order_id: Uuid, lines: &[bss_model::LineWithdrawal]) -> Self {
        let count =
            |ends: &[WithdrawalEnd]| lines.iter().filter(|line| ends.contains(&line.end)).count() as u64;
        let line = |line: &bss_model::LineWithdrawal| LineWithdrawal {
            asset_id: line.asset_id,
            position: line.position,
            product_code: line.product_code.clone(),
            quantity: line.quantity,
            end: line.end.word(),
        };
        Self {
            order_id,
            withdrawn: count(&[WithdrawalEnd::Withdrawn, WithdrawalEnd::WithdrawnBefore]),
            in_doubt: count(&[WithdrawalEnd::InDoubt]),
            bought: count(&[WithdrawalEnd::Bought]),
            lines: lines.iter().map(line).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn an_order_of_which_a_line_was_withdrawn_and_another_was_bought() {
        let line = |number, end| bss_model::LineWithdrawal {
            asset_id: id(u128::from(number)),
            position: number,
            product_code: "EP2-06798".to_owned(),
            quantity: 1,
            end,
        };
        let lines = [line(1, WithdrawalEnd::Withdrawn), line(2, WithdrawalEnd::Bought)];
        assert_json(
            &OrderWithdrawal::new(id(9), &lines),
            r#"{
  "orderId": "00000000-0000-0000-0000-000000000009",
  "withdrawn": 1,
  "inDoubt": 0,
  "bought": 1,
  "lines": [
    {
      "assetId": "00000000-0000-0000-0000-000000000001",
      "position": 1,
      "productCode": "EP2-06798",
      "quantity": 1,
      "end": "withdrawn"
    },
    {
      "assetId": "00000000-0000-0000-0000-000000000002",
      "position": 2,
      "productCode": "EP2-06798",
      "quantity": 1,
      "end": "bought"
    }
  ]
}"#,
        );
    }
}

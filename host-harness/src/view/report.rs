//! The report of a period: each line of a charge and each credit, and their sums, as views show them.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{ChargeFilter, Page};
use bss_record::RecordError;
use serde::Serialize;
use uuid::Uuid;

use super::{Charge, Credit, Parties, Price};
use crate::host::Host;

/// What was charged and credited in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The first millisecond of the period. `None`: it has no beginning.
    pub since_at_ms: Option<i64>,
    /// The first millisecond after the period. `None`: it has no end.
    pub until_at_ms: Option<i64>,
    /// The lines of charges and the credits, by time and number.
    pub entries: Vec<ReportEntry>,
    /// The sums of each currency.
    pub by_currency: Vec<Sum>,
    /// The sums of each instance and currency; `id` is the instance's.
    pub by_instance: Vec<Sum>,
    /// The sums of each customer and currency; `id` is the platform's own name.
    pub by_customer: Vec<Sum>,
    /// The sums of each product and currency; `id` is the product's code.
    pub by_product: Vec<Sum>,
}

/// An entry of a report: a line of a charge, or a credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportEntry {
    /// `charge` or `credit`.
    pub kind: String,
    /// The number of the charge or the credit.
    pub number: String,
    /// The number of the charge that a credit credits.
    pub charge_number: Option<String>,
    /// When it was made, in milliseconds.
    pub at_ms: i64,
    /// The order.
    pub order_id: Uuid,
    /// The shop's own key of the order.
    pub idempotency_key: Option<String>,
    /// The parties to the order.
    #[serde(flatten)]
    pub parties: Parties,
    /// The asset of the license.
    pub asset_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The amount, all units together: negative for a credit.
    pub amount: Price,
}

/// A sum of charges and credits in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// What the sum is of. `None`: of all in the currency.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The currency.
    pub currency: String,
    /// The sum of the charges. `None` here and below: it is beyond 64 bits.
    pub charged: Option<Price>,
    /// The sum of the credits.
    pub credited: Option<Price>,
    /// The charges less the credits.
    pub balance: Option<Price>,
}

impl Report {
    /// The report of entries, which it puts in order.
    pub fn new(since_ms: Option<i64>, until_ms: Option<i64>, mut entries: Vec<ReportEntry>) -> Self {
        entries.sort_by(|one, other| (one.at_ms, &one.number).cmp(&(other.at_ms, &other.number)));
        let some = |text: &str| Some(text.to_owned());
        Self {
            since_at_ms: since_ms,
            until_at_ms: until_ms,
            by_currency: sums(&entries, |_| (None, None)),
            by_instance: sums(&entries, |entry| {
                let id = entry.parties.instance_id.to_string();
                (Some(id), some(&entry.parties.instance))
            }),
            by_customer: sums(&entries, |entry| {
                let customer = &entry.parties.customer;
                (some(&customer.id), some(&customer.name))
            }),
            by_product: sums(&entries, |entry| {
                (some(&entry.product_code), some(&entry.product_name))
            }),
            entries,
        }
    }
}

/// What entries are summed up by: its id and its name.
type Of = (Option<String>, Option<String>);

/// The sums of entries by what they are of, and the currency. The name is that of the last entry. Amounts of several currencies
/// are never added.
fn sums(entries: &[ReportEntry], of: impl Fn(&ReportEntry) -> Of) -> Vec<Sum> {
    #[derive(Default)]
    struct Amounts {
        name: Option<String>,
        charged: i128,
        credited: i128,
    }
    let mut sums = BTreeMap::<(Option<String>, &str), Amounts>::new();
    for entry in entries {
        let (id, name) = of(entry);
        let amount = i128::from(entry.amount.minor_units);
        let sum = sums.entry((id, &entry.amount.currency)).or_default();
        sum.name = name;
        match entry.charge_number {
            None => sum.charged += amount,
            Some(_) => sum.credited -= amount,
        }
    }
    let price = |currency: &str, amount: i128| {
        let minor_units = i64::try_from(amount).ok()?;
        Some(Price {
            currency: currency.to_owned(),
            minor_units,
        })
    };
    let sums = sums.into_iter().map(|((id, currency), sum)| Sum {
        id,
        name: sum.name,
        currency: currency.to_owned(),
        charged: price(currency, sum.charged),
        credited: price(currency, sum.credited),
        balance: price(currency, sum.charged - sum.credited),
    });
    sums.collect()
}

/// The entries of a charge, a line each, without the shop's key.
fn of_charge(charge: &Charge) -> impl Iterator<Item = ReportEntry> {
    charge.lines.iter().map(|line| ReportEntry {
        kind: "charge".to_owned(),
        number: charge.number.clone(),
        charge_number: None,
        at_ms: charge.charged_at_ms,
        order_id: charge.order_id,
        idempotency_key: None,
        parties: charge.parties.clone(),
        asset_id: line.asset_id,
        product_code: line.product_code.clone(),
        product_name: line.product_name.clone(),
        quantity: line.quantity,
        amount: line.price.clone(),
    })
}

/// The entry of a credit, without the shop's key.
fn of_credit(credit: Credit) -> ReportEntry {
    ReportEntry {
        kind: "credit".to_owned(),
        number: credit.number,
        charge_number: Some(credit.charge_number),
        at_ms: credit.credited_at_ms,
        order_id: credit.order_id,
        idempotency_key: None,
        parties: credit.parties,
        asset_id: credit.asset_id,
        product_code: credit.product_code,
        product_name: credit.product_name,
        quantity: credit.quantity,
        amount: Price {
            minor_units: -credit.price.minor_units,
            ..credit.price
        },
    }
}

impl Host {
    /// The report of the charges and credits that match a filter, at the instances of the host's owner or at all.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn report(&self, filter: &ChargeFilter) -> Result<Report, RecordError> {
        let (record, all) = (self.record(), Page::all());
        let filter = &ChargeFilter {
            owner: self.owner().cloned(),
            ..filter.clone()
        };
        let charges = record.charges(filter, &all).await?.rows;
        let credits = record.credits(filter, &all).await?.rows;
        let charges = self.charge_views(&charges, &[]).await?;
        let credits = self.credit_views(&credits).await?;
        let entries = charges.iter().flat_map(of_charge);
        let mut entries: Vec<_> = entries.chain(credits.into_iter().map(of_credit)).collect();
        let orders: BTreeSet<Uuid> = entries.iter().map(|entry| entry.order_id).collect();
        let keys = record.keys_of_orders(&orders).await?;
        for entry in &mut entries {
            entry.idempotency_key = keys.get(&entry.order_id).cloned();
        }
        Ok(Report::new(filter.since_ms, filter.until_ms, entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::examples::{assert_json, id, parties, price};
    use super::*;

    fn entry(number: &str, at_ms: i64, minor_units: i64) -> ReportEntry {
        let is_credit = minor_units < 0;
        ReportEntry {
            kind: if is_credit { "credit" } else { "charge" }.to_owned(),
            number: number.to_owned(),
            charge_number: is_credit.then(|| "ESD-000001".to_owned()),
            at_ms,
            order_id: id(2),
            idempotency_key: Some("BASKET-7".to_owned()),
            parties: (&parties()).into(),
            asset_id: id(1),
            product_code: "EP2-06798".to_owned(),
            product_name: "Office".to_owned(),
            quantity: 1,
            amount: (&price(minor_units)).into(),
        }
    }

    #[test]
    fn entries_are_in_order_and_summed_up_by_what_they_are_of() {
        let mut dollars = entry("US-000001", 50, 700);
        dollars.amount.currency = "USD".to_owned();
        dollars.product_code = "KW9-00664".to_owned();
        dollars.parties.customer.id = "C-2".to_owned();
        let entries = vec![
            entry("ESD-CR-000001", 300, -24_900),
            entry("ESD-000002", 200, 19_900),
            entry("ESD-000001", 200, 24_900),
            dollars,
        ];
        let report = Report::new(Some(0), None, entries);
        let numbers: Vec<&str> = report.entries.iter().map(|entry| entry.number.as_str()).collect();
        assert_eq!(
            numbers,
            ["US-000001", "ESD-000001", "ESD-000002", "ESD-CR-000001"]
        );
        let told = |sums: &[Sum]| -> Vec<_> {
            let told = sums.iter().map(|sum| {
                let amounts = [&sum.charged, &sum.credited, &sum.balance];
                let amounts = amounts.map(|amount| amount.as_ref().unwrap().minor_units);
                (sum.id.clone().unwrap_or_default(), sum.currency.clone(), amounts)
            });
            told.collect()
        };
        let expected = |euros: &str, dollars: &str| {
            let sum = |id: &str, currency: &str, amounts| (id.to_owned(), currency.to_owned(), amounts);
            vec![
                sum(euros, "EUR", [44_800, 24_900, 19_900]),
                sum(dollars, "USD", [700, 0, 700]),
            ]
        };
        assert_eq!(told(&report.by_currency), expected("", ""));
        assert_eq!(told(&report.by_customer), expected("C-1", "C-2"));
        assert_eq!(told(&report.by_product), expected("EP2-06798", "KW9-00664"));
        let instance = id(9).to_string();
        assert_eq!(told(&report.by_instance), expected(&instance, &instance));
    }

    proptest! {
        #[test]
        fn each_kind_of_sums_adds_up_to_the_charges_and_credits_of_each_currency(
            made in prop::collection::vec((any::<bool>(), 0..4_usize, 0..3_u8, 1..1_000_000_i64, any::<bool>()), 0..40)
        ) {
            let made = made.into_iter().enumerate().map(|(at, (is_credit, currency, of, amount, other))| {
                let mut entry = entry(&format!("ESD-{at:06}"), 1, if is_credit { -amount } else { amount });
                entry.amount.currency = ["EUR", "USD", "JPY", "KWD"][currency].to_owned();
                entry.parties.customer.id = format!("C-{of}");
                entry.parties.instance_id = id(u128::from(of));
                entry.product_code = format!("p-{other}");
                entry
            });
            let entries: Vec<_> = made.collect();
            let report = Report::new(None, None, entries.clone());
            prop_assert_eq!(report.entries.len(), entries.len());
            for currency in ["EUR", "USD", "JPY", "KWD"] {
                let of_currency = |is_credit: bool| -> i64 {
                    let entries = entries.iter().filter(|entry| entry.amount.currency == currency);
                    let entries = entries.filter(|entry| (entry.kind == "credit") == is_credit);
                    entries.map(|entry| entry.amount.minor_units.abs()).sum()
                };
                let expected = (of_currency(false), of_currency(true));
                for sums in [&report.by_currency, &report.by_instance, &report.by_customer, &report.by_product] {
                    let sums = sums.iter().filter(|sum| sum.currency == currency);
                    let minor = |price: &Option<Price>| {
                        let price = price.as_ref().unwrap();
                        assert_eq!(price.currency, currency);
                        price.minor_units
                    };
                    let found = sums.fold((0, 0), |(charged, credited), sum| {
                        assert_eq!(minor(&sum.balance), minor(&sum.charged) - minor(&sum.credited));
                        (charged + minor(&sum.charged), credited + minor(&sum.credited))
                    });
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn a_sum_that_no_number_holds_is_left_out() {
        let entries = vec![entry("ESD-000001", 1, i64::MAX), entry("ESD-000002", 2, 1)];
        let report = Report::new(None, None, entries);
        assert_eq!(report.by_currency[0].charged, None);
        assert_eq!(report.by_currency[0].credited.as_ref().unwrap().minor_units, 0);
    }

    #[test]
    fn a_sum() {
        let report = Report::new(None, None, vec![entry("ESD-000001", 1, 24_900)]);
        assert_json(
            &report.by_product[0],
            r#"
{
  "id": "EP2-06798",
  "name": "Office",
  "currency": "EUR",
  "charged": {
    "currency": "EUR",
    "minorUnits": 24900
  },
  "credited": {
    "currency": "EUR",
    "minorUnits": 0
  },
  "balance": {
    "currency": "EUR",
    "minorUnits": 24900
  }
}"#,
        );
    }
}

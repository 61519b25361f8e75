//! Charges: every license is charged once, by a charge of its own that never changes, at what it was ordered for.

use bss_model::{Asset, AttemptOutcome, Charge, ChargeFilter, ChargeLine, ChargePrefix, Order, Page, Price};
use bss_record::{ChargePrefixError, Record, RecordError};
use uuid::Uuid;

use crate::orders::{begin, license, order, problem, sell, shop};
use crate::record::{TestRecord, actor, new_instance};

/// Sets up a shop and places so many orders in it, each of `units` of one product.
pub(crate) async fn orders(record: &Record, orders: u32, units: u32) -> Vec<Order> {
    let instance = shop(record).await;
    let mut placed = Vec::new();
    for _ in 0..orders {
        placed.push(
            record
                .place_order(order(instance, &[("a", units)]), &actor())
                .await
                .unwrap()
                .into_order(),
        );
    }
    placed
}

/// Attempts an asset once, with this outcome.
async fn attempt(record: &Record, asset_id: Uuid, outcome: AttemptOutcome) -> Asset {
    let begun = begin(record, asset_id).await;
    record
        .finish_attempt(asset_id, begun.number, outcome, 0)
        .await
        .unwrap()
}

/// Buys the license of an asset.
pub(crate) async fn buy(record: &Record, asset_id: Uuid) -> Asset {
    let asset = record.asset(asset_id).await.unwrap().unwrap();
    let license = license(asset.client_transaction_id, &format!("t of {asset_id}"));
    attempt(record, asset_id, AttemptOutcome::Licensed(license)).await
}

pub(crate) fn euros(minor_units: i64) -> Price {
    Price {
        currency: "EUR".to_owned(),
        minor_units,
    }
}

/// All charges, by time.
async fn all_charges(record: &Record) -> Vec<Charge> {
    let all = record.charges(&ChargeFilter::default(), &Page::all()).await;
    all.unwrap().rows
}

/// The charges of an order, by time.
pub(crate) async fn charges_of(record: &Record, order: Uuid) -> Vec<Charge> {
    let filter = ChargeFilter {
        order: Some(order),
        ..ChargeFilter::default()
    };
    record.charges(&filter, &Page::all()).await.unwrap().rows
}

/// The numbers of charges, as they are told.
fn numbers(charges: &[Charge]) -> Vec<String> {
    charges.iter().map(|charge| charge.number.to_string()).collect()
}

#[tokio::test]
async fn a_license_is_charged_once_by_a_charge_of_its_own_that_stays_as_it_is() {
    let record = TestRecord::open().await;
    let [first, second] = orders(&record, 2, 2).await.try_into().unwrap();
    assert_eq!(all_charges(&record).await, [], "an order alone costs nothing");

    let earlier = buy(&record, second.lines[0].asset_id).await;
    let told = all_charges(&record).await;
    for line in &first.lines {
        let asset = record.asset(line.asset_id).await.unwrap().unwrap();
        // Two attempts under way bring the same license twice.
        let attempts = [begin(&record, asset.id).await, begin(&record, asset.id).await];
        let license = license(asset.client_transaction_id, &format!("t of {}", asset.id));
        for begun in [&attempts[0], &attempts[0], &attempts[1]] {
            let outcome = AttemptOutcome::Licensed(license.clone());
            record
                .finish_attempt(asset.id, begun.number, outcome, 0)
                .await
                .unwrap();
        }
    }
    let charges = charges_of(&record, first.id).await;
    assert_eq!(numbers(&charges), ["ESD-000002", "ESD-000003"]);
    let charged: Vec<Uuid> = charges.iter().map(|charge| charge.lines[0].asset_id).collect();
    let ordered: Vec<Uuid> = first.lines.iter().map(|line| line.asset_id).collect();
    assert_eq!(charged, ordered);
    assert!(charges.iter().all(|charge| charge.total() == Some(euros(14_900))));

    let [other] = <[Charge; 1]>::try_from(told.clone()).unwrap();
    let line = ChargeLine {
        asset_id: earlier.id,
        position: 1,
        product_code: "a".to_owned(),
        product_name: "Office".to_owned(),
        quantity: 1,
        price: euros(14_900),
        charged_at_ms: other.charged_at_ms,
    };
    let expected = Charge {
        number: "ESD-000001".parse().unwrap(),
        instance_id: second.instance_id,
        order_id: second.id,
        customer_id: second.customer.id.clone(),
        charged_at_ms: other.charged_at_ms,
        lines: vec![line],
    };
    assert_eq!(other, expected);
    buy(&record, second.lines[1].asset_id).await;
    let of_second = charges_of(&record, second.id).await;
    assert_eq!(of_second[..1], told, "what was told stays as it was");
    assert_eq!(numbers(&of_second), ["ESD-000001", "ESD-000004"]);
    let elsewhere = ChargeFilter {
        instance: Some(Uuid::nil()),
        ..ChargeFilter::default()
    };
    assert_eq!(record.charges(&elsewhere, &Page::all()).await.unwrap().rows, []);
}

#[tokio::test]
async fn an_instance_numbers_its_charges_by_itself_with_a_prefix_that_is_chosen_before_the_first() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let other = new_instance(&record, "esd/AT").await.id;
    let prefix = |text: &str| text.parse::<ChargePrefix>().unwrap();
    let set = async |instance, text: &str| {
        let set = record.set_charge_prefix(instance, prefix(text), &actor()).await;
        set.map(|series| series.prefix.to_string())
    };
    let of = async |instance| record.charge_series(instance).await.unwrap().prefix;
    assert_eq!(of(placed.instance_id).await, prefix("ESD"));
    assert_eq!(of(other).await, prefix("ESD-AT"));

    assert_eq!(set(placed.instance_id, "OLD").await.unwrap(), "OLD");
    assert_eq!(set(placed.instance_id, "DE-2026").await.unwrap(), "DE-2026");
    let taken = set(other, "DE-2026").await.unwrap_err();
    assert!(matches!(taken, ChargePrefixError::Taken { .. }), "{taken}");
    assert_eq!(set(other, "OLD").await.unwrap(), "OLD", "it was given up");
    let missing = set(Uuid::nil(), "A").await.unwrap_err();
    assert!(
        matches!(missing, ChargePrefixError::NoInstance { .. }),
        "{missing}"
    );

    buy(&record, placed.lines[0].asset_id).await;
    let late = set(placed.instance_id, "NEW").await.unwrap_err();
    assert!(matches!(late, ChargePrefixError::InUse { .. }), "{late}");
    assert_eq!(set(placed.instance_id, "DE-2026").await.unwrap(), "DE-2026");
    buy(&record, placed.lines[1].asset_id).await;
    let charges = all_charges(&record).await;
    assert_eq!(numbers(&charges), ["DE-2026-000001", "DE-2026-000002"]);
    assert_eq!(record.charge_series(placed.instance_id).await.unwrap().charges, 2);
}

#[tokio::test]
async fn what_brought_no_license_of_ours_is_not_charged() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 4).await.remove(0);
    let [refused, unavailable, unknown, foreign] =
        [0, 1, 2, 3].map(|position: usize| placed.lines[position].asset_id);
    attempt(&record, refused, AttemptOutcome::Refused(problem("no"))).await;
    attempt(
        &record,
        unavailable,
        AttemptOutcome::Unavailable(problem("later")),
    )
    .await;
    attempt(&record, unknown, AttemptOutcome::Unknown(problem("cut"))).await;
    let begun = begin(&record, foreign).await;
    let of_another = AttemptOutcome::Licensed(license(Uuid::new_v4(), "t-1"));
    record
        .finish_attempt(foreign, begun.number, of_another, 0)
        .await
        .unwrap_err();
    assert_eq!(charges_of(&record, placed.id).await, []);

    buy(&record, unknown).await;
    let charges = charges_of(&record, placed.id).await;
    assert_eq!(numbers(&charges), ["ESD-000001"]);
    assert_eq!(charges[0].lines[0].asset_id, unknown);
}

#[tokio::test]
async fn a_license_costs_what_it_cost_when_it_was_ordered() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let free = Price {
        currency: "EUR".to_owned(),
        minor_units: 0,
    };
    record
        .set_prices(placed.instance_id, &["a".to_owned()], &free, &actor())
        .await
        .unwrap();
    let later = record
        .place_order(order(placed.instance_id, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    buy(&record, placed.lines[0].asset_id).await;
    buy(&record, later.lines[0].asset_id).await;
    let total = async |order_id| charges_of(&record, order_id).await[0].total();
    assert_eq!(total(placed.id).await, Some(euros(14_900)));
    assert_eq!(total(later.id).await, Some(free), "what is free is charged too");
    sell(&record, placed.instance_id, &["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_however_many_buy_at_once() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 12, 2).await;
    let other = record.opened_again().await;
    let buying = placed.iter().flat_map(|order| &order.lines).enumerate();
    let tasks: Vec<_> = buying
        .map(|(nth, line)| {
            let record = if nth % 2 == 0 {
                Record::clone(&record)
            } else {
                other.clone()
            };
            let asset_id = line.asset_id;
            tokio::spawn(async move { buy(&record, asset_id).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let told: Vec<String> = (1..=24).map(|number| format!("ESD-{number:06}")).collect();
    assert_eq!(numbers(&all_charges(&record).await), told);
}

#[tokio::test]
async fn a_record_that_can_not_charge_takes_no_license_either() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset_id = placed.lines[0].asset_id;
    let begun = begin(&record, asset_id).await;
    let asset = record.asset(asset_id).await.unwrap().unwrap();
    record
        .database()
        .execute("ALTER TABLE mails RENAME TO elsewhere")
        .await;
    let licensed = || AttemptOutcome::Licensed(license(asset.client_transaction_id, "t-1"));
    let error = record
        .finish_attempt(asset_id, begun.number, licensed(), 0)
        .await
        .unwrap_err();
    assert!(
        matches!(error, bss_record::FinishError::Record(RecordError::Database(_))),
        "{error:?}"
    );
    assert_eq!(
        record.asset(asset_id).await.unwrap().unwrap(),
        asset,
        "nothing is half-written"
    );
    assert_eq!(charges_of(&record, placed.id).await, []);

    record
        .database()
        .execute("ALTER TABLE elsewhere RENAME TO mails")
        .await;
    record
        .finish_attempt(asset_id, begun.number, licensed(), 0)
        .await
        .unwrap();
    assert_eq!(numbers(&charges_of(&record, placed.id).await), ["ESD-000001"]);
}

//! Invoices: every license is charged once, on its order's one invoice, at what it was ordered for.

use bss_model::{Asset, AttemptOutcome, BillingFilter, InvoiceLine, Order, Page, Price};
use bss_record::{Record, RecordError};
use uuid::Uuid;

use crate::orders::{begin, license, order, problem, sell, shop};
use crate::record::{TestRecord, actor};

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

#[tokio::test]
async fn a_license_is_charged_once_on_its_orders_only_invoice() {
    let record = TestRecord::open().await;
    let [first, second] = orders(&record, 2, 2).await.try_into().unwrap();
    assert_eq!(
        record
            .invoices(&BillingFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        [],
        "an order alone costs nothing"
    );

    let earlier = buy(&record, second.lines[0].asset_id).await;
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
    let invoice = record.invoice(first.id).await.unwrap().unwrap();
    assert_eq!((invoice.number, invoice.order_id), (2, first.id));
    assert_eq!(invoice.total(), Some(euros(29_800)));
    let charged: Vec<Uuid> = invoice.lines.iter().map(|line| line.asset_id).collect();
    let ordered: Vec<Uuid> = first.lines.iter().map(|line| line.asset_id).collect();
    assert_eq!(charged, ordered);

    let other = record.invoice(second.id).await.unwrap().unwrap();
    assert_eq!(other.number, 1, "it was charged first");
    let line = InvoiceLine {
        asset_id: earlier.id,
        position: 1,
        product_code: "a".to_owned(),
        product_name: "Office".to_owned(),
        quantity: 1,
        price: euros(14_900),
        charged_at_ms: other.issued_at_ms,
    };
    assert_eq!(other.lines, [line]);
    let all = record
        .invoices(&BillingFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert_eq!(all, [other.clone(), invoice]);
    let filter = BillingFilter {
        order: Some(second.id),
        ..BillingFilter::default()
    };
    assert_eq!(
        record.invoices(&filter, &Page::all()).await.unwrap().rows,
        [other]
    );
    let elsewhere = BillingFilter {
        instance: Some(Uuid::nil()),
        ..BillingFilter::default()
    };
    assert_eq!(record.invoices(&elsewhere, &Page::all()).await.unwrap().rows, []);
    assert_eq!(
        record
            .credits(&BillingFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        []
    );
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
    assert_eq!(record.invoice(placed.id).await.unwrap(), None);

    buy(&record, unknown).await;
    let invoice = record.invoice(placed.id).await.unwrap().unwrap();
    assert_eq!(
        (invoice.lines.len(), invoice.lines[0].asset_id, invoice.number),
        (1, unknown, 1)
    );
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
    let total = async |order_id| record.invoice(order_id).await.unwrap().unwrap().total();
    assert_eq!(total(placed.id).await, Some(euros(14_900)));
    assert_eq!(
        total(later.id).await,
        Some(free),
        "what is free is on an invoice too"
    );
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
    let invoices = record
        .invoices(&BillingFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let numbers: Vec<u64> = invoices.iter().map(|invoice| invoice.number).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<u64>>());
    assert!(invoices.iter().all(|invoice| invoice.lines.len() == 2));
}

#[tokio::test]
async fn a_record_that_can_not_charge_takes_no_license_either() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset_id = placed.lines[0].asset_id;
    let begun = begin(&record, asset_id).await;
    let asset = record.asset(asset_id).await.unwrap().unwrap();
    let path = record.path().join("record.db");
    execute(&path, "ALTER TABLE mails RENAME TO elsewhere").await;
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
    assert_eq!(record.invoice(placed.id).await.unwrap(), None);

    execute(&path, "ALTER TABLE elsewhere RENAME TO mails").await;
    record
        .finish_attempt(asset_id, begun.number, licensed(), 0)
        .await
        .unwrap();
    assert_eq!(record.invoice(placed.id).await.unwrap().unwrap().number, 1);
}

/// Runs a statement on a record's database behind the record's back.
pub(crate) async fn execute(path: &std::path::Path, statement: &'static str) {
    use sqlx::ConnectOptions as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

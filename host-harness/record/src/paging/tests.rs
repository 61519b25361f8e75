use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bss_model::{
    Actor, AssetFilter, AssetStatus, CancellationFilter, CancellationState, ChargeFilter, DeliveryFilter,
    DeliveryState, DifferenceFilter, LicenseState, MailFilter, MailKind, MailState, OrderFilter, Owner,
    ProductFilter, ReturnStatus, RunLogFilter, SyncStatus, license_state,
};
use uuid::Uuid;

use super::*;
use crate::database::Builder;
use crate::{
    assets, cancellations, charges, deliveries, instances, orders, outbox, outcomes, runs, services,
};

const BOTH: [SortOrder; 2] = [SortOrder::Ascending, SortOrder::Descending];

/// Indexes that contain only the rows of a filter: reading all of one is no scan of the table.
const PARTIAL_INDEXES: [&str; 3] = [
    "assets_returned_elsewhere",
    "assets_cancelled",
    "cancellations_open_by_time",
];

/// A record with a row in every list for each number. Three rows each share a time; every other row has the second
/// instance, customer and state.
struct Shelf {
    record: Record,
    _directory: tempfile::TempDir,
}

fn instance(number: i64) -> Uuid {
    Uuid::from_u128(if number % 2 == 0 { 1 } else { 2 })
}

fn customer(number: i64) -> String {
    format!("c-{}", number % 2)
}

/// The id of a number's order, asset, mail, cancellation and run. Ids are not in the order of the numbers.
fn id_of(number: i64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, number.to_string().as_bytes())
}

/// The numbers of ids.
static NUMBERS: LazyLock<BTreeMap<Uuid, i64>> =
    LazyLock::new(|| (0..1_000).map(|number| (id_of(number), number)).collect());

impl Shelf {
    async fn with(numbers: impl IntoIterator<Item = i64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(directory.path()).await;
        Self::of(record, directory, numbers).await
    }

    /// A shelf on SQLite, whose plans tests look at.
    async fn on_sqlite(numbers: impl IntoIterator<Item = i64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(directory.path()).await;
        Self::of(record, directory, numbers).await
    }

    async fn of(
        record: Record,
        directory: tempfile::TempDir,
        numbers: impl IntoIterator<Item = i64>,
    ) -> Self {
        // Rows that these refer to are not needed here, and surviving a power cut isn't either.
        crate::test_record::without_references(&record).await;
        if !record.writer.is_postgres() {
            let pragma = "PRAGMA synchronous = OFF";
            record.writer.sql(pragma).execute().await.unwrap();
        }
        let shelf = Self {
            record,
            _directory: directory,
        };
        for number in numbers {
            shelf.add(number).await;
        }
        shelf
    }

    /// Adds a row to every list. `$1` is the number, `$2` the id, `$3` the instance, `$4` the customer, `$5` the time.
    async fn add(&self, number: i64) {
        let mut transaction = self.record.begin_write().await.unwrap();
        for statement in [
            "INSERT INTO orders (id, instance_id, idempotency_key, request_digest, customer, customer_id, contact, placed_at_ms)
             VALUES ($2, $3, 'key-' || $1, '', '{\"id\":\"' || $4 || '\",\"name\":\"n\",\"country\":\"GR\"}', $4,
                     '{\"email\":\"e\",\"language\":\"el\"}', $5)",
            "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id,
                                 client_transaction_id, status, sync_status, return_status, created_at_ms, wanted_since_ms)
             VALUES ($2, $3, $2, 1, 'p', 'P', 0, $4, $2, 'active', CASE $1 % 2 WHEN 0 THEN 'unsynchronised' ELSE 'failed' END,
                     CASE $1 % 2 WHEN 0 THEN 'successful' ELSE 'none' END, $5, $1)",
            "INSERT INTO cancellations (id, asset_id, number, state, requester_kind, requester_name, comment, requested_at_ms,
                                        return_client_transaction_id, due_at_ms, ended_at_ms)
             VALUES ($2, $2, 1, CASE $1 % 2 WHEN 0 THEN 'returning' ELSE 'done' END, 'operator', 'o', '', $5, $2, 0,
                     CASE $1 % 2 WHEN 0 THEN NULL ELSE 1 END)",
            "INSERT INTO charges (id, instance_id, prefix, number, order_id, customer_id, charged_at_ms)
             VALUES ($1, $3, 'ESD', $1, $2, $4, $5)",
            "INSERT INTO charge_lines VALUES ($2, $1, 1, 'p', 'P', 1, 'EUR', 14900, $5)",
            "INSERT INTO credits (id, instance_id, prefix, number, charge_id, charge_prefix, charge_number, order_id, customer_id,
                                  asset_id, position, product_code, product_name, quantity, currency, minor_units, reason,
                                  credited_at_ms)
             VALUES ($1, $3, 'ESD', $1, $1, 'ESD', $1, $2, $4, $2, 1, 'p', 'P', 1, 'EUR', 14900, 'return', $5)",
            "INSERT INTO mails (id, kind, asset_id, order_id, position, customer_id, state, attempts, due_at_ms, created_at_ms)
             VALUES ($2, 'welcome', $2, $2, 1, $4, CASE $1 % 2 WHEN 0 THEN 'pending' ELSE 'sent' END, 0, 0, $5)",
            "INSERT INTO products VALUES ('00000000-0000-0000-0000-000000000001', $2, 't', 'n', '', '[]', 1, NULL, TRUE,
                                          $1 % 2 = 0, $1 % 2 = 0, $1 % 2 = 0)",
            "INSERT INTO services_runs (id, instance_id, state, asked_at_ms, new_products, changed_products, discontinued_products,
                                        revived_products, skipped_items, unchanged)
             VALUES ($2, '00000000-0000-0000-0000-000000000001', 'completed', $5, 0, 0, 0, 0, 0, FALSE)",
            "INSERT INTO services_run_log VALUES ('00000000-0000-0000-0000-000000000001', $1, $5, 'info', $2, 'skipped', '')",
            "INSERT INTO services_run_differences VALUES ('00000000-0000-0000-0000-000000000001', $2, 'new', '[]')",
            "INSERT INTO instance_history (instance_id, version, changed_by, changed_at_ms, standing, changes)
             VALUES ('00000000-0000-0000-0000-000000000001', $1, 'o', $5, 'ready', '{}')",
        ] {
            transaction.sql(statement)
                .bind(number)
                .bind(id_of(number).to_string())
                .bind(instance(number).to_string())
                .bind(customer(number))
                .bind(number / 3)
                .execute()
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// A page of a list, each row as the number that it was made from.
    async fn page(&self, list: &str, page: &Page) -> Rows<i64> {
        let record = &self.record;
        let one = Uuid::from_u128(1);
        let number = |id: Uuid| NUMBERS[&id];
        let of_code = |code: &str| number(code.parse().unwrap());
        match list {
            "assets" => {
                let assets = record.assets(&AssetFilter::default(), page).await.unwrap();
                numbered(assets, |asset| number(asset.id))
            }
            "orders" => {
                let orders = record.orders(&OrderFilter::default(), page).await.unwrap();
                numbered(orders, |order| {
                    assert_eq!(order.lines[0].asset_id, order.id, "it has its line");
                    number(order.id)
                })
            }
            "cancellations" => {
                let filter = CancellationFilter::default();
                let cancellations = record.cancellations(&filter, page).await.unwrap();
                numbered(cancellations, |cancellation| number(cancellation.id))
            }
            "charges" => {
                let charges = record.charges(&ChargeFilter::default(), page).await.unwrap();
                numbered(charges, |charge| {
                    assert_eq!(charge.lines[0].asset_id, charge.order_id, "it has its line");
                    number(charge.order_id)
                })
            }
            "credits" => {
                let credits = record.credits(&ChargeFilter::default(), page).await.unwrap();
                numbered(credits, |credit| number(credit.order_id))
            }
            "mails" => {
                let mails = record.mails(&MailFilter::default(), page).await.unwrap();
                numbered(mails, |mail| number(mail.id))
            }
            "products" => {
                let filter = ProductFilter::default();
                let products = record.products(one, &filter, page).await.unwrap();
                numbered(products, |product| of_code(&product.offered.code))
            }
            "services-runs" => {
                let runs = record.services_runs(one, page).await.unwrap();
                numbered(runs, |run| number(run.id))
            }
            "services-run-log" => {
                let log = record
                    .services_run_log(one, &RunLogFilter::default(), page)
                    .await
                    .unwrap();
                numbered(log, |line| of_code(&line.offer))
            }
            "services-run-differences" => {
                let differences = record
                    .services_run_differences(one, &DifferenceFilter::default(), page)
                    .await
                    .unwrap();
                numbered(differences, |difference| of_code(&difference.code))
            }
            _ => {
                let history = record.instance_history(one, page).await.unwrap();
                numbered(history, |version| version.version)
            }
        }
    }

    /// Reads all numbers of a list, page after page. After each page, adds a row before those that were read and one
    /// after.
    async fn page_by_page(&self, list: &str, first: Page, mut added: std::ops::Range<i64>) -> Vec<i64> {
        let (mut all, mut page) = (Vec::new(), first);
        loop {
            let rows = self.page(list, &page).await;
            let limit = page.limit.map_or(usize::MAX, |limit| limit.get() as usize);
            assert!(rows.rows.len() <= limit, "{list}: {} rows", rows.rows.len());
            all.extend(rows.rows);
            if let Some(number) = added.next() {
                self.add(number).await;
                self.add(1_000 - number).await;
            }
            match rows.next {
                Some(next) => page = page.after(next),
                None => return all,
            }
        }
    }

    /// SQLite's plan for finding the rows of a page.
    async fn plan(&self, query: &Builder) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {}", query.sql());
        let rows = self.record.readers.composed(explain).fetch_all().await.unwrap();
        rows.iter().map(|row| row.try_get("detail").unwrap()).collect()
    }

    /// Checks that the pages of a query come from an index in their order, and that a filter is looked up in it.
    async fn assert_indexed(&self, list: &List, is_filtered: bool, query: impl Fn() -> Builder) {
        let values: Vec<_> = list.key.iter().map(KeyColumn::any_value).collect();
        let text = to_json(&(list.name, values)).unwrap();
        let cursor = Cursor::new(BASE64URL_NOPAD.encode(text.as_bytes()));
        for order in BOTH {
            for page in [
                Page::all().in_order(order),
                Page::first(7).in_order(order).after(cursor.clone()),
            ] {
                let mut query = query();
                list.push(&mut query, &page).unwrap();
                let plan = self.plan(&query).await;
                let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
                let is_scan = |step: &String| {
                    step.starts_with("SCAN") && !PARTIAL_INDEXES.iter().any(|index| step.ends_with(index))
                };
                let scans = plan.iter().any(is_scan);
                assert!(!(sorts || scans && is_filtered), "{}: {plan:#?}", query.sql());
            }
        }
    }
}

impl KeyColumn {
    fn any_value(&self) -> KeyValue {
        match self {
            Self::Integer(_) => KeyValue::Integer(1),
            Self::Text(_) => KeyValue::Text(String::new()),
        }
    }
}

fn numbered<T>(rows: Rows<T>, number: impl Fn(&T) -> i64) -> Rows<i64> {
    Rows {
        rows: rows.rows.iter().map(number).collect(),
        next: rows.next,
    }
}

fn lists() -> [&'static List; 11] {
    [
        &assets::ASSETS,
        &orders::ORDERS,
        &cancellations::CANCELLATIONS,
        &charges::CHARGES,
        &charges::CREDITS,
        &outbox::MAILS,
        &services::PRODUCTS,
        &runs::RUNS,
        &runs::LOG,
        &runs::DIFFERENCES,
        &instances::HISTORY,
    ]
}

/// All subsets of that many conditions.
fn choices(conditions: u32) -> impl Iterator<Item = impl Fn(u32) -> bool> {
    (0..1_u32 << conditions).map(|chosen| move |condition: u32| chosen & (1 << condition) != 0)
}

#[tokio::test]
async fn pages_of_any_size_give_every_row_once_in_both_orders() {
    let shelf = Shelf::with(1..=50).await;
    for list in lists() {
        let whole = shelf.page(list.name, &Page::all()).await;
        assert_eq!(whole.next, None);
        let set: BTreeSet<i64> = whole.rows.iter().copied().collect();
        assert_eq!((whole.rows.len(), set), (50, (1..=50).collect()), "{}", list.name);
        for (order, limit) in BOTH
            .into_iter()
            .flat_map(|order| [1, 7, 50, 100].map(|limit| (order, limit)))
        {
            let mut expected = whole.rows.clone();
            if order == SortOrder::Descending {
                expected.reverse();
            }
            let first = Page::first(limit).in_order(order);
            let paged = shelf.page_by_page(list.name, first, 0..0).await;
            assert_eq!(paged, expected, "{}, {limit}, {order:?}", list.name);
        }
    }
}

#[tokio::test]
async fn rows_that_come_in_between_pages_neither_repeat_nor_hide_others() {
    for (order, limit) in BOTH
        .into_iter()
        .flat_map(|order| [1, 7, 100].map(|limit| (order, limit)))
    {
        let shelf = Shelf::with(490..511).await;
        for (list, added) in lists().into_iter().zip((511..).step_by(9)) {
            let before = shelf.page(list.name, &Page::all().in_order(order)).await.rows;
            let first = Page::first(limit).in_order(order);
            let mut paged = shelf.page_by_page(list.name, first, added..added + 9).await;
            let distinct: BTreeSet<i64> = paged.iter().copied().collect();
            assert_eq!(distinct.len(), paged.len(), "{}: none twice", list.name);
            paged.retain(|number| before.contains(number));
            assert_eq!(paged, before, "{}, {limit}, {order:?}", list.name);
        }
    }
}

#[tokio::test]
async fn a_cursor_that_is_not_of_the_list_is_refused_and_its_own_is_taken() {
    let shelf = Shelf::with(1..=3).await;
    let record = &shelf.record;
    let filter = AssetFilter::default();
    let first = record.assets(&filter, &Page::first(2)).await.unwrap();
    let own = first.next.unwrap();
    let rest = record
        .assets(&filter, &Page::first(2).after(own.clone()))
        .await
        .unwrap();
    assert_eq!((rest.rows.len(), rest.next), (1, None));

    let orders = record
        .orders(&OrderFilter::default(), &Page::first(2))
        .await
        .unwrap();
    let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    for strange in [
        String::new(),
        "2".to_owned(),
        "*".to_owned(),
        "é".to_owned(),
        own.as_str()[1..].to_owned(),
        encoded("[]"),
        encoded(r#"["assets",[]]"#),
        encoded(r#"["assets",[1,"a"]]"#),
        encoded(r#"["assets",["a",1,1]]"#),
        encoded(r#"["assets",[1,"a",1,1]]"#),
        encoded(r#"["assets",[1,"a",99999999999999999999]]"#),
        encoded(r#"["assets",[1,"a",null]]"#),
        orders.next.unwrap().as_str().to_owned(),
    ] {
        let page = Page::first(2).after(Cursor::new(strange.clone()));
        let error = record.assets(&filter, &page).await.unwrap_err();
        assert!(
            matches!(&error, RecordError::InvalidCursor { cursor } if cursor.as_str() == strange),
            "{strange}: {error:?}"
        );
    }
}

#[tokio::test]
async fn every_list_is_read_from_an_index_in_its_order_whatever_it_is_filtered_by() {
    let shelf = Shelf::on_sqlite(1..=3).await;
    let one = Uuid::from_u128(1);
    for is in choices(9) {
        let filter = AssetFilter {
            instance: is(0).then_some(one),
            order: is(1).then_some(one),
            customer: is(2).then(String::new),
            sync_status: is(3).then_some(SyncStatus::Failed),
            open_since_ms: is(4).then_some(1),
            state: is(5).then_some(LicenseState::Returned),
            product: is(6).then(String::new),
            since_ms: is(7).then_some(1),
            until_ms: is(8).then_some(2),
        };
        let is_filtered = (0..9).any(&is);
        let query = || assets::assets_query(&filter);
        shelf.assert_indexed(&assets::ASSETS, is_filtered, query).await;
    }
    for state in STATES {
        let filter = AssetFilter {
            state: Some(state),
            ..AssetFilter::default()
        };
        let query = || assets::assets_query(&filter);
        shelf.assert_indexed(&assets::ASSETS, true, query).await;
    }
    for is in choices(5) {
        let filter = OrderFilter {
            instance: is(0).then_some(one),
            customer: is(1).then(String::new),
            since_ms: is(2).then_some(1),
            until_ms: is(3).then_some(1),
            idempotency_key: is(4).then(String::new),
            ..OrderFilter::default()
        };
        let query = || orders::orders_query(&filter);
        shelf
            .assert_indexed(&orders::ORDERS, (0..5).any(&is), query)
            .await;
    }
    for is in choices(4) {
        let filter = CancellationFilter {
            asset: is(0).then_some(one),
            state: is(1).then_some(CancellationState::Done),
            open: is(2),
            instance: is(3).then_some(one),
        };
        let query = || cancellations::cancellations_query(&filter);
        // Cancellations are few among licenses: those of an instance are picked from all, in their order.
        shelf
            .assert_indexed(&cancellations::CANCELLATIONS, (0..3).any(&is), query)
            .await;
    }
    for is in choices(6) {
        let filter = ChargeFilter {
            instance: is(0).then_some(one),
            order: is(1).then_some(one),
            customer: is(2).then(|| customer(1)),
            number: is(3).then(|| "ESD-1".parse().unwrap()),
            since_ms: is(4).then_some(1),
            until_ms: is(5).then_some(2),
            ..ChargeFilter::default()
        };
        let is_filtered = (0..6).any(&is);
        let charges = || charges::charges_query(&filter);
        shelf
            .assert_indexed(&charges::CHARGES, is_filtered, charges)
            .await;
        let credits = || charges::credits_query(&filter);
        shelf
            .assert_indexed(&charges::CREDITS, is_filtered, credits)
            .await;
    }
    for is in choices(6) {
        let filter = MailFilter {
            state: is(0).then_some(MailState::Failed),
            order: is(1).then_some(one),
            asset: is(2).then_some(one),
            kind: is(3).then_some(MailKind::Return),
            customer: is(4).then(|| customer(1)),
            instance: is(5).then_some(one),
        };
        let query = || outbox::mails_query(&filter);
        // An instance alone, or with a kind, is looked at e-mail by e-mail, in their order.
        let is_filtered = is(0) || is(1) || is(2) || is(4) || (is(3) && !is(5));
        shelf.assert_indexed(&outbox::MAILS, is_filtered, query).await;
    }
    for is in choices(2) {
        let filter = DeliveryFilter {
            webhook: is(0).then_some(one),
            state: is(1).then_some(DeliveryState::Failed),
        };
        let query = || deliveries::deliveries_query(&filter, None);
        shelf
            .assert_indexed(&deliveries::DELIVERIES, (0..2).any(&is), query)
            .await;
    }
    for is in choices(3) {
        let filter = ProductFilter {
            active: is(0).then_some(true),
            published: is(1).then_some(true),
            discontinued: is(2).then_some(true),
        };
        let query = || services::products_query(one, &filter);
        shelf.assert_indexed(&services::PRODUCTS, true, query).await;
    }
    shelf
        .assert_indexed(&runs::RUNS, true, || runs::runs_query(one))
        .await;
    shelf
        .assert_indexed(&runs::LOG, true, || {
            runs::log_query(one, &RunLogFilter::default())
        })
        .await;
    let differences = || runs::differences_query(one, &DifferenceFilter::default());
    shelf.assert_indexed(&runs::DIFFERENCES, true, differences).await;
    let history = || instances::history_query(one);
    shelf.assert_indexed(&instances::HISTORY, true, history).await;
}

const STATES: [LicenseState; 6] = [
    LicenseState::Open,
    LicenseState::Licensed,
    LicenseState::Refused,
    LicenseState::Withdrawn,
    LicenseState::Returned,
    LicenseState::Cancelled,
];

#[tokio::test]
async fn licenses_are_filtered_by_the_state_that_each_is_shown_in() {
    let shelf = Shelf::with(0..24).await;
    let statuses = [
        AssetStatus::Active,
        AssetStatus::Cancelled,
        AssetStatus::Withdrawn,
    ];
    let sync_statuses = [
        SyncStatus::Unsynchronised,
        SyncStatus::Synchronized,
        SyncStatus::Failed,
        SyncStatus::Withdrawn,
    ];
    let returns = [ReturnStatus::None, ReturnStatus::Successful];
    let all = statuses.into_iter().flat_map(|status| {
        let of_status = sync_statuses
            .into_iter()
            .map(move |sync_status| (status, sync_status));
        of_status.flat_map(|(status, sync_status)| returns.map(|returned| (status, sync_status, returned)))
    });
    for (number, (status, sync_status, returned)) in (0..).zip(all) {
        shelf
            .record
            .writer
            .sql("UPDATE assets SET status = $2, sync_status = $3, return_status = $4 WHERE id = $1")
            .bind(id_of(number).to_string())
            .bind(status.word())
            .bind(sync_status.word())
            .bind(returned.word())
            .execute()
            .await
            .unwrap();
    }
    let mut shown = 0;
    for state in STATES {
        let filter = AssetFilter {
            state: Some(state),
            ..AssetFilter::default()
        };
        let assets = shelf.record.assets(&filter, &Page::all()).await.unwrap().rows;
        shown += assets.len();
        assert!(
            assets.iter().all(|asset| license_state(asset) == state),
            "{state}: {assets:?}"
        );
    }
    assert_eq!(shown, 24, "each has a state");
}

#[tokio::test]
async fn a_filter_shows_what_it_names_and_nothing_else() {
    let shelf = Shelf::with(0..20).await;
    let record = &shelf.record;
    let all = Page::all();
    let even: BTreeSet<Uuid> = (0..20).step_by(2).map(id_of).collect();
    let one: BTreeSet<Uuid> = [id_of(4)].into();
    let none = BTreeSet::new();
    let [first, second] = [instance(0), instance(1)].map(Some);

    let assets = AssetFilter::default;
    for (filter, expected) in [
        (
            AssetFilter {
                instance: first,
                ..assets()
            },
            &even,
        ),
        (
            AssetFilter {
                order: Some(id_of(4)),
                ..assets()
            },
            &one,
        ),
        (
            AssetFilter {
                order: Some(id_of(4)),
                instance: second,
                ..assets()
            },
            &none,
        ),
        (
            AssetFilter {
                customer: Some("c-0".to_owned()),
                ..assets()
            },
            &even,
        ),
        (
            AssetFilter {
                customer: Some("c-".to_owned()),
                ..assets()
            },
            &none,
        ),
        (
            AssetFilter {
                sync_status: Some(SyncStatus::Unsynchronised),
                ..assets()
            },
            &even,
        ),
        (
            AssetFilter {
                sync_status: Some(SyncStatus::Synchronized),
                ..assets()
            },
            &none,
        ),
        (
            AssetFilter {
                open_since_ms: Some(100),
                ..assets()
            },
            &even,
        ),
        (
            AssetFilter {
                open_since_ms: Some(4),
                instance: second,
                ..assets()
            },
            &none,
        ),
        (
            AssetFilter {
                open_since_ms: Some(4),
                order: Some(id_of(4)),
                ..assets()
            },
            &one,
        ),
        (
            AssetFilter {
                open_since_ms: Some(3),
                order: Some(id_of(4)),
                ..assets()
            },
            &none,
        ),
        (
            AssetFilter {
                state: Some(LicenseState::Open),
                ..assets()
            },
            &even,
        ),
        (
            AssetFilter {
                state: Some(LicenseState::Open),
                instance: second,
                ..assets()
            },
            &none,
        ),
    ] {
        let shown = record.assets(&filter, &all).await.unwrap().rows;
        let shown: BTreeSet<Uuid> = shown.iter().map(|asset| asset.id).collect();
        assert_eq!(shown, *expected, "{filter:?}");
    }

    let orders = OrderFilter::default;
    for (filter, expected) in [
        (
            OrderFilter {
                instance: first,
                ..orders()
            },
            &even,
        ),
        (
            OrderFilter {
                customer: Some("c-0".to_owned()),
                ..orders()
            },
            &even,
        ),
        (
            OrderFilter {
                customer: Some("c-".to_owned()),
                ..orders()
            },
            &none,
        ),
        (
            OrderFilter {
                idempotency_key: Some("key-4".to_owned()),
                ..orders()
            },
            &one,
        ),
        (
            OrderFilter {
                idempotency_key: Some("key-4".to_owned()),
                instance: second,
                ..orders()
            },
            &none,
        ),
        // Orders 3, 4 and 5 were placed at millisecond 1.
        (
            OrderFilter {
                since_ms: Some(1),
                until_ms: Some(2),
                instance: first,
                ..orders()
            },
            &one,
        ),
        (
            OrderFilter {
                since_ms: Some(2),
                until_ms: Some(2),
                ..orders()
            },
            &none,
        ),
    ] {
        let shown = record.orders(&filter, &all).await.unwrap().rows;
        let shown: BTreeSet<Uuid> = shown.iter().map(|order| order.id).collect();
        assert_eq!(shown, *expected, "{filter:?}");
    }

    let cancellations = CancellationFilter::default;
    for (filter, expected) in [
        (
            CancellationFilter {
                open: true,
                ..cancellations()
            },
            &even,
        ),
        (
            CancellationFilter {
                open: true,
                asset: Some(id_of(4)),
                ..cancellations()
            },
            &one,
        ),
        (
            CancellationFilter {
                open: true,
                asset: Some(id_of(5)),
                ..cancellations()
            },
            &none,
        ),
        (
            CancellationFilter {
                state: Some(CancellationState::Returning),
                ..cancellations()
            },
            &even,
        ),
        (
            CancellationFilter {
                state: Some(CancellationState::Requested),
                ..cancellations()
            },
            &none,
        ),
    ] {
        let shown = record.cancellations(&filter, &all).await.unwrap().rows;
        let shown: BTreeSet<Uuid> = shown.iter().map(|cancellation| cancellation.id).collect();
        assert_eq!(shown, *expected, "{filter:?}");
    }

    for (filter, expected) in [
        (
            ChargeFilter {
                instance: first,
                ..ChargeFilter::default()
            },
            &even,
        ),
        (
            ChargeFilter {
                order: Some(id_of(4)),
                ..ChargeFilter::default()
            },
            &one,
        ),
        (
            ChargeFilter {
                customer: Some(customer(0)),
                ..ChargeFilter::default()
            },
            &even,
        ),
        (
            ChargeFilter {
                number: Some("esd-4".parse().unwrap()),
                ..ChargeFilter::default()
            },
            &one,
        ),
        (
            ChargeFilter {
                instance: first,
                since_ms: Some(1),
                until_ms: Some(2),
                ..ChargeFilter::default()
            },
            &one,
        ),
        (
            ChargeFilter {
                instance: second,
                order: Some(id_of(4)),
                ..ChargeFilter::default()
            },
            &none,
        ),
    ] {
        let charges = record.charges(&filter, &all).await.unwrap().rows;
        let charges: BTreeSet<Uuid> = charges.iter().map(|charge| charge.order_id).collect();
        let credits = record.credits(&filter, &all).await.unwrap().rows;
        let credits: BTreeSet<Uuid> = credits.iter().map(|credit| credit.order_id).collect();
        assert_eq!((&charges, &credits), (expected, expected), "{filter:?}");
    }

    let mails = MailFilter::default;
    for (filter, expected) in [
        (
            MailFilter {
                state: Some(MailState::Pending),
                ..mails()
            },
            &even,
        ),
        (
            MailFilter {
                state: Some(MailState::Failed),
                ..mails()
            },
            &none,
        ),
        (
            MailFilter {
                order: Some(id_of(4)),
                ..mails()
            },
            &one,
        ),
        (
            MailFilter {
                asset: Some(id_of(4)),
                ..mails()
            },
            &one,
        ),
        (
            MailFilter {
                asset: Some(id_of(4)),
                order: Some(id_of(5)),
                ..mails()
            },
            &none,
        ),
        (
            MailFilter {
                kind: Some(MailKind::Return),
                ..mails()
            },
            &none,
        ),
        (
            MailFilter {
                customer: Some(customer(0)),
                kind: Some(MailKind::Welcome),
                ..mails()
            },
            &even,
        ),
        (
            MailFilter {
                customer: Some("c-".to_owned()),
                ..mails()
            },
            &none,
        ),
    ] {
        let shown = record.mails(&filter, &all).await.unwrap().rows;
        let shown: BTreeSet<Uuid> = shown.iter().map(|mail| mail.id).collect();
        assert_eq!(shown, *expected, "{filter:?}");
    }

    let products = ProductFilter::default;
    for (filter, expected) in [
        (
            ProductFilter {
                active: Some(true),
                ..products()
            },
            &even,
        ),
        (
            ProductFilter {
                published: Some(true),
                ..products()
            },
            &even,
        ),
        (
            ProductFilter {
                discontinued: Some(true),
                ..products()
            },
            &even,
        ),
        (
            ProductFilter {
                active: Some(true),
                published: Some(false),
                ..products()
            },
            &none,
        ),
    ] {
        let shown = record
            .products(Uuid::from_u128(1), &filter, &all)
            .await
            .unwrap()
            .rows;
        let shown: BTreeSet<Uuid> = shown
            .iter()
            .map(|product| product.offered.code.parse().unwrap())
            .collect();
        assert_eq!(shown, *expected, "{filter:?}");
    }
}

/// Seals a license of a number's asset, as the outcome of an attempt does.
async fn license(shelf: &Shelf, number: i64) {
    let asset = id_of(number);
    let seal = |purpose: String, text: &str| shelf.record.host_key.seal(&purpose, text.as_bytes()).unwrap();
    shelf.record.writer.sql(
        "UPDATE assets SET sealed_product_key = $2, sealed_activation_link = $3, masked_product_key = '*****-E',
                           activation_link_host = 'a.test' WHERE id = $1",
    )
    .bind(asset.to_string())
    .bind(seal(assets::key_purpose(asset), "A-E"))
    .bind(seal(assets::link_purpose(asset), "https://a.test/secret"))
    .execute()
    .await
    .unwrap();
}

#[tokio::test]
async fn a_list_decrypts_nothing_and_only_the_shown_keys_are_opened() {
    let shelf = Shelf::on_sqlite(1..=9).await;
    for number in 1..=8 {
        license(&shelf, number).await;
    }
    let [shown, other, unlicensed] = [4, 5, 9].map(id_of);
    shelf.record.writer.sql("UPDATE assets SET sealed_product_key = X'00', sealed_activation_link = X'00' WHERE id NOT IN ($1, $2)")
        .bind(shown.to_string())
        .bind(unlicensed.to_string())
        .execute()
        .await
        .unwrap();

    let assets = shelf
        .record
        .assets(&AssetFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let masked = assets
        .iter()
        .filter_map(|asset| asset.masked_product_key.as_deref());
    assert_eq!(masked.collect::<Vec<_>>(), ["*****-E"; 8]);
    let hosts = assets
        .iter()
        .filter_map(|asset| asset.activation_link_host.as_deref());
    assert_eq!(hosts.collect::<Vec<_>>(), ["a.test"; 8]);

    let secrets = shelf
        .record
        .show_license_secrets(&[shown, unlicensed], &Actor::operator("test"))
        .await
        .unwrap();
    let opened: Vec<_> = secrets
        .iter()
        .map(|(id, secrets)| (*id, secrets.product_key.expose()))
        .collect();
    assert_eq!(opened, [(shown, "A-E")]);
    let error = shelf
        .record
        .show_license_secrets(&[shown, other], &Actor::operator("test"))
        .await
        .unwrap_err();
    assert!(matches!(error, RecordError::HostKey(_)), "{error:?}");
}

/// Makes a data directory whose database is older than the columns for lists, with a license, an e-mail and a credit
/// in it.
async fn older_record(directory: &std::path::Path) {
    let mut connection = crate::database::sqlite::older_record(directory, &crate::migrations::up_to(8)).await;
    for statement in [
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO instances (id, name, currency, options, reach, standing, version, settings, authorities, services_entity_tag,
                                created_at_ms)
         VALUES ($2, 'esd', 'EUR', '{}', '{}', 'ready', 1, '{}', '[]', '', 1)",
        "INSERT INTO orders (id, instance_id, request_digest, customer, contact, placed_at_ms)
         VALUES ($1, $2, '', '{\"id\":\"c-1\",\"name\":\"n\",\"country\":\"GR\"}', '{\"email\":\"e\",\"language\":\"el\"}', 1)",
        "INSERT INTO order_lines (order_id, position, product_code, quantity) VALUES ($1, 1, 'p', 1)",
        "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, client_transaction_id, status,
                             sync_status, return_status, created_at_ms, sealed_product_key)
         VALUES ($1, $2, $1, 1, 'p', 'P', 0, $1, 'active', 'synchronized', 'none', 1, X'00')",
        "INSERT INTO invoices (order_id, number, issued_at_ms) VALUES ($1, 1, 1)",
        "INSERT INTO invoice_lines VALUES ($1, $1, 1, 'p', 'P', 'EUR', 1, 1)",
        "INSERT INTO credits (asset_id, number, currency, minor_units, credited_at_ms) VALUES ($1, 1, 'EUR', 1, 1)",
        "INSERT INTO mails (id, kind, asset_id, state, attempts, due_at_ms, created_at_ms) VALUES ($1, 'welcome', $1, 'sent', 1, 1, 1)",
    ] {
        connection.sql(statement)
            .bind(id_of(1).to_string())
            .bind(instance(1).to_string())
            .execute()
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn rows_from_before_are_found_by_the_new_columns_and_their_keys_stay_hidden() {
    let directory = tempfile::tempdir().unwrap();
    older_record(directory.path()).await;
    let host_key = std::sync::Arc::new(bss_keys::HostKey::generate().unwrap());
    let record = Record::open_or_create(directory.path(), &bss_keys::HostKeySource::Given(host_key))
        .await
        .unwrap();
    let page = Page::all();

    let of_customer = AssetFilter {
        customer: Some("c-1".to_owned()),
        ..AssetFilter::default()
    };
    let [asset] = record
        .assets(&of_customer, &page)
        .await
        .unwrap()
        .rows
        .try_into()
        .unwrap();
    assert_eq!(asset.masked_product_key.as_deref(), Some("*****"));
    assert_eq!(asset.activation_link_host, None, "it has no link");
    assert_eq!(asset.quantity, 1);
    let of_customer = OrderFilter {
        customer: Some("c-1".to_owned()),
        ..OrderFilter::default()
    };
    assert_eq!(record.orders(&of_customer, &page).await.unwrap().rows.len(), 1);
    let here = ChargeFilter {
        instance: Some(instance(1)),
        order: Some(id_of(1)),
        customer: Some("c-1".to_owned()),
        number: Some("1".parse().unwrap()),
        ..ChargeFilter::default()
    };
    assert_eq!(record.charges(&here, &page).await.unwrap().rows.len(), 1);
    assert_eq!(record.credits(&here, &page).await.unwrap().rows.len(), 1);
    let of_order = MailFilter {
        order: Some(id_of(1)),
        customer: Some("c-1".to_owned()),
        ..MailFilter::default()
    };
    assert_eq!(record.mails(&of_order, &page).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn events_are_read_forward_from_a_number_whosoever_they_are() {
    let shelf = Shelf::on_sqlite(1..=3).await;
    let owner: Owner = "reseller-7".parse().unwrap();
    let instances = [Uuid::from_u128(1), Uuid::from_u128(2)];
    for is in choices(2) {
        let of = is(0).then_some(&owner);
        let instances = is(1).then_some(&instances[..]);
        let query = outcomes::events_query(1, 7, of, instances);
        let plan = shelf.plan(&query).await;
        assert_eq!(plan[0], "SEARCH o USING INTEGER PRIMARY KEY (rowid>?)");
        let is_again = |step: &String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(is_again), "{plan:#?}");
    }
}

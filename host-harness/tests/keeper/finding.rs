//! Finding: a text that somebody has leads to what it is of, whatever part of it that is, and to nobody else's.

use std::time::Duration;

use bss_model::{
    AttemptOutcome, Contact, CustomerCorrection, CustomerFilter, FoundBy, FoundKind, IdKind, InstanceId,
    MailOutcome, Owner, Page, Party, Problem, SortOrder,
};
use bss_record::Record;
use uuid::Uuid;

use crate::charges::buy;
use crate::orders::{KEY, begin, license, order, problem, sell, shop};
use crate::record::{TestRecord, actor, ready_instance};
use crate::services::{definition, product};
use crate::tenants::shop_of;

const LIMIT: u32 = 20;

/// What a text finds, by kind, reason and id.
async fn found(record: &Record, text: &str) -> Vec<(FoundKind, FoundBy, String)> {
    let finds = record.find(text, None, LIMIT).await.unwrap();
    let found = finds.found.into_iter();
    found.map(|found| (found.kind, found.by, found.id)).collect()
}

/// An order of a customer for one license: its id, and the asset's.
async fn placed(record: &Record, instance: Uuid, id: &str, name: &str, key: Option<&str>) -> (Uuid, Uuid) {
    let mut new = order(instance, &[("a", 1)]);
    new.customer = Party {
        id: id.to_owned(),
        name: name.to_owned(),
        country: "GR".to_owned(),
    };
    new.contact = Some(Contact {
        email: format!("IT+{id}@customer.test"),
        language: "el".to_owned(),
    });
    new.idempotency_key = key.map(str::to_owned);
    let placed = record.place_order(new, &actor()).await.unwrap().into_order();
    (placed.id, placed.lines[0].asset_id)
}

#[tokio::test]
async fn customers_are_found_by_a_part_of_what_they_are_called_in_any_script_and_case() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    for (id, name) in [
        ("c-100", "Müller & Söhne GmbH"),
        ("c-200", "ΠΑΠΑΔΌΠΟΥΛΟΣ \"ΑΕ\""),
        ("c-300", "50% off_Ltd"),
    ] {
        placed(&record, instance, id, name, None).await;
        placed(&record, instance, id, name, None).await;
    }
    for (text, by, id) in [
        ("MÜLLER", FoundBy::CustomerName, "c-100"),
        ("söhne gmbh", FoundBy::CustomerName, "c-100"),
        ("παπαδόπουλο", FoundBy::CustomerName, "c-200"),
        ("\"αε\"", FoundBy::CustomerName, "c-200"),
        ("50% off_", FoundBy::CustomerName, "c-300"),
        ("C-200", FoundBy::CustomerId, "c-200"),
        ("it+c-300@CUSTOMER", FoundBy::Email, "c-300"),
        // As typed on a keyboard that has no accents.
        ("muller & sohne", FoundBy::CustomerName, "c-100"),
        ("παπαδοπουλος", FoundBy::CustomerName, "c-200"),
    ] {
        assert_eq!(
            found(&record, text).await,
            [(FoundKind::Customer, by, id.to_owned())],
            "{text}"
        );
    }
    // Neither the names of the fields, nor what only looks alike.
    for text in [
        "country",
        "50%xoff",
        "off-Ltd",
        "customer.example",
        "nobody",
        "",
        "  ",
    ] {
        assert_eq!(found(&record, text).await, [], "{text}");
    }
}

#[tokio::test]
async fn an_order_is_found_by_its_beginning_and_by_the_shop_s_own_number() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (order, asset) = placed(&record, instance, "c-1", "Customer", Some("Basket-7/2026")).await;
    let id = order.to_string();
    for text in [&id[..8], &id.to_uppercase(), &id.replace('-', "")[..20]] {
        let hits = found(&record, text).await;
        assert_eq!(hits, [(FoundKind::Order, FoundBy::Id, id.clone())], "{text}");
    }
    let by_key = [(FoundKind::Order, FoundBy::IdempotencyKey, id.clone())];
    assert_eq!(found(&record, "basket-7").await, by_key);
    let of_asset = (FoundKind::Asset, FoundBy::Id, asset.to_string());
    assert!(found(&record, &asset.to_string()[..8]).await.contains(&of_asset));
}

#[tokio::test]
async fn a_license_is_found_by_its_key_its_charge_and_the_vendor_s_names_for_it() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (order, asset) = placed(&record, instance, "c-1", "Customer", None).await;
    let begun = begin(&record, asset).await;
    let unknown = AttemptOutcome::Unknown(Problem {
        correlation_id: "b7c3-correlation_1".to_owned(),
        ..problem("no-answer")
    });
    record
        .finish_attempt(asset, begun.number, unknown, 0)
        .await
        .unwrap();
    let begun = begin(&record, asset).await;
    let client_transaction_id = record.asset(asset).await.unwrap().unwrap().client_transaction_id;
    let bought = AttemptOutcome::Licensed(license(client_transaction_id, "t-1"));
    record
        .finish_attempt(asset, begun.number, bought, 0)
        .await
        .unwrap();
    let other = placed(&record, instance, "c-2", "Customer", None).await.1;
    buy(&record, other).await;

    let of_asset = |by| [(FoundKind::Asset, by, asset.to_string())];
    for (text, by) in [
        (KEY, FoundBy::ProductKey),
        (&KEY.replace('-', " "), FoundBy::ProductKey),
        (&KEY.replace('-', "").to_lowercase(), FoundBy::ProductKey),
        ("token of t-1", FoundBy::PurchaseId),
        (&client_transaction_id.to_string()[..13], FoundBy::PurchaseId),
        (
            &client_transaction_id.to_string()[..13].to_uppercase(),
            FoundBy::PurchaseId,
        ),
        ("b7c3-correlation", FoundBy::CorrelationId),
        ("b7c3-correlation_1", FoundBy::CorrelationId),
    ] {
        assert_eq!(found(&record, text).await, of_asset(by), "{text}");
    }
    assert_eq!(found(&record, "23467").await, of_asset(FoundBy::ProductKey));
    for text in [
        "b7c3-correlationX1",
        "correlation_1",
        "ABCDE-FGHJK-MNPQR-TVWXY-23468",
        "ABCDE",
    ] {
        assert_eq!(found(&record, text).await, [], "{text}");
    }

    let charge = found(&record, "esd-1").await;
    assert_eq!(
        charge,
        [(FoundKind::Charge, FoundBy::Id, "ESD-000001".to_owned())]
    );
    let finds = record.find("ESD-000001", None, LIMIT).await.unwrap();
    assert_eq!(finds.found[0].order_id, order);
    assert_eq!(found(&record, "ESD-000003").await, []);
}

#[tokio::test]
async fn more_than_is_asked_for_is_said_and_an_owner_finds_nothing_of_others() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    for number in 0..4 {
        placed(
            &record,
            instance,
            &format!("c-{number}"),
            "Alike",
            Some(&format!("alike-{number}")),
        )
        .await;
    }
    let finds = record.find("alike", None, 3).await.unwrap();
    assert_eq!(
        (finds.found.len(), finds.has_more),
        (6, true),
        "three of each kind"
    );
    let latest = finds
        .found
        .iter()
        .find(|found| found.kind == FoundKind::Order)
        .unwrap();
    assert_eq!(latest.customer.id, "c-3");
    assert!(!record.find("alike", None, 4).await.unwrap().has_more);

    let owner = "tenant".parse::<Owner>().unwrap();
    assert_eq!(record.find("alike", Some(&owner), 9).await.unwrap().found, []);
    let theirs = ready_instance(&record, "theirs", None).await.id;
    record
        .database()
        .execute("UPDATE instances SET owner = 'tenant' WHERE name = 'theirs'")
        .await;
    let offered = definition(vec![product("a", "Office")]);
    record.apply_services_definition(theirs, offered).await.unwrap();
    sell(&record, theirs, &["a"]).await;
    let (order, _) = placed(&record, theirs, "c-9", "Alike", None).await;
    let own = record.find("alike", Some(&owner), 9).await.unwrap().found;
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((own[0].order_id, own[0].instance.as_str()), (order, "theirs"));
    let prefix = &order.to_string()[..12];
    let nobody = "nobody".parse::<Owner>().unwrap();
    for (owner, ids) in [
        (Some(&owner), vec![order]),
        (None, vec![order]),
        (Some(&nobody), vec![]),
    ] {
        let begin_so = record.ids_beginning(IdKind::Order, prefix, owner).await.unwrap();
        assert_eq!(begin_so, ids, "{owner:?}");
    }
}

#[tokio::test]
async fn a_customer_of_two_owners_whose_instances_have_one_name_is_found_at_both() {
    let record = TestRecord::open().await;
    let mut instances = Vec::new();
    for owner in ["north", "south"] {
        let owner = owner.parse::<Owner>().unwrap();
        let id = shop_of(&record, Some(&owner)).await.id;
        placed(&record, id, "c-1", "Alike", None).await;
        instances.push(InstanceId(id));
    }
    let mut at: Vec<InstanceId> = record
        .find("alike", None, LIMIT)
        .await
        .unwrap()
        .found
        .iter()
        .map(|found| found.instance_id)
        .collect();
    at.sort();
    instances.sort();
    assert_eq!(at, instances);
    let listed = record
        .customers(&CustomerFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let mut at: Vec<InstanceId> = listed.iter().map(|customer| customer.instance_id).collect();
    at.sort();
    assert_eq!(at, instances);
}

#[tokio::test]
async fn an_e_mail_is_found_by_the_address_that_it_went_to_whatever_the_customer_s_is_now() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (_, asset) = placed(&record, instance, "c-1", "Customer", None).await;
    buy(&record, asset).await;
    let worker = record.start_worker().await.unwrap();
    let mail = record.take_mails(worker.id(), 100).await.unwrap().remove(0);
    let sent = MailOutcome::Sent(None);
    record.finish_mail(worker.id(), &mail, sent, 0).await.unwrap();
    let correction = CustomerCorrection {
        email: Some("new@customer.test".to_owned()),
        ..CustomerCorrection::default()
    };
    record
        .correct_customer("c-1", Some(instance), &correction, &actor())
        .await
        .unwrap();
    let by_address = [(FoundKind::Mail, FoundBy::Email, mail.id.to_string())];
    assert_eq!(found(&record, "IT+c-1@").await, by_address);
    assert_eq!(
        found(&record, "new@customer.test").await,
        [(FoundKind::Customer, FoundBy::Email, "c-1".to_owned())]
    );
    record.end_worker(worker).await.unwrap();
}

#[tokio::test]
async fn customers_are_listed_once_for_each_instance_by_their_latest_order_page_by_page() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    for (id, name) in [
        ("c-1", "Old name"),
        ("c-2", "Second"),
        ("c-3", "Third"),
        ("c-1", "New name"),
    ] {
        placed(&record, instance, id, name, None).await;
        // Of orders in one millisecond, none is the later one.
        let placed_by_ms = record.now_ms();
        while record.now_ms() <= placed_by_ms {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let filter = CustomerFilter::default();
    let first = Page::first(2).in_order(SortOrder::Descending);
    let rows = record.customers(&filter, &first).await.unwrap();
    let shown = |rows: &[bss_model::CustomerSummary]| -> Vec<(String, String, u64, u64)> {
        let shown = rows.iter().map(|row| {
            (
                row.customer.id.clone(),
                row.customer.name.clone(),
                row.orders,
                row.licenses,
            )
        });
        shown.collect()
    };
    let row = |id: &str, name: &str, orders: u64| (id.to_owned(), name.to_owned(), orders, orders);
    assert_eq!(
        shown(&rows.rows),
        [row("c-1", "New name", 2), row("c-3", "Third", 1)]
    );
    let rest = record
        .customers(&filter, &first.after(rows.next.unwrap()))
        .await
        .unwrap();
    assert_eq!(shown(&rest.rows), [row("c-2", "Second", 1)]);
    assert!(rest.next.is_none());
    let elsewhere = CustomerFilter {
        instance: Some(Uuid::new_v4()),
        owner: None,
    };
    assert_eq!(record.customers(&elsewhere, &Page::all()).await.unwrap().rows, []);
}

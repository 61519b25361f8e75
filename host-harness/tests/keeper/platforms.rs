//! What platforms order: bought as anything else is, and mailed, charged and credited by nobody here.

use bss_model::{
    AssetFilter, CancellationState, ChargeFilter, Diagnose as _, Duties, MailChoices, MailKind, NewOrder,
    NewPlatform, Page, Placed, Price, ReturnOutcome, Spending, SyncStatus,
};
use bss_record::{PlaceError, Record};
use host_harness::view::Keys;
use host_harness::{Host, OrderRequest};
use uuid::Uuid;

use crate::alerts::refuse;
use crate::cancellations::{attempted, returning};
use crate::charges::{buy, charges_of};
use crate::mail::{Shop, sent};
use crate::orders::{order, shop};
use crate::record::{TestRecord, actor, new_instance, ready_instance};
use crate::services::{definition, product};
use crate::smtp_server::{MailServer, Offer};

/// Registers a platform that buys at an instance.
async fn platform(record: &Record, name: &str, instance_id: Uuid) -> Uuid {
    let new = NewPlatform {
        name: name.to_owned(),
        owner: None,
        instance_id,
    };
    record.register_platform(new, None, &actor()).await.unwrap().id
}

/// An order of a platform, or of nobody, without a contact.
fn bare(instance: Uuid, platform: Option<Uuid>) -> NewOrder {
    NewOrder {
        contact: None,
        platform,
        ..order(instance, &[("a", 1)])
    }
}

/// A shop whose products have no prices.
async fn without_prices(record: &Record) -> Uuid {
    let instance = ready_instance(record, "esd", None).await.id;
    let both = definition(vec![product("a", "Office"), product("b", "Visio")]);
    record.apply_services_definition(instance, both).await.unwrap();
    let (decision, all) = (bss_model::Decision::Activate, bss_model::Choice::All);
    record
        .decide_products(instance, decision, &all, &actor())
        .await
        .unwrap();
    instance
}

async fn place(record: &Record, new: NewOrder) -> Result<Placed, PlaceError> {
    record.place_order(new, &actor()).await
}

#[tokio::test]
async fn a_platform_orders_without_a_contact_and_a_price_while_nobody_else_can() {
    let record = TestRecord::open().await;
    let instance = without_prices(&record).await;
    let bss = platform(&record, "bss", instance).await;
    assert_eq!(record.duties().await.unwrap(), Duties::default(), "both are on");
    let refused = place(&record, bare(instance, None)).await;
    assert!(matches!(refused, Err(PlaceError::NoContact)), "{refused:?}");
    let refused = place(&record, order(instance, &[("a", 1)])).await;
    assert!(matches!(refused, Err(PlaceError::NoPrice { .. })), "{refused:?}");

    record.check_order(bare(instance, Some(bss))).await.unwrap();
    let placed = place(&record, bare(instance, Some(bss)))
        .await
        .unwrap()
        .into_order();
    assert_eq!((placed.platform, &placed.contact), (Some(bss), &None));
    assert_eq!(record.order(placed.id).await.unwrap(), Some(placed.clone()));
    let bought = buy(&record, placed.lines[0].asset_id).await;
    assert_eq!(
        (bought.sync_status, bought.price),
        (SyncStatus::Synchronized, None)
    );
}

#[tokio::test]
async fn what_a_platform_ordered_is_neither_mailed_nor_charged_nor_credited_while_an_order_beside_it_is() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let record = shop.host.record();
    let on_return = MailChoices {
        on_return: true,
        per_order: false,
    };
    record
        .save_mail_choices(shop.instance, on_return, &actor())
        .await
        .unwrap();
    let bss = platform(record, "bss", shop.instance).await;
    // Both with a contact, of a product with a price.
    let own = shop.place(1, |_| ()).await[0];
    let theirs = shop.place(1, |new| new.platform = Some(bss)).await[0];
    assert_eq!(shop.send().await, sent(1));
    for asset in [own, theirs] {
        let cancellation = returning(record, asset).await;
        let done = attempted(record, &cancellation, ReturnOutcome::Returned).await;
        assert_eq!(done.state, CancellationState::Done);
    }
    assert_eq!(shop.send_now().await, sent(1));
    let mails = shop.mails().await;
    let mails: Vec<_> = mails.iter().map(|mail| (mail.kind, mail.asset_id)).collect();
    assert_eq!(mails, [(MailKind::Welcome, own), (MailKind::Return, own)]);
    assert_eq!(server.taken().len(), 2);

    let asset = async |id| record.asset(id).await.unwrap().unwrap();
    let (own, theirs) = (asset(own).await, asset(theirs).await);
    assert_eq!(own.price, theirs.price);
    assert_eq!(charges_of(record, own.order_id).await.len(), 1);
    assert_eq!(charges_of(record, theirs.order_id).await, []);
    let credits = record
        .credits(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap();
    let credited: Vec<_> = credits.rows.iter().map(|credit| credit.asset_id).collect();
    assert_eq!(credited, [own.id]);
}

#[tokio::test]
async fn an_e_mail_about_what_a_platform_ordered_is_not_even_shown() {
    let shop = Shop::open().await;
    let record = shop.host.record();
    let bss = platform(record, "bss", shop.instance).await;
    let own = shop.place(1, |_| ()).await[0];
    let theirs = shop.place(1, |new| new.platform = Some(bss)).await[0];
    let order = record.asset(theirs).await.unwrap().unwrap().order_id;
    assert_eq!(
        shop.host
            .preview_mails(own, None, Keys::Masked)
            .await
            .unwrap()
            .len(),
        1
    );
    for id in [theirs, order] {
        let refused = shop.host.preview_mails(id, None, Keys::Masked).await;
        let error = refused.err().unwrap();
        assert_eq!(error.diagnosis().code, "not-mailed");
        assert!(error.to_string().contains("a platform"), "{error}");
    }
    let of_theirs = bss_model::MailsToResend::Order(order);
    assert_eq!(record.mails_to_resend(&of_theirs).await.unwrap(), []);
}

#[tokio::test]
async fn a_platform_buys_at_its_instance_alone_until_it_is_revoked() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let elsewhere = new_instance(&record, "elsewhere").await.id;
    let (bss, other) = (
        platform(&record, "bss", instance).await,
        platform(&record, "other", elsewhere).await,
    );
    let refused = async |platform| {
        let keyed = NewOrder {
            idempotency_key: Some("new".to_owned()),
            ..bare(instance, Some(platform))
        };
        let checked = record.check_order(keyed.clone()).await.unwrap_err();
        let placed = place(&record, keyed).await.unwrap_err();
        assert_eq!(checked.to_string(), placed.to_string());
        placed.diagnosis().code
    };
    assert_eq!(refused(other).await, "platform-not-usable");
    assert_eq!(refused(Uuid::from_u128(1)).await, "platform-not-usable");
    let keyed = NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..bare(instance, Some(bss))
    };
    let placed = place(&record, keyed.clone()).await.unwrap().into_order();
    record.revoke_platform("bss", None, &actor()).await.unwrap();
    assert_eq!(refused(bss).await, "platform-not-usable");
    let assets = record
        .assets(&AssetFilter::default(), &Page::all())
        .await
        .unwrap();
    assert_eq!(assets.rows.len(), 1, "nothing else was written");
    let again = place(&record, keyed).await.unwrap();
    assert_eq!(
        again,
        Placed::Known(placed),
        "what it ordered is known, and bought"
    );
}

#[tokio::test]
async fn an_order_of_a_platform_is_no_order_of_anybody_else_with_its_key() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (bss, other) = (
        platform(&record, "bss", instance).await,
        platform(&record, "other", instance).await,
    );
    let keyed = |key: &str, platform| NewOrder {
        idempotency_key: Some(key.to_owned()),
        platform,
        ..order(instance, &[("a", 1)])
    };
    let placed = place(&record, keyed("k", Some(bss))).await.unwrap();
    assert!(placed.is_new());
    assert!(!place(&record, keyed("k", Some(bss))).await.unwrap().is_new());
    place(&record, keyed("own", None)).await.unwrap();
    for (key, platform) in [("k", None), ("k", Some(other)), ("own", Some(bss))] {
        let again = keyed(key, platform);
        let looked_up = record.placed_order(&again).await;
        assert!(
            matches!(looked_up, Err(PlaceError::KeyReused { .. })),
            "{looked_up:?}"
        );
        let refused = place(&record, again).await;
        assert!(
            matches!(refused, Err(PlaceError::KeyReused { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_limit_holds_for_platforms_too_and_one_of_money_needs_a_price() {
    let record = TestRecord::open().await;
    let id = without_prices(&record).await;
    let instance = record.instance_by_id(id).await.unwrap().unwrap();
    let bss = platform(&record, "bss", id).await;
    let limit = async |limit: &Spending| {
        record
            .limit_spending(&instance, Some(limit), &actor())
            .await
            .unwrap()
    };
    limit(&Spending::Units(1)).await;
    place(&record, bare(id, Some(bss))).await.unwrap();
    let refused = place(&record, bare(id, Some(bss))).await;
    assert!(
        matches!(refused, Err(PlaceError::SpendingLimit(_))),
        "{refused:?}"
    );
    let euros = |minor_units| Price {
        currency: "EUR".to_owned(),
        minor_units,
    };
    limit(&Spending::Amount(euros(1_000))).await;
    let refused = place(&record, bare(id, Some(bss))).await;
    assert!(matches!(refused, Err(PlaceError::NoPrice { .. })), "{refused:?}");
    record
        .set_prices(id, &["a".to_owned()], &euros(600), &actor())
        .await
        .unwrap();
    place(&record, bare(id, Some(bss))).await.unwrap();
    let refused = place(&record, bare(id, Some(bss))).await;
    assert!(
        matches!(refused, Err(PlaceError::SpendingLimit(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_platform_is_told_once_to_notify_its_customer_of_a_license() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let bss = platform(&record, "bss", instance).await;
    let ordered = async || {
        let one = NewOrder {
            platform: Some(bss),
            ..order(instance, &[("a", 1)])
        };
        place(&record, one).await.unwrap().into_order().lines[0].asset_id
    };
    let [first, second] = [ordered().await, ordered().await];
    let other = record.opened_again().await;
    let told = tokio::join!(
        record.take_platform_notice(first),
        other.take_platform_notice(first),
        record.take_platform_notice(first),
    );
    let told = [told.0, told.1, told.2].map(Result::unwrap);
    assert_eq!(told.iter().filter(|is_first| **is_first).count(), 1);
    assert!(record.take_platform_notice(second).await.unwrap());
    assert!(!other.take_platform_notice(second).await.unwrap());
    record.take_platform_notice(Uuid::from_u128(1)).await.unwrap_err();
}

#[tokio::test]
async fn an_instance_stays_while_a_platform_buys_at_it() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await.id;
    platform(&record, "bss", instance).await;
    let error = record.remove_instance(instance, &actor()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "instance-of-platform");
    assert!(error.to_string().contains("`bss`"), "{error}");
    record.revoke_platform("bss", None, &actor()).await.unwrap();
    record.remove_instance(instance, &actor()).await.unwrap();
    let platforms = record.platforms(None).await.unwrap();
    assert_eq!(platforms[0].instance_id, instance, "it is on record as it was");
}

#[tokio::test]
async fn a_request_of_a_platform_is_an_order_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder(folder.path().join("bss")).create().await.unwrap();
    let instance = without_prices(host.record()).await;
    let bss = platform(host.record(), "bss", instance).await;
    let NewOrder {
        customer, contact, ..
    } = order(instance, &[]);
    let request = || OrderRequest::new(customer.clone()).line("a", 1);
    let own = request().mail_to(contact.unwrap());
    let theirs = request().of_platform(bss);
    let handle = host.instance("esd").await.unwrap();
    let problems = handle.order_problems(&own, None).await.unwrap();
    assert_eq!(problems.len(), 1, "it has no price");
    let problems = handle.order_problems(&theirs, None).await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test]
async fn a_subscription_is_one_license_whatever_its_order_asks_for() {
    let record = TestRecord::open().await;
    let instance = without_prices(&record).await;
    let bss = platform(&record, "bss", instance).await;
    for lines in [&[("a", 2)][..], &[("a", 1), ("b", 1)]] {
        let several = NewOrder {
            contact: None,
            platform: Some(bss),
            ..order(instance, lines)
        };
        let refused = place(&record, several).await;
        assert!(
            matches!(refused, Err(PlaceError::SeveralLicenses { .. })),
            "{refused:?}"
        );
    }
    place(&record, bare(instance, Some(bss))).await.unwrap();
}

#[tokio::test]
async fn a_program_tries_again_what_was_refused_alone_and_only_while_it_is_on_sale() {
    let record = TestRecord::open().await;
    let instance = without_prices(&record).await;
    let bss = platform(&record, "bss", instance).await;
    let mut assets = Vec::new();
    for _ in 0..2 {
        let placed = place(&record, bare(instance, Some(bss)))
            .await
            .unwrap()
            .into_order();
        assets.push(placed.lines[0].asset_id);
    }
    let code = async |asset: Uuid| {
        let retried = record.retry_refused(asset, &actor()).await;
        retried.err().map(|error| error.diagnosis().code.into_owned())
    };
    // What may be bought by now is an operator's to try again.
    assert_eq!(code(assets[0]).await.as_deref(), Some("not-refused"));
    record.retry_asset(assets[0], &actor()).await.unwrap();
    refuse(&record, assets[0], "sold out").await;
    let (all, me) = (bss_model::Choice::All, actor());
    let decide = async |decision| {
        record
            .decide_products(instance, decision, &all, &me)
            .await
            .unwrap()
    };
    decide(bss_model::Decision::Deactivate).await;
    assert_eq!(code(assets[0]).await.as_deref(), Some("product-inactive"));
    decide(bss_model::Decision::Activate).await;
    assert_eq!(code(assets[0]).await, None);
    assert_eq!(
        code(assets[0]).await.as_deref(),
        Some("not-refused"),
        "it is open again"
    );
    buy(&record, assets[1]).await;
    assert_eq!(code(assets[1]).await.as_deref(), Some("has-license"));
}

//! Instances that are corrected, renamed, disabled and removed: what was ordered stays what it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource};
use bss_model::{
    Act, ActFilter, AssetSelection, AttemptOutcome, EarlierAttempts, Instance, InstanceCorrection, NewOrder,
    Page, Placed, SavedSettings, Spending, TakenAsset,
};
use bss_record::{CreateError, PlaceError, Record, RemoveInstanceError, RenameError, SaveError};
use uuid::Uuid;

use crate::acts::install;
use crate::charges::euros;
use crate::orders::{begin, order, problem, shop};
use crate::record::{TestRecord, actor, new_instance, ready_instance, settings};
use crate::runs::lease;
use crate::services::{definition, product};

async fn correct(
    record: &Record,
    instance: &Instance,
    correction: InstanceCorrection,
) -> Result<Instance, SaveError> {
    let settings = SavedSettings {
        correction: Some(correction),
        ..settings(None)
    };
    record
        .save_settings(instance.id, instance.version, settings, &actor())
        .await
}

fn keyed(instance: Uuid, key: &str) -> NewOrder {
    NewOrder {
        idempotency_key: Some(key.to_owned()),
        ..order(instance, &[("a", 2)])
    }
}

/// Takes all that can be attempted for an instance, as a worker that then ends.
async fn take(record: &Record, instance: Uuid) -> Vec<TakenAsset> {
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        instance: Some(instance),
        limit: 100,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap();
    record.end_worker(worker).await.unwrap();
    taken
}

#[tokio::test]
async fn what_is_corrected_is_saved_with_the_settings_and_stays_in_the_history() {
    let record = TestRecord::open().await;
    let instance = ready_instance(&record, "esd", None).await;
    let correction = InstanceCorrection {
        currency: "USD".to_owned(),
        options: BTreeMap::from([("login-authority".to_owned(), "login.example.com".to_owned())]),
        trusted_authorities_pem: None,
        allowed_networks: vec!["10.0.0.0/8".parse().unwrap()],
    };
    let saved = correct(&record, &instance, correction.clone()).await.unwrap();
    assert_eq!(InstanceCorrection::of(&saved), correction);
    assert_eq!(
        saved.version, 2,
        "workers see by the version that it is another one"
    );
    let again = record.opened_again().await;
    assert_eq!(again.instance("esd").await.unwrap(), Some(saved));
    let history = again.instance_history(instance.id, &Page::all()).await.unwrap();
    let changed = &history.rows[1].other_changes;
    let (before, after) = (&changed.options["region"], &changed.options["login-authority"]);
    assert_eq!((before.new.as_deref(), after.old.as_deref()), (None, None));
    assert_eq!(after.new.as_deref(), Some("login.example.com"));
    let [currency, networks] = [&changed.currency, &changed.allowed_networks].map(|change| {
        let change = change.clone().unwrap();
        (change.old, change.new)
    });
    assert_eq!(currency, (Some("EUR".to_owned()), Some("USD".to_owned())));
    assert_eq!(networks, (None, Some("10.0.0.0/8".to_owned())));
    assert_eq!(changed.trusted_authorities, None);
    let nothing = &history.rows[0].other_changes;
    assert_eq!(nothing, &bss_model::OtherChanges::default());
}

#[tokio::test]
async fn a_currency_is_one_in_use_and_stays_once_something_is_ordered_or_limited_in_it() {
    let record = TestRecord::open().await;
    let instance = ready_instance(&record, "limited", None).await;
    let in_currency = |of: &Instance, currency: &str| InstanceCorrection {
        currency: currency.to_owned(),
        ..InstanceCorrection::of(of)
    };
    let refused = correct(&record, &instance, in_currency(&instance, "XXZ")).await;
    assert!(
        matches!(refused, Err(SaveError::InvalidCurrency { .. })),
        "{refused:?}"
    );
    let limit = Spending::Amount(euros(1));
    record
        .limit_spending(&instance, Some(&limit), &actor())
        .await
        .unwrap();
    let refused = correct(&record, &instance, in_currency(&instance, "USD")).await;
    assert!(
        matches!(refused, Err(SaveError::LimitInCurrency { .. })),
        "{refused:?}"
    );

    let shop = shop(&record).await;
    record
        .place_order(order(shop, &[("a", 1)]), &actor())
        .await
        .unwrap();
    let shop = record.instance_by_id(shop).await.unwrap().unwrap();
    let refused = correct(&record, &shop, in_currency(&shop, "USD")).await;
    assert!(
        matches!(refused, Err(SaveError::CurrencyInUse { .. })),
        "{refused:?}"
    );
    assert_eq!(record.instance_by_id(shop.id).await.unwrap().unwrap(), shop);
    let trusting_nobody = InstanceCorrection {
        trusted_authorities_pem: Some("no certificate".to_owned()),
        ..InstanceCorrection::of(&shop)
    };
    let refused = correct(&record, &shop, trusting_nobody).await;
    assert!(
        matches!(refused, Err(SaveError::TrustedAuthorities)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_order_that_is_placed_again_with_its_key_after_a_rename_is_the_same_and_bought_once() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record.place_order(keyed(instance, "BASKET-7"), &actor()).await;
    let before = placed.unwrap().into_order();
    record
        .rename_instance(instance, "europe", &actor())
        .await
        .unwrap();
    let again = record.place_order(keyed(instance, "BASKET-7"), &actor()).await;
    let Placed::Known(again) = again.unwrap() else {
        panic!("it was placed a second time");
    };
    assert_eq!(again, before);
    assert_eq!(take(&record, instance).await.len(), 2, "its two licenses are all");
    let renamed = record.instance("europe").await.unwrap().unwrap();
    assert_eq!((renamed.id, renamed.first_name()), (instance, "esd"));
    assert_eq!(record.instance("esd").await.unwrap(), None);
    // The first name again, as if nothing had been.
    let back = record.rename_instance(instance, "esd", &actor()).await.unwrap();
    assert_eq!(back.first_name, None);
}

#[tokio::test]
async fn an_order_after_a_rename_has_the_ids_that_its_key_has_at_an_instance_of_the_first_name() {
    let key = Arc::new(HostKey::generate().unwrap());
    let ids = async |renames: &[&str]| {
        let record = TestRecord::with_key(&HostKeySource::Given(Arc::clone(&key))).await;
        let instance = shop(&record).await;
        for name in renames {
            record.rename_instance(instance, name, &actor()).await.unwrap();
        }
        let placed = record.place_order(keyed(instance, "BASKET-8"), &actor()).await;
        let order = placed.unwrap().into_order();
        let assets: Vec<_> = order.lines.iter().map(|line| line.asset_id).collect();
        (order.id, assets)
    };
    let never = ids(&[]).await;
    assert_eq!(ids(&["europe"]).await, never);
    assert_eq!(ids(&["europe", "germany"]).await, never);
}

#[tokio::test]
async fn no_instance_gets_a_name_that_another_one_has_or_makes_its_ids_of() {
    let record = TestRecord::open().await;
    let first = new_instance(&record, "first").await;
    let other = new_instance(&record, "other").await;
    record
        .rename_instance(first.id, "second", &actor())
        .await
        .unwrap();
    let refused = |refused: Result<Instance, RenameError>| match refused {
        Err(RenameError::Name(error)) => error,
        other => panic!("{other:?}"),
    };
    for (name, is_taken) in [("second", true), ("first", false)] {
        let error = refused(record.rename_instance(other.id, name, &actor()).await);
        assert_eq!(
            matches!(error, CreateError::NameTaken { .. }),
            is_taken,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, CreateError::FirstName { .. }),
            !is_taken,
            "{error:?}"
        );
    }
    let new = bss_model::NewInstance::new("first", "EUR");
    let error = record.create_instance(new, &actor()).await.unwrap_err();
    assert!(
        matches!(&error, CreateError::FirstName { instance, .. } if instance == "second"),
        "{error:?}"
    );
    for name in ["", " padded", "two\nlines"] {
        let error = refused(record.rename_instance(other.id, name, &actor()).await);
        assert!(matches!(error, CreateError::InvalidName { .. }), "{error:?}");
    }
    assert_eq!(record.instance("other").await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_disabled_instance_takes_no_new_order_and_nothing_of_it_is_bought_but_what_is_in_doubt_is_looked_up()
 {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record.place_order(keyed(instance, "BASKET-9"), &actor()).await;
    let known = placed.unwrap().into_order();
    let [never, doubtful] = [0, 1].map(|line: usize| known.lines[line].asset_id);
    begin(&record, doubtful).await;
    let unknown = AttemptOutcome::Unknown(problem("no-answer"));
    record.finish_attempt(doubtful, 1, unknown, 0).await.unwrap();
    record
        .set_instance_enabled(instance, false, &actor())
        .await
        .unwrap();

    let refused = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
    assert!(matches!(refused, Err(PlaceError::Disabled { .. })), "{refused:?}");
    let again = record.place_order(keyed(instance, "BASKET-9"), &actor()).await;
    assert!(
        matches!(again, Ok(Placed::Known(_))),
        "a shop is told what it ordered"
    );

    let all = AssetSelection {
        instance: Some(instance),
        ..AssetSelection::default()
    };
    assert_eq!(record.outstanding(&all).await.unwrap().assets, 1);
    let taken = take(&record, instance).await;
    let [looked_up] = &taken[..] else {
        panic!("{taken:?}")
    };
    assert_eq!(looked_up.asset_id, doubtful);
    assert!(looked_up.attempt.is_disabled && looked_up.attempt.in_doubt.is_some());
    let nothing = AttemptOutcome::LookedUp(problem("instance-disabled"));
    record.finish_attempt(doubtful, 2, nothing, 0).await.unwrap();

    record
        .set_instance_enabled(instance, true, &actor())
        .await
        .unwrap();
    let mut taken = take(&record, instance).await;
    taken.sort_by_key(|taken| taken.asset_id != never);
    let earlier: Vec<_> = taken
        .iter()
        .map(|taken| (taken.asset_id, taken.attempt.is_disabled, taken.attempt.earlier))
        .collect();
    assert_eq!(
        earlier,
        [
            // A key may be that of an order that was lost: the plugin looks before it buys.
            (never, false, EarlierAttempts::NotDone),
            (doubtful, false, EarlierAttempts::Unknown)
        ]
    );
}

#[tokio::test]
async fn an_instance_without_orders_is_removed_with_all_that_it_has_and_its_certificate_is_free() {
    let record = TestRecord::open().await;
    let thumbprint = install(&record, "client").await;
    let instance = ready_instance(&record, "esd", Some(thumbprint)).await;
    let products = definition(vec![product("a", "Office")]);
    record
        .apply_services_definition(instance.id, products)
        .await
        .unwrap();
    let codes = ["a".to_owned()];
    record
        .set_prices(instance.id, &codes, &euros(1), &actor())
        .await
        .unwrap();
    record
        .limit_spending(&instance, Some(&Spending::Units(1)), &actor())
        .await
        .unwrap();
    record.raise_instance_held(instance.id, None).await.unwrap();
    let lease = lease();
    let run = record
        .start_services_run(instance.id, Some(lease), &actor())
        .await
        .unwrap();
    let refused = record.remove_instance(instance.id, &actor()).await;
    assert!(
        matches!(refused, Err(RemoveInstanceError::RunOpen { .. })),
        "{refused:?}"
    );
    record
        .fail_services_run(run, lease, &problem("interrupted"))
        .await
        .unwrap();
    record
        .certificates()
        .remove(&thumbprint, &actor())
        .await
        .unwrap_err();

    let removed = record.remove_instance(instance.id, &actor()).await.unwrap();
    assert_eq!(removed.id, instance.id);
    assert_eq!(record.instances().await.unwrap(), []);
    record.certificates().remove(&thumbprint, &actor()).await.unwrap();
    let acts = ActFilter {
        instance: Some(instance.id),
        ..ActFilter::default()
    };
    let acts = record.acts(&acts, 100.try_into().unwrap()).await.unwrap();
    assert_eq!(acts.last().map(|act| act.act), Some(Act::RemoveInstance));
    assert!(acts.len() > 3, "what was done to it stays on record");
    record.verify_acts(None).await.unwrap();
    if record.database().is_file() {
        record.verify().await.unwrap();
    }
    new_instance(&record, "esd").await;
    let gone = record.remove_instance(instance.id, &actor()).await;
    assert!(
        matches!(
            gone,
            Err(RemoveInstanceError::Instance(SaveError::NoInstance { .. }))
        ),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_instance_at_which_something_was_ordered_is_not_removed() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
    let order = placed.unwrap().into_order();
    record.withdraw_order(order.id, &[], &actor()).await.unwrap();
    let before = record.instances().await.unwrap();
    let refused = record.remove_instance(instance, &actor()).await;
    assert!(
        matches!(refused, Err(RemoveInstanceError::HasOrders { .. })),
        "{refused:?}"
    );
    assert_eq!(record.instances().await.unwrap(), before);
}

//! Webhooks: each outcome is on its way to each receiver that asked for it, once, until it is taken or has failed for days.

use std::collections::BTreeSet;
use std::time::Duration;

use bss_model::{
    Act, ActFilter, AlertFilter, AlertKind, AttemptOutcome, Delivery, DeliveryFilter, DeliveryOutcome,
    DeliveryState, DeliveryToSend, NewWebhook, OutcomeCursor, OutcomeKind, Owner, Page, Problem,
    WebhookState,
};
use bss_record::{Record, WebhookError};
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::charges::buy;
use crate::orders::{begin, order, problem, shop};
use crate::record::{TestRecord, actor, files_of};
use crate::tenants::shop_of;

fn receiver(kinds: &[OutcomeKind], owner: Option<&str>) -> NewWebhook {
    NewWebhook {
        url: "https://shop.example/hooks".to_owned(),
        owner: owner.map(|owner| owner.parse().unwrap()),
        kinds: kinds.to_vec(),
        allowed_networks: Vec::new(),
        trusted_authorities_pem: None,
    }
}

async fn create(record: &Record, kinds: &[OutcomeKind], owner: Option<&str>) -> Uuid {
    let created = record.create_webhook(receiver(kinds, owner), &actor()).await;
    created.unwrap().0.id
}

/// Orders a license at an instance, and has it bought, or refused.
async fn settle(record: &Record, instance: Uuid, is_bought: bool) -> Uuid {
    let placed = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
    let asset = placed.unwrap().into_order().lines[0].asset_id;
    match is_bought {
        true => {
            buy(record, asset).await;
        }
        false => {
            let begun = begin(record, asset).await;
            let refused = AttemptOutcome::Refused(problem("sold-out"));
            record
                .finish_attempt(asset, begun.number, refused, 0)
                .await
                .unwrap();
        }
    }
    asset
}

async fn deliveries(record: &Record, webhook: Uuid) -> Vec<Delivery> {
    record.make_deliveries().await.unwrap();
    let filter = DeliveryFilter {
        webhook: Some(webhook),
        state: None,
    };
    record.deliveries(&filter, None, &Page::all()).await.unwrap().rows
}

/// Takes all deliveries that are due.
async fn take(record: &Record, busy: &[Uuid]) -> Vec<DeliveryToSend> {
    let mut taken = Vec::new();
    while let Some(delivery) = record.take_delivery(i64::MAX, busy).await.unwrap() {
        taken.push(delivery);
    }
    taken
}

async fn execute_on(record: &TestRecord, statement: &'static str) {
    record.database().execute(statement).await;
}

fn no_room() -> Problem {
    Problem::new("webhook-refused", "no room", "")
}

async fn open_alerts(record: &Record) -> Vec<AlertKind> {
    let alerts = record.alerts(&AlertFilter::default(), 100).await.unwrap();
    alerts.iter().map(|alert| alert.kind).collect()
}

#[tokio::test]
async fn a_receiver_is_told_of_what_it_asked_for_from_then_on_and_of_each_once() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    settle(&record, instance, true).await;
    let all = create(&record, &[], None).await;
    let refusals = create(&record, &[OutcomeKind::Refused], None).await;
    let bought = settle(&record, instance, true).await;
    let refused = settle(&record, instance, false).await;
    for _ in 0..2 {
        let told: Vec<_> = deliveries(&record, all)
            .await
            .iter()
            .map(|delivery| (delivery.outcome.kind, Uuid::from(delivery.outcome.asset)))
            .collect();
        assert_eq!(
            told,
            [(OutcomeKind::Licensed, bought), (OutcomeKind::Refused, refused)]
        );
    }
    let [of_refusal] = deliveries(&record, refusals).await.try_into().unwrap();
    assert_eq!(Uuid::from(of_refusal.outcome.asset), refused);
    let same = deliveries(&record, all).await.remove(1);
    assert_eq!(same.event_id, of_refusal.event_id, "an event has one id for all");
    assert_ne!(same.id, of_refusal.id);
}

#[tokio::test]
async fn an_event_has_the_id_in_the_list_of_events_that_its_receivers_are_sent() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let webhook = create(&record, &[], None).await;
    settle(&record, instance, true).await;
    let refused = settle(&record, instance, false).await;
    record.retry_asset(refused, &actor()).await.unwrap();
    let begun = begin(&record, refused).await;
    let again = AttemptOutcome::Refused(problem("sold-out"));
    record
        .finish_attempt(refused, begun.number, again, 0)
        .await
        .unwrap();
    let sent = deliveries(&record, webhook).await;
    let sent: Vec<_> = sent
        .into_iter()
        .map(|sent| (sent.event_id, sent.outcome))
        .collect();
    let listed = record.events(OutcomeCursor::START, 10, None, None).await.unwrap();
    let listed: Vec<_> = listed
        .into_iter()
        .map(|event| (event.id, event.outcome))
        .collect();
    assert_eq!(listed, sent);
    let ids: BTreeSet<Uuid> = listed.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), 3, "a line that is refused twice has two events");
}

#[tokio::test]
async fn an_owner_s_receiver_is_told_of_its_instances_alone_and_is_nobody_else_s() {
    let record = TestRecord::open().await;
    let (north, south): (Owner, Owner) = ("north".parse().unwrap(), "south".parse().unwrap());
    let webhook = create(&record, &[], Some("north")).await;
    let ours = shop_of(&record, Some(&north)).await.id;
    let theirs = shop_of(&record, Some(&south)).await.id;
    let asset = settle(&record, ours, true).await;
    settle(&record, theirs, true).await;
    let told = deliveries(&record, webhook).await;
    assert_eq!(
        told.iter()
            .map(|delivery| Uuid::from(delivery.outcome.asset))
            .collect::<Vec<_>>(),
        [asset]
    );
    assert!(record.webhook(webhook, Some(&south)).await.unwrap().is_none());
    assert!(record.webhook(webhook, Some(&north)).await.unwrap().is_some());
    assert_eq!(record.webhooks(Some(&south)).await.unwrap(), []);
    let filter = DeliveryFilter::default();
    let seen = record.deliveries(&filter, Some(&south), &Page::all()).await;
    assert_eq!(seen.unwrap().rows, []);
}

#[tokio::test]
async fn a_delivery_is_one_worker_s_until_its_time_is_over_and_never_unsent_by_a_late_one() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let webhook = create(&record, &[], None).await;
    settle(&record, instance, true).await;
    record.make_deliveries().await.unwrap();
    assert_eq!(take(&record, &[webhook]).await.len(), 0, "busy");
    let first = take(&record, &[]).await.remove(0);
    assert_eq!((first.delivery.attempts, first.keys.len()), (1, 1));
    assert_eq!(take(&record, &[]).await.len(), 0);
    record
        .database()
        .execute("UPDATE deliveries SET due_at_ms = 1")
        .await;
    let second = take(&record, &[]).await.remove(0);
    assert_eq!(second.delivery.attempts, 2);
    record
        .finish_delivery(&second, DeliveryOutcome::Taken(204))
        .await
        .unwrap();
    // The first worker was slow, and heard a no.
    let late = DeliveryOutcome::Later(no_room(), Some(500), 0);
    record.finish_delivery(&first, late).await.unwrap();
    let [delivery] = deliveries(&record, webhook).await.try_into().unwrap();
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let attempts = record.delivery_attempts(delivery.id, None).await.unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.status))
        .collect();
    assert_eq!(told, [(1, Some(500)), (2, Some(204))]);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_with_an_alert_and_told_the_rest_once_it_is_enabled() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let webhook = create(&record, &[], None).await;
    settle(&record, instance, true).await;
    record.make_deliveries().await.unwrap();
    let sent = take(&record, &[]).await.remove(0);
    record
        .finish_delivery(&sent, DeliveryOutcome::Gone(no_room()))
        .await
        .unwrap();
    let off = record.webhook(webhook, None).await.unwrap().unwrap();
    assert_eq!((off.state, off.problem), (WebhookState::Off, Some(no_room())));
    assert_eq!(open_alerts(&record).await, [AlertKind::WebhookOff]);
    settle(&record, instance, true).await;
    assert_eq!(
        deliveries(&record, webhook).await.len(),
        1,
        "nothing new while it is off"
    );
    assert_eq!(take(&record, &[]).await.len(), 0);

    for _ in 0..2 {
        let on = record
            .set_webhook_state(webhook, WebhookState::On, &actor())
            .await;
        assert_eq!(on.unwrap().problem, None);
    }
    assert_eq!(open_alerts(&record).await, []);
    record.make_deliveries().await.unwrap();
    assert_eq!(take(&record, &[]).await.len(), 2);
    let acts = record
        .acts(&ActFilter::default(), 1_000.try_into().unwrap())
        .await
        .unwrap();
    let enabled = acts.iter().filter(|act| act.act == Act::EnableWebhook).count();
    assert_eq!(enabled, 1, "a second time changes nothing");
}

#[tokio::test]
async fn a_receiver_that_fails_for_days_is_switched_off_and_one_that_refuses_one_thing_is_not() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let webhook = create(&record, &[], None).await;
    for _ in 0..2 {
        settle(&record, instance, true).await;
    }
    record.make_deliveries().await.unwrap();
    let taken = take(&record, &[]).await;
    let state = async || record.webhook(webhook, None).await.unwrap().unwrap().state;
    let failed = DeliveryOutcome::Failed(no_room(), Some(400));
    record.finish_delivery(&taken[0], failed.clone()).await.unwrap();
    record
        .finish_delivery(&taken[1], DeliveryOutcome::Taken(200))
        .await
        .unwrap();
    assert_eq!(state().await, WebhookState::On);

    // Ten failures in a row, for three days.
    assert_eq!(record.redeliver_failed(webhook, &actor()).await.unwrap(), 1);
    assert_eq!(record.redeliver_failed(webhook, &actor()).await.unwrap(), 0);
    for failures in 1..=10 {
        assert_eq!(state().await, WebhookState::On, "{failures}");
        let again = take(&record, &[]).await.remove(0);
        assert_eq!(again.tries, failures, "its pauses begin anew");
        let later = DeliveryOutcome::Later(no_room(), Some(503), 1);
        record.finish_delivery(&again, later).await.unwrap();
        if failures == 2 {
            assert_eq!(take(&record, &[]).await.len(), 0, "it rests");
        }
        execute_on(
            &record,
            "UPDATE webhooks SET rest_until_ms = 0, failing_since_ms = failing_since_ms - 72 * 3600000 / 9",
        )
        .await;
    }
    assert_eq!(state().await, WebhookState::Off);
    assert_eq!(open_alerts(&record).await, [AlertKind::WebhookOff]);

    // What had failed is sent, too, once it is on again.
    execute_on(
        &record,
        "UPDATE deliveries SET state = 'failed' WHERE state = 'pending'",
    )
    .await;
    let on = record
        .set_webhook_state(webhook, WebhookState::On, &actor())
        .await;
    on.unwrap();
    assert_eq!(take(&record, &[]).await.len(), 1);
    record.remove_webhook(webhook, &actor()).await.unwrap();
    assert_eq!(open_alerts(&record).await, []);
    let gone = record.remove_webhook(webhook, &actor()).await;
    assert!(matches!(gone, Err(WebhookError::NoWebhook { .. })), "{gone:?}");
    assert_eq!(deliveries(&record, webhook).await, []);
}

#[tokio::test]
async fn what_was_broken_off_counts_for_nothing_and_what_is_asked_for_meanwhile_is_sent_again() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let webhook = create(&record, &[], None).await;
    settle(&record, instance, true).await;
    record.make_deliveries().await.unwrap();
    for _ in 0..3 {
        let cut_off = take(&record, &[]).await.remove(0);
        assert_eq!(cut_off.tries, 1);
        execute_on(&record, "UPDATE deliveries SET due_at_ms = 1").await;
    }
    let under_way = take(&record, &[]).await.remove(0);
    record
        .redeliver(webhook, under_way.delivery.id, &actor())
        .await
        .unwrap();
    let failed = DeliveryOutcome::Failed(no_room(), Some(400));
    record.finish_delivery(&under_way, failed).await.unwrap();
    assert_eq!(take(&record, &[]).await.len(), 1, "it is due all the same");
}

#[tokio::test]
async fn a_receiver_whose_keys_can_not_be_read_keeps_no_other_waiting_and_can_be_given_others() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (damaged, whole) = (create(&record, &[], None).await, create(&record, &[], None).await);
    settle(&record, instance, true).await;
    record.make_deliveries().await.unwrap();
    let damage =
        format!("UPDATE webhooks SET sealed_keys = substr(sealed_keys, 1, 1) WHERE id = '{damaged}'");
    record.database().execute(&damage).await;
    let taken = take(&record, &[]).await;
    assert_eq!(
        taken.iter().map(|taken| taken.webhook.id).collect::<Vec<_>>(),
        [whole]
    );
    assert_eq!(open_alerts(&record).await, [AlertKind::WebhookOff]);
    record
        .rotate_webhook(damaged, Duration::ZERO, &actor())
        .await
        .unwrap();
    let on = record
        .set_webhook_state(damaged, WebhookState::On, &actor())
        .await;
    on.unwrap();
    assert_eq!(take(&record, &[]).await.len(), 1);
}

#[tokio::test]
async fn a_tenant_sees_that_its_receiver_is_off_and_no_attempt_of_another_s() {
    let record = TestRecord::open().await;
    let (north, south): (Owner, Owner) = ("north".parse().unwrap(), "south".parse().unwrap());
    let webhook = create(&record, &[], Some("north")).await;
    let instance = shop_of(&record, Some(&north)).await.id;
    settle(&record, instance, true).await;
    record.make_deliveries().await.unwrap();
    let sent = take(&record, &[]).await.remove(0);
    record
        .finish_delivery(&sent, DeliveryOutcome::Gone(no_room()))
        .await
        .unwrap();
    for (owner, sees) in [(&north, true), (&south, false)] {
        let filter = AlertFilter {
            owner: Some(owner.clone()),
            ..AlertFilter::default()
        };
        assert_eq!(!record.alerts(&filter, 9).await.unwrap().is_empty(), sees);
        assert_eq!(record.open_alerts(Some(owner)).await.unwrap() > 0, sees);
        let attempts = record.delivery_attempts(sent.delivery.id, Some(owner)).await;
        assert_eq!(attempts.is_ok(), sees, "{attempts:?}");
    }
    assert_eq!(record.webhooks(Some(&north)).await.unwrap()[0].id, webhook);
}

#[tokio::test]
async fn a_rotation_has_both_keys_sign_for_a_time_and_no_key_is_in_a_file_in_clear() {
    let record = TestRecord::open().await;
    let (webhook, first) = record
        .create_webhook(receiver(&[], None), &actor())
        .await
        .unwrap();
    let day = Duration::from_secs(86_400);
    let (_, second) = record.rotate_webhook(webhook.id, day, &actor()).await.unwrap();
    let signing = async || {
        let keys = record.webhook_keys(webhook.id).await.unwrap();
        keys.iter()
            .map(|keys| keys.secret.expose().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(signing().await, [second.secret.expose(), first.secret.expose()]);
    // The second is lost before the receiver has it: the first, which it has, signs on.
    let (_, again) = record.rotate_webhook(webhook.id, day, &actor()).await.unwrap();
    assert_eq!(signing().await, [again.secret.expose(), first.secret.expose()]);
    let (_, third) = record
        .rotate_webhook(webhook.id, Duration::ZERO, &actor())
        .await
        .unwrap();
    assert_eq!(signing().await, [third.secret.expose()]);
    let secrets: BTreeSet<&str> = [&first, &second, &third]
        .into_iter()
        .flat_map(|keys| [keys.secret.expose(), keys.signing_key.expose()])
        .collect();
    assert_eq!(secrets.len(), 6);
    for (name, bytes) in files_of(record.path()) {
        for secret in &secrets {
            assert!(!contains(&bytes, secret.as_bytes()), "{name}");
        }
    }
}

//! Alerts: raised and ended with what they tell, open until somebody has acknowledged them.

use bss_model::{
    Alert, AlertChannel, AlertChoice, AlertFilter, AlertKind, AttemptOutcome, MailOutcome, OutcomeKind,
    Owner, Problem, ReturnOutcome,
};
use bss_record::{AcknowledgeError, Record};
use uuid::Uuid;

use crate::cancellations::{attempted, returning};
use crate::charges::buy;
use crate::orders::{begin, order, problem, shop};
use crate::outbox::licensed;
use crate::record::{TestRecord, actor};

async fn open(record: &Record) -> Vec<Alert> {
    record.alerts(&AlertFilter::default(), 100).await.unwrap()
}

async fn all(record: &Record) -> Vec<Alert> {
    let filter = AlertFilter {
        all: true,
        ..AlertFilter::default()
    };
    record.alerts(&filter, 100).await.unwrap()
}

async fn placed(record: &Record) -> (Uuid, Uuid) {
    let instance = shop(record).await;
    let placed = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
    (instance, placed.unwrap().into_order().lines[0].asset_id)
}

pub(crate) async fn refuse(record: &Record, asset: Uuid, code: &str) {
    let begun = begin(record, asset).await;
    let refused = AttemptOutcome::Refused(problem(code));
    record
        .finish_attempt(asset, begun.number, refused, 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_license_is_an_alert_that_names_everybody_until_it_is_bought() {
    let record = TestRecord::open().await;
    let (instance, asset) = placed(&record).await;
    assert_eq!(record.open_alerts(None).await.unwrap(), 0);
    refuse(&record, asset, "no-stock").await;

    let alerts = open(&record).await;
    let [alert] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    let of = alert.instance.as_ref().map(|instance| instance.id);
    assert_eq!((alert.kind, of), (AlertKind::LicenseRefused, Some(instance)));
    let license = alert.license.as_ref().unwrap();
    assert_eq!((license.asset_id, license.product_code.as_str()), (asset, "a"));
    let order = record.order(license.order_id).await.unwrap().unwrap();
    assert_eq!(license.customer, order.customer);
    assert_eq!(alert.problem.as_ref().unwrap().code, "no-stock");

    record.retry_asset(asset, &actor()).await.unwrap();
    buy(&record, asset).await;
    assert_eq!(open(&record).await, []);
    assert!(all(&record).await[0].ended_at_ms.is_some());
    assert_eq!(record.open_alerts(None).await.unwrap(), 0);
}

#[tokio::test]
async fn an_alert_that_was_acknowledged_is_not_open_and_the_next_refusal_is_another_one() {
    let record = TestRecord::open().await;
    let (_, asset) = placed(&record).await;
    refuse(&record, asset, "first").await;
    let number = open(&record).await[0].number;
    let choice = AlertChoice::Numbers(vec![number]);
    assert_eq!(
        record.acknowledge_alerts(&choice, None, &actor()).await.unwrap(),
        1
    );
    assert_eq!(
        record.acknowledge_alerts(&choice, None, &actor()).await.unwrap(),
        0,
        "a second time"
    );
    assert_eq!(open(&record).await, []);
    let acknowledged = &all(&record).await[0];
    assert_eq!(acknowledged.acknowledged.as_ref().unwrap().1, actor().name);
    assert_eq!(acknowledged.ended_at_ms, None, "it is still refused");

    record.retry_asset(asset, &actor()).await.unwrap();
    refuse(&record, asset, "second").await;
    let again = open(&record).await;
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].number, number);
    record.retry_asset(asset, &actor()).await.unwrap();
    buy(&record, asset).await;
    assert!(all(&record).await.iter().all(|alert| alert.ended_at_ms.is_some()));
}

#[tokio::test]
async fn nothing_is_acknowledged_that_was_not_seen_or_does_not_exist() {
    let record = TestRecord::open().await;
    let (instance, asset) = placed(&record).await;
    refuse(&record, asset, "seen").await;
    let seen = open(&record).await[0].number;
    record.raise_instance_held(instance, None).await.unwrap();
    let unknown = AlertChoice::Numbers(vec![seen, 99]);
    let refused = record.acknowledge_alerts(&unknown, None, &actor()).await;
    assert!(
        matches!(refused, Err(AcknowledgeError::NoAlert { number: 99 })),
        "{refused:?}"
    );
    assert_eq!(open(&record).await.len(), 2);
    let other = "somebody".parse::<Owner>().unwrap();
    let refused = record
        .acknowledge_alerts(&AlertChoice::Numbers(vec![seen]), Some(&other), &actor())
        .await;
    assert!(
        matches!(refused, Err(AcknowledgeError::NoAlert { .. })),
        "{refused:?}"
    );
    assert_eq!(record.open_alerts(Some(&other)).await.unwrap(), 0);

    let up_to = AlertChoice::UpTo(seen);
    assert_eq!(
        record.acknowledge_alerts(&up_to, None, &actor()).await.unwrap(),
        1
    );
    assert_eq!(open(&record).await[0].kind, AlertKind::InstanceHeld);
}

#[tokio::test]
async fn an_instance_that_is_held_is_one_alert_until_the_vendor_answers() {
    let record = TestRecord::open().await;
    let (instance, _) = placed(&record).await;
    for code in ["first", "second"] {
        record
            .raise_instance_held(instance, Some(&problem(code)))
            .await
            .unwrap();
    }
    let alerts = open(&record).await;
    assert_eq!(alerts.len(), 1, "one alarm: {alerts:?}");
    assert_eq!(alerts[0].problem.as_ref().unwrap().code, "second");
    assert_eq!(alerts[0].license, None);
    assert!(record.held_instances().await.unwrap().contains(&instance));
    record.end_instance_held(instance).await.unwrap();
    assert_eq!(open(&record).await, []);
    assert!(record.held_instances().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_return_that_is_refused_is_an_alert_until_the_license_is_returned() {
    let record = TestRecord::open().await;
    let (_, asset) = placed(&record).await;
    buy(&record, asset).await;
    let cancellation = returning(&record, asset).await;
    attempted(
        &record,
        &cancellation,
        ReturnOutcome::Refused(problem("redeemed")),
    )
    .await;
    let alerts = open(&record).await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].kind, AlertKind::ReturnRefused);
    assert_eq!(
        AlertKind::raised_by(OutcomeKind::ReturnRefused),
        Some(alerts[0].kind)
    );
}

#[tokio::test]
async fn an_email_that_is_refused_for_good_is_an_alert_until_it_is_sent_or_withdrawn() {
    let record = licensed(2).await;
    let worker = record.start_worker().await.unwrap();
    let refused = || MailOutcome::Refused(problem("550"));
    for mail in record.take_mails(worker.id(), 2).await.unwrap() {
        record
            .finish_mail(worker.id(), &mail, refused(), 0)
            .await
            .unwrap();
    }
    let alerts = open(&record).await;
    assert_eq!(alerts.len(), 2);
    let (Some(sent), Some(license)) = (alerts[0].mail_id, &alerts[1].license) else {
        panic!("{alerts:?}")
    };
    assert_eq!(alerts[0].kind, AlertKind::MailFailed);
    assert_eq!(alerts[0].problem.as_ref().unwrap().code, "550");

    record.retry_mail(sent, &actor()).await.unwrap();
    let again = record.take_mails(worker.id(), 1).await.unwrap().remove(0);
    let outcome = MailOutcome::Sent(None);
    record.finish_mail(worker.id(), &again, outcome, 0).await.unwrap();
    assert_eq!(open(&record).await.len(), 1);

    let cancellation = returning(&record, license.asset_id).await;
    attempted(&record, &cancellation, ReturnOutcome::Returned).await;
    assert_eq!(open(&record).await, [], "its e-mail was withdrawn");
}

fn expires(at: &str) -> Problem {
    Problem::new("certificate-expires", format!("it ends at {at}"), "get another")
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_one_alert_for_its_instance_until_another_is_used() {
    let record = TestRecord::open().await;
    let (instance, _) = placed(&record).await;
    for _ in 0..2 {
        record
            .follow_expiring_certificates(&[(instance, expires("noon"))])
            .await
            .unwrap();
    }
    let alerts = open(&record).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0].kind, AlertKind::CertificateExpiring);
    let choice = AlertChoice::UpTo(alerts[0].number);
    record.acknowledge_alerts(&choice, None, &actor()).await.unwrap();
    record
        .follow_expiring_certificates(&[(instance, expires("noon"))])
        .await
        .unwrap();
    assert_eq!(open(&record).await, [], "it was acknowledged, and is the same");

    record.follow_expiring_certificates(&[]).await.unwrap();
    assert!(all(&record).await[0].ended_at_ms.is_some());
    record
        .follow_expiring_certificates(&[(instance, expires("night"))])
        .await
        .unwrap();
    assert_eq!(open(&record).await.len(), 1, "another certificate");
}

#[tokio::test]
async fn what_is_in_the_way_of_all_e_mails_is_one_alert_of_the_host_until_one_is_taken() {
    let record = TestRecord::open().await;
    placed(&record).await;
    for code in ["first", "second"] {
        record.stop_mails(&problem(code), true, |_| 0).await.unwrap();
    }
    let alerts = open(&record).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(
        (alerts[0].kind, &alerts[0].instance),
        (AlertKind::MailStopped, &None)
    );
    assert_eq!(alerts[0].problem.as_ref().unwrap().code, "second");
    let owner = "somebody".parse::<Owner>().unwrap();
    assert_eq!(
        record.open_alerts(Some(&owner)).await.unwrap(),
        0,
        "no owner's concern"
    );
    assert!(record.end_mail_stop().await.unwrap());
    assert!(!record.end_mail_stop().await.unwrap());
    assert_eq!(open(&record).await, []);
}

#[tokio::test]
async fn an_alert_is_told_once_in_each_way_and_by_one_worker_at_a_time() {
    let record = TestRecord::open().await;
    let (_, asset) = placed(&record).await;
    refuse(&record, asset, "no-stock").await;
    let mail = AlertChannel::Mail;
    let taken = record.take_alerts_to_tell(mail, 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].tries, 1);
    assert_eq!(
        record.take_alerts_to_tell(mail, 9).await.unwrap(),
        [],
        "another worker has it"
    );
    let of_listener = record
        .take_alerts_to_tell(AlertChannel::Listener, 9)
        .await
        .unwrap();
    assert_eq!(of_listener.len(), 1, "another way");

    record.put_off_alerts(mail, &taken, 0).await.unwrap();
    let again = record.take_alerts_to_tell(mail, 9).await.unwrap();
    assert_eq!(again[0].tries, 2);
    assert_eq!(record.alerts_told_at_ms(mail).await.unwrap(), None);
    record.finish_alerts(mail, &again).await.unwrap();
    record.put_off_alerts(mail, &again, 0).await.unwrap();
    assert_eq!(record.take_alerts_to_tell(mail, 9).await.unwrap(), []);
    assert!(record.alerts_told_at_ms(mail).await.unwrap().is_some());
}

#[tokio::test]
async fn alerts_rest_where_one_could_not_be_mailed_until_the_operator_has_seen_to_it() {
    let record = TestRecord::open().await;
    let (instance, asset) = placed(&record).await;
    refuse(&record, asset, "no-stock").await;
    record.raise_instance_held(instance, None).await.unwrap();
    let mail = AlertChannel::Mail;
    assert_eq!(record.alerts_rest_until_ms(mail).await.unwrap(), None);
    let taken = record.take_alerts_to_tell(mail, 1).await.unwrap();
    let far = i64::MAX / 2;
    record.put_off_alerts(mail, &taken, far).await.unwrap();
    assert_eq!(record.alerts_rest_until_ms(mail).await.unwrap(), Some(far));

    let emails = ["desk@shop.example".to_owned()];
    record.save_alert_addresses(&emails, &actor()).await.unwrap();
    assert!(record.alerts_rest_until_ms(mail).await.unwrap() < Some(far));
    assert_eq!(record.take_alerts_to_tell(mail, 9).await.unwrap().len(), 2);
    record.put_off_alerts(mail, &taken, far).await.unwrap();
    record.resume_mails().await.unwrap();
    assert!(record.alerts_rest_until_ms(mail).await.unwrap() < Some(far));
}

#[tokio::test]
async fn nobody_is_told_of_an_alert_that_is_over_or_acknowledged() {
    let record = TestRecord::open().await;
    let (instance, asset) = placed(&record).await;
    refuse(&record, asset, "no-stock").await;
    record.raise_instance_held(instance, None).await.unwrap();
    let acknowledged = AlertChoice::Numbers(vec![open(&record).await[0].number]);
    record
        .acknowledge_alerts(&acknowledged, None, &actor())
        .await
        .unwrap();
    record.end_instance_held(instance).await.unwrap();
    let to_tell = record.take_alerts_to_tell(AlertChannel::Mail, 9).await.unwrap();
    assert_eq!(to_tell, []);
}

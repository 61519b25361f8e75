//! The outbox: one e-mail for each license, with one worker at a time, until it is sent or refused.

use std::collections::BTreeSet;

use bss_model::{
    AttemptOutcome, Mail, MailDelivery, MailFilter, MailOutcome, MailSettings, MailState, MailToSend, Page,
    Secret, SmtpProtection, SmtpServer,
};
use bss_record::{Record, RetryMailError, Worker};
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::charges::{buy, orders};
use crate::orders::{KEY, LINK, begin, license, problem};
use crate::record::{TestRecord, actor, files_of};

/// A record with so many licenses whose mails are to be sent.
pub(crate) async fn licensed(units: u32) -> TestRecord {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, units).await.remove(0);
    for line in &placed.lines {
        buy(&record, line.asset_id).await;
    }
    record
}

async fn mails(record: &Record) -> Vec<Mail> {
    record
        .mails(&MailFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows
}

async fn take_one(record: &Record, worker: &Worker) -> MailToSend {
    record.take_mails(worker.id(), 1).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_license_has_one_mail_from_the_moment_it_is_written_down() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [bought, foreign] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    let begun = begin(&record, foreign).await;
    let of_another = AttemptOutcome::Licensed(license(Uuid::new_v4(), "t-1"));
    record
        .finish_attempt(foreign, begun.number, of_another, 0)
        .await
        .unwrap_err();
    assert_eq!(
        mails(&record).await,
        [],
        "a license that the record refused is mailed to nobody"
    );

    let asset = buy(&record, bought).await;
    let begun = AttemptOutcome::Licensed(license(
        asset.client_transaction_id,
        &format!("t of {}", asset.id),
    ));
    record.finish_attempt(bought, 1, begun, 0).await.unwrap();
    let [mail] = mails(&record).await.try_into().unwrap();
    assert_eq!((mail.asset_id, mail.order_id), (bought, placed.id));
    assert_eq!(
        (mail.state, mail.attempts, mail.sent_at_ms),
        (MailState::Pending, 0, None)
    );
    assert_eq!(mail.contact.email, "c-1@customer.test");
}

#[tokio::test]
async fn a_worker_gets_all_that_a_mail_is_composed_of() {
    let record = licensed(1).await;
    let worker = record.start_worker().await.unwrap();
    let mail = take_one(&record, &worker).await;
    assert!(mail.secrets.product_key.expose().ends_with(KEY));
    assert_eq!(mail.secrets.activation_link.as_ref().unwrap().expose(), LINK);
    assert_eq!(
        (mail.customer.name.as_str(), mail.contact.language.as_str()),
        ("Customer", "el")
    );
    assert_eq!(mail.attempts, 1);
    let debug = format!("{mail:?}");
    assert!(!debug.contains(KEY) && !debug.contains(LINK), "{debug}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_have_the_same_mail() {
    let record = licensed(20).await;
    let other = record.opened_again().await;
    let workers = [
        record.start_worker().await.unwrap(),
        other.start_worker().await.unwrap(),
    ];
    let take = |record: Record, worker: Uuid| {
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let mails = record.take_mails(worker, 3).await.unwrap();
                if mails.is_empty() || taken.len() > 20 {
                    return taken;
                }
                taken.extend(mails.into_iter().map(|mail| mail.id));
            }
        })
    };
    let (one, two) = (
        take(Record::clone(&record), workers[0].id()),
        take(other.clone(), workers[1].id()),
    );
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let all: BTreeSet<Uuid> = one.iter().chain(&two).copied().collect();
    assert_eq!((one.len() + two.len(), all.len()), (20, 20));
}

#[tokio::test]
async fn what_a_worker_had_is_free_when_it_has_ended_or_died_and_not_before() {
    let record = licensed(1).await;
    let [first, second] = [
        record.start_worker().await.unwrap(),
        record.start_worker().await.unwrap(),
    ];
    let taken = take_one(&record, &first).await;
    let nothing = record.take_mails(second.id(), 1).await.unwrap();
    assert!(nothing.is_empty());
    record.end_worker(first).await.unwrap();
    assert_eq!(take_one(&record, &second).await.id, taken.id);

    // The second worker's process is gone, and so is its lease.
    drop(second);
    record
        .database()
        .execute("UPDATE workers SET lease_ends_uptime_ms = 0")
        .await;
    let third = record.start_worker().await.unwrap();
    let mail = take_one(&record, &third).await;
    assert_eq!((mail.id, mail.attempts), (taken.id, 3));
    let nobody = record.take_mails(Uuid::new_v4(), 1).await.unwrap();
    assert!(nobody.is_empty());
}

#[tokio::test]
async fn who_is_no_worker_gets_nothing() {
    let record = licensed(1).await;
    assert!(record.take_mails(Uuid::new_v4(), 1).await.unwrap().is_empty());
    let worker = record.start_worker().await.unwrap();
    take_one(&record, &worker).await;
}

#[tokio::test]
async fn what_failed_for_now_waits_until_it_is_due_or_the_operator_says_so() {
    let record = licensed(1).await;
    let worker = record.start_worker().await.unwrap();
    for attempt in 1..=3 {
        let mail = take_one(&record, &worker).await;
        assert_eq!(mail.attempts, attempt);
        let later = MailOutcome::Later(problem("busy"));
        let due_at_ms = now_ms() + 60_000;
        record
            .finish_mail(worker.id(), &mail, later, due_at_ms)
            .await
            .unwrap();
        let [listed] = mails(&record).await.try_into().unwrap();
        assert_eq!(
            (listed.state, listed.problem),
            (MailState::Pending, Some(problem("busy")))
        );
        assert_eq!(listed.due_at_ms, due_at_ms);
        assert!(
            record.take_mails(worker.id(), 1).await.unwrap().is_empty(),
            "it is not due"
        );
        assert_eq!(record.retry_mails(&actor()).await.unwrap(), 1);
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[tokio::test]
async fn a_refused_mail_waits_for_the_operator_and_a_sent_one_is_never_sent_again() {
    let record = licensed(2).await;
    let worker = record.start_worker().await.unwrap();
    let [one, two] = record
        .take_mails(worker.id(), 9)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    record
        .finish_mail(worker.id(), &one, MailOutcome::Refused(problem("550")), now_ms())
        .await
        .unwrap();
    let sent = MailOutcome::Sent(Some(problem("plain")));
    record
        .finish_mail(worker.id(), &two, sent, now_ms())
        .await
        .unwrap();
    assert!(record.take_mails(worker.id(), 9).await.unwrap().is_empty());
    let failed = MailFilter {
        state: Some(MailState::Failed),
        ..MailFilter::default()
    };
    let [listed] = record
        .mails(&failed, &Page::all())
        .await
        .unwrap()
        .rows
        .try_into()
        .unwrap();
    assert_eq!((listed.id, listed.problem), (one.id, Some(problem("550"))));

    let error = record.retry_mail(two.id, &actor()).await.unwrap_err();
    assert!(matches!(error, RetryMailError::Sent { .. }), "{error:?}");
    let error = record.retry_mail(Uuid::nil(), &actor()).await.unwrap_err();
    assert!(matches!(error, RetryMailError::NoMail { .. }), "{error:?}");
    assert_eq!(
        record.retry_mails(&actor()).await.unwrap(),
        0,
        "what was refused for good is left alone"
    );
    assert_eq!(record.retry_refused_mails(&actor()).await.unwrap(), 1);
    let again = take_one(&record, &worker).await;
    assert_eq!((again.id, again.attempts), (one.id, 2));
    record
        .finish_mail(worker.id(), &again, MailOutcome::Sent(None), now_ms())
        .await
        .unwrap();
    assert_eq!(record.retry_mails(&actor()).await.unwrap(), 0);
    assert_eq!(record.retry_refused_mails(&actor()).await.unwrap(), 0);
    let states: Vec<_> = mails(&record)
        .await
        .into_iter()
        .map(|mail| (mail.state, mail.sent_at_ms.is_some()))
        .collect();
    assert_eq!(states, [(MailState::Sent, true); 2]);
}

#[tokio::test]
async fn a_late_worker_can_say_that_a_mail_was_sent_but_not_that_it_was_not() {
    let record = licensed(1).await;
    let late = record.start_worker().await.unwrap();
    let late_id = late.id();
    let mail = take_one(&record, &late).await;
    record.end_worker(late).await.unwrap();
    let worker = record.start_worker().await.unwrap();
    take_one(&record, &worker).await;
    for outcome in [
        MailOutcome::Refused(problem("550")),
        MailOutcome::Later(problem("x")),
    ] {
        record
            .finish_mail(late_id, &mail, outcome, now_ms())
            .await
            .unwrap();
        let [listed] = mails(&record).await.try_into().unwrap();
        assert_eq!((listed.state, listed.problem), (MailState::Pending, None));
    }
    record
        .finish_mail(late_id, &mail, MailOutcome::Sent(None), now_ms())
        .await
        .unwrap();
    record
        .finish_mail(worker.id(), &mail, MailOutcome::Refused(problem("550")), now_ms())
        .await
        .unwrap();
    assert_eq!(mails(&record).await[0].state, MailState::Sent);
}

fn settings_with_a_password() -> MailSettings {
    MailSettings {
        from: "shop@host.example".to_owned(),
        delivery: MailDelivery::Smtp(SmtpServer {
            host: "mail.example".to_owned(),
            port: 587,
            protection: SmtpProtection::StartTls,
            user: Some("shop".to_owned()),
            password: Some(Secret::new("a password of the mail server")),
            trusted_authorities_pem: None,
            hello_name: None,
            access_token: None,
        }),
        templates: Some("templates".into()),
    }
}

#[tokio::test]
async fn mail_settings_are_kept_whole_and_their_password_sealed() {
    let record = TestRecord::open().await;
    assert_eq!(record.mail_settings().await.unwrap(), None);
    let settings = settings_with_a_password();
    record.save_mail_settings(&settings, &actor()).await.unwrap();
    let again = record.opened_again().await;
    assert_eq!(again.mail_settings().await.unwrap(), Some(settings.clone()));
    let mut places = record.all_written().await;
    places.push(("Debug".to_owned(), format!("{settings:?}").into_bytes()));
    for (place, bytes) in places {
        assert!(!contains(&bytes, b"a password of the mail server"), "{place}");
    }
}

#[tokio::test]
async fn a_replaced_password_is_in_no_file_in_any_form() {
    let record = TestRecord::on_sqlite().await;
    let settings = settings_with_a_password();
    record.save_mail_settings(&settings, &actor()).await.unwrap();
    let sealed: Vec<u8> = record
        .database()
        .value("SELECT sealed_password FROM mail_settings")
        .await;
    let is_in_a_file = || {
        files_of(record.path())
            .iter()
            .any(|(_, bytes)| contains(bytes, &sealed))
    };
    assert!(is_in_a_file());
    let directory = MailSettings {
        delivery: MailDelivery::Directory("mails".into()),
        ..settings
    };
    record.save_mail_settings(&directory, &actor()).await.unwrap();
    assert!(!is_in_a_file());
    assert_eq!(record.mail_settings().await.unwrap(), Some(directory));
}

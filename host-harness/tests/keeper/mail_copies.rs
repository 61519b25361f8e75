//! E-mails sent again, and customers corrected: the right address from now on, the same key, and nothing else.

use bss_model::{
    AlertFilter, CustomerCorrection, Mail, MailFilter, MailOutcome, MailState, MailToSend, MailsToResend,
    Page, UnsentMails,
};
use bss_record::{CorrectCustomerError, Record, ResendMailError, Worker};
use uuid::Uuid;

use crate::orders::{order, problem};
use crate::outbox::licensed;
use crate::record::{TestRecord, actor};

async fn mails(record: &Record) -> Vec<Mail> {
    let mails = record.mails(&MailFilter::default(), &Page::all()).await;
    mails.unwrap().rows
}

async fn send(record: &Record, worker: &Worker, outcome: impl Fn() -> MailOutcome) -> Vec<MailToSend> {
    let taken = record.take_mails(worker.id(), 9).await.unwrap();
    for mail in &taken {
        record.finish_mail(worker.id(), mail, outcome(), 0).await.unwrap();
    }
    taken
}

async fn sent(units: u32) -> (TestRecord, Worker, Vec<MailToSend>) {
    let record = licensed(units).await;
    let worker = record.start_worker().await.unwrap();
    let taken = send(&record, &worker, || MailOutcome::Sent(None)).await;
    (record, worker, taken)
}

fn email(address: &str) -> CustomerCorrection {
    CustomerCorrection {
        email: Some(address.to_owned()),
        ..CustomerCorrection::default()
    }
}

#[tokio::test]
async fn a_sent_e_mail_is_sent_again_as_another_one_that_names_it_with_the_same_key() {
    let (record, worker, first) = sent(1).await;
    let copies = record.resend_mails(&[first[0].id], None, &actor()).await.unwrap();
    let [copy] = copies.try_into().unwrap();
    assert_eq!(
        (copy.copy_of, copy.state),
        (Some(first[0].id), MailState::Pending)
    );
    let again = send(&record, &worker, || MailOutcome::Sent(None)).await;
    let [again] = again.try_into().unwrap();
    assert_eq!(again.id, copy.id);
    assert!(again.is_copy && again.first_sent_at_ms.is_some() && !first[0].is_copy);
    assert_eq!(
        again.secrets.product_key.expose(),
        first[0].secrets.product_key.expose()
    );
    assert_eq!(again.contact, first[0].contact);
    assert_eq!(mails(&record).await.len(), 2);
}

#[tokio::test]
async fn another_address_is_that_of_the_copy_alone() {
    let (record, worker, first) = sent(1).await;
    let to = Some("other@customer.test");
    record.resend_mails(&[first[0].id], to, &actor()).await.unwrap();
    let again = send(&record, &worker, || MailOutcome::Sent(None)).await;
    assert_eq!(again[0].contact.email, "other@customer.test");
    assert_eq!(again[0].contact.language, "el");
    let addresses: Vec<_> = mails(&record)
        .await
        .into_iter()
        .map(|mail| mail.contact.email)
        .collect();
    assert_eq!(addresses, ["c-1@customer.test", "other@customer.test"]);
    for address in ["", "it", "a@b.test, c@d.test"] {
        let refused = record.resend_mails(&[first[0].id], Some(address), &actor()).await;
        assert!(
            matches!(refused, Err(ResendMailError::Address { .. })),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_copy_of_a_refused_e_mail_takes_its_place_and_its_alert_is_over() {
    let record = licensed(1).await;
    let worker = record.start_worker().await.unwrap();
    let refused = send(&record, &worker, || MailOutcome::Refused(problem("550"))).await;
    assert_eq!(record.open_alerts(None).await.unwrap(), 1);
    let to = Some("right@customer.test");
    record.resend_mails(&[refused[0].id], to, &actor()).await.unwrap();
    assert_eq!(record.alerts(&AlertFilter::default(), 9).await.unwrap(), []);
    let states: Vec<_> = mails(&record).await.into_iter().map(|mail| mail.state).collect();
    assert_eq!(states, [MailState::Withdrawn, MailState::Pending]);
    let copy = send(&record, &worker, || MailOutcome::Sent(None)).await;
    assert_eq!((copy[0].is_copy, copy[0].first_sent_at_ms), (true, None));
}

#[tokio::test]
async fn a_copy_that_waits_to_be_sent_there_is_answered_in_place_of_another_one_and_a_copy_of_a_copy_goes_to_the_contact()
 {
    let (record, worker, first) = sent(1).await;
    let resend = async |mail: Uuid, to: Option<&str>| {
        let copies = record.resend_mails(&[mail], to, &actor()).await.unwrap();
        (copies[0].id, copies[0].contact.email.clone())
    };
    let elsewhere = Some("other@customer.test");
    let copy = resend(first[0].id, elsewhere).await;
    assert_eq!(resend(first[0].id, elsewhere).await, copy);
    // To the contact it is another one, whether that is named or not.
    let of_contact = resend(first[0].id, None).await;
    assert_ne!(of_contact.0, copy.0);
    assert_eq!(resend(first[0].id, None).await, of_contact);
    assert_eq!(resend(first[0].id, Some("c-1@customer.test")).await, of_contact);
    assert_eq!(send(&record, &worker, || MailOutcome::Sent(None)).await.len(), 2);
    let again = resend(copy.0, None).await;
    assert_eq!(again.1, "c-1@customer.test");
    assert_ne!(
        resend(first[0].id, elsewhere).await.0,
        copy.0,
        "that one was sent"
    );
}

#[tokio::test]
async fn a_refused_e_mail_whose_copy_waits_is_asked_for_again_and_has_one_copy() {
    let record = licensed(1).await;
    let worker = record.start_worker().await.unwrap();
    let refused = send(&record, &worker, || MailOutcome::Refused(problem("550"))).await;
    let resend = async || record.resend_mails(&[refused[0].id], None, &actor()).await;
    let copies = resend().await.unwrap();
    assert_eq!(resend().await.unwrap(), copies);
    send(&record, &worker, || MailOutcome::Sent(None)).await;
    let ended = resend().await;
    assert!(matches!(ended, Err(ResendMailError::NotSent { .. })), "{ended:?}");
    assert_eq!(mails(&record).await.len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_again_that_waits_or_does_not_exist_and_nothing_of_many_then() {
    let (record, _, first) = sent(2).await;
    let unknown = Uuid::new_v4();
    let refused = record.resend_mails(&[first[0].id, unknown], None, &actor()).await;
    assert!(matches!(refused, Err(ResendMailError::NoMail { id }) if id == unknown));
    assert_eq!(mails(&record).await.len(), 2);
    let copies = record.resend_mails(&[first[0].id], None, &actor()).await.unwrap();
    let refused = record.resend_mails(&[copies[0].id], None, &actor()).await;
    assert!(matches!(refused, Err(ResendMailError::NotSent { .. })));
}

#[tokio::test]
async fn of_an_order_the_last_e_mail_about_each_license_is_sent_again() {
    let (record, worker, first) = sent(3).await;
    record.resend_mails(&[first[0].id], None, &actor()).await.unwrap();
    let copy = send(&record, &worker, || MailOutcome::Sent(None)).await.remove(0);
    let of_order = MailsToResend::Order(first[0].asset.order_id);
    let chosen: Vec<_> = record.mails_to_resend(&of_order).await.unwrap();
    let mut chosen: Vec<Uuid> = chosen.iter().map(|mail| mail.id).collect();
    let mut expected = vec![first[1].id, first[2].id, copy.id];
    chosen.sort();
    expected.sort();
    assert_eq!(chosen, expected);
    let customer = |id: &str| MailsToResend::Customer {
        id: id.to_owned(),
        instance: None,
    };
    assert_eq!(record.mails_to_resend(&customer("c-1")).await.unwrap().len(), 3);
    assert_eq!(record.mails_to_resend(&customer("c-2")).await.unwrap(), []);
}

#[tokio::test]
async fn a_refused_e_mail_goes_to_the_corrected_address_and_a_repeated_order_is_still_found() {
    let record = TestRecord::open().await;
    let instance = crate::orders::shop(&record).await;
    let keyed = bss_model::NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..order(instance, &[("a", 1)])
    };
    let placed = record
        .place_order(keyed.clone(), &actor())
        .await
        .unwrap()
        .into_order();
    crate::charges::buy(&record, placed.lines[0].asset_id).await;
    let worker = record.start_worker().await.unwrap();
    send(&record, &worker, || MailOutcome::Refused(problem("550"))).await;

    let correction = CustomerCorrection {
        name: Some("Customer & Sons".to_owned()),
        country: Some("CY".to_owned()),
        language: Some("de".to_owned()),
        ..email("right@customer.test")
    };
    let corrected = record
        .correct_customer("c-1", None, &correction, &actor())
        .await
        .unwrap();
    assert_eq!((corrected.orders, corrected.refused_mails), (1, 1));
    record.retry_refused_mails(&actor()).await.unwrap();
    let again = send(&record, &worker, || MailOutcome::Sent(None)).await.remove(0);
    assert_eq!(
        (again.contact.email.as_str(), again.contact.language.as_str()),
        ("right@customer.test", "de")
    );
    assert_eq!(
        (again.customer.name.as_str(), again.customer.country.as_str()),
        ("Customer & Sons", "CY")
    );
    let repeated = record.place_order(keyed, &actor()).await.unwrap();
    assert!(!repeated.is_new());
    assert_eq!(repeated.order().id, placed.id);
    let again = record
        .correct_customer("c-1", None, &correction, &actor())
        .await
        .unwrap();
    assert_eq!(again.orders, 0, "a second time changes nothing");
}

#[tokio::test]
async fn a_customer_is_not_corrected_to_what_can_not_be_or_who_is_not_there_or_was_erased() {
    let (record, _, first) = sent(1).await;
    let correct = async |id: &str, correction: &CustomerCorrection| {
        record
            .correct_customer(id, None, correction, &actor())
            .await
            .unwrap_err()
    };
    let error = correct("c-1", &email("nobody")).await;
    assert!(matches!(
        error,
        CorrectCustomerError::Invalid {
            field: "e-mail address"
        }
    ));
    let error = correct("c-2", &email("a@b.test")).await;
    assert!(matches!(error, CorrectCustomerError::NoCustomer { .. }));

    let to = Some("secret@customer.test");
    let copies = record.resend_mails(&[first[0].id], to, &actor()).await.unwrap();
    let erased = record
        .erase_customer("c-1", None, UnsentMails::Withdraw, &actor())
        .await;
    assert_eq!(erased.unwrap().withdrawn_mails, 1);
    let error = correct("c-1", &email("a@b.test")).await;
    assert!(matches!(error, CorrectCustomerError::Erased { .. }));
    let known = mails(&record).await;
    assert!(
        known
            .iter()
            .all(|mail| !mail.contact.email.contains("customer.test")),
        "{known:?}"
    );
    let refused = record.resend_mails(&[copies[0].id], None, &actor()).await;
    assert!(matches!(refused, Err(ResendMailError::CustomerErased { .. })));
}

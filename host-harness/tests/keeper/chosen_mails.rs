//! E-mails by choice of an instance: one for all licenses of an order, and one for a return with its credit. Each once.

use bss_model::{AttemptOutcome, MailChoices, MailKind, MailState, NewOrder, ReturnOutcome};
use mail_parser::MessageParser;
use uuid::Uuid;

use crate::cancellations::{attempted, returning};
use crate::charges::buy;
use crate::mail::{Shop, later, message_id, sent};
use crate::orders::{KEY, begin, order, problem};
use crate::record::actor;
use crate::smtp_server::{Answer, MailServer, Offer, Taken};

async fn shop_with(server: &MailServer, choices: MailChoices) -> Shop {
    let shop = Shop::with(server).await;
    choose(&shop, choices).await;
    shop
}

async fn choose(shop: &Shop, choices: MailChoices) {
    let record = shop.host.record();
    record
        .save_mail_choices(shop.instance, choices, &actor())
        .await
        .unwrap();
}

const PER_ORDER: MailChoices = MailChoices {
    on_return: false,
    per_order: true,
};
const ON_RETURN: MailChoices = MailChoices {
    on_return: true,
    per_order: false,
};

/// Places an order of so many licenses, none of which is bought.
async fn placed(shop: &Shop, units: u32) -> Vec<Uuid> {
    let new: NewOrder = order(shop.instance, &[("a", units)]);
    let placed = shop.host.record().place_order(new, &actor()).await.unwrap();
    let lines = placed.into_order().lines.into_iter();
    lines.map(|line| line.asset_id).collect()
}

async fn refuse(shop: &Shop, asset: Uuid) {
    let begun = begin(shop.host.record(), asset).await;
    let refused = AttemptOutcome::Refused(problem("offer-unknown"));
    shop.host
        .record()
        .finish_attempt(asset, begun.number, refused, 0)
        .await
        .unwrap();
}

/// The keys in a message's text, and the assets that it names.
fn told(taken: &Taken, assets: &[Uuid]) -> (usize, Vec<Uuid>) {
    let message = MessageParser::default().parse(&taken.bytes).unwrap();
    let text = message.body_text(0).unwrap();
    let named = assets.iter().filter(|asset| text.contains(&asset.to_string()));
    (text.matches(KEY).count(), named.copied().collect())
}

#[tokio::test]
async fn the_licenses_of_an_order_are_in_one_e_mail_once_none_is_being_bought_any_more() {
    let server = MailServer::start(Offer::default()).await;
    let shop = shop_with(&server, PER_ORDER).await;
    let assets = placed(&shop, 4).await;
    let alone = placed(&shop, 1).await;
    for asset in &assets[..3] {
        buy(shop.host.record(), *asset).await;
        assert_eq!(shop.send().await, sent(0), "the order is not settled");
    }
    // Whatever resumes all e-mails makes none of them go by itself.
    shop.host
        .configure_mail(server.settings(), &actor())
        .await
        .unwrap();
    assert_eq!(shop.send().await, sent(0));
    refuse(&shop, assets[3]).await;
    assert_eq!(shop.send().await, sent(1));
    let [message] = <[Taken; 1]>::try_from(server.taken()).unwrap();
    assert_eq!(told(&message, &assets), (3, assets[..3].to_vec()));
    assert!(message_id(&message).starts_with("order-"));
    let mails = shop.mails().await;
    let first = mails[0].sent_with;
    assert!(first.is_some());
    for mail in &mails {
        assert_eq!(
            (mail.state, mail.attempts, mail.sent_with),
            (MailState::Sent, 1, first)
        );
    }

    buy(shop.host.record(), alone[0]).await;
    assert_eq!(shop.send().await, sent(1));
    let message = server.taken().pop().unwrap();
    assert_eq!(message_id(&message), format!("welcome-{}@host.example", alone[0]));
}

#[tokio::test]
async fn a_message_of_several_that_may_have_been_taken_stays_that_message_whatever_is_chosen_or_bought_since()
{
    let server = MailServer::start(Offer::default()).await;
    let shop = shop_with(&server, PER_ORDER).await;
    let assets = placed(&shop, 4).await;
    for asset in &assets[..3] {
        buy(shop.host.record(), *asset).await;
    }
    refuse(&shop, assets[3]).await;
    server.answers(&[Answer::TakeAndDrop]);
    assert_eq!(shop.send().await, later(1));

    // Another license comes, another choice is made, and one of the licenses is given back.
    let record = shop.host.record();
    record.retry_asset(assets[3], &actor()).await.unwrap();
    buy(record, assets[3]).await;
    choose(&shop, MailChoices::default()).await;
    let cancellation = returning(record, assets[0]).await;
    attempted(record, &cancellation, ReturnOutcome::Returned).await;
    assert_eq!(shop.send_now().await, sent(2));
    let mut taken = server.taken();
    assert_eq!(taken.len(), 3);
    let first = taken.remove(0);
    taken.sort_by_key(|taken| message_id(taken) != message_id(&first));
    assert_eq!(message_id(&taken[0]), message_id(&first));
    assert_eq!(told(&taken[0], &assets), (2, assets[1..3].to_vec()));
    assert_eq!(told(&taken[1], &assets), (1, vec![assets[3]]));
    assert_eq!(shop.send_now().await, sent(0), "and that is all");
    let states: Vec<_> = shop.mails().await.into_iter().map(|mail| mail.state).collect();
    let expected = [
        MailState::Withdrawn,
        MailState::Sent,
        MailState::Sent,
        MailState::Sent,
    ];
    assert_eq!(states, expected);
}

#[tokio::test]
async fn what_may_have_been_sent_alone_joins_no_message() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let assets = placed(&shop, 3).await;
    buy(shop.host.record(), assets[0]).await;
    server.answers(&[Answer::TakeAndDrop]);
    assert_eq!(shop.send().await, later(1));
    choose(&shop, PER_ORDER).await;
    for asset in &assets[1..] {
        buy(shop.host.record(), *asset).await;
    }
    assert_eq!(shop.send_now().await, sent(2));
    let mut ids: Vec<_> = server.taken().iter().map(message_id).collect();
    let first = ids.remove(0);
    assert!(first.starts_with("welcome-") && ids.contains(&first), "{ids:?}");
    assert_eq!(ids.iter().filter(|id| id.starts_with("order-")).count(), 1);
}

#[tokio::test]
async fn what_a_worker_is_about_to_send_joins_no_message_that_it_takes_afterwards() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let record = shop.host.record();
    let assets = placed(&shop, 2).await;
    buy(record, assets[0]).await;
    let worker = record.start_worker().await.unwrap();
    let first = record.take_mails(worker.id(), 9).await.unwrap();
    choose(&shop, PER_ORDER).await;
    buy(record, assets[1]).await;
    let second = record.take_mails(worker.id(), 9).await.unwrap();
    for (taken, asset) in [(first, assets[0]), (second, assets[1])] {
        let [mail] = taken.try_into().unwrap();
        assert_eq!((mail.asset.id, mail.others.len()), (asset, 0));
    }
    record.end_worker(worker).await.unwrap();
}

#[tokio::test]
async fn a_customer_is_told_of_a_return_and_its_credit_where_that_is_chosen() {
    let server = MailServer::start(Offer::default()).await;
    let shop = shop_with(&server, ON_RETURN).await;
    let assets = shop.place(2, |_| ()).await;
    let record = shop.host.record();
    let cancellation = returning(record, assets[0]).await;
    attempted(record, &cancellation, ReturnOutcome::Returned).await;
    let mails = shop.mails().await;
    let of: Vec<_> = mails
        .iter()
        .map(|mail| (mail.kind, mail.asset_id, mail.state))
        .collect();
    assert!(
        of.contains(&(MailKind::Return, assets[0], MailState::Pending)),
        "{of:?}"
    );
    assert!(
        of.contains(&(MailKind::Welcome, assets[0], MailState::Withdrawn)),
        "{of:?}"
    );
    server.answers(&[Answer::TakeAndDrop, Answer::TakeAndDrop]);
    assert_eq!(shop.send().await, later(2));
    assert_eq!(shop.send_now().await, sent(2));
    let taken = server.taken();
    let returns: Vec<_> = taken
        .iter()
        .filter(|taken| message_id(taken) == format!("return-{}@host.example", assets[0]))
        .collect();
    assert_eq!(returns.len(), 2, "the same message, sent again");
    let message = MessageParser::default().parse(&returns[0].bytes).unwrap();
    let text = message.body_text(0).unwrap();
    assert!(
        text.contains("ESD-CR-000001") && text.contains("149.00 EUR"),
        "{text}"
    );
    assert!(!String::from_utf8_lossy(&returns[0].bytes).contains(KEY));

    choose(&shop, MailChoices::default()).await;
    let cancellation = returning(record, assets[1]).await;
    attempted(record, &cancellation, ReturnOutcome::Returned).await;
    assert_eq!(shop.send_now().await, sent(0));
    let of_return = mails.iter().find(|mail| mail.kind == MailKind::Return).unwrap();
    let copies = record.resend_mails(&[of_return.id], None, &actor()).await;
    assert_eq!(copies.unwrap().len(), 1);
    assert_eq!(shop.send().await, sent(1));
}

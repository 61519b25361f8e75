//! Customers: all that is on record about one is exported, and one that is erased is nowhere any more, while what was
//! bought, charged and done stays.

use std::path::Path;

use bss_model::{
    Act, ActFilter, AttemptOutcome, Contact, CustomerData, Diagnose as _, ERASED, MailFilter, MailOutcome,
    MailState, NewOrder, OpenBusiness, Order, Page, Party, Problem, Requester, RequesterKind, ReturnOutcome,
    UnsentMails,
};
use bss_record::{ERASED_CUSTOMERS_FILE, EraseCustomerError, PlaceError, Record, RetryError};
use host_harness::{Host, view};
use serde_json::Value;
use uuid::Uuid;

use crate::cancellations::{attempted, returning};
use crate::certificate_store::contains;
use crate::charges::buy;
use crate::orders::{KEY, begin, license, order, sell, shop};
use crate::record::{TestRecord, actor, files_of, ready_instance};
use crate::services::{definition, product};

/// What a customer is known by, made up for each test.
struct Person {
    id: String,
    name: String,
    email: String,
}

impl Person {
    /// A customer whose name and address are nowhere else, with a letter that JSON may escape.
    fn new(id: &str) -> Self {
        let mark = Uuid::new_v4().simple().to_string();
        Self {
            id: id.to_owned(),
            name: format!("Zoë Μüller {mark}"),
            email: format!("zoe.{mark}@customer.test"),
        }
    }

    fn order(&self, instance: Uuid, units: u32) -> NewOrder {
        NewOrder {
            customer: Party {
                id: self.id.clone(),
                name: self.name.clone(),
                country: "CY".to_owned(),
            },
            contact: Some(Contact {
                email: self.email.clone(),
                language: "el-CY".to_owned(),
            }),
            reseller: Some(Party {
                id: "r-1".to_owned(),
                name: "Handel AG".to_owned(),
                country: "DE".to_owned(),
            }),
            ..order(instance, &[("a", units)])
        }
    }

    async fn places(&self, record: &Record, instance: Uuid, units: u32) -> Order {
        let placed = record.place_order(self.order(instance, units), &actor()).await;
        placed.unwrap().into_order()
    }

    /// A text that names the customer, as a vendor or a mail server may write one.
    fn named(&self) -> Problem {
        let message = format!("no such user {} ({})", self.email, self.name);
        Problem::new("no-such-user", message, format!("ask {}", self.name))
    }

    /// The files below a directory that have the name or the address, in any spelling.
    fn files(&self, directory: &Path) -> Vec<String> {
        self.among(&files_of(directory))
    }

    /// Those of what is written down that have the name or the address, in any spelling.
    fn among(&self, written: &[(String, Vec<u8>)]) -> Vec<String> {
        let spellings: Vec<Vec<u8>> = [&self.name, &self.email]
            .into_iter()
            .flat_map(|text| spellings(text))
            .collect();
        let found = written
            .iter()
            .filter(|(_, bytes)| spellings.iter().any(|spelling| contains(bytes, spelling)));
        found.map(|(name, _)| name.clone()).collect()
    }
}

/// A text in UTF-8, in UTF-16 of both orders, and with escapes as JSON may have them.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
    let escaped = |upper: bool| {
        let escape = |unit: u16| match (char::from_u32(unit.into()), upper) {
            (Some(ascii), _) if ascii.is_ascii() => ascii.to_string(),
            (_, true) => format!("\\u{unit:04X}"),
            (_, false) => format!("\\u{unit:04x}"),
        };
        text.encode_utf16().map(escape).collect::<String>().into_bytes()
    };
    vec![
        text.as_bytes().to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        escaped(false),
        escaped(true),
    ]
}

/// An order of a customer whose license was refused, with words that may name the customer.
pub(crate) async fn refused(record: &Record, instance: Uuid, customer: &str) -> Order {
    let person = Person::new(customer);
    let placed = person.places(record, instance, 1).await;
    refuse(record, placed.lines[0].asset_id, &person).await;
    placed
}

async fn refuse(record: &Record, asset: Uuid, person: &Person) {
    let begun = begin(record, asset).await;
    record
        .finish_attempt(asset, begun.number, AttemptOutcome::Refused(person.named()), 0)
        .await
        .unwrap();
}

async fn erase(record: &Record, person: &Person) -> Result<bss_model::CustomerErasure, EraseCustomerError> {
    record
        .erase_customer(&person.id, None, UnsentMails::Refuse, &actor())
        .await
}

/// The open business for which a customer is not erased.
async fn open(record: &Record, person: &Person, unsent: UnsentMails) -> OpenBusiness {
    let error = record
        .erase_customer(&person.id, None, unsent, &actor())
        .await
        .unwrap_err();
    let is_hers = matches!(&error, EraseCustomerError::Open { id, .. } if *id == person.id);
    assert!(is_hers, "{error:?}");
    match error {
        EraseCustomerError::Open { open, .. } => open,
        _ => OpenBusiness::default(),
    }
}

async fn data(record: &Record, person: &Person) -> CustomerData {
    let data = record.export_customer(&person.id, None).await.unwrap();
    data.unwrap()
}

/// Sends every e-mail that is due; a mail server says something about the recipient.
async fn send(record: &Record, person: &Person) {
    let worker = record.start_worker().await.unwrap();
    for mail in record.take_mails(worker.id(), 100).await.unwrap() {
        let outcome = MailOutcome::Sent(Some(person.named()));
        record.finish_mail(worker.id(), &mail, outcome, 0).await.unwrap();
    }
    record.end_worker(worker).await.unwrap();
}

/// A customer with one order of each fate, all of them settled, and free text about the customer wherever somebody can
/// write one: a license that is there, one that was returned, one that the vendor does not take back, and one that was
/// refused.
async fn with_history(record: &Record, instance: Uuid, person: &Person) -> Order {
    let placed = person.places(record, instance, 4).await;
    let assets: Vec<Uuid> = placed.lines.iter().map(|line| line.asset_id).collect();
    for asset in &assets[..3] {
        buy(record, *asset).await;
    }
    refuse(record, assets[3], person).await;
    send(record, person).await;
    let requester = Requester {
        kind: RequesterKind::Customer,
        name: person.name.clone(),
    };
    let comment = format!("{} does not need it", person.name);
    let declined = record
        .request_cancellation(assets[0], &requester, &comment, &actor())
        .await
        .unwrap();
    record
        .decline_cancellation(declined.id, &format!("{} was told", person.email), &actor())
        .await
        .unwrap();
    let returned = returning(record, assets[1]).await;
    attempted(record, &returned, ReturnOutcome::Returned).await;
    let kept = returning(record, assets[2]).await;
    attempted(record, &kept, ReturnOutcome::Refused(person.named())).await;
    placed
}

#[tokio::test]
async fn an_export_has_all_that_is_on_record_about_a_customer_and_nothing_of_another() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (zoe, other) = (Person::new("c-1"), Person::new("c-2"));
    let placed = with_history(&record, instance, &zoe).await;
    let theirs = with_history(&record, instance, &other).await;
    let data = data(&record, &zoe).await;
    assert_eq!(data.orders, std::slice::from_ref(&placed));
    let assets: Vec<Uuid> = data.assets.iter().map(|asset| asset.id).collect();
    let lines: Vec<Uuid> = placed.lines.iter().map(|line| line.asset_id).collect();
    assert_eq!(assets, lines);
    assert_eq!(data.attempts.len(), 4);
    assert_eq!((data.cancellations.len(), data.return_attempts.len()), (3, 2));
    assert_eq!((data.charges.len(), data.charges[0].lines.len()), (3, 1));
    assert_eq!((data.credits.len(), data.mails.len()), (1, 3));
    let acts: Vec<Act> = data.acts.iter().map(|act| act.act).collect();
    assert_eq!(
        acts,
        [
            Act::PlaceOrder,
            Act::RequestCancellation,
            Act::DeclineCancellation,
            Act::CancelAsset,
            Act::CancelAsset,
        ]
    );
    assert_eq!(data.erasures, []);
    let all = format!("{data:?}");
    assert!(all.contains(&zoe.name) && all.contains(&zoe.email));
    for not_theirs in [&other.name, &other.email, &theirs.id.to_string()] {
        assert!(!all.contains(not_theirs), "{not_theirs}");
    }
    let nobody = record.export_customer("c-3", None).await.unwrap();
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn an_export_of_one_instance_leaves_the_others_out() {
    let record = TestRecord::open().await;
    let (instance, another) = (shop(&record).await, another_shop(&record).await);
    let zoe = Person::new("c-1");
    let [here, there] = [
        zoe.places(&record, instance, 1).await,
        zoe.places(&record, another, 1).await,
    ];
    let export = async |instance| {
        let data = record.export_customer("c-1", instance).await.unwrap();
        let mut orders: Vec<Uuid> = data.unwrap().orders.iter().map(|order| order.id).collect();
        orders.sort();
        orders
    };
    assert_eq!(export(Some(instance)).await, [here.id]);
    assert_eq!(export(Some(another)).await, [there.id]);
    assert_eq!(export(None).await.len(), 2);
    assert_eq!(
        record.export_customer("c-1", Some(Uuid::nil())).await.unwrap(),
        None
    );
}

async fn another_shop(record: &Record) -> Uuid {
    let another = ready_instance(record, "another", None).await.id;
    record
        .apply_services_definition(another, definition(vec![product("a", "Office")]))
        .await
        .unwrap();
    sell(record, another, &["a"]).await;
    another
}

#[tokio::test]
async fn a_host_shows_an_export_with_keys_masked_unless_they_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::builder(directory.path().join("bss"))
        .open_or_create()
        .await
        .unwrap();
    let instance = shop(host.record()).await;
    let zoe = Person::new("c-1");
    let placed = with_history(host.record(), instance, &zoe).await;
    let data = data(host.record(), &zoe).await;
    let view = async |keys| serde_json::to_value(host.customer_view(&data, keys).await.unwrap()).unwrap();
    let masked = view(view::Keys::Masked).await;
    let order = &masked["orders"][0];
    assert_eq!(order["contact"]["email"], zoe.email.as_str());
    assert_eq!(order["assets"].as_array().map(Vec::len), Some(4));
    assert_eq!(order["assets"][0]["customer"]["name"], zoe.name.as_str());
    let charges = masked["charges"].as_array().unwrap();
    let credits: Vec<_> = charges
        .iter()
        .map(|charge| charge["credits"].as_array().unwrap().len())
        .collect();
    assert_eq!(
        (charges.len(), credits.iter().sum::<usize>()),
        (3, 1),
        "{charges:?}"
    );
    assert_eq!(
        masked["cancellations"][1]["returnAttempts"][0]["result"],
        "returned"
    );
    assert_eq!(masked["purchaseAttempts"].as_array().map(Vec::len), Some(4));
    assert!(!masked.to_string().contains(KEY));
    let acts = async || host.record().verify_acts(None).await.unwrap().acts;
    let before = acts().await;
    let shown = view(view::Keys::ShownTo(&actor())).await;
    assert!(shown.to_string().contains(KEY));
    assert_eq!(acts().await, before + 3, "each license that was shown is an act");
    assert_eq!(placed.lines.len(), 4);
}

#[tokio::test]
async fn what_was_erased_is_in_no_file_and_another_customer_is_untouched() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (zoe, other) = (Person::new("c-1"), Person::new("c-2"));
    let placed = with_history(&record, instance, &zoe).await;
    with_history(&record, instance, &other).await;
    let before = data(&record, &other).await;
    // The search finds what is there.
    assert!(!zoe.among(&record.all_written().await).is_empty());

    let erased = erase(&record, &zoe).await.unwrap();
    assert_eq!((erased.orders, erased.withdrawn_mails), (1, 0));
    let is_file = record.database().is_file();
    assert_eq!(erased.left_files, is_file, "a server's files are its operator's");
    let written = record.all_written().await;
    assert_eq!(zoe.among(&written), [] as [String; 0], "while it is open");
    assert_eq!(data(&record, &other).await, before);
    let left = data(&record, &zoe).await;
    let order = &left.orders[0];
    assert_eq!(order.customer, Party::erased("c-1"));
    assert_eq!(order.contact, Some(Contact::erased()));
    assert_eq!(order.reseller, placed.reseller, "the reseller is another party");
    assert!(order.customer_erased_at_ms.is_some());
    let all = format!("{left:?}");
    for personal in [
        &zoe.name,
        &zoe.email,
        "el-CY",
        "CY\"",
        "does not need it",
        "was told",
    ] {
        assert!(!all.contains(personal), "{personal}");
    }
    assert!(all.contains("no-such-user"), "the code of a problem stays");
    assert!(
        all.contains("Operator") && all.contains("olivia"),
        "who did it stays"
    );

    let directory = record.closed().await;
    assert_eq!(
        zoe.files(directory.path()),
        [] as [String; 0],
        "when it is closed"
    );
    assert_eq!(other.files(directory.path()).is_empty(), !is_file);
}

#[tokio::test]
async fn a_reseller_with_the_customers_id_is_erased_too_and_an_order_without_a_contact_gets_none() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let mut for_itself = zoe.order(instance, 1);
    for_itself.reseller = Some(for_itself.customer.clone());
    let placed = record
        .place_order(for_itself, &actor())
        .await
        .unwrap()
        .into_order();
    refuse(&record, placed.lines[0].asset_id, &zoe).await;
    // An order that is older than contacts.
    record
        .database()
        .execute("UPDATE orders SET contact = NULL")
        .await;
    erase(&record, &zoe).await.unwrap();
    let left = record.order(placed.id).await.unwrap().unwrap();
    assert_eq!(
        (&left.reseller, &left.contact),
        (&Some(Party::erased("c-1")), &None)
    );
    assert_eq!(zoe.files(record.path()), [] as [String; 0]);
}

/// Rows that grow are moved between pages, and the former page of some keeps their bytes: SQLite's `secure_delete` alone leaves
/// a few of these.
#[tokio::test]
async fn what_was_erased_is_in_no_page_that_it_was_moved_from() {
    let record = TestRecord::on_sqlite().await;
    let instance = shop(&record).await;
    let (zoe, actor) = (Person::new("c-1"), actor());
    let requester = Requester {
        kind: RequesterKind::Customer,
        name: zoe.name.clone(),
    };
    let long = |letters: usize| format!("{} {}", zoe.name, "x".repeat(letters));
    let mut requests = Vec::new();
    for _ in 0..4 {
        let placed = zoe.places(&record, instance, 25).await;
        for line in &placed.lines {
            buy(&record, line.asset_id).await;
            let comment = long(requests.len() * 37 % 1_200);
            let request = record.request_cancellation(line.asset_id, &requester, &comment, &actor);
            requests.push(request.await.unwrap().id);
        }
    }
    for (number, request) in requests.iter().enumerate() {
        let comment = long(number * 91 % 1_900);
        record
            .decline_cancellation(*request, &comment, &actor)
            .await
            .unwrap();
    }
    let erasing = record.erase_customer("c-1", None, UnsentMails::Withdraw, &actor);
    assert_eq!(erasing.await.unwrap().orders, 4);
    let directory = record.closed().await;
    assert_eq!(zoe.files(directory.path()), [] as [String; 0]);
}

#[tokio::test]
async fn what_was_bought_charged_and_done_stays_when_a_customer_is_erased() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let placed = with_history(&record, instance, &zoe).await;
    let before = data(&record, &zoe).await;
    let noted = record.verify_acts(None).await.unwrap();
    erase(&record, &zoe).await.unwrap();
    let after = data(&record, &zoe).await;
    assert_eq!(
        (&after.charges, &after.credits),
        (&before.charges, &before.credits)
    );
    for (after, before) in after.assets.iter().zip(&before.assets) {
        let without_words = bss_model::Asset {
            reason: after.reason.clone(),
            ..before.clone()
        };
        assert_eq!(after, &without_words);
    }
    let shown = record
        .show_license_secrets(&[placed.lines[0].asset_id], &actor())
        .await
        .unwrap();
    assert!(
        shown[&placed.lines[0].asset_id]
            .product_key
            .expose()
            .ends_with(KEY)
    );
    assert_eq!(after.orders[0].lines, before.orders[0].lines);

    let audited = record.verify_acts(Some(&noted.digest)).await.unwrap();
    assert_eq!(audited.acts, noted.acts + 2, "it was erased, and a key was shown");
    let last = after.acts.last().unwrap();
    assert_eq!((last.act, last.subject.id.as_str()), (Act::EraseCustomer, "c-1"));
    assert_eq!(last.instance_id, Some(instance));
    if record.database().is_file() {
        record.verify().await.unwrap();
    }
}

#[tokio::test]
async fn an_order_placed_again_after_its_customer_was_erased_is_found_and_not_bought_again() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let keyed = || NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..zoe.order(instance, 2)
    };
    let placed = record.place_order(keyed(), &actor()).await.unwrap().into_order();
    for line in &placed.lines {
        refuse(&record, line.asset_id, &zoe).await;
    }
    // The digest that an earlier version wrote down is of the name and the address too.
    record
        .database()
        .execute("UPDATE orders SET request_digest = 'former'")
        .await;
    erase(&record, &zoe).await.unwrap();
    let again = record.place_order(keyed(), &actor()).await.unwrap().into_order();
    assert_eq!((again.id, &again.customer), (placed.id, &Party::erased("c-1")));
    let found = record.placed_order(&keyed()).await.unwrap();
    assert_eq!(found.map(|order| order.id), Some(placed.id));
    let other = NewOrder {
        idempotency_key: Some("k".to_owned()),
        ..zoe.order(instance, 3)
    };
    let error = record.place_order(other, &actor()).await.unwrap_err();
    assert!(matches!(error, PlaceError::KeyReused { .. }), "{error:?}");
    let [first, second] = &data(&record, &zoe).await.assets[..] else {
        panic!("two assets");
    };
    for asset in [first, second] {
        let error = record.retry_asset(asset.id, &actor()).await.unwrap_err();
        assert!(
            matches!(error, RetryError::CustomerErased { id } if id == asset.id),
            "{error:?}"
        );
        assert_eq!(error.diagnosis().code, "customer-erased");
    }
}

#[tokio::test]
async fn a_customer_with_open_business_is_not_erased_and_told_what_is_open() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let placed = zoe.places(&record, instance, 2).await;
    let [bought, wanted] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    buy(&record, bought).await;
    let before = data(&record, &zoe).await;
    let mail = before.mails[0].id;
    let found = open(&record, &zoe, UnsentMails::Refuse).await;
    let expected = OpenBusiness {
        assets: vec![wanted],
        cancellations: Vec::new(),
        mails: vec![mail],
    };
    assert_eq!(found, expected);
    assert_eq!(data(&record, &zoe).await, before, "nothing is half-erased");
    assert!(!record.path().join(ERASED_CUSTOMERS_FILE).exists());

    refuse(&record, wanted, &zoe).await;
    let error = erase(&record, &zoe).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "customer-has-mails");
    assert!(error.to_string().contains(&mail.to_string()), "{error}");
    send(&record, &zoe).await;
    let requested = record
        .request_cancellation(bought, &crate::cancellations::customer(), "", &actor())
        .await
        .unwrap();
    for _ in ["requested", "returning"] {
        let found = open(&record, &zoe, UnsentMails::Withdraw).await;
        let expected = OpenBusiness {
            cancellations: vec![bought],
            ..OpenBusiness::default()
        };
        assert_eq!(found, expected);
        let _ = record.confirm_cancellation(requested.id, "", &actor()).await;
    }
    attempted(
        &record,
        &record.cancellation(requested.id).await.unwrap().unwrap(),
        ReturnOutcome::Returned,
    )
    .await;
    erase(&record, &zoe).await.unwrap();
}

#[tokio::test]
async fn e_mails_that_nobody_will_send_are_withdrawn_where_that_is_said_and_stay_unsent() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let (zoe, other) = (Person::new("c-1"), Person::new("c-2"));
    for person in [&zoe, &other] {
        let placed = person.places(&record, instance, 3).await;
        for line in &placed.lines {
            buy(&record, line.asset_id).await;
        }
    }
    let worker = record.start_worker().await.unwrap();
    let taken = record.take_mails(worker.id(), 100).await.unwrap();
    let hers = |mail: &&bss_model::MailToSend| mail.customer.id == "c-1";
    let [refused, held, sending] = taken.iter().filter(hers).collect::<Vec<_>>()[..] else {
        panic!("three e-mails");
    };
    let outcome = MailOutcome::Refused(zoe.named());
    record
        .finish_mail(worker.id(), refused, outcome, 0)
        .await
        .unwrap();
    let outcome = MailOutcome::Later(zoe.named());
    record.finish_mail(worker.id(), held, outcome, 0).await.unwrap();
    let hold = "UPDATE mails SET state = 'held' WHERE worker IS NULL AND state = 'pending'";
    record.database().execute(hold).await;
    let found = open(&record, &zoe, UnsentMails::Withdraw).await;
    assert_eq!(found.mails, [sending.id], "a worker sends it just now");

    record.end_worker(worker).await.unwrap();
    let erased = record
        .erase_customer("c-1", None, UnsentMails::Withdraw, &actor())
        .await
        .unwrap();
    assert_eq!(erased.withdrawn_mails, 3);
    let mails = data(&record, &zoe).await.mails;
    assert!(mails.iter().all(|mail| mail.state == MailState::Withdrawn));
    assert!(mails.iter().all(|mail| mail.contact == Contact::erased()));
    let refused = mails.iter().find(|mail| mail.id == refused.id).unwrap();
    let problem = refused.problem.as_ref().unwrap();
    assert_eq!(problem.message, ERASED);
    for mail in &mails {
        record.retry_mail(mail.id, &actor()).await.unwrap_err();
    }
    assert_eq!(record.release_mails(&actor()).await.unwrap(), 0);
    let waiting = record
        .mails(
            &MailFilter {
                state: Some(MailState::Pending),
                ..MailFilter::default()
            },
            &Page::all(),
        )
        .await
        .unwrap();
    assert_eq!(waiting.rows.len(), 3, "the other customer's");
    assert_eq!(zoe.files(record.path()), [] as [String; 0]);
}

#[tokio::test]
async fn a_late_license_of_an_erased_customer_is_kept_and_charged_and_mailed_to_nobody() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let asset = zoe.places(&record, instance, 1).await.lines[0].asset_id;
    let [late, refused] = [begin(&record, asset).await, begin(&record, asset).await];
    record
        .finish_attempt(asset, refused.number, AttemptOutcome::Refused(zoe.named()), 0)
        .await
        .unwrap();
    erase(&record, &zoe).await.unwrap();
    let license = license(late.client_transaction_id, "t-1");
    record
        .finish_attempt(asset, late.number, AttemptOutcome::Licensed(license), 0)
        .await
        .unwrap();
    let data = data(&record, &zoe).await;
    assert_eq!((data.charges.len(), data.mails.len()), (1, 0));
    assert_eq!(data.assets[0].transaction_id.as_deref(), Some("t-1"));
}

#[tokio::test]
async fn the_words_that_name_a_second_license_stay() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let asset = zoe.places(&record, instance, 1).await.lines[0].asset_id;
    let [second, first] = [begin(&record, asset).await, begin(&record, asset).await];
    for (begun, transaction) in [(first, "t-1"), (second, "t-2")] {
        let license = license(begun.client_transaction_id, transaction);
        let _ = record
            .finish_attempt(asset, begun.number, AttemptOutcome::Licensed(license), 0)
            .await;
    }
    send(&record, &zoe).await;
    erase(&record, &zoe).await.unwrap();
    let attempts = record.attempts(asset).await.unwrap();
    let problem = attempts[0].problem.as_ref().unwrap();
    assert!(problem.message.contains("t-2"), "{problem:?}");
}

#[tokio::test]
async fn erasing_again_changes_nothing_and_says_so() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    with_history(&record, instance, &zoe).await;
    erase(&record, &zoe).await.unwrap();
    let before = (
        data(&record, &zoe).await,
        record.erased_customers().await.unwrap(),
    );
    let again = erase(&record, &zoe).await.unwrap();
    assert!(again.is_repetition(), "{again:?}");
    assert_eq!(again.left_files, record.database().is_file());
    let after = (
        data(&record, &zoe).await,
        record.erased_customers().await.unwrap(),
    );
    assert_eq!(after, before);
    let error = erase(&record, &Person::new("c-3")).await.unwrap_err();
    assert!(matches!(error, EraseCustomerError::NoCustomer { ref id } if id == "c-3"));
    assert_eq!(error.diagnosis().code, "no-customer");
}

#[tokio::test]
async fn a_customer_who_comes_back_is_a_new_one_until_erased_again() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    refused(&record, instance, "c-1").await;
    let zoe = Person::new("c-1");
    erase(&record, &zoe).await.unwrap();
    let second = zoe.places(&record, instance, 1).await;
    assert_eq!(open(&record, &zoe, UnsentMails::Refuse).await.assets.len(), 1);
    assert_eq!(record.erased_customers().await.unwrap()[0].orders_left, 0);
    refuse(&record, second.lines[0].asset_id, &zoe).await;
    assert_eq!(erase(&record, &zoe).await.unwrap().orders, 1);
    assert_eq!(zoe.files(record.path()), [] as [String; 0]);
}

#[tokio::test]
async fn one_instance_erases_its_own_customer_and_not_that_of_another_with_the_same_id() {
    let record = TestRecord::open().await;
    let (instance, another) = (shop(&record).await, another_shop(&record).await);
    let (here, there) = (Person::new("c-1"), Person::new("c-1"));
    for (instance, person) in [(instance, &here), (another, &there)] {
        let placed = person.places(&record, instance, 1).await;
        refuse(&record, placed.lines[0].asset_id, person).await;
    }
    let erase = async |instance| {
        record
            .erase_customer("c-1", instance, UnsentMails::Refuse, &actor())
            .await
            .unwrap()
    };
    assert_eq!(erase(Some(instance)).await.orders, 1);
    let written = record.all_written().await;
    assert!(here.among(&written).is_empty() && !there.among(&written).is_empty());
    let listed = record.erased_customers().await.unwrap();
    assert_eq!(
        listed.iter().map(|erased| erased.instance_id).collect::<Vec<_>>(),
        [instance]
    );
    assert_eq!(erase(None).await.orders, 1);
    assert!(there.files(record.path()).is_empty());
    assert_eq!(record.erased_customers().await.unwrap().len(), 2);
    let acts = record
        .acts(
            &ActFilter {
                subject: Some("c-1".to_owned()),
                ..ActFilter::default()
            },
            std::num::NonZeroU32::new(10).unwrap(),
        )
        .await
        .unwrap();
    let of: Vec<_> = acts.iter().map(|act| act.instance_id).collect();
    assert_eq!(of, [Some(instance), Some(another)]);
}

#[tokio::test]
async fn a_restored_older_backup_brings_a_customer_back_and_the_list_says_so_until_erased_again() {
    let record = TestRecord::on_sqlite().await;
    let instance = shop(&record).await;
    refused(&record, instance, "c-1").await;
    let backups = tempfile::tempdir().unwrap();
    let backup = backups.path().join("backup.db");
    record.backup(&backup).await.unwrap();
    let zoe = Person::new("c-1");
    erase(&record, &zoe).await.unwrap();
    let listed = record.erased_customers().await.unwrap();
    assert_eq!((listed.len(), listed[0].orders_left), (1, 0));

    let directory = record.closed().await;
    Record::restore(directory.path(), &backup, None, true)
        .await
        .unwrap();
    let record = Record::open(directory.path()).await.unwrap();
    let again = record.erased_customers().await.unwrap();
    assert_eq!((again.len(), again[0].orders_left), (1, 1));
    assert_eq!(again[0].erased_at_ms, listed[0].erased_at_ms);
    assert_eq!(erase(&record, &zoe).await.unwrap().orders, 1);
    assert_eq!(record.erased_customers().await.unwrap()[0].orders_left, 0);
}

#[tokio::test]
async fn a_line_of_the_list_that_was_broken_off_hides_no_other() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let file = record.path().join(ERASED_CUSTOMERS_FILE);
    std::fs::write(&file, "\n{\"customerId\":\"c-").unwrap();
    refused(&record, instance, "c-1").await;
    erase(&record, &Person::new("c-1")).await.unwrap();
    record.database().execute("DELETE FROM erased_customers").await;
    let listed = record.erased_customers().await.unwrap();
    assert_eq!((listed.len(), listed[0].id.as_str()), (1, "c-1"));
    let written = std::fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!(last["customerId"], "c-1");
}

#[tokio::test]
async fn a_reader_of_an_older_state_keeps_what_was_erased_in_the_files_and_that_is_told() {
    let record = TestRecord::on_sqlite().await;
    let instance = shop(&record).await;
    let zoe = Person::new("c-1");
    let placed = zoe.places(&record, instance, 1).await;
    refuse(&record, placed.lines[0].asset_id, &zoe).await;
    let mut reader = record.database().connect().await;
    reader.run("BEGIN; SELECT COUNT(*) FROM orders").await.unwrap();
    let erased = erase(&record, &zoe).await.unwrap();
    assert!(!erased.left_files && erased.orders == 1, "{erased:?}");
    assert!(!zoe.files(record.path()).is_empty());
    reader.run("COMMIT").await.unwrap();
    let again = erase(&record, &zoe).await.unwrap();
    assert!(again.left_files && again.is_repetition(), "{again:?}");
    assert_eq!(zoe.files(record.path()), [] as [String; 0]);
}

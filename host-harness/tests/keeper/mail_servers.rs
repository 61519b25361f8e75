//! Mail servers as others have met them: what each says, or does not say, and what becomes of the e-mails then.

use std::time::Duration;

use bss_keys::PfxCode;
use bss_model::{
    AccessTokenLogin, Contact, Mail, MailDelivery, MailSettings, MailState, MailStop, SmtpServer,
};
use bss_record::{PlaceError, RecordError, RemoveError};
use bss_simulator::{CertificateRequest, Operation, Simulator, SimulatorOptions};
use host_harness::mail::{MailRound, MailSettingsError};
use host_harness::{Diagnose as _, WorkOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::mail::{Shop, later, message_id, refused, sent};
use crate::orders::order;
use crate::record::actor;
use crate::smtp_server::{Answer, MailServer, Offer, Step};

/// The most time that anything here takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes");
}

/// A worker of a shop's host, until a test ends it.
struct Worker {
    stop: oneshot::Sender<()>,
    working: JoinHandle<Result<(), RecordError>>,
}

impl Worker {
    fn start(shop: &Shop) -> Self {
        let (stop, told) = oneshot::channel();
        let host = shop.host.clone();
        let working = tokio::spawn(async move {
            let stop = async { drop(told.await) };
            host.work(&WorkOptions::default(), stop).await
        });
        Self { stop, working }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.working).await;
        ended.expect("it ends").unwrap().unwrap();
    }
}

fn states(mails: &[Mail]) -> Vec<MailState> {
    mails.iter().map(|mail| mail.state).collect()
}

async fn stop(shop: &Shop) -> Option<MailStop> {
    shop.host.record().mail_stop().await.unwrap()
}

/// Changes the server of a shop's mail settings.
async fn configure(
    shop: &Shop,
    server: &MailServer,
    change: impl FnOnce(&mut SmtpServer),
) -> Result<(), MailSettingsError> {
    let mut settings = server.settings();
    let MailDelivery::Smtp(smtp) = &mut settings.delivery else {
        unreachable!()
    };
    change(smtp);
    shop.host.configure_mail(settings, &actor()).await
}

/// Lets the time come at which one e-mail is tried.
async fn let_try_come(shop: &Shop) {
    let come = "UPDATE mail_stop SET next_try_at_ms = 0";
    Database::in_directory(&shop.path("bss")).execute(come).await;
}

async fn silent_at_quit() -> MailServer {
    let offer = Offer {
        answers_quit: false,
        ..Offer::default()
    };
    MailServer::start(offer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_on_record_before_a_goodbye_that_nobody_answers() {
    let server = silent_at_quit().await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    let (host, worker) = (shop.host.clone(), shop.worker.id());
    let sending = tokio::spawn(async move { host.send_mails(worker, 100).await.unwrap() });
    until(async || server.heard().iter().any(|line| line == "QUIT")).await;
    assert_eq!(states(&shop.mails().await), [MailState::Sent]);
    let round = tokio::time::timeout(PATIENCE, sending)
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(round, sent(1));
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_quit_gets_every_e_mail_and_keeps_no_worker() {
    let server = silent_at_quit().await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    let options = WorkOptions::default();
    let once = shop.host.work_once(&options, std::future::pending());
    let left = tokio::time::timeout(PATIENCE, once)
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!((left.mails, server.taken().len()), (0, 1));

    let worker = Worker::start(&shop);
    for more in 2..=4 {
        shop.place(1, |_| ()).await;
        until(async || server.taken().len() == more).await;
    }
    worker.end().await;
    assert_eq!(states(&shop.mails().await), [MailState::Sent; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_after_a_message_holds_up_no_other_e_mail_and_no_worker() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    server.answers(&[Answer::TakeAndBeSilent]);
    shop.place(1, |_| ()).await;
    let worker = Worker::start(&shop);
    until(async || server.taken().len() == 1).await;
    shop.place(3, |_| ()).await;
    until(async || server.taken().len() == 4).await;
    let is_sent = |mails: Vec<Mail>| mails.iter().filter(|mail| mail.state == MailState::Sent).count() == 3;
    until(async || is_sent(shop.mails().await)).await;
    assert_eq!(
        shop.mails().await[0].state,
        MailState::Pending,
        "nobody knows yet"
    );
    worker.end().await;
    // The e-mail is sent again by another worker, as the same message.
    until(async || shop.send_now().await == sent(1)).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 5);
    assert_eq!(message_id(&taken[0]), message_id(&taken[4]));
}

#[tokio::test]
async fn a_message_that_is_taken_in_any_charset_is_sent_once() {
    let gbk_greeting: &[u8] = b"220 \xbb\xb6\xd3\xad ESMTP";
    for (greeting, ehlo) in [
        (&b"220 mail.test \xfcber ESMTP"[..], None),
        (
            gbk_greeting,
            Some(&b"250-mail.test \xb9\xfe\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 AUTH PLAIN"[..]),
        ),
        (b"220-mail.test\r\n220 gr\xfc\xdft", None),
    ] {
        let offer = Offer {
            greeting,
            ehlo,
            ..Offer::default()
        };
        let server = MailServer::start(offer).await;
        let shop = Shop::with(&server).await;
        server.answers(&[Answer::TakeSaying(b"250 2.0.0 \xfcbernommen")]);
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, sent(1));
        assert_eq!(shop.send_now().await, sent(0));
        assert_eq!(server.taken().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_in_any_charset_is_a_refusal() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    for (step, reply) in [
        (
            Step::Recipient,
            &b"550 \xd3\xca\xcf\xe4\xb2\xbb\xb4\xe6\xd4\xda"[..],
        ),
        (Step::Recipient, b"550 5.1.1 unbekannter Empf\xe4nger"),
        (Step::Message, b"554 nicht angenommen: gr\xf6\xdfer"),
    ] {
        server.answers(&[Answer::Says(step, reply)]);
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, refused(1), "{step:?}");
        assert_eq!(shop.mails().await.last().unwrap().state, MailState::Failed);
        assert_eq!(stop(&shop).await, None);
    }
}

#[tokio::test]
async fn a_server_that_says_no_because_of_the_recipient_refuses_that_e_mail_alone() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    for (step, reply) in [
        (Step::Recipient, &b"550 5.1.1 unknown"[..]),
        (Step::Recipient, b"550 5.2.1 disabled"),
        (Step::Recipient, b"552 5.2.2 full"),
        (Step::Recipient, b"550 no such user"),
        (Step::Recipient, b"553 no"),
        (Step::Message, b"550 5.1.1 unknown"),
    ] {
        server.answers(&[Answer::Says(step, reply)]);
        shop.place(1, |_| ()).await;
        assert_eq!(
            shop.send().await,
            refused(1),
            "{}",
            String::from_utf8_lossy(reply)
        );
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, sent(1), "the others go on");
        assert_eq!(stop(&shop).await, None);
    }
}

#[tokio::test]
async fn a_server_that_says_no_because_of_us_fails_no_e_mail_and_is_left_alone() {
    for (step, reply, code) in [
        (
            Step::Recipient,
            &b"554 5.7.1 <c-1@customer.test>: Relay access denied"[..],
            "mail-relay-denied",
        ),
        (Step::Recipient, b"550 relay not permitted", "mail-relay-denied"),
        (Step::Message, b"554 5.2.252 SendAsDenied", "mail-sender-refused"),
        (
            Step::Sender,
            b"550 5.7.60 not as this sender",
            "mail-sender-refused",
        ),
        (
            Step::Recipient,
            b"504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
            "mail-hello-refused",
        ),
        (
            Step::Sender,
            b"530 5.7.57 Client not authenticated",
            "mail-login-refused",
        ),
        (
            Step::Data,
            b"550 5.4.5 Daily sending quota exceeded",
            "mail-quota-exceeded",
        ),
        (Step::Message, b"550 5.7.705 threshold", "mail-quota-exceeded"),
        (Step::Message, b"554 5.7.1 we do not like you", "mail-policy"),
    ] {
        let server = MailServer::start(Offer::default()).await;
        let shop = Shop::with(&server).await;
        server.answers(&[Answer::Says(step, reply); 20]);
        shop.place(9, |_| ()).await;
        assert_eq!(shop.send().await, later(9), "{code}");
        let mails = shop.mails().await;
        assert_eq!(states(&mails), [MailState::Pending; 9]);
        let problems: Vec<_> = mails.into_iter().map(|mail| mail.problem.unwrap()).collect();
        assert!(
            problems
                .iter()
                .all(|problem| problem.code == code && !problem.advice.is_empty()),
            "{problems:?}"
        );
        let found = stop(&shop).await.unwrap();
        assert_eq!((found.problem.code.as_str(), found.tries), (code, 1));
        // The server's words may name a customer, and are in no other customer's e-mail.
        let full = String::from_utf8_lossy(&reply[4..]);
        assert!(!found.problem.message.contains(&*full), "{found:?}");
        assert!(
            problems
                .iter()
                .filter(|problem| problem.message.contains(&*full))
                .count()
                <= 4
        );

        let (connections, heard) = (server.connections(), server.heard().len());
        shop.place(1, |_| ()).await;
        assert_eq!(
            shop.send().await,
            MailRound::default(),
            "{code}: it is left alone"
        );
        assert_eq!((server.connections(), server.heard().len()), (connections, heard));
    }
}

#[tokio::test]
async fn one_e_mail_at_a_time_finds_out_whether_all_can_be_sent_again() {
    const DENIED: Answer = Answer::Says(Step::Recipient, b"554 5.7.1 Relay access denied");
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let tried = || {
        server
            .heard()
            .iter()
            .filter(|line| line.starts_with("MAIL"))
            .count()
    };
    server.answers(&[DENIED; 1]);
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, later(1));
    let before = stop(&shop).await.unwrap();
    shop.place(8, |_| ()).await;
    let_try_come(&shop).await;
    server.answers(&[DENIED]);
    let tried_before = tried();
    assert_eq!(shop.send().await, later(1));
    assert_eq!(shop.send().await, MailRound::default(), "the next try is later");
    assert_eq!(tried(), tried_before + 1);
    let again = stop(&shop).await.unwrap();
    assert_eq!((again.tries, again.since_ms), (2, before.since_ms));

    // An e-mail that is refused because of its recipient says nothing of the server; the next is tried at once.
    let_try_come(&shop).await;
    server.answers(&[Answer::Refuse]);
    assert_eq!(shop.send().await, refused(1));
    assert!(stop(&shop).await.is_some());
    // An e-mail that is deferred says nothing of the server either; the next is tried later.
    server.answers(&[Answer::Defer]);
    assert_eq!(shop.send().await, later(1));
    assert_eq!(shop.send().await, MailRound::default());
    let_try_come(&shop).await;
    assert_eq!(shop.send().await, sent(1));
    assert_eq!(stop(&shop).await, None);
    assert_eq!(
        shop.send().await,
        sent(4),
        "those that had not been tried are due"
    );
    assert_eq!(shop.send_now().await, sent(4));
    assert_eq!(server.taken().len(), 9);
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_tried_for_every_e_mail_again_and_again() {
    let offer = Offer {
        lets_in: false,
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::with(&server).await;
    shop.place(20, |_| ()).await;
    shop.place(20, |_| ()).await;
    while shop.host.send_mails(shop.worker.id(), 10).await.unwrap() != MailRound::default() {}
    assert!(server.connections() <= 4, "{}", server.connections());
    let mails = shop.mails().await;
    assert_eq!(states(&mails), [MailState::Pending; 40]);
    let tries: u32 = mails.iter().map(|mail| mail.attempts).sum();
    assert!(
        (1..=4).contains(&tries),
        "an e-mail that was not tried has no try: {tries}"
    );
}

#[tokio::test]
async fn whoever_sees_to_it_ends_the_stop_and_all_e_mails_are_due() {
    let refusing = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&refusing).await;
    shop.place(5, |_| ()).await;
    let stopped = async || {
        refusing.answers(&[Answer::RefuseSender; 5]);
        assert_eq!(shop.send_now().await, later(5));
        assert!(stop(&shop).await.is_some());
    };
    stopped().await;
    let id = shop.mails().await[0].id;
    let record = shop.host.record();
    record.retry_unheld_mail(id, &actor()).await.unwrap();
    assert!(stop(&shop).await.is_some(), "a program's retry");
    record.retry_mail(id, &actor()).await.unwrap();
    assert_eq!(stop(&shop).await, None, "a retry");

    // The answers that were left over are for the e-mails that were not tried.
    while shop
        .mails()
        .await
        .iter()
        .any(|mail| mail.state == MailState::Pending)
    {
        shop.send_now().await;
    }
    let server = MailServer::start(Offer::default()).await;
    shop.place(5, |_| ()).await;
    server.answers(&[Answer::RefuseSender; 5]);
    configure(&shop, &server, |_| ()).await.unwrap();
    assert_eq!(shop.send().await, later(5));
    assert!(stop(&shop).await.is_some());
    let contact = Contact {
        email: "operator@host.example".to_owned(),
        language: "de".to_owned(),
    };
    let mut failed = 0;
    while shop.host.send_test_mail(&contact).await.is_err() {
        failed += 1;
        assert!(stop(&shop).await.is_some(), "a test that fails ends nothing");
    }
    assert!(failed > 0);
    assert_eq!(stop(&shop).await, None, "a test");
    assert_eq!(shop.send().await, sent(5), "all are due");

    shop.place(2, |_| ()).await;
    server.answers(&[Answer::RefuseSender; 2]);
    assert_eq!(shop.send().await, later(2));
    let other = MailServer::start(Offer::default()).await;
    configure(&shop, &other, |_| ()).await.unwrap();
    assert_eq!(stop(&shop).await, None, "new settings");
    assert_eq!(shop.send().await, sent(2));
}

#[tokio::test]
async fn the_relay_s_own_certificate_is_trusted_for_its_name_and_no_other_certificate() {
    for is_authority in [true, false] {
        let offer = Offer {
            is_authority,
            ..Offer::default()
        };
        let server = MailServer::start(offer).await;
        let other = MailServer::start(offer).await;
        let shop = Shop::with(&server).await;
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, sent(1), "{is_authority}");
        for wrong in [
            &(|smtp: &mut SmtpServer| smtp.trusted_authorities_pem = other.server().trusted_authorities_pem)
                as &dyn Fn(&mut SmtpServer),
            &|smtp| smtp.host = "127.0.0.1".to_owned(),
        ] {
            configure(&shop, &server, wrong).await.unwrap();
            shop.place(1, |_| ()).await;
            assert_eq!(shop.send().await.sent, 0, "{is_authority}");
            let problem = stop(&shop).await.unwrap().problem;
            assert_eq!(problem.code, "mail-server-not-trusted");
            assert!(problem.message.contains("certificate"), "{problem:?}");
        }
        assert_eq!(server.taken().len(), 1);
    }
}

#[tokio::test]
async fn a_login_that_the_server_does_not_offer_is_told_with_what_it_offers() {
    for (auth, says, advises) in [
        (
            "XOAUTH2 GSSAPI",
            "it offers XOAUTH2, GSSAPI, but a password needs PLAIN or LOGIN",
            "access token",
        ),
        ("CRAM-MD5", "it offers CRAM-MD5, but", "operator"),
        ("", "it offers no login (AUTH)", "leave the user out"),
    ] {
        let offer = Offer {
            auth,
            ..Offer::default()
        };
        let server = MailServer::start(offer).await;
        let shop = Shop::with(&server).await;
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, later(1));
        let problem = stop(&shop).await.unwrap().problem;
        assert_eq!(problem.code, "mail-no-mechanism");
        assert!(
            problem.message.contains(says) && problem.advice.contains(advises),
            "{problem:?}"
        );
        assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn the_greeting_has_a_name_that_servers_take() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let greeted = async || {
        shop.place(1, |_| ()).await;
        assert_eq!(shop.send().await, sent(1));
        let heard = server.heard();
        let hello = heard.iter().rev().find_map(|line| line.strip_prefix("EHLO "));
        hello.unwrap().to_owned()
    };
    let by_itself = greeted().await;
    assert!(
        by_itself.contains('.') || by_itself.starts_with("[IPv6:"),
        "{by_itself}"
    );
    for name in ["host.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
        configure(&shop, &server, |smtp| smtp.hello_name = Some(name.to_owned()))
            .await
            .unwrap();
        assert_eq!(greeted().await, name);
    }
    for none in [
        "vm",
        "a b.example",
        "192.0.2.1",
        "host.example\r\nMAIL FROM:<a@b>",
        "",
    ] {
        let wrong = configure(&shop, &server, |smtp| smtp.hello_name = Some(none.to_owned())).await;
        assert!(matches!(wrong, Err(MailSettingsError::HelloName(_))), "{none:?}");
    }
    assert_eq!(greeted().await, "[IPv6:2001:db8::1]", "nothing was changed");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_told_by_what_it_says() {
    let offer = Offer {
        greeting: b"HTTP/1.1 400 Bad Request",
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, later(1));
    let problem = shop.problem().await;
    assert!(
        problem.contains("does not speak SMTP; it said `HTTP/1.1 400 Bad Request`"),
        "{problem}"
    );
}

#[tokio::test]
async fn an_address_that_can_t_be_mailed_to_is_ordered_for_sent_from_and_tested_by_nobody() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    for email in [
        "\"it dept\"@customer.test",
        "it@[192.0.2.1]",
        "it@[IPv6:2001:db8::1]",
        "it@192.0.2.1",
    ] {
        let mut new = order(shop.instance, &[("a", 1)]);
        new.contact.as_mut().unwrap().email = email.to_owned();
        let error = shop.host.record().place_order(new, &actor()).await.unwrap_err();
        assert!(
            matches!(error, PlaceError::IncompleteParty { .. }),
            "{email}: {error:?}"
        );
        let settings = MailSettings {
            from: format!("Shop <{email}>"),
            ..server.settings()
        };
        let error = shop.host.configure_mail(settings, &actor()).await.unwrap_err();
        assert!(
            matches!(error, MailSettingsError::Sender(_)),
            "{email}: {error:?}"
        );
        let contact = Contact {
            email: email.to_owned(),
            language: "en".to_owned(),
        };
        let error = shop.host.send_test_mail(&contact).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "address-unusable", "{email}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_e_mail_to_an_address_of_before_the_rule_fails_with_a_reason_and_stops_no_other() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    let of_before = r#"UPDATE orders SET contact = json_set(contact, '$.email', '"it dept"@customer.test')"#;
    Database::in_directory(&shop.path("bss")).execute(of_before).await;
    shop.place(1, |_| ()).await;
    let round = shop.send().await;
    assert_eq!((round.sent, round.refused, round.later), (1, 1, 0));
    let mail = shop.mails().await.remove(0);
    assert_eq!(mail.state, MailState::Failed);
    let problem = mail.problem.unwrap();
    assert_eq!(problem.code, "address-unusable");
    assert!(
        problem.message.contains("it dept") && problem.advice.contains("another way"),
        "{problem:?}"
    );
}

/// An authorization server, and a shop whose operator has a certificate that is registered there.
struct Tokens {
    shop: Shop,
    simulator: Simulator,
    login: AccessTokenLogin,
    _directory: tempfile::TempDir,
}

impl Tokens {
    async fn start(server: &MailServer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(SimulatorOptions::new(directory.path()))
            .await
            .unwrap();
        let shop = Shop::open().await;
        let issued = simulator
            .issue_client_certificate(&CertificateRequest::default())
            .unwrap();
        let pfx = issued.pfx("code").unwrap();
        let certificates = shop.host.record().certificates();
        certificates
            .import(&pfx, &PfxCode::new("code"), &actor())
            .await
            .unwrap();
        let details = simulator.details();
        let login = AccessTokenLogin {
            token_endpoint: format!(
                "https://{}/{}/oauth2/v2.0/token",
                details.login_authority, details.tenant
            ),
            scope: format!("{}/.default", details.resource_api),
            client_id: details.client_id.to_string(),
            certificate: issued.thumbprint.parse().unwrap(),
            trusted_authorities_pem: Some(std::fs::read_to_string(&details.ca_file).unwrap()),
        };
        let tokens = Self {
            shop,
            simulator,
            login,
            _directory: directory,
        };
        tokens.configure(server, |_| ()).await.unwrap();
        tokens
    }

    async fn configure(
        &self,
        server: &MailServer,
        change: impl FnOnce(&mut AccessTokenLogin),
    ) -> Result<(), MailSettingsError> {
        let mut login = self.login.clone();
        change(&mut login);
        configure(&self.shop, server, |smtp| {
            smtp.user = Some("shop@host.example".to_owned());
            smtp.password = None;
            smtp.access_token = Some(Box::new(login));
        })
        .await
    }

    /// The number of access tokens that were asked for.
    fn asked(&self) -> u64 {
        self.simulator.faults().requests_seen(Operation::AccessToken)
    }
}

async fn tokens_only(lets_in: bool) -> MailServer {
    let offer = Offer {
        auth: "XOAUTH2",
        lets_in,
        ..Offer::default()
    };
    MailServer::start(offer).await
}

#[tokio::test]
async fn a_user_logs_in_with_an_access_token_that_a_certificate_has_got_and_that_is_kept() {
    let server = tokens_only(true).await;
    let tokens = Tokens::start(&server).await;
    for _ in 0..3 {
        tokens.shop.place(1, |_| ()).await;
        assert_eq!(tokens.shop.send().await, sent(1));
    }
    assert_eq!((tokens.asked(), server.connections()), (1, 3));
    let taken = server.taken().remove(0);
    let login = taken.login.unwrap();
    let (user, rest) = login.split_once('\u{1}').unwrap();
    assert_eq!(user, "user=shop@host.example");
    let access_token = rest
        .strip_prefix("auth=Bearer ")
        .and_then(|rest| rest.strip_suffix("\u{1}\u{1}"));
    assert!(access_token.is_some_and(|token| token.len() > 20), "{rest}");
    assert!(taken.encrypted && !server.in_clear().iter().any(|line| line.starts_with("AUTH")));
}

#[tokio::test]
async fn an_access_token_that_the_mail_server_refuses_is_the_login_s_fault_and_is_got_anew() {
    let server = tokens_only(false).await;
    let tokens = Tokens::start(&server).await;
    tokens.shop.place(5, |_| ()).await;
    assert_eq!(tokens.shop.send().await, later(5));
    let found = stop(&tokens.shop).await.unwrap().problem;
    assert_eq!(found.code, "mail-login-refused");
    assert!(
        found.message.contains("535") && found.message.contains("status 401"),
        "{found:?}"
    );
    assert!(
        server.heard().iter().any(String::is_empty),
        "the challenge was answered"
    );
    assert!(!found.message.contains("Bearer"));
    let asked = tokens.asked();
    assert_eq!(tokens.shop.send_now().await, later(5));
    assert!(tokens.asked() > asked, "the refused one is forgotten");
}

#[tokio::test]
async fn without_an_access_token_every_e_mail_waits_and_the_reason_is_told() {
    let server = tokens_only(true).await;
    let tokens = Tokens::start(&server).await;
    tokens.shop.place(2, |_| ()).await;
    let unknown = "99999999-2222-3333-4444-55555555aaaa";
    type Change<'a> = &'a dyn Fn(&mut AccessTokenLogin);
    let cases: [(Change<'_>, &str); 5] = [
        (
            &|login| login.client_id = unknown.to_owned(),
            "refused with HTTP 400",
        ),
        (
            &|login| login.scope = "https://other.example/.default".to_owned(),
            "refused with HTTP",
        ),
        (
            &|login| login.certificate = "0".repeat(40).parse().unwrap(),
            "is not installed",
        ),
        (&|login| login.trusted_authorities_pem = None, "certificate"),
        (
            &|login| login.token_endpoint = "https://127.0.0.1:1/token".to_owned(),
            "127.0.0.1:1",
        ),
    ];
    for (change, says) in cases {
        tokens.configure(&server, change).await.unwrap();
        assert_eq!(tokens.shop.send().await, later(2), "{says}");
        let problem = stop(&tokens.shop).await.unwrap().problem;
        assert_eq!(problem.code, "mail-no-access-token");
        assert!(problem.message.contains(says), "{says}: {problem:?}");
    }
    assert_eq!(server.connections(), 0, "no server is kept waiting for it");
    tokens.configure(&server, |_| ()).await.unwrap();
    assert_eq!(tokens.shop.send().await, sent(2));
}

#[tokio::test]
async fn a_certificate_that_the_mail_settings_use_is_not_removed_until_they_do_not() {
    let server = tokens_only(true).await;
    let tokens = Tokens::start(&server).await;
    let certificates = tokens.shop.host.record().certificates();
    let refused = certificates.remove(&tokens.login.certificate, &actor()).await;
    assert!(
        matches!(refused, Err(RemoveError::InMailSettings { .. })),
        "{refused:?}"
    );
    configure(&tokens.shop, &server, |_| ()).await.unwrap();
    certificates
        .remove(&tokens.login.certificate, &actor())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_login_with_an_access_token_that_can_t_be_right_is_not_saved() {
    let server = tokens_only(true).await;
    let tokens = Tokens::start(&server).await;
    for endpoint in [
        "http://login.example/token",
        "login.example",
        "https://u:p@login.example/token",
        "",
    ] {
        let wrong = tokens
            .configure(&server, |login| login.token_endpoint = endpoint.to_owned())
            .await;
        assert!(
            matches!(wrong, Err(MailSettingsError::AccessToken(_))),
            "{endpoint}"
        );
    }
    for client_id in ["", "a b", "ä"] {
        let wrong = tokens
            .configure(&server, |login| login.client_id = client_id.to_owned())
            .await;
        assert!(
            matches!(wrong, Err(MailSettingsError::AccessToken(_))),
            "{client_id}"
        );
    }
    let both = configure(&tokens.shop, &server, |smtp| {
        smtp.access_token = Some(Box::new(tokens.login.clone()))
    })
    .await;
    assert!(matches!(both, Err(MailSettingsError::AccessToken(_))));
}

//! E-mail as a mail server and the customer's mail program see it, read back with a parser that is not ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bss_model::{
    Contact, Mail, MailDelivery, MailFilter, MailSettings, MailState, NewLine, NewOrder, Page, Party,
    PluginDigest, SavedSettings, SmtpProtection,
};
use bss_record::{PlaceError, Worker};
use host_harness::Host;
use host_harness::mail::{MailRound, MailSettingsError, TestMailError, check_templates, write_templates};
use mail_parser::{Message, MessageParser};
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::charges::buy;
use crate::database::Database;
use crate::orders::{KEY, LINK, order, shop};
use crate::quantities::sell_whole;
use crate::record::{actor, files_of, settings};
use crate::smtp_server::{Answer, MailServer, Offer, PASSWORD, Taken};

/// A host that sells, and a worker that sends its mails.
pub(crate) struct Shop {
    pub(crate) host: Host,
    pub(crate) instance: Uuid,
    pub(crate) worker: Worker,
    directory: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // No plugin is called here.
        let host = Host::builder(directory.path().join("bss"))
            .open_or_create()
            .await
            .unwrap();
        let instance = shop(host.record()).await;
        let digest = PluginDigest::new([1; 32]);
        crate::plugins::add(host.record(), digest, &actor())
            .await
            .unwrap();
        host.record().trust_plugin(&digest, &actor()).await.unwrap();
        let with_plugin = SavedSettings {
            plugin: Some(digest),
            ..settings(None)
        };
        host.record()
            .save_settings(instance, 1, with_plugin, &actor())
            .await
            .unwrap();
        let worker = host.record().start_worker().await.unwrap();
        Self {
            host,
            instance,
            worker,
            directory,
        }
    }

    /// Opens a shop that sends through a mail server.
    pub(crate) async fn with(server: &MailServer) -> Self {
        let shop = Self::open().await;
        shop.host
            .configure_mail(server.settings(), &actor())
            .await
            .unwrap();
        shop
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn place(&self, units: u32, change: impl FnOnce(&mut NewOrder)) -> Vec<Uuid> {
        let mut new = order(self.instance, &[("a", units)]);
        change(&mut new);
        let placed = self
            .host
            .record()
            .place_order(new, &actor())
            .await
            .unwrap()
            .into_order();
        for line in &placed.lines {
            buy(self.host.record(), line.asset_id).await;
        }
        placed.lines.into_iter().map(|line| line.asset_id).collect()
    }

    pub(crate) async fn send(&self) -> MailRound {
        self.host.send_mails(self.worker.id(), 100).await.unwrap()
    }

    /// Sends what is pending, whether it is due or not, and what was refused.
    pub(crate) async fn send_now(&self) -> MailRound {
        self.host.record().retry_mails(&actor()).await.unwrap();
        self.host.record().retry_refused_mails(&actor()).await.unwrap();
        self.send().await
    }

    pub(crate) async fn mails(&self) -> Vec<Mail> {
        self.host
            .record()
            .mails(&MailFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows
    }

    pub(crate) async fn problem(&self) -> String {
        let problem = self.mails().await.remove(0).problem.unwrap();
        format!("{}: {}", problem.code, problem.message)
    }
}

pub(crate) fn sent(sent: u32) -> MailRound {
    MailRound {
        sent,
        ..MailRound::default()
    }
}

pub(crate) fn later(later: u32) -> MailRound {
    MailRound {
        later,
        ..MailRound::default()
    }
}

pub(crate) fn refused(refused: u32) -> MailRound {
    MailRound {
        refused,
        ..MailRound::default()
    }
}

fn speaks(language: &'static str) -> impl FnOnce(&mut NewOrder) {
    move |order| order.contact.as_mut().unwrap().language = language.to_owned()
}

/// The Message-ID of a message that was taken.
pub(crate) fn message_id(taken: &Taken) -> String {
    read(&taken.bytes).message_id().unwrap().to_owned()
}

fn read(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

fn text(message: &Message<'_>) -> String {
    message.body_text(0).unwrap().into_owned()
}

fn html(message: &Message<'_>) -> String {
    assert_eq!((message.text_body_count(), message.html_body_count()), (1, 1));
    message.body_html(0).unwrap().into_owned()
}

/// The names of a message's header fields, as a program that splits it at line ends sees them.
fn fields(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_license_is_mailed_once_over_tls_with_its_key_and_link() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let assets = shop.place(2, speaks("en")).await;
    assert_eq!(shop.send().await, sent(2));
    assert_eq!(shop.send_now().await, sent(0));
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    let mut ids = Vec::new();
    for taken in &taken {
        assert!(taken.encrypted);
        assert_eq!(
            taken.login.as_deref(),
            Some(&*format!("\u{0}shop\u{0}{PASSWORD}"))
        );
        assert_eq!(taken.from, "MAIL FROM:<shop@host.example>");
        assert_eq!(taken.to, "RCPT TO:<c-1@customer.test>");
        let message = read(&taken.bytes);
        let subject = message.subject().unwrap();
        assert!(subject.starts_with("Your Office license · order "), "{subject}");
        for body in [text(&message), html(&message)] {
            assert!(body.contains(KEY) && body.contains("Office"), "{body}");
        }
        assert!(text(&message).contains(LINK), "{}", text(&message));
        assert!(taken.bytes.is_ascii(), "any mail server takes it");
        ids.push(message.message_id().unwrap().to_owned());
    }
    let mut expected: Vec<_> = assets
        .iter()
        .map(|asset| format!("welcome-{asset}@host.example"))
        .collect();
    expected.sort();
    ids.sort();
    assert_eq!(ids, expected);
    let secret = |line: &String| line.contains("AUTH") || line.contains(KEY) || line.contains("MAIL");
    assert!(!server.in_clear().iter().any(secret), "{:?}", server.in_clear());
    for entry in std::fs::read_dir(shop.path("bss")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        assert!(!contains(&bytes, KEY.as_bytes()), "{}", path.display());
    }
}

#[tokio::test]
async fn an_e_mail_tells_how_many_units_a_license_is_for() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    sell_whole(shop.host.record(), shop.instance).await;
    let words = [("en", "Quantity"), ("de", "Menge"), ("el", "Ποσότητα")];
    for (language, word) in words {
        for quantity in [3, 1] {
            let credits = vec![NewLine {
                product_code: "credits".to_owned(),
                quantity,
            }];
            shop.place(1, |order| {
                order.contact.as_mut().unwrap().language = language.to_owned();
                order.lines = credits;
            })
            .await;
            assert_eq!(shop.send().await, sent(1));
            let taken = server.taken();
            let message = read(&taken.last().unwrap().bytes);
            let (text, html) = (text(&message), html(&message));
            assert!(text.contains("Seats"), "{text}");
            let line = format!("{word}: {quantity}");
            assert!(text.lines().any(|told| told == line), "{text}");
            assert!(
                html.contains(word) && html.contains(&format!(">{quantity}</td>")),
                "{html}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_with_tls_from_the_first_byte_is_as_good() {
    let offer = Offer {
        tls_at_once: true,
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, sent(1));
    assert!(server.taken()[0].encrypted);
}

#[tokio::test]
async fn without_the_tls_that_was_asked_for_nothing_is_sent() {
    let offer = Offer {
        start_tls: false,
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, later(1));
    assert_eq!(server.taken().len(), 0);
    assert!(
        server.in_clear().iter().all(|line| line.starts_with("EHLO")),
        "{:?}",
        server.in_clear()
    );
    assert!(
        shop.problem().await.contains("STARTTLS"),
        "{}",
        shop.problem().await
    );
}

/// Replies as the library would read them for its commands over TLS: to EHLO, AUTH, MAIL, RCPT, DATA and the message.
const REPLIES: &str = "\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 sender\r\n250 recipient\r\n354 go \
                       on\r\n250 taken";

#[tokio::test]
async fn replies_that_were_added_before_tls_count_for_no_mail() {
    for injected in [REPLIES, "\r\n250 AUTH PLAIN", "\r\n2"] {
        let offer = Offer {
            injected,
            ..Offer::default()
        };
        let server = MailServer::start(offer).await;
        let shop = Shop::with(&server).await;
        shop.place(3, |_| ()).await;
        assert_eq!(shop.send().await, later(3), "{injected:?}");
        assert_eq!(server.taken().len(), 0);
        let clear = server.in_clear();
        assert!(
            clear
                .iter()
                .all(|line| line.starts_with("EHLO") || line == "STARTTLS"),
            "{clear:?}"
        );
        for mail in shop.mails().await {
            assert_eq!(mail.state, MailState::Pending);
            assert_eq!(mail.problem.unwrap().code, "mail-server-spoke-early");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() {
    let server = MailServer::start(Offer::default()).await;
    let other = MailServer::start(Offer::default()).await;
    let shop = Shop::open().await;
    let mut settings = server.settings();
    let MailDelivery::Smtp(smtp) = &mut settings.delivery else {
        unreachable!()
    };
    smtp.trusted_authorities_pem = other.server().trusted_authorities_pem;
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, later(1));
    assert_eq!(server.taken().len(), 0);
    assert!(
        shop.problem().await.contains("certificate"),
        "{}",
        shop.problem().await
    );
}

#[tokio::test]
async fn without_tls_a_relay_is_used_only_when_told_so_and_without_a_login() {
    let offer = Offer {
        start_tls: false,
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::open().await;
    let mut settings = server.settings();
    let MailDelivery::Smtp(smtp) = &mut settings.delivery else {
        unreachable!()
    };
    smtp.protection = SmtpProtection::None;
    let error = shop
        .host
        .configure_mail(settings.clone(), &actor())
        .await
        .unwrap_err();
    assert!(
        matches!(error, MailSettingsError::UnprotectedPassword),
        "{error:?}"
    );
    assert_eq!(shop.host.record().mail_settings().await.unwrap(), None);
    let MailDelivery::Smtp(smtp) = &mut settings.delivery else {
        unreachable!()
    };
    (smtp.user, smtp.password) = (None, None);
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, sent(1));
    assert_eq!(server.taken()[0].login, None);
}

#[tokio::test]
async fn a_login_that_fails_lets_every_mail_wait() {
    let offer = Offer {
        lets_in: false,
        ..Offer::default()
    };
    let server = MailServer::start(offer).await;
    let shop = Shop::with(&server).await;
    shop.place(9, |_| ()).await;
    assert_eq!(shop.send().await, later(9));
    assert!(
        server.connections() <= 4,
        "{} connections for one answer",
        server.connections()
    );
    let problem = shop.problem().await;
    assert!(
        problem.starts_with("mail-login-refused") && problem.contains("535"),
        "{problem}"
    );
    assert!(!problem.contains(PASSWORD), "{problem}");
}

#[tokio::test]
async fn a_server_that_says_not_now_is_asked_again_and_one_that_says_never_is_not() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    server.answers(&[Answer::Defer]);
    assert_eq!(shop.send().await, later(1));
    assert_eq!(
        shop.problem().await,
        "mail-deferred: the mail server deferred the e-mail: 450 come back later"
    );
    assert_eq!(shop.send().await, later(0), "not at once");
    for answer in [Answer::Refuse, Answer::RefuseMessage] {
        server.answers(&[answer]);
        assert_eq!(shop.send_now().await, refused(1), "{answer:?}");
        assert_eq!(shop.mails().await[0].state, MailState::Failed);
        assert!(
            shop.problem().await.starts_with("mail-refused: "),
            "{}",
            shop.problem().await
        );
        assert_eq!(shop.send().await, sent(0), "not by itself");
    }
    assert_eq!(server.taken().len(), 0);
    assert_eq!(shop.send_now().await, sent(1), "the operator says so");
    assert_eq!(server.taken().len(), 1);
    assert_eq!(shop.mails().await[0].problem, None);
}

#[tokio::test]
async fn a_sender_that_is_refused_fails_no_mail() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    server.answers(&[Answer::RefuseSender]);
    assert_eq!(shop.send().await, later(1));
    assert!(shop.problem().await.contains("550"), "{}", shop.problem().await);
}

#[tokio::test]
async fn a_message_whose_taking_was_not_heard_of_is_sent_again_as_the_same_message() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    server.answers(&[Answer::TakeAndDrop]);
    assert_eq!(shop.send().await, later(1));
    let problem = shop.problem().await;
    assert!(
        problem.starts_with("mail-connection-lost")
            && problem.contains("whether the server accepted the e-mail is not known"),
        "{problem}"
    );
    assert_eq!(shop.send_now().await, sent(1));
    let taken = server.taken();
    let ids: Vec<_> = taken
        .iter()
        .map(|taken| read(&taken.bytes).message_id().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn connections_are_used_again_until_the_server_closes_them() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(20, |_| ()).await;
    assert_eq!(shop.send().await, sent(20));
    assert!(server.connections() <= 4, "{} connections", server.connections());

    let before = server.connections();
    shop.place(3, |_| ()).await;
    server.answers(&[Answer::Refuse, Answer::AcceptAndClose]);
    // Mails are sent one at a time, so that all go over one connection as long as it lasts.
    for expected in [refused(1), sent(1), sent(1)] {
        let round = shop.host.send_mails(shop.worker.id(), 1).await.unwrap();
        assert_eq!(round, expected);
    }
    assert_eq!(server.connections(), before + 3);
    server.answers(&[Answer::AcceptAndClose; 20]);
    shop.place(20, |_| ()).await;
    assert_eq!(
        shop.send().await,
        sent(20),
        "none waits because a connection was closed before it"
    );
    assert_eq!(server.taken().len(), 20 + 2 + 20);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_asked_once_for_all_mails() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    drop(server);
    shop.place(9, |_| ()).await;
    assert_eq!(shop.send().await, later(9));
    assert!(
        shop.mails()
            .await
            .iter()
            .all(|mail| mail.state == MailState::Pending)
    );
}

#[tokio::test]
async fn a_customer_reads_it_in_their_language_or_the_next_one_that_there_is() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    for (language, subject, says) in [
        ("el", "Η άδειά σας για Office · παραγγελία ", "Κλειδί προϊόντος"),
        (
            "de-AT",
            "Ihre Lizenz für Office · Bestellung ",
            "Produktschlüssel",
        ),
        (
            "DE-at",
            "Ihre Lizenz für Office · Bestellung ",
            "Produktschlüssel",
        ),
        ("fr", "Your Office license · order ", "Product key"),
    ] {
        shop.place(1, speaks(language)).await;
        assert_eq!(shop.send().await, sent(1));
        let order = shop.mails().await.last().unwrap().order_id.to_string();
        let taken = server.taken().pop().unwrap();
        let message = read(&taken.bytes);
        let subject = format!("{subject}{}", order.split('-').next().unwrap());
        assert_eq!(message.subject(), Some(&*subject), "{language}");
        assert!(text(&message).contains(says), "{}", text(&message));
        assert!(html(&message).contains(says), "{}", html(&message));
    }
}

#[tokio::test]
async fn a_name_adds_no_header_and_no_markup() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    let evil = "Evil <b>&\"Söhne\r\nBcc: all@victim.test\r\n\r\nbody\u{2028}x";
    let party = |name: &str| Party {
        id: "c".to_owned(),
        name: name.to_owned(),
        country: "DE".to_owned(),
    };
    let change = |order: &mut NewOrder| {
        (order.customer, order.reseller) = (party(evil), Some(party(evil)));
        order.contact.as_mut().unwrap().language = "en".to_owned();
    };
    let own = shop.path("templates");
    write_templates(&own).unwrap();
    std::fs::write(
        own.join("en/welcome.subject.txt"),
        "For {{ customer.name }}\n\nX-Spoofed: yes\n",
    )
    .unwrap();
    let settings = MailSettings {
        templates: Some(own),
        ..server.settings()
    };
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    shop.place(1, change).await;
    assert_eq!(shop.send().await, sent(1));
    let taken = server.taken().remove(0);
    assert_eq!(taken.to, "RCPT TO:<c-1@customer.test>");
    let expected = [
        "From",
        "To",
        "Subject",
        "Message-ID",
        "Date",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    let mut found = fields(&taken.bytes);
    found.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    let message = read(&taken.bytes);
    let on_one_line = "Evil <b>&\"Söhne Bcc: all@victim.test body x";
    assert_eq!(
        message.subject(),
        Some(&*format!("For {on_one_line} X-Spoofed: yes"))
    );
    assert_eq!(message.to().unwrap().first().unwrap().name(), Some(on_one_line));
    assert!(message.bcc().is_none());
    assert!(text(&message).contains(on_one_line), "{}", text(&message));
    let html = html(&message);
    assert!(
        html.contains("Evil &lt;b&gt;&amp;&quot;Söhne Bcc") && !html.contains("Evil <b>"),
        "{html}"
    );
}

#[tokio::test]
async fn an_address_that_could_add_a_header_is_never_ordered_for() {
    let shop = Shop::open().await;
    for email in [
        "a@b.test\r\nBcc: c@d.test",
        "\"a\r\nb\"@b.test",
        "a@b.test, c@d.test",
        "a@b.test\0",
    ] {
        let mut new = order(shop.instance, &[("a", 1)]);
        new.contact.as_mut().unwrap().email = email.to_owned();
        let error = shop.host.record().place_order(new, &actor()).await.unwrap_err();
        assert!(
            matches!(error, PlaceError::IncompleteParty { .. }),
            "{email:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_directory_whose_name_is_no_text_is_refused_before_anything_is_made() {
    let shop = Shop::open().await;
    let no_text = shop.path("").join(OsStr::from_bytes(b"mails-\xff"));
    let in_directory = MailSettings {
        from: "shop@example.com".to_owned(),
        delivery: MailDelivery::Directory(no_text.clone()),
        templates: None,
    };
    let with_templates = MailSettings {
        delivery: MailDelivery::Directory(shop.path("mails")),
        templates: Some(no_text.clone()),
        ..in_directory.clone()
    };
    for settings in [in_directory, with_templates] {
        let error = shop.host.configure_mail(settings, &actor()).await.unwrap_err();
        assert!(matches!(error, MailSettingsError::NotText(_)), "{error:?}");
    }
    assert!(!no_text.exists());
    assert_eq!(shop.host.record().mail_settings().await.unwrap(), None);
}

#[tokio::test]
async fn an_operators_templates_come_before_the_built_in_ones() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::open().await;
    let own = shop.path("templates");
    let error = shop
        .host
        .configure_mail(
            MailSettings {
                templates: Some(own.clone()),
                ..server.settings()
            },
            &actor(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, MailSettingsError::Templates(_)), "{error:?}");

    assert_eq!(write_templates(&own).unwrap().len(), 27);
    assert!(
        write_templates(&own).is_err(),
        "what may have been edited is not overwritten"
    );
    // A language of the operator's own, and one text of a built-in one.
    std::fs::create_dir(own.join("FR")).unwrap();
    for (file, says) in [
        ("welcome.subject.txt", "Bienvenue"),
        ("welcome.txt", "Clé : {{ product_key }}"),
    ] {
        std::fs::write(own.join("FR").join(file), says).unwrap();
    }
    let missing = check_templates(own.clone()).await.unwrap_err().to_string();
    assert!(missing.contains("`FR/welcome.html` is missing"), "{missing}");
    std::fs::write(own.join("FR/welcome.html"), "<p>{{ product_key }}</p>").unwrap();
    std::fs::write(own.join("de/welcome.txt"), "Hier: {{ product_key }}").unwrap();
    std::fs::remove_file(own.join("de/welcome.html")).unwrap();
    assert_eq!(
        check_templates(own.clone()).await.unwrap(),
        ["FR", "de", "el", "en"]
    );
    shop.host
        .configure_mail(
            MailSettings {
                templates: Some(own.clone()),
                ..server.settings()
            },
            &actor(),
        )
        .await
        .unwrap();
    for (language, says, html_says) in [
        ("fr-CA", "Clé : ", format!("{KEY}</p>")),
        ("de", "Hier: ", "Produktschlüssel".to_owned()),
    ] {
        shop.place(1, speaks(language)).await;
        assert_eq!(shop.send().await, sent(1));
        let taken = server.taken().pop().unwrap();
        let message = read(&taken.bytes);
        let key = text(&message).trim_end().strip_prefix(says).map(str::to_owned);
        assert!(key.is_some_and(|key| key.ends_with(KEY)), "{}", text(&message));
        assert!(html(&message).contains(&html_says), "{}", html(&message));
    }
}

#[tokio::test]
async fn a_template_that_is_broken_later_holds_no_license_back() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::open().await;
    let own = shop.path("templates");
    write_templates(&own).unwrap();
    let settings = MailSettings {
        templates: Some(own.clone()),
        ..server.settings()
    };
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    // A placeholder that does not exist.
    std::fs::write(own.join("de/welcome.txt"), "Hier:\n{{ produkt_key }}").unwrap();
    shop.place(1, speaks("de")).await;
    assert_eq!(shop.send().await, sent(1));
    let taken = server.taken().pop().unwrap();
    assert!(text(&read(&taken.bytes)).contains(KEY));
    let mail = shop.mails().await.pop().unwrap();
    let problem = mail.problem.unwrap().message;
    assert_eq!(mail.state, MailState::Sent);
    assert!(
        problem.contains("`de/welcome.txt` can't be filled in, line 2: undefined value"),
        "{problem}"
    );
    let broken = check_templates(own).await.unwrap_err().to_string();
    assert!(broken.contains("de/welcome.txt"), "{broken}");
}

#[tokio::test]
async fn into_a_directory_each_mail_is_written_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = Shop::open().await;
    let directory = shop.path("mails");
    let settings = MailSettings {
        from: "shop@host.example".to_owned(),
        delivery: MailDelivery::Directory(directory.clone()),
        templates: None,
    };
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    let assets = shop.place(3, |_| ()).await;
    // A file written before a crash, unknown to the record.
    let written = directory.join(format!("welcome-{}.eml", assets[0]));
    std::fs::write(&written, "before the crash").unwrap();
    assert_eq!(shop.send().await, sent(3));
    assert_eq!(std::fs::read(&written).unwrap(), b"before the crash");
    let mut names: Vec<_> = files_of(&directory).into_iter().map(|(name, _)| name).collect();
    names.sort();
    let mut expected: Vec<_> = assets
        .iter()
        .map(|asset| format!("welcome-{asset}.eml"))
        .collect();
    expected.sort();
    assert_eq!(names, expected, "and nothing half-written");
    let file = directory.join(format!("welcome-{}.eml", assets[1]));
    assert!(text(&read(&std::fs::read(&file).unwrap())).contains(KEY));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));

    std::fs::remove_dir_all(&directory).unwrap();
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, later(1));
    let problem = shop.mails().await.pop().unwrap().problem.unwrap();
    assert_eq!(problem.code, "mail-directory");
}

#[tokio::test]
async fn without_settings_mails_wait_and_nothing_else_does() {
    let shop = Shop::open().await;
    shop.place(2, |_| ()).await;
    assert_eq!(shop.send().await, MailRound::default());
    let mails = shop.mails().await;
    assert!(
        mails
            .iter()
            .all(|mail| (mail.state, mail.attempts) == (MailState::Pending, 0))
    );
    let contact = Contact {
        email: "operator@host.example".to_owned(),
        language: "de".to_owned(),
    };
    let error = shop.host.send_test_mail(&contact).await.unwrap_err();
    assert!(matches!(error, TestMailError::NotConfigured), "{error:?}");

    let server = MailServer::start(Offer::default()).await;
    shop.host
        .configure_mail(server.settings(), &actor())
        .await
        .unwrap();
    assert_eq!(shop.send().await, sent(2));
    shop.host.send_test_mail(&contact).await.unwrap();
    let test = server.taken().pop().unwrap();
    assert_eq!(test.to, "RCPT TO:<operator@host.example>");
    let message = read(&test.bytes);
    assert_eq!(
        message.subject(),
        Some("[test] Ihre Lizenz für Example Product · Bestellung 00000000")
    );
    assert!(text(&message).contains("XXXXX-XXXXX"));
}

#[tokio::test]
async fn an_international_domain_goes_out_in_ascii_and_a_local_part_beyond_it_is_refused() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |order| {
        order.contact.as_mut().unwrap().email = "a@büro.example".to_owned()
    })
    .await;
    assert_eq!(shop.send().await, sent(1));
    assert_eq!(server.taken()[0].to, "RCPT TO:<a@xn--bro-hoa.example>");
    shop.place(1, |order| {
        order.contact.as_mut().unwrap().email = "μιχαήλ@customer.test".to_owned();
    })
    .await;
    assert_eq!(shop.send().await, refused(1), "this server knows no SMTPUTF8");
}

#[tokio::test]
async fn a_message_that_is_sent_again_by_another_sender_is_still_the_same_message() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(1, |_| ()).await;
    server.answers(&[Answer::TakeAndDrop]);
    assert_eq!(shop.send().await, later(1));
    let moved = MailSettings {
        from: "licenses@moved.example".to_owned(),
        ..server.settings()
    };
    shop.host.configure_mail(moved, &actor()).await.unwrap();
    assert_eq!(shop.send_now().await, sent(1));
    let taken = server.taken();
    let [first, second] = [0, 1].map(|i: usize| read(&taken[i].bytes).message_id().unwrap().to_owned());
    assert_eq!(first, second);
    assert_eq!(taken[1].from, "MAIL FROM:<licenses@moved.example>");
}

#[tokio::test]
async fn a_mail_whose_license_is_given_back_while_it_waits_for_its_turn_is_not_sent() {
    let server = MailServer::start(Offer::default()).await;
    let shop = Shop::with(&server).await;
    shop.place(5, |_| ()).await;
    // The license is given back as soon as a worker has taken its mail.
    let given_back = "CREATE TRIGGER given_back AFTER UPDATE OF worker ON mails WHEN NEW.worker IS NOT NULL
        BEGIN UPDATE mails SET state = 'withdrawn', worker = NULL WHERE id = NEW.id; END";
    Database::in_directory(&shop.path("bss"))
        .execute(given_back)
        .await;
    assert_eq!(shop.send().await, MailRound::default());
    assert_eq!(server.taken().len(), 0);
    let states: Vec<_> = shop.mails().await.iter().map(|mail| mail.state).collect();
    assert_eq!(states, [MailState::Withdrawn; 5]);
}

//! Who sells at an instance: e-mails say it, answers go there, and a copy to the operator is no business of the customer's.

use std::path::Path;

use bss_model::{MailDelivery, MailSettings, Seller};
use host_harness::view::Keys;
use mail_parser::MessageParser;

use crate::mail::{Shop, sent};
use crate::orders::KEY;
use crate::record::actor;
use crate::smtp_server::{Answer, MailServer, Offer};

fn seller() -> Seller {
    let some = |text: &str| Some(text.to_owned());
    Seller {
        name: "Beispiel & Söhne GmbH".to_owned(),
        address: vec!["Hauptstraße 1".to_owned(), "12345 Berlin".to_owned()],
        support_email: some("hilfe@beispiel.example"),
        support_phone: some("+49 30 1234567"),
        logo_url: some("https://beispiel.example/logo.png?a=1&b=2"),
        reply_to: some("antwort@beispiel.example"),
        bcc: some("kopie@beispiel.example"),
    }
}

async fn shop_of(server: &MailServer, seller: &Seller) -> Shop {
    let shop = Shop::with(server).await;
    shop.host
        .record()
        .save_seller(shop.instance, Some(seller), &actor())
        .await
        .unwrap();
    shop
}

#[tokio::test]
async fn an_e_mail_names_the_seller_of_its_instance_in_every_language() {
    let server = MailServer::start(Offer::default()).await;
    let shop = shop_of(&server, &seller()).await;
    for (language, sold_by) in [("en", "Sold by"), ("de", "Verkauft von"), ("el", "Πωλητής:")] {
        shop.place(1, |order| {
            order.contact.as_mut().unwrap().language = language.to_owned();
            order.reseller = None;
        })
        .await;
        assert_eq!(shop.send().await, sent(1));
        let taken = server.taken().pop().unwrap();
        let message = MessageParser::default().parse(&taken.bytes).unwrap();
        let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
        for part in [
            &format!("{sold_by} Beispiel & Söhne GmbH"),
            "Hauptstraße 1, 12345 Berlin",
            "(hilfe@beispiel.example, +49 30 1234567)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
            assert!(html.contains(&part.replace('&', "&amp;")), "{part}: {html}");
        }
        let logo =
            "<img src=\"https://beispiel.example/logo.png?a=1&amp;b=2\" alt=\"Beispiel &amp; Söhne GmbH\"";
        assert!(html.contains(logo), "{html}");
        let reply_to = message.reply_to().unwrap().first().unwrap().address();
        assert_eq!(reply_to, Some("antwort@beispiel.example"));
    }
}

#[tokio::test]
async fn a_blind_copy_goes_to_the_operator_unseen_and_its_refusal_keeps_the_e_mail_from_nobody() {
    let server = MailServer::start(Offer::default()).await;
    let shop = shop_of(&server, &seller()).await;
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, sent(1));
    server.answers(&[Answer::RefuseCopy]);
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, sent(1));
    let taken = server.taken();
    let copies: Vec<_> = taken.iter().map(|taken| taken.copy.as_deref()).collect();
    assert_eq!(copies, [Some("RCPT TO:<kopie@beispiel.example>"), None]);
    for taken in &taken {
        assert!(taken.to.contains("customer.test"), "{}", taken.to);
        let text = String::from_utf8_lossy(&taken.bytes).into_owned();
        assert!(!text.contains("kopie@"), "{text}");
    }

    shop.host
        .record()
        .save_seller(shop.instance, None, &actor())
        .await
        .unwrap();
    shop.place(1, |_| ()).await;
    assert_eq!(shop.send().await, sent(1));
    let last = server.taken().pop().unwrap();
    assert_eq!(last.copy, None);
    assert!(!String::from_utf8_lossy(&last.bytes).contains("Reply-To"));
}

#[tokio::test]
async fn in_a_directory_the_program_that_sends_reads_the_blind_copy_in_the_file() {
    let shop = Shop::open().await;
    let directory = shop.path("mails");
    let settings = MailSettings {
        from: "shop@host.example".to_owned(),
        delivery: MailDelivery::Directory(directory.clone()),
        templates: None,
    };
    shop.host.configure_mail(settings, &actor()).await.unwrap();
    shop.host
        .record()
        .save_seller(shop.instance, Some(&seller()), &actor())
        .await
        .unwrap();
    let asset = shop.place(1, |_| ()).await.remove(0);
    assert_eq!(shop.send().await, sent(1));
    let file = std::fs::read(directory.join(format!("welcome-{asset}.eml"))).unwrap();
    let message = MessageParser::default().parse(&file).unwrap();
    let bcc = message.bcc().unwrap().first().unwrap().address();
    assert_eq!(bcc, Some("kopie@beispiel.example"));
}

#[tokio::test]
async fn a_preview_is_the_e_mail_without_its_key_and_sends_nothing() {
    let shop = Shop::open().await;
    shop.host
        .record()
        .save_seller(shop.instance, Some(&seller()), &actor())
        .await
        .unwrap();
    let assets = shop.place(2, |_| ()).await;
    let order = shop.mails().await[0].order_id;
    let previews = shop
        .host
        .preview_mails(order, Some("de"), Keys::Masked)
        .await
        .unwrap();
    let of: Vec<_> = previews.iter().map(|preview| preview.asset_id).collect();
    assert_eq!(of, assets);
    for preview in &previews {
        assert!(preview.html.contains("Produktschlüssel") && preview.html.contains("Beispiel &amp; Söhne"));
        assert!(!preview.html.contains(KEY) && !preview.text.contains(KEY));
        let to = preview.to.as_deref().unwrap_or_default();
        assert!(to.contains("customer.test"), "{to}");
    }
    let shown = shop
        .host
        .preview_mails(assets[0], None, Keys::ShownTo(&actor()))
        .await
        .unwrap();
    assert!(shown[0].html.contains(KEY));
    let unknown = shop.host.preview_mails(shop.instance, None, Keys::Masked).await;
    assert!(unknown.is_err());
    let states: Vec<_> = shop
        .mails()
        .await
        .into_iter()
        .map(|mail| (mail.state, mail.attempts))
        .collect();
    assert_eq!(states, [(bss_model::MailState::Pending, 0); 2]);
    assert!(!Path::new(&shop.path("mails")).exists());
}

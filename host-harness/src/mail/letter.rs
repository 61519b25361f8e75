//! An e-mail as it is handed over: headers that no value can add lines to, and its text twice, plain and as HTML.

use std::path::Path;

use bss_model::clock::rfc3339;
use bss_model::{
    Asset, Contact, Diagnose, Diagnosis, ErrorKind, MailDelivery, MailKind, MailSettings, MailToSend, Party,
    Problem, Seller, is_mailable,
};
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart};
use lettre::{Address, Message};
use zeroize::Zeroizing;

use super::context::{Context, ContextCredit, ContextLicense, ContextProduct, ContextSeller, Named};
use super::templates::{self, LetterKind, Rendered, TemplateError};
use super::text::one_line;

/// Why an e-mail can't be composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The sender is no e-mail address.
    #[error("the sender `{0}` is neither an e-mail address nor `Name <address>`")]
    Sender(String),
    /// The recipient is no e-mail address.
    #[error("the recipient `{0}` is not an e-mail address that can be mailed to")]
    Recipient(String),
    /// Not even the built-in template can be filled in.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The library that writes messages refuses.
    #[error("the e-mail can't be composed")]
    Message(#[from] lettre::error::Error),
}

impl Diagnose for ComposeError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Sender(_) => Diagnosis::new(ErrorKind::Invalid, "invalid-sender"),
            Self::Recipient(_) => Diagnosis::new(ErrorKind::Invalid, "address-unusable"),
            Self::Template(error) => error.diagnosis(),
            Self::Message(_) => Diagnosis::new(ErrorKind::Invalid, "mail-not-composed"),
        }
    }
}

/// An e-mail ready to be handed over.
pub(super) struct Letter {
    /// The file's name and the left part of the Message-ID, equal for every copy of the e-mail.
    pub(super) name: String,
    pub(super) envelope: Envelope,
    /// The message (RFC 5322), which holds the license.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Why the e-mail does not look as the operator wanted it.
    pub(super) problem: Option<Problem>,
}

/// The right part of the Message-IDs of a sender.
pub(super) fn sender_domain(settings: &MailSettings) -> Result<String, ComposeError> {
    Ok(sender(&settings.from)?.email.domain().to_owned())
}

/// Composes the e-mail about a license. `message_id_domain` is that of the sender when the e-mail was sent first.
pub(super) fn compose(
    settings: &MailSettings,
    mail: &MailToSend,
    message_id_domain: &str,
) -> Result<Letter, ComposeError> {
    let rendered = fill_in(settings.templates.as_deref(), mail)?;
    let asset = &mail.asset;
    // A copy is another message, and no second one of the same; one of several e-mails is the same whichever are left of them.
    let name = match (mail.sent_with, mail.is_copy) {
        (Some(message), _) => format!("order-{message}"),
        (None, false) => format!("{}-{}", mail.kind, asset.id),
        (None, true) => format!("{}-{}-{}", mail.kind, asset.id, mail.id),
    };
    let addressed = Addressed {
        contact: &mail.contact,
        recipient_name: Some(&mail.customer.name),
        seller: mail.seller.as_ref(),
    };
    address(settings, &addressed, name, message_id_domain, rendered)
}

/// The text of an e-mail: that of several licenses is another one than that of each.
fn letter_kind(mail: &MailToSend) -> LetterKind {
    match mail.kind {
        MailKind::Return => LetterKind::Return,
        MailKind::Welcome if mail.others.is_empty() => LetterKind::Welcome,
        MailKind::Welcome => LetterKind::Order,
    }
}

/// A license of an e-mail, as a template names it.
fn license(mail: &MailToSend) -> ContextLicense<'_> {
    let asset = &mail.asset;
    ContextLicense {
        product: product(asset),
        quantity: asset.quantity,
        product_key: mail.secrets.product_key.expose(),
        activation_link: mail.secrets.activation_link.as_ref().map(|link| link.expose()),
        price: asset.price.as_ref().map(ToString::to_string),
        purchased_on: asset.purchased_at_ms.map(day),
        returnable_until: asset.returnable_until_ms.map(day),
        license_id: asset.id.to_string(),
    }
}

fn product(asset: &Asset) -> ContextProduct<'_> {
    ContextProduct {
        code: &asset.product_code,
        name: one_line(&asset.product_name),
    }
}

/// Fills in the templates of an e-mail.
pub(super) fn fill_in(templates: Option<&Path>, mail: &MailToSend) -> Result<Rendered, TemplateError> {
    let asset = &mail.asset;
    let kind = letter_kind(mail);
    let with_key = kind != LetterKind::Return;
    let all = std::iter::once(mail).chain(&mail.others);
    let context = Context {
        customer: named(&mail.customer),
        reseller: mail.reseller.as_ref().map(named),
        seller: mail.seller.as_ref().map(ContextSeller::from),
        product: product(asset),
        quantity: asset.quantity,
        vendor: mail.sold.as_ref().map(|sold| one_line(&sold.vendor)),
        offering: mail
            .sold
            .as_ref()
            .map_or_else(|| one_line(&asset.product_name), |sold| one_line(&sold.offering)),
        product_key: with_key.then(|| mail.secrets.product_key.expose()),
        activation_link: mail
            .secrets
            .activation_link
            .as_ref()
            .filter(|_| with_key)
            .map(|link| link.expose()),
        price: asset.price.as_ref().map(ToString::to_string),
        purchased_on: asset.purchased_at_ms.map(day),
        returnable_until: asset.returnable_until_ms.map(day),
        order_id: asset.order_id.to_string(),
        license_id: asset.id.to_string(),
        copy_of: mail.first_sent_at_ms.map(day),
        licenses: all.filter(|_| with_key).map(license).collect(),
        credit: mail.credit.as_ref().map(|credit| ContextCredit {
            number: credit.number.to_string(),
            amount: credit.price.to_string(),
            credited_on: day(credit.credited_at_ms),
        }),
    };
    templates::render(templates, kind, &mail.contact.language, &context)
}

/// Composes an e-mail that looks like the one about a license, with a key that is not a real one.
pub(super) fn compose_test(settings: &MailSettings, contact: &Contact) -> Result<Letter, ComposeError> {
    let mut rendered = templates::render(
        settings.templates.as_deref(),
        LetterKind::Welcome,
        &contact.language,
        &Context::sample(),
    )?;
    rendered.subject = format!("[test] {}", rendered.subject);
    let name = format!("test-{}", uuid::Uuid::new_v4());
    let addressed = Addressed {
        contact,
        recipient_name: None,
        seller: None,
    };
    address(settings, &addressed, name, &sender_domain(settings)?, rendered)
}

/// Whom an e-mail goes to, and who sells.
struct Addressed<'a> {
    contact: &'a Contact,
    recipient_name: Option<&'a str>,
    seller: Option<&'a Seller>,
}

/// The headers that every e-mail of the host has, up to its subject.
pub(super) fn headers(from: Mailbox, to: Mailbox, subject: String, message_id: String) -> MessageBuilder {
    Message::builder()
        .from(from)
        .to(to)
        .subject(subject)
        .message_id(Some(message_id))
        .date_now()
        // Asks for no automatic replies, such as holiday notes (RFC 3834 section 5).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
}

fn address(
    settings: &MailSettings,
    addressed: &Addressed<'_>,
    name: String,
    message_id_domain: &str,
    rendered: Rendered,
) -> Result<Letter, ComposeError> {
    let from = sender(&settings.from)?;
    let to = recipient(&addressed.contact.email)?;
    // Two messages with one Message-ID are copies of one message (RFC 5322 section 3.6.4).
    let message_id = format!("<{name}@{message_id_domain}>");
    let to = Mailbox::new(addressed.recipient_name.map(one_line), to);
    let mut builder = headers(from, to, rendered.subject, message_id);
    if let Some(reply_to) = addressed.seller.and_then(|seller| seller.reply_to.as_ref()) {
        builder = builder.reply_to(Mailbox::new(None, recipient(reply_to)?));
    }
    if let Some(bcc) = addressed.seller.and_then(|seller| seller.bcc.as_ref()) {
        builder = builder.bcc(Mailbox::new(None, recipient(bcc)?));
        // The program that sends a file reads its recipients in it, and takes this one out.
        if matches!(settings.delivery, MailDelivery::Directory(_)) {
            builder = builder.keep_bcc();
        }
    }
    let message = builder.multipart(MultiPart::alternative_plain_html(
        rendered.text.to_string(),
        rendered.html.to_string(),
    ))?;
    Ok(Letter {
        name,
        envelope: message.envelope().clone(),
        bytes: Zeroizing::new(message.formatted()),
        problem: rendered.problem,
    })
}

/// The sender: an address, or `Name <address>`.
pub(super) fn sender(text: &str) -> Result<Mailbox, ComposeError> {
    let none = || ComposeError::Sender(one_line(text));
    let mailbox: Mailbox = text.parse().map_err(|_| none())?;
    if !is_mailable(mailbox.email.as_ref()) {
        return Err(none());
    }
    let email = ascii_domain(&mailbox.email).ok_or_else(none)?;
    Ok(Mailbox::new(mailbox.name.as_deref().map(one_line), email))
}

/// The recipient: an address.
pub(super) fn recipient(text: &str) -> Result<Address, ComposeError> {
    let none = || ComposeError::Recipient(one_line(text));
    if !is_mailable(text) {
        return Err(none());
    }
    let address: Address = text.parse().map_err(|_| none())?;
    ascii_domain(&address).ok_or_else(none)
}

/// An address whose domain every mail server understands (RFC 5891).
fn ascii_domain(address: &Address) -> Option<Address> {
    let domain = idna::domain_to_ascii(address.domain()).ok()?;
    let same = domain.eq_ignore_ascii_case(address.domain());
    if same {
        return Some(address.clone());
    }
    Address::new(address.user(), domain).ok()
}

fn named(party: &Party) -> Named<'_> {
    Named {
        id: &party.id,
        name: one_line(&party.name),
        country: &party.country,
    }
}

/// The day of a time, UTC.
fn day(time_ms: i64) -> String {
    rfc3339(time_ms).chars().take_while(|&c| c != 'T').collect()
}

#[cfg(test)]
mod tests {
    use bss_model::MailDelivery;
    use proptest::prelude::*;

    use super::*;

    fn composed(email: &str) -> Result<Letter, ComposeError> {
        let settings = MailSettings {
            from: "shop@host.example".to_owned(),
            delivery: MailDelivery::Directory("none".into()),
            templates: None,
        };
        let contact = Contact {
            email: email.to_owned(),
            language: "en".to_owned(),
        };
        compose_test(&settings, &contact)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_can_be_ordered_for_can_be_composed_for(
            local_part in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~äμ中-]{1,20}(\\.[a-zö]{1,9}){0,2}",
            domain in "[a-z0-9ü-]{1,20}(\\.[a-z0-9ü-]{1,9}){0,3}",
        ) {
            let email = format!("{local_part}@{domain}");
            if is_mailable(&email) {
                let letter = composed(&email).unwrap();
                prop_assert_eq!(letter.envelope.to().len(), 1);
                let to: &str = letter.envelope.to()[0].as_ref();
                prop_assert!(to.starts_with(&format!("{local_part}@")), "{}", to);
            }
        }
    }

    #[test]
    fn what_can_t_be_ordered_for_is_not_composed_for() {
        for email in [
            "\"it dept\"@b.test",
            "it@[192.0.2.1]",
            "it@192.0.2.1",
            "a@b.test, c@d.test",
        ] {
            let refused = composed(email).err().unwrap();
            assert!(
                matches!(refused, ComposeError::Recipient(_)),
                "{email}: {refused:?}"
            );
        }
        composed("it@b.test").unwrap();
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("a\r\nBcc: b\u{2028}c\0\t d "), "a Bcc: b c d");
        for name in ["Μιχαήλ & Söhne", "می\u{200c}خواهم"] {
            assert_eq!(one_line(name), name);
        }
    }

    #[test]
    fn a_line_does_not_turn_its_direction_and_hides_nothing() {
        assert_eq!(
            one_line("inv\u{202e}fdp.exe\u{202c} \u{200b} a\u{2066}b"),
            "invfdp.exe ab"
        );
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name_and_nothing_else() {
        assert_eq!(
            sender("Shop <a@b.example>").unwrap().to_string(),
            "Shop <a@b.example>"
        );
        assert_eq!(
            sender("a@büro.example").unwrap().to_string(),
            "a@xn--bro-hoa.example"
        );
        for wrong in [
            "",
            "a",
            "Shop",
            "a@b.example\r\nBcc: c@d.example",
            "<a@b.example",
            "\"the shop\"@b.example",
            "Shop <shop@[192.0.2.1]>",
        ] {
            assert!(sender(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_shown_as_its_day() {
        assert_eq!(day(1_790_000_000_000), "2026-09-21");
    }
}

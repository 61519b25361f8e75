//! The meaning of a mail server's refusal: whether it is about this e-mail, or about this host, its login, its sender or
//! its name, so that no other e-mail would fare better. Read from the phase, the code (RFC 5321 section 4.2.3), the
//! enhanced code (RFC 3463, RFC 5248, and what mail services document of their own), and, where there is no enhanced
//! code, from a few phrases.

use std::ops::RangeInclusive;

use super::reply::{Enhanced, Reply};

/// The step of a session that a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The greeting, and STARTTLS.
    Greeting,
    /// EHLO.
    Hello,
    /// AUTH.
    Login,
    /// MAIL.
    Sender,
    /// RCPT.
    Recipient,
    /// DATA, and the dot that ends the message.
    Message,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The e-mail is not taken now.
    Later,
    /// The e-mail is not taken at all, because of its recipient or of what it says.
    Refused,
    /// The e-mail is not taken because of this host.
    Us(Trouble),
}

/// What is wrong with this host, in a mail server's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The login, or that there was none.
    Login,
    /// The name that the host greets with.
    HelloName,
    /// The sender.
    Sender,
    /// Relaying: the host sends to somebody who is not the server's own user.
    Relay,
    /// The number of e-mails.
    Quota,
    /// Something that the server does not want from this host.
    Policy,
    /// The server itself, or how it is spoken to.
    Server,
}

use Trouble::{HelloName, Login, Policy, Quota, Relay, Sender, Server};
use Verdict::{Refused, Us};

/// Codes that say the same in every phase.
const BY_CODE: &[(RangeInclusive<u16>, Verdict)] = &[
    // RFC 4954 section 6: authentication required, mechanism too weak, credentials invalid, encryption required.
    (523..=525, Us(Login)),
    (530..=530, Us(Login)),
    (534..=535, Us(Login)),
    (538..=538, Us(Login)),
    // RFC 7504 section 3: the host takes no mail.
    (521..=521, Us(Server)),
];

/// Enhanced codes `5.subject.detail`. The first row that matches counts.
const BY_ENHANCED: &[(u16, RangeInclusive<u16>, Verdict)] = &[
    // RFC 3463 section 3.2: bad sender's mailbox, bad sender's system.
    (1, 7..=8, Us(Sender)),
    // The daily limit of recipients of a mail service.
    (1, 90..=90, Us(Quota)),
    // Every other bad destination.
    (1, 0..=999, Refused),
    // "SendAsDenied" of a mail service.
    (2, 252..=252, Us(Sender)),
    // RFC 3463 section 3.3: the recipient's mailbox is disabled, full, or takes no message so long.
    (2, 0..=999, Refused),
    // RFC 3463 section 3.4: the server is full, shutting down, or badly configured.
    (3, 0..=999, Us(Server)),
    // "Daily sending quota exceeded" of mail services.
    (4, 5..=5, Us(Quota)),
    // RFC 3463 section 3.5: the recipient's server can't be found or reached.
    (4, 0..=999, Refused),
    // RFC 3463 section 3.6: what MTAs say of a name in EHLO that is not fully qualified.
    (5, 2..=2, Us(HelloName)),
    (5, 4..=4, Us(HelloName)),
    (5, 0..=999, Us(Server)),
    // RFC 3463 section 3.7: the message can't be converted or is not supported.
    (6, 0..=999, Refused),
    // RFC 3463 section 3.8 and RFC 4954 section 6: whom the recipient lets write; its mailbox or domain has another owner (RFC 7293).
    (7, 2..=2, Refused),
    (7, 17..=18, Refused),
    (7, 124..=124, Refused),
    (7, 133..=136, Refused),
    // The login: not there, refused, too weak, expired, disabled.
    (7, 3..=3, Us(Login)),
    (7, 8..=9, Us(Login)),
    (7, 11..=14, Us(Login)),
    (7, 57..=57, Us(Login)),
    (7, 139..=139, Us(Login)),
    // DKIM, SPF, reverse DNS and DMARC (RFC 7372, and mail services); a sender that is not the user's.
    (7, 20..=29, Us(Sender)),
    (7, 60..=60, Us(Sender)),
    (7, 509..=515, Us(Sender)),
    // Thresholds of mail services.
    (7, 232..=236, Us(Quota)),
    (7, 700..=750, Us(Quota)),
    // Relaying of mail services.
    (7, 54..=54, Us(Relay)),
    (7, 64..=64, Us(Relay)),
    (7, 0..=999, Us(Policy)),
];

/// Phrases of servers that give no enhanced code, or put off what they will never take, in lower case.
const BY_PHRASE: &[(&str, Verdict)] = &[
    ("relaying denied", Us(Relay)),
    ("relaying not", Us(Relay)),
    ("relaying is", Us(Relay)),
    ("relaying prohibited", Us(Relay)),
    ("relay not permitted", Us(Relay)),
    ("relay access denied", Us(Relay)),
    ("relay denied", Us(Relay)),
    ("to relay", Us(Relay)),
    ("authentication required", Us(Login)),
    ("authentication is required", Us(Login)),
    ("not authenticated", Us(Login)),
    ("must authenticate", Us(Login)),
    ("helo command rejected", Us(HelloName)),
    ("sender verify failed", Us(Sender)),
];

/// The meaning of a reply that is not positive.
pub(super) fn verdict(phase: Phase, reply: &Reply) -> Verdict {
    if matches!(phase, Phase::Greeting | Phase::Hello | Phase::Login) {
        return Us(of_session(phase, reply));
    }
    if reply.code < 500 {
        // Some servers put off for ever what they will never take: relaying (Postfix's `defer_unauth_destination`) and names
        // in greetings. Their enhanced code is that of greylisting too.
        let says_nothing = |enhanced: Enhanced| enhanced.subject == 0 || enhanced.subject == 7;
        let found = match reply.enhanced().is_none_or(says_nothing) {
            true => by_phrase(&reply.shown()),
            false => None,
        };
        return found.unwrap_or(Verdict::Later);
    }
    let by_code = first(BY_CODE, |(codes, _)| codes.contains(&reply.code)).map(|(_, verdict)| *verdict);
    let found = by_code.or_else(|| match reply.enhanced() {
        // "Other or undefined" says no more than the code does.
        Some(enhanced) if (phase, enhanced.subject, enhanced.detail) == (Phase::Recipient, 7, 1) => {
            Some(not_authorized(&reply.shown()))
        }
        Some(enhanced) if enhanced.subject != 0 => by_enhanced(enhanced),
        _ => by_phrase(&reply.shown()),
    });
    let found = found.unwrap_or_else(|| by_plain_code(phase, reply.code));
    match (phase, found) {
        // The recipient has not been named yet.
        (Phase::Sender, Us(Login | HelloName | Quota | Server)) => found,
        (Phase::Sender, _) => Us(Sender),
        _ => found,
    }
}

/// What a refused greeting, EHLO, STARTTLS or login is about.
fn of_session(phase: Phase, reply: &Reply) -> Trouble {
    match (phase, reply.code) {
        (Phase::Login, 500..) => Login,
        // EHLO: RFC 5321 section 4.3.2 has 504 and 550; 501 is for a name that can't be read.
        (Phase::Hello, 501 | 504 | 550 | 553) => HelloName,
        _ => Server,
    }
}

/// The meaning of "delivery not authorized" for a recipient: what relays say to strangers, or what a server says of a recipient
/// whom it shields (Postfix's `check_recipient_access`).
fn not_authorized(text: &str) -> Verdict {
    match by_phrase(text) {
        Some(verdict) => verdict,
        None if own_words(text).contains("recipient address rejected") => Refused,
        None => Us(Relay),
    }
}

fn by_enhanced(enhanced: Enhanced) -> Option<Verdict> {
    let row = first(BY_ENHANCED, |(subject, details, _)| {
        *subject == enhanced.subject && details.contains(&enhanced.detail)
    });
    row.map(|(_, _, verdict)| *verdict)
}

/// The server's own words, in lower case: without addresses, which it repeats, and without what another server has said to it.
fn own_words(text: &str) -> String {
    let text = text.to_lowercase();
    let own = text.split(" said: ").next().unwrap_or_default();
    let mut words = String::with_capacity(own.len());
    let mut is_address = false;
    for character in own.chars() {
        match character {
            '<' => is_address = true,
            '>' => is_address = false,
            character if !is_address => words.push(character),
            _ => {}
        }
    }
    let is_word = |word: &&str| !word.contains('@');
    words
        .split_whitespace()
        .filter(is_word)
        .collect::<Vec<_>>()
        .join(" ")
}

fn by_phrase(text: &str) -> Option<Verdict> {
    let text = own_words(text);
    first(BY_PHRASE, |(phrase, _)| text.contains(phrase)).map(|(_, verdict)| *verdict)
}

/// The meaning of a code that nothing else is known of.
fn by_plain_code(phase: Phase, code: u16) -> Verdict {
    match (phase, code) {
        // A syntax error in the recipient is the recipient's; any other is ours.
        (Phase::Recipient, 501) => Refused,
        (_, 504) => Us(HelloName),
        (_, 500..=509 | 555) => Us(Server),
        (Phase::Sender, 552) => Us(Quota),
        (Phase::Sender, _) => Us(Sender),
        // No such mailbox, not local, full, not a mailbox's name, a domain that takes no mail (RFC 7504).
        (Phase::Recipient, 550..=553 | 556) => Refused,
        (Phase::Recipient, _) => Us(Relay),
        (_, _) => Refused,
    }
}

fn first<T>(rows: &[T], matches: impl Fn(&&T) -> bool) -> Option<&T> {
    rows.iter().find(matches)
}

impl Trouble {
    /// The code of the problem, what the server does, and what to do.
    pub(super) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Login => (
                "mail-login-refused",
                "the mail server refused the login",
                "correct the user and the password in the mail settings, or log in with an access token where the mail \
                 server takes no passwords any more",
            ),
            HelloName => (
                "mail-hello-refused",
                "the mail server refused the name that this host greets with",
                "give a fully qualified name for the greeting in the mail settings",
            ),
            Sender => (
                "mail-sender-refused",
                "the mail server refused the sender",
                "let the mail server's user send as this sender, or change the sender in the mail settings",
            ),
            Relay => (
                "mail-relay-denied",
                "the mail server does not pass e-mails on for this host",
                "log in to the mail server with a user, or have it relay for this host",
            ),
            Quota => (
                "mail-quota-exceeded",
                "the mail server takes no more e-mails from this host for now",
                "wait, or have the mail server's limit raised",
            ),
            Policy => (
                "mail-policy",
                "the mail server does not want this host's e-mails",
                "find out from the mail server's operator what it has against this host, its sender or its e-mails",
            ),
            Server => (
                "mail-server-refused",
                "the mail server does not serve this host now",
                "wait; if this lasts, check that the address and the port are those of a mail server that takes e-mails from this host",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Line;
    use super::Phase::{Hello, Message, Recipient};
    use super::Verdict::Later;
    use super::*;

    fn of(phase: Phase, text: &str) -> Verdict {
        let line = Line::read(text.as_bytes()).unwrap();
        verdict(phase, &Reply::of(vec![line]).unwrap())
    }

    #[test]
    fn what_is_about_the_recipient_or_the_message_is_refused() {
        for (phase, text) in [
            (Recipient, "550 5.1.1 no such user"),
            (Recipient, "550 5.1.10 recipient not found"),
            (Recipient, "550 5.2.1 disabled"),
            (Recipient, "552 5.2.2 mailbox full"),
            (Recipient, "554 5.2.2 mailbox full"),
            (Recipient, "550 5.4.1 recipient address rejected: access denied"),
            (Recipient, "550 5.4.4 domain not found"),
            (Recipient, "550 no such user"),
            (Recipient, "550 5.0.0 no such user"),
            (Recipient, "550 User unknown at relay.example.com"),
            (Recipient, "550"),
            (Recipient, "551 not local"),
            (Recipient, "552 full"),
            (Recipient, "553 no"),
            (Recipient, "556 takes no mail"),
            (Recipient, "501 5.1.3 bad address"),
            (Recipient, "501 what?"),
            (Recipient, "550 5.7.2 not a member"),
            (Recipient, "550 5.7.17 another owner"),
            (Recipient, "550 5.7.124 not allowed to write to the group"),
            (Message, "550 5.7.133 only for insiders"),
            (Message, "550 5.1.1 no such user"),
            (Message, "554 not this one"),
            (Message, "554 5.6.0 what is this?"),
            (Message, "552 too much"),
        ] {
            assert_eq!(of(phase, text), Refused, "{phase:?} {text}");
        }
    }

    #[test]
    fn what_a_server_repeats_of_others_says_nothing_of_this_host() {
        for (text, verdict) in [
            (
                "450 4.2.0 <relaying@x.test>: Recipient address rejected: Greylisted",
                Later,
            ),
            (
                "450 4.7.1 <to.relay@x.test>: Recipient address rejected: Greylisted",
                Later,
            ),
            (
                "450 4.1.1 not verified: host mx.x.test said: 454 Relay access denied",
                Later,
            ),
            ("450 4.1.1 Relay access denied", Later),
            ("550 relaying@x.test unknown", Refused),
            ("550 <relaying denied@x.test> unknown", Refused),
            (
                "554 5.7.1 <a@b>: Recipient address rejected: Access denied",
                Refused,
            ),
        ] {
            assert_eq!(of(Recipient, text), verdict, "{text}");
        }
    }

    #[test]
    fn what_is_about_this_host_refuses_no_e_mail() {
        for (phase, text, trouble) in [
            (Recipient, "554 5.7.1 <a@b>: Relay access denied", Relay),
            (Recipient, "550 5.7.54 unable to relay", Relay),
            (
                Message,
                "550 5.7.64 TenantAttribution; Relay Access Denied",
                Relay,
            ),
            (Recipient, "550 relay not permitted", Relay),
            (Recipient, "550 Relaying denied", Relay),
            (Recipient, "554 no", Relay),
            (Recipient, "571 not authorized", Relay),
            (
                Message,
                "554 5.2.252 SendAsDenied; not allowed to send as",
                Sender,
            ),
            (Message, "550 5.7.60 no permission to send as this sender", Sender),
            (Message, "550 5.7.26 unauthenticated", Sender),
            (Recipient, "550 5.1.8 bad sender", Sender),
            (Recipient, "550 Sender verify failed", Sender),
            (Phase::Sender, "550 not from you", Sender),
            (Phase::Sender, "550 5.1.1 unknown", Sender),
            (Phase::Sender, "553 5.7.1 not owned by user", Sender),
            (Phase::Sender, "550 5.7.0 local policy", Sender),
            (Phase::Sender, "530 5.7.57 not authenticated to send", Login),
            (
                Phase::Sender,
                "530 5.7.0 Must issue a STARTTLS command first",
                Login,
            ),
            (Recipient, "550 5.7.139 authentication unsuccessful", Login),
            (Recipient, "550 authentication required", Login),
            (Recipient, "535 no", Login),
            (
                Recipient,
                "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname",
                HelloName,
            ),
            (Recipient, "504 <vm>: no", HelloName),
            (Recipient, "550 Helo command rejected", HelloName),
            (Phase::Sender, "501 5.5.4 invalid HELO", HelloName),
            (Hello, "504 5.5.2 <vm>: need fully-qualified hostname", HelloName),
            (Hello, "550 bad name", HelloName),
            (Recipient, "550 5.4.5 daily sending quota exceeded", Quota),
            (Message, "550 5.1.90 daily limit for message recipients", Quota),
            (Recipient, "550 5.7.232 external recipient rate limit", Quota),
            (Message, "550 5.7.705 threshold", Quota),
            (Phase::Sender, "552 over quota", Quota),
            (Message, "554 5.7.1 spam", Policy),
            (Recipient, "550 5.7.606 banned address", Policy),
            (Hello, "554 no SMTP service here", Server),
            (Hello, "421 busy", Server),
            (Recipient, "550 5.3.2 shutting down", Server),
            (Recipient, "503 5.5.1 bad sequence", Server),
            (Message, "503 what?", Server),
            (Recipient, "521 no mail here", Server),
            (Phase::Login, "535 5.7.8 bad credentials", Login),
            (Phase::Login, "503 again?", Login),
            (Phase::Login, "454 4.7.0 not now", Server),
        ] {
            assert_eq!(of(phase, text), Us(trouble), "{phase:?} {text}");
        }
    }

    #[test]
    fn what_is_not_now_is_later() {
        for phase in [Phase::Sender, Recipient, Message] {
            for text in [
                "450 greylisted",
                "451 4.7.1 later",
                "421 4.7.0 too many",
                "452 full",
                "432 4.3.2 slow",
                "450 4.7.1 greylisted, try again",
            ] {
                assert_eq!(of(phase, text), Later, "{phase:?} {text}");
            }
        }
        for (text, trouble) in [
            ("454 4.7.1 <a@b>: Relay access denied", Relay),
            ("450 4.7.1 <vm>: Helo command rejected: Host not found", HelloName),
        ] {
            assert_eq!(of(Recipient, text), Us(trouble), "{text}");
        }
    }

    #[test]
    fn every_row_counts_for_something() {
        // A row behind one that covers it would say nothing.
        for (at, (subject, details, _)) in BY_ENHANCED.iter().enumerate() {
            let is_covered = BY_ENHANCED[..at].iter().any(|(before, of_before, _)| {
                before == subject && of_before.contains(details.start()) && of_before.contains(details.end())
            });
            assert!(!is_covered, "5.{subject}.{details:?}");
        }
        let subjects: Vec<u16> = BY_ENHANCED.iter().map(|(subject, ..)| *subject).collect();
        assert!((1..=7).all(|subject| subjects.contains(&subject)));
        assert!(
            BY_PHRASE
                .iter()
                .all(|(phrase, _)| *phrase == phrase.to_lowercase())
        );
    }
}

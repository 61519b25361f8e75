//! The e-mail about alerts to an operator: plain text, a paragraph for each alert.

use std::sync::Arc;

use bss_model::clock::rfc3339;
use bss_model::{Alert, MailSettings, with_causes};
use bss_record::RecordError;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::letter::{self, ComposeError, Letter};
use super::text::one_line;
use super::{Mailer, close};
use crate::host::Host;

/// The kinds of alerts that a subject names.
const KINDS_IN_SUBJECT: usize = 3;

impl Host {
    /// Whether e-mails about alerts can be sent: there are mail settings, and nothing is known to be in the way. A login that is
    /// refused is not tried for them.
    pub(crate) async fn may_mail_alerts(&self) -> Result<bool, RecordError> {
        let record = self.record();
        Ok(record.mail_settings().await?.is_some() && record.mail_stop().await?.is_none())
    }

    /// Mails alerts to each address. Told is who was told: an error, in words, where nobody was.
    pub(crate) async fn mail_alerts_to(
        &self,
        addresses: &[String],
        alerts: Vec<Alert>,
    ) -> Result<Result<(), String>, RecordError> {
        let Some(settings) = self.record().mail_settings().await? else {
            return Ok(Err("this host has no mail settings".to_owned()));
        };
        let mailer = Mailer::prepare(self, settings).await;
        let (subject, text) = (subject(&alerts), text(&alerts));
        let mut connection = None;
        let mut told = Err("there is no address".to_owned());
        for address in addresses {
            let sent = match compose(&mailer.settings, address, &subject, &text) {
                Ok(letter) => mailer
                    .deliver(&mut connection, &Arc::new(letter))
                    .await
                    .map_err(|failure| failure.problem().message.clone()),
                Err(error) => Err(with_causes(&error)),
            };
            match sent {
                Ok(()) => told = Ok(()),
                Err(why) => {
                    tracing::warn!(%address, "the e-mail about alerts was not sent: {why}");
                    told = told.or(Err(why));
                }
            }
        }
        close(connection).await;
        Ok(told)
    }
}

fn compose(
    settings: &MailSettings,
    address: &str,
    subject: &str,
    text: &str,
) -> Result<Letter, ComposeError> {
    let name = format!("alerts-{}", Uuid::new_v4());
    let message_id = format!("<{name}@{}>", letter::sender_domain(settings)?);
    let (from, to) = (letter::sender(&settings.from)?, letter::recipient(address)?);
    let message = letter::headers(from, Mailbox::new(None, to), subject.to_owned(), message_id)
        .header(ContentType::TEXT_PLAIN)
        .body(text.to_owned())?;
    Ok(Letter {
        name,
        envelope: message.envelope().clone(),
        bytes: Zeroizing::new(message.formatted()),
        problem: None,
    })
}

fn subject(alerts: &[Alert]) -> String {
    let mut kinds: Vec<String> = alerts.iter().map(|alert| alert.kind.to_string()).collect();
    kinds.dedup();
    let more = kinds.len() > KINDS_IN_SUBJECT;
    kinds.truncate(KINDS_IN_SUBJECT);
    let count = match alerts.len() {
        1 => "Alert".to_owned(),
        many => format!("{many} alerts"),
    };
    format!("{count}: {}{}", kinds.join(", "), if more { ", …" } else { "" })
}

fn text(alerts: &[Alert]) -> String {
    let told: Vec<String> = alerts.iter().map(paragraph).collect();
    format!(
        "{}\n\nEach alert is open until what is wrong is over, or somebody acknowledges it by its number.\n",
        told.join("\n\n")
    )
}

/// All that is known of an alert, a line for each thing.
fn paragraph(alert: &Alert) -> String {
    let mut lines = vec![format!(
        "Alert {}, {}: {}",
        alert.number,
        rfc3339(alert.raised_at_ms),
        alert.kind
    )];
    let mut add = |what: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {what}: {}", one_line(value)));
        }
    };
    if let Some(instance) = &alert.instance {
        add("instance", &instance.name);
    }
    if let Some(license) = &alert.license {
        add(
            "customer",
            &format!("{} ({})", license.customer.name, license.customer.id),
        );
        add("product", &license.product_code);
        add("order", &license.order_id.to_string());
        add("asset", &license.asset_id.to_string());
    }
    if let Some(mail) = alert.mail_id {
        add("e-mail", &mail.to_string());
    }
    if let Some(webhook) = alert.webhook_id {
        add("webhook", &webhook.to_string());
    }
    if let Some(problem) = &alert.problem {
        add("reason", &format!("{} ({})", problem.message, problem.code));
        add("what to do", &problem.advice);
    }
    lines.join("\n")
}

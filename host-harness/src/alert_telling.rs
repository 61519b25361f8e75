//! Tells alerts to whoever has to act on them: the operator's addresses by e-mail, and the listener of a worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bss_model::clock::{millis, now_ms};
use bss_model::{Actor, AlertChannel, Diagnose, Diagnosis, ErrorKind, is_mailable};
use bss_record::{AlertNotice, RecordError};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::backoff;
use crate::expiring_certificates::CERTIFICATES_LOOK;
use crate::host::Host;
use crate::own_task::until_stopped;
use crate::view;

/// The interval in which the record is asked for alerts that are to be told.
const LOOK: Duration = Duration::from_secs(2);

/// The least time between two e-mails about alerts: a storm of failures is one e-mail and then another, not hundreds.
const BETWEEN_MAILS: Duration = Duration::from_secs(60);

/// The pause after the first time that an alert could not be told; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The most e-mail addresses to which alerts go.
const ADDRESSES_MAX: usize = 20;

/// A listener for alerts, such as one that runs a command. Gets each open alert once, and again where it fails: where its error,
/// in words, is logged and the alert comes back later, or where the process dies before it has returned.
#[derive(Clone)]
pub struct AlertListener(Arc<Listen>);

type Listen = dyn Fn(view::Alert) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

impl AlertListener {
    /// Makes a listener of a function.
    pub fn new<F, T>(listen: F) -> Self
    where
        F: Fn(view::Alert) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self(Arc::new(move |alert| Box::pin(listen(alert))))
    }
}

impl fmt::Debug for AlertListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlertListener")
    }
}

/// Why e-mail addresses for alerts are not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlertAddressesError {
    /// An address is none that can be mailed to.
    #[error("`{0}` is not an e-mail address that can be mailed to")]
    Address(String),
    /// There are too many addresses.
    #[error("alerts go to at most {ADDRESSES_MAX} e-mail addresses")]
    TooMany,
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for AlertAddressesError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Address(_) | Self::TooMany => Diagnosis::new(ErrorKind::Invalid, "alert-address-invalid")
                .say("give plain addresses, as in `operations@shop.example`; a mailing list has room for many people"),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Host {
    /// The e-mail addresses to which alerts go. Empty: none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn alert_addresses(&self) -> Result<Vec<String>, RecordError> {
        self.record().alert_addresses().await
    }

    /// Sets the e-mail addresses to which alerts go, by the mail settings that customers' e-mails go by. Empty: alerts are not
    /// mailed.
    ///
    /// # Errors
    /// When an address can't be mailed to, or there are too many. Nothing is changed then.
    pub async fn set_alert_addresses(
        &self,
        emails: &[String],
        actor: &Actor,
    ) -> Result<(), AlertAddressesError> {
        if emails.len() > ADDRESSES_MAX {
            return Err(AlertAddressesError::TooMany);
        }
        if let Some(wrong) = emails.iter().find(|email| !is_mailable(email)) {
            return Err(AlertAddressesError::Address(wrong.clone()));
        }
        Ok(self.record().save_alert_addresses(emails, actor).await?)
    }

    /// Tells alerts until it is told to stop, and looks for certificates that end soon.
    pub(crate) async fn keep_telling(
        self,
        listener: Option<AlertListener>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let mut certificates = tokio::time::interval(CERTIFICATES_LOOK);
        loop {
            tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => return Ok(()),
                _ = certificates.tick() => self.follow_expiring_certificates().await?,
                () = tokio::time::sleep(LOOK) => {}
            }
            self.tell_alerts(listener.as_ref(), &mut stopped).await?;
        }
    }

    /// Tells the alerts that are to be told now, the listener first: what is in the way of e-mails is told by it alone.
    pub(crate) async fn tell_alerts(
        &self,
        listener: Option<&AlertListener>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        if let Some(listener) = listener {
            self.tell_listener(listener, stopped).await?;
        }
        tokio::select! {
            biased;
            // A server that is silent is not waited for; the alerts are taken again when their time is over.
            () = until_stopped(stopped) => Ok(()),
            mailed = self.mail_alerts() => mailed,
        }
    }

    async fn tell_listener(
        &self,
        listener: &AlertListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let channel = AlertChannel::Listener;
        let notices = self.record().take_alerts_to_tell(channel).await?;
        for (told, notice) in notices.iter().enumerate() {
            if *stopped.borrow() {
                let rest = notices.get(told..).unwrap_or_default();
                return self.record().put_off_alerts(channel, rest, now_ms()).await;
            }
            let told = (listener.0)(view::Alert::from(&notice.alert)).await;
            self.write_down(channel, std::slice::from_ref(notice), told)
                .await?;
        }
        Ok(())
    }

    async fn mail_alerts(&self) -> Result<(), RecordError> {
        let (record, channel) = (self.record(), AlertChannel::Mail);
        let addresses = record.alert_addresses().await?;
        if addresses.is_empty() || !self.may_mail_alerts().await? {
            return Ok(());
        }
        let told_at_ms = record.alerts_told_at_ms(channel).await?;
        if told_at_ms.is_some_and(|told_at_ms| is_just_now(told_at_ms, now_ms())) {
            return Ok(());
        }
        let notices = record.take_alerts_to_tell(channel).await?;
        if notices.is_empty() {
            return Ok(());
        }
        let alerts: Vec<_> = notices.iter().map(|notice| notice.alert.clone()).collect();
        let told = self.mail_alerts_to(&addresses, alerts).await?;
        self.write_down(channel, &notices, told).await
    }

    async fn write_down(
        &self,
        channel: AlertChannel,
        notices: &[AlertNotice],
        told: Result<(), String>,
    ) -> Result<(), RecordError> {
        let Err(why) = told else {
            return self.record().finish_alerts(channel, notices).await;
        };
        let tries = notices.iter().map(|notice| notice.tries).max().unwrap_or(1);
        let pause = backoff::pause(FIRST_PAUSE, LONGEST_PAUSE, tries);
        tracing::warn!(
            alerts = notices.len(),
            by = %channel,
            pause_s = pause.as_secs(),
            "alerts could not be told, and are told again later: {why}"
        );
        let next_try_at_ms = now_ms().saturating_add(millis(pause));
        self.record()
            .put_off_alerts(channel, notices, next_try_at_ms)
            .await
    }
}

/// Whether an e-mail about alerts went out so recently that the next one waits. A clock that was put back makes none wait.
fn is_just_now(told_at_ms: i64, now_ms: i64) -> bool {
    (told_at_ms..told_at_ms.saturating_add(millis(BETWEEN_MAILS))).contains(&now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_waits_a_minute_after_the_last_one_and_not_for_a_clock_that_was_put_back() {
        assert!(is_just_now(1_000, 1_000));
        assert!(is_just_now(1_000, 60_999));
        assert!(!is_just_now(1_000, 61_000));
        assert!(!is_just_now(1_000, 999));
    }
}

//! Tells alerts to whoever has to act on them: the operator's addresses by e-mail, and the listener of a worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bss_model::clock::millis;
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

/// The most alerts in an e-mail.
const ALERTS_PER_MAIL: u32 = 100;

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

    /// Tells alerts until it is told to stop, and looks for certificates that end soon. A slow listener keeps no e-mail waiting,
    /// nor a slow mail server the listener.
    pub(crate) async fn keep_telling(
        self,
        listener: Option<AlertListener>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let (mut of_listener, mut of_mail) = (stopped.clone(), stopped.clone());
        let listening = async {
            let Some(listener) = &listener else {
                return Ok(());
            };
            while !is_stopped(&of_listener) {
                self.tell_listener(listener, &of_listener).await?;
                pause(&mut of_listener).await;
            }
            Ok(())
        };
        let mailing = async {
            while !is_stopped(&of_mail) {
                self.tell_by_mail(&mut of_mail).await?;
                pause(&mut of_mail).await;
            }
            Ok(())
        };
        tokio::try_join!(self.keep_following_certificates(stopped), listening, mailing)?;
        Ok(())
    }

    async fn keep_following_certificates(
        &self,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let mut certificates = tokio::time::interval(CERTIFICATES_LOOK);
        loop {
            tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => return Ok(()),
                _ = certificates.tick() => self.follow_expiring_certificates().await?,
            }
        }
    }

    /// Tells the alerts that are to be told now: the listener, and by e-mail.
    pub(crate) async fn tell_alerts(
        &self,
        listener: Option<&AlertListener>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let of_listener = stopped.clone();
        let listening = async {
            match listener {
                Some(listener) => self.tell_listener(listener, &of_listener).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(listening, self.tell_by_mail(stopped))?;
        Ok(())
    }

    /// Tells a listener what it is to be told now, one alert after the other: a worker has none longer than it needs to tell it.
    async fn tell_listener(
        &self,
        listener: &AlertListener,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let channel = AlertChannel::Listener;
        while !is_stopped(stopped) {
            let notices = self.record().take_alerts_to_tell(channel, 1).await?;
            let Some(notice) = notices.first() else {
                return Ok(());
            };
            let told = (listener.0)(view::Alert::from(&notice.alert)).await;
            self.write_down(channel, &notices, told).await?;
        }
        Ok(())
    }

    async fn tell_by_mail(&self, stopped: &mut watch::Receiver<bool>) -> Result<(), RecordError> {
        tokio::select! {
            biased;
            // A server that is silent is not waited for; the alerts are taken again when their time is over.
            () = until_stopped(stopped) => Ok(()),
            mailed = self.mail_alerts() => mailed,
        }
    }

    async fn mail_alerts(&self) -> Result<(), RecordError> {
        let (record, channel) = (self.record(), AlertChannel::Mail);
        let addresses = record.alert_addresses().await?;
        if addresses.is_empty() || !self.may_mail_alerts().await? {
            return Ok(());
        }
        let told_at_ms = record.alerts_told_at_ms(channel).await?;
        // A server that refuses one e-mail about alerts is not tried for the next one either.
        let rest_until_ms = record.alerts_rest_until_ms(channel).await?;
        if is_rest(told_at_ms, rest_until_ms, record.now_ms()) {
            return Ok(());
        }
        let notices = record.take_alerts_to_tell(channel, ALERTS_PER_MAIL).await?;
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
        let next_try_at_ms = self.record().now_ms().saturating_add(millis(pause));
        self.record()
            .put_off_alerts(channel, notices, next_try_at_ms)
            .await
    }
}

fn is_stopped(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow()
}

/// Waits for the next look, or for the end.
async fn pause(stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        biased;
        () = until_stopped(stopped) => {}
        () = tokio::time::sleep(LOOK) => {}
    }
}

/// Whether the next e-mail about alerts waits: one went out just now, or could not be sent. A clock that was put back makes none
/// wait longer than the longest pause.
fn is_rest(told_at_ms: Option<i64>, rest_until_ms: Option<i64>, now_ms: i64) -> bool {
    let is_just_told = told_at_ms.is_some_and(|told_at_ms| {
        (told_at_ms..told_at_ms.saturating_add(millis(BETWEEN_MAILS))).contains(&now_ms)
    });
    let is_put_off = rest_until_ms.is_some_and(|until_ms| {
        (until_ms.saturating_sub(millis(2 * LONGEST_PAUSE))..until_ms).contains(&now_ms)
    });
    is_just_told || is_put_off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_waits_a_minute_after_the_last_one_and_not_for_a_clock_that_was_put_back() {
        let is_just_told = |now_ms| is_rest(Some(1_000), None, now_ms);
        assert!(is_just_told(1_000));
        assert!(is_just_told(60_999));
        assert!(!is_just_told(61_000));
        assert!(!is_just_told(999));
        assert!(!is_rest(None, None, 0));
    }

    #[test]
    fn after_an_e_mail_that_was_not_sent_the_next_one_waits_for_its_pause_to_be_over() {
        let hour = millis(LONGEST_PAUSE);
        let until = Some(3 * hour);
        assert!(is_rest(None, until, 3 * hour - 1));
        assert!(is_rest(None, until, hour));
        assert!(!is_rest(None, until, 3 * hour));
        assert!(!is_rest(None, until, hour - 1), "the clock was put back");
    }
}

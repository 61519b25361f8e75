//! E-mail where the feature `mail` is off: none is sent, and they wait on record.

use bss_model::Alert;
use bss_record::RecordError;
use tokio::sync::watch;
use uuid::Uuid;

use crate::host::Host;
use crate::own_task::until_stopped;

/// Counts of the e-mails that a worker took in one go: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailRound(());

impl Host {
    /// Takes no e-mail.
    pub(crate) async fn send_mails(&self, _worker_id: Uuid, _limit: u32) -> Result<MailRound, RecordError> {
        Ok(MailRound::default())
    }

    /// Whether e-mails about alerts can be sent: never.
    pub(crate) async fn may_mail_alerts(&self) -> Result<bool, RecordError> {
        Ok(false)
    }

    /// Mails nothing.
    pub(crate) async fn mail_alerts_to(
        &self,
        _addresses: &[String],
        _alerts: Vec<Alert>,
    ) -> Result<Result<(), String>, RecordError> {
        Ok(Err("this host sends no e-mails".to_owned()))
    }

    /// Waits until it is told to stop.
    pub(crate) async fn keep_sending(
        &self,
        _worker_id: Uuid,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        until_stopped(&mut stopped).await;
        Ok(())
    }
}

//! E-mail: takes what the outbox holds, composes it, and hands it to a mail server or a directory.
//!
//! Each e-mail is handed over once: two workers never have the same one, and what was handed over is written down
//! at once. One case is beyond SMTP: when the host, or the connection, dies between the server's taking a message
//! and the record's learning of it, the message is sent again. It then has the same Message-ID. A directory has no
//! such case, unless the file is taken away in that moment.

mod context;
mod directory;
mod letter;
mod reply_by_reply;
mod settings;
mod smtp;
mod templates;
mod text;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bss_model::clock::{millis, now_ms};
use bss_model::{
    Actor, Advice, Contact, Diagnose, Diagnosis, ErrorKind, MailDelivery, MailOutcome, MailSettings,
    MailToSend, Problem,
};
use bss_record::{Record, RecordError};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::letter::Letter;
use self::smtp::{Connection, Smtp, SmtpFailure};
use crate::backoff;
use crate::blocking::run_blocking;
use crate::call_failure::said;
use crate::host::Host;

pub use letter::ComposeError;
pub use settings::{MailSettingsError, UrlError, server_from_url};
pub use templates::{TemplateError, write_templates};

/// Connections to the mail server at once. Common servers let one client have some ten; a message takes a few
/// round trips of waiting, so that four are about four times as fast as one.
const CONNECTIONS: usize = 4;

/// The number of times an outcome is offered to the record, which waits half a minute each time. An outcome that
/// can't be written down would have the e-mail sent again.
const RECORD_ATTEMPTS: u32 = 3;

/// The pause after the first time that an e-mail could not be handed over; it doubles from then on. Servers that
/// greylist let a sender in after minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The advice for an e-mail that waits because of the settings.
const CORRECT_SETTINGS: &str = "correct the mail settings";

/// Counts of the e-mails that a worker took in one go, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailRound {
    /// Handed over.
    pub sent: u32,
    /// To be tried again later.
    pub later: u32,
    /// Refused for good.
    pub refused: u32,
}

/// Why a test e-mail was not handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestMailError {
    /// No mail settings were saved.
    #[error("this host has no mail settings")]
    NotConfigured,
    /// The e-mail can't be composed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The e-mail was not handed over.
    #[error("the test e-mail was not sent: {}", .0.message)]
    Delivery(Problem),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for TestMailError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NotConfigured => {
                Diagnosis::new(ErrorKind::Conflict, "no-mail-settings").advise(Advice::ConfigureMail)
            }
            Self::Compose(error) => error.diagnosis(),
            Self::Delivery(problem) => said(ErrorKind::Unavailable, &problem.code, &problem.advice),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Host {
    /// Checks mail settings and saves them in place of the former ones. Sends nothing; [`Host::send_test_mail`] does.
    ///
    /// # Errors
    /// When the settings can't work: see [`MailSettingsError`]. Nothing is changed then.
    pub async fn configure_mail(
        &self,
        settings: MailSettings,
        actor: &Actor,
    ) -> Result<(), MailSettingsError> {
        let checked = settings.clone();
        run_blocking(move || settings::check(&checked)).await?;
        Ok(self.record().save_mail_settings(&settings, actor).await?)
    }

    /// Takes up to `limit` e-mails that are due for a worker and sends them, several at once. Each outcome is on
    /// record when this returns. Without mail settings nothing is taken, and e-mails wait.
    ///
    /// A mail server that is silent can hold this up for ten minutes: nothing else should wait for it. Where this
    /// is dropped half-way, what was taken is free again when the worker has ended.
    ///
    /// # Errors
    /// When the record can't be read or written. An outcome that could not be written down stays the worker's until it
    /// ends.
    pub async fn send_mails(&self, worker_id: Uuid, limit: u32) -> Result<MailRound, RecordError> {
        let Some(settings) = self.record().mail_settings().await? else {
            return Ok(MailRound::default());
        };
        let mails = self.record().take_mails(worker_id, limit).await?;
        if mails.is_empty() {
            return Ok(MailRound::default());
        }
        let senders = CONNECTIONS.min(mails.len());
        let round = Arc::new(Round {
            record: self.record().clone(),
            worker_id,
            mailer: Mailer::prepare(settings).await,
            queue: Mutex::new(mails.into()),
            unreachable: OnceLock::new(),
        });
        let mut tasks: JoinSet<Result<MailRound, RecordError>> =
            (0..senders).map(|_| Arc::clone(&round).send_all()).collect();
        let mut total = MailRound::default();
        let mut failed = None;
        // Wait for every sender, so that one that fails cuts no other's message off.
        while let Some(joined) = tasks.join_next().await {
            match joined {
                Ok(Ok(done)) => {
                    total.sent += done.sent;
                    total.later += done.later;
                    total.refused += done.refused;
                }
                Ok(Err(error)) => failed = Some(error),
                Err(error) => {
                    tracing::error!(%error, "a task that sends e-mails ended early");
                    failed = Some(RecordError::TaskEnded);
                }
            }
        }
        failed.map_or(Ok(total), Err)
    }

    /// Sends an e-mail that looks like the one about a license, with a key that is not a real one, past the outbox.
    ///
    /// # Errors
    /// When there are no settings, and when it was not handed over.
    pub async fn send_test_mail(&self, contact: &Contact) -> Result<(), TestMailError> {
        let settings = self.record().mail_settings().await?;
        let settings = settings.ok_or(TestMailError::NotConfigured)?;
        let (own, contact) = (settings.clone(), contact.clone());
        let letter = run_blocking(move || letter::compose_test(&own, &contact)).await?;
        let mailer = Mailer::prepare(settings).await;
        let mut connection = None;
        let delivered = mailer.deliver(&mut connection, &Arc::new(letter)).await;
        close(connection).await;
        delivered.map_err(|failure| TestMailError::Delivery(failure.problem().clone()))
    }
}

/// Checks that the templates of a directory can be filled in; see [`write_templates`]. Returns their languages.
///
/// # Errors
/// When there are none, one is missing, or one can't be filled in.
pub async fn check_templates(directory: PathBuf) -> Result<Vec<String>, TemplateError> {
    run_blocking(move || templates::check(&directory)).await
}

/// E-mails that were taken together and are being sent.
struct Round {
    record: Record,
    worker_id: Uuid,
    mailer: Mailer,
    queue: Mutex<VecDeque<MailToSend>>,
    /// The reason why no e-mail can be sent now, once it is known.
    unreachable: OnceLock<Problem>,
}

impl Round {
    /// Sends one mail after the other on one connection, until none is left.
    async fn send_all(self: Arc<Self>) -> Result<MailRound, RecordError> {
        let mut done = MailRound::default();
        let mut connection = None;
        while let Some(mail) = self.next() {
            let outcome = match self.unreachable.get() {
                Some(problem) => MailOutcome::Later(problem.clone()),
                None => match self.send(&mail, &mut connection).await? {
                    Some(outcome) => outcome,
                    None => continue,
                },
            };
            match &outcome {
                MailOutcome::Sent(_) => done.sent += 1,
                MailOutcome::Later(_) => done.later += 1,
                MailOutcome::Refused(_) => done.refused += 1,
            }
            self.finish(&mail, outcome).await?;
        }
        close(connection).await;
        Ok(done)
    }

    fn next(&self) -> Option<MailToSend> {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Composes an e-mail and hands it over. `None`: it is not to be sent any more.
    async fn send(
        &self,
        mail: &MailToSend,
        connection: &mut Connection,
    ) -> Result<Option<MailOutcome>, RecordError> {
        let domain = match letter::sender_domain(&self.mailer.settings) {
            Ok(domain) => domain,
            Err(error) => return Ok(Some(not_composed(&error))),
        };
        let begun = self.record.begin_mail(self.worker_id, mail.id, &domain).await?;
        let Some(domain) = begun else { return Ok(None) };
        let (settings, owned) = (Arc::clone(&self.mailer.settings), mail.clone());
        let letter = match run_blocking(move || letter::compose(&settings, &owned, &domain)).await {
            Ok(letter) => Arc::new(letter),
            Err(error) => return Ok(Some(not_composed(&error))),
        };
        let Err(failure) = self.mailer.deliver(connection, &letter).await else {
            return Ok(Some(MailOutcome::Sent(letter.problem.clone())));
        };
        tracing::warn!(mail = %mail.id, "the e-mail was not sent: {}", failure.problem().message);
        Ok(Some(match failure {
            SmtpFailure::Unreachable(problem) => {
                MailOutcome::Later(self.unreachable.get_or_init(|| problem).clone())
            }
            SmtpFailure::Later(problem) => MailOutcome::Later(problem),
            SmtpFailure::Refused(problem) => MailOutcome::Refused(problem),
        }))
    }

    async fn finish(&self, mail: &MailToSend, outcome: MailOutcome) -> Result<(), RecordError> {
        let due_at_ms = due_at_ms(now_ms(), mail.attempts);
        let mut attempts = 1;
        loop {
            let finished = self
                .record
                .finish_mail(self.worker_id, mail, outcome.clone(), due_at_ms);
            match finished.await {
                Err(error) if attempts < RECORD_ATTEMPTS => {
                    tracing::warn!(mail = %mail.id, %error, "the outcome of this e-mail can't be recorded yet");
                    attempts += 1;
                }
                result => return result,
            }
        }
    }
}

/// The outcome of an e-mail that can't be composed.
fn not_composed(error: &ComposeError) -> MailOutcome {
    let problem = |code: &str, advice: &str| Problem::new(code, error.to_string(), advice);
    match error {
        ComposeError::Recipient(_) => MailOutcome::Refused(problem(
            "address-unusable",
            "give the customer the license in another way",
        )),
        _ => MailOutcome::Later(problem("mail-not-composed", CORRECT_SETTINGS)),
    }
}

/// The destination of e-mails, made ready for several of them.
struct Mailer {
    settings: Arc<MailSettings>,
    delivery: Delivery,
}

enum Delivery {
    Smtp(Box<Smtp>),
    Directory(PathBuf),
    /// Settings that worked when they were saved and do not any more.
    None(Problem),
}

impl Mailer {
    async fn prepare(settings: MailSettings) -> Self {
        let settings = Arc::new(settings);
        let delivery = match &settings.delivery {
            MailDelivery::Directory(directory) => Delivery::Directory(directory.clone()),
            MailDelivery::Smtp(server) => {
                let server = server.clone();
                // Setting up TLS reads the system's authorities from the disk.
                match run_blocking(move || Smtp::new(&server)).await {
                    Ok(smtp) => Delivery::Smtp(Box::new(smtp)),
                    Err(error) => Delivery::None(not_set_up("tls-setup", &error)),
                }
            }
        };
        Self { settings, delivery }
    }

    async fn deliver(&self, connection: &mut Connection, letter: &Arc<Letter>) -> Result<(), SmtpFailure> {
        match &self.delivery {
            Delivery::Smtp(smtp) => smtp.deliver(connection, letter).await,
            Delivery::Directory(directory) => {
                let (directory, letter) = (directory.clone(), Arc::clone(letter));
                let shown = directory.display().to_string();
                run_blocking(move || directory::deliver(&directory, &letter))
                    .await
                    .map_err(|error| {
                        let mut problem = not_set_up("mail-directory", &error);
                        problem.message = format!("mail directory `{shown}` can't be written: {error}");
                        SmtpFailure::Unreachable(problem)
                    })
            }
            Delivery::None(problem) => Err(SmtpFailure::Unreachable(problem.clone())),
        }
    }
}

fn not_set_up(code: &str, error: &dyn std::error::Error) -> Problem {
    let message = format!("e-mail can't be sent with the mail settings: {error}");
    Problem::new(code, message, CORRECT_SETTINGS)
}

/// Ends the session with QUIT, as RFC 5321 section 4.1.1.10 asks for.
async fn close(connection: Connection) {
    if let Some(mut open) = connection {
        let _ = open.quit().await;
    }
}

/// The time at which an e-mail that could not be handed over is due again, in milliseconds since 1970.
fn due_at_ms(now_ms: i64, attempts: u32) -> i64 {
    now_ms.saturating_add(millis(backoff::pause(FIRST_PAUSE, LONGEST_PAUSE, attempts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_that_is_not_taken_waits_half_a_minute_at_first_and_an_hour_to_two_in_the_end() {
        for (attempts, least_s, most_s) in [(1, 30, 60), (2, 60, 120), (3, 120, 240), (100, 3_600, 7_200)] {
            let wait_s = due_at_ms(0, attempts) / 1_000;
            assert!((least_s..=most_s).contains(&wait_s), "{attempts}: {wait_s} s");
        }
    }
}

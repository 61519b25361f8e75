//! E-mail: takes what the outbox holds, composes it, and hands it to a mail server or a directory.
//!
//! Each e-mail is handed over once: two workers never have the same one, and what was handed over is written down
//! at once. One case is beyond SMTP: when the host, or the connection, dies between the server's taking a message
//! and the record's learning of it, the message is sent again. It then has the same Message-ID. A directory has no
//! such case, unless the file is taken away in that moment.

mod access_token;
mod alert_mail;
mod change;
mod context;
mod directory;
mod letter;
mod long_date;
mod preview;
mod settings;
mod smtp;
mod templates;
mod text;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{
    AccessTokenLogin, Actor, Advice, Contact, Diagnose, Diagnosis, ErrorKind, MailDelivery, MailOutcome,
    MailSettings, MailToSend, Problem, SmtpServer, with_causes,
};
use bss_record::{Record, RecordError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::access_token::AccessTokens;
use self::letter::Letter;
use self::smtp::{Connection, Login, Smtp, SmtpFailure};
use crate::backoff;
use crate::blocking::run_blocking;
use crate::call_failure::said;
use crate::host::Host;
use crate::own_task::until_stopped;

pub use change::{MailChange, MailChangeError};
pub use letter::ComposeError;
pub use preview::{MailPreview, PreviewMailError};
pub use settings::{MailSettingsError, UrlError, server_from_url};
pub use smtp::TlsSetupError;
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

/// The longest pause, or up to twice that, before one e-mail finds out whether what stops all of them is gone. A login that
/// is refused so seldom locks no account.
const LONGEST_STOP: Duration = Duration::from_secs(30 * 60);

/// The e-mails that are taken at once; a mail server takes them one after the other anyway.
const MAILS_AT_ONCE: u32 = 32;

/// The interval in which the record is asked for e-mails.
const LOOK: Duration = Duration::from_millis(250);

/// The advice for an e-mail that waits because of the settings.
const CORRECT_SETTINGS: &str = "correct the mail settings";

/// The advice for an e-mail that can't be written at all.
const ANOTHER_WAY: &str = "give the customer the license in another way";

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
    /// record when this returns. Without mail settings nothing is taken, and e-mails wait; so they do while something is in
    /// the way of all of them ([`Record::mail_stop`]), but for one at a time that finds out whether it still is.
    ///
    /// A mail server that is silent after a message can hold this up for ten minutes: nothing else should wait for it.
    /// Where this is dropped half-way, what was taken is free again when the worker has ended.
    ///
    /// # Errors
    /// When the record can't be read or written. An outcome that could not be written down stays the worker's until it
    /// ends.
    pub async fn send_mails(&self, worker_id: Uuid, limit: u32) -> Result<MailRound, RecordError> {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let (_never, stopped) = watch::channel(false);
        self.send_round(worker_id, limit, connections, stopped).await
    }

    /// Sends e-mails for a worker until it is told to stop, and ends when those that are under way have ended. A connection
    /// whose server is silent holds up no e-mail but its own, as long as there is another connection.
    pub(crate) async fn keep_sending(
        &self,
        worker_id: Uuid,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), RecordError> {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let mut rounds = JoinSet::new();
        let of_round =
            |joined: Result<Result<MailRound, RecordError>, _>| joined.unwrap_or(Err(RecordError::TaskEnded));
        let mut failed = None;
        loop {
            // The rounds that have not ended have a silent server, or one that is at work.
            if rounds.len() < CONNECTIONS {
                let (host, connections) = (self.clone(), Arc::clone(&connections));
                let stopped = stopped.clone();
                rounds.spawn(async move {
                    host.send_round(worker_id, MAILS_AT_ONCE, connections, stopped)
                        .await
                });
            }
            let look = tokio::time::sleep(LOOK);
            tokio::pin!(look);
            let is_stopped = loop {
                tokio::select! {
                    biased;
                    () = until_stopped(&mut stopped) => break true,
                    () = &mut look => break false,
                    Some(ended) = rounds.join_next() => {
                        match of_round(ended) {
                            Ok(round) if round == MailRound::default() => {}
                            Ok(_) => break false,
                            Err(error) => {
                                failed = Some(error);
                                break true;
                            }
                        }
                    }
                }
            };
            if is_stopped {
                break;
            }
        }
        // Wait for every round, so that one that fails cuts no other's message off.
        while let Some(ended) = rounds.join_next().await {
            if let Err(error) = of_round(ended) {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn send_round(
        &self,
        worker_id: Uuid,
        limit: u32,
        connections: Arc<Semaphore>,
        stopped: watch::Receiver<bool>,
    ) -> Result<MailRound, RecordError> {
        // Nothing is taken that would only wait for a connection. The settings are those of the time after the wait.
        let Ok(first) = Arc::clone(&connections).acquire_owned().await else {
            return Ok(MailRound::default());
        };
        let Some(settings) = self.record().mail_settings().await? else {
            return Ok(MailRound::default());
        };
        let mails = self.record().take_mails(worker_id, limit).await?;
        if mails.is_empty() {
            return Ok(MailRound::default());
        }
        let others = mails.len().saturating_sub(1).min(CONNECTIONS - 1);
        let round = Arc::new(Round {
            record: self.record().clone(),
            worker_id,
            mailer: Mailer::prepare(self, settings).await,
            queue: Mutex::new(mails.into()),
            in_the_way: OnceLock::new(),
            stopped,
        });
        let free = (0..others).map_while(|_| Arc::clone(&connections).try_acquire_owned().ok());
        let permits: Vec<OwnedSemaphorePermit> = std::iter::once(first).chain(free).collect();
        let mut tasks: JoinSet<Result<MailRound, RecordError>> = permits
            .into_iter()
            .map(|permit| Arc::clone(&round).send_all(permit))
            .collect();
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

    /// Sends an e-mail that looks like the one about a license, with a key that is not a real one, past the outbox. Where it
    /// is taken, what stopped all e-mails is taken for gone, and they are sent at once.
    ///
    /// # Errors
    /// When there are no settings, and when it was not handed over.
    pub async fn send_test_mail(&self, contact: &Contact) -> Result<(), TestMailError> {
        let settings = self.record().mail_settings().await?;
        let settings = settings.ok_or(TestMailError::NotConfigured)?;
        let (own, contact) = (settings.clone(), contact.clone());
        let letter = run_blocking(move || letter::compose_test(&own, &contact)).await?;
        let mailer = Mailer::prepare(self, settings).await;
        let mut connection = None;
        let delivered = mailer.deliver(&mut connection, &Arc::new(letter)).await;
        let resumed = match &delivered {
            Ok(()) => self.record().resume_mails().await,
            Err(_) => Ok(()),
        };
        close(connection).await;
        delivered.map_err(|failure| TestMailError::Delivery(failure.problem().clone()))?;
        Ok(resumed?)
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
    in_the_way: OnceLock<Problem>,
    /// Whether no other e-mail is to be begun.
    stopped: watch::Receiver<bool>,
}

impl Round {
    /// Sends one mail after the other on one connection, until none is left.
    async fn send_all(self: Arc<Self>, _permit: OwnedSemaphorePermit) -> Result<MailRound, RecordError> {
        let mut done = MailRound::default();
        let mut connection = None;
        while let Some(mut mail) = self.next() {
            let outcome = match self.in_the_way.get() {
                Some(problem) => Some(MailOutcome::Waits(problem.clone())),
                None => self.send(&mut mail, &mut connection).await?,
            };
            match &outcome {
                None => {}
                Some(MailOutcome::Sent(_)) => done.sent += 1,
                Some(MailOutcome::Later(_) | MailOutcome::Waits(_)) => done.later += 1,
                Some(MailOutcome::Refused(_)) => done.refused += 1,
            }
            let tried = outcome.as_ref().map(Tried::of);
            if let Some(outcome) = outcome {
                self.finish(&mail, outcome).await?;
            }
            if mail.is_try {
                self.conclude(tried).await?;
            }
        }
        close(connection).await;
        Ok(done)
    }

    /// Draws the conclusion from the one e-mail that was tried while all are stopped. What is in the way was put on record
    /// when it was met.
    async fn conclude(&self, tried: Option<Tried>) -> Result<(), RecordError> {
        match tried {
            Some(Tried::Sent) => {
                if self.record.end_mail_stop().await? {
                    tracing::info!("what was in the way of all e-mails is gone, and they are sent again");
                }
            }
            // An e-mail that is not to be sent, or was refused because of its recipient, tells nothing of the server: the next one does.
            None | Some(Tried::Refused) => self.record.put_off_mail_try(self.record.now_ms()).await?,
            Some(Tried::Later) if self.in_the_way.get().is_none() => {
                self.record
                    .put_off_mail_try(next_try_at_ms(self.record.now_ms(), 1))
                    .await?;
            }
            Some(Tried::Later) => {}
        }
        Ok(())
    }

    fn next(&self) -> Option<MailToSend> {
        if *self.stopped.borrow() {
            return None;
        }
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Composes an e-mail and hands it over. `None`: it is not to be sent any more. Those of a message that are not are taken out
    /// of it.
    async fn send(
        &self,
        mail: &mut MailToSend,
        connection: &mut Connection,
    ) -> Result<Option<MailOutcome>, RecordError> {
        let domain = match letter::sender_domain(&self.mailer.settings) {
            Ok(domain) => domain,
            Err(error) => return self.failed(mail, not_composed(&error)).await.map(Some),
        };
        let Some((left, domain)) = self.begin(mail, &domain).await? else {
            return Ok(None);
        };
        *mail = left;
        let (settings, owned) = (Arc::clone(&self.mailer.settings), mail.clone());
        let letter = match run_blocking(move || letter::compose(&settings, &owned, &domain)).await {
            Ok(letter) => Arc::new(letter),
            Err(error) => return self.failed(mail, not_composed(&error)).await.map(Some),
        };
        match self.mailer.deliver(connection, &letter).await {
            Ok(()) => Ok(Some(MailOutcome::Sent(letter.problem.clone()))),
            Err(failure) => self.failed(mail, failure).await.map(Some),
        }
    }

    /// Begins each e-mail of a message, and returns those that are still to be sent with the right part of their Message-ID.
    async fn begin(
        &self,
        mail: &MailToSend,
        domain: &str,
    ) -> Result<Option<(MailToSend, String)>, RecordError> {
        let mut begun = None::<(MailToSend, String)>;
        for one in std::iter::once(mail).chain(&mail.others) {
            let own = self.record.begin_mail(self.worker_id, one.id, domain).await?;
            let Some(own) = own else { continue };
            let alone = MailToSend {
                others: Vec::new(),
                is_try: mail.is_try,
                ..one.clone()
            };
            match &mut begun {
                None => begun = Some((alone, own)),
                Some((first, _)) => first.others.push(alone),
            }
        }
        Ok(begun)
    }

    /// The outcome of an e-mail that was not taken. What is in the way of all e-mails goes on record at once, and into the
    /// log where it is new.
    async fn failed(&self, mail: &MailToSend, failure: SmtpFailure) -> Result<MailOutcome, RecordError> {
        let not_sent = |problem: &Problem| {
            tracing::warn!(mail = %mail.id, code = problem.code, "the e-mail was not sent: {}", problem.message);
        };
        let in_the_way = match failure {
            SmtpFailure::Us(in_the_way) => in_the_way,
            SmtpFailure::Later(problem) => {
                not_sent(&problem);
                return Ok(MailOutcome::Later(problem));
            }
            SmtpFailure::Refused(problem) => {
                not_sent(&problem);
                return Ok(MailOutcome::Refused(problem));
            }
        };
        let own = in_the_way.own;
        // The first of a round speaks for those that were under way with it.
        if self.in_the_way.set(in_the_way.shared.clone()).is_ok() {
            let now_ms = self.record.now_ms();
            let known = self
                .record
                .stop_mails(&in_the_way.shared, mail.is_try, |tries| {
                    next_try_at_ms(now_ms, tries)
                })
                .await?;
            if known.is_none_or(|known| known.problem.code != own.code) {
                tracing::warn!(
                    code = own.code,
                    "all e-mails wait, and one at a time finds out whether they can be sent: {}; {}",
                    own.message,
                    own.advice
                );
            }
        }
        Ok(MailOutcome::Later(own))
    }

    async fn finish(&self, mail: &MailToSend, outcome: MailOutcome) -> Result<(), RecordError> {
        let due_at_ms = due_at_ms(self.record.now_ms(), mail.attempts);
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

/// What an e-mail that was tried has shown.
#[derive(Clone, Copy)]
enum Tried {
    Sent,
    Later,
    Refused,
}

impl Tried {
    fn of(outcome: &MailOutcome) -> Self {
        match outcome {
            MailOutcome::Sent(_) => Self::Sent,
            MailOutcome::Later(_) | MailOutcome::Waits(_) => Self::Later,
            MailOutcome::Refused(_) => Self::Refused,
        }
    }
}

/// The failure of an e-mail that can't be composed: because of the settings, or of what it is about, which no settings
/// change.
fn not_composed(error: &ComposeError) -> SmtpFailure {
    let problem = |code: &str, advice: &str| Problem::new(code, with_causes(error), advice);
    match error {
        ComposeError::Recipient(_) => SmtpFailure::Refused(problem("address-unusable", ANOTHER_WAY)),
        // The built-in template stands in for a broken one of the operator's, so the settings are not what is wrong.
        ComposeError::Message(_) | ComposeError::Template(_) => {
            SmtpFailure::Refused(problem("mail-not-composed", ANOTHER_WAY))
        }
        ComposeError::Sender(_) => {
            SmtpFailure::before_anybody(problem("mail-not-composed", CORRECT_SETTINGS))
        }
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
    async fn prepare(host: &Host, settings: MailSettings) -> Self {
        let settings = Arc::new(settings);
        let delivery = match &settings.delivery {
            MailDelivery::Directory(directory) => Delivery::Directory(directory.clone()),
            MailDelivery::Smtp(server) => {
                let (server, login) = (server.clone(), login(host, server));
                // Setting up TLS reads the system's authorities from the disk.
                match run_blocking(move || Smtp::new(&server, login)).await {
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
                        SmtpFailure::before_anybody(problem)
                    })
            }
            Delivery::None(problem) => Err(SmtpFailure::before_anybody(problem.clone())),
        }
    }
}

/// How a server is logged in to.
fn login(host: &Host, server: &SmtpServer) -> Login {
    match (&server.user, &server.password, &server.access_token) {
        (Some(user), _, Some(login)) => Login::AccessToken(
            user.clone(),
            Box::new(AccessTokens::new(host, AccessTokenLogin::clone(login))),
        ),
        (Some(user), Some(password), None) => Login::Password(user.clone(), password.clone()),
        _ => Login::None,
    }
}

fn not_set_up(code: &str, error: &dyn std::error::Error) -> Problem {
    let message = format!("e-mail can't be sent with the mail settings: {error}");
    Problem::new(code, message, CORRECT_SETTINGS)
}

/// Ends a session. The outcome of every e-mail of it is on record by then.
async fn close(connection: Connection) {
    if let Some(session) = connection {
        session.leave().await;
    }
}

/// The time at which one e-mail is tried, after so many in a row that found something in the way of all of them.
fn next_try_at_ms(now_ms: i64, tries: u32) -> i64 {
    now_ms.saturating_add(millis(backoff::pause(FIRST_PAUSE, LONGEST_STOP, tries)))
}

/// The time at which an e-mail that could not be handed over is due again, in milliseconds since 1970.
fn due_at_ms(now_ms: i64, attempts: u32) -> i64 {
    now_ms.saturating_add(millis(backoff::pause(FIRST_PAUSE, LONGEST_PAUSE, attempts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_all_e_mails_is_asked_after_half_a_minute_at_first_and_half_an_hour_to_an_hour_in_the_end() {
        for (tries, least_s, most_s) in [(1, 30, 60), (2, 60, 120), (7, 1_800, 3_600), (100, 1_800, 3_600)] {
            let wait_s = next_try_at_ms(0, tries) / 1_000;
            assert!((least_s..=most_s).contains(&wait_s), "{tries}: {wait_s} s");
        }
    }

    #[test]
    fn an_e_mail_that_is_not_taken_waits_half_a_minute_at_first_and_an_hour_to_two_in_the_end() {
        for (attempts, least_s, most_s) in [(1, 30, 60), (2, 60, 120), (3, 120, 240), (100, 3_600, 7_200)] {
            let wait_s = due_at_ms(0, attempts) / 1_000;
            assert!((least_s..=most_s).contains(&wait_s), "{attempts}: {wait_s} s");
        }
    }
}

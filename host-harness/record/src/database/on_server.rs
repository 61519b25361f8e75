//! A connection to a PostgreSQL server: nobody waits for its answers for ever, and it never goes back to its pool in a transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::raw_sql;

use super::clock::Told;
use super::turn::{self, OUTCOME, Turn, Which};
use super::turn_times::HeldTurn;
use crate::record_error::RecordError;

/// How long an answer is waited for. A server that is there answers sooner: it lets nobody wait for a turn for more than 30 seconds. The
/// operating system alone would wait for a quarter of an hour for one that has vanished.
const ANSWER: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 60 });

/// How long the outcome of a transaction is asked for, whose COMMIT was not answered.
const OUTCOME_WITHIN: Duration = Duration::from_secs(60);

/// The pause between two such questions.
const OUTCOME_PAUSE: Duration = Duration::from_millis(500);

/// A connection of a pool.
#[derive(Debug)]
pub(super) struct OnServer {
    pool: PgPool,
    pub(super) connection: PoolConnection<Postgres>,
    /// Whether statements are prepared anew each time.
    pub(super) forgets_statements: bool,
    /// Whether an answer did not come.
    pub(super) is_lost: bool,
    /// Whether a transaction has begun and not ended.
    is_open: bool,
    /// The turn, until it is over.
    turn: Option<HeldTurn>,
}

impl OnServer {
    /// Takes a connection out of a pool.
    ///
    /// # Errors
    /// When none becomes free, or none can be opened.
    pub(super) async fn of(pool: &PgPool, told: &Told) -> Result<Self, RecordError> {
        Ok(Self {
            pool: pool.clone(),
            connection: pool.acquire().await?,
            forgets_statements: told.forgets_statements,
            is_lost: false,
            is_open: false,
            turn: None,
        })
    }

    /// Begins a transaction by a statement.
    ///
    /// # Errors
    /// When the server does not say that it has begun.
    pub(super) async fn begin(&mut self, statement: &'static str) -> Result<(), RecordError> {
        self.is_open = true;
        let begun = raw_sql(statement).execute(&mut *self.connection);
        answered(&mut self.is_lost, begun).await?;
        Ok(())
    }

    /// Begins a transaction that writes, in its turn.
    ///
    /// # Errors
    /// When the turn does not come in time.
    pub(super) async fn take_turn(&mut self, told: &Arc<Told>, which: Which) -> Result<Turn, RecordError> {
        self.is_open = true;
        let asked = Instant::now();
        let begun = turn::begin(&mut self.connection, told, which);
        let turn = answered(&mut self.is_lost, begun).await?;
        self.turn = Some(HeldTurn::taken(told, asked));
        Ok(turn)
    }

    /// Begins the transaction that a statement of its own needs behind a pooler: its parts would reach several connections else, and those of
    /// others get among them.
    ///
    /// # Errors
    /// When the server does not say that it has begun.
    pub(super) async fn begin_alone(&mut self) -> Result<(), RecordError> {
        match self.forgets_statements {
            true => self.begin("BEGIN").await,
            false => Ok(()),
        }
    }

    /// Ends the transaction of a statement of its own.
    ///
    /// # Errors
    /// When the server does not say that it has ended.
    pub(super) async fn end_alone(&mut self) -> Result<(), RecordError> {
        if self.is_open {
            let ended = raw_sql("COMMIT").execute(&mut *self.connection);
            answered(&mut self.is_lost, ended).await?;
            self.is_open = false;
        }
        Ok(())
    }

    /// Makes what the transaction of a turn has written last. Where the connection breaks, the server is asked what became of it.
    ///
    /// # Errors
    /// When it was not written, and when nobody knows.
    pub(super) async fn commit(mut self, turn: Option<&Turn>, told: &Arc<Told>) -> Result<(), RecordError> {
        let committed = raw_sql("COMMIT").execute(&mut *self.connection);
        let error = match answered(&mut self.is_lost, committed).await {
            Ok(_) => {
                self.is_open = false;
                return Ok(());
            }
            // The server has answered, with what is wrong.
            Err(RecordError::Database(sqlx::Error::Database(error))) if !is_of_ending(error.as_ref()) => {
                return Err(sqlx::Error::Database(error).into());
            }
            Err(error) => error,
        };
        let pool = self.pool.clone();
        drop(self);
        match turn {
            None => Err(error),
            Some(turn) => match outcome(&pool, turn, told).await {
                Some(true) => Ok(()),
                Some(false) => Err(error),
                None => Err(RecordError::Unheard(Box::new(error))),
            },
        }
    }

    /// Undoes what the transaction has written.
    ///
    /// # Errors
    /// When the server does not answer; it undoes it when the connection ends.
    pub(super) async fn rollback(mut self) -> Result<(), RecordError> {
        let undone = raw_sql("ROLLBACK").execute(&mut *self.connection);
        answered(&mut self.is_lost, undone).await?;
        self.is_open = false;
        Ok(())
    }

    /// Closes the connection.
    pub(super) fn close(mut self) {
        self.connection.close_on_drop();
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        // The server undoes a transaction when its connection ends; the turn is free at once.
        if self.is_open || self.is_lost {
            self.connection.close_on_drop();
        }
    }
}

/// Whether a transaction has written. `None`: the server can't be asked, has crashed, or is another one by now.
async fn outcome(pool: &PgPool, of: &Turn, told: &Arc<Told>) -> Option<bool> {
    let until = Instant::now() + OUTCOME_WITHIN;
    loop {
        match ask_outcome(pool, of, told).await {
            Ok(outcome) => return outcome,
            Err(error) if Instant::now() > until => {
                tracing::warn!(%error, "the server of the record does not say whether it has written what it was told to");
                return None;
            }
            Err(_) => tokio::time::sleep(OUTCOME_PAUSE).await,
        }
    }
}

/// Asks in a turn: the transaction had the turn, so it has ended by now.
async fn ask_outcome(pool: &PgPool, of: &Turn, told: &Arc<Told>) -> Result<Option<bool>, RecordError> {
    let mut held = OnServer::of(pool, told).await?;
    let now = held.take_turn(told, Which::Any).await?;
    if now.epoch.now != of.epoch.now || now.life != of.life {
        return Ok(None);
    }
    let asked = sqlx::query_scalar(OUTCOME)
        .bind(&of.xid)
        .persistent(!told.forgets_statements)
        .fetch_one(&mut *held.connection);
    let outcome: Option<String> = answered(&mut held.is_lost, asked).await?;
    held.rollback().await?;
    Ok(match outcome.as_deref() {
        Some("committed") => Some(true),
        Some("aborted") => Some(false),
        _ => None,
    })
}

/// Waits for an answer, and notes that it did not come.
///
/// # Errors
/// The answer's own, and when it does not come.
pub(super) async fn answered<T, E>(
    is_lost: &mut bool,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, RecordError>
where
    RecordError: From<E>,
{
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            *is_lost = true;
            Err(RecordError::NoAnswer)
        }
    }
}

/// Whether the server says that it ends the connection (classes 08 and 57 of the SQL standard's and PostgreSQL's codes,
/// postgresql.org/docs/15/errcodes-appendix.html): what it was about to do may be done.
fn is_of_ending(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code();
    code.is_none_or(|code| code.starts_with("08") || code.starts_with("57"))
}

//! Connections to the database, and transactions on them. The engine is chosen here, once.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bss_model::moment::{Moment, Uptime};
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};

use super::clock::{Clock, Told};
use super::on_server::{self, OnServer};
use super::turn::{Epoch, Turn, Which};
use super::turn_times::TurnTimes;
use crate::record_error::RecordError;

/// Connections that are used in turn. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool, Arc<Told>),
}

/// A connection, in a transaction or not.
#[derive(Debug)]
pub(crate) struct Connection {
    held: Held,
    clock: Clock,
    /// Whether a statement failed, or its answer was not heard to the end. PostgreSQL has given the transaction up then, and
    /// answers COMMIT with ROLLBACK and no error.
    is_unsound: bool,
    /// An epoch of the database that this program does not go on in yet: what follows from it has to be written before anything else.
    unsettled: Option<Epoch>,
    /// The turn, where a server has the database and the transaction writes.
    turn: Option<(Turn, Arc<Told>)>,
}

/// How the connection is held: what it goes back to when it is dropped.
#[derive(Debug)]
enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteAlone(SqliteConnection),
    SqliteTransaction(sqlx::Transaction<'static, Sqlite>),
    Postgres(OnServer),
}

/// The driver's own connection.
pub(super) enum Driver<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection, Forgets),
}

/// Whether statements are prepared anew each time.
pub(super) type Forgets = bool;

/// A transaction. What it has written is undone when it is dropped before it was committed.
#[derive(Debug)]
pub(crate) struct Transaction(Connection);

impl Pool {
    /// Takes a connection out of the pool.
    ///
    /// # Errors
    /// When none becomes free, or none can be opened.
    pub(crate) async fn acquire(&self) -> Result<Connection, RecordError> {
        let held = match self {
            Self::Sqlite(pool) => Held::Sqlite(pool.acquire().await?),
            Self::Postgres(pool, told) => {
                let mut held = OnServer::of(pool, told).await?;
                // Behind a pooler, a connection is the same one within a transaction alone. It is closed with it.
                held.begin_alone().await?;
                Held::Postgres(held)
            }
        };
        Ok(Connection::of(held, self.clock()))
    }

    /// The turns that were had. `None`: SQLite keeps the database, and lets one program write at a time by itself.
    pub(crate) fn turn_times(&self) -> Option<TurnTimes> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_, told) => Some(told.turns.times()),
        }
    }

    /// Begins a transaction that sees the record as it is at one moment, and only reads.
    ///
    /// # Errors
    /// Like [`Pool::acquire`].
    pub(crate) async fn begin_read(&self) -> Result<Transaction, RecordError> {
        const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let held = match self {
            Self::Sqlite(pool) => Held::SqliteTransaction(pool.begin().await?),
            Self::Postgres(pool, told) => {
                let mut begun = OnServer::of(pool, told).await?;
                begun.begin(ONE_MOMENT).await?;
                Held::Postgres(begun)
            }
        };
        Ok(Transaction(Connection::of(held, self.clock())))
    }

    /// Begins a transaction that will write. SQLite must know that from the start: a transaction that turns to writing
    /// later can fail because another has written meanwhile. With a server, the epoch has to be
    /// [settled](Transaction::unsettled) before anything is committed.
    ///
    /// # Errors
    /// Like [`Pool::acquire`], and when another transaction writes for too long.
    pub(crate) async fn begin_write(&self) -> Result<Transaction, RecordError> {
        Ok(Transaction(match self {
            Self::Sqlite(pool) => {
                let begun = pool.begin_with("BEGIN IMMEDIATE").await?;
                Connection::of(Held::SqliteTransaction(begun), Clock::Machine)
            }
            Self::Postgres(pool, told) => {
                let mut begun = OnServer::of(pool, told).await?;
                let turn = begun.take_turn(told, Which::OfRecord).await?;
                let is_known = told.epoch().as_deref() == Some(turn.epoch.now.as_str());
                let mut connection = Connection::of(Held::Postgres(begun), Clock::Stopped(turn.now_ms));
                connection.unsettled = (!is_known).then(|| turn.epoch.clone());
                connection.turn = Some((turn, Arc::clone(told)));
                connection
            }
        }))
    }

    /// Begins a transaction that moves the record, and that sees one that was moved.
    ///
    /// # Errors
    /// Like [`Pool::begin_write`].
    pub(crate) async fn begin_move(&self) -> Result<Transaction, RecordError> {
        let Self::Postgres(pool, told) = self else {
            return self.begin_write().await;
        };
        let mut begun = OnServer::of(pool, told).await?;
        let turn = begun.take_turn(told, Which::Any).await?;
        let mut connection = Connection::of(Held::Postgres(begun), Clock::Stopped(turn.now_ms));
        connection.turn = Some((turn, Arc::clone(told)));
        Ok(Transaction(connection))
    }

    /// Takes the database's tables as far as these steps go.
    ///
    /// # Errors
    /// When a step fails, or one that was taken before is not among them.
    pub(crate) async fn migrate(&self, steps: &Migrator) -> Result<(), RecordError> {
        match self {
            Self::Sqlite(pool) => steps.run(pool).await?,
            Self::Postgres(pool, _) => steps.run(pool).await?,
        }
        Ok(())
    }

    fn clock(&self) -> Clock {
        match self {
            Self::Sqlite(_) => Clock::Machine,
            Self::Postgres(_, told) => Clock::Database(told.clone()),
        }
    }

    /// The present, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock().now_ms()
    }

    /// The present.
    pub(crate) fn now(&self) -> Moment {
        self.clock().now()
    }

    /// The present on the clock that counts how much time has passed.
    pub(crate) fn uptime(&self) -> Uptime {
        self.clock().uptime()
    }

    /// Goes on in an epoch of a server's database, once what follows from it is committed.
    pub(crate) fn go_on_in(&self, epoch: Epoch) {
        if let Self::Postgres(_, told) = self {
            told.note_epoch(epoch.now);
        }
    }

    /// Whether a server keeps the database, and not a file of this host.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(..))
    }

    /// Closes all connections, once those that are in use have come back.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, _) => pool.close().await,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(pool) => pool.is_closed(),
            Self::Postgres(pool, _) => pool.is_closed(),
        }
    }
}

impl Connection {
    fn of(held: Held, clock: Clock) -> Self {
        Self {
            held,
            clock,
            is_unsound: false,
            unsettled: None,
            turn: None,
        }
    }

    /// The present, in milliseconds since 1970. With a database that many hosts have, a transaction happens at one moment.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The present.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The present on the clock that counts how much time has passed.
    pub(crate) fn uptime(&self) -> Uptime {
        self.clock.uptime()
    }

    /// Whether a server keeps the database, and not a file of this host.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.held, Held::Postgres(_))
    }

    /// A connection to a file of SQLite's that is in no pool.
    pub(super) fn alone(connection: SqliteConnection) -> Self {
        Self::of(Held::SqliteAlone(connection), Clock::Machine)
    }

    /// The driver's connection, for a statement that begins now, and whether all before it were sound. From now on the
    /// connection is unsound, until the one who runs the statement has heard its answer to the end and says so.
    pub(super) fn for_statement(&mut self) -> (Driver<'_>, Soundness<'_>) {
        let was_unsound = std::mem::replace(&mut self.is_unsound, true);
        let (driver, is_lost) = match &mut self.held {
            Held::Sqlite(connection) => (Driver::Sqlite(connection), None),
            Held::SqliteAlone(connection) => (Driver::Sqlite(connection), None),
            Held::SqliteTransaction(transaction) => (Driver::Sqlite(transaction), None),
            Held::Postgres(held) => {
                let forgets = held.forgets_statements;
                (
                    Driver::Postgres(&mut held.connection, forgets),
                    Some(&mut held.is_lost),
                )
            }
        };
        let soundness = Soundness {
            is_unsound: &mut self.is_unsound,
            was_unsound,
            is_lost,
        };
        (driver, soundness)
    }

    /// Closes the connection, with all that it has to write.
    ///
    /// # Errors
    /// When it can't be closed.
    pub(crate) async fn close(self) -> Result<(), RecordError> {
        match self.held {
            Held::Sqlite(connection) => connection.close().await?,
            Held::SqliteAlone(connection) => connection.close().await?,
            Held::Postgres(held) => held.close(),
            Held::SqliteTransaction(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}

/// What becomes of a connection's soundness with the statement that runs on it.
pub(super) struct Soundness<'c> {
    is_unsound: &'c mut bool,
    was_unsound: bool,
    /// Whether the connection is lost, where a server is at its other end.
    is_lost: Option<&'c mut bool>,
}

impl Soundness<'_> {
    /// Waits for the answer of the statement, for as long as a server may take.
    ///
    /// # Errors
    /// The answer's own, and when it does not come.
    pub(super) async fn answered<T, E>(
        &mut self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RecordError>
    where
        RecordError: From<E>,
    {
        match &mut self.is_lost {
            Some(is_lost) => on_server::answered(is_lost, answer).await,
            None => Ok(answer.await?),
        }
    }

    /// Says that the statement's answer was heard to its end, and is no error.
    pub(super) fn heard(self) {
        *self.is_unsound = self.was_unsound;
    }
}

impl Transaction {
    /// Makes what was written last.
    ///
    /// # Errors
    /// When the database does not say that it did: whether it has is not known of a server. When a statement of the transaction
    /// failed: nothing was written then.
    pub(crate) async fn commit(self) -> Result<(), RecordError> {
        if self.0.is_unsound || self.0.unsettled.is_some() {
            self.rollback().await?;
            return Err(RecordError::Unsound);
        }
        match self.0.held {
            Held::SqliteTransaction(transaction) => transaction.commit().await?,
            Held::Postgres(held) => {
                let (turn, told) = self.0.turn.unzip();
                held.commit(turn.as_ref(), &told.unwrap_or_default()).await?;
            }
            // No transaction is held so.
            Held::Sqlite(_) | Held::SqliteAlone(_) => return Err(RecordError::Unsound),
        }
        Ok(())
    }

    /// The epoch of the database, where this program does not go on in it yet. Whoever asks writes what follows from it, commits, and
    /// [goes on](Pool::go_on_in).
    pub(crate) fn unsettled(&mut self) -> Option<Epoch> {
        self.0.unsettled.take()
    }

    /// Undoes what was written.
    ///
    /// # Errors
    /// When the database can't be asked to. It is undone when the connection ends.
    pub(crate) async fn rollback(self) -> Result<(), RecordError> {
        match self.0.held {
            Held::Postgres(held) => held.rollback().await,
            _ => self.0.close().await,
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

//! Statements: a text, the values that are bound to it, and where it runs.

use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::builder::{Builder, numbered};
use super::connection::{Connection, Driver, Pool, Soundness, Transaction};
use super::on_server::{OnServer, answered};
use super::row::{Readable, Row};
use super::value::{Bound, Value, for_postgres, for_sqlite};
use crate::record_error::RecordError;

/// What a statement runs on.
pub(crate) enum On<'c> {
    Pool(&'c Pool),
    Connection(&'c mut Connection),
}

/// A statement that has not run yet.
#[must_use]
pub(crate) struct Statement<'c> {
    on: On<'c>,
    sql: SqlStr,
    values: Vec<Value>,
    is_kept: bool,
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        Self::Pool(pool)
    }
}

impl<'c> From<&'c mut Connection> for On<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Connection(connection)
    }
}

impl<'c> From<&'c mut Transaction> for On<'c> {
    fn from(transaction: &'c mut Transaction) -> Self {
        Self::Connection(transaction)
    }
}

impl Pool {
    /// A statement on any connection of the pool, in a transaction of its own.
    pub(crate) fn sql(&self, sql: &'static str) -> Statement<'_> {
        On::Pool(self).sql(sql)
    }

    /// A statement whose text was put together from constants.
    pub(crate) fn composed(&self, sql: String) -> Statement<'_> {
        On::Pool(self).composed(sql)
    }

    /// A statement that was built, which takes its text and values.
    pub(crate) fn build(&self, query: &mut Builder) -> Statement<'_> {
        On::Pool(self).build(query)
    }
}

impl Connection {
    /// A statement on this connection.
    pub(crate) fn sql(&mut self, sql: &'static str) -> Statement<'_> {
        On::Connection(self).sql(sql)
    }

    /// A statement whose text was put together from constants.
    pub(crate) fn composed(&mut self, sql: String) -> Statement<'_> {
        On::Connection(self).composed(sql)
    }

    /// A statement that was built, which takes its text and values.
    pub(crate) fn build(&mut self, query: &mut Builder) -> Statement<'_> {
        On::Connection(self).build(query)
    }
}

impl<'c> On<'c> {
    /// A statement that runs here.
    pub(crate) fn sql(self, sql: &'static str) -> Statement<'c> {
        self.statement(sql.into_sql_str(), Vec::new())
    }

    fn composed(self, sql: String) -> Statement<'c> {
        self.statement(AssertSqlSafe(sql).into_sql_str(), Vec::new())
    }

    fn build(self, query: &mut Builder) -> Statement<'c> {
        let (mut text, places, values) = query.take();
        if self.is_postgres() {
            text = numbered(&text, &places);
        }
        self.statement(AssertSqlSafe(text).into_sql_str(), values)
    }

    fn statement(self, sql: SqlStr, values: Vec<Value>) -> Statement<'c> {
        Statement {
            on: self,
            sql,
            values,
            is_kept: true,
        }
    }

    /// The present here, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::Pool(pool) => pool.now_ms(),
            Self::Connection(connection) => connection.now_ms(),
        }
    }

    fn is_postgres(&self) -> bool {
        match self {
            Self::Pool(pool) => pool.is_postgres(),
            Self::Connection(connection) => connection.is_postgres(),
        }
    }
}

/// Runs a statement by one of the driver's functions, and reads its answer by a function for each engine.
macro_rules! run {
    ($statement:expr, $function:ident, $sqlite:expr, $postgres:expr) => {{
        let Statement {
            on,
            sql,
            values,
            is_kept,
        } = $statement;
        match on {
            On::Pool(Pool::Sqlite(pool)) => $sqlite(on_sqlite(sql, values, is_kept)?.$function(pool).await?),
            On::Pool(Pool::Postgres(pool, told)) => {
                let mut held = OnServer::of(pool, told).await?;
                held.begin_alone().await?;
                let is_kept = is_kept && !held.forgets_statements;
                let answer = on_postgres(sql, values, is_kept)?.$function(&mut *held.connection);
                let answer = answered(&mut held.is_lost, answer).await?;
                held.end_alone().await?;
                $postgres(answer)
            }
            On::Connection(connection) => {
                let (driver, mut soundness) = connection.for_statement();
                let answer = match driver {
                    Driver::Sqlite(driver) => {
                        let answer = on_sqlite(sql, values, is_kept)?.$function(driver);
                        $sqlite(soundness.answered(answer).await?)
                    }
                    Driver::Postgres(driver, forgets) => {
                        let answer = on_postgres(sql, values, is_kept && !forgets)?.$function(driver);
                        $postgres(soundness.answered(answer).await?)
                    }
                };
                soundness.heard();
                answer
            }
        }
    }};
}

impl<'c> Statement<'c> {
    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Bound) -> Self {
        self.values.push(value.value());
        self
    }

    /// Binds the present as the next value.
    pub(crate) fn bind_now(self) -> Self {
        let now_ms = self.on.now_ms();
        self.bind(now_ms)
    }

    /// Whether the engine keeps the prepared statement for the next time. Not where the text is another each time.
    pub(crate) fn persistent(mut self, is_kept: bool) -> Self {
        self.is_kept = is_kept;
        self
    }

    /// Runs the statement, and returns how many rows it has written.
    pub(crate) async fn execute(self) -> Result<u64, RecordError> {
        Ok(run!(
            self,
            execute,
            |done: sqlx::sqlite::SqliteQueryResult| done.rows_affected(),
            |done: sqlx::postgres::PgQueryResult| done.rows_affected()
        ))
    }

    /// Reads all rows.
    pub(crate) async fn fetch_all(self) -> Result<Vec<Row>, RecordError> {
        Ok(run!(
            self,
            fetch_all,
            |rows: Vec<_>| rows.into_iter().map(Row::Sqlite).collect(),
            |rows: Vec<_>| rows.into_iter().map(Row::Postgres).collect()
        ))
    }

    /// Reads the first row, if there is any.
    pub(crate) async fn fetch_optional(self) -> Result<Option<Row>, RecordError> {
        Ok(run!(
            self,
            fetch_optional,
            |row: Option<_>| row.map(Row::Sqlite),
            |row: Option<_>| row.map(Row::Postgres)
        ))
    }

    /// Reads the first row.
    ///
    /// # Errors
    /// When there is none, too.
    pub(crate) async fn fetch_one(self) -> Result<Row, RecordError> {
        let row = self.fetch_optional().await?;
        Ok(row.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Reads the first column of all rows.
    pub(crate) async fn scalars<T: for<'r> Readable<'r>>(self) -> Result<Vec<T>, RecordError> {
        let rows = self.fetch_all().await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Reads the first column of the first row, if there is any.
    pub(crate) async fn scalar_optional<T: for<'r> Readable<'r>>(self) -> Result<Option<T>, RecordError> {
        let row = self.fetch_optional().await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// Reads the first column of the first row.
    ///
    /// # Errors
    /// When there is none, too.
    pub(crate) async fn scalar<T: for<'r> Readable<'r>>(self) -> Result<T, RecordError> {
        self.fetch_one().await?.try_get(0)
    }

    /// Reads rows one after the other, without keeping them.
    pub(crate) fn fetch(self) -> BoxStream<'c, Result<Row, RecordError>> {
        match self.begin_fetch() {
            Ok(rows) => rows,
            Err(error) => stream::once(ready(Err(error))).boxed(),
        }
    }

    fn begin_fetch(self) -> Result<BoxStream<'c, Result<Row, RecordError>>, RecordError> {
        let Self {
            on,
            sql,
            values,
            is_kept,
        } = self;
        let sqlite = |row: sqlx::Result<_>| Ok(Row::Sqlite(row?));
        let postgres = |row: sqlx::Result<_>| Ok(Row::Postgres(row?));
        Ok(match on {
            On::Pool(Pool::Sqlite(pool)) => on_sqlite(sql, values, is_kept)?.fetch(pool).map(sqlite).boxed(),
            On::Pool(pool @ Pool::Postgres(_, told)) if told.forgets_statements => {
                let whole = Statement {
                    on: On::Pool(pool),
                    sql,
                    values,
                    is_kept,
                };
                let rows = stream::once(whole.fetch_all()).map(|rows| match rows {
                    Ok(rows) => stream::iter(rows.into_iter().map(Ok)).boxed(),
                    Err(error) => stream::once(ready(Err(error))).boxed(),
                });
                rows.flatten().boxed()
            }
            On::Pool(Pool::Postgres(pool, _)) => on_postgres(sql, values, is_kept)?
                .fetch(pool)
                .map(postgres)
                .boxed(),
            On::Connection(connection) => {
                let (driver, soundness) = connection.for_statement();
                let rows = match driver {
                    Driver::Sqlite(driver) => {
                        on_sqlite(sql, values, is_kept)?.fetch(driver).map(sqlite).boxed()
                    }
                    Driver::Postgres(driver, forgets) => on_postgres(sql, values, is_kept && !forgets)?
                        .fetch(driver)
                        .map(postgres)
                        .boxed(),
                };
                heard_to_the_end(rows, soundness)
            }
        })
    }
}

/// Rows after which the connection is sound again, if they come to their end without an error.
fn heard_to_the_end<'c>(
    rows: BoxStream<'c, Result<Row, RecordError>>,
    soundness: Soundness<'c>,
) -> BoxStream<'c, Result<Row, RecordError>> {
    let next = |(mut rows, soundness): (BoxStream<'c, _>, Option<Soundness<'c>>)| async move {
        let mut soundness = soundness?;
        let row = soundness.answered(async { Ok::<_, RecordError>(rows.next().await) });
        match row.await {
            Ok(Some(Ok(row))) => Some((Ok(row), (rows, Some(soundness)))),
            Ok(Some(Err(error))) | Err(error) => Some((Err(error), (rows, None))),
            Ok(None) => {
                soundness.heard();
                None
            }
        }
    };
    stream::unfold((rows, Some(soundness)), next).boxed()
}

fn on_sqlite(
    sql: SqlStr,
    values: Vec<Value>,
    is_kept: bool,
) -> Result<Query<'static, Sqlite, SqliteArguments>, RecordError> {
    Ok(sqlx::query_with(sql, for_sqlite(values)?).persistent(is_kept))
}

fn on_postgres(
    sql: SqlStr,
    values: Vec<Value>,
    is_kept: bool,
) -> Result<Query<'static, Postgres, PgArguments>, RecordError> {
    Ok(sqlx::query_with(sql, for_postgres(values)?).persistent(is_kept))
}

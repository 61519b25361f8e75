//! The database of a record, which tests look into and change behind the record's back, whichever engine keeps it.

use std::path::Path;

use bss_record::{RECORD_FILE, Record, RecordError};
use bss_test_postgres::{ServerError, shared};
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Decode, Type};

const TABLES_OF_SERVER: &str =
    "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";

/// Where a database is.
pub(crate) enum Database {
    /// The name of SQLite's file.
    File(String),
    /// A database on a server, which is dropped with this value.
    Server(bss_test_postgres::Database<'static>),
}

/// A connection beside those of the record. What it has begun is undone when it is dropped.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What both engines read a value as.
pub(crate) trait Readable:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin
{
}

impl<T> Readable for T where
    T: for<'r> Decode<'r, Sqlite>
        + Type<Sqlite>
        + for<'r> Decode<'r, Postgres>
        + Type<Postgres>
        + Send
        + Unpin
{
}

impl Connection {
    pub(crate) async fn run(&mut self, statement: &str) -> sqlx::Result<()> {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(statement).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::raw_sql(statement).execute(connection).await.map(drop),
        }
    }

    async fn values<T: Readable>(&mut self, query: &str) -> Vec<T> {
        let query = AssertSqlSafe(query.to_owned());
        let values = match self {
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_all(connection).await,
        };
        values.unwrap()
    }
}

impl Database {
    /// Makes an empty database with the tables of a record.
    pub(crate) async fn on_server() -> Self {
        let migrate = async |url: String| -> Result<(), PrepareError> {
            Record::migrate_database(&url.parse().unwrap()).await?;
            Ok(())
        };
        let server = shared().unwrap();
        Self::Server(server.database_like("record", migrate).await.unwrap())
    }

    /// The database of SQLite's in a data directory.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self::file(&directory.join(RECORD_FILE))
    }

    /// A file of SQLite's.
    pub(crate) fn file(file: &Path) -> Self {
        Self::File(file.to_str().unwrap().to_owned())
    }

    /// Whether it is a file, and not a server's.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Connection {
        match self {
            Self::File(file) => {
                let options = SqliteConnectOptions::new().filename(file);
                Connection::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
            }
            Self::Server(database) => {
                Connection::Postgres(PgConnection::connect(&database.url()).await.unwrap())
            }
        }
    }

    /// Runs a statement that may fail.
    pub(crate) async fn try_execute(&self, statement: &str) -> sqlx::Result<()> {
        let mut connection = self.connect().await;
        let done = connection.run(statement).await;
        let closed = match connection {
            Connection::Sqlite(connection) => connection.close().await,
            Connection::Postgres(connection) => connection.close().await,
        };
        closed.unwrap();
        done
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, statement: &str) {
        self.try_execute(statement).await.unwrap();
    }

    /// Runs a statement that each engine has in words of its own.
    pub(crate) async fn execute_on(&self, sqlite: &str, postgres: &str) {
        let statement = match self {
            Self::File(_) => sqlite,
            Self::Server(_) => postgres,
        };
        self.execute(statement).await;
    }

    /// The first column of a query's only row.
    pub(crate) async fn value<T: Readable>(&self, query: &str) -> T {
        let mut values = self.connect().await.values(query).await;
        assert_eq!(values.len(), 1, "{query}");
        values.remove(0)
    }

    /// A transaction of another process that writes, and is not over until it is dropped.
    pub(crate) async fn writing(&self) -> Connection {
        let mut connection = self.connect().await;
        let begin = match self {
            Self::File(_) => "BEGIN IMMEDIATE",
            Self::Server(_) => "BEGIN; SELECT id FROM turn FOR UPDATE",
        };
        connection.run(begin).await.unwrap();
        connection
    }

    /// All rows of all tables, as text.
    pub(crate) async fn rows(&self) -> Vec<String> {
        let tables = match self {
            Self::File(_) => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            Self::Server(_) => TABLES_OF_SERVER,
        };
        let mut connection = self.connect().await;
        let mut rows = Vec::new();
        for table in connection.values::<String>(tables).await {
            let row = match self {
                Self::File(_) => {
                    let columns = format!(
                        "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ') FROM pragma_table_info('{table}')"
                    );
                    connection.values(&columns).await.remove(0)
                }
                Self::Server(_) => format!("CAST({table} AS TEXT)"),
            };
            // Without an order, PostgreSQL shows a row that was written again after the others.
            let query = format!("SELECT '{table}: ' || {row} AS shown FROM {table} ORDER BY shown");
            rows.extend(connection.values::<String>(&query).await);
        }
        rows
    }
}

/// The tables of a database on a server by their names, with each value as it is.
pub(crate) async fn copies(database: &bss_test_postgres::Database<'_>) -> Vec<(String, Vec<u8>)> {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(TABLES_OF_SERVER)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut copies = Vec::new();
    for table in tables {
        let copy = format!("COPY {table} TO STDOUT (FORMAT binary)");
        let copied = connection.copy_out_raw(&copy).await.unwrap();
        let copied: Vec<_> = copied.try_collect().await.unwrap();
        copies.push((table, copied.concat()));
    }
    copies
}

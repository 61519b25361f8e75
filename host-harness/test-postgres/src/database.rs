//! A database of one test.

use std::sync::atomic::Ordering;

use crate::error::ServerError;
use crate::server::Server;

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct Database<'s> {
    server: &'s Server,
    name: String,
}

impl Database<'_> {
    /// The address, as a URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the database says to a statement, as [`Server::sql`] has it.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String, ServerError> {
        self.server.sql(&self.name, statement)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A test that has killed the server leaves nothing to drop.
        let dropped = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = self.server.sql("postgres", &dropped);
    }
}

impl Server {
    /// Makes an empty database, as an operator is told to: UTF-8, and in the order of bytes.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn database(&self) -> Result<Database<'_>, ServerError> {
        self.database_of("template0")
    }

    /// Makes a database like a template, which is made by `prepare` from its address when the first database needs it. A
    /// template's name is lower-case letters and `_`.
    ///
    /// # Errors
    /// When it can't be made, or `prepare` fails.
    pub async fn database_like<E: From<ServerError>>(
        &self,
        template: &str,
        prepare: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<Database<'_>, E> {
        let mut templates = self.templates.lock().await;
        if !templates.contains(template) {
            self.create(template, "template0")?;
            prepare(self.url(template)).await?;
            templates.insert(template.to_owned());
        }
        drop(templates);
        Ok(self.database_of(template)?)
    }

    fn database_of(&self, template: &str) -> Result<Database<'_>, ServerError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.create(&name, template)?;
        Ok(Database { server: self, name })
    }

    /// Copies a template through the log: its files are copied in a checkpoint else, which takes seconds.
    fn create(&self, name: &str, template: &str) -> Result<(), ServerError> {
        let created =
            format!("CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' LOCALE 'C' STRATEGY wal_log");
        self.sql("postgres", &created).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use sqlx::{Connection as _, Executor as _, PgConnection};

    use super::*;
    use crate::shared;

    /// Makes a template with a table, and counts how often.
    async fn prepare(url: String, times: &AtomicUsize) -> Result<(), ServerError> {
        times.fetch_add(1, Ordering::Relaxed);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection
            .execute("CREATE TABLE tables (name TEXT)")
            .await
            .unwrap();
        connection.close().await.unwrap();
        Ok(())
    }

    #[tokio::test]
    async fn databases_like_a_template_share_nothing_and_the_template_is_made_once() {
        let (server, times) = (shared().unwrap(), AtomicUsize::new(0));
        let make = || server.database_like("with_a_table", async |url| prepare(url, &times).await);
        let (one, other) = tokio::join!(make(), make());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(times.load(Ordering::Relaxed), 1);
        one.sql("INSERT INTO tables VALUES ('mine')").unwrap();
        assert_eq!(one.sql("SELECT count(*) FROM tables").unwrap(), "1");
        assert_eq!(other.sql("SELECT count(*) FROM tables").unwrap(), "0");
    }

    #[tokio::test]
    async fn a_database_is_dropped_also_when_somebody_is_connected() {
        let server = shared().unwrap();
        let database = server.database().unwrap();
        let name = database.name().to_owned();
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        assert_eq!(server.sql("postgres", &count).unwrap(), "1");
        drop(database);
        assert_eq!(server.sql("postgres", &count).unwrap(), "0");
        assert!(connection.ping().await.is_err());
    }

    #[test]
    fn a_database_orders_text_by_its_bytes() {
        let database = shared().unwrap().database().unwrap();
        let sorted = database
            .sql("SELECT string_agg(t, '' ORDER BY t) FROM (VALUES ('a'), ('Z'), ('ä'), ('_')) v (t)");
        assert_eq!(sorted.unwrap(), "Z_aä");
    }

    #[test]
    fn a_statement_that_fails_says_why() {
        let database = shared().unwrap().database().unwrap();
        let error = database.sql("SELECT * FROM nothing").unwrap_err();
        assert!(
            error.to_string().contains("\"nothing\" does not exist"),
            "{error}"
        );
    }
}

//! An address that is turned from one server to another, as an operator does when a standby takes over.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::server::{SUPERUSER, Server, socket_url};

/// The address of whichever server it was turned to last. Connections that are open stay with the server that they were made to.
#[derive(Debug)]
pub struct TurnedAddress {
    directory: TempDir,
    port: u16,
}

impl TurnedAddress {
    /// Makes an address of a server.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn of(server: &Server) -> io::Result<Self> {
        let address = Self {
            directory: tempfile::Builder::new().prefix("bss-address-").tempdir()?,
            port: server.port(),
        };
        address.turn_to(server)?;
        Ok(address)
    }

    /// Turns the address to another server.
    ///
    /// # Errors
    /// When it can't be turned; it is the former server's then.
    pub fn turn_to(&self, server: &Server) -> io::Result<()> {
        let socket = |port| format!(".s.PGSQL.{port}");
        let next = self.directory.path().join("next");
        symlink(server.socket_directory().join(socket(server.port())), &next)?;
        fs::rename(next, self.directory.path().join(socket(self.port)))
    }

    /// The address of a database, as a URL.
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, database)
    }

    /// The address of a database for another user, as a URL.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        socket_url(user, self.directory.path(), self.port, database)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, PgConnection};

    use super::*;

    /// The server that an address leads to, by the identifier of its data and by whether it is a standby.
    async fn reached(address: &TurnedAddress) -> (String, bool) {
        let mut connection = PgConnection::connect(&address.url("postgres")).await.unwrap();
        let asked = "SELECT system_identifier::TEXT, pg_is_in_recovery() FROM pg_control_system()";
        let reached = sqlx::query_as(asked).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        reached
    }

    #[tokio::test]
    async fn an_address_leads_to_the_server_that_it_was_turned_to_and_a_standby_follows_until_it_is_promoted()
    {
        let mut primary = Server::start().unwrap();
        let address = TurnedAddress::of(&primary).unwrap();
        let (data, is_standby) = reached(&address).await;
        assert!(!is_standby);
        let standby = Server::start_standby_of(&primary).unwrap();
        address.turn_to(&standby).unwrap();
        assert_eq!(reached(&address).await, (data.clone(), true));
        primary.commit_with_standby().unwrap();
        primary
            .sql("postgres", "CREATE TABLE followed AS SELECT 7 AS number")
            .unwrap();
        primary.kill().unwrap();
        standby.sql("postgres", "SELECT pg_promote()").unwrap();
        assert_eq!(reached(&address).await, (data, false));
        assert_eq!(
            standby.sql("postgres", "SELECT number FROM followed").unwrap(),
            "7"
        );
    }
}

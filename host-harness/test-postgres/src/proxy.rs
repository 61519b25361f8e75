//! A connection that breaks where a test wants it to: between a client and a server, at a COMMIT.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::server::{SUPERUSER, Server, socket_url};
use messages::{Messages, Sender};

mod messages;

/// Where in a transaction's end the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The server never hears the COMMIT.
    BeforeCommit,
    /// The server has committed, and the client never hears of it.
    AfterCommit,
}

/// What becomes of the connection then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The connection is closed, to both sides.
    Cut,
    /// The connection stays open to both sides, and nothing comes through: a machine or a cable is gone.
    Silence,
}

/// Stands between clients and a server until it is dropped, which closes all connections. It passes on everything, but where a
/// breakage is due.
#[derive(Debug)]
pub struct Proxy {
    directory: TempDir,
    port: u16,
    due: Due,
    accepting: JoinHandle<()>,
}

/// What the next COMMIT meets with.
type Due = Arc<Mutex<Option<(Point, Breakage)>>>;

impl Proxy {
    /// Stands before a server.
    ///
    /// # Errors
    /// When it can't listen.
    pub async fn before(server: &Server) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("bss-proxy-").tempdir()?;
        let name = format!(".s.PGSQL.{}", server.port());
        let listener = UnixListener::bind(directory.path().join(&name))?;
        let due = Due::default();
        let accepting = tokio::spawn(accept(
            listener,
            server.socket_directory().join(name),
            Arc::clone(&due),
        ));
        Ok(Self {
            directory,
            port: server.port(),
            due,
            accepting,
        })
    }

    /// The address of a database of the server, through the proxy.
    pub fn url(&self, database: &str) -> String {
        socket_url(SUPERUSER, self.directory.path(), self.port, database)
    }

    /// Breaks the connection on which the next COMMIT comes, and no other.
    pub fn break_next_commit(&self, point: Point, breakage: Breakage) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Some((point, breakage));
    }

    /// Whether no COMMIT has come yet that broke its connection.
    pub fn is_breakage_due(&self) -> bool {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections. Those that it has taken end with it.
async fn accept(listener: UnixListener, server: PathBuf, due: Due) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, server.clone(), Arc::clone(&due)));
        while connections.try_join_next().is_some() {}
    }
}

/// Passes messages on until one side ends or the connection is to break.
async fn connection(client: UnixStream, server: PathBuf, due: Due) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = UnixStream::connect(server).await?.into_split();
    let mut from_client = Messages::new(from_client, Sender::Client);
    let mut from_server = Messages::new(from_server, Sender::Server);
    loop {
        tokio::select! {
            message = from_client.next() => {
                let message = message?;
                if message.asks_for_encryption() {
                    // There is none on a socket, and the answer is no message.
                    to_client.write_all(b"N").await?;
                    continue;
                }
                let breakage = if message.is_commit() { take(&due) } else { None };
                if breakage.is_none_or(|(point, _)| point == Point::AfterCommit) {
                    to_server.write_all(message.bytes()).await?;
                }
                if let Some((point, breakage)) = breakage {
                    return break_off(point, breakage, &mut from_server, [to_client, to_server]).await;
                }
            }
            message = from_server.next() => to_client.write_all(message?.bytes()).await?,
        }
    }
}

fn take(due: &Due) -> Option<(Point, Breakage)> {
    due.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Breaks the connection, once the server has answered what it was sent. Both sides are closed when this returns.
async fn break_off(
    point: Point,
    breakage: Breakage,
    from_server: &mut Messages,
    _open: [OwnedWriteHalf; 2],
) -> io::Result<()> {
    if point == Point::AfterCommit {
        while !from_server.next().await?.is_end_of_answer() {}
    }
    match breakage {
        Breakage::Cut => Ok(()),
        Breakage::Silence => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

//! From the file of a data directory to a database on a server.

use std::path::Path;

use bss_keys::HostKeySource;

use super::Copied;
use super::catalog::Catalog;
use super::copy_error::CopyError;
use super::directory::Opened;
use super::marking::{clear_mark, mark_of, set_mark};
use super::server::Server;
use super::stillness::check_still;
use super::target::{fill, filled, is_as_moved};
use crate::database::Connection;
use crate::moved::Mark;
use crate::postgres::DatabaseAddress;
use crate::{Record, RecordError};

impl Record {
    /// Moves the record in a data directory to a database on a server, whose tables [`Record::migrate_database`] has made and which has
    /// nothing in it. The record in the directory is marked, and opens no more.
    ///
    /// Where an error leaves it open whether the server has the record (`move-unsettled`), or the program ended meanwhile, the same
    /// call completes or repeats the move.
    ///
    /// # Errors
    /// When the record is in use, or the database is not empty; when their tables are not those of this program; when the host key is
    /// another one; when a text has a NUL character; and when one of them can't be read or written. Nothing is moved then.
    pub async fn copy_to_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<Copied, CopyError> {
        let catalog = Catalog::of_this_program().await?;
        let source = Opened::in_directory(data_dir, host_key).await?;
        let server = Server::open(address).await?;
        let copied = copy_to(&catalog, &source, &server).await;
        source.writer.close().await;
        server.close().await;
        copied
    }
}

/// What is in the target of a move that may have been begun before.
enum Found {
    Nothing,
    Moved(Copied),
}

async fn copy_to(catalog: &Catalog, source: &Opened, server: &Server) -> Result<Copied, CopyError> {
    let mut to = server.pools.writer.begin_move().await?;
    if let Found::Moved(copied) = find(catalog, source, server, &mut to).await? {
        to.rollback().await?;
        return Ok(copied);
    }
    let mut from = source.writer.begin_move().await?;
    check_still(&mut from).await?;
    let mark = fill(catalog, &mut from, &mut to, server.name.clone()).await?;
    // From here on, nobody opens the record in the directory, so that none goes on there beside the one on the server.
    set_mark(&mut from, &mark).await?;
    from.commit().await?;
    match to.commit().await {
        Ok(()) => Ok(mark.into()),
        Err(error) => settle(catalog, source, server, mark, error).await,
    }
}

/// Looks at what is in the database, and refuses everything but nothing and what this source was moved there as.
async fn find(
    catalog: &Catalog,
    source: &Opened,
    server: &Server,
    to: &mut Connection,
) -> Result<Found, CopyError> {
    if let Some(mark) = &source.mark
        && mark.to != server.name
    {
        return Err(mark.error().into());
    }
    if let Some(mark) = mark_of(to).await? {
        return Err(mark.error().into());
    }
    let tables = filled(catalog, to).await?;
    match &source.mark {
        _ if tables.is_empty() => Ok(Found::Nothing),
        Some(mark) if is_as_moved(catalog, to, mark).await? => Ok(Found::Moved(mark.clone().into())),
        Some(mark) => Err(mark.error().into()),
        None => Err(CopyError::NotEmpty {
            database: server.name.clone(),
            tables,
        }),
    }
}

/// Finds out what became of a commit that was not confirmed. Who has the turn knows: the transaction has ended by then.
pub(super) async fn settle(
    catalog: &Catalog,
    source: &Opened,
    server: &Server,
    mark: Mark,
    error: RecordError,
) -> Result<Copied, CopyError> {
    let look = async {
        let mut to = server.pools.writer.begin_move().await?;
        let is_there = is_as_moved(catalog, &mut to, &mark).await?;
        let is_empty = !is_there && filled(catalog, &mut to).await?.is_empty();
        to.rollback().await?;
        Ok((is_there, is_empty))
    };
    match look.await {
        Ok((true, _)) => Ok(mark.into()),
        Ok((false, true)) => {
            clear_mark(&source.writer).await?;
            Err(error.not_written().into())
        }
        Ok((false, false)) => Err(mark.error().into()),
        Err(source) => Err(server.unsettled(source)),
    }
}

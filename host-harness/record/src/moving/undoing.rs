//! The undoing of a move: the record goes on where it was, and no more where it went.

use std::path::Path;

use bss_keys::HostKeySource;

use super::catalog::Catalog;
use super::copy_error::CopyError;
use super::directory::{Directory, Opened};
use super::marking::{clear_mark, mark_of, set_mark};
use super::server::Server;
use super::target::{filled, is_as_moved};
use crate::database::Pool;
use crate::moved::Mark;
use crate::postgres::DatabaseAddress;
use crate::{Record, own_files};

impl Record {
    /// Has the record of a data directory go on there that was moved to a database on a server, as long as nothing was written there
    /// since. The database is marked, and opens no more.
    ///
    /// # Errors
    /// When the record was not moved, or to another database; when the database was written to; and when one of them can't be read or
    /// written. Where it is not known whether the database is marked (`move-unsettled`), the same call completes it.
    pub async fn undo_copy_to_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<(), CopyError> {
        let catalog = Catalog::of_this_program().await?;
        let directory = Opened::in_directory(data_dir, host_key).await?;
        let server = Server::open(address).await?;
        let undone = undo(
            &catalog,
            &Place::of_directory(&directory),
            &Place::of_server(&server),
        )
        .await;
        directory.writer.close().await;
        server.close().await;
        undone
    }

    /// Has the record in a database on a server go on there that was moved to a data directory, as long as nothing was written in that
    /// since, or it has none. The record in the directory is marked, and opens no more.
    ///
    /// # Errors
    /// When the record was not moved, or to another directory; when the one there was written to; and when one of them can't be read or
    /// written.
    pub async fn undo_copy_from_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<(), CopyError> {
        let catalog = Catalog::of_this_program().await?;
        let directory = Directory::lock(data_dir, host_key).await?;
        let server = Server::open(address).await?;
        let undone = undo_arrival(&catalog, directory, &server).await;
        server.close().await;
        undone
    }
}

/// Where a record was, or where it went.
struct Place<'p> {
    pool: &'p Pool,
    name: String,
}

impl<'p> Place<'p> {
    fn of_directory(opened: &'p Opened) -> Self {
        Self {
            pool: &opened.writer,
            name: opened.directory.name(),
        }
    }

    fn of_server(server: &'p Server) -> Self {
        Self {
            pool: &server.pools.writer,
            name: server.name.clone(),
        }
    }
}

async fn undo_arrival(catalog: &Catalog, directory: Directory, server: &Server) -> Result<(), CopyError> {
    let source = Place::of_server(server);
    if own_files::is_missing(&directory.file())? {
        mark_to(&source, &directory.name()).await?;
        return Ok(clear_mark(source.pool).await?);
    }
    let directory = directory.open().await?;
    let undone = undo(catalog, &source, &Place::of_directory(&directory)).await;
    directory.writer.close().await;
    undone
}

async fn undo(catalog: &Catalog, source: &Place<'_>, target: &Place<'_>) -> Result<(), CopyError> {
    let mark = mark_to(source, &target.name).await?;
    // From here on, nobody opens the record where it went, so that none goes on there beside the one that was left.
    leave(catalog, mark, source, target).await?;
    Ok(clear_mark(source.pool).await?)
}

/// The mark that was left of a record that went to a place of that name.
async fn mark_to(source: &Place<'_>, target: &str) -> Result<Mark, CopyError> {
    let mark = mark_of(&mut source.pool.acquire().await?).await?;
    let mark = mark.ok_or_else(|| CopyError::NotMoved {
        place: source.name.clone(),
    })?;
    match mark.to == target {
        true => Ok(mark),
        false => Err(mark.error().into()),
    }
}

/// Marks a record as one that went back, unless it is already, or there is none.
async fn leave(
    catalog: &Catalog,
    mark: Mark,
    source: &Place<'_>,
    target: &Place<'_>,
) -> Result<(), CopyError> {
    let mut leaving = target.pool.begin_move().await?;
    match mark_of(&mut leaving).await? {
        // The source was not heard of when this was done before.
        Some(found) if found.to == source.name => return Ok(leaving.rollback().await?),
        Some(found) => return Err(found.error().into()),
        None if filled(catalog, &mut leaving).await?.is_empty() => return Ok(leaving.rollback().await?),
        None if is_as_moved(catalog, &mut leaving, &mark).await? => {}
        None => {
            return Err(CopyError::GoesOn {
                place: target.name.clone(),
            });
        }
    }
    let back = Mark {
        to: source.name.clone(),
        at_ms: leaving.now_ms(),
        ..mark
    };
    set_mark(&mut leaving, &back).await?;
    leaving.commit().await.map_err(|source| CopyError::Unsettled {
        place: target.name.clone(),
        source,
    })
}

//! From a database on a server to the file of a data directory.

use std::fs;
use std::path::{Path, PathBuf};

use bss_keys::HostKeySource;

use super::Copied;
use super::catalog::Catalog;
use super::copy_error::CopyError;
use super::directory::Directory;
use super::marking::{mark_of, set_mark};
use super::server::{Server, check_key};
use super::stillness::{check_alone, check_still};
use super::target::fill;
use crate::database::{Connection, sqlite};
use crate::migrations::MIGRATIONS;
use crate::moved::Mark;
use crate::own_files::{self, BESIDE, with_ending};
use crate::postgres::DatabaseAddress;
use crate::provenance::{self, Arrival};
use crate::{Record, RecordError, absolute, erased_customers};

impl Record {
    /// Moves the record in a database on a server to a data directory that has none, with the host key that is given or is there
    /// already. The database is marked, and opens no more.
    ///
    /// Where an error leaves it open whether the database is marked (`move-unsettled`), or the program ended meanwhile, the same call
    /// repeats the move.
    ///
    /// # Errors
    /// When the record is in use, or the directory has one or has had one; when the tables are not those of this program; when the host
    /// key is another one; and when one of them can't be read or written. Nothing is moved then.
    pub async fn copy_from_server(
        data_dir: &Path,
        host_key: &HostKeySource,
        address: &DatabaseAddress,
    ) -> Result<Copied, CopyError> {
        let catalog = Catalog::of_this_program().await?;
        let directory = Directory::lock(data_dir, host_key).await?;
        if !own_files::is_missing(&directory.file())? {
            let path = absolute(data_dir);
            return Err(RecordError::Exists { path }.into());
        }
        let server = Server::open(address).await?;
        let copied = copy_from(&catalog, &directory, &server).await;
        server.close().await;
        if copied.is_err() {
            // What went wrong says more than a copy that can't be removed; the next one removes it.
            let _ = remove(&arriving(&directory));
        }
        copied
    }
}

async fn copy_from(catalog: &Catalog, directory: &Directory, server: &Server) -> Result<Copied, CopyError> {
    let mut from = server.pools.writer.begin_move().await?;
    let earlier = mark_of(&mut from).await?;
    match &earlier {
        // The directory did not get its record when the database was marked before.
        Some(mark) if mark.to == directory.name() => {}
        Some(mark) => return Err(mark.error().into()),
        None => provenance::check_not_lost(&directory.path)?,
    }
    check_key(&mut from, &directory.host_key, &server.name).await?;
    lock_tables(catalog, &mut from).await?;
    check_still(&mut from).await?;
    check_alone(&mut from, &server.name).await?;
    let erased = erased_customers::on_record(&mut from).await?;
    let (mark, arrival) = arrive(catalog, directory, &mut from).await?;
    if earlier.is_none() {
        // From here on, nobody opens the record on the server, so that none goes on there beside the one in the directory.
        set_mark(&mut from, &mark).await?;
        if let Err(error) = from.commit().await {
            settle(server, &mark, error).await?;
        }
    }
    let failed = |source| RecordError::Directory {
        path: directory.path.clone(),
        source,
    };
    fs::rename(arriving(directory), directory.file()).map_err(failed)?;
    own_files::sync_directory_of(&directory.file()).map_err(failed)?;
    provenance::testify_arrival(&directory.path, &arrival)?;
    erased_customers::add_to_file(&directory.path, &erased)?;
    Ok(mark.into())
}

/// Keeps everybody from writing until the end of the transaction, also those who write without a turn.
async fn lock_tables(catalog: &Catalog, from: &mut Connection) -> Result<(), RecordError> {
    let names = catalog.tables.iter().map(|table| format!("\"{}\"", table.name));
    let names: Vec<String> = names.collect();
    let lock = from.composed(format!("LOCK TABLE workers, {} IN SHARE MODE", names.join(", ")));
    lock.execute().await.map(drop)
}

/// Makes the file of the record, under another name.
async fn arrive(
    catalog: &Catalog,
    directory: &Directory,
    from: &mut Connection,
) -> Result<(Mark, Arrival), CopyError> {
    let file = arriving(directory);
    remove(&file)?;
    own_files::make_private(&file)?;
    let pool = sqlite::alone_pool(&file).await?;
    let filled = async {
        pool.migrate(&MIGRATIONS).await?;
        let mut to = pool.begin_write().await?;
        let mark = fill(catalog, from, &mut to, directory.name()).await?;
        let arrival = provenance::arrive(&mut to, &directory.path, &file).await?;
        to.commit().await?;
        Ok((mark, arrival))
    };
    let filled = filled.await;
    pool.close().await;
    filled
}

fn arriving(directory: &Directory) -> PathBuf {
    with_ending(&directory.file(), ".arriving")
}

fn remove(file: &Path) -> Result<(), RecordError> {
    for ending in BESIDE.into_iter().chain([""]) {
        own_files::remove_if_there(&with_ending(file, ending)).map_err(|source| RecordError::Directory {
            path: file.to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// Finds out whether a database was marked whose commit was not confirmed. Who has the turn knows: the transaction has ended by then.
pub(super) async fn settle(server: &Server, mark: &Mark, error: RecordError) -> Result<(), CopyError> {
    let look = async {
        let mut from = server.pools.writer.begin_move().await?;
        let found = mark_of(&mut from).await?;
        from.rollback().await?;
        Ok(found)
    };
    match look.await {
        Ok(Some(found)) if found == *mark => Ok(()),
        Ok(_) => Err(error.not_written().into()),
        Err(source) => Err(server.unsettled(source)),
    }
}

//! The database on a server that a record is moved from or to.

use std::path::Path;

use bss_keys::HostKey;

use super::copy_error::CopyError;
use crate::database::Connection;
use crate::database::postgres::{self, Pools};
use crate::postgres::{DatabaseAddress, Intent, steps};
use crate::server_record::{check, check_steps};
use crate::{RecordError, open_check};

/// How the server's operator sees connections that move a record, and how they are told from those of programs that use it.
const APPLICATION_NAME: &str = "bss-host moving a record";

/// A database on a server, with the tables of this program.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) pools: Pools,
    /// The database as a mark names it: without a password.
    pub(super) name: String,
}

impl Server {
    pub(super) async fn open(address: &DatabaseAddress) -> Result<Self, RecordError> {
        let options = address.options().application_name(APPLICATION_NAME);
        for warning in check(options.clone(), Intent::Use).await? {
            tracing::warn!("{warning}");
        }
        let pools = postgres::open(options, address.forgets_statements()).await?;
        check_steps(&pools.readers, &steps()).await?;
        Ok(Self {
            pools,
            name: address.to_string(),
        })
    }

    /// The error of a move of which the server does not say whether it has it.
    pub(super) fn unsettled(&self, source: RecordError) -> CopyError {
        CopyError::Unsettled {
            place: self.name.clone(),
            source,
        }
    }

    pub(super) async fn close(self) {
        self.pools.writer.close().await;
        self.pools.readers.close().await;
    }
}

/// Fails unless a host key is that of the record in a database.
pub(super) async fn check_key(
    connection: &mut Connection,
    host_key: &HostKey,
    database: &str,
) -> Result<(), RecordError> {
    let sealed = connection.sql("SELECT sealed FROM host_key_checks WHERE id = 1");
    let sealed: Option<Vec<u8>> = sealed.scalar_optional().await?;
    let sealed = sealed.ok_or_else(|| RecordError::NoRecord {
        path: database.into(),
    })?;
    open_check(&sealed, host_key, Path::new(database)).map(drop)
}

//! A record on a PostgreSQL server that many hosts of this process share.

use std::path::Path;
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource};
use bss_record::{DatabaseAddress, Record};
use host_harness::Host;

use super::BenchError;

/// A database on a server, and the key of the hosts that have it.
#[derive(Clone, Debug)]
pub struct ServerRecord {
    address: DatabaseAddress,
    host_key: HostKeySource,
}

impl ServerRecord {
    /// A record that is to be made in an empty database.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(address: DatabaseAddress) -> Result<Self, BenchError> {
        let key = HostKey::generate().map_err(BenchError::when("no host key can be made"))?;
        Ok(Self {
            address,
            host_key: HostKeySource::Given(Arc::new(key)),
        })
    }

    /// Makes the record, with a host whose other files are in `data_dir`.
    pub(super) async fn made(&self, data_dir: &Path, plugin: &Path) -> Result<Host, BenchError> {
        let builder = Host::builder(data_dir).plugin_file(plugin);
        let builder = builder.host_key(self.host_key.clone());
        let host = builder.database(Some(self.address.clone())).create().await;
        host.map_err(BenchError::when("the record can't be made on the server"))
    }

    /// Another host of the record, whose other files are in `data_dir`.
    pub(super) async fn opened(&self, data_dir: &Path, plugin: &Path) -> Result<Host, BenchError> {
        let builder = Host::builder(data_dir).plugin_file(plugin);
        let builder = builder.host_key(self.host_key.clone());
        let host = builder.database(Some(self.address.clone())).open().await;
        host.map_err(BenchError::when("the record on the server can't be opened"))
    }

    /// Moves a closed record in a data directory to the server, with its host key from now on.
    pub(super) async fn move_from(&mut self, data_dir: &Path) -> Result<(), BenchError> {
        let key = HostKeySource::default()
            .key(data_dir, false)
            .map_err(BenchError::when("the host key can't be read"))?;
        self.host_key = HostKeySource::Given(key);
        Record::migrate_database(&self.address)
            .await
            .map_err(BenchError::when("the tables can't be made on the server"))?;
        Record::copy_to_server(data_dir, &self.host_key, &self.address)
            .await
            .map_err(BenchError::when("the record can't be moved to the server"))?;
        Ok(())
    }
}

//! Where a benchmark has its record, if that is on a server.

use bss_bench::{BenchError, ServerRecord};
use clap::Args;
use host_harness::DatabaseAddress;

use super::super::failure::parsed;

#[derive(Debug, Default, Args)]
pub(super) struct ServerArguments {
    /// The address of an empty database on a PostgreSQL server that is to have the record, in place of a file
    #[arg(long, value_name = "URL", value_parser = parsed::<DatabaseAddress>)]
    server: Option<DatabaseAddress>,
}

impl ServerArguments {
    /// The record, which is not made yet. `None`: it is in a file.
    pub(super) fn record(&self) -> Result<Option<ServerRecord>, BenchError> {
        self.server.clone().map(ServerRecord::new).transpose()
    }
}

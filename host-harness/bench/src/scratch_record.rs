//! A record apart from any host's, to measure how long a definition takes to be applied.

use std::time::{Duration, Instant};

use bss_keys::HostKeySource;
use bss_model::{NewInstance, Reach, RunLease, SkippedItems};
use bss_record::Record;
use bss_sandbox::bindings::services_definition::{Product, Summary};
use host_harness::internals::recorded_reading;
use tempfile::TempDir;
use uuid::Uuid;

use super::{BenchError, actor};

/// The lease of a run: longer than any transaction takes.
const LEASE: Duration = Duration::from_secs(60 * 60);

/// A record with one instance and nothing else; its files are gone when it is dropped.
pub struct ScratchRecord {
    record: Record,
    instance: bss_model::Instance,
    _folder: TempDir,
}

/// The effect of one transaction, and the time that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The time from the transaction's beginning to its end on the disk.
    pub took: Duration,
    /// Products that were not stored before.
    pub new: usize,
    /// Products that were stored before, and differ.
    pub changed: usize,
}

impl ScratchRecord {
    /// Makes a record in the system's temporary directory.
    ///
    /// # Errors
    /// When the record can't be made.
    pub async fn open() -> Result<Self, BenchError> {
        let folder =
            tempfile::tempdir().map_err(BenchError::when("a temporary directory can't be created"))?;
        let record = Record::create(folder.path(), &HostKeySource::default())
            .await
            .map_err(BenchError::when("the record can't be opened"))?;
        let instance = NewInstance {
            owner: None,
            name: "bench".to_owned(),
            currency: "EUR".to_owned(),
            options: [].into(),
            reach: Reach::default(),
            plugin: None,
        };
        let instance = record
            .create_instance(instance, &actor())
            .await
            .map_err(BenchError::when("the instance can't be created in the record"))?;
        Ok(Self {
            record,
            instance,
            _folder: folder,
        })
    }

    /// Applies the result of a reading, as the end of a run does: products, differences and the run's state in one
    /// transaction.
    ///
    /// # Errors
    /// When the record does not take the result.
    pub async fn apply(&self, summary: Summary, products: Vec<Product>) -> Result<Applied, BenchError> {
        let lease = RunLease {
            owner: Uuid::new_v4(),
            length: LEASE,
        };
        let run = self
            .record
            .start_services_run(self.instance.id, Some(lease), &actor())
            .await
            .map_err(BenchError::when("the run can't be started in the record"))?;
        let skipped = u32::try_from(summary.skipped.len()).unwrap_or(u32::MAX);
        let definition = recorded_reading(summary, products, SkippedItems::default());
        let begun = Instant::now();
        let difference = self
            .record
            .complete_services_run(run, lease, self.instance.version, definition, skipped)
            .await
            .map_err(BenchError::when(
                "the services definition can't be saved in the record",
            ))?;
        Ok(Applied {
            took: begun.elapsed(),
            new: difference.new.len(),
            changed: difference.changed.len(),
        })
    }
}

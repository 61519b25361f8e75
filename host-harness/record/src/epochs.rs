//! Epochs of a database on a server: what follows when it may have forgotten what it had said was written.
//!
//! The first of all hosts that writes in a new epoch puts in doubt what is open, before anything else is written. A host that finds that
//! the new epoch began with fewer dispatches than it had seen counted knows that some were forgotten, and says so: what was done since is
//! not known then, as after a restored backup.
//!
//! A database whose server was put back to an earlier moment without a new timeline, as by a snapshot of its disk, shows by the dispatches
//! that a host has seen, and where no host is left that has, by nothing.

use bss_model::restoration::Evidence;

use super::provenance::{self, Witnessed, short};
use super::workers::forget_all;
use super::{Record, RecordError};
use crate::database::{Connection, Epoch, Transaction};

impl Record {
    /// Begins a transaction that writes. Where the database is in an epoch that this program has not gone on in, what follows from that is
    /// written first.
    pub(super) async fn begin_write(&self) -> Result<Transaction, RecordError> {
        loop {
            let mut transaction = self.writer.begin_write().await?;
            let Some(epoch) = transaction.unsettled() else {
                return Ok(transaction);
            };
            let sequence = settle(&mut transaction, &epoch, &self.dispatches.witnessed()).await?;
            transaction.commit().await?;
            self.dispatches.go_on_in(&epoch.now, sequence)?;
            self.writer.go_on_in(epoch);
        }
    }
}

/// Writes what follows from an epoch, and returns how many dispatches the record has counted.
pub(super) async fn settle(
    transaction: &mut Connection,
    epoch: &Epoch,
    witnessed: &Witnessed,
) -> Result<i64, RecordError> {
    let Some(known) = provenance::known(transaction).await? else {
        return Err(RecordError::NoTables);
    };
    let mut sequence = known.sequence;
    let is_new = epoch.known.as_deref() != Some(epoch.now.as_str());
    if is_new {
        if let Some(former) = &epoch.known {
            // What each of them had begun may be forgotten.
            forget_all(transaction).await?;
            sequence = sequence.saturating_add(1);
            let evidence = evidence(former, &epoch.now);
            provenance::doubt_on_server(transaction, &known, evidence, sequence).await?;
        }
        transaction
            .sql("UPDATE turn SET epoch = $1, begun_at_sequence = $2")
            .bind(&epoch.now)
            .bind(known.sequence)
            .execute()
            .await?;
    }
    let begun_at = transaction.sql("SELECT begun_at_sequence FROM turn").scalar();
    let begun_at: i64 = begun_at.await?;
    let last_known = match witnessed.epoch == short(&epoch.now) {
        true => known.sequence,
        false => begun_at,
    };
    if !witnessed.epoch.is_empty() && witnessed.highest > last_known {
        forget_all(transaction).await?;
        sequence = sequence.max(witnessed.highest).saturating_add(1);
        provenance::doubt_on_server(transaction, &known, Evidence::Outdated, sequence).await?;
    }
    Ok(sequence)
}

/// What shows between two epochs: the identifier of a server's database system, its timeline, and the table of the turn.
fn evidence(former: &str, now: &str) -> Evidence {
    let parts = |epoch: &str| {
        let mut words = epoch.split(' ').map(str::to_owned);
        (words.next(), words.next(), words.next())
    };
    let ((system, timeline, table), now) = (parts(former), parts(now));
    match system == now.0 && table == now.2 && timeline != now.1 {
        true => Evidence::Failover,
        false => Evidence::AnotherFile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_timeline_is_a_failover_and_another_server_or_table_a_copy() {
        let former = "7 00000001 16384";
        for (now, expected) in [
            ("7 00000002 16384", Evidence::Failover),
            ("8 00000001 16384", Evidence::AnotherFile),
            ("8 00000002 16384", Evidence::AnotherFile),
            ("7 00000001 16999", Evidence::AnotherFile),
            ("7 00000002 16999", Evidence::AnotherFile),
        ] {
            assert_eq!(evidence(former, now), expected, "{now}");
        }
    }
}

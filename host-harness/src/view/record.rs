//! The record, its backups and its restorations as views show them.

use std::path::PathBuf;

use bss_model::restoration;
use bss_record::{Copied, Restored, TableDigest, Verified, VerifiedServer};
use serde::Serialize;
use uuid::Uuid;

use super::word;

/// A record, or a backup of one, that was found sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// The record's own id, the same in all its copies.
    pub record_id: Uuid,
    /// When the backup was made, in milliseconds. `None`: the file is the record itself.
    pub backup_at_ms: Option<i64>,
    /// The file's length.
    pub bytes: u64,
    /// The SHA-256 digest of the backup. `None`: the record itself, which changes all the time.
    pub sha256: Option<String>,
}

impl From<&Verified> for Backup {
    fn from(verified: &Verified) -> Self {
        Self {
            file: verified.path.clone(),
            record_id: verified.record,
            backup_at_ms: verified.backup_at_ms,
            bytes: verified.bytes,
            sha256: verified.sha256.clone(),
        }
    }
}

/// The rows of a table, as they were copied or verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedTable {
    /// The table's name.
    pub table: String,
    /// The number of its rows.
    pub rows: u64,
    /// The SHA-256 digest of them all, the same on every engine.
    pub sha256: String,
}

impl From<&TableDigest> for CopiedTable {
    fn from(digest: &TableDigest) -> Self {
        Self {
            table: digest.table.clone(),
            rows: digest.rows,
            sha256: digest.sha256.clone(),
        }
    }
}

/// Where a record is, or its tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordPlace {
    /// The data directory, or the database on a server without its password.
    pub place: String,
}

/// A record that was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedRecord {
    /// Where it goes on, without any password.
    pub to: String,
    /// When it was moved, in milliseconds.
    pub at_ms: i64,
    /// What it has.
    pub tables: Vec<CopiedTable>,
}

impl From<&Copied> for MovedRecord {
    fn from(copied: &Copied) -> Self {
        Self {
            to: copied.to.clone(),
            at_ms: copied.at_ms,
            tables: copied.tables.iter().map(CopiedTable::from).collect(),
        }
    }
}

/// A record on a server that was found sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedDatabase {
    /// The record's own id.
    pub record_id: Uuid,
    /// What it has.
    pub tables: Vec<CopiedTable>,
    /// The number of sealed values, all of which were opened.
    pub sealed_values: u64,
}

impl From<&VerifiedServer> for VerifiedDatabase {
    fn from(verified: &VerifiedServer) -> Self {
        Self {
            record_id: verified.record,
            tables: verified.tables.iter().map(CopiedTable::from).collect(),
            sealed_values: verified.sealed_values,
        }
    }
}

/// A time at which the record was found to be restored, copied or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restoration {
    /// Counts up from 1.
    pub number: i64,
    /// When it was noticed, in milliseconds.
    pub noticed_at_ms: i64,
    /// What showed it: `backup`, `no-witness`, `outdated`, `another-machine`, `another-file`, `failover`, `told`.
    pub evidence: String,
    /// Order lines that are looked up before they are bought.
    pub order_lines: u64,
    /// Returns that are looked up before they are asked for.
    pub returns: u64,
    /// E-mails that were held back.
    pub mails: u64,
}

impl From<&restoration::Restoration> for Restoration {
    fn from(noticed: &restoration::Restoration) -> Self {
        Self {
            number: noticed.number,
            noticed_at_ms: noticed.noticed_at_ms,
            evidence: word(noticed.evidence.word()),
            order_lines: noticed.order_lines,
            returns: noticed.returns,
            mails: noticed.mails,
        }
    }
}

/// A record that was made for a new data directory, or was there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeRecord {
    /// The record's own id, the same in all its copies.
    pub id: Uuid,
    /// Whether the record was made now.
    pub is_new: bool,
    /// The database's file. `None`: a server keeps it.
    pub file: Option<PathBuf>,
    /// The address of the database on a server, without its password. `None`: it is in the file.
    pub database: Option<String>,
    /// The file of the host key in the data directory. `None`: the key is kept elsewhere.
    pub host_key_file: Option<PathBuf>,
}

/// A backup that has taken the place of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredRecord {
    /// The backup.
    pub backup: Backup,
    /// The name under which the files of the former record are kept. `None`: there was none.
    pub replaced: Option<PathBuf>,
    /// What was put in doubt.
    pub restoration: Option<Restoration>,
}

impl From<&Restored> for RestoredRecord {
    fn from(restored: &Restored) -> Self {
        Self {
            backup: (&restored.backup).into(),
            replaced: restored.replaced.clone(),
            restoration: restored.restoration.as_ref().map(Into::into),
        }
    }
}

/// The record of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The record's own id, the same in all its copies.
    pub id: Uuid,
    /// Whether another copy of the record may be in use, so that order lines from before the restoration are looked up and
    /// not bought.
    pub awaits_adoption: bool,
    /// How long a purchase or return in doubt is only looked up before it is sent again.
    pub look_up_only_seconds: u64,
    /// E-mails that are held back.
    pub held_mails: u64,
    /// Erased customers that the record has again, because an older backup was restored since.
    pub customers_to_erase_again: u64,
    /// The restorations that were noticed, the latest first.
    pub restorations: Vec<Restoration>,
}

#[cfg(test)]
mod tests {
    use bss_model::restoration::Evidence;

    use super::*;
    use crate::view::examples::assert_json;

    #[test]
    fn a_restored_record_is_shown_with_what_was_put_in_doubt() {
        let backup = Verified {
            path: PathBuf::from("b.db"),
            record: Uuid::from_u128(1),
            backup_at_ms: Some(5),
            bytes: 4_096,
            sha256: Some("00ff".to_owned()),
        };
        let restoration = restoration::Restoration {
            number: 1,
            noticed_at_ms: 6,
            evidence: Evidence::Outdated,
            order_lines: 2,
            returns: 1,
            mails: 3,
        };
        let restored = Restored {
            backup,
            replaced: Some(PathBuf::from("record.db.replaced-5")),
            restoration: Some(restoration),
        };
        let expected = r#"
{
  "backup": {
    "file": "b.db",
    "recordId": "00000000-0000-0000-0000-000000000001",
    "backupAtMs": 5,
    "bytes": 4096,
    "sha256": "00ff"
  },
  "replaced": "record.db.replaced-5",
  "restoration": {
    "number": 1,
    "noticedAtMs": 6,
    "evidence": "outdated",
    "orderLines": 2,
    "returns": 1,
    "mails": 3
  }
}"#;
        assert_json(&RestoredRecord::from(&restored), expected);
    }
}

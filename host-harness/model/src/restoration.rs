//! Restorations: what shows that a record is not the one that did the last things, and what follows.
//!
//! | what is seen when the record is opened | evidence |
//! |---|---|
//! | the file was made by a backup | backup |
//! | the file beside the database is missing, or belongs to another record | no witness |
//! | the machine has another id | another machine |
//! | the data directory is another one | another file |
//! | the file beside the database counts more dispatches than the database | outdated |
//! | the database is another file | another file |
//! | none of these | the record goes on |
//!
//! A record on a server shows by the database's epoch and by how many dispatches each host has seen counted; see `epochs` in `bss-record`.
//!
//! A record that was restored does not know what was done after its copy was made. So every purchase and every return that
//! is open is in doubt, and every e-mail that waits is held back. Where the copy may run beside the original, nothing that is
//! in doubt is bought until somebody adopts the record, and so says that no other copy goes on. An older database in the
//! place of the newer one, in the same directory of the same machine, has no original beside it.

use uuid::Uuid;

use crate::words::stored_enum;

/// What shows that a record was restored, copied or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The database was made by a backup.
    Backup,
    /// The file that counts the record's dispatches is missing, or is another record's.
    NoWitness,
    /// The database is older than what was done: it was replaced by an older copy, or lost its write-ahead log.
    Outdated,
    /// The record was last opened on another machine.
    AnotherMachine,
    /// The record was last opened in another file, or in another database of a server.
    AnotherFile,
    /// Another server took over the database, and may not have all that the former one had said was written.
    Failover,
    /// An operator has said that it was put back to an earlier moment.
    Told,
}

stored_enum!(Evidence {
    Backup = "backup", "made by a backup";
    NoWitness = "no_witness", "without the file that counts its dispatches";
    Outdated = "outdated", "older than what was done";
    AnotherMachine = "another_machine", "moved to another machine";
    AnotherFile = "another_file", "copied";
    Failover = "failover", "after a failover of its server";
    Told = "told", "put back to an earlier moment";
});

/// A place where a record is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The id of the machine's installation. `None`: the machine has none.
    pub machine: Option<String>,
    /// The identity of the data directory, which no copy of it shares. `None`: it is not known.
    pub directory: Option<String>,
    /// The identity of the database's file, which no copy of it shares.
    pub file: String,
}

/// What a record knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The record's id, the same in all its copies.
    pub record: Uuid,
    /// The number of its dispatches: purchases, returns and e-mails that it set out to make.
    pub sequence: i64,
    /// The place where it was last opened.
    pub place: Place,
    /// Whether a backup made this copy.
    pub is_backup: bool,
}

/// What the file beside the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The record that it is about.
    pub record: Uuid,
    /// The number of the record's dispatches, or a little less.
    pub sequence: i64,
}

/// What shows that the record was restored, copied or moved. `None`: nothing does.
pub fn evidence(known: &Provenance, here: &Place, witness: Option<Witness>) -> Option<Evidence> {
    let moved =
        known.place.machine.is_some() && here.machine.is_some() && known.place.machine != here.machine;
    let is_same_file = known.place.file == here.file;
    // A record that is older than the identity of directories knows its own by its file.
    let is_same_directory = match (&known.place.directory, &here.directory) {
        (Some(known), Some(here)) => known == here,
        _ => is_same_file,
    };
    let witness = witness.filter(|witness| witness.record == known.record);
    match witness {
        _ if known.is_backup => Some(Evidence::Backup),
        None => Some(Evidence::NoWitness),
        Some(_) if moved => Some(Evidence::AnotherMachine),
        Some(_) if !is_same_directory => Some(Evidence::AnotherFile),
        Some(witness) if witness.sequence > known.sequence => Some(Evidence::Outdated),
        Some(_) if !is_same_file => Some(Evidence::AnotherFile),
        Some(_) => None,
    }
}

impl Evidence {
    /// Whether the original may go on beside this copy.
    pub fn may_have_an_original(self) -> bool {
        match self {
            Self::Backup | Self::NoWitness | Self::AnotherMachine | Self::AnotherFile => true,
            Self::Outdated | Self::Failover | Self::Told => false,
        }
    }
}

/// A restoration that was noticed, and how much it put in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Counts up from 1.
    pub number: i64,
    /// When it was noticed, in milliseconds since 1970.
    pub noticed_at_ms: i64,
    /// What showed it.
    pub evidence: Evidence,
    /// Order lines without a license: each is looked up before it is bought.
    pub order_lines: u64,
    /// Returns that are open: each is looked up before it is asked for.
    pub returns: u64,
    /// E-mails that are held back until somebody releases them.
    pub mails: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Provenance {
        Provenance {
            record: Uuid::from_u128(1),
            sequence: 10,
            place: place(Some("m"), "d", "f"),
            is_backup: false,
        }
    }

    fn place(machine: Option<&str>, directory: &str, file: &str) -> Place {
        Place {
            machine: machine.map(str::to_owned),
            directory: Some(directory.to_owned()),
            file: file.to_owned(),
        }
    }

    fn witness(record: u128, sequence: i64) -> Option<Witness> {
        let record = Uuid::from_u128(record);
        Some(Witness { record, sequence })
    }

    #[test]
    fn a_record_that_was_not_touched_goes_on() {
        let here = place(Some("m"), "d", "f");
        for sequence in [10, 9] {
            assert_eq!(
                evidence(&known(), &here, witness(1, sequence)),
                None,
                "{sequence}"
            );
        }
        let nameless = place(None, "d", "f");
        assert_eq!(evidence(&known(), &nameless, witness(1, 10)), None);
        let was_nameless = Provenance {
            place: place(None, "d", "f"),
            ..known()
        };
        assert_eq!(evidence(&was_nameless, &here, witness(1, 10)), None);
    }

    #[test]
    fn every_kind_of_copy_shows() {
        let here = place(Some("m"), "d", "f");
        let backup = Provenance {
            is_backup: true,
            ..known()
        };
        let cases = [
            (backup, &here, witness(1, 10), Evidence::Backup),
            (known(), &here, None, Evidence::NoWitness),
            (known(), &here, witness(2, 10), Evidence::NoWitness),
            (known(), &here, witness(1, 11), Evidence::Outdated),
            // Another file in the same directory is what an older copy in the place of the newer one is.
            (
                known(),
                &place(Some("m"), "d", "g"),
                witness(1, 11),
                Evidence::Outdated,
            ),
            (
                known(),
                &place(Some("n"), "e", "g"),
                witness(1, 10),
                Evidence::AnotherMachine,
            ),
            (
                known(),
                &place(Some("m"), "d", "g"),
                witness(1, 10),
                Evidence::AnotherFile,
            ),
        ];
        for (known, here, witness, expected) in cases {
            assert_eq!(evidence(&known, here, witness), Some(expected));
        }
    }

    #[test]
    fn a_copy_with_a_newer_witness_beside_it_may_have_an_original_unless_it_is_in_the_original_s_place() {
        let cases = [
            (place(Some("n"), "d", "f"), true),
            (place(Some("m"), "e", "f"), true),
            (place(Some("m"), "e", "g"), true),
            (place(Some("m"), "d", "g"), false),
            (place(Some("m"), "d", "f"), false),
        ];
        let may_have_an_original = |known: &Provenance, here: &Place| {
            evidence(known, here, witness(1, 11)).map(Evidence::may_have_an_original)
        };
        for (here, expected) in &cases {
            assert_eq!(may_have_an_original(&known(), here), Some(*expected), "{here:?}");
        }
        let mut older = known();
        older.place.directory = None;
        assert_eq!(
            may_have_an_original(&older, &place(Some("m"), "d", "g")),
            Some(true)
        );
        assert_eq!(
            may_have_an_original(&older, &place(Some("m"), "d", "f")),
            Some(false)
        );
    }
}

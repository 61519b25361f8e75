//! Provenance: whether the database is still the one that did the last things, and what is put in doubt where it is not.
//!
//! A file beside the database, the witness, counts the record's dispatches: purchases, returns and e-mails that it set out to
//! make. A database that was restored without it, or that lost its write-ahead log, has counted fewer. A copy of the whole
//! directory shows by the identity of the database's file, and a copy on another machine by that machine's id. A snapshot
//! of a whole machine shows by none of these; what holds there is that an old line is looked up before it is bought.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest;
use bss_model::clock::{millis, now_ms};
use bss_model::moment::Moment;
use bss_model::purchase_rule::MEMORY;
use bss_model::restoration::{self, Evidence, Place, Provenance, Restoration, Witness};
use bss_model::{
    Act, Actor, AttemptResult, CancellationState, MailState, Problem, Reason, ReturnReason, ReturnResult,
    Subject, SyncStatus,
};
use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::operators;
use super::outcomes::last_number;
use super::own_files::{self, RECORD_FILE};
use super::own_files::{sync_directory_of, with_ending};
use super::passing_time;
use super::stored::{boot, certain, id, moment, optional, to_json, uptime_ms};
use super::webhooks::switch_all_off;
use super::{Record, RecordError};
use crate::database::{Builder, Connection, Pool, Row, sqlite};

/// The file beside the database that counts the record's dispatches.
pub const WITNESS_FILE: &str = "record.witness";
/// The characters of a digest in the witness.
const PLACE_CHARS: usize = 16;
/// The longest witness: an id, a number, two digests, blanks and a line end.
const WITNESS_BYTES_MAX: u64 = 128;
/// How much time must have passed until an opening of the record counts it. What is open counts it all the time.
const COUNTED_WHEN_OPENED: Duration = Duration::from_secs(60 * 60);
/// How long e-mails wait after a failover: a host that lives looks at the record every ten seconds.
const MAILS_WAIT: Duration = Duration::from_secs(60);
/// In the witness, in the place of the directory's identity: a server has the database.
const ON_SERVER: &str = "server----------";
/// The id of a Linux machine's installation (`machine-id(5)`).
const MACHINE_ID: &str = "/etc/machine-id";

/// The dispatches of a record that is open, and the files that show whether it is still in place.
#[derive(Debug)]
pub(super) struct Dispatches {
    /// The database's file, and its inode when it was opened. `None`: a server has it, whose files are not this host's to watch.
    database: Option<(PathBuf, u64)>,
    witness: PathBuf,
    record: Uuid,
    /// The digests of the identities of database and directory, or of a server's epoch.
    place: Mutex<WitnessedPlace>,
    /// The highest number that this process has written to the witness.
    highest: AtomicI64,
    /// Whether the log has been told that the witness can't be written.
    told: AtomicBool,
}

impl Dispatches {
    /// Fails if the database was replaced since it was opened: what is written now would be lost.
    fn check_in_place(&self) -> Result<(), RecordError> {
        let Some((database, inode)) = &self.database else {
            return Ok(());
        };
        match std::fs::metadata(database) {
            Ok(found) if found.ino() == *inode => Ok(()),
            _ => Err(RecordError::Replaced {
                path: database.clone(),
            }),
        }
    }

    /// The dispatches of a record on a server, as far as a witness has them.
    pub(super) fn on_server(data_dir: &Path, record: Uuid, witnessed: Option<Witnessed>) -> Self {
        let (epoch, highest) = witnessed.map_or_else(Default::default, |of| (of.epoch, of.highest));
        Self {
            database: None,
            witness: data_dir.join(WITNESS_FILE),
            record,
            place: Mutex::new(WitnessedPlace::server(epoch)),
            highest: AtomicI64::new(highest),
            told: AtomicBool::new(false),
        }
    }

    /// What this host has seen counted in a server's database.
    pub(super) fn witnessed(&self) -> Witnessed {
        Witnessed {
            epoch: self.place().file,
            highest: self.highest.load(Ordering::Relaxed),
        }
    }

    /// Goes on in an epoch of a server's database, which has counted so many dispatches.
    ///
    /// # Errors
    /// When the witness can't be written.
    pub(super) fn go_on_in(&self, epoch: &str, sequence: i64) -> Result<(), RecordError> {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = WitnessedPlace::server(short(epoch));
        self.highest.store(sequence, Ordering::Relaxed);
        let (record, place) = (self.record, self.place());
        let counted = Witness { record, sequence };
        write_witness(&self.witness, counted, &place).map_err(|source| RecordError::Directory {
            path: self.witness.clone(),
            source,
        })
    }

    fn place(&self) -> WitnessedPlace {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a committed number of dispatches to the witness. A witness that can't be written stops nothing: it shows a
    /// restored record a little later.
    fn testify(&self, sequence: i64) {
        if self.highest.fetch_max(sequence, Ordering::Relaxed) >= sequence {
            return;
        }
        let witness = Witness {
            record: self.record,
            sequence,
        };
        if let Err(error) = write_witness(&self.witness, witness, &self.place())
            && !self.told.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, file = %self.witness.display(), "the number of the record's dispatches can't be written");
        }
    }
}

/// Finds out whether a database that was just opened goes on from what it did last. Puts everything open in doubt if it
/// does not. Call it while no other process can open the record. `is_alone`: no other process has it open either.
pub(super) async fn examine(
    writer: &Pool,
    data_dir: &Path,
    database: &Path,
    is_alone: bool,
) -> Result<Dispatches, RecordError> {
    let failed = |source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    };
    let here = here(data_dir, database).map_err(failed)?;
    let inode = std::fs::metadata(database).map_err(failed)?.ino();
    let witness = data_dir.join(WITNESS_FILE);
    let found = read_witness(&witness).map_err(failed)?.map(|(found, _)| found);
    let mut transaction = writer.begin_write().await?;
    let row = transaction.sql("SELECT * FROM provenance").fetch_optional();
    let known = row.await?.as_ref().map(read_provenance).transpose()?;
    let mut is_noticed = false;
    let now = match known {
        // The witness of a record that is gone; one that is older than this table has none.
        None if found.is_some() => {
            return Err(RecordError::Lost {
                path: data_dir.to_owned(),
            });
        }
        None => introduce(&mut transaction, &here).await?,
        Some(known) => {
            let found = found.filter(|found| found.record == known.record);
            let evidence = match is_alone {
                true => restoration::evidence(&known, &here, found),
                false => beside_another_process(&known, &here, found),
            };
            is_noticed = evidence.is_some();
            match evidence {
                None => {
                    // A record that is older than this column.
                    transaction
                        .sql("UPDATE provenance SET directory = $1 WHERE directory IS NULL")
                        .bind(&here.directory)
                        .execute()
                        .await?;
                    known
                }
                Some(evidence) => {
                    let counted = found.map_or(0, |found| found.sequence);
                    let sequence = known.sequence.max(counted).saturating_add(1);
                    let now = transaction.now();
                    put_in_doubt(&mut transaction, &known, evidence, &noticer(), now).await?;
                    settle_here(&mut transaction, sequence, &here, evidence, now).await?;
                    Provenance { sequence, ..known }
                }
            }
        }
    };
    let now_there = transaction.now();
    passing_time::catch_up(&mut transaction, now_there, COUNTED_WHEN_OPENED).await?;
    transaction.commit().await?;
    if is_noticed {
        // The mark of a backup is gone from the database itself, and not only in its log: a log beside a marked database is
        // another one's.
        writer.sql("PRAGMA wal_checkpoint(TRUNCATE)").execute().await?;
    }
    let place = WitnessedPlace::of(&here);
    let dispatches = Dispatches {
        database: Some((database.to_owned(), inode)),
        witness,
        record: now.record,
        place: Mutex::new(place),
        highest: AtomicI64::new(i64::MIN),
        told: AtomicBool::new(false),
    };
    // A record without a witness would be in doubt whenever it is opened.
    let counted = Witness {
        record: now.record,
        sequence: now.sequence,
    };
    write_witness(&dispatches.witness, counted, &dispatches.place()).map_err(failed)?;
    dispatches.highest.store(now.sequence, Ordering::Relaxed);
    Ok(dispatches)
}

/// Has a record that comes from a server be in place in a file that is about to be given its name in a data directory. Pass what is
/// returned to [`testify_arrival`] then.
pub(super) async fn arrive(
    transaction: &mut Connection,
    data_dir: &Path,
    arriving: &Path,
) -> Result<Arrival, RecordError> {
    let here = here(data_dir, arriving).map_err(|source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    })?;
    let row = transaction
        .sql(
            "UPDATE provenance SET machine = $1, directory = $2, file = $3, backup_at_ms = NULL
             RETURNING record, sequence",
        )
        .bind(&here.machine)
        .bind(&here.directory)
        .bind(&here.file)
        .fetch_one()
        .await?;
    Ok(Arrival {
        witness: Witness {
            record: id(&row, "record")?,
            sequence: row.try_get("sequence")?,
        },
        place: WitnessedPlace::of(&here),
    })
}

/// A record that has come from a server, as the witness is to have it.
#[derive(Debug)]
pub(super) struct Arrival {
    witness: Witness,
    place: WitnessedPlace,
}

/// Writes the first witness of a record that has come from a server. Without it, the record would be taken for a restored one.
pub(super) fn testify_arrival(data_dir: &Path, arrival: &Arrival) -> Result<(), RecordError> {
    let Arrival { witness, place } = arrival;
    let written = write_witness(&data_dir.join(WITNESS_FILE), *witness, place);
    written.map_err(|source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    })
}

/// Gives a new record on a server its id. Which files the server has it in is the server's to know.
pub(super) async fn introduce_on_server(transaction: &mut Connection) -> Result<(), RecordError> {
    introduce(transaction, &nowhere()).await?;
    Ok(())
}

/// The place of a record on a server.
fn nowhere() -> Place {
    Place {
        machine: None,
        directory: None,
        file: String::new(),
    }
}

/// What the record knows of itself. `None`: it has no id yet.
pub(super) async fn known(connection: &mut Connection) -> Result<Option<Provenance>, RecordError> {
    let row = connection.sql("SELECT * FROM provenance").fetch_optional();
    row.await?.as_ref().map(read_provenance).transpose()
}

/// Writes down that a record on a server may not know what was done, and has it go on from there.
pub(super) async fn doubt_on_server(
    transaction: &mut Connection,
    known: &Provenance,
    evidence: Evidence,
    sequence: i64,
) -> Result<(), RecordError> {
    let now = transaction.now();
    put_in_doubt(transaction, known, evidence, &noticer(), now).await?;
    settle_here(transaction, sequence, &nowhere(), evidence, now).await
}

/// Counts the time that has passed since a record was last open.
pub(super) async fn count_when_opened(transaction: &mut Connection) -> Result<(), RecordError> {
    let now = transaction.now();
    passing_time::catch_up(transaction, now, COUNTED_WHEN_OPENED).await
}

/// What a host has seen counted in a server's database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Witnessed {
    /// The digest of the epoch that it was in.
    pub(super) epoch: String,
    /// The highest number of a dispatch.
    pub(super) highest: i64,
}

/// What a data directory has of a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnRecord {
    Missing,
    There,
    /// A record that was moved, and goes on elsewhere.
    Moved,
}

/// What a data directory's witness says of a record on a server: the record, and what was counted. `None`: there is no witness.
///
/// # Errors
/// When it can't be read, and when the directory has a record of its own.
pub(super) fn witnessed_on_server(
    data_dir: &Path,
    own: OwnRecord,
) -> Result<Option<(Uuid, Witnessed)>, RecordError> {
    let path = || data_dir.to_owned();
    let witness = read_witness(&data_dir.join(WITNESS_FILE));
    let witness = witness.map_err(|source| RecordError::Directory { path: path(), source })?;
    match witness {
        Some((witness, Some(place))) if place.is_server() => Ok(Some((
            witness.record,
            Witnessed {
                epoch: place.file,
                highest: witness.sequence,
            },
        ))),
        None if own == OwnRecord::Missing => Ok(None),
        Some((witness, _)) if own == OwnRecord::Moved => Ok(Some((witness.record, Witnessed::default()))),
        _ => Err(RecordError::InTheWay { path: path() }),
    }
}

/// Fails if a server has the record of a data directory in which there is none. One that is there was moved, and says where to, or came
/// back.
pub(super) fn check_not_on_server(data_dir: &Path) -> Result<(), RecordError> {
    if !own_files::is_missing(&data_dir.join(RECORD_FILE))? {
        return Ok(());
    }
    match read_witness(&data_dir.join(WITNESS_FILE)) {
        Ok(Some((_, Some(place)))) if place.is_server() => Err(RecordError::OnServer {
            path: data_dir.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The evidence where another process has the record open in the same directory. It is in place then, whatever its machine
/// is called here, as in a container; and its witness was removed. Another database in its place still shows.
fn beside_another_process(known: &Provenance, here: &Place, found: Option<Witness>) -> Option<Evidence> {
    let here = Place {
        machine: None,
        ..here.clone()
    };
    let witness = found.unwrap_or(Witness {
        record: known.record,
        sequence: known.sequence,
    });
    restoration::evidence(known, &here, Some(witness))
}

/// Whether another database is in the place of the one that was last opened in the directory.
///
/// # Errors
/// When the witness or the directory can't be read.
pub(super) fn is_replaced(data_dir: &Path, database: &Path) -> Result<bool, RecordError> {
    let failed = |source| RecordError::Directory {
        path: data_dir.to_owned(),
        source,
    };
    let here = WitnessedPlace::of(&here(data_dir, database).map_err(failed)?);
    let witness = read_witness(&data_dir.join(WITNESS_FILE)).map_err(failed)?;
    let last = witness.and_then(|(_, place)| place);
    Ok(last.is_some_and(|last| last.directory == here.directory && last.file != here.file))
}

/// Sets a write-ahead log aside that is not the database's own, before the database is opened: SQLite takes any log beside
/// it for its own, and would mix the two. Call it while no other process has the record open, or can open it.
///
/// A log is another database's where the database was replaced in its directory since it was last opened, or is a backup
/// that was never opened.
pub(super) async fn check_log(data_dir: &Path, database: &Path) -> Result<(), RecordError> {
    let is_replaced = is_replaced(data_dir, database)?;
    let log = with_ending(database, "-wal");
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    if has_log && (is_replaced || is_marked_as_backup(database).await) {
        let aside = with_ending(database, &format!(".replaced-{}-wal", now_ms()));
        std::fs::rename(&log, &aside).map_err(|source| RecordError::Directory {
            path: data_dir.to_owned(),
            source,
        })?;
        let _ = std::fs::remove_file(with_ending(database, "-shm"));
        tracing::warn!(log = %aside.display(), "the record's database was replaced: the log of the former one is kept beside it and not used");
    }
    Ok(())
}

/// Whether a database itself, without its log, is marked as a backup.
async fn is_marked_as_backup(database: &Path) -> bool {
    let Ok(mut connection) = sqlite::unchanging(database).await else {
        return false;
    };
    let mark = connection.sql("SELECT backup_at_ms FROM provenance");
    let mark = mark.scalar_optional::<Option<i64>>().await;
    let _ = connection.close().await;
    matches!(mark, Ok(Some(Some(_))))
}

/// Fails if a data directory without a database has had one: a record that began anew would know nothing of what was
/// bought.
pub(super) fn check_not_lost(data_dir: &Path) -> Result<(), RecordError> {
    match data_dir.join(WITNESS_FILE).exists() {
        true => Err(RecordError::Lost {
            path: data_dir.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Who notices what shows by itself.
fn noticer() -> Actor {
    Actor::host("record")
}

/// Gives a new record, or one that is older than this table, its id.
async fn introduce(transaction: &mut Connection, here: &Place) -> Result<Provenance, RecordError> {
    let record = Uuid::new_v4();
    // A record that was here before remembers since its first order.
    transaction
        .sql(
            "INSERT INTO provenance (id, record, sequence, remembered_ms, machine, file, directory)
         SELECT 1, $1, 0, CASE WHEN MIN(placed_at_ms) < $2 THEN $2 - MIN(placed_at_ms) ELSE 0 END, $3, $4, $5 FROM orders",
        )
        .bind(record.to_string())
        .bind_now()
        .bind(&here.machine)
        .bind(&here.file)
        .bind(&here.directory)
        .execute()
        .await?;
    Ok(Provenance {
        record,
        sequence: 0,
        place: here.clone(),
        is_backup: false,
    })
}

/// Why receivers of outcomes are told nothing by a copy: what was removed or rotated since is there again.
fn problem_of_webhooks(evidence: Evidence) -> Problem {
    Problem::new(
        "record-restored",
        format!(
            "the record was found {evidence}, and receivers that were removed or switched off since may be there again"
        ),
        "look at the list of webhooks, and enable those that are to be told",
    )
}

/// Puts every open purchase and return in doubt, holds back every e-mail that is not sent, and switches every receiver off.
async fn put_in_doubt(
    transaction: &mut Connection,
    known: &Provenance,
    evidence: Evidence,
    actor: &Actor,
    now: Moment,
) -> Result<(), RecordError> {
    let problem = Problem::new(
        "record-restored",
        format!("the record was found {evidence}; what was done since that copy was made is not known"),
        "nothing needs to be done: it is looked up first",
    );
    let order_lines = begin_doubt(transaction, InDoubt::All, now, &problem).await?;
    let returns = doubt_returns(transaction, InDoubt::All, now, &problem).await?;
    let mails = match evidence {
        Evidence::Failover => {
            put_mails_off(transaction, now).await?;
            0
        }
        _ => {
            switch_all_off(&mut *transaction, &problem_of_webhooks(evidence)).await?;
            operators::end_all(&mut *transaction).await?;
            hold_mails(transaction).await?
        }
    };
    let last_outcome = last_number(&mut *transaction).await?;
    transaction.sql(
        "INSERT INTO restorations (noticed_at_ms, evidence, order_lines, returns, mails, life, last_outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(now.wall_ms)
    .bind(evidence.word())
    .bind(i64::try_from(order_lines).unwrap_or(i64::MAX))
    .bind(i64::try_from(returns).unwrap_or(i64::MAX))
    .bind(i64::try_from(mails).unwrap_or(i64::MAX))
    // What the other copy has told since is not known here.
    .bind(Uuid::new_v4().to_string())
    .bind(last_outcome)
    .execute()
    .await?;
    let (act, subject) = (Act::NoticeRestoration, Subject::record(known.record));
    let detail = json!({
        "evidence": evidence.word(), "orderLines": order_lines, "returns": returns, "mails": mails,
    });
    write_act(transaction, actor, act, &subject, None, detail).await?;
    tracing::warn!(
        %evidence,
        order_lines,
        returns,
        mails,
        "the record was restored, copied or moved: order lines and returns are looked up first, and e-mails that may have \
         been sent are held back; `record show` says what to do"
    );
    Ok(())
}

/// Holds back every e-mail that is not sent, and returns their number.
async fn hold_mails(transaction: &mut Connection) -> Result<u64, RecordError> {
    transaction
        .sql("UPDATE mails SET state = $3, worker = NULL WHERE state IN ($1, $2)")
        .bind(MailState::Pending.word())
        .bind(MailState::Failed.word())
        .bind(MailState::Held.word())
        .execute()
        .await
}

/// Puts every e-mail off that waits, until each host that lives has said whether it had sent what is forgotten now: then they are held.
async fn put_mails_off(transaction: &mut Connection, now: Moment) -> Result<(), RecordError> {
    transaction
        .sql("UPDATE mails SET due_at_ms = $2, worker = NULL WHERE state = $1 AND due_at_ms < $2")
        .bind(MailState::Pending.word())
        .bind(now.wall_ms.saturating_add(millis(MAILS_WAIT)))
        .execute()
        .await?;
    Ok(())
}

/// Puts an order with an idempotency key in doubt that was placed in a restored record: it may be the repetition of an
/// order that was bought after the copy was made.
pub(super) async fn doubt_repetition(transaction: &mut Connection, order: Uuid) -> Result<(), RecordError> {
    let row = transaction
        .sql(
            "SELECT restored_at_ms, boot, restored_uptime_ms FROM provenance
         WHERE restored_at_ms IS NOT NULL AND (remembered_ms < $1 OR awaits_adoption)",
        )
        .bind(millis(MEMORY))
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(()) };
    let restored = certain(
        moment(&row, "restored_at_ms", "restored_uptime_ms")?,
        "restored_at_ms",
    )?;
    let problem = Problem::new(
        "record-restored",
        "the record was restored before; whether the order was placed in it since that copy was made is not known",
        "nothing needs to be done: it is looked up first",
    );
    begin_doubt(transaction, InDoubt::Order(order), restored, &problem).await?;
    Ok(())
}

/// The assets without a license, or their open returns, that are put in doubt.
#[derive(Clone, Copy)]
enum InDoubt {
    /// All of them.
    All,
    /// Those that a restoration has put in doubt before.
    Restored,
    /// Those of an order.
    Order(Uuid),
}

impl InDoubt {
    /// Adds the condition of assets to a query on them.
    fn choose_assets(self, query: &mut Builder) {
        match self {
            Self::All => {}
            Self::Restored => {
                query
                    .push(" AND EXISTS (SELECT 1 FROM attempts WHERE asset_id = assets.id AND result = ")
                    .push_bind(AttemptResult::Restored.word())
                    .push(")");
            }
            Self::Order(order) => {
                query.push(" AND order_id = ").push_bind(order.to_string());
            }
        }
    }

    /// Adds the condition of returns to a query on cancellations.
    fn choose_returns(self, query: &mut Builder) {
        match self {
            Self::All => {}
            Self::Restored => {
                query
                    .push(" AND EXISTS (SELECT 1 FROM return_attempts WHERE cancellation_id = cancellations.id AND result = ")
                    .push_bind(ReturnResult::Restored.word())
                    .push(")");
            }
            Self::Order(order) => {
                query
                    .push(" AND asset_id IN (SELECT id FROM assets WHERE order_id = ")
                    .push_bind(order.to_string())
                    .push(")");
            }
        }
    }
}

/// Writes down that assets may have been bought until a moment, with the settings of that moment. Returns their number.
async fn begin_doubt(
    transaction: &mut Connection,
    assets: InDoubt,
    until: Moment,
    problem: &Problem,
) -> Result<u64, RecordError> {
    let mut query = Builder::new(
        "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms, finished_at_ms, boot,
                               begun_uptime_ms, finished_uptime_ms, settings_version, result, problem)
         SELECT id, COALESCE((SELECT MAX(number) FROM attempts WHERE asset_id = assets.id), 0) + 1, client_transaction_id",
    );
    push_times(&mut query, until);
    // A repetition is of an order that was bought before that moment, with the settings of then.
    query.push(
        ", COALESCE((SELECT MAX(version) FROM instance_history WHERE instance_id = assets.instance_id AND ",
    );
    query.push_bind(matches!(assets, InDoubt::Order(_)));
    query.push(" AND changed_at_ms <= ").push_bind(until.wall_ms);
    query.push("), (SELECT version FROM instances WHERE id = assets.instance_id))");
    query.push(", ").push_bind(AttemptResult::Restored.word());
    query.push(", ").push_bind(to_json(problem)?);
    query
        .push(" FROM assets WHERE sync_status IN (")
        .push_bind(SyncStatus::Unsynchronised.word())
        .push(", ")
        .push_bind(SyncStatus::Failed.word())
        .push(")");
    assets.choose_assets(&mut query);
    let doubts = transaction.build(&mut query).execute().await?;
    let reason = Reason {
        result: AttemptResult::Restored,
        problem: problem.clone(),
    };
    let mut query = Builder::new("UPDATE assets SET reason = ");
    query.push_bind(to_json(&reason)?);
    query
        .push(" WHERE sync_status = ")
        .push_bind(SyncStatus::Unsynchronised.word());
    assets.choose_assets(&mut query);
    transaction.build(&mut query).execute().await?;
    Ok(doubts)
}

/// Adds the times of an attempt that began and ended at a moment: both by the wall clock, the boot, both by the uptime.
fn push_times(query: &mut Builder, moment: Moment) {
    query.push(", ").push_bind(moment.wall_ms);
    query.push(", ").push_bind(moment.wall_ms);
    query.push(", ").push_bind(boot(moment));
    query.push(", ").push_bind(uptime_ms(moment));
    query.push(", ").push_bind(uptime_ms(moment));
}

/// Writes down that open returns may have been made until a moment. Returns their number.
async fn doubt_returns(
    transaction: &mut Connection,
    returns: InDoubt,
    until: Moment,
    problem: &Problem,
) -> Result<u64, RecordError> {
    let mut query = Builder::new(
        "INSERT INTO return_attempts (cancellation_id, number, begun_at_ms, finished_at_ms, boot, begun_uptime_ms,
                                      finished_uptime_ms, result, problem)
         SELECT id, COALESCE((SELECT MAX(number) FROM return_attempts WHERE cancellation_id = cancellations.id), 0) + 1",
    );
    push_times(&mut query, until);
    query.push(", ").push_bind(ReturnResult::Restored.word());
    query.push(", ").push_bind(to_json(problem)?);
    query
        .push(" FROM cancellations WHERE state = ")
        .push_bind(CancellationState::Returning.word());
    returns.choose_returns(&mut query);
    let doubts = transaction.build(&mut query).execute().await?;
    let reason = ReturnReason {
        result: ReturnResult::Restored,
        problem: problem.clone(),
    };
    let mut query = Builder::new("UPDATE cancellations SET reason = ");
    query.push_bind(to_json(&reason)?);
    query
        .push(" WHERE state = ")
        .push_bind(CancellationState::Returning.word());
    returns.choose_returns(&mut query);
    transaction.build(&mut query).execute().await?;
    Ok(doubts)
}

/// Writes down that the record goes on here, and remembers everything from now on.
async fn settle_here(
    transaction: &mut Connection,
    sequence: i64,
    here: &Place,
    evidence: Evidence,
    now: Moment,
) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE provenance
         SET sequence = $1, machine = $2, file = $3, directory = $4, backup_at_ms = NULL,
             awaits_adoption = awaits_adoption OR $5",
        )
        .bind(sequence)
        .bind(&here.machine)
        .bind(&here.file)
        .bind(&here.directory)
        .bind(evidence.may_have_an_original())
        .execute()
        .await?;
    remember_from(transaction, now).await
}

/// Writes down that what was done until a moment is not known, and everything after it is.
async fn remember_from(transaction: &mut Connection, moment: Moment) -> Result<(), RecordError> {
    transaction
        .sql(
            "UPDATE provenance
         SET restored_at_ms = $1, boot = $2, restored_uptime_ms = $3, remembered_ms = 0,
             counted_at_ms = $1, counted_boot = $2, counted_uptime_ms = $3",
        )
        .bind(moment.wall_ms)
        .bind(boot(moment))
        .bind(uptime_ms(moment))
        .execute()
        .await?;
    Ok(())
}

impl Record {
    /// Counts a dispatch in the transaction that begins it, unless the database was replaced.
    pub(super) async fn begin_dispatch(&self, transaction: &mut Connection) -> Result<i64, RecordError> {
        self.dispatches.check_in_place()?;
        let counted = transaction.sql("UPDATE provenance SET sequence = sequence + 1 RETURNING sequence");
        counted.scalar().await
    }

    /// Tells the witness of a dispatch whose beginning is committed.
    pub(super) fn testify(&self, dispatch: i64) {
        self.dispatches.testify(dispatch);
    }

    /// The restorations that were noticed, the latest first. They are few.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn restorations(&self) -> Result<Vec<Restoration>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM restorations ORDER BY number DESC")
            .fetch_all()
            .await?;
        rows.iter().map(read_restoration).collect()
    }

    /// Says that no other copy of the record goes on, so that what is in doubt is bought once it has been looked up for
    /// long enough. Returns whether that was not clear before.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn adopt(&self, actor: &Actor) -> Result<bool, RecordError> {
        let mut transaction = self.begin_write().await?;
        let row = transaction
            .sql("SELECT record, awaits_adoption FROM provenance")
            .fetch_one()
            .await?;
        if !row.try_get::<bool, _>("awaits_adoption")? {
            return Ok(false);
        }
        transaction
            .sql("UPDATE provenance SET awaits_adoption = FALSE")
            .execute()
            .await?;
        let now = transaction.now();
        let problem = Problem::new(
            "record-adopted",
            "the record was adopted; what another copy of it did until now is not known",
            "nothing needs to be done: it is looked up first",
        );
        // What the other copy did last may still be under way, and what it did until now is not remembered here.
        let order_lines = begin_doubt(&mut transaction, InDoubt::Restored, now, &problem).await?;
        let returns = doubt_returns(&mut transaction, InDoubt::Restored, now, &problem).await?;
        remember_from(&mut transaction, now).await?;
        for make_due in [
            "UPDATE assets SET due_at_ms = $1 WHERE sync_status = $2 AND due_at_ms > $1",
            "UPDATE cancellations SET due_at_ms = $1 WHERE state = $3 AND due_at_ms > $1",
        ] {
            transaction
                .sql(make_due)
                .bind(now.wall_ms)
                .bind(SyncStatus::Unsynchronised.word())
                .bind(CancellationState::Returning.word())
                .execute()
                .await?;
        }
        let (act, subject) = (Act::AdoptRecord, Subject::record(id(&row, "record")?));
        let detail = json!({ "orderLines": order_lines, "returns": returns });
        write_act(&mut transaction, actor, act, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Puts in doubt what is open, because somebody says that the record was put back to an earlier moment, which nothing shows.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn say_restored(&self, actor: &Actor) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let known = known(&mut transaction).await?.ok_or(RecordError::NoTables)?;
        let now = transaction.now();
        put_in_doubt(&mut transaction, &known, Evidence::Told, actor, now).await?;
        let sequence = known.sequence.saturating_add(1);
        transaction
            .sql("UPDATE provenance SET sequence = $1")
            .bind(sequence)
            .execute()
            .await?;
        remember_from(&mut transaction, now).await?;
        transaction.commit().await
    }

    /// Whether another copy of the record may go on, so that nothing in doubt is bought.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn awaits_adoption(&self) -> Result<bool, RecordError> {
        let asked = self.readers.sql("SELECT awaits_adoption FROM provenance");
        asked.scalar().await
    }

    /// The record's own id, the same in all its copies.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn id(&self) -> Result<Uuid, RecordError> {
        let row = self
            .readers
            .sql("SELECT record FROM provenance")
            .fetch_one()
            .await?;
        id(&row, "record")
    }
}

fn read_restoration(row: &Row) -> Result<Restoration, RecordError> {
    let count = |column| -> Result<u64, RecordError> {
        Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
    };
    Ok(Restoration {
        number: row.try_get("number")?,
        noticed_at_ms: row.try_get("noticed_at_ms")?,
        evidence: Evidence::from_word(row.try_get("evidence")?)?,
        order_lines: count("order_lines")?,
        returns: count("returns")?,
        mails: count("mails")?,
    })
}

fn read_provenance(row: &Row) -> Result<Provenance, RecordError> {
    let file: Option<String> = row.try_get("file")?;
    let backup_at_ms = optional(row, "backup_at_ms", |row, column| row.try_get::<i64, _>(column))?;
    Ok(Provenance {
        record: id(row, "record")?,
        sequence: row.try_get("sequence")?,
        place: Place {
            machine: row.try_get("machine")?,
            directory: row.try_get("directory")?,
            file: file.unwrap_or_default(),
        },
        is_backup: backup_at_ms.is_some(),
    })
}

/// The place of a database. The number of a file is used again after its end, but not with the same time of birth; a
/// device gets other numbers when a machine starts again, so it does not count.
fn here(data_dir: &Path, database: &Path) -> io::Result<Place> {
    let identity = |path: &Path| -> io::Result<String> {
        let found = std::fs::metadata(path)?;
        let born = found.created().ok();
        let born = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |born| born.as_nanos());
        Ok(format!("{}:{born}", found.ino()))
    };
    let machine = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let machine = machine.trim();
    Ok(Place {
        machine: (!machine.is_empty()).then(|| machine.to_owned()),
        directory: Some(identity(data_dir)?),
        file: identity(database)?,
    })
}

/// The digests of the identities of a database and its directory, as the witness has them: of one length, so that a line
/// is overwritten as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WitnessedPlace {
    file: String,
    directory: String,
}

/// The beginning of the digest of an identity.
pub(super) fn short(identity: &str) -> String {
    let digest = digest::digest(&digest::SHA256, identity.as_bytes());
    let hex = HEXLOWER.encode(digest.as_ref());
    hex.chars().take(PLACE_CHARS).collect()
}

impl WitnessedPlace {
    /// The place of a database on a server, in the epoch of that digest.
    fn server(epoch: String) -> Self {
        Self {
            file: epoch,
            directory: ON_SERVER.to_owned(),
        }
    }

    fn is_server(&self) -> bool {
        self.directory == ON_SERVER
    }

    fn of(place: &Place) -> Self {
        Self {
            file: short(&place.file),
            directory: short(place.directory.as_deref().unwrap_or_default()),
        }
    }
}

/// Reads the witness, and the place that it was written in if it names one. `None`: it is missing, or says nothing.
fn read_witness(path: &Path) -> io::Result<Option<(Witness, Option<WitnessedPlace>)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    let is_text = file.take(WITNESS_BYTES_MAX).read_to_string(&mut text).is_ok();
    let read = || {
        let mut words = text.split_whitespace();
        let witness = Witness {
            record: Uuid::try_parse(words.next()?).ok()?,
            sequence: words.next()?.parse().ok()?,
        };
        let place = words.next().zip(words.next());
        let place = place.map(|(file, directory)| WitnessedPlace {
            file: file.to_owned(),
            directory: directory.to_owned(),
        });
        Some((witness, place))
    };
    Ok(read().filter(|_| is_text))
}

/// Writes the witness, unless it has counted more: another process may have been faster. A line of fixed length, in one
/// write, is there as a whole or not at all.
fn write_witness(path: &Path, witness: Witness, place: &WitnessedPlace) -> io::Result<()> {
    let Witness { record, sequence } = witness;
    let is_written = |(found, its): (Witness, Option<WitnessedPlace>)| {
        found.record == record && found.sequence >= sequence && its.as_ref() == Some(place)
    };
    if read_witness(path)?.is_some_and(is_written) {
        return Ok(());
    }
    let WitnessedPlace {
        file: of_file,
        directory,
    } = place;
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("{record} {sequence:020} {of_file} {directory}\n").as_bytes())?;
    // A power cut may cost the last numbers, and never the file.
    if is_new {
        file.sync_all()?;
        sync_directory_of(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_only_grows_and_anything_else_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WITNESS_FILE);
        assert_eq!(read_witness(&path).unwrap(), None);
        let record = Uuid::from_u128(1);
        let place = WitnessedPlace::of(&Place {
            machine: None,
            directory: Some("d".to_owned()),
            file: "f".to_owned(),
        });
        for (written, read) in [(5, 5), (4, 5), (1_000, 1_000)] {
            let witness = Witness {
                record,
                sequence: written,
            };
            write_witness(&path, witness, &place).unwrap();
            let (found, its) = read_witness(&path).unwrap().unwrap();
            assert_eq!(
                (found.record, found.sequence, its.as_ref()),
                (record, read, Some(&place))
            );
        }
        for text in [
            "",
            "x",
            "7",
            &"7".repeat(1_000),
            "00000000-0000-0000-0000-000000000001 x",
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_witness(&path).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn a_copy_of_a_file_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "text").unwrap();
        let here = |file| here(folder.path(), file);
        let before = here(&one).unwrap();
        assert_eq!(here(&one).unwrap(), before);
        std::fs::copy(&one, &two).unwrap();
        assert_ne!(here(&two).unwrap().file, before.file);
        assert_eq!(here(&two).unwrap().directory, before.directory);
        // The number of the file may be used again; its time of birth is not.
        std::fs::remove_file(&one).unwrap();
        std::fs::copy(&two, &one).unwrap();
        assert_ne!(here(&one).unwrap().file, before.file);
    }
}

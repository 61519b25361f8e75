//! Workers: which of them are alive, so that another can take over from a dead one.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bss_keys::Foreign;
use bss_model::clock::millis;
use bss_model::{AlertKind, Problem, with_causes};
use uuid::Uuid;

use super::alerts::raise_happened;
use super::own_files::lock_file;
use super::stored::id;
use super::{Record, RecordError};
use crate::database::{Connection, Pool, Transaction, server_clock_ms};

/// How long a worker may be silent before another takes over. By then a request that was under way when it died has
/// reached the vendor or is lost; `LOOK_UP_ONLY` allows for the time that the vendor needs to carry it out.
pub const WORKER_LEASE: Duration = Duration::from_secs(30);

/// How often a worker renews its lease. Two renewals may get lost.
const RENEWAL: Duration = Duration::from_secs(10);

/// The folder in the data directory with a file for each worker, locked while its process lives.
const DIRECTORY: &str = "workers";

/// The subject of the alert that a worker has died.
const WORKERS: &str = "workers";

/// How long before the end of its lease a worker of a server's record sends nothing more: a request that has left is with the vendor by
/// then.
const FENCE: Duration = Duration::from_secs(5);

/// How long a worker waits to hear that its lease is good, before it sends nothing.
const FENCE_ANSWER: Duration = Duration::from_secs(5);

/// A worker that is alive, in any process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivingWorker {
    /// The worker's id.
    pub id: Uuid,
    /// The name of its machine. `None`: it is of an earlier version of the program.
    pub machine: Option<String>,
    /// The id of its process.
    pub process_id: Option<i64>,
    /// The version of its program.
    pub version: Option<String>,
    /// When it was started, in milliseconds since 1970.
    pub started_at_ms: Option<i64>,
    /// What it has under way: purchases and look-ups, returns, e-mails.
    pub under_way: u64,
}

/// A worker of this process. What it has taken belongs to no other worker while it lives; it renews its lease by
/// itself until it is dropped.
///
/// Another worker takes over only when two things have ended: the time of the lease, which lets requests under way
/// end, and the lock on the worker's file, which the operating system holds as long as the process exists. The lease is
/// told by the clock that nobody can set; a lease of another boot is over. So neither a clock that steps nor a machine
/// that was asleep gives an asset to two workers.
///
/// With a record on a server there is no such lock. There the lease alone counts, by the database's clock, and the worker holds itself to
/// it: see [`Permit`].
#[derive(Debug)]
pub struct Worker {
    id: Uuid,
    permit: Option<Permit>,
    heartbeat: tokio::task::JoinHandle<()>,
    /// The worker's file and the lock on it. `None`: the database is a server's, by whose clock alone the lease is told.
    lock: Option<(PathBuf, File)>,
}

impl Worker {
    /// The worker's id in the record.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What the worker has to ask before a request leaves. `None`: the lock on its file keeps others from what it has.
    pub fn permit(&self) -> Option<Permit> {
        self.permit.clone()
    }

    /// Whether others took the worker for dead, and go on with what it had: nothing is given to it any more.
    pub fn is_lost(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(|permit| permit.lease.is_lost.load(Ordering::Relaxed))
    }
}

/// The permit of a worker of a server's record to send requests, as long as its lease is good for a few seconds more: by the clock of its
/// machine that nobody can set, and by the database, which knows of a machine that was asleep or a worker that was buried.
///
/// Between the answer and the request's way to the vendor, a process can still be stopped. The vendor then gets the request late, and
/// the worker that has taken over meanwhile only looks up for as long as the record says.
#[derive(Clone, Debug)]
pub struct Permit {
    record: Record,
    worker: Uuid,
    lease: Arc<Lease>,
}

/// What a worker knows of its own lease.
#[derive(Debug)]
struct Lease {
    /// The end, reckoned from before the record was asked for it.
    ends: Mutex<Instant>,
    /// Whether others have taken over.
    is_lost: AtomicBool,
}

impl Lease {
    fn begun(asked: Instant) -> Self {
        Self {
            ends: Mutex::new(asked + WORKER_LEASE),
            is_lost: AtomicBool::new(false),
        }
    }

    fn renew(&self, asked: Instant) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = asked + WORKER_LEASE;
    }

    fn is_good(&self) -> bool {
        let ends = *self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_lost.load(Ordering::Relaxed) && Instant::now() + FENCE < ends
    }
}

impl Permit {
    /// Says that a request may leave.
    ///
    /// # Errors
    /// When others have taken over or may soon, and when the record does not answer: nothing may be sent.
    pub async fn check(&self) -> Result<(), RecordError> {
        const IS_GOOD: &str = concat!(
            "SELECT COUNT(*) FROM workers WHERE id = $1 AND lease_ends_uptime_ms > ",
            server_clock_ms!(),
            " + $2"
        );
        if !self.lease.is_good() {
            return Err(RecordError::WorkerLost);
        }
        let asked = self
            .record
            .readers
            .sql(IS_GOOD)
            .bind(self.worker.to_string())
            .bind(millis(FENCE));
        let good = tokio::time::timeout(FENCE_ANSWER, asked.scalar::<i64>());
        match good.await.map_err(|_| RecordError::NoAnswer)?? {
            // An answer that took long, or a pause meanwhile, counts.
            1 if self.lease.is_good() => Ok(()),
            _ => Err(RecordError::WorkerLost),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The lease runs on, as after a crash: a request of this worker may have left, and a look-up must not come
        // before the vendor has acted.
        self.heartbeat.abort();
        // The file is removed while locked, so a missing file means that no process holds it. A file that stays
        // behind is removed by the worker that takes over.
        if let Some((file, _)) = &self.lock {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Record {
    /// Starts a worker of this process.
    ///
    /// # Errors
    /// When the record or the data directory can't be written.
    pub async fn start_worker(&self) -> Result<Worker, RecordError> {
        let worker = Uuid::new_v4();
        let lock = match self.writer.is_postgres() {
            true => None,
            false => Some(self.lock_file_of(worker)?),
        };
        let asked = Instant::now();
        self.begin_lease(worker).await?;
        self.count_time().await?;
        let permit = self.writer.is_postgres().then(|| Permit {
            record: self.clone(),
            worker,
            lease: Arc::new(Lease::begun(asked)),
        });
        let (record, lease) = (
            self.clone(),
            permit.as_ref().map(|permit| Arc::clone(&permit.lease)),
        );
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                let asked = Instant::now();
                match (record.renew(worker).await, &lease) {
                    (Ok(true), None) => {}
                    (Ok(true), Some(lease)) => lease.renew(asked),
                    (Ok(false), None) => {
                        tracing::error!(%worker, "this worker was taken for dead; others go on with what it had, and it begins anew");
                    }
                    (Ok(false), Some(lease)) => {
                        tracing::error!(%worker, "this worker was taken for dead, and sends nothing more; others go on with what it had");
                        lease.is_lost.store(true, Ordering::Relaxed);
                        return;
                    }
                    (Err(error), _) => {
                        let error = with_causes(&error);
                        tracing::warn!(error, %worker, "the lease of this worker can't be renewed");
                    }
                }
                if let Err(error) = record.count_time().await {
                    tracing::warn!(%error, %worker, "the time that has passed can't be counted");
                }
            }
        });
        Ok(Worker {
            id: worker,
            permit,
            heartbeat,
            lock,
        })
    }

    /// Ends a worker that has nothing under way. What it still had is free at once.
    ///
    /// # Errors
    /// When the record can't be written; the lease then ends by itself.
    pub async fn end_worker(&self, worker: Worker) -> Result<(), RecordError> {
        worker.heartbeat.abort();
        let mut transaction = self.begin_write().await?;
        forget(&mut transaction, worker.id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Locks a file for a worker of this process.
    fn lock_file_of(&self, worker: Uuid) -> Result<(PathBuf, File), RecordError> {
        let directory = self.data_dir.join(DIRECTORY);
        let file = worker_file(&directory, worker);
        match locked(&directory, &file) {
            Ok(lock) => Ok((file, lock)),
            Err(source) => Err(RecordError::Directory {
                path: directory,
                source,
            }),
        }
    }

    /// Begins a worker's lease, in its turn, so that the time is not one from before a wait.
    async fn begin_lease(&self, worker: Uuid) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        insert(&mut transaction, worker).await?;
        transaction.commit().await
    }

    /// Renews a worker's lease, in its turn. Returns whether the worker was still alive to the others: one that was taken for dead
    /// gives up all that it has, and begins a lease anew where the lock on its file shows that it lives.
    async fn renew(&self, worker: Uuid) -> Result<bool, RecordError> {
        let mut transaction = self.begin_write().await?;
        let now = transaction.uptime();
        let renewed = transaction
            .sql("UPDATE workers SET boot = $2, lease_ends_uptime_ms = $3 WHERE id = $1")
            .bind(worker.to_string())
            .bind(now.boot.0.to_string())
            .bind(now.ms.saturating_add(millis(WORKER_LEASE)))
            .execute()
            .await?;
        if renewed == 0 {
            forget(&mut transaction, worker).await?;
            if !self.writer.is_postgres() {
                insert(&mut transaction, worker).await?;
            }
        }
        transaction.commit().await?;
        Ok(renewed > 0)
    }

    /// The workers that have renewed their lease in time, in this boot of the machine, by their start.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn living_workers(&self) -> Result<Vec<LivingWorker>, RecordError> {
        let now = self.uptime();
        let living = self
            .readers
            .sql(
                "SELECT *, (SELECT COUNT(*) FROM assets WHERE worker = workers.id)
                     + (SELECT COUNT(*) FROM mails WHERE worker = workers.id)
                     + (SELECT COUNT(*) FROM cancellations WHERE worker = workers.id) AS under_way
             FROM workers WHERE boot = $1 AND lease_ends_uptime_ms > $2 ORDER BY started_at_ms, id",
            )
            .bind(now.boot.0.to_string())
            .bind(now.ms)
            .fetch_all()
            .await?;
        let workers = living.iter().map(|row| {
            Ok(LivingWorker {
                id: id(row, "id")?,
                machine: row.try_get("machine")?,
                process_id: row.try_get("process_id")?,
                version: row.try_get("version")?,
                started_at_ms: row.try_get("started_at_ms")?,
                under_way: u64::try_from(row.try_get::<i64, _>("under_way")?).unwrap_or_default(),
            })
        });
        workers.collect()
    }

    /// Begins a transaction in which a worker takes something, and releases what dead workers had. `None`: the worker itself was taken
    /// for dead, and gets nothing.
    pub(super) async fn begin_taking(&self, worker: Uuid) -> Result<Option<Transaction>, RecordError> {
        let mut transaction = self.begin_write().await?;
        self.release_dead_workers(&mut transaction).await?;
        let known = transaction
            .sql("SELECT 1 FROM workers WHERE id = $1")
            .bind(worker.to_string());
        if known.fetch_optional().await?.is_some() {
            return Ok(Some(transaction));
        }
        transaction.commit().await?;
        Ok(None)
    }

    /// Releases what dead workers had taken.
    pub(super) async fn release_dead_workers(&self, transaction: &mut Connection) -> Result<(), RecordError> {
        let now = transaction.uptime();
        let late = transaction
            .sql(LATE)
            .bind(now.boot.0.to_string())
            .bind(now.ms)
            .fetch_all()
            .await?;
        let directory = self.data_dir.join(DIRECTORY);
        for row in &late {
            let worker = id(row, "id")?;
            let file = worker_file(&directory, worker);
            let state = match self.writer.is_postgres() {
                true => State::Died,
                false => state(&file),
            };
            if state == State::Alive {
                continue;
            }
            tracing::info!(%worker, "this worker is gone; other workers take over its work");
            if state == State::Died {
                let problem = died(row.try_get("process_id")?);
                raise_happened(transaction, AlertKind::WorkerDied, WORKERS, &problem).await?;
            }
            forget(transaction, worker).await?;
            let _ = std::fs::remove_file(&file);
        }
        Ok(())
    }
}

/// Finds workers that have been silent for too long. Bind the boot and the uptime.
const LATE: &str = "SELECT id, process_id FROM workers WHERE boot IS NULL OR boot <> $1 OR lease_ends_uptime_ms <= $2 LIMIT 1000";

/// A worker that may have something under way: its lease is not over.
pub(super) async fn any_at_work(connection: &mut Connection) -> Result<Option<Uuid>, RecordError> {
    let now = connection.uptime();
    let worker = connection
        .sql("SELECT id FROM workers WHERE boot = $1 AND lease_ends_uptime_ms > $2 LIMIT 1")
        .bind(now.boot.0.to_string())
        .bind(now.ms)
        .fetch_optional()
        .await?;
    worker.as_ref().map(|worker| id(worker, "id")).transpose()
}

/// Whether a worker has been silent for too long.
pub(super) async fn is_a_lease_over(readers: &Pool) -> Result<bool, RecordError> {
    let now = readers.uptime();
    let late = readers.sql(LATE).bind(now.boot.0.to_string()).bind(now.ms);
    Ok(late.fetch_optional().await?.is_some())
}

/// Writes down that a worker is there, with a lease that begins now.
async fn insert(transaction: &mut Connection, worker: Uuid) -> Result<(), RecordError> {
    let now = transaction.uptime();
    transaction
        .sql(
            "INSERT INTO workers (id, boot, lease_ends_uptime_ms, process_id, started_at_ms, machine, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(worker.to_string())
        .bind(now.boot.0.to_string())
        .bind(now.ms.saturating_add(millis(WORKER_LEASE)))
        .bind(std::process::id())
        .bind_now()
        .bind(machine())
        .bind(env!("CARGO_PKG_VERSION"))
        .execute()
        .await?;
    Ok(())
}

/// The tables that name the worker that has a row.
const TAKEN_FROM: [&str; 3] = ["assets", "mails", "cancellations"];

/// Releases all that a worker has taken.
async fn forget(transaction: &mut Connection, worker: Uuid) -> Result<(), RecordError> {
    let free = TAKEN_FROM.map(|table| format!("UPDATE {table} SET worker = NULL WHERE worker = $1"));
    for statement in free
        .into_iter()
        .chain(["DELETE FROM workers WHERE id = $1".to_owned()])
    {
        transaction
            .composed(statement)
            .bind(worker.to_string())
            .execute()
            .await?;
    }
    Ok(())
}

/// Releases all that any worker has taken, and forgets all workers.
pub(super) async fn forget_all(transaction: &mut Connection) -> Result<(), RecordError> {
    let free = TAKEN_FROM.map(|table| format!("UPDATE {table} SET worker = NULL WHERE worker IS NOT NULL"));
    for statement in free.into_iter().chain(["DELETE FROM workers".to_owned()]) {
        transaction.composed(statement).execute().await?;
    }
    Ok(())
}

/// The name of this machine (`proc_sys_kernel(5)`), where it has one.
fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn worker_file(directory: &Path, worker: Uuid) -> PathBuf {
    directory.join(format!("{worker}.lock"))
}

fn locked(directory: &Path, file: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // The owner of the directory could have a worker that lives taken for dead.
    Foreign::check(&std::fs::metadata(directory)?)?;
    let file = lock_file(file)?;
    file.lock()?;
    Ok(file)
}

/// How a worker is whose lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its process holds its file.
    Alive,
    /// Its file is gone: it has left something to its lease, and said so.
    Left,
    /// Its file is there, and nobody holds it: the process has ended without a word.
    Died,
}

/// How a worker is, by its file. A file that can't be checked counts as held: nothing is given away on a guess.
fn state(file: &Path) -> State {
    match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => State::Left,
        Err(_) => State::Alive,
        Ok(file) if file.try_lock().is_err() => State::Alive,
        Ok(_) => State::Died,
    }
}

/// The problem of a worker that has died.
fn died(process_id: Option<i64>) -> Problem {
    let process = process_id.map_or_else(|| "a process".to_owned(), |id| format!("process {id}"));
    Problem::new(
        "worker-died",
        format!(
            "the worker of {process} ended without a word; what it had under way is looked up first by another"
        ),
        "look for a crash, a kill or a power cut in the logs of that time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn workers(record: &Record) -> i64 {
        let count = record.writer.sql("SELECT COUNT(*) FROM workers");
        count.scalar().await.unwrap()
    }

    async fn bury(record: &Record) {
        let mut transaction = record.begin_write().await.unwrap();
        record.release_dead_workers(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Fails unless a worker is there, whatever its lease says, until the lock of its process is gone.
    async fn assert_lives_by_its_lock(lease: &'static str) {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(folder.path()).await;
        let worker = record.start_worker().await.unwrap();
        record.writer.sql(lease).execute().await.unwrap();
        bury(&record).await;
        assert_eq!(workers(&record).await, 1, "its process holds the lock");
        // The operating system does this when the process is gone.
        worker.lock.as_ref().unwrap().1.unlock().unwrap();
        bury(&record).await;
        assert_eq!(workers(&record).await, 0);
    }

    #[tokio::test]
    async fn a_clock_that_jumps_takes_nothing_from_a_worker_that_lives() {
        // An end long past, as if the machine had slept for decades.
        assert_lives_by_its_lock("UPDATE workers SET lease_ends_uptime_ms = 1").await;
    }

    #[tokio::test]
    async fn the_lease_of_another_boot_keeps_nothing_from_anybody() {
        assert_lives_by_its_lock("UPDATE workers SET boot = 'another'").await;
    }

    #[tokio::test]
    async fn a_worker_that_is_dropped_keeps_its_lease_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        drop(record.start_worker().await.unwrap());
        bury(&record).await;
        assert_eq!(workers(&record).await, 1, "its requests may be under way");
        record
            .writer
            .sql("UPDATE workers SET lease_ends_uptime_ms = 1")
            .execute()
            .await
            .unwrap();
        bury(&record).await;
        assert_eq!(workers(&record).await, 0);
    }

    async fn alerts(record: &Record) -> Vec<String> {
        let alerts = record
            .writer
            .sql("SELECT problem FROM alerts WHERE kind = 'worker-died'");
        alerts.scalars().await.unwrap()
    }

    async fn end_all_leases(record: &Record) {
        record
            .writer
            .sql("UPDATE workers SET lease_ends_uptime_ms = 1")
            .execute()
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_worker_whose_process_is_gone_is_an_alert_and_one_that_left_something_to_its_lease_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(folder.path()).await;
        drop(record.start_worker().await.unwrap());
        end_all_leases(&record).await;
        bury(&record).await;
        assert_eq!(alerts(&record).await, [] as [String; 0], "it was told to stop");

        for _ in 0..2 {
            let worker = record.start_worker().await.unwrap();
            worker.lock.as_ref().unwrap().1.unlock().unwrap();
            end_all_leases(&record).await;
            bury(&record).await;
        }
        let alerts = alerts(&record).await;
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert!(alerts[0].contains(&std::process::id().to_string()), "{alerts:?}");
    }

    #[tokio::test]
    async fn a_worker_that_died_just_now_keeps_its_lease_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::on_sqlite(folder.path()).await;
        let worker = record.start_worker().await.unwrap();
        worker.lock.as_ref().unwrap().1.unlock().unwrap();
        bury(&record).await;
        assert_eq!(workers(&record).await, 1, "its requests may be under way");
    }

    #[tokio::test]
    async fn a_worker_that_was_taken_for_dead_gives_up_what_it_had_and_begins_anew_where_its_lock_shows_that_it_lives()
     {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        crate::test_record::without_references(&record).await;
        let worker = record.start_worker().await.unwrap();
        assert!(record.renew(worker.id()).await.unwrap());
        // What a slow call of it has taken since another worker buried it.
        record.writer.sql("DELETE FROM workers").execute().await.unwrap();
        let take =
            "INSERT INTO cancellations (id, asset_id, number, state, requester_kind, requester_name, comment,
             requested_at_ms, return_client_transaction_id, due_at_ms, worker)
            VALUES ('c', 'a', 1, 'returning', 'operator', 'test', '', 1, 'r', 1, $1)";
        let take = record.writer.sql(take).bind(worker.id().to_string());
        take.execute().await.unwrap();
        assert!(!record.renew(worker.id()).await.unwrap());
        let taken = "SELECT COUNT(*) FROM cancellations WHERE worker IS NOT NULL";
        assert_eq!(record.writer.sql(taken).scalar::<i64>().await.unwrap(), 0);
        let begins_anew = !record.is_on_server();
        assert_eq!(workers(&record).await, i64::from(begins_anew));
        assert_eq!(record.renew(worker.id()).await.unwrap(), begins_anew);
    }
}

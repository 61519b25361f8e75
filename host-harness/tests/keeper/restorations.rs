//! Restorations: a record that was restored, copied or moved is noticed; what is open in it is in doubt, and what may have
//! been mailed is held back. Most of it is told by the witness beside SQLite's file.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bss_keys::{HostKey, HostKeySource};
use bss_model::clock::now_ms;
use bss_model::restoration::{Evidence, Restoration};
use bss_model::{
    Act, ActFilter, AssetSelection, AttemptOutcome, AttemptResult, BegunAttempt, Diagnose as _,
    EarlierAttempts, License, LicenseTokenStatus, MailChoices, MailFilter, MailKind, MailState, Page,
    ReturnOutcome, ReturnResult, ReturnStatus, SubjectKind,
};
use bss_record::{
    BackupError, RECORD_FILE, Record, RecordError, RetryMailError, WITNESS_FILE, verify_backup,
};
use uuid::Uuid;

use crate::cancellations::{attempted, customer, returning};
use crate::charges::{buy, orders};
use crate::database::Database;
use crate::orders::{begin, license, order, problem, shop};
use crate::record::{TestRecord, actor, settings};

/// Copies a data directory file by file, as `cp` does.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    make_private(to);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub(crate) fn make_private(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).unwrap();
}

async fn noticed(record: &Record) -> Vec<Restoration> {
    record.restorations().await.unwrap()
}

async fn mail_states(record: &Record) -> Vec<MailState> {
    let mails = record.mails(&MailFilter::default(), &Page::all()).await.unwrap();
    mails.rows.iter().map(|mail| mail.state).collect()
}

/// Moves what is in the log into the database.
async fn checkpoint(record: &TestRecord) {
    let database = record.database();
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
}

/// Takes everything that is due, and returns the attempts.
async fn take_all(record: &Record) -> Vec<BegunAttempt> {
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        limit: 100,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap();
    record.end_worker(worker).await.unwrap();
    taken.iter().map(|taken| taken.attempt).collect()
}

/// Begins an attempt at an asset, which brings a license that was bought at that time.
async fn finish(record: &Record, asset: Uuid, purchased_at_ms: i64) {
    let begun = begin(record, asset).await;
    let bought = License {
        purchased_at_ms,
        ..license(begun.client_transaction_id, &format!("t of {asset}"))
    };
    let outcome = AttemptOutcome::Licensed(bought);
    record
        .finish_attempt(asset, begun.number, outcome, 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_record_that_is_opened_again_and_again_goes_on() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    for _ in 0..3 {
        let again = record.opened_again().await;
        assert_eq!(noticed(&again).await, []);
    }
    let begun = begin(&record, placed.lines[1].asset_id).await;
    assert_eq!(
        begun.earlier,
        EarlierAttempts::None,
        "a line that was just ordered is bought at once"
    );
}

#[tokio::test]
async fn an_older_database_in_the_place_of_a_newer_one_is_noticed_and_looked_up() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [bought, open] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    let kept = tempfile::tempdir().unwrap();
    checkpoint(&record).await;
    copy(record.path(), kept.path());
    buy(&record, bought).await;
    let directory = record.closed().await;
    let path = directory.path().to_owned();
    // The file stays, and has its former content again: nothing but the witness shows it.
    std::fs::write(
        path.join(RECORD_FILE),
        std::fs::read(kept.path().join(RECORD_FILE)).unwrap(),
    )
    .unwrap();
    let restored = Record::open(&path).await.unwrap();
    let [restoration] = noticed(&restored).await.try_into().unwrap();
    assert_eq!(restoration.evidence, Evidence::Outdated);
    assert_eq!((restoration.order_lines, restoration.mails), (2, 0));
    assert!(
        !restored.awaits_adoption().await.unwrap(),
        "the newer one was overwritten"
    );
    for asset in [bought, open] {
        let begun = begin(&restored, asset).await;
        assert_eq!(begun.earlier, EarlierAttempts::Unknown);
        assert!(begun.in_doubt.is_some(), "it is only looked up for a while");
        let history = restored.attempts(asset).await.unwrap();
        assert_eq!(history[0].result, Some(AttemptResult::Restored));
    }
    // A license that was bought before is found, and its e-mail may have been sent.
    finish(&restored, bought, restoration.noticed_at_ms - 1).await;
    assert_eq!(mail_states(&restored).await, [MailState::Held]);
    // A license that was bought long after is this record's.
    finish(&restored, open, restoration.noticed_at_ms + 11 * 60 * 1_000).await;
    assert_eq!(
        mail_states(&restored).await,
        [MailState::Held, MailState::Pending]
    );
    // The restoration is noticed once.
    let again = Record::open(&path).await.unwrap();
    assert_eq!(noticed(&again).await.len(), 1);
    let filter = ActFilter::default();
    let acts = again.acts(&filter, NonZeroU32::MAX).await.unwrap();
    let acts: Vec<_> = acts
        .iter()
        .filter(|act| act.act == Act::NoticeRestoration)
        .collect();
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0].subject.kind, SubjectKind::Record);
}

#[tokio::test]
async fn a_lost_write_ahead_log_is_noticed() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    checkpoint(&record).await;
    let path = record.path().to_owned();
    let main = std::fs::read(path.join(RECORD_FILE)).unwrap();
    buy(&record, placed.lines[0].asset_id).await;
    let _directory = record.closed().await;
    std::fs::write(path.join(RECORD_FILE), main).unwrap();
    let _ = std::fs::remove_file(path.join("record.db-wal"));
    let opened = Record::open(&path).await.unwrap();
    assert_eq!(noticed(&opened).await[0].evidence, Evidence::Outdated);
}

#[tokio::test]
async fn a_copy_of_the_whole_directory_is_noticed_and_the_original_goes_on() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 3).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    checkpoint(&record).await;
    let other = tempfile::tempdir().unwrap();
    copy(record.path(), other.path());
    let drill = Record::open(other.path()).await.unwrap();
    let [restoration] = noticed(&drill).await.try_into().unwrap();
    assert_eq!(restoration.evidence, Evidence::AnotherFile);
    assert_eq!(
        (restoration.order_lines, restoration.returns, restoration.mails),
        (2, 0, 1)
    );
    assert_eq!(mail_states(&drill).await, [MailState::Held]);
    for begun in take_all(&drill).await {
        assert_eq!(
            (begun.earlier, begun.awaits_adoption),
            (EarlierAttempts::Unknown, true)
        );
    }
    let worker = drill.start_worker().await.unwrap();
    assert_eq!(
        drill.take_mails(worker.id(), 10).await.unwrap().len(),
        0,
        "none is sent"
    );
    // The original's lines are young, and its e-mail waits as before.
    assert_eq!(
        mail_states(&record.opened_again().await).await,
        [MailState::Pending]
    );
    assert_eq!(
        begin(&record, placed.lines[1].asset_id).await.earlier,
        EarlierAttempts::None
    );
}

#[tokio::test]
async fn a_record_whose_database_is_gone_does_not_begin_anew() {
    let record = TestRecord::on_sqlite().await;
    let directory = record.closed().await;
    std::fs::remove_file(directory.path().join(RECORD_FILE)).unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-lost");
    assert!(!directory.path().join(RECORD_FILE).exists());
    // Without the witness it is a directory that never had a record.
    std::fs::remove_file(directory.path().join(WITNESS_FILE)).unwrap();
    std::fs::remove_file(directory.path().join("host.key")).unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "no-record");
    let made = Record::create(directory.path(), &HostKeySource::default()).await;
    assert!(made.is_ok(), "{made:?}");
}

#[tokio::test]
async fn a_record_without_its_witness_or_with_another_s_is_noticed() {
    let record = TestRecord::on_sqlite().await.restored().await;
    assert_eq!(noticed(&record).await[0].evidence, Evidence::NoWitness);
    let other = TestRecord::on_sqlite().await;
    let directory = record.closed().await;
    let witness = directory.path().join(WITNESS_FILE);
    std::fs::copy(other.path().join(WITNESS_FILE), &witness).unwrap();
    for _ in 0..2 {
        let again = Record::open(directory.path()).await.unwrap();
        assert_eq!(noticed(&again).await.len(), 2);
        again.close().await;
    }
}

#[tokio::test]
async fn what_another_process_has_open_in_the_same_directory_is_no_copy() {
    let record = TestRecord::on_sqlite().await;
    let database = record.database();
    std::fs::remove_file(record.path().join(WITNESS_FILE)).unwrap();
    // In a container, the machine has another name.
    database
        .execute("UPDATE provenance SET machine = 'another'")
        .await;
    assert_eq!(noticed(&record.opened_again().await).await, []);
    assert!(record.path().join(WITNESS_FILE).exists(), "it is written again");
    let directory = record.closed().await;
    let opened = Record::open(directory.path()).await.unwrap();
    // A system without a machine's id can't tell.
    if Path::new("/etc/machine-id").exists() {
        assert_eq!(noticed(&opened).await[0].evidence, Evidence::AnotherMachine);
    }
}

/// Whether a process has a lock of the kind that SQLite takes on a file, such as that of an open database.
fn is_locked(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let inode = std::fs::metadata(file).unwrap().ino();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let mut locks = locks.lines().filter(|lock| lock.contains(" POSIX "));
    locks.any(|lock| lock.contains(&format!(":{inode} ")))
}

#[tokio::test]
async fn a_record_that_its_own_process_takes_for_a_backup_keeps_its_locks() {
    let record = TestRecord::on_sqlite().await;
    orders(&record, 1, 1).await;
    let database = record.path().join(RECORD_FILE);
    assert!(is_locked(&database));
    let error = verify_backup(&database, None).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "backup-unsound");
    assert!(is_locked(&database), "another process would take its log away");
}

#[tokio::test]
async fn another_database_in_the_place_of_one_that_is_open_is_not_opened() {
    let record = TestRecord::on_sqlite().await;
    orders(&record, 1, 1).await;
    let database = record.path().join(RECORD_FILE);
    checkpoint(&record).await;
    let copy = record.path().join("copy");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    let error = Record::open(record.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-replaced");
    let directory = record.closed().await;
    let opened = Record::open(directory.path()).await.unwrap();
    assert_eq!(noticed(&opened).await[0].evidence, Evidence::AnotherFile);
}

#[tokio::test]
async fn another_database_is_opened_once_the_program_that_had_the_former_one_has_ended() {
    let record = TestRecord::on_sqlite().await;
    checkpoint(&record).await;
    let directory = record.closed().await;
    let database = directory.path().join(RECORD_FILE);
    let copy = directory.path().join("copy");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    // A program that is ending has what it locked until the system has cleaned up behind it.
    let ending = std::fs::File::open(directory.path().join("use.lock")).unwrap();
    ending.lock_shared().unwrap();
    let has_ended = Arc::new(AtomicBool::new(false));
    let end = has_ended.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        end.store(true, Ordering::SeqCst);
        drop(ending);
    });
    let opened = Record::open(directory.path()).await.unwrap();
    assert!(has_ended.load(Ordering::SeqCst));
    assert_eq!(noticed(&opened).await[0].evidence, Evidence::AnotherFile);
}

#[tokio::test]
async fn a_database_that_was_put_in_place_by_hand_is_not_mixed_with_the_log_of_the_former_one() {
    for is_renamed in [false, true] {
        let record = TestRecord::on_sqlite().await;
        let placed = orders(&record, 1, 2).await.remove(0);
        let asset = placed.lines[0].asset_id;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup.db");
        record.backup(&file).await.unwrap();
        checkpoint(&record).await;
        buy(&record, asset).await;
        let log = std::fs::read(record.path().join("record.db-wal")).unwrap();
        let directory = record.closed().await;
        let (path, database) = (directory.path(), directory.path().join(RECORD_FILE));
        // A worker was killed, and its log stayed; then somebody copies the backup over the database.
        match is_renamed {
            true => {
                std::fs::copy(&file, path.join("new.db")).unwrap();
                std::fs::rename(path.join("new.db"), &database).unwrap();
            }
            false => {
                std::fs::copy(&file, &database).unwrap();
            }
        }
        std::fs::write(path.join("record.db-wal"), &log).unwrap();
        let opened = Record::open(path).await.unwrap();
        opened.verify().await.unwrap();
        opened.verify_acts(None).await.unwrap();
        assert_eq!(noticed(&opened).await[0].evidence, Evidence::Backup);
        let found = opened.asset(asset).await.unwrap().unwrap();
        assert_eq!(found.license_token_id, None, "the backup knows of no license");
        let kept = std::fs::read_dir(path).unwrap().any(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            name.ends_with("-wal") && name != "record.db-wal" && std::fs::read(entry.path()).unwrap() == log
        });
        assert!(kept, "the log is kept");
    }
}

#[tokio::test]
async fn a_log_that_a_killed_program_left_is_the_database_s_own() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    buy(&record, asset).await;
    let database = record.path().join(RECORD_FILE);
    let kept = [&database, &record.path().join("record.db-wal")].map(|file| std::fs::read(file).unwrap());
    let directory = record.closed().await;
    std::fs::write(&database, &kept[0]).unwrap();
    std::fs::write(directory.path().join("record.db-wal"), &kept[1]).unwrap();
    let opened = Record::open(directory.path()).await.unwrap();
    assert_eq!(noticed(&opened).await, []);
    assert!(
        opened
            .asset(asset)
            .await
            .unwrap()
            .unwrap()
            .license_token_id
            .is_some()
    );
}

#[tokio::test]
async fn a_copy_that_lacks_the_original_s_log_awaits_adoption() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    checkpoint(&record).await;
    let main = std::fs::read(record.path().join(RECORD_FILE)).unwrap();
    buy(&record, placed.lines[0].asset_id).await;
    let other = tempfile::tempdir().unwrap();
    make_private(other.path());
    for name in [WITNESS_FILE, "host.key"] {
        std::fs::copy(record.path().join(name), other.path().join(name)).unwrap();
    }
    std::fs::write(other.path().join(RECORD_FILE), main).unwrap();
    let drill = Record::open(other.path()).await.unwrap();
    assert!(drill.awaits_adoption().await.unwrap(), "the original goes on");
    for begun in take_all(&drill).await {
        assert!(begun.awaits_adoption);
    }
}

#[tokio::test]
async fn an_attempt_that_is_under_way_while_the_record_is_adopted_frees_its_line() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    let record = record.restored().await;
    let worker = record.start_worker().await.unwrap();
    let taking = AssetSelection {
        limit: 1,
        ..AssetSelection::default()
    };
    let taken = record.take_assets(worker.id(), &taking).await.unwrap().remove(0);
    assert!(taken.attempt.awaits_adoption);
    assert!(record.adopt(&actor()).await.unwrap());
    let outcome = AttemptOutcome::LookedUp(problem("record-not-adopted"));
    record
        .finish_attempt(asset, taken.attempt.number, outcome, 0)
        .await
        .unwrap();
    let again = record.take_assets(worker.id(), &taking).await.unwrap();
    assert_eq!(again.len(), 1, "it is nobody's, and due");
    assert!(!again[0].attempt.awaits_adoption && again[0].attempt.in_doubt.is_some());
}

#[tokio::test]
async fn a_restored_line_may_have_been_bought_with_the_settings_of_then() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let record = record.restored().await;
    let instance = record.instance_by_id(placed.instance_id).await.unwrap().unwrap();
    let saved = record
        .save_settings(instance.id, instance.version, settings(None), &actor())
        .await
        .unwrap();
    let begun = begin(&record, placed.lines[0].asset_id).await;
    assert_eq!(begun.in_doubt.unwrap().settings_version, Some(instance.version));
    assert_ne!(saved.version, instance.version);
}

#[tokio::test]
async fn a_record_remembers_nothing_of_what_was_done_before_it_was_adopted() {
    let record = TestRecord::on_sqlite().await;
    let instance = shop(&record).await;
    let keyed = |key: &str| {
        let mut asked = order(instance, &[("a", 1)]);
        asked.idempotency_key = Some(key.to_owned());
        asked
    };
    let first_of = async |record: &Record, key: &str| {
        let placed = record
            .place_order(keyed(key), &actor())
            .await
            .unwrap()
            .into_order();
        begin(record, placed.lines[0].asset_id).await
    };
    let record = record.restored().await;
    let database = record.database();
    let a_month_passes = "UPDATE provenance SET remembered_ms = 31 * 86400000, restored_at_ms = 0";
    database.execute(a_month_passes).await;
    let begun = first_of(&record, "1").await;
    assert_eq!(
        begun.earlier,
        EarlierAttempts::Unknown,
        "the original may have it"
    );
    assert!(begun.awaits_adoption);
    record.adopt(&actor()).await.unwrap();
    let begun = first_of(&record, "2").await;
    assert_eq!(begun.earlier, EarlierAttempts::Unknown);
    assert!(begun.in_doubt.unwrap().since.wall_ms > 0, "since the adoption");
    database.execute(a_month_passes).await;
    let begun = first_of(&record, "3").await;
    assert_eq!(
        begun.earlier,
        EarlierAttempts::None,
        "nobody repeats an order so late"
    );
}

#[tokio::test]
async fn a_return_that_another_copy_may_make_awaits_adoption_and_is_in_doubt_after_it() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    buy(&record, asset).await;
    let cancellation = record.cancel_now(asset, &customer(), "", &actor()).await.unwrap();
    let take = async |record: &Record| {
        let worker = record.start_worker().await.unwrap();
        let taken = record.take_return(worker.id(), cancellation.id).await.unwrap();
        let begun = record.begin_return(&taken.unwrap()).await.unwrap();
        record.end_worker(worker).await.unwrap();
        begun
    };
    let begun = take(&record).await;
    assert!(!begun.awaits_adoption, "the record is the only one");
    let record = record.restored().await;
    assert!(take(&record).await.awaits_adoption);
    record.adopt(&actor()).await.unwrap();
    let begun = take(&record).await;
    assert!(!begun.awaits_adoption && begun.in_doubt_since.is_some());
    let results: Vec<_> = record.return_attempts(cancellation.id).await.unwrap();
    let restored = results
        .iter()
        .filter(|attempt| attempt.result == Some(ReturnResult::Restored));
    assert_eq!(
        restored.count(),
        2,
        "when it was restored, and when it was adopted"
    );
}

#[tokio::test]
async fn the_e_mail_of_a_return_is_held_unless_no_other_copy_can_have_made_the_return() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [unknown, seen] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    for asset in [unknown, seen] {
        buy(&record, asset).await;
    }
    let choices = MailChoices {
        on_return: true,
        ..MailChoices::default()
    };
    record
        .save_mail_choices(placed.instance_id, choices, &actor())
        .await
        .unwrap();
    let record = record.restored().await;
    record.adopt(&actor()).await.unwrap();
    let adopted_at_ms = now_ms();
    while now_ms() == adopted_at_ms {
        tokio::task::yield_now().await;
    }
    // The other copy has ended, and the vendor shows that it did not return this one.
    let (unused, none) = (LicenseTokenStatus::Unused, ReturnStatus::None);
    record.finish_refresh(seen, unused, none).await.unwrap();
    for asset in [unknown, seen] {
        let cancellation = returning(&record, asset).await;
        attempted(&record, &cancellation, ReturnOutcome::Returned).await;
    }
    let mails = record.mails(&MailFilter::default(), &Page::all()).await.unwrap();
    let returns = mails.rows.iter().filter(|mail| mail.kind == MailKind::Return);
    let states: Vec<_> = returns.map(|mail| (mail.asset_id, mail.state)).collect();
    assert_eq!(states, [(unknown, MailState::Held), (seen, MailState::Pending)]);
}

#[tokio::test]
async fn an_e_mail_that_had_failed_is_held_in_a_restored_record() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    record
        .database()
        .execute("UPDATE mails SET state = 'failed'")
        .await;
    let record = record.restored().await;
    assert_eq!(noticed(&record).await[0].mails, 1);
    assert_eq!(mail_states(&record).await, [MailState::Held]);
}

#[tokio::test]
async fn an_empty_database_beside_a_witness_is_a_lost_one() {
    let directory = TestRecord::on_sqlite().await.closed().await;
    std::fs::write(directory.path().join(RECORD_FILE), "").unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-lost");
    // A database without a table is as good as empty, if not by its length.
    let database = directory.path().join("new.db");
    std::fs::write(&database, "").unwrap();
    Database::file(&database)
        .execute("CREATE TABLE t (a); DROP TABLE t")
        .await;
    std::fs::rename(&database, directory.path().join(RECORD_FILE)).unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-lost");
}

#[tokio::test]
async fn a_record_whose_witness_can_not_be_written_is_not_opened() {
    let directory = TestRecord::on_sqlite().await.closed().await;
    let witness = directory.path().join(WITNESS_FILE);
    std::fs::remove_file(&witness).unwrap();
    std::os::unix::fs::symlink(directory.path().join("nowhere/file"), &witness).unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, RecordError::Directory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_worker_that_takes_nothing_counts_no_dispatch() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    let (one, other) = (
        record.start_worker().await.unwrap(),
        record.start_worker().await.unwrap(),
    );
    assert_eq!(record.take_mails(one.id(), 1).await.unwrap().len(), 1);
    let witness = || std::fs::read_to_string(record.path().join(WITNESS_FILE)).unwrap();
    let before = witness();
    assert_eq!(record.take_mails(other.id(), 1).await.unwrap().len(), 0);
    assert_eq!(witness(), before);
}

#[tokio::test]
async fn a_record_that_was_replaced_while_it_was_open_takes_nothing_more() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let database = record.path().join(RECORD_FILE);
    let worker = record.start_worker().await.unwrap();
    let copy = record.path().join("copy");
    std::fs::copy(&database, &copy).unwrap();
    std::fs::rename(&copy, &database).unwrap();
    let taking = AssetSelection {
        limit: 1,
        ..AssetSelection::default()
    };
    let error = record.take_assets(worker.id(), &taking).await.unwrap_err();
    assert!(matches!(error, RecordError::Replaced { .. }), "{error}");
    assert_eq!(error.diagnosis().code, "record-replaced");
    assert_eq!(
        record.attempts(placed.lines[0].asset_id).await.unwrap(),
        [],
        "nothing was begun"
    );
}

#[tokio::test]
async fn what_may_be_bought_by_another_copy_is_not_bought_until_the_record_is_adopted() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [first, second] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    assert!(
        !record.adopt(&actor()).await.unwrap(),
        "nothing needs to be adopted"
    );
    let restored = record.restored().await;
    assert!(restored.awaits_adoption().await.unwrap());
    assert!(begin(&restored, first).await.awaits_adoption);
    let mut later = order(placed.instance_id, &[("a", 1)]);
    later.customer.id = "c-2".to_owned();
    let later = restored.place_order(later, &actor()).await.unwrap().into_order();
    let new = begin(&restored, later.lines[0].asset_id).await;
    assert!(
        !new.awaits_adoption,
        "no other copy knows an order that was placed here since"
    );
    assert!(restored.adopt(&actor()).await.unwrap());
    assert!(!restored.awaits_adoption().await.unwrap());
    let begun = begin(&restored, second).await;
    assert!(
        !begun.awaits_adoption && begun.in_doubt.is_some(),
        "it is looked up for a while"
    );
    let history = restored.attempts(second).await.unwrap();
    assert_eq!(history.len(), 3, "restored, adopted, begun");
    assert_eq!(restored.attempts(later.lines[0].asset_id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn held_e_mails_are_sent_only_when_the_operator_says_so() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    for line in &placed.lines {
        buy(&record, line.asset_id).await;
    }
    let restored = record.restored().await;
    assert_eq!(restored.held_mails().await.unwrap(), 2);
    assert_eq!(
        restored.retry_mails(&actor()).await.unwrap(),
        0,
        "those that are held back stay so"
    );
    let mails = restored
        .mails(&MailFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let unasked = restored.retry_unheld_mail(mails[0].id, &actor()).await;
    assert!(matches!(unasked, Err(RetryMailError::Held { .. })), "{unasked:?}");
    assert_eq!(mail_states(&restored).await, [MailState::Held; 2]);
    restored.retry_mail(mails[0].id, &actor()).await.unwrap();
    assert_eq!(
        mail_states(&restored).await,
        [MailState::Pending, MailState::Held]
    );
    assert_eq!(restored.release_mails(&actor()).await.unwrap(), 1);
    assert_eq!(mail_states(&restored).await, [MailState::Pending; 2]);
}

#[tokio::test]
async fn an_order_with_a_key_has_the_same_ids_in_a_new_record_with_the_same_host_key() {
    let key = std::sync::Arc::new(HostKey::generate().unwrap());
    let other_key = std::sync::Arc::new(HostKey::generate().unwrap());
    let ids = async |key: &std::sync::Arc<HostKey>, idempotency_key: Option<&str>| {
        let record = TestRecord::with_key(&HostKeySource::Given(key.clone())).await;
        let mut asked = order(shop(&record).await, &[("a", 2)]);
        asked.idempotency_key = idempotency_key.map(str::to_owned);
        let placed = record.place_order(asked, &actor()).await.unwrap().into_order();
        let begun = take_all(&record).await;
        let mut purchases: Vec<_> = begun.iter().map(|begun| begun.client_transaction_id).collect();
        purchases.sort();
        let assets: Vec<_> = placed.lines.iter().map(|line| line.asset_id).collect();
        (placed.id, assets, purchases, begun[0].earlier)
    };
    let first = ids(&key, Some("BASKET-7")).await;
    assert_eq!(
        ids(&key, Some("BASKET-7")).await,
        first,
        "after a loss the licenses are found"
    );
    assert_eq!(
        first.3,
        EarlierAttempts::NotDone,
        "a new record looks up what may be a repetition"
    );
    assert_ne!(ids(&key, Some("BASKET-8")).await.2, first.2);
    assert_ne!(
        ids(&other_key, Some("BASKET-7")).await.2,
        first.2,
        "another installation's key"
    );
    let without = ids(&key, None).await;
    assert_ne!(ids(&key, None).await.2, without.2);
    assert_eq!(without.3, EarlierAttempts::None);
}

#[tokio::test]
async fn an_order_with_a_key_that_is_placed_in_a_restored_record_is_in_doubt_since_the_restoration() {
    let record = TestRecord::on_sqlite().await;
    let instance = shop(&record).await;
    let keyed = |key: &str| {
        let mut asked = order(instance, &[("a", 1)]);
        asked.idempotency_key = Some(key.to_owned());
        asked
    };
    let before = record
        .place_order(keyed("1"), &actor())
        .await
        .unwrap()
        .into_order();
    let first = begin(&record, before.lines[0].asset_id).await;
    assert_eq!((first.earlier, first.in_doubt), (EarlierAttempts::NotDone, None));
    let restored = record.restored().await;
    let again = restored
        .place_order(keyed("2"), &actor())
        .await
        .unwrap()
        .into_order();
    let begun = begin(&restored, again.lines[0].asset_id).await;
    assert_eq!(begun.earlier, EarlierAttempts::Unknown);
    let since = begun.in_doubt.unwrap().since.wall_ms;
    assert_eq!(since, noticed(&restored).await[0].noticed_at_ms);
    assert!(begun.awaits_adoption, "the other copy may have the same order");
    let without = restored
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    let begun = begin(&restored, without.lines[0].asset_id).await;
    assert_eq!(begun.earlier, EarlierAttempts::None);
}

#[tokio::test]
async fn a_license_that_is_older_than_its_order_is_not_mailed_by_itself() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    let begun = begin(&record, asset).await;
    let mut found = license(begun.client_transaction_id, "t");
    found.purchased_at_ms = placed.placed_at_ms - 11 * 60 * 1_000;
    let outcome = AttemptOutcome::Licensed(found);
    record
        .finish_attempt(asset, begun.number, outcome, 0)
        .await
        .unwrap();
    assert_eq!(mail_states(&record).await, [MailState::Held]);
}

#[tokio::test]
async fn a_line_that_was_ordered_long_ago_is_looked_up_at_its_first_attempt() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let database = record.database();
    database
        .execute("UPDATE orders SET placed_uptime_ms = placed_uptime_ms - 61000")
        .await;
    assert_eq!(
        begin(&record, placed.lines[0].asset_id).await.earlier,
        EarlierAttempts::NotDone
    );
    database
        .execute("UPDATE orders SET placed_uptime_ms = placed_uptime_ms + 61000, boot = NULL")
        .await;
    assert_eq!(
        begin(&record, placed.lines[1].asset_id).await.earlier,
        EarlierAttempts::NotDone
    );
}

#[tokio::test]
async fn what_a_clock_that_ran_ahead_has_put_off_is_due_once_the_clock_is_right() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let database = record.database();
    database
        .execute("UPDATE assets SET due_at_ms = due_at_ms + 31536000000 WHERE position = 1")
        .await;
    database
        .execute("UPDATE assets SET due_at_ms = due_at_ms + 3600000 WHERE position = 2")
        .await;
    let taken = take_all(&record).await;
    assert_eq!(taken.len(), 1, "an hour is a pause that a vendor may ask for");
    assert_eq!(record.attempts(placed.lines[0].asset_id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_clock_has_put_off_that_was_set_back_meanwhile_is_put_off_by_less() {
    // The clock ran ahead by twenty hours when it was last looked at: just now, or so long ago that it is looked at when the
    // record is opened.
    for ran_ahead in [
        "UPDATE provenance SET counted_at_ms = counted_at_ms + 20 * 3600000",
        "UPDATE provenance SET counted_at_ms = counted_at_ms + 18 * 3600000,
                               counted_uptime_ms = counted_uptime_ms - 2 * 3600000",
    ] {
        let record = TestRecord::open().await;
        let placed = orders(&record, 1, 1).await.remove(0);
        let database = record.database();
        record
            .end_worker(record.start_worker().await.unwrap())
            .await
            .unwrap();
        database.execute(ran_ahead).await;
        database
            .execute("UPDATE assets SET due_at_ms = due_at_ms + 20 * 3600000")
            .await;
        let again = record.opened_again().await;
        assert_eq!(take_all(&again).await.len(), 1);
        assert_eq!(again.attempts(placed.lines[0].asset_id).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_backup_is_made_while_the_record_is_used_and_everything_open_in_it_is_in_doubt() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 3).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    let made = record.backup(&file).await.unwrap();
    assert_eq!(made.record, record.id().await.unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "one file");
    let error = record.backup(&file).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert_eq!(verify_backup(&file, made.sha256.as_deref()).await.unwrap(), made);
    assert_eq!(
        noticed(&record.opened_again().await).await,
        [],
        "the record itself goes on"
    );

    buy(&record, placed.lines[1].asset_id).await;
    let directory = tempfile::tempdir().unwrap();
    make_private(directory.path());
    let path = directory.path().join("data");
    std::fs::create_dir(&path).unwrap();
    make_private(&path);
    std::fs::copy(record.path().join("host.key"), path.join("host.key")).unwrap();
    let restored = Record::restore(&path, &file, made.sha256.as_deref(), false)
        .await
        .unwrap();
    let restoration = restored.restoration.unwrap();
    assert_eq!(restoration.evidence, Evidence::Backup);
    assert_eq!((restoration.order_lines, restoration.mails), (2, 1));
    let opened = Record::open(&path).await.unwrap();
    assert_eq!(noticed(&opened).await.len(), 1, "noticed once");
    let asset = opened.asset(placed.lines[0].asset_id).await.unwrap().unwrap();
    assert!(asset.license_token_id.is_some());
    for line in &placed.lines[1..] {
        assert_eq!(
            begin(&opened, line.asset_id).await.earlier,
            EarlierAttempts::Unknown
        );
    }
}

#[tokio::test]
async fn a_record_is_restored_only_where_nobody_uses_it_and_only_with_leave_to_replace_it() {
    let record = TestRecord::on_sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    record.backup(&file).await.unwrap();
    let path = record.path().to_owned();
    let error = Record::restore(&path, &file, None, true).await.unwrap_err();
    assert!(matches!(error, BackupError::InUse { .. }), "{error}");
    let _directory = record.closed().await;
    let error = Record::restore(&path, &file, None, false).await.unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    let restored = Record::restore(&path, &file, None, true).await.unwrap();
    assert!(restored.replaced.unwrap().exists(), "the former record is kept");
}

#[tokio::test]
async fn what_is_left_of_a_database_that_is_gone_is_not_mixed_into_the_backup() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    record.backup(&file).await.unwrap();
    checkpoint(&record).await;
    buy(&record, placed.lines[0].asset_id).await;
    let log = std::fs::read(record.path().join("record.db-wal")).unwrap();
    assert!(!log.is_empty());
    let directory = record.closed().await;
    let path = directory.path();
    // A power cut has left the log, and a repair has removed the database.
    std::fs::remove_file(path.join(RECORD_FILE)).unwrap();
    std::fs::write(path.join("record.db-wal"), &log).unwrap();
    let restored = Record::restore(path, &file, None, false).await.unwrap();
    assert_eq!(restored.restoration.unwrap().evidence, Evidence::Backup);
    let opened = Record::open(path).await.unwrap();
    opened.verify().await.unwrap();
    let asset = opened.asset(placed.lines[0].asset_id).await.unwrap().unwrap();
    assert_eq!(asset.license_token_id, None, "the backup knows of no license");
    let kept = std::fs::read_dir(path).unwrap().any(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.starts_with("record.db.replaced-") && name.ends_with("-wal")
    });
    assert!(kept, "the log is kept beside it");
}

#[tokio::test]
async fn a_backup_of_a_later_version_is_refused_and_nothing_is_changed() {
    let record = TestRecord::on_sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    record.backup(&file).await.unwrap();
    Database::file(&file)
        .execute("INSERT INTO _sqlx_migrations VALUES (9000, 'later', '2026-01-01', TRUE, X'00', 1)")
        .await;
    let directory = record.closed().await;
    let before = std::fs::read(directory.path().join(RECORD_FILE)).unwrap();
    let error = Record::restore(directory.path(), &file, None, true)
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().code, "record-not-up-to-date");
    assert_eq!(std::fs::read(directory.path().join(RECORD_FILE)).unwrap(), before);
    assert!(Record::open(directory.path()).await.is_ok());
}

#[tokio::test]
async fn a_backup_that_is_damaged_altered_or_of_another_key_is_refused_and_nothing_is_changed() {
    let record = TestRecord::on_sqlite().await;
    orders(&record, 1, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    let made = record.backup(&file).await.unwrap();
    let other = TestRecord::on_sqlite().await;
    let directory = other.closed().await;
    let before = std::fs::read(directory.path().join(RECORD_FILE)).unwrap();
    let restore = async |file: &Path, sha256: Option<&str>| {
        Record::restore(directory.path(), file, sha256, true)
            .await
            .unwrap_err()
    };
    let error = restore(&file, None).await;
    assert!(
        matches!(error, BackupError::Record(RecordError::WrongHostKey { .. })),
        "{error}"
    );
    let error = restore(&file, Some("00")).await;
    assert!(matches!(error, BackupError::OtherDigest { .. }), "{error}");
    let damaged = folder.path().join("damaged.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xA5);
    std::fs::write(&damaged, bytes).unwrap();
    let error = restore(&damaged, None).await;
    assert!(matches!(error, BackupError::Unsound { .. }), "{error}");
    let cut = folder.path().join("cut.db");
    std::fs::write(&cut, &std::fs::read(&file).unwrap()[..10_000]).unwrap();
    let error = restore(&cut, None).await;
    assert!(matches!(error, BackupError::Unsound { .. }), "{error}");
    let error = restore(&folder.path().join("none.db"), None).await;
    assert!(matches!(error, BackupError::Unreadable { .. }), "{error}");
    let error = restore(&record.path().join(RECORD_FILE), None).await;
    assert!(
        matches!(error, BackupError::Unsound { .. }),
        "the record itself is no backup: {error}"
    );
    assert_eq!(std::fs::read(directory.path().join(RECORD_FILE)).unwrap(), before);
    assert!(verify_backup(&file, made.sha256.as_deref()).await.is_ok());
}

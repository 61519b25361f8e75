//! Restorations: a record that was restored, copied or moved is noticed; what is open in it is in doubt, and what may have
//! been mailed is held back.

use std::num::NonZeroU32;
use std::path::Path;

use bss_keys::HostKey;
use bss_model::restoration::{Evidence, Restoration};
use bss_model::{
    Act, ActFilter, AssetSelection, AttemptOutcome, AttemptResult, BegunAttempt, Diagnose as _,
    EarlierAttempts, License, MailFilter, MailState, Page, SubjectKind,
};
use bss_record::{BackupError, RECORD_FILE, Record, RecordError, WITNESS_FILE, verify_backup};
use uuid::Uuid;

use crate::invoices::{buy, execute, orders};
use crate::orders::{begin, license, order, shop};
use crate::record::{TestRecord, actor};

/// Copies a data directory file by file, as `cp` does.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    make_private(to);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn make_private(directory: &Path) {
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
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [bought, open] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    let kept = tempfile::tempdir().unwrap();
    execute(
        &record.path().join(RECORD_FILE),
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .await;
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
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    execute(
        &record.path().join(RECORD_FILE),
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .await;
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
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 3).await.remove(0);
    buy(&record, placed.lines[0].asset_id).await;
    execute(
        &record.path().join(RECORD_FILE),
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .await;
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
    let record = TestRecord::open().await;
    let directory = record.closed().await;
    std::fs::remove_file(directory.path().join(RECORD_FILE)).unwrap();
    let error = Record::open(directory.path()).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "record-lost");
    assert!(!directory.path().join(RECORD_FILE).exists());
    // Without the witness it is a directory that never had a record.
    std::fs::remove_file(directory.path().join(WITNESS_FILE)).unwrap();
    std::fs::remove_file(directory.path().join("host.key")).unwrap();
    assert!(Record::open(directory.path()).await.is_ok());
}

#[tokio::test]
async fn a_record_without_its_witness_or_with_another_s_is_noticed() {
    let (record, other) = (TestRecord::open().await, TestRecord::open().await);
    let witness = record.path().join(WITNESS_FILE);
    std::fs::copy(other.path().join(WITNESS_FILE), &witness).unwrap();
    let again = record.opened_again().await;
    assert_eq!(noticed(&again).await[0].evidence, Evidence::NoWitness);
    std::fs::remove_file(&witness).unwrap();
    let again = record.opened_again().await;
    assert_eq!(noticed(&again).await.len(), 2);
    assert_eq!(noticed(&record.opened_again().await).await.len(), 2);
}

#[tokio::test]
async fn a_record_that_was_replaced_while_it_was_open_takes_nothing_more() {
    let record = TestRecord::open().await;
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
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    let [first, second] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    assert!(
        !record.adopt(&actor()).await.unwrap(),
        "nothing needs to be adopted"
    );
    std::fs::remove_file(record.path().join(WITNESS_FILE)).unwrap();
    let restored = record.opened_again().await;
    assert!(restored.awaits_adoption().await.unwrap());
    assert!(begin(&restored, first).await.awaits_adoption);
    let mut later = order(placed.instance_id, &[("a", 1)]);
    later.customer.id = "c-2".to_owned();
    let later = restored.place_order(later, &actor()).await.unwrap();
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
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 2).await.remove(0);
    for line in &placed.lines {
        buy(&record, line.asset_id).await;
    }
    std::fs::remove_file(record.path().join(WITNESS_FILE)).unwrap();
    let restored = record.opened_again().await;
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
        let directory = tempfile::tempdir().unwrap();
        make_private(directory.path());
        let record = Record::open_with_key(directory.path(), key.clone())
            .await
            .unwrap();
        let mut asked = order(shop(&record).await, &[("a", 2)]);
        asked.idempotency_key = idempotency_key.map(str::to_owned);
        let placed = record.place_order(asked, &actor()).await.unwrap();
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
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let keyed = |key: &str| {
        let mut asked = order(instance, &[("a", 1)]);
        asked.idempotency_key = Some(key.to_owned());
        asked
    };
    let before = record.place_order(keyed("1"), &actor()).await.unwrap();
    let first = begin(&record, before.lines[0].asset_id).await;
    assert_eq!((first.earlier, first.in_doubt), (EarlierAttempts::NotDone, None));
    std::fs::remove_file(record.path().join(WITNESS_FILE)).unwrap();
    let restored = record.opened_again().await;
    let again = restored.place_order(keyed("2"), &actor()).await.unwrap();
    let begun = begin(&restored, again.lines[0].asset_id).await;
    assert_eq!(begun.earlier, EarlierAttempts::Unknown);
    let since = begun.in_doubt.unwrap().since.wall_ms;
    assert_eq!(since, noticed(&restored).await[0].noticed_at_ms);
    assert!(begun.awaits_adoption, "the other copy may have the same order");
    let without = restored
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap();
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
    let database = record.path().join(RECORD_FILE);
    execute(
        &database,
        "UPDATE orders SET placed_uptime_ms = placed_uptime_ms - 61000",
    )
    .await;
    assert_eq!(
        begin(&record, placed.lines[0].asset_id).await.earlier,
        EarlierAttempts::NotDone
    );
    execute(
        &database,
        "UPDATE orders SET placed_uptime_ms = placed_uptime_ms + 61000, boot = NULL",
    )
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
    let database = record.path().join(RECORD_FILE);
    execute(
        &database,
        "UPDATE assets SET due_at_ms = due_at_ms + 365 * 86400000 WHERE position = 1",
    )
    .await;
    execute(
        &database,
        "UPDATE assets SET due_at_ms = due_at_ms + 3600000 WHERE position = 2",
    )
    .await;
    let taken = take_all(&record).await;
    assert_eq!(taken.len(), 1, "an hour is a pause that a vendor may ask for");
    assert_eq!(record.attempts(placed.lines[0].asset_id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_backup_is_made_while_the_record_is_used_and_everything_open_in_it_is_in_doubt() {
    let record = TestRecord::open().await;
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
    let record = TestRecord::open().await;
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
async fn a_backup_that_is_damaged_altered_or_of_another_key_is_refused_and_nothing_is_changed() {
    let record = TestRecord::open().await;
    orders(&record, 1, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.db");
    let made = record.backup(&file).await.unwrap();
    let other = TestRecord::open().await;
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

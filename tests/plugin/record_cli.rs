//! `bss-host record`: a backup and what it is good for, a record that was restored, and how damage is told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bss_record::{RECORD_FILE, Record, WITNESS_FILE};
use bss_simulator::Operation;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::cli::{CUSTOMER, assert_fails, told_error};
use crate::component::{bss_host, component, initialize};
use crate::record_place;
use crate::scenario::{
    DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, USAGE, actor, assert_ends, me, order_request, requester,
    result, silent,
};

/// The data directory that a folder's host begins with, as of [`Scenario::with`].
pub(crate) const ORIGINAL: &str = "bss";
const HOST_KEY_FILE: &str = "host.key";

fn command(folder: &Path, data_dir: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(bss_host());
    command
        .args(arguments)
        .args(["--data-dir", data_dir])
        .env("BSS_PLUGIN", component())
        .current_dir(folder)
        .env_remove("SUDO_UID")
        .env_remove("BSS_HOST_KEY");
    record_place::tell(&mut command, &folder.join(data_dir));
    command
}

/// Runs the program in a folder, on the data directory of that name.
pub(crate) fn run(folder: &Path, data_dir: &str, arguments: &[&str]) -> Output {
    let output = command(folder, data_dir, arguments).output();
    output.expect("the program runs")
}

/// The result of a command that is expected to succeed, as JSON.
pub(crate) fn told(folder: &Path, data_dir: &str, arguments: &[&str]) -> Value {
    let output = run(folder, data_dir, &[arguments, &["--json"]].concat());
    assert_ends(&output, DONE);
    result(&output)
}

/// What a command that is expected to succeed shows to a person: its results, and what it says beside them.
pub(crate) fn shown(folder: &Path, data_dir: &str, arguments: &[&str]) -> (String, String) {
    let output = run(folder, data_dir, arguments);
    assert_ends(&output, DONE);
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (out.into_owned(), err.into_owned())
}

/// Checks that a command fails with that exit code, and prints no result but the error, of that code; returns the error.
pub(crate) fn refused(folder: &Path, data_dir: &str, arguments: &[&str], exit: i32, code: &str) -> Value {
    let output = run(folder, data_dir, &[arguments, &["--json"]].concat());
    assert_refused(&output, exit, code)
}

fn assert_refused(output: &Output, exit: i32, code: &str) -> Value {
    assert_fails(output, exit, &[]);
    // A worker tells of each license besides.
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let results = out.lines().filter(|line| !line.contains("\"cursor\""));
    assert_eq!(results.count(), 1, "{output:?}");
    let error = told_error(output);
    assert_eq!(error["code"], code, "{error}");
    error
}

/// The text of a JSON value.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Checks that each of these words is in a text.
pub(crate) fn assert_says(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "`{words}` in: {text}");
    }
}

/// Makes a data directory that has nothing but the host key of another one.
pub(crate) fn directory_with_key(folder: &Path, name: &str, key_of: &str) {
    let made = folder.join(name);
    std::fs::create_dir(&made).expect("a new directory");
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o700)).expect("it is private");
    std::fs::copy(folder.join(key_of).join(HOST_KEY_FILE), made.join(HOST_KEY_FILE)).expect("the host key");
}

/// Runs statements on a database behind the record's back. Foreign keys don't hold.
pub(crate) async fn alter(database: &Path, statements: &'static str) {
    let data_dir = database.parent().expect("a data directory");
    if record_place::alter(data_dir, statements) {
        return;
    }
    let options = SqliteConnectOptions::new().filename(database).foreign_keys(false);
    let mut connection = options.connect().await.expect("a database");
    let done = sqlx::raw_sql(statements).execute(&mut connection).await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
    connection.close().await.expect("it is closed");
}

/// Adds a row that refers to an instance which is not there.
const DANGLING: &str =
    "INSERT INTO spending_limits (instance_id, units) VALUES ('00000000-0000-4000-8000-000000000000', 1)";

/// Overwrites the first page of a table in a database that nobody uses.
async fn damage(database: &Path, table: &str) {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.expect("a database");
    let page: i64 =
        sqlx::query_scalar("SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = $1")
            .bind(table)
            .fetch_one(&mut connection)
            .await
            .expect("the table");
    let bytes: i64 = sqlx::query_scalar("PRAGMA page_size")
        .fetch_one(&mut connection)
        .await
        .expect("the size of a page");
    connection.close().await.expect("it is closed");
    let [page, bytes] = [page, bytes].map(|number| usize::try_from(number).expect("a number"));
    let mut content = std::fs::read(database).expect("the database");
    content[(page - 1) * bytes..page * bytes].fill(0xA5);
    std::fs::write(database, content).expect("it is damaged");
}

/// Saves from which address a host sends its mail: a change that needs no plugin.
pub(crate) fn send_from(folder: &Path, data_dir: &str, address: &str) {
    initialize(&folder.join(data_dir));
    let configure = ["mail", "configure", "--directory", "mails", "--from", address];
    shown(folder, data_dir, &configure);
}

/// Checks from which address a host sends its mail.
fn assert_sends_from(folder: &Path, data_dir: &str, address: &str) {
    assert_eq!(told(folder, data_dir, &["mail", "show"])["from"], address);
}

/// The files in a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// A folder whose host has a record and a backup of it, `backup.db`, of when mail was sent from `before@host.example`.
fn backed_up() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    send_from(folder.path(), ORIGINAL, "before@host.example");
    let made = told(folder.path(), ORIGINAL, &["record", "backup", "backup.db"]);
    (folder, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_file_that_another_directory_goes_on_from_and_what_is_open_is_in_doubt_there() {
    let scenario = Scenario::selling().await;
    let folder = scenario.folder.path();
    let offer = scenario.offers().await.remove(0);
    let bought = scenario.order(&offer, 3).await;
    let returning = scenario
        .host
        .cancel_now(bought[0].id, &requester(), "not needed", &actor())
        .await;
    returning.expect("a return is asked for");
    let open = order_request(&offer, 2);
    let open = scenario.host.place_order(INSTANCE, open, &actor()).await;
    open.expect("it is placed").into_order();

    std::fs::create_dir(folder.join("kept")).expect("a directory");
    let file = "kept/backup.db";
    let made = told(folder, ORIGINAL, &["record", "backup", file]);
    assert_eq!(files(&folder.join("kept")), ["backup.db"], "one file");
    let content = std::fs::read(folder.join(file)).expect("the backup");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&content));
    assert_eq!(
        (&made["file"], &made["sha256"], &made["bytes"]),
        (&json!(file), &json!(digest), &json!(content.len()))
    );
    let mode = std::fs::metadata(folder.join(file))
        .expect("the backup")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let original = told(folder, ORIGINAL, &["record", "show"]);
    let goes_on = json!({
        "id": made["recordId"], "awaitsAdoption": false, "lookUpOnlySeconds": 0, "heldMails": 0,
        "customersToEraseAgain": 0, "restorations": [],
    });
    assert_eq!(original, goes_on, "the original goes on");

    directory_with_key(folder, "other", ORIGINAL);
    let restored = told(folder, "other", &["record", "restore", file, "--sha256", &digest]);
    assert_eq!(
        (&restored["backup"], &restored["replaced"]),
        (&made, &Value::Null)
    );
    let restoration = &restored["restoration"];
    let counts = ["evidence", "orderLines", "returns", "mails"].map(|name| &restoration[name]);
    assert_eq!(counts, [&json!("backup"), &json!(2), &json!(1), &json!(3)]);
    let in_doubt = json!({
        "id": made["recordId"], "awaitsAdoption": true, "lookUpOnlySeconds": 0, "heldMails": 3, "customersToEraseAgain": 0,
        "restorations": [restoration],
    });
    assert_eq!(told(folder, "other", &["record", "show"]), in_doubt);
    let ids = |data_dir| {
        let assets = told(folder, data_dir, &["asset", "list"]);
        let assets = assets.as_array().expect("a list").iter();
        assets.map(|asset| asset["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("other"), ids(ORIGINAL));
    assert_eq!(ids("other").len(), 5);
    let held = told(folder, "other", &["mail", "list", "--held"]);
    assert_eq!(held.as_array().map(Vec::len), Some(3));
    let held = told(folder, ORIGINAL, &["mail", "list", "--held"]);
    assert_eq!(held.as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_the_digest_of_a_backup_and_how_much_is_in_doubt_after_it_is_restored() {
    let scenario = Scenario::selling().await;
    let folder = scenario.folder.path();
    let offer = scenario.offers().await.remove(0);
    scenario.order(&offer, 1).await;
    let open = order_request(&offer, 2);
    let open = scenario.host.place_order(INSTANCE, open, &actor()).await;
    open.expect("it is placed").into_order();

    let (out, err) = shown(folder, ORIGINAL, &["record", "backup", "backup.db"]);
    let content = std::fs::read(folder.join("backup.db")).expect("the backup");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&content));
    let of_file = [
        "backup.db is sound: ",
        &format!("SHA-256 {digest}\n"),
        "made 20",
        "\nrecord ",
    ];
    assert_says(&out, &of_file);
    assert_says(&err, &["the host key is not in the backup", "`BSS_HOST_KEY`"]);
    let (verified, _) = shown(folder, "none", &["record", "verify", "backup.db"]);
    assert_eq!(verified, out);

    directory_with_key(folder, "other", ORIGINAL);
    let (out, err) = shown(folder, "other", &["record", "restore", "backup.db"]);
    assert_says(&out, &of_file);
    assert_says(
        &out,
        &["in doubt now: 2 order lines and 0 returns, which are looked up first\n"],
    );
    assert!(!out.contains("the former record"), "{out}");
    let copied = [
        "order lines from before are looked up, and not bought",
        "`bss-host record adopt`",
    ];
    let held = [
        "somebody may have sent them already: 1 e-mail",
        "`bss-host mail retry --held`",
    ];
    assert_says(&err, &copied);
    assert_says(&err, &held);
    assert_says(&err, &["have the platform place them again, with their keys"]);

    let (out, err) = shown(folder, "other", &["record", "show"]);
    assert_says(&out, &["Order lines", "Returns", "E-mails", " backup  "]);
    assert_says(&err, &copied);
    assert_says(&err, &held);
    let (out, err) = shown(folder, ORIGINAL, &["record", "show"]);
    assert!(!out.contains(" backup  "), "{out}");
    assert_eq!(err, "", "nothing is to be said of the original");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_an_original_may_buy_is_bought_before_the_record_is_adopted_and_then_it_is_bought_once()
{
    let scenario = Scenario::selling().await;
    let folder = scenario.folder.path();
    let offer = scenario.offers().await.remove(0);
    let mut orders = Vec::new();
    for _ in 0..2 {
        let placed = scenario
            .host
            .place_order(INSTANCE, order_request(&offer, 1), &actor())
            .await;
        orders.push(placed.expect("it is placed").into_order());
    }
    let [by_original, by_nobody] = [&orders[0], &orders[1]].map(|order| order.lines[0].asset_id.to_string());
    told(folder, ORIGINAL, &["record", "backup", "backup.db"]);
    let bought = scenario.host.run_order(orders[0].id, silent()).await;
    bought.expect("the original buys it after the backup");
    let purchases = || scenario.microsoft.faults().requests_seen(Operation::Purchase);
    assert_eq!(purchases(), 1);

    directory_with_key(folder, "other", ORIGINAL);
    told(folder, "other", &["record", "restore", "backup.db"]);
    let work = ["run", "--once"];
    let retry = ["asset", "retry", &by_nobody];
    let status = |asset: &str| told(folder, "other", &["asset", "show", asset])["syncStatus"].clone();
    refused(folder, "other", &work, NO_ANSWER, "not-settled");
    assert_eq!(status(&by_original), "synchronized", "it was found");
    assert_eq!(status(&by_nobody), "unsynchronised");
    let tried_again = run(folder, "other", &retry);
    assert_fails(&tried_again, NO_ANSWER, &["(record-not-adopted)"]);
    assert_eq!(purchases(), 1, "not even where an operator tries again");
    let held = told(folder, "other", &["mail", "list", "--held"]);
    assert_eq!(held[0]["assetId"], by_original.as_str(), "the original mails it");

    let adopted = told(folder, "other", &["record", "adopt"]);
    assert_eq!(
        (
            &adopted["awaitsAdoption"],
            adopted["restorations"].as_array().map(Vec::len)
        ),
        (&json!(false), Some(1))
    );
    let set = |seconds| told(folder, "other", &["record", "set", "--look-up-only", seconds]);
    assert_eq!(set("3600")["lookUpOnlySeconds"], 3600);
    assert_ends(&run(folder, "other", &retry), NO_ANSWER);
    assert_eq!(purchases(), 1, "a purchase of the original may be under way");
    assert_eq!(set("0")["lookUpOnlySeconds"], 0);
    assert_ends(&run(folder, "other", &retry), DONE);
    assert_eq!(status(&by_nobody), "synchronized");
    assert_ends(&run(folder, "other", &work), DONE);
    assert_eq!((purchases(), scenario.issued().await.len()), (2, 2));
    let (_, err) = shown(folder, "other", &["record", "show"]);
    assert!(!err.contains("adopt"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_backup_does_not_have_is_found_by_its_key_and_its_mail_waits_for_an_operator() {
    let scenario = Scenario::selling().await;
    let folder = scenario.folder.path();
    let offer = scenario.offers().await.remove(0);
    told(folder, ORIGINAL, &["record", "backup", "backup.db"]);
    let place = ["order", "place", INSTANCE, "--wait", "--offer", &offer];
    let without_key = [&place[..], &CUSTOMER].concat();
    let with_key = [&without_key[..], &["--idempotency-key", "BASKET-7"]].concat();
    let purchases = || scenario.microsoft.faults().requests_seen(Operation::Purchase);
    let by_original = [&with_key, &without_key].map(|order| told(folder, ORIGINAL, order)["id"].clone());
    assert_eq!(purchases(), 2);

    directory_with_key(folder, "other", ORIGINAL);
    told(folder, "other", &["record", "restore", "backup.db"]);
    told(folder, "other", &["record", "adopt"]);
    let again = told(folder, "other", &with_key);
    assert_eq!(
        (&again["id"], &again["state"]),
        (&by_original[0], &json!("licensed"))
    );
    assert_eq!(purchases(), 2, "its license was found");
    let anew = told(folder, "other", &without_key);
    assert_ne!(anew["id"], by_original[1]);
    assert_eq!(purchases(), 3, "nothing tells that it is the same order");

    let mails = |which: &str| {
        let listed = told(folder, "other", &["mail", "list", which]);
        let listed = listed.as_array().expect("a list").iter();
        listed.map(|mail| mail["orderId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(mails("--held"), [again["id"].clone()]);
    assert_eq!(mails("--pending"), [anew["id"].clone()]);
    shown(folder, "other", &["mail", "retry", "--held"]);
    assert_eq!(mails("--held"), [] as [Value; 0]);
    assert_eq!(mails("--pending"), [anew["id"].clone(), again["id"].clone()]);
}

#[test]
fn a_record_is_adopted_once_and_only_if_it_may_have_an_original() {
    let (folder, made) = backed_up();
    let folder = folder.path();
    let acts = |data_dir: &str| {
        let acts = told(folder, data_dir, &["audit", "list", "--kind", "record"]);
        let acts = acts.as_array().expect("a list").iter();
        acts.map(|act| json!([act["act"], act["actor"]["name"], act["subject"]["id"]]))
            .collect::<Vec<_>>()
    };
    let (out, _) = shown(folder, ORIGINAL, &["record", "adopt"]);
    assert_eq!(out, "the record needs no adoption\n");
    assert_eq!(acts(ORIGINAL), [] as [Value; 0]);

    directory_with_key(folder, "other", ORIGINAL);
    told(folder, "other", &["record", "restore", "backup.db"]);
    let (out, _) = shown(folder, "other", &["record", "adopt"]);
    assert_says(&out, &["the record is adopted: "]);
    let (out, _) = shown(folder, "other", &["record", "adopt"]);
    assert_eq!(out, "the record needs no adoption\n");
    let id = &made["recordId"];
    let expected = [
        json!(["notice-restoration", "record", id]),
        json!(["adopt-record", me(), id]),
    ];
    assert_eq!(acts("other"), expected);
}

#[tokio::test]
async fn a_record_is_replaced_only_by_demand_while_nobody_uses_it_and_is_kept_beside() {
    let (folder, _) = backed_up();
    let folder = folder.path();
    send_from(folder, ORIGINAL, "after@host.example");
    let restore = ["record", "restore", "backup.db"];
    let replace = ["record", "restore", "backup.db", "--replace"];
    let error = refused(folder, ORIGINAL, &restore, REFUSED, "record-exists");
    assert_eq!(error["kind"], "conflict");
    assert_says(text(&error["advice"]), &["`--replace`"]);
    let used = Record::open(&folder.join(ORIGINAL)).await.expect("the record");
    let error = refused(folder, ORIGINAL, &replace, REFUSED, "record-in-use");
    assert_says(text(&error["advice"]), &["stop all workers"]);
    used.close().await;
    assert_sends_from(folder, ORIGINAL, "after@host.example");

    let replaced = told(folder, ORIGINAL, &replace);
    assert_sends_from(folder, ORIGINAL, "before@host.example");
    let former = text(&replaced["replaced"]);
    assert!(
        former.starts_with(&format!("{ORIGINAL}/{RECORD_FILE}.")),
        "{former}"
    );
    directory_with_key(folder, "former", ORIGINAL);
    for ending in ["", "-wal"] {
        let beside = folder.join(format!("{former}{ending}"));
        if beside.exists() {
            let moved = folder.join("former").join(format!("{RECORD_FILE}{ending}"));
            std::fs::rename(beside, moved).expect("it is moved");
        }
    }
    assert_sends_from(folder, "former", "after@host.example");

    let (out, _) = shown(folder, ORIGINAL, &replace);
    assert_says(&out, &["the former record is kept as bss/record.db."]);
}

#[tokio::test]
async fn a_copy_of_a_whole_directory_is_noticed_and_the_original_goes_on() {
    let (folder, made) = backed_up();
    let folder = folder.path();
    let database = folder.join(ORIGINAL).join(RECORD_FILE);
    alter(&database, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    directory_with_key(folder, "copy", ORIGINAL);
    for name in [RECORD_FILE, WITNESS_FILE] {
        std::fs::copy(folder.join(ORIGINAL).join(name), folder.join("copy").join(name)).expect("a copy");
    }
    let copy = told(folder, "copy", &["record", "show"]);
    assert_eq!(
        (
            &copy["id"],
            &copy["awaitsAdoption"],
            &copy["restorations"][0]["evidence"]
        ),
        (&made["recordId"], &json!(true), &json!("another-file"))
    );
    let original = told(folder, ORIGINAL, &["record", "show"]);
    assert_eq!(
        (&original["awaitsAdoption"], &original["restorations"]),
        (&json!(false), &json!([]))
    );
}

#[test]
fn a_backup_overwrites_nothing_and_a_target_that_can_not_be_written_is_named() {
    let (folder, _) = backed_up();
    let folder = folder.path();
    let before = (
        std::fs::read(folder.join("backup.db")).expect("the backup"),
        files(folder),
    );
    let backup = |file: &str, exit: i32, code: &str| {
        let error = refused(folder, ORIGINAL, &["record", "backup", file], exit, code);
        assert_says(text(&error["message"]), &[&format!("`{file}`")]);
        error
    };
    let error = backup("backup.db", REFUSED, "backup-exists");
    assert_says(text(&error["advice"]), &["another file"]);
    backup(ORIGINAL, REFUSED, "backup-exists");
    backup("no-such-directory/new.db", NO_ANSWER, "backup-unwritable");
    backup("backup.db/new.db", NO_ANSWER, "backup-unwritable");
    let after = (
        std::fs::read(folder.join("backup.db")).expect("the backup"),
        files(folder),
    );
    assert!(before == after, "nothing is overwritten or left behind");
    told(folder, ORIGINAL, &["record", "backup", "file:new.db"]);
    assert_eq!(
        files(folder),
        ["backup.db", "bss", "file:new.db", "mails"],
        "a name is no address"
    );
    told(folder, ORIGINAL, &["record", "verify", "file:new.db"]);
    let restore = ["record", "restore", "backup.db"];
    refused(
        folder,
        "backup.db/bss",
        &restore,
        NO_ANSWER,
        "data-directory-unusable",
    );
    told(folder, ORIGINAL, &["record", "backup", "new.db"]);
}

#[test]
fn a_directory_without_a_record_is_named_and_none_is_made_there() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let commands = [
        &["record", "backup", "backup.db"][..],
        &["record", "verify"],
        &["record", "show"],
        &["record", "adopt"],
    ];
    let others = [
        &["asset", "list"][..],
        &["run", "--once"],
        &["status"],
        &["instance", "create", "esd", "--currency", "EUR"],
        &["plugin", "show"],
    ];
    for command in commands.iter().chain(&others) {
        let error = refused(folder, ORIGINAL, command, REFUSED, "no-record");
        assert_says(text(&error["message"]), &["no record here: `", "/bss`"]);
        assert_says(text(&error["advice"]), &["`--data-dir`", "`bss-host init`"]);
    }
    assert_eq!(files(folder), [] as [&str; 0]);
    send_from(folder, ORIGINAL, "shop@host.example");
    for command in commands {
        told(folder, ORIGINAL, command);
    }
}

#[tokio::test]
async fn a_file_that_is_no_sound_backup_is_neither_verified_nor_restored() {
    let (folder, made) = backed_up();
    let folder = folder.path();
    let backup = std::fs::read(folder.join("backup.db")).expect("the backup");
    let copy = |name: &str| {
        std::fs::write(folder.join(name), &backup).expect("a copy");
        folder.join(name)
    };
    std::fs::create_dir(folder.join("directory")).expect("a directory");
    std::fs::write(folder.join("noise.db"), "no database").expect("a file");
    std::fs::write(folder.join("empty.db"), "").expect("a file");
    std::fs::write(folder.join("cut.db"), &backup[..10_000]).expect("a file");
    alter(&copy("other.db"), "DROP TABLE provenance").await;
    alter(&copy("dangling.db"), DANGLING).await;
    damage(&copy("damaged.db"), "mails").await;
    let record = folder.join(ORIGINAL).join(RECORD_FILE);
    alter(&record, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    std::fs::copy(&record, folder.join("record.db")).expect("a copy");

    directory_with_key(folder, "other", ORIGINAL);
    for (file, code, words) in [
        ("none.db", "backup-unreadable", "No such file"),
        ("directory", "backup-unreadable", "Is a directory"),
        ("noise.db", "backup-unsound", "not a database"),
        ("empty.db", "backup-unsound", "provenance"),
        ("cut.db", "backup-unsound", "malformed"),
        ("other.db", "backup-unsound", "provenance"),
        (
            "dangling.db",
            "backup-unsound",
            "table `spending_limits` refers to a row that is missing",
        ),
        ("damaged.db", "backup-unsound", "btreeInitPage"),
        ("record.db", "backup-unsound", "goes on in a data directory"),
    ] {
        for what in ["verify", "restore"] {
            let error = refused(folder, "other", &["record", what, file], REFUSED, code);
            assert_says(text(&error["message"]), &[words, &format!("`{file}`")]);
        }
    }
    assert_eq!(told(folder, "none", &["record", "verify", "backup.db"]), made);
    assert_eq!(
        told(folder, "other", &["record", "restore", "backup.db"])["replaced"],
        Value::Null,
        "nothing was restored before"
    );
}

#[tokio::test]
async fn a_backup_that_was_altered_shows_beside_its_digest() {
    let (folder, made) = backed_up();
    let folder = folder.path();
    let digest = text(&made["sha256"]);
    std::fs::copy(folder.join("backup.db"), folder.join("altered.db")).expect("a copy");
    let alters = "UPDATE mail_settings SET settings = replace(settings, 'before@', 'thief@')";
    alter(&folder.join("altered.db"), alters).await;
    directory_with_key(folder, "other", ORIGINAL);
    for what in ["verify", "restore"] {
        let asked = ["record", what, "altered.db", "--sha256", digest];
        let error = refused(folder, "other", &asked, REFUSED, "backup-other-digest");
        assert_says(text(&error["message"]), &[digest]);
        for malformed in [
            "",
            "00",
            &digest[1..],
            &format!("{digest}0"),
            &digest.replace(|_| true, "g"),
        ] {
            let asked = ["record", what, "backup.db", "--sha256", malformed];
            assert_ends(&run(folder, "other", &asked), USAGE);
        }
    }
    let altered = told(folder, "other", &["record", "verify", "altered.db"]);
    assert_ne!(altered["sha256"], digest, "the file alone is sound");
    let without_file = ["record", "verify", "--sha256", digest];
    assert_ends(&run(folder, ORIGINAL, &without_file), USAGE);
    let in_capitals = digest.to_uppercase();
    let asked = ["record", "verify", "backup.db", "--sha256", &in_capitals];
    assert_eq!(told(folder, "other", &asked), made);
    told(
        folder,
        "other",
        &["record", "restore", "backup.db", "--sha256", digest],
    );
    assert_sends_from(folder, "other", "before@host.example");
}

#[test]
fn a_backup_is_restored_only_with_its_host_key_from_a_file_or_the_environment() {
    let (folder, _) = backed_up();
    let folder = folder.path();
    let restore = ["record", "restore", "backup.db", "--json"];
    let error = refused(folder, "without", &restore[..3], NO_ANSWER, "host-key-missing");
    assert_says(text(&error["advice"]), &["`host.key`", "`BSS_HOST_KEY`"]);
    send_from(folder, "stranger", "stranger@host.example");
    directory_with_key(folder, "with-another", "stranger");
    let error = refused(folder, "with-another", &restore[..3], NO_ANSWER, "wrong-host-key");
    assert_says(text(&error["advice"]), &["add host key", "below the first one"]);
    assert_says(text(&error["message"]), &["`backup.db`"]);
    refused(folder, "with-another", &["record", "show"], REFUSED, "no-record");
    assert!(
        !files(&folder.join("with-another"))
            .iter()
            .any(|name| name.starts_with("record.db")),
        "nothing of the backup is left"
    );

    let key = std::fs::read_to_string(folder.join(ORIGINAL).join(HOST_KEY_FILE)).expect("the key");
    let restored = command(folder, "without", &restore)
        .env("BSS_HOST_KEY", key.trim())
        .output()
        .expect("the program runs");
    assert_ends(&restored, DONE);
    let key = std::fs::read_to_string(folder.join("stranger").join(HOST_KEY_FILE)).expect("the key");
    let opened = command(folder, "without", &["record", "show", "--json"])
        .env("BSS_HOST_KEY", key.trim())
        .output()
        .expect("the program runs");
    assert_refused(&opened, NO_ANSWER, "wrong-host-key");
    directory_with_key(folder, "with", ORIGINAL);
    told(folder, "with", &restore[..3]);
}

#[tokio::test]
async fn a_record_with_an_altered_page_or_row_is_not_verified_and_what_is_wrong_is_named() {
    let (folder, made) = backed_up();
    let folder = folder.path();
    let create = ["instance", "create", "esd", "--currency", "EUR"];
    shown(folder, ORIGINAL, &create);
    let database = folder.join(ORIGINAL).join(RECORD_FILE);
    let assert_sound = || {
        let verified = told(folder, ORIGINAL, &["record", "verify"]);
        assert_eq!(verified["file"], "bss/record.db");
        assert_eq!(
            (
                &verified["recordId"],
                &verified["backupAtMs"],
                &verified["sha256"]
            ),
            (&made["recordId"], &Value::Null, &Value::Null)
        );
        let (out, _) = shown(folder, ORIGINAL, &["record", "verify"]);
        assert_says(&out, &["bss/record.db is sound: ", "\nrecord "]);
        assert!(!out.contains("SHA-256"), "{out}");
    };
    let assert_unsound = |words: &[&str]| {
        let error = refused(
            folder,
            ORIGINAL,
            &["record", "verify"],
            NO_ANSWER,
            "record-damaged",
        );
        assert_eq!(error["kind"], "damaged");
        assert_says(text(&error["message"]), words);
        assert_says(
            text(&error["advice"]),
            &["`bss-host record restore FILE --replace`"],
        );
    };
    for (changes, back, words) in [
        (
            DANGLING,
            "DELETE FROM spending_limits",
            "a row of table `spending_limits` refers to a row that is missing",
        ),
        (
            "PRAGMA ignore_check_constraints = ON; UPDATE provenance SET id = 2",
            "UPDATE provenance SET id = 1",
            "CHECK constraint failed in provenance",
        ),
    ] {
        assert_sound();
        alter(&database, changes).await;
        assert_unsound(&[words]);
        alter(&database, back).await;
    }
    assert_sound();
    alter(&database, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    damage(&database, "mails").await;
    assert_unsound(&["btreeInitPage"]);
}

#[test]
fn init_makes_a_record_and_its_key_once_and_leaves_them_as_they_are_where_a_script_says_so() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let made = told(folder, ORIGINAL, &["init"]);
    assert_eq!(made["isNew"], true);
    for member in ["file", "hostKeyFile"] {
        assert!(Path::new(text(&made[member])).is_file(), "{made}");
    }
    let key = std::fs::read(folder.join(ORIGINAL).join(HOST_KEY_FILE)).expect("the key");
    refused(folder, ORIGINAL, &["init"], REFUSED, "record-is-there");
    let kept = told(folder, ORIGINAL, &["init", "--if-missing"]);
    assert_eq!((&kept["isNew"], &kept["id"]), (&Value::Bool(false), &made["id"]));
    let kept = std::fs::read(folder.join(ORIGINAL).join(HOST_KEY_FILE)).expect("the key");
    assert_eq!(key, kept);
    // A key that is there already is the new record's.
    directory_with_key(folder, "other", ORIGINAL);
    let (out, err) = shown(folder, "other", &["init"]);
    assert_says(&out, &["made the record", "took the host key"]);
    assert_says(&err, &["belong together", "record backup"]);
    // A key that is kept elsewhere is in no file here, whatever else is there; and an empty variable is none.
    let key = String::from_utf8(key).expect("text");
    for (name, variable, is_in_file) in [("elsewhere", key.trim(), false), ("empty", "", true)] {
        directory_with_key(folder, name, ORIGINAL);
        let made = command(folder, name, &["init", "--json"])
            .env("BSS_HOST_KEY", variable)
            .output()
            .expect("the program runs");
        assert_ends(&made, DONE);
        assert_eq!(result(&made)["hostKeyFile"].is_string(), is_in_file, "{name}");
        told(folder, name, &["record", "show"]);
    }
    // A record that is lost is no new one.
    std::fs::remove_file(folder.join("other").join(RECORD_FILE)).expect("it is removed");
    refused(
        folder,
        "other",
        &["init", "--if-missing"],
        NO_ANSWER,
        "record-lost",
    );
}

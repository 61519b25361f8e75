//! The data directory: who may enter it, and what is there after it was closed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bss_keys::{HOST_KEY_FILE, HostKey, HostKeyError, HostKeySource};
use bss_model::{
    Actor, Advice, Authority, Diagnose as _, FieldRole, Instance, NewInstance, Reach, SavedSettings,
    Standing, Thumbprint,
};
use bss_record::{RECORD_FILE, Record, RecordError};

use crate::database::{Database, copies};
use crate::restorations::make_private;

/// A record in a directory of its own, and on a server in a database of its own, which are removed with it.
pub(crate) struct TestRecord {
    record: Record,
    database: Database,
    directory: tempfile::TempDir,
}

impl TestRecord {
    /// Makes a record on SQLite, or on a PostgreSQL server where `BSS_TEST_RECORD=postgres` asks for that.
    pub(crate) async fn open() -> Self {
        Self::with_key(&HostKeySource::default()).await
    }

    /// Makes a record with a host key from elsewhere.
    pub(crate) async fn with_key(source: &HostKeySource) -> Self {
        match std::env::var_os("BSS_TEST_RECORD").is_some_and(|engine| engine == "postgres") {
            true => Self::on_server(source).await,
            false => Self::on_file(source).await,
        }
    }

    /// Makes a record on SQLite, for what is about its file and what lies beside it.
    pub(crate) async fn on_sqlite() -> Self {
        Self::on_file(&HostKeySource::default()).await
    }

    async fn on_file(source: &HostKeySource) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            record: Record::open_or_create(directory.path(), source).await.unwrap(),
            database: Database::in_directory(directory.path()),
            directory,
        }
    }

    async fn on_server(source: &HostKeySource) -> Self {
        let directory = tempfile::tempdir().unwrap();
        make_private(directory.path());
        source.key(directory.path(), true).unwrap();
        let database = Database::on_server().await;
        Self {
            record: open(directory.path(), source, &database).await.unwrap(),
            database,
            directory,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The database, for what is done behind the record's back.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Closes the record, and keeps what it is in.
    pub(crate) async fn closed(self) -> Closed {
        self.record.close().await;
        Closed {
            database: self.database,
            directory: self.directory,
        }
    }

    /// Closes the record, removes its witness, and opens it again: it is found to be restored. A record on SQLite alone has a witness.
    pub(crate) async fn restored(self) -> Self {
        let closed = self.closed().await;
        std::fs::remove_file(closed.path().join(bss_record::WITNESS_FILE)).unwrap();
        closed.open(&HostKeySource::default()).await
    }

    /// Opens the record with another host key, which seals from now on; the former one is beside it.
    pub(crate) async fn with_another_host_key(self) -> Self {
        let file = self.path().join(HOST_KEY_FILE);
        let former = std::fs::read_to_string(&file).unwrap();
        let new = HostKey::generate().unwrap();
        std::fs::write(&file, format!("{}\n{former}", new.to_base64().expose())).unwrap();
        self.with_other_keys(&HostKeySource::default()).await
    }

    /// Closes the record, and opens it with other host keys.
    pub(crate) async fn with_other_keys(self, source: &HostKeySource) -> Self {
        self.closed().await.open(source).await
    }

    /// Opens the record again, as another process would.
    pub(crate) async fn opened_again(&self) -> Record {
        self.opened_with(&HostKeySource::default()).await.unwrap()
    }

    /// Opens the record again with host keys, which may be others.
    pub(crate) async fn opened_with(&self, source: &HostKeySource) -> Result<Record, RecordError> {
        open(self.path(), source, &self.database).await
    }

    /// All that is written down: the files, and the tables of a database that is in none of them.
    pub(crate) async fn all_written(&self) -> Vec<(String, Vec<u8>)> {
        let mut written = files_of(self.path());
        if let Database::Server(database) = &self.database {
            written.extend(copies(database).await);
        }
        written
    }
}

/// What a record is in that is not open.
pub(crate) struct Closed {
    database: Database,
    directory: tempfile::TempDir,
}

impl Closed {
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn open(self, source: &HostKeySource) -> TestRecord {
        TestRecord {
            record: open(self.path(), source, &self.database).await.unwrap(),
            database: self.database,
            directory: self.directory,
        }
    }
}

/// Opens a record that is there.
async fn open(directory: &Path, source: &HostKeySource, database: &Database) -> Result<Record, RecordError> {
    match database {
        Database::File(_) => Record::open_with(directory, source).await,
        Database::Server(database) => {
            let address = database.url().parse().unwrap();
            match Record::create_database(directory, source, &address).await {
                Err(RecordError::Exists { .. }) => Record::open_database(directory, source, &address).await,
                made => made,
            }
        }
    }
}

impl Deref for TestRecord {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

/// An actor for tests in which it does not matter who acts.
pub(crate) fn actor() -> Actor {
    Actor::operator("test")
}

pub(crate) fn settings(thumbprint: Option<Thumbprint>) -> SavedSettings {
    SavedSettings {
        values: BTreeMap::from([("country".to_owned(), "GR".to_owned())]),
        secrets: BTreeMap::new(),
        roles: BTreeMap::from([("country".to_owned(), FieldRole::Account)]),
        url_fields: BTreeSet::new(),
        standing: Standing::Ready,
        authorities: vec![Authority {
            name: "esd.example.test".to_owned(),
            client_certificate: true,
            secret_headers: Vec::new(),
        }],
        allowed_hosts: Vec::new(),
        thumbprint,
        shares_with: BTreeMap::new(),
        plugin: None,
        correction: None,
    }
}

pub(crate) async fn new_instance(record: &Record, name: &str) -> Instance {
    let new = NewInstance {
        owner: None,
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        reach: Reach::default(),
        plugin: None,
    };
    record.create_instance(new, &actor()).await.unwrap()
}

pub(crate) async fn ready_instance(record: &Record, name: &str, thumbprint: Option<Thumbprint>) -> Instance {
    let instance = new_instance(record, name).await;
    record
        .save_settings(instance.id, 0, settings(thumbprint), &actor())
        .await
        .unwrap()
}

/// Every file in a directory and those in it, by name.
pub(crate) fn files_of(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files
}

#[tokio::test]
async fn the_data_directory_is_made_for_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    Record::create(&path, &HostKeySource::default()).await.unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    Record::open(&path).await.unwrap();
}

#[tokio::test]
async fn an_empty_directory_is_closed_to_others_and_one_with_files_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(directory.path(), mode(0o755)).unwrap();
    Record::create(directory.path(), &HostKeySource::default())
        .await
        .unwrap()
        .close()
        .await;
    assert_eq!(
        std::fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777,
        0o700
    );

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "theirs").unwrap();
    std::fs::set_permissions(directory.path(), mode(0o750)).unwrap();
    let error = Record::create(directory.path(), &HostKeySource::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, RecordError::OpenToOthers { mode: 0o750, .. }),
        "{error:?}"
    );
    let private = Advice::MakePrivate {
        path: directory.path().to_owned(),
        mode: 0o700,
    };
    assert_eq!(error.diagnosis().advice, Some(private));
    assert_eq!(
        files_of(directory.path()),
        [("file".to_owned(), b"theirs".to_vec())]
    );
}

/// Gives a file to another user, which only root can. `false`: nothing was given.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::chown(path, Some(65_534), None).is_ok()
}

#[tokio::test]
async fn a_data_directory_of_another_user_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let theirs = match give_away(directory.path()) {
        true => directory.path(),
        // Root's, for who is not root.
        false => Path::new("/"),
    };
    let before = std::fs::read_dir(theirs).unwrap().count();
    let error = Record::create(theirs, &HostKeySource::default())
        .await
        .unwrap_err();
    let RecordError::Foreign { foreign, .. } = &error else {
        panic!("{error:?}")
    };
    assert_ne!(foreign.owner, foreign.user);
    let diagnosis = error.diagnosis();
    assert_eq!(diagnosis.code, "data-directory-foreign");
    assert_eq!(diagnosis.advice, Some(Advice::RunAsOwner { uid: foreign.owner }));
    for number in [foreign.owner, foreign.user] {
        assert!(error.to_string().contains(&number.to_string()), "{error}");
    }
    assert_eq!(std::fs::read_dir(theirs).unwrap().count(), before);
}

#[tokio::test]
async fn a_file_of_another_user_in_the_data_directory_is_refused() {
    for (name, code) in [
        ("host.key", "host-key-foreign"),
        (RECORD_FILE, "data-directory-foreign"),
    ] {
        let record = TestRecord::on_sqlite().await;
        if give_away(&record.path().join(name)) {
            let error = Record::open(record.path()).await.unwrap_err();
            assert_eq!(error.diagnosis().code, code, "{error}");
            assert!(error.to_string().contains("65534"), "{error}");
        }
    }
    let record = TestRecord::on_sqlite().await;
    let workers = record.path().join("workers");
    std::fs::create_dir(&workers).unwrap();
    if give_away(&workers) {
        let error = record.start_worker().await.unwrap_err();
        assert!(bss_model::with_causes(&error).contains("65534"), "{error:?}");
    }
}

#[tokio::test]
async fn the_files_of_the_database_are_their_owners_alone_also_where_they_were_not() {
    let record = TestRecord::on_sqlite().await;
    let modes = || {
        let modes = ["", "-wal", "-shm"].map(|ending| {
            let file = record.path().join(format!("{RECORD_FILE}{ending}"));
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777
        });
        modes.to_vec()
    };
    assert_eq!(modes(), [0o600; 3]);
    for ending in ["", "-wal", "-shm"] {
        let file = record.path().join(format!("{RECORD_FILE}{ending}"));
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let again = record.opened_again().await;
    assert_eq!(modes(), [0o600; 3]);
    assert_eq!(again.instances().await.unwrap(), []);
}

#[tokio::test]
async fn another_host_key_is_refused_before_anything_is_read() {
    let record = TestRecord::open().await;
    let uses = record.host_key_uses().await.unwrap();
    let id = uses.keys[0].id.to_string();
    let other = Arc::new(HostKey::generate().unwrap());
    let error = record
        .opened_with(&HostKeySource::Given(other))
        .await
        .unwrap_err();
    assert!(matches!(error, RecordError::WrongHostKey { .. }), "{error:?}");
    assert_eq!(error.diagnosis().advice, Some(Advice::AddHostKey { id }));
}

#[tokio::test]
async fn a_lost_host_key_is_not_replaced_by_a_new_one() {
    let record = TestRecord::open().await;
    let key = record.path().join("host.key");
    let bytes = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = record.opened_with(&HostKeySource::File).await.unwrap_err();
    assert!(
        matches!(error, RecordError::HostKey(HostKeyError::Missing { .. })),
        "{error:?}"
    );
    assert!(!key.exists());

    std::fs::write(&key, bytes).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    record.opened_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_starts_at_the_same_time_set_up_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let starts = (0..6).map(|_| {
        let path = directory.path().to_owned();
        tokio::spawn(async move {
            Record::open_or_create(&path, &HostKeySource::default())
                .await
                .unwrap()
        })
    });
    let mut records = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        records.push(start.await.unwrap());
    }
    new_instance(&records[0], "one").await;
    for record in &records {
        assert_eq!(record.instances().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_directory_without_a_record_is_not_opened_and_nothing_is_made_there() {
    let parent = tempfile::tempdir().unwrap();
    let key = parent.path().join("with-key");
    std::fs::create_dir(&key).unwrap();
    std::fs::write(key.join("host.key"), "a key").unwrap();
    for directory in [parent.path().to_owned(), parent.path().join("typo"), key] {
        let error = Record::open(&directory).await.unwrap_err();
        let diagnosis = error.diagnosis();
        assert_eq!(
            (diagnosis.code.as_ref(), diagnosis.advice),
            ("no-record", Some(Advice::MakeRecord))
        );
        assert!(
            error.to_string().contains(&directory.display().to_string()),
            "{error}"
        );
    }
    assert_eq!(
        files_of(parent.path()),
        [("host.key".to_owned(), b"a key".to_vec())]
    );
    assert!(!parent.path().join("typo").exists());
}

#[tokio::test]
async fn a_record_that_is_there_is_not_made_again() {
    let record = TestRecord::on_sqlite().await;
    new_instance(&record, "one").await;
    let error = Record::create(record.path(), &HostKeySource::default())
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().code, "record-is-there");
    assert_eq!(record.opened_again().await.instances().await.unwrap().len(), 1);
    // A record that was there is not made anew either.
    let directory = record.closed().await;
    std::fs::remove_file(directory.path().join(RECORD_FILE)).unwrap();
    let error = Record::create(directory.path(), &HostKeySource::default())
        .await
        .unwrap_err();
    assert_eq!(error.diagnosis().code, "record-lost");
}

#[test]
fn every_test_of_the_keeper_passes_on_a_postgresql_server_too() {
    let tests = std::env::current_exe().unwrap();
    let run = std::process::Command::new(tests)
        .args([
            "--skip",
            "every_test_of_the_keeper_passes_on_a_postgresql_server_too",
        ])
        .env("BSS_TEST_RECORD", "postgres")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}

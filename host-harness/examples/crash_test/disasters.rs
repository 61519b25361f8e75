//! Disasters beside the kills: an older copy of the record is restored, the workers' clock steps, or a copy of the record
//! runs beside the original. Each can be undone behind the host's back, so that the test must find what went wrong.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, FileExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bss_model::moment::uptime;
use bss_record::{RECORD_FILE, Record};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};

/// What happens beside the kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Disaster {
    /// An older copy of the record takes the place of the newer one, now by the host's own backup, now by a copied file
    Restore,
    /// The workers' wall clock steps forward and backward by a minute and by a year
    Clock,
    /// A copy of the data directory runs beside the original
    Copy,
}

/// The steps of the clock, in milliseconds from the right time, one for each kill.
const STEPS_MS: [i64; 8] = [-60_000, 0, 60_000, -60_000, 0, YEAR_MS, -YEAR_MS, 0];
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1_000;

/// A wall clock that the test steps, and a clock of what has passed that it holds, in every process that they are preloaded into.
pub(crate) struct SteppedClock {
    library: PathBuf,
    file: PathBuf,
    now_ms: i64,
}

/// How far the wall clocks of hosts on several machines are from the right time, in turn.
const OFF_BY_MS: [i64; 3] = [600_000, -600_000, 0];

impl SteppedClock {
    /// Compiles the library to preload; the clock is right.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        let source = directory.join("stepped_clock.c");
        let library = directory.join("stepped_clock.so");
        let file = directory.join("stepped_clock");
        fs::write(&source, include_str!("stepped_clock.c"))?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .status()
            .context("no C compiler can be started")?;
        ensure!(
            compiled.success(),
            "the stepped clock can't be compiled ({compiled})"
        );
        let clock = Self {
            library,
            file,
            now_ms: 0,
        };
        clock.write([0, 0])?;
        Ok(clock)
    }

    /// Makes a clock for each of so many hosts, which are minutes apart.
    pub(crate) fn make_apart(directory: &Path, hosts: usize) -> Result<Vec<Self>> {
        let Self { library, file, .. } = Self::make(directory)?;
        let make = |(host, now_ms)| {
            let clock = Self {
                library: library.clone(),
                file: file.with_extension(format!("{host}")),
                now_ms,
            };
            clock.write([now_ms, 0])?;
            Ok(clock)
        };
        let off_by = OFF_BY_MS.into_iter().cycle().take(hosts);
        off_by.enumerate().map(make).collect()
    }

    /// Has a process that was stopped not know for how long, like one of a machine that was asleep.
    pub(crate) fn hide(&self, stopped: Duration) -> Result<()> {
        self.write([self.now_ms, -i64::try_from(stopped.as_millis())?])
    }

    fn write(&self, [wall_ms, passed_ms]: [i64; 2]) -> Result<()> {
        let bytes = [wall_ms.to_ne_bytes(), passed_ms.to_ne_bytes()].concat();
        // In place: the processes have the file mapped.
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.file)?;
        Ok(FileExt::write_all_at(&file, &bytes, 0)?)
    }

    /// Has a process told the time by this clock.
    pub(crate) fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("STEPPED_CLOCK_FILE", &self.file);
    }

    /// Takes the step of a kill, and returns how far the clock moved.
    pub(crate) fn step(&mut self, kill: usize) -> Result<i64> {
        let ms = STEPS_MS.iter().cycle().nth(kill).copied().unwrap_or_default();
        self.set(ms)
    }

    /// Sets the clock to the right time again.
    pub(crate) fn put_right(&mut self) -> Result<()> {
        self.set(0).map(|_| ())
    }

    fn set(&mut self, ms: i64) -> Result<i64> {
        self.write([ms, 0])?;
        let moved = ms - self.now_ms;
        self.now_ms = ms;
        Ok(moved)
    }
}

/// Makes a copy of a database as another program would: consistent, and without a mark.
pub(crate) async fn copy_unmarked(data_dir: &Path, file: &Path) -> Result<()> {
    let pool = open(data_dir).await?;
    sqlx::query("VACUUM INTO $1")
        .bind(file.to_string_lossy().into_owned())
        .execute(&pool)
        .await?;
    pool.close().await;
    Ok(())
}

/// Puts an unmarked copy in the place of the record.
pub(crate) fn put_back(data_dir: &Path, file: &Path) -> Result<()> {
    let database = data_dir.join(RECORD_FILE);
    for suffix in ["", "-wal", "-shm"] {
        let old = data_dir.join(format!("{RECORD_FILE}{suffix}"));
        if old.exists() {
            fs::remove_file(old)?;
        }
    }
    fs::copy(file, database)?;
    Ok(())
}

/// Makes a copy of a data directory that can run beside it.
pub(crate) async fn copy_beside(data_dir: &Path, to: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for name in [bss_keys::HOST_KEY_FILE, bss_record::WITNESS_FILE] {
        fs::copy(data_dir.join(name), to.join(name))?;
    }
    copy_unmarked(data_dir, &to.join(RECORD_FILE)).await
}

/// Undoes what the record did when it noticed that it was restored, as if it had not noticed.
pub(crate) async fn forget_restoration(data_dir: &Path) -> Result<()> {
    let record = Record::open(data_dir).await?;
    ensure!(
        !record.restorations().await?.is_empty(),
        "no restoration was noticed"
    );
    record.close().await;
    let pool = open(data_dir).await?;
    let mut statements = vec![
        "DELETE FROM attempts WHERE result = 'restored'".to_owned(),
        "DELETE FROM return_attempts WHERE result = 'restored'".to_owned(),
        "UPDATE mails SET state = 'pending' WHERE state = 'held'".to_owned(),
        "UPDATE provenance SET awaits_adoption = FALSE, restored_at_ms = NULL, remembered_ms = 2678400000"
            .to_owned(),
    ];
    statements.push(youth());
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}

/// Has the record tell time by the wall clock, which has moved forward: all that it did by the other clock moves with
/// it.
pub(crate) async fn believe_step(data_dir: &Path, moved_ms: i64) -> Result<()> {
    let pool = open(data_dir).await?;
    for statement in [
        "UPDATE attempts SET begun_uptime_ms = begun_uptime_ms - $1, finished_uptime_ms = finished_uptime_ms - $1",
        "UPDATE workers SET lease_ends_uptime_ms = lease_ends_uptime_ms - $1",
        "UPDATE provenance SET remembered_ms = remembered_ms + $1",
    ] {
        sqlx::query(statement).bind(moved_ms).execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}

/// A statement after which every order was placed just now.
pub(crate) fn youth() -> String {
    let now = uptime();
    format!(
        "UPDATE orders SET boot = '{}', placed_uptime_ms = {}, placed_at_ms = {}",
        now.boot.0,
        now.ms,
        bss_model::clock::now_ms()
    )
}

async fn open(data_dir: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(data_dir.join(RECORD_FILE))
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options);
    pool.await.context("the host's database can't be opened")
}

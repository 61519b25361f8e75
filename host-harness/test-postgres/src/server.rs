//! A server of its own data: made, started, stopped, killed and started again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::account::Account;
use crate::certificates::ServerCertificate;
use crate::error::ServerError;
use crate::process;
use crate::programs::Programs;
use crate::watchdog::Watchdog;

/// The user that owns everything in a server for tests.
pub(crate) const SUPERUSER: &str = "postgres";
/// How a server says that it may lose what it was given.
const CLUSTER_NAME: &str = "bss-throwaway";
/// The longest name of a directory whose socket has a name that Linux and macOS take (103 bytes, with `/.s.PGSQL.65535`).
const DIRECTORY_BYTES_MAX: usize = 80;
/// The port of a server without a network, which is only a part of the name of its socket.
const PORT_OF_SOCKET: u16 = 5432;
/// How long a server may take until it is ready. It takes a tenth of a second; after a crash, on a busy machine, some.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take to end before it is killed. It gives its own processes five seconds.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How often a server is looked at that is not ready.
const LOOK: Duration = Duration::from_millis(10);
/// How often a port is chosen. Another program may take it before the server does.
const PORTS_TRIED: usize = 3;

/// How a server is started.
#[derive(Default)]
pub struct Options<'a> {
    /// Settings beside those of a server for tests, which they go before.
    pub settings: &'a [(&'a str, &'a str)],
    /// Whether it listens on loopback beside its socket.
    pub on_loopback: bool,
    /// Its certificate for TLS.
    pub certificate: Option<&'a ServerCertificate>,
}

/// A server with data of its own, which ends with this value; when the program ends without dropping it, a moment later.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    account: Account,
    port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
    pub(crate) databases: AtomicU64,
    pub(crate) templates: tokio::sync::Mutex<HashSet<String>>,
    // The last one to be dropped.
    directory: TempDir,
}

#[derive(Debug)]
struct Running {
    process: Child,
    watchdog: Watchdog,
}

/// The one server of this program, for tests that need a database and nothing of the server. Nobody can stop it.
///
/// # Errors
/// Like [`Server::start`].
pub fn shared() -> Result<&'static Server, ServerError> {
    static SHARED: OnceLock<Server> = OnceLock::new();
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _starting = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(server) = SHARED.get() {
        return Ok(server);
    }
    let server = Server::start()?;
    Ok(SHARED.get_or_init(|| server))
}

impl Server {
    /// Makes and starts a server that is reached by its socket alone, and saves nothing when the machine fails.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or could not be started.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&Options::default())
    }

    /// Makes and starts a server in another way.
    ///
    /// # Errors
    /// Like [`Server::start`].
    pub fn start_with(options: &Options<'_>) -> Result<Self, ServerError> {
        let mut tries = if options.on_loopback { PORTS_TRIED } else { 1 };
        loop {
            tries -= 1;
            match Self::make(options, Self::initialize)
                .and_then(|mut server| server.restart().map(|()| server))
            {
                Err(ServerError::NotReady { .. }) if tries > 0 => {}
                made => return made,
            }
        }
    }

    /// Makes and starts a standby of a running server, which follows it for as long as both run.
    ///
    /// # Errors
    /// When the data can't be copied, and like [`Server::start`].
    pub fn start_standby_of(primary: &Self) -> Result<Self, ServerError> {
        let followed = format!(
            "host={} port={} user={SUPERUSER}",
            primary.directory.path().display(),
            primary.port
        );
        let options = Options {
            settings: &[("primary_conninfo", &followed)],
            ..Options::default()
        };
        let mut standby = Self::make(&options, |standby| standby.copy_of(primary))?;
        standby.restart()?;
        Ok(standby)
    }

    /// Has every commit wait until a standby has it, too. One has to follow.
    ///
    /// # Errors
    /// When the server can't be told to, or no standby follows in time.
    pub fn commit_with_standby(&self) -> Result<(), ServerError> {
        const IS_FOLLOWED: &str = "SELECT COUNT(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'";
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        let begin = Instant::now();
        while self.sql("postgres", IS_FOLLOWED)? != "t" {
            if begin.elapsed() > READY_WITHIN {
                return Err(ServerError::NotReady {
                    waited: begin.elapsed(),
                    log: fs::read_to_string(self.log_file()).unwrap_or_default(),
                });
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Makes a server whose data is made by `fill`.
    fn make(
        options: &Options<'_>,
        fill: impl FnOnce(&Self) -> Result<(), ServerError>,
    ) -> Result<Self, ServerError> {
        let mut server = Self {
            programs: Programs::find()?,
            account: Account::of_server()?,
            port: PORT_OF_SOCKET,
            arguments: Vec::new(),
            running: None,
            databases: AtomicU64::new(0),
            templates: tokio::sync::Mutex::default(),
            directory: tempfile::Builder::new().prefix("bss-postgres-").tempdir()?,
        };
        check_depth(server.directory.path())?;
        server.account.give(server.directory.path())?;
        if options.on_loopback {
            server.port = free_port()?;
        }
        fill(&server)?;
        server.arguments = server.arguments_of(options)?;
        Ok(server)
    }

    fn initialize(&self) -> Result<(), ServerError> {
        let mut initdb = self.programs.command("initdb");
        initdb.arg("--pgdata").arg(self.data());
        initdb.args([
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        initdb.args(["--no-sync", "--no-instructions"]);
        self.account.run(&mut initdb);
        said_by(&mut initdb).map(drop)
    }

    /// Copies the data of a running server, to be its standby's.
    fn copy_of(&self, primary: &Self) -> Result<(), ServerError> {
        let mut copy = self.programs.command("pg_basebackup");
        copy.arg("--pgdata").arg(self.data());
        copy.args(["--checkpoint=fast", "--no-sync", "--username", SUPERUSER]);
        copy.arg("--host").arg(primary.directory.path());
        copy.args(["--port", &primary.port.to_string()]);
        self.account.run(&mut copy);
        said_by(&mut copy)?;
        Ok(self.be_standby()?)
    }

    /// Has the server be a standby when it is started.
    fn be_standby(&self) -> io::Result<()> {
        let signal = self.data().join("standby.signal");
        File::create(&signal)?;
        self.account.give(&signal)
    }

    fn arguments_of(&self, options: &Options<'_>) -> Result<Vec<String>, ServerError> {
        let host = if options.on_loopback { "127.0.0.1" } else { "" };
        let mut settings = vec![
            ("listen_addresses", host.to_owned()),
            ("port", self.port.to_string()),
            (
                "unix_socket_directories",
                self.directory.path().display().to_string(),
            ),
            ("max_connections", "300".to_owned()),
            // A test's data may be lost in a power cut; the record takes such a server by this name alone.
            ("fsync", "off".to_owned()),
            ("cluster_name", CLUSTER_NAME.to_owned()),
        ];
        if cfg!(target_os = "linux") {
            // Where a test turns `fsync` on: each file by itself takes 15 seconds after a crash.
            settings.push(("recovery_init_sync_method", "syncfs".to_owned()));
        }
        if let Some(certificate) = options.certificate {
            let certificate_file = self.write_private("server.crt", &certificate.certificate_pem)?;
            let key_file = self.write_private("server.key", &certificate.key_pem)?;
            settings.push(("ssl", "on".to_owned()));
            settings.push(("ssl_cert_file", certificate_file.display().to_string()));
            settings.push(("ssl_key_file", key_file.display().to_string()));
        }
        let others = options
            .settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let all = settings.into_iter().chain(others);
        Ok(all.map(|(name, value)| format!("--{name}={value}")).collect())
    }

    /// Writes a file that only the server can read, as it demands of its key.
    fn write_private(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(content.as_bytes())?;
        self.account.give(&path)?;
        Ok(path)
    }

    /// Starts the server on the data that it has, after [`Server::stop`] or [`Server::kill`]. One that runs goes on.
    ///
    /// # Errors
    /// When it could not be started, or is not ready in time.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        if self.running.is_some() {
            return Ok(());
        }
        let log = File::options().append(true).create(true).open(self.log_file())?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.data()).args(&self.arguments);
        // Not the program's own: a test runner waits until these are closed.
        command.stdout(log.try_clone()?).stderr(log);
        command.process_group(0);
        self.account.run(&mut command);
        let process = command.spawn().map_err(|source| ServerError::Program {
            program: self.programs.path("postgres"),
            source,
        })?;
        let watchdog = Watchdog::over(process::pid(&process)?, self.directory.path())?;
        let mut running = Running { process, watchdog };
        let ready = self.wait_until_ready(&mut running.process);
        self.running = Some(running);
        if ready.is_err() {
            self.end(Signal::QUIT)?;
        }
        ready
    }

    /// Waits until the server's own file says that it takes connections, as `pg_ctl` does.
    fn wait_until_ready(&self, process: &mut Child) -> Result<(), ServerError> {
        let begin = Instant::now();
        while begin.elapsed() < READY_WITHIN && process.try_wait()?.is_none() {
            let status = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            if is_ready(&status, process.id()) {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        Err(ServerError::NotReady {
            waited: begin.elapsed(),
            log: fs::read_to_string(self.log_file()).unwrap_or_default(),
        })
    }

    /// Stops the server as its operator does: connections are closed, and all is saved.
    ///
    /// # Errors
    /// When it can't be told to.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.end(Signal::INT)
    }

    /// Starts the server anew as a standby that hears of no primary: it can only be read from.
    ///
    /// # Errors
    /// Like [`Server::stop`] and [`Server::restart`].
    pub fn demote(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.be_standby()?;
        self.restart()
    }

    /// Kills the server with all of its processes at once, as a power cut does, but that the kernel keeps what was written.
    ///
    /// # Errors
    /// When it can't be killed.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        if let Some(mut running) = self.running.take() {
            process::kill_all(&mut running.process)?;
            running.watchdog.dismiss()?;
        }
        Ok(())
    }

    /// Ends the server by a signal, and by force where that takes too long.
    fn end(&mut self, signal: Signal) -> Result<(), ServerError> {
        if let Some(mut running) = self.running.take() {
            process::signal_child(&mut running.process, signal)?;
            if !process::ends_within(&mut running.process, END_WITHIN)? {
                process::kill_all(&mut running.process)?;
            }
            running.watchdog.dismiss()?;
        }
        Ok(())
    }

    /// The address of a database, as a URL.
    pub fn url(&self, database: &str) -> String {
        socket_url(SUPERUSER, self.directory.path(), self.port, database)
    }

    /// The directory of the server's socket.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// The port on loopback, and in the name of the socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a database says to a statement: a line for each row, with columns between `|`.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, ServerError> {
        let mut psql = self.programs.command("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
        ]);
        psql.arg("--host").arg(self.directory.path());
        psql.args(["--port", &self.port.to_string(), "--username", SUPERUSER]);
        psql.args(["--dbname", database, "--command", statement]);
        Ok(said_by(&mut psql)?.trim_end().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

impl Drop for Server {
    /// Ends the server without saving anything: nobody reads it again.
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // A test may have stopped it for a while.
            let _ = process::signal_child(&mut running.process, Signal::CONT);
        }
        let _ = self.end(Signal::QUIT);
    }
}

/// Checks that a directory leaves room for the name of a socket.
fn check_depth(directory: &Path) -> Result<(), ServerError> {
    match directory.as_os_str().len() {
        0..=DIRECTORY_BYTES_MAX => Ok(()),
        _ => Err(ServerError::DeepDirectory {
            path: directory.to_owned(),
        }),
    }
}

/// The address of a database behind a socket in a directory, for a user.
pub(crate) fn socket_url(user: &str, directory: &Path, port: u16, database: &str) -> String {
    let directory = directory.display().to_string();
    let directory = utf8_percent_encode(&directory, NON_ALPHANUMERIC);
    format!("postgres://{user}@{directory}:{port}/{database}")
}

/// Whether a server's `postmaster.pid` says that a process takes connections: its lines are the process, five others, what is known
/// of shared memory, and the state (src/include/utils/pidfile.h).
fn is_ready(status: &str, process: u32) -> bool {
    let mut lines = status.lines();
    lines.next() == Some(&process.to_string())
        && matches!(lines.nth(6).map(str::trim), Some("ready" | "standby"))
}

/// A port of loopback that nobody listens on at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What a program says, where it succeeds.
fn said_by(command: &mut Command) -> Result<String, ServerError> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|source| ServerError::Program {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ServerError::Failed { program, said })
}

#[cfg(test)]
mod tests;

//! The processes under test: started, killed and started again on the same directories and ports.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::database_server::DatabaseServer;
use crate::disasters::SteppedClock;
use crate::schedule::Victim;

/// How many lines each worker buys at once.
const AT_ONCE: &str = "16";

/// How long workers only look a purchase up that may still be under way: longer than the simulator takes over a
/// purchase, but short, since every purchase that a kill has cut off waits for it.
pub(crate) const LOOK_UP_ONLY: Duration = Duration::from_secs(3);

/// How long the simulator may take to be ready; it makes an RSA key first.
const READY_MAX: Duration = Duration::from_secs(60);

/// How long another program may have the simulator's port, which was free while the simulator was dead.
const PORT_MAX: Duration = Duration::from_secs(20);

/// How long after its database was gone a host may end by itself. It tries to write what has happened for two minutes.
const FORGIVEN: Duration = Duration::from_secs(150);

/// The first of ten thousand ports that Linux gives no outgoing connection unless it is told to.
const SERVER_PORTS: u16 = 20_000;

/// The details that the simulator prints when it is ready.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    pub(crate) service_url: String,
    pub(crate) resource_api: String,
    pub(crate) login_authority: String,
    pub(crate) tenant: String,
    pub(crate) channel_id: String,
    pub(crate) client_id: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) pfx_file: PathBuf,
    pub(crate) pfx_code: String,
    pub(crate) thumbprint: String,
}

/// The details that the second vendor's server prints when it is ready.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecondDetails {
    pub(crate) url: String,
    pub(crate) authority_file: PathBuf,
    pub(crate) account: String,
    pub(crate) api_key_file: PathBuf,
}

/// The paths of the programs and files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) bss_host: PathBuf,
    pub(crate) plugin: PathBuf,
    pub(crate) second_plugin: PathBuf,
    pub(crate) second_vendor: PathBuf,
    /// A directory for this run.
    pub(crate) directory: PathBuf,
}

impl Places {
    /// The simulator's directory, with its ledger.
    pub(crate) fn simulator(&self) -> PathBuf {
        self.directory.join("microsoft")
    }

    /// The second vendor's directory, with its ledger.
    pub(crate) fn second(&self) -> PathBuf {
        self.directory.join("acme")
    }

    /// The host's data directory, with its record.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("bss")
    }

    /// The directory that e-mails are written to.
    pub(crate) fn mails(&self) -> PathBuf {
        self.directory.join("mails")
    }

    /// The directory that other programs move e-mails to when they send them.
    pub(crate) fn sent(&self) -> PathBuf {
        self.directory.join("sent")
    }

    fn log(&self, name: &str) -> Result<File> {
        let path = self.directory.join(format!("{name}.log"));
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        file.with_context(|| format!("`{}` can't be written", path.display()))
    }
}

/// A host that works: its data directory, and where its record is.
#[derive(Clone, Debug)]
pub(crate) struct HostPlace {
    data_dir: PathBuf,
    /// The address of the database. `None`: the record is in the data directory.
    database: Option<String>,
}

impl HostPlace {
    /// The places of two hosts in the data directory of the run.
    pub(crate) fn in_one_directory(places: &Places) -> Vec<Self> {
        let place = Self {
            data_dir: places.data_dir(),
            database: None,
        };
        vec![place; 2]
    }

    /// Makes places of hosts on a server's record: data directories of their own, with copies of the host key.
    pub(crate) fn on_server(places: &Places, server: &DatabaseServer, hosts: usize) -> Result<Vec<Self>> {
        let make = |host| {
            let data_dir = places.directory.join(format!("bss-{}", host + 1));
            DirBuilder::new().mode(0o700).create(&data_dir)?;
            let key = places.data_dir().join(bss_keys::HOST_KEY_FILE);
            fs::copy(key, data_dir.join(bss_keys::HOST_KEY_FILE))?;
            let database = Some(server.url_of(host));
            Ok(Self { data_dir, database })
        };
        (0..hosts).map(make).collect()
    }
}

/// A process that is killed when it is dropped.
struct Running(Child);

impl Running {
    /// Kills the process with SIGKILL, and waits until it is gone.
    fn kill(&mut self) -> Result<()> {
        self.0.kill().context("a process can't be killed")?;
        self.0.wait().context("a process does not end")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The vendors' servers and the workers.
pub(crate) struct Processes {
    places: Places,
    answer_after: Duration,
    details: Details,
    simulator: Running,
    second_details: SecondDetails,
    second: Running,
    workers: Vec<Running>,
    /// Workers on copies of the data directory.
    copies: Vec<Running>,
    /// The places of the workers.
    pub(crate) hosts: Vec<HostPlace>,
    /// The clocks that workers tell the time by, in turn. None: the machine's.
    pub(crate) clocks: Vec<SteppedClock>,
    /// Until when a host may end by itself.
    forgiven_until: Option<Instant>,
    /// Where the first worker serves. `None`: it only works, as the others do.
    pub(crate) server: Option<SocketAddr>,
}

impl Processes {
    /// Starts the servers; the workers come later.
    pub(crate) fn start(places: Places, answer_after: Duration) -> Result<Self> {
        let any = "127.0.0.1:0";
        let started = start_simulator(&places, answer_after, [any, any])?;
        let (simulator, details) = started.context("the simulator does not start")?;
        let started = start_second(&places, answer_after, "0")?;
        let (second, second_details) = started.context("the second vendor's server does not start")?;
        Ok(Self {
            places,
            answer_after,
            details,
            simulator,
            second_details,
            second,
            workers: Vec::new(),
            copies: Vec::new(),
            hosts: Vec::new(),
            clocks: Vec::new(),
            forgiven_until: None,
            server: None,
        })
    }

    /// The paths of the run.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The details that the simulator printed.
    pub(crate) fn details(&self) -> &Details {
        &self.details
    }

    /// The details that the second vendor's server printed.
    pub(crate) fn second_details(&self) -> &SecondDetails {
        &self.second_details
    }

    /// Starts the workers.
    pub(crate) fn start_workers(&mut self) -> Result<()> {
        for worker in 0..self.hosts.len() {
            self.workers.push(self.start_worker(worker)?);
        }
        Ok(())
    }

    /// Kills all workers.
    pub(crate) fn kill_workers(&mut self) -> Result<()> {
        self.workers.iter_mut().try_for_each(Running::kill)?;
        self.workers.clear();
        Ok(())
    }

    /// Starts a worker on a copy of the data directory.
    pub(crate) fn start_on_copy(&mut self, data_dir: &Path) -> Result<()> {
        let name = format!("copy-{}", self.copies.len() + 1);
        let place = HostPlace {
            data_dir: data_dir.to_owned(),
            database: None,
        };
        let copy = worker(&self.places, &place, None, &name)?;
        self.copies.push(spawn(copy)?);
        Ok(())
    }

    fn start_worker(&self, number: usize) -> Result<Running> {
        let server = self.server.filter(|_| number == 0);
        let place = self.hosts.get(number).context("a worker without a place")?;
        let mut command = worker(&self.places, place, server, &worker_name(number))?;
        if let Some(clock) = self.clocks.iter().cycle().nth(number) {
            clock.preload(&mut command);
        }
        spawn(command)
    }

    /// Sends a signal to a worker's process.
    pub(crate) fn signal(&self, worker: usize, signal: Signal) -> Result<()> {
        let process = i32::try_from(self.process(worker)?)?;
        let process = Pid::from_raw(process).context("a worker without a process")?;
        Ok(kill_process(process, signal)?)
    }

    /// The number of a worker's process.
    pub(crate) fn process(&self, worker: usize) -> Result<u32> {
        Ok(self.workers.get(worker).context("no such worker")?.0.id())
    }

    /// Has hosts start again that end by themselves soon, as a service manager does: a worker ends where it can't write what it has to.
    pub(crate) fn forgive(&mut self) {
        self.forgiven_until = Some(Instant::now() + FORGIVEN);
    }

    /// Starts hosts again that have ended by themselves where that is forgiven.
    fn restart_forgiven(&mut self) -> Result<()> {
        if self.forgiven_until.is_none_or(|until| Instant::now() > until) {
            return Ok(());
        }
        for worker in 0..self.workers.len() {
            let process = self.workers.get_mut(worker).context("no such worker")?;
            if process.0.try_wait()?.is_some() {
                eprintln!(
                    "{} has ended by itself, and is started again",
                    worker_name(worker)
                );
                self.start_again(Victim::Worker(worker))?;
            }
        }
        Ok(())
    }

    /// Fails if a process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.restart_forgiven()?;
        let named = [
            ("simulator".to_owned(), &mut self.simulator),
            ("second".to_owned(), &mut self.second),
        ];
        let workers = self.workers.iter_mut().enumerate();
        for (name, process) in named
            .into_iter()
            .chain(workers.map(|(worker, process)| (worker_name(worker), process)))
        {
            if let Some(status) = process.0.try_wait()? {
                bail!("{name} has ended by itself ({status}); its log is `{name}.log`");
            }
        }
        Ok(())
    }

    /// Kills a process.
    pub(crate) fn kill(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Vendors => {
                self.simulator.kill()?;
                self.second.kill()
            }
            Victim::Worker(worker) => self.workers.get_mut(worker).map_or(Ok(()), Running::kill),
        }
    }

    /// Starts a killed process again; servers are ready when this returns.
    pub(crate) fn start_again(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Worker(worker) => {
                let started = self.start_worker(worker)?;
                if let Some(process) = self.workers.get_mut(worker) {
                    *process = started;
                }
            }
            Victim::Vendors => {
                self.simulator = self.simulator_again()?;
                self.second = self.second_again()?;
            }
        }
        Ok(())
    }

    /// Starts the simulator again, on the ports that it had.
    fn simulator_again(&self) -> Result<Running> {
        let login = self.details.login_authority.replace("localhost", "127.0.0.1");
        let service = self
            .details
            .resource_api
            .replace("https://localhost", "127.0.0.1");
        again("simulator", || {
            start_simulator(&self.places, self.answer_after, [&service, &login])
        })
    }

    /// Starts the second vendor's server again, on the port that it had.
    fn second_again(&self) -> Result<Running> {
        let port = self.second_details.url.rsplit(':').next().unwrap_or_default();
        let port = port.split('/').next().unwrap_or_default();
        again("second", || start_second(&self.places, self.answer_after, port))
    }
}

/// Starts a server again, as soon as its port is free.
fn again<T>(name: &str, start: impl Fn() -> Result<Option<(Running, T)>>) -> Result<Running> {
    let begin = Instant::now();
    loop {
        match start()? {
            Some((server, _)) => return Ok(server),
            None if begin.elapsed() > PORT_MAX => {
                bail!("{name} does not start again; its log is `{name}.log`")
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn worker_name(worker: usize) -> String {
    format!("worker-{}", worker + 1)
}

/// Starts a simulator. `None` when it ended before it was ready.
fn start_simulator(
    places: &Places,
    answer_after: Duration,
    [service, login]: [&str; 2],
) -> Result<Option<(Running, Details)>> {
    let mut command = Command::new(&places.bss_host);
    command
        .args(["simulator", "--forgets-purchases"])
        .args(["--service-address", service, "--login-address", login])
        .args(["--answer-after-ms", &answer_after.as_millis().to_string()])
        .arg("--directory")
        .arg(places.simulator());
    start_server(command, places.log("simulator")?)
}

/// Starts the second vendor's server. `None` when it ended before it was ready.
fn start_second(
    places: &Places,
    answer_after: Duration,
    port: &str,
) -> Result<Option<(Running, SecondDetails)>> {
    let mut command = Command::new(&places.second_vendor);
    command
        .args(["--port", port])
        .args(["--answer-after-ms", &answer_after.as_millis().to_string()])
        .arg("--folder")
        .arg(places.second());
    start_server(command, places.log("second")?)
}

/// Starts a server that prints its details as one line of JSON when it is ready. `None` when it ended before.
fn start_server<T: DeserializeOwned>(mut command: Command, log: File) -> Result<Option<(Running, T)>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("a server can't be started")?;
    let output = child.stdout.take();
    let process = Running(child);
    let line = first_line(output)?;
    if line.is_empty() {
        return Ok(None);
    }
    let details = serde_json::from_str(&line).context("a server says something else than where it is")?;
    Ok(Some((process, details)))
}

/// The first line of a process; empty when it ended without one.
fn first_line(output: Option<ChildStdout>) -> Result<String> {
    let output = output.context("a process has no output")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line).map(|_| line);
        let _ = sender.send(read);
    });
    let read = receiver.recv_timeout(READY_MAX);
    Ok(read.context("a server is not ready in time")??)
}

/// An address of this machine at a port that is free, and that the system gives no connection of its own while the server is dead.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let first = u16::try_from(std::process::id() % 10_000)?;
    for port in (SERVER_PORTS + first..SERVER_PORTS + 10_000).chain(SERVER_PORTS..SERVER_PORTS + first) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free")
}

/// The command of a worker at a place, which serves too where it has an address.
fn worker(places: &Places, place: &HostPlace, server: Option<SocketAddr>, name: &str) -> Result<Command> {
    let mut command = Command::new(&places.bss_host);
    match server {
        Some(address) => command
            .args(["serve", "--plain-http", "--listen"])
            .arg(address.to_string()),
        None => command.arg("run"),
    };
    command
        .args(["--at-once", AT_ONCE])
        .arg("--data-dir")
        .arg(&place.data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(places.log(name)?);
    if let Some(database) = &place.database {
        command.env("BSS_DATABASE_URL", database);
    }
    Ok(command)
}

fn spawn(mut command: Command) -> Result<Running> {
    let child = command.spawn().context("`bss-host run` can't be started")?;
    Ok(Running(child))
}

/// Makes the directory of a run.
pub(crate) fn run_directory() -> Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("crash-test-").tempdir();
    directory.context("no temporary directory")
}

/// The full path of a file, which must exist.
pub(crate) fn must_exist(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("`{}` can't be read", path.display()))
}

//! The PostgreSQL server that has the record of many hosts: killed, cut off from them, and taken over from by its standby.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use bss_test_postgres::{Server, TurnedAddress};
use host_harness::DatabaseAddress;

/// The database of the record.
const DATABASE: &str = "bss";

/// How long the answers are held up before whose request leaves: shorter than anybody waits for one.
const HELD_UP: Duration = Duration::from_secs(2);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// How a standby takes over from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Failover {
    /// A commit waits for the standby, which has all when it takes over
    Synchronous,
    /// The standby is behind when it takes over, so that what was bought last is forgotten
    Lossy,
}

/// The server that has the record, its standby, and the one address by which hosts reach whichever has it.
#[derive(Debug)]
pub(crate) struct DatabaseServer {
    server: Server,
    standby: Option<Server>,
    address: TurnedAddress,
}

/// A host that was stopped just before it sends something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    pub(crate) host: usize,
    /// How many requests may leave as far as the host was told.
    pub(crate) requests: usize,
}

impl DatabaseServer {
    /// Makes a server with an empty database, and a user of it for each host.
    pub(crate) fn start(hosts: usize) -> Result<Self> {
        let server = Server::start()?;
        let address = TurnedAddress::of(&server)?;
        server.sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        for host in 0..hosts {
            let user = user(host);
            server.sql("postgres", &format!("CREATE ROLE {user} SUPERUSER LOGIN"))?;
        }
        Ok(Self {
            server,
            standby: None,
            address,
        })
    }

    /// Has the record be a month old, so that it takes a new order for new: a younger one looks every purchase up first.
    pub(crate) fn remember_long(&self) -> Result<()> {
        self.sql("UPDATE provenance SET remembered_ms = 2678400000")
            .map(drop)
    }

    /// Gives the server a standby.
    pub(crate) fn add_standby(&mut self, failover: Failover) -> Result<()> {
        self.standby = Some(Server::start_standby_of(&self.server)?);
        match failover {
            Failover::Synchronous => self.server.commit_with_standby()?,
            Failover::Lossy => {}
        }
        Ok(())
    }

    /// The address of the record.
    pub(crate) fn address(&self) -> Result<DatabaseAddress> {
        Ok(self.url().parse()?)
    }

    /// The address of the record, as a URL.
    pub(crate) fn url(&self) -> String {
        self.address.url(DATABASE)
    }

    /// The address of the record for a host, as a URL.
    pub(crate) fn url_of(&self, host: usize) -> String {
        self.address.url_as(&user(host), DATABASE)
    }

    /// Kills the server with all of its processes, and starts it again.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        self.server.kill()?;
        Ok(self.server.restart()?)
    }

    /// Cuts all connections, and returns how many.
    pub(crate) fn cut_connections(&self) -> Result<String> {
        let cut = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.sql(cut)
    }

    /// Has the standby stay behind from now on.
    pub(crate) fn fall_behind(&mut self) -> Result<()> {
        let standby = self.standby.as_mut().context("there is no standby")?;
        Ok(standby.stop()?)
    }

    /// Kills the server. The standby takes over, and goes on from what it has.
    pub(crate) fn kill_for_standby(&mut self) -> Result<()> {
        self.server.kill()?;
        let mut standby = self.standby.take().context("there is no standby")?;
        standby.restart()?;
        let promoted = standby.sql("postgres", "SELECT pg_promote()")?;
        ensure!(promoted == "t", "the standby does not take over");
        self.server = standby;
        Ok(())
    }

    /// Has the record take the epoch in which the database is for the one in which it was all the time, whatever a host has seen.
    pub(crate) fn forget_epoch(&self) -> Result<()> {
        let forget = "UPDATE turn SET begun_at_sequence = 9000000000000000000,
            epoch = (SELECT system_identifier FROM pg_control_system()) || ' '
                    || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || tableoid";
        self.sql(forget).map(drop)
    }

    /// Leads everybody to the server that has taken over.
    pub(crate) fn turn(&self) -> Result<()> {
        Ok(self.address.turn_to(&self.server)?)
    }

    /// The ids of the workers of a process.
    pub(crate) fn workers_of(&self, process: u32) -> Result<Vec<String>> {
        self.column(&format!("SELECT id FROM workers WHERE process_id = {process}"))
    }

    /// Keeps what the record has of workers, for [`DatabaseServer::revive`].
    pub(crate) fn keep(&self, workers: &[String]) -> Result<()> {
        self.sql(&format!(
            "CREATE SCHEMA IF NOT EXISTS crash_test; CREATE TABLE crash_test.kept AS SELECT * FROM workers WHERE id IN {}",
            list(workers)
        ))
        .map(drop)
    }

    /// Has the record say of the workers that were kept that their leases are good, although others have taken over.
    pub(crate) fn revive(&self) -> Result<()> {
        let revive = "UPDATE crash_test.kept SET lease_ends_uptime_ms = lease_ends_uptime_ms + 3600000;
            INSERT INTO workers SELECT * FROM crash_test.kept ON CONFLICT (id) DO NOTHING;
            DROP SCHEMA crash_test CASCADE";
        self.sql(revive).map(drop)
    }

    /// The ids of the lines that workers have.
    pub(crate) fn lines_of(&self, workers: &[String]) -> Result<Vec<String>> {
        self.column(&format!(
            "SELECT id FROM assets WHERE worker IN {}",
            list(workers)
        ))
    }

    /// Whether each of the lines has come to an end.
    pub(crate) fn are_settled(&self, lines: &[String]) -> Result<bool> {
        let open = format!(
            "SELECT COUNT(*) FROM assets WHERE sync_status = 'unsynchronised' AND id IN {}",
            list(lines)
        );
        Ok(self.sql(&open)? == "0")
    }

    /// Holds up what hosts ask about their leases before they send a request. As soon as requests of a host wait, calls `stop` with the
    /// host and lets the answers come: they say that the lease is good. `None`: no host sends any.
    pub(crate) fn stop_before_sending(
        &self,
        stop: impl FnOnce(usize) -> Result<()>,
    ) -> Result<Option<Stopped>> {
        let hold = format!(
            "BEGIN; LOCK TABLE workers IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({}); COMMIT",
            HELD_UP.as_secs_f32()
        );
        std::thread::scope(|scope| {
            let held = scope.spawn(|| self.sql(&hold));
            let stopped = self.first_waiting()?;
            if let Some(stopped) = &stopped {
                stop(stopped.host)?;
            }
            held.join()
                .map_err(|_| anyhow!("the lock was not waited for"))??;
            Ok(stopped)
        })
    }

    /// The host with the most requests that wait for the answer whether its lease is good, as soon as some do.
    fn first_waiting(&self) -> Result<Option<Stopped>> {
        let begin = Instant::now();
        while begin.elapsed() < HELD_UP / 2 {
            if self.most_waiting()?.is_some() {
                // Others come with the first.
                std::thread::sleep(HELD_UP / 10);
                return self.most_waiting();
            }
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }

    fn most_waiting(&self) -> Result<Option<Stopped>> {
        let waiting = "SELECT substr(usename, 6), COUNT(*) FROM pg_stat_activity
             WHERE usename LIKE 'host_%' AND wait_event_type = 'Lock' AND query LIKE 'SELECT COUNT(*) FROM workers WHERE id = $1%'
             GROUP BY usename ORDER BY 2 DESC LIMIT 1";
        let most = self.sql(waiting)?;
        let Some((host, requests)) = most.split_once('|') else {
            return Ok(None);
        };
        let host = host.parse::<usize>()?.saturating_sub(1);
        Ok(Some(Stopped {
            host,
            requests: requests.parse()?,
        }))
    }

    fn column(&self, statement: &str) -> Result<Vec<String>> {
        Ok(self.sql(statement)?.lines().map(str::to_owned).collect())
    }

    fn sql(&self, statement: &str) -> Result<String> {
        Ok(self.server.sql(DATABASE, statement)?)
    }
}

/// Ids as a list of SQL, which has one that nothing has, so that it is never empty.
fn list(ids: &[String]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("('', {})", quoted.join(", ")).replace(", )", ")")
}

/// The database's user for a host, by which its connections are known.
fn user(host: usize) -> String {
    format!("host_{}", host + 1)
}

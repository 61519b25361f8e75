//! Troubles of a record that a server keeps for many hosts: the server dies, connections are cut, a host is stopped for longer than its
//! lease, a standby takes over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::database_server::{DatabaseServer, Failover, Stopped};
use crate::processes::Processes;
use crate::shop::{self, Shop};

/// How often the test looks what became of a stopped host's lines.
const LOOK: Duration = Duration::from_millis(200);

/// How long others have to take over what a stopped host had, and to buy it: three times its lease.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(90);

/// How often a host is looked for that is about to send something.
const STOPS_TRIED: usize = 20;

/// How long a host has to work again that was taken for dead.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What happens beside the kills to the server that has the record, and to its hosts.
pub(crate) struct Troubles {
    pub(crate) server: DatabaseServer,
    pub(crate) failover: Option<Failover>,
    /// Whether a stopped host knows that time has passed, and a record that another server took over.
    pub(crate) protect: bool,
    /// The kill before which it comes to the worst.
    pub(crate) worst_at: usize,
}

impl Troubles {
    /// Has come what comes before a kill. `placed`: the number of orders so far.
    pub(crate) async fn before(
        &mut self,
        number: usize,
        processes: &mut Processes,
        shop: &Shop,
        placed: u32,
    ) -> Result<()> {
        match self.failover {
            Some(Failover::Lossy) if number == self.worst_at.div_ceil(2) => {
                self.server.fall_behind()?;
                eprintln!("the standby falls behind");
            }
            Some(failover) if number == self.worst_at => {
                self.fail_over(failover, number, processes, shop, placed).await?;
            }
            None if number == self.worst_at => self.stop_host(processes).await?,
            _ => {}
        }
        Ok(())
    }

    /// Has come what comes after a kill.
    pub(crate) async fn after(
        &mut self,
        number: usize,
        processes: &mut Processes,
        shop: &Shop,
    ) -> Result<()> {
        match number % 4 {
            1 => {
                let cut = self.server.cut_connections()?;
                eprintln!("{cut} connections to the database are cut");
            }
            3 => {
                self.server.kill_and_restart()?;
                eprintln!("the database's server is killed, and started again");
            }
            _ => return Ok(()),
        }
        processes.forgive();
        shop.reach_record().await
    }

    /// Has the standby take over. Where it has forgotten orders, their customers order again with the same keys.
    async fn fail_over(
        &mut self,
        failover: Failover,
        number: usize,
        processes: &mut Processes,
        shop: &Shop,
        placed: u32,
    ) -> Result<()> {
        let [orders, ended] = shop.count().await?;
        self.server.kill_for_standby()?;
        if !self.protect {
            self.server.forget_epoch()?;
        }
        if failover == Failover::Lossy {
            shop::send_mails(processes.places(), number)?;
        }
        self.server.turn()?;
        processes.forgive();
        shop.reach_record().await?;
        let [orders_left, ended_left] = shop.count().await?;
        eprintln!(
            "the server is killed and its standby takes over, which knows {orders_left} of {orders} order lines, and the ends of \
             {ended_left} of {ended}"
        );
        if failover == Failover::Lossy {
            shop.order(0..placed, None).await?;
        }
        Ok(())
    }

    /// Stops a host that is about to send requests, for so long that others have bought what it had, and has it go on.
    async fn stop_host(&mut self, processes: &mut Processes) -> Result<()> {
        let mut found = None;
        for _ in 0..STOPS_TRIED {
            found = self
                .server
                .stop_before_sending(|host| processes.signal(host, Signal::STOP))?;
            if found.is_some() {
                break;
            }
            processes.check()?;
        }
        let Stopped { host, requests } = found.context("no host sends anything")?;
        let stopped = Instant::now();
        let process = processes.process(host)?;
        let workers = self.server.workers_of(process)?;
        let lines = self.server.lines_of(&workers)?;
        if !self.protect {
            self.server.keep(&workers)?;
        }
        ensure!(!lines.is_empty(), "a host sends something without a line");
        while !self.server.are_settled(&lines)? {
            ensure!(
                stopped.elapsed() < TAKEN_OVER_WITHIN,
                "nobody buys what a stopped host had"
            );
            tokio::time::sleep(LOOK).await;
        }
        if let (false, Some(clock)) = (self.protect, processes.clocks.get(host)) {
            clock.hide(stopped.elapsed())?;
            self.server.revive()?;
        }
        eprintln!(
            "worker {} was stopped for {} s with {requests} requests that it had leave to send; others ended its {} lines",
            host + 1,
            stopped.elapsed().as_secs(),
            lines.len()
        );
        processes.forgive();
        processes.signal(host, Signal::CONT)?;
        match self.protect {
            true => self.wait_for_worker(host, processes, &workers).await,
            // Without the fence, it never learns that it was taken for dead.
            false => Ok(()),
        }
    }

    /// Waits until a host has a worker that is none of those.
    async fn wait_for_worker(&self, host: usize, processes: &mut Processes, former: &[String]) -> Result<()> {
        let begin = Instant::now();
        loop {
            processes.check()?;
            let workers = self.server.workers_of(processes.process(host)?)?;
            if workers.iter().any(|worker| !former.contains(worker)) {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < BACK_WITHIN,
                "a host that was stopped does not come back"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}

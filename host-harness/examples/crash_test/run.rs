//! A run of the test: orders come in while processes die, until everything is quiet; then the two sides are compared.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bss_record::Record;
use host_harness::Unfinished;
use serde_json::{Value, json};

use crate::clients::{Answers, Clients};
use crate::comparison::{Figures, Told};
use crate::database_server::{DatabaseServer, Failover};
use crate::disasters::{self, Disaster, SteppedClock};
use crate::forgetting::Attempts;
use crate::processes::{HostPlace, Places, Processes, free_address, must_exist, run_directory};
use crate::receiver::Receiver;
use crate::schedule::{self, Kill, Victim};
use crate::shop::{self, Shop};
use crate::troubles::Troubles;
use crate::{Arguments, Engine};

/// How often the test looks whether lines are worked on again.
const LOOK: Duration = Duration::from_millis(20);

/// How often the test looks whether all is quiet.
const QUIET_LOOK: Duration = Duration::from_millis(500);

/// How often the open lines and e-mails are printed while the test waits for quiet.
const WORD: Duration = Duration::from_secs(10);

/// How long nothing may change before the run is given up: longer than any pause between two attempts, which are ten
/// minutes at most.
const STILL_MAX: Duration = Duration::from_secs(11 * 60);

/// How long after its request a purchase is answered; it is carried out half-way through. That is as long as the
/// longest delay of a kill, so that a kill cuts off all that a worker has under way, as often before it is carried
/// out as after.
const ANSWER_AFTER: Duration = Duration::from_secs(1);

/// How long after its request a purchase is answered where the clock steps: so long that a worker which believes the clock
/// takes a dead worker's purchase over while the simulator still carries it out.
const SLOW_ANSWER_AFTER: Duration = Duration::from_secs(8);

/// How many licenses of each vendor are returned before a kill, at most, and at the end.
const RETURNS: usize = 1;
const RETURNS_AT_LAST: usize = 8;

/// How long it takes until another worker has taken over what a dead one had, once its lease is over.
const TAKEN_OVER: Duration = Duration::from_millis(1_500);

/// The result of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    seed: u64,
    orders: u32,
    kills: usize,
    vendor_kills: usize,
    /// Attempts that were under way when their worker was killed.
    cut_off: u64,
    seconds: f64,
    pub(crate) figures: Figures,
}

impl Report {
    fn facts(&self) -> [(&'static str, Value); 6] {
        let seconds = (self.seconds * 10.0).round() / 10.0;
        [
            ("seed", self.seed.into()),
            ("orders", self.orders.into()),
            ("kills", self.kills.into()),
            ("vendor kills", self.vendor_kills.into()),
            ("attempts cut off", self.cut_off.into()),
            ("seconds", seconds.into()),
        ]
    }

    fn all(&self) -> Vec<(&'static str, Value)> {
        let mut all = self.facts().to_vec();
        all.push(("licenses issued", self.figures.licenses_issued.into()));
        all.push(("licenses returned", self.figures.licenses_returned.into()));
        all.push(("lines withdrawn", self.figures.lines_withdrawn.into()));
        let errors = self.figures.errors();
        all.extend(errors.map(|(name, count)| (name, count.into())));
        all
    }

    /// The report as one line of JSON; names are written in camelCase.
    pub(crate) fn json(&self) -> String {
        let mut object = json!({});
        for (name, value) in self.all() {
            object[camel_case(name)] = value;
        }
        object.to_string()
    }

    /// The report as a table with a line for each figure.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (name, value) in self.all() {
            // Writing to a string can't fail.
            let _ = writeln!(table, "{name:<24} {value}");
        }
        table.trim_end().to_owned()
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split(' ');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |joined, word| {
        let (initial, rest) = word.split_at(1);
        joined + &initial.to_uppercase() + rest
    })
}

/// Runs the test. The directory of a run that fails is kept.
///
/// # Errors
/// When the test can't be run to its end.
pub(crate) async fn run(arguments: &Arguments, seed: u64) -> Result<Report> {
    let directory = run_directory()?;
    let places = Places {
        bss_host: must_exist(&arguments.bss_host)?,
        plugin: must_exist(&arguments.plugin)?,
        second_plugin: must_exist(&arguments.second_plugin)?,
        second_vendor: must_exist(&arguments.second_vendor)?,
        directory: directory.path().to_owned(),
    };
    let done = run_in(&places, arguments, seed).await;
    if !done.as_ref().is_ok_and(|report| report.figures.is_right()) {
        eprintln!("the run's files are kept in `{}`", directory.keep().display());
    }
    done
}

async fn run_in(places: &Places, arguments: &Arguments, seed: u64) -> Result<Report> {
    let begin = Instant::now();
    let hosts = usize::from(arguments.hosts);
    let mut server = match arguments.record {
        Some(Engine::Postgres) => Some(DatabaseServer::start(hosts)?),
        None => None,
    };
    let workers = if server.is_some() { hosts } else { 2 };
    let kills = schedule::kills(seed, arguments.kills as usize, workers);
    let answer_after = match arguments.disaster {
        Some(Disaster::Clock) => SLOW_ANSWER_AFTER,
        _ => ANSWER_AFTER,
    };
    let mut processes = Processes::start(places.clone(), answer_after)?;
    let address = server.as_ref().map(DatabaseServer::address).transpose()?;
    let shop = Shop::open(places, address, processes.details(), processes.second_details()).await?;
    let attempts = match &mut server {
        Some(server) => {
            server.remember_long()?;
            if let Some(failover) = arguments.failover {
                server.add_standby(failover)?;
            }
            processes.hosts = HostPlace::on_server(places, server, hosts)?;
            processes.clocks = SteppedClock::make_apart(&places.directory, hosts)?;
            Attempts::on_server(&server.url())?
        }
        None => {
            processes.hosts = HostPlace::in_one_directory(places);
            Attempts::open(&places.data_dir()).await?
        }
    };
    if arguments.disaster == Some(Disaster::Clock) {
        processes.clocks = vec![SteppedClock::make(&places.directory)?];
    }
    let mut coming = Coming::new(arguments.orders, kills.len());
    let receiver = Receiver::start().await?;
    // A record that forgets may tell of a license twice, and a restored one tells nobody until an operator says so.
    let remembers = arguments.disaster.is_none()
        && !arguments.forget_attempts
        && arguments.failover != Some(Failover::Lossy);
    let mut clients = None;
    if remembers {
        shop.tell(&receiver).await?;
        let server = free_address()?;
        processes.server = Some(server);
        clients = Some(shop.let_clients_in(server).await?);
    }
    shop.order(coming.first(), clients.as_mut()).await?;
    processes.start_workers()?;
    let troubles = server.map(|server| Troubles {
        server,
        failover: arguments.failover,
        protect: !arguments.without_protection,
        // A host is stopped when all have plenty to do; a standby takes over half-way.
        worst_at: match arguments.failover {
            Some(_) => kills.len().div_ceil(2),
            None => 1,
        },
    });
    let mut test = Test {
        processes,
        troubles,
        shop,
        attempts,
        forget: arguments.forget_attempts,
        protect: !arguments.without_protection,
        remembers,
        forgotten: 0,
        older: None,
        clients,
    };
    for (number, kill) in (1..).zip(&kills) {
        test.shop.order(coming.next(), test.clients.as_mut()).await?;
        if let Some(disaster) = arguments.disaster {
            test = test.strike(disaster, number, coming.placed).await?;
        }
        if let Some(troubles) = &mut test.troubles {
            troubles
                .before(number, &mut test.processes, &test.shop, coming.placed)
                .await?;
        }
        if test.remembers {
            test.shop.return_some(test.processes.places(), RETURNS).await?;
            test.shop.withdraw_some().await?;
        }
        test.kill(number, kills.len(), kill).await?;
        if let Some(troubles) = &mut test.troubles {
            troubles.after(number, &mut test.processes, &test.shop).await?;
        }
    }
    let answers = test.hear().await?;
    if test.remembers {
        test.kill_while_returning().await?;
    }
    let is_quiet = test.settle().await? && test.become_told().await?;
    let Test {
        processes,
        shop,
        attempts,
        forgotten,
        troubles,
        ..
    } = test;
    // The processes are killed, so that nothing changes any more.
    drop(processes);
    if !is_quiet {
        eprintln!(
            "it did not become quiet: lines, e-mails or events were open, and nothing changed any more"
        );
    }
    let lines = shop.lines().await?;
    let ledger = shop::ledger(places).await?;
    let events = receiver.told();
    eprintln!(
        "the receiver of webhooks was told {} licenses, and {} times what it knew; {} clients of the server heard what came of their orders",
        events.licensed.len(),
        events.repeated,
        answers.heard.len()
    );
    let told = Told {
        events: remembers.then_some(events),
        charged: shop.charged().await?,
        mailed: shop::mailed(places, &lines)?,
        credited: shop.credited().await?,
        answers,
    };
    let figures = Figures::compare(&lines, &ledger, &told);
    let cut_off = attempts.cut_off().await? + forgotten;
    // The server is asked no more.
    drop(troubles);
    let is_vendors = |kill: &&Kill| kill.victim == Victim::Vendors;
    Ok(Report {
        seed,
        orders: arguments.orders,
        kills: kills.len(),
        vendor_kills: kills.iter().filter(is_vendors).count(),
        cut_off,
        seconds: begin.elapsed().as_secs_f64(),
        figures,
    })
}

/// The schedule of orders: half of them come before anything is bought, the others are spread over the kills.
struct Coming {
    orders: u32,
    placed: u32,
    kills_left: u32,
}

impl Coming {
    fn new(orders: u32, kills: usize) -> Self {
        Self {
            orders,
            placed: 0,
            kills_left: u32::try_from(kills).unwrap_or(u32::MAX),
        }
    }

    /// The numbers of the orders that come first; all of them where nothing is killed.
    fn first(&mut self) -> std::ops::Range<u32> {
        let count = match self.kills_left {
            0 => self.orders,
            _ => self.orders.div_ceil(2),
        };
        self.take(count)
    }

    /// The numbers of the orders that come before the next kill.
    fn next(&mut self) -> std::ops::Range<u32> {
        let left = self.orders - self.placed;
        let count = left.div_ceil(self.kills_left.max(1));
        self.kills_left = self.kills_left.saturating_sub(1);
        self.take(count)
    }

    fn take(&mut self, count: u32) -> std::ops::Range<u32> {
        let from = self.placed;
        self.placed = self.orders.min(from.saturating_add(count));
        from..self.placed
    }
}

/// A run that is under way.
struct Test {
    processes: Processes,
    /// What happens to the server that has the record, where there is one.
    troubles: Option<Troubles>,
    shop: Shop,
    attempts: Attempts,
    forget: bool,
    /// Whether the record keeps what protects it from a disaster.
    protect: bool,
    /// Whether the record forgets nothing, so that licenses can be returned, lines withdrawn, an instance disabled and a receiver told.
    remembers: bool,
    forgotten: u64,
    /// An older copy of the record, and whether it is a backup of the host's own.
    older: Option<(PathBuf, bool)>,
    /// The clients of the server, where there is one.
    clients: Option<Clients>,
}

impl Test {
    /// Has a disaster strike, as often as makes sense for it. `placed`: the number of orders so far.
    async fn strike(mut self, disaster: Disaster, number: usize, placed: u32) -> Result<Self> {
        let data_dir = self.processes.places().data_dir();
        match (disaster, number % 4) {
            (Disaster::Restore, 1) => {
                let file = self
                    .processes
                    .places()
                    .directory
                    .join(format!("older-{number}.db"));
                let is_own = number % 8 == 1;
                match is_own {
                    true => self.shop.backup(&file).await?,
                    false => disasters::copy_unmarked(&data_dir, &file).await?,
                }
                self.older = Some((file, is_own));
            }
            (Disaster::Restore, 3) => return self.restore(number, placed).await,
            (Disaster::Copy, 1) => {
                let copy = self.processes.places().directory.join(format!("copy-{number}"));
                disasters::copy_beside(&data_dir, &copy).await?;
                if !self.protect {
                    disasters::forget_restoration(&copy).await?;
                }
                self.processes.start_on_copy(&copy)?;
                eprintln!("a copy of the data directory runs beside the original");
            }
            _ => {}
        }
        Ok(self)
    }

    /// Puts the older copy in the place of the record, and places the orders again that are not in it.
    async fn restore(self, number: usize, placed: u32) -> Result<Self> {
        let Self {
            mut processes,
            shop,
            attempts,
            older,
            ..
        } = self;
        let (file, is_own) = older.context("there is no older copy")?;
        let places = processes.places().clone();
        let data_dir = places.data_dir();
        processes.kill_workers()?;
        let sold = shop.close().await;
        attempts.close().await;
        shop::send_mails(&places, number)?;
        match is_own {
            true => {
                Record::restore(&data_dir, &file, None, true).await?;
            }
            false => disasters::put_back(&data_dir, &file)?,
        }
        if !self.protect {
            disasters::forget_restoration(&data_dir).await?;
        }
        let shop = Shop::opened_again(&places, sold).await?;
        shop.adopt().await?;
        shop.order(0..placed, None).await?;
        let how = if is_own {
            "the host's own backup"
        } else {
            "a copied file"
        };
        eprintln!("an older record is restored from {how}");
        processes.start_workers()?;
        Ok(Self {
            processes,
            troubles: None,
            shop,
            attempts: Attempts::open(&data_dir).await?,
            older: None,
            forget: self.forget,
            protect: self.protect,
            remembers: self.remembers,
            forgotten: self.forgotten,
            clients: None,
        })
    }

    /// Waits until every client of the server has heard what came of its order.
    async fn hear(&mut self) -> Result<Answers> {
        let Some(clients) = self.clients.take() else {
            return Ok(Answers::default());
        };
        let mut fail_with_a_process = async || -> Result<Answers> {
            loop {
                self.processes.check()?;
                tokio::time::sleep(QUIET_LOOK).await;
            }
        };
        tokio::select! {
            answers = clients.answers() => answers,
            ended = fail_with_a_process() => ended,
        }
    }

    /// Once all is bought, has licenses returned, and kills a worker and both vendors while they are.
    async fn kill_while_returning(&mut self) -> Result<()> {
        self.become_quiet().await?;
        self.shop
            .return_some(self.processes.places(), RETURNS_AT_LAST)
            .await?;
        for victim in [Victim::Worker(0), Victim::Vendors, Victim::Worker(1)] {
            tokio::time::sleep(ANSWER_AFTER * 3 / 4).await;
            self.processes.kill(victim)?;
            self.processes.start_again(victim)?;
        }
        Ok(())
    }

    /// Waits until nothing is open. Releases e-mails that were held back and that no customer has.
    async fn settle(&mut self) -> Result<bool> {
        if let Some(clock) = self.stepping_clock() {
            clock.put_right()?;
        }
        loop {
            if !self.become_quiet().await? {
                return Ok(false);
            }
            let lines = self.shop.lines().await?;
            let mailed = shop::mailed(self.processes.places(), &lines)?;
            if self.shop.release_unsent(&mailed.into_iter().collect()).await? == 0 {
                return Ok(true);
            }
        }
    }

    /// Waits until the receiver of webhooks has taken all events. Returns `false` when some are left for long.
    async fn become_told(&mut self) -> Result<bool> {
        let begin = Instant::now();
        while self.shop.untold().await? > 0 {
            if begin.elapsed() > STILL_MAX {
                return Ok(false);
            }
            self.processes.check()?;
            tokio::time::sleep(QUIET_LOOK).await;
        }
        Ok(true)
    }

    /// Waits until lines are worked on, and then as long as the schedule says; kills a process, and starts it again
    /// at once.
    async fn kill(&mut self, number: usize, of: usize, kill: &Kill) -> Result<()> {
        self.wait_for_work().await?;
        let disables = self.remembers && number.is_multiple_of(2);
        if disables {
            self.shop.enable_second(false).await?;
        }
        tokio::time::sleep(kill.delay).await;
        self.processes.check()?;
        self.processes.kill(kill.victim)?;
        // The clock steps while purchases of the dead worker are under way.
        let moved_ms = self.step_clock(number).await?;
        if self.forget && kill.victim != Victim::Vendors {
            self.forgotten += self.attempts.forget().await?;
        }
        self.processes.start_again(kill.victim)?;
        if disables {
            self.shop.enable_second(true).await?;
        }
        if !self.protect && moved_ms > 0 {
            // The time of looking up only is over too, as soon as another worker has begun to look up.
            tokio::time::sleep(TAKEN_OVER).await;
            disasters::believe_step(&self.processes.places().data_dir(), moved_ms).await?;
            // The clock stays as it is until the next attempts have been made.
            tokio::time::sleep(TAKEN_OVER * 2).await;
        }
        let open = self.shop.unfinished().await?.licenses;
        let victim = match kill.victim {
            Victim::Vendors => "both vendors".to_owned(),
            Victim::Worker(worker) => format!("worker {}", worker + 1),
        };
        let delay = kill.delay.as_millis();
        eprintln!("kill {number} of {of}: {victim} after {delay} ms; {open} lines are open");
        Ok(())
    }

    /// The clock that steps: the one of all workers.
    fn stepping_clock(&mut self) -> Option<&mut SteppedClock> {
        match self.processes.clocks.as_mut_slice() {
            [clock] => Some(clock),
            _ => None,
        }
    }

    /// Steps the workers' clock, if the test has one, and returns how far it moved. Where the record is made to believe the
    /// clock, the leases of the dead are over.
    async fn step_clock(&mut self, number: usize) -> Result<i64> {
        let Some(clock) = self.stepping_clock() else {
            return Ok(0);
        };
        let moved_ms = clock.step(number - 1)?;
        eprintln!("the workers' clock moves by {moved_ms} ms");
        if !self.protect && moved_ms > 0 {
            disasters::believe_step(&self.processes.places().data_dir(), moved_ms).await?;
        }
        Ok(moved_ms)
    }

    /// Waits until an attempt is begun after now, or nothing is left to attempt.
    async fn wait_for_work(&mut self) -> Result<()> {
        let begun = self.attempts.begun().await?;
        let begin = Instant::now();
        while self.attempts.begun().await? <= begun && self.shop.unfinished().await?.licenses > 0 {
            if begin.elapsed() > STILL_MAX {
                bail!("lines are open, and nobody works on them");
            }
            self.processes.check()?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until no line is open and no e-mail is to be sent. Returns `false` when some are and nothing changes any
    /// more.
    async fn become_quiet(&mut self) -> Result<bool> {
        let (mut changed, mut said) = (Instant::now(), Instant::now());
        let mut before = None;
        loop {
            let open = self.shop.unfinished().await?;
            if open == Unfinished::default() {
                return Ok(true);
            }
            if before.is_none() || said.elapsed() > WORD {
                eprintln!(
                    "{} lines, {} returns and {} e-mails are open",
                    open.licenses, open.returns, open.mails
                );
                said = Instant::now();
            }
            if before.replace(open) != Some(open) {
                changed = Instant::now();
            }
            if changed.elapsed() > STILL_MAX {
                return Ok(false);
            }
            self.processes.check()?;
            tokio::time::sleep(QUIET_LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_once() {
        for (orders, kills) in [(500, 20), (60, 4), (7, 3), (10_000, 200), (5, 0), (1, 1)] {
            let mut coming = Coming::new(orders, kills);
            let mut numbers: Vec<u32> = coming.first().collect();
            assert!(!numbers.is_empty());
            for _ in 0..kills {
                numbers.extend(coming.next());
            }
            assert_eq!(numbers, (0..orders).collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_become_camel_case() {
        assert_eq!(camel_case("lost"), "lost");
        assert_eq!(camel_case("charged without license"), "chargedWithoutLicense");
    }
}

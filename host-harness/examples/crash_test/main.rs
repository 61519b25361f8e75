//! The crash test: real processes on real sockets, killed at random moments, and nothing bought twice or lost.
//!
//! `cargo xtask crash-test` builds and runs it. Two workers (`bss-host run`) buy from a simulator of Microsoft (`bss-host
//! simulator`) and, with the plugin of the example, from a second vendor's server (`acme-keys-vendor`). Neither server
//! treats the client transaction id as idempotent, so that what keeps a line from being bought twice is the host alone: the
//! look-up before a purchase, and the lease. One of the workers is a server (`bss-host serve`), at which a shop orders over the API, and a
//! platform over its contract: [`clients`] repeat what they ask for until they hear what came of it. While orders come in and some of the licenses are returned, workers and the
//! servers are killed with SIGKILL and started again, on a schedule that the seed determines. When no line, no return and no
//! e-mail is open any more, the ledgers of both are compared with the host's record and with what the clients heard; [`comparison::Figures`] says what counts as
//! an error.
//!
//! With `--disaster` something else happens beside the kills: an older copy of the record is restored, the workers' clock
//! steps, or a copy of the record runs beside the original. With `--without-protection` the record is made to forget that,
//! and duplicates must be found.
//!
//! With `--record postgres`, a PostgreSQL server has the record, each host has its own data directory and a clock that is minutes from the
//! others', and the server is killed, too; see [`troubles`].
//!
//! With `--forget-attempts` the record forgets, while a worker is dead, that its purchases were ever begun. Then the
//! same comparison must find duplicates: this is the test of the test.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its terminal"
)]

mod clients;
mod comparison;
mod database_server;
mod disasters;
mod forgetting;
mod processes;
mod receiver;
mod run;
mod schedule;
mod shop;
mod troubles;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;

/// The record and the ledger do not agree.
const EXIT_WRONG: u8 = 1;
/// The test could not be run to its end. Usage is 2, as clap has it.
const EXIT_NO_ANSWER: u8 = 3;

/// Kill workers and the simulator while licenses are bought, and compare what was bought with what is on record.
#[derive(Debug, Parser)]
#[command(
    name = "crash-test",
    after_help = "Exit codes: 0 every license is on record once, 1 not so, 2 usage, 3 the test could not be run."
)]
pub(crate) struct Arguments {
    /// How many orders of one license are placed
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) orders: u32,
    /// How many times a process is killed
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) kills: u32,
    /// Seed of the schedule of kills: the same seed kills the same processes after the same delays [default: a new seed]
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// End with one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Forget every purchase that a killed worker had begun, so that it is made again without a look-up
    #[arg(long)]
    pub(crate) forget_attempts: bool,
    /// What else happens, again and again
    #[arg(long, value_name = "KIND", group = "trouble")]
    pub(crate) disaster: Option<disasters::Disaster>,
    /// Who keeps the record in place of the data directory: a server, for hosts with data directories of their own. It is killed and
    /// cut off, too, and a host is stopped for longer than its lease
    #[arg(
        long,
        value_name = "ENGINE",
        group = "trouble",
        conflicts_with = "forget_attempts"
    )]
    pub(crate) record: Option<Engine>,
    /// How many hosts work on the server's record
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(2..=16), requires = "record")]
    pub(crate) hosts: u8,
    /// Have a standby take over from the server, in place of stopping a host
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "synchronous", requires = "record")]
    pub(crate) failover: Option<database_server::Failover>,
    /// Undo what protects from the trouble, so that licenses are bought twice
    #[arg(long, requires = "trouble")]
    pub(crate) without_protection: bool,
    /// The program `bss-host`
    #[arg(long, value_name = "FILE")]
    pub(crate) bss_host: PathBuf,
    /// The plugin, a WebAssembly component
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// The plugin of the second vendor
    #[arg(long, value_name = "FILE")]
    pub(crate) second_plugin: PathBuf,
    /// The program `acme-keys-vendor`, which is the second vendor's server
    #[arg(long, value_name = "FILE")]
    pub(crate) second_vendor: PathBuf,
}

/// A database that keeps the record of many hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Postgres,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(new_seed);
    eprintln!("SEED={seed}");
    match run::run(&arguments, seed).await {
        Ok(report) => {
            println!(
                "{}",
                if arguments.json {
                    report.json()
                } else {
                    report.table()
                }
            );
            if report.figures.is_right() {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: the record and the ledger do not agree; the schedule was SEED={seed}");
            ExitCode::from(EXIT_WRONG)
        }
        Err(error) => {
            eprintln!("error: {error:#}; the schedule was SEED={seed}");
            ExitCode::from(EXIT_NO_ANSWER)
        }
    }
}

/// The moment is random enough for a seed that is printed.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

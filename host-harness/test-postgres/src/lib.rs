//! A PostgreSQL server for tests, of the programs that are installed on this machine.
//!
//! No product depends on it. A machine without PostgreSQL fails the tests that need one: none is skipped.

mod account;
mod certificates;
mod database;
mod error;
mod process;
mod programs;
mod proxy;
mod server;
mod turned_address;
mod watchdog;

pub use certificates::{Authority, ServerCertificate};
pub use database::Database;
pub use error::ServerError;
pub use proxy::{Breakage, Point, Proxy};
pub use server::{Options, Server, shared};
pub use turned_address::TurnedAddress;

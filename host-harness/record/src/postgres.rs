//! What PostgreSQL needs that SQLite does not: an address, a look at the server, and the steps in its words.

#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the engine layer opens no PostgreSQL yet")
)]

mod address;
mod checks;
mod steps;

pub use address::{DatabaseAddress, DatabaseAddressError};
pub use checks::{DatabaseUnfit, DatabaseWarning};

#[cfg(test)]
mod tests;

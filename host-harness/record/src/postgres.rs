//! What PostgreSQL needs that SQLite does not: an address, a look at the server, and the steps in its words.

mod address;
mod checks;
mod steps;

pub(crate) use address::APPLICATION_NAME;
pub use address::{DatabaseAddress, DatabaseAddressError};
pub use checks::{DatabaseUnfit, DatabaseWarning};
pub(crate) use checks::{Intent, judge, look};
pub(crate) use steps::steps;

#[cfg(test)]
mod tests;

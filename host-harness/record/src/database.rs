//! The database of the record: one way to read and to write it, whichever engine keeps it. No statement is there twice, and no type of
//! the drivers leaves here.

pub(crate) mod builder;
pub(crate) mod clock;
pub(crate) mod connection;
mod on_server;
pub(crate) mod postgres;
pub(crate) mod row;
pub(crate) mod sqlite;
pub(crate) mod statement;
mod turn;
mod turn_times;
mod value;

pub(crate) use builder::Builder;
pub(crate) use connection::{Connection, Pool, Transaction};
pub(crate) use row::Row;
pub(crate) use statement::On;
pub(crate) use turn::{Epoch, server_clock_ms};
pub use turn_times::TurnTimes;
pub(crate) use value::Value;

#[cfg(test)]
mod tests;

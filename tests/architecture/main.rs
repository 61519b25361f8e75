//! The arrows of the house: which crate may depend on which, and that no files of a crate import each other in a circle.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod crates;
mod files;

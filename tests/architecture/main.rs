//! What holds the house together: which crate may depend on which, that no files of a crate import each other in a
//! circle, that a code of an error is of one kind, and that what is printed goes through one place.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod codes;
mod crates;
mod files;
mod printing;

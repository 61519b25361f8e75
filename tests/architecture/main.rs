//! What holds the house together: which crate may depend on which, that no files of a crate import each other in a
//! circle, what an embedder compiles, that a code of an error is of one kind, that what is printed goes through one place, and that the host
//! knows no vendor.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod codes;
mod crates;
mod dependencies;
mod files;
mod printing;
mod vendors;

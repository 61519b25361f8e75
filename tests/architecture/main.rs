//! What holds the house together: which crate may depend on which, that no files of a crate import each other in a
//! circle, what an embedder compiles, that a code of an error is of one kind, that what is printed goes through one place, that the host
//! knows no vendor, that the documentation leads somewhere, and that its index of errors is what the code says.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod codes;
mod crates;
mod dependencies;
mod documents;
mod errors;
mod files;
mod pages;
mod printing;
mod vendors;

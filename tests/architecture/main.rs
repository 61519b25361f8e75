//! The arrows of the house: which crate may depend on which, and that no files of a crate import each other in a circle.

mod crates;
mod files;

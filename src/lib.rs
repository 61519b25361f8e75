//! A service manager for Microsoft ESD licenses: what an operator configures, what Microsoft offers,
//! and one license per order line, exactly once.
//!
//! All of it is plain Rust against [`platform::Platform`] and tested natively; only the private module
//! `guest`, which exists for wasm alone, knows that it runs as a component (`wit/`). Only the private
//! module `cis` knows what Microsoft's license API looks like.

mod cis;
pub mod connection;
pub mod description;
mod entra;
mod exchange;
pub mod instance_settings;
mod license;
pub mod license_lifecycle;
pub mod license_order;
pub mod platform;
pub mod services_definition;
mod text;

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(test)]
mod scripted_platform;

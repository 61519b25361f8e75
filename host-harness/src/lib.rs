//! The host of service-manager plugins.

pub mod simulator;

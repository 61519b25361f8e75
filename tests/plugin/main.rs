//! The component in the host, against the simulator: one binary, so that wasmtime is linked once.
//!
//! Everything here goes through what users use: the component's exports, the library, the `bss-host` program.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod acme;
mod audit_cli;
mod bench;
mod canary;
mod catalog_rules;
mod certificate_rotation;
mod certificates;
mod cli;
mod component;
mod connection;
mod contract;
mod crash_test;
mod failure_classes;
mod fault_matrix;
mod form_rules;
mod guests;
mod in_doubt;
mod instance_settings;
mod last_words;
mod license_order;
mod license_refresh;
mod license_return;
mod license_return_cli;
mod lifecycle_model;
mod mail_cli;
mod operator_walk;
mod orders_cli;
mod otlp;
mod outbound_https;
mod prerequisites;
mod readme;
mod record_cli;
mod replay;
mod sandbox;
mod sandbox_leaks;
mod sandbox_limits;
mod sandbox_times;
mod sandbox_wasi;
mod scenario;
mod second_vendor;
mod secrets_cli;
mod services_cli;
mod services_definition;
mod services_runs;
mod settings_gate;
mod stepped_clock;
mod tenants;
mod trace_cli;
mod trusted_plugin;
mod versions;
mod worker;

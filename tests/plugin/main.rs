//! The component in the host, against the simulator: one binary, so that wasmtime is linked once.
//!
//! Everything here goes through what users use: the component's exports, the library, the `bss-host` program.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod acme;
mod alerts_cli;
mod audit_cli;
mod bench;
mod canary;
mod catalog_rules;
mod certificate_rotation;
mod certificates;
mod cli;
mod component;
mod connection;
mod console;
mod contract;
mod crash_test;
mod customers_cli;
mod embedding;
mod failure_classes;
mod fault_matrix;
mod form_rules;
mod guests;
mod host_keys_cli;
mod in_doubt;
mod instance_settings;
mod instances_cli;
mod interworks;
mod last_words;
mod license_order;
mod license_refresh;
mod license_return;
mod license_return_cli;
mod lifecycle_model;
mod mail_cli;
mod mail_stub;
mod many_hosts;
mod money_cli;
mod on_server;
#[path = "../../host-harness/tests/simulator/openapi.rs"]
#[expect(
    dead_code,
    reason = "here it holds answers; the plugin's own tests hold requests"
)]
mod openapi;
mod operator_walk;
mod orders_cli;
mod otlp;
mod outbound_https;
mod platforms_cli;
mod prerequisites;
mod prices_cli;
mod proxies;
mod readme;
mod readme_section;
mod record_cli;
mod record_place;
mod replay;
mod sandbox;
mod sandbox_leaks;
mod sandbox_limits;
mod sandbox_times;
mod sandbox_wasi;
mod scenario;
mod second_vendor;
mod secrets_cli;
mod serve;
mod serve_desk;
mod services_cli;
mod services_definition;
mod services_runs;
mod settings_cli;
mod settings_gate;
mod simulator_cli;
mod stepped_clock;
mod systemd;
mod tenants;
mod trace_cli;
mod trusted_plugin;
mod two_hosts;
mod vendors_answers;
mod versions;
mod webhook_receiver;
mod webhooks_cli;
mod worker;

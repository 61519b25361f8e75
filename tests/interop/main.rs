//! The host and the plugin, each with software that is not ours. `cargo xtask interop` gets that software and runs
//! these tests, a part being one of the modules here; they fail, rather than skip, where it is missing.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

mod browser;
mod cli;
#[path = "../plugin/component.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod component;
mod composition;
mod console;
mod readers;
#[path = "../plugin/readme_section.rs"]
mod readme_section;
#[path = "../plugin/record_place.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod record_place;
mod resolver;
#[path = "../plugin/scenario.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod scenario;
mod tls;
#[path = "../plugin/webhook_receiver.rs"]
#[expect(dead_code, reason = "shared with the other tests, which need more of it")]
mod webhook_receiver;

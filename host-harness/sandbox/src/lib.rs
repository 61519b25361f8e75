//! The sandbox: calls of a service-manager component, with their limits, their one way out, their events, traces and
//! recordings.
//!
//! A part of `host-harness`, which re-exports what embedders need; everything else is `pub` for the crates beside it.

pub mod access_token_cache;
pub mod address_race;
pub mod bindings;
pub mod call;
mod call_clock;
pub mod call_event;
mod call_state;
pub mod call_trace;
mod compiled_cache;
pub mod error;
pub mod exchange_recording;
mod guest_log;
pub mod last_words;
pub mod limits;
pub mod outbound_https;
mod outgoing_handler;
pub mod plugin;
mod plugin_call;
mod plugin_text;
pub mod replay;
mod secret_shapes;
pub mod seen_exchanges;
pub mod system_roots;

pub use call::CallContext;
pub use call_event::{CallEvent, CallListener, LogLevel};
pub use error::{CallError, FailedCall, LoadError};
pub use last_words::LastWords;
pub use limits::CallLimits;
pub use plugin::{Plugin, PluginFile};

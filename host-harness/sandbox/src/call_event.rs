//! The events of a call, for a listener.

use std::sync::Arc;

use crate::outbound_https::Way;

/// An event of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// How far the call is.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// The things that are counted, such as `offers`.
        unit: String,
    },
    /// A line of the call's log.
    Log {
        /// How grave the line is.
        level: LogLevel,
        /// The thing that the line is about; empty for the call as a whole.
        subject: String,
        /// The text of the line.
        message: String,
    },
    /// A request of the call goes out on a connection.
    Connected {
        /// The server, `host` or `host:port`.
        authority: String,
        /// The way that the connection takes.
        way: Way,
    },
    /// The call is over, however it ended; the last event of a call whose sandbox was set up.
    Ended {
        /// The linear memory that the plugin was granted. Linear memory never shrinks, so this is also the most.
        memory_bytes: u64,
    },
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Useful to find a cause.
    Debug,
    /// Good to know.
    Info,
    /// Something was left out, or is not as it should be.
    Warning,
}

/// Hears a call's events, on the thread that runs the call. Must not block.
pub type CallListener = Arc<dyn Fn(CallEvent) + Send + Sync>;

//! What happens in a call, told to whoever listens.

use std::sync::Arc;

/// What a call tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEvent {
    /// How far it is.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What is counted.
        unit: String,
    },
    /// A line of its log.
    Log {
        /// How grave it is.
        level: LogLevel,
        /// The thing it is about; empty: the call as a whole.
        subject: String,
        /// What happened.
        message: String,
    },
    /// It is over, however it ended; the last event of a call whose sandbox was set up.
    Ended {
        /// The linear memory that the plugin asked for. It never gets less, so this is the most.
        memory_bytes: u64,
    },
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of use to who looks for something.
    Debug,
    /// Good to know.
    Info,
    /// Something was left out.
    Warning,
}

/// Who hears of a call's events, on the thread that runs the call. Must not block.
pub type CallListener = Arc<dyn Fn(CallEvent) + Send + Sync>;

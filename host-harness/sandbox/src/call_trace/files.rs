//! What becomes of the spans of calls: a layer keeps them in files and sends them to a collector, a reader finds them.

mod collector;
mod journal;
mod layer;
mod reader;
mod span;

pub use collector::{Collector, CollectorError};
pub use journal::TRACES_DIRECTORY;
pub use layer::{TraceGuard, TraceLayer};
pub use reader::{CallTrace, TraceSpan, Traces};

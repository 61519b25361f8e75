//! Writes the spans of calls down, each once when it begins and once when it ends, so that a program that dies
//! leaves what it had begun.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::collector::Collector;
use super::journal::{Journal, TRACES_DIRECTORY};
use super::span::{Line, Span, What};
use crate::call_trace::names::{LAST_WORDS, TARGET};
use crate::limits;

/// The name of a span that is a line of the plugin's, not a step of the call.
const LOG: &str = "log";

/// Keeps the spans of calls in a data directory, where [`super::Traces`] finds them, and sends
/// them to a collector where there is one.
///
/// An embedder adds the layer to its own subscriber; the layer wants nothing but the spans of [`TARGET`]:
///
/// ```no_run
/// use tracing_subscriber::prelude::*;
/// let (traces, _until_the_end) = bss_sandbox::call_trace::TraceLayer::new("bss-data".as_ref(), None);
/// tracing_subscriber::registry().with(traces).init();
/// ```
pub struct TraceLayer {
    journal: Journal,
    collector: Option<Collector>,
    numbers: AtomicU64,
}

/// Waits for the last spans when it is dropped.
#[must_use = "what is not written when it is dropped may be lost"]
pub struct TraceGuard {
    journal: Journal,
    collector: Option<Collector>,
}

impl Drop for TraceGuard {
    fn drop(&mut self) {
        self.journal.flush();
        if let Some(collector) = &self.collector {
            collector.flush();
        }
    }
}

impl fmt::Debug for TraceGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TraceGuard")
    }
}

impl TraceLayer {
    /// A layer that keeps traces in a data directory, and the guard that must live as long as the program.
    pub fn new(data_dir: &Path, collector: Option<Collector>) -> (Self, TraceGuard) {
        let journal = Journal::new(data_dir.join(TRACES_DIRECTORY));
        let guard = TraceGuard {
            journal: journal.clone(),
            collector: collector.clone(),
        };
        let layer = Self {
            journal,
            collector,
            numbers: AtomicU64::new(1),
        };
        (layer, guard)
    }

    fn write(&self, line: &Line) {
        if let Ok(text) = serde_json::to_string(line) {
            self.journal.write(text);
        }
    }

    fn begun(&self, span: &Span) {
        self.write(&Line {
            call: span.call.clone(),
            span: span.number,
            what: What::Begin {
                name: span.name.to_owned(),
                parent: span.parent,
                begun_us: span.begun_us,
            },
            fields: span.fields.clone(),
        });
    }

    fn ended(&self, mut span: Span, took_us: u64, added: Map<String, Value>) {
        if let Some(collector) = &self.collector {
            span.fields.extend(added.clone());
            collector.export(&span, took_us);
        }
        self.write(&Line {
            call: span.call,
            span: span.number,
            what: What::End { took_us },
            fields: added,
        });
    }
}

impl fmt::Debug for TraceLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TraceLayer")
    }
}

/// The layer's memory of a span while it lasts.
enum Kept {
    /// A span around calls, whose fields its calls take over.
    Around(Map<String, Value>),
    Within {
        span: Box<Span>,
        begun: Instant,
        /// Fields that were added since the span began.
        added: Map<String, Value>,
        /// The spans of its call.
        budget: Arc<Budget>,
    },
}

/// The number of spans that a call has begun.
#[derive(Default)]
struct Budget(AtomicU32);

impl Budget {
    /// Whether one span more is written.
    fn admits(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < limits::SPANS
    }

    /// The number of spans that were not written.
    fn left_out(&self) -> u32 {
        self.0.load(Ordering::Relaxed).saturating_sub(limits::SPANS)
    }
}

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| span.metadata().target() == TARGET) else {
            return;
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let Fields(mut fields) = fields;
        let mut call = fields.get("call").and_then(Value::as_str).map(str::to_owned);
        let mut parent = None;
        let now = Instant::now();
        let mut begun_us = None;
        let mut budget = Arc::default();
        if let Some(around) = span.parent() {
            match around.extensions().get::<Kept>() {
                Some(Kept::Within {
                    span: whole,
                    begun,
                    budget: of_call,
                    ..
                }) => {
                    budget = Arc::clone(of_call);
                    call = Some(whole.call.clone());
                    parent = Some(whole.number);
                    // A part's beginning is counted from its whole's, so that it lies within it: the time of day is
                    // set now and then.
                    let since = micros(now.saturating_duration_since(*begun));
                    begun_us = Some(whole.begun_us.saturating_add(since));
                }
                Some(Kept::Around(others)) => fields.extend(others.clone()),
                None => {}
            }
        }
        let Some(call) = call else {
            span.extensions_mut().insert(Kept::Around(fields));
            return;
        };
        // Log lines have a limit of their own, so that what a plugin says last has room whatever it did before.
        if span.name() != LOG && !budget.admits() {
            return;
        }
        let time_of_day = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun = Span {
            call,
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            parent,
            name: span.name(),
            begun_us: begun_us.unwrap_or_else(|| micros(time_of_day())),
            fields,
        };
        self.begun(&begun);
        span.extensions_mut().insert(Kept::Within {
            span: Box::new(begun),
            begun: now,
            added: Map::new(),
            budget,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(Kept::Within { added, .. }) = span.extensions_mut().get_mut::<Kept>() {
            let mut fields = Fields(std::mem::take(added));
            values.record(&mut fields);
            *added = fields.0;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(closed) = context.span(&id) else { return };
        let kept = closed.extensions_mut().remove::<Kept>();
        if let Some(Kept::Within {
            span,
            begun,
            mut added,
            budget,
        }) = kept
        {
            let left_out = budget.left_out();
            if span.parent.is_none() && left_out > 0 {
                added.insert("left_out".to_owned(), left_out.into());
            }
            self.ended(*span, micros(begun.elapsed()), added);
        }
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A span's fields as JSON. Long texts are cut.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert_text(&mut self, field: &Field, mut text: String) {
        let chars_max = match field.name() {
            LAST_WORDS => limits::LAST_WORDS_SENTENCE_BYTES,
            _ => limits::SPAN_TEXT_CHARS,
        };
        if let Some((end, _)) = text.char_indices().nth(chars_max) {
            text.truncate(end);
        }
        self.0.insert(field.name().to_owned(), text.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert_text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

//! The log on the standard error: a line for each event, in which nothing from outside steers the terminal.

use std::fmt;

use bss_model::clock::{now_ms, rfc3339};
use bss_model::text::{visible, visible_json};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Makes a layer that writes events as lines. `colors`: where the library finds them right too; it heeds `NO_COLOR`.
pub(super) fn lines<S, W>(writer: W, colors: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .fmt_fields(debug_fn(field).delimited(" "));
    // Elsewhere than on a terminal colors are in the way, and cost each call a microsecond.
    match colors {
        true => lines,
        false => lines.with_ansi(false),
    }
}

/// Makes a layer that writes events as JSON objects, a line each: `timestamp`, `level`, `target`, `message`, and every field by its
/// name. The library's own writer would be another feature of it, and writes marks that turn the direction of text as they are.
pub(super) fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer()
        .event_format(Objects)
        .with_writer(writer)
}

/// The line of a log as an object: when, how grave, and what.
pub(super) fn object(level: &str, mut fields: Map<String, Value>) -> String {
    fields.insert("timestamp".to_owned(), rfc3339(now_ms()).into());
    fields.insert("level".to_owned(), level.into());
    visible_json(&Value::Object(fields).to_string()).into_owned()
}

/// Writes events as objects.
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        fields.0.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", object(metadata.level().as_str(), fields.0))
    }
}

/// The fields of an event, as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }
}

/// Writes a field's name and value. The library lets escape sequences through in every field but the message, and line
/// ends and marks that turn the direction of text in all.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = visible(&value);
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => write!(writer, "{value}"),
        (name, true) => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"),
        (name, false) => write!(writer, "{name}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(act: impl FnOnce()) -> String {
        logged_by(|written| lines(move || written.clone(), false).boxed(), act)
    }

    fn logged_by(
        layer: impl FnOnce(Written) -> Box<dyn Layer<Registry> + Send + Sync>,
        act: impl FnOnce(),
    ) -> String {
        let written = Written::default();
        let subscriber = tracing_subscriber::registry().with(layer(written.clone()));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_for_a_collector_is_one_object_with_the_same_values_that_steers_nothing() {
        let outside = "\u{1b}]52;c;cm0=\u{7}\n\u{202e}\u{9b}2K \"}{";
        let line = logged_by(
            |written| json_lines(move || written.clone()).boxed(),
            || tracing::error!(error = outside, count = 3, "said: {outside}"),
        );
        assert_eq!(line.lines().count(), 1, "{line:?}");
        assert!(
            !line.trim_end_matches('\n').contains(bss_model::text::steers),
            "{line:?}"
        );
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["level"], "ERROR");
        assert_eq!(object["error"], outside);
        assert_eq!(object["count"], 3);
        assert_eq!(object["message"], format!("said: {outside}"));
        assert!(object["timestamp"].is_string(), "{object}");
    }

    #[test]
    fn whatever_an_event_or_its_span_holds_it_is_one_line_that_steers_nothing() {
        let outside = "\u{1b}]52;c;cm0=\u{7}\n2026-01-01 ERROR forged\u{202e}\u{9b}2K";
        let line = logged(|| {
            let span = tracing::error_span!("call", instance = %outside);
            let _entered = span.enter();
            tracing::error!(error = %outside, text = outside, debug = ?outside, "said: {outside}");
        });
        assert_eq!(line.lines().count(), 1, "{line:?}");
        let line = line.trim_end_matches('\n');
        assert!(!line.contains(bss_model::text::steers), "{line:?}");
        assert_eq!(line.matches(r"\u{1b}]52;c;").count(), 5, "{line}");
    }

    #[test]
    fn a_line_has_its_message_its_fields_and_names_as_they_are_written() {
        let line = logged(|| tracing::warn!(customer = "Μιχαήλ", count = 3, "sold می\u{200c}خواهم"));
        assert!(line.contains("WARN"), "{line}");
        assert!(
            line.ends_with("sold می\u{200c}خواهم customer=\"Μιχαήλ\" count=3\n"),
            "{line}"
        );
    }
}

//! Calls: what happened in the last calls of plugins, as a list, and each as a chart of times.

use std::error::Error as StdError;
use std::{fmt, io};

use axum::extract::Path;
use bss_model::{Diagnose, Diagnosis, ErrorKind, IdKind};
use host_harness::call_trace::{CallTrace, FUNCTIONS, Traces};
use host_harness::view::{self, TraceSpan};
use minijinja::context;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::me::Me;
use crate::query::Query;

/// Calls on the page where none is looked for.
const LAST: usize = 100;

/// Bars of a chart. The table beside it has all.
const BARS: usize = 300;

/// The chart: where its bars begin, how wide they are all together, and how high a row is.
const BARS_X: u64 = 340;
const BARS_WIDTH: u64 = 640;
const ROW_HEIGHT: u64 = 20;

/// Characters of an id where it is shown shortened.
const SHORT_ID_CHARS: usize = 8;

/// Characters of what stands beside a bar.
const LABEL_CHARS: usize = 48;

/// Fields of a span that have a place of their own.
const PLACED: [&str; 9] = [
    "callId",
    "instanceId",
    "function",
    "outcome",
    "method",
    "authority",
    "path",
    "requestBytes",
    "responseBytes",
];

/// The traces that this host keeps.
fn kept(me: &Me) -> Traces {
    Traces::new(me.host().record().data_dir())
}

/// What is asked for where nothing is left out.
const EVERY_CALL: &str = "every-call";

/// The functions that speak with no vendor: a form is made anew each time that its page is looked at.
const SILENT: [&str; 2] = ["describe", "configure-instance"];

/// Shows the last calls to vendors, those of a function, every one, or those that are looked for.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let find = query.text("find").unwrap_or_default();
    let functions: Vec<_> = FUNCTIONS.into_iter().chain([EVERY_CALL]).collect();
    let asked = query.text("function").unwrap_or_default();
    if !asked.is_empty() && !functions.contains(&asked.as_str()) {
        return Err(Failure::odd_address("function"));
    }
    let traces = kept(&me);
    let (name, of) = (whole_id(&me, &find).await?, asked.clone());
    let calls = read(move || match name.as_str() {
        "" => traces.last(LAST, |function| is_asked(function, &of)),
        // What somebody looks for by name is found whatever it is, unless a function was chosen, too.
        name => {
            let mut found = traces.find(name)?;
            found.retain(|call| of.is_empty() || is_asked(call.root.text("function"), &of));
            Ok(found)
        }
    });
    let mut calls = shown(&me, calls.await?).await?;
    calls.reverse();
    me.page("traces.html", context! { calls, find, functions, asked })
        .await
}

/// The id of the license that begins with a text, as licenses are named everywhere; or else the text itself.
async fn whole_id(me: &Me, text: &str) -> Result<String, Failure> {
    let host = me.host();
    let beginning = host
        .record()
        .ids_beginning(IdKind::Asset, text, host.owner())
        .await?;
    Ok(match beginning.as_slice() {
        [only] if text.len() >= SHORT_ID_CHARS => only.to_string(),
        _ => text.to_owned(),
    })
}

/// Whether calls of a function are shown where `asked` was chosen.
fn is_asked(function: &str, asked: &str) -> bool {
    match asked {
        "" => !SILENT.contains(&function),
        EVERY_CALL => true,
        asked => function == asked,
    }
}

/// Shows a call.
pub(crate) async fn show(me: Me, Path(call): Path<String>) -> Answer {
    // A shorter text would be looked for in everything.
    let id: Uuid = call.parse().map_err(|_| Failure::no_page())?;
    let traces = kept(&me);
    let name = id.to_string();
    let found = read(move || traces.find(&name)).await?;
    let found = found.into_iter().filter(|found| found.call == call).collect();
    let call = shown(&me, found).await?.pop().ok_or_else(Failure::no_page)?;
    let height = ROW_HEIGHT.saturating_mul(u64::try_from(call.spans.len().min(BARS)).unwrap_or(0));
    let shown = context! { call, height, bars => BARS };
    me.page("trace.html", shown).await
}

/// Reads files apart from what answers other requests.
async fn read(
    read: impl FnOnce() -> io::Result<Vec<CallTrace>> + Send + 'static,
) -> Result<Vec<CallTrace>, Failure> {
    let ended = tokio::task::spawn_blocking(read).await;
    let read = ended.unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(|error| Failure::of(&UnreadableTraces(error)))
}

async fn shown(me: &Me, calls: Vec<CallTrace>) -> Result<Vec<Call>, Failure> {
    let calls = me.host().calls_of_owner(calls).await?;
    let views = me.host().call_trace_views(&calls).await?;
    let named = views.iter().map(|view| {
        let mut call = Call::from(view);
        // A call whose first line was lost has no function.
        if FUNCTIONS.contains(&call.function.as_str()) {
            let word = match (call.function.as_str(), call.outcome.as_str()) {
                // The same function of the contract only checks an order where it is told to.
                ("create-license", "valid") => "order-check",
                (function, _) => function,
            };
            call.name = me.text(&format!("words.{word}"), &[]);
        }
        call
    });
    Ok(named.collect())
}

/// A call, as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    id: String,
    instance: String,
    function: String,
    /// What the call was for, in words.
    name: String,
    /// How it ended. Empty: that is not on record.
    outcome: String,
    begun_at_ms: i64,
    took: Option<String>,
    is_wrong: bool,
    /// The call itself and all that happened in it, in the order in which it began.
    spans: Vec<Span>,
}

/// Something that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    depth: usize,
    what: String,
    /// The beginning of `what`, indented, as it stands beside the bar.
    label: String,
    /// The time since the call began, in milliseconds.
    since: String,
    took: Option<String>,
    details: Vec<(String, String)>,
    is_wrong: bool,
    /// The place of the bar in the chart.
    x: u64,
    width: u64,
    y: u64,
}

impl From<&view::CallTrace> for Call {
    fn from(call: &view::CallTrace) -> Self {
        let root = &call.root;
        let mut spans = Vec::new();
        let times = Times {
            begun_us: root.begun_at_us,
            all_us: root.took_us.unwrap_or_default().max(last_end(root)).max(1),
        };
        times.add(root, 0, &mut spans);
        Self {
            id: call.id.clone(),
            instance: call.instance.clone(),
            function: text(&root.fields, "function").to_owned(),
            name: what(root),
            outcome: text(&root.fields, "outcome").to_owned(),
            begun_at_ms: i64::try_from(root.begun_at_us / 1_000).unwrap_or(i64::MAX),
            took: root.took_us.map(millis),
            is_wrong: is_wrong(root),
            spans,
        }
    }
}

/// The times of a call: when it began, and how long the chart of it is.
#[derive(Clone, Copy, Debug)]
struct Times {
    begun_us: u64,
    all_us: u64,
}

impl Times {
    /// Adds a span and all within.
    fn add(self, span: &TraceSpan, depth: usize, spans: &mut Vec<Span>) {
        let what = what(span);
        let indented = format!("{}{what}", "\u{a0}\u{a0}".repeat(depth));
        let since_us = span.begun_at_us.saturating_sub(self.begun_us);
        let row = u64::try_from(spans.len()).unwrap_or_default();
        spans.push(Span {
            depth,
            label: indented.chars().take(LABEL_CHARS).collect(),
            what,
            since: millis(since_us),
            took: span.took_us.map(millis),
            details: details(span),
            is_wrong: is_wrong(span),
            x: BARS_X.saturating_add(self.scaled(since_us)),
            width: self.scaled(span.took_us.unwrap_or_default()).max(2),
            y: row.saturating_mul(ROW_HEIGHT),
        });
        for part in &span.spans {
            self.add(part, depth + 1, spans);
        }
    }

    fn scaled(self, us: u64) -> u64 {
        us.min(self.all_us).saturating_mul(BARS_WIDTH) / self.all_us
    }
}

/// When the last of what happened within a span ended, since the span began.
fn last_end(span: &TraceSpan) -> u64 {
    let ends = span.spans.iter().map(|part| {
        let since = part.begun_at_us.saturating_sub(span.begun_at_us);
        since.saturating_add(part.took_us.unwrap_or_default().max(last_end(part)))
    });
    ends.max().unwrap_or_default()
}

fn what(span: &TraceSpan) -> String {
    let field = |name| text(&span.fields, name);
    match span.name.as_str() {
        "call" => field("function").to_owned(),
        "exchange" => format!("{} {}{}", field("method"), field("authority"), field("path")),
        name => name.to_owned(),
    }
}

/// The fields that have no place of their own, and the sizes of an exchange.
fn details(span: &TraceSpan) -> Vec<(String, String)> {
    let is_shown = |name: &str| !PLACED.contains(&name) || name.ends_with("Bytes");
    let fields = span.fields.iter().filter(|(name, _)| is_shown(name));
    let shown = fields.map(|(name, value)| match value {
        Value::String(text) => (name.clone(), text.clone()),
        value => (name.clone(), value.to_string()),
    });
    shown.collect()
}

/// Whether something went wrong in a span.
fn is_wrong(span: &TraceSpan) -> bool {
    ["error", "problem"]
        .iter()
        .any(|name| !text(&span.fields, name).is_empty())
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Microseconds as milliseconds, for people.
fn millis(us: u64) -> String {
    format!("{}.{:03} ms", us / 1_000, us % 1_000)
}

/// The traces can't be read.
#[derive(Debug)]
struct UnreadableTraces(io::Error);

impl fmt::Display for UnreadableTraces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the traces of calls can't be read")
    }
}

impl StdError for UnreadableTraces {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl Diagnose for UnreadableTraces {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Unavailable, "traces-unreadable")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn span(name: &str, begun_at_us: u64, took_us: Option<u64>, fields: &Value) -> TraceSpan {
        TraceSpan {
            name: name.to_owned(),
            begun_at_us,
            took_us,
            fields: fields.as_object().unwrap().clone(),
            spans: Vec::new(),
        }
    }

    fn call(took_us: Option<u64>) -> view::CallTrace {
        let refused = json!({ "method": "POST", "authority": "v.example", "path": "/a", "requestBytes": 7, "error": "gone" });
        let mut root = span(
            "call",
            5_000_000,
            took_us,
            &json!({ "function": "purchase", "outcome": "refused" }),
        );
        root.spans
            .push(span("access-token", 5_000_100, Some(100), &json!({})));
        root.spans.push(span("exchange", 5_000_500, Some(500), &refused));
        view::CallTrace {
            id: "1".to_owned(),
            instance: "esd".to_owned(),
            root,
        }
    }

    #[test]
    fn a_chart_has_a_bar_for_each_span_where_it_began_and_as_wide_as_it_took() {
        let call = Call::from(&call(Some(1_000)));
        let bars: Vec<_> = call
            .spans
            .iter()
            .map(|span| (span.x, span.width, span.y))
            .collect();
        assert_eq!(bars, [(340, 640, 0), (404, 64, 20), (660, 320, 40)]);
        assert_eq!((call.function.as_str(), call.begun_at_ms), ("purchase", 5_000));
        let exchange = &call.spans[2];
        assert_eq!(exchange.what, "POST v.example/a");
        assert_eq!(
            (exchange.since.as_str(), exchange.took.as_deref()),
            ("0.500 ms", Some("0.500 ms"))
        );
        assert!(exchange.is_wrong && !call.spans[1].is_wrong);
        assert!(
            exchange
                .details
                .contains(&("requestBytes".to_owned(), "7".to_owned()))
        );
    }

    #[test]
    fn a_call_whose_end_is_not_on_record_is_as_long_as_what_happened_in_it() {
        let call = Call::from(&call(None));
        assert_eq!(call.took, None);
        assert_eq!((call.spans[2].x, call.spans[2].width), (660, 320));
        assert_eq!(call.spans[0].width, 2);
    }
}

//! `trace`: one call of the plugin as a tree with times.

use std::path::Path;

use bss_model::ErrorKind;
use clap::Args;
use clap::builder::PossibleValuesParser;
use host_harness::Host;
use host_harness::call_trace::{CallTrace, FUNCTIONS, TraceSpan, Traces};
use serde_json::Value;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure};
use super::{output, show};

/// Calls shown where none is named: as many as fit on a screen.
const LAST: usize = 20;

/// Fields that a tree shows in places of their own.
const PLACED: [&str; 9] = [
    "call",
    "instance",
    "function",
    "outcome",
    "method",
    "authority",
    "path",
    "request_bytes",
    "response_bytes",
];

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// The call: its id, as `-v` logs it, or the first six characters of the id; the correlation id of a failure or an exchange, as in
    /// `asset history`; or an asset's id, for all calls that were made for the asset. Without this argument, the last
    /// calls are listed
    call: Option<String>,
    /// Only calls of this function of the contract
    #[arg(long, conflicts_with = "call", value_parser = PossibleValuesParser::new(FUNCTIONS))]
    function: Option<String>,
}

/// Shows the last calls, or all that has happened in some.
pub(super) async fn run(host: &Host, data_dir: &Path, asked: &TraceArguments, json: bool) -> Outcome {
    let traces = Traces::new(data_dir);
    let Some(name) = &asked.call else {
        let function = asked.function.as_deref();
        let calls = traces.last(LAST, |of| function.is_none_or(|function| of == function));
        let calls = calls.map_err(machine_failure)?;
        return last(host, &host.calls_of_owner(calls).await?, json).await;
    };
    let calls = host
        .calls_of_owner(traces.find(name).map_err(machine_failure)?)
        .await?;
    if calls.is_empty() {
        let message = format!("no call on record has the id, correlation id or asset `{name}`");
        let hint = "`bss-host trace` shows the last calls; calls older than a month are deleted";
        return Err(Failure::new(ErrorKind::NotFound, "no-call", message).hint(hint));
    }
    let views = host.call_trace_views(&calls).await?;
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    for (call, view) in calls.iter().zip(&views) {
        for line in lines(call, &view.instance) {
            output::line(line);
        }
    }
    Ok(ExitStatus::Done)
}

async fn last(host: &Host, calls: &[CallTrace], json: bool) -> Outcome {
    let views = host.call_trace_views(calls).await?;
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Call", "Begun", "Instance", "Function", "Took", "Outcome"]);
    for (call, view) in calls.iter().zip(&views) {
        table.add_row([
            call.call.clone(),
            moment(call.root.begun_us),
            view.instance.clone(),
            call.root.text("function").to_owned(),
            took(&call.root),
            outcome(&call.root),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

fn lines(call: &CallTrace, instance: &str) -> Vec<String> {
    let root = &call.root;
    let mut lines = vec![
        format!("{} of `{instance}`, call {}", root.text("function"), call.call),
        format!(
            "{}  {}  {}{}",
            moment(root.begun_us),
            took(root),
            outcome(root),
            others(root)
        ),
    ];
    branches(root, root.begun_us, "", &mut lines);
    lines
}

/// Adds a line for each thing that happened within a span: since the call began, how long, and what.
fn branches(span: &TraceSpan, call_begun_us: u64, indent: &str, lines: &mut Vec<String>) {
    for (number, part) in span.spans.iter().enumerate() {
        let is_last = number + 1 == span.spans.len();
        let (branch, below) = if is_last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let since = millis(part.begun_us.saturating_sub(call_begun_us));
        lines.push(format!(
            "{:>12}  {:>12}  {indent}{branch}{}{}",
            format!("+{since}"),
            took(part),
            title(part),
            others(part)
        ));
        branches(part, call_begun_us, &format!("{indent}{below}"), lines);
    }
}

fn title(span: &TraceSpan) -> String {
    if span.name != "exchange" {
        return span.name.clone();
    }
    let bytes = |field: &str| span.fields.get(field).and_then(Value::as_u64);
    let mut title = format!(
        "{} {}{}",
        span.text("method"),
        span.text("authority"),
        span.text("path")
    );
    if let Some(sent) = bytes("request_bytes") {
        title.push_str(&format!(", {sent} bytes sent"));
    }
    if let Some(received) = bytes("response_bytes") {
        title.push_str(&format!(", {received} received"));
    }
    title
}

/// The fields that have no place of their own.
fn others(span: &TraceSpan) -> String {
    let fields = span
        .fields
        .iter()
        .filter(|(name, _)| !PLACED.contains(&name.as_str()));
    fields
        .map(|(name, value)| match value {
            Value::String(text) => format!(", {}: {text}", name.replace('_', " ")),
            value => format!(", {}: {value}", name.replace('_', " ")),
        })
        .collect()
}

fn outcome(call: &TraceSpan) -> String {
    match call.text("outcome") {
        "" => "no outcome on record".to_owned(),
        outcome => outcome.to_owned(),
    }
}

fn took(span: &TraceSpan) -> String {
    span.took_us.map_or_else(|| "not ended".to_owned(), millis)
}

/// Microseconds as milliseconds, for people.
fn millis(us: u64) -> String {
    format!("{}.{:03} ms", us / 1_000, us % 1_000)
}

fn moment(us: u64) -> String {
    i64::try_from(us)
        .ok()
        .and_then(|us| jiff::Timestamp::from_microsecond(us).ok())
        .map_or_else(
            || us.to_string(),
            |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        )
}

//! Finds the traces of calls that are kept, and puts each together as a tree.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::journal::{TRACES_DIRECTORY, files};
use super::span::{Line, What};

/// The fewest characters of a call's id that find it; fewer could be any call's.
const PREFIX_LENGTH_MIN: usize = 6;

/// The traces in a data directory.
#[derive(Clone, Debug)]
pub struct Traces {
    directory: PathBuf,
}

/// A call, as far as it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTrace {
    /// The call's id.
    pub call: String,
    /// The call's own span, with all that happened in it.
    pub root: TraceSpan,
}

/// A span: what happened, when, and what happened within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSpan {
    /// The span's name, as in [`crate::call_trace`].
    pub name: String,
    /// When the span began, in microseconds since 1970.
    pub begun_us: u64,
    /// How long the span took, in microseconds. `None` when its end was never written down.
    pub took_us: Option<u64>,
    /// The span's fields, as in [`crate::call_trace`].
    pub fields: Map<String, Value>,
    /// The spans within, in the order in which they began.
    pub spans: Vec<TraceSpan>,
}

impl TraceSpan {
    /// A field that is text; empty where there is none.
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Traces {
    /// The traces in a data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join(TRACES_DIRECTORY),
        }
    }

    /// Finds the calls whose id is `name` or begins so, in which an exchange or a failure has `name` as its
    /// correlation id, or that were made for the asset `name`; the oldest first.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn find(&self, name: &str) -> io::Result<Vec<CallTrace>> {
        let mut calls = HashSet::new();
        self.each_line(
            |text| text.contains(name),
            |line| {
                let has = |field| line.fields.get(field).and_then(Value::as_str) == Some(name);
                let is_call = line.call.starts_with(name) && name.len() >= PREFIX_LENGTH_MIN;
                if is_call || has("correlation_id") || has("asset") {
                    calls.insert(line.call);
                }
            },
        )?;
        self.trees(&calls)
    }

    /// The last calls that began, of the functions of the contract (`create-license`) that `is_asked` takes, the oldest first,
    /// without what happened in them.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn last(&self, count: usize, is_asked: impl Fn(&str) -> bool) -> io::Result<Vec<CallTrace>> {
        let mut begun = BTreeMap::new();
        let is_root = |text: &str| text.contains(r#""name":"call""#) || text.contains(r#""took_us""#);
        self.each_line(is_root, |line| {
            let key = (line.call.clone(), line.span);
            match &line.what {
                What::Begin { parent: None, .. } => {
                    begun.insert(key, vec![line]);
                }
                What::Begin { .. } => {}
                What::End { .. } => {
                    if let Some(lines) = begun.get_mut(&key) {
                        lines.push(line);
                    }
                }
            }
        })?;
        let calls = begun.into_values().filter_map(tree);
        let mut calls: Vec<_> = calls
            .filter(|call| is_asked(call.root.text("function")))
            .collect();
        calls.sort_by_key(|call| call.root.begun_us);
        Ok(calls.split_off(calls.len().saturating_sub(count)))
    }

    fn trees(&self, calls: &HashSet<String>) -> io::Result<Vec<CallTrace>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        self.each_line(
            |_| true,
            |line| {
                if calls.contains(&line.call) {
                    lines.entry(line.call.clone()).or_default().push(line);
                }
            },
        )?;
        let mut trees: Vec<_> = lines.into_values().filter_map(tree).collect();
        trees.sort_by_key(|call| call.root.begun_us);
        Ok(trees)
    }

    /// Hands every line that passes `may_be` and can be read to `take`. A line that was cut off when a program died
    /// can't be read.
    fn each_line(&self, may_be: impl Fn(&str) -> bool, mut take: impl FnMut(Line)) -> io::Result<()> {
        let files = match files(&self.directory) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in files {
            let text = match std::fs::read(&file) {
                Ok(bytes) => bytes,
                // Deleted, or closed and so renamed, since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            String::from_utf8_lossy(&text)
                .lines()
                .filter(|line| may_be(line))
                .filter_map(|line| serde_json::from_str(line).ok())
                .for_each(&mut take);
        }
        Ok(())
    }
}

/// Builds a call from its lines, below the first span of it that began. `None` when none of the lines is a beginning.
fn tree(lines: Vec<Line>) -> Option<CallTrace> {
    let call = lines.first()?.call.clone();
    let mut spans: BTreeMap<u64, (Option<u64>, TraceSpan)> = BTreeMap::new();
    for line in lines {
        match line.what {
            What::Begin {
                name,
                parent,
                begun_us,
            } => {
                let span = TraceSpan {
                    name,
                    begun_us,
                    took_us: None,
                    fields: line.fields,
                    spans: Vec::new(),
                };
                spans.insert(line.span, (parent, span));
            }
            What::End { took_us } => {
                if let Some((_, span)) = spans.get_mut(&line.span) {
                    span.took_us = Some(took_us);
                    span.fields.extend(line.fields);
                }
            }
        }
    }
    // A span has a higher number than the span that it is a part of.
    while let Some((_, (parent, mut span))) = spans.pop_last() {
        span.spans.sort_by_key(|part| part.begun_us);
        let Some((first, _)) = spans.first_key_value() else {
            return Some(CallTrace { call, root: span });
        };
        // A span whose parent's line was dropped because too many waited is shown as a part of the call.
        let whole = parent
            .filter(|parent| spans.contains_key(parent))
            .unwrap_or(*first);
        if let Some((_, whole)) = spans.get_mut(&whole) {
            whole.spans.push(span);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSET: &str = "3b0c9f2e-0000-4000-8000-000000000001";

    fn traces(text: &str) -> (tempfile::TempDir, Traces) {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join(TRACES_DIRECTORY);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("current.jsonl"), text).unwrap();
        let traces = Traces::new(folder.path());
        (folder, traces)
    }

    fn two_calls() -> String {
        format!(
            r#"
{{"call":"aaaaaa-1","span":1,"name":"call","begun_us":10,"fields":{{"function":"create-license","asset":"{ASSET}"}}}}
{{"call":"bbbbbb-2","span":2,"name":"call","begun_us":11,"fields":{{"function":"describe"}}}}
{{"call":"aaaaaa-1","span":3,"in":1,"name":"exchange","begun_us":12,"fields":{{"correlation_id":"exchange-1"}}}}
{{"call":"aaaaaa-1","span":4,"in":3,"name":"answer","begun_us":13}}
{{"call":"aaaaaa-1","span":4,"took_us":5}}
{{"call":"aaaaaa-1","span":3,"took_us":7,"fields":{{"status":200}}}}
{{"call":"bbbbbb-2","span":2,"took_us":1,"fields":{{"outcome":"refused"}}}}
{{"call":"aaaaaa-1","spa"#
        )
    }

    #[test]
    fn a_call_is_found_by_its_id_its_asset_and_the_name_of_an_exchange_and_by_nothing_else() {
        let (_folder, traces) = traces(&two_calls());
        for name in ["aaaaaa-1", "aaaaaa", ASSET, "exchange-1"] {
            let found = traces.find(name).unwrap();
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].call, "aaaaaa-1", "{name}");
        }
        for name in ["aaaaa", "exchange", "answer", "cccccc", "refused"] {
            assert!(traces.find(name).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_call_that_was_cut_off_is_shown_as_far_as_it_got() {
        let (_folder, traces) = traces(&two_calls());
        let found = traces.find("aaaaaa").unwrap().remove(0);
        assert_eq!(found.root.took_us, None);
        let exchange = &found.root.spans[0];
        assert_eq!(exchange.took_us, Some(7));
        assert_eq!(exchange.fields["status"], 200);
        assert_eq!(exchange.text("correlation_id"), "exchange-1");
        assert_eq!(exchange.spans[0].name, "answer");
    }

    #[test]
    fn the_last_calls_are_told_with_how_they_ended() {
        let (_folder, traces) = traces(&two_calls());
        let last = traces.last(1, |_| true).unwrap();
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].root.text("outcome"), "refused");
        assert_eq!(traces.last(5, |_| true).unwrap().len(), 2);
        let bought = traces.last(1, |function| function == "create-license").unwrap();
        assert_eq!(bought.len(), 1, "later calls of others leave room");
        assert_eq!(bought[0].call, "aaaaaa-1");
    }

    #[test]
    fn where_nothing_was_kept_nothing_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Traces::new(folder.path()).last(5, |_| true).unwrap().is_empty());
    }
}

//! Reads the file of a recording.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use serde_json::Value;
use uuid::Uuid;

use super::{FORMAT, HarmlessNames, Line, RecordedExchange, RecordedOutcome};

/// Why a file is not a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file can't be read.
    #[error("recording `{path}` can't be read")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line} of recording `{path}` is invalid")]
    Line {
        /// The file.
        path: String,
        /// The line's number, from 1.
        line: usize,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The file begins as no recording does, or as one of another version.
    #[error("`{path}` is not a recording of format {FORMAT}")]
    Format {
        /// The file.
        path: String,
    },
}

impl Diagnose for RecordingError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Read { .. } => Diagnosis::new(ErrorKind::Invalid, "recording-unreadable"),
            Self::Line { .. } | Self::Format { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "not-a-recording").advise(Advice::RecordAgain)
            }
        }
    }
}

/// A recording that was read.
#[derive(Debug)]
pub struct Recording {
    pub(crate) calls: Vec<Recorded>,
}

/// A call of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) call: Uuid,
    pub(crate) begun_at_ms: i64,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) authorities: Vec<String>,
    pub(crate) certificate: bool,
    /// `None` in a file of an older program.
    pub(crate) harmless: Option<HarmlessNames>,
    pub(crate) asked: Value,
    pub(crate) exchanges: Vec<RecordedExchange>,
    /// `None` when the call was cut off.
    pub(crate) said: Option<RecordedOutcome>,
    pub(crate) access_token_kept: bool,
    /// `None` where there was none, and in a file of an older program.
    pub(crate) answer: Option<Value>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, or is no recording of this format.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let name = || path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| RecordingError::Read { path: name(), source })?;
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            lines.push(serde_json::from_str(line).map_err(|source| RecordingError::Line {
                path: name(),
                line: number + 1,
                source,
            })?);
        }
        let mut lines = lines.into_iter();
        match lines.next() {
            Some(Line::Recording { format: FORMAT, .. }) => Ok(Self::of_lines(lines)),
            _ => Err(RecordingError::Format { path: name() }),
        }
    }

    fn of_lines(lines: impl Iterator<Item = Line>) -> Self {
        let mut calls: Vec<Recorded> = Vec::new();
        for line in lines {
            let (id, line) = match line {
                Line::Recording { .. } => continue,
                Line::Call {
                    call,
                    options,
                    authorities,
                    certificate,
                    harmless,
                    asked,
                    begun_at_ms,
                } => {
                    calls.push(Recorded {
                        call,
                        begun_at_ms,
                        options,
                        authorities,
                        certificate,
                        harmless,
                        asked,
                        exchanges: Vec::new(),
                        said: None,
                        access_token_kept: false,
                        answer: None,
                    });
                    continue;
                }
                Line::Exchange(ref exchange) => (exchange.call, line),
                Line::End { call, .. } => (call, line),
            };
            let Some(recorded) = calls.iter_mut().find(|recorded| recorded.call == id) else {
                continue;
            };
            match line {
                Line::Exchange(exchange) => recorded.exchanges.push(exchange),
                Line::End {
                    said,
                    access_token_kept,
                    answer,
                    ..
                } => {
                    recorded.said = Some(said);
                    recorded.answer = answer;
                    recorded.access_token_kept = access_token_kept;
                }
                Line::Recording { .. } | Line::Call { .. } => {}
            }
        }
        for recorded in &mut calls {
            recorded.exchanges.sort_by_key(|exchange| exchange.number);
        }
        Self { calls }
    }
}

//! Records what passes between a plugin and its vendor in a file, without secrets, to debug the plugin with.
//!
//! A file has JSON lines: one that names the format, and for each call its arguments, its exchanges and its end.
//! `exchange_recording/scrub.rs` says what is removed; [`crate::replay`] plays a file back to a plugin.

mod differences;
mod exchange;
pub(crate) mod failure;
mod harmless;
mod lists;
mod recording;
mod scrub;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bss_model::clock::now_ms;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use wasmtime_wasi_http::Error;

use crate::plugin_call::{CallOutcome, PluginAnswer, PluginCall};

pub(crate) use differences::{answer_differences, differences};
pub(crate) use exchange::{Body, RecordedExchange, RecordedRequest, RecordedResponse};
pub(crate) use failure::word as failure_word;
pub(crate) use harmless::HarmlessNames;
pub(crate) use recording::Recorded;
pub use recording::{Recording, RecordingError};
pub(crate) use scrub::{Places, Scrubber, has_place, is_token_request};

/// The version of the lines' form. A file of another version is not read.
const FORMAT: u32 = 1;

/// A line of a recording.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Line {
    /// The first line.
    Recording { format: u32, host: String },
    /// A call begins.
    Call {
        call: Uuid,
        begun_at_ms: i64,
        /// The operator's options for the plugin.
        options: BTreeMap<String, String>,
        /// The servers that the call may reach.
        authorities: Vec<String>,
        /// Whether the instance has a certificate. Neither the certificate nor its key is in the file.
        certificate: bool,
        /// The names whose values stay. `None` in a file of an older program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        harmless: Option<HarmlessNames>,
        /// The function and its arguments.
        asked: Value,
    },
    /// An exchange has ended.
    Exchange(RecordedExchange),
    /// The call has ended.
    End {
        call: Uuid,
        #[serde(flatten)]
        said: RecordedOutcome,
        /// Whether the first access token that the call looked for was there from an earlier call.
        access_token_kept: bool,
        /// The last lines that the plugin wrote, where it brought no answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        last_words: Vec<String>,
        /// What the plugin answered. `None` where it brought no answer, and in a file of an older program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Value>,
    },
}

/// The part of a call's context that is recorded.
pub(crate) struct RecordedContext {
    /// The operator's options for the plugin.
    pub(crate) options: BTreeMap<String, String>,
    /// The servers that the call may reach.
    pub(crate) authorities: Vec<String>,
    /// Whether the instance has a certificate.
    pub(crate) certificate: bool,
    /// What the plugin has declared to be harmless.
    pub(crate) harmless: Arc<HarmlessNames>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedOutcome {
    outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<&CallOutcome> for RecordedOutcome {
    fn from(outcome: &CallOutcome) -> Self {
        Self {
            outcome: outcome.outcome.to_owned(),
            problem: outcome.problem.clone(),
        }
    }
}

impl fmt::Display for RecordedOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => write!(formatter, "{} ({problem})", self.outcome),
            None => formatter.write_str(&self.outcome),
        }
    }
}

/// Writes recordings. Cloning shares the file.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    file: Mutex<File>,
    places: Places,
    has_failed: AtomicBool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Recorder")
    }
}

impl Recorder {
    /// Makes a file that only its owner can read.
    ///
    /// # Errors
    /// When the file can't be made, or is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let recorder = Self(Arc::new(Shared {
            file: Mutex::new(file),
            places: Places::default(),
            has_failed: AtomicBool::new(false),
        }));
        recorder.write(&Line::Recording {
            format: FORMAT,
            host: env!("CARGO_PKG_VERSION").to_owned(),
        });
        Ok(recorder)
    }

    /// Begins the recording of a call: writes its function, arguments and context.
    pub(crate) fn begin(
        &self,
        call: Uuid,
        asked: &PluginCall<'_>,
        context: RecordedContext,
    ) -> CallRecording {
        let mut scrubber = Scrubber::new(self.0.places.clone(), context.harmless.clone());
        let asked = scrubber.arguments(asked);
        for option in context.options.values() {
            scrubber.tell(&option.as_str().into());
        }
        self.write(&Line::Call {
            call,
            begun_at_ms: now_ms(),
            options: context.options,
            authorities: context.authorities,
            certificate: context.certificate,
            harmless: Some(HarmlessNames::clone(&context.harmless)),
            asked,
        });
        CallRecording(Arc::new(RecordedCall {
            recorder: self.clone(),
            call,
            scrubber: Mutex::new(scrubber),
            begun: Instant::now(),
            exchanges: AtomicU32::new(0),
            access_token_kept: OnceLock::new(),
        }))
    }

    /// Writes a line. A failure does not fail the call; the first one is logged.
    fn write(&self, line: &Line) {
        let written = serde_json::to_vec(line)
            .map_err(io::Error::from)
            .and_then(|mut text| {
                text.push(b'\n');
                let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_all(&text)
            });
        if let Err(error) = written
            && !self.0.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, "the recording is incomplete because a line could not be written");
        }
    }
}

/// The recording of one call. Cloning shares it.
#[derive(Clone)]
pub(crate) struct CallRecording(Arc<RecordedCall>);

struct RecordedCall {
    recorder: Recorder,
    call: Uuid,
    scrubber: Mutex<Scrubber>,
    begun: Instant,
    exchanges: AtomicU32,
    access_token_kept: OnceLock<bool>,
}

impl fmt::Debug for CallRecording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("CallRecording")
            .field(&self.0.call)
            .finish()
    }
}

impl CallRecording {
    /// Notes whether the first access token that the call looked for was there.
    pub(crate) fn access_token(&self, kept: bool) {
        // Only the first look-up is about what earlier calls have left.
        let _ = self.0.access_token_kept.set(kept);
    }

    /// Begins the recording of an exchange for a request that the plugin sends.
    pub(crate) fn exchange<B>(&self, request: &http::Request<B>) -> ExchangeRecording {
        let (call, method) = (self.clone(), request.method().clone());
        let uri = request.uri().clone();
        ExchangeRecording {
            number: call.0.exchanges.fetch_add(1, Ordering::Relaxed) + 1,
            begun: Instant::now(),
            call,
            denied: (method, uri),
            request: OnceLock::new(),
        }
    }

    /// Writes how the call ended, and what the plugin answered.
    pub(crate) fn end(&self, outcome: &CallOutcome, answer: Option<PluginAnswer>) {
        let (last_words, answer) = {
            let scrubber = self.scrubber();
            let last_words = outcome.last_words.lines().map(|line| scrubber.words(line));
            let answer = answer.map(|answer| scrubber.answer(answer));
            (last_words.collect(), answer)
        };
        self.0.recorder.write(&Line::End {
            call: self.0.call,
            said: outcome.into(),
            access_token_kept: self.0.access_token_kept.get() == Some(&true),
            last_words,
            answer,
        });
    }

    fn scrubber(&self) -> MutexGuard<'_, Scrubber> {
        // The scrubber's memory is never half-changed.
        self.0.scrubber.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recording of one exchange.
#[derive(Debug)]
pub(crate) struct ExchangeRecording {
    call: CallRecording,
    number: u32,
    begun: Instant,
    /// The request's method and address, which are recorded where nothing was sent.
    denied: (http::Method, http::Uri),
    request: OnceLock<RecordedRequest>,
}

impl ExchangeRecording {
    /// Keeps the request as it is sent, without its secrets.
    pub(crate) fn sends(&self, request: &http::Request<Bytes>) {
        let recorded = self.call.scrubber().request(request);
        let _ = self.request.set(recorded);
    }

    /// Writes the exchange, which has no answer.
    pub(crate) fn failed(self, error: &Error) {
        self.write(None, Some(failure::word(error)));
    }

    /// Writes the exchange with its answer, which was read to its end or as far as it came.
    pub(crate) fn answered(self, head: &http::response::Parts, body: &[u8], error: Option<String>) {
        let response = self.call.scrubber().response(self.request.get(), head, body);
        self.write(Some(response), error);
    }

    fn write(mut self, response: Option<RecordedResponse>, failure: Option<String>) {
        let recorder = self.call.0.recorder.clone();
        let request = self.request.take().unwrap_or_else(|| {
            let (method, uri) = &self.denied;
            self.call.scrubber().denied(method, uri)
        });
        recorder.write(&Line::Exchange(RecordedExchange {
            call: self.call.0.call,
            number: self.number,
            begun_after_ms: millis(self.begun.duration_since(self.call.0.begun)),
            took_ms: millis(self.begun.elapsed()),
            request,
            response,
            failure,
        }));
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

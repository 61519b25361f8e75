//! What a guest says becomes lines of the log: one line each, bounded in size and in rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::call_state::{CallEvent, CallListener, LogLevel};
use crate::limits;

/// What may be written to a standard stream at once. Nothing is kept of it but a line's beginning.
const WRITE_BYTES: usize = 64 * 1024;

/// What a line counts beside its text: what it takes to keep it.
const LINE_BYTES: usize = 64;

/// The longest encoding of a character in UTF-8.
const CHAR_BYTES: usize = 4;

/// The log of one call. Cloning shares it.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Shared>);

struct Shared {
    instance: String,
    listener: CallListener,
    state: Mutex<State>,
}

struct State {
    pace: Pace,
    bytes_left: usize,
    /// Lines that were dropped and not yet told of.
    dropped: u64,
    /// Lines that have no end yet.
    unended: [Vec<u8>; 2],
    progress: Pace,
    /// News of progress that came too fast; the last one counts.
    held: Option<CallEvent>,
}

/// The two streams that every program can write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The standard output.
    Output,
    /// The standard error, where a guest that gives up says why.
    Error,
}

impl GuestLog {
    pub(crate) fn new(instance: String, listener: CallListener) -> Self {
        Self(Arc::new(Shared {
            instance,
            listener,
            state: Mutex::new(State {
                pace: Pace::new(Instant::now()),
                bytes_left: limits::LOG_BYTES,
                dropped: 0,
                unended: Default::default(),
                progress: Pace::new(Instant::now()),
                held: None,
            }),
        }))
    }

    /// How far the call is. Where it says so too often, only some of it is told, and the last.
    pub(crate) fn report(&self, done: u64, total: Option<u64>, unit: &str) {
        let event = CallEvent::Progress {
            done,
            total,
            unit: one_line(unit),
        };
        let mut state = self.0.state();
        if state.progress.admits(Instant::now()) {
            state.held = None;
            drop(state);
            (self.0.listener)(event);
        } else {
            state.held = Some(event);
        }
    }

    /// A line of the call's log, which its listener hears.
    pub(crate) fn log(&self, level: LogLevel, subject: &str, message: &str) {
        let (subject, message) = (one_line(subject), one_line(message));
        if self.0.admits(subject.len() + message.len()) {
            self.0.write(level, &subject, &message);
            (self.0.listener)(CallEvent::Log {
                level,
                subject,
                message,
            });
        }
    }

    /// Where a guest's standard output or error goes.
    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream {
            log: self.clone(),
            stream,
        }
    }

    /// Tells what is left: lines without an end, how many were dropped, and how far the call came.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl Shared {
    /// Whether a line may be written now. Tells of those that were dropped before it.
    fn admits(&self, bytes: usize) -> bool {
        let mut state = self.state();
        let bytes = bytes + LINE_BYTES;
        if bytes > state.bytes_left || !state.pace.admits(Instant::now()) {
            state.dropped += 1;
            return false;
        }
        state.bytes_left -= bytes;
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        self.tell_dropped(dropped);
        true
    }

    fn tell_dropped(&self, dropped: u64) {
        if dropped > 0 {
            let message = format!("the plugin logs too much: {dropped} of its lines were dropped");
            self.write(LogLevel::Warning, "", &message);
            (self.listener)(CallEvent::Log {
                level: LogLevel::Warning,
                subject: String::new(),
                message,
            });
        }
    }

    fn write(&self, level: LogLevel, subject: &str, message: &str) {
        let instance = &self.instance;
        match level {
            LogLevel::Debug => tracing::debug!(target: "plugin", instance, subject, "{message}"),
            LogLevel::Info => tracing::info!(target: "plugin", instance, subject, "{message}"),
            LogLevel::Warning => tracing::warn!(target: "plugin", instance, subject, "{message}"),
        }
    }

    fn write_stream(&self, stream: Stream, mut bytes: &[u8]) {
        loop {
            let (line, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&bytes[..end], Some(&bytes[end + 1..])),
                None => (bytes, None),
            };
            let mut state = self.state();
            let unended = &mut state.unended[stream as usize];
            let room = (limits::LOG_LINE_CHARS * CHAR_BYTES).saturating_sub(unended.len());
            unended.extend_from_slice(&line[..line.len().min(room)]);
            let Some(rest) = rest else { return };
            let line = std::mem::take(unended);
            drop(state);
            self.end_line(stream, &line);
            bytes = rest;
        }
    }

    fn end_line(&self, stream: Stream, line: &[u8]) {
        let line = one_line(&String::from_utf8_lossy(line));
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Error => LogLevel::Warning,
        };
        if !line.is_empty() && self.admits(line.len()) {
            self.write(level, "", &line);
        }
    }

    fn end(&self) {
        let mut state = self.state();
        let unended = std::mem::take(&mut state.unended);
        drop(state);
        for (stream, line) in [Stream::Output, Stream::Error].into_iter().zip(unended) {
            self.end_line(stream, &line);
        }
        let mut state = self.state();
        let (dropped, held) = (std::mem::take(&mut state.dropped), state.held.take());
        drop(state);
        self.tell_dropped(dropped);
        if let Some(progress) = held {
            (self.listener)(progress);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// A call that is dropped in the middle has said something too.
    fn drop(&mut self) {
        self.end();
    }
}

/// One line of at most [`limits::LOG_LINE_CHARS`] characters: a guest's line can't pretend to be two, nor to be
/// another one by turning the direction of what is read.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if is_forging(c) { ' ' } else { c })
        .take(limits::LOG_LINE_CHARS)
        .collect()
}

/// Control characters, the separators of lines and paragraphs, and the marks that change the direction of text.
fn is_forging(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A budget of lines that fills itself up again as time passes.
struct Pace {
    lines: f64,
    since: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            lines: limits::LOG_LINES_AT_ONCE.into(),
            since: now,
        }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.lines = (self.lines + passed * f64::from(limits::LOG_LINES_PER_SECOND))
            .min(limits::LOG_LINES_AT_ONCE.into());
        let admits = self.lines >= 1.0;
        if admits {
            self.lines -= 1.0;
        }
        admits
    }
}

/// A standard stream of a guest, which takes everything and never makes it wait.
#[derive(Clone)]
pub(crate) struct GuestStream {
    log: GuestLog,
    stream: Stream,
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    /// Only WASI 0.3 would ask for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.0.write_stream(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard() -> (GuestLog, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = heard.clone();
        let log = GuestLog::new(
            "an instance".to_owned(),
            Arc::new(move |event| {
                if let CallEvent::Log { message, .. } = event {
                    listening.lock().unwrap().push(message);
                }
            }),
        );
        (log, heard)
    }

    #[test]
    fn a_line_can_t_pretend_to_be_two_or_to_read_backwards() {
        assert_eq!(
            one_line("bought\nWARN other\r\u{1b}[2J\u{2028}x\u{202e}y\u{85}z"),
            "bought WARN other  [2J x y z"
        );
        assert_eq!(
            one_line("größe \u{1f600} `a\\b`"),
            "größe \u{1f600} `a\\b`",
            "all else stays"
        );
    }

    #[test]
    fn a_long_line_is_cut() {
        let (log, heard) = heard();
        log.log(LogLevel::Info, "", &"ß".repeat(limits::LOG_LINE_CHARS + 1));
        assert_eq!(heard.lock().unwrap()[0].chars().count(), limits::LOG_LINE_CHARS);
    }

    #[test]
    fn lines_that_come_too_fast_are_dropped_and_counted() {
        let (log, heard) = heard();
        let at_once = u64::from(limits::LOG_LINES_AT_ONCE);
        for _ in 0..at_once * 10 {
            log.log(LogLevel::Info, "", "x");
        }
        let admitted = heard.lock().unwrap().len() as u64;
        assert!((at_once..at_once * 2).contains(&admitted), "{admitted}");
        log.end();
        let last = heard.lock().unwrap().last().cloned().unwrap();
        assert!(last.contains("lines were dropped"), "{last}");
    }

    #[test]
    fn a_budget_of_lines_fills_up_again_and_not_beyond_its_size() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let taken = |pace: &mut Pace, now| (0..100_000).take_while(|_| pace.admits(now)).count() as u32;
        assert_eq!(taken(&mut pace, start), limits::LOG_LINES_AT_ONCE);
        let second_later = start + Duration::from_secs(1);
        assert_eq!(taken(&mut pace, second_later), limits::LOG_LINES_PER_SECOND);
        let day_later = start + Duration::from_secs(86_400);
        assert_eq!(taken(&mut pace, day_later), limits::LOG_LINES_AT_ONCE);
    }

    #[test]
    fn the_text_of_a_call_is_bounded() {
        let (log, heard) = heard();
        for _ in 0..limits::LOG_LINES_AT_ONCE {
            log.log(LogLevel::Info, "", &"x".repeat(limits::LOG_LINE_CHARS));
        }
        let lines = limits::LOG_BYTES / (limits::LOG_LINE_CHARS + LINE_BYTES);
        assert_eq!(heard.lock().unwrap().len(), lines);
    }

    #[test]
    fn progress_that_is_told_too_often_ends_with_the_last_news() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = heard.clone();
        let log = GuestLog::new(
            "an instance".to_owned(),
            Arc::new(move |event| {
                if let CallEvent::Progress { done, .. } = event {
                    listening.lock().unwrap().push(done);
                }
            }),
        );
        for done in 1..=100_000 {
            log.report(done, None, "offers");
        }
        log.end();
        let heard = heard.lock().unwrap();
        assert!(
            heard.len() < 2 * limits::LOG_LINES_AT_ONCE as usize,
            "{}",
            heard.len()
        );
        assert_eq!(heard.last(), Some(&100_000));
    }

    #[test]
    fn a_stream_is_read_line_by_line_however_it_is_cut() {
        let (log, _) = heard();
        let mut stream = log.stream(Stream::Error);
        stream.write(Bytes::from_static(b"half a ")).unwrap();
        assert_eq!(log.0.state().unended[Stream::Error as usize], b"half a ");
        stream.write(Bytes::from_static(b"line\nand")).unwrap();
        assert_eq!(log.0.state().unended[Stream::Error as usize], b"and");
        log.end();
        assert!(log.0.state().unended[Stream::Error as usize].is_empty());
    }

    #[test]
    fn a_line_without_end_is_not_kept_whole() {
        let (log, _) = heard();
        let mut stream = log.stream(Stream::Output);
        for _ in 0..100 {
            stream.write(Bytes::from(vec![b'x'; WRITE_BYTES])).unwrap();
        }
        let kept = log.0.state().unended[Stream::Output as usize].len();
        assert_eq!(kept, limits::LOG_LINE_CHARS * CHAR_BYTES);
    }
}

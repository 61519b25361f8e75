//! Turns what a guest says into lines of the log, bounded in size and in rate for each call and each instance.

mod pace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::call_event::{CallEvent, CallListener, LogLevel};
use crate::call_trace::CallSpan;
use crate::last_words::LastWords;
use crate::limits;
use crate::plugin_text::one_line;
use crate::secret_shapes::{REMOVED, without_secrets};
use pace::Pace;

/// Bytes that may be written to a standard stream at once. Only the beginning of an unended line is kept of them.
const WRITE_BYTES: usize = 64 * 1024;

/// Bytes that a line counts beside its text, for what it takes to keep it.
const LINE_BYTES: usize = 64;

/// The longest encoding of a character in UTF-8.
const CHAR_BYTES: usize = 4;

/// The fewest characters of a personal text that is removed: a shorter one stands in other words too, and tells nobody.
const PERSONAL_CHARS_MIN: usize = 3;

/// The log of one call. Cloning shares it.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Shared>);

struct Shared {
    instance: String,
    /// The lines that all calls of the instance have left.
    shares: LogShares,
    listener: CallListener,
    /// The span in which the lines are traced.
    followed: CallSpan,
    /// Texts that are removed from every line, as [`PluginCall::personal`](crate::plugin_call::PluginCall::personal) has them.
    personal: Vec<String>,
    state: Mutex<State>,
}

struct State {
    pace: Pace,
    bytes_left: usize,
    /// Dropped lines that were not reported yet.
    dropped: u64,
    /// Lines of the two standard streams that have no end yet.
    unended: [Vec<u8>; 2],
    progress: Pace,
    /// The last progress that came too fast to be told.
    held: Option<CallEvent>,
    /// The last lines that the guest wrote, dropped ones too.
    last: LastWords,
    traces_left: u32,
    /// Lines that were written and not traced.
    untraced: u32,
    ended: bool,
}

/// The two streams that every program can write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The standard output.
    Output,
    /// The standard error, where a guest that gives up says why.
    Error,
}

/// The lines that each instance of a plugin may still log, in all of its calls together. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct LogShares(Arc<Mutex<HashMap<String, LogShare>>>);

struct LogShare {
    pace: Pace,
    /// Dropped lines that were not reported yet.
    dropped: u64,
    /// Calls under way.
    calls: usize,
}

impl LogShares {
    fn begin(&self, instance: &str) {
        let mut shares = self.lock();
        if let Some(share) = shares.get_mut(instance) {
            share.calls += 1;
            return;
        }
        let now = Instant::now();
        // A share that is full again is as good as a new one, so only those of instances that log much are kept.
        shares.retain(|_, share| share.calls > 0 || !share.pace.is_full(now));
        let share = LogShare {
            pace: Pace::of_an_instance(now),
            dropped: 0,
            calls: 1,
        };
        shares.insert(instance.to_owned(), share);
    }

    /// Takes a line from an instance's share, and returns how many were dropped before it. `None` when none is left.
    fn admits(&self, instance: &str) -> Option<u64> {
        let mut shares = self.lock();
        let Some(share) = shares.get_mut(instance) else {
            return Some(0);
        };
        if share.pace.admits(Instant::now()) {
            return Some(std::mem::take(&mut share.dropped));
        }
        share.dropped += 1;
        None
    }

    /// Ends a call. Returns for the last one of the instance how many dropped lines were not reported yet.
    fn end(&self, instance: &str) -> u64 {
        let mut shares = self.lock();
        let Some(share) = shares.get_mut(instance) else {
            return 0;
        };
        share.calls -= 1;
        if share.calls > 0 {
            return 0;
        }
        let dropped = std::mem::take(&mut share.dropped);
        if share.pace.is_full(Instant::now()) {
            shares.remove(instance);
        }
        dropped
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, LogShare>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuestLog {
    /// The log of a new call of an instance. `personal`: texts about people, which no line tells.
    pub(crate) fn new(
        instance: String,
        shares: LogShares,
        listener: CallListener,
        followed: CallSpan,
        personal: &[&str],
    ) -> Self {
        shares.begin(&instance);
        let now = Instant::now();
        let personal = personal
            .iter()
            .map(|text| one_line(*text, limits::LOG_LINE_CHARS));
        let personal = personal.filter(|text| text.chars().count() >= PERSONAL_CHARS_MIN);
        Self(Arc::new(Shared {
            instance,
            shares,
            listener,
            followed,
            personal: personal.collect(),
            state: Mutex::new(State {
                pace: Pace::of_a_call(now),
                bytes_left: limits::LOG_BYTES,
                dropped: 0,
                unended: Default::default(),
                progress: Pace::of_a_call(now),
                held: None,
                last: LastWords::default(),
                traces_left: limits::TRACED_LOG_LINES,
                untraced: 0,
                ended: false,
            }),
        }))
    }

    /// Tells the listener how far the call is. When this comes too often, only some reports and the last one are told.
    pub(crate) fn report(&self, done: u64, total: Option<u64>, unit: &str) {
        let event = CallEvent::Progress {
            done,
            total,
            unit: one_line(unit, limits::LABEL_CHARS),
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

    /// Writes a line of the call's log, and tells it to the listener.
    pub(crate) fn log(&self, level: LogLevel, subject: &str, message: &str) {
        // A subject stays as it is, since the host finds products by it.
        let (subject, message) = (log_line(subject), self.0.kept_line(message));
        if self.0.say(level, &subject, &message) {
            (self.0.listener)(CallEvent::Log {
                level,
                subject,
                message,
            });
        }
    }

    /// The sink for a guest's standard output or error.
    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream {
            log: self.clone(),
            stream,
        }
    }

    /// Ends the log: writes unended lines, reports how many were dropped, and tells the last progress.
    pub(crate) fn end(&self) {
        self.0.end();
    }

    /// Ends the log of a call that got no answer, and returns the last lines that the guest wrote.
    pub(crate) fn end_without_answer(&self) -> LastWords {
        self.0.end();
        self.0.state().last.clone()
    }
}

impl Shared {
    /// Whether a line may be written now; if so, reports the lines that were dropped before it.
    fn admits(&self, bytes: usize) -> bool {
        let mut state = self.state();
        let bytes = bytes + LINE_BYTES;
        if bytes > state.bytes_left || !state.pace.admits(Instant::now()) {
            state.dropped += 1;
            return false;
        }
        let Some(of_instance) = self.shares.admits(&self.instance) else {
            return false;
        };
        state.bytes_left -= bytes;
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        self.tell_dropped(dropped, "plugin logs");
        self.tell_dropped(of_instance, "instance's calls log");
        true
    }

    fn tell_dropped(&self, dropped: u64, who: &str) {
        if dropped > 0 {
            let message = format!("the {who} too much: {dropped} log lines were dropped");
            self.write(LogLevel::Warning, "", &message);
            (self.listener)(CallEvent::Log {
                level: LogLevel::Warning,
                subject: String::new(),
                message,
            });
        }
    }

    /// Writes a line of the guest's, and keeps it as its last one. Returns whether it was written, and not dropped.
    fn say(&self, level: LogLevel, subject: &str, message: &str) -> bool {
        let is_admitted = self.admits(subject.len() + message.len());
        if is_admitted {
            self.write(level, subject, message);
        }
        let line = match subject {
            "" => message.to_owned(),
            subject => format!("{}: {message}", self.kept_line(subject)),
        };
        self.state().last.push(line);
        is_admitted
    }

    /// Writes a line to the log and to the traces.
    fn write(&self, level: LogLevel, subject: &str, message: &str) {
        let instance = &self.instance;
        let word = match level {
            LogLevel::Debug => {
                tracing::debug!(target: "plugin", instance, subject, "{message}");
                "debug"
            }
            LogLevel::Info => {
                tracing::info!(target: "plugin", instance, subject, "{message}");
                "info"
            }
            LogLevel::Warning => {
                tracing::warn!(target: "plugin", instance, subject, "{message}");
                "warning"
            }
        };
        let mut state = self.state();
        match state.traces_left.checked_sub(1) {
            Some(left) => {
                state.traces_left = left;
                drop(state);
                self.followed.log(word, &self.kept_line(subject), message);
            }
            None => state.untraced += 1,
        }
    }

    /// A text as a line that is kept: one that steers nothing, names nobody, and has nothing that looks like a secret.
    fn kept_line(&self, text: &str) -> String {
        // A secret at the end of what is looked at must not be cut in two, and so be none.
        let mut line = one_line(text, limits::LOG_LINE_CHARS * CHAR_BYTES);
        for personal in &self.personal {
            if line.contains(personal) {
                line = line.replace(personal, REMOVED);
            }
        }
        one_line(without_secrets(&line), limits::LOG_LINE_CHARS)
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
        let line = self.kept_line(&String::from_utf8_lossy(line));
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Error => LogLevel::Warning,
        };
        if !line.is_empty() {
            self.say(level, "", &line);
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
        let ended_before = std::mem::replace(&mut state.ended, true);
        drop(state);
        self.tell_dropped(dropped, "plugin logs");
        if !ended_before {
            self.tell_dropped(self.shares.end(&self.instance), "instance's calls log");
        }
        let untraced = self.state().untraced;
        if untraced > 0 {
            self.followed.log_left_out(untraced);
        }
        if let Some(progress) = held {
            (self.listener)(progress);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// Ends the log also of a call that is dropped in the middle.
    fn drop(&mut self) {
        self.end();
    }
}

/// A text as a line of the log.
fn log_line(text: &str) -> String {
    one_line(text, limits::LOG_LINE_CHARS)
}

/// A standard stream of a guest, which takes everything and never makes the guest wait.
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
    /// Discards everything: only WASI 0.3 would write here, which is not linked.
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
    use super::*;

    type Heard = Arc<Mutex<Vec<String>>>;

    fn heard() -> (GuestLog, Heard) {
        let heard = Heard::default();
        (log_of("an instance", &LogShares::default(), &heard), heard)
    }

    fn log_of(instance: &str, shares: &LogShares, heard: &Heard) -> GuestLog {
        let listening = heard.clone();
        let listener: CallListener = Arc::new(move |event| {
            if let CallEvent::Log { message, .. } = event {
                listening.lock().unwrap().push(message);
            }
        });
        let personal = ["Beispiel GmbH", "AG"];
        GuestLog::new(
            instance.to_owned(),
            shares.clone(),
            listener,
            CallSpan::default(),
            &personal,
        )
    }

    /// Runs calls of an instance at once, each of which logs `lines` lines, and returns what was heard of all of them.
    fn calls_at_once(instance: &str, shares: &LogShares, calls: u32, lines: u32) -> Vec<String> {
        let heard = Heard::default();
        let logs: Vec<_> = (0..calls).map(|_| log_of(instance, shares, &heard)).collect();
        for log in &logs {
            for _ in 0..lines {
                log.log(LogLevel::Info, "", "x");
            }
        }
        // The first log is only dropped; the others are ended, and once more when they are dropped.
        for log in logs.iter().skip(1) {
            log.end();
        }
        drop(logs);
        Arc::into_inner(heard).unwrap().into_inner().unwrap()
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
    fn sixty_four_calls_of_one_instance_log_no_more_than_its_share_and_what_is_dropped_is_counted() {
        let (calls, lines) = (64, limits::LOG_LINES_AT_ONCE);
        let begun = Instant::now();
        let heard = calls_at_once("greedy", &LogShares::default(), calls, lines);
        let seconds = begun.elapsed().as_secs() + 1;
        let (told, admitted): (Vec<_>, Vec<_>) = heard.iter().partition(|line| line.contains("were dropped"));
        let at_once = u64::from(limits::INSTANCE_LOG_LINES_AT_ONCE);
        let most = at_once + seconds * u64::from(limits::INSTANCE_LOG_LINES_PER_SECOND);
        assert!(
            (at_once..=most).contains(&(admitted.len() as u64)),
            "{}",
            admitted.len()
        );
        let dropped: usize = told.iter().map(|line| dropped_of_instance(line)).sum();
        assert_eq!(
            dropped + admitted.len(),
            (calls * lines) as usize,
            "each is counted once"
        );
        // Only lines that were admitted after the first was dropped can have reported dropped ones, and the end.
        assert!(
            told.len() <= admitted.len() - at_once as usize + 1,
            "{}",
            told.len()
        );
    }

    fn dropped_of_instance(line: &str) -> usize {
        let rest = line.strip_prefix("the instance's calls log too much: ");
        let (dropped, _) = rest.and_then(|rest| rest.split_once(' ')).expect(line);
        dropped.parse().expect(line)
    }

    #[test]
    fn calls_within_their_instance_s_share_are_heard_to_the_last_line_whatever_another_instance_does() {
        let shares = LogShares::default();
        let greedy = calls_at_once("greedy", &shares, 64, limits::LOG_LINES_AT_ONCE);
        assert!(greedy.last().unwrap().contains("were dropped"));
        let lines = limits::INSTANCE_LOG_LINES_AT_ONCE / 64;
        let modest = calls_at_once("modest", &shares, 64, lines);
        assert_eq!(modest, vec!["x"; 64 * lines as usize]);
        // Calls one after the other do not get around the share.
        let heard = calls_at_once("greedy", &shares, 1, limits::LOG_LINES_AT_ONCE);
        assert!(
            heard.len() < limits::LOG_LINES_AT_ONCE as usize,
            "{}",
            heard.len()
        );
        assert!(
            heard.last().unwrap().contains("instance's calls"),
            "{:?}",
            heard.last()
        );
    }

    #[test]
    fn nothing_is_kept_of_an_instance_that_logs_little() {
        let shares = LogShares::default();
        calls_at_once("silent", &shares, 2, 0);
        assert!(shares.lock().is_empty());
        calls_at_once("greedy", &shares, 64, limits::LOG_LINES_AT_ONCE);
        assert_eq!(shares.lock().len(), 1);
        // A new pace stands for the time that fills the share again.
        shares.lock().get_mut("greedy").unwrap().pace = Pace::of_an_instance(Instant::now());
        let other = log_of("another", &shares, &Heard::default());
        assert_eq!(shares.lock().keys().collect::<Vec<_>>(), ["another"]);
        drop(other);
        assert!(shares.lock().is_empty());
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
        let listener: CallListener = Arc::new(move |event| {
            if let CallEvent::Progress { done, .. } = event {
                listening.lock().unwrap().push(done);
            }
        });
        let (instance, shares) = ("an instance".to_owned(), LogShares::default());
        let log = GuestLog::new(instance, shares, listener, CallSpan::default(), &[]);
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

    #[test]
    fn what_a_guest_writes_last_is_kept_also_where_its_lines_are_dropped() {
        let (log, _) = heard();
        let mut stream = log.stream(Stream::Error);
        for _ in 0..limits::LOG_LINES_AT_ONCE * 2 {
            log.log(LogLevel::Info, "offer", "x");
        }
        stream
            .write(Bytes::from_static(
                b"panicked at 1
without end",
            ))
            .unwrap();
        let last = log.end_without_answer();
        let lines: Vec<_> = last.lines().collect();
        assert_eq!(
            lines[lines.len() - 3..],
            ["offer: x", "panicked at 1", "without end"]
        );
    }

    #[test]
    fn no_line_names_a_customer_or_holds_a_secret_and_a_subject_stays_what_it_is_for_the_listener() {
        let (log, heard) = heard();
        let said = "Beispiel GmbH of AG has 3F9KD-11111-22222-33333-X4Y5Z";
        log.log(LogLevel::Info, "ABC-DEF-GHI", said);
        let kept = "[removed] of AG has [removed]";
        assert_eq!(heard.lock().unwrap().as_slice(), [kept]);
        let last = log.end_without_answer();
        let with_subject = format!("[removed]: {kept}");
        assert_eq!(last.lines().collect::<Vec<_>>(), [with_subject.as_str()]);
    }

    #[test]
    fn a_secret_that_a_line_s_end_cuts_in_two_is_removed_too() {
        let (log, heard) = heard();
        let before = "x".repeat(limits::LOG_LINE_CHARS - " [removed]".len());
        log.log(
            LogLevel::Info,
            "",
            &format!("{before} 3F9KD-11111-22222-33333-X4Y5Z"),
        );
        assert_eq!(heard.lock().unwrap()[0], before + " [removed]");
    }
}

//! What a person sees of a call while it runs, on the standard error.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bss_model::text::visible;
use host_harness::{CallEvent, CallListener, LogLevel};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// Shows a call's warnings on the standard error while it runs, and logs its progress.
pub(super) fn listener() -> CallListener {
    Arc::new(|event| match event {
        CallEvent::Log {
            level: LogLevel::Warning,
            subject,
            message,
        } => {
            output::note(format!(
                "warning: {}{message}",
                if subject.is_empty() {
                    subject
                } else {
                    format!("{subject}: ")
                }
            ));
        }
        CallEvent::Progress { done, total, unit } => tracing::info!(done, total, unit, "progress"),
        _ => {}
    })
}

/// Time between two plain lines about progress, so that a log file stays readable.
const PLAIN_LINE: Duration = Duration::from_secs(1);

/// Progress of a run: a bar on a terminal, lines elsewhere, always on the standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is ours and well-formed; if it were not, the default one would do.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} {msg} read, {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message("offers");
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    pub(super) fn listener(&self) -> CallListener {
        let Some(bar) = self.bar.clone() else {
            return plain_listener();
        };
        let others = listener();
        Arc::new(move |event| match event {
            CallEvent::Progress { done, total, unit } => {
                if let Some(total) = total {
                    bar.set_length(total);
                    let template = "{bar:30} {pos} of {len} {msg} read, {elapsed}";
                    if let Ok(style) = ProgressStyle::with_template(template) {
                        bar.set_style(style);
                    }
                }
                bar.set_message(visible(&unit).into_owned());
                bar.set_position(done);
            }
            event => bar.suspend(|| others(event)),
        })
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn plain_listener() -> CallListener {
    let others = listener();
    let last = Mutex::new(None::<Instant>);
    Arc::new(move |event| match event {
        CallEvent::Progress { done, total, unit } => {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= PLAIN_LINE) {
                *last = Some(Instant::now());
                let total = total.map_or_else(String::new, |total| format!(" of {total}"));
                output::note(format!("{done}{total} {unit} read"));
            }
        }
        event => others(event),
    })
}

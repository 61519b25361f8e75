//! How long a call may take: on the clock, and on the processor.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::error::CallError;

/// The part of a call's wall-clock time in which it may wait for a sandbox. A call that gets one at the last moment has as
/// much time left as it has waited: with less, it would be stopped in the middle of a purchase, which leaves a doubt.
const WAITING_PART: u32 = 2;

/// The time limits of one call. All parts of the call draw on the same ones.
pub(super) struct Deadlines {
    wall_clock: Duration,
    /// The end of the time to wait for a sandbox.
    enter_until: Instant,
    until: Instant,
    processor: Duration,
    busy: Duration,
    /// The call's span. Every part runs in it, so that all that is logged meanwhile names the call.
    span: Span,
}

impl Deadlines {
    /// The deadlines of a call that begins now.
    pub(super) fn new(wall_clock: Duration, processor: Duration, span: Span) -> Self {
        let now = Instant::now();
        // A limit that `Instant` can't hold becomes a century.
        let after = |limit| {
            now.checked_add(limit)
                .unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
        };
        Self {
            wall_clock,
            enter_until: after(wall_clock / WAITING_PART),
            until: after(wall_clock),
            processor,
            busy: Duration::ZERO,
            span,
        }
    }

    /// Waits for the call's sandbox, within the time of the call.
    ///
    /// # Errors
    /// When there is none in time. Nothing of the call has begun then.
    pub(super) async fn wait<T>(&self, sandbox: impl Future<Output = T>) -> Result<T, CallError> {
        let sandbox = sandbox.instrument(self.span.clone());
        let waited = tokio::time::timeout_at(self.enter_until, sandbox).await;
        waited.map_err(|_| CallError::NoSandbox(self.wall_clock / WAITING_PART))
    }

    /// Runs a part of the call; what does not end in time is dropped. A guest pauses at every tick of the epoch, so
    /// that one that never waits is seen here too.
    ///
    /// # Errors
    /// When the time on the clock or on the processor is over.
    pub(super) async fn run<T>(&mut self, part: impl Future<Output = T>) -> Result<T, CallError> {
        let (processor, busy, span) = (self.processor, &mut self.busy, &self.span);
        let mut part = pin!(part);
        let measured = poll_fn(|context| {
            let start = Instant::now();
            let _entered = span.enter();
            let polled = part.as_mut().poll(context);
            *busy += start.elapsed();
            match polled {
                Poll::Ready(answer) => Poll::Ready(Ok(answer)),
                Poll::Pending if *busy > processor => Poll::Ready(Err(CallError::Busy(processor))),
                Poll::Pending => Poll::Pending,
            }
        });
        match tokio::time::timeout_at(self.until, measured).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Deadline(self.wall_clock)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    async fn work(times: u32) {
        for _ in 0..times {
            std::thread::sleep(Duration::from_millis(5));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_busy_for_too_long_is_stopped_and_what_waits_is_not() {
        let stopped = Deadlines::new(LONG, SHORT, Span::none()).run(work(1_000)).await;
        assert!(matches!(stopped, Err(CallError::Busy(SHORT))), "{stopped:?}");
        let waited = Deadlines::new(LONG, SHORT, Span::none())
            .run(tokio::time::sleep(SHORT * 3))
            .await;
        assert!(waited.is_ok(), "{waited:?}");
    }

    #[tokio::test]
    async fn what_waits_for_too_long_is_stopped() {
        let stopped = Deadlines::new(SHORT, LONG, Span::none())
            .run(std::future::pending::<()>())
            .await;
        assert!(matches!(stopped, Err(CallError::Deadline(SHORT))), "{stopped:?}");
        let forever = Deadlines::new(Duration::MAX, LONG, Span::none())
            .run(async { 1 })
            .await;
        assert!(matches!(forever, Ok(1)), "{forever:?}");
    }

    #[tokio::test]
    async fn a_call_waits_for_its_sandbox_for_half_of_its_time_and_has_the_other_half_afterwards() {
        let mut deadlines = Deadlines::new(SHORT, LONG, Span::none());
        assert_eq!(deadlines.until - deadlines.enter_until, SHORT / 2);
        let until = deadlines.until;
        let waited = deadlines.wait(std::future::pending::<()>()).await;
        assert!(
            matches!(waited, Err(CallError::NoSandbox(time)) if time == SHORT / 2),
            "{waited:?}"
        );
        assert_eq!(deadlines.until, until, "the time of the wait is not given again");
        let stopped = deadlines.run(std::future::pending::<()>()).await;
        assert!(matches!(stopped, Err(CallError::Deadline(SHORT))), "{stopped:?}");

        let mut endless = Deadlines::new(Duration::MAX, LONG, Span::none());
        let entered = endless.wait(async { 1 }).await;
        assert!(matches!(entered, Ok(1)), "{entered:?}");
        endless.enter_until = Instant::now();
        let waited = tokio::time::timeout(LONG, endless.wait(std::future::pending::<()>())).await;
        assert!(
            matches!(waited, Ok(Err(CallError::NoSandbox(_)))),
            "it ends before the time of the call: {waited:?}"
        );
    }

    #[tokio::test]
    async fn the_parts_of_a_call_have_its_times_together() {
        // A part alone is well within the limit, and both together are well beyond it, also on a busy machine.
        let part = Duration::from_millis(600);
        let busy_for_a_part = || async {
            std::thread::sleep(part);
            tokio::task::yield_now().await;
        };
        let mut deadlines = Deadlines::new(LONG, Duration::from_secs(1), Span::none());
        deadlines.run(busy_for_a_part()).await.unwrap();
        let second = deadlines.run(busy_for_a_part()).await;
        assert!(matches!(second, Err(CallError::Busy(_))), "{second:?}");
    }
}

//! Work in a task of its own: a caller that is dropped stops it and does not cut it off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use bss_sandbox::call_event::CallListener;
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::Instrument as _;

/// Tells work to stop once it is dropped.
struct StopWhenDropped(watch::Sender<bool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        let _ = self.0.send(true);
    }
}

/// Runs work in a task of its own until it ends by itself, and tells it to stop once `stop` ends. Where the caller is dropped
/// before, the work is told to stop too, and goes on until it has: a purchase under way is not cut off. `None`: the
/// runtime is shutting down.
pub(crate) async fn in_own_task<W, T>(
    stop: impl Future<Output = ()>,
    work: impl FnOnce(watch::Receiver<bool>) -> W,
) -> Option<T>
where
    W: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (stopping, stopped) = watch::channel(false);
    let stopping = StopWhenDropped(stopping);
    let mut task = tokio::spawn(work(stopped).in_current_span());
    {
        let stop = pin!(stop);
        tokio::select! {
            ended = &mut task => return joined(ended),
            () = stop => {}
        }
    }
    drop(stopping);
    joined(task.await)
}

/// The result of a task; a panic in the task continues here. `None`: the runtime is shutting down.
pub(crate) fn joined<T>(task: Result<T, JoinError>) -> Option<T> {
    match task.map_err(JoinError::try_into_panic) {
        Ok(done) => Some(done),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Waits until work is told to stop, or its owner is gone.
pub(crate) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// A listener that hears nothing.
pub(crate) fn nobody() -> CallListener {
    Arc::new(|_| ())
}

/// A listener whose panics end nothing but its hearing of that event.
pub(crate) fn shielded(listener: CallListener) -> CallListener {
    Arc::new(move |event| hear(|| listener(event)))
}

/// Tells a listener something, and survives its panic.
pub(crate) fn hear(tell: impl FnOnce()) {
    // A listener's own state is its own to keep in order.
    if catch_unwind(AssertUnwindSafe(tell)).is_err() {
        tracing::error!("a listener panicked, and did not hear of an event; the call goes on");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use bss_sandbox::call_event::CallEvent;

    use super::*;

    #[tokio::test]
    async fn work_whose_caller_is_dropped_is_told_to_stop_and_ends_by_itself() {
        let ended = Arc::new(tokio::sync::Notify::new());
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let its_end = Arc::clone(&ended);
        let caller = in_own_task(std::future::pending(), |mut stopped| async move {
            let _ = begun.send(());
            until_stopped(&mut stopped).await;
            tokio::task::yield_now().await;
            its_end.notify_one();
        });
        tokio::select! {
            _ = caller => panic!("nobody has told it to stop"),
            _ = has_begun => {}
        }
        ended.notified().await;
    }

    #[tokio::test]
    async fn work_that_ends_by_itself_returns_what_it_made() {
        assert_eq!(
            in_own_task(std::future::pending(), |_| async { 7 }).await,
            Some(7)
        );
        let stop = tokio::time::sleep(Duration::from_millis(1));
        let stopped = in_own_task(stop, |mut stopped| async move {
            until_stopped(&mut stopped).await;
            8
        });
        assert_eq!(stopped.await, Some(8));
    }

    #[test]
    fn a_listener_that_panics_ends_nothing_else() {
        let heard = Arc::new(AtomicBool::new(false));
        let its = Arc::clone(&heard);
        let listener = shielded(Arc::new(move |_| {
            its.store(true, Ordering::Relaxed);
            panic!("a listener's own defect");
        }));
        listener(CallEvent::Ended { memory_bytes: 1 });
        assert!(heard.load(Ordering::Relaxed));
    }
}

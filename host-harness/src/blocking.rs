//! Work that keeps a thread waiting, on a thread of its own.

use tokio::task::JoinError;

/// Runs work that may wait for a disk, or keep a processor busy. A panic continues in the caller.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work)
        .await
        .map_err(JoinError::try_into_panic)
    {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down: no task waits for the result any more.
        Err(Err(_)) => std::future::pending().await,
    }
}

//! Whether somebody asks the program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::{Failure, machine_failure};

/// Signals that ask the program to end. They are listened for from the start, so that none is missed between two runs.
pub(super) struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(machine_failure)?,
            terminate: signal(SignalKind::terminate()).map_err(machine_failure)?,
        })
    }

    /// Waits until a signal asks the program to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! Whether somebody asks the program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::{Failure, machine_failure};

/// Signals that ask the program to end. They are listened for from the start, so that none is missed between two runs.
pub(super) struct Interruption {
    interrupt: Signal,
    terminate: Signal,
    /// `None`: whoever started the program had it ignore hang-ups, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Interruption {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(machine_failure)?,
            terminate: signal(SignalKind::terminate()).map_err(machine_failure)?,
            hang_up: match ignores_hang_up() {
                true => None,
                false => Some(signal(SignalKind::hangup()).map_err(machine_failure)?),
            },
        })
    }

    /// Waits until a signal asks the program to end.
    pub(super) async fn asked(&mut self) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether this process ignores SIGHUP, by the mask of ignored signals that Linux shows (proc(5)). Where that can't be known,
/// hang-ups are left alone.
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 is signal 1, SIGHUP.
    mask.is_none_or(|mask| mask & 1 == 1)
}

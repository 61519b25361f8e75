//! What a service manager is told: that the worker is ready, stops, and is alive (sd_notify(3)).

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use host_harness::Pulse;
use tokio::task::JoinHandle;

use super::failure::{Failure, machine_failure};

/// The service manager, where there is one.
#[derive(Debug)]
pub(super) struct ServiceManager {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names.
    ///
    /// # Errors
    /// When its socket can't be used.
    pub(super) fn of_environment() -> Result<Self, Failure> {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = socket.map(connected).transpose().map_err(machine_failure)?;
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        // The variables may be another process's, from which this one has them.
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| is_ours && *time > 0);
        Ok(Self {
            socket: socket.map(Arc::new),
            watchdog: watchdog.map(Duration::from_micros),
        })
    }

    /// Says that the worker works.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// Says that the worker ends what is under way.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=ending what is under way");
    }

    /// Says again and again that the worker is alive, as long as its pulse beats. Drop the guard to end this.
    pub(super) fn feed(&self, pulse: &Arc<Pulse>) -> Option<Feeding> {
        let (socket, within) = (Arc::clone(self.socket.as_ref()?), self.watchdog?);
        let pulse = Arc::clone(pulse);
        Some(Feeding(tokio::spawn(async move {
            loop {
                if pulse.silent_for() < within / 2 {
                    let _ = socket.send(b"WATCHDOG=1");
                }
                tokio::time::sleep(within / 4).await;
            }
        })))
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // A manager that hears nothing acts on that.
            let _ = socket.send(state.as_bytes());
        }
    }
}

/// The task that feeds the watchdog; dropped, it ends.
#[derive(Debug)]
pub(super) struct Feeding(JoinHandle<()>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A socket that sends to a path, or to an abstract name behind an `@`.
fn connected(name: OsString) -> std::io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_without_a_pulse_is_not_called_alive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let watchdog = Duration::from_millis(400);
        manager.set_read_timeout(Some(watchdog * 2)).unwrap();
        let service = ServiceManager {
            socket: Some(Arc::new(connected(path.into()).unwrap())),
            watchdog: Some(watchdog),
        };
        // Its last beat is its making.
        let feeding = service.feed(&Arc::new(Pulse::default()));
        let heard = tokio::task::spawn_blocking(move || {
            let mut heard = 0;
            let mut datagram = [0; 64];
            while let Ok(length) = manager.recv(&mut datagram) {
                assert_eq!(&datagram[..length], b"WATCHDOG=1");
                heard += 1;
            }
            heard
        });
        let heard = heard.await.unwrap();
        drop(feeding);
        assert!((1..=4).contains(&heard), "{heard}");
    }

    #[test]
    fn an_abstract_name_is_a_socket_too() {
        let name = format!("bss-host-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        connected(format!("@{name}").into())
            .unwrap()
            .send(b"READY=1")
            .unwrap();
        let mut datagram = [0; 64];
        let length = manager.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"READY=1");
    }
}

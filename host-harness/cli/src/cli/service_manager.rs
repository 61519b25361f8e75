//! What a service manager is told: that the program is ready, stops, and is alive (sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host_harness::Pulse;
use tokio::task::JoinHandle;

use super::output;

/// The service manager, where there is one.
#[derive(Debug)]
pub(super) struct ServiceManager {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
    is_stopping: Arc<AtomicBool>,
}

impl ServiceManager {
    /// The service manager that the environment names. If its socket can't be used, it is told nothing, with a warning: the work
    /// is what counts.
    pub(super) fn of_environment() -> Self {
        let path = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        // The variables may be another process's, from which this one has them.
        let is_ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| is_ours && *time > 0);
        let socket = path.and_then(|path| match connected(&path) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                output::note(format!(
                    "warning: the service manager at `{}` can't be told anything: {error}",
                    path.display()
                ));
                None
            }
        });
        Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
            is_stopping: Arc::default(),
        }
    }

    /// Says that the program does what it is for, in a few words.
    pub(super) fn ready(&self, does: &str) {
        self.tell(&format!("READY=1\nSTATUS={does}"));
    }

    /// Says that the worker ends what is under way. How long that may take is the manager's own business.
    pub(super) fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.tell("STOPPING=1\nSTATUS=ending what is under way");
    }

    /// Says again and again that the program is alive, as long as the pulse of its worker beats or it stops. `None`: it has no
    /// worker. Drop the guard to end this.
    pub(super) fn feed(&self, pulse: Option<Arc<Pulse>>) -> Option<Feeding> {
        let (socket, within) = (Arc::clone(self.socket.as_ref()?), self.watchdog?);
        let is_stopping = Arc::clone(&self.is_stopping);
        Some(Feeding(tokio::spawn(async move {
            loop {
                let beats = pulse.as_ref().is_none_or(|pulse| pulse.silent_for() < within / 2);
                if is_stopping.load(Ordering::Relaxed) || beats {
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

/// A socket to a path, or to an abstract name, which begins with `@` in the environment (sd_notify(3)).
fn connected(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => connect_to_name(&socket, name)?,
        None => socket.connect(path)?,
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Connects a socket to an abstract name, which Linux alone has.
#[cfg(target_os = "linux")]
fn connect_to_name(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;

    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_to_name(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The task that feeds the watchdog; dropped, it ends.
#[derive(Debug)]
pub(super) struct Feeding(JoinHandle<()>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signs of life of a worker whose pulse beats no more, until there has been none for two watchdog times.
    async fn signs_of_life(is_stopping: bool) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let watchdog = Duration::from_millis(400);
        manager.set_read_timeout(Some(watchdog * 2)).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(&path).unwrap();
        let service = ServiceManager {
            socket: Some(Arc::new(socket)),
            watchdog: Some(watchdog),
            is_stopping: Arc::new(AtomicBool::new(is_stopping)),
        };
        // The last beat is the making of the pulse.
        let _feeding = service.feed(Some(Arc::new(Pulse::default())));
        let heard = move || {
            let mut datagram = [0; 64];
            let told = std::iter::from_fn(|| manager.recv(&mut datagram).ok());
            told.take(10).count()
        };
        tokio::task::spawn_blocking(heard).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_without_a_pulse_is_called_alive_only_while_it_stops() {
        assert!(signs_of_life(false).await < 10);
        assert_eq!(signs_of_life(true).await, 10);
    }
}

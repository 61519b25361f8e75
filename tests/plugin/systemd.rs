//! The worker as a service of systemd: what it tells the manager, and how it takes signals.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::send_signal;
use crate::component::{bss_host, component, initialize};

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker whose manager is the test.
struct Service {
    worker: Child,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    /// A worker that a shell starts with what is said.
    fn start_with(said: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time");
        initialize(&folder.path().join("bss"));
        let worker = Command::new("sh")
            .args(["-c", &format!(r#"{said} "$0" run --data-dir "$1""#)])
            .arg(bss_host())
            .arg(folder.path().join("bss"))
            .env("BSS_PLUGIN", component())
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "2000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the worker starts");
        Self {
            worker,
            manager,
            _folder: folder,
        }
    }

    fn told(&self) -> String {
        let mut datagram = [0; 512];
        let length = self.manager.recv(&mut datagram);
        let length = length.expect("the worker tells something");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// What is told next, but for signs of life.
    fn told_next(&self) -> String {
        std::iter::repeat_with(|| self.told())
            .find(|told| told != "WATCHDOG=1")
            .expect("it ends")
    }

    fn lives_on(&self) {
        for _ in 0..3 {
            assert_eq!(self.told(), "WATCHDOG=1");
        }
    }

    fn ends_in_order(&mut self, signal: &str) {
        send_signal(signal, &self.worker);
        assert!(self.told_next().starts_with("STOPPING=1\n"), "{signal}");
        let ended = self.worker.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0), "{signal}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

#[test]
fn a_worker_tells_its_manager_that_it_is_ready_alive_and_stopping_and_ends_in_order_for_each_signal() {
    for signal in ["TERM", "INT", "HUP"] {
        // Who runs the tests may ignore hang-ups, as nohup(1) does.
        let mut service = Service::start_with("exec env --default-signal=HUP");
        assert!(service.told_next().starts_with("READY=1\nSTATUS="), "{signal}");
        service.lives_on();
        service.ends_in_order(signal);
    }
}

#[test]
fn a_worker_that_was_started_to_ignore_hang_ups_goes_on_after_one() {
    let mut service = Service::start_with("trap '' HUP; exec");
    service.told_next();
    send_signal("HUP", &service.worker);
    service.lives_on();
    service.ends_in_order("TERM");
}

#[test]
fn a_worker_whose_manager_can_not_be_told_anything_works_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    initialize(&folder.path().join("bss"));
    let worked = Command::new(bss_host())
        .args(["run", "--once", "--data-dir"])
        .arg(folder.path().join("bss"))
        .env("BSS_PLUGIN", component())
        .env("NOTIFY_SOCKET", folder.path().join("nobody"))
        .output()
        .expect("the worker runs");
    let said = String::from_utf8_lossy(&worked.stderr).into_owned();
    assert_eq!(worked.status.code(), Some(0), "{said}");
    assert!(
        said.contains("warning: the service manager") && said.contains("nobody"),
        "{said}"
    );
}

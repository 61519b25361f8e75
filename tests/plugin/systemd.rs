//! The worker as a service of systemd: what it tells the manager, how it takes signals, and the units.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::send_signal;
use crate::component::{bss_host, component};

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker whose manager is the test.
struct Service {
    worker: Child,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time");
        let worker = Command::new(bss_host())
            .arg("run")
            .arg("--data-dir")
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
        let length = self
            .manager
            .recv(&mut datagram)
            .expect("the worker tells something");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// What is told next, but for signs of life.
    fn told_next(&self) -> String {
        loop {
            let told = self.told();
            if told != "WATCHDOG=1" {
                return told;
            }
        }
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
        let mut service = Service::start();
        assert!(service.told_next().starts_with("READY=1\nSTATUS="), "{signal}");
        for _ in 0..3 {
            assert_eq!(service.told(), "WATCHDOG=1", "{signal}");
        }
        send_signal(signal, &service.worker);
        assert!(service.told_next().starts_with("STOPPING=1\n"), "{signal}");
        let ended = service.worker.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0), "{signal}");
    }
}

#[test]
fn a_stopped_process_is_silent_so_that_its_manager_kills_it() {
    let service = Service::start();
    service.told_next();
    send_signal("STOP", &service.worker);
    service
        .manager
        .set_read_timeout(Some(Duration::from_secs(3)))
        .expect("a time");
    let mut datagram = [0; 64];
    // What was sent before is still heard.
    let heard = std::iter::from_fn(|| service.manager.recv(&mut datagram).ok()).count();
    assert!(heard <= 4, "{heard}");
}

#[test]
fn systemd_takes_the_units_and_calls_them_little_exposed() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let mut names = Vec::new();
    for unit in std::fs::read_dir(&units).expect("units") {
        let unit = unit.expect("a unit").path();
        let name = unit.file_name().expect("a name").to_string_lossy().into_owned();
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .arg("--man=no")
            .arg(&unit)
            .output();
        let verified = verified.expect("systemd-analyze runs");
        let told = String::from_utf8_lossy(&verified.stderr);
        // The program is not installed where this is tested.
        let faults: Vec<_> = told
            .lines()
            .filter(|line| !line.contains("is not executable"))
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        if name.ends_with(".service") {
            let exposure = Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--threshold=15"])
                .arg(&unit)
                .output()
                .expect("systemd-analyze runs");
            assert!(
                exposure.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&exposure.stdout)
            );
        }
        names.push(name);
    }
    assert_eq!(names.len(), 5, "{names:?}");
}

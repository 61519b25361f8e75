//! Processes: what a server has started, and signals.

use std::fs;
use std::io;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a process is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// The process of a child.
pub(crate) fn pid(child: &Child) -> io::Result<Pid> {
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    raw.ok_or_else(|| io::Error::other("a child without a process"))
}

/// Sends a signal. A process that is gone has had its end.
pub(crate) fn signal(process: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to a child. One that has ended gets none: its number may be another process's by now.
pub(crate) fn signal_child(child: &mut Child, with: Signal) -> io::Result<()> {
    match child.try_wait()? {
        Some(_) => Ok(()),
        None => signal(pid(child)?, with),
    }
}

/// Waits until a child has ended. `false`: it has not in that time.
pub(crate) fn ends_within(child: &mut Child, time: Duration) -> io::Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(LOOK);
    }
    Ok(false)
}

/// Kills a server with all of its processes at once, as a power cut does. Each of these is the leader of a process group of its
/// own, so that they are looked up: on Linux, where `/proc` is. Elsewhere they end by themselves once they miss the first one.
pub(crate) fn kill_all(server: &mut Child) -> io::Result<()> {
    if server.try_wait()?.is_some() {
        return Ok(());
    }
    // A stopped postmaster starts no more of them meanwhile.
    signal_child(server, Signal::STOP)?;
    for process in children(pid(server)?) {
        signal(process, Signal::KILL)?;
    }
    signal_child(server, Signal::KILL)?;
    server.wait().map(drop)
}

/// The processes that a process has started and that have not ended.
pub(crate) fn children(of: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let processes = processes.filter_map(Pid::from_raw);
    processes.filter(|&process| parent(process) == Some(of)).collect()
}

fn parent(process: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(parent.trim().parse().ok()?)
}

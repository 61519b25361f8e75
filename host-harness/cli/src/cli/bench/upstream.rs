//! The upstream of a benchmark as a process of its own, so that its memory and its threads are not the product's.
//!
//! Each line on its standard input is a command, and is answered with a line on its standard output.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use bss_bench::{BenchError, Ports, SeenByCertificate, ServerIdentity, Upstream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::output;
use super::program::this_program;

/// Asks for what was seen, and changes nothing.
const SEEN: &str = "seen";
/// Has connections closed after an answer from now on.
const CLOSE: &str = "close";
/// Has connections kept from now on.
const KEEP: &str = "keep";

/// A running upstream; dropped, it ends.
pub(super) struct UpstreamProcess {
    child: Child,
    told: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    ports: Ports,
}

impl UpstreamProcess {
    pub(super) fn start(identity: &ServerIdentity) -> Result<Self, BenchError> {
        let mut child = this_program(&["bench", "upstream"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                BenchError::unusable(format!(
                    "the benchmark's server process can't be started: {error}"
                ))
            })?;
        let told = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(silent)?;
        let mut upstream = Self {
            child,
            told,
            answers: BufReader::new(stdout).lines(),
            ports: Ports { service: 0, login: 0 },
        };
        let identity = serde_json::to_string(identity).map_err(|_| silent())?;
        upstream.ports = upstream.tell(&identity)?;
        Ok(upstream)
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// Requests and connections that the upstream has seen since it was started.
    pub(super) fn seen(&mut self) -> Result<SeenByCertificate, BenchError> {
        self.tell(SEEN)
    }

    /// Has the upstream close each connection after an answer from now on, or keep them.
    pub(super) fn close_after_answers(&mut self, closes: bool) -> Result<(), BenchError> {
        self.tell::<SeenByCertificate>(if closes { CLOSE } else { KEEP })
            .map(drop)
    }

    fn tell<Answer: DeserializeOwned>(&mut self, line: &str) -> Result<Answer, BenchError> {
        let told = self.told.as_mut().ok_or_else(silent)?;
        writeln!(told, "{line}").map_err(|_| silent())?;
        let answer = self.answers.next().and_then(Result::ok).ok_or_else(silent)?;
        serde_json::from_str(&answer).map_err(|_| silent())
    }
}

impl Drop for UpstreamProcess {
    fn drop(&mut self) {
        // The upstream ends with its standard input.
        drop(self.told.take());
        let _ = self.child.wait();
    }
}

fn silent() -> BenchError {
    BenchError::unusable("the benchmark's server process does not answer")
}

/// Runs the upstream until the standard input ends.
pub(super) async fn run() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Handle::current();
    let listening = tokio::task::spawn_blocking(move || {
        let mut lines = std::io::stdin().lines().map_while(Result::ok);
        let identity = lines.next().unwrap_or_default();
        let identity: ServerIdentity = serde_json::from_str(&identity).map_err(|_| {
            BenchError::unusable("the first line of the standard input is not a server's identity")
        })?;
        let upstream = runtime.block_on(Upstream::start(&identity))?;
        answer(&upstream.ports());
        for line in lines {
            if [CLOSE, KEEP].contains(&line.as_str()) {
                upstream.close_after_answers(line == CLOSE);
            }
            answer(&upstream.seen());
        }
        Ok(())
    });
    listening
        .await
        .map_err(|error| BenchError::unusable(error.to_string()))?
}

fn answer(value: &impl Serialize) {
    output::line(serde_json::to_string(value).unwrap_or_default());
}

//! A process that ends a server when the program that started it ends, however that ends.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

/// Waits for a line, or for the end of the program, which closes the pipe. Then the server ends without saving anything, and
/// its directory is removed. `$1`: the server's process. `$2`: the directory.
const SCRIPT: &str = r#"
read -r told && exit
kill -CONT "$1"
kill -QUIT "$1"
tries=0
while kill -0 "$1" && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -KILL "$1"
rm -rf "$2"
"#;

/// The process that waits. A server that is in a static is never dropped, and a program that is killed drops nothing.
#[derive(Debug)]
pub(crate) struct Watchdog {
    waiting: Child,
}

impl Watchdog {
    /// Watches over a server, and its directory.
    pub(crate) fn over(server: Pid, directory: &Path) -> io::Result<Self> {
        let waiting = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(server.as_raw_nonzero().to_string())
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends the program from a terminal or a test runner does not end this.
            .process_group(0)
            .spawn()?;
        Ok(Self { waiting })
    }

    /// Ends the watch, and leaves the server as it is.
    pub(crate) fn dismiss(mut self) -> io::Result<()> {
        if let Some(mut pipe) = self.waiting.stdin.take() {
            pipe.write_all(b"done\n")?;
        }
        self.waiting.wait().map(drop)
    }
}

//! The operator's command that is run for each alert.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bss_keys::HOST_KEY_VARIABLE;
use host_harness::{AlertListener, view};

use super::failure::{Failure, unreadable};
use super::input::PFX_CODE_VARIABLE;
use super::mail::PASSWORD_VARIABLE;

/// How long the command may take for one alert. What waits for a person, or for a server that is silent, is ended.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The interval in which it is seen whether the command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Makes a listener that runs a command for each alert, without a shell: the alert is one line of JSON on its standard input, as
/// `alert list --json` shows it, and `BSS_ALERT_NUMBER` and `BSS_ALERT_KIND` are in its environment.
pub(super) fn listener(command: &Path) -> Result<AlertListener, Failure> {
    // Said at the start, and not when the first alert is lost.
    let file = std::fs::canonicalize(command)
        .map_err(|error| unreadable(&format!("the command `{}`", command.display()), &error))?;
    Ok(AlertListener::new(move |alert| tell(file.clone(), alert)))
}

async fn tell(command: PathBuf, alert: view::Alert) -> Result<(), String> {
    let shown = command.display().to_string();
    let ran = tokio::task::spawn_blocking(move || run(&command, &alert));
    match ran.await {
        Ok(ran) => ran.map_err(|why| format!("`{shown}` {why}")),
        Err(error) => Err(format!("`{shown}` was lost: {error}")),
    }
}

/// Runs the command to its end, or to the end of its time.
fn run(command: &Path, alert: &view::Alert) -> Result<(), String> {
    let line = serde_json::to_string(alert).map_err(|error| error.to_string())?;
    let mut child = Command::new(command)
        .env("BSS_ALERT_NUMBER", alert.number.to_string())
        .env("BSS_ALERT_KIND", &alert.kind)
        // The host's own secrets are none of its business.
        .env_remove(HOST_KEY_VARIABLE)
        .env_remove(PFX_CODE_VARIABLE)
        .env_remove(PASSWORD_VARIABLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("can't be run: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read closes the pipe, which is no failure; and an alert is shorter than a pipe is long.
        let _ = input.write_all(format!("{line}\n").as_bytes());
    }
    match ended(&mut child) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("ended with {status}")),
        Ok(None) => Err(format!(
            "was still at work after {} seconds, and was ended",
            TIME_LIMIT.as_secs()
        )),
        Err(error) => Err(format!("was lost: {error}")),
    }
}

/// Waits for the end of a command. `None`: its time was over, and it was ended.
fn ended(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > TIME_LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

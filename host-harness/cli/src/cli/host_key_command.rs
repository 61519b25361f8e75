//! The operator's command that prints the host key, such as a client of a vault.

use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bss_keys::{HOST_KEY_VARIABLE, KEYS_TEXT_BYTES_MAX};
use bss_model::ErrorKind;
use host_harness::HostKey;
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::input::PFX_CODE_VARIABLE;
use super::mail::PASSWORD_VARIABLE;

/// How long the command may take. What is silent for longer is ended.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The interval in which it is seen whether the command has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What a shell would not take as it stands.
const OF_SHELLS: &str = "'\"`\\$|;&<>()*?[]{}~#!";

/// A command: a program, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostKeyCommand {
    program: String,
    arguments: Vec<String>,
}

impl fmt::Display for HostKeyCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may say where a secret is, so they are not shown.
        write!(formatter, "the host key command `{}`", self.program)
    }
}

impl HostKeyCommand {
    /// A command's program and arguments, which blanks part. No shell reads them: what one would not take as it stands is
    /// refused, instead of being taken for something else than its author meant.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = |message: String| {
            Failure::new(ErrorKind::Invalid, "host-key-command-invalid", message).hint(
                "name a program and its arguments, parted by blanks; write what needs more into a script, and name that",
            )
        };
        let text = text.trim();
        if let Some(character) = text.chars().find(|character| is_for_shells(*character)) {
            return Err(invalid(format!(
                "the host key command holds `{character}`, and no shell is there to read it"
            )));
        }
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words
            .next()
            .ok_or_else(|| invalid("the host key command is empty".to_owned()))?;
        if program.contains('=') {
            // What follows may be a secret, so that it is not repeated.
            return Err(invalid(
                "the host key command begins with a variable, which only a shell would set".to_owned(),
            ));
        }
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }

    /// Runs the command to its end, or to the end of its time, and takes what it prints for the host key. What it writes on its
    /// standard error is shown; what it prints is not, whatever happens.
    pub(super) fn run(&self) -> Result<HostKey, Failure> {
        self.run_within(TIME_LIMIT)
    }

    fn run_within(&self, limit: Duration) -> Result<HostKey, Failure> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // The host's other secrets are none of its business.
            .env_remove(HOST_KEY_VARIABLE)
            .env_remove(PFX_CODE_VARIABLE)
            .env_remove(PASSWORD_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // With whatever it starts, so that all of it can be ended.
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(&format!("can't be run: {error}")))?;
        let printed = printed(&mut child, limit);
        let text = printed.map_err(|why| self.failed(&why))?;
        let not_a_key = || self.failed("printed something else than text");
        let text = std::str::from_utf8(&text).map_err(|_| not_a_key())?;
        Ok(HostKey::from_base64(
            text,
            &format!("output of {}", self.program),
        )?)
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::new(
            ErrorKind::Unavailable,
            "host-key-command-failed",
            format!("{self} {why}"),
        )
    }
}

fn is_for_shells(character: char) -> bool {
    let is_blank = [' ', '\t'].contains(&character);
    OF_SHELLS.contains(character) || (!is_blank && (character.is_control() || character.is_whitespace()))
}

/// What a command prints until it ends well; or why it did not.
fn printed(child: &mut Child, limit: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let until = Instant::now() + limit;
    let printed = read_until(child.stdout.take(), limit);
    // Whatever it printed, it is not left running.
    let ended = match &printed {
        Ok(_) => ended(child, until),
        Err(_) => end(child).map(|()| None),
    };
    let text = printed?;
    match ended {
        Ok(Some(status)) if status.success() => Ok(text),
        Ok(Some(status)) => Err(format!("ended with {status}")),
        Ok(None) => Err(out_of_time(limit)),
        Err(error) => Err(format!("was lost: {error}")),
    }
}

/// Reads to the end of a command's output, in a thread of its own: a program that the command has started may keep it open.
fn read_until(output: Option<ChildStdout>, limit: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Sending fails once the time is over, when nobody listens any more.
        let _ = sender.send(output.map_or_else(|| Ok(Zeroizing::default()), read));
    });
    match receiver.recv_timeout(limit) {
        Ok(Ok(text)) if text.len() > KEYS_TEXT_BYTES_MAX => Err(format!(
            "printed more than {KEYS_TEXT_BYTES_MAX} bytes, which is no host key"
        )),
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(format!("could not be heard: {error}")),
        Err(_) => Err(out_of_time(limit)),
    }
}

fn read(output: ChildStdout) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it, so that no copy stays behind when it grows.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * KEYS_TEXT_BYTES_MAX));
    let bytes_max = u64::try_from(KEYS_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    output.take(bytes_max.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}

fn out_of_time(limit: Duration) -> String {
    format!(
        "was still at work after {} seconds, and was ended",
        limit.as_secs()
    )
}

/// Waits for the end of a command. `None`: its time was over, and it was ended.
fn ended(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            return end(child).map(|()| None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Ends a command and what it has started.
fn end(child: &mut Child) -> io::Result<()> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Where nothing of the group is left, there is nothing to be ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.kill()?;
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> HostKeyCommand {
        HostKeyCommand::parse(text).unwrap_or_else(|failure| panic!("{:?}", failure.lines()))
    }

    /// A program that runs these lines.
    fn script(folder: &Path, lines: &str) -> HostKeyCommand {
        let file = folder.join("print-key");
        std::fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        parsed(file.to_str().unwrap())
    }

    fn refused(text: &str) -> String {
        let failure = HostKeyCommand::parse(text).unwrap_err();
        failure.lines().join("\n")
    }

    #[test]
    fn a_command_is_its_words_and_nothing_that_a_shell_would_read_otherwise_is_taken() {
        let command = parsed(" vault kv  get\t-field=key secret/bss-host\n");
        assert_eq!(command.program, "vault");
        assert_eq!(command.arguments, ["kv", "get", "-field=key", "secret/bss-host"]);
        for text in ["", "  "] {
            assert!(refused(text).contains("is empty"));
        }
        for text in [
            "VAULT_TOKEN=hidden vault kv get",
            "vault\nhidden",
            "vault\u{a0}hidden",
        ] {
            let said = refused(text);
            assert!(said.contains("script") && !said.contains("hidden"), "{said}");
        }
        for character in OF_SHELLS.chars().chain(['\0', '\u{1b}']) {
            let said = refused(&format!("vault hidden{character}"));
            assert!(said.contains("script") && !said.contains("hidden"), "{said}");
        }
    }

    #[test]
    fn what_the_command_prints_is_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = HostKey::generate().unwrap();
        let lines = format!("echo {}", key.to_base64().expose());
        let read = script(folder.path(), &lines).run().unwrap_or_else(|_| panic!());
        assert!(read.is_same(&key));
    }

    #[test]
    fn nothing_that_a_failing_command_printed_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(KEYS_TEXT_BYTES_MAX + 1);
        for (lines, saying) in [
            ("echo hidden; exit 3".to_owned(), "exit status: 3"),
            ("echo hidden".to_owned(), "does not hold a host key"),
            ("printf '\\377'".to_owned(), "something else than text"),
            ("".to_owned(), "does not hold a host key"),
            (format!("echo {long}"), "more than 1024 bytes"),
        ] {
            let Err(failure) = script(folder.path(), &lines).run() else {
                panic!("{lines}");
            };
            let said = failure.lines().join("\n");
            assert!(said.contains(saying), "{said}");
            assert!(!said.contains("hidden") && !said.contains("xxx"), "{said}");
        }
        let missing = parsed("/nowhere/print-key");
        let said = missing.run().map(drop).unwrap_err().lines().join("\n");
        assert!(said.contains("can't be run"), "{said}");
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_whether_it_is_silent_or_has_printed_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = HostKey::generate().unwrap();
        let printed = format!("echo {}; exec 1>&-; exec sleep 20", key.to_base64().expose());
        // The program that it has started keeps the output open, and is ended with it.
        let started = folder.path().join("started");
        let starts = format!("sleep 20 & echo $! > {}; wait", started.display());
        for lines in ["exec sleep 20", &starts, &printed] {
            let begun = Instant::now();
            let ran = script(folder.path(), lines).run_within(Duration::from_secs(1));
            let said = ran.map(drop).unwrap_err().lines().join("\n");
            assert!(said.contains("still at work after 1 seconds"), "{said}");
            assert!(begun.elapsed() < Duration::from_secs(15), "{lines}");
        }
        let started = std::fs::read_to_string(&started).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", started.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

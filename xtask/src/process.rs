//! Runs other programs, and reports their failures readably.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that runs us, so that nested builds use the same one.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // A value left over from a build script or an outer cargo would override a target's own flags and
    // compile everything a second time.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// The compiler that cargo uses.
pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")))
}

/// Runs a program to its end. Its stdout goes to our stderr: our stdout is for results.
///
/// # Errors
/// The program could not be started, or did not succeed; the message has its command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdout(io::stderr())
        .status()
        .with_context(|| not_started(command))?;
    check(command, status)
}

/// Runs a program to its end with our own stdout, and answers with its exit code.
///
/// # Errors
/// The program could not be started, or was ended by a signal.
pub(crate) fn exit_code(command: &mut Command) -> Result<u8> {
    let status = command.status().with_context(|| not_started(command))?;
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Ok(code),
        None => bail!("`{}` was ended by a signal ({status})", shown(command)),
    }
}

/// Runs a program and passes on every line of its stdout, which `observe` sees first.
///
/// # Errors
/// The program could not be started, or did not succeed.
pub(crate) fn run_observed(command: &mut Command, mut observe: impl FnMut(&str)) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| not_started(command))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        let unread = || format!("the output of `{}` can't be read", shown(command));
        while reader.read_until(b'\n', &mut line).with_context(unread)? > 0 {
            let text = String::from_utf8_lossy(&line);
            observe(&text);
            print!("{text}");
            line.clear();
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("the end of `{}` can't be waited for", shown(command)))?;
    check(command, status)
}

/// Runs a program and answers with its stdout; its stderr is in the error when it fails.
///
/// # Errors
/// The program could not be started, did not succeed, or wrote something that is not UTF-8.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    if !status.success() {
        bail!(
            "`{}` failed ({status}): {}",
            shown(command),
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    String::from_utf8(stdout).with_context(|| format!("the output of `{}` is not UTF-8", shown(command)))
}

/// Whether a program can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command line, as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("`{}` failed ({status})", shown(command))
    }
}

fn not_started(command: &Command) -> String {
    format!(
        "`{}` could not be started",
        command.get_program().to_string_lossy()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`no-such-program-here` could not be started"),
            "{error}"
        );
        assert!(!succeeds(&mut Command::new("no-such-program-here")));
    }

    #[test]
    fn a_failure_has_the_command_line_and_what_was_said() {
        let error = stdout(rustc().arg("--no-such-option")).unwrap_err().to_string();
        assert!(
            error.contains("rustc --no-such-option") && error.contains("no-such-option"),
            "{error}"
        );
    }

    #[test]
    fn the_exit_code_is_passed_on() {
        assert_eq!(
            exit_code(rustc().arg("--version").stdout(Stdio::null())).unwrap(),
            0
        );
        assert_eq!(
            exit_code(rustc().arg("--no-such-option").stderr(Stdio::null())).unwrap(),
            1
        );
    }
}

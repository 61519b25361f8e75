//! Other people's readers of what we write, and our readers of what others write.

mod api;
mod definition;
mod interworks;
mod jwt;
mod manual;
mod openapi;
mod pfx;
mod shells;
mod units;
mod webhooks;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The folder with the Python environment of `tests/interop/requirements.txt`, and redocly.
fn tools() -> PathBuf {
    std::env::var_os("INTEROP_TOOLS")
        .map(PathBuf::from)
        .expect("INTEROP_TOOLS names a folder. Hint: `cargo xtask interop readers` makes it")
}

/// A program of the Python environment.
fn program(name: &str) -> Command {
    let file = tools().join("venv/bin").join(name);
    assert!(
        file.is_file(),
        "`{name}` is not installed. Hint: `cargo xtask interop readers` does it"
    );
    Command::new(file)
}

/// A file of this folder.
fn own(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/interop/readers").join(name)
}

/// Runs one of our scripts in the Python environment, on an input.
fn python(script: &str, arguments: &[&str], input: &str) -> Output {
    fed(
        program("python").arg("-B").arg(own(script)).args(arguments),
        input,
    )
}

/// Runs a program on an input, and returns what it says.
fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("the program reads");
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// The complaint of a program that must have failed.
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "nothing is wrong: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

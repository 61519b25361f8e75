//! The completions of `bss-host`, in the shells that they are for.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::component::bss_host;

/// What somebody types, and what it is after a tabulator: a command, a command of a command, an option.
const TYPED: [(&str, &str); 3] = [
    ("cus", "customer"),
    ("order withd", "order withdraw"),
    ("order list --curs", "order list --curs"),
];

/// Types a line and a tabulator into a zsh on a terminal of its own, in which `bss-host` is a function that says with what it was
/// called.
const IN_ZSH: &str = r#"
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D; bss-host() { print -r -- called-\"with:\$*:\" }; print loa\"ded\""
    zpty -r shell said '*loaded*'
    zpty -w -n shell "bss-host $2"$'\t\n'
    zpty -r shell said '*called-with:*:*'
    print -r -- ${${said##*called-with:}%%:*}
"#;

/// A folder with the completions of a shell, under the name that it looks for.
fn completions(shell: &str, name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let written = Command::new(bss_host())
        .args(["completions", shell])
        .output()
        .expect("it runs");
    assert!(written.status.success(), "{written:?}");
    std::fs::write(folder.path().join(name), written.stdout).expect("it is saved");
    folder
}

fn text(output: &Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a line is completed to in zsh.
fn in_zsh(folder: &Path, line: &str) -> String {
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "-c", IN_ZSH, "zsh"])
        .arg(folder)
        .arg(line);
    text(&zsh.output().expect("zsh runs"))
}

/// The first word that fish offers for the end of a line, on its own.
fn in_fish(folder: &Path, line: &str) -> String {
    let script = "source $argv[1]/bss-host.fish; complete -C \"bss-host $argv[2]\"";
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", script]).arg(folder).arg(line);
    let offered = text(&fish.output().expect("fish runs"));
    let first = offered.split(['\t', '\n']).next();
    first.unwrap_or_default().to_owned()
}

#[test]
fn zsh_completes_commands_and_options() {
    let folder = completions("zsh", "_bss-host");
    for (typed, expected) in TYPED {
        assert_eq!(in_zsh(folder.path(), typed), expected, "{typed}");
    }
    assert_eq!(
        in_zsh(folder.path(), "order list --custo"),
        "order list --customer"
    );
}

#[test]
fn fish_completes_commands_and_options_and_the_words_of_a_state() {
    let folder = completions("fish", "bss-host.fish");
    for (typed, expected) in TYPED {
        let last = expected.rsplit(' ').next().unwrap_or_default();
        let offered = in_fish(folder.path(), typed);
        match typed.contains("--curs") {
            true => assert_eq!(offered, "", "{typed}"),
            false => assert_eq!(offered, last, "{typed}"),
        }
    }
    assert_eq!(in_fish(folder.path(), "order list --custo"), "--customer");
    assert_eq!(in_fish(folder.path(), "order list --state wi"), "withdrawn");
}

#[test]
fn completions_that_are_not_loaded_complete_nothing() {
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(in_zsh(empty.path(), "cus"), "cus");
    std::fs::write(empty.path().join("bss-host.fish"), "").expect("a file");
    assert_eq!(in_fish(empty.path(), "order withd"), "");
}

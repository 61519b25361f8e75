//! Settings of a machine, completions and manual pages, as a user has them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cli::assert_fails;
use crate::component::bss_host;
use crate::scenario::{DONE, NO_ANSWER, REFUSED, USAGE, assert_ends};

/// The program where the environment has nothing of a user's own, with the folder as the user's.
fn program(home: &Path) -> Command {
    let mut program = Command::new(bss_host());
    program.env_clear().env("HOME", home);
    program
}

fn show(program: &mut Command) -> Output {
    program
        .args(["config", "show", "--json"])
        .output()
        .expect("it runs")
}

fn of(shown: &Output, setting: &str) -> Value {
    assert_ends(shown, DONE);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("one line of JSON");
    let settings = shown["settings"].as_array().expect("settings");
    let found = settings.iter().find(|shown| shown["setting"] == setting);
    found.expect("the setting").clone()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
    std::fs::write(path, text).expect("it is written");
}

#[test]
fn the_command_line_wins_over_the_environment_the_environment_over_the_file_and_the_file_over_the_default() {
    let home = tempfile::tempdir().expect("a folder");
    let data_dir = |shown: &Output| {
        let shown = of(shown, "data-dir");
        [&shown["value"], &shown["source"]].map(|text| text.as_str().expect("text").to_owned())
    };
    let said = |value: &str, source: &str| [value.to_owned(), source.to_owned()];
    assert_eq!(
        data_dir(&show(&mut program(home.path()))),
        said("bss-data", "default")
    );

    let usual = home.path().join(".config/bss-host/config.toml");
    write(&usual, "\ndata-dir = \"data\"\n");
    let beside = usual.with_file_name("data").display().to_string();
    let shown = show(&mut program(home.path()));
    assert_eq!(data_dir(&shown), said(&beside, "file"));
    assert_eq!(of(&shown, "data-dir")["line"], 2);

    let shown = show(program(home.path()).env("BSS_DATA_DIR", "/of-environment"));
    assert_eq!(data_dir(&shown), said("/of-environment", "environment"));
    assert_eq!(of(&shown, "data-dir")["variable"], "BSS_DATA_DIR");

    let shown = show(
        program(home.path())
            .env("BSS_DATA_DIR", "/of-environment")
            .args(["--data-dir", "/of-line"]),
    );
    assert_eq!(data_dir(&shown), said("/of-line", "command-line"));
}

#[test]
fn the_named_file_is_the_one_that_is_read_and_one_that_is_not_there_is_an_error() {
    let home = tempfile::tempdir().expect("a folder");
    write(
        &home.path().join(".config/bss-host/config.toml"),
        "log = \"error\"\n",
    );
    let [of_variable, of_line] = ["a.toml", "b.toml"].map(|name| home.path().join(name));
    write(&of_variable, "log = \"info\"\n");
    write(&of_line, "log = \"debug\"\n");
    let log = |program: &mut Command| of(&show(program), "log")["value"].clone();
    assert_eq!(log(&mut program(home.path())), "error");
    assert_eq!(log(program(home.path()).env("BSS_CONFIG", &of_variable)), "info");
    let mut both = program(home.path());
    both.env("BSS_CONFIG", &of_variable).arg("--config").arg(&of_line);
    assert_eq!(log(&mut both), "debug");

    let missing = program(home.path())
        .args(["status", "--config", "/nowhere.toml"])
        .output();
    assert_fails(&missing.expect("it runs"), REFUSED, &["/nowhere.toml"]);
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_line_before_anything_is_opened() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("config.toml");
    for (text, saying) in [
        (
            "data-dir = \"data\"\n[run]\nat-onze = 3\n",
            ["line 3", "`run.at-once`"],
        ),
        (
            "data-dir = \"data\"\nrun.at-once = 900\n",
            ["line 2", "a number from 1 to"],
        ),
        (
            "data-dir = \"data\"\nproxy = \"socks5://u:hidden@h:1\"\n",
            ["line 2", "`proxy`"],
        ),
        (
            "data-dir = \"data\"\n\nlog-format = \"xml\"\n",
            ["line 3", "`log-format`"],
        ),
        ("data-dir = \"data\"\nlog = \"debug", ["line 2", "config.toml"]),
        (
            "data-dir = \"data\"\nlog = true\n",
            ["line 2", "text is expected"],
        ),
    ] {
        write(&file, text);
        let ran = program(home.path())
            .args(["run", "--once", "--config"])
            .arg(&file)
            .output();
        let ran = ran.expect("it runs");
        assert_fails(&ran, REFUSED, &saying);
        assert!(
            !String::from_utf8_lossy(&ran.stderr).contains("hidden"),
            "{ran:?}"
        );
        assert!(!home.path().join("data").exists(), "{text}");
    }
    // What only the worker looks at is told before it starts.
    write(&file, "run.at-once = 900\n");
    let shown = show(program(home.path()).env("BSS_CONFIG", &file));
    assert_fails(&shown, REFUSED, &["line 1", "`run.at-once`"]);
    let mut of_variable = program(home.path());
    of_variable.args(["run", "--once"]).env("BSS_RUN_AT_ONCE", "none");
    assert_fails(
        &of_variable.output().expect("it runs"),
        USAGE,
        &["`BSS_RUN_AT_ONCE`"],
    );
    // Help is given whatever the file says.
    let help = program(home.path())
        .args(["--help", "--config"])
        .arg(&file)
        .output();
    assert_ends(&help.expect("it runs"), DONE);
}

#[test]
fn the_file_says_where_the_record_is_and_where_its_key_is_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("config.toml");
    write(
        &file,
        "data-dir = \"data\"\nhost-key-file = \"credentials/host-key\"\n",
    );
    let key = home.path().join("credentials/host-key");
    write(&key, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\n");
    let ran = |command: &[&str]| {
        let mut ran = program(home.path());
        ran.args(command).arg("--config").arg(&file);
        ran.output().expect("it runs")
    };
    let status = || ran(&["certificate", "list"]);
    set_mode(&key, 0o644);
    assert_fails(&ran(&["init"]), NO_ANSWER, &["credentials/host-key"]);
    // As systemd leaves it: an access list's mask stands where the group's bits are.
    set_mode(&key, 0o440);
    assert_ends(&ran(&["init"]), DONE);
    assert_ends(&status(), DONE);
    assert_ends(&ran(&["record", "show"]), DONE);
    assert!(home.path().join("data/record.db").exists());
    assert!(!home.path().join("data/host.key").exists());
    // No other key opens what this one has sealed.
    std::fs::remove_file(&key).expect("it is removed");
    assert_fails(&status(), NO_ANSWER, &["credentials/host-key"]);
    assert!(!key.exists());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("the mode is set");
}

#[test]
fn no_password_of_a_proxy_or_a_collector_is_shown() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("config.toml");
    write(
        &file,
        "proxy = \"http://u:hidden@proxy.test:3128\"\notlp = \"http://u:hidden@otlp.test\"\n",
    );
    for json in [&["--json"][..], &[]] {
        let mut shown = program(home.path());
        shown.args(["config", "show", "--config"]).arg(&file).args(json);
        let shown = shown.output().expect("it runs");
        assert_ends(&shown, DONE);
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(
            text.contains("proxy.test:3128") && !text.contains("hidden"),
            "{text}"
        );
    }
}

#[test]
fn completions_load_in_bash_and_complete_a_command() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("completions");
    let written = program(home.path()).args(["completions", "bash"]).output();
    let written = written.expect("it runs");
    assert_ends(&written, DONE);
    std::fs::write(&file, written.stdout).expect("it is saved");
    let script = r#"source "$1"; [[ "$(complete -p bss-host)" =~ -F\ ([^ ]+) ]]
        COMP_WORDS=(bss-host comp) COMP_CWORD=1; "${BASH_REMATCH[1]}" bss-host comp bss-host; echo "${COMPREPLY[@]}""#;
    let completed = Command::new("bash")
        .args(["-uec", script, "bash"])
        .arg(&file)
        .output();
    let completed = completed.expect("bash runs");
    assert_eq!(
        String::from_utf8_lossy(&completed.stdout).trim(),
        "completions",
        "{completed:?}"
    );
    for shell in ["zsh", "fish"] {
        let written = program(home.path())
            .args(["completions", shell])
            .output()
            .expect("it runs");
        assert_ends(&written, DONE);
        assert!(
            String::from_utf8_lossy(&written.stdout).contains("acknowledge"),
            "{shell}"
        );
    }
    let unknown = program(home.path()).args(["completions", "cmd"]).output();
    assert_fails(&unknown.expect("it runs"), USAGE, &["bash"]);
}

//! Host keys, as an operator has them: made, rotated, and from where they come.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::cli::assert_fails;
use crate::component::bss_host;
use crate::record_cli::{assert_says, refused, shown, text, told};
use crate::scenario::{DONE, NO_ANSWER, REFUSED, assert_ends, result};

const DATA_DIR: &str = "bss";

/// Makes a new key in a file, and returns its id and its text.
fn new_key(folder: &Path, file: &str) -> (String, String) {
    let made = told(folder, DATA_DIR, &["key", "new", "--out", file]);
    assert_eq!(made["key"], Value::Null, "{made}");
    let file = folder.join(file);
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(file).expect("the key");
    (text(&made["id"]).to_owned(), key.trim().to_owned())
}

/// Writes the keys that the data directory's file holds from now on.
fn hold(folder: &Path, keys: &[&str]) {
    let file = folder.join(DATA_DIR).join("host.key");
    std::fs::write(file, keys.join("\n")).expect("the file is written");
}

/// Makes a record with a certificate of its own, and returns its host key.
fn record_with_a_certificate(folder: &Path) -> String {
    told(folder, DATA_DIR, &["init"]);
    let made = ["certificate", "new", "--name", "esd", "--out", "esd.pem"];
    shown(folder, DATA_DIR, &made);
    let key = std::fs::read_to_string(folder.join(DATA_DIR).join("host.key")).expect("the key");
    key.trim().to_owned()
}

/// The ids of the keys, whether each is there and seals, and how many values need it.
fn listed(folder: &Path) -> Value {
    let listed = told(folder, DATA_DIR, &["key", "list"]);
    assert_eq!(listed["unopened"], 0);
    listed["keys"].clone()
}

#[test]
fn a_host_key_is_rotated_as_the_manual_says_and_the_former_one_is_not_needed_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let old = record_with_a_certificate(folder);
    let keys = listed(folder);
    let old_id = text(&keys[0]["id"]).to_owned();
    // The certificate's key, the check of the host key, and the name space of the ids of orders.
    let seals = |id: &str, values: u64| json!({ "id": id, "isThere": true, "seals": true, "values": values });
    let opens =
        |id: &str, values: u64| json!({ "id": id, "isThere": true, "seals": false, "values": values });
    assert_eq!(keys, json!([seals(&old_id, 3)]));
    assert_eq!(
        told(folder, DATA_DIR, &["status"])["valuesOfFormerHostKeys"],
        Value::Null
    );

    let (new_id, new) = new_key(folder, "new.key");
    refused(
        folder,
        DATA_DIR,
        &["key", "new", "--out", "new.key"],
        REFUSED,
        "host-key-exists",
    );
    hold(folder, &[&old, &new]);
    assert_eq!(listed(folder), json!([seals(&old_id, 3), opens(&new_id, 0)]));
    hold(folder, &[&new, &old]);
    assert_eq!(listed(folder), json!([seals(&new_id, 0), opens(&old_id, 3)]));
    let (out, _) = shown(folder, DATA_DIR, &["status"]);
    assert_says(
        &out,
        &["Sealed with former host keys", "3 values", "bss-host key list"],
    );

    let rotated = told(folder, DATA_DIR, &["key", "rotate"]);
    assert_eq!(rotated, json!({ "id": new_id, "values": 3 }));
    let (out, err) = shown(folder, DATA_DIR, &["key", "rotate"]);
    assert_says(&out, &["already", &new_id]);
    assert_says(&err, &["backups from before"]);
    let (out, _) = shown(folder, DATA_DIR, &["key", "list"]);
    assert_says(&out, &[&new_id, "seals and opens", &old_id]);
    assert!(!out.contains(&new) && !out.contains(&old), "{out}");

    hold(folder, &[&new]);
    assert_eq!(listed(folder), json!([seals(&new_id, 3)]));
    let certificates = told(folder, DATA_DIR, &["certificate", "list"]);
    assert_eq!(certificates.as_array().map(Vec::len), Some(1), "{certificates}");
    hold(folder, &[&old]);
    let error = refused(folder, DATA_DIR, &["key", "list"], NO_ANSWER, "wrong-host-key");
    assert_says(text(&error["message"]), &[&new_id]);
    assert_says(text(&error["advice"]), &[&new_id, "below the first one"]);
    let (out, _) = shown_with(folder, &new, &["audit", "list", "--act", "rotate-host-key"]);
    assert_says(&out, &["rotate host key"]);
}

/// What a command shows with a key of the environment.
fn shown_with(folder: &Path, key: &str, arguments: &[&str]) -> (String, String) {
    let output = program(folder)
        .args(arguments)
        .env("BSS_HOST_KEY", key)
        .output()
        .expect("it runs");
    assert_ends(&output, DONE);
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (out.into_owned(), err.into_owned())
}

/// The program where nobody names a key.
fn program(folder: &Path) -> Command {
    let mut program = Command::new(bss_host());
    program
        .env_clear()
        .env("HOME", folder)
        .env("BSS_DATA_DIR", folder.join(DATA_DIR))
        .current_dir(folder);
    program
}

/// A program that prints a key, and says something beside it.
fn script(folder: &Path, name: &str, lines: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{lines}\n")).expect("it is written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).expect("it may run");
    file.display().to_string()
}

#[test]
fn a_new_key_is_printed_alone_and_opens_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = program(folder.path())
        .args(["key", "new"])
        .output()
        .expect("it runs");
    assert_ends(&output, DONE);
    let out = String::from_utf8(output.stdout).expect("text");
    assert_eq!(out.lines().count(), 1, "{out}");
    let made = program(folder.path())
        .arg("init")
        .env("BSS_HOST_KEY", out.trim())
        .output();
    assert_ends(&made.expect("it runs"), DONE);
    let output = program(folder.path()).args(["key", "new", "--json"]).output();
    let made = result(&output.expect("it runs"));
    assert_eq!((text(&made["key"]).len(), &made["file"]), (44, &Value::Null));
}

#[test]
fn a_key_comes_from_a_command_a_variable_a_file_or_a_credential_and_those_that_differ_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let right = record_with_a_certificate(folder);
    std::fs::remove_file(folder.join(DATA_DIR).join("host.key")).expect("it is kept elsewhere");
    let (_, wrong) = new_key(folder, "wrong.key");
    std::fs::create_dir(folder.join("credentials")).expect("a folder");
    std::fs::write(folder.join("right.key"), &right).expect("it is written");
    for file in ["right.key", "credentials/host-key"] {
        std::fs::write(folder.join(file), &right).expect("it is written");
        std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o440)).expect("a mode");
    }
    // A command is told no other secret.
    let lines = format!(
        "test -z \"$BSS_HOST_KEY$BSS_PFX_CODE$BSS_SMTP_PASSWORD\" || exit 9; echo said >&2; echo {right}"
    );
    let command = script(folder, "print-key", &lines);
    let credentials = folder.join("credentials").display().to_string();
    let list = |variables: &[(&str, &str)], arguments: &[&str]| -> Output {
        let mut program = program(folder);
        program.args(["key", "list", "--json"]).args(arguments);
        program.envs(variables.iter().copied());
        program.output().expect("it runs")
    };
    let of_command = ["--host-key-command", &command];
    for (variables, arguments) in [
        (&[("BSS_HOST_KEY", right.as_str())][..], &[][..]),
        (&[("BSS_HOST_KEY_FILE", "right.key")], &[]),
        (&[("BSS_HOST_KEY_COMMAND", &command)], &[]),
        (&[("CREDENTIALS_DIRECTORY", &credentials)], &[]),
        (
            &[("CREDENTIALS_DIRECTORY", &credentials), ("BSS_HOST_KEY", &right)],
            &[],
        ),
        // What the command line names wins.
        (&[("BSS_HOST_KEY", &wrong)], &["--host-key-file", "right.key"]),
        (&[("BSS_HOST_KEY_FILE", "wrong.key")], &of_command),
        (
            &[
                ("BSS_HOST_KEY", &wrong),
                ("BSS_PFX_CODE", "code"),
                ("BSS_SMTP_PASSWORD", "word"),
            ],
            &of_command,
        ),
    ] {
        let listed = list(variables, arguments);
        assert_ends(&listed, DONE);
        assert_eq!(result(&listed)["keys"][0]["seals"], true);
    }
    let said = list(&[], &of_command);
    assert_says(&String::from_utf8_lossy(&said.stderr), &["said"]);
    let refused = |variables: &[(&str, &str)], arguments: &[&str], exit, saying: &[&str]| {
        let refused = list(variables, arguments);
        assert_fails(&refused, exit, saying);
        let printed = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
        assert!(
            !printed.contains(&right) && !printed.contains(&wrong),
            "{printed}"
        );
    };
    let both = [
        ("BSS_HOST_KEY", right.as_str()),
        ("BSS_HOST_KEY_FILE", "wrong.key"),
    ];
    refused(
        &both,
        &[],
        REFUSED,
        &["`BSS_HOST_KEY`", "`wrong.key`", "different host keys"],
    );
    let both = ["--host-key-file", "wrong.key", "--host-key-command", &command];
    refused(&[], &both, REFUSED, &["print-key", "different host keys"]);
    refused(
        &[("BSS_HOST_KEY", &wrong)],
        &[],
        NO_ANSWER,
        &["not the key of the record"],
    );
    let failing = script(folder, "fail", &format!("echo {right}; exit 7"));
    let failing = ["--host-key-command", &failing];
    refused(&[], &failing, NO_ANSWER, &["fail", "exit status: 7"]);
    let quoted = ["--host-key-command", "sh -c 'cat right.key'"];
    refused(&[], &quoted, REFUSED, &["`'`", "script"]);
}

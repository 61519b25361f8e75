//! The README's commands, as they stand there.

use std::process::Command;

use crate::cli::Desk;
use crate::component::{bss_host, component};
use crate::readme_section::{section, without_remark};

/// The commands of a section: continued lines joined, without the prompt and the remark after them.
fn commands(title: &str) -> Vec<String> {
    section(title)
        .replace("\\\n      ", "")
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| without_remark(line).to_owned())
        .collect()
}

/// A command with the values of the simulator's line in place of their names in angle brackets.
fn filled_in(command: &str, desk: &Desk) -> String {
    let mut parts = command.split('<');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("a bracket that is closed: {command}"));
        text += &format!("'{}'{rest}", desk.detail(name));
    }
    text
}

#[test]
fn step_by_step_the_readme_leads_to_two_licenses() {
    let commands = commands("Step by step");
    let (begin, steps) = commands.split_at(3);
    assert_eq!(
        begin,
        [
            "cargo xtask build && cargo build -p bss-host",
            "target/debug/bss-host simulator",
            "alias bss-host=target/debug/bss-host"
        ]
    );
    let folder = tempfile::tempdir().expect("a temporary directory");
    let desk = Desk::open_without_record(folder, &[]);
    let run = |command: &str| {
        let output = Command::new("bash")
            .args([
                "-euc",
                &format!(r#"bss-host() {{ "$BSS_HOST" "$@"; }}; {command}"#),
            ])
            .current_dir(desk.folder.path())
            .env("BSS_HOST", bss_host())
            .env("BSS_PLUGIN", component())
            .env("BSS_DATA_DIR", desk.folder.path().join("bss"))
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "{command}: {output:?}");
        output
    };
    assert!(steps.len() > 10, "{steps:?}");
    for step in steps {
        run(&filled_in(step, &desk));
    }
    let assets = run("bss-host asset list --json");
    let assets: Vec<serde_json::Value> =
        serde_json::from_slice(&assets.stdout).expect("a JSON list of what was bought");
    let keys = assets.iter().filter(|asset| asset["productKey"].is_string());
    assert_eq!(keys.count(), 2, "{assets:?}");
    let letters = std::fs::read_dir(desk.folder.path().join("outbox")).expect("the letters are there");
    assert!(letters.count() > 0);
}

//! Secrets on the command line: asked for without an echo, read from a file or the standard input, and never an argument.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::acme::{ACME, Acme};
use crate::component::bss_host;
use crate::scenario::{DONE, REFUSED, Scenario, USAGE, assert_ends};

async fn desk() -> (Scenario, Acme) {
    let scenario = Scenario::start().await;
    let acme = Acme::beside(&scenario).await;
    (scenario, acme)
}

/// What a field of the form shows, as a program reads it.
fn field(scenario: &Scenario, id: &str) -> serde_json::Value {
    let shown = scenario.json(&["instance", "show", ACME]);
    let fields = shown["fields"].as_array().expect("fields");
    fields
        .iter()
        .find(|field| field["id"] == id)
        .expect("the field")
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_asked_for_on_a_terminal_and_what_is_typed_is_not_shown() {
    let (scenario, acme) = desk().await;
    // `script` gives the program a terminal, and passes on what is typed and what is shown.
    let command = format!(
        "{} instance configure {ACME} --secret api-key --data-dir {}",
        bss_host().display(),
        scenario.folder.path().join("bss").display()
    );
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed");
    let (mut typing, mut screen) = (
        terminal.stdin.take().expect("a pipe"),
        terminal.stdout.take().expect("a pipe"),
    );
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("api-key: ") {
        let mut some = [0; 256];
        let read = screen.read(&mut some).expect("it shows something");
        assert!(read > 0, "{}", String::from_utf8_lossy(&shown));
        shown.extend(&some[..read]);
    }
    typing
        .write_all(format!("{}\n", acme.account.api_key).as_bytes())
        .expect("it is typed");
    screen.read_to_end(&mut shown).expect("the rest");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(terminal.wait().expect("it ends").success(), "{shown}");
    assert!(!shown.contains(&acme.account.api_key), "{shown}");
    assert_eq!(field(&scenario, "api-key")["isSaved"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_comes_from_a_file_or_the_standard_input_and_can_be_removed() {
    let (scenario, acme) = desk().await;
    let file = scenario.folder.path().join("key");
    std::fs::write(&file, format!("{}\nnot this line\n", acme.account.api_key)).expect("a file");
    let from_file = format!("api-key={}", file.display());
    let saved = scenario.json(&["instance", "configure", ACME, "--secret-file", &from_file]);
    assert_eq!(saved["saved"], true);
    let removed = scenario.json(&["instance", "configure", ACME, "--clear-secret", "api-key"]);
    assert_eq!(removed["saved"], true);
    assert_eq!(field(&scenario, "api-key")["isSaved"], false);

    let configure = ["instance", "configure", ACME, "--secret", "api-key"];
    let line = format!("{}\n", acme.account.api_key);
    assert_ends(&scenario.bss_host_reading(&configure, &line), DONE);
    assert_eq!(field(&scenario, "api-key")["isSaved"], true);

    let history = scenario.json(&["instance", "history", ACME]);
    let changes: Vec<_> = history
        .as_array()
        .expect("versions")
        .iter()
        .map(|save| &save["secretChanges"])
        .collect();
    let expected = ["set", "removed", "set"].map(|what| serde_json::json!({ "api-key": what }));
    assert_eq!(changes, expected.iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_as_an_argument_is_refused_before_the_plugin_has_it() {
    let (scenario, acme) = desk().await;
    let typed = format!("api-key={}", acme.account.api_key);
    let refused = scenario.bss_host(&["instance", "configure", ACME, "--set", &typed]);
    assert_ends(&refused, REFUSED);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("--secret api-key") && !said.contains(&acme.account.api_key),
        "{said}"
    );
    // The one call of the plugin was made without a value.
    let traces = scenario.bss_host(&["trace"]);
    let calls = String::from_utf8_lossy(&traces.stdout).into_owned();
    assert_eq!(calls.matches("configure-instance").count(), 1, "{calls}");
    // Nor where a field or a file belongs.
    let key = acme.account.api_key.clone();
    for (option, value, ends) in [
        ("--secret", typed.clone(), USAGE),
        ("--secret-file", key, USAGE),
        ("--secret-file", typed, REFUSED),
    ] {
        let refused = scenario.bss_host(&["instance", "configure", ACME, option, &value]);
        assert_ends(&refused, ends);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!said.contains(&acme.account.api_key), "{said}");
    }
    let missing = scenario.bss_host(&["instance", "configure", ACME, "--secret-file", "api-key"]);
    assert_ends(&missing, USAGE);
    let nowhere = scenario.bss_host(&[
        "instance",
        "configure",
        ACME,
        "--secret-file",
        "api-key=/no/such/file",
    ]);
    assert_ends(&nowhere, REFUSED);
    assert_ends(&scenario.bss_host(&["instance", "show", ACME]), DONE);
}

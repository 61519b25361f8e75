//! An API key is searched for in all that a host writes, says and hands to a plugin, and is nowhere. What is planted is
//! found, in the same search.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use acme_keys_vendor::{Fault, Route};
use bss_sandbox::bindings::instance_settings::{
    Authority, Field, FieldKind, FieldRole, Form, SecretHeader, Standing,
};
use data_encoding::HEXLOWER;
use uuid::Uuid;

use crate::acme::{ACME, Acme, KEY};
use crate::component::{bss_host, initialize};
use crate::guests::{dumping, enabled_field};
use crate::scenario::{DONE, Scenario, USAGE, assert_ends};

/// A secret's text that is nowhere else.
fn canary() -> String {
    format!("canary-{}", Uuid::new_v4().simple())
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All that was printed, and what to look for in it.
#[derive(Default)]
struct Printed(Vec<(String, Vec<u8>)>);

impl Printed {
    fn add(&mut self, what: &str, output: &Output) {
        let printed = [output.stdout.as_slice(), &output.stderr].concat();
        self.0.push((what.to_owned(), printed));
    }

    /// The commands that have printed a text.
    fn with(&self, text: &str) -> Vec<&str> {
        let found = self.0.iter().filter(|(_, printed)| contains(printed, text));
        found.map(|(what, _)| what.as_str()).collect()
    }
}

/// The files below a folder that contain a text.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if contains(&std::fs::read(&path).unwrap_or_default(), text) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// Runs a command as chatty as it can be, its calls recorded, plain or with `--json`.
fn run(scenario: &Scenario, printed: &mut Printed, arguments: &[&str], input: Option<&str>) -> Output {
    let recording = scenario
        .folder
        .path()
        .join(format!("recording-{}.jsonl", Uuid::new_v4()));
    let recording = recording.to_str().expect("text");
    let mut chatty = [arguments, &["-vvv"]].concat();
    // Commands that open the record in their own way make no calls.
    if arguments.first() != Some(&"record") {
        chatty.extend(["--record", recording]);
    }
    let output = scenario.bss_host_reading(&chatty, input.unwrap_or_default());
    printed.add(&arguments.join(" "), &output);
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_nothing_that_the_host_writes_or_says_and_a_planted_value_is_found() {
    let scenario = Scenario::start().await;
    let acme = Acme::beside(&scenario).await;
    let (key, planted) = (acme.account.api_key.clone(), canary());
    let mut printed = Printed::default();
    let out = &mut printed;
    // What stands in a field that is no secret is everywhere: so the search is seen to find.
    let url = format!("service-url={}", acme.vendor.url());
    let account = format!("account={}", acme.account.number);
    let name = format!("name={planted}");
    let configure = ["instance", "configure", ACME];
    let values = ["--set", &url, "--set", &account, "--set", &name];
    let typed = run(
        &scenario,
        out,
        &[&configure[..], &values, &["--secret", "api-key"]].concat(),
        Some(&key),
    );
    assert_ends(&typed, DONE);
    // A key that is given in the wrong way, and one that is mistyped, are as little repeated.
    run(
        &scenario,
        out,
        &[&configure[..], &["--set", &format!("api-key={key}")]].concat(),
        None,
    );
    run(
        &scenario,
        out,
        &[&configure[..], &["--secret", "account"]].concat(),
        Some(&key),
    );
    run(
        &scenario,
        out,
        &[&configure[..], &["--secret", "api-key"]].concat(),
        Some(&format!("{key} {key}")),
    );

    let mails = scenario.folder.path().join("mails").display().to_string();
    let mail = [
        "mail",
        "configure",
        "--from",
        "shop@example.com",
        "--directory",
        &mails,
    ];
    assert_ends(&run(&scenario, out, &mail, None), DONE);
    // The vendor repeats what it was sent, in its answer's body and in a header field that names the exchange.
    let faults = acme.vendor.faults();
    faults.order(Route::Catalog, Fault::EchoApiKey);
    let echoed = run(&scenario, out, &["services", "fetch", ACME], None);
    assert!(
        contains(&echoed.stderr, "Bearer ****"),
        "{}",
        String::from_utf8_lossy(&echoed.stderr)
    );
    assert_ends(&run(&scenario, out, &["services", "fetch", ACME], None), DONE);
    scenario.sell_all(ACME).await;
    faults.order(Route::Purchase, Fault::EchoApiKey);
    faults.order(Route::Purchase, Fault::LoseAnswer);
    let order = [
        "order",
        "place",
        ACME,
        "--offer",
        KEY,
        "--customer",
        "C-1",
        "--customer-name",
        "Coyote",
    ];
    let to = [
        "--customer-country",
        "DE",
        "--customer-email",
        "coyote@example.com",
    ];
    for _ in 0..3 {
        run(&scenario, out, &[&order[..], &to, &["--wait"]].concat(), None);
    }
    run(&scenario, out, &["run", "--once"], None);
    let bought = scenario.assets().await;
    let asset = bought
        .iter()
        .find(|asset| asset.license_token_id.is_some())
        .expect("a license");
    let (asset, order) = (asset.id.to_string(), asset.order_id.to_string());
    faults.order(Route::Return, Fault::EchoApiKey);
    run(&scenario, out, &["asset", "cancel", &asset], None);
    faults.order(Route::LookUp, Fault::EchoApiKey);
    run(&scenario, out, &["asset", "refresh", &asset], None);
    faults.order(Route::Catalog, Fault::EchoApiKey);
    run(&scenario, out, &["instance", "check", ACME], None);
    let backup = scenario.folder.path().join("backup.db").display().to_string();
    for command in [
        &["instance", "show", ACME][..],
        &["instance", "history", ACME],
        &["instance", "check", ACME],
        &["instance", "list"],
        &["plugin", "list"],
        &["certificate", "list"],
        &["services", "runs", ACME],
        &["services", "products", ACME],
        &["services", "export", ACME],
        &["order", "show", &order],
        &["order", "resume", &order],
        &["asset", "list"],
        &["asset", "show", &asset],
        &["asset", "show", &asset, "--show-keys"],
        &["asset", "history", &asset],
        &["asset", "cancellations"],
        &["asset", "refresh", &asset],
        &["charge", "list"],
        &["mail", "show"],
        &["mail", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["trace"],
        &["trace", &asset],
        &["record", "show"],
        &["record", "verify"],
        &["record", "backup", &backup],
    ] {
        let is_json = command != &["record", "backup", &backup][..];
        let done = run(&scenario, out, command, None);
        assert!(
            done.status.code() != Some(USAGE),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        if is_json {
            run(&scenario, out, &[command, &["--json"]].concat(), None);
        }
    }
    let said = printed.with(&key);
    assert!(said.is_empty(), "{said:?}");
    for command in [
        "instance show anvils",
        "instance show anvils --json",
        "instance history anvils --json",
    ] {
        assert!(printed.with(&planted).contains(&command), "{command}");
    }
    // The record, its log, its backup, traces, recordings, e-mails and compiled plugins.
    let folder = scenario.folder.path();
    let written = files_with(folder, &key);
    assert!(written.is_empty(), "{written:?}");
    let planted = files_with(folder, &planted);
    for file in ["record.db", "backup.db", "recording-"] {
        assert!(
            planted.iter().any(|path| path.contains(file)),
            "{file} in {planted:?}"
        );
    }
    assert!(
        acme.vendor
            .requests()
            .iter()
            .all(|request| request.api_key.as_ref() == Some(&key))
    );
}

fn text_field(id: &str, kind: FieldKind, role: FieldRole, value: &str) -> Field {
    Field {
        value: value.to_owned(),
        ..enabled_field(id, kind, role)
    }
}

/// What a plugin has in its memory after it has read the vendor's answer, as it writes it to its standard error itself.
/// With the id of its instance, which the host has handed to it.
fn memory_of(scenario: &Scenario, acme: &Acme) -> (Vec<u8>, String) {
    let form = Form {
        fields: vec![
            text_field(
                "service-url",
                FieldKind::Url,
                FieldRole::Account,
                &acme.vendor.url(),
            ),
            text_field("api-key", FieldKind::Secret, FieldRole::Account, ""),
        ],
        standing: Standing::Ready(vec![Authority {
            name: acme.vendor.authority(),
            client_certificate: false,
            secret_headers: vec![SecretHeader {
                name: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
                field: "api-key".to_owned(),
            }],
        }]),
        certificate_field: None,
    };
    let file = scenario.folder.path().join(format!("{}.wasm", Uuid::new_v4()));
    std::fs::write(&file, dumping(&form, &acme.vendor.authority())).expect("the guest's file");
    let desk = tempfile::tempdir().expect("a folder");
    initialize(&desk.path().join("bss"));
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new(bss_host());
        command
            .args(arguments)
            .env("BSS_PLUGIN", &file)
            .args(["-vvv", "--data-dir"])
            .arg(desk.path().join("bss"));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes())
            .expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let authority = desk.path().join("authority.pem");
    std::fs::write(&authority, acme.vendor.authority_pem()).expect("the authority's file");
    let authority = authority.display().to_string();
    let create = [
        "instance",
        "create",
        "guest",
        "--currency",
        "EUR",
        "--trust",
        &authority,
    ];
    assert_ends(
        &run(&[&create[..], &["--allow-network", "127.0.0.0/8"]].concat(), ""),
        DONE,
    );
    let url = format!("service-url={}", acme.vendor.url());
    let set = [
        "instance",
        "configure",
        "guest",
        "--set",
        &url,
        "--secret",
        "api-key",
    ];
    assert_ends(&run(&set, &acme.account.api_key), DONE);
    acme.vendor.faults().order(Route::Catalog, Fault::EchoApiKey);
    let fetched = run(&["services", "fetch", "guest"], "");
    let shown = run(&["instance", "list", "--json"], "");
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let id = shown[0]["id"].as_str().expect("an id").to_owned();
    (pieces(&fetched), id)
}

/// The pieces of memory that a plugin has written as lines of hexadecimal digits, with a byte between them.
fn pieces(fetched: &Output) -> Vec<u8> {
    let text = String::from_utf8_lossy(&fetched.stderr);
    let lines = text.lines().filter_map(|line| line.split_once("plugin: "));
    let digits = lines.filter_map(|(_, line)| line.split(' ').next());
    let pieces = digits.filter_map(|digits| HEXLOWER.decode(digits.as_bytes()).ok());
    pieces.flat_map(|piece| [piece, vec![0]].concat()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_nowhere_in_the_memory_of_a_plugin_whose_vendor_repeats_it() {
    let scenario = Scenario::start().await;
    let acme = Acme::beside(&scenario).await;
    let key = &acme.account.api_key;
    let (memory, instance) = memory_of(&scenario, &acme);
    // The plugin's memory has what the host has handed to it, and the vendor's answer: both are found in what it has written.
    assert!(
        contains(&memory, &instance),
        "{}",
        String::from_utf8_lossy(&memory)
    );
    assert!(
        contains(&memory, "You sent Bearer ****"),
        "{}",
        String::from_utf8_lossy(&memory)
    );
    assert!(!contains(&memory, key));
    let sent = acme.vendor.requests();
    assert!(
        sent.iter().any(|request| request.api_key.as_ref() == Some(key)),
        "it was sent"
    );
}

//! The program `bss-host`: what it prints where, and its exit codes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use bss_simulator::{CertificateRequest, Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::component::{bss_host, component, initialize};
use crate::record_place;
use crate::scenario::{DONE, NO_ANSWER, REFUSED, USAGE, assert_ends, result};

/// A data directory, and a simulator that runs as a program of its own.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) microsoft: Value,
    simulator: Child,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop_microsoft();
    }
}

/// The line that a simulator prints when it is ready, as JSON.
fn ready(simulator: &mut Child) -> Value {
    let mut line = String::new();
    let output = simulator.stdout.take().expect("its output");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("it says when it is ready");
    serde_json::from_str(&line).expect("one line of JSON")
}

/// A simulator that is ready, and the line that it printed.
fn start_simulator(folder: &Path, arguments: &[&str]) -> (Child, Value) {
    let mut simulator = Command::new(bss_host())
        .arg("simulator")
        .arg("--directory")
        .arg(folder.join("microsoft"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let microsoft = ready(&mut simulator);
    (simulator, microsoft)
}

impl Desk {
    /// Kills the simulated Microsoft: nobody answers any more.
    pub(crate) fn stop_microsoft(&mut self) {
        let _ = self.simulator.kill();
        let _ = self.simulator.wait();
    }

    pub(crate) fn open() -> Self {
        Self::open_in(tempfile::tempdir().expect("a temporary directory"), &[])
    }

    /// With a simulator that is given more arguments.
    pub(crate) fn open_in(folder: TempDir, arguments: &[&str]) -> Self {
        initialize(&folder.path().join("bss"));
        Self::open_without_record(folder, arguments)
    }

    /// A desk at which nobody has made a data directory.
    pub(crate) fn open_without_record(folder: TempDir, arguments: &[&str]) -> Self {
        let (simulator, microsoft) = start_simulator(folder.path(), arguments);
        Self {
            folder,
            microsoft,
            simulator,
        }
    }

    pub(crate) fn stop_simulator(&mut self) {
        self.simulator.kill().expect("it is killed");
        self.simulator.wait().expect("it has ended");
    }

    /// Starts the simulator of the same directory again, with other arguments.
    pub(crate) fn start_simulator_again(&mut self, arguments: &[&str]) {
        self.stop_simulator();
        (self.simulator, self.microsoft) = start_simulator(self.folder.path(), arguments);
    }

    pub(crate) fn detail(&self, name: &str) -> &str {
        self.microsoft[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in {}", self.microsoft))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_code("", arguments)
    }

    pub(crate) fn run_with_code(&self, code: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(bss_host());
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(self.folder.path().join("bss"))
            .env("BSS_PLUGIN", component())
            .env("BSS_PFX_CODE", code);
        record_place::tell(&mut command, &self.folder.path().join("bss"));
        command.output().expect("the program runs")
    }

    /// Runs the program with an environment variable.
    pub(crate) fn run_with(&self, name: &str, value: &std::ffi::OsStr, arguments: &[&str]) -> Output {
        Command::new(bss_host())
            .args(arguments)
            .arg("--data-dir")
            .arg(self.folder.path().join("bss"))
            .env(name, value)
            .output()
            .expect("the program runs")
    }

    /// Runs the program on a terminal on which somebody types a line, and returns what the terminal showed and the exit code.
    pub(crate) fn on_terminal(&self, arguments: &[&str], typed: &str) -> (String, Option<i32>) {
        let quoted = |text: &str| format!("'{text}'");
        let data_dir = self.folder.path().join("bss").display().to_string();
        let program = bss_host().display().to_string();
        let more = ["--data-dir", &data_dir];
        let words = [&[program.as_str()], arguments, &more].concat();
        let words: Vec<_> = words.into_iter().map(quoted).collect();
        let mut terminal = Command::new("script")
            .args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux, runs");
        let mut keyboard = terminal.stdin.take().expect("a pipe");
        writeln!(keyboard, "{typed}").expect("it is typed");
        let ended = terminal.wait_with_output().expect("it ends");
        drop(keyboard);
        (
            String::from_utf8_lossy(&ended.stdout).into_owned(),
            ended.status.code(),
        )
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_ends(&output, DONE);
        result(&output)
    }

    fn import(&self) {
        assert_ends(
            &self.run_with_code(
                self.detail("pfxCode"),
                &["certificate", "import", self.detail("pfxFile")],
            ),
            DONE,
        );
    }

    /// Runs the commands of the README, up to an instance that is ready.
    pub(crate) fn ready(&self) {
        self.import();
        self.create();
        self.set(&self.credentials());
        self.set(&[
            ("certificate-thumbprint", self.detail("thumbprint")),
            ("country", "DE"),
            ("language", "de-DE"),
        ]);
    }

    /// What the form is given first.
    pub(crate) fn credentials(&self) -> [(&'static str, &str); 6] {
        [
            ("system-name", "esd"),
            ("resource-api", self.detail("resourceApi")),
            ("service-url", self.detail("serviceUrl")),
            ("tenant", self.detail("tenant")),
            ("channel-id", self.detail("channelId")),
            ("client-id", self.detail("clientId")),
        ]
    }

    /// Creates an instance that may reach the simulator.
    pub(crate) fn create(&self) {
        let login = format!("login-authority={}", self.detail("loginAuthority"));
        let create = [
            "instance",
            "create",
            "esd",
            "--currency",
            "EUR",
            "--option",
            &login,
        ];
        let reach = ["--trust", self.detail("caFile"), "--allow-network", "127.0.0.0/8"];
        let reach = [&reach[..], &["--allow-network", "::1/128"]].concat();
        assert_ends(&self.run(&[&create[..], &reach].concat()), DONE);
    }

    /// Makes the first product one that can be ordered, as the README does, and answers with its code.
    pub(crate) fn sells(&self) -> String {
        let products = self.json(&["services", "products", "esd"]);
        let offer = products[0]["productCode"].as_str().expect("a code").to_owned();
        let price = ["--currency", "EUR", "--minor-units", "14900"];
        self.json(&[&["product", "price", "esd", &offer][..], &price].concat());
        self.json(&["product", "activate", "esd", &offer]);
        offer
    }

    pub(crate) fn set(&self, values: &[(&str, &str)]) {
        let set: Vec<String> = values
            .iter()
            .map(|(field, value)| format!("--set={field}={value}"))
            .collect();
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        assert_ends(
            &self.run(&[&["instance", "configure", "esd"], &set[..]].concat()),
            DONE,
        );
    }
}

/// Sends a program a signal, by the shell's own `kill`: a bare system has no program of that name.
pub(crate) fn send_signal(name: &str, child: &Child) {
    let sent = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, name, &child.id().to_string()])
        .status();
    assert!(sent.expect("a shell").success());
}

/// The options that say who buys.
pub(crate) const CUSTOMER: [&str; 8] = [
    "--customer",
    "C-1",
    "--customer-name",
    "Beispiel GmbH",
    "--customer-country",
    "DE",
    "--customer-email",
    "it@beispiel.example",
];

/// Checks the exit code, that there is one `error:` line on the standard error, and that these words are there.
pub(crate) fn assert_fails(output: &Output, code: i32, saying: &[&str]) {
    assert_ends(output, code);
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for words in saying {
        assert!(text.contains(words), "`{words}` in: {text}");
    }
}

#[test]
#[should_panic(expected = "left: 2")]
fn a_result_beside_another_line_is_none() {
    use std::os::unix::process::ExitStatusExt;
    result(&Output {
        status: std::process::ExitStatus::from_raw(0),
        stdout: b"{}\n{}\n".to_vec(),
        stderr: Vec::new(),
    });
}

/// What a failing command tells a program, in the last line of its standard output.
pub(crate) fn told_error(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    told["error"].clone()
}

#[test]
fn a_program_reads_what_was_refused_in_the_last_line() {
    let desk = Desk::open();
    let refused = desk.run(&["instance", "show", "nobody", "--json"]);
    assert_fails(
        &refused,
        REFUSED,
        &["error: there is no instance `nobody`\nhint: `bss-host instance list`"],
    );
    let expected = json!({
        "code": "no-instance",
        "kind": "not-found",
        "message": "there is no instance `nobody`",
        "advice": "`bss-host instance list` shows all instances",
    });
    assert_eq!(told_error(&refused), expected);
}

#[test]
fn no_text_from_outside_steers_the_terminal_and_a_program_still_reads_it_whole() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    initialize(&folder.path().join("bss"));
    let told = |arguments: &[&str]| {
        let output = Command::new(bss_host())
            .args(arguments)
            .arg("--data-dir")
            .arg(folder.path().join("bss"))
            .output()
            .expect("the program runs");
        assert_ne!(output.status.code(), Some(DONE));
        output
    };
    let outside = "\u{1b}]52;c;cm0=\u{7}\u{9b}2K\u{202e}\u{200b}\u{7f}\nerror: forged";
    let shown = r"\u{1b}]52;c;cm0=\u{7}\u{9b}2K\u{202e}\u{200b}\u{7f}";
    for arguments in [
        ["instance", "show", outside, "--json"],
        ["order", "show", outside, "--json"],
    ] {
        let output = told(&arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(err.contains(shown), "{err:?}");
        let steers = |c: char| c != '\n' && bss_model::text::steers(c);
        assert!(!err.contains(steers) && !out.contains(steers), "{out:?} {err:?}");
    }
    let refused = told(&["instance", "show", outside, "--json"]);
    assert_eq!(
        told_error(&refused)["message"],
        format!("there is no instance `{outside}`")
    );
    assert_fails(&refused, REFUSED, &[r"\nerror: forged"]);
    // A name as it is written in its language stays as it is.
    let name = "می\u{200c}خواهم Μιχαήλ";
    assert_fails(&told(&["instance", "show", name]), REFUSED, &[name]);
}

#[test]
fn a_program_reads_that_this_machine_was_in_the_way() {
    let desk = Desk::open();
    std::fs::write(desk.folder.path().join("no.wasm"), "no component").expect("a file");
    for (file, code, kind) in [
        ("not-there.wasm", "no-plugin", "unavailable"),
        ("no.wasm", "not-a-component", "damaged"),
    ] {
        let output = Command::new(bss_host())
            .args([
                "instance",
                "create",
                "esd",
                "--currency",
                "EUR",
                "--json",
                "--data-dir",
            ])
            .arg(desk.folder.path().join("bss"))
            .env("BSS_PLUGIN", desk.folder.path().join(file))
            .output()
            .expect("the program runs");
        assert_ends(&output, NO_ANSWER);
        let told = told_error(&output);
        assert_eq!(
            (&told["code"], &told["kind"]),
            (&json!(code), &json!(kind)),
            "{told}"
        );
    }
}

#[test]
fn a_program_reads_each_problem_of_a_form_after_the_form() {
    let desk = Desk::open();
    let create = ["instance", "create", "esd", "--currency", "EUR"];
    assert_ends(&desk.run(&create), DONE);
    let set = ["--set", "service-url=ftp://nowhere", "--json"];
    let refused = desk.run(&[&["instance", "configure", "esd"][..], &set].concat());
    assert_fails(&refused, REFUSED, &["the settings were not saved"]);
    let form = result(&refused);
    assert_eq!(form["saved"], false);
    let told = told_error(&refused);
    assert_eq!(
        (&told["code"], &told["kind"]),
        (&json!("form-refused"), &json!("refused"))
    );
    let problems = told["problems"].as_array().expect("problems");
    let of_url = problems.iter().find(|problem| problem["field"] == "service-url");
    let of_url = of_url.unwrap_or_else(|| panic!("{told}"));
    for text in ["code", "message", "advice"] {
        assert!(
            of_url[text].as_str().is_some_and(|text| !text.is_empty()),
            "{of_url}"
        );
    }
}

#[test]
fn the_steps_of_the_readme_lead_from_a_pfx_file_to_licenses() {
    let desk = Desk::open();
    desk.ready();
    let shown = desk.json(&["instance", "show", "esd"]);
    assert_eq!(shown["state"], "ready");
    let fetched = desk.json(&["services", "fetch", "esd"]);
    assert!(fetched["new"].as_u64() > Some(0), "{fetched}");
    let offer = desk.sells();
    let place = [
        "order",
        "place",
        "esd",
        "--offer",
        &offer,
        "--quantity",
        "2",
        "--wait",
    ];
    let order = desk.json(&[&place[..], &CUSTOMER].concat());
    assert_eq!(order["state"], "licensed");
    // A second run of the program sees what the first one wrote.
    let assets = desk.json(&["asset", "list"]);
    let assets = assets.as_array().expect("a list");
    assert_eq!(assets.len(), 2);
    for asset in assets {
        assert_eq!(asset["syncStatus"], "synchronized");
        let key = asset["productKey"].as_str().expect("a product key");
        assert!(
            key.starts_with("*****-"),
            "keys are masked unless they are asked for: {key}"
        );
    }
    let whole = desk.json(&["asset", "list", "--show-keys"]);
    assert!(
        !whole[0]["productKey"]
            .as_str()
            .expect("a product key")
            .contains('*')
    );
}

#[test]
fn the_demo_ends_with_one_line_of_json_that_agrees_with_the_ledger() {
    let output = Command::new(bss_host())
        .args(["demo", "--json", "--plugin"])
        .arg(component())
        .output()
        .expect("the demo runs");
    assert_ends(&output, DONE);
    let text = String::from_utf8(output.stdout).expect("text");
    let result: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(result["instance"]["state"], "ready");
    let assets = result["assets"].as_array().expect("assets");
    assert_eq!(assets.len(), 3);
    assert_eq!(result["server"]["licensesIssued"], 3);
    for asset in assets {
        for name in [
            "id",
            "productCode",
            "productKey",
            "activationLink",
            "licenseTokenStatus",
            "returnStatus",
            "syncStatus",
        ] {
            assert!(asset[name].is_string(), "{name} in {asset}");
        }
    }
}

#[test]
fn a_wrong_code_is_refused_and_nothing_is_installed() {
    let desk = Desk::open();
    let refused = desk.run_with_code("not the code", &["certificate", "import", desk.detail("pfxFile")]);
    assert_fails(&refused, REFUSED, &["code"]);
    assert_eq!(
        desk.json(&["certificate", "list"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn a_code_can_come_from_a_file() {
    let desk = Desk::open();
    let file = desk.folder.path().join("code");
    std::fs::write(&file, format!("{}\n", desk.detail("pfxCode"))).expect("the code is written");
    let file = file.display().to_string();
    let import = [
        "certificate",
        "import",
        desk.detail("pfxFile"),
        "--code-file",
        &file,
    ];
    assert_ends(&desk.run(&import), DONE);
}

#[test]
fn a_pfx_file_without_a_private_key_is_refused() {
    let desk = Desk::open();
    let (certificate, _) = issued(&CertificateRequest::default());
    let pfx = openssl_pfx(desk.folder.path(), &certificate, &["-nokeys"]);
    let refused = desk.run_with_code("code", &["certificate", "import", &pfx]);
    assert_fails(&refused, REFUSED, &["no private key"]);
}

#[test]
fn an_expired_certificate_is_refused_with_its_dates() {
    let desk = Desk::open();
    let now = jiff::Timestamp::now();
    let expired = CertificateRequest {
        not_before: now - jiff::SignedDuration::from_hours(48),
        not_after: now - jiff::SignedDuration::from_hours(24),
        ..CertificateRequest::default()
    };
    let (certificate, key) = issued(&expired);
    let pfx = openssl_pfx(desk.folder.path(), &format!("{key}{certificate}"), &[]);
    let refused = desk.run_with_code("code", &["certificate", "import", &pfx]);
    assert_fails(&refused, REFUSED, &["expired", "CN=esd.mydomain.com"]);
    assert_eq!(
        desk.json(&["certificate", "list"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn a_file_that_is_no_pfx_or_is_not_there_is_refused_by_name() {
    let desk = Desk::open();
    let file = desk.folder.path().join("noise.pfx");
    std::fs::write(&file, [0x30, 0x82, 0xff, 0xff, 1, 2, 3]).expect("the file is written");
    let refused = desk.run(&["certificate", "import", &file.display().to_string()]);
    assert_fails(&refused, REFUSED, &["PFX"]);
    assert_fails(
        &desk.run(&["certificate", "import", "not-there.pfx"]),
        REFUSED,
        &["`not-there.pfx`"],
    );
}

#[test]
fn an_unknown_offer_is_refused_by_name_and_leaves_no_order() {
    let desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let place = ["order", "place", "esd", "--offer", "NO-SUCH-OFFER"];
    let refused = desk.run(&[&place[..], &CUSTOMER].concat());
    assert_fails(&refused, REFUSED, &["`NO-SUCH-OFFER`"]);
    assert_eq!(desk.json(&["asset", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_server_that_is_gone_is_no_answer_and_can_be_resumed_when_it_is_back() {
    let mut desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let offer = desk.sells();
    desk.stop_simulator();
    assert_fails(&desk.run(&["services", "fetch", "esd"]), NO_ANSWER, &["hint: "]);
    let output = desk.run(
        &[
            &["order", "place", "esd", "--wait", "--offer", &offer][..],
            &CUSTOMER,
        ]
        .concat(),
    );
    assert_fails(&output, NO_ANSWER, &["order resume"]);
    let order = desk.json(&["asset", "list"])[0]["orderId"]
        .as_str()
        .expect("an order")
        .to_owned();

    desk.start_simulator_again(&[]);
    let resumed = desk.json(&["order", "resume", &order]);
    assert_eq!(resumed["state"], "licensed");
}

#[test]
fn what_can_not_be_understood_is_a_usage_error() {
    let desk = Desk::open();
    for arguments in [
        &["no-such-command"][..],
        &["instance", "create", "esd"],
        &["instance", "configure", "esd", "--set", "no-equals-sign"],
        &["asset", "show", "not-an-id"],
    ] {
        assert_ends(&desk.run(arguments), USAGE);
    }
    let uneven = [
        "order",
        "place",
        "esd",
        "--offer",
        "a",
        "--offer",
        "b",
        "--quantity",
        "1",
    ];
    assert_fails(
        &desk.run(&[&uneven[..], &CUSTOMER].concat()),
        USAGE,
        &["--quantity"],
    );
}

#[test]
fn a_mistake_in_the_form_is_refused_with_its_field_and_nothing_is_saved() {
    let desk = Desk::open();
    assert_ends(
        &desk.run(&["instance", "create", "esd", "--currency", "EUR"]),
        DONE,
    );
    let refused = desk.run(&["instance", "configure", "esd", "--set", "tenant=not a tenant"]);
    assert_ends(&refused, REFUSED);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("Azure Active Directory Tenant"), "{text}");
    assert_eq!(
        desk.json(&["instance", "show", "esd"])["values"],
        serde_json::json!({})
    );
    let no_field = desk.run(&["instance", "configure", "esd", "--set", "color=blue"]);
    assert_fails(&no_field, REFUSED, &["`color`", "service-url"]);
    assert_fails(
        &desk.run(&["instance", "show", "nobody"]),
        REFUSED,
        &["`nobody`", "instance list"],
    );
}

#[test]
fn a_plugin_that_is_missing_is_named_with_what_to_do() {
    let desk = Desk::open();
    let output = Command::new(bss_host())
        .args(["instance", "create", "esd", "--currency", "EUR"])
        .args(["--plugin", "not-there.wasm", "--data-dir"])
        .arg(desk.folder.path().join("bss"))
        .output()
        .expect("the program runs");
    // The fault is this machine's, and nothing is said about what was asked for.
    assert_fails(
        &output,
        NO_ANSWER,
        &[
            "`not-there.wasm`",
            "hint: build the plugin with `cargo xtask build`",
        ],
    );
}

#[test]
fn no_secret_is_in_the_data_directory_or_in_what_is_printed() {
    let desk = Desk::open();
    desk.ready();
    desk.json(&["services", "fetch", "esd"]);
    let offer = desk.sells();
    let place = ["order", "place", "esd", "--offer", &offer, "-vv", "--wait"];
    let printed = desk.run(&[&place[..], &CUSTOMER].concat());
    assert_ends(&printed, DONE);
    let license = &desk.json(&["asset", "list", "--show-keys"])[0];
    let secrets = [
        desk.detail("pfxCode"),
        license["productKey"].as_str().expect("a product key"),
        license["activationLink"].as_str().expect("a link"),
        "PRIVATE KEY",
    ];
    let mut places = vec![
        ("standard output".into(), printed.stdout),
        ("standard error".into(), printed.stderr),
    ];
    let mut folders = vec![desk.folder.path().join("bss")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                places.push((path.clone(), std::fs::read(&path).expect("a file")));
            }
        }
    }
    assert!(places.len() > 3, "there are files to search");
    for (place, bytes) in &places {
        for secret in secrets {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", place.display());
        }
    }
}

/// A certificate and its private key in PEM form, of an authority of its own.
fn issued(request: &CertificateRequest) -> (String, String) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = SimulatorOptions::new(folder.path().join("microsoft"));
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        let issued = microsoft
            .issue_client_certificate(request)
            .expect("a certificate");
        (issued.certificate_pem.clone(), issued.private_key_pem.to_string())
    })
}

fn openssl_pfx(folder: &Path, pem: &str, options: &[&str]) -> String {
    let stamp = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or(Duration::ZERO)
        .as_nanos();
    let file: PathBuf = folder.join(format!("{stamp}.pfx"));
    let mut openssl = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:code", "-out"])
        .arg(&file)
        .args(options)
        .stdin(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    openssl
        .stdin
        .take()
        .expect("a pipe")
        .write_all(pem.as_bytes())
        .expect("it reads");
    assert!(
        openssl.wait().expect("it ends").success(),
        "openssl made no PFX file"
    );
    file.display().to_string()
}

#[cfg(unix)]
#[test]
fn a_variable_that_can_not_be_understood_is_named_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt as _;
    let desk = Desk::open();
    let list = ["instance", "list"];
    let broken = desk.run_with("BSS_LOG", "host_harness=loud".as_ref(), &list);
    assert_fails(&broken, USAGE, &["`BSS_LOG`", "bss_sandbox=debug"]);
    let noise = std::ffi::OsStr::from_bytes(b"\xff");
    let broken = desk.run_with("BSS_LOG", noise, &list);
    assert_fails(&broken, USAGE, &["`BSS_LOG`", "UTF-8"]);
    let import = ["certificate", "import", desk.detail("pfxFile")];
    let broken = desk.run_with("BSS_PFX_CODE", noise, &import);
    assert_fails(&broken, USAGE, &["`BSS_PFX_CODE`", "UTF-8"]);
    for filter in ["", "warn,host_harness=debug"] {
        assert_ends(&desk.run_with("BSS_LOG", filter.as_ref(), &list), DONE);
    }
    let broken = desk.run_with("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense".as_ref(), &list);
    assert_fails(&broken, USAGE, &["`OTEL_EXPORTER_OTLP_ENDPOINT`"]);
    let without_code = desk.run(&import);
    assert_fails(&without_code, REFUSED, &["`BSS_PFX_CODE`", "--code-file"]);
}

#[test]
fn a_log_filter_that_names_one_part_silences_no_other() {
    let desk = Desk::open();
    desk.ready();
    let nobody = "http://127.0.0.1:1";
    let check = ["instance", "check", "esd", "--otlp", nobody];
    let warned = |filter: &str| {
        let checked = desk.run_with("BSS_LOG", filter.as_ref(), &check);
        String::from_utf8_lossy(&checked.stderr).contains("WARN")
    };
    assert!(warned(""), "the collector does not answer");
    assert!(warned("bss_record=debug"));
    assert!(!warned("error"), "who asks for errors only gets no warning");
}

#[test]
fn an_argument_that_is_no_id_is_told() {
    let desk = Desk::open();
    let unknown = ["order", "show", "7ffdbbdc"];
    assert_fails(
        &desk.run(&unknown),
        REFUSED,
        &["begins with `7ffdbbdc`", "order list"],
    );
    for no_id in ["1", "7ff", "7ffdbbdg"] {
        let show = ["asset", "show", no_id];
        assert_fails(&desk.run(&show), USAGE, &[&format!("'{no_id}'"), "first 4"]);
    }
}

#[test]
fn a_simulator_that_lets_in_who_has_no_certificate_says_so_loudly_and_only_its_owner_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut simulator = Command::new(bss_host())
        .args(["simulator", "--plain-http-without-certificates", "--directory"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let microsoft = ready(&mut simulator);
    let plain = &microsoft["plainHttp"];
    let address = plain["service"].as_str().expect("an address");
    let mut connection = TcpStream::connect(address).expect("it listens");
    write!(
        connection,
        "GET /cis/tokens HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    BufReader::new(connection)
        .read_line(&mut answer)
        .expect("it answers");
    simulator.kill().expect("it is killed");
    let told = simulator.wait_with_output().expect("it has ended").stderr;
    let told = String::from_utf8_lossy(&told);

    // The 401 is for want of an access token, not of a certificate.
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(
        told.contains("lends its client certificate to every client"),
        "{told}"
    );
    let thumbprint = microsoft["thumbprint"].as_str().expect("a thumbprint");
    let warning = format!("warning: the private key of certificate {thumbprint} is in ");
    assert!(told.contains(&warning), "{told}");
    let identity = Path::new(plain["identity"].as_str().expect("a folder"));
    let key = std::fs::metadata(identity.join("private-key.pem")).expect("the key");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_certificate_that_was_made_here_is_registered_with_the_simulator_and_the_instance_is_ready() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("made.pem").display().to_string();
    initialize(&folder.path().join("bss"));
    let made = Command::new(bss_host())
        .args([
            "certificate",
            "new",
            "--name",
            "esd",
            "--out",
            &file,
            "--json",
            "--data-dir",
        ])
        .arg(folder.path().join("bss"))
        .output()
        .expect("the program runs");
    assert_ends(&made, DONE);
    let made = result(&made);
    let desk = Desk::open_in(folder, &["--register", &file]);
    desk.ready();
    desk.set(&[(
        "certificate-thumbprint",
        made["thumbprint"].as_str().expect("a thumbprint"),
    )]);
    assert_ends(&desk.run(&["instance", "check", "esd"]), DONE);
}

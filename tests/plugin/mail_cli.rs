//! `bss-host mail` and `bss-host charge`: what an operator sees of e-mails and charges, never a product key.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{CUSTOMER, send_signal};
use crate::component::{bss_host, initialize};
use crate::mail_stub::{MailStub, configure_at};
use crate::scenario::{DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, USAGE, assert_ends, result};

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    assert_ends(output, DONE);
    result(output)
}

/// Runs the program on a data directory of its own; no plugin is needed for mail settings.
fn desk(folder: &TempDir, arguments: &[&str]) -> Output {
    initialize(&folder.path().join("bss"));
    Command::new(bss_host())
        .args(arguments)
        .arg("--data-dir")
        .arg(folder.path().join("bss"))
        .current_dir(folder.path())
        .env("BSS_SMTP_PASSWORD", "a password of the environment")
        .output()
        .expect("the program runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finds_every_license_charged_and_mailed_and_no_key_in_it() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 2).await;
    let order = assets[0].order_id.to_string();

    let waiting = scenario.bss_host(&["mail", "list"]);
    assert_eq!(code(&waiting), DONE);
    assert!(
        err(&waiting).contains("2 e-mails to be sent, but this host has no mail settings")
            && err(&waiting).contains("hint: save mail settings with `bss-host mail configure`"),
        "{}",
        err(&waiting)
    );
    let all = json(&scenario.bss_host(&["mail", "list", "--json"]));
    let of_instance = ["mail", "list", "--json", "--instance", INSTANCE];
    assert_eq!(json(&scenario.bss_host(&of_instance)), all);
    scenario.new_instance("other").await;
    let of_other = ["mail", "list", "--json", "--instance", "other"];
    assert_eq!(json(&scenario.bss_host(&of_other)), serde_json::json!([]));
    let charges = json(&scenario.bss_host(&["charge", "show", &order, "--json"]));
    let mut all = json(&scenario.bss_host(&["charge", "list", "--json"]));
    // A list has the day of each, and the latest first.
    let listed = all.as_array_mut().expect("a list");
    listed.reverse();
    for charge in listed {
        let charge = charge.as_object_mut().expect("a charge");
        assert!(charge.remove("date").is_some_and(|date| date.is_string()));
    }
    assert_eq!(all, charges);
    assert_eq!(charges.as_array().map(Vec::len), Some(2), "{charges}");
    let price = assets[0].price.as_ref().expect("it has a price").minor_units;
    for charge in charges.as_array().expect("a list") {
        assert_eq!(charge["orderId"], order);
        assert_eq!(charge["total"]["minorUnits"], price);
        assert_eq!(charge["lines"].as_array().map(Vec::len), Some(1));
    }

    let mails = scenario.folder.path().join("mails");
    let mails_directory = mails.to_str().expect("text");
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--directory",
        mails_directory,
    ];
    assert_eq!(code(&scenario.bss_host(&configure)), DONE);
    std::fs::remove_dir_all(&mails).expect("nobody can write there");
    let worked = scenario.bss_host(&["run", "--once"]);
    assert_eq!(code(&worked), NO_ANSWER);
    assert!(
        err(&worked).contains("e-mails that wait for another try: 2"),
        "{}",
        err(&worked)
    );
    std::fs::create_dir(&mails).expect("it is back");
    assert_eq!(code(&scenario.bss_host(&["mail", "retry", "--all"])), DONE);
    let worker = scenario.host.record().start_worker().await.expect("a worker");
    let round = scenario
        .host
        .send_mails(worker.id(), 10)
        .await
        .expect("mails are sent");
    assert_eq!(round.sent, 2);
    let listed = json(&scenario.bss_host(&["mail", "list", "--json"]));
    let states: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|mail| &mail["state"])
        .collect();
    assert_eq!(states, ["sent", "sent"]);
    let sent = listed[0]["id"].as_str().expect("an id");
    let again = scenario.bss_host(&["mail", "retry", sent]);
    assert_eq!(code(&again), REFUSED, "{}", err(&again));
    assert_eq!(std::fs::read_dir(&mails).expect("mails").count(), 2);

    for arguments in [
        vec!["mail", "list"],
        vec!["mail", "list", "--json"],
        vec!["charge", "list"],
        vec!["charge", "show", &order],
    ] {
        let shown = scenario.bss_host(&arguments);
        for secrets in scenario.secrets(&assets).await {
            let key = secrets.product_key.expose();
            assert!(!out(&shown).contains(key) && !err(&shown).contains(key));
        }
    }
    let missing = scenario.bss_host(&["charge", "show", &uuid::Uuid::nil().to_string()]);
    assert_eq!(code(&missing), REFUSED);
}

#[test]
fn mail_settings_are_checked_kept_and_shown_without_their_password() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let configure = |arguments: &[&str]| {
        let all = [
            &["mail", "configure", "--from", "Shop <shop@host.example>"],
            arguments,
        ]
        .concat();
        desk(&folder, &all)
    };
    for (arguments, expected) in [
        (&[][..], USAGE),
        (&["--smtp", "smtp://mail.example", "--directory", "d"], USAGE),
        (
            &["--smtp", "smtp://mail.example", "--user", "u", "--unencrypted"],
            USAGE,
        ),
        (&["--directory", "d", "--user", "u"], USAGE),
        (&["--smtp", "https://mail.example"], REFUSED),
        (&["--smtp", "smtps://u:geheim@mail.example"], REFUSED),
        (&["--directory", "d", "--templates", "none"], REFUSED),
        (&["--smtp", "smtp://mail.example", "--trust", "none.pem"], REFUSED),
    ] {
        let refused = configure(arguments);
        assert_eq!(code(&refused), expected, "{arguments:?}: {}", err(&refused));
    }
    assert_eq!(
        code(&desk(&folder, &["mail", "show"])),
        REFUSED,
        "nothing was kept"
    );

    let kept = configure(&["--smtp", "smtp://mail.example", "--user", "joe"]);
    assert_eq!(code(&kept), DONE, "{}", err(&kept));
    let shown = json(&desk(&folder, &["mail", "show", "--json"]));
    assert_eq!(
        (
            &shown["smtp"]["port"],
            &shown["smtp"]["protection"],
            &shown["smtp"]["user"]
        ),
        (&587.into(), &"starttls".into(), &"joe".into())
    );
    for output in [kept, desk(&folder, &["mail", "show"])] {
        assert!(!out(&output).contains("a password of") && !err(&output).contains("a password of"));
    }
}

#[test]
fn templates_are_written_to_start_from_and_a_broken_one_is_named() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let written = json(&desk(&folder, &["mail", "templates", "own", "--json"]));
    assert_eq!(written["files"].as_array().map(Vec::len), Some(27));
    assert_eq!(code(&desk(&folder, &["mail", "templates", "own"])), REFUSED);
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--directory",
        "mails",
        "--templates",
        "own",
    ];
    assert_eq!(code(&desk(&folder, &configure)), DONE);
    let test = desk(&folder, &["mail", "test", "me@host.example", "--language", "el"]);
    assert_eq!(code(&test), DONE, "{}", err(&test));
    assert_eq!(
        std::fs::read_dir(folder.path().join("mails"))
            .expect("mails")
            .count(),
        1
    );

    std::fs::write(folder.path().join("own/en/welcome.html"), "{% if %}").expect("an edit");
    for arguments in [&configure[..], &["mail", "show"]] {
        let broken = desk(&folder, arguments);
        assert_eq!(code(&broken), REFUSED);
        assert!(
            err(&broken).contains("template `en/welcome.html`"),
            "{}",
            err(&broken)
        );
    }
}

#[test]
fn a_mail_server_that_is_not_there_is_no_answer() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = socket.local_addr().expect("its address");
    drop(socket);
    let configure = configure_at(address);
    let configure: Vec<&str> = configure.iter().map(String::as_str).collect();
    assert_eq!(code(&desk(&folder, &configure)), DONE);
    let test = desk(&folder, &["mail", "test", "me@host.example"]);
    assert_eq!(code(&test), NO_ANSWER, "{}", err(&test));
    assert!(err(&test).contains(&address.to_string()), "{}", err(&test));
}

/// The most time that anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that goes on by itself, and is killed where a test fails before it has ended.
struct Running(Child);

impl Running {
    fn start(scenario: &Scenario, arguments: &[&str]) -> Self {
        let mut command = scenario.command(arguments);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program runs"))
    }

    /// Waits for the end, and returns the exit code.
    fn code(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program ends", || {
            status = self.0.try_wait().expect("its state");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shop whose e-mails go to a mail server.
async fn mailing(server: &MailStub) -> (Scenario, String) {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let configure = server.configure();
    let configure: Vec<&str> = configure.iter().map(String::as_str).collect();
    assert_eq!(code(&scenario.bss_host(&configure)), DONE);
    (scenario, offer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_never_answers_quit_holds_up_no_run_and_no_signal() {
    let server = MailStub::start();
    server.says("QUIT", None);
    let (scenario, offer) = mailing(&server).await;
    scenario.order(&offer, 1).await;
    assert_eq!(Running::start(&scenario, &["run", "--once"]).code(), Some(DONE));
    assert_eq!(server.taken(), 1);

    let mut worker = Running::start(&scenario, &["run"]);
    for more in 2..=4 {
        scenario.order(&offer, 1).await;
        until("the next e-mail is sent", || server.taken() == more);
    }
    send_signal("TERM", &worker.0);
    worker.code();
    let listed = json(&scenario.bss_host(&["mail", "list", "--json"]));
    let listed = listed.as_array().expect("a list");
    assert!(
        listed
            .iter()
            .all(|mail| mail["state"] == "sent" && mail["attempts"] == 1),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_silent_after_a_message_holds_up_no_signal() {
    for arguments in [&["run", "--once"][..], &["run"]] {
        let server = MailStub::start();
        server.says(".", None);
        let (scenario, offer) = mailing(&server).await;
        scenario.order(&offer, 1).await;
        let mut worker = Running::start(&scenario, arguments);
        until("the message is taken", || server.taken() == 1);
        send_signal("TERM", &worker.0);
        worker.code();
        let listed = json(&scenario.bss_host(&["mail", "list", "--json"]));
        assert_eq!(listed[0]["state"], "pending", "whether it was taken is not known");
        server.behaves(".");
        assert_eq!(code(&scenario.bss_host(&["mail", "retry", "--all"])), DONE);
        assert_eq!(code(&scenario.bss_host(&["run", "--once"])), DONE);
        assert_eq!(server.taken(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_all_e_mails_is_told_wherever_e_mail_is_shown_until_it_is_seen_to() {
    let server = MailStub::start();
    server.says("RCPT", Some("554 5.7.1 Relay access denied"));
    let (scenario, offer) = mailing(&server).await;
    let tells = |output: &Output| {
        let told = err(output);
        assert!(
            told.contains("all e-mails wait since")
                && told.contains("does not pass e-mails on for this host (554 5.7.1)"),
            "{told}"
        );
        assert!(
            told.contains("hint: log in to the mail server with a user"),
            "{told}"
        );
    };
    scenario.order(&offer, 3).await;
    let worked = scenario.bss_host(&["run", "--once"]);
    assert_eq!(code(&worked), NO_ANSWER);
    tells(&worked);
    let logged = err(&worked);
    assert_eq!(
        logged.matches("all e-mails wait, and one at a time").count(),
        1,
        "{logged}"
    );
    for arguments in [&["mail", "show"][..], &["mail", "list"], &["run", "--once"]] {
        tells(&scenario.bss_host(arguments));
    }
    let shown = json(&scenario.bss_host(&["mail", "show", "--json"]));
    assert_eq!(shown["stop"]["problem"]["code"], "mail-relay-denied");
    let failed = json(&scenario.bss_host(&["mail", "list", "--failed", "--json"]));
    assert_eq!(failed, Value::Array(Vec::new()), "no e-mail fails because of us");
    let test = scenario.bss_host(&["mail", "test", "me@host.example"]);
    assert_eq!(code(&test), NO_ANSWER);
    assert!(
        err(&test).contains("554 5.7.1 Relay access denied"),
        "{}",
        err(&test)
    );

    server.behaves("RCPT");
    assert_eq!(
        code(&scenario.bss_host(&["mail", "test", "me@host.example"])),
        DONE
    );
    let shown = json(&scenario.bss_host(&["mail", "show", "--json"]));
    assert_eq!(shown["stop"], Value::Null);
    assert_eq!(code(&scenario.bss_host(&["run", "--once"])), DONE);
    assert_eq!(server.taken(), 1 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_can_t_be_mailed_to_is_refused_before_anything_is_bought() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let place = |email: &str| {
        let customer = CUSTOMER.map(|word| if word.contains('@') { email } else { word });
        scenario.bss_host(&[&["order", "place", INSTANCE, "--offer", &offer][..], &customer].concat())
    };
    for email in ["\"it dept\"@beispiel.example", "it@[192.0.2.1]"] {
        let refused = place(email);
        assert_eq!(code(&refused), REFUSED, "{email}");
        assert!(err(&refused).contains("e-mail address"), "{}", err(&refused));
    }
    assert_eq!(scenario.assets().await.len(), 0);
    assert_eq!(code(&place("it@beispiel.example")), DONE);
}

#[test]
fn a_login_with_an_access_token_and_a_greeting_are_configured_and_shown() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let thumbprint = "A9993E364706816ABA3E25717850C26C9CD0D89D";
    let configure = |arguments: &[&str]| {
        let server = [
            "--from",
            "shop@contoso.example",
            "--smtp",
            "smtp://mail.example",
            "--user",
            "shop@contoso.example",
        ];
        desk(
            &folder,
            &[&["mail", "configure"][..], &server, arguments].concat(),
        )
    };
    let tenant = [
        "--tenant",
        "contoso.example",
        "--client-id",
        "c-1",
        "--certificate",
        thumbprint,
    ];
    for (arguments, expected) in [
        (&["--tenant", "contoso.example"][..], USAGE),
        (&tenant[..4], USAGE),
        (&["--client-id", "c-1"], USAGE),
        (&["--scope", "s"], USAGE),
        (&[&tenant[..], &["--password-file", "p"]].concat(), USAGE),
        (
            &[&tenant[..], &["--login-authority", "https://login.example"]].concat(),
            USAGE,
        ),
        (&[&tenant[..], &["--login-authority", ""]].concat(), USAGE),
        (
            &["--tenant", "a/b", "--client-id", "c", "--certificate", thumbprint],
            USAGE,
        ),
        (&[&tenant[..], &["--client-id", "c 1"]].concat(), USAGE),
        (&[&tenant[..], &["--scope", ""]].concat(), REFUSED),
        (&["--hello-name", "vm"], REFUSED),
    ] {
        let refused = configure(arguments);
        assert_eq!(code(&refused), expected, "{arguments:?}: {}", err(&refused));
    }
    assert_eq!(
        code(&configure(
            &[&tenant[..], &["--hello-name", "host.example.com"]].concat()
        )),
        DONE
    );
    let shown = json(&desk(&folder, &["mail", "show", "--json"]));
    let login = &shown["smtp"]["accessToken"];
    assert_eq!(
        login["tokenEndpoint"],
        "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    );
    assert_eq!(login["scope"], "https://outlook.office365.com/.default");
    assert_eq!(
        (&login["clientId"], &login["certificate"]),
        (&"c-1".into(), &thumbprint.into())
    );
    assert_eq!(shown["smtp"]["helloName"], "host.example.com");
    let text = out(&desk(&folder, &["mail", "show"]));
    assert!(
        text.contains("login.microsoftonline.com") && text.contains("host.example.com"),
        "{text}"
    );
    let elsewhere = [
        &tenant[..],
        &[
            "--login-authority",
            "login.microsoftonline.us",
            "--scope",
            "https://outlook.office365.us/.default",
        ],
    ]
    .concat();
    assert_eq!(code(&configure(&elsewhere)), DONE);
    let shown = json(&desk(&folder, &["mail", "show", "--json"]));
    assert_eq!(
        shown["smtp"]["accessToken"]["tokenEndpoint"],
        "https://login.microsoftonline.us/contoso.example/oauth2/v2.0/token"
    );
}

#[test]
fn single_mail_settings_are_changed_without_the_password_and_never_show_it_to_another_server() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let set = |arguments: &[&str]| desk(&folder, &[&["mail", "set"], arguments].concat());
    let without_password = |arguments: &[&str]| {
        let all = [&["mail", "set"], arguments].concat();
        Command::new(bss_host())
            .args(all)
            .arg("--data-dir")
            .arg(folder.path().join("bss"))
            .env_remove("BSS_SMTP_PASSWORD")
            .output()
            .expect("the program runs")
    };
    assert_eq!(
        code(&set(&["--from", "shop@host.example"])),
        REFUSED,
        "there are none"
    );
    assert_eq!(code(&set(&[])), USAGE);
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--smtp",
        "smtps://mail.example",
        "--user",
        "shop",
    ];
    assert_eq!(code(&desk(&folder, &configure)), DONE);

    let changed = without_password(&[
        "--from",
        "Store <store@host.example>",
        "--hello-name",
        "host.example.com",
        "--json",
    ]);
    let changed = json(&changed);
    assert_eq!(changed["from"], "Store <store@host.example>");
    assert_eq!(
        (
            &changed["smtp"]["user"],
            &changed["smtp"]["helloName"],
            &changed["smtp"]["port"]
        ),
        (&"shop".into(), &"host.example.com".into(), &465.into())
    );
    let moved = without_password(&["--smtp", "smtp://mail.example:2525", "--hello-name", ""]);
    assert_eq!(code(&moved), DONE, "{}", err(&moved));
    let elsewhere = without_password(&["--smtp", "smtps://other.example"]);
    assert_eq!(code(&elsewhere), REFUSED);
    assert!(
        err(&elsewhere).contains("BSS_SMTP_PASSWORD"),
        "{}",
        err(&elsewhere)
    );
    let shown = json(&desk(&folder, &["mail", "show", "--json"]));
    assert_eq!(
        (
            &shown["smtp"]["host"],
            &shown["smtp"]["port"],
            &shown["smtp"]["helloName"]
        ),
        (&"mail.example".into(), &2525.into(), &Value::Null)
    );
    assert_eq!(
        code(&set(&["--smtp", "smtps://other.example"])),
        DONE,
        "with the password"
    );
    assert_eq!(code(&set(&["--smtp", "other.example"])), REFUSED);
    assert_eq!(code(&set(&["--user", ""])), DONE);
    let shown = json(&desk(&folder, &["mail", "show", "--json"]));
    assert_eq!(shown["smtp"]["user"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_is_set_shown_and_in_the_preview_which_sends_nothing() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 1).await;
    let seller = ["mail", "seller", INSTANCE];
    let none = json(&scenario.bss_host(&[&seller[..], &["--json"]].concat()));
    assert_eq!(none["name"], Value::Null);
    let wrong = scenario.bss_host(&[&seller[..], &["--support-phone", "1"]].concat());
    assert_eq!(code(&wrong), REFUSED, "without a name");
    let named = [
        "--name",
        "Beispiel GmbH",
        "--address",
        "Hauptstraße 1",
        "--bcc",
        "kopie@host.example",
        "--json",
    ];
    json(&scenario.bss_host(&[&seller[..], &named].concat()));
    let phoned = json(
        &scenario.bss_host(&[&seller[..], &["--support-phone", "030 1", "--bcc", "", "--json"]].concat()),
    );
    assert_eq!(
        (&phoned["name"], &phoned["supportPhone"], &phoned["bcc"]),
        (&"Beispiel GmbH".into(), &"030 1".into(), &Value::Null)
    );

    let order = assets[0].order_id.to_string();
    let shown = scenario.bss_host(&["mail", "preview", &order, "--language", "de"]);
    assert_eq!(code(&shown), DONE, "{}", err(&shown));
    let html = out(&shown);
    assert!(
        html.contains("<html lang=\"de\">") && html.contains("Verkauft von Beispiel GmbH"),
        "{html}"
    );
    let file = scenario.folder.path().join("mail.html");
    let asset = assets[0].id.to_string();
    let to_file = [
        "mail",
        "preview",
        &asset,
        "--language",
        "de",
        "--out",
        file.to_str().expect("text"),
    ];
    let written = scenario.bss_host(&to_file);
    assert_eq!((code(&written), out(&written).as_str()), (DONE, ""));
    let written = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(written.trim_end(), html.trim_end());
    let key = scenario.secrets(&assets).await.remove(0).product_key;
    assert!(!html.contains(key.expose()));
    let whole = json(&scenario.bss_host(&["mail", "preview", &asset, "--show-keys", "--json"]));
    assert!(whole[0]["text"].as_str().expect("text").contains(key.expose()));
    let nil = uuid::Uuid::nil().to_string();
    assert_eq!(code(&scenario.bss_host(&["mail", "preview", &nil])), REFUSED);
    assert_eq!(
        json(&scenario.bss_host(&["mail", "list", "--pending", "--json"]))[0]["attempts"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_sends_one_e_mail_for_an_order_and_one_for_a_return_where_that_is_chosen() {
    let scenario = Scenario::selling().await;
    let choices = ["mail", "choices", INSTANCE];
    let shown = out(&scenario.bss_host(&choices));
    assert!(
        shown.contains("for each license, and none for a return"),
        "{shown}"
    );
    let chosen = [
        &choices[..],
        &["--on-return", "on", "--per-order", "on", "--json"],
    ]
    .concat();
    let chosen = json(&scenario.bss_host(&chosen));
    assert_eq!(
        (&chosen["onReturn"], &chosen["perOrder"]),
        (&true.into(), &true.into())
    );

    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 2).await;
    let order = assets[0].order_id.to_string();
    let preview = json(&scenario.bss_host(&["mail", "preview", &order, "--json"]));
    assert_eq!(preview.as_array().map(Vec::len), Some(1), "{preview}");
    let mails = scenario.folder.path().join("mails");
    let configure = ["mail", "configure", "--from", "shop@host.example", "--directory"];
    let configure = [&configure[..], &[mails.to_str().expect("text")]].concat();
    assert_eq!(code(&scenario.bss_host(&configure)), DONE);
    assert_eq!(code(&scenario.bss_host(&["run", "--once"])), DONE);
    json(&scenario.bss_host(&["asset", "cancel", &assets[1].id.to_string(), "--json"]));
    assert_eq!(code(&scenario.bss_host(&["run", "--once"])), DONE);

    let files = std::fs::read_dir(&mails).expect("the e-mails");
    let files = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = files.collect();
    files.sort();
    let [of_order, of_return] = <[String; 2]>::try_from(files).expect("two e-mails");
    assert!(of_order.starts_with("order-"), "{of_order}");
    assert_eq!(of_return, format!("return-{}.eml", assets[1].id));
    let listed = json(&scenario.bss_host(&["mail", "list", "--order", &order, "--json"]));
    let told: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|mail| (&mail["kind"], &mail["state"]))
        .collect();
    assert_eq!(told.len(), 3, "{listed}");
    assert!(told.iter().all(|(_, state)| **state == "sent"), "{listed}");
    let counted = |filter: &[&str]| {
        let listed = json(&scenario.bss_host(&[&["mail", "list", "--json"], filter].concat()));
        listed.as_array().map(Vec::len)
    };
    let customer = assets[0].id.to_string();
    let customer =
        json(&scenario.bss_host(&["asset", "show", &customer, "--json"]))["customer"]["id"].clone();
    let customer = customer.as_str().expect("an id");
    for (filter, count) in [
        (&["--kind", "welcome"][..], 2),
        (&["--kind", "return"], 1),
        (&["--customer", customer], 3),
        (&["--customer", customer, "--kind", "return"], 1),
        (&["--customer", "nobody"], 0),
        (&["--kind", "return", "--failed"], 0),
    ] {
        assert_eq!(counted(filter), Some(count), "{filter:?}");
    }
    let of_order = listed.as_array().expect("a list").iter();
    let of_order: Vec<_> = of_order.filter(|mail| mail["kind"] == "welcome").collect();
    assert_eq!(of_order.len(), 2, "{listed}");
    assert!(of_order[0]["sentWith"].is_string(), "{listed}");
    assert_eq!(of_order[0]["sentWith"], of_order[1]["sentWith"]);
    let returned = json(&scenario.bss_host(&["mail", "preview", &assets[1].id.to_string(), "--json"]));
    assert!(
        returned[0]["text"]
            .as_str()
            .expect("text")
            .contains("ESD-CR-000001"),
        "{returned}"
    );
}

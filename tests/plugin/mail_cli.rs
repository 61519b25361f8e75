//! `bss-host mail` and `bss-host invoice`: what an operator sees of e-mails and invoices, never a product key.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::component::bss_host;
use crate::scenario::{DONE, NO_ANSWER, REFUSED, Scenario, USAGE, assert_ends, result};

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
async fn an_operator_finds_every_license_invoiced_and_mailed_and_no_key_in_it() {
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
    let invoice = json(&scenario.bss_host(&["invoice", "show", &order, "--json"]));
    let all = json(&scenario.bss_host(&["invoice", "list", "--json"]));
    assert_eq!(all, Value::Array(vec![invoice.clone()]));
    assert_eq!(
        (&invoice["number"], &invoice["orderId"]),
        (&1.into(), &order.as_str().into())
    );
    let price = assets[0].price.as_ref().expect("it has a price").minor_units;
    assert_eq!(invoice["total"]["minorUnits"], 2 * price);
    assert_eq!(invoice["lines"].as_array().map(Vec::len), Some(2));

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
        vec!["invoice", "list"],
        vec!["invoice", "show", &order],
    ] {
        let shown = scenario.bss_host(&arguments);
        for secrets in scenario.secrets(&assets).await {
            let key = secrets.product_key.expose();
            assert!(!out(&shown).contains(key) && !err(&shown).contains(key));
        }
    }
    let missing = scenario.bss_host(&["invoice", "show", &uuid::Uuid::nil().to_string()]);
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
    assert_eq!(written["files"].as_array().map(Vec::len), Some(9));
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
    let port = socket.local_addr().expect("its address").port();
    drop(socket);
    let url = format!("smtp://127.0.0.1:{port}");
    let configure = [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--unencrypted",
        "--smtp",
        &url,
    ];
    assert_eq!(code(&desk(&folder, &configure)), DONE);
    let test = desk(&folder, &["mail", "test", "me@host.example"]);
    assert_eq!(code(&test), NO_ANSWER, "{}", err(&test));
    assert!(
        err(&test).contains(&format!("127.0.0.1:{port}")),
        "{}",
        err(&test)
    );
}

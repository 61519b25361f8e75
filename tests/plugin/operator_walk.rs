//! An operator who has read the page fills in the form on the command line, and makes every mistake once.

use std::collections::BTreeMap;

use bss_simulator::{CertificateRequest, ExtendedKeyUsage, KeyKind, Operation};
use serde_json::json;

use crate::scenario::result;
use crate::scenario::{INSTANCE, Scenario, actor, credentials, me, problems, selection};

type Typed = BTreeMap<String, String>;

fn configure(scenario: &Scenario, typed: &Typed, options: &[&str]) -> std::process::Output {
    let set: Vec<String> = typed
        .iter()
        .map(|(field, value)| format!("--set={field}={value}"))
        .collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    scenario.bss_host(&[&["instance", "configure", INSTANCE], options, &set[..]].concat())
}

fn assert_saves(scenario: &Scenario, typed: &Typed) {
    let output = configure(scenario, typed, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Checks that the form is refused for the reasons that these words name, and that the instance is as it was.
async fn assert_refused(scenario: &Scenario, typed: &Typed, words: &[&str]) {
    let saved = async || {
        scenario
            .host
            .named_instance(INSTANCE)
            .await
            .expect("the instance")
    };
    let before = saved().await;
    let output = configure(scenario, typed, &[]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{typed:?}: {error}");
    for words in words {
        assert!(error.contains(words), "`{words}` in: {error}");
    }
    assert!(error.contains("hint: "), "{error}");
    assert_eq!(saved().await, before, "nothing is saved");
}

/// Replaces the value of one field.
fn with(values: &Typed, field: &str, value: &str) -> Typed {
    let mut values = values.clone();
    values.insert(field.to_owned(), value.to_owned());
    values
}

fn create(scenario: &Scenario) {
    let details = scenario.microsoft.details();
    let login = format!("login-authority={}", details.login_authority);
    let ca_file = details.ca_file.display().to_string();
    let create = [
        "instance",
        "create",
        INSTANCE,
        "--currency",
        "EUR",
        "--option",
        &login,
    ];
    let reach = [
        "--trust",
        &ca_file,
        "--allow-network",
        "127.0.0.0/8",
        "--allow-network",
        "::1/128",
    ];
    let output = scenario.bss_host(&[&create[..], &reach].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

async fn mistakes_in_the_first_stage(scenario: &Scenario, right: &Typed, thumbprint: &str) {
    let mut incomplete = right.clone();
    incomplete.remove("client-id");
    assert_refused(scenario, &incomplete, &["Client ID", "(missing)"]).await;
    let plain = with(right, "service-url", "http://api.example.com/esd");
    let plain = with(&with(&plain, "tenant", "contoso"), "channel-id", "1234\u{7}5678");
    let words = [
        "Service URL (`service-url`)",
        "(url-not-https)",
        "Azure Active Directory Tenant (`tenant`)",
        "(not-a-tenant)",
        "Channel ID (`channel-id`)",
        "U+0007",
    ];
    assert_refused(scenario, &plain, &words).await;
    let pasted = with(right, "resource-api", "https://user:secret@api.example.com");
    let pasted = with(
        &with(&pasted, "client-id", "1234"),
        "channel-id",
        "1234\u{200B}5678",
    );
    let pasted = with(&pasted, "system-name", &"n".repeat(101));
    let words = [
        "Recourse API (`resource-api`)",
        "(url-with-credentials)",
        "Client ID (`client-id`)",
        "(not-a-guid)",
        "U+200B",
        "System Name (`system-name`)",
        "(too-long)",
    ];
    assert_refused(scenario, &pasted, &words).await;
    // Fields of the second stage are named too when both stages come at once.
    let mut both = right.clone();
    both.extend(selection(thumbprint));
    let labels = [
        "Certificate Thumbprint",
        "Country",
        "Language",
        "(not-yet-enabled)",
    ];
    assert_refused(scenario, &both, &labels).await;
    assert_refused(
        scenario,
        &with(right, "color", "blue"),
        &["`color`", "system-name"],
    )
    .await;
}

/// The certificates that can't be chosen are in the list, each with its reason.
async fn mistakes_with_the_certificate(scenario: &Scenario, right: &Typed) {
    let ecdsa = CertificateRequest {
        key: KeyKind::EcdsaP256,
        ..CertificateRequest::default()
    };
    let server_only = CertificateRequest {
        usage: ExtendedKeyUsage::Server,
        ..CertificateRequest::default()
    };
    let ecdsa = scenario.install(&ecdsa).await.to_string();
    let server_only = scenario.install(&server_only).await.to_string();
    let field = "certificate-thumbprint";
    for (thumbprint, words) in [
        (
            "AB".repeat(20),
            ["(certificate-not-installed)", "Import the PFX file"],
        ),
        ("not one".to_owned(), ["(not-a-thumbprint)", "from the list"]),
        (ecdsa.clone(), ["(certificate-unusable)", "RSA is needed"]),
        (
            server_only.clone(),
            ["(certificate-unusable)", "client authentication"],
        ),
    ] {
        assert_refused(scenario, &with(right, field, &thumbprint), &words).await;
    }
    let shown = scenario.bss_host(&["instance", "show", INSTANCE, "--json"]);
    let shown = result(&shown);
    let choices = shown["fields"][6]["choices"].as_array().expect("choices");
    let reason = |thumbprint: &str| {
        let choice = choices.iter().find(|choice| choice["key"] == thumbprint);
        choice
            .and_then(|choice| choice["unusableBecause"].as_str())
            .expect("the choice")
    };
    assert_eq!(reason(&right[field]), "");
    assert!(reason(&ecdsa).contains("RSA"));
    assert!(reason(&server_only).contains("client authentication"));
}

/// The clashes with an instance for Austria that has the same Client ID and a certificate of its own.
async fn clashes_with_another_instance(scenario: &Scenario, right: &Typed) {
    let austrian = scenario.install(&CertificateRequest::default()).await.to_string();
    scenario.new_instance("austria").await;
    let first = with(
        &credentials(scenario.microsoft.details()),
        "system-name",
        "austria",
    );
    assert!(
        scenario
            .host
            .configure("austria", &first, &actor())
            .await
            .expect("the form")
            .saved
    );
    let second = with(&with(&selection(&austrian), "country", "AT"), "language", "de-AT");
    let form = scenario
        .host
        .configure("austria", &second, &actor())
        .await
        .expect("the form");
    assert!(form.saved, "{:?}", problems(&form));

    assert_refused(scenario, right, &["Client ID", "(client-id-in-use)", "`austria`"]).await;
    let same_certificate = with(right, "certificate-thumbprint", &austrian);
    let words = ["(certificate-in-use)", "`austria`", "Country, Language"];
    assert_refused(scenario, &same_certificate, &words).await;
    let same_name: Typed = [("system-name".to_owned(), "Austria".to_owned())].into();
    assert_refused(scenario, &same_name, &["(system-name-in-use)", "`austria`"]).await;
    // A Client ID of its own for Austria ends the clash.
    let own: Typed = [("client-id".to_owned(), uuid::Uuid::new_v4().to_string())].into();
    assert!(
        scenario
            .host
            .configure("austria", &own, &actor())
            .await
            .expect("the form")
            .saved
    );
}

async fn changes_once_licenses_exist(scenario: &Scenario) {
    let changes = [
        ("country", "FR"),
        ("language", "fr-FR"),
        ("channel-id", "another"),
    ];
    let changes: Typed = changes
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .into();
    let words = [
        "Country can't be changed from `DE`",
        "Language can't be changed from `de-DE`",
        "Channel ID can't be changed from",
        "(licenses-depend-on-it)",
        "Create another instance",
    ];
    assert_refused(scenario, &changes, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_makes_every_mistake_learns_which_one_and_then_succeeds() {
    let scenario = Scenario::start().await;
    let issued = scenario
        .microsoft
        .issue_client_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let pfx = scenario.pfx(&issued, "a code").display().to_string();
    let code = scenario.folder.path().join("code");
    std::fs::write(&code, "a code\n").expect("the code is written");
    let code = code.display().to_string();
    let imported = scenario.bss_host(&["certificate", "import", &pfx, "--code-file", &code]);
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");
    create(&scenario);

    let first = credentials(scenario.microsoft.details());
    mistakes_in_the_first_stage(&scenario, &first, &issued.thumbprint).await;
    // Blanks around a value are no mistake.
    assert_saves(&scenario, &with(&first, "system-name", "  Microsoft ESD  "));

    let second = selection(&issued.thumbprint);
    let in_words = with(&with(&second, "country", "Germany"), "language", "german");
    assert_refused(
        &scenario,
        &in_words,
        &["(not-a-country)", "(not-a-language)", "from the list"],
    )
    .await;
    mistakes_with_the_certificate(&scenario, &second).await;
    clashes_with_another_instance(&scenario, &second).await;
    assert_eq!(
        scenario.microsoft.faults().requests_seen(Operation::AccessToken),
        0,
        "nobody was asked"
    );

    // The thumbprint as it is copied from the certificate dialog of Windows, with the invisible mark before it.
    let pairs: Vec<String> = issued
        .thumbprint
        .to_lowercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    let copied = format!("\u{200E}{}", pairs.join(" "));
    assert_saves(&scenario, &with(&second, "certificate-thumbprint", &copied));
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert_eq!(instance.version, 2, "one save for each stage");
    assert_eq!(instance.values["system-name"], "Microsoft ESD");
    let checked = scenario.bss_host(&["instance", "check", INSTANCE]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");

    let fetched = scenario.bss_host(&["services", "fetch", INSTANCE]);
    assert_eq!(fetched.status.code(), Some(0), "{fetched:?}");
    scenario.sell_all(INSTANCE).await;
    let offer = scenario.offers().await.remove(0);
    scenario.order(&offer, 1).await;
    assert_eq!(scenario.issued().await.len(), 1);
    changes_once_licenses_exist(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_edit_at_once_the_second_learns_who_was_faster() {
    let scenario = Scenario::ready().await;
    let shown = scenario.bss_host(&["instance", "show", INSTANCE, "--json"]);
    let shown = result(&shown);
    let based_on = shown["version"].to_string();
    let rename = |name: &str| -> Typed { [("system-name".to_owned(), name.to_owned())].into() };
    let first = configure(&scenario, &rename("one"), &["--based-on", &based_on]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let second = configure(&scenario, &rename("two"), &["--based-on", &based_on]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    for words in [format!("`{}`", me()).as_str(), "version 3, not 2"] {
        assert!(error.contains(words), "{error}");
    }

    let history = scenario.bss_host(&["instance", "history", INSTANCE, "--json"]);
    let history = result(&history);
    let saves = history.as_array().expect("a list");
    let who: Vec<_> = saves.iter().map(|save| &save["changedBy"]).collect();
    assert_eq!(who, ["test", "test", me().as_str()]);
    assert_eq!(
        saves[2]["changes"],
        json!({ "system-name": { "old": INSTANCE, "new": "one" } })
    );
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let thumbprint = instance.thumbprint.expect("a certificate").to_string();
    assert!(saves[0]["certificateThumbprint"].is_null());
    assert_eq!(saves[1]["certificateThumbprint"], json!(thumbprint));
    assert_eq!(saves[0]["authorities"], json!([]));
    let servers = saves[1]["authorities"].as_array().expect("a list");
    assert_eq!(servers.len(), instance.authorities.len());
    assert!(saves[2]["changedAtMs"].as_i64() >= saves[1]["changedAtMs"].as_i64());
    let table = scenario.bss_host(&["instance", "history", INSTANCE]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let login = scenario.microsoft.details().login_authority.as_str();
    let servers = ["(reaches)", login, "(certificate)", &thumbprint];
    for words in [
        &[me().as_str(), "system-name", "one", "country", "DE"][..],
        &servers,
    ]
    .concat()
    {
        assert!(table.contains(words), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_version_without_a_change_is_a_usage_error() {
    let scenario = Scenario::start().await;
    let output = scenario.bss_host(&["instance", "configure", INSTANCE, "--based-on", "1"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

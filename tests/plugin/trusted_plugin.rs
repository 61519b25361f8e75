//! Which plugin runs: the first one that a data directory has seen, then the one that an operator trusts.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use bss_model::{Act, ActFilter, Diagnose as _, PluginDigest};
use host_harness::{ConfigureError, Host, PluginError};
use serde_json::Value;

use crate::component::{bss_host, component};
use crate::guests::FormGuest;
use crate::scenario::{INSTANCE, Scenario, actor};

/// A plugin of another content, which answers each form with one field of this name.
fn other_plugin(scenario: &Scenario, field: &str) -> PathBuf {
    let guest = FormGuest {
        fields: &[(field, 0, "")],
        reaches: &[],
        certificate_field: "",
    };
    let file = scenario.folder.path().join(format!("{field}.wasm"));
    std::fs::write(&file, guest.component()).expect("the guest is written");
    file
}

async fn open(scenario: &Scenario, plugin: &Path) -> Host {
    let data_dir = scenario.folder.path().join("bss");
    Host::open(&data_dir, plugin).await.expect("the host opens")
}

/// The name of the first field of the form that the plugin answers with.
async fn first_field(host: &Host) -> Result<String, ConfigureError> {
    let form = host.form(INSTANCE).await?.form;
    Ok(form.fields[0].id.clone())
}

async fn digest(host: &Host) -> PluginDigest {
    host.plugin_digest().await.expect("the file is read")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_plugin_is_trusted_and_another_is_refused_until_it_is_trusted_in_its_place() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let record = scenario.host.record();
    assert_eq!(
        first_field(&scenario.host).await.expect("it answers"),
        "system-name"
    );
    let first = record
        .trusted_plugin()
        .await
        .expect("the record")
        .expect("it is trusted");
    assert_eq!(first.digest, digest(&scenario.host).await);
    assert_eq!(Path::new(&first.path), component());

    let file = other_plugin(&scenario, "other");
    let other = open(&scenario, &file).await;
    let refused = first_field(&other).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "plugin-not-trusted");
    for digest in [first.digest, digest(&other).await] {
        assert!(refused.to_string().contains(&digest.to_string()), "{refused}");
    }
    assert_eq!(record.trusted_plugins().await.expect("the record").len(), 1);

    other.trust_plugin(&file, &actor()).await.expect("it is trusted");
    assert_eq!(first_field(&other).await.expect("it answers"), "other");
    // A start with the former plugin is refused now, and the way back is one command too.
    let former = open(&scenario, component()).await;
    let refused = first_field(&former).await;
    assert!(
        matches!(
            refused,
            Err(ConfigureError::Plugin(PluginError::NotTrusted { .. }))
        ),
        "{refused:?}"
    );
    former
        .trust_plugin(component(), &actor())
        .await
        .expect("it is trusted");
    assert_eq!(first_field(&former).await.expect("it answers"), "system-name");

    let acts = record
        .acts(&ActFilter::default(), NonZeroU32::MAX)
        .await
        .expect("acts");
    let who = acts.into_iter().filter(|act| act.act == Act::TrustPlugin);
    let who: Vec<_> = who.map(|act| act.actor.to_string()).collect();
    assert_eq!(who, ["host first use", "operator test", "operator test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_content_has_changed_is_refused() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let file = other_plugin(&scenario, "plugin");
    let host = open(&scenario, &file).await;
    assert_eq!(first_field(&host).await.expect("it answers"), "plugin");
    std::fs::copy(other_plugin(&scenario, "planted"), &file).expect("it is replaced");
    assert_eq!(first_field(&host).await.expect("what is loaded stays"), "plugin");
    let refused = first_field(&open(&scenario, &file).await).await;
    assert!(
        matches!(
            refused,
            Err(ConfigureError::Plugin(PluginError::NotTrusted { .. }))
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_never_trusted() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let file = scenario.folder.path().join("text.wasm");
    std::fs::write(&file, "no plugin").expect("a file");
    let host = open(&scenario, &file).await;
    assert!(first_field(&host).await.is_err());
    let refused = host
        .trust_plugin(&file, &actor())
        .await
        .expect_err("it is no plugin");
    assert_eq!(refused.diagnosis().code, "not-a-component");
    assert_eq!(host.record().trusted_plugin().await.expect("the record"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_is_on_record_with_the_plugin_that_judged_it() {
    let scenario = Scenario::ready().await;
    let history = scenario.bss_host(&["instance", "history", INSTANCE, "--json"]);
    let history: Value = serde_json::from_slice(&history.stdout).expect("one JSON value");
    let digest = digest(&scenario.host).await.to_string();
    for version in history.as_array().expect("a list") {
        assert_eq!(version["pluginSha256"], digest.as_str(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_what_to_do_and_upgrades_with_one_command() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let file = other_plugin(&scenario, "other").display().to_string();
    let run = |plugin: &Path, arguments: &[&str]| {
        Command::new(bss_host())
            .args(arguments)
            .arg("--data-dir")
            .arg(scenario.folder.path().join("bss"))
            .env("BSS_PLUGIN", plugin)
            .output()
            .expect("the program runs")
    };
    let json = |plugin: &Path, arguments: &[&str]| -> Value {
        let output = run(plugin, &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("one JSON value")
    };
    let other = Path::new(&file);
    let before = json(component(), &["plugin", "show"]);
    assert_eq!(
        (&before["trusted"], &before["trustedPlugin"]),
        (&Value::from(false), &Value::Null)
    );
    json(component(), &["instance", "show", INSTANCE]);
    assert_eq!(json(component(), &["plugin", "show"])["trusted"], true);
    assert_eq!(json(other, &["plugin", "show"])["trusted"], false);

    let refused = run(other, &["instance", "show", INSTANCE]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let idle = run(other, &["run", "--once"]);
    assert_eq!(
        idle.status.code(),
        Some(1),
        "a worker does not even begin: {idle:?}"
    );
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let advice = format!("`bss-host plugin trust {file}`");
    let digests = [&before["sha256"], &json(other, &["plugin", "show"])["sha256"]];
    let digests = digests.map(|digest| digest.as_str().expect("a digest").to_owned());
    for words in [&advice, &digests[0], &digests[1]] {
        assert!(error.contains(words), "`{words}` in: {error}");
    }

    let trusted = json(component(), &["plugin", "trust", &file]);
    assert_eq!(
        (&trusted["sha256"], &trusted["path"]),
        (&Value::from(digests[1].as_str()), &Value::from(file.as_str()))
    );
    assert_eq!(
        json(other, &["instance", "show", INSTANCE])["fields"][0]["id"],
        "other"
    );
    assert_eq!(
        run(component(), &["instance", "show", INSTANCE]).status.code(),
        Some(1)
    );
    let all = json(component(), &["plugin", "list"]);
    let all: Vec<_> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|plugin| &plugin["sha256"])
        .collect();
    assert_eq!(all, [digests[0].as_str(), digests[1].as_str()]);
}

#[test]
fn a_plugin_that_lies_in_the_working_directory_is_not_taken() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let planted = [
        "microsoft_esd.wasm",
        "target/wasm32-wasip2/plugin/microsoft_esd.wasm",
    ];
    for file in planted.map(|file| folder.path().join(file)) {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, "planted").expect("a file");
    }
    let shown = Command::new(bss_host())
        .args(["plugin", "show", "--json"])
        .current_dir(folder.path())
        .env("BSS_DATA_DIR", folder.path().join("bss"))
        .env_remove("BSS_PLUGIN")
        .output()
        .expect("the program runs");
    // The built one may be there or not; the planted one is not looked at.
    let told: Value = serde_json::from_slice(&shown.stdout).expect("one JSON value");
    let target = bss_host()
        .ancestors()
        .nth(2)
        .expect("the target folder")
        .display()
        .to_string();
    let text = told.to_string();
    assert!(
        text.contains(&target) && !text.contains(&folder.path().display().to_string()),
        "{text}"
    );
}

/// Trusts the plugin of a file in place of the one before, for a test of several.
pub(crate) async fn trusting(host: Host, file: &Path) -> Host {
    host.trust_plugin(file, &actor()).await.expect("it is trusted");
    host
}

/// A host in the scenario's data directory that runs another plugin, of its own content.
pub(crate) async fn running(scenario: &Scenario, component: &[u8]) -> Host {
    let name = format!("{}.wasm", uuid::Uuid::new_v4());
    let file = scenario.folder.path().join(name);
    std::fs::write(&file, component).expect("the plugin is written");
    trusting(open(scenario, &file).await, &file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_plugin_is_not_even_shown() {
    let scenario = Scenario::ready().await;
    let other = open(&scenario, &other_plugin(&scenario, "other")).await;
    let typed: BTreeMap<String, String> = [("other".to_owned(), "x".to_owned())].into();
    let refused = other.configure(INSTANCE, &typed, &actor()).await;
    assert!(matches!(refused, Err(ConfigureError::Plugin(_))));
}

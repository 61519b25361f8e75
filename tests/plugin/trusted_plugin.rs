//! Which plugin runs: the first one that a data directory has seen, those that an operator trusts, and for each instance its own.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

use bss_model::{Act, ActFilter, AddedPlugin, Diagnose as _, NewInstance, Reach, Thumbprint};
use bss_record::RECORD_FILE;
use bss_simulator::CertificateRequest;
use host_harness::{ConfigureError, Host, OfPlugin, PluginError, plugin_digest};
use serde_json::{Value, json};

use crate::cli::assert_fails;
use crate::component::{bss_host, component, initialize};
use crate::guests::{FormGuest, component as guest_component, module};
use crate::record_cli::{ORIGINAL, alter};
use crate::record_place;
use crate::scenario::{
    DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, USAGE, actor, assert_ends, give_plugin, order_request,
    silent,
};

/// A plugin of another content, which answers each form with fields of these names.
fn other_plugin(scenario: &Scenario, name: &str, fields: &[&str]) -> PathBuf {
    let fields: Vec<_> = fields.iter().map(|&field| (field, 0, "")).collect();
    let guest = FormGuest {
        fields: &fields,
        reaches: &[],
        certificate_field: "",
    };
    let file = scenario.folder.path().join(format!("{name}.wasm"));
    std::fs::write(&file, guest.component()).expect("the guest is written");
    file
}

/// A plugin of that name among all, which answers each form with one field.
fn plugin_of(scenario: &Scenario, id: &str) -> PathBuf {
    assert_eq!(
        id.len(),
        "microsoft-esd".len(),
        "the description has room for that"
    );
    let file = other_plugin(scenario, id, &["other"]);
    let bytes = of_id(std::fs::read(&file).expect("the guest"), id);
    std::fs::write(&file, bytes).expect("the guest is written");
    file
}

/// The component with another name among all.
fn of_id(mut bytes: Vec<u8>, id: &str) -> Vec<u8> {
    let at = bytes
        .windows(id.len())
        .rposition(|bytes| bytes == b"microsoft-esd")
        .expect("its id");
    bytes[at..at + id.len()].copy_from_slice(id.as_bytes());
    bytes
}

/// Why an instance of another plugin can't have a certificate that Microsoft's uses.
async fn sharing(scenario: &Scenario, thumbprint: Thumbprint) -> ConfigureError {
    let thumbprint = thumbprint.to_string();
    let guest = FormGuest {
        fields: &[("identity", 0, &thumbprint)],
        reaches: &[],
        certificate_field: "identity",
    };
    let file = scenario.folder.path().join("borrower.wasm");
    std::fs::write(&file, of_id(guest.component(), "acme-keys-two")).expect("the guest is written");
    let added = scenario.host.add_plugin(&file, &actor()).await;
    let digest = added.expect("it is added").digest;
    let trusted = scenario.host.trust_plugin(digest, &actor()).await;
    trusted.expect("it is trusted");
    let upgraded = scenario
        .host
        .upgrade_instance("acme", Some(digest), &actor())
        .await;
    assert!(upgraded.expect("it is moved").saved);
    let typed: BTreeMap<String, String> = [("identity".to_owned(), thumbprint)].into();
    let configured = scenario.host.configure("acme", &typed, &actor()).await;
    configured.expect_err("it is refused")
}

async fn open(scenario: &Scenario, plugin: &Path) -> Host {
    let data_dir = scenario.folder.path().join("bss");
    record_place::open(&data_dir, plugin)
        .await
        .expect("the host opens")
}

/// The name of the first field of the form that the instance's plugin answers with.
async fn first_field(host: &Host) -> Result<String, ConfigureError> {
    let form = host.form(INSTANCE).await?.form;
    Ok(form.fields[0].id.clone())
}

async fn plugins(host: &Host) -> Vec<AddedPlugin> {
    host.record().plugins().await.expect("the record")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_plugin_is_trusted_and_another_is_refused_until_it_is_trusted_too() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    assert_eq!(
        first_field(&scenario.host).await.expect("it answers"),
        "system-name"
    );
    let first = plugins(&scenario.host).await.remove(0);
    assert_eq!(
        first.digest,
        plugin_digest(component()).await.expect("it is read")
    );
    assert_eq!(Path::new(&first.path), component());
    assert_eq!(
        (first.description.id.as_str(), first.description.vendor.as_str()),
        ("microsoft-esd", "Microsoft")
    );
    assert_eq!(
        first.trust.expect("it is trusted").by.to_string(),
        "host first use"
    );

    let file = other_plugin(&scenario, "other", &["other"]);
    let other = open(&scenario, &file).await;
    let refused = first_field(&other).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "plugin-not-trusted");
    let digest = plugin_digest(&file).await.expect("it is read");
    assert!(refused.to_string().contains(&digest.to_string()), "{refused}");
    let added = other.add_plugin(&file, &actor()).await.expect("it is added");
    assert_eq!((added.digest, added.trust), (digest, None));
    let refused = first_field(&other).await.expect_err("nobody has trusted it");
    assert_eq!(refused.diagnosis().code, "plugin-not-trusted");
    other.trust_plugin(digest, &actor()).await.expect("it is trusted");
    assert_eq!(first_field(&other).await.expect("it answers"), "other");

    let acts = scenario
        .host
        .record()
        .acts(&ActFilter::default(), NonZeroU32::MAX)
        .await;
    let who = acts.expect("acts").into_iter();
    let who: Vec<_> = who
        .filter(|act| matches!(act.act, Act::AddPlugin | Act::TrustPlugin))
        .map(|act| format!("{} {}", act.act.word(), act.actor))
        .collect();
    assert_eq!(
        who,
        [
            "add_plugin host first use",
            "trust_plugin host first use",
            "add_plugin operator test",
            "trust_plugin operator test"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_worked_on_by_its_own_plugin_whatever_file_a_host_names() {
    let scenario = Scenario::ready().await;
    for file in [
        other_plugin(&scenario, "other", &["other"]),
        scenario.folder.path().join("not-there.wasm"),
    ] {
        let host = open(&scenario, &file).await;
        assert_eq!(first_field(&host).await.expect("it answers"), "system-name");
    }
    assert_eq!(plugins(&scenario.host).await.len(), 1, "nothing else was trusted");
    let settings = scenario.host.named_instance(INSTANCE).await.expect("it").values;
    let other = open(&scenario, &other_plugin(&scenario, "other", &["other"])).await;
    let typed: BTreeMap<String, String> = [("country".to_owned(), "AT".to_owned())].into();
    let saved = other
        .configure(INSTANCE, &typed, &actor())
        .await
        .expect("it is saved");
    assert_eq!(saved.instance.values.len(), settings.len(), "no field is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_content_has_changed_is_refused_for_a_new_instance() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let file = other_plugin(&scenario, "plugin", &["plugin"]);
    let host = open(&scenario, &file).await;
    assert_eq!(first_field(&host).await.expect("it answers"), "plugin");
    std::fs::copy(other_plugin(&scenario, "planted", &["planted"]), &file).expect("it is replaced");
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
async fn a_plugin_whose_content_on_record_was_altered_is_not_run() {
    let scenario = Scenario::ready().await;
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(&database, "UPDATE plugins SET content = content || x'00'").await;
    let host = open(&scenario, component()).await;
    let refused = first_field(&host).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "plugin-altered");
    host.add_plugin(component(), &actor())
        .await
        .expect("it is whole again");
    assert_eq!(first_field(&host).await.expect("it answers"), "system-name");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_never_on_record() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let file = scenario.folder.path().join("text.wasm");
    std::fs::write(&file, "no plugin").expect("a file");
    let host = open(&scenario, &file).await;
    assert!(first_field(&host).await.is_err());
    let refused = host
        .add_plugin(&file, &actor())
        .await
        .expect_err("it is no plugin");
    assert_eq!(refused.diagnosis().code, "not-a-component");
    let silent = scenario.folder.path().join("silent.wasm");
    let module =
        module("(unreachable)").replace("(result i32) (i32.const 28868)", "(result i32) (unreachable)");
    std::fs::write(&silent, guest_component(&module)).expect("a file");
    let refused = host.add_plugin(&silent, &actor()).await;
    assert!(matches!(refused, Err(PluginError::Silent { .. })), "{refused:?}");
    let nameless = plugin_of(&scenario, "MICROSOFT-ESD");
    let refused = host
        .add_plugin(&nameless, &actor())
        .await
        .expect_err("its id is none");
    assert_eq!(refused.diagnosis().code, "description-broken");
    assert_eq!(plugins(&host).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_is_on_record_with_the_plugin_that_judged_it() {
    let scenario = Scenario::ready().await;
    let history = scenario.bss_host(&["instance", "history", INSTANCE, "--json"]);
    let history: Value = serde_json::from_slice(&history.stdout).expect("one JSON value");
    let digest = plugin_digest(component()).await.expect("it is read").to_string();
    for version in history.as_array().expect("a list") {
        assert_eq!(version["pluginSha256"], digest.as_str(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_upgraded_only_to_a_version_of_its_own_plugin_that_keeps_its_fields() {
    let scenario = Scenario::ready().await;
    let before = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let upgrade = async |file: &Path| {
        let added = scenario
            .host
            .add_plugin(file, &actor())
            .await
            .expect("it is added");
        let trusted = scenario.host.trust_plugin(added.digest, &actor()).await;
        trusted.expect("it is trusted");
        scenario
            .host
            .upgrade_instance(INSTANCE, Some(added.digest), &actor())
            .await
    };
    let forgetful = other_plugin(&scenario, "forgetful", &["system-name", "country"]);
    let refused = upgrade(&forgetful).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "fields-lost");
    assert!(
        refused.to_string().contains("tenant") && !refused.to_string().contains("country"),
        "{refused}"
    );
    let foreign = plugin_of(&scenario, "acme-keys-two");
    let refused = upgrade(&foreign).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "plugin-of-another-name");
    // Nor where nothing tells any more which plugin is its own.
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    let gone = "CREATE TABLE kept AS SELECT * FROM plugins;
                DELETE FROM plugins WHERE sha256 = (SELECT plugin FROM instances)";
    alter(&database, gone).await;
    let refused = upgrade(&foreign).await.expect_err("it is refused");
    assert_eq!(refused.diagnosis().code, "plugin-missing");
    let back = "DELETE FROM plugins; INSERT INTO plugins SELECT * FROM kept; DROP TABLE kept";
    alter(&database, back).await;
    let now = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert_eq!(now, before, "nothing is changed");

    // A custom section makes it another build of the same plugin.
    let next = scenario.folder.path().join("next.wasm");
    let build = [
        &std::fs::read(component()).expect("the plugin")[..],
        &[0, 2, 1, b'x'],
    ]
    .concat();
    std::fs::write(&next, build).expect("a file");
    let upgraded = upgrade(&next).await.expect("it is upgraded");
    assert!(upgraded.saved);
    let digest = plugin_digest(&next).await.expect("it is read");
    let after = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert_eq!(
        (after.plugin, &after.values, after.standing),
        (Some(digest), &before.values, before.standing)
    );
    scenario
        .host
        .check_connection(INSTANCE, silent())
        .await
        .expect("it works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_plugin_is_missing_leaves_its_lines_alone_and_says_so() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let placed = scenario
        .host
        .place_order(INSTANCE, order_request(&offer, 1), &actor())
        .await;
    let asset = placed.expect("it is placed").into_order().lines[0].asset_id;
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(
        &database,
        "UPDATE instances SET plugin = replace(plugin, substr(plugin, 1, 4), 'ffff')",
    )
    .await;
    // Nothing can be worked on: the worker ends at once.
    for run in [&["run"][..], &["run", "--once"]] {
        let worked = scenario.bss_host(run);
        assert_fails(
            &worked,
            NO_ANSWER,
            &["no instance can be worked on", INSTANCE, "is not on record"],
        );
    }
    // Where another instance can, the worker goes on.
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.ready_instance("other", &thumbprint).await;
    let worked = scenario.bss_host(&["run", "--once"]);
    assert_ends(&worked, NO_ANSWER);
    let said = String::from_utf8_lossy(&worked.stderr).into_owned();
    for words in [INSTANCE, "its plugin can't be used", "is not on record"] {
        assert!(said.contains(words), "`{words}` in: {said}");
    }
    let alerts = scenario.json(&["alert", "list"]);
    assert_eq!(
        (&alerts[0]["kind"], &alerts[0]["instance"]),
        (&"plugin-unusable".into(), &INSTANCE.into())
    );
    assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{alerts}");
    let attempts = scenario.host.record().attempts(asset).await.expect("the record");
    assert_eq!(attempts.len(), 0, "nothing was attempted");

    let digest = plugin_digest(component()).await.expect("it is read");
    let back: &str = format!("UPDATE instances SET plugin = '{digest}'").leak();
    alter(&database, back).await;
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(scenario.json(&["alert", "list"]), serde_json::json!([]));
    assert_eq!(scenario.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_order_is_answered_without_its_plugin_and_a_new_one_is_not() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let keyed = |key: &str| {
        let mut request = order_request(&offer, 1).key(key);
        request.customer.id = "C-1".to_owned();
        request
    };
    let first = scenario.host.place_order(INSTANCE, keyed("k"), &actor()).await;
    let first = first.expect("it is placed");
    assert!(first.is_new());
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    let missing = "UPDATE instances SET plugin = replace(plugin, substr(plugin, 1, 4), 'ffff')";
    alter(&database, missing).await;
    // With another spelling of the customer's name, too.
    let again = scenario.host.place_order(INSTANCE, keyed("k"), &actor()).await;
    assert_eq!(
        again.expect("it is known"),
        bss_model::Placed::Known(first.into_order())
    );
    let new = scenario.host.place_order(INSTANCE, keyed("l"), &actor()).await;
    assert!(new.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sees_nothing_of_the_instances_of_another_one() {
    let scenario = Scenario::ready().await;
    let foreign = plugin_of(&scenario, "acme-keys-two");
    let added = scenario
        .host
        .add_plugin(&foreign, &actor())
        .await
        .expect("it is added");
    scenario
        .host
        .trust_plugin(added.digest, &actor())
        .await
        .expect("it is trusted");
    let new = NewInstance {
        owner: None,
        name: "acme".to_owned(),
        currency: "EUR".to_owned(),
        options: BTreeMap::new(),
        reach: Reach::default(),
        plugin: None,
    };
    let several = scenario
        .host
        .create_instance(new.clone(), OfPlugin::Only, &actor())
        .await;
    let several = several.expect_err("it is not said of which");
    assert_eq!(several.diagnosis().code, "several-plugins");
    let created = scenario
        .host
        .create_instance(new, OfPlugin::Id("acme-keys-two"), &actor())
        .await
        .expect("it is created");
    assert_eq!(created.plugin, Some(added.digest));
    let recording = scenario.folder.path().join("calls.jsonl");
    let record = recording.display().to_string();
    let shown = scenario.bss_host(&["instance", "show", "acme", "--record", &record]);
    assert_ends(&shown, DONE);
    let calls = std::fs::read_to_string(&recording).expect("the recording");
    assert!(calls.contains("configure-instance"), "{calls}");
    assert!(
        !calls.contains("channel-id"),
        "no setting of Microsoft's instance: {calls}"
    );
    let microsoft = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let refused = sharing(&scenario, microsoft.thumbprint.expect("its certificate")).await;
    assert_eq!(refused.diagnosis().code, "certificate-shared");
    assert!(format!("{refused:?}").contains("plugin"), "{refused:?}");
    // Its twin: two instances of one plugin are compared by it.
    scenario.new_instance("second").await;
    let twin = scenario.folder.path().join("twin.jsonl");
    let record = twin.display().to_string();
    assert_ends(
        &scenario.bss_host(&["instance", "show", "second", "--record", &record]),
        DONE,
    );
    let calls = std::fs::read_to_string(&twin).expect("the recording");
    assert!(calls.contains("channel-id"), "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_plugin_is_trusted_by_its_name_too_and_one_that_waits_to_be_trusted_is_named_as_that() {
    let scenario = Scenario::start().await;
    let create = |scenario: &Scenario, more: &[&str]| {
        scenario.bss_host(&[&["instance", "create", INSTANCE, "--currency", "EUR"], more].concat())
    };
    let another = create(&scenario, &["--of", "acme-keys"]);
    assert_fails(&another, REFUSED, &["no trusted plugin is called `acme-keys`"]);
    let plugins = scenario.host.record().plugins().await.expect("the record");
    assert_eq!(plugins.len(), 0, "the file of another name is not trusted for it");
    assert_ends(&create(&scenario, &["--of", "microsoft-esd"]), DONE);

    let scenario = Scenario::start().await;
    let added = scenario
        .host
        .add_plugin(crate::component::acme_component(), &actor())
        .await;
    added.expect("it is added");
    for asked in [&[][..], &["--of", "acme-keys"]] {
        assert_fails(
            &create(&scenario, asked),
            REFUSED,
            &["nobody has trusted plugin", "plugin trust"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_the_plugin_does_not_read_is_refused() {
    let scenario = Scenario::start().await;
    let create = ["instance", "create", INSTANCE, "--currency", "EUR", "--option"];
    let with = |option: &'static str| scenario.bss_host(&[&create[..], &[option]].concat());
    assert_fails(
        &with("entra-verison=v1"),
        REFUSED,
        &["`entra-verison`", "entra-version"],
    );
    // Entra's pages name authorities as URLs; another cloud must not take the place of the one that is meant.
    for value in [
        "https://login.microsoftonline.us",
        "login.microsoftonline.us/",
        "",
        "a b",
    ] {
        let option = format!("login-authority={value}");
        let refused = scenario.bss_host(&[&create[..], &[option.as_str()]].concat());
        assert_fails(
            &refused,
            REFUSED,
            &["`login-authority` names a server", "without `https://`"],
        );
    }
    let both = [
        "entra-version=v1",
        "--of",
        "microsoft-esd",
        "--plugin",
        "other.wasm",
    ];
    let both = scenario.bss_host(&[&create[..], &both].concat());
    assert_fails(&both, USAGE, &["--of and --plugin"]);
    assert_ends(&with("entra-version=v1"), DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_an_older_program_has_saved_waits_until_somebody_says_which_plugin_is_its_own() {
    let scenario = Scenario::ready().await;
    let database = scenario.folder.path().join(ORIGINAL).join(RECORD_FILE);
    alter(&database, "UPDATE instances SET plugin = NULL").await;
    let refused = first_field(&scenario.host).await.expect_err("nobody has said it");
    assert_eq!(refused.diagnosis().code, "plugin-unassigned");
    let upgrade = async |to| scenario.host.upgrade_instance(INSTANCE, to, &actor()).await;
    let refused = upgrade(None).await.expect_err("it is not guessed");
    assert_eq!(refused.diagnosis().code, "plugin-unassigned");
    let digest = plugin_digest(component()).await.expect("it is read");
    assert!(upgrade(Some(digest)).await.expect("it is said").saved);
    assert_eq!(
        first_field(&scenario.host).await.expect("it answers"),
        "system-name"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_adds_trusts_upgrades_and_removes_on_the_command_line() {
    let scenario = Scenario::ready().await;
    let file = scenario.folder.path().join("next.wasm");
    let build = [
        &std::fs::read(component()).expect("the plugin")[..],
        &[0, 2, 1, b'x'],
    ]
    .concat();
    std::fs::write(&file, build).expect("a file");
    let file = file.display().to_string();
    let shown = scenario.json(&["plugin", "show", &file]);
    assert_eq!(
        (&shown["trusted"], &shown["plugin"]),
        (&Value::from(false), &Value::Null)
    );
    let digest = shown["sha256"].as_str().expect("a digest").to_owned();

    let added = scenario.json(&["plugin", "add", &file]);
    assert_eq!(
        (&added["id"], &added["vendor"], &added["trustedBy"]),
        (
            &Value::from("microsoft-esd"),
            &Value::from("Microsoft"),
            &Value::Null
        )
    );
    let early = scenario.bss_host(&["plugin", "upgrade", INSTANCE, "--to", &digest]);
    assert_fails(&early, REFUSED, &["nobody has trusted", "bss-host plugin trust"]);
    assert_eq!(
        scenario.json(&["plugin", "trust", &digest])["sha256"],
        digest.as_str()
    );
    let upgraded = scenario.json(&["plugin", "upgrade", INSTANCE]);
    assert_eq!(upgraded["pluginSha256"], digest.as_str());

    let list = scenario.json(&["plugin", "list"]);
    let [former, now] = [&list[0], &list[1]];
    assert_eq!(
        (&former["instances"], &now["instances"]),
        (&json!([]), &json!([INSTANCE]))
    );
    let former = former["sha256"].as_str().expect("a digest");
    let in_use = scenario.bss_host(&["plugin", "remove", &digest]);
    assert_fails(&in_use, REFUSED, &[INSTANCE, "hint: move its instances"]);
    assert_eq!(
        scenario.json(&["plugin", "remove", former]),
        json!({ "sha256": former })
    );
    assert_eq!(
        scenario.json(&["plugin", "list"]).as_array().map(Vec::len),
        Some(1)
    );
    // A worker has no use for a file.
    let worker = scenario.bss_host(&["run", "--once", "--plugin", &file]);
    assert_fails(&worker, USAGE, &["--plugin can't be used with this command"]);
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
    initialize(&folder.path().join("bss"));
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

/// Has a host whose instances are all worked on by the plugin of a file.
pub(crate) async fn trusting(host: Host, file: &Path) -> Host {
    give_plugin(&host, file).await;
    host
}

/// A host in the scenario's data directory whose instances are worked on by another plugin, of its own content.
pub(crate) async fn running(scenario: &Scenario, component: &[u8]) -> Host {
    let name = format!("{}.wasm", uuid::Uuid::new_v4());
    let file = scenario.folder.path().join(name);
    std::fs::write(&file, component).expect("the plugin is written");
    trusting(open(scenario, &file).await, &file).await
}

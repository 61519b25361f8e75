//! Tenants of one host see nothing of each other: what the host answers to one is the same whether another is there or not.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bss_keys::PfxCode;
use bss_model::{
    ActFilter, Asset, AssetFilter, AssetSelection, Cancellation, Diagnose, Instance, NewInstance, Owner,
    Page, PluginDigest, SavedSettings, Standing, Thumbprint, with_causes,
};
use bss_simulator::CertificateRequest;
use host_harness::{CallListener, Host, OfPlugin, view};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{Desk, assert_fails};
use crate::component::component;
use crate::scenario::{
    DONE, INSTANCE, REFUSED, Scenario, USAGE, actor, assert_ends, credentials, order_request, problems,
    requester, selection, sell_all, silent,
};

/// A name that only the other tenant has.
const SECRET_NAME: &str = "nobody-else-s";
/// The code of the PFX files.
const CODE: &str = "a code";

fn owner(name: &str) -> Owner {
    name.parse().expect("an owner")
}

/// What another tenant has, and an adversary has found out.
struct Theirs {
    pfx: Vec<u8>,
    thumbprint: Thumbprint,
    order: Uuid,
    asset: Uuid,
    open_order: Uuid,
    open_asset: Uuid,
    cancellation: Uuid,
    /// A certificate whose file the adversary does not have.
    never_imported: Thumbprint,
    /// The ids of the instances, which the adversary has not found out.
    ids: Vec<String>,
}

/// A host on which tenant `a` sells at an instance that has the name, the system name and the Client ID that tenant `b`
/// will want, and at another one.
async fn selling() -> (Scenario, Theirs) {
    let mut scenario = Scenario::start().await;
    scenario.host = scenario.host.for_owner(owner("a"));
    let issued = scenario
        .microsoft
        .issue_client_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let pfx = std::fs::read(scenario.pfx(&issued, CODE)).expect("the PFX file");
    let certificates = scenario.host.certificates();
    let imported = certificates.import(&pfx, &PfxCode::new(CODE), &actor()).await;
    let thumbprint = imported.expect("the import").installed.thumbprint;
    scenario.ready_instance(INSTANCE, &thumbprint).await;
    let secret = CertificateRequest {
        common_name: format!("{SECRET_NAME}.example.com"),
        ..CertificateRequest::default()
    };
    let secret = scenario.install(&secret).await;
    scenario.new_instance(SECRET_NAME).await;
    let mut typed = credentials(scenario.microsoft.details());
    typed.insert("system-name".to_owned(), SECRET_NAME.to_owned());
    assert!(scenario.configure(SECRET_NAME, &typed).await.saved);
    scenario.sell_catalog().await;
    let product = scenario.offers().await.remove(0);
    let bought = scenario.order(&product, 2).await;
    let cancellation = scenario
        .host
        .record()
        .request_cancellation(bought[1].id, &requester(), "", &actor())
        .await
        .expect("a request");
    let open = scenario
        .host
        .place_order(INSTANCE, order_request(&product, 1), &actor())
        .await
        .expect("the order is placed")
        .into_order();
    let instances = scenario.host.instances().await.expect("the record");
    let ids = instances.iter().map(|instance| instance.id.to_string());
    let theirs = Theirs {
        pfx,
        thumbprint,
        order: bought[0].order_id,
        asset: bought[0].id,
        open_order: open.id,
        open_asset: open.lines[0].asset_id,
        cancellation: cancellation.id,
        never_imported: secret,
        ids: ids.collect(),
    };
    (scenario, theirs)
}

/// All that a tenant is answered.
#[derive(Default)]
struct Transcript(Vec<String>);

impl Transcript {
    fn note(&mut self, step: &str, answer: impl Serialize) {
        let answer = serde_json::to_string(&answer).expect("JSON");
        self.0.push(format!("{step}: {answer}"));
    }

    /// Notes an answer by its view, and an error by all that it says.
    fn answer<T, E: Diagnose + 'static>(
        &mut self,
        step: &str,
        answer: Result<T, E>,
        shown: impl FnOnce(&T) -> Value,
    ) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.note(step, shown(&answer));
                Some(answer)
            }
            Err(error) => {
                let Diagnosed { code, advice } = diagnosed(&error);
                self.note(step, [code, with_causes(&error), advice]);
                None
            }
        }
    }

    /// The answers without ids and times, which differ from host to host.
    fn comparable(&self) -> Vec<String> {
        self.0.iter().map(|line| without_ids_and_times(line)).collect()
    }

    fn line(&self, step: &str) -> &str {
        let mut lines = self.0.iter();
        lines
            .find(|line| line.starts_with(&format!("{step}:")))
            .unwrap_or_else(|| panic!("{step}"))
    }
}

struct Diagnosed {
    code: String,
    advice: String,
}

fn diagnosed(error: &(impl Diagnose + 'static)) -> Diagnosed {
    let diagnosis = error.diagnosis();
    Diagnosed {
        code: diagnosis.code.to_string(),
        advice: diagnosis
            .advice
            .map_or_else(String::new, |advice| advice.sentence().into_owned()),
    }
}

fn without_ids_and_times(text: &str) -> String {
    let mut left = text;
    let mut plain = String::new();
    while let Some(first) = left.chars().next() {
        let digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let taken = match left.get(..36).is_some_and(|id| Uuid::try_parse(id).is_ok()) {
            true => 36,
            false if digits >= 12 => digits,
            false => 0,
        };
        match taken {
            0 => plain.push(first),
            _ => plain.push('*'),
        }
        left = &left[taken.max(first.len_utf8())..];
    }
    plain
}

fn nothing<T>(_: &T) -> Value {
    Value::Null
}

fn form(form: &host_harness::InstanceForm) -> Value {
    json!(view::InstanceForm::from(form))
}

fn instance(instance: &Instance) -> Value {
    json!(view::Instance::from(instance))
}

fn asset(asset: &Asset) -> Value {
    json!([
        asset.product_code,
        format!("{:?} {:?}", asset.status, asset.sync_status)
    ])
}

fn cancellation(cancellation: &Cancellation) -> Value {
    json!([cancellation.number, format!("{:?}", cancellation.state)])
}

/// Counts what is heard of calls.
fn counting(heard: &Arc<AtomicUsize>) -> CallListener {
    let heard = Arc::clone(heard);
    Arc::new(move |_| {
        heard.fetch_add(1, Ordering::Relaxed);
    })
}

fn chosen(thumbprint: Thumbprint) -> SavedSettings {
    SavedSettings {
        values: BTreeMap::new(),
        secrets: BTreeMap::new(),
        roles: BTreeMap::new(),
        url_fields: Default::default(),
        standing: Standing::NeedsSelection,
        authorities: Vec::new(),
        allowed_hosts: Vec::new(),
        thumbprint: Some(thumbprint),
        shares_with: BTreeMap::new(),
        plugin: None,
        correction: None,
    }
}

/// What tenant `b` does and is answered, with all that it knows of tenant `a`.
async fn adversary(host: &Host, new: &NewInstance, scenario: &Scenario, theirs: &Theirs) -> Transcript {
    let (me, heard) = (actor(), Arc::<AtomicUsize>::default());
    let host = host.for_owner(owner("b"));
    let mut told = Transcript::default();
    let thumbprint = theirs.thumbprint.to_string();

    // Nothing is there yet.
    told.note("instances", host.instances().await.expect("the record").len());
    told.note(
        "certificates",
        host.installed_certificates().await.expect("the record").len(),
    );
    for name in [INSTANCE, SECRET_NAME] {
        told.answer("their form", host.form(name).await, form);
        let typed = BTreeMap::from([("system-name".to_owned(), "mine".to_owned())]);
        told.answer("their settings", host.configure(name, &typed, &me).await, form);
        told.answer(
            "their check",
            host.check_connection(name, silent()).await,
            nothing,
        );
        told.answer(
            "their run",
            host.fetch_services(name, &me, silent()).await,
            nothing,
        );
        let order = order_request("x", 1);
        told.answer("their sale", host.place_order(name, order, &me).await, nothing);
        let upgraded = host
            .upgrade_instance(name, Some(PluginDigest::new([7; 32])), &me)
            .await;
        told.answer("their plugin", upgraded, form);
    }
    let certificates = host.certificates();
    let shown = certificates.get(&theirs.thumbprint).await.expect("the record");
    told.note("their certificate", shown.is_some());
    told.answer(
        "their identity",
        certificates.identity(&theirs.thumbprint).await,
        nothing,
    );
    told.answer(
        "their removal",
        certificates.remove(&theirs.thumbprint, &me).await,
        nothing,
    );

    // An instance of the name that they have, with the system name and the Client ID that they have.
    let refused = host.create_instance(new.clone(), OfPlugin::Only, &me).await;
    told.answer("their instance", refused, instance);
    let new = NewInstance {
        owner: None,
        ..new.clone()
    };
    let mine = host.create_instance(new.clone(), OfPlugin::Only, &me).await;
    let mine = told.answer("create", mine, instance).expect("an instance").id;
    told.answer(
        "create again",
        host.create_instance(new.clone(), OfPlugin::Only, &me).await,
        instance,
    );
    told.answer("the empty form", host.form(INSTANCE).await, form);
    let typed = credentials(scenario.microsoft.details());
    told.answer("credentials", host.configure(INSTANCE, &typed, &me).await, form);
    let mut austrian = selection(&thumbprint);
    austrian.insert("country".to_owned(), "AT".to_owned());
    told.answer(
        "their certificate is chosen",
        host.configure(INSTANCE, &austrian, &me).await,
        form,
    );
    let saved = host
        .record()
        .save_settings(mine, 1, chosen(theirs.thumbprint), &me)
        .await;
    told.answer("their certificate is saved", saved, instance);

    // A copy of the file that they have imported.
    let imported = certificates.import(&theirs.pfx, &PfxCode::new(CODE), &me).await;
    told.answer("import", imported, nothing);
    let installed = host.installed_certificates().await.expect("the record");
    let views = host.certificate_views(&installed).await.expect("the record");
    told.note("certificates then", &views);
    let rotated = host
        .rotate_certificate(INSTANCE, theirs.thumbprint, &me, silent())
        .await;
    told.answer("rotation", rotated, nothing);
    told.answer("selection", host.configure(INSTANCE, &austrian, &me).await, form);
    let views = host.certificate_views(&installed).await.expect("the record");
    told.note("certificates at last", &views);
    told.answer(
        "removal",
        certificates.remove(&theirs.thumbprint, &me).await,
        nothing,
    );
    let rotated = host
        .rotate_certificate(INSTANCE, theirs.thumbprint, &me, silent())
        .await;
    told.answer("rotation to the same", rotated, nothing);
    let rotated = host
        .rotate_certificate(INSTANCE, theirs.never_imported, &me, silent())
        .await;
    told.answer("their rotation", rotated, nothing);
    let mut typed = austrian.clone();
    typed.insert(
        "certificate-thumbprint".to_owned(),
        theirs.never_imported.to_string(),
    );
    told.answer(
        "their other certificate",
        host.configure(INSTANCE, &typed, &me).await,
        form,
    );
    let checked = host.check_connection(INSTANCE, silent()).await;
    told.answer("check", checked, |steps| {
        json!(
            steps
                .iter()
                .map(|step| format!("{:?}", step.result))
                .collect::<Vec<_>>()
        )
    });
    told.answer(
        "fetch",
        host.fetch_services(INSTANCE, &me, silent()).await,
        |run| json!(run.difference.new),
    );

    // What is theirs, by its id.
    let listener = counting(&heard);
    for order in [theirs.order, theirs.open_order] {
        told.answer(
            "their order",
            host.run_order(order, listener.clone()).await,
            nothing,
        );
    }
    for id in [theirs.asset, theirs.open_asset] {
        told.answer(
            "their retry",
            host.retry_asset(id, &me, listener.clone()).await,
            asset,
        );
        told.answer(
            "their refresh",
            host.refresh_license(id, listener.clone()).await,
            nothing,
        );
        told.answer(
            "their return",
            host.cancel_now(id, &requester(), "", &me).await,
            cancellation,
        );
    }
    let id = theirs.cancellation;
    told.answer(
        "their confirmation",
        host.confirm_cancellation(id, "", &me).await,
        cancellation,
    );
    told.answer(
        "their cancellation",
        host.run_return(id, listener.clone()).await,
        cancellation,
    );
    for (order, asset) in [
        (None, None),
        (Some(theirs.open_order), None),
        (None, Some(theirs.open_asset)),
    ] {
        let taking = AssetSelection {
            order,
            asset,
            ..AssetSelection::default()
        };
        told.answer(
            "their lines",
            host.settle_orders(taking, 4, listener.clone()).await,
            nothing,
        );
    }
    let refreshed = host.refresh_licenses(AssetFilter::default(), &listener).await;
    told.answer("all licenses", refreshed, |refreshed| json!(refreshed.len()));
    told.note("heard", heard.load(Ordering::Relaxed));

    // A purchase and a return of its own.
    let product = sell_all(&host, INSTANCE).await.remove(0);
    let request = order_request(&product, 1).key("k");
    let order = host.place_order(INSTANCE, request, &me).await;
    let order = told.answer("order", order, nothing).expect("an order");
    let bought = host.run_order(order.order().id, silent()).await;
    let bought = told.answer("purchase", bought, |assets| {
        json!(assets.iter().map(asset).collect::<Vec<_>>())
    });
    let bought = bought.expect("it is run").remove(0).id;
    told.answer(
        "refresh",
        host.refresh_license(bought, silent()).await,
        |refreshed| asset(&refreshed.asset),
    );
    let refreshed = host.refresh_licenses(AssetFilter::default(), &listener).await;
    told.answer("my licenses", refreshed, |refreshed| json!(refreshed.len()));
    let returned = host.cancel_now(bought, &requester(), "", &me).await;
    let returned = told
        .answer("return", returned, cancellation)
        .expect("a return")
        .id;
    told.answer(
        "returned",
        host.run_return(returned, silent()).await,
        cancellation,
    );

    told.note(
        "instances at last",
        host.instances().await.expect("the record").len(),
    );
    let filter = ActFilter {
        owner: host.owner().cloned(),
        ..ActFilter::default()
    };
    let acts = host
        .record()
        .acts(&filter, NonZeroU32::MAX)
        .await
        .expect("the record");
    for act in host.act_views(&acts).await.expect("the record") {
        told.note(
            "act",
            json!([act.act, act.subject.kind, act.instance, act.detail]),
        );
    }
    told
}

/// All that a tenant has.
async fn belongings(host: &Host) -> Vec<String> {
    let (record, page) = (host.record(), Page::all());
    let instances = host.instances().await.expect("the record");
    let mut all: Vec<String> = instances.iter().map(|instance| format!("{instance:?}")).collect();
    for certificate in host.installed_certificates().await.expect("the record") {
        all.push(format!("{certificate:?}"));
    }
    for instance in instances.iter().map(|instance| instance.id) {
        let filter = AssetFilter {
            instance: Some(instance),
            ..AssetFilter::default()
        };
        for asset in record.assets(&filter, &page).await.expect("the record").rows {
            all.push(format!("{asset:?}"));
            let attempts = record.attempts(asset.id).await.expect("the record");
            all.push(format!("{attempts:?}"));
            let cancellation = record.last_cancellation(asset.id).await.expect("the record");
            all.push(format!("{cancellation:?}"));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_is_answered_is_the_same_whether_another_is_there_or_not() {
    let (scenario, theirs) = selling().await;
    let new = scenario.instance_to_make(INSTANCE);
    let alone = Host::builder(scenario.folder.path().join("alone"))
        .plugin_file(component())
        .create()
        .await
        .expect("the host opens");
    let before = belongings(&scenario.host).await;

    let beside = adversary(&scenario.host, &new, &scenario, &theirs).await;
    assert_eq!(
        belongings(&scenario.host).await,
        before,
        "nothing of theirs has changed"
    );
    let alone = adversary(&alone, &new, &scenario, &theirs).await;

    assert_eq!(beside.comparable(), alone.comparable());
    // What the adversary has typed is repeated to it, and nothing else.
    let typed = [SECRET_NAME.to_owned(), theirs.never_imported.to_string()];
    for line in &beside.0 {
        let is_repeated = line.starts_with("their ");
        for secret in theirs.ids.iter().chain(typed.iter().filter(|_| !is_repeated)) {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    // What was to succeed has, so that the answers say something.
    for (step, expected) in [
        ("their form", "no-instance"),
        ("their identity", "no-certificate"),
        ("their instance", "other-owner"),
        ("create again", "name-taken"),
        ("credentials", "\"saved\":true"),
        ("their certificate is chosen", "\"saved\":false"),
        ("their certificate is saved", "no-certificate"),
        ("selection", "\"saved\":true"),
        ("removal", "certificate-in-use"),
        ("rotation to the same", "certificate-already-used"),
        ("their rotation", "certificate-refused"),
        ("their other certificate", "\"saved\":false"),
        ("their order", "no-order"),
        ("their retry", "no-asset"),
        ("their refresh", "no-asset"),
        ("their return", "no-asset"),
        ("their confirmation", "no-cancellation"),
        ("their cancellation", "no-cancellation"),
        ("all licenses", "0"),
        ("heard", "0"),
        ("purchase", "Synchronized"),
        ("my licenses", "1"),
        ("returned", "Done"),
    ] {
        let line = beside.line(step);
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_one_owner_are_compared_with_each_other_as_ever() {
    for of in [None, Some(owner("a"))] {
        let mut scenario = Scenario::start().await;
        if let Some(owner) = of {
            scenario.host = scenario.host.for_owner(owner);
        }
        let thumbprint = scenario.install(&CertificateRequest::default()).await;
        let other = scenario.install(&CertificateRequest::default()).await;
        scenario.ready_instance(INSTANCE, &thumbprint).await;
        scenario.new_instance("second").await;
        let typed = credentials(scenario.microsoft.details());
        let same_name = scenario.configure("second", &typed).await;
        assert_eq!(problems(&same_name), ["system-name: system-name-in-use"]);
        let another_name = [("system-name".to_owned(), "second".to_owned())];
        let typed = typed.into_iter().chain(another_name).collect();
        assert!(scenario.configure("second", &typed).await.saved);
        let mut austrian = selection(&other.to_string());
        austrian.insert("country".to_owned(), "AT".to_owned());
        let same_client = scenario.configure("second", &austrian).await;
        assert_eq!(problems(&same_client), ["client-id: client-id-in-use"]);
        let mut fields = same_client.form.fields.iter();
        let field = fields.find(|field| field.id == "certificate-thumbprint");
        let choices: Vec<_> = field
            .expect("the field")
            .choices
            .iter()
            .map(|choice| &choice.key)
            .collect();
        assert_eq!(choices.len(), 2, "{choices:?}");
    }
}

#[test]
fn the_program_makes_names_and_lists_what_an_owner_has() {
    let desk = Desk::open();
    desk.ready();
    let shown = |arguments: &[&str]| {
        let output = desk.run(arguments);
        assert_ends(&output, DONE);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for list in [["instance", "list"], ["certificate", "list"]] {
        assert!(!shown(&list).contains("Owner"), "nothing has one");
    }
    let import = ["certificate", "import", desk.detail("pfxFile"), "--owner", "a"];
    let code = desk.detail("pfxCode");
    assert_ends(&desk.run_with("BSS_PFX_CODE", code.as_ref(), &import), DONE);
    let create = ["instance", "create", "esd", "--currency", "EUR", "--owner", "a"];
    assert!(shown(&create).contains("instance configure esd --owner a"));
    let again = desk.run(&create);
    assert_fails(&again, REFUSED, &["`esd`"]);
    for list in [["instance", "list"], ["certificate", "list"]] {
        assert!(shown(&list).contains("Owner"));
        let owners = |more: &[&str]| {
            let listed = desk.json(&[&list[..], more].concat());
            let listed = listed.as_array().expect("a list").iter();
            listed.map(|listed| listed["owner"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(owners(&[]), [Value::Null, json!("a")], "{list:?}");
        assert_eq!(owners(&["--owner", "a"]), [json!("a")], "{list:?}");
        assert!(owners(&["--owner", "b"]).is_empty(), "{list:?}");
    }
    let show = ["instance", "show", "esd"];
    assert_eq!(desk.json(&show)["owner"], Value::Null);
    let its = desk.json(&[&show[..], &["--owner", "a"]].concat());
    assert_eq!((&its["owner"], &its["version"]), (&json!("a"), &json!(0)));
    let none = desk.run(&[&show[..], &["--owner", "b"]].concat());
    assert_fails(&none, REFUSED, &["there is no instance `esd`", "--owner b"]);

    let listed = desk.json(&["certificate", "list"]);
    let thumbprint = listed[0]["thumbprint"].as_str().expect("a thumbprint");
    assert!(shown(&["certificate", "show", thumbprint, "--owner", "a"]).contains("Owner"));
    shown(&["certificate", "remove", thumbprint, "--owner", "a"]);
    let gone = desk.run(&["certificate", "show", thumbprint, "--owner", "a"]);
    assert_fails(&gone, REFUSED, &["is not installed"]);
    shown(&["certificate", "show", thumbprint]);
    let acts = desk.json(&["audit", "list", "--owner", "a"]);
    let acts: Vec<_> = acts
        .as_array()
        .expect("a list")
        .iter()
        .map(|act| &act["act"])
        .collect();
    assert_eq!(
        acts,
        ["import-certificate", "create-instance", "remove-certificate"]
    );

    let calls = |more: &[&str]| {
        let calls = desk.json(&[&["trace"], more].concat());
        let calls = calls.as_array().expect("a list").iter();
        calls
            .map(|call| call["fields"]["instanceId"].clone())
            .collect::<Vec<_>>()
    };
    let of_its = calls(&["--owner", "a"]);
    assert!(
        !of_its.is_empty() && of_its.iter().all(|id| *id == its["id"]),
        "{of_its:?}"
    );
    assert!(calls(&[]).len() > of_its.len());
    assert!(calls(&["--owner", "b"]).is_empty());

    for of_all in [
        &["run", "--once"][..],
        &["mail", "list"],
        &["asset", "list"],
        &["record", "verify"],
    ] {
        let refused = desk.run(&[of_all, &["--owner", "a"]].concat());
        assert_fails(&refused, USAGE, &["--owner"]);
    }
    let no_name = desk.run(&["instance", "list", "--owner", ""]);
    assert_eq!(no_name.status.code(), Some(USAGE), "{no_name:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_host_makes_no_instance_of_another_owner() {
    let scenario = Scenario::start().await;
    let host = scenario.host.for_owner(owner("a"));
    let new = |of: Option<Owner>, name: &str| NewInstance {
        owner: of,
        ..NewInstance::new(name, "EUR")
    };
    let refused = host
        .create_instance(new(Some(owner("b")), "x"), OfPlugin::Only, &actor())
        .await;
    assert_eq!(refused.expect_err("it is b's").diagnosis().code, "other-owner");
    assert_eq!(scenario.host.instances().await.expect("the record"), []);
    for (name, of) in [("one", Some(owner("a"))), ("two", None)] {
        let made = host
            .create_instance(new(of, name), OfPlugin::Only, &actor())
            .await;
        assert_eq!(made.expect("it is made").owner, Some(owner("a")));
    }
}

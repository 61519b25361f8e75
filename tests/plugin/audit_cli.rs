//! `bss-host audit`: who did what, found by what it was done to; and what shows that it is not as it was written.

use bss_record::RECORD_FILE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::assert_fails;
use crate::record_cli::{
    ORIGINAL, alter, assert_says, directory_with_key, refused, run, send_from, shown, text, told,
};
use crate::scenario::{
    DONE, INSTANCE, NO_ANSWER, REFUSED, Scenario, USAGE, actor, assert_ends, me, order_request,
};

/// A host with three acts: mail settings and two instances.
fn five_acts() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    send_from(folder.path(), ORIGINAL, "shop@host.example");
    create(&folder, "one");
    create(&folder, "two");
    folder
}

fn create(folder: &TempDir, instance: &str) {
    let create = ["instance", "create", instance, "--currency", "EUR"];
    shown(folder.path(), ORIGINAL, &create);
}

fn verified(folder: &TempDir) -> Value {
    told(folder.path(), ORIGINAL, &["audit", "verify"])
}

/// The acts that a list with these options has.
fn listed(scenario: &Scenario, options: &[&str]) -> Vec<Value> {
    let list = scenario.json(&[&["audit", "list"][..], options].concat());
    list.as_array().expect("a list").clone()
}

fn is_of_kind(act: &Value, kind: &str) -> bool {
    act["subject"]["kind"] == kind
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_are_found_by_instance_subject_kind_and_number() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let assets = scenario.order(&offer, 1).await;
    let order = assets[0].order_id.to_string();
    for arguments in [
        &[
            "mail",
            "configure",
            "--directory",
            "mails",
            "--from",
            "shop@host.example",
        ][..],
        &["instance", "create", "other", "--currency", "EUR"],
    ] {
        assert_ends(&scenario.bss_host(arguments), DONE);
    }
    let all = listed(&scenario, &[]);
    let numbers: Vec<_> = all
        .iter()
        .map(|act| act["number"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers, Vec::from_iter(1..=numbers.len() as i64));
    let assert_finds = |options: &[&str], matches: &dyn Fn(&Value) -> bool| {
        let expected: Vec<_> = all.iter().filter(|act| matches(act)).cloned().collect();
        assert_eq!(listed(&scenario, options), expected, "{options:?}");
        expected.len()
    };
    let kinds = [
        ("instance", true),
        ("certificate", true),
        ("services-run", true),
        ("product", true),
        ("order", true),
        ("mail-settings", true),
        ("asset", false),
        ("mail", false),
        ("record", true),
    ];
    for (kind, is_there) in kinds {
        let found = assert_finds(&["--kind", kind], &|act| is_of_kind(act, kind));
        assert_eq!(found > 0, is_there, "{kind}");
    }
    let of_esd = assert_finds(&["--instance", INSTANCE], &|act| act["instance"] == INSTANCE);
    let of_other = assert_finds(&["--instance", "other"], &|act| act["instance"] == "other");
    assert!(
        of_other == 1 && of_other < of_esd && of_esd < all.len(),
        "{of_esd}"
    );
    let of_order = assert_finds(&["--subject", &order], &|act| {
        act["subject"]["id"] == order.as_str()
    });
    assert_eq!(of_order, 1);
    assert_eq!(listed(&scenario, &["--subject", "nobody"]), [] as [Value; 0]);
    let last = numbers.len().to_string();
    assert_eq!(
        assert_finds(&["--after", "2"], &|act| act["number"].as_i64() > Some(2)),
        all.len() - 2
    );
    assert_eq!(listed(&scenario, &["--after", &last]), [] as [Value; 0]);
    let together = ["--kind", "instance", "--instance", INSTANCE, "--after", "2"];
    let found = assert_finds(&together, &|act| {
        is_of_kind(act, "instance") && act["instance"] == INSTANCE && act["number"].as_i64() > Some(2)
    });
    assert!(found > 0);
    assert_eq!(
        listed(&scenario, &["--kind", "asset", "--subject", &order]),
        [] as [Value; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_what_was_typed_before_it_is_the_beginning_of_an_id() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let order = scenario.order(&offer, 1).await[0].order_id.to_string();
    let beginning = &order[..8];
    let subjects = |subject: &str| -> Vec<String> {
        let acts = listed(&scenario, &["--subject", subject]);
        acts.iter()
            .map(|act| text(&act["subject"]["id"]).to_owned())
            .collect()
    };
    assert_eq!(subjects(beginning), [order.as_str()]);
    // A customer whose id looks like the beginning of an order's.
    let place = [
        "order",
        "place",
        INSTANCE,
        "--offer",
        &offer,
        "--customer",
        beginning,
    ];
    let party = [
        "--customer-name",
        "Beispiel GmbH",
        "--customer-country",
        "DE",
        "--customer-email",
        "it@beispiel.example",
    ];
    scenario.json(&[&place[..], &party].concat());
    scenario.json(&["customer", "correct", beginning, "--name", "Muster GmbH"]);
    assert_eq!(subjects(beginning), [beginning]);
    assert_eq!(subjects(&order[..9]), [order.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_who_did_what_to_what() {
    let scenario = Scenario::ready().await;
    let created = ["instance", "create", "other", "--currency", "EUR"];
    assert_ends(&scenario.bss_host(&created), DONE);
    let all = listed(&scenario, &[]);
    let last = all.last().expect("an act");
    assert_eq!(
        (&last["actor"], &last["act"]),
        (
            &json!({ "kind": "operator", "name": me() }),
            &json!("create-instance")
        )
    );
    let table = |options: &[&str]| {
        let output = scenario.bss_host(&[&["audit", "list"][..], options].concat());
        assert_ends(&output, DONE);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let instances = table(&["--kind", "instance"]);
    assert_says(
        &instances,
        &["Act", "Time", "Actor", "Did", "To", "Instance", "Detail"],
    );
    let row = instances
        .lines()
        .find(|line| line.contains(text(&last["subject"]["id"])));
    let row = row.unwrap_or_else(|| panic!("{instances}"));
    let number = format!("│ {} ", last["number"]);
    assert_says(
        row,
        &[
            &number,
            &format!(" operator {} ", me()),
            " create instance ",
            " other ",
        ],
    );
    assert!(!instances.contains("import certificate"), "{instances}");
    assert_says(
        &table(&["--kind", "certificate"]),
        &["import certificate", "operator test"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_means_nothing_is_refused() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    for filter in [["--kind", "nonsense"], ["--kind", ""], ["--after", "x"]] {
        let output = scenario.bss_host(&[&["audit", "list"][..], &filter].concat());
        assert_fails(&output, USAGE, &[filter[0]]);
    }
    let unknown = ["audit", "list", "--instance", "nobody"];
    let error = refused(scenario.folder.path(), ORIGINAL, &unknown, REFUSED, "no-instance");
    assert_says(text(&error["message"]), &["`nobody`"]);
    for filter in [["--kind", "instance"], ["--after", "1"], ["--instance", INSTANCE]] {
        assert_eq!(listed(&scenario, &filter).len(), 1, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shown_a_product_key_is_listed_and_nobody_else() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let bought = scenario.order(&offer, 2).await;
    let open = scenario
        .host
        .place_order(INSTANCE, order_request(&offer, 1), &actor())
        .await;
    let open = open.expect("it is placed").into_order().lines[0]
        .asset_id
        .to_string();
    let [one, two] = [&bought[0], &bought[1]].map(|asset| asset.id.to_string());
    let acts = || listed(&scenario, &["--kind", "asset"]);
    for arguments in [
        &["asset", "list"][..],
        &["asset", "show", &one],
        &["asset", "show", &open, "--show-keys"],
    ] {
        assert_ends(&scenario.bss_host(arguments), DONE);
        assert_eq!(acts(), [] as [Value; 0], "{arguments:?} shows no key");
    }

    let whole = scenario.json(&["asset", "show", &one, "--show-keys"]);
    let shown: Vec<_> = acts();
    assert_eq!(shown.len(), 1);
    let act = &shown[0];
    assert_eq!(
        (&act["act"], &act["actor"], &act["instance"], &act["detail"]),
        (
            &json!("show-keys"),
            &json!({ "kind": "operator", "name": me() }),
            &json!(INSTANCE),
            &Value::Null
        )
    );
    assert_eq!(act["subject"], json!({ "kind": "asset", "id": one }));
    assert_ends(&scenario.bss_host(&["asset", "show", &two, "--show-keys"]), DONE);
    assert_ends(&scenario.bss_host(&["asset", "list", "--show-keys"]), DONE);
    let of = |asset: &str| listed(&scenario, &["--subject", asset]).len();
    assert_eq!((of(&one), of(&two), of(&open)), (2, 2, 0));

    let key = text(&whole["productKey"]);
    assert!(!key.contains('*'), "{key}");
    for arguments in [&["audit", "list"][..], &["audit", "list", "--json"]] {
        let output = scenario.bss_host(arguments);
        assert_says(&String::from_utf8_lossy(&output.stdout), &[&one]);
        assert!(!String::from_utf8_lossy(&output.stdout).contains(key));
    }
}

#[tokio::test]
async fn an_act_that_was_altered_or_removed_shows_and_is_named() {
    let folder = five_acts();
    let database = folder.path().join(ORIGINAL).join(RECORD_FILE);
    let before = verified(&folder);
    assert_eq!(before["acts"], 5);
    let (out, err) = shown(folder.path(), ORIGINAL, &["audit", "verify"]);
    let digest = text(&before["digest"]);
    assert_eq!(out, format!("5 acts, as they were written\ndigest {digest}\n"));
    assert_says(&err, &["`bss-host audit verify --noted DIGEST`"]);

    alter(&database, "CREATE TABLE kept AS SELECT * FROM acts").await;
    for (change, code, words) in [
        (
            "UPDATE acts SET actor_name = 'nobody' WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
        (
            "UPDATE acts SET at_ms = at_ms + 1 WHERE number = 5",
            "acts-altered",
            "act 5,",
        ),
        (
            "UPDATE acts SET act = 'set_price' WHERE number = 1",
            "acts-altered",
            "act 1,",
        ),
        (
            "UPDATE acts SET subject = 'another' WHERE number = 1",
            "acts-altered",
            "act 1,",
        ),
        (
            "UPDATE acts SET detail = NULL WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
        (
            "UPDATE acts SET instance_id = NULL WHERE number = 5",
            "acts-altered",
            "act 5,",
        ),
        (
            "UPDATE acts SET digest = NULL WHERE number = 5",
            "acts-altered",
            "act 5,",
        ),
        (
            "UPDATE acts SET digest = (SELECT digest FROM acts WHERE number = 1) WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
        (
            "DELETE FROM acts WHERE number = 1",
            "acts-altered",
            "act 2, or an act before it",
        ),
        (
            "DELETE FROM acts WHERE number = 4",
            "acts-altered",
            "act 5, or an act before it",
        ),
        (
            "DELETE FROM acts WHERE number = 5",
            "acts-missing",
            "up to number 5",
        ),
        ("DELETE FROM acts", "acts-missing", "up to number 5"),
        (
            "UPDATE acts SET at_ms = 'text' WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
        (
            "UPDATE acts SET act = 'nonsense' WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
        (
            "UPDATE acts SET digest = x'00' WHERE number = 4",
            "acts-altered",
            "act 4,",
        ),
    ] {
        alter(&database, change).await;
        let error = refused(folder.path(), ORIGINAL, &["audit", "verify"], NO_ANSWER, code);
        assert_eq!(error["kind"], "damaged", "{change}");
        assert_says(text(&error["message"]), &[words]);
        assert_says(
            text(&error["advice"]),
            &["`bss-host record restore FILE --replace`"],
        );
        alter(&database, "DELETE FROM acts; INSERT INTO acts SELECT * FROM kept").await;
        assert_eq!(verified(&folder), before, "taken back: {change}");
    }
}

#[tokio::test]
async fn acts_that_were_removed_show_also_after_others_were_written() {
    for removed in [
        "DELETE FROM acts WHERE number = 5",
        "DELETE FROM acts WHERE number = 1",
        "DELETE FROM acts",
    ] {
        let folder = five_acts();
        let database = folder.path().join(ORIGINAL).join(RECORD_FILE);
        alter(&database, removed).await;
        create(&folder, "later");
        refused(
            folder.path(),
            ORIGINAL,
            &["audit", "verify"],
            NO_ANSWER,
            "acts-altered",
        );
    }
}

#[tokio::test]
async fn acts_that_were_written_anew_show_beside_a_digest_that_was_noted() {
    let folder = five_acts();
    let database = folder.path().join(ORIGINAL).join(RECORD_FILE);
    let noted = verified(&folder);
    let noted = text(&noted["digest"]);
    create(&folder, "three");
    let later = verified(&folder);
    assert_eq!(later["acts"], 6);
    let verify = |digest: &str| told(folder.path(), ORIGINAL, &["audit", "verify", "--noted", digest]);
    assert_eq!(verify(noted), later);
    assert_eq!(verify(&noted.to_uppercase()), later);
    assert_eq!(verify(text(&later["digest"])), later);
    let (out, _) = shown(folder.path(), ORIGINAL, &["audit", "verify", "--noted", noted]);
    assert_says(&out, &["6 acts, as they were written\n"]);

    let other = five_acts();
    let of_other = verified(&other);
    let first = if noted.starts_with('0') { "1" } else { "0" };
    for another in [text(&of_other["digest"]), &format!("{first}{}", &noted[1..])] {
        let asked = ["audit", "verify", "--noted", another];
        let error = refused(folder.path(), ORIGINAL, &asked, NO_ANSWER, "acts-rewritten");
        assert_says(text(&error["message"]), &[another]);
    }

    // As if the last act had never been.
    let forget = "DELETE FROM acts WHERE number = 6; UPDATE turn SET acts = 5";
    alter(&database, forget).await;
    assert_eq!(verified(&folder)["digest"], noted, "the rest hangs together");
    assert_eq!(verify(noted)["acts"], 5, "what was noted before is there");
    let asked = ["audit", "verify", "--noted", text(&later["digest"])];
    refused(folder.path(), ORIGINAL, &asked, NO_ANSWER, "acts-rewritten");
}

#[test]
fn a_digest_that_is_none_is_a_usage_error() {
    let folder = five_acts();
    let digest = verified(&folder);
    let digest = text(&digest["digest"]);
    let with_blank = format!("{} ", &digest[1..]);
    let malformed = [
        "",
        "00",
        &digest[1..],
        &format!("{digest}0"),
        &with_blank,
        &format!("g{}", &digest[1..]),
    ];
    for noted in malformed {
        let output = run(folder.path(), ORIGINAL, &["audit", "verify", "--noted", noted]);
        assert_fails(&output, USAGE, &["64 hexadecimal digits"]);
    }
    let output = run(folder.path(), ORIGINAL, &["audit", "verify", "--noted", digest]);
    assert_ends(&output, DONE);
}

#[test]
fn a_restored_record_has_the_acts_that_were_noted_before_its_backup_and_not_those_after() {
    let folder = five_acts();
    let before = verified(&folder);
    told(folder.path(), ORIGINAL, &["record", "backup", "backup.db"]);
    create(&folder, "three");
    let after = verified(&folder);
    directory_with_key(folder.path(), "other", ORIGINAL);
    told(folder.path(), "other", &["record", "restore", "backup.db"]);
    let noted = |value: &Value| {
        vec![
            "audit".to_owned(),
            "verify".into(),
            "--noted".into(),
            text(&value["digest"]).into(),
        ]
    };
    let [before, after] = [noted(&before), noted(&after)];
    let [before, after] = [&before, &after].map(|asked| Vec::from_iter(asked.iter().map(String::as_str)));
    assert_eq!(
        told(folder.path(), "other", &before)["acts"],
        6,
        "five, and that it was restored"
    );
    refused(folder.path(), "other", &after, NO_ANSWER, "acts-rewritten");
    told(folder.path(), ORIGINAL, &after);
}

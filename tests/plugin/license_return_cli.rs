//! Cancelling on the command line: what is printed, and the exit codes.

use std::time::Duration;

use std::process::Output;

use bss_model::Page;
use bss_simulator::{Fault, Operation, Repeat, When};
use serde_json::Value;

use crate::license_return::{doubted_and_refused, sold};
use crate::scenario::{DONE, INSTANCE, NO_ANSWER, PRICE, REFUSED, Scenario, USAGE, assert_ends, me, result};

fn json(output: &Output, code: i32) -> Value {
    assert_ends(output, code);
    result(output)
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn credited(scenario: &Scenario) -> Vec<i64> {
    let credits = scenario
        .host
        .record()
        .credits(&Default::default(), &Page::all())
        .await;
    credits
        .expect("credits")
        .rows
        .iter()
        .map(|credit| credit.price.minor_units)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_made_withdrawn_declined_and_confirmed() {
    let (scenario, asset) = sold().await;
    let id = asset.id.to_string();
    let request = [
        "asset",
        "cancel",
        &id,
        "--request",
        "--by-customer",
        "Ms. Müller",
        "--comment",
        "not needed",
        "--json",
    ];
    let decide = |what: &str| scenario.bss_host(&["asset", what, &id, "--comment", "so be it", "--json"]);
    let requested = json(&scenario.bss_host(&request), DONE);
    assert_eq!(requested["state"], "requested");
    assert_eq!(requested["requestedBy"]["name"], "Ms. Müller");
    let twice = scenario.bss_host(&request);
    assert_eq!(twice.status.code(), Some(REFUSED));
    assert!(error(&twice).contains("which is requested"), "{twice:?}");
    let open = json(
        &scenario.bss_host(&["asset", "cancellations", "--open", "--json"]),
        DONE,
    );
    assert_eq!(open[0]["comment"], "not needed");
    // Whoever looks at the license or at the host sees that somebody has to decide.
    let to_decide = || {
        let read = |words: &[&str]| json(&scenario.bss_host(&[words, &["--json"]].concat()), DONE);
        let status = read(&["status"]);
        let lines = [&["asset", "list"][..], &["asset", "show", &id]].map(|words| {
            let shown = scenario.bss_host(words);
            String::from_utf8_lossy(&shown.stdout).contains("cancellation requested")
        });
        (
            status["requestedCancellations"].clone(),
            status["oldestRequestedCancellationAtMs"].is_null(),
            read(&["asset", "show", &id])["isCancellationRequested"].clone(),
            lines,
        )
    };
    assert_eq!(to_decide(), (1.into(), false, true.into(), [true; 2]));

    let withdrawn = json(&decide("withdraw"), DONE);
    assert_eq!(withdrawn["state"], "withdrawn");
    assert_eq!(to_decide(), (0.into(), true, false.into(), [false; 2]));
    json(&scenario.bss_host(&request), DONE);
    let declined = json(&decide("decline"), DONE);
    assert_eq!(
        (declined["state"].as_str(), declined["decision"]["by"].as_str()),
        (Some("declined"), Some(me().as_str()))
    );
    let late = decide("confirm");
    assert_eq!(late.status.code(), Some(REFUSED));
    assert!(error(&late).contains("declined"), "{late:?}");
    assert!(credited(&scenario).await.is_empty());

    json(&scenario.bss_host(&request), DONE);
    let confirmed = json(&decide("confirm"), DONE);
    assert_eq!(confirmed["state"], "done");
    assert_eq!(credited(&scenario).await, [PRICE]);
    let all = json(
        &scenario.bss_host(&["asset", "cancellations", &id, "--json"]),
        DONE,
    );
    let states: Vec<_> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["state"].as_str().expect("a state"))
        .collect();
    assert_eq!(states, ["done", "declined", "withdrawn"]);
    assert_eq!(all[0]["returnAttempts"][0]["result"], "returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_return_says_why_and_an_open_one_that_it_goes_on() {
    let (scenario, asset) = sold().await;
    let id = asset.id.to_string();
    let cancel = ["asset", "cancel", &id];
    let faults = scenario.microsoft.faults();
    for operation in [Operation::Return, Operation::LookUp] {
        faults.order(operation, Fault::Html(500, When::BeforeActing), Repeat::Always);
    }
    let open = scenario.bss_host(&[&cancel[..], &["--json"]].concat());
    assert_eq!(json(&open, NO_ANSWER)["state"], "returning");
    assert!(error(&open).contains("not known yet"), "{open:?}");
    assert!(error(&open).contains("bss-host run"), "{open:?}");
    let worked = scenario.bss_host(&["run", "--once"]);
    assert_eq!(worked.status.code(), Some(NO_ANSWER), "{worked:?}");
    assert!(
        error(&worked).contains("not every return is settled"),
        "{worked:?}"
    );
    faults.clear();

    // The return is not forgotten: another attempt, such as a worker's, settles it.
    let license_token_id = asset.license_token_id.clone().expect("its name");
    scenario
        .microsoft
        .redeem(&license_token_id)
        .await
        .expect("it is used");
    let filter = bss_model::CancellationFilter::default();
    let open = scenario.host.record().cancellations(&filter, &Page::all()).await;
    let id_of_open = open.expect("cancellations").rows[0].id;
    scenario
        .host
        .run_return(id_of_open, crate::scenario::silent())
        .await
        .expect("it is settled");

    let refused = scenario.bss_host(&cancel);
    assert_eq!(refused.status.code(), Some(REFUSED), "{refused:?}");
    for words in ["not cancelled", "license-redeemed", "correlation id", "hint: "] {
        assert!(
            error(&refused).contains(words),
            "`{words}` in {}",
            error(&refused)
        );
    }
    let asset = json(&scenario.bss_host(&["asset", "show", &id, "--json"]), DONE);
    assert_eq!(asset["licenseTokenStatus"], "used", "it was asked about then");
    let shown = scenario.bss_host(&["asset", "cancellations", &id]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("refused") && shown.contains("attempt 1 at the return, "),
        "{shown}"
    );
    let listed = json(&scenario.bss_host(&["asset", "cancellations", "--json"]), DONE);
    let csv = scenario.bss_host(&["asset", "cancellations", "--csv"]);
    let mut rows = csv::Reader::from_reader(csv.stdout.as_slice());
    let mut rows = rows.deserialize::<std::collections::BTreeMap<String, String>>();
    let row = rows.next().expect("a row").expect("CSV");
    for (heading, name) in [
        ("reasonResult", "result"),
        ("reasonCode", "code"),
        ("reasonMessage", "message"),
    ] {
        assert_eq!(listed[0]["reason"][name], row[heading].as_str(), "{heading}");
    }
    assert!(credited(&scenario).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_while_an_earlier_return_may_be_under_way_is_no_answer() {
    let (scenario, asset) = sold().await;
    doubted_and_refused(&scenario).await;
    let id = asset.id.to_string();
    scenario.look_up_only(Duration::from_secs(60)).await;
    let open = scenario.bss_host(&["asset", "cancel", &id]);
    assert_eq!(open.status.code(), Some(NO_ANSWER), "{open:?}");
    for words in ["is not known yet", "(http-423", "bss-host run"] {
        assert!(error(&open).contains(words), "`{words}` in {}", error(&open));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn licenses_are_refreshed_one_by_one_or_all() {
    let (scenario, asset) = sold().await;
    let id = asset.id.to_string();
    let license_token_id = asset.license_token_id.clone().expect("its name");
    scenario
        .microsoft
        .redeem(&license_token_id)
        .await
        .expect("it is used");
    let one = json(&scenario.bss_host(&["asset", "refresh", &id, "--json"]), DONE);
    assert_eq!(
        (
            one["licenseTokenStatus"].as_str(),
            one["isReturnedElsewhere"].as_bool()
        ),
        (Some("used"), Some(false))
    );
    for which in [&["--all"][..], &["--instance", INSTANCE]] {
        let all = json(
            &scenario.bss_host(&[&["asset", "refresh", "--json"], which].concat()),
            DONE,
        );
        assert_eq!(all[0]["assetId"], id.as_str());
    }
    scenario.microsoft.faults().order(
        Operation::LookUp,
        Fault::Html(500, When::BeforeActing),
        Repeat::Always,
    );
    for which in [&id[..], "--all"] {
        let down = scenario.bss_host(&["asset", "refresh", which]);
        assert_eq!(down.status.code(), Some(NO_ANSWER), "{down:?}");
        assert!(error(&down).contains("\nhint: "), "{}", error(&down));
    }
    assert_eq!(
        scenario.bss_host(&["asset", "refresh"]).status.code(),
        Some(USAGE)
    );
    let nobody = uuid::Uuid::nil().to_string();
    for what in ["refresh", "cancel", "withdraw", "confirm", "decline"] {
        let missing = scenario.bss_host(&["asset", what, &nobody]);
        assert_eq!(missing.status.code(), Some(REFUSED), "{missing:?}");
    }
}

//! The class that the plugin gives to every code by which the host tells it that a purchase has failed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::replay;
use crate::scenario::Scenario;

#[path = "../../host-harness/sandbox/src/outbound_https/failure/table.rs"]
pub(crate) mod table;

use table::{Class, ROWS};

fn outcome(class: Class) -> &'static str {
    match class {
        Class::Unavailable => "unavailable (",
        Class::Refused => "refused (",
        Class::Misconfigured => "misconfigured (",
        Class::Unknown => "unknown (",
    }
}

/// How much of an answer comes before a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    Head,
    Whole,
}

/// Turns the lines of a recorded purchase into those of another call, whose purchase fails with `word` after some of its answer.
fn failing(lines: &[Value], word: &str, came: Came) -> (Uuid, Vec<Value>) {
    let call = Uuid::new_v4();
    let mut lines = lines.to_vec();
    let mut changed = 0;
    for line in &mut lines {
        line["call"] = json!(call);
        let url = line.pointer("/request/url").and_then(Value::as_str);
        if url.is_some_and(|url| url.ends_with("/tokens")) {
            line["failure"] = json!(word);
            match came {
                Came::Nothing => line["response"] = Value::Null,
                Came::Head => line["response"]["body"] = json!("empty"),
                Came::Whole => {}
            }
            changed += 1;
        }
    }
    assert_eq!(changed, 1, "one purchase");
    (call, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_is_of_the_class_that_the_table_gives_it() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    let mut lines = replay::recorded_purchase(&scenario, &offer);
    let mut all = vec![lines.remove(0)];
    let mut expected = BTreeMap::new();
    for (what, word, class) in ROWS {
        // A failure comes instead of an answer, or after its head: then the outcome is unknown whatever the failure. A license
        // that came whole is one, whatever happens to the connection then: one without a length ends so.
        for (came, expected_outcome) in [
            (Came::Nothing, outcome(class)),
            (Came::Head, outcome(Class::Unknown)),
            (Came::Whole, "licensed"),
        ] {
            let (call, lines) = failing(&lines, word, came);
            all.extend(lines);
            expected.insert(call.to_string(), (what, word, came, expected_outcome));
        }
    }
    let file = scenario.folder.path().join("failing.jsonl");
    let text: Vec<_> = all.iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n")).expect("a recording");

    let calls = replay::replayed(&replay::replay(&file));
    assert_eq!(calls.len(), expected.len());
    for call in calls {
        let row = &expected[call["id"].as_str().expect("an id")];
        let was = call["outcome"].as_str().expect("an outcome");
        assert!(was.starts_with(row.3), "{row:?}: {was}");
    }
}

//! A plugin's answer as JSON, by the names of the contract, so that a recording has it and a replay can compare it.

use aws_lc_rs::digest::{self, SHA256};
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::bindings::connection::Step;
use crate::bindings::failures::{Delay, Problem};
use crate::secret_shapes::REMOVED;

/// The member that holds what a reading has handed over; the contract gives it no name in the answer.
const HANDED_OVER: &str = "handed-over";

/// The most products of a reading that are recorded one by one. All of them are counted, and have a digest.
const PRODUCTS_SHOWN: usize = 100;

/// The members whose values are cases of an enumeration or a variant.
const CASES: [&str; 7] = [
    "derivative",
    "kind",
    "license-token-status",
    "result",
    "return-status",
    "role",
    "standing",
];

/// What a plugin answered, beside the outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PluginAnswer {
    pub(crate) value: Value,
    /// The products that a reading has handed over.
    pub(crate) products: Option<Vec<Value>>,
}

impl PluginAnswer {
    /// The answer with the products that were handed over beside it: how many, the first, and a digest of all.
    pub(crate) fn recorded(self) -> Value {
        let Some(mut products) = self.products else {
            return self.value;
        };
        let (mut sha256, mut has_removed) = (digest::Context::new(&SHA256), false);
        for product in &products {
            let product = product.to_string();
            sha256.update(product.as_bytes());
            has_removed |= product.contains(REMOVED);
        }
        let sha256 = match has_removed {
            // What stands for any text has no digest.
            true => REMOVED.to_owned(),
            false => HEXLOWER.encode(sha256.finish().as_ref()),
        };
        let number = products.len();
        products.truncate(PRODUCTS_SHOWN);
        let mut answer = match self.value {
            Value::Object(answer) => answer,
            _ => Map::new(),
        };
        let handed_over = json!({ "number": number, "first": products, "sha256": sha256 });
        answer.insert(HANDED_OVER.to_owned(), handed_over);
        answer.into()
    }
}

/// A record of the contract.
pub(crate) fn in_words_of_the_contract(record: &impl Serialize) -> Value {
    renamed(serde_json::to_value(record).unwrap_or_default())
}

/// A problem without its code, which stands in the outcome.
pub(super) fn of_problem(problem: &Problem) -> Value {
    without(in_words_of_the_contract(problem), "code")
}

/// A problem that time may solve.
pub(super) fn of_delay(delay: &Delay) -> Value {
    let mut answer = of_problem(&delay.problem);
    answer["retry-after-ms"] = delay.retry_after_ms.into();
    answer
}

/// The time within which the vendor issues the license.
pub(super) fn of_accepted(within_ms: Option<u64>) -> Value {
    json!({ "accepted": within_ms })
}

/// The steps of a check, without how long they took: that is another time each time.
pub(super) fn of_steps(steps: &[Step]) -> Value {
    let steps = steps.iter().map(in_words_of_the_contract);
    steps.map(|step| without(step, "took-ms")).collect()
}

fn without(mut value: Value, member: &str) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.remove(member);
    }
    value
}

fn renamed(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let name = name.replace('_', "-");
                let value = match CASES.contains(&name.as_str()) {
                    true => case(value),
                    false => renamed(value),
                };
                (name, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(renamed).collect(),
        other => other,
    }
}

/// A case, which is a word, or a word with a payload.
fn case(value: Value) -> Value {
    match value {
        Value::String(case) => hyphenated(&case).into(),
        Value::Object(cases) => {
            let cases = cases.into_iter();
            let cases = cases.map(|(case, payload)| (hyphenated(&case), renamed(payload)));
            cases.collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn hyphenated(case: &str) -> String {
    let mut hyphenated = String::with_capacity(case.len() + 1);
    for (at, character) in case.char_indices() {
        if at > 0 && character.is_ascii_uppercase() {
            hyphenated.push('-');
        }
        hyphenated.push(character.to_ascii_lowercase());
    }
    hyphenated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::connection::StepResult;
    use crate::bindings::instance_settings::{Form, Standing};

    fn problem() -> Problem {
        Problem {
            code: "a-b".to_owned(),
            message: "message".to_owned(),
            advice: String::new(),
            correlation_id: "c".to_owned(),
        }
    }

    #[test]
    fn an_answer_has_the_names_of_the_contract() {
        let form = Form {
            fields: Vec::new(),
            standing: Standing::NeedsCredentials,
            certificate_field: None,
        };
        assert_eq!(
            in_words_of_the_contract(&form),
            json!({ "fields": [], "standing": "needs-credentials", "certificate-field": null })
        );
        let ready = Form {
            standing: Standing::Ready(Vec::new()),
            ..form
        };
        assert_eq!(
            in_words_of_the_contract(&ready)["standing"],
            json!({ "ready": [] })
        );
        let delay = Delay {
            problem: problem(),
            retry_after_ms: Some(7),
        };
        assert_eq!(
            of_delay(&delay),
            json!({ "message": "message", "advice": "", "correlation-id": "c", "retry-after-ms": 7 })
        );
        let steps = [Step {
            id: "a".to_owned(),
            name: "A".to_owned(),
            result: StepResult::Failed(problem()),
            took_ms: 7,
        }];
        let failed =
            json!({ "failed": { "code": "a-b", "message": "message", "advice": "", "correlation-id": "c" } });
        assert_eq!(
            of_steps(&steps),
            json!([{ "id": "a", "name": "A", "result": failed }])
        );
    }

    #[test]
    fn all_products_have_a_digest_and_the_first_are_shown() {
        let products = |last: &str| {
            let mut products = vec![json!({ "code": "A" }); PRODUCTS_SHOWN];
            products.push(json!({ "code": last }));
            let answer = PluginAnswer {
                value: json!({ "entity-tag": "1" }),
                products: Some(products),
            };
            answer.recorded()
        };
        let recorded = products("B");
        assert_eq!(recorded["entity-tag"], "1");
        let handed_over = &recorded[HANDED_OVER];
        assert_eq!(handed_over["number"], PRODUCTS_SHOWN + 1);
        assert_eq!(handed_over["first"].as_array().unwrap().len(), PRODUCTS_SHOWN);
        assert_ne!(*handed_over, products("C")[HANDED_OVER]);
        assert_eq!(products(REMOVED)[HANDED_OVER]["sha256"], REMOVED);
    }
}

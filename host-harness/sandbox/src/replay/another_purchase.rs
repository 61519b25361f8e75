//! Compares a purchase with the same one under another client transaction id.
//!
//! A vendor tells two purchases apart by what a request carries of the client transaction id. A plugin that carries nothing of
//! it, or the same for every purchase, gets one license for two purchases, or two for one that is sent twice. One recording
//! can't tell: what was sent is what was recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::difference::Difference;
use super::sent::{Sent, leaves};
use crate::exchange_recording::{Recorded, RecordedExchange};

/// The part that a difference names where a request is the same for two purchases.
const THE_SAME: &str = "the same for another purchase";

/// The fewest characters of a product's code, or of a customer's name or id, that is looked for within longer values.
const ABOUT_CHARS_MIN: usize = 4;

/// A purchase that differs from a recorded one in its client transaction id alone.
pub(super) struct OtherPurchase {
    recorded_id: String,
    id: String,
    /// What is bought, and for whom.
    about: Vec<String>,
}

/// A value by its place.
type Parts = BTreeMap<String, String>;

impl OtherPurchase {
    /// The other purchase to a recorded one that sent requests. `None` where nothing was to be bought.
    pub(super) fn of(asked: &Value, sent: &[Sent]) -> Option<Self> {
        let order = asked.get("order")?;
        let recorded_id = order["client_transaction_id"]
            .as_str()
            .filter(|id| !id.is_empty())?;
        let about = ["/product", "/customer/id", "/customer/name"].map(|pointer| order.pointer(pointer));
        let about = about.into_iter().flatten().filter_map(Value::as_str);
        sent.iter().any(|sent| sent.changes).then(|| Self {
            recorded_id: recorded_id.to_owned(),
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, recorded_id.as_bytes()).to_string(),
            about: about.filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// The recording of the other purchase, as it would have been.
    pub(super) fn in_place_of(&self, recorded: &Recorded) -> Recorded {
        let mut other = recorded.clone();
        other.asked = self.renamed(other.asked);
        for exchange in &mut other.exchanges {
            let renamed = serde_json::to_value(&*exchange).map(|value| self.renamed(value));
            if let Ok(Ok(renamed)) = renamed.map(serde_json::from_value::<RecordedExchange>) {
                *exchange = renamed;
            }
        }
        other
    }

    /// A value with the other id in each text that carries the recorded one.
    fn renamed(&self, value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.into_iter();
                members.map(|(name, value)| (name, self.renamed(value))).collect()
            }
            Value::Array(items) => items.into_iter().map(|item| self.renamed(item)).collect(),
            Value::String(text) => self.renamed_text(&text).into(),
            other => other,
        }
    }

    fn renamed_text(&self, text: &str) -> String {
        let spellings = spellings(&self.recorded_id).into_iter().zip(spellings(&self.id));
        spellings.fold(text.to_owned(), |text, (recorded, other)| {
            text.replace(&recorded, &other)
        })
    }

    /// What the requests say of a plugin, in three plays: the recorded purchase, the same a little later, and the other one.
    pub(super) fn differences(&self, [first, later, other]: [&[Sent]; 3]) -> Vec<Difference> {
        let alike = |(first, other): &(&Sent, &Sent)| first.exchange == other.exchange;
        let pairs: Vec<_> = first.iter().zip(other).take_while(alike).collect();
        let nothing = Sent::default();
        let by_id: Vec<_> = pairs
            .iter()
            .enumerate()
            .map(|(at, (first, other))| {
                let later = later.get(at).unwrap_or(&nothing);
                depend_on_the_id(&first.parts, &later.parts, &other.parts)
            })
            .collect();
        let changes = |at: &usize| pairs[*at].0.changes;
        let carrier = (0..pairs.len()).filter(changes).find(|at| !by_id[*at].is_empty());
        let mut found = Vec::new();
        for (at, (sent, other)) in pairs.iter().enumerate() {
            found.extend(self.left_behind(sent.exchange, &sent.parts, &other.parts));
            // A request after one that carries the id may go on with what the vendor answered to that; one before it may be
            // about no purchase yet, such as one that logs in.
            let is_told_apart = match carrier {
                Some(carrier) => carrier <= at || !self.is_about(sent),
                None => false,
            };
            if sent.changes && !is_told_apart {
                found.push(Difference {
                    exchange: sent.exchange,
                    what: THE_SAME.to_owned(),
                    recorded: format!("{}, for client transaction id {}", sent.name, self.recorded_id),
                    now: format!("the same for client transaction id {}", self.id),
                });
            }
        }
        found
    }

    /// What the answers say of a plugin, in the same three plays.
    pub(super) fn answer_differences(&self, answers: [Option<&Value>; 3]) -> Vec<Difference> {
        let [Some(first), _, Some(other)] = answers else {
            return Vec::new();
        };
        let parts = |answer: &Value| {
            let mut parts = Parts::new();
            leaves("answer ", answer, &mut |place, value| {
                parts.insert(place, value.to_owned());
            });
            parts
        };
        self.left_behind(None, &parts(first), &parts(other))
    }

    /// The values that carried the recorded id, and that do not carry the other one instead.
    fn left_behind(&self, exchange: Option<u32>, first: &Parts, other: &Parts) -> Vec<Difference> {
        let carrying = first
            .iter()
            .map(|(place, value)| (place, value, self.renamed_text(value)));
        let carrying = carrying.filter(|(_, value, renamed)| *value != renamed);
        let left = carrying.filter_map(|(place, _, renamed)| {
            let now = other.get(place).map(String::as_str).unwrap_or_default();
            (!carries(now, &self.id)).then(|| Difference {
                exchange,
                what: format!("{place}, for another purchase"),
                recorded: renamed.trim_end().to_owned(),
                now: now.trim_end().to_owned(),
            })
        });
        left.collect()
    }

    /// Whether a request says what is bought, or for whom.
    fn is_about(&self, sent: &Sent) -> bool {
        let says =
            |value: &str, text: &str| value == text || text.len() >= ABOUT_CHARS_MIN && value.contains(text);
        let mut values = sent.parts.values().map(|value| value.trim_end());
        values.any(|value| self.about.iter().any(|text| says(value, text)))
    }
}

/// The places of the values that another id changes. One that differs a little later as well changes by itself.
fn depend_on_the_id(first: &Parts, later: &Parts, other: &Parts) -> BTreeSet<String> {
    let places: BTreeSet<_> = first.keys().chain(other.keys()).collect();
    let by_id = places.into_iter().filter(|place| {
        let value = first.get(*place);
        value == later.get(*place) && value != other.get(*place)
    });
    by_id.cloned().collect()
}

fn carries(text: &str, id: &str) -> bool {
    spellings(id).iter().any(|id| text.contains(id))
}

/// The ways in which a UUID is written.
fn spellings(id: &str) -> [String; 5] {
    let simple = id.replace('-', "");
    [
        id.to_owned(),
        id.to_lowercase(),
        id.to_uppercase(),
        simple.to_lowercase(),
        simple.to_uppercase(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORDED: &str = "0b8a0f4e-5c1d-5b8e-9c63-0d6d7e6f7a10";

    /// A purchase of the product `SKU-1`.
    fn purchase() -> OtherPurchase {
        let order = json!({
            "client_transaction_id": RECORDED,
            "product": "SKU-1",
            "customer": { "id": "removed-1", "name": "removed-2" },
        });
        OtherPurchase::of(&json!({ "order": order }), &[post(1, &[])]).unwrap()
    }

    fn request(exchange: u32, changes: bool, parts: &[(&str, &str)]) -> Sent {
        let part = |(place, value): &(&str, &str)| ((*place).to_owned(), format!("{value}\n"));
        Sent {
            exchange: Some(exchange),
            name: "POST https://a.test/".to_owned(),
            changes,
            parts: parts.iter().map(part).collect(),
        }
    }

    fn post(exchange: u32, parts: &[(&str, &str)]) -> Sent {
        request(exchange, true, parts)
    }

    /// The parts that differ, of plays whose requests are made of an id and of the number of the play.
    fn found(requests: impl Fn(&str, &str) -> Vec<Sent>) -> Vec<(Option<u32>, String)> {
        let purchase = purchase();
        let plays = [(RECORDED, "1"), (RECORDED, "2"), (purchase.id.as_str(), "3")];
        let plays = plays.map(|(id, play)| requests(id, play));
        let differences = purchase.differences(plays.each_ref().map(Vec::as_slice));
        let parts = differences
            .into_iter()
            .map(|difference| (difference.exchange, difference.what));
        parts.collect()
    }

    #[test]
    fn a_request_that_is_the_same_for_two_purchases_is_found() {
        let the_same = |exchange| vec![(Some(exchange), THE_SAME.to_owned())];
        let constant = |_: &str, _: &str| vec![post(1, &[("header idempotency-key", "1")])];
        assert_eq!(found(constant), the_same(1));
        // What chance or the time of day makes of it is not the purchase's.
        let by_chance = |_: &str, play: &str| vec![post(1, &[("header idempotency-key", play)])];
        assert_eq!(found(by_chance), the_same(1));
        // After one that carries the id, a request may go on with what the vendor answered; the other way round, one that is
        // about the purchase has nothing that is the purchase's own.
        let item = post(2, &[("url", "/carts/5"), ("body /sku", "SKU-1")]);
        let cart = |id: &str| post(1, &[("body /ref", id)]);
        assert_eq!(found(|id, _| vec![cart(id), item.clone()]), []);
        assert_eq!(found(|id, _| vec![item.clone(), cart(id)]), the_same(2));
    }

    #[test]
    fn a_request_that_carries_the_id_or_what_is_made_of_it_is_not_found() {
        assert_eq!(
            found(|id, _| vec![post(1, &[("header idempotency-key", id)])]),
            []
        );
        assert_eq!(
            found(|id, _| vec![post(1, &[("url", &format!("/orders/{id}"))])]),
            []
        );
        assert_eq!(
            found(|id, _| vec![post(1, &[("query ref", &id.replace('-', "").to_uppercase())])]),
            []
        );
        // A digest of the id, and one that is made of the id and of chance.
        assert_eq!(found(|id, _| vec![post(1, &[("body /ref", &id[..8])])]), []);
        assert_eq!(
            found(|id, play| vec![post(1, &[("body /ref", &id[..8]), ("header nonce", play)])]),
            []
        );
    }

    #[test]
    fn a_request_that_buys_nothing_may_be_the_same() {
        let buys = |id: &str| post(2, &[("body /ref", id), ("body /sku", "SKU-1")]);
        let logs_in = post(1, &[("body /user", "u")]);
        assert_eq!(found(|id, _| vec![logs_in.clone(), buys(id)]), []);
        let looks_up = request(1, false, &[("query sku", "SKU-1")]);
        assert_eq!(found(|id, _| vec![looks_up.clone(), buys(id)]), []);
        assert!(
            OtherPurchase::of(&json!({ "order": { "client_transaction_id": "1" } }), &[looks_up]).is_none()
        );
        assert!(OtherPurchase::of(&json!({ "license_return": {} }), &[logs_in]).is_none());
    }

    #[test]
    fn a_value_that_keeps_the_recorded_id_is_found() {
        let left = |what: &str| (Some(1), format!("{what}, for another purchase"));
        let differences = found(|id, play| {
            let kept = if play == "3" { "1" } else { RECORDED };
            vec![post(
                1,
                &[
                    ("header a", id),
                    ("query b", kept),
                    ("body /c", &format!("order {id}")),
                ],
            )]
        });
        assert_eq!(differences, [left("query b")]);
        let purchase = purchase();
        let answer = |id: &str| json!({ "client-transaction-id": id, "transaction-id": "T" });
        let (recorded, other) = (answer(RECORDED), answer(&purchase.id));
        let compared = |answer| purchase.answer_differences([Some(&recorded), None, answer]);
        assert_eq!(compared(Some(&other)), []);
        let left = compared(Some(&recorded)).remove(0);
        assert_eq!(left.what, "answer /client-transaction-id, for another purchase");
        assert_eq!(
            [left.recorded, left.now],
            [purchase.id.clone(), RECORDED.to_owned()]
        );
    }

    #[test]
    fn the_recorded_exchanges_of_another_purchase_have_its_id_in_every_spelling() {
        let purchase = purchase();
        let text = |id: &str| format!("{id} {} {}", id.to_uppercase(), id.replace('-', ""));
        assert_eq!(purchase.renamed_text(&text(RECORDED)), text(&purchase.id));
    }
}

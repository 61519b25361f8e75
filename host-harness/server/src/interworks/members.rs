//! Messages of a platform, read as tolerantly as platforms write: names in any case, numbers and truth as texts. What is given twice
//! is seen twice, so that no copy of a member hides another.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A member that can't be read as what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("`{member}` is missing")]
    Missing { member: &'static str },
    #[error("`{member}` can't be read: {expected} is expected")]
    Value {
        member: &'static str,
        expected: &'static str,
    },
    #[error("`{member}` is given more than once, with different values")]
    Repeated { member: &'static str },
}

/// The bound below which a number with a fraction or an exponent is exact (IEEE 754).
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// The most objects of a list.
const OBJECTS_MAX: usize = 100;

/// A value of a message. Numbers and truth are texts, as several platforms write them. Not to be printed: it may be a secret.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Node {
    Null,
    Text(String),
    List(Vec<Self>),
    Object(Members),
}

/// The members of an object, in their order, each as often as it was given.
#[derive(Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Members(Vec<(String, Node)>);

impl Members {
    /// The members of a message. An empty one has none; neither has `null`.
    ///
    /// # Errors
    /// When it is no JSON, or anything but an object.
    pub(crate) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body)? {
            Node::Object(members) => Ok(members),
            Node::Null => Ok(Self::default()),
            Node::Text(_) | Node::List(_) => Err(serde::de::Error::custom("an object is expected")),
        }
    }

    /// Every value of a name, `null` left out.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        let named = self
            .0
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named
            .map(|(_, value)| value)
            .filter(|value| **value != Node::Null)
    }

    /// All members with their names.
    fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A text, trimmed. `None`: there is none, or an empty one.
    pub(crate) fn text(&self, member: &'static str) -> Result<Option<&str>, Unreadable> {
        let mut found = None;
        for value in self.all(member) {
            let Node::Text(text) = value else {
                let expected = "a text";
                return Err(Unreadable::Value { member, expected });
            };
            let text = text.trim();
            match found {
                Some(known) if known != text => return Err(Unreadable::Repeated { member }),
                _ => found = Some(text),
            }
        }
        Ok(found.filter(|text| !text.is_empty()))
    }

    /// A text that has to be there.
    pub(crate) fn needed(&self, member: &'static str) -> Result<&str, Unreadable> {
        self.text(member)?.ok_or(Unreadable::Missing { member })
    }

    /// Whether any value of a name says true. Not there and `null` say false.
    pub(crate) fn flag(&self, member: &'static str) -> Result<bool, Unreadable> {
        let mut says = false;
        for value in self.all(member) {
            says |= match value {
                Node::Text(text) => truth(text),
                Node::Null | Node::List(_) | Node::Object(_) => None,
            }
            .ok_or(Unreadable::Value {
                member,
                expected: "true or false",
            })?;
        }
        Ok(says)
    }

    /// An object. `None`: there is none.
    pub(crate) fn object(&self, member: &'static str) -> Result<Option<&Self>, Unreadable> {
        let mut found = None;
        for value in self.all(member) {
            match (value, found) {
                (Node::Object(members), None) => found = Some(members),
                (Node::Object(members), Some(known)) if members == known => {}
                (Node::Object(_), Some(_)) => return Err(Unreadable::Repeated { member }),
                _ => {
                    let expected = "an object";
                    return Err(Unreadable::Value { member, expected });
                }
            }
        }
        Ok(found)
    }

    /// The objects of a list, or of an object whose members are the objects, each with its name there. None: there is no such member.
    pub(crate) fn objects(&self, member: &'static str) -> Result<Vec<(Option<&str>, &Self)>, Unreadable> {
        let mut objects = Vec::new();
        for value in self.all(member) {
            match value {
                Node::List(values) => objects.extend(values.iter().map(|value| (None, value))),
                Node::Object(members) => {
                    objects.extend(members.iter().map(|(name, value)| (Some(name), value)));
                }
                Node::Null | Node::Text(_) => {
                    let expected = "a list of objects";
                    return Err(Unreadable::Value { member, expected });
                }
            }
        }
        let mut named = Vec::new();
        for (name, value) in objects {
            match value {
                Node::Null => {}
                Node::Object(members) => named.push((name, members)),
                Node::Text(_) | Node::List(_) => {
                    let expected = "a list of objects";
                    return Err(Unreadable::Value { member, expected });
                }
            }
        }
        match named.len() > OBJECTS_MAX {
            true => Err(Unreadable::Value {
                member,
                expected: "at most 100 objects",
            }),
            false => Ok(named),
        }
    }
}

/// What a text says of truth. `None`: nothing that can be told.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // Ids are numbers of some platforms, and beyond that bound several numbers are one.
        match value.abs() < EXACT_BELOW {
            true => Ok(Node::Text(value.to_string())),
            false => Err(E::custom("a number is too large")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(Members(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Members {
        Members::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_member_is_found_in_any_case_and_a_number_is_a_text() {
        for text in [
            r#"{"SubscriptionID": 84213}"#,
            r#"{"subscriptionId": " 84213 "}"#,
            r#"{"SUBSCRIPTIONID": "84213", "subscriptionid": null}"#,
            "\u{feff}{\"SubscriptionID\": \"84213\"}",
        ] {
            assert_eq!(of(text).text("SubscriptionID"), Ok(Some("84213")), "{text}");
        }
        assert_eq!(of(r#"{"Quantity": 1.0}"#).text("Quantity"), Ok(Some("1")));
        assert_eq!(of("{}").needed("ID"), Err(Unreadable::Missing { member: "ID" }));
        assert_eq!(of(r#"{"ID": " "}"#).text("ID"), Ok(None));
    }

    #[test]
    fn an_empty_message_has_no_members_and_anything_but_an_object_is_none() {
        for text in ["", " \n", "null", "{}", "\u{feff}"] {
            assert_eq!(of(text), Members::default(), "{text:?}");
        }
        for text in ["{\"ID\": 18446744073709551616}", "{\"ID\": 1e300}"] {
            assert!(Members::read(text.as_bytes()).is_err(), "{text} is not exact");
        }
        for text in ["[]", "1", "\"a\"", "{", "{]", &"[".repeat(1_000)] {
            assert!(Members::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Members::read(b"{\"a\": \"\xff\"}").is_err());
    }

    #[test]
    fn a_member_that_is_given_twice_is_read_only_where_both_say_the_same() {
        let repeated = Err(Unreadable::Repeated { member: "ID" });
        assert_eq!(of(r#"{"ID": "1", "id": "2"}"#).text("ID"), repeated);
        assert_eq!(of(r#"{"ID": "1", "id": 1}"#).text("ID"), Ok(Some("1")));
        assert!(
            of(r#"{"Account": {"ID": 1}, "account": {"ID": 2}}"#)
                .object("Account")
                .is_err()
        );
    }

    #[test]
    fn a_flag_is_set_by_any_of_its_members_and_never_by_chance() {
        let says = |text: &str| of(text).flag("CheckOnly");
        for text in [
            r#"{"CheckOnly": true}"#,
            r#"{"checkonly": "True"}"#,
            r#"{"CheckOnly": 1}"#,
            r#"{"CheckOnly": true, "CheckOnly": false}"#,
            r#"{"CheckOnly": false, "checkOnly": "true"}"#,
        ] {
            assert_eq!(says(text), Ok(true), "{text}");
        }
        for text in [
            "{}",
            r#"{"CheckOnly": null}"#,
            r#"{"CheckOnly": false}"#,
            r#"{"CheckOnly": "0"}"#,
        ] {
            assert_eq!(says(text), Ok(false), "{text}");
        }
        for text in [
            r#"{"CheckOnly": "maybe"}"#,
            r#"{"CheckOnly": ""}"#,
            r#"{"CheckOnly": 2}"#,
            r#"{"CheckOnly": []}"#,
            r#"{"CheckOnly": {}}"#,
            r#"{"CheckOnly": true, "checkonly": "maybe"}"#,
        ] {
            assert!(says(text).is_err(), "{text}");
        }
    }

    #[test]
    fn objects_are_found_in_a_list_and_under_names() {
        let names = |text: &str| {
            let members = of(text);
            let objects = members.objects("AttributeList")?;
            Ok(objects
                .iter()
                .map(|(name, members)| {
                    (
                        name.map(ToOwned::to_owned),
                        members.text("Code").unwrap().map(ToOwned::to_owned),
                    )
                })
                .collect::<Vec<_>>())
        };
        let code = Some("a".to_owned());
        assert_eq!(
            names(r#"{"AttributeList": {"offer": {"Code": "a"}, "other": null}}"#),
            Ok(vec![(Some("offer".to_owned()), code.clone())])
        );
        assert_eq!(
            names(r#"{"attributeList": [{"code": "a"}]}"#),
            Ok(vec![(None, code)])
        );
        assert_eq!(names("{}"), Ok(Vec::new()));
        let bad: Result<_, Unreadable> = names(r#"{"AttributeList": ["a"]}"#);
        assert!(bad.is_err());
    }
}

//! What a document takes back of an earlier one: whatever a client that keeps to the earlier one would miss.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::resolved;

/// The depth that no schema reaches, unless it has itself in it.
const DEPTH_MAX: usize = 20;

/// A field of a body, an answer or an event.
#[derive(Debug, Default)]
struct Field {
    kinds: BTreeSet<String>,
    words: BTreeSet<String>,
    is_needed: bool,
}

/// The fields of a schema and of what is in it, by their paths. The schema itself has an empty one.
#[derive(Debug, Default)]
struct Shape(BTreeMap<String, Field>);

impl Shape {
    fn of(document: &Value, schema: &Value) -> Self {
        let mut shape = Self::default();
        if !schema.is_null() {
            shape.add(document, schema, "", true, DEPTH_MAX);
        }
        shape
    }

    fn add(&mut self, document: &Value, schema: &Value, at: &str, is_needed: bool, depth: usize) {
        assert!(depth > 0, "`{at}` has itself in it");
        let schema = resolved(document, schema);
        let field = self.0.entry(at.to_owned()).or_default();
        field.is_needed |= is_needed;
        match &schema["type"] {
            Value::String(kind) => field.kinds.extend([kind.clone()]),
            Value::Array(kinds) => field.kinds.extend(kinds.iter().map(text)),
            _ => {}
        }
        let words = schema["enum"].as_array().into_iter().flatten();
        field.words.extend(words.map(text));
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.add(document, part, at, is_needed, depth - 1);
        }
        for kind in ["oneOf", "anyOf"] {
            self.add_choices(document, &schema[kind], at, is_needed, depth);
        }
        let required = schema["required"].as_array();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_needed = required.is_some_and(|names| names.contains(&json!(name)));
            self.add(document, property, &format!("{at}.{name}"), is_needed, depth - 1);
        }
        if schema["items"].is_object() {
            self.add(document, &schema["items"], &format!("{at}[]"), true, depth - 1);
        }
        if schema["additionalProperties"].is_object() {
            let values = &schema["additionalProperties"];
            self.add(document, values, &format!("{at}.*"), false, depth - 1);
        }
    }

    /// Adds what one of several schemas has. Sure to be there is only what each of them has, `null` left aside.
    fn add_choices(&mut self, document: &Value, choices: &Value, at: &str, is_needed: bool, depth: usize) {
        let choices = choices.as_array().into_iter().flatten();
        let shapes: Vec<Self> = choices
            .map(|choice| {
                let mut shape = Self::default();
                shape.add(document, choice, at, is_needed, depth - 1);
                shape
            })
            .collect();
        let is_null = |shape: &Self| {
            let field = shape.0.get(at);
            field.is_some_and(|field| field.kinds == BTreeSet::from(["null".to_owned()]))
        };
        let names: BTreeSet<&String> = shapes.iter().flat_map(|shape| shape.0.keys()).collect();
        let mut merged: Vec<(String, Field)> = Vec::new();
        for name in names {
            let of_each = || shapes.iter().map(|shape| shape.0.get(name));
            let mut field = Field {
                is_needed: shapes
                    .iter()
                    .filter(|shape| !is_null(shape))
                    .all(|shape| shape.0.get(name).is_some_and(|field| field.is_needed)),
                ..Field::default()
            };
            for other in of_each().flatten() {
                field.kinds.extend(other.kinds.iter().cloned());
                field.words.extend(other.words.iter().cloned());
            }
            merged.push((name.clone(), field));
        }
        for (name, field) in merged {
            let known = self.0.entry(name).or_default();
            known.kinds.extend(field.kinds);
            known.words.extend(field.words);
            known.is_needed |= field.is_needed;
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Who sends something, and so which changes of it the other one notices.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// Two documents that are compared.
struct Comparison<'a> {
    released: &'a Value,
    now: &'a Value,
    losses: Vec<String>,
}

/// What is lost between two documents, as sentences.
pub(super) fn losses(released: &Value, now: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        released,
        now,
        losses: Vec::new(),
    };
    for kind in ["paths", "webhooks"] {
        let former = released[kind].as_object().into_iter().flatten();
        for (path, item) in former {
            comparison.path(kind, path, item);
        }
    }
    comparison.losses
}

impl Comparison<'_> {
    fn lose(&mut self, what: String) {
        self.losses.push(what);
    }

    fn path(&mut self, kind: &str, path: &str, item: &Value) {
        let document = self.now;
        let now = &document[kind][path];
        if now.is_null() {
            return self.lose(format!("{path} is gone"));
        }
        for (method, released) in item.as_object().into_iter().flatten() {
            let at = format!("{} {path}", method.to_uppercase());
            match &now[method] {
                Value::Null => self.lose(format!("{at} is gone")),
                now if kind == "webhooks" => {
                    self.body(&at, released, now, Sender::Server);
                }
                now => self.operation(&at, released, now),
            }
        }
    }

    fn operation(&mut self, at: &str, released: &Value, now: &Value) {
        let scopes = |operation: &Value| {
            let all = operation["security"].as_array().into_iter().flatten();
            let all = all.flat_map(|one| one["key"].as_array().cloned().unwrap_or_default());
            all.map(|scope| text(&scope)).collect::<BTreeSet<_>>()
        };
        let (former, needed) = (scopes(released), scopes(now));
        for scope in former.difference(&needed) {
            self.lose(format!("{at}: the scope `{scope}` does not open it any more"));
        }
        for scope in needed.difference(&former) {
            self.lose(format!("{at}: the scope `{scope}` is newly needed"));
        }
        if released["operationId"] != now["operationId"] {
            self.lose(format!("{at}: the operation has another name"));
        }
        self.parameters(at, released, now);
        self.body(at, released, now, Sender::Client);
        for (status, answer) in released["responses"].as_object().into_iter().flatten() {
            let at = format!("{at}: {status}");
            match &now["responses"][status] {
                Value::Null => self.lose(format!("{at} is gone")),
                now => self.answer(&at, answer, now),
            }
        }
    }

    fn parameters(&mut self, at: &str, released: &Value, now: &Value) {
        let of = |operation: &Value| {
            let all = operation["parameters"].as_array().into_iter().flatten();
            let named = all.map(|one| ((text(&one["in"]), text(&one["name"])), one.clone()));
            named.collect::<BTreeMap<_, _>>()
        };
        let (former, present) = (of(released), of(now));
        for ((place, name), parameter) in &former {
            let at = format!("{at}: {place} {name}");
            match present.get(&(place.clone(), name.clone())) {
                None => self.lose(format!("{at} is gone")),
                Some(now) => self.schema(&at, &parameter["schema"], &now["schema"], Sender::Client),
            }
        }
        for (key, parameter) in &present {
            let was_needed = former.get(key).is_some_and(|former| former["required"] == true);
            if parameter["required"] == true && !was_needed {
                self.lose(format!("{at}: {} {} is newly needed", key.0, key.1));
            }
        }
    }

    fn body(&mut self, at: &str, released: &Value, now: &Value, sender: Sender) {
        let is_needed = |operation: &Value| operation["requestBody"]["required"] == true;
        if sender == Sender::Client && is_needed(now) && !is_needed(released) {
            self.lose(format!("{at}: a body is newly needed"));
        }
        self.contents(at, &released["requestBody"], &now["requestBody"], sender);
    }

    fn answer(&mut self, at: &str, released: &Value, now: &Value) {
        let (released, now) = (resolved(self.released, released), resolved(self.now, now));
        for name in released["headers"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            if now["headers"][name].is_null() {
                self.lose(format!("{at}: the header field {name} is gone"));
            }
        }
        self.contents(at, released, now, Sender::Server);
    }

    fn contents(&mut self, at: &str, released: &Value, now: &Value, sender: Sender) {
        for (kind, content) in released["content"].as_object().into_iter().flatten() {
            match &now["content"][kind] {
                Value::Null => self.lose(format!("{at}: {kind} is gone")),
                now => self.schema(at, &content["schema"], &now["schema"], sender),
            }
        }
    }

    fn schema(&mut self, at: &str, released: &Value, now: &Value, sender: Sender) {
        let former = Shape::of(self.released, released).0;
        let present = Shape::of(self.now, now).0;
        for (name, released) in &former {
            let at = format!("{at}: `{name}`");
            let Some(now) = present.get(name) else {
                self.lose(format!("{at} is gone"));
                continue;
            };
            for word in released.words.difference(&now.words) {
                self.lose(format!("{at}: the word `{word}` is gone"));
            }
            // A client that sends anything is not held to words from now on, and one that gets anything knows none.
            if sender == Sender::Client && released.words.is_empty() && !now.words.is_empty() {
                self.lose(format!("{at}: only some words are taken any more"));
            }
            let (had, has) = match sender {
                Sender::Client => (&now.kinds, &released.kinds),
                Sender::Server => (&released.kinds, &now.kinds),
            };
            if has.difference(had).next().is_some() {
                self.lose(format!("{at}: the type is another"));
            }
            if sender == Sender::Server && released.is_needed && !now.is_needed {
                self.lose(format!("{at} may be left out"));
            }
        }
        for (name, now) in present.iter().filter(|_| sender == Sender::Client) {
            let was_needed = former.get(name).is_some_and(|field| field.is_needed);
            // What is needed in something that is new is needed by nobody who does not send that.
            let parent = name.rsplit_once(['.', '[']).map_or("", |(parent, _)| parent);
            if now.is_needed && !was_needed && former.contains_key(parent) {
                self.lose(format!("{at}: `{name}` is newly needed"));
            }
        }
    }
}

fn example() -> Value {
    json!({
        "paths": {
            "/v1/a": {
                "get": {
                    "operationId": "listA",
                    "security": [{ "key": ["read"] }],
                    "parameters": [{ "name": "state", "in": "query", "required": false,
                        "schema": { "type": "string", "enum": ["on", "off"] } }],
                    "responses": {
                        "200": {
                            "headers": { "Link": {} },
                            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } },
                        },
                        "404": { "content": { "application/problem+json": { "schema": { "type": "object" } } } },
                    },
                },
                "post": {
                    "operationId": "makeA",
                    "requestBody": { "required": false, "content": { "application/json": { "schema": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": { "type": "string" },
                            "note": { "type": ["string", "null"] },
                            "of": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/B" }] },
                        },
                    } } } },
                    "responses": {},
                },
            },
            "/v1/b": { "get": { "operationId": "listB", "responses": {} } },
        },
        "webhooks": { "event": { "post": { "requestBody": { "content": { "application/json": { "schema": {
            "type": "object", "properties": { "kind": { "type": "string", "enum": ["x", "y"] } },
        } } } } } } },
        "components": { "schemas": {
            "A": { "allOf": [{ "$ref": "#/components/schemas/B" }, {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": { "type": "string" },
                    "rows": { "type": "array", "items": { "$ref": "#/components/schemas/B" } },
                },
            }] },
            "B": { "type": "object", "properties": { "word": { "type": ["string", "null"], "enum": ["p", "q", null] } } },
        } },
    })
}

/// What is lost where the value at a pointer is replaced, or removed by `null`.
fn lost(pointer: &str, value: Value) -> Vec<String> {
    let mut now = example();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    let parent = now.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, value) {
        (Value::Object(map), Value::Null) => drop(map.remove(&name).unwrap()),
        (Value::Object(map), value) => drop(map.insert(name, value)),
        (Value::Array(values), Value::Null) => drop(values.remove(name.parse().unwrap())),
        (parent, _) => panic!("{parent}"),
    }
    losses(&example(), &now)
}

#[test]
fn nothing_is_lost_where_something_is_added() {
    assert_eq!(losses(&example(), &example()), [""; 0]);
    let body = "/paths/~1v1~1a/post/requestBody/content/application~1json/schema";
    for (pointer, value) in [
        ("/paths/~1v1~1c".to_owned(), json!({ "get": { "responses": {} } })),
        ("/paths/~1v1~1b/post".to_owned(), json!({ "responses": {} })),
        ("/paths/~1v1~1a/get/responses/409".to_owned(), json!({})),
        (
            "/components/schemas/B/properties/more".to_owned(),
            json!({ "type": "string" }),
        ),
        (
            "/components/schemas/B/properties/word/enum".to_owned(),
            json!(["p", "q", "r", null]),
        ),
        ("/components/schemas/B/required".to_owned(), json!(["word"])),
        (format!("{body}/properties/more"), json!({ "type": "string" })),
        (
            format!("{body}/properties/more"),
            json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } }),
        ),
        (
            format!("{body}/properties/name"),
            json!({ "type": ["string", "null"] }),
        ),
    ] {
        // `B` is in the body as well, where what it needs is newly needed.
        let lost = lost(&pointer, value);
        match pointer.ends_with("B/required") {
            true => assert_eq!(lost, ["POST /v1/a: `.of.word` is newly needed"]),
            false => assert_eq!(lost, [""; 0], "{pointer}"),
        }
    }
}

#[test]
fn each_kind_of_loss_is_found() {
    let get = "/paths/~1v1~1a/get";
    let body = "/paths/~1v1~1a/post/requestBody";
    let schema = format!("{body}/content/application~1json/schema");
    let gone = Value::Null;
    for (pointer, value, expected) in [
        ("/paths/~1v1~1b".to_owned(), gone.clone(), "/v1/b is gone"),
        ("/paths/~1v1~1b/get".to_owned(), gone.clone(), "GET /v1/b is gone"),
        ("/webhooks/event".to_owned(), gone.clone(), "event is gone"),
        (
            format!("{get}/operationId"),
            json!("other"),
            "GET /v1/a: the operation has another name",
        ),
        (
            format!("{get}/responses/404"),
            gone.clone(),
            "GET /v1/a: 404 is gone",
        ),
        (
            format!("{get}/responses/404/content/application~1problem+json"),
            gone.clone(),
            "GET /v1/a: 404: application/problem+json is gone",
        ),
        (
            format!("{get}/responses/200/headers/Link"),
            gone.clone(),
            "GET /v1/a: 200: the header field Link is gone",
        ),
        (
            format!("{get}/security/0/key"),
            json!([]),
            "GET /v1/a: the scope `read` does not open it any more",
        ),
        (
            format!("{get}/security/0/key"),
            json!(["read", "order"]),
            "GET /v1/a: the scope `order` is newly needed",
        ),
        (
            format!("{get}/parameters/0"),
            gone.clone(),
            "GET /v1/a: query state is gone",
        ),
        (
            format!("{get}/parameters/0/required"),
            json!(true),
            "GET /v1/a: query state is newly needed",
        ),
        (
            format!("{get}/parameters/0/schema/enum"),
            json!(["on"]),
            "GET /v1/a: query state: ``: the word `off` is gone",
        ),
        (
            format!("{get}/parameters/0/schema/type"),
            json!("integer"),
            "GET /v1/a: query state: ``: the type is another",
        ),
        (
            "/components/schemas/A/allOf/1/properties/rows".to_owned(),
            gone.clone(),
            "GET /v1/a: 200: `.rows` is gone",
        ),
        (
            "/components/schemas/A/allOf/1/required".to_owned(),
            gone.clone(),
            "GET /v1/a: 200: `.id` may be left out",
        ),
        (
            "/components/schemas/A/allOf/1/properties/id/type".to_owned(),
            json!(["string", "null"]),
            "GET /v1/a: 200: `.id`: the type is another",
        ),
        (
            "/components/schemas/B/properties/word/enum".to_owned(),
            json!(["p", null]),
            "GET /v1/a: 200: `.rows[].word`: the word `q` is gone",
        ),
        (
            format!("{body}/required"),
            json!(true),
            "POST /v1/a: a body is newly needed",
        ),
        (
            format!("{schema}/properties/note"),
            gone.clone(),
            "POST /v1/a: `.note` is gone",
        ),
        (
            format!("{schema}/required"),
            json!(["name", "note"]),
            "POST /v1/a: `.note` is newly needed",
        ),
        (
            format!("{schema}/properties/name/enum"),
            json!(["a"]),
            "POST /v1/a: `.name`: only some words are taken any more",
        ),
        (
            format!("{schema}/properties/note/type"),
            json!("string"),
            "POST /v1/a: `.note`: the type is another",
        ),
        (
            "/webhooks/event/post/requestBody/content/application~1json/schema/properties/kind/enum"
                .to_owned(),
            json!(["x"]),
            "POST event: `.kind`: the word `y` is gone",
        ),
    ] {
        let lost = lost(&pointer, value);
        assert!(
            lost.iter().any(|lost| lost == expected),
            "{pointer}: {expected}: {lost:?}"
        );
    }
}

//! The document is complete, true to what handlers read, as committed, and takes back nothing that was released.

mod losses;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::body::{Body, Bytes};
use bss_model::{Actor, ApiScope};
use host_harness::{ApiClientRequest, Host};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tower_service::Service as _;

use self::losses::losses;
use crate::fields::tests::take_read;
use crate::limits::Limits;
use crate::routes::{OpenTo, ROUTES};
use crate::server::router;
use crate::state::State;

/// The environment variable that has the committed document written anew, whatever its value is.
const WRITE: &str = "BSS_WRITE_OPENAPI";

/// What an operation is led to with: the kind of thing whose id, name or digest it takes.
const LEADS: &[(&str, &str)] = &[
    ("Order", "getOrder"),
    ("Order", "withdrawOrder"),
    ("Asset", "getAsset"),
    ("Asset", "listAttempts"),
    ("Asset", "revealKey"),
    ("Asset", "refreshAsset"),
    ("Asset", "cancelAsset"),
    ("Cancellation", "getCancellation"),
    ("Cancellation", "confirmCancellation"),
    ("Cancellation", "declineCancellation"),
    ("Cancellation", "withdrawCancellation"),
    ("Instance", "getInstance"),
    ("Instance", "listProducts"),
    ("Instance", "getSettings"),
    ("Instance", "checkConnection"),
    ("Instance", "startServicesRun"),
    ("Product", "getProduct"),
    ("ServicesRun", "getServicesRun"),
    ("ServicesRun", "listServicesRunLog"),
    ("ServicesRun", "listServicesRunDifferences"),
    ("Certificate", "getCertificate"),
    ("CertificateWithPem", "removeCertificate"),
    ("CertificateRequest", "removeCertificateRequest"),
    ("Mail", "getMail"),
    ("Mail", "resendMail"),
];

/// The field that is needed and not told to be missing: a list that is left out is read as an empty one, which the host refuses.
const NEEDED_BY_THE_HOST: &str = "lines";

fn document() -> Value {
    serde_json::from_str(&super::text()).unwrap()
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

/// Each operation with its method in capitals and its path.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let of_path = item.as_object().unwrap().iter();
        of_path.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    });
    operations.collect()
}

/// All texts behind a key, wherever it is.
fn all_of<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text),
                    value => all_of(value, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| all_of(value, key, found)),
        _ => {}
    }
}

/// What a `$ref` leads to, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else {
        return value;
    };
    let pointer = reference.strip_prefix('#').unwrap();
    document
        .pointer(pointer)
        .unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let (file, text) = (file("openapi.json"), super::text());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is not what the code makes. This writes it anew: {WRITE}=1 cargo nextest run -p bss-server openapi"
    );
}

#[test]
fn nothing_of_what_was_released_is_taken_back() {
    let released = std::fs::read_to_string(file("openapi-released.json")).unwrap();
    let released: Value = serde_json::from_str(&released).unwrap();
    assert_eq!(losses(&released, &document()), [""; 0]);
}

#[test]
fn each_route_is_in_the_document_and_nothing_else_is() {
    let routes = ROUTES.iter().filter(|route| route.open_to != OpenTo::Platforms);
    let routes: BTreeSet<_> = routes
        .map(|route| (route.method.to_owned(), route.path.to_owned()))
        .collect();
    let document = document();
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path.to_owned()))
        .collect();
    assert_eq!(described, routes);
    // Descriptions without a route would be left out of the document.
    assert_eq!(super::described().len(), routes.len());
}

#[test]
fn each_operation_has_a_name_of_its_own_a_summary_answers_and_the_scope_of_its_route() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name}");
        let summary = operation["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
        let route = ROUTES
            .iter()
            .find(|route| (route.method, route.path) == (method.as_str(), path))
            .unwrap();
        let OpenTo::Clients(scope) = route.open_to else {
            assert_eq!(operation["security"], json!([]), "{name}");
            continue;
        };
        assert_eq!(operation["security"], json!([{ "key": [scope.word()] }]));
        let about = operation["description"].as_str().unwrap();
        assert!(about.contains(&format!("`{}`", scope.word())), "{about}");
        assert!(
            answers.contains_key("401") && answers.contains_key("403"),
            "{name}"
        );
    }
}

/// Checks that an answer has what an operation is led to with, and that it is of the kind that the operation names.
fn assert_answered(document: &Value, answer: &Value, pointer: &str, operation: &str) {
    let answered = &answer["content"]["application/json"]["schema"];
    // What is whole is the first of what may be answered.
    let answered = answered["anyOf"].get(0).unwrap_or(answered);
    let mut named = answered["$ref"].as_str().unwrap_or_default().to_owned();
    let mut schema = resolved(document, answered).clone();
    for part in pointer.split('/') {
        let parts = schema["allOf"].as_array().cloned();
        let parts = parts.unwrap_or_else(|| vec![schema.clone()]);
        let mut of_parts = parts.iter().map(|part| resolved(document, part));
        let next = match part.parse::<usize>() {
            Ok(_) => {
                let items = &schema["items"];
                items["$ref"].as_str().unwrap_or_default().clone_into(&mut named);
                Some(resolved(document, items).clone())
            }
            Err(_) => of_parts.find_map(|of| of["properties"].get(part)).cloned(),
        };
        schema = next.unwrap_or_else(|| panic!("{operation}: no {part} in {schema}"));
    }
    let kind = named.rsplit('/').next().unwrap_or_default();
    assert!(
        LEADS.contains(&(kind, operation)),
        "{operation} is led to with a {kind}"
    );
}

#[test]
fn every_link_leads_to_an_operation_with_all_that_its_path_needs() {
    let document = document();
    let all = operations(&document);
    let mut links = 0;
    for (_, path, operation) in &all {
        let answers = operation["responses"].as_object().unwrap().values();
        let of_answers = answers.filter_map(|answer| Some((answer, answer["links"].as_object()?)));
        for (answer, name, link) in
            of_answers.flat_map(|(answer, links)| links.iter().map(move |(name, link)| (answer, name, link)))
        {
            links += 1;
            assert_eq!(link["operationId"], json!(name), "{path}");
            let (_, _, other) = all
                .iter()
                .find(|(_, _, other)| other["operationId"] == json!(name))
                .unwrap_or_else(|| panic!("{name} of {path} is no operation"));
            let needed: BTreeSet<_> = parameters(other, "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let given: BTreeSet<_> = link["parameters"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(given, needed, "{name} of {path}");
            for expression in link["parameters"].as_object().unwrap().values() {
                let expression = expression.as_str().unwrap();
                match expression.strip_prefix("$response.body#/") {
                    Some(pointer) => assert_answered(&document, answer, pointer, name),
                    None => {
                        let own = expression.strip_prefix("$request.path.").unwrap();
                        assert!(path.contains(&format!("{{{own}}}")), "{name} of {path}");
                    }
                }
            }
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut references = Vec::new();
    all_of(&document, "$ref", &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference.as_str()), "{reference}");
        }
    }
}

#[test]
fn every_field_is_explained_in_the_words_of_json() {
    let document = document();
    let (mut formats, mut texts) = (Vec::new(), Vec::new());
    all_of(&document, "format", &mut formats);
    let known = ["date-time", "int64", "uint16", "uint32", "uint64", "uuid"];
    assert!(formats.iter().all(|format| known.contains(format)), "{formats:?}");
    all_of(&document, "description", &mut texts);
    for text in texts {
        assert!(
            !text.contains("`None`") && !text.contains('\n') && !text.contains("[`"),
            "{text}"
        );
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let parts = schema["allOf"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![schema.clone()]);
        for (field, property) in parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flatten()
        {
            let is_explained = property["description"].is_string()
                || property.get("$ref").is_some()
                || property.get("oneOf").is_some();
            assert!(is_explained, "{name}.{field}: {property}");
        }
    }
}

#[test]
fn fields_of_words_have_them_all() {
    let schemas = document()["components"]["schemas"].clone();
    for (schema, field, words) in super::schemas::words() {
        let parts = schemas[schema]["allOf"].as_array().cloned();
        let parts = parts.unwrap_or_else(|| vec![schemas[schema].clone()]);
        let known = parts
            .iter()
            .find_map(|part| part["properties"][field]["enum"].as_array());
        let known = known.unwrap_or_else(|| panic!("{schema}.{field} has no words"));
        assert!(
            words.iter().all(|word| known.contains(&json!(word))),
            "{schema}.{field}"
        );
    }
}

#[test]
fn each_field_that_is_reworded_is_there_and_says_so() {
    let schemas = document()["components"]["schemas"].clone();
    for (schema, field, about) in super::schemas::REWORDED {
        let parts = schemas[schema]["allOf"].as_array().cloned();
        let parts = parts.unwrap_or_else(|| vec![schemas[schema].clone()]);
        let said = parts
            .iter()
            .find_map(|part| part["properties"][field]["description"].as_str());
        assert_eq!(said, Some(about), "{schema}.{field}");
    }
}

#[test]
fn what_is_asked_is_closed_and_what_is_answered_may_have_more() {
    let document = document();
    let mut asked = BTreeSet::new();
    for (_, _, operation) in operations(&document) {
        references(&document, &operation["requestBody"], &mut asked);
    }
    assert!(asked.len() >= 8, "{asked:?}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        let is_asked = asked.contains(&format!("#/components/schemas/{name}"));
        let mut closed = Vec::new();
        objects_of(schema, &mut closed);
        assert!(
            closed.iter().all(|is_closed| *is_closed == is_asked) && (!is_asked || !closed.is_empty()),
            "{name}: {schema}"
        );
    }
}

/// All references that a value leads to, and those that they lead to.
fn references(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    let mut of_value = Vec::new();
    all_of(value, "$ref", &mut of_value);
    for reference in of_value {
        if found.insert(reference.to_owned()) {
            let pointer = reference.strip_prefix('#').unwrap();
            references(document, document.pointer(pointer).unwrap(), found);
        }
    }
}

/// Of each object with fields in a schema, whether it has no others.
fn objects_of(schema: &Value, found: &mut Vec<bool>) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") || map.contains_key("additionalProperties") {
                found.push(map.get("additionalProperties") == Some(&Value::Bool(false)));
            }
            map.values().for_each(|value| objects_of(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| objects_of(value, found)),
        _ => {}
    }
}

#[test]
fn an_event_is_described_as_the_page_about_webhooks_shows_it() {
    let page = std::fs::read_to_string(file("webhooks.md")).unwrap();
    let shown = page
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    let document = document();
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let schemas = &document["components"]["schemas"];
    assert_eq!(names(&schemas["EventBody"]["properties"]), names(&shown));
    assert_eq!(names(&schemas["EventData"]["properties"]), names(&shown["data"]));
    for kind in schemas["EventBody"]["properties"]["type"]["enum"]
        .as_array()
        .unwrap()
    {
        assert!(page.contains(kind.as_str().unwrap()), "{kind}");
    }
}

/// A router without a listener, and a client of it.
struct Asked {
    router: Router,
    key: String,
    _folder: TempDir,
}

impl Asked {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder(folder.path().join("bss")).create().await.unwrap();
        let request = ApiClientRequest {
            name: "shop".to_owned(),
            scopes: ApiScope::ALL.iter().copied().collect(),
            instances: None,
        };
        let made = host.create_api_client(request, &Actor::operator("test")).await;
        let state = State {
            host,
            worker: None,
            has_console: false,
            limits: Limits::default(),
            measures: Arc::default(),
            failed_tries: Arc::default(),
            is_stopping: Arc::new(AtomicBool::new(false)),
            changes: Arc::new(tokio::sync::Semaphore::new(8)),
            key_work: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        Self {
            router: router(state),
            key: made.unwrap().key.expose().to_owned(),
            _folder: folder,
        }
    }

    /// Sends a request with all header fields that an operation has.
    async fn ask(
        &mut self,
        method: &str,
        target: &str,
        operation: &Value,
        body: &Value,
    ) -> (StatusCode, Bytes) {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("authorization", format!("Bearer {}", self.key));
        for parameter in parameters(operation, "header") {
            let example = parameter["schema"]["examples"][0].as_str().unwrap();
            request = request.header(parameter["name"].as_str().unwrap(), example);
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let answer = self.router.call(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// The codes of problems with fields, by field.
    async fn field_problems(
        &mut self,
        method: &str,
        target: &str,
        operation: &Value,
        body: &Value,
    ) -> Vec<(String, String)> {
        let (_, answer) = self.ask(method, target, operation, body).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        errors
            .iter()
            .map(|error| (text(&error["field"]), text(&error["code"])))
            .collect()
    }
}

fn parameters<'a>(operation: &'a Value, place: &'a str) -> impl Iterator<Item = &'a Value> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(move |parameter| parameter["in"] == place)
}

/// A path with something in place of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => uuid::Uuid::nil().to_string(),
        false => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A value of a schema, with all of its fields.
fn made_up(document: &Value, schema: &Value) -> Value {
    let schema = resolved(document, schema);
    if let Some(word) = schema["enum"].get(0).or_else(|| schema["examples"].get(0)) {
        return word.clone();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let other = choices.iter().find(|choice| choice["type"] != "null").unwrap();
        return made_up(document, other);
    }
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.contains(&json!(kind)),
        only => only == kind,
    };
    if let Some(properties) = schema["properties"].as_object() {
        let fields = properties.iter();
        let fields = fields.map(|(name, property)| (name.clone(), made_up(document, property)));
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    match schema["format"].as_str() {
        Some("uuid") => json!(uuid::Uuid::nil()),
        _ if is("array") => json!([made_up(document, &schema["items"])]),
        _ if is("string") => json!("x"),
        _ if is("integer") => json!(1),
        _ if is("boolean") => json!(true),
        _ => panic!("{schema}"),
    }
}

/// The fields of a value, as problems and handlers name them.
fn names(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let at = match at {
                    "" => name.clone(),
                    at => format!("{at}.{name}"),
                };
                found.insert(at.clone());
                names(value, &at, found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                names(value, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// A body without one of its fields.
fn without(body: &Value, field: &str) -> Value {
    let pointer = format!("/{}", field.replace("[0]", "/0").replace('.', "/"));
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut body = body.clone();
    body.pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name);
    body
}

/// Whether a field of a body has to be there where what it is in is there.
fn is_needed(document: &Value, schema: &Value, field: &str) -> bool {
    let mut schema = resolved(document, schema).clone();
    let mut needed = false;
    for part in field.split('.') {
        let name = part.trim_end_matches("[0]");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        needed = required.contains(&json!(name));
        let mut next = resolved(document, &schema["properties"][name]).clone();
        if let Some(choices) = next["oneOf"].as_array() {
            let other = choices.iter().find(|choice| choice["type"] != "null").unwrap();
            next = resolved(document, other).clone();
        }
        if part.ends_with("[0]") {
            next = resolved(document, &next["items"]).clone();
        }
        schema = next;
    }
    needed
}

#[tokio::test]
async fn each_field_of_a_body_is_read_and_each_that_is_read_is_described() {
    let (mut asked, document) = (Asked::new().await, document());
    let mut bodies = 0;
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        if content.is_null() {
            continue;
        }
        bodies += 1;
        let (target, schema) = (filled(path), &content["schema"]);
        let body = made_up(&document, schema);
        take_read();
        let problems = asked.field_problems(&method, &target, operation, &body).await;
        let read = take_read();
        let mut described = BTreeSet::new();
        names(&body, "", &mut described);
        assert_eq!(read, described, "{method} {path}");
        assert!(
            problems.iter().all(|(_, code)| code != "field-unknown"),
            "{path}: {problems:?}"
        );
        for field in &described {
            let body = without(&body, field);
            let problems = asked.field_problems(&method, &target, operation, &body).await;
            let is_missed = problems.contains(&(field.clone(), "field-missing".to_owned()));
            let needed = is_needed(&document, schema, field);
            assert_eq!(
                is_missed || field == NEEDED_BY_THE_HOST,
                needed,
                "{path}: {field}: {problems:?}"
            );
        }
        let example = &content["example"];
        let problems = asked.field_problems(&method, &target, operation, example).await;
        let of_shape = problems.iter().filter(|(_, code)| code.starts_with("field-"));
        assert_eq!(of_shape.count(), 0, "{path}: {problems:?}");
    }
    assert!(bodies >= 7, "{bodies}");
}

#[tokio::test]
async fn each_parameter_of_a_query_is_read_and_each_that_is_read_is_described() {
    let (mut asked, document) = (Asked::new().await, document());
    for (method, path, operation) in operations(&document)
        .into_iter()
        .filter(|(method, ..)| method == "GET")
    {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut described = BTreeSet::new();
        for parameter in parameters(operation, "query") {
            let name = parameter["name"].as_str().unwrap();
            let value = match made_up(&document, &parameter["schema"]) {
                Value::String(text) => text,
                value => value.to_string(),
            };
            query.append_pair(name, &value);
            described.insert(name.to_owned());
        }
        let target = format!("{}?{}", filled(path), query.finish());
        take_read();
        let problems = asked
            .field_problems(&method, &target, operation, &Value::Null)
            .await;
        assert_eq!(take_read(), described, "{path}");
        let of_shape = problems.iter().filter(|(_, code)| code.starts_with("field-"));
        assert_eq!(of_shape.count(), 0, "{path}: {problems:?}");
    }
}

#[tokio::test]
async fn the_words_that_are_taken_are_these_and_no_others() {
    let mut asked = Asked::new().await;
    let filters = [
        (
            "/v1/orders",
            "state",
            "open, licensed, partly, refused, withdrawn",
        ),
        (
            "/v1/assets",
            "state",
            "open, licensed, refused, withdrawn, returned, cancelled",
        ),
        (
            "/v1/assets",
            "syncStatus",
            "unsynchronised, synchronized, failed, withdrawn",
        ),
    ];
    let refused = |answer: &[u8]| {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    for (path, name, words) in filters {
        for word in words.split(", ") {
            let target = format!("{path}?{name}={word}");
            let (status, _) = asked.ask("GET", &target, &Value::Null, &Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{target}");
        }
        let target = format!("{path}?{name}=odd");
        let (_, answer) = asked.ask("GET", &target, &Value::Null, &Value::Null).await;
        assert_eq!(refused(&answer), format!("`odd` is none of {words}"), "{target}");
    }
    let target = filled("/v1/assets/{asset}/cancellations");
    let body = |kind: &str| json!({ "requestedBy": { "kind": kind, "name": "Jo" } });
    let words = "customer, reseller, operator";
    for word in words.split(", ") {
        let (status, _) = asked.ask("POST", &target, &Value::Null, &body(word)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{word}");
    }
    let (_, answer) = asked.ask("POST", &target, &Value::Null, &body("odd")).await;
    assert_eq!(refused(&answer), format!("`odd` is none of {words}"));
}

#[tokio::test]
async fn each_status_that_is_answered_is_described() {
    let (mut asked, document) = (Asked::new().await, document());
    for (method, path, operation) in operations(&document) {
        let target = filled(path);
        let mut seen = Vec::new();
        for body in [Value::Null, json!({}), json!([7]), json!({ "unknown": 1 })] {
            seen.push(asked.ask(&method, &target, operation, &body).await.0);
        }
        let query = format!("{target}?unknown=1");
        seen.push(asked.ask(&method, &query, operation, &Value::Null).await.0);
        let key = std::mem::replace(&mut asked.key, "none".to_owned());
        seen.push(asked.ask(&method, &target, operation, &Value::Null).await.0);
        asked.key = key;
        for status in seen {
            let answers = &operation["responses"];
            assert!(
                answers.get(status.as_str()).is_some(),
                "{method} {path}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn everybody_is_shown_the_document_and_a_page_in_which_nothing_runs() {
    let mut asked = Asked::new().await;
    let mut get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = asked.router.call(request).await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK, "{path}");
        (head.headers, body.collect().await.unwrap().to_bytes())
    };
    let (headers, body) = get("/v1/openapi.json").await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(body, super::text());
    let (headers, body) = get("/v1/reference").await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(body.starts_with(b"<!doctype html>"));
}

//! The reference page: the OpenAPI document for people, with nothing in it that runs or comes from elsewhere.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::Response;
use data_encoding::BASE64;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, SchemaType};
use utoipa::openapi::{Object, OpenApi, RefOr, Required, Schema, Type};

use crate::answer::of_program;
use crate::html::Html;
use crate::openapi;

/// How the page looks. Long words break, and code scrolls, so that a narrow window shows everything.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:light-dark(#ccc,#444);--soft:light-dark(#f4f4f4,#222)}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:0 auto;padding:0 1rem 4rem;overflow-wrap:anywhere}\
h2{margin-top:3rem;border-bottom:1px solid var(--line)}h3{margin-top:2.5rem;font-size:1.1rem}h4{margin:1rem 0 .25rem}\
code{font-family:ui-monospace,monospace;font-size:.9em;background:var(--soft);border-radius:.2rem;padding:.1em .25em}\
pre{background:var(--soft);border-radius:.3rem;padding:.75rem;overflow-x:auto}pre code{padding:0}\
nav ul{padding-left:1.25rem}dl{margin:.25rem 0}dt{margin-top:.5rem}dd{margin:0 0 0 1rem}small{opacity:.75}";

struct Page {
    html: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    html: page(&openapi::document()),
    policy: policy(),
});

/// Answers with the page.
pub(crate) async fn show() -> Response {
    let mut response = of_program("text/html; charset=utf-8", PAGE.html.as_str());
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The policy is ASCII: base64 and words.
    headers.extend(HeaderValue::from_str(&PAGE.policy).map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    response
}

/// What a browser may do with the page: show it in its own style.
fn policy() -> String {
    let style = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn page(document: &OpenApi) -> String {
    let mut html = Html::default();
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
        .text(&document.info.title)
        .markup("</title><style>")
        .markup(STYLE)
        .markup("</style></head><body><header><h1>")
        .text(&document.info.title)
        .markup("</h1><p>Version ")
        .text(&document.info.version)
        .markup(", <a href=\"/v1/openapi.json\">OpenAPI</a></p><p>")
        .prose(document.info.description.as_deref().unwrap_or_default())
        .markup("</p><p>In what follows, <code>BSS</code> is the address of the server, such as ")
        .markup(
            "<code>https://localhost:8443</code>, and <code>KEY</code> is the key of a client.</p></header>",
        );
    contents(&mut html, document);
    html.markup("<main>");
    for tag in document.tags.iter().flatten() {
        html.markup("<h2>").text(&tag.name).markup("</h2><p>");
        html.prose(tag.description.as_deref().unwrap_or_default())
            .markup("</p>");
        for (method, path, operation) in operations(document) {
            if is_in(operation, &tag.name) {
                section(&mut html, document, method, path, operation);
            }
        }
    }
    webhooks(&mut html, document);
    objects(&mut html, document);
    html.markup("</main></body></html>\n");
    html.into_string()
}

/// The operations of the document, with method and path.
fn operations(document: &OpenApi) -> impl Iterator<Item = (&'static str, &str, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let of_path = [("GET", &item.get), ("POST", &item.post), ("PATCH", &item.patch)];
        let of_path = of_path.into_iter();
        of_path.filter_map(move |(method, operation)| Some((method, path.as_str(), operation.as_ref()?)))
    })
}

fn is_in(operation: &Operation, tag: &str) -> bool {
    operation.tags.iter().flatten().any(|name| name == tag)
}

fn id(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

fn contents(html: &mut Html, document: &OpenApi) {
    html.markup("<nav aria-label=\"Operations\"><ul>");
    for (method, path, operation) in operations(document) {
        html.markup("<li><a href=\"#").text(id(operation)).markup("\">");
        html.text(method).text(" ").text(path).markup("</a></li>");
    }
    html.markup("</ul></nav>");
}

fn section(html: &mut Html, document: &OpenApi, method: &str, path: &str, operation: &Operation) {
    html.markup("<section id=\"")
        .text(id(operation))
        .markup("\"><h3>");
    html.code(&format!("{method} {path}")).markup("</h3><p>");
    html.prose(operation.summary.as_deref().unwrap_or_default())
        .markup(". ")
        .prose(operation.description.as_deref().unwrap_or_default())
        .markup("</p><pre><code>")
        .text(&curl(method, path, operation))
        .markup("</code></pre>");
    parameters(html, operation);
    body(html, document, operation);
    html.markup("<h4>Answers</h4><dl>");
    for (status, answer) in &operation.responses.responses {
        let answer = match answer {
            RefOr::T(answer) => Some(answer),
            RefOr::Ref(reference) => document.components.as_ref().and_then(|components| {
                match components.responses.get(last(&reference.ref_location))? {
                    RefOr::T(answer) => Some(answer),
                    RefOr::Ref(_) => None,
                }
            }),
        };
        html.markup("<dt>").code(status);
        let Some(answer) = answer else {
            html.markup("</dt>");
            continue;
        };
        let contents = answer.content.values();
        for schema in contents.filter_map(|content| match content {
            RefOr::T(content) => content.schema.as_ref(),
            RefOr::Ref(_) => None,
        }) {
            html.markup(" <small>");
            kind(html, schema);
            html.markup("</small>");
        }
        html.markup("</dt><dd>").prose(&answer.description);
        for (name, header) in &answer.headers {
            html.markup("<br>").code(name).markup(": ");
            if let RefOr::T(header) = header {
                html.prose(header.description.as_deref().unwrap_or_default());
            }
        }
        html.markup("</dd>");
    }
    html.markup("</dl></section>");
}

fn parameters(html: &mut Html, operation: &Operation) {
    let parameters: Vec<&Parameter> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    if parameters.is_empty() {
        return;
    }
    html.markup("<h4>Parameters</h4><dl>");
    for parameter in parameters {
        html.markup("<dt>").code(&parameter.name).markup(" <small>");
        html.markup(match parameter.parameter_in {
            ParameterIn::Path => "in the path, ",
            ParameterIn::Header => "header field, ",
            _ => "in the query, ",
        });
        if let Some(schema) = &parameter.schema {
            kind(html, schema);
        }
        html.markup(needed(parameter.required == Required::True))
            .markup("</small></dt><dd>")
            .prose(parameter.description.as_deref().unwrap_or_default());
        if let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema {
            words(html, schema);
        }
        html.markup("</dd>");
    }
    html.markup("</dl>");
}

fn needed(is_needed: bool) -> &'static str {
    match is_needed {
        true => ", needed",
        false => "",
    }
}

fn body(html: &mut Html, document: &OpenApi, operation: &Operation) {
    let Some(RefOr::T(body)) = &operation.request_body else {
        return;
    };
    let contents = body.content.values();
    for schema in contents.filter_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    }) {
        html.markup("<h4>Body</h4><p>");
        kind(html, schema);
        html.markup(match body.required {
            Some(Required::True) => "</p>",
            _ => ", which may be left out</p>",
        });
        fields(html, document, schema);
    }
}

fn webhooks(html: &mut Html, document: &OpenApi) {
    html.markup("<h2>webhooks</h2>");
    let webhooks = document.webhooks.iter().flat_map(|all| all.paths.values());
    for operation in webhooks.filter_map(|item| item.post.as_ref()) {
        html.markup("<section id=\"").text(id(operation)).markup("\"><p>");
        html.prose(operation.summary.as_deref().unwrap_or_default())
            .markup(". ")
            .prose(operation.description.as_deref().unwrap_or_default())
            .markup("</p>");
        parameters(html, operation);
        body(html, document, operation);
        html.markup("</section>");
    }
}

/// All schemas, each once.
fn objects(html: &mut Html, document: &OpenApi) {
    html.markup("<h2>objects</h2>");
    let schemas = document.components.iter().flat_map(|all| &all.schemas);
    for (name, schema) in schemas {
        html.markup("<section id=\"object-").text(name).markup("\"><h3>");
        html.code(name)
            .markup("</h3><p>")
            .prose(description(schema))
            .markup("</p>");
        fields(html, document, schema);
        html.markup("</section>");
    }
}

fn fields(html: &mut Html, document: &OpenApi, schema: &RefOr<Schema>) {
    html.markup("<dl>");
    for (name, field, is_needed) in fields_of(document, schema) {
        html.markup("<dt>").code(name).markup(" <small>");
        kind(html, field);
        html.markup(needed(is_needed))
            .markup("</small></dt><dd>")
            .prose(description(field));
        if let RefOr::T(Schema::Object(field)) = field {
            words(html, field);
        }
        html.markup("</dd>");
    }
    html.markup("</dl>");
}

/// The fields of a schema and of those that it is made of, and whether each has to be there.
fn fields_of<'a>(
    document: &'a OpenApi,
    schema: &'a RefOr<Schema>,
) -> Vec<(&'a str, &'a RefOr<Schema>, bool)> {
    match schema {
        RefOr::Ref(reference) => {
            let components = document.components.as_ref();
            let found = components.and_then(|all| all.schemas.get(last(&reference.ref_location)));
            found.map_or_else(Vec::new, |schema| fields_of(document, schema))
        }
        RefOr::T(Schema::Object(object)) => {
            let fields = object.properties.iter();
            fields
                .map(|(name, field)| (name.as_str(), field, object.required.contains(name)))
                .collect()
        }
        RefOr::T(Schema::AllOf(all)) => {
            let parts = all.items.iter();
            parts.flat_map(|part| fields_of(document, part)).collect()
        }
        RefOr::T(_) => Vec::new(),
    }
}

/// What a schema says of itself, or that of the one that it may be.
fn description(schema: &RefOr<Schema>) -> &str {
    let (about, parts) = match schema {
        RefOr::Ref(reference) => (Some(&reference.description), None),
        RefOr::T(Schema::Object(object)) => (object.description.as_ref(), None),
        RefOr::T(Schema::Array(array)) => (array.description.as_ref(), None),
        RefOr::T(Schema::AllOf(all)) => (all.description.as_ref(), Some(&all.items)),
        RefOr::T(Schema::OneOf(one)) => (one.description.as_ref(), Some(&one.items)),
        RefOr::T(Schema::AnyOf(any)) => (any.description.as_ref(), Some(&any.items)),
        RefOr::T(_) => (None, None),
    };
    let of_parts = || {
        parts
            .into_iter()
            .flatten()
            .map(description)
            .find(|about| !about.is_empty())
    };
    about
        .map(String::as_str)
        .filter(|about| !about.is_empty())
        .or_else(of_parts)
        .unwrap_or_default()
}

/// Adds the kind of value, as a link where it has a name.
fn kind(html: &mut Html, schema: &RefOr<Schema>) {
    match schema {
        RefOr::Ref(reference) => {
            let name = last(&reference.ref_location);
            html.markup("<a href=\"#object-").text(name).markup("\">");
            html.text(name).markup("</a>");
        }
        RefOr::T(Schema::Array(array)) => {
            html.markup("list of ");
            match &array.items {
                ArrayItems::RefOrSchema(items) => kind(html, items),
                ArrayItems::False => {
                    html.markup("nothing");
                }
            }
        }
        RefOr::T(Schema::OneOf(one)) => choices(html, &one.items),
        RefOr::T(Schema::AnyOf(any)) => choices(html, &any.items),
        RefOr::T(Schema::Object(object)) => {
            let types = match &object.schema_type {
                SchemaType::Type(one) => std::slice::from_ref(one),
                SchemaType::Array(several) => several,
                SchemaType::AnyValue => &[],
            };
            for (index, one) in types.iter().enumerate() {
                html.markup(if index > 0 { " or " } else { "" })
                    .markup(type_name(one));
            }
        }
        RefOr::T(_) => {
            html.markup("object");
        }
    }
}

fn choices(html: &mut Html, items: &[RefOr<Schema>]) {
    for (index, item) in items.iter().enumerate() {
        html.markup(if index > 0 { " or " } else { "" });
        kind(html, item);
    }
}

fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Object => "object",
        Type::String => "text",
        Type::Integer => "whole number",
        Type::Number => "number",
        Type::Boolean => "true or false",
        Type::Array => "list",
        Type::Null => "null",
    }
}

/// Adds the words that a field can have.
fn words(html: &mut Html, schema: &Object) {
    let words = schema.enum_values.iter().flatten();
    let words: Vec<_> = words.filter_map(|word| word.as_str()).collect();
    if words.is_empty() {
        return;
    }
    html.markup(" <small>One of");
    for word in words {
        html.markup(" ").code(word);
    }
    html.markup("</small>");
}

/// The last part of a reference.
fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

/// A command that asks for the operation, for a shell.
fn curl(method: &str, path: &str, operation: &Operation) -> String {
    let mut line = String::from("curl");
    if operation.security.iter().flatten().next().is_some() {
        line.push_str(" --oauth2-bearer \"$KEY\"");
    }
    let parameters = operation.parameters.iter().flatten();
    for parameter in parameters {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Header
            && let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema
            && let Some(example) = schema.examples.first().and_then(|example| example.as_str())
        {
            line.push_str(&format!(
                " --header {}",
                quoted(&format!("{}: {example}", parameter.name))
            ));
        }
    }
    let example = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.values().find_map(|content| match content {
            RefOr::T(content) => content.example.as_ref(),
            RefOr::Ref(_) => None,
        }),
        _ => None,
    };
    let by_body = if example.is_some() { "POST" } else { "GET" };
    if method != by_body {
        line.push_str(&format!(" --request {method}"));
    }
    if let Some(example) = example {
        line.push_str(&format!(" --json {}", quoted(&example.to_string())));
    }
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(name) => name.trim_end_matches('}').to_uppercase(),
        None => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    line.push_str(&format!(" \"$BSS\"{path}"));
    line
}

/// A text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;

    use super::*;

    fn shown() -> String {
        page(&openapi::document())
    }

    #[test]
    fn each_operation_has_a_section_with_its_parameters_its_body_its_answers_and_a_curl_line() {
        let (page, document) = (shown(), openapi::document());
        let mut count = 0;
        for (method, path, operation) in operations(&document) {
            let start = format!("<section id=\"{}\">", id(operation));
            let section = page.split(&start).nth(1).unwrap_or_else(|| panic!("{start}"));
            let section = section.split("</section>").next().unwrap();
            assert!(
                section.contains(&format!("<code>{method} {path}</code>")),
                "{path}"
            );
            assert!(section.contains("<code>curl "), "{path}");
            for status in operation.responses.responses.keys() {
                assert!(
                    section.contains(&format!("<dt><code>{status}</code>")),
                    "{path}: {status}"
                );
            }
            for parameter in operation.parameters.iter().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                assert!(
                    section.contains(&format!("<code>{}</code>", parameter.name)),
                    "{path}"
                );
            }
            assert_eq!(
                section.contains("<h4>Body</h4>"),
                operation.request_body.is_some(),
                "{path}"
            );
            count += 1;
        }
        assert!(count >= 20, "{count}");
    }

    #[test]
    fn every_link_leads_to_something_in_the_page_or_to_the_document() {
        let page = shown();
        let links = page
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        for link in links {
            let target = link.strip_prefix('#');
            let is_there = target.map_or(link == "/v1/openapi.json", |id| {
                page.contains(&format!("<section id=\"{id}\">"))
            });
            assert!(is_there, "{link}");
        }
    }

    #[test]
    fn nothing_in_the_page_runs_or_comes_from_elsewhere() {
        let page = shown();
        for foreign in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "@import",
            "url(",
            " src=",
            " style=",
            " onclick",
            "href=\"http",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<style>").count(), 1);
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        let policy = policy();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn hostile_texts_are_shown_and_do_nothing() {
        let hostile = "</p><script>alert('x')</script>\"><img onerror=alert(1)>";
        let mut document = openapi::document();
        document.info.title = hostile.to_owned();
        document.info.description = Some(hostile.to_owned());
        let item = document.paths.paths.get_mut("/v1/orders").unwrap();
        let mut operation = item.post.clone().unwrap();
        operation.operation_id = Some(hostile.to_owned());
        operation.summary = Some(hostile.to_owned());
        if let Some(RefOr::T(parameter)) = operation.parameters.iter_mut().flatten().next() {
            parameter.name = hostile.to_owned();
            parameter.description = Some(hostile.to_owned());
        }
        item.post = Some(operation);
        let schema = document.components.as_ref().unwrap().schemas["Asset"].clone();
        let components = document.components.as_mut().unwrap();
        components.schemas.insert(hostile.to_owned(), schema);
        let page = page(&document);
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&gt;"));
    }

    #[test]
    fn a_curl_line_is_one_command_whatever_is_in_it() {
        let document = openapi::document();
        let line = |path: &str| {
            let (method, path, operation) = operations(&document)
                .filter(|(_, known, _)| *known == path)
                .last()
                .unwrap();
            curl(method, path, operation)
        };
        assert_eq!(line("/healthz"), "curl \"$BSS\"/healthz");
        assert_eq!(
            line("/v1/assets/{asset}/key"),
            "curl --oauth2-bearer \"$KEY\" \"$BSS\"/v1/assets/ASSET/key"
        );
        let placed = line("/v1/orders");
        let start = "curl --oauth2-bearer \"$KEY\" --header 'Idempotency-Key: BASKET-7' --header 'Prefer: wait=20' --json '{";
        assert!(
            placed.starts_with(start) && placed.ends_with("}' \"$BSS\"/v1/orders"),
            "{placed}"
        );
        assert_eq!(quoted("it's"), "'it'\\''s'");
        let bare = OperationBuilder::new().build();
        assert_eq!(curl("POST", "/x", &bare), "curl --request POST \"$BSS\"/x");
    }
}

//! The OpenAPI document of this server: made from the table of routes, the views, and what each handler reads.

mod described;
mod operations;
mod schemas;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::response::Response;
use bss_model::ApiScope;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, Paths};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, Response as Answer,
    Server, Tag, Type,
};

use self::described::{Described, header_of, path_parameter};
use self::operations::described;
use crate::answer::of_program;
use crate::routes::{OpenTo, ROUTES, Route};

/// The name of the security scheme.
const BEARER: &str = "key";

/// What concerns every operation.
const ABOUT: &str = "A host that buys licenses for billing platforms. Clients are made with `bss-host api-client create`, and go by \
    a key. Whatever is not carried out is answered with `application/problem+json` (RFC 9457): go by its `code`. `HEAD` is answered \
    where `GET` is, but for product keys. Every answer has `X-Request-Id`, which is the client's own where it sends one of up to 128 \
    letters, digits and `-_.:`. Times in fields whose name ends in `Ms` are milliseconds since 1970-01-01T00:00:00Z (UTC); an event's \
    `timestamp` is RFC 3339. Answers may have more fields and words than this version of the document names.";

/// The groups of operations, in their order.
const TAGS: [(&str, &str); 12] = [
    (
        "instances",
        "Where a client can order, and what; their settings, and how their catalogs are read.",
    ),
    (
        "certificates",
        "Certificates with which instances prove who they are. Their private keys stay in the host.",
    ),
    (
        "orders",
        "Orders are checked, placed once for each idempotency key, and withdrawn.",
    ),
    ("assets", "Licenses that were ordered."),
    (
        "cancellations",
        "Licenses go back to the vendor, at once or once somebody has confirmed it.",
    ),
    ("money", "What customers were charged and credited."),
    ("mails", "The e-mails to customers."),
    ("alerts", "What has ended badly or stands still."),
    ("audit", "Who did what."),
    ("events", "What came of licenses, as webhooks tell it."),
    ("health", "For whoever watches the process."),
    ("documentation", "This document, for programs and for people."),
];

/// Problems with a request, by status, and what each is about.
const PROBLEMS: [(u16, &str); 15] = [
    (
        400,
        "The request itself can't be read: its JSON, `Idempotency-Key` or `If-Match`.",
    ),
    (401, "No key was shown, or one that opens nothing."),
    (
        403,
        "The client lacks the scope, or is bound to instances and asks for what concerns all of its owner's.",
    ),
    (404, "There is nothing of this client's at the address."),
    (408, "The body did not arrive in time."),
    (409, "The request does not fit the present state."),
    (
        412,
        "What is changed is not the version any more that `If-Match` names.",
    ),
    (413, "The body is too large."),
    (415, "The body is not said to be JSON."),
    (
        422,
        "A value can't be right, or the vendor refuses it: `errors` has the fields.",
    ),
    (
        428,
        "`If-Match` is missing: nothing is changed that the client has not seen.",
    ),
    (429, "Too many keys that open nothing came from this address."),
    (431, "The head of the request is too large."),
    (500, "Data of the host is damaged: the log has the causes."),
    (
        503,
        "This machine, the record or the vendor is in the way, and nothing was written: come again after `Retry-After`.",
    ),
];

static TEXT: LazyLock<String> = LazyLock::new(text);

/// Answers with the document.
pub(crate) async fn show() -> Response {
    of_program("application/json", TEXT.as_str())
}

/// The document as it is served, and committed.
pub(crate) fn text() -> String {
    // Writing can't fail: all keys of maps are texts.
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub(crate) fn document() -> OpenApi {
    let mut paths = Paths::new();
    for described in described() {
        let route = ROUTES.iter().find(|route| described.is_of(route));
        // Operations without a route are left out: they are not answered.
        if let Some(route) = route {
            let (path, method) = (described.path, described.method.clone());
            paths.add_path_operation(path, vec![method], operation(route, described));
        }
    }
    let info = InfoBuilder::new()
        .title("bss-host")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(TAGS.map(|(name, about)| tag(name, about))))
        .paths(paths)
        .webhooks(Some(webhooks::webhooks()))
        .components(Some(components()))
        .build()
}

fn tag(name: &str, about: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(about)).build()
}

fn components() -> Components {
    let mut components = Components::new();
    components.schemas.extend(schemas::all());
    let problem = Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    for (status, about) in PROBLEMS {
        let mut answer = ResponseBuilder::new()
            .description(about)
            .content("application/problem+json", problem.clone());
        if matches!(status, 429 | 503) {
            answer = answer.header(
                "Retry-After",
                header_of(Type::Integer, "Seconds after which to come again."),
            );
        }
        components
            .responses
            .insert(problem_name(status), answer.build().into());
    }
    let scopes: Vec<_> = ApiScope::ALL
        .iter()
        .map(|scope| format!("`{}`", scope.word()))
        .collect();
    let about = format!(
        "The key of a client of the API. A client has some of the scopes {}; each operation names the one that it needs.",
        scopes.join(", ")
    );
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some(about);
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components
}

fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

fn operation(route: &Route, described: Described) -> Operation {
    let problems = problems(route, &described);
    let mut about = described.about.to_owned();
    let mut built = OperationBuilder::new()
        .operation_id(Some(described.id))
        .tag(described.tag)
        .summary(Some(described.summary));
    // Security is said always: an empty list means open to everybody, a missing one that it was forgotten.
    let mut needed = Vec::new();
    if let OpenTo::Clients(scope) = route.open_to {
        let needs = format!("Needs the scope `{}`.", scope.word());
        about = [about.as_str(), needs.as_str()].join(" ").trim().to_owned();
        needed.push(SecurityRequirement::new(BEARER, [scope.word()]));
    }
    built = built.securities(Some(needed));
    if !about.is_empty() {
        built = built.description(Some(about));
    }
    let of_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(path_parameter(name))
    });
    let parameters: Vec<Parameter> = of_path
        .chain(described.query.into_iter().flatten())
        .chain(described.headers)
        .collect();
    for parameter in parameters {
        built = built.parameter(parameter);
    }
    for (status, answer) in described.answers {
        built = built.response(status.to_string(), Answer::from(answer));
    }
    for status in problems {
        built = built.response(status.to_string(), Ref::from_response_name(problem_name(status)));
    }
    built.request_body(described.body).build()
}

/// The statuses of problems that an operation can be answered with.
fn problems(route: &Route, described: &Described) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([431]);
    statuses.extend(described.problems.iter().copied());
    if matches!(route.open_to, OpenTo::Clients(_)) {
        statuses.extend([401, 403, 429, 500, 503]);
    }
    if route.path.contains('{') {
        statuses.insert(404);
    }
    if described.query.is_some() {
        statuses.insert(422);
    }
    if described.body.is_some() {
        statuses.extend([400, 408, 409, 413, 415, 422]);
    }
    statuses
}

impl Described {
    /// Whether it is the operation of a route.
    fn is_of(&self, route: &Route) -> bool {
        let method = match self.method {
            HttpMethod::Post => "POST",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Delete => "DELETE",
            _ => "GET",
        };
        (route.method, route.path) == (method, self.path)
    }
}

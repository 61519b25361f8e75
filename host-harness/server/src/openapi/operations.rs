//! What each route is for, what it takes, and how it answers when all is well.

use bss_model::{LicenseState, SyncStatus};
use host_harness::view;
use serde_json::{Value, json};
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaFormat};
use utoipa::openapi::{Content, Object, ObjectBuilder, Ref, RefOr, Required, Schema, Type};

use crate::fields::shown;
use crate::measures;

const JSON: &str = "application/json";

/// An operation as it is described: what its route does not say.
pub(super) struct Described {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    /// The name that generated clients give it.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    /// The parameters of the query. `None`: the query is not looked at.
    pub(super) query: Option<Vec<Parameter>>,
    pub(super) headers: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    /// The answers of a request that was carried out, by status.
    pub(super) answers: Vec<(u16, ResponseBuilder)>,
    /// The statuses of problems beside those that the route, the query and the body bring with them.
    pub(super) problems: Vec<u16>,
}

/// All operations, in the order of the document.
pub(super) fn described() -> Vec<Described> {
    let catalog = [
        get(
            "/v1/instances",
            "listInstances",
            "instances",
            "Lists the instances that the client may use",
        )
        .about("By name, all on one page.")
        .query([])
        .answer(200, one("The instances.", "InstancePage")),
        get(
            "/v1/instances/{instance}",
            "getInstance",
            "instances",
            "Shows an instance",
        )
        .answer(200, one("The instance.", "Instance")),
        get(
            "/v1/instances/{instance}/products",
            "listProducts",
            "instances",
            "Lists the products of an instance",
        )
        .about("The last code first.")
        .query([
            flag("active", "Whether the operator has activated the product."),
            flag("published", "Whether the operator has published the product."),
            flag(
                "discontinued",
                "Whether the vendor has stopped selling the product.",
            ),
        ])
        .paged()
        .answer(200, page("Product")),
        get(
            "/v1/instances/{instance}/services-runs",
            "listServicesRuns",
            "instances",
            "Lists the runs that read the catalog of an instance",
        )
        .about("The latest first.")
        .query([])
        .paged()
        .answer(200, page("ServicesRun")),
        post(
            "/v1/instances/{instance}/services-runs",
            "startServicesRun",
            "instances",
            "Has the catalog of an instance read",
        )
        .about("A worker reads it; the run says how far it is. There is one run at a time.")
        .problem(409)
        .problem(422)
        .answer(
            202,
            json_answer(
                "The run is on record.",
                AnyOfBuilder::new()
                    .item(Ref::from_schema_name("ServicesRun"))
                    .item(Ref::from_schema_name("UnreadRun")),
            )
            .header("Location", header_of(Type::String, "The address of the run.")),
        ),
        get(
            "/v1/instances/{instance}/services-runs/{run}",
            "getServicesRun",
            "instances",
            "Shows a run that reads the catalog of an instance",
        )
        .answer(200, one("The run.", "ServicesRun")),
        get(
            "/v1/instances/{instance}/settings",
            "getSettings",
            "instances",
            "Shows the form of an instance with what is saved",
        )
        .about("The plugin makes the form. No secret is in it. Not for clients that are bound to instances (`client-bound`).")
        .problem(409)
        .problem(422)
        .answer(200, form("The form.")),
        patch(
            "/v1/instances/{instance}/settings",
            "changeSettings",
            "instances",
            "Changes settings of an instance, and saves them if no field has a problem",
        )
        .about(
            "An address in the form is a server that the instance reaches from then on, with its certificate and access tokens; a secret goes \
             there only once it is typed again. Trust, networks, further servers and the currency are not changed here. Not for clients that are \
             bound to instances (`client-bound`).",
        )
        .header(
            header("If-Match", "The `ETag` of the form that the change is based on.", "\"1\"")
                .required(Required::True),
        )
        .body(
            "SettingsBody",
            true,
            json!({
                "values": [{ "field": "country", "value": "DE" }],
                "secrets": [{ "field": "api-key", "value": "s3cr3t-0f-y0ur-v3nd0r" }],
            }),
        )
        .problem(412)
        .problem(428)
        .answer(200, form("The settings are saved.")),
    ];
    let of_orders = [
        get("/v1/orders", "listOrders", "orders", "Lists orders")
            .about("The latest first.")
            .query([
                instance_filter(),
                text("customer", "The customer's id."),
                text("product", "A product's code."),
                word("state", "The state of the order as a whole.", shown(&view::SETTLEMENTS, view::settlement_word)),
                text("idempotencyKey", "The basket's own id, as in `Idempotency-Key`."),
                time("sinceMs", "Orders that were placed at that time or later."),
                time("untilMs", "Orders that were placed before that time."),
            ])
            .paged()
            .answer(200, page("Order")),
        post("/v1/orders", "placeOrder", "orders", "Places an order, once for its idempotency key")
            .about(
                "Sent again with the same key, the same products and the same parties, it is answered 200 with the order as it \
                 stands; anything else with the key is refused (`key-reused`). A client that got no answer sends the same again.",
            )
            .header(
                header("Idempotency-Key", "The basket's own id, 1 to 255 visible ASCII characters.", "BASKET-7")
                    .required(Required::True),
            )
            .header(header(
                "Prefer",
                "`wait=20` has the request wait up to 20 seconds until the order is settled; 50 is the most.",
                "wait=20",
            ))
            .body("OrderBody", true, order_example())
            .answer(200, placed("The order was placed before, with the same key.").header(
                "Idempotency-Replayed",
                header_of(Type::String, "`true`."),
            ))
            .answer(201, placed("The order is placed.")),
        post("/v1/order-checks", "checkOrder", "orders", "Checks an order, here and in the plugin, and places none")
            .body("OrderBody", true, order_example())
            .answer(200, one("The order could be placed.", "OrderCheck")),
        get("/v1/orders/{order}", "getOrder", "orders", "Shows an order with its assets")
            .answer(200, one("The order.", "Order")),
        post("/v1/orders/{order}/withdrawal", "withdrawOrder", "orders", "Withdraws lines of an order that are not bought")
            .about("All lines where no body is sent.")
            .body("WithdrawalBody", false, json!({ "assets": ["00000000-0000-0000-0000-000000000000"] }))
            .answer(200, one("What the withdrawal came to, line by line.", "OrderWithdrawal")),
    ];
    let of_assets = [
        get(
            "/v1/assets",
            "listAssets",
            "assets",
            "Lists licenses that were ordered",
        )
        .about("The latest first.")
        .query([
            instance_filter(),
            in_query("order", "The id of an order.", id_schema()),
            text("customer", "The customer's id."),
            text("product", "A product's code."),
            word(
                "state",
                "The state of the license.",
                shown(LicenseState::ALL, LicenseState::word),
            ),
            word(
                "syncStatus",
                "Whether the asset has its license.",
                shown(SyncStatus::ALL, SyncStatus::word),
            ),
            flag(
                "overdue",
                "`true`: only licenses that have been open for longer than the platform waits.",
            ),
            time("sinceMs", "Licenses that were ordered at that time or later."),
            time("untilMs", "Licenses that were ordered before that time."),
        ])
        .paged()
        .answer(200, page("Asset")),
        get(
            "/v1/assets/{asset}",
            "getAsset",
            "assets",
            "Shows a license that was ordered, its key masked",
        )
        .answer(200, one("The asset.", "Asset")),
        get(
            "/v1/assets/{asset}/attempts",
            "listAttempts",
            "assets",
            "Lists every attempt to buy the license",
        )
        .answer(200, listed("The attempts, by number.", "PurchaseAttempt")),
        get(
            "/v1/assets/{asset}/key",
            "revealKey",
            "assets",
            "Shows the product key and the activation link, whole",
        )
        .about("Each time is an act on record under the client's name.")
        .problem(409)
        .answer(200, one("The key and the link.", "LicenseKey")),
    ];
    let of_events = get("/v1/events", "listEvents", "events", "Lists what came of licenses, as webhooks tell it")
        .about(
            "The oldest first. For a client that was not reached for a while: `next` is where it goes on, also after an empty page. \
             `after` of another record, or of a copy that is lost, is refused (`outcome-cursor-unknown`): read from the start again.",
        )
        .query([text("instance", "The name of an instance. Left out: all that the client may use.")])
        .paged()
        .problem(409)
        .answer(200, one("The events, and where what comes next is read.", "Events").header("Link", header_of(Type::String, "The address of the next page (RFC 8288), where this one is full.")));
    let licenses = catalog.into_iter().chain(of_orders).chain(of_assets);
    licenses
        .chain(of_cancellations())
        .chain([of_events])
        .chain(of_the_process())
        .collect()
}

fn of_cancellations() -> Vec<Described> {
    let decision = || json!({ "comment": "as agreed" });
    let decided = |path, id, summary, about| {
        post(path, id, "cancellations", summary)
            .about(about)
            .body("DecisionBody", false, decision())
            .answer(200, written("The cancellation."))
    };
    vec![
        get("/v1/assets/{asset}/cancellations", "listCancellations", "cancellations", "Lists the cancellations of an asset")
            .about("The latest first.")
            .query([])
            .paged()
            .answer(200, page("Cancellation")),
        post("/v1/assets/{asset}/cancellations", "cancelAsset", "cancellations", "Cancels an asset, or asks for it")
            .about("The license is returned, and only then is the asset cancelled and credited. With `requestOnly`, somebody confirms first.")
            .body(
                "CancellationBody",
                false,
                json!({ "comment": "too many", "requestedBy": { "kind": "customer", "name": "Jo" }, "requestOnly": true }),
            )
            .answer(201, written("The cancellation is on record.")),
        get("/v1/cancellations/{cancellation}", "getCancellation", "cancellations", "Shows a cancellation")
            .answer(200, one("The cancellation.", "Cancellation")),
        decided(
            "/v1/cancellations/{cancellation}/confirmation",
            "confirmCancellation",
            "Confirms a cancellation that was asked for",
            "The license is returned.",
        ),
        decided(
            "/v1/cancellations/{cancellation}/declination",
            "declineCancellation",
            "Declines a cancellation that was asked for",
            "The license stays.",
        ),
        decided(
            "/v1/cancellations/{cancellation}/withdrawal",
            "withdrawCancellation",
            "Withdraws a cancellation that was asked for",
            "The license stays.",
        ),
    ]
}

fn of_the_process() -> Vec<Described> {
    let texts = |about, kind| {
        ResponseBuilder::new()
            .description(about)
            .content(kind, Content::new(Some(plain(Type::String))))
    };
    vec![
        get("/healthz", "getHealth", "health", "Says that the process answers")
            .answer(200, one("The process answers.", "Health")),
        get(
            "/readyz",
            "getReadiness",
            "health",
            "Says whether requests can be carried out",
        )
        .about("The record can be read, and the worker of this process, where there is one, works.")
        .problem(500)
        .problem(503)
        .answer(200, one("Requests can be carried out.", "Health")),
        get(
            "/metrics",
            "getMetrics",
            "health",
            "Shows all metrics, of all owners",
        )
        .answer(
            200,
            texts(
                "The metrics, in the format of OpenMetrics.",
                measures::CONTENT_TYPE,
            ),
        ),
        get(
            "/v1/openapi.json",
            "getDocument",
            "documentation",
            "Shows this document",
        )
        .answer(
            200,
            ResponseBuilder::new()
                .description("The document, OpenAPI 3.1.")
                .content(JSON, Content::new(Some(plain(Type::Object)))),
        ),
        get(
            "/v1/reference",
            "getReference",
            "documentation",
            "Shows this document to people",
        )
        .answer(
            200,
            texts("A page made from the document.", "text/html; charset=utf-8"),
        ),
    ]
}

fn get(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Described {
    Described {
        method: HttpMethod::Get,
        path,
        id,
        tag,
        summary,
        about: "",
        query: None,
        headers: Vec::new(),
        body: None,
        answers: Vec::new(),
        problems: Vec::new(),
    }
}

fn post(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Described {
    Described {
        method: HttpMethod::Post,
        ..get(path, id, tag, summary)
    }
}

fn patch(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Described {
    Described {
        method: HttpMethod::Patch,
        ..get(path, id, tag, summary)
    }
}

impl Described {
    fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    fn query<const N: usize>(self, parameters: [Parameter; N]) -> Self {
        Self {
            query: Some(parameters.into()),
            ..self
        }
    }

    /// Adds the parameters of a page.
    fn paged(mut self) -> Self {
        let rows = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .default(Some(json!(50)));
        let limit = in_query(
            "limit",
            "The most rows of the page: 0 means 50, above 500 means 500.",
            rows,
        );
        let after = text(
            "after",
            "The `next` of the page before. Left out: the first page.",
        );
        self.query.get_or_insert_default().extend([limit, after]);
        self
    }

    fn header(mut self, header: ParameterBuilder) -> Self {
        self.headers.push(header.build());
        self
    }

    fn body(self, schema: &str, is_needed: bool, example: Value) -> Self {
        let mut content = Content::new(Some(Ref::from_schema_name(schema)));
        content.example = Some(example);
        let required = match is_needed {
            true => Required::True,
            false => Required::False,
        };
        let body = RequestBodyBuilder::new()
            .content(JSON, content)
            .required(Some(required));
        Self {
            body: Some(body.build()),
            ..self
        }
    }

    fn answer(mut self, status: u16, answer: ResponseBuilder) -> Self {
        self.answers.push((status, answer));
        self
    }

    fn problem(mut self, status: u16) -> Self {
        self.problems.push(status);
        self
    }
}

/// A parameter in the path, by its name.
pub(super) fn path_parameter(name: &str) -> Parameter {
    let (schema, about) = match name {
        "instance" => (plain(Type::String), "The name of an instance.".to_owned()),
        _ => (id_schema(), format!("The id of the {name}.")),
    };
    parameter(name, ParameterIn::Path, schema)
        .required(Required::True)
        .description(Some(about))
        .build()
}

/// A schema that says a type and nothing else.
pub(super) fn plain(kind: Type) -> Object {
    Object::with_type(kind)
}

fn id_schema() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(format))
        .build()
}

fn parameter(name: &str, place: ParameterIn, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .schema(Some(schema))
}

fn in_query(name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Query, schema)
        .description(Some(about))
        .build()
}

fn text(name: &str, about: &str) -> Parameter {
    in_query(name, about, plain(Type::String))
}

fn flag(name: &str, about: &str) -> Parameter {
    in_query(name, about, plain(Type::Boolean))
}

fn time(name: &str, about: &str) -> Parameter {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(format));
    in_query(name, about, schema)
}

fn word(name: &str, about: &str, words: Vec<String>) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words));
    in_query(name, about, schema)
}

fn instance_filter() -> Parameter {
    text(
        "instance",
        "The name of an instance. A client that is bound to several names one.",
    )
}

fn header(name: &str, about: &str, example: &str) -> ParameterBuilder {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .examples([json!(example)]);
    parameter(name, ParameterIn::Header, schema).description(Some(about))
}

/// A header field of an answer.
pub(super) fn header_of(kind: Type, about: &str) -> Header {
    let mut header = Header::new(plain(kind));
    header.description = Some(about.to_owned());
    header
}

fn json_answer(about: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(about)
        .content(JSON, Content::new(Some(schema)))
}

fn one(about: &str, schema: &str) -> ResponseBuilder {
    json_answer(about, Ref::from_schema_name(schema))
}

fn listed(about: &str, schema: &str) -> ResponseBuilder {
    json_answer(about, ArrayBuilder::new().items(Ref::from_schema_name(schema)))
}

fn page(schema: &str) -> ResponseBuilder {
    one(
        "The rows of a page, and where the next one begins.",
        &format!("{schema}Page"),
    )
    .header(
        "Link",
        header_of(Type::String, "The address of the next page (RFC 8288)."),
    )
}

/// An order that was placed: whole, or what is known of it where it can't be read at that moment.
fn placed(about: &str) -> ResponseBuilder {
    let schema = AnyOfBuilder::new()
        .item(Ref::from_schema_name("Order"))
        .item(Ref::from_schema_name("UnreadOrder"));
    json_answer(about, schema)
        .header("Location", header_of(Type::String, "The address of the order."))
        .header(
            "Preference-Applied",
            header_of(
                Type::String,
                "How long the request was to wait, such as `wait=20`.",
            ),
        )
}

/// A form with the version of what is saved.
fn form(about: &str) -> ResponseBuilder {
    one(about, "InstanceForm").header(
        "ETag",
        header_of(
            Type::String,
            "The version of what is saved, for `If-Match` of a change.",
        ),
    )
}

/// A cancellation that was written: whole, or what is known of it where it can't be read at that moment.
fn written(about: &str) -> ResponseBuilder {
    let schema = AnyOfBuilder::new()
        .item(Ref::from_schema_name("Cancellation"))
        .item(Ref::from_schema_name("UnreadCancellation"));
    json_answer(about, schema)
}

fn order_example() -> Value {
    json!({
        "instance": "esd",
        "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" },
        "contact": { "email": "it@beispiel.example", "language": "de-DE" },
        "lines": [{ "productCode": "EP2-06798", "quantity": 1 }],
    })
}

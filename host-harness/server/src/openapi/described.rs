//! How an operation is described: what its route is for, what it takes, and how it answers when all is well.

use serde_json::{Value, json};
use utoipa::openapi::header::Header;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaFormat};
use utoipa::openapi::{Content, Object, ObjectBuilder, Ref, RefOr, Required, Schema, Type};

pub(super) const JSON: &str = "application/json";

/// The id of what is answered, for links.
pub(super) const OWN: &str = "$response.body#/id";

/// The id of the first row of what is answered.
pub(super) const ROW: &str = "$response.body#/rows/0/id";

/// The instance of the request's own path.
pub(super) const INSTANCE: (&str, &str) = ("instance", "$request.path.instance");

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

pub(super) fn get(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Described {
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

pub(super) fn post(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Described {
    Described {
        method: HttpMethod::Post,
        ..get(path, id, tag, summary)
    }
}

pub(super) fn patch(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Described {
    Described {
        method: HttpMethod::Patch,
        ..get(path, id, tag, summary)
    }
}

pub(super) fn delete(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Described {
    Described {
        method: HttpMethod::Delete,
        ..get(path, id, tag, summary)
    }
}

impl Described {
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(super) fn query<const N: usize>(self, parameters: [Parameter; N]) -> Self {
        Self {
            query: Some(parameters.into()),
            ..self
        }
    }

    /// Adds the parameters of a page.
    pub(super) fn paged(mut self) -> Self {
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

    /// Adds the parameters of a page of rows that go by numbers.
    pub(super) fn numbered(mut self) -> Self {
        self = self.paged();
        let query = self.query.get_or_insert_default();
        query.pop();
        query.push(number(
            "after",
            "The `next` of the page before. Left out: the first page.",
        ));
        self
    }

    pub(super) fn header(mut self, header: ParameterBuilder) -> Self {
        self.headers.push(header.build());
        self
    }

    pub(super) fn body(self, schema: &str, is_needed: bool, example: Value) -> Self {
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

    pub(super) fn answer(mut self, status: u16, answer: ResponseBuilder) -> Self {
        self.answers.push((status, answer));
        self
    }

    /// Says that the last answer leads to another operation: with which parameters of its path, each taken from this exchange by an
    /// expression (OpenAPI 3.1, section 4.8.20.3).
    pub(super) fn leads_to<const N: usize>(mut self, operation: &str, parameters: [(&str, &str); N]) -> Self {
        let mut link = LinkBuilder::new().operation_id(operation);
        for (name, value) in parameters {
            link = link.parameter(name, value);
        }
        if let Some((status, answer)) = self.answers.pop() {
            self.answers.push((status, answer.link(operation, link.build())));
        }
        self
    }

    pub(super) fn problem(mut self, status: u16) -> Self {
        self.problems.push(status);
        self
    }
}

/// A parameter in the path, by its name.
pub(super) fn path_parameter(name: &str) -> Parameter {
    let (schema, about) = match name {
        "instance" => (
            plain(Type::String),
            "The name of an instance, or its id: a tenant's may have the name of one of the operator's."
                .to_owned(),
        ),
        "product" => (plain(Type::String), "The code of a product.".to_owned()),
        "currency" => (plain(Type::String), "The currency, ISO 4217.".to_owned()),
        "thumbprint" => (plain(Type::String), "The thumbprint of a certificate.".to_owned()),
        "publicKey" => (
            plain(Type::String),
            "The SHA-1 of the public key of a request.".to_owned(),
        ),
        "mail" => (id_schema(), "The id of an e-mail.".to_owned()),
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

pub(super) fn id_schema() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(format))
        .build()
}

pub(super) fn parameter(
    name: &str,
    place: ParameterIn,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .schema(Some(schema))
}

pub(super) fn in_query(name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Query, schema)
        .description(Some(about))
        .build()
}

pub(super) fn text(name: &str, about: &str) -> Parameter {
    in_query(name, about, plain(Type::String))
}

pub(super) fn flag(name: &str, about: &str) -> Parameter {
    in_query(name, about, plain(Type::Boolean))
}

pub(super) fn time(name: &str, about: &str) -> Parameter {
    number(name, about)
}

pub(super) fn number(name: &str, about: &str) -> Parameter {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(format));
    in_query(name, about, schema)
}

pub(super) fn word(name: &str, about: &str, words: Vec<String>) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words));
    in_query(name, about, schema)
}

pub(super) fn instance_filter() -> Parameter {
    text(
        "instance",
        "The name of an instance, or its id. A client that is bound to several names one.",
    )
}

pub(super) fn header(name: &str, about: &str, example: &str) -> ParameterBuilder {
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

pub(super) fn json_answer(about: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(about)
        .content(JSON, Content::new(Some(schema)))
}

pub(super) fn one(about: &str, schema: &str) -> ResponseBuilder {
    json_answer(about, Ref::from_schema_name(schema))
}

pub(super) fn listed(about: &str, schema: &str) -> ResponseBuilder {
    json_answer(about, ArrayBuilder::new().items(Ref::from_schema_name(schema)))
}

pub(super) fn page(schema: &str) -> ResponseBuilder {
    one(
        "The rows of a page, and where the next one begins.",
        &format!("{schema}Page"),
    )
    .header(
        "Link",
        header_of(Type::String, "The address of the next page (RFC 8288)."),
    )
}

/// A list that is all on one page.
pub(super) fn whole(about: &str, schema: &str) -> ResponseBuilder {
    one(about, &format!("{schema}Page"))
}

/// An order that was placed: whole, or what is known of it where it can't be read at that moment.
pub(super) fn placed(about: &str) -> ResponseBuilder {
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
pub(super) fn form(about: &str) -> ResponseBuilder {
    one(about, "InstanceForm").header(
        "ETag",
        header_of(
            Type::String,
            "The version of what is saved, for `If-Match` of a change.",
        ),
    )
}

/// What was written: whole, or what is known of it where it can't be read at that moment.
pub(super) fn known(about: &str, schema: &str) -> ResponseBuilder {
    let schema = AnyOfBuilder::new()
        .item(Ref::from_schema_name(schema))
        .item(Ref::from_schema_name(format!("Unread{schema}")));
    json_answer(about, schema)
}

pub(super) fn order_example() -> Value {
    json!({
        "instance": "esd",
        "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" },
        "contact": { "email": "it@beispiel.example", "language": "de-DE" },
        "lines": [{ "productCode": "EP2-06798", "quantity": 1 }],
    })
}

//! Events as receivers of webhooks get them. The page for their makers is `docs/webhooks.md`.

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, PathsBuilder, Ref, Required, Type};

use super::described::plain;

/// What receivers are sent.
pub(super) fn webhooks() -> Paths {
    let header = |name: &str, about: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(about))
            .schema(Some(plain(Type::String)))
    };
    let body = RequestBodyBuilder::new()
        .content(
            "application/json",
            Content::new(Some(Ref::from_schema_name("EventBody"))),
        )
        .required(Some(Required::True));
    let taken = ResponseBuilder::new()
        .description("Any 2xx: the event is taken. Anything else but 410: it comes again, for some days.");
    let gone = ResponseBuilder::new().description("The receiver is gone for good, and told nothing more.");
    let operation = OperationBuilder::new()
        .operation_id(Some("receiveEvent"))
        .summary(Some("Tells what came of a license"))
        .description(Some(
            "Signed as Standard Webhooks 1.0.0 has it. An event may come twice, with the same `webhook-id`, and out of order. \
             `bss-host webhook test` sends the type `webhook.test`, with an empty `data`.",
        ))
        .parameter(header("webhook-id", "The event's id, the same however often it is sent."))
        .parameter(header("webhook-timestamp", "When it is sent, in seconds since 1970."))
        .parameter(header("webhook-signature", "The signatures, by each key: `v1` and `v1a`."))
        .request_body(Some(body.build()))
        .response("2XX", taken.build())
        .response("410", gone.build());
    PathsBuilder::new()
        .path("event", PathItem::new(HttpMethod::Post, operation))
        .build()
}

//! What concerns the process, and the document itself.

use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, Type};

use crate::measures;
use crate::openapi::described::{Described, JSON, get, one, plain};

pub(super) fn described() -> Vec<Described> {
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

//! The stylesheet and the script, under names that change with what they say, so that a browser may keep them for ever.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

const FILES: [(&str, &str, &str); 3] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_str!("../static/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_str!("../static/console.js"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("../static/icon.svg")),
];

/// The address of a file.
pub(crate) fn path(name: &str) -> String {
    let said = FILES.iter().find(|(known, ..)| *known == name);
    let tag = said.map_or(0, |(_, _, text)| tag(text));
    format!("/console/static/{tag:016x}/{name}")
}

/// A number that changes with a text: FNV-1a.
fn tag(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Answers with a file. One of another version is answered with that of this one, for a page that is open still.
pub(crate) async fn answer(Path((_, name)): Path<(String, String)>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => (
            [
                (CONTENT_TYPE, *kind),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            *text,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_has_another_address() {
        assert_ne!(tag("a"), tag("b"));
        assert!(path("console.css").ends_with("/console.css"));
        assert_ne!(path("console.css").len(), path("console.js").len());
    }
}

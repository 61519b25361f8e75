//! The names of what may stand in a recording whatever the vendor, because HTTP and OAuth give them their meaning. Of everything
//! else, a plugin says what is harmless ([`super::harmless`]).
//!
//! A name that is missing here costs a value in a recording, and never a secret.

/// Header fields of requests whose values are kept.
pub(super) const REQUEST_HEADERS: [&str; 6] = [
    "accept",
    "accept-language",
    "content-encoding",
    "content-type",
    "if-none-match",
    "user-agent",
];

/// Header fields of answers that are kept.
pub(super) const RESPONSE_HEADERS: [&str; 5] =
    ["content-encoding", "content-type", "date", "etag", "retry-after"];

/// Fields of a request for an access token that are kept (RFC 6749 section 4.4.2, RFC 7523 section 2.2, and `resource` of
/// RFC 8707 section 2).
pub(super) const TOKEN_REQUEST_FIELDS: [&str; 5] = [
    "client_assertion_type",
    "client_id",
    "grant_type",
    "resource",
    "scope",
];

/// Fields of an answer to such a request that are kept (RFC 6749 sections 5.1 and 5.2).
pub(super) const TOKEN_ANSWER_FIELDS: [&str; 6] = [
    "error",
    "error_description",
    "error_uri",
    "expires_in",
    "scope",
    "token_type",
];

/// Fields that hold credentials (RFC 6749 sections 2.3.1, 4.3.2 and 5.1, RFC 7521 section 4, OpenID Connect). An opaque one has
/// no shape to know it by, so none is kept whoever calls it harmless.
pub(super) const CREDENTIALS: [&str; 7] = [
    "access_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "id_token",
    "password",
    "refresh_token",
];

//! The names of what may stand in a recording; everything else is removed.
//!
//! The names of bodies and queries are those of the license API as this project proposes it (`docs/cis-openapi.yaml`).
//! A name that is missing here costs a value in a recording, and never a secret.

/// Header fields of requests whose values are kept.
pub(crate) const REQUEST_HEADERS: [&str; 6] = [
    "accept",
    "accept-language",
    "content-encoding",
    "content-type",
    "if-none-match",
    "user-agent",
];

/// Header fields of answers that are kept.
pub(crate) const RESPONSE_HEADERS: [&str; 8] = [
    "client-request-id",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "ms-correlationid",
    "retry-after",
    "x-ms-request-id",
];

/// Query fields whose values are kept: those of the catalog and of look-ups.
pub(crate) const QUERY_FIELDS: [&str; 7] = [
    "api-version",
    "channelId",
    "clientTransactionId",
    "continuation",
    "country",
    "language",
    "pageSize",
];

/// Fields of a request for an access token that are kept (RFC 6749 section 4.4.2, RFC 7523 section 2.2).
pub(crate) const TOKEN_REQUEST_FIELDS: [&str; 5] = [
    "client_assertion_type",
    "client_id",
    "grant_type",
    "resource",
    "scope",
];

/// Fields of an answer to such a request that are kept (RFC 6749 sections 5.1 and 5.2, and Entra's own about errors).
pub(crate) const TOKEN_ANSWER_FIELDS: [&str; 12] = [
    "correlation_id",
    "error",
    "error_codes",
    "error_description",
    "error_uri",
    "expires_in",
    "expires_on",
    "ext_expires_in",
    "not_before",
    "suberror",
    "timestamp",
    "token_type",
];

/// Fields of other requests that are kept. Not among them: a customer's or reseller's id and name, a return's reason.
pub(crate) const REQUEST_FIELDS: [&str; 9] = [
    "channelId",
    "clientTransactionId",
    "country",
    "currency",
    "customer",
    "language",
    "offerId",
    "quantity",
    "reseller",
];

/// Fields of other answers that are kept. Not among them: product keys and activation links.
pub(crate) const ANSWER_FIELDS: [&str; 25] = [
    "clientTransactionId",
    "code",
    "continuation",
    "correlationId",
    "details",
    "error",
    "etag",
    "isReturnable",
    "items",
    "maxQuantity",
    "message",
    "minQuantity",
    "name",
    "offerId",
    "offerUri",
    "purchasedAt",
    "returnStatus",
    "returnableUntil",
    "shortDescription",
    "status",
    "target",
    "tokenId",
    "tokenStatus",
    "transactionId",
    "value",
];

//! Who this plugin is, as it says it to the host.

use bss_plugin::{Description, HarmlessFields};

use crate::cis::CORRELATION_HEADER;
use crate::entra;

/// The query fields, and members of JSON bodies, of requests whose values may stand in a recording. Not among them: a customer's or
/// reseller's id and name, a return's reason.
const HARMLESS_REQUESTS: &[&str] = &[
    "api-version",
    "channelId",
    "clientTransactionId",
    "continuation",
    "country",
    "currency",
    "customer",
    "language",
    "offerId",
    "pageSize",
    "quantity",
    "reseller",
];

/// The members of JSON bodies of answers whose values may stand in a recording. Not among them: product keys and activation links.
/// Entra's fields beside those of RFC 6749 stand between.
const HARMLESS_ANSWERS: &[&str] = &[
    "clientTransactionId",
    "code",
    "continuation",
    "correlationId",
    "correlation_id",
    "details",
    "error",
    "error_codes",
    "etag",
    "expires_on",
    "ext_expires_in",
    "isReturnable",
    "items",
    "maxQuantity",
    "message",
    "minQuantity",
    "name",
    "not_before",
    "offerId",
    "offerUri",
    "purchasedAt",
    "returnStatus",
    "returnableUntil",
    "shortDescription",
    "status",
    "suberror",
    "target",
    "timestamp",
    "tokenId",
    "tokenStatus",
    "transactionId",
    "value",
];

/// This plugin's description.
pub fn description() -> Description {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let version = env!("CARGO_PKG_VERSION");
    Description {
        options: owned(&[entra::LOGIN_AUTHORITY_OPTION, entra::VERSION_OPTION]),
        correlation_headers: owned(&[CORRELATION_HEADER, entra::CORRELATION_HEADER]),
        harmless: HarmlessFields {
            requests: owned(HARMLESS_REQUESTS),
            answers: owned(HARMLESS_ANSWERS),
        },
        ..Description::new("microsoft-esd", "Microsoft", "Microsoft ESD", version)
    }
}

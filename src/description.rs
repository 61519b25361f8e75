//! Who this plugin is, as it says it to the host.

use crate::cis::CORRELATION_HEADER;
use crate::entra;

/// A plugin's description of itself.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The name of this plugin among all, which never changes.
    pub id: &'static str,
    /// Whose licenses these are.
    pub vendor: &'static str,
    /// What customers read in front of `license`.
    pub offering: &'static str,
    /// The version of this build.
    pub version: &'static str,
    /// The options that the plugin reads.
    pub options: &'static [&'static str],
    /// The header fields that name an exchange.
    pub correlation_headers: &'static [&'static str],
    /// The fields whose values may stand in a recording.
    pub harmless: HarmlessFields,
}

/// The names of fields whose values tell nothing of a customer and open nothing.
#[derive(Clone, Copy, Debug)]
pub struct HarmlessFields {
    /// Query fields, and members of JSON bodies, of requests.
    pub requests: &'static [&'static str],
    /// Members of JSON bodies of answers.
    pub answers: &'static [&'static str],
}

/// This plugin's description.
pub const DESCRIPTION: Description = Description {
    id: "microsoft-esd",
    vendor: "Microsoft",
    offering: "Microsoft ESD",
    version: env!("CARGO_PKG_VERSION"),
    options: &[entra::LOGIN_AUTHORITY_OPTION, entra::VERSION_OPTION],
    correlation_headers: &[CORRELATION_HEADER, entra::CORRELATION_HEADER],
    harmless: HarmlessFields {
        // Not among them: a customer's or reseller's id and name, a return's reason.
        requests: &[
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
        ],
        // Not among them: product keys and activation links. Entra's fields beside those of RFC 6749 stand between.
        answers: &[
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
        ],
    },
};

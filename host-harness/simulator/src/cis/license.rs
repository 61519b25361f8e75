//! A license as CIS writes it.

use http::HeaderValue;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use jiff::Timestamp;
use serde::Serialize;

use super::super::answer::{Answer, json};
use super::super::ledger::{LedgerEntry, TokenStatus};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct License<'a> {
    transaction_id: &'a str,
    client_transaction_id: &'a str,
    token_id: &'a str,
    product_key: &'a str,
    redemption_url: &'a str,
    token_status: &'static str,
    return_status: &'static str,
    purchased_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    returnable_until: Option<String>,
}

/// The state of a license's return, as CIS writes it.
pub(super) fn return_status(token_status: TokenStatus) -> &'static str {
    match token_status {
        TokenStatus::Activated | TokenStatus::Redeemed => "NONE",
        TokenStatus::ReturnAccepted => "SUCCESSFUL",
    }
}

/// Writes a time as RFC 3339, UTC. A number that is no date becomes 1970: the simulator can't have written it.
pub(super) fn date_time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .unwrap_or_default()
        .to_string()
}

/// The license, not to be stored by caches: it has a product key in it.
pub(super) fn answer(status: StatusCode, entry: &LedgerEntry) -> Answer {
    let license = License {
        transaction_id: &entry.transaction_id,
        client_transaction_id: &entry.client_transaction_id,
        token_id: &entry.license_token_id,
        product_key: entry.product_key.expose(),
        redemption_url: entry.activation_link.expose(),
        token_status: entry.token_status.as_str(),
        return_status: return_status(entry.token_status),
        purchased_at: date_time(entry.purchased_at_ms),
        returnable_until: entry.returnable_until_ms.map(date_time),
    };
    let mut answer = json(status, &license);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

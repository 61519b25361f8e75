//! Taking a license back, once per client transaction id.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::answer::{Answer, json};
use super::super::ledger::{Ledger, LedgerEntry, TokenStatus};
use super::errors::Refusal;
use super::license::{date_time, return_status};
use super::query;

/// The longest reason.
const REASON_MAX: usize = 1000;

/// The body of a return.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LicenseReturn {
    client_transaction_id: String,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Returned {
    return_status: &'static str,
    token_status: &'static str,
    returned_at: String,
}

impl LicenseReturn {
    /// Checks the shapes, and turns the client transaction id into the lower case in which it is kept.
    pub(super) fn checked(mut self) -> Result<LicenseReturn, Refusal> {
        let id = query::uuid("clientTransactionId", &self.client_transaction_id)?;
        self.client_transaction_id = id.to_string();
        if self.reason.chars().count() > REASON_MAX {
            return Err(Refusal::invalid(
                "reason",
                format!("`reason` must have at most {REASON_MAX} characters"),
            ));
        }
        Ok(self)
    }

    /// Takes the license back, or finds that this very return was done before.
    pub(super) async fn take_back(
        &self,
        license_token_id: &str,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let id = &self.client_transaction_id;
        let taken = ledger.take_back(license_token_id, id, &self.reason, now).await;
        let taken = taken.map_err(|error| Refusal::internal(&error))?;
        let entry = ledger
            .by_license_token_id(license_token_id)
            .await
            .map_err(|error| Refusal::internal(&error))?;
        let Some(entry) = entry else {
            return Err(Refusal::no_such_license());
        };
        if taken || entry.return_client_transaction_id.as_ref() == Some(id) {
            return Ok(answer(&entry));
        }
        let elsewhere = ledger
            .by_return(id)
            .await
            .map_err(|error| Refusal::internal(&error))?;
        Err(refusal(&entry, elsewhere.is_some()))
    }
}

fn answer(entry: &LedgerEntry) -> Answer {
    let returned = Returned {
        return_status: return_status(entry.token_status),
        token_status: entry.token_status.as_str(),
        returned_at: date_time(entry.returned_at_ms.unwrap_or_default()),
    };
    json(StatusCode::OK, &returned)
}

/// Why the license was not taken back.
fn refusal(entry: &LedgerEntry, id_used_elsewhere: bool) -> Refusal {
    match entry.token_status {
        _ if id_used_elsewhere => {
            let message = "the client transaction id was used for the return of another license";
            Refusal::conflict("DuplicateTransaction", message).about("clientTransactionId")
        }
        TokenStatus::Redeemed => Refusal::conflict(
            "TokenAlreadyRedeemed",
            "the customer has redeemed the license: it can't be returned",
        ),
        TokenStatus::ReturnAccepted => {
            Refusal::conflict("AlreadyReturned", "the license was returned before")
        }
        TokenStatus::Activated => match entry.returnable_until_ms {
            None => Refusal::conflict("NotReturnable", "licenses of this offer can't be returned"),
            Some(until) => {
                let message = format!("the license could be returned until {}", date_time(until));
                Refusal::conflict("ReturnWindowExpired", &message)
            }
        },
    }
}

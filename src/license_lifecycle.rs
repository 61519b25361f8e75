//! A license after it was bought: looks it up as Microsoft sees it now, and returns it.

use crate::cis::Cis;
use crate::failures::{ChangeFailure, Problem, ReadFailure};
use crate::instance_settings::{Instance, Settings, guid};
use crate::license::{License, ReturnStatus};
use crate::platform::Platform;

/// The longest reason that is passed on, in Unicode scalar values; a longer one is cut, because a
/// comment must not keep a customer from a return.
const REASON_LENGTH_MAX: usize = 500;

/// How Microsoft is asked for a license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenseName {
    /// By the client transaction id of a purchase, while no license of it is known.
    ClientTransactionId(String),
    /// By Microsoft's name for the license token.
    LicenseTokenId(String),
}

/// A license to return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseReturn {
    /// Microsoft's name for the license token.
    pub license_token_id: String,
    /// The host's name for the return, a UUID: the same for every attempt.
    pub client_transaction_id: String,
    /// The reason for the return; may be empty.
    pub reason: String,
}

/// Looks a license up as Microsoft sees it now; `None` when Microsoft has never issued it.
///
/// # Errors
/// When the settings or the name can't be used, or Microsoft does not say for certain.
pub fn get_license(
    platform: &impl Platform,
    instance: &Instance,
    name: &LicenseName,
) -> Result<Option<License>, ReadFailure> {
    let settings = Settings::parse(instance).map_err(ReadFailure::Misconfigured)?;
    match name {
        LicenseName::LicenseTokenId(id) => Cis::new(platform, &settings)?.license_by_id(id),
        LicenseName::ClientTransactionId(id) => {
            let id = guid(id).ok_or_else(|| ReadFailure::Refused(not_a_uuid()))?;
            Cis::new(platform, &settings)?.license_by_client_transaction_id(id)
        }
    }
}

/// Returns a license. A license counts as returned only when Microsoft then shows it so; one that was
/// returned before is answered like one returned now.
///
/// # Errors
/// Sorted by what a retry would risk, as [`ChangeFailure`] says.
pub fn cancel_license(
    platform: &impl Platform,
    instance: &Instance,
    license_return: &LicenseReturn,
) -> Result<License, ChangeFailure> {
    let settings = Settings::parse(instance).map_err(ChangeFailure::Misconfigured)?;
    let client_transaction_id =
        guid(&license_return.client_transaction_id).ok_or_else(|| ChangeFailure::Refused(not_a_uuid()))?;
    let cis = Cis::new(platform, &settings).map_err(ReadFailure::of_the_settings)?;
    let id = &license_return.license_token_id;
    let reason = crate::text::one_line(&license_return.reason, REASON_LENGTH_MAX);
    cis.return_license(id, client_transaction_id, &reason)?;

    let license = cis.license_by_id(id).map_err(ReadFailure::after_the_change)?;
    license
        .filter(|license| license.return_status == ReturnStatus::Successful)
        .ok_or_else(|| {
            ChangeFailure::Unknown(Problem::new(
                "return-not-shown",
                "Microsoft accepted the return of the license, but does not show the license as returned.",
                "Look the license up again later.",
            ))
        })
}

fn not_a_uuid() -> Problem {
    Problem::new(
        "client-transaction-id-invalid",
        "The client transaction id is not a UUID.",
        "",
    )
}

#[cfg(test)]
mod tests;

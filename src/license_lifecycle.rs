//! A license after it was bought: looks it up as Microsoft sees it now, and returns it.

use bss_plugin::failures::Problem;
use bss_plugin::text::one_line;
use bss_plugin::{
    Attempted, ChangeFailure, License, LicenseName, LicenseReturn, LookUp, ReadFailure, ReturnStatus, attempt,
};
use uuid::Uuid;

use crate::cis::Cis;
use crate::instance_settings::{Instance, Settings, guid};
use crate::platform::Platform;

/// The longest reason that is passed on, in Unicode scalar values; a longer one is cut, because a
/// comment must not keep a customer from a return.
const REASON_LENGTH_MAX: usize = 500;

/// Looks a license up as Microsoft sees it now.
///
/// # Errors
/// When the settings or the name can't be used, or Microsoft does not say for certain.
pub fn get_license(
    platform: &impl Platform,
    instance: &Instance,
    name: &LicenseName,
) -> Result<LookUp, ReadFailure> {
    let settings = Settings::parse(instance).map_err(ReadFailure::Misconfigured)?;
    let found = match name {
        LicenseName::License(names) => Cis::new(platform, &settings)?.license_by_id(&names.license_token_id),
        LicenseName::Purchase(id) => {
            let id = guid(id).ok_or_else(|| ReadFailure::Refused(not_a_uuid()))?;
            Cis::new(platform, &settings)?.license_by_client_transaction_id(id)
        }
    };
    Ok(found?.map_or(LookUp::NeverIssued, |license| LookUp::Issued(license.into())))
}

/// Returns a license. A license counts as returned only when Microsoft then shows it so; one that was
/// returned before is answered like one returned now.
pub fn cancel_license(
    platform: &impl Platform,
    instance: &Instance,
    license_return: &LicenseReturn,
) -> Attempted<License> {
    let settings = Settings::parse(instance).map_err(ReadFailure::Misconfigured);
    attempt::license_return(
        license_return,
        || {
            let settings = settings.as_ref().map_err(Clone::clone)?;
            let id = guid(&license_return.client_transaction_id);
            let id = id.ok_or_else(|| ReadFailure::Refused(not_a_uuid()))?;
            Ok((Cis::new(platform, settings)?, id))
        },
        |(cis, client_transaction_id)| give_back(cis, license_return, *client_transaction_id),
    )
}

fn give_back(
    cis: &Cis<'_, impl Platform>,
    license_return: &LicenseReturn,
    client_transaction_id: Uuid,
) -> Result<License, ChangeFailure> {
    let id = &license_return.license.license_token_id;
    let reason = one_line(&license_return.reason, REASON_LENGTH_MAX);
    cis.return_license(id, client_transaction_id, &reason)?;

    let license = cis.license_by_id(id).map_err(ReadFailure::after_the_change)?;
    let returned = license.filter(|license| license.return_status == ReturnStatus::Successful);
    returned.map(License::from).ok_or_else(|| {
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

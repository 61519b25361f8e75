//! Checks a license before anybody believes it: a plugin wrote it, and it is charged, kept and mailed.

use crate::diagnosis::{Advice, Diagnose, Diagnosis, ErrorKind};
use crate::license::{License, LicenseTokenStatus, ReturnStatus};
use crate::problem::Problem;

/// The longest name of a purchase or a license token, in bytes. A GUID has 36.
const LICENSE_ID_BYTES: usize = 200;

/// The longest product key, in bytes. One of five groups of five has 29.
const PRODUCT_KEY_BYTES: usize = 200;

/// The longest activation link, in bytes: what every browser and mail program takes.
const ACTIVATION_LINK_BYTES: usize = 2_048;

/// The last moment of the year 9999, in milliseconds since 1970: RFC 3339 has no later one.
const LAST_MOMENT_MS: i64 = 253_402_300_799_999;

/// Why a license is none. Nothing of it is quoted, since it may hold what only the customer may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LicenseDefect {
    /// A name can't be one: it is empty, long, or has other characters than visible ASCII.
    #[error("the license's {0} can't be a name")]
    Id(&'static str),
    /// The product key can't be one.
    #[error("the license's product key can't be one")]
    ProductKey,
    /// The activation link is no https URL that can be mailed.
    #[error("the license's activation link is no https URL")]
    ActivationLink,
    /// A time is before 1970, or after the year 9999.
    #[error("the license's {0} is no time")]
    Time(&'static str),
    /// The contract knows a license that was returned and whose return was successful, and nothing between.
    #[error("the license's token status and its return status contradict each other")]
    Statuses,
}

impl LicenseDefect {
    /// The defect as the problem of an attempt.
    pub fn problem(self) -> Problem {
        Problem::of(&self, self.to_string())
    }
}

impl Diagnose for LicenseDefect {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Unavailable, "license-defect").advise(Advice::say(
            "report it as a defect of the plugin; the next attempt looks the license up",
        ))
    }
}

/// Checks that a license can be kept, shown and mailed as it is.
///
/// # Errors
/// When something in the license is defective: with the first defect.
pub fn check_license(license: &License) -> Result<(), LicenseDefect> {
    for (id, what) in [
        (&license.client_transaction_id, "client transaction id"),
        (&license.transaction_id, "transaction id"),
        (&license.license_token_id, "license token id"),
    ] {
        if !is_graphic(id, LICENSE_ID_BYTES) {
            return Err(LicenseDefect::Id(what));
        }
    }
    if !is_graphic(license.product_key.expose(), PRODUCT_KEY_BYTES) {
        return Err(LicenseDefect::ProductKey);
    }
    let link = license.activation_link.as_ref();
    if link.is_some_and(|link| !is_link(link.expose())) {
        return Err(LicenseDefect::ActivationLink);
    }
    for (ms, what) in [
        (Some(license.purchased_at_ms), "time of purchase"),
        (license.returnable_until_ms, "end of the time of returning"),
    ] {
        if ms.is_some_and(|ms| !(0..=LAST_MOMENT_MS).contains(&ms)) {
            return Err(LicenseDefect::Time(what));
        }
    }
    let is_returned = license.license_token_status == LicenseTokenStatus::Returned;
    let was_taken_back = license.return_status == ReturnStatus::Successful;
    match is_returned == was_taken_back {
        true => Ok(()),
        false => Err(LicenseDefect::Statuses),
    }
}

/// Whether a text has visible ASCII characters only, and some, but not too many.
fn is_graphic(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is an https URL without user information, which could make it look as if it led elsewhere.
fn is_link(text: &str) -> bool {
    if !is_graphic(text, ACTIVATION_LINK_BYTES) {
        return false;
    }
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    uri.scheme_str() == Some("https") && has_host && !has_user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn license() -> License {
        License {
            client_transaction_id: "c".to_owned(),
            transaction_id: "t".to_owned(),
            license_token_id: "l".to_owned(),
            product_key: Secret::new("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"),
            activation_link: None,
            license_token_status: LicenseTokenStatus::Unused,
            return_status: ReturnStatus::None,
            purchased_at_ms: 0,
            returnable_until_ms: None,
        }
    }

    fn checked(change: impl FnOnce(&mut License)) -> Result<(), LicenseDefect> {
        let mut license = license();
        change(&mut license);
        check_license(&license)
    }

    #[test]
    fn a_license_at_all_its_limits_is_one() {
        let at_the_limits = checked(|license| {
            license.client_transaction_id = "c".repeat(LICENSE_ID_BYTES);
            license.transaction_id = "!~".repeat(LICENSE_ID_BYTES / 2);
            license.license_token_id = "l".repeat(LICENSE_ID_BYTES);
            license.product_key = Secret::new("K".repeat(PRODUCT_KEY_BYTES));
            let start = "https://setup.example.com:8443/?token=";
            let rest = "x".repeat(ACTIVATION_LINK_BYTES - start.len());
            license.activation_link = Some(Secret::new(format!("{start}{rest}")));
            license.purchased_at_ms = LAST_MOMENT_MS;
            license.returnable_until_ms = Some(0);
        });
        assert_eq!(at_the_limits, Ok(()));
        assert_eq!(checked(|_| ()), Ok(()), "without a link");
    }

    #[test]
    fn a_product_key_of_more_than_one_line_or_one_word_is_none() {
        let too_long = "K".repeat(PRODUCT_KEY_BYTES + 1);
        for key in [
            "",
            " ",
            "A B",
            "AAAAA\nGo to https://evil.example",
            "A\0",
            "Ä",
            "A\u{202e}B",
            &too_long,
        ] {
            let key = Secret::new(key);
            let defect = checked(|license| license.product_key = key.clone());
            assert_eq!(defect, Err(LicenseDefect::ProductKey));
        }
    }

    #[test]
    fn a_link_that_is_no_plain_https_url_is_none() {
        let too_long = format!("https://a.example/{}", "x".repeat(ACTIVATION_LINK_BYTES));
        for link in [
            "",
            "http://setup.example.com/",
            "javascript:alert(1)",
            "https:///path",
            "https://microsoft.com@evil.example/",
            "https://a.example/\r\nBcc: x",
            "https://a.example/ b",
            "setup.example.com/?token=x",
            &too_long,
        ] {
            let link = Secret::new(link);
            let defect = checked(|license| license.activation_link = Some(link.clone()));
            assert_eq!(defect, Err(LicenseDefect::ActivationLink), "{}", link.expose());
        }
    }

    #[test]
    fn a_name_that_can_not_be_quoted_is_none() {
        let too_long = "i".repeat(LICENSE_ID_BYTES + 1);
        for id in [
            "",
            "two words",
            "a\nb",
            "a\0b",
            "\u{1b}[2J",
            "é",
            too_long.as_str(),
        ] {
            let changes: [fn(&mut License, &str); 3] = [
                |license, id| license.client_transaction_id = id.to_owned(),
                |license, id| license.transaction_id = id.to_owned(),
                |license, id| license.license_token_id = id.to_owned(),
            ];
            for change in changes {
                let defect = checked(|license| change(license, id));
                assert!(matches!(defect, Err(LicenseDefect::Id(_))), "{id:?}: {defect:?}");
            }
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_none() {
        for ms in [-1, i64::MIN, LAST_MOMENT_MS + 1, i64::MAX] {
            let purchased = checked(|license| license.purchased_at_ms = ms);
            let returnable = checked(|license| license.returnable_until_ms = Some(ms));
            for defect in [purchased, returnable] {
                assert!(matches!(defect, Err(LicenseDefect::Time(_))), "{ms}: {defect:?}");
            }
        }
    }

    #[test]
    fn a_license_is_returned_by_both_of_its_statuses_or_by_none() {
        use LicenseTokenStatus::{Ended, Returned, Unused, Used};
        for (token, returned, expected) in [
            (Unused, ReturnStatus::None, Ok(())),
            (Used, ReturnStatus::None, Ok(())),
            (Ended, ReturnStatus::None, Ok(())),
            (Returned, ReturnStatus::Successful, Ok(())),
            (Unused, ReturnStatus::Successful, Err(LicenseDefect::Statuses)),
            (Used, ReturnStatus::Successful, Err(LicenseDefect::Statuses)),
            (Ended, ReturnStatus::Successful, Err(LicenseDefect::Statuses)),
            (Returned, ReturnStatus::None, Err(LicenseDefect::Statuses)),
        ] {
            let judged = checked(|license| {
                license.license_token_status = token;
                license.return_status = returned;
            });
            assert_eq!(judged, expected, "{token:?}, {returned:?}");
        }
    }
}

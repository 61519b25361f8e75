//! Entra's answers, and what its error codes mean for an operator
//! (learn.microsoft.com/entra/identity-platform/reference-error-codes).

use serde::Deserialize;

use crate::exchange::retry_after_ms;
use crate::failures::{Delay, Problem, ReadFailure};
use crate::platform::HttpResponse;
use crate::secret::Secret;

/// An access token is not used in its last five minutes, so that it outlives the call it is used in.
const UNUSED_SECONDS: i64 = 5 * 60;
/// The longest life of an access token: Entra issues for at most 24 hours, and more is not believed.
const LIFETIME_SECONDS_MAX: i64 = 24 * 60 * 60;
/// The pause before Entra is asked again after an outage; Microsoft's own libraries make the same.
pub(super) const OUTAGE_PAUSE_MS: u64 = 1_000;
/// How many characters of Entra's description are shown: enough to know what it is about.
const DESCRIPTION_LENGTH_MAX: usize = 300;

/// An access token and its lifetime.
pub(super) struct Granted {
    pub(super) access_token: Secret,
    expires_in_seconds: i64,
}

impl Granted {
    /// The moment until which the access token can be kept, in milliseconds since 1970.
    pub(super) fn expires_at_ms(&self, now_ms: i64) -> i64 {
        let seconds = self.expires_in_seconds.clamp(0, LIFETIME_SECONDS_MAX);
        now_ms + (seconds - UNUSED_SECONDS).max(0) * 1_000
    }
}

/// Why there is no access token, and whether to ask once more.
pub(super) struct Denial {
    pub(super) failure: ReadFailure,
    pub(super) again: Again,
}

/// Whether to ask once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Not in this call.
    Never,
    /// At once, with another assertion.
    AtOnce,
    /// After [`OUTAGE_PAUSE_MS`], with another assertion.
    AfterAPause,
}

impl From<ReadFailure> for Denial {
    fn from(failure: ReadFailure) -> Self {
        Self {
            failure,
            again: Again::Never,
        }
    }
}

#[derive(Deserialize)]
struct GrantedWire {
    access_token: Secret,
    token_type: String,
    expires_in: Seconds,
}

/// A lifetime: a number in the v2 form, a number in quotes in the v1 form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(i64),
    Text(String),
}

impl Seconds {
    fn value(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeniedWire {
    error: String,
    error_description: String,
    error_codes: Vec<u64>,
    correlation_id: String,
}

/// Reads an answer with the status 200.
pub(super) fn granted(response: &HttpResponse, correlation_id: &str) -> Result<Granted, Denial> {
    let malformed = || {
        let problem = Problem::new(
            "access-token-unreadable",
            "Microsoft Entra's answer can't be read as an access token.",
            "Check that Azure Active Directory Tenant is right; if it is, a newer version of this plugin may help.",
        );
        Denial::from(ReadFailure::Malformed(problem.in_exchange(correlation_id)))
    };
    let wire: GrantedWire = serde_json::from_slice(&response.body).map_err(|_error| malformed())?;
    let fit_for_a_header = !wire.access_token.is_empty()
        && wire
            .access_token
            .expose()
            .bytes()
            .all(|byte| byte.is_ascii_graphic());
    let expires_in_seconds = wire.expires_in.value();
    match expires_in_seconds {
        Some(expires_in_seconds) if fit_for_a_header && wire.token_type.eq_ignore_ascii_case("Bearer") => {
            Ok(Granted {
                access_token: wire.access_token,
                expires_in_seconds,
            })
        }
        _ => Err(malformed()),
    }
}

/// Reads an answer with another status than 200.
pub(super) fn denied(response: &HttpResponse, correlation_id: &str, now_ms: i64) -> Denial {
    let wire: DeniedWire = serde_json::from_slice(&response.body).unwrap_or_default();
    let codes = &wire.error_codes;
    let status = response.status;
    let correlation_id = match wire.correlation_id.as_str() {
        "" => correlation_id,
        theirs => theirs,
    };
    let correlation_id = crate::text::one_line(correlation_id, 100);

    // 408, 425 and 499 are time-outs of something on the way.
    let is_transient = matches!(status, 408 | 425 | 429 | 499 | 500..)
        || wire.error == "temporarily_unavailable"
        || codes.iter().any(|code| TRANSIENT.contains(code));
    if is_transient {
        let problem = Problem::new(
            "access-token-unavailable",
            described("Microsoft Entra can't issue an access token now", status, &wire),
            "Try again later.",
        );
        let retry_after_ms = retry_after_ms(response, now_ms);
        return Denial {
            failure: ReadFailure::Unavailable(Delay {
                problem: problem.in_exchange(&correlation_id),
                retry_after_ms,
            }),
            again: if status >= 500 && retry_after_ms.is_none() {
                Again::AfterAPause
            } else {
                Again::Never
            },
        };
    }
    let (code, advice) = meaning(codes, &wire.error);
    let problem = Problem::new(
        code,
        described("Microsoft Entra refused to issue an access token", status, &wire),
        advice,
    );
    Denial {
        failure: ReadFailure::Misconfigured(problem.in_exchange(&correlation_id)),
        again: if codes.iter().any(|code| CLOCK.contains(code)) {
            Again::AtOnce
        } else {
            Again::Never
        },
    }
}

/// Entra's codes for throttling (90055, 50196) and outages.
const TRANSIENT: [u64; 8] = [50_033, 50_196, 90_006, 90_012, 90_024, 90_033, 90_055, 90_090];
/// Entra's codes for an assertion that was not valid at the time by Entra's clock.
const CLOCK: [u64; 3] = [700_024, 500_133, 50_013];

/// The code and advice for a refusal, by Entra's codes first and by the OAuth error where they say nothing.
fn meaning(codes: &[u64], error: &str) -> (&'static str, &'static str) {
    codes
        .iter()
        .find_map(|code| by_code(*code))
        .unwrap_or(match error {
            "invalid_client" => (
                "client-refused",
                "Check Client ID, and check that the certificate in Certificate Thumbprint is registered for that application.",
            ),
            "unauthorized_client" => (
                "client-refused",
                "Check Client ID and Azure Active Directory Tenant.",
            ),
            "invalid_scope" | "invalid_resource" | "invalid_target" => {
                ("resource-unknown", "Check Recourse API.")
            }
            _ => (
                "access-token-refused",
                "Compare the settings of the instance with the values that Microsoft has provided.",
            ),
        })
}

fn by_code(code: u64) -> Option<(&'static str, &'static str)> {
    Some(match code {
        700_027 | 50_012 | 700_030 => (
            "certificate-not-registered",
            "Register the certificate in Certificate Thumbprint for the application in Microsoft Entra, or choose the certificate that is registered.",
        ),
        700_016 => (
            "client-unknown",
            "Check that the application in Client ID is registered in the tenant in Azure Active Directory Tenant.",
        ),
        7_000_112 => (
            "client-disabled",
            "Ask the administrator of the tenant to enable the application in Client ID.",
        ),
        90_002 | 900_023 => ("tenant-unknown", "Check Azure Active Directory Tenant."),
        500_011 | 50_001 | 650_057 | 70_011 | 28_002 | 901_002 => ("resource-unknown", "Check Recourse API."),
        code if CLOCK.contains(&code) => (
            "clock-wrong",
            "Set the clock of the host machine, which differs from Microsoft's clock by several minutes.",
        ),
        700_021 | 50_048 | 700_023 | 50_027 | 900_144 | 7_000_215 | 7_000_218 | 7_000_222 => (
            "assertion-refused",
            "Check Client ID; if it is right, a newer version of this plugin may help.",
        ),
        _ => return None,
    })
}

fn described(what: &str, status: u16, wire: &DeniedWire) -> String {
    let description = match (wire.error_description.as_str(), wire.error.as_str()) {
        ("", "") => return format!("{what} (HTTP {status})."),
        ("", error) => error,
        (description, _) => description,
    };
    let first_line = description.lines().next().unwrap_or_default();
    format!(
        "{what} (HTTP {status}): {}",
        crate::text::one_line(first_line, DESCRIPTION_LENGTH_MAX)
    )
}

//! Entra's answers, and what its error codes mean for an operator
//! (learn.microsoft.com/entra/identity-platform/reference-error-codes).

use serde::Deserialize;
use serde_json::Value;

use bss_plugin::failures::{Delay, Problem, ReadFailure};
use bss_plugin::foreign_answer::described as described_answer;
use bss_plugin::http::HttpResponse;
use bss_plugin::secret::Secret;

/// An access token is not used in its last five minutes, so that it outlives the call it is used in.
const UNUSED_SECONDS: i64 = 5 * 60;
/// The longest life of an access token: Entra issues for at most 24 hours, and more is not believed.
const LIFETIME_SECONDS_MAX: i64 = 24 * 60 * 60;
/// The lifetime of an access token whose lifetime was not said: the shortest that Entra can be told to give.
const LIFETIME_SECONDS_UNSAID: i64 = 10 * 60;
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
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
}

impl GrantedWire {
    /// Whether the access token is to be sent as `Bearer`: any other type is always said (RFC 6749 section 7.1).
    fn is_bearer(&self) -> bool {
        self.token_type.is_null()
            || self
                .token_type
                .as_str()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"))
    }

    /// The lifetime: a number in the v2 form, a number in quotes in the v1 form.
    fn expires_in_seconds(&self) -> i64 {
        let seconds = match &self.expires_in {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of a float stays within the integer's range"
        )]
        seconds.map_or(LIFETIME_SECONDS_UNSAID, |seconds| seconds as i64)
    }
}

/// Entra's words about an access token that it does not issue.
#[derive(Default)]
struct DeniedWire {
    error: String,
    error_description: String,
    error_codes: Vec<u64>,
    correlation_id: String,
}

impl DeniedWire {
    /// Reads what can be read of an error. `None`: these are not Entra's words, which have the members of RFC 6749 section 5.2, or
    /// the number of an error.
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| match body.get(name) {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        let description = text("error_description");
        let code = |code: &Value| match code {
            Value::String(text) => text.trim().trim_start_matches(CODE_PREFIX).parse().ok(),
            other => other.as_u64(),
        };
        let mut error_codes: Vec<u64> = match body.get("error_codes") {
            Some(Value::Array(codes)) => codes.iter().filter_map(code).collect(),
            Some(other) => code(other).into_iter().collect(),
            None => Vec::new(),
        };
        if error_codes.is_empty() {
            error_codes.extend(codes_in(&description));
        }
        let wire = Self {
            error: text("error"),
            error_description: description,
            error_codes,
            correlation_id: text("correlation_id"),
        };
        (!wire.error.is_empty() || !wire.error_codes.is_empty()).then_some(wire)
    }
}

/// The letters before the number of an error in Entra's descriptions.
const CODE_PREFIX: &str = "AADSTS";

/// The numbers of errors in a description, as in `AADSTS700016: Application ...`.
fn codes_in(description: &str) -> impl Iterator<Item = u64> {
    description.split(CODE_PREFIX).skip(1).filter_map(|rest| {
        let end = rest.find(|character: char| !character.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
}

/// Reads an answer with the status 200.
pub(super) fn granted(response: &HttpResponse, correlation_id: &str) -> Result<Granted, Denial> {
    let malformed = || {
        let problem = Problem::new(
            "access-token-unreadable",
            "Microsoft Entra's answer can't be read as an access token.",
            "Check that no proxy, filter or gateway answers instead of Microsoft Entra, and that Azure Active Directory Tenant is right; if it is, a newer version of this plugin may help.",
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
    if !fit_for_a_header || !wire.is_bearer() {
        return Err(malformed());
    }
    Ok(Granted {
        expires_in_seconds: wire.expires_in_seconds(),
        access_token: wire.access_token,
    })
}

/// Reads an answer with another status than 200.
pub(super) fn denied(response: &HttpResponse, correlation_id: &str, now_ms: i64) -> Denial {
    let status = response.status;
    // 408, 425 and 499 are time-outs of something on the way.
    let is_outage = matches!(status, 408 | 425 | 429 | 499 | 500..);
    let wire = match DeniedWire::read(&response.body) {
        Some(wire) => wire,
        None if is_outage => DeniedWire::default(),
        None => return Denial::from(not_entra_s(response, correlation_id, now_ms)),
    };
    let codes = &wire.error_codes;
    let correlation_id = match wire.correlation_id.as_str() {
        "" => correlation_id,
        theirs => theirs,
    };
    let correlation_id = bss_plugin::text::one_line(correlation_id, 100);

    let is_transient = is_outage
        || matches!(wire.error.as_str(), "temporarily_unavailable" | "server_error")
        || codes.iter().any(|code| TRANSIENT.contains(code));
    if is_transient {
        let problem = Problem::new(
            "access-token-unavailable",
            described("Microsoft Entra can't issue an access token now", status, &wire),
            "Try again later.",
        );
        let retry_after_ms = response.retry_after_ms(now_ms);
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
    let has = |known: &[u64]| codes.iter().any(|code| known.contains(code));
    let is_out_of_time =
        has(&CLOCK) || wire.error_description.contains(OUT_OF_TIME) && !has(&CERTIFICATE_OUT_OF_TIME);
    let (code, advice) = match is_out_of_time {
        true => CLOCK_WRONG,
        false => meaning(codes, &wire.error),
    };
    let problem = Problem::new(
        code,
        described("Microsoft Entra refused to issue an access token", status, &wire),
        advice,
    );
    let problem = problem.in_exchange(&correlation_id);
    if is_out_of_time {
        // A clock is set sooner or later, and no setting of the instance is wrong.
        return Denial {
            failure: ReadFailure::Unavailable(problem.into()),
            again: Again::AtOnce,
        };
    }
    Denial {
        failure: ReadFailure::Misconfigured(problem),
        again: if has(&NOT_KNOWN_EVERYWHERE) {
            Again::AfterAPause
        } else {
            Again::Never
        },
    }
}

/// The failure when something on the way answered instead of Entra, which has refused nothing then.
fn not_entra_s(response: &HttpResponse, correlation_id: &str, now_ms: i64) -> ReadFailure {
    let problem = Problem::new(
        "access-token-unavailable",
        format!(
            "Something other than Microsoft Entra answered the request for an access token: {}.",
            described_answer(response)
        ),
        "Check that no proxy, filter or gateway stands between the host machine and Microsoft Entra, or lets the requests through; check the option `login-authority` if the instance has that option.",
    );
    ReadFailure::Unavailable(Delay {
        problem: problem.in_exchange(correlation_id),
        retry_after_ms: response.retry_after_ms(now_ms),
    })
}

/// Entra's codes for throttling (90055, 50196) and outages.
const TRANSIENT: [u64; 8] = [50_033, 50_196, 90_006, 90_012, 90_024, 90_033, 90_055, 90_090];
/// Entra's codes for an assertion that was not valid at the time by Entra's clock.
const CLOCK: [u64; 3] = [700_024, 500_133, 50_013];
/// The code and advice for such an assertion.
const CLOCK_WRONG: (&str, &str) = (
    "clock-wrong",
    "Set the clock of the host machine, which differs from Microsoft's clock by several minutes.",
);
/// Entra's words for such an assertion under other codes.
const OUT_OF_TIME: &str = "is not within its valid time range";
/// Entra's code for a certificate that is not valid now.
const CERTIFICATE_OUT_OF_TIME: [u64; 1] = [1_000_502];
/// Entra's codes for an application, a certificate or a resource that is unknown, and may have been registered a moment ago: not
/// every replica knows of it at once.
const NOT_KNOWN_EVERYWHERE: [u64; 3] = [700_016, 700_027, 500_011];

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
        1_000_502 => (
            "certificate-out-of-time",
            "Choose a certificate in Certificate Thumbprint that is valid now, and check the clock of the host machine.",
        ),
        7_000_214 => (
            "certificate-revoked",
            "Choose another certificate in Certificate Thumbprint: this one was revoked.",
        ),
        900_382 | 900_439 => (
            "cloud-wrong",
            "The tenant belongs to another cloud: give the option `login-authority` its authority, such as login.microsoftonline.us or login.partner.microsoftonline.cn.",
        ),
        7_000_112 => (
            "client-disabled",
            "Ask the administrator of the tenant to enable the application in Client ID.",
        ),
        90_002 | 900_023 => ("tenant-unknown", "Check Azure Active Directory Tenant."),
        500_011 | 50_001 | 650_057 | 70_011 | 28_002 | 901_002 => ("resource-unknown", "Check Recourse API."),
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
    // What follows are ids and a time, in a line of their own or in the same one; the id of the exchange is told beside the message.
    let said = first_line
        .split_once(" Trace ID: ")
        .map_or(first_line, |(said, _)| said);
    format!(
        "{what} (HTTP {status}): {}",
        bss_plugin::text::one_line(said, DESCRIPTION_LENGTH_MAX)
    )
}

//! What can be wrong with a request before the host is asked for anything.

use std::time::Duration;

use bss_model::{ApiScope, Diagnose, Diagnosis, ErrorKind, Thumbprint};
use http::StatusCode;

/// Seconds after which a client may try another key.
const TRIES_AGAIN_AFTER: u64 = 60;

/// Why a request was not carried out. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("there is nothing at this address")]
    NoRoute,
    #[error("the method can't be used at this address")]
    Method,
    #[error("the head of the request has more than {max} bytes")]
    HeadTooLarge { max: usize },
    #[error("the body of the request has more than {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("the body of the request did not arrive within {} seconds", within.as_secs())]
    BodyTooSlow { within: Duration },
    #[error("the body of the request ended early")]
    BodyBroken,
    #[error("the body of the request is not said to be JSON")]
    NotJson,
    #[error("the body of the request is not valid JSON")]
    Json(#[source] serde_json::Error),
    #[error("the request has fields with problems")]
    Fields,
    #[error("the request has no API key")]
    NoKey,
    #[error("the API key opens nothing")]
    WrongKey,
    #[error("the application id and the key open nothing at this address")]
    PlatformKey,
    #[error("too many keys that open nothing came from this address")]
    TooManyTries,
    #[error("the client of this API key lacks the scope `{scope}`")]
    Scope { scope: ApiScope },
    #[error("the client may see several instances, or none")]
    InstanceNeeded,
    #[error("the request has no idempotency key")]
    NoIdempotencyKey,
    #[error("the idempotency key is no text of 1 to 255 visible ASCII characters")]
    IdempotencyKey,
    #[error("the request does not say on which version of the settings it is based")]
    NoIfMatch,
    #[error("`If-Match` is no version of settings")]
    IfMatch,
    #[error("the settings have problems and were not saved")]
    NotSaved,
    #[error("the settings are at version {found} by now")]
    OtherVersion { found: i64 },
    #[error("the secret was typed before any server was, and would go to the one that is typed now")]
    UnsentSecret,
    #[error("the client is bound to instances, and what is asked for concerns all instances of its owner")]
    Bound,
    #[error("certificate `{thumbprint}` is not installed")]
    NoCertificate { thumbprint: Thumbprint },
    #[error("{price} may be a mistake: {reasons}")]
    DoubtfulPrice { price: String, reasons: String },
    #[error("{count} of the prices may be a mistake, and none was set")]
    DoubtfulPrices { count: usize },
    #[error("so many changes are under way that no more is begun")]
    TooManyChanges,
    #[error("other keys are being made or unlocked")]
    KeyWork,
    #[error("the asset has no license")]
    NoLicense,
    #[error("the server is about to end")]
    Stopping,
    #[error("the worker of this process has not looked for work for {} seconds", silent.as_secs())]
    WorkerSilent { silent: Duration },
}

impl RequestError {
    /// The status, which says more here than the kind of an error does.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::NoCertificate { .. } => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken
            | Self::Json(_)
            | Self::NoIdempotencyKey
            | Self::IdempotencyKey
            | Self::IfMatch => StatusCode::BAD_REQUEST,
            Self::NoIfMatch => StatusCode::PRECONDITION_REQUIRED,
            Self::NoKey | Self::WrongKey | Self::PlatformKey => StatusCode::UNAUTHORIZED,
            Self::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Self::Scope { .. } | Self::Bound => StatusCode::FORBIDDEN,
            Self::OtherVersion { .. } => StatusCode::PRECONDITION_FAILED,
            Self::NoLicense | Self::DoubtfulPrice { .. } | Self::DoubtfulPrices { .. } => {
                StatusCode::CONFLICT
            }
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Fields | Self::InstanceNeeded | Self::NotSaved | Self::UnsentSecret => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Stopping | Self::TooManyChanges | Self::KeyWork | Self::WorkerSilent { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The seconds after which the client comes again, where that is known.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::TooManyTries).then_some(TRIES_AGAIN_AFTER)
    }

    /// Whether the answer asks for a key as a bearer token. Platforms show theirs in header fields of their own.
    pub(crate) fn asks_for_bearer(&self) -> bool {
        matches!(self, Self::NoKey | Self::WrongKey)
    }
}

impl Diagnose for RequestError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::NoRoute => Diagnosis::new(ErrorKind::NotFound, "no-route")
                .say("look at the list of addresses in the documentation"),
            Self::Method => Diagnosis::new(ErrorKind::Invalid, "method-not-allowed")
                .say("the header field `Allow` names the methods"),
            Self::HeadTooLarge { .. } => Diagnosis::new(ErrorKind::Invalid, "head-too-large"),
            Self::BodyTooLarge { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "body-too-large").say("split the request")
            }
            Self::BodyTooSlow { .. } => Diagnosis::new(ErrorKind::Unavailable, "body-too-slow"),
            Self::BodyBroken => Diagnosis::new(ErrorKind::Invalid, "body-broken"),
            Self::NotJson => Diagnosis::new(ErrorKind::Invalid, "content-type-unknown")
                .say("send JSON, with `Content-Type: application/json`"),
            Self::Json(_) => Diagnosis::new(ErrorKind::Invalid, "json-malformed"),
            Self::Fields => Diagnosis::new(ErrorKind::Invalid, "request-invalid")
                .say("correct the fields that `errors` names"),
            Self::NoKey => {
                Diagnosis::new(ErrorKind::Refused, "api-key-missing").say("send `Authorization: Bearer KEY`")
            }
            Self::WrongKey => Diagnosis::new(ErrorKind::Refused, "api-key-refused")
                .say("whoever operates the host makes a client and its key"),
            Self::PlatformKey => Diagnosis::new(ErrorKind::Refused, "platform-key-refused")
                .say("whoever operates the host registers a platform with the id and the key that the platform shows"),
            Self::TooManyTries => Diagnosis::new(ErrorKind::Refused, "api-keys-tried")
                .say("wait a minute, and send a key that opens something"),
            Self::Scope { .. } => Diagnosis::new(ErrorKind::Refused, "scope-missing")
                .say("whoever operates the host makes a client with that scope"),
            Self::InstanceNeeded => {
                Diagnosis::new(ErrorKind::Invalid, "instance-needed").say("name the instance")
            }
            Self::NoIdempotencyKey => Diagnosis::new(ErrorKind::Invalid, "idempotency-key-missing").say(
                "send `Idempotency-Key` with the basket's own id: what is sent again with it is bought once",
            ),
            Self::IdempotencyKey => Diagnosis::new(ErrorKind::Invalid, "idempotency-key-invalid"),
            Self::NoIfMatch => Diagnosis::new(ErrorKind::Invalid, "if-match-missing")
                .say("read the settings, and send their `ETag` as `If-Match`"),
            Self::IfMatch => Diagnosis::new(ErrorKind::Invalid, "if-match-invalid")
                .say("send the `ETag` of the settings as it was answered"),
            Self::NotSaved => Diagnosis::new(ErrorKind::Invalid, "settings-not-saved")
                .say("correct the fields that `errors` names"),
            Self::OtherVersion { .. } => Diagnosis::new(ErrorKind::Conflict, "settings-changed")
                .say("read the settings again, and repeat the change"),
            Self::UnsentSecret => {
                Diagnosis::new(ErrorKind::Refused, "secret-unsent").say("type the secret again in the same change")
            }
            Self::Bound => Diagnosis::new(ErrorKind::Refused, "client-bound")
                .say("whoever operates the host makes a client without `--instance`"),
            Self::NoCertificate { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "no-certificate").say("look at the list of certificates")
            }
            Self::DoubtfulPrice { .. } => Diagnosis::new(ErrorKind::Conflict, "price-doubtful")
                .say("correct it, or send `acceptDoubtful` if it is meant"),
            Self::DoubtfulPrices { .. } => Diagnosis::new(ErrorKind::Conflict, "prices-doubtful")
                .say("correct the prices that `errors` names, or send `acceptDoubtful` if all of them are meant"),
            Self::NoLicense => {
                Diagnosis::new(ErrorKind::Conflict, "no-license").say("read the asset for its state")
            }
            Self::TooManyChanges => Diagnosis::new(ErrorKind::Unavailable, "changes-too-many")
                .say("send the request again after `Retry-After`"),
            Self::KeyWork => Diagnosis::new(ErrorKind::Unavailable, "key-work-waits")
                .say("send the request again after `Retry-After`"),
            Self::Stopping => Diagnosis::new(ErrorKind::Unavailable, "server-stopping")
                .say("send the request again, on a new connection"),
            Self::WorkerSilent { .. } => Diagnosis::new(ErrorKind::Unavailable, "worker-silent")
                .say("look at the log of this process, and start it again"),
        }
    }
}

//! Plays a recording back to a plugin: the same calls, the recorded answers, and a list of what the plugin asked for
//! that was not recorded. Reaches no server, and records nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bss_keys::{Identity, Unusable};
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use rustls::RootCertStore;
use serde::Deserialize;
use uuid::Uuid;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::access_token_cache::AccessTokenCache;
use crate::bindings::instance_settings::{Draft, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn};
use crate::bindings::license_order::LicenseOrder;
use crate::call::CallContext;
use crate::call_event::CallListener;
use crate::error::FailedCall;
use crate::exchange_recording::{
    Recorded, RecordedExchange, RecordedOutcome, RecordedRequest, Recording, Scrubber, differences, failure,
};
use crate::outbound_https::{
    Answering, AuthorityError, Egress, OutboundHttps, PermittedAuthority, Transport,
};
use crate::plugin::Plugin;
use crate::plugin_call::{Answer, CallOutcome};
use crate::seen_exchanges::SeenExchanges;

/// The access token that a call finds where the recorded one found one.
const KEPT_ACCESS_TOKEN: &str = "removed-0";

/// Why a recording can't be played back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A call's arguments are not those of a function of the contract.
    #[error("the recorded arguments of call `{call}` can't be read")]
    Arguments {
        /// The call.
        call: Uuid,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The recorded name of a server is invalid.
    #[error("the recording of call `{call}` has an invalid server name")]
    Authority {
        /// The call.
        call: Uuid,
        /// Why not.
        #[source]
        source: AuthorityError,
    },
    /// The certificate that stands for the instance's could not be made.
    #[error("the certificate for the replayed calls can't be made")]
    Certificate(#[from] Unusable),
}

impl Diagnose for ReplayError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Arguments { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "recorded-arguments").advise(Advice::RecordAgain)
            }
            Self::Authority { .. } => Diagnosis::new(ErrorKind::Invalid, "recorded-server"),
            Self::Certificate(error) => error.diagnosis(),
        }
    }
}

/// A difference between what a plugin did and what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number of the recorded exchange in its call, from 1. `None` when the difference is about the call's
    /// outcome, or about a request that was not recorded.
    pub exchange: Option<u32>,
    /// The part that differs, such as `url` or `body /customer/country`.
    pub what: String,
    /// The recorded value; empty for none.
    pub recorded: String,
    /// The value now; empty for none.
    pub now: String,
}

/// A call that was played back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedCall {
    /// The recorded call's id.
    pub call: Uuid,
    /// The function that was called.
    pub function: String,
    /// How the call ended now.
    pub outcome: String,
    /// The last lines that the plugin wrote now, where it brought no answer.
    pub last_words: Vec<String>,
    /// How many exchanges were recorded.
    pub exchanges: usize,
    /// Differences from the recording; empty when the plugin did as recorded.
    pub differences: Vec<Difference>,
}

/// A function with its arguments, as [`crate::plugin_call::PluginCall`] writes them.
#[derive(Deserialize)]
#[serde(tag = "function", rename_all = "kebab-case")]
enum RecordedPluginCall {
    ConfigureInstance {
        draft: Draft,
    },
    FetchServices {
        instance: Instance,
        entity_tag: String,
    },
    CreateLicense {
        instance: Instance,
        order: LicenseOrder,
    },
    GetLicense {
        instance: Instance,
        name: LicenseName,
    },
    CancelLicense {
        instance: Instance,
        license_return: LicenseReturn,
    },
    CheckConnection {
        instance: Instance,
    },
}

impl RecordedPluginCall {
    /// The values that were saved with the instance that the call is for.
    fn saved_values(&self) -> Vec<String> {
        let saved = match self {
            Self::ConfigureInstance { draft } => &draft.saved,
            Self::FetchServices { instance, .. }
            | Self::CreateLicense { instance, .. }
            | Self::GetLicense { instance, .. }
            | Self::CancelLicense { instance, .. }
            | Self::CheckConnection { instance } => &instance.values,
        };
        saved.iter().map(|field| field.value.clone()).collect()
    }
}

/// Plays all calls of a recording back, one after the other, each as if it were alone.
///
/// # Errors
/// When a call of the recording can't be made again. What a plugin does otherwise is no error.
pub async fn replay(
    recording: &Recording,
    plugin: &Plugin,
    listener: &CallListener,
) -> Result<Vec<ReplayedCall>, ReplayError> {
    let identity = Arc::new(Identity::of_nobody()?);
    let mut replayed = Vec::with_capacity(recording.calls.len());
    for recorded in &recording.calls {
        let asked =
            RecordedPluginCall::deserialize(&recorded.asked).map_err(|source| ReplayError::Arguments {
                call: recorded.call,
                source,
            })?;
        let replay = Arc::new(Replay::new(recorded.exchanges.clone()));
        let context = context(recorded, &asked, &replay, &identity, listener)?;
        let outcome = ask(plugin, context, asked).await;
        let now = RecordedOutcome::from(&outcome);
        let mut differences = replay.differences();
        let before = recorded.said.as_ref();
        if before.is_some_and(|before| *before != now) {
            differences.push(Difference {
                exchange: None,
                what: "outcome".to_owned(),
                recorded: before.map(ToString::to_string).unwrap_or_default(),
                now: now.to_string(),
            });
        }
        replayed.push(ReplayedCall {
            call: recorded.call,
            function: recorded.asked["function"].as_str().unwrap_or_default().to_owned(),
            outcome: now.to_string(),
            last_words: outcome.last_words.lines().map(str::to_owned).collect(),
            exchanges: recorded.exchanges.len(),
            differences,
        });
    }
    Ok(replayed)
}

async fn ask(plugin: &Plugin, context: CallContext, asked: RecordedPluginCall) -> CallOutcome {
    fn call_outcome<T: Answer>(answer: Result<T, FailedCall>) -> CallOutcome {
        match answer {
            Ok(answer) => answer.call_outcome(),
            Err(error) => CallOutcome::from(&error),
        }
    }
    match asked {
        RecordedPluginCall::ConfigureInstance { draft } => {
            call_outcome(plugin.configure_instance(context, draft).await)
        }
        RecordedPluginCall::FetchServices { instance, entity_tag } => call_outcome(
            plugin
                .fetch_services(context, &instance, &entity_tag)
                .await
                .map(|answer| answer.map(|(outcome, _)| outcome)),
        ),
        RecordedPluginCall::CreateLicense { instance, order } => {
            call_outcome(plugin.create_license(context, &instance, &order).await)
        }
        RecordedPluginCall::GetLicense { instance, name } => {
            call_outcome(plugin.get_license(context, &instance, &name).await)
        }
        RecordedPluginCall::CancelLicense {
            instance,
            license_return,
        } => call_outcome(plugin.cancel_license(context, &instance, &license_return).await),
        RecordedPluginCall::CheckConnection { instance } => {
            call_outcome(plugin.check_connection(context, &instance).await)
        }
    }
}

fn context(
    recorded: &Recorded,
    asked: &RecordedPluginCall,
    replay: &Arc<Replay>,
    identity: &Arc<Identity>,
    listener: &CallListener,
) -> Result<CallContext, ReplayError> {
    let permitted = |name: &String| {
        Ok(PermittedAuthority {
            authority: name.parse()?,
            client_certificate: false,
            secret_headers: Vec::new(),
        })
    };
    let authorities: Result<Vec<_>, AuthorityError> = recorded.authorities.iter().map(permitted).collect();
    let egress = Egress {
        instance_id: recorded.call.to_string(),
        settings_version: 0,
        generation: 0,
        authorities: authorities.map_err(|source| ReplayError::Authority {
            call: recorded.call,
            source,
        })?,
        identity: recorded.certificate.then(|| identity.clone()),
        saved_values: asked.saved_values(),
        trust_roots: Arc::new(RootCertStore::empty()),
        allowed_networks: Vec::new(),
    };
    Ok(CallContext {
        egress: Arc::new(egress),
        options: recorded.options.clone(),
        outbound: OutboundHttps::through(replay.clone()),
        access_tokens: match recorded.access_token_kept {
            true => AccessTokenCache::holding(KEPT_ACCESS_TOKEN),
            false => AccessTokenCache::default(),
        },
        listener: listener.clone(),
        seen: SeenExchanges::default(),
    })
}

/// Answers one call's requests in place of the network.
struct Replay(Mutex<Answers>);

struct Answers {
    /// The recorded exchanges that the plugin has not asked for yet.
    left: Vec<RecordedExchange>,
    scrubber: Scrubber,
    differences: Vec<Difference>,
}

impl Replay {
    fn new(exchanges: Vec<RecordedExchange>) -> Self {
        Self(Mutex::new(Answers {
            left: exchanges,
            scrubber: Scrubber::default(),
            differences: Vec::new(),
        }))
    }

    /// All differences, among them the recorded requests that were not made.
    fn differences(&self) -> Vec<Difference> {
        let mut answers = self.lock();
        let left = std::mem::take(&mut answers.left);
        answers.differences.extend(left.iter().map(|exchange| Difference {
            exchange: Some(exchange.number),
            what: "request".to_owned(),
            recorded: format!("{} {}", exchange.request.method, exchange.request.url),
            now: String::new(),
        }));
        std::mem::take(&mut answers.differences)
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Replay {
    fn answer<'a>(
        &'a self,
        _: &'a Egress,
        _: &'a PermittedAuthority,
        request: http::Request<Bytes>,
    ) -> Answering<'a> {
        let mut answers = self.lock();
        let asked = answers.scrubber.request(&request);
        Box::pin(std::future::ready(answers.answer(&asked)))
    }

    fn denied(&self, request: &http::Request<WasiBody>) {
        let mut answers = self.lock();
        let asked = answers.scrubber.denied(request.method(), request.uri());
        // The policy's answer stands; this one only notes differences.
        let _ = answers.answer(&asked);
    }
}

impl Answers {
    fn answer(&mut self, asked: &RecordedRequest) -> Result<http::Response<WasiBody>, Error> {
        let Some(position) = self.position(asked) else {
            self.differences.push(Difference {
                exchange: None,
                what: "request".to_owned(),
                recorded: String::new(),
                now: format!("{} {}", asked.method, asked.url),
            });
            return Err(Error::InternalError(Some(
                "the recording has no answer to this request".to_owned(),
            )));
        };
        let exchange = self.left.remove(position);
        if position > 0 {
            self.differences.push(Difference {
                exchange: Some(exchange.number),
                what: "order".to_owned(),
                recorded: format!("after {position} other requests"),
                now: "before those requests".to_owned(),
            });
        }
        let differs = differences(&exchange.request, asked).into_iter();
        self.differences
            .extend(differs.map(|(what, recorded, now)| Difference {
                exchange: Some(exchange.number),
                what,
                recorded,
                now,
            }));
        response(&exchange)
    }

    /// The exchange that a request is taken for: the next one of its address; else the next one, if only the query
    /// differs.
    fn position(&self, asked: &RecordedRequest) -> Option<usize> {
        let same = |exchange: &RecordedExchange| {
            exchange.request.method == asked.method && exchange.request.url == asked.url
        };
        let path = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
        let alike = |exchange: &RecordedExchange| {
            exchange.request.method == asked.method && path(&exchange.request.url) == path(&asked.url)
        };
        self.left
            .iter()
            .position(same)
            .or_else(|| self.left.first().is_some_and(alike).then_some(0))
    }
}

fn response(exchange: &RecordedExchange) -> Result<http::Response<WasiBody>, Error> {
    let failure = exchange.failure.as_deref().map(failure::of_word);
    let Some(recorded) = &exchange.response else {
        return Err(failure.unwrap_or(Error::ConnectionTerminated));
    };
    let whole = Full::new(recorded.body.bytes()).map_err(|never| match never {});
    let body = match failure {
        None => whole.boxed_unsync(),
        Some(failure) => whole
            .with_trailers(std::future::ready(Some(Err(failure))))
            .boxed_unsync(),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(recorded.status).map_err(|_| Error::HttpProtocolError)?;
    for (name, value) in &recorded.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

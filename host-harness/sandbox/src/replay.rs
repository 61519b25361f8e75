//! Plays a recording back to a plugin: the same calls, the recorded answers, and a list of what the plugin asked for and
//! answered that was not recorded. Reaches no server, and records nothing.
//!
//! A call is played by a clock that tells the time of the recording. One that comes out otherwise is played again a little
//! later: what differs from that as well is made from the time of day or by chance, and says nothing of the plugin. A purchase
//! is played once more with another client transaction id, because a plugin that sends the same for every purchase has sent
//! what was recorded.

mod another_purchase;
mod answers;
mod difference;
mod sent;

use std::collections::BTreeMap;
use std::sync::Arc;

use bss_keys::{Identity, Unusable};
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind};
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::access_token_cache::AccessTokenCache;
use crate::bindings::instance_settings::{Draft, Instance};
use crate::bindings::license_lifecycle::{LicenseName, LicenseReturn};
use crate::bindings::license_order::LicenseOrder;
use crate::bindings::services_definition::Product;
use crate::call::CallContext;
use crate::call_clock::CallClock;
use crate::call_event::CallListener;
use crate::error::FailedCall;
use crate::exchange_recording::{
    HarmlessNames, Places, Recorded, RecordedOutcome, Recording, Scrubber, answer_differences,
};
use crate::outbound_https::{AuthorityError, Egress, OutboundHttps, PermittedAuthority};
use crate::plugin::Plugin;
use crate::plugin_call::{Answer, CallOutcome, PluginAnswer};
use crate::seen_exchanges::SeenExchanges;
use another_purchase::OtherPurchase;
use answers::{Matching, Replay};
use sent::Sent;

pub use difference::Difference;

/// How much later a call is played again: more than a minute, so that a time that is told to the minute moves as well.
const LATER_MS: i64 = 61_000;

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
    let player = Player {
        plugin,
        identity: Arc::new(Identity::of_nobody()?),
        // A file of an older program does not say what was harmless.
        described: Arc::new(described(plugin).await),
    };
    let mut replayed = Vec::with_capacity(recording.calls.len());
    for recorded in &recording.calls {
        replayed.push(player.replay(recorded, listener).await?);
    }
    Ok(replayed)
}

/// What the plugin itself says is harmless; nothing where it does not say.
async fn described(plugin: &Plugin) -> HarmlessNames {
    let context = CallContext {
        egress: Arc::new(Egress::of_nobody(&Uuid::nil().to_string())),
        options: BTreeMap::new(),
        outbound: OutboundHttps::default(),
        access_tokens: AccessTokenCache::default(),
        listener: deaf(),
        seen: SeenExchanges::default(),
    };
    let described = plugin.describe(context).await;
    described.map(HarmlessNames::from).unwrap_or_default()
}

/// A listener for the plays that nobody asked for.
fn deaf() -> CallListener {
    Arc::new(|_| ())
}

/// What the calls of a replay share.
struct Player<'a> {
    plugin: &'a Plugin,
    identity: Arc<Identity>,
    described: Arc<HarmlessNames>,
}

/// What a plugin did when a call was played.
struct Played {
    outcome: CallOutcome,
    answer: Option<Value>,
    /// The requests, as the plugin sent them.
    sent: Vec<Sent>,
    differences: Vec<Difference>,
}

impl Player<'_> {
    async fn replay(
        &self,
        recorded: &Recorded,
        listener: &CallListener,
    ) -> Result<ReplayedCall, ReplayError> {
        let exactly = Matching::Exactly;
        let first = self
            .play(recorded, recorded.begun_at_ms, exactly, listener)
            .await?;
        let mut differences = first.differences.clone();
        let other = OtherPurchase::of(&recorded.asked, &first.sent);
        if !differences.is_empty() || other.is_some() {
            let later_ms = recorded.begun_at_ms.saturating_add(LATER_MS);
            let later = self.play(recorded, later_ms, exactly, &deaf()).await?;
            difference::keep_what_the_plugin_makes(&mut differences, &later.differences, recorded);
            if let Some(other) = other {
                let recorded = other.in_place_of(recorded);
                let roughly = Matching::Roughly;
                let played = self
                    .play(&recorded, recorded.begun_at_ms, roughly, &deaf())
                    .await?;
                differences.extend(other.differences([&first.sent, &later.sent, &played.sent]));
                let answers = [&first.answer, &later.answer, &played.answer];
                differences.extend(other.answer_differences(answers.map(Option::as_ref)));
            }
        }
        Ok(ReplayedCall {
            call: recorded.call,
            function: recorded.asked["function"].as_str().unwrap_or_default().to_owned(),
            outcome: RecordedOutcome::from(&first.outcome).to_string(),
            last_words: first.outcome.last_words.lines().map(str::to_owned).collect(),
            exchanges: recorded.exchanges.len(),
            differences,
        })
    }

    /// Makes a call again, at that time.
    async fn play(
        &self,
        recorded: &Recorded,
        now_ms: i64,
        matching: Matching,
        listener: &CallListener,
    ) -> Result<Played, ReplayError> {
        let asked =
            RecordedPluginCall::deserialize(&recorded.asked).map_err(|source| ReplayError::Arguments {
                call: recorded.call,
                source,
            })?;
        let harmless = match &recorded.harmless {
            Some(harmless) => Arc::new(harmless.clone()),
            None => Arc::clone(&self.described),
        };
        let mut scrubber = Scrubber::new(Places::default(), harmless);
        scrubber.tell(&recorded.asked);
        for option in recorded.options.values() {
            scrubber.tell(&option.as_str().into());
        }
        let replay = Arc::new(Replay::new(recorded.exchanges.clone(), scrubber, matching));
        let context = context(recorded, &asked, &replay, &self.identity, listener)?;
        let plugin = self.plugin.clone().going_by(CallClock::at(now_ms));
        let (outcome, answer) = ask(&plugin, context, asked).await;
        let (sent, mut differences) = replay.end();
        let now = RecordedOutcome::from(&outcome);
        match &recorded.said {
            Some(before) if *before != now => {
                differences.push(Difference::of_call(
                    "outcome",
                    &before.to_string(),
                    &now.to_string(),
                ));
            }
            // Of two answers of different kinds, every part differs.
            Some(_) => {
                let answers = recorded.answer.as_ref().zip(answer.as_ref());
                let found = answers.map(|(recorded, now)| answer_differences(recorded, now));
                let found = found.into_iter().flatten();
                let found = found.map(|(what, before, now)| Difference::of_call(&what, &before, &now));
                differences.extend(found);
            }
            None => {}
        }
        Ok(Played {
            outcome,
            answer,
            sent,
            differences,
        })
    }
}

async fn ask(
    plugin: &Plugin,
    context: CallContext,
    asked: RecordedPluginCall,
) -> (CallOutcome, Option<Value>) {
    fn said<T: Answer>(answer: Result<T, FailedCall>, products: &[Product]) -> (CallOutcome, Option<Value>) {
        match answer {
            Ok(answer) => {
                let said = PluginAnswer::of(&answer, || products);
                (answer.call_outcome(), Some(said.recorded()))
            }
            Err(error) => (CallOutcome::from(&error), None),
        }
    }
    match asked {
        RecordedPluginCall::ConfigureInstance { draft } => {
            said(plugin.configure_instance(context, draft).await, &[])
        }
        RecordedPluginCall::FetchServices { instance, entity_tag } => {
            let answer = plugin.fetch_services(context, &instance, &entity_tag).await;
            let mut handed_over = Vec::new();
            let answer = answer.map(|answer| {
                answer.map(|(outcome, products)| {
                    handed_over = products;
                    outcome
                })
            });
            said(answer, &handed_over)
        }
        RecordedPluginCall::CreateLicense { instance, order } => {
            said(plugin.create_license(context, &instance, &order).await, &[])
        }
        RecordedPluginCall::GetLicense { instance, name } => {
            said(plugin.get_license(context, &instance, &name).await, &[])
        }
        RecordedPluginCall::CancelLicense {
            instance,
            license_return,
        } => said(
            plugin.cancel_license(context, &instance, &license_return).await,
            &[],
        ),
        RecordedPluginCall::CheckConnection { instance } => {
            said(plugin.check_connection(context, &instance).await, &[])
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
        proxies: bss_model::ProxyRules::default(),
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

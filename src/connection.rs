//! Checks step by step whether Microsoft can be reached with an instance's settings.
//!
//! Two requests to the license API are enough: one without an access token, whose failure says how far the
//! connection comes, and one for a single offer.

use crate::cis::Cis;
use crate::entra::Entra;
use crate::instance_settings::{Instance, Settings};
use crate::platform::{Platform, advice};
use bss_plugin::failures::{Problem, ReadFailure};
use bss_plugin::http::SendFailure;
use bss_plugin::{Level, Step, StepResult};

/// The steps in their order, as (id, name).
const STEPS: [(&str, &str); 6] = [
    ("name-resolved", "The name of the server is resolved"),
    ("tls-established", "A TLS connection is established"),
    ("server-trusted", "The certificate of the server is trusted"),
    (
        "client-certificate-accepted",
        "The certificate of the instance is accepted",
    ),
    ("access-token-granted", "An access token is granted"),
    ("catalog-readable", "The catalog can be read"),
];
const CONNECTION_STEPS: usize = 4;
const ACCESS_TOKEN_STEP: usize = 4;

fn word(result: &StepResult) -> &'static str {
    match result {
        StepResult::Passed => "passed",
        StepResult::Failed(_) => "failed",
        StepResult::Skipped => "skipped",
    }
}

/// Goes through the steps in order and stops trying at the first that fails. Buys nothing.
pub fn check_connection(platform: &impl Platform, instance: &Instance) -> Vec<Step> {
    let mut steps = Steps {
        ended: Vec::new(),
        since_ms: platform.now_ms(),
    };
    let failed = check(platform, instance, &mut steps).err();
    if let Some(problem) = failed {
        steps.end(platform, StepResult::Failed(problem));
    }
    steps.all()
}

/// Runs the checks and ends the steps that pass. An error is the problem of the step after those.
fn check<P: Platform>(platform: &P, instance: &Instance, steps: &mut Steps) -> Result<(), Problem> {
    let settings = Settings::parse(instance)?;
    if let Err(failure) = Cis::probe(platform, &settings) {
        steps.pass(platform, step_of(&failure));
        return Err(Problem::new(
            failure.code(),
            format!("The request to Service URL failed: {failure}."),
            advice(&failure),
        ));
    }
    steps.pass(platform, CONNECTION_STEPS);

    Entra::new(platform, &settings)
        .and_then(|entra| entra.access_token())
        .map_err(into_problem)?;
    steps.pass(platform, ACCESS_TOKEN_STEP + 1);

    Cis::new(platform, &settings)
        .and_then(|cis| cis.offers("", 1, ""))
        .map_err(into_problem)?;
    steps.pass(platform, STEPS.len());
    Ok(())
}

fn into_problem(failure: ReadFailure) -> Problem {
    failure.problem().clone()
}

/// The step at which a request failed.
fn step_of(failure: &SendFailure) -> usize {
    match failure {
        SendFailure::NameNotResolved
        | SendFailure::AddressProhibited
        | SendFailure::Denied
        | SendFailure::InvalidRequest(_) => 0,
        SendFailure::Unreachable
        | SendFailure::ConnectTimeout
        | SendFailure::TooManyConnections
        | SendFailure::TlsFailed => 1,
        SendFailure::ServerNotTrusted => 2,
        SendFailure::TlsAlert(_) if !failure.is_client_certificate_refused() => 1,
        // In TLS 1.3 the server judges our certificate after the handshake is over for us, so whatever
        // ends the connection then has to do with it as far as we can tell.
        SendFailure::TlsAlert(_)
        | SendFailure::BrokenOff(_)
        | SendFailure::ResponseTimeout
        | SendFailure::ResponseTooLarge
        | SendFailure::ResponseUnreadable(_) => 3,
    }
}

struct Steps {
    ended: Vec<(StepResult, u64)>,
    since_ms: i64,
}

impl Steps {
    /// Ends the first `count` steps as passed, as far as they have not ended before.
    fn pass(&mut self, platform: &impl Platform, count: usize) {
        while self.ended.len() + 1 < count {
            self.push(platform, StepResult::Passed, 0);
        }
        if self.ended.len() < count {
            self.end(platform, StepResult::Passed);
        }
    }

    fn end(&mut self, platform: &impl Platform, result: StepResult) {
        let now_ms = platform.now_ms();
        let took_ms = u64::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or_default();
        self.since_ms = now_ms;
        self.push(platform, result, took_ms);
    }

    /// Adds the next step, and says so while the check goes on.
    fn push(&mut self, platform: &impl Platform, result: StepResult, took_ms: u64) {
        if let Some((id, name)) = STEPS.get(self.ended.len()) {
            platform.log(Level::Info, id, &format!("{name}: {}", word(&result)));
        }
        self.ended.push((result, took_ms));
        let count = |steps: usize| u64::try_from(steps).unwrap_or(u64::MAX);
        platform.report_progress(count(self.ended.len()), Some(count(STEPS.len())), "steps");
    }

    fn all(self) -> Vec<Step> {
        let rest = std::iter::repeat((StepResult::Skipped, 0));
        STEPS
            .into_iter()
            .zip(self.ended.into_iter().chain(rest))
            .map(|((id, name), (result, took_ms))| Step {
                id: id.to_owned(),
                name: name.to_owned(),
                result,
                // The steps of one request share its time: all of it stands at the last of them that passed, or at the one
                // that failed if none did.
                took_ms,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;

//! Faults of the simulator by name, as a rehearsal orders them.

use std::str::FromStr;
use std::time::Duration;

use bss_simulator::{ConnectionFault, Fault, Faults, Listener, Operation, Repeat, When};

/// A fault for the coming requests of an operation, or for the coming connections of a listener.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedFault {
    place: Place,
    repeat: Repeat,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Request(Operation, Fault),
    Connection(Listener, ConnectionFault),
}

/// The operations, each with its name.
const OPERATIONS: &[(&str, Operation)] = &[
    ("access-token", Operation::AccessToken),
    ("catalog", Operation::Catalog),
    ("purchase", Operation::Purchase),
    ("look-up", Operation::LookUp),
    ("return", Operation::Return),
];

/// The listeners, each with its name.
const LISTENERS: &[(&str, Listener)] = &[("login", Listener::Login), ("service", Listener::Service)];

/// A kind of fault: its name, whose capital letters stand for values, and what makes it of these.
type Kind<F> = (&'static str, fn(&str) -> Option<F>);

/// The faults of requests.
const REQUEST_FAULTS: &[Kind<Fault>] = &[
    ("close-before", |_| Some(Fault::Close(When::BeforeActing))),
    ("close-after", |_| Some(Fault::Close(When::AfterActing))),
    ("reset-before", |_| Some(Fault::Reset(When::BeforeActing))),
    ("reset-after", |_| Some(Fault::Reset(When::AfterActing))),
    ("refuse-stream", |_| Some(Fault::RefuseStream)),
    ("cut-answer", |_| Some(Fault::CutAnswer)),
    ("delay-SECONDS", |seconds| {
        Some(Fault::DelayAnswer(Duration::from_secs(seconds.parse().ok()?)))
    }),
    ("html-STATUS", |status| {
        Some(Fault::Html(status.parse().ok()?, When::BeforeActing))
    }),
    ("not-json", |_| Some(Fault::NotJson(When::AfterActing))),
    ("throttled", |_| Some(refusal(429, "Throttled"))),
    ("unavailable", |_| Some(refusal(503, "Unavailable"))),
    ("refusal-STATUS-CODE", |values| {
        let (status, code) = values.split_once('-')?;
        Some(refusal(status.parse().ok()?, code))
    }),
    ("huge-answer", |_| Some(Fault::HugeAnswer(HUGE_BYTES))),
    ("repeat-continuation", |_| Some(Fault::RepeatContinuation)),
];

/// The faults of connections.
const CONNECTION_FAULTS: &[Kind<ConnectionFault>] = &[
    ("close-before-handshake", |_| {
        Some(ConnectionFault::CloseBeforeHandshake)
    }),
    ("close-after-handshake", |_| {
        Some(ConnectionFault::CloseAfterHandshake)
    }),
    ("silent", |_| Some(ConnectionFault::Silent)),
];

/// The size of an answer that is too long for any reader.
const HUGE_BYTES: u64 = 1 << 30;

fn refusal(status: u16, code: &str) -> Fault {
    Fault::Refusal {
        status,
        code: code.to_owned(),
        retry_after: None,
    }
}

/// The fault of a name.
fn of_name<F>(kinds: &[Kind<F>], name: &str) -> Option<F> {
    kinds.iter().find_map(|(pattern, make)| {
        let fixed = pattern.trim_end_matches(|letter: char| letter.is_ascii_uppercase() || letter == '-');
        let values = name.strip_prefix(fixed)?;
        match fixed.len() == pattern.len() {
            true => values.is_empty().then(|| make(values))?,
            false => make(values.strip_prefix('-')?),
        }
    })
}

/// The names of all faults, as help and refusals list them.
pub(super) fn names() -> String {
    fn joined<T>(named: &[(&str, T)]) -> String {
        named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
    format!(
        "for {}: {}; for {}: {}",
        joined(OPERATIONS),
        joined(REQUEST_FAULTS),
        joined(LISTENERS),
        joined(CONNECTION_FAULTS)
    )
}

impl NamedFault {
    /// Orders the fault.
    pub(super) fn order(&self, faults: &Faults) {
        match &self.place {
            Place::Request(operation, fault) => faults.order(*operation, fault.clone(), self.repeat),
            Place::Connection(listener, fault) => faults.order_connection(*listener, *fault, self.repeat),
        }
    }
}

impl FromStr for NamedFault {
    type Err = String;

    /// Reads `OPERATION=FAULT`, with `:TIMES` or `:always` behind it; once without.
    fn from_str(text: &str) -> Result<Self, String> {
        let (place, fault) = text
            .split_once('=')
            .ok_or("expected `OPERATION=FAULT`, as in `purchase=cut-answer:3`")?;
        let (fault, repeat) = match fault.split_once(':') {
            None => (fault, Repeat::Times(1)),
            Some((fault, "always")) => (fault, Repeat::Always),
            Some((fault, times)) => {
                let times = times
                    .parse()
                    .map_err(|_| format!("`{times}` is no number of times"))?;
                (fault, Repeat::Times(times))
            }
        };
        let unknown = || format!("there is no fault `{fault}` of `{place}`; there are, {}", names());
        let operation = OPERATIONS.iter().find(|(name, _)| *name == place);
        let listener = LISTENERS.iter().find(|(name, _)| *name == place);
        let place = match (operation, listener) {
            (Some((_, operation)), _) => {
                Place::Request(*operation, of_name(REQUEST_FAULTS, fault).ok_or_else(unknown)?)
            }
            (_, Some((_, listener))) => {
                Place::Connection(*listener, of_name(CONNECTION_FAULTS, fault).ok_or_else(unknown)?)
            }
            _ => return Err(unknown()),
        };
        Ok(Self { place, repeat })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_name_and_a_number_of_times() {
        let cut = |repeat| NamedFault {
            place: Place::Request(Operation::Purchase, Fault::CutAnswer),
            repeat,
        };
        assert_eq!("purchase=cut-answer".parse(), Ok(cut(Repeat::Times(1))));
        assert_eq!("purchase=cut-answer:3".parse(), Ok(cut(Repeat::Times(3))));
        assert_eq!("purchase=cut-answer:always".parse(), Ok(cut(Repeat::Always)));
        let refused: NamedFault = "purchase=refusal-403-CountryNotAllowed".parse().unwrap();
        assert!(matches!(
            refused.place,
            Place::Request(_, Fault::Refusal { status: 403, .. })
        ));
    }

    #[test]
    fn what_is_no_fault_is_refused_with_those_that_there_are() {
        for text in [
            "purchase",
            "purchase=silent",
            "service=cut-answer",
            "refund=cut-answer",
            "catalog=delay-x",
            "purchase=cut-answer:x",
            "purchase=cut-answer-2",
            "purchase=html",
            "purchase=html503",
        ] {
            assert!(text.parse::<NamedFault>().is_err(), "{text}");
        }
        let refused = "purchase=cut".parse::<NamedFault>().unwrap_err();
        for name in [
            "access-token, catalog",
            "cut-answer",
            "refusal-STATUS-CODE",
            "login, service: ",
            "silent",
        ] {
            assert!(refused.contains(name), "{refused}");
        }
    }
}

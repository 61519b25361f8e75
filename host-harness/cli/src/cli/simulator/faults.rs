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

/// The names of all faults, as help and refusals list them.
pub(super) const NAMES: &str = "for access-token, catalog, purchase, look-up, return: close-before, close-after, \
    reset-before, reset-after, refuse-stream, cut-answer, delay-SECONDS, html-STATUS, not-json, throttled, unavailable, \
    refusal-STATUS-CODE, huge-answer, repeat-continuation; for login, service: close-before-handshake, close-after-handshake, silent";

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
        let unknown = || format!("there is no fault `{fault}` of `{place}`; there are, {NAMES}");
        let operation = OPERATIONS.iter().find(|(name, _)| *name == place);
        let listener = LISTENERS.iter().find(|(name, _)| *name == place);
        let place = match (operation, listener) {
            (Some((_, operation)), _) => {
                Place::Request(*operation, request_fault(fault).ok_or_else(unknown)?)
            }
            (_, Some((_, listener))) => {
                Place::Connection(*listener, connection_fault(fault).ok_or_else(unknown)?)
            }
            _ => return Err(unknown()),
        };
        Ok(Self { place, repeat })
    }
}

/// The size of an answer that is too long for any reader.
const HUGE_BYTES: u64 = 1 << 30;

fn request_fault(name: &str) -> Option<Fault> {
    let refusal = |status, code: &str| Fault::Refusal {
        status,
        code: code.to_owned(),
        retry_after: None,
    };
    Some(match name {
        "close-before" => Fault::Close(When::BeforeActing),
        "close-after" => Fault::Close(When::AfterActing),
        "reset-before" => Fault::Reset(When::BeforeActing),
        "reset-after" => Fault::Reset(When::AfterActing),
        "refuse-stream" => Fault::RefuseStream,
        "cut-answer" => Fault::CutAnswer,
        "not-json" => Fault::NotJson(When::AfterActing),
        "throttled" => refusal(429, "Throttled"),
        "unavailable" => refusal(503, "Unavailable"),
        "huge-answer" => Fault::HugeAnswer(HUGE_BYTES),
        "repeat-continuation" => Fault::RepeatContinuation,
        _ => match name.split_once('-')? {
            ("delay", seconds) => Fault::DelayAnswer(Duration::from_secs(seconds.parse().ok()?)),
            ("html", status) => Fault::Html(status.parse().ok()?, When::BeforeActing),
            ("refusal", rest) => {
                let (status, code) = rest.split_once('-')?;
                refusal(status.parse().ok()?, code)
            }
            _ => return None,
        },
    })
}

fn connection_fault(name: &str) -> Option<ConnectionFault> {
    Some(match name {
        "close-before-handshake" => ConnectionFault::CloseBeforeHandshake,
        "close-after-handshake" => ConnectionFault::CloseAfterHandshake,
        "silent" => ConnectionFault::Silent,
        _ => return None,
    })
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
        ] {
            assert!(text.parse::<NamedFault>().is_err(), "{text}");
        }
        let refused = "purchase=cut".parse::<NamedFault>().unwrap_err();
        assert!(refused.contains("cut-answer"), "{refused}");
    }
}

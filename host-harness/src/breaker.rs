//! Leaving a vendor alone: one breaker for each instance, so that one vendor's trouble does not stop another's
//! instance.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bss_model::Problem;
use bss_model::purchase_rule::VendorSignal;
use uuid::Uuid;

/// Attempts in a row without an answer after which the others wait. Fewer would let one lost connection
/// hold up a queue; more would only add to the load of a vendor that is down.
const SILENT_MAX: u32 = 5;

/// The first rest of a silent vendor; it doubles with every probe that brings no answer either.
const FIRST_REST: Duration = Duration::from_secs(5);

/// The first rest of an instance that is to be corrected; it doubles with every probe that says the same. What is wrong may be
/// mended at the vendor, which nobody tells.
const FIRST_REST_TO_CORRECT: Duration = Duration::from_secs(30);

/// The longest rest. A vendor that is back is noticed within five minutes, and one small request in five
/// minutes is no load.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// An attempt that has ended.
pub(crate) struct Ended {
    pub(crate) instance_id: Uuid,
    pub(crate) asset_id: Uuid,
    /// Whether nothing is left to do for the line or the return.
    pub(crate) settled: bool,
    pub(crate) signal: VendorSignal,
    /// Whether the vendor answered a purchase, and did not only answer a look-up or a return.
    pub(crate) purchase_answered: bool,
    /// Why the vendor takes nothing from the instance. `None`: it does, or did not say.
    pub(crate) problem: Option<Problem>,
    /// The version of the instance's settings that the attempt was made with. `None`: not known.
    pub(crate) settings_version: Option<i64>,
}

/// What is new about an instance, and how long it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The vendor takes nothing from the instance any more.
    Held(Duration),
    /// The vendor takes nothing from the instance, as before.
    StillHeld(Duration),
    /// The vendor does not answer.
    Silent(Duration),
    /// The vendor has answered.
    Answered,
    /// Nothing.
    Nothing,
}

#[derive(Debug, Default)]
struct Breaker {
    silent: u32,
    /// The last rest because the instance is to be corrected. `None`: it was not to be since it was answered.
    to_correct: Option<Duration>,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    /// The length that this rest was given, doubled for the next one. `None` when the vendor named the time itself.
    length: Option<Duration>,
    probing: bool,
}

impl Rest {
    fn of(length: Duration, now: Instant) -> Self {
        Self {
            until: now + length,
            length: Some(length),
            probing: false,
        }
    }
}

/// The breakers of all instances that had trouble. An instance that is not here has none.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    breakers: HashMap<Uuid, Breaker>,
}

impl Breakers {
    /// Notes what an attempt that has ended says about the vendor.
    pub(crate) fn note(&mut self, instance: Uuid, signal: VendorSignal, now: Instant) -> Noted {
        let breaker = self.breakers.entry(instance).or_default();
        match signal {
            VendorSignal::Answered => {
                self.breakers.remove(&instance);
                Noted::Answered
            }
            VendorSignal::LeaveAlone(length) => {
                let until = now + length.min(LONGEST_REST);
                let known = breaker.rest.as_ref().map(|rest| rest.until);
                breaker.rest = Some(Rest {
                    until: known.map_or(until, |known| known.max(until)),
                    length: None,
                    probing: false,
                });
                Noted::Nothing
            }
            VendorSignal::Misconfigured => {
                // Attempts that were under way when the rest began say nothing new; the one that is made after each rest does.
                if breaker.rest.as_ref().is_some_and(|rest| !rest.probing) {
                    return Noted::Nothing;
                }
                let last = breaker.to_correct;
                let length = last.map_or(FIRST_REST_TO_CORRECT, |last| (last * 2).min(LONGEST_REST));
                breaker.to_correct = Some(length);
                breaker.rest = Some(Rest::of(length, now));
                match last {
                    None => Noted::Held(length),
                    Some(_) => Noted::StillHeld(length),
                }
            }
            VendorSignal::Silent => {
                breaker.silent = breaker.silent.saturating_add(1);
                // Attempts that were under way when the rest began say nothing new. A probe does, however few were
                // silent before the vendor asked for the rest: without another rest, the instance would be left alone
                // for good.
                let was_probed = breaker.rest.as_ref().is_some_and(|rest| rest.probing);
                let is_too_much = breaker.rest.is_none() && breaker.silent >= SILENT_MAX;
                if !was_probed && !is_too_much {
                    return Noted::Nothing;
                }
                let last = breaker.rest.as_ref().and_then(|rest| rest.length);
                let length = last.map_or(FIRST_REST, |last| (last * 2).min(LONGEST_REST));
                breaker.rest = Some(Rest::of(length, now));
                Noted::Silent(length)
            }
        }
    }

    /// Forgets the trouble of an instance whose settings were saved anew.
    pub(crate) fn forget(&mut self, instance: Uuid) {
        self.breakers.remove(&instance);
    }

    /// Instances for which nothing, or only a probe, may be attempted.
    pub(crate) fn resting(&self) -> Vec<Uuid> {
        self.rests().map(|(instance, _)| instance).collect()
    }

    /// Instances whose rest is over: one attempt is to find out whether the vendor is back.
    pub(crate) fn to_probe(&self, now: Instant) -> Vec<Uuid> {
        self.rests()
            .filter(|(_, rest)| !rest.probing && rest.until <= now)
            .map(|(instance, _)| instance)
            .collect()
    }

    /// Notes that the probe of an instance has begun.
    pub(crate) fn probing(&mut self, instance: Uuid) {
        if let Some(rest) = self
            .breakers
            .get_mut(&instance)
            .and_then(|breaker| breaker.rest.as_mut())
        {
            rest.probing = true;
        }
    }

    /// The instances that rest for longer than that from now.
    pub(crate) fn resting_beyond(&self, wait: Duration, now: Instant) -> impl Iterator<Item = Uuid> {
        self.rests()
            .filter(move |(_, rest)| rest.until > now + wait)
            .map(|(instance, _)| instance)
    }

    /// The time at which the next rest is over. `None`: no instance rests, or each that does is being probed.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.rests()
            .filter(|(_, rest)| !rest.probing)
            .map(|(_, rest)| rest.until)
            .min()
    }

    fn rests(&self) -> impl Iterator<Item = (Uuid, &Rest)> {
        self.breakers
            .iter()
            .filter_map(|(instance, breaker)| Some((*instance, breaker.rest.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn broken(now: Instant) -> Breakers {
        let mut breakers = Breakers::default();
        for _ in 0..SILENT_MAX {
            breakers.note(INSTANCE, VendorSignal::Silent, now);
        }
        breakers
    }

    #[test]
    fn a_vendor_that_asked_to_be_left_alone_and_is_silent_then_is_asked_again_later() {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        let asked_for = Duration::from_secs(30);
        breakers.note(INSTANCE, VendorSignal::LeaveAlone(asked_for), now);
        let over = now + asked_for;
        assert_eq!(breakers.to_probe(over), [INSTANCE]);
        breakers.probing(INSTANCE);
        breakers.note(INSTANCE, VendorSignal::Silent, over);
        assert_eq!(breakers.resting(), [INSTANCE]);
        assert!(breakers.to_probe(over).is_empty());
        assert_eq!(breakers.to_probe(over + FIRST_REST), [INSTANCE]);
    }

    #[test]
    fn an_instance_that_is_to_be_corrected_rests_at_once_until_its_settings_are_new() {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        let noted = breakers.note(INSTANCE, VendorSignal::Misconfigured, now);
        assert_eq!(noted, Noted::Held(FIRST_REST_TO_CORRECT), "one alarm");
        assert_eq!(
            breakers.note(INSTANCE, VendorSignal::Misconfigured, now),
            Noted::Nothing
        );
        assert_eq!(breakers.resting(), [INSTANCE]);
        let mut over = now;
        let mut expected = FIRST_REST_TO_CORRECT;
        for _ in 0..10 {
            assert!(breakers.to_probe(over).is_empty(), "it rests");
            over += expected;
            assert_eq!(breakers.to_probe(over), [INSTANCE]);
            breakers.probing(INSTANCE);
            expected = (expected * 2).min(LONGEST_REST);
            let noted = breakers.note(INSTANCE, VendorSignal::Misconfigured, over);
            assert_eq!(noted, Noted::StillHeld(expected));
        }
        assert_eq!(expected, LONGEST_REST);
        breakers.note(OTHER, VendorSignal::Misconfigured, over);
        breakers.forget(INSTANCE);
        assert_eq!(breakers.resting(), [OTHER]);
    }

    #[test]
    fn instances_that_rest_for_longer_than_somebody_waits_are_told() {
        let now = Instant::now();
        let mut breakers = broken(now);
        breakers.note(OTHER, VendorSignal::Misconfigured, now);
        let beyond = |wait| breakers.resting_beyond(wait, now).collect::<Vec<_>>();
        assert_eq!(beyond(FIRST_REST), [OTHER]);
        assert_eq!(beyond(FIRST_REST_TO_CORRECT), [] as [Uuid; 0]);
    }

    #[test]
    fn a_few_silent_attempts_stop_nothing_and_an_answer_forgets_them() {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        for _ in 0..3 {
            for _ in 1..SILENT_MAX {
                breakers.note(INSTANCE, VendorSignal::Silent, now);
            }
            assert!(breakers.resting().is_empty());
            breakers.note(INSTANCE, VendorSignal::Answered, now);
        }
    }

    #[test]
    fn silence_after_silence_rests_that_instance_alone_and_then_probes_it_once() {
        let now = Instant::now();
        let mut breakers = broken(now);
        breakers.note(OTHER, VendorSignal::Silent, now);
        assert_eq!(breakers.resting(), [INSTANCE]);
        assert!(breakers.to_probe(now).is_empty());
        let later = now + FIRST_REST;
        assert_eq!(breakers.to_probe(later), [INSTANCE]);
        breakers.probing(INSTANCE);
        assert!(breakers.to_probe(later).is_empty(), "one probe at a time");
        breakers.note(INSTANCE, VendorSignal::Answered, later);
        assert!(breakers.resting().is_empty());
    }

    #[test]
    fn a_probe_without_an_answer_doubles_the_rest_up_to_the_longest() {
        let mut now = Instant::now();
        let mut breakers = broken(now);
        let mut expected = FIRST_REST;
        for _ in 0..10 {
            assert_eq!(breakers.next(), Some(now + expected));
            now += expected;
            breakers.probing(INSTANCE);
            breakers.note(INSTANCE, VendorSignal::Silent, now);
            expected = (expected * 2).min(LONGEST_REST);
        }
        assert_eq!(expected, LONGEST_REST);
    }

    #[test]
    fn attempts_that_were_under_way_do_not_lengthen_the_rest() {
        let now = Instant::now();
        let mut breakers = broken(now);
        breakers.note(INSTANCE, VendorSignal::Silent, now + Duration::from_secs(1));
        assert_eq!(breakers.next(), Some(now + FIRST_REST));
    }

    #[test]
    fn a_vendor_that_asks_to_be_left_alone_is_at_once_but_not_forever() {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        breakers.note(INSTANCE, VendorSignal::LeaveAlone(Duration::from_secs(7)), now);
        assert_eq!(breakers.next(), Some(now + Duration::from_secs(7)));
        breakers.note(INSTANCE, VendorSignal::LeaveAlone(Duration::MAX), now);
        assert_eq!(breakers.next(), Some(now + LONGEST_REST));
    }
}

//! What the host itself saw of a call's exchanges with the vendor, which counts for more than what the plugin says.

use std::ops::BitOr;

/// What the host saw of a call's exchanges with the vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether any request may have left, to whatever server.
    pub has_sent: bool,
    /// Whether the vendor's API answered a request, whatever it said.
    pub is_heard: bool,
    /// Whether the vendor answered that a request succeeded: only such an answer can bring a license.
    pub is_answered: bool,
    /// Whether a request that changes something was sent, and no answer shows that the vendor did nothing.
    pub may_have_changed: bool,
}

impl BitOr for Seen {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            has_sent: self.has_sent | other.has_sent,
            is_heard: self.is_heard | other.is_heard,
            is_answered: self.is_answered | other.is_answered,
            may_have_changed: self.may_have_changed | other.may_have_changed,
        }
    }
}

impl Seen {
    /// An exchange that was answered with a status. Statuses that say that nothing was done are those that the contract
    /// lets a plugin call so: the client errors that no server on the way gives after it has passed a request on, and 503.
    /// What a conflict (409) means, its body alone says, which the plugin reads.
    pub fn answered(changes: bool, status: u16) -> Self {
        let is_untouched = match status {
            408 | 425 | 499 => false,
            503 => true,
            other => (400..500).contains(&other),
        };
        Self {
            has_sent: true,
            is_heard: true,
            is_answered: (200..300).contains(&status),
            may_have_changed: changes && !is_untouched,
        }
    }

    /// What an exchange tells that was made with another server than the vendor's API: only whether a request left.
    #[must_use]
    pub fn elsewhere(self) -> Self {
        Self {
            has_sent: self.has_sent,
            ..Self::default()
        }
    }

    /// An exchange without an answer.
    pub fn unanswered(changes: bool, was_sent: bool) -> Self {
        Self {
            has_sent: was_sent,
            is_heard: false,
            is_answered: false,
            may_have_changed: changes && was_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_may_have_been_made_unless_the_answer_rules_it_out() {
        for status in [200, 201, 302, 408, 425, 499, 500, 502, 504] {
            assert!(Seen::answered(true, status).may_have_changed, "{status}");
            assert!(!Seen::answered(false, status).may_have_changed, "{status}");
        }
        for status in [400, 401, 403, 404, 409, 410, 422, 429, 503] {
            assert!(!Seen::answered(true, status).may_have_changed, "{status}");
        }
        assert!(Seen::answered(false, 200).is_answered && Seen::answered(true, 201).is_answered);
        assert!(!Seen::answered(false, 404).is_answered && !Seen::answered(true, 401).is_answered);
        assert!(Seen::unanswered(true, true).may_have_changed);
        assert!(Seen::unanswered(false, true).has_sent && Seen::answered(false, 404).has_sent);
        assert!(!Seen::unanswered(true, false).has_sent);
        assert!(Seen::answered(false, 404).is_heard && !Seen::unanswered(false, true).is_heard);
        assert!(!Seen::unanswered(true, false).may_have_changed);
        assert!(!Seen::unanswered(false, true).may_have_changed);
    }

    #[test]
    fn an_exchange_elsewhere_tells_only_that_a_request_left() {
        let elsewhere = Seen::answered(true, 200).elsewhere();
        assert_eq!((elsewhere.has_sent, elsewhere.is_heard), (true, false));
        assert!(!elsewhere.is_answered && !elsewhere.may_have_changed);
        assert_eq!(Seen::unanswered(true, false).elsewhere(), Seen::default());
    }

    #[test]
    fn exchanges_of_a_call_add_up() {
        let call = Seen::unanswered(true, true) | Seen::answered(false, 200);
        assert!(call.is_answered && call.may_have_changed);
        assert_eq!(Seen::default() | Seen::default(), Seen::default());
    }
}

//! The rule of earlier attempts: what may have been bought is looked up before it is bought again, and is never called refused.
//!
//! A plugin can answer a purchase or a return with nothing but an [`Attempted`], and only the functions here make one.

use crate::bindings::bss::service_manager::license_order::{
    EarlierAttempts, License, LicenseOrder, OrderAnswer,
};
use crate::bindings::exports::bss::service_manager::license_lifecycle::{LicenseReturn, LookUp};
use crate::failures::{ChangeFailure, ReadFailure};

/// The end of an attempt that kept the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted<T>(Result<T, ChangeFailure>);

impl<T> Attempted<T> {
    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The failure, sorted by what a retry would risk.
    pub fn into_result(self) -> Result<T, ChangeFailure> {
        self.0
    }
}

/// Attempts a purchase: prepares it, looks it up where the order says so, and buys it only if the vendor has never seen it.
///
/// `prepare` reads settings and checks the order, and asks nobody. `look_up` asks the vendor for the purchase. `buy` sends the one request
/// that buys, and its failure is that request's. Where an earlier attempt may have bought, a failure before `buy` is of an unknown
/// outcome, whatever `prepare` and `look_up` say.
pub fn purchase<Prepared>(
    order: &LicenseOrder,
    prepare: impl FnOnce() -> Result<Prepared, ReadFailure>,
    look_up: impl FnOnce(&Prepared) -> Result<LookUp, ReadFailure>,
    buy: impl FnOnce(&Prepared) -> Result<OrderAnswer, ChangeFailure>,
) -> Attempted<OrderAnswer> {
    let earlier_attempts = match order.check_only {
        true => EarlierAttempts::None,
        false => order.earlier_attempts,
    };
    let attempted = || {
        let prepared = prepare().map_err(|failure| match earlier_attempts {
            EarlierAttempts::Unknown => failure.after_the_change(),
            EarlierAttempts::None | EarlierAttempts::NotDone => failure.before_the_change(),
        })?;
        if order.check_only {
            return Ok(OrderAnswer::Valid);
        }
        if earlier_attempts == EarlierAttempts::None {
            return buy(&prepared);
        }
        let found = look_up(&prepared).map_err(|failure| match earlier_attempts {
            EarlierAttempts::Unknown => failure.after_the_change(),
            // What is refused here does not depend on the order.
            EarlierAttempts::None | EarlierAttempts::NotDone => failure.of_the_settings(),
        })?;
        match found {
            LookUp::Issued(license) => Ok(OrderAnswer::Licensed(license)),
            LookUp::Accepted(after_ms) => Ok(OrderAnswer::Accepted(after_ms)),
            LookUp::Declined(problem) => Err(ChangeFailure::Refused(problem)),
            LookUp::NeverIssued => buy(&prepared),
        }
    };
    Attempted(attempted())
}

/// Attempts a return. The host has looked the license up after an attempt whose outcome is unknown.
///
/// `prepare` reads settings and checks the return, and asks nobody. `give_back` sends the one request that returns, and its failure is
/// that request's. Where an earlier attempt may have returned the license, a failure of `prepare` is of an unknown outcome.
pub fn license_return<Prepared>(
    license_return: &LicenseReturn,
    prepare: impl FnOnce() -> Result<Prepared, ReadFailure>,
    give_back: impl FnOnce(&Prepared) -> Result<License, ChangeFailure>,
) -> Attempted<License> {
    let prepared = prepare().map_err(|failure| match license_return.earlier_attempts {
        EarlierAttempts::Unknown => failure.after_the_change(),
        EarlierAttempts::None | EarlierAttempts::NotDone => failure.before_the_change(),
    });
    Attempted(prepared.and_then(|prepared| give_back(&prepared)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::bindings::bss::service_manager::license_order::Party;
    use crate::bindings::exports::bss::service_manager::license_lifecycle::LicenseNames;
    use crate::failures::{Delay, Problem};

    fn problem() -> Problem {
        Problem::new("code", "Message.", "")
    }

    fn every_read_failure() -> [ReadFailure; 4] {
        [
            ReadFailure::Refused(problem()),
            ReadFailure::Misconfigured(problem()),
            ReadFailure::Malformed(problem()),
            ReadFailure::Unavailable(Delay::from(problem())),
        ]
    }

    fn order(earlier_attempts: EarlierAttempts, check_only: bool) -> LicenseOrder {
        LicenseOrder {
            client_transaction_id: "an-order".to_owned(),
            earlier_attempts,
            check_only,
            product: "ANVIL".to_owned(),
            quantity: 1,
            reseller: None,
            customer: Party {
                id: "c".to_owned(),
                name: "Customer".to_owned(),
                country: "GR".to_owned(),
            },
        }
    }

    /// Attempts an order, and says what was done for it.
    fn attempt(
        order: &LicenseOrder,
        prepared: Result<(), ReadFailure>,
        found: Result<LookUp, ReadFailure>,
    ) -> (Result<OrderAnswer, ChangeFailure>, Vec<&'static str>) {
        let done = RefCell::new(Vec::new());
        let attempted = purchase(
            order,
            || prepared,
            |()| {
                done.borrow_mut().push("look up");
                found
            },
            |()| {
                done.borrow_mut().push("buy");
                Ok(OrderAnswer::Accepted(None))
            },
        );
        (attempted.into_result(), done.into_inner())
    }

    #[test]
    fn a_first_attempt_buys_and_a_later_one_only_what_the_vendor_has_never_seen() {
        use EarlierAttempts::{None, NotDone, Unknown};
        let never = || Ok(LookUp::NeverIssued);
        assert_eq!(attempt(&order(None, false), Ok(()), never()).1, ["buy"]);
        for earlier in [NotDone, Unknown] {
            let order = order(earlier, false);
            assert_eq!(attempt(&order, Ok(()), never()).1, ["look up", "buy"]);
            for found in every_read_failure()
                .map(Err)
                .into_iter()
                .chain([Ok(LookUp::Accepted(Some(7))), Ok(LookUp::Declined(problem()))])
            {
                assert_eq!(attempt(&order, Ok(()), found).1, ["look up"]);
            }
        }
    }

    #[test]
    fn what_may_have_been_bought_is_unknown_until_a_look_up_has_answered() {
        let order = order(EarlierAttempts::Unknown, false);
        for failure in every_read_failure() {
            let (stopped, done) = attempt(&order, Err(failure.clone()), Ok(LookUp::NeverIssued));
            assert!(matches!(stopped, Err(ChangeFailure::Unknown(_))), "{stopped:?}");
            assert!(done.is_empty());
            let (stopped, _) = attempt(&order, Ok(()), Err(failure));
            assert!(matches!(stopped, Err(ChangeFailure::Unknown(_))), "{stopped:?}");
        }
        let (declined, _) = attempt(&order, Ok(()), Ok(LookUp::Declined(problem())));
        assert!(matches!(declined, Err(ChangeFailure::Refused(_))), "{declined:?}");
    }

    #[test]
    fn a_look_up_that_is_refused_says_nothing_of_an_order_that_was_not_done() {
        let order = order(EarlierAttempts::NotDone, false);
        let (stopped, _) = attempt(&order, Ok(()), Err(ReadFailure::Refused(problem())));
        assert!(
            matches!(stopped, Err(ChangeFailure::Misconfigured(_))),
            "{stopped:?}"
        );
        let (stopped, _) = attempt(&order, Ok(()), Err(ReadFailure::Malformed(problem())));
        assert!(
            matches!(stopped, Err(ChangeFailure::Unavailable(_))),
            "{stopped:?}"
        );
    }

    #[test]
    fn a_check_asks_nobody_and_is_refused_whatever_was_before() {
        let order = order(EarlierAttempts::Unknown, true);
        let never = || Ok(LookUp::NeverIssued);
        let (valid, done) = attempt(&order, Ok(()), never());
        assert_eq!((valid, done.len()), (Ok(OrderAnswer::Valid), 0));
        let (refused, _) = attempt(&order, Err(ReadFailure::Refused(problem())), never());
        assert!(matches!(refused, Err(ChangeFailure::Refused(_))), "{refused:?}");
    }

    #[test]
    fn a_return_that_may_have_been_made_is_unknown_where_it_is_stopped() {
        for (earlier_attempts, is_unknown) in [
            (EarlierAttempts::None, false),
            (EarlierAttempts::NotDone, false),
            (EarlierAttempts::Unknown, true),
        ] {
            let name = String::new;
            let order = LicenseReturn {
                license: LicenseNames {
                    client_transaction_id: name(),
                    transaction_id: name(),
                    license_token_id: name(),
                },
                earlier_attempts,
                client_transaction_id: name(),
                reason: name(),
            };
            let stopped = || Err::<(), _>(ReadFailure::Refused(problem()));
            let asked = |(): &()| -> Result<License, ChangeFailure> { panic!("it is asked for") };
            let attempted = license_return(&order, stopped, asked).into_result();
            assert_eq!(matches!(attempted, Err(ChangeFailure::Unknown(_))), is_unknown);
        }
    }
}

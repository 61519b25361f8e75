//! The tables of the rule, row by row.

use super::*;
use crate::instance::{Change, OtherChanges};
use crate::license::{LicenseTokenStatus, ReturnStatus};
use crate::moment::{Boot, Uptime};
use crate::secret::Secret;

const PURCHASE: Uuid = Uuid::from_u128(7);
const MINUTE_MS: i64 = 60_000;
/// The vendor answered, and did nothing that its answer does not tell.
const ANSWERED: Seen = Seen {
    has_sent: true,
    is_heard: true,
    is_answered: true,
    may_have_changed: false,
};

fn license(client_transaction_id: Uuid, product_key: &str) -> License {
    License {
        client_transaction_id: client_transaction_id.to_string(),
        transaction_id: "t".to_owned(),
        license_token_id: "l".to_owned(),
        product_key: Secret::new(product_key),
        activation_link: None,
        license_token_status: LicenseTokenStatus::Unused,
        return_status: ReturnStatus::None,
        purchased_at_ms: 0,
        returnable_until_ms: None,
    }
}

fn problem() -> Problem {
    Problem::new("code", "message", "advice")
}

/// A moment of the one boot of these tests.
fn at(ms: i64) -> Moment {
    in_boot(1, ms)
}

fn in_boot(boot: u128, ms: i64) -> Moment {
    let uptime = Some(Uptime {
        boot: Boot(Uuid::from_u128(boot)),
        ms,
    });
    Moment { wall_ms: ms, uptime }
}

/// A line that was just ordered, without a key.
fn new_line(now: Moment) -> LineAge {
    LineAge {
        placed: now,
        has_key: false,
        remembered: Duration::ZERO,
    }
}

/// The doubt after attempts, each with its own settings version, begun at a time and ended at another with a result.
fn in_doubt(attempts: &[(i64, Option<(i64, AttemptResult)>)], next_begun_at_ms: i64) -> Option<Doubt> {
    let mut earlier = Earlier::default();
    for (number, (begun_at_ms, end)) in (1..).zip(attempts) {
        earlier.add(&EarlierAttempt {
            number,
            begun: at(*begun_at_ms),
            finished: end.map(|(finished_at_ms, _)| at(finished_at_ms)),
            result: end.map(|(_, result)| result),
            settings_version: Some(i64::from(number)),
        });
    }
    earlier.in_doubt(at(next_begun_at_ms))
}

fn doubt(since_ms: i64, settings_version: i64) -> Option<Doubt> {
    Some(Doubt {
        since: at(since_ms),
        settings_version: Some(settings_version),
        is_accepted: false,
    })
}

#[test]
fn a_license_with_a_defect_is_none_and_leaves_open_what_was_bought() {
    let defect = LicenseDefect::ProductKey;
    for earlier in [
        EarlierAttempts::None,
        EarlierAttempts::NotDone,
        EarlierAttempts::Unknown,
    ] {
        let Attempted { outcome, signal, .. } =
            after_purchase(PurchaseAnswer::Defective(defect), ANSWERED, earlier, PURCHASE);
        assert!(matches!(outcome, AttemptOutcome::Unknown(problem) if problem == defect.problem()));
        assert_eq!(signal, VendorSignal::Silent);
    }
    let reason = LookUpReason::UnderWay { until_ms: 1 };
    let Attempted { outcome, signal, .. } =
        after_look_up(LookUpAnswer::Defective(defect), ANSWERED, &reason, PURCHASE);
    assert!(matches!(outcome, AttemptOutcome::LookedUp(problem) if problem == defect.problem()));
    assert_eq!(signal, VendorSignal::Silent);
}

#[test]
fn what_definitely_bought_nothing_leaves_no_doubt() {
    use AttemptResult::{Refused, Unavailable};
    let attempts = [(1, Some((2, Unavailable))), (3, Some((4, Refused)))];
    assert_eq!(in_doubt(&attempts, 5), None);
    assert_eq!(in_doubt(&[], 5), None);
}

#[test]
fn a_purchase_is_in_doubt_since_the_end_of_the_last_attempt_that_may_have_bought() {
    use AttemptResult::{LookedUp, Refused, SecondLicense, Unavailable, Unknown};
    for doubtful in [Unknown, SecondLicense, AttemptResult::Licensed] {
        for later in [LookedUp, Unavailable, Refused] {
            let attempts = [(1, Some((10, doubtful))), (20, Some((30, later)))];
            assert_eq!(in_doubt(&attempts, 40), doubt(10, 1), "{doubtful:?}, {later:?}");
        }
        let attempts = [(1, Some((10, doubtful))), (20, Some((30, Unknown)))];
        assert_eq!(in_doubt(&attempts, 40), doubt(30, 1), "{doubtful:?}");
    }
}

#[test]
fn an_attempt_that_was_cut_off_may_have_bought_until_the_next_one_began() {
    use AttemptResult::{LookedUp, Unavailable, Unknown};
    assert_eq!(in_doubt(&[(1, None)], 40), doubt(40, 1));
    let unavailable = [(1, Some((10, Unavailable))), (20, None)];
    assert_eq!(in_doubt(&unavailable, 40), doubt(40, 2));
    let looked_up = [(1, None), (40, Some((50, LookedUp)))];
    assert_eq!(in_doubt(&looked_up, 60), doubt(40, 1));
    // The attempt may have been a look-up with other settings, so the settings of the first one count.
    assert_eq!(
        in_doubt(&[(1, Some((10, Unknown))), (20, None)], 40),
        doubt(40, 1)
    );
}

fn summary(results: &[Option<AttemptResult>]) -> EarlierAttempts {
    let mut earlier = Earlier::default();
    for (number, result) in (1..).zip(results) {
        earlier.add(&EarlierAttempt {
            number,
            begun: at(0),
            finished: result.map(|_| at(1)),
            result: *result,
            settings_version: None,
        });
    }
    earlier.summary(at(2), &new_line(at(0)))
}

#[test]
fn the_plugin_is_told_of_no_attempt_of_attempts_that_bought_nothing_and_of_those_in_doubt() {
    use AttemptResult::{LookedUp, Refused, Unavailable, Unknown};
    assert_eq!(summary(&[]), EarlierAttempts::None);
    let nothing = [Some(Refused), Some(Unavailable), Some(LookedUp)];
    assert_eq!(summary(&nothing), EarlierAttempts::NotDone);
    assert_eq!(summary(&[Some(Unknown), Some(Refused)]), EarlierAttempts::Unknown);
    assert_eq!(summary(&[None]), EarlierAttempts::Unknown);
}

#[test]
fn a_purchase_in_doubt_is_only_looked_up_until_it_can_not_be_under_way_any_more() {
    let in_doubt = doubt(0, 3);
    let until_ms = 5 * MINUTE_MS;
    assert_eq!(first_step(None, false, LOOK_UP_ONLY, at(0)), FirstStep::Buy);
    assert_eq!(
        first_step(in_doubt, false, LOOK_UP_ONLY, at(until_ms - 1)),
        FirstStep::LookUp(LookUpReason::UnderWay { until_ms })
    );
    assert_eq!(
        first_step(in_doubt, false, LOOK_UP_ONLY, at(until_ms)),
        FirstStep::BuyIfUnchanged { version: 3 }
    );
    let of_unknown_settings = Some(Doubt {
        since: at(0),
        settings_version: None,
        is_accepted: false,
    });
    assert_eq!(
        first_step(of_unknown_settings, false, LOOK_UP_ONLY, at(until_ms)),
        FirstStep::Buy
    );
}

#[test]
fn a_wall_clock_that_steps_neither_ends_nor_extends_the_time_of_looking_up_only() {
    const YEAR_MS: i64 = 365 * 24 * 60 * MINUTE_MS;
    let in_doubt = doubt(0, 3);
    for step_ms in [6 * MINUTE_MS, YEAR_MS, -6 * MINUTE_MS, -YEAR_MS] {
        let stepped = |ms| Moment {
            wall_ms: at(ms).wall_ms + step_ms,
            ..at(ms)
        };
        let early = first_step(in_doubt, false, LOOK_UP_ONLY, stepped(MINUTE_MS));
        let until_ms = 5 * MINUTE_MS + step_ms;
        assert_eq!(early, FirstStep::LookUp(LookUpReason::UnderWay { until_ms }));
        let late = first_step(in_doubt, false, LOOK_UP_ONLY, stepped(5 * MINUTE_MS));
        assert_eq!(late, FirstStep::BuyIfUnchanged { version: 3 });
    }
}

#[test]
fn after_a_restart_of_the_machine_the_time_of_looking_up_only_begins_with_the_first_attempt() {
    let mut earlier = Earlier::default();
    let add = |earlier: &mut Earlier, number, begun: Moment, finished, result| {
        earlier.add(&EarlierAttempt {
            number,
            begun,
            finished: Some(finished),
            result: Some(result),
            settings_version: Some(1),
        });
    };
    let unknown = AttemptResult::Unknown;
    add(&mut earlier, 1, in_boot(1, 0), in_boot(1, 10), unknown);
    // The machine has run for an hour since; nothing tells how long it was off, or that it is the same one.
    let first = in_boot(2, 60 * MINUTE_MS);
    let left = |earlier: &Earlier, now: Moment| {
        let since = earlier.in_doubt(now).map(|doubt| doubt.since);
        since.and_then(|since| look_up_only_left(since, LOOK_UP_ONLY, now))
    };
    assert_eq!(left(&earlier, first), Some(LOOK_UP_ONLY));
    add(&mut earlier, 2, first, first, AttemptResult::LookedUp);
    assert_eq!(
        left(&earlier, in_boot(2, 64 * MINUTE_MS)),
        Some(Duration::from_secs(60))
    );
    assert_eq!(left(&earlier, in_boot(2, 65 * MINUTE_MS)), None);
}

#[test]
fn a_server_of_another_machine_is_looked_at_for_a_minute_at_least() {
    let at = |names: &[&str], seconds| {
        let authority = |name: &&str| Authority {
            name: (*name).to_owned(),
            client_certificate: true,
            secret_headers: Vec::new(),
        };
        let authorities: Vec<Authority> = names.iter().map(authority).collect();
        look_up_only_at(&authorities, Duration::from_secs(seconds)).as_secs()
    };
    for here in [
        "localhost",
        "localhost:8443",
        "127.0.0.1",
        "127.9.9.9:8443",
        "[::1]:8443",
        "[::1]",
    ] {
        assert_eq!(at(&[here], 0), 0, "{here}");
        assert_eq!(at(&[here, "vendor.example"], 0), 60, "{here}");
    }
    for elsewhere in [
        "vendor.example",
        "localhost.example:8443",
        "localhost:x",
        "notlocalhost",
        "10.0.0.1:8443",
        "[2001:db8::1]:8443",
    ] {
        assert_eq!(at(&[elsewhere], 0), 60, "{elsewhere}");
        assert_eq!(at(&[elsewhere], 59), 60, "{elsewhere}");
        assert_eq!(at(&[elsewhere], 61), 61, "{elsewhere}");
    }
    assert_eq!(at(&[], 0), 60, "nothing tells where its servers are");
}

#[test]
fn a_restored_record_leaves_every_line_in_doubt_since_it_was_noticed() {
    use AttemptResult::{Refused, Restored};
    let restored = [(1, Some((2, Refused))), (30, Some((30, Restored)))];
    assert_eq!(in_doubt(&restored, 40), doubt(30, 2));
    assert_eq!(summary(&[Some(Restored)]), EarlierAttempts::Unknown);
}

#[test]
fn while_another_copy_of_the_record_may_go_on_a_purchase_is_only_looked_up() {
    let in_doubt = doubt(0, 3);
    let much_later = at(1_000 * MINUTE_MS);
    let step = first_step(in_doubt, true, LOOK_UP_ONLY, much_later);
    assert_eq!(step, FirstStep::LookUp(LookUpReason::NotAdopted));
    assert_eq!(first_step(None, true, LOOK_UP_ONLY, much_later), FirstStep::Buy);
}

#[test]
fn a_line_without_an_attempt_is_bought_blindly_only_where_the_record_can_vouch_for_it() {
    let minute = MINUTE_MS;
    let month_ms = millis(MEMORY);
    let month = month_ms.unsigned_abs();
    let summary = |placed: Moment, has_key, remembered_ms, now: Moment| {
        let line = LineAge {
            placed,
            has_key,
            remembered: Duration::from_millis(remembered_ms),
        };
        Earlier::default().summary(now, &line)
    };
    let now = at(month_ms);
    let young = at(month_ms - 1_000);
    assert_eq!(summary(young, false, 0, now), EarlierAttempts::None);
    assert_eq!(summary(young, true, month, now), EarlierAttempts::None);
    // An order with a key may have been placed in a record that is lost.
    assert_eq!(summary(young, true, month - 1, now), EarlierAttempts::NotDone);
    // An old line may have been bought after a copy was made.
    assert_eq!(
        summary(at(month_ms - minute), false, month, now),
        EarlierAttempts::NotDone
    );
    assert_eq!(
        summary(in_boot(2, month_ms - 1_000), false, month, now),
        EarlierAttempts::NotDone
    );
    let set_back = Moment {
        wall_ms: young.wall_ms,
        ..at(month_ms + 2 * minute)
    };
    assert_eq!(summary(young, false, month, set_back), EarlierAttempts::NotDone);
}

#[test]
fn a_license_of_this_purchase_settles_it() {
    let answer = PurchaseAnswer::Licensed(license(PURCHASE, "key"));
    let attempted = after_purchase(answer, ANSWERED, EarlierAttempts::None, PURCHASE);
    assert!(matches!(attempted.outcome, AttemptOutcome::Licensed(_)));
    assert_eq!(attempted.signal, VendorSignal::Answered);
}

#[test]
fn a_license_of_another_purchase_or_without_a_key_leaves_it_unknown() {
    for answer in [
        PurchaseAnswer::Licensed(license(Uuid::from_u128(8), "key")),
        PurchaseAnswer::Licensed(license(PURCHASE, "")),
        PurchaseAnswer::WithoutLicense,
    ] {
        let attempted = after_purchase(answer, ANSWERED, EarlierAttempts::None, PURCHASE);
        assert!(matches!(attempted.outcome, AttemptOutcome::Unknown(_)));
        assert_eq!(attempted.signal, VendorSignal::Silent);
    }
}

#[test]
fn a_plugin_that_breaks_off_leaves_it_unknown_and_one_that_was_not_entered_does_not() {
    let broke_off = PurchaseAnswer::BrokeOff("trapped".to_owned());
    let attempted = after_purchase(broke_off, ANSWERED, EarlierAttempts::None, PURCHASE);
    assert!(matches!(attempted.outcome, AttemptOutcome::Unknown(_)));
    let not_entered = PurchaseAnswer::NotEntered(problem());
    let attempted = after_purchase(not_entered, ANSWERED, EarlierAttempts::None, PURCHASE);
    assert!(matches!(attempted.outcome, AttemptOutcome::Unavailable(_)));
}

#[test]
fn a_plugin_that_breaks_off_before_any_request_left_adds_no_doubt() {
    for (earlier, in_doubt) in [
        (EarlierAttempts::None, false),
        (EarlierAttempts::NotDone, false),
        (EarlierAttempts::Unknown, true),
    ] {
        let broke_off = PurchaseAnswer::BrokeOff("trapped".to_owned());
        let attempted = after_purchase(broke_off, Seen::default(), earlier, PURCHASE);
        let is_unknown = matches!(attempted.outcome, AttemptOutcome::Unknown(_));
        assert_eq!(is_unknown, in_doubt, "{earlier:?}");
    }
}

#[test]
fn what_is_to_be_corrected_fails_no_order_and_ends_no_doubt() {
    let attempted = |seen, earlier| {
        let answer = PurchaseAnswer::Misconfigured(problem());
        after_purchase(answer, seen, earlier, PURCHASE)
    };
    for certain in [EarlierAttempts::None, EarlierAttempts::NotDone] {
        let waits = attempted(ANSWERED, certain);
        assert!(matches!(waits.outcome, AttemptOutcome::Unavailable(_)));
        assert_eq!(waits.signal, VendorSignal::Misconfigured);
    }
    let in_doubt = attempted(ANSWERED, EarlierAttempts::Unknown);
    assert!(matches!(in_doubt.outcome, AttemptOutcome::Unknown(_)));
    let sent = Seen {
        may_have_changed: true,
        ..ANSWERED
    };
    let contradicted = attempted(sent, EarlierAttempts::None);
    assert!(matches!(contradicted.outcome, AttemptOutcome::Unknown(_)));
    assert_eq!(contradicted.signal, VendorSignal::Silent);
}

#[test]
fn a_refusal_without_a_question_does_not_end_the_doubt_about_an_earlier_attempt() {
    let refused = |seen, earlier| {
        let answer = PurchaseAnswer::Refused(problem());
        after_purchase(answer, seen, earlier, PURCHASE).outcome
    };
    let in_doubt = refused(Seen::default(), EarlierAttempts::Unknown);
    assert!(matches!(in_doubt, AttemptOutcome::Unknown(_)), "{in_doubt:?}");
    let asked = refused(ANSWERED, EarlierAttempts::Unknown);
    assert!(matches!(asked, AttemptOutcome::Refused(_)), "{asked:?}");
    let only_elsewhere = ANSWERED.elsewhere();
    let elsewhere = refused(only_elsewhere, EarlierAttempts::Unknown);
    assert!(matches!(elsewhere, AttemptOutcome::Unknown(_)), "{elsewhere:?}");
    let broke_off = PurchaseAnswer::BrokeOff("trapped".to_owned());
    let may_have_bought = after_purchase(broke_off, only_elsewhere, EarlierAttempts::None, PURCHASE);
    assert!(matches!(may_have_bought.outcome, AttemptOutcome::Unknown(_)));
    for certain in [EarlierAttempts::None, EarlierAttempts::NotDone] {
        let outcome = refused(Seen::default(), certain);
        assert!(matches!(outcome, AttemptOutcome::Refused(_)), "{outcome:?}");
    }
}

#[test]
fn a_call_that_was_never_made_leaves_what_was_in_doubt_in_doubt() {
    for (earlier, in_doubt) in [
        (EarlierAttempts::None, false),
        (EarlierAttempts::NotDone, false),
        (EarlierAttempts::Unknown, true),
    ] {
        let attempted = after_purchase(PurchaseAnswer::NotMade(problem()), ANSWERED, earlier, PURCHASE);
        let is_unknown = matches!(attempted.outcome, AttemptOutcome::Unknown(_));
        assert_eq!(is_unknown, in_doubt, "{earlier:?}");
        assert_eq!(attempted.signal, VendorSignal::Silent);
        let overtaken = after_purchase(PurchaseAnswer::Overtaken(problem()), ANSWERED, earlier, PURCHASE);
        assert_eq!(
            overtaken.signal,
            VendorSignal::Answered,
            "it says nothing against the vendor"
        );
    }
}

#[test]
fn a_look_up_finds_the_license_or_settles_nothing() {
    let reason = LookUpReason::UnderWay { until_ms: 0 };
    let found = LookUpAnswer::Found(license(PURCHASE, "key"));
    let outcome = after_look_up(found, ANSWERED, &reason, PURCHASE).outcome;
    assert!(matches!(outcome, AttemptOutcome::Licensed(_)));
    for (answer, signal) in [
        (
            LookUpAnswer::Found(license(Uuid::nil(), "key")),
            VendorSignal::Silent,
        ),
        (LookUpAnswer::NotFound, VendorSignal::Answered),
        (LookUpAnswer::NotOffered, VendorSignal::Answered),
        (LookUpAnswer::Failed(problem(), None), VendorSignal::Silent),
        (
            LookUpAnswer::Failed(problem(), Some(Duration::from_secs(9))),
            VendorSignal::LeaveAlone(Duration::from_secs(9)),
        ),
        (LookUpAnswer::BrokeOff("trapped".to_owned()), VendorSignal::Silent),
        // What the operator does says nothing against the vendor.
        (LookUpAnswer::Overtaken(problem()), VendorSignal::Answered),
    ] {
        let attempted = after_look_up(answer.clone(), ANSWERED, &reason, PURCHASE);
        assert!(
            matches!(attempted.outcome, AttemptOutcome::LookedUp(_)),
            "{answer:?}"
        );
        assert_eq!(attempted.signal, signal, "{answer:?}");
    }
}

#[test]
fn a_vendor_is_left_alone_as_long_as_it_asks_for_but_not_forever() {
    let usual = Duration::from_secs(2);
    let asked = |seconds| pause(usual, VendorSignal::LeaveAlone(Duration::from_secs(seconds)));
    assert_eq!(pause(usual, VendorSignal::Silent), usual);
    assert_eq!(asked(1), usual, "never sooner than usual");
    assert_eq!(asked(3_600), Duration::from_secs(3_600));
    assert_eq!(asked(u64::MAX), RETRY_AFTER_MAX);
}

#[test]
fn what_is_only_looked_up_is_tried_again_as_soon_as_it_may_be_bought() {
    let hour = Duration::from_secs(3_600);
    let under_way = LookUpReason::UnderWay { until_ms: MINUTE_MS };
    let due = |reason, signal| due_at_ms(0, hour, signal, reason, None);
    assert_eq!(due(Some(&under_way), VendorSignal::Silent), MINUTE_MS);
    assert_eq!(due(None, VendorSignal::Silent), 60 * MINUTE_MS);
    let busy = VendorSignal::LeaveAlone(2 * hour);
    assert_eq!(
        due(Some(&under_way), busy),
        120 * MINUTE_MS,
        "the vendor asked for more"
    );
    let over = LookUpReason::UnderWay { until_ms: -1 };
    assert_eq!(due(Some(&over), VendorSignal::Answered), millis(SHORTEST_PAUSE));
}

#[test]
fn what_the_host_saw_counts_for_more_than_what_the_plugin_says() {
    let sent = Seen {
        has_sent: true,
        is_heard: false,
        is_answered: false,
        may_have_changed: true,
    };
    let outcome = |answer, seen| after_purchase(answer, seen, EarlierAttempts::None, PURCHASE).outcome;
    let no = || PurchaseAnswer::Refused(problem());
    let later = || PurchaseAnswer::Unavailable(problem(), None);
    assert!(matches!(outcome(no(), sent), AttemptOutcome::Unknown(_)));
    assert!(matches!(outcome(later(), sent), AttemptOutcome::Unknown(_)));
    assert!(matches!(outcome(no(), ANSWERED), AttemptOutcome::Refused(_)));
    assert!(matches!(
        outcome(later(), Seen::default()),
        AttemptOutcome::Unavailable(_)
    ));
    let bought = || PurchaseAnswer::Licensed(license(PURCHASE, "key"));
    for unseen in [Seen::default(), sent] {
        let unknown = outcome(bought(), unseen);
        assert!(matches!(unknown, AttemptOutcome::Unknown(why) if why.code == "license-without-exchange"));
    }
    let reason = LookUpReason::UnderWay { until_ms: 0 };
    let found = || LookUpAnswer::Found(license(PURCHASE, "key"));
    let looked_up = after_look_up(found(), Seen::default(), &reason, PURCHASE).outcome;
    assert!(matches!(looked_up, AttemptOutcome::LookedUp(why) if why.code == "license-without-exchange"));
    let licensed = after_look_up(found(), ANSWERED, &reason, PURCHASE).outcome;
    assert!(matches!(licensed, AttemptOutcome::Licensed(_)));
}

fn saved(version: i64) -> SettingsVersion {
    SettingsVersion {
        version,
        changed_by: crate::actor::Actor::operator("anna"),
        changed_at_ms: 0,
        standing: crate::instance::Standing::Ready,
        changes: BTreeMap::new(),
        secret_changes: BTreeMap::new(),
        other_changes: OtherChanges::default(),
        roles: Some(BTreeMap::from([
            ("account".to_owned(), FieldRole::Account),
            ("api-key".to_owned(), FieldRole::Credential),
            ("language".to_owned(), FieldRole::Other),
        ])),
        authorities: None,
        thumbprint: None,
        plugin: None,
    }
}

/// A save that gives a field another value.
fn changed(version: i64, field: &str, (old, new): (&str, &str)) -> SettingsVersion {
    let change = Change {
        old: Some(old.to_owned()),
        new: Some(new.to_owned()),
    };
    SettingsVersion {
        changes: BTreeMap::from([(field.to_owned(), change)]),
        ..saved(version)
    }
}

fn differs(history: &[SettingsVersion]) -> Vec<String> {
    match changed_since(1, history) {
        Some(LookUpReason::OtherSettings { version: 1, fields }) => fields,
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_option_that_was_changed_and_not_changed_back_counts_as_another_account() {
    let changed = |version, old: Option<&str>, new: Option<&str>| {
        let change = Change {
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        SettingsVersion {
            other_changes: OtherChanges {
                options: BTreeMap::from([("login-authority".to_owned(), change)]),
                ..OtherChanges::default()
            },
            ..saved(version)
        }
    };
    let (there, back) = (changed(2, None, Some("a")), changed(3, Some("a"), None));
    assert_eq!(
        differs(&[saved(1), there.clone()]),
        ["the option `login-authority`"]
    );
    assert_eq!(differs(&[saved(1), there, back]), [] as [String; 0]);
    let of_trust = SettingsVersion {
        other_changes: OtherChanges {
            trusted_authorities: Some(Change {
                old: None,
                new: Some("digest".to_owned()),
            }),
            ..OtherChanges::default()
        },
        ..saved(2)
    };
    assert_eq!(differs(&[saved(1), of_trust]), [] as [String; 0]);
}

#[test]
fn while_an_instance_is_disabled_what_is_in_doubt_is_looked_up_and_nothing_is_bought() {
    let reason = LookUpReason::while_disabled(None);
    let nothing = after_look_up(LookUpAnswer::NotFound, ANSWERED, &reason, PURCHASE);
    let AttemptOutcome::LookedUp(problem) = nothing.outcome else {
        panic!("{nothing:?}")
    };
    assert_eq!(problem.code, "instance-disabled");
    // What holds without that holds still.
    let other = LookUpReason::NotAdopted;
    assert_eq!(LookUpReason::while_disabled(Some(other.clone())), other);
}

#[test]
fn only_a_field_that_names_the_account_makes_it_another_one() {
    let then = || saved(1);
    for field in ["api-key", "language"] {
        assert!(
            differs(&[then(), changed(2, field, ("a", "b"))]).is_empty(),
            "{field}"
        );
    }
    // A shape says nothing: both are thumbprints.
    let (a, b) = (&*"a1".repeat(20), &*"b2".repeat(20));
    let other = changed(2, "account", (a, b));
    assert_eq!(differs(&[then(), other.clone()]), ["`account`"]);
    assert!(
        differs(&[then(), other, changed(3, "account", (b, a))]).is_empty(),
        "the former account is back"
    );
}

#[test]
fn a_field_whose_meaning_is_not_known_or_was_another_names_the_account() {
    let unknown = changed(2, "tenant", ("a", "b"));
    assert_eq!(differs(&[saved(1), unknown]), ["`tenant`"]);
    let of_an_older_host = SettingsVersion {
        roles: None,
        ..saved(1)
    };
    assert_eq!(
        differs(&[of_an_older_host, changed(2, "language", ("a", "b"))]),
        ["`language`"]
    );
    // A newer plugin says that the field is no account's any more.
    let mut newer = changed(2, "account", ("a", "b"));
    newer.roles = Some(BTreeMap::from([("account".to_owned(), FieldRole::Other)]));
    assert_eq!(differs(&[saved(1), newer]), ["`account`"]);
}

#[test]
fn a_secret_that_says_whose_account_it_is_is_compared_by_its_digest() {
    let with_secret = |version, role, change: (&str, &str)| {
        let saved = changed(version, "api-key", change);
        SettingsVersion {
            secret_changes: saved.changes,
            changes: BTreeMap::new(),
            roles: Some(BTreeMap::from([("api-key".to_owned(), role)])),
            ..saved
        }
    };
    let then = |role| with_secret(1, role, ("", "digest 1"));
    let now = |role| with_secret(2, role, ("digest 1", "digest 2"));
    assert_eq!(
        differs(&[then(FieldRole::Account), now(FieldRole::Account)]),
        ["`api-key`"]
    );
    assert!(differs(&[then(FieldRole::Credential), now(FieldRole::Credential)]).is_empty());
    let back = with_secret(3, FieldRole::Account, ("digest 2", "digest 1"));
    assert!(differs(&[then(FieldRole::Account), now(FieldRole::Account), back]).is_empty());
}

#[test]
fn an_order_that_the_vendor_has_taken_is_looked_up_and_never_sent_again() {
    let taken = || PurchaseAnswer::Accepted(Some(Duration::from_secs(90)));
    let bought = Seen {
        may_have_changed: true,
        ..ANSWERED
    };
    let attempted = after_purchase(taken(), bought, EarlierAttempts::None, PURCHASE);
    assert!(matches!(attempted.outcome, AttemptOutcome::Accepted(why) if why.code == "accepted"));
    assert_eq!(
        (attempted.signal, attempted.comes_in),
        (VendorSignal::Answered, Some(Duration::from_secs(90)))
    );
    for nothing_sent in [Seen::default(), ANSWERED] {
        let unseen = after_purchase(taken(), nothing_sent, EarlierAttempts::None, PURCHASE).outcome;
        assert!(matches!(unseen, AttemptOutcome::Unknown(why) if why.code == "license-without-exchange"));
    }
    let found = after_purchase(taken(), ANSWERED, EarlierAttempts::Unknown, PURCHASE).outcome;
    assert!(
        matches!(found, AttemptOutcome::Accepted(_)),
        "an earlier attempt has sent it"
    );

    let doubt = in_doubt(
        &[
            (0, Some((1, AttemptResult::Accepted))),
            (2, Some((3, AttemptResult::LookedUp))),
        ],
        4,
    );
    let a_day_later = at(24 * 60 * MINUTE_MS);
    assert_eq!(
        first_step(doubt, false, LOOK_UP_ONLY, a_day_later),
        FirstStep::LookUpAccepted { version: Some(1) }
    );
    let taken = LookUpReason::Accepted { changed: Vec::new() };
    let found = |answer| after_look_up(answer, ANSWERED, &taken, PURCHASE);
    let still = found(LookUpAnswer::Accepted(None));
    assert!(matches!(still.outcome, AttemptOutcome::Accepted(_)) && still.comes_in.is_none());
    let gone = found(LookUpAnswer::NotFound).outcome;
    assert!(matches!(gone, AttemptOutcome::LookedUp(why) if why.code == "accepted-and-not-seen"));
}

#[test]
fn an_order_that_the_vendor_declines_after_it_has_taken_it_has_failed() {
    let declined = || LookUpAnswer::Declined(problem());
    let accepted = |changed: &[&str]| LookUpReason::Accepted {
        changed: changed.iter().map(|&field| field.to_owned()).collect(),
    };
    let under_way = LookUpReason::UnderWay { until_ms: 0 };
    for reason in [accepted(&[]), under_way] {
        let found = after_look_up(declined(), ANSWERED, &reason, PURCHASE);
        assert!(matches!(found.outcome, AttemptOutcome::Refused(why) if why == problem()));
        for seen in [Seen::default(), Seen::unanswered(false, true)] {
            let unheard = after_look_up(declined(), seen, &reason, PURCHASE).outcome;
            assert!(
                matches!(unheard, AttemptOutcome::LookedUp(why) if why.code == "license-without-exchange")
            );
        }
    }
    let other = LookUpReason::OtherSettings {
        version: 1,
        fields: vec!["`account`".to_owned()],
    };
    for (reason, code) in [
        (accepted(&["`account`"]), "accepted-by-another"),
        (other, "other-settings"),
        (LookUpReason::NotAdopted, "record-not-adopted"),
    ] {
        let found = after_look_up(declined(), ANSWERED, &reason, PURCHASE).outcome;
        assert!(
            matches!(found, AttemptOutcome::LookedUp(why) if why.code == code),
            "{code}"
        );
    }
}

#[test]
fn a_look_up_that_is_refused_for_the_settings_has_the_instance_rest() {
    let reason = LookUpReason::UnderWay { until_ms: 0 };
    let found = after_look_up(
        LookUpAnswer::Misconfigured(problem()),
        ANSWERED,
        &reason,
        PURCHASE,
    );
    assert!(matches!(found.outcome, AttemptOutcome::LookedUp(_)));
    assert_eq!(found.signal, VendorSignal::Misconfigured);
}

#[test]
fn a_license_that_comes_later_is_looked_up_when_the_vendor_expects_it_and_not_more_often_than_usual() {
    let minute = Duration::from_secs(60);
    let due = |comes_in| due_at_ms(0, minute, VendorSignal::Answered, None, Some(comes_in));
    assert_eq!(due(Duration::ZERO), MINUTE_MS);
    assert_eq!(due(5 * minute), 5 * MINUTE_MS);
    assert_eq!(due(Duration::MAX), 24 * 60 * MINUTE_MS);
}

#[test]
fn another_server_is_another_account_though_no_value_changed() {
    let saved = |version, server: Option<&str>| SettingsVersion {
        authorities: server.map(|server| {
            vec![Authority {
                name: server.to_owned(),
                client_certificate: true,
                secret_headers: Vec::new(),
            }]
        }),
        ..saved(version)
    };
    let (a, b) = (Some("a.example"), Some("b.example"));
    assert_eq!(changed_since(1, &[saved(1, a), saved(2, a)]), None);
    assert_eq!(
        changed_since(1, &[saved(1, None), saved(2, b)]),
        None,
        "it is not known"
    );
    assert_eq!(changed_since(1, &[saved(1, a), saved(2, b), saved(3, a)]), None);
    assert!(matches!(
        changed_since(1, &[saved(1, a), saved(2, b)]),
        Some(LookUpReason::OtherSettings { version: 1, .. })
    ));
}

#[test]
fn a_line_that_is_to_be_withdrawn_is_never_sent_again() {
    let until_ms = 5;
    for (otherwise, reason) in [
        (None, LookUpReason::ToBeWithdrawn { until_ms: None }),
        (
            Some(LookUpReason::UnderWay { until_ms }),
            LookUpReason::ToBeWithdrawn {
                until_ms: Some(until_ms),
            },
        ),
        (Some(LookUpReason::NotAdopted), LookUpReason::NotAdopted),
    ] {
        assert_eq!(LookUpReason::to_withdraw(otherwise), reason);
    }
}

#[test]
fn a_line_that_is_to_be_withdrawn_is_not_bought_only_where_a_vendor_that_was_asked_does_not_know_it_any_more()
{
    let last = LookUpReason::ToBeWithdrawn { until_ms: None };
    let outcome = |answer, seen, reason: &LookUpReason| {
        after_look_up(answer, seen, reason, PURCHASE)
            .to_withdraw()
            .outcome
    };
    for answer in [LookUpAnswer::NotFound, LookUpAnswer::Declined(problem())] {
        let certain = outcome(answer.clone(), ANSWERED, &last);
        assert!(matches!(certain, AttemptOutcome::NotBought(_)), "{certain:?}");
        let unasked = outcome(answer, Seen::default(), &last);
        assert!(matches!(unasked, AttemptOutcome::LookedUp(_)), "{unasked:?}");
    }
    for reason in [
        LookUpReason::ToBeWithdrawn { until_ms: Some(5) },
        LookUpReason::NotAdopted,
        LookUpReason::Accepted { changed: Vec::new() },
    ] {
        let in_doubt = outcome(LookUpAnswer::NotFound, ANSWERED, &reason);
        assert!(
            matches!(in_doubt, AttemptOutcome::LookedUp(_)),
            "{reason:?}: {in_doubt:?}"
        );
    }
    for answer in [
        LookUpAnswer::NotOffered,
        LookUpAnswer::Failed(problem(), None),
        LookUpAnswer::BrokeOff("trapped".to_owned()),
    ] {
        let in_doubt = outcome(answer, ANSWERED, &last);
        assert!(matches!(in_doubt, AttemptOutcome::LookedUp(_)), "{in_doubt:?}");
    }
    let found = outcome(LookUpAnswer::Found(license(PURCHASE, "key")), ANSWERED, &last);
    assert!(matches!(found, AttemptOutcome::Licensed(_)), "{found:?}");
    let under_way = LookUpReason::ToBeWithdrawn {
        until_ms: Some(MINUTE_MS),
    };
    let hour = Duration::from_secs(3_600);
    let due = due_at_ms(0, hour, VendorSignal::Answered, Some(&under_way), None);
    assert_eq!(
        due, MINUTE_MS,
        "it is looked up again as soon as it can be withdrawn"
    );
}

#[test]
fn a_word_withdraws_what_nothing_can_buy_any_more_and_nothing_else() {
    let (now, only) = (at(1_000_000), Duration::from_secs(300));
    let doubt = |seconds: i64, is_accepted| {
        Some(Doubt {
            since: at(1_000_000 - seconds * 1_000),
            settings_version: Some(1),
            is_accepted,
        })
    };
    for (in_doubt, awaits_adoption, counts, why) in [
        (None, false, true, "too old for the record to vouch for"),
        (doubt(301, false), false, true, "long over"),
        (doubt(299, false), false, false, "may be under way"),
        (doubt(301, true), false, false, "accepted by the vendor"),
        (doubt(301, false), true, false, "another copy may go on"),
        (None, true, false, "another copy may go on"),
    ] {
        let counts_after = |last| is_withdrawn_on_word(in_doubt, last, awaits_adoption, only, now);
        assert_eq!(counts_after(Some("withdrawal-not-certain")), counts, "{why}");
        assert_eq!(counts_after(Some("withdrawal-waits")), counts, "{why}");
        for told in [
            None,
            Some("license-defect"),
            Some("plugin-answer"),
            Some("other-settings"),
            Some("timeout"),
        ] {
            assert!(!counts_after(told), "{told:?}");
        }
    }
}

#[test]
fn a_line_is_certainly_not_bought_where_nothing_is_in_doubt_and_the_vendor_or_the_record_says_so() {
    let now = at(1_000 * MINUTE_MS);
    let young = new_line(now);
    let old = LineAge {
        placed: at(MINUTE_MS),
        ..young
    };
    let doubt = in_doubt(&[(0, Some((0, AttemptResult::Unknown)))], now.wall_ms);
    assert!(doubt.is_some());
    for (doubt, was_refused, line, is_certain) in [
        (None, false, young, true),
        (None, false, old, false),
        (None, true, old, true),
        (doubt, false, young, false),
        (doubt, true, young, false),
    ] {
        let is_so = is_certainly_not_bought(doubt, was_refused, &line, now);
        assert_eq!(is_so, is_certain, "{doubt:?} {was_refused} {line:?}");
    }
}

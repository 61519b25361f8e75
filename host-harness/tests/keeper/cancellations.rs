//! Cancellations: asked for and decided once, returned by one worker at a time, credited with the return or not at all.

use bss_model::{
    Actor, Asset, AssetStatus, AttemptOutcome, Cancellation, CancellationFilter, CancellationState,
    ChargeFilter, EarlierAttempts, License, LicenseTokenStatus, MailFilter, MailState, Page, Requester,
    RequesterKind, ReturnOutcome, ReturnResult, ReturnStatus, SyncStatus, TakenReturn,
    is_returned_but_active, return_client_transaction_id,
};
use bss_record::{BeginReturnError, CancelError, DecideError, FinishReturnError, Record, RefreshRecordError};
use uuid::Uuid;

use crate::orders::{begin, license, order, problem, shop};
use crate::record::{TestRecord, actor};

const COMMENT: &str = "not needed";
/// A moment beyond the time of any test.
const LATER_MS: i64 = i64::MAX;

/// A customer who asks for a cancellation.
pub(crate) fn customer() -> Requester {
    Requester {
        kind: RequesterKind::Customer,
        name: "Customer".to_owned(),
    }
}

/// Sets up assets of one order that all have their licenses.
async fn licensed(record: &Record, quantity: u32) -> Vec<Uuid> {
    let instance = shop(record).await;
    let placed = record
        .place_order(order(instance, &[("a", quantity)]), &actor())
        .await
        .unwrap()
        .into_order();
    for line in &placed.lines {
        let begun = begin(record, line.asset_id).await;
        let license = license(begun.client_transaction_id, &format!("t-{}", line.position));
        record
            .finish_attempt(line.asset_id, begun.number, AttemptOutcome::Licensed(license), 0)
            .await
            .unwrap();
    }
    placed.lines.iter().map(|line| line.asset_id).collect()
}

async fn one_licensed(record: &Record) -> Uuid {
    licensed(record, 1).await[0]
}

async fn requested(record: &Record, asset: Uuid) -> Cancellation {
    record
        .request_cancellation(asset, &customer(), COMMENT, &actor())
        .await
        .unwrap()
}

pub(crate) async fn returning(record: &Record, asset: Uuid) -> Cancellation {
    record
        .cancel_now(asset, &customer(), COMMENT, &Actor::operator("olivia"))
        .await
        .unwrap()
}

async fn asset(record: &Record, asset: Uuid) -> Asset {
    record.asset(asset).await.unwrap().unwrap()
}

/// Credits per asset, in minor units.
async fn credited(record: &Record) -> Vec<(Uuid, i64)> {
    let credits = record
        .credits(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let credits = credits
        .iter()
        .map(|credit| (credit.asset_id, credit.price.minor_units));
    credits.collect()
}

/// A worker that lives until the test ends.
async fn worker(record: &Record) -> Uuid {
    let worker = record.start_worker().await.unwrap();
    let id = worker.id();
    std::mem::forget(worker);
    id
}

/// Takes the return of a cancellation for a worker.
async fn taken(record: &Record, worker: Uuid, cancellation: &Cancellation) -> TakenReturn {
    record
        .take_return(worker, cancellation.id)
        .await
        .unwrap()
        .unwrap()
}

/// Makes one attempt at a return, by a worker of its own, with this outcome.
pub(crate) async fn attempted(
    record: &Record,
    cancellation: &Cancellation,
    outcome: ReturnOutcome,
) -> Cancellation {
    let taken = taken(record, worker(record).await, cancellation).await;
    let begun = record.begin_return(&taken).await.unwrap();
    record
        .finish_return(&taken, begun.number, &outcome, 0)
        .await
        .unwrap()
}

fn refused() -> ReturnOutcome {
    ReturnOutcome::Refused(problem("license-redeemed"))
}

#[tokio::test]
async fn a_request_waits_for_a_decision_and_changes_nothing() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let before = asset(&record, id).await;
    let made = requested(&record, id).await;
    assert_eq!(made.state, CancellationState::Requested);
    assert_eq!((made.number, made.comment.as_str()), (1, COMMENT));
    assert_eq!((&made.decision, made.ended_at_ms), (&None, None));
    let again = record.opened_again().await;
    assert_eq!(again.cancellation(made.id).await.unwrap(), Some(made));
    assert_eq!(asset(&again, id).await, before);
    assert_eq!(
        record.take_returns(Uuid::new_v4(), 10, None, &[]).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn the_last_cancellation_of_an_asset_is_the_one_to_decide() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    assert_eq!(record.last_cancellation(id).await.unwrap(), None);
    let first = requested(&record, id).await;
    record
        .decline_cancellation(first.id, "", &Actor::operator("olivia"))
        .await
        .unwrap();
    let second = requested(&record, id).await;
    assert_eq!(record.last_cancellation(id).await.unwrap(), Some(second));
}

#[test]
fn client_transaction_ids_of_returns_never_change() {
    let id = return_client_transaction_id(Uuid::from_u128(1), 2);
    assert_eq!(id.to_string(), "e5ab06e8-c00b-5d0f-aa7c-836caab9b308");
    assert_eq!(id.get_version_num(), 5);
    assert_ne!(id, return_client_transaction_id(Uuid::from_u128(1), 3));
}

#[tokio::test]
async fn a_request_is_decided_once() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let withdrawn = requested(&record, id).await;
    let withdrawn = record
        .withdraw_cancellation(withdrawn.id, "", &Actor::operator("Customer"))
        .await
        .unwrap();
    assert_eq!(withdrawn.state, CancellationState::Withdrawn);
    let declined = requested(&record, id).await;
    let declined = record
        .decline_cancellation(declined.id, " too late ", &Actor::operator("olivia"))
        .await
        .unwrap();
    assert_eq!(declined.state, CancellationState::Declined);
    let decision = declined.decision.as_ref().unwrap();
    assert_eq!(
        (decision.by.as_str(), decision.comment.as_str()),
        ("olivia", "too late")
    );
    assert_eq!(declined.ended_at_ms, Some(decision.at_ms));
    let confirmed = requested(&record, id).await;
    let confirmed = record
        .confirm_cancellation(confirmed.id, "", &Actor::operator("olivia"))
        .await
        .unwrap();
    assert_eq!(
        (confirmed.state, confirmed.ended_at_ms, confirmed.number),
        (CancellationState::Returning, None, 3)
    );
    for decided in [&withdrawn, &declined, &confirmed] {
        let again = [
            record
                .withdraw_cancellation(decided.id, "", &Actor::operator("x"))
                .await,
            record
                .decline_cancellation(decided.id, "", &Actor::operator("x"))
                .await,
            record
                .confirm_cancellation(decided.id, "", &Actor::operator("x"))
                .await,
        ];
        for again in again {
            let error = again.unwrap_err();
            assert!(
                matches!(error, DecideError::Decided { state, .. } if state == decided.state),
                "{error:?}"
            );
        }
        assert_eq!(
            record.cancellation(decided.id).await.unwrap().as_ref(),
            Some(decided)
        );
    }
    let filter = CancellationFilter {
        asset: Some(id),
        open: true,
        ..CancellationFilter::default()
    };
    assert_eq!(
        record.cancellations(&filter, &Page::all()).await.unwrap().rows,
        [confirmed]
    );
    let all = record
        .cancellations(&CancellationFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let numbers: Vec<_> = all.iter().map(|cancellation| cancellation.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test]
async fn an_asset_has_one_open_cancellation() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let made = requested(&record, id).await;
    for expected in [CancellationState::Requested, CancellationState::Returning] {
        let second = [
            record.request_cancellation(id, &customer(), "", &actor()).await,
            record
                .cancel_now(id, &customer(), "", &Actor::operator("olivia"))
                .await,
        ];
        for second in second {
            let error = second.unwrap_err();
            assert!(
                matches!(error, CancelError::Open { state, .. } if state == expected),
                "{error:?}"
            );
        }
        if expected == CancellationState::Requested {
            record
                .confirm_cancellation(made.id, "", &Actor::operator("olivia"))
                .await
                .unwrap();
        }
    }
    // The database itself refuses a second open cancellation, whatever a program believes.
    let copied = record.database().try_execute(
        "INSERT INTO cancellations SELECT 'another', asset_id, 2, 'requested', requester_kind, requester_name,
         comment, requested_at_ms, NULL, NULL, NULL, 'another', NULL, NULL, NULL, 0 FROM cancellations",
    );
    let error = copied.await.unwrap_err().into_database_error().unwrap();
    assert!(error.is_unique_violation(), "a second one: {error}");
}

#[tokio::test]
async fn only_an_active_asset_with_a_license_can_be_cancelled() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record
        .place_order(order(instance, &[("a", 2)]), &actor())
        .await
        .unwrap()
        .into_order();
    let [waiting, failed] = [placed.lines[0].asset_id, placed.lines[1].asset_id];
    let begun = begin(&record, failed).await;
    let outcome = AttemptOutcome::Refused(problem("offer-not-found"));
    record
        .finish_attempt(failed, begun.number, outcome, 0)
        .await
        .unwrap();
    for (id, expected) in [
        (waiting, SyncStatus::Unsynchronised),
        (failed, SyncStatus::Failed),
    ] {
        let error = record
            .request_cancellation(id, &customer(), "", &actor())
            .await
            .unwrap_err();
        assert!(
            matches!(error, CancelError::NotCancelable { sync_status, .. } if sync_status == expected),
            "{error:?}"
        );
    }
    let error = record
        .cancel_now(Uuid::nil(), &customer(), "", &Actor::operator("olivia"))
        .await
        .unwrap_err();
    assert!(matches!(error, CancelError::NoAsset { .. }), "{error:?}");
    let error = record
        .confirm_cancellation(Uuid::nil(), "", &Actor::operator("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, DecideError::NoCancellation { .. }), "{error:?}");
}

#[tokio::test]
async fn a_comment_has_an_end() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let error = record
        .request_cancellation(id, &customer(), &"ä".repeat(2_001), &actor())
        .await
        .unwrap_err();
    assert!(matches!(error, CancelError::Comment(_)), "{error:?}");
    let made = record
        .request_cancellation(id, &customer(), &"ä".repeat(2_000), &actor())
        .await
        .unwrap();
    assert_eq!(made.comment.chars().count(), 2_000);
}

#[tokio::test]
async fn a_return_cancels_the_asset_and_credits_its_whole_price_once() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 2).await;
    let before = [asset(&record, ids[0]).await, asset(&record, ids[1]).await];
    let made = returning(&record, ids[0]).await;
    let done = attempted(&record, &made, ReturnOutcome::Returned).await;
    assert_eq!(
        (done.state, done.reason.as_ref()),
        (CancellationState::Done, None)
    );
    assert!(done.ended_at_ms.is_some());
    let after = asset(&record, ids[0]).await;
    let expected = Asset {
        status: AssetStatus::Cancelled,
        license_token_status: Some(LicenseTokenStatus::Returned),
        return_status: ReturnStatus::Successful,
        refreshed_at_ms: after.refreshed_at_ms,
        ..before[0].clone()
    };
    assert_eq!(after, expected);
    assert_eq!(
        asset(&record, ids[1]).await,
        before[1],
        "its neighbor is untouched"
    );
    assert_eq!(credited(&record).await, [(ids[0], 14_900)]);
    let credits = record
        .credits(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    assert_eq!(credits[0].cancellation_id, Some(made.id));
    // The return can't be taken up again, and the asset can't be cancelled again.
    assert_eq!(record.take_return(Uuid::new_v4(), made.id).await.unwrap(), None);
    let error = record
        .cancel_now(ids[0], &customer(), "", &Actor::operator("olivia"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            CancelError::NotCancelable {
                status: AssetStatus::Cancelled,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(credited(&record).await.len(), 1);
}

#[tokio::test]
async fn a_refused_return_leaves_the_asset_and_the_bill_as_they_were() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let before = asset(&record, id).await;
    let made = returning(&record, id).await;
    let ended = attempted(&record, &made, refused()).await;
    assert_eq!(ended.state, CancellationState::Refused);
    let reason = ended.reason.unwrap();
    assert_eq!(
        (reason.result, reason.problem),
        (ReturnResult::Refused, problem("license-redeemed"))
    );
    assert!(ended.ended_at_ms.is_some());
    assert_eq!(asset(&record, id).await, before);
    assert_eq!(credited(&record).await, []);
    // The license may be returned again, which is another return.
    let next = returning(&record, id).await;
    assert_eq!(next.number, 2);
    assert_ne!(
        next.return_client_transaction_id,
        made.return_client_transaction_id
    );
}

#[tokio::test]
async fn what_settles_nothing_leaves_the_return_open_until_it_is_due_again() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let before = asset(&record, id).await;
    let made = returning(&record, id).await;
    let worker = worker(&record).await;
    let open = [
        (
            ReturnOutcome::Unavailable(problem("busy")),
            ReturnResult::Unavailable,
        ),
        (ReturnOutcome::Unknown(problem("reset")), ReturnResult::Unknown),
    ];
    for (number, (outcome, result)) in (1..).zip(open) {
        let taken = taken(&record, worker, &made).await;
        let begun = record.begin_return(&taken).await.unwrap();
        assert_eq!(begun.number, number);
        assert_eq!(begun.client_transaction_id, made.return_client_transaction_id);
        assert_eq!(
            (begun.license.license_token_id.as_str(), begun.comment.as_str()),
            ("token of t-1", COMMENT)
        );
        let after = record
            .finish_return(&taken, number, &outcome, LATER_MS)
            .await
            .unwrap();
        assert_eq!(
            (after.state, after.due_at_ms),
            (CancellationState::Returning, LATER_MS)
        );
        assert_eq!(after.reason.unwrap().result, result);
        assert_eq!(
            record.take_returns(worker, 10, None, &[]).await.unwrap(),
            [],
            "not due yet"
        );
    }
    assert_eq!(asset(&record, id).await, before);
    assert_eq!(credited(&record).await, []);
    let attempts = record.return_attempts(made.id).await.unwrap();
    let shown: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.result, attempt.problem.clone()))
        .collect();
    let expected = [
        (1, Some(ReturnResult::Unavailable), Some(problem("busy"))),
        (2, Some(ReturnResult::Unknown), Some(problem("reset"))),
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn an_attempt_knows_what_became_of_those_before_it() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let made = returning(&record, id).await;
    let worker = worker(&record).await;
    let steps = [
        (EarlierAttempts::None, ReturnOutcome::Unavailable(problem("busy"))),
        (EarlierAttempts::NotDone, ReturnOutcome::Unknown(problem("reset"))),
        (
            EarlierAttempts::Unknown,
            ReturnOutcome::Unavailable(problem("busy")),
        ),
        (EarlierAttempts::Unknown, refused()),
    ];
    for (earlier, outcome) in steps {
        let taken = taken(&record, worker, &made).await;
        let begun = record.begin_return(&taken).await.unwrap();
        assert_eq!(begun.earlier, earlier, "attempt {}", begun.number);
        record
            .finish_return(&taken, begun.number, &outcome, 0)
            .await
            .unwrap();
    }
    // Attempts at one cancellation of an asset do not count for the next.
    let next = returning(&record, id).await;
    let taken = taken(&record, worker, &next).await;
    assert_eq!(
        record.begin_return(&taken).await.unwrap().earlier,
        EarlierAttempts::None
    );
}

#[tokio::test]
async fn a_crash_during_a_return_leaves_the_intent_and_the_next_worker_asks_first() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let made = returning(&record, id).await;
    let dead = record.start_worker().await.unwrap();
    let first = taken(&record, dead.id(), &made).await;
    record.begin_return(&first).await.unwrap();

    let next = record.opened_again().await;
    let worker = next.start_worker().await.unwrap();
    assert_eq!(next.take_returns(worker.id(), 10, None, &[]).await.unwrap(), []);
    assert_eq!(next.take_return(worker.id(), made.id).await.unwrap(), None);
    let not_its = TakenReturn {
        worker: worker.id(),
        ..first.clone()
    };
    let error = next.begin_return(&not_its).await.unwrap_err();
    assert!(matches!(error, BeginReturnError::NotTaken { .. }), "{error:?}");

    // The worker dies, and its lease runs out.
    let dead_id = dead.id();
    drop(dead);
    let ends = format!("UPDATE workers SET lease_ends_uptime_ms = 0 WHERE id = '{dead_id}'");
    record.database().execute(&ends).await;
    let taken = next.take_returns(worker.id(), 10, None, &[]).await.unwrap();
    assert_eq!(taken.len(), 1);
    let begun = next.begin_return(&taken[0]).await.unwrap();
    assert_eq!((begun.number, begun.earlier), (2, EarlierAttempts::Unknown));
}

#[tokio::test]
async fn a_worker_that_has_nothing_to_return_waits_for_no_writer() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 2).await;
    let worker = record.start_worker().await.unwrap();
    // A return is under way, and another waits for its time.
    let made = returning(&record, ids[0]).await;
    taken(&record, worker.id(), &made).await;
    let made = returning(&record, ids[1]).await;
    let waits = taken(&record, worker.id(), &made).await;
    record.leave_return(&waits, i64::MAX).await.unwrap();
    let writer = record.database().writing().await;
    let returns = record.take_returns(worker.id(), 10, None, &[]).await;
    assert_eq!(returns.unwrap(), []);
    drop(writer);
}

#[tokio::test]
async fn due_returns_are_shared_among_workers_and_those_of_an_excluded_instance_wait() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 3).await;
    let mut made = Vec::new();
    for id in &ids {
        made.push(returning(&record, *id).await);
    }
    let instance = asset(&record, ids[0]).await.instance_id;
    let [one, two] = [
        record.start_worker().await.unwrap(),
        record.start_worker().await.unwrap(),
    ];
    assert_eq!(
        record
            .take_returns(one.id(), 10, None, &[instance])
            .await
            .unwrap(),
        []
    );
    let first = record
        .take_returns(one.id(), 2, None, &[Uuid::new_v4()])
        .await
        .unwrap();
    let second = record.take_returns(two.id(), 10, None, &[]).await.unwrap();
    assert_eq!((first.len(), second.len()), (2, 1));
    let mut all: Vec<_> = first.iter().chain(&second).map(|taken| taken.asset_id).collect();
    let mut expected = ids.clone();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    // Worker two lets go of its return and worker one ends: all three returns are free.
    record.leave_return(&second[0], 0).await.unwrap();
    record.end_worker(one).await.unwrap();
    let again = record.take_returns(two.id(), 10, None, &[]).await.unwrap();
    assert_eq!(again.len(), 3);
}

#[tokio::test]
async fn an_attempt_ends_once() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let made = returning(&record, id).await;
    let taken = taken(&record, worker(&record).await, &made).await;
    let begun = record.begin_return(&taken).await.unwrap();
    let returned = ReturnOutcome::Returned;
    record
        .finish_return(&taken, begun.number, &returned, 0)
        .await
        .unwrap();
    for number in [begun.number, 7] {
        let error = record
            .finish_return(&taken, number, &returned, 0)
            .await
            .unwrap_err();
        assert!(matches!(error, FinishReturnError::NoAttempt { .. }), "{error:?}");
    }
    assert_eq!(credited(&record).await.len(), 1);
}

#[tokio::test]
async fn a_late_refusal_or_doubt_does_not_undo_what_another_attempt_decides() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let made = returning(&record, id).await;
    let slow = taken(&record, worker(&record).await, &made).await;
    let first = record.begin_return(&slow).await.unwrap();
    record.leave_return(&slow, 0).await.unwrap();
    let fast = taken(&record, worker(&record).await, &made).await;
    let second = record.begin_return(&fast).await.unwrap();
    let still = record
        .finish_return(&slow, first.number, &refused(), 0)
        .await
        .unwrap();
    assert_eq!((still.state, still.reason), (CancellationState::Returning, None));
    let done = record
        .finish_return(&fast, second.number, &ReturnOutcome::Returned, 0)
        .await
        .unwrap();
    assert_eq!(done.state, CancellationState::Done);
    assert_eq!(credited(&record).await.len(), 1);
}

#[tokio::test]
async fn a_late_return_settles_an_open_cancellation_and_is_shown_after_a_refused_one() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 2).await;
    for (id, refuses) in [(ids[0], false), (ids[1], true)] {
        let made = returning(&record, id).await;
        let slow = taken(&record, worker(&record).await, &made).await;
        let first = record.begin_return(&slow).await.unwrap();
        record.leave_return(&slow, 0).await.unwrap();
        if refuses {
            attempted(&record, &made, refused()).await;
        }
        let late = record
            .finish_return(&slow, first.number, &ReturnOutcome::Returned, 0)
            .await
            .unwrap();
        let after = asset(&record, id).await;
        assert_eq!(after.return_status, ReturnStatus::Successful);
        assert_eq!(is_returned_but_active(&after), refuses);
        let mails = record
            .mails(&MailFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows;
        let mail = mails.iter().find(|mail| mail.asset_id == id).unwrap();
        assert_eq!(mail.state, MailState::Withdrawn);
        let expected = if refuses {
            CancellationState::Refused
        } else {
            CancellationState::Done
        };
        assert_eq!(late.state, expected);
    }
    assert_eq!(credited(&record).await, [(ids[0], 14_900)]);
}

#[tokio::test]
async fn a_refresh_shows_what_the_vendor_says_and_credits_nothing() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    let before = record.begin_refresh(id).await.unwrap();
    assert_eq!(before.refreshed_at_ms, None);
    let redeemed = record
        .finish_refresh(id, LicenseTokenStatus::Used, ReturnStatus::None)
        .await
        .unwrap();
    let expected = Asset {
        license_token_status: Some(LicenseTokenStatus::Used),
        refreshed_at_ms: redeemed.refreshed_at_ms,
        ..before
    };
    assert_eq!(redeemed, expected);
    assert!(redeemed.refreshed_at_ms.is_some() && !is_returned_but_active(&redeemed));
    let returned = record
        .finish_refresh(id, LicenseTokenStatus::Returned, ReturnStatus::Successful)
        .await
        .unwrap();
    assert_eq!(returned.status, AssetStatus::Active);
    assert!(is_returned_but_active(&returned));
    assert_eq!(credited(&record).await, []);
}

#[tokio::test]
async fn an_answer_that_is_older_than_the_return_does_not_undo_it() {
    let record = TestRecord::open().await;
    let id = one_licensed(&record).await;
    record.begin_refresh(id).await.unwrap();
    let made = returning(&record, id).await;
    attempted(&record, &made, ReturnOutcome::Returned).await;
    let after = record
        .finish_refresh(id, LicenseTokenStatus::Unused, ReturnStatus::None)
        .await
        .unwrap();
    assert_eq!(
        (after.license_token_status, after.return_status),
        (Some(LicenseTokenStatus::Returned), ReturnStatus::Successful)
    );
}

#[tokio::test]
async fn an_asset_without_a_license_is_not_refreshed() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    let error = record.begin_refresh(placed.lines[0].asset_id).await.unwrap_err();
    assert!(matches!(error, RefreshRecordError::NoLicense { .. }), "{error:?}");
    let error = record.begin_refresh(Uuid::nil()).await.unwrap_err();
    assert!(matches!(error, RefreshRecordError::NoAsset { .. }), "{error:?}");
    assert!(
        record
            .assets_to_refresh(LATER_MS, 10, &[])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn licenses_in_use_are_asked_about_in_turn_and_not_more_often_than_told() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 4).await;
    let instance = asset(&record, ids[0]).await.instance_id;
    let now = asset(&record, ids[0]).await.created_at_ms;
    let first = async |older_than_ms, limit| {
        let due = record.assets_to_refresh(older_than_ms, limit, &[]).await.unwrap();
        assert!(due.iter().all(|(_, its)| *its == instance));
        due.into_iter().map(|(asset, _)| asset).collect::<Vec<_>>()
    };
    let due = async |older_than_ms| first(older_than_ms, 10).await;
    assert!(
        due(now - 1).await.is_empty(),
        "what was said when it was bought counts"
    );
    assert_eq!(due(LATER_MS).await.len(), 4);
    let excluded = record.assets_to_refresh(LATER_MS, 10, &[instance]).await;
    assert!(excluded.unwrap().is_empty());

    // License 0 is redeemed, license 1 is cancelled, and license 2 was asked about in vain.
    record.begin_refresh(ids[0]).await.unwrap();
    record
        .finish_refresh(ids[0], LicenseTokenStatus::Used, ReturnStatus::None)
        .await
        .unwrap();
    let made = returning(&record, ids[1]).await;
    attempted(&record, &made, ReturnOutcome::Returned).await;
    record.begin_refresh(ids[2]).await.unwrap();
    assert_eq!(
        due(LATER_MS).await,
        [ids[3], ids[2]],
        "who has waited longest is first"
    );
    assert_eq!(first(LATER_MS, 1).await, [ids[3]]);
}

#[tokio::test]
async fn a_license_that_was_given_back_before_it_was_heard_of_is_neither_charged_nor_mailed() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let placed = record
        .place_order(order(instance, &[("a", 1)]), &actor())
        .await
        .unwrap()
        .into_order();
    let id = placed.lines[0].asset_id;
    let begun = begin(&record, id).await;
    let license = License {
        license_token_status: LicenseTokenStatus::Returned,
        return_status: ReturnStatus::Successful,
        ..license(begun.client_transaction_id, "t-1")
    };
    let found = AttemptOutcome::Licensed(license);
    let after = record.finish_attempt(id, begun.number, found, 0).await.unwrap();
    assert_eq!(after.sync_status, SyncStatus::Synchronized);
    assert!(is_returned_but_active(&after));
    assert_eq!(
        record
            .charges(&ChargeFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        []
    );
    assert_eq!(
        record
            .mails(&MailFilter::default(), &Page::all())
            .await
            .unwrap()
            .rows,
        []
    );

    // The operator cancels the asset, and there is nothing to credit.
    let made = returning(&record, id).await;
    let done = attempted(&record, &made, ReturnOutcome::Returned).await;
    assert_eq!(done.state, CancellationState::Done);
    assert_eq!(credited(&record).await, []);
}

#[tokio::test]
async fn the_key_of_a_license_is_mailed_to_nobody_once_the_vendor_shows_it_returned() {
    let record = TestRecord::open().await;
    let ids = licensed(&record, 2).await;
    record
        .finish_refresh(ids[0], LicenseTokenStatus::Returned, ReturnStatus::Successful)
        .await
        .unwrap();
    record
        .finish_refresh(ids[1], LicenseTokenStatus::Used, ReturnStatus::None)
        .await
        .unwrap();
    let mails = record
        .mails(&MailFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let states: Vec<_> = mails.iter().map(|mail| (mail.asset_id, mail.state)).collect();
    assert!(states.contains(&(ids[0], MailState::Withdrawn)), "{states:?}");
    assert!(states.contains(&(ids[1], MailState::Pending)), "{states:?}");
}

//! The feed of outcomes: in the transaction of what it tells, in its order, and across restored copies.

use bss_model::{
    AssetId, AttemptOutcome, ChargeFilter, Duties, DutiesChange, Event, LicenseTokenStatus, MailFilter,
    MailState, NewOrder, OrderId, Outcome, OutcomeCursor, OutcomeKind, Owner, Page, ReturnOutcome,
    ReturnStatus,
};
use bss_record::{OutcomesError, PlaceError, Record};
use uuid::Uuid;

use crate::cancellations::{attempted, returning};
use crate::charges::{buy, orders};
use crate::orders::{begin, license, order, problem, sell, shop};
use crate::record::{TestRecord, actor, ready_instance};
use crate::services::{definition, product};
use crate::tenants::shop_of;

const MANY: u32 = 1_000;

async fn after(record: &Record, cursor: OutcomeCursor) -> Vec<Outcome> {
    record.outcomes(cursor, MANY, None).await.unwrap()
}

/// The kinds of all outcomes of an asset so far, the first one first.
async fn kinds(record: &Record, asset: Uuid) -> Vec<OutcomeKind> {
    let all = after(record, OutcomeCursor::START).await;
    let its = all.iter().filter(|outcome| outcome.asset == AssetId(asset));
    its.map(|outcome| outcome.kind).collect()
}

#[tokio::test]
async fn each_outcome_names_the_callers_own_key_and_comes_once_in_its_order() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    let keyed = NewOrder {
        idempotency_key: Some("BASKET-7".to_owned()),
        ..order(instance, &[("a", 2)])
    };
    let placed = record.place_order(keyed, &actor()).await.unwrap().into_order();
    assert_eq!(after(&record, OutcomeCursor::START).await, []);

    let [second, first] = [placed.lines[1].asset_id, placed.lines[0].asset_id];
    buy(&record, second).await;
    let begun = begin(&record, first).await;
    let refused = AttemptOutcome::Refused(problem("credit"));
    record
        .finish_attempt(first, begun.number, refused, 0)
        .await
        .unwrap();

    let all = after(&record, OutcomeCursor::START).await;
    let [licensed, refused] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(
        (licensed.kind, licensed.asset, licensed.order, licensed.position),
        (OutcomeKind::Licensed, AssetId(second), OrderId(placed.id), 2)
    );
    assert_eq!(licensed.idempotency_key.as_deref(), Some("BASKET-7"));
    assert_eq!(
        (refused.kind, refused.asset),
        (OutcomeKind::Refused, AssetId(first))
    );
    assert_eq!(refused.problem, Some(problem("credit")));
    // In pages, and as text, as a platform keeps it.
    let page = record.outcomes(OutcomeCursor::START, 1, None).await.unwrap();
    assert_eq!(page, all[..1]);
    let kept: OutcomeCursor = page[0].cursor.to_string().parse().unwrap();
    assert_eq!(after(&record, kept).await, all[1..]);
    assert_eq!(after(&record, all[1].cursor).await, []);
    // Another process reads the same.
    assert_eq!(
        after(&record.opened_again().await, OutcomeCursor::START).await,
        all
    );
}

#[tokio::test]
async fn what_is_told_twice_is_an_outcome_once() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    let begun = begin(&record, asset).await;
    let client = record.asset(asset).await.unwrap().unwrap().client_transaction_id;
    for _ in 0..2 {
        let licensed = AttemptOutcome::Licensed(license(client, "t-1"));
        record
            .finish_attempt(asset, begun.number, licensed, 0)
            .await
            .unwrap();
    }
    assert_eq!(kinds(&record, asset).await, [OutcomeKind::Licensed]);
    for transaction in ["t-2", "t-2"] {
        let second = AttemptOutcome::Licensed(license(client, transaction));
        let _ = record
            .finish_attempt(asset, begun.number, second, 0)
            .await
            .unwrap_err();
    }
    assert_eq!(
        kinds(&record, asset).await,
        [OutcomeKind::Licensed, OutcomeKind::SecondLicense]
    );
}

#[tokio::test]
async fn a_refused_line_that_is_tried_again_has_two_outcomes() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    let begun = begin(&record, asset).await;
    let unavailable = AttemptOutcome::Unavailable(problem("busy"));
    record
        .finish_attempt(asset, begun.number, unavailable, 0)
        .await
        .unwrap();
    assert_eq!(kinds(&record, asset).await, [], "the host goes on");
    let begun = begin(&record, asset).await;
    let refused = AttemptOutcome::Refused(problem("credit"));
    record
        .finish_attempt(asset, begun.number, refused, 0)
        .await
        .unwrap();
    record.retry_asset(asset, &actor()).await.unwrap();
    buy(&record, asset).await;
    assert_eq!(
        kinds(&record, asset).await,
        [OutcomeKind::Refused, OutcomeKind::Licensed]
    );
}

#[tokio::test]
async fn a_line_that_is_overdue_is_told_once() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 1).await.remove(0);
    let asset = placed.lines[0].asset_id;
    for (before_ms, told) in [(0, vec![]), (i64::MAX, vec![asset]), (i64::MAX, vec![])] {
        assert_eq!(record.newly_overdue(before_ms).await.unwrap(), told);
    }
    assert_eq!(kinds(&record, asset).await, [OutcomeKind::Overdue]);
}

#[tokio::test]
async fn returns_are_told_as_what_they_are() {
    let record = TestRecord::open().await;
    let placed = orders(&record, 1, 3).await.remove(0);
    let [returned, refused, elsewhere] = [0, 1, 2].map(|at| placed.lines[at].asset_id);
    for asset in [returned, refused, elsewhere] {
        buy(&record, asset).await;
    }
    let cancellation = returning(&record, returned).await;
    attempted(&record, &cancellation, ReturnOutcome::Returned).await;
    let cancellation = returning(&record, refused).await;
    let too_late = ReturnOutcome::Refused(problem("too-late"));
    attempted(&record, &cancellation, too_late).await;
    for _ in 0..2 {
        let (status, is) = (LicenseTokenStatus::Returned, ReturnStatus::Successful);
        record.finish_refresh(elsewhere, status, is).await.unwrap();
    }
    let licensed = OutcomeKind::Licensed;
    for (asset, told) in [
        (returned, OutcomeKind::Returned),
        (refused, OutcomeKind::ReturnRefused),
        (elsewhere, OutcomeKind::ReturnedElsewhere),
    ] {
        assert_eq!(kinds(&record, asset).await, [licensed, told], "{told}");
    }
}

/// A copy that is restored has lost what was told since it was made. A platform that goes on with its cursor misses
/// nothing of what the copy tells, although the numbers come again.
#[tokio::test]
async fn a_restored_copy_tells_what_it_does_anew() {
    let record = TestRecord::on_sqlite().await;
    let placed = orders(&record, 1, 3).await.remove(0);
    let [before, lost, later] = [0, 1, 2].map(|at| placed.lines[at].asset_id);
    buy(&record, before).await;
    let backup = record.path().join("backup.db");
    record.backup(&backup).await.unwrap();
    buy(&record, lost).await;
    let kept = after(&record, OutcomeCursor::START).await.pop().unwrap().cursor;
    let told_before = events(&record, OutcomeCursor::START, None, None).await;

    let directory = record.closed().await;
    Record::restore(directory.path(), &backup, None, true)
        .await
        .unwrap();
    let restored = Record::open(directory.path()).await.unwrap();
    assert_eq!(after(&restored, kept).await, [], "the copy has told nothing yet");
    restored.adopt(&actor()).await.unwrap();
    buy(&restored, later).await;
    buy(&restored, lost).await;
    let told = after(&restored, kept).await;
    let assets: Vec<AssetId> = told.iter().map(|outcome| outcome.asset).collect();
    assert_eq!(assets, [AssetId(later), AssetId(lost)]);
    assert_eq!(after(&restored, told[0].cursor).await, told[1..]);
    // Who was told before the copy was restored knows it by its id.
    let told_again = events(&restored, kept, None, None).await;
    assert_eq!(told_again[1].id, told_before[1].id);
    assert_ne!(told_again[0].id, told_before[1].id);
}

/// The events after a cursor, in pages of two, of which none but the last has room for more.
async fn events(
    record: &Record,
    mut after: OutcomeCursor,
    of: Option<&Owner>,
    instances: Option<&[Uuid]>,
) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let page = record.events(after, 2, of, instances).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.outcome.cursor;
        let is_last = page.len() < 2;
        all.extend(page);
        if is_last {
            assert_eq!(record.events(after, 2, of, instances).await.unwrap(), []);
            return all;
        }
    }
}

#[tokio::test]
async fn events_of_an_owner_or_of_instances_fill_their_pages_and_no_others_are_among_them() {
    let record = TestRecord::open().await;
    let (north, south): (Owner, Owner) = ("north".parse().unwrap(), "south".parse().unwrap());
    let ours = shop_of(&record, Some(&north)).await.id;
    let theirs = shop_of(&record, Some(&south)).await.id;
    let mut bought = Vec::new();
    for instance in [
        theirs, theirs, theirs, ours, theirs, ours, ours, theirs, theirs, theirs,
    ] {
        let placed = record.place_order(order(instance, &[("a", 1)]), &actor()).await;
        let asset = placed.unwrap().into_order().lines[0].asset_id;
        buy(&record, asset).await;
        bought.push((instance, AssetId(asset)));
    }
    let all: Vec<AssetId> = bought.iter().map(|(_, asset)| *asset).collect();
    let is_ours = |(instance, _): &&(Uuid, AssetId)| *instance == ours;
    let of_ours: Vec<AssetId> = bought.iter().filter(is_ours).map(|(_, asset)| *asset).collect();
    let (only_ours, only_theirs, both) = ([ours], [theirs], [ours, theirs]);
    for (of, instances, expected) in [
        (None, None, &all),
        (None, Some(&both[..]), &all),
        (Some(&north), None, &of_ours),
        (None, Some(&only_ours[..]), &of_ours),
        (Some(&north), Some(&both[..]), &of_ours),
        (Some(&north), Some(&only_theirs[..]), &Vec::new()),
        (None, Some(&[][..]), &Vec::new()),
    ] {
        let told = events(&record, OutcomeCursor::START, of, instances).await;
        let assets: Vec<AssetId> = told.iter().map(|event| event.outcome.asset).collect();
        assert_eq!(&assets, expected, "{of:?} {instances:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_record_is_refused() {
    let [record, other] = [TestRecord::open().await, TestRecord::open().await];
    for record in [&record, &other] {
        let placed = orders(record, 1, 1).await.remove(0);
        buy(record, placed.lines[0].asset_id).await;
    }
    let cursor = after(&other, OutcomeCursor::START).await[0].cursor;
    let refused = record.outcomes(cursor, MANY, None).await;
    assert!(
        matches!(refused, Err(OutcomesError::UnknownCursor { .. })),
        "{refused:?}"
    );
    // A cursor beyond all that there is shows a copy whose restoration nobody noticed.
    other.database().execute("DELETE FROM outcomes").await;
    let refused = other.outcomes(cursor, MANY, None).await;
    assert!(
        matches!(refused, Err(OutcomesError::UnknownCursor { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_platform_that_mails_and_charges_itself_needs_no_contact_and_no_price() {
    let record = TestRecord::open().await;
    let instance = ready_instance(&record, "i", None).await.id;
    let definition = definition(vec![product("a", "A")]);
    record
        .apply_services_definition(instance, definition)
        .await
        .unwrap();
    record
        .decide_products(
            instance,
            bss_model::Decision::Activate,
            &bss_model::Choice::All,
            &actor(),
        )
        .await
        .unwrap();
    let without = NewOrder {
        contact: None,
        ..order(instance, &[("a", 1)])
    };
    let refused = record.place_order(without.clone(), &actor()).await;
    assert!(matches!(refused, Err(PlaceError::NoContact)), "{refused:?}");
    let (mails, charges) = (false, false);
    record
        .set_duties(Duties { mails, charges: true }, &actor())
        .await
        .unwrap();
    let refused = record.place_order(without.clone(), &actor()).await;
    assert!(matches!(refused, Err(PlaceError::NoPrice { .. })), "{refused:?}");
    record
        .set_duties(Duties { mails, charges }, &actor())
        .await
        .unwrap();
    let placed = record.place_order(without, &actor()).await.unwrap().into_order();
    let asset = placed.lines[0].asset_id;
    assert_eq!(record.asset(asset).await.unwrap().unwrap().price, None);
    buy(&record, asset).await;
    assert_eq!(kinds(&record, asset).await, [OutcomeKind::Licensed]);
}

/// E-mails that nobody was to send are never sent: neither those that were written down before, nor any while they are the
/// platform's, whatever is configured later.
#[tokio::test]
async fn e_mails_that_are_no_duty_are_not_written_down_to_be_sent_later() {
    let record = TestRecord::open().await;
    let instance = shop(&record).await;
    sell(&record, instance, &["a"]).await;
    let new = || order(instance, &[("a", 1)]);
    let mut assets = Vec::new();
    for duties in [
        Duties::default(),
        Duties {
            mails: false,
            charges: false,
        },
        Duties::default(),
    ] {
        record.set_duties(duties, &actor()).await.unwrap();
        let placed = record.place_order(new(), &actor()).await.unwrap().into_order();
        buy(&record, placed.lines[0].asset_id).await;
        assets.push(placed.lines[0].asset_id);
    }
    let mails = record
        .mails(&MailFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let states: Vec<(Uuid, MailState)> = mails.iter().map(|mail| (mail.asset_id, mail.state)).collect();
    assert_eq!(
        states,
        [(assets[0], MailState::Withdrawn), (assets[2], MailState::Pending)]
    );
    let charges = record
        .charges(&ChargeFilter::default(), &Page::all())
        .await
        .unwrap()
        .rows;
    let charged: Vec<Uuid> = charges
        .iter()
        .flat_map(|charge| &charge.lines)
        .map(|line| line.asset_id)
        .collect();
    assert_eq!(charged, [assets[0], assets[2]]);
}

#[tokio::test]
async fn two_who_take_over_different_duties_at_once_take_over_both() {
    let record = TestRecord::open().await;
    let other = record.opened_again().await;
    let mails = DutiesChange {
        mails: Some(false),
        ..DutiesChange::default()
    };
    let charges = DutiesChange {
        charges: Some(false),
        ..DutiesChange::default()
    };
    let first = actor();
    let changed = tokio::join!(
        record.set_duties(mails, &first),
        other.set_duties(charges, &first)
    );
    assert!(matches!(changed, (Ok(()), Ok(()))), "{changed:?}");
    let none = Duties {
        mails: false,
        charges: false,
    };
    assert_eq!(record.duties().await.unwrap(), none);
}

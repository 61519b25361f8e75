//! Who did what: the acts on record, the latest first, and whether they are as they were written.

use std::num::NonZeroU32;

use bss_model::{Act, ActFilter, Cursor, RecordedAct, SubjectKind};
use host_harness::{AuditError, Host, view};
use minijinja::context;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::me::Me;
use crate::pages::house::{self, Month};
use crate::query::Query;

/// Acts on a page.
const ROWS: usize = 50;

/// Acts that are read at a time.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(2_000).expect("not 0");

/// How often acts are read for a page. What is older is looked for on the next one.
const READINGS: u32 = 10;

/// What is looked for.
struct Asked {
    filter: ActFilter,
    act: Option<Act>,
    actor: Option<String>,
    month: Option<Month>,
}

impl Asked {
    /// Whether an act is one that is looked for, of those that the record has found.
    fn has(&self, found: &RecordedAct) -> bool {
        let is_in = |month: Month| (month.since_ms..month.until_ms).contains(&found.at_ms);
        self.act.is_none_or(|act| act == found.act)
            && self.actor.as_ref().is_none_or(|actor| *actor == found.actor.name)
            && self.month.is_none_or(is_in)
    }

    /// Whether what is older than an act can't be looked for.
    fn ends_before(&self, found: &RecordedAct) -> bool {
        self.month.is_some_and(|month| found.at_ms < month.since_ms)
    }
}

/// Shows acts, the latest first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let asked = Asked {
        filter: ActFilter {
            instance: house::asked_instance(&me, &query).await?,
            subject: query.text("subject"),
            subject_kind: query.word("kind", SubjectKind::ALL, SubjectKind::word)?,
            ..ActFilter::default()
        },
        act: query.word("act", Act::ALL, Act::word)?,
        actor: query.text("actor"),
        month: Month::asked(&query)?,
    };
    let before = match house::parsed(&query, "after")? {
        Some(before) => before,
        None => last_number(me.host()).await?.saturating_add(1),
    };
    let (acts, next) = before_number(me.host(), &asked, before).await?;
    let next = next.map(|number| Cursor::new(number.to_string()));
    let shown = context! {
        acts => me.host().act_views(&acts).await?,
        next => query.next(next.as_ref()),
        instances => house::instances(&me).await?,
        kinds => house::words(SubjectKind::ALL, SubjectKind::word),
        all_acts => house::words(Act::ALL, Act::word),
        asked => query.shown(),
    };
    me.page("audit.html", shown).await
}

/// Verifies that no act was altered or removed since it was written, and shows the digest of all.
pub(crate) async fn verify(me: Me, query: Query) -> Answer {
    let noted = query.text("noted").map(|noted| noted.to_ascii_lowercase());
    let is_digest = |noted: &String| noted.len() == 64 && noted.bytes().all(|byte| byte.is_ascii_hexdigit());
    if noted.as_ref().is_some_and(|noted| !is_digest(noted)) {
        return Err(Failure::odd_address("noted"));
    }
    let noted = noted.as_deref();
    match me.host().record().verify_acts(noted).await {
        Ok(audited) => {
            let audited = view::AuditedActs::from(&audited);
            me.page("audit_digest.html", context! { audited, noted }).await
        }
        Err(AuditError::Record(error)) => Err(error.into()),
        Err(finding) => {
            let failure = Failure::of(&finding);
            me.page("audit_digest.html", context! { failure, noted }).await
        }
    }
}

/// Acts with a number less than `before`, the latest first, and where the next ones are looked for. `None`: there are no others.
async fn before_number(
    host: &Host,
    asked: &Asked,
    before: i64,
) -> Result<(Vec<RecordedAct>, Option<i64>), Failure> {
    let (mut found, mut before) = (Vec::new(), before);
    for _ in 0..READINGS {
        // Numbers have no gaps, so that all of these are read at once.
        let after = before
            .saturating_sub(i64::from(AT_ONCE.get()))
            .saturating_sub(1)
            .max(0);
        let filter = ActFilter {
            after: Some(after),
            ..asked.filter.clone()
        };
        let acts = host.record().acts(&filter, AT_ONCE).await?;
        for act in acts.into_iter().rev().filter(|act| act.number < before) {
            if asked.ends_before(&act) {
                return Ok((found, None));
            }
            if found.len() == ROWS {
                let next = found.last().map(|act: &RecordedAct| act.number);
                return Ok((found, next));
            }
            if asked.has(&act) {
                found.push(act);
            }
        }
        before = after.saturating_add(1);
        if after == 0 {
            return Ok((found, None));
        }
    }
    Ok((found, Some(before)))
}

/// The number of the last act. 0: there is none.
async fn last_number(host: &Host) -> Result<i64, Failure> {
    let has_after = async |number: i64| {
        let filter = ActFilter {
            after: Some(number),
            ..ActFilter::default()
        };
        let acts = host.record().acts(&filter, NonZeroU32::MIN).await;
        acts.map(|acts| !acts.is_empty())
    };
    // Numbers begin with 1 and have no gaps: there is an act after each but the last.
    let (mut least, mut most) = (0, 1_024);
    while has_after(most).await? {
        least = most;
        most = most.saturating_mul(2);
    }
    if !has_after(least).await? {
        return Ok(least);
    }
    while least < most {
        let middle = least + (most - least) / 2;
        match has_after(middle).await? {
            true => least = middle + 1,
            false => most = middle,
        }
    }
    Ok(least)
}

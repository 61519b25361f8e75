//! Who did what: the acts on record, the latest first, and whether they are as they were written.

use std::num::NonZeroU32;

use bss_model::{Act, ActFilter, Cursor, SubjectKind};
use host_harness::{AuditError, view};
use minijinja::context;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::me::Me;
use crate::pages::house::{self, Month};
use crate::query::Query;

pub(super) mod sentences;

/// Acts on a page, and one more, which says that there are others.
const ROWS: NonZeroU32 = NonZeroU32::new(51).expect("not 0");

/// Shows acts, the latest first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let month = Month::asked(&query)?;
    let filter = ActFilter {
        instance: house::asked_instance(&me, &query).await?,
        subject: query.text("subject"),
        subject_kind: query.word("kind", SubjectKind::ALL, SubjectKind::word)?,
        act: query.word("act", Act::ALL, Act::word)?,
        actor: query.text("actor"),
        since_ms: month.map(|month| month.since_ms),
        until_ms: month.map(|month| month.until_ms),
        before: house::parsed(&query, "after")?,
        ..ActFilter::default()
    };
    let mut acts = me.host().record().latest_acts(&filter, ROWS).await?;
    let has_more = acts.len() == ROWS.get() as usize;
    if has_more {
        acts.pop();
    }
    let last = acts.last().filter(|_| has_more);
    let next = last.map(|last| Cursor::new(last.number.to_string()));
    let shown = context! {
        acts => sentences::told(&me, &acts).await?,
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

//! Charges and credits: what customers were charged, what was credited, and the report of a month.

use bss_model::{ChargeFilter, OrderId};
use minijinja::context;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::me::Me;
use crate::pages::house::{self, Month};
use crate::query::Query;

/// Shows charges, the latest first, each with its credits.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let filter = asked(&me, &query, Month::asked(&query)?).await?;
    let charges = me.host().record().charges(&filter, &query.page()).await?;
    let rows = me.host().credited_charge_views(&charges.rows).await?;
    let next = query.next(charges.next.as_ref());
    let (instances, asked) = (house::instances(&me).await?, query.shown());
    me.page("charges.html", context! { rows, next, instances, asked })
        .await
}

/// Shows credits, the latest first.
pub(crate) async fn credits(me: Me, query: Query) -> Answer {
    let filter = asked(&me, &query, Month::asked(&query)?).await?;
    let credits = me.host().record().credits(&filter, &query.page()).await?;
    let rows = me.host().credit_views(&credits.rows).await?;
    let next = query.next(credits.next.as_ref());
    let (instances, asked) = (house::instances(&me).await?, query.shown());
    me.page("credits.html", context! { rows, next, instances, asked })
        .await
}

/// Shows the report of a month: this one, unless another is asked for.
pub(crate) async fn report(me: Me, query: Query) -> Answer {
    let month = query.text("month").unwrap_or_else(house::this_month);
    let read = Month::read(&month).ok_or_else(|| Failure::odd_address("month"))?;
    let filter = asked(&me, &query, Some(read)).await?;
    let report = me.host().report(&filter).await?;
    let (instances, asked) = (house::instances(&me).await?, query.shown());
    me.page("report.html", context! { report, month, instances, asked })
        .await
}

async fn asked(me: &Me, query: &Query, month: Option<Month>) -> Result<ChargeFilter, Failure> {
    Ok(ChargeFilter {
        instance: house::asked_instance(me, query).await?,
        order: house::parsed::<OrderId>(query, "order")?.map(Into::into),
        customer: query.text("customer"),
        number: house::parsed(query, "number")?,
        since_ms: month.map(|month| month.since_ms),
        until_ms: month.map(|month| month.until_ms),
        ..ChargeFilter::default()
    })
}

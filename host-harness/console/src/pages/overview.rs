//! The overview: how the host is, what waits for somebody, and how the last days went.

use axum::response::Response;
use minijinja::context;

use crate::answer::{Answer, see};
use crate::charts;
use crate::first_license;
use crate::me::Me;

/// The days that are drawn.
const DAYS: u16 = 30;

/// Leads to the overview.
pub(crate) async fn begin() -> Response {
    see("/console/")
}

/// Shows the overview.
pub(crate) async fn show(me: Me) -> Answer {
    let status = me.host().status().await?;
    let steps = first_license::steps(me.host(), me.operator()).await?;
    let days = me.host().record().purchase_days(DAYS).await?;
    let name = |key: &str| me.text(key, &[]);
    let shown = context! {
        status,
        steps,
        outcomes => charts::outcomes(&days, &name("overview.outcomes_name")),
        latency => charts::latency(&days, &name("overview.latency_name")),
        // The latest day first, and none on which nothing was tried.
        days => days.iter().rev().filter(|day| day.licensed + day.refused + day.unsettled > 0).collect::<Vec<_>>(),
    };
    me.page("overview.html", shown).await
}

//! Alerts: what has ended badly or stands still, until it is over or somebody has taken note of it.

use bss_model::{AlertChoice, AlertFilter, Cursor};
use http::StatusCode;
use minijinja::context;

use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::house;
use crate::query::Query;

/// Alerts on a page.
const ROWS: u32 = 100;

/// Shows the open alerts, or all, in the order in which they were raised.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    shown(&me, &query, false).await
}

/// Takes note of the alerts that are ticked.
pub(crate) async fn acknowledge(me: Me, query: Query, form: Form) -> Answer {
    let numbers = form.texts("number");
    let numbers: Result<Vec<i64>, _> = numbers.iter().map(|number| number.parse()).collect();
    let numbers = numbers.map_err(|_| Failure::broken_form())?;
    if numbers.is_empty() {
        return shown(&me, &query, true).await;
    }
    let choice = AlertChoice::Numbers(numbers);
    me.host().acknowledge_alerts(&choice, &me.actor()).await?;
    Ok(done("/console/alerts", "alerts-acknowledged"))
}

/// `is_none_ticked`: somebody has taken note of nothing.
async fn shown(me: &Me, query: &Query, is_none_ticked: bool) -> Answer {
    let all = query.text("show").is_some_and(|show| show == "all");
    let filter = AlertFilter {
        all,
        owner: None,
        instances: house::asked_instance(me, query).await?.map(|id| vec![id]),
        after: house::parsed(query, "after")?.unwrap_or_default(),
    };
    let alerts = me.host().alerts(&filter, ROWS).await?;
    let is_full = u32::try_from(alerts.len()).is_ok_and(|alerts| alerts >= ROWS);
    let last = alerts.last().filter(|_| is_full);
    let next = last.map(|alert| Cursor::new(alert.number.to_string()));
    let (instances, next) = (house::instances(me).await?, query.next(next.as_ref()));
    let asked = query.shown();
    let shown = context! { alerts, all, instances, asked, next, is_none_ticked };
    let status = match is_none_ticked {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    me.page_with(status, "alerts.html", shown).await
}

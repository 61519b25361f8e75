//! The overview: how the host is, and what waits for somebody.

use minijinja::context;

use crate::answer::Answer;
use crate::me::Me;

pub(crate) async fn show(me: Me) -> Answer {
    let status = me.host().status().await?;
    me.page("overview.html", context! { status }).await
}

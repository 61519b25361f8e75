//! Plugins: those on record, who trusted each, and the instances that each works for.

use host_harness::view;
use minijinja::context;

use crate::answer::Answer;
use crate::me::Me;

/// Shows the plugins on record.
pub(crate) async fn list(me: Me) -> Answer {
    let instances = me.host().instances().await?;
    let plugins = me.host().record().plugins().await?;
    let plugins: Vec<_> = plugins
        .iter()
        .map(|plugin| view::Plugin::new(plugin, &instances))
        .collect();
    me.page("plugins.html", context! { plugins }).await
}

//! Customers: the list of them, one with all that was ordered, and finding what a text may mean.

use axum::extract::Path;
use bss_model::ChargeFilter;
use host_harness::view::{self, Keys};
use minijinja::{Value, context};

use super::{house, orders};
use crate::answer::Answer;
use crate::failure::Failure;
use crate::me::Me;
use crate::query::Query;

/// The most that the page of a customer has of each kind of thing.
const SHOWN_MAX: usize = 20;

/// The most that is found of each kind and reason.
const FOUND_MAX: u32 = 20;

/// The shortest text that is looked for. Shorter ones are in nearly everything.
const CHARS_MIN: usize = 3;

/// The customers, those with the latest orders first.
pub(crate) async fn list(me: Me, query: Query) -> Answer {
    let instance = house::asked_instance(&me, &query).await?;
    let customers = me.host().customers(instance, &query.page()).await?;
    let shown = context! {
        rows => customers.rows,
        instances => house::instances(&me).await?,
        asked => query.shown(),
        next => query.next(customers.next.as_ref()),
    };
    me.page("customers.html", shown).await
}

/// A customer by the platform's own id: who it is, and what came of what it ordered.
pub(crate) async fn show(me: Me, Path(customer): Path<String>, query: Query) -> Answer {
    let (host, instance) = (me.host(), house::asked_instance(&me, &query).await?);
    let data = host.record().export_customer(&customer, instance).await?;
    let data = data.ok_or_else(Failure::no_page)?;
    let mut all = host.customer_view(&data, Keys::Masked).await?;
    let filter = ChargeFilter {
        customer: Some(customer),
        instance,
        ..ChargeFilter::default()
    };
    let sums = host.report(&filter).await?.by_currency;
    all.orders.reverse();
    all.cancellations.reverse();
    all.mails.reverse();
    let orders: Vec<Value> = recent(&all.orders).iter().map(orders::row).collect();
    let licenses: usize = all.orders.iter().map(|order| order.assets.len()).sum();
    let latest = all.orders.first();
    let shown = context! {
        id => all.id,
        party => latest.map(|order| &order.parties.customer),
        contact => latest.and_then(|order| order.contact.as_ref()),
        latest_instance => latest.map_or(String::new(), |order| order.parties.instance_id.to_string()),
        instances => house::instances(&me).await?,
        asked => query.shown(),
        sums,
        orders,
        orders_count => all.orders.len(),
        licenses,
        cancellations => recent(&all.cancellations),
        cancellations_count => all.cancellations.len(),
        mails => recent(&all.mails),
        mails_count => all.mails.len(),
        charges_count => all.charges.len(),
        erasures => all.erasures,
        shown_max => SHOWN_MAX,
    };
    me.page("customer.html", shown).await
}

/// The latest of a customer's things, which stand first.
fn recent<T>(things: &[T]) -> &[T] {
    things.get(..SHOWN_MAX).unwrap_or(things)
}

/// What is on record that is like a text, by kind.
pub(crate) async fn find(me: Me, query: Query) -> Answer {
    let text = query.text("text").unwrap_or_default();
    if text.chars().count() < CHARS_MIN {
        let shown = context! { text, is_short => true, kinds => Vec::<Value>::new(), has_more => false };
        return me.page("find.html", shown).await;
    }
    let finds = me.host().find_by_text(&text, FOUND_MAX).await?;
    let shown = context! {
        text,
        is_short => false,
        kinds => by_kind(finds.found),
        has_more => finds.has_more,
        found_max => FOUND_MAX,
    };
    me.page("find.html", shown).await
}

/// What was found of each kind, in the order of the kinds.
fn by_kind(found: Vec<view::Found>) -> Vec<(String, Vec<view::Found>)> {
    let mut kinds: Vec<(String, Vec<view::Found>)> = Vec::new();
    for thing in found {
        match kinds.iter_mut().find(|(kind, _)| *kind == thing.kind) {
            Some((_, things)) => things.push(thing),
            None => kinds.push((thing.kind.clone(), vec![thing])),
        }
    }
    kinds
}

//! Ids as they are typed in: whole, by their first characters, or by a name that means the same thing.

use std::str::FromStr;

use bss_model::{Advice, ErrorKind, IdKind, OrderFilter, Page};
use host_harness::Host;
use uuid::Uuid;

use super::failure::Failure;

/// The least that is typed in of an id.
pub(super) const CHARS_MIN: usize = 4;

/// An id, or its first characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypedId(String);

impl FromStr for TypedId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.chars().filter(|&character| character != '-');
        let is_id = digits.clone().all(|digit| digit.is_ascii_hexdigit()) && digits.clone().count() <= 32;
        if !is_id || digits.count() < CHARS_MIN {
            return Err(format!(
                "an id is made of the digits 0 to 9 and a to f; its first {CHARS_MIN} or more are enough"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TypedId {
    /// The id of the one thing whose id begins so. A whole id is itself, whether there is such a thing or not.
    pub(super) async fn of(&self, kind: IdKind, host: &Host) -> Result<Uuid, Failure> {
        if let Ok(whole) = Uuid::try_parse(&self.0) {
            return Ok(whole);
        }
        let ids = host.record().ids_beginning(kind, &self.0, host.owner()).await?;
        let (name, advice) = named(kind);
        one(&self.0, name, &ids)?.ok_or_else(|| {
            let message = format!("no {name} has an id that begins with `{}`", self.0);
            Failure::new(ErrorKind::NotFound, "no-id-begins-so", message).advise(&advice)
        })
    }
}

/// An order: by its id, the first characters of that, or the shop's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypedOrder(String);

impl FromStr for TypedOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.is_empty() {
            true => Err("give the id of an order, or the shop's own key".to_owned()),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl TypedOrder {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the one order that is meant. A whole id that is no order's is itself.
    pub(super) async fn of(&self, host: &Host) -> Result<Uuid, Failure> {
        let meant = one(&self.0, "order", &self.all_meant(host).await?)?;
        meant.or(self.whole()).ok_or_else(|| {
            let message = format!(
                "no order has the key `{0}`, or an id that begins with `{0}`",
                self.0
            );
            no_order(message).advise(&Advice::ListOrders)
        })
    }

    /// The id of the one order or asset that is meant. A whole id that is neither's is itself.
    pub(super) async fn or_asset(&self, host: &Host) -> Result<Uuid, Failure> {
        let mut meant = self.all_meant(host).await?;
        meant.extend(self.beginning(IdKind::Asset, host).await?);
        let meant = one(&self.0, "order or asset", &meant)?;
        meant.or(self.whole()).ok_or_else(|| {
            let message = format!("`{}` is neither an order nor an asset", self.0);
            no_order(message).advise(&Advice::ListAssets)
        })
    }

    /// The orders that may be meant. A whole id means no other order that has it for a key.
    pub(super) async fn all_meant(&self, host: &Host) -> Result<Vec<Uuid>, Failure> {
        let mut meant = self.beginning(IdKind::Order, host).await?;
        if self.whole().is_none_or(|whole| !meant.contains(&whole)) {
            let with_key = self.with_key(host).await?.into_iter();
            let with_key: Vec<Uuid> = with_key.filter(|order| !meant.contains(order)).collect();
            meant.extend(with_key);
        }
        Ok(meant)
    }

    fn whole(&self) -> Option<Uuid> {
        Uuid::try_parse(&self.0).ok()
    }

    async fn beginning(&self, kind: IdKind, host: &Host) -> Result<Vec<Uuid>, Failure> {
        match self.0.parse::<TypedId>() {
            Ok(TypedId(text)) => Ok(host.record().ids_beginning(kind, &text, host.owner()).await?),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// The orders with this key: each instance may have one.
    async fn with_key(&self, host: &Host) -> Result<Vec<Uuid>, Failure> {
        let filter = OrderFilter {
            idempotency_key: Some(self.0.clone()),
            ..OrderFilter::default()
        };
        let mut orders = host.record().orders(&filter, &Page::all()).await?.rows;
        if host.owner().is_some() {
            let own = host.instances().await?;
            orders.retain(|order| own.iter().any(|instance| instance.id == order.instance_id));
        }
        Ok(orders.into_iter().map(|order| order.id).collect())
    }
}

/// The only one of the things that a text may mean. `None`: there is none.
fn one(text: &str, name: &str, ids: &[Uuid]) -> Result<Option<Uuid>, Failure> {
    match ids {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        several => Err(ambiguous(text, name, several)),
    }
}

/// The failure of a text that is no order's id, beginning of one or key.
fn no_order(message: String) -> Failure {
    Failure::new(ErrorKind::NotFound, "no-order", message)
}

/// The failure of a text that means several things.
pub(super) fn ambiguous(text: &str, name: &str, ids: &[Uuid]) -> Failure {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let message = format!("`{text}` means more than one {name}: {}", ids.join(", "));
    Failure::new(ErrorKind::Invalid, "id-ambiguous", message).hint("give the id of one, or more of it")
}

/// The id of the order that is asked for, where one is.
pub(super) async fn order(typed: Option<&TypedOrder>, host: &Host) -> Result<Option<Uuid>, Failure> {
    match typed {
        Some(typed) => Ok(Some(typed.of(host).await?)),
        None => Ok(None),
    }
}

/// The id of the thing that is asked for, where one is.
pub(super) async fn optional(
    typed: Option<&TypedId>,
    kind: IdKind,
    host: &Host,
) -> Result<Option<Uuid>, Failure> {
    match typed {
        Some(typed) => Ok(Some(typed.of(kind, host).await?)),
        None => Ok(None),
    }
}

/// The ids of the things that are asked for.
pub(super) async fn all(typed: &[TypedId], kind: IdKind, host: &Host) -> Result<Vec<Uuid>, Failure> {
    let mut ids = Vec::with_capacity(typed.len());
    for typed in typed {
        ids.push(typed.of(kind, host).await?);
    }
    Ok(ids)
}

/// The name of a kind, and where its ids are shown.
fn named(kind: IdKind) -> (&'static str, Advice) {
    match kind {
        IdKind::Order => ("order", Advice::ListOrders),
        IdKind::Asset => ("asset", Advice::ListAssets),
        IdKind::Mail => ("e-mail", Advice::ListMails),
        IdKind::ServicesRun => (
            "run",
            Advice::say("`bss-host services runs` shows the runs of an instance"),
        ),
        IdKind::Webhook => ("webhook", Advice::say("`bss-host webhook list` shows them")),
        IdKind::Delivery => (
            "delivery",
            Advice::say("`bss-host webhook deliveries` shows them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_of_an_id_are_the_least_that_is_taken_for_one() {
        for text in ["8c3f", "8C3F9548-d80b", "8c3f9548-d80b-4763-bb09-b0afca19957c"] {
            assert!(text.parse::<TypedId>().is_ok(), "{text}");
        }
        for text in [
            "",
            "8c3",
            "----",
            "8c3g",
            "ESD-000001",
            "8c3f9548-d80b-4763-bb09-b0afca19957c0",
        ] {
            assert!(text.parse::<TypedId>().is_err(), "{text}");
        }
    }
}

//! Ids as they are typed in: whole, or as many of their first characters as are needed.

use std::str::FromStr;

use bss_model::{Advice, ErrorKind, IdKind};
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
    /// The id of the one order or asset whose id begins so.
    pub(super) async fn of_order_or_asset(&self, host: &Host) -> Result<Uuid, Failure> {
        let record = host.record();
        let orders = record.ids_beginning(IdKind::Order, &self.0, host.owner()).await?;
        let assets = record.ids_beginning(IdKind::Asset, &self.0, host.owner()).await?;
        match (orders.as_slice(), assets.as_slice()) {
            ([], _) => self.of(IdKind::Asset, host).await,
            (_, []) => self.of(IdKind::Order, host).await,
            (orders, assets) => Err(ambiguous(&self.0, "order or asset", &[orders, assets].concat())),
        }
    }

    /// The id of the one thing whose id begins so. A whole id is itself, whether there is such a thing or not.
    pub(super) async fn of(&self, kind: IdKind, host: &Host) -> Result<Uuid, Failure> {
        if let Ok(whole) = Uuid::try_parse(&self.0) {
            return Ok(whole);
        }
        let ids = host.record().ids_beginning(kind, &self.0, host.owner()).await?;
        let (name, advice) = named(kind);
        match ids.as_slice() {
            [id] => Ok(*id),
            [] => {
                let message = format!("no {name} has an id that begins with `{}`", self.0);
                Err(Failure::new(ErrorKind::NotFound, "no-id-begins-so", message).advise(&advice))
            }
            several => Err(ambiguous(&self.0, name, several)),
        }
    }
}

/// The failure of a text that begins the ids of several things.
pub(super) fn ambiguous(text: &str, name: &str, ids: &[Uuid]) -> Failure {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let message = format!(
        "`{text}` begins the id of more than one {name}: {}",
        ids.join(", ")
    );
    Failure::new(ErrorKind::Invalid, "id-ambiguous", message).hint("give more of the id")
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

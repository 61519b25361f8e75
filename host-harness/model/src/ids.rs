//! Ids as types, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no id of {of}")]
pub struct NotAnId {
    /// The text.
    pub text: String,
    /// What the id should be of, such as `an order`.
    pub of: &'static str,
}

impl Diagnose for NotAnId {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "not-an-id")
    }
}

/// Things whose ids can be given by their first characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// Orders.
    Order,
    /// Assets.
    Asset,
    /// E-mails.
    Mail,
    /// Services runs.
    ServicesRun,
    /// Receivers of outcomes.
    Webhook,
    /// Deliveries to receivers of outcomes.
    Delivery,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $of:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId {
                    text: text.chars().take(100).collect(),
                    of: $of,
                })
            }
        }
    };
}

id!(
    /// The id of an instance.
    InstanceId,
    "an instance"
);
id!(
    /// The id of an order.
    OrderId,
    "an order"
);
id!(
    /// The id of an asset: a license that was ordered.
    AssetId,
    "an asset"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text_and_nothing_else_is_one() {
        let text = "00000000-0000-0000-0000-000000000007";
        let order: OrderId = text.parse().unwrap();
        assert_eq!(order.to_string(), text);
        assert_eq!(serde_json::to_string(&order).unwrap(), format!("\"{text}\""));
        let refused = "BASKET-7".parse::<OrderId>().unwrap_err();
        assert_eq!(refused.to_string(), "`BASKET-7` is no id of an order");
    }
}

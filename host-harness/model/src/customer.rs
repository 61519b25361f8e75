//! Customers: what is on record about one, and what stands in the place of one that was erased.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::act::RecordedAct;
use crate::asset::Asset;
use crate::attempt::Attempt;
use crate::cancellation::Cancellation;
use crate::charge::{Charge, Credit};
use crate::ids::InstanceId;
use crate::license_return::ReturnAttempt;
use crate::mail::Mail;
use crate::order::{Contact, Order, Party};
use crate::owner::Owner;

/// The text in the place of one that was erased.
pub const ERASED: &str = "(erased)";

/// The country of an erased party: no country's code, from the codes that ISO 3166-1 leaves to its users.
const ERASED_COUNTRY: &str = "ZZ";

/// The e-mail address of an erased contact. No mail server can exist for it (RFC 2606, section 2).
const ERASED_EMAIL: &str = "erased@erased.invalid";

/// The language of an erased contact: undetermined (ISO 639-2).
const ERASED_LANGUAGE: &str = "und";

/// The ids that an error names of each kind; of more, it tells the number.
const IDS_NAMED: usize = 5;

impl Party {
    /// The party that is left of an erased one: the platform's own name for it, and nothing else.
    pub fn erased(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: ERASED.to_owned(),
            country: ERASED_COUNTRY.to_owned(),
        }
    }
}

impl Contact {
    /// The contact that is left of an erased customer, whom no e-mail reaches.
    pub fn erased() -> Self {
        Self {
            email: ERASED_EMAIL.to_owned(),
            language: ERASED_LANGUAGE.to_owned(),
        }
    }
}

/// A customer at an instance, as a list shows it. Customers of other instances may have the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerSummary {
    /// The customer, as the latest order names it.
    pub customer: Party,
    /// The contact of the latest order. `None`: it has none.
    pub contact: Option<Contact>,
    /// The instance.
    pub instance_id: InstanceId,
    /// The name of the instance.
    pub instance: String,
    /// The number of orders.
    pub orders: u64,
    /// The number of licenses that were ordered, whatever became of them.
    pub licenses: u64,
    /// When the latest order was placed, in milliseconds since 1970.
    pub last_order_at_ms: i64,
}

/// Filter of customers: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct CustomerFilter {
    /// Customers of an instance.
    pub instance: Option<Uuid>,
    /// Customers of the instances of an owner.
    pub owner: Option<Owner>,
}

/// All that is on record about a customer, at one instance or at all. Product keys and activation links are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerData {
    /// The platform's own name for the customer.
    pub id: String,
    /// The orders, by the time at which they were placed.
    pub orders: Vec<Order>,
    /// The assets of the orders, by the time of their orders.
    pub assets: Vec<Asset>,
    /// The attempts at purchases, by asset.
    pub attempts: BTreeMap<Uuid, Vec<Attempt>>,
    /// The cancellations of the assets, by the time of their requests.
    pub cancellations: Vec<Cancellation>,
    /// The attempts at returns, by cancellation.
    pub return_attempts: BTreeMap<Uuid, Vec<ReturnAttempt>>,
    /// The charges, by time.
    pub charges: Vec<Charge>,
    /// The credits, by time.
    pub credits: Vec<Credit>,
    /// The e-mails, by the time at which they were written down.
    pub mails: Vec<Mail>,
    /// The acts on the customer and on the orders, assets and e-mails, by number.
    pub acts: Vec<RecordedAct>,
    /// The times at which the customer was erased.
    pub erasures: Vec<ErasedCustomer>,
}

/// A customer that was erased at an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedCustomer {
    /// The platform's own name for the customer.
    pub id: String,
    /// The instance.
    pub instance_id: Uuid,
    /// When the customer was last erased, in milliseconds.
    pub erased_at_ms: i64,
    /// The orders from before that time that are not erased, because an older backup was restored since. They are to be
    /// erased again.
    pub orders_left: u64,
}

/// The fate of e-mails to an erased customer that were not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsentMails {
    /// They are to be sent first: the customer is not erased.
    #[default]
    Refuse,
    /// They are withdrawn, and never sent.
    Withdraw,
}

/// The outcome of erasing a customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CustomerErasure {
    /// The orders that were erased now. 0: all were erased before.
    pub orders: u64,
    /// The e-mails that were withdrawn now.
    pub withdrawn_mails: u64,
    /// The cancellations, attempts, reasons, outcomes and e-mails whose free text was erased now.
    pub texts: u64,
    /// Whether no file of the database has what was erased, now or before. `false`: somebody reads an older state, or the
    /// disk is full; erasing again tries again.
    pub left_files: bool,
}

impl CustomerErasure {
    /// Whether everything was erased before.
    pub fn is_repetition(&self) -> bool {
        (self.orders, self.withdrawn_mails, self.texts) == (0, 0, 0)
    }
}

/// Business with a customer that is not settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenBusiness {
    /// Assets that have no license, and may still get one.
    pub assets: Vec<Uuid>,
    /// Assets with a cancellation that is requested, or whose return is under way.
    pub cancellations: Vec<Uuid>,
    /// E-mails that were not sent.
    pub mails: Vec<Uuid>,
}

impl OpenBusiness {
    /// Whether everything is settled.
    pub fn is_settled(&self) -> bool {
        self.assets.is_empty() && self.cancellations.is_empty() && self.mails.is_empty()
    }
}

impl fmt::Display for OpenBusiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("licenses still to be bought, of assets", &self.assets),
            ("cancellations under way, of assets", &self.cancellations),
            ("unsent e-mails", &self.mails),
        ];
        let mut separator = "";
        for (what, ids) in kinds.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            write!(formatter, "{separator}{what} ")?;
            let named: Vec<String> = ids.iter().take(IDS_NAMED).map(Uuid::to_string).collect();
            formatter.write_str(&named.join(", "))?;
            if ids.len() > IDS_NAMED {
                write!(formatter, " and {} more", ids.len() - IDS_NAMED)?;
            }
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_customer_has_the_form_of_one() {
        let new = crate::NewOrder {
            instance_id: Uuid::nil(),
            customer: Party::erased("c-1"),
            contact: Some(Contact::erased()),
            reseller: Some(Party::erased("r-1")),
            lines: Vec::new(),
            idempotency_key: None,
            platform: None,
            shown_prices: Vec::new(),
        };
        assert_eq!(new.invalid_parties(), []);
    }

    #[test]
    fn open_business_names_a_few_ids_of_each_kind_and_counts_the_others() {
        let id = Uuid::from_u128;
        let open = OpenBusiness {
            assets: vec![id(1)],
            cancellations: Vec::new(),
            mails: (1..=7).map(id).collect(),
        };
        let text = open.to_string();
        assert!(
            text.starts_with(&format!(
                "licenses still to be bought, of assets {}; unsent e-mails {}, ",
                id(1),
                id(1)
            )),
            "{text}"
        );
        assert!(text.ends_with(&format!("{} and 2 more", id(5))), "{text}");
        assert!(!open.is_settled() && OpenBusiness::default().is_settled());
    }
}

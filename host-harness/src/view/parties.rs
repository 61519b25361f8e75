//! The parties to an order as views show them.

use bss_model::OrderParties;
use serde::Serialize;
use uuid::Uuid;

/// A company or person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// The platform's own name for the party.
    pub id: String,
    /// The party's name.
    pub name: String,
    /// The country, ISO 3166-1 alpha-2, in upper case.
    pub country: String,
}

/// A customer's e-mail address and language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// An e-mail address.
    pub email: String,
    /// A language, BCP 47, such as `de-DE`.
    pub language: String,
}

/// The parties to an order. A part of every view of an object that belongs to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Parties {
    /// The instance that buys the licenses.
    pub instance_id: Uuid,
    /// The instance's name.
    pub instance: String,
    /// The party that gets the licenses.
    pub customer: Party,
    /// The party that pays: the reseller if there is one, or else the customer.
    pub billing_to: Party,
}

impl From<&bss_model::Party> for Party {
    fn from(party: &bss_model::Party) -> Self {
        Self {
            id: party.id.clone(),
            name: party.name.clone(),
            country: party.country.clone(),
        }
    }
}

impl From<&bss_model::Contact> for Contact {
    fn from(contact: &bss_model::Contact) -> Self {
        Self {
            email: contact.email.clone(),
            language: contact.language.clone(),
        }
    }
}

impl From<&OrderParties> for Parties {
    fn from(parties: &OrderParties) -> Self {
        Self {
            instance_id: parties.instance_id,
            instance: parties.instance.clone(),
            customer: (&parties.customer).into(),
            billing_to: parties.billing_to().into(),
        }
    }
}

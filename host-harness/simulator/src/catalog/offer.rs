//! An offer of the catalog, with its texts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// The language that every offer has, and in which an offer is named where it lacks the one asked for.
pub const FALLBACK_LANGUAGE: &str = "en-US";

/// An offer's texts in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferText {
    /// The offer's name.
    pub name: String,
    /// A sentence about the offer.
    pub short_description: String,
}

/// Whether an offer can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OfferStatus {
    /// The offer can be bought.
    Active,
    /// The offer can't be bought any more. Its licenses stay what they are.
    Discontinued,
}

/// A product in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The offer's id, unique in the catalog.
    pub offer_id: String,
    /// The offer's URI, unique in the catalog.
    pub offer_uri: String,
    /// The texts by language (BCP 47); `FALLBACK_LANGUAGE` is one of them.
    pub texts: BTreeMap<String, OfferText>,
    /// The smallest quantity a platform may sell at once, at least 1.
    pub min_quantity: u32,
    /// The largest quantity a platform may sell at once.
    pub max_quantity: u32,
    /// Whether licenses of the offer can be returned.
    pub is_returnable: bool,
    /// Whether the offer can be bought.
    pub status: OfferStatus,
    /// The countries in which the offer is sold, ISO 3166-1 alpha-2. `None` for all of the catalog's.
    pub countries: Option<BTreeSet<String>>,
}

impl Offer {
    /// An offer without anything special about it.
    pub(super) fn plain(offer_id: String, texts: BTreeMap<String, OfferText>) -> Offer {
        Offer {
            offer_uri: format!("urn:ms-esd:offer:{offer_id}"),
            offer_id,
            texts,
            min_quantity: 1,
            max_quantity: 100,
            is_returnable: true,
            status: OfferStatus::Active,
            countries: None,
        }
    }

    /// The texts in that language, or in `FALLBACK_LANGUAGE`. `None` when the offer has neither.
    pub fn text(&self, language: &str) -> Option<&OfferText> {
        self.texts
            .get(language)
            .or_else(|| self.texts.get(FALLBACK_LANGUAGE))
    }

    /// Whether the offer is sold in that country. The catalog's own countries are not looked at.
    pub fn is_sold_in(&self, country: &str) -> bool {
        self.countries
            .as_ref()
            .is_none_or(|countries| countries.contains(country))
    }
}

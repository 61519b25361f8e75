//! The catalog of what the simulated Microsoft sells.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::Serialize;

mod standard;

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

/// All offers, in the order in which they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalog {
    /// The offers.
    pub offers: Vec<Offer>,
    /// The countries in which Microsoft sells, ISO 3166-1 alpha-2.
    pub countries: BTreeSet<String>,
}

impl Default for Catalog {
    /// A dozen offers named as Microsoft names its own, in English, German and Greek; one is discontinued, one can't
    /// be returned and one is sold in Germany only.
    fn default() -> Catalog {
        Catalog {
            offers: standard::offers(),
            countries: standard::countries(),
        }
    }
}

impl Catalog {
    /// A catalog of as many offers as asked for, all alike but for their number, sold wherever the standard ones are.
    pub fn generated(offers: u32) -> Catalog {
        let generated = |number: u32| Offer {
            offer_id: format!("GEN-{number:06}"),
            offer_uri: format!("urn:ms-esd:offer:GEN-{number:06}"),
            texts: standard::texts(
                &format!("Generated Offer {number}"),
                &format!("Generiertes Angebot {number}"),
                &format!("Παραγόμενη προσφορά {number}"),
            ),
            min_quantity: 1,
            max_quantity: 100,
            is_returnable: true,
            status: OfferStatus::Active,
            countries: None,
        };
        Catalog {
            offers: (1..=offers).map(generated).collect(),
            countries: standard::countries(),
        }
    }

    /// The offer of that id.
    pub fn offer(&self, offer_id: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.offer_id == offer_id)
    }
}

/// A catalog with its version.
#[derive(Debug)]
pub(super) struct PublishedCatalog {
    pub(super) catalog: Catalog,
    /// A digest of the whole catalog, hex.
    pub(super) version: String,
}

impl PublishedCatalog {
    pub(super) fn new(catalog: Catalog) -> PublishedCatalog {
        let mut context = digest::Context::new(&digest::SHA256);
        for offer in &catalog.offers {
            // Debug output is as good as any encoding here: the digest only has to differ when the offer does.
            context.update(format!("{offer:?}\n").as_bytes());
        }
        context.update(format!("{:?}", catalog.countries).as_bytes());
        let version = HEXLOWER
            .encode(context.finish().as_ref())
            .chars()
            .take(32)
            .collect();
        PublishedCatalog { catalog, version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_offers_are_told_apart_and_named_in_three_languages() {
        let catalog = Catalog::default();
        let ids: BTreeSet<&str> = catalog
            .offers
            .iter()
            .map(|offer| offer.offer_id.as_str())
            .collect();
        let uris: BTreeSet<&str> = catalog
            .offers
            .iter()
            .map(|offer| offer.offer_uri.as_str())
            .collect();
        assert_eq!((catalog.offers.len(), ids.len(), uris.len()), (12, 12, 12));
        for language in ["en-US", "de-DE", "el-GR"] {
            assert!(
                catalog
                    .offers
                    .iter()
                    .all(|offer| offer.texts.contains_key(language)),
                "{language}"
            );
        }
    }

    #[test]
    fn a_catalog_has_another_version_when_one_name_changes_and_the_same_when_none_does() {
        let published = PublishedCatalog::new(Catalog::default());
        assert_eq!(
            published.version,
            PublishedCatalog::new(Catalog::default()).version
        );
        let mut changed = Catalog::default();
        changed.offers[3].texts.get_mut("de-DE").unwrap().name.push('!');
        assert_ne!(published.version, PublishedCatalog::new(changed).version);
    }
}

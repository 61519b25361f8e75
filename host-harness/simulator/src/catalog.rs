//! The catalog of what the simulated Microsoft sells.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::Serialize;

mod offer;
mod standard;

pub use offer::{FALLBACK_LANGUAGE, Offer, OfferStatus, OfferText};

/// All offers, in the order in which they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalog {
    /// The offers.
    pub offers: Vec<Offer>,
    /// The countries in which Microsoft sells, ISO 3166-1 alpha-2.
    pub countries: BTreeSet<String>,
    /// How many offers a page has at most, however many are asked for.
    pub page_size_max: usize,
}

/// How many offers a page has at most by default: about 500 KiB of JSON.
const PAGE_SIZE_MAX: usize = 1000;

impl Default for Catalog {
    /// A dozen offers named as Microsoft names its own, in English, German and Greek; one is discontinued, one can't
    /// be returned and one is sold in Germany only.
    fn default() -> Catalog {
        Catalog::of(standard::offers())
    }
}

impl Catalog {
    /// A catalog of as many offers as asked for, all alike but for their number, sold wherever the standard ones are.
    pub fn generated(offers: u32) -> Catalog {
        let generated = |number: u32| {
            let texts = standard::texts(
                &format!("Generated Offer {number}"),
                &format!("Generiertes Angebot {number}"),
                &format!("Παραγόμενη προσφορά {number}"),
            );
            Offer::plain(format!("GEN-{number:06}"), texts)
        };
        Catalog::of((1..=offers).map(generated).collect())
    }

    /// A catalog of products, each a code and a name in all languages, sold wherever the standard ones are.
    pub fn of_products(products: impl IntoIterator<Item = (String, String)>) -> Catalog {
        let offers = products
            .into_iter()
            .map(|(code, name)| Offer::plain(code, standard::texts(&name, &name, &name)));
        Catalog::of(offers.collect())
    }

    fn of(offers: Vec<Offer>) -> Catalog {
        Catalog {
            offers,
            countries: standard::countries(),
            page_size_max: PAGE_SIZE_MAX,
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

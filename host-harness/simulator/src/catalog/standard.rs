//! The offers of `Catalog::default`.

use std::collections::{BTreeMap, BTreeSet};

use super::offer::{Offer, OfferStatus, OfferText};

/// The countries in which the standard offers are sold.
const COUNTRIES: [&str; 8] = ["AT", "CY", "DE", "FR", "GB", "GR", "IT", "US"];

/// The standard offers: id, and name in English, German and Greek.
const OFFERS: [[&str; 4]; 12] = [
    [
        "EP2-06798",
        "Office Home 2024",
        "Office Home 2024",
        "Office Home 2024",
    ],
    [
        "EP2-06606",
        "Office Home & Business 2024",
        "Office Home & Business 2024",
        "Office Home & Business 2024 (Σπίτι και Επιχειρήσεις)",
    ],
    [
        "TLS-05015",
        "Office Professional 2021",
        "Office Professional 2021",
        "Office Professional 2021",
    ],
    [
        "79G-05388",
        "Office Home & Student 2021",
        "Office Home & Student 2021",
        "Office Home & Student 2021 (Μαθητές)",
    ],
    [
        "FQC-10572",
        "Windows 11 Pro 64-bit",
        "Windows 11 Pro 64-Bit",
        "Windows 11 Pro 64-bit",
    ],
    [
        "KW9-00664",
        "Windows 11 Home 64-bit",
        "Windows 11 Home 64-Bit",
        "Windows 11 Home 64-bit",
    ],
    [
        "D87-07606",
        "Visio Professional 2024",
        "Visio Professional 2024",
        "Visio Professional 2024",
    ],
    [
        "D86-06044",
        "Visio Standard 2024",
        "Visio Standard 2024",
        "Visio Standard 2024",
    ],
    [
        "H30-06107",
        "Project Professional 2024",
        "Project Professional 2024",
        "Project Professional 2024",
    ],
    [
        "076-06129",
        "Project Standard 2024",
        "Project Standard 2024",
        "Project Standard 2024",
    ],
    ["AAA-03499", "Access 2024", "Access 2024", "Access 2024"],
    [
        "T5D-03203",
        "Office Home & Business 2019",
        "Office Home & Business 2019",
        "Office Home & Business 2019",
    ],
];

/// The offer whose licenses can't be returned.
const NOT_RETURNABLE: &str = "KW9-00664";
/// The offer that is sold in Germany only.
const GERMANY_ONLY: &str = "D86-06044";
/// The offer that is not sold any more.
const DISCONTINUED: &str = "T5D-03203";

pub(super) fn countries() -> BTreeSet<String> {
    COUNTRIES.map(str::to_owned).into()
}

pub(super) fn texts(english: &str, german: &str, greek: &str) -> BTreeMap<String, OfferText> {
    let text = |name: &str, short_description: String| OfferText {
        name: name.to_owned(),
        short_description,
    };
    BTreeMap::from([
        (
            "en-US".to_owned(),
            text(
                english,
                format!("{english}, one-time purchase for one device, digital delivery"),
            ),
        ),
        (
            "de-DE".to_owned(),
            text(
                german,
                format!("{german}, einmaliger Kauf für ein Gerät, digitale Lieferung"),
            ),
        ),
        (
            "el-GR".to_owned(),
            text(
                greek,
                format!("{greek}, εφάπαξ αγορά για μία συσκευή, ψηφιακή παράδοση"),
            ),
        ),
    ])
}

pub(super) fn offers() -> Vec<Offer> {
    let offer = |[offer_id, english, german, greek]: [&str; 4]| Offer {
        offer_id: offer_id.to_owned(),
        offer_uri: format!("urn:ms-esd:offer:{offer_id}"),
        texts: texts(english, german, greek),
        min_quantity: 1,
        max_quantity: 100,
        is_returnable: offer_id != NOT_RETURNABLE,
        status: if offer_id == DISCONTINUED {
            OfferStatus::Discontinued
        } else {
            OfferStatus::Active
        },
        countries: (offer_id == GERMANY_ONLY).then(|| BTreeSet::from(["DE".to_owned()])),
    };
    OFFERS.map(offer).into()
}

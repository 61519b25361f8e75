//! The catalog, page by page.

use data_encoding::BASE64URL_NOPAD;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::super::answer::{Answer, json};
use super::super::catalog::{Offer, OfferStatus, PublishedCatalog};
use super::errors::Refusal;
use super::query::{self, Query};

/// How many offers a page has by default.
const PAGE_SIZE_DEFAULT: usize = 100;

/// How many offers may be asked for.
const PAGE_SIZE_MAX: usize = 1000;

/// The longest continuation that is read. It holds a version of 32 characters and a number.
const CONTINUATION_MAX: usize = 512;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    offer_id: &'a str,
    offer_uri: &'a str,
    name: &'a str,
    short_description: &'a str,
    min_quantity: u32,
    max_quantity: u32,
    is_returnable: bool,
    status: OfferStatus,
}

#[derive(Serialize)]
struct Page<'a> {
    items: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<String>,
    etag: &'a str,
}

/// A page of the catalog, in a country and a language.
pub(super) fn page(
    published: &PublishedCatalog,
    query: &Query,
    headers: &HeaderMap,
    repeat_continuation: bool,
) -> Result<Answer, Refusal> {
    let (country, language) = (query.required("country")?, query.required("language")?);
    query::letters("country", country, 2)?;
    query::language("language", language)?;
    let size = page_size(query.optional("pageSize"))?;
    let start = query
        .optional("continuation")
        .map_or(Ok(0), |text| start_of(text, &published.version))?;
    if !published.catalog.countries.contains(country) {
        let message = format!("nothing is sold in `{country}`");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "CountryNotAllowed", message).about("country"));
    }
    // The country and the language are part of the address, so the version alone is a strong validator of every page.
    let etag = format!("\"{}\"", published.version);
    if matches(headers, &etag) {
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(tagged(answer, &etag));
    }
    let sold = published.catalog.offers.iter().enumerate().skip(start);
    let mut sold = sold.filter(|(_, offer)| offer.is_sold_in(country));
    let items: Vec<Item<'_>> = sold
        .by_ref()
        .take(size.min(published.catalog.page_size_max))
        .filter_map(|(_, offer)| item(offer, language))
        .collect();
    let next = sold.next().map(|(index, _)| index);
    let next = if repeat_continuation { Some(start) } else { next };
    let continuation = next.map(|index| continuation(index, &published.version));
    Ok(tagged(
        json(
            StatusCode::OK,
            &Page {
                items,
                continuation,
                etag: &etag,
            },
        ),
        &etag,
    ))
}

fn page_size(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else {
        return Ok(PAGE_SIZE_DEFAULT);
    };
    let size = text
        .parse()
        .ok()
        .filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
    size.ok_or_else(|| Refusal::invalid("pageSize", format!("`pageSize` must be 1 to {PAGE_SIZE_MAX}")))
}

fn item<'a>(offer: &'a Offer, language: &str) -> Option<Item<'a>> {
    let text = offer.text(language)?;
    Some(Item {
        offer_id: &offer.offer_id,
        offer_uri: &offer.offer_uri,
        name: &text.name,
        short_description: &text.short_description,
        min_quantity: offer.min_quantity,
        max_quantity: offer.max_quantity,
        is_returnable: offer.is_returnable,
        status: offer.status,
    })
}

fn continuation(index: usize, version: &str) -> String {
    BASE64URL_NOPAD.encode(format!("{version}:{index}").as_bytes())
}

/// The offer that a page begins with. A continuation of another version of the catalog is refused: the pages before it
/// came from a catalog that is no more.
fn start_of(continuation: &str, version: &str) -> Result<usize, Refusal> {
    let unknown = || Refusal::invalid("continuation", "the continuation is none that was given here");
    if continuation.len() > CONTINUATION_MAX {
        return Err(unknown());
    }
    let decoded = BASE64URL_NOPAD
        .decode(continuation.as_bytes())
        .map_err(|_| unknown())?;
    let decoded = String::from_utf8(decoded).map_err(|_| unknown())?;
    let (of_version, index) = decoded.split_once(':').ok_or_else(unknown)?;
    let index = index.parse().map_err(|_| unknown())?;
    if of_version != version {
        let message = "the catalog has changed since that page; read it from its start";
        return Err(Refusal::new(StatusCode::GONE, "ContinuationExpired", message).about("continuation"));
    }
    Ok(index)
}

/// Whether `If-None-Match` has the entity tag (RFC 9110 section 13.1.2).
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == etag)
}

fn tagged(mut answer: Answer, etag: &str) -> Answer {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        answer.headers_mut().insert(ETAG, etag);
    }
    // The answer may be kept, and has to be asked about each time.
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

//! Removes secrets from what is recorded: nothing stays unless HTTP or OAuth gives it its meaning ([`super::lists`]) or the
//! plugin has declared it to be harmless ([`super::harmless`]).
//!
//! - *Header fields*: the values of [`REQUEST_HEADERS`] and [`RESPONSE_HEADERS`] stay, and those that name an exchange. A
//!   request's other fields keep their names alone, so that a missing one is noticed; an answer's are removed.
//! - *Addresses*: all stays but the values of query fields that are not harmless.
//! - *Bodies* that are JSON or a form: the values of harmless fields stay. Whatever is within another field is removed, and so
//!   is a body of another kind.
//! - *Arguments*: the instance's settings stay, which are no secrets, and so do names of products, purchases and
//!   licenses. Names and ids of customers and resellers, and reasons for returns, go.
//! - *The plugin's answer* stays, without product keys and activation links, and without what was removed elsewhere.
//! - *The plugin's last lines* stay, which come without what looks like a secret. A value that was removed elsewhere is
//!   replaced in them too, where it stands as whole words.
//!
//! In a harmless value, whatever has a secret's shape is replaced all the same, and so are the people of the arguments. What
//! the arguments tell is no secret there. The names that they tell of purchases and licenses stay in every field, because a
//! plugin compares them, and the client transaction id of a call stays as a part of a value too: by it, one purchase is told
//! from another.
//!
//! Each removed value of an answer or of arguments is replaced by a value of the same shape, the same each time: a
//! product key by a product key that does not exist, an address by an address that leads nowhere. So a plugin that is
//! given the recording sends the recorded requests.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Number, Value};

use super::exchange::{Body, RecordedRequest, RecordedResponse};
use super::harmless::HarmlessNames;
use super::lists::{REQUEST_HEADERS, RESPONSE_HEADERS, TOKEN_ANSWER_FIELDS, TOKEN_REQUEST_FIELDS};
use crate::plugin_call::{PluginAnswer, PluginCall};
use crate::secret_shapes::{REMOVED, groups, without_credentials, without_secrets};

/// The beginning of what replaces a removed address, which leads nowhere (RFC 2606 section 2).
const NOWHERE: &str = "https://removed.invalid/";

/// The beginning of what replaces any other removed text.
const TEXT: &str = "removed-";

/// The most words and signs of a removed text that is found again within a line: a company's name has fewer, and a line of
/// the last ones is searched in milliseconds.
const PLACE_PIECES: usize = 16;

/// The fewest characters of a person's name or id that is replaced within a harmless text: a shorter one, such as `AG`, is part
/// of other names too, and tells nobody.
const PERSON_CHARS_MIN: usize = 3;

/// The most letters of a word that any field may hold, such as `active`. A secret has more, or digits.
const WORD_CHARS_MAX: usize = 12;

/// The client transaction ids in a call's arguments.
const IDS: [&str; 2] = ["client_transaction_id", "Purchase"];

/// The names of products and licenses in a call's arguments.
const NAMES: [&str; 3] = ["license_token_id", "product", "transaction_id"];

/// The members of a license that are secrets.
const LICENSE_SECRETS: [&str; 2] = ["product-key", "activation-link"];

/// What a segment of a path may not hold as it is (RFC 3986 section 3.3).
const NO_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What stands for the removed texts of a recording. Cloning shares it: a text is replaced in the same way in all calls.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<Digest, Place>>>);

/// A removed text, which itself is not kept.
type Digest = [u8; 32];

/// What stands for a removed text.
#[derive(Clone)]
struct Place {
    text: String,
    what: Removed,
}

/// What was removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    /// A name or an id of somebody, or a reason that somebody gave.
    Personal,
    /// A value that only one thing has, as far as the host can see.
    Telling,
    /// A word that stands in other fields too, and means nothing there.
    Word,
}

/// Removes secrets from one call, and remembers what it put in their place.
#[derive(Default)]
pub(crate) struct Scrubber {
    places: Places,
    harmless: Arc<HarmlessNames>,
    /// The texts that stand in the call's arguments as they are recorded.
    told: HashSet<String>,
    /// The call's client transaction ids.
    ids: Vec<String>,
    /// The names of what the call is about, among them those ids.
    names: HashSet<String>,
    /// The personal texts of the call's arguments that are not found word by word.
    sentences: Vec<String>,
    /// The numbers that were removed from the call's answers.
    removed_numbers: HashSet<String>,
    /// The texts that the call's answers keep as they are.
    shown: HashSet<Digest>,
    /// The texts that were removed in this call.
    removed_here: HashSet<Digest>,
}

impl Scrubber {
    /// The scrubber of a call of a plugin that has declared what is harmless.
    pub(crate) fn new(places: Places, harmless: Arc<HarmlessNames>) -> Self {
        Self {
            places,
            harmless,
            ..Self::default()
        }
    }

    /// The function and its arguments, as they are recorded.
    pub(crate) fn arguments(&mut self, asked: &PluginCall<'_>) -> Value {
        let mut value = serde_json::to_value(asked).unwrap_or_default();
        for pointer in [
            "/order/customer/id",
            "/order/customer/name",
            "/order/reseller/id",
            "/order/reseller/name",
            "/license_return/reason",
        ] {
            if let Some(Value::String(text)) = value.pointer_mut(pointer) {
                let pieces = pieces(text);
                let is_found_by_words =
                    pieces.len() <= PLACE_PIECES && pieces.first().copied().is_some_and(is_word);
                if !is_found_by_words && text.chars().count() >= PERSON_CHARS_MIN {
                    self.sentences.push(text.clone());
                }
                *text = self.place(text, Removed::Personal);
            }
        }
        self.tell(&value);
        value
    }

    /// Takes note of what a recording tells beside the exchanges: arguments as they are recorded, and options.
    pub(crate) fn tell(&mut self, value: &Value) {
        match value {
            Value::String(text) if !text.is_empty() && !is_place(text) => {
                self.told.insert(text.clone());
            }
            Value::Number(number) => {
                self.told.insert(number.to_string());
            }
            Value::Array(items) => items.iter().for_each(|item| self.tell(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.tell(value);
                    let Some(text) = value.as_str().filter(|text| self.told.contains(*text)) else {
                        continue;
                    };
                    if IDS.contains(&name.as_str()) {
                        self.ids.push(text.to_owned());
                        self.names.insert(text.to_owned());
                    } else if NAMES.contains(&name.as_str()) {
                        self.names.insert(text.to_owned());
                    }
                }
            }
            Value::String(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// A request, as it is recorded.
    pub(crate) fn request(&mut self, request: &http::Request<Bytes>) -> RecordedRequest {
        let headers = request.headers();
        RecordedRequest {
            method: request.method().to_string(),
            url: self.url(request.uri()),
            headers: self.request_headers(headers),
            body: self.request_body(content_type(headers), request.body()),
        }
    }

    /// A request that was not sent, as it is recorded.
    pub(crate) fn denied(&mut self, method: &Method, uri: &Uri) -> RecordedRequest {
        RecordedRequest {
            method: method.to_string(),
            url: self.url(uri),
            headers: BTreeMap::new(),
            body: Body::Empty,
        }
    }

    /// An answer, as it is recorded.
    pub(crate) fn response(
        &mut self,
        request: Option<&RecordedRequest>,
        head: &http::response::Parts,
        body: &[u8],
    ) -> RecordedResponse {
        let value = |name: &str| Some((name.to_owned(), head.headers.get(name)?.to_str().ok()?.to_owned()));
        let mut headers: BTreeMap<_, _> = RESPONSE_HEADERS.into_iter().filter_map(value).collect();
        let harmless = self.harmless.clone();
        for (name, value) in harmless.headers().filter_map(value) {
            let value = self.answered(value, true);
            headers.insert(name, value);
        }
        for value in headers.values() {
            self.shown.insert(digest_of(value));
        }
        let of_token = request.is_some_and(is_token_request);
        let is_kept =
            |name: &str| of_token && TOKEN_ANSWER_FIELDS.contains(&name) || harmless.keeps_of_answer(name);
        let body = match serde_json::from_slice::<Value>(body) {
            _ if body.is_empty() => Body::Empty,
            Ok(value) => Body::Json(self.answered_value(value, &is_kept, true)),
            Err(_) => Body::Removed { bytes: body.len() },
        };
        RecordedResponse {
            status: head.status.as_u16(),
            headers,
            body,
        }
    }

    fn request_headers(&mut self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let others = headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
        others
            .map(|(name, value)| {
                let is_of_http = REQUEST_HEADERS.contains(&name.as_str());
                let value = match value.to_str() {
                    Ok(value) if is_of_http => value.to_owned(),
                    Ok(value) => self.sent(value, self.harmless.names_exchanges(name.as_str())),
                    Err(_) => REMOVED.to_owned(),
                };
                (name.to_string(), value)
            })
            .collect()
    }

    fn url(&mut self, uri: &Uri) -> String {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // User information is refused by the policy, and could be a secret.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let segments: Vec<String> = uri
            .path()
            .split('/')
            .map(|segment| self.segment(segment))
            .collect();
        let mut url = format!(
            "{}://{authority}{}",
            uri.scheme_str().unwrap_or("https"),
            segments.join("/")
        );
        if let Some(query) = uri.query() {
            let harmless = self.harmless.clone();
            let pairs = self.pairs(query.as_bytes(), |name| harmless.keeps_of_request(name));
            let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
            url.push('?');
            url.push_str(&query);
        }
        url
    }

    /// A segment of a path. However a plugin encodes it, it is recorded in the same way.
    fn segment(&self, segment: &str) -> String {
        match percent_decode_str(segment).decode_utf8() {
            Ok(text) => utf8_percent_encode(&self.sent(&text, true), NO_SEGMENT).to_string(),
            Err(_) => segment.to_owned(),
        }
    }

    fn request_body(&mut self, content_type: &str, body: &[u8]) -> Body {
        if body.is_empty() {
            return Body::Empty;
        }
        let harmless = self.harmless.clone();
        if content_type.starts_with("application/x-www-form-urlencoded") {
            let of_token = form_urlencoded::parse(body).any(|(name, _)| name == GRANT_TYPE);
            return Body::Form(self.pairs(body, |name| {
                of_token && TOKEN_REQUEST_FIELDS.contains(&name) || harmless.keeps_of_request(name)
            }));
        }
        match serde_json::from_slice(body) {
            Ok(value) => Body::Json(self.sent_value(value, true)),
            Err(_) => Body::Removed { bytes: body.len() },
        }
    }

    fn pairs(&mut self, text: &[u8], is_kept: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        form_urlencoded::parse(text)
            .map(|(name, value)| {
                let value = self.sent(&value, is_kept(&name));
                (name.into_owned(), value)
            })
            .collect()
    }

    fn sent_value(&mut self, value: Value, kept: bool) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let kept = kept && self.harmless.keeps_of_request(&name);
                    (self.name(name), self.sent_value(value, kept))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.sent_value(item, kept))
                .collect(),
            Value::String(text) => self.sent(&text, kept).into(),
            Value::Number(number) if !self.keeps_number(&number.to_string(), kept) => 0.into(),
            other => other,
        }
    }

    fn answered_value(&mut self, value: Value, is_kept: &dyn Fn(&str) -> bool, kept: bool) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let kept = kept && is_kept(&name);
                    (self.name(name), self.answered_value(value, is_kept, kept))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.answered_value(item, is_kept, kept))
                .collect(),
            Value::String(text) => self.answered(text, kept).into(),
            Value::Number(number) if !self.keeps_number(&number.to_string(), kept) => {
                self.removed_numbers.insert(number.to_string());
                0.into()
            }
            other => other,
        }
    }

    /// The name of a member, which is a value where an object lists things by their names.
    fn name(&mut self, name: String) -> String {
        match self.known(&name) {
            _ if self.told.contains(&name) => name,
            Some(place) => place,
            None if without_credentials(&name) == REMOVED && !is_place(&name) => {
                self.place(&name, Removed::Telling)
            }
            None => name,
        }
    }

    /// A text that a plugin sends, as it is recorded.
    fn sent(&self, text: &str, kept: bool) -> String {
        match self.known(text) {
            _ if kept && self.told.contains(text) || self.names.contains(text) => text.to_owned(),
            Some(place) => place,
            None if is_place(text) => text.to_owned(),
            None if kept => self.without_credentials(text),
            None => self.ids_alone(text),
        }
    }

    /// A text of an answer, as it is recorded.
    fn answered(&mut self, text: String, kept: bool) -> String {
        if text.is_empty() || is_place(&text) || self.names.contains(&text) {
            return text;
        }
        let place = match self.known(&text) {
            _ if !kept => None,
            _ if self.told.contains(&text) => Some(text.clone()),
            Some(place) => Some(place),
            None => Some(self.without_credentials(&text)).filter(|without| without != REMOVED),
        };
        // What is a secret as a whole may come back, and is known again by its place.
        let place = place.unwrap_or_else(|| self.place(&text, removed(&text)));
        if place == text {
            self.shown.insert(digest_of(&text));
        }
        place
    }

    /// A harmless text without the people of the arguments, and without what has a secret's shape.
    fn without_credentials(&self, text: &str) -> String {
        let text = self.replaced(text, |piece, place| {
            let is_told = place.what == Removed::Personal && piece.chars().count() >= PERSON_CHARS_MIN;
            is_told.then(|| place.text.clone())
        });
        without_credentials(&text).into_owned()
    }

    /// The client transaction ids within a text that is removed otherwise.
    fn ids_alone(&self, text: &str) -> String {
        let found = self
            .ids
            .iter()
            .find_map(|id| Some((text.split_once(id.as_str())?, id)));
        let Some(((before, after), id)) = found else {
            return REMOVED.to_owned();
        };
        let removed = |text: &str| if text.is_empty() { "" } else { REMOVED };
        format!("{}{id}{}", removed(before), removed(after))
    }

    fn keeps_number(&self, number: &str, kept: bool) -> bool {
        let is_personal = |place: Place| place.what == Removed::Personal;
        kept && (self.told.contains(number)
            || number.len() < PERSON_CHARS_MIN
            || !self.places.get(number).is_some_and(is_personal))
    }

    /// A line that the plugin wrote, as it is recorded.
    pub(crate) fn words(&self, line: &str) -> String {
        self.replaced(line, |_, place| Some(place.text.clone()))
    }

    /// What the plugin answered, as it is recorded.
    ///
    /// What the plugin answers when the recording is played back is to be the same. So a text is replaced by its place only
    /// where the plugin is sure to be given the place, and by [`REMOVED`], which stands for any text, where it may be given
    /// either.
    pub(crate) fn answer(&self, answer: PluginAnswer) -> Value {
        let scrub = |value| self.of_answer(value, false);
        PluginAnswer {
            value: scrub(answer.value),
            products: answer
                .products
                .map(|products| products.into_iter().map(scrub).collect()),
        }
        .recorded()
    }

    fn of_answer(&self, value: Value, is_secret: bool) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let is_secret = LICENSE_SECRETS.contains(&name.as_str());
                    (name, self.of_answer(value, is_secret))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.of_answer(item, is_secret))
                .collect(),
            Value::String(text) => self.text_of_answer(&text, is_secret).into(),
            Value::Number(number) if self.was_removed(&number) => REMOVED.into(),
            other => other,
        }
    }

    /// Whether a number of an answer comes from one that was removed, which is 0 in a replay. A time is one of seconds or of
    /// milliseconds.
    fn was_removed(&self, number: &Number) -> bool {
        let seconds = number.as_i64().filter(|number| number % 1_000 == 0);
        let seconds = seconds.map(|number| (number / 1_000).to_string());
        self.removed_numbers.contains(&number.to_string())
            || seconds.is_some_and(|seconds| self.removed_numbers.contains(&seconds))
    }

    fn text_of_answer(&self, text: &str, is_secret: bool) -> String {
        let digest = digest_of(text);
        let is_shown = self.told.contains(text) || self.shown.contains(&digest);
        let place = self.places.get(text);
        match place {
            _ if text.is_empty() => String::new(),
            Some(place) if self.removed_here.contains(&digest) && !is_shown => place.text,
            Some(_) => REMOVED.to_owned(),
            None if is_secret => REMOVED.to_owned(),
            None if is_shown => text.to_owned(),
            None => {
                let text = self.replaced(text, |_, _| Some(REMOVED.to_owned()));
                without_secrets(&text).into_owned()
            }
        }
    }

    /// A text in which the removed texts among its words are replaced.
    fn replaced(&self, text: &str, replacement: impl Fn(&str, &Place) -> Option<String>) -> String {
        let mut text = Cow::Borrowed(text);
        for sentence in &self.sentences {
            let place = self
                .places
                .get(sentence)
                .filter(|_| text.contains(sentence.as_str()));
            if let Some(place) = place.and_then(|place| replacement(sentence, &place)) {
                text = text.replace(sentence.as_str(), &place).into();
            }
        }
        let pieces = pieces(&text);
        let mut kept = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            // The longest first: a part of a removed text may be another.
            let ends = (at..pieces.len().min(at + PLACE_PIECES)).rev();
            let places = ends.filter(|_| is_word(piece));
            let mut places = places.filter_map(|end| {
                let piece = pieces[at..=end].concat();
                let place = self.places.get(&piece)?;
                Some((end, replacement(&piece, &place)?))
            });
            match places.next() {
                Some((end, place)) => {
                    kept.push_str(&place);
                    at = end + 1;
                }
                None => {
                    kept.push_str(piece);
                    at += 1;
                }
            }
        }
        kept
    }

    /// The replacement of a text that was removed before, and that means the same wherever it stands.
    fn known(&self, text: &str) -> Option<String> {
        let place = self.places.get(text)?;
        (place.what != Removed::Word).then_some(place.text)
    }

    /// Replaces a text that is removed, each time by the same replacement.
    fn place(&mut self, text: &str, what: Removed) -> String {
        if text.is_empty() || is_place(text) {
            return text.to_owned();
        }
        self.removed_here.insert(digest_of(text));
        self.places.put(text, what)
    }
}

impl Places {
    fn get(&self, text: &str) -> Option<Place> {
        self.lock().get(&digest_of(text)).cloned()
    }

    fn put(&self, text: &str, what: Removed) -> String {
        let mut places = self.lock();
        let number = places.len() + 1;
        let place = places.entry(digest_of(text)).or_insert_with(|| Place {
            text: of_shape(text, number),
            what,
        });
        if what == Removed::Personal {
            place.what = what;
        }
        place.text.clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Place>> {
        // A map is never half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a removed text of an answer is.
fn removed(text: &str) -> Removed {
    let is_word = text.len() <= WORD_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match is_word {
        true => Removed::Word,
        false => Removed::Telling,
    }
}

/// A text in words and in the signs between them.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first.is_alphanumeric() {
            true => rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn is_word(piece: &str) -> bool {
    piece.starts_with(char::is_alphanumeric)
}

fn digest_of(text: &str) -> Digest {
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .try_into()
        .unwrap_or_default()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The field of every request for an access token (RFC 6749 section 4).
const GRANT_TYPE: &str = "grant_type";

pub(crate) fn is_token_request(request: &RecordedRequest) -> bool {
    matches!(&request.body, Body::Form(pairs) if pairs.iter().any(|(name, _)| name == GRANT_TYPE))
}

/// A replacement of a text's shape, told from others by its number.
fn of_shape(text: &str, number: usize) -> String {
    if let Some(groups) = groups(text) {
        let length = groups.first().map_or(0, |group| group.len());
        let mut place = format!("{}-", "A".repeat(length)).repeat(groups.len() - 1);
        place.push_str(&format!("{number:0length$}"));
        return place;
    }
    if text.starts_with("https://") {
        return format!("{NOWHERE}{number}");
    }
    format!("{TEXT}{number}")
}

/// Whether a replacement is a part of a text.
pub(crate) fn has_place(text: &str) -> bool {
    let mut words = text.split(|character: char| !character.is_alphanumeric() && character != '-');
    text.contains(NOWHERE) || text.contains(TEXT) || words.any(is_place)
}

/// Whether a text is a replacement already.
fn is_place(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some([hidden @ .., number]) = groups(text).as_deref() {
        let is_hidden = |group: &&str| group.bytes().all(|byte| byte == b'A');
        return is_number(number) && hidden.iter().all(is_hidden);
    }
    text.strip_prefix(NOWHERE)
        .or_else(|| text.strip_prefix(TEXT))
        .is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bindings::instance_settings::{FieldValue, Instance};
    use crate::bindings::license_order::{EarlierAttempts, LicenseOrder, Party};

    const KEY: &str = "3F9KD-11111-22222-33333-X4Y5Z";
    const ID: &str = "0b8a0f4e-5c1d-5b8e-9c63-0d6d7e6f7a10";

    /// The scrubber of a call of a plugin that has declared a few names.
    fn scrubber() -> Scrubber {
        let harmless = HarmlessNames::of(
            &["country", "customer", "note", "quantity", "sku", "access_token"],
            &["name", "note", "sku", "status", "links", "access_token"],
            &["x-request-id"],
        );
        Scrubber::new(Places::default(), Arc::new(harmless))
    }

    fn request(method: &str, url: &str, content_type: &str, body: &str) -> http::Request<Bytes> {
        http::Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", content_type)
            .header("authorization", "Bearer secret-of-the-vendor")
            .header("content-length", body.len())
            .header("x-request-id", "exchange-1")
            .header("x-tenant", "secret")
            .body(Bytes::from(body.to_owned()))
            .unwrap()
    }

    fn answer(scrubber: &mut Scrubber, request: &RecordedRequest, body: &Value) -> RecordedResponse {
        let (head, ()) = http::Response::builder()
            .header("set-cookie", "session=secret")
            .header("etag", "\"1\"")
            .header("x-request-id", "exchange-2")
            .header("x-vendor", "secret")
            .body(())
            .unwrap()
            .into_parts();
        scrubber.response(Some(request), &head, body.to_string().as_bytes())
    }

    /// The body of an answer, as it is recorded.
    fn answered(scrubber: &mut Scrubber, body: &Value) -> Value {
        let asked = scrubber.request(&request("GET", "https://c.test/", "", ""));
        match answer(scrubber, &asked, body).body {
            Body::Json(body) => body,
            other => panic!("{other:?}"),
        }
    }

    /// The body of a request, as it is recorded.
    fn sent(scrubber: &mut Scrubber, body: &Value) -> Value {
        let body = body.to_string();
        let asked = request("POST", "https://c.test/", "application/json", &body);
        match scrubber.request(&asked).body {
            Body::Json(body) => body,
            other => panic!("{other:?}"),
        }
    }

    /// Begins a call that buys for a customer of that id and name.
    fn buys(scrubber: &mut Scrubber, id: &str, name: &str) -> Value {
        let instance = Instance {
            id: "i".to_owned(),
            values: vec![FieldValue {
                id: "shop".to_owned(),
                value: "AAA-BBB-CCC".to_owned(),
            }],
            currency: "EUR".to_owned(),
        };
        let customer = Party {
            id: id.to_owned(),
            name: name.to_owned(),
            country: "DE".to_owned(),
        };
        let order = LicenseOrder {
            client_transaction_id: ID.to_owned(),
            earlier_attempts: EarlierAttempts::None,
            check_only: false,
            product: "SKU-1".to_owned(),
            quantity: 1,
            reseller: None,
            customer,
        };
        scrubber.arguments(&PluginCall::CreateLicense {
            instance: &instance,
            order: &order,
        })
    }

    #[test]
    fn of_the_answer_to_a_request_for_an_access_token_only_what_is_listed_stays() {
        let mut scrubber = scrubber();
        let form = "grant_type=client_credentials&client_id=c&client_assertion=eyJsecret&else=secret&sku=S";
        let content_type = "application/x-www-form-urlencoded";
        let asked = scrubber.request(&request("POST", "https://l.test/t/token", content_type, form));
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", "c"),
            ("client_assertion", REMOVED),
            ("else", REMOVED),
            ("sku", "S"),
        ];
        assert_eq!(
            asked.body,
            Body::Form(pairs.map(|(a, b)| (a.into(), b.into())).into())
        );
        let answered = answer(
            &mut scrubber,
            &asked,
            &json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "opaque", "label": "opaque", "else": { "error": "opaque" }, "pin": 4711, "sku": "S" }),
        );
        assert_eq!(
            answered.body,
            Body::Json(
                json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "removed-1", "label": "removed-1", "else": { "error": "removed-1" }, "pin": 0, "sku": "S" })
            )
        );
        // A form that asks for no access token is a body as any other.
        let form = "client_id=c&sku=S&access_token=opaque2";
        let asked = scrubber.request(&request("POST", "https://c.test/", content_type, form));
        let pairs = [("client_id", REMOVED), ("sku", "S"), ("access_token", REMOVED)];
        assert_eq!(
            asked.body,
            Body::Form(pairs.map(|(a, b)| (a.into(), b.into())).into())
        );
    }

    #[test]
    fn of_header_fields_those_of_http_stay_and_those_that_name_an_exchange() {
        let mut scrubber = scrubber();
        let asked = scrubber.request(&request("GET", "https://c.test/", "text/plain", ""));
        let text = |text: &str| text.to_owned();
        let kept = [
            ("authorization", REMOVED),
            ("content-type", "text/plain"),
            ("x-request-id", "exchange-1"),
            ("x-tenant", REMOVED),
        ];
        assert_eq!(
            asked.headers,
            BTreeMap::from(kept.map(|(a, b)| (text(a), text(b))))
        );
        let answered = answer(&mut scrubber, &asked, &json!({}));
        let kept = [("etag", "\"1\""), ("x-request-id", "exchange-2")];
        assert_eq!(
            answered.headers,
            BTreeMap::from(kept.map(|(a, b)| (text(a), text(b))))
        );
        // A plugin that has declared nothing keeps neither.
        let mut other = Scrubber::default();
        let asked = other.request(&request("GET", "https://c.test/", "text/plain", ""));
        assert_eq!(asked.headers["x-request-id"], REMOVED);
        let answered = answer(&mut other, &asked, &json!({}));
        assert_eq!(answered.headers.keys().collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn only_what_the_plugin_has_declared_stays_of_a_body() {
        let body = json!({ "sku": "S", "name": "N", "country": "DE" });
        let kept = json!({ "sku": "S", "name": REMOVED, "country": "DE" });
        assert_eq!(sent(&mut scrubber(), &body), kept);
        assert_eq!(
            answered(&mut scrubber(), &body),
            json!({ "sku": "S", "name": "N", "country": "removed-1" })
        );
        let nothing = sent(&mut Scrubber::default(), &body);
        assert_eq!(
            nothing,
            json!({ "sku": REMOVED, "name": REMOVED, "country": REMOVED })
        );
        let nothing = answered(&mut Scrubber::default(), &body);
        assert_eq!(
            nothing,
            json!({ "country": "removed-1", "name": "removed-2", "sku": "removed-3" })
        );
    }

    #[test]
    fn a_license_keeps_its_shape_and_loses_its_key_and_link() {
        let mut scrubber = scrubber();
        let license = json!({ "sku": "1", "key": KEY, "link": "https://a.test/?t=secret", "again": KEY });
        assert_eq!(
            answered(&mut scrubber, &license),
            json!({ "sku": "1", "again": "AAAAA-AAAAA-AAAAA-AAAAA-00001", "key": "AAAAA-AAAAA-AAAAA-AAAAA-00001", "link": "https://removed.invalid/2" })
        );
        // A text that was removed once is replaced wherever it comes back, and a replacement stays.
        let back = format!("https://c.test/keys/{KEY}?country=DE&sig=secret");
        let asked = scrubber.request(&request("GET", &back, "", ""));
        assert_eq!(
            asked.url,
            "https://c.test/keys/AAAAA-AAAAA-AAAAA-AAAAA-00001?country=DE&sig=%5Bremoved%5D"
        );
        assert_eq!(scrubber.place("removed-7", Removed::Telling), "removed-7");
        let place = "AAAAA-AAAAA-AAAAA-AAAAA-00001";
        assert_eq!(Scrubber::default().sent(place, false), place);
    }

    #[test]
    fn a_secret_is_removed_from_what_the_plugin_calls_harmless() {
        let token = "eyJhbGciOiJQUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln";
        let body = json!({
            "sku": KEY,
            "note": format!("key {KEY}, Bearer c2VjcmV0, at https://a.test/offers?x={token}"),
            "name": token,
            "access_token": "opaque",
        });
        let note = "key [removed], Bearer [removed], at https://a.test/offers?x=[removed]";
        // The key and the access token may come back: each has a place.
        assert_eq!(
            answered(&mut scrubber(), &body),
            json!({ "access_token": "removed-1", "name": "removed-2", "note": note, "sku": "AAAAA-AAAAA-AAAAA-AAAAA-00003" })
        );
        assert_eq!(
            sent(&mut scrubber(), &body),
            json!({ "access_token": REMOVED, "name": REMOVED, "note": note, "sku": REMOVED })
        );
        let by_name = json!({ "links": { KEY: 1, "AAAAA-00001": 2 } });
        assert_eq!(
            answered(&mut scrubber(), &by_name),
            json!({ "links": { "AAAAA-AAAAA-AAAAA-AAAAA-00001": 0, "AAAAA-00001": 0 } })
        );
        let url = format!("https://c.test/keys/{KEY}/x?note={token}");
        assert_eq!(
            scrubber().request(&request("GET", &url, "", "")).url,
            "https://c.test/keys/[removed]/x?note=%5Bremoved%5D"
        );
    }

    #[test]
    fn a_customer_is_removed_from_what_the_plugin_calls_harmless() {
        let mut scrubber = scrubber();
        let arguments = buys(&mut scrubber, "48151623", "Beispiel GmbH");
        assert_eq!(arguments["order"]["customer"]["id"], "removed-1");
        assert_eq!(arguments["order"]["customer"]["name"], "removed-2");
        let body = json!({
            "sku": "SKU-1",
            "name": "Beispiel GmbH",
            "note": "for Beispiel GmbH (48151623) in DE",
            "quantity": 48_151_623,
            "customer": { "id": "48151623", "country": "DE", "note": "Beispiel GmbH" },
        });
        assert_eq!(
            sent(&mut scrubber, &body),
            json!({
                "sku": "SKU-1",
                "name": "removed-2",
                "note": "for removed-2 (removed-1) in DE",
                "quantity": 0,
                "customer": { "id": "removed-1", "country": "DE", "note": "removed-2" },
            })
        );
        let body = json!({
            "name": "Beispiel GmbH",
            "note": "for Beispiel GmbH",
            "status": 48_151_623,
            "links": { "Beispiel GmbH": 1 },
        });
        assert_eq!(
            answered(&mut scrubber, &body),
            json!({ "name": "removed-2", "note": "for removed-2", "status": 0, "links": { "removed-2": 0 } })
        );
        let url = "https://c.test/of/Beispiel%20GmbH?note=Beispiel+GmbH";
        assert_eq!(
            scrubber.request(&request("GET", url, "", "")).url,
            "https://c.test/of/removed-2?note=removed-2"
        );
        // A name that does not begin as a word does, and one that is longer than what is searched word by word.
        let long = "of the many brothers and sisters who have founded the house in the year of the comet";
        for name in ["(Beispiel) Ltd", long] {
            let mut scrubber = self::scrubber();
            buys(&mut scrubber, "C-1", name);
            let note = format!("for {name}, today");
            assert_eq!(
                sent(&mut scrubber, &json!({ "note": note })),
                json!({ "note": "for removed-2, today" })
            );
        }
        // Without a call for that customer, the name is one as any other.
        assert_eq!(
            sent(&mut self::scrubber(), &json!({ "note": "Beispiel GmbH" })),
            json!({ "note": "Beispiel GmbH" })
        );
    }

    #[test]
    fn what_the_arguments_tell_stays_where_it_is_harmless() {
        let mut scrubber = scrubber();
        // A customer whose id is the quantity, and whose name is the country.
        buys(&mut scrubber, "1", "DE");
        let body = json!({ "country": "DE", "quantity": 1, "sku": "AAA-BBB-CCC", "shop": "AAA-BBB-CCC", "who": "DE" });
        assert_eq!(
            sent(&mut scrubber, &body),
            json!({ "country": "DE", "quantity": 1, "sku": "AAA-BBB-CCC", "shop": REMOVED, "who": "removed-2" })
        );
    }

    #[test]
    fn the_client_transaction_id_stays_wherever_it_stands() {
        let mut scrubber = scrubber();
        buys(&mut scrubber, "C-1", "Beispiel");
        let asked = http::Request::builder()
            .method("POST")
            .uri(format!("https://c.test/?ref={ID}"))
            .header("idempotency-key", format!("\"{ID}\""))
            .header("x-order", format!("secret {ID}"))
            .body(Bytes::from(json!({ "ref": ID, "other": "other" }).to_string()))
            .unwrap();
        let asked = scrubber.request(&asked);
        assert_eq!(asked.url, format!("https://c.test/?ref={ID}"));
        assert_eq!(
            asked.headers["idempotency-key"],
            format!("{REMOVED}{ID}{REMOVED}")
        );
        assert_eq!(asked.headers["x-order"], format!("{REMOVED}{ID}"));
        assert_eq!(asked.body, Body::Json(json!({ "ref": ID, "other": REMOVED })));
        assert_eq!(
            answered(&mut scrubber, &json!({ "ref": ID, "other": "other 1" })),
            json!({ "other": "removed-3", "ref": ID })
        );
    }

    #[test]
    fn a_word_that_is_removed_from_one_field_stays_in_another() {
        let mut scrubber = scrubber();
        let body = json!({ "billing": "active", "code": "A1B2C3", "status": "active", "sku": "A1B2C3" });
        assert_eq!(
            answered(&mut scrubber, &body),
            json!({ "billing": "removed-1", "code": "removed-2", "status": "active", "sku": "removed-2" })
        );
    }

    #[test]
    fn a_body_that_is_no_json_is_removed_as_a_whole() {
        let mut scrubber = Scrubber::default();
        let asked = scrubber.request(&request("POST", "https://c.test/", "text/plain", "secret"));
        assert_eq!(asked.body, Body::Removed { bytes: 6 });
        let (head, ()) = http::Response::builder().body(()).unwrap().into_parts();
        let answered = scrubber.response(Some(&asked), &head, b"{\"productKey\": \"3F9KD-1");
        assert_eq!(answered.body, Body::Removed { bytes: 23 });
    }

    #[test]
    fn what_was_removed_elsewhere_is_removed_from_the_plugin_s_last_lines() {
        let mut scrubber = Scrubber::default();
        for (text, what) in [
            ("Beispiel GmbH & Co. KG", Removed::Personal),
            ("Beispiel", Removed::Word),
            ("k3y", Removed::Telling),
            ("C-1", Removed::Personal),
        ] {
            scrubber.place(text, what);
        }
        for (line, kept) in [
            ("", ""),
            (
                "no license k3y for C-1: Beispiel",
                "no license removed-3 for removed-4: removed-2",
            ),
            ("`Beispiel GmbH & Co. KG` again", "`removed-1` again"),
            ("monk3y, C-12, größe", "monk3y, C-12, größe"),
        ] {
            assert_eq!(scrubber.words(line), kept);
        }
    }

    #[test]
    fn an_answer_of_the_plugin_s_tells_no_secret_and_is_the_same_in_a_replay() {
        let mut scrubber = scrubber();
        buys(&mut scrubber, "C-1", "Beispiel GmbH");
        let body = json!({ "sku": "SKU-1", "status": "active", "billing": "active", "key": KEY, "id": "T-1", "name": "Office" });
        let given = answered(&mut scrubber, &body);
        let said = |key: &str, id: &str, message: &str| {
            let value = json!({
                "product-key": key,
                "activation-link": "",
                "transaction-id": id,
                "client-transaction-id": ID,
                "name": "Office",
                "state": "active",
                "message": message,
            });
            PluginAnswer {
                value,
                products: None,
            }
        };
        let message = format!("T-1 of Beispiel GmbH has {KEY}, see https://a.test/x");
        let recorded = scrubber.answer(said(KEY, "T-1", &message));
        assert_eq!(
            recorded,
            json!({
                "product-key": given["key"],
                "activation-link": "",
                "transaction-id": given["id"],
                "client-transaction-id": ID,
                "name": "Office",
                // The word was removed from one field, and stays in another.
                "state": REMOVED,
                "message": "[removed] of [removed] has [removed], see https://a.test/[removed]",
            })
        );
        // A number that was removed is another in a replay, and one that was given is the same.
        answered(&mut scrubber, &json!({ "at": 1_800_000_000, "sku": 7 }));
        let value = json!({ "purchased-at-ms": 1_800_000_000_000_i64, "max-quantity": 7 });
        let numbers = scrubber.answer(PluginAnswer {
            value,
            products: None,
        });
        assert_eq!(numbers, json!({ "purchased-at-ms": REMOVED, "max-quantity": 7 }));
        // A key that is not one of the vendor's as it stands has no place.
        let made = scrubber.answer(said("made up", "T-1", ""));
        assert_eq!(made["product-key"], REMOVED);
    }
}

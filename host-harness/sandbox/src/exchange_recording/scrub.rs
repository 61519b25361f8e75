//! Removes secrets from what is recorded: nothing stays unless it is listed ([`super::lists`]).
//!
//! - *Header fields*: the values of [`REQUEST_HEADERS`] and [`RESPONSE_HEADERS`] stay. A request's other fields keep
//!   their names alone, so that a missing one is noticed; an answer's are removed.
//! - *Addresses*: all stays but the values of query fields that are not in [`QUERY_FIELDS`].
//! - *Bodies* that are JSON or a form: the values of listed fields stay. Whatever is within a field that is not
//!   listed is removed, and so is a body of another kind.
//! - *Arguments*: the instance's settings stay, which are no secrets, and so do names of products, purchases and
//!   licenses. Names and ids of customers and resellers, and reasons for returns, go.
//! - *The plugin's last lines* stay, which come without what looks like a secret. A value that was removed elsewhere is
//!   replaced in them too, where it stands as whole words.
//!
//! Each removed value of an answer or of arguments is replaced by a value of the same shape, the same each time: a
//! product key by a product key that does not exist, an address by an address that leads nowhere. So a plugin that is
//! given the recording sends the recorded requests.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value};

use super::exchange::{Body, REMOVED, RecordedRequest, RecordedResponse};
use super::lists::{
    ANSWER_FIELDS, QUERY_FIELDS, REQUEST_FIELDS, REQUEST_HEADERS, RESPONSE_HEADERS, TOKEN_ANSWER_FIELDS,
    TOKEN_REQUEST_FIELDS,
};
use crate::plugin_call::PluginCall;
use crate::secret_shapes::groups;

/// The beginning of what replaces a removed address, which leads nowhere (RFC 2606 section 2).
const NOWHERE: &str = "https://removed.invalid/";

/// The beginning of what replaces any other removed text.
const TEXT: &str = "removed-";

/// The most words and signs of a removed text that is found again within a line: a company's name has fewer, and a line of
/// the last ones is searched in milliseconds.
const PLACE_PIECES: usize = 16;

/// Removes secrets, and remembers what it put in their place.
#[derive(Default)]
pub(crate) struct Scrubber {
    /// The replacement of each removed text, by the digest of the text, which itself is not kept.
    places: HashMap<[u8; 32], String>,
}

impl Scrubber {
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
                *text = self.place(text);
            }
        }
        value
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
        let headers = RESPONSE_HEADERS
            .iter()
            .filter_map(|name| {
                Some((
                    (*name).to_owned(),
                    head.headers.get(*name)?.to_str().ok()?.to_owned(),
                ))
            })
            .collect();
        let fields: &[&str] = match request {
            Some(request) if is_token_request(request) => &TOKEN_ANSWER_FIELDS,
            _ => &ANSWER_FIELDS,
        };
        let body = match serde_json::from_slice::<Value>(body) {
            _ if body.is_empty() => Body::Empty,
            Ok(value) => Body::Json(self.answer_value(value, fields)),
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
                let kept = REQUEST_HEADERS.contains(&name.as_str());
                let value = value.to_str().ok().filter(|_| kept).unwrap_or(REMOVED);
                (name.to_string(), value.to_owned())
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
            .map(|segment| self.known(segment).unwrap_or_else(|| segment.to_owned()))
            .collect();
        let mut url = format!(
            "{}://{authority}{}",
            uri.scheme_str().unwrap_or("https"),
            segments.join("/")
        );
        if let Some(query) = uri.query() {
            let pairs = self.pairs(query.as_bytes(), &QUERY_FIELDS);
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish();
            url.push('?');
            url.push_str(&query);
        }
        url
    }

    fn request_body(&mut self, content_type: &str, body: &[u8]) -> Body {
        if body.is_empty() {
            return Body::Empty;
        }
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Body::Form(self.pairs(body, &TOKEN_REQUEST_FIELDS));
        }
        match serde_json::from_slice(body) {
            Ok(value) => Body::Json(self.request_value(value, true)),
            Err(_) => Body::Removed { bytes: body.len() },
        }
    }

    fn pairs(&mut self, text: &[u8], fields: &[&str]) -> Vec<(String, String)> {
        form_urlencoded::parse(text)
            .map(|(name, value)| {
                let value = self.sent(&value, fields.contains(&name.as_ref()));
                (name.into_owned(), value)
            })
            .collect()
    }

    fn request_value(&mut self, value: Value, kept: bool) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let kept = kept && REQUEST_FIELDS.contains(&name.as_str());
                    (name, self.request_value(value, kept))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.request_value(item, kept))
                .collect(),
            Value::String(text) => self.sent(&text, kept).into(),
            Value::Number(_) if !kept => 0.into(),
            other => other,
        }
    }

    fn answer_value(&mut self, value: Value, fields: &[&str]) -> Value {
        self.answer_part(value, fields, true)
    }

    fn answer_part(&mut self, value: Value, listed: &[&str], kept: bool) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let kept = kept && listed.contains(&name.as_str());
                    (name, self.answer_part(value, listed, kept))
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.answer_part(item, listed, kept))
                .collect(),
            Value::String(text) if kept => self.known(&text).unwrap_or(text).into(),
            Value::String(text) => self.place(&text).into(),
            Value::Number(_) if !kept => 0.into(),
            other => other,
        }
    }

    /// A text that a plugin sends, as it is recorded.
    fn sent(&self, text: &str, kept: bool) -> String {
        match self.known(text) {
            Some(place) => place,
            None if kept || is_place(text) => text.to_owned(),
            None => REMOVED.to_owned(),
        }
    }

    /// A line that the plugin wrote, as it is recorded.
    pub(crate) fn words(&self, line: &str) -> String {
        let pieces = pieces(line);
        let mut kept = String::with_capacity(line.len());
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            // The longest first: a part of a removed text may be another.
            let ends = (at..pieces.len().min(at + PLACE_PIECES)).rev();
            let places = ends.filter(|_| is_word(piece));
            let mut places = places.filter_map(|end| Some((end, self.known(&pieces[at..=end].concat())?)));
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

    /// The replacement of a text that was removed before.
    fn known(&self, text: &str) -> Option<String> {
        self.places.get(&digest_of(text)).cloned()
    }

    /// Replaces a text that is removed, each time by the same replacement.
    fn place(&mut self, text: &str) -> String {
        if text.is_empty() || is_place(text) {
            return text.to_owned();
        }
        let number = self.places.len() + 1;
        let place = self.places.entry(digest_of(text));
        place.or_insert_with(|| of_shape(text, number)).clone()
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

fn digest_of(text: &str) -> [u8; 32] {
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

fn is_token_request(request: &RecordedRequest) -> bool {
    matches!(&request.body, Body::Form(pairs) if pairs.iter().any(|(name, _)| name == "grant_type"))
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

    fn request(method: &str, url: &str, content_type: &str, body: &str) -> http::Request<Bytes> {
        http::Request::builder()
            .method(method)
            .uri(url)
            .header("content-type", content_type)
            .header("authorization", "Bearer secret-of-entra")
            .header("content-length", body.len())
            .body(Bytes::from(body.to_owned()))
            .unwrap()
    }

    fn answer(scrubber: &mut Scrubber, request: &RecordedRequest, body: &Value) -> RecordedResponse {
        let (head, ()) = http::Response::builder()
            .header("set-cookie", "session=secret")
            .header("etag", "\"1\"")
            .body(())
            .unwrap()
            .into_parts();
        scrubber.response(Some(request), &head, body.to_string().as_bytes())
    }

    #[test]
    fn of_the_answer_to_a_request_for_an_access_token_only_what_is_listed_stays() {
        let mut scrubber = Scrubber::default();
        let form = "grant_type=client_credentials&client_id=c&client_assertion=eyJsecret&else=secret";
        let content_type = "application/x-www-form-urlencoded";
        let asked = scrubber.request(&request("POST", "https://l.test/t/token", content_type, form));
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", "c"),
            ("client_assertion", REMOVED),
            ("else", REMOVED),
        ];
        assert_eq!(
            asked.body,
            Body::Form(pairs.map(|(a, b)| (a.into(), b.into())).into())
        );
        assert_eq!(asked.headers["authorization"], REMOVED);
        assert!(!asked.headers.contains_key("content-length"));
        let answered = answer(
            &mut scrubber,
            &asked,
            &json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "secret", "name": "secret", "else": { "error": "secret" }, "pin": 4711 }),
        );
        assert_eq!(
            answered.body,
            Body::Json(
                json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "removed-1", "name": "removed-1", "else": { "error": "removed-1" }, "pin": 0 })
            )
        );
        assert_eq!(answered.headers.keys().collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn a_license_keeps_its_shape_and_loses_its_key_and_link() {
        let mut scrubber = Scrubber::default();
        let asked = scrubber.request(&request("GET", "https://c.test/tokens/1", "application/json", ""));
        let key = "3F9KD-11111-22222-33333-X4Y5Z";
        let license = json!({ "tokenId": "1", "productKey": key, "redemptionUrl": "https://a.test/?t=secret", "again": key });
        let Body::Json(answered) = answer(&mut scrubber, &asked, &license).body else {
            panic!("it is JSON");
        };
        assert_eq!(
            answered,
            json!({ "tokenId": "1", "productKey": "AAAAA-AAAAA-AAAAA-AAAAA-00001", "redemptionUrl": "https://removed.invalid/2", "again": "AAAAA-AAAAA-AAAAA-AAAAA-00001" })
        );
        // A text that was removed once is replaced wherever it comes back, and a replacement stays.
        let back = format!("https://c.test/keys/{key}?country=DE&sig=secret");
        let asked = scrubber.request(&request("GET", &back, "", ""));
        assert_eq!(
            asked.url,
            "https://c.test/keys/AAAAA-AAAAA-AAAAA-AAAAA-00001?country=DE&sig=%5Bremoved%5D"
        );
        assert_eq!(scrubber.place("removed-7"), "removed-7");
        assert_eq!(
            Scrubber::default().sent("AAAAA-AAAAA-AAAAA-AAAAA-00001", false),
            "AAAAA-AAAAA-AAAAA-AAAAA-00001"
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
    fn a_customer_is_neither_in_the_arguments_nor_in_what_is_sent() {
        let mut scrubber = Scrubber::default();
        for text in ["C-1", "Beispiel GmbH"] {
            scrubber.place(text);
        }
        let body = json!({ "offerId": "O", "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" }, "country": "DE" });
        let url = "https://c.test/tokens";
        let asked = scrubber.request(&request("POST", url, "application/json", &body.to_string()));
        assert_eq!(
            asked.body,
            Body::Json(
                json!({ "offerId": "O", "customer": { "id": "removed-1", "name": "removed-2", "country": "DE" }, "country": "DE" })
            )
        );
    }

    #[test]
    fn what_was_removed_elsewhere_is_removed_from_the_plugin_s_last_lines() {
        let mut scrubber = Scrubber::default();
        for text in ["Beispiel GmbH & Co. KG", "Beispiel", "k3y", "C-1"] {
            scrubber.place(text);
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
}

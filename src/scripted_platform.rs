//! A platform for tests: its answers are written down beforehand, and it records what it is asked.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::instance_settings::{FieldValue, Instance};
use crate::platform::{
    HttpRequest, HttpResponse, Level, Platform, SendFailure, SignatureAlgorithm, SigningFailure,
};
use crate::product::Product;
use crate::secret::Secret;

/// 2026-11-22T12:00:00Z
pub(crate) const NOW_MS: i64 = 1_795_348_800_000;
pub(crate) const CERTIFICATE: &[u8] = b"the DER form of a certificate";
pub(crate) const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";

pub(crate) type Sent = Result<HttpResponse, SendFailure>;

/// A platform that answers in turn, and panics when it is asked more than was written down.
pub(crate) struct ScriptedPlatform {
    answers: RefCell<VecDeque<Sent>>,
    pub(crate) requests: RefCell<Vec<HttpRequest>>,
    pub(crate) signed: RefCell<Vec<(SignatureAlgorithm, Vec<u8>)>>,
    pub(crate) cache: RefCell<HashMap<String, (String, i64)>>,
    pub(crate) products: RefCell<Vec<Vec<Product>>>,
    pub(crate) log: RefCell<Vec<(Level, String, String)>>,
    pub(crate) progress: RefCell<Vec<u64>>,
    /// The length of each pause, in milliseconds.
    pub(crate) pauses: RefCell<Vec<u64>>,
    pub(crate) options: HashMap<&'static str, &'static str>,
    pub(crate) certificate: Option<Vec<u8>>,
    random: Cell<u128>,
}

impl ScriptedPlatform {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Sent>) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().collect()),
            requests: RefCell::default(),
            signed: RefCell::default(),
            cache: RefCell::default(),
            products: RefCell::default(),
            log: RefCell::default(),
            progress: RefCell::default(),
            pauses: RefCell::default(),
            options: HashMap::new(),
            certificate: Some(CERTIFICATE.to_vec()),
            random: Cell::new(0),
        }
    }

    /// A platform that grants an access token first, and then gives these answers.
    pub(crate) fn granting(answers: impl IntoIterator<Item = Sent>) -> Self {
        Self::answering([access_token()].into_iter().chain(answers))
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.requests
            .borrow()
            .iter()
            .map(|request| request.url.clone())
            .collect()
    }

    pub(crate) fn request(&self, index: usize) -> HttpRequest {
        self.requests.borrow()[index].clone()
    }

    /// How many purchases were sent.
    pub(crate) fn purchases(&self) -> usize {
        self.urls().iter().filter(|url| url.ends_with("/tokens")).count()
    }

    /// Whether every answer that was written down was given.
    pub(crate) fn is_used_up(&self) -> bool {
        self.answers.borrow().is_empty()
    }
}

impl Platform for ScriptedPlatform {
    fn send(&self, request: &HttpRequest) -> Sent {
        self.requests.borrow_mut().push(request.clone());
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or_else(|| panic!("an answer to {request:?} is not written down"))
    }

    fn certificate(&self) -> Option<Vec<u8>> {
        self.certificate.clone()
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningFailure> {
        self.signed.borrow_mut().push((algorithm, message.to_vec()));
        Ok(b"signature".to_vec())
    }

    fn cached_access_token(&self, name: &str) -> Option<Secret> {
        let cache = self.cache.borrow();
        let (access_token, expires_at_ms) = cache.get(name)?;
        (*expires_at_ms > NOW_MS).then(|| Secret::new(access_token.clone()))
    }

    fn cache_access_token(&self, name: &str, access_token: &Secret, expires_at_ms: i64) {
        let kept = (access_token.expose().to_owned(), expires_at_ms);
        self.cache.borrow_mut().insert(name.to_owned(), kept);
    }

    fn drop_refused_access_token(&self, name: &str, access_token: &Secret) {
        let mut cache = self.cache.borrow_mut();
        if cache
            .get(name)
            .is_some_and(|(kept, _)| kept == access_token.expose())
        {
            cache.remove(name);
        }
    }

    fn put_products(&self, products: Vec<Product>) {
        self.products.borrow_mut().push(products);
    }

    fn report_progress(&self, done: u64, _total: Option<u64>, _unit: &str) {
        self.progress.borrow_mut().push(done);
    }

    fn log(&self, level: Level, subject: &str, message: &str) {
        let line = (level, subject.to_owned(), message.to_owned());
        self.log.borrow_mut().push(line);
    }

    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn pause(&self, milliseconds: u64) {
        self.pauses.borrow_mut().push(milliseconds);
    }

    fn random(&self) -> [u8; 16] {
        self.random.set(self.random.get() + 1);
        self.random.get().to_be_bytes()
    }

    fn option(&self, name: &str) -> Option<String> {
        self.options.get(name).map(|value| (*value).to_owned())
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Sent {
    Ok(HttpResponse {
        status,
        headers: Vec::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    })
}

pub(crate) fn answer_with(status: u16, header: (&str, &str), body: &str) -> Sent {
    answer(status, body).map(|mut response| {
        response.headers.push((header.0.to_owned(), header.1.to_owned()));
        response
    })
}

pub(crate) fn json(status: u16, body: &Value) -> Sent {
    answer(status, &body.to_string())
}

/// An error as the license API writes it.
pub(crate) fn error(status: u16, code: &str) -> Sent {
    let error = serde_json::json!({"code": code, "message": "Why.", "correlationId": "theirs"});
    json(status, &serde_json::json!({ "error": error }))
}

pub(crate) fn access_token() -> Sent {
    answer(
        200,
        r#"{"token_type":"Bearer","expires_in":3600,"access_token":"granted"}"#,
    )
}

pub(crate) fn fields(values: &[(&str, &str)]) -> Vec<FieldValue> {
    values
        .iter()
        .map(|(id, value)| FieldValue {
            id: (*id).to_owned(),
            value: (*value).to_owned(),
        })
        .collect()
}

pub(crate) const CREDENTIALS: [(&str, &str); 6] = [
    ("system-name", "ESD Greece"),
    ("resource-api", "https://esd.example.com/resource"),
    ("service-url", "https://esd.example.com:8443/cis/"),
    ("tenant", "contoso.onmicrosoft.com"),
    ("channel-id", "1234567890"),
    ("client-id", CLIENT_ID),
];

pub(crate) const SELECTION: [(&str, &str); 3] = [
    (
        "certificate-thumbprint",
        "0123456789ABCDEF0123456789ABCDEF01234567",
    ),
    ("country", "GR"),
    ("language", "el-GR"),
];

/// An instance that is ready.
pub(crate) fn instance() -> Instance {
    Instance {
        values: fields(&[CREDENTIALS.as_slice(), SELECTION.as_slice()].concat()),
        currency: "EUR".to_owned(),
    }
}

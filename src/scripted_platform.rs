//! A platform for tests: its answers are written down beforehand, and it records what it is asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;

use bss_plugin::http::{HttpRequest, HttpResponse, SendFailure};
use bss_plugin::scripted::Scripted;
use bss_plugin::secret::Secret;
use bss_plugin::{FieldValue, Instance, Level};

use crate::platform::{Platform, SignatureAlgorithm, SigningFailure};
use crate::services_definition::Product;

pub(crate) use bss_plugin::scripted::{NOW_MS, Sent, answer, answer_with, json};

pub(crate) const CERTIFICATE: &[u8] = b"the DER form of a certificate";
pub(crate) const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";

/// A platform that answers in turn, and panics when it is asked more than was written down.
pub(crate) struct ScriptedPlatform {
    every: Scripted,
    pub(crate) signed: RefCell<Vec<(SignatureAlgorithm, Vec<u8>)>>,
    pub(crate) cache: RefCell<HashMap<String, (String, i64)>>,
    /// The length of each pause, in milliseconds.
    pub(crate) pauses: RefCell<Vec<u64>>,
    pub(crate) options: HashMap<&'static str, &'static str>,
    pub(crate) certificate: Option<Vec<u8>>,
    random: Cell<u128>,
}

impl Deref for ScriptedPlatform {
    type Target = Scripted;

    fn deref(&self) -> &Scripted {
        &self.every
    }
}

impl ScriptedPlatform {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Sent>) -> Self {
        Self {
            every: Scripted::answering(answers),
            signed: RefCell::default(),
            cache: RefCell::default(),
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
}

impl bss_plugin::Platform for ScriptedPlatform {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        self.every.send(request)
    }

    fn put_products(&self, products: Vec<Product>) {
        self.every.put_products(products);
    }

    fn report_progress(&self, done: u64, total: Option<u64>, unit: &str) {
        self.every.report_progress(done, total, unit);
    }

    fn log(&self, level: Level, subject: &str, message: &str) {
        bss_plugin::Platform::log(&self.every, level, subject, message);
    }

    fn now_ms(&self) -> i64 {
        self.every.now_ms()
    }
}

impl Platform for ScriptedPlatform {
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
        id: "esd".to_owned(),
        values: fields(&[CREDENTIALS.as_slice(), SELECTION.as_slice()].concat()),
        currency: "EUR".to_owned(),
    }
}

//! A platform for tests: its answers are written down beforehand, and it records what it is asked.

use std::cell::RefCell;
use std::collections::VecDeque;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::http::{HttpRequest, HttpResponse, SendFailure};
use crate::platform::{Level, Platform};
use crate::product::Product;

/// 2026-11-22T12:00:00Z, the time at which all tests run.
pub const NOW_MS: i64 = 1_795_348_800_000;

/// What is answered to a request.
pub type Sent = Result<HttpResponse, SendFailure>;

/// A platform that answers in turn. Panics when it is asked more than was written down.
#[derive(Default)]
pub struct Scripted {
    answers: RefCell<VecDeque<Sent>>,
    /// The requests in their order.
    pub requests: RefCell<Vec<HttpRequest>>,
    /// The products of each page.
    pub products: RefCell<Vec<Vec<Product>>>,
    /// The log's lines: level, subject, message.
    pub log: RefCell<Vec<(Level, String, String)>>,
    /// How far the call said it was, each time.
    pub progress: RefCell<Vec<u64>>,
}

impl Scripted {
    /// Writes the answers down.
    pub fn answering(answers: impl IntoIterator<Item = Sent>) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().collect()),
            ..Self::default()
        }
    }

    /// The requests, as method and URL.
    pub fn sent(&self) -> Vec<String> {
        let requests = self.requests.borrow();
        let line = |request: &HttpRequest| format!("{} {}", request.method.name(), request.url);
        requests.iter().map(line).collect()
    }

    /// Whether every answer that was written down was given.
    pub fn is_used_up(&self) -> bool {
        self.answers.borrow().is_empty()
    }
}

impl Platform for Scripted {
    fn send(&self, request: &HttpRequest) -> Sent {
        self.requests.borrow_mut().push(request.clone());
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or_else(|| not_written_down(request))
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
}

#[expect(
    clippy::panic,
    reason = "only tests script a platform, and this is how one fails"
)]
fn not_written_down(request: &HttpRequest) -> Sent {
    panic!("an answer to {request:?} is not written down")
}

/// An answer with a body.
pub fn answer(status: u16, body: &str) -> Sent {
    Ok(HttpResponse {
        status,
        headers: Vec::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    })
}

/// An answer with a header and a body.
pub fn answer_with(status: u16, header: (&str, &str), body: &str) -> Sent {
    answer(status, body).map(|mut response| {
        response.headers.push((header.0.to_owned(), header.1.to_owned()));
        response
    })
}

/// An answer with a body of JSON.
pub fn json(status: u16, body: &Value) -> Sent {
    answer(status, &body.to_string())
}

/// An answer that was lost: the request may have been carried out.
pub fn lost() -> Sent {
    Err(SendFailure::BrokenOff("the connection was closed".to_owned()))
}

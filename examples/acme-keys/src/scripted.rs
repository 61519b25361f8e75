//! Answers that a test writes down beforehand, in place of the host's exchanges.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::exchange::{Answer, NoAnswer, Request};

thread_local! {
    static ANSWERS: RefCell<VecDeque<Result<Answer, NoAnswer>>> = RefCell::default();
    static SENT: RefCell<Vec<String>> = RefCell::default();
}

/// Writes down the answers to the test's next requests, as a status and a body; status 0 is an answer that is lost.
pub(crate) fn answer(answers: &[(u16, &str)]) {
    let answers = answers.iter().map(|&(status, body)| match status {
        0 => Err(NoAnswer::MaybeSent("lost".to_owned())),
        status => Ok(Answer {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }),
    });
    ANSWERS.set(answers.collect());
    SENT.take();
}

/// The requests since `answer`, as method and path.
pub(crate) fn sent() -> Vec<String> {
    SENT.take()
}

pub(crate) fn send(request: &Request<'_>) -> Result<Answer, NoAnswer> {
    SENT.with_borrow_mut(|sent| sent.push(format!("{:?} {}", request.method, request.path_with_query)));
    let answer = ANSWERS.with_borrow_mut(VecDeque::pop_front);
    answer.expect("an answer for each request")
}

//! Requests that leave only with a permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bss_sandbox::outbound_https::{SendAnswer, SendPermit};
use wasmtime_wasi_http::Error;

use crate::caller::Caller;
use crate::server::{HTTP_1_1, Server, read_request, write_answer};

/// A server that counts the requests that it reads, and answers each.
async fn counting(seen: &Arc<AtomicUsize>) -> Server {
    let seen = Arc::clone(seen);
    Server::tls(&[HTTP_1_1], move |mut tls, _| {
        let seen = Arc::clone(&seen);
        async move {
            while read_request(&mut tls).await.is_some() {
                seen.fetch_add(1, Ordering::Relaxed);
                write_answer(&mut tls, "answer").await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_asks_for_its_permit_and_without_one_nothing_leaves() {
    let (seen, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let may = Arc::new(AtomicBool::new(true));
    let server = counting(&seen).await;
    let mut caller = Caller::new(&server);
    let (its_asked, its_may) = (Arc::clone(&asked), Arc::clone(&may));
    caller.outbound = caller.outbound.permitted_by(SendPermit::new(move || {
        its_asked.fetch_add(1, Ordering::Relaxed);
        let may = its_may.load(Ordering::Relaxed);
        Box::pin(async move {
            may.then_some(())
                .ok_or_else(|| "others have taken over".to_owned())
        }) as SendAnswer
    }));
    for (is_permitted, seen_then, asked_then) in [(true, 1, 1), (false, 1, 2), (true, 2, 3)] {
        may.store(is_permitted, Ordering::Relaxed);
        let answered = caller.post().await;
        match is_permitted {
            true => assert_eq!(answered.unwrap(), "answer"),
            // The code that says "not sent" and nothing else.
            false => assert!(
                matches!(answered, Err(Error::DestinationUnavailable)),
                "{answered:?}"
            ),
        }
        assert_eq!(seen.load(Ordering::Relaxed), seen_then);
        assert_eq!(asked.load(Ordering::Relaxed), asked_then);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_of_the_host_asks_for_no_permit() {
    let seen = Arc::<AtomicUsize>::default();
    let server = counting(&seen).await;
    let caller = Caller::new(&server);
    let refuses =
        SendPermit::new(|| Box::pin(async { Err("others have taken over".to_owned()) }) as SendAnswer);
    let mut refused = caller.clone();
    refused.outbound = caller.outbound.permitted_by(refuses);
    assert!(refused.post().await.is_err());
    assert_eq!(caller.post().await.unwrap(), "answer");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

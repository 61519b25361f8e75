//! Requests that a server does not answer: what it says of them, and whether they are sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wasmtime_wasi_http::Error;

use crate::caller::{Caller, until};
use crate::server::{
    HTTP_1_1, HTTP_2, Server, Tls, answer_all_http1, answer_all_http2, read_request, respond, write_answer,
};

/// The number of requests that a server has read.
type Seen = Arc<AtomicUsize>;

/// A server that resets the first `times` streams for a reason, and answers the later ones.
async fn resetting(reason: Reason, times: usize) -> (Server, Seen) {
    let seen = Seen::default();
    let counted = seen.clone();
    let server = Server::tls(&[HTTP_2, HTTP_1_1], move |tls, number| {
        let seen = counted.clone();
        async move {
            if tls.get_ref().1.alpn_protocol() != Some(HTTP_2) {
                return answer_all_http1(tls, number, std::time::Duration::ZERO).await;
            }
            answer_all_http2(tls, 100, move |_, mut answer| {
                let nth = seen.fetch_add(1, Ordering::AcqRel);
                async move {
                    if nth < times {
                        answer.send_reset(reason);
                    } else {
                        respond(answer, "bought");
                    }
                }
            })
            .await;
        }
    })
    .await;
    (server, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_refused_unprocessed_is_sent_again() {
    let (server, seen) = resetting(Reason::REFUSED_STREAM, 2).await;
    assert_eq!(Caller::new(&server).post().await.unwrap(), "bought");
    assert_eq!(seen.load(Ordering::Acquire), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_every_stream_is_not_asked_forever_and_nothing_is_unknown() {
    let (server, seen) = resetting(Reason::REFUSED_STREAM, usize::MAX).await;
    let caller = Caller::new(&server);
    for requests in [3, 6] {
        let answer = caller.post().await;
        assert!(matches!(answer, Err(Error::DestinationUnavailable)), "{answer:?}");
        assert_eq!(seen.load(Ordering::Acquire), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_reset_for_any_other_reason_may_have_been_processed_and_is_not_sent_again() {
    for reason in [
        Reason::NO_ERROR,
        Reason::CANCEL,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
        Reason::HTTP_1_1_REQUIRED,
    ] {
        let (server, seen) = resetting(reason, 1).await;
        let answer = Caller::new(&server).post().await;
        assert!(
            matches!(answer, Err(Error::ConnectionTerminated)),
            "{reason:?}: {answer:?}"
        );
        assert_eq!(seen.load(Ordering::Acquire), 1, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_requires_http_1_1_gets_it_from_the_next_request_on() {
    let (server, seen) = resetting(Reason::HTTP_1_1_REQUIRED, usize::MAX).await;
    let caller = Caller::new(&server);
    caller.post().await.expect_err("it may have been processed");
    assert_eq!(caller.post().await.unwrap(), "1");
    assert_eq!(caller.post().await.unwrap(), "1");
    assert_eq!(seen.load(Ordering::Acquire), 1);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

fn go_away(last_stream: u32, reason: Reason) -> Vec<u8> {
    let payload = [last_stream.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
    frame(7, 0, 0, &payload)
}

/// Reads frames up to the end of a request's body, and returns its stream. `None` when the connection has ended.
async fn read_http2_request(tls: &mut Tls) -> Option<u32> {
    let mut preface = [0; 24];
    tls.read_exact(&mut preface).await.ok()?;
    tls.write_all(&frame(4, 0, 0, &[])).await.ok()?;
    loop {
        let mut head = [0; 9];
        tls.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        tls.read_exact(&mut payload).await.ok()?;
        let (data, end_of_stream) = (head[3] == 0, head[4] & 1 == 1);
        if data && end_of_stream {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

/// A server that reads a request and sends these bytes on its first connection, and answers on the others.
async fn ending_with(farewell: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> (Server, Seen) {
    let seen = Seen::default();
    let (counted, farewell) = (seen.clone(), Arc::new(farewell));
    let server = Server::tls(&[HTTP_2], move |mut tls, number| {
        let (seen, farewell) = (counted.clone(), farewell.clone());
        async move {
            if number == 0 {
                let stream = read_http2_request(&mut tls).await.unwrap();
                seen.fetch_add(1, Ordering::AcqRel);
                let _ = tls.write_all(&farewell(stream)).await;
                let _ = tls.shutdown().await;
                return;
            }
            answer_all_http2(tls, 100, move |_, answer| {
                seen.fetch_add(1, Ordering::AcqRel);
                async move { respond(answer, "bought") }
            })
            .await;
        }
    })
    .await;
    (server, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_that_excludes_the_request_has_it_sent_again_on_another_connection() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let (server, seen) = ending_with(move |stream| go_away(stream - 1, reason)).await;
        assert_eq!(Caller::new(&server).post().await.unwrap(), "bought", "{reason:?}");
        assert_eq!(seen.load(Ordering::Acquire), 2);
        assert_eq!(server.accepted(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_that_includes_the_request_leaves_it_unknown_and_it_is_not_sent_again() {
    for reason in [Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let (server, seen) = ending_with(move |stream| go_away(stream, reason)).await;
        let answer = Caller::new(&server).post().await;
        assert!(
            matches!(answer, Err(Error::ConnectionTerminated)),
            "{reason:?}: {answer:?}"
        );
        assert_eq!(seen.load(Ordering::Acquire), 1, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_under_a_request_leaves_it_unknown_and_it_is_not_sent_again() {
    let (server, seen) = ending_with(|_| Vec::new()).await;
    let answer = Caller::new(&server).post().await;
    assert!(matches!(answer, Err(Error::ConnectionTerminated)), "{answer:?}");
    assert_eq!(seen.load(Ordering::Acquire), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_2_is_told_apart_from_a_connection_that_ended() {
    let (server, seen) = ending_with(|_| frame(4, 0, 1, b"settings of a stream")).await;
    let answer = Caller::new(&server).post().await;
    assert!(matches!(answer, Err(Error::HttpProtocolError)), "{answer:?}");
    assert_eq!(seen.load(Ordering::Acquire), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_the_server_has_closed_costs_no_request() {
    for protocol in [HTTP_1_1, HTTP_2] {
        // Every connection serves one request.
        let server = Server::tls(&[protocol], move |mut tls, _| async move {
            if protocol == HTTP_1_1 {
                read_request(&mut tls).await;
                write_answer(&mut tls, "bought").await;
                return;
            }
            let mut server = h2::server::handshake(tls).await.unwrap();
            let (_, answer) = server.accept().await.unwrap().unwrap();
            respond(answer, "bought");
            server.graceful_shutdown();
            while server.accept().await.is_some() {}
        })
        .await;
        let caller = Caller::new(&server);
        for _ in 0..20 {
            assert_eq!(caller.post().await.unwrap(), "bought");
            // The client would get its answer also if it had not seen the end yet; here it has.
            until("it is closed", || caller.outbound.connections().open == 0).await;
        }
        assert_eq!(server.accepted(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_ends_once_the_request_was_read_leaves_it_unknown() {
    let server = Server::tls(&[HTTP_1_1], |mut tls, _| async move {
        read_request(&mut tls).await;
        write_answer(&mut tls, "bought").await;
        read_request(&mut tls).await;
    })
    .await;
    let caller = Caller::new(&server);
    assert_eq!(caller.post().await.unwrap(), "bought");
    let answer = caller.post().await;
    assert!(matches!(answer, Err(Error::ConnectionTerminated)), "{answer:?}");
    assert_eq!(server.accepted(), 1, "it was sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_without_end_is_broken_off() {
    let server = Server::tls(&[HTTP_2], |mut tls, _| async move {
        read_http2_request(&mut tls).await;
        // Header blocks without an end (CVE-2024-27983 and its kin).
        let _ = tls.write_all(&frame(1, 0, 1, b"")).await;
        while tls.write_all(&frame(9, 0, 1, &[0; 1024])).await.is_ok() {}
    })
    .await;
    let answer = Caller::new(&server).post().await;
    assert!(
        matches!(
            answer,
            Err(Error::HttpProtocolError | Error::ConnectionTerminated)
        ),
        "{answer:?}"
    );
}

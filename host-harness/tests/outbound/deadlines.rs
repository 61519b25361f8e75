//! Servers that take their time, at every step, over both protocols.

use std::time::{Duration, Instant};

use http::Method;
use tokio::io::AsyncWriteExt as _;
use wasmtime_wasi_http::{Error, RequestOptions};

use crate::caller::{Caller, NO_OPTIONS, until};
use crate::server::{HTTP_1_1, HTTP_2, Server, answer_all_http2, forever, read_request, respond};

const SHORT: Duration = Duration::from_millis(60);
/// The time in which an exchange must fail: far below every limit of the host's.
const SOON: Duration = Duration::from_secs(4);
const DRIP: Duration = Duration::from_millis(10);
const DRIPPED: usize = 10;

async fn fails_soon(server: &Server, options: RequestOptions) -> Error {
    let caller = Caller::new(server);
    let begun = Instant::now();
    let failed = caller.exchange(Method::POST, "x", options).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    until("its connection is closed", || {
        caller.outbound.connections().open == 0
    })
    .await;
    failed.expect_err("there is no answer in time")
}

/// A server that reads a request, sends the head of an answer and then its body, a byte at a time; the second half
/// never comes unless `whole`.
async fn dripping(protocol: &'static [u8], whole: bool) -> Server {
    let bytes = if whole { DRIPPED } else { DRIPPED / 2 };
    Server::tls(&[protocol], move |mut tls, _| async move {
        if protocol == HTTP_2 {
            return answer_all_http2(tls, 100, move |_, mut answer| async move {
                let mut sending = answer.send_response(http::Response::new(()), false).unwrap();
                for _ in 0..bytes {
                    tokio::time::sleep(DRIP).await;
                    sending.send_data("x".into(), false).unwrap();
                }
                if whole {
                    sending.send_data("".into(), true).unwrap();
                }
                forever(sending).await;
            })
            .await;
        }
        read_request(&mut tls).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {DRIPPED}\r\n\r\n");
        tls.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..bytes {
            tokio::time::sleep(DRIP).await;
            tls.write_all(b"x").await.unwrap();
            tls.flush().await.unwrap();
        }
        forever(tls).await;
    })
    .await
}

async fn without_answer(protocol: &'static [u8]) -> Server {
    Server::tls(&[protocol], move |mut tls, _| async move {
        if protocol == HTTP_2 {
            answer_all_http2(tls, 100, |_, answer| forever(answer)).await;
        } else {
            read_request(&mut tls).await;
            forever(tls).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_in_the_tls_handshake_was_not_connected_to_in_time() {
    for begins in [&b""[..], b"\x16\x03\x03"] {
        let server = Server::tcp(move |mut tcp, _| async move {
            let _ = tcp.write_all(begins).await;
            forever(tcp).await;
        })
        .await;
        let options = RequestOptions {
            connect_timeout: Some(SHORT),
            ..NO_OPTIONS
        };
        let failed = fails_soon(&server, options).await;
        assert!(matches!(failed, Error::ConnectionTimeout), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_head_does_not_come_is_not_waited_for() {
    for protocol in [HTTP_1_1, HTTP_2] {
        let options = RequestOptions {
            first_byte_timeout: Some(SHORT),
            ..NO_OPTIONS
        };
        let failed = fails_soon(&without_answer(protocol).await, options).await;
        assert!(matches!(failed, Error::HttpResponseTimeout), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_half_way_is_not_waited_for() {
    for protocol in [HTTP_1_1, HTTP_2] {
        let options = RequestOptions {
            between_bytes_timeout: Some(SHORT),
            ..NO_OPTIONS
        };
        let failed = fails_soon(&dripping(protocol, false).await, options).await;
        assert!(matches!(failed, Error::ConnectionReadTimeout), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_byte_by_byte_is_read_though_it_takes_longer_than_one_pause_may() {
    for protocol in [HTTP_1_1, HTTP_2] {
        let server = dripping(protocol, true).await;
        let options = RequestOptions {
            between_bytes_timeout: Some(DRIP * u32::try_from(DRIPPED).unwrap()),
            ..NO_OPTIONS
        };
        let begun = Instant::now();
        let answer = Caller::new(&server).exchange(Method::POST, "x", options).await;
        assert_eq!(answer.unwrap(), "x".repeat(DRIPPED));
        assert!(begun.elapsed() >= DRIP * u32::try_from(DRIPPED).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_of_zero_end_the_exchange_and_enormous_ones_change_nothing() {
    let all = |time| RequestOptions {
        connect_timeout: Some(time),
        first_byte_timeout: Some(time),
        between_bytes_timeout: Some(time),
    };
    for protocol in [HTTP_1_1, HTTP_2] {
        let failed = fails_soon(&without_answer(protocol).await, all(Duration::ZERO)).await;
        assert!(
            matches!(
                failed,
                Error::DnsTimeout | Error::ConnectionTimeout | Error::HttpResponseTimeout
            ),
            "{failed:?}"
        );
    }
    let server = Server::tls(&[HTTP_2], |tls, _| {
        answer_all_http2(tls, 100, |_, answer| async move { respond(answer, "bought") })
    })
    .await;
    for enormous in [Duration::from_nanos(u64::MAX), Duration::MAX] {
        let caller = Caller::new(&server);
        let answer = caller.exchange(Method::POST, "x", all(enormous)).await;
        assert_eq!(answer.unwrap(), "bought");
    }
}

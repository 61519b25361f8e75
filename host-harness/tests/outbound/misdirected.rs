//! A server that answers 421: the request is repeated once, on another connection, and the first one serves no further
//! request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use tokio::io::AsyncWriteExt as _;

use crate::caller::{Caller, NO_OPTIONS};
use crate::causes::Log;
use crate::server::{HTTP_1_1, HTTP_2, Server, Tls, answer_all_http2, read_request, write_answer};

/// Which requests a server answers with 421, by the numbers of the connection and of the request on it.
type Misdirected = fn(usize, usize) -> bool;

/// A server that answers every other request with the number of its connection, and the bodies that it was sent.
async fn server(protocol: &'static [u8], misdirected: Misdirected) -> (Server, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    let server = Server::tls(&[protocol], move |tls, number| {
        let keep = keep.clone();
        async move {
            match protocol == HTTP_2 {
                true => over_http2(tls, number, misdirected, keep).await,
                false => over_http1(tls, number, misdirected, keep).await,
            }
        }
    })
    .await;
    (server, heard)
}

async fn over_http1(mut tls: Tls, number: usize, misdirected: Misdirected, heard: Arc<Mutex<Vec<String>>>) {
    let mut requests = 0;
    while let Some(request) = read_request(&mut tls).await {
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
        heard.lock().unwrap().push(body.to_owned());
        match misdirected(number, requests) {
            true => {
                let answer = b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 5\r\n\r\nwrong";
                let _ = tls.write_all(answer).await;
                let _ = tls.flush().await;
            }
            false => write_answer(&mut tls, &number.to_string()).await,
        }
        requests += 1;
    }
}

async fn over_http2(tls: Tls, number: usize, misdirected: Misdirected, heard: Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(AtomicUsize::new(0));
    answer_all_http2(tls, 100, move |request, mut respond| {
        let (heard, request_number) = (heard.clone(), requests.fetch_add(1, Ordering::SeqCst));
        async move {
            let mut body = request.into_body();
            let mut read = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                read.extend_from_slice(&piece);
            }
            heard.lock().unwrap().push(String::from_utf8(read).unwrap());
            let mut head = http::Response::new(());
            let is_misdirected = misdirected(number, request_number);
            if is_misdirected {
                *head.status_mut() = StatusCode::MISDIRECTED_REQUEST;
            }
            let mut sending = respond.send_response(head, false).unwrap();
            let said = if is_misdirected {
                "wrong".to_owned()
            } else {
                number.to_string()
            };
            let _ = sending.send_data(said.into(), true);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_was_misdirected_is_sent_once_more_on_a_new_connection_which_serves_from_then_on() {
    for protocol in [HTTP_1_1, HTTP_2] {
        // A kept connection that the server does not want any more.
        let (server, heard) = server(protocol, |connection, request| connection == 0 && request > 0).await;
        let log = Log::of_all_tests();
        let caller = Caller::new(&server);
        assert_eq!(caller.post().await.unwrap(), "0");
        assert_eq!(caller.post().await.unwrap(), "1");
        assert_eq!(caller.post().await.unwrap(), "1");
        assert_eq!(*heard.lock().unwrap(), ["one license"; 4], "each is sent whole");
        assert_eq!(server.accepted(), 2);
        let logged = log.about(&caller.egress.authorities[0].authority);
        assert_eq!(logged.matches("answered 421").count(), 1, "{logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_on_with_421_is_asked_twice_and_its_word_is_the_answer() {
    for protocol in [HTTP_1_1, HTTP_2] {
        let (server, heard) = server(protocol, |connection, _| connection < 2).await;
        let caller = Caller::new(&server);
        let request = http::Request::post(caller.url("/")).body("x".into()).unwrap();
        let answer = caller.send(request, NO_OPTIONS).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
        assert_eq!(body.to_bytes(), "wrong");
        assert_eq!((server.accepted(), heard.lock().unwrap().len()), (2, 2));
        assert_eq!(
            caller.post().await.unwrap(),
            "2",
            "neither connection is used again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_refusal_is_not_repeated() {
    let (server, heard) = {
        let heard = Arc::new(Mutex::new(0));
        let keep = heard.clone();
        let server = Server::tls(&[HTTP_1_1], move |mut tls, _| {
            let keep = keep.clone();
            async move {
                while read_request(&mut tls).await.is_some() {
                    *keep.lock().unwrap() += 1;
                    let _ = tls
                        .write_all(b"HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
            }
        })
        .await;
        (server, heard)
    };
    Caller::new(&server).post().await.unwrap();
    assert_eq!((server.accepted(), *heard.lock().unwrap()), (1, 1));
}

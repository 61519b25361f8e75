//! The ways in which an exchange with a real server fails, and the code that a guest gets for each.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};

use bss_sandbox::limits;
use bss_sandbox::outbound_https::Authority;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use wasmtime_wasi_http::Error;

use crate::caller::Caller;
use crate::server::{
    Certificate, HTTP_1_1, HTTP_2, Server, answer_all_http2, forever, read_request, respond, write_answer,
};

async fn failure(server: &Server) -> Error {
    Caller::new(server).post().await.expect_err("there is no answer")
}

/// A server that answers the first request of a connection with these bytes, and closes.
async fn saying(bytes: Vec<u8>) -> Server {
    let bytes = Arc::new(bytes);
    Server::tls(&[HTTP_1_1], move |mut tls, _| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut tls).await;
            let _ = tls.write_all(&bytes).await;
            let _ = tls.shutdown().await;
        }
    })
    .await
}

/// Answers of name servers about other names are tested by `cargo xtask interop resolver`.
#[tokio::test]
async fn a_name_that_does_not_exist_was_told_nothing_and_the_log_says_so() {
    let server = saying(Vec::new()).await;
    let log = Log::of_all_tests();
    let mut caller = Caller::new(&server);
    // No name server is asked: a label has 63 characters at most (RFC 1035, section 2.3.4).
    let name = format!("{}.test", "x".repeat(64));
    caller.egress.authorities[0].authority = name.parse().unwrap();
    let failed = caller.post().await;
    assert!(
        matches!(&failed, Err(Error::DnsError { rcode: Some(rcode), .. }) if rcode == "NXDOMAIN"),
        "{failed:?}"
    );
    let logged = log.about(&caller.egress.authorities[0].authority);
    assert!(logged.contains(&format!("`{name}` does not exist")), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_was_told_nothing_and_one_that_is_was() {
    let server = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let mut caller = Caller::new(&server);
    let allowed = std::mem::take(&mut caller.egress.allowed_networks);
    let failed = caller.post().await;
    assert!(
        matches!(failed, Err(Error::DestinationIpProhibited)),
        "{failed:?}"
    );
    assert_eq!(server.accepted(), 0);
    caller.egress.settings_version += 1;
    caller.egress.allowed_networks = allowed;
    caller.post().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_on_which_nobody_listens_refuses() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = saying(Vec::new()).await;
    let mut caller = Caller::new(&server);
    caller.egress.authorities[0].authority = format!("127.0.0.1:{free}").parse().unwrap();
    let failed = caller.post().await;
    assert!(matches!(failed, Err(Error::ConnectionRefused)), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_is_told_apart_from_what_is_not_trusted() {
    let plain = Server::tcp(|mut tcp, _| async move {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        forever(tcp).await;
    })
    .await;
    let failed = failure(&plain).await;
    assert!(matches!(failed, Error::TlsProtocolError), "{failed:?}");
}

/// The log of all tests of this process. With a subscriber for each test, tracing could miss lines while another
/// test's comes or goes.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn of_all_tests() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    /// The lines about a server.
    pub(crate) fn about(&self, authority: &Authority) -> String {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let authority = authority.to_string();
        log.lines().filter(|line| line.contains(&authority)).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_and_the_log_says_why() {
    for (certificate, why) in [
        (Certificate::Expired, "expired"),
        (Certificate::ForAnotherName, "not valid for name"),
        (Certificate::OfAnotherAuthority, "UnknownIssuer"),
    ] {
        let server = Server::with(certificate, &[HTTP_2, HTTP_1_1], |tls, _| forever(tls)).await;
        let log = Log::of_all_tests();
        let caller = Caller::new(&server);
        let failed = caller.post().await.unwrap_err();
        assert!(matches!(failed, Error::TlsCertificateError), "{failed:?}");
        let logged = log.about(&caller.egress.authorities[0].authority);
        assert!(logged.contains(why), "{why}: {logged}");
    }
    let trusted = Server::with(Certificate::Good, &[HTTP_1_1], |mut tls, _| async move {
        read_request(&mut tls).await;
        write_answer(&mut tls, "").await;
    })
    .await;
    Caller::new(&trusted).post().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_over_http_1_1_has_one_code_for_each_way_to_be_wrong() {
    let long_head = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "x".repeat(2 * limits::HEADER_BYTES)
    );
    let long_body = [
        b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        vec![b'x'; usize::try_from(limits::RESPONSE_BODY_BYTES).unwrap() + 1],
    ];
    type Told = fn(&Error) -> bool;
    let cases: [(&str, Vec<u8>, Told); 6] = [
        ("nothing", Vec::new(), |e| {
            matches!(e, Error::ConnectionTerminated)
        }),
        ("half a head", b"HTTP/1.1 200 O".to_vec(), |e| {
            matches!(e, Error::ConnectionTerminated)
        }),
        ("no HTTP", b"220 mail.test ESMTP\r\n\r\n".to_vec(), |e| {
            matches!(e, Error::HttpProtocolError)
        }),
        ("a long head", long_head.into_bytes(), |e| {
            matches!(e, Error::HttpResponseHeaderSectionSize(_))
        }),
        (
            "half a body",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec(),
            |e| matches!(e, Error::HttpResponseIncomplete),
        ),
        ("a long body", long_body.concat(), |e| {
            matches!(e, Error::HttpResponseBodySize(_))
        }),
    ];
    for (what, bytes, told) in cases {
        let failed = failure(&saying(bytes).await).await;
        assert!(told(&failed), "{what}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_length_that_ends_without_close_notify_comes_whole_and_then_counts_as_cut_off() {
    for says_goodbye in [true, false] {
        let server = Server::tls(&[HTTP_1_1], move |mut tls, _| async move {
            read_request(&mut tls).await;
            let answer = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"productKey\":1}";
            tls.write_all(answer).await.unwrap();
            tls.flush().await.unwrap();
            match says_goodbye {
                true => tls.shutdown().await.unwrap(),
                // The socket is closed without an alert, which is how an attacker could cut an answer (RFC 8446, section 6.1).
                false => tls.get_mut().0.shutdown().await.unwrap(),
            }
            // What the client sends in return would reset the connection under what it has not read yet.
            let _ = tls.get_mut().0.readable().await;
        })
        .await;
        let caller = Caller::new(&server);
        let request = http::Request::post(caller.url("/")).body("x".into()).unwrap();
        let answer = caller.send(request, crate::caller::NO_OPTIONS).await.unwrap();
        let mut body = answer.into_body();
        let mut read = Vec::new();
        let end = loop {
            match body.frame().await {
                Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        assert_eq!(read, b"{\"productKey\":1}");
        match says_goodbye {
            true => assert!(end.is_ok(), "{end:?}"),
            false => assert!(matches!(end, Err(Error::HttpResponseIncomplete)), "{end:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_http_2_is_bounded_and_one_that_breaks_off_is_incomplete() {
    let whole = usize::try_from(limits::RESPONSE_BODY_BYTES).unwrap();
    for (bytes, breaks_off) in [(whole, false), (whole + 1, false), (9, true)] {
        let server = Server::tls(&[HTTP_2], move |tls, _| {
            answer_all_http2(tls, 100, move |_, mut answer| async move {
                if !breaks_off {
                    return respond(answer, &"x".repeat(bytes));
                }
                let mut sending = answer.send_response(http::Response::new(()), false).unwrap();
                sending.send_data("x".into(), false).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                sending.send_reset(h2::Reason::INTERNAL_ERROR);
            })
        })
        .await;
        let answer = Caller::new(&server).post().await;
        match (bytes > whole, breaks_off) {
            (true, _) => assert!(
                matches!(answer, Err(Error::HttpResponseBodySize(_))),
                "{answer:?}"
            ),
            (_, true) => assert!(matches!(answer, Err(Error::HttpResponseIncomplete)), "{answer:?}"),
            (false, false) => assert_eq!(answer.unwrap().len(), bytes),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_like_any_other() {
    for location in ["https://evil.test/", "/elsewhere"] {
        let moved = format!("HTTP/1.1 307 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = saying(moved.into_bytes()).await;
        let caller = Caller::new(&server);
        let request = http::Request::post(caller.url("/"))
            .body(bytes::Bytes::from_static(b"x"))
            .unwrap();
        let answer = caller.send(request, crate::caller::NO_OPTIONS).await.unwrap();
        assert_eq!(answer.status(), 307);
        assert_eq!(server.accepted(), 1);
    }
}

//! Connections through HTTP proxies.

use std::time::Duration;

use bss_model::{NoProxy, ProxyRules};
use http::Method;
use wasmtime_wasi_http::{Error, RequestOptions};

use crate::caller::{Caller, NO_OPTIONS, until};
use crate::causes::Log;
use crate::connect_proxy::{ConnectProxy, Does};
use crate::server::{HTTP_1_1, HTTP_2, Server, answer_all_http1, answer_all_http2, respond};

const PASSWORD: &str = "s3cr3t-pass";
/// `user:s3cr3t-pass` in base64.
const LOGIN: &str = "dXNlcjpzM2NyM3QtcGFzcw==";

async fn server() -> Server {
    Server::tls(&[HTTP_1_1], |tls, number| {
        answer_all_http1(tls, number, Duration::ZERO)
    })
    .await
}

fn through(server: &Server, url: &str, except: &str) -> Caller {
    let mut caller = Caller::new(server);
    caller.egress.proxies = ProxyRules::through(url.parse().unwrap(), NoProxy::from(except));
    caller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_through_the_proxy_which_is_told_the_name_and_the_login_and_nothing_else() {
    let server = server().await;
    let log = Log::of_all_tests();
    for (does, credentials) in [
        (Does::Connect, String::new()),
        (Does::ConnectFor(LOGIN), format!("user:{PASSWORD}@")),
    ] {
        let proxy = ConnectProxy::start(does).await;
        let caller = through(&server, &proxy.url(&credentials), "");
        caller.post().await.unwrap();
        caller.post().await.unwrap();
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1, "the tunnel is kept");
        let target = format!("localhost:{}", server.port);
        assert!(
            asked[0].starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
            "{asked:?}"
        );
        assert!(asked[0].contains(&format!("host: {target}\r\n")), "{asked:?}");
        assert_eq!(asked[0].contains("proxy-authorization"), !credentials.is_empty());
        for inside in ["/path", "one license"] {
            assert!(!asked[0].contains(inside), "{asked:?}");
        }
        let logged = log.about(&caller.egress.authorities[0].authority);
        assert!(!logged.contains(PASSWORD) && !logged.contains(LOGIN), "{logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_with_its_status_and_the_server_hears_nothing() {
    let wants_login =
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: NTLM\r\ncontent-length: 0\r\n\r\n";
    let page = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    for (does, why) in [
        (Does::Say(page), "it answered HTTP 403"),
        (
            Does::Say("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"),
            "it answered HTTP 502",
        ),
        (
            Does::Say(wants_login),
            "wants a login (NTLM): it answered HTTP 407",
        ),
        (
            Does::ConnectFor(LOGIN),
            "wants a login (Basic): it answered HTTP 407",
        ),
        (
            Does::Say(
                "HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate, Basic realm=\"a\", charset=\"UTF-8\"\r\ncontent-length: 0\r\n\r\n",
            ),
            "wants a login (Negotiate, Basic): it answered HTTP 407",
        ),
        (
            Does::Say("HTTP/1.1 302 Found\r\nlocation: http://x/\r\n\r\n"),
            "it answered HTTP 302",
        ),
        (Does::Say("SSH-2.0-x\r\n"), "answered something else than HTTP"),
        (Does::Say(""), "closed the connection"),
        (
            Does::Say("HTTP/1.1 200 OK\r\n\r\nHello, this is not your server"),
            "sent more than its answer",
        ),
    ] {
        let server = server().await;
        let proxy = ConnectProxy::start(does).await;
        let log = Log::of_all_tests();
        let caller = through(&server, &proxy.url(&format!("user:wrong-{PASSWORD}@")), "");
        let failed = caller.post().await.unwrap_err();
        // The one code that says that nothing was sent, and nothing else.
        assert!(
            matches!(failed, Error::DestinationUnavailable),
            "{why}: {failed:?}"
        );
        assert_eq!((proxy.asked().len(), server.accepted()), (1, 0), "{why}");
        let logged = log.about(&caller.egress.authorities[0].authority);
        assert!(logged.contains(why), "{why}: {logged}");
        assert!(
            logged.contains(&format!("http://127.0.0.1:{}", proxy.port)),
            "{logged}"
        );
        assert!(!logged.contains(PASSWORD), "{logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_silent_or_not_there_ends_the_request_in_time() {
    let server = server().await;
    let silent = ConnectProxy::start(Does::Nothing).await;
    let caller = through(&server, &silent.url(""), "");
    let soon = RequestOptions {
        connect_timeout: Some(Duration::from_millis(100)),
        ..NO_OPTIONS
    };
    let failed = caller.exchange(Method::POST, "x", soon).await;
    assert!(matches!(failed, Err(Error::DestinationUnavailable)), "{failed:?}");
    until("the connection is closed", || {
        caller.outbound.connections().open == 0
    })
    .await;

    let gone = ConnectProxy::start(Does::Connect).await;
    let url = gone.url("");
    let accepting = std::net::TcpStream::connect(("127.0.0.1", gone.port));
    drop((accepting, gone));
    let caller = through(&server, &url, "");
    until("nobody listens", || {
        std::net::TcpStream::connect(url.trim_start_matches("http://")).is_err()
    })
    .await;
    let failed = caller.post().await;
    assert!(matches!(failed, Err(Error::DestinationUnavailable)), "{failed:?}");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_excepted_is_connected_to_directly() {
    let server = server().await;
    let proxy = ConnectProxy::start(Does::Connect).await;
    through(&server, &proxy.url(""), "other.test,localhost")
        .post()
        .await
        .unwrap();
    assert_eq!((proxy.asked().len(), server.accepted()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_asked_for_what_is_not_allowed_here_and_may_itself_be_anywhere() {
    let server = server().await;
    let proxy = ConnectProxy::start(Does::Connect).await;
    for host in ["localhost", "127.0.0.1", "[::1]", "10.0.0.1", "[64:ff9b::a00:1]"] {
        let mut caller = through(&server, &proxy.url(""), "");
        caller.egress.allowed_networks.clear();
        caller.egress.authorities[0].authority = format!("{host}:{}", server.port).parse().unwrap();
        let failed = caller.post().await;
        assert!(
            matches!(failed, Err(Error::DestinationIpProhibited)),
            "{host}: {failed:?}"
        );
    }
    // Old spellings of 127.0.0.1, which a proxy would understand.
    for host in ["127.1", "2130706433", "0x7f000001"] {
        let mut caller = through(&server, &proxy.url(""), "");
        caller.egress.authorities[0].authority = format!("{host}:{}", server.port).parse().unwrap();
        let failed = caller.post().await;
        assert!(
            matches!(failed, Err(Error::HttpRequestUriInvalid)),
            "{host}: {failed:?}"
        );
    }
    assert!(proxy.asked().is_empty());
    let mut elsewhere = through(&server, &proxy.url(""), "");
    elsewhere.egress.authorities.clear();
    let request = http::Request::post("https://api.example.com/")
        .body("x".into())
        .unwrap();
    let failed = elsewhere.send(request, NO_OPTIONS).await;
    assert!(matches!(failed, Err(Error::HttpRequestDenied)), "{failed:?}");
    assert!(proxy.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tunnel_is_shared_between_two_instances_nor_between_ways() {
    for protocol in [HTTP_1_1, HTTP_2] {
        let server = Server::tls(&[protocol], move |tls, number| async move {
            match protocol == HTTP_2 {
                true => {
                    let body = number.to_string();
                    answer_all_http2(tls, 100, move |_, answer| {
                        let body = body.clone();
                        async move { respond(answer, &body) }
                    })
                    .await;
                }
                false => answer_all_http1(tls, number, Duration::ZERO).await,
            }
        })
        .await;
        let [one, other] = [
            ConnectProxy::start(Does::Connect).await,
            ConnectProxy::start(Does::Connect).await,
        ];
        let rules = |url: String| ProxyRules::through(url.parse().unwrap(), NoProxy::default());
        let first = through(&server, &one.url(""), "");
        let mut second = first.beside("two", &server);
        second.egress.proxies = first.egress.proxies.clone();
        // Copies of the first one's way out, with the same instance and settings: by another proxy, and with another login.
        let mut by_the_other = first.clone();
        by_the_other.egress.proxies = rules(other.url(""));
        let mut as_somebody = first.clone();
        as_somebody.egress.proxies = rules(one.url("user:one@"));
        let mut as_another = first.clone();
        as_another.egress.proxies = rules(one.url("user:another@"));
        let mut directly = first.clone();
        directly.egress.proxies = ProxyRules::default();
        let callers = [first, second, by_the_other, as_somebody, as_another, directly];
        let mut connections = Vec::new();
        for caller in &callers {
            connections.push(caller.post().await.unwrap());
        }
        for (caller, connection) in callers.iter().zip(&connections) {
            assert_eq!(caller.post().await.unwrap(), *connection, "its own is kept");
        }
        connections.sort();
        connections.dedup();
        assert_eq!(connections.len(), callers.len());
        assert_eq!((one.asked().len(), other.asked().len()), (4, 1));
    }
}

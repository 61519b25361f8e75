//! Has an HTTP proxy open a tunnel to a server (RFC 9110, section 9.3.6). A proxy that refuses has not asked the server, and
//! what it says is not the server's answer.

use std::net::{IpAddr, Ipv4Addr};

use bss_model::Proxy;
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::header_defaults::PRODUCT;
use super::names::NotResolved;
use super::policy::{Authority, address_is_allowed};
use crate::address_race::NoConnection;
use crate::limits;

/// Why there is no tunnel. Nothing was sent to the server.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTunnel {
    #[error("the name of the proxy is not resolved")]
    Resolve(#[source] NotResolved),
    #[error("the proxy can't be reached")]
    Connect(#[source] NoConnection),
    #[error("the proxy did not open a tunnel in time")]
    NotInTime,
    #[error("the proxy refused to open a tunnel: it answered HTTP {}", .0.as_u16())]
    Refused(StatusCode),
    #[error("the proxy wants a login{}: it answered HTTP 407", schemes_in_words(.offered))]
    LoginWanted {
        /// The schemes that the proxy offers.
        offered: Vec<String>,
        /// Whether the proxy was given a login.
        given: bool,
    },
    #[error("the proxy closed the connection, or answered something else than HTTP")]
    NotHttp(#[source] hyper::Error),
    #[error("the proxy sent more than its answer before the tunnel was used")]
    SpokeFirst,
    #[error("the request for a tunnel can't be written")]
    Unwritable,
}

fn schemes_in_words(offered: &[String]) -> String {
    match offered.is_empty() {
        true => String::new(),
        false => format!(" ({})", offered.join(", ")),
    }
}

/// Asks a proxy, to which there is a connection, for a tunnel to a server.
///
/// # Errors
/// When there is none.
pub(super) async fn open(tcp: TcpStream, proxy: &Proxy, to: &Authority) -> Result<TcpStream, NoTunnel> {
    let target = format!("{}:{}", to.host(), to.port());
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = target.parse().map_err(|_| NoTunnel::Unwritable)?;
    let host = HeaderValue::from_str(&target).map_err(|_| NoTunnel::Unwritable)?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
    let login = login(proxy)?;
    let given = login.is_some();
    if let Some(login) = login {
        headers.insert(PROXY_AUTHORIZATION, login);
    }
    let handshake = http1::Builder::new()
        .max_buf_size(limits::HEADER_BYTES)
        .handshake(TokioIo::new(tcp));
    let (mut sender, connection) = handshake.await.map_err(NoTunnel::NotHttp)?;
    // Ends as soon as the tunnel takes the socket over, or the answer has been read.
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let answer = sender.send_request(request).await.map_err(NoTunnel::NotHttp)?;
    match answer.status() {
        status if status.is_success() => {}
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let offered = schemes_offered(answer.headers());
            return Err(NoTunnel::LoginWanted { offered, given });
        }
        status => return Err(NoTunnel::Refused(status)),
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(NoTunnel::NotHttp)?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| NoTunnel::SpokeFirst)?;
    // In TLS the client speaks first.
    match parts.read_buf.is_empty() {
        true => Ok(parts.io.into_inner()),
        false => Err(NoTunnel::SpokeFirst),
    }
}

/// The schemes of the logins that a proxy offers, in one field or in several (RFC 9110, section 11.7.1). A parameter behind a
/// comma is no scheme: it has a `=`.
fn schemes_offered(headers: &HeaderMap) -> Vec<String> {
    let is_scheme =
        |word: &&str| (1..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fields = headers.get_all(PROXY_AUTHENTICATE).iter();
    let parts = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    let words = parts
        .filter_map(|part| part.split_whitespace().next())
        .filter(is_scheme);
    words.take(5).map(str::to_owned).collect()
}

/// The login of the scheme `Basic` (RFC 7617).
fn login(proxy: &Proxy) -> Result<Option<HeaderValue>, NoTunnel> {
    let password = proxy.password().map_or("", |password| password.expose());
    let Some(user) = proxy.user() else {
        return Ok(None);
    };
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let login = Zeroizing::new(format!(
        "Basic {}",
        &*Zeroizing::new(BASE64.encode(pair.as_bytes()))
    ));
    let mut login = HeaderValue::from_str(&login).map_err(|_| NoTunnel::Unwritable)?;
    login.set_sensitive(true);
    Ok(Some(login))
}

/// The address that a host is without being resolved, where it is not allowed. The names that lead to this machine on any
/// (RFC 6761, section 6.3) are loopback addresses.
pub(super) fn prohibited(host: &str, allowed_networks: &[IpNet]) -> Option<IpAddr> {
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) if is_local => Ipv4Addr::LOCALHOST.into(),
        Err(_) => return None,
    };
    (!address_is_allowed(address, allowed_networks)).then_some(address)
}

/// Whether a host is an old spelling of an IPv4 address, such as `127.1` or `0x7f000001`, which a proxy may read as one: its
/// last label is a number (<https://url.spec.whatwg.org/#ends-in-a-number-checker>).
pub(super) fn is_spelled_oddly(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    host.parse::<IpAddr>().is_err() && (is_number || is_hexadecimal)
}

impl NoTunnel {
    /// Advice to an operator.
    pub(super) fn advice(&self, proxy: &Proxy) -> String {
        match self {
            Self::LoginWanted { given: false, .. } => format!(
                "Give the proxy {proxy} a user and a password: in `HTTPS_PROXY`, or with `--proxy` and `--proxy-password-file`."
            ),
            Self::LoginWanted { offered, .. }
                if !offered.is_empty() && !offered.iter().any(|it| it.eq_ignore_ascii_case("basic")) =>
            {
                "Ask who runs the proxy for a login by `Basic`, or for a rule that needs none: other kinds of logins are not supported."
                    .to_owned()
            }
            Self::LoginWanted { .. } | Self::Unwritable => {
                "Check the user and the password of the proxy.".to_owned()
            }
            Self::Refused(_) => format!(
                "Ask who runs the proxy {proxy} to let this machine connect to the server, or name the server in `NO_PROXY` if it can be reached without the proxy."
            ),
            Self::Resolve(_) | Self::Connect(_) | Self::NotInTime | Self::NotHttp(_) | Self::SpokeFirst => format!(
                "Check that an HTTP proxy answers at {proxy}: it comes from `HTTPS_PROXY` or `ALL_PROXY`, or from the instance's `--proxy`."
            ),
        }
    }

    /// The code of the problem.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::LoginWanted { .. } => "proxy-refused",
            _ => "proxy-unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_an_address_is_judged_before_a_proxy_hears_of_it() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "64:ff9b::10.0.0.1",
            "localhost",
            "api.localhost",
        ] {
            assert!(prohibited(host, &[]).is_some(), "{host}");
        }
        for host in [
            "api.example.com",
            "1.1.1.1",
            "2603:1000::1",
            "localhost.example.com",
        ] {
            assert_eq!(prohibited(host, &[]), None, "{host}");
        }
        let loopback = ["127.0.0.0/8".parse().unwrap()];
        assert_eq!(prohibited("localhost", &loopback), None);
    }

    #[test]
    fn a_host_that_only_some_read_as_an_address_is_told_apart() {
        for host in ["127.1", "2130706433", "0x7f000001", "0x7f.1", "x.1", "010.0.0.1"] {
            assert!(is_spelled_oddly(host), "{host}");
        }
        for host in ["127.0.0.1", "api.example.com", "a1.b2", "::1", "1.test", "0xg"] {
            assert!(!is_spelled_oddly(host), "{host}");
        }
    }

    #[test]
    fn a_login_is_that_of_rfc_7617_and_is_not_shown() {
        // The example of RFC 7617, section 2.
        let proxy = "http://Aladdin:open%20sesame@h:1".parse().unwrap();
        let login = login(&proxy).unwrap().unwrap();
        assert_eq!(login, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{login:?}"), "Sensitive");
        assert!(super::login(&"http://h:1".parse().unwrap()).unwrap().is_none());
    }
}

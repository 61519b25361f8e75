//! Decides which requests may leave, and to which servers, from the request alone, before anything is resolved.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use http::uri::Scheme;
use http::{Method, Uri};
use ipnet::IpNet;

use super::secrets::SecretHeader;
use crate::limits;

/// A server on an instance's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermittedAuthority {
    /// Host and port.
    pub authority: Authority,
    /// Whether the instance's certificate is presented to it.
    pub client_certificate: bool,
    /// The secrets that are sent to it with every request.
    pub secret_headers: Vec<SecretHeader>,
}

impl PermittedAuthority {
    /// Whether the instance proves to the server who it is.
    pub fn has_credential(&self) -> bool {
        self.client_certificate || !self.secret_headers.is_empty()
    }
}

/// A server: host and port, the host in lower case without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    host: String,
    port: u16,
}

/// Why a text is not an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an authority, which is a host with or without a port and without user information")]
pub struct AuthorityError(String);

impl Diagnose for AuthorityError {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "invalid-authority")
    }
}

impl Authority {
    /// The authority of an absolute `https` URL. `None` for anything else, and where user information stands in it.
    pub fn of_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return None;
        }
        uri.authority()?.as_str().parse().ok()
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AuthorityError(text.to_owned());
        let parsed: http::uri::Authority = text.parse().map_err(|_| error())?;
        let port = match parsed.port_u16() {
            Some(port) => port,
            // A colon without a number after it is an error, and does not mean the default port.
            None if parsed.as_str().len() > parsed.host().len() => return Err(error()),
            None => 443,
        };
        let host = parsed.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if !is_host(host) || port == 0 || text.contains('@') {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Whether a text is a host's name (RFC 1123, section 2.1, with the underscores that some names have) or an address. What
/// else a URL's host may hold, such as `$` and `;`, no server is named with.
fn is_host(host: &str) -> bool {
    let is_address = |host: &str| {
        host.strip_suffix(']')
            .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
    };
    match host.strip_prefix('[') {
        Some(rest) => is_address(rest),
        None => {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(is_letter)
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 443 {
            f.write_str(&self.host)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why the policy refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    #[error("plugins may not use the method `{0}`")]
    Method(Method),
    #[error("plugins may use only the scheme `https`")]
    Scheme,
    #[error(
        "the URL has no host, or has user information, or its path and query have more than {} bytes",
        limits::REQUEST_TARGET_BYTES
    )]
    Target,
    #[error("authority `{0}` is not among those that the instance may reach")]
    Authority(Authority),
}

/// Decides whether a request may leave, and to which of the instance's authorities it goes.
pub(super) fn permit<'a>(
    method: &Method,
    uri: &Uri,
    authorities: &'a [PermittedAuthority],
) -> Result<&'a PermittedAuthority, Denial> {
    if *method == Method::CONNECT || *method == Method::TRACE {
        return Err(Denial::Method(method.clone()));
    }
    if uri.scheme() != Some(&Scheme::HTTPS) {
        return Err(Denial::Scheme);
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.starts_with('/') || target.len() > limits::REQUEST_TARGET_BYTES {
        return Err(Denial::Target);
    }
    let asked: Authority = uri
        .authority()
        .and_then(|authority| authority.as_str().parse().ok())
        .ok_or(Denial::Target)?;
    authorities
        .iter()
        .find(|permitted| permitted.authority == asked)
        .ok_or(Denial::Authority(asked))
}

/// Whether a connection to an address may be made: public ones, and those in networks that the operator allowed.
pub(super) fn address_is_allowed(address: IpAddr, allowed_networks: &[IpNet]) -> bool {
    let is_allowed = |address: IpAddr| {
        is_public(address) || allowed_networks.iter().any(|network| network.contains(&address))
    };
    // `::ffff:10.0.0.1` reaches 10.0.0.1.
    let address = address.to_canonical();
    is_allowed(address) || ipv4_behind_nat64(address).is_some_and(|inside| is_allowed(inside.into()))
}

/// The IPv4 address that a NAT64 connects to for an address of the well-known prefix (RFC 6052, section 2.1). An address of
/// the prefix for local use, 64:ff9b:1::/48 (RFC 8215), leads wherever its network decides, and is judged as it is.
fn ipv4_behind_nat64(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// Whether an address is public by the registries of RFC 6890, as they bear on a client; `IpAddr::is_global` is not
/// stable.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            // Global unicast is 2000::/3; within it, transition and documentation prefixes lead elsewhere.
            (0x2000..0x4000).contains(&segments[0])
                && !(segments[0] == 0x2001 && segments[1] < 0x0200)
                && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
                && segments[0] != 0x2002
                && !(segments[0] == 0x3fff && segments[1] < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<PermittedAuthority> {
        vec![PermittedAuthority {
            authority: "api.example.com".parse().unwrap(),
            client_certificate: true,
            secret_headers: Vec::new(),
        }]
    }

    fn judge(method: Method, uri: &str) -> Result<(), Denial> {
        permit(&method, &uri.parse().unwrap(), &list()).map(|_| ())
    }

    #[test]
    fn a_request_to_an_authority_on_the_list_is_permitted() {
        for uri in [
            "https://api.example.com/x",
            "https://API.example.com:443/x?y=z",
            "https://api.example.com./x",
        ] {
            assert_eq!(judge(Method::POST, uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn any_other_authority_is_denied_by_name() {
        for (uri, name) in [
            ("https://evil.example.com/x", "evil.example.com"),
            ("https://api.example.com:8443/x", "api.example.com:8443"),
            ("https://api.example.com.evil.org/x", "api.example.com.evil.org"),
        ] {
            assert_eq!(
                judge(Method::GET, uri),
                Err(Denial::Authority(name.parse().unwrap())),
                "{uri}"
            );
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_that_a_shell_reads() {
        for host in [
            "api.example.com",
            "A_B-c.example:8443",
            "127.0.0.1",
            "[::1]:8443",
            "xn--bcher-kva.example",
        ] {
            assert!(host.parse::<Authority>().is_ok(), "{host}");
        }
        for none in [
            "$(reboot)",
            "x;reboot",
            "a&b",
            "a'b",
            "[x;y]",
            "[127.0.0.1]",
            "a b",
            "",
            ".",
        ] {
            assert!(none.parse::<Authority>().is_err(), "{none}");
        }
    }

    #[test]
    fn connect_trace_plain_http_and_user_information_are_denied() {
        assert!(matches!(
            judge(Method::CONNECT, "https://api.example.com/x"),
            Err(Denial::Method(_))
        ));
        assert!(matches!(
            judge(Method::TRACE, "https://api.example.com/x"),
            Err(Denial::Method(_))
        ));
        assert_eq!(
            judge(Method::GET, "http://api.example.com/x"),
            Err(Denial::Scheme)
        );
        assert_eq!(
            judge(Method::GET, "https://api.example.com@evil.org/x"),
            Err(Denial::Target)
        );
        assert_eq!(
            judge(Method::GET, "https://u:p@api.example.com/x"),
            Err(Denial::Target)
        );
    }

    #[test]
    fn an_endless_target_is_denied() {
        let long = format!(
            "https://api.example.com/{}",
            "x".repeat(limits::REQUEST_TARGET_BYTES)
        );
        assert_eq!(judge(Method::GET, &long), Err(Denial::Target));
    }

    #[test]
    fn only_public_addresses_are_allowed_unless_the_operator_says_so() {
        for public in [
            "1.1.1.1",
            "20.190.128.1",
            "2603:1000::1",
            // NAT64 (RFC 6052): 20.190.128.1.
            "64:ff9b::14be:8001",
            "64:ff9b::20.190.128.1",
        ] {
            assert!(address_is_allowed(public.parse().unwrap(), &[]), "{public}");
        }
        for special in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::192.168.0.1",
            "64:ff9b::0.0.0.0",
            // Not the well-known prefix: RFC 8215, and bits that RFC 6052 wants to be zero.
            "64:ff9b:1::20.190.128.1",
            "64:ff9b:0:0:1::20.190.128.1",
            "64:ff9b:0:0:0:1:14be:8001",
            // IPv4-compatible, and translated (RFC 2765).
            "::20.190.128.1",
            "::ffff:0:20.190.128.1",
            // Teredo and 6to4 with a public address inside.
            "2001:0:14be:8001::1",
            "2002:14be:8001::1",
            "ff02::1",
        ] {
            assert!(!address_is_allowed(special.parse().unwrap(), &[]), "{special}");
        }
        let loopback = ["127.0.0.0/8".parse().unwrap()];
        assert!(address_is_allowed("127.0.0.1".parse().unwrap(), &loopback));
        assert!(address_is_allowed("::ffff:127.0.0.1".parse().unwrap(), &loopback));
        assert!(!address_is_allowed("10.0.0.1".parse().unwrap(), &loopback));
        assert!(address_is_allowed(
            "64:ff9b::127.0.0.1".parse().unwrap(),
            &loopback
        ));
        let local_use = ["64:ff9b:1::/48".parse().unwrap()];
        let behind = "64:ff9b:1::20.190.128.1".parse().unwrap();
        assert!(address_is_allowed(behind, &local_use));
    }

    #[test]
    fn authorities_are_compared_without_case_default_port_or_final_dot() {
        let parse = |text: &str| text.parse::<Authority>();
        assert_eq!(
            parse("Login.Example.com:443").unwrap(),
            parse("login.example.com.").unwrap()
        );
        assert_eq!(parse("localhost:8443").unwrap().to_string(), "localhost:8443");
        for wrong in [
            "",
            "user@host",
            "host:",
            "host:0",
            "host:99999",
            "https://host",
            "a b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

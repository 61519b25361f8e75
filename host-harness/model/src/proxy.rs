//! HTTP proxies: which of them a connection goes through, as an operator or the environment says.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::secret::Secret;

/// The port of a proxy whose URL has none, as of every URL of the scheme `http` (RFC 9110, section 4.2.1).
const PORT: u16 = 80;

/// An HTTP proxy, which is asked for a tunnel by `CONNECT` (RFC 9110, section 9.3.6). Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<Secret>,
}

/// Why a text is not the URL of a proxy. Quotes nothing of it, since a password may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// The scheme is another one than `http`.
    #[error("a proxy's URL begins with `http://`: other kinds of proxies are not supported")]
    Scheme,
    /// The host or the port is missing, or can't be one.
    #[error(
        "a proxy's URL is `http://HOST:PORT`, with a user and a password before the host where the proxy wants them"
    )]
    Authority,
    /// A user or a password can't be sent (RFC 7617, section 2).
    #[error("the user or the password of a proxy has a character that can't be sent, or a user has a colon")]
    Credentials,
}

impl Diagnose for InvalidProxy {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "invalid-proxy")
            .say("name the proxy as in `http://proxy.example.com:3128`")
    }
}

impl Proxy {
    /// The host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user that the proxy is told.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password that the proxy is told.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Sets the user and the password.
    ///
    /// # Errors
    /// When one of them can't be sent (RFC 7617, section 2).
    pub fn with_credentials(
        self,
        user: Option<String>,
        password: Option<Secret>,
    ) -> Result<Self, InvalidProxy> {
        let is_sent = |text: &str| !text.chars().any(char::is_control);
        let user_is_sent = user
            .as_deref()
            .is_none_or(|user| is_sent(user) && !user.contains(':'));
        let password_is_sent = password
            .as_ref()
            .is_none_or(|password| is_sent(password.expose()));
        match user_is_sent && password_is_sent {
            true => Ok(Self {
                user,
                password,
                ..self
            }),
            false => Err(InvalidProxy::Credentials),
        }
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(InvalidProxy::Scheme),
            // As curl has it, `proxy.example.com:3128` is an HTTP proxy.
            None => url,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let parsed: http::uri::Authority = authority.parse().map_err(|_| InvalidProxy::Authority)?;
        let host = parsed.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = match parsed.port_u16() {
            Some(0) => return Err(InvalidProxy::Authority),
            Some(port) => port,
            None if parsed.as_str().len() > parsed.host().len() => {
                return Err(InvalidProxy::Authority);
            }
            None => PORT,
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_host = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(is_name));
        if !is_host {
            return Err(InvalidProxy::Authority);
        }
        let (user, password) = match credentials.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            None => (None, None),
            Some((user, "")) => (Some(decoded(user)?), None),
            Some((user, password)) => (Some(decoded(user)?), Some(Secret::new(decoded(password)?))),
        };
        let proxy = Self {
            host,
            port,
            user: None,
            password: None,
        };
        proxy.with_credentials(user, password)
    }
}

/// A text of a URL without its percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<String, InvalidProxy> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or(InvalidProxy::Credentials)?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| InvalidProxy::Credentials)
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Hash for Proxy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The secret has no hash, and what is equal has these equal.
        (&self.host, self.port, &self.user).hash(state);
    }
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Exception {
    Everything,
    /// The name itself and those below it.
    Name(String),
    Network(IpNet),
}

/// The servers that are connected to directly, as curl reads `NO_PROXY`: names with those below them, addresses, networks
/// (CIDR), and `*` for all, between commas or spaces (<https://everything.curl.dev/usingcurl/proxies/env.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoProxy(Vec<Exception>);

impl From<&str> for NoProxy {
    fn from(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        let exceptions = entries.map(|entry| {
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            match (entry, bare.parse::<IpAddr>(), entry.parse::<IpNet>()) {
                ("*", ..) => Exception::Everything,
                (_, Ok(address), _) => Exception::Network(address.into()),
                (_, _, Ok(network)) => Exception::Network(network),
                _ => Exception::Name(entry.trim_matches('.').to_ascii_lowercase()),
            }
        });
        Self(exceptions.collect())
    }
}

impl NoProxy {
    /// Whether a server is connected to directly: a name, or an address without brackets.
    pub fn has(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        self.0.iter().any(|exception| match (exception, address) {
            (Exception::Everything, _) => true,
            (Exception::Network(network), Some(address)) => network.contains(&address),
            (Exception::Name(name), None) => {
                let before = host.strip_suffix(name.as_str());
                !name.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            (Exception::Network(_), None) | (Exception::Name(_), Some(_)) => false,
        })
    }
}

/// Which connections go through a proxy. The default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyRules {
    proxy: Option<Proxy>,
    except: NoProxy,
}

/// A variable of the environment that names no usable proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{variable}` names no proxy that can be used")]
pub struct InvalidProxyVariable {
    /// The variable.
    pub variable: &'static str,
    /// The cause.
    #[source]
    pub cause: InvalidProxy,
}

impl Diagnose for InvalidProxyVariable {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "invalid-proxy-variable")
            .say("name an HTTP proxy there, as in `http://proxy.example.com:3128`, or unset the variable")
    }
}

impl ProxyRules {
    /// All connections go through a proxy but those to servers in `except`.
    pub fn through(proxy: Proxy, except: NoProxy) -> Self {
        Self {
            proxy: Some(proxy),
            except,
        }
    }

    /// The rules of an environment, as curl has them for `https`: `https_proxy`, `HTTPS_PROXY`, `all_proxy` or `ALL_PROXY`, the
    /// first that is not empty, and `no_proxy` or `NO_PROXY`.
    ///
    /// # Errors
    /// When the variable names no HTTP proxy.
    pub fn from_environment(
        mut variable: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, InvalidProxyVariable> {
        let mut set = |name: &'static str| Some((name, variable(name).filter(|text| !text.is_empty())?));
        let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(&mut set);
        let except = except.map_or_else(NoProxy::default, |(_, text)| text.as_str().into());
        let named = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let proxy = match named.into_iter().find_map(set) {
            None => None,
            Some((variable, url)) => {
                let parsed = url.parse();
                Some(parsed.map_err(|cause| InvalidProxyVariable { variable, cause })?)
            }
        };
        Ok(Self { proxy, except })
    }

    /// The rules of an instance for which its operator has said something else than these: its own proxy, for the same servers.
    #[must_use]
    pub fn with_proxy(&self, proxy: Option<Proxy>) -> Self {
        Self {
            proxy,
            except: self.except.clone(),
        }
    }

    /// The proxy through which a server is connected to: a name, or an address without brackets. `None`: directly.
    pub fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.except.has(host))
    }
}

/// What an operator has said of an instance's proxy, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedProxy {
    /// No proxy, whatever the host's environment says.
    Direct,
    /// A proxy of its own.
    Through {
        /// The proxy's URL, without user and password.
        url: String,
        /// The user that it is told.
        user: Option<String>,
        /// The password, sealed under the host key, in base64.
        sealed_password: Option<String>,
    },
}

impl SavedProxy {
    /// The word for it that people read and type: a URL, or `none`.
    pub fn word(&self) -> &str {
        match self {
            Self::Direct => "none",
            Self::Through { url, .. } => url,
        }
    }
}

/// An operator's word on an instance's proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// As the host's environment says.
    OfHost,
    /// No proxy, whatever the environment says.
    Direct,
    /// A proxy of its own.
    Through(Proxy),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxy(url: &str) -> Proxy {
        url.parse().unwrap()
    }

    fn rules(variables: &[(&str, &str)]) -> Result<ProxyRules, InvalidProxyVariable> {
        ProxyRules::from_environment(|name| {
            let found = variables.iter().find(|(set, _)| *set == name)?;
            Some(found.1.to_owned())
        })
    }

    fn way(variables: &[(&str, &str)], host: &str) -> Option<String> {
        rules(variables).unwrap().proxy_for(host).map(ToString::to_string)
    }

    #[test]
    fn a_proxy_is_read_with_and_without_port_user_and_password_and_never_shows_them() {
        for (url, shown, user, password) in [
            ("http://proxy.test:3128", "http://proxy.test:3128", None, None),
            ("HTTP://Proxy.Test/", "http://proxy.test:80", None, None),
            ("proxy.test:3128", "http://proxy.test:3128", None, None),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None, None),
            (
                "http://u:p@10.0.0.1:8080",
                "http://10.0.0.1:8080",
                Some("u"),
                Some("p"),
            ),
            (
                "http://DOM%5Cu:p%40%3A%C3%BC@h:1",
                "http://h:1",
                Some("DOM\\u"),
                Some("p@:ü"),
            ),
            ("http://u:p@x@h:1", "http://h:1", Some("u"), Some("p@x")),
            ("http://u@h:1", "http://h:1", Some("u"), None),
        ] {
            let proxy = proxy(url);
            assert_eq!(proxy.to_string(), shown, "{url}");
            assert_eq!(proxy.user(), user, "{url}");
            assert_eq!(proxy.password().map(Secret::expose), password, "{url}");
            assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_and_not_quoted() {
        use InvalidProxy::{Authority, Credentials, Scheme};
        for (url, why) in [
            ("https://proxy.test:3128", Scheme),
            ("socks5h://u:hidden@proxy.test:1080", Scheme),
            ("", Authority),
            ("http://", Authority),
            ("http://h:0", Authority),
            ("http://h:", Authority),
            ("http://h:99999", Authority),
            ("http://h:1/path", Authority),
            ("http://h;reboot:1", Authority),
            ("http://u:hidden%zz@h:1", Credentials),
            ("http://u:hidden%@h:1", Credentials),
            ("http://u:hidden%0D%0A@h:1", Credentials),
            ("http://u%3Ahidden:p@h:1", Credentials),
        ] {
            let refused = url.parse::<Proxy>().unwrap_err();
            assert_eq!(refused, why, "{url}");
            assert!(!refused.to_string().contains("hidden"));
        }
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let (lower, upper) = (("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:2"));
        let (all_lower, all_upper) = (("all_proxy", "http://c:3"), ("ALL_PROXY", "http://d:4"));
        let a = Some("http://a:1".to_owned());
        assert_eq!(way(&[all_upper, all_lower, upper, lower], "x.test"), a);
        assert_eq!(
            way(&[all_upper, all_lower, upper], "x.test").unwrap(),
            "http://b:2"
        );
        assert_eq!(way(&[all_upper, all_lower], "x.test").unwrap(), "http://c:3");
        assert_eq!(
            way(&[all_upper, ("https_proxy", "")], "x.test").unwrap(),
            "http://d:4"
        );
        assert_eq!(way(&[], "x.test"), None);
        // What is for http alone says nothing of https.
        assert_eq!(
            way(
                &[("http_proxy", "http://a:1"), ("HTTP_PROXY", "http://a:1")],
                "x.test"
            ),
            None
        );
        assert_eq!(way(&[lower, ("NO_PROXY", "*")], "x.test"), None);
        assert_eq!(
            way(&[lower, ("no_proxy", "y.test"), ("NO_PROXY", "*")], "x.test"),
            a
        );
        let refused = rules(&[("ALL_PROXY", "socks5://hidden:1080")]).unwrap_err();
        assert_eq!(refused.variable, "ALL_PROXY");
        assert!(!refused.to_string().contains("hidden"));
    }

    #[test]
    fn no_proxy_has_names_with_those_below_them_addresses_and_networks() {
        let except =
            NoProxy::from("example.com, .corp.test.,10.0.0.0/8 192.0.2.7,[2001:db8::1],fd00::/8,localhost");
        for direct in [
            "example.com",
            "EXAMPLE.com.",
            "api.example.com",
            "corp.test",
            "a.b.corp.test",
            "10.1.2.3",
            "192.0.2.7",
            "2001:db8::1",
            "fd00::7",
            "localhost",
        ] {
            assert!(except.has(direct), "{direct}");
        }
        for through in [
            "badexample.com",
            "example.com.evil.test",
            "com",
            "11.0.0.1",
            "192.0.2.70",
            "2001:db8::2",
            "0.10.0.0",
        ] {
            assert!(!except.has(through), "{through}");
        }
        assert!(!NoProxy::from("").has("x.test") && !NoProxy::from(" , ").has(""));
        assert!(NoProxy::from("*").has("x.test"));
        assert!(
            !NoProxy::from("*.x.test").has("a.x.test"),
            "curl knows no other wildcard"
        );
    }

    #[test]
    fn an_instance_s_own_word_replaces_the_proxy_and_keeps_the_exceptions() {
        let of_host = rules(&[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "direct.test")]).unwrap();
        let own = of_host.with_proxy(Some(proxy("http://b:2")));
        assert_eq!(own.proxy_for("x.test"), Some(&proxy("http://b:2")));
        assert_eq!(own.proxy_for("direct.test"), None);
        assert_eq!(of_host.with_proxy(None).proxy_for("x.test"), None);
    }

    #[test]
    fn proxies_that_differ_in_anything_are_two() {
        let all = [
            "http://a:1",
            "http://a:2",
            "http://b:1",
            "http://u@a:1",
            "http://u:p@a:1",
            "http://u:q@a:1",
        ];
        for (number, one) in all.iter().enumerate() {
            for (other_number, other) in all.iter().enumerate() {
                assert_eq!(proxy(one) == proxy(other), number == other_number);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_readers(text in "\\PC{0,40}", host in "\\PC{0,20}") {
            let _ = text.parse::<Proxy>();
            let _ = NoProxy::from(text.as_str()).has(&host);
        }

        #[test]
        fn a_user_and_a_password_come_back_as_they_were_encoded(user in "[a-zA-Z0-9%@/ü]{1,12}", password in "[ -~ü]{1,12}") {
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let proxy = proxy(&format!("http://{}:{}@h:1", encode(&user), encode(&password)));
            prop_assert_eq!(proxy.user(), Some(user.as_str()));
            prop_assert_eq!(proxy.password().map(Secret::expose), Some(password.as_str()));
        }
    }
}

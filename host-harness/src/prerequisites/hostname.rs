//! A host's name, and whether a certificate covers it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bss_model::{Diagnose, Diagnosis, ErrorKind};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;

/// The fully qualified name of one host: lower case, internationalized labels as A-labels (RFC 5890), no dot at
/// its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(DnsName<'static>);

/// Why a text is not the name of one host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAHostname {
    /// An address that programs open.
    #[error("`{0}` is more than a hostname")]
    MoreThanAName(String),
    /// A name for many hosts.
    #[error("`{0}` is a wildcard, which stands for many hosts")]
    Wildcard(String),
    /// An IP address, which has no CNAME.
    #[error("`{0}` is an IP address, not a hostname")]
    Address(String),
    /// A name that is not below any domain.
    #[error("hostname `{0}` has no domain")]
    NotQualified(String),
    /// A name that breaks the rules for names of hosts (RFC 1123 section 2.1, UTS 46).
    #[error("`{0}` is not a valid hostname")]
    Malformed(String),
}

impl Diagnose for NotAHostname {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::MoreThanAName(_) => Diagnosis::new(ErrorKind::Invalid, "more-than-a-hostname")
                .say("give the hostname alone, without scheme, port and path"),
            Self::Wildcard(_) => Diagnosis::new(ErrorKind::Invalid, "hostname-wildcard")
                .say("give the hostname that has the CNAME record"),
            Self::Address(_) => {
                Diagnosis::new(ErrorKind::Invalid, "hostname-is-address").say("give the hostname")
            }
            Self::NotQualified(_) => Diagnosis::new(ErrorKind::Invalid, "hostname-not-qualified")
                .say("give the fully qualified hostname, such as `esd.mydomain.com`"),
            Self::Malformed(_) => Diagnosis::new(ErrorKind::Invalid, "hostname-malformed")
                .say("check the spelling of the hostname: letters, digits and hyphens between dots"),
        }
    }
}

impl FromStr for Hostname {
    type Err = NotAHostname;

    fn from_str(text: &str) -> Result<Self, NotAHostname> {
        let shown = || text.escape_debug().to_string();
        if text.parse::<IpAddr>().is_ok() {
            return Err(NotAHostname::Address(shown()));
        }
        if text.contains(['/', ':', '@']) {
            return Err(NotAHostname::MoreThanAName(shown()));
        }
        if text.contains('*') {
            return Err(NotAHostname::Wildcard(shown()));
        }
        let ascii = Uts46::new()
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::STD3,
                Hyphens::CheckFirstLast,
                DnsLength::VerifyAllowRootDot,
            )
            .map_err(|_| NotAHostname::Malformed(shown()))?;
        let relative = ascii.strip_suffix('.').unwrap_or(&ascii);
        // Mapping to ASCII can make an address, for example from full-width digits.
        if relative.parse::<IpAddr>().is_ok() {
            return Err(NotAHostname::Address(shown()));
        }
        let name = DnsName::try_from(relative.to_owned()).map_err(|_| NotAHostname::Malformed(shown()))?;
        if relative.contains('.') {
            Ok(Self(name))
        } else {
            Err(NotAHostname::NotQualified(shown()))
        }
    }
}

impl Hostname {
    /// The name without a dot at its end.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a certificate may speak for a host (RFC 9525 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    Covered,
    NotCovered,
    /// The certificate can't be used by TLS.
    Unreadable {
        cause: String,
        advice: &'static str,
    },
}

impl Coverage {
    fn unreadable(error: &webpki::Error) -> Self {
        let (cause, advice) = match error {
            webpki::Error::UnsupportedCertVersion => (
                "it is an X.509 certificate of version 1 or 2, which has no subject alternative names"
                    .to_owned(),
                "ask for an X.509 certificate of version 3",
            ),
            webpki::Error::UnsupportedCriticalExtension => (
                "it has a critical extension that TLS does not know".to_owned(),
                "ask for a certificate without that extension, or in which it is not critical",
            ),
            webpki::Error::ExtensionValueInvalid | webpki::Error::MalformedExtensions => (
                "one of its extensions is malformed, or there twice".to_owned(),
                "ask for a new certificate, and tell whoever issued this one",
            ),
            other => (
                other.to_string(),
                "ask for a new certificate, and tell whoever issued this one",
            ),
        };
        Self::Unreadable { cause, advice }
    }
}

/// Compares a host's name with the DNS names among a certificate's subject alternative names. The certificate's
/// common name is never used; a `*` stands for one whole label, and only as the left-most.
pub(super) fn coverage(certificate: &[u8], hostname: &Hostname) -> Coverage {
    let der = CertificateDer::from(certificate);
    let certificate = match EndEntityCert::try_from(&der) {
        Ok(certificate) => certificate,
        Err(error) => return Coverage::unreadable(&error),
    };
    match certificate.verify_is_valid_for_subject_name(&ServerName::DnsName(hostname.0.borrow())) {
        Ok(()) => Coverage::Covered,
        Err(webpki::Error::CertNotValidForName(_)) => Coverage::NotCovered,
        Err(error) => Coverage::unreadable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Hostname {
        text.parse().unwrap()
    }

    /// A certificate with its common name and DNS names, as they stand.
    fn certificate(common_name: &str, dns_names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = dns_names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn covers(dns_names: &[&str], hostname: &str) -> bool {
        match coverage(&certificate("nobody", dns_names), &host(hostname)) {
            Coverage::Covered => true,
            Coverage::NotCovered => false,
            Coverage::Unreadable { cause, .. } => panic!("{cause}"),
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_whole_label() {
        assert!(covers(&["*.mydomain.com"], "esd.mydomain.com"));
        assert!(!covers(&["*.mydomain.com"], "mydomain.com"));
        assert!(!covers(&["*.mydomain.com"], "a.esd.mydomain.com"));
        assert!(!covers(&["*.mydomain.com"], "esd.myotherdomain.com"));
    }

    #[test]
    fn a_wildcard_within_a_label_or_further_right_covers_nothing() {
        assert!(!covers(&["e*.mydomain.com"], "esd.mydomain.com"));
        assert!(!covers(&["*d.mydomain.com"], "esd.mydomain.com"));
        assert!(!covers(&["esd.*.com"], "esd.mydomain.com"));
        assert!(!covers(&["*.*.com"], "esd.mydomain.com"));
    }

    #[test]
    fn an_exact_name_covers_itself_alone() {
        assert!(covers(&["esd.mydomain.net"], "esd.mydomain.net"));
        assert!(!covers(&["esd.mydomain.net"], "www.mydomain.net"));
        assert!(!covers(&["esd.mydomain.net"], "a.esd.mydomain.net"));
    }

    #[test]
    fn any_of_several_names_may_be_the_one() {
        let names = ["mydomain.com", "*.other.example", "esd.mydomain.com"];
        assert!(covers(&names, "esd.mydomain.com"));
        assert!(!covers(&names, "www.mydomain.com"));
    }

    #[test]
    fn a_common_name_covers_nothing() {
        for names in [&["other.mydomain.com"][..], &[]] {
            let certificate = certificate("esd.mydomain.com", names);
            assert_eq!(
                coverage(&certificate, &host("esd.mydomain.com")),
                Coverage::NotCovered,
                "{names:?}"
            );
        }
    }

    #[test]
    fn an_ip_address_among_the_names_covers_no_host() {
        assert!(!covers(&["192.0.2.1"], "esd.mydomain.com"));
    }

    #[test]
    fn case_and_a_dot_at_the_end_make_no_difference() {
        assert!(covers(&["ESD.MyDomain.com"], "esd.mydomain.COM"));
        assert!(covers(&["*.MYDOMAIN.com"], "Esd.mydomain.com."));
        assert_eq!(host("ESD.mydomain.com."), host("esd.mydomain.com"));
    }

    #[test]
    fn internationalized_names_are_compared_as_a_labels() {
        assert_eq!(host("esd.bücher.example").as_str(), "esd.xn--bcher-kva.example");
        assert!(covers(&["*.xn--bcher-kva.example"], "esd.BÜCHER.example"));
        assert!(covers(&["esd.XN--BCHER-KVA.example"], "esd.bücher.example"));
        assert!(!covers(&["*.bucher.example"], "esd.bücher.example"));
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert!(matches!(
            coverage(b"no certificate", &host("esd.mydomain.com")),
            Coverage::Unreadable { .. }
        ));
    }

    #[test]
    fn what_is_not_one_host_s_name_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Hostname>().unwrap_err();
        let shown = str::to_owned;
        for text in [
            "https://esd.mydomain.com",
            "esd.mydomain.com:443",
            "a@mydomain.com",
        ] {
            assert_eq!(refused(text), NotAHostname::MoreThanAName(shown(text)));
        }
        assert_eq!(
            refused("*.mydomain.com"),
            NotAHostname::Wildcard(shown("*.mydomain.com"))
        );
        for text in ["192.0.2.1", "2001:db8::1", "１９２.0.2.1"] {
            assert_eq!(refused(text), NotAHostname::Address(shown(text)));
        }
        for text in ["esd", "esd."] {
            assert_eq!(refused(text), NotAHostname::NotQualified(shown(text)));
        }
        let long = format!("{}.mydomain.com", "a".repeat(64));
        for text in [
            "", ".", "esd..com", ".esd.com", "-esd.com", "e_sd.com", "a b.com", &long,
        ] {
            assert_eq!(refused(text), NotAHostname::Malformed(shown(text)), "{text}");
        }
    }
}

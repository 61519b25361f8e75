//! Checks of a customer's certificate, hostname and CNAME record against the platform's requirements, before anything
//! is installed.

mod dns;
mod hostname;
mod region;

use std::net::SocketAddr;
use std::time::Duration;

use bss_keys::{InspectError, InspectedPfx, PfxCode, PfxError, inspect_pfx};
use bss_model::Diagnose;
use bss_model::clock::{now_ms, rfc3339};
use hickory_resolver::proto::op::ResponseCode;

pub use dns::CNAME_CHAIN_MAX;
pub use hostname::{Hostname, NotAHostname};
pub use region::{Region, UnknownRegion};

use dns::{Astray, NotReached, Silence};
use hostname::Coverage;

/// The default time limit for all DNS questions together: a resolver that never answers is noticed after half of it,
/// and a chain of slow answers fits in.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(15);

/// The time before its end from which a certificate is said to expire soon; authorities take up to weeks for a new
/// one.
const EXPIRES_SOON_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The most of a certificate's names that are shown. Certificates of hosters have hundreds.
const NAMES_SHOWN_MAX: usize = 5;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The prerequisite is as it should be.
    Passed,
    /// The prerequisite is not as it should be.
    Failed,
    /// The check could not tell; checking again may help.
    Unknown,
}

impl Verdict {
    /// The verdict's word in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// The finding on one prerequisite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The result.
    pub verdict: Verdict,
    /// The outcome's name for programs: lower case, with hyphens.
    pub code: &'static str,
    /// The finding, as a sentence for an operator.
    pub found: String,
    /// The advice. May be empty.
    pub advice: String,
}

impl Point {
    fn passed(code: &'static str, found: String) -> Self {
        Self {
            verdict: Verdict::Passed,
            code,
            found,
            advice: String::new(),
        }
    }

    fn failed(code: &'static str, found: String, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Failed,
            code,
            found,
            advice: advice.into(),
        }
    }

    fn unknown(code: &'static str, found: String, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            code,
            found,
            advice: advice.into(),
        }
    }
}

/// The platform's three prerequisites, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisites {
    /// A certificate with its private key, in a PFX file that its code opens.
    pub pfx: Point,
    /// A hostname that the certificate is for.
    pub hostname: Point,
    /// A CNAME record of the hostname that leads to the region's host.
    pub cname: Point,
}

impl Prerequisites {
    /// The three prerequisites with their names, in order.
    pub fn points(&self) -> [(&'static str, &Point); 3] {
        [
            ("pfx", &self.pfx),
            ("hostname", &self.hostname),
            ("cname", &self.cname),
        ]
    }

    /// The verdict on all together: failed if any failed, else unknown if any is unknown.
    pub fn verdict(&self) -> Verdict {
        let any = |verdict| self.points().iter().any(|(_, point)| point.verdict == verdict);
        if any(Verdict::Failed) {
            Verdict::Failed
        } else if any(Verdict::Unknown) {
            Verdict::Unknown
        } else {
            Verdict::Passed
        }
    }
}

/// The resolver to ask in the DNS, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct DnsQuestions {
    /// The resolver. `None`: those of the system's configuration.
    pub resolver: Option<SocketAddr>,
    /// The time limit for all questions together.
    pub timeout: Duration,
}

/// Checks all three prerequisites. Nothing is installed, and a failed one does not keep the others from being
/// checked.
pub async fn check(
    pfx: &[u8],
    code: &PfxCode,
    hostname: &Hostname,
    region: Region,
    dns: DnsQuestions,
) -> Prerequisites {
    let (inspected, led) = tokio::join!(
        inspect_pfx(pfx, code),
        dns::follow(hostname, region, dns.resolver, dns.timeout)
    );
    let (pfx, covered) = match inspected {
        Ok(inspected) => (
            pfx_point(&inspected, now_ms()),
            hostname_point(&inspected, hostname),
        ),
        Err(error) => (
            unread_pfx_point(&error),
            Point::unknown(
                "no-certificate",
                format!(
                    "`{hostname}` was not compared with the certificate, because the PFX file could not be read"
                ),
                "make the PFX file readable first",
            ),
        ),
    };
    Prerequisites {
        pfx,
        hostname: covered,
        cname: cname_point(led, hostname, region),
    }
}

/// The hostnames that the certificate of a PFX file is for, without those with a `*`, which none can be checked of. May be empty.
///
/// # Errors
/// When the file can't be read with the code.
pub async fn hostnames(pfx: &[u8], code: &PfxCode) -> Result<Vec<Hostname>, InspectError> {
    let inspected = inspect_pfx(pfx, code).await?;
    let names = inspected.dns_names.iter();
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

fn pfx_point(inspected: &InspectedPfx, now_ms: i64) -> Point {
    let certificate = format!("certificate `{}` ({})", inspected.subject, inspected.thumbprint);
    if let Some(reason) = &inspected.unusable_because {
        return Point::failed(
            "unusable",
            format!("{certificate} can't be used: {reason}"),
            reason.advice().sentence(),
        );
    }
    let until = rfc3339(inspected.not_after_ms);
    let mut point = Point::passed("usable", format!("{certificate} is usable until {until}"));
    let mut advice = Vec::new();
    if inspected.not_after_ms.saturating_sub(now_ms) < EXPIRES_SOON_MS {
        advice.push("the certificate expires soon: have the next one ready".to_owned());
    }
    let cautions = inspected.cautions.iter();
    advice.extend(cautions.map(|caution| format!("{caution}: {}", caution.advice().sentence())));
    point.advice = advice.join("; ");
    point
}

fn unread_pfx_point(error: &InspectError) -> Point {
    let found = error.to_string();
    let advice = error
        .diagnosis()
        .advice
        .map(|advice| advice.sentence())
        .unwrap_or_default();
    match error {
        InspectError::Interrupted(_) => Point::unknown("not-read", found, advice),
        InspectError::Pfx(PfxError::WrongCode) => Point::failed("wrong-code", found, advice),
        InspectError::Pfx(PfxError::NoCode) => Point::failed("no-code", found, advice),
        _ => Point::failed("unreadable", found, advice),
    }
}

fn hostname_point(inspected: &InspectedPfx, hostname: &Hostname) -> Point {
    match hostname::coverage(&inspected.certificate, hostname) {
        Coverage::Covered => Point::passed("covered", format!("the certificate covers `{hostname}`")),
        Coverage::NotCovered => Point::failed(
            "not-covered",
            format!(
                "the certificate does not cover `{hostname}`; it covers {}",
                names(&inspected.dns_names)
            ),
            format!(
                "choose a hostname that the certificate covers, or ask for a certificate that covers `{hostname}`; \
                 a `*` stands for exactly one label, and the common name does not count"
            ),
        ),
        Coverage::Unreadable { cause, advice } => Point::failed(
            "unreadable",
            format!("the certificate's names can't be read: {cause}"),
            advice,
        ),
    }
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "no host at all: its subject alternative names contain no DNS name".to_owned();
    }
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => {}
        more => shown.push(format!("and {more} more")),
    }
    shown.join(", ")
}

fn cname_point(led: Result<Vec<String>, NotReached>, hostname: &Hostname, region: Region) -> Point {
    match led {
        Ok(through) => {
            let found = format!("`{hostname}` leads to `{}`", region.target());
            Point::passed(
                "reached",
                if through.is_empty() {
                    found
                } else {
                    format!("{found} through {}", names(&through))
                },
            )
        }
        Err(NotReached::Astray(astray)) => astray_point(astray, hostname, region),
        Err(NotReached::Silence(silence)) => silence_point(silence),
    }
}

fn astray_point(astray: Astray, hostname: &Hostname, region: Region) -> Point {
    let target = region.target();
    let declare = format!("declare a CNAME record for `{hostname}` that points to `{target}`");
    let (code, found, advice) = match astray {
        Astray::NoSuchName => (
            "no-such-name",
            format!("`{hostname}` does not exist in the DNS"),
            declare,
        ),
        Astray::NoCname { apex } => (
            "no-cname",
            format!("`{hostname}` exists in the DNS, but has no CNAME record"),
            unless_apex(apex, declare),
        ),
        Astray::AddressOnly { apex } => (
            "address-only",
            format!("`{hostname}` has an address record, but no CNAME record"),
            unless_apex(
                apex,
                format!("remove the address records of `{hostname}` and {declare}"),
            ),
        ),
        Astray::OtherRegion { region: other } => (
            "other-region",
            format!(
                "`{hostname}` leads to `{}`, which is for region `{}`",
                other.target(),
                other.name()
            ),
            format!(
                "if the region is `{}`, point the CNAME record of `{hostname}` to `{target}`",
                region.name()
            ),
        ),
        Astray::OtherTarget {
            target: other,
            exists,
        } => {
            let missing = if exists { "" } else { ", which does not exist" };
            (
                "other-target",
                format!("`{hostname}` leads to `{other}`{missing}"),
                format!("point the CNAME record of `{hostname}` to `{target}`"),
            )
        }
        Astray::SeveralCnames { name, targets } => (
            "several-cnames",
            format!("`{name}` has several CNAME records: {}", names(&targets)),
            format!("{declare}, and no other"),
        ),
        Astray::Loop { name } => (
            "loop",
            format!("the CNAME records of `{hostname}` form a loop, which leads back to `{name}`"),
            declare,
        ),
        Astray::TooLong { last } => (
            "chain-too-long",
            format!(
                "`{hostname}` leads to `{last}` through {CNAME_CHAIN_MAX} CNAME records, and the check follows no more"
            ),
            declare,
        ),
    };
    Point::failed(code, found, advice)
}

/// Advises another hostname at the top of a zone: a SOA record is always there, and nothing may stand beside a CNAME
/// (RFC 1034 section 3.6.2).
fn unless_apex(apex: bool, advice: String) -> String {
    if apex {
        "choose a hostname below this one, which is the apex of a DNS zone and so can't have a CNAME record"
            .to_owned()
    } else {
        advice
    }
}

fn silence_point(silence: Silence) -> Point {
    match silence {
        Silence::NotTold { name, code } => {
            let (outcome, said) = match code {
                ResponseCode::ServFail => ("server-failure", "a failure (SERVFAIL)".to_owned()),
                ResponseCode::Refused => ("refused", "a refusal (REFUSED)".to_owned()),
                other => ("not-told", format!("\"{other}\"")),
            };
            Point::unknown(
                outcome,
                format!("the resolver's answer for `{name}` is {said}"),
                "ask another resolver, or look at the name servers of the domain",
            )
        }
        Silence::NoAnswer { name, cause } => Point::unknown(
            "no-answer",
            format!("the resolver gave no answer for `{name}` ({cause})"),
            "try again, or ask another resolver",
        ),
        Silence::NoResolver { cause } => Point::unknown(
            "no-resolver",
            format!("the system's configuration names no resolver that can be asked ({cause})"),
            "name a DNS resolver",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bss_keys::{Caution, UnusableReason};

    use super::*;

    fn prerequisites(verdicts: [Verdict; 3]) -> Prerequisites {
        let [pfx, hostname, cname] = verdicts.map(|verdict| Point {
            verdict,
            code: "a-code",
            found: String::new(),
            advice: String::new(),
        });
        Prerequisites { pfx, hostname, cname }
    }

    #[test]
    fn one_failure_fails_all_and_one_unknown_leaves_all_unknown() {
        use Verdict::{Failed, Passed, Unknown};
        for (verdicts, all) in [
            ([Passed, Passed, Passed], Passed),
            ([Passed, Passed, Unknown], Unknown),
            ([Failed, Unknown, Passed], Failed),
            ([Passed, Unknown, Failed], Failed),
        ] {
            assert_eq!(prerequisites(verdicts).verdict(), all, "{verdicts:?}");
        }
    }

    #[test]
    fn an_unreadable_pfx_file_is_said_to_be_and_what_to_do_apart_from_it() {
        let subjects = vec!["CN=one".to_owned(), "CN=two".to_owned()];
        let point = unread_pfx_point(&InspectError::KeyDoesNotMatch { subjects });
        assert_eq!((point.verdict, point.code), (Verdict::Failed, "unreadable"));
        assert_eq!(
            point.found,
            "the private key belongs to none of the certificates in the file (CN=one; CN=two)"
        );
        assert_eq!(
            point.advice,
            "export the certificate again from where its key was made"
        );
        let point = unread_pfx_point(&InspectError::Pfx(PfxError::WrongCode));
        assert_eq!((point.verdict, point.code), (Verdict::Failed, "wrong-code"));
    }

    fn inspected() -> InspectedPfx {
        InspectedPfx {
            thumbprint: "A".repeat(40).parse().unwrap(),
            subject: "CN=one".to_owned(),
            dns_names: Vec::new(),
            not_after_ms: EXPIRES_SOON_MS,
            certificate: Vec::new(),
            unusable_because: None,
            cautions: Vec::new(),
        }
    }

    #[test]
    fn a_certificate_that_expires_soon_or_lacks_its_chain_passes_with_advice() {
        let point = pfx_point(&inspected(), 0);
        assert_eq!((point.verdict, point.advice.as_str()), (Verdict::Passed, ""));
        let point = pfx_point(&inspected(), 1);
        assert_eq!(point.verdict, Verdict::Passed);
        assert!(point.advice.contains("expires soon"), "{}", point.advice);
        let alone = InspectedPfx {
            cautions: vec![Caution::ChainIncomplete, Caution::NoMac],
            ..inspected()
        };
        let point = pfx_point(&alone, 0);
        assert_eq!(point.verdict, Verdict::Passed);
        assert!(point.advice.contains("chain is not complete"), "{}", point.advice);
        assert!(point.advice.contains("no MAC"), "{}", point.advice);
    }

    #[test]
    fn each_reason_why_a_certificate_can_not_be_used_has_advice_of_its_own() {
        let other = |algorithm: &str| UnusableReason::OtherKey {
            algorithm: algorithm.to_owned(),
        };
        let reasons = [
            UnusableReason::KeyTooShort { bits: 1024 },
            other("EC P-256"),
            other("RSASSA-PSS"),
            UnusableReason::Authority,
            UnusableReason::NotForClients,
            UnusableReason::NotForSignatures,
            UnusableReason::NotYetValid { not_before_ms: 1 },
            UnusableReason::Expired { not_after_ms: 1 },
        ];
        let mut advice = BTreeSet::new();
        for reason in reasons {
            let unusable = InspectedPfx {
                unusable_because: Some(reason.clone()),
                ..inspected()
            };
            let point = pfx_point(&unusable, 0);
            assert_eq!((point.verdict, point.code), (Verdict::Failed, "unusable"));
            assert!(point.found.ends_with(&reason.to_string()), "{}", point.found);
            assert!(advice.insert(point.advice.clone()), "{}", point.advice);
        }
    }

    #[test]
    fn of_many_names_the_first_are_shown_and_the_rest_counted() {
        let many: Vec<String> = (1..=7).map(|n| format!("n{n}.example")).collect();
        assert_eq!(
            names(&many),
            "`n1.example`, `n2.example`, `n3.example`, `n4.example`, `n5.example`, and 2 more"
        );
        assert_eq!(names(&many[..1]), "`n1.example`");
        assert!(names(&[]).starts_with("no host at all"));
    }
}

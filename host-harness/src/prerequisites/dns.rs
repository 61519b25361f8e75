//! A hostname's CNAME records, followed one by one to the region's host.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::time::Instant;

use super::hostname::Hostname;
use super::region::Region;

/// The most CNAME records that are followed. One leads to the platform; a delivery network in between makes two or
/// three, and resolvers themselves give up between 8 and 16.
pub const CNAME_CHAIN_MAX: usize = 8;

/// The time limit of one attempt to get an answer. A resolver that has to ask others first answers within two
/// seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of times a question is asked again when there was no answer: one lost datagram is nothing unusual.
const RETRIES: usize = 1;

/// Why a hostname was not found to lead to the region's host. Names are without a dot at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotReached {
    /// The hostname leads elsewhere, or nowhere.
    Astray(Astray),
    /// Nothing is known of the hostname.
    Silence(Silence),
}

/// The place to which a hostname leads instead of the region's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Astray {
    /// No such name: NXDOMAIN.
    NoSuchName,
    /// The name exists, without a CNAME and without an address.
    NoCname { apex: bool },
    /// The name has addresses of its own.
    AddressOnly { apex: bool },
    /// The host of another region.
    OtherRegion { region: Region },
    /// Another host than the platform's.
    OtherTarget { target: String, exists: bool },
    /// More than one CNAME at one name, which RFC 2181 section 10.1 forbids.
    SeveralCnames { name: String, targets: Vec<String> },
    /// A name that was passed before.
    Loop { name: String },
    /// No end within [`CNAME_CHAIN_MAX`].
    TooLong { last: String },
}

/// Why nothing is known of a hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The resolver answered that it can't or won't say.
    NotTold { name: String, code: ResponseCode },
    /// There was no answer in time, or none that can be read.
    NoAnswer { name: String, cause: String },
    /// The system names no resolver.
    NoResolver { cause: String },
}

impl From<Astray> for NotReached {
    fn from(astray: Astray) -> Self {
        Self::Astray(astray)
    }
}

impl From<Silence> for NotReached {
    fn from(silence: Silence) -> Self {
        Self::Silence(silence)
    }
}

/// The DNS's answer for one name.
enum Step {
    To(Name),
    Several(Vec<Name>),
    NoCname { apex: bool },
    NoSuchName,
}

/// Follows a hostname's CNAME records up to the region's host, and returns the names on the way. Without a resolver's
/// address, those of the system's configuration are asked. Takes no longer than `timeout`.
pub(super) async fn follow(
    hostname: &Hostname,
    region: Region,
    resolver: Option<SocketAddr>,
    timeout: Duration,
) -> Result<Vec<String>, NotReached> {
    let resolver = open(resolver, timeout).map_err(|error| Silence::NoResolver {
        cause: error.to_string(),
    })?;
    let start = absolute(hostname.as_str()).map_err(|error| Silence::NoAnswer {
        name: hostname.to_string(),
        cause: error.to_string(),
    })?;
    let questions = Questions {
        resolver,
        deadline: Instant::now() + timeout,
    };
    walk(&questions, start, region).await
}

/// A resolver, and the time until which it is asked.
struct Questions {
    resolver: TokioResolver,
    deadline: Instant,
}

impl Questions {
    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Lookup, NetError> {
        tokio::time::timeout_at(self.deadline, self.resolver.lookup(name.clone(), kind))
            .await
            .unwrap_or(Err(NetError::Timeout))
    }
}

/// Opens a resolver that asks neither the hosts file nor search domains: only the names that others see count.
fn open(address: Option<SocketAddr>, timeout: Duration) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = match address {
        None => Resolver::builder(provider)?,
        Some(address) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            let server = NameServerConfig::new(address.ip(), true, connections.into());
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            Resolver::builder_with_config(config, provider)
        }
    };
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT_TIMEOUT.min(timeout);
    options.attempts = RETRIES;
    options.use_hosts_file = ResolveHosts::Never;
    *builder.options_mut() = options;
    builder.build()
}

fn absolute(name: &str) -> Result<Name, NetError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}

async fn walk(questions: &Questions, start: Name, region: Region) -> Result<Vec<String>, NotReached> {
    let mut passed = Vec::new();
    let mut current = start;
    loop {
        let is_start = passed.is_empty();
        let next = match step(questions, &current).await? {
            Step::To(next) => next,
            Step::Several(targets) => {
                return Err(NotReached::Astray(Astray::SeveralCnames {
                    name: shown(&current),
                    targets: targets.iter().map(shown).collect(),
                }));
            }
            Step::NoSuchName if is_start => return Err(Astray::NoSuchName.into()),
            Step::NoCname { apex } if is_start => {
                return Err(without_cname(questions, &current, apex).await.into());
            }
            end => {
                return Err(NotReached::Astray(Astray::OtherTarget {
                    target: shown(&current),
                    exists: !matches!(end, Step::NoSuchName),
                }));
            }
        };
        passed.push(current);
        match region_of(&next) {
            Some(found) if found == region => return Ok(passed.iter().skip(1).map(shown).collect()),
            Some(region) => return Err(Astray::OtherRegion { region }.into()),
            None => {}
        }
        if passed.contains(&next) {
            return Err(Astray::Loop { name: shown(&next) }.into());
        }
        if passed.len() == CNAME_CHAIN_MAX {
            return Err(Astray::TooLong { last: shown(&next) }.into());
        }
        current = next;
    }
}

fn region_of(name: &Name) -> Option<Region> {
    Region::ALL
        .into_iter()
        .find(|region| absolute(region.target()).is_ok_and(|target| target == *name))
}

/// Asks for the CNAME of one name. The error means that nothing is known.
async fn step(questions: &Questions, name: &Name) -> Result<Step, Silence> {
    match questions.ask(name, RecordType::CNAME).await {
        Ok(lookup) => Ok(cname_of(name, lookup.answers())),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NXDomain => Ok(Step::NoSuchName),
            ResponseCode::NoError => Ok(Step::NoCname {
                apex: none.soa.is_some_and(|soa| soa.name == *name),
            }),
            code => Err(not_told(name, code)),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(not_told(name, code)),
        Err(error) => Err(Silence::NoAnswer {
            name: shown(name),
            cause: error.to_string(),
        }),
    }
}

fn not_told(name: &Name, code: ResponseCode) -> Silence {
    Silence::NotTold {
        name: shown(name),
        code,
    }
}

/// Reads the CNAME of one name from an answer. Records of further names that a resolver sends along are ignored,
/// because those names are asked for on their own.
fn cname_of(name: &Name, answers: &[Record]) -> Step {
    let mut targets = Vec::<Name>::new();
    for record in answers {
        match &record.data {
            RData::CNAME(target) if record.name == *name && !targets.contains(&target.0) => {
                targets.push(target.0.clone());
            }
            _ => {}
        }
    }
    match (targets.pop(), targets.is_empty()) {
        (None, _) => Step::NoCname { apex: false },
        (Some(only), true) => Step::To(only),
        (Some(last), false) => {
            targets.push(last);
            Step::Several(targets)
        }
    }
}

/// Asks for the addresses of a name without a CNAME, only to make the reason clearer.
async fn without_cname(questions: &Questions, name: &Name, apex: bool) -> Astray {
    for kind in [RecordType::A, RecordType::AAAA] {
        let found = questions.ask(name, kind).await;
        if found.is_ok_and(|found| found.answers().iter().any(|record| record.record_type() == kind)) {
            return Astray::AddressOnly { apex };
        }
    }
    Astray::NoCname { apex }
}

fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    let text = text.strip_suffix('.').unwrap_or(&text);
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::CNAME;

    use super::*;

    fn cname(name: &str, target: &str) -> Record {
        let target = RData::CNAME(CNAME(absolute(target).unwrap()));
        Record::from_rdata(absolute(name).unwrap(), 60, target)
    }

    fn targets(answers: &[Record]) -> Vec<String> {
        match cname_of(&absolute("esd.mydomain.com").unwrap(), answers) {
            Step::To(target) => vec![shown(&target)],
            Step::Several(targets) => targets.iter().map(shown).collect(),
            Step::NoCname { .. } | Step::NoSuchName => Vec::new(),
        }
    }

    #[test]
    fn only_the_records_of_the_name_that_was_asked_for_count() {
        let own = cname("ESD.mydomain.com", "a.example");
        let further = cname("a.example", "b.example");
        assert_eq!(targets(&[further.clone(), own]), ["a.example"]);
        assert!(targets(&[further]).is_empty());
    }

    #[test]
    fn two_records_with_one_target_are_one_and_with_two_are_told() {
        let first = cname("esd.mydomain.com", "a.example");
        let again = cname("esd.mydomain.com", "A.example");
        let second = cname("esd.mydomain.com", "b.example");
        assert_eq!(targets(&[first.clone(), again]), ["a.example"]);
        assert_eq!(targets(&[first, second]), ["a.example", "b.example"]);
    }

    #[test]
    fn the_platform_s_hosts_are_known_in_any_case_and_no_others() {
        let region = |name| region_of(&absolute(name).unwrap());
        assert_eq!(
            region("Cloud-Platform-Sites-EU.trafficmanager.net"),
            Some(Region::Eu)
        );
        assert_eq!(
            region("cloud-platform-sites-us.trafficmanager.net."),
            Some(Region::Us)
        );
        assert_eq!(region("a.cloud-platform-sites-us.trafficmanager.net"), None);
        assert_eq!(region("cloud-platform-sites-us.trafficmanager.net.example"), None);
    }

    #[test]
    fn names_are_shown_without_a_dot_at_their_end_and_without_control_characters() {
        assert_eq!(shown(&absolute("A.Example.").unwrap()), "a.example");
        let odd = Name::from_labels([&b"\x1b[31m"[..], b"example"]).unwrap();
        assert!(
            shown(&odd).chars().all(|c| c.is_ascii_graphic()),
            "{}",
            shown(&odd)
        );
    }
}

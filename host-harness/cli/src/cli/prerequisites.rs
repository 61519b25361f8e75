//! The command `prerequisites`: what was found, as a table or JSON, and whether it will do.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bss_keys::PfxCode;
use bss_model::ErrorKind;
use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use host_harness::prerequisites::{
    DNS_TIMEOUT, DnsQuestions, Hostname, Prerequisites, Region, Verdict, check,
};
use host_harness::view;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, parsed};
use super::{output, show};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all three prerequisites passed, 1 at least one failed, 2 the command line was not \
                  understood, 3 none failed but at least one could not be checked."
)]
pub(super) struct PrerequisitesArguments {
    /// The PFX file
    #[arg(long, value_name = "FILE")]
    pub(super) pfx: PathBuf,
    /// A file whose first line is the PFX's code; `-` is the standard input. Without this option, the code is
    /// taken from the environment variable BSS_PFX_CODE, and is empty if that is not set
    #[arg(long, value_name = "FILE")]
    pub(super) code_file: Option<PathBuf>,
    /// The fully qualified hostname, as in `esd.mydomain.com`
    #[arg(long, value_name = "NAME", value_parser = parsed::<Hostname>)]
    pub(super) hostname: Hostname,
    /// The region in which the platform runs for the customer
    #[arg(long, value_name = "REGION", value_parser = PossibleValuesParser::new(Region::ALL.map(Region::name)).try_map(|name| name.parse::<Region>()))]
    pub(super) region: Region,
    /// Ask this DNS resolver, on port 53 unless another port is given, instead of the system's
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    pub(super) resolver: Option<SocketAddr>,
    /// The time limit for all DNS queries together
    #[arg(long, value_name = "SECONDS", default_value_t = DNS_TIMEOUT.as_secs(), value_parser = RangedU64ValueParser::<u64>::new().range(1..=300))]
    pub(super) timeout: u64,
}

/// Looks at a PFX file, a hostname and the DNS. Neither the data directory nor the plugin is touched.
pub(super) async fn run(
    arguments: &PrerequisitesArguments,
    pfx: &[u8],
    code: &PfxCode,
    json: bool,
) -> Outcome {
    let dns = DnsQuestions {
        resolver: arguments.resolver,
        timeout: Duration::from_secs(arguments.timeout),
    };
    let found = check(pfx, code, &arguments.hostname, arguments.region, dns).await;
    if json {
        show::json(&view::Prerequisites::new(
            &arguments.hostname,
            arguments.region,
            &found,
        ))?;
    } else {
        let mut table = show::table(&["Prerequisite", "Result", "What was found", "What to do"]);
        for (name, point) in found.points() {
            table.add_row([title(name), point.verdict.name(), &point.found, &point.advice]);
        }
        output::table(&table);
    }
    status(&found)
}

fn title(point: &str) -> &'static str {
    match point {
        "pfx" => "Certificate (PFX)",
        "hostname" => "Hostname",
        _ => "CNAME record",
    }
}

fn status(found: &Prerequisites) -> Outcome {
    let of = |verdict| {
        let names = found.points();
        let names = names
            .into_iter()
            .filter(|(_, point)| point.verdict == verdict)
            .map(|(name, _)| title(name));
        names.collect::<Vec<_>>().join(", ")
    };
    match found.verdict() {
        Verdict::Passed => Ok(ExitStatus::Done),
        Verdict::Failed => Err(Failure::new(
            ErrorKind::Refused,
            "prerequisites-failed",
            format!("prerequisites that failed: {}", of(Verdict::Failed)),
        )),
        Verdict::Unknown => Err(Failure::new(
            ErrorKind::Unavailable,
            "prerequisites-unknown",
            format!(
                "prerequisites that could not be checked: {}",
                of(Verdict::Unknown)
            ),
        )),
    }
}

/// The port that resolvers answer on (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

fn resolver(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)))
        .map_err(|_| {
            "expected an IP address, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        let address = |text: &str| resolver(text).map(|address| address.to_string());
        assert_eq!(address("192.0.2.53"), Ok("192.0.2.53:53".into()));
        assert_eq!(address("192.0.2.53:5353"), Ok("192.0.2.53:5353".into()));
        assert_eq!(address("2001:db8::53"), Ok("[2001:db8::53]:53".into()));
        assert_eq!(address("[2001:db8::53]:5353"), Ok("[2001:db8::53]:5353".into()));
        assert!(resolver("dns.example").is_err());
        assert!(resolver("").is_err());
    }
}

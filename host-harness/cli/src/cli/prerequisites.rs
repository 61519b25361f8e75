//! The command `prerequisites`: what was found, as a table or JSON, and whether it will do.

use std::time::Duration;

use bss_keys::PfxCode;
use bss_model::ErrorKind;
use host_harness::prerequisites::{DnsQuestions, Prerequisites, Verdict, check};
use host_harness::view;

use super::args::PrerequisitesArguments;
use super::failure::Failure;
use super::{ExitStatus, show};

/// Looks at a PFX file, a hostname and the DNS. Neither the data directory nor the plugin is touched.
pub(super) async fn run(
    arguments: &PrerequisitesArguments,
    pfx: &[u8],
    code: &PfxCode,
    json: bool,
) -> Result<ExitStatus, Failure> {
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
        show::line(table.to_string());
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

fn status(found: &Prerequisites) -> Result<ExitStatus, Failure> {
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
            format!("not as the platform asks for it: {}", of(Verdict::Failed)),
        )),
        Verdict::Unknown => Err(Failure::new(
            ErrorKind::Unavailable,
            "prerequisites-unknown",
            format!("not known yet: {}", of(Verdict::Unknown)),
        )),
    }
}

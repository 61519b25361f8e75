//! `bss-host certificate`: what is installed, until when, and for whom.

use std::path::{Path, PathBuf};

use bss_keys::{InspectError, InstalledCertificate, PfxCode, PfxError};
use bss_model::clock::now_ms;
use bss_model::{Advice, ErrorKind, Thumbprint};
use clap::Subcommand;
use host_harness::view::{Certificate, CertificateWarning, RemovedCertificate};
use host_harness::{Host, ImportError, ImportedCertificate};

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, words};
use super::input::{operator, pfx_code, read_pfx};
use super::{output, show};

#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand {
    /// Install a certificate and its private key from a PFX file
    Import {
        /// The PFX file
        pfx: PathBuf,
        /// A file whose first line is the PFX's code; `-` is the standard input. Without this option, the code is
        /// taken from the environment variable BSS_PFX_CODE, and is empty if that is not set
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Show the installed certificates, in the order in which they expire
    List,
    /// Show one certificate
    Show {
        /// The certificate's thumbprint
        thumbprint: Thumbprint,
    },
    /// Remove a certificate and its private key; refused while an instance uses the certificate
    Remove {
        /// The certificate's thumbprint
        thumbprint: Thumbprint,
    },
    /// Show the certificates that have expired or will soon; exits with 0 whether there are any or not
    Expiring {
        /// The number of days within which the certificates expire
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
    },
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Runs the commands about installed certificates.
pub(super) async fn run(host: &Host, command: CertificateCommand, json: bool) -> Outcome {
    match command {
        CertificateCommand::Import { pfx, code_file } => {
            import(host, &pfx, &pfx_code(code_file.as_deref())?, json).await
        }
        CertificateCommand::List => list(host, |_| true, json).await,
        CertificateCommand::Show { thumbprint } => show_one(host, &thumbprint, json).await,
        CertificateCommand::Remove { thumbprint } => remove(host, &thumbprint, json).await,
        CertificateCommand::Expiring { days } => {
            let until_ms = now_ms().saturating_add(i64::from(days).saturating_mul(DAY_MS));
            list(host, |certificate| certificate.not_after_ms <= until_ms, json).await
        }
    }
}

async fn list(host: &Host, wanted: impl Fn(&InstalledCertificate) -> bool, json: bool) -> Outcome {
    let mut installed = host.installed_certificates().await?;
    installed.retain(wanted);
    let views = host.certificate_views(&installed).await?;
    if json {
        show::json(&views)?;
        return Ok(ExitStatus::Done);
    }
    let has_owners = views.iter().any(|certificate| certificate.owner.is_some());
    let columns = [
        "Thumbprint",
        "Subject",
        "DNS names",
        "Issuer",
        "Valid from",
        "Valid until",
        "Days left",
        "Chain",
        "Used by",
        "Unusable because",
    ];
    let owner = has_owners.then_some("Owner");
    let mut table = show::table(&columns.into_iter().chain(owner).collect::<Vec<_>>());
    for certificate in views {
        let owner = has_owners.then(|| certificate.owner.clone().unwrap_or_default());
        let columns = [
            certificate.thumbprint.clone(),
            certificate.subject.clone(),
            show::names(&certificate.dns_names),
            certificate.issuer.clone(),
            show::time(certificate.not_before_ms),
            show::time(certificate.not_after_ms),
            certificate.days_left.to_string(),
            chain(&certificate).to_owned(),
            certificate.used_by.join(", "),
            certificate.unusable_because.unwrap_or_default(),
        ];
        table.add_row(columns.into_iter().chain(owner));
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

async fn show_one(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    let found = host.certificates().get(thumbprint).await?;
    let certificate = found.ok_or_else(|| {
        let message = format!("certificate `{thumbprint}` is not installed");
        Failure::new(ErrorKind::NotFound, "no-certificate", message).advise(&Advice::ListCertificates)
    })?;
    let certificate = host.certificate_view(&certificate).await?;
    if json {
        show::json(&certificate)?;
        return Ok(ExitStatus::Done);
    }
    let usable = certificate
        .unusable_because
        .as_ref()
        .map_or_else(|| "yes".to_owned(), |reason| format!("no: {reason}"));
    let mut table = show::table(&["Certificate", &thumbprint.to_string()]);
    if let Some(owner) = &certificate.owner {
        table.add_row(["Owner", owner]);
    }
    for (name, value) in [
        ("Subject", certificate.subject.clone()),
        ("DNS names", show::names(&certificate.dns_names)),
        ("Issuer", certificate.issuer.clone()),
        ("Serial number", certificate.serial.clone()),
        ("SHA-256", certificate.sha256.clone()),
        ("Key", certificate.key.clone()),
        ("Valid from", show::time(certificate.not_before_ms)),
        ("Valid until", show::time(certificate.not_after_ms)),
        ("Days left", certificate.days_left.to_string()),
        ("Chain", chain(&certificate).to_owned()),
        ("Imported", show::time(certificate.imported_at_ms)),
        ("Used by", certificate.used_by.join(", ")),
        ("Usable", usable),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    if let Some(advice) = &certificate.advice {
        table.add_row(["What to do", advice]);
    }
    for warning in &certificate.warnings {
        table.add_row(["Warning", &format!("{}: {}", warning.message, warning.advice)]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

async fn remove(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    host.certificates().remove(thumbprint, &operator()).await?;
    if json {
        let thumbprint = thumbprint.to_string();
        show::json(&RemovedCertificate { thumbprint })?;
    } else {
        output::line(format!("removed certificate {thumbprint} and its private key"));
    }
    Ok(ExitStatus::Done)
}

fn chain(certificate: &Certificate) -> &'static str {
    if certificate.chain_complete {
        "complete"
    } else {
        "not complete"
    }
}

async fn import(host: &Host, file: &Path, code: &PfxCode, json: bool) -> Outcome {
    let bytes = read_pfx(file)?;
    let imported = host.certificates().import(&bytes, code, &operator()).await;
    let imported = imported.map_err(|error| match &error {
        ImportError::Inspect(InspectError::Pfx(PfxError::NoCode)) => {
            Failure::from(error).hint("`--code-file FILE` or `BSS_PFX_CODE` gives the code")
        }
        _ => error.into(),
    })?;
    let certificate = &imported.installed;
    if json {
        let mut view = host.certificate_view(certificate).await?;
        view.warnings
            .splice(0..0, imported.cautions.iter().map(CertificateWarning::from));
        show::json(&view)?;
    } else {
        output::line(format!("installed certificate {}", certificate.thumbprint));
        output::line(format!("  {}", certificate.subject));
        output::line(format!("  valid until {}", show::time(certificate.not_after_ms)));
    }
    warn(&imported);
    Ok(ExitStatus::Done)
}

/// Tells on the standard error why a certificate can't be used, and what to know of it and its file.
fn warn(imported: &ImportedCertificate) {
    let unusable = imported.installed.unusable_because(now_ms());
    let unusable = unusable.map(|reason| {
        (
            format!("this certificate can't be used: {reason}"),
            reason.advice(),
        )
    });
    let of_certificate = imported.installed.cautions();
    let cautions = imported.cautions.iter().chain(&of_certificate);
    let cautions = cautions.map(|caution| (caution.to_string(), caution.advice()));
    for (message, advice) in unusable.into_iter().chain(cautions) {
        output::note(format!("warning: {message}"));
        output::note(format!("  hint: {}", words(&advice)));
    }
}

//! `bss-host certificate`: what is installed, until when, and for whom.

use bss_keys::InstalledCertificate;
use bss_model::{Advice, ErrorKind, Thumbprint};
use host_harness::Host;
use serde_json::{Value, json};

use super::ExitStatus;
use super::args::CertificateCommand;
use super::commands::{Outcome, now_ms, operator};
use super::failure::Failure;
use super::show;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Every command about installed certificates.
pub(super) async fn run(host: &Host, command: CertificateCommand, json: bool) -> Outcome {
    match command {
        CertificateCommand::Show { thumbprint } => show_one(host, &thumbprint, json).await,
        CertificateCommand::Remove { thumbprint } => remove(host, &thumbprint, json).await,
        CertificateCommand::Expiring { days } => {
            let until_ms = now_ms().saturating_add(i64::from(days).saturating_mul(DAY_MS));
            list(host, |certificate| certificate.not_after_ms <= until_ms, json).await
        }
        CertificateCommand::List | CertificateCommand::Import { .. } => list(host, |_| true, json).await,
    }
}

async fn list(host: &Host, wanted: impl Fn(&InstalledCertificate) -> bool, json: bool) -> Outcome {
    let installed = host.record().certificates().list().await?;
    let mut used_by = host.record().certificates().used_by().await?;
    let shown: Vec<_> = installed
        .into_iter()
        .filter(wanted)
        .map(|certificate| {
            let used_by = used_by.remove(&certificate.thumbprint).unwrap_or_default();
            (certificate, used_by)
        })
        .collect();
    if json {
        let certificates = shown
            .iter()
            .map(|(certificate, used_by)| certificate_json(certificate, used_by));
        show::line(certificates.collect::<Value>().to_string());
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&[
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
    ]);
    for (certificate, used_by) in &shown {
        table.add_row([
            certificate.thumbprint.to_string(),
            certificate.subject.clone(),
            certificate.dns_names.join(", "),
            certificate.issuer.clone(),
            show::time(certificate.not_before_ms),
            show::time(certificate.not_after_ms),
            days_left(certificate).to_string(),
            chain(certificate).to_owned(),
            used_by.join(", "),
            certificate.unusable_because(now_ms()).unwrap_or_default(),
        ]);
    }
    show::line(table.to_string());
    Ok(ExitStatus::Done)
}

async fn show_one(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    let found = host.record().certificates().get(thumbprint).await?;
    let certificate = found.ok_or_else(|| {
        let message = format!("certificate `{thumbprint}` is not installed");
        Failure::new(ErrorKind::NotFound, "no-certificate", message).advise(&Advice::ListCertificates)
    })?;
    let mut used_by = host.record().certificates().used_by().await?;
    let used_by = used_by.remove(thumbprint).unwrap_or_default();
    if json {
        show::line(certificate_json(&certificate, &used_by).to_string());
        return Ok(ExitStatus::Done);
    }
    let usable = certificate
        .unusable_because(now_ms())
        .map_or_else(|| "yes".to_owned(), |reason| format!("no: {reason}"));
    let mut table = show::table(&["Certificate", &thumbprint.to_string()]);
    for (name, value) in [
        ("Subject", certificate.subject.clone()),
        ("DNS names", certificate.dns_names.join(", ")),
        ("Issuer", certificate.issuer.clone()),
        ("Serial number", certificate.serial.clone()),
        ("SHA-256", certificate.sha256.clone()),
        ("Key", show::key(&certificate.key)),
        ("Valid from", show::time(certificate.not_before_ms)),
        ("Valid until", show::time(certificate.not_after_ms)),
        ("Days left", days_left(&certificate).to_string()),
        ("Chain", chain(&certificate).to_owned()),
        ("Imported", show::time(certificate.imported_at_ms)),
        ("Used by", used_by.join(", ")),
        ("Usable", usable),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    show::line(table.to_string());
    Ok(ExitStatus::Done)
}

async fn remove(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    host.record()
        .certificates()
        .remove(thumbprint, &operator())
        .await?;
    if json {
        show::line(json!({ "removed": thumbprint.to_string() }).to_string());
    } else {
        show::line(format!("removed {thumbprint}, and its private key"));
    }
    Ok(ExitStatus::Done)
}

/// Whole days; below zero once it has expired.
fn days_left(certificate: &InstalledCertificate) -> i64 {
    certificate
        .not_after_ms
        .saturating_sub(now_ms())
        .div_euclid(DAY_MS)
}

fn chain(certificate: &InstalledCertificate) -> &'static str {
    if certificate.chain_complete {
        "complete"
    } else {
        "not complete"
    }
}

/// A certificate, for programs.
pub(super) fn certificate_json(certificate: &InstalledCertificate, used_by: &[String]) -> Value {
    json!({
        "thumbprint": certificate.thumbprint.to_string(),
        "sha256": certificate.sha256,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "dnsNames": certificate.dns_names,
        "notBeforeMs": certificate.not_before_ms,
        "notAfterMs": certificate.not_after_ms,
        "daysLeft": days_left(certificate),
        "key": show::key(&certificate.key),
        "chainComplete": certificate.chain_complete,
        "importedAtMs": certificate.imported_at_ms,
        "usedBy": used_by,
        "unusableBecause": certificate.unusable_because(now_ms()),
    })
}

//! `bss-host certificate`: what is installed, until when, and for whom.

use std::path::{Path, PathBuf};

use bss_keys::{InspectError, InstalledCertificate, PfxCode, PfxError, to_pem};
use bss_model::clock::now_ms;
use bss_model::{Advice, ErrorKind, Thumbprint};
use clap::{Args, Subcommand};
use host_harness::view::{
    Certificate, CertificateRequest, CertificateWarning, CertificateWithPem, RemovedCertificate,
    RemovedCertificateRequest,
};
use host_harness::{Host, ImportError, ImportedCertificate, NewCertificate};

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, unwritable, words};
use super::files::write_whole;
use super::input::{operator, pfx_code, read_pfx};
use super::output::{self, Table};
use super::show;

const COLUMNS: [Column; 16] = [
    Column::Of("thumbprint"),
    Column::Of("sha256"),
    Column::Of("subject"),
    Column::Of("dnsNames"),
    Column::Of("issuer"),
    Column::Of("serial"),
    Column::Time("notBeforeMs"),
    Column::Time("notAfterMs"),
    Column::Of("daysLeft"),
    Column::Of("key"),
    Column::Of("chainComplete"),
    Column::Time("importedAtMs"),
    Column::Of("owner"),
    Column::Of("usedBy"),
    Column::Of("unusableBecause"),
    Column::Of("advice"),
];

const REQUEST_COLUMNS: [Column; 3] = [
    Column::Of("publicKey"),
    Column::Of("subject"),
    Column::Time("createdAtMs"),
];

#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand {
    /// Make a key that stays in the host, with a self-signed certificate to register with the vendor, or with a request to a
    /// certificate authority
    New(NewArguments),
    /// Show the requests whose certificates were not imported yet
    Requests(CsvOption),
    /// Remove a request and its private key
    RemoveRequest {
        /// The SHA-1 of the request's public key, as `certificate requests` shows it
        public_key: Thumbprint,
    },
    /// Install a certificate and its private key from a PFX file, or the certificate that answers a request
    Import {
        /// The PFX file; or, of a certificate whose key was made with `certificate new --request`, the file that the authority
        /// answered with (PEM, DER or PKCS #7)
        pfx: PathBuf,
        /// A file whose first line is the PFX's code; `-` is the standard input. Without this option, the code is
        /// taken from the environment variable BSS_PFX_CODE, and is empty if that is not set
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Show the installed certificates, in the order in which they expire
    List(CsvOption),
    /// Show one certificate
    Show {
        /// The certificate's thumbprint
        thumbprint: Thumbprint,
        /// Show the certificate itself in PEM, as it is registered with a vendor
        #[arg(long)]
        pem: bool,
    },
    /// Remove a certificate and its private key; refused while an instance uses the certificate
    Remove {
        /// The certificate's thumbprint
        thumbprint: Thumbprint,
    },
    /// Show the certificates that have expired or will soon
    Expiring {
        /// The number of days within which the certificates expire
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
        #[command(flatten)]
        csv: CsvOption,
        /// End with 4 if there are any, for monitoring; without this, with 0
        #[arg(long)]
        fail: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// The common name of the subject, such as the hostname
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A DNS name that the certificate is for, such as `esd.mydomain.com`; may be repeated
    #[arg(long, value_name = "NAME")]
    dns_name: Vec<String>,
    /// The days for which a self-signed certificate is valid
    #[arg(long, default_value_t = 365, value_name = "N", conflicts_with = "request")]
    days: u32,
    /// Write the self-signed certificate, which is public, to this file in PEM instead of to the standard output
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    out: Option<PathBuf>,
    /// Make a request to a certificate authority instead of a self-signed certificate, and write it to this file in PEM
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Runs the commands about installed certificates.
pub(super) async fn run(host: &Host, command: CertificateCommand, json: bool) -> Outcome {
    match command {
        CertificateCommand::Import { pfx, code_file } => {
            import(host, &pfx, &pfx_code(code_file.as_deref())?, json).await
        }
        CertificateCommand::New(new) => make(host, new, json).await,
        CertificateCommand::Requests(csv) => requests(host, csv.form(json)).await,
        CertificateCommand::RemoveRequest { public_key } => remove_request(host, &public_key, json).await,
        CertificateCommand::List(csv) => {
            list(host, |_| true, csv.form(json)).await?;
            Ok(ExitStatus::Done)
        }
        CertificateCommand::Show {
            thumbprint,
            pem: true,
        } => show_pem(host, &thumbprint, json).await,
        CertificateCommand::Show { thumbprint, .. } => show_one(host, &thumbprint, json).await,
        CertificateCommand::Remove { thumbprint } => remove(host, &thumbprint, json).await,
        CertificateCommand::Expiring { days, fail, csv } => {
            let until_ms = now_ms().saturating_add(i64::from(days).saturating_mul(DAY_MS));
            let is_soon = |certificate: &InstalledCertificate| certificate.not_after_ms <= until_ms;
            let found = list(host, is_soon, csv.form(json)).await?;
            Ok(match fail && found > 0 {
                true => ExitStatus::Attention,
                false => ExitStatus::Done,
            })
        }
    }
}

/// Shows the wanted certificates, and returns their number.
async fn list(
    host: &Host,
    wanted: impl Fn(&InstalledCertificate) -> bool,
    form: Form,
) -> Result<usize, Failure> {
    let mut installed = host.installed_certificates().await?;
    installed.retain(wanted);
    let views = host.certificate_views(&installed).await?;
    csv_lines::list(form, &views, &COLUMNS, table)?;
    Ok(installed.len())
}

fn table(views: &[Certificate]) -> Table {
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
            chain(certificate).to_owned(),
            certificate.used_by.join(", "),
            certificate.unusable_because.clone().unwrap_or_default(),
        ];
        table.add_row(columns.into_iter().chain(owner));
    }
    table
}

async fn show_one(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    let found = host.certificates().get(thumbprint).await?;
    let certificate = found.ok_or_else(|| not_installed(thumbprint))?;
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

async fn show_pem(host: &Host, thumbprint: &Thumbprint, json: bool) -> Outcome {
    let store = host.certificates();
    let (Some(installed), Some(der)) = (store.get(thumbprint).await?, store.der(thumbprint).await?) else {
        return Err(not_installed(thumbprint));
    };
    let certificate_pem = to_pem("CERTIFICATE", &der);
    match json {
        true => show::json(&CertificateWithPem {
            certificate: host.certificate_view(&installed).await?,
            certificate_pem,
        })?,
        false => output::page(&certificate_pem, false),
    }
    Ok(ExitStatus::Done)
}

fn not_installed(thumbprint: &Thumbprint) -> Failure {
    let message = format!("certificate `{thumbprint}` is not installed");
    Failure::new(ErrorKind::NotFound, "no-certificate", message).advise(&Advice::ListCertificates)
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

async fn make(host: &Host, asked: NewArguments, json: bool) -> Outcome {
    let new = NewCertificate {
        common_name: asked.name,
        dns_names: asked.dns_name,
        days: asked.days,
    };
    match (asked.request, asked.out) {
        (Some(file), _) => make_request(host, &new, &file, json).await,
        (None, out) => make_self_signed(host, &new, out.as_deref(), json).await,
    }
}

async fn make_self_signed(host: &Host, new: &NewCertificate, out: Option<&Path>, json: bool) -> Outcome {
    let made = host.certificates().make(new, &operator()).await?;
    let certificate_pem = to_pem("CERTIFICATE", &made.certificate);
    let installed = &made.imported.installed;
    if let Some(out) = out {
        let done = format!("certificate {} is made and installed", installed.thumbprint);
        let again = format!(
            "`bss-host certificate show {} --pem` shows it",
            installed.thumbprint
        );
        write_pem(out, &certificate_pem).map_err(|failure| failure.after(&done).hint(again))?;
    }
    if json {
        let certificate = host.certificate_view(installed).await?;
        show::json(&CertificateWithPem {
            certificate,
            certificate_pem,
        })?;
        return Ok(ExitStatus::Done);
    }
    let made = [
        format!("made and installed certificate {}", installed.thumbprint),
        format!("  {}", installed.subject),
        format!("  valid until {}", show::time(installed.not_after_ms)),
        "  its private key stays in the data directory; register the certificate with the vendor".to_owned(),
    ];
    match out {
        Some(_) => made.into_iter().for_each(output::line),
        // The certificate alone is the result, so that it can be sent on.
        None => {
            made.into_iter().for_each(output::note);
            output::page(&certificate_pem, false);
        }
    }
    Ok(ExitStatus::Done)
}

async fn make_request(host: &Host, new: &NewCertificate, file: &Path, json: bool) -> Outcome {
    let request = host.certificates().request(new, &operator()).await?;
    let view = CertificateRequest::from(&request);
    let done = format!("the request with public key {} is made", view.public_key);
    let again = "`bss-host certificate requests --json` shows it";
    write_pem(file, &view.request_pem).map_err(|failure| failure.after(&done).hint(again))?;
    if json {
        show::json(&view)?;
    } else {
        output::line(format!("made a request for {}", view.subject));
        output::line(format!("  public key {}", view.public_key));
        output::line(
            "  its private key waits in the data directory: send the request to a certificate authority, and import its answer",
        );
    }
    Ok(ExitStatus::Done)
}

fn write_pem(file: &Path, pem: &str) -> Result<(), Failure> {
    write_whole(file, pem.as_bytes()).map_err(|error| unwritable(file, &error))
}

async fn requests(host: &Host, form: Form) -> Outcome {
    let requests = host.certificates().requests().await?;
    let views: Vec<_> = requests.iter().map(CertificateRequest::from).collect();
    csv_lines::list(form, &views, &REQUEST_COLUMNS, |requests| {
        let mut table = show::table(&["Public key", "Subject", "Made"]);
        for request in requests {
            table.add_row([
                request.public_key.clone(),
                request.subject.clone(),
                show::time(request.created_at_ms),
            ]);
        }
        table
    })
}

async fn remove_request(host: &Host, public_key: &Thumbprint, json: bool) -> Outcome {
    host.certificates()
        .remove_request(public_key, &operator())
        .await?;
    let public_key = public_key.to_string();
    match json {
        true => show::json(&RemovedCertificateRequest { public_key })?,
        false => output::line(format!(
            "removed the request with public key {public_key} and its private key"
        )),
    }
    Ok(ExitStatus::Done)
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

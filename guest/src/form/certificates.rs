//! Tells which of the host's certificates an instance may choose, and why not the others.

use crate::bindings::bss::service_manager::instance_settings::{Choice, InstalledCertificate, KeyKind};
use crate::failures::Problem;

/// The shortest RSA key that PS256 and RS256 allow (RFC 7518 sections 3.3 and 3.5).
const RSA_BITS_MIN: u32 = 2_048;
const THUMBPRINT_LENGTH: usize = 40;
/// How many digits of the thumbprint are shown: they tell two certificates of one subject apart in a list.
const THUMBPRINT_LENGTH_SHOWN: usize = 8;

/// The certificates as choices, those that can be chosen first.
pub fn choices(certificates: &[InstalledCertificate], now_ms: i64) -> Vec<Choice> {
    let mut choices: Vec<Choice> = certificates
        .iter()
        .map(|certificate| Choice {
            key: certificate.thumbprint.to_ascii_uppercase(),
            label: label(certificate),
            unusable_because: unusable_because(certificate, now_ms).unwrap_or_default(),
        })
        .collect();
    choices.sort_unstable_by(|left, right| {
        let order = |choice: &Choice| (!choice.unusable_because.is_empty(), choice.label.clone());
        order(left).cmp(&order(right))
    });
    choices
}

/// A thumbprint as it is saved, however a certificate viewer shows it.
pub fn normalized(thumbprint: &str) -> String {
    thumbprint
        .chars()
        // The left-to-right mark is copied along from the certificate dialog of Windows.
        .filter(|character| !matches!(character, ' ' | ':' | '\u{200E}'))
        .map(|character| character.to_ascii_uppercase())
        .collect()
}

fn label(certificate: &InstalledCertificate) -> String {
    let thumbprint = &certificate.thumbprint;
    let start = thumbprint.len().saturating_sub(THUMBPRINT_LENGTH_SHOWN);
    format!(
        "{}, valid until {}, …{}",
        crate::text::one_line(&certificate.subject, 200),
        date(certificate.not_after_ms),
        thumbprint.get(start..).unwrap_or(thumbprint)
    )
}

/// The day in UTC, as `22 Nov 2026`.
fn date(ms: i64) -> String {
    // The last second of the year 9999, after which HTTP has no date; a certificate without an end of
    // validity names this moment (RFC 5280 section 4.1.2.5).
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = u64::try_from(ms / 1_000).unwrap_or_default();
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.min(LAST_SECOND));
    // `Sun, 22 Nov 2026 15:04:05 GMT`
    let text = httpdate::fmt_http_date(moment);
    text.get(5..16).unwrap_or(&text).to_owned()
}

/// Why the certificate can't prove who the instance is; `None` when it can.
fn unusable_because(certificate: &InstalledCertificate, now_ms: i64) -> Option<String> {
    if !certificate.has_private_key {
        return Some("The host does not hold the private key of the certificate.".to_owned());
    }
    if now_ms < certificate.not_before_ms {
        return Some(format!(
            "The certificate is not valid before {}.",
            date(certificate.not_before_ms)
        ));
    }
    if now_ms > certificate.not_after_ms {
        return Some(format!(
            "The certificate expired on {}.",
            date(certificate.not_after_ms)
        ));
    }
    match &certificate.key {
        KeyKind::Rsa(bits) if *bits < RSA_BITS_MIN => {
            return Some(format!(
                "The RSA key of the certificate has {bits} bits; {RSA_BITS_MIN} are needed."
            ));
        }
        KeyKind::Rsa(_) => {}
        KeyKind::Other(name) => {
            return Some(format!("The key of the certificate is {name}; RSA is needed."));
        }
    }
    (!certificate.for_client_authentication)
        .then(|| "The extended key usage of the certificate excludes client authentication.".to_owned())
}

/// The problems of a thumbprint as a choice among the certificates.
pub fn problems(
    label: &str,
    thumbprint: &str,
    certificates: &[InstalledCertificate],
    now_ms: i64,
) -> Vec<Problem> {
    let is_thumbprint =
        thumbprint.len() == THUMBPRINT_LENGTH && thumbprint.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_thumbprint {
        return vec![Problem::new(
            "not-a-thumbprint",
            format!("{label} is not {THUMBPRINT_LENGTH} hexadecimal digits."),
            "Choose a certificate from the list.",
        )];
    }
    let Some(certificate) = certificates
        .iter()
        .find(|certificate| certificate.thumbprint.eq_ignore_ascii_case(thumbprint))
    else {
        return vec![Problem::new(
            "certificate-not-installed",
            format!("No certificate with the thumbprint `{thumbprint}` is installed on the host."),
            "Import the PFX file of the certificate, or choose another certificate from the list.",
        )];
    };
    unusable_because(certificate, now_ms)
        .map(|reason| {
            Problem::new(
                "certificate-unusable",
                format!("The certificate `{thumbprint}` can't be used. {reason}"),
                "Choose another certificate, or import a certificate that can be used.",
            )
        })
        .into_iter()
        .collect()
}

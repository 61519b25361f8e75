//! Certificates that end soon: which instances use them, and the alerts about them.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_model::clock::{millis, now_ms, rfc3339};
use bss_model::{Problem, Thumbprint};
use bss_record::RecordError;
use uuid::Uuid;

use crate::host::Host;

/// How long before its end a certificate counts as expiring.
const EXPIRES_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The interval in which a worker looks for certificates that end soon.
pub(crate) const CERTIFICATES_LOOK: Duration = Duration::from_secs(60 * 60);

impl Host {
    /// The certificates that are used and end soon or have ended, and when, in milliseconds since 1970.
    pub(crate) async fn expiring_certificates(&self) -> Result<BTreeMap<Thumbprint, i64>, RecordError> {
        let soon_ms = now_ms().saturating_add(millis(EXPIRES_WITHIN));
        let used = self.record().instances().await?;
        let certificates = self.installed_certificates().await?;
        let expiring = certificates.iter().filter(|certificate| {
            let is_used = |thumbprint| {
                used.iter()
                    .any(|instance| instance.thumbprint == Some(thumbprint))
            };
            certificate.not_after_ms <= soon_ms && is_used(certificate.thumbprint)
        });
        Ok(expiring
            .map(|certificate| (certificate.thumbprint, certificate.not_after_ms))
            .collect())
    }

    /// Raises an alert about each instance whose certificate ends soon, and ends those that are over.
    pub(crate) async fn follow_expiring_certificates(&self) -> Result<(), RecordError> {
        let expiring = self.expiring_certificates().await?;
        let instances = self.record().instances().await?;
        let concerned: Vec<(Uuid, Problem)> = instances
            .iter()
            .filter_map(|instance| {
                let thumbprint = instance.thumbprint?;
                let not_after_ms = expiring.get(&thumbprint)?;
                Some((instance.id, expires(thumbprint, *not_after_ms)))
            })
            .collect();
        self.record().follow_expiring_certificates(&concerned).await
    }
}

/// The problem of a certificate that ends soon, in the same words until then and after.
fn expires(thumbprint: Thumbprint, not_after_ms: i64) -> Problem {
    Problem::new(
        "certificate-expires",
        format!(
            "certificate {thumbprint} is valid until {} and not longer",
            rfc3339(not_after_ms)
        ),
        "register another certificate with the vendor, import it here, and have the instance use it before then",
    )
}

//! Alerts: what has ended badly or stands still, until it is over or somebody has acknowledged it.

use uuid::Uuid;

use crate::order::Party;
use crate::outcome::OutcomeKind;
use crate::owner::Owner;
use crate::problem::Problem;
use crate::words::stored_enum;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlertKind {
    /// A purchase was refused for good. Over once the license is bought, or the line is withdrawn.
    LicenseRefused,
    /// Whether a license was bought has been open for longer than the platform waits. Over once that is known.
    LicenseOverdue,
    /// The vendor issued a second license for an asset, which somebody has to return.
    SecondLicense,
    /// The vendor refused to take a license back. Over once the license is returned.
    ReturnRefused,
    /// The vendor has taken back the license of an active asset without a return from here. Over once the asset is cancelled.
    ReturnedElsewhere,
    /// A mail server refused an e-mail for good. Over once the e-mail is sent or withdrawn.
    MailFailed,
    /// The vendor takes nothing from an instance until somebody corrects what is wrong. Over once the vendor answers again.
    InstanceHeld,
    /// The certificate of an instance ends soon, or has ended. Over once the instance uses another one.
    CertificateExpiring,
    /// Something on this host's side is in the way of all e-mails. Over once an e-mail is taken.
    MailStopped,
    /// A worker has died, and another took over its work. Over once it is acknowledged: what has died once may die again.
    WorkerDied,
    /// An instance has sold four fifths of its spending limit of the day, or an order was refused because of it. Over with the
    /// day, or with another limit.
    SpendingLimit,
    /// A catalog would discontinue much of what an instance has on sale, and an operator decides. Over once a later reading is
    /// applied.
    CatalogShrank,
    /// The plugin of an instance can't be used, so nothing is bought for it. Over once it can.
    PluginUnusable,
    /// A receiver of outcomes was gone for days, and is told nothing any more. Over once it is enabled or removed.
    WebhookOff,
    /// Keys of API clients are tried that open nothing. Over once it is acknowledged.
    ApiKeysTried,
}

stored_enum!(AlertKind {
    LicenseRefused = "license-refused", "license refused";
    LicenseOverdue = "license-overdue", "license overdue";
    SecondLicense = "second-license", "second license";
    ReturnRefused = "return-refused", "return refused";
    ReturnedElsewhere = "returned-elsewhere", "returned elsewhere";
    MailFailed = "mail-failed", "e-mail failed";
    InstanceHeld = "instance-held", "instance held";
    CertificateExpiring = "certificate-expiring", "certificate expires";
    MailStopped = "mail-stopped", "e-mails stand still";
    WorkerDied = "worker-died", "worker died";
    SpendingLimit = "spending-limit", "spending limit";
    CatalogShrank = "catalog-shrank", "catalog shrank";
    PluginUnusable = "plugin-unusable", "plugin unusable";
    WebhookOff = "webhook-off", "webhook off";
    ApiKeysTried = "api-keys-tried", "API keys tried";
});

impl AlertKind {
    /// The alert that an outcome of an asset raises. `None`: all is well.
    pub fn raised_by(outcome: OutcomeKind) -> Option<Self> {
        match outcome {
            OutcomeKind::Refused => Some(Self::LicenseRefused),
            OutcomeKind::Overdue => Some(Self::LicenseOverdue),
            OutcomeKind::SecondLicense => Some(Self::SecondLicense),
            OutcomeKind::ReturnRefused => Some(Self::ReturnRefused),
            OutcomeKind::ReturnedElsewhere => Some(Self::ReturnedElsewhere),
            OutcomeKind::Licensed | OutcomeKind::Returned | OutcomeKind::Withdrawn => None,
        }
    }

    /// The alerts about an asset that an outcome of it ends.
    pub fn ended_by(outcome: OutcomeKind) -> &'static [Self] {
        match outcome {
            OutcomeKind::Licensed | OutcomeKind::Withdrawn => &[Self::LicenseRefused, Self::LicenseOverdue],
            OutcomeKind::Refused => &[Self::LicenseOverdue],
            OutcomeKind::Returned => &[Self::ReturnRefused, Self::ReturnedElsewhere],
            OutcomeKind::Overdue
            | OutcomeKind::SecondLicense
            | OutcomeKind::ReturnRefused
            | OutcomeKind::ReturnedElsewhere => &[],
        }
    }
}

/// An alert, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The number, from 1, by which somebody acknowledges the alert.
    pub number: i64,
    /// The kind.
    pub kind: AlertKind,
    /// The instance. `None`: the whole host is concerned.
    pub instance: Option<AlertedInstance>,
    /// The license. `None`: the whole instance or host is concerned.
    pub license: Option<AlertedLicense>,
    /// The e-mail that failed, for [`AlertKind::MailFailed`].
    pub mail_id: Option<Uuid>,
    /// The receiver that is off, for [`AlertKind::WebhookOff`].
    pub webhook_id: Option<Uuid>,
    /// Why. `None`: the kind says it all.
    pub problem: Option<Problem>,
    /// When the alert was raised, in milliseconds since 1970.
    pub raised_at_ms: i64,
    /// When what is wrong was over. `None`: it is not.
    pub ended_at_ms: Option<i64>,
    /// When and by whom the alert was acknowledged. `None`: by nobody.
    pub acknowledged: Option<(i64, String)>,
}

/// The instance that an alert is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertedInstance {
    /// The instance's id.
    pub id: Uuid,
    /// The instance's name.
    pub name: String,
}

/// The license that an alert is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertedLicense {
    /// The asset.
    pub asset_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// The customer.
    pub customer: Party,
}

/// Filter of alerts: those that match every given field.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Alerts that are over or acknowledged too. False: only open ones.
    pub all: bool,
    /// Alerts about instances of this owner. `None`: those about all instances, and about the host.
    pub owner: Option<Owner>,
    /// Alerts about these instances. `None`: whatever they are about.
    pub instances: Option<Vec<Uuid>>,
    /// Alerts with a greater number.
    pub after: i64,
}

/// The alerts that somebody acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChoice {
    /// The alerts with these numbers.
    Numbers(Vec<i64>),
    /// All open alerts up to this number, so that none is acknowledged that nobody has seen.
    UpTo(i64),
}

/// A way in which alerts go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlertChannel {
    /// An e-mail to the operator's addresses.
    Mail,
    /// The listener of a worker, such as a command.
    Listener,
}

stored_enum!(AlertChannel {
    Mail = "mail", "e-mail";
    Listener = "listener", "listener";
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_that_ends_an_alert_ends_one_that_another_raises() {
        let all = OutcomeKind::ALL;
        for outcome in all {
            for ended in AlertKind::ended_by(*outcome) {
                assert_ne!(AlertKind::raised_by(*outcome), Some(*ended));
                assert!(
                    all.iter()
                        .any(|other| AlertKind::raised_by(*other) == Some(*ended))
                );
            }
        }
    }
}

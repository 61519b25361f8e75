//! E-mails as they would be sent now, for a look at them: nothing is sent, or written down as sent.

use bss_model::{
    Advice, Asset, AssetFilter, AssetStatus, Diagnose, Diagnosis, ErrorKind, LicenseSecrets, Mail,
    MailChoices, MailKind, MailToSend, Page, Problem, Secret, SyncStatus,
};
use bss_record::{LICENSES_PER_MAIL_MAX, RecordError};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::context::SAMPLE_KEY;
use super::letter;
use super::templates::TemplateError;
use crate::blocking::run_blocking;
use crate::host::Host;
use crate::view::Keys;

/// An e-mail as it would be sent now.
pub struct MailPreview {
    /// The asset that it is about; the first one where there are several.
    pub asset_id: Uuid,
    /// The address that it would go to. `None`: the order has none.
    pub to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: Zeroizing<String>,
    /// The text as HTML.
    pub html: Zeroizing<String>,
    /// Why it does not look as the operator's templates would have it.
    pub problem: Option<Problem>,
}

/// Why an e-mail can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewMailError {
    /// No asset and no order has the id.
    #[error("there is neither an order nor an asset `{id}`")]
    Nothing {
        /// The id that was asked for.
        id: Uuid,
    },
    /// No e-mail is sent about the asset, or about any of the order.
    #[error("no e-mail is sent about `{id}`: {why}")]
    NotMailed {
        /// The id that was asked for.
        id: Uuid,
        /// The reason.
        why: &'static str,
    },
    /// A platform ordered, and writes to its customer itself.
    #[error("no e-mail is sent about `{id}`: a platform ordered it, which writes to its customer itself")]
    OfPlatform {
        /// The id that was asked for.
        id: Uuid,
    },
    /// Not even the built-in template can be filled in.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for PreviewMailError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Nothing { .. } => {
                Diagnosis::new(ErrorKind::NotFound, "nothing-to-preview").advise(Advice::ListAssets)
            }
            Self::NotMailed { .. } => Diagnosis::new(ErrorKind::Conflict, "not-mailed")
                .say("look at which e-mails the instance sends"),
            Self::OfPlatform { .. } => Diagnosis::new(ErrorKind::Conflict, "not-mailed"),
            Self::Template(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// E-mails about licenses of one order, those that bring a license together, as many as go into one.
fn together(mails: Vec<MailToSend>) -> Vec<MailToSend> {
    let (licenses, others): (Vec<_>, Vec<_>) =
        mails.into_iter().partition(|mail| mail.kind == MailKind::Welcome);
    let mut letters = Vec::<MailToSend>::new();
    for mail in licenses {
        match letters.last_mut() {
            Some(letter) if letter.others.len() + 1 < LICENSES_PER_MAIL_MAX => letter.others.push(mail),
            _ => letters.push(mail),
        }
    }
    letters.extend(others);
    letters
}

/// The e-mail that is sent about an asset of those states.
///
/// # Errors
/// Why none is.
fn kind_for(
    status: AssetStatus,
    sync_status: SyncStatus,
    choices: MailChoices,
) -> Result<MailKind, &'static str> {
    match (status, sync_status) {
        (AssetStatus::Cancelled, _) if choices.on_return => Ok(MailKind::Return),
        (AssetStatus::Cancelled, _) => {
            Err("the license was returned, and customers of the instance are not told of returns")
        }
        (_, SyncStatus::Withdrawn) => Err("it was withdrawn"),
        (_, SyncStatus::Failed) => Err("the vendor refused it"),
        (_, SyncStatus::Synchronized | SyncStatus::Unsynchronised) => Ok(MailKind::Welcome),
    }
}

impl Host {
    /// The e-mails about an asset, or about the assets of an order, as they would be sent now: with the templates and the seller of
    /// this moment, and in another language where one is named. Keys are whole only where they are shown to somebody, which is an
    /// act on record; a license that is not bought yet has a made-up one. Of an order, assets are left out about which no e-mail is
    /// sent: what was refused or withdrawn, and what was returned where customers are not told.
    ///
    /// # Errors
    /// When there is no such asset or order, when no e-mail is sent about it, and when no template can be filled in.
    pub async fn preview_mails(
        &self,
        asset_or_order: Uuid,
        language: Option<&str>,
        keys: Keys<'_>,
    ) -> Result<Vec<MailPreview>, PreviewMailError> {
        let assets = self.assets_to_preview(asset_or_order).await?;
        // All are of one order.
        if let Some(asset) = assets.first() {
            let order = self.record().order(asset.order_id).await?;
            if order.is_some_and(|order| order.platform.is_some()) {
                return Err(PreviewMailError::OfPlatform { id: asset_or_order });
            }
        }
        let choices = match assets.first() {
            Some(asset) => self.record().mail_choices(asset.instance_id).await?,
            None => MailChoices::default(),
        };
        let mut mails = Vec::new();
        let mut why_not = None;
        for asset in &assets {
            match kind_for(asset.status, asset.sync_status, choices) {
                Ok(kind) => {
                    let mail = self.mail_to_preview(asset, kind, language, &keys).await?;
                    mails.push(mail.ok_or(PreviewMailError::Nothing { id: asset_or_order })?);
                }
                Err(why) => why_not = Some(why),
            }
        }
        if let (true, Some(why)) = (mails.is_empty(), why_not) {
            return Err(PreviewMailError::NotMailed {
                id: asset_or_order,
                why,
            });
        }
        let mut previews = Vec::with_capacity(mails.len());
        for mail in if choices.per_order { together(mails) } else { mails } {
            previews.push(self.filled_in(mail).await?);
        }
        Ok(previews)
    }

    /// An e-mail that is on record, as it would be sent now to the address that it has, whatever has become of its license since.
    /// Keys in it are masked.
    ///
    /// # Errors
    /// When its license is not this host's, and when no template can be filled in.
    pub async fn preview_mail(&self, mail: &Mail) -> Result<MailPreview, PreviewMailError> {
        let nothing = || PreviewMailError::Nothing { id: mail.asset_id };
        let asset = self.own_asset(mail.asset_id).await?.ok_or_else(nothing)?;
        let language = Some(mail.contact.language.as_str());
        let to_send = self
            .mail_to_preview(&asset, mail.kind, language, &Keys::Masked)
            .await?;
        let mut to_send = to_send.ok_or_else(nothing)?;
        to_send.contact.email.clone_from(&mail.contact.email);
        self.filled_in(to_send).await
    }

    /// An e-mail with the templates of this moment.
    async fn filled_in(&self, mail: MailToSend) -> Result<MailPreview, PreviewMailError> {
        let settings = self.record().mail_settings().await?;
        let templates = settings.and_then(|settings| settings.templates);
        let asset_id = mail.asset.id;
        let to = Some(mail.contact.email.clone()).filter(|to| !to.is_empty());
        let filled_in = run_blocking(move || letter::fill_in(templates.as_deref(), &mail)).await?;
        Ok(MailPreview {
            asset_id,
            to,
            subject: filled_in.subject,
            text: filled_in.text,
            html: filled_in.html,
            problem: filled_in.problem,
        })
    }

    async fn mail_to_preview(
        &self,
        asset: &Asset,
        kind: MailKind,
        language: Option<&str>,
        keys: &Keys<'_>,
    ) -> Result<Option<MailToSend>, RecordError> {
        // The e-mail about a return has no key, so that nobody is shown one.
        let keys = match kind {
            MailKind::Welcome => keys,
            MailKind::Return => &Keys::Masked,
        };
        let secrets = self.secrets_to_preview(asset, keys).await?;
        let Some(mut mail) = self.record().mail_to_preview(asset.id, secrets).await? else {
            return Ok(None);
        };
        mail.kind = kind;
        if let Some(language) = language {
            language.clone_into(&mut mail.contact.language);
        }
        Ok(Some(mail))
    }

    async fn assets_to_preview(&self, id: Uuid) -> Result<Vec<Asset>, PreviewMailError> {
        if let Some(asset) = self.own_asset(id).await? {
            return Ok(vec![asset]);
        }
        if self.own_order(id).await?.is_none() {
            return Err(PreviewMailError::Nothing { id });
        }
        let of_order = AssetFilter {
            order: Some(id),
            ..AssetFilter::default()
        };
        let assets = self.record().assets(&of_order, &Page::all()).await?.rows;
        match assets.is_empty() {
            true => Err(PreviewMailError::Nothing { id }),
            false => Ok(assets),
        }
    }

    async fn secrets_to_preview(
        &self,
        asset: &Asset,
        keys: &Keys<'_>,
    ) -> Result<LicenseSecrets, RecordError> {
        if let Keys::ShownTo(actor) = keys {
            let mut shown = self.record().show_license_secrets(&[asset.id], actor).await?;
            if let Some(secrets) = shown.remove(&asset.id) {
                return Ok(secrets);
            }
        }
        let link = asset.activation_link_host.as_ref();
        Ok(LicenseSecrets {
            product_key: Secret::new(asset.masked_product_key.as_deref().unwrap_or(SAMPLE_KEY)),
            activation_link: link.map(|host| Secret::new(&*format!("https://{host}/*****"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_is_shown_only_where_one_is_sent() {
        use AssetStatus::{Active, Cancelled, Withdrawn};
        for (status, sync_status, on_return, kind) in [
            (Active, SyncStatus::Synchronized, false, Some(MailKind::Welcome)),
            (Active, SyncStatus::Unsynchronised, false, Some(MailKind::Welcome)),
            (Active, SyncStatus::Failed, true, None),
            (Withdrawn, SyncStatus::Withdrawn, true, None),
            (Cancelled, SyncStatus::Synchronized, true, Some(MailKind::Return)),
            (Cancelled, SyncStatus::Synchronized, false, None),
        ] {
            let choices = MailChoices {
                on_return,
                per_order: false,
            };
            let told = kind_for(status, sync_status, choices).ok();
            assert_eq!(told, kind, "{status:?} {sync_status:?}");
        }
    }
}

//! E-mails as they would be sent now, for a look at them: nothing is sent, or written down as sent.

use bss_model::{
    Advice, AssetFilter, AssetStatus, Diagnose, Diagnosis, ErrorKind, LicenseSecrets, MailKind, MailToSend,
    Page, Problem, Secret,
};
use bss_record::RecordError;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::letter;
use super::templates::TemplateError;
use crate::blocking::run_blocking;
use crate::host::Host;
use crate::view::Keys;

/// The key in the e-mail about a license that is not bought yet.
const NO_KEY: &str = "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX";

/// An e-mail as it would be sent now.
pub struct MailPreview {
    /// The asset that it is about; the first one where there are several.
    pub asset_id: Uuid,
    /// The address that it would go to. Empty: the order has none.
    pub to: String,
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
            Self::Template(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// E-mails about licenses of one order, those that bring a license as one.
fn together(mails: Vec<MailToSend>) -> Vec<MailToSend> {
    let (licenses, others): (Vec<_>, Vec<_>) =
        mails.into_iter().partition(|mail| mail.kind == MailKind::Welcome);
    let mut licenses = licenses.into_iter();
    let first = licenses.next().map(|first| MailToSend {
        others: licenses.collect(),
        ..first
    });
    first.into_iter().chain(others).collect()
}

impl Host {
    /// The e-mails about an asset, or about the assets of an order, as they would be sent now: with the templates and the seller of
    /// this moment, and in another language where one is named. Keys are whole only where they are shown to somebody, which is an
    /// act on record; a license that is not bought yet has a made-up one.
    ///
    /// # Errors
    /// When there is no such asset or order, and when no template can be filled in.
    pub async fn preview_mails(
        &self,
        asset_or_order: Uuid,
        language: Option<&str>,
        keys: Keys<'_>,
    ) -> Result<Vec<MailPreview>, PreviewMailError> {
        let settings = self.record().mail_settings().await?;
        let templates = settings.and_then(|settings| settings.templates);
        let mut mails = Vec::<MailToSend>::new();
        let mut per_order = false;
        for asset in self.assets_to_preview(asset_or_order).await? {
            let secrets = self.secrets_to_preview(&asset, &keys).await?;
            let mail = self.record().mail_to_preview(asset.id, secrets).await?;
            let mut mail = mail.ok_or(PreviewMailError::Nothing { id: asset_or_order })?;
            if let Some(language) = language {
                language.clone_into(&mut mail.contact.language);
            }
            if asset.status == AssetStatus::Cancelled {
                mail.kind = MailKind::Return;
            }
            per_order = self.record().mail_choices(asset.instance_id).await?.per_order;
            mails.push(mail);
        }
        let mut previews = Vec::new();
        for mail in if per_order { together(mails) } else { mails } {
            let asset_id = mail.asset.id;
            let (to, templates) = (mail.contact.email.clone(), templates.clone());
            let filled_in = run_blocking(move || letter::fill_in(templates.as_deref(), &mail)).await?;
            previews.push(MailPreview {
                asset_id,
                to,
                subject: filled_in.subject,
                text: filled_in.text,
                html: filled_in.html,
                problem: filled_in.problem,
            });
        }
        Ok(previews)
    }

    async fn assets_to_preview(&self, id: Uuid) -> Result<Vec<bss_model::Asset>, PreviewMailError> {
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
        asset: &bss_model::Asset,
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
            product_key: Secret::new(asset.masked_product_key.as_deref().unwrap_or(NO_KEY)),
            activation_link: link.map(|host| Secret::new(&*format!("https://{host}/*****"))),
        })
    }
}

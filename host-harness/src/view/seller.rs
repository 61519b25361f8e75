//! Who sells at an instance, as views show it.

use serde::Serialize;
use uuid::Uuid;

/// The seller of an instance, as e-mails say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seller {
    /// The instance's name.
    pub instance: String,
    /// The instance.
    pub instance_id: Uuid,
    /// The seller's name. `None`: e-mails name no seller.
    pub name: Option<String>,
    /// The lines of the postal address.
    pub address: Vec<String>,
    /// The e-mail address of the support.
    pub support_email: Option<String>,
    /// The phone number of the support.
    pub support_phone: Option<String>,
    /// The address of the picture at the head of e-mails.
    pub logo_url: Option<String>,
    /// The address to which answers go.
    pub reply_to: Option<String>,
    /// The address that gets a blind copy of each e-mail.
    pub bcc: Option<String>,
}

impl Seller {
    /// The view of the seller of an instance.
    pub fn new(instance: &str, instance_id: Uuid, seller: Option<&bss_model::Seller>) -> Self {
        let name = seller.map(|seller| seller.name.clone());
        let seller = seller.cloned().unwrap_or_default();
        Self {
            instance: instance.to_owned(),
            instance_id,
            name,
            address: seller.address,
            support_email: seller.support_email,
            support_phone: seller.support_phone,
            logo_url: seller.logo_url,
            reply_to: seller.reply_to,
            bcc: seller.bcc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{assert_json, id};
    use super::*;

    #[test]
    fn a_seller_and_none() {
        let some = |text: &str| Some(text.to_owned());
        let seller = bss_model::Seller {
            name: "Shop".to_owned(),
            address: vec!["Street 1".to_owned()],
            support_email: some("help@shop.example"),
            ..bss_model::Seller::default()
        };
        assert_json(
            &Seller::new("esd", id(9), Some(&seller)),
            r#"
{
  "instance": "esd",
  "instanceId": "00000000-0000-0000-0000-000000000009",
  "name": "Shop",
  "address": [
    "Street 1"
  ],
  "supportEmail": "help@shop.example",
  "supportPhone": null,
  "logoUrl": null,
  "replyTo": null,
  "bcc": null
}"#,
        );
        assert_eq!(Seller::new("esd", id(9), None).name, None);
    }
}

//! Who sells at an instance, as its customers read it in e-mails.

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Diagnose, Diagnosis, ErrorKind};
use crate::email_address::is_mailable;

/// The most characters of a text on one line.
const LINE_CHARS: usize = 200;
/// The most lines of an address.
const ADDRESS_LINES: usize = 8;
/// The most bytes of the address of a logo.
const URL_BYTES: usize = 2_000;

/// The seller of an instance. No value of an e-mail is taken from elsewhere where it is not given here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seller {
    /// The name.
    pub name: String,
    /// The postal address, a line each.
    pub address: Vec<String>,
    /// The e-mail address of the support.
    pub support_email: Option<String>,
    /// The phone number of the support.
    pub support_phone: Option<String>,
    /// The https address of a picture at the head of e-mails.
    pub logo_url: Option<String>,
    /// The e-mail address to which answers go.
    pub reply_to: Option<String>,
    /// The e-mail address that gets a copy of each e-mail, which the customer does not see.
    pub bcc: Option<String>,
}

/// A seller can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seller's {field} {why}")]
pub struct InvalidSeller {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Diagnose for InvalidSeller {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(ErrorKind::Invalid, "seller-invalid")
    }
}

impl Seller {
    /// Checks that e-mails can say and use each value.
    ///
    /// # Errors
    /// When one can't be used: the first that is wrong.
    pub fn check(&self) -> Result<(), InvalidSeller> {
        let wrong = |field, why| Err(InvalidSeller { field, why });
        if self.name.is_empty() {
            return wrong("name", "is missing, without which e-mails can't name the seller");
        }
        let phone = self.support_phone.as_ref();
        let lines = [("name", &self.name)].into_iter();
        let lines = lines.chain(self.address.iter().map(|line| ("address", line)));
        for (field, text) in lines.chain(phone.map(|phone| ("support phone", phone))) {
            if text.trim().is_empty()
                || text.chars().count() > LINE_CHARS
                || text.chars().any(char::is_control)
            {
                return wrong(
                    field,
                    "has a line that is empty, longer than 200 characters or not text",
                );
            }
        }
        if self.address.len() > ADDRESS_LINES {
            return wrong("address", "has more than 8 lines");
        }
        for (field, address) in [
            ("support e-mail address", &self.support_email),
            ("reply-to address", &self.reply_to),
            ("blind copy address", &self.bcc),
        ] {
            if address.as_ref().is_some_and(|address| !is_mailable(address)) {
                return wrong(field, "is not one e-mail address that can be mailed to");
            }
        }
        // A copy must not need what the customer's mail server may not have.
        if self.bcc.as_ref().is_some_and(|address| !address.is_ascii()) {
            return wrong(
                "blind copy address",
                "has letters beyond ASCII, which not every mail server takes",
            );
        }
        match self.logo_url.as_deref().is_none_or(is_picture) {
            true => Ok(()),
            false => wrong("logo", "is not an https address"),
        }
    }
}

/// Whether a text is an https address that can stand in a document.
fn is_picture(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let is_https = uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    is_https && url.len() <= URL_BYTES && !url.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seller() -> Seller {
        let some = |text: &str| Some(text.to_owned());
        Seller {
            name: "Beispiel Software GmbH".to_owned(),
            address: vec!["Hauptstraße 1".to_owned(), "12345 Berlin".to_owned()],
            support_email: some("hilfe@beispiel.example"),
            support_phone: some("+49 30 1234567"),
            logo_url: some("https://beispiel.example/logo.png?v=2"),
            reply_to: some("antwort@büro.example"),
            bcc: some("kopie@beispiel.example"),
        }
    }

    #[test]
    fn a_seller_needs_a_name_and_each_other_value_is_one_that_e_mails_can_use() {
        type Change = fn(&mut Seller, Option<String>);
        assert_eq!(seller().check(), Ok(()));
        let name_alone = Seller {
            name: "Shop".to_owned(),
            ..Seller::default()
        };
        assert_eq!(name_alone.check(), Ok(()));
        let some = |text: &str| Some(text.to_owned());
        let wrong: [(&str, Change, Option<String>); 11] = [
            ("name", |seller, _| seller.name.clear(), None),
            (
                "name",
                |seller, text| seller.name = text.unwrap(),
                some("a\nBcc: b@c.test"),
            ),
            (
                "address",
                |seller, text| seller.address.push(text.unwrap()),
                some(" "),
            ),
            (
                "address",
                |seller, text| seller.address = vec![text.unwrap(); 9],
                some("a"),
            ),
            (
                "support phone",
                |seller, text| seller.support_phone = text,
                Some("1".repeat(201)),
            ),
            (
                "support e-mail address",
                |seller, text| seller.support_email = text,
                some("a"),
            ),
            (
                "reply-to address",
                |seller, text| seller.reply_to = text,
                some("a@b.test, c@d.test"),
            ),
            (
                "blind copy address",
                |seller, text| seller.bcc = text,
                some("a@b.test\r\nX: y"),
            ),
            (
                "blind copy address",
                |seller, text| seller.bcc = text,
                some("ä@b.test"),
            ),
            (
                "logo",
                |seller, text| seller.logo_url = text,
                some("http://b.test/a.png"),
            ),
            (
                "logo",
                |seller, text| seller.logo_url = text,
                some("javascript:alert(1)"),
            ),
        ];
        for (field, change, text) in wrong {
            let mut changed = seller();
            change(&mut changed, text.clone());
            assert_eq!(
                changed.check().map_err(|wrong| wrong.field),
                Err(field),
                "{text:?}"
            );
        }
    }
}

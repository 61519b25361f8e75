//! Corrections of what is on record about a customer.

use crate::email_address::is_mailable;
use crate::order::{Contact, Party, is_country, is_language};

/// New data of a customer. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerCorrection {
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The language of e-mails, BCP 47.
    pub language: Option<String>,
    /// The country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// What a correction changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorrectedCustomer {
    /// The orders that it changed.
    pub orders: u64,
    /// The customer's e-mails that were refused for good before, and may be taken now.
    pub refused_mails: u64,
}

impl CustomerCorrection {
    /// The fields that are corrected, by name.
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            ("name", &self.name),
            ("email", &self.email),
            ("language", &self.language),
            ("country", &self.country),
        ];
        let given = fields.into_iter().filter(|(_, value)| value.is_some());
        given.map(|(field, _)| field).collect()
    }

    /// A field that can't have its value. `None`: each can.
    pub fn invalid_field(&self) -> Option<&'static str> {
        let is_wrong = |value: &Option<String>, is_right: fn(&str) -> bool| {
            value.as_deref().is_some_and(|value| !is_right(value))
        };
        let checks = [
            ("name", is_wrong(&self.name, |name| !name.trim().is_empty())),
            ("e-mail address", is_wrong(&self.email, is_mailable)),
            ("language", is_wrong(&self.language, is_language)),
            ("country", is_wrong(&self.country, is_country)),
        ];
        checks
            .into_iter()
            .find(|(_, is_wrong)| *is_wrong)
            .map(|(field, _)| field)
    }

    /// A party with the new data.
    #[must_use]
    pub fn of_party(&self, party: &Party) -> Party {
        Party {
            id: party.id.clone(),
            name: self.name.as_ref().unwrap_or(&party.name).clone(),
            country: self.country.as_ref().unwrap_or(&party.country).clone(),
        }
    }

    /// A contact with the new data.
    #[must_use]
    pub fn of_contact(&self, contact: &Contact) -> Contact {
        Contact {
            email: self.email.as_ref().unwrap_or(&contact.email).clone(),
            language: self.language.as_ref().unwrap_or(&contact.language).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_checked_and_what_is_not_stays() {
        let given = |value: &str| Some(value.to_owned());
        let nothing = CustomerCorrection::default;
        for (correction, invalid) in [
            (nothing(), None),
            (
                CustomerCorrection {
                    name: given(" "),
                    ..nothing()
                },
                Some("name"),
            ),
            (
                CustomerCorrection {
                    email: given("it"),
                    ..nothing()
                },
                Some("e-mail address"),
            ),
            (
                CustomerCorrection {
                    language: given("d e"),
                    ..nothing()
                },
                Some("language"),
            ),
            (
                CustomerCorrection {
                    country: given("de"),
                    ..nothing()
                },
                Some("country"),
            ),
            (
                CustomerCorrection {
                    country: given("DE"),
                    ..nothing()
                },
                None,
            ),
        ] {
            assert_eq!(correction.invalid_field(), invalid, "{correction:?}");
        }
        let correction = CustomerCorrection {
            email: given("new@beispiel.example"),
            ..nothing()
        };
        let contact = Contact {
            email: "old@beispiel.example".to_owned(),
            language: "de".to_owned(),
        };
        let corrected = correction.of_contact(&contact);
        assert_eq!(
            (corrected.email.as_str(), corrected.language.as_str()),
            ("new@beispiel.example", "de")
        );
        assert_eq!(correction.fields(), ["email"]);
    }
}

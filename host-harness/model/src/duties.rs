//! Duties of the host beside buying, which a platform can take over.

/// What the host does beside buying and returning licenses. A platform that mails or charges by itself takes the duty over.
///
/// ```
/// let buys_only = bss_model::Duties { mails: false, charges: false };
/// assert_ne!(buys_only, bss_model::Duties::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duties {
    /// Whether an e-mail with the license is written down for each customer, to be sent. Where it is not, an order needs no
    /// contact.
    pub mails: bool,
    /// Whether a license is charged when it is issued, and credited when it is returned. Where it is not, a product needs no
    /// price.
    pub charges: bool,
}

impl Default for Duties {
    /// All of them.
    fn default() -> Self {
        Self {
            mails: true,
            charges: true,
        }
    }
}

/// A change of duties. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DutiesChange {
    /// Whether e-mails are a duty from now on.
    pub mails: Option<bool>,
    /// Whether charging is a duty from now on.
    pub charges: Option<bool>,
}

impl DutiesChange {
    /// The duties after the change.
    pub fn of(self, before: Duties) -> Duties {
        Duties {
            mails: self.mails.unwrap_or(before.mails),
            charges: self.charges.unwrap_or(before.charges),
        }
    }
}

impl From<Duties> for DutiesChange {
    fn from(duties: Duties) -> Self {
        Self {
            mails: Some(duties.mails),
            charges: Some(duties.charges),
        }
    }
}

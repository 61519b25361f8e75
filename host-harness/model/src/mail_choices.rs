//! The e-mails that an instance sends besides those about licenses that were bought, and how many licenses one has.

/// The choices of an instance about its e-mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailChoices {
    /// Whether customers are told of returns and their credits.
    pub on_return: bool,
    /// Whether the licenses of an order are in one e-mail, which waits until none of them is being bought any more, or
    /// [`OVERDUE`](crate::OVERDUE) at most.
    pub per_order: bool,
}

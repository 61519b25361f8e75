//! What is found by a text that a person has: a number, a name, an address, the end of a key.

use uuid::Uuid;

use crate::ids::InstanceId;
use crate::order::Party;
use crate::words::stored_enum;

/// The kind of a thing that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundKind {
    /// A customer.
    Customer,
    /// An order.
    Order,
    /// A license.
    Asset,
    /// The cancellation of a license.
    Cancellation,
    /// An e-mail.
    Mail,
    /// A charge.
    Charge,
    /// A credit.
    Credit,
}

stored_enum!(FoundKind {
    Customer = "customer", "customer";
    Order = "order", "order";
    Asset = "asset", "asset";
    Cancellation = "cancellation", "cancellation";
    Mail = "mail", "e-mail";
    Charge = "charge", "charge";
    Credit = "credit", "credit";
});

/// What of a thing is like the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundBy {
    /// The id, or the number, by its beginning.
    Id,
    /// The idempotency key of an order: the shop's own number.
    IdempotencyKey,
    /// The platform's id of a customer.
    CustomerId,
    /// A customer's name.
    CustomerName,
    /// A customer's e-mail address, or the one that an e-mail was sent to.
    Email,
    /// The end of a product key.
    ProductKey,
    /// The vendor's id of a purchase or license token, or the host's id of a purchase, by its beginning.
    PurchaseId,
    /// The vendor's id of an exchange, by its beginning.
    CorrelationId,
}

stored_enum!(FoundBy {
    Id = "id", "id";
    IdempotencyKey = "idempotency-key", "idempotency key";
    CustomerId = "customer-id", "customer's id";
    CustomerName = "customer-name", "customer's name";
    Email = "email", "e-mail address";
    ProductKey = "product-key", "end of the product key";
    PurchaseId = "purchase-id", "id of the purchase";
    CorrelationId = "correlation-id", "correlation id";
});

/// A thing that is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The kind of the thing.
    pub kind: FoundKind,
    /// The thing's own id: a UUID, the platform's id of a customer, the number of a charge or credit.
    pub id: String,
    /// What of it is like the text.
    pub by: FoundBy,
    /// The order that it belongs to; of a customer, the latest one.
    pub order_id: Uuid,
    /// The instance.
    pub instance_id: InstanceId,
    /// The name of the instance. Another owner may have one of the same name.
    pub instance: String,
    /// The customer.
    pub customer: Party,
    /// When it came about, in milliseconds since 1970; of a customer, when the latest order was placed.
    pub at_ms: i64,
}

/// What is found, and whether there is more than was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finds {
    /// The things, the latest first among those of a kind.
    pub found: Vec<Found>,
    /// Whether there are more.
    pub has_more: bool,
}

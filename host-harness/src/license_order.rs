//! Orders: checked, and written down line by line. Nothing is bought here; a worker does that.

use std::collections::BTreeMap;
use std::time::Duration;

use bss_model::clock::millis;
use bss_model::{
    Actor, Advice, Contact, Diagnose, Diagnosis, ErrorKind, Instance, NewLine, NewOrder, Order, OrderFilter,
    Page, Party, Placed, Problem, ShownPrice, SortOrder,
};
use bss_record::{RecordError, RetryError};
use bss_sandbox::CallListener;
use bss_sandbox::bindings::failures::{ChangeFailure, Delay};
use bss_sandbox::bindings::license_order as contract;
use uuid::Uuid;

use crate::asked_instance::AskedInstance;
use crate::call_failure::said;
use crate::contract::{contract_instance, contract_party, recorded_problem};
use crate::host::Host;
use crate::instance_settings::ConfigureError;
use crate::license_purchase::Answer;
use crate::own_task::nobody;
use crate::ready_instances::PrepareError;

/// A request for an order.
///
/// ```
/// use bss_model::{Contact, Party};
/// use host_harness::OrderRequest;
///
/// let customer = Party { id: "C-1".into(), name: "Beispiel GmbH".into(), country: "DE".into() };
/// let contact = Contact { email: "it@beispiel.example".into(), language: "de-DE".into() };
/// let request = OrderRequest::new(customer)
///     .mail_to(contact)
///     .line("DG7GMGF0D7FV:0001", 2)
///     .key("BASKET-7");
/// assert_eq!(request.lines.len(), 1);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OrderRequest {
    /// The party that gets the licenses.
    pub customer: Party,
    /// The address to which the licenses are mailed. `None`: the host mails nothing.
    pub contact: Option<Contact>,
    /// The reseller who sells, if there is one.
    pub reseller: Option<Party>,
    /// The products, and the quantity of each.
    pub lines: Vec<NewLine>,
    /// Makes a repeated request answer with the first one's order.
    pub idempotency_key: Option<String>,
    /// The platform that orders, by its id. `None`: none does.
    pub platform: Option<Uuid>,
    /// The prices that the buyer was shown: see [`Self::at_prices`].
    pub shown_prices: Vec<ShownPrice>,
}

impl OrderRequest {
    /// A request of a customer, with nothing to buy yet.
    pub fn new(customer: Party) -> Self {
        Self {
            customer,
            contact: None,
            reseller: None,
            lines: Vec::new(),
            idempotency_key: None,
            platform: None,
            shown_prices: Vec::new(),
        }
    }

    /// Mails the licenses to a contact.
    #[must_use]
    pub fn mail_to(self, contact: Contact) -> Self {
        Self {
            contact: Some(contact),
            ..self
        }
    }

    /// Sells through a reseller.
    #[must_use]
    pub fn reseller(self, reseller: Party) -> Self {
        Self {
            reseller: Some(reseller),
            ..self
        }
    }

    /// Adds a product, by its code, and a quantity of it.
    #[must_use]
    pub fn line(mut self, product_code: impl Into<String>, quantity: u32) -> Self {
        self.lines.push(NewLine {
            product_code: product_code.into(),
            quantity,
        });
        self
    }

    /// Names the order: a request that is repeated with the key is answered with the first one's order. Each instance has
    /// its own keys.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self {
            idempotency_key: Some(key.into()),
            ..self
        }
    }

    /// Orders for a platform, by its id, which mails the licenses and charges for them itself: the order needs neither a contact nor
    /// prices, and the host mails and charges nothing of it.
    #[must_use]
    pub fn of_platform(self, platform: Uuid) -> Self {
        Self {
            platform: Some(platform),
            ..self
        }
    }

    /// Orders at the prices that the buyer was shown: where one has changed when the order is written, it is refused
    /// (`price-changed`). An order that is there already by its key is answered all the same.
    #[must_use]
    pub fn at_prices(self, shown_prices: Vec<ShownPrice>) -> Self {
        Self { shown_prices, ..self }
    }
}

/// Why an order was not placed, or can't be continued. No license was bought by this request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// There is no such instance.
    #[error(transparent)]
    Instance(#[from] ConfigureError),
    /// Calls for the instance can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The order itself was refused; nothing was written.
    #[error(transparent)]
    Order(#[from] bss_record::PlaceError),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The plugin refuses the order.
    #[error("the order of product `{product}` was refused: {}", problem.message)]
    Refused {
        /// The product's code.
        product: String,
        /// The plugin's reason.
        problem: Problem,
    },
    /// The plugin did not say whether the order is right.
    #[error("the order of product `{product}` could not be checked: {why}")]
    NotChecked {
        /// The product's code.
        product: String,
        /// Why the product could not be checked.
        why: String,
    },
    /// The asset can't be tried again.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// There is no such order.
    #[error("there is no order `{0}`")]
    NoOrder(Uuid),
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Instance(error) => error.diagnosis(),
            Self::Prepare(error) => error.diagnosis(),
            Self::Order(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
            Self::Refused { problem, .. } => said(ErrorKind::Refused, &problem.code, &problem.advice),
            Self::NotChecked { .. } => Diagnosis::new(ErrorKind::Unavailable, "not-checked"),
            Self::Retry(error) => error.diagnosis(),
            Self::NoOrder(_) => Diagnosis::new(ErrorKind::NotFound, "no-order").advise(Advice::ListOrders),
        }
    }
}

/// How long an order without a key is remembered as one that may have been meant only once. A person who repeats a command
/// because its answer was lost does so within minutes.
const REPEATED_WITHIN: Duration = Duration::from_secs(10 * 60);

impl Host {
    /// The last order of the same customer for the same products that was placed within ten minutes: `request` may repeat
    /// it by mistake. `None`: there is none, or `request` has an idempotency key, which tells.
    ///
    /// # Errors
    /// When there is no such instance, or the record can't be read.
    pub async fn same_order(
        &self,
        asked: impl Into<AskedInstance>,
        request: &OrderRequest,
    ) -> Result<Option<Order>, PlaceError> {
        if request.idempotency_key.is_some() {
            return Ok(None);
        }
        let instance = self.asked_instance(asked).await?;
        let filter = OrderFilter {
            instance: Some(instance.id),
            customer: Some(request.customer.id.clone()),
            since_ms: Some(self.record().now_ms().saturating_sub(millis(REPEATED_WITHIN))),
            ..OrderFilter::default()
        };
        let latest_first = Page::all().in_order(SortOrder::Descending);
        let orders = self.record().orders(&filter, &latest_first).await?.rows;
        let mut asked = BTreeMap::<&str, u64>::new();
        for line in &request.lines {
            *asked.entry(&line.product_code).or_default() += u64::from(line.quantity);
        }
        let is_same = |order: &Order| {
            let mut placed = BTreeMap::<&str, u64>::new();
            for line in &order.lines {
                *placed.entry(&line.product_code).or_default() += u64::from(line.quantity);
            }
            placed == asked
        };
        Ok(orders.into_iter().find(is_same))
    }

    /// Writes an order down: its lines, and for each an asset with a client transaction id. Buys nothing yet; a worker does,
    /// or [`Host::run_order`]. A request whose idempotency key has an order gets that order as known, whatever has become of
    /// the instance, its plugin and its products since.
    ///
    /// # Errors
    /// When the key was used for another order, the instance is not ready, the plugin can't be loaded, a product is unknown or not sold, a quantity is
    /// out of its limits, or the order costs more than an amount can be; nothing is written then.
    pub async fn place_order(
        &self,
        asked: impl Into<AskedInstance>,
        request: OrderRequest,
        actor: &Actor,
    ) -> Result<Placed, PlaceError> {
        let instance = self.asked_instance(asked).await?;
        let order = new_order(&instance, request);
        if let Some(placed) = self.record().placed_order(&order).await? {
            return Ok(Placed::Known(placed));
        }
        // Find anything that would make every purchase fail before something is written.
        self.ready_call(&instance, nobody()).await?;
        self.plugin_of(&instance).await.map_err(PrepareError::from)?;
        Ok(self.record().place_order(order, actor).await?)
    }

    /// Checks an order, here and in the plugin, as `place_order` would. Writes nothing and buys nothing.
    ///
    /// # Errors
    /// Why it can't be placed.
    pub async fn check_order(
        &self,
        asked: impl Into<AskedInstance>,
        request: OrderRequest,
        listener: CallListener,
    ) -> Result<(), PlaceError> {
        let instance = self.asked_instance(asked).await?;
        let call = self.ready_call(&instance, listener).await?;
        let order = new_order(&instance, request);
        let purchases = self.record().check_order(order.clone()).await?;
        let plugin = self
            .plugin_of(&instance)
            .await
            .map_err(PrepareError::from)?
            .plugin;
        for purchase in purchases {
            let line = contract::LicenseOrder {
                client_transaction_id: Uuid::new_v4().to_string(),
                earlier_attempts: contract::EarlierAttempts::None,
                check_only: true,
                product: purchase.product_code.clone(),
                quantity: purchase.quantity,
                reseller: order.reseller.as_ref().map(contract_party),
                customer: contract_party(&order.customer),
            };
            let answer = plugin
                .create_license(call.clone(), &contract_instance(&instance), &line)
                .await;
            checked(&purchase.product_code, answer)?;
        }
        Ok(())
    }
}

fn new_order(instance: &Instance, request: OrderRequest) -> NewOrder {
    NewOrder {
        instance_id: instance.id,
        customer: request.customer,
        contact: request.contact,
        reseller: request.reseller,
        lines: request.lines,
        idempotency_key: request.idempotency_key,
        platform: request.platform,
        shown_prices: request.shown_prices,
    }
}

/// Reads a plugin's answer to an order that it was only to check.
fn checked(product: &str, answer: Answer) -> Result<(), PlaceError> {
    let not_checked = |why| PlaceError::NotChecked {
        product: product.to_owned(),
        why,
    };
    match answer {
        Ok(Ok(contract::OrderAnswer::Valid)) => Ok(()),
        Ok(Ok(contract::OrderAnswer::Licensed(_) | contract::OrderAnswer::Accepted(_))) => Err(not_checked(
            "the plugin answered as if it had bought, although it was asked to check only".to_owned(),
        )),
        Ok(Err(ChangeFailure::Refused(problem) | ChangeFailure::Misconfigured(problem))) => {
            Err(PlaceError::Refused {
                product: product.to_owned(),
                problem: recorded_problem(problem),
            })
        }
        Ok(Err(ChangeFailure::Unavailable(Delay { problem, .. }) | ChangeFailure::Unknown(problem))) => {
            Err(not_checked(problem.message))
        }
        Err(error) => Err(not_checked(error.to_string())),
    }
}

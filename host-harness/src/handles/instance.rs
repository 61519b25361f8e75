//! An instance, and all that can be asked of it.

use std::sync::{Arc, Mutex, PoisonError};

use bss_model::{
    Actor, Choice, CorrectedCustomer, CustomerCorrection, CustomerErasure, Decision, InstanceId, OrderFilter,
    Page, Placed, PluginDigest, Price, ProductFilter, Rows, Spending, SpendingToday, Thumbprint, UnsentMails,
};
use bss_record::ProductError;
use bss_sandbox::{CallEvent, CallListener};
use uuid::Uuid;

use super::order::OrderHandle;
use crate::error::Error;
use crate::host::Host;
use crate::instance_settings::SettingsChange;
use crate::license_order::OrderRequest;
use crate::view::{self, Keys};

/// An instance of a plugin: an account at a vendor, with its settings. Cloning it costs nothing that matters.
#[derive(Clone, Debug)]
pub struct InstanceHandle {
    host: Host,
    id: InstanceId,
    name: String,
}

impl InstanceHandle {
    pub(super) fn new(host: &Host, instance: bss_model::Instance) -> Self {
        // Names are the owner's, so that the host has to be.
        let host = match instance.owner {
            Some(owner) => host.for_owner(owner),
            None => host.clone(),
        };
        Self {
            host,
            id: InstanceId(instance.id),
            name: instance.name,
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The instance's id.
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// The instance's name, as it was when the handle was made.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instance as it stands now.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn read(&self) -> Result<view::Instance, Error> {
        Ok(view::Instance::from(&self.on_record().await?))
    }

    /// The form of the instance's settings, as it is saved.
    ///
    /// # Errors
    /// When the plugin can't be called, or brings a form that breaks the contract.
    pub async fn form(&self) -> Result<view::InstanceForm, Error> {
        Ok(view::InstanceForm::from(&self.host.form(self.id).await?))
    }

    /// Changes settings, and saves them if no field has a problem: [`view::InstanceForm`] says whether it did.
    ///
    /// # Errors
    /// When there is no such field, the plugin brings no answer, breaks the contract or asks for what is the operator's to
    /// say, or there was another save.
    pub async fn configure(
        &self,
        change: impl Into<SettingsChange>,
        actor: &Actor,
    ) -> Result<view::InstanceForm, Error> {
        let form = self.host.configure(self.id, change, actor).await?;
        Ok(view::InstanceForm::from(&form))
    }

    /// Gives the instance another name. The ids of its orders stay those of the name that it was made with, which no other
    /// instance of its owner may have, so that an order which is placed again with its key is the same.
    ///
    /// # Errors
    /// When another instance has the name or was made with it (`name-taken`), or it can't be a name.
    pub async fn rename(&self, name: &str, actor: &Actor) -> Result<view::Instance, Error> {
        let renamed = self
            .host
            .record()
            .rename_instance(self.id.into(), name, actor)
            .await?;
        Ok(view::Instance::from(&renamed))
    }

    /// Has the instance take no orders and buy nothing, until it is enabled. What may have been bought is looked up all the
    /// same; returns, refreshes and e-mails go on. A second time changes nothing.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn disable(&self, actor: &Actor) -> Result<view::Instance, Error> {
        let saved = self
            .host
            .record()
            .set_instance_enabled(self.id.into(), false, actor)
            .await?;
        Ok(view::Instance::from(&saved))
    }

    /// Has the instance sell again. A second time changes nothing.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn enable(&self, actor: &Actor) -> Result<view::Instance, Error> {
        let saved = self
            .host
            .record()
            .set_instance_enabled(self.id.into(), true, actor)
            .await?;
        Ok(view::Instance::from(&saved))
    }

    /// Removes the instance with its settings, its secrets and its products. Its certificate stays installed.
    ///
    /// # Errors
    /// When something was ever ordered at it (`instance-in-use`), or its catalog is being read (`run-open`).
    pub async fn remove(self, actor: &Actor) -> Result<view::Instance, Error> {
        let removed = self.host.record().remove_instance(self.id.into(), actor).await?;
        self.host.forget_instance(&removed.id.to_string());
        Ok(view::Instance::from(&removed))
    }

    /// Moves the instance to another version of its plugin, while workers run: the one with that digest, or the one that was
    /// added last. Calls that are under way end with the former one.
    ///
    /// # Errors
    /// When the version can't be used, would lose a saved field, or its form has something that is the operator's to say.
    /// Nothing is changed then.
    pub async fn upgrade(
        &self,
        to: Option<PluginDigest>,
        actor: &Actor,
    ) -> Result<view::InstanceForm, Error> {
        let form = self.host.upgrade_instance(self.id, to, actor).await?;
        Ok(view::InstanceForm::from(&form))
    }

    /// Replaces the instance's certificate, if a check of the connection with the new one passes.
    ///
    /// # Errors
    /// When the certificate can't be chosen, a step of the check fails, or another save came meanwhile. Nothing is changed
    /// then.
    pub async fn rotate_certificate(
        &self,
        to: Thumbprint,
        actor: &Actor,
    ) -> Result<view::CertificateRotation, Error> {
        let rotated = self
            .host
            .rotate_certificate(self.id, to, actor, self.host.listener())
            .await?;
        Ok(view::CertificateRotation::from(&rotated))
    }

    /// Checks the way to the vendor step by step. Buys nothing and changes nothing.
    ///
    /// # Errors
    /// When it could not be checked. A step that failed is no error: the view has it.
    pub async fn check_connection(&self) -> Result<view::ConnectionCheck, Error> {
        let ways = Arc::new(Mutex::new(Vec::new()));
        let (heard, noted) = (self.host.listener(), Arc::clone(&ways));
        let listener: CallListener = Arc::new(move |event| {
            if let CallEvent::Connected { authority, way } = &event {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push((authority.clone(), way.clone()));
            }
            heard(event);
        });
        let steps = self.host.check_connection(self.id, listener).await?;
        let check = view::ConnectionCheck::new(&self.on_record().await?.name, &steps);
        let ways = std::mem::take(&mut *ways.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(check.with_connections(&ways))
    }

    /// Reads the vendor's catalog, and brings the instance's products up to date. Where the caller is dropped, the run ends as
    /// interrupted, and another can be started at once.
    ///
    /// # Errors
    /// When the instance is not ready or has a run already, or the catalog was not read to its end; no product is changed
    /// then. Nor is any when much of what is on sale would be discontinued (`catalog-shrank`): [`Self::accept_services`] goes on.
    pub async fn fetch_services(&self, actor: &Actor) -> Result<view::ServicesRun, Error> {
        let completed = self
            .host
            .fetch_services(self.id, actor, self.host.listener())
            .await?;
        self.run_view(completed.run).await
    }

    /// Reads the vendor's catalog again, and discontinues what the last run would have, where that awaits acceptance because it
    /// was much of what is on sale (`catalog-shrank`).
    ///
    /// # Errors
    /// Like [`Self::fetch_services`], and when no run awaits acceptance.
    pub async fn accept_services(&self, actor: &Actor) -> Result<view::ServicesRun, Error> {
        let completed = self
            .host
            .accept_services(self.id, actor, self.host.listener())
            .await?;
        self.run_view(completed.run).await
    }

    /// The products of the instance that match a filter, a page of them.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list.
    pub async fn products(&self, filter: &ProductFilter, page: &Page) -> Result<Rows<view::Product>, Error> {
        let (record, instance) = (self.host.record(), self.on_record().await?);
        let products = record.products(instance.id, filter, page).await?;
        let prices = record.prices(instance.id).await?;
        let view = |product: &bss_model::Product| {
            let prices = prices.get(&product.offered.code).map_or(&[][..], Vec::as_slice);
            view::Product::new(&instance, product, prices)
        };
        Ok(products.map(view))
    }

    /// A product of the instance, by its code.
    ///
    /// # Errors
    /// When there is no product of the code, or the record can't be read.
    pub async fn product(&self, code: &str) -> Result<view::Product, Error> {
        let (record, instance) = (self.host.record(), self.on_record().await?);
        let product = record.product(instance.id, code).await?;
        let product = product.ok_or_else(|| ProductError::NoProduct {
            codes: vec![code.to_owned()],
        })?;
        let prices = record.prices(instance.id).await?;
        let prices = prices.get(code).map_or(&[][..], Vec::as_slice);
        Ok(view::Product::new(&instance, &product, prices))
    }

    /// Activates, deactivates, publishes or unpublishes products.
    ///
    /// # Errors
    /// When there is no product of a code, or the record can't be written.
    pub async fn decide_products(
        &self,
        decision: Decision,
        choice: &Choice,
        actor: &Actor,
    ) -> Result<view::DecidedProducts, Error> {
        let (record, id) = (self.host.record(), self.id.into());
        Ok(record.decide_products(id, decision, choice, actor).await?.into())
    }

    /// Sets the price of products, by their codes. Nothing is asked, however small the price is.
    ///
    /// # Errors
    /// When there is no product of a code, or the record can't be written.
    pub async fn set_prices(
        &self,
        codes: &[String],
        price: &Price,
        actor: &Actor,
    ) -> Result<view::PricedProducts, Error> {
        let id = self.id.into();
        let changes = self.host.record().set_prices(id, codes, price, actor).await?;
        Ok(view::PricedProducts::from(&changes[..]))
    }

    /// Places an order: on record when this returns, and bought by a worker, or by [`OrderHandle::settle`]. A request that is
    /// repeated with its idempotency key is answered with the first one's order, whatever has become of the plugin, the
    /// products and the spelling of the customer's name since.
    ///
    /// # Errors
    /// When the key was used for something else (`key-reused`), the instance would sell more today than it may
    /// (`spending-limit`) or is not ready, its plugin can't be called, or a
    /// product can't be sold so; nothing is written then.
    pub async fn place(&self, request: OrderRequest, actor: &Actor) -> Result<Placed<OrderHandle>, Error> {
        let placed = self.host.place_order(self.id, request, actor).await?;
        Ok(placed.map(|order| self.order(&order)))
    }

    /// The last order of the same customer for the same products that was placed within ten minutes: `request` may repeat it by
    /// mistake. `None`: there is none, or `request` has an idempotency key, which tells.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn repeated(&self, request: &OrderRequest) -> Result<Option<OrderHandle>, Error> {
        let same = self.host.same_order(self.id, request).await?;
        Ok(same.map(|order| self.order(&order)))
    }

    /// The order that was placed with an idempotency key. `None`: there is none. Needs neither the plugin nor a ready instance.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn placed(&self, key: &str) -> Result<Option<OrderHandle>, Error> {
        let filter = OrderFilter {
            instance: Some(self.id.into()),
            idempotency_key: Some(key.to_owned()),
            ..OrderFilter::default()
        };
        let found = self.host.record().orders(&filter, &Page::first(1)).await?.rows;
        Ok(found.first().map(|order| self.order(order)))
    }

    /// Checks an order, here and in the plugin, as [`Self::place`] would. Writes nothing and buys nothing.
    ///
    /// # Errors
    /// Why it can't be placed.
    pub async fn check(&self, request: OrderRequest) -> Result<(), Error> {
        Ok(self
            .host
            .check_order(self.id, request, self.host.listener())
            .await?)
    }

    /// Sets the most that the instance sells in a day (UTC): an order with which it would sell more is refused
    /// (`spending-limit`). `None`: no limit, as it is at first.
    ///
    /// # Errors
    /// When the limit is not in the instance's currency, or the record can't be written.
    pub async fn limit_spending(&self, limit: Option<&Spending>, actor: &Actor) -> Result<(), Error> {
        let instance = self.on_record().await?;
        Ok(self.host.record().limit_spending(&instance, limit, actor).await?)
    }

    /// What the instance has sold today, and may.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn spending_today(&self) -> Result<SpendingToday, Error> {
        Ok(self
            .host
            .record()
            .spending_today(&self.on_record().await?)
            .await?)
    }

    /// All that is on record about a customer of this instance, by the platform's own name for it. `None`: nothing is.
    ///
    /// # Errors
    /// When the record can't be read, or written where keys are shown.
    pub async fn export_customer(&self, id: &str, keys: Keys<'_>) -> Result<Option<view::Customer>, Error> {
        let found = self
            .host
            .record()
            .export_customer(id, Some(self.id.into()))
            .await?;
        match found {
            Some(data) => Ok(Some(self.host.customer_view(&data, keys).await?)),
            None => Ok(None),
        }
    }

    /// Corrects a customer's data in all orders at this instance: what is mailed or bought from now on has it.
    ///
    /// # Errors
    /// When a value can't be one, there is no order of the customer, or the customer was erased.
    pub async fn correct_customer(
        &self,
        id: &str,
        correction: &CustomerCorrection,
        actor: &Actor,
    ) -> Result<CorrectedCustomer, Error> {
        let (record, instance) = (self.host.record(), Some(self.id.into()));
        Ok(record.correct_customer(id, instance, correction, actor).await?)
    }

    /// Erases a customer's name, contact and free text at this instance from the record and from its files. What was sold,
    /// charged and done stays, without a name. A second time changes nothing.
    ///
    /// # Errors
    /// When nothing is on record about the customer, or business is open; nothing is erased then.
    pub async fn erase_customer(
        &self,
        id: &str,
        unsent: UnsentMails,
        actor: &Actor,
    ) -> Result<CustomerErasure, Error> {
        let record = self.host.record();
        Ok(record
            .erase_customer(id, Some(self.id.into()), unsent, actor)
            .await?)
    }

    async fn on_record(&self) -> Result<bss_model::Instance, Error> {
        let id = self.id.into();
        let found = self.host.record().instance_by_id(id).await?;
        Ok(found.ok_or(bss_record::PlaceError::NoInstance { id })?)
    }

    async fn run_view(&self, run: Uuid) -> Result<view::ServicesRun, Error> {
        let run = self.host.run_on_record(run).await?;
        // Another process may have renamed the instance since this handle was made.
        Ok(view::ServicesRun::new(&run, &self.on_record().await?.name))
    }

    fn order(&self, order: &bss_model::Order) -> OrderHandle {
        OrderHandle::new(self.host.clone(), order.id.into(), order.instance_id.into())
    }
}

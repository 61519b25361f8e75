//! Get Services Definition: one reading of the vendor's catalog, applied to the record as a whole or not at all.

use crate::bindings::failures::ReadFailure;
use crate::bindings::services_definition::{self as contract, Outcome};
use crate::call_state::CallListener;
use crate::error::{CallError, LoadError};
use crate::host::{Host, PrepareError, contract_instance};
use crate::instance_settings::ConfigureError;
use crate::record::{self, ApplyError, Difference, RecordError};

/// How a reading ended well.
#[derive(Clone, Debug)]
pub struct ServicesRun {
    /// What it changed in the record. Nothing, where the vendor says that nothing changed.
    pub difference: Difference,
    /// Items that were left out because they could not be understood.
    pub skipped: u32,
    /// Whether the vendor said that nothing had changed since the last reading.
    pub unchanged: bool,
}

/// Why a reading brought nothing. The record is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServicesError {
    /// There is no such instance.
    #[error(transparent)]
    Instance(#[from] ConfigureError),
    /// The call can't be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The plugin brought no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The plugin says why there is nothing.
    #[error("the catalog was not read")]
    Read(ReadFailure),
    /// The record can't be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record does not take the definition as it is.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<LoadError> for ServicesError {
    fn from(error: LoadError) -> Self {
        Self::Prepare(error.into())
    }
}

impl Host {
    /// Reads the catalog of an instance and brings its products up to date, in one transaction.
    ///
    /// # Errors
    /// When the instance is not ready, or the catalog was not read to its end; nothing is changed then.
    pub async fn fetch_services(&self, name: &str, listener: CallListener) -> Result<ServicesRun, ServicesError> {
        let instance = self.named_instance(name).await?;
        let call = self.ready_call(&instance, listener).await?;
        let entity_tag = self.record().services_state(instance.id).await?;
        let plugin = self.plugin().await?;
        let answer = plugin.fetch_services(call, &contract_instance(&instance), &entity_tag).await?;
        match answer.map_err(ServicesError::Read)? {
            (Outcome::Unchanged, _) => {
                Ok(ServicesRun { difference: Difference::default(), skipped: 0, unchanged: true })
            }
            (Outcome::Complete(summary), products) => {
                let skipped = summary.skipped;
                let definition = record::ServicesDefinition {
                    product_types: summary.product_types.into_iter().map(recorded_type).collect(),
                    products: products.into_iter().map(recorded_product).collect(),
                    entity_tag: summary.entity_tag,
                };
                let difference = self.record().apply_services_definition(instance.id, definition).await?;
                Ok(ServicesRun { difference, skipped, unchanged: false })
            }
        }
    }
}

fn recorded_type(product_type: contract::ProductType) -> record::ProductType {
    record::ProductType {
        id: product_type.id,
        name: product_type.name,
        derivative: match product_type.derivative {
            contract::Derivative::License => record::Derivative::License,
            contract::Derivative::Subscription => record::Derivative::Subscription,
        },
        split_quantity: product_type.split_quantity,
        manual_cancellation: product_type.manual_cancellation,
        attributes: product_type
            .attributes
            .into_iter()
            .map(|attribute| record::ProductAttribute { id: attribute.id, name: attribute.name })
            .collect(),
    }
}

fn recorded_product(product: contract::Product) -> record::NewProduct {
    record::NewProduct {
        code: product.code,
        product_type: product.product_type,
        name: product.name,
        description: product.description,
        attribute_values: product
            .attribute_values
            .into_iter()
            .map(|value| record::AttributeValue {
                attribute: value.attribute,
                key: value.key,
                label: value.label,
            })
            .collect(),
        min_quantity: product.min_quantity,
        max_quantity: product.max_quantity,
        returnable: product.returnable,
    }
}

//! The services definition as the platform imports it, with the custom fields that its assets get.

use axum::response::Response;
use bss_model::{InstanceId, RunState};
use host_harness::product_type_collection::{self, ProductTypeDefinition};
use host_harness::{Error, ServicesError, StartRunError};
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::asked::Asked;
use super::licenses::is_undecided;
use super::results::{self, ACTIVATION_LINK, Answer, Code, RETURN_STATUS, TOKEN, TOKEN_STATUS};
use super::service_request::query_flag;
use crate::problem::Problem;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProductTypeCollection {
    product_types: Vec<ProductType>,
}

impl ProductTypeCollection {
    /// Whether nothing of it is sold.
    fn is_empty(&self) -> bool {
        let mut types = self.product_types.iter();
        types.all(|of| of.definition.products_collection.products.is_empty())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProductType {
    #[serde(flatten)]
    definition: ProductTypeDefinition,
    custom_field_collection: CustomFieldCollection,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CustomFieldCollection {
    fields: Vec<CustomField>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CustomField {
    #[serde(rename = "ID")]
    id: &'static str,
    definition: CustomFieldDefinition,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CustomFieldDefinition {
    #[serde(rename = "ID")]
    id: &'static str,
    sort_order: usize,
    name: &'static str,
    kind: &'static str,
    data_type: &'static str,
    is_required: bool,
    predefined_values: [(); 0],
    is_read_only: bool,
    available_to_storefront: bool,
}

impl CustomFieldCollection {
    /// The fields of an asset that has its license.
    fn of_license() -> Self {
        let fields = [
            (TOKEN, "Token"),
            (ACTIVATION_LINK, "Activation link"),
            (TOKEN_STATUS, "Token Status"),
            (RETURN_STATUS, "Return Status"),
        ];
        let field = |((id, name), sort_order)| CustomField {
            id,
            definition: CustomFieldDefinition {
                id,
                sort_order,
                name,
                kind: "SimpleValue",
                data_type: "Text",
                is_required: false,
                predefined_values: [],
                is_read_only: true,
                available_to_storefront: true,
            },
        };
        Self {
            fields: fields.into_iter().zip(1..).map(field).collect(),
        }
    }
}

/// Answers with what the last run brought. Where none has brought anything, or a fresh one is asked for (`?fetch=true`), a run is
/// started and waited for.
pub(super) async fn answer(asked: &Asked<'_>) -> Result<Response, Problem> {
    if let Some(differs) = asked.differing_setting().await? {
        return Ok(differs.unavailable());
    }
    let is_fresh = match query_flag(asked.query(), "fetch") {
        Ok(is_fresh) => is_fresh,
        Err(error) => return Ok(Answer::from(error).unavailable()),
    };
    if (is_fresh || definition(asked).await?.is_empty())
        && let Some(failed) = fetch(asked).await?
    {
        return Ok(failed.unavailable());
    }
    let definition = definition(asked).await?;
    Ok(match definition.is_empty() {
        true => Answer::new(Code::Refused, "The vendor sells nothing of its catalog now.").unavailable(),
        false => results::json(StatusCode::OK, &definition),
    })
}

async fn definition(asked: &Asked<'_>) -> Result<ProductTypeCollection, Problem> {
    let known = product_type_collection::of(asked.host().record(), asked.platform().instance_id).await?;
    let product_type = |definition| ProductType {
        definition,
        custom_field_collection: CustomFieldCollection::of_license(),
    };
    Ok(ProductTypeCollection {
        product_types: known.product_types.into_iter().map(product_type).collect(),
    })
}

/// Has a worker read the catalog, or waits for a run that is under way. `None`: it was read.
async fn fetch(asked: &Asked<'_>) -> Result<Option<Answer>, Problem> {
    let (host, platform) = (asked.host(), asked.platform());
    let started = host
        .start_services_run(InstanceId(platform.instance_id), &platform.actor())
        .await;
    let run = match started {
        Ok(run) => run,
        Err(ServicesError::Start(StartRunError::Running { run, .. })) => run.id,
        Err(error) => return refused(Error::from(error)).map(Some),
    };
    ended(asked, run).await
}

/// Waits for a run. `None`: it has read the catalog.
async fn ended(asked: &Asked<'_>, run: Uuid) -> Result<Option<Answer>, Problem> {
    loop {
        let found = asked.host().record().services_run(run).await?;
        let state = found.as_ref().map(|found| found.state);
        match state {
            Some(RunState::Completed | RunState::CompletedWithErrors) => return Ok(None),
            Some(RunState::AwaitsAcceptance) => {
                let message = "The catalog would end the sale of much of what is sold: somebody at the host has to accept that first.";
                return Ok(Some(Answer::new(Code::Refused, message)));
            }
            Some(RunState::Failed) => {
                let reason = found.and_then(|found| found.reason);
                let failed = || Answer::new(Code::Refused, "The catalog was not read.");
                return Ok(Some(reason.as_ref().map_or_else(failed, Answer::of_problem)));
            }
            Some(RunState::NotStarted | RunState::InProgress) if asked.waits().await => {}
            Some(RunState::NotStarted | RunState::InProgress) | None => {
                let message = "The catalog is being read. Run it again in a moment.";
                return Ok(Some(Answer::new(Code::Pending, message)));
            }
        }
    }
}

/// The answer to what the host does not do. What this machine or the vendor is in the way of is a problem.
fn refused(error: Error) -> Result<Answer, Problem> {
    match is_undecided(&error) {
        true => Err(error.into()),
        false => Ok(Answer::refused(&error)),
    }
}

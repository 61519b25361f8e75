//! Who sells at each instance, as e-mails say it.

use bss_model::{Act, Actor, Diagnose, Diagnosis, InvalidSeller, Seller, Subject};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::stored::{from_json, to_json};
use super::{Record, RecordError};

/// Why a seller was not saved. Nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveSellerError {
    /// The seller can't be one.
    #[error(transparent)]
    Invalid(#[from] InvalidSeller),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for SaveSellerError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Invalid(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Sets who sells at an instance: e-mails that are sent from now on say it. `None`: they name no seller.
    ///
    /// # Errors
    /// When the seller can't be one, and when the record can't be written.
    pub async fn save_seller(
        &self,
        instance_id: Uuid,
        seller: Option<&Seller>,
        actor: &Actor,
    ) -> Result<(), SaveSellerError> {
        seller.map_or(Ok(()), Seller::check)?;
        let mut transaction = self.begin_write().await?;
        transaction
            .sql("DELETE FROM sellers WHERE instance_id = $1")
            .bind(instance_id.to_string())
            .execute()
            .await?;
        if let Some(seller) = seller {
            transaction
                .sql("INSERT INTO sellers (instance_id, seller) VALUES ($1, $2)")
                .bind(instance_id.to_string())
                .bind(to_json(seller)?)
                .execute()
                .await?;
        }
        let (act, subject) = (Act::SaveSeller, Subject::instance(instance_id));
        let detail = json!({ "seller": seller });
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Who sells at an instance. `None`: nobody has said it.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn seller(&self, instance_id: Uuid) -> Result<Option<Seller>, RecordError> {
        let row = self
            .readers
            .sql("SELECT seller FROM sellers WHERE instance_id = $1")
            .bind(instance_id.to_string())
            .fetch_optional()
            .await?;
        row.map(|row| from_json(&row, "seller")).transpose()
    }
}

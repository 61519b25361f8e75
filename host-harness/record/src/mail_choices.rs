//! Which e-mails each instance sends besides those about licenses that were bought, and how many licenses one has.

use bss_model::{Act, Actor, MailChoices, Subject};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::{Record, RecordError};
use crate::database::Connection;

impl Record {
    /// Chooses the e-mails of an instance: those that are written down from now on.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn save_mail_choices(
        &self,
        instance_id: Uuid,
        choices: MailChoices,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        transaction
            .sql(
                "INSERT INTO mail_choices (instance_id, on_return, per_order) VALUES ($1, $2, $3)
             ON CONFLICT (instance_id) DO UPDATE SET on_return = $2, per_order = $3",
            )
            .bind(instance_id.to_string())
            .bind(choices.on_return)
            .bind(choices.per_order)
            .execute()
            .await?;
        let (act, subject) = (Act::ChooseMails, Subject::instance(instance_id));
        let detail = json!({ "onReturn": choices.on_return, "perOrder": choices.per_order });
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The e-mails that an instance sends.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn mail_choices(&self, instance_id: Uuid) -> Result<MailChoices, RecordError> {
        let mut connection = self.readers.acquire().await?;
        read_mail_choices(&mut connection, instance_id).await
    }
}

pub(super) async fn read_mail_choices(
    connection: &mut Connection,
    instance_id: Uuid,
) -> Result<MailChoices, RecordError> {
    let row = connection
        .sql("SELECT on_return, per_order FROM mail_choices WHERE instance_id = $1")
        .bind(instance_id.to_string())
        .fetch_optional()
        .await?;
    let Some(row) = row else {
        return Ok(MailChoices::default());
    };
    Ok(MailChoices {
        on_return: row.try_get("on_return")?,
        per_order: row.try_get("per_order")?,
    })
}

//! Duties that a platform can take over from the host: sending e-mails, and charging what is sold.

use bss_model::{Act, Actor, Duties, DutiesChange, MailState, Subject};
use serde_json::json;

use super::acts::write_act;
use super::alerts;
use super::stored::id;
use super::{Record, RecordError};
use crate::database::Connection;

impl Record {
    /// The duties that the host has.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn duties(&self) -> Result<Duties, RecordError> {
        let mut connection = self.readers.acquire().await?;
        duties(&mut connection).await
    }

    /// Changes the duties that the host has from now on, in every process that has the record open. A duty that the change does
    /// not name stays as it is, whoever changes it meanwhile. Where e-mails are no duty
    /// any more, those that are not sent are withdrawn: none of them is sent later. What was charged stays charged, and is
    /// credited when it is returned.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn set_duties(
        &self,
        change: impl Into<DutiesChange>,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let change = change.into();
        // A read first: it blocks no writer, and a host that is opened again changes nothing.
        let before = self.duties().await?;
        if change.of(before) == before {
            return Ok(());
        }
        let mut transaction = self.begin_write().await?;
        let before = duties(&mut transaction).await?;
        let new = change.of(before);
        transaction
            .sql("UPDATE duties SET mails = $1, charges = $2")
            .bind(new.mails)
            .bind(new.charges)
            .execute()
            .await?;
        let mut withdrawn = 0;
        if before.mails && !new.mails {
            withdrawn = transaction
                .sql("UPDATE mails SET state = $1, worker = NULL WHERE state NOT IN ($1, $2)")
                .bind(MailState::Withdrawn.word())
                .bind(MailState::Sent.word())
                .execute()
                .await?;
            alerts::end_of_withdrawn_mails(&mut transaction).await?;
            // Nothing is left that it stops, and nobody would try.
            transaction.sql("DELETE FROM mail_stop").execute().await?;
        }
        let row = transaction
            .sql("SELECT record FROM provenance")
            .fetch_one()
            .await?;
        let subject = Subject::record(id(&row, "record")?);
        let detail = json!({ "mails": new.mails, "charges": new.charges, "withdrawnMails": withdrawn });
        write_act(&mut transaction, actor, Act::SetDuties, &subject, None, detail).await?;
        transaction.commit().await?;
        Ok(())
    }
}

pub(super) async fn duties(connection: &mut Connection) -> Result<Duties, RecordError> {
    let row = connection
        .sql("SELECT mails, charges FROM duties")
        .fetch_one()
        .await?;
    Ok(Duties {
        mails: row.try_get("mails")?,
        charges: row.try_get("charges")?,
    })
}

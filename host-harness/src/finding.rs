//! Finding: what the record has of a text that somebody gives, and of customers.

use bss_model::{CustomerFilter, Page, Rows};
use uuid::Uuid;

use crate::error::Error;
use crate::host::Host;
use crate::view;

impl Host {
    /// Finds what a text may mean, at the instances of the host's owner, or at all: ids by their beginning, idempotency keys,
    /// customers by id, name or e-mail address, licenses by the end of their product key or the whole of it, purchases and
    /// exchanges by the vendor's names for them, charges and credits by number. At most `limit` of each kind and reason.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn find_by_text(&self, text: &str, limit: u32) -> Result<view::Finds, Error> {
        Ok(self.record().find(text, self.owner(), limit).await?.into())
    }

    /// Customers of an instance, or of all that the host's owner has, by the time of their latest orders.
    ///
    /// # Errors
    /// When the record can't be read, or the page is not of this list (`cursor-invalid`).
    pub async fn customers(
        &self,
        instance: Option<Uuid>,
        page: &Page,
    ) -> Result<Rows<view::CustomerSummary>, Error> {
        let filter = CustomerFilter {
            instance,
            owner: self.owner().cloned(),
        };
        let customers = self.record().customers(&filter, page).await?;
        Ok(Rows {
            rows: customers.rows.iter().map(view::CustomerSummary::from).collect(),
            next: customers.next,
        })
    }
}

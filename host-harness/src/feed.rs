//! The feed of outcomes as a platform follows it: in pages, or as a stream that goes on.

use std::collections::VecDeque;
use std::time::Duration;

use bss_model::{InstanceId, Outcome, OutcomeCursor};
use futures_core::Stream;
use uuid::Uuid;

use crate::error::Error;
use crate::host::Host;
use crate::view;

/// The interval in which the record is asked for outcomes once a stream has told all that there are.
const LOOK: Duration = Duration::from_millis(250);

/// Outcomes that a stream reads at once.
const PAGE: u32 = 500;

impl Host {
    /// The outcomes after a cursor, the oldest first, at most `limit` of them: an empty list where nothing has come since.
    /// Whatever process bought the license, its outcome is here, and never before it is on record. A host that is
    /// [an owner's](Host::for_owner) has only those of its instances.
    ///
    /// Keep the [cursor](Outcome::cursor) of the last one in the transaction that keeps what you made of it. An outcome comes
    /// again where you did not, and where the record was restored; what you do with it has to be the same a second time.
    ///
    /// # Errors
    /// When the cursor is of another record (`outcome-cursor-unknown`), or the record can't be read.
    pub async fn outcomes(&self, after: OutcomeCursor, limit: u32) -> Result<Vec<Outcome>, Error> {
        Ok(self.record().outcomes(after, limit, self.owner()).await?)
    }

    /// The events after a cursor, as receivers of webhooks are told of them, the oldest first, at most `limit` of them, and where to
    /// go on: for receivers that were not reached for a while. `instances`: only those of some instances.
    ///
    /// # Errors
    /// When the cursor is of another record (`outcome-cursor-unknown`), or the record can't be read.
    pub async fn events(
        &self,
        after: OutcomeCursor,
        limit: u32,
        instances: Option<&[InstanceId]>,
    ) -> Result<view::Events, Error> {
        let instances = instances.map(|ids| ids.iter().copied().map(Uuid::from).collect::<Vec<_>>());
        let record = self.record();
        let events = record.events(after, limit, self.owner(), instances.as_deref());
        let events = events.await?;
        Ok(view::Events {
            rows: events.iter().map(view::Event::from).collect(),
            // Where nothing has come, the place stays: the record's last one would tell how much others do.
            next: events.last().map_or(after, |last| last.outcome.cursor),
        })
    }

    /// The place after the last outcome, for who follows only what comes.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn last_outcome(&self) -> Result<OutcomeCursor, Error> {
        Ok(self.record().last_outcome().await?)
    }

    /// The outcomes after a cursor, as a stream that waits for the next one, and ends when the host is closed. After an error,
    /// the next item is tried from the same place.
    pub fn outcome_stream(
        &self,
        after: OutcomeCursor,
    ) -> impl Stream<Item = Result<Outcome, Error>> + Send + use<> {
        let state = (self.clone(), after, VecDeque::<Outcome>::new());
        futures_util::stream::unfold(state, |(host, mut after, mut read)| async move {
            loop {
                if let Some(outcome) = read.pop_front() {
                    after = outcome.cursor;
                    return Some((Ok(outcome), (host, after, read)));
                }
                match host.outcomes(after, PAGE).await {
                    Ok(page) if page.is_empty() => tokio::time::sleep(LOOK).await,
                    Ok(page) => read.extend(page),
                    Err(_) if host.record().is_closed() => return None,
                    Err(error) => {
                        tokio::time::sleep(LOOK).await;
                        return Some((Err(error), (host, after, read)));
                    }
                }
            }
        })
    }
}

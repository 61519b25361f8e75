//! Patience with a server that is gone for a while: what has happened outside the record is written down once it is back.

use std::time::{Duration, Instant};

use super::{Record, RecordError};

/// How long what has happened is kept until it can be written. A worker's lease is over long before, and another looks up what this one
/// could not write down.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first pause, which doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How much longer a change is tried again, that writes the same however often it is made.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Record {
    /// Patience where a server has the record. A file is there, or is gone for good.
    pub(super) fn patience(&self) -> Patience {
        let patience = if self.is_on_server() {
            PATIENCE
        } else {
            Duration::ZERO
        };
        Patience {
            until: Instant::now() + patience,
            pause: FIRST_PAUSE,
        }
    }
}

impl Patience {
    /// Waits, and says whether to try again after an error: the record could not be reached, or did not say what became of it. What the
    /// database refuses, it refuses again.
    pub(super) async fn allows(&mut self, error: &RecordError) -> bool {
        if !error.is_of_the_way() || Instant::now() + self.pause > self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        true
    }
}

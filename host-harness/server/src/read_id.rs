//! Ids in addresses.

use bss_model::NotAnId;
use uuid::Uuid;

use crate::problem::Problem;

/// The most characters that an answer repeats of what is no id.
const CHARS_SHOWN: usize = 100;

/// Reads the id of something, such as `a cancellation`.
pub(crate) fn read_id(id: &str, of: &'static str) -> Result<Uuid, Problem> {
    Uuid::try_parse(id).map_err(|_| {
        Problem::absent(&NotAnId {
            text: id.chars().take(CHARS_SHOWN).collect(),
            of,
        })
    })
}

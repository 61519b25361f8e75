//! Ids that are given by their first characters.

use bss_model::{IdKind, Owner};
use uuid::Uuid;

use super::stored::id;
use super::{Record, RecordError};

/// The ids that are read of those that begin alike: enough to name them.
const IDS_MAX: i64 = 10;

/// The query for the ids from `$1` up to `$2` at the instances of owner `$3`, or of all where that is NULL.
fn query(kind: IdKind) -> &'static str {
    match kind {
            IdKind::Order => {
                "SELECT orders.id FROM orders JOIN instances ON instances.id = orders.instance_id
                 WHERE orders.id >= $1 AND orders.id < $2 AND ($3 IS NULL OR owner = $3) ORDER BY orders.id LIMIT $4"
            }
            IdKind::Asset => {
                "SELECT assets.id FROM assets JOIN instances ON instances.id = assets.instance_id
                 WHERE assets.id >= $1 AND assets.id < $2 AND ($3 IS NULL OR owner = $3) ORDER BY assets.id LIMIT $4"
            }
            IdKind::Mail => {
                "SELECT mails.id FROM mails JOIN orders ON orders.id = mails.order_id
                 JOIN instances ON instances.id = orders.instance_id
                 WHERE mails.id >= $1 AND mails.id < $2 AND ($3 IS NULL OR owner = $3) ORDER BY mails.id LIMIT $4"
            }
            IdKind::ServicesRun => {
                "SELECT services_runs.id FROM services_runs JOIN instances ON instances.id = services_runs.instance_id
                 WHERE services_runs.id >= $1 AND services_runs.id < $2 AND ($3 IS NULL OR owner = $3)
                 ORDER BY services_runs.id LIMIT $4"
            }
            IdKind::Webhook => {
                "SELECT id FROM webhooks WHERE id >= $1 AND id < $2 AND ($3 IS NULL OR owner = $3) ORDER BY id LIMIT $4"
            }
            IdKind::Delivery => {
                "SELECT deliveries.id FROM deliveries JOIN webhooks ON webhooks.id = deliveries.webhook_id
                 WHERE deliveries.id >= $1 AND deliveries.id < $2 AND ($3 IS NULL OR owner = $3)
                 ORDER BY deliveries.id LIMIT $4"
            }
    }
}

impl Record {
    /// Ids that begin with a text, in their order, at most ten; of the instances of an owner, or of all. A text that is not
    /// the beginning of a UUID begins none.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn ids_beginning(
        &self,
        kind: IdKind,
        text: &str,
        owner: Option<&Owner>,
    ) -> Result<Vec<Uuid>, RecordError> {
        let Some(beginning) = beginning(text) else {
            return Ok(Vec::new());
        };
        // Behind every digit and the hyphen.
        let end = format!("{beginning}g");
        let rows = self
            .readers
            .sql(query(kind))
            .bind(&beginning)
            .bind(end)
            .bind(owner.map(Owner::as_str))
            .bind(IDS_MAX)
            .fetch_all()
            .await?;
        rows.iter().map(|row| id(row, "id")).collect()
    }
}

/// The beginning of a UUID as it is stored, from one in any case, with hyphens or without. `None`: no UUID begins so.
pub(super) fn beginning(text: &str) -> Option<String> {
    const HYPHENS_BEFORE: [usize; 4] = [8, 12, 16, 20];
    let mut stored = String::with_capacity(36);
    let digits = text.chars().filter(|&character| character != '-');
    for (position, digit) in digits.enumerate() {
        if position >= 32 || !digit.is_ascii_hexdigit() {
            return None;
        }
        if HYPHENS_BEFORE.contains(&position) {
            stored.push('-');
        }
        stored.push(digit.to_ascii_lowercase());
    }
    (!stored.is_empty()).then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_may_be_given_by_its_beginning_in_any_spelling() {
        let whole = "8c3f9548-d80b-4763-bb09-b0afca19957c";
        for (text, stored) in [
            ("8", "8"),
            ("8C3F9548", "8c3f9548"),
            ("8c3f9548-", "8c3f9548"),
            ("8c3f9548d80b4", "8c3f9548-d80b-4"),
            (whole, whole),
            ("8C3F9548D80B4763BB09B0AFCA19957C", whole),
        ] {
            assert_eq!(beginning(text).as_deref(), Some(stored), "{text}");
        }
        for no_beginning in ["", "-", "g", "8c3f 9548", "8c3f9548-d80b-4763-bb09-b0afca19957c0"] {
            assert_eq!(beginning(no_beginning), None, "{no_beginning}");
        }
    }
}

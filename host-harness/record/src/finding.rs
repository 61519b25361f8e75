//! Finding: what is on record of a text that somebody has, such as a shop's number, a name or the end of a product key.
//!
//! Names and addresses are compared without regard to case and accents, in any script. SQLite folds ASCII letters alone, so
//! that it reads the rows that could match, and these are compared here.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{Contact, Finds, Found, FoundBy, FoundKind, InstanceId, Owner, Party, SerialNumber};
use futures_util::TryStreamExt as _;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

use super::assets::KEY_DIGEST;
use super::short_ids::beginning;
use super::stored::{from_json, id, optional};
use super::{Record, RecordError};
use crate::database::Row;

/// The shortest beginning of an id, of a purchase's or an exchange's name: shorter ones are words, too.
const NAME_CHARS_MIN: usize = 8;

/// The shortest beginning of an id of a UUID's form.
const ID_CHARS_MIN: usize = 4;

/// The characters of a group of a product key.
const GROUP_CHARS: usize = 5;

/// The columns of what is found, and the tables that they are in. A condition follows.
macro_rules! found {
    ($id:literal, $at_ms:literal, $from:literal) => {
        concat!(
            "SELECT CAST(",
            $id,
            " AS TEXT) AS found_id, ",
            $at_ms,
            " AS at_ms, orders.id AS order_id, orders.customer, orders.instance_id, instances.name AS instance
             FROM ",
            $from,
            " JOIN instances ON instances.id = orders.instance_id
             WHERE ($1 IS NULL OR instances.owner = $1) AND "
        )
    };
}

const ORDERS_BY_ID: &str = concat!(
    found!("orders.id", "orders.placed_at_ms", "orders"),
    "orders.id >= $2 AND orders.id < $2 || 'g' ORDER BY at_ms DESC LIMIT $3"
);
const ASSETS_BY_ID: &str = concat!(
    found!(
        "assets.id",
        "assets.created_at_ms",
        "assets JOIN orders ON orders.id = assets.order_id"
    ),
    "assets.id >= $2 AND assets.id < $2 || 'g' ORDER BY at_ms DESC LIMIT $3"
);
const CANCELLATIONS_BY_ID: &str = concat!(
    found!(
        "cancellations.id",
        "cancellations.requested_at_ms",
        "cancellations JOIN assets ON assets.id = cancellations.asset_id JOIN orders ON orders.id = assets.order_id"
    ),
    "cancellations.id >= $2 AND cancellations.id < $2 || 'g' ORDER BY at_ms DESC LIMIT $3"
);
const MAILS_BY_ID: &str = concat!(
    found!(
        "mails.id",
        "mails.created_at_ms",
        "mails JOIN orders ON orders.id = mails.order_id"
    ),
    "mails.id >= $2 AND mails.id < $2 || 'g' ORDER BY at_ms DESC LIMIT $3"
);
/// E-mails by an address that they were sent to, which the customer may not have any more.
const MAILS_BY_ADDRESS: &str = concat!(
    found!(
        "mails.id",
        "mails.created_at_ms",
        "mails JOIN orders ON orders.id = mails.order_id"
    ),
    "lower(mails.sent_to) LIKE '%' || lower($2) || '%' ESCAPE '\\' ORDER BY at_ms DESC LIMIT $3"
);
const CHARGES_BY_NUMBER: &str = concat!(
    found!(
        "charges.id",
        "charges.charged_at_ms",
        "charges JOIN orders ON orders.id = charges.order_id"
    ),
    "charges.prefix = $2 AND charges.number = CAST($4 AS BIGINT) ORDER BY at_ms DESC LIMIT $3"
);
const CREDITS_BY_NUMBER: &str = concat!(
    found!(
        "credits.id",
        "credits.credited_at_ms",
        "credits JOIN orders ON orders.id = credits.order_id"
    ),
    "credits.prefix = $2 AND credits.number = CAST($4 AS BIGINT) ORDER BY at_ms DESC LIMIT $3"
);
const ASSETS_BY_KEY: &str = concat!(
    found!(
        "assets.id",
        "assets.created_at_ms",
        "assets JOIN orders ON orders.id = assets.order_id"
    ),
    "($4 LIKE '%' || assets.product_key_digest || '%' OR lower(assets.masked_product_key) LIKE '%-' || lower($2) ESCAPE '\\')
     ORDER BY at_ms DESC LIMIT $3"
);
/// The beginning of a name as it was typed, and in lower case, in which the host writes its own: ranges, which indexes have.
const ASSETS_BY_PURCHASE: &str = concat!(
    found!(
        "assets.id",
        "assets.created_at_ms",
        "assets JOIN orders ON orders.id = assets.order_id"
    ),
    "assets.id IN (
         SELECT id FROM assets WHERE transaction_id >= $2 AND transaction_id < $2 || '\u{10ffff}'
         UNION SELECT id FROM assets WHERE transaction_id >= $4 AND transaction_id < $4 || '\u{10ffff}'
         UNION SELECT id FROM assets WHERE license_token_id >= $2 AND license_token_id < $2 || '\u{10ffff}'
         UNION SELECT id FROM assets WHERE license_token_id >= $4 AND license_token_id < $4 || '\u{10ffff}'
         UNION SELECT id FROM assets WHERE client_transaction_id >= $4 AND client_transaction_id < $4 || '\u{10ffff}')
     ORDER BY at_ms DESC LIMIT $3"
);
/// A problem is stored as JSON, in which only quotation marks, backslashes and control characters are escaped; ids have none.
/// PostgreSQL's JSON functions, by which an erasure leaves the id in place, put a space behind each colon.
const ASSETS_BY_EXCHANGE: &str = concat!(
    found!("assets.id", "assets.created_at_ms", "assets JOIN orders ON orders.id = assets.order_id"),
    "assets.id IN (
         SELECT asset_id FROM attempts WHERE replace(lower(problem), '\": \"', '\":\"') LIKE '%\"correlation_id\":\"' || lower($2) || '%' ESCAPE '\\'
         UNION SELECT asset_id FROM cancellations JOIN return_attempts ON return_attempts.cancellation_id = cancellations.id
         WHERE replace(lower(return_attempts.problem), '\": \"', '\":\"') LIKE '%\"correlation_id\":\"' || lower($2) || '%' ESCAPE '\\')
     ORDER BY at_ms DESC LIMIT $3"
);
/// Orders whose customer, contact or idempotency key may be like the text, the latest first.
const ORDERS_BY_PARTY: &str = "
    SELECT orders.id, orders.customer, orders.contact, orders.idempotency_key, orders.placed_at_ms, orders.instance_id, instances.name AS instance
    FROM orders JOIN instances ON instances.id = orders.instance_id
    WHERE ($1 IS NULL OR instances.owner = $1)
    AND (lower(orders.customer) LIKE lower($2) ESCAPE '\\' OR lower(orders.contact) LIKE lower($2) ESCAPE '\\'
         OR lower(orders.idempotency_key) LIKE lower($2) ESCAPE '\\')
    ORDER BY orders.placed_at_ms DESC";

impl Record {
    /// Finds what a text may mean, at the instances of an owner or at all: ids by their beginning, idempotency keys, customers by
    /// id, name or e-mail address, licenses by the end of their product key or the whole of it, purchases and exchanges by their
    /// names at the vendor, charges and credits by number, e-mails by the address that they were sent to. At most `limit` of each
    /// kind and reason. An empty text finds nothing.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn find(&self, text: &str, owner: Option<&Owner>, limit: u32) -> Result<Finds, RecordError> {
        let search = Search {
            record: self,
            text: text.trim(),
            owner,
            limit,
        };
        let mut finds = Finds::default();
        if search.text.is_empty() {
            return Ok(finds);
        }
        // Each reads much of the record through, by a connection of its own.
        let (ids, numbers, parties, addresses, keys, purchases, exchanges) = tokio::try_join!(
            search.by_id(),
            search.by_number(),
            search.by_party(),
            search.by_sent_address(),
            search.by_product_key(),
            search.by_purchase(),
            search.by_exchange(),
        )?;
        for some in [ids, numbers, parties, addresses, keys, purchases, exchanges] {
            finds.has_more |= some.has_more;
            finds.found.extend(some.found);
        }
        // What is like the text in several ways is found once, by the first of them.
        let mut seen = BTreeSet::new();
        finds
            .found
            .retain(|found| seen.insert((found.kind, found.id.clone(), found.instance_id)));
        finds
            .found
            .sort_by_key(|found| (found.kind, std::cmp::Reverse(found.at_ms)));
        Ok(finds)
    }
}

/// A text that is looked for.
struct Search<'a> {
    record: &'a Record,
    text: &'a str,
    owner: Option<&'a Owner>,
    limit: u32,
}

impl Search<'_> {
    async fn by_id(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        let Some(beginning) = beginning(self.text).filter(|beginning| beginning.len() >= ID_CHARS_MIN) else {
            return Ok(finds);
        };
        for (kind, query) in [
            (FoundKind::Order, ORDERS_BY_ID),
            (FoundKind::Asset, ASSETS_BY_ID),
            (FoundKind::Cancellation, CANCELLATIONS_BY_ID),
            (FoundKind::Mail, MAILS_BY_ID),
        ] {
            self.add(&mut finds, (kind, FoundBy::Id), query, &beginning, "")
                .await?;
        }
        Ok(finds)
    }

    async fn by_number(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        let Ok(number) = self.text.parse::<SerialNumber>() else {
            return Ok(finds);
        };
        for (kind, query) in [
            (FoundKind::Charge, CHARGES_BY_NUMBER),
            (FoundKind::Credit, CREDITS_BY_NUMBER),
        ] {
            let from = finds.found.len();
            self.add(
                &mut finds,
                (kind, FoundBy::Id),
                query,
                &number.prefix,
                &number.number.to_string(),
            )
            .await?;
            for found in finds.found.iter_mut().skip(from) {
                found.id = number.to_string();
            }
        }
        Ok(finds)
    }

    /// Orders by their keys, and customers by the first of their orders that is like the text.
    async fn by_party(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        let wanted = folded(self.text);
        let mut rows = self
            .record
            .readers
            .sql(ORDERS_BY_PARTY)
            .bind(self.owner.map(Owner::as_str))
            .bind(format!("%{}%", escaped(plain_part(&wanted))))
            .fetch();
        let mut customers = BTreeMap::<(String, InstanceId), Found>::new();
        let mut orders = Vec::new();
        let limit = self.limit as usize;
        while let Some(row) = rows.try_next().await? {
            let order = OrderOf::read(&row)?;
            if orders.len() <= limit && order.key.as_ref().is_some_and(|key| is_in(&wanted, key)) {
                orders.push(order.found(FoundKind::Order, order.id.to_string(), FoundBy::IdempotencyKey));
            }
            if let Some(by) = order.is_like(&wanted) {
                let found = order.found(FoundKind::Customer, order.customer.id.clone(), by);
                let of_customer = (found.id.clone(), found.instance_id);
                if customers.len() <= limit || customers.contains_key(&of_customer) {
                    customers.entry(of_customer).or_insert(found);
                }
            }
            if orders.len() > limit && customers.len() > limit {
                break;
            }
        }
        finds.has_more |= orders.len() > limit || customers.len() > limit;
        let mut customers: Vec<Found> = customers.into_values().collect();
        customers.sort_by_key(|found| std::cmp::Reverse(found.at_ms));
        finds.found.extend(orders.into_iter().take(limit));
        finds.found.extend(customers.into_iter().take(limit));
        Ok(finds)
    }

    async fn by_sent_address(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        if !self.text.contains('@') {
            return Ok(finds);
        }
        let address = escaped(self.text);
        let found = (FoundKind::Mail, FoundBy::Email);
        self.add(&mut finds, found, MAILS_BY_ADDRESS, &address, "")
            .await?;
        Ok(finds)
    }

    async fn by_product_key(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        let Some(key) = product_key(self.text) else {
            return Ok(finds);
        };
        // Until all is sealed with one host key, a key may be on record with the digest of each.
        let digests = self.record.host_key.digests(KEY_DIGEST, &key).join(" ");
        let end = escaped(&key);
        let found = (FoundKind::Asset, FoundBy::ProductKey);
        self.add(&mut finds, found, ASSETS_BY_KEY, &end, &digests).await?;
        Ok(finds)
    }

    async fn by_purchase(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        if self.text.chars().count() >= NAME_CHARS_MIN {
            let (kind, lower) = ((FoundKind::Asset, FoundBy::PurchaseId), self.text.to_lowercase());
            self.add(&mut finds, kind, ASSETS_BY_PURCHASE, self.text, &lower)
                .await?;
        }
        Ok(finds)
    }

    async fn by_exchange(&self) -> Result<Finds, RecordError> {
        let mut finds = Finds::default();
        if self.text.chars().count() >= NAME_CHARS_MIN && !self.text.contains(['"', '\\']) {
            let (kind, name) = ((FoundKind::Asset, FoundBy::CorrelationId), escaped(self.text));
            self.add(&mut finds, kind, ASSETS_BY_EXCHANGE, &name, "").await?;
        }
        Ok(finds)
    }

    /// Adds what a query finds for the owner `$1`, the text `$2`, `$3` rows at most, and another text `$4`.
    async fn add(
        &self,
        finds: &mut Finds,
        (kind, by): (FoundKind, FoundBy),
        query: &'static str,
        text: &str,
        other: &str,
    ) -> Result<(), RecordError> {
        let rows = self
            .record
            .readers
            .sql(query)
            .bind(self.owner.map(Owner::as_str))
            .bind(text)
            .bind(i64::from(self.limit) + 1)
            .bind(other)
            .fetch_all()
            .await?;
        finds.has_more |= rows.len() > self.limit as usize;
        for row in rows.iter().take(self.limit as usize) {
            finds.found.push(Found {
                kind,
                id: row.try_get::<String, _>("found_id")?,
                by,
                order_id: id(row, "order_id")?,
                instance_id: InstanceId(id(row, "instance_id")?),
                instance: row.try_get("instance")?,
                customer: from_json(row, "customer")?,
                at_ms: row.try_get("at_ms")?,
            });
        }
        Ok(())
    }
}

/// What of an order can be like a text.
struct OrderOf {
    id: Uuid,
    customer: Party,
    contact: Option<Contact>,
    key: Option<String>,
    instance_id: InstanceId,
    instance: String,
    placed_at_ms: i64,
}

impl OrderOf {
    fn read(row: &Row) -> Result<Self, RecordError> {
        Ok(Self {
            id: id(row, "id")?,
            customer: from_json(row, "customer")?,
            contact: optional(row, "contact", from_json)?,
            key: row.try_get("idempotency_key")?,
            instance_id: InstanceId(id(row, "instance_id")?),
            instance: row.try_get("instance")?,
            placed_at_ms: row.try_get("placed_at_ms")?,
        })
    }

    /// What of the customer has a folded text. `None`: nothing has.
    fn is_like(&self, wanted: &str) -> Option<FoundBy> {
        let email = self.contact.as_ref().map(|contact| contact.email.as_str());
        [
            (Some(self.customer.id.as_str()), FoundBy::CustomerId),
            (Some(self.customer.name.as_str()), FoundBy::CustomerName),
            (email, FoundBy::Email),
        ]
        .into_iter()
        .find_map(|(text, by)| is_in(wanted, text?).then_some(by))
    }

    fn found(&self, kind: FoundKind, id: String, by: FoundBy) -> Found {
        Found {
            kind,
            id,
            by,
            order_id: self.id,
            instance_id: self.instance_id,
            instance: self.instance.clone(),
            customer: self.customer.clone(),
            at_ms: self.placed_at_ms,
        }
    }
}

/// Whether a folded text is in another, whatever the case and the accents there.
fn is_in(wanted: &str, text: &str) -> bool {
    match text.is_ascii() {
        // Nearly all texts are: nothing of them needs to be decomposed.
        true => text.to_ascii_lowercase().contains(wanted),
        false => folded(text).contains(wanted),
    }
}

/// A text in lower case, without accents, as people type it: `Παπαδόπουλος` as `παπαδοπουλοσ`, `Weiß` as `weiss`.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.to_lowercase().nfd().filter(|&c| !is_combining_mark(c)) {
        match character {
            'ς' => folded.push('σ'),
            'ß' => folded.push_str("ss"),
            other => folded.push(other),
        }
    }
    folded
}

/// The longest part of a folded text that stands in the record as it is, in ASCII and unescaped in JSON. Letters are none: an
/// accent may be on them there. Empty: there is none, and every row may be like the text.
fn plain_part(text: &str) -> &str {
    let is_plain =
        |character: char| character.is_ascii_digit() || matches!(character, '@' | '.' | '-' | '_' | ' ');
    text.split(|character: char| !is_plain(character))
        .max_by_key(|part| part.len())
        .unwrap_or_default()
}

/// A text as the end of a product key, or the whole of one, in groups as keys are stored: with spaces for hyphens, or, where it
/// is as long as several groups of five characters, without any. `None`: it can't be of one.
fn product_key(text: &str) -> Option<String> {
    let key: String = text
        .to_ascii_uppercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join("-");
    let is_key = |character: char| character.is_ascii_alphanumeric() || character == '-';
    if key.len() < ID_CHARS_MIN || !key.chars().all(is_key) {
        return None;
    }
    let is_without_groups =
        !key.contains('-') && key.len() > GROUP_CHARS && key.len().is_multiple_of(GROUP_CHARS);
    if !is_without_groups {
        return Some(key);
    }
    let groups: Vec<&str> = (0..key.len() / GROUP_CHARS)
        .map(|group| &key[group * GROUP_CHARS..][..GROUP_CHARS])
        .collect();
    Some(groups.join("-"))
}

/// A text as a pattern of `LIKE` that matches it alone.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_compared_as_people_type_it() {
        assert_eq!(folded("ΠΑΠΑΔΌΠΟΥΛΟΣ"), folded("παπαδοπουλος"));
        assert_eq!(folded("Weiß Élan İ"), "weiss elan i");
        assert!(is_in("muller", "Müller"));
        assert!(is_in("muller", "MULLER"));
        assert!(!is_in("mueller", "Müller"));
    }

    #[test]
    fn a_product_key_is_known_however_its_groups_are_typed() {
        for (typed, key) in [
            ("x4y5z", Some("X4Y5Z")),
            ("22333-x4y5z", Some("22333-X4Y5Z")),
            ("22333 x4y5z", Some("22333-X4Y5Z")),
            ("3f9kd1111122333x4y5z", Some("3F9KD-11111-22333-X4Y5Z")),
            ("abcdefg", Some("ABCDEFG")),
            ("4y5", None),
            ("3f9kd/1", None),
        ] {
            assert_eq!(product_key(typed).as_deref(), key, "{typed}");
        }
    }

    #[test]
    fn the_longest_part_that_stands_in_the_record_as_it_is_is_looked_for() {
        assert_eq!(plain_part("muller-24 gmbh"), "-24 ");
        assert_eq!(plain_part("παπαδοπουλοσ"), "");
        assert_eq!(plain_part("1\"23"), "23");
        assert_eq!(escaped(r"50%_\"), r"50\%\_\\");
    }

    const ROWS: [&str; 4] = [
        "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities, services_entity_tag,
                                created_at_ms)
         VALUES ($1, '', 'shop', 'EUR', '{}', '{}', 'ready', 1, '{}', '[]', '', 1)",
        "INSERT INTO orders (id, instance_id, request_digest, customer, customer_id, contact, placed_at_ms)
         VALUES ($1, $1, '', '{\"id\":\"c\",\"name\":\"n\",\"country\":\"GR\"}', 'c', NULL, 1)",
        "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id, client_transaction_id,
                             status, sync_status, return_status, created_at_ms, wanted_since_ms)
         VALUES ($1, $1, $1, 1, 'p', 'P', 0, 'c', $1, 'active', 'unsynchronised', 'none', 1, 1)",
        "INSERT INTO charges (instance_id, prefix, number, order_id, customer_id, charged_at_ms) VALUES ($1, 'SHOP', 7, $1, 'c', 1)",
    ];

    #[tokio::test]
    async fn charges_are_found_by_number_and_exchanges_by_the_vendor_s_id_however_the_engine_spells_json() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        crate::test_record::without_references(&record).await;
        let id = uuid::Uuid::from_u128(7);
        for row in ROWS {
            let row = record.writer.sql(row).bind(id.to_string());
            row.execute().await.unwrap();
        }
        let found = record.find("SHOP-000007", None, 9).await.unwrap().found;
        let found: Vec<_> = found.iter().map(|found| (found.kind, found.by)).collect();
        assert_eq!(found, [(FoundKind::Charge, FoundBy::Id)]);
        for (number, problem) in [
            (1_i64, r#"{"correlation_id":"Exchange-1"}"#),
            (2, r#"{"correlation_id": "Exchange-2"}"#),
        ] {
            let attempt = record.writer.sql(
                "INSERT INTO attempts (asset_id, number, client_transaction_id, begun_at_ms, problem) VALUES ($1, $2, $1, 1, $3)",
            );
            let attempt = attempt.bind(id.to_string()).bind(number).bind(problem);
            attempt.execute().await.unwrap();
            let found = record
                .find(&format!("exchange-{number}"), None, 9)
                .await
                .unwrap()
                .found;
            assert_eq!(found.len(), 1, "{problem}");
            assert_eq!(found[0].by, FoundBy::CorrelationId);
        }
    }
}

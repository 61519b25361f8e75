//! Values in the form in which the database stores them.

use bss_keys::KeyDigest;
use bss_model::moment::{Boot, Moment, Uptime};
use bss_model::{NotADigest, NotAThumbprint, NotAnOwner, Owner, PluginDigest, Thumbprint};
use uuid::Uuid;

use super::RecordError;
use crate::database::{Builder, Row};

/// Rows per statement: at most 12 values each, where SQLite takes 32,766 and PostgreSQL 65,535 values.
pub(super) const ROWS_PER_STATEMENT: usize = 1000;

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, RecordError> {
    serde_json::to_string(value).map_err(|error| RecordError::Damaged {
        what: format!("a value can't be written as JSON: {error}"),
    })
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> Result<T, RecordError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| RecordError::Damaged {
        what: format!("column `{column}`: {error}"),
    })
}

/// Whether a key opens what a row is of: the row's key, or the former one as long as that is taken too.
pub(super) fn opens(row: &Row, shown: &KeyDigest, now_ms: i64) -> Result<bool, RecordError> {
    let key: Option<Vec<u8>> = row.try_get("key_digest")?;
    let former: Option<Vec<u8>> = row.try_get("former_key_digest")?;
    let until: Option<i64> = row.try_get("former_key_until_ms")?;
    let former = former.filter(|_| until.is_some_and(|until| now_ms < until));
    let is_shown =
        |digest: Option<Vec<u8>>| digest.is_some_and(|digest| shown.is_same(&KeyDigest::from_bytes(digest)));
    Ok(is_shown(key) | is_shown(former))
}

/// Reads a column that may be null.
pub(super) fn optional<T>(
    row: &Row,
    column: &str,
    read: impl FnOnce(&Row, &str) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    match row.is_null(column)? {
        true => Ok(None),
        false => read(row, column).map(Some),
    }
}

/// Leaves instances out of a query that has a condition already.
pub(super) fn without_instances(query: &mut Builder, column: &str, instances: &[Uuid]) {
    for instance in instances {
        query
            .push(format!(" AND {column} <> "))
            .push_bind(instance.to_string());
    }
}

/// Appends ids as bound values, separated by commas.
pub(super) fn push_ids(query: &mut Builder, ids: &[Uuid]) {
    // PostgreSQL has no empty list; nothing is equal to this.
    if ids.is_empty() {
        query.push("NULL");
    }
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id.to_string());
    }
}

pub(super) fn id(row: &Row, column: &str) -> Result<Uuid, RecordError> {
    let text: &str = row.try_get(column)?;
    Uuid::try_parse(text).map_err(|_| RecordError::Damaged {
        what: format!("column `{column}` contains `{text}`, which is not a UUID"),
    })
}

/// An owner as a column has it: empty for what is the operator's own, so that it is a part of keys.
pub(super) fn owner_column(owner: Option<&Owner>) -> &str {
    owner.map_or("", Owner::as_str)
}

pub(super) fn owner(row: &Row) -> Result<Option<Owner>, RecordError> {
    let text: &str = row.try_get("owner")?;
    let owner = (!text.is_empty()).then(|| text.parse());
    owner
        .transpose()
        .map_err(|error: NotAnOwner| RecordError::Damaged {
            what: format!("column `owner`: {error}"),
        })
}

pub(super) fn thumbprint(row: &Row, column: &str) -> Result<Thumbprint, RecordError> {
    let text: &str = row.try_get(column)?;
    text.parse()
        .map_err(|error: NotAThumbprint| RecordError::Damaged {
            what: format!("column `{column}`: {error}"),
        })
}

/// Reads a moment from the columns of its wall clock and its uptime; `boot` has the boot. `None`: it has not come.
pub(super) fn moment(
    row: &Row,
    wall_column: &str,
    uptime_column: &str,
) -> Result<Option<Moment>, RecordError> {
    let wall_ms: Option<i64> = row.try_get(wall_column)?;
    let ms: Option<i64> = row.try_get(uptime_column)?;
    let boot = optional(row, "boot", id)?;
    Ok(wall_ms.map(|wall_ms| Moment {
        wall_ms,
        uptime: boot.zip(ms).map(|(boot, ms)| Uptime { boot: Boot(boot), ms }),
    }))
}

/// The moment that a row must have.
pub(super) fn certain(moment: Option<Moment>, column: &str) -> Result<Moment, RecordError> {
    moment.ok_or_else(|| RecordError::Damaged {
        what: format!("column `{column}` is empty"),
    })
}

/// A moment's boot, as it is stored.
pub(super) fn boot(moment: Moment) -> Option<String> {
    moment.uptime.map(|uptime| uptime.boot.0.to_string())
}

/// A moment's uptime, as it is stored.
pub(super) fn uptime_ms(moment: Moment) -> Option<i64> {
    moment.uptime.map(|uptime| uptime.ms)
}

pub(super) fn plugin_digest(row: &Row, column: &str) -> Result<PluginDigest, RecordError> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error: NotADigest| RecordError::Damaged {
        what: format!("column `{column}`: {error}"),
    })
}

pub(super) fn count(row: &Row, column: &str) -> Result<u32, RecordError> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(|_| RecordError::Damaged {
        what: format!("column `{column}` contains {number}, which is out of range"),
    })
}

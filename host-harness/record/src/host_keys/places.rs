//! Every place in the record where sealed values are, and what each of them is sealed for.

use bss_model::{Reach, SavedProxy};
use data_encoding::BASE64;

use crate::assets::{key_purpose, link_purpose};
use crate::database::Row;
use crate::instance_proxies::proxy_purpose;
use crate::instances::secret_purpose;
use crate::stored::{from_json, id, owner, thumbprint, to_json};
use crate::{RecordError, certificate_store, mail_settings, webhooks};

/// The purpose of the check by which a wrong host key shows.
pub(crate) const KEY_CHECK_PURPOSE: &str = "check of the host key";
/// The purpose of the name space that ids of orders are made in. Never change it.
pub(super) const ORDER_IDS: &str = "ids of orders";

/// A column with sealed values.
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// The columns that tell the rows apart, all of them text. None: the table has one row.
    pub(super) row: &'static [&'static str],
    pub(super) form: Form,
    /// What a row's value is sealed for.
    pub(super) purpose: fn(&Row) -> Result<String, RecordError>,
    pub(super) digest: Digest,
}

/// The way in which a column has a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As its bytes.
    Bytes,
    /// In base64, as the password of a proxy in an instance's [`Reach`].
    ProxyPassword,
}

/// The digest that is on record beside a value, made with the key that sealed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    None,
    /// A product key's, in a column of the same row.
    ProductKey,
    /// An instance's secret's, among the settings of the instance.
    InstanceSecret,
}

/// A value to be bound in the place of another.
pub(super) enum Stored {
    Bytes(Vec<u8>),
    Text(String),
}

/// All places, but for [`CHECKS`].
pub(super) const PLACES: &[Place] = &[
    Place {
        table: "certificates",
        column: "sealed_private_key",
        row: &["owner", "thumbprint"],
        form: Form::Bytes,
        purpose: |row| {
            let certificate = thumbprint(row, "thumbprint")?;
            Ok(certificate_store::key_purpose(owner(row)?.as_ref(), &certificate))
        },
        digest: Digest::None,
    },
    Place {
        table: "certificate_requests",
        column: "sealed_private_key",
        row: &["owner", "public_key"],
        form: Form::Bytes,
        purpose: |row| {
            let public_key = thumbprint(row, "public_key")?;
            Ok(certificate_store::request_purpose(
                owner(row)?.as_ref(),
                &public_key,
            ))
        },
        digest: Digest::None,
    },
    Place {
        table: "assets",
        column: "sealed_product_key",
        row: &["id"],
        form: Form::Bytes,
        purpose: |row| Ok(key_purpose(id(row, "id")?)),
        digest: Digest::ProductKey,
    },
    Place {
        table: "assets",
        column: "sealed_activation_link",
        row: &["id"],
        form: Form::Bytes,
        purpose: |row| Ok(link_purpose(id(row, "id")?)),
        digest: Digest::None,
    },
    Place {
        table: "mail_settings",
        column: "sealed_password",
        row: &[],
        form: Form::Bytes,
        purpose: |_| Ok(mail_settings::PASSWORD_PURPOSE.to_owned()),
        digest: Digest::None,
    },
    Place {
        table: "instance_secrets",
        column: "sealed_secret",
        row: &["instance_id", "field"],
        form: Form::Bytes,
        purpose: |row| Ok(secret_purpose(id(row, "instance_id")?, row.try_get("field")?)),
        digest: Digest::InstanceSecret,
    },
    Place {
        table: "instances",
        column: "reach",
        row: &["id"],
        form: Form::ProxyPassword,
        purpose: |row| Ok(proxy_purpose(id(row, "id")?)),
        digest: Digest::None,
    },
    Place {
        table: "webhooks",
        column: "sealed_keys",
        row: &["id"],
        form: Form::Bytes,
        purpose: |row| Ok(webhooks::purpose(id(row, "id")?)),
        digest: Digest::None,
    },
    Place {
        table: "webhooks",
        column: "sealed_former_keys",
        row: &["id"],
        form: Form::Bytes,
        purpose: |row| Ok(webhooks::purpose(id(row, "id")?)),
        digest: Digest::None,
    },
];

/// The places whose values are sealed again once those of all others are: as long as they need a key, a record is not opened
/// without it.
pub(super) const CHECKS: &[Place] = &[
    Place {
        table: "host_key_checks",
        column: "sealed_order_ids",
        row: &[],
        form: Form::Bytes,
        purpose: |_| Ok(ORDER_IDS.to_owned()),
        digest: Digest::None,
    },
    Place {
        table: "host_key_checks",
        column: "sealed",
        row: &[],
        form: Form::Bytes,
        purpose: |_| Ok(KEY_CHECK_PURPOSE.to_owned()),
        digest: Digest::None,
    },
];

impl Place {
    /// The sealed value of a row. `None`: the row has none.
    pub(super) fn sealed(&self, row: &Row) -> Result<Option<Vec<u8>>, RecordError> {
        match self.form {
            Form::Bytes => Ok(row.try_get(self.column)?),
            Form::ProxyPassword => {
                let mut reach: Reach = from_json(row, self.column)?;
                let decode = |text: &mut String| {
                    BASE64.decode(text.as_bytes()).map_err(|_| RecordError::Damaged {
                        what: "the sealed password of a proxy is not base64".to_owned(),
                    })
                };
                password_in(&mut reach).map(decode).transpose()
            }
        }
    }

    /// What is to stand in the column in the place of a row's value.
    pub(super) fn stored(&self, row: &Row, sealed: Vec<u8>) -> Result<Stored, RecordError> {
        match self.form {
            Form::Bytes => Ok(Stored::Bytes(sealed)),
            Form::ProxyPassword => {
                let mut reach: Reach = from_json(row, self.column)?;
                if let Some(password) = password_in(&mut reach) {
                    *password = BASE64.encode(&sealed);
                }
                Ok(Stored::Text(to_json(&reach)?))
            }
        }
    }
}

/// The sealed password of a proxy. `None`: there is no proxy, or it needs none.
fn password_in(reach: &mut Reach) -> Option<&mut String> {
    match &mut reach.proxy {
        Some(SavedProxy::Through {
            sealed_password: Some(password),
            ..
        }) => Some(password),
        Some(SavedProxy::Through { .. } | SavedProxy::Direct) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;
    use crate::migrations::MIGRATIONS;

    fn all() -> impl Iterator<Item = &'static Place> {
        PLACES.iter().chain(CHECKS)
    }

    #[tokio::test]
    async fn every_column_that_is_called_sealed_is_a_place_and_every_place_is_a_column() {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await
            .unwrap();
        MIGRATIONS.run(&pool).await.unwrap();
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let columns: BTreeSet<_> = columns.into_iter().collect();
        let places: BTreeSet<_> = all()
            .map(|place| (place.table.to_owned(), place.column.to_owned()))
            .collect();
        assert_eq!(places.len(), PLACES.len() + CHECKS.len());
        assert!(
            places.is_subset(&columns),
            "no such column: {:?}",
            places.difference(&columns)
        );
        let sealed: BTreeSet<_> = columns
            .into_iter()
            .filter(|(_, column)| column.starts_with("sealed"))
            .collect();
        assert!(sealed.len() > 9, "{sealed:?}");
        assert!(
            sealed.is_subset(&places),
            "not rotated: {:?}",
            sealed.difference(&places)
        );
    }

    /// Sealed values in JSON are in no column of that name, so each file that seals is named here with the number of its places.
    #[test]
    fn each_file_that_seals_a_value_is_known_to_the_rotation() {
        let known = [
            ("attempts.rs", 2),
            ("certificate_store.rs", 1),
            ("host_keys.rs", 2),
            ("instance_proxies.rs", 1),
            ("instances.rs", 1),
            ("lib.rs", 1),
            ("mail_settings.rs", 1),
            ("requests.rs", 1),
            // The present and the former keys are sealed by a single function.
            ("webhooks.rs", 1),
        ];
        let mut found = BTreeMap::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let seals = product.matches(".seal(").count();
                if seals > 0 && !["races.rs", "tests.rs"].contains(&name.as_str()) {
                    found.insert(name, seals);
                }
            }
        }
        assert_eq!(
            found,
            known.map(|(name, seals)| (name.to_owned(), seals)).into(),
            "add the value that is sealed there to PLACES"
        );
    }
}

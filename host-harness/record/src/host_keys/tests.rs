//! Batches of a rotation, and a record of the time when sealed values did not name their key.

use std::path::Path;
use std::sync::Arc;

use bss_keys::HostKeySource;
use bss_model::NewWebhook;
use tempfile::TempDir;

use super::*;

fn actor() -> Actor {
    Actor::operator("test")
}

fn private_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A host key of others, the first of which seals.
fn of(keys: &[&HostKey]) -> Arc<HostKey> {
    let lines: Vec<_> = keys
        .iter()
        .map(|key| key.to_base64().expose().to_owned())
        .collect();
    Arc::new(HostKey::from_base64(&lines.join("\n"), "test").unwrap())
}

async fn open(folder: &Path, key: Arc<HostKey>) -> Result<Record, RecordError> {
    Record::open_or_create(folder, &HostKeySource::Given(key)).await
}

async fn webhooks(record: &Record, count: usize) -> Vec<Uuid> {
    let mut made = Vec::new();
    for _ in 0..count {
        let new = NewWebhook {
            url: "https://shop.example/hooks".to_owned(),
            owner: None,
            kinds: Vec::new(),
            allowed_networks: Vec::new(),
            trusted_authorities_pem: None,
        };
        made.push(record.create_webhook(new, &actor()).await.unwrap().0.id);
    }
    made
}

/// Seals a secret in the place of whatever is in a column of sealed values, as tests need that fill tables.
pub(crate) async fn seal_in_every_place(record: &Record) {
    for place in PLACES.iter().filter(|place| place.form == Form::Bytes) {
        let rows = record
            .writer
            .build(&mut select(place, None))
            .fetch_all()
            .await
            .unwrap();
        for row in &rows {
            let sealed = record
                .host_key
                .seal(&(place.purpose)(row).unwrap(), b"secret")
                .unwrap();
            let mut update = Builder::new("UPDATE ");
            update
                .push(place.table)
                .push(" SET ")
                .push(place.column)
                .push(" = ")
                .push_bind(sealed);
            update.push(" WHERE 1 = 1");
            for (column, name) in place.row.iter().zip(names(place, row).unwrap()) {
                update.push(" AND ").push(column).push(" = ").push_bind(name);
            }
            record.writer.build(&mut update).execute().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_rotation_that_is_killed_between_two_batches_goes_on_where_it_was_and_loses_nothing() {
    let folder = private_folder();
    let [old, new] = [(); 2].map(|()| HostKey::generate().unwrap());
    let record = open(folder.path(), of(&[&old])).await.unwrap();
    let webhooks = webhooks(&record, 5).await;
    record.close().await;
    let record = open(folder.path(), of(&[&new, &old])).await.unwrap();
    let place = PLACES.iter().find(|place| place.column == "sealed_keys").unwrap();
    let first = record.seal_batch(place, None, 2).await.unwrap();
    assert_eq!(first.values, 2);
    let second = record.seal_batch(place, first.last.as_deref(), 2).await.unwrap();
    assert_eq!(second.values, 2);
    // The process is gone here.
    record.close().await;

    let needs = |id: KeyId| move |error: &RecordError| matches!(error, RecordError::WrongHostKey { needs: Some(needs), .. } if *needs == id);
    let error = open(folder.path(), of(&[&new])).await.unwrap_err();
    assert!(needs(old.id())(&error), "{error:?}");
    let record = open(folder.path(), of(&[&new, &old])).await.unwrap();
    // A webhook's keys are left, and the checks.
    assert_eq!(record.values_of_former_host_keys().await.unwrap(), Some(3));
    for webhook in &webhooks {
        assert_eq!(record.webhook_keys(*webhook).await.unwrap().len(), 1);
    }
    let third = record.seal_batch(place, second.last.as_deref(), 2).await.unwrap();
    assert_eq!((third.values, third.last), (1, None));
    let mut told = Vec::new();
    let rotation = record.rotate_host_key(&actor(), |values| told.push(values)).await;
    let expected = HostKeyRotation {
        host_key: new.id(),
        values: 2,
    };
    assert_eq!((rotation.unwrap(), told), (expected, Vec::new()));
    assert_eq!(record.values_of_former_host_keys().await.unwrap(), Some(0));
    record.close().await;

    let record = open(folder.path(), of(&[&new])).await.unwrap();
    for webhook in &webhooks {
        assert_eq!(record.webhook_keys(*webhook).await.unwrap().len(), 1);
    }
    record.close().await;
    let error = open(folder.path(), of(&[&old])).await.unwrap_err();
    assert!(needs(new.id())(&error), "{error:?}");
}

#[tokio::test]
async fn a_value_that_no_key_opens_ends_the_rotation_and_says_which_key_it_needs() {
    let folder = private_folder();
    let [old, new, stranger] = [(); 3].map(|()| HostKey::generate().unwrap());
    let record = open(folder.path(), of(&[&old])).await.unwrap();
    let webhook = webhooks(&record, 1).await[0];
    record.close().await;
    let record = open(folder.path(), of(&[&new, &old])).await.unwrap();
    let sealed = stranger
        .seal(&super::super::webhooks::purpose(webhook), b"a b")
        .unwrap();
    let write = record.writer.sql("UPDATE webhooks SET sealed_keys = $1");
    write.bind(sealed).execute().await.unwrap();
    let error = record.rotate_host_key(&actor(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains(&stranger.id().to_string()), "{error}");
    let uses = record.host_key_uses().await.unwrap();
    let needed: Vec<_> = uses
        .keys
        .iter()
        .map(|key| (key.id, key.is_there, key.seals, key.values))
        .collect();
    let expected = [
        (new.id(), true, true, 0),
        (old.id(), true, false, 2),
        (stranger.id(), false, false, 1),
    ];
    assert_eq!((needed.as_slice(), uses.unopened), (&expected[..], 0));
    let write = record.writer.sql("UPDATE webhooks SET sealed_keys = $1");
    write.bind(vec![1_u8]).execute().await.unwrap();
    assert_eq!(record.host_key_uses().await.unwrap().unopened, 1);
}

/// The check of a host key of 32 bytes of 7, as an earlier version of the program sealed it; by another implementation (Python's
/// `cryptography`).
const FORMER_CHECK: &str = "UPDATE host_key_checks SET sealed_order_ids = NULL, sealed = x'01000102030405060708090a0b6ce98c507566aa3d57d980e5c2370ada9554dffd3810125279bc076ab5c8848f745a48f420a27fdd33a394'";

#[tokio::test]
async fn a_record_of_an_earlier_version_opens_with_its_key_and_is_rotated_to_another() {
    let folder = private_folder();
    let old = HostKey::from_base64("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "test").unwrap();
    let new = HostKey::generate().unwrap();
    let record = open(folder.path(), of(&[&old])).await.unwrap();
    let order_ids = record.order_ids;
    record.writer.sql(FORMER_CHECK).execute().await.unwrap();
    record.close().await;
    let error = open(folder.path(), of(&[&new])).await.unwrap_err();
    assert!(
        matches!(error, RecordError::WrongHostKey { needs: None, .. }),
        "{error:?}"
    );
    let record = open(folder.path(), of(&[&new, &old])).await.unwrap();
    assert_eq!(record.order_ids, order_ids);
    record.rotate_host_key(&actor(), |_| {}).await.unwrap();
    record.close().await;
    let record = open(folder.path(), of(&[&new])).await.unwrap();
    assert_eq!(
        record.order_ids, order_ids,
        "an order that is placed again has its ids"
    );
}

#[tokio::test]
async fn what_the_key_that_seals_has_sealed_is_left_out_by_the_database() {
    let folder = private_folder();
    let record = crate::test_record::open(folder.path()).await;
    webhooks(&record, 2).await;
    let place = PLACES.iter().find(|place| place.column == "sealed_keys").unwrap();
    let other = HostKey::generate().unwrap();
    for (key, are_left) in [(&*record.host_key, 0), (&other, 2)] {
        let mut others = select(place, Some(&key.sealed_prefix()));
        let others = record.readers.build(&mut others).fetch_all().await.unwrap();
        assert_eq!(others.len(), are_left);
    }
}

//! Secrets of instances: sealed, read only for the settings that they were saved with, and never in what is shown.

use std::collections::BTreeMap;

use bss_model::{Instance, Page, SavedSettings, Secret, SecretToSave};
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::record::{TestRecord, actor, new_instance, settings};

const FIELD: &str = "api-key";

/// A secret that is nowhere else.
fn secret() -> Secret {
    Secret::new(format!("ak_{}", Uuid::new_v4().simple()))
}

/// Settings with a secret: a new one, or the one that is saved.
fn with_secret(new: Option<&Secret>) -> SavedSettings {
    let secret = SecretToSave {
        new: new.cloned(),
        servers: ["esd.example.test".to_owned()].into(),
    };
    SavedSettings {
        secrets: BTreeMap::from([(FIELD.to_owned(), secret)]),
        ..settings(None)
    }
}

async fn save(record: &TestRecord, instance: &Instance, settings: SavedSettings) -> Instance {
    let saved = record
        .save_settings(instance.id, instance.version, settings, &actor())
        .await;
    saved.unwrap()
}

async fn read(record: &TestRecord, instance: &Instance) -> Option<String> {
    let secrets = record
        .instance_secrets(instance.id, instance.version)
        .await
        .unwrap();
    Some(secrets?.get(FIELD)?.expose().to_owned())
}

#[tokio::test]
async fn a_secret_is_read_as_it_was_saved_and_kept_until_another_takes_its_place() {
    let record = TestRecord::open().await;
    let new = new_instance(&record, "acme").await;
    let (first, second) = (secret(), secret());
    let one = save(&record, &new, with_secret(Some(&first))).await;
    assert_eq!(read(&record, &one).await.as_deref(), Some(first.expose()));
    let kept = save(&record, &one, with_secret(None)).await;
    assert_eq!(read(&record, &kept).await.as_deref(), Some(first.expose()));
    assert_eq!(kept.secrets, one.secrets);
    let two = save(&record, &kept, with_secret(Some(&second))).await;
    assert_eq!(read(&record, &two).await.as_deref(), Some(second.expose()));
    let none = save(&record, &two, settings(None)).await;
    assert_eq!(read(&record, &none).await, None);
    assert!(none.secrets.is_empty());
}

#[tokio::test]
async fn a_secret_is_read_only_with_the_settings_that_it_was_saved_with() {
    let record = TestRecord::open().await;
    let new = new_instance(&record, "acme").await;
    let one = save(&record, &new, with_secret(Some(&secret()))).await;
    let two = save(&record, &one, with_secret(Some(&secret()))).await;
    // A purchase of the former account must not be sent with the key of the next one.
    assert_eq!(record.instance_secrets(one.id, one.version).await.unwrap(), None);
    assert!(read(&record, &two).await.is_some());
    let nobody = record.instance_secrets(Uuid::new_v4(), 1).await.unwrap();
    assert_eq!(nobody, None);
}

#[tokio::test]
async fn the_history_tells_which_secret_changed_and_when_it_is_the_former_one_again() {
    let record = TestRecord::open().await;
    let new = new_instance(&record, "acme").await;
    let (first, second) = (secret(), secret());
    let mut instance = new;
    for typed in [&first, &second, &first, &first] {
        instance = save(&record, &instance, with_secret(Some(typed))).await;
    }
    let history = record.instance_history(instance.id, &Page::all()).await.unwrap();
    let changes: Vec<_> = history
        .rows
        .iter()
        .map(|row| row.secret_changes.get(FIELD))
        .collect();
    let [Some(set), Some(replaced), Some(back), None] = changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((&set.old, &set.new), (&None, &replaced.old));
    assert_ne!(replaced.old, replaced.new);
    assert_eq!(back.new, set.new, "it is the first one again");
    assert!(history.rows.iter().all(|row| row.roles.is_some()));
}

#[tokio::test]
async fn a_secret_stands_in_no_file_of_the_record_and_in_nothing_that_is_shown_of_it() {
    let record = TestRecord::open().await;
    let new = new_instance(&record, "acme").await;
    let secret = secret();
    let saved = save(&record, &new, with_secret(Some(&secret))).await;
    let history = record.instance_history(saved.id, &Page::all()).await.unwrap();
    assert!(!format!("{saved:?} {history:?}").contains(secret.expose()));
    // A secret that is planted in clear is found: the search would see one.
    let mut planted = settings(None);
    let canary = self::secret();
    planted
        .values
        .insert("note".to_owned(), canary.expose().to_owned());
    save(&record, &saved, planted).await;
    let written = record.all_written().await;
    let contains = |text: &str| written.iter().any(|(_, bytes)| contains(bytes, text.as_bytes()));
    assert!(contains(canary.expose()));
    assert!(!contains(secret.expose()));
}

#[tokio::test]
async fn a_secret_that_is_not_there_can_not_be_kept() {
    let record = TestRecord::open().await;
    let new = new_instance(&record, "acme").await;
    let saved = record
        .save_settings(new.id, new.version, with_secret(None), &actor())
        .await;
    assert!(saved.is_err());
    assert_eq!(record.instance("acme").await.unwrap(), Some(new));
}

#[tokio::test]
async fn a_secret_of_one_instance_opens_for_no_other() {
    let record = TestRecord::open().await;
    let (one, other) = (
        new_instance(&record, "one").await,
        new_instance(&record, "other").await,
    );
    let one = save(&record, &one, with_secret(Some(&secret()))).await;
    let other = save(&record, &other, with_secret(Some(&secret()))).await;
    let moved = format!(
        "UPDATE instance_secrets SET sealed_secret =
             (SELECT sealed_secret FROM instance_secrets WHERE instance_id = '{}') WHERE instance_id = '{}'",
        one.id, other.id
    );
    record.database().execute(&moved).await;
    assert!(record.instance_secrets(other.id, other.version).await.is_err());
    assert!(read(&record, &one).await.is_some());
}

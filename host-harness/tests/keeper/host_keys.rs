//! The rotation of the host key: everything that is sealed opens with the new key alone, and finds what it found before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource, NewCertificate};
use bss_model::{
    Act, ActFilter, AttemptOutcome, License, MailDelivery, MailSettings, NewWebhook, Owner, ProxyChoice,
    Secret, SecretToSave, SmtpProtection, SmtpServer, Thumbprint,
};
use bss_record::{BackupError, FinishError, Record, RecordError};
use tempfile::TempDir;
use uuid::Uuid;

use crate::certificate_store::contains;
use crate::charges::buy;
use crate::orders::{KEY, begin, license, order, shop};
use crate::record::{TestRecord, actor, files_of, new_instance, settings};
use crate::restorations::make_private;

/// A host key of others, the first of which seals.
fn of(keys: &[&HostKey]) -> HostKeySource {
    let lines: Vec<_> = keys
        .iter()
        .map(|key| key.to_base64().expose().to_owned())
        .collect();
    HostKeySource::Given(Arc::new(HostKey::from_base64(&lines.join("\n"), "test").unwrap()))
}

fn new_keys<const N: usize>() -> [HostKey; N] {
    [(); N].map(|()| HostKey::generate().unwrap())
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    make_private(folder.path());
    folder
}

async fn opened(folder: &Path, source: &HostKeySource) -> Record {
    Record::open_or_create(folder, source).await.unwrap()
}

/// What was sealed in a record, in clear.
#[derive(Debug, PartialEq, Eq)]
struct Opened {
    certificate: String,
    request_is_there: bool,
    licenses: Vec<(String, Option<String>)>,
    password: Option<String>,
    secret: Option<String>,
    proxy: ProxyChoice,
    webhook_keys: Vec<(String, String)>,
}

/// What is in a record that has a sealed value in each place.
struct Shop {
    instance: Uuid,
    assets: Vec<Uuid>,
    vendor: Uuid,
    webhook: Uuid,
    certificate: Thumbprint,
    owner: Owner,
}

const FIELD: &str = "api-key";
const SECRET: &str = "the key of the API";

impl Shop {
    async fn fill(record: &Record) -> Self {
        let owner: Owner = "reseller-7".parse().unwrap();
        let new = NewCertificate {
            common_name: "esd".to_owned(),
            dns_names: Vec::new(),
            days: 365,
        };
        let made = record.certificates_of(Some(&owner)).make(&new, &actor()).await;
        let certificate = made.unwrap().imported.installed.thumbprint;
        record.certificates().request(&new, &actor()).await.unwrap();
        let instance = shop(record).await;
        let placed = record.place_order(order(instance, &[("a", 3)]), &actor()).await;
        let assets: Vec<_> = placed
            .unwrap()
            .order()
            .lines
            .iter()
            .map(|line| line.asset_id)
            .collect();
        let begun = begin(record, assets[0]).await;
        let of_known_key = AttemptOutcome::Licensed(license(begun.client_transaction_id, "t-1"));
        let finished = record
            .finish_attempt(assets[0], begun.number, of_known_key, 0)
            .await;
        finished.unwrap();
        buy(record, assets[1]).await;
        record
            .save_mail_settings(&mail_settings(), &actor())
            .await
            .unwrap();
        let vendor = new_instance(record, "acme").await;
        let secret = SecretToSave {
            new: Some(Secret::new(SECRET)),
            servers: ["acme.example.test".to_owned()].into(),
        };
        let with_secret = bss_model::SavedSettings {
            secrets: BTreeMap::from([(FIELD.to_owned(), secret)]),
            ..settings(None)
        };
        record
            .save_settings(vendor.id, vendor.version, with_secret, &actor())
            .await
            .unwrap();
        let through = ProxyChoice::Through("http://user:hidden@proxy.test:3128".parse().unwrap());
        record
            .set_instance_proxy(vendor.id, &through, &actor())
            .await
            .unwrap();
        let webhook = record.create_webhook(receiver(), &actor()).await.unwrap().0.id;
        let an_hour = std::time::Duration::from_secs(3600);
        record.rotate_webhook(webhook, an_hour, &actor()).await.unwrap();
        Self {
            instance,
            assets,
            vendor: vendor.id,
            webhook,
            certificate,
            owner,
        }
    }

    /// Opens everything.
    async fn open(&self, record: &Record) -> Opened {
        let store = record.certificates_of(Some(&self.owner));
        let identity = store.identity(&self.certificate).await.unwrap();
        let licenses = record.show_license_secrets(&self.assets, &actor()).await.unwrap();
        let licenses = licenses.into_values().map(|secrets| {
            let link = secrets.activation_link.map(|link| link.expose().to_owned());
            (secrets.product_key.expose().to_owned(), link)
        });
        let mail = record.mail_settings().await.unwrap().unwrap();
        let password = match mail.delivery {
            MailDelivery::Smtp(server) => server.password,
            MailDelivery::Directory(_) => None,
        };
        let vendor = record.instance("acme").await.unwrap().unwrap();
        let secrets = record.instance_secrets(self.vendor, vendor.version).await;
        let secret = secrets.unwrap().unwrap().remove(FIELD);
        let keys = record.webhook_keys(self.webhook).await.unwrap();
        let keys = keys.iter().map(|keys| [&keys.secret, &keys.signing_key]);
        Opened {
            certificate: identity.thumbprint().to_string(),
            request_is_there: record.certificates().requests().await.unwrap().len() == 1,
            licenses: licenses.collect(),
            password: password.map(|password| password.expose().to_owned()),
            secret: secret.map(|secret| secret.expose().to_owned()),
            proxy: record.instance_proxy(&vendor).unwrap(),
            webhook_keys: keys
                .map(|keys| keys.map(|key| key.expose().to_owned()))
                .map(|[secret, signing_key]| (secret, signing_key))
                .collect(),
        }
    }
}

fn receiver() -> NewWebhook {
    NewWebhook {
        url: "https://shop.example/hooks".to_owned(),
        owner: None,
        kinds: Vec::new(),
        allowed_networks: Vec::new(),
        trusted_authorities_pem: None,
    }
}

fn mail_settings() -> MailSettings {
    MailSettings {
        from: "shop@host.example".to_owned(),
        delivery: MailDelivery::Smtp(SmtpServer {
            host: "mail.example".to_owned(),
            port: 587,
            protection: SmtpProtection::StartTls,
            user: Some("shop".to_owned()),
            password: Some(Secret::new("the password of the mail server")),
            trusted_authorities_pem: None,
            hello_name: None,
            access_token: None,
        }),
        templates: None,
    }
}

async fn rotations(record: &Record) -> usize {
    let filter = ActFilter {
        act: Some(Act::RotateHostKey),
        ..ActFilter::default()
    };
    let acts = record.acts(&filter, std::num::NonZeroU32::MAX).await;
    acts.unwrap().len()
}

#[tokio::test]
async fn after_a_rotation_everything_opens_with_the_new_key_alone_and_is_found_as_before() {
    let [old, new] = new_keys();
    let record = TestRecord::with_key(&of(&[&old])).await;
    let shop = Shop::fill(&record).await;
    let before = shop.open(&record).await;
    assert_eq!(record.values_of_former_host_keys().await.unwrap(), None);

    let record = record.with_other_keys(&of(&[&new, &old])).await;
    let uses = record.host_key_uses().await.unwrap();
    let sealed: u64 = uses.keys.iter().map(|key| key.values).sum();
    // Two licenses have two values each, a webhook the former keys as well; and each place that there is has one at least.
    assert_eq!((sealed, uses.unopened), (13, 0));
    let rotation = record.rotate_host_key(&actor(), |_| {}).await.unwrap();
    assert_eq!((rotation.host_key, rotation.values), (new.id(), sealed));
    assert_eq!(shop.open(&record).await, before);
    let again = record.rotate_host_key(&actor(), |_| {}).await.unwrap();
    assert_eq!((again.values, rotations(&record).await), (0, 1));

    let record = record.with_other_keys(&of(&[&new])).await;
    assert_eq!(shop.open(&record).await, before);
    let found = record.find(KEY, None, 10).await.unwrap();
    assert_eq!(found.found.len(), 1, "{found:?}");
    for (name, content) in record.all_written().await {
        assert!(!names_key(&content, &old), "{name}");
    }
}

/// Whether something sealed with a key is in there.
fn names_key(content: &[u8], key: &HostKey) -> bool {
    let id = u32::from_str_radix(&key.id().to_string(), 16)
        .unwrap()
        .to_be_bytes();
    contains(content, &[&[2], &id[..]].concat())
}

#[tokio::test]
async fn after_a_rotation_nothing_in_the_files_names_the_former_key_but_a_backup_which_needs_it() {
    let (folder, [old, new]) = (folder(), new_keys());
    let record = opened(folder.path(), &of(&[&old])).await;
    let shop = Shop::fill(&record).await;
    let before = shop.open(&record).await;
    let backup = folder.path().join("backup.db");
    record.backup(&backup).await.unwrap();
    record.close().await;
    let record = opened(folder.path(), &of(&[&new, &old])).await;
    record.rotate_host_key(&actor(), |_| {}).await.unwrap();
    record.close().await;
    std::fs::rename(&backup, folder.path().with_extension("backup")).unwrap();
    for (name, content) in files_of(folder.path()) {
        assert!(!names_key(&content, &old), "{name}");
    }
    let backup = folder.path().with_extension("backup");
    let other = folder_beside(&folder);
    let restored = Record::restore_with(&other, &of(&[&new]), &backup, None, false).await;
    match restored.unwrap_err() {
        BackupError::Record(RecordError::WrongHostKey { needs, .. }) => assert_eq!(needs, Some(old.id())),
        error => panic!("{error:?}"),
    }
    Record::restore_with(&other, &of(&[&new, &old]), &backup, None, false)
        .await
        .unwrap();
    let record = opened(&other, &of(&[&new, &old])).await;
    assert_eq!(shop.open(&record).await, before);
    record.close().await;
    std::fs::remove_dir_all(other).unwrap();
    std::fs::remove_file(backup).unwrap();
}

fn folder_beside(folder: &TempDir) -> std::path::PathBuf {
    let beside = folder.path().with_extension("restored");
    std::fs::create_dir(&beside).unwrap();
    make_private(&beside);
    beside
}

#[tokio::test]
async fn a_rotation_may_be_stopped_at_any_point_and_repeated() {
    let [old, new] = new_keys();
    for stop_after in 0..6 {
        let record = TestRecord::with_key(&of(&[&old])).await;
        let shop = Shop::fill(&record).await;
        let before = shop.open(&record).await;
        let record = record.with_other_keys(&of(&[&new, &old])).await;
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        {
            let who = actor();
            let rotation = record.rotate_host_key(&who, move |values| told.send(values).unwrap());
            let stop = async {
                for _ in 0..stop_after {
                    heard.recv().await;
                }
            };
            tokio::select! {
                biased;
                () = stop => {}
                rotated = rotation => drop(rotated.unwrap()),
            }
        }
        assert_eq!(shop.open(&record).await, before, "after {stop_after}");
        let record = record.with_other_keys(&of(&[&new, &old])).await;
        assert_eq!(shop.open(&record).await, before, "after {stop_after}");
        record.rotate_host_key(&actor(), |_| {}).await.unwrap();
        let record = record.with_other_keys(&of(&[&new])).await;
        assert_eq!(shop.open(&record).await, before, "after {stop_after}");
    }
}

#[tokio::test]
async fn a_product_key_is_known_as_another_assets_before_and_after_a_rotation() {
    let [old, new] = new_keys();
    let record = TestRecord::with_key(&of(&[&old])).await;
    let shop = Shop::fill(&record).await;
    let record = record.with_other_keys(&of(&[&new, &old])).await;
    let begun = begin(&record, shop.assets[2]).await;
    for is_rotated in [false, true] {
        if is_rotated {
            record.rotate_host_key(&actor(), |_| {}).await.unwrap();
        }
        let found = record.find(KEY, None, 10).await.unwrap();
        assert_eq!(found.found.len(), 1, "{found:?}");
        let same_key = License {
            product_key: Secret::new(KEY),
            ..license(begun.client_transaction_id, "t-9")
        };
        let licensed = AttemptOutcome::Licensed(same_key);
        let finished = record
            .finish_attempt(shop.assets[2], begun.number, licensed, 0)
            .await;
        let error = finished.unwrap_err();
        assert!(matches!(error, FinishError::NotItsLicense { .. }), "{error:?}");
    }
    assert_eq!(record.instance("esd").await.unwrap().unwrap().id, shop.instance);
}

//! Instances: their settings in versions that nobody overwrites unseen.

use std::collections::BTreeMap;

use bss_model::{
    Actor, NewInstance, Page, PluginDigest, ProxyChoice, Reach, SavedProxy, SavedSettings, Standing,
    Thumbprint,
};
use bss_record::{CreateError, SaveError};

use crate::acts::install;
use crate::record::{TestRecord, actor, new_instance, settings};

#[tokio::test]
async fn a_new_instance_needs_credentials_and_is_there_after_opening_again() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await;
    assert_eq!(
        (instance.version, instance.standing),
        (0, Standing::NeedsCredentials)
    );
    let again = record.opened_again().await;
    assert_eq!(again.instance("esd").await.unwrap(), Some(instance.clone()));
    assert_eq!(again.instance_by_id(instance.id).await.unwrap(), Some(instance));
    assert_eq!(again.instance("other").await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_given_once_and_can_be_shown() {
    let record = TestRecord::open().await;
    new_instance(&record, "esd").await;
    for name in ["esd", "", " esd", "a\nb", &"x".repeat(101)] {
        let new = NewInstance {
            owner: None,
            name: name.to_owned(),
            currency: "EUR".to_owned(),
            options: BTreeMap::new(),
            reach: Reach::default(),
            plugin: None,
        };
        let error = record.create_instance(new, &actor()).await.unwrap_err();
        let taken = matches!(error, CreateError::NameTaken { .. });
        assert_eq!(taken, name == "esd", "{error:?}");
    }
    assert_eq!(record.instances().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_currency_is_a_code_of_three_letters() {
    let record = TestRecord::open().await;
    for currency in ["", "eur", "EURO", "€"] {
        let new = NewInstance {
            owner: None,
            name: "esd".to_owned(),
            currency: currency.to_owned(),
            options: BTreeMap::new(),
            reach: Reach::default(),
            plugin: None,
        };
        let error = record.create_instance(new, &actor()).await.unwrap_err();
        assert!(matches!(error, CreateError::InvalidCurrency { .. }), "{error:?}");
    }
    assert_eq!(record.instances().await.unwrap(), []);
}

#[tokio::test]
async fn an_instance_that_would_trust_nobody_is_not_made() {
    let record = TestRecord::open().await;
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for pem in [String::new(), key] {
        let new = NewInstance {
            owner: None,
            name: "esd".to_owned(),
            currency: "EUR".to_owned(),
            options: BTreeMap::new(),
            reach: Reach {
                trusted_authorities_pem: Some(pem),
                ..Reach::default()
            },
            plugin: None,
        };
        let error = record.create_instance(new, &actor()).await.unwrap_err();
        assert!(matches!(error, CreateError::TrustedAuthorities), "{error:?}");
    }
    assert_eq!(record.instances().await.unwrap(), []);
}

#[tokio::test]
async fn every_save_is_a_version_with_who_and_what() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await;
    let saved = record
        .save_settings(instance.id, 0, settings(None), &Actor::operator("anna"))
        .await
        .unwrap();
    let mut second = settings(None);
    second.values = BTreeMap::from([
        ("country".to_owned(), "CY".to_owned()),
        ("language".to_owned(), "el-GR".to_owned()),
    ]);
    let saved = record
        .save_settings(saved.id, saved.version, second, &Actor::operator("boris"))
        .await
        .unwrap();
    assert_eq!(
        record.opened_again().await.instance("esd").await.unwrap(),
        Some(saved)
    );

    let history = record
        .instance_history(instance.id, &Page::all())
        .await
        .unwrap()
        .rows;
    let who: Vec<_> = history
        .iter()
        .map(|v| (v.version, v.changed_by.clone()))
        .collect();
    assert_eq!(who, [(1, Actor::operator("anna")), (2, Actor::operator("boris"))]);
    let change = &history[1].changes["country"];
    assert_eq!(
        (change.old.as_deref(), change.new.as_deref()),
        (Some("GR"), Some("CY"))
    );
    assert_eq!(history[1].changes["language"].old, None);
}

#[tokio::test]
async fn a_version_tells_whom_the_instance_could_reach_and_which_plugin_had_judged() {
    let record = TestRecord::open().await;
    let digest = PluginDigest::new([7; 32]);
    crate::plugins::add(&record, digest, &actor()).await.unwrap();
    record.trust_plugin(&digest, &actor()).await.unwrap();
    let instance = new_instance(&record, "esd").await;
    let plugin = Some(PluginDigest::new([7; 32]));
    let first = SavedSettings {
        plugin,
        ..settings(None)
    };
    record
        .save_settings(instance.id, 0, first, &actor())
        .await
        .unwrap();
    let second = SavedSettings {
        authorities: Vec::new(),
        ..settings(None)
    };
    record
        .save_settings(instance.id, 1, second, &actor())
        .await
        .unwrap();
    let history = record
        .instance_history(instance.id, &Page::all())
        .await
        .unwrap()
        .rows;
    assert_eq!(history[0].authorities, Some(settings(None).authorities));
    assert_eq!(history[0].plugin, plugin);
    assert_eq!(
        (&history[1].authorities, history[1].plugin),
        (&Some(Vec::new()), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_saves_at_once_exactly_one_is_a_conflict() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await;
    let other = record.opened_again().await;
    let [anna, boris] = ["anna", "boris"].map(Actor::operator);
    let (one, two) = tokio::join!(
        record.save_settings(instance.id, 0, settings(None), &anna),
        other.save_settings(instance.id, 0, settings(None), &boris),
    );
    let winner = if one.is_ok() { "anna" } else { "boris" };
    let errors: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
    assert!(
        matches!(&errors[..], [SaveError::Conflict { expected: 0, found: 1, changed_by, .. }] if changed_by == winner),
        "{errors:?}"
    );
    assert_eq!(
        record
            .instance_history(instance.id, &Page::all())
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_installed_can_not_be_chosen() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await;
    let absent = Thumbprint::of(b"absent");
    let error = record
        .save_settings(instance.id, 0, settings(Some(absent)), &Actor::operator("anna"))
        .await
        .unwrap_err();
    assert!(matches!(error, SaveError::NoCertificate { .. }), "{error:?}");
    assert_eq!(record.instance("esd").await.unwrap(), Some(instance));
}

#[tokio::test]
async fn a_certificate_that_somebody_else_has_begun_to_use_meanwhile_is_not_shared_unseen() {
    let record = TestRecord::open().await;
    let thumbprint = install(&record, "Contoso").await;
    let one = new_instance(&record, "one").await;
    let other = new_instance(&record, "other").await;
    let unseen = settings(Some(thumbprint));
    let other = record
        .save_settings(other.id, 0, unseen.clone(), &actor())
        .await
        .unwrap();
    let compared_before = |version| SavedSettings {
        shares_with: [(other.id, version)].into(),
        ..unseen.clone()
    };
    for stale in [unseen.clone(), compared_before(0)] {
        let error = record
            .save_settings(one.id, 0, stale, &actor())
            .await
            .unwrap_err();
        assert!(matches!(error, SaveError::SharingChanged { .. }), "{error:?}");
    }
    assert_eq!(record.instance("one").await.unwrap(), Some(one.clone()));
    let compared = compared_before(other.version);
    record.save_settings(one.id, 0, compared, &actor()).await.unwrap();
}

#[tokio::test]
async fn the_password_of_a_proxy_that_was_replaced_is_in_no_file() {
    let record = TestRecord::open().await;
    let instance = new_instance(&record, "esd").await;
    let through = ProxyChoice::Through("http://user:old-pass@proxy.test:3128".parse().unwrap());
    let saved = record
        .set_instance_proxy(instance.id, &through, &actor())
        .await
        .unwrap();
    let Some(SavedProxy::Through {
        sealed_password: Some(sealed),
        ..
    }) = saved.reach.proxy
    else {
        panic!("{:?}", saved.reach)
    };
    let is_found = async || {
        let files = record.all_written().await;
        let has = |bytes: &[u8]| {
            bytes
                .windows(sealed.len())
                .any(|window| window == sealed.as_bytes())
        };
        files.iter().any(|(_, bytes)| has(bytes))
    };
    assert!(is_found().await);
    record
        .set_instance_proxy(instance.id, &ProxyChoice::Direct, &actor())
        .await
        .unwrap();
    assert!(!is_found().await);
}

//! Plugins: what is on record of each, who trusted it, and that none is removed that an instance has.

use std::num::NonZeroU32;

use bss_model::{
    Act, ActFilter, Actor, AddedPlugin, Diagnose as _, PluginDescription, PluginDigest, Subject,
};
use bss_record::{NewPlugin, Record, RecordError, SaveError};

use crate::record::{TestRecord, actor, new_instance, settings};

const OLD: PluginDigest = PluginDigest::new([1; 32]);
const NEW: PluginDigest = PluginDigest::new([2; 32]);

fn description(version: &str) -> PluginDescription {
    PluginDescription {
        id: "acme-keys".to_owned(),
        vendor: "Acme".to_owned(),
        offering: "Acme Keys".to_owned(),
        version: version.to_owned(),
        options: vec!["region".to_owned()],
        correlation_headers: vec!["x-request-id".to_owned()],
        harmless: bss_model::HarmlessFields::default(),
    }
}

pub(crate) async fn add(
    record: &Record,
    digest: PluginDigest,
    actor: &Actor,
) -> Result<AddedPlugin, RecordError> {
    let new = NewPlugin {
        digest,
        path: "acme.wasm",
        content: b"content",
        description: &description("1.0.0"),
    };
    record.add_plugin(&new, actor).await
}

#[tokio::test]
async fn a_plugin_is_kept_with_its_content_and_trusted_once() {
    let record = TestRecord::open().await;
    assert_eq!(record.plugins().await.unwrap(), []);
    let added = add(&record, OLD, &actor()).await.unwrap();
    assert_eq!(
        (added.trust.clone(), &added.description),
        (None, &description("1.0.0"))
    );
    assert_eq!(
        add(&record, OLD, &actor()).await.unwrap(),
        added,
        "it is on record once"
    );
    let trusted = record.trust_plugin(&OLD, &actor()).await.unwrap().unwrap();
    assert_eq!(trusted.trust.as_ref().unwrap().by, actor());
    let again = record
        .trust_plugin(&OLD, &Actor::operator("another"))
        .await
        .unwrap();
    assert_eq!(again, Some(trusted.clone()), "who was first stays");
    assert_eq!(record.trust_plugin(&NEW, &actor()).await.unwrap(), None);
    let reopened = record.opened_again().await;
    assert_eq!(reopened.plugin(&OLD).await.unwrap(), Some(trusted));
    assert_eq!(
        reopened.plugin_content(&OLD).await.unwrap().as_deref(),
        Some(&b"content"[..])
    );
    assert_eq!(reopened.plugin_content(&NEW).await.unwrap(), None);
    let acts = record.acts(&ActFilter::default(), NonZeroU32::MAX).await.unwrap();
    let acts: Vec<_> = acts.into_iter().map(|act| (act.act, act.subject)).collect();
    let of_old = Subject::plugin(&OLD);
    assert_eq!(
        acts,
        [(Act::AddPlugin, of_old.clone()), (Act::TrustPlugin, of_old)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_plugins_at_once_one_is_trusted() {
    let record = TestRecord::open().await;
    let other = record.opened_again().await;
    let description = description("1.0.0");
    let new = |digest| NewPlugin {
        digest,
        path: "acme.wasm",
        content: b"content",
        description: &description,
    };
    let (old, new) = (new(OLD), new(NEW));
    let [one, two] = ["one", "two"].map(Actor::host);
    let (one, two) = tokio::join!(
        record.trust_first_plugin(&old, &one),
        other.trust_first_plugin(&new, &two),
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(record.plugins().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_plugin_that_an_instance_has_is_not_removed() {
    let record = TestRecord::open().await;
    for digest in [OLD, NEW] {
        add(&record, digest, &actor()).await.unwrap();
    }
    record.trust_plugin(&OLD, &actor()).await.unwrap();
    let instance = new_instance(&record, "esd").await;
    let with = |plugin| bss_model::SavedSettings {
        plugin: Some(plugin),
        ..settings(None)
    };
    let saved = record
        .save_settings(instance.id, 0, with(OLD), &actor())
        .await
        .unwrap();
    assert_eq!(saved.plugin, Some(OLD));
    let refused = record.remove_plugin(&OLD, &actor()).await.unwrap_err();
    assert_eq!(refused.diagnosis().code, "plugin-in-use");
    assert!(refused.to_string().contains("esd"), "{refused}");
    let early = record.save_settings(instance.id, 1, with(NEW), &actor()).await;
    assert!(
        matches!(early, Err(SaveError::NoPlugin { digest: NEW })),
        "{early:?}"
    );
    record.trust_plugin(&NEW, &actor()).await.unwrap();
    let saved = record
        .save_settings(instance.id, 1, with(NEW), &actor())
        .await
        .unwrap();
    assert_eq!(saved.plugin, Some(NEW));
    record.remove_plugin(&OLD, &actor()).await.unwrap();
    let gone = record.remove_plugin(&OLD, &actor()).await.unwrap_err();
    assert_eq!(gone.diagnosis().code, "plugin-unknown");
    let kept = record.plugins().await.unwrap();
    assert_eq!(kept.iter().map(|plugin| plugin.digest).collect::<Vec<_>>(), [NEW]);
}

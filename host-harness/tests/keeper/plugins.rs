//! Plugins: the one that was trusted last may run, and who trusted it is on record.

use std::num::NonZeroU32;

use bss_model::{Act, ActFilter, Actor, PluginDigest, Subject};

use crate::record::{TestRecord, actor};

const OLD: PluginDigest = PluginDigest::new([1; 32]);
const NEW: PluginDigest = PluginDigest::new([2; 32]);

#[tokio::test]
async fn the_plugin_that_was_trusted_last_is_the_trusted_one_also_after_a_way_back() {
    let record = TestRecord::open().await;
    assert_eq!(record.trusted_plugin().await.unwrap(), None);
    for (digest, path) in [(OLD, "old.wasm"), (NEW, "new.wasm"), (OLD, "old.wasm")] {
        record.trust_plugin(&digest, path, &actor()).await.unwrap();
        let trusted = record
            .opened_again()
            .await
            .trusted_plugin()
            .await
            .unwrap()
            .unwrap();
        assert_eq!((trusted.digest, trusted.path.as_str()), (digest, path));
    }
    let all = record.trusted_plugins().await.unwrap();
    let all: Vec<_> = all.iter().map(|trusted| trusted.digest).collect();
    assert_eq!(all, [OLD, NEW, OLD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_plugins_at_once_one_is_trusted() {
    let record = TestRecord::open().await;
    let other = record.opened_again().await;
    let [one, two] = ["one", "two"].map(Actor::host);
    let (one, two) = tokio::join!(
        record.trust_first_plugin(&OLD, "old.wasm", &one),
        other.trust_first_plugin(&NEW, "new.wasm", &two),
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(record.trusted_plugins().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_first_use_trusts_nothing_where_a_plugin_is_trusted() {
    let record = TestRecord::open().await;
    record.trust_plugin(&OLD, "old.wasm", &actor()).await.unwrap();
    let trusted = record
        .trust_first_plugin(&NEW, "new.wasm", &actor())
        .await
        .unwrap();
    assert_eq!(trusted.digest, OLD);
    let acts = record.acts(&ActFilter::default(), NonZeroU32::MAX).await.unwrap();
    let acts: Vec<_> = acts.into_iter().map(|act| (act.act, act.subject)).collect();
    assert_eq!(acts, [(Act::TrustPlugin, Subject::plugin(&OLD))]);
}

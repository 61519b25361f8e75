//! The form in its two stages, through the component.

use std::collections::BTreeMap;

use bss_model::Standing;
use bss_simulator::CertificateRequest;

use crate::component::component;
use crate::record_place;
use crate::scenario::{INSTANCE, Scenario, credentials, problems, selection};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_becomes_ready_in_two_stages() {
    let scenario = Scenario::start().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.new_instance(INSTANCE).await;

    let first = scenario
        .configure(INSTANCE, &credentials(scenario.microsoft.details()))
        .await;
    assert_eq!(
        (first.saved, first.instance.standing),
        (true, Standing::NeedsSelection)
    );
    assert!(
        first.form.fields.iter().all(|field| field.enabled),
        "the rest can be chosen now"
    );

    let second = scenario
        .configure(INSTANCE, &selection(&thumbprint.to_string()))
        .await;
    assert_eq!((second.saved, second.instance.standing), (true, Standing::Ready));
    assert_eq!(second.instance.thumbprint, Some(thumbprint));
    let reaches: Vec<_> = second
        .instance
        .authorities
        .iter()
        .map(|to| (to.name.as_str(), to.client_certificate))
        .collect();
    let details = scenario.microsoft.details();
    assert!(
        reaches.contains(&(details.login_authority.as_str(), false)),
        "{reaches:?}"
    );
    assert!(
        reaches
            .iter()
            .any(|(name, certificate)| *certificate && details.service_url.contains(name)),
        "{reaches:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_stage_is_refused_before_the_first_is_saved() {
    let scenario = Scenario::start().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await;
    scenario.new_instance(INSTANCE).await;
    let mut both = credentials(scenario.microsoft.details());
    both.extend(selection(&thumbprint.to_string()));
    let refused = scenario.configure(INSTANCE, &both).await;
    assert!(!refused.saved);
    let found = problems(&refused);
    for field in ["certificate-thumbprint", "country", "language"] {
        assert!(found.contains(&format!("{field}: not-yet-enabled")), "{found:?}");
    }
    assert_eq!(refused.instance.version, 0, "nothing is half-saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_shown_at_once_and_nothing_is_saved() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let typed: BTreeMap<String, String> = [
        ("system-name", ""),
        ("resource-api", "http://plain.example.com"),
        ("service-url", "https://user:secret@example.com"),
        ("tenant", "not a tenant"),
        ("channel-id", "\u{7}"),
        ("client-id", "1234"),
    ]
    .map(|(id, value)| (id.to_owned(), value.to_owned()))
    .into();
    let refused = scenario.configure(INSTANCE, &typed).await;
    let found = problems(&refused);
    for field in typed.keys() {
        assert!(
            found
                .iter()
                .any(|problem| problem.starts_with(&format!("{field}: "))),
            "{field}: {found:?}"
        );
    }
    let saved = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert!(saved.values.is_empty(), "{:?}", saved.values);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_of_the_host_finds_what_the_first_one_saved() {
    let scenario = Scenario::ready().await;
    let before = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let folder = scenario.folder.path().join("bss");
    let again = record_place::open(&folder, component())
        .await
        .expect("the host opens");
    let after = again.named_instance(INSTANCE).await.expect("the instance");
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_installed_is_refused() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    assert!(
        scenario
            .configure(INSTANCE, &credentials(scenario.microsoft.details()))
            .await
            .saved
    );
    let refused = scenario.configure(INSTANCE, &selection(&"AB".repeat(20))).await;
    assert!(!refused.saved);
    assert!(
        problems(&refused)
            .iter()
            .any(|problem| problem.starts_with("certificate-thumbprint: "))
    );
}

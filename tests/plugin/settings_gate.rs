//! Plugins that would have saved what is the operator's to say, and the program's words for it.

use std::collections::BTreeMap;

use bss_model::Diagnose as _;
use bss_sandbox::bindings::instance_settings::{Field, FieldKind, FieldRole, Form, Standing};
use bss_simulator::CertificateRequest;
use host_harness::{ConfigureError, RotateError, SettingsChange};

use crate::guests::{FormGuest, enabled_field, showing_more};
use crate::scenario::{INSTANCE, Scenario, actor, silent};
use crate::trusted_plugin::running;

const NAME: (&str, u8, &str) = ("system-name", 0, INSTANCE);
const URL: (&str, u8, &str) = ("service-url", 1, "https://api.example.com/cis");
const CERTIFICATE: &str = "certificate-thumbprint";
const MICROSOFT: &str = "login.microsoftonline.com";

/// The values of fields as an operator types them.
fn typed(fields: &[(&str, u8, &str)]) -> BTreeMap<String, String> {
    let typed = fields
        .iter()
        .map(|(id, _, value)| ((*id).to_owned(), (*value).to_owned()));
    typed.collect()
}

/// The code with which a form is refused, of which everything else was typed. Nothing is saved.
async fn refusal(made_up: (&str, u8, &str), reaches: &[(&str, bool)]) -> String {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let fields = [NAME, URL, made_up];
    let guest = FormGuest {
        fields: &fields,
        reaches,
        certificate_field: if made_up.0 == CERTIFICATE { CERTIFICATE } else { "" },
    };
    let host = running(&scenario, &guest.component()).await;
    let refused = host.configure(INSTANCE, &typed(&[NAME, URL]), &actor()).await;
    let Err(error @ ConfigureError::Gate(_)) = refused.map(|form| form.instance) else {
        panic!("it is refused");
    };
    let instance = host.named_instance(INSTANCE).await.expect("the instance");
    assert_eq!((instance.version, instance.authorities), (0, Vec::new()));
    error.diagnosis().code.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_holds_what_nobody_typed_is_not_saved() {
    let nothing = ("note", 0, "");
    let reaches = [("api.example.com", true)];
    for (made_up, reaches, code) in [
        (
            (CERTIFICATE, 2, "0123456789ABCDEF0123456789ABCDEF01234567"),
            &reaches[..],
            "value-not-typed",
        ),
        (
            ("resource-api", 1, "https://evil.example.com"),
            &[("evil.example.com", true)],
            "value-not-typed",
        ),
        (("note", 0, "made up"), &reaches, "value-not-typed"),
        (nothing, &[reaches[0], reaches[0]], "form-broken"),
        (nothing, &[("evil.example.com", false)], "host-not-allowed"),
        (nothing, &[("evil.example.com", true)], "certificate-elsewhere"),
    ] {
        assert_eq!(refusal(made_up, reaches).await, code, "{made_up:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_as_a_value_is_handed_to_no_plugin_that_shows_its_field_only_later() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let form = |fields: Vec<Field>| Form {
        fields,
        standing: Standing::NeedsCredentials,
        certificate_field: None,
    };
    let mode = || enabled_field("mode", FieldKind::Text, FieldRole::Account);
    let api_key = enabled_field("api-key", FieldKind::Secret, FieldRole::Account);
    let plugin = showing_more(&form(vec![mode()]), &form(vec![mode(), api_key]));
    let host = running(&scenario, &plugin).await;
    let typed = |values: &[(&str, &str)]| -> BTreeMap<String, String> {
        let values = values
            .iter()
            .map(|(id, value)| ((*id).to_owned(), (*value).to_owned()));
        values.collect()
    };
    let both = typed(&[("mode", "key"), ("api-key", "ak_12345678")]);
    let refused = host.configure(INSTANCE, &both, &actor()).await;
    assert!(
        matches!(&refused.map(|_| ()), Err(ConfigureError::SecretAsValue { field }) if field == "api-key")
    );
    let nowhere = typed(&[("mode", "key"), ("api-kee", "ak_12345678")]);
    let refused = host.configure(INSTANCE, &nowhere, &actor()).await;
    assert!(matches!(&refused.map(|_| ()), Err(ConfigureError::NoField { field, .. }) if field == "api-kee"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_field_is_gone_is_lost_by_no_save_but_by_its_removal() {
    let form = |fields: Vec<Field>| Form {
        fields,
        standing: Standing::NeedsCredentials,
        certificate_field: None,
    };
    let field = |id: &str, kind| enabled_field(id, kind, FieldRole::Account);
    let with_secret = form(vec![
        field("mode", FieldKind::Text),
        field("api-key", FieldKind::Secret),
    ]);
    let plain = || Field {
        value: "plain".to_owned(),
        ..field("mode", FieldKind::Text)
    };
    for without_secret in [
        form(vec![plain()]),
        form(vec![plain(), field("api-key", FieldKind::Text)]),
    ] {
        let scenario = Scenario::start().await;
        scenario.new_instance(INSTANCE).await;
        let host = running(&scenario, &showing_more(&with_secret, &without_secret)).await;
        let change = |values: &[(&str, &str)], secret: Option<Option<&str>>| SettingsChange {
            values: values
                .iter()
                .map(|&(id, value)| (id.to_owned(), value.to_owned()))
                .collect(),
            secrets: secret
                .map(|secret| ("api-key".to_owned(), secret.map(bss_model::Secret::new)))
                .into_iter()
                .collect(),
            ..SettingsChange::default()
        };
        let (keeps, removes) = (
            change(&[("mode", "plain")], None),
            change(&[("mode", "plain")], Some(None)),
        );
        let none_to_remove = host.configure(INSTANCE, removes.clone(), &actor()).await;
        assert!(none_to_remove.is_err());
        let set = change(&[], Some(Some("ak_12345678")));
        let saved = host.configure(INSTANCE, set, &actor()).await.expect("the form");
        assert!(saved.instance.secrets.contains_key("api-key"));

        let lost = host.configure(INSTANCE, keeps, &actor()).await.map(|_| ());
        assert!(matches!(&lost, Err(ConfigureError::SecretLost { field }) if field == "api-key"));
        let instance = host.named_instance(INSTANCE).await.expect("the instance");
        assert!(instance.secrets.contains_key("api-key"));

        // As the refusal advises.
        let removed = host.configure(INSTANCE, removes, &actor()).await;
        let instance = removed.expect("the form").instance;
        assert_eq!(instance.values["mode"], "plain");
        assert!(instance.secrets.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_holds_what_was_typed_and_names_its_server_is_saved() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await.to_string();
    let fields = [NAME, URL, (CERTIFICATE, 2, &thumbprint)];
    let guest = FormGuest {
        fields: &fields,
        reaches: &[("api.example.com", true)],
        certificate_field: CERTIFICATE,
    };
    let host = running(&scenario, &guest.component()).await;
    let form = host.configure(INSTANCE, &typed(&fields), &actor()).await;
    let instance = form.expect("it is saved").instance;
    assert_eq!(instance.values, typed(&fields));
    assert_eq!(
        instance.thumbprint.map(|thumbprint| thumbprint.to_string()),
        Some(thumbprint)
    );
}

/// Saves an instance by a plugin that lets everything pass, with a certificate, and answers with the code of the refusal.
async fn save(scenario: &Scenario, name: &str, country: &str, thumbprint: &str) -> Result<(), String> {
    scenario.new_instance(name).await;
    let fields = [
        ("system-name", 0, name),
        URL,
        (CERTIFICATE, 2, thumbprint),
        ("country", 2, country),
    ];
    let guest = FormGuest {
        fields: &fields,
        reaches: &[("api.example.com", false)],
        certificate_field: CERTIFICATE,
    };
    let host = running(scenario, &guest.component()).await;
    let saved = host.configure(name, &typed(&fields), &actor()).await;
    saved
        .map(|_| ())
        .map_err(|error| error.diagnosis().code.into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_not_lent_to_another_country_even_where_the_plugin_would() {
    let scenario = Scenario::start().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await.to_string();
    assert_eq!(save(&scenario, "germany", "DE", &thumbprint).await, Ok(()));
    assert_eq!(save(&scenario, "germany, too", "DE", &thumbprint).await, Ok(()));
    let refused = save(&scenario, "austria", "AT", &thumbprint).await;
    assert_eq!(refused, Err("certificate-shared".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_plugin_names_no_field_for_a_certificate_has_none_to_rotate() {
    let scenario = Scenario::start().await;
    scenario.new_instance(INSTANCE).await;
    let guest = FormGuest {
        fields: &[NAME, URL],
        reaches: &[("api.example.com", false)],
        certificate_field: "",
    };
    let host = running(&scenario, &guest.component()).await;
    let form = host.configure(INSTANCE, &typed(&[NAME, URL]), &actor()).await;
    let before = form.expect("it is saved").instance;
    let successor = scenario.install(&CertificateRequest::default()).await;
    let refused = host
        .rotate_certificate(INSTANCE, successor, &actor(), silent())
        .await;
    assert!(
        matches!(refused, Err(RotateError::NoCertificate(_))),
        "{refused:?}"
    );
    let after = host.named_instance(INSTANCE).await.expect("the instance");
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_writes_the_certificate_into_no_other_field() {
    let scenario = Scenario::start().await;
    let [former, successor] = [
        scenario.install(&CertificateRequest::default()).await,
        scenario.install(&CertificateRequest::default()).await,
    ];
    assert_eq!(save(&scenario, INSTANCE, "DE", &former.to_string()).await, Ok(()));
    let guest = FormGuest {
        fields: &[
            ("system-name", 0, &successor.to_string()),
            URL,
            (CERTIFICATE, 2, &former.to_string()),
            ("country", 2, "DE"),
        ],
        reaches: &[("api.example.com", false)],
        certificate_field: "system-name",
    };
    let host = running(&scenario, &guest.component()).await;
    let refused = host
        .rotate_certificate(INSTANCE, successor, &actor(), silent())
        .await;
    assert!(
        matches!(refused, Err(RotateError::Exchanged { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_s_own_login_server_is_reached_once_the_operator_has_allowed_it() {
    let scenario = Scenario::start().await;
    let thumbprint = scenario.install(&CertificateRequest::default()).await.to_string();
    let create = ["instance", "create", INSTANCE, "--currency", "EUR"];
    assert_eq!(scenario.bss_host(&create).status.code(), Some(0));
    let configure = |typed: &BTreeMap<String, String>, more: &[&str]| {
        let set: Vec<_> = typed
            .iter()
            .map(|(id, value)| format!("--set={id}={value}"))
            .collect();
        let set: Vec<_> = set.iter().map(String::as_str).collect();
        scenario.bss_host(&[&["instance", "configure", INSTANCE], &set[..], more].concat())
    };
    let credentials = crate::scenario::credentials(scenario.microsoft.details());
    assert_eq!(configure(&credentials, &[]).status.code(), Some(0));

    let selection = crate::scenario::selection(&thumbprint);
    let refused = configure(&selection, &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let flag = format!("`--allow-host {MICROSOFT}`");
    for words in ["nothing was saved", &format!("`{MICROSOFT}`"), &flag] {
        assert!(error.contains(words), "`{words}` in: {error}");
    }
    let allowed = configure(&selection, &["--allow-host", "Login.MicrosoftOnline.com"]);
    assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
    let shown = String::from_utf8_lossy(&allowed.stdout).into_owned();
    assert!(
        shown.contains(&format!("reaches {MICROSOFT} without a certificate")),
        "{shown}"
    );

    // The leave stays until it is taken back, which a plugin that still asks does not let pass unseen.
    assert_eq!(configure(&selection, &[]).status.code(), Some(0));
    let taken_back = configure(&BTreeMap::new(), &["--disallow-host", MICROSOFT]);
    assert_eq!(taken_back.status.code(), Some(1), "{taken_back:?}");
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    assert_eq!(instance.reach.allowed_hosts, [MICROSOFT]);
}

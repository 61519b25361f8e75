//! Walks through the form, and every mistake in it.

use proptest::prelude::*;

use super::*;
use crate::instance_settings::{
    FieldValue, InstalledCertificate, Instance, KeyKind, OtherInstance, Settings,
};
use crate::scripted_platform::{
    CLIENT_ID, CREDENTIALS as SIX, NOW_MS, SELECTION as THREE, ScriptedPlatform, fields,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn certificate() -> InstalledCertificate {
    InstalledCertificate {
        thumbprint: THREE[0].1.to_owned(),
        subject: "CN=esd.example.com".to_owned(),
        dns_names: vec!["esd.example.com".to_owned()],
        not_before_ms: NOW_MS - DAY_MS,
        not_after_ms: NOW_MS + DAY_MS,
        key: KeyKind::Rsa(2_048),
        has_private_key: true,
        for_client_authentication: true,
    }
}

fn draft(values: &[(&str, &str)], saved: &[(&str, &str)]) -> Draft {
    Draft {
        values: fields(values),
        saved: fields(saved),
        currency: "EUR".to_owned(),
        certificates: vec![certificate()],
        ..Draft::default()
    }
}

fn nine() -> Vec<(&'static str, &'static str)> {
    [SIX.as_slice(), THREE.as_slice()].concat()
}

fn nine_with(id: &str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    nine()
        .into_iter()
        .map(|(name, old)| (name, if name == id { value } else { old }))
        .collect()
}

fn judge(draft: &Draft) -> Form {
    configure_instance(&ScriptedPlatform::answering([]), draft)
}

fn field<'a>(form: &'a Form, id: &str) -> &'a Field {
    form.fields.iter().find(|field| field.id == id).unwrap()
}

fn codes(form: &Form) -> Vec<(&str, &str)> {
    form.fields
        .iter()
        .flat_map(|field| {
            let problems = field.problems.iter();
            problems.map(|problem| (field.id.as_str(), problem.code.as_str()))
        })
        .collect()
}

#[test]
fn the_form_has_the_pages_fields_in_the_pages_order() {
    let form = judge(&Draft::default());
    let labels: Vec<&str> = form.fields.iter().map(|field| field.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "System Name",
            "Recourse API",
            "Service URL",
            "Azure Active Directory Tenant",
            "Channel ID",
            "Client ID",
            "Certificate Thumbprint",
            "Country",
            "Language",
        ]
    );
    assert_eq!(form.standing, Standing::NeedsCredentials);
    assert_eq!(form.certificate_field.as_deref(), Some("certificate-thumbprint"));
    assert!(form.fields.iter().all(|field| field.mandatory));
    let missing: Vec<(&str, &str)> = SIX.iter().map(|(id, _)| (*id, "missing")).collect();
    assert_eq!(codes(&form), missing);
}

#[test]
fn the_last_three_open_only_after_the_first_six_are_saved() {
    let form = judge(&draft(&SIX, &[]));
    assert_eq!(codes(&form), [("", ""); 0]);
    assert_eq!(form.standing, Standing::NeedsSelection);
    for (id, _) in THREE {
        assert!(!field(&form, id).enabled);
        assert!(field(&form, id).choices.is_empty());
    }

    let form = judge(&draft(&[], &SIX));
    assert_eq!(codes(&form), [("", ""); 0]);
    assert_eq!(form.standing, Standing::NeedsSelection);
    for (id, _) in THREE {
        assert!(field(&form, id).enabled);
        assert!(!field(&form, id).choices.is_empty());
    }
}

#[test]
fn one_of_the_last_three_that_is_sent_too_early_is_refused() {
    let form = judge(&draft(&nine(), &[]));
    let refused: Vec<(&str, &str)> = THREE.iter().map(|(id, _)| (*id, "not-yet-enabled")).collect();
    assert_eq!(codes(&form), refused);
    assert_eq!(form.standing, Standing::NeedsSelection);

    let emptied = THREE.map(|(id, _)| (id, " "));
    let form = judge(&draft(&[SIX.as_slice(), &emptied].concat(), &[]));
    assert_eq!(codes(&form), [("", ""); 0]);
}

#[test]
fn a_complete_form_is_ready_and_names_whom_to_reach() {
    let form = judge(&draft(&THREE, &SIX));
    assert_eq!(codes(&form), [("", ""); 0]);
    let authority = |name: &str, client_certificate| Authority {
        name: name.to_owned(),
        client_certificate,
        secret_headers: Vec::new(),
    };
    assert_eq!(
        form.standing,
        Standing::Ready(vec![
            authority("esd.example.com:8443", true),
            authority("esd.example.com", true),
            authority("login.microsoftonline.com", false),
        ])
    );
}

#[test]
fn the_login_authority_is_shown_the_certificate_only_if_the_operator_typed_it() {
    let saved = nine_with("resource-api", "https://LOGIN.microsoftonline.com:443/x");
    let form = judge(&draft(&[], &saved));
    let Standing::Ready(authorities) = form.standing else {
        panic!("ready");
    };
    let login: Vec<&Authority> = authorities
        .iter()
        .filter(|authority| authority.name == "login.microsoftonline.com")
        .collect();
    assert_eq!(login.len(), 1);
    assert!(login[0].client_certificate);
}

#[test]
fn values_are_shown_as_they_would_be_saved() {
    let typed = [
        ("system-name", "  ESD Greece\t"),
        ("client-id", "11111111-2222-3333-4444-555555555555 "),
        (
            "certificate-thumbprint",
            "\u{200E}01:23:45:67:89:ab:cd:ef 01:23:45:67:89:ab:cd:ef 01:23:45:67",
        ),
        ("country", "gr"),
        ("language", "EL-gr"),
    ];
    let form = judge(&draft(&typed, &nine()));
    assert_eq!(codes(&form), [("", ""); 0]);
    for (id, value) in nine() {
        assert_eq!(field(&form, id).value, value);
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let typed = [
        ("system-name", "a\u{200B}b"),
        ("resource-api", "http://user@esd.example.com"),
        ("service-url", "esd.example.com"),
        ("tenant", "contoso"),
        ("channel-id", "12\u{0007}34"),
        ("client-id", "none"),
    ];
    let form = judge(&draft(&typed, &[]));
    assert_eq!(
        codes(&form),
        [
            ("system-name", "invisible-character"),
            ("resource-api", "url-not-https"),
            ("resource-api", "url-with-credentials"),
            ("service-url", "url-not-https"),
            ("tenant", "not-a-tenant"),
            ("channel-id", "invisible-character"),
            ("client-id", "not-a-guid"),
        ]
    );
    for field in &form.fields {
        for problem in &field.problems {
            assert!(!problem.message.is_empty() && !problem.advice.is_empty());
        }
    }
}

#[test]
fn lengths_are_counted_in_characters_and_not_in_bytes() {
    let fits = "Ω".repeat(100);
    let form = judge(&draft(&[("system-name", &fits)], &nine()));
    assert_eq!(codes(&form), [("", ""); 0]);
    let long = "Ω".repeat(101);
    let form = judge(&draft(&[("system-name", &long)], &nine()));
    assert_eq!(codes(&form), [("system-name", "too-long")]);
}

#[test]
fn a_choice_that_is_not_in_the_list_is_a_problem() {
    let form = judge(&draft(&[("country", "XX"), ("language", "tlh")], &nine()));
    assert_eq!(
        codes(&form),
        [("country", "not-a-country"), ("language", "not-a-language")]
    );
    assert_eq!(form.standing, Standing::NeedsSelection);
}

#[test]
fn a_certificate_that_can_not_be_used_is_shown_with_the_reason() {
    type Change = fn(&mut InstalledCertificate);
    let changes: [(Change, &str); 6] = [
        (|it| it.has_private_key = false, "private key"),
        (|it| it.not_before_ms = NOW_MS + 1, "not valid before"),
        (|it| it.not_after_ms = NOW_MS - 1, "expired on 22 Nov 2026"),
        (|it| it.key = KeyKind::Rsa(1_024), "1024 bits"),
        (|it| it.key = KeyKind::Other("EC P-256".to_owned()), "EC P-256"),
        (|it| it.for_client_authentication = false, "client authentication"),
    ];
    for (change, reason) in changes {
        let mut draft = draft(&[], &nine());
        change(&mut draft.certificates[0]);
        let form = judge(&draft);
        let field = field(&form, "certificate-thumbprint");
        assert!(
            field.choices[0].unusable_because.contains(reason),
            "{:?}",
            field.choices
        );
        assert_eq!(codes(&form), [("certificate-thumbprint", "certificate-unusable")]);
        assert!(field.problems[0].message.contains(reason));
        assert_eq!(form.standing, Standing::NeedsSelection);
    }
    let form = judge(&draft(&[], &nine()));
    let choice = &field(&form, "certificate-thumbprint").choices[0];
    assert_eq!(choice.unusable_because, "");
    assert_eq!(
        choice.label,
        "CN=esd.example.com, valid until 23 Nov 2026, …01234567"
    );
}

#[test]
fn a_certificate_without_end_of_validity_has_a_label() {
    let mut draft = draft(&[], &nine());
    draft.certificates[0].not_after_ms = i64::MAX;
    draft.certificates[0].not_before_ms = i64::MIN;
    let form = judge(&draft);
    let label = &field(&form, "certificate-thumbprint").choices[0].label;
    assert!(label.contains("31 Dec 9999"), "{label}");
}

#[test]
fn a_thumbprint_must_be_one_and_be_installed() {
    for (value, code) in [
        ("none", "not-a-thumbprint"),
        (
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "certificate-not-installed",
        ),
    ] {
        let form = judge(&draft(&[("certificate-thumbprint", value)], &nine()));
        assert_eq!(codes(&form), [("certificate-thumbprint", code)]);
    }
}

/// The problems of a ready instance beside another one that differs from it in `other` and `currency`.
fn beside(other: &[(&'static str, &'static str)], currency: &str) -> Vec<(String, String, String)> {
    let mut values = nine_with("system-name", "Other");
    for (id, value) in other {
        values.retain(|(name, _)| name != id);
        values.push((id, value));
    }
    let mut draft = draft(&[], &nine());
    draft.other_instances = vec![OtherInstance {
        name: "other".to_owned(),
        values: fields(&values),
        currency: currency.to_owned(),
    }];
    judge(&draft)
        .fields
        .into_iter()
        .flat_map(|field| {
            let id = field.id.to_owned();
            field
                .problems
                .into_iter()
                .map(move |problem| (id.clone(), problem.code, problem.message))
        })
        .collect()
}

fn short(problems: &[(String, String, String)]) -> Vec<(&str, &str)> {
    for (_, _, message) in problems {
        assert!(message.contains("`other`"), "{message}");
    }
    problems
        .iter()
        .map(|(id, code, _)| (id.as_str(), code.as_str()))
        .collect()
}

#[test]
fn a_certificate_serves_one_combination_and_a_clash_names_the_other_instance() {
    const IN_USE: (&str, &str) = ("certificate-thumbprint", "certificate-in-use");
    const ANOTHER: (&str, &str) = ("client-id", "99999999-2222-3333-4444-555555555555");
    assert_eq!(beside(&[], "EUR"), []);
    assert_eq!(short(&beside(&[], "USD")), [IN_USE]);
    assert_eq!(short(&beside(&[("language", "en-US")], "EUR")), [IN_USE]);
    assert_eq!(short(&beside(&[("channel-id", "1")], "EUR")), [IN_USE]);
    assert_eq!(short(&beside(&[ANOTHER], "EUR")), [IN_USE]);
    assert_eq!(short(&beside(&[("country", "DE"), ANOTHER], "EUR")), [IN_USE]);
    // The thumbprint of the same certificate, as certificate viewers write it.
    let spaced = "01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67";
    assert_eq!(
        short(&beside(&[("certificate-thumbprint", spaced)], "USD")),
        [IN_USE]
    );
    // A field that the other instance has not chosen yet clashes with nothing; nor does another certificate.
    assert_eq!(beside(&[("country", ""), ("language", "")], "EUR"), []);
    let another = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF";
    assert_eq!(beside(&[("certificate-thumbprint", another)], "USD"), []);
}

#[test]
fn a_client_id_serves_one_country() {
    let another = (
        "certificate-thumbprint",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
    );
    assert_eq!(
        short(&beside(&[("country", "DE"), another], "EUR")),
        [("client-id", "client-id-in-use")]
    );
    assert_eq!(beside(&[("client-id", CLIENT_ID), another], "EUR"), []);
}

#[test]
fn a_system_name_is_given_once() {
    assert_eq!(
        short(&beside(&[("system-name", "esd greece")], "EUR")),
        [("system-name", "system-name-in-use")]
    );
}

#[test]
fn what_licenses_depend_on_can_not_be_changed() {
    let changed = [
        ("channel-id", "2"),
        ("country", "DE"),
        ("language", ""),
        ("system-name", "New"),
    ];
    let mut draft = draft(&changed, &nine());
    assert_eq!(codes(&judge(&draft)), [("", ""); 0]);
    draft.has_licenses = true;
    assert_eq!(
        codes(&judge(&draft)),
        [
            ("channel-id", "licenses-depend-on-it"),
            ("country", "licenses-depend-on-it"),
            ("language", "licenses-depend-on-it"),
        ]
    );
    draft.values = fields(&[("country", " gr ")]);
    assert_eq!(codes(&judge(&draft)), [("", ""); 0]);
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let ids: Vec<&'static str> = nine().iter().map(|(id, _)| *id).chain(["other"]).collect();
    let good: Vec<&'static str> = nine().iter().map(|(_, value)| *value).collect();
    let value = prop_oneof![
        any::<String>(),
        prop::sample::select(good).prop_map(str::to_owned),
        Just(String::new()),
    ];
    let typed = (prop::sample::select(ids), value).prop_map(|(id, value)| FieldValue {
        id: id.to_owned(),
        value,
    });
    let many = || prop::collection::vec(typed.clone(), 0..10);
    let saved = prop_oneof![Just(fields(&nine())), Just(fields(&SIX)), many()];
    (many(), saved, any::<bool>()).prop_map(|(values, saved, has_licenses)| Draft {
        values,
        saved,
        has_licenses,
        ..draft(&[], &[])
    })
}

proptest! {
    #[test]
    fn a_form_without_problems_can_be_saved_and_one_that_is_ready_can_be_used(draft in any_draft()) {
        let form = judge(&draft);
        let values: Vec<FieldValue> = form
            .fields
            .iter()
            .map(|field| FieldValue { id: field.id.to_owned(), value: field.value.clone() })
            .collect();
        let is_clean = form.fields.iter().all(|field| field.problems.is_empty());
        if is_clean {
            let again = judge(&Draft { values: Vec::new(), saved: values.clone(), ..draft.clone() });
            prop_assert!(codes(&again).is_empty(), "{:?}", codes(&again));
        }
        if matches!(form.standing, Standing::Ready(_)) {
            prop_assert!(is_clean);
            let instance = Instance { id: "esd".to_owned(), values, currency: "EUR".to_owned() };
            prop_assert!(Settings::parse(&instance).is_ok());
        }
    }

    #[test]
    fn the_last_three_stay_closed_until_the_first_six_are_saved(draft in any_draft()) {
        let form = judge(&draft);
        let saved_alone = judge(&Draft { values: Vec::new(), has_licenses: false, ..draft.clone() });
        let saved = saved_alone.standing != Standing::NeedsCredentials;
        for (id, _) in THREE {
            prop_assert_eq!(field(&form, id).enabled, saved);
        }
        if !saved {
            prop_assert!(!matches!(form.standing, Standing::Ready(_)));
        }
    }
}

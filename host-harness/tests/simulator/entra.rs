//! The token endpoint: which requests get an access token, and the refusal for each wrong part of one.

use bss_simulator::{CertificateRequest, KeyKind, Registration};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::client::{Algorithm, Assertion, Client, Microsoft, Reply, Version};

/// Asks for an access token with another assertion; the rest of the request is right.
async fn with(client: &mut Client, assertion: Assertion) -> Reply {
    client.assertion = assertion;
    client.ask_for_access_token(Version::V2).await
}

/// Asks for an access token with one parameter changed or, where the value is empty, left out.
async fn with_parameter(client: &Client, version: Version, name: &'static str, value: &str) -> Reply {
    let mut form = client.token_form(version);
    form.retain(|(other, _)| *other != name);
    if !value.is_empty() {
        form.push((name, value.to_owned()));
    }
    client.post_form(&client.token_url(version), &form).await.unwrap()
}

#[tokio::test]
async fn both_versions_grant_an_access_token_each_in_its_own_form() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();

    let newer = client.ask_for_access_token(Version::V2).await;
    assert_eq!(newer.status, StatusCode::OK);
    assert_eq!(newer.headers["cache-control"], "no-store");
    let newer = newer.json();
    assert_eq!(
        (&newer["token_type"], &newer["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );

    let older = client.ask_for_access_token(Version::V1).await;
    assert_eq!(older.status, StatusCode::OK);
    let older = older.json();
    assert_eq!(
        (&older["token_type"], &older["expires_in"]),
        (&json!("Bearer"), &json!("3600"))
    );
    assert_eq!(older["resource"], json!(client.details.resource_api));
    for member in ["ext_expires_in", "expires_on", "not_before"] {
        assert!(older[member].as_str().unwrap().parse::<u64>().is_ok(), "{member}");
    }
    assert_ne!(newer["access_token"], older["access_token"]);
}

#[tokio::test]
async fn the_older_form_of_an_assertion_is_taken_too() {
    let microsoft = Microsoft::start().await;
    let issued = microsoft
        .simulator
        .issue_client_certificate(&CertificateRequest::default())
        .unwrap();
    let mut client = microsoft.client_with(&issued);
    let reply = with(&mut client, Assertion::in_the_older_form(&issued)).await;
    assert_eq!(reply.status, StatusCode::OK);
    let both = Assertion {
        x5t: client.assertion.x5t.clone(),
        ..Assertion::of(&issued)
    };
    assert_eq!(with(&mut client, both).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_assertion_is_taken_once_even_across_a_restart() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let form = client.token_form(Version::V2);
    let url = client.token_url(Version::V2);
    assert_eq!(
        client.post_form(&url, &form).await.unwrap().status,
        StatusCode::OK
    );
    let again = client.post_form(&url, &form).await.unwrap();
    assert_eq!((again.status, again.aadsts()), (StatusCode::BAD_REQUEST, 50013));

    let mut client = client;
    client.assertion.jti = Some("a-jti-of-our-own".to_owned());
    assert_eq!(
        client.ask_for_access_token(Version::V2).await.status,
        StatusCode::OK
    );
    let assertion = client.assertion;
    let microsoft = microsoft.restart().await;
    let mut client = microsoft.client_without_certificate(&rustls::version::TLS13);
    client.assertion = assertion;
    assert_eq!(client.ask_for_access_token(Version::V2).await.aadsts(), 50013);
    client.assertion.jti = None;
    assert_eq!(
        client.ask_for_access_token(Version::V2).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn each_wrong_part_of_an_assertion_has_its_own_refusal() {
    let microsoft = Microsoft::start().await;
    let issued = microsoft
        .simulator
        .issue_client_certificate(&CertificateRequest::default())
        .unwrap();
    let other = microsoft
        .simulator
        .issue_client_certificate(&CertificateRequest::default())
        .unwrap();
    let unregistered = CertificateRequest {
        registration: Registration::Unregistered,
        ..CertificateRequest::default()
    };
    let unregistered = microsoft
        .simulator
        .issue_client_certificate(&unregistered)
        .unwrap();
    let mut client = microsoft.client_with(&issued);
    let good = Assertion::of(&issued);
    let text = |text: &str| Some(text.to_owned());

    let wrong = [
        (700027, "unknown certificate", Assertion::of(&unregistered)),
        (
            700027,
            "no thumbprint",
            Assertion {
                x5t_s256: None,
                ..good.clone()
            },
        ),
        (
            700027,
            "a thumbprint that is no base64url",
            Assertion {
                x5t_s256: text("?"),
                ..good.clone()
            },
        ),
        (
            700027,
            "another key",
            Assertion {
                private_key_pem: other.private_key_pem.to_string(),
                ..good.clone()
            },
        ),
        (
            700027,
            "two certificates",
            Assertion {
                x5t: Assertion::in_the_older_form(&other).x5t,
                ..good.clone()
            },
        ),
        (
            700023,
            "the other version's audience",
            Assertion {
                audience: text(&client.token_url(Version::V1)),
                ..good.clone()
            },
        ),
        (
            700023,
            "an audience with a slash",
            Assertion {
                audience: Some(client.token_url(Version::V2) + "/"),
                ..good.clone()
            },
        ),
        (
            700021,
            "another client",
            Assertion {
                issuer: text("x"),
                subject: text("x"),
                ..good.clone()
            },
        ),
        (
            50048,
            "a subject that is not the issuer",
            Assertion {
                subject: text("x"),
                ..good.clone()
            },
        ),
        (
            700024,
            "expired",
            Assertion {
                expires: -301,
                ..good.clone()
            },
        ),
        (
            700024,
            "not valid yet",
            Assertion {
                not_before: 330,
                ..good.clone()
            },
        ),
        (
            700024,
            "lasting too long",
            Assertion {
                expires: 930,
                ..good.clone()
            },
        ),
        (
            50027,
            "no jti",
            Assertion {
                jti: text(""),
                ..good.clone()
            },
        ),
        (
            50027,
            "a jti without end",
            Assertion {
                jti: Some("j".repeat(129)),
                ..good.clone()
            },
        ),
        (
            50027,
            "another algorithm",
            Assertion {
                algorithm: Algorithm::RS384,
                ..good.clone()
            },
        ),
    ];
    for (aadsts, what, assertion) in wrong {
        let reply = with(&mut client, assertion).await;
        assert_eq!(reply.aadsts(), aadsts, "{what}: {:?}", reply.body);
        let status = if aadsts == 50027 {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(reply.status, status, "{what}");
    }
    let skewed = Assertion {
        not_before: 240,
        expires: 840,
        ..good.clone()
    };
    assert_eq!(
        with(&mut client, skewed).await.status,
        StatusCode::OK,
        "a clock that is 4 minutes fast"
    );
    let skewed = Assertion {
        not_before: -800,
        expires: -240,
        ..good
    };
    assert_eq!(
        with(&mut client, skewed).await.status,
        StatusCode::OK,
        "a clock that is slow"
    );
}

#[tokio::test]
async fn a_changed_signature_is_refused() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let mut form = client.token_form(Version::V2);
    let (_, assertion) = form
        .iter_mut()
        .find(|(name, _)| *name == "client_assertion")
        .unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    *assertion = format!("{signed}.{first}{}", &signature[1..]);
    let reply = client
        .post_form(&client.token_url(Version::V2), &form)
        .await
        .unwrap();
    assert_eq!((reply.status, reply.aadsts()), (StatusCode::UNAUTHORIZED, 700027));
}

#[tokio::test]
async fn a_registered_certificate_signs_until_it_expires_and_only_with_rsa() {
    let microsoft = Microsoft::start().await;
    let expired = CertificateRequest {
        not_after: Timestamp::now() - SignedDuration::from_mins(1),
        ..CertificateRequest::default()
    };
    let issued = microsoft.simulator.issue_client_certificate(&expired).unwrap();
    let reply = microsoft
        .client_with(&issued)
        .ask_for_access_token(Version::V2)
        .await;
    assert_eq!(reply.aadsts(), 700027);
    assert!(
        reply.json()["error_description"]
            .as_str()
            .unwrap()
            .contains("expired")
    );

    let larger = CertificateRequest {
        key: KeyKind::Rsa3072,
        ..CertificateRequest::default()
    };
    let issued = microsoft.simulator.issue_client_certificate(&larger).unwrap();
    let client = microsoft.client_with(&issued);
    assert_eq!(
        client.ask_for_access_token(Version::V2).await.status,
        StatusCode::OK
    );

    let elliptic = CertificateRequest {
        key: KeyKind::EcdsaP256,
        ..CertificateRequest::default()
    };
    let elliptic = microsoft.simulator.issue_client_certificate(&elliptic).unwrap();
    let x5t = Assertion::in_the_older_form(&elliptic).x5t;
    let mut client = client;
    let reply = with(
        &mut client,
        Assertion {
            x5t,
            x5t_s256: None,
            ..Assertion::of(&issued)
        },
    )
    .await;
    assert_eq!(reply.aadsts(), 700027);
}

#[tokio::test]
async fn each_wrong_parameter_has_its_own_refusal() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let no_application = uuid::Uuid::new_v4().to_string();
    let resource = client.details.resource_api.clone();
    let (two, other) = (
        format!("{resource}/.default {resource}/.default"),
        "https://elsewhere/.default".to_owned(),
    );
    let cases = [
        (Version::V2, "grant_type", "", 900144),
        (Version::V2, "grant_type", "password", 70003),
        (Version::V2, "client_id", "", 900144),
        (Version::V2, "client_id", "no uuid", 700016),
        (Version::V2, "client_id", no_application.as_str(), 700016),
        (Version::V2, "client_assertion", "", 7000218),
        (Version::V2, "client_assertion", "not.a.jwt", 50027),
        (Version::V2, "client_assertion_type", "", 900144),
        (Version::V2, "client_assertion_type", "saml", 50027),
        (Version::V2, "scope", "", 900144),
        (Version::V2, "scope", resource.as_str(), 70011),
        (Version::V2, "scope", two.as_str(), 70011),
        (Version::V2, "scope", other.as_str(), 500011),
        (Version::V2, "resource", resource.as_str(), 901002),
        (Version::V1, "resource", "", 900144),
        (Version::V1, "resource", "https://elsewhere", 500011),
    ];
    for (version, name, value, aadsts) in cases {
        let reply = with_parameter(&client, version, name, value).await;
        assert_eq!(
            reply.aadsts(),
            aadsts,
            "{version:?} {name}={value}: {:?}",
            reply.body
        );
        assert!(
            reply.json()["error_description"]
                .as_str()
                .unwrap()
                .starts_with(&format!("AADSTS{aadsts}: "))
        );
    }
    let secret = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.details.client_id.to_string()),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let mut secret = secret.to_vec();
    secret.push(("scope", format!("{resource}/.default")));
    secret.push(("client_secret", "hunter2".to_owned()));
    let reply = client
        .post_form(&client.token_url(Version::V2), &secret)
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.aadsts()),
        (StatusCode::UNAUTHORIZED, 7000215)
    );
}

#[tokio::test]
async fn another_tenant_another_method_and_garbage_are_refused() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let tenant = client.details.tenant.to_string();
    let elsewhere = client.token_url(Version::V2).replace(&tenant, "contoso.example");
    let reply = client
        .post_form(&elsewhere, &client.token_form(Version::V2))
        .await
        .unwrap();
    assert_eq!((reply.status, reply.aadsts()), (StatusCode::BAD_REQUEST, 90002));

    let url = client.token_url(Version::V2);
    let reply = client.send(Method::GET, &url, &[], b"").await.unwrap();
    assert_eq!(
        (reply.status, reply.aadsts()),
        (StatusCode::METHOD_NOT_ALLOWED, 900561)
    );
    let reply = client.send(Method::POST, &url, &[], &[0xff; 4096]).await.unwrap();
    assert_eq!((reply.status, reply.aadsts()), (StatusCode::BAD_REQUEST, 900144));
    let reply = client
        .send(Method::POST, &format!("{url}/x"), &[], b"")
        .await
        .unwrap();
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

//! Certificates: which clients may connect to CIS, and whose calls it takes.

use std::time::Duration;

use bss_simulator::{
    CertificateRequest, ExtendedKeyUsage, IssuedCertificate, KeyKind, Registration, TlsVersion, TlsVersions,
};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};
use uuid::Uuid;

use crate::client::{Client, Microsoft, Version, alert};

/// The alert that a call ends in.
async fn refused(client: &Client) -> Option<AlertDescription> {
    let path = format!("/tokens/{}", Uuid::new_v4());
    let error = client
        .call(Method::GET, &path, Some("none"), &[], None)
        .await
        .expect_err("the call is refused");
    alert(&error)
}

#[tokio::test]
async fn without_a_client_certificate_nobody_gets_in() {
    let microsoft = Microsoft::start().await;
    for version in [&TLS12, &TLS13] {
        let client = microsoft.client_without_certificate(version);
        assert_eq!(
            refused(&client).await,
            Some(AlertDescription::CertificateRequired),
            "{version:?}"
        );
    }
    assert_eq!(microsoft.simulator.connections(), []);
}

#[tokio::test]
async fn a_certificate_of_another_authority_an_expired_one_and_one_for_servers_are_refused() {
    let microsoft = Microsoft::start().await;
    let now = Timestamp::now();
    let request = CertificateRequest::default();
    let expired = CertificateRequest {
        not_after: now - SignedDuration::from_mins(10),
        ..request.clone()
    };
    let not_yet = CertificateRequest {
        not_before: now + SignedDuration::from_mins(10),
        ..request.clone()
    };
    let server = CertificateRequest {
        usage: ExtendedKeyUsage::Server,
        ..request.clone()
    };
    let issue = |request| microsoft.simulator.issue_client_certificate(request).unwrap();
    let untrusted = microsoft.simulator.issue_untrusted_certificate(&request).unwrap();
    let cases: [(&str, IssuedCertificate, AlertDescription); 4] = [
        ("untrusted", untrusted, AlertDescription::UnknownCA),
        ("expired", issue(&expired), AlertDescription::CertificateExpired),
        (
            "not valid yet",
            issue(&not_yet),
            AlertDescription::CertificateExpired,
        ),
        (
            "for servers",
            issue(&server),
            AlertDescription::UnsupportedCertificate,
        ),
    ];
    for (what, issued, expected) in &cases {
        for version in [&TLS12, &TLS13] {
            let client = Client::new(microsoft.simulator.details(), Some(issued), &[version]);
            let alert = refused(&client).await;
            assert_eq!(alert, Some(*expected), "{what}, {version:?}");
        }
    }
    assert_eq!(microsoft.simulator.connections(), []);
}

#[tokio::test]
async fn each_kind_of_certificate_gets_in_and_is_named_among_the_connections() {
    let microsoft = Microsoft::start().await;
    let access_token = microsoft.client().access_token().await;
    let mut expected = Vec::new();
    for key in [KeyKind::Rsa2048, KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
        for usage in [
            ExtendedKeyUsage::Client,
            ExtendedKeyUsage::ClientAndServer,
            ExtendedKeyUsage::Absent,
        ] {
            let request = CertificateRequest {
                key,
                usage,
                ..CertificateRequest::default()
            };
            let issued = microsoft.simulator.issue_client_certificate(&request).unwrap();
            for (version, seen) in [(&TLS12, TlsVersion::Tls12), (&TLS13, TlsVersion::Tls13)] {
                let client = Client::new(microsoft.simulator.details(), Some(&issued), &[version]);
                let reply = client.get(&client.offers("DE", "de-DE", ""), &access_token).await;
                assert_eq!(reply.status, StatusCode::OK);
                expected.push((issued.thumbprint.clone(), seen, false, 1));
            }
        }
    }
    let seen = microsoft.simulator.connections().into_iter();
    let seen: Vec<_> = seen
        .map(|it| {
            (
                it.client_certificate_thumbprint,
                it.tls_version,
                it.resumed,
                it.requests,
            )
        })
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_second_connection_of_a_client_resumes_the_first_and_requests_are_counted() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = format!("Bearer {}", client.access_token().await);
    let url = format!(
        "{}{}",
        client.details.service_url,
        client.offers("DE", "de-DE", "")
    );
    let headers = [("authorization", access_token.as_str())];
    for requests in [3, 2] {
        let mut connection = client.connect(&url).await.unwrap();
        for _ in 0..requests {
            let reply = connection.send(Method::GET, &url, &headers, b"").await.unwrap();
            assert_eq!(reply.status, StatusCode::OK);
        }
    }
    let seen = microsoft.simulator.connections();
    assert_eq!(
        seen.iter()
            .map(|it| (it.resumed, it.requests))
            .collect::<Vec<_>>(),
        [(false, 3), (true, 2)]
    );
    assert_eq!(
        seen[0].client_certificate_thumbprint,
        seen[1].client_certificate_thumbprint
    );
}

#[tokio::test]
async fn a_listener_that_speaks_one_version_refuses_the_other() {
    for (only, spoken, other) in [
        (TlsVersions::Tls12, &TLS12, &TLS13),
        (TlsVersions::Tls13, &TLS13, &TLS12),
    ] {
        let microsoft = Microsoft::start_with(|options| options.tls = only).await;
        let issued = microsoft
            .simulator
            .issue_client_certificate(&CertificateRequest::default())
            .unwrap();
        let url = &microsoft.simulator.details().service_url;
        let connect = |version| Client::new(microsoft.simulator.details(), Some(&issued), &[version]);
        assert!(connect(spoken).connect(url).await.is_ok(), "{only:?}");
        let error = connect(other)
            .connect(url)
            .await
            .err()
            .expect("the other version is refused");
        assert_eq!(alert(&error), Some(AlertDescription::ProtocolVersion), "{only:?}");
    }
}

#[tokio::test]
async fn an_access_token_is_needed_and_must_be_a_good_one() {
    let microsoft = Microsoft::start_with(|options| options.access_token_life = Duration::ZERO).await;
    let client = microsoft.client();
    let path = client.offers("DE", "de-DE", "");
    let expired = client.access_token().await;
    for access_token in [None, Some("not one of ours"), Some(""), Some(expired.as_str())] {
        let reply = client
            .call(Method::GET, &path, access_token, &[], None)
            .await
            .unwrap();
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken")
        );
    }
    let basic = [("authorization", "Basic dXNlcjpwYXNz")];
    let reply = client.call(Method::GET, &path, None, &basic, None).await.unwrap();
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn revoked_access_tokens_are_refused_and_new_ones_are_not() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let path = client.offers("DE", "de-DE", "");
    let access_token = client.access_token().await;
    assert_eq!(client.get(&path, &access_token).await.status, StatusCode::OK);
    microsoft.simulator.revoke_access_tokens();
    assert_eq!(
        client.get(&path, &access_token).await.status,
        StatusCode::UNAUTHORIZED
    );
    let access_token = client.access_token().await;
    assert_eq!(client.get(&path, &access_token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_access_token_is_good_only_with_a_certificate_of_the_same_application() {
    let microsoft = Microsoft::start().await;
    let simulator = &microsoft.simulator;
    let client = microsoft.client();
    let path = client.offers("DE", "de-DE", "");
    let access_token = client.access_token().await;

    let other = simulator.add_application().unwrap();
    let request = CertificateRequest {
        registration: Registration::OtherApplication(other.client_id),
        ..CertificateRequest::default()
    };
    let mut others = microsoft.client_with(&simulator.issue_client_certificate(&request).unwrap());
    let reply = others.get(&path, &access_token).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken")
    );

    let unregistered = CertificateRequest {
        registration: Registration::Unregistered,
        ..request
    };
    let stranger = microsoft.client_with(&simulator.issue_client_certificate(&unregistered).unwrap());
    let reply = stranger.get(&path, &access_token).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::FORBIDDEN, "CertificateNotRegistered")
    );

    // The other application with its own access token reaches its own channel, and no other.
    others.details.client_id = other.client_id;
    let access_token = others.access_token().await;
    let reply = others.get(&path, &access_token).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::FORBIDDEN, "ChannelNotAuthorized")
    );
    others.details.channel_id = other.channel_id;
    assert_eq!(
        others
            .get(&others.offers("DE", "de-DE", ""), &access_token)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_application_can_not_sign_with_a_certificate_of_another() {
    let microsoft = Microsoft::start().await;
    let other = microsoft.simulator.add_application().unwrap();
    let mut client = microsoft.client();
    client.details.client_id = other.client_id;
    assert_eq!(client.ask_for_access_token(Version::V2).await.aadsts(), 700027);
}

//! The exchange with Entra, over a scripted platform.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::*;
use crate::platform::SignatureAlgorithm;
use crate::scripted_platform::{
    CERTIFICATE, CLIENT_ID, NOW_MS, ScriptedPlatform, access_token, answer, answer_with, instance,
};

fn settings() -> Settings {
    Settings::parse(&instance()).unwrap()
}

fn ask(platform: &ScriptedPlatform) -> Result<Secret, ReadFailure> {
    Entra::new(platform, &settings())?.access_token()
}

fn form(request: &HttpRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

fn assertion(request: &HttpRequest) -> (Value, Value, Vec<u8>) {
    let form = form(request);
    let (_, assertion) = form.iter().find(|(name, _)| name == "client_assertion").unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
    (decoded(parts[0]), decoded(parts[1]), signature)
}

fn denied(status: u16, error: &str, code: u64) -> crate::scripted_platform::Sent {
    let body = json!({"error": error, "error_description": "AADSTS: why.\r\nTrace ID: x",
        "error_codes": [code], "correlation_id": "theirs"});
    crate::scripted_platform::json(status, &body)
}

#[test]
fn the_newer_form_signs_with_ps256_and_names_the_certificate_by_sha_256() {
    let platform = ScriptedPlatform::answering([access_token()]);
    assert_eq!(ask(&platform).unwrap().expose(), "granted");

    let request = platform.request(0);
    let endpoint = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token";
    assert_eq!(request.url, endpoint);
    let (header, claims, signature) = assertion(&request);
    let thumbprint = BASE64URL_NOPAD.encode(&Sha256::digest(CERTIFICATE));
    assert_eq!(
        header,
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint})
    );
    let now = NOW_MS / 1_000;
    assert_eq!(
        claims,
        json!({
            "aud": endpoint,
            "iss": CLIENT_ID,
            "sub": CLIENT_ID,
            "jti": "00000000-0000-4000-8000-000000000001",
            "nbf": now - 60,
            "iat": now - 60,
            "exp": now + 540,
        })
    );
    assert_eq!(signature, b"signature");
    let signed = platform.signed.borrow();
    assert_eq!(signed[0].0, SignatureAlgorithm::Ps256);
    let fields: Vec<(String, String)> = form(&request)
        .into_iter()
        .filter(|(name, _)| name != "client_assertion")
        .collect();
    assert_eq!(
        fields,
        [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            ),
            ("scope", "https://esd.example.com/resource/.default"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn the_older_form_signs_with_rs256_and_names_the_certificate_by_sha_1() {
    let v1 = r#"{"token_type":"Bearer","expires_in":"3600","access_token":"granted"}"#;
    let mut platform = ScriptedPlatform::answering([answer(200, v1)]);
    platform.options.insert("entra-version", "v1");
    ask(&platform).unwrap();

    let request = platform.request(0);
    assert!(request.url.ends_with("/contoso.onmicrosoft.com/oauth2/token"));
    let (header, _, _) = assertion(&request);
    let thumbprint = BASE64URL_NOPAD.encode(&sha1::Sha1::digest(CERTIFICATE));
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "x5t": thumbprint}));
    let resource = (
        "resource".to_owned(),
        "https://esd.example.com/resource".to_owned(),
    );
    assert!(form(&request).contains(&resource));
    assert!(form(&request).iter().all(|(name, _)| name != "scope"));
    let cache = platform.cache.borrow();
    assert_eq!(cache.values().next().unwrap().1, NOW_MS + 3_300_000);
}

#[test]
fn an_access_token_is_asked_for_once_and_kept_until_shortly_before_it_expires() {
    let platform = ScriptedPlatform::answering([access_token()]);
    ask(&platform).unwrap();
    assert_eq!(ask(&platform).unwrap().expose(), "granted");
    let cache = platform.cache.borrow();
    assert_eq!(cache.values().next().unwrap().1, NOW_MS + 3_300_000);
}

#[test]
fn an_access_token_that_expires_at_once_is_used_and_not_kept() {
    for expires_in in ["0", "10", "-5", "\"12\""] {
        let body = format!(r#"{{"token_type":"Bearer","expires_in":{expires_in},"access_token":"granted"}}"#);
        let platform = ScriptedPlatform::answering([answer(200, &body)]);
        assert!(ask(&platform).is_ok(), "{expires_in}");
        assert_eq!(platform.cache.borrow().values().next().unwrap().1, NOW_MS);
    }
}

#[test]
fn another_certificate_has_an_access_token_of_its_own() {
    let mut platform = ScriptedPlatform::answering([access_token(), access_token()]);
    ask(&platform).unwrap();
    platform.certificate = Some(b"another".to_vec());
    ask(&platform).unwrap();
    assert_eq!(platform.cache.borrow().len(), 2);
}

#[test]
fn an_instance_without_a_certificate_sends_nothing() {
    let mut platform = ScriptedPlatform::answering([]);
    platform.certificate = None;
    let Err(ReadFailure::Misconfigured(problem)) = ask(&platform) else {
        panic!("refused");
    };
    assert_eq!(problem.code, "certificate-missing");
}

#[test]
fn an_outage_of_entra_is_asked_about_once_more_with_a_new_assertion() {
    let platform = ScriptedPlatform::answering([answer(503, "no"), access_token()]);
    assert!(ask(&platform).is_ok());
    let (_, first, _) = assertion(&platform.request(0));
    let (_, second, _) = assertion(&platform.request(1));
    assert_ne!(first["jti"], second["jti"]);

    let platform = ScriptedPlatform::answering([answer(503, "no"), answer(500, "no")]);
    assert!(matches!(ask(&platform), Err(ReadFailure::Unavailable(_))));
    assert!(platform.is_used_up());
    assert_eq!(*platform.pauses.borrow(), [1_000]);
}

#[test]
fn an_outage_that_says_how_long_it_takes_is_not_asked_about_before() {
    let platform = ScriptedPlatform::answering([answer_with(503, ("retry-after", "30"), "no")]);
    let Err(ReadFailure::Unavailable(delay)) = ask(&platform) else {
        panic!("unavailable");
    };
    assert_eq!(delay.retry_after_ms, Some(30_000));
    assert_eq!(platform.pauses.borrow().len(), 0);
}

#[test]
fn a_time_out_on_the_way_to_entra_says_nothing_about_the_settings() {
    for status in [408, 425, 499] {
        let platform = ScriptedPlatform::answering([answer(status, "late")]);
        let asked = ask(&platform);
        assert!(matches!(asked, Err(ReadFailure::Unavailable(_))), "{status}");
        assert!(platform.is_used_up());
    }
}

#[test]
fn an_entra_that_can_not_be_reached_is_named_and_no_field_that_does_not_name_it() {
    for failure in [
        SendFailure::NameNotResolved,
        SendFailure::Unreachable,
        SendFailure::ConnectTimeout,
        SendFailure::ServerNotTrusted,
        SendFailure::TlsFailed,
        SendFailure::TlsAlert(Some(40)),
        SendFailure::TlsAlert(Some(112)),
        SendFailure::AddressProhibited,
    ] {
        let platform = ScriptedPlatform::answering([Err(failure)]);
        let Err(ReadFailure::Unavailable(delay)) = ask(&platform) else {
            panic!("unavailable");
        };
        let problem = delay.problem;
        assert!(
            problem.message.contains("`login.microsoftonline.com`"),
            "{problem:?}"
        );
        assert!(!problem.advice.contains("the settings"), "{problem:?}");
    }
}

#[test]
fn a_throttled_request_is_not_repeated_and_says_how_long_to_wait() {
    let throttled = answer_with(429, ("retry-after", "7"), "{}");
    let platform = ScriptedPlatform::answering([throttled]);
    let Err(ReadFailure::Unavailable(delay)) = ask(&platform) else {
        panic!("unavailable");
    };
    assert_eq!(delay.retry_after_ms, Some(7_000));
}

#[test]
fn each_refusal_names_the_field_to_look_at() {
    for (code, expected, field) in [
        (700_027, "certificate-not-registered", "Certificate Thumbprint"),
        (700_016, "client-unknown", "Client ID"),
        (90_002, "tenant-unknown", "Azure Active Directory Tenant"),
        (500_011, "resource-unknown", "Recourse API"),
        (7_000_112, "client-disabled", "Client ID"),
        (1, "client-refused", "Client ID"),
    ] {
        let refused = || denied(401, "invalid_client", code);
        let platform = ScriptedPlatform::answering([refused(), refused()]);
        let Err(ReadFailure::Misconfigured(problem)) = ask(&platform) else {
            panic!("refused: {code}");
        };
        assert_eq!(problem.code, expected);
        assert!(problem.advice.contains(field), "{problem:?}");
        assert_eq!(problem.correlation_id, "theirs");
        assert!(!problem.message.contains("Trace"), "{problem:?}");
    }
}

#[test]
fn a_wrong_clock_is_tried_once_more_and_then_named() {
    let refused = || denied(401, "invalid_client", 700_024);
    let platform = ScriptedPlatform::answering([refused(), refused()]);
    let Err(ReadFailure::Unavailable(delay)) = ask(&platform) else {
        panic!("no setting is wrong");
    };
    assert_eq!(delay.problem.code, "clock-wrong");

    let body = json!({"error": "invalid_client", "error_codes": [50_012],
        "error_description": "AADSTS50012: Client assertion is not within its valid time range."});
    let refused = || crate::scripted_platform::json(401, &body);
    let platform = ScriptedPlatform::answering([refused(), access_token()]);
    assert!(ask(&platform).is_ok());
    let platform = ScriptedPlatform::answering([refused(), refused()]);
    assert!(matches!(ask(&platform), Err(ReadFailure::Unavailable(_))));
}

#[test]
fn a_transient_code_is_unavailable_whatever_its_status() {
    let platform = ScriptedPlatform::answering([denied(400, "invalid_request", 90_033)]);
    assert!(matches!(ask(&platform), Err(ReadFailure::Unavailable(_))));
}

#[test]
fn an_answer_that_is_no_access_token_is_malformed() {
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"token_type":"Bearer","expires_in":3600,"access_token":""}"#,
        r#"{"token_type":"Bearer","expires_in":3600,"access_token":"a\r\nb"}"#,
        r#"{"token_type":"mac","expires_in":3600,"access_token":"a"}"#,
    ] {
        let platform = ScriptedPlatform::answering([answer(200, body)]);
        assert!(matches!(ask(&platform), Err(ReadFailure::Malformed(_))), "{body}");
    }
}

#[test]
fn the_login_authority_is_an_option_that_must_be_a_host() {
    let mut platform = ScriptedPlatform::answering([]);
    assert_eq!(login_authority(&platform).unwrap(), "login.microsoftonline.com");
    for (option, authority) in [
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("https://login.microsoftonline.us", "login.microsoftonline.us"),
        (" https://Login.microsoftonline.us/ ", "login.microsoftonline.us"),
    ] {
        platform.options.insert("login-authority", option);
        assert_eq!(login_authority(&platform).unwrap(), authority);
    }
    for option in [
        "evil.example/@x",
        "",
        "a@b",
        "a?b",
        "a b",
        "http://login.example",
        "https://",
    ] {
        platform.options.insert("login-authority", option);
        let problem = login_authority(&platform).unwrap_err();
        assert_eq!(problem.code, "login-authority-invalid", "{option}");
        let asked = ask(&platform);
        assert!(matches!(asked, Err(ReadFailure::Misconfigured(_))), "{option}");
    }
}

/// What stands between a host and Entra answers so; none of it is Entra's word.
#[test]
fn a_page_of_something_on_the_way_refuses_nothing() {
    let page = "<html><title>Access blocked</title>";
    for sent in [
        answer_with(302, ("location", "https://portal.example/"), page),
        answer(403, page),
        answer_with(407, ("proxy-authenticate", "NTLM"), page),
        answer(400, ""),
        answer(421, "Misdirected Request"),
        answer(404, "{}"),
        answer(401, r#"{"statusCode":401,"message":"Access denied"}"#),
        answer(405, "null"),
    ] {
        let status = sent.as_ref().unwrap().status;
        let platform = ScriptedPlatform::answering([sent]);
        let Err(ReadFailure::Unavailable(delay)) = ask(&platform) else {
            panic!("{status}: nobody has refused it");
        };
        let problem = delay.problem;
        assert_eq!(problem.code, "access-token-unavailable");
        assert!(problem.message.contains(&format!("HTTP {status}")), "{problem:?}");
        assert!(!problem.message.contains("refused"), "{problem:?}");
    }
}

#[test]
fn what_entra_may_not_know_everywhere_yet_is_asked_about_once_more() {
    for code in [700_016, 700_027, 500_011] {
        let refused = || denied(401, "invalid_client", code);
        let platform = ScriptedPlatform::answering([refused(), access_token()]);
        assert!(ask(&platform).is_ok(), "{code}");
        assert_eq!(*platform.pauses.borrow(), [1_000]);
        let platform = ScriptedPlatform::answering([refused(), refused()]);
        assert!(matches!(ask(&platform), Err(ReadFailure::Misconfigured(_))));
    }
}

#[test]
fn the_code_of_an_error_is_read_whatever_is_missing_beside_it() {
    let description = "AADSTS700027: Client assertion contains an invalid signature.\r\nTrace ID: x";
    for body in [
        json!({"error": "invalid_client", "error_codes": [700_027], "correlation_id": null}),
        json!({"error": "invalid_client", "error_codes": ["700027"], "error_description": null}),
        json!({"error": null, "error_codes": "AADSTS700027"}),
        json!({"error": "invalid_client", "error_description": description}),
        json!({"error": "invalid_client", "error_description": description, "error_codes": null, "correlation_id": 7}),
    ] {
        let refused = || crate::scripted_platform::json(401, &body);
        let platform = ScriptedPlatform::answering([refused(), refused()]);
        let Err(ReadFailure::Misconfigured(problem)) = ask(&platform) else {
            panic!("misconfigured: {body}");
        };
        assert_eq!(problem.code, "certificate-not-registered", "{body}");
    }
}

#[test]
fn the_ids_and_the_time_behind_a_description_are_left_out_wherever_they_stand() {
    for separator in ["\r\n", " "] {
        let said = "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered.";
        let ids = "Trace ID: 8c3f9548 Correlation ID: 7ffdbbdc Timestamp: 2026-11-27 22:47:00Z";
        let body = json!({"error": "invalid_client", "error_codes": [700_027],
            "error_description": format!("{said}{separator}{ids}")});
        let refused = || crate::scripted_platform::json(401, &body);
        let platform = ScriptedPlatform::answering([refused(), refused()]);
        let Err(ReadFailure::Misconfigured(problem)) = ask(&platform) else {
            panic!("misconfigured: {body}");
        };
        assert!(problem.message.ends_with(said), "{}", problem.message);
    }
}

#[test]
fn a_tenant_of_another_cloud_a_revoked_and_an_expired_certificate_have_advice_of_their_own() {
    for (code, expected, words) in [
        (900_382, "cloud-wrong", "login-authority"),
        (900_439, "cloud-wrong", "login-authority"),
        (7_000_214, "certificate-revoked", "revoked"),
        (1_000_502, "certificate-out-of-time", "valid now"),
    ] {
        let platform = ScriptedPlatform::answering([denied(401, "invalid_client", code)]);
        let Err(ReadFailure::Misconfigured(problem)) = ask(&platform) else {
            panic!("misconfigured: {code}");
        };
        assert_eq!(problem.code, expected);
        assert!(problem.advice.contains(words), "{problem:?}");
    }
}

#[test]
fn an_access_token_works_whatever_is_said_of_its_lifetime() {
    for (lifetime, kept_ms) in [
        ("", 300_000),
        (r#","expires_in":null"#, 300_000),
        (r#","expires_in":"soon""#, 300_000),
        (r#","expires_in":3599.5"#, 3_299_000),
        (r#","expires_in":" 3600 ""#, 3_300_000),
        (r#","expires_in":1e300"#, 86_100_000),
    ] {
        for kind in ["", r#""token_type":null,"#, r#""token_type":"bearer","#] {
            let body = format!(r#"{{{kind}"access_token":"granted"{lifetime}}}"#);
            let platform = ScriptedPlatform::answering([answer(200, &format!("\u{FEFF}{body}"))]);
            assert_eq!(ask(&platform).unwrap().expose(), "granted", "{body}");
            let cache = platform.cache.borrow();
            assert_eq!(cache.values().next().unwrap().1, NOW_MS + kept_ms, "{body}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_of_entra_breaks_its_reader(body in ".*", status in 100_u16..600) {
        let again = || answer(status, &body);
        let platform = ScriptedPlatform::answering([again(), again()]);
        let _ = ask(&platform);
    }
}

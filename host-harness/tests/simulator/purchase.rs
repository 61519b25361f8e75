//! Buying, once per client transaction id, and looking up what was bought.

use std::time::Duration;

use bss_simulator::{CertificateRequest, Operation, Registration, Simulator, SimulatorOptions, TokenStatus};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Microsoft, Reply};

fn id_of(purchase: &Value) -> &str {
    purchase["clientTransactionId"].as_str().unwrap()
}

fn refusal(reply: &Reply) -> (u16, String, Value) {
    (
        reply.status.as_u16(),
        reply.code(),
        reply.json()["error"]["target"].clone(),
    )
}

#[tokio::test]
async fn a_purchase_is_one_license_that_the_ledger_has() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let mut purchase = client.purchase();
    purchase["reseller"] = json!({ "id": "R-1", "name": "Händler" });
    let reply = client.post("/tokens", &access_token, &purchase).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    let license = reply.json();
    assert_eq!(
        (&license["tokenStatus"], &license["returnStatus"]),
        (&json!("Activated"), &json!("NONE"))
    );
    let link = license["redemptionUrl"].as_str().unwrap();
    assert!(link.starts_with("https://setup.office.com/?token="));
    assert!(link.ends_with(&format!("&ctid={}", id_of(&purchase))));

    let ledger = microsoft.simulator.ledger().await.unwrap();
    assert_eq!(ledger.len(), 1);
    let entry = &ledger[0];
    assert_eq!(entry.client_transaction_id, id_of(&purchase));
    assert_eq!(entry.product_key.expose(), license["productKey"]);
    assert_eq!(entry.license_token_id, license["tokenId"]);
    assert_eq!(entry.token_status, TokenStatus::Activated);
    assert_eq!(
        (entry.customer.name.as_str(), entry.reseller_name.as_deref()),
        ("Käufer", Some("Händler"))
    );
    let printed = format!("{entry:?}");
    assert!(!printed.contains(entry.product_key.expose()) && !printed.contains("setup.office.com"));
}

#[tokio::test]
async fn the_same_purchase_again_is_the_same_license() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let first = client.post("/tokens", &access_token, &purchase).await;
    let again = client.post("/tokens", &access_token, &purchase).await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::OK)
    );
    assert_eq!(first.json(), again.json());

    let mut upper = purchase.clone();
    upper["clientTransactionId"] = json!(id_of(&purchase).to_uppercase());
    upper["quantity"] = json!(1.0);
    upper["reseller"] = Value::Null;
    assert_eq!(
        client.post("/tokens", &access_token, &upper).await.json(),
        first.json()
    );

    let mut catalog = microsoft.simulator.catalog();
    catalog.offers.clear();
    microsoft.simulator.set_catalog(catalog);
    let late = client.post("/tokens", &access_token, &purchase).await;
    assert_eq!(
        (late.status, late.json()),
        (StatusCode::OK, first.json()),
        "though the offer is gone"
    );
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_id_with_other_content_buys_nothing_and_names_the_original() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let original = client.post("/tokens", &access_token, &purchase).await.json();
    for (member, value) in [
        ("offerId", json!("FQC-10572")),
        ("country", json!("AT")),
        ("currency", json!("USD")),
        (
            "customer",
            json!({ "id": "C-2", "name": "Käufer", "country": "DE" }),
        ),
    ] {
        let mut other = purchase.clone();
        other[member] = value;
        let reply = client.post("/tokens", &access_token, &other).await;
        assert_eq!(
            refusal(&reply),
            (
                409,
                "DuplicateTransaction".to_owned(),
                json!("clientTransactionId")
            ),
            "{member}"
        );
        let detail = &reply.json()["error"]["details"][0];
        assert_eq!(
            (&detail["code"], &detail["message"]),
            (&json!("OriginalTransaction"), &original["transactionId"])
        );
    }
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 1);
}

#[tokio::test]
async fn equal_purchases_at_once_are_one_license() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let mut buyers = tokio::task::JoinSet::new();
    let client = std::sync::Arc::new(client);
    for _ in 0..16 {
        let (client, access_token, purchase) = (client.clone(), access_token.clone(), purchase.clone());
        buyers.spawn(async move { client.post("/tokens", &access_token, &purchase).await });
    }
    let replies = buyers.join_all().await;
    let created = replies
        .iter()
        .filter(|reply| reply.status == StatusCode::CREATED)
        .count();
    assert_eq!(created, 1);
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()));
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_license_is_found_by_either_id_and_only_by_its_buyer() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let by_client_id = format!("/tokens?clientTransactionId={}", id_of(&purchase));
    let before = client.get(&by_client_id, &access_token).await;
    assert_eq!(
        (before.status, before.code().as_str()),
        (StatusCode::NOT_FOUND, "TokenNotFound")
    );
    let license = client.post("/tokens", &access_token, &purchase).await.json();
    assert_eq!(client.get(&by_client_id, &access_token).await.json(), license);
    let by_id = format!("/tokens/{}", license["tokenId"].as_str().unwrap());
    assert_eq!(client.get(&by_id, &access_token).await.json(), license);

    let other = microsoft.simulator.add_application().unwrap();
    let registration = Registration::OtherApplication(other.client_id);
    let request = CertificateRequest {
        registration,
        ..CertificateRequest::default()
    };
    let issued = microsoft.simulator.issue_client_certificate(&request).unwrap();
    let mut others = microsoft.client_with(&issued);
    others.details.client_id = other.client_id;
    let access_token = others.access_token().await;
    for path in [by_client_id, by_id] {
        assert_eq!(others.get(&path, &access_token).await.code(), "TokenNotFound");
    }
    others.details.channel_id = other.channel_id;
    let mut same_id = others.purchase();
    same_id["clientTransactionId"] = purchase["clientTransactionId"].clone();
    let reply = others.post("/tokens", &access_token, &same_id).await;
    assert_eq!(reply.code(), "DuplicateTransaction");
    assert_eq!(
        reply.json()["error"]["details"],
        json!([]),
        "whose purchase it was is not told"
    );
}

#[tokio::test]
async fn each_wrong_part_of_a_purchase_is_refused_and_buys_nothing() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let cases = [
        (
            "clientTransactionId",
            json!("not a uuid"),
            400,
            "InvalidRequest",
            json!("clientTransactionId"),
        ),
        (
            "clientTransactionId",
            json!(7),
            400,
            "InvalidRequest",
            json!("body"),
        ),
        (
            "channelId",
            json!("1"),
            403,
            "ChannelNotAuthorized",
            json!("channelId"),
        ),
        (
            "offerId",
            json!("NO-SUCH"),
            404,
            "OfferNotFound",
            json!("offerId"),
        ),
        ("offerId", json!(""), 400, "InvalidRequest", json!("offerId")),
        (
            "offerId",
            json!("T5D-03203"),
            409,
            "OfferDiscontinued",
            json!("offerId"),
        ),
        ("country", json!("BR"), 403, "CountryNotAllowed", json!("country")),
        (
            "country",
            json!("germany"),
            400,
            "InvalidRequest",
            json!("country"),
        ),
        (
            "language",
            json!("german"),
            400,
            "InvalidRequest",
            json!("language"),
        ),
        ("currency", json!("€"), 400, "InvalidRequest", json!("currency")),
        ("quantity", json!(0), 400, "QuantityOutOfRange", json!("quantity")),
        ("quantity", json!(2), 400, "QuantityOutOfRange", json!("quantity")),
        (
            "quantity",
            json!(1.5),
            400,
            "QuantityOutOfRange",
            json!("quantity"),
        ),
        ("quantity", json!("1"), 400, "InvalidRequest", json!("body")),
        ("customer", Value::Null, 400, "InvalidRequest", json!("body")),
        (
            "customer",
            json!({ "id": "", "name": "n", "country": "DE" }),
            400,
            "InvalidRequest",
            json!("customer.id"),
        ),
        (
            "customer",
            json!({ "id": "1", "name": "n" }),
            400,
            "InvalidRequest",
            json!("body"),
        ),
        (
            "reseller",
            json!({ "id": "1", "name": "" }),
            400,
            "InvalidRequest",
            json!("reseller.name"),
        ),
        ("surprise", json!(true), 400, "InvalidRequest", json!("body")),
    ];
    for (member, value, status, code, target) in cases {
        let mut purchase = client.purchase();
        purchase[member] = value.clone();
        let reply = client.post("/tokens", &access_token, &purchase).await;
        assert_eq!(
            refusal(&reply),
            (status, code.to_owned(), target),
            "{member} = {value}"
        );
    }
    let mut germany_only = client.purchase();
    germany_only["offerId"] = json!("D86-06044");
    germany_only["country"] = json!("AT");
    assert_eq!(
        client.post("/tokens", &access_token, &germany_only).await.code(),
        "CountryNotAllowed"
    );
    let mut purchase = client.purchase();
    purchase.as_object_mut().unwrap().remove("customer");
    assert_eq!(
        client.post("/tokens", &access_token, &purchase).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_microsoft_that_forgets_purchases_issues_a_license_for_each_request_and_looks_up_the_first() {
    let microsoft = Microsoft::start_with(|options| options.forgets_purchases = true).await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let first = client.post("/tokens", &access_token, &purchase).await;
    let second = client.post("/tokens", &access_token, &purchase).await;
    let created = (StatusCode::CREATED, StatusCode::CREATED);
    assert_eq!((first.status, second.status), created);
    assert_ne!(first.json()["tokenId"], second.json()["tokenId"]);
    let look_up = format!("/tokens?clientTransactionId={}", id_of(&purchase));
    let found = client.get(&look_up, &access_token).await;
    assert_eq!((found.status, found.json()), (StatusCode::OK, first.json()));
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_ledger_with_a_license_bought_twice_is_refused_by_a_microsoft_that_forgets_nothing() {
    let microsoft = Microsoft::start_with(|options| options.forgets_purchases = true).await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    for _ in 0..2 {
        client.post("/tokens", &access_token, &purchase).await;
    }
    let Microsoft { simulator, directory } = microsoft;
    simulator.stop().await;
    let options = SimulatorOptions::new(directory.path().join("microsoft"));
    assert!(Simulator::start(options.clone()).await.is_err());
    let forgets = SimulatorOptions {
        forgets_purchases: true,
        ..options
    };
    assert!(Simulator::start(forgets).await.is_ok());
}

#[tokio::test]
async fn a_slow_purchase_is_carried_out_even_if_its_caller_has_gone() {
    let half_a_second = Duration::from_millis(500);
    let microsoft = Microsoft::start_with(|options| options.answer_after = half_a_second).await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let purchase = client.purchase();
    let is_read = async {
        while microsoft.simulator.faults().requests_seen(Operation::Purchase) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = client.post("/tokens", &access_token, &purchase) => panic!("it takes half a second"),
        () = is_read => {}
    }
    assert!(microsoft.simulator.ledger().await.unwrap().is_empty());
    let is_bought = async {
        while microsoft.simulator.ledger().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, is_bought)
        .await
        .expect("it is carried out");
}

#[tokio::test]
async fn garbage_is_refused_in_the_apis_own_form() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = format!("Bearer {}", client.access_token().await);
    let url = format!("{}/tokens", client.details.service_url);
    let json = ("content-type", "application/json; charset=utf-8");
    let authorization = ("authorization", access_token.as_str());
    let huge = vec![b'['; 65 * 1024];
    let deep = vec![b'['; 60 * 1024];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 6] = [
        (&[authorization, json], b"", 400, "InvalidRequest"),
        (&[authorization, json], b"\xff\xfe{", 400, "InvalidRequest"),
        (&[authorization, json], &deep, 400, "InvalidRequest"),
        (&[authorization, json], &huge, 413, "RequestTooLarge"),
        (&[authorization], b"{}", 415, "UnsupportedMediaType"),
        (
            &[authorization, ("content-type", "text/xml")],
            b"<x/>",
            415,
            "UnsupportedMediaType",
        ),
    ];
    let openapi = crate::openapi::OpenApi::cis();
    for (headers, body, status, code) in cases {
        let reply = client.send(Method::POST, &url, headers, body).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code));
        let held = openapi.check_response(
            &Method::POST,
            "/cis/tokens",
            reply.status,
            &reply.headers,
            &reply.body,
        );
        assert_eq!(held, Ok(()));
    }
    let reply = client
        .send(Method::DELETE, &url, &[authorization], b"")
        .await
        .unwrap();
    assert_eq!(
        (reply.status, &reply.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, POST".parse().unwrap())
    );
    for path in ["", "/", "/tokens/", "/tokens/x/y", "/%00", "/tokens/x/return/z"] {
        let url = format!("{}{path}", client.details.service_url);
        let reply = client
            .send(Method::GET, &url, &[authorization], b"")
            .await
            .unwrap();
        assert!(reply.status.is_client_error(), "{path}: {}", reply.status);
    }
    let reply = client
        .get(
            &format!("/tokens?clientTransactionId={}x", Uuid::new_v4()),
            &access_token[7..],
        )
        .await;
    assert_eq!(reply.code(), "InvalidRequest");
    assert_eq!(
        client.get("/tokens", &access_token[7..]).await.code(),
        "InvalidRequest"
    );
}

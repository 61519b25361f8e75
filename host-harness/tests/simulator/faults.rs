//! Faults that are ordered, and whether a license is issued in spite of them.

use std::time::{Duration, Instant};

use anyhow::Result;
use bss_simulator::{ConnectionFault, Fault, Listener, Operation, Repeat, When};
use http::{Method, StatusCode};
use serde_json::json;

use crate::client::{Client, Microsoft, Reply, Version};

/// Buys with a fault ordered, and returns the reply and how many licenses there are afterwards.
async fn buy(
    microsoft: &Microsoft,
    client: &Client,
    access_token: &str,
    fault: Fault,
) -> (Result<Reply>, usize) {
    microsoft
        .simulator
        .faults()
        .order(Operation::Purchase, fault, Repeat::Times(1));
    let url = format!("{}/tokens", client.details.service_url);
    let authorization = format!("Bearer {access_token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let body = serde_json::to_vec(&client.purchase()).unwrap();
    let reply = client.send(Method::POST, &url, &headers, &body).await;
    (reply, microsoft.simulator.ledger().await.unwrap().len())
}

fn was_reset(error: &anyhow::Error) -> bool {
    let io = |error: &(dyn std::error::Error + 'static)| {
        error.downcast_ref::<std::io::Error>().map(|it| it.kind())
    };
    error
        .chain()
        .any(|cause| io(cause) == Some(std::io::ErrorKind::ConnectionReset))
}

#[tokio::test]
async fn a_connection_ends_before_or_after_the_license_is_issued() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let cases = [
        (Fault::Close(When::BeforeActing), false, 0),
        (Fault::Reset(When::BeforeActing), true, 0),
        (Fault::Close(When::AfterActing), false, 1),
        (Fault::Reset(When::AfterActing), true, 2),
    ];
    for (fault, reset, licenses) in cases {
        let (reply, issued) = buy(&microsoft, &client, &access_token, fault.clone()).await;
        let error = reply.expect_err("there is no answer");
        assert_eq!(
            (was_reset(&error), issued),
            (reset, licenses),
            "{fault:?}: {error:?}"
        );
    }
    let reply = client.post("/tokens", &access_token, &client.purchase()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "the faults are used up");
}

#[tokio::test]
async fn a_cut_answer_leaves_its_license_behind() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let (reply, issued) = buy(&microsoft, &client, &access_token, Fault::CutAnswer).await;
    let error = format!("{:#}", reply.expect_err("the answer is cut"));
    assert!(
        error.contains("end of file") || error.contains("close_notify") || error.contains("body"),
        "{error}"
    );
    assert_eq!(issued, 1);
}

#[tokio::test]
async fn an_answer_is_cut_after_its_head_and_half_its_body_were_sent() {
    use http_body_util::BodyExt as _;
    use hyper_util::rt::TokioIo;
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    microsoft
        .simulator
        .faults()
        .order(Operation::Catalog, Fault::CutAnswer, Repeat::Always);
    let path = format!("/cis{}", client.offers("DE", "de-DE", ""));
    let io = TokioIo::new(client.tls(&client.details.service_url).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", "localhost");
    let request = request.header("authorization", format!("Bearer {access_token}"));
    let request = request
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let promised: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut body = response.into_body();
    let mut sent = 0;
    let ended_badly = loop {
        match body.frame().await {
            Some(Ok(frame)) => sent += frame.data_ref().map_or(0, bytes::Bytes::len),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(ended_badly);
    assert_eq!(sent, promised / 2);
}

#[tokio::test]
async fn an_answer_comes_late_and_the_license_was_issued_at_once() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let fault = Fault::DelayAnswer(Duration::from_millis(300));
    let buying = buy(&microsoft, &client, &access_token, fault);
    let started = Instant::now();
    let (reply, issued) = buying.await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!((reply.unwrap().status, issued), (StatusCode::CREATED, 1));

    microsoft.simulator.faults().order(
        Operation::Purchase,
        Fault::DelayAnswer(Duration::from_secs(600)),
        Repeat::Times(1),
    );
    let purchase = client.purchase();
    let hurried = tokio::time::timeout(
        Duration::from_millis(300),
        client.post("/tokens", &access_token, &purchase),
    );
    assert!(hurried.await.is_err(), "the client gives up");
    let path = format!(
        "/tokens?clientTransactionId={}",
        purchase["clientTransactionId"].as_str().unwrap()
    );
    assert_eq!(
        client.get(&path, &access_token).await.status,
        StatusCode::OK,
        "and finds what it bought"
    );
}

#[tokio::test]
async fn errors_come_as_html_or_documented_and_issue_what_they_were_told_to() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    for (status, when, licenses) in [
        (500, When::BeforeActing, 0),
        (502, When::AfterActing, 1),
        (503, When::BeforeActing, 1),
    ] {
        let (reply, issued) = buy(&microsoft, &client, &access_token, Fault::Html(status, when)).await;
        let reply = reply.unwrap();
        assert_eq!((reply.status.as_u16(), issued), (status, licenses));
        assert_eq!(reply.headers["content-type"], "text/html");
    }
    let (reply, issued) = buy(
        &microsoft,
        &client,
        &access_token,
        Fault::NotJson(When::AfterActing),
    )
    .await;
    let reply = reply.unwrap();
    assert_eq!((reply.status, issued), (StatusCode::OK, 2));
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err());

    let refusals = [
        (503, "Unavailable", None),
        (429, "Throttled", Some(7)),
        (409, "InventoryUnavailable", None),
    ];
    for (status, code, retry_after) in refusals {
        let fault = Fault::Refusal {
            status,
            code: code.to_owned(),
            retry_after,
        };
        microsoft
            .simulator
            .faults()
            .order(Operation::Purchase, fault, Repeat::Times(1));
        let reply = client.post("/tokens", &access_token, &client.purchase()).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code));
        let sent = reply
            .headers
            .get("retry-after")
            .map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(sent, retry_after);
    }
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 2);
}

#[tokio::test]
async fn answers_come_huge_or_slowly() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let faults = microsoft.simulator.faults();
    let url = format!(
        "{}{}",
        client.details.service_url,
        client.offers("DE", "de-DE", "&pageSize=1")
    );
    let authorization = format!("Bearer {access_token}");
    let headers = [("authorization", authorization.as_str())];
    faults.order(
        Operation::Catalog,
        Fault::HugeAnswer(8 * 1024 * 1024),
        Repeat::Times(1),
    );
    let reply = client.send(Method::GET, &url, &headers, b"").await.unwrap();
    assert!(reply.body.len() >= 8 * 1024 * 1024);
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err());

    faults.order(
        Operation::Catalog,
        Fault::SlowAnswer(Duration::from_millis(1)),
        Repeat::Times(1),
    );
    let started = Instant::now();
    let reply = client.send(Method::GET, &url, &headers, b"").await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(reply.body.len() as u64));
    assert_eq!(reply.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_continuation_repeats_itself() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    microsoft
        .simulator
        .faults()
        .order(Operation::Catalog, Fault::RepeatContinuation, Repeat::Times(3));
    let mut rest = "&pageSize=5".to_owned();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let page = client
            .get(&client.offers("DE", "de-DE", &rest), &access_token)
            .await
            .json();
        rest = format!(
            "&pageSize=5&continuation={}",
            page["continuation"].as_str().unwrap()
        );
        pages.push(page);
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[1], pages[2]);
    let page = client
        .get(&client.offers("DE", "de-DE", &rest), &access_token)
        .await
        .json();
    assert_ne!(page["continuation"], pages[2]["continuation"]);
}

#[tokio::test]
async fn entra_refuses_on_order_in_its_own_form_and_is_asked_no_more_than_counted() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let faults = microsoft.simulator.faults();
    let fault = Fault::Refusal {
        status: 429,
        code: "90055".to_owned(),
        retry_after: Some(3),
    };
    faults.order(Operation::AccessToken, fault, Repeat::Times(2));
    for version in [Version::V1, Version::V2] {
        let reply = client.ask_for_access_token(version).await;
        assert_eq!(
            (reply.status, reply.aadsts()),
            (StatusCode::TOO_MANY_REQUESTS, 90055)
        );
        assert_eq!(reply.headers["retry-after"], "3");
        assert_eq!(reply.json()["error"], json!("temporarily_unavailable"));
    }
    assert_eq!(
        client.ask_for_access_token(Version::V2).await.status,
        StatusCode::OK
    );
    assert_eq!(faults.requests_seen(Operation::AccessToken), 3);
    assert_eq!(faults.requests_seen(Operation::Purchase), 0);
}

#[tokio::test]
async fn connections_go_wrong_before_a_request_is_read() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let faults = microsoft.simulator.faults();
    let url = client.details.service_url.clone();

    faults.order_connection(
        Listener::Service,
        ConnectionFault::CloseBeforeHandshake,
        Repeat::Times(1),
    );
    assert!(client.connect(&url).await.is_err());

    faults.order_connection(Listener::Service, ConnectionFault::Silent, Repeat::Times(1));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), client.connect(&url))
            .await
            .is_err(),
        "it never answers"
    );

    faults.order_connection(
        Listener::Service,
        ConnectionFault::CloseAfterHandshake,
        Repeat::Times(1),
    );
    let path = client.offers("DE", "de-DE", "");
    assert!(
        client
            .call(Method::GET, &path, Some("x"), &[], None)
            .await
            .is_err()
    );
    assert_eq!(faults.requests_seen(Operation::Catalog), 0);
    assert_eq!(client.get(&path, "x").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(faults.requests_seen(Operation::Catalog), 1);
}

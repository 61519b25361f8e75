//! The versions of HTTP that the simulator offers, and a stream that it is ordered to refuse.

use bss_simulator::{Fault, HttpVersions, Operation, Repeat};
use bytes::Bytes;
use http::{Request, StatusCode};

use crate::client::{Client, Microsoft};

const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

async fn agreed(client: &Client, offered: &[&[u8]]) -> Option<Vec<u8>> {
    let client = client.offering(offered);
    let tls = client.tls(&client.details.service_url).await.ok()?;
    tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

#[tokio::test]
async fn each_listener_agrees_to_what_it_offers_and_to_http_2_first() {
    for (offers, to_both, to_http1) in [
        (HttpVersions::Both, Some(HTTP_2), Some(HTTP_1_1)),
        (HttpVersions::Http1, Some(HTTP_1_1), Some(HTTP_1_1)),
        (HttpVersions::Http2, Some(HTTP_2), None),
    ] {
        let microsoft = Microsoft::start_with(|options| options.http = offers).await;
        let client = microsoft.client();
        assert_eq!(
            agreed(&client, &[HTTP_1_1, HTTP_2]).await.as_deref(),
            to_both,
            "{offers:?}"
        );
        assert_eq!(
            agreed(&client, &[HTTP_1_1]).await.as_deref(),
            to_http1,
            "{offers:?}"
        );
    }
}

#[tokio::test]
async fn requests_share_a_connection_over_http_2_and_one_that_is_refused_was_not_carried_out() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let client = client.offering(&[HTTP_2]);
    let tls = client.tls(&client.details.service_url).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    let fault = Fault::RefuseStream;
    let faults = microsoft.simulator.faults();
    faults.order(Operation::Purchase, fault, Repeat::Times(1));
    let mut send = || {
        let request = Request::post(format!("{}/tokens", client.details.service_url))
            .header("authorization", format!("Bearer {access_token}"))
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let (answer, mut body) = sender.send_request(request, false).unwrap();
        let purchase = serde_json::to_vec(&client.purchase()).unwrap();
        body.send_data(Bytes::from(purchase), true).unwrap();
        answer
    };
    let (refused, bought) = (send(), send());
    let refused = refused.await.expect_err("the stream is refused");
    assert_eq!(refused.reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(bought.await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(microsoft.simulator.ledger().await.unwrap().len(), 1);
    let seen = microsoft.simulator.connections();
    let seen = seen.last().unwrap();
    assert_eq!((seen.http2, seen.requests), (true, 2));
}

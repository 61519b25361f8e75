//! The catalog, as it is read page by page.

use bss_simulator::{Catalog, OfferStatus};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, Microsoft};

/// Reads the whole catalog, and returns how many pages it had.
async fn read(
    client: &Client,
    access_token: &str,
    country: &str,
    language: &str,
    size: usize,
) -> (Vec<Value>, usize) {
    let (mut items, mut pages, mut rest) = (Vec::new(), 0, format!("&pageSize={size}"));
    loop {
        let reply = client
            .get(&client.offers(country, language, &rest), access_token)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        let page = reply.json();
        items.extend(page["items"].as_array().unwrap().clone());
        pages += 1;
        let Some(continuation) = page["continuation"].as_str() else {
            return (items, pages);
        };
        rest = format!("&pageSize={size}&continuation={continuation}");
    }
}

#[tokio::test]
async fn every_offer_comes_once_whatever_the_page_size() {
    let microsoft = Microsoft::start_with(|options| options.catalog = Catalog::generated(1001)).await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    for (size, expected) in [(1000, 2), (500, 3), (143, 7)] {
        let (items, pages) = read(&client, &access_token, "DE", "en-US", size).await;
        assert_eq!((items.len(), pages), (1001, expected), "pages of {size}");
        for (number, item) in items.iter().enumerate() {
            assert_eq!(item["offerId"], json!(format!("GEN-{:06}", number + 1)));
        }
    }
    microsoft.simulator.set_catalog(Catalog {
        offers: Vec::new(),
        ..Catalog::default()
    });
    assert_eq!(
        read(&client, &access_token, "DE", "en-US", 10).await,
        (Vec::new(), 1)
    );
}

#[tokio::test]
async fn names_come_in_the_language_asked_for_or_in_english() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let name_of = async |language| {
        let (items, _) = read(&client, &access_token, "DE", language, 5).await;
        let item = items
            .into_iter()
            .find(|item| item["offerId"] == "EP2-06606")
            .unwrap();
        item["shortDescription"].as_str().unwrap().to_owned()
    };
    assert!(name_of("en-US").await.contains("one-time purchase"));
    assert!(name_of("de-DE").await.contains("einmaliger Kauf"));
    assert!(name_of("el-GR").await.contains("εφάπαξ αγορά"));
    assert!(name_of("fr-FR").await.contains("one-time purchase"));
}

#[tokio::test]
async fn a_country_sees_its_own_offers_and_discontinued_ones_are_marked() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let (germany, _) = read(&client, &access_token, "DE", "de-DE", 100).await;
    let (greece, _) = read(&client, &access_token, "GR", "el-GR", 100).await;
    assert_eq!((germany.len(), greece.len()), (12, 11));
    let discontinued: Vec<_> = germany
        .iter()
        .filter(|item| item["status"] == "Discontinued")
        .collect();
    assert_eq!(discontinued.len(), 1);
    let reply = client.get(&client.offers("BR", "pt-BR", ""), &access_token).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::FORBIDDEN, "CountryNotAllowed")
    );
}

#[tokio::test]
async fn an_unchanged_catalog_is_not_sent_again_and_a_changed_one_is() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let path = client.offers("DE", "de-DE", "");
    let first = client.get(&path, &access_token).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.json()["etag"], json!(etag));
    let unless = async |etag: &str| {
        let headers = [("if-none-match", etag)];
        client
            .call(Method::GET, &path, Some(&access_token), &headers, None)
            .await
            .unwrap()
    };
    let unchanged = unless(&etag).await;
    assert_eq!(
        (unchanged.status, unchanged.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    assert_eq!(
        unless(&format!("\"other\", W/{etag}")).await.status,
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(unless("\"other\"").await.status, StatusCode::OK);

    let mut catalog = microsoft.simulator.catalog();
    catalog.offers[0].status = OfferStatus::Discontinued;
    microsoft.simulator.set_catalog(catalog);
    let changed = unless(&etag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.json()["items"][0]["status"], "Discontinued");
}

#[tokio::test]
async fn a_catalog_that_changes_between_two_pages_has_to_be_read_again() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let page = client
        .get(&client.offers("DE", "de-DE", "&pageSize=5"), &access_token)
        .await
        .json();
    let next = format!(
        "&pageSize=5&continuation={}",
        page["continuation"].as_str().unwrap()
    );
    microsoft.simulator.set_catalog(Catalog::generated(20));
    let reply = client
        .get(&client.offers("DE", "de-DE", &next), &access_token)
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::GONE, "ContinuationExpired")
    );
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let channel_id = &client.details.channel_id;
    let cases = [
        ("country=de&language=de-DE", "country"),
        ("country=DEU&language=de-DE", "country"),
        ("language=de-DE", "country"),
        ("country=DE&language=german", "language"),
        ("country=DE", "language"),
        ("country=DE&language=de-DE&pageSize=0", "pageSize"),
        ("country=DE&language=de-DE&pageSize=1001", "pageSize"),
        ("country=DE&language=de-DE&pageSize=ten", "pageSize"),
        ("country=DE&language=de-DE&continuation=%00%FF", "continuation"),
        ("country=DE&language=de-DE&continuation=", "continuation"),
        ("country=DE&country=AT&language=de-DE", "country"),
    ];
    for (query, target) in cases {
        let path = format!("/catalog/offers?channelId={channel_id}&{query}");
        let reply = client.get(&path, &access_token).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, "InvalidRequest"),
            "{query}"
        );
        assert_eq!(reply.json()["error"]["target"], target, "{query}");
    }
    let reply = client
        .get("/catalog/offers?country=DE&language=de-DE", &access_token)
        .await;
    assert_eq!(reply.json()["error"]["target"], "channelId");
}

#[tokio::test]
async fn the_correlation_id_comes_back_or_one_is_made_up() {
    let microsoft = Microsoft::start().await;
    let client = microsoft.client();
    let access_token = client.access_token().await;
    let ours = "5b0de6a8-0a4c-4b4b-9c7f-3a5a1f6f0c11";
    for (path, status) in [
        (client.offers("DE", "de-DE", ""), 200),
        (client.offers("BR", "de-DE", ""), 403),
    ] {
        let headers = [("MS-CorrelationId", ours)];
        let reply = client
            .call(Method::GET, &path, Some(&access_token), &headers, None)
            .await
            .unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers["ms-correlationid"], ours);
        let headers = [("MS-CorrelationId", "<script>")];
        let reply = client
            .call(Method::GET, &path, Some(&access_token), &headers, None)
            .await
            .unwrap();
        assert_ne!(reply.headers["ms-correlationid"], "<script>");
    }
}

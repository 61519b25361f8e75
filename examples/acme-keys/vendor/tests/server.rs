//! The server as a client meets it: over TLS, with faults, and after `kill -9`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use acme_keys_vendor::{Account, Fault, Options, Route, State, Vendor};
use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client of one account.
struct Client {
    authority: String,
    authority_pem: String,
    account: String,
    api_key: String,
}

/// A status, the `x-request-id`, and a body.
type Answer = (u16, String, Value);

impl Client {
    fn of(vendor: &Vendor, account: &Account) -> Client {
        Client {
            authority: vendor.authority(),
            authority_pem: vendor.authority_pem().to_owned(),
            account: account.number.clone(),
            api_key: account.api_key.clone(),
        }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Result<Answer> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(self.authority.replace("localhost", "127.0.0.1")).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header("host", &self.authority)
            .header("authorization", format!("Bearer {}", self.api_key))
            .header("x-acme-account", &self.account)
            .body(Full::<Bytes>::from(body.to_string()))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let id = answer.headers().get("x-request-id").context("no id")?;
        let id = id.to_str()?.to_owned();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, id, serde_json::from_slice(&body)?))
    }

    async fn buy(&self, client_id: &str, sku: &str, quantity: u32) -> Result<Answer> {
        let order = json!({"clientId": client_id, "sku": sku, "quantity": quantity});
        self.send("POST", "/licenses", order).await
    }

    async fn look_up(&self, client_id: &str) -> Result<Answer> {
        let path = format!("/licenses?clientId={client_id}");
        self.send("GET", &path, Value::Null).await
    }
}

async fn started(idempotent: bool) -> Result<(Vendor, Account, Client)> {
    let options = Options {
        idempotent,
        ..Options::default()
    };
    let vendor = Vendor::start(options).await?;
    let account = vendor.new_account()?;
    let client = Client::of(&vendor, &account);
    Ok((vendor, account, client))
}

#[tokio::test]
async fn a_license_is_bought_looked_up_and_returned() -> Result<()> {
    let (vendor, account, client) = started(false).await?;
    let (status, _, bought) = client.buy("one", "ANVIL-TEAM", 12).await?;
    assert_eq!((status, &bought["quantity"]), (201, &json!(12)));
    assert_eq!(bought["productKey"].as_str().context("a key")?.len(), 29);
    assert_eq!(client.look_up("one").await?.2, bought);
    let path = format!("/licenses/{}", bought["id"].as_str().context("an id")?);
    assert_eq!(client.send("GET", &path, Value::Null).await?.2, bought);
    for _ in 0..2 {
        let (status, _, returned) = client.send("DELETE", &path, Value::Null).await?;
        assert_eq!((status, &returned["state"]), (200, &json!("returned")));
    }
    assert_eq!(vendor.ledger()[0].state, State::Returned);
    assert_eq!(vendor.requests()[0].api_key, Some(account.api_key));

    let (status, _, error) = client.look_up("two").await?;
    assert_eq!((status, &error["error"]), (404, &json!("license-not-found")));
    assert_eq!(client.buy("two", "ANVIL-PRO", 2).await?.0, 422);
    assert_eq!(client.buy("two", "ANVIL-NO", 1).await?.0, 422);
    Ok(())
}

#[tokio::test]
async fn a_key_is_good_for_its_own_account_until_it_is_revoked() -> Result<()> {
    let (vendor, account, mut client) = started(false).await?;
    client.buy("one", "ANVIL-PRO", 1).await?;
    client.api_key = vendor.new_account()?.api_key;
    assert_eq!(client.look_up("one").await?.0, 403);
    client.api_key = vendor.new_key(&account.number)?;
    assert_eq!(client.look_up("one").await?.0, 200);
    vendor.revoke(&client.api_key)?;
    assert_eq!(client.look_up("one").await?.0, 401);
    Ok(())
}

#[tokio::test]
async fn a_client_id_that_is_sent_again_buys_again_unless_purchases_are_idempotent() -> Result<()> {
    for idempotent in [false, true] {
        let (vendor, _, client) = started(idempotent).await?;
        client.buy("one", "ANVIL-PRO", 1).await?;
        client.buy("one", "ANVIL-PRO", 1).await?;
        let times: Vec<_> = vendor.ledger().iter().map(|sold| sold.times_bought).collect();
        assert_eq!(times, if idempotent { vec![1] } else { vec![1, 2] });
    }
    Ok(())
}

#[tokio::test]
async fn faults_go_wrong_once_and_in_their_order() -> Result<()> {
    let (vendor, account, client) = started(false).await?;
    let busy = Fault::Status(429, Some(2));
    for fault in [Fault::LoseRequest, busy, Fault::Html(404), Fault::EchoApiKey] {
        vendor.faults().order(Route::Purchase, fault);
    }
    client.buy("one", "ANVIL-PRO", 1).await.expect_err("no answer");
    assert_eq!(client.buy("one", "ANVIL-PRO", 1).await?.0, 429);
    client.buy("one", "ANVIL-PRO", 1).await.expect_err("no JSON");
    let (status, id, error) = client.buy("one", "ANVIL-PRO", 1).await?;
    assert_eq!((status, id), (422, format!("Bearer {}", account.api_key)));
    assert!(
        error["message"]
            .as_str()
            .context("a message")?
            .contains(&account.api_key)
    );
    assert_eq!(vendor.ledger(), []);

    vendor.faults().order(Route::Purchase, Fault::LoseAnswer);
    client.buy("one", "ANVIL-PRO", 1).await.expect_err("no answer");
    vendor.faults().order(Route::Purchase, Fault::Pending(1));
    assert_eq!(client.buy("two", "ANVIL-PRO", 1).await?.0, 202);
    let looked_up = [client.look_up("two").await?.0, client.look_up("two").await?.0];
    assert_eq!(looked_up, [202, 200]);
    vendor.faults().order(Route::LookUp, Fault::GarbleAnswer);
    assert_eq!(client.look_up("one").await?.2, json!("no license"));
    assert_eq!(vendor.ledger().len(), 2);
    Ok(())
}

#[tokio::test]
async fn the_catalog_comes_in_pages() -> Result<()> {
    let (_vendor, _, client) = started(false).await?;
    let first = client.send("GET", "/products", Value::Null).await?.2;
    let path = format!("/products?cursor={}", first["next"].as_str().context("a cursor")?);
    let last = client.send("GET", &path, Value::Null).await?.2;
    assert_eq!(last["next"], Value::Null);
    assert_eq!(last["products"][1]["sku"], "ROCKET-TEAM");
    Ok(())
}

/// A server process, which ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn process(folder: &Path, port: &str) -> Result<(Process, Client)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acme-keys-vendor"))
        .args(["--port", port, "--folder"])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("its output")?;
    let process = Process(child);
    BufReader::new(stdout).read_line(&mut line)?;
    let said: Value = serde_json::from_str(&line)?;
    let text = |name: &str| said[name].as_str().map(str::to_owned).context("a text");
    let url = text("url")?;
    let client = Client {
        authority: url
            .trim_start_matches("https://")
            .trim_end_matches("/v1")
            .to_owned(),
        authority_pem: std::fs::read_to_string(text("authorityFile")?)?,
        account: text("account")?,
        api_key: std::fs::read_to_string(text("apiKeyFile")?)?,
    };
    assert!(!line.contains(&client.api_key));
    Ok((process, client))
}

#[tokio::test]
async fn a_server_that_was_killed_knows_what_it_sold_and_is_still_trusted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (killed, client) = process(folder.path(), "0")?;
    let bought = client.buy("one", "ANVIL-PRO", 1).await?.2;
    drop(killed);
    // What a server leaves that is killed while it writes.
    std::fs::write(folder.path().join("books.partial"), br#"{"identity":{"#)?;

    let port = client.authority.trim_start_matches("localhost:");
    let (_process, again) = process(folder.path(), port)?;
    assert_eq!(
        (&again.authority, &again.account),
        (&client.authority, &client.account)
    );
    assert_eq!(client.look_up("one").await?.2, bought);
    client.buy("two", "ANVIL-PRO", 1).await?;
    let ledger = Command::new(env!("CARGO_BIN_EXE_acme-keys-vendor"))
        .args(["ledger", "--folder"])
        .arg(folder.path())
        .output()?;
    let lines = String::from_utf8(ledger.stdout)?;
    let sold: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
    let ids: Vec<_> = sold?.iter().map(|sold| sold["clientId"].clone()).collect();
    assert_eq!(ids, ["one", "two"]);
    Ok(())
}

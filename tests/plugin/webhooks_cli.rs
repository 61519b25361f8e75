//! Webhooks from the command line: a receiver of this machine is told what came of licenses, and can verify who told it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::{Value, json};

use crate::scenario::{DONE, NO_ANSWER, REFUSED, Scenario, USAGE, assert_ends};

/// What a receiver was sent.
#[derive(Clone, Debug)]
struct Received {
    headers: BTreeMap<String, String>,
    body: String,
}

/// A receiver on a real socket with a certificate of its own authority. Stops when it is dropped.
struct Receiver {
    port: u16,
    authority_pem: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// The statuses of the next answers; 204 where there is none.
    answers: Arc<Mutex<VecDeque<u16>>>,
    stopped: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("one");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a configuration");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (received, answers) = (
            Arc::<Mutex<Vec<_>>>::default(),
            Arc::<Mutex<VecDeque<u16>>>::default(),
        );
        let stopped = Arc::new(AtomicBool::new(false));
        let (config, all, next, stop) = (
            Arc::new(config),
            received.clone(),
            answers.clone(),
            stopped.clone(),
        );
        let serving = std::thread::spawn(move || {
            for tcp in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Some(request) = tcp.ok().and_then(|tcp| serve(tcp, &config, &next)) else {
                    continue;
                };
                all.lock().expect("the requests").push(request);
            }
        });
        Self {
            port,
            authority_pem: authority.pem(),
            received,
            answers,
            stopped,
            serving: Some(serving),
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/hooks", self.port)
    }

    fn answer(&self, statuses: &[u16]) {
        self.answers.lock().expect("the answers").extend(statuses);
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the requests").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Reads a request and answers it. `None`: there was none.
fn serve(mut tcp: TcpStream, config: &Arc<ServerConfig>, answers: &Mutex<VecDeque<u16>>) -> Option<Received> {
    let mut tls = ServerConnection::new(config.clone()).ok()?;
    let mut stream = Stream::new(&mut tls, &mut tcp);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    let (head, body) = loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())?;
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let status = answers.lock().expect("the answers").pop_front().unwrap_or(204);
    let location = if status == 302 {
        "location: https://localhost:1/\r\n"
    } else {
        ""
    };
    let answer =
        format!("HTTP/1.1 {status} Said\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    let _ = stream.flush();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    Some(Received {
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body,
    })
}

/// The arguments that put a receiver on record.
fn create(scenario: &Scenario, receiver: &Receiver, more: &[&str]) -> Vec<String> {
    let file: PathBuf = scenario.folder.path().join("receiver.pem");
    std::fs::write(&file, &receiver.authority_pem).expect("the authority's file");
    let (url, file) = (receiver.url(), file.to_str().expect("text").to_owned());
    let mut arguments: Vec<String> = ["webhook", "create", &url, "--trust", &file, "--json"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(more.iter().map(|more| (*more).to_owned()));
    arguments
}

fn run(scenario: &Scenario, arguments: &[String]) -> Value {
    scenario.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

const LOOPBACK: [&str; 4] = ["--allow-network", "127.0.0.0/8", "--allow-network", "::1/128"];

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_told_of_a_license_signed_and_without_its_key_and_again_until_it_takes_it() {
    let (scenario, receiver) = (Scenario::selling().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let secret = created["signingSecret"].as_str().expect("a secret").to_owned();
    assert!(created["publicKey"].as_str().expect("a key").starts_with("whpk_"));
    let listed = scenario.json(&["webhook", "list"]);
    assert_eq!(listed[0]["state"], "on");
    assert!(!listed.to_string().contains(&secret), "it is shown once");

    let offer = scenario.offers().await.remove(0);
    let asset = scenario.order(&offer, 1).await.remove(0);
    receiver.answer(&[503]);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let pending = scenario.json(&["webhook", "deliveries", "--state", "pending"]);
    assert_eq!(
        (&pending[0]["attempts"], &pending[0]["type"]),
        (&json!(1), &json!("asset.licensed"))
    );
    let delivery = pending[0]["id"].as_str().expect("an id").to_owned();
    let webhook = created["id"].as_str().expect("an id").to_owned();
    assert_ends(
        &scenario.bss_host(&["webhook", "redeliver", &webhook[..8], &delivery]),
        DONE,
    );
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let attempts = scenario.json(&["webhook", "attempts", &delivery]);
    let statuses: Vec<_> = attempts
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| attempt["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(503), json!(204)]);

    let received = receiver.received();
    assert_eq!(received.len(), 2);
    let secrets = scenario.secrets(std::slice::from_ref(&asset)).await.remove(0);
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").expect("its form").as_bytes())
        .expect("Base64");
    for Received { headers, body } in &received {
        assert_eq!(headers["webhook-id"], received[0].headers["webhook-id"]);
        let event: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(event["type"], "asset.licensed");
        assert_eq!(event["data"]["assetId"], json!(asset.id));
        assert!(!body.contains(secrets.product_key.expose()), "{body}");
        let message = format!(
            "{}.{}.{body}",
            headers["webhook-id"], headers["webhook-timestamp"]
        );
        let signature = headers["webhook-signature"]
            .split(' ')
            .find_map(|signature| signature.strip_prefix("v1,"))
            .expect("a signature");
        let tag = BASE64.decode(signature.as_bytes()).expect("Base64");
        let verifier = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&verifier, message.as_bytes(), &tag).expect("it is signed");
    }
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    assert_eq!(receiver.received().len(), 2, "what was taken is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_switched_off_with_an_alert_until_it_is_enabled() {
    let (scenario, receiver) = (Scenario::selling().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let webhook = created["id"].as_str().expect("an id").to_owned();
    let offer = scenario.offers().await.remove(0);
    scenario.order(&offer, 1).await;
    receiver.answer(&[410]);
    let ended = scenario.bss_host(&["run", "--once"]);
    assert_ends(&ended, 4);
    let listed = scenario.json(&["webhook", "list"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["problem"]["code"]),
        (&json!("off"), &json!("webhook-gone"))
    );
    let alerts = scenario.json(&["alert", "list"]);
    assert_eq!(alerts[0]["kind"], "webhook-off");
    assert_ends(&scenario.bss_host(&["webhook", "enable", &webhook]), DONE);
    assert_ends(&scenario.bss_host(&["run", "--once"]), DONE);
    let told = scenario.json(&["webhook", "deliveries", &webhook]);
    assert_eq!(told[0]["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_in_a_network_that_is_not_public_or_elsewhere_is_told_nothing() {
    let (scenario, receiver) = (Scenario::ready().await, Receiver::start());
    let created = run(&scenario, &create(&scenario, &receiver, &[]));
    let webhook = created["id"].as_str().expect("an id").to_owned();
    let tried = scenario.bss_host(&["webhook", "test", &webhook, "--json"]);
    assert_ends(&tried, NO_ANSWER);
    assert_eq!(
        receiver.received().len(),
        0,
        "nothing left for this machine's own network"
    );

    let allowed = run(&scenario, &create(&scenario, &receiver, &LOOPBACK));
    let allowed = allowed["id"].as_str().expect("an id").to_owned();
    receiver.answer(&[302]);
    let redirected = scenario.bss_host(&["webhook", "test", &allowed]);
    assert_ends(&redirected, NO_ANSWER);
    assert_ends(&scenario.bss_host(&["webhook", "test", &allowed]), DONE);
    assert_eq!(receiver.received().len(), 2);

    for wrong in ["http://localhost/", "https://user:word@localhost/"] {
        let refused = scenario.bss_host(&["webhook", "create", wrong]);
        assert_ends(&refused, USAGE);
    }
    assert_ends(&scenario.bss_host(&["webhook", "remove", &webhook]), DONE);
    assert_ends(&scenario.bss_host(&["webhook", "remove", &webhook]), REFUSED);
}

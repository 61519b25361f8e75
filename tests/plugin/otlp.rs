//! The spans of calls reach an OpenTelemetry collector where one is named, and cost nothing where it is not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::cli::assert_fails;
use crate::scenario::{DONE, INSTANCE, Scenario, USAGE, assert_ends};

/// A collector that keeps what it is sent. It stops when it is dropped.
struct Collector {
    address: String,
    received: Arc<Mutex<Vec<(String, Value)>>>,
    listening: Option<JoinHandle<()>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming() {
                match request(&stream.expect("a connection")) {
                    Some(request) => kept.lock().expect("nobody panicked").push(request),
                    None => return,
                }
            }
        });
        Self {
            address,
            received,
            listening: Some(listening),
        }
    }

    fn spans(&self) -> Vec<Value> {
        let received = self.received.lock().expect("nobody panicked");
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        received
            .iter()
            .flat_map(|(_, body)| list(&body["resourceSpans"]))
            .flat_map(|resource| list(&resource["scopeSpans"]))
            .flat_map(|scope| list(&scope["spans"]))
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // A connection on which nothing is sent ends the collector.
        drop(TcpStream::connect(&self.address));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// Reads one request and answers it: its first line and its body.
fn request(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let mut stream = stream;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .expect("an answer");
    Some((first, serde_json::from_slice(&body).expect("JSON")))
}

fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    let attribute = attributes.iter().find(|attribute| attribute["key"] == name)?;
    attribute["value"]["stringValue"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_sent_the_spans_of_a_command() {
    let scenario = Scenario::ready().await;
    let collector = Collector::start();
    let endpoint = format!("http://{}", collector.address);
    let check = ["instance", "check", INSTANCE];
    assert_ends(&scenario.bss_host(&check), DONE);
    assert!(collector.spans().is_empty(), "nobody has named it");

    assert_ends(
        &scenario.bss_host(&[&check[..], &["--otlp", &endpoint]].concat()),
        DONE,
    );
    let spans = collector.spans();
    let named = |name: &str| {
        spans
            .iter()
            .filter(|span| span["name"] == name)
            .collect::<Vec<_>>()
    };
    let instance = scenario
        .host
        .named_instance(INSTANCE)
        .await
        .expect("the instance");
    let call = named("call")
        .into_iter()
        .find(|span| attribute(span, "function") == Some("check-connection"));
    let call = call.unwrap_or_else(|| panic!("{spans:?}"));
    assert_eq!(attribute(call, "instance"), Some(&*instance.id.to_string()));
    assert_eq!(attribute(call, "outcome"), Some("passed"));
    let exchanges = named("exchange");
    let authorities: Vec<_> = exchanges
        .iter()
        .filter_map(|span| attribute(span, "authority"))
        .collect();
    let login = scenario.microsoft.details().login_authority.as_str();
    assert!(authorities.contains(&login), "{login} in {authorities:?}");
    for exchange in exchanges {
        assert_eq!(exchange["parentSpanId"], call["spanId"]);
        assert_eq!(exchange["traceId"], call["traceId"]);
    }
    assert!(!named("tls").is_empty());
    let received = collector.received.lock().expect("nobody panicked");
    assert!(
        received
            .iter()
            .all(|(first, _)| first.starts_with("POST /v1/traces "))
    );
    let text = format!("{received:?}");
    assert!(text.contains("bss-host"), "the service's name");
    assert!(!text.contains("eyJ") && !text.contains("?"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_stops_no_command_and_one_that_can_not_be_is_refused() {
    let scenario = Scenario::ready().await;
    let address = Collector::start().address.clone();
    let check = ["instance", "check", INSTANCE, "--otlp"];
    let gone = format!("http://{address}");
    assert_ends(&scenario.bss_host(&[&check[..], &[&gone]].concat()), DONE);
    for none in ["localhost:4318", "ftp://localhost"] {
        let refused = scenario.bss_host(&[&check[..], &[none]].concat());
        assert_fails(
            &refused,
            USAGE,
            &["not the address of a trace collector", "http://localhost:4318"],
        );
    }
}

//! `bss-host serve` as a billing platform uses it: keys, orders, licenses, and what is another client's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::acme::{ACME, Acme};
use crate::cli::{Desk, assert_fails, send_signal};
use crate::component::{bss_host, component};
use crate::orders_cli::text;
use crate::record_place;
use crate::scenario::{DONE, REFUSED, Scenario, USAGE, assert_ends};
use crate::webhook_receiver::Receiver;

/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A desk that sells its first product, and a server of its host.
pub(crate) struct Api {
    pub(crate) desk: Desk,
    pub(crate) offer: String,
    pub(crate) server: Server,
}

/// A server that runs as a program of its own.
pub(crate) struct Server {
    pub(crate) program: Child,
    /// Held, so that the program can write on.
    _said: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    certificate: PathBuf,
    /// The address at which the first administrator chooses a password.
    pub(crate) invitation: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A connection to a server.
pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Server {
    /// A server that listens at a port of its own, with the data directory and the plugin that a command of `bss-host` was given.
    pub(crate) fn start(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]);
        Self::of(command)
    }

    /// The server that a command starts.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut program = command
            .arg("--json")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(program.stdout.take().expect("its output"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it listens");
        let listening: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| listening[name].as_str().expect("a text").to_owned();
        assert!(text("url").starts_with("https://127.0.0.1:"), "{listening}");
        assert_eq!(text("certificateSha256").len(), 95, "{listening}");
        Self {
            address: text("address").parse().expect("an address"),
            certificate: text("certificateFile").into(),
            invitation: listening["invitationUrl"].as_str().map(ToOwned::to_owned),
            program,
            _said: said,
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        self.over(TcpStream::connect(self.address).expect("it listens"))
    }

    /// A connection over one that leads to the server.
    pub(crate) fn over(&self, tcp: TcpStream) -> Connection {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.certificate).expect("a certificate"))
            .expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a time");
        StreamOwned::new(connection, tcp)
    }
}

/// Sends a request, the last one of its connection. Nobody need read the answer.
pub(crate) fn send(
    connection: &mut Connection,
    method: &str,
    path: &str,
    headers: &[(impl AsRef<str>, impl AsRef<[u8]>)],
    body: &[u8],
) {
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend([name.as_ref().as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
    }
    if !body.is_empty() {
        request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    connection
        .write_all(&[&request, &b"\r\n"[..], body].concat())
        .expect("it is sent");
    connection.flush().expect("it is sent");
}

/// An answer: status, header fields in lower case, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Answer {
    /// Reads the answer of a connection to its end.
    pub(crate) fn read(mut connection: Connection) -> Self {
        let mut said = Vec::new();
        connection.read_to_end(&mut said).expect("an answer");
        let said = String::from_utf8(said).expect("UTF-8");
        let (head, body) = said.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.expect("a status"),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: match body {
                "" => Value::Null,
                body => serde_json::from_str(body).expect("JSON"),
            },
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body of an answer with that status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"]
            .as_str()
            .unwrap_or_else(|| panic!("a code in {self:?}"))
    }

    /// The fields with problems, each with its code.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors
            .iter()
            .map(|error| {
                let of = |name: &str| error[name].as_str().unwrap_or_default();
                (of("field"), of("code"))
            })
            .collect()
    }
}

impl Api {
    pub(crate) fn open() -> Self {
        Self::with(&[])
    }

    /// A server that is started with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let desk = Desk::open();
        desk.ready();
        desk.json(&["services", "fetch", "esd"]);
        let offer = desk.sells();
        Self::of(desk, offer, arguments)
    }

    /// The server of a desk, which may sell nothing yet.
    pub(crate) fn of(desk: Desk, offer: String, arguments: &[&str]) -> Self {
        Self {
            server: Server::start(serve(&desk, arguments)),
            desk,
            offer,
        }
    }

    /// A key of a new client.
    pub(crate) fn key(&self, name: &str, scopes: &str, more: &[&str]) -> String {
        let made = ["api-client", "create", name, "--scopes", scopes];
        let made = self.desk.json(&[&made, more].concat());
        made["key"].as_str().expect("a key").to_owned()
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.ask_at(&self.server, method, path, key, headers, body)
    }

    /// Asks another server that knows the same keys.
    pub(crate) fn ask_at(
        &self,
        server: &Server,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut connection = server.connect();
        let key = format!("Bearer {key}");
        let mut all = vec![("Authorization", key.as_str())];
        all.extend(headers);
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            all.push(("Content-Type", "application/json"));
        }
        send(&mut connection, method, path, &all, body.as_bytes());
        Answer::read(connection)
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key, &[], None)
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.ask("POST", path, key, &[], Some(body))
    }

    pub(crate) fn order(&self, quantity: u32) -> Value {
        json!({
            "instance": "esd",
            "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" },
            "contact": { "email": "it@beispiel.example", "language": "de-DE" },
            "lines": [{ "productCode": self.offer, "quantity": quantity }],
        })
    }

    pub(crate) fn place(&self, key: &str, name: &str, headers: &[(&str, &str)], order: &Value) -> Answer {
        let headers = [&[("Idempotency-Key", name)], headers].concat();
        self.ask("POST", "/v1/orders", key, &headers, Some(order))
    }
}

fn serve(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = Command::new(bss_host());
    command
        .arg("serve")
        .args(arguments)
        .arg("--data-dir")
        .arg(desk.folder.path().join("bss"))
        .env("BSS_PLUGIN", component())
        .stderr(Stdio::null());
    record_place::tell(&mut command, &desk.folder.path().join("bss"));
    command
}

#[test]
fn three_requests_lead_from_a_key_to_a_license_and_it_is_on_record_who_was_shown_it() {
    let api = Api::open();
    let key = api.key("shop", "read,order,reveal", &[]);
    assert_eq!(
        api.post("/v1/order-checks", &key, &api.order(2)).expect(200),
        json!({ "valid": true })
    );
    let placed = api.place(&key, "BASKET-7", &[("Prefer", "wait=50")], &api.order(2));
    assert_eq!(placed.header("preference-applied"), Some("wait=50"));
    let location = placed.header("location").expect("where it is").to_owned();
    let order = placed.expect(201);
    assert_eq!(
        (text(&order, "state"), text(&order, "idempotencyKey")),
        ("licensed", "BASKET-7")
    );
    assert_eq!(api.get(&location, &key).expect(200), order);
    let assets = order["assets"].as_array().expect("assets");
    assert_eq!(assets.len(), 2);
    assert!(text(&assets[0], "productKey").starts_with("*****-"));
    let asset = text(&assets[0], "id");
    let license = api.get(&format!("/v1/assets/{asset}/key"), &key);
    assert_eq!(license.header("cache-control"), Some("no-store"));
    let license = license.expect(200);
    let shown = api.desk.json(&["asset", "show", asset, "--show-keys"]);
    assert_eq!(license["productKey"], shown["productKey"]);
    assert_eq!(license["activationLink"], shown["activationLink"]);

    let acts = api.desk.json(&["audit", "list"]);
    let of_shop = acts
        .as_array()
        .expect("acts")
        .iter()
        .filter(|act| act["actor"]["name"] == "shop");
    let of_shop: Vec<_> = of_shop
        .map(|act| (text(&act["actor"], "kind"), text(act, "act")))
        .collect();
    assert_eq!(of_shop, [("platform", "place-order"), ("platform", "show-keys")]);
    let listed = api.get("/v1/orders?customer=C-1&limit=1", &key).expect(200);
    assert_eq!(listed, json!({ "rows": [order], "next": null }));
}

#[test]
fn an_order_that_is_sent_again_and_by_many_at_once_is_bought_once() {
    let api = Api::open();
    let key = api.key("shop", "read,order", &[]);
    let order = api.order(1);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let sending: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| api.place(&key, "\"B-1\"", &[], &order)))
            .collect();
        sending
            .into_iter()
            .map(|sent| sent.join().expect("an answer"))
            .collect()
    });
    let new = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(new, 1, "{answers:?}");
    let known = answers
        .iter()
        .filter(|answer| answer.header("idempotency-replayed") == Some("true"));
    assert_eq!(known.count(), 7);
    let settled = api
        .place(&key, "B-1", &[("Prefer", "wait=50")], &order)
        .expect(200);
    assert_eq!(text(&settled, "state"), "licensed");
    let found = api.get("/v1/orders?idempotencyKey=B-1", &key).expect(200);
    assert_eq!(found["rows"], json!([settled]));
    assert_eq!(
        api.desk.json(&["asset", "list"]).as_array().map(Vec::len),
        Some(1)
    );

    let mut other = api.order(2);
    other["lines"][0]["productCode"] = json!("none");
    let other = api.place(&key, "B-1", &[], &other);
    assert_eq!(
        (other.status, other.code(), other.fields()),
        (409, "key-reused", vec![])
    );
    let unnamed = api.post("/v1/orders", &key, &order);
    assert_eq!((unnamed.status, unnamed.code()), (400, "idempotency-key-missing"));
    assert_eq!(
        api.desk.json(&["asset", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn all_that_is_wrong_with_an_order_is_told_at_once_and_nothing_is_placed() {
    let api = Api::with(&["--no-work"]);
    let key = api.key("shop", "read,order", &[]);
    let inactive = api.desk.json(&["services", "products", "esd"])[1]["productCode"].clone();
    let wrong = json!({
        "instance": "esd",
        "customer": { "id": "C-1", "name": "", "country": "de" },
        "contact": { "email": "nobody", "language": "de-DE" },
        "lines": [
            { "productCode": api.offer, "quantity": 1 },
            { "productCode": "none", "quantity": 1 },
            { "productCode": inactive, "quantity": 1 },
            { "productCode": api.offer, "quantity": 4_000_000 },
        ],
    });
    for path in ["/v1/orders", "/v1/order-checks"] {
        let refused = api.ask("POST", path, &key, &[("Idempotency-Key", "W")], Some(&wrong));
        assert_eq!(refused.status, 422, "{refused:?}");
        let expected = [
            ("customer.name", "incomplete-party"),
            ("customer.country", "incomplete-party"),
            ("contact.email", "incomplete-party"),
            ("lines[0].quantity", "quantity-out-of-range"),
            ("lines[1].productCode", "no-product"),
            ("lines[2].productCode", "product-inactive"),
        ];
        assert_eq!(refused.fields(), expected, "{refused:?}");
    }
    let misspelled = json!({
        "instance": "nobody",
        "customer": { "id": "C-1", "name": "Beispiel GmbH", "country": "DE" },
        "lines": [{ "productCode": api.offer, "quantitiy": 3 }],
        "kontakt": {},
    });
    let refused = api.place(&key, "W", &[], &misspelled);
    assert_eq!((refused.status, refused.code()), (422, "request-invalid"));
    let expected = [
        ("lines[0].quantity", "field-missing"),
        ("lines[0].quantitiy", "field-unknown"),
        ("kontakt", "field-unknown"),
        ("instance", "no-instance"),
    ];
    assert_eq!(refused.fields(), expected);
    // Of very many, twenty are told.
    let mut many = api.order(1);
    let line = |number: u32| json!({ "productCode": format!("none-{number:02}"), "quantity": 1 });
    many["lines"] = (0..30).map(line).collect();
    let refused = api.place(&key, "W", &[], &many);
    assert_eq!((refused.status, refused.fields().len()), (422, 20), "{refused:?}");
    assert_eq!(api.get("/v1/orders", &key).expect(200)["rows"], json!([]));
}

#[test]
fn settings_are_changed_by_who_has_seen_them_and_the_catalog_is_read_after_it() {
    let api = Api::open();
    let key = api.key("console", "read,configure", &[]);
    let path = "/v1/instances/esd/settings";
    let change = |tag: &str, body: &Value| {
        let headers = [("If-Match", tag)];
        let headers = if tag.is_empty() { &[][..] } else { &headers };
        api.ask("PATCH", path, &key, headers, Some(body))
    };
    let value = |form: &Value, id: &str| {
        let fields = form["fields"].as_array().expect("fields");
        let field = fields.iter().find(|field| field["id"] == id).expect(id);
        field["value"].as_str().expect("a value").to_owned()
    };
    let shown = api.get(path, &key);
    let seen = shown.header("etag").expect("a version").to_owned();
    let shown = shown.expect(200);
    assert_eq!(seen, format!("\"{}\"", shown["version"]));
    assert_eq!(value(&shown, "country"), "DE");
    let of = |country: &str| json!({ "values": [{ "field": "country", "value": country }] });

    for (tag, body, expected, fields) in [
        ("", of("AT"), (428, "if-match-missing"), vec![]),
        ("*", of("AT"), (400, "if-match-invalid"), vec![]),
        ("\"999\"", of("AT"), (412, "settings-changed"), vec![]),
        (
            &seen,
            of("QQ"),
            (422, "settings-not-saved"),
            vec![("values.country", "not-a-country")],
        ),
        (
            &seen,
            json!({ "values": [{ "field": "county", "value": "AT" }] }),
            (422, "request-invalid"),
            vec![("values.county", "no-field")],
        ),
        (
            &seen,
            json!({ "secrets": [{ "field": "county", "value": "a-secret-of-some-length" }] }),
            (422, "request-invalid"),
            vec![("secrets.county", "no-field")],
        ),
        (
            &seen,
            json!({ "values": [{ "field": "country" }, { "field": "country" }, {}], "trust": "all" }),
            (422, "request-invalid"),
            vec![
                ("values[1].field", "field-repeated"),
                ("values[2].field", "field-missing"),
                ("trust", "field-unknown"),
            ],
        ),
        (
            &seen,
            json!({ "secrets": [{ "field": "country", "value": "a-secret-of-some-length" }] }),
            (422, "not-a-secret"),
            vec![("secrets.country", "not-a-secret")],
        ),
    ] {
        let refused = change(tag, &body);
        assert_eq!((refused.status, refused.code()), expected, "{body}: {refused:?}");
        assert_eq!(refused.fields(), fields, "{body}");
        assert_eq!(api.get(path, &key).expect(200), shown, "{body}");
    }

    let changed = change(&seen, &of("AT"));
    let next = changed.header("etag").expect("a version").to_owned();
    assert_ne!(next, seen);
    let changed = changed.expect(200);
    assert_eq!(
        (value(&changed, "country"), &changed["saved"]),
        ("AT".to_owned(), &json!(true))
    );
    // A second client changes nothing, not even to the same.
    assert_eq!(change(&seen, &of("AT")).expect(412)["code"], "settings-changed");
    let history = api.desk.json(&["instance", "history", "esd"]);
    let last = history.as_array().and_then(|saves| saves.last()).expect("a save");
    assert_eq!(last["changedBy"], "console");

    let runs = "/v1/instances/esd/services-runs";
    let started = api.ask("POST", runs, &key, &[], None);
    let location = started.header("location").expect("where it is").to_owned();
    let started = started.expect(202);
    let until = Instant::now() + PATIENCE;
    let run = loop {
        let run = api.get(&location, &key).expect(200);
        if !["not-started", "in-progress"].contains(&text(&run, "state")) {
            break run;
        }
        assert!(Instant::now() < until, "the run ends: {run}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(
        (text(&run, "state"), &run["id"], text(&run, "instance")),
        ("completed", &started["id"], "esd")
    );
    let listed = api.get(&format!("{runs}?limit=1"), &key).expect(200);
    assert_eq!(listed["rows"], json!([run]));

    // An empty change changes nothing, and an old one is told what is newer.
    assert_eq!(change(&next, &json!({})).header("etag"), Some(next.as_str()));
    for old in [&seen, "W/\"1\"", "\"one\""] {
        let refused = change(old, &json!({})).expect(412);
        assert_eq!(refused["code"], "settings-changed", "{old}");
        assert!(!refused.to_string().contains("console"), "{refused}");
    }

    // Instances of other clients are not there, and a client that only reads starts and sees nothing of this.
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let elsewhere = api.key("elsewhere", "read,configure", &["--instance", "other"]);
    let tenant = api.key("tenant", "read,configure", &["--owner", "reseller-7"]);
    let headers = [("If-Match", next.as_str())];
    for (method, path) in [("GET", runs), ("POST", runs), ("GET", &location)] {
        for stranger in [&elsewhere, &tenant] {
            let refused = api.ask(method, path, stranger, &[], None);
            assert_eq!(
                (refused.status, refused.code()),
                (404, "no-instance"),
                "{method} {path}"
            );
        }
    }
    let refused = api.get(&location.replace("/esd/", "/other/"), &elsewhere);
    assert_eq!((refused.status, refused.code()), (404, "no-run"));
    // A form names the owner's other instances and their certificates.
    let bound = api.key("bound", "read,configure", &["--instance", "esd"]);
    for method in ["GET", "PATCH"] {
        let body = (method == "PATCH").then(|| of("DE"));
        for (client, expected) in [
            (&bound, (403, "client-bound")),
            (&elsewhere, (403, "client-bound")),
            (&tenant, (404, "no-instance")),
        ] {
            let refused = api.ask(method, path, client, &headers, body.as_ref());
            assert_eq!((refused.status, refused.code()), expected, "{method}");
        }
    }
    assert_eq!(api.ask("POST", runs, &bound, &[], None).status, 202);
    let reader = api.key("reader", "read", &[]);
    for (method, path) in [("GET", path), ("PATCH", path), ("POST", runs)] {
        let refused = api.ask(method, path, &reader, &[], None);
        assert_eq!(
            (refused.status, refused.code()),
            (403, "scope-missing"),
            "{method} {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_to_no_server_that_is_typed_over_the_api_after_it() {
    let scenario = Scenario::start().await;
    let acme = Acme::beside(&scenario).await;
    let file = scenario.folder.path().join("key");
    std::fs::write(&file, &acme.account.api_key).expect("a file");
    let from_file = format!("api-key={}", file.display());
    let saved = scenario.json(&["instance", "configure", ACME, "--secret-file", &from_file]);
    assert_eq!(saved["saved"], true);
    let made = scenario.json(&["api-client", "create", "console", "--scopes", "configure"]);
    let key = format!("Bearer {}", text(&made, "key"));
    let mut command = scenario.command(&["serve", "--no-work"]);
    command.stderr(Stdio::null());
    let server = Server::start(command);
    let path = format!("/v1/instances/{ACME}/settings");
    let ask = |method: &str, tag: &str, body: &str| {
        let mut connection = server.connect();
        let headers = [
            ("Authorization", key.as_str()),
            ("If-Match", tag),
            ("Content-Type", "application/json"),
        ];
        send(&mut connection, method, &path, &headers, body.as_bytes());
        Answer::read(connection)
    };
    let seen = ask("GET", "", "");
    let tag = seen.header("etag").expect("a version").to_owned();
    let before = seen.expect(200);
    assert!(!before.to_string().contains(&acme.account.api_key), "{before}");
    let server_typed = |url: &str| json!([{ "field": "service-url", "value": url }]);
    let elsewhere = json!({ "values": server_typed("https://elsewhere.example/") });
    let refused = ask("PATCH", &tag, &elsewhere.to_string());
    assert_eq!(
        (refused.status, refused.fields()),
        (422, vec![("secrets.api-key", "secret-unsent")])
    );
    // Characters that nobody sees are no part of an address.
    let unseen = json!({ "values": server_typed("https://else\u{3164}where.example/") });
    let refused = ask("PATCH", &tag, &unseen.to_string());
    assert_eq!(
        (refused.status, refused.fields()),
        (422, vec![("values[0].value", "field-unseen-characters")])
    );
    assert_eq!(ask("GET", "", "").expect(200), before);
    let both = json!({
        "values": [
            { "field": "service-url", "value": acme.vendor.url() },
            { "field": "account", "value": acme.account.number },
        ],
        "secrets": [{ "field": "api-key", "value": acme.account.api_key }],
    });
    let saved = ask("PATCH", &tag, &both.to_string()).expect(200);
    assert_eq!(saved["saved"], true);
    assert!(!saved.to_string().contains(&acme.account.api_key), "{saved}");
    // A secret of one server goes to no other, either.
    let tag = format!("\"{}\"", saved["version"]);
    let moved = ask("PATCH", &tag, &elsewhere.to_string());
    assert_eq!((moved.status, moved.code()), (422, "secret-moved"), "{moved:?}");
}

#[test]
fn a_run_that_goes_on_is_told_and_no_second_one_is_started() {
    let api = Api::with(&["--no-work"]);
    let key = api.key("console", "read,configure", &[]);
    let runs = "/v1/instances/esd/services-runs";
    let started = api.ask("POST", runs, &key, &[], None).expect(202);
    assert_eq!(text(&started, "state"), "not-started");
    let refused = api.ask("POST", runs, &key, &[], None);
    assert_eq!(refused.status, 409, "{refused:?}");
    let listed = api.get(runs, &key).expect(200);
    assert_eq!(listed["rows"][0], started);
}

#[test]
fn a_client_finds_nothing_of_instances_that_it_is_not_bound_to() {
    let api = Api::with(&["--no-work"]);
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let scopes = "read,order,cancel,reveal";
    let bound = api.key("bound", scopes, &["--instance", "esd"]);
    let elsewhere = api.key("elsewhere", scopes, &["--instance", "other"]);
    let both = api.key("both", scopes, &["--instance", "esd", "--instance", "other"]);
    let tenant = api.key("tenant", scopes, &["--owner", "reseller-7"]);
    let order = api.place(&bound, "B", &[], &api.order(1)).expect(201);
    let (id, asset) = (text(&order, "id"), text(&order["assets"][0], "id"));
    let cancellation = json!({ "requestOnly": true });
    for (method, path) in [
        ("GET", format!("/v1/orders/{id}")),
        ("POST", format!("/v1/orders/{id}/withdrawal")),
        ("GET", format!("/v1/assets/{asset}")),
        ("GET", format!("/v1/assets/{asset}/attempts")),
        ("GET", format!("/v1/assets/{asset}/key")),
        ("GET", format!("/v1/assets/{asset}/cancellations")),
        ("POST", format!("/v1/assets/{asset}/cancellations")),
    ] {
        let body = (method == "POST" && path.ends_with("cancellations")).then_some(&cancellation);
        for stranger in [&elsewhere, &tenant] {
            let answer = api.ask(method, &path, stranger, &[], body);
            let absent = if path.contains("orders") {
                "no-order"
            } else {
                "no-asset"
            };
            assert_eq!((answer.status, answer.code()), (404, absent), "{method} {path}");
        }
        if method == "GET" {
            let shown = api.get(&path, &both);
            assert!(
                shown.status == 200 || shown.code() == "no-license",
                "{path}: {shown:?}"
            );
        }
    }
    for stranger in [&elsewhere, &tenant] {
        let refused = api.place(stranger, "S", &[], &api.order(1));
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![("instance", "no-instance")])
        );
        let refused = api.get("/v1/orders?instance=esd", stranger);
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![("instance", "no-instance")])
        );
    }
    let names = |key: &str| {
        let listed = api.get("/v1/instances", key).expect(200);
        let rows = listed["rows"].as_array().expect("rows").iter();
        rows.map(|row| text(row, "name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&bound), names(&elsewhere)),
        (vec!["esd".to_owned()], vec!["other".to_owned()])
    );
    assert_eq!((names(&both).len(), names(&tenant).len()), (2, 0));
    for path in ["/v1/instances/esd", "/v1/instances/esd/products"] {
        for stranger in [&elsewhere, &tenant] {
            let answer = api.get(path, stranger);
            assert_eq!((answer.status, answer.code()), (404, "no-instance"), "{path}");
        }
    }
    assert_eq!(
        text(&api.get("/v1/instances/esd", &bound).expect(200), "state"),
        "ready"
    );
    let sold = api
        .get("/v1/instances/esd/products?active=true", &bound)
        .expect(200);
    let sold: Vec<_> = sold["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| text(row, "productCode"))
        .collect();
    assert_eq!(sold, [api.offer.as_str()]);
    for (path, rows) in [
        ("/v1/orders", json!([order])),
        ("/v1/assets", order["assets"].clone()),
    ] {
        assert_eq!(api.get(path, &bound).expect(200)["rows"], rows);
        assert_eq!(api.get(path, &elsewhere).expect(200)["rows"], json!([]));
        for several in [&both, &tenant] {
            let unnamed = api.get(path, several);
            assert_eq!(
                (unnamed.status, unnamed.code()),
                (422, "instance-needed"),
                "{path}"
            );
        }
        assert_eq!(
            api.get(&format!("{path}?instance=esd"), &both).expect(200)["rows"],
            rows
        );
    }
}

/// The rows of a page.
fn rows(page: &Value) -> &[Value] {
    page["rows"].as_array().expect("rows")
}

#[test]
fn events_are_listed_in_order_and_once_as_a_receiver_was_sent_them_without_a_key_and_a_link() {
    let api = Api::open();
    let receiver = Receiver::start();
    let authority = api.desk.folder.path().join("receiver.pem");
    std::fs::write(&authority, &receiver.authority_pem).expect("the authority's file");
    let (url, authority) = (receiver.url(), authority.to_str().expect("text"));
    let create = ["webhook", "create", &url, "--trust", authority];
    let reach = ["--allow-network", "127.0.0.0/8", "--allow-network", "::1/128"];
    api.desk.json(&[&create[..], &reach].concat());

    let key = api.key("shop", "read,order,cancel,reveal", &[]);
    let nothing = api.get("/v1/events", &key).expect(200);
    assert_eq!(nothing, json!({ "rows": [], "next": "start" }));
    let wait = [("Prefer", "wait=50")];
    let order = api.place(&key, "B-1", &wait, &api.order(2)).expect(201);
    let asset = text(&order["assets"][0], "id").to_owned();
    let path = format!("/v1/assets/{asset}/cancellations");
    let by = json!({ "kind": "customer", "name": "Jo" });
    api.post(&path, &key, &json!({ "comment": "too many", "requestedBy": by }))
        .expect(201);
    let until = Instant::now() + PATIENCE;
    while receiver.received().len() < 3 {
        assert!(Instant::now() < until, "the receiver is sent three events");
        std::thread::sleep(Duration::from_millis(100));
    }

    // Pages follow from the place where there was nothing yet.
    let mut events = Vec::new();
    let mut path = format!("/v1/events?limit=2&after={}", text(&nothing, "next"));
    let last = loop {
        let page = api.get(&path, &key);
        let link = page.header("link").map(ToOwned::to_owned);
        let page = page.expect(200);
        events.extend_from_slice(rows(&page));
        let Some(link) = link else { break page };
        assert!(link.contains(text(&page, "next")), "{link}");
        let next = link.trim_start_matches('<').split('>').next();
        path = next.expect("a path").to_owned();
    };
    let kinds: Vec<_> = events.iter().map(|event| text(event, "type")).collect();
    assert_eq!(kinds, ["asset.licensed", "asset.licensed", "asset.returned"]);
    assert_eq!(events[2]["data"]["assetId"], asset.as_str());
    for event in &events {
        assert_eq!(event["data"]["orderId"], order["id"]);
        assert_eq!(event["data"]["idempotencyKey"], "B-1");
    }

    // Each is what the receiver was sent.
    let mut sent: Vec<Value> = Vec::new();
    for received in receiver.received() {
        let mut event: Value = serde_json::from_str(&received.body).expect("JSON");
        event["id"] = json!(received.headers["webhook-id"]);
        sent.push(event);
    }
    let by_id = |events: &[Value]| {
        let mut events = events.to_vec();
        events.sort_by_key(|event| text(event, "id").to_owned());
        events
    };
    assert_eq!(by_id(&events), by_id(&sent));

    let printed = json!(events).to_string();
    for asset in order["assets"].as_array().expect("assets") {
        let shown = api.get(&format!("/v1/assets/{}/key", text(asset, "id")), &key);
        let shown = shown.expect(200);
        for secret in ["productKey", "activationLink"] {
            assert!(!printed.contains(text(&shown, secret)), "{printed}");
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    // An empty page leads to what comes later, and to that alone.
    let after = |next: &Value| {
        let page = api.get(&format!("/v1/events?after={}", text(next, "next")), &key);
        assert_eq!(page.header("link"), None);
        page.expect(200)
    };
    let empty = after(&last);
    assert_eq!(empty, json!({ "rows": [], "next": last["next"] }));
    assert_eq!(after(&empty), empty);
    let order = api.place(&key, "B-2", &wait, &api.order(1)).expect(201);
    let later = after(&empty);
    let told: Vec<_> = rows(&later)
        .iter()
        .map(|event| &event["data"]["orderId"])
        .collect();
    assert_eq!(told, [&order["id"]]);
}

#[test]
fn events_are_those_of_the_client_s_own_instances_after_a_place_of_this_record() {
    let api = Api::with(&["--no-work"]);
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let bound = api.key("bound", "read,order,cancel", &["--instance", "esd"]);
    let elsewhere = api.key("elsewhere", "read", &["--instance", "other"]);
    let both = api.key("both", "read", &["--instance", "esd", "--instance", "other"]);
    let all = api.key("all", "read", &[]);
    let tenant = api.key("tenant", "read", &["--owner", "reseller-7"]);
    let order = api.place(&bound, "B", &[], &api.order(2)).expect(201);
    let withdrawal = format!("/v1/orders/{}/withdrawal", text(&order, "id"));
    api.ask("POST", &withdrawal, &bound, &[], None).expect(200);

    let events = api.get("/v1/events", &bound).expect(200);
    let kinds: Vec<_> = rows(&events).iter().map(|event| text(event, "type")).collect();
    assert_eq!(kinds, ["asset.withdrawn", "asset.withdrawn"]);
    for (path, key) in [
        ("/v1/events", &both),
        ("/v1/events", &all),
        ("/v1/events?instance=esd", &bound),
        ("/v1/events?instance=esd", &both),
        ("/v1/events?instance=esd", &all),
    ] {
        assert_eq!(api.get(path, key).expect(200), events, "{path}");
    }
    // Others do not learn how many there are.
    let none = json!({ "rows": [], "next": "start" });
    for (path, key) in [
        ("/v1/events", &elsewhere),
        ("/v1/events", &tenant),
        ("/v1/events?instance=other", &elsewhere),
        ("/v1/events?instance=other", &both),
    ] {
        assert_eq!(api.get(path, key).expect(200), none, "{path}");
    }
    for stranger in [&elsewhere, &tenant] {
        let refused = api.get("/v1/events?instance=esd", stranger);
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![("instance", "no-instance")])
        );
    }

    let next = text(&events, "next").to_owned();
    let after = |after: &str| api.get(&format!("/v1/events?after={after}"), &bound);
    assert_eq!(rows(&after("start").expect(200)).len(), 2);
    assert_eq!(rows(&after(&next).expect(200)).len(), 0);
    for malformed in ["", "nonsense", "2", &format!("{next}x"), &next[1..]] {
        let refused = after(malformed);
        assert_eq!(
            (refused.status, refused.code(), refused.fields()),
            (422, "request-invalid", vec![("after", "not-an-outcome-cursor")]),
            "{malformed}"
        );
    }
    let (life, number) = next.split_once('.').expect("a life and a number");
    let other_life: String = life
        .chars()
        .map(|digit| if digit == '0' { '1' } else { '0' })
        .collect();
    let later: u64 = number.parse::<u64>().expect("a number") + 1;
    // Places of another record, and of a copy of this one that has come further and is lost.
    for unknown in [format!("{other_life}.{number}"), format!("{life}.{later}")] {
        let refused = after(&unknown);
        assert_eq!(
            (refused.status, refused.code()),
            (409, "outcome-cursor-unknown"),
            "{unknown}"
        );
    }
}

#[test]
fn what_is_not_bought_is_withdrawn_and_what_is_bought_is_returned() {
    let api = Api::open();
    let key = api.key("shop", "read,order,cancel", &[]);
    let order = api
        .place(&key, "B-1", &[("Prefer", "wait=50")], &api.order(1))
        .expect(201);
    let asset = text(&order["assets"][0], "id").to_owned();
    let asked = json!({ "comment": "too many", "requestedBy": { "kind": "customer", "name": "Jo" }, "requestOnly": true });
    let path = format!("/v1/assets/{asset}/cancellations");
    let requested = api.post(&path, &key, &asked).expect(201);
    assert_eq!(
        (text(&requested, "state"), &requested["requestedBy"]["name"]),
        ("requested", &json!("Jo"))
    );
    // Whoever decides finds it, and nobody of another instance.
    api.desk
        .json(&["instance", "create", "other", "--currency", "EUR"]);
    let elsewhere = api.key("elsewhere", "read", &["--instance", "other"]);
    let to_decide = |key: &str| {
        let listed = api.get("/v1/cancellations?state=requested", key).expect(200);
        rows(&listed)
            .iter()
            .map(|row| row["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(to_decide(&key), [requested["id"].clone()]);
    assert_eq!(to_decide(&elsewhere), [json!(null); 0]);
    let of =
        |cancellation: &Value, what: &str| format!("/v1/cancellations/{}{what}", text(cancellation, "id"));
    let declined = api
        .post(&of(&requested, "/declination"), &key, &json!({ "comment": "no" }))
        .expect(200);
    assert_eq!(text(&declined, "state"), "declined");
    assert_eq!(to_decide(&key), [json!(null); 0]);
    let again = api.ask("POST", &of(&requested, "/confirmation"), &key, &[], None);
    assert_eq!(again.status, 409, "{again:?}");
    let requested = api.post(&path, &key, &asked).expect(201);
    let confirmed = api
        .ask("POST", &of(&requested, "/confirmation"), &key, &[], None)
        .expect(200);
    assert_eq!(confirmed["decision"]["by"], "shop");
    let until = Instant::now() + PATIENCE;
    while text(&api.get(&of(&requested, ""), &key).expect(200), "state") != "done" {
        assert!(Instant::now() < until, "the worker returns it");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(
        api.get(&path, &key).expect(200)["rows"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        text(
            &api.get(&format!("/v1/assets/{asset}"), &key).expect(200),
            "state"
        ),
        "cancelled"
    );
    let listed = api.get("/v1/assets?state=cancelled", &key).expect(200);
    assert_eq!(listed["rows"][0]["id"], asset.as_str());

    let withdrawn = api.ask(
        "POST",
        &format!("/v1/orders/{}/withdrawal", text(&order, "id")),
        &key,
        &[],
        None,
    );
    assert_eq!(withdrawn.expect(200)["withdrawn"], 0);
    let idle = Api::with(&["--no-work"]);
    let key = idle.key("shop", "read,order,cancel", &[]);
    let order = idle
        .place(&key, "B-1", &[("Prefer", "wait=1")], &idle.order(2))
        .expect(201);
    assert_eq!(text(&order, "state"), "open", "nobody works");
    let body = json!({ "assets": [order["assets"][1]["id"]] });
    let withdrawn = idle.post(
        &format!("/v1/orders/{}/withdrawal", text(&order, "id")),
        &key,
        &body,
    );
    assert_eq!(withdrawn.expect(200)["withdrawn"], 1);
    let shown = idle
        .get(&format!("/v1/orders/{}", text(&order, "id")), &key)
        .expect(200);
    assert_eq!(text(&shown["assets"][1], "state"), "withdrawn");
}

#[test]
fn pages_follow_one_another_and_a_place_of_another_list_is_refused() {
    let api = Api::with(&["--no-work"]);
    let key = api.key("shop", "read,order", &[]);
    for number in 0..3 {
        api.place(&key, &format!("B-{number}"), &[], &api.order(1))
            .expect(201);
    }
    let (mut path, mut keys) = ("/v1/orders?limit=2&instance=esd".to_owned(), Vec::new());
    loop {
        let page = api.get(&path, &key);
        let next = page.header("link").map(ToOwned::to_owned);
        let page = page.expect(200);
        keys.extend(
            page["rows"]
                .as_array()
                .expect("rows")
                .iter()
                .map(|row| text(row, "idempotencyKey").to_owned()),
        );
        match next {
            None => break,
            Some(link) => {
                assert!(
                    link.ends_with(">; rel=\"next\"") && link.contains(text(&page, "next")),
                    "{link}"
                );
                path = link
                    .trim_start_matches('<')
                    .split('>')
                    .next()
                    .expect("a path")
                    .to_owned();
            }
        }
    }
    keys.sort();
    assert_eq!(keys, ["B-0", "B-1", "B-2"]);
    let foreign = api.get("/v1/orders?after=nonsense", &key);
    assert_eq!((foreign.status, foreign.code()), (422, "invalid-cursor"));
}

#[test]
fn a_key_is_shown_once_and_opens_nothing_once_it_is_rotated_or_revoked() {
    let api = Api::with(&["--no-work"]);
    let key = api.key("shop", "read", &[]);
    let status = |key: &str| api.get("/v1/orders", key).status;
    assert_eq!(status(&key), 200);
    let secret = key.splitn(3, '_').nth(2).expect("a secret");
    let listed = api.desk.run(&["api-client", "list"]);
    assert_ends(&listed, DONE);
    let printed = [
        listed.stdout,
        api.desk.json(&["api-client", "list"]).to_string().into_bytes(),
    ]
    .concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(printed.contains("shop") && !printed.contains(secret), "{printed}");

    let rotated = api
        .desk
        .run(&["api-client", "rotate", "shop", "--keep-former-hours", "1"]);
    assert_ends(&rotated, DONE);
    let second = String::from_utf8_lossy(&rotated.stdout).trim().to_owned();
    assert!(second.starts_with("bsk_") && second != key);
    assert_eq!((status(&key), status(&second)), (200, 200));
    let third = api.desk.json(&["api-client", "rotate", "shop"]);
    let third = text(&third, "key");
    assert_eq!((status(&key), status(&second), status(third)), (401, 401, 200));
    api.desk.json(&["api-client", "revoke", "shop"]);
    assert_eq!(status(third), 401);
    let again = api
        .desk
        .run(&["api-client", "create", "shop", "--scopes", "read"]);
    assert_fails(
        &again,
        REFUSED,
        &["there is or was an API client or a platform `shop`"],
    );
    let odd = api
        .desk
        .run(&["api-client", "create", "shop-2", "--scopes", "everything"]);
    assert_ends(&odd, USAGE);
}

#[test]
fn a_server_ends_in_order_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let mut api = Api::open();
        let key = api.key("shop", "read,order", &[]);
        api.place(&key, "B", &[], &api.order(3)).expect(201);
        send_signal(signal, &api.server.program);
        assert_eq!(
            api.server.program.wait().expect("it ends").code(),
            Some(DONE),
            "{signal}"
        );
        assert!(TcpStream::connect(api.server.address).is_err());
        // What was under way is on record; the rest waits.
        assert_ends(&api.desk.run(&["run", "--once"]), DONE);
        assert_eq!(
            api.desk
                .json(&["asset", "list", "--state", "licensed"])
                .as_array()
                .map(Vec::len),
            Some(3)
        );
    }
}

#[test]
fn a_server_that_others_could_listen_to_does_not_start() {
    let desk = Desk::open();
    let exposed = desk.run(&["serve", "--listen", "0.0.0.0:0", "--plain-http"]);
    assert_fails(&exposed, REFUSED, &["plain HTTP is for loopback alone"]);
    let bare = desk.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_fails(&bare, REFUSED, &["a certificate is needed", "`--certificate`"]);
    let torn = desk.run(&["serve", "--certificate", "server.pem"]);
    assert_ends(&torn, USAGE);
    let absent = desk.run(&["serve", "--certificate", "no.pem", "--key", "no.key"]);
    assert_fails(&absent, crate::scenario::NO_ANSWER, &["`no.pem` can't be read"]);
}

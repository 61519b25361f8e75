//! A billing platform in a script: it is registered, calls as its operator and its storefront have it call, and holds each answer to
//! the description of the contract.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bss_simulator::{CertificateRequest, LedgerEntry, Registration, TokenStatus};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::NOT_KNOWN_YET;
use crate::cli::send_signal;
use crate::openapi::OpenApi;
use crate::orders_cli::text;
use crate::scenario::{DONE, INSTANCE, Scenario, actor, assert_ends, credentials, silent};
use crate::serve::{Answer, Connection, PATIENCE, Server, send};

/// The name under which the platform is registered.
pub(super) const NAME: &str = "bss-one";

/// The way in which a platform writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// As the platform's models are declared: PascalCase, numbers for kinds, the key in base64, assets.
    Pascal,
    /// camelCase, names for kinds, texts for numbers and truth, paths in lower case with `api/`, the key as it is, subscriptions.
    Camel,
}

impl Dialect {
    /// The path of a call, which the description has as `Assets/Create`.
    pub(super) fn path(self, application: &str, call: &str) -> String {
        match self {
            Self::Pascal => format!("/interworks/{}/{call}", application.to_uppercase()),
            Self::Camel => {
                let (section, action) = call.split_once('/').unwrap_or((call, ""));
                let section = section.strip_suffix('s').unwrap_or(section);
                format!("/interworks/{application}/api/{section}/{action}").to_lowercase()
            }
        }
    }

    /// The section in which licenses are sold.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Pascal => "Assets",
            Self::Camel => "Subscriptions",
        }
    }

    /// A value of a kind that has names and numbers.
    pub(super) fn kind(self, number: u32, name: &str) -> Value {
        match self {
            Self::Pascal => json!(number),
            Self::Camel => json!(name),
        }
    }

    /// A message, which is given as the models declare it, as this platform writes it.
    pub(super) fn written(self, message: &Value) -> Value {
        match (self, message) {
            (Self::Pascal, message) => message.clone(),
            (Self::Camel, Value::Object(members)) => members
                .iter()
                .map(|(name, value)| (camel(name), self.written(value)))
                .collect::<Map<_, _>>()
                .into(),
            (Self::Camel, Value::Array(values)) => values.iter().map(|value| self.written(value)).collect(),
            (Self::Camel, Value::Number(_) | Value::Bool(_)) => message.to_string().into(),
            (Self::Camel, Value::String(_) | Value::Null) => message.clone(),
        }
    }

    fn application_id(self, id: Uuid) -> String {
        match self {
            Self::Pascal => id.to_string().to_uppercase(),
            Self::Camel => format!("{{{id}}}"),
        }
    }

    fn key(self, key: &str) -> String {
        match self {
            Self::Pascal => BASE64.encode(key.as_bytes()),
            Self::Camel => key.to_owned(),
        }
    }
}

/// `SubscriptionID` as `subscriptionID`, `ID` as `id`.
fn camel(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_uppercase()) {
        return name.to_lowercase();
    }
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// A product as the services definition names it.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) code: String,
    /// The value of its attribute.
    pub(super) uri: String,
}

/// What a platform shows of itself with each call.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) application: Uuid,
    pub(super) key: String,
}

impl Pair {
    /// A pair as a platform makes it: the key is itself base64, as that of the platform's sample is.
    pub(super) fn made() -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        Self {
            application: Uuid::new_v4(),
            key: BASE64.encode(&random),
        }
    }

    pub(super) fn headers(&self, dialect: Dialect) -> Vec<(String, Vec<u8>)> {
        vec![
            header(
                "X-CloudPlatform-ApplicationId",
                dialect.application_id(self.application),
            ),
            header("X-CloudPlatform-APIKey", dialect.key(&self.key)),
        ]
    }
}

pub(super) fn header(name: &str, value: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_ref().to_vec())
}

/// A platform that is registered at a host, whose server runs.
pub(super) struct Bss {
    pub(super) scenario: Scenario,
    pub(super) server: Server,
    pub(super) dialect: Dialect,
    pub(super) pair: Pair,
    /// The settings that the platform has saved, as header fields.
    pub(super) settings: Vec<(String, Vec<u8>)>,
    description: OpenApi,
}

impl Bss {
    /// A platform at a host that sells every product, with all duties of a host.
    pub(super) async fn selling(dialect: Dialect) -> Self {
        Self::at(Scenario::selling().await, dialect).await
    }

    /// A platform at the instance of a scenario.
    pub(super) async fn at(scenario: Scenario, dialect: Dialect) -> Self {
        let pair = Pair::made();
        register(&scenario, NAME, INSTANCE, &pair);
        Self::of(scenario, dialect, pair).await
    }

    /// The platform that was registered with a pair.
    pub(super) async fn of(scenario: Scenario, dialect: Dialect, pair: Pair) -> Self {
        let instance = scenario
            .host
            .named_instance(INSTANCE)
            .await
            .expect("the instance");
        let settings = instance.values.iter().map(|(field, value)| setting(field, value));
        Self {
            server: serve(&scenario, &[]),
            dialect,
            pair,
            settings: settings.collect(),
            description: OpenApi::below("", include_str!("../../../docs/interworks-openapi.yaml")),
            scenario,
        }
    }

    /// Kills the server as a loss of power does, and starts one with other arguments.
    pub(super) fn start_server_again(&mut self, arguments: &[&str]) {
        self.kill_server();
        self.server = serve(&self.scenario, arguments);
    }

    /// Starts the server again, so that it writes all that it logs into a file.
    pub(super) fn log_into(&mut self, file: &Path) {
        self.kill_server();
        let mut command = self.scenario.command(&["serve", "--log", "trace"]);
        command.stderr(File::create(file).expect("a file"));
        self.server = Server::start(command);
    }

    /// Starts the server again after what it still did for its platforms has come to an end.
    pub(super) fn start_server_after_its_end(&mut self) {
        send_signal("TERM", &self.server.program);
        assert_eq!(self.server.program.wait().expect("it ends").code(), Some(DONE));
        self.server = serve(&self.scenario, &[]);
    }

    pub(super) fn kill_server(&mut self) {
        self.server.program.kill().expect("it is killed");
        self.server.program.wait().expect("it has ended");
    }

    /// The headers of a call: the pair, and each saved setting.
    pub(super) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        [self.pair.headers(self.dialect), self.settings.clone()].concat()
    }

    /// The path of a call at the platform's own address.
    pub(super) fn path(&self, call: &str) -> String {
        self.dialect.path(NAME, call)
    }

    /// Calls without a message; the call may have a query.
    pub(super) fn get(&self, call: &str) -> Answer {
        let (call, query) = call.split_at(call.find('?').unwrap_or(call.len()));
        self.ask("GET", call, &(self.path(call) + query), &self.headers(), b"")
    }

    /// Calls with a message, which is given as the models declare it.
    pub(super) fn post(&self, call: &str, message: &Value) -> Answer {
        self.post_text(call, "", &self.dialect.written(message).to_string())
    }

    /// Calls with a body as it is, and a query.
    pub(super) fn post_text(&self, call: &str, query: &str, body: &str) -> Answer {
        let path = self.path(call) + query;
        self.ask("POST", call, &path, &self.headers(), body.as_bytes())
    }

    /// The outcome of a call: what is answered with status 200.
    pub(super) fn outcome(&self, call: &str, message: &Value) -> Outcome {
        Outcome::of(self.post(call, message))
    }

    /// The outcome of what is done to a license, in the section in which the platform sells them.
    pub(super) fn license(&self, action: &str, message: &Value) -> Outcome {
        self.outcome(&format!("{}/{action}", self.dialect.section()), message)
    }

    /// The outcome of what is done to a license, which is run again as long as it is not known.
    pub(super) fn until_known(&self, action: &str, message: &Value) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            let outcome = self.license(action, message);
            if outcome.code() != NOT_KNOWN_YET {
                return outcome;
            }
            assert!(Instant::now() < until, "it becomes known: {outcome:?}");
        }
    }

    /// Sends any request to the server, and holds the answer to the description of a call.
    pub(super) fn ask(
        &self,
        method: &str,
        call: &str,
        path: &str,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Answer {
        let mut connection = self.server.connect();
        send(&mut connection, method, path, headers, body);
        let answer = Answer::read(connection);
        self.hold(method, call, &answer);
        answer
    }

    /// Sends a call and leaves before there is an answer.
    pub(super) fn send(&self, call: &str, message: &Value) -> Connection {
        let mut connection = self.server.connect();
        let body = self.dialect.written(message).to_string();
        send(
            &mut connection,
            "POST",
            &self.path(call),
            &self.headers(),
            body.as_bytes(),
        );
        connection
    }

    /// Holds an answer to the description of its call.
    fn hold(&self, method: &str, call: &str, answer: &Answer) {
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let path = format!("/interworks/{NAME}/{call}");
        let status = StatusCode::from_u16(answer.status).expect("a status");
        let body = answer.body.to_string();
        let held = self
            .description
            .check_response(&method, &path, status, &headers, body.as_bytes());
        held.unwrap_or_else(|problem| panic!("{method} {call}: {problem:.2000}"));
    }

    /// Calls by a method, or at an address, that no description has.
    pub(super) fn undescribed(&self, method: &str, path: &str) -> Answer {
        let mut connection = self.server.connect();
        send(&mut connection, method, path, &self.headers(), b"");
        Answer::read(connection)
    }

    /// A request from an address of this machine's own, so that the tries of each are counted apart.
    pub(super) async fn ask_from(
        &self,
        source: IpAddr,
        (method, path): (&str, &str),
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Answer {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(source, 0)).expect("a free port");
        let tcp = socket.connect(self.server.address).await.expect("it listens");
        let tcp = tcp.into_std().expect("a socket");
        tcp.set_nonblocking(false).expect("it blocks");
        let mut connection = self.server.over(tcp);
        send(&mut connection, method, path, headers, body);
        Answer::read(connection)
    }

    /// The message of an order of one license, as the models declare it.
    pub(super) fn order(&self, subscription: &str, offer: &Offer) -> Value {
        let attribute =
            |value: &str| json!({ "ID": "offer", "Name": "Offer", "Value": value, "Code": value });
        json!({
            "ID": "",
            "SubscriptionID": subscription,
            "OriginalSubscriptionID": null,
            "Name": "Office",
            "ServiceType": "microsoft-esd",
            "ProductID": "5521",
            "ActionType": self.dialect.kind(1, "Provision"),
            "Quantity": 1,
            "Account": account("13"),
            "AttributeList": match self.dialect {
                Dialect::Pascal => json!({ "offer": attribute(&offer.uri) }),
                // Values as other parts of the platform write them, in a list, and with a person's spaces.
                Dialect::Camel => json!([{ "ID": "offer", "Value": format!(" offer_{} ", offer.uri) }]),
            },
            "Addons": [],
            "AllowMultipleSubscriptions": true,
            "IsFromOrder": true,
            "BillingCycle": { "Duration": "1", "DurationType": "month" },
            "CheckOverusage": false,
            "Derivative": self.dialect.kind(3, "LICENSE"),
            "CustomFieldValues": {},
            "ExtraDetails": {},
            "IsTrial": false,
            "CheckOnly": false,
            "RequestedBy": {
                "ID": 7, "FirstName": "Jo", "LastName": "Muster", "DisplayName": "Jo Muster",
                "Email": "jo@beispiel.example", "Type": self.dialect.kind(1, "Storefront"),
            },
        })
    }

    /// Two products that are sold.
    pub(super) fn offers(&self) -> [Offer; 2] {
        let definition = self.definition();
        let products = &definition["ProductTypes"][0]["ProductsCollection"]["Products"];
        [0, 1].map(|at| Offer {
            code: text(&products[at], "Code").to_owned(),
            uri: products[at]["Attributes"][0]["Values"][0]
                .as_str()
                .expect("a value")
                .to_owned(),
        })
    }

    /// What the host sells.
    pub(super) fn definition(&self) -> Value {
        self.get("Fields/ServiceDefinition").expect(200)
    }

    /// What Microsoft has sold.
    pub(super) async fn ledger(&self) -> Vec<LedgerEntry> {
        self.scenario.microsoft.ledger().await.expect("the ledger")
    }

    /// Waits until Microsoft has sold so many licenses.
    pub(super) async fn until_sold(&self, licenses: usize) {
        let until = Instant::now() + PATIENCE;
        while self.ledger().await.len() < licenses {
            assert!(Instant::now() < until, "Microsoft sells");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that Microsoft has sold so many licenses, and has taken none of them back.
    pub(super) async fn assert_active(&self, licenses: usize) {
        let ledger = self.ledger().await;
        let statuses: Vec<_> = ledger.iter().map(|entry| entry.token_status).collect();
        assert_eq!(statuses, vec![TokenStatus::Activated; licenses]);
    }

    /// Checks that nothing was bought and nothing was ordered.
    pub(super) async fn assert_nothing_bought(&self) {
        assert_eq!(self.scenario.issued().await, [""; 0]);
        for list in ["asset", "order"] {
            assert_eq!(self.scenario.json(&[list, "list"]), json!([]), "{list}");
        }
    }
}

/// The server of a scenario's host.
pub(super) fn serve(scenario: &Scenario, arguments: &[&str]) -> Server {
    let mut command = scenario.command(&[&["serve"], arguments].concat());
    command.stderr(Stdio::null());
    Server::start(command)
}

/// Registers a platform with the pair that it made.
pub(super) fn register(scenario: &Scenario, name: &str, instance: &str, pair: &Pair) {
    let (application, file) = (pair.application.to_string(), key_file(scenario, pair));
    let register = ["platform", "register", name, "--instance", instance];
    let credentials = ["--application-id", &application, "--api-key-file", &file];
    assert_ends(&scenario.bss_host(&[&register[..], &credentials].concat()), DONE);
}

/// A file with the key of a pair, as an editor writes it.
pub(super) fn key_file(scenario: &Scenario, pair: &Pair) -> String {
    let file = scenario.folder.path().join(format!("{}.key", pair.application));
    std::fs::write(&file, format!("{}\n", pair.key)).expect("it is written");
    path_text(&file)
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

/// An instance of another customer, which sells the same catalog.
pub(super) async fn another_instance(scenario: &Scenario, name: &str) {
    let application = scenario.microsoft.add_application().expect("an application");
    let request = CertificateRequest {
        registration: Registration::OtherApplication(application.client_id),
        ..CertificateRequest::default()
    };
    let thumbprint = scenario.install(&request).await;
    let mut credentials = credentials(scenario.microsoft.details());
    credentials.insert("client-id".to_owned(), application.client_id.to_string());
    credentials.insert("channel-id".to_owned(), application.channel_id.clone());
    scenario.ready_instance_of(name, &thumbprint, credentials).await;
    let read = scenario.host.fetch_services(name, &actor(), silent()).await;
    read.expect("the catalog is read");
    scenario.sell_all(name).await;
}

/// A saved setting as the header field that the platform sends with each call.
pub(super) fn setting(field: &str, value: &str) -> (String, Vec<u8>) {
    header(&format!("X-CloudPlatform-Setting-{}", pascal(field)), value)
}

/// `certificate-thumbprint` as `CertificateThumbprint`.
fn pascal(field: &str) -> String {
    let capitalized = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    field.split('-').map(capitalized).collect()
}

/// A customer of the platform's, as the models declare it.
pub(super) fn account(id: &str) -> Value {
    json!({
        "ID": id, "ExternalID": "", "ResellerID": null, "Name": "Beispiel GmbH", "Code": format!("CUST{id}"),
        "Email": "it@beispiel.example", "IsTest": false, "ExtraDetails": {}, "SyncOptions": {},
        "ContactDetails": { "ID": "16", "FirstName": "Anna", "LastName": "Muster", "Email": "anna@beispiel.example" },
        "Address": {
            "Address1": "Hauptstraße 1", "City": "Berlin", "PostCode": "10115", "State": null,
            "Country": { "Code": "DE", "Name": "Germany" },
        },
    })
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(super) struct Outcome(Value);

impl Outcome {
    pub(super) fn of(answer: Answer) -> Self {
        Self(answer.expect(200))
    }

    pub(super) fn code(&self) -> i64 {
        self.0["Code"]
            .as_i64()
            .unwrap_or_else(|| panic!("a code in {self:?}"))
    }

    pub(super) fn message(&self) -> &str {
        text(&self.0, "Message")
    }

    /// The platform's name for the asset from then on. Empty: none.
    pub(super) fn result(&self) -> &str {
        self.0["Result"].as_str().unwrap_or_default()
    }

    /// A custom field. Empty: it is not there.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0["CustomFieldValues"][name].as_str().unwrap_or_default()
    }

    /// Whether the platform is to mail the license.
    pub(super) fn is_to_be_mailed(&self) -> bool {
        self.0["SendNotification"].as_bool().expect("true or false")
    }

    /// The outcome, if it has that code.
    pub(super) fn with_code(self, code: i64) -> Self {
        assert_eq!(self.code(), code, "{self:?}");
        self
    }

    /// The outcome, if its message has those words.
    pub(super) fn saying(self, words: &str) -> Self {
        assert!(
            self.message().to_lowercase().contains(&words.to_lowercase()),
            "`{words}` in {self:?}"
        );
        self
    }
}

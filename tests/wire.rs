//! Holds the plugin's own wire code to `docs/cis-openapi.yaml`: the requests that it sends and the answers it reads.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expected")]

#[path = "../host-harness/tests/simulator/openapi.rs"]
#[expect(
    dead_code,
    reason = "here it holds requests; the simulator's own tests hold answers"
)]
mod openapi;

use std::cell::RefCell;

use bss_plugin::Level;
use bss_plugin::http::{HttpRequest, HttpResponse, Method, SendFailure};
use bss_plugin::secret::Secret;
use bss_plugin::{
    EarlierAttempts, FieldValue, Instance, LicenseName, LicenseNames, LicenseOrder, LicenseReturn, LookUp,
    OrderAnswer, Party,
};
use microsoft_esd::license_lifecycle::{cancel_license, get_license};
use microsoft_esd::license_order::create_license;
use microsoft_esd::platform::{Platform, SignatureAlgorithm, SigningFailure};
use microsoft_esd::services_definition::{Outcome, Product, fetch_services};
use serde_json::{Value, json};

use openapi::OpenApi;

const SERVICE: &str = "https://cis.example.com/cis";

/// A platform that answers every request with the examples of the description, and holds the request to it.
struct Described {
    description: OpenApi,
    client_transaction_id: String,
    products: RefCell<Vec<Product>>,
    checked: RefCell<Vec<String>>,
}

impl Described {
    fn new(client_transaction_id: &str) -> Self {
        Self {
            description: OpenApi::cis(),
            client_transaction_id: client_transaction_id.to_owned(),
            products: RefCell::default(),
            checked: RefCell::default(),
        }
    }

    /// The description's operation for a request, by pointer, with the request checked against it.
    fn operation(&self, request: &HttpRequest) -> String {
        let target = request
            .url
            .strip_prefix(SERVICE)
            .expect("the service's own address");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
        };
        let operation = self
            .description
            .operation(&method, &format!("/cis{path}"))
            .expect("a described operation");
        self.check_query(&operation, query);
        if method == http::Method::POST {
            let body: Value = serde_json::from_slice(&request.body).expect("a JSON body");
            let checked = self
                .description
                .check_request(&method, &format!("/cis{path}"), &body);
            checked.unwrap_or_else(|problem| panic!("{method} {path}: {problem}"));
        }
        self.checked.borrow_mut().push(format!("{method} {operation}"));
        operation
    }

    /// The names of an operation's query parameters, and whether they are required.
    fn query_parameters(&self, operation: &str) -> Vec<(String, bool)> {
        let parameters = self
            .at(&format!("{operation}/parameters"))
            .as_array()
            .expect("a list")
            .len();
        let parameter = |number| {
            let pointer = format!("{operation}/parameters/{number}");
            self.at(&self.description.resolved(pointer).expect("a parameter"))
        };
        (0..parameters)
            .map(parameter)
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| {
                (
                    parameter["name"].as_str().expect("a name").to_owned(),
                    parameter["required"] == true,
                )
            })
            .collect()
    }

    /// The best answer that an operation's description shows an example of.
    fn success_example(&self, operation: &str) -> (u16, Value) {
        let responses = self
            .at(&format!("{operation}/responses"))
            .as_object()
            .expect("responses");
        let status = responses
            .keys()
            .filter(|status| status.starts_with('2'))
            .max()
            .expect("a success");
        let response = self
            .description
            .resolved(format!("{operation}/responses/{status}"))
            .expect("a response");
        let examples = format!("{response}/content/application~1json/examples");
        let name = self
            .at(&examples)
            .as_object()
            .and_then(|named| named.keys().next())
            .expect("an example");
        let example = self
            .description
            .resolved(format!("{examples}/{name}"))
            .expect("an example");
        (
            status.parse().expect("a number"),
            self.at(&example)["value"].clone(),
        )
    }

    fn at(&self, pointer: &str) -> &Value {
        self.description
            .document()
            .pointer(pointer)
            .unwrap_or_else(|| panic!("nothing at {pointer}"))
    }

    /// Checks that every query parameter that is sent is described, and every one that is required is sent.
    fn check_query(&self, operation: &str, query: &str) {
        let sent: Vec<String> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, _)| name.into_owned())
            .collect();
        let parameters = self.query_parameters(operation);
        for name in &sent {
            assert!(
                parameters.iter().any(|(known, _)| known == name),
                "`{name}` is not described"
            );
        }
        for (name, required) in parameters {
            assert!(!required || sent.contains(&name), "`{name}` is required");
        }
    }
}

impl bss_plugin::Platform for Described {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        if request.url.starts_with("https://login.example.com/") {
            return Ok(answer(
                200,
                &json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": "a" }),
            ));
        }
        let operation = self.operation(request);
        let (status, mut example) = self.success_example(&operation);
        if let Some(id) = example.get_mut("clientTransactionId") {
            *id = self.client_transaction_id.clone().into();
        }
        // Without a continuation, the first page is the last.
        if let Some(page) = example.as_object_mut() {
            page.remove("continuation");
        }
        Ok(answer(status, &example))
    }

    fn put_products(&self, products: Vec<Product>) {
        self.products.borrow_mut().extend(products);
    }

    fn report_progress(&self, _: u64, _: Option<u64>, _: &str) {}

    fn log(&self, level: Level, subject: &str, message: &str) {
        assert_ne!(level, Level::Warning, "{subject}: {message}");
    }

    fn now_ms(&self) -> i64 {
        1_790_000_000_000
    }
}

impl Platform for Described {
    fn certificate(&self) -> Option<Vec<u8>> {
        Some(vec![1, 2, 3])
    }

    fn sign(&self, _: SignatureAlgorithm, _: &[u8]) -> Result<Vec<u8>, SigningFailure> {
        Ok(vec![4, 5, 6])
    }

    fn cached_access_token(&self, _: &str) -> Option<Secret> {
        None
    }

    fn cache_access_token(&self, _: &str, _: &Secret, _: i64) {}

    fn drop_refused_access_token(&self, _: &str, _: &Secret) {}

    fn pause(&self, _: u64) {}

    fn random(&self) -> [u8; 16] {
        *uuid::Uuid::new_v4().as_bytes()
    }

    fn option(&self, name: &str) -> Option<String> {
        (name == "login-authority").then(|| "login.example.com".to_owned())
    }
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes().into(),
    }
}

fn instance() -> Instance {
    let values = [
        ("system-name", "esd"),
        ("resource-api", "https://cis.example.com"),
        ("service-url", SERVICE),
        ("tenant", "11111111-2222-4333-8444-555555555555"),
        ("channel-id", "1234567890"),
        ("client-id", "66666666-7777-4888-9999-000000000000"),
        (
            "certificate-thumbprint",
            "0123456789ABCDEF0123456789ABCDEF01234567",
        ),
        ("country", "DE"),
        ("language", "de-DE"),
    ];
    Instance {
        id: "esd".to_owned(),
        values: values
            .map(|(id, value)| FieldValue {
                id: id.to_owned(),
                value: value.to_owned(),
            })
            .to_vec(),
        currency: "EUR".to_owned(),
    }
}

fn order(client_transaction_id: &str, earlier_attempts: EarlierAttempts) -> LicenseOrder {
    LicenseOrder {
        client_transaction_id: client_transaction_id.to_owned(),
        earlier_attempts,
        check_only: false,
        product: "EP2-06798".to_owned(),
        quantity: 1,
        reseller: Some(Party {
            id: "R-1".to_owned(),
            name: "Händler AG".to_owned(),
            country: "DE".to_owned(),
        }),
        customer: Party {
            id: "C-1".to_owned(),
            name: "Beispiel GmbH".to_owned(),
            country: "DE".to_owned(),
        },
    }
}

#[test]
fn a_purchase_is_sent_and_its_answer_read_as_described() {
    let id = uuid::Uuid::new_v4().to_string();
    let described = Described::new(&id);
    let bought = create_license(&described, &instance(), &order(&id, EarlierAttempts::None)).into_result();
    assert!(matches!(bought, Ok(OrderAnswer::Licensed(_))), "{bought:?}");
    assert_eq!(described.checked.borrow().len(), 1);
}

#[test]
fn a_look_up_is_sent_and_its_answer_read_as_described() {
    let id = uuid::Uuid::new_v4().to_string();
    let described = Described::new(&id);
    let found = create_license(&described, &instance(), &order(&id, EarlierAttempts::Unknown)).into_result();
    assert!(matches!(found, Ok(OrderAnswer::Licensed(_))), "{found:?}");
    let name = LicenseName::Purchase(id);
    assert!(matches!(
        get_license(&described, &instance(), &name),
        Ok(LookUp::Issued(_))
    ));
}

#[test]
fn the_catalog_is_asked_for_and_its_page_read_as_described() {
    let described = Described::new("");
    let read = fetch_services(&described, &instance(), "");
    assert!(
        matches!(read, Ok(Outcome::Complete(ref summary)) if summary.skipped.is_empty()),
        "{read:?}"
    );
    assert!(!described.products.borrow().is_empty());
}

#[test]
fn a_return_is_sent_as_described() {
    let id = uuid::Uuid::new_v4().to_string();
    let described = Described::new(&id);
    let license_return = LicenseReturn {
        license: LicenseNames {
            client_transaction_id: id.clone(),
            transaction_id: "T-1".to_owned(),
            license_token_id: "LT-1".to_owned(),
        },
        earlier_attempts: EarlierAttempts::None,
        client_transaction_id: uuid::Uuid::new_v4().to_string(),
        reason: "not needed".to_owned(),
    };
    // The outcome does not matter here: the examples are of different licenses.
    let _ = cancel_license(&described, &instance(), &license_return);
    assert!(
        described
            .checked
            .borrow()
            .iter()
            .any(|operation| operation.contains("return"))
    );
}

#[test]
fn the_check_can_fail() {
    let wrong = OpenApi::cis().check_request(
        &http::Method::POST,
        "/cis/tokens",
        &json!({ "clientTransactionId": "x" }),
    );
    assert!(wrong.is_err());
}
